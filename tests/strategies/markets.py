"""A market and holdings, given by hand, for a strategy to decide on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from basis_strategy_v1.core.market import DictSnapshot
from basis_strategy_v1.core.memory import decode_memory, encode_memory
from basis_strategy_v1.core.venue_facts import LendingLimits, VenueFact
from basis_strategy_v1.strategies.basis import Basis, Parameters
from basis_strategy_v1.strategies.strategy import Block, Plan, Step, Strategy

from ..world import AT as START

D = Decimal
EXCHANGES = {"bybit": "bybit", "binance": "binance", "binance_spot": "binance", "binance_perp": "binance", "hyperliquid": "hyperliquid"}
FACTS = {name: VenueFact(series=kind, settle="USDC" if kind == "hyperliquid" else "USDT") for name, kind in EXCHANGES.items()}


class Margin(NamedTuple):
    equity: Decimal
    notional: Decimal = D(0)
    maintenance: Decimal = D(0)
    leverage: Decimal = D(0)


class Held(dict[str, Mapping[str, Decimal]]):
    """venue -> token -> amount; the perp's profit counts as margin on top of the balance."""

    profit = D(0)
    lot = D("0.01")
    gas_gwei = D(0)
    terms: tuple[Decimal, Decimal, Decimal] = (D(0), D(0), D(0))

    def amount(self, venue: str, token: str) -> Decimal:
        return self.get(venue, {}).get(token, D(0))

    def in_transit(self, token: str) -> Decimal:
        return self.amount("in_transit", token)

    def margin(self, venue: str, market: Any) -> Margin:
        quote = "USDC" if venue == "hyperliquid" else "USDT"
        return Margin(self.amount(venue, quote) + self.profit)

    def costs_of_trades(self, spot_venue: str, perp_venue: str) -> Decimal:
        return Decimal("0.00175")

    def withdrawal(self, venue: str, token: str) -> tuple[Decimal, Decimal, Decimal]:
        return self.terms

    def smallest_order(self, venue: str, trade_type: str, symbol: str) -> tuple[Decimal, Decimal]:
        return self.lot, D(5)

    def shortable(self, venue: str, symbol: str, costs: Decimal, market: Any) -> Decimal:
        return max(self.margin(venue, market).equity, D(0)) * 20 / market.perp(venue, symbol)

    def gas_fee(self, units: int, market: Any) -> Decimal:
        return units * self.gas_gwei / 10**9

    most = LendingLimits()

    def limits(self, protocol: str, token: str, market: Any, against: str | None = None) -> LendingLimits:
        return self.most

    def health_factor(self, protocol: str, market: Any) -> Decimal | None:
        return None


def at_price(price: int, hours: int = 0) -> DictSnapshot:
    return DictSnapshot(START + timedelta(hours=hours), {"market_data": {"prices": {"ETH": price, "USDT": 1}}})


def step(snapshot: DictSnapshot, positions: Any, parameters: Any) -> Step:
    return Step(snapshot.at, snapshot, positions, parameters)


class Restarted:
    """A strategy that is made again for every step, with its memory as it was stored after the one before."""

    def __init__(self, make: Callable[[], Strategy], parameters: Any) -> None:
        self._make, self._parameters = make, parameters
        self.memory: Any = None

    def decide(self, snapshot: DictSnapshot, positions: Any) -> Sequence[Block]:
        return self._kept(self._make().decide, snapshot, positions)

    def leave(self, snapshot: DictSnapshot, positions: Any) -> Sequence[Block]:
        return self._kept(self._make().leave, snapshot, positions)

    def placed(self, capital: Decimal) -> dict[str, dict[str, Decimal]]:
        return self._make().placed(capital, self._parameters)

    def needs(self) -> Sequence[tuple[str, str, str]]:
        return self._make().needs(self._parameters)

    def _kept(self, method: Callable[[Step, Any], Plan], snapshot: DictSnapshot, positions: Any) -> Sequence[Block]:
        stored = decode_memory(encode_memory(self.memory), self._make().memory_kinds)
        blocks, self.memory = method(step(snapshot, positions, self._parameters), stored)
        return blocks


def basis(base: str = "ETH", **changes: Any) -> Restarted:
    parameters = Parameters(**{"spot_venue": "bybit", "perp_venue": "binance"} | changes)
    return Restarted(lambda: Basis(base, parameters, FACTS), parameters)


def decided(held: Held, price: int = 1000, **changes: Any) -> list[str]:
    """What a strategy does, a line an instruction."""
    return lines(basis(**changes).decide(at_price(price), held))


def lines(blocks: Any) -> list[str]:
    return [_line(block) for block in blocks]


def _line(block: dict[str, Any]) -> str:
    if block["instruction_type"] == "wallet_transfer":
        return f"move {block['amount']} {block['token']} from {block['from_venue']} to {block['to_venue']}"
    reduce_only = " reduce_only" if block.get("reduce_only") else ""
    return f"{block['side']} {round(block['amount'], 4)} {block['symbol']} {block['trade_type']} on {block['venue']}{reduce_only}"
