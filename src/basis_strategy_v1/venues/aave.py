"""Aave v3: supply, withdraw, borrow, repay, e-mode and flash loans, by scaled units x index."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import SECOND_US, to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.market import LendingRow
from basis_strategy_v1.core.state import WALLET, State, Wallet
from basis_strategy_v1.core.tokens import decimals_of, to_amount, to_units
from basis_strategy_v1.venues import aave_pool
from basis_strategy_v1.venues.aave_account import EMode, Pool, UserAccount, account_data, balance_of, debt_of
from basis_strategy_v1.venues.aave_interest import RAY, WAD, rounding_of
from basis_strategy_v1.venues.aave_reserve import UNKNOWN_CASH, Reserve, ReserveRules, accrue, observed
from basis_strategy_v1.venues.aave_settlement import liquidations, settlement_of
from basis_strategy_v1.venues.reverted import Reverted
from basis_strategy_v1.venues.venue import ONCHAIN, Exposure, Moved, PerpExposure, Settlement, reject
from basis_strategy_v1.venues.wallet import amount_of, receive, spend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.core.instructions import SmartContractAction
    from basis_strategy_v1.core.market import MarketSnapshot

ORACLE_UNIT = 10**8
WAD_UNIT = Decimal(WAD)

AS_OF = "2025-05-31"
# Ethereum mainnet's parameters as of then: ltv, liquidation threshold, bonus, reserve factor (bps).
RESERVES = {
    "WETH": (8050, 8300, 500, 1500),
    "wstETH": (7850, 8100, 600, 3500),
    "weETH": (7750, 8000, 700, 4500),
    "USDT": (7500, 7800, 450, 1000),
    "USDC": (7500, 7800, 450, 1000),
    "WBTC": (7300, 7800, 500, 5000),
}
# Category 1, "ETH correlated", of the same day.
EMODES = {
    1: EMode(
        ltv_bps=9300, liquidation_threshold_bps=9500, liquidation_bonus_bps=100,
        collateral=frozenset({"WETH", "wstETH", "weETH"}), borrowable=frozenset({"WETH", "wstETH", "weETH"}),
    )
}  # fmt: skip
# Two slopes, used only where a pool's own state sets its rates; as of the same day for WETH (bps a year).
OPTIMAL_BPS, SLOPE1_BPS, SLOPE2_BPS = 9000, 270, 8000
BPS_TO_RAY = RAY // 10_000

GAS = {"supply": 200_000, "withdraw": 230_000, "borrow": 280_000, "repay": 190_000, "set_emode": 120_000, "flash_loan": 180_000}


class AavePart(Struct, frozen=True):
    """Our account in a pool, as of `now_s`. `told` is what was last reported: aToken and debt units by token."""

    pool: Pool
    user: UserAccount
    now_s: int
    stamps: dict[str, int] = {}
    told: dict[str, tuple[int, int]] = {}

    def units(self) -> dict[str, tuple[int, int]]:
        """token -> (aToken units, debt units) now."""
        held = dict.fromkeys((*self.user.supplied, *self.user.borrowed))
        return {
            token: (balance_of(self.user, self.pool, token, self.now_s), debt_of(self.user, self.pool, token, self.now_s)) for token in held
        }

    def positions(self) -> dict[str, Decimal]:
        found = {}
        for token, (supplied, owed) in self.units().items():
            if supplied:
                found[f"a{token}"] = to_amount(token, supplied)
            if owed:
                found[f"variableDebt{token}"] = to_amount(token, owed)
        return found


class Aave:
    """The simulator of one Aave v3 market. Published indices and rates move it; our own actions leave them as they are."""

    kind = ONCHAIN
    actions = ("supply", "withdraw", "borrow", "repay", "set_emode", "flash_loan")

    def __init__(
        self, name: str, revisions: tuple[tuple[int, str], ...], rules: Mapping[str, ReserveRules], emodes: dict[int, EMode]
    ) -> None:
        self.name = name
        self._revisions = revisions
        self._rules = dict(rules)
        self._emodes = emodes
        self._flash_pool = Pool(revision=revisions[0][1], rules={}, reserves={})

    # Instructions.

    def simulate(self, instruction: SmartContractAction, state: State, market: MarketSnapshot) -> Moved:
        if not state.checked:
            return self._unchecked(instruction, state)
        tokens = () if instruction.action == "set_emode" else (instruction.token,)
        part = self._part(state, market, tokens)
        try:
            return self._act(instruction, part, state, market)
        except Reverted as reverted:
            reject(ONCHAIN, f"{self.name} {instruction.action}: {reverted}")

    def _act(self, action: SmartContractAction, part: AavePart, state: State, market: MarketSnapshot) -> Moved:
        if action.action == "set_emode":
            user = aave_pool.set_emode(part.pool, part.user, action.category or 0, part.now_s, self._prices(part, market))
            return Moved(state.with_part(self.name, structs.replace(part, user=user)), Deltas())
        token, amount = action.token, amount_of(action)
        units = to_units(token, amount)
        if action.action in ("supply", "repay"):
            if action.action == "repay":
                units = min(units, self._owed(part, token))
                amount = to_amount(token, units)
            state = spend(state, token, amount, f"{self.name} {action.action}")
            done = getattr(aave_pool, action.action)(part.pool, part.user, token, units, part.now_s)
            signed = -amount
        else:
            prices = self._prices(part, market, token)
            whole = action.action == "withdraw" and units == balance_of(part.user, part.pool, token, part.now_s)
            done = getattr(aave_pool, action.action)(part.pool, part.user, token, aave_pool.ALL if whole else units, part.now_s, prices)
            state = receive(state, token, amount)
            signed = amount
        return self._moved(state, part, done.user, token, signed, market)

    def _owed(self, part: AavePart, token: str) -> int:
        owed = debt_of(part.user, part.pool, token, part.now_s)
        if not owed:
            reject(ONCHAIN, f"{self.name} repay: no {token} is owed")
        return owed

    def _moved(self, state: State, part: AavePart, user: UserAccount, token: str, signed: Decimal, market: MarketSnapshot) -> Moved:
        """What moved, as the balances read; the base unit that rounding keeps is a cost of interest."""
        after = structs.replace(part, user=user)
        read = after.units()
        (supplied, owed), (supplied_before, owed_before) = read.get(token, (0, 0)), part.units().get(token, (0, 0))
        held, debt = to_amount(token, supplied - supplied_before), to_amount(token, owed - owed_before)
        deltas = Deltas.at(self.name, {token: signed, f"a{token}": held, f"variableDebt{token}": debt})
        lost = -(signed + held - debt)
        source = "borrow_interest" if debt else "supply_interest"
        after = structs.replace(after, told=read)
        details = {"health_factor": self._health_text(after, market)} if user.borrowed else {}
        return Moved(state.with_part(self.name, after), deltas, (Cost(source, token, lost),) if lost else (), details)

    def _unchecked(self, action: SmartContractAction, state: State) -> Moved:
        """Where nothing is known to be held the index does not matter: what is paid in is what is credited."""
        if action.action == "set_emode":
            return Moved(state, Deltas())
        if action.token not in self._rules:
            self._no_reserve(action.token)
        amount = amount_of(action)
        signs = {"supply": (-1, 1, 0), "withdraw": (1, -1, 0), "borrow": (1, 0, 1), "repay": (-1, 0, -1)}
        token, held, debt = (amount * sign for sign in signs[action.action])
        return Moved(state, Deltas.at(self.name, {action.token: token, f"a{action.token}": held, f"variableDebt{action.token}": debt}))

    def resolve(self, action: SmartContractAction, state: State) -> int:
        part = state.parts.get(self.name)
        if action.action == "withdraw":
            return balance_of(part.user, part.pool, action.token, part.now_s) if isinstance(part, AavePart) else 0
        if action.action == "repay":
            return self._owed(part, action.token) if isinstance(part, AavePart) else 0
        if action.action != "supply":
            reject(ONCHAIN, f'{self.name} {action.action} needs a number; "all" is for supply, withdraw and repay')
        return state.part(WALLET, Wallet).units_of(action.token)

    def flash_fee(self, token: str, amount: Decimal) -> Decimal:
        """The premium of a flash loan, in the token."""
        if token not in self._rules:
            self._no_reserve(token)
        return to_amount(token, aave_pool.flash_premium(self._flash_pool, to_units(token, amount)))

    def gas_units(self, action: SmartContractAction) -> int:
        return GAS[action.action]

    # The pool as the data show it.

    def _part(self, state: State, market: MarketSnapshot, tokens: tuple[str, ...] = ()) -> AavePart:
        now_s = market.instant // SECOND_US
        part = state.parts.get(self.name)
        if not isinstance(part, AavePart):
            pool = Pool(revision=self._revision(now_s), rules=self._rules, reserves={}, emodes=self._emodes)
            part = AavePart(pool, UserAccount(), now_s)
        return self._at(part, market, tokens)

    def _at(self, part: AavePart, market: MarketSnapshot, tokens: tuple[str, ...] = ()) -> AavePart:
        """The part at the snapshot's instant: new rows taken over, and indices going forward from them."""
        now_s = market.instant // SECOND_US
        pool, stamps = part.pool, part.stamps
        if (revision := self._revision(now_s)) != pool.revision:
            pool = structs.replace(pool, revision=revision)
        for token in dict.fromkeys((*part.user.supplied, *part.user.borrowed, *tokens)):
            stamp = market.row_stamp("lending", self.name, token)
            if token not in self._rules:
                self._no_reserve(token)
            if stamp is None or stamp != stamps.get(token) or token not in pool.reserves:
                row = market.lending(self.name, token)
                pool = pool.with_reserve(token, _reserve(row, token, min(row.stamp // SECOND_US, now_s)))
                stamps = {**stamps, token: row.stamp}
        return AavePart(pool, part.user, now_s, stamps, part.told)

    def _revision(self, now_s: int) -> str:
        return next(revision for since_s, revision in reversed(self._revisions) if since_s <= now_s)

    def _no_reserve(self, token: str) -> None:
        where = f"venues.onchain.{self.name}.reserves"
        reject(ONCHAIN, f"{self.name} has no reserve of {token}; it has {', '.join(self._rules)}: add it under {where}")

    def _prices(self, part: AavePart, market: MarketSnapshot, *tokens: str) -> dict[str, int]:
        """The oracle's USD prices, 8 decimals, of what is held or owed and of `tokens`."""
        tokens = tuple(dict.fromkeys((*part.user.supplied, *part.user.borrowed, *tokens)))
        return {token: int(market.lending(self.name, token).oracle_price_usd * ORACLE_UNIT) for token in tokens}

    def health_factor(self, part: AavePart, market: MarketSnapshot) -> Decimal | None:
        """Collateral x liquidation threshold over debt; None without debt."""
        if not part.user.borrowed:
            return None
        return account_data(part.user, part.pool, self._prices(part, market), part.now_s).health_factor_wad / WAD_UNIT

    def _health_text(self, part: AavePart, market: MarketSnapshot) -> str:
        found = self.health_factor(part, market)
        return "none" if found is None else plain(round(found, 6))

    # What falls due by time.

    def next_due(self, state: State, market: MarketSnapshot, until: int) -> int | None:
        part = state.parts.get(self.name)
        if not isinstance(part, AavePart):
            return None
        stamps = [market.next_row("lending", self.name, token) for token in {*part.user.supplied, *part.user.borrowed}]
        due = [stamp for stamp in stamps if stamp is not None and stamp <= until]
        return min(due) if due else None

    def grow(self, state: State, market: MarketSnapshot) -> State:
        """The state with the indices brought to the snapshot's instant."""
        part = state.parts.get(self.name)
        if not isinstance(part, AavePart) or part.now_s == market.instant // SECOND_US or not (part.user.supplied or part.user.borrowed):
            return state
        return state.with_part(self.name, self._at(part, market))

    def observe(self, state: State, market: MarketSnapshot) -> tuple[State, tuple[Settlement, ...]]:
        part = state.parts.get(self.name)
        if not isinstance(part, AavePart) or not (part.user.supplied or part.user.borrowed):
            return state, ()
        part = self._at(part, market)
        read = part.units()
        grown = {}
        for token, (supplied, owed) in read.items():
            told_supplied, told_owed = part.told.get(token, (0, 0))
            grown[f"a{token}"] = to_amount(token, supplied - told_supplied)
            grown[f"variableDebt{token}"] = to_amount(token, owed - told_owed)
        deltas = Deltas.at(self.name, grown)
        settled = [Settlement("interest", self.name, deltas)] if deltas else []
        part = structs.replace(part, told=read)
        if part.user.borrowed:
            for done in liquidations(part.pool, part.user, part.now_s, self._prices(part, market)):
                before, part = part.told, structs.replace(part, user=done.user)
                part = structs.replace(part, told=part.units())
                settled.append(settlement_of(self.name, before, part.told, done))
        return state.with_part(self.name, part), tuple(settled)

    def exposures(self, state: State, market: MarketSnapshot) -> tuple[tuple[Exposure, ...], tuple[PerpExposure, ...]]:
        part = state.parts.get(self.name)
        found = []
        for token, (supplied, owed) in (part.units() if isinstance(part, AavePart) else {}).items():
            if supplied:
                found.append(Exposure(self.name, f"a{token}", token, to_amount(token, supplied), "supply_interest"))
            if owed:
                found.append(Exposure(self.name, f"variableDebt{token}", token, -to_amount(token, owed), "borrow_interest"))
        return tuple(found), ()

    def lines(self) -> list[str]:
        """What its reserves allow, for a person."""
        rows = [
            f"{token:<7} {rules.ltv_bps} / {rules.liquidation_threshold_bps} / {rules.liquidation_bonus_bps} / {rules.reserve_factor_bps}"
            for token, rules in self._rules.items()
        ]
        return [f"as of {AS_OF}; ltv / liquidation threshold / bonus / reserve factor in bps", *rows]

    def open(self, amounts: Mapping[str, Decimal], market: MarketSnapshot) -> AavePart:
        """An account that holds these aTokens and owes these debts (token names as in positions)."""
        supplied: dict[str, int] = {}
        borrowed: dict[str, int] = {}
        names = {name: name.removeprefix("variableDebt") if name.startswith("variableDebt") else name[1:] for name in amounts}
        part = self._part(State(), market, tuple(names.values()))
        rounding = rounding_of(part.pool.revision)
        for name, amount in amounts.items():
            token = names[name]
            accrued = accrue(part.pool.reserves[token], self._rules[token], part.now_s, rounding)
            units = to_units(token, amount)
            if name.startswith("variableDebt"):
                borrowed[token] = rounding.borrow_scaled(units, accrued.variable_borrow_index_ray)
            else:
                supplied[token] = rounding.supply_scaled(units, accrued.liquidity_index_ray)
        part = structs.replace(part, user=UserAccount(supplied, borrowed, frozenset(supplied)))
        return structs.replace(part, told=part.units())


def _reserve(row: LendingRow, token: str, at_s: int) -> Reserve:
    """The reserve as published: indices and rates, and from the totals what there is to borrow."""
    supplied, borrowed = to_units(token, row.total_supplied), to_units(token, row.total_borrowed)
    reserve = Reserve(
        scaled_supply=int(supplied / row.liquidity_index) if supplied else 0,
        scaled_debt=int(borrowed / row.variable_borrow_index) if borrowed else 0,
        available=supplied - borrowed if supplied else UNKNOWN_CASH,
    )
    return observed(
        reserve,
        liquidity_index_ray=int(row.liquidity_index * RAY),
        variable_borrow_index_ray=int(row.variable_borrow_index * RAY),
        liquidity_rate_ray=int(row.liquidity_rate * RAY),
        variable_borrow_rate_ray=int(row.variable_borrow_rate * RAY),
        at_s=at_s,
    )


def _rules(public: tuple[int, int, int, int], token: str, settings: Mapping[str, Any]) -> ReserveRules:
    ltv, threshold, bonus, factor = public

    def own(name: str, public: int) -> int:
        return public if settings.get(name) is None else int(settings[name])

    return ReserveRules(
        decimals=own("decimals", decimals_of(token)),
        ltv_bps=own("ltv_bps", ltv),
        liquidation_threshold_bps=own("liquidation_threshold_bps", threshold),
        liquidation_bonus_bps=own("liquidation_bonus_bps", bonus),
        reserve_factor_bps=own("reserve_factor_bps", factor),
        optimal_usage_ray=own("optimal_usage_bps", OPTIMAL_BPS) * BPS_TO_RAY,
        base_rate_ray=own("base_rate_bps", 0) * BPS_TO_RAY,
        slope1_ray=own("slope1_bps", SLOPE1_BPS) * BPS_TO_RAY,
        slope2_ray=own("slope2_bps", SLOPE2_BPS) * BPS_TO_RAY,
        supply_cap=own("supply_cap", 0),
        borrow_cap=own("borrow_cap", 0),
    )


def _emodes(name: str, own: Mapping[str, Any], public: Mapping[int, EMode]) -> dict[int, EMode]:
    """The categories, with each token whose `emode_category` is set in that one alone."""
    found = dict(public)
    for token, row in own.items():
        category = (row or {}).get("emode_category")
        if category is None:
            continue
        if category and category not in public:
            known = ", ".join(map(str, public))
            where = f"venues.onchain.{name}.reserves.{token}.emode_category"
            raise ComponentError("CFG-001", f"{where}: must be 0 (none) or one of {known}, got {category}")
        for number, mode in found.items():
            change = frozenset.union if number == category else frozenset.difference
            only = frozenset({token})
            found[number] = structs.replace(mode, collateral=change(mode.collateral, only), borrowable=change(mode.borrowable, only))
    return found


def _revisions(setting: Any) -> tuple[tuple[int, str], ...]:
    """(from second, revision), earliest first; the first one also holds before its date."""
    if setting is None or isinstance(setting, str):
        rows = [(0, setting or "3.0")]
    else:
        rows = sorted((to_instant(since) // SECOND_US, revision) for since, revision in setting)
        rows[0] = (0, rows[0][1])
    for _, revision in rows:
        rounding_of(revision)
    return tuple(rows)


Reserves = dict[str, tuple[int, int, int, int]]


def aave_market(name: str, settings: dict[str, Any], reserves: Reserves, emodes: Mapping[int, EMode]) -> Aave:
    """The simulator of a market with Aave v3's rules: its name, what its reserves allow, and the config's own parameters in their place."""
    own = settings.get("reserves") or {}
    rules = {token: _rules(reserves.get(token, (0, 0, 0, 0)), token, own.get(token) or {}) for token in dict.fromkeys((*reserves, *own))}
    return Aave(name, _revisions(settings.get("revision")), rules, _emodes(name, own, emodes))


def aave(settings: dict[str, Any]) -> Aave:
    """The simulator of Aave v3 on Ethereum mainnet."""
    return aave_market("aave", settings, RESERVES, EMODES)
