"""docs/config.md, written from the tables."""

from __future__ import annotations

import json
from collections.abc import Iterator

from basis_strategy_v1.config.containers import ABSENT, Either, Field, MapOf, Nullable, Record
from basis_strategy_v1.config.environment import VARIABLES
from basis_strategy_v1.config.scalars import Kind
from basis_strategy_v1.config.strategy_tables import SHARE_CLASSES, STRATEGIES
from basis_strategy_v1.config.tables import DATA, UNKNOWN_TOP
from basis_strategy_v1.config.venue_tables import LIMITS, ONCHAIN_SETTINGS, VENUE_SETTINGS

_NEEDED = {"always": "**required**", "run": "**required for a run**", "live": "**required live**"}
_TOP = """# The config

A YAML file, or a dict given to `load_config`. Unknown keys, duplicate keys and tags are faults; all faults are reported at once.
A path is taken from the folder of the YAML file.
Numbers are read exactly as written; NaN and infinity are refused, and true is not a number.
Secrets come from the environment only. This page is written from the tables that `load_config` reads by; `basis check CONFIG` applies them.
"""


def render_page() -> str:
    """The whole of docs/config.md."""
    return "\n".join([_TOP, *_sections()]) + "\n"


def _sections() -> Iterator[str]:
    yield from _table("Top", UNKNOWN_TOP)
    yield from _table("data", DATA)
    yield from _strategies()
    yield from _table("limits", LIMITS)
    yield from _table("venues.cex.NAME", VENUE_SETTINGS["cex"]["*"])
    yield from _table("venues.dex.NAME", VENUE_SETTINGS["dex"]["*"])
    for name, record in ONCHAIN_SETTINGS.items():
        yield from _table(f"venues.onchain.{name}", record)
    yield "## Environment\n\n| variable | allowed | default |\n|---|---|---|"
    yield from (f"| `{name}` | {_cell(' | '.join(allowed))} | `{allowed[0]}` |" for name, allowed in VARIABLES.items())


def _strategies() -> Iterator[str]:
    for mode, record in STRATEGIES.items():
        yield from _table(f"strategy of {mode}", record, f"`share_class`: {' or '.join(SHARE_CLASSES[mode])}.\n")


def _table(title: str, record: Record, remark: str = "") -> Iterator[str]:
    yield f"## {title}\n"
    if remark:
        yield remark
    yield "| key | allowed | default | meaning |\n|---|---|---|---|"
    yield from _rows(record.fields, "")
    yield ""


def _rows(fields: tuple[Field, ...], prefix: str) -> Iterator[str]:
    for field in fields:
        yield f"| `{prefix}{field.name}` | {_cell(_allowed(field))} | {_default(field)} | {_cell(field.about)} |"
        name, inner = _inner(field.kind)
        if inner is not None and prefix.count(".") < 2 and field.name not in {"data", "limits", "venues"}:
            yield from _rows(inner.fields, f"{prefix}{field.name}{name}.")


def _allowed(field: Field) -> str:
    return "by strategy_mode, below" if field.name == "strategy" else field.kind.allowed


def _inner(kind: Kind) -> tuple[str, Record | None]:
    """The record inside a mapping of names, to be listed below it."""
    if isinstance(kind, Nullable):
        return _inner(kind.kind)
    if isinstance(kind, Either):
        return _inner(kind.other)
    if isinstance(kind, MapOf) and isinstance(kind.value, Record):
        return ".NAME", kind.value
    return "", kind if isinstance(kind, Record) else None


def _default(field: Field) -> str:
    if field.needed:
        return _NEEDED[field.needed]
    return "" if field.default is ABSENT else f"`{json.dumps(field.default).strip(chr(34))}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(render_page(), end="")
