"""What an execution changed at a venue, in the venue's conserved units, so that it can be added to a state that has changed otherwise too.

What is ours changes by differences: amounts are added, records come and go. What a venue is like (`AS_READ` in `core/state.py`) takes its
new value. So two changes that were made from one state add up, and nobody's whole state is taken over.

A change is plain JSON data:

    {}                                                    nothing has changed
    {"type": TAG, "changed": …}                           a venue state of this kind has changed
    {"type": TAG, "changed": …, "whole": true}            there was none, or one of another kind
    {"gone": true}                                        there is none any more

    what                                  its entry in "changed"
    a record                              {field: entry} of the fields that have changed; the places of a plain tuple are _0, _1, …
    an amount                             the difference: a whole number, or a decimal as text
    what has keys                         {"changed": {key: entry}, "gone": [key], "kept": [key]}; what becomes 0 leaves unless it is kept
    a tuple of records                    {"removed": [[place, record]], "added": [[place, record]]}
    a set                                 {"added": [element], "removed": [element]}
    what is read                          the new value
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from basis_strategy_v1.core.state import ExchangeAccount, State, VenueState
from basis_strategy_v1.core.state_codec import kinds_of
from basis_strategy_v1.core.value_change import form_of

Change = dict[str, Any]


def changes_between(before: State, after: State) -> dict[str, Change]:
    """The change of each venue's state that has changed, by venue."""
    venues = dict.fromkeys((*before.parts, *after.parts))
    changes = {venue: change_between(before.parts.get(venue), after.parts.get(venue)) for venue in venues}
    return {venue: change for venue, change in changes.items() if change}


def apply_changes(state: State, changes: Mapping[str, Change]) -> State:
    """The state after the changes of some venues.

    Raises:
        ValueError: a change does not fit its venue's state.
    """
    parts = dict(state.parts)
    for venue, change in changes.items():
        try:
            after = apply_change(parts.get(venue), change)
        except ValueError as fault:
            raise ValueError(f"{venue}: {fault}") from None
        if after is None:
            parts.pop(venue, None)
        else:
            parts[venue] = after
    return State(parts, state.checked)


def change_between(before: VenueState | None, after: VenueState | None) -> Change:
    """What has changed; `apply_change(before, change)` equals `after`."""
    if after is None:
        return {} if before is None else {"gone": True}
    kind: Any = type(after)
    form, tag = form_of(kind), kind.__struct_config__.tag
    if type(before) is kind:
        changed = form.between(before, after)
        return {} if changed is UNSET else {"type": tag, "changed": changed}
    changed = form.between(UNSET, after)
    return {"type": tag, "changed": {} if changed is UNSET else changed, "whole": True}


def apply_change(before: VenueState | None, change: Change) -> VenueState | None:
    """The venue's state after a change.

    Raises:
        ValueError: the change does not fit this state, or is none.
    """
    if not change:
        return before
    if change.get("gone"):
        return None
    tag = change.get("type")
    own: Any = type(before)
    is_own = before is not None and own.__struct_config__.tag == tag
    kind: Any = own if is_own else kinds_of(VenueState).get(str(tag))
    if kind is None:
        raise ValueError(f"the type of a change must be one of {', '.join(sorted(kinds_of(VenueState)))}, got {tag!r}")
    if before is not None and type(before) is not kind and not change.get("whole"):
        raise ValueError(f"a change of type {tag} does not fit a {type(before).__name__}")
    try:
        after: VenueState = form_of(kind).applied(before if type(before) is kind else UNSET, change["changed"])
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as fault:
        raise ValueError(f"a change of type {tag} does not fit: {fault}") from None
    return _without_closed(after) if isinstance(after, ExchangeAccount) else after


def _without_closed(account: ExchangeAccount) -> ExchangeAccount:
    """The account without perps of no base: what a venue's rounding of their profits left of their cost is no position."""
    if all(perp.base for perp in account.perps.values()):
        return account
    return ExchangeAccount(account.balances, {symbol: perp for symbol, perp in account.perps.items() if perp.base})
