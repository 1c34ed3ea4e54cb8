"""The trader's own address: wrapping, gas, tokens that grow."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.market import DictSnapshot, MissingData
from basis_strategy_v1.core.state import State
from basis_strategy_v1.core.tokens import to_amount
from basis_strategy_v1.execution.account import Account as TradingAccount
from basis_strategy_v1.execution.market_source import MarketSource
from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
from basis_strategy_v1.venues.wallet import exchange, receive, spend

from ..world import AT, action, everything, exactly, holding, market, provider, run, settled, update_to, venue, venues, write_staking

D = Decimal
NOW = market()
FREE_GAS = {"wallet": {"gas_price_gwei": 0}}


def test_wrapping_is_one_to_one_both_ways():
    all_venues = venues(FREE_GAS)
    state = holding(all_venues, NOW, wallet={"ETH": 2})
    wrapped = run(action("wallet", "wrap", "ETH", "1.5"), all_venues, state, NOW)
    assert wrapped.deltas == Deltas.at("wallet", {"ETH": D("-1.5"), "WETH": D("1.5")})
    back = run(action("wallet", "unwrap", "WETH", "all"), all_venues, wrapped.state, NOW)
    assert back.state.positions() == state.positions()


@pytest.mark.parametrize(("name", "token", "takes"), [("wrap", "WETH", "ETH"), ("unwrap", "ETH", "WETH"), ("wrap", "USDT", "ETH")])
def test_only_eth_and_weth_are_wrapped(name, token, takes):
    all_venues = venues(FREE_GAS)
    with pytest.raises(VenueRejected, match=f"wallet {name} takes {takes}, got {token}"):
        run(action("wallet", name, token, 1), all_venues, holding(all_venues, NOW, wallet={token: 5}), NOW)


def message_of(call):
    with pytest.raises(VenueRejected) as caught:
        call()
    return caught.value.message


def test_all_that_is_there_can_be_spent_and_no_part_of_a_unit_more():
    state = holding(venues(), NOW, wallet={"USDT": 1})
    assert spend(state, "wallet", "USDT", D("1.000000"), "a payment").positions() == {}
    wants = "a payment needs 1.0000001 USDT, wallet holds 1; use less or move USDT there first"
    assert message_of(lambda: spend(state, "wallet", "USDT", D("1.0000001"), "a payment")) == wants
    assert message_of(lambda: exchange(state, "wallet", "USDT", D("1.0000001"), "ETH", D(1), "a payment")) == wants
    assert (
        message_of(lambda: spend(state, "wallet", "ETH", D("1e-19"), "gas")) == "gas needs 0.0000000000000000001 ETH, wallet holds 0; "
        "use less or move ETH there first"
    )
    assert spend(State(checked=False), "wallet", "USDT", D(5), "a payment").positions() == {"wallet": {"USDT": D(-5)}}


@given(pair=st.permutations(["USDT", "ETH", "WETH", "stETH", "wstETH", "eETH"]), units=st.tuples(*[st.integers(1, 10**19)] * 2))
@exactly
def test_an_exchange_is_a_payment_and_a_receipt_at_once(pair, units):
    paid, out = pair[:2]
    amount, received = to_amount(paid, units[0]), to_amount(out, units[1])
    state = holding(venues(), NOW, wallet={paid: 2 * amount, "WBTC": 1, out: 1})
    at_once = exchange(state, "wallet", paid, amount, out, received, "a swap").parts["wallet"]
    assert at_once == receive(spend(state, "wallet", paid, amount, "a swap"), "wallet", out, received).parts["wallet"]


@pytest.mark.parametrize(("setting", "gas_eth"), [(20, "0.00132"), ("0.5", "0.000033"), ("market", "0.0008415"), (0, None), ("0", None)])
def test_gas_is_units_times_price(setting, gas_eth):
    all_venues = venues({"wallet": {"gas_price_gwei": setting}})
    moved = run(action("wallet", "wrap", "ETH", 1), all_venues, holding(all_venues, NOW, wallet={"ETH": 2}), NOW)
    assert all_venues["wallet"].is_free() is (gas_eth is None)
    assert moved.costs == ((Cost("gas", "ETH", D(gas_eth)),) if gas_eth else ())
    assert moved.details == ({"gas_units": 66_000, "gas_eth": gas_eth} if gas_eth else {})


def test_gas_that_cannot_be_paid_is_refused():
    all_venues = venues()
    with pytest.raises(VenueRejected, match=r"gas needs 0.0008415 ETH, wallet holds 0.0001; use less or move ETH there first"):
        run(action("wallet", "wrap", "ETH", 1), all_venues, holding(all_venues, NOW, wallet={"ETH": "1.0001"}), NOW)


def test_a_gas_price_that_the_data_do_not_have_is_an_error_that_says_so():
    bare = DictSnapshot(AT, {"market_data": {"prices": {"ETH": 2000.0}}})
    with pytest.raises(MissingData, match="no gas data of ethereum"):
        run(action("wallet", "wrap", "ETH", 1), venues(), State(checked=False), bare)


@exactly
def test_rebasing_tokens_grow_when_their_protocol_publishes_a_rate(tmp_path):
    write_staking(tmp_path, "lido", "wstETH", {AT: "1.2", AT + timedelta(days=1): "1.2006", AT + timedelta(days=2): "1.2012"})
    write_staking(tmp_path, "etherfi", "weETH", {AT: "1.05"})
    handler = PositionUpdateHandler({"wallet": {"stETH": 12, "eETH": 3, "wstETH": 10}})
    wallet = venue("wallet")
    account = TradingAccount({"wallet": wallet}, MarketSource(provider(tmp_path, max_staleness="72h")), handler)
    account.state(account.market(AT))
    assert handler.positions["wallet"] == {"stETH": D(12), "eETH": D("2.999999999999999999"), "wstETH": D(10)}
    reports = settled(account, AT + timedelta(days=3))
    grown = Deltas.at("wallet", {"stETH": D("0.006")})
    assert [(row.kind, row.at, row.deltas) for row in reports] == [
        ("interest", AT + timedelta(days=1), grown), ("interest", AT + timedelta(days=2), grown),
    ]  # fmt: skip
    assert handler.positions["wallet"]["stETH"] == D("12.012")


def test_a_wallet_without_rebasing_tokens_waits_for_nothing():
    all_venues = venues()
    state = holding(all_venues, NOW, wallet={"ETH": 2, "wstETH": 3})
    assert all_venues["wallet"].next_due(state, NOW, NOW.instant * 2) is None
    assert update_to(all_venues["wallet"], state, NOW) == (state, ())


def test_what_is_in_the_wallet_is_exposed_to_its_own_token():
    all_venues = venues()
    state = holding(all_venues, NOW, wallet={"ETH": 2, "stETH": 3})
    found = {(row.token, row.growth) for row in all_venues["wallet"].exposures(state, NOW)[0]}
    assert found == {("ETH", "spot_price"), ("stETH", "staking")}


def test_a_rate_that_changes_nothing_to_the_wei_is_no_report():
    all_venues = venues()
    state = holding(all_venues, NOW, wallet={"stETH": D("1e-18") * 5})
    later = DictSnapshot(AT + timedelta(days=1), everything(AT + timedelta(days=1), growth=1.0001))
    after, settled = update_to(all_venues["wallet"], state, later)
    assert (settled, after is state) == ((), False)
