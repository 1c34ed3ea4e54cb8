"""The kinds of single values that settings are made of: what each takes, what it makes of it, and how it is written again."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1.core.settings import (
    ADDRESS,
    FLAG,
    INSTANT,
    URL,
    Scalar,
    choice,
    duration,
    number,
    path,
    plain_number,
    seconds,
    text,
    whole,
)

D = Decimal
MORNING = datetime(2024, 6, 1, 10, tzinfo=UTC)
RIGHT = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [
        (number(at_least=0, at_most=10_000), "a number from 0 to 10000"),
        (number("0.9 is 90 %", above=0, below=1), "a number above 0 and below 1 (0.9 is 90 %)"),
        (number(at_least=0, below=10**15), "a number at least 0 and below 1e15"),
        (whole(above=0, below=10), "a whole number above 0 and below 10"),
        (seconds(above=0, at_most=60), "a number of seconds above 0 and at most 60"),
        (choice("queue", "dex"), "queue | dex"),
        (choice("3.0", "3.7"), '"3.0" | "3.7"'),
        (duration("1m", "2d"), "a duration from 1m to 2d, a whole number with s, m, h or d (1h)"),
    ],
)
def test_what_is_allowed_is_said_in_words(kind: Scalar, allowed: str) -> None:
    assert kind.allowed == allowed


@pytest.mark.parametrize(
    ("kind", "given", "meant", "plain"),
    [
        (number(at_least=0, at_most=10), "0.10", D("0.10"), 0.1),
        (number(at_least=0, at_most=10), 10, D(10), 10),
        (number(above=0, below=1), D("0.1234567890123456789"), D("0.1234567890123456789"), "0.1234567890123456789"),
        (whole(at_least=1, at_most=24), D("8.0"), 8, 8),
        (seconds(at_least=0, at_most=60), "0.1", 0.1, 0.1),
        (seconds(at_least=0, at_most=60), 15, 15.0, 15),
        (choice("3.0", "3.7"), 3.0, "3.0", "3.0"),
        (choice("3.0", "3.7"), "3.70", "3.7", "3.7"),
        (choice("queue", "dex"), "dex", "dex", "dex"),
        (text("[a-z]+", "small letters"), "abc", "abc", "abc"),
        (path("a file"), "../x.py", Path("../x.py"), "../x.py"),
        (FLAG, False, False, False),
        (INSTANT, "2024-06-01", datetime(2024, 6, 1, tzinfo=UTC), "2024-06-01T00:00:00Z"),
        (INSTANT, date(2024, 6, 1), datetime(2024, 6, 1, tzinfo=UTC), "2024-06-01T00:00:00Z"),
        (INSTANT, "2024-06-01 12:00+02:00", MORNING, "2024-06-01T10:00:00Z"),
        (INSTANT, MORNING.astimezone(timezone(timedelta(hours=5))), MORNING, "2024-06-01T10:00:00Z"),
        (duration("1s", "366d"), "90m", timedelta(minutes=90), "90m"),
        (duration("1s", "366d"), timedelta(days=2), timedelta(days=2), "2d"),
        (ADDRESS, RIGHT, RIGHT, RIGHT),
        (ADDRESS, RIGHT.lower(), RIGHT.lower(), RIGHT.lower()),
        (URL, "http://127.0.0.1:9000/x", "http://127.0.0.1:9000/x", "http://127.0.0.1:9000/x"),
    ],
)
def test_what_was_written_is_read_exactly_and_written_again(kind: Scalar, given: Any, meant: Any, plain: Any) -> None:
    found = kind.parse(given)
    assert (found, type(found)) == (meant, type(meant))
    again = kind.plain(found)
    assert (again, type(again)) == (plain, type(plain))
    assert kind.parse(again) == found


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (number(at_least=0, at_most=10), [-1, "-0.1", 10.5, "x", None, True, float("nan"), D("sNaN"), "1e-99"]),
        (number(above=0, below=1), [0, 1, "1"]),
        (whole(at_least=1, at_most=24), [0, 25, 1.5, "8", True]),
        (seconds(above=0, at_most=60), [0, 61, "soon"]),
        (choice("3.0", "3.7"), ["3.5", 4.0, None, "three"]),
        (choice("queue", "dex"), ["", "Dex", 1, None]),
        (text("[a-z]+", "small letters"), ["", "A", 1, "a\n"]),
        (path("a file"), ["", "a\0b", 1]),
        (FLAG, [0, 1, "true", None]),
        (INSTANT, ["2024-06-01T00:00", "2024-02-30", datetime(2024, 6, 1), "now", 2024]),  # noqa: DTZ001 one without a zone
        (duration("1m", "2d"), ["59s", "3d", "1w", "1", timedelta(milliseconds=61_500), 60]),
        (ADDRESS, [RIGHT[:-1], RIGHT.replace("5a", "5b"), RIGHT[2:], 1]),
        (URL, ["host", "ftp://h", "http://me@h", "http://h?k=1", "http://h:port", "http://h h", 1]),
    ],
)
def test_what_is_none_of_the_kind_is_none(kind: Scalar, wrong: list[Any]) -> None:
    assert [value for value in wrong if kind.parse(value) is not None] == []


def test_where_the_live_extra_is_not_installed_an_address_is_judged_by_its_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "eth_utils.address", None)
    changed = RIGHT.replace("5a", "5b")
    assert (ADDRESS.parse(changed), ADDRESS.parse(changed[:-1])) == (changed, None)


def test_what_may_hold_a_secret_is_hidden() -> None:
    assert [URL.is_hidden(value) for value in ("https://me:secret@host", "https://host?key=x", "https://host", 1)] == [
        True,
        True,
        False,
        False,
    ]
    assert not ADDRESS.is_hidden(RIGHT)


@pytest.mark.parametrize(("amount", "plain"), [("1E+3", 1000), ("2.50", 2.5), ("0.12345678901234567890", "0.12345678901234567890")])
def test_a_number_is_written_as_short_as_it_stays_exact(amount: str, plain: Any) -> None:
    assert plain_number(D(amount)) == plain
