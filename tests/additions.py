"""One more of each thing that can be added in one place: an exchange, a fork of Aave, a lender of another kind, a strategy without
parameters, a source of attribution. Nothing in the package knows of them; `added` puts their rows into the tables for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from typing import Any, ClassVar
from unittest.mock import patch

from msgspec import Struct, structs

from basis_strategy_v1.config.kinds import record_of
from basis_strategy_v1.core.attribution_sources import CARRY, EARNED, SOURCES, AttributionSource, Colour
from basis_strategy_v1.strategies import ETHER, STRATEGIES, Mode
from basis_strategy_v1.strategies.strategy import Plan, Step, action
from basis_strategy_v1.venues import aave_names, aave_settings
from basis_strategy_v1.venues.aave import aave
from basis_strategy_v1.venues.aave_account import EMode
from basis_strategy_v1.venues.aave_settings import ReserveSettings, public
from basis_strategy_v1.venues.exchanges import EXCHANGES
from basis_strategy_v1.venues.position_names import read_name
from basis_strategy_v1.venues.registry import VENUES, ProtocolRow
from basis_strategy_v1.venues.venue import ONCHAIN

from . import vault

EXCHANGE = structs.replace(EXCHANGES["bybit"], name="kraken", settle="USD", quotes=("USDE", "BTC"))


class ForkSettings(aave_settings.Settings, frozen=True, kw_only=True):
    """What the governance of a fork set, as Spark has it: stablecoins can be lent and borrowed, and secure nothing (LTV 0)."""

    listed: ClassVar[Mapping[str, ReserveSettings]] = {
        "WETH": public(8200, 8300, 500, 1500, 9000, 0, 230, 12_000),
        "wstETH": public(7900, 8000, 700, 3000, 4500, 25, 450, 10_000),
        "weETH": public(7200, 7300, 1000, 1500, 4500, 500, 1500, 30_000),
        "WBTC": public(7400, 7500, 500, 2000, 6000, 0, 200, 30_000),
        "USDT": public(0, 0, 0, 1000, 9500, 0, 500, 2000),
        "USDC": public(0, 0, 0, 1000, 9500, 0, 500, 2000),
    }
    emodes: ClassVar[Mapping[int, EMode]] = {
        1: EMode(
            ltv_bps=9200, liquidation_threshold_bps=9300, liquidation_bonus_bps=100,
            collateral=frozenset({"WETH", "wstETH", "weETH"}), borrowable=frozenset({"WETH", "wstETH", "weETH"}),
        )
    }  # fmt: skip


class NoParameters(Struct, frozen=True):
    """There is nothing to set."""


class Wrapping:
    """Wraps the ether of the wallet, and unwraps it at the end."""

    memory_kinds: tuple[type[Struct], ...] = ()

    def decide(self, step: Step, memory: None) -> Plan:
        ether = step.positions.amount("wallet", "ETH") - step.positions.gas_reserve()
        return [action("wallet", "wrap", token="ETH", amount=ether)] if ether > 1 else [], memory

    def leave(self, step: Step, memory: None) -> Plan:
        wrapped = step.positions.amount("wallet", "WETH")
        return [action("wallet", "unwrap", token="WETH", amount="all")] if wrapped else [], memory

    def needs(self, parameters: NoParameters) -> list[tuple[str, str, str]]:
        return [("spot", "bybit", "ETHUSDT")]

    def placed(self, capital: Decimal, parameters: NoParameters) -> dict[str, dict[str, Decimal]]:
        return {"wallet": {"ETH": capital}}


ROWS: tuple[tuple[dict[str, Any], str, Any], ...] = (
    (EXCHANGES, "kraken", EXCHANGE),
    (VENUES, "spark", ProtocolRow(ONCHAIN, ForkSettings, aave, aave_names.read_anywhere)),
    (VENUES, "vault", ProtocolRow(ONCHAIN, vault.Settings, vault.vault, vault.read_name)),
    (STRATEGIES, "wrapping", Mode(NoParameters, ETHER, lambda parameters, venues: Wrapping())),
    (SOURCES, vault.GROWTH, AttributionSource(vault.GROWTH, CARRY, EARNED, Colour("#0a7f8c", "#37b6c4"), "points of a vault")),
)


@contextmanager
def added() -> Iterator[None]:
    """The five rows are in their tables. What was worked out from the tables once is worked out again, then and afterwards."""
    with ExitStack() as stack:
        stack.callback(_forget)
        for table, name, row in ROWS:
            stack.enter_context(patch.dict(table, {name: row}))
        _forget()
        yield


def _forget() -> None:
    record_of.cache_clear()
    read_name.cache_clear()
