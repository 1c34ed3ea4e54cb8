"""Unmodified ccxt against a local server with the shapes of each exchange: prices and rates come out as the text has them."""

from __future__ import annotations

import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from basis_strategy_v1.core.clock import HOUR_US, SECOND_US, to_instant
from basis_strategy_v1.core.error_codes.exceptions import VenueUnreachable
from basis_strategy_v1.core.market import MissingData
from basis_strategy_v1.live import public_exchange
from basis_strategy_v1.live.public_exchange import Bar, PublicExchange, Rate

from ..public_exchange import HOURS, close_of, rate_of
from ..public_process import PublicProcess

NOW = datetime(2026, 6, 1, 12, 34, 56, tzinfo=UTC)
INSTANT = to_instant(NOW)
NAMES = ("binance", "bybit", "okx", "hyperliquid")
MINUTE_US = 60 * SECOND_US


def symbol_at(name: str) -> str:
    return "ETHUSDC" if name == "hyperliquid" else "ETHUSDT"


@pytest.fixture
def at_noon(exchanges: PublicProcess) -> PublicProcess:
    exchanges.move_to(NOW)
    return exchanges


def bar(kind: str, opened: int, length_us: int) -> Bar:
    close = close_of(kind, min(opened + length_us, INSTANT) // 1_000)
    return Bar(opened, close + 2, close - 2, close)


@pytest.mark.parametrize("kind", ["spot", "perp"])
@pytest.mark.parametrize("name", NAMES)
def test_bars_are_exact_and_the_last_one_is_of_now(name: str, kind: str, at_noon: PublicProcess) -> None:
    minute = INSTANT // MINUTE_US * MINUTE_US
    found = PublicExchange(name, at_noon.url).bars(kind, symbol_at(name), "1m", minute - 2 * MINUTE_US, INSTANT + MINUTE_US)
    assert found == [bar(kind, minute + place * MINUTE_US, MINUTE_US) for place in (-2, -1, 0)]


@pytest.mark.parametrize("name", NAMES)
def test_a_long_time_is_read_in_pages_without_a_gap(name: str, at_noon: PublicProcess) -> None:
    hour = INSTANT // HOUR_US * HOUR_US
    found = PublicExchange(name, at_noon.url).bars("perp", symbol_at(name), "1h", hour - 700 * HOUR_US, hour - 1)
    assert found == [bar("perp", hour - place * HOUR_US, HOUR_US) for place in range(700, 0, -1)]


@pytest.mark.parametrize("name", NAMES)
def test_payments_are_of_the_full_hour_whatever_their_stamp_and_come_in_pages(name: str, at_noon: PublicProcess) -> None:
    every = HOURS.get(name, 8) * HOUR_US
    last = INSTANT // every * every
    found = PublicExchange(name, at_noon.url).funding_rates(symbol_at(name), last - 99 * every, INSTANT)
    assert found == [Rate(paid_at, rate_of(paid_at // 1_000)) for paid_at in range(last - 99 * every, last + 1, every)]


@pytest.mark.parametrize("name", NAMES)
def test_the_next_payment_is_at_the_next_full_interval(name: str, exchanges: PublicProcess) -> None:
    before = to_instant(datetime.now(UTC))
    found = PublicExchange(name, exchanges.url).next_funding(symbol_at(name))
    every = HOURS.get(name, 8) * HOUR_US
    assert found.paid_at % every == 0 and before < found.paid_at <= to_instant(datetime.now(UTC)) + every
    assert found.rate == rate_of(found.paid_at // 1_000)


@pytest.mark.parametrize("name", NAMES)
def test_an_exchange_says_its_time(name: str, at_noon: PublicProcess) -> None:
    assert PublicExchange(name, at_noon.url).time() == INSTANT


@pytest.mark.parametrize("name", NAMES)
def test_only_symbols_and_time_prices_and_rates_are_asked_for(name: str, at_noon: PublicProcess) -> None:
    exchange = PublicExchange(name, at_noon.url)
    exchange.bars("perp", symbol_at(name), "1m", INSTANT - MINUTE_US, INSTANT)
    assert len(at_noon.seen()) == {"binance": 3, "bybit": 4, "okx": 3, "hyperliquid": 3}[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_symbol_that_is_not_listed_is_named(name: str, at_noon: PublicProcess) -> None:
    exchange = PublicExchange(name, at_noon.url)
    with pytest.raises(MissingData) as raised:
        exchange.bars("perp", "FOOUSDT", "1m", INSTANT, INSTANT)
    assert raised.value.message == f"{name} lists no perp FOOUSDT; correct the symbol, or choose another exchange"
    assert not exchange.lists("spot", "FOOUSDT") and exchange.lists("spot", symbol_at(name))


FAULTS = ("500", "html", "cut", "empty", "hang")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", NAMES)
def test_an_exchange_that_answers_nonsense_or_nothing_is_one_line_with_its_name(name: str, fault: str, at_noon: PublicProcess) -> None:
    exchange = PublicExchange(name, at_noon.url, 0.3 if fault == "hang" else 5.0)
    at_noon.fail(fault)
    with pytest.raises(VenueUnreachable) as raised:
        exchange.time()
    assert raised.value.error_code == "CEX-002"
    assert raised.value.message.startswith(f"{name} cannot be asked for its time: ") and "\n" not in raised.value.message
    assert ("no answer within 0.3 s" in raised.value.message) is (fault == "hang")
    at_noon.fail(None)
    assert exchange.time() == INSTANT  # the same client goes on


@pytest.mark.parametrize("fault", ["500", "html", "cut"])
@pytest.mark.parametrize("name", NAMES)
def test_prices_and_rates_that_cannot_be_read_are_none(name: str, fault: str, at_noon: PublicProcess) -> None:
    exchange, symbol = PublicExchange(name, at_noon.url), symbol_at(name)
    assert exchange.lists("perp", symbol)
    at_noon.fail(fault)
    calls = (
        lambda: exchange.bars("perp", symbol, "1m", INSTANT - MINUTE_US, INSTANT),
        lambda: exchange.funding_rates(symbol, INSTANT - 9 * HOUR_US, INSTANT),
        lambda: exchange.next_funding(symbol),
    )
    for call in calls:
        try:
            assert call() == []
        except VenueUnreachable as error:
            assert error.message.startswith(f"{name} cannot be asked for ")


def test_an_endpoint_may_have_a_path(at_noon: PublicProcess) -> None:
    assert PublicExchange("binance", f"{at_noon.url}/proxy/").time() == INSTANT
    assert at_noon.seen() == ["api.binance.com/proxy/api/v3/time"]


UNREADABLE = {
    "no list": "nothing",
    "a low above the high": [[1_717_228_800_000, "3000", "2999", "3001", "3000", "1"]],
    "a price of zero": [[1_717_228_800_000, "0", "0", "0", "0", "1"]],
    "a time in the far future": [[10**15, "1", "1", "1", "1", "1"]],
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_bars_that_cannot_be_are_refused(what: str) -> None:
    with pytest.raises(ValueError):
        public_exchange._bars(UNREADABLE[what])


def test_without_a_connection_the_endpoint_is_named() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(VenueUnreachable) as raised:
        PublicExchange("binance", endpoint).time()
    assert raised.value.message == f"binance cannot be asked for its time: no connection (endpoint {endpoint})"


@pytest.mark.parametrize("missing", [("ccxt",), ("requests",), ("ccxt", "requests")])
def test_without_the_extra_one_line_says_what_to_install(missing: tuple[str, ...]) -> None:
    code = f"""
import sys
sys.modules.update(dict.fromkeys({missing!r}))
from basis_strategy_v1.app import live, live_check
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.live.public_exchange import PublicExchange
try:
    PublicExchange("binance")
except ComponentError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    names = " and ".join(missing)
    line = f"CFG-003: exchanges are reached through {names}: install basis-strategy[live] (in a checkout: pip install '.[live]')"
    assert (done.stdout, done.stderr, done.returncode) == (f"{line}\n", "", 0)


def test_the_commands_of_the_account_on_chain_say_what_is_missing_in_one_line(tmp_path: Path) -> None:
    code = """
import sys
sys.modules.update(dict.fromkeys(("eth_abi", "eth_account", "requests", "ccxt")))
from basis_strategy_v1.cli import main
sys.argv = ["basis", "chain", "status", "any.yaml"]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    line = "CFG-003: a chain is reached through eth_abi and eth_account and requests: install basis-strategy[live]"
    assert (done.stdout, done.stderr, done.returncode) == ("", f"basis: {line} (in a checkout: pip install '.[live]')\n", 2)
