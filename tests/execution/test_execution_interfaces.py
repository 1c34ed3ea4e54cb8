"""An interface on its own, and one of a manager: the same blocks, the same deltas, no other venue's."""

from __future__ import annotations

from datetime import timedelta

import pytest

from basis_strategy_v1 import CEXExecutionInterface, DEXExecutionInterface, OnChainExecutionInterface, PositionUpdateHandler
from basis_strategy_v1.core.clock import SimulatedClock, to_instant
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.venues.registry import known_names

from ..world import chain, refused
from .trading import FREE, NOON, Market, act, held, manager_of, send, trade

SWAP = act("swap", "WETH", 1, "uniswap", token_out="USDT")


def own(kind, venue, config=None, mode="backtest"):
    return kind(venue, config, Market(), mode)


def test_an_exchange_of_its_own_trades_and_checks_no_balance():
    assert own(CEXExecutionInterface, "binance", FREE).execute_trade(trade("buy", 9999)) == {
        "binance": {"ETH": 9999.0, "USDT": -32996700.0}
    }


def test_a_protocol_may_be_named_as_the_specification_names_it():
    aave = OnChainExecutionInterface(protocol="aave", config={}, data_provider=Market(), execution_mode="backtest")
    assert aave.execute_action(act("supply")) == {"aave": {"USDT": -1000.0, "aUSDT": 1000.0}}


def test_a_protocol_of_its_own_pays_gas_only_where_its_settings_name_a_price():
    free, paying = own(OnChainExecutionInterface, "lido"), own(OnChainExecutionInterface, "lido", {"gas_price_gwei": 10})
    stake = act("stake", "ETH", 1, "lido")
    assert set(free.execute_action(stake)) == {"lido"}
    assert set(paying.execute_action(stake)) == {"lido", "wallet"}


def test_a_wallet_of_its_own_wraps():
    wallet = own(OnChainExecutionInterface, "wallet", {"gas_price_gwei": 0})
    assert wallet.execute_action(act("wrap", "ETH", 1, "wallet")) == {"wallet": {"ETH": -1.0, "WETH": 1.0}}


