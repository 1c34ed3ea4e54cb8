"""The local exchange is a process: it survives a kill with all that it knew, ends with its parent, and reads recorded prices."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import ccxt
import pytest
import requests

from ..server_process import REPOSITORY
from .clients import client
from .process import ExchangeProcess

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

D = Decimal
PERP = "ETH/USDT:USDT"
NOON = 1_717_243_200_000
HOUR = 3_600_000


def test_after_a_kill_the_ledger_and_lasting_commands_are_as_before(tmp_path: Path, loaded: Callable[[str], Any]) -> None:
    with ExchangeProcess(tmp_path / "ledger", "--clock", "requests") as exchange:
        exchange.grant("binance", "spot", USDT="1000")
        exchange.control(price={"symbol": "ETHUSDT", "price": "1000"})
        binance = client("binance", exchange.url)
        binance.set_markets(list(loaded("binance").markets.values()))
        binance.milliseconds = lambda: NOON
        binance.create_order("ETH/USDT", "limit", "buy", "0.1", "1010", {"timeInForce": "IOC"})
        exchange.control(advance_s=0.5)
        binance.create_order("ETH/USDT", "limit", "buy", "0.1", "900")
        before = exchange.account("binance")
        exchange.kill()
        with exchange.ledger.open("ab") as file:
            file.write(b'{"kind": "order", "at": 1, "ven')  # a line that a kill cut off
        exchange.start()
        assert exchange.account("binance") == before
        assert exchange.read("clock") == {"now": NOON + 500}
        assert binance.fetch_ticker("ETH/USDT")["last"] == "1000.00000000"
        placed = binance.create_order("ETH/USDT", "limit", "buy", "0.1", "1010", {"timeInForce": "IOC"})
        assert placed["id"] not in [str(one["id"]) for one in before["orders"]]


def orders(address: str, name: str, many: int) -> list[str]:
    """The ids that were answered, until no answer comes."""
    found = []
    session = requests.Session()
    for number in range(many):
        order = {"symbol": "ETHUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "IOC", "quantity": "0.01", "price": "2010"}
        query = urlencode({**order, "newClientOrderId": f"{name}{number}", "timestamp": NOON})
        query += "&signature=" + hmac.new(b"secret", query.encode(), hashlib.sha256).hexdigest()
        try:
            answer = session.post(f"{address}/api/v3/order", data=query, headers={"X-MBX-APIKEY": "key"}, timeout=10)
        except requests.ConnectionError:
            break
        found.append(answer.json()["clientOrderId"])
    return found


def test_orders_that_come_at_once_are_each_executed_once(tmp_path: Path) -> None:
    with ExchangeProcess(tmp_path / "ledger", "--clock", "requests") as exchange, ThreadPoolExecutor(4) as pool:
        exchange.grant("binance", "spot", USDT="10000")
        answered = [one for found in pool.map(lambda name: orders(exchange.url, name, 10), "abcd") for one in found]
        account = exchange.account("binance")
        assert sorted(order["client_id"] for order in account["orders"]) == sorted(answered)
        assert account["balances"]["spot"] == {"USDT": "9200", "ETH": "0.3996"}
        assert len({fill["id"] for fill in account["fills"]}) == len(answered) == 40


def test_what_was_answered_is_in_the_ledger_after_a_kill(tmp_path: Path) -> None:
    with ExchangeProcess(tmp_path / "ledger", "--clock", "requests") as exchange, ThreadPoolExecutor(2) as pool:
        exchange.grant("binance", "spot", USDT="10000000")
        sending = [pool.submit(orders, exchange.url, name, 100_000) for name in "ab"]
        while exchange.count("binance", "order") < 50:
            pass
        exchange.kill()
        answered = {one for future in sending for one in future.result()}
        exchange.start()
        account = exchange.account("binance")
        executed = {order["client_id"] for order in account["orders"]}
        assert answered <= executed
        assert len(executed - answered) <= 2  # executed, and the answer did not leave
        assert D(account["balances"]["spot"]["ETH"]) == len(executed) * D("0.00999")


def test_it_ends_when_its_parent_was_killed(tmp_path: Path) -> None:
    script = "import sys; from tests.exchange.process import ExchangeProcess as E; from pathlib import Path; e = E(Path(sys.argv[1]));"
    parent = subprocess.run(
        [sys.executable, "-c", f"{script} print(e.port, e._process.pid, flush=True); import os; os._exit(0)", str(tmp_path / "ledger")],
        capture_output=True, text=True, check=True, cwd=REPOSITORY,
    )  # fmt: skip
    port, pid = parent.stdout.split()
    # The pipe that it writes to is closed once it has ended, so `run` waits for that: it came back, and nobody listens.
    assert int(pid) > 0
    refused = client("binance", f"http://127.0.0.1:{port}")
    try:
        refused.fetch_time()
    except ccxt.NetworkError as error:
        assert "refused" in str(error.__cause__)
    else:
        raise AssertionError("it still answers")


def write(path: Path, header: str, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join((header, *rows)) + "\n")


def test_prices_and_funding_come_from_recorded_data_at_the_clock_of_requests(tmp_path: Path, loaded: Callable[[str], Any]) -> None:
    bars = [f"2024-06-01T{hour:02}:00:00Z,1,1,1,{price},1" for hour, price in ((11, 3000), (12, 3100), (13, 3200))]
    write(tmp_path / "data/ohlcv/binance/perp/ETHUSDT_1h.csv", "timestamp,open,high,low,close,volume", *bars)
    rates = ["2024-06-01T12:00:00Z,0.5", "2024-06-01T13:00:00Z,0.0001", "2024-06-01T14:00:00Z,-0.0002"]
    write(tmp_path / "data/funding/binance/ETHUSDT.csv", "timestamp,funding_rate", *rates)
    with ExchangeProcess(
        tmp_path / "ledger", "--clock", "requests", "--data", str(tmp_path / "data"), "--at", "2024-06-01T12:00:00Z"
    ) as exchange:
        exchange.grant("binance", "perp", USDT="10000")
        binance = client("binance", exchange.url)
        binance.set_markets(list(loaded("binance").markets.values()))
        now = [NOON]
        binance.milliseconds = lambda: now[0]
        placed = binance.create_order(PERP, "limit", "sell", "1", "2900", {"timeInForce": "IOC"})
        assert placed["average"] == "3000.00000000"
        now[0] = NOON + 2 * HOUR
        funding = binance.fetch_funding_history(PERP)
        assert [(one["timestamp"], one["amount"]) for one in funding] == [(NOON + HOUR, "0.31"), (NOON + 2 * HOUR, "-0.64")]
        assert binance.fetch_ticker(PERP)["last"] == "3200.00000000"
        assert binance.fetch_ticker("ETH/USDT")["last"] == "3200.00000000"  # no spot series: the perp's
        hyperliquid = client("hyperliquid", exchange.url)
        hyperliquid.set_markets(list(loaded("hyperliquid").markets.values()))
        assert hyperliquid.publicPostInfo({"type": "allMids"})["ETH"] == "3200"  # in USDC there: that in USDT
        assert exchange.balances("binance", "perp") == {"USDT": 10_000 - D("1.5") + D("0.31") - D("0.64")}


def test_it_speaks_https_with_a_certificate_that_nobody_signed(tmp_path: Path) -> None:
    write_certificate(tmp_path / "certificate.pem")
    with ExchangeProcess(tmp_path / "ledger", "--certificate", str(tmp_path / "certificate.pem")) as exchange:
        refused = client("binance", exchange.url.replace("http://", "https://"))
        with pytest.raises(ccxt.NetworkError) as error:
            refused.fetch_time()
        assert "CERTIFICATE_VERIFY_FAILED" in repr(error.value.__cause__)


def write_certificate(path: Path) -> None:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    key = path.with_suffix(".key")
    subprocess.run([*openssl, "-keyout", str(key), "-out", str(path)], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())
