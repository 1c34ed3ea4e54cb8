"""Where each series can be had is said for each of them."""

from __future__ import annotations

import re

from basis_strategy_v1.data.layout import FOLDERS, SHAPES
from basis_strategy_v1.data.origins import ORIGINS

EXAMPLES = (
    ("<venue>", "binance"), ("<spot|perp>", "spot"),
    ("<mark|index>", "mark"), ("<SYMBOL>", "ETHUSDT"), ("<interval>", "1h"), ("<protocol>", "aave_v3"),
    ("<COLLATERAL>", "wstETH"), ("<LOAN>", "WETH"), ("<TOKEN>", "WETH"), ("<QUOTE>", "ETH"), ("<chain>", "ethereum"),
    ("<uniswap_v3|curve>", "curve"), ("<POOL>", "weETH_WETH"),
)  # fmt: skip


def example_of(path: str) -> str:
    for name, example in EXAMPLES:
        path = path.replace(name, example)
    return path.removesuffix(".csv")


def test_every_shape_of_a_path_has_an_origin_and_every_origin_a_shape() -> None:
    shapes = [pattern for pattern, *_ in SHAPES]
    found = {
        example: [pattern for pattern in shapes if pattern.fullmatch(example)] for example in (example_of(one.path) for one in ORIGINS)
    }
    assert [example for example, fitting in found.items() if not fitting] == []
    assert {re.split("/", example)[0] for example in found} == set(FOLDERS)
    assert all(one.ways for one in ORIGINS)
