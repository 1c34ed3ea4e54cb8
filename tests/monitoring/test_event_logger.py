"""The event log, over real files."""

from __future__ import annotations

import gc
import json
import os
import re
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.clock import SimulatedClock
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.monitoring.event_files import BLOCK_EVENTS, FIRST_EVENTS, TAIL_BYTES
from basis_strategy_v1.monitoring.event_line import EVENT_TYPES, LONGEST_LINE, LONGEST_TEXT, json_of
from basis_strategy_v1.monitoring.event_logger import EventLogger, file_stem
from basis_strategy_v1.monitoring.event_reader import event_files, read_events

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
MANAGER = "ExecutionInterfaceManager"
MANAGER_FILE = "execution_interface_manager_events.jsonl"


def event(sequence, data=None, *, timestamp="2024-06-01T12:00:00Z", event_type="state_update", component=MANAGER):
    return {"timestamp": timestamp, "event_type": event_type, "component": component, "data": data or {}, "sequence": sequence}


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class Fill(msgspec.Struct):
    amount: Decimal


def written(tmp_path, data):
    with EventLogger(tmp_path) as log:
        log.log_event(NOON, "execution", MANAGER, data)
    return json.loads((tmp_path / "events" / MANAGER_FILE).read_bytes())["data"]


# What a line is


class Hostile:
    """Whatever is asked of it, it raises an error of its own kind, which raises when its text is asked for."""

    class Refusal(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    def __getattribute__(self, name):
        raise Hostile.Refusal

    def _refuse(self, *_):
        raise Hostile.Refusal

    __str__ = __repr__ = __iter__ = __len__ = __hash__ = __bool__ = __int__ = __float__ = _refuse


class HostileMap(Mapping):
    def __getitem__(self, name):
        raise Hostile.Refusal

    def __iter__(self):
        raise Hostile.Refusal

    def __len__(self):
        return 1


class HostileTime(datetime):
    def isoformat(self, *_):
        raise Hostile.Refusal


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Hostile(), "<Hostile that raises Refusal>"),
        (HostileMap(), "<HostileMap that raises Refusal>"),
        (HostileTime(2024, 6, 1, tzinfo=UTC), "<HostileTime that raises Refusal>"),
        (Hostile.Refusal(), "<Refusal whose text raises RuntimeError>"),
    ],
    ids=["object", "mapping", "datetime", "error"],
)
def test_an_object_that_raises_whatever_is_asked_of_it_is_named_and_the_event_is_kept(tmp_path, value, text):
    assert written(tmp_path, {"before": 1, "raw": value, "after": [Decimal("1.5"), value]}) == {
        "before": 1,
        "raw": text,
        "after": ["1.5", text],
    }


def test_in_a_line_that_is_too_long_each_text_is_cut_and_the_rest_is_as_it_was(tmp_path):
    long, fits = "x" * 10_000_000, "y" * LONGEST_TEXT
    data = {"instruction_type": long, "fits": fits, "amount": Decimal("0.10"), "steps": [long, 1.5, None], long: True}
    cut = f"{'x' * LONGEST_TEXT}... (10000000 characters)"
    assert written(tmp_path, data) == {"instruction_type": cut, "fits": fits, "amount": "0.10", "steps": [cut, 1.5, None], cut: True}


