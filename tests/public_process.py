"""The public side of the exchanges as a process that a test starts and commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.clock import to_instant

from .server_process import ServerProcess

if TYPE_CHECKING:
    from datetime import datetime


class PublicProcess(ServerProcess):
    def __init__(self) -> None:
        super().__init__("tests.public_exchange")

    def control(self, **given: Any) -> Any:
        return self.send_control(given)

    def move_to(self, at: datetime) -> None:
        """The exchanges' time."""
        self.control(now_ms=to_instant(at) // 1_000)

    def fail(self, fault: str | None, on: str = "") -> None:
        """What goes wrong from now on, with requests whose host and path hold a text."""
        self.control(fault=fault, on=on)

    def seen(self) -> list[str]:
        """The requests since the last time."""
        return list(self.control(seen=True))
