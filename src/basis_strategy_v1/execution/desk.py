"""What the interfaces of one manager share: the simulators, the market at an instant, and the state that is held."""

from __future__ import annotations

from datetime import datetime
from decimal import localcontext
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from basis_strategy_v1.core.clock import SystemClock, from_instant, to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.core.keys import Keys
from basis_strategy_v1.core.market import DictSnapshot, MarketSnapshot
from basis_strategy_v1.core.state import IN_TRANSIT, Amounts, State
from basis_strategy_v1.positions.position_update_handler import Book
from basis_strategy_v1.venues.transfers import Arrivals
from basis_strategy_v1.venues.venue import CEX, Exposure, PerpExposure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
    from basis_strategy_v1.venues.venue import Settlement, Venue, Venues

UNKNOWN_HOLDINGS = State(checked=False)


class Context(Struct, frozen=True, gc=False):
    """When and on what an instruction is executed, and the key under which it is known."""

    at: datetime
    key: str
    state: State
    market: MarketSnapshot


class Desk:
    """The state and the time of one manager.

    Without a position handler nothing is known to be held: each instruction then starts from an empty state that lets
    everything pass, and what it leaves is forgotten.

    Whoever executes holds `lock` from reading the state to committing it; it is the position handler's own, so that two
    managers of one handler take turns too. Keys of instructions begin with `run`, where runs must be told apart. `on_passed` is
    told of what fell due before an instruction of a later time; without it no time passes but by `settle`.
    """

    def __init__(
        self,
        venues: Venues,
        data_provider: Any,
        positions: PositionUpdateHandler | None,
        clock: Clock | None = None,
        run: str = "",
        on_passed: Callable[[list[ExecutionReport]], None] | None = None,
    ) -> None:
        self.venues = venues
        self.data_provider = data_provider
        self._snapshot = getattr(data_provider, "snapshot", None)
        self.positions = positions
        self.book = Book() if positions is None else positions
        self.lock, self.done = self.book.lock, self.book.done
        # Assigns the state after an execution, and gives its deltas packed.
        self.commit: Callable[[State, ExecutionReport], bytes] = _forget if positions is None else positions.commit
        # Of a source that does not know when its rows came, nothing is asked but what an instruction needs.
        self._on_passed = None if positions is None or self._snapshot is None else on_passed
        self._clock: Clock | None = clock or getattr(data_provider, "clock", None)
        self.keys = Keys(run) if positions is None else positions.new_keys(run)
        self._arrivals = Arrivals(venues)
        self._all: list[Venue] = list(venues.values())
        if positions is not None:
            positions.protocols = frozenset((*positions.protocols, *(name for name, venue in venues.items() if venue.kind != CEX)))
        self._on_chain = [venue for venue in self._all if venue.kind != CEX]
        self._growing = [venue for venue in self._all if venue.grows]
        self._market: MarketSnapshot | None = None  # the last one asked for

    # The market.

    def market(self, at: datetime, instant: int | None = None) -> MarketSnapshot:
        """The snapshot at a time; `instant` is the same in microseconds, where the caller has it.

        Raises:
            ComponentError: the time is naive (DAT-006), after the provider's clock (DAT-004), or there is no provider.
        """
        if self._snapshot is not None:
            if self._market is None or self._market.at is not at:
                self._market = self._snapshot(at, instant)
            return self._market
        if self.data_provider is None:
            raise ComponentError("DAT-006", "no data provider was given; hand the manager one with get_data(timestamp)")
        with localcontext():  # somebody else's code may change it
            data = self.data_provider.get_data(at)
        self._market = DictSnapshot(at, data)
        return self._market

    @property
    def latest(self) -> MarketSnapshot | None:
        """The snapshot that was used last."""
        return self._market

    def now(self) -> datetime:
        """The clock's time, but never one before the last snapshot's; without a clock the last snapshot's, else the provider's
        latest or the machine's."""
        last = self._market.at if self._market is not None else None
        if self._clock is not None:
            now = self._clock.now()
            return now if last is None or now > last else last
        latest: datetime | None = last or getattr(self.data_provider, "latest", None)
        return latest or SystemClock().now()

    def look(self, at: datetime) -> tuple[MarketSnapshot, State]:
        """The snapshot at a time and what is held, as an instruction would find them; nothing here is changed by looking."""
        kept = self._market
        try:
            market = self.market(at)
            if self.positions is None:
                return market, UNKNOWN_HOLDINGS
            held = self.positions.state
            state = held if held is self.positions.opened else self._open(held, market)
            if self._is_behind(market):
                *_, (market, state, _) = self._passage(at, state)
            return market, state
        finally:
            self._market = kept

    # The state.

    def state(self, market: MarketSnapshot) -> State:
        """What is held, in the venues' own units."""
        if self.positions is None:
            return UNKNOWN_HOLDINGS
        state = self.positions.state
        if state is not self.positions.opened:
            self.positions.state = self.positions.opened = state = self._open(state, market)
        return state

    def _open(self, state: State, market: MarketSnapshot) -> State:
        for name, part in state.parts.items():
            if isinstance(part, Amounts) and part.amounts:
                if name not in self.venues:
                    held = f"positions name {name}, which is not configured"
                    raise ComponentError("PUH-001", f"{held}; configured are {', '.join(self.venues)}" if name != IN_TRANSIT else held)
                state = state.with_part(name, self.venues[name].open(part.amounts, market))
        return state

    def exposures(self, market: MarketSnapshot) -> tuple[list[Exposure], list[PerpExposure]]:
        """Everything that is held, as amounts of tokens that have a price, and the perps."""
        state = self.state(market)
        exposures: list[Exposure] = []
        perps: list[PerpExposure] = []
        if IN_TRANSIT in state.parts:
            exposures += [Exposure(IN_TRANSIT, token, token, amount) for token, amount in self._arrivals.held(state).items()]
        for venue in self._all:
            if venue.name in state.parts:
                held, short = venue.exposures(state, market)
                exposures += held
                perps += short
        return exposures, perps

    def assign(self, state: State) -> None:
        """Assign the state after a part of an execution, or after what time did."""
        if self.positions is not None:
            self.positions.state = self.positions.opened = state

    def note_done(self, name: str, report: ExecutionReport) -> None:
        """Keep the report of what was executed under an id."""
        self.done[name] = report
        if self.positions is not None:
            self.positions.know(report.key)

    def expect(self, key: str, deltas: Deltas) -> None:
        """What has been assigned will be handed in to the position handler, as this report's deltas."""
        if self.positions is not None:
            self.positions.expect(key, deltas)

    def context(self, at: datetime, key: str | None) -> Context:
        """What an instruction at a time is executed on. Without a `key` it gets one that no other of this desk has, and that is the
        same in each run of the same blocks."""
        market = self._market
        if market is None or market.at is not at or market is not self.book.passed or self._snapshot is None:
            market = self._arrive(at)
        if key is None:
            key = self.keys.next(market.instant)
        held = self.positions
        return Context(at, key, held.state if held is not None and held.state is held.opened else self.state(market), market)

    # What falls due.

    def next_due(self, until: int) -> int | None:
        """The first instant up to `until` at which something falls due that has not been settled."""
        since = self.book.passed or self._market
        return None if since is None or self.positions is None else self._next_due(self.state(since), since, until)

    def _next_due(self, state: State, market: MarketSnapshot, until: int) -> int | None:
        first = until + 1
        if IN_TRANSIT in state.parts:
            first = self._arrivals.next_due(state, market, until) or first
        for venue in self._all:
            if venue.name in state.parts:
                due = venue.next_due(state, market, until)
                if due is not None and due < first:
                    first = due
        return first if first <= until else None

    def passed(self, market: MarketSnapshot) -> None:
        """Everything up to this snapshot has fallen due, as its maker knows."""
        if self.book.passed is None or market.instant >= self.book.passed.instant:
            self.book.passed = market

    def settle_at(self, at: datetime) -> list[ExecutionReport]:
        """Bring everything to one instant and give what fell due right then."""
        market = self.market(at)
        if self.positions is None:
            return []
        state, reports = self._observed((self._arrivals, *self._all), self.state(market), market)
        self._assign(state)
        self.passed(market)
        return reports

    def grow_to(self, at: datetime) -> None:
        """Bring what grows by itself (lending indices) to a time at which nothing falls due."""
        market = self.market(at)
        if self._growing and self.positions is not None:
            self._assign(self._grown(self.state(market), market))
        self.passed(market)

    def _grown(self, state: State, market: MarketSnapshot) -> State:
        for venue in self._growing:
            if venue.name in state.parts:
                state = venue.grow(state, market)
        return state

    def is_growing(self) -> bool:
        """Whether something is held that grows with every second."""
        if not self._growing or self.positions is None:
            return False
        return any(venue.name in self.positions.state.parts for venue in self._growing)

    def settle_growth(self, at: datetime) -> list[ExecutionReport]:
        """What has grown on chain up to now, reported before an instruction changes what grows."""
        if self.positions is None or not self._on_chain:
            return []
        market = self._arrive(at)
        state, reports = self._observed(self._on_chain, self.state(market), market)
        self._assign(state)
        return reports

    def _observed(self, venues: Iterable[Arrivals | Venue], state: State, market: MarketSnapshot) -> tuple[State, list[ExecutionReport]]:
        reports: list[ExecutionReport] = []
        for venue in venues:
            if venue.name in state.parts:
                state, settled = venue.observe(state, market)
                reports += [_report(row, market, place) for place, row in enumerate(settled, len(reports))]
        return state, reports

    def _assign(self, state: State) -> None:
        if self.positions is not None and state is not self.positions.state:
            self.assign(state)

    def settle(self, until: datetime) -> list[ExecutionReport]:
        """Everything that falls due up to a time, each at its own instant."""
        return [report for reports in self.passing(until) for report in reports]

    def passing(self, until: datetime) -> Iterator[list[ExecutionReport]]:
        """Everything that falls due up to a time, each at its own instant: the reports of each, once the state holds them."""
        if self.book.passed is None:
            self.passed(self._market or self.market(until))
        if self.positions is not None:
            for market, state, reports in self._passage(until, self.state(self._market or self.market(until))):
                self._assign(state)
                self.passed(market)
                yield reports

    def _passage(self, until: datetime, state: State) -> Iterator[tuple[MarketSnapshot, State, list[ExecutionReport]]]:
        """The instants up to a time at which something falls due, and the time itself: the snapshot, the state, and the reports of each."""
        market, end = self.book.passed, to_instant(until)
        while market is not None and (due := self._next_due(state, market, end)) is not None:
            market = self.market(until if due == end else from_instant(due))
            state, reports = self._observed((self._arrivals, *self._all), state, market)
            yield market, state, reports
        market = self.market(until)
        yield market, self._grown(state, market), []

    def _is_behind(self, market: MarketSnapshot) -> bool:
        """Whether an instruction at this snapshot must be preceded by what falls due until then."""
        return self._on_passed is not None and self.book.passed is not None and market.instant > self.book.passed.instant

    def _arrive(self, at: datetime) -> MarketSnapshot:
        """The snapshot for an instruction; what falls due between the last one and it is settled first."""
        market = self.market(at)
        if self._on_passed is not None and self._is_behind(market):
            for reports in self.passing(at):
                self._on_passed(reports)
            return self.market(at)
        self.passed(market)
        return market


def _forget(state: State, report: ExecutionReport) -> bytes:
    """Where nothing is known to be held."""
    return report.deltas.packed()


def _report(row: Settlement, market: MarketSnapshot, place: int) -> ExecutionReport:
    return ExecutionReport(
        # A request that is finalised at once may be told of after another one of its instant: its id tells them apart.
        key=f"{row.kind}-{row.venue}-{market.instant:x}-{row.details.get('request_id', place)}",
        venue=row.venue,
        at=market.at,
        kind=row.kind,
        deltas=row.deltas,
        expected=row.deltas,
        costs=row.costs,
        details=dict(row.details),
    )
