"""A live manager over simulated venues that can fail: the real journal, and a time that passes only when somebody waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from basis_strategy_v1 import ExecutionInterfaceManager, PositionUpdateHandler, load_config
from basis_strategy_v1.core.error_codes.exceptions import OutcomeUnknown, VenueUnreachable
from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.execution.execution_interface_manager import venues_of_config
from basis_strategy_v1.execution.market_source import MarketSource
from basis_strategy_v1.execution.paper import PaperGateway, PaperWorld

from .execution.scripted_gateway import StillTime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LIMITS = {
    "max_notional_per_instruction": 10**9, "max_notional_per_day": 10**10, "max_slippage_bps": 100, "max_unhedged_notional": 10**9,
    "withdrawal_addresses": ["0x" + "11" * 20],
}  # fmt: skip
HELD = {"binance": {"USDT": 1_000_000, "ETH": 100}, "bybit": {"USDT": 1_000_000, "ETH": 100}, "wallet": {"USDT": 1_000_000, "ETH": 10}}
REFUSED = VenueUnreachable("CEX-002", "connection refused")
NONSENSE = MalformedAnswer("a fill without a price", {"orderId": 71})


class Lost:
    """It is executed, and the answer is lost on the way."""

    error = OutcomeUnknown("CEX-003", "the connection was lost after sending")


class Silent(Lost):
    """The same, and the venue cannot be asked from then on, until `is_silent` is False again."""


class Hangs:
    """It is executed, and no answer comes."""


class FaultyGateway(PaperGateway):
    """A simulated venue account. Each message meets the next of `faults`; None, and whatever comes after the last, executes it.

    `calls` are the sends and look-ups in their order, `executed` the keys of what was executed, so that one that is there twice was
    executed twice.
    """

    def __init__(self, name: str, world: PaperWorld, time: StillTime) -> None:
        super().__init__(name, world, time)
        self.faults: list[Any] = []
        self.is_silent = False
        self.calls: list[str] = []
        self.executed: list[str] = []
        self._time = time

    def send(self, message: Any) -> Any:
        self.calls.append(f"send {message.client_id}")
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, BaseException):
            raise fault
        answer = super().send(message)
        self.executed.append(message.client_id)
        self.is_silent = self.is_silent or fault is Silent
        self._time.is_hanging = fault is Hangs
        if fault is Lost or fault is Silent:
            raise fault.error
        return answer

    def find(self, message: Any, reference: str | None = None) -> Any:
        self.calls.append(f"find {message.client_id}")
        if self.is_silent:
            raise VenueUnreachable("CEX-002", "no answer")
        return super().find(message, reference)


class SimulatedLiveRun:
    """`folder` holds the journal. `at_venues`: settings of `venues.cex` that the venues have and the manager does not know of."""

    def __init__(
        self, folder: Path, config: dict[str, Any], market: Any, *, held: Any = None, at_venues: Any = None, only: Any = None, **parts: Any
    ) -> None:
        self.time = StillTime()
        self.folder, self.market, self.parts = folder, market, parts
        self.config = {"limits": LIMITS, **config}
        theirs = self.config["venues"]
        if at_venues is not None:
            theirs = {**theirs, "cex": {**theirs["cex"], **at_venues}}
        venues = venues_of_config(load_config({**self.config, "venues": theirs}))
        if held is None:
            held = {name: tokens for name, tokens in HELD.items() if name in venues}
        self.world = PaperWorld(venues, MarketSource(market, self.time), self.time, ":memory:", PositionUpdateHandler(held).state)
        names = [*(name for name, venue in venues.items() if venue.kind == "cex"), "wallet"]
        self.gateways = {name: FaultyGateway(name, self.world, self.time) for name in names if only is None or name in only}
        self.manager = self.made()

    def made(self, **parts: Any) -> ExecutionInterfaceManager:
        """A manager over these venues and this journal."""
        given = {"clock": self.time, "timing": self.time.timing, "gateways": self.gateways, "state": self.folder, **self.parts, **parts}
        return ExecutionInterfaceManager(self.config, self.market, "live", **given)

    def again(self, **parts: Any) -> ExecutionInterfaceManager:
        """The manager of a second process."""
        self.manager.close()
        self.manager = self.made(**parts)
        return self.manager

    def close(self) -> None:
        self.manager.close()
        self.world.close()

    @property
    def executed(self) -> list[str]:
        return [key for gateway in self.gateways.values() for key in gateway.executed]


def live_runs(folder: Path, standard: Any, prices: Callable[[], Any]) -> Iterator[Callable[..., SimulatedLiveRun]]:
    """A function that makes live runs below a folder, by a `standard` config and prices where none are given. All are closed at last."""
    made: list[SimulatedLiveRun] = []

    def make(config: Any = standard, market: Any = None, *, faults: Any = (), **parts: Any) -> SimulatedLiveRun:
        one = SimulatedLiveRun(folder / f"state{len(made)}", config, market or prices(), **parts)
        for name, steps in dict(faults).items():
            one.gateways[name].faults = list(steps)
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()
