"""Shares of staked ether: every floor, the wei that it loses, and the withdrawal queues."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.venues.reverted import Reverted
from basis_strategy_v1.venues.staking_shares import (
    ETHERFI_MAX_REQUEST_WEI,
    LIDO_MAX_REQUEST_WEI,
    RATE_UNIT,
    Protocol,
    SharePool,
    Unwrapped,
    WithdrawalRequest,
    amount_for,
    claim,
    claimable,
    eth_per_token_wei,
    finalise,
    pay_out,
    pool_from_rate,
    report,
    request_withdrawal,
    share_rate,
    shares_burned_for,
    shares_for,
    split_request,
    submit,
    transfer_shares,
    unwrap,
    wrap,
)

ETHER = 10**18
POOL = SharePool(1_152_739 * ETHER + 7, 1_000_000 * ETHER)
MUCH = 10**24
LIDO, ETHERFI = Protocol.LIDO, Protocol.ETHERFI


def asked(amount_wei: int, protocol: Protocol = LIDO, pool: SharePool = POOL) -> WithdrawalRequest:
    _, request = request_withdrawal(pool, MUCH, amount_wei, protocol=protocol, requested_at=0)
    return request


def test_staking_adds_ether_and_floored_shares() -> None:
    staked = submit(POOL, 10 * ETHER, LIDO)
    assert staked == (
        SharePool(POOL.pooled_wei + 10 * ETHER, POOL.total_shares + staked.shares),
        10 * ETHER * POOL.total_shares // POOL.pooled_wei,
    )


def test_the_first_stake_gives_a_share_a_wei() -> None:
    assert submit(SharePool(0, 0), 5, ETHERFI) == (SharePool(5, 5), 5)


def test_a_wei_worth_less_than_a_share_is_kept_by_lido_and_refused_by_etherfi() -> None:
    assert submit(POOL, 1, LIDO) == (SharePool(POOL.pooled_wei + 1, POOL.total_shares), 0)
    with pytest.raises(Reverted, match="1 wei are worth less than one share"):
        submit(POOL, 1, ETHERFI)


def test_a_transfer_of_one_ether_arrives_one_wei_short() -> None:
    assert amount_for(POOL, transfer_shares(POOL, MUCH, ETHER)) == ETHER - 1


@given(st.integers(1, 10**24), st.integers(1, 10**24), st.integers(0, 10**24))
def test_no_turn_through_shares_makes_a_wei(pooled: int, shares: int, amount: int) -> None:
    pool = SharePool(pooled, shares)
    assert amount_for(pool, shares_for(pool, amount)) <= amount
    assert shares_for(pool, amount_for(pool, amount)) <= amount


@given(st.integers(1, 10**24))
def test_at_a_rate_between_one_and_two_a_transfer_loses_two_wei_at_most(amount: int) -> None:
    assert amount - amount_for(POOL, shares_for(POOL, amount)) in {0, 1, 2}


def test_rewards_raise_every_balance_and_no_share() -> None:
    after = report(POOL, POOL.pooled_wei * 2)
    assert amount_for(after, ETHER) == 2 * POOL.pooled_wei * ETHER // POOL.total_shares
    assert after.total_shares == POOL.total_shares


def test_wrapping_moves_as_many_shares_as_it_mints() -> None:
    assert wrap(POOL, MUCH, ETHER) == shares_for(POOL, ETHER)


def test_unwrapping_says_more_than_it_gives_by_up_to_a_share() -> None:
    amount = amount_for(POOL, ETHER)
    assert unwrap(POOL, ETHER, ETHER) == Unwrapped(amount, ETHER - 1)
    assert amount == eth_per_token_wei(POOL)


@pytest.mark.parametrize("move", [wrap, unwrap])
def test_wrapping_and_unwrapping_nothing_or_too_much_is_refused(move) -> None:
    with pytest.raises(Reverted, match="is 0"):
        move(POOL, MUCH, 0)
    with pytest.raises(Reverted, match="held are 5"):
        move(POOL, 5, ETHER)


def test_more_than_the_balance_is_refused_with_both_numbers() -> None:
    shares = shares_for(POOL, ETHER)
    assert transfer_shares(POOL, shares, ETHER) == shares
    with pytest.raises(Reverted, match=f"{ETHER} wei are {shares} shares, held are {shares - 1}"):
        transfer_shares(POOL, shares - 1, ETHER)


def test_an_empty_pool_prices_nothing() -> None:
    assert amount_for(SharePool(0, 0), 5) == 0
    assert shares_burned_for(SharePool(0, 0), 5) == 0
    with pytest.raises(Reverted, match="empty"):
        shares_for(SharePool(0, 0), 5)


def test_staking_nothing_is_refused() -> None:
    with pytest.raises(Reverted, match="ZERO_DEPOSIT"):
        submit(POOL, 0, LIDO)


def test_a_pool_from_a_rate_has_exactly_that_rate() -> None:
    pool = pool_from_rate(Decimal("1.165432109876543211"))
    assert eth_per_token_wei(pool) == 1_165_432_109_876_543_211
    assert shares_for(pool, 1_165_432_109_876_543_211) == ETHER
    with pytest.raises(ValueError, match="must be positive, got 0"):
        pool_from_rate(Decimal(0))


# Withdrawals


def test_a_request_takes_the_shares_and_waits() -> None:
    shares, request = request_withdrawal(POOL, MUCH, ETHER, protocol=LIDO, requested_at=1_700_000_000)
    assert request == WithdrawalRequest(LIDO, ETHER, shares_for(POOL, ETHER), 1_700_000_000)
    assert (shares, claimable(request, POOL)) == (request.shares, 0)
    with pytest.raises(Reverted, match="not finalised"):
        claim(request, POOL)


@pytest.mark.parametrize("protocol", Protocol)
def test_rewards_after_the_request_are_not_paid(protocol: Protocol) -> None:
    richer = report(POOL, POOL.pooled_wei * 11 // 10)
    paid, done = claim(finalise(asked(ETHER, protocol), share_rate(richer)), richer)
    assert (paid, done.claimed, claimable(done, richer)) == (ETHER, True, 0)


@pytest.mark.parametrize("protocol", Protocol)
def test_a_slashing_before_finalisation_is_borne(protocol: Protocol) -> None:
    poorer = report(POOL, POOL.pooled_wei * 9 // 10)
    request = finalise(asked(ETHER, protocol), share_rate(poorer))
    assert abs(claimable(request, poorer) - ETHER * 9 // 10) <= 2


def test_a_slashing_after_finalisation_is_borne_at_etherfi_only() -> None:
    poorer = report(POOL, POOL.pooled_wei // 2)
    ready = {protocol: finalise(asked(ETHER, protocol), share_rate(report(POOL, POOL.pooled_wei + MUCH))) for protocol in Protocol}
    assert claimable(ready[LIDO], poorer) == ETHER
    assert claimable(ready[ETHERFI], poorer) == amount_for(poorer, ready[ETHERFI].shares) < ETHER


def test_lido_compares_rates_and_etherfi_amounts() -> None:
    """At an unchanged rate the floor of the shares costs ether.fi's request its last wei; Lido's rate floors alike."""
    rate = share_rate(POOL)
    for protocol in Protocol:
        request = finalise(asked(ETHER, protocol), rate)
        discounted = ETHER * RATE_UNIT // request.shares > rate
        assert discounted
        assert claimable(request, POOL) == ETHER - 1


def test_at_equal_rates_lido_pays_in_full() -> None:
    even = SharePool(4 * MUCH, 3 * MUCH)
    request = finalise(asked(4 * ETHER, LIDO, even), share_rate(even))
    assert request.shares * share_rate(even) // RATE_UNIT == 4 * ETHER - 1
    assert claimable(request, even) == 4 * ETHER


def test_nothing_is_finalised_or_claimed_twice() -> None:
    ready = finalise(asked(ETHER), RATE_UNIT * 2)
    with pytest.raises(Reverted, match="finalised already"):
        finalise(ready, RATE_UNIT * 2)
    with pytest.raises(Reverted, match="claimed already"):
        claim(msgspec.structs.replace(ready, claimed=True), POOL)


@pytest.mark.parametrize(
    ("protocol", "amount_wei"),
    [(LIDO, 99), (LIDO, LIDO_MAX_REQUEST_WEI + 1), (ETHERFI, 0), (ETHERFI, ETHERFI_MAX_REQUEST_WEI + 1)],
)
def test_a_request_beyond_the_limits_is_refused(protocol: Protocol, amount_wei: int) -> None:
    with pytest.raises(Reverted, match=rf"a request must be of \d+ to \d+ wei, got {amount_wei}"):
        request_withdrawal(POOL, 10**40, amount_wei, protocol=protocol, requested_at=0)


def test_a_request_worth_less_than_a_share_is_refused() -> None:
    with pytest.raises(Reverted, match="less than one share"):
        request_withdrawal(POOL, MUCH, 1, protocol=ETHERFI, requested_at=0)


@pytest.mark.parametrize(
    ("amount_wei", "parts"),
    [
        (ETHER, (ETHER,)),
        (2_500 * ETHER, (1_000 * ETHER, 1_000 * ETHER, 500 * ETHER)),
        (1_000 * ETHER, (1_000 * ETHER,)),
        (1_000 * ETHER + 3, (1_000 * ETHER - 100, 103)),
        (50, (50,)),
        (0, ()),
    ],
)
def test_a_large_amount_is_asked_for_in_several_requests(amount_wei: int, parts: tuple[int, ...]) -> None:
    assert split_request(LIDO, amount_wei) == parts
    assert sum(parts) == amount_wei


def test_paying_out_takes_ether_and_shares_and_no_more_than_there_are() -> None:
    burned = shares_burned_for(POOL, ETHER)
    assert burned == shares_for(POOL, ETHER) + 1
    assert pay_out(POOL, ETHER, burned) == SharePool(POOL.pooled_wei - ETHER, POOL.total_shares - burned)
    for amount, shares in ((POOL.pooled_wei + 1, 1), (1, POOL.total_shares + 1)):
        with pytest.raises(Reverted, match="are more than the pool's"):
            pay_out(POOL, amount, shares)
