"""What a venue offers to strategies, before there are positions: the names of its tokens, and the calls that it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from basis_strategy_v1.core.clock import DAY_US
from basis_strategy_v1.core.market import SeriesKey
from basis_strategy_v1.core.state import WALLET

if TYPE_CHECKING:
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.tokens import Staked

Block = dict[str, Any]
YEAR_US = 365 * DAY_US


class Call(NamedTuple):
    """An action of a protocol but for its amount: `call(amount)` is the block."""

    protocol: str
    action: str
    token: str
    more: Mapping[str, Any] = {}

    def __call__(self, amount: Decimal | str) -> Block:
        """The block; the amount in token units, or "all"."""
        return {
            "instruction_type": "smart_contract_action",
            "protocol": self.protocol,
            "action": self.action,
            "token": self.token,
            "amount": amount,
            **self.more,
        }


class Deposit(NamedTuple):
    """A token lent by itself: what the position is called, the series that it needs, the calls."""

    position: str
    series: tuple[SeriesKey, ...]
    supply: Call
    withdraw: Call


class LendingLimits(NamedTuple):
    """The most of a token (token units) that a lender lets move now: its caps and its cash. None where no limit is known."""

    supply: Decimal | None = None
    withdraw: Decimal | None = None
    borrow: Decimal | None = None


class Loan(Struct, frozen=True, kw_only=True):
    """A debt in one token against one collateral, as a lender has it.

    `price` is what one unit of collateral is worth in the token borrowed, as the lender counts it. `opening` has to be done once, before
    the first borrow. `max_ltv` is the most that can be owed, as a share of the collateral; None where only the data know.
    `growth` is what a debt of 1 has grown to by now, since some time, and the published rate that is in this growth (a fraction a year);
    None where only the rate is known.
    """

    lender: str
    collateral: str  # what the collateral is called as a position
    debt: str
    series: tuple[SeriesKey, ...]
    price: Callable[[MarketSnapshot], Decimal]
    opening: tuple[Block, ...] = ()
    supply: Call
    withdraw: Call
    borrow: Call
    repay: Call
    max_ltv: Decimal | None = None
    growth: Callable[[MarketSnapshot], tuple[Decimal, Decimal]] | None = None


def grown(index: Decimal, rate: Decimal, since_us: int) -> tuple[Decimal, Decimal]:
    """`growth` of a loan whose index was read so many microseconds ago."""
    return index * (1 + rate * since_us / YEAR_US), rate


class VenueFact(Struct, frozen=True, kw_only=True):
    """What strategies need to know of a configured venue."""

    series: str  # what it is called in the data
    settle: str = ""  # of an exchange: the token that it settles in
    wallet: str = WALLET  # on chain: the wallet that pays and is paid
    staked: Staked | None = None  # where ether is staked: the tokens
    queued: str = ""  # there: what is asked for and not yet claimed is called as a position
    dex: str = ""  # there: the DEX at which most of the wrapped token trades
    deposit: Callable[[str], Deposit] | None = None  # by token
    loan: Callable[[str, str], Loan] | None = None  # by collateral and the token that is borrowed
    # Of an exchange: what an order of up to a notional does to its price, a fraction, by trade type, symbol, notional and snapshot.
    impact: Callable[[str, str, Decimal, MarketSnapshot], Decimal] | None = None


VenueFacts = Mapping[str, VenueFact]  # by name
