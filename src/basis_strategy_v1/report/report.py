"""`report.html`: the page of a run, made from the files in its folder and from nothing else."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.report.page import page_of
from basis_strategy_v1.report.risk_panels import read_risk
from basis_strategy_v1.report.run_folder import read_run, read_trades

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def write_report(run_directory: Path, costs: Sequence[Mapping[str, str]] = ()) -> Path:
    """Write `report.html` into the folder of a run and return its path. The same files and `costs` (a row a venue) give the same bytes.

    Raises:
        ComponentError: RES-001: the folder cannot be read, or the page cannot be written.
    """
    risk, trades = read_risk(run_directory / "risk.csv"), read_trades(run_directory / "trades.csv")
    return write_page(run_directory / "report.html", page_of(read_run(run_directory), costs, risk, trades))


def write_page(path: Path, page: str) -> Path:
    """Write a page, whole or not at all, and return its path.

    Raises:
        ComponentError: RES-001, it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.part")
    try:
        unfinished.unlink(missing_ok=True)  # a link there is not followed
        with unfinished.open("x", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.write(page)
        unfinished.replace(path)
    except OSError as refused:
        with suppress(OSError):
            unfinished.unlink()
        raise ComponentError(
            "RES-001", f"{shown(path)} cannot be written: {refused.strerror}; make the folder writable", "Report"
        ) from refused
    return path
