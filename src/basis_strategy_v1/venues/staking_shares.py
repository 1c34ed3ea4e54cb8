"""Staked ether as shares of a pool, in the contracts' own integers: Lido (stETH, wstETH) and ether.fi (eETH, weETH).

All amounts are wei. stETH and eETH show `shares * pooled // total`; wstETH and weETH are the shares themselves. Every division
floors, which is why a transfer may arrive a wei or two short. What the contracts refuse raises `Reverted`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from basis_strategy_v1.venues.reverted import Reverted

if TYPE_CHECKING:
    from decimal import Decimal

RATE_UNIT = 10**27  # share rates of the withdrawal queues
ONE_SHARE = 10**18
LIDO_MIN_REQUEST_WEI = 100
LIDO_MAX_REQUEST_WEI = 1_000 * 10**18
ETHERFI_MAX_REQUEST_WEI = (1 << 96) - 1


class SharePool(NamedTuple):
    """The whole protocol: ether it holds for its stakers, and the shares of it."""

    pooled_wei: int
    total_shares: int


class Protocol(Enum):
    """Whose rules a withdrawal request follows."""

    LIDO = "lido"
    ETHERFI = "etherfi"


def pool_from_rate(eth_per_share: Decimal) -> SharePool:
    """A pool at exactly this rate (ETH per wstETH or weETH), for data that have the rate alone."""
    pooled, shares = eth_per_share.as_integer_ratio()
    if pooled <= 0:
        raise ValueError(f"ETH per share must be positive, got {eth_per_share}")
    return SharePool(pooled, shares)


def shares_for(pool: SharePool, amount_wei: int) -> int:
    """Shares that an amount of ether (or stETH, eETH) is worth: `getSharesByPooledEth`, `sharesForAmount`."""
    if not pool.pooled_wei:
        raise Reverted("the staking pool is empty")
    return amount_wei * pool.total_shares // pool.pooled_wei


def amount_for(pool: SharePool, shares: int) -> int:
    """Wei of ether (and of stETH, eETH) that shares are worth: `getPooledEthByShares`, `amountForShare`."""
    return shares * pool.pooled_wei // pool.total_shares if pool.total_shares else 0


def share_rate(pool: SharePool) -> int:
    """Wei of ether per share * 1e27, floored: what a withdrawal queue is finalised at."""
    return pool.pooled_wei * RATE_UNIT // pool.total_shares


def eth_per_token_wei(pool: SharePool) -> int:
    """Wei of ether per whole wstETH or weETH: `stEthPerToken`, `getRate`."""
    return amount_for(pool, ONE_SHARE)


# Staking


class NewShares(NamedTuple):
    pool: SharePool
    shares: int


def submit(pool: SharePool, amount_wei: int, protocol: Protocol) -> NewShares:
    """Stake ether: stETH by `submit`, eETH by `deposit`. A pool without shares gives one share per wei.

    Raises:
        Reverted: the amount is 0, or (ether.fi; Lido keeps the dust) worth less than a share.
    """
    if amount_wei <= 0:
        raise Reverted("ZERO_DEPOSIT: the amount to stake is 0")
    shares = shares_for(pool, amount_wei) if pool.total_shares else amount_wei
    if not shares and protocol is Protocol.ETHERFI:
        raise Reverted(f"{amount_wei} wei are worth less than one share")
    return NewShares(SharePool(pool.pooled_wei + amount_wei, pool.total_shares + shares), shares)


def report(pool: SharePool, pooled_wei: int) -> SharePool:
    """The pool after its oracle reported rewards or a slashing: all holders' balances move with it."""
    return SharePool(pooled_wei, pool.total_shares)


def pay_out(pool: SharePool, amount_wei: int, shares: int) -> SharePool:
    """The pool after withdrawals took ether and shares out of it."""
    if amount_wei > pool.pooled_wei or shares > pool.total_shares:
        raise Reverted(f"{amount_wei} wei and {shares} shares are more than the pool's {pool.pooled_wei} and {pool.total_shares}")
    return SharePool(pool.pooled_wei - amount_wei, pool.total_shares - shares)


