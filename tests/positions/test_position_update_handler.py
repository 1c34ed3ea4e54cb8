"""Positions: deltas of other origin are added where they belong, and what the manager executed itself is not."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from msgspec import structs

from basis_strategy_v1 import ComponentError, ExecutionInterfaceManager, PositionUpdateHandler
from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.core.state import ExchangeAccount, State
from basis_strategy_v1.execution.execution_interface_manager import HISTORY
from basis_strategy_v1.positions.position_update_handler import UNCONFIRMED

from ..world import still_row

NOON = datetime(2024, 6, 1, 12, 10, tzinfo=UTC)
CONFIG = {
    "strategy_mode": "blocks",
    "share_class": "usdt_stable",
    "initial_capital": 1000,
    "venues": {
        "cex": {"bybit": {"withdrawal": {"USDT": {"minutes": 5}}}},
        "onchain": {"aave": {}, "lido": {}, "wallet": {"gas_price_gwei": 0}},
    },
}


class Market:
    def get_data(self, timestamp):
        protocols = {"aave": {"USDT": still_row(1.0)}, "lido": {"wstETH": {"eth_per_token": 1.25}}}
        return {"timestamp": timestamp, "market_data": {"prices": {"ETH": 3300.0, "USDT": 1.0}}, "protocol_data": protocols}


def opened(positions):
    """A handler whose positions a manager has brought into the venues' own units."""
    handler = PositionUpdateHandler(positions)
    manager = ExecutionInterfaceManager(CONFIG, Market(), "backtest", positions=handler)
    manager.account.state(manager.account.market(NOON))
    return handler, manager


def refused(call, *arguments):
    with pytest.raises(ComponentError) as raised:
        call(*arguments)
    return raised.value


def texts(handler):
    return {venue: {token: plain(amount) for token, amount in tokens.items()} for venue, tokens in handler.positions.items()}


DELTAS = Deltas.at("binance", {"USDT": Decimal("12.5")})
REPORT = ExecutionReport(key="k", venue="binance", at=NOON, kind="execution", deltas=DELTAS, expected=DELTAS)


@pytest.mark.parametrize("given", [{"binance": {"USDT": 12.5}}, {"binance": {"USDT": "12.5"}}, DELTAS, REPORT])
def test_a_handler_alone_adds_deltas_in_every_form_and_gives_them_as_floats(given):
    handler = PositionUpdateHandler({"binance": {"USDT": 100}})
    assert handler.update_state(NOON, "deposit", given) == {"binance": {"USDT": 12.5}}
    assert (texts(handler), handler.last_update_timestamp) == ({"binance": {"USDT": "112.5"}}, NOON)


def test_a_handler_alone_adds_the_same_deltas_each_time():
    handler = PositionUpdateHandler()
    for _ in range(3):
        handler.update_state(NOON, "execution_manager", REPORT)
    assert texts(handler) == {"binance": {"USDT": "37.5"}}


def test_a_replayed_report_is_never_new():
    handler = PositionUpdateHandler()
    replayed = ExecutionReport(key="k", venue="binance", at=NOON, kind="execution", deltas=DELTAS, expected=DELTAS, replayed=True)
    assert (handler.update_state(NOON, "execution_manager", replayed), handler.positions) == ({}, {})


def test_nothing_changes_nothing():
    handler = PositionUpdateHandler({"binance": {"USDT": 1}})
    assert (handler.update_state(NOON, "step"), handler.last_update_timestamp, texts(handler)) == ({}, NOON, {"binance": {"USDT": "1"}})


HOMES = {
    "USDT": "wallet", "stETH": "wallet", "aUSDT": "aave", "awstETH": "aave", "variableDebtWETH": "aave",
    "morpho:wstETH/WETH:debt": "morpho", "ETH-QUEUED": "lido",
}  # fmt: skip


@pytest.mark.parametrize(("token", "home"), HOMES.items())
def test_what_only_its_protocol_understands_stays_there_and_the_rest_is_in_the_wallet(token, home):
    handler = PositionUpdateHandler()
    handler.update_state(NOON, "deposit", {home if home != "wallet" else "aave": {token: 2}})
    assert texts(handler) == {home: {token: "2"}}


def test_a_plain_amount_that_comes_to_zero_is_gone():
    handler = PositionUpdateHandler({"binance": {"USDT": 5}})
    handler.update_state(NOON, "withdrawal", {"binance": {"USDT": -5}})
    assert handler.positions == {}


