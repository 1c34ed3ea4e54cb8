"""The market at an instant, from whatever a manager was given as its data provider."""

from __future__ import annotations

from decimal import localcontext
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.clock import SystemClock
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import DictSnapshot, MarketSnapshot
from basis_strategy_v1.venues.exchanges import quote_tokens

if TYPE_CHECKING:
    from datetime import datetime

    from basis_strategy_v1.core.clock import Clock


class MarketSource:
    """Snapshots of a data provider: one with `snapshot(at, instant)`, or anything with `get_data(timestamp)`.

    `knows_rows`: the provider knows when its rows came, so that what falls due between two instants can be found.
    """

    def __init__(self, data_provider: Any, clock: Clock | None = None) -> None:
        self.data_provider = data_provider
        self._snapshot = getattr(data_provider, "snapshot", None)
        self._fresh = getattr(data_provider, "fresh", None)
        self.knows_rows = self._snapshot is not None
        self._clock: Clock | None = clock or getattr(data_provider, "clock", None)
        self.latest: MarketSnapshot | None = None  # the one that was used last

    def at(self, at: datetime, instant: int | None = None) -> MarketSnapshot:
        """The snapshot at a time; `instant` is the same in microseconds, where the caller has it.

        Raises:
            ComponentError: the time is naive (DAT-006), after the provider's clock (DAT-004), or there is no provider.
        """
        if self._snapshot is not None:
            latest = self.latest
            if latest is None or latest.at is not at:
                self.latest = latest = self._snapshot(at, instant)
            return latest
        if self.data_provider is None:
            raise ComponentError("DAT-006", "no data provider was given; hand the manager one with get_data(timestamp)")
        with localcontext():  # somebody else's code may change it
            data = self.data_provider.get_data(at)
        self.latest = DictSnapshot(at, data, quote_tokens())
        return self.latest

    def fresh(self, at: datetime) -> MarketSnapshot:
        """The snapshot for an order that is about to leave: of now, where the provider is a live feed; else that of `at`."""
        if self._fresh is None:
            return self.at(at)
        latest: MarketSnapshot = self._fresh()
        self.latest = latest
        return latest

    def now(self) -> datetime:
        """The clock's time, but never one before the last snapshot's; without a clock the last snapshot's, else the provider's
        latest or the machine's."""
        last = self.latest.at if self.latest is not None else None
        if self._clock is not None:
            now = self._clock.now()
            return now if last is None or now > last else last
        known: datetime | None = last or getattr(self.data_provider, "latest", None)
        return known or SystemClock().now()
