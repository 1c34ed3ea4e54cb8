"""Positions, next to what the venues show: every difference is explained with its number, or named a break."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from msgspec import structs

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.gateway import Due
from basis_strategy_v1.core.state import Amounts, ExchangeAccount, State, Transfer, Transit, Wallet
from basis_strategy_v1.core.state_change import changes_between
from basis_strategy_v1.execution.reconciliation import Holding, HoldingsTable, Known, Part, reconcile

from .sending import order, report

D = Decimal
AT = datetime(2024, 6, 1, 12, tzinfo=UTC)
NOTHING = Known()


def account(**tokens):
    return ExchangeAccount({token: D(amount) for token, amount in tokens.items()})


def row(known=NOTHING, *, held, shown, **more):
    """The only row of a token at an exchange of which there is `held` and `shown`."""
    state = State({"bybit": account(USDT=held), **more})
    (found,) = reconcile(AT, state, State({"bybit": account(USDT=shown)}), known).rows
    return [(part.reason, str(part.amount)) for part in found.explained], str(found.unexplained)


def happened(kind, amount, venue="bybit"):
    changes = changes_between(State({venue: account()}), State({venue: account(USDT=amount)}))
    return Due(id=kind, venue=venue, kind=kind, at=AT, deltas=Deltas.at(venue, {"USDT": D(amount)}), changes=changes)


def test_what_agrees_is_in_the_table_without_a_remark():
    state = State({"bybit": account(USDT=5, ETH=1), "wallet": Wallet({"USDT": 7_000_000})})
    table = reconcile(AT, state, state, NOTHING)
    assert table == HoldingsTable(
        at=AT,
        rows=(
            Holding(venue="bybit", token="USDT", held=D(5), shown=D(5)),
            Holding(venue="bybit", token="ETH", held=D(1), shown=D(1)),
            Holding(venue="wallet", token="USDT", held=D(7), shown=D(7)),
        ),
    )
    assert (table.breaks, table.differences) == ((), ())


FEE = report(venue="bybit", costs=(Cost("fees", "USDT", D("1.5")), Cost("slippage", "USDT", D(9))))
LATER = Transit((Transfer(1, "k", "bybit", "USDT", D(40)), Transfer(2, "k", "binance", "USDT", D(3))))
BUYS = order(venue="bybit", expected=Deltas.at("bybit", {"USDT": D(-100), "ETH": D(1)}))
EXPLAINED = {
    "funding": (Known(due=[happened("funding", -3)]), 100, 97, [("funding", "-3")]),
    "interest and funding": (Known(due=[happened("interest", 2), happened("funding", 1)]), 100, 103, [("interest", "2"), ("funding", "1")]),
    "a fee that is not in its report's deltas": (Known(executed=[FEE]), 100, "98.5", [("fee", "-1.5")]),
    "two fees together": (Known(executed=[FEE, FEE]), 100, 97, [("fee", "-3")]),
    "an open order": (Known(open=[BUYS]), 100, 0, [("open order", "-100")]),
    "a part of an open order": (Known(open=[BUYS]), 100, 75, [("open order", "-25")]),
    "what is not the run's": (Known(not_ours={"bybit": {"USDT": D(900)}}), 100, 1000, [("not the run's", "900")]),
    "a rounding": (NOTHING, "100.000000004", 100, [("rounding", "-4E-9")]),
}


@pytest.mark.parametrize(("known", "held", "shown", "parts"), EXPLAINED.values(), ids=EXPLAINED)
def test_a_difference_is_explained_by(known, held, shown, parts):
    assert row(known, held=held, shown=shown) == (parts, "0")


def test_what_is_in_transit_explains_what_has_arrived_at_its_receiver_only():
    assert row(held=100, shown=140, in_transit=LATER) == ([("in transit", "40")], "0")
    assert row(held=100, shown=103, in_transit=LATER) == ([], "3")


BROKEN = {
    "more than anything explains": (NOTHING, 100, 101, [], "1"),
    "less": (NOTHING, 100, "99.99", [], "-0.01"),
    "more than a due explains": (Known(due=[happened("funding", 2)]), 100, 103, [("funding", "2")], "1"),
    "less, where something came in": (Known(due=[happened("funding", 2)]), 100, 99, [], "-1"),
    "less than a due that is larger": (Known(due=[happened("funding", 2)]), 100, 101, [], "1"),
    "beyond a fee": (Known(executed=[FEE]), 100, 98, [], "-2"),
    "no cost that is paid elsewhere": (Known(executed=[FEE]), 100, 91, [], "-9"),
    "what is not the run's is less": (Known(not_ours={"bybit": {"USDT": D(900)}}), 100, 999, [("not the run's", "900")], "-1"),
    "the other way than an open order": (Known(open=[BUYS]), 100, 120, [], "20"),
}


@pytest.mark.parametrize(("known", "held", "shown", "parts", "left"), BROKEN.values(), ids=BROKEN)
def test_it_is_a_break_where_there_is(known, held, shown, parts, left):
    assert row(known, held=held, shown=shown) == (parts, left)


def test_a_break_names_what_is_shown_what_the_ledger_has_and_what_is_unexplained():
    held, read = State({"bybit": account(USDT=100)}), State({"bybit": account(USDT=103)})
    (found,) = reconcile(AT, held, read, Known(due=[happened("funding", 2)])).breaks
    assert str(found) == "bybit shows 103 USDT, held are 100: funding 2, unexplained 1"


def test_a_token_that_only_one_of_them_knows_is_compared_too():
    table = reconcile(AT, State({"bybit": account(USDT=1)}), State({"bybit": account(ETH=2)}), NOTHING)
    assert [(one.token, one.unexplained) for one in table.breaks] == [("USDT", -1), ("ETH", 2)]


def test_a_due_that_does_not_fit_the_positions_explains_nothing():
    other = structs.replace(happened("funding", 2), changes={"bybit": {"type": "Wallet", "changed": {}}})
    assert row(Known(due=[other]), held=100, shown=102) == ([], "2")


def test_a_due_without_changes_at_a_token_explains_nothing_of_it():
    assert row(Known(due=[happened("funding", 2, "binance")]), held=100, shown=102) == ([], "2")


def test_a_venue_that_no_gateway_reads_or_that_gave_no_answer_is_named():
    held = State({"okx": account(USDT=1), "in_transit": LATER, "bybit": account()})
    table = reconcile(AT, held, State(), NOTHING, {"binance": "no answer"})
    assert (table.rows, table.unread) == ((), {"okx": "no gateway reads it", "binance": "no answer"})


# On chain.


def on_chain(token, held, shown, known=NOTHING, venue="aave"):
    before, after = (State({venue: Amounts({token: D(amount)})}) for amount in (held, shown))
    (found,) = reconcile(AT, before, after, known).rows
    return [(part.reason, str(part.amount)) for part in found.explained], str(found.unexplained)


def test_what_accrues_may_have_accrued_a_little_more_and_no_more_than_that():
    assert on_chain("aUSDT", 1000, "1000.001") == ([("interest", "0.001")], "0")
    assert on_chain("aUSDT", 1000, "1000.0011") == ([], "0.0011")
    assert on_chain("stETH", 1000, "1000.001", venue="wallet") == ([("interest", "0.001")], "0")


def test_a_base_unit_of_a_token_is_a_rounding_and_two_are_not():
    assert on_chain("USDT", 1000, "1000.000001", venue="wallet") == ([("rounding", "0.000001")], "0")
    assert on_chain("USDT", 1000, "1000.000002", venue="wallet") == ([], "0.000002")


WALLETS = {"aave": "wallet"}


def test_gas_and_the_tokens_of_an_open_action_are_the_wallets():
    paid = report(venue="aave", costs=(Cost("gas", "ETH", D("0.01")),))
    assert on_chain("ETH", 5, "4.99", Known(executed=[paid], wallets=WALLETS), "wallet") == ([("gas", "-0.01")], "0")
    supply = order(venue="wallet", expected=Deltas.at("aave", {"USDT": D(-7), "aUSDT": D(7)}))
    known = Known(open=[supply], wallets=WALLETS)
    assert on_chain("USDT", 10, 3, known, "wallet") == ([("open order", "-7")], "0")
    assert on_chain("aUSDT", 10, 17, known) == ([("open order", "7")], "0")


def test_parts_and_the_rest_are_the_difference():
    held, read = State({"bybit": account(USDT=100)}), State({"bybit": account(USDT=1005)})
    known = Known(not_ours={"bybit": {"USDT": D(900)}}, due=[happened("funding", 2)])
    (found,) = reconcile(AT, held, read, known).rows
    assert found.explained == (Part("not the run's", D(900)), Part("funding", D(2)))
    assert found.shown - found.held == sum(part.amount for part in found.explained) + found.unexplained
