"""Whether the libraries of the extra `live` are installed: what reaches an exchange or a chain needs them, and nothing else does."""

from __future__ import annotations

from importlib.util import find_spec

from basis_strategy_v1.core.error_codes.exceptions import ComponentError

TO_EXCHANGES, TO_CHAIN = "exchanges are", "a chain is"
NEEDED = {TO_EXCHANGES: ("ccxt", "requests"), TO_CHAIN: ("eth_abi", "eth_account", "requests")}


def require_live(what: str) -> None:
    """Refuse to reach out `TO_EXCHANGES` or `TO_CHAIN` without what that takes.

    Raises:
        ComponentError: CFG-003, with how to install it.
    """
    missing = [name for name in NEEDED[what] if find_spec(name) is None]
    if missing:
        names = " and ".join(missing)
        raise ComponentError("CFG-003", f"{what} reached through {names}: install basis-strategy[live] "
                             "(in a checkout: pip install '.[live]')")  # fmt: skip
