"""Our own size in a reserve: the row is the market without us, our part counts in its cash and caps at every row, and with `rate_impact`
the two slopes say what it adds to the rates, which stays at the next row."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.market import LendingRow, ScaledRow
from basis_strategy_v1.core.state import State
from basis_strategy_v1.execution.account import Account as TradingAccount
from basis_strategy_v1.execution.market_source import MarketSource
from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
from basis_strategy_v1.venues.aave_data import joined, published
from basis_strategy_v1.venues.aave_interest import RAY, rounding_of
from basis_strategy_v1.venues.aave_reserve import UNKNOWN_CASH, Reserve
from basis_strategy_v1.venues.aave_settings import BPS_TO_RAY

from ..world import AT, action, exactly, lending_row, provider, run, settled, value, venue, venues, write_bars, write_lending

D = Decimal
REVISIONS = ("3.0", "3.7")
USDT_UNIT = D("0.000001")
MILLION = 10**12  # base units of USDT
DAY_OF_YEAR = Fraction(1, 365)
RULES = venue("aave").pool.rules["USDT"]  # 92 % optimal use, no base rate, slopes of 5.5 % and 35 %, a tenth to the treasury
OPTIMAL, SLOPE1, SLOPE2, TO_LENDERS = Fraction(92, 100), Fraction(55, 1000), Fraction(35, 100), Fraction(9, 10)
each_revision = pytest.mark.parametrize("revision", REVISIONS)
each_setting = pytest.mark.parametrize("impact", [False, True], ids=["rates as published", "rate impact"])


def row_of(supplied: int, borrowed: int, liquidity_rate_ray: int = RAY // 20, borrow_rate_ray: int = RAY // 15) -> Reserve:
    """A published reserve with indices of 1."""
    return Reserve(
        liquidity_rate_ray=liquidity_rate_ray, variable_borrow_rate_ray=borrow_rate_ray, scaled_supply=supplied, scaled_debt=borrowed,
        available=supplied - borrowed if supplied else UNKNOWN_CASH, observed=True,
    )  # fmt: skip


def rates_with(row: Reserve, supplied: int, owed: int, revision: str) -> tuple[int, int]:
    found = joined(row, RULES, rounding_of(revision), (supplied, owed), (RAY, RAY))
    return found.liquidity_rate_ray, found.variable_borrow_rate_ray


def slopes(usage: Fraction) -> tuple[Fraction, Fraction]:
    """(liquidity rate, borrow rate) a year at a usage, by the formula of the interest rate strategy."""
    excess = max(usage - OPTIMAL, Fraction(0)) / (1 - OPTIMAL)
    borrow = SLOPE1 * min(usage / OPTIMAL, Fraction(1)) + SLOPE2 * excess
    return borrow * usage * TO_LENDERS, borrow


def moved_by_hand(supplied: Fraction, borrowed: Fraction, ours: Fraction, owed: Fraction) -> tuple[Fraction, Fraction]:
    """What (our supply, our debt) add to (liquidity rate, borrow rate) of a market with these totals."""
    without, with_us = slopes(borrowed / supplied), slopes((borrowed + owed) / (supplied + ours))
    return with_us[0] - without[0], with_us[1] - without[1]


# The rates.


@each_revision
@pytest.mark.parametrize(
    ("ours", "owed", "added"),
    [
        # 0.9 of 1 million is borrowed. With our million in it 0.45 is: 5.5 % x 0.45 / 0.92 less than 5.5 % x 0.9 / 0.92.
        (MILLION, 0, (Fraction(55, 1000) * (Fraction(45, 100) ** 2 - Fraction(9, 10) ** 2) / OPTIMAL * TO_LENDERS,
                      Fraction(55, 1000) * Fraction(-45, 100) / OPTIMAL)),
        # 0.95 with our debt of 50,000: beyond the bend by 3 of 8.
        (0, MILLION // 20, ((Fraction(55, 1000) + Fraction(35, 100) * 3 / 8) * Fraction(95, 100) * TO_LENDERS
                            - Fraction(55, 1000) * Fraction(9, 10) ** 2 / OPTIMAL * TO_LENDERS,
                            Fraction(55, 1000) + Fraction(35, 100) * 3 / 8 - Fraction(55, 1000) * Fraction(9, 10) / OPTIMAL)),
    ],
    ids=["a million supplied", "50,000 borrowed"],
)  # fmt: skip
def test_a_rate_is_the_published_one_and_what_the_slopes_say_that_we_add(revision, ours, owed, added):
    row = row_of(MILLION, MILLION * 9 // 10)
    assert moved_by_hand(Fraction(MILLION), Fraction(MILLION * 9 // 10), Fraction(ours), Fraction(owed)) == added
    found = rates_with(row, ours, owed, revision)
    for rate, as_published, more in zip(found, (row.liquidity_rate_ray, row.variable_borrow_rate_ray), added, strict=True):
        # The contract divides up to five times, and each division rounds by at most 10**-18.
        assert abs(rate - as_published - more * RAY) < 10**10


totals = st.tuples(st.integers(10**6, 10**16), st.integers(0, 10**4)).map(lambda pair: (pair[0], pair[0] * pair[1] // 10**4))
sizes = st.integers(0, 10**17)
# Two sizes a base unit apart can be a last digit the wrong way: the contract rounds at each step.
LAST_DIGITS = 10


@given(totals, sizes, sizes, st.sampled_from(REVISIONS))
def test_what_we_supply_lowers_both_rates_and_what_we_borrow_raises_them_the_more_the_larger(market_totals, one, other, revision):
    row, (less, more) = row_of(*market_totals), sorted((one, other))
    published = (row.liquidity_rate_ray, row.variable_borrow_rate_ray)
    for side in (0, 1):
        supplied = [rates_with(row, size, 0, revision)[side] for size in (less, more)]
        owing = [rates_with(row, 0, min(size, row.available), revision)[side] for size in (less, more)]
        assert 0 <= supplied[1] <= supplied[0] + LAST_DIGITS <= published[side] + 2 * LAST_DIGITS
        assert owing[1] + 2 * LAST_DIGITS >= owing[0] + LAST_DIGITS >= published[side]


@given(totals, st.integers(0, 10**12), st.booleans(), st.sampled_from(REVISIONS))
def test_what_we_add_goes_to_nothing_with_our_size(market_totals, size, borrows, revision):
    row = row_of(*market_totals)
    published = (row.liquidity_rate_ray, row.variable_borrow_rate_ray)
    assert rates_with(row, 0, 0, revision) == published
    size = min(size, row.available) if borrows else size
    found = rates_with(row, 0 if borrows else size, size if borrows else 0, revision)
    steepest = max(SLOPE1 / OPTIMAL, SLOPE2 / (1 - OPTIMAL))
    highest = SLOPE1 + SLOPE2
    for side, steepness in enumerate((steepest + highest, steepest)):
        assert abs(found[side] - published[side]) <= steepness * Fraction(size, market_totals[0]) * RAY + LAST_DIGITS


@each_revision
def test_where_the_totals_are_not_known_the_rates_are_the_published_ones(revision):
    row = row_of(0, 0)
    assert joined(row, RULES, rounding_of(revision), (MILLION, MILLION // 2), (RAY, RAY)) == row


@each_revision
def test_no_rate_falls_below_zero_where_the_slopes_are_not_those_of_the_data(revision):
    row = row_of(MILLION, MILLION // 2, liquidity_rate_ray=RAY // 10**4, borrow_rate_ray=RAY // 10**3)
    assert rates_with(row, 100 * MILLION, 0, revision) == (0, 0)


@each_revision
def test_more_debt_of_ours_than_there_is_cash_for_is_full_use(revision):
    row = row_of(MILLION, MILLION // 2)
    found = joined(row, RULES, rounding_of(revision), (0, MILLION), (RAY, RAY))
    full, before = slopes(Fraction(1)), slopes(Fraction(1, 2))
    assert found.available == 0
    assert abs(found.variable_borrow_rate_ray - row.variable_borrow_rate_ray - (full[1] - before[1]) * RAY) < 10**10


# Over time.

IMPACT = {"rate_impact": True}
TOTALS = {"total_supplied": "1000000", "total_borrowed": "900000"}
PUBLISHED = ("0.044", "0.055")  # a little off what the slopes say: 4.36 % and 5.38 %
FACTORS = ("1.0001", "1.0002")  # by which the published indices grow in a day, a little off what the rates say


def settings(**aave_settings: Any) -> dict[str, dict[str, Any]]:
    return {"wallet": {"gas_price_gwei": 0}, "aave": aave_settings}


def rows(days: int, **changes: Any) -> dict[Any, dict[str, Any]]:
    """A row a day."""
    found = {}
    for day in range(days):
        indices = {"liquidity_index": D("1.02") * D(FACTORS[0]) ** day, "variable_borrow_index": D("1.04") * D(FACTORS[1]) ** day}
        rates = {"liquidity_rate": PUBLISHED[0], "variable_borrow_rate": PUBLISHED[1]}
        found[AT + timedelta(days=day)] = {**lending_row(1.0), **indices, **rates, **TOTALS, **changes}
    return found


@pytest.fixture
def recorded(tmp_path: Any) -> Any:
    write_lending(tmp_path, "aave_v3", "USDT", rows(6))
    write_lending(tmp_path, "aave_v3", "WETH", rows(6, oracle_price_usd=2000, total_supplied="1e9", total_borrowed="1e8"))
    write_bars(tmp_path, "bybit", "spot", "ETHUSDT", [(2000,)] * 200)
    return provider(tmp_path)


class World:
    """Positions at Aave, settled as time goes on."""

    def __init__(self, data: Any, positions: dict[str, Any], **aave_settings: Any) -> None:
        self.venues = venues(settings(**aave_settings))
        self.handler = PositionUpdateHandler(positions)
        self.account = TradingAccount(self.venues, MarketSource(data), self.handler)
        self.market = self.account.market(AT)
        self.account.state(self.market)
        self.reported = Deltas()

    def settle(self, days: float) -> World:
        at = AT + timedelta(days=days)
        self.reported = sum((report.deltas for report in settled(self.account, at)), self.reported)
        self.market = self.account.market(at)
        return self

    def act(self, name: str, token: str, amount: Any) -> None:
        state, reports = self.account.accrued_on_chain(self.account.state(self.market), self.market)
        self.account.ledger.assign(state)
        for report in reports:
            self.reported += report.deltas
        moved = run(action("aave", name, token, amount), self.venues, self.account.state(self.market), self.market)
        self.reported += moved.deltas
        self.account.ledger.assign(moved.state)

    def held(self, token: str) -> D:
        return self.handler.positions.get("aave", {}).get(token, D(0))

    def liquidity_rate(self) -> Fraction:
        return Fraction(self.state.parts["aave"].pool.reserves["USDT"].liquidity_rate_ray, RAY)

    @property
    def state(self) -> State:
        return self.account.state(self.market)


def day_by_hand(ours: Fraction, owed: Fraction) -> tuple[Fraction, Fraction]:
    """A day's growth of (an aToken, a debt) of ours in the recorded market: the published one x (at our rate) / (at the published rate)."""
    added = moved_by_hand(Fraction(10**6), Fraction(900_000), ours, owed)
    published = [Fraction(rate) * DAY_OF_YEAR for rate in PUBLISHED]
    with_us = [rate + more * DAY_OF_YEAR for rate, more in zip(published, added, strict=True)]
    supply = (1 + with_us[0]) / (1 + published[0]) * Fraction(FACTORS[0])
    debt = compounded(with_us[1]) / compounded(published[1]) * Fraction(FACTORS[1])
    return supply, debt


