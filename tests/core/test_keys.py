"""Keys are the same in each run, none is given twice, and those that are in use are known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.keys import Keys

instants = st.lists(st.integers(0, 5), max_size=30)


@given(instants)
def test_two_runs_of_the_same_instants_get_the_same_keys_and_no_two_alike(run: list[int]) -> None:
    first, second = Keys("a-"), Keys("a-")
    given_keys = [first.next(instant) for instant in run]
    assert given_keys == [second.next(instant) for instant in run]
    assert len(set(given_keys)) == len(run)
    assert all(key in first for key in given_keys)


@given(instants, st.integers(0, 5), st.integers(-2, 40))
def test_a_key_that_was_not_given_is_not_known(run: list[int], instant: int, number: int) -> None:
    keys = Keys()
    given_keys = {keys.next(at) for at in run}
    assert (f"{instant:x}-{number}" in keys) == (f"{instant:x}-{number}" in given_keys)


def test_a_key_says_the_instant_and_counts_over_all_of_them() -> None:
    keys = Keys("2-")
    assert [keys.next(255), keys.next(255), keys.next(16)] == ["2-ff-1", "2-ff-2", "2-10-3"]


def test_names_of_other_origin_are_none_of_its_keys() -> None:
    keys = Keys()
    keys.next(255)
    assert [name in keys for name in ("ff-1", "ff", "1", "", "-1", "ff-01", "ff-1-0", "x-ff-1", "ff-²", "ff-0")] == [True] + [False] * 9


def test_what_was_withdrawn_or_forgotten_is_not_given_again() -> None:
    keys = Keys()
    first, second = keys.next(255), keys.next(255)
    keys.withdraw(first)
    assert (first in keys, second in keys) == (False, True)
    keys.forget()
    assert (first in keys, second in keys) == (False, False)
    third = keys.next(255)
    assert third == "ff-3"
    assert [key in keys for key in (first, second, third)] == [False, False, True]
