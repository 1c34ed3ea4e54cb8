"""What a process does that trades at the local exchange and is killed: recover, log what is missing, send the rest."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import ccxt  # noqa: F401 a child begins at once: its parent has it already

from basis_strategy_v1 import EventLogger
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.monitoring.logged_keys import logged_keys

from ...kill_points import Watched
from .trader import RunTime, Trader

if TYPE_CHECKING:
    from ...exchange.process import ExchangeProcess
    from ...kill_points import At

COMPONENT = "ExecutionInterfaceManager"
CALLS = ("quote", "prepare", "move_for", "send", "find", "read")


class Address:
    """The exchange of another process."""

    def __init__(self, url: str) -> None:
        self.url = url


def trade(at: At, folder: str, url: str, now: str, plan: list[tuple[str, str, str, str]], venue: str = "binance") -> None:
    """Recover what an earlier process left, then send what is not settled. `now` is the time of the run."""
    place = Path(folder)
    exchange: ExchangeProcess = Address(url)  # type: ignore[assignment]
    trader = Trader(exchange, place, time=RunTime(datetime.fromisoformat(now)), at=at, timeout_s=0.5, venue=venue)
    trader.watch(lambda gateway: Watched(gateway, "gateway", at, CALLS))
    with EventLogger(place / "logs", "live") as event_log:
        log = Watched(event_log, "log", at, ("log_event",))
        trader.recovery.until_closed()
        missing, others = trader.recovery.unlogged(lambda keys: logged_keys(place / "logs", keys))
        for entry in [*missing, *others]:
            if entry in missing:
                _log(log, entry.reports[-1])
            trader.journal.logged(entry.key)
        for key, trade_type, side, amount in plan:
            entry_ = trader.journal.entry(key)
            if entry_ is not None and entry_.status is Status.SETTLED:
                continue
            try:
                report = trader.send(key, trade_type, side, amount)
            except ComponentError:
                continue  # the next process goes on
            if "malformed" not in report.details:
                _log(log, report)
                trader.journal.logged(key)
        trader.close()


def _log(log: object, report: object) -> None:
    data = {"key": report.key, "deltas": report.deltas.as_texts(), "details": report.details}  # type: ignore[attr-defined]
    log.log_event(report.at, "execution", COMPONENT, data)  # type: ignore[attr-defined]
