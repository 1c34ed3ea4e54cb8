"""Market data by time: exactly what could be known at an instant, and nothing later."""

from __future__ import annotations

import os
from array import array
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from basis_strategy_v1.core.clock import iso, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import REDEEMED_BY, LendingRow, MissingData, base_of
from basis_strategy_v1.data.check_table import issues_between, issues_of, stops_of
from basis_strategy_v1.data.duckdb_file import DuckDbFile
from basis_strategy_v1.data.layout import BARS, EVENTS, STATES
from basis_strategy_v1.data.library import Library, Staleness
from basis_strategy_v1.data.snapshot import MissingFunding, SeriesSnapshot
from basis_strategy_v1.data.sources import DataFolder, looks_like

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path

    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.data.check_table import Issue
    from basis_strategy_v1.data.columns import Columns, Figures
    from basis_strategy_v1.data.layout import Key
    from basis_strategy_v1.data.sources import Source

MODES = ("csv", "db")
MODE_VARIABLE = "BASIS_DATA_MODE"
MISSING_FUNDING = ("error", "zero")
MARGIN = 2  # rows on either side of a run's, against which its first and its last are held
_LENDING_FIELDS = LendingRow._fields[1:]


class Bars(NamedTuple):
    """Bars of one series: how long each is and when the first of them closes, in microseconds (since 1970)."""

    series: str
    interval_us: int
    first_close: int


