"""A world for chains: the contracts of all protocols on one node, an account that is delegated to the executor, and the same market as a
folder of our data."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import structs

from basis_strategy_v1.app.pool_download import download_pool
from basis_strategy_v1.core.chain_call import ALL, Deployment
from basis_strategy_v1.core.state_rows import CURVE_POOL, MORPHO_MARKET
from basis_strategy_v1.core.tokens import decimals_of
from basis_strategy_v1.data.data_provider import DataProvider
from basis_strategy_v1.live.trader_account import pack_batch
from basis_strategy_v1.venues import curve_pool
from basis_strategy_v1.venues.aave_calls import AaveContracts
from basis_strategy_v1.venues.morpho_calls import MorphoContracts, MorphoParams
from basis_strategy_v1.venues.staking_calls import EtherfiContracts, LidoContracts
from basis_strategy_v1.venues.swap_calls import CurveContracts, CurvePool, UniswapContracts
from basis_strategy_v1.venues.transaction_calls import encode_transaction
from basis_strategy_v1.venues.uniswap_data import pool_from_row
from basis_strategy_v1.venues.wallet_calls import WalletContracts

from ..world import write_bars, write_lending, write_staking, write_states
from .aave_deployment import RESERVE_DATA
from .aave_market import PRICES
from .chain import Read
from .chain_model import STAKED, instruction_of
from .staking_deployment import SHARES_OF

if TYPE_CHECKING:
    from pathlib import Path

    from basis_strategy_v1.core.chain_call import VenueContracts
    from basis_strategy_v1.core.instructions import SmartContractAction
    from basis_strategy_v1.core.market import MarketSnapshot

    from .aave_market import Market
    from .chain import Chain
    from .morpho_deployment import MorphoDeployment
    from .staking_deployment import StakingDeployment
    from .test_curve_conformance import DeployedStableSwap
    from .uniswap_deployment import DeployedPool

RAY = Decimal(10**27)
MARKET_NAME = "wstETH/USDC"
MORPHO_PRICE = 2_900 * 10**24  # USDC base units for one of wstETH, 1e36
BALANCE = "balanceOf(address)(uint256)"
POOLS = {("USDC", "USDT"): "USDC_USDT", ("weETH", "WETH"): "weETH_WETH"}


@dataclass(slots=True)
class World:
    """The contracts, an account that is delegated to the executor, and the same market as our data."""

    chain: Chain
    aave: Market
    morpho: MorphoDeployment
    pool: DeployedPool
    curve: dict[str, DeployedStableSwap]
    staking: dict[str, StakingDeployment]
    account: str
    folder: Path

    # Their side.

    def tokens(self) -> dict[str, str]:
        listings = self.aave.deployment.listings
        found = {"WETH": listings["WETH"].token, "USDT": listings["USDT"].token, "USDC": self.morpho.loan_token}
        for name, (rebasing, wrapped) in STAKED.items():
            found |= {rebasing: self.staking[name].token, wrapped: self.staking[name].wrapped}
        return found

    def send(self, target: str, signature: str, *args: Any) -> None:
        """A call of the account's own, in a transaction by itself."""
        self.chain.send(target, signature, args, sender=self.account)

    def run(self, steps: list[dict[str, Any]], at_s: int | None = None) -> None:
        """Our steps in one transaction, by the executor. What is known only on the way is left to it: the numbers here are wrong."""
        if at_s is not None:
            self.chain.set_next_timestamp(at_s)
        meant = instruction_of(steps)
        calls = encode_transaction(meant, structs.replace(meant, steps=tuple(map(with_any_number, meant.steps))), self.deployment())
        self.chain.send_raw(self.account, f"0x{pack_batch(calls, (), ALL, self.account).hex()}", sender=self.account)

    def deployment(self) -> Deployment:
        """The addresses as the product has them."""
        listings = self.aave.deployment.listings
        debt_tokens = {name: listings[name].debt_token for name in ("WETH", "USDT")}
        lido, etherfi = (self.staking[name] for name in ("lido", "etherfi"))
        venues: dict[str, VenueContracts] = {
            "wallet": WalletContracts(),
            "aave": AaveContracts(pool=self.aave.deployment.pool, debt_tokens=debt_tokens),
            "morpho": MorphoContracts(address=self.morpho.morpho, markets={MARKET_NAME: MorphoParams(*self.morpho.params)}),
            "uniswap": UniswapContracts(router=self.pool.deployment.router, fee=self.pool.fee_pips),
            "curve": CurveContracts(pools={name: CurvePool(self.curve[name].address, coins) for coins, name in POOLS.items()}),
            "lido": LidoContracts(queue=lido.queue),
            "etherfi": EtherfiContracts(pool=etherfi.token, adapter=etherfi.adapter, queue=etherfi.queue),
        }
        return Deployment(account=self.account, tokens=self.tokens(), venues=venues)

    def balances(self) -> dict[str, int]:
        """Base units of everything that the account has and owes, as the contracts answer."""
        listings, of = self.aave.deployment.listings, (self.account,)
        reads = {name: Read(address, BALANCE, of) for name, address in self.tokens().items()}
        for name in ("WETH", "USDT"):
            reads[f"a{name}"] = Read(listings[name].a_token, BALANCE, of)
            reads[f"variableDebt{name}"] = Read(listings[name].debt_token, BALANCE, of)
        for name, (rebasing, _) in STAKED.items():
            reads[f"{rebasing} shares"] = Read(self.staking[name].token, SHARES_OF, of)
        found = dict(zip(reads, self.chain.read(list(reads.values())), strict=True))
        found["ETH"] = self.chain.balance(self.account)
        market = "market(bytes32)(uint128,uint128,uint128,uint128,uint128,uint128)"
        position = "position(bytes32,address)(uint256,uint128,uint128)"
        totals = self.chain.call(self.morpho.morpho, market, (self.morpho.market_id,))
        supply, debt, collateral = self.chain.call(self.morpho.morpho, position, (self.morpho.market_id, self.account))
        found[f"morpho:{MARKET_NAME}:supply"] = supply * (totals[0] + 1) // (totals[1] + 10**6)
        found[f"morpho:{MARKET_NAME}:collateral"] = collateral
        found[f"morpho:{MARKET_NAME}:debt"] = -(-debt * (totals[2] + 1) // (totals[3] + 10**6))
        return {name: units for name, units in found.items() if units}

    def pools(self) -> dict[str, Any]:
        """The states of the DEX pools, by the names that our data give them."""
        return {"USDT_WETH_500": self.pool.state(), **{name: pool.state() for name, pool in self.curve.items()}}

    def at_hand(self) -> int:
        """Base units of USDC that Morpho's contract has: what a flash loan can take."""
        held: int = self.chain.call(self.morpho.loan_token, BALANCE, (self.morpho.morpho,))
        return held

    # Our side.

    def snapshot(self, at_s: int) -> MarketSnapshot:
        return DataProvider(self.folder).snapshot(moment(at_s))

    def write_data(self) -> None:
        """The contracts' present state as rows of data, the Uniswap pool's by the importer."""
        now = moment(self.chain.timestamp())
        block = int(self.chain.rpc("eth_blockNumber"), 16)
        path, _ = download_pool(self.chain.url, self.pool.address, [block], 500, self.folder)
        assert path.name in ("USDT_WETH_500.state.csv", "WETH_USDT_500.state.csv")  # by the addresses that the tokens got
        path = path.replace(path.with_name("USDT_WETH_500.state.csv"))
        *_, row = csv.DictReader(path.read_text().splitlines())
        assert pool_from_row(row).pool == self.pool.state()
        for coins, name in POOLS.items():
            state = curve_pool.CurvePoolRow(tuple((coin, decimals_of(coin)) for coin in coins), self.curve[name].state())
            row = {"block": block, **curve_pool.row_of_pool(state)}
            write_states(self.folder, f"dex/curve/{name}.state", CURVE_POOL, {now: row})
        for name in ("WETH", "USDT"):
            self._write_reserve(name)
        self._write_market()
        write_bars(self.folder, "bybit", "spot", "ETHUSDT", [(2500,)], now - timedelta(hours=1))
        for name, (_, wrapped) in STAKED.items():
            rate = Decimal(self.chain.call(self.staking[name].wrapped, "stEthPerToken()(uint256)")).scaleb(-18)
            write_staking(self.folder, name, wrapped, {now: f"{rate:f}"})

    def _write_reserve(self, name: str) -> None:
        listing = self.aave.deployment.listings[name]
        data = self.chain.call(self.aave.deployment.pool, RESERVE_DATA, (listing.token,))
        supplied, owed = self.chain.read(
            [Read(listing.a_token, "totalSupply()(uint256)"), Read(listing.debt_token, "totalSupply()(uint256)")]
        )
        columns = ("liquidity_index", "liquidity_rate", "variable_borrow_index", "variable_borrow_rate",
                   "total_supplied", "total_borrowed", "oracle_price_usd")  # fmt: skip
        unit = 10 ** decimals_of(name)
        numbers = (*(Decimal(data[place]) / RAY for place in (1, 2, 3, 4)), Decimal(supplied) / unit, Decimal(owed) / unit,
                   Decimal(PRICES[name]) / 10**8)  # fmt: skip
        row = dict(zip(columns, (f"{number:f}" for number in numbers), strict=True))
        write_lending(self.folder, "aave_v3", name, {moment(data[6]): row})

    def _write_market(self) -> None:
        totals = self.chain.call(
            self.morpho.morpho, "market(bytes32)(uint128,uint128,uint128,uint128,uint128,uint128)", (self.morpho.market_id,)
        )
        at_target = self.chain.call(self.morpho.irm, "rateAtTarget(bytes32)(int256)", (self.morpho.market_id,))
        texts = [str(number) for number in (1, *totals, at_target, self.morpho.lltv_wad, MORPHO_PRICE)]
        row = dict(zip(MORPHO_MARKET, texts, strict=True))
        write_states(self.folder, "lending/morpho/wstETH_USDC", MORPHO_MARKET, {moment(self.chain.timestamp()): row})


def with_any_number(step: SmartContractAction) -> SmartContractAction:
    """The step with a number in place of an amount that is known only on the way."""
    amount = step.amount if isinstance(step.amount, Decimal) else Decimal(1)
    return structs.replace(step, amount=amount, steps=tuple(map(with_any_number, step.steps)))


def moment(at_s: int) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)
