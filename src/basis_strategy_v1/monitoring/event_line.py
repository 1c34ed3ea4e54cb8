"""One event as one line of JSON: how it is written, and how its parts are read again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import msgspec

from basis_strategy_v1.core.text import as_text

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
LONGEST_LINE = 256 * 1024  # bytes; in a longer one each text is cut
LONGEST_TEXT = 10_000
_PLAIN = (bool, int, float, Decimal, datetime, date, type(None))


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
    their strings. What JSON has no form for is written as its text, so that no event is lost for what it carries, be it an object that
    raises whatever is asked of it. In a line of more than LONGEST_LINE bytes texts are cut. The order within
    `data` is the caller's; a set has none, so its bytes differ from run to run.
    """
    try:
        lines = encode_lines(events)
    except Exception:  # noqa: BLE001 what the objects of a stranger raise cannot be known
        lines = encode_lines([msgspec.structs.replace(event, data=_plain(event.data, 0)) for event in events])
    return lines if len(lines) <= LONGEST_LINE else b"".join(map(_shortened, lines.splitlines(keepends=True)))


def _shortened(line: bytes) -> bytes:
    if len(line) <= LONGEST_LINE:
        return line
    return _ENCODER.encode(_cut(msgspec.json.decode(line))) + b"\n"


def _cut(value: Any) -> Any:
    if isinstance(value, dict):
        return {_cut(name): _cut(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_cut(inner) for inner in value]
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"{value[:LONGEST_TEXT]}... ({len(value)} characters)"
    return value


def json_of(value: Any) -> bytes:
    """Any value as JSON, by the rules of `lines_of`."""
    try:
        return _ENCODER.encode(value)
    except Exception:  # noqa: BLE001 what the objects of a stranger raise cannot be known
        return _ENCODER.encode(_plain(value, 0))


def parse_line(line: bytes) -> EventLine | None:
    """The event of one line; None where the line is truncated or is no event."""
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
    """The value in JSON's own types, cut off where it is nested too deep, and named where it raises."""
    try:
        return _made_plain(value, depth)
    except Exception as error:  # noqa: BLE001 a stranger's object
        return f"<{type(value).__name__} that raises {type(error).__name__}>"


def _made_plain(value: Any, depth: int) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, _PLAIN):
        return _foreign(value)
    if depth == DEEPEST:
        return f"<{type(value).__name__} nested deeper than {DEEPEST}>"
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value)
    if isinstance(value, Mapping):
        return {_text(key): _plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, depth + 1) for inner in value]
    if isinstance(value, set | frozenset):
        return sorted(_text(inner) for inner in value)
    return _text(value)


def _text(value: Any) -> str:
    # A lone surrogate (half of a character, from a broken file name or message) has no UTF-8 form.
    return as_text(value).encode("utf-8", "backslashreplace").decode()


_ENCODER = msgspec.json.Encoder(enc_hook=_foreign)
encode_lines = _ENCODER.encode_lines
decode_line = msgspec.json.Decoder(EventLine).decode
