"""The shipped sample: series made up from a seed, in the layout of real ones and marked as generated.

Everything is integer arithmetic on bits of `random.Random`, so the same seed gives the same bytes on every platform.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.clock import DAY_US, HOUR_US, iso, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.layout import spec_of
from basis_strategy_v1.data.sources import GENERATED_FILE, series_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


# A day before June 2024, so that a run from 2024-06-01 finds every series visible.
START_US = to_instant(datetime(2024, 5, 31, tzinfo=UTC))
DAYS = 184
HOURS = DAYS * 24
FUNDING_HOURS = 8
BLOCKS_A_DAY = 7150
FIRST_BLOCK = 19_985_000
WAD = 10**18
YEAR_DAYS = 365
MILLION = 10**6
# Of each token, how much of what is supplied is borrowed, and the borrow rate at full use; in millionths.
LENDING = {"USDT": (850_000, 110_000), "WETH": (780_000, 30_000), "wstETH": (60_000, 40_000), "weETH": (15_000, 60_000)}


class _Bar:
    """Open, high, low and close in cents, volume in thousandths."""

    __slots__ = ("close", "high", "low", "open", "volume")

    def __init__(self, random: Random, before: int, close: int, volume: int) -> None:
        self.open = before
        self.close = close
        self.high = max(before, close) * (MILLION + random.randrange(2500)) // MILLION
        self.low = min(before, close) * (MILLION - random.randrange(2500)) // MILLION
        self.volume = volume * (500 + random.randrange(1000)) // 1000


def write_sample(directory: str | Path, seed: int = 7) -> dict[str, int]:
    """Rows per series id of the sample written to `directory`: June to November 2024, hourly, with one day before them.

    Raises:
        ComponentError: DAT-006, the folder holds series that were not generated, or cannot be written.
    """
    folder = Path(directory)
    if not (folder / GENERATED_FILE).is_file() and any(series_files(folder)):
        raise ComponentError("DAT-006", f"{shown(folder)} holds series that are not generated; give the sample a folder of its own")
    counts: dict[str, int] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        note = f"These series are generated from seed {seed} and are no market data. Made by `basis data sample`.\n"
        (folder / GENERATED_FILE).write_text(note, encoding="ascii", newline="\n")
        for series_id, rows in _Sample(seed).series():
            counts[series_id] = _write(folder / f"{series_id}.csv", series_id, rows)
    except OSError as error:
        what = f"the sample cannot be written to {shown(folder)}: {error.strerror}"
        raise ComponentError("DAT-006", what, original_exception=error) from error
    return counts


def _write(path: Path, series_id: str, rows: Iterable[str]) -> int:
    spec = spec_of(series_id)
    lines = [spec.header if spec else "", *rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")
    return len(lines) - 1


class _Sample:
    """One made-up market: two coins, a perp on two exchanges, a lending market, two staked tokens and gas."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._spot = {
            "ETH": _walk(self._random("ETH"), start=376_000, step_ppm=5200, drift_ppm=120),
            "BTC": _walk(self._random("BTC"), start=6_750_000, step_ppm=4200, drift_ppm=130),
        }
        self._redemption = {
            "wstETH": [1_168_100_000_000_000_000 + day * 96_000_000_000_000 for day in range(DAYS + 1)],
            "weETH": [1_039_500_000_000_000_000 + day * 84_000_000_000_000 for day in range(DAYS + 1)],
        }

    def _random(self, name: str) -> Random:
        """Numbers of its own for each series, so that one does not shift the others."""
        return Random(f"{self._seed}/{name}")

    def series(self) -> Iterator[tuple[str, Iterable[str]]]:
        """(series id, lines) of all of them."""
        for coin, volume in (("ETH", 4_000_000), ("BTC", 300_000)):
            spot = self._spot[coin]
            yield f"ohlcv/bybit/spot/{coin}USDT_1h", _bars(self._random(f"spot {coin}"), spot, volume)
            for venue in ("bybit", "binance"):
                basis = _wander(self._random(f"{venue} {coin}"), HOURS + 1, middle=350, width=700, step=60)
                perp = [price * (MILLION + basis[hour]) // MILLION for hour, price in enumerate(spot)]
                yield f"ohlcv/{venue}/perp/{coin}USDT_1h", _bars(self._random(f"perp {venue} {coin}"), perp, volume * 5)
                yield f"funding/{venue}/{coin}USDT", _funding(basis)
        for protocol, token in (("lido", "wstETH"), ("etherfi", "weETH")):
            yield f"staking/{protocol}/{token}", [f"{_day(day)},{_text(rate, 18)}" for day, rate in enumerate(self._redemption[token])]
        yield "dex/curve/weETH_WETH", self._dex("weETH", middle=-900, width=1500)
        yield "dex/uniswap_v3/wstETH_WETH", self._dex("wstETH", middle=-300, width=600)
        for token, (use, slope) in LENDING.items():
            yield f"lending/aave_v3/{token}", self._lending(token, use, slope)
        yield "gas/ethereum", self._gas()

    def _dex(self, token: str, middle: int, width: int) -> list[str]:
        """The market price: the redemption rate of the day, `middle` millionths away from it on average."""
        away = _wander(self._random(f"dex {token}"), HOURS, middle=middle, width=width, step=90)
        rates = self._redemption[token]
        return [f"{_hour(hour)},{_text(rates[hour // 24] * (MILLION + away[hour]) // MILLION, 18)}" for hour in range(HOURS)]

    def _lending(self, token: str, use_ppm: int, slope_ppm: int) -> list[str]:
        """Daily rows: rates by utilisation, and indices that grow by the rates, deposits linearly and debt compounded."""
        random = self._random(f"lending {token}")
        use = _wander(random, DAYS + 1, middle=use_ppm, width=use_ppm // 8, step=use_ppm // 40)
        supplied = 450_000_000 if token == "USDT" else 600_000
        index, debt_index = 1_010_000_000_000_000_000, 1_020_000_000_000_000_000
        rows = []
        for day in range(DAYS + 1):
            borrow_rate = slope_ppm * use[day] * 10**6
            supply_rate = borrow_rate * use[day] // MILLION * 9 // 10
            total = supplied * MILLION + random.randrange(supplied) * 10_000
            growth = (_text(value, 18) for value in (index, supply_rate, debt_index, borrow_rate))
            totals = (_text(total, 6), _text(total * use[day] // MILLION, 6), _text(self._oracle(token, day, random), 8))
            rows.append(",".join((_day(day), str(FIRST_BLOCK + day * BLOCKS_A_DAY), *growth, *totals)))
            index += index * supply_rate // (WAD * YEAR_DAYS)
            debt_index += debt_index * _compounded(borrow_rate) // WAD
        return rows

    def _oracle(self, token: str, day: int, random: Random) -> int:
        """USD in 8 decimals."""
        if token == "USDT":
            return 10**8 + random.randrange(-60_000, 60_001)
        ether = self._spot["ETH"][day * 24] * 10**6
        return ether * self._redemption[token][day] // WAD if token in self._redemption else ether

    def _gas(self) -> list[str]:
        random = self._random("gas")
        base = _wander(random, HOURS + 1, middle=2400, width=1900, step=260)
        return [
            f"{_hour(hour)},{FIRST_BLOCK + hour * BLOCKS_A_DAY // 24},{_text(fee, 2)},{_text(random.randrange(5, 150), 2)}"
            for hour, fee in enumerate(base)
        ]


def _walk(random: Random, start: int, step_ppm: int, drift_ppm: int) -> list[int]:
    """HOURS + 1 prices in cents: steps of about `step_ppm` millionths, bell-shaped, as sums of four even ones are."""
    prices = [start]
    spread = step_ppm * 2
    for _ in range(HOURS):
        step = sum(random.randrange(-spread, spread + 1) for _ in range(4)) * 433 // 1000 + drift_ppm
        prices.append(prices[-1] * (MILLION + step) // MILLION)
    return prices


def _wander(random: Random, count: int, middle: int, width: int, step: int) -> list[int]:
    """`count` numbers that wander about `middle`, at most `width` away."""
    found, away = [], 0
    for _ in range(count):
        away = max(-width, min(width, away - away // 40 + random.randrange(-step, step + 1)))
        found.append(middle + away)
    return found


def _bars(random: Random, prices: list[int], volume: int) -> list[str]:
    rows = []
    for hour in range(HOURS):
        bar = _Bar(random, prices[hour], prices[hour + 1], volume)
        prices_text = (_text(price, 2) for price in (bar.open, bar.high, bar.low, bar.close))
        rows.append(",".join((_hour(hour), *prices_text, _text(bar.volume, 3))))
    return rows


def _funding(basis_ppm: list[int]) -> list[str]:
    """A rate every eight hours: a hundredth of a percent, and a share of the basis where it is far from that."""
    rows = []
    for hour in range(0, HOURS + 1, FUNDING_HOURS):
        away = sum(basis_ppm[max(0, hour - FUNDING_HOURS) : hour + 1]) // (FUNDING_HOURS + 1) - 350
        rows.append(f"{_hour(hour)},{_text(10_000 + away * 40, 8)}")
    return rows


def _compounded(rate: int) -> int:
    """What a day's compounding adds to a debt of 1, in 1e-18: three terms of the exponential, as the contracts take."""
    first = rate // YEAR_DAYS
    second = first * first // WAD
    return first + second // 2 + second * first // WAD // 6


def _text(value: int, decimals: int) -> str:
    """`_text(-12345, 3)` is `-12.345`."""
    whole, fraction = divmod(abs(value), 10**decimals)
    return f"{'-' * (value < 0)}{whole}.{fraction:0{decimals}}"


def _hour(hour: int) -> str:
    return iso(START_US + hour * HOUR_US)


def _day(day: int) -> str:
    return iso(START_US + day * DAY_US)
