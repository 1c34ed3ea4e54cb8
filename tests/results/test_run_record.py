"""The record of a live run in its state folder: what is stored comes back exactly, and what cannot be gone on with is set aside."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.journal import JournalMark
from basis_strategy_v1.results.attribution import AttributionLedger
from basis_strategy_v1.results.risk_of_steps import RiskRow
from basis_strategy_v1.results.run_record import NAME, Checkpoint, RunRecord, StepRow, decode_checkpoint, encode_checkpoint, kept_in
from basis_strategy_v1.venues.venue import Exposure, PerpExposure

D = Decimal
LEDGER = AttributionLedger(
    instant=1_717_200_000_000_000,
    initial_equity=str(10**40),
    recorded={"fees": "-3012455813225", "gas": "0"},
    exposures=(Exposure("bybit", "ETH", "ETH", D("0.49950000")), Exposure("aave", "aUSDT", "USDT", D("1E-18"), "supply_interest")),
    perps=(PerpExposure("bybit", "bybit", "ETHUSDT", "USDT", D("-0.50"), D("-1943.3893195000000000000000001")),),
    marks=(D("3888.6100"),),
    rates={"wstETH": D("1.17000000000000000000000000001")},
)
CHECKPOINT = Checkpoint(
    goes_on_at=1, settled=2, next_day=3, ledger=LEDGER, state='{"parts":{}}',
    mark=JournalMark(entry=9, due=4, plan=2, open=(7, 8)), routed=5, failed=6
)  # fmt: skip


def test_a_checkpoint_is_read_back_with_every_digit() -> None:
    found = decode_checkpoint(encode_checkpoint(CHECKPOINT))
    assert found == CHECKPOINT
    assert [str(held.amount) for held in found.ledger.exposures] == ["0.49950000", "1E-18"]


@pytest.mark.parametrize("text", ["", encode_checkpoint(CHECKPOINT)[:-2], "{}", encode_checkpoint(CHECKPOINT).replace("routed", "sent")])
def test_a_damaged_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        decode_checkpoint(text)


def opened(folder: Path, run: str = "run", share_class: str = "usdt_stable") -> tuple[RunRecord, Checkpoint | None, str]:
    record = RunRecord(folder)
    return record, *record.open(run, share_class)


def stored(folder: Path) -> None:
    record, *_ = opened(folder)
    record.add(CHECKPOINT)
    record.close()


ROWS = [StepRow(10, (10**30, -5, 0), {"fees": -(10**25)}), StepRow(20, (7, 8, 9), None)]
HELD = {"bybit": {"USDT": D("0.10"), "ETH": D("-2E-18")}, "wallet": {}}


def test_what_was_recorded_comes_back_in_its_order(tmp_path: Path) -> None:
    record, *first = opened(tmp_path)
    assert first == [None, ""]
    risks = [RiskRow('{"instant":10}', "[10]"), RiskRow('{"instant":20}', None)]
    record.add(CHECKPOINT, ROWS[0], (10, HELD), [("2024-06-01", "too old")], risks[0])
    record.add(CHECKPOINT, ROWS[1], risk=risks[1])
    record.close()
    record.close()
    record, *again = opened(tmp_path)
    assert again == [CHECKPOINT, ""]
    assert (list(record.steps()), list(record.holdings()), list(record.skipped())) == (ROWS, [(10, HELD)], [("2024-06-01", "too old")])
    assert list(record.risks()) == risks
    assert str(next(record.holdings())[1]["bybit"]["USDT"]) == "0.10"
    record.close()


def test_a_step_that_was_not_written_whole_is_not_there(tmp_path: Path) -> None:
    stored(tmp_path)

    def ends(point: str) -> None:
        if point == "within record":
            raise KeyboardInterrupt

    record = RunRecord(tmp_path, ends)
    record.open("run", "usdt_stable")
    with pytest.raises(KeyboardInterrupt):
        record.add(CHECKPOINT, ROWS[0], (10, HELD), [("2024-06-01", "too old")])
    record.close()
    record, found, _ = opened(tmp_path)
    assert (found, list(record.steps()), list(record.holdings()), list(record.skipped())) == (CHECKPOINT, [], [], [])
    record.close()


@pytest.mark.parametrize(
    ("run", "share_class", "why"),
    [
        ("other", "usdt_stable", "is of the run run, and the journal is of other"),
        ("run", "eth_directional", "is in the currency of usdt_stable, and the config says eth_directional"),
    ],
)
def test_a_record_of_another_run_or_currency_is_kept_aside_with_one_line(tmp_path: Path, run: str, share_class: str, why: str) -> None:
    stored(tmp_path)
    record, found, line = opened(tmp_path, run, share_class)
    record.close()
    assert (found, line) == (None, f"{tmp_path / NAME} {why}; it is kept as {NAME}.earlier-1, and the record begins now")
    (tmp_path / NAME).unlink()
    (tmp_path / f"{NAME}.earlier-1").rename(tmp_path / NAME)
    record, found, line = opened(tmp_path)
    record.close()
    assert (found, line) == (CHECKPOINT, "")


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("PRAGMA user_version = 2", "is of version 2, and this program reads 1"),
        ("UPDATE newest SET checkpoint = '{'", "Input data was truncated"),
    ],
)
def test_a_record_of_another_version_or_a_damaged_checkpoint_is_kept_aside(tmp_path: Path, statement: str, why: str) -> None:
    stored(tmp_path)
    file = sqlite3.connect(tmp_path / NAME)
    with file:
        file.execute(statement)
    file.close()
    record, found, line = opened(tmp_path)
    record.close()
    assert (found, line) == (None, f"{tmp_path / NAME} {why}; it is kept as {NAME}.earlier-1, and the record begins now")


def test_a_file_that_is_no_record_is_kept_with_its_log_each_under_a_name_of_its_own(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / NAME).write_text(f"no database {number}" * 100)
        (tmp_path / f"{NAME}-wal").write_text("no log")
        record, found, line = opened(tmp_path)
        record.close()
        assert found is None
        assert f"is kept as {NAME}.earlier-{number}," in line
        assert (tmp_path / f"{NAME}.earlier-{number}").read_text().startswith(f"no database {number}")
        assert (tmp_path / NAME).exists() and not (tmp_path / f"{NAME}-wal").exists()
        (tmp_path / NAME).unlink()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        ComponentError, match=r"^RES-001: .*record\.sqlite cannot be used: unable to open database file; free space or rights"
    ):
        opened(tmp_path / "missing")


def test_a_record_that_another_program_holds_is_not_set_aside(tmp_path: Path) -> None:
    stored(tmp_path)
    with sqlite3.connect(tmp_path / NAME) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("CREATE TABLE more (x)")
        other.commit()
        record = RunRecord(tmp_path, wait_s=0)
        with pytest.raises(ComponentError, match=r"^RES-001: .*database is locked"):
            record.open("run", "usdt_stable")
    other.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME]


# What is kept between the steps.


def test_what_is_kept_takes_the_place_of_what_had_its_name_and_is_there_after_a_restart(tmp_path: Path) -> None:
    record, *_ = opened(tmp_path)
    assert record.kept("holdings") is None
    for name, content in (("holdings", "one"), ("since", "x"), ("holdings", "two")):
        record.keep(name, content)
    assert (kept_in(tmp_path, "holdings"), kept_in(tmp_path, "other")) == ("two", None)
    record.close()
    again, *_ = opened(tmp_path)
    assert (again.kept("holdings"), again.kept("since")) == ("two", "x")
    again.close()


def test_a_record_that_keeps_nothing_yet_is_gone_on_with(tmp_path: Path) -> None:
    stored(tmp_path)
    with sqlite3.connect(tmp_path / NAME) as file:
        file.execute("DROP TABLE kept")
    assert kept_in(tmp_path, "holdings") is None
    record, found, why = opened(tmp_path)
    record.keep("holdings", "one")
    assert (found, why, record.kept("holdings")) == (CHECKPOINT, "", "one")
    record.close()


def test_without_a_record_nothing_is_kept_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert kept_in(tmp_path, "holdings") is None
    (tmp_path / NAME).write_bytes(b"not a database, and long enough to be looked at" * 10)
    with pytest.raises(ComponentError, match=r"RES-001: .*record.sqlite cannot be used: file is not a database"):
        kept_in(tmp_path, "holdings")