def compounded(rate: Fraction) -> Fraction:
    return 1 + rate + rate**2 / 2 + rate**3 / 6


@each_revision
@exactly
def test_a_large_deposit_grows_at_its_own_rate_row_after_row(recorded, revision):
    world = World(recorded, {"aave": {"aUSDT": 1_000_000}}, revision=revision, **IMPACT)
    opened = world.held("aUSDT")
    expected = published = Fraction(opened)
    for day in range(1, 6):
        expected *= day_by_hand(expected, Fraction(0))[0]
        published *= Fraction(FACTORS[0])
        assert abs(Fraction(world.settle(day).held("aUSDT")) - expected) < Fraction("0.00001")
    # A million more in the market takes 3.27 % a year off the rate of a million.
    assert abs(published - expected - 5 * 10**6 * Fraction("0.0327") / 365) < 1
    assert world.reported.get("aave", "aUSDT") == world.held("aUSDT") - opened


@each_revision
@exactly
def test_a_large_debt_grows_at_its_own_rate_row_after_row(recorded, revision):
    world = World(recorded, {"aave": {"aWETH": 1000, "variableDebtUSDT": 50_000}}, revision=revision, **IMPACT)
    opened = world.held("variableDebtUSDT")
    expected = published = Fraction(opened)
    for day in range(1, 6):
        expected *= day_by_hand(Fraction(0), expected)[1]
        published *= Fraction(FACTORS[1])
        assert abs(Fraction(world.settle(day).held("variableDebtUSDT")) - expected) < Fraction("0.00001")
    # 18.6 % instead of 5.4 %
    assert abs(expected - published - 5 * 50_000 * Fraction("0.1325") / 365) < 1
    assert world.reported.get("aave", "variableDebtUSDT") == world.held("variableDebtUSDT") - opened


