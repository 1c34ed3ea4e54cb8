"""Morpho as a venue: positions by market, rows that move it, its own interest between them, liquidation, and what it refuses."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.market import DictSnapshot, MissingData
from basis_strategy_v1.core.state import State
from basis_strategy_v1.core.state_rows import MORPHO_MARKET
from basis_strategy_v1.data.data_provider import DataProvider
from basis_strategy_v1.data.validation import validate
from basis_strategy_v1.venues import morpho_market
from basis_strategy_v1.venues.morpho_account import MarketPosition, MorphoState
from basis_strategy_v1.venues.morpho_market import WAD, Market, Position
from basis_strategy_v1.venues.venue import SimulationResult

from ..world import (
    AT,
    action,
    chain,
    costs_usd,
    exactly,
    holding,
    iso,
    run,
    update_to,
    value,
    venues,
    write_bars,
    write_staking,
    write_states,
)

D = Decimal
ETHER = 10**18
AT_S = int(AT.timestamp())
NAME = "wstETH/WETH"
S, C, B = f"morpho:{NAME}:supply", f"morpho:{NAME}:collateral", f"morpho:{NAME}:debt"
ALL = venues({"wallet": {"gas_price_gwei": 0}})
DAY = timedelta(days=1)
PRICE = 1_174_000_000_000_000_000 * 10**18


def row(at: datetime = AT, price: int = PRICE, growth: int = 0, **changes: int) -> dict[str, str]:
    """A row of wstETH/WETH; `growth` is the interest since the beginning, in wei."""
    numbers = {
        "total_supply_assets": 60_000 * ETHER + growth, "total_supply_shares": 58_000 * 10**24,
        "total_borrow_assets": 52_000 * ETHER + growth, "total_borrow_shares": 50_000 * 10**24,
        "last_update": int(at.timestamp()) - 60, "fee": 0,
        "rate_at_target": 3 * 10**16 // (365 * 86_400), "lltv": 945 * 10**15, "oracle_price": price,
    } | changes  # fmt: skip
    return {name: str(number) for name, number in numbers.items()}


def market_of(texts: dict[str, str]) -> Market:
    n = {name: int(text) for name, text in texts.items()}
    return Market(n["lltv"], n["last_update"], n["total_supply_assets"], n["total_supply_shares"], n["total_borrow_assets"],
                  n["total_borrow_shares"], n["fee"], n["rate_at_target"])  # fmt: skip


def market(texts: dict[str, str] | None = None, at: datetime = AT) -> DictSnapshot:
    rows = {"wstETH_WETH": row(at) if texts is None else texts}
    protocols = {"morpho": {"markets": rows}, "lido": {"wstETH": {"eth_per_token": "1.174"}}}
    return DictSnapshot(at, {"market_data": {"prices": {"ETH": 3000.0, "USDC": 1.0}}, "protocol_data": protocols})


MARKET = market()


def rich(at_market: Any = MARKET, **positions: Any) -> State:
    return holding(ALL, at_market, wallet={"wstETH": 1_000, "WETH": 1_000}, **positions)


def step(name: str, token: str, amount: Any, market_name: str | None = NAME) -> dict[str, Any]:
    return action("morpho", name, token, amount, market=market_name)


def done(*blocks: dict[str, Any], state: State | None = None, at_market: Any = MARKET) -> SimulationResult:
    state = state or rich(at_market)
    for block in blocks:
        moved = run(block, ALL, state, at_market)
        state = moved.state
    return moved


def held_in(state: State) -> MarketPosition:
    return state.part("morpho", MorphoState).held[NAME]


def refused(block: dict[str, Any], state: State | None = None, at_market: Any = MARKET) -> str:
    state = state or rich(at_market)
    before = repr(dict(state.parts))
    with pytest.raises(VenueRejected) as caught:
        run(block, ALL, state, at_market)
    assert repr(dict(state.parts)) == before
    return caught.value.message


@exactly
def test_lending_moves_the_market_and_the_shares_as_the_contract_does() -> None:
    moved = done(step("supply", "WETH", "12.345678901234567891"))
    expected = morpho_market.supply(market_of(row()), Position(), int(AT.timestamp()), assets=12_345_678_901_234_567_891)
    assert (held_in(moved.state).market, held_in(moved.state).position) == (expected.market, expected.position)
    read = D(morpho_market.supplied_of(expected.market, expected.position)).scaleb(-18)
    assert moved.deltas == Deltas.at("morpho", {"WETH": D("-12.345678901234567891"), S: read})
    assert moved.state.positions()["morpho"] == {S: read}


@exactly
def test_borrowing_against_collateral_moves_both_as_the_contract_does() -> None:
    moved = done(step("supply_collateral", "wstETH", 100), step("borrow", "WETH", "50.5"))
    now_s = int(AT.timestamp())
    secured = morpho_market.supply_collateral(market_of(row()), Position(), 100 * ETHER)
    expected = morpho_market.borrow(secured.market, secured.position, now_s, PRICE, assets=505 * 10**17)
    assert (held_in(moved.state).market, held_in(moved.state).position) == (expected.market, expected.position)
    owed = D(morpho_market.debt_of(expected.market, expected.position)).scaleb(-18)
    assert moved.state.positions()["morpho"] == {C: D(100), B: owed}
    health = morpho_market.health_factor_wad(expected.market, expected.position, PRICE)
    assert moved.details["health_factor"] == f"{round(D(health).scaleb(-18), 6).normalize():f}"
    assert ALL["morpho"].health_factor(moved.state, MARKET) == D(health).scaleb(-18)


@exactly
def test_all_of_it_goes_by_shares_and_leaves_nothing_behind() -> None:
    opened = done(chain(step("supply", "WETH", 300), step("supply_collateral", "wstETH", 100), step("borrow", "WETH", 50)))
    closed = done(
        step("repay", "WETH", "all"), step("withdraw", "WETH", "all"), step("withdraw_collateral", "wstETH", "all"), state=opened.state
    )
    assert held_in(closed.state).position == Position()
    assert "morpho" not in closed.state.positions()
    assert abs(closed.state.positions()["wallet"]["WETH"] - 1_000) <= D("3e-18")


@exactly
def test_interest_accrues_between_rows_by_the_markets_own_rate() -> None:
    state = done(step("supply_collateral", "wstETH", 100), step("borrow", "WETH", 50)).state
    later = market(row(AT), AT + DAY)
    part = state.part("morpho", MorphoState)
    grown = ALL["morpho"].accrue(state.with_parts(morpho=_same_row(part, later)), later)
    now_s = int((AT + DAY).timestamp())
    expected = morpho_market.accrue(part.held[NAME].market, now_s)
    assert grown.positions()["morpho"][B] == D(morpho_market.debt_of(expected, part.held[NAME].position)).scaleb(-18)


def _same_row(part: MorphoState, at_market: Any) -> MorphoState:
    """The part, as if the row that it goes on from were the one still visible."""
    return MorphoState({NAME: part.held[NAME]._replace(stamp=at_market.instant)}, part.now_s, part.reported)


def write_market(folder: Path, rows: dict[datetime, dict[str, str]]) -> DataProvider:
    write_bars(folder, "bybit", "spot", "ETHUSDT", [(3000,)] * 60, AT - timedelta(hours=1))
    write_states(folder, "lending/morpho/wstETH_WETH", MORPHO_MARKET, rows)
    write_staking(folder, "lido", "wstETH", {AT: 1.174, AT + DAY: 1.174})
    return DataProvider(folder)


@exactly
def test_a_new_row_is_taken_over_when_it_becomes_visible_and_reported_as_interest(tmp_path: Path) -> None:
    growth = 9 * ETHER
    source = write_market(tmp_path, {AT: row(), AT + DAY: row(AT + DAY, growth=growth)})
    first, second = source.snapshot(AT), source.snapshot(AT + DAY)
    opened = done(step("supply_collateral", "wstETH", 100), step("borrow", "WETH", 50), state=rich(first), at_market=first)
    due = ALL["morpho"].next_due(opened.state, first, second.instant)
    assert due == second.instant
    after, (settled,) = update_to(ALL["morpho"], opened.state, second)
    shares = held_in(opened.state).position.borrow_shares
    new = market_of(row(AT + DAY, growth=growth))
    owed_there = morpho_market.assets_up(shares, new.total_borrow_assets, new.total_borrow_shares)
    assert held_in(after).market.total_borrow_shares == new.total_borrow_shares + shares
    assert held_in(after).market.total_borrow_assets == new.total_borrow_assets + owed_there
    change = after.positions()["morpho"][B] - opened.state.positions()["morpho"][B]
    assert (settled.kind, settled.deltas, settled.costs) == ("interest", Deltas.at("morpho", {B: change}), ())
    assert change > 0
    assert update_to(ALL["morpho"], after, second)[1] == ()


@exactly
def test_own_lending_can_be_taken_out_again_after_a_row_without_it(tmp_path: Path) -> None:
    source = write_market(tmp_path, {AT: row(), AT + DAY: row(AT + DAY, total_supply_assets=55_000 * ETHER)})
    first, second = source.snapshot(AT), source.snapshot(AT + DAY)
    opened = done(step("supply", "WETH", 900), state=rich(first), at_market=first)
    state, _ = update_to(ALL["morpho"], opened.state, second)
    assert done(step("withdraw", "WETH", "all"), state=state, at_market=second).deltas.get("morpho", "WETH") > 770


@exactly
def test_a_position_below_its_threshold_is_liquidated_when_a_row_shows_it() -> None:
    opened = done(step("supply_collateral", "wstETH", 100), step("borrow", "WETH", 110))
    later = AT + timedelta(minutes=1)
    low = market(row(later, PRICE * 98 // 100), later)
    before, (interest, liquidation) = _settled(opened.state, low)
    position = held_in(opened.state).position
    now_s = int(later.timestamp())
    accrued = morpho_market.accrue(_with_debt(row(later), position), now_s)
    expected = morpho_market.liquidate(accrued, position, now_s, PRICE * 98 // 100, shares=position.borrow_shares)
    assert held_in(before).position == expected.position
    left = D(expected.position.collateral).scaleb(-18)
    owed = D(morpho_market.debt_of(accrued, position)).scaleb(-18)
    assert (interest.kind, liquidation.kind) == ("interest", "liquidation")
    assert liquidation.deltas == Deltas.at("morpho", {C: left - 100, B: -owed})
    assert [cost.source for cost in liquidation.costs] == ["liquidation", "liquidation"]
    assert liquidation.costs[0].amount == 100 - left
    assert liquidation.details["bad_debt"] == "0"
    assert D(liquidation.details["health_factor"]) < 1
    assert costs_usd(liquidation.costs, low) > 0


def _settled(state: State, at_market: Any) -> Any:
    return update_to(ALL["morpho"], state, at_market)


def _with_debt(texts: dict[str, str], position: Position) -> Market:
    found = market_of(texts)
    owed = morpho_market.assets_up(position.borrow_shares, found.total_borrow_assets, found.total_borrow_shares)
    return Market(found.lltv_wad, found.last_update_s, found.total_supply_assets, found.total_supply_shares,
                  found.total_borrow_assets + owed, found.total_borrow_shares + position.borrow_shares,
                  found.fee_wad, found.rate_at_target_wad)  # fmt: skip


@exactly
def test_debt_that_no_collateral_pays_for_is_written_off() -> None:
    opened = done(step("supply_collateral", "wstETH", 100), step("borrow", "WETH", 110))
    later = AT + timedelta(minutes=1)
    ruined = market(row(later, PRICE // 2), later)
    state, settled = _settled(opened.state, ruined)
    assert held_in(state).position == Position()
    assert D(settled[-1].details["bad_debt"]) > 50
    change = value(ALL, state, ruined) - value(ALL, _settled_interest(opened.state, ruined), ruined)
    assert change == -costs_usd(settled[-1].costs, ruined)


def _settled_interest(state: State, at_market: Any) -> State:
    """The state with the new row and without the liquidation."""
    return ALL["morpho"].accrue(state, at_market)


@exactly
def test_a_flash_loan_is_free() -> None:
    loan = action(
        "morpho",
        "flash_loan",
        "WETH",
        5_000,
        sub_instructions=[action("wallet", "unwrap", "WETH", 5_000), action("wallet", "wrap", "ETH", 5_000)],
    )
    moved = done(loan)
    assert (moved.deltas, moved.costs, moved.details["flash_fee"]) == (Deltas(), (), "0")


@exactly
def test_what_is_borrowed_while_a_flash_loan_is_out_can_pay_it_back() -> None:
    loan = action("morpho", "flash_loan", "WETH", 500, sub_instructions=[
        step("supply", "WETH", 1_500), step("supply_collateral", "wstETH", 900), step("borrow", "WETH", 500)])  # fmt: skip
    moved = done(loan)
    assert moved.state.positions()["morpho"][C] == 900
    assert "WETH" not in moved.state.positions()["wallet"]


@exactly
def test_a_flash_loan_that_cannot_be_paid_back_is_refused_with_both_numbers() -> None:
    loan = action("morpho", "flash_loan", "WETH", 5_000, sub_instructions=[step("supply", "WETH", "5500")])
    assert refused(loan) == (
        "flash loan of 5000 WETH owes 5000 at its end, the wallet then holds 500; borrow less or let a step bring the rest"
    )


@exactly
def test_a_market_that_holds_nothing_of_ours_any_more_needs_no_new_rows(tmp_path: Path) -> None:
    source = write_market(tmp_path, {AT: row(), AT + DAY: row(AT + DAY, total_supply_assets=70_000 * ETHER)})
    begun, late = source.snapshot(AT), source.snapshot(AT + DAY + timedelta(hours=37))
    opened = done(step("supply", "WETH", 300), state=rich(begun), at_market=begun).state
    with pytest.raises(MissingData, match="DAT-002: lending/morpho/wstETH_WETH: the last row visible"):
        ALL["morpho"].accrue(opened, late)
    closed = done(step("withdraw", "WETH", "all"), state=opened, at_market=begun).state
    assert ALL["morpho"].next_due(closed, begun, late.instant) is None
    assert update_to(ALL["morpho"], ALL["morpho"].accrue(closed, late), late)[1] == ()
    again = done(step("supply", "WETH", 5), state=closed, at_market=source.snapshot(AT + DAY)).state
    fresh = morpho_market.supply(market_of(row(AT + DAY, total_supply_assets=70_000 * ETHER)), Position(),
                                 int((AT + DAY).timestamp()), assets=5 * ETHER)  # fmt: skip
    assert held_in(again) == MarketPosition(fresh.market, fresh.position, source.snapshot(AT + DAY).instant)


@exactly
def test_a_market_is_left_as_we_left_it_until_its_next_row() -> None:
    left = done(chain(step("supply", "WETH", "987.000000000000000007"), step("withdraw", "WETH", "all"))).state
    assert not held_in(left).is_ours()
    found = held_in(done(step("supply", "WETH", 1), state=left).state)
    assert found.market == morpho_market.supply(held_in(left).market, Position(), int(AT.timestamp()), assets=ETHER).market
    assert found.market != held_in(done(step("supply", "WETH", 1)).state).market


# Flash loans and what Morpho has at hand: 8,000 WETH are lent in wstETH/WETH and not borrowed


def flash(token: str, amount: Any, *steps: dict[str, Any]) -> dict[str, Any]:
    """A flash loan; without steps of its own it wraps and unwraps an ether."""
    idle = (action("wallet", "unwrap", "WETH", 1), action("wallet", "wrap", "ETH", 1))
    return action("morpho", "flash_loan", token, amount, sub_instructions=list(steps or idle))


@exactly
def test_all_that_morpho_has_at_hand_can_be_lent_and_no_more() -> None:
    moved = done(flash("WETH", 8_000))
    assert (moved.deltas, moved.costs, moved.state.part("morpho", MorphoState)) == (Deltas(), (), MorphoState())
    assert refused(flash("WETH", "8000.000000000000000001")) == (
        "morpho flash_loan of 8000.000000000000000001 WETH: it has 8000 WETH at hand in the markets known (wstETH/WETH); take at most that"
    )


@exactly
def test_what_is_out_in_a_flash_loan_can_be_neither_borrowed_nor_withdrawn() -> None:
    opened = done(step("supply", "WETH", 500), step("supply_collateral", "wstETH", 900)).state
    wanted = (
        "step 0 (morpho {0}): morpho {0} in wstETH/WETH: {1} WETH of Morpho's are out in a flash loan, and {2} of them would be needed; "
    )
    for name in ("borrow", "withdraw"):
        message = wanted.format(name, 8_300, "0.000000000000000001") + f"{name} less, or after it is paid back"
        assert refused(flash("WETH", 8_300, step(name, "WETH", "200.000000000000000001")), opened) == message
        assert done(flash("WETH", 8_300, step(name, "WETH", 200)), state=opened).deltas.get("morpho", "WETH") == 200
    assert refused(flash("WETH", 8_500, step("borrow", "WETH", 7)), opened).startswith(wanted.format("borrow", 8_500, 7))
    assert done(step("borrow", "WETH", "200.000000000000000001"), state=opened).deltas


@exactly
def test_what_comes_in_while_a_flash_loan_is_out_can_go_out_again() -> None:
    loan = flash("WETH", 8_000, step("supply", "WETH", 300), step("supply_collateral", "wstETH", 900), step("borrow", "WETH", 300))
    moved = done(loan)
    assert moved.deltas.get("morpho", "WETH") == 0
    assert refused(flash("WETH", 8_000, step("supply", "WETH", 300), step("supply_collateral", "wstETH", 900),
                         step("borrow", "WETH", 301))).startswith("step 2 (morpho borrow): ")  # fmt: skip


@exactly
def test_a_loan_within_a_loan_finds_what_the_first_left() -> None:
    assert done(flash("WETH", 5_000, flash("WETH", 3_000))).deltas == Deltas()
    assert refused(flash("WETH", 5_000, flash("WETH", 3_001))) == (
        "step 0 (morpho flash_loan): morpho flash_loan of 3001 WETH: it has 3000 WETH at hand in the markets known (wstETH/WETH); "
        "take at most that"
    )
    one_after_the_other = chain(flash("WETH", 8_000), flash("WETH", 8_000))
    assert done(one_after_the_other).deltas == Deltas()


@exactly
def test_cash_is_counted_over_all_markets_known_with_our_own_collateral() -> None:
    own = venues({"wallet": {"gas_price_gwei": 0}, "morpho": {"markets": {
        "cbETH/WETH": {"lltv_bps": 8_600, "total_supply": 90, "total_borrow": 20}, "WETH/USDC": {"lltv_bps": 8_600}}}})  # fmt: skip
    wallet = {"WETH": 1_000}
    secured = holding(own, MARKET, wallet=wallet, morpho={"morpho:WETH/USDC:collateral": 5})
    assert run(flash("WETH", 8_075), own, secured, MARKET).deltas == Deltas()
    with pytest.raises(VenueRejected, match=r"it has 8075 WETH at hand in the markets known \(wstETH/WETH, cbETH/WETH\)"):
        run(flash("WETH", 8_076), own, secured, MARKET)
    out = action("morpho", "withdraw_collateral", "WETH", 1, market="WETH/USDC")
    with pytest.raises(VenueRejected, match="8075 WETH of Morpho's are out in a flash loan, and 1 of them would be needed"):
        run(flash("WETH", 8_075, out), own, secured, MARKET)
    assert run(flash("WETH", 8_074, out), own, secured, MARKET).state.positions()["wallet"]["WETH"] == 1_001


@exactly
def test_where_no_market_that_lends_a_token_is_known_there_is_no_ceiling() -> None:
    assert done(flash("wstETH", 10**9)).deltas == Deltas()  # others' collateral, which no row reports
    assert done(flash("DAI", 10**9)).deltas == Deltas()
    unknown = DictSnapshot(AT, {"market_data": {"prices": {"ETH": 3000.0}}, "protocol_data": {}})
    assert run(flash("WETH", 10**9), ALL, holding(ALL, unknown, wallet={"WETH": 1}), unknown).deltas == Deltas()


def test_where_no_balances_are_known_a_flash_loan_of_any_size_passes() -> None:
    assert run(flash("WETH", 10**9, step("supply", "WETH", 1)), ALL, State(checked=False), MARKET).deltas.get("morpho", S) == 1


@exactly
def test_a_market_counts_from_its_first_row_until_it_is_too_old(tmp_path: Path) -> None:
    source = write_market(tmp_path, {AT + timedelta(hours=2): row(AT + timedelta(hours=2))})
    held = holding(ALL, source.snapshot(AT), wallet={"WETH": 1})
    for hours, is_known in ((1, False), (2, True), (38, True), (39, False)):
        at_market = source.snapshot(AT + timedelta(hours=hours))
        if not is_known:
            assert ALL["morpho"].flash_fee("WETH", D(10**9), held, at_market) == 0
            continue
        with pytest.raises(VenueRejected, match="it has 8000 WETH at hand"):
            ALL["morpho"].flash_fee("WETH", D(8_001), held, at_market)


# Without a series


@exactly
def test_without_a_series_the_constants_of_the_settings_count() -> None:
    own = {"wallet": {"gas_price_gwei": 0}, "morpho": {"markets": {"weETH/USDC": {
        "lltv_bps": 7_700, "total_supply": 1_000_000, "total_borrow": 900_000, "rate_at_target_bps": 500}}}}  # fmt: skip
    with_own = venues(own)
    prices = {"market_data": {"prices": {"ETH": 3000.0, "USDC": 1.0, "weETH": 3150.0}}, "protocol_data": {}}
    at_market = DictSnapshot(AT, prices)
    state = holding(with_own, at_market, wallet={"weETH": 10})
    secured = run(action("morpho", "supply_collateral", "weETH", 10, market="weETH/USDC"), with_own, state, at_market)
    borrowed = run(action("morpho", "borrow", "USDC", 20_000, market="weETH/USDC"), with_own, secured.state, at_market)
    assert borrowed.details["health_factor"] == "1.21275"  # 10 * 3150 * 0.77 / 20000
    month = AT + timedelta(days=30)
    grown = with_own["morpho"].accrue(borrowed.state, DictSnapshot(month, prices)).positions()["morpho"]["morpho:weETH/USDC:debt"]
    begun, position, _ = borrowed.state.part("morpho", MorphoState).held["weETH/USDC"]
    expected = morpho_market.debt_of(morpho_market.accrue(begun, int(month.timestamp())), position)
    assert grown == D(expected).scaleb(-6) > 20_100
    with pytest.raises(VenueRejected, match="short of"):
        run(action("morpho", "borrow", "USDC", 100_001, market="weETH/USDC"), with_own, holding(with_own, at_market, morpho={
            "morpho:weETH/USDC:collateral": 1_000}), at_market)  # fmt: skip


def test_an_id_alone_leaves_the_public_constants() -> None:
    assert venues({"morpho": {"markets": {NAME: "0x" + "ab" * 32}}})["morpho"].markets == ALL["morpho"].markets


@exactly
def test_positions_given_at_the_beginning_read_as_they_were_given() -> None:
    given_positions = {S: "12.5", C: "100.25", B: "33.3"}
    state = rich(morpho=given_positions)
    read = state.positions()["morpho"]
    assert {token: abs(read[token] - D(amount)) <= D("1e-18") for token, amount in given_positions.items()} == dict.fromkeys(
        given_positions, True
    )


def test_where_no_balances_are_known_an_action_passes() -> None:
    moved = run(step("repay", "WETH", 5), ALL, State(checked=False), MARKET)
    assert moved.deltas == Deltas.at("morpho", {"WETH": D(-5), B: D(-5)})


# What is refused


BORROWED = done(step("supply_collateral", "wstETH", 100), step("borrow", "WETH", 100)).state
LENT = done(step("supply", "WETH", 100)).state


@pytest.mark.parametrize(
    ("block", "state", "message"),
    [
        (step("borrow", "WETH", 20), BORROWED,
         "morpho borrow of 20 WETH in wstETH/WETH: leaves a debt of 120.000000000000000001 WETH where the collateral carries "
         "110.943 WETH: take less or supply more collateral"),
        (step("withdraw_collateral", "wstETH", 20), BORROWED,
         "morpho withdraw_collateral of 20 wstETH in wstETH/WETH: leaves a debt of 100.000000000000000001 WETH where the collateral "
         "carries 88.7544 WETH: take less or supply more collateral"),
        (step("withdraw_collateral", "wstETH", 101), BORROWED,
         "morpho withdraw_collateral of 101 wstETH in wstETH/WETH: 100 wstETH are there; withdraw less"),
        (step("repay", "WETH", 101), BORROWED,
         'morpho repay of 101 WETH in wstETH/WETH: 100.000000000000000001 WETH are owed; repay less, or write amount "all"'),
        (step("repay", "WETH", 1), LENT, "morpho repay of 1 WETH in wstETH/WETH: nothing is owed"),
        (step("repay", "WETH", "all"), LENT, "morpho repay of all WETH: there is none"),
        (step("withdraw", "WETH", 101), LENT,
         'morpho withdraw of 101 WETH in wstETH/WETH: 99.999999999999999999 WETH are supplied; withdraw less, or write amount "all"'),
        (step("supply", "WETH", 1_001), None, "morpho supply needs 1001 WETH, wallet holds 1000; use less or move WETH there first"),
        (step("supply", "wstETH", 1), None, "morpho supply in wstETH/WETH takes WETH, got wstETH"),
        (step("supply_collateral", "WETH", 1), None, "morpho supply_collateral in wstETH/WETH takes wstETH, got WETH"),
        (step("borrow", "WETH", "all"), BORROWED,
         'morpho borrow needs a number; "all" is for supply, withdraw, repay and their collateral'),
        (step("supply", "WETH", 1, None), None, "morpho supply needs market, such as wstETH/WETH"),
        (step("supply", "WETH", 1, "rETH/WETH"), None, "morpho has no market rETH/WETH; known are wstETH/WETH, weETH/WETH, wstETH/USDC, "
         "WBTC/USDC: bring its series lending/morpho/rETH_WETH, or its constants under venues.onchain.morpho.markets"),
        (step("supply", "WETH", 1, "wstETH_WETH"), None, "morpho has no market wstETH_WETH; known are wstETH/WETH, weETH/WETH, "),
        (step("supply", "WETH", "0.0000000000000000001"), None, "0.0000000000000000001 WETH is less than one base unit of it"),
        (chain(step("supply_collateral", "wstETH", 10), step("borrow", "WETH", 20)), None,
         "step 1 (morpho borrow): morpho borrow of 20 WETH in wstETH/WETH: leaves a debt of 20.000000000000000001 WETH where the "
         "collateral carries 11.0943 WETH: take less or supply more collateral"),
    ],
)  # fmt: skip
def test_what_morpho_would_not_do_is_refused_with_the_numbers(block: dict[str, Any], state: State | None, message: str) -> None:
    assert refused(block, state).startswith(message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lltv": 0}, "lltv must be below 1e18"),
        ({"fee": WAD}, "fee at most 0.25e18"),
        ({"total_supply_assets": 5}, "total_borrow_assets must be at most total_supply_assets"),
        ({"oracle_price": 0}, "oracle_price above 0"),
        ({"last_update": -1}, "last_update must be 0 or more, got -1"),
        (
            {"last_update": AT_S + 1},
            f"in the row of {iso(AT)} last_update must be at most its own time, {AT_S}, got {AT_S + 1}; correct the row, or leave it out",
        ),
    ],
)
def test_a_row_that_cannot_be_is_named(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ComponentError, match=f"DAT-003: lending/morpho/wstETH_WETH: .*{message}"):
        done(step("supply", "WETH", 1), at_market=market(row(**changes)), state=rich())


@exactly
def test_a_row_from_later_than_its_own_time_is_named_by_whatever_reads_it(tmp_path: Path) -> None:
    late = int((AT + DAY).timestamp()) + 3600
    source = write_market(tmp_path, {AT: row(last_update=AT_S), AT + DAY: row(AT + DAY, last_update=late)})
    first, second = source.snapshot(AT), source.snapshot(AT + DAY)
    opened = done(step("supply", "WETH", 900), state=rich(first), at_market=first).state
    morpho = ALL["morpho"]
    readers = (lambda: morpho.update_to(opened, second), lambda: morpho.accrue(opened, second),
               lambda: morpho.open({S: D(1)}, second), lambda: morpho.flash_fee("WETH", D(1), opened, second))  # fmt: skip
    for read in readers:
        with pytest.raises(ComponentError) as caught:
            read()
        assert (caught.value.error_code, caught.value.message) == (
            "DAT-003",
            f"lending/morpho/wstETH_WETH: in the row of {iso(AT + DAY)} last_update must be at most its own time, {late - 3600}, "
            f"got {late}; correct the row, or leave it out",
        )
    assert [finding.message for finding in validate(tmp_path) if "morpho" in finding.file] == [
        f"column last_update: {late} is after the row's own time, {late - 3600}; correct the row, or leave it out"
    ]


@exactly
@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["supply", "withdraw", "supply_collateral", "withdraw_collateral", "borrow", "repay"]),
                          st.integers(1, 400 * ETHER)), min_size=1, max_size=8))  # fmt: skip
def test_value_changes_by_exactly_the_costs_and_positions_by_the_deltas(steps: list[tuple[str, int]]) -> None:
    state = rich(morpho={S: 100, C: 100, B: 50})
    for name, wei in steps:
        token = "wstETH" if name.endswith("collateral") else "WETH"
        try:
            moved = run(step(name, token, D(wei).scaleb(-18)), ALL, state, MARKET)
        except VenueRejected:
            continue
        assert value(ALL, moved.state, MARKET) - value(ALL, state, MARKET) == -costs_usd(moved.costs, MARKET)
        after, before = moved.state.positions(), state.positions()
        for key in (S, C, B):
            change = after.get("morpho", {}).get(key, D(0)) - before.get("morpho", {}).get(key, D(0))
            assert moved.deltas.get("morpho", key) == change
        state = moved.state


@pytest.mark.parametrize("token", ["USDT", "morpho:wstETH/WETH", "morpho:wstETH/WETH:lent", "spark:wstETH/WETH:supply"])
def test_what_is_no_position_there_cannot_be_opened(token: str) -> None:
    with pytest.raises(ComponentError) as refused:
        ALL["morpho"].open({token: D(1)}, DictSnapshot(AT, {}))
    wanted = f"{token} is no position at morpho; write morpho:MARKET:supply, :collateral or :debt"
    assert (refused.value.error_code, refused.value.message) == ("PUH-001", wanted)


def test_a_rate_is_asked_for_with_the_collateral_that_it_depends_on():
    with pytest.raises(VenueRejected, match="morpho has a rate in each market; name the collateral that WETH is borrowed against"):
        venues()["morpho"].borrow_rate(State(), "WETH", MARKET)
