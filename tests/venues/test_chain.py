"""Chains of actions in one transaction: the state goes through them, all or nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.state import State
from basis_strategy_v1.core.tokens import to_amount, to_units

from ..world import STAKED, action, chain, exactly, holding, market, run, venues

D = Decimal
NOW = market()
ALL = venues({"wallet": {"gas_price_gwei": 0}, "uniswap": {"fee": 0, "slippage_bps": 0}})


def held(**wallet: Any) -> State:
    return holding(ALL, NOW, wallet=wallet)


def refused(block: dict[str, Any], state: State) -> str:
    with pytest.raises(VenueRejected) as caught:
        run(block, ALL, state, NOW)
    return caught.value.message


def test_a_step_sees_what_the_steps_before_it_left():
    block = chain(action("wallet", "wrap", "ETH", 3), action("aave", "supply", "WETH", "all"), action("aave", "borrow", "USDT", 1000))
    moved = run(block, ALL, held(ETH=5), NOW)
    assert moved.state.positions()["wallet"] == {"ETH": D(2), "USDT": D(1000)}
    assert moved.details["step_2"]["health_factor"].startswith("8.2")


@exactly
def test_an_amount_can_be_the_output_of_an_earlier_step_or_a_fraction_of_it():
    block = chain(
        action("lido", "stake", "ETH", 2, token_out="wstETH"),
        action("wallet", "wrap", "ETH", 1),
        action("aave", "supply", "wstETH", {"output_of": 0, "fraction": "0.5"}),
    )
    moved = run(block, ALL, held(ETH=5), NOW)
    positions = moved.state.positions()
    shares = to_units("wstETH", 2 / D(str(STAKED["wstETH"])))
    # Of an odd wei the wallet keeps the half.
    kept, supplied = (to_amount("wstETH", units) for units in (shares - shares // 2, shares // 2))
    assert (positions["wallet"]["wstETH"], positions["aave"]["awstETH"]) == (kept, supplied)


def test_an_output_that_a_step_did_not_pay_is_refused_naming_what_it_paid():
    block = chain(action("wallet", "wrap", "ETH", 1), action("aave", "supply", "USDT", {"output_of": 0}))
    assert refused(block, held(ETH=5)) == "step 1 (aave supply): step 0 paid out WETH, not USDT"
    block = chain(action("aave", "set_emode", category=1), action("wallet", "wrap", "ETH", {"output_of": 0}))
    assert refused(block, held(ETH=5)) == "step 1 (wallet wrap): step 0 paid out nothing, not ETH"


def test_a_step_cannot_refer_to_a_later_one():
    block = chain(action("wallet", "wrap", "ETH", {"output_of": 1}), action("wallet", "wrap", "ETH", 1))
    with pytest.raises(ComponentError, match=r"EIM-001.*step 0: wrap: amount refers to the output of step 1"):
        run(block, ALL, held(ETH=5), NOW)


def test_all_of_nothing_and_less_than_a_base_unit_are_refused():
    assert refused(action("aave", "supply", "USDT", "all"), held(ETH=1)) == "aave supply of all USDT: there is none"
    assert refused(action("aave", "supply", "USDT", "0.0000009"), held(USDT=1)) == "0.0000009 USDT is less than one base unit of it"


def test_an_amount_is_floored_to_base_units():
    moved = run(action("aave", "supply", "USDT", "1.2345678"), ALL, held(USDT=2), NOW)
    assert moved.deltas.get("aave", "USDT") == D("-1.234567")


def test_gas_is_paid_once_for_the_chain():
    all_venues = venues({"wallet": {"gas_price_gwei": 10}})
    state = holding(all_venues, NOW, wallet={"ETH": 5})
    moved = run(chain(action("wallet", "wrap", "ETH", 1), action("wallet", "unwrap", "WETH", 1)), all_venues, state, NOW)
    assert moved.deltas == Deltas.at("wallet", {"ETH": -D("0.00111")})  # (21,000 + 2 * 45,000) * 10 gwei
    assert moved.costs == (Cost("gas", "ETH", D("0.00111")),)


def test_an_exchange_has_no_actions():
    assert refused(action("bybit", "supply", "USDT", "all"), held(USDT=6_000)) == "bybit has no actions; got supply"


# Flash loans.


def test_only_a_lender_of_flash_loans_gives_one():
    loan = action("lido", "flash_loan", "USDT", 5, sub_instructions=[action("wallet", "wrap", "ETH", 1)])
    assert refused(loan, held(ETH=1)) == "lido has no flash loans; take one from another protocol"


def test_a_flash_loan_costs_its_premium_and_leaves_what_its_steps_did():
    loan = action("aave", "flash_loan", "USDT", 10_000, sub_instructions=[
        action("aave", "supply", "USDT", 9_000), action("aave", "borrow", "USDT", 4_000),
    ])  # fmt: skip
    moved = run(loan, ALL, held(USDT=6_000), NOW)
    assert moved.costs[-1] == Cost("fees", "USDT", D(5))
    assert moved.details["flash_fee"] == "5"
    assert moved.state.positions()["wallet"] == {"USDT": D(6_000 - 9_000 + 4_000 - 5)}
    assert moved.deltas.get("aave", "USDT") == D(-5_005)


def test_a_flash_loan_that_cannot_be_paid_back_is_refused_with_the_numbers():
    loan = action("aave", "flash_loan", "USDT", 10_000, sub_instructions=[action("aave", "supply", "USDT", 1_000)])
    assert refused(loan, held(USDT=1_004)) == (
        "flash loan of 10000 USDT owes 10005 at its end, the wallet then holds 10004; borrow less or let a step bring the rest"
    )
    assert refused(chain(loan), held(USDT=1_004)).startswith("flash loan of 10000 USDT")
    wrap = action("wallet", "wrap", "ETH", 1)
    assert refused(chain(wrap, loan), held(USDT=1_004, ETH=2)).startswith("step 1 (aave flash_loan): flash loan of 10000 USDT")


def test_a_failure_inside_a_flash_loan_names_both_places():
    loan = action("aave", "flash_loan", "USDT", 100, sub_instructions=[action("wallet", "wrap", "ETH", 9)])
    message = refused(chain(action("wallet", "wrap", "ETH", 1), loan), held(ETH=2))
    assert message == (
        "step 1 (aave flash_loan): step 0 (wallet wrap): wallet wrap needs 9 ETH, wallet holds 1; use less or move ETH there first"
    )


def test_a_flash_loan_needs_a_number():
    loan = action("aave", "flash_loan", "USDT", "all", sub_instructions=[action("wallet", "wrap", "ETH", 1)])
    with pytest.raises(ComponentError, match="number"):
        run(loan, ALL, held(ETH=2, USDT=5), NOW)


def test_a_flash_loan_of_an_unknown_token_is_refused():
    loan = action("aave", "flash_loan", "DOGE", 1, sub_instructions=[action("wallet", "wrap", "ETH", 1)])
    assert refused(loan, held(ETH=2)).startswith("aave has no reserve of DOGE; it has WETH, ")


def test_where_no_balances_are_known_a_loan_is_paid_back_from_anywhere():
    loan = action("aave", "flash_loan", "USDT", 100, sub_instructions=[action("aave", "supply", "USDT", 100)])
    moved = run(loan, ALL, State(checked=False), NOW)
    assert moved.deltas == Deltas.at("aave", {"USDT": D("-100.05"), "aUSDT": D(100)})


def test_a_lender_lends_no_more_than_it_has_and_has_it_again_afterwards():
    """600,000 USDT are in Aave; what is out cannot be borrowed by the steps, what they bring can."""
    secure, wrap = action("aave", "supply", "WETH", "all"), action("wallet", "wrap", "ETH", 200)

    def steps(*inner: dict[str, Any]) -> dict[str, Any]:
        loan = action("aave", "flash_loan", "USDT", 599_000, sub_instructions=list(inner))
        return chain(wrap, secure, loan, action("aave", "borrow", "USDT", 2_000))

    def borrow(amount: int) -> dict[str, Any]:
        return action("aave", "borrow", "USDT", amount)

    rich = held(ETH=200, USDT=1_000)
    assert run(steps(borrow(900)), ALL, rich, NOW).state.positions()["wallet"] == {"USDT": D("3600.5")}
    expected = refused(steps(borrow(1_001)), rich)
    assert expected.startswith("step 2 (aave flash_loan): step 0 (aave borrow): aave borrow of 1001 USDT: ")
    brought = steps(action("aave", "supply", "USDT", 500), borrow(1_500))
    assert run(brought, ALL, rich, NOW).state.positions()["wallet"] == {"USDT": D("3700.5")}
    loan = action("aave", "flash_loan", "USDT", 600_001, sub_instructions=[borrow(1)])
    assert refused(chain(wrap, loan), rich).startswith("step 1 (aave flash_loan): aave flash_loan")


@exactly
def test_where_no_balances_are_known_a_payment_in_a_rebasing_token_is_reported():
    """It is paid from nowhere, which is no growth of it."""
    own = venues({"wallet": {"gas_price_gwei": 0}, "morpho": {"markets": {"stETH/WETH": {"lltv_bps": 8600, "total_supply": 1000}}}})
    secured = action("morpho", "supply_collateral", "stETH", 4, market="stETH/WETH")
    moved = run(chain(action("lido", "stake", "ETH", 10), secured), own, State(checked=False), NOW)
    assert moved.deltas.tokens("morpho") == {"stETH": D(-4), "morpho:stETH/WETH:collateral": D(4)}
    assert sum(abs(cost.amount) for cost in moved.costs) <= D("1e-18")


def test_the_outputs_of_a_flash_loan_are_those_of_its_steps_together():
    two = action("aave", "flash_loan", "USDT", 100, sub_instructions=[
        action("wallet", "wrap", "ETH", 1), action("uniswap", "swap", "USDT", 33, token_out="WETH"),
    ])  # fmt: skip
    moved = run(chain(two, action("aave", "supply", "WETH", {"output_of": 0})), ALL, held(ETH=9, USDT=50), NOW)
    assert moved.state.positions()["aave"]["aWETH"] > 1
    assert "WETH" not in moved.state.positions()["wallet"]