def test_a_long_line_of_short_texts_is_kept_whole(tmp_path):
    steps = ["swap USDT"] * (LONGEST_LINE // 8)
    assert written(tmp_path, {"steps": steps}) == {"steps": steps}


def test_of_several_events_of_one_time_only_the_long_one_is_cut(tmp_path):
    with EventLogger(tmp_path) as log:
        append = log.appender(MANAGER, NOON)
        append(NOON, MANAGER, [("error", {"n": 1}), ("error", {"text": "x" * LONGEST_LINE}), ("error", {"n": 3})])
    first, second, third = lines_of(tmp_path / "events" / MANAGER_FILE)
    assert (first, third) == (event(1, {"n": 1}, event_type="error"), event(3, {"n": 3}, event_type="error"))
    assert len(second["data"]["text"]) < LONGEST_TEXT + 100


@pytest.mark.parametrize("mode", ["backtest", "live"])
def test_every_line_is_the_whole_event_with_its_number_in_the_components_own_file(tmp_path, mode):
    with EventLogger(tmp_path, mode) as log:
        log.log_event(NOON, "component_initialization", MANAGER, {"execution_mode": mode})
        log.log_event(NOON, "state_update", "CEXExecutionInterface", {})
        log.log_event(NOON + timedelta(microseconds=5), "execution", MANAGER, {"amount": 1})
    assert lines_of(tmp_path / "events" / MANAGER_FILE) == [
        event(1, {"execution_mode": mode}, event_type="component_initialization"),
        event(2, {"amount": 1}, timestamp="2024-06-01T12:00:00.000005Z", event_type="execution"),
    ]
    assert lines_of(tmp_path / "events" / "cex_execution_interface_events.jsonl") == [event(1, component="CEXExecutionInterface")]


def test_the_fields_stand_in_the_order_of_the_contract(tmp_path):
    with EventLogger(tmp_path) as log:
        log.log_event(NOON, "replayed", MANAGER, {"b": 1, "a": 2})
    assert (tmp_path / "events" / MANAGER_FILE).read_bytes() == (
        b'{"timestamp":"2024-06-01T12:00:00Z","event_type":"replayed","component":"ExecutionInterfaceManager",'
        b'"data":{"b":1,"a":2},"sequence":1}\n'
    )


@pytest.mark.parametrize(
    ("component", "stem"),
    [
        ("ExecutionInterfaceManager", "execution_interface_manager_events"),
        ("CEXExecutionInterface", "cex_execution_interface_events"),
        ("OnChainExecutionInterface", "on_chain_execution_interface_events"),
        ("EventDrivenStrategyEngine", "event_driven_strategy_engine_events"),
        ("position_update_handler", "position_update_handler_events"),
    ],
)
def test_the_file_is_named_for_the_component(component, stem):
    assert file_stem(component) == stem


def test_two_spellings_of_a_component_share_the_file_and_its_numbers(tmp_path):
    with EventLogger(tmp_path) as log:
        log.log_event(NOON, "state_update", "DataProvider", {})
        log.log_event(NOON, "state_update", "data_provider", {})
        log.flush()
    assert [line["sequence"] for line in lines_of(tmp_path / "events" / "data_provider_events.jsonl")] == [1, 2]


@pytest.mark.parametrize("component", ["", "../escape", "a/b", "a\nb", "Ünit", "9lives", "x" * 101])
def test_a_component_that_is_no_name_is_refused_and_writes_nothing(tmp_path, component):
    with EventLogger(tmp_path) as log, pytest.raises(ValueError, match="component must be 1 to 100 of A-Z a-z 0-9 _"):
        log.log_event(NOON, "error", component, {})
    assert list((tmp_path / "events").iterdir()) == []


def test_an_unknown_event_type_is_refused_with_the_list_of_those_there_are(tmp_path):
    with EventLogger(tmp_path) as log, pytest.raises(ValueError, match=f"'started' is not one of {', '.join(sorted(EVENT_TYPES))}"):
        log.log_event(NOON, "started", MANAGER, {})


def test_an_unknown_mode_is_refused(tmp_path):
    with pytest.raises(ValueError, match="execution_mode must be backtest or live, got 'paper'"):
        EventLogger(tmp_path, "paper")


def test_a_naive_timestamp_is_refused(tmp_path):
    with EventLogger(tmp_path) as log, pytest.raises(ValueError, match="needs a time zone"):
        log.log_event(datetime(2024, 6, 1), "error", MANAGER, {})  # noqa: DTZ001


def test_a_timestamp_of_another_zone_or_class_is_written_in_utc(tmp_path):
    class Stamp(datetime):
        pass

    local = datetime(2024, 6, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    with EventLogger(tmp_path) as log:
        log.log_event(local, "execution", MANAGER, {})
        log.log_event(local, "execution", MANAGER, {})
        log.log_event(Stamp(2024, 6, 1, 12, tzinfo=UTC), "execution", MANAGER, {})
    assert [line["timestamp"] for line in lines_of(tmp_path / "events" / MANAGER_FILE)] == ["2024-06-01T12:00:00Z"] * 3


def test_money_is_text_and_a_struct_is_an_object(tmp_path):
    assert written(tmp_path, {"price": Decimal("3300.10"), "at": NOON, "fill": Fill(Decimal("1E-30"))}) == {
        "price": "3300.10",
        "at": "2024-06-01T12:00:00Z",
        "fill": {"amount": "1E-30"},
    }


def test_a_float_that_is_not_finite_is_written_as_null(tmp_path):
    assert written(tmp_path, {"a": float("nan"), "b": [float("inf"), -float("inf")]}) == {"a": None, "b": [None, None]}


def test_values_of_foreign_types_are_written_as_what_they_stand_for(tmp_path):
    class Stamp(datetime):
        pass

    class Count(int):
        pass

    from fractions import Fraction

    data = {
        "view": MappingProxyType({"x": 1}),
        "stamp": Stamp(2024, 6, 1, tzinfo=UTC),
        "count": Count(3),
        "half": Fraction(1, 2),
        "path": Path("a"),
        "error": ValueError("no"),
    }
    assert written(tmp_path, MappingProxyType(data)) == {
        "view": {"x": 1},
        "stamp": "2024-06-01T00:00:00Z",
        "count": 3,
        "half": 0.5,
        "path": "a",
        "error": "no",
    }


def test_what_json_has_no_form_for_is_written_as_text_and_the_event_is_kept(tmp_path):
    data = {"broken": "a\ud800b", ("tuple", 1): {"s"}, "fill": Fill(Decimal(2)), "list": [1, None, Decimal(3), object]}
    assert written(tmp_path, data) == {
        "broken": "a\\ud800b",
        "('tuple', 1)": ["s"],
        "fill": {"amount": "2"},
        "list": [1, None, "3", "<class 'object'>"],
    }


@pytest.mark.parametrize("mode", ["backtest", "live"])
def test_data_nested_a_hundred_thousand_deep_is_cut_off_and_the_next_event_is_whole(tmp_path, mode):
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    with EventLogger(tmp_path, mode) as log:
        log.log_event(NOON, "error", MANAGER, {"block": deep})
        log.log_event(NOON, "state_update", MANAGER, {})
    first, second = (tmp_path / "events" / MANAGER_FILE).read_text().splitlines()
    assert "<list nested deeper than 32>" in first
    assert json.loads(second) == event(2)


@given(
    st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(), st.lists))
)
def test_any_data_gives_one_line_of_valid_json(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "any"  # begun again each time
    with EventLogger(folder) as log:
        log.log_event(NOON, "error", MANAGER, data)
    raw = (folder / "events" / MANAGER_FILE).read_bytes()
    assert raw.count(b"\n") == 1
    assert json.loads(raw, parse_constant=pytest.fail)["sequence"] == 1


def test_a_newline_in_a_message_forges_no_event(tmp_path):
    forged = 'x"}\n' + json.dumps(event(2, event_type="execution")) + "\r\n\x00\x1b[2J\u2028"
    assert written(tmp_path, {"error_message": forged}) == {"error_message": forged}
    assert (tmp_path / "events" / MANAGER_FILE).read_bytes().count(b"\n") == 1


# Backtest


def test_a_backtest_begins_its_files_again(tmp_path):
    for amount in (1, 2):
        with EventLogger(tmp_path) as log:
            log.log_event(NOON, "execution", MANAGER, {"amount": amount})
    assert lines_of(tmp_path / "events" / MANAGER_FILE) == [event(1, {"amount": 2}, event_type="execution")]


def test_a_backtest_can_be_read_while_it_goes_on(tmp_path):
    log = EventLogger(tmp_path)
    path = tmp_path / "events" / MANAGER_FILE
    seen = []
    for _ in range(2 * BLOCK_EVENTS):
        log.log_event(NOON, "state_update", MANAGER, {})
        seen.append(sum(1 for _ in read_events(path)))
    log.close()
    later = [max(FIRST_EVENTS, count // BLOCK_EVENTS * BLOCK_EVENTS) for count in range(FIRST_EVENTS + 1, 2 * BLOCK_EVENTS + 1)]
    assert seen == [*range(1, FIRST_EVENTS + 1), *later]


def test_large_events_are_written_as_soon_as_a_block_is_full(tmp_path):
    log = EventLogger(tmp_path)
    for _ in range(FIRST_EVENTS + 1):
        log.log_event(NOON, "state_update", MANAGER, {})
    path = tmp_path / "events" / MANAGER_FILE
    before = path.stat().st_size
    log.log_event(NOON, "state_update", MANAGER, {"stack_trace": "x" * 70_000})
    assert path.stat().st_size > before + 70_000
    log.close()


def test_flush_and_close_write_what_is_pending_and_a_second_close_does_nothing(tmp_path):
    log = EventLogger(tmp_path)
    path = tmp_path / "events" / MANAGER_FILE
    for _ in range(FIRST_EVENTS + 5):
        log.log_event(NOON, "state_update", MANAGER, {})
    log.flush()
    assert len(lines_of(path)) == FIRST_EVENTS + 5
    log.log_event(NOON, "state_update", MANAGER, {})
    log.close()
    log.close()
    assert [line["sequence"] for line in lines_of(path)] == list(range(1, FIRST_EVENTS + 7))


def test_a_log_that_nobody_closed_is_written_when_it_goes(tmp_path):
    log = EventLogger(tmp_path)
    for _ in range(FIRST_EVENTS + 5):
        log.log_event(NOON, "state_update", MANAGER, {})
    del log
    gc.collect()
    assert len(lines_of(tmp_path / "events" / MANAGER_FILE)) == FIRST_EVENTS + 5


@pytest.mark.parametrize("mode", ["backtest", "live"])
def test_a_closed_log_takes_no_event(tmp_path, mode):
    log = EventLogger(tmp_path, mode)
    log.log_event(NOON, "state_update", MANAGER, {})
    log.close()
    log.close()
    for component in (MANAGER, "DataProvider"):
        with pytest.raises(ValueError, match="closed; nothing more can be logged"):
            log.log_event(NOON, "state_update", component, {})


def test_a_backtest_does_not_touch_the_log_of_a_live_run(tmp_path):
    with EventLogger(tmp_path, "live") as log:
        log.log_event(NOON, "execution", MANAGER, {})
    with pytest.raises(ComponentError, match=r"LOG-001: .*holds the log of a live run.*--logs"):
        EventLogger(tmp_path)
    assert lines_of(tmp_path / "events" / MANAGER_FILE) == [event(1, event_type="execution")]


def test_a_file_that_another_run_began_again_is_not_exported_as_this_runs(tmp_path):
    first, second = EventLogger(tmp_path), EventLogger(tmp_path)
    first.log_event(NOON, "state_update", MANAGER, {"run": 1})
    second.log_event(NOON, "state_update", MANAGER, {"run": 2})
    with pytest.raises(ComponentError, match=r"LOG-001: .*no longer this run's file; give each run its own folder with --logs"):
        first.export_csv(tmp_path / "events.csv")
    (tmp_path / "events" / MANAGER_FILE).unlink()
    with pytest.raises(ComponentError, match="no longer this run's file"):
        second.export_csv(tmp_path / "events.csv")
    assert not (tmp_path / "events.csv").exists()
    first.close()
    second.close()


@pytest.mark.parametrize("mode", ["backtest", "live"])
def test_four_threads_leave_no_gap_and_tear_no_line(tmp_path, mode):
    count = 5_000 if mode == "backtest" else 100
    with EventLogger(tmp_path, mode) as log:

        def work(thread):
            for number in range(count):
                log.log_event(NOON, "state_update", MANAGER, {"thread": thread, "number": number})
                log.log_event(NOON, "state_update", "DataProvider", {})

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
    lines = lines_of(tmp_path / "events" / MANAGER_FILE)
    assert [line["sequence"] for line in lines] == list(range(1, 4 * count + 1))
    for thread in range(4):
        assert [line["data"]["number"] for line in lines if line["data"]["thread"] == thread] == list(range(count))
    other = lines_of(tmp_path / "events" / "data_provider_events.jsonl")
    assert [line["sequence"] for line in other] == list(range(1, 4 * count + 1))


def test_a_hundred_thousand_events_leave_memory_flat(tmp_path):
    with EventLogger(tmp_path) as log:
        for _ in range(BLOCK_EVENTS):
            log.log_event(NOON, "state_update", MANAGER, {"instructions_routed": 7})
        tracemalloc.start()
        for _ in range(100_000):
            log.log_event(NOON, "state_update", MANAGER, {"instructions_routed": 7})
        now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert now < 200_000
    assert peak < 400_000
    assert len((tmp_path / "events" / MANAGER_FILE).read_bytes().splitlines()) == 100_000 + BLOCK_EVENTS


# What cannot be written


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(ComponentError) as refused:
        EventLogger(tmp_path / "logs")
    assert str(refused.value) == (
        f"LOG-001: cannot write the events to {tmp_path}/logs/events: Not a directory; "
        "free space or rights there, or choose another folder with --logs"
    )


@pytest.mark.parametrize("mode", ["backtest", "live"])
def test_a_full_disk_is_log_001_each_time_and_the_run_can_end(tmp_path, mode, no_room):
    with EventLogger(tmp_path, mode) as log, no_room():
        for _ in range(2):
            with pytest.raises(ComponentError) as refused:
                log.log_event(NOON, "execution", MANAGER, {})
    assert (refused.value.error_code, refused.value.severity) == ("LOG-001", "HIGH")
    assert "File too large" in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("mode", ["backtest", "live"])
@pytest.mark.parametrize("name", [MANAGER_FILE, f"{MANAGER_FILE}.truncated"])
@pytest.mark.parametrize("target", ["precious", "nowhere"])
def test_a_link_in_place_of_a_file_is_replaced_and_not_followed(tmp_path, mode, name, target):
    events = tmp_path / "events"
    events.mkdir()
    (tmp_path / "precious").write_text("mine")
    if name != MANAGER_FILE:
        (events / MANAGER_FILE).write_text('{"timestamp"')  # cut off by a crash, and to be moved
    (events / name).symlink_to(tmp_path / target)
    with EventLogger(tmp_path, mode) as log:
        log.log_event(NOON, "settlement", MANAGER, {})
    assert lines_of(events / MANAGER_FILE)[-1]["event_type"] == "settlement"
    assert (events / name).is_symlink() == (mode == "backtest" and name != MANAGER_FILE)  # a backtest does not touch that file
    assert ((tmp_path / "precious").read_text(), (tmp_path / "nowhere").exists()) == ("mine", False)


def test_a_link_in_place_of_a_live_runs_mark_is_replaced_and_is_a_mark_too(tmp_path):
    (tmp_path / "events").mkdir()
    mark = tmp_path / "events" / ".live"
    mark.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ComponentError, match="holds the log of a live run"):
        EventLogger(tmp_path)
    EventLogger(tmp_path, "live").close()
    assert (mark.is_symlink(), mark.is_file(), (tmp_path / "nowhere").exists()) == (False, True, False)


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "events" / MANAGER_FILE).mkdir(parents=True)
    with EventLogger(tmp_path) as log, pytest.raises(ComponentError, match=r"LOG-001: cannot write the events to .*: File exists;"):
        log.log_event(NOON, "execution", MANAGER, {})


def test_a_pipe_among_the_logs_is_not_read(tmp_path):
    with EventLogger(tmp_path) as log:
        log.log_event(NOON, "execution", MANAGER, {})
    os.mkfifo(tmp_path / "events" / "pipe_events.jsonl")
    os.mkfifo(tmp_path / "events" / MANAGER_FILE.replace(".jsonl", ".2024-05-31.jsonl"))
    assert [path.name for paths in event_files(tmp_path).values() for path in paths] == [MANAGER_FILE]


def test_a_csv_does_not_follow_a_link_left_where_it_is_first_written(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / f"events.csv.{os.getpid()}.partial").symlink_to(tmp_path / "precious")
    with EventLogger(tmp_path) as log:
        log.log_event(NOON, "execution", MANAGER, {})
        log.export_csv(tmp_path / "events.csv")
    assert (tmp_path / "precious").read_text() == "mine"
    assert len((tmp_path / "events.csv").read_text().splitlines()) == 2


def test_another_working_directory_does_not_move_the_log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with EventLogger("logs") as log:
        log.log_event(NOON, "execution", MANAGER, {})
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        log.log_event(NOON, "execution", "Other", {})
        log.export_csv(tmp_path / "all.csv")
    assert sorted(path.name for path in (tmp_path / "logs" / "events").iterdir()) == [MANAGER_FILE, "other_events.jsonl"]
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 3


def test_a_folder_is_named_on_one_line_whatever_it_is_called(tmp_path):
    folder = tmp_path / "a\nbasis: done\x1b[31m"
    folder.write_text("a file")
    with pytest.raises(ComponentError) as refused:
        EventLogger(folder)
    assert refused.value.message.isprintable()


FULL = """
import resource, signal, sys
from datetime import UTC, datetime
from basis_strategy_v1.monitoring.event_logger import EventLogger
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

log = EventLogger(sys.argv[1], sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, resource.RLIM_INFINITY))
done = 0
try:
    while True:
        log.log_event(datetime(2024, 6, 1, tzinfo=UTC), "execution", "ExecutionManager", {"number": done})
        done += 1
except ComponentError as error:
    print(done, error.error_code)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.log_event(datetime(2024, 6, 1, tzinfo=UTC), "execution", "ExecutionManager", {"number": done})
log.close()
"""


@pytest.mark.parametrize("mode", ["backtest", "live"])
def test_a_disk_that_fills_up_leaves_no_half_line_and_the_numbers_go_on_when_there_is_room(tmp_path, mode):
    ran = subprocess.run([sys.executable, "-c", FULL, str(tmp_path), mode], capture_output=True, text=True, check=True, env=_environment())
    done, code = ran.stdout.split()
    lines = lines_of(tmp_path / "events" / "execution_manager_events.jsonl")
    assert code == "LOG-001"
    assert int(done) > 10
    assert [(line["sequence"], line["data"]["number"]) for line in lines] == [(n + 1, n) for n in range(int(done) + 1)]


def _environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def test_what_cannot_be_written_at_the_end_is_reported_once(tmp_path):
    def filled():
        log = EventLogger(tmp_path)
        for _ in range(FIRST_EVENTS + 20):
            log.log_event(NOON, "execution", MANAGER, {"a": "x" * 100})
        return log

    size = resource.getrlimit(resource.RLIMIT_FSIZE)
    log, other = filled(), filled()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (FIRST_EVENTS * 100, size[1]))
        with pytest.raises(ComponentError, match=r"LOG-001: .*File too large"):
            log.__exit__(None, None, None)
        with pytest.raises(RuntimeError, match="the run's own"), other:
            raise RuntimeError("the run's own")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, size)


