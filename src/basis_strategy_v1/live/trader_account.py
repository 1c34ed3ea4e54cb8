"""The executor: the code of `contracts/TraderAccount.sol` under the trader's own account, and the batch that it runs.

The account is the trader's address itself: by EIP-7702 it is given the executor's code, and a transaction from it to itself runs a batch
(ERC-7821). The code has no storage and no owner, so that one deployment serves everybody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from basis_strategy_v1.core.chain_call import (
    SELECTOR,
    WORD,
    Allowance,
    BalanceOf,
    CallAmount,
    CallStep,
    ChainCall,
    MorphoOwed,
    RunTimeAmount,
    StepOutput,
    ViewWord,
    call_data,
    selector,
)

# ERC-7821: one batch, which reverts as a whole.
BATCH_MODE = b"\x01" + bytes(31)
DELEGATED = bytes.fromhex("ef0100")
# The contract at which, on every chain that has it, a code gets the same address (Arachnid's proxy).
CREATE2_DEPLOYER = "0x4e59b44847b379578588920cA78FbF26c0B4956C"
SALT = bytes(32)
ARTIFACT = "trader_account.json"

_AMOUNT = "(uint8,address,uint256,uint256,uint256,bytes)"
_ALLOWANCE = f"(address,address,uint256,{_AMOUNT}[])"
_CALL = f"(address,uint256,bytes,{_AMOUNT}[],uint256[],bool,{_ALLOWANCE}[])"
_STEPS = f"({_CALL}[],address[])[]"
EXECUTE = "execute(bytes32,bytes)"
FLASH_LOANS = {"flashLoanSimple": ("address", "address", "uint256", "bytes", "uint16"), "flashLoan": ("address", "uint256", "bytes")}
RUN = f"run({_STEPS},(address,int256)[],uint256)"
_BALANCE, _OUTPUT, _VIEW, _MORPHO_OWED = range(4)
NOBODY = "0x" + "00" * 20


class Floor(NamedTuple):
    """By how many base units the balance of a token (its address; `ETHER`) may be more, or less, at the end than at the beginning."""

    token: str
    change: int


def pack_batch(steps: Sequence[CallStep], floors: Sequence[Floor], deadline_s: int, account: str) -> bytes:
    """The data of a transaction of the account to itself, which runs all steps or none. Pure."""
    from eth_abi.abi import encode

    run = call_data(RUN, _packed(steps), list(map(tuple, floors)), deadline_s)
    batch = encode(("(address,uint256,bytes)[]",), ([(account, 0, run)],))
    return call_data(EXECUTE, BATCH_MODE, batch)


def direct_call(steps: Sequence[CallStep]) -> ChainCall | None:
    """The one call of the steps, where it can be sent by itself, without an executor; None where it cannot."""
    calls = [call for step in steps for call in step.calls]
    return calls[0] if len(calls) == 1 and calls[0].is_fixed() else None


def _packed(steps: Sequence[CallStep]) -> list[tuple[Any, ...]]:
    return [([_call(call) for call in step.calls], list(step.measured)) for step in steps]


def _call(call: ChainCall) -> tuple[Any, ...]:
    amount = [] if call.amount is None else _amount(call.amount)
    given = call.allowance
    allowances = [] if given is None else [(given.token, given.spender, given.amount.units, _amount(given.amount))]
    places = list(call.places) if amount else []
    return (call.to, call.value_wei, _data(call), amount, places, bool(amount) and call.pays, allowances)


def _data(call: ChainCall) -> bytes:
    """The call's data; a flash loan's ends with the token and the steps, as the callback reads them."""
    if call.lent is None:
        return call.data
    from eth_abi.abi import encode

    inner = encode(("address", _STEPS), (call.lent, _packed(call.loan)))
    return call.data[:-WORD] + len(inner).to_bytes(WORD, "big") + inner


def _amount(amount: CallAmount) -> list[tuple[Any, ...]]:
    return [] if amount.at_run_time is None else [_run_time(amount.at_run_time)]


def _run_time(amount: RunTimeAmount) -> tuple[Any, ...]:
    if isinstance(amount, BalanceOf):
        return (_BALANCE, amount.token, 0, 0, 0, b"")
    if isinstance(amount, StepOutput):
        return (_OUTPUT, amount.token, amount.step, amount.numerator, amount.denominator, b"")
    if isinstance(amount, MorphoOwed):
        return (_MORPHO_OWED, NOBODY, 0, 0, 0, amount.market_id)
    return (_VIEW, amount.contract, amount.place, 0, 0, amount.data)


# Read back.


def read_batch(data: bytes) -> tuple[CallStep, ...]:
    """The steps in the bytes of a batch. What was simulated in place of an open amount is not in them: its units are 0 here.

    Raises:
        ValueError: it is no batch of this executor.
    """
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    try:
        mode, batch = decode(("bytes32", "bytes"), data[SELECTOR:])
        (((_, _, run),),) = decode(("(address,uint256,bytes)[]",), batch)
        steps, _, _ = decode((_STEPS, "(address,int256)[]", "uint256"), run[SELECTOR:])
    except (DecodingError, ValueError) as fault:
        raise ValueError(f"no batch of the executor: {fault}") from None
    if (data[:SELECTOR], mode, run[:SELECTOR]) != (selector(EXECUTE), BATCH_MODE, selector(RUN)):
        raise ValueError("no batch of the executor: it is another call")
    return tuple(map(_step_read, steps))


def _step_read(row: Any) -> CallStep:
    calls, measured = row
    return CallStep(tuple(map(_call_read, calls)), measured)


def _call_read(row: Any) -> ChainCall:
    to, value_wei, data, amount, places, pays, allowances = row
    lent, loan = _loan_read(data)
    given = [Allowance(token, spender, CallAmount(units, _run_time_read(open_))) for token, spender, units, open_ in allowances]
    return ChainCall(
        to=to,
        data=data,
        value_wei=value_wei,
        amount=CallAmount(0, _run_time_read(amount)) if amount else None,
        places=places,
        pays=pays,
        allowance=given[0] if given else None,
        lent=lent,
        loan=loan,
    )


def _loan_read(data: bytes) -> tuple[str | None, tuple[CallStep, ...]]:
    """The token and the steps of a flash loan; None of another call."""
    from eth_abi.abi import decode

    types = next((types for name, types in FLASH_LOANS.items() if data[:SELECTOR] == selector(f"{name}({','.join(types)})")), None)
    if types is None:
        return None, ()
    inner = decode(types, data[SELECTOR:])[types.index("bytes")]
    token, steps = decode(("address", _STEPS), inner)
    return token, tuple(map(_step_read, steps))


def _run_time_read(amounts: Sequence[Any]) -> RunTimeAmount | None:
    if not amounts:
        return None
    kind, source, place, numerator, denominator, data = amounts[0]
    if kind == _BALANCE:
        return BalanceOf(source)
    if kind == _OUTPUT:
        return StepOutput(place, source, numerator, denominator)
    return MorphoOwed(data) if kind == _MORPHO_OWED else ViewWord(source, data, place)


# Its code.


@cache
def _artifact() -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads(files(__package__).joinpath(ARTIFACT).read_text())
    return found


def creation_code(aave_pool: str, morpho: str) -> bytes:
    """What a transaction creates the executor with; the two are the lenders that may call it back."""
    from eth_abi.abi import encode

    return bytes.fromhex(_artifact()["bytecode"]) + encode(("address", "address"), (aave_pool, morpho))


def runtime_code(aave_pool: str, morpho: str) -> bytes:
    """The code that the executor has once it is created."""
    code = bytearray.fromhex(_artifact()["runtime"])
    for name, address in (("aavePool", aave_pool), ("morpho", morpho)):
        for place in _artifact()["immutables"][name]:
            code[place : place + WORD] = int(address, 16).to_bytes(WORD, "big")
    return bytes(code)


def executor_address(aave_pool: str, morpho: str) -> str:
    """Where `deploy_call` puts the executor."""
    from eth_utils.address import to_checksum_address
    from eth_utils.crypto import keccak

    parts = b"\xff", bytes.fromhex(CREATE2_DEPLOYER[2:]), SALT, keccak(creation_code(aave_pool, morpho))
    return to_checksum_address(keccak(b"".join(parts))[12:])


def deploy_call(aave_pool: str, morpho: str) -> ChainCall:
    """The call that creates the executor, at the same address on every chain; a second one reverts."""
    return ChainCall(to=CREATE2_DEPLOYER, data=SALT + creation_code(aave_pool, morpho))


def delegate_of(code: bytes) -> str | None:
    """The address to which an account with this code is delegated; None: to none."""
    from eth_utils.address import to_checksum_address

    is_delegated = len(code) == len(DELEGATED) + 20 and code.startswith(DELEGATED)
    return to_checksum_address(code[len(DELEGATED) :]) if is_delegated else None


def designator(executor: str) -> bytes:
    """The code of an account that is delegated to the executor."""
    return DELEGATED + bytes.fromhex(executor[2:])
