"""What is wrong or unusual in a folder of series: each file is read once, and then goes through the table of data checks."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.amounts import counted
from basis_strategy_v1.core.clock import SECOND_US
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import DOLLAR_TOKENS, REDEEMED_BY, SAME_AS
from basis_strategy_v1.data.check_table import issues_between, issues_of, legs_apart
from basis_strategy_v1.data.columns import ERROR, WARNING, Columns, Figures
from basis_strategy_v1.data.duckdb_file import DuckDbFile
from basis_strategy_v1.data.layout import FOLDERS, SeriesSpec, spec_of
from basis_strategy_v1.data.row_files import feed_file, place_in
from basis_strategy_v1.data.row_reader import RISING, BadRow, Lines, RowReader
from basis_strategy_v1.data.series_sources import whole
from basis_strategy_v1.data.sources import ending_of, is_database, require_folder, series_files, series_id, unread_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from basis_strategy_v1.data.check_table import Issue
    from basis_strategy_v1.data.series import Texts

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
    """The rows of a file that can be used, the line of each, and the file's name."""

    columns: Columns
    lines: Lines
    file: str


def validate(directory: str | Path) -> list[DataIssue]:
    """Every finding of every file in the folder (of every table, in a database), in the order of files and lines; then what series that
    contradict each other have.

    Raises:
        ComponentError: DAT-006, there is no such folder, and it is no database.
    """
    path = Path(directory)
    findings, usable = _of_database(DuckDbFile(path)) if is_database(path) else _of_folder(path)
    findings += [_finding(issue, usable[issue.series]) for issue in issues_between([rows.columns for rows in usable.values()])]
    findings += [_finding(issue, usable[issue.series]) for issue in legs_apart([rows.columns for rows in usable.values()])]
    if not findings and not usable:
        findings.append(DataIssue(".", 0, "empty", f"the folder holds no file of a series in {', '.join(FOLDERS)}", ERROR))
    return findings


def _of_folder(folder: Path) -> tuple[list[DataIssue], dict[str, _Rows]]:
    require_folder(folder)
    findings = [DataIssue(name, 0, "malformed", why, ERROR) for name, why in unread_files(folder)]
    usable: dict[str, _Rows] = {}
    for path in series_files(folder):
        name, spec = path.relative_to(folder).as_posix(), spec_of(series_id(folder, path))
        if spec is None:
            continue
        if spec.id in usable:
            findings.append(DataIssue(name, 0, "malformed", f"{usable[spec.id].file} is the same series; keep one of them", ERROR))
            continue
        if meant := _meant(spec):
            why = f"nothing finds it under this name: rename it to {meant}{ending_of(path)}"
            findings.append(DataIssue(name, 0, "malformed", why, ERROR))
        found, usable[spec.id] = _read(spec, name, partial(feed_file, path), place_in(path))
        findings += found
    return findings, usable


def _of_database(database: DuckDbFile) -> tuple[list[DataIssue], dict[str, _Rows]]:
    findings, usable = list[DataIssue](), dict[str, _Rows]()
    for spec in database.specs:
        try:
            found, usable[spec.id] = _read(spec, spec.id, partial(database.feed, whole(spec)), "row")
        except ComponentError as error:
            found = [DataIssue(spec.id, 0, "malformed", error.message, ERROR)]
        findings += found
    return findings, usable


def _finding(issue: Issue, rows: _Rows) -> DataIssue:
    return DataIssue(rows.file, rows.lines[issue.row], issue.kind, issue.message, issue.severity)


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
    if spec.has_bars or spec.key.kind == "funding":
        name = name if _can_be_asked_for(spec.key.name) else name.replace(spec.key.name, spec.key.name.upper())
    elif spec.key.kind in ("lending", "staking", "dex"):
        name = "_".join(_TOKENS.get(token.lower(), token) for token in name.split("_"))
    meant = f"{folder.lower()}/{name}"
    return "" if meant == spec.id else meant


def _read(spec: SeriesSpec, name: str, feed: Callable[[RowReader], None], place: str) -> tuple[list[DataIssue], _Rows]:
    """What strict reading would refuse and what the checks of one series find, by line; and the rows that are left."""
    reader = RowReader(whole(spec), as_floats=True, order=RISING, place=place)
    try:
        feed(reader)
    except OSError as error:
        reader.faults.append(BadRow(0, "malformed", f"it cannot be read: {error.strerror}"))
    loaded = reader.loaded()
    pairs = list(zip(spec.columns, loaded.columns, strict=True))
    figures = {column.name: Figures(values.values) for column, values in pairs if not column.is_text}
    rows = _Rows(Columns(spec, loaded.stamps, figures), reader.lines, name)
    found = [DataIssue(name, fault.line, fault.kind, fault.message, ERROR) for fault in reader.faults]
    for column, values in pairs:
        if column.name == "last_update":
            found += _later_than_itself(values, rows)
    found += [_finding(issue, rows) for issue in issues_of(rows.columns)]
    return sorted(found, key=lambda finding: finding.line), rows


def _later_than_itself(last_updates: Texts, rows: _Rows) -> Iterator[DataIssue]:
    """Where a market says that it was last touched (seconds since 1970) after the row's own time."""
    for row, stamp in enumerate(rows.columns.stamps):
        last_update_s, stamp_s = int(last_updates.text(row)), stamp // SECOND_US
        if last_update_s > stamp_s:
            message = f"column last_update: {last_update_s} is after the row's own time, {stamp_s}; correct the row, or leave it out"
            yield DataIssue(rows.file, rows.lines[row], "malformed", message, ERROR)