def shares_burned_for(pool: SharePool, amount_wei: int) -> int:
    """Shares that ether.fi burns when it pays out an amount, rounded up: `sharesForWithdrawalAmount`."""
    return -(-amount_wei * pool.total_shares // pool.pooled_wei) if pool.pooled_wei else 0


# A holder's side: all moves are of shares


def transfer_shares(pool: SharePool, held_shares: int, amount_wei: int) -> int:
    """Shares that a transfer of `amount_wei` stETH or eETH moves; the receiver may see a wei or two less than was named.

    Raises:
        Reverted: the holder has fewer.
    """
    shares = shares_for(pool, amount_wei)
    if shares > held_shares:
        raise Reverted(f"BALANCE_EXCEEDED: {amount_wei} wei are {shares} shares, held are {held_shares}")
    return shares


def wrap(pool: SharePool, held_shares: int, amount_wei: int) -> int:
    """wstETH or weETH minted for `amount_wei` stETH or eETH: as many wei as shares move into the wrapper.

    Raises:
        Reverted: the amount is 0 or more than is held.
    """
    if amount_wei <= 0:
        raise Reverted("the amount to wrap is 0")
    return transfer_shares(pool, held_shares, amount_wei)


class Unwrapped(NamedTuple):
    """What unwrapping gives: the contract answers `amount_wei`, the holder gets `shares`, which may be worth a wei less."""

    amount_wei: int
    shares: int


def unwrap(pool: SharePool, held_wrapped: int, wrapped_wei: int) -> Unwrapped:
    """Turn wstETH or weETH back. The wrapper converts to wei and back: up to a share stays in it.

    Raises:
        Reverted: the amount is 0 or more than is held.
    """
    if wrapped_wei <= 0:
        raise Reverted("the amount to unwrap is 0")
    if wrapped_wei > held_wrapped:
        raise Reverted(f"{wrapped_wei} wei to unwrap, held are {held_wrapped}")
    amount_wei = amount_for(pool, wrapped_wei)
    return Unwrapped(amount_wei, shares_for(pool, amount_wei))


# Withdrawal queues


class WithdrawalRequest(msgspec.Struct, frozen=True):
    """One request. `rate_e27` is the share rate it was finalised at, None while it waits."""

    protocol: Protocol
    amount_wei: int
    shares: int
    requested_at: int
    rate_e27: int | None = None
    claimed: bool = False


def request_withdrawal(
    pool: SharePool, held_shares: int, amount_wei: int, *, protocol: Protocol, requested_at: int
) -> tuple[int, WithdrawalRequest]:
    """Ask for `amount_wei` of stETH or eETH back: (shares that leave the holder, the request).

    `requested_at` is in whatever unit the caller's clock has. Who has wstETH or weETH unwraps first.

    Raises:
        Reverted: more than is held, or beyond the protocol's limits (Lido: 100 wei to 1,000 ether a request).
    """
    lowest, highest = request_limits(protocol)
    if not lowest <= amount_wei <= highest:
        raise Reverted(f"a request must be of {lowest} to {highest} wei, got {amount_wei}")
    shares = transfer_shares(pool, held_shares, amount_wei)
    if not shares:
        raise Reverted(f"{amount_wei} wei are worth less than one share")
    return shares, WithdrawalRequest(protocol, amount_wei, shares, requested_at)


def request_limits(protocol: Protocol) -> tuple[int, int]:
    """The least and the most wei of one request; more is asked for by several."""
    return (LIDO_MIN_REQUEST_WEI, LIDO_MAX_REQUEST_WEI) if protocol is Protocol.LIDO else (1, ETHERFI_MAX_REQUEST_WEI)


def split_request(protocol: Protocol, amount_wei: int) -> tuple[int, ...]:
    """The amounts of the fewest requests that ask for `amount_wei`, all within the protocol's limits but a rest below the least."""
    lowest, highest = request_limits(protocol)
    whole, rest = divmod(amount_wei, highest)
    parts = [highest] * whole + [rest] * (rest > 0)
    if whole and 0 < rest < lowest:
        parts[-2:] = [highest - lowest, rest + lowest]
    return tuple(parts)


def finalise(request: WithdrawalRequest, rate_e27: int) -> WithdrawalRequest:
    """The request, ready to be claimed, at the `share_rate` of that moment."""
    if request.rate_e27 is not None:
        raise Reverted("the request is finalised already")
    return msgspec.structs.replace(request, rate_e27=rate_e27)


def claimable(request: WithdrawalRequest, pool: SharePool) -> int:
    """Wei of ether to be claimed: what was asked for, or what its shares are worth where that is less; rewards are not paid.

    0 while the request waits and after the claim. Lido fixes the worth at finalisation, ether.fi takes it at the claim (`pool`).
    """
    if request.rate_e27 is None or request.claimed:
        return 0
    if request.protocol is Protocol.ETHERFI:
        return min(request.amount_wei, amount_for(pool, request.shares))
    if request.amount_wei * RATE_UNIT // request.shares > request.rate_e27:  # the queue compares rates, not amounts
        return request.shares * request.rate_e27 // RATE_UNIT
    return request.amount_wei


def claim(request: WithdrawalRequest, pool: SharePool) -> tuple[int, WithdrawalRequest]:
    """(wei of ether paid out, the request as claimed).

    Raises:
        Reverted: it waits still, or was claimed before.
    """
    if request.claimed:
        raise Reverted("the request is claimed already")
    if request.rate_e27 is None:
        raise Reverted("the request is not finalised yet")
    return claimable(request, pool), msgspec.structs.replace(request, claimed=True)
