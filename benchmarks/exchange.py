"""An order at the local exchange, next to plain ccxt's against the same server in the same run; import and memory next to bare ccxt."""

from __future__ import annotations

import gc
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figures import show

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.exchange.clients import client
from tests.exchange.process import ExchangeProcess
from tests.live.exchange.trader import BOTH, LIMITS, approved, secrets_of

from basis_strategy_v1.core.clock import SystemClock
from basis_strategy_v1.live.exchange_gateway import ExchangeGateway
from basis_strategy_v1.live.exchanges import open_exchange
from basis_strategy_v1.venues.exchanges import Settings

ROUNDS, ORDERS, MANY = 12, 25, 2_000
HELD = {"grant": {"venue": "binance", "wallet": "spot", "USDT": "1000000000", "ETH": "1000000"}}
MARGIN = {"grant": {"venue": "binance", "wallet": "perp", "USDT": "1000000000"}}
LIMITLESS = {"market": {"venue": "binance", "kind": "spot", "symbol": "ETHUSDT", "maximum": "1000000"}}
UNCOUNTED = {"headers": {"venue": "binance", "X-MBX-USED-WEIGHT-1M": "1", "X-MBX-ORDER-COUNT-10S": "1"}}
STARTED = """
import json, resource, sys, time
begun = time.process_time()
{code}
print(json.dumps([time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""
BARE = "import ccxt\nmade = ccxt.binance()"
OURS = """
from basis_strategy_v1.live.exchanges import open_exchange
from basis_strategy_v1.live.secrets import read_secrets
from basis_strategy_v1.venues.exchanges import Settings
keys = {f"BASIS_DEV__BINANCE__{name}": "x" for name in ("API_KEY", "API_SECRET")}
made = open_exchange("binance", Settings(), read_secrets("dev", keys), {"spot": ("ETHUSDT",), "perp": ("ETHUSDT",)})
"""
FOUR = ("binance", "bybit", "okx", "hyperliquid")
BARE_FOUR = f"import ccxt\nmade = [getattr(ccxt, name)() for name in {FOUR}]"
OURS_FOUR = f"""
from basis_strategy_v1.live.exchanges import open_exchange
from basis_strategy_v1.live.secrets import read_secrets
from basis_strategy_v1.venues.exchanges import EXCHANGES, Settings
keys = {{"API_KEY": "0x" + "1" * 40, "API_SECRET": "0x" + "1" * 64, "PASSPHRASE": "x"}}
made = []
for name in {FOUR}:
    symbol = "ETH" + EXCHANGES[name].settle
    secrets = read_secrets("dev", {{f"BASIS_DEV__{{name.upper()}}__{{field}}": text for field, text in keys.items()}})
    made.append(open_exchange(name, Settings(endpoint="URL"), secrets, {{"spot": (symbol,), "perp": (symbol,)}}))
    assert made[-1]._access.rules("spot", symbol) and made[-1]._access.rules("perp", symbol)
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name, ExchangeProcess(Path(name) / "ledger.jsonl") as server:
        server.control(HELD, MARGIN, LIMITLESS, UNCOUNTED)
        for kind, most in (("spot", 1), ("perp", 3)):
            _orders(server, kind, most)
        _growth(server)
        _starts(server.url)


def _gateway(server: ExchangeProcess) -> ExchangeGateway:
    return open_exchange("binance", Settings(endpoint=server.url), secrets_of(), BOTH, run="bench")


def _orders(server: ExchangeProcess, kind: str, most: int) -> None:
    gateway, plain = _gateway(server), client("binance", server.url)
    symbol = "ETH/USDT" if kind == "spot" else "ETH/USDT:USDT"
    plain.load_markets()
    numbers = iter(range(10**9))

    def ours() -> None:
        _send(gateway, f"{kind}{next(numbers)}", kind)

    def theirs() -> None:
        plain.create_order(symbol, "limit", "buy", "0.1", "2010", {"timeInForce": "IOC"})
        if kind == "perp":  # what the order does not say
            plain.fapiPrivateV3GetAccount()
            plain.fetch_my_trades(symbol, limit=10)

    ours()
    before = server.read("counts")
    ours()
    after = server.read("counts")
    requests = sum(after.values()) - sum(before.values())
    took: dict[Callable[[], None], list[float]] = {ours: [], theirs: []}
    for _ in range(ROUNDS):
        for call, times in took.items():
            begun = time.perf_counter()
            for _ in range(ORDERS):
                call()
            times.append((time.perf_counter() - begun) / ORDERS * 1_000)
    own, plain_ms = statistics.median(took[ours]), statistics.median(took[theirs])
    show(f"a {kind} order through the gateway", own, None, "ms", plain_ms, "plain ccxt's, with as many requests")
    show("of it more than plain ccxt", own - plain_ms, 0.3, "ms")
    show(f"requests of a {kind} order", requests, most, "")


def _send(gateway: ExchangeGateway, key: str, kind: str) -> Any:
    one = approved(key, kind, "buy", "0.1", at=SystemClock().now())
    return gateway.send(gateway.prepare(one, LIMITS, gateway.quote(one.order), None))


def _growth(server: ExchangeProcess) -> None:
    gateway = _gateway(server)
    for number in range(200):
        _send(gateway, f"w{number}", "spot")
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(MANY):
        _send(gateway, f"g{number}", "spot")
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    show(f"memory that {MANY:,} orders keep", grown_mb, 5, "MB")


def _starts(url: str) -> None:
    def started(code: str) -> tuple[float, float]:
        found = [
            json.loads(subprocess.run([sys.executable, "-c", STARTED.format(code=code)], check=True, capture_output=True, text=True).stdout)
            for _ in range(3)
        ]
        return min(took for took, _ in found), min(memory for _, memory in found)

    (bare_s, bare_mb), (own_s, own_mb) = started(BARE), started(OURS)
    show("import and making of a gateway", own_s, 0.7, "s", bare_s, "bare ccxt and its exchange")
    show("peak memory of it", own_mb, 150, "MB", bare_mb, "bare ccxt and its exchange")
    (_, bare_mb), (_, own_mb) = started(BARE_FOUR), started(OURS_FOUR.replace("URL", url))
    show("peak memory with four venues and their markets", own_mb, 150, "MB", bare_mb, "bare ccxt and its four exchanges")


if __name__ == "__main__":
    main()
