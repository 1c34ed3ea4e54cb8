"""The calls of Aave v3's pool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from basis_strategy_v1.core.chain_call import ALL, BalanceOf, CallAmount, ChainCall, argument, call_data
from basis_strategy_v1.venues.venue import ONCHAIN, reject
from basis_strategy_v1.venues.wallet_calls import held, paying, token_of

if TYPE_CHECKING:
    from basis_strategy_v1.core.chain_call import Deployment, EncodeAction
    from basis_strategy_v1.venues.aave_settings import Settings

VARIABLE_RATE, REFERRAL = 2, 0


class AaveContracts(Struct, frozen=True, kw_only=True):
    """The pool, and each reserve's variable debt token, by the name of its underlying: they are read from the pool."""

    pool: str = "0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2"
    debt_tokens: Mapping[str, str] = {}

    def addresses(self) -> tuple[str, ...]:
        return (self.pool,)

    def encode(self, made: EncodeAction, at: Deployment) -> tuple[ChainCall, ...]:
        """The pool's own call of each action. What is repaid of all is read from the debt token when the call is made."""
        action = made.action
        if action.action == "set_emode":
            return (ChainCall(to=self.pool, data=call_data("setUserEMode(uint8)", action.category or 0)),)
        make = {"supply": _supply, "withdraw": _withdraw, "borrow": _borrow, "repay": _repay, "flash_loan": _flash_loan}[action.action]
        return (make(made, self, at),)


def contracts(settings: Settings) -> AaveContracts:
    """Those of the settings, else Ethereum mainnet's."""
    return AaveContracts() if settings.pool is None else AaveContracts(pool=settings.pool)


def _supply(made: EncodeAction, here: AaveContracts, at: Deployment) -> ChainCall:
    token = made.action.token
    amount = made.amount(held(token, at))
    data = call_data("supply(address,uint256,address,uint16)", token_of(token, at), amount.units, at.account, REFERRAL)
    return ChainCall(to=here.pool, data=data, amount=amount, places=(argument(1),), allowance=paying(token, here.pool, amount, at))


def _withdraw(made: EncodeAction, here: AaveContracts, at: Deployment) -> ChainCall:
    amount = CallAmount(ALL) if made.is_all else made.amount()
    data = call_data("withdraw(address,uint256,address)", token_of(made.action.token, at), amount.units, at.account)
    return ChainCall(to=here.pool, data=data, amount=amount, places=(argument(1),))


def _borrow(made: EncodeAction, here: AaveContracts, at: Deployment) -> ChainCall:
    amount = made.amount()
    arguments = (token_of(made.action.token, at), amount.units, VARIABLE_RATE, REFERRAL, at.account)
    data = call_data("borrow(address,uint256,uint256,uint16,address)", *arguments)
    return ChainCall(to=here.pool, data=data, amount=amount, places=(argument(1),))


def _repay(made: EncodeAction, here: AaveContracts, at: Deployment) -> ChainCall:
    token = made.action.token
    owed = made.amount(BalanceOf(_debt_token(made, here)) if made.is_all else None)
    amount = CallAmount(ALL) if made.is_all else owed
    data = call_data("repay(address,uint256,uint256,address)", token_of(token, at), amount.units, VARIABLE_RATE, at.account)
    return ChainCall(to=here.pool, data=data, amount=amount, places=(argument(1),), allowance=paying(token, here.pool, owed, at))


def _debt_token(made: EncodeAction, here: AaveContracts) -> str:
    action = made.action
    if action.token not in here.debt_tokens:
        reject(ONCHAIN, f"{action.protocol} repay of all {action.token}: the address of its debt token was not read from the pool")
    return here.debt_tokens[action.token]


def _flash_loan(made: EncodeAction, here: AaveContracts, at: Deployment) -> ChainCall:
    """The pool calls the account back and takes the loan and its premium afterwards."""
    token = token_of(made.action.token, at)
    arguments = (at.account, token, made.units, b"", REFERRAL)
    return ChainCall(
        to=here.pool,
        data=call_data("flashLoanSimple(address,address,uint256,bytes,uint16)", *arguments),
        amount=made.amount(),
        places=(argument(2),),
        lent=token,
    )


def with_debt_tokens(here: AaveContracts, debt_tokens: Mapping[str, str]) -> AaveContracts:
    """The contracts with the debt tokens that were read from the pool, by the name of the underlying."""
    return structs.replace(here, debt_tokens=debt_tokens)
