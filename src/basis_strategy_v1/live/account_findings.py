"""What a look at a venue account has found, before a run trades there."""

from __future__ import annotations

from msgspec import Struct


class AccountFindings(Struct, frozen=True):
    """What stands in the way of trading (`faults`), and what is only worth knowing (`notes`). One line each."""

    faults: tuple[str, ...]
    notes: tuple[str, ...]
