"""eth_staking_only: all but the gas reserve is staked; it comes back through the queue or the DEX."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from .staked_world import World, names

D = Decimal


def staker(**more: Any) -> World:
    return World("eth_staking_only", {"wallet": {"ETH": "10.5"}}, more.pop("gas_reserve", "0.5"), **more)


def test_all_but_the_gas_reserve_is_staked_into_the_wrapped_token_once() -> None:
    world = staker()
    assert names(world.step(gas_gwei=1e-9)) == ["stake"]
    assert world.held("wallet", "wstETH") == pytest.approx(D(8))
    assert world.held("wallet", "ETH") == pytest.approx(D("0.5"))
    assert world.run(24) == []


def test_where_gas_is_not_free_the_reserve_stays_whole_after_the_stake_has_been_paid() -> None:
    world = staker()
    world.step(gas_gwei=20)
    assert D("0.5") <= world.held("wallet", "ETH") <= D("0.51")


def test_ether_that_does_not_pay_for_its_gas_is_left_alone() -> None:
    world = World("eth_staking_only", {"wallet": {"ETH": "0.8"}}, "0.5")
    assert world.step(gas_gwei=100) == []
    assert names(world.step(gas_gwei=1)) == ["stake"]


@pytest.mark.parametrize(("protocol", "wrapped", "days"), [("lido", "wstETH", 5), ("etherfi", "weETH", 7)])
def test_through_the_queue_it_asks_waits_and_claims_as_soon_as_it_can(protocol: str, wrapped: str, days: int) -> None:
    world = staker(protocol=protocol, leave_at="2024-06-02")
    world.step()
    asked = world.step(hours=23)
    assert names(asked) == ["unstake"]
    assert (world.held("wallet", wrapped), world.held(protocol, "ETH-QUEUED")) == (D(0), D(10))
    assert world.run(days * 24 - 1) == []
    assert names(world.step()) == ["claim"]
    assert (world.held("wallet", "ETH"), world.held(protocol, "ETH-QUEUED")) == (D("10.5"), D(0))
    assert world.run(48) == []


def test_at_the_dex_it_is_sold_at_once_at_the_markets_price() -> None:
    world = staker(leave_at="2024-06-02", unstake="dex")
    world.step()
    assert names(world.step(hours=23, traded=1.24)) == ["swap", "unwrap"]
    assert world.held("wallet", "ETH") == D("0.5") + 8 * D("1.24")
    assert world.run(24) == []


def test_while_gas_is_more_expensive_than_the_wallet_can_pay_it_waits() -> None:
    world = staker(leave_at="2024-06-02")
    world.step(gas_gwei=1)
    assert world.step(hours=23, gas_gwei=2000) == []
    assert names(world.step(gas_gwei=100)) == ["unstake"]


@pytest.mark.parametrize(("protocol", "sent"), [("lido", []), ("etherfi", ["unstake"])])
def test_the_gas_of_every_request_that_a_call_at_the_queue_is_made_of_is_waited_for(protocol: str, sent: list[str]) -> None:
    world = World("eth_staking_only", {"wallet": {"ETH": "37000.5"}}, "0.5", protocol=protocol, leave_at="2024-06-02")
    world.step()
    assert names(world.step(hours=23, gas_gwei=300)) == sent
    assert names(world.step(gas_gwei=100)) == [step for step in ["unstake"] if not sent]


def test_it_needs_the_redemption_rate_and_a_market_only_where_it_sells() -> None:
    queue, dex = staker(), staker(unstake="dex")
    assert list(queue.strategy.needs(queue.settings.strategy)) == [("staking", "lido", "wstETH")]
    assert list(dex.strategy.needs(dex.settings.strategy)) == [("staking", "lido", "wstETH"), ("dex", "uniswap", "wstETH_WETH")]