@pytest.mark.parametrize("changes", [{"total_supplied": 0, "total_borrowed": 0}, TOTALS], ids=["totals not known", "a small deposit"])
@exactly
def test_where_our_size_does_not_count_nothing_is_changed_by_the_setting(tmp_path, changes):
    write_lending(tmp_path, "aave_v3", "USDT", rows(6, **changes))
    amount = 5_000_000 if changes is not TOTALS else D("0.01")
    found = []
    for impact in (False, True):
        world = World(provider(tmp_path), {"wallet": {"USDT": amount}}, rate_impact=impact)
        world.settle(0.25).act("supply", "USDT", amount)
        found.append([world.settle(day).held("aUSDT") for day in (0.5, 1, 2.75, 5)])
    # The action itself makes interest due, which counts until the next row: four billionths here.
    assert abs(found[0][0] - found[1][0]) <= amount * D("4e-9")
    assert found[0][1:] == found[1][1:]


@exactly
def test_the_setting_is_on_where_it_is_not_named_and_the_rows_have_totals(recorded, tmp_path):
    held = {"aave": {"aUSDT": 1_000_000}}
    off, on, left_out = (World(recorded, held, **given).settle(5).held("aUSDT") for given in ({"rate_impact": False}, IMPACT, {}))
    assert abs(off - 10**6 * D(FACTORS[0]) ** 5) <= 3 * USDT_UNIT
    assert on == left_out < off
    write_lending(tmp_path, "aave_v3", "USDT", rows(6, total_supplied=0, total_borrowed=0))
    without_totals = provider(tmp_path)
    assert World(without_totals, held).settle(5).held("aUSDT") == World(without_totals, held, rate_impact=False).settle(5).held("aUSDT")


