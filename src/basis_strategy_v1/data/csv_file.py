"""A series out of a CSV file, exact and strict, in one pass over pieces of the file.

A piece is read column by column at the speed of the interpreter's own loops. Where that meets anything unusual, the piece is
read again row by row, which either copes (exponents, 16 decimals) or says what is wrong and in which line.
"""

from __future__ import annotations

from array import array
from errno import EINVAL
from itertools import chain, islice, repeat
from operator import sub
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Any, Final

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.clock import iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.check_cadence import GAP_STEPS
from basis_strategy_v1.data.layout import ANY, POSITIVE, interval_name, render_duration
from basis_strategy_v1.data.rows import RowFault, parse_row, parse_stamp, quoted, split_row
from basis_strategy_v1.data.series import AFTER_ALL, BEFORE_ALL, Loaded, are_apart, empty_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from basis_strategy_v1.data.layout import SeriesSpec

PIECE_BYTES = 1 << 18
PLAIN = b"0123456789.,-:TZ\n"
# Below this, a float times a power of ten is nearer to the integer meant than to any other.
EXACT_BELOW = 2.0**51
# Characters of a number: two different ones of at most so many are different floats too.
LONGEST_EXACT = 16
LARGEST = 1e30
OF_A_BAR = ("open", "high", "low", "close")


def require_regular(path: Path) -> None:
    """Refuse a pipe or a device: reading it may never end. A folder is refused when it is opened.

    Raises:
        OSError: it is one of these, or there is nothing of that name.
    """
    mode = path.stat().st_mode
    if not S_ISREG(mode) and not S_ISDIR(mode):
        raise OSError(EINVAL, "it is no regular file")


class Days(dict[str, int]):
    """Date -> microseconds, each worked out once."""

    def __missing__(self, date: str) -> int:
        found = self[date] = parse_stamp(f"{date}T00:00:00Z")
        return found


class _Times(dict[str, int]):
    """The rest of a stamp, `T00:01:00Z` -> microseconds since midnight."""

    def __missing__(self, time: str) -> int:
        found = self[time] = parse_stamp(f"1970-01-01{time}")
        return found


