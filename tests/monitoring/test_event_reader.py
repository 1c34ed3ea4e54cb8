"""Events read back, and exported."""

from __future__ import annotations

import csv
import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.monitoring.event_logger import EventLogger
from basis_strategy_v1.monitoring.event_reader import event_files, export_csv, read_events, safe

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def written(tmp_path):
    with EventLogger(tmp_path) as log:
        log.log_event(NOON, "execution", "ExecutionManager", {"deltas": {"aave": {"USDT": Decimal("-1000")}}})
        log.log_event(NOON + SECOND, "error", "ExecutionManager", {"error_message": 'a,"b"\nc'})
    return tmp_path / "events" / "execution_manager_events.jsonl"


def test_events_come_back_as_they_were_logged(written):
    reader = read_events(written)
    assert list(reader) == [
        {
            "timestamp": "2024-06-01T12:00:00Z",
            "event_type": "execution",
            "component": "ExecutionManager",
            "data": {"deltas": {"aave": {"USDT": "-1000"}}},
            "sequence": 1,
        },
        {
            "timestamp": "2024-06-01T12:00:01Z",
            "event_type": "error",
            "component": "ExecutionManager",
            "data": {"error_message": 'a,"b"\nc'},
            "sequence": 2,
        },
    ]
    assert reader.truncated is None


def test_a_truncated_last_line_wherever_it_was_cut_does_not_stop_the_reader(written):
    whole = written.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole)):
        written.write_bytes(whole[:cut])
        reader = read_events(written)
        lacks_only_its_newline = cut == len(whole) - 1
        assert [event["sequence"] for event in reader] == ([1, 2] if lacks_only_its_newline else [1])
        assert reader.truncated == (None if lacks_only_its_newline or cut == first else whole[first:cut])


@pytest.mark.parametrize("rubbish", [b"\n", b"{}\n", b"[1]\n", b"\x00\x00\n", b'{"timestamp":"\xff"}\n'])
def test_a_damaged_line_before_the_end_is_named_by_file_and_number(written, rubbish):
    whole = written.read_bytes()
    written.write_bytes(rubbish + whole)
    with pytest.raises(ComponentError) as refused:
        list(read_events(written))
    assert str(refused.value) == f"LOG-003: {written}, line 1 is no event; remove that line or restore the file"
    written.write_bytes(whole + rubbish)
    reader = read_events(written)
    assert len(list(reader)) == 2
    assert reader.truncated == rubbish


def test_a_byte_that_is_no_utf_8_within_the_data_is_damage_too(written):
    written.write_bytes(written.read_bytes().replace(b"aave", b"aav\xff"))
    with pytest.raises(ComponentError, match="LOG-003"):
        list(read_events(written))


def test_a_missing_file_is_the_readers_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(read_events(tmp_path / "none.jsonl"))


def test_files_are_found_by_component_with_the_oldest_first(tmp_path):
    with EventLogger(tmp_path, "live") as log:
        for day in (0, 1, 2):
            log.log_event(NOON + timedelta(days=day), "execution", "ExecutionManager", {})
    events = tmp_path / "events"
    (events / "data_provider_events.2024-05-01.jsonl").touch()
    (events / "notes_events.txt.jsonl").touch()
    (events / "execution_manager_events.old.jsonl").touch()
    assert event_files(tmp_path) == {
        "data_provider_events": [events / "data_provider_events.2024-05-01.jsonl"],
        "execution_manager_events": [
            events / "execution_manager_events.2024-06-01.jsonl",
            events / "execution_manager_events.2024-06-02.jsonl",
            events / "execution_manager_events.jsonl",
        ],
    }


