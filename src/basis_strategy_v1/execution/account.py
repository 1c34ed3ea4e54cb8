"""The account of one manager: its state, and the only place where time passes for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from basis_strategy_v1.core.clock import from_instant, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.core.state import IN_TRANSIT, Amounts, State
from basis_strategy_v1.venues.transfers import Arrivals
from basis_strategy_v1.venues.venue import CEX, Exposure, PerpExposure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.execution.market_source import MarketSource
    from basis_strategy_v1.positions.ledger import Ledger
    from basis_strategy_v1.venues.venue import Settlement, Venue, Venues

    NextDue = Callable[[MarketSnapshot], int | None]  # the next instant after a snapshot that somebody else has to see


class Account:
    """The state and the time of one account.

    `advance_to` brings it to a time, with everything that falls due until then settled at its own instant; `commit` takes over what an
    execution did. `lock` is held from reading the state to committing it. State, lock and settled time are the ledger's, so that two
    managers of one position handler take turns and settle nothing twice.

    `simulates_time`: what falls due is found in the data. Live it is asked of the venues, and no time passes here.
    """

    def __init__(self, venues: Venues, source: MarketSource, ledger: Ledger, *, simulates_time: bool = True) -> None:
        self.venues = venues
        self.source = source
        self.market, self.fresh = source.at, source.fresh
        self.ledger = ledger
        self.lock = self.ledger.lock
        self.commit = self.ledger.commit
        self._catches_up = simulates_time and source.knows_rows and ledger.state.checked
        self._arrivals = Arrivals(venues)
        self._all: list[Venue] = list(venues.values())
        self._on_chain = [venue for venue in self._all if venue.kind != CEX]
        self._growing = [venue for venue in self._all if venue.accrues]
        self._growing_names = frozenset(venue.name for venue in self._growing)

    # The state.

    def state(self, market: MarketSnapshot) -> State:
        """The state, in the venues' own units."""
        ledger = self.ledger
        state = ledger.state
        if state is not ledger.opened:
            state = self.opened(state, market)
            ledger.assign(state)
        return state

    def opened(self, state: State, market: MarketSnapshot) -> State:
        """A state of plain amounts in the venues' own units.

        Raises:
            ComponentError: PUH-001, a venue that is not configured, or that cannot hold them.
        """
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
                held, of_perps = venue.exposures(state, market)
                exposures += held
                perps += of_perps
        return exposures, perps

    def look(self, at: datetime) -> tuple[MarketSnapshot, State]:
        """The snapshot at a time and the state that an instruction would find then. Nothing is changed."""
        kept = self.source.latest
        try:
            market = self.market(at)
            state = self.ledger.state
            if state is not self.ledger.opened:
                state = self.opened(state, market)
            if self._is_behind(market):
                assert self.ledger.settled is not None
                *_, (market, state, _) = self.passage(self.ledger.settled, at, state)
            return market, state
        finally:
            self.source.latest = kept

    # Time.

    def arrive(self, at: datetime) -> tuple[MarketSnapshot, tuple[ExecutionReport, ...]]:
        """The snapshot for an instruction, and what fell due between the last one and it."""
        ledger, market = self.ledger, self.source.latest
        if market is not None and market.at is at and market is ledger.settled and self.source.knows_rows:
            return market, ()
        market = self.market(at)
        if self._is_behind(market):
            assert ledger.settled is not None
            if self.accrues() or self._next_due(self.state(market), ledger.settled, market.instant, None) is not None:
                settled = [report for _, reports in self.advance_to(at) for report in reports]
                return self.market(at), tuple(settled)
        self.settle_until(market)
        return market, ()

    def instant_of(self, at: datetime) -> int:
        """A time in microseconds since 1970; at hand where it is the last snapshot's."""
        latest = self.source.latest
        return latest.instant if latest is not None and latest.at is at else to_instant(at)

    def _is_behind(self, market: MarketSnapshot) -> bool:
        """Whether an instruction at this snapshot must be preceded by what falls due until then."""
        settled = self.ledger.settled
        return self._catches_up and settled is not None and market.instant > settled.instant

    def advance_to(self, at: datetime, also: NextDue | None = None) -> Iterator[tuple[MarketSnapshot, list[ExecutionReport]]]:
        """Settle everything that falls due up to a time, each at its own instant.

        Yields the snapshot and the reports of each of these instants, once the state holds them; also of the instants that `also` names.
        Afterwards the account stands at `at`.
        """
        ledger = self.ledger
        if ledger.settled is None:
            self.settle_until(self.source.latest or self.market(at))
        assert ledger.settled is not None
        for market, state, reports in self.passage(ledger.settled, at, self.state(self.source.latest or self.market(at)), also):
            if state is not ledger.state:
                ledger.assign(state)
            self.settle_until(market)
            if reports is not None:
                yield market, reports

    def settle_until(self, market: MarketSnapshot) -> None:
        """Everything up to this snapshot has been settled, as the caller knows. It never moves back."""
        settled = self.ledger.settled
        if settled is None or market.instant >= settled.instant:
            self.ledger.settled = market

    def passage(
        self, since: MarketSnapshot, at: datetime, state: State, also: NextDue | None = None
    ) -> Iterator[tuple[MarketSnapshot, State, list[ExecutionReport] | None]]:
        """Each instant between a snapshot and a time at which something falls due, the state after it and its reports; then the time
        itself, with None. Nothing is assigned."""
        market, end = since, to_instant(at)
        while (due := self._next_due(state, market, end, also)) is not None:
            market = self.market(at if due == end else from_instant(due))
            state, reports = self._updated((self._arrivals, *self._all), state, market)
            yield market, state, reports
        market = self.market(at, end)
        yield market, self._accrued(state, market), None

    def next_due(self, until: int, also: NextDue | None = None) -> int | None:
        """The first instant up to `until` at which something falls due that has not been settled (microseconds since 1970)."""
        since = self.ledger.settled or self.source.latest
        return None if since is None else self._next_due(self.state(since), since, until, also)

    def _next_due(self, state: State, market: MarketSnapshot, until: int, also: NextDue | None) -> int | None:
        first = until + 1
        if IN_TRANSIT in state.parts:
            first = self._arrivals.next_due(state, market, until) or first
        for venue in self._all:
            if venue.name in state.parts:
                due = venue.next_due(state, market, until)
                if due is not None and due < first:
                    first = due
        if also is not None:
            due = also(market)
            if due is not None and due < first:
                first = due
        return first if first <= until else None

    def _accrued(self, state: State, market: MarketSnapshot) -> State:
        for venue in self._growing:
            if venue.name in state.parts:
                state = venue.accrue(state, market)
        return state

    def accrued(self, state: State, market: MarketSnapshot) -> State:
        """The state with interest accrued up to a snapshot."""
        return self._accrued(state, market)

    def accrues(self) -> bool:
        """Whether a position accrues with every second."""
        return not self._growing_names.isdisjoint(self.ledger.state.parts)

    def accrued_on_chain(self, state: State, market: MarketSnapshot) -> tuple[State, list[ExecutionReport]]:
        """The state with what has accrued on chain up to now, and its reports, before an instruction changes what accrues."""
        return self._updated(self._on_chain, state, market)

    def _updated(self, venues: Iterable[Arrivals | Venue], state: State, market: MarketSnapshot) -> tuple[State, list[ExecutionReport]]:
        reports: list[ExecutionReport] = []
        for venue in venues:
            if venue.name not in state.parts:
                continue
            state, settled = venue.update_to(state, market)
            if settled:
                reports += [_report(row, market, place) for place, row in enumerate(settled, len(reports))]
        return state, reports


def _report(row: Settlement, market: MarketSnapshot, place: int) -> ExecutionReport:
    return ExecutionReport(
        # A request that is finalised at once may be reported after another one of its instant: its id distinguishes them. No instruction_id
        # holds a colon.
        key=f"{row.kind}:{row.venue}:{market.instant:x}:{row.details.get('request_id', place)}",
        venue=row.venue,
        at=market.at,
        kind=row.kind,
        deltas=row.deltas,
        expected=row.deltas,
        costs=row.costs,
        details=dict(row.details),
        recorded=True,
    )