@pytest.mark.parametrize("mode", ["backtest", "live"])
def test_a_write_that_takes_only_a_part_is_gone_on_with(tmp_path, monkeypatch, mode):
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, block: write(fd, block[:7]))
    with EventLogger(tmp_path, mode) as log:
        log.log_event(NOON, "execution", MANAGER, {"amount": 1})
        log.log_event(NOON, "execution", MANAGER, {"amount": 2})
    assert lines_of(tmp_path / "events" / MANAGER_FILE) == [event(n, {"amount": n}, event_type="execution") for n in (1, 2)]


# Live


def test_live_an_event_is_on_the_disk_before_log_event_returns(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_size))
    path = tmp_path / "events" / MANAGER_FILE
    with EventLogger(tmp_path, "live") as log:
        for number in (1, 2):
            log.log_event(NOON, "execution", MANAGER, {})
            log.flush()
            assert len(lines_of(path)) == number
            assert synced[-1] == path.stat().st_size


def test_live_a_sync_that_fails_takes_the_line_back(tmp_path, monkeypatch):
    log = EventLogger(tmp_path, "live")
    log.log_event(NOON, "execution", MANAGER, {"n": 1})

    def fail(_):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        with pytest.raises(ComponentError, match=r"LOG-001: .*Input/output error"):
            log.log_event(NOON, "execution", MANAGER, {"n": 2})
    log.log_event(NOON, "execution", MANAGER, {"n": 3})
    log.close()
    assert [(line["sequence"], line["data"]["n"]) for line in lines_of(tmp_path / "events" / MANAGER_FILE)] == [(1, 1), (2, 3)]


