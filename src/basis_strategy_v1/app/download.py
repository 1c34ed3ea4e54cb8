"""Bars and funding of exchanges into a data folder: page by page, and on from where an earlier process stopped."""

from __future__ import annotations

import os
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from basis_strategy_v1.app import strategy_of
from basis_strategy_v1.core.amounts import plain, shown
from basis_strategy_v1.core.clock import DAY_US, HOUR_US, iso, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueUnreachable
from basis_strategy_v1.data.importing import import_data
from basis_strategy_v1.data.layout import INTERVALS_US, SeriesSpec, spec_of
from basis_strategy_v1.data.row_files import ENDINGS, load_file
from basis_strategy_v1.live.public_exchange import BARS_A_PAGE, RATES_A_PAGE, PublicExchange
from basis_strategy_v1.monitoring.folder_lock import FolderLock

if TYPE_CHECKING:
    from datetime import datetime

    from basis_strategy_v1.config import Config

PARTS = ".download"  # the rows so far, in the folder that they are for: a data folder of its own
TRIES, FIRST_WAIT_S, LONGEST_WAIT_S = 8, 1.0, 60.0
KINDS = ("spot", "perp", "funding")

T = TypeVar("T")
Progress = Callable[[int, int], None]


class WantedSeries(NamedTuple):
    """A series of an exchange: `kind` is spot, perp or funding, `interval` that of its bars."""

    kind: str
    exchange: str
    symbol: str
    interval: str = "1h"

    @property
    def spec(self) -> SeriesSpec:
        path = f"funding/{self.exchange}/{self.symbol}"
        if self.kind != "funding":
            path = f"ohlcv/{self.exchange}/{self.kind}/{self.symbol}_{self.interval}"
        spec = spec_of(path)
        if spec is None:
            raise ComponentError("CFG-001", f"--interval {shown(self.interval)}; allowed: {', '.join(INTERVALS_US)}")
        return spec

    @property
    def step_us(self) -> int:
        return HOUR_US if self.kind == "funding" else INTERVALS_US[self.interval]


class Downloaded(NamedTuple):
    """What became of a series: the rows that came, of which times (microseconds since 1970), and what is missing and why."""

    id: str
    rows: int
    first: int | None
    last: int | None
    missing: tuple[str, ...]


def download(
    directory: Path,
    wanted: Sequence[WantedSeries],
    since: datetime,
    until: datetime | None,
    exchange_of: Callable[[str], PublicExchange],
    progress: Progress | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Downloaded]:
    """Bring these series into a data folder: bars that opened from `since` on and have closed by `until`, and the payments between them.

    Rows are kept in `DIRECTORY/.download` page by page, each page on the disk before the next is asked for; called again, it asks only for
    what is missing, gaps within what is there among them. They go into the folder's own files once all of a series is there: a row that
    is there with other values is refused.

    Args:
        until: None: the exchange's own time.
        progress: called with (pages done, pages in all).

    Raises:
        ComponentError: CFG-001, the times make no sense; DAT-006, the folder cannot be written or another process downloads into it;
            DAT-003, the rows are no data, or contradict what is there; CEX-002, an exchange does not answer. What came is kept.
    """
    begin = to_instant(since)
    parts = directory / PARTS
    try:
        parts.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(directory, parts / ".lock", "DAT-006", "wait until it has ended")
    except OSError as fault:
        raise ComponentError("DAT-006", f"{shown(directory)} cannot be written: {fault.strerror}; choose another folder") from fault
    try:
        pages = [(one, exchange_of(one.exchange)) for one in wanted]
        plan = [(one, exchange, *_span(one, exchange, begin, until, sleep)) for one, exchange in pages]
        total = sum(len(list(_pages(one, first, last))) for one, _, first, last in plan)
        done = 0
        found = []
        for one, exchange, first, last in plan:
            part = _Part(parts, directory, one, first)
            for page in _pages(one, first, last):
                if page[1] >= part.next:
                    lacking = _lacking(one, part.there, *page)
                    part.add([] if lacking is None else _asked(exchange, one, *lacking, sleep), page[1])
                done += 1
                if progress is not None:
                    progress(done, total)
            found.append(part.finish(last))
        if any(one.rows for one in found):
            import_data(parts, directory)
        for folder in ("ohlcv", "funding"):
            rmtree(parts / folder, ignore_errors=True)
        return found
    finally:
        lock.release()
        with suppress(OSError):
            parts.rmdir()


def needed_by(config: Config, interval: str) -> tuple[list[WantedSeries], list[str]]:
    """The series of exchanges that a config needs, and the others by name."""
    needs = dict.fromkeys(strategy_of(config).needs(config.strategy))
    wanted = [WantedSeries(kind, venue, name, interval) for kind, venue, name in needs if kind in KINDS and venue in RATES_A_PAGE]
    return wanted, [f"{kind} of {venue} for {name}" for kind, venue, name in needs if kind not in KINDS or venue not in RATES_A_PAGE]


