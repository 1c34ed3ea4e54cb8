"""Which series answers a question, and how long its last row may be used."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import DOLLAR_TOKENS, REDEEMED_BY, SAME_AS
from basis_strategy_v1.data.layout import FOLDERS, Key, by_key, duration_us
from basis_strategy_v1.data.series import Series

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta

    from basis_strategy_v1.data.layout import SeriesSpec
    from basis_strategy_v1.data.sources import Source

DEFAULT_STALENESS = "36h"


class Staleness:
    """How long the last row of a series may be used, in microseconds.

    Takes `36h`, a timedelta, or a mapping of series ids or their beginnings (`ohlcv/okx`) and `default`; the longest that fits wins.

    Raises:
        ComponentError: CFG-001, a duration or a name of the mapping is wrong.
    """

    def __init__(self, allowed: str | timedelta | Mapping[str, str | timedelta] | None) -> None:
        table = allowed if isinstance(allowed, Mapping) else {} if allowed is None else {"default": allowed}
        for name in table:
            if name != "default" and str(name).split("/", 1)[0] not in FOLDERS:
                raise ComponentError("CFG-001", f"data.max_staleness: {name!r} is no series; write `default` or a path such as "
                                     f"ohlcv/okx, beginning with {', '.join(FOLDERS)}")  # fmt: skip
        self._default_us = duration_us(table.get("default", DEFAULT_STALENESS))
        named = {name: duration_us(value) for name, value in table.items() if name != "default"}
        self._named = sorted(named.items(), key=lambda item: -len(item[0]))

    def of(self, series_id: str) -> int:
        return next((allowed_us for name, allowed_us in self._named if series_id.startswith(name)), self._default_us)


class Library:
    """The series of a source, each loaded when it is first asked for.

    `since` and `until` are the run's ends (microseconds since 1970). Where a symbol has bars of several intervals, the finest
    that covers the run answers: one visible at `since` (at the instant asked for, where `since` is not given) and at `until` (at the
    end of the longest, where it is not given) not older than its max_staleness. Where none does, the one with the newest row.
    """

    def __init__(self, source: Source, staleness: Staleness, since: int | None, until: int | None, spot_venues: Sequence[str]) -> None:
        self._source = source
        self._staleness = staleness
        self._since = since
        self._until = until
        self._by_key = by_key(source.specs)
        self._lock = Lock()
        self._series: dict[str, Series] = {}
        self._read = self._series  # by this library or by one that it was made from
        # Token -> the spot series that price it in dollars, in order of preference, and whether in USDC.
        self.price_keys: dict[str, tuple[tuple[Key, bool], ...]] = {}
        venues = {key.venue for key in self._by_key if key.kind == "spot"}
        self._spot_venues = tuple(dict.fromkeys((*spot_venues, *sorted(venues))))
        self._names: dict[tuple[str, str], tuple[str, ...]] = {}
        self._trading: dict[str, tuple[str, ...]] = {}
        # The keys whose answer does not depend on the instant; readers look here first.
        self.settled: dict[tuple[str, str, str], Series] = {}
        # The ids of those among several that answered for their key.
        self._answered: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=Lock())

    def again(self) -> Library:
        """The same library with the series that were loaded, as if none had been asked for."""
        other = Library(self._source, self._staleness, self._since, self._until, self._spot_venues)
        other._read = self._read
        return other

    @property
    def keys(self) -> tuple[Key, ...]:
        return tuple(sorted(self._by_key))

    def trading(self, pair: str) -> tuple[str, ...]:
        """The DEXes, in the order of their names, that there are prices of a pair of."""
        found = self._trading.get(pair)
        if found is None:
            found = self._trading[pair] = tuple(key.venue for key in self.keys if (key.kind, key.name) == ("dex", pair))
        return found

    @property
    def series_ids(self) -> tuple[str, ...]:
        return tuple(spec.id for specs in self._by_key.values() for spec in specs)

    @property
    def series_used(self) -> tuple[str, ...]:
        """The ids of the series that were loaded; where a symbol has bars of several intervals, of those that answered."""
        specs = (spec for group in self._by_key.values() for spec in group if len(group) == 1 or spec.id in self._answered)
        return tuple(sorted(spec.id for spec in specs if spec.id in self._series))

    def stale_spans(self, since: int, until: int) -> list[tuple[str, int, int]]:
        """(series id, from, until before) of each time at which a loaded price series answers with a bar older than its interval."""
        priced = [(key, series) for key, series in self.readable() if key.kind in ("spot", "perp")]
        return [(one.id, *span) for key, one in priced for span in self._while_it_answers(key, one, one.stale_spans(since, until))]

    def unusable_spans(self, key: tuple[str, str, str], since: int, until: int) -> list[tuple[str, int, int]]:
        """(series id, from, until before) of each time at which the last row of what answers for `key` is older than `max_staleness`."""
        self.all_of(key)
        found = self._readable_of(Key(*key))
        return [(one.id, *span) for one in found for span in self._while_it_answers(key, one, one.unusable_spans(since, until))]

    def readable(self) -> list[tuple[Key, Series]]:
        """The loaded series that answer at any instant, or may, by id."""
        found = [(key, series) for key in self._by_key for series in self._readable_of(key)]
        return sorted(found, key=lambda pair: pair[1].id)

    def _readable_of(self, key: Key) -> list[Series]:
        found = [self._series[spec.id] for spec in self._by_key.get(key, ()) if spec.id in self._series]
        if len(found) > 1 and self._since is not None:
            self._finest(key, found, self._since)  # settles it, where one of them covers the run
        return [self.settled[key]] if key in self.settled else found

    def answers(self, key: tuple[str, str, str], series: Series, instant: int) -> bool:
        """Whether it is this one of the series of `key` that is read at `instant`."""
        candidates = self.all_of(key)
        answer = self.settled.get(key) or (candidates[0] if len(candidates) == 1 else self._finest(key, candidates, instant))
        return answer is series

    def _while_it_answers(self, key: tuple[str, str, str], series: Series, spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Of spans within which no row of `series` begins, the parts in which it is `series` that is read: each from its beginning on."""
        others = [other for other in self.all_of(key) if other is not series and key not in self.settled]
        for start, end in spans:
            if self.answers(key, series, start):
                # Another may take its place with its first row of all, or with its first that is newer.
                turns = {turn for other in others for turn in ((other.first_and_last() or (end,))[0], other.visible_next(start) or end)}
                yield start, next((turn for turn in sorted(turns) if start < turn < end and not self.answers(key, series, turn)), end)

    def find(self, key: tuple[str, str, str], instant: int) -> Series | None:
        """The series that answers for `key` at `instant`; None where the source has none."""
        specs = self._by_key.get(Key(*key))
        if specs is None:
            return None
        if len(specs) > 1:
            series = self._finest(key, [self._load(spec) for spec in specs], instant)
            self._answered.add(series.id)
            return series
        self.settled[key] = series = self._load(specs[0])
        return series

    def all_of(self, key: tuple[str, str, str]) -> list[Series]:
        """Every series of `key`, the finest first."""
        return [self._load(spec) for spec in self._by_key.get(Key(*key), ())]

    def _load(self, spec: SeriesSpec) -> Series:
        with self._lock:
            if spec.id not in self._read:
                self._read[spec.id] = Series(spec, self._source.load(spec, self._last_stamp(spec)), self._staleness.of(spec.id))
            return self._series.setdefault(spec.id, self._read[spec.id])

    def _last_stamp(self, spec: SeriesSpec) -> int | None:
        """The last stamp that is read: of bars, that of the last one that has closed by the end."""
        return None if self._until is None else self._until - (spec.interval_us or 0)

    def _finest(self, key: tuple[str, str, str], candidates: list[Series], instant: int) -> Series:
        end = max((ends[1] for series in candidates if (ends := series.first_and_last())), default=instant)
        for series in candidates:
            if _covers(series, instant if self._since is None else self._since, end if self._until is None else self._until):
                if self._since is not None:
                    self.settled[key] = series
                    self._answered.add(series.id)
                return series
        return max(candidates, key=lambda series: (series.visible_since(instant) or 0, -series.interval_us))

    def find_price_keys(self, token: str) -> tuple[tuple[Key, bool], ...]:
        """`price_keys` of a token: none for USDT, which is 1, nor for what is worth what another token is."""
        symbols = [(f"{prefix}{token}{quote}", quote == "USDC") for quote in DOLLAR_TOKENS if quote != token for prefix in ("", "W")]
        if token == "USDT" or token in SAME_AS or token in REDEEMED_BY:
            symbols = []
        wanted = ((Key("spot", venue, symbol), is_in_usdc) for venue in self._spot_venues for symbol, is_in_usdc in symbols)
        self.price_keys[token] = found = tuple(pair for pair in wanted if pair[0] in self._by_key)
        return found

    @property
    def counted_as_dollar(self) -> tuple[str, ...]:
        """The dollar tokens that were priced without a series: USDT is 1 by definition and none of them."""
        return tuple(sorted(token for token, keys in self.price_keys.items() if not keys and token in DOLLAR_TOKENS and token != "USDT"))

    def names(self, kind: str, venue: str) -> tuple[str, ...]:
        """What `venue` has of this kind, sorted."""
        found = self._names.get((kind, venue))
        if found is None:
            found = tuple(sorted(key.name for key in self._by_key if (key.kind, key.venue) == (kind, venue)))
            self._names[kind, venue] = found
        return found

    def what_there_is(self, kind: str, venue: str) -> str:
        """Which names `venue` has of this kind, or which venues have any."""
        if names := self.names(kind, venue):
            return f"{venue} has {', '.join(names)}"
        venues = sorted({key.venue for key in self._by_key if key.kind == kind})
        return f"the data have {kind} of {', '.join(venues)}" if venues else f"the data have no {kind} at all"


def _covers(series: Series, start: int, end: int) -> bool:
    ends = series.first_and_last()
    return ends is not None and ends[0] <= start and end - ends[1] <= series.max_staleness_us
