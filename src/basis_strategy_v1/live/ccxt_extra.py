"""Whether the libraries of the extra `live` are installed: what reaches an exchange needs them, and nothing else does."""

from __future__ import annotations

from importlib.util import find_spec

from basis_strategy_v1.core.error_codes.exceptions import ComponentError

NEEDED = ("ccxt", "requests")


def require_ccxt() -> None:
    """Refuse to reach an exchange without ccxt.

    Raises:
        ComponentError: CFG-003, with how to install it.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        names = " and ".join(missing)
        raise ComponentError("CFG-003", f"exchanges are reached through {names}: install basis-strategy[live] "
                             "(in a checkout: pip install '.[live]')")  # fmt: skip
