"""The runs in a results folder: listed, found by name, compared, labelled, removed."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.config.faults import did_you_mean
from basis_strategy_v1.core.amounts import plain, shown
from basis_strategy_v1.core.attribution_sources import SOURCES
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.text import printable
from basis_strategy_v1.monitoring.folder_lock import FolderLock
from basis_strategy_v1.report.metrics import METRICS, metric_text
from basis_strategy_v1.report.run_folder import read_run_summary
from basis_strategy_v1.report.summary import label, parse_summary, percent, rounded
from basis_strategy_v1.results.recorder import RUN_FILES, plain_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LABELS = "labels.json"
OF_A_RUN = (*RUN_FILES, LABELS)
LONGEST_LABEL = 80


class Labels(NamedTuple):
    """What a user calls a run."""

    name: str = ""
    tags: tuple[str, ...] = ()


def require_labels(name: str | None, tags: Sequence[str]) -> None:
    """Refuse a name or a tag that could not be shown in a line.

    Raises:
        ComponentError: CFG-001.
    """
    for option, text in (("--name", name), *(("--tag", tag) for tag in tags)):
        if text is not None and not (text.strip() and len(text) <= LONGEST_LABEL and text.isprintable() and "/" not in text):
            raise ComponentError("CFG-001", f"{option}: must be 1 to {LONGEST_LABEL} printable characters without '/', got {shown(text)}")


def write_labels(folder: Path, name: str | None, tags: Sequence[str]) -> None:
    """Label a run; what is not given stays as it is.

    Raises:
        ComponentError: RES-001, the folder cannot be written.
    """
    if name is None and not tags:
        return
    before = labels_of(folder)
    after = {"name": before.name if name is None else name, "tags": list(dict.fromkeys((*before.tags, *tags)))}
    try:
        (folder / LABELS).write_text(plain_json(after), encoding="utf-8")
    except OSError as fault:
        raise ComponentError(
            "RES-001", f"{shown(folder / LABELS)} cannot be written: {fault.strerror}; make the folder writable"
        ) from fault


def labels_of(folder: Path) -> Labels:
    """The labels of a run; none where it has none that can be read."""
    try:
        found = json.loads((folder / LABELS).read_text(encoding="utf-8"))
        return Labels(str(found.get("name", "")), tuple(map(str, found.get("tags", ()))))
    except (OSError, ValueError, AttributeError, TypeError):
        return Labels()


def runs_in(results: Path) -> list[dict[str, Any]]:
    """A row for each finished run in a folder, by strategy, start and id. `problem` says of one that cannot be read why.

    Raises:
        ComponentError: RES-001, there is no such folder.
    """
    if not results.is_dir():
        raise ComponentError("RES-001", f"{shown(results)} is no folder; give the folder of the runs with --results")
    found = [_row(path) for path in sorted(results.iterdir()) if (path / "summary.json").is_file()]
    return sorted(found, key=lambda row: (row["strategy_mode"], row["start"], row["folder"]))


def _row(folder: Path) -> dict[str, Any]:
    own = labels_of(folder)
    row: dict[str, Any] = {
        "folder": folder.name,
        "name": own.name,
        "tags": list(own.tags),
        "run_id": folder.name,
        "strategy_mode": "",
        "data": "",
    }
    row |= {"start": "", "end": "", "return": None, "sharpe": None, "max_drawdown": None, "problem": ""}
    try:
        given = read_run_summary(folder)
        summary = parse_summary(given)
    except ComponentError as wrong:
        return row | {"problem": printable(wrong.message)}
    returned = summary.return_fraction
    return row | {
        "run_id": summary.run_id,
        "strategy_mode": summary.strategy_mode,
        "data": " ".join(filter(None, (summary.data.verdict.lower(), summary.data.fingerprint))),
        "start": summary.start,
        "end": summary.end,
        "return": None if returned is None else float(returned),
        "sharpe": summary.metrics.get("sharpe"),
        "max_drawdown": None if summary.max_drawdown is None else float(summary.max_drawdown),
    }


def run_lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The rows of `runs_in` as lines of a table."""
    if not rows:
        yield "no finished run"
        return
    table = [["run", "name", "strategy", "data", "from", "to", "return", "Sharpe", "drawdown", "tags"]]
    for row in rows:
        if row["problem"]:
            table.append([row["folder"], row["name"], row["problem"]])
            continue
        sharpe = metric_text("sharpe", row["sharpe"])
        figures = [percent(_decimal(row["return"])), sharpe, percent(_decimal(row["max_drawdown"])), " ".join(row["tags"])]
        table.append([row["folder"], row["name"], row["strategy_mode"], row["data"], row["start"][:10], row["end"][:10], *figures])
    yield from aligned(table, right={6, 7, 8})


