"""A chain of our instructions against the same steps in one EVM transaction, on the real contracts of Aave, Uniswap and Morpho and
our own of Curve and of the staking protocols."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.tokens import decimals_of, to_amount
from basis_strategy_v1.live.download import uniswap_pool_state
from basis_strategy_v1.venues.pool_swap import MovedPools
from basis_strategy_v1.venues.uniswap_data import pool_from_row

from .chain import TransactionReverted
from .chain_deployment import USD, deploy_world
from .chain_model import HELD, our_balances, simulated
from .chain_world import MARKET_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .chain import Chain
    from .chain_world import World

pytestmark = pytest.mark.chain


@pytest.fixture(scope="module")
def deployed(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    before = chain.snapshot()
    yield deploy_world(chain, tmp_path_factory.mktemp("world"))
    chain.revert(before)


@pytest.fixture
def world(deployed: World, tmp_path: Path) -> Iterator[World]:
    before = deployed.chain.snapshot()
    yield replace(deployed, folder=tmp_path)
    deployed.chain.revert(before)


def step(protocol: str, name: str, token: str, amount: Any, **fields: Any) -> dict[str, Any]:
    return {"protocol": protocol, "action": name, "token": token, "amount": amount, **fields}


def on_morpho(name: str, token: str, amount: Any) -> dict[str, Any]:
    return step("morpho", name, token, amount, market=MARKET_NAME)


def flash(amount: Any, *steps: dict[str, Any]) -> dict[str, Any]:
    return step("morpho", "flash_loan", "USDC", amount, sub_instructions=list(steps))


def of(place: int, fraction: str = "1") -> dict[str, Any]:
    return {"output_of": place, "fraction": fraction}


LOAN = flash(
    "90000.5",
    on_morpho("supply_collateral", "wstETH", "200.5"),
    on_morpho("borrow", "USDC", "100000.123456"),
    on_morpho("repay", "USDC", "777.000001"),
)
LENDING_AND_SWAPS = [
    step("aave", "supply", "WETH", "100.123456789012345678"),
    step("aave", "borrow", "USDT", "90000.000001"),
    step("uniswap", "swap", "USDT", "40000.000001", token_out="WETH"),
    step("uniswap", "swap", "USDT", "50000", token_out="WETH"),  # finds the pool that the one before left
    step("aave", "supply", "WETH", of(2)),
    step("aave", "repay", "USDT", "123.456789"),
    step("aave", "withdraw", "WETH", "1.000000000000000007"),
    step("uniswap", "swap", "WETH", of(3, "0.5"), token_out="USDT"),
    LOAN,
]
# A loop in one loan: what is lent buys ether, which is staked and wrapped to secure the debt that pays the loan back.
STAKED_LOOP = flash(
    "90000.5",
    step("curve", "swap", "USDC", "90000.5", token_out="USDT"),
    step("uniswap", "swap", "USDT", of(0), token_out="WETH"),
    step("wallet", "unwrap", "WETH", of(1)),
    step("lido", "stake", "ETH", of(2)),
    step("lido", "wrap", "stETH", of(3)),
    on_morpho("supply_collateral", "wstETH", "all"),
    on_morpho("borrow", "USDC", "95000.123456"),
    on_morpho("repay", "USDC", "777.000001"),
)
STAKING_AND_CURVE = [
    STAKED_LOOP,
    step("etherfi", "stake", "ETH", "5.123456789012345678"),
    step("etherfi", "wrap", "eETH", "3.3"),
    step("curve", "swap", "weETH", of(2, "0.7"), token_out="WETH"),  # at the rate that the protocol reports to the pool
    step("curve", "swap", "WETH", of(3, "0.5"), token_out="weETH"),
    step("wallet", "wrap", "ETH", "0.000000000000000007"),
    step("etherfi", "unwrap", "weETH", "1.000000000000000001"),
    step("lido", "stake", "ETH", "2.000000000000000003", token_out="wstETH"),
    step("aave", "supply", "WETH", "50"),
    step("aave", "borrow", "USDT", "20000.000001"),
    step("curve", "swap", "USDT", "15000.000001", token_out="USDC"),
    on_morpho("repay", "USDC", of(10, "0.9")),
]
CHAINS = {"lending and swaps": LENDING_AND_SWAPS, "staking and Curve": STAKING_AND_CURVE}


@pytest.mark.parametrize("steps", CHAINS.values(), ids=CHAINS)
def test_a_chain_gives_the_same_to_the_wei_as_one_transaction(world: World, steps: list[dict[str, Any]]) -> None:
    world.write_data()
    at_s = world.chain.timestamp() + 12_345
    market = world.snapshot(at_s)
    state, moved = simulated(steps, market)
    before = world.balances()
    assert before == {token: 1_000 * 10 ** decimals_of(token) for token in HELD}
    world.run(steps, at_s)
    theirs = world.balances()
    assert our_balances(state) == theirs
    for token in HELD:
        reported = sum((amount for (_, name), amount in moved.deltas.items() if name == token), Decimal(0))
        assert reported == to_amount(token, theirs.get(token, 0) - before[token]), token
    left = {name: pool for venue in ("uniswap", "curve") for name, (_, pool) in state.part(venue, MovedPools).states.items()}
    assert left == {name: pool for name, pool in world.pools().items() if name in left}
    assert set(left) == ({"USDT_WETH_500"} if steps is LENDING_AND_SWAPS else set(world.pools()))


FAILING = {
    "borrow": (LENDING_AND_SWAPS, 3, step("aave", "borrow", "USDT", "200000")),
    "withdraw": (LENDING_AND_SWAPS, 3, step("aave", "withdraw", "WETH", "95")),
    "min_amount_out": (LENDING_AND_SWAPS, 3, step("uniswap", "swap", "USDT", "20000", token_out="WETH", min_amount_out="8")),
    "balance": (LENDING_AND_SWAPS, 3, step("uniswap", "swap", "USDT", "99000", token_out="WETH")),
    "inside a flash loan": (LENDING_AND_SWAPS, 3, flash(
        "90000", on_morpho("supply_collateral", "wstETH", "10"), on_morpho("borrow", "USDC", "24941"))),
    "a flash loan not paid back": (STAKING_AND_CURVE, 1, flash("90000", step("curve", "swap", "USDC", "91000", token_out="USDT"))),
    "min_amount_out on Curve": (STAKING_AND_CURVE, 5, step("curve", "swap", "weETH", "1", token_out="WETH", min_amount_out="1.06")),
    "balance for Curve": (STAKING_AND_CURVE, 5, step("curve", "swap", "weETH", "1100", token_out="WETH")),
    "stake": (STAKING_AND_CURVE, 5, step("lido", "stake", "ETH", "995")),
    "wrap": (STAKING_AND_CURVE, 5, step("etherfi", "wrap", "eETH", "5")),
    "unwrap": (STAKING_AND_CURVE, 5, step("etherfi", "unwrap", "weETH", "1003")),
    "after the loop": (STAKING_AND_CURVE, 5, on_morpho("borrow", "USDC", "3000000")),
}  # fmt: skip


@pytest.mark.parametrize(("steps", "index", "failing"), FAILING.values(), ids=FAILING)
def test_a_chain_that_fails_changes_nothing_on_either_side(
    world: World, steps: list[dict[str, Any]], index: int, failing: dict[str, Any]
) -> None:
    world.write_data()
    at_s = world.chain.timestamp() + 600
    market, steps = world.snapshot(at_s), [*steps[:index], failing]
    with pytest.raises(VenueRejected, match=r"^(OCH|DEX)-001") as refused:
        simulated(steps, market)
    assert refused.value.message.startswith(f"step {index} ({failing['protocol']} {failing['action']})")
    before = world.balances(), world.pools()
    with pytest.raises(TransactionReverted):
        world.run(steps, at_s)
    assert (world.balances(), world.pools()) == before
    world.run(steps[:index])


# What Morpho has at hand: 200,000 USDC are lent and not borrowed

SECURED = on_morpho("supply_collateral", "wstETH", "500")
CASH = {
    "all of it": ([flash("200000", on_morpho("supply", "USDC", "1"))], True),
    "a base unit more": ([flash("200000.000001", on_morpho("supply", "USDC", "1"))], False),
    "all of it, and a base unit borrowed": ([SECURED, flash("200000", on_morpho("borrow", "USDC", "0.000001"))], False),
    "the rest borrowed": ([SECURED, flash("195000", on_morpho("borrow", "USDC", "5000"))], True),
    "a base unit more than the rest borrowed": ([SECURED, flash("195000", on_morpho("borrow", "USDC", "5000.000001"))], False),
    "borrowed before": ([SECURED, on_morpho("borrow", "USDC", "5000"), flash("195000.000001", on_morpho("supply", "USDC", "1"))], False),
    "own supply withdrawn": ([on_morpho("supply", "USDC", "900"), flash("200899.999999", on_morpho("withdraw", "USDC", "1"))], False),
    "own supply withdrawn from the rest": ([on_morpho("supply", "USDC", "900"), flash("200899", on_morpho("withdraw", "USDC", "1"))], True),
    "what comes in goes out": (
        [SECURED, flash("200000", on_morpho("supply", "USDC", "300"), on_morpho("borrow", "USDC", "300"))], True),
    "more than came in goes out": (
        [SECURED, flash("200000", on_morpho("supply", "USDC", "300"), on_morpho("borrow", "USDC", "300.000001"))], False),
    "a loan within a loan": ([flash("150000", flash("50000", on_morpho("supply", "USDC", "1")))], True),
    "a loan within a loan of too much": ([flash("150000", flash("50000.000001", on_morpho("supply", "USDC", "1")))], False),
    "one loan after the other": ([flash("200000", SECURED), flash("200000", on_morpho("borrow", "USDC", "0.000001"))], False),
    "collateral while the other token is out": ([SECURED, flash("200000", on_morpho("withdraw_collateral", "wstETH", "499"))], True),
}  # fmt: skip


@pytest.mark.parametrize(("steps", "is_done"), CASH.values(), ids=CASH)
def test_what_is_out_in_a_flash_loan_is_missing_on_both_sides(world: World, steps: list[dict[str, Any]], is_done: bool) -> None:
    world.write_data()
    assert world.at_hand() == 200_000 * USD
    at_s = world.chain.timestamp() + 3_600
    market = world.snapshot(at_s)
    before = world.balances()
    if is_done:
        state, _ = simulated(steps, market)
        world.run(steps, at_s)
        assert our_balances(state) == world.balances() != before
        return
    with pytest.raises(VenueRejected, match=r"at hand in the markets known|out in a flash loan"):
        simulated(steps, market)
    with pytest.raises(TransactionReverted):
        world.run(steps, at_s)
    assert world.balances() == before


def test_a_window_of_the_tick_map_is_read_and_closed_at_its_ends(world: World) -> None:
    block = int(world.chain.rpc("eth_blockNumber"), 16)
    narrow = pool_from_row(uniswap_pool_state(world.chain.url, world.pool.address, block, 0))
    whole = world.pool.state()
    assert (narrow.pool.sqrt_price_x96, narrow.pool.liquidity) == (whole.sqrt_price_x96, whole.liquidity)
    assert {narrow.token0, narrow.token1} == {("USDT", 6), ("WETH", 18)}
    assert len(narrow.pool.ticks) <= len(whole.ticks) + 2
    assert sum(net for _, net in narrow.pool.ticks) == 0
