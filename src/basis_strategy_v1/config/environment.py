"""The four BASIS_* variables, read once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from basis_strategy_v1.config.faults import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

VARIABLES: Final[dict[str, tuple[str, ...]]] = {  # the first is the default
    "BASIS_EXECUTION_MODE": ("backtest", "live"),
    "BASIS_ENVIRONMENT": ("dev", "staging", "production"),
    "BASIS_DEPLOYMENT_MODE": ("local", "docker"),
    "BASIS_DATA_MODE": ("csv", "db"),
}


class Environment(Struct, frozen=True):
    """How this process runs: simulated or live, whose credentials, where, and from what data."""

    execution_mode: str
    environment: str
    deployment_mode: str
    data_mode: str

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> Environment:
        """The variables of `environ` (the process's own when None), a default for each that is not set.

        Raises:
            ComponentError: CFG-002, a line for each variable with a value that is not allowed.
        """
        source = os.environ if environ is None else environ
        values = {name: source.get(name, allowed[0]) for name, allowed in VARIABLES.items()}
        wrong = {name: value for name, value in values.items() if value not in VARIABLES[name]}
        if wrong:
            raise ComponentError(
                "CFG-002", "\n".join(f"{name}: {shown(wrong[name])}; allowed: {' | '.join(VARIABLES[name])}" for name in wrong)
            )
        return cls(*values.values())
