"""Aave's integers in a refusal: tokens, cents, percent, decimals."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.venues.aave_words import in_millionths, in_percent, in_tokens, in_usd, in_usd_at_least

from ..world import exactly

WAD = 10**18


@given(st.integers(0, 2**200), st.sampled_from([0, 2, 6, 8, 18]))
@exactly
def test_an_amount_is_shown_to_its_last_unit(units: int, decimals: int) -> None:
    text = in_tokens(units, decimals)
    assert int(Decimal(text) * 10**decimals) == units
    assert "E" not in text


def test_a_person_reads_tokens_cents_percent_and_decimals() -> None:
    assert (in_tokens(20_020_000, 6), in_tokens(0, 18), in_tokens(5, 0)) == ("20.02", "0", "5")
    assert (in_usd(9_459_890_581_051), in_usd_at_least(10_170_427_967_930)) == ("94598.90 USD", "101704.28 USD")
    assert (in_percent(8_050), in_percent(5), in_percent(0)) == ("80.50 %", "0.05 %", "0.00 %")
    assert (in_millionths(2 * WAD), in_millionths(829_999_999_999_999_999)) == ("2.000000", "0.829999")


@given(st.integers(0, 10**20), st.integers(1, 10**9))
def test_what_falls_short_never_reads_as_enough(held: int, short: int) -> None:
    assert Decimal(in_usd_at_least(held + short).split()[0]) > Decimal(in_usd(held).split()[0])


@given(st.integers(0, WAD - 1))
def test_a_health_factor_below_1_never_reads_1(wad: int) -> None:
    assert Decimal(in_millionths(wad)) < 1
