"""A node as a real one is: a base fee, no impersonation, the time of now; and a world of contracts on it with a funded trader."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.live.trader_account import designator, executor_address, runtime_code

from ..conformance.aave_deployment import AaveDeployment, deploy_aave, mock
from ..conformance.aave_market import EMODES, PREMIUM_BPS, PREMIUM_TO_PROTOCOL_BPS, PRICES, RULES
from ..conformance.chain import Chain, Read

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "0x" + "a1" * 32  # the trader's, of these tests alone
MORPHO = "0x" + "30" * 20
EXCHANGE = "0x" + "ec" * 20  # where an exchange is paid
ETHER, USD = 10**18, 10**6
HELD = {"USDT": 500_000 * USD, "WETH": 200 * ETHER}
DECIMALS = {"USDT": 6, "WETH": 18}
GWEI = 10**9
CHAIN_ID = 31_337


class PricedChain(Chain):
    """A chain whose gas has a price. Whoever has no key here can send nothing."""

    def options(self) -> list[str]:
        return ["--port", "0", "--hardfork", "prague", "--block-base-fee-per-gas", str(GWEI)]

    def gas_price(self) -> dict[str, str]:
        return {"maxFeePerGas": hex(50 * GWEI), "maxPriorityFeePerGas": hex(GWEI // 10)}

    def send_raw(self, address: str | None, data: str, *, sender: str | None = None, value_wei: int = 0) -> dict[str, Any]:
        found = super().send_raw(address, data, sender=sender, value_wei=value_wei)
        # What others do must not make the fees fall or rise: each test sets its own.
        self.rpc("anvil_setNextBlockBaseFeePerGas", (hex(GWEI),))
        return found


class ShiftedClock:
    """The machine's clock, and what a test has let pass."""

    def __init__(self) -> None:
        self.shift = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.shift


@dataclass(slots=True)
class ChainWorld:
    """An Aave market in use, a trader with tokens whose account is delegated to the executor, and others who trade too."""

    chain: PricedChain
    aave: AaveDeployment
    account: str
    executor: str
    clock: ShiftedClock

    @property
    def tokens(self) -> dict[str, str]:
        return {name: self.aave.listings[name].token for name in HELD}

    @property
    def other(self) -> str:
        return self.chain.accounts[0]

    def config(self, **more: Any) -> dict[str, Any]:
        """The config of a live run at this world; `more` goes into the section of the wallet."""
        tokens = {name: {"address": address, "decimals": DECIMALS[name]} for name, address in self.tokens.items()}
        wallet = {"chain_id": CHAIN_ID, "tokens": tokens, "executor": self.executor, "confirmations": 0, **more}
        return {
            "strategy_mode": "pure_lending",
            "share_class": "usdt_stable",
            "initial_capital": 100_000,
            "venues": {"cex": {"binance": {}}, "onchain": {"wallet": wallet, "aave": {"pool": self.aave.pool}}},
            "limits": {
                "max_notional_per_instruction": 10**7, "max_notional_per_day": 10**8, "max_slippage_bps": 50,
                "max_unhedged_notional": 10**7, "withdrawal_addresses": [EXCHANGE], "max_fee_gwei": 200, "max_gas_per_day_eth": 5,
            },
            "venue_timeout": 10,
        }  # fmt: skip

    def pass_time(self, seconds: int) -> None:
        """Let time go by, here and on the chain."""
        self.clock.shift += timedelta(seconds=seconds)
        self.chain.rpc("evm_increaseTime", (seconds,))
        self.chain.mine()

    def balances(self, block: str = "latest") -> dict[str, int]:
        """Base units of everything that the trader has and owes, as the contracts answer."""
        of = (self.account,)
        reads = {name: Read(token, "balanceOf(address)(uint256)", of) for name, token in self.tokens.items()}
        for name in HELD:
            listing = self.aave.listings[name]
            reads[f"a{name}"] = Read(listing.a_token, "balanceOf(address)(uint256)", of)
            reads[f"variableDebt{name}"] = Read(listing.debt_token, "balanceOf(address)(uint256)", of)
        found: Mapping[str, Any] = dict(zip(reads, self.chain.read(list(reads.values()), block), strict=True))
        return {"ETH": int(self.chain.rpc("eth_getBalance", (self.account, block)), 16), **found}

    def nonce(self) -> int:
        return int(self.chain.rpc("eth_getTransactionCount", (self.account, "latest")), 16)


def deploy_chain_world(chain: PricedChain) -> ChainWorld:
    from eth_account import Account

    account = Account.from_key(KEY).address
    rules = {name: RULES[name] for name in ("USDT", "WETH", "wstETH")}
    aave = deploy_aave(chain, rules, {number: EMODES[1] for number in (1,)}, PREMIUM_BPS, PREMIUM_TO_PROTOCOL_BPS)
    weth = aave.listings["WETH"].token
    _become(chain, weth, chain.deploy(mock("tokens/WETH9Mocked.sol", "WETH9Mocked")))
    for name, price in PRICES.items():
        if name in rules or name == "ETH-like":
            aave.set_price(name, price)
    executor = executor_address(aave.pool, MORPHO)
    chain.rpc("anvil_setCode", (executor, "0x" + runtime_code(aave.pool, MORPHO).hex()))
    chain.rpc("anvil_setCode", (account, "0x" + designator(executor).hex()))
    chain.deal(account, 100 * ETHER)
    world = ChainWorld(chain, aave, account, executor, ShiftedClock())
    _fund(world)
    return world


def _become(chain: Chain, address: str, contract: str) -> None:
    """Give an address the code of WETH9 with its name, symbol and decimals; nobody has any of it yet."""
    chain.rpc("anvil_setCode", (address, chain.rpc("eth_getCode", (contract, "latest"))))
    for slot in range(3):
        kept = chain.rpc("eth_getStorageAt", (contract, hex(slot), "latest"))
        chain.rpc("anvil_setStorageAt", (address, f"0x{slot:064x}", kept))
    chain.deal(address, 10**30)  # what its minted units can be unwrapped to


def _fund(world: ChainWorld) -> None:
    """The trader has tokens; somebody else lends and borrows, so that every index moves."""
    chain, aave, other = world.chain, world.aave, world.other
    for name, units in HELD.items():
        chain.send(aave.listings[name].token, "mint(uint256)", (10**33 if name == "USDT" else 10**27,))
        chain.send(aave.listings[name].token, "transfer(address,uint256)", (world.account, units))
        chain.send(aave.listings[name].token, "approve(address,uint256)", (aave.pool, 2**256 - 1))
    supply, borrow = "supply(address,uint256,address,uint16)", "borrow(address,uint256,uint256,uint16,address)"
    chain.send(aave.pool, supply, (world.tokens["USDT"], 3_000_000 * USD, other, 0))
    chain.send(aave.pool, supply, (world.tokens["WETH"], 2_000 * ETHER, other, 0))
    chain.send(aave.pool, borrow, (world.tokens["USDT"], 1_000_000 * USD, 2, 0, other))
    chain.send(aave.pool, borrow, (world.tokens["WETH"], 300 * ETHER, 2, 0, other))
    world.pass_time(30 * 86_400)
