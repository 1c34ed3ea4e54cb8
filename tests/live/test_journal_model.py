"""Whatever is called in whatever order, and wherever the file is closed and opened again, the journal is what a model in memory is."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.live.journal import SqliteJournal
from basis_strategy_v1.live.journal_reader import JournalReader

from .journal_model import CALLS, MOST, Call, Model, make, seen

NUMBERS = st.integers(0, MOST - 1)
SEQUENCES = st.lists(st.tuples(st.sampled_from([*CALLS, "reopen", "reopen"]), NUMBERS, NUMBERS), max_size=30)


@given(SEQUENCES)
def test_any_sequence_of_calls_leaves_what_the_model_says(calls: list[Call]) -> None:
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        compare(calls, folder)
    finally:
        shutil.rmtree(folder)


def compare(calls: list[Call], folder: Path) -> None:
    model = Model()
    journal = SqliteJournal(folder, new_run="run-1")
    try:
        for call in calls:
            if call[0] == "reopen":
                journal.close_file()
                journal = SqliteJournal(folder, new_run="run-2")
            else:
                assert make(call, journal) == make(call, model)
            assert seen(journal) == model.seen()
        assert journal.run == "run-1"
        with JournalReader(folder) as reader:
            assert (reader.run, seen(reader)) == ("run-1", model.seen())
    finally:
        journal.close_file()
