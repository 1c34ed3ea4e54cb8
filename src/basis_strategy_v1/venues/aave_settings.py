"""What governance set for Aave v3 on Ethereum mainnet, and a config's own parameters in its place."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self

from msgspec import Struct, structs

from basis_strategy_v1.core.figure import Figure
from basis_strategy_v1.core.settings import MAINNET, Address, Amount, Bps, Dated, Decimals, Mark, ProtocolSettings, RateBps, Token, whole
from basis_strategy_v1.core.tokens import decimals_of
from basis_strategy_v1.venues.aave_account import EMode
from basis_strategy_v1.venues.aave_interest import RAY
from basis_strategy_v1.venues.aave_prices import OracleSettings
from basis_strategy_v1.venues.aave_reserve import ReserveRules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from basis_strategy_v1.core.settings import Misfit

AS_OF = "2025-05-31"
BPS_TO_RAY = RAY // 10_000
ORIGINAL = Figure("3.0")


class Governed(NamedTuple):
    """What governance has set from an instant on: the rules by token, and the e-mode categories."""

    since: int
    rules: dict[str, ReserveRules]
    emodes: dict[int, EMode]


class ReserveSettings(Struct, frozen=True):
    """A token's parameters. The rates are those of a year: borrowing costs `base_rate`, `slope1` more at the `optimal_usage`, and `slope2`
    more at full use. What is left out is as governance set it."""

    ltv_bps: Annotated[Figure[Bps] | None, "how much can be borrowed on it"] = None
    liquidation_threshold_bps: Annotated[Figure[Bps] | None, "debt / collateral at which it is liquidated"] = None
    liquidation_bonus_bps: Annotated[Figure[Bps] | None, "what the liquidator takes on top"] = None
    reserve_factor_bps: Annotated[Figure[Bps] | None, "share of the interest that the protocol keeps"] = None
    supply_cap: Annotated[Figure[Amount] | None, "token units; 0: none"] = None
    borrow_cap: Annotated[Figure[Amount] | None, "token units; 0: none"] = None
    optimal_usage_bps: Annotated[Figure[Bps] | None, "where the rate curve bends"] = None
    base_rate_bps: Annotated[Figure[RateBps] | None, "borrow rate a year at no use"] = None
    slope1_bps: Annotated[Figure[RateBps] | None, "rise of the borrow rate up to the bend"] = None
    slope2_bps: Annotated[Figure[RateBps] | None, "rise of the borrow rate beyond the bend"] = None
    emode_category: Annotated[Figure[Annotated[int, whole(at_least=0, at_most=255)]] | None, "0: none"] = None
    decimals: Annotated[Decimals | None, "of the token"] = None

    @property
    def dates(self) -> set[int]:
        """The instants at which one of them changes."""
        return {date for figure in structs.astuple(self) if isinstance(figure, Figure) for date in figure.dates}

    def over(self, public: ReserveSettings) -> ReserveSettings:
        """These parameters, and the public ones where there are none."""
        return structs.replace(public, **{name: own for name, own in structs.asdict(self).items() if own is not None})

    def rules(self, token: str, instant: int) -> ReserveRules:
        """The rules in force at an instant, as the pool's arithmetic takes them."""

        def of(figure: Figure[Decimal] | None) -> int:
            return 0 if figure is None else int(figure.at(instant, token))

        return ReserveRules(
            decimals=decimals_of(token) if self.decimals is None else self.decimals,
            ltv_bps=of(self.ltv_bps),
            liquidation_threshold_bps=of(self.liquidation_threshold_bps),
            liquidation_bonus_bps=of(self.liquidation_bonus_bps),
            reserve_factor_bps=of(self.reserve_factor_bps),
            optimal_usage_ray=of(self.optimal_usage_bps) * BPS_TO_RAY,
            base_rate_ray=of(self.base_rate_bps) * BPS_TO_RAY,
            slope1_ray=of(self.slope1_bps) * BPS_TO_RAY,
            slope2_ray=of(self.slope2_bps) * BPS_TO_RAY,
            supply_cap=of(self.supply_cap),
            borrow_cap=of(self.borrow_cap),
        )


def public(*bps: int) -> ReserveSettings:
    """A token's parameters in bps: LTV, liquidation threshold, bonus, reserve factor; then optimal usage, base rate and the two slopes."""
    columns = ("ltv_bps", "liquidation_threshold_bps", "liquidation_bonus_bps", "reserve_factor_bps",
               "optimal_usage_bps", "base_rate_bps", "slope1_bps", "slope2_bps")  # fmt: skip
    figures: dict[str, Any] = {column: Figure(Decimal(number)) for column, number in zip(columns, bps, strict=True)}
    return ReserveSettings(**figures)


