"""A series as the data checks see it: columns of numbers, whoever read them."""

from __future__ import annotations

import itertools
from operator import sub
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from basis_strategy_v1.data.layout import SeriesSpec

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)
_BLOCK = 64  # rows that are looked at one by one only where they differ enough together


class Figures(NamedTuple):
    """A column of numbers: row k is `values[k] / per`."""

    values: Sequence[float]
    per: int = 1

    def at(self, row: int) -> float:
        return self.values[row] / self.per

    def text(self, row: int) -> str:
        return f"{self.at(row):.10g}"

    def steps(self, ratio: float) -> list[int]:
        """The rows whose number and the next one, both above 0, are apart by a factor of `ratio` or more."""
        values, found = self.values, list[int]()
        for begin in range(0, len(values) - 1, _BLOCK):
            part = values[begin : begin + _BLOCK + 1]
            if max(part) >= ratio * min(part):
                pairs = enumerate(itertools.pairwise(part), begin)
                found.extend(row for row, (one, after) in pairs if one >= ratio * after or after >= ratio * one)
        return found


class Columns(NamedTuple):
    """One series: its stamps (microseconds since 1970, rising) and its columns by name, as long as the stamps."""

    spec: SeriesSpec
    stamps: Sequence[int]
    figures: Mapping[str, Figures]

    def between(self, first: int, stop: int) -> Columns:
        """The rows from `first` and before `stop`."""
        if first == 0 and stop >= len(self.stamps):
            return self
        figures = {name: Figures(one.values[first:stop], one.per) for name, one in self.figures.items()}
        return Columns(self.spec, self.stamps[first:stop], figures)

    def visible(self, row: int) -> int:
        """When a row becomes visible."""
        return self.stamps[row] + self.spec.interval_us


class Found(NamedTuple):
    """What a check found: the first row of it, from 0, and how many rows it concerns. `severity` None is the check's own."""

    row: int
    message: str
    rows: int = 1
    severity: str | None = None


def steps_of(stamps: Sequence[int]) -> list[int]:
    """The time from each stamp to the next, in microseconds."""
    return list(map(sub, stamps[1:], stamps))
