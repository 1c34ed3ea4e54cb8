"""A whole state as JSON text, exact: `decode_state(encode_state(state))` gives equal venue states of the same types."""

from __future__ import annotations

from typing import Any, Union

from msgspec import DecodeError, Raw, Struct, convert
from msgspec.json import Decoder, Encoder

from basis_strategy_v1.core.state import State, VenueState


class _Text(Struct, forbid_unknown_fields=True):
    """A state whose venue states are still text."""

    parts: dict[str, Raw]
    checked: bool


_encoded = Encoder().encode
_decoded = Decoder(_Text).decode


def encode_state(state: State) -> str:
    """The state as JSON text: decimals as text, base units as whole numbers, each venue's state with the tag of its kind."""
    return _encoded(state).decode()


def decode_state(text: str) -> State:
    """The state of a text. The modules that define its kinds of venue states have to be imported.

    Raises:
        ValueError: it is not a state, or names a kind that does not exist.
    """
    try:
        found = _decoded(text)
        venue_state = Decoder(any_of(VenueState), dec_hook=model_state).decode
        return State({venue: venue_state(raw) for venue, raw in found.parts.items()}, found.checked)
    except DecodeError as fault:
        raise ValueError(f"the text is not a state: {fault}") from None


def kinds_of(base: type) -> dict[str, type]:
    """The kinds of `VenueState` or `ModelState`, by tag. A new kind belongs to them by being derived."""
    kinds: list[Any] = base.__subclasses__()
    return {kind.__struct_config__.tag: kind for kind in kinds}


def any_of(base: type) -> Any:
    """The type of any of these kinds, which their tags distinguish."""
    return Union[tuple(kinds_of(base).values())]  # noqa: UP007 the kinds are known only now


def model_state(base: type, data: Any) -> Any:
    """What `data` is where a field is annotated with `ModelState`: for msgspec's `dec_hook`."""
    return convert(data, any_of(base), dec_hook=model_state)
