"""The commands around live trading: `live`, `unwind`, `status`, `halt`, `resume`, `resolve`."""

from __future__ import annotations

import signal
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.terminal import say, writing_output

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from basis_strategy_v1.live_engine import LiveEngine

State = Annotated[Path, typer.Option("--state", metavar="DIR", help="The folder of the journal.")]


class StopFlag:
    """Set by the first SIGTERM: the run ends after the step in hand. The second one ends it at once."""

    def __init__(self) -> None:
        self._event = Event()
        self.wait = self._event.wait  # for some seconds, or until it is set
        self._at_once = signal.getsignal(signal.SIGTERM)
        if self._at_once not in (signal.SIG_IGN, None):
            signal.signal(signal.SIGTERM, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._event.set()
        signal.signal(signal.SIGTERM, self._at_once)

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    def __call__(self) -> bool:
        return self.is_set

    def end(self) -> None:
        """End the command as the signal would have."""
        signal.signal(signal.SIGTERM, self._at_once)
        signal.raise_signal(signal.SIGTERM)


Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML file of a run.", show_default=False)]
Paper = Annotated[bool, typer.Option("--paper", help="Trade with simulated venues.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR|FILE", help="Replay recorded data; with --speed max. Left out: live prices, on the wall clock."),
]
Speed = Annotated[str | None, typer.Option("--speed", metavar="max", help="max: without waiting.")]
Results = Annotated[Path, typer.Option("--results", metavar="DIR", help="Where the run's folder is made.")]
Logs = Annotated[
    Path | None,
    typer.Option("--logs", metavar="DIR", help="Where the event logs are written. [default: logs in the state folder]", show_default=False),
]

AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]

app = typer.Typer()


@app.command(epilog="Example: basis live config/eth_basis.yaml --paper --data build/sample --speed max --state build/state")
def live(
    config: Config,
    paper: Paper = False,
    data: Data = None,
    speed: Speed = None,
    state: State = Path("state"),
    results: Results = Path("results"),
    logs: Logs = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Do not write report.html.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    as_json: AsJson = False,
) -> None:
    """Trade a strategy: every order is written down before it is sent, and found again after a crash."""
    from basis_strategy_v1.app.live_commands import halt_line, is_halted, lines_at_the_end, set_halted
    from basis_strategy_v1.app.writer import earlier_lines
    from basis_strategy_v1.terminal import progress_bar

    with progress_bar(enabled=not quiet and data is not None) as progress:
        engine, stop = _engine(config, data, state, results, logs, paper=paper, speed=speed, report=not no_report, progress=progress)
        engine.is_halted = lambda: is_halted(state)
        engine.halt = lambda: set_halted(state)
        if data is None and not (quiet or as_json):
            say(f"trading {'on paper ' if paper else ''}over live prices, state in {shown(state)}; SIGTERM ends it after the step in hand")
            if is_halted(state):
                say(halt_line(state))
        result = engine.run()
    remarks = [] if quiet else [*lines_at_the_end(result.summary, state), *earlier_lines(result.paths, results)]
    folder = results / result.paths["timing.json"].parent.name
    if as_json:
        say(_json({**result.summary, "remarks": remarks, "folder": str(folder)}))
        remarks = []
    if stop.is_set:
        for line in remarks:
            say(line)
        stop.end()
    if as_json:
        return
    if not quiet:
        print_summary(result.summary)
        for line in remarks:
            say(line)
        say(f"results: {shown(folder)}")