RESERVES = {
    "WETH": public(8050, 8300, 500, 1500, 9000, 0, 270, 8000),
    "wstETH": public(7850, 8100, 600, 500, 8000, 0, 160, 8500),
    "weETH": public(7750, 8000, 700, 4500, 3000, 100, 700, 30000),
    "USDT": public(7500, 7800, 450, 1000, 9200, 0, 550, 3500),
    "USDC": public(7500, 7800, 450, 1000, 9200, 0, 550, 3500),
    "WBTC": public(7300, 7800, 500, 5000, 8000, 0, 400, 30000),
}
UNLISTED = public(0, 0, 0, 0, 9000, 0, 270, 8000)
# Category 1, "ETH correlated", of the same day.
EMODES = {
    1: EMode(
        ltv_bps=9300, liquidation_threshold_bps=9500, liquidation_bonus_bps=100,
        collateral=frozenset({"WETH", "wstETH", "weETH"}), borrowable=frozenset({"WETH", "wstETH", "weETH"}),
    )
}  # fmt: skip


class Settings(ProtocolSettings, frozen=True, kw_only=True):
    """Of a market with Aave v3's rules; a fork's own say what governance set there in its place."""

    listed: ClassVar[Mapping[str, ReserveSettings]] = RESERVES
    emodes: ClassVar[Mapping[int, EMode]] = EMODES

    revision: Annotated[
        Figure[Literal["3.0", "3.7"]] | None,
        Dated("revision"),
        "rounding: 3.0 half-up, 3.7 directed; left out: 3.0 in a backtest, read from the pool when live",
    ] = None
    reserves: Annotated[dict[Token, ReserveSettings] | None, "parameters by token"] = None
    health_prices: Annotated[
        Literal["market", "oracle"] | None,
        "backtests: what moves a loan's health between two lending rows; left out: market where there is an hourly or finer spot series",
    ] = None
    oracle: Annotated[OracleSettings, Mark.QUIET, "market: when the oracle publishes a price"] = OracleSettings()
    rate_impact: Annotated[
        bool | None,
        "backtests: our own deposits and debts move the rates by the two slopes; left out: where the rows have totals. "
        "false only where the rows include your position",
    ] = None
    pool: Annotated[Address | None, "live; left out: Ethereum mainnet's"] = None

    def as_read(self) -> Self:
        """The rates and prices of the pool as they are read, where nothing else is written."""
        own: dict[str, Any] = {"rate_impact": False, "health_prices": "oracle"}
        return structs.replace(self, **{field: value for field, value in own.items() if getattr(self, field) is None})

    def misfits(self, name: str) -> Iterator[Misfit]:
        for token, row in (self.reserves or {}).items():
            for category in row.emode_category.values() if row.emode_category is not None else ():
                if category and category not in self.emodes:
                    yield f"reserves.{token}.emode_category", category, " | ".join(map(str, (0, *self.emodes)))
            ltv, threshold = row.ltv_bps, row.liquidation_threshold_bps
            if ltv is None or threshold is None:
                continue
            for most, found in {(threshold.at(date), ltv.at(date)): None for date in (0, *sorted(row.dates))}:
                if found > most:
                    yield f"reserves.{token}.ltv_bps", found, f"at most liquidation_threshold_bps, {most}"

    def governed(self) -> tuple[Governed, ...]:
        """What governance set, in order of time: the first holds until the second begins."""
        dates = sorted({date for row in (self.reserves or {}).values() for date in row.dates})
        return tuple(Governed(date, self._rules(date), self._categories(date)) for date in (0, *dates))

    def _rules(self, instant: int) -> dict[str, ReserveRules]:
        """The rules of every listed token and of every one that the settings add."""
        own = self.reserves or {}
        rows = {token: self.listed.get(token, UNLISTED) for token in (*(self.listed if self.chain == MAINNET else ()), *own)}
        return {token: (own[token].over(public) if token in own else public).rules(token, instant) for token, public in rows.items()}

    def _categories(self, instant: int) -> dict[int, EMode]:
        """The e-mode categories, with each token whose `emode_category` is set in that one alone."""
        found = dict(self.emodes)
        for token, row in (self.reserves or {}).items():
            for number, mode in found.items() if row.emode_category is not None else ():
                is_in = row.emode_category is not None and number == row.emode_category.at(instant)
                change, only = frozenset.union if is_in else frozenset.difference, frozenset({token})
                found[number] = structs.replace(mode, collateral=change(mode.collateral, only), borrowable=change(mode.borrowable, only))
        return found
