"""What changed at a venue, as plain data: added to the state before it gives the state after it, and added to another it adds up."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from basis_strategy_v1.core.state import Amounts, ExchangeAccount, Perp, State, Transfer, Transit, VenueState, Wallet
from basis_strategy_v1.core.state_change import apply_change, apply_changes, change_between, changes_between
from basis_strategy_v1.core.state_codec import kinds_of
from basis_strategy_v1.core.value_change import form_of
from basis_strategy_v1.venues.aave_account import Pool, UserAccount
from basis_strategy_v1.venues.aave_interest import RAY
from basis_strategy_v1.venues.aave_reserve import Reserve
from basis_strategy_v1.venues.aave_state import AaveState
from basis_strategy_v1.venues.curve_pool import StableSwapPool
from basis_strategy_v1.venues.morpho_account import MarketPosition, MorphoState
from basis_strategy_v1.venues.morpho_market import Market, Position
from basis_strategy_v1.venues.pool_swap import MovedPools
from basis_strategy_v1.venues.staking import Queue, Request

from ..states import Decimal, same, states, venue_states

D = Decimal
PAIRS = st.one_of([st.tuples(*[st.none() | venue_states(kind)] * 2) for kind in kinds_of(VenueState).values()])
ANY = st.none() | st.one_of([venue_states(kind) for kind in kinds_of(VenueState).values()])
FIRST, SECOND, THIRD = (Transfer(at, f"bybit-wallet-ETH-{at}", "wallet", "ETH", D(at)) for at in (10, 20, 30))


@pytest.fixture(autouse=True, scope="module")
def forms_are_made_again() -> None:
    """What makes them is tested too, whatever was tested before in this process."""
    form_of.cache_clear()


KINDS = "AaveState, Account, Amounts, MorphoState, MovedPools, Queue, Transit, VaultState, Wallet"


def amounts(difference: str) -> Any:
    return {"type": "Amounts", "changed": {"amounts": {"changed": {"A": difference}}}}


def as_json(change: Any) -> Any:
    return json.loads(json.dumps(change))


@given(PAIRS | st.tuples(ANY, ANY))
def test_a_change_between_any_two_states_of_a_venue_leads_from_the_one_to_the_other(pair: tuple[Any, Any]) -> None:
    before, after = pair
    change = change_between(before, after)
    assert as_json(change) == change
    assert apply_change(before, change) == after
    assert bool(change) == (before != after)


@given(states(), states())
def test_the_changes_between_any_two_states_lead_from_the_one_to_the_other(before: State, after: State) -> None:
    changes = changes_between(before, after)
    found = apply_changes(before, as_json(changes))
    assert (found.parts, found.checked) == (after.parts, before.checked)
    assert set(changes) == {venue for venue in {*before.parts, *after.parts} if before.parts.get(venue) != after.parts.get(venue)}


def test_the_changes_of_a_real_run_lead_from_each_state_to_the_next_down_to_the_last_digit_and_the_order(
    real_runs: dict[str, list[State]],
) -> None:
    kinds: set[type] = set()
    for run in real_runs.values():
        for before, after in pairwise(run[:: max(1, len(run) // 400)]):
            assert same(dict(apply_changes(before, changes_between(before, after)).parts), dict(after.parts))
            kinds |= {type(part) for part in after.parts.values()}
    assert kinds == set(kinds_of(VenueState).values())


# Two changes that were made from one state: (the state, after the first, after the second, after both).
BEFORE = AaveState(
    Pool(revision="3.0", rules={}, reserves={"USDT": Reserve(last_update_s=1)}),
    UserAccount({"USDT": 100}),
    1_000_000,
    1,
    reported={"USDT": (100, 0)},
)
LATER = Pool(revision="3.0", rules={}, reserves={"USDT": Reserve(liquidity_index_ray=RAY + 1, last_update_s=9)})
STAKE, LOAN = Market(lltv_wad=1, last_update_s=1), Market(lltv_wad=1, last_update_s=9)
R1, R2, R3 = Request("lido-1", 10, 1, 1), Request("lido-2", 20, 2, 2), Request("lido-3", 30, 3, 3)
TOGETHER: dict[str, tuple[Any, Any, Any, Any]] = {
    "a trade while a deposit arrives": (
        ExchangeAccount({"USDT": D("100.50")}, {"ETHUSDT": Perp(D(-1), D(-3300))}),
        ExchangeAccount({"USDT": D("99.25")}, {"ETHUSDT": Perp(D(-2), D(-6500)), "BTCUSDT": Perp(D(1), D(60000))}),
        ExchangeAccount({"USDT": D("600.50"), "ETH": D(2)}, {"ETHUSDT": Perp(D(-1), D(-3300))}),
        ExchangeAccount({"USDT": D("599.25"), "ETH": D(2)}, {"ETHUSDT": Perp(D(-2), D(-6500)), "BTCUSDT": Perp(D(1), D(60000))}),
    ),
    "two trades that open one position": (
        ExchangeAccount({"USDT": D(10)}),
        ExchangeAccount({"USDT": D(9), "ETH": D(1)}, {"ETHUSDT": Perp(D(-1), D(-3300))}),
        ExchangeAccount({"USDT": D(8), "ETH": D(2)}, {"ETHUSDT": Perp(D(-2), D(-6700))}),
        ExchangeAccount({"USDT": D(7), "ETH": D(3)}, {"ETHUSDT": Perp(D(-3), D(-10000))}),
    ),
    "a position is closed while funding is paid": (
        ExchangeAccount({"USDT": D(10)}, {"ETHUSDT": Perp(D(1), D(30))}),
        ExchangeAccount({"USDT": D(12)}),
        ExchangeAccount({"USDT": D(9)}, {"ETHUSDT": Perp(D(1), D(30))}),
        ExchangeAccount({"USDT": D(11)}),
    ),
    "a transfer arrives while another leaves": (
        Transit((FIRST, THIRD)),
        Transit((THIRD,)),
        Transit((FIRST, SECOND, THIRD)),
        Transit((SECOND, THIRD)),
    ),
    "a request is claimed while another is made": (
        Queue((R1,), 1),
        Queue((), 1),
        Queue((R1, R2), 2),
        Queue((R2,), 2),
    ),
    "two requests are claimed": (
        Queue((R1, R2, R3), 3),
        Queue((R2, R3), 3),
        Queue((R1, R2), 3),
        Queue((R2,), 3),
    ),
    "tokens come to a wallet whose share rate goes on": (
        Wallet({"ETH": 10**20, "stETH": 5}, {"stETH": 7}),
        Wallet({"ETH": 10**20 - 1, "stETH": 6}, {"stETH": 8}),
        Wallet({"ETH": 2 * 10**20, "stETH": 5}, {"stETH": 8}),
        Wallet({"ETH": 2 * 10**20 - 1, "stETH": 6}, {"stETH": 8}),
    ),
    "two supplies to a pool that both see go on": (
        BEFORE,
        AaveState(LATER, UserAccount({"USDT": 130}, {}, frozenset({"USDT"})), 9_000_000, 9, reported={"USDT": (131, 0)}),
        AaveState(LATER, UserAccount({"USDT": 101}, {"ETH": 4}), 9_000_000, 9, reported={"USDT": (102, 0), "ETH": (0, 4)}),
        AaveState(
            LATER, UserAccount({"USDT": 131}, {"ETH": 4}, frozenset({"USDT"})), 9_000_000, 9, reported={"USDT": (133, 0), "ETH": (0, 4)}
        ),
    ),
    "a collateral is switched off while another is switched on": (
        AaveState(LATER, UserAccount(collateral=frozenset({"USDT"})), 9, 9),
        AaveState(LATER, UserAccount(), 9, 9),
        AaveState(LATER, UserAccount(collateral=frozenset({"USDT", "WETH"})), 9, 9),
        AaveState(LATER, UserAccount(collateral=frozenset({"WETH"})), 9, 9),
    ),
    "a loan while collateral comes": (
        MorphoState({"wstETH/WETH": MarketPosition(STAKE, Position(0, 0, 5), 1)}, 1),
        MorphoState({"wstETH/WETH": MarketPosition(LOAN, Position(0, 3, 5), 9)}, 9),
        MorphoState({"wstETH/WETH": MarketPosition(LOAN, Position(0, 0, 9), 9)}, 9),
        MorphoState({"wstETH/WETH": MarketPosition(LOAN, Position(0, 3, 9), 9)}, 9),
    ),
    "two accounts that were not there": (
        None,
        ExchangeAccount({"USDT": D(1)}),
        ExchangeAccount({"USDT": D(2), "ETH": D(1)}),
        ExchangeAccount({"USDT": D(3), "ETH": D(1)}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TOGETHER)
def test_two_changes_that_were_made_from_one_state_add_up_in_either_order(case: str) -> None:
    before, first, second, both = TOGETHER[case]
    changes = change_between(before, first), change_between(before, second)
    assert apply_change(apply_change(before, changes[0]), changes[1]) == both
    assert apply_change(apply_change(before, changes[1]), changes[0]) == both


def test_a_change_reads_as_what_has_moved() -> None:
    before = ExchangeAccount({"USDT": D("100.50"), "ETH": D(1)}, {"ETHUSDT": Perp(D(-1), D(-3300))})
    after = ExchangeAccount({"USDT": D("90.5"), "BTC": D(3)})
    assert change_between(before, after) == {
        "type": "Account",
        "changed": {
            "balances": {"changed": {"ETH": "-1", "USDT": "-10.00", "BTC": "3"}},
            "perps": {"changed": {"ETHUSDT": {"base": "1", "cost": "3300"}}},
        },
    }
    assert change_between(Transit((FIRST,)), Transit((SECOND,))) == {
        "type": "Transit",
        "changed": {
            "transfers": {
                "removed": [[0, [10, "bybit-wallet-ETH-10", "wallet", "ETH", "10"]]],
                "added": [[0, [20, "bybit-wallet-ETH-20", "wallet", "ETH", "20"]]],
            }
        },
    }
    assert change_between(before, before) == change_between(None, None) == {}
    assert change_between(before, None) == {"gone": True}
    assert change_between(None, Wallet()) == change_between(Amounts(), Wallet()) == {"type": "Wallet", "changed": {}, "whole": True}


def test_an_amount_of_0_that_was_kept_is_kept_and_one_that_left_is_gone() -> None:
    before, after = ExchangeAccount({"A": D(0), "B": D(1), "C": D(0)}), ExchangeAccount({"B": D(0), "C": D(0), "D": D(0)})
    change = change_between(before, after)
    assert change == {"type": "Account", "changed": {"balances": {"changed": {"B": "-1"}, "gone": ["A"], "kept": ["B", "D"]}}}
    assert apply_change(before, change) == after
    assert apply_change(ExchangeAccount({"B": D(5)}), change) == ExchangeAccount({"B": D(4), "D": D(0)})


def test_records_of_which_two_are_equal_keep_their_order() -> None:
    for before, after in (((R1, R2, R1), (R1, R2)), ((R1, R2, R1, R3), (R1, R2, R3)), ((R1, R1, R2), (R2, R1))):
        assert apply_change(Queue(before), change_between(Queue(before), Queue(after))) == Queue(after)


def test_a_difference_of_0_leaves_nothing() -> None:
    assert apply_change(Amounts(), amounts("0")) == Amounts()


def test_changes_of_several_venues_leave_the_others_as_they_are() -> None:
    wallet, account = Wallet({"ETH": 1}), ExchangeAccount({"USDT": D(1)})
    before = State({"wallet": wallet, "bybit": account, "aave": Amounts({"aUSDT": D(1)})}, checked=False)
    after = apply_changes(
        before, {"aave": {"gone": True}, "bybit": {"type": "Account", "changed": {"balances": {"changed": {"USDT": "1"}}}}}
    )
    assert after.parts == {"wallet": wallet, "bybit": ExchangeAccount({"USDT": D(2)})}
    assert (after.parts["wallet"] is wallet, after.checked) == (True, False)


@pytest.mark.parametrize(
    ("before", "change", "fault"),
    [
        (None, {"type": "Vault", "changed": {}}, f"the type of a change must be one of {KINDS}, got 'Vault'"),
        (None, {"changed": {}}, f"the type of a change must be one of {KINDS}, got None"),
        (Amounts({"USDT": D(5)}), {"type": "Account", "changed": {}}, "a change of type Account does not fit a Amounts"),
        (None, {"type": "Account"}, "a change of type Account does not fit: 'changed'"),
        (None, {"type": "Account", "changed": []}, "a change of type Account does not fit: 'list' object has no attribute 'keys'"),
        (None, {"type": "Account", "changed": {"units": 1}}, "a change of type Account does not fit: it has no field units"),
        (None, {"type": "AaveState", "changed": {"now_s": 1}}, "a change of type AaveState does not fit: pool is missing"),
        (None, {"type": "Queue", "changed": {"asked": 1.5}}, "a change of type Queue does not fit: Expected `int`, got `float`"),
        (Transit(), change_between(Transit((FIRST,)), Transit()), "a change of type Transit does not fit: it removes Transfer(arrives=10, "
         "key='bybit-wallet-ETH-10', to_venue='wallet', token='ETH', amount=Decimal('10')), which is not there"),
        (None, amounts("NaN"), "a change of type Amounts does not fit: NaN is no difference"),
        (None, amounts("-Infinity"), "a change of type Amounts does not fit: -Infinity is no difference"),
        (None, amounts("1,5"), "a change of type Amounts does not fit: Invalid decimal string"),
    ],
)  # fmt: skip
def test_a_change_that_does_not_fit_is_refused_in_one_line(before: Any, change: Any, fault: str) -> None:
    with pytest.raises(ValueError, match="a change") as refused:
        apply_change(before, change)
    assert str(refused.value) == fault
    with pytest.raises(ValueError, match="a change") as refused:
        apply_changes(State({} if before is None else {"there": before}), {"there": change})
    assert str(refused.value) == f"there: {fault}"


def test_a_difference_that_cannot_be_added_exactly_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        apply_change(Amounts({"A": D("1E+30")}), amounts("1E-3000"))


def test_what_a_pool_is_like_is_taken_over_and_nothing_of_it_is_added() -> None:
    pool = StableSwapPool((1, 2), 3, 4, 5, (6, 7), "ng")
    change = change_between(MovedPools(), MovedPools({"a": (7, pool)}))
    data = {"type": "CurvePool", **structs.asdict(pool), "balances": [1, 2], "rates": [6, 7]}
    assert change == {"type": "MovedPools", "changed": {"states": {"changed": {"a": [7, data]}}}}
    once = apply_change(MovedPools({"b": (1, pool)}), change)
    assert apply_change(once, change) == once == MovedPools({"b": (1, pool), "a": (7, pool)})


def test_a_perp_that_was_closed_leaves_no_cost_behind() -> None:
    before = ExchangeAccount({"USDT": D(5)}, {"ETHUSDT": Perp(D(1), D("3300.00000001"))})
    change = change_between(ExchangeAccount(), ExchangeAccount({}, {"ETHUSDT": Perp(D(-1), D(-3300))}))
    assert apply_change(before, change) == ExchangeAccount({"USDT": D(5)})
