"""The command `basis`."""

from __future__ import annotations

try:
    from pathlib import Path
    from typing import TYPE_CHECKING, Annotated, Any, NoReturn

    import typer

    from basis_strategy_v1 import cli_chain, cli_download, cli_live, cli_research
    from basis_strategy_v1.cli_live import print_summary
    from basis_strategy_v1.cli_research import AsJson, say_json
    from basis_strategy_v1.core.amounts import counted, shown
    from basis_strategy_v1.core.text import printable
    from basis_strategy_v1.full_help import HELP, FullHelp
    from basis_strategy_v1.terminal import (
        INTERRUPTED,
        OutputLost,
        complain,
        drop_output,
        open_closed_streams,
        say,
        signals_interrupt,
    )
except KeyboardInterrupt:  # Ctrl-C before there is a `main` that could report it
    raise SystemExit(130) from None

if TYPE_CHECKING:
    from collections.abc import Iterable

    from basis_strategy_v1.core.error_codes.exceptions import ComponentError

# A signal ends a command with 128 and its number: 130 (Ctrl-C), 143 (SIGTERM), 129 (SIGHUP).
FAILED, WRONG_INPUT, RESTART = 1, 2, 3
# What the user gave is wrong, config, data, files or a place to write to, whenever a run comes to it.
INPUT_CODES = ("CFG-", "DAT-", "STR-001", "RES-001", "LOG-", "JRN-")
# A block is refused. It is wrong input too, but in the middle of a run, where the engine notes the step: then the run has failed.
BLOCK_CODES = ("EIM-001", "EIM-002", "EXM-001", "PUH-001", "CEX-001", "DEX-001", "OCH-001")

UsageError: Any = typer.BadParameter.__bases__[0]  # what typer raises for words that it does not understand