def test_a_venue_that_has_been_opened_takes_deposits_too():
    handler, _ = opened({"bybit": {"USDT": 10}, "wallet": {"USDT": 10, "stETH": 1}})
    handler.update_state(NOON, "deposit", {"bybit": {"USDT": 5, "ETH": 1}, "wallet": {"USDT": "0.5", "stETH": 1}})
    assert texts(handler) == {"bybit": {"USDT": "15", "ETH": "1"}, "wallet": {"USDT": "10.5", "stETH": "2"}}


def kept(handler, venue, token):
    return refused(handler.update_state, NOON, "correction", {venue: {token: 1}}).message


def test_what_is_kept_in_other_units_cannot_be_changed_from_outside():
    handler, manager = opened({"bybit": {"USDT": 1000}, "wallet": {"USDT": 100}})
    manager.execute(
        NOON, {"instruction_type": "wallet_transfer", "from_venue": "bybit", "to_venue": "wallet", "token": "USDT", "amount": 10}
    )
    supply = {"instruction_type": "smart_contract_action", "protocol": "aave", "action": "supply", "token": "USDT", "amount": 50}
    manager.execute(NOON, supply)
    end = " and cannot be changed from outside; send an instruction instead"
    assert [
        kept(handler, *place) for place in (("bybit", "ETHUSDT-PERP"), ("aave", "aUSDT"), ("wallet", "stETH"), ("in_transit", "USDT"))
    ] == [
        f"ETHUSDT-PERP of bybit is kept with what it cost{end}",
        f"aUSDT of aave is kept in the protocol's own units{end}",
        f"stETH of wallet is kept in the protocol's own units{end}",
        f"USDT of in_transit is on its way{end}",
    ]
    assert texts(handler)["aave"] == {"aUSDT": "50"}


A_NAME = "1 to 64 letters, digits, '_', '-' or '.', beginning with a letter or digit"
A_TOKEN = "a token as in deltas, such as USDT, aUSDT or morpho:wstETH/WETH:debt"
BAD = {
    "no mapping": (7, "deltas must be venue -> token -> amount, got 7"),
    "a venue without tokens": ({"binance": 7}, "deltas of binance must be token -> amount, got 7"),
    "a venue that is no name": ({7: {}}, f"a venue of deltas must be {A_NAME}, got 7"),
    "a token that is no name": ({"binance": {7: 1}}, f"a token of binance in deltas must be {A_TOKEN}, got 7"),
    "a lone surrogate": ({"binance": {"USDT": 1, "\ud800": 1}}, f"a token of binance in deltas must be {A_TOKEN}, got '\\ud800'"),
    "an escape sequence": ({"binance": {"USDT": 1}, "\x1b[31m": {"USDT": 1}}, f"a venue of deltas must be {A_NAME}, got '\\x1b[31m'"),
    "a name of ten megabytes": ({"binance": {"x" * 10**7: 1}}, f"a token of binance in deltas must be {A_TOKEN}, got '{'x' * 56}..."),
    "more than a float can hold": ({"binance": {"USDT": "1e400"}}, "deltas of binance: USDT must be between -1e30 and 1e30, got '1e400'"),
    "less than a float can hold": (
        {"binance": {"USDT": -(10**31)}},
        f"deltas of binance: USDT must be between -1e30 and 1e30, got {-(10**31)}",
    ),
    "an amount that is no number": (
        {"binance": {"USDT": None}},
        "deltas of binance: USDT must be a number (int, float, Decimal or text), got None",
    ),
    "an amount that is not finite": ({"binance": {"USDT": float("nan")}}, "deltas of binance: USDT must be a finite number, got nan"),
}


@pytest.mark.parametrize(("given", "message"), BAD.values(), ids=BAD)
def test_what_are_no_deltas_is_refused_and_changes_nothing(given, message):
    handler = PositionUpdateHandler({"binance": {"USDT": 1}})
    error = refused(handler.update_state, NOON, "deposit", given)
    assert (error.error_code, error.message, texts(handler)) == ("PUH-001", message, {"binance": {"USDT": "1"}})


def test_deltas_that_somebody_built_are_looked_at_too():
    handler = PositionUpdateHandler({"binance": {"USDT": 1}})
    error = refused(handler.update_state, NOON, "deposit", Deltas({"binance": {"\ud800": Decimal(1)}}))
    assert (error.error_code, texts(handler)) == ("PUH-001", {"binance": {"USDT": "1"}})


@pytest.mark.parametrize(("given", "message"), BAD.values(), ids=BAD)
def test_positions_at_the_start_are_looked_at_alike(given, message):
    assert refused(PositionUpdateHandler, given or 7).message == message.replace("deltas", "positions").replace(
        "as in positions", "as in deltas"
    )


