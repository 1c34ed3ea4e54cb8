"""A chain of our instructions against the same steps in one EVM transaction, on the real contracts of Aave, Uniswap and Morpho."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

import pytest
from eth_abi.abi import encode

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.instructions import Chain as Steps
from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.core.state import State
from basis_strategy_v1.core.state_rows import MORPHO_MARKET
from basis_strategy_v1.core.tokens import decimals_of
from basis_strategy_v1.data.data_provider import DataProvider
from basis_strategy_v1.live.download import uniswap_pool_state
from basis_strategy_v1.venues import make_venue
from basis_strategy_v1.venues.chain import simulate_transaction
from basis_strategy_v1.venues.morpho_account import underlying
from basis_strategy_v1.venues.uniswap_data import STATE_COLUMNS, pool_from_row, sqrt_price_of
from basis_strategy_v1.venues.uniswap_pool import full_range

from .aave_deployment import RESERVE_DATA
from .aave_market import PRICES, RULES, deploy_market
from .chain import Read, TransactionReverted, call_data, compiled
from .morpho_deployment import PARAMS, deploy_morpho
from .uniswap_deployment import DEADLINE, DeployedPool, deploy_uniswap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from basis_strategy_v1.core.market import MarketSnapshot

    from .aave_market import Market
    from .chain import Chain
    from .morpho_deployment import MorphoDeployment

pytestmark = pytest.mark.chain
ETHER, USD = 10**18, 10**6
RAY = Decimal(10**27)
ALL = 2**256 - 1
MARKET_NAME = "wstETH/USDC"
MORPHO_PRICE = 2_900 * 10**24  # USDC base units for one of wstETH, 1e36
BALANCE = "balanceOf(address)(uint256)"


@dataclass(slots=True)
class World:
    """The contracts, an account that executes calls in one transaction, and the same market as our data."""

    chain: Chain
    aave: Market
    morpho: MorphoDeployment
    pool: DeployedPool
    account: str
    folder: Path

    # Their side.

    def tokens(self) -> dict[str, str]:
        listings = self.aave.deployment.listings
        return {"WETH": listings["WETH"].token, "USDT": listings["USDT"].token, "USDC": self.morpho.loan_token,
                "wstETH": self.morpho.collateral_token}  # fmt: skip

    def execute(self, calls: list[tuple[str, str]], at_s: int | None = None) -> None:
        """All of them in one transaction."""
        if at_s is not None:
            self.chain.set_next_timestamp(at_s)
        wanted = [(target, 0, bytes.fromhex(data[2:])) for target, data in calls]
        self.chain.send(self.account, "execute((address,uint256,bytes)[])", (wanted,))

    def balances(self) -> dict[str, int]:
        """Base units of everything that the account has and owes, as the contracts answer."""
        listings, of = self.aave.deployment.listings, (self.account,)
        reads = {name: Read(address, BALANCE, of) for name, address in self.tokens().items()}
        for name in ("WETH", "USDT"):
            reads[f"a{name}"] = Read(listings[name].a_token, BALANCE, of)
            reads[f"variableDebt{name}"] = Read(listings[name].debt_token, BALANCE, of)
        found = dict(zip(reads, self.chain.read(list(reads.values())), strict=True))
        market = "market(bytes32)(uint128,uint128,uint128,uint128,uint128,uint128)"
        position = "position(bytes32,address)(uint256,uint128,uint128)"
        totals = self.chain.call(self.morpho.morpho, market, (self.morpho.market_id,))
        supply, debt, collateral = self.chain.call(self.morpho.morpho, position, (self.morpho.market_id, self.account))
        found["morpho shares"] = supply
        found[f"morpho:{MARKET_NAME}:collateral"] = collateral
        found[f"morpho:{MARKET_NAME}:debt"] = -(-debt * (totals[2] + 1) // (totals[3] + 10**6))
        return {name: units for name, units in found.items() if units}

    def call_of(self, step: dict[str, Any], units: int) -> tuple[str, str]:
        """The contract's call of one of our steps, `units` being its amount."""
        token = self.tokens().get(step["token"], "")
        pool, morpho = self.aave.deployment.pool, self.morpho
        name = step["action"]
        if step["protocol"] == "uniswap":
            path = (token, self.tokens()[step["token_out"]], self.pool.fee_pips, self.account, DEADLINE)
            signature = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"
            least = int(Decimal(str(step.get("min_amount_out", 0))).scaleb(decimals_of(step["token_out"])))
            return self.pool.deployment.router, call_data(signature, ((*path, units, least, 0),))
        if step["protocol"] == "aave":
            return pool, {
                "supply": lambda: call_data("supply(address,uint256,address,uint16)", (token, units, self.account, 0)),
                "borrow": lambda: call_data("borrow(address,uint256,uint256,uint16,address)", (token, units, 2, 0, self.account)),
                "repay": lambda: call_data("repay(address,uint256,uint256,address)", (token, units, 2, self.account)),
                "withdraw": lambda: call_data("withdraw(address,uint256,address)", (token, units, self.account)),
            }[name]()
        return morpho.morpho, {
            "supply_collateral": lambda: call_data(
                f"supplyCollateral({PARAMS},uint256,address,bytes)", (morpho.params, units, self.account, b"")
            ),
            "borrow": lambda: call_data(
                f"borrow({PARAMS},uint256,uint256,address,address)", (morpho.params, units, 0, self.account, self.account)
            ),
            "repay": lambda: call_data(f"repay({PARAMS},uint256,uint256,address,bytes)", (morpho.params, units, 0, self.account, b"")),
            "flash_loan": lambda: call_data("flashLoan(address,uint256,bytes)", (token, units, self._inner(step))),
        }[name]()

    def _inner(self, step: dict[str, Any]) -> bytes:
        calls = [self.call_of(inner, units_of(inner)) for inner in step["sub_instructions"]]
        return encode(["(address,uint256,bytes)[]"], [[(target, 0, bytes.fromhex(data[2:])) for target, data in calls]])

    # Our side.

    def snapshot(self, at_s: int) -> MarketSnapshot:
        return DataProvider(self.folder).snapshot(datetime.fromtimestamp(at_s, UTC))

    def write_data(self) -> None:
        """The contracts' present state as rows of data, the pool's by the importer."""
        block = int(self.chain.rpc("eth_blockNumber"), 16)
        row = uniswap_pool_state(self.chain.url, self.pool.address, block, 500)
        assert pool_from_row(row).pool == self.pool.state()
        self._write("dex/uniswap_v3/USDT_WETH_500.state", STATE_COLUMNS, row)
        for name in ("WETH", "USDT"):
            self._write_reserve(name)
        self._write_market()
        bars = dict.fromkeys(("open", "high", "low", "close"), "2500")
        bar = {"timestamp": stamp(self.chain.timestamp() - 3_600), **bars, "volume": "1"}
        self._write("ohlcv/bybit/spot/ETHUSDT_1h", tuple(bar), bar)
        self._write(
            "staking/lido/wstETH", ("timestamp", "eth_per_token"), {"timestamp": stamp(self.chain.timestamp()), "eth_per_token": "1.16"}
        )

    def _write_reserve(self, name: str) -> None:
        listing = self.aave.deployment.listings[name]
        data = self.chain.call(self.aave.deployment.pool, RESERVE_DATA, (listing.token,))
        supplied, owed = self.chain.read(
            [Read(listing.a_token, "totalSupply()(uint256)"), Read(listing.debt_token, "totalSupply()(uint256)")]
        )
        columns = ("timestamp", "block", "liquidity_index", "liquidity_rate", "variable_borrow_index", "variable_borrow_rate",
                   "total_supplied", "total_borrowed", "oracle_price_usd")  # fmt: skip
        unit = 10 ** decimals_of(name)
        numbers = (*(Decimal(data[place]) / RAY for place in (1, 2, 3, 4)), Decimal(supplied) / unit, Decimal(owed) / unit,
                   Decimal(PRICES[name]) / 10**8)  # fmt: skip
        texts = dict(zip(columns[2:], (f"{number:f}" for number in numbers), strict=True))
        self._write(f"lending/aave_v3/{name}", columns, {"timestamp": stamp(data[6]), "block": "1", **texts})

    def _write_market(self) -> None:
        totals = self.chain.call(
            self.morpho.morpho, "market(bytes32)(uint128,uint128,uint128,uint128,uint128,uint128)", (self.morpho.market_id,)
        )
        at_target = self.chain.call(self.morpho.irm, "rateAtTarget(bytes32)(int256)", (self.morpho.market_id,))
        texts = [str(number) for number in (1, *totals, at_target, self.morpho.lltv_wad, MORPHO_PRICE)]
        row = {"timestamp": stamp(self.chain.timestamp()), **dict(zip(MORPHO_MARKET, texts, strict=True))}
        self._write("lending/morpho/wstETH_USDC", ("timestamp", *MORPHO_MARKET), row)

    def _write(self, series_id: str, columns: tuple[str, ...], row: dict[str, str]) -> None:
        path = self.folder / f"{series_id}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{','.join(columns)}\n{','.join(row[column] for column in columns)}\n")


