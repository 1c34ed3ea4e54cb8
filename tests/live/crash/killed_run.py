"""What a process that is killed does: `basis live --paper` (`tests/kill_points.py` runs it)."""

from __future__ import annotations

import json
from pathlib import Path

from basis_strategy_v1.app.live import build_paper_replay
from basis_strategy_v1.monitoring import event_files

from ...kill_points import At


def run_on_paper(at: At, folder: str, data: str) -> None:
    """Run the config FOLDER/config.json until its end; journal, venues and event log have the points."""
    write = event_files.SyncedFile.append

    def logged(file: event_files.SyncedFile, *event: object) -> None:
        at("before event")
        write(file, *event)  # type: ignore[arg-type]
        at("after event")

    event_files.SyncedFile.append = logged  # type: ignore[method-assign,assignment]
    here = Path(folder)
    config = json.loads((here / "config.json").read_text())
    build_paper_replay(config, Path(data), here / "state", here / "results", here / "logs", report=False, at=at).run()
