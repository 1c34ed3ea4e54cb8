"""The account of a trader that is delegated to the executor, on a node with a base fee that signs for nobody."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import structs

from basis_strategy_v1.core.chain_call import ALL
from basis_strategy_v1.core.tokens import SHARE_TOKENS, to_units
from basis_strategy_v1.live.trader_account import Floor, delegate_of, executor_address, pack_batch
from basis_strategy_v1.venues.transaction_calls import encode_transaction

from .chain import Chain
from .chain_deployment import deploy_world
from .chain_model import HELD, instruction_of, our_balances, simulated
from .signed_account import GWEI, SignedAccount, fee_wei

if TYPE_CHECKING:
    from pathlib import Path

    from basis_strategy_v1.core.chain_call import CallStep
    from basis_strategy_v1.core.state import State

    from .chain_world import World

TRADER = 9  # the number of its account


class TraderNode(Chain):
    """A node on which gas costs nothing until the contracts are there."""

    is_priced = False

    def gas_price(self) -> dict[str, str]:
        return {"maxFeePerGas": hex(100 * GWEI), "maxPriorityFeePerGas": hex(GWEI)} if self.is_priced else Chain.gas_price(self)


def require_same(ours: dict[str, int], theirs: dict[str, int], apart: int) -> None:
    """Every balance is the same on both sides, but for some wei of staked tokens."""
    differ = {name: ours.get(name, 0) - theirs.get(name, 0) for name in {*ours, *theirs}}
    near = {name for name, wei in differ.items() if name.removesuffix(" shares") in SHARE_TOKENS and abs(wei) <= apart}
    assert {name: wei for name, wei in differ.items() if wei and name not in near} == {}


class Trader(NamedTuple):
    """The world, and the account that is delegated to the executor."""

    world: World
    account: SignedAccount
    executor: str

    def encoded(self, steps: list[dict[str, Any]], moved: Any) -> tuple[CallStep, ...]:
        meant = instruction_of(steps)
        return encode_transaction(meant, structs.replace(meant, steps=moved.steps), self.world.deployment())

    def batch(self, steps: list[dict[str, Any]], moved: Any, floors: tuple[Floor, ...] = (), deadline_s: int = ALL) -> bytes:
        return pack_batch(self.encoded(steps, moved), floors, deadline_s, self.account.address)

    def run(self, steps: list[dict[str, Any]], before: State | None = None, later_s: int = 12_345, apart: int = 0) -> State:
        """Simulate the steps, send them in one transaction, and compare every balance with the simulation; those of staked tokens may be
        `apart` by so many wei.

        Raises:
            VenueRejected: the simulation refuses them; nothing was sent.
        """
        world, chain = self.world, self.world.chain
        world.write_data()
        at_s = chain.timestamp() + later_s
        state, moved = simulated(steps, world.snapshot(at_s), before)
        held = world.balances()
        chain.set_next_timestamp(at_s)
        receipt = self.account.send(self.account.address, self.batch(steps, moved))
        self.give_back(receipt)
        now = world.balances()
        require_same(our_balances(state), now, apart)
        for token in HELD:
            reported = sum((amount for (_, name), amount in moved.deltas.items() if name == token), Decimal(0))
            require_same({token: to_units(token, reported)}, {token: now.get(token, 0) - held.get(token, 0)}, apart)
        assert self.allowances() == {}
        return state

    def give_back(self, receipt: dict[str, Any]) -> None:
        """The ether that a transaction cost for gas, which our simulation has for nothing here."""
        assert fee_wei(receipt) > 0
        chain, own = self.world.chain, self.account.address
        chain.deal(own, chain.balance(own) + fee_wei(receipt))

    def allowances(self) -> dict[tuple[str, str], int]:
        """What anybody may take of the account's."""
        at = self.world.deployment()
        pairs = [(token, spender) for token in at.tokens for spender in at.addresses()]
        signature, own = "allowance(address,address)(uint256)", self.account.address
        found = self.world.chain.read([(at.tokens[token], signature, (own, spender)) for token, spender in pairs])
        return {pair: units for pair, units in zip(pairs, found, strict=True) if units}


def delegated_trader(node: TraderNode, folder: Path) -> Trader:
    """The world's contracts, and its account delegated by a transaction of its own."""
    world = deploy_world(node, folder)
    node.rpc("anvil_setCode", (world.account, "0x"))
    node.rpc("anvil_autoImpersonateAccount", (False,))
    node.rpc("anvil_setNextBlockBaseFeePerGas", (hex(10 * GWEI),))
    node.is_priced = True
    account = SignedAccount(node, TRADER)
    assert account.address.lower() == world.account
    executor = executor_address(world.aave.deployment.pool, world.morpho.morpho)
    trader = Trader(world, account, executor)
    trader.give_back(account.delegate(executor))
    assert delegate_of(code_of(node, account.address)) == executor
    return trader


def code_of(chain: Chain, address: str) -> bytes:
    return bytes.fromhex(chain.rpc("eth_getCode", (address, "latest"))[2:])
