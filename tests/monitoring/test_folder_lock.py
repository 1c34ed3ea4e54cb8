"""Two runs at once over one folder, as processes of their own."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.monitoring.event_logger import EventLogger
from basis_strategy_v1.monitoring.folder_lock import FolderLock, holder_of

from ..other_process import other_process

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
EARLIER_FILES = ["health_events.jsonl", "manager_events.jsonl"]

RUN = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from basis_strategy_v1.monitoring.event_logger import EventLogger

noon = datetime(2024, 6, 1, 12, tzinfo=UTC)
with EventLogger(sys.argv[1], sys.argv[2]) as log:
    log.log_event(noon, "execution", "Manager", {"number": 1})
    print("open", flush=True)
    sys.stdin.readline()
    log.log_event(noon, "execution", "Manager", {"number": 2})
    log.export_csv(Path(sys.argv[1]) / "events.csv")
"""


def running(folder: Path, mode: str = "backtest") -> AbstractContextManager[subprocess.Popen[str]]:
    """Another process that has opened its log and waits for a line."""
    return other_process(RUN, str(folder), mode, says="open")


def lock_of(folder: Path) -> Path:
    return folder / ".events.lock"


def held(folder: Path) -> FolderLock:
    return FolderLock(folder / "run", folder / ".run.lock", "RES-001", "choose another")


@pytest.mark.parametrize("mode", ["backtest", "live"])
def test_a_log_that_another_process_writes_is_refused_at_the_start_and_not_harmed(tmp_path: Path, mode: str) -> None:
    with running(tmp_path, mode) as first:
        for second in ("backtest", "live"):
            with pytest.raises(ComponentError) as refused:
                EventLogger(tmp_path, second)
            assert str(refused.value) == (
                f"LOG-001: {tmp_path}/events is being written by another run (process {first.pid}); "
                "wait for it or give each run its own folder with --logs"
            )
        first.communicate("go on\n")
        assert first.returncode == 0
    rows = (tmp_path / "events.csv").read_text().splitlines()[1:]
    assert [row.split(",")[2] for row in rows] == ["1", "2"]
    assert (tmp_path / "events" / ".live").exists() == (mode == "live")
    assert not lock_of(tmp_path).exists()


def test_logs_of_folders_of_their_own_are_written_at_once(tmp_path: Path) -> None:
    with running(tmp_path / "a"), running(tmp_path / "b"):
        EventLogger(tmp_path / "c").close()


