"""Other people's clients understand the local exchange, without an error or a warning, and see what its ledger has.

They need packages of their own: hyperliquid's needs an older eth-account than the project has.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from ..server_process import REPOSITORY
from .process import ExchangeProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.prove
PACKAGES = Path(__file__).with_name("independent-clients.txt")


@pytest.fixture(scope="module")
def python() -> Path:
    """An environment with the clients, made once for each list of packages and each Python."""
    name = hashlib.sha256(PACKAGES.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = REPOSITORY / "build" / f"independent-clients-{name}"
    folder.parent.mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / "complete").exists():
            install(folder)
            (folder / "complete").touch()
    return folder / "bin" / "python"


def install(folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", str(PACKAGES)]
    installed = subprocess.run(pip, capture_output=True, text=True, check=False)
    if installed.returncode:
        if os.environ.get("CI") == "true":
            pytest.fail(f"the independent clients could not be installed: {installed.stderr}")
        pytest.skip(f"the independent clients could not be installed: {installed.stderr.strip().splitlines()[-1]}")


@pytest.fixture
def started(tmp_path: Path) -> Iterator[ExchangeProcess]:
    """On the machine's clock: these clients take the time from there."""
    with ExchangeProcess(tmp_path / "ledger") as exchange:
        yield exchange


def ask(python: Path, venue: str, exchange: ExchangeProcess) -> dict[str, Any]:
    command = [str(python), "-m", "tests.exchange.independent_clients", venue, exchange.url]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, env={"PATH": os.environ["PATH"]}, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    assert found.pop("warnings") == []
    return found


def test_python_binance(python: Path, started: ExchangeProcess) -> None:
    started.grant("binance", "spot", USDT="10000")
    assert ask(python, "binance", started) == {
        "terms": ["PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "MAX_NUM_ORDERS", "NOTIONAL"],
        "placed": ["FILLED", "0.10000000", ["0.00010000"]],
        "found": True, "open": True, "trades": ["0.10000000"], "balances": {"ETH": "0.09990000", "USDT": "9450.00000000"}, "moved": ["300"],
        "perp": ["FILLED", "0.1", "2000.00000000"], "position": [["-0.1", "2000.00000000"]], "fees": ["0.1"],
        "income": ["TRANSFER", "COMMISSION"], "margin": "259.90000000", "withdrawn": True, "deposits": [], "address": "USDT", "key": True,
        "bars": 3, "rate": True,
    }  # fmt: skip
    assert started.account("binance")["balances"] == {"spot": {"USDT": "9450", "ETH": "0.0999"}, "perp": {"USDT": "299.9"}}


def test_pybit(python: Path, started: ExchangeProcess) -> None:
    started.grant("bybit", "unified", USDT="10000")
    assert ask(python, "bybit", started) == {
        "terms": ["0.01", "0.01"], "found": [[True, "Filled"]], "fills": [["0.0001", "ETH"]], "perp": [["0.1", "0.11"]],
        "position": [["Sell", "0.1"]], "wallet": {"ETH": "0.0999", "USDT": "9699.89"}, "moved": ["100"], "funding": "45", "withdrawn": True,
        "deposits": [], "key": 1, "log": ["TRADE"], "bars": 3,
    }  # fmt: skip
    assert started.account("bybit")["balances"] == {"unified": {"USDT": "9699.89", "ETH": "0.0999"}, "funding": {"USDT": "45"}}


def test_python_okx(python: Path, started: ExchangeProcess) -> None:
    started.grant("okx", "trading", USDT="10000")
    assert ask(python, "okx", started) == {
        "terms": [["ETH-USDT-SWAP", "0.1", "0.01"], ["BTC-USDT-SWAP", "0.01", "0.01"]], "found": [True, "filled", "0.1", "-0.0001", "ETH"],
        "fills": [["ETH-USDT-SWAP", "1", "-0.1"], ["ETH-USDT", "0.1", "-0.0001"]], "open": True, "position": [["ETH-USDT-SWAP", "-1"]],
        "balances": {"ETH": "0.0999", "USDT": "9699.9"}, "state": ["success", "100"], "withdrawn": True, "funding": [["USDT", "47"]],
        "mode": "net_mode", "bills": ["2"], "bars": 3, "rate": 1,
    }  # fmt: skip
    assert started.account("okx")["balances"] == {"trading": {"USDT": "9699.9", "ETH": "0.0999"}, "funding": {"USDT": "47"}}


def test_hyperliquids_own_client(python: Path, started: ExchangeProcess) -> None:
    started.grant("hyperliquid", "spot", USDC="10000")
    started.grant("hyperliquid", "perp", USDC="10000")
    assert ask(python, "hyperliquid", started) == {
        "placed": "0.1", "found": ["order", "filled", "0x" + "a" * 32], "open": True, "cancelled": ["success"], "late": "0.1",
        "fills": [["ETH", "Close Short", "0.09", "USDC"], ["ETH", "Open Short", "0.09", "USDC"], ["@0", "Buy", "0.00007", "UETH"]],
        "position": [], "spot": {"USDC": "9700", "UETH": "0.09993"}, "moved": ["ok", "ok"], "updates": ["accountClassTransfer", "withdraw"],
        "mids": 4, "bars": 4, "funding": [],
    }  # fmt: skip
    assert started.account("hyperliquid")["balances"] == {"spot": {"USDC": "9700", "ETH": "0.09993"}, "perp": {"USDC": "10049.82"}}


def test_binances_own_client_finds_the_type_of_every_field_right(python: Path, started: ExchangeProcess) -> None:
    started.grant("binance", "spot", USDT="10000")
    started.grant("binance", "funding", USDT="1")
    started.control(
        {"deposit": {"venue": "binance", "token": "ETH", "amount": "1", "hash": "0xabc"}},
        {"setting": {"venue": "binance", "addresses": ["0x" + "1" * 40]}},
    )
    assert ask(python, "binance-sdk", started) == {
        "calls": ["54"],
        # In the answers that python-binance, ccxt and the look-up have, but not in this model of a new order.
        "DerivativesTradingUsdsFuturesRestAPI.new_order": [".avgPrice", ".cumQuote"],
    }
