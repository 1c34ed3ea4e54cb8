"""The account of a live manager: settlements are asked of the venues, and the state follows their reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import structs

from basis_strategy_v1.core.clock import from_instant, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.instructions import WalletTransfer, is_internal_move
from basis_strategy_v1.core.state_change import apply_changes
from basis_strategy_v1.core.transit import ARRIVAL, ON_CHAIN
from basis_strategy_v1.execution.account import Account
from basis_strategy_v1.execution.accrued import with_interest
from basis_strategy_v1.execution.in_transit import ON_ITS_WAY, taken_up
from basis_strategy_v1.execution.order_in_hand import settlement_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from decimal import Decimal
    from typing import Any

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.gateway import Due
    from basis_strategy_v1.core.journal import LiveJournal
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.state import State
    from basis_strategy_v1.execution.account import NextDue
    from basis_strategy_v1.execution.market_source import MarketSource
    from basis_strategy_v1.execution.venue_reads import VenueReads
    from basis_strategy_v1.positions.ledger import Ledger
    from basis_strategy_v1.venues.venue import Venues

    NotOurs = Mapping[str, Mapping[str, Decimal]]
    Asked = Callable[[str, ComponentError | None], None]  # a venue account, and why it could not be asked (None: it was)
    Late = Callable[[Due], None]  # a fill of an order whose row was closed as if nothing had been executed


FIRST = {ON_CHAIN: 0, ARRIVAL: 1}  # at one instant: what is on its way has a hash, has arrived, and then the rest


class LiveAccount(Account):
    """State after = state before + what the venues reported: no simulated state is ever taken over.

    `advance_to` asks each venue account what happened since its cursor in the journal, records each item once, and yields them in order of
    their time. `asked` is called for each; where one cannot be asked, the others go on. `late` is called for each fill that comes late,
    `short` for each amount that was credited with less than was sent.
    """

    def __init__(
        self,
        venues: Venues,
        source: MarketSource,
        ledger: Ledger,
        reads: Mapping[str, VenueReads],
        journal: LiveJournal,
        asked: Asked,
        late: Late,
        short: Late,
    ) -> None:
        super().__init__(venues, source, ledger, simulates_time=False)
        self._reads = reads
        self._journal = journal
        self._asked = asked
        self._late = late
        self._short = short
        self._newest: State | None = None  # the state of now, while the account is gone back
        self._known: list[Due] = []  # what fell due after the state that it has gone back to, as the journal knows it

    def go_back(self, state: State, market: MarketSnapshot, known: Iterable[Due]) -> None:
        """Go back to what was held at an earlier snapshot, so that the record can go on from there.

        The next `advance_to` gives what fell due since: what the journal `known` already, and what is new. Then `come_back`: until then
        nothing may be executed. What ends a transfer that was executed after that snapshot comes with the `advance_to` after it.
        """
        self._newest, self._known = self.ledger.state, list(known)
        self.ledger.assign(state)
        self.ledger.settled = market

    def come_back(self, market: MarketSnapshot) -> None:
        """The state of now, with all that was executed after the state that the account went back to. Without `go_back` nothing is done."""
        if self._newest is not None:
            self.ledger.assign(self._accrued(self._newest, market))
            self._newest = None

    def accrues(self) -> bool:
        """Always: what happens at a venue is only known once it was asked."""
        return True

    def met_by_instruction(self, market: MarketSnapshot) -> State:
        """What the account holds, at protocols as they are now.

        Raises:
            VenueUnreachable: they cannot be looked at.
        """
        return self._at_protocols_of_now(self.state(market), market)

    def look(self, at: datetime) -> tuple[MarketSnapshot, State]:
        market, state = super().look(at)
        return market, self._at_protocols_of_now(state, market)

    def _at_protocols_of_now(self, state: State, market: MarketSnapshot) -> State:
        for reads in self._reads.values() if state.checked else ():
            for name, read in reads.look().parts.items():
                state = state.with_part(name, state.parts.get(name, read.without_holdings()).with_reading(read))
        return super()._accrued(state, market)

    def _accrued(self, state: State, market: MarketSnapshot) -> State:
        """A pool that was read on its chain stays as it was reported: what has accrued there is reported too."""
        for venue in self._growing:
            part = state.parts.get(venue.name)
            if part is not None and not part.is_whole:
                state = venue.accrue(state, market)
        return state

    def arrive(self, at: datetime) -> tuple[MarketSnapshot, tuple[ExecutionReport, ...]]:
        """The snapshot for an instruction; what falls due is asked for by `advance_to`."""
        market = self.market(at)
        self.settle_until(market)
        return market, ()

    def advance_to(self, at: datetime, also: NextDue | None = None) -> Iterator[tuple[MarketSnapshot, list[ExecutionReport]]]:
        """Take up what happened at the venues up to a time, each item at its own instant; also the instants that `also` names."""
        ledger = self.ledger
        since = ledger.settled or self.source.latest or self.market(at)
        state = self.state(since)
        end = to_instant(at)
        is_back = self._newest is not None
        new = self._new_items(state if self._newest is None else self._newest)
        if self._newest is not None:
            self._newest = _after(self._newest, new)
        groups = _by_instant([*self._known, *new], end, since.instant if self._known else 0)
        self._known = []
        market = since
        while True:
            rate = None if also is None else also(market)
            instants = [instant for instant in (next(iter(groups), None), rate) if instant is not None and instant <= end]
            if not instants:
                break
            instant = min(instants)
            market = self.market(at if instant == end else from_instant(instant))
            items = groups.pop(instant, [])
            if is_back:
                items, later = _fitting(state, items)
                self._known += [structs.replace(item, changes={}) for item in later]  # the state of now has them
            state = _after(state, items)
            ledger.assign(state)
            self.settle_until(market)
            yield market, [settlement_of(item) for item in items]
        market = self.market(at, end)
        state = self._accrued(state, market)
        if state is not ledger.state:
            ledger.assign(state)
        self.settle_until(market)

    def _new_items(self, state: State) -> list[Due]:
        """What happened at all venues since their cursors; it is in the journal when this returns."""
        found: list[Due] = []
        sent: dict[str, datetime] = {}
        for name, reads in self._reads.items():
            try:
                items, cursor = reads.due(self._journal.cursor(name))
            except ComponentError as error:
                self._asked(name, error)
                continue
            self._asked(name, None)
            new_items = with_interest(state, self._journal.new_due(name, items))
            items, is_held_back = taken_up(state, new_items, self._open_transfers, sent)
            if is_held_back:  # they come again: what is read goes on from where it did
                cursor = reads.due_again(self._journal.cursor(name) or cursor, items)
            before = state

            def after(new: Sequence[Due], before: State = before) -> State:
                return _after(before, new)

            new = self._journal.add_due(name, items, cursor, after)
            state = _after(state, new)
            found += new
            for item in new:
                if item.client_id:
                    self._late(item)
                if ON_ITS_WAY in item.details:
                    self._short(item)
        return found

    def _open_transfers(self) -> list[WalletTransfer]:
        """The transfers between venues whose outcome is not known."""
        found = [entry.instruction for entry in self._journal.open_entries()]
        return [one for one in found if isinstance(one, WalletTransfer) and not is_internal_move(one)]


class LiveHoldings:
    """The account as a sender sees it: its state, and where an execution is committed."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.not_ours: NotOurs = {}

    @property
    def state(self) -> State:
        return self._account.ledger.state

    def commit(
        self,
        report: ExecutionReport,
        settled: Sequence[Mapping[str, Any]],
        changes: Mapping[str, Any],
        write: Callable[[State, State], None],
    ) -> None:
        """State after = state before + what the venue reported, stored by `write` and then taken over."""
        ledger = self._account.ledger
        with ledger.lock:
            before = ledger.state
            for items in settled:
                before = apply_changes(before, items)
            after = apply_changes(before, changes)
            write(before, after)
            ledger.commit(after, report)


def _by_instant(items: Iterable[Due], end: int, start: int = 0) -> dict[int, list[Due]]:
    """The items by instant, earliest first; at one instant what has arrived comes first. What is outside counts as of `start` or `end`."""
    groups: dict[int, list[Due]] = {}
    for item in sorted(items, key=lambda item: (to_instant(item.at), FIRST.get(item.kind, len(FIRST)))):
        groups.setdefault(max(min(to_instant(item.at), end), start), []).append(item)
    return groups


def _fitting(state: State, items: Iterable[Due]) -> tuple[list[Due], list[Due]]:
    """The items that can have happened at a state, and those that follow something that was executed later."""
    fit: list[Due] = []
    unfit: list[Due] = []
    for item in items:
        try:
            state = _after(state, (item,))
        except ValueError:
            unfit.append(item)
        else:
            fit.append(item)
    return fit, unfit


def _after(state: State, items: Iterable[Due]) -> State:
    for item in items:
        if item.changes:
            state = apply_changes(state, item.changes)
    return state
