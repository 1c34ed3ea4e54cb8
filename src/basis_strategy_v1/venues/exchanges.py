"""The exchanges, a row each: what they charge, what they trade in, what margin they want.

Figures are the exchanges' published ones for the lowest tier on `as_of`; each can be overridden in the config.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from msgspec import Struct, structs

D = Decimal


class Tier(NamedTuple):
    """Maintenance margin of the part of a notional up to `notional` (settlement token); the last tier is open."""

    notional: Decimal
    maintenance_bps: Decimal


class Withdrawal(NamedTuple):
    """What a withdrawal of a token costs (token units), its minimum, and the minutes until it arrives."""

    fee: Decimal = D(0)
    minimum: Decimal = D(0)
    minutes: Decimal = D(0)


class ExchangeRow(Struct, frozen=True, kw_only=True):
    name: str
    settle: str
    spot_taker_fee_bps: Decimal
    perp_taker_fee_bps: Decimal
    slippage_bps: Decimal = D(1)
    min_notional: Decimal
    perp_min_notional: Decimal
    spot_lots: dict[str, Decimal]
    perp_lots: dict[str, Decimal]
    ticks: dict[str, Decimal]
    tiers: tuple[Tier, ...]
    max_leverage: Decimal
    funding_interval_hours: int
    fee_in_received: bool  # a spot fee is taken from what the trade pays out; otherwise always from the quote
    separate_wallets: bool  # spot and futures wallets are separate; the gateway moves between them when a trade needs it
    public_withdrawals: dict[str, Withdrawal]
    withdrawals: dict[str, Withdrawal] = {}
    as_of: str = "2025-05-31"


_BINANCE_TIERS = (
    Tier(D(50_000), D(40)), Tier(D(600_000), D(50)), Tier(D(3_000_000), D(65)), Tier(D(12_000_000), D(100)), Tier(D("Infinity"), D(200)),
)  # fmt: skip
_BYBIT_TIERS = (Tier(D(2_000_000), D(50)), Tier(D(10_000_000), D(100)), Tier(D("Infinity"), D(200)))
_OKX_TIERS = (Tier(D(1_000_000), D(40)), Tier(D(5_000_000), D(65)), Tier(D("Infinity"), D(150)))

ROWS = (
    ExchangeRow(
        name="binance", settle="USDT", spot_taker_fee_bps=D(10), perp_taker_fee_bps=D(5), min_notional=D(5), perp_min_notional=D(20),
        spot_lots={"ETH": D("0.0001"), "BTC": D("0.00001")}, perp_lots={"ETH": D("0.001"), "BTC": D("0.001")},
        ticks={"ETH": D("0.01"), "BTC": D("0.1")}, tiers=_BINANCE_TIERS, max_leverage=D(100), funding_interval_hours=8,
        fee_in_received=True, separate_wallets=True,
        public_withdrawals={
            "USDT": Withdrawal(D(4), D(10), D(10)), "USDC": Withdrawal(D(4), D(10), D(10)),
            "ETH": Withdrawal(D("0.0012"), D("0.01"), D(10)),
        },
    ),
    ExchangeRow(
        name="bybit", settle="USDT", spot_taker_fee_bps=D(10), perp_taker_fee_bps=D("5.5"), min_notional=D(5), perp_min_notional=D(5),
        spot_lots={"ETH": D("0.00001"), "BTC": D("0.000001")}, perp_lots={"ETH": D("0.01"), "BTC": D("0.001")},
        ticks={"ETH": D("0.01"), "BTC": D("0.1")}, tiers=_BYBIT_TIERS, max_leverage=D(100), funding_interval_hours=8,
        fee_in_received=True, separate_wallets=False,
        public_withdrawals={
            "USDT": Withdrawal(D(5), D(10), D(10)), "USDC": Withdrawal(D(5), D(10), D(10)),
            "ETH": Withdrawal(D("0.0012"), D("0.01"), D(10)),
        },
    ),
    ExchangeRow(
        name="okx", settle="USDT", spot_taker_fee_bps=D(10), perp_taker_fee_bps=D(5), min_notional=D(1), perp_min_notional=D(1),
        spot_lots={"ETH": D("0.000001"), "BTC": D("0.00000001")}, perp_lots={"ETH": D("0.001"), "BTC": D("0.0001")},
        ticks={"ETH": D("0.01"), "BTC": D("0.1")}, tiers=_OKX_TIERS, max_leverage=D(100), funding_interval_hours=8,
        fee_in_received=True, separate_wallets=False,
        public_withdrawals={
            "USDT": Withdrawal(D(3), D(10), D(10)), "USDC": Withdrawal(D(3), D(10), D(10)), "ETH": Withdrawal(D("0.001"), D("0.01"), D(10)),
        },
    ),
    ExchangeRow(
        name="hyperliquid", settle="USDC", spot_taker_fee_bps=D(7), perp_taker_fee_bps=D("4.5"),
        min_notional=D(10), perp_min_notional=D(10),
        spot_lots={"ETH": D("0.0001"), "BTC": D("0.00001")}, perp_lots={"ETH": D("0.0001"), "BTC": D("0.00001")},
        ticks={"ETH": D("0.1"), "BTC": D(1)}, tiers=(Tier(D("Infinity"), D(200)),), max_leverage=D(25), funding_interval_hours=1,
        fee_in_received=True, separate_wallets=True,
        public_withdrawals={"USDC": Withdrawal(D(1), D(2), D(5))},
    ),
)  # fmt: skip

EXCHANGES = {row.name: row for row in ROWS}
FINEST_LOT = D("1e-8")


def exchange_row(name: str) -> ExchangeRow:
    """The row of a configured name: `binance_spot` is a second account at `binance`.

    Raises:
        KeyError: no such exchange.
    """
    return EXCHANGES[name.partition("_")[0]]


def with_settings(row: ExchangeRow, settings: dict[str, Any]) -> ExchangeRow:
    """The row with the config's own figures in place of the published ones (numbers are already Decimals)."""
    changes: dict[str, Any] = {
        name: settings[name]
        for name in ("spot_taker_fee_bps", "perp_taker_fee_bps", "slippage_bps", "max_leverage", "funding_interval_hours")
        if settings.get(name) is not None
    }
    if settings.get("min_notional") is not None:
        changes["min_notional"] = changes["perp_min_notional"] = settings["min_notional"]
    if settings.get("maintenance_margin_bps") is not None:
        changes["tiers"] = (Tier(D("Infinity"), settings["maintenance_margin_bps"]),)
    if settings.get("lot") is not None:
        changes["spot_lots"] = _by_symbol(row.spot_lots, settings["lot"])
        changes["perp_lots"] = _by_symbol(row.perp_lots, settings["lot"])
    if settings.get("tick") is not None:
        changes["ticks"] = _by_symbol(row.ticks, settings["tick"])
    withdrawal = settings.get("withdrawal")
    if withdrawal == "default":
        changes["withdrawals"] = row.public_withdrawals
    elif withdrawal:
        changes["withdrawals"] = {token: _withdrawal(costs) for token, costs in withdrawal.items()}
    return structs.replace(row, **changes)


def _withdrawal(costs: dict[str, Any]) -> Withdrawal:
    return Withdrawal(**{name: D(str(value)) for name, value in costs.items()})


def _by_symbol(published: dict[str, Decimal], setting: Any) -> dict[str, Decimal]:
    """One figure for all (`*`), or figures by symbol or base over the published ones."""
    if not isinstance(setting, dict):
        return {"*": D(str(setting))}
    return {**published, **{name: D(str(value)) for name, value in setting.items()}}


def step_of(steps: dict[str, Decimal], symbol: str, base: str) -> Decimal:
    """The lot or tick of a symbol: its own, that of its base, that of all, else the finest that any exchange has."""
    return steps.get(symbol) or steps.get(base) or steps.get("*") or FINEST_LOT
