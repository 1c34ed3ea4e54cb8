"""Data frames of any library with Arrow's C interface become series, exactly."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas
import polars
import pyarrow
import pytest

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data import from_frame
from basis_strategy_v1.data.importing import Imported

T0 = datetime(2024, 6, 1, tzinfo=UTC)
TIMES = [T0 + hour * timedelta(hours=1) for hour in range(3)]
COLUMNS = {
    "open": [3000.5, 3001.0, 3002.25],
    "high": [3010.0] * 3,
    "low": [2990.0] * 3,
    "close": [3001.0, 3002.1, 3003.0],
    "volume": [1.5, 0.0, 2.0],
}
LINES = """timestamp,open,high,low,close,volume
2024-06-01T00:00:00Z,3000.5,3010,2990,3001,1.5
2024-06-01T01:00:00Z,3001,3010,2990,3002.1,0
2024-06-01T02:00:00Z,3002.25,3010,2990,3003,2
"""


def of_pandas(**changed: Any) -> pandas.DataFrame:
    return pandas.DataFrame({"timestamp": TIMES, **COLUMNS, **changed})


FRAMES: dict[str, Callable[[], Any]] = {
    "pandas": of_pandas,
    "pandas, times as the index": lambda: of_pandas().set_index("timestamp"),
    "pandas, an index without a name": lambda: of_pandas().set_index("timestamp").rename_axis(None),
    "pandas, times without a zone": lambda: of_pandas(timestamp=[at.replace(tzinfo=None) for at in TIMES]),
    "pandas, another zone": lambda: of_pandas(timestamp=pandas.Series(TIMES).dt.tz_convert("Asia/Tokyo")),
    "pandas, newest first": lambda: of_pandas()[::-1],
    "polars": lambda: polars.DataFrame({"timestamp": TIMES, **COLUMNS, "note": ["a", "b", "c"]}),
    "polars, texts": lambda: polars.DataFrame({"timestamp": TIMES, **{name: list(map(str, found)) for name, found in COLUMNS.items()}}),
    "arrow": lambda: pyarrow.table({"timestamp": TIMES, **COLUMNS}),
    "arrow, decimals": lambda: pyarrow.table(
        {"timestamp": TIMES, **{name: [Decimal(str(one)) for one in found] for name, found in COLUMNS.items()}}
    ),
    "arrow, a reader of batches": lambda: pyarrow.table({"timestamp": TIMES, **COLUMNS}).to_reader(max_chunksize=1),
}


@pytest.mark.parametrize("which", FRAMES)
def test_a_frame_becomes_the_series_that_it_holds(which: str, tmp_path: Path) -> None:
    found = from_frame(FRAMES[which](), kind="spot", venue="binance", symbol="ETHUSDT", into=tmp_path)
    assert (found.id, found.added, found.rows) == ("ohlcv/binance/spot/ETHUSDT_1h", 3, 3)
    assert (tmp_path / "ohlcv/binance/spot/ETHUSDT_1h.csv").read_text() == LINES


def test_rows_are_added_once_and_other_values_are_refused(tmp_path: Path) -> None:
    for frame, added in ((of_pandas()[:2], 2), (of_pandas(), 1), (of_pandas(), 0)):
        assert from_frame(frame, kind="perp", venue="okx", symbol="ETHUSDT", into=tmp_path).added == added
    with pytest.raises(
        ComponentError, match=r"two different rows of 2024-06-01T02:00:00Z: .* close 3003, .* the frame 3 has .* close 3004"
    ):
        from_frame(of_pandas(close=[3001.0, 3002.1, 3004.0]), kind="perp", venue="okx", symbol="ETHUSDT", into=tmp_path)


@pytest.mark.parametrize(
    ("kind", "symbol", "columns", "series"),
    [
        ("funding", "ETHUSDT", {"funding_rate": [0.0001, -1e-07, 0.0]}, "funding/okx/ETHUSDT"),
        ("staking", "wstETH", {"eth_per_token": [1.17, 1.18, 1.19]}, "staking/okx/wstETH"),
        ("dex", "weETH_WETH", {"eth_per_token": [1.17, 1.18, 1.19]}, "dex/okx/weETH_WETH"),
        ("gas", "", {"block": [1, 2, 3], "base_fee_gwei": [1.5, 2, 3], "priority_fee_gwei": [0.1] * 3}, "gas/okx"),
    ],
)
def test_every_kind_of_series_can_come_from_a_frame(
    kind: str, symbol: str, columns: dict[str, list[float]], series: str, tmp_path: Path
) -> None:
    found = from_frame(pandas.DataFrame({"timestamp": TIMES, **columns}), kind=kind, venue="okx", symbol=symbol, into=tmp_path)
    assert found == Imported(series, 3, 3, ("frame",), 1, ())
    lines = (tmp_path / f"{series}.csv").read_text().splitlines()
    assert lines[0] == ",".join(["timestamp", *columns])
    assert len(lines) == 4


def test_columns_of_other_names_are_named(tmp_path: Path) -> None:
    frame = of_pandas().rename(columns={"timestamp": "Date", "close": "Close"})
    from_frame(frame, kind="spot", venue="okx", symbol="ETHUSDT", into=tmp_path, columns={"timestamp": "Date", "close": "Close"})
    assert (tmp_path / "ohlcv/okx/spot/ETHUSDT_1h.csv").read_text() == LINES


@pytest.mark.parametrize(
    ("frame", "given", "expected"),
    [
        (of_pandas(timestamp=[*TIMES[:2], pandas.NaT]), {},
         "DAT-003: the frame row 3: column timestamp: 'None' is not a time (NaT and None are none)"),
        (of_pandas(close=[3001.0, float("nan"), 3003.0]), {}, "DAT-003: the frame row 2: column close: '"),
        (of_pandas(volume=[[1], [2], [3]]), {}, "DAT-003: the frame column volume is nested (list<item: int64>); expected one value a row"),
        (of_pandas(volume=[1, "x", None]), {}, "DAT-003: the frame "),
        (of_pandas().drop(columns="close"), {},
         "DAT-003: the frame has no column 'close' for close; expected timestamp, open, high, low, close, "),
        (of_pandas()[:0], {}, "DAT-003: the frame has no row"),
        (of_pandas(), {"kind": "trades"}, "CFG-001: from_frame: kind 'trades' is not known; there are spot, perp, mark, index, funding, "),
        (of_pandas(), {"interval": "7m"}, "CFG-001: from_frame: interval '7m' is not known; there are 1m, 3m, "),
        (of_pandas(), {"interval": "4h"}, "DAT-003: the frame 2: 2024-06-01T01:00:00Z is 1h after the row before it, in bars of 4h; "),
        (of_pandas(), {"symbol": "../ETH"}, "DAT-003: the frame would be ohlcv/okx/spot/../ETH_1m, which is no series of the layout"),
        ([[1, 2]], {}, "CFG-001: from_frame: list is no data frame, it has no Arrow interface (__arrow_c_stream__); give one of pandas, "),
    ],
)  # fmt: skip
def test_a_frame_that_is_no_series_is_refused_and_nothing_is_written(
    frame: Any, given: dict[str, str], expected: str, tmp_path: Path
) -> None:
    with pytest.raises(ComponentError) as error:
        from_frame(frame, **{"kind": "spot", "venue": "okx", "symbol": "ETHUSDT", "into": tmp_path / "dest", **given})
    assert str(error.value).startswith(expected), str(error.value)
    assert not (tmp_path / "dest").exists()


def test_the_package_has_no_other_public_name() -> None:
    from basis_strategy_v1 import data

    with pytest.raises(AttributeError, match="has no attribute 'from_table'"):
        _ = data.from_table
