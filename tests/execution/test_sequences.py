"""A chain that is not atomic: several transactions, of which those before a failure stay."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from basis_strategy_v1 import ComponentError, EventLogger, ExecutionManager, PositionUpdateHandler
from basis_strategy_v1.core.market import StaleSeries

from ..world import chain, refused
from .trading import NOON, WITH_GAS, act, manager_of, send

HELD = {"wallet": {"WETH": 1}, "binance": {"ETH": 5}}
STAKE = chain(act("unwrap", "WETH", 1, "wallet"), act("stake", "ETH", 3, "lido"), atomic=False, instruction_id="s1")


def test_a_repetition_that_comes_through_is_held_once_whoever_hands_it_in() -> None:
    handler = PositionUpdateHandler(HELD)
    manager = manager_of(handler)
    executor = ExecutionManager({}, manager, handler)
    error = refused(executor.execute_blocks, NOON, [STAKE])
    assert error.partial_deltas == {"wallet": {"WETH": -1.0, "ETH": 1.0}}
    executor.execute_blocks(NOON, [send("binance", "wallet", 3, "ETH")])
    (report,) = executor.execute_blocks(NOON, [STAKE])
    assert {token: report.deltas.get("wallet", token) for token in ("WETH", "ETH")} == {"WETH": -1, "ETH": 1}
    assert handler.update_state(NOON, "execution_manager", report) == {}
    assert "WETH" not in handler.positions["wallet"] and handler.positions["wallet"]["stETH"] > Decimal("2.99")


def test_what_came_before_the_failure_is_in_the_log(tmp_path: Path) -> None:
    with EventLogger(tmp_path) as log:
        manager = manager_of(PositionUpdateHandler(HELD), event_logger=log)
        error = refused(manager.execute, NOON, STAKE)
    lines = (tmp_path / "events" / "execution_interface_manager_events.jsonl").read_text().splitlines()
    message = [(event["event_type"], event["data"].get("deltas")) for event in map(json.loads, lines[1:])]
    assert message == [
        ("execution", {"wallet": error.reports[-1].deltas.as_texts()["wallet"]}),
        ("error", None),
        ("instruction_routing_failed", None),
    ]
    assert error.reports[-1].deltas.as_floats() == error.partial_deltas


def test_what_a_step_paid_out_is_counted_before_its_gas() -> None:
    def bought(*, atomic: bool) -> object:
        manager = manager_of(PositionUpdateHandler({"wallet": {"WETH": 1, "ETH": 1}}), WITH_GAS)
        steps = act("unwrap", "WETH", "0.5", "wallet"), act("stake", "ETH", {"output_of": 0}, "lido")
        return manager.execute(NOON, chain(*steps, atomic=atomic)).deltas.get("lido", "ETH")

    assert bought(atomic=False) == bought(atomic=True) == Decimal("-0.5")


def test_an_old_price_after_a_step_was_done_is_an_error_and_no_plan_that_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_old(*of: object) -> object:
        raise StaleSeries("DAT-002", "the row is too old")

    manager = manager_of(PositionUpdateHandler({"wallet": {"WETH": 1}}))
    monkeypatch.setattr(manager.account.venues["lido"], "simulate", too_old)
    error = refused(manager.execute, NOON, chain(act("unwrap", "WETH", 1, "wallet"), act("stake", "ETH", 1, "lido"), atomic=False))
    assert (type(error), error.error_code, error.reports[-1].at) == (ComponentError, "DAT-002", NOON)
    assert error.reports[-1].deltas.as_floats() == error.partial_deltas == {"wallet": {"WETH": -1.0, "ETH": 1.0}}
    assert manager.positions.update_state(NOON, "manual", error.reports[-1]) == {}
    first = refused(manager.execute, NOON, chain(act("stake", "ETH", 1, "lido"), act("unwrap", "WETH", 1, "wallet"), atomic=False))
    assert (type(first), first.reports) == (StaleSeries, ())
