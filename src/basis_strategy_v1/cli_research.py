"""The commands of research: `sweep`, and around finished runs `runs`, `compare`, `rm`."""

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


@app.command(
    "sweep", epilog="Example: basis sweep config/eth_basis.yaml --data build/sample --set strategy.leverage=1,2,3 --out build/sweep"
)
def run_sweep(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML file of a run.")],
    sets: Annotated[
        list[str], typer.Option("--set", metavar="KEY=V1,V2,...", help="A key and its values; several times: each combination.")
    ],
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR|FILE", help="Folder of CSV series, or database; else the config's.")
    ] = None,
    random: Annotated[int | None, typer.Option("--random", metavar="N", help="Only N of the combinations, drawn with --seed.")] = None,
    optuna: Annotated[
        int | None, typer.Option("--optuna", metavar="N", help="N of the combinations, each chosen by the rows before it.")
    ] = None,
    walk_forward: Annotated[
        str | None,
        typer.Option("--walk-forward", metavar="90d/30d", help="Choose on 90 days, try it on the 30 after them, move on."),
    ] = None,
    metric: Annotated[str, typer.Option("--metric", help="The column that --optuna and --walk-forward choose by: the highest.")] = "sharpe",
    seed: Annotated[int, typer.Option("--seed", help="Of --random and --optuna.")] = 0,
    workers: Annotated[int | None, typer.Option("--workers", metavar="N", help="Runs at a time; else one per core.")] = None,
    backend: Annotated[str, typer.Option("--backend", metavar="processes|ray", help="On this machine, or on a Ray cluster.")] = "processes",
    timeout: Annotated[float | None, typer.Option("--timeout", metavar="SECONDS", help="End a run that takes longer.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where rows and sweep.parquet go; the same command goes on there.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Run more than 10,000 combinations without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a config with each combination of values: a process a run, a row a run, a table at the end."""
    from basis_strategy_v1.app.input_checks import unknown_parameters
    from basis_strategy_v1.app.sweep import MOST_UNASKED, size_of, sweep
    from basis_strategy_v1.app.sweep_lines import sweep_lines, walk_forward_lines
    from basis_strategy_v1.config.overrides import grid_of
    from basis_strategy_v1.core.amounts import shown
    from basis_strategy_v1.core.error_codes.exceptions import ComponentError
    from basis_strategy_v1.terminal import complain, progress_bar

    grid = grid_of(sets)
    for line in unknown_parameters(config, grid):
        complain(line)
    count = random or optuna or size_of(grid)
    if count > MOST_UNASKED and not yes:
        raise ComponentError("CFG-001", f"sweep: {count:,} combinations; add --yes to run them all, or --random N to run some")
    options: dict[str, Any] = {} if timeout is None else {"timeout_s": timeout}
    with progress_bar(enabled=not as_json, what="sweep") as progress:
        options |= {"random": random, "optuna": optuna, "walk_forward": walk_forward, "metric": metric, "seed": seed}
        table = sweep(config, grid, data, workers, backend, out, progress=progress, **options)
    if as_json:
        say_json(table.to_pylist())
        return
    lines = sweep_lines if walk_forward is None else walk_forward_lines
    for line in lines(table.to_pylist(), list(grid)):
        say(line)
    if out is not None:
        say(f"rows: {shown(out / 'sweep.parquet')}")


def say_json(value: Any) -> None:
    """Print a value as JSON."""
    import json

    say(json.dumps(value, indent=2))
