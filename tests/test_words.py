"""What a person reads uses the field's words: none of those that only this project understood."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
# The words, and what to write instead.
WORDS = {
    "house": "codebase, or nothing", "desk": "account", "told": "reported, logged or shown", "foreseen": "simulated", "anew": "again",
    "forewarning": "data check", "forewarnings": "data checks", "shaky": "degraded",
}  # fmt: skip
PAGES = sorted(
    path
    for pattern in ("src/**/*.py", "docs/**/*.md", "*.md", "examples/*", "config/*.yaml", "benchmarks/*.py", "tools/*")
    for path in REPOSITORY.glob(pattern)
    if path.is_file()
)
WORD = re.compile(rf"(?<![A-Za-z])({'|'.join(WORDS)})(?![A-Za-z])", re.IGNORECASE)


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(REPOSITORY)) for page in PAGES])
def test_a_page_has_no_private_word(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    found = [f"line {number}: {word}: write {WORDS[word.lower()]}" for number, line in enumerate(lines, 1) for word in WORD.findall(line)]
    assert found == []


TESTS = [path for path in sorted((REPOSITORY / "tests").rglob("*.py")) if path != Path(__file__).resolve()]


def test_no_name_in_the_tests_is_a_house_or_a_desk() -> None:
    word = re.compile("(?<![A-Za-z])(houses?|desks?|House|Desks?)(?![a-z])")
    found = {path.name: word.findall(path.read_text(encoding="utf-8")) for path in TESTS}
    assert {name: words for name, words in found.items() if words} == {}
