"""The shapes of tables that can be imported: which exchange or library writes them, and what is in their columns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.clock import HOUR_US
from basis_strategy_v1.data.row_files import SourceFault
from basis_strategy_v1.data.rows import STAMP, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.data.vendor_tables import Table

OHLCV, FUNDING = "ohlcv", "funding"
BARS = ("open", "high", "low", "close", "volume")
COLUMNS_OF = {OHLCV: BARS, FUNDING: ("funding_rate",)}
FORMATS = ("binance", "bybit", "okx", "hyperliquid", "ccxt", "parquet", "csv", "basis")
UNITS = ("ms", "us", "s", "iso")
METATRADER = "metatrader"
METATRADER_SHIFT_US = 3 * HOUR_US  # the clock of bybit's MetaTrader files is UTC+3
_METATRADER_STAMP = r"[0-9]{4}\.[0-9]{2}\.[0-9]{2} [0-9]{2}:[0-9]{2}"
_EPOCH = r"[0-9]{9,17}"


class Shape(NamedTuple):
    """A table of one kind. `take` says which of its columns is which of ours; a column without a name is given by its place.

    `first` is how the stamp of its first row is written. `unit` empty: the epoch's unit is seen from its digits. `venue` empty: not said.
    """

    format: str
    kind: str
    take: Mapping[str, str]
    first: str = _EPOCH
    width: int = 0  # of a table without names
    unit: str = ""
    venue: str = ""
    market: str = ""
    symbol: str = ""  # the column that names the symbol
    interval: str = ""  # the column that names the interval
    only: tuple[str, str] = ("", "")  # the rows that count have this text in this column
    needs: tuple[str, ...] = ()  # further columns by which the shape is known
    perp_volume: str = ""  # the column with the volume of perps in base units, where the other counts contracts

    def fits(self, table: Table) -> bool:
        if not table.has_names and self.width != sum(name.isdigit() for name in table.names):
            return False
        if table.has_names == bool(self.width) or not {*self.take.values(), *self.needs} <= {*table.names}:
            return False
        return re.fullmatch(self.first, table.first[table.names.index(self.take["timestamp"])]) is not None


def _bars(*names: str) -> dict[str, str]:
    return dict(zip(("timestamp", *BARS), names, strict=True))


_FIRST_SIX = _bars("0", "1", "2", "3", "4", "5")
SHAPES = (
    Shape("okx", FUNDING, {"timestamp": "fundingTime", "funding_rate": "realizedRate"}, venue="okx", market="perp", symbol="instId"),
    Shape("binance", OHLCV, _FIRST_SIX, width=12, venue="binance"),
    Shape("binance", OHLCV, _bars("open_time", *BARS), venue="binance", needs=("close_time", "taker_buy_volume")),
    Shape("binance", FUNDING, {"timestamp": "calc_time", "funding_rate": "last_funding_rate"}, venue="binance", market="perp"),
    Shape("binance", FUNDING, {"timestamp": "fundingTime", "funding_rate": "fundingRate"}, venue="binance", market="perp", symbol="symbol"),
    Shape("bybit", OHLCV, _FIRST_SIX, first=_METATRADER_STAMP, width=6, unit=METATRADER, venue="bybit", market="perp"),
    Shape("bybit", OHLCV, _FIRST_SIX, width=7, venue="bybit", symbol="symbol"),
    Shape("bybit", FUNDING, {"timestamp": "fundingRateTimestamp", "funding_rate": "fundingRate"}, venue="bybit", market="perp",
          symbol="symbol"),
    Shape("okx", OHLCV, _bars("open_time", "open", "high", "low", "close", "vol"), venue="okx", symbol="instrument_name",
          only=("confirm", "1"), needs=("vol_ccy",), perp_volume="vol_ccy"),
    Shape("okx", OHLCV, _FIRST_SIX, width=9, venue="okx", only=("8", "1"), perp_volume="6"),
    Shape("okx", FUNDING, {"timestamp": "funding_time", "funding_rate": "funding_rate"}, venue="okx", market="perp",
          symbol="instrument_name"),
    Shape("hyperliquid", OHLCV, _bars("t", "o", "h", "l", "c", "v"), venue="hyperliquid", symbol="s", interval="i"),
    Shape("hyperliquid", FUNDING, {"timestamp": "time", "funding_rate": "fundingRate"}, venue="hyperliquid", market="perp",
          symbol="coin"),
    Shape("ccxt", OHLCV, _FIRST_SIX, width=6),
    Shape("ccxt", OHLCV, _bars("timestamp", *BARS)),
    Shape("ccxt", FUNDING, {"timestamp": "timestamp", "funding_rate": "fundingRate"}, market="perp", symbol="symbol"),
)  # fmt: skip
# Tables with our own names of columns and stamps in ISO: a file of the layout, or Parquet.
_OWN_FIRST = rf"{STAMP.pattern}|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}|-?[0-9]+"


def recognised(table: Table, wanted: str, kind: str, is_parquet: bool) -> Shape:
    """The shape of a table; of the format `wanted` and of `kind`, where they are given.

    Raises:
        SourceFault: it has none of them.
    """
    own = [Shape("parquet" if is_parquet else "basis", name, {one: one for one in ("timestamp", *columns)}, _OWN_FIRST, unit="iso")
           for name, columns in COLUMNS_OF.items()]  # fmt: skip
    shapes = own if is_parquet else [*SHAPES, *own]
    for shape in shapes:
        if wanted in ("", shape.format) and kind in ("", shape.kind) and shape.fits(table):
            return shape
    columns = quoted(", ".join(table.names if table.has_names else table.first))
    what = f"has {'the columns' if table.has_names else 'no header and begins'} {columns}"
    if is_parquet:
        raise SourceFault(
            f"{what}; expected timestamp and {', '.join(BARS)}, or funding_rate; name its own by --columns timestamp=…,open=…"
        )
    known = f"those of {wanted}" if wanted else f"those of {', '.join(FORMATS)}"
    raise SourceFault(f"{what}, which are not {known}; name them by --format csv --columns timestamp=…,open=… --unit ms")


def of_columns(text: str, table: Table, unit: str, is_parquet: bool) -> Shape:
    """The shape that `--columns` and `--unit` describe.

    Raises:
        SourceFault: a column is not known, or missing.
    """
    take = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
    kind = FUNDING if "funding_rate" in take else OHLCV
    expected = ("timestamp", *COLUMNS_OF[kind])
    if not is_parquet and not unit:
        raise SourceFault(f"is imported by --columns: say how its stamps are written by --unit {' or '.join(UNITS)}")
    for name in expected:
        take.setdefault(name, name)
    for name, source in take.items():
        if name not in expected:
            raise SourceFault(f"--columns names {quoted(name)}; allowed are {', '.join(expected)}")
        if source not in table.names:
            raise SourceFault(f"has no column {quoted(source)} for {name}; it has {quoted(', '.join(table.names))}")
    return Shape("parquet" if is_parquet else "csv", kind, take, ".*", unit=unit or "iso")


class Named(NamedTuple):
    """What the name of a file, or a column, says; empty where it does not."""

    symbol: str = ""
    market: str = ""
    interval: str = ""


_BINANCE = re.compile(r"(?P<symbol>[A-Z0-9]+)-(?:(?P<interval>[0-9]+[smhdw])|fundingRate)-[0-9-]+$")
_BYBIT = re.compile(r"(?P<symbol>[A-Z0-9]+)_(?P<minutes>[0-9]+)_[0-9-]+_[0-9-]+$")
_PLAIN = re.compile(r"(?P<symbol>[A-Za-z0-9]+)_(?P<interval>[0-9]+[smhdw])$")
_BASES = {"hyperliquid": "USDC"}


def named(path: str, shape: Shape) -> Named:
    """What a path says of a series: `data/futures/um/monthly/klines/ETHUSDT/1h/ETHUSDT-1h-2024-01.zip`."""
    *folders, last = path.split("/")
    stem = re.sub(r"(\.csv|\.json|\.zip|\.gz|\.parquet)+$", "", last, flags=re.IGNORECASE)
    market = "perp" if {"futures", "um", "perp", "linear", "swap"} & {*folders} else "spot" if "spot" in folders else ""
    if match := _BINANCE.match(stem):
        return Named(match["symbol"], market, match["interval"] or "")
    if match := _BYBIT.match(stem):
        minutes = int(match["minutes"])
        return Named(match["symbol"], market, f"{minutes // 60}h" if minutes % 60 == 0 and minutes < 1440 else f"{minutes}m")
    if match := _PLAIN.match(stem):
        return Named(match["symbol"], market, match["interval"])
    return Named(stem if shape.kind == FUNDING and re.fullmatch("[A-Z0-9]{5,}", stem) else "", market)


def of_symbol(text: str, venue: str) -> Named:
    """What an exchange's own name of an instrument says: `ETH-USDT-SWAP`, `ETH/USDT:USDT`, `ETHUSDT`, hyperliquid's `ETH`.

    Raises:
        SourceFault: it is a coin-margined or dated future.
    """
    pair, _, settled = text.partition(":")
    parts = re.split("[-/_]", pair)
    is_perp = bool(settled) or parts[-1] in ("SWAP", "PERP")
    parts = parts[:-1] if parts[-1] in ("SWAP", "PERP") else parts
    if len(parts) > 2 or "-" in settled or (settled and settled != parts[-1]) or (is_perp and parts[-1] == "USD"):
        raise SourceFault(f"is of {quoted(text)}: coin-margined and dated futures are not supported; take the perp settled in USDT or USDC")
    if venue in _BASES and len(parts) == 1 and re.fullmatch("[A-Za-z0-9]+", text):
        return Named(f"{text}{_BASES[venue]}", "perp")
    is_split = len(parts) == 2
    return Named("".join(parts), "perp" if is_perp else "spot" if is_split else "")