def _decimal(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(repr(value))


def aligned(table: Sequence[Sequence[str]], right: set[int]) -> Iterator[str]:
    """The rows of a table with their columns under each other; a row that is shorter has a text of its own at its end."""
    width = max(map(len, table))
    whole = [row for row in table if len(row) == width]
    widths = [max(len(row[place]) for row in whole) for place in range(width)]
    for row in table:
        cells = [
            cell.rjust(size) if place in right else cell.ljust(size) for place, (cell, size) in enumerate(zip(row, widths, strict=False))
        ]
        yield printable("  ".join(cells).rstrip()) if len(row) == width else printable("  ".join(row))


def find_run(given: str, results: Path) -> Path:
    """The folder of a run that is named by its path, its id or the name that it was given.

    Raises:
        ComponentError: RES-001, there is none, or several have this name.
    """
    for folder in (Path(given), results / given):
        if (folder / "summary.json").is_file():
            return folder
    folders = [path for path in sorted(results.iterdir()) if path.is_dir()] if results.is_dir() else []
    named = [path for path in folders if labels_of(path).name == given]
    if len(named) == 1:
        return named[0]
    if named:
        raise ComponentError("RES-001", f"{shown(given)} is the name of {', '.join(path.name for path in named)}; give one of these")
    known = [path.name for path in folders if (path / "summary.json").is_file()]
    names = [name for path in folders if (name := labels_of(path).name)]
    hint = did_you_mean(given, [*known, *names]) or f"; `basis runs --results {shown(results)}` lists the runs"
    raise ComponentError("RES-001", f"there is no finished run {shown(given)} in {shown(results)}{hint}")


def run_or_folder(given: Path, results: Path) -> Path:
    """A folder as it was given, or that of the run that is called so. Raises: as `find_run`."""
    return given if given.exists() else find_run(str(given), results)


# Comparing.


def compared(folders: Sequence[Path]) -> dict[str, Any]:
    """`runs` (a row of `runs_in` each), `metrics` (name -> the value of each), `attribution` (source -> the amount of each, and of the last
    less the first as `difference`) and `settings` (name -> the value of each, of those that differ).

    Raises:
        ComponentError: RES-001, one of them cannot be read.
    """
    given = [read_run_summary(folder) for folder in folders]
    summaries = [parse_summary(one) for one in given]
    names = [name for name, *_ in METRICS if any(name in one.metrics for one in summaries)]
    sources = [source for source in SOURCES if any(one.attribution.get(source) for one in summaries)]
    amounts = {source: [one.attribution.get(source, Decimal(0)) for one in summaries] for source in sources} | {
        "pnl": [one.pnl for one in summaries]
    }
    return {
        "runs": [_row(folder) for folder in folders],
        "metrics": {name: [one.metrics.get(name) for one in summaries] for name in names},
        "attribution": {
            source: {"amounts": [plain(amount) for amount in row], "difference": plain(row[-1] - row[0])} for source, row in amounts.items()
        },
        "settings": _differing([_flat(_config_of(folder)) for folder in folders]),
    }


def _config_of(folder: Path) -> Any:
    import yaml

    path = folder / "config.yaml"
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError, yaml.YAMLError):
        return {}


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Full name -> value: `strategy.leverage`."""
    if not isinstance(value, dict):
        return {name: value}
    return {place: inner for key, each in value.items() for place, inner in _flat(each, f"{name}.{key}" if name else str(key)).items()}


def _differing(configs: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for config in configs for name in config)
    rows = {name: [config.get(name) for config in configs] for name in names}
    return {name: row for name, row in rows.items() if any(value != row[0] for value in row)}


def compare_lines(found: dict[str, Any]) -> Iterator[str]:
    """What `compared` found, as lines of a table: a column a run, and at the end what the last has more than the first."""
    runs = found["runs"]
    titles = [row["name"] or row["folder"] for row in runs]
    count = len(runs)
    table = [["", *titles, "last less first"]]
    for name, values in found["settings"].items():
        table.append([name, *("" if value is None else str(value) for value in values), ""])
    table.append([""] * (count + 2))
    table.append(["Return", *(percent(_decimal(row["return"])) for row in runs), ""])
    for name, title, _, _ in METRICS:
        if (values := found["metrics"].get(name)) is not None and any(value is not None for value in values):
            first, last = values[0], values[-1]
            more = "" if first is None or last is None else metric_text(name, last - first)
            table.append([title, *(metric_text(name, value) for value in values), more])
    table.append([""] * (count + 2))
    for source, row in found["attribution"].items():
        title = "Profit and loss" if source == "pnl" else label(source)
        amounts = [rounded(Decimal(amount), 2) for amount in (*row["amounts"], row["difference"])]
        table.append([title, *amounts])
    yield from aligned(table, right=set(range(1, count + 2)))


# Removing.


def remove_run(folder: Path) -> str:
    """Remove what a run wrote, and its folder where nothing else is in it; the line to print.

    Raises:
        ComponentError: RES-001, another process is writing it, or it cannot be removed.
    """
    given, folder = folder, folder.absolute()
    try:
        lock = FolderLock(given, folder.with_name(f".{folder.name}.lock"), "RES-001", "remove it afterwards")
        try:
            for name in OF_A_RUN:  # the summary first: what is left of an interrupted removal is no finished run
                (folder / name).unlink(missing_ok=True)
            if (folder / "logs" / "events").is_dir():
                shutil.rmtree(folder / "logs")
            left = sorted(path.name for path in folder.iterdir())
            if not left:
                folder.rmdir()
        finally:
            lock.release()
    except OSError as fault:
        raise ComponentError("RES-001", f"{shown(given)} cannot be removed: {fault.strerror}; see who may write there") from fault
    return f"removed {shown(given)}" if not left else f"removed the run in {shown(given)}; {', '.join(map(shown, left))} stay there"
