"""The calls of Lido and ether.fi: stake, wrap, ask for ether back, claim it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from basis_strategy_v1.core.chain_call import ETHER, CallAmount, ChainCall, ViewWord, argument, call_data
from basis_strategy_v1.core.tokens import STAKED_AT, WETH
from basis_strategy_v1.venues.venue import ONCHAIN, reject
from basis_strategy_v1.venues.wallet_calls import held, paying, token_of, unwrap_call

if TYPE_CHECKING:
    from basis_strategy_v1.core.chain_call import Deployment, EncodeAction
    from basis_strategy_v1.venues.staking import Settings

NO_REFERRAL = "0x" + "00" * 20
LARGEST_STETH = 1_000 * 10**18  # of one request
LARGEST_WSTETH = 700 * 10**18  # worth less than that as long as a share is worth less than 1.42


class StakingContracts(Struct, frozen=True, kw_only=True):
    """What both protocols have: the queue of requests, and tokens that are those of the deployment."""

    protocol: str
    queue: str

    @property
    def rebasing(self) -> str:
        name = STAKED_AT[self.protocol].rebasing
        assert name is not None
        return name

    @property
    def wrapped(self) -> str:
        return STAKED_AT[self.protocol].wrapped

    def encode(self, made: EncodeAction, at: Deployment) -> tuple[ChainCall, ...]:
        make = {"stake": self._stake_any, "wrap": self._wrap, "unwrap": self._unwrap, "unstake": self.unstake, "claim": self._claim}
        return make[made.action.action](made, at)

    def _stake_any(self, made: EncodeAction, at: Deployment) -> tuple[ChainCall, ...]:
        """Wrapped ether is unwrapped first."""
        if made.action.token != WETH:
            return self.stake(made, made.amount(held("ETH", at)), at)
        amount = made.amount(held(WETH, at))
        ether = CallAmount(amount.units, None if made.is_number else made.so_far(ETHER))
        return (unwrap_call(amount, at), *self.stake(made, ether, at))

    def stake(self, made: EncodeAction, amount: CallAmount, at: Deployment) -> tuple[ChainCall, ...]:
        """The calls that stake so much ether."""
        raise NotImplementedError

    def unstake(self, made: EncodeAction, at: Deployment) -> tuple[ChainCall, ...]:
        """The calls that ask for ether."""
        raise NotImplementedError

    def claim(self, request_id: int) -> ChainCall:
        raise NotImplementedError

    def _claim(self, made: EncodeAction, at: Deployment) -> tuple[ChainCall, ...]:
        ids = numbers_of(made.action.request_id or "")
        if not ids:
            name = made.action.protocol
            reject(ONCHAIN, f"{name} claim: request_id must have the queue's numbers, such as {name}-81234, got {made.action.request_id}")
        return tuple(map(self.claim, ids))

    def _wrap(self, made: EncodeAction, at: Deployment) -> tuple[ChainCall, ...]:
        amount, wrapper = made.amount(held(self.rebasing, at)), token_of(self.wrapped, at)
        data, allowance = call_data("wrap(uint256)", amount.units), paying(self.rebasing, wrapper, amount, at)
        return (ChainCall(to=wrapper, data=data, amount=amount, places=(argument(0),), allowance=allowance),)

    def _unwrap(self, made: EncodeAction, at: Deployment) -> tuple[ChainCall, ...]:
        amount = made.amount(held(self.wrapped, at))
        data = call_data("unwrap(uint256)", amount.units)
        return (ChainCall(to=token_of(self.wrapped, at), data=data, amount=amount, places=(argument(0),)),)


class LidoContracts(StakingContracts, frozen=True, kw_only=True):
    protocol: str = "lido"
    queue: str = "0x889edC2eDab5f40e902b864aD4d7AdE8E412F9B1"

    def addresses(self) -> tuple[str, ...]:
        return (self.queue,)

    def stake(self, made: EncodeAction, amount: CallAmount, at: Deployment) -> tuple[ChainCall, ...]:
        """Ether that is sent to the wrapper is staked and wrapped."""
        if made.action.token_out == self.wrapped:
            return (ChainCall(to=token_of(self.wrapped, at), value_wei=amount.units, amount=amount, pays=True),)
        data = call_data("submit(address)", NO_REFERRAL)
        return (ChainCall(to=token_of(self.rebasing, at), data=data, value_wei=amount.units, amount=amount, pays=True),)

    def unstake(self, made: EncodeAction, at: Deployment) -> tuple[ChainCall, ...]:
        """One request, or as many as its largest asks for; several have the amounts that were simulated."""
        token = made.action.token
        largest = LARGEST_WSTETH if token == self.wrapped else LARGEST_STETH
        parts = [largest] * (made.units // largest)
        parts += [made.units % largest] if made.units % largest else []
        amount = made.amount(held(token, at)) if len(parts) == 1 else None
        name = "requestWithdrawalsWstETH" if token == self.wrapped else "requestWithdrawals"
        data = call_data(f"{name}(uint256[],address)", parts, at.account)
        allowance = paying(token, self.queue, amount or CallAmount(made.units), at)
        return (ChainCall(to=self.queue, data=data, amount=amount, places=(argument(3),), allowance=allowance),)

    def claim(self, request_id: int) -> ChainCall:
        return ChainCall(to=self.queue, data=call_data("claimWithdrawal(uint256)", request_id))


class EtherfiContracts(StakingContracts, frozen=True, kw_only=True):
    """`pool` takes ether, and requests for it; `adapter` takes ether and gives weETH; `queue` pays requests."""

    protocol: str = "etherfi"
    pool: str = "0x308861A430be4cce5502d0A12724771Fc6DaF216"
    adapter: str = "0xcfC6d9Bd7411962Bfe7145451A7EF71A24b6A7A2"
    queue: str = "0x7d5706f6ef3F89B3951E23e557CDFBC3239D4E2c"

    def addresses(self) -> tuple[str, ...]:
        return (self.pool, self.adapter, self.queue)

    def stake(self, made: EncodeAction, amount: CallAmount, at: Deployment) -> tuple[ChainCall, ...]:
        """Ether for eETH, or through the adapter for weETH."""
        to, data = self.pool, call_data("deposit()")
        if made.action.token_out == self.wrapped:
            to, data = self.adapter, call_data("depositETHForWeETH(address)", NO_REFERRAL)
        return (ChainCall(to=to, data=data, value_wei=amount.units, amount=amount, pays=True),)

    def unstake(self, made: EncodeAction, at: Deployment) -> tuple[ChainCall, ...]:
        """weETH is unwrapped first; what it is worth is read where the amount is a number, else it is what came."""
        if made.action.token != self.wrapped:
            return (self._request(made.amount(held(self.rebasing, at)), at),)
        wrapper, token = token_of(self.wrapped, at), token_of(self.rebasing, at)
        worth = ViewWord(wrapper, call_data("getEETHByWeETH(uint256)", made.units))
        return (*self._unwrap(made, at), self._request(CallAmount(0, worth if made.is_number else made.so_far(token)), at))

    def _request(self, amount: CallAmount, at: Deployment) -> ChainCall:
        data = call_data("requestWithdraw(address,uint256)", at.account, amount.units)
        allowance = paying(self.rebasing, self.pool, amount, at)
        return ChainCall(to=self.pool, data=data, amount=amount, places=(argument(1),), allowance=allowance)

    def claim(self, request_id: int) -> ChainCall:
        return ChainCall(to=self.queue, data=call_data("claimWithdraw(uint256)", request_id))


def numbers_of(request_id: str) -> tuple[int, ...]:
    """The queue's own numbers in a request id: `lido-81234`, of several requests `lido-81234-81235`."""
    found = re.fullmatch(r"(?:[A-Za-z][A-Za-z0-9_]*-)?([0-9]+(?:-[0-9]+)*)", request_id)
    return tuple(map(int, found[1].split("-"))) if found else ()


def lido_contracts(settings: Settings) -> LidoContracts:
    """Those of the settings, else Ethereum mainnet's."""
    return LidoContracts() if settings.queue_address is None else LidoContracts(queue=settings.queue_address)


def etherfi_contracts(settings: Settings) -> EtherfiContracts:
    """Those of the settings, else Ethereum mainnet's."""
    own = {"pool": settings.pool, "adapter": settings.adapter, "queue": settings.queue_address}
    return EtherfiContracts(**{name: address for name, address in own.items() if address is not None})
