"""usdt_market_neutral: the stake is hedged wherever its ether is, margin is brought when it is short, and it ends flat."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from basis_strategy_v1.strategies.strategy import trade, transfer

from .staked_world import World, names

D = Decimal
CAPITAL = 100_000


def neutral(**more: Any) -> World:
    perp = more.pop("perp_venue", "bybit")
    margin = CAPITAL if perp == "bybit" else CAPITAL // 2
    positions = {"bybit": {"USDT": margin}} | ({} if perp == "bybit" else {perp: {"USDT": CAPITAL - margin}})
    return World("usdt_market_neutral", positions | {"wallet": {"ETH": "0.1"}}, "0.1", spot_venue="bybit", perp_venue=perp, **more)


def gap(world: World, perp_venue: str = "bybit") -> Decimal:
    """ETH that no short stands against."""
    return world.ether() + world.held(perp_venue, "ETHUSDT-PERP")


def test_it_buys_and_sells_short_in_one_plan_then_sends_the_ether_and_stakes_it() -> None:
    world = neutral()
    plans = [names(blocks) for blocks in (world.step(), world.step(), world.step(), world.step())]
    assert plans == [["buy spot", "sell perp"], ["bybit->wallet"], ["stake"], []]
    assert world.held("wallet", "wstETH") * D("1.25") == pytest.approx(D("16.7"), abs=D("0.05"))
    assert abs(gap(world)) < D("0.02")


def test_ether_on_its_way_is_hedged_and_waited_for() -> None:
    world = neutral()
    world.step()
    world.step()
    assert world.held("in_transit", "ETH") > 16
    assert abs(gap(world)) < D("0.02")
    assert world.step(hours=0.1) == []


def test_with_a_lender_the_stake_is_collateral_and_the_exposure_stays_hedged() -> None:
    world = neutral(lender="aave", target_ltv="0.7", flash=True)
    world.run(4)
    assert world.ltv() == pytest.approx(D("0.7"), abs=D("1e-9"))
    assert abs(gap(world)) < D("0.05")


def test_what_staking_earns_is_hedged_when_it_is_more_than_the_tolerance() -> None:
    world = neutral(hedge_tolerance_bps=50)
    world.run(4)
    assert world.step(rate=1.254) == []
    assert names(world.step(rate=1.26)) == ["sell perp"]
    assert abs(gap(world)) < D("0.02")


def raised(world: World, steps: int = 400) -> list[list[str]]:
    """The plans after the price has risen by a quarter."""
    world.run(4)
    first = world.step(price=3750.0)
    found = [names(first)] if first else []
    for _ in range(steps):
        blocks = world.step()
        assert abs(gap(world, world.settings.strategy.perp_venue)) < D("0.15")
        if blocks:
            found.append(names(blocks))
    return found


def leverage(world: World) -> Decimal:
    return world.portfolio.margin(world.settings.strategy.perp_venue, world.manager.account.market(world.at)).leverage


def test_margin_is_freed_through_the_queue_and_the_legs_shrink_together() -> None:
    world = neutral()
    plans = raised(world)
    assert plans[:4] == [["unstake"], ["claim"], ["wallet->bybit"], ["sell spot", "buy perp"]]
    assert leverage(world) == pytest.approx(D(1), abs=D("0.05"))


def test_at_the_dex_it_is_freed_within_hours() -> None:
    world = neutral(unstake="dex", perp_venue="binance")
    plans = raised(world, 6)
    assert plans[:3] == [["swap", "unwrap"], ["wallet->bybit"], ["sell spot", "buy perp", "bybit->binance"]]
    assert leverage(world) == pytest.approx(D(1), abs=D("0.05"))


def test_from_a_loop_it_is_freed_at_the_same_share_of_debt() -> None:
    world = neutral(lender="aave", target_ltv="0.7", flash=True)
    plans = raised(world, 6)
    assert plans[:3] == [["flash_loan(", "repay", "withdraw", "swap", ")", "unwrap"], ["wallet->bybit"], ["sell spot", "buy perp"]]
    assert world.ltv() == pytest.approx(D("0.7"), abs=D("0.01"))


def test_ignored_it_is_not_freed() -> None:
    world = neutral(on_margin_shortage="ignore")
    assert raised(world, 24) == []


def test_after_a_fall_both_legs_grow_with_the_margin_that_came_free() -> None:
    world = neutral()
    world.run(4)
    assert names(world.step(price=2400.0)) == ["buy spot", "sell perp"]
    assert [names(blocks) for blocks in world.run(6)] == [["bybit->wallet"], ["stake"]]
    assert abs(gap(world)) < D("0.05")


def test_with_two_accounts_the_margin_is_sent_once_and_invested_when_it_has_come() -> None:
    world = neutral(perp_venue="binance", usdt_minutes=10)
    world.run(4)
    sent = world.step(price=2600.0)
    assert names(sent) == ["binance->bybit"]
    assert sent[0]["amount"] > 5000
    assert world.step(hours=0.1) == []
    assert names(world.step(price=2550.0)) == ["buy spot", "sell perp"], "the price has moved on, by less than the threshold"
    assert [names(blocks) for blocks in world.run(24)] == [["bybit->wallet"], ["stake"]]
    assert abs(gap(world, "binance")) < D("0.05")


@pytest.mark.parametrize("unstake", ["queue", "dex"])
@pytest.mark.parametrize("loop", [{}, {"lender": "aave", "target_ltv": "0.7", "flash": True}], ids=["plain", "loop"])
def test_it_ends_flat_with_the_short_closed_as_the_ether_is_sold(unstake: str, loop: dict[str, Any]) -> None:
    world = neutral(unstake=unstake, leave_at="2024-06-02", **loop)
    for _ in range(24 * 8):
        world.step()
        assert abs(gap(world)) < D("0.15")
    assert world.held("bybit", "ETHUSDT-PERP") == 0
    assert world.held("wallet", "wstETH") == world.held("aave", "awstETH") == world.held("aave", "variableDebtWETH") == 0
    assert world.ether() == pytest.approx(D("0.1"), abs=D("0.02")), "the gas reserve is left"
    assert world.held("bybit", "USDT") > CAPITAL * D("0.995")
    assert world.run(24) == []


def test_used_gas_is_bought_again_and_hedged() -> None:
    world = neutral()
    world.run(4)
    for block in (transfer("wallet", "bybit", "ETH", D("0.06")), trade("bybit", "spot", "sell", "ETHUSDT", D("0.06"))):
        world.manager.execute(world.at, block)
    assert names(world.step()) == ["buy spot", "sell perp"]
    assert names(world.step()) == ["bybit->wallet"]
    world.step()
    assert world.held("wallet", "ETH") > D("0.1")


def test_after_a_liquidation_the_stake_is_given_back_for_good() -> None:
    world = neutral(unstake="dex", perp_venue="binance", on_margin_shortage="ignore")
    world.run(4)
    world.step(hours=24, price=6600.0)
    assert world.held("binance", "ETHUSDT-PERP") == 0
    world.run(6)
    assert world.held("wallet", "wstETH") == 0
    assert world.held("bybit", "ETH") < D("0.001")
    assert world.run(48) == []


def given(usdt: int) -> World:
    positions = {"bybit": {"USDT": usdt, "ETH": 10}, "wallet": {"ETH": "0.1"}}
    return World("usdt_market_neutral", positions, "0.1", spot_venue="bybit", perp_venue="bybit")


@pytest.mark.parametrize(("usdt", "first"), [(60_000, ["sell perp"]), (1000, ["sell spot"])], ids=["with margin", "without"])
def test_ether_that_it_was_given_is_hedged_or_sold_and_then_staked(usdt: int, first: list[str]) -> None:
    world = given(usdt)
    assert names(world.step()) == first
    world.run(12)
    assert abs(gap(world)) < D("0.1")
    assert world.held("wallet", "wstETH") * D("1.25") > D("0.98") * (usdt + 30_000) / 6000
    assert world.run(12) == []


def test_a_loop_of_which_the_rest_would_be_unhealthy_is_sold_whole() -> None:
    world = neutral(lender="aave", target_ltv="0.9", flash=True, unstake="dex", sale_slippage_bps=1000)
    world.run(4)
    assert names(world.step(price=5500.0)) == ["flash_loan(", "repay", "withdraw", "swap", ")", "unwrap"]
    assert world.held("aave", "variableDebtWETH") == world.held("aave", "awstETH") == 0


def test_ether_is_hedged_only_as_far_as_the_margin_is_enough_for_the_exchange() -> None:
    world = neutral(on_margin_shortage="ignore")
    world.run(4)
    world.step(price=5900.0)
    assert names(world.step(rate=2.5)) == ["sell perp"], "of twice the ether"
    assert D(80) < leverage(world) < D(100)
    world.run(4)
    assert gap(world) > 1


def test_gas_is_not_bought_where_the_short_of_it_lacks_margin() -> None:
    world = neutral(on_margin_shortage="ignore")
    world.run(4)
    for block in (transfer("wallet", "bybit", "ETH", D("0.06")), trade("bybit", "spot", "sell", "ETHUSDT", D("0.06"))):
        world.manager.execute(world.at, block)
    assert world.step(price=5935.0) == []
    assert names(world.step(price=5000.0)) == ["buy spot", "sell perp"]
