"""What is wrong or unusual in a folder of series: each file is read once, and then goes through the table of data checks."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.amounts import counted, shown
from basis_strategy_v1.core.clock import SECOND_US, iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import DOLLAR_TOKENS, REDEEMED_BY, SAME_AS
from basis_strategy_v1.data.check_table import issues_between, issues_of
from basis_strategy_v1.data.columns import ERROR, WARNING, Columns, Figures
from basis_strategy_v1.data.csv_file import CsvReading, Days, Floats, require_regular
from basis_strategy_v1.data.layout import FOLDERS, STATES, SeriesSpec, spec_of
from basis_strategy_v1.data.rows import RowFault, parse_row, quoted
from basis_strategy_v1.data.sources import csv_files, series_id, unread_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from basis_strategy_v1.data.check_table import Issue

# As protocols write them; by what is left of them without capitals.
_TOKENS = {token.lower(): token for token in (*DOLLAR_TOKENS, *SAME_AS, *REDEEMED_BY)}
LISTED_ONE_BY_ONE = ("gap",)


class DataIssue(NamedTuple):
    """One data-quality issue. `kind` is malformed, zero, empty, duplicate, disorder, or that of a check of data/check_table.py;
    `line` 0 is the file as a whole; `severity` is error, warning or note."""

    file: str
    line: int
    kind: str
    message: str
    severity: str = WARNING


class _Rows(NamedTuple):
    """The rows of a file that can be used, and the line of each."""

    columns: Columns
    lines: Sequence[int]


def validate(directory: str | Path) -> list[DataIssue]:
    """Every finding of every file in the folder, in the order of files and lines; then what series that contradict each other have.

    Raises:
        ComponentError: DAT-006, there is no such folder.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise ComponentError("DAT-006", f"the data folder {shown(folder)} does not exist or is no folder")
    findings = [DataIssue(name, 0, "malformed", why, ERROR) for name, why in unread_files(folder)]
    usable: dict[str, _Rows] = {}
    days = Days()
    specs = [spec for path in csv_files(folder) if (spec := spec_of(series_id(folder, path)))]
    for spec in specs:
        if meant := _meant(spec):
            findings.append(
                DataIssue(f"{spec.id}.csv", 0, "malformed", f"nothing finds it under this name: rename it to {meant}.csv", ERROR)
            )
        found, usable[spec.id] = _read(folder / f"{spec.id}.csv", spec, days)
        found += [_finding(issue, usable[spec.id].lines) for issue in issues_of(usable[spec.id].columns)]
        findings += sorted(found, key=lambda finding: finding.line)
    findings += [_finding(issue, usable[issue.series].lines) for issue in issues_between([rows.columns for rows in usable.values()])]
    if not findings and not specs:
        findings.append(DataIssue(".", 0, "empty", f"the folder holds no CSV file in {', '.join(FOLDERS)}", ERROR))
    return findings


def _finding(issue: Issue, lines: Sequence[int]) -> DataIssue:
    return DataIssue(f"{issue.series}.csv", lines[issue.row], issue.kind, issue.message, issue.severity)


def grouped(findings: Iterable[DataIssue]) -> Iterator[str]:
    """A line for each file and kind, with its first place and how many more there are; gaps keep a line each."""
    groups: dict[tuple[object, ...], list[DataIssue]] = {}
    for finding in findings:
        own = (finding.line,) if finding.kind in LISTED_ONE_BY_ONE else ()
        groups.setdefault((finding.file, finding.kind, *own), []).append(finding)
    for first, *others in groups.values():
        more = f"; and {counted(len(others), 'more such row')}, the last in line {others[-1].line}" if others else ""
        yield f"{first.file}:{first.line}: {first.kind}: {first.message}{more}"


def _can_be_asked_for(symbol: str) -> bool:
    """Whether a config or a block could write a symbol so: in capitals, or with a small letter before them, as in kPEPEUSDC."""
    base = next((symbol.removesuffix(quote) for quote in (*DOLLAR_TOKENS, "USD") if symbol.endswith(quote)), "")
    return symbol.isupper() or base[1:].isupper()


