"""A total deadline for a block of calls. It needs no HTTP library: `live/http_deadline.py` puts a client's sockets under it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING

from basis_strategy_v1.core.deadline import Deadline, current_deadline, set_deadline

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def total_deadline(timeout_s: float) -> Iterator[Deadline]:
    """Everything in the block together ends after `timeout_s`.

    Raises:
        DeadlinePassed: it did not end before. What it gave then is perhaps made from half an answer, and is not to be used.
    """
    deadline, outer = Deadline(timeout_s, time.monotonic), current_deadline()
    timer = Timer(timeout_s, deadline.expire)
    timer.daemon = True
    timer.start()
    set_deadline(deadline)
    try:
        yield deadline
    finally:
        timer.cancel()
        set_deadline(outer)
        was_in_time = deadline.finish()
    if not was_in_time:
        raise deadline.passed()
