"""A world for chains: the contracts of all protocols on one node, an account that executes many calls in one transaction, and the
same market as a folder of our data."""

from __future__ import annotations

import csv
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from eth_abi.abi import encode

from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.state_rows import CURVE_POOL, MORPHO_MARKET
from basis_strategy_v1.core.tokens import decimals_of, to_units
from basis_strategy_v1.data.data_provider import DataProvider
from basis_strategy_v1.live.download import download_pool
from basis_strategy_v1.venues import curve_pool
from basis_strategy_v1.venues.uniswap_data import pool_from_row

from ..world import write_bars, write_lending, write_staking, write_states
from .aave_deployment import RESERVE_DATA
from .aave_market import PRICES
from .chain import Read, call_data
from .chain_model import STAKED, simulated
from .morpho_deployment import PARAMS
from .staking_deployment import SHARES_OF
from .test_curve_conformance import EXCHANGE
from .uniswap_deployment import DEADLINE, ZERO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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

EvmCall = tuple[str, int, bytes]


@dataclass(slots=True)
class World:
    """The contracts, an account that executes calls in one transaction, and the same market as our data."""

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

    def execute(self, calls: list[EvmCall], at_s: int | None = None) -> None:
        """All of them in one transaction."""
        if at_s is not None:
            self.chain.set_next_timestamp(at_s)
        self.chain.send(self.account, "execute((address,uint256,bytes)[])", (calls,))

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

    def calls_of(self, steps: list[dict[str, Any]], market: MarketSnapshot) -> list[EvmCall]:
        """The contracts' calls of our steps. Amounts that are known only on the way are what our simulation made of them."""
        done: list[SmartContractAction] = []
        with suppress(VenueRejected):
            simulated(steps, market, done)
        return self._calls(steps, iter(done))

    def _calls(self, steps: list[dict[str, Any]], done: Iterator[SmartContractAction]) -> list[EvmCall]:
        found = []
        for step in steps:
            if step["action"] == "flash_loan":
                inner = encode(["(address,uint256,bytes)[]"], [self._calls(step["sub_instructions"], done)])
                args = (self.tokens()[step["token"]], to_units(step["token"], Decimal(step["amount"])), inner)
                found.append((self.morpho.morpho, 0, data_of("flashLoan(address,uint256,bytes)", *args)))
                continue
            resolved = next(done, None)
            amount = Decimal(str(step["amount"])) if resolved is None else resolved.amount
            assert isinstance(amount, Decimal)
            found.append(self.call_of(step, to_units(step["token"], amount)))
        return found

    def call_of(self, step: dict[str, Any], units: int) -> EvmCall:
        """The contract's call of one of our steps, `units` being its amount."""
        return {"uniswap": self._uniswap, "curve": self._curve, "aave": self._aave, "morpho": self._morpho, "wallet": self._wallet,
                "lido": self._staking, "etherfi": self._staking}[step["protocol"]](step, units)  # fmt: skip

    def _least(self, step: dict[str, Any]) -> int:
        return to_units(step["token_out"], Decimal(str(step.get("min_amount_out", 0))))

    def _uniswap(self, step: dict[str, Any], units: int) -> EvmCall:
        tokens = self.tokens()
        path = (tokens[step["token"]], tokens[step["token_out"]], self.pool.fee_pips, self.account, DEADLINE)
        signature = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"
        return self.pool.deployment.router, 0, data_of(signature, (*path, units, self._least(step), 0))

    def _curve(self, step: dict[str, Any], units: int) -> EvmCall:
        coins, name = next((coins, name) for coins, name in POOLS.items() if {step["token"], step["token_out"]} == set(coins))
        places = coins.index(step["token"]), coins.index(step["token_out"])
        return self.curve[name].address, 0, data_of(EXCHANGE, *places, units, self._least(step))

    def _aave(self, step: dict[str, Any], units: int) -> EvmCall:
        token = self.tokens()[step["token"]]
        signature, args = {
            "supply": ("supply(address,uint256,address,uint16)", (token, units, self.account, 0)),
            "borrow": ("borrow(address,uint256,uint256,uint16,address)", (token, units, 2, 0, self.account)),
            "repay": ("repay(address,uint256,uint256,address)", (token, units, 2, self.account)),
            "withdraw": ("withdraw(address,uint256,address)", (token, units, self.account)),
        }[step["action"]]
        return self.aave.deployment.pool, 0, data_of(signature, *args)

    def _morpho(self, step: dict[str, Any], units: int) -> EvmCall:
        own, params = self.account, self.morpho.params
        signature, args = {
            "supply": (f"supply({PARAMS},uint256,uint256,address,bytes)", (units, 0, own, b"")),
            "withdraw": (f"withdraw({PARAMS},uint256,uint256,address,address)", (units, 0, own, own)),
            "supply_collateral": (f"supplyCollateral({PARAMS},uint256,address,bytes)", (units, own, b"")),
            "withdraw_collateral": (f"withdrawCollateral({PARAMS},uint256,address,address)", (units, own, own)),
            "borrow": (f"borrow({PARAMS},uint256,uint256,address,address)", (units, 0, own, own)),
            "repay": (f"repay({PARAMS},uint256,uint256,address,bytes)", (units, 0, own, b"")),
        }[step["action"]]
        return self.morpho.morpho, 0, data_of(signature, params, *args)

    def _wallet(self, step: dict[str, Any], units: int) -> EvmCall:
        wrapped = self.tokens()["WETH"]
        return (wrapped, units, data_of("deposit()")) if step["action"] == "wrap" else (wrapped, 0, data_of("withdraw(uint256)", units))

    def _staking(self, step: dict[str, Any], units: int) -> EvmCall:
        staking = self.staking[step["protocol"]]
        if step["action"] != "stake":
            return staking.wrapped, 0, data_of(f"{step['action']}(uint256)", units)
        if step.get("token_out") == STAKED[step["protocol"]][1]:
            return staking.wrapped, units, b""  # ether sent to the wrapper is staked and wrapped
        return staking.token, units, data_of("submit(address)", ZERO) if step["protocol"] == "lido" else data_of("deposit()")

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


def data_of(signature: str, *args: Any) -> bytes:
    return bytes.fromhex(call_data(signature, args)[2:])


def moment(at_s: int) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)
