"""The log of a run that writes nothing keeps the lines that a folder would hold."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from basis_strategy_v1.monitoring.event_logger import EventLogger
from basis_strategy_v1.monitoring.event_memory import EventMemory

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


def log(logger: EventLogger) -> None:
    logger.log_event(NOON + timedelta(hours=1), "error", "Engine", {"error_message": '=late, "quoted"'})
    logger.log_event(NOON.astimezone(timezone(timedelta(hours=2))), "execution", "ExecutionInterfaceManager", {"key": "a"})
    append = logger.appender("ExecutionInterfaceManager", NOON)
    append(NOON, "ExecutionInterfaceManager", [("execution", {"key": "b"}), ("state_update", {"n": 1})])


def test_it_keeps_the_same_lines_and_the_same_csv_as_a_folder(tmp_path: Path) -> None:
    memory, folder = EventMemory(), EventLogger(tmp_path / "logs")
    for logger in (memory, folder):
        log(logger)
        logger.flush()
    for component in ("Engine", "ExecutionInterfaceManager", "Nobody"):
        assert list(memory.lines_of(component)) == list(folder.lines_of(component))
    assert len(list(memory.lines_of("ExecutionInterfaceManager"))) == 3
    folder.export_csv(tmp_path / "events.csv")
    assert memory.csv_text() == (tmp_path / "events.csv").read_text()
    memory.leave_out(Counter())
    memory.close()
    folder.close()


def test_a_live_log_has_the_lines_of_the_days_that_are_kept(tmp_path: Path) -> None:
    with EventLogger(tmp_path, "live", kept_days=None) as logger:
        for day in range(3):
            logger.log_event(NOON + timedelta(days=day), "execution", "Manager", {"key": str(day)})
        assert [b'"key":"%d"' % day in line for day, line in enumerate(logger.lines_of("Manager"))] == [True] * 3


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match="event_type 'news' is not one of"):
        EventMemory().log_event(NOON, "news", "Engine", {})
