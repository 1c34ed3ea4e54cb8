"""Aave v3: supply, withdraw, borrow, repay, e-mode and flash loans, by scaled units x index."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec import structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import SECOND_US
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.position_names import Kind, PositionName
from basis_strategy_v1.core.state import State
from basis_strategy_v1.core.tokens import to_amount, to_units
from basis_strategy_v1.core.venue_facts import Call, Deposit, LendingLimits, Loan, grown
from basis_strategy_v1.venues import aave_pool
from basis_strategy_v1.venues.aave_account import Pool, UserAccount, account_data, balance_of, debt_of
from basis_strategy_v1.venues.aave_interest import RAY, WAD, rounding_of
from basis_strategy_v1.venues.aave_names import debt_name, deposit_name, read_at_pool
from basis_strategy_v1.venues.aave_observed import ObservedPool
from basis_strategy_v1.venues.aave_prices import HealthPrices, breach_of
from basis_strategy_v1.venues.aave_reserve import UNKNOWN_CASH, ReserveRules, accrue
from basis_strategy_v1.venues.aave_settings import AS_OF, BPS_TO_RAY, ORIGINAL, Settings
from basis_strategy_v1.venues.aave_settlement import liquidations, settlement_of
from basis_strategy_v1.venues.aave_state import AaveState, Units
from basis_strategy_v1.venues.reverted import Reverted
from basis_strategy_v1.venues.venue import (
    ONCHAIN,
    Exposure,
    FlashLender,
    PerpExposure,
    Place,
    PoolLender,
    Settlement,
    SimulationResult,
    reject,
)
from basis_strategy_v1.venues.wallet import amount_of, at_face_value, receive, spend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.core.instructions import SmartContractAction
    from basis_strategy_v1.core.market import MarketSnapshot

WAD_UNIT = Decimal(WAD)
HALF_MILLIONTH = WAD // (2 * 10**6)
PAYS = ("supply", "repay")
OF_DEBT = ("borrow", "repay")
# What 3.0's rounding can take off a debt as it is recorded (base units): to repay the amount that was borrowed is no mistake.
ROUNDED_OFF = 1

DAY_S = 86_400
GAS = {"supply": 200_000, "withdraw": 230_000, "borrow": 280_000, "repay": 190_000, "set_emode": 120_000, "flash_loan": 180_000}


CAP_CLEARANCE = 10**6  # of the total, kept free under a cap


class Aave(FlashLender, PoolLender):
    """The simulator of one Aave v3 market."""

    kind = ONCHAIN
    accrues = True
    actions = ("supply", "withdraw", "borrow", "repay", "set_emode", "flash_loan")

    def __init__(self, place: Place, pool: ObservedPool) -> None:
        super().__init__(place)
        self.pool = pool
        rates = "also move the rates by the reserve's slopes" if pool.rate_impact else "do not move it"
        moving = f"own deposits and debts count in cash and caps, and {rates}"
        slopes = (
            f"The slopes of {pool.name} are those of {AS_OF} where the settings give no others; "
            "other borrowers and suppliers do not react to us."
        )
        self.assumptions = (
            f"Between two rows of a lending series of {pool.name} the index goes forward from the earlier row's rate; {moving}.",
            *((slopes,) if pool.rate_impact else ()),
        )
        # What the breach was looked for with, and the price found; None: not yet.
        self._breach: tuple[Any, tuple[Decimal, bool] | None] | None = None
        self._flash_pools = [Pool(revision=revision, rules={}, reserves={}) for revision in pool.revisions]

    # Instructions.

    def simulate(self, instruction: SmartContractAction, state: State, market: MarketSnapshot) -> SimulationResult:
        if not state.checked:
            return self._unchecked(instruction, state)
        token = instruction.token
        part = self.pool.part(state, market, token) if token else self.pool.part(state, market)
        try:
            if instruction.action == "set_emode":
                prices = self.pool.prices(part, market)
                user = aave_pool.set_emode(part.pool, part.user, instruction.category or 0, part.now_s, prices)
                return SimulationResult(state.with_part(self.name, part.with_user(user)), Deltas())
            return self._act(instruction, part, state, market)
        except Reverted as reverted:
            of = f" of {plain(amount_of(instruction))} {token}" if token else ""
            reject(ONCHAIN, f"{self.name} {instruction.action}{of}: {reverted}")

    def _act(self, action: SmartContractAction, part: AaveState, state: State, market: MarketSnapshot) -> SimulationResult:
        name, token, amount = action.action, action.token, amount_of(action)
        units = to_units(token, amount)
        if name == "withdraw" and units > part.pool.reserves[token].available:
            part = self.pool.joined(part, token)  # interest since the row is as much ours to take as what was put in
        pool, user, now_s = part.pool, part.user, part.now_s
        read = debt_of if name in OF_DEBT else balance_of
        before = read(user, pool, token, now_s)
        prices: dict[str, int] | None = None
        if name in PAYS:
            if name == "repay" and units > before:
                units, amount = self._at_most_owed(token, units, before)
            state, signed = spend(state, self.wallet, token, amount, f"{self.name} {name}"), -amount
            done = (aave_pool.supply if name == "supply" else aave_pool.repay)(pool, user, token, units, now_s)
        else:
            prices = self.pool.prices(part, market, token)
            if name == "withdraw":
                done = aave_pool.withdraw(pool, user, token, aave_pool.ALL if units == before else units, now_s, prices)
            else:
                done = aave_pool.borrow(pool, user, token, units, now_s, prices)
            state, signed = receive(state, self.wallet, token, amount), amount
        # Read in the pool as it was: an action changes rates and totals, not what the indices are now.
        change = read(done.user, pool, token, now_s) - before
        after = self.pool.after(part, done, token, _with_change(part.reported, token, change, name))
        details: dict[str, Any] = {}
        if done.user.borrowed:
            prices = prices or self.pool.prices(after, market)
            details["health_factor"] = _six_digits(account_data(done.user, after.pool, prices, now_s).health_factor_wad)
        return self._moved(state.with_part(self.name, after), name, token, signed, change, details)

    def _at_most_owed(self, token: str, units: int, owed: int) -> tuple[int, Decimal]:
        """What is owed, in base units and in the token, where no more than that was meant."""
        if not owed:
            self._none_owed(token)
        meant, debt = to_amount(token, units), to_amount(token, owed)
        if units > owed + ROUNDED_OFF:
            amounts = f"{plain(meant)} {token}: {plain(debt)} are owed"
            reject(ONCHAIN, f'{self.name} repay of {amounts}; repay less, or write amount "all"')
        return owed, debt

    def _none_owed(self, token: str) -> NoReturn:
        reject(ONCHAIN, f"{self.name} repay: no {token} is owed")

    def _moved(self, state: State, name: str, token: str, signed: Decimal, change: int, details: dict[str, Any]) -> SimulationResult:
        """What moved, as the balances read; the base unit that rounding keeps is a cost of interest."""
        read = to_amount(token, change)
        if name in OF_DEBT:
            source, lost, moved = "borrow_interest", read - signed, {token: signed, debt_name(token): read}
        else:
            source, lost, moved = "supply_interest", -signed - read, {token: signed, deposit_name(token): read}
        return SimulationResult(state, Deltas.at(self.name, moved), (Cost(source, token, lost),) if lost else (), details)

    def _unchecked(self, action: SmartContractAction, state: State) -> SimulationResult:
        """Where nothing is known to be held the index does not matter."""
        if action.action == "set_emode":
            return SimulationResult(state, Deltas())
        self.pool.require(action.token)
        is_owed = action.action in OF_DEBT
        position = (debt_name if is_owed else deposit_name)(action.token)
        return at_face_value(action, position, state, pays=action.action in PAYS, is_owed=is_owed)

    def resolve(self, action: SmartContractAction, state: State) -> int:
        part = state.parts.get(self.name)
        if action.action == "withdraw":
            return balance_of(part.user, part.pool, action.token, part.now_s) if isinstance(part, AaveState) else 0
        if action.action == "repay":
            if not isinstance(part, AaveState):
                return 0
            return debt_of(part.user, part.pool, action.token, part.now_s) or self._none_owed(action.token)
        if action.action != "supply":
            reject(ONCHAIN, f'{self.name} {action.action} needs a number; "all" is for supply, withdraw and repay')
        return super().resolve(action, state)

    def flash_fee(self, token: str, amount: Decimal, state: State | None = None, market: MarketSnapshot | None = None) -> Decimal:
        """The premium of a flash loan, in the token. With the state and the market: refused where the reserve has less in cash.

        Where nothing is known to be held, or the data do not know the totals, there is no ceiling. Without a market it is the most that
        any of the pool's revisions makes of it.
        """
        self.pool.require(token)
        units = to_units(token, amount)
        if state is None or market is None or not state.checked:
            return to_amount(token, max(aave_pool.flash_premium(pool, units) for pool in self._flash_pools))
        try:
            part = self.pool.part(state, market, token)
            return to_amount(token, aave_pool.take_flash_loan(part.pool, token, units, part.now_s)[1])
        except Reverted as reverted:
            reject(ONCHAIN, f"{self.name} flash_loan of {plain(amount)} {token}: {reverted}")

    def loanable(self, state: State, token: str, market: MarketSnapshot) -> Decimal | None:
        """The most that a flash loan can be now: the reserve's cash; None where the data do not know it."""
        cash = self._now(state, token, market).pool.reserves[token].available
        return None if cash == UNKNOWN_CASH else to_amount(token, max(cash, 0))

    def _now(self, state: State, token: str, market: MarketSnapshot) -> AaveState:
        part = self.pool.part(state, market, token)
        return self.pool.joined(part, token) if self.pool.rate_impact else part

    def lend_flash(self, state: State, token: str, amount: Decimal, market: MarketSnapshot) -> State:
        """The state while a flash loan is out: what is out can be neither withdrawn nor borrowed."""
        return self._with_cash(state, token, -to_units(token, amount), market)

    def take_back(self, state: State, token: str, amount: Decimal, market: MarketSnapshot) -> State:
        """The state after a flash loan and its premium have been paid back."""
        units, revision = to_units(token, amount), self.pool.revision.at(market.instant)
        part = state.parts.get(self.name)
        if isinstance(part, AaveState) and part.is_whole:
            part = self.pool.part(state, market, token)
            pool = aave_pool.return_flash_loan(part.pool, token, units, aave_pool.flash_premium(part.pool, units), part.now_s)
            return state.with_part(self.name, structs.replace(part, pool=pool))
        premium = rounding_of(revision).flash_premium(units, self._flash_pools[0].flash_premium_bps)
        return self._with_cash(state, token, units + premium, market)

    def shared_by(self, before: State, after: State) -> Deltas:
        """What our own deposits get of the premium: 3.0 shares it among them at once. Data of rows do not show it."""
        was, is_ = before.parts.get(self.name), after.parts.get(self.name)
        if not (isinstance(was, AaveState) and isinstance(is_, AaveState) and is_.is_whole):
            return Deltas()
        had = was.units()
        grown = {token: units - had[token][0] for token, (units, _) in is_.units().items()}
        return Deltas.at(self.name, {deposit_name(token): to_amount(token, units) for token, units in grown.items() if units})

    def _with_cash(self, state: State, token: str, units: int, market: MarketSnapshot) -> State:
        if not state.checked:
            return state
        return state.with_part(self.name, self.pool.with_cash(self.pool.part(state, market, token), token, units))

    def gas_units(self, action: SmartContractAction) -> int:
        return GAS[action.action]

    def health_factor(self, state: State, market: MarketSnapshot) -> Decimal | None:
        """Collateral x liquidation threshold over debt; None without debt."""
        part = state.parts.get(self.name)
        if not isinstance(part, AaveState) or not part.user.borrowed:
            return None
        return account_data(part.user, part.pool, self.pool.prices(part, market), part.now_s).health_factor_wad / WAD_UNIT

    def borrow_rate(
        self, state: State, token: str, market: MarketSnapshot, more: Decimal = Decimal(0), against: str | None = None
    ) -> Decimal:
        """What a debt of `token` pays now, and would with `more` of it, a fraction a year; as published where our size moves nothing."""
        if not self.pool.rate_impact:
            return market.lending(self.series, token).variable_borrow_rate
        part = self.pool.part(state, market, token)
        if more:
            part = self.pool.joined(part.owing(token, to_units(token, more)), token)
        return Decimal(part.pool.reserves[token].variable_borrow_rate_ray) / RAY

    def limits(self, state: State, token: str, market: MarketSnapshot, against: str | None = None) -> LendingLimits:
        """By cash and caps."""
        part = self._now(state, token, market)
        rules, rounding = part.pool.rules[token], rounding_of(part.pool.revision)
        reserve = accrue(part.pool.reserves[token], rules, part.now_s, rounding)
        cash = None if reserve.available == UNKNOWN_CASH else to_amount(token, max(reserve.available, 0))
        supplied = (reserve.scaled_supply + reserve.accrued_to_treasury) * reserve.liquidity_index_ray
        owed = reserve.scaled_debt * reserve.variable_borrow_index_ray
        under_cap = _under_cap(token, rules.borrow_cap * rules.unit, owed)
        borrow = min((limit for limit in (cash, under_cap) if limit is not None), default=None)
        return LendingLimits(_under_cap(token, rules.supply_cap * rules.unit, supplied), cash, borrow)

    # What strategies have to know of it.

    def position_names(self, token: str) -> tuple[str, ...]:
        return deposit_name(token), debt_name(token)

    def read_position(self, name: str) -> PositionName | None:
        return read_at_pool(name)

    def deposit(self, token: str) -> Deposit:
        supply, withdraw = (Call(self.name, name, token) for name in ("supply", "withdraw"))
        return Deposit(deposit_name(token), (("lending", self.series, token),), supply, withdraw)

    def loan(self, collateral: str, token: str) -> Loan:
        """The collateral is a deposit, in the e-mode category in which it secures most of the debt."""
        fitting = [(mode.ltv_bps, category) for category, mode in self.pool.emodes.items()
                   if token in mode.borrowable and collateral in mode.collateral]  # fmt: skip
        plain_bps = self.pool.rules[collateral].ltv_bps if collateral in self.pool.rules else 0
        ltv_bps, category = max(fitting, default=(plain_bps, 0))
        opening = {"instruction_type": "smart_contract_action", "protocol": self.name, "action": "set_emode", "category": category}
        return Loan(
            lender=self.name,
            collateral=deposit_name(collateral),
            debt=debt_name(token),
            series=(("lending", self.series, collateral), ("lending", self.series, token)),
            price=lambda snapshot: Decimal(self.pool.price(collateral, snapshot)) / self.pool.price(token, snapshot),
            opening=(opening,) if category else (),
            supply=Call(self.name, "supply", collateral),
            withdraw=Call(self.name, "withdraw", collateral),
            borrow=Call(self.name, "borrow", token),
            repay=Call(self.name, "repay", token),
            max_ltv=Decimal(ltv_bps) / 10_000,
            growth=lambda snapshot: self._growth(token, snapshot),
        )

    def _growth(self, token: str, market: MarketSnapshot) -> tuple[Decimal, Decimal]:
        row = market.lending(self.series, token)
        return grown(row.variable_borrow_index, row.variable_borrow_rate, market.instant - row.stamp)

    # What falls due by time.

    def next_due(self, state: State, market: MarketSnapshot, until: int) -> int | None:
        part = state.parts.get(self.name)
        if not isinstance(part, AaveState):
            return None
        self.pool.in_force_at(market.instant)
        stamps = [market.next_row("lending", self.series, token) for token in {*part.user.supplied, *part.user.borrowed}]
        stamps.append(self.pool.until)
        due = min((stamp for stamp in stamps if stamp is not None and stamp <= until), default=until)
        breach = self._next_breach(part, market, due) if part.user.borrowed and part.user.collateral else None
        if breach is not None:
            return breach
        return due if due in stamps else None

    def _next_breach(self, part: AaveState, market: MarketSnapshot, until: int) -> int | None:
        """The first instant up to `until` at which the market may have made the loan unhealthy; before, it has not."""
        keys = {token: self.pool.health.key(token, market) for token in (*part.user.collateral, *part.user.borrowed)}
        moving = {key for key in keys.values() if key is not None}
        if len(moving) > 1:  # every close of each is looked at
            following = [market.next_row(*key) for key in moving]
            return min((at for at in following if at is not None and at <= until), default=None)
        if not moving:
            return None
        (key,) = moving
        asked = (part.user, part.stamps, part.now_s // DAY_S, self.pool.since)
        if self._breach is None or self._breach[0] != asked:
            self._breach = asked, breach_of(part, keys, self.pool.prices(part, market), market.spot(key[1], key[2]))
        found = self._breach[1]
        return None if found is None else market.next_close_beyond(key, found[0], above=found[1], until=until)

    def accrue(self, state: State, market: MarketSnapshot) -> State:
        """The state with the indices brought to the snapshot's instant."""
        part = state.parts.get(self.name)
        if not isinstance(part, AaveState) or part.now_s == market.instant // SECOND_US or not (part.user.supplied or part.user.borrowed):
            return state
        return state.with_part(self.name, self.pool.at(part, market))

    def update_to(self, state: State, market: MarketSnapshot) -> tuple[State, tuple[Settlement, ...]]:
        part = state.parts.get(self.name)
        if not isinstance(part, AaveState) or not (part.user.supplied or part.user.borrowed):
            return state, ()
        if part.instant != market.instant or part.pool.rules is not self.pool.in_force_at(market.instant):
            part = self.pool.at(part, market)
        read, reported = part.units(), part.reported
        settled: list[Settlement] = []
        if read != reported:
            settled += _interest(self.name, reported, read)
            part = part.with_reported(read)
        if part.user.borrowed:
            for done in liquidations(part.pool, part.user, part.now_s, self.pool.prices(part, market)):
                before, part = part.reported, self.pool.joined(part.with_user(done.user), done.collateral, done.debt)
                part = part.with_reported(part.units())
                settled.append(settlement_of(self.name, before, part.reported, done))
        return (state if part is state.parts[self.name] else state.with_part(self.name, part)), tuple(settled)

    def exposures(self, state: State, market: MarketSnapshot) -> tuple[tuple[Exposure, ...], tuple[PerpExposure, ...]]:
        part = state.parts.get(self.name)
        found = []
        for token, (supplied, owed) in (part.units() if isinstance(part, AaveState) else {}).items():
            if supplied:
                found.append(Exposure(self.name, deposit_name(token), token, to_amount(token, supplied), "supply_interest"))
            if owed:
                found.append(Exposure(self.name, debt_name(token), token, -to_amount(token, owed), "borrow_interest"))
        return tuple(found), ()

    def lines(self) -> list[str]:
        """What its reserves allow and charge, for a person."""
        titles = "ltv / liquidation threshold / bonus / reserve factor; optimal use / base rate / slope 1 / slope 2"
        rows = [f"{token:<7} {_terms(rules)}" for token, rules in self.pool.rules.items()]
        return [
            f"as of {AS_OF}, in bps; {titles}",
            *rows,
            "rates as the data have them; with rate_impact our own size moves them by the slopes",
        ]

    def open(self, amounts: Mapping[str, Decimal], market: MarketSnapshot) -> AaveState:
        """An account that holds these aTokens and owes these debts (token names as in positions).

        Raises:
            ComponentError: PUH-001, a token that is no position there.
        """
        supplied: dict[str, int] = {}
        borrowed: dict[str, int] = {}
        names: dict[str, PositionName] = {}
        for name in amounts:
            found = read_at_pool(name)
            if found is None:
                forms = f"write {deposit_name(name)} for a deposit, {debt_name(name)} for a debt"
                raise ComponentError("PUH-001", f"{name} is no position at {self.name}; {forms}")
            names[name] = found
        part = self.pool.part(State(), market, *dict.fromkeys(found.of for found in names.values()))
        rounding = rounding_of(part.pool.revision)
        for name, amount in amounts.items():
            kind, token = names[name]
            accrued = accrue(part.pool.reserves[token], self.pool.rules[token], part.now_s, rounding)
            units = to_units(token, amount)
            if kind is Kind.DEBT:
                borrowed[token] = rounding.borrow_scaled(units, accrued.variable_borrow_index_ray)
            else:
                supplied[token] = rounding.supply_scaled(units, accrued.liquidity_index_ray)
        collateral = frozenset(token for token in supplied if self.pool.rules[token].ltv_bps)  # as a first supply makes it one
        part = self.pool.joined(part.with_user(UserAccount(supplied, borrowed, collateral)), *part.stamps)
        return part.with_reported(part.units())


def _interest(venue: str, reported: Units, read: Units) -> list[Settlement]:
    """Interest accrued since it was last reported, as the balances read."""
    grown = {}
    for token, (supplied, owed) in read.items():
        supplied_before, owed_before = reported.get(token, (0, 0))
        if supplied != supplied_before:
            grown[deposit_name(token)] = to_amount(token, supplied - supplied_before)
        if owed != owed_before:
            grown[debt_name(token)] = to_amount(token, owed - owed_before)
    return [Settlement("interest", venue, Deltas({venue: grown}))] if grown else []


def _with_change(reported: Units, token: str, change: int, name: str) -> Units:
    """What has been reported, with what an action changes of one token."""
    supplied, owed = reported.get(token, (0, 0))
    return {**reported, token: (supplied, owed + change) if name in OF_DEBT else (supplied + change, owed)}


def _terms(rules: ReserveRules) -> str:
    limits = rules.ltv_bps, rules.liquidation_threshold_bps, rules.liquidation_bonus_bps, rules.reserve_factor_bps
    curve = rules.optimal_usage_ray, rules.base_rate_ray, rules.slope1_ray, rules.slope2_ray
    return f"{' / '.join(map(str, limits))}; {' / '.join(str(part // BPS_TO_RAY) for part in curve)}"


def _six_digits(wad: int) -> str:
    """A wad to six digits after the point, half to even, without trailing zeros."""
    millionths, rest = divmod(wad, WAD // 10**6)
    if rest > HALF_MILLIONTH or (rest == HALF_MILLIONTH and millionths % 2):
        millionths += 1
    text = f"{millionths:07d}"
    return f"{text[:-6]}.{text[-6:]}".rstrip("0").rstrip(".")


def aave(place: Place, settings: Settings) -> Aave:
    """The simulator of a market with Aave v3's rules, and with what its settings say that governance set."""
    revision = settings.revision or ORIGINAL
    health = HealthPrices(place.name, settings.health_prices, settings.oracle)
    return Aave(
        place,
        ObservedPool(place, revision, settings.governed(), rate_impact=settings.rate_impact is not False, health=health),
    )


def _under_cap(token: str, cap: int, total_ray: int) -> Decimal | None:
    """What is left of a cap (base units; 0: none) over a total in ray, less what interest and rounding may add."""
    if not cap:
        return None
    total = total_ray // RAY
    return to_amount(token, max(cap - total - total // CAP_CLEARANCE - 1, 0))
