from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.sample import write_sample
from basis_strategy_v1.data.sources import DataFolder

EVERY_SERIES = {
    **{f"ohlcv/bybit/spot/{coin}USDT_1h": 4416 for coin in ("ETH", "BTC")},
    **{f"ohlcv/{venue}/perp/{coin}USDT_1h": 4416 for coin in ("ETH", "BTC") for venue in ("bybit", "binance")},
    **{f"funding/{venue}/{coin}USDT": 553 for coin in ("ETH", "BTC") for venue in ("bybit", "binance")},
    **{f"lending/aave_v3/{token}": 185 for token in ("USDT", "WETH", "wstETH", "weETH")},
    "staking/lido/wstETH": 185,
    "staking/etherfi/weETH": 185,
    "dex/curve/weETH_WETH": 4416,
    "dex/uniswap_v3/wstETH_WETH": 4416,
    "gas/ethereum": 4417,
}


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return sha256(b"".join(path.relative_to(folder).as_posix().encode() + path.read_bytes() for path in files)).hexdigest()


def test_the_sample_has_every_kind_of_series(tmp_path: Path) -> None:
    assert write_sample(tmp_path) == EVERY_SERIES
    assert {spec.id for spec in DataFolder(tmp_path).specs} == set(EVERY_SERIES)


def test_the_same_seed_gives_the_same_bytes_everywhere(tmp_path: Path, sample: Path) -> None:
    write_sample(tmp_path / "again")
    write_sample(tmp_path / "other", seed=8)
    assert digest(tmp_path / "again") == digest(sample) == "6fc84e2ff4a9eadd7bfc718746e7abb5989028ab32773a530af44f20809c45ff"
    assert digest(tmp_path / "other") != digest(sample)


def test_the_sample_says_that_it_is_generated(sample: Path) -> None:
    assert (sample / "GENERATED.txt").read_text() == (
        "These series are generated from seed 7 and are no market data. Made by `basis data sample`.\n"
    )


def test_the_indices_grow_by_the_rates(sample: Path) -> None:
    rows = [line.split(",") for line in (sample / "lending/aave_v3/USDT.csv").read_text().splitlines()[1:]]
    for (_, _, index, rate, debt, debt_rate, *_), (_, _, next_index, _, next_debt, *_) in pairwise(rows):
        assert abs(Decimal(index) * (1 + Decimal(rate) / 365) - Decimal(next_index)) < Decimal("1e-17")
        grown = Decimal(debt) * (Decimal(debt_rate) / 365).exp()
        assert abs(grown - Decimal(next_debt)) < Decimal("1e-13")


def test_the_sample_is_not_mixed_with_real_series(tmp_path: Path) -> None:
    (tmp_path / "gas").mkdir()
    (tmp_path / "gas" / "ethereum.csv").write_text("mine")
    with pytest.raises(ComponentError) as raised:
        write_sample(tmp_path)
    assert str(raised.value) == f"DAT-006: {tmp_path} holds series that are not generated; give the sample a folder of its own"
    assert (tmp_path / "gas" / "ethereum.csv").read_text() == "mine"


def test_a_sample_may_be_written_again(tmp_path: Path) -> None:
    write_sample(tmp_path, seed=1)
    assert write_sample(tmp_path) == EVERY_SERIES


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ComponentError, match=r"DAT-006: the sample cannot be written to .*/file: File exists"):
        write_sample(tmp_path / "file")