@exactly
def test_a_row_that_grows_as_its_rates_said_makes_no_jump(tmp_path):
    """The last second before a row and the first after it are a second's interest apart."""
    exact = {"liquidity_rate": D("0.0001") * 365, "variable_borrow_rate": D("0.0002") * 365}
    write_lending(tmp_path, "aave_v3", "USDT", rows(4, **exact))
    world = World(provider(tmp_path), {"aave": {"aUSDT": 500_000}}, **IMPACT)
    second = 1 / 86_400
    steps = []
    for day in (1, 2, 3):
        before, at = world.settle(day - second).held("aUSDT"), world.settle(day).held("aUSDT")
        steps.append((at - before) / at)
    expected = (Fraction(365, 10_000) + moved_by_hand(Fraction(10**6), Fraction(900_000), Fraction(500_000), Fraction(0))[0]) / (
        365 * 86_400
    )
    assert all(abs(Fraction(step) - expected) < Fraction("1e-11") for step in steps)


@exactly
def test_an_action_between_two_rows_keeps_what_was_earned_and_sets_the_rates_again(recorded):
    world = World(recorded, {"aave": {"aUSDT": 1_000_000}, "wallet": {"USDT": 2_000_000}}, **IMPACT)
    half = world.settle(1.5).held("aUSDT")
    for name, amount, left in (("supply", 2_000_000, half + 2_000_000), ("withdraw", 2_500_000, half - 500_000)):
        before = value(world.venues, world.state, world.market)
        world.act(name, "USDT", amount)
        assert abs(value(world.venues, world.state, world.market) - before) <= USDT_UNIT
        assert abs(world.held("aUSDT") - left) <= 2 * USDT_UNIT
        # The market's debt has grown by half a day since its row.
        added = moved_by_hand(Fraction(10**6), Fraction(900_000), Fraction(left), Fraction(0))[0]
        assert abs(world.liquidity_rate() - Fraction(PUBLISHED[0]) - added) < Fraction("1e-5")


