"""Numbers from outside are exact or refused."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from enum import IntEnum
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.amounts import EXACT, LARGEST, SMALLEST, exact_number, plain, positive_amount, shown, text_of

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE)
def test_every_float_is_the_decimal_that_it_prints_as(value: float) -> None:
    assert exact_number(value) == Decimal(repr(value))
    assert float(exact_number(value)) == value


@given(st.floats(1e-30, 1e30))
def test_every_amount_that_is_a_float_is_exact(value: float) -> None:
    assert positive_amount(value) == Decimal(repr(value))


@given(st.floats(max_value=math.nextafter(1e-30, 0)) | st.floats(math.nextafter(1e30, math.inf), allow_nan=False))
def test_a_float_out_of_range_is_no_amount(value: float) -> None:
    with pytest.raises(ValueError, match="must be "):
        positive_amount(value)


@given(st.integers(-(10**96) + 1, 10**96 - 1))
def test_every_integer_of_96_digits_is_exact(value: int) -> None:
    assert exact_number(value) == value


@given(st.decimals(allow_nan=False, allow_infinity=False, places=30, min_value=-(10**30), max_value=10**30))
def test_a_decimal_and_its_text_are_the_same_number(value: Decimal) -> None:
    assert exact_number(value) == exact_number(str(value)) == value


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("+1.50", Decimal("1.5")), ("-.5", Decimal("-0.5")), ("5.", 5), ("1e3", 1000), ("1E-3", Decimal("0.001")), ("0e9999", 0)],
)
def test_text_in_ascii_digits_is_a_number(text: str, number: Decimal) -> None:
    assert exact_number(text) == number


def test_amounts_at_the_limits_are_taken_as_any_kind() -> None:
    for limit in (SMALLEST, LARGEST):
        assert positive_amount(limit) == positive_amount(str(limit)) == positive_amount(float(limit)) == limit
    assert positive_amount(10**30) == LARGEST


class Mode(IntEnum):
    ON = 1


class OwnFloat(float):
    def __repr__(self) -> str:
        return "odd\n"


class OwnDecimal(Decimal):
    pass


class Label(str):
    def __str__(self) -> str:
        return "label"


@pytest.mark.parametrize(
    ("value", "number"), [(Mode.ON, 1), (OwnFloat(1.1), Decimal("1.1")), (OwnDecimal("1.1"), Decimal("1.1")), (Label("1"), 1)]
)
def test_a_subclass_counts_as_the_number_that_it_holds(value: Any, number: Decimal) -> None:
    found = exact_number(value)
    assert (found, type(found)) == (number, Decimal)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "must be a finite number, got nan"),
        (-math.inf, "must be a finite number, got -inf"),
        (OwnFloat("inf"), "must be a finite number, got inf"),
        (Decimal("sNaN"), "must be a finite number, got sNaN"),
        (True, "must be a number (int, float, Decimal or text), got True"),
        (None, "must be a number (int, float, Decimal or text), got None"),
        ([1], "must be a number (int, float, Decimal or text), got a list"),
        ("", "must be a number such as 1.5, in at most 96 characters, got ''"),
        ("1\n", "must be a number such as 1.5, in at most 96 characters, got '1\\n'"),
        ("\u0661", "must be a number such as 1.5, in at most 96 characters, got '\u0661'"),
        ("9" * 97, f"must be a number such as 1.5, in at most 96 characters, got '{'9' * 56}..."),
        ("1e401", "must be a number between 1e-400 and 1e400 in size, got 1E+401"),
        (Decimal("-1e-401"), "must be a number between 1e-400 and 1e400 in size, got -1E-401"),
        (10**96, "must have at most 96 digits, got an integer of more than 60 digits"),
    ],
)
def test_what_is_no_number_is_refused_with_the_reason(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match="must") as refused:
        exact_number(value)
    assert str(refused.value) == message


def test_more_digits_than_arithmetic_keeps_are_refused_in_any_context() -> None:
    for precision in (5, 28, 200):
        with localcontext(prec=precision):
            assert exact_number(Decimal("1." + "3" * 95)) == Decimal("1." + "3" * 95)
            with pytest.raises(ValueError, match="must have at most 96 digits"):
                exact_number(Decimal("1." + "3" * 96))


@given(st.decimals(SMALLEST, LARGEST, places=18), st.decimals(SMALLEST, LARGEST, places=18))
def test_the_product_of_two_amounts_is_not_rounded(one: Decimal, other: Decimal) -> None:
    product = EXACT.multiply(one, other)
    with localcontext(prec=200):
        assert product == one * other


@pytest.mark.parametrize(
    ("amount", "text"),
    [("1E+3", "1000"), ("1.500", "1.5"), ("0.000", "0"), ("100", "100"), ("-1e-9", "-0.000000001"), ("120.0", "120")],
)
def test_an_amount_is_written_without_exponent_or_trailing_zeros(amount: str, text: str) -> None:
    assert plain(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\nb", "'a\\nb'"),
        ("\u202e", "'\\u202e'"),
        ("a" * 10_000_000, f"'{'a' * 56}..."),
        ("a" * 58, f"'{'a' * 58}'"),
        (10**5000, "an integer of more than 60 digits"),
        (-(10**5000), "an integer of more than 60 digits"),
        (Mode.ON, "1"),
        (OwnFloat(1.5), "1.5"),
        (Label("x"), "'x'"),
        (OwnDecimal(1), "1"),
        (False, "False"),
        (None, "None"),
        ({"a": 1}, "a dict"),
        (type("T" * 100, (), {})(), f"a {'T' * 55}..."),
    ],
    ids=range(14),
)
def test_a_value_is_shown_on_one_short_line(value: Any, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (Path("results/a b"), "results/a b"),
        (PurePosixPath("x" * 300), "x" * 300),
        (Path("a\nbasis: done"), "'a\\nbasis: done'"),
        (Path("a\x1b[31m"), "'a\\x1b[31m'"),
        (Path("a\udcff"), "'a\\udcff'"),
    ],
)
def test_a_path_is_shown_whole_on_one_line(path: Path, text: str) -> None:
    assert shown(path) == text


def test_only_text_has_a_text() -> None:
    assert [text_of(value) for value in ("a", Label("b"), None, 1, b"a", ["a"])] == ["a", "b", None, None, None, None]


@pytest.mark.parametrize("text", [f"12.{'7' * 94}", f"-0.00000{'7' * 96}", f"{'7' * 96}", f"-1.{'7' * 95}"])
def test_a_decimal_of_all_digits_is_read_again_from_its_text(text: str) -> None:
    number = exact_number(Decimal(text))
    assert exact_number(str(number)) == number == Decimal(text)