def test_a_run_that_was_killed_holds_no_folder(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        first.kill()
        first.wait()
    assert lock_of(tmp_path).read_text() == str(first.pid)
    with EventLogger(tmp_path):
        assert lock_of(tmp_path).read_text() == str(os.getpid())
    assert not lock_of(tmp_path).exists()


def test_a_log_that_is_refused_or_gone_holds_no_folder(tmp_path: Path) -> None:
    with EventLogger(tmp_path, "live"):
        pass
    with pytest.raises(ComponentError, match="holds the log of a live run") as kept:
        EventLogger(tmp_path)
    assert kept.value.__traceback__ is not None and not lock_of(tmp_path).exists()
    log = EventLogger(tmp_path, "live")
    assert lock_of(tmp_path).exists()
    del log
    assert not lock_of(tmp_path).exists()


def test_in_one_process_a_folder_is_shared_and_held_until_the_last_has_let_go(tmp_path: Path) -> None:
    first, second = held(tmp_path), held(tmp_path)
    assert (first.is_first, second.is_first) == (True, False)
    first.release()
    first.release()
    assert not held(tmp_path).is_first and (tmp_path / ".run.lock").exists()
    second.release()
    assert not (tmp_path / ".run.lock").exists() and held(tmp_path).is_first


def test_a_lock_that_does_not_say_whose_it_is_refuses_without_a_number(tmp_path: Path) -> None:
    with (tmp_path / ".run.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ComponentError) as refused:
            held(tmp_path)
    assert str(refused.value) == f"RES-001: {tmp_path}/run is being written by another run; wait for it or choose another"


def test_a_fork_does_not_hold_what_its_parent_holds_and_cannot_end_it(tmp_path: Path) -> None:
    lock = held(tmp_path)
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(BaseException):
            lock.release()
            try:
                held(tmp_path)
            except ComponentError:
                status = 0
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (tmp_path / ".run.lock").exists()
    lock.release()
    assert held(tmp_path).is_first


def test_a_lock_that_its_holder_just_removed_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock, tried = fcntl.flock, []

    def late(fd: int, operation: int) -> None:
        flock(fd, operation)
        tried.append(fd)
        if len(tried) == 1:
            (tmp_path / ".run.lock").unlink()

    monkeypatch.setattr(fcntl, "flock", late)
    lock = held(tmp_path)
    assert (len(tried), lock.is_first, (tmp_path / ".run.lock").read_text()) == (2, True, str(os.getpid()))


def test_a_lock_whose_file_somebody_replaced_leaves_the_next_ones_file(tmp_path: Path) -> None:
    first = held(tmp_path)
    for others in ("1", "not a number"):
        (tmp_path / ".run.lock").unlink()
        (tmp_path / ".run.lock").write_text(others)
    first.release()
    assert (tmp_path / ".run.lock").read_text() == "not a number"


def test_what_is_no_file_in_place_of_the_lock_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target, path = tmp_path / "precious", tmp_path / ".run.lock"
    target.write_text("mine")
    for place_it in (lambda: path.symlink_to(target), lambda: path.symlink_to(tmp_path / "nowhere"), lambda: os.mkfifo(path)):
        place_it()
        lock = held(tmp_path)
        assert lock.is_first and path.is_file() and not path.is_symlink()
        lock.release()
    assert (target.read_text(), sorted(place.name for place in tmp_path.iterdir())) == ("mine", ["precious"])


def test_a_folder_in_place_of_the_lock_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / ".run.lock").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        held(tmp_path)


def test_where_there_are_no_locks_everybody_is_let_in_and_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier(tmp_path)

    def unsupported(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with monkeypatch.context() as network:
        network.setattr(fcntl, "flock", unsupported)
        with EventLogger(tmp_path), EventLogger(tmp_path):
            assert not lock_of(tmp_path).exists()
    assert files_of(tmp_path) == EARLIER_FILES


# What earlier backtests left


def earlier(folder: Path) -> None:
    with EventLogger(folder) as log:
        log.log_event(NOON, "execution", "Manager", {})
        log.log_event(NOON, "error", "Health", {})


def files_of(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "events").iterdir())


def test_a_backtest_removes_what_earlier_ones_left_so_that_the_folder_holds_one_run(tmp_path: Path) -> None:
    earlier(tmp_path)
    assert files_of(tmp_path) == EARLIER_FILES
    with EventLogger(tmp_path) as log:
        assert files_of(tmp_path) == []
        log.log_event(NOON, "settlement", "Manager", {})
    assert files_of(tmp_path) == ["manager_events.jsonl"]


def test_a_backtest_leaves_what_no_event_log_wrote(tmp_path: Path) -> None:
    events = tmp_path / "events"
    events.mkdir()
    line = {"timestamp": "2024-06-01T12:00:00Z", "event_type": "execution", "component": "Manager", "data": {}, "sequence": 1}
    (events / "manager_events.2024-05-31.jsonl").write_text(json.dumps(line))  # a live run's, renamed
    (events / "copied_events.jsonl").write_text(json.dumps(line))
    (events / "unusual_events.jsonl").write_text(json.dumps({**line, "component": "../odd"}))
    (events / "click_events.jsonl").write_text('{"page": "home"}\n')
    (events / "folder_events.jsonl").mkdir()
    (tmp_path / "elsewhere").write_text(json.dumps(line))
    (events / "manager_events.jsonl").symlink_to(tmp_path / "elsewhere")
    before = files_of(tmp_path)
    EventLogger(tmp_path).close()
    assert (len(before), files_of(tmp_path)) == (6, before)


def test_a_second_log_in_the_same_process_removes_nothing_of_the_first(tmp_path: Path) -> None:
    with EventLogger(tmp_path) as first:
        first.log_event(NOON, "execution", "Health", {})
        with EventLogger(tmp_path) as second:
            second.log_event(NOON, "execution", "Manager", {})
        first.export_csv(tmp_path / "events.csv")
    assert files_of(tmp_path) == EARLIER_FILES


def test_a_live_log_goes_on_with_what_is_there(tmp_path: Path) -> None:
    for _ in range(2):
        with EventLogger(tmp_path, "live") as log:
            log.log_event(NOON, "execution", "Manager", {})
    lines = (tmp_path / "events" / "manager_events.jsonl").read_text().splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == [1, 2]


# Who holds it.


def test_whoever_asks_learns_which_process_holds_a_folder_and_disturbs_nobody(tmp_path: Path) -> None:
    path = lock_of(tmp_path)
    assert holder_of(path) is None
    with running(tmp_path) as other:
        assert [holder_of(path), holder_of(path)] == [other.pid] * 2
        path.write_text("")
        assert holder_of(path) == 0, "it has not signed yet"
        other.communicate("go on\n")
        assert other.returncode == 0
    assert holder_of(path) is None


def test_a_lock_that_a_killed_process_left_is_held_by_nobody(tmp_path: Path) -> None:
    path = lock_of(tmp_path)
    with running(tmp_path) as other:
        other.kill()
        other.wait()
    assert (path.exists(), holder_of(path)) == (True, None)


def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("7")
    lock_of(tmp_path).symlink_to(tmp_path / "elsewhere")
    assert holder_of(lock_of(tmp_path)) is None


def test_where_there_are_no_locks_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock_of(tmp_path).write_text("7")

    def without_locks(fd: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", without_locks)
    assert holder_of(lock_of(tmp_path)) is None