def test_a_naive_time_is_refused():
    assert refused(PositionUpdateHandler().update_state, NOON.replace(tzinfo=None), "step").error_code == "PUH-001"


RECORDED = structs.replace(REPORT, recorded=True)
STATE = State({"binance": ExchangeAccount({"USDT": Decimal("12.5")})})


def test_beginning_again_forgets_what_was_to_be_confirmed():
    handler = PositionUpdateHandler()
    handler.commit(STATE, RECORDED)
    handler.hold({})
    assert handler.update_state(NOON, "manual", DELTAS) == {"binance": {"USDT": 12.5}}


def test_a_recorded_report_adds_nothing_whenever_it_comes_and_however_often():
    handler = PositionUpdateHandler()
    reports = [structs.replace(RECORDED, key=f"k{number}") for number in range(UNCONFIRMED + 10)]
    for report in reports:
        handler.commit(STATE, report)
    assert [handler.update_state(NOON, "manual", report) for report in (reports[0], reports[9], reports[-1], reports[0])] == [{}] * 4
    assert handler.positions == STATE.positions()


def test_a_report_of_an_account_that_keeps_nothing_is_added():
    handler = PositionUpdateHandler()
    handler.commit(STATE, RECORDED)
    assert handler.update_state(NOON, "manual", structs.replace(REPORT, key="of another manager")) == {"binance": {"USDT": 12.5}}


@pytest.mark.parametrize("form", ["exact", "text", "float"])
def test_deltas_of_an_execution_are_known_once_in_whatever_form_they_come(form):
    handler = PositionUpdateHandler()
    deltas = Deltas.at("binance", {"ETH": Decimal("0.1"), "USDT": Decimal("-330.3")})
    handler.expect(structs.replace(REPORT, deltas=deltas))
    given = {"exact": deltas.amounts, "text": deltas.as_texts(), "float": deltas.as_floats()}[form]
    assert handler.update_state(NOON, "execution_manager", given) == {}
    assert handler.update_state(NOON, "execution_manager", given) == {"binance": {"ETH": 0.1, "USDT": -330.3}}


@pytest.mark.parametrize("trigger", ["deposit", "withdrawal", "correction"])
def test_deltas_of_other_origin_are_added_though_an_execution_had_the_same(trigger):
    handler = PositionUpdateHandler()
    handler.commit(State(), RECORDED)
    assert handler.update_state(NOON, trigger, DELTAS) == {"binance": {"USDT": 12.5}}
    assert handler.update_state(NOON, "execution_manager", DELTAS) == {}
    assert texts(handler) == {"binance": {"USDT": "12.5"}}


def test_as_many_plain_deltas_as_a_history_has_may_be_handed_in_late():
    handler = PositionUpdateHandler()
    many = [Deltas.at("binance", {"ETH": Decimal(number)}) for number in range(1, HISTORY + 1)]
    for number, deltas in enumerate(many):
        handler.expect(structs.replace(REPORT, key=f"k{number}", deltas=deltas))
    assert [handler.update_state(NOON, "manual", deltas.as_floats()) for deltas in (many[0], many[-1])] == [{}, {}]


def test_a_report_handed_in_twice_takes_nothing_of_another_with_equal_deltas():
    handler = PositionUpdateHandler()
    for key in ("k1", "k2"):
        handler.expect(structs.replace(RECORDED, key=key))
    assert [handler.update_state(NOON, "manual", structs.replace(RECORDED, key="k1")) for _ in range(2)] == [{}, {}]
    assert handler.update_state(NOON, "manual", {"binance": {"USDT": 12.5}}) == {}
    assert handler.update_state(NOON, "manual", {"binance": {"USDT": 12.5}}) == {"binance": {"USDT": 12.5}}


def test_only_the_one_that_is_handed_in_is_confirmed():
    handler = PositionUpdateHandler()
    other = Deltas.at("binance", {"ETH": Decimal(1)})
    for key, deltas in (("k1", DELTAS), ("k2", other), ("k3", Deltas())):
        handler.expect(structs.replace(REPORT, key=key, deltas=deltas))
    assert handler.update_state(NOON, "manual", {"binance": {"USDT": 12.5}}) == {}
    assert handler.update_state(NOON, "manual", other) == {}
    assert handler.update_state(NOON, "manual", DELTAS) == {"binance": {"USDT": 12.5}}


def test_positions_are_read_again_only_when_the_state_has_changed():
    handler = PositionUpdateHandler({"binance": {"USDT": 1}})
    first = handler.positions
    assert handler.positions is first
    handler.update_state(NOON, "deposit", DELTAS)
    assert handler.positions is not first
