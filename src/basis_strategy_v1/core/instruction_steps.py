"""The steps within an instruction, and how one of them is named in a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from basis_strategy_v1.core.instructions import CexTrade, Chain, SmartContractAction, WalletTransfer

if TYPE_CHECKING:
    from basis_strategy_v1.core.instructions import Instruction


def venues_of(instruction: Instruction) -> list[str]:
    """Every venue that an instruction names, in its order."""
    if isinstance(instruction, CexTrade):
        return [instruction.venue]
    if isinstance(instruction, WalletTransfer):
        return [instruction.from_venue, instruction.to_venue]
    return [step.protocol for step in all_steps(instruction)]


def located(index: int, step: SmartContractAction, message: str) -> str:
    """What is wrong within a chain, behind the step that it is wrong with."""
    return f"step {index} ({step.protocol} {step.action}): {message}"


def all_steps(instruction: Instruction) -> list[SmartContractAction]:
    """An action itself, or all steps of a chain, each followed by those of its own loan."""
    return [found for step in top_steps(instruction) for found in (step, *(deeper for inner in step.steps for deeper in all_steps(inner)))]


def top_steps(instruction: Instruction) -> tuple[SmartContractAction, ...]:
    """The steps of a chain; an action is a chain of one."""
    if isinstance(instruction, Chain):
        return instruction.steps
    assert isinstance(instruction, SmartContractAction)
    return (instruction,)
