"""The simulated deltas of a live run's orders next to those that the venues reported: by order, and in sum."""

from __future__ import annotations

import csv
from decimal import Decimal, localcontext
from io import StringIO
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.amounts import EXACT, plain
from basis_strategy_v1.core.clock import iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from basis_strategy_v1.core.execution_report import ExecutionReport

ZERO = Decimal(0)
EXPECTED_HEADER = "timestamp,key,venue,token,expected,executed,difference"
Place = tuple[str, str]  # venue, token


def _of(report: ExecutionReport) -> Iterator[tuple[Place, Decimal, Decimal]]:
    """What was expected, and what moved, by venue and token."""
    for venue, token in dict.fromkeys((*dict(report.expected.items()), *dict(report.deltas.items()))):
        yield (venue, token), report.expected.get(venue, token), report.deltas.get(venue, token)


def expected_rows(reports: Iterable[ExecutionReport]) -> Iterator[str]:
    """The rows of `expected.csv`, one for each order, venue and token."""
    for report in reports:
        with localcontext(EXACT):
            found = [(place, expected, executed, executed - expected) for place, expected, executed in _of(report)]
        for (venue, token), *amounts in found:
            line = StringIO()
            csv.writer(line, lineterminator="\n").writerow([iso(report.at), report.key, venue, token, *map(plain, amounts)])
            yield line.getvalue()


def expected_in_sum(reports: Iterable[ExecutionReport]) -> list[dict[str, Any]]:
    """The sums over all orders, one row for each venue and token, in the order in which they first moved."""
    sums: dict[Place, tuple[Decimal, Decimal]] = {}
    with localcontext(EXACT):
        for report in reports:
            for place, expected, executed in _of(report):
                before = sums.get(place, (ZERO, ZERO))
                sums[place] = before[0] + expected, before[1] + executed
        return [
            {"venue": venue, "token": token, "expected": plain(one), "executed": plain(other), "difference": plain(other - one)}
            for (venue, token), (one, other) in sums.items()
        ]
