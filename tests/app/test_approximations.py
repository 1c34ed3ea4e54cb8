"""The table of known approximations: every switch is in it, a run names what applied, and --effects gives the size."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from basis_strategy_v1 import load_config
from basis_strategy_v1.app import build
from basis_strategy_v1.app.approximations import APPROXIMATIONS, applied, page
from basis_strategy_v1.app.effects import ApproximationEffect, effect_lines, effects_of
from basis_strategy_v1.config.kinds import record_of
from basis_strategy_v1.config.models import Top
from basis_strategy_v1.execution.execution_interface_manager import venues_of_config
from basis_strategy_v1.venues import aave_settings, exchanges

# The settings that leave a part of reality out, or say how it is modelled.
OF_TOP = ("costs", "assume", "delisted", "renamed", "stress")
OF_EXCHANGES = ("impact", "withdrawal", "tiers", "max_leverage", "margin", "haircuts", "spot_fee_in")
OF_LENDERS = ("health_prices", "oracle", "rate_impact", "revision")
VENUES = {"cex": {"bybit": {}, "binance": {}}, "onchain": {"aave": {}, "lido": {}, "wallet": {"gas_price_gwei": 0}}}


def config(**changes: Any) -> dict[str, Any]:
    return {
        "strategy_mode": "eth_basis", "share_class": "usdt_stable", "initial_capital": 50_000, "start": "2024-06-02", "end": "2024-06-06",
        "strategy": {"spot_venue": "bybit", "perp_venue": "binance", "leverage": 2}, "venues": {"cex": ["bybit", "binance"]}, **changes,
    }  # fmt: skip


def test_the_page_is_up_to_date(repository: Path) -> None:
    written = (repository / "docs" / "approximations.md").read_text()
    assert written == page(), "write it again: python -m basis_strategy_v1.app.approximations > docs/approximations.md"


def test_every_switch_is_in_the_table() -> None:
    for record, switches in ((Top, OF_TOP), (exchanges.Settings, OF_EXCHANGES), (aave_settings.Settings, OF_LENDERS)):
        assert set(switches) <= {row.name for row in record_of(record).rows}
        for switch in switches:
            assert any(f"`{switch}" in row.switch or f"{switch}:" in row.switch or f"{switch}`" in row.switch for row in APPROXIMATIONS), (
                switch
            )


def test_each_row_says_all_six_things() -> None:
    assert len({row.name for row in APPROXIMATIONS}) == len(APPROXIMATIONS)
    assert all(all(text for text in row[:6]) for row in APPROXIMATIONS)


def names(**changes: Any) -> list[str]:
    settings = load_config(config(**changes))
    return [row.name for row in applied(settings, venues_of_config(settings))]


def test_what_applies_follows_from_the_config() -> None:
    everywhere = ["margin accounts", "prices of perps", "liquidation of a perp", "dollars"]
    assert names() == ["size of orders", "withdrawals", "costs", *everywhere]
    assert names(costs="none") == everywhere
    constant = {"bybit": {"impact": {"model": "none"}, "withdrawal": {}}, "binance": {"slippage_bps": 1, "withdrawal": {}}}
    assert names(venues={"cex": constant}) == [
        "costs", *everywhere
    ]  # fmt: skip
    found = names(venues=VENUES, assume={"SOLUSDT": {"like": "ETHUSDT"}}, data={"missing_funding": "zero"})
    assert found[:2] == ["size of orders", "size at a lender"]
    assert {"figures of a symbol", "withdrawal queues", "revisions of Aave", "missing funding"} <= set(found)


def test_a_switch_that_is_off_changes_a_config_that_can_be_loaded() -> None:
    settings = load_config(config(venues=VENUES))
    venues = venues_of_config(settings)
    for row in applied(settings, venues):
        load_config(config(venues=VENUES), changes=row.off(settings, venues))


def test_the_effects_are_those_of_runs_with_the_switch_off(sample: Path, tmp_path: Path) -> None:
    def profit(**changes: Any) -> Decimal:
        return Decimal(build(config(**changes), sample, None, None, report=False).run().summary["pnl"])

    engine = build(config(), sample, tmp_path / "results", tmp_path / "logs", report=False)
    summary = engine.run().summary
    found = {effect.name: effect for effect in effects_of(engine, config(), sample, {}, summary)}
    assert list(found) == ["size of orders", "withdrawals", "costs"]
    none, free = {"impact": {"model": "none"}}, {"withdrawal": {}}
    expected = {
        "size of orders": profit(venues={"cex": {"bybit": none, "binance": none}}),
        "withdrawals": profit(venues={"cex": {"bybit": free, "binance": free}}),
        "costs": profit(costs="none"),
    }
    for name, without in expected.items():
        assert (found[name].profit_without, found[name].effect) == (without, Decimal(summary["pnl"]) - without)
    assert found["size of orders"].effect < 0 > found["costs"].effect
    assert summary["assumptions"][0] == (
        "Known approximations that applied (docs/approximations.md; --effects gives their size): size of orders, withdrawals, costs, "
        "margin accounts, prices of perps, liquidation of a perp, dollars."
    )


def test_the_lines_of_effects_name_size_switch_and_what_was_refused() -> None:
    found = [
        ApproximationEffect("costs", 'costs: "none"', Decimal(12), Decimal("-1234.567")),
        ApproximationEffect("withdrawals", "x: {}", None, None, "OCH-001: no"),
    ]
    assert list(effect_lines(found, "usdt_stable")) == [
        "Effect of each approximation on the profit, from a run without it (USDT)",
        '  costs: -1,234.57  (costs: "none")',
        "  withdrawals: OCH-001: no  (x: {})",
    ]
    assert list(effect_lines([], "eth_directional"))[1:] == ["  none that can be switched off applied"]
    assert json.dumps([effect.plain() for effect in found]).count("null") == 2
