"""One event as one line of JSON: how it is written, and how its parts are read again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import msgspec

EVENT_TYPES = frozenset(
    {
        "component_initialization",
        "state_update",
        "error",
        "instruction_routing_failed",
        "venue_interface_unavailable",
        "execution_delta_aggregation_failed",
        "execution",
        "settlement",
        "replayed",
    }
)
DEEPEST = 32
UNENCODABLE = (TypeError, ValueError, RecursionError)
_PLAIN = (bool, int, float, Decimal, date, type(None))


class Event(msgspec.Struct, frozen=True, gc=False):
    """An event about to be written; `timestamp` is a plain datetime in UTC."""

    timestamp: datetime
    event_type: str
    component: str
    data: Any
    sequence: int


class EventLine(msgspec.Struct, frozen=True, gc=False):
    """An event read back; `data` is still the JSON text of the line."""

    timestamp: str
    event_type: str
    component: str
    data: msgspec.Raw
    sequence: int


def lines_of(events: list[Event]) -> bytes:
    """The events' lines, each with its newline.

    Decimals become strings, datetimes ISO text, Structs objects, non-finite floats null; control characters stay escaped inside
    their strings. What JSON has no form for is written as its text, so that no event is lost for what it carries. The order within
    `data` is the caller's; a set has none, so its bytes differ from run to run.
    """
    try:
        return encode_lines(events)
    except UNENCODABLE:
        return encode_lines([msgspec.structs.replace(event, data=_plain(event.data, 0)) for event in events])


def json_of(value: Any) -> bytes:
    """Any value as JSON, by the rules of `lines_of`."""
    try:
        return _ENCODER.encode(value)
    except UNENCODABLE:
        return _ENCODER.encode(_plain(value, 0))


def parse_line(line: bytes) -> EventLine | None:
    """The event of one line; None where the line is torn or is no event."""
    try:
        line.decode()  # the decoder does not look into `data`, where a byte may be damaged too
        return decode_line(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _foreign(value: Any) -> Any:
    """What stands for a value of a type that the encoder does not know: subclasses, numpy's numbers, any mapping."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    return _text(value)


def _plain(value: Any, depth: int) -> Any:
    """The value in JSON's own types, cut off where it is nested too deep."""
    if isinstance(value, _PLAIN):
        return value
    if depth == DEEPEST:
        return f"<{type(value).__name__} nested deeper than {DEEPEST}>"
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, Mapping):
        return {_text(key): _plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, depth + 1) for inner in value]
    if isinstance(value, set | frozenset):
        return sorted(_text(inner) for inner in value)
    return _text(value)


def _text(value: Any) -> str:
    # A lone surrogate (half of a character, from a broken file name or message) has no UTF-8 form.
    return str(value).encode("utf-8", "backslashreplace").decode()


_ENCODER = msgspec.json.Encoder(enc_hook=_foreign)
encode_lines = _ENCODER.encode_lines
decode_line = msgspec.json.Decoder(EventLine).decode
