"""The curve and the files of a run."""

from __future__ import annotations

import os
from array import array
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.attribution_sources import SOURCES
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.results.attribution import units_text
from basis_strategy_v1.results.recorder import RUN_FILES, EquityCurve, PositionRows, RunFolder, equity_header, plain_json

HOUR = 3_600_000_000
beyond_eight_bytes = st.integers(-(2 * 10**20), 2 * 10**20)
points = st.lists(st.tuples(beyond_eight_bytes, beyond_eight_bytes, beyond_eight_bytes), min_size=1, max_size=30)


def curve_of(rows: list[tuple[int, int, int]]) -> EquityCurve:
    curve = EquityCurve()
    for index, row in enumerate(rows):
        recorded = {**dict.fromkeys(SOURCES, 0), "fees": -index} if index % 3 == 0 else None
        curve.add(index * HOUR, row, recorded)
    return curve


@given(points)
def test_what_goes_in_comes_out_whatever_its_size(rows: list[tuple[int, int, int]]) -> None:
    found = [line.rstrip("\n").split(",") for line in curve_of(rows).rows(bytes(len(rows)))]
    columns = equity_header().split(",")
    fees = columns.index("fees")
    assert [(line[1], line[2], line[3]) for line in found] == [tuple(map(units_text, row)) for row in rows]
    assert [line[fees] for line in found] == [units_text(-(index - index % 3)) for index in range(len(rows))]
    assert {len(line) for line in found} == {len(columns)}
    assert all(amount == "0" for line in found for name, amount in zip(columns[4:], line[4:], strict=True) if name != "fees")


@given(st.lists(st.integers(1, 2 * 10**20), min_size=1, max_size=60))
def test_the_drawdown_is_that_of_every_pair_of_steps(equities: list[int]) -> None:
    worst = max(Decimal(before - after) / before for place, before in enumerate(equities) for after in equities[place:])
    curve = curve_of([(equity, 0, 0) for equity in equities])
    assert (curve.max_drawdown, curve.max_drawdown_without([])) == (worst, worst)


@given(st.integers(1, 2 * 10**20), st.lists(st.integers(1, 2 * 10**20), min_size=1, max_size=60))
def test_the_equity_before_the_first_trade_is_the_first_peak(initial: int, equities: list[int]) -> None:
    curve, with_it_as_a_step = EquityCurve(), curve_of([(equity, 0, 0) for equity in (initial, *equities)])
    curve.open(initial)
    for index, equity in enumerate(equities):
        curve.add(index * HOUR, (equity, 0, 0), dict.fromkeys(SOURCES, 0))
    assert curve.max_drawdown == curve.max_drawdown_without([]) == with_it_as_a_step.max_drawdown
    assert len(list(curve.rows(bytes(99)))) == len(equities)


def test_what_it_costs_to_enter_is_a_drawdown() -> None:
    curve = EquityCurve()
    curve.open(100)
    curve.add(0, (99, 0, 0), dict.fromkeys(SOURCES, 0))
    curve.add(HOUR, (98, 0, 0), None)
    assert (curve.max_drawdown, curve.max_drawdown_without([0, 1, *[0] * (len(curve.instants) - 2)])) == (Decimal("0.02"), Decimal("0.01"))


@pytest.mark.parametrize(
    ("second_trough", "deepest"),
    [(178, Decimal(21) / 199), (179, Decimal(20) / 199), (180, Decimal(10) / 100), (181, Decimal(10) / 100)],
)
def test_a_second_fall_counts_from_the_first_unit_on_by_which_it_is_the_deeper_one(second_trough: int, deepest: Decimal) -> None:
    curve = EquityCurve()
    curve.open(100)
    in_one_piece = EquityCurve()
    in_one_piece.open(100)
    equities = [90, 199, second_trough]
    for index, equity in enumerate(equities):
        curve.add(index * HOUR, (equity, 0, 0), dict.fromkeys(SOURCES, 0))
    in_one_piece.add_all(array("q", (0, HOUR, 2 * HOUR)), (equities, [0] * 3, [0] * 3))
    assert (curve.max_drawdown, curve.max_drawdown_without([]), in_one_piece.max_drawdown) == (deepest, deepest, deepest)


@pytest.mark.parametrize("initial", [0, -5])
def test_from_an_initial_equity_of_nothing_there_is_no_drawdown(initial: int) -> None:
    curve = EquityCurve()
    curve.open(initial)
    curve.add(0, (-10, 0, 0), dict.fromkeys(SOURCES, 0))
    assert curve.max_drawdown == curve.max_drawdown_without([]) == 0


