"""An Aave pool as data show it at an instant, with our account in it."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from msgspec import structs

from basis_strategy_v1.core.clock import SECOND_US
from basis_strategy_v1.core.market import SAME_AS
from basis_strategy_v1.venues.aave_account import Pool, UserAccount
from basis_strategy_v1.venues.aave_data import Published, carried, cash_with, counted, joined, published
from basis_strategy_v1.venues.aave_prices import ORACLE, HealthPrices, OracleSettings, base_of
from basis_strategy_v1.venues.aave_reserve import UNKNOWN_CASH, Reserve, accrue
from basis_strategy_v1.venues.aave_state import AaveState, Units
from basis_strategy_v1.venues.venue import ONCHAIN, reject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from basis_strategy_v1.core.figure import Figure
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.state import State
    from basis_strategy_v1.venues.aave_pool import PoolChange
    from basis_strategy_v1.venues.aave_reserve import ReserveRules
    from basis_strategy_v1.venues.aave_settings import Governed
    from basis_strategy_v1.venues.venue import Place

LAST = 2**63


class ObservedPool:
    """One market's reserves, read from its lending series.

    A row is the market without us: our part counts in its cash and its caps. It sets indices and rates, and between two rows the indices
    go forward at the rates of the first. With `rate_impact` our part also moves the rates by the two slopes, and what that makes of our
    indices stays at the next row.
    """

    def __init__(
        self,
        place: Place,
        revision: Figure[str],
        governed: Sequence[Governed],
        *,
        rate_impact: bool,
        health: HealthPrices | None = None,
    ) -> None:
        self.name, self.series = place.name, place.series
        self.revision = revision
        self._governed = governed
        self._take_effect(0)
        self.rate_impact = rate_impact
        self.health = health or HealthPrices(place.name, ORACLE, OracleSettings())
        self.revisions = tuple(dict.fromkeys((revision.value, *(later for _, later in revision.since))))
        self._plain = {SAME_AS[token]: token for token in self.rules if token in SAME_AS}  # ETH -> WETH
        self._rows: dict[str, Published] = {}  # the last row read of each token: a source gives one object as long as it is in force

    def _take_effect(self, instant: int) -> None:
        """Let what governance set for an instant be in force; `until` is when the next of it begins."""
        place = bisect_right(self._governed, instant, key=lambda one: one.since) - 1
        self.since, self.rules, self.emodes = self._governed[place]
        self.until = self._governed[place + 1].since if place + 1 < len(self._governed) else LAST

    def in_force_at(self, instant: int) -> Mapping[str, ReserveRules]:
        """The rules in force at an instant, those of `rules` from now on."""
        if not self.since <= instant < self.until:
            self._take_effect(instant)
        return self.rules

    def part(self, state: State, market: MarketSnapshot, *tokens: str) -> AaveState:
        """Our account at the snapshot's instant, in a pool that has the reserves of `tokens` too."""
        self.in_force_at(market.instant)
        part = state.parts.get(self.name)
        if isinstance(part, AaveState) and part.is_whole:
            return self._whole_at(part, market, tokens)
        if not isinstance(part, AaveState):
            now_s = market.instant // SECOND_US
            pool = Pool(revision=self.revision.at(market.instant), rules=self.rules, reserves={}, emodes=self.emodes)
            part = AaveState(pool, UserAccount(), market.instant, now_s)
        elif part.instant != market.instant:
            return self.at(part, market, *tokens)
        user = part.user  # deposits and debts have been brought here already
        new = [token for token in tokens if token not in user.supplied and token not in user.borrowed]
        return self._with_rows(part, market, new) if new else part

    def _whole_at(self, part: AaveState, market: MarketSnapshot, tokens: Iterable[str]) -> AaveState:
        """A pool that was read at a block, at the snapshot's instant: its indices go forward as the contract brings them forward."""
        for token in tokens:
            if token not in part.pool.reserves:
                reject(ONCHAIN, f"{self.name} has no reserve of {token}; its pool has {', '.join(part.pool.reserves)}")
        instant = max(market.instant, part.instant)
        return structs.replace(part, instant=instant, now_s=max(instant // SECOND_US, part.now_s))

    def at(self, part: AaveState, market: MarketSnapshot, *tokens: str) -> AaveState:
        """The part at the snapshot's instant: new rows taken over, and indices going forward from them.

        A pool that has our own size in its rates does not go back: at an earlier instant it stays as it is.
        """
        if part.is_whole:
            return self._whole_at(part, market, tokens)
        if self.rate_impact and market.instant < part.instant:
            return self._with_rows(part, market, [token for token in tokens if token not in part.stamps])
        now_s = market.instant // SECOND_US
        pool, user = part.pool, part.user
        revision, rules = self.revision.at(market.instant), self.in_force_at(market.instant)
        if revision != pool.revision or pool.rules is not rules:  # a restored state may have older settings
            pool = structs.replace(pool, revision=revision, rules=self.rules, emodes=self.emodes)
        part = AaveState(pool, user, market.instant, now_s, part.stamps, part.reported, part.published)
        return self._with_rows(part, market, dict.fromkeys((*user.supplied, *user.borrowed, *tokens)))

    def _with_rows(self, part: AaveState, market: MarketSnapshot, tokens: Iterable[str]) -> AaveState:
        for token in tokens:
            self.require(token)
            known = part.stamps.get(token)
            if known is None or (stamp := market.row_stamp("lending", self.series, token)) is None or stamp != known:
                part = self._with_row(part, token, self._read(token, market))
        return part

    def _with_row(self, part: AaveState, token: str, read: Published) -> AaveState:
        reserve, scaled, rounding = read.reserve, part.scaled(token), part.pool.rounding
        if scaled != (0, 0):
            if self.rate_impact:
                indices_ray = carried(reserve, part.pool.reserves[token], part.published[token], rounding)
                reserve = joined(reserve, self.rules[token], rounding, scaled, indices_ray)
            else:
                reserve = counted(reserve, scaled, cash_with(reserve, rounding, scaled, part.now_s))
        others = {**part.published, token: read.reserve}
        pool, stamps = part.pool.with_reserve(token, reserve), {**part.stamps, token: read.row.stamp}
        return AaveState(pool, part.user, part.instant, part.now_s, stamps, part.reported, others)

    def after(self, part: AaveState, done: PoolChange, token: str, reported: Units) -> AaveState:
        """The part after an action on `token`."""
        if part.is_whole:
            return structs.replace(part, pool=done.pool, user=done.user, reported=reported)
        pool, user = part.pool, done.user
        if not self.rate_impact:
            scaled = user.supplied.get(token, 0), user.borrowed.get(token, 0)
            pool = pool.with_reserve(token, counted(part.published[token], scaled, done.pool.reserves[token].available))
        part = AaveState(pool, user, part.instant, part.now_s, part.stamps, reported, part.published)
        return self.joined(part, token) if self.rate_impact else part

    def joined(self, part: AaveState, *tokens: str) -> AaveState:
        """The state with our deposits and debts of `tokens` now in the reserves; with `rate_impact` at the rates that follow from it."""
        if part.is_whole:
            return part
        for token in tokens:
            pool, others, published, rounding = part.pool, part.published[token], part.published, part.pool.rounding
            if self.rate_impact:
                rules = self.rules[token]
                ours, others = (accrue(reserve, rules, part.now_s, rounding) for reserve in (pool.reserves[token], others))
                indices_ray = ours.liquidity_index_ray, ours.variable_borrow_index_ray
                reserve = joined(others, rules, rounding, part.scaled(token), indices_ray)
                published = {**published, token: others}
            else:
                scaled = part.scaled(token)
                reserve = counted(others, scaled, cash_with(others, rounding, scaled, part.now_s))
            pool = pool.with_reserve(token, reserve)
            part = AaveState(pool, part.user, part.instant, part.now_s, part.stamps, part.reported, published)
        return part

    def with_cash(self, part: AaveState, token: str, units: int) -> AaveState:
        """The part with so much more (less, where negative) of `token` in the pool that is neither ours nor owed by us."""
        if part.is_whole:
            reserve = _with_cash(part.pool.reserves[token], units)
            return structs.replace(part, pool=part.pool.with_reserve(token, reserve))
        published = {**part.published, token: _with_cash(part.published[token], units)}
        pool = part.pool
        if not self.rate_impact:
            pool = pool.with_reserve(token, _with_cash(pool.reserves[token], units))
        part = AaveState(pool, part.user, part.instant, part.now_s, part.stamps, part.reported, published)
        return self.joined(part, token) if self.rate_impact else part

    def require(self, token: str) -> None:
        """Refuse a token without a reserve."""
        if token not in self.rules:
            if token == "ETH" and "WETH" in self.rules:
                reject(ONCHAIN, f"{self.name} has no reserve of ETH; write WETH (ETH is wrapped first: wallet wrap)")
            for known in self.rules:
                if known.casefold() == token.casefold():
                    reject(ONCHAIN, f"{self.name} has no reserve of {token}; write {known}")
            where = f"venues.onchain.{self.name}.reserves"
            reject(ONCHAIN, f"{self.name} has no reserve of {token}; it has {', '.join(self.rules)}: add it under {where}")

    def _read(self, token: str, market: MarketSnapshot) -> Published:
        row = market.lending_scaled(self.series, token) or market.lending(self.series, token)
        known = self._rows.get(token)
        if known is None or known.row is not row:
            self._rows[token] = known = published(row, token)
        return known

    def prices(self, part: AaveState, market: MarketSnapshot, *tokens: str) -> dict[str, int]:
        """The USD prices, 8 decimals, by which our deposits and debts and `tokens` are judged."""
        if part.is_whole:
            return part.prices
        found: dict[str, int] = {}
        for token in (*part.user.supplied, *part.user.borrowed, *tokens):
            if token not in found:
                found[token] = self.price(token, market)
        return found

    def price(self, token: str, market: MarketSnapshot) -> int:
        """The oracle's USD price, 8 decimals: that of the last row, or what the market has made of it since."""
        read = self._read(token, market)
        base = self._plain.get(base_of(token) or "")
        base_row = None
        if base is not None and market.row_stamp("lending", self.series, base) == read.row.stamp:
            base_row = read.price if base == token else self._read(base, market).price
        return self.health.price(token, read.price, read.row.stamp, market, base_row)


def _with_cash(reserve: Reserve, units: int) -> Reserve:
    return reserve if reserve.available == UNKNOWN_CASH else structs.replace(reserve, available=reserve.available + units)
