"""What a venue reported, next to what was expected of it and to what it shows."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.core.state import ExchangeAccount, Perp, State, Wallet
from basis_strategy_v1.execution.comparison import has_moved, looks_executed, unlike_deltas, unlike_expected, unlike_reading

from .sending import BEFORE, BUY, EXPECTED, UNCHECKED, order, report


def said(**changes):
    return list(unlike_expected(report(**changes)))


def deltas(**tokens):
    return Deltas.at("binance", {token: Decimal(amount) for token, amount in tokens.items()})


AS_EXPECTED = {
    "the same": {"deltas": EXPECTED},
    "half of it filled": {"deltas": deltas(ETH="0.5", USDT="-1650"), "filled": Decimal("0.5")},
    "5 % worse": {"deltas": deltas(ETH="1", USDT="-3465"), "costs": ()},
    "5 % and its costs": {"deltas": deltas(ETH="1", USDT="-3466.5")},
    "a token that only costs": {"deltas": deltas(ETH="1", USDT="-3300", BNB="-0.1"), "costs": (Cost("fees", "BNB", Decimal("0.1")),)},
    "two costs of a token": {
        "deltas": deltas(ETH="1", USDT="-3300", BNB="-0.3"),
        "costs": (Cost("fees", "BNB", Decimal("0.1")), Cost("slippage", "BNB", Decimal("-0.2"))),
    },
}


@pytest.mark.parametrize("changes", AS_EXPECTED.values(), ids=AS_EXPECTED)
def test_it_is_as_expected_with(changes):
    assert said(**changes) == []


UNLIKE = {
    "the other sign": ({"deltas": deltas(ETH="-1", USDT="-3300")}, ["k1 moved -1 ETH at binance, expected were 1"]),
    "a token that did not move": ({"deltas": deltas(USDT="-3300")}, ["k1 moved 0 ETH at binance, expected were 1"]),
    "a token that nobody expected": (
        {"deltas": deltas(ETH="1", USDT="-3300", BTC="1")},
        ["k1 moved 1 BTC at binance, expected were 0"],
    ),
    "more than 5 % and its costs": ({"deltas": deltas(ETH="1", USDT="-3466.6")}, ["k1 moved -3466.6 USDT at binance, expected were -3300"]),
    "half of it filled and the whole moved": (
        {"deltas": deltas(ETH="1", USDT="-1650"), "filled": Decimal("0.5")},
        ["k1 moved 1 ETH at binance, expected were 0.5"],
    ),
}


@pytest.mark.parametrize(("changes", "found"), UNLIKE.values(), ids=UNLIKE)
def test_it_is_unlike_expected_with(changes, found):
    assert said(**changes) == found


def account(**tokens):
    return ExchangeAccount({token: Decimal(amount) for token, amount in tokens.items()})


def compared(held, read, moved=EXPECTED):
    return list(unlike_reading(moved, State(held), State(read)))


def test_every_token_that_moved_is_compared_wherever_the_venue_shows_it():
    held, read = {"binance": account(ETH=1, USDT=5)}, {"binance": account(ETH=2, USDT=5)}
    assert compared(held, read) == ["binance shows 2 ETH, held are 1"]
    assert compared(held, {"binance": account(USDT=5)}) == ["binance shows 0 ETH, held are 1"]
    assert compared({}, read) == ["binance shows 2 ETH, held are 0", "binance shows 5 USDT, held are 0"]


def test_what_did_not_move_is_not_compared():
    assert compared({"binance": account(ETH=1)}, {"binance": account(ETH=1, BTC=7)}) == []


def test_what_the_venue_does_not_show_is_not_compared():
    assert compared({"binance": account(ETH=1), "in_transit": account(ETH=9)}, {"binance": account(ETH=1)}) == []


def test_on_chain_what_accrues_between_two_looks_is_no_difference_and_more_is():
    moved = Deltas.at("wallet", {"USDT": Decimal(1)})
    held = {"wallet": Wallet({"USDT": 1_000_000_000})}
    assert compared(held, {"wallet": Wallet({"USDT": 1_000_001_000})}, moved) == []
    assert compared(held, {"wallet": Wallet({"USDT": 1_000_001_001})}, moved) == ["wallet shows 1000.001001 USDT, held are 1000"]


def test_nothing_has_moved_where_the_venue_shows_the_balances_of_all_that_would_have_changed():
    assert has_moved(EXPECTED, BEFORE, BEFORE) is False
    assert has_moved(EXPECTED, BEFORE.with_parts(okx=account(USDT=7)), BEFORE) is False


@pytest.mark.parametrize(
    ("held", "read"),
    [
        (BEFORE, State({"binance": account(USDT=4999)})),
        (BEFORE, State({"okx": account()})),
        (BEFORE, BEFORE.with_parts(okx=account(USDT=1))),
        (UNCHECKED, State({"binance": account()})),
    ],
)
def test_something_has_perhaps_moved_where_it_shows_anything_else_or_not_all(held, read):
    assert has_moved(EXPECTED, held, read) is True


# The changes of the states, next to the deltas.


def changed_to(moved, **states):
    before, after = State({"binance": account(ETH=1, USDT=5)}), State({"binance": account(ETH=1, USDT=5)} | states)
    return list(unlike_deltas(moved, before, after))


def test_what_changes_at_an_exchange_is_what_the_deltas_say():
    assert changed_to(deltas(ETH="1", USDT="-2"), binance=account(ETH=2, USDT=3)) == []
    assert changed_to(deltas(ETH="-1"), binance=account(USDT=5)) == []


def test_what_changes_otherwise_is_named():
    assert changed_to(deltas(ETH="1"), binance=account(ETH=2, USDT=4)) == ["-1 USDT at binance, where the deltas are 0"]
    assert changed_to(deltas(ETH="1")) == ["0 ETH at binance, where the deltas are 1"]
    assert changed_to(Deltas(), binance=account(ETH=1)) == ["-5 USDT at binance, where the deltas are 0"]


def test_a_perp_is_its_base():
    held = ExchangeAccount({"ETH": Decimal(1), "USDT": Decimal(5)}, {"ETHUSDT": Perp(Decimal(-2), Decimal(-6600))})
    assert changed_to(Deltas.at("binance", {"ETHUSDT-PERP": Decimal(-2)}), binance=held) == []


def test_on_chain_the_wallet_has_it_and_interest_accrues():
    assert changed_to(Deltas.at("aave", {"USDT": Decimal(-1)}), wallet=Wallet({"USDT": 7})) == []


SHORT = replace(BUY, trade_type="perp", side="sell")
PAID_OUT = parse_instruction(
    {
        "instruction_type": "wallet_transfer",
        "from_venue": "binance",
        "to_venue": "wallet",
        "token": "USDT",
        "amount": 5,
        "network": "ethereum",
    }
)
PERP = {"ETHUSDT-PERP": Decimal(-1), "USDT": Decimal("-1.5")}
HELD = ExchangeAccount({"ETH": Decimal(2), "USDT": Decimal(5000)}, {"ETHUSDT": Perp(Decimal(-3), Decimal(-9000))})
SHOWN = {
    "more of what is bought": (order(), {"ETH": "2.1", "USDT": "4700"}, "binance shows 2.1 ETH, held are 2"),
    "less of what is bought": (order(), {"ETH": "1.9"}, None),
    "another balance of what it is paid with": (order(), {"USDT": "4700"}, None),
    "less than an exchange shows": (order(), {"ETH": "2.00000001"}, None),
    "a little more than that": (order(), {"ETH": "2.00000002"}, "binance shows 2.00000002 ETH, held are 2"),
    "the same": (order(), {}, None),
    "a larger short": (
        order(instruction=SHORT, expected=Deltas.at("binance", PERP)), {"perp": "-3.5"},
        "binance shows -3.5 ETHUSDT-PERP, held are -3",
    ),
    "a smaller short": (order(instruction=SHORT, expected=Deltas.at("binance", PERP)), {"perp": "-2.5"}, None),
    "funding that was paid": (order(instruction=SHORT, expected=Deltas.at("binance", PERP)), {"USDT": "4990"}, None),
    "less of what is paid out": (
        order(instruction=PAID_OUT, expected=deltas(USDT=-5)), {"USDT": "4995"}, "binance shows 4995 USDT, held are 5000"
    ),
    "another token than the one that is paid out": (order(instruction=PAID_OUT, expected=deltas(USDT=-5, ETH=-1)), {"ETH": "1"}, None),
}  # fmt: skip


def with_changes(account, shows):
    perp = shows.get("perp")
    tokens = {token: Decimal(amount) for token, amount in shows.items() if token != "perp"}
    perps = account.perps if perp is None else {"ETHUSDT": Perp(Decimal(perp), Decimal(0))}
    return ExchangeAccount({**account.balances, **tokens}, perps)


@pytest.mark.parametrize(("one", "shows", "found"), SHOWN.values(), ids=SHOWN)
def test_an_order_that_nobody_finds_looks_executed_where_the_venue_shows(one, shows, found):
    assert looks_executed(one, State({"binance": HELD}), State({"binance": with_changes(HELD, shows)})) == found


def test_what_was_there_before_the_run_does_not_look_as_if_an_order_had_been_executed():
    read = State({"binance": ExchangeAccount({"ETH": Decimal(9)})})
    assert looks_executed(order(), State({"binance": HELD}), read, {"binance": {"ETH": Decimal(7)}}) is None
    assert looks_executed(order(), State({"binance": HELD}), read, {"binance": {"ETH": Decimal(6)}}) == "binance shows 3 ETH, held are 2"


def test_what_is_not_held_or_not_shown_by_an_exchange_proves_nothing():
    read = State({"binance": with_changes(HELD, {"ETH": "3"})})
    assert looks_executed(order(), State({"binance": HELD}, checked=False), read) is None
    assert looks_executed(order(), State({"binance": HELD}), State()) is None
    assert looks_executed(order(venue="wallet"), State(), State({"wallet": Wallet({"ETH": 3})})) is None


def test_an_action_is_no_trade_at_an_exchange():
    supply = {"instruction_type": "smart_contract_action", "protocol": "aave", "action": "supply", "token": "ETH", "amount": 1}
    one = order(instruction=parse_instruction(supply), expected=Deltas.at("binance", {"ETH": Decimal(1)}))
    assert looks_executed(one, State({"binance": HELD}), State({"binance": with_changes(HELD, {"ETH": "3"})})) is None
