"""Data frames into a data folder: pandas, polars, Arrow, and whatever else has Arrow's C interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.import_settling import Identity
from basis_strategy_v1.data.importing import Imported, import_table
from basis_strategy_v1.data.layout import BARS, INTERVALS_US
from basis_strategy_v1.data.row_files import SourceFault
from basis_strategy_v1.data.vendor_formats import OHLCV, Shape
from basis_strategy_v1.data.vendor_tables import of_arrow

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

KINDS = (*BARS, "funding", "lending", "staking", "dex", "gas", "queue")
_INDEX = "__index_level_0__"  # of a pandas frame whose index has no name


def from_frame(
    frame: Any, *, kind: str, venue: str, symbol: str = "", interval: str = "", into: str | Path, columns: dict[str, str] | None = None
) -> Imported:
    """Add the rows of a frame to a data folder, or a database (`.duckdb`); what is there stays, and equal rows are added once.

    `kind` is spot, perp, mark, index, funding, lending, staking, dex, gas or queue. The frame has the columns of its series (docs/data.md)
    under the same names, or under those of `columns`: `{"close": "Close"}`; others are left alone. `timestamp` may be the index of a
    pandas frame. Times are UTC where they name no zone; numbers are floats, decimals or texts, and stay exact. `symbol` is the token of
    lending and staking, the pair of a dex (`weETH_WETH`); `interval` that of bars, seen from their times where it is left out.

    Raises:
        ComponentError: DAT-003, naming the row, the column and the value; DAT-006, it cannot be written; CFG-001, an argument is wrong.
    """
    if kind not in KINDS:
        raise ComponentError("CFG-001", f"from_frame: kind {shown(kind)} is not known; there are {', '.join(KINDS)}")
    if interval and interval not in INTERVALS_US:
        raise ComponentError("CFG-001", f"from_frame: interval {shown(interval)} is not known; there are {', '.join(INTERVALS_US)}")
    is_bars = kind in BARS
    identity = Identity(OHLCV if is_bars else kind, venue, kind if is_bars else "", symbol, interval)
    table = _arrow(frame)
    try:
        spec = identity.spec("1m")
        names = ("timestamp", *(column.name for column in spec.columns))
        take = {name: (columns or {}).get(name, name) for name in names}
        if take["timestamp"] not in table.schema.names and _INDEX in table.schema.names:
            take["timestamp"] = _INDEX
        for name, given in take.items():
            if given not in table.schema.names:
                raise SourceFault(f"has no column {shown(given)} for {name}; expected {', '.join(names)}, and it has "
                                  f"{', '.join(map(str, table.schema.names))}")  # fmt: skip
        chosen = table.select(list(dict.fromkeys(take.values())))
        rows = of_arrow(chosen.schema, iter(chosen.to_batches()))
        [found] = import_table(rows, Shape("frame", kind, take, unit="iso"), identity, into, "the frame")
    except SourceFault as fault:
        raise ComponentError("DAT-003", f"the frame {fault}") from None
    return found


def _arrow(frame: Any) -> pa.Table:
    import pyarrow as pa

    if isinstance(frame, pa.Table):
        return frame
    if not hasattr(frame, "__arrow_c_stream__"):
        kind = type(frame).__name__
        what = f"from_frame: {kind} is no data frame, it has no Arrow interface (__arrow_c_stream__)"
        raise ComponentError("CFG-001", f"{what}; give one of pandas, polars or Arrow")
    try:
        return pa.table(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise ComponentError(
            "DAT-003", f"the frame cannot be read ({str(error).splitlines()[0][:120]}); give each column one type"
        ) from error
