"""Transactions of the wallet: one action, or a chain of them as a fold over the state."""

from __future__ import annotations

from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.instructions import OutputOf, SmartContractAction
from basis_strategy_v1.core.state import WALLET, State, Wallet
from basis_strategy_v1.core.tokens import to_amount, to_units
from basis_strategy_v1.venues.venue import ONCHAIN, Moved, Venues, reject
from basis_strategy_v1.venues.wallet import as_read, receive, spend, with_share_rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from basis_strategy_v1.core.market import MarketSnapshot

# What a transaction costs before it does anything; a chain pays it once.
BASE_GAS = 21_000


def simulate_transaction(steps: Sequence[SmartContractAction], venues: Venues, state: State, market: MarketSnapshot) -> Moved:
    """All steps in one transaction: the state goes through them, gas is paid once at the end.

    A failing step raises, naming its index and itself, and leaves the caller's state as it was.
    """
    moved = _fold(steps, venues, state, market, chained=len(steps) > 1)
    units = BASE_GAS + sum(_gas_units(step, venues) for step in steps)
    paid: Moved = venues[WALLET].pay_gas(moved, units, market)
    return paid


def _fold(steps: Sequence[SmartContractAction], venues: Venues, state: State, market: MarketSnapshot, *, chained: bool) -> Moved:
    total, outputs = Deltas(), list[Deltas]()
    costs: list[Cost] = []
    details: dict[str, Any] = {}
    for index, step in enumerate(steps):
        with _located(index, step, chained):
            before = with_share_rate(with_share_rate(state, step.token, market), step.token_out or "", market)
            resolved = _resolved(step, venues, before, outputs)
            if step.action == "flash_loan":
                moved = _flash_loan(resolved, venues, before, market)
            else:
                moved = venues[step.protocol].simulate(resolved, before, market)
            moved = as_read(before, moved, moved.deltas, step.protocol)
        state = moved.state
        total += moved.deltas
        costs.extend(moved.costs)
        outputs.append(moved.deltas)
        if moved.details:
            details.update(moved.details if not chained else {f"step_{index}": dict(moved.details)})
    return Moved(state, total, tuple(costs), details)


def _resolved(step: SmartContractAction, venues: Venues, state: State, outputs: Sequence[Deltas]) -> SmartContractAction:
    """The step with its amount in whole base units: "all" and `output_of` become numbers."""
    step = with_output(step, outputs)
    if not step.token:
        return step
    if step.amount == "all":
        units = venues[step.protocol].resolve(step, state)
        if not units:
            reject(ONCHAIN, f"{step.protocol} {step.action} of all {step.token}: there is none")
        return structs.replace(step, amount=to_amount(step.token, units))
    assert isinstance(step.amount, Decimal)
    units = to_units(step.token, step.amount)
    if not units:
        reject(ONCHAIN, f"{plain(step.amount)} {step.token} is less than one base unit of it")
    return structs.replace(step, amount=to_amount(step.token, units))


def with_output(step: SmartContractAction, outputs: Sequence[Deltas]) -> SmartContractAction:
    """The step with `output_of` replaced by what that earlier step paid out of the step's token."""
    if not isinstance(step.amount, OutputOf):
        return step
    paid_out: dict[str, Decimal] = {}
    for (_, token), amount in outputs[step.amount.step].items():
        if amount > 0:
            paid_out[token] = paid_out.get(token, Decimal(0)) + amount
    if step.token not in paid_out:
        reject(ONCHAIN, f"step {step.amount.step} paid out {', '.join(paid_out) or 'nothing'}, not {step.token}")
    return structs.replace(step, amount=paid_out[step.token] * step.amount.fraction)


def _flash_loan(loan: SmartContractAction, venues: Venues, state: State, market: MarketSnapshot) -> Moved:
    lender, token = venues[loan.protocol], loan.token
    assert isinstance(loan.amount, Decimal)
    fee = lender.flash_fee(token, loan.amount)
    inner = _fold(loan.steps, venues, receive(state, token, loan.amount), market, chained=True)
    owed = loan.amount + fee
    held = to_amount(token, inner.state.part(WALLET, Wallet).units_of(token))
    if state.checked and held < owed:
        reject(ONCHAIN, f"flash loan of {plain(loan.amount)} {token} owes {plain(owed)} at its end, the wallet then holds {plain(held)}; "
                        "borrow less or let a step bring the rest")  # fmt: skip
    after = spend(inner.state, token, owed, "flash loan")
    deltas = inner.deltas + Deltas.at(loan.protocol, {token: -fee})
    costs = (*inner.costs, Cost("fees", token, fee)) if fee else inner.costs
    return Moved(after, deltas, costs, {**inner.details, "flash_fee": plain(fee)})


def _gas_units(step: SmartContractAction, venues: Venues) -> int:
    units: int = venues[step.protocol].gas_units(step)
    return units + sum(_gas_units(inner, venues) for inner in step.steps)


@contextmanager
def _located(index: int, step: SmartContractAction, chained: bool) -> Iterator[None]:
    """A failure deep in a chain says which step it was."""
    try:
        yield
    except VenueRejected as refused:
        if not chained:
            raise
        message = f"step {index} ({step.protocol} {step.action}): {refused.message}"
        raise VenueRejected(refused.error_code, message, refused.component, original_exception=refused) from refused
