"""Binance USD-M futures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .dialect import Route

ROUTES: dict[str, Route] = {}
