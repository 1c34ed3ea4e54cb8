"""The batch that the executor runs, as its bytes say it, and the executor's code and address."""

from __future__ import annotations

import pytest
from eth_abi.abi import decode

from basis_strategy_v1.core.chain_call import (
    ETHER,
    Allowance,
    BalanceOf,
    CallAmount,
    CallStep,
    ChainCall,
    MorphoOwed,
    StepOutput,
    ViewWord,
    call_data,
    selector,
)
from basis_strategy_v1.live import trader_account
from basis_strategy_v1.live.trader_account import (
    RUN,
    Floor,
    creation_code,
    delegate_of,
    deploy_call,
    designator,
    direct_call,
    executor_address,
    pack_batch,
    read_batch,
    runtime_code,
)

ACCOUNT, TOKEN, POOL, MORPHO = ("0x" + digits * 20 for digits in ("ac", "70", "a0", "30"))
STEPS = trader_account._STEPS
DEADLINE_S = 1_800_000_000
FIXED = ChainCall(to=POOL, data=b"\x01\x02\x03\x04" + bytes(32), value_wei=5, amount=CallAmount(9), places=(4,))


def packed(*steps: CallStep, floors: tuple[Floor, ...] = ()) -> tuple[list[object], list[object]]:
    """The steps and the floors in the bytes of a batch."""
    data = pack_batch(steps, floors, DEADLINE_S, ACCOUNT)
    assert data[:4] == selector("execute(bytes32,bytes)")
    mode, batch = decode(("bytes32", "bytes"), data[4:])
    assert mode == b"\x01" + bytes(31)
    (((to, value, run),),) = decode(("(address,uint256,bytes)[]",), batch)
    assert (to, value, run[:4]) == (ACCOUNT, 0, selector(RUN))
    found, least, deadline_s = decode((STEPS, "(address,int256)[]", "uint256"), run[4:])
    assert deadline_s == DEADLINE_S
    return list(found), list(least)


def test_a_batch_is_one_call_of_the_account_to_itself_with_all_steps_and_floors() -> None:
    steps, floors = packed(CallStep((FIXED,), (TOKEN,)), floors=(Floor(TOKEN, -7), Floor(ETHER, 2)))
    assert steps == [(((POOL, 5, FIXED.data, (), (), False, ()),), (TOKEN,))]
    assert floors == [(TOKEN, -7), (ETHER, 2)]


def test_each_kind_of_amount_is_said_as_the_contract_reads_it() -> None:
    kinds = {
        BalanceOf(TOKEN): (0, TOKEN, 0, 0, 0, b""),
        StepOutput(3, TOKEN, 2, 7): (1, TOKEN, 3, 2, 7, b""),
        ViewWord(POOL, b"view", 2): (2, POOL, 2, 0, 0, b"view"),
        MorphoOwed(bytes(range(32))): (3, ETHER, 0, 0, 0, bytes(range(32))),
    }
    for amount, said in kinds.items():
        at_run_time = CallAmount(9, amount)
        call = ChainCall(
            to=POOL, data=FIXED.data, amount=at_run_time, places=(4,), pays=True, allowance=Allowance(TOKEN, POOL, at_run_time)
        )
        ((((*_, given, places, pays, allowances),), _),), _ = packed(CallStep((call,)))
        assert (given, places, pays, allowances) == ((said,), (4,), True, ((TOKEN, POOL, 9, (said,)),))


def test_a_flash_loans_data_end_with_its_token_and_its_steps() -> None:
    loan = ChainCall(
        to=MORPHO, data=call_data("flashLoan(address,uint256,bytes)", TOKEN, 9, b""), lent=TOKEN, loan=(CallStep((FIXED,)),)
    )  # fmt: skip
    ((((_, _, data, *_),), _),), _ = packed(CallStep((loan,)))
    token, units, inner = decode(("address", "uint256", "bytes"), data[4:])
    assert (token, units) == (TOKEN, 9)
    assert decode(("address", STEPS), inner) == (TOKEN, ((((POOL, 5, FIXED.data, (), (), False, ()),), ()),))


