"""Whether a run may go on with a state folder: its account is all at venues of the config, and simulated venues still have their ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from basis_strategy_v1.core.amounts import plain, shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.journal import JournalMark
from basis_strategy_v1.core.state import IN_TRANSIT, WALLET
from basis_strategy_v1.venues.venue import CEX

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from basis_strategy_v1.live.journal_reader import JournalReader
    from basis_strategy_v1.venues.venue import Venues


def require_all_venues(journal: JournalReader, venues: Venues, gateways: Collection[str], folder: Path) -> None:
    """Refuse an account that holds something where this run can neither see nor trade it.

    Raises:
        ComponentError: CFG-001, with the venues and the positions there.
    """
    state = journal.state()
    reachable = {name for name, venue in venues.items() if (name if venue.kind == CEX else WALLET) in gateways} | {IN_TRANSIT}
    elsewhere = {} if state is None else {name: tokens for name, tokens in state.positions().items() if name not in reachable}
    held = [f"{venue} {plain(amount)} {token}" for venue, tokens in elsewhere.items() for token, amount in tokens.items() if amount]
    if held:
        away = ", ".join(name for name, tokens in elsewhere.items() if any(tokens.values()))
        way_out = f"use the config that names {away}, or another --state"
        raise ComponentError("CFG-001", f"the account in {shown(folder)} holds {', '.join(held)}, and this config has no {away}; {way_out}")


def require_paper_ledger(journal: JournalReader, ledger: Path) -> None:
    """Refuse to let simulated venues begin empty where orders were executed at them.

    Raises:
        ComponentError: JRN-003, the ledger is missing.
    """
    if not ledger.exists() and journal.closed_after(JournalMark())[0]:
        why = "the simulated venues' own ledger is gone, and the journal has executions at them"
        raise ComponentError("JRN-003", f"{shown(ledger)} is missing: {why}; restore it, or begin with a new --state folder")
