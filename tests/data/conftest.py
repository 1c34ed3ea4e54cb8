"""Small folders of series, written by hand or generated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from basis_strategy_v1.data.layout import spec_of

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "market"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write("funding/bybit/ETHUSDT", "2024-01-01T00:00:00Z,0.0001", …)` writes a series with its header; gives the folder."""

    def write_series(series_id: str, *rows: str) -> Path:
        spec = spec_of(series_id)
        assert spec is not None
        path = tmp_path / f"{series_id}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{row}\n" for row in (spec.header, *rows)))
        return tmp_path

    return write_series


@pytest.fixture(scope="session")
def real() -> Path:
    if not REAL.is_dir():
        pytest.skip("the real market data (../shared/data/market) are not here")
    return REAL