def rows(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


HEAD = ["timestamp", "component", "sequence", "event_type", "data"]


def test_the_csv_holds_all_components_by_timestamp_then_component_then_sequence(tmp_path):
    with EventLogger(tmp_path) as log:
        log.log_event(NOON, "state_update", "ExecutionManager", {"n": 1})
        log.log_event(NOON, "state_update", "DataProvider", {"n": 2})
        log.log_event(NOON, "execution", "ExecutionManager", {"n": 3})
        log.log_event(NOON + SECOND / 2, "state_update", "ExecutionManager", {"n": 4})
        log.log_event(NOON + SECOND, "state_update", "DataProvider", {"n": 5})
        log.export_csv(tmp_path / "results" / "run" / "events.csv")
    assert (tmp_path / "results" / "run" / "events.csv").read_bytes() == (
        b"timestamp,component,sequence,event_type,data\n"
        b'2024-06-01T12:00:00Z,DataProvider,1,state_update,"{""n"":2}"\n'
        b'2024-06-01T12:00:00Z,ExecutionManager,1,state_update,"{""n"":1}"\n'
        b'2024-06-01T12:00:00Z,ExecutionManager,2,execution,"{""n"":3}"\n'
        b'2024-06-01T12:00:00.500000Z,ExecutionManager,3,state_update,"{""n"":4}"\n'
        b'2024-06-01T12:00:01Z,DataProvider,2,state_update,"{""n"":5}"\n'
    )
    assert [path.name for path in (tmp_path / "results" / "run").iterdir()] == ["events.csv"]


def test_events_logged_out_of_order_are_put_into_order(tmp_path):
    offsets = (3, 1, 2, 1, 0)
    with EventLogger(tmp_path) as log:
        for seconds in offsets:
            log.log_event(NOON + seconds * SECOND, "settlement", "ExecutionManager", {})
        log.log_event(NOON + SECOND, "settlement", "DataProvider", {})
    log.export_csv(tmp_path / "events.csv")
    assert [(row[0][17:19], row[1], row[2]) for row in rows(tmp_path / "events.csv")[1:]] == [
        ("00", "ExecutionManager", "5"),
        ("01", "DataProvider", "1"),
        ("01", "ExecutionManager", "2"),
        ("01", "ExecutionManager", "4"),
        ("02", "ExecutionManager", "3"),
        ("03", "ExecutionManager", "1"),
    ]


def test_a_backtests_csv_leaves_out_components_of_an_earlier_run(tmp_path):
    with EventLogger(tmp_path) as log:
        log.log_event(NOON, "state_update", "DataProvider", {})
    with EventLogger(tmp_path) as log:
        log.log_event(NOON, "state_update", "ExecutionManager", {})
        log.export_csv(tmp_path / "events.csv")
    assert [row[1] for row in rows(tmp_path / "events.csv")] == ["component", "ExecutionManager"]


def test_a_live_runs_csv_goes_over_the_days_and_past_a_truncated_line(tmp_path):
    log = EventLogger(tmp_path, "live")
    for day in (0, 1, 2):
        log.log_event(NOON + timedelta(days=day), "execution", "ExecutionManager", {})
    with (tmp_path / "events" / "execution_manager_events.jsonl").open("ab") as file:
        file.write(b'{"timest')
    log.export_csv(tmp_path / "events.csv")
    log.close()
    assert [row[:3] for row in rows(tmp_path / "events.csv")[1:]] == [
        [f"2024-06-0{day}T12:00:00Z", "ExecutionManager", str(day)] for day in (1, 2, 3)
    ]


def test_a_run_without_events_gives_the_head_alone(tmp_path):
    with EventLogger(tmp_path) as log:
        log.export_csv(tmp_path / "events.csv")
    assert rows(tmp_path / "events.csv") == [HEAD]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_no_cell_is_a_formula(tmp_path, start):
    path = tmp_path / "x_events.jsonl"
    event = {"timestamp": start, "event_type": start + "1", "component": start + "cmd", "data": -5, "sequence": 1}
    path.write_text(json.dumps(event) + "\n")
    export_csv([[path]], tmp_path / "events.csv")
    assert rows(tmp_path / "events.csv")[1] == ["'" + start, "'" + start + "cmd", "1", "'" + start + "1", "'-5"]


def test_a_carriage_return_breaks_no_row(tmp_path):
    path = tmp_path / "x_events.jsonl"
    path.write_bytes(b'{"timestamp":"t","event_type":"a\\rb","component":"c","data":{"x":\r"\\r"},"sequence":1}\n')
    export_csv([[path]], tmp_path / "events.csv")
    assert rows(tmp_path / "events.csv")[1] == ["t", "c", "1", "a b", '{"x": "\\r"}']


@given(st.text())
def test_a_safe_cell_is_the_text_with_at_most_an_apostrophe_before_it(text):
    assert safe(text).removeprefix("'") == text.replace("\r", " ").removeprefix("'")
    assert safe(text)[:1] not in tuple("=+-@\t\r")


def test_a_csv_that_cannot_be_written_leaves_the_old_one_and_nothing_half_done(tmp_path):
    with EventLogger(tmp_path) as log:
        log.log_event(NOON, "execution", "ExecutionManager", {})
        (tmp_path / "events.csv").mkdir()
        with pytest.raises(ComponentError, match=r"LOG-001: cannot write the events to .*events\.csv: Is a directory; free space"):
            log.export_csv(tmp_path / "events.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events", "events.csv"]


def test_a_damaged_log_leaves_the_old_csv_as_it_was(tmp_path, written):
    (tmp_path / "events.csv").write_text("old")
    written.write_bytes(b"{}\n" + written.read_bytes())
    with pytest.raises(ComponentError, match="LOG-003"):
        export_csv(event_files(tmp_path).values(), tmp_path / "events.csv")
    assert (tmp_path / "events.csv").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events", "events.csv"]


def test_the_export_holds_no_more_than_a_line_of_each_component(tmp_path):
    with EventLogger(tmp_path) as log:
        for number in range(20_000):
            log.log_event(NOON + number * SECOND, "execution", "ExecutionManager", {"filler": "x" * 200})
    tracemalloc.start()
    log.export_csv(tmp_path / "events.csv")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000
    assert (tmp_path / "events.csv").stat().st_size > 4_000_000
