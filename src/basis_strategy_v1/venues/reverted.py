"""What a contract's integer model raises where the contract would revert."""

from __future__ import annotations


class Reverted(Exception):
    """The contract reverts; the text is its reason, or says in plain words which requirement failed."""
