"""When capital was at work: the time in the market, the round trips, the longest flat stretch."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.clock import DAY_US
from basis_strategy_v1.core.position_names import Kind
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.core.tokens import SHARE_TOKENS
from basis_strategy_v1.venues.position_names import read_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Positions = Mapping[str, Mapping[str, Decimal]]

DUST = Decimal("0.001")  # of the initial equity: plain tokens that are worth no more are left over


class Presence(NamedTuple):
    """`share` of the time in which capital was at work; how often it came to work and left again; the longest time without, in days."""

    share: float
    round_trips: int
    longest_flat_days: float


class AtWork:
    """Whether positions are at work: a perp, a deposit, a debt, a staked token, what waits in a queue; or plain tokens other than the
    currency that are worth more than 0.1 % of the initial equity, without the ether that is kept for gas.

    `value` is what 1 of a token is worth in the currency; None where that is not known, and the token counts then.
    """

    def __init__(self, currency: Iterable[str], least: Decimal, gas_reserve: Decimal, value: Callable[[str], Decimal | None]) -> None:
        self._currency = frozenset(currency)
        self._least = least
        self._gas_reserve = gas_reserve
        self._value = value
        self._values: dict[str, Decimal | None] = {}

    def __call__(self, positions: Positions) -> bool:
        worth = Decimal(0)
        for venue, tokens in positions.items():
            has_gas = venue.rpartition("/")[2] == WALLET  # of a portfolio, each strategy's own
            for name, amount in tokens.items():
                if not amount or name in self._currency:
                    continue
                if name in SHARE_TOKENS or read_name(name).kind is not Kind.TOKEN:
                    return True
                kept = min(self._gas_reserve, amount) if has_gas and name == "ETH" else 0
                if name not in self._values:
                    self._values[name] = self._value(name)
                if (each := self._values[name]) is None:
                    return True
                worth += abs(amount - kept) * each
        return worth > self._least


def presence_of(rows: Iterable[tuple[int, Positions]], start: int, end: int, is_at_work: AtWork) -> Presence:
    """From the rows of positions, at every change: (instant, positions), rising."""
    spells = [(instant, is_at_work(positions)) for instant, positions in rows]
    changes = [(start, False), *spells, (end, spells[-1][1] if spells else False)]
    worked = longest = flat = round_trips = 0
    for (since, works), (until, then) in pairwise(changes):
        lasted = max(until - since, 0)
        if works:
            worked, flat = worked + lasted, 0
            round_trips += not then
        else:
            flat += lasted
            longest = max(longest, flat)
    share = worked / (end - start) if end > start else 0.0
    return Presence(share, round_trips, longest / DAY_US)
