"""A table of results: Arrow underneath, a DataFrame of pandas or polars where these are installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow

TEXTS = frozenset(
    {"venue", "token", "component", "event_type", "data", "action", "symbol", "side", "reason", "tag", "key", "error", "run_id"}
)
WHOLE = frozenset({"sequence", "stale"})


class ArrowTable:
    """`arrow` is the pyarrow.Table; whatever that has, this has too (`num_rows`, `column("equity")`, `to_pylist()`).

    It is taken as it is by what reads Arrow's C stream: `pyarrow.table(it)`, `polars.DataFrame(it)`, `pandas`.
    """

    def __init__(self, arrow: pyarrow.Table) -> None:
        self.arrow = arrow

    def to_pandas(self) -> Any:
        """A DataFrame of pandas, which has to be installed."""
        return self.arrow.to_pandas()

    def to_polars(self) -> Any:
        """A DataFrame of polars, which has to be installed."""
        import polars

        return polars.from_arrow(self.arrow)

    def equals(self, other: Any) -> bool:
        """Whether another table has the same columns and rows."""
        same: bool = self.arrow.equals(getattr(other, "arrow", other))
        return same

    def __getattr__(self, name: str) -> Any:
        if name == "arrow":
            raise AttributeError(name)
        return getattr(self.arrow, name)

    def __getitem__(self, key: Any) -> Any:
        return self.arrow[key]

    def __len__(self) -> int:
        return len(self.arrow)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.arrow.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return repr(self.arrow)


def table_of_csv(text: str) -> ArrowTable:
    """The table of a CSV text: timestamps, texts and whole numbers by their names, all else 64-bit floats."""
    import pyarrow
    from pyarrow import csv

    names = text.partition("\n")[0].split(",")
    moment = pyarrow.timestamp("us", tz="UTC")
    kinds = {name: pyarrow.string() if name in TEXTS else pyarrow.int64() if name in WHOLE else pyarrow.float64() for name in names}
    encoded = text.encode("utf-8", "backslashreplace")
    return ArrowTable(
        csv.read_csv(
            pyarrow.BufferReader(encoded),
            read_options=csv.ReadOptions(use_threads=False, block_size=max(len(encoded), 1)),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types={**kinds, "timestamp": moment}, null_values=[""], strings_can_be_null=False, timestamp_parsers=[csv.ISO8601]
            ),
        )
    )