def test_live_the_numbers_go_on_after_a_restart(tmp_path):
    for number in range(3):
        log = EventLogger(tmp_path, "live")
        log.log_event(NOON, "execution", MANAGER, {"stack_trace": "x" * 100_000 * number})
        log.log_event(NOON, "execution", MANAGER, {})
    assert [line["sequence"] for line in lines_of(tmp_path / "events" / MANAGER_FILE)] == [1, 2, 3, 4, 5, 6]


def test_live_a_last_line_longer_than_what_is_read_at_once_is_found(tmp_path):
    with EventLogger(tmp_path, "live") as log:
        log.log_event(NOON, "execution", MANAGER, {})
        log.log_event(NOON, "error", MANAGER, {"stack_trace": "x" * 3 * TAIL_BYTES})
    with EventLogger(tmp_path, "live") as log:
        log.log_event(NOON, "execution", MANAGER, {})
    assert sequences(tmp_path) == {MANAGER_FILE: [1, 2, 3]}


def test_live_files_are_renamed_at_utc_midnight_by_the_events_own_timestamps(tmp_path):
    night = datetime(2024, 6, 2, tzinfo=UTC)
    with EventLogger(tmp_path, "live") as log:
        for at in (night - timedelta(microseconds=1), night, night - timedelta(seconds=1), night + timedelta(days=3)):
            log.log_event(at, "execution", MANAGER, {})
    assert sequences(tmp_path) == {
        "execution_interface_manager_events.2024-06-01.jsonl": [1],
        "execution_interface_manager_events.2024-06-02.jsonl": [2, 3],
        MANAGER_FILE: [4],
    }