class DataProvider:
    """The series of a folder (mode `csv`) or of a database (mode `db`), by time.

    Args:
        directory: a folder in the layout of docs/data.md; read a series at a time, when it is first asked for.
        database: a file that `basis data import` wrote.
        mode: `csv` or `db`; None takes the environment's BASIS_DATA_MODE, else whichever of the two was given.
        clock: a time after its `now()` is refused.
        max_staleness: how long a last row may be used: `36h` (the default), a timedelta, or a mapping of series or path beginnings.
        missing_funding: `error`, or `zero` with each such payment listed in `missing_funding_used`.
        spot_venues: where prices come from, in order; then the first spot venue with data, by name.
        since, until: the run's ends. No row stamped after `until` is read or validated; the finest bars that cover the run are used.

    Raises:
        ComponentError: CFG-001, CFG-002 (an argument or BASIS_DATA_MODE), DAT-006 (the folder or file cannot be used).
    """

    def __init__(
        self,
        directory: str | Path | None = None,
        database: str | Path | None = None,
        *,
        mode: str | None = None,
        clock: Clock | None = None,
        max_staleness: str | timedelta | Mapping[str, str | timedelta] | None = None,
        missing_funding: str = "error",
        spot_venues: Sequence[str] = (),
        until: datetime | None = None,
        since: datetime | None = None,
    ) -> None:
        if missing_funding not in MISSING_FUNDING:
            raise ComponentError("CFG-001", f"data.missing_funding: must be one of {', '.join(MISSING_FUNDING)}, got {missing_funding!r}")
        self.mode = _mode(mode, directory, database)
        self.clock = clock
        self._source = _source(self.mode, directory, database)
        self._missing_funding = MissingFunding(missing_funding == "zero")
        ends = [None if end is None else _instant(end) for end in (since, until)]
        self._library = Library(self._source, Staleness(max_staleness), ends[0], ends[1], spot_venues)

    @property
    def generated(self) -> bool:
        """Whether the series are invented and no market data."""
        return self._source.generated

    @property
    def missing_funding_used(self) -> list[tuple[str, datetime]]:
        """(series id, time) of each funding payment that had no row and was taken as 0."""
        return self._missing_funding.used

    @property
    def series_ids(self) -> tuple[str, ...]:
        return self._library.series_ids

    @property
    def series_used(self) -> tuple[str, ...]:
        """The ids of the series that were read; those that only cover less of the run than another of their symbol are not."""
        return self._library.series_used

    def again(self) -> DataProvider:
        """The same series, of which those that were read stay in memory, with nothing noted of what was asked before."""
        other = object.__new__(DataProvider)
        other.__dict__.update(self.__dict__)
        other._missing_funding = MissingFunding(self._missing_funding.is_zero)
        other._library = self._library.again()
        return other

    def fingerprint(self) -> str:
        """A digest of the series that were read, up to `until`: the same for a folder and for the database that was made of it."""
        digest = sha256()
        for key, series in self._library.readable():
            columns = series.columns_between(0, series.rows)
            digest.update(f"{'/'.join(key)} {series.interval_us} ".encode())
            digest.update(array("q", columns.stamps).tobytes())
            for name, figures in columns.figures.items():
                digest.update(f" {name} ".encode())
                digest.update(_digits(figures))
            for stamp, texts in series.all_texts() if series.kind in (*STATES, EVENTS) else ():
                digest.update(f" {stamp} {texts}".encode())
        return digest.hexdigest()[:12]

    def stale_spans(self, since: int, until: int) -> list[tuple[str, int, int]]:
        """(series id, from, until before) of each time between two instants at which a price that was read is older than its interval."""
        return self._library.stale_spans(since, until)

    def unusable_spans(self, kind: str, venue: str, name: str, since: int, until: int) -> list[tuple[str, int, int]]:
        """(series id, from, until before) of each time between two instants at which the last row is older than `max_staleness`, so that
        asking for it is an error (DAT-002)."""
        return self._library.unusable_spans((kind, venue, name), since, until)

    def rows_visible(self, kind: str, venue: str, name: str, until: int) -> tuple[str, Sequence[int]] | None:
        """(series id, when each row up to `until` becomes visible, rising); None where there is no such series."""
        series = self._library.find((kind, venue, name), until)
        return None if series is None else (series.id, series.edges()[1 : series.seek(until) + 1])

    def issues(self, since: int, until: int) -> list[Issue]:
        """What the data checks find in the rows between two instants of each series that was read, and between these series."""
        found: list[Issue] = []
        within: list[Columns] = []
        for key, series in self._library.readable():
            first, stop = series.rows_between(since, until)
            around = max(first - MARGIN, 0)
            columns = series.columns_between(around, stop + MARGIN)
            within.append(columns.between(first - around, stop - around))
            issues = [one for one in issues_of(columns, in_run=True) if one.kind == "unit" or one.row + around >= first]
            for issue in (*issues, *stops_of(series, since)):
                visible = issue.stamp + series.interval_us
                if visible <= until and self._library.answers(key, series, max(since, visible)):
                    found.append(issue)
        return [*found, *issues_between(within)]

    def bars_of(self, kind: str, venue: str, name: str, instant: int) -> Bars | None:
        """The bars that answer at an instant (microseconds since 1970); None where there are none."""
        series = self._library.find((kind, venue, name), instant)
        ends = series.first_and_last() if series else None
        return Bars(series.id, series.interval_us, ends[0]) if series and ends and series.interval_us else None

    def unread_like(self, kind: str, venue: str, name: str) -> list[tuple[str, str]]:
        """(path, why it is not read) of each file that would be this series under another name, or in another format."""
        return [(path, why) for path, why in getattr(self._source, "unread", tuple)() if looks_like(path, kind, venue, name)]

    @property
    def counted_as_dollar(self) -> tuple[str, ...]:
        """The tokens that were asked for and counted as 1 USDT, because no series says what they are worth."""
        return self._library.counted_as_dollar

    def exchange_events(self, venue: str) -> tuple[str, list[tuple[int, dict[str, str]]]] | None:
        """(series id, the rows of `events/<venue>` as (stamp, column -> text)) up to `until`; None where there is no such series."""
        found = self._library.all_of((EVENTS, venue, venue))
        return (found[0].id, found[0].all_texts()) if found else None

    def coverage(self, kind: str, venue: str, name: str) -> tuple[int, int] | None:
        """When the first and the last row become visible (microseconds since 1970); None where there is no such series or no row."""
        found = [series.first_and_last() for series in self._library.all_of((kind, venue, name))]
        ends = [pair for pair in found if pair]
        return (min(first for first, _ in ends), max(last for _, last in ends)) if ends else None

    def what_there_is(self, kind: str, venue: str) -> str:
        """Which names `venue` has of a kind (spot, perp, funding, lending, staking, dex, gas, pool, market), as a part of a sentence."""
        return self._library.what_there_is(kind, venue)

    def snapshot(self, at: datetime, instant: int | None = None) -> SeriesSnapshot:
        """What was visible at `at`; `instant` is the same in microseconds, where the caller has it.

        Raises:
            ComponentError: DAT-004, `at` is naive or after the clock.
        """
        if instant is None:
            instant = _instant(at)
        if self.clock is not None and at > self.clock.now():
            now = iso(self.clock.now())
            raise ComponentError("DAT-004", f"{iso(at)} is after the clock, which stands at {now}; ask for that or earlier")
        return SeriesSnapshot(at, instant, self._library, self._missing_funding)

    def get_data(self, timestamp: datetime) -> dict[str, Any]:
        """The nested dict of everything visible at `timestamp`, in floats (the state of a pool or a market in the texts of its row);
        a series with nothing visible, or too old, is absent.

        Raises:
            ComponentError: DAT-004, `timestamp` is naive or after the clock; DAT-003, a file is malformed.
        """
        snapshot = self.snapshot(timestamp)
        market: dict[str, Any] = {"prices": {}, "spot_prices": {}, "perp_prices": {}, "funding_rates": {}}
        protocols: dict[str, Any] = {}
        gas: dict[str, Any] = {}
        for key in self._library.keys:
            series = self._library.find(key, snapshot.instant)
            if series is None or key.kind == EVENTS:
                continue
            if key.kind in STATES:
                if texts := series.texts(snapshot.instant):
                    protocols.setdefault(key.venue, {}).setdefault(f"{key.kind}s", {})[key.name] = texts
            elif values := series.floats(snapshot.instant):
                _place(key, values, market, protocols, gas)
        market["prices"] = self._prices(snapshot)
        chain = gas.get("ethereum") or next(iter(gas.values()), None)
        execution = {"gas": chain} if chain else {}
        return {"timestamp": timestamp, "market_data": market, "protocol_data": protocols, "execution_data": execution}

    def _prices(self, snapshot: SeriesSnapshot) -> dict[str, float]:
        spot = {base_of(key.name) for key in self._library.keys if key.kind == "spot"}
        redeemed = {key.name for key in self._library.keys if key.kind == "staking" and key.name in REDEEMED_BY}
        found: dict[str, float] = {}
        for token in ("USDT", "USDC", *sorted(spot | {name.removeprefix("W") for name in spot} | redeemed)):
            try:
                found[token] = float(snapshot.price(token))
            except MissingData:
                continue
        return found


