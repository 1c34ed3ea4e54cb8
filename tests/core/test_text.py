"""Text from outside, for one line of a message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain  text, é and 漢", "plain  text, é and 漢"),
        ("\x1b]0;x\x07\x1b[31m", "\\x1b]0;x\\x07\\x1b[31m"),
        ("two\nlines\r\tof it", "two\\nlines\\r\\tof it"),
        ("\ud800 \u202e \U0001fffe", "\\ud800 \\u202e \\U0001fffe"),
        ("", ""),
    ],
)
def test_what_a_terminal_would_act_on_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_text_is_cut_and_says_so() -> None:
    assert printable("x" * 10**7) == "x" * 500 + "… (cut: 10,000,000 characters)"
    assert printable("abc", 3) == "abc"
    assert printable("abcd", 3) == "abc… (cut: 4 characters)"


@given(st.text(st.characters()))
def test_any_text_becomes_one_line_that_can_be_printed(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()
