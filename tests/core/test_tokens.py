"""Base units and amounts of tokens, exact both ways."""

from __future__ import annotations

from decimal import ROUND_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.market import REDEEMED_BY, SAME_AS
from basis_strategy_v1.core.position_names import Kind
from basis_strategy_v1.core.tokens import (
    DECIMALS,
    REBASING,
    SHARE_TOKENS,
    STAKED,
    STAKED_AT,
    STANDARD_DECIMALS,
    Staked,
    decimals_of,
    in_base_units,
    to_amount,
    to_units,
)
from basis_strategy_v1.venues.aave_names import deposit_name, read_anywhere

TOKENS = st.sampled_from([*DECIMALS, "ETH", "wstETH"])


def test_what_the_table_does_not_say_has_18_decimals() -> None:
    assert {token: decimals_of(token) for token in (*DECIMALS, "ETH")} == {**DECIMALS, "ETH": STANDARD_DECIMALS}


@pytest.mark.parametrize("precision", [3, 28, 96])
@given(token=TOKENS, units=st.integers(-(2**160), 2**160))
def test_units_come_back_whole_in_any_decimal_context(precision: int, token: str, units: int) -> None:
    with localcontext(prec=precision, rounding=ROUND_UP):
        assert to_units(token, to_amount(token, units)) == units
        assert to_amount(token, units) * 1 != 0 or not units


@pytest.mark.parametrize("precision", [3, 96])
@given(token=TOKENS, units=st.integers(-(2**160), 2**160))
def test_an_amount_is_written_with_all_decimals_of_its_token(precision: int, token: str, units: int) -> None:
    with localcontext(prec=precision, rounding=ROUND_UP):
        amount = to_amount(token, units)
    digits = tuple(map(int, str(abs(units))))
    assert amount.as_tuple() == (int(units < 0), digits, -decimals_of(token))


@pytest.mark.parametrize(
    ("token", "amount", "units"),
    [
        ("USDT", "1.2345679", 1_234_567),
        ("USDT", "-1.2345679", -1_234_567),
        ("USDT", "0.00000099999", 0),
        ("WBTC", "0.000000019", 1),
        ("ETH", "1e30", 10**48),
        ("ETH", "0." + "9" * 50, 999_999_999_999_999_999),
    ],
)
def test_what_is_below_one_unit_stays_with_its_owner(token: str, amount: str, units: int) -> None:
    assert to_units(token, Decimal(amount)) == units
    assert in_base_units(token, Decimal(amount)).as_tuple() == to_amount(token, units).as_tuple()


# Staked ether: each table says what the rows say, and nothing else.


def test_no_two_rows_share_a_protocol_or_a_token() -> None:
    assert [STAKED_AT[row.protocol] for row in STAKED] == list(STAKED_AT.values()) == list(STAKED)
    names = [token for row in STAKED for token in (row.rebasing, row.wrapped) if token]
    assert sorted(names) == sorted(SHARE_TOKENS)


@pytest.mark.parametrize("row", STAKED, ids=lambda row: row.protocol)
def test_every_table_has_what_the_row_says(row: Staked) -> None:
    assert REDEEMED_BY[row.wrapped] == (row.protocol, row.underlying)
    assert row.wrapped not in SAME_AS
    assert row.wrapped not in REBASING
    for token in filter(None, (row.rebasing, row.wrapped)):
        assert SHARE_TOKENS[token] is row
        assert decimals_of(token) == decimals_of(row.underlying)
        assert read_anywhere(deposit_name(token)) == (Kind.DEPOSIT, token)
    if row.rebasing is not None:
        assert row.rebasing in REBASING
        assert SAME_AS[row.rebasing] == row.underlying


def test_no_table_has_more_than_the_rows() -> None:
    assert set(REDEEMED_BY) == {row.wrapped for row in STAKED}
    assert set(REBASING) == {row.rebasing for row in STAKED} - {None}
    assert set(SAME_AS) == {"WETH", "WBTC", *REBASING}
