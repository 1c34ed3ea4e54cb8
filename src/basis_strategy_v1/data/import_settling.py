"""Which series imported rows are, and whether they keep to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.amounts import counted
from basis_strategy_v1.core.clock import HOUR_US, SECOND_US, iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.layout import INTERVALS_US, SeriesSpec, interval_name, render_duration, spec_of
from basis_strategy_v1.data.row_files import SourceFault
from basis_strategy_v1.data.vendor_formats import FUNDING, OHLCV, Named, named, of_symbol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from basis_strategy_v1.data.staging import Staged, StagedRow
    from basis_strategy_v1.data.vendor_formats import Shape
    from basis_strategy_v1.data.vendor_tables import Table

CLOSE, OPEN = "close", "open"
MARKETS = ("spot", "perp")
_SPRING = "dayofweek(make_timestamp(stamp)) = 0 AND month(make_timestamp(stamp)) IN (3, 4) AND hour(make_timestamp(stamp)) BETWEEN 1 AND 4"


class Wanted(NamedTuple):
    """What the command says of its source; what is empty is seen from the files."""

    format: str = ""
    kind: str = ""
    venue: str = ""
    market: str = ""
    symbol: str = ""
    interval: str = ""
    columns: str = ""
    unit: str = ""
    stamped: str = OPEN


class Identity(NamedTuple):
    """Which series a table is; `interval` is empty where its name does not say it."""

    kind: str
    venue: str
    market: str
    symbol: str
    interval: str

    def spec(self, interval: str) -> SeriesSpec:
        """Raises: SourceFault, the layout has no such series."""
        place = f"{self.venue}/{self.market}/{self.symbol}_{interval}" if self.kind == OHLCV else f"{self.venue}/{self.symbol}"
        place = self.venue if self.kind in ("gas", "queue") else place
        found = spec_of(f"{self.kind}/{place}")
        if found is None:
            raise SourceFault(
                f"would be {self.kind}/{place}, which is no series of the layout (docs/data.md); give --venue, --market, --symbol"
            )
        return found


class Settling:
    """Finds out which series staged rows are. `sources` are the names of their sources by number; `notes` what a user should know."""

    def __init__(self, sources: Sequence[str], wanted: Wanted, now: int, names_no_zone: bool) -> None:
        self._sources, self._wanted, self._now, self._names_no_zone = sources, wanted, now, names_no_zone
        self.notes = dict[str, None]()

    def spec(self, staged: Staged, identity: Identity) -> SeriesSpec:
        """Which series it is, now that its rows are there; bars are stamped at their open afterwards, and have its interval.

        Raises:
            ComponentError: DAT-003, its rows do not keep an interval, are stamped at their close, or later than now.
        """
        try:
            self._require_times(staged)
            if identity.kind != OHLCV:
                return identity.spec("")
            source_us = self._own_interval(staged, identity)
            if self._wanted.stamped == CLOSE:
                staged.to_opens(source_us)
            elif staged.first(f"stamp % {source_us} < {source_us - SECOND_US}") is None:
                raise SourceFault(f"{self._place(staged.first('true'))}: all bars are stamped just before they close; give --stamped close")
            if unclosed := staged.drop(f"stamp > {self._now - source_us}"):
                self.notes[f"{counted(unclosed, 'bar')} left out, which had not closed"] = None
            wanted_us = INTERVALS_US.get(self._wanted.interval, source_us)
            if wanted_us != source_us:
                left_out = staged.resample(wanted_us, source_us)
                self.notes[f"bars of {interval_name(wanted_us)} made of bars of {interval_name(source_us)}"] = None
                if left_out:
                    self.notes[f"{counted(left_out, 'bar')} left out, because finer bars are missing in them"] = None
            return identity.spec(interval_name(wanted_us))
        except SourceFault as fault:
            raise ComponentError("DAT-003", str(fault)) from None

    def _require_times(self, staged: Staged) -> None:
        if later := staged.first(f"stamp > {self._now}"):
            raise SourceFault(
                f"{self._place(later)}: {iso(later.stamp)} is after now, {iso(self._now)}; correct the unit (--unit), or leave it out"
            )
        usual = staged.usual_step() or 0
        if self._names_no_zone and 0 < usual <= HOUR_US and (gap := staged.first(f"step = {usual + HOUR_US} AND {_SPRING}")):
            what = f"an hour is missing before {iso(gap.stamp)}, a night in which clocks are put forward, and the stamps name no zone"
            raise SourceFault(f"{self._place(gap)}: {what}; write them in UTC, ending in Z")

    def _own_interval(self, staged: Staged, identity: Identity) -> int:
        """The interval of the bars in the files, in microseconds."""
        least, usual = staged.least_step(), staged.usual_step()
        wanted_us = INTERVALS_US.get(self._wanted.interval)
        if identity.interval and identity.interval not in INTERVALS_US and wanted_us is None:
            raise SourceFault(f"{self._sources[-1]}: bars of {identity.interval} are not known, only {', '.join(INTERVALS_US)}; "
                              "give --interval to have coarser ones made of them")  # fmt: skip
        named_us = INTERVALS_US.get(identity.interval) or (usual if wanted_us is None or (usual and wanted_us % usual == 0) else wanted_us)
        named_us = named_us or wanted_us
        if named_us is None or (not identity.interval and wanted_us is None and named_us not in INTERVALS_US.values()):
            apart = f"its rows are {render_duration(usual)} apart" if usual else "it has one row"
            raise SourceFault(
                f"{self._sources[-1]} does not say its interval, and {apart}; give --interval, one of {', '.join(INTERVALS_US)}"
            )
        if least is not None and least < named_us:
            near = staged.first(f"step < {named_us}")
            assert near is not None
            what = f"{iso(near.stamp)} is {render_duration(near.step)} after the row before it, in bars of {interval_name(named_us)}"
            raise SourceFault(f"{self._place(near)}: {what}; give the interval by --interval, or leave the row out")
        if usual is not None and usual > named_us:
            what = f"rows are {render_duration(usual)} apart, in bars of {interval_name(named_us)}"
            raise SourceFault(f"{self._place(staged.first('true'))}: {what}; give --interval {interval_name(usual)}")
        if wanted_us is not None and wanted_us % named_us:
            raise SourceFault(f"--interval {self._wanted.interval}: no such bars can be made of bars of {interval_name(named_us)}")
        return named_us

    def _place(self, place: StagedRow | None) -> str:
        assert place is not None
        return f"{self._sources[place.source]} {place.line}"


def plain_symbol(symbol: str) -> str:
    return re.sub("[^A-Za-z0-9]", "", symbol)


def identity_of(name: str, table: Table, shape: Shape, wanted: Wanted) -> Identity:
    """Which series a table is, by what was given, its columns and its file's name.

    Raises:
        SourceFault: one of them is not said; it is coin-margined or dated.
    """
    by_name, by_column = named(name, shape), Named()
    row = dict(zip(table.names, table.first, strict=True))
    venue = wanted.venue or shape.venue
    if shape.symbol in row and not wanted.symbol:
        by_column = of_symbol(row[shape.symbol], shape.venue)
    category = {"linear": "perp", "spot": "spot"}.get(row.get("category", ""), "")
    if row.get("category") == "inverse" or re.search("USD_PERP|USD_[0-9]{6}|/cm/", name):
        raise SourceFault("is of a coin-margined or dated future, which are not supported; take the perp settled in USDT or USDC")
    found = Identity(
        shape.kind,
        venue,
        "perp" if shape.kind == FUNDING else wanted.market or shape.market or category or by_column.market or by_name.market,
        plain_symbol(wanted.symbol) or by_column.symbol or by_name.symbol,
        row.get(shape.interval, "") or by_name.interval,
    )
    for what, like in (("venue", "binance"), ("market", "spot or perp"), ("symbol", "ETHUSDT")):
        if not getattr(found, what):
            raise SourceFault(f"({shape.format}, {shape.kind}) does not say its {what}; give --{what}, such as {like}")
    return found
