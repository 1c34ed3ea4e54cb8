"""The calls of a batch read back from its bytes: what each one does, with which amount, and who gets something. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from basis_strategy_v1.core.chain_call import SELECTOR, WORD, ChainCall, selector
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.venues.morpho_calls import PARAMS

REJECTED = "OCH-001"
ETHER_OF_IT = -1  # in the place of an argument: the ether that goes with the call
LIST = -2  # the first argument is a list of amounts


class CallMeaning(NamedTuple):
    """Of the arguments of a call, counted in words: the amount (None: it has none), who gets something, and the least that must come."""

    amount: int | None
    receivers: tuple[int, ...] = ()
    least: int | None = None


# Every call that this version sends. A call that is not here is not sent.
MEANINGS: Mapping[str, CallMeaning] = {
    "transfer(address,uint256)": CallMeaning(1, (0,)),
    "deposit()": CallMeaning(ETHER_OF_IT),
    "withdraw(uint256)": CallMeaning(0),
    "supply(address,uint256,address,uint16)": CallMeaning(1, (2,)),
    "withdraw(address,uint256,address)": CallMeaning(1, (2,)),
    "borrow(address,uint256,uint256,uint16,address)": CallMeaning(1, (4,)),
    "repay(address,uint256,uint256,address)": CallMeaning(1, (3,)),
    "setUserEMode(uint8)": CallMeaning(None),
    "flashLoanSimple(address,address,uint256,bytes,uint16)": CallMeaning(2, (0,)),
    "flashLoan(address,uint256,bytes)": CallMeaning(1),
    f"supply({PARAMS},uint256,uint256,address,bytes)": CallMeaning(5, (7,)),
    f"withdraw({PARAMS},uint256,uint256,address,address)": CallMeaning(5, (7, 8)),
    f"supplyCollateral({PARAMS},uint256,address,bytes)": CallMeaning(5, (6,)),
    f"withdrawCollateral({PARAMS},uint256,address,address)": CallMeaning(5, (6, 7)),
    f"borrow({PARAMS},uint256,uint256,address,address)": CallMeaning(5, (7, 8)),
    f"repay({PARAMS},uint256,uint256,address,bytes)": CallMeaning(5, (7,)),
    "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))": CallMeaning(5, (3,), least=6),
    "exchange(int128,int128,uint256,uint256)": CallMeaning(2, least=3),
    "submit(address)": CallMeaning(ETHER_OF_IT),
    "depositETHForWeETH(address)": CallMeaning(ETHER_OF_IT),
    "wrap(uint256)": CallMeaning(0),
    "unwrap(uint256)": CallMeaning(0),
    "requestWithdrawals(uint256[],address)": CallMeaning(LIST, (1,)),
    "requestWithdrawalsWstETH(uint256[],address)": CallMeaning(LIST, (1,)),
    "requestWithdraw(address,uint256)": CallMeaning(1, (0,)),
    "claimWithdrawal(uint256)": CallMeaning(None),
    "claimWithdraw(uint256)": CallMeaning(None),
}
ONLY_ETHER = CallMeaning(ETHER_OF_IT)  # a call without data: ether for a wrapper


class ReadCall(NamedTuple):
    """What a call says. `units` is None where it has no amount, or where that is put in when the call is made."""

    units: int | None
    receivers: tuple[str, ...]
    least: int | None


def read_call(call: ChainCall) -> ReadCall:
    """What the bytes of a call say.

    Raises:
        VenueRejected: it is none that this version sends.
    """
    meaning = _meaning(call)
    is_open = call.amount is not None and call.amount.at_run_time is not None
    receivers = tuple("0x" + _word(call.data, place)[-20:].hex() for place in meaning.receivers)
    least = None if meaning.least is None else _number(call.data, meaning.least)
    return ReadCall(None if is_open else _amount(call, meaning.amount), receivers, least)


def _meaning(call: ChainCall) -> CallMeaning:
    if not call.data:
        return ONLY_ETHER
    found = _by_selector().get(call.data[:SELECTOR])
    if found is None:
        raise VenueRejected(REJECTED, f"the call 0x{call.data[:SELECTOR].hex()} to {call.to} is none that this version sends")
    return found


@cache
def _by_selector() -> Mapping[bytes, CallMeaning]:
    return {selector(signature): meaning for signature, meaning in MEANINGS.items()}


def _amount(call: ChainCall, place: int | None) -> int | None:
    if place == ETHER_OF_IT:
        return call.value_wei
    if place == LIST:
        first = _number(call.data, 0) // WORD
        return sum(_number(call.data, first + 1 + index) for index in range(_number(call.data, first)))
    return None if place is None else _number(call.data, place)


def _number(data: bytes, word: int) -> int:
    return int.from_bytes(_word(data, word), "big")


def _word(data: bytes, word: int) -> bytes:
    """A word of the arguments.

    Raises:
        VenueRejected: the data end before it.
    """
    start = SELECTOR + WORD * word
    if start + WORD > len(data):
        raise VenueRejected(REJECTED, f"the call 0x{data[:SELECTOR].hex()} has {len(data)} bytes, too few for its arguments")
    return data[start : start + WORD]
