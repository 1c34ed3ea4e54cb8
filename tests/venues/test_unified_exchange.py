"""A unified account: coins are margin less a haircut, a liquidation goes in steps, and a negative balance pays interest."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1 import run as run_config
from basis_strategy_v1.core.clock import HOUR_US
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.market import DictSnapshot
from basis_strategy_v1.core.state import ExchangeAccount, Perp, State

from ..world import AT, exactly, holding, run, trade, transfer, venue, venues

D = Decimal
UNIFIED = {"margin": "unified", "haircuts": {"ETH": D("0.1")}, "slippage_bps": D(0)}


def prices(eth: float = 2000.0, at: Any = AT) -> DictSnapshot:
    return DictSnapshot(at, {"market_data": {"prices": {"ETH": eth, "BTC": 60000.0, "USDT": 1.0}}})


def refused(settings: dict[str, Any], block: dict[str, Any], **held: Any) -> str:
    all_venues = venues({"bybit": settings})
    with pytest.raises(VenueRejected) as caught:
        run(block, all_venues, holding(all_venues, prices(), bybit=held), prices())
    return caught.value.message


def test_a_coin_is_margin_at_its_price_less_its_haircut() -> None:
    short = trade("bybit", "sell", "ETHUSDT", 9, "perp")
    all_venues = venues({"bybit": UNIFIED})
    done = run(short, all_venues, holding(all_venues, prices(), bybit={"ETH": 10}), prices())
    assert done.state.positions()["bybit"]["ETHUSDT-PERP"] == -9
    split = {"slippage_bps": D(0)}
    assert refused(split, short, ETH=10).endswith("which would have -9.9; trade less or move USDT there first")
    most = {**UNIFIED, "max_leverage": D(1)}
    assert refused(most, trade("bybit", "sell", "ETHUSDT", 10, "perp"), ETH=10).startswith("sell of 10 ETHUSDT perp needs 20000 USDT")


def test_a_coin_that_carries_the_margin_cannot_be_sent_away() -> None:
    all_venues = venues({"bybit": UNIFIED, "wallet": {"gas_price_gwei": 0}})
    state = holding(all_venues, prices(), bybit={"ETH": 10, "ETHUSDT-PERP": -9})
    with pytest.raises(VenueRejected, match=r"transfer of 9\.95 ETH needs .* of margin on bybit"):
        run(transfer("bybit", "wallet", "ETH", "9.95"), all_venues, state, prices())
    assert run(transfer("bybit", "wallet", "ETH", 1), all_venues, state, prices()).state.positions()["bybit"]["ETH"] == 9


@given(st.decimals("0", "9000", places=2), st.integers(1, 60), st.decimals("1500", "4000", places=2))
@exactly
def test_a_liquidation_goes_in_steps_and_leaves_all_but_its_fees(cash: Decimal, size: int, price: Decimal) -> None:
    bybit = venue("bybit", {"margin": "unified", "haircuts": {"ETH": D("0.5")}})
    market = prices(float(price), AT + timedelta(minutes=30))
    account = ExchangeAccount({"USDT": cash, "ETH": D(3)}, {"ETHUSDT": Perp(D(-size), D(-size * 2000))})
    state = State({"bybit": account})
    found = bybit.margin(account, bybit.marks(account, market))
    is_enough = found.equity + D("1.5") * price > found.maintenance
    after, settled = bybit.update_to(state, market)
    rows = [row for row in settled if row.kind == "liquidation"]
    assert len(rows) == (not is_enough)
    if rows:
        left = after.parts["bybit"]
        equity = bybit.margin(left, bybit.marks(left, market)).equity
        paid = sum((cost.amount for cost in rows[0].costs), D(0))
        assert abs(found.equity - paid - equity) <= D("1e-7") * size
        assert left.balances["ETH"] == 3
        is_carried = equity + D("1.5") * price > bybit.margin(left, bybit.marks(left, market)).maintenance
        assert is_carried or not left.perps


def test_a_negative_balance_pays_interest_each_hour() -> None:
    bybit = venue("bybit", {**UNIFIED, "negative_balance_apr": D("0.1")})
    state = State({"bybit": ExchangeAccount({"USDT": D(-8760), "ETH": D(10)})})
    at = AT.replace(minute=0, second=0, microsecond=0)
    assert bybit.next_due(state, prices(at=at), prices(at=at + timedelta(hours=5)).instant) == prices(at=at).instant + HOUR_US
    after, (interest,) = bybit.update_to(state, prices(at=at))
    assert after.parts["bybit"].balances["USDT"] == D("-8760.1")
    assert [(cost.source, cost.amount) for cost in interest.costs] == [("borrow_interest", D("0.1"))]
    assert bybit.update_to(state, prices(at=at + timedelta(minutes=30))) == (state, ())


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no haircuts": (
        {"margin": "unified"},
        "haircuts: 'none'; allowed: at least one coin that is margin, such as {ETH: 0.1}: bybit has no published haircuts here",
    ),
    "a haircut above 1": (
        {"margin": "unified", "haircuts": {"ETH": 2}},
        "haircuts.ETH: 2; allowed: a number from 0 to 1 (0.1 is 10 %), or by date: [{from: date, value: …}, …]",
    ),
    "split with haircuts": (
        {"haircuts": {"ETH": D("0.1")}},
        "margin: 'split'; allowed: unified, or no haircuts and no negative_balance_apr",
    ),
}


@pytest.mark.parametrize(("settings", "message"), WRONG.values(), ids=WRONG)
def test_settings_that_make_no_unified_account_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ComponentError) as caught:
        venue("bybit", settings)
    assert str(caught.value) == f"CFG-001: venues.cex.bybit.{message}"


def liquidations(symbol: str, unified: bool, start: str, end: str, data: Path) -> int:
    figures = {"margin": "unified", "haircuts": {symbol.removesuffix("USDT"): 0.1}} if unified else {}
    legs = {"spot_venue": "bybit", "perp_venue": "bybit", "leverage": 3, "on_margin_shortage": "ignore", "symbol": symbol}
    found = run_config(
        {
            "strategy_mode": "basis", "share_class": "usdt_stable", "initial_capital": 100_000, "start": start, "end": end,
            "strategy": legs, "venues": {"cex": {"bybit": figures}},
        },
        data,
    )  # fmt: skip
    return sum('"kind":"liquidation"' in row["data"] for row in found.events.to_pylist())


@pytest.mark.parametrize("symbol", ["ETHUSDT", "BTCUSDT"])
@pytest.mark.parametrize(("start", "end"), [("2024-11-01", "2024-12-15"), ("2025-06-20", "2025-08-01")])
def test_a_hedge_at_leverage_3_survives_a_rally_in_a_unified_account_only(symbol: str, start: str, end: str, market_data: Path) -> None:
    ends = min(path.read_text().rstrip().rpartition("\n")[2][:10] for path in market_data.glob(f"ohlcv/bybit/*/{symbol}_1h.csv"))
    if ends < end:
        pytest.skip(f"the market data end on {ends}")
    assert liquidations(symbol, unified=False, start=start, end=end, data=market_data) == 1
    assert liquidations(symbol, unified=True, start=start, end=end, data=market_data) == 0
