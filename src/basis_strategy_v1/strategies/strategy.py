"""What a strategy is: a step and its memory in; instruction blocks and its memory out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from msgspec import Struct

from basis_strategy_v1.core import venue_facts

if TYPE_CHECKING:
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.venue_facts import LendingLimits

Block = venue_facts.Block
VenueFacts = venue_facts.VenueFacts
Positions = Mapping[str, Mapping[str, Decimal]]


class Window(NamedTuple):
    """Hours of a series over which a rule takes its mean: no signal comes before they are covered, by the data or, without a series, by the
    run itself."""

    parameter: str
    hours: int
    series: tuple[str, str, str] | None = None


class Margin(Protocol):
    """Equity, notional (settlement token) and leverage of the perps at an exchange."""

    @property
    def equity(self) -> Decimal: ...
    @property
    def notional(self) -> Decimal: ...
    @property
    def maintenance(self) -> Decimal: ...
    @property
    def leverage(self) -> Decimal: ...


class Holdings(Protocol):
    """venue -> token -> amount, with what follows from it."""

    def __getitem__(self, venue: str) -> Mapping[str, Decimal]: ...
    def amount(self, venue: str, token: str) -> Decimal: ...
    def in_transit(self, token: str) -> Decimal: ...
    def margin(self, venue: str, market: MarketSnapshot) -> Margin: ...
    def costs_of_trades(self, spot_venue: str, perp_venue: str) -> Decimal: ...
    def withdrawal(self, venue: str, token: str) -> tuple[Decimal, Decimal, Decimal]: ...
    def smallest_order(self, venue: str, trade_type: str, symbol: str) -> tuple[Decimal, Decimal]: ...
    def shortable(self, venue: str, symbol: str, costs: Decimal, market: MarketSnapshot) -> Decimal: ...
    def health_factor(self, protocol: str, market: MarketSnapshot) -> Decimal | None: ...
    def borrow_rate(self, protocol: str, token: str, market: MarketSnapshot, more: Decimal = ..., against: str | None = ...) -> Decimal: ...
    def limits(self, protocol: str, token: str, market: MarketSnapshot, against: str | None = ...) -> LendingLimits: ...
    def gas_reserve(self) -> Decimal: ...
    def gas_fee(self, units: int, market: MarketSnapshot) -> Decimal: ...
    def flash_fee(self, protocol: str, token: str, amount: Decimal) -> Decimal: ...
    def loanable(self, protocol: str, token: str, market: MarketSnapshot) -> Decimal | None: ...
    def claimable(self, protocol: str, market: MarketSnapshot) -> tuple[str, ...]: ...


class Step(Struct, frozen=True, gc=False, eq=False):
    """One moment at which a strategy decides: everything that it may look at."""

    at: datetime
    snapshot: MarketSnapshot  # what could be known at `at`
    positions: Holdings
    parameters: Any  # the strategy's Parameters; for a user's strategy its own `parameters`, a mapping


Plan = tuple[Sequence[Block], Any]  # the blocks, which are checked together and sent in order, and the memory for the next step


class Strategy(Protocol):
    """A strategy's file has a class like this; only `decide` is required of a user's own.

    `decide` and `leave` are pure: the same step and memory give the same plan, in a new process too. What the next step has to
    know, and the positions do not show, is the memory: a frozen value (`core/memory.py`), None at first. It is kept once the
    plan has passed its check, an empty plan included; where the plan was skipped, or live stopped and unwound,
    the next step gets the memory of before.
    """

    @property
    def memory_kinds(self) -> tuple[type[Struct], ...]:
        """The frozen Structs that its memory may hold, without which a stored memory cannot be read."""
        ...

    def decide(self, step: Step, memory: Any) -> Plan:
        """What to do at a step; it is called at each of them."""
        ...

    def leave(self, step: Step, memory: Any) -> Plan:
        """The blocks that close everything, for `close_at_end`."""
        ...

    def needs(self, parameters: Any) -> Sequence[tuple[str, str, str]]:
        """The series without which it cannot run: (kind, venue, name), such as ("perp", "bybit", "ETHUSDT")."""
        ...

    def placed(self, capital: Decimal, parameters: Any) -> dict[str, dict[str, Decimal]]:
        """How the capital is split over the venues at the start: venue -> token -> amount of the share class currency."""
        ...


def because(reason: str, blocks: Sequence[Block]) -> list[Block]:
    """The blocks with the rule that they come from; one that has a reason already keeps it."""
    return [{"reason": reason, **block} for block in blocks]


def as_percent(fraction: Decimal) -> str:
    """`0.0523` -> `5.23 %`."""
    return f"{fraction * 100:.2f} %"


class Waiting(NamedTuple):
    """Why a strategy stays out of the market: the condition that is not met, what it looks at and what that would have to be."""

    condition: str
    value: Decimal | None = None
    bound: Decimal | None = None


def trade(venue: str, trade_type: str, side: str, symbol: str, amount: Decimal, **more: Any) -> Block:
    """A cex_trade block."""
    return {
        "instruction_type": "cex_trade", "venue": venue, "trade_type": trade_type, "side": side, "symbol": symbol, "amount": amount, **more,
    }  # fmt: skip


def action(protocol: str, name: str, **fields: Any) -> Block:
    """A smart_contract_action block."""
    return {"instruction_type": "smart_contract_action", "protocol": protocol, "action": name, **fields}


def chain(*steps: Block) -> Block:
    """A block of several actions in one transaction: all of them or none."""
    return {"instruction_type": "smart_contract_action", "atomic": True, "sub_instructions": list(steps)}


def transfer(from_venue: str, to_venue: str, token: str, amount: Decimal) -> Block:
    """A wallet_transfer block."""
    return {"instruction_type": "wallet_transfer", "from_venue": from_venue, "to_venue": to_venue, "token": token, "amount": amount}
