"""All senders of one manager: what they share, and the one that an order goes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.clock import SystemClock
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.execution.connection import Connection, KeysInHand
from basis_strategy_v1.execution.order_in_hand import Sent
from basis_strategy_v1.execution.sender import Sender, SendSettings
from basis_strategy_v1.execution.sending_health import SendingHealth
from basis_strategy_v1.execution.timing import REAL_TIME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.core.gateway import Gateway
    from basis_strategy_v1.core.journal import LiveJournal
    from basis_strategy_v1.core.order import Approved
    from basis_strategy_v1.execution.conclusion import AccountState
    from basis_strategy_v1.execution.timing import Timing


class Senders:
    """A sender for each gateway, over one journal and one account. Gateways of one connection share its lock and its breaker."""

    def __init__(
        self,
        gateways: Iterable[Gateway],
        journal: LiveJournal,
        holdings: AccountState,
        settings: SendSettings = SendSettings(),  # noqa: B008  (immutable)
        *,
        clock: Clock | None = None,
        timing: Timing = REAL_TIME,
    ) -> None:
        self.journal = journal
        self.health = SendingHealth()
        self.keys = KeysInHand()
        self.connections: dict[str, Connection] = {}
        self.by_venue: dict[str, Sender] = {}
        for gateway in gateways:
            name = gateway.connection
            if name not in self.connections:
                self.connections[name] = Connection(name, failures=settings.failures, monotonic=timing.monotonic)
            self.by_venue[gateway.name] = Sender(
                gateway,
                journal,
                holdings,
                self.connections[name],
                keys=self.keys,
                health=self.health,
                clock=clock or SystemClock(),
                timing=timing,
                settings=settings,
            )

    def of(self, venue: str) -> Sender:
        """The sender of a venue account.

        Raises:
            ComponentError: EIM-002, it has no gateway.
        """
        try:
            return self.by_venue[venue]
        except KeyError:
            there = ", ".join(self.by_venue) or "none"
            raise ComponentError("EIM-002", f"{venue} has no live gateway; there are {there}: add it to the config") from None

    def send(self, approved: Approved, *, plan: int | None = None, step: int | None = None, parent: str | None = None) -> Sent:
        """Send an approved order by the sender of its venue; see `Sender.send`."""
        return self.of(approved.order.venue).send(approved, plan=plan, step=step, parent=parent)

    def wait_at_most(self, seconds: float) -> None:
        """Let no call wait for longer than this for what a venue has and has not ended: it raises StillPending instead."""
        for sender in self.by_venue.values():
            sender.patience_s = seconds

    def check_health(self) -> dict[str, Any]:
        """The answer to the health manager."""
        return self.health.check()
