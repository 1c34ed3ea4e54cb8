"""Deltas are an abelian group of signed amounts, and hold no zeros."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.deltas import Deltas, floats_of

AMOUNTS = st.integers(-(10**60), 10**60).map(lambda number: Decimal(number).scaleb(-30, EXACT))
NAMES = st.sampled_from(["binance", "bybit", "aave", "wallet"])
TOKENS = st.sampled_from(["ETH", "USDT", "ETHUSDT-PERP"])
DELTAS = st.dictionaries(st.tuples(NAMES, TOKENS), AMOUNTS | st.integers(-2, 2).map(Decimal)).map(Deltas.of)


@given(DELTAS, DELTAS, DELTAS)
def test_they_add_up_in_any_order_and_grouping(a: Deltas, b: Deltas, c: Deltas) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)


@given(DELTAS, DELTAS)
def test_what_is_taken_away_again_leaves_what_was(a: Deltas, b: Deltas) -> None:
    assert a + Deltas() == Deltas() + a == a
    assert a - a == a + -a == Deltas()
    assert (a + b) - b == a
    assert Deltas() - (Deltas() - a) == a
    assert -(a + b) == -a - b


@given(DELTAS, DELTAS)
def test_a_zero_is_never_kept(a: Deltas, b: Deltas) -> None:
    for deltas in (a, b, a + b, a - b, -a):
        assert all(amount for _, amount in deltas.items())
        assert bool(deltas) is bool(list(deltas.items()))


@given(DELTAS, DELTAS)
def test_equal_deltas_have_one_hash_whatever_the_order_they_came_in(a: Deltas, b: Deltas) -> None:
    assert hash(a + b) == hash(b + a)
    assert Deltas.of(dict(reversed(a.items()))) == a
    assert len({a, Deltas.of(dict(a.items()))}) == 1


@given(DELTAS, DELTAS)
def test_adding_changes_neither(a: Deltas, b: Deltas) -> None:
    before = dict(a.items()), dict(b.items())
    assert a + b is not None
    assert -a is not None
    assert (dict(a.items()), dict(b.items())) == before


@given(DELTAS, DELTAS)
def test_each_token_of_each_venue_is_added_for_itself(a: Deltas, b: Deltas) -> None:
    total = a + b
    with localcontext(prec=96):
        for venue, token in {key for key, _ in (*a.items(), *b.items())}:
            assert total.get(venue, token) == a.get(venue, token) + b.get(venue, token)


@given(DELTAS)
def test_every_view_holds_every_amount(deltas: Deltas) -> None:
    floats, texts = deltas.as_floats(), deltas.as_texts()
    for (venue, token), amount in deltas.items():
        assert floats[venue][token] == float(amount)
        assert Decimal(texts[venue][token]) == deltas.tokens(venue)[token] == deltas.get(venue, token) == amount
    assert sum(map(len, floats.values())) == sum(map(len, texts.values())) == len(deltas.items())
    assert Deltas.nested({venue: deltas.tokens(venue) for venue in floats}) == deltas


@pytest.mark.parametrize("precision", [3, 28, 96])
def test_sums_are_exact_in_any_decimal_context(precision: int) -> None:
    large, small = Deltas.at("wallet", {"ETH": Decimal("1e30")}), Deltas.at("wallet", {"ETH": Decimal("1e-30")})
    with localcontext(prec=precision):
        assert (large + small) - large == small
        assert -(large + small) == -small - large


def test_the_whole_of_some_deltas() -> None:
    tokens: Mapping[str, Decimal] = {"ETH": Decimal("1.5"), "USDT": Decimal("-4950.15"), "BNB": Decimal("-0.0")}
    deltas = Deltas.at("binance", tokens) + Deltas.nested({"aave": {"aUSDT": Decimal("1E+3")}, "wallet": {}})
    deltas += Deltas.at("binance", {"BTC": Decimal(1)})
    assert deltas.as_floats() == {"binance": {"ETH": 1.5, "USDT": -4950.15, "BTC": 1.0}, "aave": {"aUSDT": 1000.0}}
    assert deltas.as_texts() == {"binance": {"ETH": "1.5", "USDT": "-4950.15", "BTC": "1"}, "aave": {"aUSDT": "1000"}}
    assert repr(deltas) == f"Deltas({deltas.as_texts()})"
    assert deltas.tokens("binance") == {"ETH": Decimal("1.5"), "USDT": Decimal("-4950.15"), "BTC": Decimal(1)}
    assert (deltas.tokens("bybit"), deltas.get("bybit", "ETH")) == ({}, Decimal(0))


def test_they_equal_nothing_else() -> None:
    assert Deltas() != {}
    assert Deltas.of({("aave", "ETH"): Decimal(1)}) != Deltas({("aave", "ETH"): Decimal(2)})


def test_different_deltas_have_different_hashes() -> None:
    different = [Deltas.at(venue, {token: Decimal(amount)}) for venue in ("a", "b") for token in ("X", "Y") for amount in (1, 2)]
    assert len({hash(deltas) for deltas in different}) == len(different)


def test_deltas_of_nothing_at_a_venue_are_no_deltas() -> None:
    assert Deltas.at("a", {}) == Deltas.at("a", {"X": Decimal(0)}) == Deltas()


def test_what_is_beyond_the_largest_float_reads_as_infinity() -> None:
    assert Deltas.at("a", {"X": Decimal("-1e400"), "Y": Decimal("0.1")}).as_floats() == {"a": {"X": float("-inf"), "Y": 0.1}}


@given(DELTAS)
def test_packed_deltas_are_unpacked_to_the_last_digit(deltas: Deltas) -> None:
    assert Deltas.unpacked(deltas.packed()) == deltas
    assert Deltas.unpacked(deltas.packed()).as_texts() == deltas.as_texts()
    assert floats_of(deltas.packed()) == deltas.as_floats()


@given(st.lists(DELTAS, max_size=5))
def test_the_total_of_many_is_their_sum(parts: list[Deltas]) -> None:
    before = [part.as_texts() for part in parts]
    assert Deltas.total(parts) == sum(parts, Deltas())
    assert [part.as_texts() for part in parts] == before