def stamp(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def units_of(step: dict[str, Any]) -> int:
    return int(Decimal(str(step["amount"])).scaleb(decimals_of(step["token"])))


@pytest.fixture
def world(chain: Chain, tmp_path: Path) -> Iterator[World]:
    before = chain.snapshot()
    yield _world(chain, tmp_path)
    chain.revert(before)


def _world(chain: Chain, folder: Path) -> World:
    aave = deploy_market(chain)
    listings = aave.deployment.listings
    morpho = deploy_morpho(chain, 86 * 10**16, 5 * 10**16, MORPHO_PRICE)
    pair = sorted((listings["USDT"].token, listings["WETH"].token), key=lambda address: int(address, 16))
    uniswap = replace(deploy_uniswap(chain), token0=pair[0], token1=pair[1])
    account = chain.deploy(compiled("BatchAccount.sol", "BatchAccount"))
    world = World(chain, aave, morpho, DeployedPool(uniswap, "", 500, 10), account, folder)
    _fund(world, uniswap.router, uniswap.positions)
    price = Decimal(2_500) if pair[0] == listings["WETH"].token else Decimal("0.0004")
    decimals = (18, 6) if pair[0] == listings["WETH"].token else (6, 18)
    world.pool = uniswap.create_pool(500, sqrt_price_of(price, *decimals))
    middle = world.pool.state().tick // 10 * 10
    world.pool.mint(*full_range(10), 10**22, 10**22)
    world.pool.mint(middle - 200, middle + 200, 10**21, 10**21)
    _use(world)
    return world


def _fund(world: World, router: str, positions: str) -> None:
    """The account and the first of the node's have plenty of each token, approved for whoever takes it."""
    chain, spenders = world.chain, (router, positions, world.aave.deployment.pool, world.morpho.morpho)
    calls = []
    for name, token in world.tokens().items():
        amount = 1_000 * 10 ** decimals_of(name)
        calls.append((token, call_data("mint(uint256)", (amount,))))
        chain.send(token, "mint(uint256)", (10**30,))
        for spender in spenders:
            calls.append((token, call_data("approve(address,uint256)", (spender, ALL))))
            chain.send(token, "approve(address,uint256)", (spender, ALL))
    world.execute(calls)


def _use(world: World) -> None:
    """Others lend and borrow, and time passes, so that no index is 1 and no share price round."""
    chain, owner = world.chain, world.chain.accounts[0]
    pool, listings = world.aave.deployment.pool, world.aave.deployment.listings
    chain.send(pool, "supply(address,uint256,address,uint16)", (listings["USDT"].token, 3_000_000 * USD, owner, 0))
    chain.send(pool, "supply(address,uint256,address,uint16)", (listings["WETH"].token, 2_000 * ETHER, owner, 0))
    chain.send(pool, "borrow(address,uint256,uint256,uint16,address)", (listings["USDT"].token, 1_000_000 * USD, 2, 0, owner))
    chain.send(pool, "borrow(address,uint256,uint256,uint16,address)", (listings["WETH"].token, 300 * ETHER, 2, 0, owner))
    params = world.morpho.params
    chain.send(world.morpho.morpho, f"supply({PARAMS},uint256,uint256,address,bytes)", (params, 1_000_000 * USD, 0, owner, b""))
    chain.send(world.morpho.morpho, f"supplyCollateral({PARAMS},uint256,address,bytes)", (params, 1_000 * ETHER, owner, b""))
    chain.send(world.morpho.morpho, f"borrow({PARAMS},uint256,uint256,address,address)", (params, 800_000 * USD, 0, owner, owner))
    chain.set_next_timestamp(chain.timestamp() + 90 * 86_400)
    for name in ("USDT", "WETH"):  # a payment back: the reserve's index is of a day that has passed
        chain.send(pool, "repay(address,uint256,uint256,address)", (listings[name].token, 1_000, 2, owner))
    chain.send(world.morpho.morpho, f"accrueInterest({PARAMS})", (params,))


# The two sides


def our_venues() -> dict[str, Any]:
    rules = {
        name: {"ltv_bps": rule.ltv_bps, "liquidation_threshold_bps": rule.liquidation_threshold_bps,
               "reserve_factor_bps": rule.reserve_factor_bps, "supply_cap": rule.supply_cap, "borrow_cap": rule.borrow_cap}
        for name, rule in RULES.items() if name in ("WETH", "USDT")
    }  # fmt: skip
    settings: dict[str, dict[str, Any]] = {"aave": {"revision": "3.0", "reserves": rules}, "wallet": {"gas_price_gwei": 0}}
    kinds = {"aave": "onchain", "morpho": "onchain", "wallet": "onchain", "lido": "onchain", "uniswap": "dex"}
    return {name: make_venue(kind, name, settings.get(name)) for name, kind in kinds.items()}


def simulated(steps: list[dict[str, Any]], market: MarketSnapshot) -> tuple[State, Any]:
    """(the state, what moved), from a wallet that holds 1,000 of each token."""
    venues = our_venues()
    block = {"instruction_type": "smart_contract_action", "atomic": True, "sub_instructions": steps}
    instruction = parse_instruction(block)
    assert isinstance(instruction, Steps)
    with localcontext(EXACT):
        opened = venues["wallet"].open(dict.fromkeys(("WETH", "USDT", "USDC", "wstETH"), Decimal(1_000)), market)
        moved = simulate_transaction(instruction.steps, venues, State({"wallet": opened}), market)
    return moved.state, moved


def our_balances(state: State) -> dict[str, int]:
    """Base units by token of our positions, as `World.balances` has them."""
    positions = state.positions()
    found = {token: int(amount.scaleb(decimals_of(token))) for token, amount in positions["wallet"].items()}
    for token, amount in positions["aave"].items():
        found[token] = int(amount.scaleb(decimals_of(token.removeprefix("variableDebt").removeprefix("a"))))
    for token, amount in positions.get("morpho", {}).items():
        found[token] = int(amount.scaleb(decimals_of(underlying(token))))
    return found


def step(protocol: str, name: str, token: str, amount: Any, **fields: Any) -> dict[str, Any]:
    return {"protocol": protocol, "action": name, "token": token, "amount": amount, **fields}


LOAN = step("morpho", "flash_loan", "USDC", "90000.5", sub_instructions=[
    step("morpho", "supply_collateral", "wstETH", "200.5", market=MARKET_NAME),
    step("morpho", "borrow", "USDC", "100000.123456", market=MARKET_NAME),
    step("morpho", "repay", "USDC", "777.000001", market=MARKET_NAME),
])  # fmt: skip
STEPS = [
    step("aave", "supply", "WETH", "100.123456789012345678"),
    step("aave", "borrow", "USDT", "90000.000001"),
    step("uniswap", "swap", "USDT", "40000.000001", token_out="WETH"),
    step("uniswap", "swap", "USDT", "50000", token_out="WETH"),  # finds the pool that the one before left
    step("aave", "supply", "WETH", {"output_of": 2}),
    step("aave", "repay", "USDT", "123.456789"),
    step("aave", "withdraw", "WETH", "1.000000000000000007"),
    step("uniswap", "swap", "WETH", {"output_of": 3, "fraction": "0.5"}, token_out="USDT"),
    LOAN,
]


def as_calls(world: World, steps: list[dict[str, Any]], market: MarketSnapshot) -> list[tuple[str, str]]:
    """The steps as calls: what an earlier step paid out is told by the simulation of the steps up to it."""
    calls = []
    for one in steps:
        amount = one["amount"]
        if isinstance(amount, dict):
            source = amount["output_of"]
            with localcontext(EXACT):
                before = simulated(steps[:source], market)[1].deltas if source else None
                paid = simulated(steps[: source + 1], market)[1].deltas.get("uniswap", one["token"])
                paid -= before.get("uniswap", one["token"]) if before else 0
                amount = paid * Decimal(str(amount.get("fraction", 1)))
        calls.append(world.call_of(one, units_of({**one, "amount": amount})))
    return calls


def test_a_chain_gives_the_same_to_the_wei_as_one_transaction(world: World) -> None:
    world.write_data()
    at_s = world.chain.timestamp() + 12_345
    market = world.snapshot(at_s)
    state, moved = simulated(STEPS, market)
    before = world.balances()
    world.execute(as_calls(world, STEPS, market), at_s)
    theirs = world.balances()
    assert our_balances(state) == theirs
    assert before == {"WETH": 1_000 * ETHER, "USDT": 1_000 * USD, "USDC": 1_000 * USD, "wstETH": 1_000 * ETHER}
    changed = {token: theirs.get(token, 0) - before.get(token, 0) for token in before}
    for token, units in changed.items():
        told = sum((amount for (_, name), amount in moved.deltas.items() if name == token), Decimal(0))
        assert told.scaleb(decimals_of(token)) == units
    pool = state.parts["uniswap"].states["USDT_WETH_500"][1]  # type: ignore[attr-defined]
    assert pool == world.pool.state()


@pytest.mark.parametrize(
    ("failing", "index"),
    [
        (step("aave", "borrow", "USDT", "200000"), 3),
        (step("aave", "withdraw", "WETH", "95"), 3),
        (step("uniswap", "swap", "USDT", "20000", token_out="WETH", min_amount_out="8"), 3),
        (step("uniswap", "swap", "USDT", "99000", token_out="WETH"), 3),
        (step("morpho", "flash_loan", "USDC", "90000", sub_instructions=[
            step("morpho", "supply_collateral", "wstETH", "10", market=MARKET_NAME),
            step("morpho", "borrow", "USDC", "24941", market=MARKET_NAME)]), 3),
    ],
    ids=["borrow", "withdraw", "min_amount_out", "balance", "inside a flash loan"],
)  # fmt: skip
def test_a_chain_that_fails_changes_nothing_on_either_side(world: World, failing: dict[str, Any], index: int) -> None:
    world.write_data()
    at_s = world.chain.timestamp() + 600
    market, steps = world.snapshot(at_s), [*STEPS[:index], failing]
    with pytest.raises(VenueRejected, match=r"^(OCH|DEX)-001") as refused:
        simulated(steps, market)
    assert refused.value.message.startswith(f"step {index} ({failing['protocol']} {failing['action']})")
    before = world.balances(), world.pool.state()
    with pytest.raises(TransactionReverted):
        world.execute(as_calls(world, steps, market), at_s)
    assert (world.balances(), world.pool.state()) == before
    world.execute(as_calls(world, steps[:index], market))


def test_a_window_of_the_tick_map_is_read_and_closed_at_its_ends(world: World) -> None:
    block = int(world.chain.rpc("eth_blockNumber"), 16)
    narrow = pool_from_row(uniswap_pool_state(world.chain.url, world.pool.address, block, 0))
    whole = world.pool.state()
    assert (narrow.pool.sqrt_price_x96, narrow.pool.liquidity) == (whole.sqrt_price_x96, whole.liquidity)
    assert {narrow.token0, narrow.token1} == {("USDT", 6), ("WETH", 18)}
    assert len(narrow.pool.ticks) <= len(whole.ticks) + 2
    assert sum(net for _, net in narrow.pool.ticks) == 0