REFUSED = {
    "another type at an exchange": (
        CEXExecutionInterface, "binance", "execute_trade", send("binance", "bybit"),
        "this method of binance takes cex_trade, got wallet_transfer",
    ),
    "another type on chain": (
        OnChainExecutionInterface, "aave", "execute_action", trade(),
        "this method of aave takes smart_contract_action or a chain, got cex_trade",
    ),
    "another venue": (
        CEXExecutionInterface, "binance", "execute_trade", trade(venue="bybit"),
        "this is the interface of binance, the block is for bybit; route it through a manager",
    ),
    "a venue that it does not know": (
        CEXExecutionInterface, "binance", "execute_transfer", send("binance", "bybit"),
        "this interface of binance does not know bybit; configure both and route the block through a manager",
    ),
    "the wallet of nobody": (
        CEXExecutionInterface, "binance", "execute_transfer", send("binance", "wallet"),
        "this interface of binance does not know wallet; configure both and route the block through a manager",
    ),
    "two other venues": (
        CEXExecutionInterface, "binance", "execute_transfer", send("okx", "bybit"),
        "this is the interface of binance, the block is for okx and bybit; route it through a manager",
    ),
    "a sequence": (
        OnChainExecutionInterface, "aave", "execute_action", chain(act("supply"), atomic=False),
        "a chain that is not atomic is several transactions; route it through a manager",
    ),
    "an action that it does not have": (
        DEXExecutionInterface, "uniswap", "execute_swap", act("supply", protocol="uniswap"), "uniswap has swap; got supply",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "venue", "method", "block", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_its_own_is_refused(kind, venue, method, block, message):
    error = refused(getattr(own(kind, venue), method), block)
    assert (type(error), error.message, error.component) == (VenueRejected, message, kind.__name__)


def test_a_chain_is_simulated_with_the_loans_in_it():
    loan = act("flash_loan", "WETH", 10, sub_instructions=[act("supply", "WETH", 10), act("borrow", "WETH", "10.005")])
    deltas = own(OnChainExecutionInterface, "aave").execute_action(chain(act("supply"), loan))
    assert set(deltas) == {"aave"}


@pytest.mark.parametrize("kind", [CEXExecutionInterface, DEXExecutionInterface, OnChainExecutionInterface])
def test_an_unknown_venue_is_refused_with_those_there_are(kind):
    error = refused(own, kind, "nowhere")
    assert (error.error_code, error.message.startswith(f"no {kind.kind} venue is called 'nowhere'; there are ")) == ("EIM-002", True)


def test_an_unknown_mode_is_refused():
    assert refused(own, CEXExecutionInterface, "binance", None, "paper").error_code == "CFG-002"


def test_those_of_a_manager_share_its_positions_and_its_keys():
    manager = manager_of({"binance": {"USDT": 10_000}}, clock=SimulatedClock(NOON))
    manager.interfaces["binance"].execute_trade(trade())
    manager.route_instruction(NOON, trade())
    assert manager.positions.positions == held(binance={"USDT": 3400, "ETH": 2})
    assert refused(manager.interfaces["binance"].execute_trade, trade("buy", 2)).error_code == "CEX-001"
    assert refused(manager.interfaces["binance"].execute_trade, trade("buy", 2, instruction_id="mine")).error_code == "CEX-001"
    assert manager.account.ledger.calls.next(to_instant(NOON)) == "3"  # after two trades and a refusal without an id


def test_an_interface_runs_at_the_last_instant_that_its_manager_knows():
    manager = manager_of(clock=SimulatedClock(NOON))
    manager.route_instruction(NOON + timedelta(days=1), trade())
    seen = []
    manager.data_provider.get_data = lambda at, first=manager.data_provider.get_data: seen.append(at) or first(at)
    manager.interfaces["binance"].execute_trade(trade())
    assert seen == [NOON + timedelta(days=1)]


@pytest.mark.parametrize("method", ["execute_live_trade", "execute_live_transfer"])
def test_live_without_a_gateway_is_unavailable(method):
    block = trade() if method.endswith("trade") else send("binance", "bybit")
    interface = manager_of(execution_mode="live").interfaces["binance"]
    error = refused(getattr(interface, method), block)
    assert (error.error_code, error.message) == ("EIM-002", "binance has no live gateway; there are none: add it to the config")


def test_live_every_method_of_the_other_kinds_is_there_too():
    live = manager_of(execution_mode="live")
    calls = (
        ("uniswap", "execute_live_swap", SWAP),
        ("aave", "execute_live_action", act("supply")),
        ("wallet", "execute_live_transfer", send("wallet", "bybit")),
    )
    assert [refused(getattr(live.interfaces[venue], method), block).error_code for venue, method, block in calls] == ["EIM-002"] * 3


@pytest.mark.parametrize("kind", [CEXExecutionInterface, OnChainExecutionInterface])
def test_live_a_transfer_is_not_simulated_as_in_a_backtest(kind):
    venue = "binance" if kind is CEXExecutionInterface else "wallet"
    error = refused(manager_of(execution_mode="live").interfaces[venue].execute_backtest_transfer, send(venue, "bybit"))
    assert error.message == f"this interface of {venue} runs in live mode; its backtest methods cannot be called"


def test_the_venues_there_are_of_a_kind_are_listed():
    message = f"no cex venue is called 'nowhere'; there are {', '.join(known_names('cex'))}"
    assert refused(own, CEXExecutionInterface, "nowhere").message == message
    assert refused(CEXExecutionInterface).message == message.replace("nowhere", "")


def test_a_wallet_of_its_own_pays_the_gas_that_its_settings_name():
    wallet = own(OnChainExecutionInterface, "wallet", {"gas_price_gwei": 10})
    assert wallet.execute_action(act("wrap", "ETH", 1, "wallet")) == {"wallet": {"ETH": -1.00066, "WETH": 1.0}}


def test_an_interface_of_a_live_manager_has_its_own_keys_and_records_its_deltas(live_run):
    handler = PositionUpdateHandler({"binance": {"USDT": 10_000}})
    made = live_run(positions=handler, held={"binance": {"USDT": 10_000}})
    for fields in ({}, {"instruction_id": "mine"}):
        deltas = made.manager.interfaces["binance"].execute_trade(trade(**fields))
    assert (len(made.executed), made.executed[0] == "mine", made.executed[1]) == (2, False, "mine")
    before = handler.positions
    assert before == held(binance={"ETH": 2, "USDT": 3400})
    assert (handler.update_state(NOON, "manual", deltas), handler.positions) == ({}, before)


def test_an_interface_of_its_own_sends_nothing_live(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = refused(own(CEXExecutionInterface, "binance", FREE, "live").execute_trade, trade(instruction_id="a1"))
    assert (error.error_code, list(tmp_path.iterdir())) == ("EIM-002", [])


def test_an_interface_opens_the_initial_positions_at_the_snapshot_of_its_instruction():
    manager = manager_of({"aave": {"aUSDT": 1000}, "wallet": {"USDT": 1}})
    manager.interfaces["aave"].execute_action(act("withdraw", amount=400))
    assert manager.positions.positions == held(aave={"aUSDT": 600}, wallet={"USDT": 401})


def test_an_id_that_was_executed_is_not_executed_again_whichever_way_it_comes():
    handler = PositionUpdateHandler({"binance": {"USDT": 10_000}})
    manager = manager_of(handler)
    block = trade("buy", 1, instruction_id="once")
    first = manager.interfaces["binance"].execute_trade(block)
    held = handler.state
    assert manager.route_instruction(NOON, block) == manager.interfaces["binance"].execute_trade(block) == first
    assert handler.state is held
