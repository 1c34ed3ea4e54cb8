"""The calls of one transaction: an action or a chain, as it was meant and as it was simulated."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import structs

from basis_strategy_v1.core.chain_call import ALL, CallStep, EncodeAction, StepOutput
from basis_strategy_v1.core.instruction_fields import OutputOf
from basis_strategy_v1.core.instruction_steps import top_steps
from basis_strategy_v1.core.tokens import to_units
from basis_strategy_v1.venues.venue import ONCHAIN, reject
from basis_strategy_v1.venues.wallet_calls import held

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from basis_strategy_v1.core.chain_call import ChainCall, Deployment
    from basis_strategy_v1.core.instructions import Chain, SmartContractAction


def encode_transaction(
    meant: SmartContractAction | Chain, simulated: SmartContractAction | Chain, at: Deployment, deadline_s: int = ALL
) -> tuple[CallStep, ...]:
    """The steps of one transaction. `simulated` is the instruction with every amount as a number (`resolved_instruction`), and with the
    least that must come out of each swap; an amount that `meant` leaves open is known when the call is made. Pure.

    Raises:
        VenueRejected: a venue's actions are not sent live, or an address is not known.
    """
    return _steps(top_steps(meant), top_steps(simulated), at, deadline_s)


def _steps(
    meant: Sequence[SmartContractAction], simulated: Sequence[SmartContractAction], at: Deployment, deadline_s: int
) -> tuple[CallStep, ...]:
    encoded = [_encode(index, *pair, at, deadline_s) for index, pair in enumerate(zip(meant, simulated, strict=True))]
    measured: list[dict[str, None]] = [{} for _ in encoded]
    for calls in encoded:
        for output in _outputs(calls):
            measured[output.step][output.token] = None
    return tuple(CallStep(calls, tuple(tokens)) for calls, tokens in zip(encoded, measured, strict=True))


def _encode(
    index: int, meant: SmartContractAction, simulated: SmartContractAction, at: Deployment, deadline_s: int
) -> tuple[ChainCall, ...]:
    if simulated.protocol not in at.venues:
        reject(ONCHAIN, f"{simulated.protocol} {simulated.action} is not sent: the contracts of {simulated.protocol} are not known; "
                        f"known are those of {', '.join(at.venues)}")  # fmt: skip
    assert isinstance(simulated.amount, Decimal)
    made = EncodeAction(
        action=simulated,
        units=to_units(simulated.token, simulated.amount) if simulated.token else 0,
        at_run_time=_at_run_time(meant, at),
        deadline_s=deadline_s,
        place=index,
    )
    calls = at.venues[simulated.protocol].encode(made, at)
    if simulated.action != "flash_loan":
        return calls
    (call,) = calls
    return (structs.replace(call, loan=_steps(meant.steps, simulated.steps, at, deadline_s)),)


def _at_run_time(meant: SmartContractAction, at: Deployment) -> str | StepOutput | None:
    if not isinstance(meant.amount, OutputOf):
        return meant.amount if isinstance(meant.amount, str) else None
    numerator, denominator = meant.amount.fraction.as_integer_ratio()
    return StepOutput(meant.amount.step, held(meant.token, at).token, numerator, denominator)


def _outputs(calls: Sequence[ChainCall]) -> Iterator[StepOutput]:
    """The outputs of steps that the calls of one step ask for; those of a loan's own steps are measured there."""
    for call in calls:
        for amount in (call.amount, None if call.allowance is None else call.allowance.amount):
            if amount is not None and isinstance(amount.at_run_time, StepOutput):
                yield amount.at_run_time
