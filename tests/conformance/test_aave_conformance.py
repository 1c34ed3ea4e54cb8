"""The integer model of Aave 3.0 against the real bytecode: after every move all numbers are equal, and both refuse the same moves."""

from __future__ import annotations

import os
from random import Random
from typing import TYPE_CHECKING

import pytest

from basis_strategy_v1.venues.aave_account import account_data
from basis_strategy_v1.venues.aave_pool import ALL

from .aave_game import Game
from .aave_market import PRICES, deploy_market
from .aave_table import new_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .aave_market import Market
    from .aave_table import Table
    from .chain import Chain

pytestmark = pytest.mark.chain
WETH, USDT, ISO = 10**18, 10**6, 10**18
HOUR_S = 3_600


@pytest.fixture(scope="module")
def deployed(chain: Chain) -> Iterator[Market]:
    before = chain.snapshot()
    yield deploy_market(chain)
    chain.revert(before)


@pytest.fixture
def table(chain: Chain, deployed: Market) -> Iterator[Table]:
    before = chain.snapshot()
    yield new_table(deployed)
    chain.revert(before)


@pytest.fixture
def funded(table: Table) -> Table:
    """A table where boris has supplied what the others may borrow."""
    table.supply("boris", "USDT", 2_000_000 * USDT)
    table.supply("boris", "wstETH", 500 * WETH)
    return table


@pytest.mark.parametrize("seed", [1, 5, 7, 10])
def test_a_random_game_on_aave_3_0_gives_the_same_numbers_to_the_wei(table: Table, seed: int) -> None:
    game = Game(table, Random(seed))
    game.play(150)
    assert table.compared >= 150 * len(table.wanted)
    assert min(game.accepted[kind] for kind in ("supply", "withdraw", "borrow", "repay", "flash", "liquidate")) > 0


@pytest.mark.prove
@pytest.mark.parametrize("number", range(3))
def test_a_long_random_game_on_aave_3_0_gives_the_same_numbers_to_the_wei(table: Table, number: int) -> None:
    game = Game(table, Random(int(os.environ.get("BASIS_SEED", "11")) * 100 + number))
    game.play(500)
    assert set(game.accepted) >= {"supply", "withdraw", "borrow", "repay", "collateral", "emode", "flash", "govern"}


def test_an_isolated_position_is_opened_filled_and_liquidated_as_on_the_chain(funded: Table) -> None:
    funded.supply("anna", "ISO", 10_000 * ISO)
    moves = [
        funded.set_collateral("anna", "ISO", True),
        funded.borrow("anna", "wstETH", WETH),
        funded.borrow("anna", "USDT", 100_000 * USDT),
        funded.supply("anna", "WETH", WETH),
        funded.set_collateral("anna", "WETH", True),
        funded.repay("anna", "USDT", 30_000 * USDT),
        funded.set_price("ISO", PRICES["ISO"] // 4),
        funded.liquidate("anna", "ISO", "USDT", 20_000 * USDT),
        funded.liquidate("anna", "ISO", "USDT", ALL),
    ]
    assert moves == [True, False, True, True, False, True, True, True, True]
    assert (funded.users["anna"].borrowed, funded.pool.reserves["ISO"].isolation_debt_cents) == ({}, 0)


def test_a_debt_ceiling_is_met_exactly_and_not_exceeded(funded: Table) -> None:
    funded.supply("anna", "ISO", 100_000 * ISO)
    funded.set_collateral("anna", "ISO", True)
    assert not funded.borrow("anna", "USDT", 300_000 * USDT + 10**4)
    assert funded.borrow("anna", "USDT", 300_000 * USDT + 10**4 - 1)
    funded.pass_time(HOUR_S)
    assert funded.repay("anna", "USDT", ALL)
    assert funded.pool.reserves["ISO"].isolation_debt_cents == 0


def test_e_mode_with_its_own_price_is_entered_used_and_liquidated_as_on_the_chain(funded: Table) -> None:
    funded.supply("anna", "WETH", 10 * WETH)
    moves = [
        funded.set_emode("anna", 1),
        funded.borrow("anna", "USDT", USDT),
        funded.borrow("anna", "wstETH", 9 * WETH),
        funded.set_price("WETH", 1),
        funded.set_emode("anna", 0),
        funded.set_emode("anna", 1),
        funded.supply("anna", "USDT", 1_000 * USDT),
        funded.set_price("ETH-like", PRICES["ETH-like"] * 3),
        funded.withdraw("anna", "WETH", WETH),
        funded.borrow("anna", "wstETH", WETH // 2),
        funded.liquidate("anna", "WETH", "wstETH", ALL),
    ]
    assert moves == [True, False, True, True, False, True, True, True, False, False, False]


def test_a_liquidation_inside_e_mode_takes_the_categorys_bonus_and_price(funded: Table) -> None:
    funded.supply("anna", "WETH", 10 * WETH)
    funded.supply("anna", "USDT", 1_000 * USDT)
    funded.set_emode("anna", 1)
    funded.borrow("anna", "wstETH", 9 * WETH)
    # In the category both have one price: the debt has to outgrow the collateral by interest, at a usage of nine tenths.
    funded.withdraw("boris", "wstETH", 490 * WETH)
    funded.pass_time(30 * 24 * HOUR_S)
    assert funded.liquidate("anna", "WETH", "wstETH", WETH)
    assert funded.liquidate("anna", "USDT", "wstETH", WETH // 10)
    assert account_data(funded.users["anna"], funded.pool, funded.prices, funded.now_s).health_factor_wad < 10**18


def test_an_unhealthy_user_may_enter_a_category_and_withdraw_what_is_no_collateral(funded: Table) -> None:
    funded.supply("anna", "WETH", 10 * WETH)
    funded.borrow("anna", "wstETH", 6 * WETH)
    funded.supply("anna", "SILO", 1_000)
    funded.set_price("WETH", PRICES["WETH"] // 3)
    funded.set_price("ETH-like", PRICES["ETH-like"])
    assert funded.withdraw("anna", "SILO", ALL)
    assert not funded.withdraw("anna", "WETH", WETH)
    assert funded.set_emode("anna", 1)


def test_a_collateral_that_lost_its_ltv_has_to_leave_first_as_on_the_chain(funded: Table) -> None:
    funded.supply("anna", "WETH", 10 * WETH)
    funded.supply("anna", "WBTC", 10**8)
    funded.borrow("anna", "USDT", 1_000 * USDT)
    funded.set_ltv("WBTC", 0)
    moves = [
        funded.withdraw("anna", "WETH", WETH),
        funded.set_collateral("anna", "WETH", False),
        funded.withdraw("anna", "WBTC", 10**8 // 2),
        funded.set_collateral("anna", "WBTC", False),
        funded.set_collateral("anna", "WBTC", True),
        funded.withdraw("anna", "WETH", WETH),
    ]
    assert moves == [False, False, True, True, False, True]


def test_one_reserve_as_collateral_and_as_debt_is_liquidated_as_on_the_chain(funded: Table) -> None:
    funded.supply("anna", "WBTC", 10 * 10**8)
    funded.borrow("anna", "WBTC", 7 * 10**8)
    for _ in range(12):
        funded.pass_time(60 * 24 * HOUR_S)
        funded.supply("boris", "WBTC", 1)
    assert funded.liquidate("anna", "WBTC", "WBTC", 10**8)
