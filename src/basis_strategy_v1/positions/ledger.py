"""What all managers of one account share: the state, its lock, how far time has been settled, and the journal."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, Protocol

from basis_strategy_v1.core.journal import MemoryJournal
from basis_strategy_v1.core.state import State

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.market import MarketSnapshot

UNKNOWN_HOLDINGS = State(checked=False)


class Places:
    """Numbers what is sent at one instant, so that equal instructions of one instant have keys of their own.

    The numbers depend on the order of the calls only: the same calls get the same numbers in each run.
    """

    def __init__(self) -> None:
        self._instant = -1
        self._count = self._rewinds = 0

    def next(self, instant: int) -> str:
        """The place of the next direct call, or of the next plan, at an instant (microseconds since 1970)."""
        if instant == self._instant:
            self._count += 1
        else:
            if instant < self._instant:
                self._rewinds += 1
            self._instant, self._count = instant, 0
        return f"{self._count}.{self._rewinds}" if self._rewinds else str(self._count)


class Ledger(Protocol):
    """What an Account reads and commits to. `settled` is the snapshot up to which everything that falls due has been settled."""

    lock: RLock
    settled: MarketSnapshot | None
    calls: Places
    plans: Places
    journal: MemoryJournal

    @property
    def state(self) -> State: ...

    @property
    def positions(self) -> Mapping[str, Mapping[str, Decimal]]: ...

    @property
    def opened(self) -> State | None:
        """The last state that was assigned or committed: it is in the venues' own units."""
        ...

    def assign(self, state: State) -> None:
        """Take the state over, after time has passed."""
        ...

    def commit(self, state: State, report: ExecutionReport) -> bytes:
        """Take over the state after an execution; gives the report's deltas, packed."""
        ...

    def expect(self, report: ExecutionReport) -> None:
        """The state holds the deltas of this report already, when they are handed in."""
        ...

    def know_wallets(self, wallets: Mapping[str, str]) -> None:
        """In which wallet the plain tokens of each protocol are: the venues that a manager has."""
        ...


class UnknownHoldings:
    """The ledger of a manager without positions: nothing is known to be held, everything passes, nothing is kept."""

    state = UNKNOWN_HOLDINGS
    positions: Mapping[str, Mapping[str, Decimal]] = {}
    opened = UNKNOWN_HOLDINGS

    def __init__(self) -> None:
        self.lock = RLock()
        self.settled: MarketSnapshot | None = None
        self.calls, self.plans = Places(), Places()
        self.journal = MemoryJournal()

    def assign(self, state: State) -> None:
        """Nothing is kept."""

    def commit(self, state: State, report: ExecutionReport) -> bytes:
        return report.deltas.packed()

    def expect(self, report: ExecutionReport) -> None:
        """Nothing is kept."""

    def know_wallets(self, wallets: Mapping[str, str]) -> None:
        """Nothing is kept."""
