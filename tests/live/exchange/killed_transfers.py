"""What a process does that trades and transfers through a live manager and is killed: take up the account, send the rest, see what came."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import ccxt  # noqa: F401 a child begins at once: its parent has it already

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.journal import Status

from ...kill_points import Watched
from .trader import RunTime, block_of
from .transfers import LiveTransfers, ReadOnlyAddress, transfer

if TYPE_CHECKING:
    from ...kill_points import At

CALLS = ("quote", "prepare", "move_for", "send", "find", "read", "due")


def block(key: str, kind: str, amount: str) -> dict[str, object]:
    """`out` and `in` are transfers, `buy` and `sell` spot trades, `short` a perp."""
    if kind in ("out", "in"):
        ends = ("binance", "wallet") if kind == "out" else ("wallet", "binance")
        return transfer(*ends, amount, instruction_id=key)
    trade_type, side = ("perp", "sell") if kind == "short" else ("spot", kind)
    return block_of(trade_type, side, amount, instruction_id=key)


def run(at: At, folder: str, url: str, now: str, plan: list[tuple[str, str, str]]) -> None:
    """`now` is the time of the run."""
    one = LiveTransfers(
        ReadOnlyAddress(url), Path(folder), time=RunTime(datetime.fromisoformat(now)), at=at, timeout_s=0.5,
        watched=lambda gateway: Watched(gateway, gateway.name, at, CALLS),
    )  # fmt: skip
    one.settle()
    for key, kind, amount in plan:
        entry = one.journal.entry(key)
        if entry is None or entry.status is not Status.SETTLED:
            with suppress(ComponentError):  # the next process goes on
                one.execute(block(key, kind, amount))
    one.settle()
    one.close()