def _digits(figures: Figures) -> bytes:
    """The numbers of a column, whatever decimals they are kept with."""
    values, per = figures.values, figures.per
    if not isinstance(values, array):
        return " ".join(map(str, values)).encode()
    while per > 1 and not per % 10 and not any(value % 10 for value in values):
        values, per = array("q", [value // 10 for value in values]), per // 10
    return f"{per} ".encode() + values.tobytes()


# Where the close is among the columns kept of a bar: high, low, close, volume.
CLOSE = 2


def _place(key: Key, values: tuple[float, ...], market: dict[str, Any], protocols: dict[str, Any], gas: dict[str, Any]) -> None:
    """Put the kept columns of a series where get_data has them."""
    kind, venue, name = key
    if kind in BARS:
        market.setdefault(f"{kind}_prices", {}).setdefault(venue, {})[name] = values[CLOSE]
    elif kind == "funding":
        market["funding_rates"].setdefault(venue, {})[name] = values[0]
    elif kind == "lending":
        protocols.setdefault(venue, {})[name] = dict(zip(_LENDING_FIELDS, values, strict=True))
    elif kind == "staking":
        protocols.setdefault(venue, {})[name] = {"eth_per_token": values[0]}
    elif kind == "queue":
        protocols.setdefault(venue, {})["queue_days"] = values[0]
    elif kind == "dex":
        protocols.setdefault(venue, {})[name] = values[0]
    else:
        gas[venue] = {"base_fee_gwei": values[0], "priority_fee_gwei": values[1]}


def _instant(at: datetime) -> int:
    try:
        return to_instant(at)
    except ValueError as error:
        raise ComponentError("DAT-004", str(error), original_exception=error) from error


def _mode(mode: str | None, directory: str | Path | None, database: str | Path | None) -> Literal["csv", "db"]:
    asked = os.environ.get(MODE_VARIABLE) if mode is None else mode
    if asked is None:
        return "db" if directory is None and database is not None else "csv"
    if asked == "csv":
        return "csv"
    if asked == "db":
        return "db"
    raise ComponentError("CFG-002", f"{MODE_VARIABLE if mode is None else 'mode'}: must be one of {', '.join(MODES)}, got {asked!r}")


def _source(mode: Literal["csv", "db"], directory: str | Path | None, database: str | Path | None) -> Source:
    if mode == "db":
        if database is None:
            raise ComponentError("DAT-006", "the data mode is db and no database was given; write one with `basis data import`")
        return DuckDbFile(database)
    if directory is None:
        raise ComponentError("DAT-006", "the data mode is csv and no folder was given; give one, or make a sample with `basis data sample`")
    return DataFolder(directory)
