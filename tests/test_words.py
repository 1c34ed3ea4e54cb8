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
# Those that no page has any more, and some tests still do.
OF_PAGES = {
    **WORDS, "torn": "truncated", "hole": "gap", "holes": "gaps", "odd": "a data-quality issue", "tells": "reports or distinguishes",
    "booked": "recorded", "given back": "redeemed", "beside": "next to or alongside", "dear": "expensive",
    "what is held": "positions, balances or state", "per tick": "per step", "each tick": "each step", "every tick": "every step",
    "aavepart": "AaveState", "morphopart": "MorphoState",
}  # fmt: skip
# The names of a column and of a field in the record of a live run.
KEPT = {"run_record.py": ["booked"], "attribution.py": ["booked"]}
PAGES = sorted(
    path
    for pattern in ("src/**/*.py", "docs/**/*.md", "*.md", "examples/*", "config/*.yaml", "benchmarks/*.py", "tools/*")
    for path in REPOSITORY.glob(pattern)
    if path.is_file()
)
WORD = re.compile(rf"(?<![A-Za-z])({'|'.join(OF_PAGES)})(?![A-Za-z])", re.IGNORECASE)


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(REPOSITORY)) for page in PAGES])
def test_a_page_has_no_private_word(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    words = [(number, word) for number, line in enumerate(lines, 1) for word in WORD.findall(line) if word not in KEPT.get(page.name, [])]
    found = [f"line {number}: {word}: write {OF_PAGES[word.lower()]}" for number, word in words]
    assert found == []


TESTS = [path for path in sorted((REPOSITORY / "tests").rglob("*.py")) if path != Path(__file__).resolve()]


def test_no_name_in_the_tests_is_a_house_or_a_desk() -> None:
    word = re.compile("(?<![A-Za-z])(houses?|desks?|House|Desks?)(?![a-z])")
    found = {path.name: word.findall(path.read_text(encoding="utf-8")) for path in TESTS}
    assert {name: words for name, words in found.items() if words} == {}
