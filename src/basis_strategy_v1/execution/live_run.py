"""The parts of a live run, how they are put together, and how an account is restored after a restart."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import iso, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueUnreachable
from basis_strategy_v1.core.journal import JournalMark, Status
from basis_strategy_v1.core.limits import Limits
from basis_strategy_v1.core.state import State
from basis_strategy_v1.execution.in_transit import ON_ITS_WAY, late
from basis_strategy_v1.execution.live_account import LiveAccount, LiveHoldings
from basis_strategy_v1.execution.live_pipeline import LivePipeline
from basis_strategy_v1.execution.order_in_hand import settlement_of
from basis_strategy_v1.execution.reconciler import Reconciler
from basis_strategy_v1.execution.recovery import Recovered, Recovery
from basis_strategy_v1.execution.run_share import Allocation, beyond, within
from basis_strategy_v1.execution.sender import SendSettings
from basis_strategy_v1.execution.senders import Senders
from basis_strategy_v1.execution.step import StepSimulator
from basis_strategy_v1.execution.timing import REAL_TIME
from basis_strategy_v1.execution.venue_calls import WITHDRAWAL
from basis_strategy_v1.execution.venue_reads import VenueReads
from basis_strategy_v1.live.journal_on_demand import JournalOnDemand
from basis_strategy_v1.venues.venue import OnChainVenue

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.gateway import Due, Gateway
    from basis_strategy_v1.core.journal import Entry, LiveJournal
    from basis_strategy_v1.execution.market_source import MarketSource
    from basis_strategy_v1.execution.routing_record import RoutingRecord
    from basis_strategy_v1.execution.timing import Timing
    from basis_strategy_v1.positions.ledger import Ledger
    from basis_strategy_v1.venues.venue import Venues

    KeysInLog = Callable[[Collection[str]], Collection[str]]  # which of some keys have an event in the log


TRANSFER = "CEX-004"


class LiveParts(Struct, frozen=True, kw_only=True):
    """What a live run has and a backtest has not: a gateway for each venue account, the journal, and the limits.

    `keys_in_log` says which of some keys have their event in the event log already. `allocation` is how much of a balance belongs to the
    run (venue -> token -> amount); what it does not name belongs to it.
    """

    gateways: Mapping[str, Gateway]
    journal: LiveJournal
    limits: Limits
    keys_in_log: KeysInLog
    settings: SendSettings = SendSettings()
    addresses: Mapping[str, str] = {}
    allocation: Allocation = {}


def settled_in(recovered: Recovered) -> int:
    """How many whole instructions a recovery has closed as executed."""
    return sum(closed.concluded.status is Status.SETTLED and closed.entry.parent is None for closed in recovered.closed)


class LiveRun:
    """Account, senders and pipeline of a live run.

    `opens_with`: the account begins with what the ledger holds, and not with what is read from the venues.
    """

    def __init__(
        self,
        parts: LiveParts,
        venues: Venues,
        source: MarketSource,
        ledger: Ledger,
        record: RoutingRecord,
        clock: Clock,
        timing: Timing,
        *,
        atomic_chaining: bool = True,
        opens_with: bool = False,
    ) -> None:
        self.parts = parts
        self.journal = parts.journal
        self.late_fills: dict[str, str] = {}  # what was executed after its row was closed, until the run ends by it: id -> what it is
        self.is_taken_up = False
        self._is_log_behind = False  # a report waits until the event log can be written
        self._taking_up = RLock()
        self._opens_with = opens_with
        self._record = record
        self._clock = clock
        self._overdue: set[str] = set()  # the transfers that were reported as late
        self.reads = {name: VenueReads(gateway, parts.settings.timeout_s, timing) for name, gateway in parts.gateways.items()}
        self.account = LiveAccount(venues, source, ledger, self.reads, parts.journal, self._heard, self._is_late, self._is_less)
        self.holdings = LiveHoldings(self.account)
        self.senders = Senders(parts.gateways.values(), parts.journal, self.holdings, parts.settings, clock=clock, timing=timing)
        wallets = {name: venue.wallet for name, venue in venues.items() if isinstance(venue, OnChainVenue)}
        self.reconciler = Reconciler(self.account, self.holdings, self.reads, parts.journal, self.senders.health, wallets)
        self.recovery = Recovery(self.senders, timing)
        simulator = StepSimulator(venues, atomic_chaining=atomic_chaining)
        self.pipeline = LivePipeline(
            self.account, simulator, parts.journal, record, self.senders, parts.limits, self.take_up, parts.addresses
        )
        self.pipeline.is_concurrent = timing is REAL_TIME

    def close(self) -> None:
        """Let go of the journal, where it was opened here."""
        if isinstance(self.journal, JournalOnDemand):
            self.journal.close_file()
            self.is_taken_up = False

    def _heard(self, venue: str, error: ComponentError | None) -> None:
        subject = f"what falls due at {venue}"
        if error is None:
            self.senders.health.is_well(subject)
        else:
            self.senders.health.trouble(subject, error.error_code, error.message)

    def _is_late(self, item: Due) -> None:
        """An order was executed although its row says that it never was: the state has the fill, and somebody must look."""
        filled = ", ".join(f"{plain(amount)} {token}" for (_, token), amount in item.deltas.items())
        order = f"the order {item.reference} ({item.client_id})"
        message = f"{item.venue} has executed {order} after its row was closed as not executed: {filled} at {iso(item.at)}"
        self.late_fills[item.id] = message
        self.senders.health.trouble(f"late fill {item.id}", "JRN-007", message, is_critical=True)

    def _is_less(self, item: Due) -> None:
        """Less was credited than was sent."""
        message = f"{item.venue} credited {item.details['missing']} less than the {item.details[ON_ITS_WAY]} of {item.transfer}"
        self._record.log_error(item.at, ComponentError(TRANSFER, f"{message}; ask both ends for the rest"))

    def watch_transfers(self) -> None:
        """Report each amount in transit that should have arrived, once; health is degraded as long as one is missing."""
        now, deadline_s = self._clock.now(), self.parts.settings.settle_deadline_s[WITHDRAWAL]
        overdue = {transfer.key: message for transfer, message in late(self.account.ledger.state, to_instant(now), deadline_s)}
        for key in self._overdue - overdue.keys():
            self.senders.health.is_well(key)
        for key in overdue.keys() - self._overdue:
            self.senders.health.trouble(key, TRANSFER, overdue[key])
            self._record.log_error(now, ComponentError(TRANSFER, overdue[key]))
        self._overdue = set(overdue)

    # Starting.

    def take_up(self, at: datetime) -> None:
        """Start, unless that was done; with the first instruction. Where there is no gateway there is nothing to take up.

        Raises:
            ComponentError: as `start`.
        """
        if self.is_taken_up or not self.parts.gateways:
            return
        with self._taking_up:
            if not self.is_taken_up:
                self.start(at, self.account.ledger.state if self._opens_with else None)

    def start(self, at: datetime, opened: State | None = None, patience_s: float | None = None) -> Recovered:
        """Take up the account: at the first start from the venues (or `opened`), later from the journal; then close what was left open.

        What has not ended within `patience_s` stays open, for `recover`; None: it is waited for until its deadline.

        Raises:
            ComponentError: JRN-006, an outcome cannot be found out; the message says what to inspect.
        """
        state = self.journal.state()
        if state is None:
            state = self._first_state(at, opened)
        self.holdings.not_ours = self.journal.not_ours()
        self.account.ledger.assign(state)
        recovered = self.recovery.until_closed(patience_s)
        if overdue := [entry.reason for entry in recovered.open if entry.is_overdue]:
            raise ComponentError("JRN-006", "\n".join(overdue))
        self._log_what_is_missing()
        self.is_taken_up = True
        return recovered

    def _first_state(self, at: datetime, opened: State | None) -> State:
        market = self.account.market(at)
        read, cursors = State(), dict[str, str]()
        for name, reads in self.reads.items():
            try:
                read = read.with_parts(**reads.read().parts)
                _, cursors[name] = reads.due(None)
            except ComponentError as error:
                raise VenueUnreachable("EIM-002", f"{name} cannot be read at {iso(at)}: {error.message}; start again later") from error
        state = self.account.opened(within(read, self.parts.allocation) if opened is None else opened, market)
        self.journal.begin_account(state, cursors, beyond(read, state))
        return state

    def recover(self) -> Recovered:
        """Look up once what is open; log what was closed. For the timer."""
        self.watch_transfers()
        found = self.recovery.once()
        if found.closed:
            self._record.instructions_routed += settled_in(found)
            for closed in found.closed:
                self._record.is_known(closed.entry.key)
        if found.closed or self._is_log_behind:
            self._log_what_is_missing()
        return found

    def _log_what_is_missing(self) -> None:
        """Log each report of the journal that is not in the event log: a process ended between the two, or the disk was full."""
        journal, record, events = self.journal, self._record, self._record.events
        try:
            events.require_written()
        except ComponentError:
            self._is_log_behind = True
            return
        self._is_log_behind = False
        unlogged = journal.unlogged_due()
        there = self.parts.keys_in_log({item.id for _, item in unlogged}) if unlogged else ()
        for venue, item in unlogged:
            if item.id not in there:
                record.log_settlements([settlement_of(item)])
            if item.client_id:
                self._is_late(item)
            events.once_written(partial(journal.due_logged, venue, [item.id]))
        missing, others = self.recovery.unlogged(self.parts.keys_in_log)
        for entry in missing:
            report = entry.reports[-1]
            accrued = {settled.key for settled in report.settlements}
            there = self.parts.keys_in_log(accrued) if accrued else ()
            record.log_settlements([settled for settled in report.settlements if settled.key not in there])
            record.recovered(report, entry.instruction, self._asked(entry))
            events.once_written(partial(journal.logged, entry.key))
        for entry in others:  # last: with a sequence its steps count as logged
            events.once_written(partial(journal.logged, entry.key))

    def _asked(self, entry: Entry) -> Mapping[str, Any] | None:
        """The block of an entry that is a step of a plan, and not an inner step."""
        if entry.plan is None or entry.step is None or entry.parent is not None:
            return None
        block: Mapping[str, Any] = self.journal.plans_after(JournalMark(plan=entry.plan - 1))[0].plan.blocks[entry.step]
        return block

    def settlements_logged(self, reports: Collection[ExecutionReport]) -> None:
        """The events of what fell due were logged: the journal knows it once they are written."""
        keys = {report.key for report in reports}
        for venue, item in self.journal.unlogged_due():
            if item.id in keys:
                self._record.events.once_written(partial(self.journal.due_logged, venue, [item.id]))
