"""The documentation site: it builds without a warning, has every page, and a reader's browser asks no other host for anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def site(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=repository, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "WARNING" in line]) == (0, [])
    return folder


def test_every_document_is_a_page(site: Path, repository: Path) -> None:
    documents = {path.relative_to(repository / "docs").with_suffix(".html") for path in (repository / "docs").rglob("*.md")}
    contributors = {Path("ARCHITECTURE.html"), Path("CONTRIBUTING.html"), Path("CHANGELOG.html")}
    assert {path.relative_to(site) for path in site.rglob("*.html")} == documents | contributors | {Path("404.html")}


def test_a_link_within_the_site_leads_to_a_file(site: Path) -> None:
    faults = []
    for page in site.rglob("*.html"):
        for target in re.findall(r'(?:href|src)="([^"#?:]+)[#?"]', page.read_text(encoding="utf-8")):
            file = site / target.removeprefix("/") if target.startswith("/") else page.parent / target
            if not file.exists():
                faults.append(f"{page.relative_to(site)}: {target}")
    assert faults == []


def test_a_page_loads_nothing_from_another_host(site: Path) -> None:
    loaded = re.compile(
        r'<(?:script|img|iframe)[^>]*src="(?:https?:)?//[^"]*|<link[^>]*rel="(?:stylesheet|preconnect|icon)"[^>]*href="(?:https?:)?//[^"]*'
    )
    assert {str(page.relative_to(site)): found for page in site.rglob("*.html") if (found := loaded.findall(page.read_text("utf-8")))} == {}


def code_of(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_code_of_the_pages_runs(repository: Path, sample: Path, tmp_path: Path) -> None:
    """One after another in a folder of its own: a strategy, its run, and what a run gives."""
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "sample").symlink_to(sample)
    (tmp_path / "config").symlink_to(repository / "config")
    strategy, backtest = code_of(repository / "docs" / "howto" / "rule.md")
    (tmp_path / "mine.py").write_text(strategy)
    lines = []
    for code in (backtest, "\n".join(code_of(repository / "docs" / "howto" / "results.md"))):
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        lines += done.stdout.splitlines()
    sharpe, trades = lines[0].split()
    assert (float(sharpe) != 0, int(trades) > 0) == (True, True)
    assert re.fullmatch(r"\d\.\d\d% a year, worst day -\d\.\d\d%", lines[1])
