"""docs/config.md, from the same types that a config is read by."""

from __future__ import annotations

import json
from collections.abc import Iterator

from basis_strategy_v1.config.environment import VARIABLES
from basis_strategy_v1.config.kinds import Record, Row, record_of
from basis_strategy_v1.config.loading import top_record
from basis_strategy_v1.config.models import DataConfig, Live, PortfolioPart
from basis_strategy_v1.config.venue_sections import settings_record
from basis_strategy_v1.core.limits import Limits
from basis_strategy_v1.core.settings import Mark
from basis_strategy_v1.strategies import STRATEGIES
from basis_strategy_v1.venues.registry import VENUES
from basis_strategy_v1.venues.venue import CEX

_NEEDED = {"always": "**required**", Mark.RUN: "**required for a run**", Mark.BACKTEST: "from the data",
           Mark.LIVE: "**required live**"}  # fmt: skip
_TOP = """# The config

A YAML file, or a dict given to `load_config`. Unknown keys, duplicate keys and tags are faults; all faults are reported at once.
A path is taken from the folder of the YAML file.
Numbers are read exactly as written; NaN and infinity are refused, and true is not a number.
Secrets come from the environment only. This page is written from the types that `load_config` reads by; `basis check CONFIG` applies them.

A venue may have a name of its own and then says what it is: `bybit_main: {exchange: bybit}`, `pool: {protocol: aave, wallet: cold}`.
Without that the name is what it is; an exchange's may also begin with it, as `binance_spot` and `binance_perp` do.
Protocols take and pay the tokens of `wallet`, which need not be configured, or of the wallet that they name.
"""


def render_page() -> str:
    """The whole of docs/config.md."""
    return "\n".join([_TOP, *_sections()]) + "\n"


def _sections() -> Iterator[str]:
    yield from _table("Top", top_record(None))
    yield from _table("data", record_of(DataConfig))
    for mode, row in STRATEGIES.items():
        yield from _table(f"strategy of {mode}", record_of(row.parameters), f"`share_class`: {' or '.join(row.share_classes)}.\n")
    yield from _table("portfolio", record_of(PortfolioPart))
    yield from _table("limits", record_of(Limits))
    yield from _table("live", record_of(Live))
    yield from _table("venues.cex.NAME", settings_record(CEX, "binance"))
    for name, protocol in VENUES.items():
        yield from _table(f"venues.{protocol.section}.{name}", settings_record(protocol.section, name))
    yield "## Environment\n\n| variable | allowed | default |\n|---|---|---|"
    yield from (f"| `{name}` | {_cell(' | '.join(allowed))} | `{allowed[0]}` |" for name, allowed in VARIABLES.items())


def _table(title: str, record: Record, remark: str = "") -> Iterator[str]:
    yield f"## {title}\n"
    if remark:
        yield remark
    yield "| key | allowed | default | meaning |\n|---|---|---|---|"
    yield from _rows(record, "")
    yield ""


def _rows(record: Record, prefix: str) -> Iterator[str]:
    for row in record.rows:
        allowed = "by strategy_mode, below" if row.name == "strategy" else row.kind.allowed
        yield f"| `{prefix}{row.name}` | {_cell(allowed)} | {_default(row)} | {_cell(row.about)} |"
        inner = row.kind.holds
        if inner is not None and inner not in (DataConfig, Limits, Live):
            yield from _rows(record_of(inner), f"{prefix}{row.name}{'.NAME' if row.kind.has_names else ''}.")


def _default(row: Row) -> str:
    if row.needed:
        return _NEEDED[row.needed]
    if row.default is None and Mark.NULL not in row.marks:
        return ""
    default = {} if row.kind.holds in (DataConfig, Live) else row.kind.plain(row.default)
    return f"`{json.dumps(default).strip(chr(34))}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("][", "]\\[")


if __name__ == "__main__":
    print(render_page(), end="")
