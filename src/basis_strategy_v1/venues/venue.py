"""What a venue is: it tells what an instruction does to the state, what falls due with time, and what is held there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from msgspec import Struct

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.core.execution_report import Cost
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.state import Part, State

CEX, DEX, ONCHAIN = "cex", "dex", "onchain"
REJECTED = {CEX: "CEX-001", DEX: "DEX-001", ONCHAIN: "OCH-001"}
COMPONENTS = {CEX: "CEXExecutionInterface", DEX: "DEXExecutionInterface", ONCHAIN: "OnChainExecutionInterface"}


class Moved(Struct, frozen=True, gc=False):
    """What an instruction does: the state after it, what moved, what it cost at the snapshot's prices.

    `more_gas` are the gas units that it takes beyond those of its kind.
    """

    state: State
    deltas: Deltas
    costs: tuple[Cost, ...] = ()
    details: Mapping[str, Any] = {}
    more_gas: int = 0


class Settlement(NamedTuple):
    """Something that fell due by time: `kind` is funding, interest, arrival or liquidation."""

    kind: str
    venue: str
    deltas: Deltas
    costs: tuple[Cost, ...] = ()
    details: Mapping[str, Any] = {}


class Exposure(Struct, frozen=True, gc=False):
    """`amount` of a token that has a price. `growth` is the source of attribution of what is added by itself."""

    venue: str
    held_as: str
    token: str
    amount: Decimal
    growth: str = "spot_price"


class PerpExposure(Struct, frozen=True, gc=False):
    """A perp, worth (base * mark - cost) in the settlement token; `exchange` is the name of its price series."""

    venue: str
    exchange: str
    symbol: str
    settle: str
    base: Decimal
    cost: Decimal


class Venue(ABC):
    """A simulator. Every method is pure: the state and the market in, the new state and what moved out.

    A venue writes what it has. One that writes only `simulate` holds nothing for us, and nothing falls due there.
    """

    name: str
    kind: str
    actions: tuple[str, ...] = ()  # of a smart_contract_action
    assumptions: tuple[str, ...] = ()  # sentences for the report
    grows = False  # whether what is held there grows with every second; then `grow` brings it to the snapshot's instant

    @abstractmethod
    def simulate(self, instruction: Any, state: State, market: MarketSnapshot) -> Moved:
        """What the instruction does.

        Raises:
            VenueRejected: with the numbers in its message, for whatever the real venue would refuse.
        """

    def next_due(self, state: State, market: MarketSnapshot, until: int) -> int | None:
        """The first instant after the snapshot's and up to `until` at which something falls due, if any."""
        return None

    def observe(self, state: State, market: MarketSnapshot) -> tuple[State, tuple[Settlement, ...]]:
        """The state at the snapshot's instant, and what fell due right then."""
        return state, ()

    def grow(self, state: State, market: MarketSnapshot) -> State:
        """The state at the snapshot's instant, where nothing falls due."""
        return state

    def exposures(self, state: State, market: MarketSnapshot) -> tuple[tuple[Exposure, ...], tuple[PerpExposure, ...]]:
        """What is held there."""
        return (), ()

    def open(self, amounts: Mapping[str, Decimal], market: MarketSnapshot) -> Part:
        """The part of a state that holds these amounts (token names as in positions).

        Raises:
            ComponentError: PUH-001, the venue cannot hold them.
        """
        raise ComponentError("PUH-001", f"positions name {self.name}, which holds nothing by itself; its tokens are in the wallet")

    def lines(self) -> list[str]:
        """What it charges and allows, for a person."""
        return []


Venues = dict[str, Any]  # name -> Venue; each kind has methods of its own beside a Venue's


def row_text(row: Any) -> str:
    """A venue's row (a NamedTuple) on one line, for a person."""
    return ", ".join(f"{name} {value}" for name, value in row._asdict().items() if name != "name")


def reject(kind: str, message: str) -> NoReturn:
    """Refuse an instruction in the name of a kind of venue."""
    raise VenueRejected(REJECTED[kind], message, COMPONENTS[kind])


def require_held(kind: str, venue: str, token: str, needed: Decimal, held: Decimal, doing: str) -> None:
    """Refuse to spend more than is held."""
    if needed > held:
        reject(kind, f"{doing} needs {plain(needed)} {token}, {venue} holds {plain(held)}; use less or move {token} there first")