def test_only_a_single_call_that_waits_for_nothing_needs_no_executor() -> None:
    open_ = ChainCall(to=POOL, amount=CallAmount(9, BalanceOf(ETHER)), pays=True)
    assert direct_call((CallStep((FIXED,)),)) == FIXED
    assert [direct_call(steps) for steps in ((CallStep((FIXED, FIXED)),), (CallStep((FIXED,)),) * 2, (CallStep((open_,)),))] == [None] * 3


def test_the_code_knows_its_two_lenders_and_has_the_same_address_on_every_chain() -> None:
    code = runtime_code(POOL, MORPHO)
    assert (bytes.fromhex(POOL[2:]) in code, bytes.fromhex(MORPHO[2:]) in code) == (True, True)
    assert code != runtime_code(MORPHO, POOL) and len(code) == len(runtime_code(ETHER, ETHER))
    assert creation_code(POOL, MORPHO)[-64:] == bytes(12) + bytes.fromhex(POOL[2:]) + bytes(12) + bytes.fromhex(MORPHO[2:])
    call = deploy_call(POOL, MORPHO)
    assert (call.to, call.data) == (trader_account.CREATE2_DEPLOYER, bytes(32) + creation_code(POOL, MORPHO))
    assert executor_address(POOL, MORPHO) != executor_address(MORPHO, POOL)


def test_a_delegated_account_names_the_contract_in_its_code() -> None:
    executor = executor_address(POOL, MORPHO)
    assert delegate_of(designator(executor)) == executor
    assert [delegate_of(code) for code in (b"", b"\x00" * 23, designator(executor) + b"\x00")] == [None, None, None]


# Read back from its bytes.


def every_kind_of_step() -> tuple[CallStep, ...]:
    """Steps with everything that a batch can hold."""
    kinds = BalanceOf(TOKEN), StepOutput(0, TOKEN, 2, 7), ViewWord(POOL, b"view", 2), MorphoOwed(bytes(32))
    calls = []
    for kind in kinds:
        amount = CallAmount(0, kind)
        given = Allowance(TOKEN, POOL, amount)
        calls.append(ChainCall(to=POOL, data=FIXED.data, amount=amount, places=(4,), pays=True, allowance=given))
    fixed = ChainCall(to=POOL, data=FIXED.data, value_wei=5, allowance=Allowance(TOKEN, POOL, CallAmount(9)))
    return CallStep(tuple(calls), (TOKEN,)), CallStep((fixed,))


def test_what_was_packed_is_read_back_from_the_bytes_with_the_steps_of_its_loans() -> None:
    steps = every_kind_of_step()
    signatures = {
        "flashLoan(address,uint256,bytes)": (TOKEN, 9, b""),
        "flashLoanSimple(address,address,uint256,bytes,uint16)": (ACCOUNT, TOKEN, 9, b"", 0),
    }
    loans = tuple(ChainCall(to=MORPHO, data=call_data(name, *given), lent=TOKEN, loan=steps) for name, given in signatures.items())
    batch = pack_batch((*steps, CallStep(loans)), (), DEADLINE_S, ACCOUNT)
    *plain, of_loans = read_batch(batch)
    assert tuple(plain) == steps
    assert [(call.lent, call.loan) for call in of_loans.calls] == [(TOKEN, steps)] * 2
    assert all(call.data[:4] == loan.data[:4] and len(call.data) > len(loan.data) for call, loan in zip(of_loans.calls, loans, strict=True))


def test_bytes_that_are_no_batch_are_refused() -> None:
    batch = pack_batch(every_kind_of_step(), (), DEADLINE_S, ACCOUNT)
    other_run = batch.replace(selector(RUN), b"\x01\x02\x03\x04")
    for data in (b"", batch[:200], b"\x00" + batch[1:], other_run, batch[:4] + b"\x02" + batch[5:]):
        with pytest.raises(ValueError, match=r"^no batch of the executor: "):
            read_batch(data)
