"""How long parse_instruction takes: usual blocks, and the worst that a hostile caller can hand in."""

from __future__ import annotations

from typing import Any

from figures import best_of, show

from basis_strategy_v1 import ComponentError
from basis_strategy_v1.core.instructions import parse_instruction

TRADE = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": 1.5}
STEP = {"protocol": "aave", "action": "supply", "token": "USDT", "amount": "1000"}
TEN_MEGABYTES = 10_000_000
REPEATS = 2_000


def _nested(depth: int) -> dict[str, Any]:
    block: dict[str, Any] = dict(STEP)
    for _ in range(depth):
        block = {"protocol": "aave", "action": "flash_loan", "token": "USDT", "amount": 1, "sub_instructions": [block]}
    return {"instruction_type": "smart_contract_action", **block}


def _shared(levels: int) -> dict[str, Any]:
    """A small object that stands for 64 ** levels steps."""
    steps = [dict(STEP)] * 64
    for _ in range(levels):
        steps = [{"protocol": "aave", "action": "flash_loan", "token": "USDT", "amount": 1, "sub_instructions": steps}] * 64
    return {"instruction_type": "smart_contract_action", "sub_instructions": steps}


HOSTILE: dict[str, Any] = {
    "an amount of ten million digits": {**TRADE, "amount": "9" * TEN_MEGABYTES},
    "an integer of ten million bits": {**TRADE, "amount": 1 << TEN_MEGABYTES},
    "a venue name of ten megabytes": {**TRADE, "venue": "b" * TEN_MEGABYTES},
    "300,000 unknown fields": {**TRADE, **{f"field{index}": index for index in range(300_000)}},
    "flash loans nested 1,000 deep": _nested(1_000),
    "steps that share 64 x 64 x 64 others": _shared(2),
    "a list of a million numbers": list(range(1_000_000)),
}


def main() -> None:
    usual = {"a trade": TRADE, "an action": {"instruction_type": "smart_contract_action", **STEP}, "a chain of two": {
        "instruction_type": "smart_contract_action", "sub_instructions": [STEP, STEP]}}  # fmt: skip
    for name, block in usual.items():
        show(f"{name}, accepted", best_of(7, lambda block=block: _many(block), REPEATS) * 1e6, None, "µs")
    worst = {name: best_of(3, lambda block=block: _refused(block)) * 1e3 for name, block in HOSTILE.items()}
    for name, milliseconds in worst.items():
        show(f"{name}, refused", milliseconds, None, "ms")
    show("the worst of them", max(worst.values()), 50, "ms")


def _many(block: Any) -> None:
    for _ in range(REPEATS):
        parse_instruction(block)


def _refused(block: Any) -> None:
    try:
        parse_instruction(block)
    except ComponentError as error:
        assert error.error_code == "EIM-001"
    else:
        raise AssertionError("a hostile block was accepted")


if __name__ == "__main__":
    main()
