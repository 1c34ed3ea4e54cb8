"""Texts from outside, made safe for one line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.text import as_text, one_line, printable


@given(st.text(st.characters(exclude_categories=[])))
def test_what_is_printable_is_one_line_in_any_encoding(text: str) -> None:
    line = printable(text)
    assert line.isprintable() and len(line.splitlines()) <= 1
    assert line.encode("utf-8").decode() == line
    assert printable(line) == line
    assert line == text or not text.isprintable()


def test_what_cannot_be_printed_is_escaped_and_the_rest_stays() -> None:
    assert printable("é\t\n\x1b]0;x\x07\u202e\ud800 日") == "é\\t\\n\\x1b]0;x\\x07\\u202e\\ud800 日"


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_the_text_of_an_object_is_its_own_or_what_stands_for_it() -> None:
    assert [as_text(value) for value in ("a", 1, ValueError("b"), Mute())] == ["a", "1", "b", "<Mute whose text raises RuntimeError>"]


def test_a_long_text_is_cut_and_says_so() -> None:
    assert one_line("x" * 10**7) == "x" * 500 + "… (cut: 10,000,000 characters)"
    assert one_line("a\nb  c\x1b[0m") == "a b c\\x1b[0m"
    assert [one_line(text, 3) for text in ("abc", "abcd")] == ["abc", "abc… (cut: 4 characters)"]
