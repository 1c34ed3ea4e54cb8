"""docs/specification.md: every heading of the specification, and nothing named that is not there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "specification.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (#+) (.+?) \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE)
NOT_A_PROMISE = "about the document itself"


def headings_of(text: str) -> list[tuple[str, str]]:
    """(level, heading) of a page of Markdown, without emphasis and pictures; its title is left out."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^(##+) (.+)$", prose, re.MULTILINE)
    return [(level, re.sub(r"\*\*|[^\x00-\x7f]", "", heading).strip()) for level, heading in found]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def defined_in(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)}


def test_every_heading_of_the_specification_is_in_the_table(shared):
    specified = headings_of((shared / "spec" / "execution_interface_manager_v2.md").read_text(encoding="utf-8"))
    assert [(level, heading) for level, heading, *_ in ROWS] == specified


def test_every_heading_of_the_shorter_specification_is_in_the_table(shared):
    specified = headings_of((shared / "spec" / "execution_interface_manager_v1.md").read_text(encoding="utf-8"))
    assert [heading for _, heading in specified if heading not in {row[1] for row in ROWS}] == []


def test_every_heading_has_a_test_or_is_no_promise():
    assert ROWS
    assert [heading for _, heading, _, test, note in ROWS if not names_in(test) and NOT_A_PROMISE not in note] == []


def test_every_path_that_is_named_exists():
    named = {name for _, _, where, _, _ in ROWS for name in names_in(where)}
    roots = (REPOSITORY / "src" / "basis_strategy_v1", REPOSITORY)
    assert [name for name in sorted(named) if not any((root / name).is_file() for root in roots)] == []


def test_every_test_that_is_named_exists():
    missing = []
    for name in {name for _, _, _, test, _ in ROWS for name in names_in(test)}:
        file, _, function = name.partition("::")
        path = REPOSITORY / file
        if not path.exists() or (function and function not in defined_in(path)):
            missing.append(name)
    assert missing == []


def test_every_file_of_these_tests_is_in_the_table():
    files = {f"tests/spec/{path.name}" for path in Path(__file__).parent.glob("test_*.py")}
    assert files - {name.partition("::")[0] for row in ROWS for name in names_in(row[3])} == set()


def test_every_difference_that_is_named_is_explained():
    referred = set(re.findall(r"\[(\w)\]\(#differences\)", PAGE))
    explained = re.findall(r"^\| (\w) \| (.+?) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
    assert referred == {row[0] for row in explained}
