"""What a venue is: it says what an instruction does to the state, what falls due with time, and which balances it holds.

And what more it may be: on chain, a lender of flash loans, a lender, a holder of plain tokens. A class says so by what it is derived from.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from msgspec import Struct, structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.figure import Figure
from basis_strategy_v1.core.state import Wallet
from basis_strategy_v1.core.venue_facts import LendingLimits, VenueFact

if TYPE_CHECKING:
    from basis_strategy_v1.core.execution_report import Cost
    from basis_strategy_v1.core.instructions import SmartContractAction
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.position_names import PositionName
    from basis_strategy_v1.core.state import State, VenueState
    from basis_strategy_v1.core.venue_facts import Deposit, Loan

CEX, DEX, ONCHAIN = "cex", "dex", "onchain"
REJECTED = {CEX: "CEX-001", DEX: "DEX-001", ONCHAIN: "OCH-001"}
COMPONENTS = {CEX: "CEXExecutionInterface", DEX: "DEXExecutionInterface", ONCHAIN: "OnChainExecutionInterface"}


class StepResult(Struct, frozen=True, gc=False):
    """What one action of a transaction did; its amount is a number."""

    action: SmartContractAction
    deltas: Deltas
    costs: tuple[Cost, ...] = ()


class SimulationResult(Struct, frozen=True, gc=False):
    """What an instruction does: the state after it, what moved, what it cost at the snapshot's prices.

    `more_gas` are the gas units that it takes beyond those of its kind. `filled` is the filled share of the requested amount, 0 to 1.
    `steps` are the actions of a transaction on chain with every amount as a number: "all" and `output_of` are resolved.
    `results` are what each of them did, a flash loan before the steps that run while it is out.
    """

    state: State
    deltas: Deltas
    costs: tuple[Cost, ...] = ()
    details: Mapping[str, Any] = {}
    more_gas: int = 0
    filled: Decimal = Decimal(1)
    steps: tuple[SmartContractAction, ...] = ()
    results: tuple[StepResult, ...] = ()


class Settlement(NamedTuple):
    """Something that fell due by time: `kind` is funding, interest, arrival, claim or liquidation.

    A claim moves nothing: it says that a withdrawal request can be claimed from now on.
    """

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

    A venue writes what it has. One that writes only `simulate` holds nothing for us, and nothing falls due there. What its kind has
    besides these methods is in the classes below; each of theirs has to be written.
    """

    name: str
    kind: str
    actions: tuple[str, ...] = ()  # of a smart_contract_action
    assumptions: tuple[str, ...] = ()  # sentences for the report
    accrues = False  # whether a balance there accrues with every second; then `accrue` brings it to the snapshot's instant

    @abstractmethod
    def simulate(self, instruction: Any, state: State, market: MarketSnapshot) -> SimulationResult:
        """What the instruction does.

        Raises:
            VenueRejected: with the numbers in its message, for whatever the real venue would refuse.
        """

    def next_due(self, state: State, market: MarketSnapshot, until: int) -> int | None:
        """The first instant after the snapshot's and up to `until` at which something falls due, if any."""
        return None

    def update_to(self, state: State, market: MarketSnapshot) -> tuple[State, tuple[Settlement, ...]]:
        """The state at the snapshot's instant, and what fell due right then."""
        return state, ()

    def accrue(self, state: State, market: MarketSnapshot) -> State:
        """The state at the snapshot's instant, where nothing falls due."""
        return state

    def exposures(self, state: State, market: MarketSnapshot) -> tuple[tuple[Exposure, ...], tuple[PerpExposure, ...]]:
        """The balances there."""
        return (), ()

    def open(self, amounts: Mapping[str, Decimal], market: MarketSnapshot) -> VenueState:
        """The venue's state that holds these amounts (token names as in positions).

        Raises:
            ComponentError: PUH-001, the venue cannot hold them.
        """
        raise ComponentError("PUH-001", f"positions name {self.name}, which holds nothing by itself; its tokens are in the wallet")

    def lines(self) -> list[str]:
        """What it charges and allows, for a person."""
        return []

    @abstractmethod
    def fact(self) -> VenueFact:
        """What strategies need to know of it, before anything is held."""


Venues = Mapping[str, Venue]  # by name


class Place(NamedTuple):
    """Where a venue on chain is: its configured name, the name of its series in the data, its chain, the wallet that pays and is paid."""

    name: str
    series: str
    chain: str
    wallet: str


class OnChainVenue(Venue):
    """A venue on chain, a DEX too: a `smart_contract_action` is sent to it, and the tokens that it takes and pays are its wallet's."""

    def __init__(self, place: Place) -> None:
        self.name, self.series, self.chain, self.wallet = place

    @abstractmethod
    def simulate(self, instruction: SmartContractAction, state: State, market: MarketSnapshot) -> SimulationResult:
        """What one of its `actions` does; the amount is a number by now (token units, whole base units). Gas is paid elsewhere.

        Raises:
            VenueRejected: with the numbers in its message, for whatever the contract would refuse.
        """

    def resolve(self, action: SmartContractAction, state: State) -> int:
        """What the amount "all" of an action is: base units of its token, 0 where there are none. Usually what the wallet holds.

        Raises:
            VenueRejected: the action needs a number.
        """
        return state.part(self.wallet, Wallet).units_of(action.token)

    def fact(self) -> VenueFact:
        return VenueFact(series=self.series, wallet=self.wallet)

    @abstractmethod
    def gas_units(self, action: SmartContractAction) -> int:
        """Gas units of a typical call, without the 21,000 of its transaction and without the steps of a loan."""


