"""A made-up market from a seed: prices that move and jump, gaps in the bars, pools that are nearly lent out, hours of expensive gas."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from ..world import iso

START = datetime(2024, 6, 1, tzinfo=UTC)
PRICES = {"ETH": 3000.0, "BTC": 60_000.0}
EXCHANGES = ("binance", "bybit")


class RandomMarket:
    """`days` of it, an hour a bar, with a day before the start. `volatility` is that of an hour; a jump is twenty times as much."""

    def __init__(self, seed: int, days: int = 20, volatility: float = 0.006, *, has_gaps: bool = True) -> None:
        self._random = Random(seed)
        self._hours = [START + timedelta(hours=hour) for hour in range(-24, 24 * days + 1)]
        self._days = [START + timedelta(days=day) for day in range(-1, days + 1)]
        self._volatility = volatility
        self._has_gaps = has_gaps
        self._paths = {coin: self._path(price) for coin, price in PRICES.items()}

    def write(self, folder: Path) -> Path:
        """The data folder, in the layout of docs/data.md."""
        for coin, path in self._paths.items():
            for exchange in EXCHANGES:
                self._exchange(folder, exchange, coin, path)
        self._staking(folder)
        self._lending(folder)
        self._gas(folder)
        return folder

    def _path(self, price: float) -> list[float]:
        path = []
        for _ in self._hours:
            jump = self._random.gauss(0, 20 * self._volatility) if self._random.random() < 0.004 else 0.0
            price *= math.exp(self._random.gauss(0, self._volatility) + jump)
            path.append(price)
        return path

    def _gap(self) -> range:
        """The bars of up to a day that are missing, within the run."""
        if not self._has_gaps or self._random.random() < 0.5:
            return range(0)
        begin = self._random.randrange(30, len(self._hours))
        return range(begin, begin + self._random.randrange(1, 24))

    def _exchange(self, folder: Path, exchange: str, coin: str, path: list[float]) -> None:
        for kind in ("spot", "perp"):
            gap, before, lines = self._gap(), path[0], ["timestamp,open,high,low,close,volume"]
            for place, (at, mid) in enumerate(zip(self._hours, path, strict=True)):
                close = mid * (1 + self._random.gauss(0, 0.0005))
                high, low = max(before, close) * 1.001, min(before, close) * 0.999
                if place not in gap:
                    lines.append(f"{iso(at)},{before:.2f},{high:.2f},{low:.2f},{close:.2f},{self._random.randrange(1, 9999)}")
                before = close
            _write(folder / f"ohlcv/{exchange}/{kind}/{coin}USDT_1h.csv", lines)
        rate, lines = 0.0001, ["timestamp,funding_rate"]
        for at in self._hours[::8]:
            rate = 0.9 * rate + 0.00001 + self._random.gauss(0, 0.0001)
            lines.append(f"{iso(at)},{rate:.8f}")
        _write(folder / f"funding/{exchange}/{coin}USDT.csv", lines)

    def _staking(self, folder: Path) -> None:
        for protocol, token, dex, rate in (("lido", "wstETH", "uniswap_v3", 1.17), ("etherfi", "weETH", "curve", 1.04)):
            rates = [rate * math.exp(0.03 * day / 365) for day in range(len(self._days))]
            _write(
                folder / f"staking/{protocol}/{token}.csv",
                ["timestamp,eth_per_token", *(f"{iso(at)},{worth:.18f}" for at, worth in zip(self._days, rates, strict=True))],
            )
            traded = [
                f"{iso(at)},{rates[place // 24] * (1 - abs(self._random.gauss(0, 0.001))):.18f}" for place, at in enumerate(self._hours)
            ]
            _write(folder / f"dex/{dex}/{token}_WETH.csv", ["timestamp,eth_per_token", *traded])

    def _thin_days(self) -> range:
        first = self._random.randrange(len(self._days))
        return range(first, first + self._random.randrange(10))

    def _lending(self, folder: Path) -> None:
        """Pools are nearly lent out for a part of the time, and their rates are then high."""
        thin = {token: self._thin_days() for token in ("WETH", "wstETH", "USDT")}
        header = (
            "timestamp,block,liquidity_index,liquidity_rate,variable_borrow_index,variable_borrow_rate,"
            "total_supplied,total_borrowed,oracle_price_usd"
        )
        for token, worth in (("WETH", 1.0), ("wstETH", 1.17), ("weETH", 1.04), ("USDT", 0.0)):
            supplied_at = borrowed_at = 1.01
            lines = [header]
            for day, at in enumerate(self._days):
                is_thin = day in thin.get(token, ())
                supplied = 100_000.0 if token != "USDT" else 100_000_000.0
                free = self._random.uniform(0, 30) if is_thin else supplied * 0.2
                rate = self._random.uniform(0.1, 0.9) if is_thin else self._random.uniform(0.015, 0.03)
                price = (
                    1.0 if token == "USDT" else worth * math.exp(0.03 * day / 365) * self._paths["ETH"][min(24 * day, len(self._hours) - 1)]
                )
                lines.append(
                    f"{iso(at)},{20_000_000 + 7150 * day},{supplied_at:.18f},{rate * 0.7:.18f},{borrowed_at:.18f},{rate:.18f},"
                    f"{supplied:.6f},{supplied - free:.6f},{price:.8f}"
                )
                supplied_at *= 1 + rate * 0.7 / 365
                borrowed_at *= math.exp(rate / 365)
            _write(folder / f"lending/aave_v3/{token}.csv", lines)

    def _gas(self, folder: Path) -> None:
        costly = self._random.randrange(len(self._hours))
        lines = ["timestamp,block,base_fee_gwei,priority_fee_gwei"]
        for place, at in enumerate(self._hours):
            is_costly = costly <= place < costly + 48
            base = self._random.uniform(100, 900) if is_costly else self._random.uniform(3, 40)
            lines.append(f"{iso(at)},{20_000_000 + 298 * place},{base:.2f},1.00")
        _write(folder / "gas/ethereum.csv", lines)


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