def _meant(spec: SeriesSpec) -> str:
    """The id that readers look for, where this one differs from it in upper and lower case alone; empty where it does not."""
    folder, _, name = spec.id.rpartition("/")
    if spec.key.kind in ("spot", "perp", "funding"):
        name = name if _can_be_asked_for(spec.key.name) else name.replace(spec.key.name, spec.key.name.upper())
    elif spec.key.kind in ("lending", "staking", "dex"):
        name = "_".join(_TOKENS.get(token.lower(), token) for token in name.split("_"))
    meant = f"{folder.lower()}/{name}"
    return "" if meant == spec.id else meant


def _read(path: Path, spec: SeriesSpec, days: Days) -> tuple[list[DataIssue], _Rows]:
    """What strict reading would refuse, and the rows that are left."""
    whole = spec._replace(columns=tuple(column._replace(kept=True) for column in spec.columns))
    if spec.key.kind not in STATES:
        try:
            loaded = CsvReading(path, whole, None, as_floats=True, days=days).read()
        except ComponentError:
            pass  # row by row, to name all that is wrong
        else:
            figures = {column.name: Figures(one.values) for column, one in zip(spec.columns, loaded.columns, strict=True)}
            return [], _Rows(Columns(spec, loaded.stamps, figures), range(2, 2 + len(loaded.stamps)))
    reading = _RowByRow(path, spec)
    found = list(reading.findings())
    return found, reading.rows()


class _RowByRow:
    """One file, read once, a row at a time; any content is accepted."""

    def __init__(self, path: Path, spec: SeriesSpec) -> None:
        self._path = path
        self._spec = spec
        self._stamps, self._lines = array("q"), array("q")  # of the rows that come after all before them
        self._floats = {column.name: Floats() for column in spec.columns if not column.is_text}
        self._last_update = next((place for place, column in enumerate(spec.columns) if column.name == "last_update"), None)

    def rows(self) -> _Rows:
        figures = {name: Figures(one.values) for name, one in self._floats.items()}
        return _Rows(Columns(self._spec, self._stamps, figures), self._lines)

    def findings(self) -> Iterator[DataIssue]:
        try:
            require_regular(self._path)
            with self._path.open(encoding="utf-8", errors="backslashreplace", newline="\n") as file:
                header = file.readline()
                if header.rstrip("\r\n") == self._spec.header:
                    yield from self._rows(file)
                elif header:
                    yield self._found(1, "malformed", f"the header is {quoted(header.rstrip())}; expected {self._spec.header}")
                else:
                    yield self._found(0, "empty", f"it has no byte; expected the header {self._spec.header}")
        except OSError as error:
            yield self._found(0, "malformed", f"it cannot be read: {error.strerror}")

    def _rows(self, lines: Iterable[str]) -> Iterator[DataIssue]:
        number = 1
        for number, line in enumerate(lines, 2):
            try:
                stamp, values = parse_row(line, self._spec)
            except RowFault as fault:
                yield self._found(number, fault.kind, str(fault))
                continue
            yield from self._take(number, stamp, values)
            yield from self._later_than_itself(number, stamp, values)
        if number == 1:
            yield self._found(1, "empty", "it has a header and no row")

    def _take(self, number: int, stamp: int, values: Sequence[object]) -> Iterator[DataIssue]:
        if not self._stamps or stamp > self._stamps[-1]:
            self._stamps.append(stamp)
            self._lines.append(number)
            for column, value in zip(self._spec.columns, values, strict=True):
                if column.name in self._floats:
                    self._floats[column.name].extend_texts((str(value),))
            return
        last, line = iso(self._stamps[-1]), self._lines[-1]
        if stamp == self._stamps[-1]:
            yield self._found(number, "duplicate", f"{last} is there already, in line {line}")
        else:
            yield self._found(number, "disorder", f"{iso(stamp)} comes after {last} of line {line}")

    def _later_than_itself(self, number: int, stamp: int, values: Sequence[object]) -> Iterator[DataIssue]:
        """Whether a market says that it was last touched (seconds since 1970) after the row's own time."""
        if self._last_update is None:
            return
        last_update_s, stamp_s = int(str(values[self._last_update])), stamp // SECOND_US
        if last_update_s > stamp_s:
            message = f"column last_update: {last_update_s} is after the row's own time, {stamp_s}; correct the row, or leave it out"
            yield self._found(number, "malformed", message)

    def _found(self, line: int, kind: str, message: str) -> DataIssue:
        return DataIssue(f"{self._spec.id}.csv", line, kind, message, ERROR)
