"""The engine behind all venues, without HTTP: after any trades the ledger adds up."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .clock import Clock
from .control import command
from .engine import Engine
from .ledger import Ledger, Order, Refused
from .markets import PERP, SPOT, TERMS
from .moves import address_of

if TYPE_CHECKING:
    from pathlib import Path

D = Decimal
VENUES = tuple(TERMS)


def engine_of(path: Path | None = None) -> Engine:
    return Engine(path, Clock(by_requests=True, start_ms=1_717_243_200_000))


def trade(engine: Engine, venue: str, market: str, side: str, amount: Decimal) -> Order | None:
    """A market order, or None where it is refused."""
    symbol = f"ETH{TERMS[venue].settle}"
    number = engine.ledger.next_id()
    order = Order(number, f"c{number}", market, symbol, side, amount, None, "IOC", False, engine.now(), engine.now())
    try:
        return engine.matching.place(engine.ledger.account(venue, "main"), order)
    except Refused:
        return None


TRADES = st.lists(
    st.tuples(st.sampled_from(("buy", "sell")), st.integers(1, 300), st.integers(1_000, 4_000), st.sampled_from((SPOT, PERP))), max_size=12
)


@given(st.sampled_from(VENUES), TRADES)
def test_balances_are_the_sum_of_what_the_fills_moved(venue: str, trades: list[tuple[str, int, int, str]]) -> None:
    engine = engine_of()
    terms = TERMS[venue]
    for wallet in terms.wallets:
        command(engine, {"grant": {"venue": venue, "wallet": wallet, terms.settle: "1000000", "ETH": "100"}})
    account = engine.ledger.account(venue, "main")
    before = {(wallet, token): amount for wallet, held in account.balances.items() for token, amount in held.items()}
    for side, lots, price, market in trades:
        command(engine, {"price": {"symbol": f"ETH{terms.settle}", "price": str(price)}})
        trade(engine, venue, market, side, lots * D("0.01"))
    for fill in account.fills:
        wallet = terms.wallet_of[fill.market]
        sign = 1 if fill.side == "buy" else -1
        if fill.market == SPOT:
            before[wallet, "ETH"] += sign * fill.amount
            before[wallet, terms.settle] -= sign * fill.amount * fill.price
        else:
            before[wallet, terms.settle] += fill.realised
        before[wallet, fill.fee_token] -= fill.fee
    assert {(wallet, token): amount for wallet, held in account.balances.items() for token, amount in held.items()} == before


@given(st.sampled_from(VENUES), TRADES)
def test_a_position_that_is_closed_has_realised_what_its_trades_paid(venue: str, trades: list[tuple[str, int, int, str]]) -> None:
    engine = engine_of()
    terms = TERMS[venue]
    command(engine, {"grant": {"venue": venue, "wallet": terms.wallet_of[PERP], terms.settle: "1000000"}})
    account = engine.ledger.account(venue, "main")
    symbol = f"ETH{terms.settle}"
    for side, lots, price, _ in trades:
        command(engine, {"price": {"symbol": symbol, "price": str(price)}})
        trade(engine, venue, PERP, side, lots * D("0.01"))
    held = account.positions[symbol].amount if symbol in account.positions else D(0)
    if held:
        trade(engine, venue, PERP, "sell" if held > 0 else "buy", abs(held))
    paid = sum(((-1 if fill.side == "buy" else 1) * fill.amount * fill.price for fill in account.fills), D(0))
    realised = sum((fill.realised for fill in account.fills), D(0))
    # Each fill rounds to a hundred-millionth.
    assert abs(realised - paid) <= D("1e-8") * len(account.fills)


def test_a_ledger_that_is_read_again_is_the_same(tmp_path: Path) -> None:
    engine = engine_of(tmp_path / "ledger")
    for wallet in ("spot", "perp"):
        command(engine, {"grant": {"venue": "binance", "wallet": wallet, "USDT": "10000"}})
    trade(engine, "binance", SPOT, "buy", D(1))
    trade(engine, "binance", PERP, "sell", D(1))
    command(engine, {"fund": {"venue": "binance", "symbol": "ETHUSDT", "rate": "0.0001"}})
    assert Ledger(tmp_path / "ledger").accounts == engine.ledger.accounts


def test_a_kill_between_the_two_ends_of_a_withdrawal_loses_nothing(tmp_path: Path) -> None:
    engine = engine_of(tmp_path / "ledger")
    command(engine, {"grant": {"venue": "binance", "wallet": "spot", "USDT": "100"}})
    bybit = engine.ledger.account("bybit", "main")
    binance = engine.ledger.account("binance", "main")
    command(engine, {"grant": {"venue": "bybit", "wallet": "funding", "USDT": "1"}})
    engine.moves.withdraw(binance, "USDT", D(50), "", address_of(bybit, "USDT", ""), "one", fee_on_top=False)
    command(engine, {"withdrawal": {"venue": "binance", "client_id": "one", "status": "completed"}})
    *kept, last = (tmp_path / "ledger").read_text().splitlines(keepends=True)
    assert '"kind": "deposit"' in last
    (tmp_path / "ledger").write_text("".join(kept))
    again = engine_of(tmp_path / "ledger")
    assert again.ledger.account("bybit", "main").balances == {"funding": {"USDT": D(47)}}


@pytest.mark.parametrize("venue", VENUES)
def test_an_order_of_no_lot_no_tick_too_little_or_too_much_is_refused(venue: str) -> None:
    engine = engine_of()
    terms = TERMS[venue]
    symbol = f"ETH{terms.settle}"
    command(engine, {"grant": {"venue": venue, "wallet": terms.wallet_of[SPOT], terms.settle: "1000000000"}})
    found = []
    for amount, limit in ((D("0.00000001"), D(2000)), (D(1), D("2000.001")), (D("0.0001"), D(2000)), (D(20_000), D(2000)), (D(1), D(2000))):
        number = engine.ledger.next_id()
        order = Order(number, f"c{number}", SPOT, symbol, "buy", amount, limit, "IOC", False, engine.now(), engine.now())
        try:
            found.append(engine.matching.place(engine.ledger.account(venue, "main"), order).status)
        except Refused as refused:
            found.append(refused.reason)
    assert found == ["lot", "tick", "notional", "quantity", "filled"]