class Floats:
    """A column of numbers that only the data checks read."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values = array("d")

    def extend_texts(self, texts: Iterable[str]) -> None:
        self.values.extend(map(float, texts))

    def trimmed(self) -> Floats:
        return self


class CsvReading:
    """The rows of one file with a stamp of at most `until` (microseconds since 1970). Messages name the file as it was given.

    With `as_floats` the columns that are numbers are read as floats: enough for the data checks, and faster. Readings may share
    `days`.
    """

    def __init__(
        self,
        path: Path,
        spec: SeriesSpec,
        until: int | None,
        given: Path | None = None,
        *,
        as_floats: bool = False,
        days: Days | None = None,
    ) -> None:
        self.path: Final = path
        self._named: Final = shown(given or path)
        self.spec: Final = spec
        self.until: Final = AFTER_ALL if until is None else until
        self.stamps = array("q")
        self.without_volume = array("q")
        self._as_floats = as_floats
        self.columns: tuple[Any, ...] = tuple(
            Floats() if as_floats and not column.is_text else empty_column(column) for column in spec.columns if column.kept
        )
        self._volume_place = next((place for place, column in enumerate(spec.columns, 1) if spec.has_bars and column.name == "volume"), 0)
        # No bar is nearer to the one before it than its interval; other rows only rise.
        self._least_step = spec.interval_us if spec.has_bars else 1
        self._has_texts = any(column.is_text for column in spec.columns)
        self._line = 1
        self._ended = False
        self._first_after, self._line_after, self._after = AFTER_ALL, 0, list[str]()  # the first row after `until`, and the lines after it
        self._days, self._times = Days() if days is None else days, _Times()

    def read(self) -> Loaded:
        """The stamps and the kept columns.

        Raises:
            ComponentError: DAT-003, naming file, line, column and value; DAT-006, the file cannot be opened.
        """
        try:
            require_regular(self.path)
            with self.path.open("rb") as file:
                self._read_header(file.readline())
                while not self._ended and (piece := file.read(PIECE_BYTES)):
                    self._read_piece(piece + file.readline())
                if self._is_suspicious():
                    self._require_later_rows(file)
        except OSError as error:
            raise ComponentError("DAT-006", f"{self._named} cannot be read: {error.strerror}", original_exception=error) from error
        if not self.stamps and not self._ended:
            raise self._malformed("has a header and no row; delete the file or fill it")
        return Loaded(self.stamps, tuple(column.trimmed() for column in self.columns), self.without_volume)

    def _read_header(self, line: bytes) -> None:
        text = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
        if not line:
            raise self._malformed(f"is empty; expected the header {self.spec.header}")
        if text != self.spec.header:
            raise self._malformed(f"the header is {quoted(text)}; expected {self.spec.header}")

    def _read_piece(self, piece: bytes) -> None:
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n")
        if not self._has_texts and self._ends_within(piece):
            try:
                self._read_columns(piece)
            except (ValueError, OverflowError):
                self._read_rows(piece)
        else:
            self._read_rows(piece)
        self._line += piece.count(b"\n")

    def _ends_within(self, piece: bytes) -> bool:
        """Whether the last row of the piece is one to be read; what comes after `until` is not even looked at."""
        if self.until == AFTER_ALL:
            return True
        last = piece[piece.rfind(b"\n", 0, len(piece) - 1) + 1 :]
        try:
            return parse_stamp(last.split(b",", 1)[0].decode("ascii")) <= self.until
        except ValueError:
            return False

    def _read_columns(self, piece: bytes) -> None:
        """Take a piece of plain rows.

        Each newline stays before the field that it begins: with as many fields as rows need, and a newline before every stamp, no
        line has too few or too many.

        Raises:
            ValueError: something in it is not plain.
        """
        piece = piece.replace(b"+00:00,", b"Z,")
        if piece.translate(None, PLAIN) or not piece.endswith(b"\n"):
            raise ValueError("not plain")
        width = len(self.spec.columns) + 1
        fields = f"\n{piece[:-1].decode('ascii')}".replace("\n", ",\n").split(",")[1:]
        if len(fields) != piece.count(b"\n") * width:
            raise ValueError("not as many fields as the header")
        days, times = self._days, self._times
        stamps = array("q", [days[text[1:11]] + times[text[11:]] for text in fields[0::width]])
        if not are_apart(stamps, self._least_step) or stamps[0] < self._last_stamp() + self._least_step:
            raise ValueError("out of order")
        parsed, prices = [], []
        for place, column in enumerate(self.spec.columns, 1):
            texts, of_a_bar = fields[place::width], column.name in OF_A_BAR
            if not column.kept and not of_a_bar and _are_plainly_allowed(texts, column.allowed):
                continue
            floats, size = _plain_floats(texts, column.allowed)
            if of_a_bar:
                prices.append(floats)
            if column.kept:
                parsed.append((floats,) if self._as_floats else _scaled(texts, floats, size))
            elif of_a_bar and max(map(len, texts)) > LONGEST_EXACT:
                raise ValueError("too many digits for floats")
        if prices:
            _require_bars(*prices)
        self._note_volume(fields[self._volume_place :: width])
        self.stamps.extend(stamps)
        for column, found in zip(self.columns, parsed, strict=True):
            column.values.extend(*found) if self._as_floats else column.extend_scaled(*found)

    def _note_volume(self, texts: Sequence[str]) -> None:
        """Keep the numbers of the bars without volume; called before their stamps are kept."""
        if self._volume_place:
            first = len(self.stamps)
            self.without_volume.extend(row for row, text in enumerate(texts, first) if text[0] in "0." and not text.strip("0."))

    def _last_stamp(self) -> int:
        return self.stamps[-1] if self.stamps else BEFORE_ALL

    def _read_rows(self, piece: bytes) -> None:
        lines = piece.decode("utf-8", "backslashreplace").split("\n")
        rest = lines.pop()
        texts: list[list[str]] = []
        whole = [*(f"{line}\n" for line in lines), *((rest,) if rest else ())]
        for place, line in enumerate(whole):
            kept = self._read_row(line, self._line + 1 + place)
            if kept is None:
                self._ended, self._after, self._line_after = True, whole[place + 1 :], self._line + 1 + place
                break
            texts.append(kept)
        for column, found in zip(self.columns, zip(*texts, strict=True), strict=bool(texts)):
            column.extend_texts(found)

    def _read_row(self, line: str, number: int) -> list[str] | None:
        """The kept fields; None where the row is after `until`."""
        try:
            stamp = parse_stamp(line.split(",", 1)[0].rstrip())
            if stamp > self.until:
                self._first_after = stamp
                return None
            _, values = parse_row(line, self.spec)
        except RowFault as fault:
            raise self._malformed(str(fault), number) from None
        self._require_later(self._last_stamp(), stamp, number)
        if self._volume_place and not values[self._volume_place - 1]:
            self.without_volume.append(len(self.stamps))
        self.stamps.append(stamp)
        return [text for text, column in zip(split_row(line, self.spec)[1:], self.spec.columns, strict=True) if column.kept]

    def _is_suspicious(self) -> bool:
        """Whether rows that belong to the run may stand after the first one after `until`, at which reading ended: where there is a gap."""
        if not self._ended or len(self.stamps) < 2:
            return self._ended
        usual = self.spec.interval_us or self.stamps[-1] - self.stamps[-2]
        longest: int = max(map(sub, islice(self.stamps, 1, None), self.stamps))
        return max(longest, self._first_after - self.stamps[-1]) > GAP_STEPS * usual

    def _require_later_rows(self, file: Iterable[bytes]) -> None:
        """Of the rest of the file only the order is looked at, and nothing else of what may be wrong there."""
        last = self._first_after
        lines = chain(self._after, (line.decode("utf-8", "backslashreplace") for line in file))
        for number, line in enumerate(lines, self._line_after + 1):
            text = line.split(",", 1)[0].rstrip()
            try:
                stamp = self._days[text[:10]] + self._times[text[10:]]
            except RowFault:
                continue
            self._require_rising(last, stamp, number)
            last = stamp

    def _require_rising(self, last: int, stamp: int, number: int) -> None:
        if stamp <= last:
            what = "is there twice" if stamp == last else f"is out of order, after {iso(last)}"
            raise self._malformed(f"column timestamp: '{iso(stamp)}' {what}; expected stamps that only rise", number)

    def _require_later(self, last: int, stamp: int, number: int) -> None:
        self._require_rising(last, stamp, number)
        if stamp < last + self._least_step:
            apart, interval = render_duration(stamp - last), interval_name(self._least_step)
            message = f"'{iso(stamp)}' is {apart} after the row before it, in a file of bars of {interval}"
            raise self._malformed(f"column timestamp: {message}; name the file by its interval, or resample it", number)

    def _malformed(self, message: str, line: int | None = None) -> ComponentError:
        return ComponentError("DAT-003", f"{self._named}{f' line {line}' if line else ''}: {message}")


def _plain_floats(texts: list[str], allowed: str) -> tuple[list[float], float]:
    """The numbers of a column, nearly, and the largest size of one.

    Raises:
        ValueError: a number is malformed or not allowed.
    """
    floats = list(map(float, texts))
    smallest, largest = min(floats), max(floats)
    if largest >= LARGEST or smallest <= -LARGEST or (allowed != ANY and (smallest < 0 or (smallest == 0 and allowed == POSITIVE))):
        raise ValueError("out of range")
    return floats, max(largest, -smallest)


def _scaled(texts: list[str], floats: list[float], size: float) -> tuple[array[int], int]:
    """(scaled integers, decimals) of a column.

    Raises:
        ValueError: it needs the slower way to be exact.
    """
    decimals = max([len(text) - 1 - dot if (dot := text.find(".")) >= 0 else 0 for text in texts])
    factor = float(10**decimals)
    if size * factor >= EXACT_BELOW or decimals > 15:
        raise ValueError("too many digits for floats")
    return array("q", map(round, [number * factor for number in floats])), decimals


def _require_bars(opens: list[float], highs: list[float], lows: list[float], closes: list[float]) -> None:
    """That each open and each close is between its low and its high.

    Raises:
        ValueError: one is not.
    """
    for first, high, low, close in zip(opens, highs, lows, closes, strict=True):
        if not low <= first <= high >= close >= low:
            raise ValueError("no bar")


def _are_plainly_allowed(texts: list[str], allowed: str) -> bool:
    """Whether each is digits with at most one point: a cheaper look than making a number that nobody keeps."""
    if "".join(texts).encode().translate(None, b"0123456789.") or max(map(str.count, texts, repeat("."))) > 1:
        return False
    return min(texts) >= "1" if allowed == POSITIVE else min(texts) > "."
