"""The commands around finished runs: `runs`, `compare`, `rm`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from basis_strategy_v1.terminal import say

app = typer.Typer()
Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="The folder of the runs.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@app.command("runs", epilog="Example: basis runs")
def list_runs(results: Results = Path("results"), as_json: AsJson = False) -> None:
    """List the finished runs: name, strategy, data, dates, return, Sharpe ratio, drawdown."""
    from basis_strategy_v1.app.runs import run_lines, runs_in

    rows = runs_in(results)
    if as_json:
        say_json(rows)
        return
    for line in run_lines(rows):
        say(line)


@app.command(epilog="Example: basis compare eth_basis-0123456789ab eth_basis-ba9876543210")
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Runs: ids, names or folders.")],
    results: Results = Path("results"),
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with their equity over each other.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs: the settings that differ, metrics, attribution and what the last has more than the first."""
    from basis_strategy_v1.app.runs import compare_lines, compared, find_run
    from basis_strategy_v1.core.amounts import shown
    from basis_strategy_v1.core.error_codes.exceptions import ComponentError

    if len(runs) < 2:
        raise ComponentError("RES-001", f"compare {shown(runs[0])}: give at least two runs; `basis runs` lists them")
    folders = [find_run(one, results) for one in runs]
    found = compared(folders)
    if html is not None:
        from basis_strategy_v1.report.comparison import write_comparison

        write_comparison(folders, [row["name"] or row["folder"] for row in found["runs"]], "\n".join(compare_lines(found)), html)
    if as_json:
        say_json(found)
        return
    for line in compare_lines(found):
        say(line)
    if html is not None:
        say(f"page: {shown(html)}")


@app.command(epilog="Example: basis rm eth_basis-0123456789ab")
def rm(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs: ids, names or folders.")],
    results: Results = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Remove runs: the files that they wrote, and nothing else."""
    from basis_strategy_v1.app.runs import find_run, remove_run

    lines = [remove_run(folder) for folder in [find_run(one, results) for one in runs]]
    if as_json:
        say_json({"removed": lines})
        return
    for line in lines:
        say(line)


def say_json(value: Any) -> None:
    """Print a value as JSON."""
    import json

    say(json.dumps(value, indent=2))