app = typer.Typer(
    name="basis",
    cls=FullHelp,
    context_settings=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(
    cls=FullHelp, context_settings=HELP, help="Market data: make a sample, check a folder, import it into a database.", no_args_is_help=True
)
app.add_typer(data_app, name="data")
app.add_typer(cli_chain.app, name="chain")


def _version(wanted: bool) -> None:
    if wanted:
        from basis_strategy_v1 import __version__

        say(f"basis {__version__}")
        raise typer.Exit


@app.callback()
def basis(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Basis, lending and staking strategies: one instruction block, the same deltas in a backtest and live."""


Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML file of a run.", show_default=False)]
Data = Annotated[Path | None, typer.Option("--data", metavar="DIR|FILE", help="Folder of series, or database; else the config's.")]
Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="Where the run's folder is made.")]
Logs = Annotated[Path, typer.Option("--logs", metavar="DIR", help="Where the event logs are written.")]
OwnLogs = Annotated[
    Path | None,
    typer.Option(
        "--logs", metavar="DIR", help="Where the event logs are written: logs, or the run's own folder where another run is there."
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Another value in the config, such as strategy.leverage=2; several times."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]


@app.command(epilog="Example: basis backtest config/eth_basis.yaml --data build/sample")
def backtest(
    config: Config,
    data: Data = None,
    results: Results = Path("results"),
    logs: OwnLogs = None,
    sets: Sets = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="What you call the run.")] = None,
    tags: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="A word to find it by; several times.")] = None,
    effects: Annotated[bool, typer.Option("--effects", help="Run again without each known approximation, and print its effect.")] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Do not write report.html.")] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Run a strategy over real or sample data and write the results."""
    from basis_strategy_v1.app import build
    from basis_strategy_v1.app.effects import effect_lines, write_effects
    from basis_strategy_v1.app.runs import require_labels, write_labels
    from basis_strategy_v1.app.writer import earlier_lines
    from basis_strategy_v1.terminal import progress_bar

    require_labels(name, tags or ())
    changes = _changes(sets)
    try:
        with progress_bar(enabled=not quiet) as progress:
            warn = None if quiet else complain
            engine = build(
                config,
                data,
                results,
                logs or Path("logs"),
                aside=logs is None,
                report=not no_report,
                progress=progress,
                warn=warn,
                changes=changes,
            )
            result = engine.run()
    except BaseException as ended:
        _name_as_given(results, ended)
        if isinstance(ended, KeyboardInterrupt):  # typer would forget what is noted
            raise Interrupted("; ".join(["interrupted", *_notes(ended)])) from None
        raise
    folder = results / result.paths["timing.json"].parent.name
    write_labels(folder, name, tags or ())
    found = write_effects(engine, config, data, changes, result.summary, folder) if effects else []
    if as_json:
        more = {"effects": [effect.plain() for effect in found]} if effects else {}
        say_json({**result.summary, **more, "folder": str(folder)})
        return
    if not quiet:
        print_summary(result.summary)
        for line in earlier_lines(result.paths, results):
            say(line)
        if (own := engine.event_logger.directory) == folder.absolute() / "logs":
            say(f"another run is writing in logs; the logs of this one are in {shown(folder / own.name)}")
        say(f"results: {shown(folder)}")
        for line in effect_lines(found, result.summary["share_class"]) if effects else ():
            say(line)


@app.command(epilog="Example: basis execute examples/02_blocks.jsonl --config config/blocks.yaml --data build/sample")
def execute(
    blocks: Annotated[Path, typer.Argument(metavar="BLOCKS.jsonl", help="Instruction blocks, one a line.")],
    config: Annotated[Path, typer.Option("--config", metavar="CONFIG", help="The YAML file with the venues.")],
    data: Data = None,
    logs: Logs = Path("logs"),
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="When they happen, for lines without a timestamp.")] = None,
    preflight: Annotated[bool, typer.Option("--preflight", help="Check them all and send nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run your own blocks, one a line, and print what each one moved."""
    from basis_strategy_v1.app.commands import run_blocks

    _say_lines(
        run_blocks(blocks, config, data=data, logs=logs, at=at, preflight=preflight, warn=complain), as_json=as_json, are_json=not preflight
    )


@app.command(epilog="Example: basis check config/eth_basis.yaml")
def check(
    config: Annotated[Path | None, typer.Argument(metavar="CONFIG", help="The YAML file of a run.", show_default=False)] = None,
    data: Data = None,
    live: Annotated[
        bool, typer.Option("--live", help="Check what a live run needs: limits, keys, addresses, venues, clock, funds.")
    ] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a config, for editors.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check now everything that can fail later: the config, the data that it needs, the strategy's file.

    A strategy of your own (strategy_mode custom) is a program, and check runs its file, as backtest does: read a file that you were
    given before you check it.
    """
    if schema:
        from basis_strategy_v1.config import json_schema

        say(_json(json_schema()))
        return
    if config is None:
        _stop("check: give a CONFIG, or --schema", WRONG_INPUT)
    if live:
        from basis_strategy_v1.app.live_check import check_live
        from basis_strategy_v1.live.process import forbid_core_dumps

        forbid_core_dumps()
        lines = check_live(config)
    else:
        from basis_strategy_v1.app.commands import check_run

        lines = check_run(config, data=data)
    _say_lines(lines, as_json=as_json)


@app.command(epilog="Example: basis report results/eth_basis-0123456789ab")
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run: its folder, id or name.")],
    results: Results = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Make a run's report.html again from its files, and print its summary."""
    from basis_strategy_v1.app.assumptions import costs_of_run
    from basis_strategy_v1.app.runs import find_run
    from basis_strategy_v1.report.report import write_report
    from basis_strategy_v1.report.run_folder import read_run_summary

    if not run.exists():
        run = find_run(str(run), results)
    path = write_report(run, costs_of_run(run))
    summary = read_run_summary(run)
    if as_json:
        say_json({**summary, "report": str(path)})
        return
    print_summary(summary)
    say(f"report: {shown(path)}")


@app.command(epilog="Example: basis events results/eth_basis-0123456789ab --type settlement")
def events(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, id or name, or a folder of logs.")],
    event_type: Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only this type of event.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write them to a CSV file.")] = None,
    results: Results = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Print the events of a run or of a folder of logs, a line each, or write them to a CSV file."""
    from basis_strategy_v1.app.commands import event_lines, event_rows, export_events
    from basis_strategy_v1.app.runs import run_or_folder

    run = run_or_folder(run, results)
    if csv is not None:
        export_events(run, event_type, csv)
        say(f"events: {shown(csv)}")
        return
    if as_json:
        say_json(list(event_rows(run, event_type)))
        return
    for line in event_lines(run, event_type):
        say(line)


@app.command(epilog="Example: basis venues --symbol ETHUSDT")
def venues(
    symbol: Annotated[str | None, typer.Option("--symbol", metavar="SYMBOL", help="What each exchange asks for one symbol.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the venues with their public fees, margins and parameters, and the date they were true."""
    from basis_strategy_v1.app.venue_lines import symbol_lines, venue_lines

    _say_lines(venue_lines() if symbol is None else symbol_lines(symbol), as_json=as_json)


@app.command(epilog="Example: basis errors EIM-001")
def errors(
    code: Annotated[str | None, typer.Argument(metavar="[CODE]", help="One code; else all of them.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Explain an error code, or list them all."""
    from basis_strategy_v1.core.error_codes.error_code_registry import REGISTRY

    if code is not None and code.upper() not in REGISTRY:
        _stop(f"errors: no error code {shown(code)}; there are {', '.join(REGISTRY)}", WRONG_INPUT)
    entries = list(REGISTRY.values()) if code is None else [REGISTRY[code.upper()]]
    if as_json:
        fields = ("code", "severity", "component", "message", "resolution")
        say_json([{field: getattr(entry, field) for field in fields} for entry in entries])
        return
    for entry in entries:
        say(f"{entry.code}  {entry.severity:<8} {entry.component}: {entry.message}\n    {entry.resolution}")


@data_app.command("sample", epilog="Example: basis data sample build/sample")
def data_sample(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write.")],
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same bytes.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Write the sample: generated data in the layout of real ones, marked as generated wherever they are shown."""
    from basis_strategy_v1.data.sample import write_sample

    write_sample(directory, seed)
    if as_json:
        say_json({"sample": str(directory), "seed": seed})
        return
    say(f"sample: {shown(directory)} (generated from seed {seed}, not market data)")


@data_app.command("validate", epilog="Example: basis data validate build/sample")
def data_validate(
    directory: Annotated[Path, typer.Argument(metavar="DIR|FILE", help="A folder of series, or a database.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print every finding, as a JSON list.")] = False,
) -> None:
    """List what is wrong or unusual in a folder: malformed rows, gaps, outliers, wrong units, series that contradict each other.

    A line for each file and kind, gaps a line each. Exit status 1 where something is an error: a run that needs the file is refused.
    """
    from basis_strategy_v1.data.columns import ERROR
    from basis_strategy_v1.data.validation import grouped, validate

    findings = validate(directory)
    if as_json:
        say(_json([finding._asdict() for finding in findings]))
    else:
        for line in grouped(findings):
            say(printable(line))
        say(counted(len(findings), "finding"))
    if any(finding.severity == ERROR for finding in findings):
        raise typer.Exit(FAILED)


@data_app.command("import", epilog="Example: basis data import ETHUSDT-1h-2024-06.zip market --market spot")
def data_import(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A file, or a folder of files: an exchange's, ccxt's, Parquet, CSV.")],
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="A data folder, or a database (.duckdb). What is there stays.")],
    form: Annotated[str, typer.Option("--format", help="binance, bybit, okx, hyperliquid, ccxt, parquet or csv; seen if not given.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="ohlcv or funding.")] = "",
    venue: Annotated[str, typer.Option("--venue", help="Whose data they are, such as binance.")] = "",
    market: Annotated[str, typer.Option("--market", help="spot or perp.")] = "",
    symbol: Annotated[str, typer.Option("--symbol", help="Such as ETHUSDT.")] = "",
    interval: Annotated[str, typer.Option("--interval", help="Of bars, such as 1h; coarser than in the file: made of them.")] = "",
    columns: Annotated[str, typer.Option("--columns", help="Which column is which: timestamp=time,open=o,…")] = "",
    unit: Annotated[str, typer.Option("--unit", help="How stamps are written: ms, us, s or iso.")] = "",
    stamped: Annotated[str, typer.Option("--stamped", help="Whether bars are stamped at their open or their close.")] = "open",
    as_json: AsJson = False,
) -> None:
    """Bring files of an exchange, ccxt or your own into a data folder or a database: checked, sorted, each row once.

    A second import adds what is new. A row that is there with other values is refused. Nothing is written unless all of it is right.
    """
    from basis_strategy_v1.data.import_settling import Wanted
    from basis_strategy_v1.data.importing import import_data

    found = import_data(source, dest, Wanted(form, kind, venue, market, symbol, interval, columns, unit, stamped))
    if as_json:
        say_json([one._asdict() for one in found])
        return
    for one in found:
        say(f"{one.id}: {counted(one.added, 'row')} added, {one.rows:,} in all ({', '.join(one.formats)}, {counted(one.files, 'file')})")
        for note in one.notes:
            say(f"  note: {note}")
    say(f"imported {counted(sum(one.added for one in found), 'row')} of {len(found)} series into {shown(dest)}")


app.registered_commands += [*cli_live.app.registered_commands, *cli_research.app.registered_commands]
data_app.registered_commands += cli_download.app.registered_commands


def _say_lines(lines: Iterable[str], *, as_json: bool, are_json: bool = False) -> None:
    """Print lines one by one; as JSON a list of them, or of what they hold where each of them is JSON."""
    if as_json:
        import json

        say_json([json.loads(line) if are_json else line for line in lines])
        return
    for line in lines:
        say(line)


def _changes(sets: list[str] | None) -> dict[str, Any]:
    from basis_strategy_v1.config.overrides import changes_of

    return changes_of(sets or [])


def _json(value: Any) -> str:
    import json

    return json.dumps(value, indent=2)


def _stop(message: str, status: int) -> NoReturn:
    complain(f"basis: {message}")
    raise SystemExit(status)


def _notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def _name_as_given(results: Path, error: BaseException) -> None:
    """In the notes of an error, name the run's folder as the user does: its full path may be long."""
    from basis_strategy_v1.core.error_codes.exceptions import RECORDED

    error.__notes__ = [f"{RECORDED} {shown(results / Path(note).name)}" if note.startswith(RECORDED) else note for note in _notes(error)]


def _fail(error: ComponentError) -> NoReturn:
    """Print what went wrong and, on a line of its own, where the recorded part of a run is."""
    from basis_strategy_v1.core.error_codes.exceptions import RECORDED

    where = [note for note in _notes(error) if note.startswith(RECORDED)]
    steps = [note for note in _notes(error) if note not in where]
    codes = INPUT_CODES if steps else (*INPUT_CODES, *BLOCK_CODES)
    status = RESTART if error.severity == "CRITICAL" else WRONG_INPUT if error.error_code.startswith(codes) else FAILED
    _stop("\n".join(["; ".join([f"{error.error_code}: {error.message}", *steps]), *where]), status)


class Interrupted(Exception):
    """A signal ended the command; the message says what is left of it."""


def main() -> None:
    """Run the command; every failure is a clear line and an exit status."""
    open_closed_streams()
    with signals_interrupt() as signalled:
        try:
            _run()
        except KeyboardInterrupt:
            _stop("interrupted", signalled.status)
        except Interrupted as stop:
            _stop(str(stop), signalled.status)
        except OutputLost as lost:
            drop_output()
            _stop(f"the output cannot be written: {lost}", FAILED)


def _run() -> NoReturn:
    from basis_strategy_v1.core.error_codes.exceptions import ComponentError

    try:
        status = app(standalone_mode=False)
        if status == INTERRUPTED:  # typer turns Ctrl-C into this status
            raise KeyboardInterrupt
    except ComponentError as error:
        _fail(error)
    except UsageError as wrong:
        if type(wrong).__name__ == "NoArgsIsHelpError":  # a command without words, whose message is its help
            complain(wrong.format_message())
            raise SystemExit(WRONG_INPUT) from None
        _stop(f"{printable(wrong.format_message())} See basis --help", WRONG_INPUT)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except OSError as fault:
        if fault.filename is None:  # typer prints too: its help
            raise OutputLost(fault.strerror) from fault
        _stop(f"{shown(Path(fault.filename))}: {fault.strerror}", FAILED)
    except SystemExit as left:
        if isinstance(left.__context__, BrokenPipeError):  # the reader, such as `head`, has enough
            raise SystemExit(0) from None
        raise
    raise SystemExit(status or 0)


if __name__ == "__main__":
    main()
