"""What a live manager sends with: made of its config and of what it was handed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from msgspec import structs

from basis_strategy_v1.core.journal import MemoryJournal
from basis_strategy_v1.core.limits import Limits
from basis_strategy_v1.execution.live_run import LiveParts
from basis_strategy_v1.execution.risk import require_limits
from basis_strategy_v1.execution.sender import SendSettings
from basis_strategy_v1.live.journal_on_demand import JournalOnDemand
from basis_strategy_v1.monitoring.event_logger import EventLogger
from basis_strategy_v1.monitoring.logged_keys import logged_keys

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from basis_strategy_v1.config import Config
    from basis_strategy_v1.core.gateway import Gateway
    from basis_strategy_v1.core.journal import LiveJournal
    from basis_strategy_v1.execution.live_run import KeysInLog


def live_parts(
    settings: Config, gateways: Mapping[str, Gateway], state: str | Path | None, journal: LiveJournal | None, log: EventLogger | None
) -> LiveParts:
    """The parts of a live run.

    Raises:
        ComponentError: CFG-001, there are gateways and no limits.
    """
    if not gateways:
        return NO_GATEWAYS
    limits = require_limits(settings.limits)
    return LiveParts(
        gateways=gateways,
        journal=journal or cast("LiveJournal", JournalOnDemand("state" if state is None else state)),
        limits=limits,
        keys_in_log=_keys_in(log),
        settings=send_settings(settings, limits),
        allocation=settings.live.allocation,
    )


def send_settings(settings: Config, limits: Limits) -> SendSettings:
    """How orders are sent, as the config has it."""
    return SendSettings(
        attempts=settings.max_retry_attempts,
        delay_s=float(settings.retry_delay_seconds),
        timeout_s=float(settings.venue_timeout),
        failures=settings.max_retries_per_venue,
        settle_deadline_s=structs.asdict(settings.live.settle_deadline_s),
        limits=limits,
    )


def _keys_in(log: EventLogger | None) -> KeysInLog:
    """Which of some keys have their event in an event log."""

    def keys_in_log(keys: Collection[str]) -> Collection[str]:
        return logged_keys(log.directory, keys) if isinstance(log, EventLogger) else ()

    return keys_in_log


# Nothing can be sent: there are no limits to keep, and nothing is written down.
NO_GATEWAYS = LiveParts(gateways={}, journal=cast("LiveJournal", MemoryJournal()), limits=Limits(), keys_in_log=_keys_in(None))
