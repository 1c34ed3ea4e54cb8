"""Compares the account of a live run with its venues: reads them, finds what explains each difference, and says so to the health."""

from __future__ import annotations

from decimal import localcontext
from typing import TYPE_CHECKING

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.error_codes.exceptions import VenueUnreachable
from basis_strategy_v1.core.journal import JournalMark
from basis_strategy_v1.core.state import State
from basis_strategy_v1.execution.circuit_breaker import UNREADABLE
from basis_strategy_v1.execution.conclusion import subject_of
from basis_strategy_v1.execution.reconciliation import Known, reconcile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from basis_strategy_v1.core.gateway import Due
    from basis_strategy_v1.core.journal import LiveJournal
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.execution.live_account import LiveAccount, LiveHoldings
    from basis_strategy_v1.execution.reconciliation import HoldingsTable
    from basis_strategy_v1.execution.sending_health import SendingHealth
    from basis_strategy_v1.execution.venue_reads import VenueReads


class Reconciler:
    """Reads every venue account and builds the table. It changes nothing but the health: a break degrades it until one is explained, or
    gone.

    `table` is the newest one.
    """

    def __init__(
        self,
        account: LiveAccount,
        holdings: LiveHoldings,
        reads: Mapping[str, VenueReads],
        journal: LiveJournal,
        health: SendingHealth,
        wallets: Mapping[str, str],
    ) -> None:
        self._account = account
        self._holdings = holdings
        self._reads = reads
        self._journal = journal
        self._health = health
        self._wallets = wallets
        self._mark = JournalMark()  # what was executed after it may explain a difference
        self._marked: State | None = None  # what was held at the mark
        self.table: HoldingsTable | None = None

    @property
    def is_needed(self) -> bool:
        """Whether report, expectation and reading of an order disagreed since the last comparison."""
        return self._health.needs_comparison

    def compare(self, at: datetime, market: MarketSnapshot) -> HoldingsTable:
        """The table of now. Where an order is taken over meanwhile, the venues are read once more; where that happens again, the table says
        nothing about the health, and another comparison is needed."""
        ledger = self._account.ledger
        self._health.needs_comparison = False
        with localcontext(EXACT):
            held, table = ledger.state, self._table(at, market)
            if ledger.state is not held:
                held, table = ledger.state, self._table(at, market)
        if ledger.state is held:
            self._note(table)
        else:
            self._health.needs_comparison = True
        self.table = table
        return table

    def _table(self, at: datetime, market: MarketSnapshot) -> HoldingsTable:
        read, unread = State(), dict[str, str]()
        by_account: dict[str, tuple[str, ...]] = {}
        for name, reads in self._reads.items():
            try:
                found = reads.read()
            except VenueUnreachable as silent:
                unread[name] = silent.message
                continue
            by_account[name] = tuple(found.parts)
            read = read.with_parts(**found.parts)
        held = self._account.accrued(self._account.state(market), market)
        known = Known(not_ours=self._holdings.not_ours, wallets=self._wallets)
        table = reconcile(at, held, read, known, unread)
        if table.breaks:
            table = reconcile(at, held, read, self._all_known(table, by_account), unread)
        return table

    def _all_known(self, table: HoldingsTable, by_account: Mapping[str, tuple[str, ...]]) -> Known:
        """What there is to explain the breaks with: asked for only where there are some."""
        broken = {row.venue for row in table.breaks}
        due: list[Due] = []
        for name, venues in by_account.items():
            if broken.intersection(venues):
                try:
                    due += self._journal.new_due(name, self._reads[name].due(self._journal.cursor(name))[0])
                except VenueUnreachable:
                    continue  # nothing is explained by it; the next comparison asks again
        executed, _ = self._journal.closed_after(self._mark)
        orders = [entry.order for entry in self._journal.open_entries() if entry.order is not None and entry.messages]
        return Known(not_ours=self._holdings.not_ours, due=due, open=orders, executed=executed, wallets=self._wallets)

    def _note(self, table: HoldingsTable) -> None:
        """A break degrades the health; where all is explained, the next comparison begins from here."""
        for name in self._reads:
            if name in table.unread:
                self._health.trouble(_reading(name), UNREADABLE, f"{name} cannot be compared: {table.unread[name]}")
            else:
                self._health.is_well(_reading(name))
        if table.breaks:
            self._health.trouble(BREAKS, UNREADABLE, "; ".join(map(str, table.breaks)))
            return
        self._health.is_well(BREAKS)
        if not table.unread:
            for name in self._reads:
                self._health.is_well(subject_of(name))
            if self._account.ledger.state is not self._marked:  # else nothing was executed since the mark
                self._mark, self._marked = self._journal.mark(), self._account.ledger.state


BREAKS = "the holdings"


def _reading(name: str) -> str:
    return f"the reading of {name}"
