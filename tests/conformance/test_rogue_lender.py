"""A lender that calls the executor back as it likes: only the loan that the account takes itself is answered, with its own steps, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from eth_abi.abi import encode

from basis_strategy_v1.core.chain_call import ALL, CallStep, ChainCall, call_data
from basis_strategy_v1.live import trader_account
from basis_strategy_v1.live.trader_account import deploy_call, executor_address, pack_batch

from .chain import compiled
from .signed_account import SignedAccount
from .test_executor import NOT_ALLOWED, STRANGER, refused, selector_of

if TYPE_CHECKING:
    from .trader import Trader

pytestmark = pytest.mark.chain
THIEF = "0x" + "77" * 20
LENT, PAID, STOLEN = 5_000_000, 7_000_000, 400_000_000  # USDT, in base units
REFUSED = selector_of(NOT_ALLOWED)


class Loan(NamedTuple):
    """How a lender is asked for a loan, and how it calls back."""

    lender: str
    ask: bytes
    usdt: str
    account: str
    is_aave: bool

    def callback(self, units: int, lent: int = LENT, token: str | None = None) -> bytes:
        """The callback of a loan whose step pays so many units to the thief."""
        params = encode(("address", trader_account._STEPS), (token or self.usdt, trader_account._packed(self.steps(units))))
        if not self.is_aave:
            return call_data("onMorphoFlashLoan(uint256,bytes)", lent, params)
        signature = "executeOperation(address,uint256,uint256,address,bytes)"
        return call_data(signature, token or self.usdt, lent, 0, self.account, params)

    def steps(self, units: int) -> tuple[CallStep, ...]:
        return (CallStep((ChainCall(to=self.usdt, data=call_data("transfer(address,uint256)", THIEF, units)),)),)

    def batch(self, loans: int = 1) -> bytes:
        """A batch of the account that takes the loan, which pays PAID to the thief, so many times."""
        call = ChainCall(to=self.lender, data=self.ask, lent=self.usdt, loan=self.steps(PAID))
        return pack_batch((CallStep((call,)),) * loans, (), ALL, self.account)


@pytest.fixture(params=["aave", "morpho"])
def loan(trader: Trader, request: pytest.FixtureRequest) -> Loan:
    """The account is delegated to an executor both of whose lenders are rogue ones."""
    chain, own, usdt = trader.world.chain, trader.account, trader.world.deployment().tokens["USDT"]
    rogue = compiled("RogueLender.sol", "RogueLender")
    chain.rpc("anvil_autoImpersonateAccount", (True,))
    lenders = chain.deploy(rogue), chain.deploy(rogue)
    chain.rpc("anvil_autoImpersonateAccount", (False,))
    own.send(deploy_call(*lenders).to, deploy_call(*lenders).data)
    own.delegate(executor_address(*lenders))
    if request.param == "aave":
        ask = call_data("flashLoanSimple(address,address,uint256,bytes,uint16)", own.address, usdt, LENT, b"", 0)
        return Loan(lenders[0], ask, usdt, own.address, is_aave=True)
    return Loan(lenders[1], call_data("flashLoan(address,uint256,bytes)", usdt, LENT, b""), usdt, own.address, is_aave=False)


def prepare(trader: Trader, loan: Loan, *callbacks: bytes) -> None:
    trader.account.send(loan.lender, call_data("prepare(bytes[])", list(callbacks)))


def stolen(trader: Trader, loan: Loan) -> int:
    found: Any = trader.world.chain.read([(loan.usdt, "balanceOf(address)(uint256)", (THIEF,))])[0]
    return int(found)


@pytest.mark.parametrize("loans", [1, 2])
def test_each_loan_that_the_account_takes_is_answered_once(trader: Trader, loan: Loan, loans: int) -> None:
    prepare(trader, loan, loan.callback(PAID))
    trader.account.send(loan.account, loan.batch(loans))
    assert stolen(trader, loan) == loans * PAID


def test_a_lender_that_calls_back_without_a_loan_is_refused(trader: Trader, loan: Loan) -> None:
    stranger = SignedAccount(trader.world.chain, STRANGER)
    prepare(trader, loan, loan.callback(PAID))
    refused(trader, REFUSED, stranger, loan.lender, call_data("callBack(address)", loan.account))
    trader.account.send(loan.account, loan.batch())  # nor is it afterwards, when a loan was answered
    refused(trader, REFUSED, stranger, loan.lender, call_data("callBack(address)", loan.account))
    assert stolen(trader, loan) == PAID


def test_a_lender_that_calls_back_with_something_else_than_the_loan_is_refused(trader: Trader, loan: Loan) -> None:
    weth = trader.world.deployment().tokens["WETH"]
    for other in (loan.callback(STOLEN), loan.callback(PAID, lent=LENT + 1), loan.callback(PAID, token=weth)):
        prepare(trader, loan, other)
        refused(trader, REFUSED, trader.account, loan.account, loan.batch())


def test_a_lender_that_calls_back_twice_is_refused(trader: Trader, loan: Loan) -> None:
    for second in (loan.callback(PAID), loan.callback(STOLEN)):
        prepare(trader, loan, loan.callback(PAID), second)
        refused(trader, REFUSED, trader.account, loan.account, loan.batch())


def test_a_lender_that_does_not_call_back_undoes_everything(trader: Trader, loan: Loan) -> None:
    prepare(trader, loan)
    refused(trader, selector_of("NotCalledBack(address)"), trader.account, loan.account, loan.batch())


def test_the_real_pool_cannot_take_anything_by_a_callback_of_its_own(trader: Trader) -> None:
    world, account = trader.world, trader.account.address
    usdt, pool, morpho = world.deployment().tokens["USDT"], world.aave.deployment.pool, world.morpho.morpho
    for lender, is_aave in ((pool, True), (morpho, False)):
        data = Loan(lender, b"", usdt, account, is_aave).callback(STOLEN, lent=0)
        call = {"from": lender, "to": account, "data": "0x" + data.hex(), "gas": hex(2_000_000)}
        (block,) = world.chain.rpc("eth_simulateV1", ({"blockStateCalls": [{"calls": [call]}], "validation": False}, "latest"))
        unauthorized = call_data(NOT_ALLOWED, lender)
        assert [(made["status"], made["returnData"]) for made in block["calls"]] == [("0x0", "0x" + unauthorized.hex())]
