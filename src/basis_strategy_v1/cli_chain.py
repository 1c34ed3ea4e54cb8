"""`basis chain`: the executor that runs a chain of actions in one transaction, and the account's delegation to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_strategy_v1.full_help import HELP, FullHelp
from basis_strategy_v1.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from basis_strategy_v1.live.delegation import Delegation

app = typer.Typer(
    cls=FullHelp,
    context_settings=HELP,
    help="The account on chain: the executor of atomic chains and flash loans, and the delegation to it.",
    no_args_is_help=True,
)

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML file of a run.", show_default=False)]
State = Annotated[Path, typer.Option("--state", metavar="DIR", help="The folder of the journal, if there is one: no run may have it.")]


@app.command(epilog="Example: basis chain status config/eth_leveraged.yaml")
def status(config: Config, as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False) -> None:
    """Print the account, the executor and the delegation as the chain has them. Nothing is sent."""
    chain_commands = _commands()
    if as_json:
        import json

        say(json.dumps(chain_commands.facts(config), indent=2))
        return
    for line in chain_commands.status(config):
        say(line)


@app.command(epilog="Example: basis chain deploy config/eth_leveraged.yaml")
def deploy(config: Config, state: State = Path("state")) -> None:
    """Create the executor's contract, where it is not there yet, and print its address. It has no owner: one serves everybody who takes
    flash loans from the same lenders."""
    _change(config, state, lambda delegation: delegation.deploy())


@app.command(epilog="Example: basis chain delegate config/eth_leveraged.yaml")
def delegate(config: Config, state: State = Path("state")) -> None:
    """Give the account the executor's code (EIP-7702). Only the account itself can have anything executed."""
    _change(config, state, lambda delegation: delegation.delegate())


@app.command(epilog="Example: basis chain undelegate config/eth_leveraged.yaml")
def undelegate(
    config: Config,
    state: State = Path("state"),
    foreign: Annotated[
        str | None, typer.Option("--from", metavar="ADDRESS", help="The contract that it is delegated to, where that is not the executor.")
    ] = None,
) -> None:
    """Take the delegation back: the account has no code then."""
    _change(config, state, lambda delegation: delegation.undelegate(foreign))


def _commands() -> ModuleType:
    """What the commands do, once it is known that it can be loaded."""
    from basis_strategy_v1.live.live_extra import TO_CHAIN, require_live

    require_live(TO_CHAIN)
    from basis_strategy_v1.app import chain_commands
    from basis_strategy_v1.live.process import forbid_core_dumps

    forbid_core_dumps()
    return chain_commands


def _change(config: Path, state: Path, do: Callable[[Delegation], str]) -> None:
    chain_commands = _commands()
    for line in chain_commands.change(config, state, do).splitlines():
        say(line)
