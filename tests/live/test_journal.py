"""What the journal of live trading keeps, and when it is on the disk."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from msgspec import structs

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.gateway import Message
from basis_strategy_v1.core.instructions import WalletTransfer, parse_instruction
from basis_strategy_v1.core.journal import Decision, JournalMark, Status, StoredPlan, automatic_key, child_key
from basis_strategy_v1.core.order import Plan
from basis_strategy_v1.core.state import ExchangeAccount, State
from basis_strategy_v1.live.journal import SqliteJournal
from basis_strategy_v1.venues.aave_account import Pool, UserAccount
from basis_strategy_v1.venues.aave_state import AaveState

from .journal_model import AT, INSTRUCTIONS, due, message, order, report, state

D = Decimal
ONE_INSTRUCTION = """
import sys
from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.live.journal import SqliteJournal
from tests.live.journal_model import message, order, report, state

with SqliteJournal(sys.argv[1], at=lambda point: sys.stderr.write(f"point {point}\\n")) as journal:
    journal.begin_account(state(0), {})  # the first write of a file syncs more: the write-ahead log is new
    sys.stderr.write("point begun\\n")
    journal.intended(order("alpha", 1))
    journal.sent("alpha", lambda nonce: message("alpha", 1, nonce), takes_nonce=True)
    journal.close("alpha", Status.SETTLED, report("alpha", 1), state(1))
    journal.logged("alpha")
    sys.stderr.write("point ended\\n")
