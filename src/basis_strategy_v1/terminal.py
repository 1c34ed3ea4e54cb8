"""What a command has to do with its terminal: lines that can be trusted, output that cannot be written, signals, a progress bar."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from basis_strategy_v1.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

INTERRUPTED = 128 + signal.SIGINT
LONGEST_LINE = 4_000  # of an error: what is longer informs nobody


class OutputLost(Exception):
    """What was to be printed could not be written; the message is the system's reason."""


def say(text: str) -> None:
    """Print text on lines of its own. A line break in `text` is the program's own: whoever puts a text from outside into it has escaped
    that text's, with `shown` or `printable`. Everything else that a terminal would not print as it is, is escaped here.

    Raises:
        BrokenPipeError: the reader, such as `head`, has enough.
        OutputLost: the disk is full, or the terminal has gone.
    """
    with writing_output():
        print("\n".join(map(printable, text.split("\n"))), flush=True)


@contextmanager
def writing_output() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputLost(error.strerror or str(error)) from error


def complain(text: str) -> None:
    """The same on the error output, each line cut where it is long. Where that cannot be written nobody can read it."""
    with suppress(OSError):
        print("\n".join(_cut(printable(line)) for line in text.split("\n")), file=sys.stderr, flush=True)


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}... ({len(line):,} characters)"


def open_closed_streams() -> None:
    """Give a command that was started without an input or an output an empty one: else the next file that it opens would be its output."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  open until the process ends
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:  # a test's stream is another
            reconfigure(errors="backslashreplace")


def drop_output() -> None:
    """Forget what could not be printed: at its end the process would try again, and fail again."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115


class Interruption:
    """The exit status of a command that a signal ended: 128 and the signal's number, so 130 after Ctrl-C."""

    status: int = INTERRUPTED


@contextmanager
def signals_interrupt() -> Iterator[Interruption]:
    """Let SIGTERM (docker, systemd) and SIGHUP (a terminal that is closed) end a command as Ctrl-C does: what was recorded is written.

    A signal that somebody has chosen to ignore (nohup) or to handle stays as it is.
    """
    caught = Interruption()

    def interrupt(number: int, frame: FrameType | None) -> None:
        caught.status = 128 + number
        raise KeyboardInterrupt

    wanted = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    is_main = threading.current_thread() is threading.main_thread()  # only there may it be chosen
    own = [number for number in wanted if is_main and signal.getsignal(number) is signal.SIG_DFL]
    try:
        for number in own:
            signal.signal(number, interrupt)
        yield caught
    finally:
        for number in own:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def progress_bar(*, enabled: bool, what: str = "backtest") -> Iterator[Callable[[int, int], None] | None]:
    """A function to call with (done, total); None where there is no terminal to draw on."""
    if not enabled or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    with suppress(OSError):  # the terminal has gone
        bar.start()
    try:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
    finally:
        with suppress(OSError):
            bar.stop()
