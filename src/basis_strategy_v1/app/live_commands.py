"""What `basis status`, `halt`, `resume` and `resolve` do with a state folder. They work while `basis live` runs, and after it."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.amounts import counted, plain, shown
from basis_strategy_v1.core.clock import SECOND_US, SystemClock, from_instant, iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.journal import GivenFee
from basis_strategy_v1.execution.reconciliation import decode_table, lines_of
from basis_strategy_v1.live.journal import LOCK, SqliteJournal
from basis_strategy_v1.live.journal_reader import JournalReader
from basis_strategy_v1.monitoring.folder_lock import holder_of
from basis_strategy_v1.results.run_record import HOLDINGS, kept_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HALT = "HALT"


def is_halted(folder: Path) -> bool:
    """Whether nothing new is to be started."""
    return (folder / HALT).exists()


def set_halted(folder: Path) -> None:
    """Let nothing new be started until `resume`."""
    (folder / HALT).touch()


def require_journal(folder: Path) -> None:
    """Refuse a folder in which no live run was.

    Raises:
        ComponentError: JRN-001, there is no journal.
    """
    JournalReader(folder).close_file()


def halt_line(folder: Path) -> str:
    """That it is halted, since when, and the way out."""
    since = iso(from_instant(int((folder / HALT).stat().st_mtime) * SECOND_US))
    return f"halted since {since}: nothing new is started; `basis resume --state {shown(folder)}` ends it"


def lines_at_the_end(summary: dict[str, Any], folder: Path) -> list[str]:
    """What a person has to know of a live run that its figures do not say: it is or was halted, or the venues hold something else."""
    lines = [halt_line(folder)] if is_halted(folder) else []
    if (halted := summary.get("halted")) is not None:
        lines.append(f"halted at {counted(halted['steps'], 'step')} of this run, from {halted['from']} on: nothing was started there")
    if (capital := summary.get("initial_capital_at_start")) is not None:
        lines.append(
            f"warning: initial_capital was {capital} when this state folder began; equity counts from there, the config's is not read"
        )
    for row in summary.get("breaks", ()):
        lines.append(f"BREAK: {row['venue']} {row['token']}, unexplained {row['unexplained']}; see `basis status --state {shown(folder)}`")
    return lines


def status_of(folder: Path) -> dict[str, Any]:
    """What the journal knows: the process that has it (its number; None: none), halted or not, what is open, the plan in hand, what the day
    has spent, the positions, and the newest comparison of these with the venues.

    Raises:
        ComponentError: JRN-…, there is no journal, or it cannot be read.
    """
    with JournalReader(folder) as journal:
        state, in_hand = journal.state(), journal.plan_in_hand()
        day = iso(SystemClock().now())[:10]
        return {
            "run": journal.run,
            "process": holder_of(journal.path.with_name(LOCK)),
            "halted": is_halted(folder),
            "open": [
                {"key": entry.key, "venue": entry.venue, "status": str(entry.status), "reason": entry.reason}
                for entry in journal.open_entries()
            ],
            "plan_in_hand": None if in_hand is None else {"number": in_hand[0], "at": iso(in_hand[1].at), "blocks": len(in_hand[1].blocks)},
            "day": day,
            "spent_usd_today": plain(journal.spent_usd(day)),
            "spent_gas_eth_today": plain(journal.spent_gas_eth(day)),
            "positions": {}
            if state is None
            else {venue: {token: plain(amount) for token, amount in tokens.items()} for venue, tokens in state.positions().items()},
            "holdings": None if (table := kept_in(folder, HOLDINGS)) is None else json.loads(table),
        }


def status_lines(folder: Path) -> list[str]:
    """The same, for a person."""
    found = status_of(folder)
    process = "no process runs on it" if found["process"] is None else f"process {found['process'] or '?'} runs on it"
    lines = [f"run {found['run']}: {process}, {'halted' if found['halted'] else 'not halted'}"]
    if (plan := found["plan_in_hand"]) is not None:
        lines.append(f"plan in hand: {plan['blocks']} blocks of {plan['at']}")
    lines += [f"open: {row['key']} at {row['venue']} is {row['status']}{row['reason'] and ': '}{row['reason']}" for row in found["open"]]
    lines.append(f"spent today ({found['day']}, UTC): {found['spent_usd_today']} USD notional, {found['spent_gas_eth_today']} ETH gas")
    lines += [f"{venue}: {token} {amount}" for venue, tokens in found["positions"].items() for token, amount in tokens.items()]
    if found["holdings"] is not None:
        lines += lines_of(decode_table(json.dumps(found["holdings"])))
    return lines


def halt(folder: Path) -> str:
    """Let `basis live` start nothing new; the plan in hand follows its `on_failure`."""
    require_journal(folder)
    set_halted(folder)
    return f"halted: nothing new is started from the next step on; `basis resume --state {folder}` ends it"


def left(folder: Path, still: Sequence[Mapping[str, str]], *, has_left: bool) -> list[str]:
    """Halt after leaving; the positions then. `still`: those that the summary names as left open.

    Raises:
        ComponentError: ENG-004, something is still held: the data had no time for it, or the strategy of the config does not trade it.
    """
    set_halted(folder)
    found = status_of(folder)
    held = [f"{venue}: {token} {amount}" for venue, tokens in found["positions"].items() for token, amount in tokens.items()]
    if not has_left:
        again = (
            "to leave it, give data that go on, set a later end in the config, and run unwind again: the data have no time left for it; "
            "where there are none, replay into a new state folder with close_at_end: true; `basis resume` ends the halt"
        )
        raise ComponentError("ENG-004", f"not everything was left before the data ended; halted. Held: {', '.join(held)}; {again}")
    if still:
        open_ = ", ".join(f"{row['venue']}: {row['token']} {row['amount']}" for row in still)
        again = "run unwind again with the config that trades there; `basis resume` ends the halt"
        raise ComponentError("ENG-004", f"the strategy of this config leaves nothing more, and still held is {open_}; halted; {again}")
    return ["left everything that the strategy holds, and halted", *held]


def resume(folder: Path) -> str:
    """End a halt.

    Raises:
        ComponentError: JRN-001, there is no journal.
    """
    require_journal(folder)
    if not is_halted(folder):
        return "it was not halted"
    (folder / HALT).unlink()
    return "resumed: the next step decides again"


def fee_of(text: str) -> GivenFee:
    """The fee of `0.5 USDT`, or of `unknown`.

    Raises:
        ComponentError: CFG-001.
    """
    amount, _, token = text.partition(" ")
    if text == "unknown":
        return GivenFee(None)
    try:
        fee = GivenFee(Decimal(amount), token)
        if fee.amount is not None and fee.amount.is_finite() and fee.amount >= 0 and token.isalnum():
            return fee
    except InvalidOperation:
        pass
    raise ComponentError("CFG-001", f"--fee must be an amount and its token, such as '0.5 USDT', or unknown, got {shown(text)}")


def resolve(folder: Path, key: str, reference: str | None, fee: GivenFee | None = None) -> str:
    """Record a person's decision about an open instruction; the next start of `basis live` closes it. `fee`: where the venue shows none.

    Raises:
        ComponentError: JRN-002, a run has the journal; JRN-005, the key is not open.
    """
    with JournalReader(folder) as journal:
        entry = journal.entry(key)
        if entry is None or not entry.is_open:
            there = ", ".join(found.key for found in journal.open_entries()) or "none"
            raise ComponentError("JRN-005", f"no open instruction has the key {key!r}; open are {there}")
    with SqliteJournal(folder) as writable:
        writable.resolve(key, reference, at=SystemClock().now(), by="basis resolve", fee=fee)
    nonce = entry.messages[-1].nonce if entry.messages else None
    if reference is None and nonce is not None:
        return f"{key}: it never happened; `basis live` closes it at a start once another transaction has used nonce {nonce}"
    what = "never happened" if reference is None else f"happened as {reference}"
    return f"{key}: it {what}; `basis live` closes it at its next start"
