"""Morpho Blue: isolated markets such as wstETH/WETH (collateral/loan), by shares, with free flash loans."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import SECOND_US
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.state import State
from basis_strategy_v1.core.state_rows import series_name
from basis_strategy_v1.core.tokens import to_amount, to_units
from basis_strategy_v1.core.venue_facts import Call, LendingLimits, Loan, grown
from basis_strategy_v1.venues import morpho_market
from basis_strategy_v1.venues.morpho_account import MarketPosition, MorphoState, holding
from basis_strategy_v1.venues.morpho_data import MarketTerms, Settings
from basis_strategy_v1.venues.morpho_known import KnownMarkets
from basis_strategy_v1.venues.morpho_market import Market, Position, Refused, debt_of, supplied_of
from basis_strategy_v1.venues.morpho_names import COLLATERAL, DEBT, SIDES, SUPPLY, morpho_name, pair_of, side_of, token_of
from basis_strategy_v1.venues.morpho_rate import WAD, published_rate
from basis_strategy_v1.venues.reverted import Reverted
from basis_strategy_v1.venues.venue import ONCHAIN, Exposure, FlashLender, Lender, PerpExposure, Place, Settlement, SimulationResult, reject
from basis_strategy_v1.venues.wallet import amount_of, at_face_value, receive, spend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.core.instructions import SmartContractAction
    from basis_strategy_v1.core.market import MarketSnapshot

WAD_UNIT = Decimal(WAD)
OF_COLLATERAL = ("supply_collateral", "withdraw_collateral")
PAYS = ("supply", "repay", "supply_collateral")
# Gas units of a typical call on mainnet.
GAS = {
    "supply": 110_000, "withdraw": 120_000, "borrow": 170_000, "repay": 120_000,
    "supply_collateral": 75_000, "withdraw_collateral": 130_000, "flash_loan": 60_000,
}  # fmt: skip


class Morpho(FlashLender, Lender):
    """The simulator. The data's rows move the markets; our own position is in their totals, and interest accrues between rows."""

    kind = ONCHAIN
    accrues = True
    actions = ("supply", "withdraw", "supply_collateral", "withdraw_collateral", "borrow", "repay", "flash_loan")
    assumptions = (
        "A Morpho market goes forward from its last row by its own rate curve, with our own position in its totals; without rows, from "
        "the constants under venues.onchain.morpho.markets, at the price of the collateral in the loan token.",
        "A Morpho flash loan takes at most the cash of the markets that the data or the settings know and our own collateral; where none "
        "that lends the token is known, any amount.",
    )

    def __init__(self, place: Place, terms: Mapping[str, MarketTerms]) -> None:
        super().__init__(place)
        self.markets = tuple(terms)
        self._known = KnownMarkets(place, terms)

    # Instructions.

    def simulate(self, instruction: SmartContractAction, state: State, market: MarketSnapshot) -> SimulationResult:
        name = self._market_name(instruction, market)
        self._expect_token(instruction, name)
        if not state.checked:
            return self._unchecked(instruction, name, state)
        part = self._known.at(state.part(self.name, MorphoState), market, name)
        try:
            return self._act(instruction, name, part, state, market)
        except Reverted as reverted:
            doing = f"{instruction.action} of {plain(amount_of(instruction))} {instruction.token}"
            reject(ONCHAIN, f"{self.name} {doing} in {name}: {_worded(reverted, name)}")

    def _market_name(self, action: SmartContractAction, market: MarketSnapshot) -> str:
        if action.market is None:
            reject(ONCHAIN, f"{self.name} {action.action} needs market, such as {next(iter(self.markets), 'wstETH/WETH')}")
        if not self._known.knows(action.market, market):
            known = ", ".join(self._known.names(market))
            reject(ONCHAIN, f"{self.name} has no market {action.market}; known are {known}: bring its series lending/{self.series}/"
                            f"{series_name(action.market)}, or its constants under venues.onchain.{self.name}.markets")  # fmt: skip
        return action.market

    def _expect_token(self, action: SmartContractAction, name: str) -> None:
        collateral, loan = pair_of(name)
        expected = collateral if action.action in OF_COLLATERAL else loan
        if action.token != expected:
            reject(ONCHAIN, f"{self.name} {action.action} in {name} takes {expected}, got {action.token}")

    def _act(self, action: SmartContractAction, name: str, part: MorphoState, state: State, market: MarketSnapshot) -> SimulationResult:
        token, amount = action.token, amount_of(action)
        pays = action.action in PAYS
        if pays:
            state = spend(state, self.wallet, token, amount, f"{self.name} {action.action}")
        held = part.held[name]
        done = self._moved(action.action, held, part.now_s, to_units(token, amount), self._known.price(name, market))
        after = structs.replace(part, held={**part.held, name: held._replace(market=done.market, position=done.position)})
        if not pays:
            if token in after.lent:
                self._require_at_hand(after, action, name, market)
            state = receive(state, self.wallet, token, amount)
        return self._with_change(state, part, after, action, name, -amount if pays else amount, market)

    def _moved(self, action: str, held: MarketPosition, now_s: int, units: int, price: int) -> morpho_market.MarketChange:
        market, position, _ = held
        if action == "supply_collateral":
            return morpho_market.supply_collateral(market, position, units)
        if action == "withdraw_collateral":
            return morpho_market.withdraw_collateral(market, position, now_s, price, units)
        if action == "borrow":
            return morpho_market.borrow(market, position, now_s, price, assets=units)
        if action == "supply":
            return morpho_market.supply(market, position, now_s, assets=units)
        whole = supplied_of(held.now(now_s), position) if action == "withdraw" else debt_of(held.now(now_s), position)
        if units == whole:  # all of it, by its shares: nothing stays behind
            shares = position.supply_shares if action == "withdraw" else position.borrow_shares
            return getattr(morpho_market, action)(market, position, now_s, shares=shares)  # type: ignore[no-any-return]
        return getattr(morpho_market, action)(market, position, now_s, assets=units)  # type: ignore[no-any-return]

    def _with_change(
        self,
        state: State,
        before: MorphoState,
        after: MorphoState,
        action: SmartContractAction,
        name: str,
        signed: Decimal,
        market: MarketSnapshot,
    ) -> SimulationResult:
        """What moved, as the balances read; the base unit that rounding keeps is a cost of interest."""
        old, new = before.units(), after.units()
        changes = _changes(old, new)
        supplied, owed = (changes.get(morpho_name(name, side), Decimal(0)) for side in (SUPPLY, DEBT))
        lost = Decimal(0) if action.action in OF_COLLATERAL else -(signed + supplied - owed)
        source = "borrow_interest" if owed else "supply_interest"
        deltas = Deltas.at(self.name, {action.token: signed, **changes})
        costs = (Cost(source, action.token, lost),) if lost else ()
        details = {"health_factor": self._health_text(after, name, market)} if after.held[name].position.borrow_shares else {}
        return SimulationResult(state.with_part(self.name, structs.replace(after, reported=new)), deltas, costs, details)

    def _unchecked(self, action: SmartContractAction, name: str, state: State) -> SimulationResult:
        side = COLLATERAL if action.action in OF_COLLATERAL else DEBT if action.action in ("borrow", "repay") else SUPPLY
        return at_face_value(action, morpho_name(name, side), state, pays=action.action in PAYS, is_owed=side == DEBT)

    def resolve(self, action: SmartContractAction, state: State) -> int:
        side = {"withdraw": SUPPLY, "repay": DEBT, "withdraw_collateral": COLLATERAL}.get(action.action)
        if side is not None:
            return state.part(self.name, MorphoState).units().get(morpho_name(action.market or "", side), 0)
        if action.action not in ("supply", "supply_collateral"):
            reject(ONCHAIN, f'{self.name} {action.action} needs a number; "all" is for supply, withdraw, repay and their collateral')
        return super().resolve(action, state)

    # Flash loans.

    def flash_fee(self, token: str, amount: Decimal, state: State | None = None, market: MarketSnapshot | None = None) -> Decimal:
        """Nothing: a flash loan is free. With the state and the market: refused where Morpho has less at hand.

        How much it has is known where a market that lends the token is; where none is, every amount is lent.
        """
        if state is None or market is None or not state.checked:
            return Decimal(0)
        cash = self._known.cash(state.part(self.name, MorphoState), token, market)
        if cash is not None:
            try:
                morpho_market.flash_loan(to_units(token, amount), cash.units)
            except Reverted:
                reject(ONCHAIN, f"{self.name} flash_loan of {plain(amount)} {token}: it has {plain(to_amount(token, cash.units))} {token} "
                                f"at hand in the markets known ({', '.join(cash.markets)}); take at most that")  # fmt: skip
        return Decimal(0)

    def loanable(self, state: State, token: str, market: MarketSnapshot) -> Decimal | None:
        """The most that a flash loan can be now: what Morpho has at hand; None where no market that lends the token is known."""
        cash = self._known.cash(state.part(self.name, MorphoState), token, market)
        return None if cash is None else to_amount(token, max(cash.units, 0))

    def lend_flash(self, state: State, token: str, amount: Decimal, market: MarketSnapshot) -> State:
        """The state while a flash loan is out: what is out can be neither withdrawn nor borrowed."""
        return self._with_lent(state, token, to_units(token, amount))

    def take_back(self, state: State, token: str, amount: Decimal, market: MarketSnapshot) -> State:
        """The state after a flash loan has been paid back."""
        return self._with_lent(state, token, -to_units(token, amount))

    def _with_lent(self, state: State, token: str, units: int) -> State:
        part = state.part(self.name, MorphoState)
        lent = {**part.lent, token: part.lent.get(token, 0) + units}
        return state.with_part(self.name, structs.replace(part, lent={token: out for token, out in lent.items() if out}))

    def _require_at_hand(self, after: MorphoState, action: SmartContractAction, name: str, market: MarketSnapshot) -> None:
        """Refuse to pay out, while a flash loan is out, what went with it."""
        cash = self._known.cash(after, action.token, market)
        if cash is not None and cash.units < 0:
            short, out = (plain(to_amount(action.token, units)) for units in (-cash.units, after.lent[action.token]))
            reject(ONCHAIN, f"{self.name} {action.action} in {name}: {out} {action.token} of Morpho's are out in a flash loan, and "
                            f"{short} of them would be needed; {action.action} less, or after it is paid back")  # fmt: skip

    def gas_units(self, action: SmartContractAction) -> int:
        return GAS[action.action]

    # Health.

    def health_factor(self, state: State, market: MarketSnapshot) -> Decimal | None:
        """The lowest of the markets: what the collateral carries over the debt; None without debt."""
        part = state.part(self.name, MorphoState)
        owing = [name for name, held in part.held.items() if held.position.borrow_shares]
        return min((self._health(part, name, market) for name in owing), default=None)

    def _health(self, part: MorphoState, name: str, market: MarketSnapshot) -> Decimal:
        held = part.held[name]
        return morpho_market.health_factor_wad(held.now(part.now_s), held.position, self._known.price(name, market)) / WAD_UNIT

    def _health_text(self, part: MorphoState, name: str, market: MarketSnapshot) -> str:
        return plain(round(self._health(part, name, market), 6))

    def borrow_rate(
        self, state: State, token: str, market: MarketSnapshot, more: Decimal = Decimal(0), against: str | None = None
    ) -> Decimal:
        """What a debt pays in the market of the collateral at its last row, a fraction a year: without the drift of the curve since then,
        and as if our size moved nothing."""
        if against is None:
            reject(ONCHAIN, f"{self.name} has a rate in each market; name the collateral that {token} is borrowed against")
        return published_rate(market.lending_market(self.series, f"{against}/{token}").texts)

    def limits(self, state: State, token: str, market: MarketSnapshot, against: str | None = None) -> LendingLimits:
        """What is lent in the market of the collateral and not borrowed; collateral comes and goes without limit."""
        name = f"{against}/{token}"
        if against is None or not self._known.knows(name, market):
            return LendingLimits()
        part = self._known.at(state.part(self.name, MorphoState), market, name)
        now = part.held[name].now(part.now_s)
        free = max(now.total_supply_assets - now.total_borrow_assets, 0)
        at_hand = self._known.cash(part, token, market)
        left = to_amount(token, free if at_hand is None else max(min(free, at_hand.units), 0))
        return LendingLimits(None, left, left)

    # What strategies have to know of it.

    def loan(self, collateral: str, token: str) -> Loan:
        """The market of the collateral against the token, whose oracle is the protocol's own redemption rate."""
        market = f"{collateral}/{token}"
        of_market = {"market": market}
        return Loan(
            lender=self.name,
            collateral=morpho_name(market, COLLATERAL),
            debt=morpho_name(market, DEBT),
            series=(("market", self.series, series_name(market)),),
            price=lambda snapshot: snapshot.price(collateral) / snapshot.price(token),
            supply=Call(self.name, "supply_collateral", collateral, of_market),
            withdraw=Call(self.name, "withdraw_collateral", collateral, of_market),
            borrow=Call(self.name, "borrow", token, of_market),
            repay=Call(self.name, "repay", token, of_market),
            growth=lambda snapshot: self._growth(market, snapshot),
        )

    def _growth(self, name: str, market: MarketSnapshot) -> tuple[Decimal, Decimal]:
        texts = market.lending_market(self.series, name).texts
        assets, shares, updated_s = (int(texts[column]) for column in ("total_borrow_assets", "total_borrow_shares", "last_update"))
        index = Decimal(assets) / shares if shares else Decimal(1)
        return grown(index, published_rate(texts), market.instant - updated_s * SECOND_US)

    # What falls due by time.

    def next_due(self, state: State, market: MarketSnapshot, until: int) -> int | None:
        part = state.part(self.name, MorphoState)
        stamps = [market.next_row("market", self.series, series_name(name)) for name, held in part.held.items() if held.is_ours()]
        due = [stamp for stamp in stamps if stamp is not None and stamp <= until]
        return min(due) if due else None

    def accrue(self, state: State, market: MarketSnapshot) -> State:
        """The state with the markets read at the snapshot's instant."""
        part = state.part(self.name, MorphoState)
        if part.now_s == market.instant // SECOND_US or part.is_empty():
            return state
        return state.with_part(self.name, self._known.at(part, market))

    def update_to(self, state: State, market: MarketSnapshot) -> tuple[State, tuple[Settlement, ...]]:
        part = state.part(self.name, MorphoState)
        if part.is_empty():
            return state, ()
        part = self._known.at(part, market)
        read = part.units()
        grown = _changes(part.reported, read)
        settled = [Settlement("interest", self.name, Deltas.at(self.name, grown))] if any(grown.values()) else []
        part = structs.replace(part, reported=read)
        for name in part.held:
            part, row = self._liquidated(part, name, market)
            settled += row
        return state.with_part(self.name, part), tuple(settled)

    def _liquidated(self, part: MorphoState, name: str, market: MarketSnapshot) -> tuple[MorphoState, list[Settlement]]:
        """The part after someone has repaid as much of an unhealthy debt as the collateral pays for."""
        held = part.held[name]
        if not held.position.borrow_shares:
            return part, []
        accrued, price = held.now(part.now_s), self._known.price(name, market)
        if price <= 0 or morpho_market.is_healthy(accrued, held.position, price):
            return part, []
        health = self._health_text(part, name, market)
        done = _liquidation(accrued, held.position, part.now_s, price)
        after = structs.replace(part, held={**part.held, name: held._replace(market=done.market, position=done.position)})
        old, new = part.units(), after.units()
        deltas = Deltas.at(self.name, _changes(old, new))
        collateral, loan = pair_of(name)
        paid = Cost("liquidation", collateral, to_amount(collateral, done.seized))
        saved = Cost("liquidation", loan, -to_amount(loan, old[morpho_name(name, DEBT)] - new.get(morpho_name(name, DEBT), 0)))
        details = {"market": name, "health_factor": health, "repaid": plain(to_amount(loan, done.repaid)),
                   "seized": plain(to_amount(collateral, done.seized)), "bad_debt": plain(to_amount(loan, done.bad_debt))}  # fmt: skip
        return structs.replace(after, reported=new), [Settlement("liquidation", self.name, deltas, (paid, saved), details)]

    def exposures(self, state: State, market: MarketSnapshot) -> tuple[tuple[Exposure, ...], tuple[PerpExposure, ...]]:
        growth = {SUPPLY: "supply_interest", COLLATERAL: "spot_price", DEBT: "borrow_interest"}
        found = []
        for token, amount in state.part(self.name, MorphoState).positions().items():
            side = side_of(token)
            assert side is not None
            found.append(Exposure(self.name, token, side.token, -amount if side.is_owed else amount, growth[side.side]))
        return tuple(found), ()

    def open(self, amounts: Mapping[str, Decimal], market: MarketSnapshot) -> MorphoState:
        """A part that holds and owes these amounts (token names as in positions).

        Raises:
            ComponentError: PUH-001, a token that is no position there.
        """
        sides = {token: side_of(token) for token in amounts}
        for token, side in sides.items():
            if side is None:
                raise ComponentError("PUH-001", f"{token} is no position at morpho; write morpho:MARKET:supply, :collateral or :debt")
        names = dict.fromkeys(side.market for side in sides.values() if side is not None)
        part = self._known.at(MorphoState(), market, *names)
        for name in names:
            tokens = [morpho_name(name, side) for side in SIDES]
            units = (to_units(token_of(token), amounts.get(token, Decimal(0))) for token in tokens)
            part.held[name] = holding(part.held[name], part.now_s, *units)
        return structs.replace(part, reported=part.units())


def _changes(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, Decimal]:
    """By how much each position differs, in token units, from base units by its name."""
    names = dict.fromkeys((*before, *after))
    return {name: to_amount(token_of(name), after.get(name, 0) - before.get(name, 0)) for name in names}


def _worded(reverted: Reverted, name: str) -> str:
    """The reason with its amounts in tokens."""
    if not isinstance(reverted, Refused):
        return str(reverted)
    collateral, loan = pair_of(name)
    token = collateral if reverted.of_collateral else loan
    return reverted.worded(lambda units: f"{plain(to_amount(token, units))} {token}")


def _liquidation(market: Market, position: Position, now_s: int, price: int) -> morpho_market.MorphoLiquidation:
    """All of the debt where the collateral pays for it, else all of the collateral."""
    try:
        return morpho_market.liquidate(market, position, now_s, price, shares=position.borrow_shares)
    except Reverted:
        return morpho_market.liquidate(market, position, now_s, price, seized=position.collateral)


def morpho(place: Place, settings: Settings) -> Morpho:
    """The simulator of Morpho Blue, with the config's constants of markets and the public ones."""
    return Morpho(place, settings.terms())
