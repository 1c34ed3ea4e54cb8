"""What a process does that sends a plan to the test venue, and is killed: recover, log what is missing, send the rest."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from basis_strategy_v1 import EventLogger
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.core.order import Approved, Order
from basis_strategy_v1.core.state import ExchangeAccount, State
from basis_strategy_v1.execution.recovery import Recovery
from basis_strategy_v1.execution.sender import SendSettings
from basis_strategy_v1.execution.senders import Senders
from basis_strategy_v1.execution.timing import REAL_TIME
from basis_strategy_v1.live.journal import SqliteJournal
from basis_strategy_v1.monitoring.logged_keys import logged_keys

from ...execution.memory_live_journal import Held
from ...kill_points import Watched
from ...ledger import FEE, OPENING, PRICES
from ...ledger_gateway import LedgerGateway

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.core.execution_report import ExecutionReport

    from ...kill_points import At

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
COMPONENT = "ExecutionInterfaceManager"
CALLS = ("quote", "prepare", "send", "find", "read")


def order_of(key: str, side: str, amount: str) -> Approved:
    """A spot trade of ETH."""
    block = {"instruction_type": "cex_trade", "venue": "binance", "trade_type": "spot", "side": side, "symbol": "ETHUSDT", "amount": amount}
    sign = 1 if side == "buy" else -1
    notional = Decimal(amount) * PRICES["ETHUSDT"]
    expected = Deltas.at("binance", {"ETH": sign * Decimal(amount), "USDT": -notional * (sign + FEE)})
    order = Order(key=key, at=NOON, venue="binance", instruction=parse_instruction(block), expected=expected)
    return Approved(order=order, notional_usd=notional)


def send_plan(at: At, folder: str, url: str, plan: list[tuple[str, str, str]], timeout_s: float = 0.2) -> None:
    """Recover what an earlier process left, then send what is not settled."""
    place = Path(folder)
    with SqliteJournal(place / "state", new_run="run", at=at) as journal, EventLogger(place / "logs", "live") as event_log:
        if journal.state() is None:
            journal.begin_account(State({"binance": ExchangeAccount(dict(OPENING))}), {})
        held = journal.state()
        assert held is not None
        log = Watched(event_log, "log", at, ("log_event",))
        timing = REAL_TIME._replace(sleep=lambda seconds: _move_on(url, seconds))
        gateway: Any = Watched(LedgerGateway(url), "gateway", at, CALLS)
        senders = Senders([gateway], journal, Held(held), SendSettings(timeout_s=timeout_s), timing=timing)
        recovery = Recovery(senders, timing)
        recovery.until_closed()
        missing, others = recovery.unlogged(lambda keys: logged_keys(place / "logs", keys))
        for entry in [*missing, *others]:
            if entry in missing:
                _log(log, entry.reports[-1])
            journal.logged(entry.key)
        for key, side, amount in plan:
            entry = journal.entry(key)
            if entry is not None and entry.status is Status.SETTLED:
                continue
            try:
                sent = senders.send(order_of(key, side, amount))
            except ComponentError:
                continue  # the next process goes on
            if "malformed" not in sent.report.details:
                _log(log, sent.report)
                journal.logged(key)


def _move_on(url: str, seconds: float) -> None:
    """Let the venue's clock go on instead of waiting."""
    requests.post(f"{url}/control", json={"advance_s": seconds}, timeout=10).raise_for_status()


def _log(log: Any, report: ExecutionReport) -> None:
    data: Mapping[str, Any] = {"key": report.key, "deltas": report.deltas.as_texts(), "details": report.details}
    log.log_event(report.at, "execution", COMPONENT, data)
