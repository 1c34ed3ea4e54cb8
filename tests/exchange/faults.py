"""What goes wrong, on command.

A rule: {"on": KIND or "*", "fault": NAME, "venue": V, "times": N (1; -1 for ever), …}. The first rule that fits a request is used.

KIND: time, markets, quote, order, find, fills, cancel, open, balance, positions, settings, due, transfer, transfers, withdraw,
withdrawals, deposits, address, key.

| fault                       | what happens                                                                                     |
|-----------------------------|--------------------------------------------------------------------------------------------------|
| drop_unread, drop, hang     | not executed: the connection ends before, or after the request was read, or nothing comes        |
| drop_after, hang_after      | the same, once it was executed                                                                   |
| status                      | `status`, `body` (html, json, empty), `retry_after` (s), `after`: true once it was executed      |
| code                        | the venue's own error: `code`, `text`, `status`, `after`                                         |
| refuse                      | as the venue does for `reason` (balance, margin, closed, …), not executed                        |
| duplicate_after             | executed, and answered as a duplicate                                                            |
| empty_after, html_after     | executed; HTTP 200 with nothing, with a page                                                     |
| truncated_after             | executed; HTTP 200 with half the JSON                                                            |
| garbage_after               | executed; HTTP 200 with JSON of another kind                                                     |
| edit_after                  | executed; `edits` of its JSON answer: [{"path": [NAME or INDEX, …], "value": X}], without a value    |
|                             | it is removed. A fill that is gone, of another symbol, or without its fee                        |
| half_after                  | executed; the connection ends in the middle of the answer                                        |
| delay, delay_after          | `seconds` of real time before or after it is executed                                            |
| late                        | executed `seconds` later on the venue's clock, unless it has expired by then; the caller gets    |
|                             | `answer`: drop, hang, or a status                                                                |
| held                        | executed once {"release": true} came, then dropped                                               |
| partial                     | `share` of the amount is executed at most                                                        |
| kill, kill_after            | the process `pid` is killed, then it is executed, or the other way about                         |
"""

from __future__ import annotations

from threading import Event, Lock
from typing import Any

MINUTE_MS = 60_000
NO_FAULT: dict[str, Any] = {"fault": ""}


class Faults:
    """By venue: `lag_ms` and `stale_ms` are the age of what look-ups and balances show, `headers` are added to answers, `limits` are
    requests a minute."""

    def __init__(self) -> None:
        self.rules: list[dict[str, Any]] = []
        self.lag_ms: dict[str, int] = {}
        self.stale_ms: dict[str, int] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.limits: dict[str, int] = {}
        self.in_minute: dict[str, tuple[int, int]] = {}  # the minute, and the requests in it, by venue
        self.released = Event()
        self.counts: dict[str, int] = {}  # requests by venue and kind
        self._lock = Lock()

    def add(self, rule: dict[str, Any]) -> None:
        with self._lock:
            self.rules.append({"times": 1, **rule})

    def take(self, venue: str, kind: str) -> dict[str, Any]:
        """The rule for a request, used up by it."""
        with self._lock:
            name = f"{venue} {kind}"
            self.counts[name] = self.counts.get(name, 0) + 1
            for rule in self.rules:
                if rule["on"] in (kind, "*") and rule.get("venue", venue) == venue:
                    rule["times"] -= 1
                    if rule["times"] == 0:
                        self.rules.remove(rule)
                    return rule
            return NO_FAULT

    def seconds_to_wait(self, venue: str, now_ms: int) -> int:
        """Count a request; where it is one too many, the seconds until the next minute."""
        with self._lock:
            minute, count = self.in_minute.get(venue, (0, 0))
            count = count + 1 if minute == now_ms // MINUTE_MS else 1
            self.in_minute[venue] = (now_ms // MINUTE_MS, count)
            return MINUTE_MS // 1_000 - now_ms % MINUTE_MS // 1_000 if count > self.limits.get(venue, count) else 0


def edit(body: Any, edits: list[dict[str, Any]]) -> None:
    """Change an answer.

    Raises:
        KeyError, IndexError: it has no such place.
    """
    for one in edits:
        *path, last = one["path"]
        at = body
        for name in path:
            at = at[name]
        if "value" in one:
            at[last] = one["value"]
        else:
            del at[last]
