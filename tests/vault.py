"""A lender that is in nothing like those of the package, as a user would add it: one file and one line.

It lends one base token. Each collateral is held apart, and earns nothing. Interest is its own, at rates of its settings, and what it pays
on deposits has a source of attribution of its own. Flash loans are free.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from msgspec import Struct, structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import DAY_US
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.position_names import Kind, PositionName
from basis_strategy_v1.core.settings import Bps, ProtocolSettings, Token
from basis_strategy_v1.core.state import Reading, State, VenueState
from basis_strategy_v1.core.tokens import to_amount, to_units
from basis_strategy_v1.core.venue_facts import Call, Deposit, Loan
from basis_strategy_v1.venues.venue import ONCHAIN, Exposure, FlashLender, Place, PoolLender, Settlement, SimulationResult, reject
from basis_strategy_v1.venues.wallet import amount_of, receive, spend

if TYPE_CHECKING:
    from basis_strategy_v1.core.instructions import SmartContractAction
    from basis_strategy_v1.core.market import MarketSnapshot

GROWTH = "points"  # the source of attribution of what deposits earn
SIDES = {"lent": Kind.DEPOSIT, "collateral": Kind.DEPOSIT, "owed": Kind.DEBT}
MAX_LTV, THRESHOLD, PENALTY = Decimal("0.9"), Decimal("0.93"), Decimal("0.05")
YEAR_BPS = 365 * DAY_US * 10_000
GAS = {"supply": 90_000, "withdraw": 110_000, "borrow": 130_000, "repay": 95_000, "flash_loan": 50_000}


class Settings(ProtocolSettings, frozen=True, kw_only=True):
    """What is lent, at which rates."""

    base: Annotated[Token, "the token that is lent"] = "WETH"
    supply_rate_bps: Annotated[Bps, "what a deposit earns a year"] = Decimal(100)
    borrow_rate_bps: Annotated[Bps, "what a debt costs a year"] = Decimal(200)


class VaultState(Struct, VenueState, frozen=True, tag="VaultState"):
    """Base units by side and token as of `instant`, and what was last reported of them."""

    units: dict[str, int] = {}
    instant: Reading = 0
    reported: dict[str, int] = {}

    def positions(self) -> dict[str, Decimal]:
        return {name: to_amount(_token(name), units) for name, units in self.units.items() if units}


def _name(token: str, side: str) -> str:
    return f"vault:{token}:{side}"


def _token(name: str) -> str:
    return name.split(":")[1]


def read_name(name: str) -> PositionName | None:
    """`vault:WETH:owed` -> a debt of WETH; None for what is no position of it."""
    parts = name.split(":")
    return PositionName(SIDES[parts[2]], parts[1]) if len(parts) == 3 and parts[0] == "vault" and parts[2] in SIDES else None


class Terms(NamedTuple):
    base: str
    rates_bps: dict[str, int]  # by the side that they are of


class Vault(FlashLender, PoolLender):
    """The simulator."""

    kind = ONCHAIN
    accrues = True
    actions = tuple(GAS)

    def __init__(self, place: Place, terms: Terms) -> None:
        super().__init__(place)
        self._base, self._rates_bps = terms

    def simulate(self, instruction: SmartContractAction, state: State, market: MarketSnapshot) -> SimulationResult:
        token, amount = instruction.token, amount_of(instruction)
        name, sign = self._moved(instruction)
        part = self._at(state.part(self.name, VaultState), market)
        left = part.units.get(name, 0) + sign * to_units(token, amount)
        if left < 0 and state.checked:
            held = plain(to_amount(token, part.units.get(name, 0)))
            reject(ONCHAIN, f"{self.name} {instruction.action} of {plain(amount)} {token}: there are {held}")
        pays = instruction.action in ("supply", "repay")
        doing = f"{self.name} {instruction.action}"
        state = spend(state, self.wallet, token, amount, doing) if pays else receive(state, self.wallet, token, amount)
        after = structs.replace(part, units={**part.units, name: left}, reported={**part.reported, name: left})
        if state.checked and not pays:
            self._require_secured(after, market, doing)
        change = Deltas.at(self.name, {token: -amount if pays else amount, name: sign * amount})
        return SimulationResult(state.with_part(self.name, after) if state.checked else state, change)

    def _moved(self, action: SmartContractAction) -> tuple[str, int]:
        """The position that an action changes, and whether it rises or falls."""
        if action.action in ("borrow", "repay") and action.token != self._base:
            reject(ONCHAIN, f"{self.name} lends {self._base} only, got {action.token}; 1 token")
        side = "owed" if action.action in ("borrow", "repay") else "lent" if action.token == self._base else "collateral"
        return _name(action.token, side), 1 if action.action in ("supply", "borrow") else -1

    def _require_secured(self, part: VaultState, market: MarketSnapshot, doing: str) -> None:
        secured, owed = self._worth(part, market)
        if owed > secured * MAX_LTV:
            reject(
                ONCHAIN, f"{doing}: {plain(round(owed, 2))} USD would be owed against {plain(round(secured, 2))}, at most {MAX_LTV} of it"
            )

    def _worth(self, part: VaultState, market: MarketSnapshot) -> tuple[Decimal, Decimal]:
        """(collateral, debt) in USD."""
        worth = dict.fromkeys(SIDES, Decimal(0))
        for name, amount in part.positions().items():
            worth[name.split(":")[2]] += amount * market.price(_token(name))
        return worth["collateral"], worth["owed"]

    def resolve(self, action: SmartContractAction, state: State) -> int:
        if action.action in ("withdraw", "repay"):
            return state.part(self.name, VaultState).units.get(self._moved(action)[0], 0)
        if action.action != "supply":
            reject(ONCHAIN, f'{self.name} {action.action} needs a number; "all" is for supply, withdraw and repay')
        return super().resolve(action, state)

    def gas_units(self, action: SmartContractAction) -> int:
        return GAS[action.action]

    # Flash loans.

    def flash_fee(self, token: str, amount: Decimal, state: State | None = None, market: MarketSnapshot | None = None) -> Decimal:
        return Decimal(0)

    def loanable(self, state: State, token: str, market: MarketSnapshot) -> Decimal | None:
        return None

    def lend_flash(self, state: State, token: str, amount: Decimal, market: MarketSnapshot) -> State:
        return state

    def take_back(self, state: State, token: str, amount: Decimal, market: MarketSnapshot) -> State:
        return state

    # A lender.

    def health_factor(self, state: State, market: MarketSnapshot) -> Decimal | None:
        secured, owed = self._worth(state.part(self.name, VaultState), market)
        return secured * THRESHOLD / owed if owed else None

    def borrow_rate(
        self, state: State, token: str, market: MarketSnapshot, more: Decimal = Decimal(0), against: str | None = None
    ) -> Decimal:
        return Decimal(self._rates_bps["owed"]) / 10_000

    def loan(self, collateral: str, token: str) -> Loan:
        return Loan(
            lender=self.name,
            collateral=_name(collateral, "collateral"),
            debt=_name(token, "owed"),
            series=(),
            price=lambda snapshot: snapshot.price(collateral) / snapshot.price(token),
            supply=Call(self.name, "supply", collateral),
            withdraw=Call(self.name, "withdraw", collateral),
            borrow=Call(self.name, "borrow", token),
            repay=Call(self.name, "repay", token),
            max_ltv=MAX_LTV,
        )

    def deposit(self, token: str) -> Deposit:
        return Deposit(_name(token, "lent"), (), Call(self.name, "supply", token), Call(self.name, "withdraw", token))

    def position_names(self, token: str) -> tuple[str, ...]:
        return tuple(_name(token, side) for side in SIDES)

    def read_position(self, name: str) -> PositionName | None:
        return read_name(name)

    # What time does.

    def _at(self, part: VaultState, market: MarketSnapshot) -> VaultState:
        passed, grown = market.instant - part.instant if part.instant else 0, dict(part.units)
        for name, units in part.units.items():
            grown[name] += units * self._rates_bps.get(name.split(":")[2], 0) * passed // YEAR_BPS
        return VaultState(grown, market.instant, part.reported)

    def accrue(self, state: State, market: MarketSnapshot) -> State:
        return state.with_part(self.name, self._at(state.part(self.name, VaultState), market)) if self.name in state.parts else state

    def update_to(self, state: State, market: MarketSnapshot) -> tuple[State, tuple[Settlement, ...]]:
        if self.name not in state.parts:
            return state, ()
        part = self._at(state.part(self.name, VaultState), market)
        settled = self._reported("interest", part.reported, part.units)
        secured, owed = self._worth(part, market)
        if owed and secured * THRESHOLD < owed:
            taken = structs.replace(part, units={name: units for name, units in part.units.items() if name.endswith(":lent")})
            costs = tuple(Cost("liquidation", _token(name), -amount if name.endswith(":owed") else amount)
                          for name, amount in part.positions().items() if not name.endswith(":lent"))  # fmt: skip
            settled += self._reported("liquidation", part.units, taken.units, costs)
            part = taken
        return state.with_part(self.name, structs.replace(part, reported=part.units)), tuple(settled)

    def _reported(self, kind: str, old: Mapping[str, int], new: Mapping[str, int], costs: tuple[Cost, ...] = ()) -> list[Settlement]:
        names = dict.fromkeys((*old, *new))
        change = Deltas.at(self.name, {name: to_amount(_token(name), new.get(name, 0) - old.get(name, 0)) for name in names})
        return [Settlement(kind, self.name, change, costs)] if change else []

    def exposures(self, state: State, market: MarketSnapshot) -> tuple[tuple[Exposure, ...], tuple[Any, ...]]:
        growth = {"lent": GROWTH, "collateral": "spot_price", "owed": "borrow_interest"}
        held = state.part(self.name, VaultState).positions().items()
        return tuple(
            Exposure(self.name, name, _token(name), -amount if name.endswith(":owed") else amount, growth[name.split(":")[2]])
            for name, amount in held
        ), ()

    def open(self, amounts: Mapping[str, Decimal], market: MarketSnapshot) -> VaultState:
        for name in amounts:
            if read_name(name) is None:
                raise ComponentError("PUH-001", f"{name} is no position at {self.name}; write {', '.join(self.position_names(name))}")
        units = {name: to_units(_token(name), amount) for name, amount in amounts.items()}
        return VaultState(units, market.instant, units)


def vault(place: Place, settings: Settings) -> Vault:
    """The simulator of a vault with these settings."""
    rates = {"lent": int(settings.supply_rate_bps), "owed": int(settings.borrow_rate_bps)}
    return Vault(place, Terms(settings.base, rates))
