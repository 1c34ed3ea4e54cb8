"""Calls to contracts: what the actions of a wallet are on chain, before they are packed into one transaction. Pure; no network.

An amount is a number, as it was simulated, or it is known only when the call is made: then the executor (`contracts/TraderAccount.sol`)
puts it into the call's data.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

from msgspec import Struct

from basis_strategy_v1.core.instructions import SmartContractAction

ETHER = "0x" + "00" * 20
"""In the place of a token's address: ether."""
ALL = 2**256 - 1
WORD = 32
SELECTOR = 4


class BalanceOf(Struct, frozen=True, tag="balance"):
    """What the account has of a token (its address; `ETHER`) when the call is made. Of a debt token that is what it owes."""

    token: str


class StepOutput(Struct, frozen=True, tag="output"):
    """What the account has of a token more than before a step of the same list, times `numerator / denominator`, rounded down.

    After the step it is its balance then less its balance before. Within the step itself, it is what has come so far.
    """

    step: int
    token: str
    numerator: int = 1
    denominator: int = 1


class ViewWord(Struct, frozen=True, tag="view"):
    """The word at `place` (0 is the first) of what a contract answers to `data`."""

    contract: str
    data: bytes
    place: int = 0


class MorphoOwed(Struct, frozen=True, tag="morpho_owed"):
    """What the account owes in a market of Morpho, in base units of the loan token, with interest up to the call."""

    market_id: bytes


RunTimeAmount = BalanceOf | StepOutput | ViewWord | MorphoOwed


class CallAmount(Struct, frozen=True):
    """An amount of a call in base units, as it was simulated. Where `at_run_time` is there, that counts when the call is made."""

    units: int
    at_run_time: RunTimeAmount | None = None


class Allowance(Struct, frozen=True):
    """What `spender` may take of a token while the call is made: exactly `amount`, and nothing afterwards."""

    token: str
    spender: str
    amount: CallAmount


class ChainCall(Struct, frozen=True, kw_only=True):
    """One call to a contract.

    `data` has the simulated amount. `places` are the bytes of it at which a word is replaced where `amount` is known at run time; where
    `pays` is true the amount is also the ether that goes with the call, in place of `value_wei`.
    `lent` is the token (its address) of a flash loan, and `loan` are the steps that run while it is out: they go into the bytes at the end
    of its data.
    """

    to: str
    data: bytes = b""
    value_wei: int = 0
    amount: CallAmount | None = None
    places: tuple[int, ...] = ()
    pays: bool = False
    allowance: Allowance | None = None
    lent: str | None = None
    loan: tuple[CallStep, ...] = ()

    def is_fixed(self) -> bool:
        """Whether nothing of it waits for the run time, and it needs nothing but itself: it can be sent without an executor."""
        waits = self.amount is not None and self.amount.at_run_time is not None and (self.places or self.pays)
        return not waits and self.allowance is None and self.lent is None


class CallStep(Struct, frozen=True):
    """The calls of one action. `measured` are the tokens whose balance is read before it, as a later amount is what it paid out."""

    calls: tuple[ChainCall, ...]
    measured: tuple[str, ...] = ()


class VenueContracts(Protocol):
    """The contracts of a venue: where they are, and the calls of its actions."""

    def addresses(self) -> tuple[str, ...]:
        """Every contract that a call can go to, or that can be given an allowance; tokens are left out."""
        ...

    def encode(self, made: EncodeAction, at: Deployment) -> tuple[ChainCall, ...]:
        """The calls of one action. Pure.

        Raises:
            VenueRejected: an address is not known, or the contracts have no such call.
        """
        ...


class Deployment(Struct, frozen=True, kw_only=True):
    """Where everything is on one chain: the trader's account, tokens by name, and the contracts of each configured venue by its name."""

    account: str
    tokens: Mapping[str, str]
    venues: Mapping[str, VenueContracts]
    chain_id: int = 1

    def addresses(self) -> tuple[str, ...]:
        """Every contract that a transaction may call."""
        return (*self.tokens.values(), *(address for venue in self.venues.values() for address in venue.addresses()))


class EncodeAction(Struct, frozen=True, kw_only=True):
    """An action as it is turned into calls.

    `action` has its amount as a number, `units` is that in base units, and its `min_amount_out` the least that must come out of a swap.
    `at_run_time` is what the instruction had in place of the number: "all", or what an earlier step paid out.
    `deadline_s` is when a swap is no longer wanted, in seconds since 1970; `place` the step's index in its own list.
    """

    action: SmartContractAction
    units: int = 0
    at_run_time: str | StepOutput | None = None
    deadline_s: int = ALL
    place: int = 0

    def amount(self, whole: RunTimeAmount | None = None) -> CallAmount:
        """The amount; where the instruction has "all", `whole` is what that is at run time."""
        return CallAmount(self.units, self.at_run_time if isinstance(self.at_run_time, StepOutput) else whole if self.is_all else None)

    @property
    def is_all(self) -> bool:
        return self.at_run_time == "all"

    @property
    def is_number(self) -> bool:
        """Whether the amount is known before the call is made."""
        return self.at_run_time is None

    def so_far(self, token: str) -> StepOutput:
        """What has come of a token (its address) since the step began."""
        return StepOutput(self.place, token)


@cache
def selector(signature: str) -> bytes:
    """The first four bytes of a call of `name(type,...)`."""
    from eth_utils.crypto import keccak

    return keccak(text=signature)[:SELECTOR]


def call_data(signature: str, *args: Any) -> bytes:
    """The bytes of a call of `name(type,...)`."""
    from eth_abi.abi import encode

    return selector(signature) + encode(_types_of(signature), args)


@cache
def _types_of(signature: str) -> tuple[str, ...]:
    from eth_abi.grammar import parse

    types = signature[signature.index("(") :]
    return () if types == "()" else tuple(part.to_type_str() for part in parse(types).components)


def argument(index: int) -> int:
    """The place in a call's data of the word with this index."""
    return SELECTOR + WORD * index