def sequences(folder):
    return {path.name: [line["sequence"] for line in lines_of(path)] for path in sorted((folder / "events").glob("*.jsonl"))}


def test_live_the_clock_decides_about_midnight_where_there_is_one(tmp_path):
    clock = SimulatedClock(datetime(2024, 6, 1, 23, 59, tzinfo=UTC))
    with EventLogger(tmp_path, "live", clock=clock) as log:
        log.log_event(NOON + timedelta(days=5), "settlement", MANAGER, {})
        clock.move_to(datetime(2024, 6, 2, 3, 0, tzinfo=timezone(timedelta(hours=3))))
        log.log_event(NOON, "settlement", MANAGER, {})
    assert sequences(tmp_path) == {"execution_interface_manager_events.2024-06-01.jsonl": [1], MANAGER_FILE: [2]}


def test_live_thirty_days_are_kept(tmp_path):
    with EventLogger(tmp_path, "live") as log:
        for day in range(40):
            log.log_event(NOON + timedelta(days=day), "execution", MANAGER, {"day": day})
    found = sequences(tmp_path)
    first = (NOON + timedelta(days=9)).date()
    assert found == {
        MANAGER_FILE: [40],
        **{f"execution_interface_manager_events.{first + timedelta(days=n)}.jsonl": [10 + n] for n in range(30)},
    }


