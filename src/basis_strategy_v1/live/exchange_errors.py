"""What an exchange's error means for what is done next, by its HTTP status and its own code."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from basis_strategy_v1.live.exchange_client import Refusal


class Meaning(StrEnum):
    """What a refusal of an order means. All but UNKNOWN: this request was not executed.

    `final`: the same order is refused again. `key`: the key may not do it. `unknown`: perhaps it was executed. `clock`: its time was not
    accepted. `limited`: too many requests. `duplicate`: an earlier attempt is there. `absent`: the venue knows no such order.
    `maintenance`: the venue takes nothing now.
    """

    FINAL = "final"
    KEY = "key"
    UNKNOWN = "unknown"
    CLOCK = "clock"
    LIMITED = "limited"
    DUPLICATE = "duplicate"
    ABSENT = "absent"
    MAINTENANCE = "maintenance"


TOO_MANY = (418, 429)
UNAVAILABLE = 503
# A gateway on the way, a wrong address, a blocked country: the venue's matching has not seen it.
NOT_PASSED = (400, 401, 403, 404, 405, 451)


def meaning_of(refusal: Refusal, table: Mapping[str, Meaning]) -> Meaning:
    """The meaning of a refusal. `table` is by a venue's code, by `CODE TEXT` where a code has several, or by `HTTP STATUS` of a page.

    What is in no table counts as unknown: it is looked up.
    """
    if refusal.status in TOO_MANY:
        return Meaning.LIMITED
    if refusal.status == UNAVAILABLE and "maintenance" in refusal.text.lower():
        return Meaning.MAINTENANCE
    if refusal.status >= 500 or refusal.status == 408:
        return Meaning.UNKNOWN
    if not refusal.code:
        return table.get(f"HTTP {refusal.status}") or (Meaning.FINAL if refusal.status in NOT_PASSED else Meaning.UNKNOWN)
    whole = f"{refusal.code} {refusal.text}"
    return next((meaning for text, meaning in table.items() if " " in text and whole.startswith(text)), None) or table.get(
        refusal.code, Meaning.UNKNOWN
    )
