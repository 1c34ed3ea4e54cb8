"""The fields of an instruction block: what each may hold, and the parser that says so."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from basis_strategy_v1.core.amounts import LARGEST, exact_number, positive_amount, shown, text_of
from basis_strategy_v1.core.deltas import Deltas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Parser = Callable[[Any], Any]

MOST_ESTIMATES = 256
MOST_FAULTS = 4  # of one kind, in one answer
_MOST_KNOWN = 4096


class OutputOf(Struct, frozen=True):
    """What an earlier step of the chain paid out, or a fraction of it."""

    step: int
    fraction: Decimal = Decimal(1)


Amount = Decimal | str | OutputOf  # the text is "all"


class Action(NamedTuple):
    """A row of a table of instructions: which fields it takes. Who offers an action, each protocol says itself."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


def _text(pattern: str, allowed: str) -> Parser:
    matches = re.compile(pattern).fullmatch
    known: set[str] = set()  # a run names the same few venues and symbols again and again

    def parse(value: Any) -> str:
        if type(value) is str and value in known:
            return value
        text = text_of(value)
        if text is None or len(text) > 128 or not matches(text):
            raise ValueError(f"must be {allowed}, got {shown(value)}")
        if len(known) < _MOST_KNOWN:
            known.add(text)
        return text

    return parse


def _one_of(*allowed: str, hint: Mapping[str, str] | None = None) -> Parser:
    listed = " or ".join(allowed)
    hints = hint or {}

    def parse(value: Any) -> str:
        if type(value) is str and value in allowed:
            return value
        text = text_of(value)
        if text in allowed:
            return text
        raise ValueError(f"must be {listed}, got {shown(value)}{hints.get(text or '', '')}")

    return parse


def _flag(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise ValueError(f"must be true or false, got {shown(value)}")


def _whole(value: Any) -> int:
    if issubclass(type(value), int) and type(value) is not bool and 0 <= value <= 10**9:
        return int.__int__(value)
    raise ValueError(f"must be a whole number from 0 to 1000000000, got {shown(value)}")


def _not_negative(value: Any) -> Decimal:
    number = exact_number(value)
    if not 0 <= number <= LARGEST:
        raise ValueError(f"must be between 0 and 1e30, got {shown(value)}")
    return number


def _estimated(value: Any) -> Deltas:
    if not isinstance(value, dict):
        raise ValueError(f"must be a dict of venue -> token -> amount, got {shown(value)}")
    amounts: dict[tuple[str, str], Decimal] = {}
    for venue, tokens in value.items():
        if not isinstance(tokens, dict):
            raise ValueError(f"must be a dict of venue -> token -> amount, got {shown(tokens)} at {shown(venue)}")
        for token, amount in tokens.items():
            key = _named(venue, token)
            amounts[key] = _estimate(*key, amount)
            if len(amounts) > MOST_ESTIMATES:
                raise ValueError(f"must hold at most {MOST_ESTIMATES} amounts, got more")
    return Deltas.of(amounts)


def _named(venue: Any, token: Any) -> tuple[str, str]:
    try:
        name = _name(venue)
    except ValueError as fault:
        raise ValueError(f"venue {fault}") from None
    try:
        return name, token_of_deltas(token)
    except ValueError as fault:
        raise ValueError(f"token {fault}") from None


def _estimate(venue: str, token: str, amount: Any) -> Decimal:
    try:
        return exact_number(amount)
    except ValueError as fault:
        raise ValueError(f"of {token} at {venue} {fault}") from None


def _step_amount(value: Any) -> Amount:
    kind = type(value)
    if kind is float:
        return positive_amount(value)
    if kind is str and value == "all":
        return "all"
    return _output_of(value) if issubclass(kind, dict) else positive_amount(value)


def _output_of(value: Mapping[str, Any]) -> OutputOf:
    if (unknown := next((name for name in value if name not in ("output_of", "fraction")), None)) is not None:
        raise ValueError(f"must be a number, 'all' or {{'output_of': n}}, got the unknown field {shown(unknown)}")
    if "output_of" not in value:
        raise ValueError("must be a number, 'all' or {'output_of': n}, got a dict without output_of")
    try:
        step = _whole(value["output_of"])
    except ValueError as fault:
        raise ValueError(f"output_of {fault}") from None
    try:
        fraction = positive_amount(value.get("fraction", 1))
    except ValueError as fault:
        raise ValueError(f"fraction {fault}") from None
    if fraction > 1:
        raise ValueError(f"fraction must be at most 1, got {shown(value['fraction'])}")
    return OutputOf(step, fraction)


# No name begins with a point, so that none can lead out of a folder.
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,63}"
_MARKET = rf"{_NAME}(/{_NAME}){{0,2}}"
_name: Callable[[Any], str] = _text(_NAME, "1 to 64 letters, digits, '_', '-' or '.', beginning with a letter or digit")