def test_live_all_days_are_kept_where_they_are_those_of_a_replay(tmp_path):
    with EventLogger(tmp_path, "live", kept_days=None) as log:
        for day in range(40):
            log.log_event(NOON + timedelta(days=day), "execution", MANAGER, {"day": day})
    days = [(NOON + timedelta(days=day)).date() for day in range(39)]
    assert sequences(tmp_path) == {
        MANAGER_FILE: [40],
        **{f"execution_interface_manager_events.{day}.jsonl": [number] for number, day in enumerate(days, 1)},
    }


def test_live_what_grew_too_old_while_the_program_was_down_goes_at_the_start(tmp_path):
    for day in (0, 1, 60):
        with EventLogger(tmp_path, "live") as log:
            log.log_event(NOON + timedelta(days=day), "execution", MANAGER, {})
    assert sequences(tmp_path) == {MANAGER_FILE: [3]}


def test_live_a_restart_on_the_next_day_renames_the_file_of_the_day_before(tmp_path):
    for day in (0, 1):
        with EventLogger(tmp_path, "live") as log:
            log.log_event(NOON + timedelta(days=day), "execution", MANAGER, {})
    assert sequences(tmp_path) == {"execution_interface_manager_events.2024-06-01.jsonl": [1], MANAGER_FILE: [2]}


