"""What a process does that trades on chain and is killed: recover, log what is missing, send the rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import eth_account  # noqa: F401 a child begins at once: its parent has it already
import requests  # noqa: F401

from basis_strategy_v1 import EventLogger

from ..kill_points import Watched
from .node import ShiftedClock
from .wallet_trader import WalletTrader

if TYPE_CHECKING:
    from ..kill_points import At

CALLS = ("quote", "prepare", "send", "find", "read", "due")


@dataclass
class Address:
    url: str


class Place:
    """The world of another process."""

    def __init__(self, url: str, config: dict[str, Any], shift_s: float) -> None:
        self.chain = Address(url)
        self._config = config
        self.clock = ShiftedClock()
        self.clock.shift = timedelta(seconds=shift_s)

    def config(self) -> dict[str, Any]:
        return self._config


class WatchedTrader(WalletTrader):
    """Its gateway's calls, each signature and each sending are points."""

    def _gateway(self) -> Any:
        gateway = super()._gateway()
        gateway._signer = Watched(gateway._signer, "signer", self._at, ("sign_transaction",))
        gateway._client = Watched(gateway._client, "node", self._at, ("send_raw",))
        return Watched(gateway, "gateway", self._at, CALLS)


def trade(at: At, folder: str, url: str, config: dict[str, Any], shift_s: float, plan: list[dict[str, Any]]) -> None:
    """Recover what an earlier process left, then send what is not settled."""
    place = Place(url, config, shift_s)
    with EventLogger(Path(folder) / "logs", "live") as log:
        trader = WatchedTrader(place, Path(folder) / "state", at=at, event_logger=log)  # type: ignore[arg-type]
        trader.start()
        for block in plan:
            trader.execute(block)
        trader.close()