def symbol_name(value: Any) -> str:
    """A symbol; of `ETH/USDT` the message says how an exchange writes it."""
    try:
        return _name(value)
    except ValueError as fault:
        text = text_of(value) or ""
        bare = text.replace("/", "").partition(":")[0]
        if "/" in text and re.fullmatch(_NAME, bare):
            raise ValueError(f"{fault}; write {bare}") from None
        raise


token_of_deltas = _text(rf"{_NAME}(:{_MARKET}(:{_NAME})?)?", "a token as in deltas, such as USDT, aUSDT or morpho:wstETH/WETH:debt")
_RESTING = "; an order that rests in the book is not supported"
COMMON_FIELDS = ("instruction_id", "estimated_deltas", "max_deviation_bps")
FIELDS: dict[str, Parser] = {
    "instruction_id": _text(r"[A-Za-z0-9_-]{1,64}", "1 to 64 of A-Z a-z 0-9 _ -"),
    "estimated_deltas": _estimated,
    "max_deviation_bps": _not_negative,
    "venue": _name,
    "protocol": _name,
    "trade_type": _one_of("spot", "perp"),
    "side": _one_of("buy", "sell"),
    "symbol": symbol_name,
    "amount": positive_amount,
    "order_type": _one_of("market", "limit"),
    "price": positive_amount,
    "time_in_force": _one_of("IOC", "FOK", hint=dict.fromkeys(("GTC", "GTX", "GTD", "PO"), _RESTING)),
    "reduce_only": _flag,
    "from_venue": _name,
    "to_venue": _name,
    "token": _name,
    "token_out": _name,
    "network": _name,
    "market": _text(_MARKET, "a market name such as wstETH/WETH"),
    "pool": _text(_MARKET, "a pool name such as weETH/WETH"),
    "request_id": _name,
    "category": _whole,
    "fee": _whole,
    "min_amount_out": positive_amount,
    "atomic": _flag,
}
# In an action an amount may be left open: the balance, or what was paid out, by then; a loan has to be a number.
STEP_FIELDS: dict[str, Parser] = {**FIELDS, "amount": _step_amount}
# Read by whoever chooses the parsers, before or after the other fields.
_READ_APART = ("instruction_type", "action", "sub_instructions")


def parsers_of(row: Action) -> dict[str, Parser | None]:
    """The parser of each field that a row of the table allows; None for those that are read apart."""
    fields = STEP_FIELDS if "protocol" in row.required and "sub_instructions" not in row.required else FIELDS
    names = ("instruction_type", *row.required, *row.optional, *COMMON_FIELDS)
    return {name: None if name in _READ_APART else fields[name] for name in names}


def parse_fields(block: Mapping[str, Any], parsers: Mapping[str, Parser | None], required: Iterable[str]) -> dict[str, Any]:
    """The parsed fields of a block.

    Raises:
        ValueError: each field that is unknown, wrong or missing.
    """
    parsed = {}
    try:
        for name, value in block.items():
            if (parse := parsers[name]) is not None:
                parsed[name] = parse(value)
    except (KeyError, ValueError):
        raise ValueError("; ".join(_faults(block, parsers, required))) from None
    return parsed


def _faults(block: Mapping[str, Any], parsers: Mapping[str, Parser | None], required: Iterable[str]) -> Iterator[str]:
    """All that is wrong with a block; of unknown fields the first few."""
    for name in parsers:
        if name in block and (parse := parsers[name]) is not None:
            try:
                parse(block[name])
            except ValueError as fault:
                yield f"{name} {fault}"
    if unknown := [*islice((shown(name) for name in block if name not in parsers), MOST_FAULTS)]:
        yield f"unknown field {', '.join(unknown)}; allowed are {', '.join(sorted(parsers))}"
    yield from _missing(required, block)


def require(names: Iterable[str], block: Mapping[str, Any]) -> None:
    """Check that a block has all these fields.

    Raises:
        ValueError: each that is missing.
    """
    for name in names:
        if name not in block:
            raise missing(names, block)


def missing(names: Iterable[str], block: Mapping[str, Any]) -> ValueError:
    """The refusal of a block that lacks at least one of these fields."""
    return ValueError("; ".join(_missing(names, block)))


def _missing(names: Iterable[str], block: Mapping[str, Any]) -> Iterator[str]:
    return (f"{name} is missing" for name in names if name not in block)
