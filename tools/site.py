"""What mkdocs needs beyond docs/: the pages and the files of the repository that the documents link to, under the same names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
LINK = re.compile(r"\]\(([^)\s:#]+)((?:#[^)\s]*)?)\)")


def on_files(files: Files, config: Any) -> Files:
    """Adds the contributors' pages, the examples and the configs, and each decision to the navigation's end."""
    for path in (*PAGES, *sorted(str(one.relative_to(ROOT)) for one in (*ROOT.glob("examples/*.*"), *ROOT.glob("config/*.yaml")))):
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    decisions = sorted(file.src_uri for file in files if file.src_uri.startswith("decisions/"))
    config.nav[-1]["Contributors"].append({"Decisions": decisions})
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The text with its links as the site has them: what lies outside docs/ there lies inside here."""
    folder = ROOT if page.file.src_uri in PAGES else (ROOT / "docs" / page.file.src_uri).parent
    depth = page.file.src_uri.count("/")

    def moved(found: re.Match[str]) -> str:
        path = (folder / found[1]).resolve()
        inside = path.relative_to(ROOT / "docs") if path.is_relative_to(ROOT / "docs") else path.relative_to(ROOT)
        return f"]({'../' * depth}{'index.md' if str(inside) == 'README.md' else inside}{found[2]})"

    return LINK.sub(moved, markdown)