@exactly
def test_who_has_left_and_comes_back_finds_the_published_index(recorded):
    world = World(recorded, {"aave": {"aUSDT": 1_000_000}}, **IMPACT).settle(1.5)
    world.act("withdraw", "USDT", "all")
    assert world.held("aUSDT") == 0
    assert world.liquidity_rate() == Fraction(PUBLISHED[0])
    world.settle(3)
    world.act("supply", "USDT", 1)
    assert world.state.parts["aave"].pool.reserves["USDT"].liquidity_index_ray == int(D("1.02") * D(FACTORS[0]) ** 3 * RAY)


@each_setting
@exactly
def test_what_we_owe_is_missing_in_the_pool_at_the_next_row_too(recorded, impact):
    world = World(recorded, {"aave": {"aWETH": 10_000, "variableDebtUSDT": 60_000}}, rate_impact=impact)
    world.settle(1)
    with pytest.raises(VenueRejected, match=r"aave borrow of 40000 USDT: the pool has 399\d\d[\.\d]* USDT in cash; take less"):
        world.act("borrow", "USDT", 40_000)
    with pytest.raises(VenueRejected, match=r"aave flash_loan of 40000 USDT: the pool has 399\d\d[\.\d]* USDT in cash; take less"):
        world.venues["aave"].flash_fee("USDT", D(40_000), world.state, world.market)
    world.act("borrow", "USDT", 39_900)


@each_revision
@each_setting
@pytest.mark.parametrize("days", [0, 0.5, 1, 2.5])
@exactly
def test_what_is_ours_can_be_withdrawn_at_every_row_however_little_cash_others_left(recorded, impact, revision, days):
    """The row has 100,000 in cash; we have half a million there."""
    world = World(recorded, {"wallet": {"USDT": 500_000}}, rate_impact=impact, revision=revision)
    world.settle(0.25).act("supply", "USDT", 500_000)
    held = world.settle(0.25 + days).held("aUSDT")
    world.act("withdraw", "USDT", 400_000)
    assert 100_000 - USDT_UNIT <= world.settle(0.25 + 2 * days).held("aUSDT") <= held - 400_000 + 50
    world.act("withdraw", "USDT", "all")
    assert world.held("aUSDT") == 0
    # What others have in cash is there, but for the interest since the row, which was paid out of it.
    left = world.state.parts["aave"].pool.reserves["USDT"].available
    assert abs(100_000 * 10**6 - left) <= 30 * 10**6
    assert world.venues["aave"].pool.part(State(), world.market, "USDT").pool.reserves["USDT"].available == 100_000 * 10**6


@each_revision
@each_setting
@pytest.mark.parametrize("days", [0.75, 1, 1.5, 5])
@exactly
def test_what_is_ours_can_be_withdrawn_with_its_interest_where_others_left_no_cash(tmp_path, impact, revision, days):
    write_lending(tmp_path, "aave_v3", "USDT", rows(6, total_borrowed=1_000_000))
    world = World(provider(tmp_path), {"wallet": {"USDT": 500_000}}, rate_impact=impact, revision=revision)
    world.settle(0.25).act("supply", "USDT", 500_000)
    grown = world.settle(days).held("aUSDT") - 500_000
    assert grown > 10 or impact  # with us in it half is lent out, at a rate far below the published one
    world.act("withdraw", "USDT", "all")
    assert world.held("aUSDT") == 0