class FlashLender(OnChainVenue):
    """One that has `flash_loan` among its actions. `chain.py` asks for the fee, lends, runs the loan's steps and takes back; `simulate`
    gets no such action, and the wallet is not touched here. Amounts are in units of the token.
    """

    @abstractmethod
    def flash_fee(self, token: str, amount: Decimal, state: State | None = None, market: MarketSnapshot | None = None) -> Decimal:
        """The fee of a loan; without a state and a market the most that it can be.

        Raises:
            VenueRejected: the token is not lent, or, as far as the state and the market tell, less of it than that.
        """

    @abstractmethod
    def loanable(self, state: State, token: str, market: MarketSnapshot) -> Decimal | None:
        """The most that a loan can be now, for a strategy to ask; None where that is not known."""

    @abstractmethod
    def lend_flash(self, state: State, token: str, amount: Decimal, market: MarketSnapshot) -> State:
        """The state while a loan is out: what is out can be neither withdrawn nor borrowed."""

    @abstractmethod
    def take_back(self, state: State, token: str, amount: Decimal, market: MarketSnapshot) -> State:
        """The state after a loan of `amount` has been paid back with its fee."""

    def shared_by(self, before: State, after: State) -> Deltas:
        """What our own deposits get of the fee as a loan is paid back, from the states before and after that."""
        return Deltas()


class Lender(OnChainVenue):
    """One at which we can be in debt, and be liquidated."""

    @abstractmethod
    def health_factor(self, state: State, market: MarketSnapshot) -> Decimal | None:
        """Collateral x liquidation threshold over debt, of the worst debt; None without debt."""

    @abstractmethod
    def borrow_rate(
        self, state: State, token: str, market: MarketSnapshot, more: Decimal = Decimal(0), against: str | None = None
    ) -> Decimal:
        """What a debt of `token` pays now, and would with `more` of it (token units): a fraction a year. `against` is the collateral, where
        the rate depends on it.

        Raises:
            VenueRejected: the rate depends on the collateral, and it is not named.
        """

    def limits(self, state: State, token: str, market: MarketSnapshot, against: str | None = None) -> LendingLimits:
        """The most of a token that can be supplied, withdrawn and borrowed now; `against` is the collateral, where it depends on that."""
        return LendingLimits()

    @abstractmethod
    def loan(self, collateral: str, token: str) -> Loan:
        """How strategies borrow a token against a collateral."""

    def fact(self) -> VenueFact:
        return structs.replace(super().fact(), loan=self.loan)


class PoolLender(Lender):
    """A lender from one pool, as Aave and its forks are: a token is lent by itself, without a market."""

    @abstractmethod
    def deposit(self, token: str) -> Deposit:
        """How strategies lend a token."""

    @abstractmethod
    def position_names(self, token: str) -> tuple[str, ...]:
        """What positions of a token are called there."""

    @abstractmethod
    def read_position(self, name: str) -> PositionName | None:
        """What a name says there; None: it is no position of this lender."""

    def fact(self) -> VenueFact:
        return structs.replace(super().fact(), deposit=self.deposit)


class Holder(Venue):
    """Where plain tokens are held: a `wallet_transfer` goes from one to another. Amounts are in units of the token."""

    @abstractmethod
    def take(self, state: State, token: str, amount: Decimal, market: MarketSnapshot) -> State:
        """The state after `amount`, withdrawal fee and all, has left.

        Raises:
            VenueRejected: there is less, where the balance is known, or it is needed as margin.
        """

    @abstractmethod
    def give(self, state: State, token: str, amount: Decimal) -> State:
        """The state after `amount` has come."""


_UNITS = {"bps": "bps", "usd": "USD", "days": "days", "units": "units"}


def row_text(row: NamedTuple) -> str:
    """A venue's row (a NamedTuple) on one line, for a person: the unit at the end of a name goes behind its number."""
    return ", ".join(_in_words(name, value) for name, value in row._asdict().items() if name != "name" and value is not None)


def _in_words(name: str, value: Any) -> str:
    words, _, unit = name.rpartition("_")
    if isinstance(value, Figure):
        return ", then ".join(dict.fromkeys(_in_words(name, one) for one in value.values()))
    if isinstance(value, Mapping):
        return f"{name.replace('_', ' ')} {', '.join(f'{what} {amount}' for what, amount in value.items())}"
    if unit == "pips":  # a hundredth of a basis point
        return f"{words.replace('_', ' ')} {plain(Decimal(value) / 100)} bps"
    amount = plain(value) if isinstance(value, Decimal) else value
    return f"{words.replace('_', ' ')} {amount} {_UNITS[unit]}" if unit in _UNITS else f"{name.replace('_', ' ')} {amount}"


def reject(kind: str, message: str) -> NoReturn:
    """Refuse an instruction in the name of a kind of venue."""
    raise VenueRejected(REJECTED[kind], message, COMPONENTS[kind])


def require_held(kind: str, venue: str, token: str, needed: Decimal, held: Decimal, doing: str) -> None:
    """Refuse to spend more than is held."""
    if needed > held:
        reject(kind, f"{doing} needs {plain(needed)} {token}, {venue} holds {plain(held)}; use less or move {token} there first")