@given(points, st.data())
def test_steps_recorded_in_one_piece_are_those_recorded_one_by_one(rows: list[tuple[int, int, int]], data: st.DataObject) -> None:
    split = data.draw(st.integers(0, len(rows) - 1))
    one_by_one, in_pieces = EquityCurve(), EquityCurve()
    for index, row in enumerate(rows):
        one_by_one.add(index * HOUR, row, None)
    for first, last in ((0, split), (split, len(rows))):
        if first < last:
            columns = tuple(map(list, zip(*rows[first:last], strict=True)))
            in_pieces.add_all(array("q", range(first * HOUR, last * HOUR, HOUR)), columns)
    nothing = dict.fromkeys(SOURCES, 0)
    for curve in (one_by_one, in_pieces):
        curve.add(len(rows) * HOUR, (1, 2, 3), nothing)
    assert list(in_pieces.rows(bytes(99))) == list(one_by_one.rows(bytes(99)))
    assert in_pieces.max_drawdown == one_by_one.max_drawdown


def test_a_capital_of_twenty_million_fits() -> None:
    curve = curve_of([(9 * 10**18, 1, 2), (20_000_000 * 10**12, 3, 4), (10_000_000 * 10**12, 5, 6)])
    lines = [line.split(",")[:4] for line in curve.rows(bytes(99))]
    assert lines[0] == ["1970-01-01T00:00:00Z", "9000000", "0.000000000001", "0.000000000002"]
    assert lines[1][1] == "20000000"
    assert curve.max_drawdown == Decimal("0.5")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_any_of_the_three_columns_may_be_the_one_that_is_too_wide(place: int) -> None:
    row = [1, 2, 3]
    row[place] = 10**19
    rows = [(7, 8, 9), (row[0], row[1], row[2]), (4, 5, 6)]
    assert [line.split(",")[1:4] for line in curve_of(rows).rows(bytes(len(rows)))] == [list(map(units_text, row)) for row in rows]


def test_a_loss_of_everything_is_a_drawdown_of_more_than_all_only_where_debt_is_left() -> None:
    assert curve_of([(100, 0, 0), (0, 0, 0)]).max_drawdown == 1
    assert curve_of([(100, 0, 0), (-50, 0, 0)]).max_drawdown == Decimal("1.5")
    assert curve_of([(0, 0, 0), (-50, 0, 0)]).max_drawdown == 0


def test_positions_are_written_as_people_write_numbers() -> None:
    holdings = PositionRows()
    holdings.add(0, {"bybit": {"ETH": Decimal("1.500"), "USDT": Decimal("1E+3")}, "wallet": {"ETH": Decimal("1E-18")}})
    assert list(holdings.rows()) == [
        "1970-01-01T00:00:00Z,bybit,ETH,1.5\n",
        "1970-01-01T00:00:00Z,bybit,USDT,1000\n",
        "1970-01-01T00:00:00Z,wallet,ETH,0.000000000000000001\n",
    ]


def folder_of(results: Path, *, finished: bool = True) -> RunFolder:
    folder = RunFolder(results, "run")
    folder.begin(finished=finished)
    return folder


def test_a_run_removes_what_an_earlier_one_wrote_when_there_is_something_to_put_in_its_place(tmp_path: Path) -> None:
    first = folder_of(tmp_path / "deep" / "results")
    assert first.write("config.yaml", "one\n").read_text() == "one\n"
    assert first.write_rows("equity.csv", "x", iter(["1\n", "2\n"])).read_text() == "x\n1\n2\n"
    for left_by_a_kill in (".equity.csv.part", "events.csv.123.partial"):
        (first.path / left_by_a_kill).touch()
    again = RunFolder(tmp_path / "deep" / "results", "run")
    assert len(os.listdir(again.path)) == 4
    again.begin(finished=True)
    assert os.listdir(again.path) == []


