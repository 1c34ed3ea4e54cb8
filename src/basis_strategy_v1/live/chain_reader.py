"""The state of an account on chain at one block: first which block, then everything at its hash, so two round trips at most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueUnreachable
from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.core.state import WALLET, State, Wallet
from basis_strategy_v1.core.tokens import REBASING, decimals_of
from basis_strategy_v1.live.aave_reading import PoolContracts, pool_contracts
from basis_strategy_v1.live.chain_abi import ContractRead, at_hash, field, number_of
from basis_strategy_v1.live.chain_client import RpcCall, RpcError
from basis_strategy_v1.live.contract_facts import with_facts
from basis_strategy_v1.venues.aave_calls import AaveContracts, with_debt_tokens
from basis_strategy_v1.venues.aave_state import AaveState

if TYPE_CHECKING:
    from basis_strategy_v1.core.chain_call import Deployment
    from basis_strategy_v1.live.chain_client import ChainClient

WRONG = "CFG-001"


class Block(Struct, frozen=True, kw_only=True):
    """A block's header; `time_s` in seconds since 1970, the fee in wei per gas unit."""

    number: int
    hash: str
    parent: str
    time_s: int
    base_fee_wei: int


class BlockReading(Struct, frozen=True):
    """What the account holds and what the protocols are like at one block, and the wallet's balances there in base units."""

    block: Block
    state: State


def block_of(answer: Any) -> Block:
    """The header of a block.

    Raises:
        MalformedAnswer: it is none.
    """
    if isinstance(answer, RpcError) or not isinstance(answer, Mapping):
        raise MalformedAnswer(f"{answer or 'nothing'} for a block", str(answer))
    return Block(
        number=field(answer, "number"),
        hash=str(answer.get("hash")),
        parent=str(answer.get("parentHash")),
        time_s=field(answer, "timestamp"),
        base_fee_wei=number_of(answer.get("baseFeePerGas", "0x0"), "a base fee"),
    )


