"""A market given by hand around the real manager, venues and ledger, for strategies that stake."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

from basis_strategy_v1 import ExecutionInterfaceManager, ExecutionManager, PositionUpdateHandler, load_config
from basis_strategy_v1.app import strategy_of
from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.memory import decode_memory, encode_memory
from basis_strategy_v1.execution.portfolio import Portfolio
from basis_strategy_v1.strategies.strategy import Step
from basis_strategy_v1.venues.morpho_market import Market as MorphoMarket

from ..world import AT as START
from ..world import FREE, YEAR_S, data_at, morpho_texts, still_row

WAD = 10**18
Block = dict[str, Any]


class Market:
    """The data at every instant, as they stand when they are asked for."""

    def __init__(self) -> None:
        self.price = 3000.0
        self.rate = 1.25  # ETH per wrapped token, as redeemed
        self.traded = 1.25  # WETH per wrapped token, at the DEX
        self.oracle = 1.25  # WETH per wrapped token, at the lender
        self.borrow_rate = 0.02
        self.borrowed = 1e5  # WETH owed by others, of a million
        self.gas_gwei = 0.0

    def get_data(self, timestamp: datetime) -> dict[str, Any]:
        quotes = {"bybit": {"ETHUSDT": self.price}, "binance": {"ETHUSDT": self.price}}
        lending = {token: self._lending(usd) for token, usd in (("WETH", 1.0), ("wstETH", self.oracle), ("weETH", self.oracle))}
        protocols = {
            "aave": lending,
            "morpho": {"markets": {"wstETH_WETH": self._morpho_market(timestamp)}},
            "lido": {"wstETH": {"eth_per_token": self.rate}},
            "etherfi": {"weETH": {"eth_per_token": self.rate}},
            "uniswap": {"wstETH_WETH": self.traded},
            "curve": {"weETH_WETH": self.traded},
        }
        funding = {venue: {"ETHUSDT": 0.0} for venue in quotes}
        prices = {"ETH": self.price, "USDT": 1.0}
        gas = (self.gas_gwei, 0.0)
        return data_at(timestamp, prices, protocols, gas, spot_prices=quotes, perp_prices=quotes, funding_rates=funding)

    def _morpho_market(self, timestamp: datetime) -> dict[str, str]:
        """10,000 WETH lent, nine tenths of them borrowed: the rate is the one at the target."""
        market = MorphoMarket(
            lltv_wad=945 * WAD // 1000, last_update_s=int(timestamp.timestamp()), fee_wad=0,
            total_supply_assets=10_000 * WAD, total_supply_shares=10_000 * WAD * 10**6,
            total_borrow_assets=9_000 * WAD, total_borrow_shares=9_000 * WAD * 10**6,
            rate_at_target_wad=int(self.borrow_rate * WAD) // YEAR_S,
        )  # fmt: skip
        return morpho_texts(market, int(self.oracle * 100) * 10**34)

    def _lending(self, eth: float) -> dict[str, float]:
        return still_row(3000 * eth, variable_borrow_rate=self.borrow_rate, total_borrowed=self.borrowed)


class World:
    """A strategy with what it holds; time and the market move when a test moves them.

    Each step is decided by a strategy that is made again, with the memory as it was stored after the one before.
    """

    def __init__(
        self, mode: str, positions: Mapping[str, Mapping[str, Any]], gas_reserve: str = "0", aave: Any = None,
        usdt_minutes: int = 0, **strategy: Any,
    ) -> None:  # fmt: skip
        self.market = Market()
        withdrawal = {"ETH": {"fee": "0.001", "minimum": "0.01", "minutes": 10}, "USDT": {"minutes": usdt_minutes}}
        config = {
            "strategy_mode": mode,
            "share_class": "usdt_stable" if mode == "usdt_market_neutral" else "eth_directional",
            "initial_capital": 100,
            "start": "2024-06-01",
            "end": "2025-06-01",
            "gas_reserve_eth": gas_reserve,
            "strategy": {"protocol": "lido", **strategy},
            "venues": {
                "cex": {name: {**FREE, "withdrawal": withdrawal} for name in ("bybit", "binance")} if mode == "usdt_market_neutral" else {},
                "dex": {"uniswap": {"fee": 0, "slippage_bps": 0}, "curve": {"fee": 0, "slippage_bps": 0}},
                "onchain": {
                    "aave": aave or {},
                    "morpho": {},
                    "lido": {},
                    "etherfi": {},
                    "wallet": {"gas_price_gwei": "market"},
                },
            },
        }
        if not config["venues"]["cex"]:
            del config["venues"]["cex"]
        self.settings = load_config(config, run=True)
        handler = PositionUpdateHandler(positions)
        self.manager = ExecutionInterfaceManager(self.settings, self.market, "backtest", positions=handler)
        self.execution = ExecutionManager(self.settings, self.manager, handler)
        self.strategy = strategy_of(self.settings)
        self.stored = encode_memory(None)
        self.portfolio = Portfolio(self.manager.account, self.settings.gas_reserve_eth)
        self.at = START

    def step(self, hours: float = 1, **market: float) -> list[Block]:
        """Let time pass, then what the strategy does at the step; `market` are the numbers that are new by then."""
        for name, value in market.items():
            setattr(self.market, name, value)
        self.at += timedelta(hours=hours)
        self.manager.settle(self.at)
        with localcontext(EXACT):
            strategy = strategy_of(self.settings)
            step = Step(self.at, self.manager.account.market(self.at), self.portfolio, self.settings.strategy)
            blocks, memory = strategy.decide(step, decode_memory(self.stored, strategy.memory_kinds))
            if blocks:
                self.execution.execute_blocks(self.at, blocks)
            self.stored = encode_memory(memory)
        return list(blocks)

    def run(self, steps: int) -> list[list[Block]]:
        """The blocks of so many steps, those without any left out."""
        return [blocks for _ in range(steps) if (blocks := self.step())]

    def held(self, venue: str, token: str) -> Decimal:
        return self.portfolio.get(venue, {}).get(token, Decimal(0))

    def health(self) -> Decimal | None:
        return self.portfolio.health_factor("aave", self.manager.account.market(self.at))

    def ltv(self) -> Decimal:
        collateral = self.held("aave", "awstETH") * Decimal(str(self.market.oracle))
        return self.held("aave", "variableDebtWETH") / collateral

    def ether(self) -> Decimal:
        """ETH that everything is worth but the perp, by redemption."""
        rate = Decimal(str(self.market.rate))
        total = sum((self.held(venue, "ETH") for venue in ("wallet", "bybit", "in_transit")), Decimal(0))
        total += (self.held("wallet", "wstETH") + self.held("aave", "awstETH")) * rate
        return total + self.held("wallet", "WETH") + self.held("lido", "ETH-QUEUED") - self.held("aave", "variableDebtWETH")


def names(blocks: list[Block]) -> list[str]:
    """What blocks do, in short: chains and flash loans with their steps."""
    found = []
    for block in blocks:
        if block.get("action") == "flash_loan":
            found += ["flash_loan(", *names(block["sub_instructions"]), ")"]
        elif "sub_instructions" in block:
            found += names(block["sub_instructions"])
        elif "to_venue" in block:
            found.append(f"{block['from_venue']}->{block['to_venue']}")
        else:
            found.append(block.get("action") or f"{block['side']} {block['trade_type']}")
    return found
