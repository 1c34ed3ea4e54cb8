"""A move made on the chain and in the model: either both accept it or both refuse it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from basis_strategy_v1.venues.reverted import Reverted

from .chain import TransactionReverted

if TYPE_CHECKING:
    from collections.abc import Callable


def both_accept(label: str, model: Callable[[], None], chain: Callable[[], object]) -> bool:
    """Return whether both accepted; an AssertionError with both reasons where they differ."""
    here = there = ""
    try:
        chain()
    except TransactionReverted as reverted:
        there = f"chain reverts: {reverted}"
    try:
        model()
    except Reverted as reverted:
        here = f"model refuses: {reverted}"
    assert bool(here) == bool(there), f"{label}: {here or 'model accepts'}; {there or 'chain accepts'}"
    return not here