def _engine(
    config: Path,
    data: Path | None,
    state: Path,
    results: Path,
    logs: Path | None,
    *,
    paper: bool,
    speed: str | None,
    report: bool,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[LiveEngine, StopFlag]:
    """The engine that the options ask for, and what ends it after the step in hand."""
    from basis_strategy_v1.app.live import build_live, build_paper_replay, require_live_options
    from basis_strategy_v1.live.process import forbid_core_dumps

    require_live_options(data=data, speed=speed)
    forbid_core_dumps()
    stop, logs = StopFlag(), logs or state / "logs"
    if data is None:
        return build_live(config, state, results, logs, paper=paper, stop=stop, report=report), stop
    engine = build_paper_replay(config, data, state, results, logs, paper=paper, report=report, progress=progress)
    engine.is_stopping = stop
    return engine, stop


@app.command(epilog="Example: basis unwind config/eth_basis.yaml --paper --data build/sample --speed max --state build/state")
def unwind(
    config: Config,
    paper: Paper = False,
    data: Data = None,
    speed: Speed = None,
    state: State = Path("state"),
    results: Results = Path("results"),
    logs: Logs = None,
    as_json: AsJson = False,
) -> None:
    """Leave all positions within the limits, step by step, then halt. Killed on the way, the same command goes on."""
    from basis_strategy_v1.app import live_commands
    from basis_strategy_v1.app.writer import earlier_lines

    live_commands.require_journal(state)
    engine, stop = _engine(config, data, state, results, logs, paper=paper, speed=speed, report=False)
    engine.is_leaving = True
    result = engine.run()
    if stop.is_set:
        stop.end()
    lines = [*live_commands.left(state, result.summary["left_open"], has_left=engine.has_left), *earlier_lines(result.paths, results)]
    for line in [_json({"lines": lines})] if as_json else lines:
        say(line)


@app.command(epilog="Example: basis status --state state")
def status(state: State = Path("state"), as_json: AsJson = False) -> None:
    """Print what the journal knows: what is open, the plan in hand, what the day has spent, and the positions."""
    from basis_strategy_v1.app.live_commands import status_lines, status_of

    if as_json:
        say(_json(status_of(state)))
        return
    for line in status_lines(state):
        say(line)


@app.command(epilog="Example: basis halt --state state")
def halt(state: State = Path("state"), as_json: AsJson = False) -> None:
    """Start nothing new. The plan in hand is finished by its own rule."""
    from basis_strategy_v1.app import live_commands

    _say(live_commands.halt(state), as_json=as_json)


@app.command(epilog="Example: basis resume --state state")
def resume(state: State = Path("state"), as_json: AsJson = False) -> None:
    """End a halt."""
    from basis_strategy_v1.app import live_commands

    _say(live_commands.resume(state), as_json=as_json)


@app.command(epilog="Example: basis resolve my-order-7 --happened 0x5d…")
def resolve(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key of an open instruction; `basis status` lists them.")],
    happened: Annotated[str | None, typer.Option("--happened", metavar="REFERENCE", help="The venue's name of the execution.")] = None,
    never: Annotated[bool, typer.Option("--never", help="It was not executed, and cannot be any more.")] = False,
    fee: Annotated[
        str | None,
        typer.Option("--fee", metavar="'AMOUNT TOKEN'|unknown", help="With --happened: the fee, where the venue does not show it."),
    ] = None,
    state: State = Path("state"),
    as_json: AsJson = False,
) -> None:
    """Record what became of an instruction, where the venue could not be asked."""
    from basis_strategy_v1.app import live_commands
    from basis_strategy_v1.core.error_codes.exceptions import ComponentError

    if (happened is None) is not never:
        raise ComponentError("CFG-001", f"resolve {shown(key)}: give either --happened REFERENCE or --never")
    if fee is not None and never:
        raise ComponentError("CFG-001", f"resolve {shown(key)}: what never happened has no fee; leave --fee out")
    _say(live_commands.resolve(state, key, happened, None if fee is None else live_commands.fee_of(fee)), as_json=as_json)


def _json(value: Any) -> str:
    import json

    return json.dumps(value, indent=2)


def _say(line: str, *, as_json: bool) -> None:
    say(_json({"message": line}) if as_json else line)


def print_summary(summary: Any) -> None:
    """Print a run's summary as a table."""
    from rich.console import Console

    from basis_strategy_v1.report.terminal import summary_table

    with writing_output():
        Console(highlight=False).print(summary_table(summary))