def test_live_a_crash_right_after_the_renaming_loses_no_number(tmp_path):
    with EventLogger(tmp_path, "live") as log:
        log.log_event(NOON, "execution", MANAGER, {})
    (tmp_path / "events" / MANAGER_FILE).rename(tmp_path / "events" / "execution_interface_manager_events.2024-06-01.jsonl")
    with EventLogger(tmp_path, "live") as log:
        log.log_event(NOON, "execution", MANAGER, {})  # late: the first of June has its file already
        log.log_event(NOON + timedelta(days=2), "execution", MANAGER, {})
    assert sequences(tmp_path) == {
        "execution_interface_manager_events.2024-06-01.jsonl": [1],
        "execution_interface_manager_events.2024-06-02.jsonl": [2],
        MANAGER_FILE: [3],
    }


def test_live_a_rotation_that_fails_half_way_is_log_001_and_goes_on_later(tmp_path, monkeypatch):
    log = EventLogger(tmp_path, "live")
    log.log_event(NOON, "execution", MANAGER, {})

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "open", fail)
        with pytest.raises(ComponentError, match=r"LOG-001: .*No space left"):
            log.log_event(NOON + timedelta(days=1), "execution", MANAGER, {})
    log.log_event(NOON + timedelta(days=1), "execution", MANAGER, {})
    log.close()
    assert sequences(tmp_path) == {"execution_interface_manager_events.2024-06-01.jsonl": [1], MANAGER_FILE: [2]}


def test_live_a_truncated_last_line_is_set_aside_reported_and_the_numbers_go_on(tmp_path):
    with EventLogger(tmp_path, "live") as log:
        log.log_event(NOON, "execution", MANAGER, {})
        log.log_event(NOON, "execution", MANAGER, {})
    path = tmp_path / "events" / MANAGER_FILE
    path.write_bytes(path.read_bytes()[:-20])
    truncated = path.read_bytes().splitlines()[1]
    with EventLogger(tmp_path, "live") as log:
        log.log_event(NOON, "settlement", MANAGER, {})
    assert lines_of(path) == [event(1, event_type="execution"), event(2, event_type="settlement")]
    assert (tmp_path / "events" / f"{MANAGER_FILE}.truncated").read_bytes() == truncated + b"\n"
    message = f"the last {len(truncated)} bytes of {MANAGER_FILE} were cut off by a crash; they are in {MANAGER_FILE}.truncated"
    data = {"error_code": "LOG-002", "error_message": message, "error_severity": "LOW"}
    assert lines_of(tmp_path / "events" / "event_logger_events.jsonl") == [event(1, data, event_type="error", component="EventLogger")]


def test_live_a_last_line_that_lacks_only_its_newline_is_kept(tmp_path):
    with EventLogger(tmp_path, "live") as log:
        log.log_event(NOON, "execution", MANAGER, {})
    path = tmp_path / "events" / MANAGER_FILE
    path.write_bytes(path.read_bytes()[:-1])
    with EventLogger(tmp_path, "live") as log:
        log.log_event(NOON, "execution", MANAGER, {})
    assert sequences(tmp_path) == {MANAGER_FILE: [1, 2]}


