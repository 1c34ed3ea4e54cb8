"""Help texts in full: a command's summary is not cut, and `-h` asks for it too."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

HELP = {"help_option_names": ["-h", "--help"]}


class FullHelp(TyperGroup):
    """A group of commands whose help has the whole first sentence of each."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append((name, (command.help or "").strip().split("\n\n")[0].replace("\n", " ")))
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)
