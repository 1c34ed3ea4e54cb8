"""The executor's compiled form, which is part of the package: `python -m tests.conformance.trader_account_code` writes it again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from basis_strategy_v1.live import trader_account

from .chain import compiled_raw

COMPILED_FORM = Path(trader_account.__file__).parent / trader_account.ARTIFACT
IMMUTABLES = ("aavePool", "morpho")  # in the order of the contract


def compiled_executor() -> dict[str, Any]:
    """A fresh compile of contracts/TraderAccount.sol, or the kept one of the same sources."""
    made = compiled_raw("TraderAccount.sol", via_ir=True, evm_version="cancun")["TraderAccount"]
    immutables = dict(zip(IMMUTABLES, made["immutables"], strict=True))
    return {"bytecode": made["bytecode"][2:], "runtime": made["runtime"][2:], "immutables": immutables}


if __name__ == "__main__":
    COMPILED_FORM.write_text(json.dumps(compiled_executor(), indent=1) + "\n")
