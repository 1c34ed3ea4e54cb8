"""What the figures share: the numbers, times and colours that a drawing needs."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Figure = dict[str, Any]
# Wide enough for most labels, so that the time axes of the figures stand under each other.
SAME_LEFT = {"l": 66}
_PALETTE_SIZE = 8


def plain_text(text: str) -> str:
    """The text as plotly will show it letter by letter: it reads tags, and these three entities."""
    return escape(text, quote=False)


def palette(index: int) -> str:
    return f"--series-{index % _PALETTE_SIZE + 1}"


def short_time(time: str) -> str:
    """A drawing needs no seconds where there are none."""
    return time.removesuffix(":00") if len(time) == len("2024-06-01 00:00:00") else time


def drawn(values: Sequence[float]) -> list[float]:
    """The nine digits that a drawing can show."""
    return [float(f"{value:.9g}") for value in values]
