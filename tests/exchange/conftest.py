"""One local exchange for all tests of a process; each test has a ledger of its own."""

from __future__ import annotations

from contextlib import suppress
from decimal import localcontext
from typing import TYPE_CHECKING, Any

import pytest

from .clients import client
from .process import ExchangeProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

AT = 1_717_243_200_000  # 2024-06-01T12:00:00Z


@pytest.fixture(autouse=True)
def _rounding() -> Iterator[None]:
    """ccxt changes the rounding of the thread that calls it: of the test only."""
    with localcontext():
        yield


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExchangeProcess]:
    with ExchangeProcess(tmp_path_factory.mktemp("exchange") / "first", "--clock", "requests", "--at", "2024-06-01T12:00:00Z") as process:
        yield process


@pytest.fixture
def exchange(running: ExchangeProcess, tmp_path: Path) -> Iterator[ExchangeProcess]:
    """On the clock of requests: now is noon of 2024-06-01, or the newest signed timestamp. It makes no error of its own."""
    running.begin(tmp_path / "ledger", {"to": AT})
    yield running
    assert running.read("errors") == []


@pytest.fixture(scope="session")
def loaded(running: ExchangeProcess) -> Callable[[str], Any]:
    """A client of each venue with its markets, which other clients take over."""
    import ccxt  # not above: it takes seconds, and tests of the engine do without

    clients: dict[str, Any] = {}

    def of(venue: str) -> Any:
        if venue not in clients:
            clients[venue] = client(venue, running.url)
            clients[venue].load_markets()
            if venue == "hyperliquid":  # the first signature that it verifies loads what it verifies them with
                nobody = {"action": {"type": "updateLeverage"}, "nonce": 1, "signature": {"r": "0x1", "s": "0x1", "v": 27}}
                with suppress(ccxt.BaseError):
                    clients[venue].privatePostExchange(nobody)
        return clients[venue]

    return of


class Times:
    """The clock of the client: what it signs."""

    def __init__(self) -> None:
        self.now_ms = AT

    def advance(self, seconds: float) -> None:
        self.now_ms += round(1_000 * seconds)


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def connect(exchange: ExchangeProcess, loaded: Callable[[str], Any], times: Times) -> Callable[..., Any]:
    """A client that signs the time of `times`."""

    def of(venue: str, **config: Any) -> Any:
        made = client(venue, exchange.url, **config)
        made.set_markets(list(loaded(venue).markets.values()))
        made.milliseconds = lambda: times.now_ms
        return made

    return of