"""
EXECUTED = (
    ONE_INSTRUCTION.replace("point ended", "")
    + """
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
"""
)
RESTORED = """
import sys
from basis_strategy_v1.live.journal_reader import JournalReader
print(JournalReader(sys.argv[1]).state().positions())
"""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    with SqliteJournal(tmp_path, new_run="run-1") as opened:
        yield opened


def intend(journal: SqliteJournal, key: str, number: int = 1, **changes: Any) -> None:
    journal.intended(structs.replace(order(key, number), **changes))


def send(journal: SqliteJournal, key: str, first_nonce: int = 0) -> int | None:
    return journal.sent(key, lambda nonce: message(key, 1, nonce), takes_nonce=True, first_nonce=first_nonce).nonce


def environment(repository: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(repository), *(path for path in sys.path if path)))}


# What is kept, and how long.


def test_an_instruction_goes_from_intended_over_sent_to_settled_and_is_logged(journal: SqliteJournal) -> None:
    asked, first, second = order("alpha", 1), message("alpha", 1, None), message("alpha", 2, None)
    part, whole = report("alpha", 3), report("alpha", 5)
    found = []
    journal.intended(asked, notional_usd=D(3000), plan=4, step=2, parent="beta")
    found.append(journal.entry("alpha"))
    assert journal.sent("alpha", lambda nonce: structs.replace(first, nonce=nonce)) == first
    assert journal.sent("alpha", lambda nonce: structs.replace(second, nonce=nonce)) == second
    journal.note("alpha", "the venue has it pending")
    journal.add_report("alpha", part)
    found.append(journal.entry("alpha"))
    journal.close("alpha", Status.SETTLED, whole, state(1))
    found.append(journal.entry("alpha"))
    assert [entry.key for entry in journal.unlogged_entries()] == ["alpha"]
    journal.logged("alpha")
    found.append(journal.entry("alpha"))
    intended, sent, settled, logged = found
    assert (intended.status, intended.order, intended.instruction, intended.plan, intended.step, intended.parent) == (
        *(Status.INTENDED, asked, asked.instruction, 4, 2, "beta"),
    )
    expected = structs.replace(intended, status=Status.SENT, messages=(first, second), reports=(part,), reason="the venue has it pending")
    assert sent == expected
    assert settled == structs.replace(expected, status=Status.SETTLED, reports=(part, whole), reason="")
    assert logged == structs.replace(settled, is_logged=True)
    assert (journal.open_entries(), journal.unlogged_entries()) == ([], [])


def test_the_run_is_named_once_whatever_is_asked_for_later(tmp_path: Path) -> None:
    with SqliteJournal(tmp_path / "one") as first, SqliteJournal(tmp_path / "two") as second:
        assert re.fullmatch("[0-9a-f]{16}", first.run)
        assert first.run != second.run
        key = automatic_key(first.run, 1, "0", INSTRUCTIONS[0])
    with SqliteJournal(tmp_path / "one", new_run="of another config") as again:
        assert again.run == first.run
        assert automatic_key(again.run, 1, "0", INSTRUCTIONS[0]) == key


def test_what_a_restart_finds_of_a_plan_does_not_depend_on_how_keys_are_made_by_then(journal: SqliteJournal) -> None:
    plan = Plan(at=AT, blocks=({"instruction_type": "cex_trade"},), memory="in")
    number = journal.begin_plan(plan)
    for step, key in enumerate(("of an old code", "b", "c")):
        journal.intended(order(key, 1), plan=number, step=step)
    journal.close("of an old code", Status.REJECTED, None, None)
    journal.intended(order("of an old code", 2), plan=number, step=0)
    assert [(entry.key, entry.step, entry.status) for entry in journal.plan_entries(number)] == [
        ("of an old code", 0, Status.INTENDED),
        ("b", 1, Status.INTENDED),
        ("c", 2, Status.INTENDED),
    ]
    assert journal.plan_in_hand() == (number, plan)
    with pytest.raises(ValueError, match="plan 1 has not ended; end it before another begins"):
        journal.begin_plan(plan)
    with pytest.raises(ValueError, match="there is no plan 7"):
        journal.end_plan(7)
    journal.end_plan(number)
    assert (journal.plan_in_hand(), journal.memory()) == (None, "in")


def test_a_plan_without_blocks_is_not_in_hand_and_its_memory_is_there_after_a_restart(tmp_path: Path) -> None:
    with SqliteJournal(tmp_path) as journal:
        assert journal.memory() is None
        assert journal.begin_plan(Plan(at=AT, blocks=(), memory="waits")) == 1
        assert journal.plan_in_hand() is None
    with SqliteJournal(tmp_path) as journal:
        assert journal.memory() == "waits"


def test_an_id_that_was_executed_before_a_kill_is_known_with_its_report_after_it(tmp_path: Path, repository: Path) -> None:
    done = subprocess.run([sys.executable, "-c", EXECUTED, str(tmp_path)], env=environment(repository), check=False)
    assert done.returncode == -9
    with SqliteJournal(tmp_path) as journal:
        entry = journal.entry("alpha")
        assert entry is not None
        assert (entry.status, entry.reports, entry.is_logged) == (Status.SETTLED, (report("alpha", 1),), True)
        assert entry.instruction == INSTRUCTIONS[1]
        with pytest.raises(ValueError, match="alpha is settled and cannot begin again"):
            intend(journal, "alpha")


def test_blocks_with_any_kind_of_number_parse_to_the_same_instructions_after_a_restart(tmp_path: Path) -> None:
    trade = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT"}
    step = {"protocol": "aave", "action": "supply", "token": "USDT", "amount": {"output_of": 0, "fraction": D("0.10")}}
    first = {"protocol": "aave", "action": "withdraw", "token": "USDT", "amount": "all"}
    blocks = (
        *({**trade, "amount": amount} for amount in (D("1.50"), 1.1, 2, "0.3")),
        {"instruction_type": "smart_contract_action", "sub_instructions": (first, step), "estimated_deltas": {"aave": {"USDT": D(1)}}},
    )
    with SqliteJournal(tmp_path) as journal:
        journal.begin_plan(Plan(at=AT, blocks=blocks))
    with SqliteJournal(tmp_path) as journal:
        found = journal.plan_in_hand()
    assert found is not None
    assert [parse_instruction(block) for block in found[1].blocks] == [parse_instruction(block) for block in blocks]


def test_children_are_given_in_their_order_also_when_one_began_again(journal: SqliteJournal) -> None:
    for step in range(12):
        journal.intended(order(child_key("beta", step), step), parent="beta")
    journal.close("beta/3", Status.NEVER_HAPPENED, None, None, "it has expired")
    journal.intended(order("beta/3", 3), parent="beta")
    assert [entry.key for entry in journal.children("beta")] == [f"beta/{step}" for step in range(12)]
    assert {entry.status for entry in journal.children("beta")} == {Status.INTENDED}
    assert journal.children("alpha") == []


def test_an_instruction_that_had_no_effect_begins_again_with_the_messages_of_before(journal: SqliteJournal) -> None:
    costs = report("alpha", 6)
    for number, status in enumerate((Status.REJECTED, Status.NEVER_HAPPENED, Status.FAILED)):
        intend(journal, "alpha", number)
        journal.sent("alpha", lambda nonce, number=number: message("alpha", number, None))
        journal.close("alpha", status, costs if status is Status.FAILED else None, None, status.value)
    intend(journal, "alpha", 3)
    entry = journal.entry("alpha")
    assert entry is not None
    assert (entry.status, entry.order, entry.reports, entry.reason) == (Status.INTENDED, order("alpha", 3), (), "")
    assert entry.messages == tuple(message("alpha", number, None) for number in range(3))
    assert [(old.status, old.reports) for old in journal.unlogged_entries()] == [
        (Status.REJECTED, ()),
        (Status.NEVER_HAPPENED, ()),
        (Status.FAILED, (costs,)),
    ]


def test_what_is_open_or_was_executed_does_not_begin_again_and_what_is_closed_takes_nothing_more(journal: SqliteJournal) -> None:
    calls: list[Any] = [
        lambda: send(journal, "alpha"),
        lambda: journal.add_report("alpha", report("alpha", 1)),
        lambda: journal.note("alpha", "why"),
        lambda: journal.close("alpha", Status.SETTLED, None, None),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="alpha is not in the journal, and no open instruction"):
            call()
    intend(journal, "alpha")
    with pytest.raises(ValueError, match="alpha is intended and cannot begin again"):
        intend(journal, "alpha")
    with pytest.raises(ValueError, match="alpha cannot be closed as sent"):
        journal.close("alpha", Status.SENT, None, None)
    journal.close("alpha", Status.SETTLED, None, state(1))
    for call in calls:
        with pytest.raises(ValueError, match="alpha is settled, and no open instruction"):
            call()
    with pytest.raises(ValueError, match="alpha is settled and cannot begin again"):
        intend(journal, "alpha")


def test_a_report_with_anything_in_its_details_is_kept_as_text(tmp_path: Path) -> None:
    class Unwritable:
        def __str__(self) -> str:
            return "unusual \ud800"

    details = {"price": D("1.50"), "unusual": Unwritable(), "at": AT, "deep": {1: {Unwritable(): [Unwritable()]}}}
    given = structs.replace(report("alpha", 1), details=details, at=AT.astimezone(timezone(timedelta(hours=2))))
    with SqliteJournal(tmp_path) as journal:
        intend(journal, "alpha")
        journal.note("alpha", "lone \ud800 and \0")
        journal.close("alpha", Status.SETTLED, given, None, "lone \ud800")
    with SqliteJournal(tmp_path) as journal:
        entry = journal.entry("alpha")
    assert entry is not None
    found = {
        "price": "1.50",
        "unusual": "unusual \\ud800",
        "at": "2024-06-01T12:00:00Z",
        "deep": {"1": {"unusual \\ud800": ["unusual \\ud800"]}},
    }
    assert entry.reports == (structs.replace(given, details=found),)
    assert entry.reason == "lone \\ud800"


# What a day has spent.


def test_a_day_has_spent_what_was_intended_in_it_and_not_refused_and_its_gas(tmp_path: Path) -> None:
    late = datetime(2024, 6, 2, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    with SqliteJournal(tmp_path) as journal:
        for key, usd, at in (
            ("a", D("0.1"), AT),
            ("b", D("0.2"), late),
            ("c", D(4), AT),
            ("d", D(8), AT),
            ("e", D(16), AT + timedelta(days=1)),
        ):
            journal.intended(structs.replace(order(key, 1), at=at), notional_usd=usd)
        journal.close("b", Status.FAILED, report("b", 2), None)
        journal.close("c", Status.REJECTED, None, None)
        journal.close("d", Status.NEVER_HAPPENED, None, None)
        journal.close("e", Status.SETTLED, report("e", 5), state(1))
        assert (journal.spent_usd("2024-06-01"), journal.spent_usd("2024-06-02")) == (D("0.3"), D(16))
    with SqliteJournal(tmp_path) as journal:
        days = ("2024-06-01", "2024-06-02", "2024-06-03")
        assert [journal.spent_usd(day) for day in days] == [D("0.3"), D(16), 0]
        assert [journal.spent_gas_eth(day) for day in days] == [D("0.002"), D("0.005"), 0]


def test_what_turned_up_late_of_an_instruction_is_known_when_it_begins_again(journal: SqliteJournal) -> None:
    late = structs.replace(due("fill:1"), client_id="c", reference="77")
    journal.intended(order("a", 1), notional_usd=D(1))
    journal.sent("a", lambda nonce: Message(client_id="c", body="{}"))
    journal.close("a", Status.NEVER_HAPPENED, None, None)
    journal.add_due("binance", [late], "1", lambda new: state(1))
    assert journal.recorded_late("a", "77") == []
    journal.intended(order("a", 1), notional_usd=D(1))
    assert (journal.recorded_late("a", "77"), journal.recorded_late("a", "78"), journal.recorded_late("b", "77")) == ([late], [], [])


def test_gas_under_way_counts_at_its_most_until_the_outcome_is_known(journal: SqliteJournal) -> None:
    def under_way(key: str, most: str) -> None:
        journal.sent(key, lambda nonce: Message(client_id=f"{key} {most}", body="{}", nonce=nonce, most_gas_eth=D(most)), takes_nonce=True)

    def gas() -> Decimal:
        return journal.spent_gas_eth("2024-06-01")

    for key in ("a", "b"):
        journal.intended(structs.replace(order(key, 1), at=AT), notional_usd=D(1))
        under_way(key, "0.01")
    assert gas() == D("0.02")
    under_way("a", "0.03")  # the same call, with higher fees, in its place
    assert gas() == D("0.04")
    journal.close("a", Status.SETTLED, report("a", 2), state(1))
    journal.close("b", Status.NEVER_HAPPENED, None, None)
    assert gas() == D("0.002")


def test_a_sequence_has_spent_what_its_steps_intended_and_were_not_refused(journal: SqliteJournal) -> None:
    for step, usd in enumerate((D("0.1"), D("0.2"), D(4), D(8))):
        journal.intended(order(f"beta/{step}", step), notional_usd=usd, parent="beta")
    journal.intended(order("other/0", 1), notional_usd=D(16), parent="other")
    journal.close("beta/1", Status.SETTLED, None, None)
    journal.close("beta/2", Status.REJECTED, None, None)
    journal.close("beta/3", Status.NEVER_HAPPENED, None, None)
    assert [journal.spent_within_usd(key) for key in ("beta", "other", "alpha")] == [D("0.3"), D(16), 0]


# Nonces.


def test_nonces_of_an_account_follow_each_other_from_the_first_that_the_chain_takes(journal: SqliteJournal) -> None:
    for key in ("a", "b", "c", "d"):
        intend(journal, key, venue="wallet")
    intend(journal, "of another account", venue="wallet_2")
    assert [send(journal, key, 7) for key in ("a", "b", "c")] == [7, 8, 9]
    assert send(journal, "of another account", 7) == 7
    assert send(journal, "b", 7) == 8, "another attempt takes the place of the first"
    journal.close("a", Status.SETTLED, None, state(1))
    journal.close("b", Status.NEVER_HAPPENED, None, None)
    assert send(journal, "d", 7) == 8, "the nonce of what never happened is free again"
    intend(journal, "b", venue="wallet")
    assert send(journal, "b", 7) == 10
    intend(journal, "e", venue="wallet")
    assert send(journal, "e", 12) == 12, "what others have used is left out"


def test_a_message_that_cannot_be_made_takes_no_nonce(journal: SqliteJournal) -> None:
    def fails(nonce: int | None) -> Any:
        raise RuntimeError(f"no message with nonce {nonce}")

    intend(journal, "alpha")
    with pytest.raises(RuntimeError, match="no message with nonce 0"):
        journal.sent("alpha", fails, takes_nonce=True)
    entry = journal.entry("alpha")
    assert entry is not None
    assert (entry.status, entry.messages) == (Status.INTENDED, ())
    assert send(journal, "alpha") == 0


def test_many_threads_write_at_once_and_no_nonce_is_given_twice_or_left_out(journal: SqliteJournal) -> None:
    start, nonces = Barrier(8), []

    def trade(number: int) -> None:
        start.wait()
        for turn in range(5):
            key = f"{number}-{turn}"
            intend(journal, key, venue="wallet")
            nonces.append(send(journal, key))
            journal.close(key, Status.SETTLED, report(key, 1), state(1))
            journal.logged(key)

    threads = [Thread(target=trade, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(nonces) == list(range(40))
    assert (journal.open_entries(), journal.unlogged_entries()) == ([], [])


# The account, and what falls due.


def test_the_state_is_that_of_the_newest_commit_in_a_process_that_has_loaded_nothing_yet(tmp_path: Path, repository: Path) -> None:
    first = State({"bybit": ExchangeAccount({"USDT": D(5)})})
    pool = AaveState(Pool(revision="3.0", rules={}, reserves={}), UserAccount(), 1, 1)
    with SqliteJournal(tmp_path) as journal:
        assert journal.state() is None
        journal.begin_account(first, {"bybit": "17", "wallet": "18"})
        with pytest.raises(ValueError, match="the account has begun already; its state is in the journal"):
            journal.begin_account(first, {})
        assert (journal.cursor("bybit"), journal.cursor("wallet"), journal.cursor("aave")) == ("17", "18", None)
        intend(journal, "alpha")
        journal.close("alpha", Status.SETTLED, None, State({"bybit": ExchangeAccount({"USDT": D("4.50")}), "aave": pool}, checked=False))
        intend(journal, "beta/0")
        journal.close("beta/0", Status.REJECTED, None, None)
    code = [sys.executable, "-c", RESTORED, str(tmp_path)]
    answer = subprocess.run(code, env=environment(repository), capture_output=True, text=True, check=True)
    assert answer.stdout == "{'bybit': {'USDT': Decimal('4.50')}}\n"
    with SqliteJournal(tmp_path) as journal:
        restored = journal.state()
    assert restored is not None
    assert (restored.parts["aave"], restored.checked) == (pool, False)


def test_what_happened_at_a_venue_is_recorded_once_with_the_state_after_it(tmp_path: Path) -> None:
    asked = []

    def after(new: Any) -> State:
        asked.append([item.id for item in new])
        return state(len(new))

    first, second, third = due("a"), due("b"), due("c")
    with SqliteJournal(tmp_path) as journal:
        assert journal.add_due("bybit", [first, second, first], "1", after) == [first, second]
        assert journal.add_due("okx", [first], "1", after) == [first]
    with SqliteJournal(tmp_path) as journal:
        assert journal.add_due("bybit", [second, third], "2", after) == [third]
        assert journal.add_due("bybit", [third], "3", after) == []
        assert journal.unlogged_due() == [("bybit", first), ("bybit", second), ("okx", first), ("bybit", third)]
        journal.due_logged("bybit", ["a", "c"])
    with SqliteJournal(tmp_path) as journal:
        assert journal.unlogged_due() == [("bybit", second), ("okx", first)]
        assert (journal.cursor("bybit"), asked) == ("3", [["a", "b"], ["a"], ["c"]])
        restored = journal.state()
        assert restored is not None
        assert restored.parts == state(1).parts


def test_items_whose_state_cannot_be_made_are_not_recorded(journal: SqliteJournal) -> None:
    def fails(new: Any) -> State:
        raise RuntimeError("they do not fit")

    with pytest.raises(RuntimeError, match="they do not fit"):
        journal.add_due("bybit", [due("a")], "1", fails)
    assert (journal.unlogged_due(), journal.cursor("bybit")) == ([], None)
    assert journal.add_due("bybit", [due("a")], "1", lambda new: state(1)) == [due("a")]


# A person's decision.


@pytest.mark.parametrize("reference", ["0xabc", None])
def test_a_decision_stays_with_the_open_entry_until_it_is_closed(reference: str | None, tmp_path: Path) -> None:
    with SqliteJournal(tmp_path) as journal:
        intend(journal, "alpha")
        send(journal, "alpha")
        found = journal.resolve("alpha", reference, at=AT, by="basis resolve")
        assert found == journal.entry("alpha")
    with SqliteJournal(tmp_path) as journal:
        (entry,) = journal.open_entries()
        assert (entry.status, entry.decision) == (Status.SENT, Decision(reference=reference, at=AT, by="basis resolve"))


def test_only_what_is_open_can_be_decided(journal: SqliteJournal) -> None:
    for key in ("alpha", "beta/0", "beta/1"):
        intend(journal, key)
    journal.close("beta/0", Status.SETTLED, None, state(1))
    for key, line in (
        ("gamma", "JRN-005: there is no instruction gamma; open are: alpha, beta/1"),
        ("beta/0", "JRN-005: settled already is the instruction beta/0; open are: alpha, beta/1"),
    ):
        with pytest.raises(ComponentError) as refused:
            journal.resolve(key, None, at=AT, by="basis resolve")
        assert str(refused.value) == line
    journal.close("alpha", Status.REJECTED, None, None)
    journal.close("beta/1", Status.REJECTED, None, None)
    with pytest.raises(ComponentError, match="open are: none"):
        journal.resolve("alpha", None, at=AT, by="basis resolve")


# What is on the disk when.


def test_an_instruction_takes_two_synced_writes_before_it_leaves_and_one_after(tmp_path: Path, repository: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed, which counts what is synced")
    code = ["strace", "-f", "-e", "trace=fsync,fdatasync,write", "-e", "write=none", sys.executable, "-c", ONE_INSTRUCTION, str(tmp_path)]
    done = subprocess.run(code, env=environment(repository), capture_output=True, text=True, check=False)
    if "point ended" not in done.stderr:
        pytest.skip("strace may not follow a process here")
    synced: dict[str, int] = {}
    point = ""
    for line in done.stderr.splitlines():
        if found := re.search(r'"point ([a-z_ ]+)\\n"', line):
            point = found[1]
            synced[point] = 0
        elif re.search(r"\bf(data)?sync\(", line) and point:
            synced[point] += 1
    names = list(synced)
    assert [name for name in names[names.index("begun") + 1 : names.index("ended")] if synced[name]] == [
        "within intended",
        "within sent",
        "within close",
    ]
    assert {synced[f"within {name}"] for name in ("intended", "sent", "close")} == {1}


def test_each_write_passes_its_points_in_order(tmp_path: Path) -> None:
    points: list[str] = []
    with SqliteJournal(tmp_path, at=points.append) as journal:
        intend(journal, "alpha")
        send(journal, "alpha")
        journal.close("alpha", Status.SETTLED, None, None)
        journal.logged("alpha")
    writes = ("create", "intended", "sent", "close", "logged")
    assert points == [f"{when} {write}" for write in writes for when in ("before", "within", "after")]


def test_the_rows_are_plain_enough_to_be_read_with_sqlite(tmp_path: Path) -> None:
    import sqlite3

    with SqliteJournal(tmp_path) as journal:
        journal.intended(structs.replace(order("alpha", 0), expected=Deltas()), notional_usd=D(3000))
        for key, number in (("beta", 0), ("gamma", 1)):
            journal.intended(order(key, number))
    shell = sqlite3.connect(tmp_path / "journal.sqlite")
    row, same, other = shell.execute("SELECT key, venue, status, instruction, instruction_hash, order_text, day, notional_usd FROM entry")
    shell.close()
    kind, fields = json.loads(row[3])
    assert row[:3] + row[6:] == ("alpha", "bybit", "intended", "2024-06-01", "3000")
    assert (kind, fields["amount"], len(row[4])) == ("CexTrade", "1.50", 32)
    assert (same[4] == row[4], other[4] == row[4]) == (True, False)
    asked = json.loads(row[5])
    assert (asked["at"], asked["expected"], asked["price"], asked["worst_price"]) == (
        *("2024-06-01T12:00:00Z", {"amounts": {}}, None, "3001.50"),
    )


def test_the_queries_that_the_documentation_shows_find_what_it_says(tmp_path: Path, repository: Path) -> None:
    import sqlite3

    page = (repository / "docs" / "live.md").read_text(encoding="utf-8")
    text = page.split("\n## Journal\n")[1].split("\n## ")[0]
    queries = re.findall(r'^sqlite3 -readonly state/journal.sqlite "(.+)"$', text, re.MULTILINE)
    with SqliteJournal(tmp_path) as journal:
        journal.begin_plan(Plan(at=AT, blocks=({},)))
        for key, usd in (("alpha", D(3000)), ("beta/0", D("0.5"))):
            journal.intended(order(key, 1), notional_usd=usd)
            send(journal, key)
        journal.note("alpha", "pending")
        journal.close("beta/0", Status.SETTLED, report("beta/0", 1), state(1))
        shell = sqlite3.connect(f"file:{tmp_path}/journal.sqlite?mode=ro", uri=True)
        found = [shell.execute(query).fetchall() for query in queries]
        tables = {name for (name,) in shell.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        shell.close()
    opened, messages, days, plans, states = found
    assert opened == [("alpha", "bybit", "sent", "pending")]
    assert messages == [("alpha", "alpha-1", 0, '{"n": 1}'), ("beta/0", "beta/0-1", 1, '{"n": 1}')]
    assert days == [("2024-06-02", 2, 3000.5)]
    assert [(number, ended) for number, ended, _ in plans] == [(1, 0)]
    assert json.loads(states[0][0])["parts"]["bybit"]["balances"] == {"USDT": "1.50"}
    assert set(re.findall(r"^\| `(\w+)` \| ", text.split("| table |")[1], re.MULTILINE)) == tables
    assert set(re.findall(r"^\| `([a-z ]+)` \| ", text.split("| table |")[0], re.MULTILINE)) == {status.value for status in Status}


# What came after a mark.


def closed(journal: SqliteJournal, key: str, number: int, status: Status = Status.SETTLED) -> None:
    journal.close(key, status, report(key, number), None)


def test_each_report_is_given_once_after_the_mark_before_it_also_of_what_was_open_then(journal: SqliteJournal) -> None:
    intend(journal, "alpha")
    intend(journal, "beta/0")
    closed(journal, "beta/0", 2, Status.FAILED)
    first, mark = journal.closed_after(JournalMark())
    assert (first, mark) == ([report("beta/0", 2)], JournalMark(entry=2, open=(1,)))
    intend(journal, "beta/0")
    intend(journal, "other")
    journal.close("other", Status.REJECTED, None, None)
    journal.add_report("alpha", report("alpha", 1))
    closed(journal, "alpha", 3)
    closed(journal, "beta/0", 4)
    second, mark = journal.closed_after(mark)
    assert (second, mark) == ([report("alpha", 3), report("beta/0", 4)], JournalMark(entry=4))
    assert journal.closed_after(mark) == ([], mark)


def test_of_a_sequence_its_steps_are_given_and_not_the_whole(journal: SqliteJournal) -> None:
    intend(journal, "beta")
    for place in (0, 1):
        journal.intended(order(f"beta/{place}", 1), parent="beta")
        closed(journal, f"beta/{place}", place)
    closed(journal, "beta", 2)
    assert journal.closed_after(JournalMark())[0] == [report("beta/0", 0), report("beta/1", 1)]


def test_a_move_within_an_account_is_left_out_and_the_order_that_it_was_for_is_given(journal: SqliteJournal) -> None:
    move = WalletTransfer(from_venue="bybit", to_venue="bybit", token="USDT", amount=D(5), network="spot-perp")
    intend(journal, "beta")
    intend(journal, "beta/0", instruction=move)
    closed(journal, "beta/0", 0)
    closed(journal, "beta", 2)
    assert journal.closed_after(JournalMark())[0] == [report("beta", 2)]


def test_what_fell_due_and_the_plans_after_a_mark_are_given_with_what_became_of_them(journal: SqliteJournal) -> None:
    journal.begin_account(state(0), {})
    journal.add_due("bybit", [due("a")], "1", lambda new: state(1))
    first = Plan(at=AT, blocks=({}, {}), purpose="leave")
    journal.begin_plan(first)
    mark = journal.mark()
    assert mark == JournalMark(due=1, plan=1)
    journal.intended(order("alpha", 1), plan=1)
    closed(journal, "alpha", 1)
    journal.intended(order("beta", 1), plan=1)
    journal.intended(order("beta/0", 1), plan=1, parent="beta")
    closed(journal, "beta/0", 1)
    journal.add_due("bybit", [due("a"), due("b"), due("c")], "2", lambda new: state(2))
    assert journal.dues_after(mark) == [due("b"), due("c")]
    assert journal.plans_after(mark) == []
    assert journal.plans_after(JournalMark()) == [StoredPlan(plan=first, number=1, has_ended=False, settled=1)]
    journal.end_plan(1)
    assert journal.plans_after(JournalMark())[0].has_ended
