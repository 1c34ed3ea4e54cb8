"""What a run leaves behind, tick by tick, and the files that it is written to."""

from __future__ import annotations

import os
from array import array
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.clock import DAY_US, iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.results.attribution import SOURCES, ZERO

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from io import TextIOWrapper

SCALE = 12
UNITS = 10**SCALE
MOVING = ("spot_price", "perp_price")  # the columns that change at every tick; the others change now and then
_INT64 = 2**63


class Curve:
    """Equity and attribution at every tick, compact: 24 bytes a quiet tick."""

    def __init__(self) -> None:
        self.instants = array("q")
        self._equity: array[int] | list[int] = array("q")
        self._moving: tuple[array[int] | list[int], ...] = (array("q"), array("q"))
        self._changes: list[tuple[int, dict[str, Decimal]]] = []
        self._last: dict[str, Decimal] | None = None
        self.peak = Decimal("-Infinity")
        self.max_drawdown = ZERO

    def add(self, instant: int, equity: Decimal, residual: Decimal, booked: Mapping[str, Decimal]) -> None:
        """Record a tick; `booked` is copied only when a source other than the prices has changed."""
        values = (int(equity.scaleb(SCALE)), int(residual.scaleb(SCALE)), int(booked["perp_price"].scaleb(SCALE)))
        try:
            self._append(instant, *values)
        except OverflowError:  # beyond 9.2 million: plain integers from here on
            self._widen()
            self._append(instant, *values)
        if self._last is None or any(booked[source] is not self._last[source] for source in SOURCES if source not in MOVING):
            self._last = dict(booked)
            self._changes.append((len(self.instants) - 1, self._last))
        if equity > self.peak:
            self.peak = equity
        elif self.peak > 0 and (fallen := (self.peak - equity) / self.peak) > self.max_drawdown:
            self.max_drawdown = fallen

    def _append(self, instant: int, equity: int, spot: int, perp: int) -> None:
        if not (-_INT64 < equity < _INT64 and -_INT64 < spot < _INT64 and -_INT64 < perp < _INT64) and isinstance(self._equity, array):
            raise OverflowError
        self._equity.append(equity)
        self._moving[0].append(spot)
        self._moving[1].append(perp)
        self.instants.append(instant)

    def _widen(self) -> None:
        self._equity = list(self._equity)
        self._moving = tuple(list(column) for column in self._moving)

    def rows(self) -> Iterator[str]:
        """The lines of equity.csv."""
        changes = iter([*self._changes, (len(self.instants), {})])
        following, booked = next(changes)
        texts: dict[str, str] = {}
        for index, instant in enumerate(self.instants):
            if index == following:
                texts = {source: text_of(amount) for source, amount in booked.items()}
                following, upcoming = next(changes)
                booked = upcoming
            texts["spot_price"], texts["perp_price"] = units_text(self._moving[0][index]), units_text(self._moving[1][index])
            yield f"{iso(instant)},{units_text(self._equity[index])},{','.join([texts[source] for source in SOURCES])}\n"


def units_text(units: int) -> str:
    """1e-12 units as a decimal, without trailing zeros."""
    sign, digits = ("-", str(-units)) if units < 0 else ("", str(units))
    digits = digits.zfill(SCALE + 1)
    fraction = digits[-SCALE:].rstrip("0")
    return f"{sign}{digits[:-SCALE]}.{fraction}" if fraction else f"{sign}{digits[:-SCALE]}"


def text_of(amount: Decimal) -> str:
    """A booked amount as text."""
    return units_text(int(amount.scaleb(SCALE)))


class Holdings:
    """The rows of positions.csv: every position at each tick with a change, and once a day."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, tuple[tuple[str, str, Decimal], ...]]] = []
        self._day = -1

    def due(self, instant: int, changed: bool) -> bool:
        return changed or instant // DAY_US != self._day

    def add(self, instant: int, positions: Mapping[str, Mapping[str, Decimal]]) -> None:
        self._day = instant // DAY_US
        rows = tuple((venue, token, amount) for venue, tokens in positions.items() for token, amount in tokens.items())
        self._rows.append((instant, rows))

    def rows(self) -> Iterator[str]:
        for instant, held in self._rows:
            stamp = iso(instant)
            for venue, token, amount in held:
                yield f"{stamp},{venue},{token},{amount:f}\n"


class RunFolder:
    """RESULTS/<run_id>/. Each file is written beside its place and then moved there, so that none is ever half there.

    Raises:
        ComponentError: RES-001, the folder cannot be written; the message says which and why.
    """

    def __init__(self, results: Path, run_id: str) -> None:
        self.path = results / run_id
        with _writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            for stale in self.path.iterdir():
                if stale.is_file():
                    stale.unlink()

    def write(self, name: str, text: str) -> Path:
        with self._open(name) as file:
            file.write(text)
        return self.path / name

    def write_rows(self, name: str, header: str, rows: Iterator[str]) -> Path:
        with self._open(name) as file:
            file.write(header + "\n")
            file.writelines(rows)
        return self.path / name

    @contextmanager
    def _open(self, name: str) -> Iterator[TextIOWrapper]:
        path, part = self.path / name, self.path / f".{name}.part"
        with _writing(path):
            with part.open("w", encoding="utf-8", newline="\n") as file:
                yield file
            os.replace(part, path)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise ComponentError("RES-001", f"{path} cannot be written: {fault.strerror}; choose another folder with --results") from fault


EQUITY_HEADER = f"timestamp,equity,{','.join(SOURCES)}"
POSITIONS_HEADER = "timestamp,venue,token,amount"


def plain_json(value: Any) -> str:
    """JSON with sorted nothing and an end of line: the order is the program's own."""
    import json

    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
