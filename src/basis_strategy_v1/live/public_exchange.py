"""What an exchange says to everybody: its symbols, prices, funding rates and time. Exact: numbers come from the text of its answers."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from basis_strategy_v1.core.amounts import exact_number
from basis_strategy_v1.core.clock import HOUR_US, SECOND_US
from basis_strategy_v1.core.deadline import DeadlinePassed
from basis_strategy_v1.core.error_codes.exceptions import VenueUnreachable
from basis_strategy_v1.core.market import MissingData
from basis_strategy_v1.core.text import one_line
from basis_strategy_v1.live.live_extra import TO_EXCHANGES, require_live
from basis_strategy_v1.live.total_deadline import total_deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

MS_US, LAST_MS = 1_000, 10**14
QUOTES = ("USDT", "USDC", "USD", "BTC", "ETH")
BARS_US = {"1m": 60 * SECOND_US, "1h": HOUR_US}
BARS_A_PAGE = 300  # the fewest that one of the exchanges gives at once
RATES_A_PAGE = {"binance": 1_000, "bybit": 200, "okx": 100, "hyperliquid": 500}
FUNDING_LATE_US = (
    60 * SECOND_US
)  # a payment is stamped some milliseconds after the full hour; a stamp within this time belongs to that hour
LONGEST_REASON = 200


class Bar(NamedTuple):
    """When it opened (microseconds since 1970), its high, low and close; of one that has not closed, what they are so far."""

    opened: int
    high: Decimal
    low: Decimal
    close: Decimal


class Candle(NamedTuple):
    """A bar as it is kept: when it opened (microseconds since 1970), open, high, low, close (quote) and volume (base)."""

    opened: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class Rate(NamedTuple):
    """A funding rate, a fraction of the notional, and when it is paid (microseconds since 1970)."""

    paid_at: int
    rate: Decimal


class PublicExchange:
    """One exchange's public answers. `endpoint`: where all requests go instead of the exchange's own addresses.

    Times are microseconds since 1970. Each call has `timeout_s` in all. Safe to use from several threads, one call at a time.

    Raises of every call:
        VenueUnreachable: CEX-002, there is no answer in time, or it cannot be read. MissingData: DAT-001, it does not list the symbol.
    """

    def __init__(self, name: str, endpoint: str | None = None, timeout_s: float = 15.0) -> None:
        require_live(TO_EXCHANGES)
        self.name = name
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._lock = Lock()
        self._client: Any = None

    def time(self) -> int:
        """The exchange's time."""
        return self._asked("its time", _instant, "fetch_time")

    def lists(self, kind: str, symbol: str) -> bool:
        """Whether a symbol such as ETHUSDT can be traded there, spot or perp."""
        return self._unified(kind, symbol) is not None

    def bars(self, kind: str, symbol: str, length: str, since: int, until: int) -> list[Bar]:
        """The bars of a length (1m, 1h) that opened from `since` on and not after `until`, oldest first. The last may not have closed."""
        unified, what = self._require(kind, symbol), f"{kind} bars of {symbol}"
        found: dict[int, Bar] = {}
        for first, last in _pages(since, until, BARS_A_PAGE * BARS_US[length]):
            options = {"until": last // MS_US}
            bars = self._asked(what, _bars, "fetch_ohlcv", unified, length, first // MS_US, BARS_A_PAGE, options)
            found.update((bar.opened, bar) for bar in bars if since <= bar.opened <= until)
        return [found[opened] for opened in sorted(found)]

    def candles(self, kind: str, symbol: str, length: str, length_us: int, first: int, last: int) -> list[Candle]:
        """One page of bars of any length, with open and volume: those that opened from `first` to `last`, oldest first."""
        unified, what = self._require(kind, symbol), f"{kind} bars of {symbol}"
        options = {"until": (last + length_us - 1) // MS_US}  # one of the exchanges takes it as a time before which they opened
        rows = self._asked(what, _candles, "fetch_ohlcv", unified, length, first // MS_US, BARS_A_PAGE, options)
        found = {row.opened: row for row in rows if first <= row.opened <= last}
        return [found[opened] for opened in sorted(found)]

    def funding_rates(self, symbol: str, since: int, until: int) -> list[Rate]:
        """The rates paid from `since` to `until`, oldest first; a payment stamped just after a full hour is of that hour."""
        unified, what, page = self._require("perp", symbol), f"funding rates of {symbol}", RATES_A_PAGE[self.name]
        found: dict[int, Rate] = {}
        for first, last in _pages(since, until, page * HOUR_US):
            end_ms = (last + FUNDING_LATE_US) // MS_US
            options = {"after": end_ms} if self.name == "okx" else {"until": end_ms}
            rates = self._asked(what, _rates, "fetch_funding_rate_history", unified, first // MS_US, page, options)
            found.update((rate.paid_at, rate) for rate in rates if since <= rate.paid_at <= until)
        return [found[paid_at] for paid_at in sorted(found)]

    def next_funding(self, symbol: str) -> Rate:
        """The rate of the next payment, as it stands."""
        unified = self._require("perp", symbol)
        return self._asked(f"the next funding of {symbol}", _next_rate, "fetch_funding_rate", unified)

    # Symbols.

    def _require(self, kind: str, symbol: str) -> str:
        unified = self._unified(kind, symbol)
        if unified is None:
            raise MissingData("DAT-001", f"{self.name} lists no {kind} {symbol}; correct the symbol, or choose another exchange")
        return unified

    def _unified(self, kind: str, symbol: str) -> str | None:
        """ccxt's name of a symbol; None where the exchange does not list it."""
        markets = self._asked("its symbols", _symbols, "load_markets")
        for quote in QUOTES:
            pair = f"{symbol.removesuffix(quote)}/{quote}"
            name = f"{pair}:{quote}" if kind == "perp" else pair
            if symbol.endswith(quote) and name in markets:
                return name
        return None

    # Asking.

    def _asked(self, what: str, read: Callable[[Any], T], method: str, *arguments: Any) -> T:
        """What `read` makes of the answer to a call of ccxt."""
        import ccxt

        from basis_strategy_v1.live.ccxt_client import ccxt_client

        began_s = time.monotonic()
        try:
            with self._lock, total_deadline(self._timeout_s):
                if self._client is None:
                    self._client = ccxt_client(self.name, self._endpoint)
                answer = getattr(self._client, method)(*arguments)
                if isinstance(answer, list) and not answer:
                    _require_json(self._client.last_http_response)
            return read(answer)
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:  # of ccxt too, over an answer of another shape
            raise self._unreachable(what, f"its answer cannot be read: {type(error).__name__}: {error}", error) from error
        except (DeadlinePassed, ccxt.BaseError) as error:
            is_late = isinstance(error, DeadlinePassed | ccxt.RequestTimeout) or time.monotonic() - began_s >= self._timeout_s
            if is_late:
                why = f"no answer within {self._timeout_s:g} s"
            elif type(error) is ccxt.NetworkError:  # ccxt's text names the exchange's own address, not the endpoint
                why = "no connection"
            else:
                why = f"{type(error).__name__}: {error}"
            raise self._unreachable(what, why, error) from error

    def _unreachable(self, what: str, why: str, error: Exception) -> VenueUnreachable:
        where = "" if self._endpoint is None else f" (endpoint {self._endpoint})"
        message = f"{self.name} cannot be asked for {what}: {one_line(why, LONGEST_REASON)}{where}"
        return VenueUnreachable("CEX-002", message, original_exception=error)


# Reading. What cannot be read is a ValueError, or what Python raises for it.


def _require_json(body: Any) -> None:
    """ccxt makes an empty list of a page that is no JSON, as if there were no rows."""
    json.loads(body or "")


def _symbols(markets: Any) -> dict[str, Any]:
    if not markets:
        raise ValueError("no symbols at all")
    return dict(markets)


def _bars(rows: Any) -> list[Bar]:
    return [_bar(row) for row in _listed(rows)]


def _bar(row: Any) -> Bar:
    opened_ms, _, high, low, close, *_ = row
    bar = Bar(_instant(opened_ms), *(exact_number(text) for text in (high, low, close)))
    if not 0 < bar.low <= bar.close <= bar.high:
        raise ValueError(f"a bar with low {low}, high {high}, close {close}")
    return bar


def _candles(rows: Any) -> list[Candle]:
    return [_candle(row) for row in _listed(rows)]


def _candle(row: Any) -> Candle:
    opened_ms, *numbers = row
    return Candle(_instant(opened_ms), *(exact_number(text) for text in numbers[:5]))


def _rates(rows: Any) -> list[Rate]:
    return [_rate(row, "timestamp") for row in _listed(rows)]


def _next_rate(row: Any) -> Rate:
    return _rate(row, "fundingTimestamp")


def _rate(row: Any, stamp: str) -> Rate:
    at = _instant(row[stamp])
    after_hour = at % HOUR_US
    return Rate(at - after_hour if after_hour <= FUNDING_LATE_US else at, exact_number(row["fundingRate"]))


def _listed(rows: Any) -> list[Any]:
    if not isinstance(rows, list):
        raise ValueError(f"no list but {rows!r}")
    return rows


def _instant(ms: Any) -> int:
    if not isinstance(ms, int) or not 0 < ms < LAST_MS:
        raise ValueError(f"a time of {ms!r} ms")
    return ms * MS_US


def _pages(since: int, until: int, page_us: int) -> Iterator[tuple[int, int]]:
    """(first, last) of the parts in which a time is asked for."""
    for first in range(since, until + 1, page_us):
        yield first, min(first + page_us - 1, until)