class ChainReader:
    """Reads one account. `configured` are the tokens that the config names: each of them must be there; the others are left out where
    they are not. `decimals` are those that the config gives."""

    def __init__(
        self, client: ChainClient, deployment: Deployment, *, configured: Mapping[str, int] = {}, wallet: str = WALLET,
    ) -> None:  # fmt: skip
        self.client = client
        self.wallet = wallet
        self._deployment = deployment
        self._configured = configured
        self._lock = Lock()
        self._known: tuple[Deployment, dict[str, PoolContracts]] | None = None

    @property
    def account(self) -> str:
        return self._deployment.account

    @property
    def chain_id(self) -> int:
        return self._deployment.chain_id

    @property
    def deployment(self) -> Deployment:
        """Where everything is: the tokens that are there, and what was read from the pools."""
        return self._look()[0]

    @property
    def pools(self) -> dict[str, PoolContracts]:
        """The Aave pools by the name of the venue."""
        return self._look()[1]

    def look_again(self) -> None:
        """Look at the chain, as it is now.

        Raises:
            ComponentError: CFG-001, the chain, a contract, a token or a pool is not what the config says.
            VenueUnreachable, MalformedAnswer.
        """
        with self._lock:
            self._known = self._looked()

    # What does not change.

    def _look(self) -> tuple[Deployment, dict[str, PoolContracts]]:
        """Look at the chain once.

        Raises:
            ComponentError: CFG-001, the chain, a contract, a token or a pool is not what the config says.
            VenueUnreachable, MalformedAnswer.
        """
        with self._lock:
            if self._known is None:
                self._known = self._looked()
            return self._known

    def _looked(self) -> tuple[Deployment, dict[str, PoolContracts]]:
        at = self._deployment
        chain_id = number_of(self.client.get("eth_chainId"), "a chain id")
        if chain_id != at.chain_id:
            raise ComponentError(WRONG, f"{self.client.shown} is chain {chain_id}, venues.onchain.{self.wallet}.chain_id is {at.chain_id}; "
                                        "give the address of a node of that chain, or change chain_id")  # fmt: skip
        self._require_code({name: venue.addresses() for name, venue in at.venues.items()})
        tokens = self._tokens(at.tokens)
        at = with_facts(structs.replace(at, tokens=tokens), self._read_now)
        found = {name: venue.pool for name, venue in at.venues.items() if isinstance(venue, AaveContracts)}
        pools = {name: pool_contracts(name, pool, tokens, self._read_now) for name, pool in found.items()}
        venues = dict(at.venues)
        for name, pool in pools.items():
            here = venues[name]
            assert isinstance(here, AaveContracts)
            venues[name] = with_debt_tokens(here, {token: reserve.debt_token for token, reserve in pool.reserves.items()})
        return structs.replace(at, venues=venues), pools

    def _require_code(self, contracts: Mapping[str, tuple[str, ...]]) -> None:
        places = [(name, address) for name, addresses in contracts.items() for address in addresses]
        answers = self.client.ask(*(RpcCall("eth_getCode", (address, "latest")) for _, address in places)) if places else []
        without = [f"venues: {name} is at {address}, where there is no code on this chain; give its address there" for (name, address), code
                   in zip(places, answers, strict=True) if not _is_code(code)]  # fmt: skip
        if without:
            raise ComponentError(WRONG, "\n".join(without))

    def _tokens(self, tokens: Mapping[str, str]) -> dict[str, str]:
        """The tokens that are on this chain, with the decimals that they must have."""
        kept = {name: address for name, address in tokens.items() if name not in REBASING}
        answers = self.client.ask(*(RpcCall("eth_getCode", (address, "latest")) for address in kept.values()))
        there = {name: address for (name, address), code in zip(kept.items(), answers, strict=True) if _is_code(code)}
        faults = [f"{_place(self.wallet, name)}.address: there is no code at {tokens[name]} on this chain; give the address of {name}"
                  for name in self._configured if name in kept and name not in there]  # fmt: skip
        found = self._read_now([ContractRead(address, "decimals()", (), ("uint8",)) for address in there.values()])
        for name, decimals in zip(there, found, strict=True):
            meant = self._configured.get(name, decimals_of(name))
            if decimals != meant or decimals != decimals_of(name):
                faults.append(f"{_place(self.wallet, name)}.decimals: {meant}, the contract at {there[name]} has {decimals} and {name} has "
                              f"{decimals_of(name)}; give the contract of {name}")  # fmt: skip
        if faults:
            raise ComponentError(WRONG, "\n".join(faults))
        return there

    def _read_now(self, reads: Sequence[ContractRead]) -> list[Any]:
        answers = self.client.ask(*(read.call("latest") for read in reads)) if reads else []
        return [read.decoded(answer) for read, answer in zip(reads, answers, strict=True)]

    # What does.

    def latest(self) -> Block:
        """The newest block."""
        return block_of(self.client.get("eth_getBlockByNumber", "latest", False))

    def confirmed(self, confirmations: int) -> Block:
        """The newest block with so many on top of it."""
        head = self.latest()
        if not confirmations:
            return head
        return block_of(self.client.get("eth_getBlockByNumber", hex(max(head.number - confirmations, 0)), False))

    def read(self) -> BlockReading:
        """Everything at the newest block: two round trips."""
        return self.read_at(self.latest())

    def read_at(self, block: Block) -> BlockReading:
        """Everything at one block, in one round trip."""
        calls = list(self.calls_at(at_hash(block.hash)))
        return self.reading(block, self.client.ask(*calls))

    def calls_at(self, block: Any) -> Iterator[RpcCall]:
        """The calls that read everything at a block (its number, or {"blockHash": …}): they may go into a batch with others."""
        yield RpcCall("eth_getBalance", (self.account, block))
        for read in self._reads():
            yield read.call(block)

    def _reads(self) -> list[ContractRead]:
        at, pools = self._look()
        found = [ContractRead(address, "balanceOf(address)", (at.account,)) for address in at.tokens.values()]
        return [*found, *(read for pool in pools.values() for read in pool.reads(at.account))]

    def reading(self, block: Block, answers: Sequence[Any]) -> BlockReading:
        """The state from what the calls were answered.

        Raises:
            VenueUnreachable: the node does not know the block. MalformedAnswer.
        """
        at, pools = self._look()
        if isinstance(answers[0], RpcError):
            raise VenueUnreachable("OCH-002", f"{self.wallet} cannot be read at block {block.number} ({block.hash}): {answers[0]}")
        units = {"ETH": number_of(answers[0], "a balance")}
        values = [read.decoded(answer) for read, answer in zip(self._reads(), answers[1:], strict=True)]
        units |= dict(zip(at.tokens, values, strict=False))
        state = State({self.wallet: Wallet({token: held for token, held in units.items() if held})})
        start = len(at.tokens)
        for name, pool in pools.items():
            end = start + len(pool.reads(at.account))
            state = state.with_part(name, pool.state(values[start:end], block.time_s))
            start = end
        return BlockReading(block, state)

    # Only what is ours.

    @staticmethod
    def balances_of(state: State, wallet: str = WALLET) -> dict[str, int]:
        """What a state holds in base units: tokens by name, deposits and debts scaled, as `scaled_keys` calls them."""
        found = dict(state.part(wallet, Wallet).units)
        for name, part in state.parts.items():
            if isinstance(part, AaveState):
                for token in part.pool.reserves:
                    found |= dict(zip(scaled_keys(name, token), part.scaled(token), strict=True))
        return {name: units for name, units in found.items() if units}


def scaled_keys(pool: str, token: str) -> tuple[str, str]:
    """What the scaled deposit and debt of a token at a pool are called among balances."""
    return f"{pool}:{token}:supplied", f"{pool}:{token}:borrowed"


def _is_code(answer: Any) -> bool:
    return isinstance(answer, str) and answer not in ("0x", "")


def _place(wallet: str, token: str) -> str:
    return f"venues.onchain.{wallet}.tokens.{token}"
