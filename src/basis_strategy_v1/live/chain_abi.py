"""Words of the chain: what contracts answer, the topics of events, addresses."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.chain_call import call_data
from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.live.chain_client import RpcCall, RpcError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WORD_DIGITS = 64
NUMBER = ("uint256",)


class ContractRead(NamedTuple):
    """One value to be read: `balanceOf(address)` of a contract, and the types of the answer."""

    contract: str
    signature: str
    args: tuple[Any, ...] = ()
    outputs: tuple[str, ...] = NUMBER

    def call(self, block: Any) -> RpcCall:
        """The JSON-RPC call at a block: its number, or {"blockHash": …}."""
        return RpcCall("eth_call", ({"to": self.contract, "data": _data(self.signature, self.args)}, block))

    def decoded(self, answer: Any) -> Any:
        """What the contract answered; one value comes without its tuple.

        Raises:
            MalformedAnswer: the call reverted, or there is no contract that has it.
        """
        if isinstance(answer, RpcError) or not isinstance(answer, str) or len(answer) < 2 + WORD_DIGITS * len(self.outputs):
            raise MalformedAnswer(f"{answer or 'nothing'} to {self.signature} of {self.contract}", str(answer))
        if self.outputs == NUMBER:
            return int(answer[2 : 2 + WORD_DIGITS], 16)
        try:
            values = decoded(self.outputs, answer)
        except MalformedAnswer:
            raise MalformedAnswer(f"an answer of another form to {self.signature} of {self.contract}", answer) from None
        return values[0] if len(values) == 1 else values


@lru_cache(4_096)
def _data(signature: str, args: tuple[Any, ...]) -> str:
    """The bytes of a call; the same few are made for each block."""
    return "0x" + call_data(signature, *args).hex()


def decoded(types: Sequence[str], data: str) -> tuple[Any, ...]:
    """The values in hexadecimal data.

    Raises:
        MalformedAnswer: it has another form.
    """
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    try:
        return tuple(decode(types, bytes.fromhex(data[2:])))
    except (DecodingError, ValueError, OverflowError):
        raise MalformedAnswer(f"data that are no {', '.join(types)}", data) from None


@cache
def topic(signature: str) -> str:
    """The first topic of an event `Name(type,...)`."""
    from eth_utils.crypto import keccak

    return "0x" + keccak(text=signature).hex()


def address_of(word: str) -> str:
    """The address in a topic, in lower case."""
    return "0x" + word[-40:].lower()


def number_of(quantity: Any, what: str) -> int:
    """A quantity such as 0x10.

    Raises:
        MalformedAnswer: it is none.
    """
    try:
        return int(quantity, 16)
    except (TypeError, ValueError):
        raise MalformedAnswer(f"{what} that is {quantity!r}, not a number", quantity) from None


def field(record: Mapping[str, Any], name: str) -> int:
    """A number in a block, a receipt or a transaction."""
    return number_of(record.get(name), f"a {name}")


def at_hash(block_hash: str) -> dict[str, Any]:
    """The block of a call by its hash, as EIP-1898 has it."""
    return {"blockHash": block_hash}
