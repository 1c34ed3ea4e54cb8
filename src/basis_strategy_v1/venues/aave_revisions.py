"""The revisions that Aave v3 on Ethereum mainnet went through, and how each differs from the simulated one before it.

Simulated are 3.0 and 3.7. What a run over another revision's time leaves out is named in its assumptions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.settings import instant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from basis_strategy_v1.core.figure import Figure


class Revision(NamedTuple):
    """A revision that mainnet ran `since` a date, what is new in it, and where that is published."""

    number: str
    since: str
    difference: str
    source: str


REVISIONS = (
    Revision(
        "3.1", "2024-07-27", "the pool counts its own cash, so that tokens sent to it are not lent",
        "governance.aave.com/t/bgd-aave-v3-2-liquid-emodes/19037: proposal 132",
    ),
    Revision(
        "3.2", "2024-10-01", "a token may be in several e-mode categories, each with lists of its own",
        "aave-dao/aave-proposals-reports v3-178: proposal 178, after the review of 2024-09-30",
    ),
    Revision(
        "3.3", "2025-02-25",
        "a liquidation may close up to half of the whole debt instead of half of the one, all of a position below 2000 USD, and leaves "
        "nothing below 1000 USD; debt without collateral becomes a deficit",
        "governance.aave.com/t/bgd-aave-v3-3-feat-umbrella/20129; mpost.io, 2025-02-25",
    ),
    Revision("3.4", "2025-07-03", "GHO is a reserve as others are; calls can be put together", "aave.com/docs/resources/changelog"),
    Revision("3.5", "2025-08-07", "every rounding is in the protocol's favour", "aave.com/docs/resources/changelog"),
    Revision("3.6", "2026-01-09", "an e-mode category no longer inherits a token's zeroes", "aave.com/docs/resources/changelog"),
)  # fmt: skip


def revision_lines(name: str, simulated: Figure[str], start: int, end: int) -> Iterator[str]:
    """A line for each revision that mainnet ran between two instants (microseconds since 1970): how the simulated one differs from it."""
    starts = [to_instant(found) for row in REVISIONS if (found := instant(row.since)) is not None]
    for place, (row, since, until) in enumerate(zip(REVISIONS, starts, [*starts[1:], end + 1], strict=True), 1):
        first = max(start, since)
        if first > end or first >= until:
            continue
        number = simulated.at(first)
        if number == "3.0":
            how = f"{row.number} has: {row.difference}"
        else:
            how = f"{row.number} lacks: {'; '.join(later.difference for later in REVISIONS[place:]) or 'nothing that is simulated'}"
        yield f"{name} is simulated as revision {number}. Ethereum mainnet ran {row.number} from {row.since} on; {how}."
