"""A long series as a drawing needs it: fewer points, the same extremes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_POINTS = 4_000


def thin(values: Sequence[float], most: int = MOST_POINTS) -> list[int]:
    """The indices to draw, in order: all of them, or the first, the last, and each bucket's lowest and highest (about `most` in all)."""
    count = len(values)
    if count <= most:
        return list(range(count))
    buckets = most // 2
    kept = {0, count - 1}
    for bucket in range(buckets):
        start = bucket * count // buckets
        part = values[start : (bucket + 1) * count // buckets]
        kept.add(start + part.index(min(part)))
        # The last of equal highs: while equity makes new highs its drawdown is 0 throughout, and the last of them is the highest equity.
        kept.add(start + len(part) - 1 - part[::-1].index(max(part)))
    return sorted(kept)


def drawdowns(equity: Sequence[float], left_out: frozenset[int] = frozenset(), initial: float = float("-inf")) -> list[float]:
    """The fraction by which each value is below the highest up to it, `initial` included, 0 or negative; at an index that is left out,
    as before it."""
    found = []
    peak, fallen = initial, 0.0
    for index, value in enumerate(equity):
        if index not in left_out:
            peak = max(peak, value)
            fallen = value / peak - 1 if peak > 0 else 0.0
        found.append(fallen)
    return found