@exactly
def test_without_the_setting_indices_and_rates_are_those_of_the_row_whatever_is_done(recorded):
    """To the last of 27 digits, so that the balance is the published one."""
    world = World(recorded, {"wallet": {"USDT": 2_000_000}, "aave": {"aWETH": 1000}}, rate_impact=False)
    steps = (
        (0.25, "supply", 900_000),
        (0.5, "borrow", 30_000),
        (1.75, "withdraw", 400_000),
        (1.9, "repay", 10_000),
        (3.25, "withdraw", "all"),
    )
    for days, name, amount in steps:
        world.settle(days).act(name, "USDT", amount)
        row = world.market.lending("aave", "USDT")
        reserve = world.state.parts["aave"].pool.reserves["USDT"]
        read = reserve.liquidity_index_ray, reserve.variable_borrow_index_ray, reserve.liquidity_rate_ray, reserve.variable_borrow_rate_ray
        row_values = row.liquidity_index, row.variable_borrow_index, row.liquidity_rate, row.variable_borrow_rate
        assert read == tuple(int(number * RAY) for number in row_values)
        assert reserve.last_update_s * 10**6 == row.stamp


@each_setting
@exactly
def test_a_cap_counts_our_part_at_every_row(recorded, impact):
    caps = {"reserves": {"USDT": {"supply_cap": 1_000_100, "borrow_cap": 900_100}}}
    positions = {"aave": {"aWETH": 100, "aUSDT": 60, "variableDebtUSDT": 60}, "wallet": {"USDT": 100}}
    for name in ("supply", "borrow"):
        world = World(recorded, positions, rate_impact=impact, **caps).settle(1)
        world.act(name, "USDT", 39)
        with pytest.raises(VenueRejected, match="over the cap of"):
            world.act(name, "USDT", 2)


@exactly
def test_a_liquidation_takes_our_part_out_of_the_rates(recorded, tmp_path):
    write_lending(tmp_path, "aave_v3", "USDT", rows(6))
    fallen = {at: {**row, "oracle_price_usd": 2000 if at == AT else 1200} for at, row in rows(6, total_supplied="1e9").items()}
    write_lending(tmp_path, "aave_v3", "WETH", fallen)
    world = World(provider(tmp_path), {"aave": {"aWETH": 50, "variableDebtUSDT": 60_000}}, **IMPACT).settle(1)
    left = world.held("variableDebtUSDT")
    assert 0 < left < 31_000
    found = world.state.parts["aave"].pool.reserves["USDT"].variable_borrow_rate_ray
    added = moved_by_hand(Fraction(10**6), Fraction(900_000), Fraction(0), Fraction(left))[1]
    assert abs(Fraction(found, RAY) - Fraction(PUBLISHED[1]) - added) < Fraction("1e-12")


def test_the_slopes_are_settings():
    rules = venue(
        "aave", {"reserves": {"USDT": {"optimal_usage_bps": 8000, "base_rate_bps": 50, "slope1_bps": 400, "slope2_bps": 6000}}}
    ).pool.rules
    curve = (rules["USDT"].optimal_usage_ray, rules["USDT"].base_rate_ray, rules["USDT"].slope1_ray, rules["USDT"].slope2_ray)
    assert curve == tuple(bps * BPS_TO_RAY for bps in (8000, 50, 400, 6000))


@given(
    st.lists(st.integers(1, 2**62), min_size=7, max_size=7),
    st.lists(st.integers(0, 27), min_size=7, max_size=7),
    st.sampled_from(("USDT", "WETH")),
)
def test_a_row_of_integers_is_read_as_the_same_row_of_decimals(values: list[int], decimals: list[int], token: str) -> None:
    exact = [EXACT.scaleb(value, -places) for value, places in zip(values, decimals, strict=True)]
    with localcontext(EXACT):
        read = published(LendingRow(7 * 10**6, *exact), token)
    assert published(ScaledRow(7 * 10**6, values, tuple(decimals)), token)[1:] == read[1:]