def _span(
    one: WantedSeries, exchange: PublicExchange, begin: int, until: datetime | None, sleep: Callable[[float], None]
) -> tuple[int, int]:
    """The first and the last stamp that is asked for: of bars that have closed by the exchange's time, whatever the clock here says."""
    now = _patiently(exchange.time, sleep)
    end = now if until is None else min(to_instant(until), now)
    step = one.step_us
    last = end // step * step - (0 if one.kind == "funding" else step)
    first = -(-begin // step) * step
    if last < first:
        raise ComponentError("CFG-001", f"--since {iso(begin)}: no {one.kind} row of {one.exchange} can be there between it and {iso(end)}")
    return first, last


def _pages(one: WantedSeries, first: int, last: int) -> Iterator[tuple[int, int]]:
    """(first stamp, last stamp) of what is asked for at once. They are the same in every process."""
    page_us = one.step_us * (RATES_A_PAGE[one.exchange] if one.kind == "funding" else BARS_A_PAGE)
    start = first
    while start <= last:
        yield start, min((start // page_us + 1) * page_us, last + one.step_us) - one.step_us
        start = (start // page_us + 1) * page_us


def _asked(exchange: PublicExchange, one: WantedSeries, first: int, last: int, sleep: Callable[[float], None]) -> list[tuple[int, str]]:
    """(stamp, values as text) of the rows between two stamps, each once, in order."""

    def ask() -> dict[int, str]:
        if one.kind == "funding":
            return {rate.paid_at: plain(rate.rate) for rate in exchange.funding_rates(one.symbol, first, last)}
        rows = exchange.candles(one.kind, one.symbol, one.interval, one.step_us, first, last)
        return {opened: ",".join(map(plain, values)) for opened, *values in rows}

    return sorted(_patiently(ask, sleep).items())


def _patiently(ask: Callable[[], T], sleep: Callable[[float], None]) -> T:
    """Ask again where there is no answer, and wait longer each time."""
    for attempt in range(TRIES):
        try:
            return ask()
        except VenueUnreachable:
            if attempt == TRIES - 1:
                raise
            sleep(min(FIRST_WAIT_S * 2**attempt, LONGEST_WAIT_S))
    raise AssertionError("the last attempt returns or raises")


class _Part:
    """The rows of a series that have come, in a file, whole pages only. Its cursor says since when, up to when and up to which byte.

    `there` are the stamps that the folder has already, `next` is from when on pages are missing.
    """

    def __init__(self, parts: Path, directory: Path, one: WantedSeries, first: int) -> None:
        self._one, self._path = one, parts / f"{one.spec.id}.csv"
        self._cursor = parts / f"{one.spec.id}.cursor"
        self._stamps: list[int] = []
        self.begin = self.next = first
        files = (directory / f"{one.spec.id}{ending}" for ending in ENDINGS)
        self.there = next((_stamps_in(path, one) for path in files if path.is_file()), [])
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._take_up():
            self._path.write_text(f"{one.spec.header}\n", encoding="utf-8")

    def _take_up(self) -> bool:
        """Go on after the last page that an earlier process completed, where it began no later; what came after that page is cut off."""
        try:
            begin, upto, size = (int(word) for word in self._cursor.read_text(encoding="utf-8").split())
            if begin > self.begin or size > self._path.stat().st_size:
                return False
            os.truncate(self._path, size)
        except (OSError, ValueError):
            return False
        self.begin, self.next = begin, upto + 1
        self._stamps = _stamps_in(self._path, self._one) if size > len(self._one.spec.header) + 1 else []
        return True

    def add(self, rows: list[tuple[int, str]], upto: int) -> None:
        """Keep a page: its rows, then that they are whole."""
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(f"{iso(stamp)},{values}\n" for stamp, values in rows)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        written = self._cursor.with_suffix(".new")
        written.write_text(f"{self.begin} {upto} {size}", encoding="utf-8")
        written.replace(self._cursor)
        self._stamps += [stamp for stamp, _ in rows]

    def finish(self, last: int) -> Downloaded:
        """What came, and what the folder lacks with it; a series without a new row leaves no file."""
        stamps = self._stamps
        if not stamps:
            self._path.unlink()
        all_of_them = sorted({*(stamp for stamp in self.there if self.begin <= stamp <= last), *stamps})
        missing = tuple(_missing(self._one, all_of_them, self.begin, last))
        return Downloaded(self._one.spec.id, len(stamps), stamps[0] if stamps else None, stamps[-1] if stamps else None, missing)


def _stamps_in(path: Path, one: WantedSeries) -> list[int]:
    return list(load_file(path, one.spec, None, path).stamps)


def _lacking(one: WantedSeries, there: Sequence[int], start: int, end: int) -> tuple[int, int] | None:
    """Between which stamps rows of a page may be missing, next to those that are there; None where it is whole.

    How often funding is paid differs: only a day without a payment counts as missing, and what comes after the last one.
    """
    step, first, stop = one.step_us, bisect_left(there, start), bisect_right(there, end)
    before, after, most = start - step, end + step, step
    if one.kind == "funding":
        most = DAY_US
        before = there[first - 1] if first else before
        after = there[stop] if stop < len(there) else after + DAY_US
    gaps = [(a + step, b - step) for a, b in pairwise((before, *there[first:stop], after)) if b - a > most]
    return (max(gaps[0][0], start), min(gaps[-1][1], end)) if gaps else None


def _missing(one: WantedSeries, stamps: Sequence[int], first: int, last: int) -> Iterator[str]:
    """What the exchange has no rows of."""
    if not stamps:
        yield f"no row between {iso(first)} and {iso(last)}: {one.exchange} did not list {one.symbol} then, or keeps no rows of that time"
        return
    step = one.step_us if one.kind != "funding" else 24 * HOUR_US
    if stamps[0] - first >= step:
        yield f"no row before {iso(stamps[0])}: {one.exchange} did not list {one.symbol} before, or keeps no older rows"
    for before, after in pairwise(stamps):
        if after - before > step:
            yield f"no row between {iso(before)} and {iso(after)}: {one.exchange} has none (maintenance, or a halt)"
    if last - stamps[-1] >= step:
        yield f"no row after {iso(stamps[-1])}: {one.exchange} has no newer ones"
