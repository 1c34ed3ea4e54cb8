"""eth_leveraged: the loop reaches its target, by rounds or by a flash loan, and debt goes where health or the spread is bad."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from .staked_world import World, names

D = Decimal
TARGET = D("0.8")


def looper(**more: Any) -> World:
    parameters = {"lender": "aave", "target_ltv": TARGET, "flash": True, **more}
    return World("eth_leveraged", {"wallet": {"ETH": 100}}, parameters.pop("gas_reserve", "0"), **parameters)


def test_a_flash_loan_builds_the_loop_in_one_transaction_to_the_targets_last_wei() -> None:
    world = looper()
    blocks = world.step()
    assert names(blocks) == ["flash_loan(", "set_emode", "unwrap", "stake", "supply", "borrow", ")"]
    assert world.ltv() == pytest.approx(TARGET, abs=D("1e-15"))
    loan = blocks[0]["sub_instructions"][0]["amount"]
    assert world.ether() == pytest.approx(100 - loan * D("0.0005"), abs=D("1e-12"))
    assert world.run(24) == []


def test_rounds_come_within_half_the_tolerance_of_the_target_and_cost_no_fee() -> None:
    world = looper(flash=False, aave={"rate_impact": False})
    first = names(world.step())
    assert first[:3] == ["stake", "supply", "set_emode"]
    assert first[3:7] == ["borrow", "unwrap", "stake", "supply"]
    assert len(world.run(24)) == 1  # twelve rounds a transaction
    assert TARGET - D("0.005") <= world.ltv() <= TARGET
    assert world.ether() == pytest.approx(D(100), abs=D("1e-12"))


@pytest.mark.parametrize("token", ["wstETH", "WETH"])
def test_where_no_e_mode_has_both_tokens_the_loop_is_built_without_one(token: str) -> None:
    world = looper(target_ltv="0.7", aave={"reserves": {token: {"emode_category": 0}}})
    assert names(world.step()) == ["flash_loan(", "unwrap", "stake", "supply", "borrow", ")"]
    assert world.ltv() == pytest.approx(D("0.7"), abs=D("1e-15"))


def test_gas_comes_from_the_capital_and_leaves_the_reserve_whole() -> None:
    for flash in (True, False):
        world = looper(gas_reserve="0.5", flash=flash)
        world.step(gas_gwei=20)
        world.run(3)
        assert D("0.5") <= world.held("wallet", "ETH") <= D(1)


def test_under_the_minimum_health_factor_debt_is_repaid_down_to_the_target() -> None:
    world = looper(min_health_factor="1.1")
    world.step()
    assert world.step(rate=1.24, traded=1.24, oracle=1.24) == []
    blocks = world.step(rate=1.13, traded=1.13, oracle=1.13)
    assert names(blocks) == ["flash_loan(", "repay", "withdraw", "swap", ")", "unwrap"]
    assert world.ltv() == pytest.approx(TARGET, abs=D("0.01"))
    assert all("repay" not in names(later) for later in world.run(24))


def test_a_target_that_is_not_healthy_is_held_at_what_is() -> None:
    world = looper(target_ltv="0.9", min_health_factor="1.1")
    world.run(24)
    health = world.health()
    assert health is not None and D("1.1") < health < D("1.12")
    assert world.run(24) == []


def test_when_borrowing_costs_more_than_staking_earns_the_debt_goes_and_the_stake_stays() -> None:
    world = looper(min_spread_bps=0)
    world.step()
    rate, days = 1.25, []
    for _ in range(8):
        rate *= 1 + 0.03 / 365
        days.append(names(world.step(hours=24, rate=rate, traded=rate, oracle=rate, borrow_rate=0.06)))
        if days[-1]:
            break
    assert days == [[]] * 6 + [["flash_loan(", "repay", "withdraw", "swap", ")", "unwrap"]], "judged when the window is full"
    assert world.held("aave", "variableDebtWETH") == 0
    assert world.held("aave", "awstETH") > 0


def test_it_borrows_again_only_when_the_spread_is_above_the_limit_by_the_hysteresis() -> None:
    world = looper(min_spread_bps=0, spread_hysteresis_bps=150, spread_window_hours=24)
    world.step()
    rate = 1.25

    def day(borrow: float) -> bool:
        nonlocal rate
        rate *= 1 + 0.03 / 365
        world.step(hours=24, rate=rate, traded=rate, oracle=rate, borrow_rate=borrow)
        return world.held("aave", "variableDebtWETH") > 0

    assert [day(borrow) for borrow in (0.02, 0.06, 0.02, 0.02, 0.012, 0.012)] == [True, False, False, False, False, True]


WHALE = 140_000  # ETH; its debt at the target is 420,000 of the million WETH in the pool


def whale(*, rate_impact: bool, **more: Any) -> World:
    """A loop that is large compared with the pool."""
    parameters = {"lender": "aave", "target_ltv": "0.75", "flash": True, "spread_hysteresis_bps": 0, "min_health_factor": 1, **more}
    return World("eth_leveraged", {"wallet": {"ETH": WHALE}}, aave={"rate_impact": rate_impact}, **parameters)


@pytest.mark.parametrize(("rate_impact", "leaves"), [(False, False), (True, True)])
def test_the_spread_is_against_the_rate_that_the_debt_pays_or_would_pay(rate_impact: bool, leaves: bool) -> None:
    world = whale(rate_impact=rate_impact)
    world.step()
    rate, plans = 1.25, []
    for _ in range(20):  # staking earns 3 %, borrowing costs 2.5 % without us
        rate *= 1 + 0.03 / 365
        plans += [names(world.step(hours=24, rate=rate, traded=rate, oracle=rate, borrow_rate=0.025))]
    assert [plan for plan in plans if "repay" in plan] == ([["flash_loan(", "repay", "withdraw", "swap", ")", "unwrap"]] if leaves else [])
    assert (world.held("aave", "variableDebtWETH") == 0) is leaves, "and it is not built again while it would pay too much"


def test_a_debt_larger_than_the_lenders_cash_is_repaid_in_steps_and_waits_while_there_is_none() -> None:
    world = whale(rate_impact=True, unstake="dex", leave_at="2024-06-02")
    world.step()
    assert world.step(hours=23, borrowed=7e5) == [], "others have borrowed all that we left"
    left = []
    while (debt := world.held("aave", "variableDebtWETH")) and len(left) < 9:
        world.step(borrowed=4e5)
        left.append(round(debt - world.held("aave", "variableDebtWETH"), -4))
    assert left == [180_000, 240_000]
    assert world.held("aave", "awstETH") == world.held("wallet", "wstETH") == 0


@pytest.mark.parametrize(("unstake", "steps"), [("queue", ["swap", ")", "unwrap", "unstake"]), ("dex", ["swap", ")", "unwrap"])])
def test_it_leaves_in_one_transaction_with_the_debt_paid_from_a_sale(unstake: str, steps: list[str]) -> None:
    world = looper(unstake=unstake, leave_at="2024-06-02")
    world.step()
    assert names(world.step(hours=23)) == ["flash_loan(", "repay", "withdraw", *steps]
    assert (world.held("aave", "awstETH"), world.held("aave", "variableDebtWETH"), world.held("wallet", "wstETH")) == (0, 0, 0)
    world.run(24 * 6)
    assert world.held("wallet", "ETH") == pytest.approx(D("99.6"), abs=D("0.05")), "the fees of two flash loans are gone, no more"
    assert world.held("lido", "ETH-QUEUED") == 0


def test_a_discount_of_the_market_is_paid_on_the_debt_alone_when_the_rest_goes_through_the_queue() -> None:
    ends = {}
    for unstake in ("queue", "dex"):
        world = looper(unstake=unstake, leave_at="2024-06-02")
        world.step()
        world.step(hours=23, traded=1.2)
        world.run(24 * 6)
        ends[unstake] = world.held("wallet", "ETH")
    assert ends["queue"] > ends["dex"] + 1


@pytest.mark.parametrize("flash", [True, False])
def test_at_morpho_the_same_loop_stands_on_its_market_and_comes_down_again(flash: bool) -> None:
    world = looper(lender="morpho", flash=flash, leave_at="2024-06-02", unstake="dex")
    first = names(world.step())
    assert {"set_emode", "supply"}.isdisjoint(first)
    world.run(4)
    collateral, debt = (world.held("morpho", f"morpho:wstETH/WETH:{side}") for side in ("collateral", "debt"))
    assert TARGET - D("0.005") <= debt / (collateral * D("1.25")) <= TARGET + D("1e-6")
    world.run(24)
    assert (world.held("morpho", "morpho:wstETH/WETH:collateral"), world.held("morpho", "morpho:wstETH/WETH:debt")) == (0, 0)
    assert world.held("wallet", "ETH") == pytest.approx(D(100), abs=D("0.1")), "its flash loans are free, and interest runs for a day"


def test_at_morpho_the_spread_is_against_the_markets_own_rate() -> None:
    held = []
    for borrow_rate in (0.02, 0.04):
        world = looper(lender="morpho", spread_window_hours=24, min_spread_bps=0)
        world.step(borrow_rate=borrow_rate)
        for day in (1, 2):
            rate = 1.25 * (1 + 0.03 / 365 * day)
            world.step(hours=24, rate=rate, traded=rate)
        held.append(world.held("morpho", "morpho:wstETH/WETH:debt") > 0)
    assert held == [True, False]


def test_while_gas_is_more_expensive_than_the_wallet_can_pay_nothing_is_repaid() -> None:
    world = looper(min_health_factor="1.1", gas_reserve="0.05")
    world.step(gas_gwei=1)
    low = {"rate": 1.13, "traded": 1.13, "oracle": 1.13}
    assert world.step(gas_gwei=20_000, **low) == []
    assert names(world.step(gas_gwei=1)) == ["flash_loan(", "repay", "withdraw", "swap", ")", "unwrap"]


@pytest.mark.parametrize("flash", [True, False])
def test_of_a_market_that_is_nearly_lent_out_it_borrows_what_is_there(flash: bool) -> None:
    """1,000 of 10,000 WETH are free, and nine times the capital of 1,000 are wanted."""
    world = World("eth_leveraged", {"wallet": {"ETH": 1000}}, "0", lender="morpho", target_ltv="0.9", flash=flash)
    world.step()
    debt = world.held("morpho", "morpho:wstETH/WETH:debt")
    assert (D(490) if flash else D(990)) < debt < 1000
    world.run(5)
    assert world.held("morpho", "morpho:wstETH/WETH:debt") < 1001


@pytest.mark.parametrize("flash", [True, False])
def test_under_a_cap_that_is_nearly_reached_it_supplies_what_the_cap_leaves(flash: bool) -> None:
    world = World(
        "eth_leveraged", {"wallet": {"ETH": 100}}, "0", {"reserves": {"wstETH": {"supply_cap": 1_000_020}}},
        lender="aave", target_ltv="0.7", flash=flash,
    )  # fmt: skip
    world.run(5)
    assert D(10) < world.held("aave", "awstETH") <= 20
    assert world.held("wallet", "wstETH") > 50


def test_what_the_first_round_has_to_open_is_paid_without_a_reserve() -> None:
    world = looper(protocol="etherfi", flash=False, target_ltv="0.3", ltv_tolerance_bps=2_000)
    blocks = world.step(gas_gwei=28.5)
    assert [name for name in names(blocks) if name in ("set_emode", "borrow")] == ["set_emode", "borrow"]
    assert world.held("aave", "variableDebtWETH") > 29
