"""Lido and ether.fi: shares, wrapping, the queue."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.market import DictSnapshot, MissingData
from basis_strategy_v1.core.state import State, Wallet
from basis_strategy_v1.core.tokens import STAKED_AT, to_units
from basis_strategy_v1.venues import staking_shares
from basis_strategy_v1.venues.registry import offering
from basis_strategy_v1.venues.staking_shares import Protocol, pool_from_rate
from basis_strategy_v1.venues.venue import Exposure, Settlement

from ..world import AT, action, chain, costs_usd, exactly, holding, market, run, value, venue, venues

D = Decimal
WEI = D("1e-18")
FREE_GAS = {"wallet": {"gas_price_gwei": 0}}
ALL = venues(FREE_GAS)
TOKENS = {"lido": ("stETH", "wstETH"), "etherfi": ("eETH", "weETH")}


def at_rate(rate: Any, days: float = 0) -> DictSnapshot:
    """A market in which a share of either protocol is worth `rate` ETH."""
    staked = {"wstETH": {"eth_per_token": rate}, "weETH": {"eth_per_token": rate}}
    data = {"market_data": {"prices": {"ETH": 2000.0}}, "protocol_data": {"lido": staked, "etherfi": staked}}
    return DictSnapshot(AT + timedelta(days=days), data)


ALL_DATA = market()
NOW = at_rate("1.2")
protocols = pytest.mark.parametrize("protocol", sorted(TOKENS))


def held(**wallet: Any) -> State:
    return holding(ALL, NOW, wallet=wallet)


def refused(block: dict[str, Any], state: State, market: DictSnapshot = NOW) -> str:
    with pytest.raises(VenueRejected) as caught:
        run(block, ALL, state, market)
    return caught.value.message


@protocols
@pytest.mark.parametrize("paid", ["ETH", "WETH"])
def test_staking_gives_shares_at_the_redemption_rate(protocol, paid):
    rebasing, wrapped = TOKENS[protocol]
    moved = run(action(protocol, "stake", paid, 12), ALL, held(**{paid: 12}), NOW)
    assert moved.deltas == Deltas.at(protocol, {paid: D(-12), rebasing: D(12)})
    moved = run(action(protocol, "stake", paid, 12, token_out=wrapped), ALL, held(**{paid: 12}), NOW)
    assert (moved.deltas, moved.costs) == (Deltas.at(protocol, {paid: D(-12), wrapped: D(10)}), ())


def test_a_stake_loses_the_wei_that_is_less_than_a_share_and_says_so():
    moved = run(action("lido", "stake", "ETH", 1), ALL, held(ETH=1), NOW)
    assert moved.deltas.get("lido", "stETH") == 1 - WEI
    assert moved.costs == (Cost("staking", "ETH", WEI),)


@protocols
@exactly
def test_what_a_stake_costs_does_not_hang_on_what_else_is_held(protocol):
    wrapped, market = TOKENS[protocol][1], at_rate("1.1710754854321098")
    block = action(protocol, "stake", "ETH", "1.000000000000000007", token_out=wrapped)
    rich = {"ETH": "123456789012.345678901234567891", wrapped: 10**12}
    moved = [run(block, ALL, holding(ALL, market, wallet=wallet), market) for wallet in ({"ETH": 2}, rich)]
    assert (moved[0].deltas, moved[0].costs) == (moved[1].deltas, moved[1].costs)
    assert [(cost.source, cost.token) for cost in moved[0].costs] == [("staking", "ETH")]


@protocols
@exactly
def test_a_stake_after_a_new_rate_finds_the_growth_of_what_was_there(protocol):
    rebasing, _ = TOKENS[protocol]
    moved = run(action(protocol, "stake", "ETH", "12.1"), ALL, held(ETH="12.1", **{rebasing: 12}), at_rate("1.21", days=30))
    assert moved.deltas == Deltas.at(protocol, {"ETH": D("-12.1"), rebasing: D("12.2")})
    assert moved.costs == (Cost("staking", rebasing, D("-0.1")),)
    assert moved.state.part("wallet", Wallet) == Wallet({rebasing: 20 * 10**18}, {rebasing: 1_210_000_000_000_000_000})


@protocols
def test_the_wrapped_token_grows_in_price_and_the_rebasing_one_in_amount(protocol):
    rebasing, wrapped = TOKENS[protocol]
    state = held(**{rebasing: 12, wrapped: 10})
    later = at_rate("1.21", days=30)
    after, settled = ALL["wallet"].update_to(state, later)
    assert [row.deltas for row in settled] == [Deltas.at("wallet", {rebasing: D("0.1")})]
    assert after.positions()["wallet"] == {rebasing: D("12.1"), wrapped: D(10)}
    assert value(ALL, after, later) == (D("12.1") + D("12.1")) * 2000


@protocols
@given(st.integers(10**9, 10**24), st.decimals("1.000001", "2", places=17), st.data())
@exactly
def test_shares_move_as_in_the_contracts(protocol, wei, rate, data):
    rebasing, wrapped = TOKENS[protocol]
    market, pool = at_rate(str(rate)), pool_from_rate(rate)
    amount = D(wei) * WEI
    state = run(action(protocol, "stake", "ETH", amount), ALL, holding(ALL, market, wallet={"ETH": amount}), market).state
    shares = staking_shares.shares_for(pool, wei)
    assert state.part("wallet", Wallet).units == {rebasing: shares}
    part = data.draw(st.integers(10**6, staking_shares.amount_for(pool, shares)))
    wrap = run(action(protocol, "wrap", rebasing, D(part) * WEI), ALL, state, market)
    minted = staking_shares.wrap(pool, shares, part)
    units = wrap.state.part("wallet", Wallet).units
    assert (units.get(rebasing, 0), units[wrapped]) == (shares - minted, minted)
    unwrap = run(action(protocol, "unwrap", wrapped, D(minted) * WEI), ALL, wrap.state, market)
    back = staking_shares.unwrap(pool, minted, minted).shares
    assert unwrap.state.part("wallet", Wallet).units.get(rebasing, 0) == shares - minted + back
    for moved, before in ((wrap, state), (unwrap, wrap.state)):
        assert value(ALL, before, market) - value(ALL, moved.state, market) == costs_usd(moved.costs, market)


@protocols
@pytest.mark.parametrize(
    ("name", "token", "fields", "message"),
    [
        ("stake", "USDT", {}, "{p} stake takes ETH or WETH, got USDT"),
        ("stake", "ETH", {"token_out": "WBTC"}, "{p} stake gives {r} or {w}, got token_out WBTC"),
        ("wrap", "ETH", {}, "{p} wrap takes {r}, got ETH"),
        ("unwrap", "{r}", {}, "{p} unwrap takes {w}, got {r}"),
        ("unstake", "ETH", {}, "{p} unstake takes {r} or {w}, got ETH"),
        ("stake", "ETH", {"amount": 6}, "{p} stake needs 6 ETH, wallet holds 5; use less or move ETH there first"),
        ("unstake", "{w}", {"amount": 6}, "{p} unstake needs 6 {w}, wallet holds 5; use less or move {w} there first"),
    ],
)
def test_what_a_protocol_does_not_take_is_refused(protocol, name, token, fields, message):
    names = {"p": protocol, "r": TOKENS[protocol][0], "w": TOKENS[protocol][1]}
    state = held(ETH=5, USDT=5, **dict.fromkeys(TOKENS[protocol], 5))
    assert refused(action(protocol, name, token.format(**names), **{"amount": 1, **fields}), state) == message.format(**names)


@protocols
def test_an_amount_worth_less_than_a_share_is_refused(protocol):
    rebasing, _ = TOKENS[protocol]
    assert refused(action(protocol, "stake", "ETH", WEI), held(ETH=1)) == (
        f"{protocol} stake of 0.000000000000000001 ETH is worth less than one share; take more"
    )
    least = {"lido": 100, "etherfi": 1}[protocol]
    assert refused(action(protocol, "unstake", rebasing, WEI), held(**{rebasing: 1})) == (
        f"{protocol} unstake of 0.000000000000000001 {rebasing} asks for 1 wei; the least is {least} wei and one share"
    )


@protocols
def test_without_a_published_rate_nothing_is_staked(protocol):
    bare = DictSnapshot(AT, {"market_data": {"prices": {"ETH": 2000.0}}})
    with pytest.raises(MissingData, match=f"no staking data of {protocol} for {TOKENS[protocol][1]}"):
        run(action(protocol, "stake", "ETH", 1), ALL, State(checked=False), bare)


def test_where_no_balances_are_known_all_actions_pass():
    for protocol, (rebasing, wrapped) in TOKENS.items():
        for name, token in (("stake", "ETH"), ("wrap", rebasing), ("unwrap", wrapped), ("unstake", rebasing)):
            assert run(action(protocol, name, token, 12), ALL, State(checked=False), NOW).deltas.get(protocol, token) == -12


# The queue.


def asked(protocol: str, token: str, amount: Any, state: State) -> tuple[State, Any]:
    moved = run(action(protocol, "unstake", token, amount), ALL, state, NOW)
    return moved.state, moved


@pytest.mark.parametrize(("protocol", "days"), [("lido", 5), ("etherfi", 7)])
@exactly
def test_unstaking_asks_the_queue_and_a_claim_pays_when_it_is_due(protocol, days):
    rebasing, wrapped = TOKENS[protocol]
    state, moved = asked(protocol, wrapped, 10, held(**{wrapped: 10, rebasing: 12}))
    assert moved.deltas == Deltas.at(protocol, {wrapped: D(-10), "ETH-QUEUED": D(12)})
    assert moved.details == {"request_id": f"{protocol}-1", "claimable": f"2024-06-0{1 + days}T00:00:00Z"}
    state, second = asked(protocol, rebasing, 6, state)
    assert second.details["request_id"] == f"{protocol}-2"
    assert state.positions() == {"wallet": {rebasing: D(6)}, protocol: {"ETH-QUEUED": D(18)}}
    assert ALL[protocol].exposures(state, NOW) == ((Exposure(protocol, "ETH-QUEUED", "ETH", D(18)),), ())
    claim = action(protocol, "claim", request_id=f"{protocol}-1")
    assert refused(claim, state, at_rate("1.2", days=days - 0.5)) == (
        f"{protocol} request {protocol}-1 can be claimed from 2024-06-0{1 + days}T00:00:00Z; it is 2024-06-0{days}T12:00:00Z"
    )
    paid = run(claim, ALL, state, at_rate("1.3", days=days))
    assert (paid.deltas, paid.costs) == (Deltas.at(protocol, {"ETH-QUEUED": D(-12), "ETH": D(12)}), ())  # rewards are not paid
    assert refused(claim, paid.state, at_rate("1.3", days=days)) == f"{protocol} has no open request {protocol}-1; open are {protocol}-2"
    later = run(action(protocol, "claim", request_id=f"{protocol}-2"), ALL, paid.state, at_rate("1.3", days=days))
    assert later.state.positions() == {"wallet": {rebasing: D(6), "ETH": D(18)}}
    assert refused(claim, later.state).endswith("open are none")
    _, third = asked(protocol, rebasing, 6, later.state)
    assert third.details["request_id"] == f"{protocol}-3"


@protocols
@exactly
def test_a_claim_after_a_slashing_pays_what_the_shares_are_worth_then(protocol):
    state, _ = asked(protocol, TOKENS[protocol][1], 10, held(**{TOKENS[protocol][1]: 10}))
    paid = run(action(protocol, "claim", request_id=f"{protocol}-1"), ALL, state, at_rate("1.14", days=30))
    assert paid.deltas == Deltas.at(protocol, {"ETH-QUEUED": D(-12), "ETH": D("11.4")})
    assert paid.costs == (Cost("staking", "ETH", D("0.6")),)


@exactly
def test_the_queue_pays_more_than_a_dex_whose_price_is_below_redemption_and_takes_longer():
    rates = {"wstETH": {"eth_per_token": "1.2"}, "wstETH_WETH": "1.194"}
    market = DictSnapshot(AT, {"market_data": {"prices": {"ETH": 2000.0}}, "protocol_data": {"lido": rates, "uniswap": rates}})
    all_venues = venues({**FREE_GAS, "uniswap": {"fee": 0, "slippage_bps": 0}})
    state = holding(all_venues, market, wallet={"wstETH": 10})
    swapped = run(action("uniswap", "swap", "wstETH", 10, token_out="ETH"), all_venues, state, market)
    assert swapped.deltas.get("uniswap", "ETH") == D("11.94")
    assert [(cost.source, round(cost.amount * market.price(cost.token), 12)) for cost in swapped.costs] == [("slippage", D(120))]
    _, waiting = asked("lido", "wstETH", 10, held(wstETH=10))
    assert waiting.deltas.get("lido", "ETH-QUEUED") == 12


def test_the_length_of_the_queue_is_a_setting():
    def days(name, **settings):
        return venue(name, settings).row.withdrawal_days.at()

    assert (days("lido"), days("lido", withdrawal_days="1.5")) == (5, D("1.5"))
    assert (days("etherfi"), days("etherfi", withdrawal_days=10)) == (7, 10)
    assert [venue(name).rules for name in ("lido", "etherfi")] == [Protocol.LIDO, Protocol.ETHERFI]


def claimable_after(settings: dict[str, Any], market: Any) -> Decimal:
    """Days from a request at Lido to its claim."""
    all_venues = venues({**FREE_GAS, "lido": settings})
    state = holding(all_venues, market, wallet={"wstETH": 10})
    asked_for = run(action("lido", "unstake", "wstETH", 10), all_venues, state, market)
    return D((datetime.fromisoformat(asked_for.details["claimable"]) - market.at) / timedelta(days=1))


@exactly
def test_a_request_waits_as_long_as_the_settings_say_else_the_data_else_the_usual_or_the_stressed_time():
    published = DictSnapshot(
        AT,
        {"market_data": {"prices": {"ETH": 2000.0}}, "protocol_data": {"lido": {"wstETH": {"eth_per_token": "1.2"}, "queue_days": 12.5}}},
    )
    assert [claimable_after(settings, NOW) for settings in ({}, {"queue": "usual"}, {"queue": "stressed"})] == [5, 5, 46]
    assert [claimable_after(settings, published) for settings in ({}, {"queue": "stressed"}, {"withdrawal_days": 3})] == [
        D("12.5"),
        D("12.5"),
        3,
    ]
    by_date = {"withdrawal_days": [{"from": AT - timedelta(days=9), "value": 2}, {"from": AT + timedelta(days=1), "value": 30}]}
    assert [claimable_after(by_date, market) for market in (NOW, at_rate("1.2", days=1))] == [2, 30]


def test_a_queue_that_is_neither_a_word_nor_an_address_is_refused():
    with pytest.raises(ComponentError, match=r"venues.onchain.lido.queue: 'long'; allowed: "):
        venue("lido", {"queue": "long"})


def test_each_row_of_staked_tokens_has_its_protocol_and_a_request_is_for_as_much_as_the_rules_of_its_queue_allow():
    assert offering("stake") == tuple(STAKED_AT)
    for name, tokens in STAKED_AT.items():
        _, most_wei = staking_shares.request_limits(ALL[name].rules)
        if tokens.largest_request is None:
            assert most_wei > 10**9 * 10**18  # more ether than there is
        else:
            assert most_wei == to_units("ETH", tokens.largest_request)


@protocols
@exactly
def test_lido_fixes_the_worth_at_the_finalisation_and_etherfi_takes_it_at_the_claim(protocol):
    wrapped = TOKENS[protocol][1]
    state, _ = asked(protocol, wrapped, 10, held(**{wrapped: 10}))
    finalised = at_rate("1.2", days=int(ALL[protocol].row.withdrawal_days.at()))
    after, _ = ALL[protocol].update_to(state, finalised)
    slashed = at_rate("1.14", days=30)
    paid = run(action(protocol, "claim", request_id=f"{protocol}-1"), ALL, after, slashed)
    assert paid.deltas.get(protocol, "ETH") == (D(12) if protocol == "lido" else D("11.4"))


def reported(protocol: str, number: int, amount: str, claimable: str) -> Settlement:
    return Settlement("claim", protocol, Deltas(), (), {"request_id": f"{protocol}-{number}", "amount": amount, "claimable": claimable})


@protocols
@exactly
def test_each_request_is_reported_once_when_it_can_be_claimed_and_nothing_moves_before_the_claim(protocol):
    venue, days = ALL[protocol], int(ALL[protocol].row.withdrawal_days.at())
    first, second = at_rate("1.2", days=days), at_rate("1.3", days=days + 0.5)
    state, _ = asked(protocol, TOKENS[protocol][1], 5, held(**{TOKENS[protocol][1]: 10}))
    state = run(action(protocol, "unstake", TOKENS[protocol][1], 5), ALL, state, at_rate("1.3", days=0.5)).state
    assert venue.update_to(state, at_rate("1.2", days=days - 0.1)) == (state, ())
    assert venue.next_due(state, NOW, first.instant - 1) is None
    assert venue.next_due(state, NOW, first.instant) == venue.next_due(state, NOW, NOW.instant * 2) == first.instant
    after, settled = venue.update_to(state, first)
    assert settled == (reported(protocol, 1, "6", f"2024-06-0{1 + days}T00:00:00Z"),)
    assert after.positions() == state.positions()
    assert venue.update_to(after, first) == (after, ())
    assert venue.next_due(after, first, second.instant - 1) is None
    assert venue.next_due(after, first, second.instant) == second.instant
    last, settled = venue.update_to(after, second)
    assert settled == (reported(protocol, 2, "6.5", f"2024-06-0{1 + days}T12:00:00Z"),)
    assert (venue.next_due(last, second, NOW.instant * 2), venue.update_to(last, second)) == (None, (last, ()))


@protocols
@exactly
def test_requests_whose_time_was_jumped_over_are_due_at_the_next_instant_and_say_since_when_they_were_claimable(protocol):
    venue, days, late = ALL[protocol], int(ALL[protocol].row.withdrawal_days.at()), at_rate("1.2", days=20)
    state, _ = asked(protocol, TOKENS[protocol][0], 6, held(**{TOKENS[protocol][0]: 12}))
    state = run(action(protocol, "unstake", TOKENS[protocol][0], 3), ALL, state, at_rate("1.2", days=1)).state
    assert venue.next_due(state, late, late.instant) is None
    assert venue.next_due(state, late, late.instant + 1) == late.instant + 1
    after, settled = venue.update_to(state, late)
    assert settled == (
        reported(protocol, 1, "6", f"2024-06-0{1 + days}T00:00:00Z"),
        reported(protocol, 2, "3", f"2024-06-0{2 + days}T00:00:00Z"),
    )
    assert venue.next_due(after, late, late.instant * 2) is None


@protocols
@exactly
def test_a_request_that_was_claimed_before_it_was_reported_is_not_reported(protocol):
    state, _ = asked(protocol, TOKENS[protocol][1], 10, held(**{TOKENS[protocol][1]: 10}))
    late = at_rate("1.2", days=30)
    after = run(action(protocol, "claim", request_id=f"{protocol}-1"), ALL, state, late).state
    assert (ALL[protocol].next_due(after, late, late.instant * 2), ALL[protocol].update_to(after, late)) == (None, (after, ()))


@exactly
def test_what_etherfi_reports_needs_no_rate_and_what_lido_fixes_then_does():
    bare = DictSnapshot(AT + timedelta(days=30), {"market_data": {"prices": {"ETH": 2000.0}}})
    state, _ = asked("etherfi", "weETH", 10, held(weETH=10))
    assert [row.kind for row in ALL["etherfi"].update_to(state, bare)[1]] == ["claim"]
    state, _ = asked("lido", "wstETH", 10, held(wstETH=10))
    with pytest.raises(MissingData, match="no staking data of lido for wstETH"):
        ALL["lido"].update_to(state, bare)


def test_more_than_one_request_may_hold_says_how_many_it_takes():
    _, moved = asked("lido", "stETH", "2500", held(stETH=3_000))
    assert moved.details["requests_on_chain"] == "3"


def gas_units(all_venues: Any, amount: Any, token: str = "stETH", protocol: str = "lido", **wallet: Any) -> tuple[int, int]:
    """Gas units of asking for an amount, and of the claim."""
    state = holding(all_venues, NOW, wallet={"ETH": 100, **wallet})
    moved = run(action(protocol, "unstake", token, amount), all_venues, state, NOW)
    claimed = run(action(protocol, "claim", request_id=f"{protocol}-1"), all_venues, moved.state, at_rate("1.2", days=30))
    return moved.details["gas_units"], claimed.details["gas_units"]


@pytest.mark.parametrize(
    ("token", "amount", "further"),
    [
        ("stETH", 1_000, 0), ("stETH", "1000.000000000000000001", 1), ("stETH", 36_812, 36), ("stETH", "all", 39), ("wstETH", 1_000, 1),
        ("wstETH", "all", 47),
    ],
)  # fmt: skip
def test_gas_grows_with_the_requests_that_an_amount_takes(token, amount, further):
    all_venues = venues({"wallet": {"gas_price_gwei": 10}})
    asking, claiming = gas_units(all_venues, amount, token, **{token: 40_000})
    assert asking == 21_000 + 240_000 + further * 65_000
    assert claiming == 21_000 + 75_000 + further * 35_000


def test_one_request_of_etherfi_holds_any_amount():
    all_venues = venues({"wallet": {"gas_price_gwei": 10}})
    assert gas_units(all_venues, 36_812, "eETH", "etherfi", eETH=40_000) == (21_000 + 260_000, 21_000 + 120_000)


def test_a_chain_pays_for_the_requests_of_its_steps():
    all_venues = venues({"wallet": {"gas_price_gwei": 10}})
    state = holding(all_venues, NOW, wallet={"ETH": 100, "stETH": 40_000})
    ask = action("lido", "unstake", "stETH", 2_500)
    moved = run(chain(ask, ask), all_venues, state, NOW)
    assert moved.details["gas_units"] == 21_000 + 2 * (240_000 + 2 * 65_000)
    loan = run(
        action("aave", "flash_loan", "USDT", 100, sub_instructions=[ask, ask]),
        all_venues,
        holding(all_venues, ALL_DATA, wallet={"ETH": 100, "USDT": 1, "stETH": 40_000}),
        ALL_DATA,
    )
    assert loan.details["gas_units"] == 21_000 + 180_000 + 2 * (240_000 + 2 * 65_000)
