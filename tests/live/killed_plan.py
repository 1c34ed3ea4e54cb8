"""A plan that processes send one after another, each of which may be killed, until one has come to its end."""

from __future__ import annotations

from basis_strategy_v1.live.journal import SqliteJournal
from basis_strategy_v1.monitoring.event_reader import event_files, read_events

KILLED = -9
# How often the whole of a plan may be tried again before it is settled.
MOST_PROCESSES = 12


class KilledPlan:
    """`plan` has a row for each order, which begins with its key. `given` are further arguments of `function` in the forked process."""

    function = ""

    def __init__(self, forks, venue, folder, plan):
        self._forks, self.venue, self._folder, self.plan = forks, venue, folder, plan
        self._passed = folder / "passed"
        folder.mkdir(exist_ok=True)

    def given(self):
        return {}

    def process(self, kill_at=0):
        """The exit status of a process, or minus its signal."""
        given = {"folder": str(self._folder), "url": self.venue.url, "plan": self.plan, **self.given()}
        return self._forks.run(self.function, self._passed, kill_at, **given)

    def points(self):
        return self._passed.read_text().splitlines()

    def finish(self):
        """Let processes go on until everything is settled."""
        for _ in range(MOST_PROCESSES):
            assert self.process() == 0
            with SqliteJournal(self._folder / "state") as journal:
                entries = [journal.entry(key) for key, *_ in self.plan]
            if all(entry is not None and str(entry.status) == "settled" for entry in entries):
                return
        raise AssertionError(f"{[str(entry and entry.status) for entry in entries]} after {MOST_PROCESSES} processes")

    def journal(self):
        return SqliteJournal(self._folder / "state")

    def logged(self):
        """(key, deltas) of each execution in the event log."""
        paths = event_files(self._folder / "logs")["execution_interface_manager_events"]
        events = [event for path in paths for event in read_events(path) if event["event_type"] == "execution"]
        return [(event["data"]["key"], event["data"]["deltas"]) for event in events]