@pytest.mark.parametrize("rubbish", [b"\x00" * 9_000, b"\n\n{}\n", b'{"timestamp"', b'{"timestamp":"' + b"x" * 300_000])
def test_live_a_file_without_one_whole_event_is_begun_at_one(tmp_path, rubbish):
    (tmp_path / "events").mkdir()
    path = tmp_path / "events" / MANAGER_FILE
    path.write_bytes(rubbish)
    with EventLogger(tmp_path, "live") as log:
        log.log_event(NOON, "execution", MANAGER, {})
    assert lines_of(path) == [event(1, event_type="execution")]
    assert (tmp_path / "events" / f"{MANAGER_FILE}.truncated").read_bytes() == rubbish + b"\n"


def test_live_a_truncated_log_of_the_logger_itself_is_mended_too(tmp_path):
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "event_logger_events.jsonl").write_bytes(b'{"time')
    (tmp_path / "events" / MANAGER_FILE).write_bytes(b'{"time')
    with EventLogger(tmp_path, "live") as log:
        log.log_event(NOON, "execution", MANAGER, {})
    expected = lines_of(tmp_path / "events" / "event_logger_events.jsonl")
    assert [re.search(r"of (\S+) were", line["data"]["error_message"])[1] for line in expected] == [
        "event_logger_events.jsonl",
        MANAGER_FILE,
    ]


def test_live_a_truncated_line_that_cannot_be_set_aside_stays_where_it_is(tmp_path):
    (tmp_path / "events").mkdir()
    path = tmp_path / "events" / MANAGER_FILE
    path.write_bytes(b'{"time')
    (tmp_path / "events" / f"{MANAGER_FILE}.truncated").mkdir()
    with EventLogger(tmp_path, "live") as log, pytest.raises(ComponentError, match=r"LOG-001: .*Is a directory"):
        log.log_event(NOON, "execution", MANAGER, {})
    assert path.read_bytes() == b'{"time'


def test_an_interruption_within_an_event_leaves_no_half_line(tmp_path: Path) -> None:
    class Interrupts:
        def __str__(self) -> str:
            raise KeyboardInterrupt

    at = datetime(2024, 6, 1, tzinfo=UTC)
    with EventLogger(tmp_path) as log:
        log.log_event(at, "error", "Engine", {"number": 1})
        with pytest.raises(KeyboardInterrupt):
            log.log_event(at, "error", "Engine", {"before": "text", "value": Interrupts()})
        log.log_event(at, "error", "Engine", {"number": 2})
    events = list(read_events(tmp_path / "events" / "engine_events.jsonl"))
    assert [(event["sequence"], event["data"]) for event in events] == [(1, {"number": 1}), (2, {"number": 2})]


def test_an_interruption_just_after_a_block_was_written_doubles_nothing(tmp_path, monkeypatch):
    written = os.write

    def interrupted(fd, block):
        written(fd, block)
        raise KeyboardInterrupt

    log = EventLogger(tmp_path)
    log.log_event(NOON, "state_update", MANAGER, {"place": 1})
    monkeypatch.setattr(os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        log.log_event(NOON, "state_update", MANAGER, {"place": 2})
    monkeypatch.undo()
    log.log_event(NOON, "state_update", MANAGER, {"place": 3})
    log.close()
    lines = (tmp_path / "events" / MANAGER_FILE).read_text().splitlines()
    assert [(row["sequence"], row["data"]["place"]) for row in map(json.loads, lines)] == [(1, 1), (2, 2), (3, 3)]


def test_an_interruption_within_a_block_that_is_being_written_goes_on_where_it_was(tmp_path, monkeypatch):
    written = os.write
    log = EventLogger(tmp_path)
    for place in range(FIRST_EVENTS + 3):  # the last of them are pending
        log.log_event(NOON, "state_update", MANAGER, {"place": place})

    def interrupted(fd, block):
        written(fd, block[: len(block) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        log.flush()
    monkeypatch.undo()
    log.close()
    lines = (tmp_path / "events" / MANAGER_FILE).read_text().splitlines()
    assert [row["data"]["place"] for row in map(json.loads, lines)] == [*range(FIRST_EVENTS + 3)]


def test_json_that_is_ready_stands_as_it_is_next_to_what_has_no_form() -> None:
    ready = msgspec.Raw(b'{"a":{"ETH":"1.50"}}')
    assert json_of({"deltas": ready}) == b'{"deltas":{"a":{"ETH":"1.50"}}}'
    assert json_of({"deltas": ready, "unusual": "a\ud800"}) == b'{"deltas":{"a":{"ETH":"1.50"}},"unusual":"a\\\\ud800"}'


def test_a_text_that_utf_8_has_no_form_for_is_json_with_the_character_escaped() -> None:
    assert json_of({"answer": "a\ud800", "amount": 1}) == b'{"answer":"a\\\\ud800","amount":1}'
