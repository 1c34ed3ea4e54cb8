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
# Those that no test has any more.
OF_TESTS = {
    **WORDS, "houses": "codebases, or nothing", "desks": "accounts", "tell": "report, log or show", "tells": "reports, logs or shows",
    "torn": "truncated", "hole": "gap", "holes": "gaps", "beside": "next to", "dear": "expensive", "dearer": "more expensive",
}  # fmt: skip
# The names of a column and of a field in the record of a live run.
KEPT = {"run_record.py": ("booked",), "attribution.py": ("booked",)}
PAGES = sorted(
    path
    for pattern in ("src/**/*.py", "docs/**/*.md", "*.md", "examples/*", "config/*.yaml", "benchmarks/*.py", "tools/*")
    for path in REPOSITORY.glob(pattern)
    if path.is_file()
)
TESTS = [path for path in sorted((REPOSITORY / "tests").rglob("*.py")) if path != Path(__file__).resolve()]


def found_in(page: Path, words: dict[str, str]) -> list[str]:
    """A line for each of the words on a page, also as a part of a name."""
    refused = {word: instead for word, instead in words.items() if word not in KEPT.get(page.name, ())}
    word = re.compile(rf"(?<![A-Za-z])({'|'.join(refused)})(?![A-Za-z])", re.IGNORECASE)
    lines = page.read_text(encoding="utf-8").splitlines()
    return [
        f"line {number}: {found}: write {refused[found.lower()]}" for number, line in enumerate(lines, 1) for found in word.findall(line)
    ]


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(REPOSITORY)) for page in PAGES])
def test_a_page_has_no_private_word(page: Path) -> None:
    assert found_in(page, OF_PAGES) == []


def test_no_test_has_a_private_word() -> None:
    assert {str(path.relative_to(REPOSITORY)): found for path in TESTS if (found := found_in(path, OF_TESTS))} == {}