def test_files_that_no_run_writes_are_kept_and_the_page_of_the_same_results(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    for name in RUN_FILES:
        folder.write(name, "")
    for own in ("notes.txt", "equity_of_mine.csv", "summary.json.bak", ".hidden"):
        (folder.path / own).write_text("mine")
    (folder.path / "pictures").mkdir()
    folder_of(tmp_path)
    assert sorted(os.listdir(folder.path)) == [".hidden", "equity_of_mine.csv", "notes.txt", "pictures", "report.html", "summary.json.bak"]
    assert (folder.path / "notes.txt").read_text() == "mine"


def test_a_run_writes_no_file_of_another_name(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        folder_of(tmp_path).write("notes.txt", "")


@pytest.mark.parametrize("removed", range(len(RUN_FILES) - 1))  # the page of the same results stays
def test_a_kill_while_an_earlier_runs_files_are_removed_leaves_no_old_summary(
    tmp_path: Path, removed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path)
    for name in RUN_FILES:
        folder.write(name, "{}")
    unlink, left = Path.unlink, iter(range(removed + 1))

    def until_killed(path: Path, missing_ok: bool = False) -> None:
        if path.name in RUN_FILES and next(left) == removed:
            raise KeyboardInterrupt
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as killed:
        killed.setattr(Path, "unlink", until_killed)
        with pytest.raises(KeyboardInterrupt):
            RunFolder(tmp_path, "run").begin(finished=True, summary="{}")
    there = set(os.listdir(folder.path))
    assert len(there) == len(RUN_FILES) - removed
    assert ("summary.json" in there) == (removed == 0)


def test_a_link_in_place_of_a_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "run").mkdir()
    for name in (".probe", ".equity.csv.part", "equity.csv"):
        (tmp_path / "run" / name).symlink_to(precious)
    (tmp_path / "run" / ".config.yaml.part").symlink_to(tmp_path / "nowhere")
    folder = folder_of(tmp_path)
    (folder.path / ".equity.csv.part").symlink_to(precious)
    folder.write("equity.csv", "x\n")
    folder.write("config.yaml", "y\n")
    assert (precious.read_text(), (tmp_path / "nowhere").exists()) == ("mine", False)
    assert {path.name: path.is_symlink() for path in folder.path.iterdir()} == {"equity.csv": False, "config.yaml": False}


def test_a_letter_that_no_encoding_has_is_written_as_its_number(tmp_path: Path) -> None:
    assert folder_of(tmp_path).write("config.yaml", "tag: \ud800\n").read_text() == "tag: \\ud800\n"


def test_another_working_directory_does_not_move_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = folder_of(Path("results"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert folder.write("config.yaml", "") == tmp_path / "results/run/config.yaml"
    (folder.path / "equity.csv").mkdir()
    with pytest.raises(ComponentError, match=r"^RES-001: results/run/equity\.csv cannot be written: Is a directory; "):
        folder.write("equity.csv", "")


def test_results_that_came_out_otherwise_are_kept_and_those_that_did_not_are_written_over(tmp_path: Path) -> None:
    def run(summary: str) -> Path | None:
        folder = RunFolder(tmp_path, "eth_basis-1")
        kept = folder.begin(finished=True, summary=summary)
        folder.write("summary.json", summary)
        return kept

    names = ["eth_basis-1.earlier-1", "eth_basis-1.earlier-2"]
    assert [run(summary) for summary in ("a", "a", "b", "b", "a")] == [None, None, tmp_path / names[0], None, tmp_path / names[1]]
    assert [(tmp_path / name / "summary.json").read_text() for name in [*names, "eth_basis-1"]] == ["a", "b", "a"]


def test_a_run_that_ends_early_leaves_the_results_of_one_that_did_not(tmp_path: Path) -> None:
    folder_of(tmp_path).write("summary.json", "{}")
    early = folder_of(tmp_path, finished=False)
    early.write("equity.csv", "x\n")
    early.close()
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*") if path.is_file()) == [
        "run.unfinished/equity.csv",
        "run/summary.json",
    ]
    assert folder_of(tmp_path, finished=True).path == tmp_path / "run"


def test_a_folder_that_is_a_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(ComponentError) as refused:
        RunFolder(tmp_path / "results", "run")
    message = f"RES-001: {tmp_path}/results/run cannot be written: Not a directory; choose another folder with --results"
    assert str(refused.value) == message


def test_a_file_that_fails_half_way_is_never_in_its_place(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    folder.write("equity.csv", "old\n")

    def rows() -> object:
        yield "1\n"
        raise OSError(28, "No space left on device")

    with pytest.raises(ComponentError, match=r"RES-001: .*equity\.csv cannot be written: No space left on device"):
        folder.write_rows("equity.csv", "x", rows())  # type: ignore[arg-type]
    assert (os.listdir(folder.path), (folder.path / "equity.csv").read_text()) == (["equity.csv"], "old\n")


def test_json_keeps_the_order_of_the_program() -> None:
    assert plain_json({"b": "é", "a": [1]}) == '{\n  "b": "é",\n  "a": [\n    1\n  ]\n}\n'
