"""Transactions of the wallet: one action, or a chain of them as a fold over the state."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.instructions import Chain, OutputOf, SmartContractAction
from basis_strategy_v1.core.state import WALLET, State, Wallet
from basis_strategy_v1.core.tokens import REBASING, in_base_units, to_amount
from basis_strategy_v1.venues.venue import ONCHAIN, FlashLender, OnChainVenue, SimulationResult, StepResult, Venues, reject
from basis_strategy_v1.venues.wallet import amount_of, as_read, receive, spend, wallet_of, with_share_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.core.market import MarketSnapshot

# What a transaction costs before it does anything; a chain pays it once.
BASE_GAS = 21_000


def simulate_transaction(steps: Sequence[SmartContractAction], venues: Venues, state: State, market: MarketSnapshot) -> SimulationResult:
    """All steps in one transaction of one wallet: the state goes through them, gas is paid once at the end.

    A failing step raises, naming its index and itself, and leaves the caller's state as it was.
    """
    if len(steps) > 1:
        moved, resolved = _fold(steps, venues, state, market)
    else:
        moved, step = _step(steps[0], venues, state, market, ())
        resolved = [step]
    wallet, results = wallet_of(venues, steps[0].protocol), moved.results
    if not wallet.is_free():
        moved = wallet.pay_gas(moved, gas_units(steps, venues) + moved.more_gas, market)
    return structs.replace(moved, steps=tuple(resolved), results=results)


def _fold(
    steps: Sequence[SmartContractAction], venues: Venues, state: State, market: MarketSnapshot
) -> tuple[SimulationResult, list[SmartContractAction]]:
    """The state through all steps, and the steps with their amounts as numbers. A failure deep in a chain says which step it was."""
    resolved: list[SmartContractAction] = []
    outputs: list[Deltas] = []
    results: list[StepResult] = []
    costs: tuple[Cost, ...] = ()
    details: dict[str, Any] = {}
    more_gas = 0
    for index, step in enumerate(steps):
        try:
            _require_wallet(step, steps[0], venues)
            moved, known = _step(step, venues, state, market, outputs)
        except VenueRejected as refused:
            message = f"step {index} ({step.protocol} {step.action}): {refused.message}"
            raise VenueRejected(refused.error_code, message, refused.component, original_exception=refused) from refused
        state = moved.state
        resolved.append(known)
        outputs.append(moved.deltas)
        results += moved.results
        costs += moved.costs
        more_gas += moved.more_gas
        if moved.details:
            details[f"step_{index}"] = moved.details
    return SimulationResult(state, Deltas.total(outputs), costs, details, more_gas, results=tuple(results)), resolved


def _require_wallet(step: SmartContractAction, first: SmartContractAction, venues: Venues) -> None:
    own, sender = (_on_chain(each, venues).wallet for each in (step, first))
    if own != sender:
        reject(ONCHAIN, f"one transaction is of one wallet: {step.protocol} pays from {own}, {first.protocol} from {sender}; send two")


def _step(
    step: SmartContractAction, venues: Venues, state: State, market: MarketSnapshot, outputs: Sequence[Deltas]
) -> tuple[SimulationResult, SmartContractAction]:
    venue = _on_chain(step, venues)
    for token in (step.token, step.token_out):
        if token in REBASING:
            state = with_share_rate(state, venue.wallet, token, market)
    resolved = _resolved(step, venues, state, outputs)
    if step.action == "flash_loan":
        moved, inner = _flash_loan(resolved, venues, state, market)
        resolved = structs.replace(resolved, steps=tuple(inner))
    else:
        moved = venue.simulate(resolved, state, market)
    read = as_read(state, moved, moved.deltas, step.protocol, venue.wallet)
    results = moved.results or (StepResult(resolved, read.deltas, read.costs),)
    return structs.replace(read, results=results), resolved


def _resolved(step: SmartContractAction, venues: Venues, state: State, outputs: Sequence[Deltas]) -> SmartContractAction:
    """The step with its amount in whole base units: "all" and `output_of` become numbers."""
    token, amount = step.token, step.amount
    if not token:
        return step
    if isinstance(amount, str):  # "all"
        whole = to_amount(token, _on_chain(step, venues).resolve(step, state))
        if not whole:
            reject(ONCHAIN, f"{step.protocol} {step.action} of all {token}: there is none")
    else:
        if isinstance(amount, OutputOf):
            amount = _output(token, amount, outputs)
        whole = in_base_units(token, amount)
        if not whole:
            reject(ONCHAIN, f"{plain(amount)} {token} is less than one base unit of it")
    return structs.replace(step, amount=whole)


def with_output(step: SmartContractAction, outputs: Sequence[Deltas]) -> SmartContractAction:
    """The step with `output_of` replaced by what that earlier step paid out of the step's token."""
    if not isinstance(step.amount, OutputOf):
        return step
    return structs.replace(step, amount=_output(step.token, step.amount, outputs))


def _output(token: str, of: OutputOf, outputs: Sequence[Deltas]) -> Decimal:
    """What came of a token in a step, less what went: of a flash loan, what its steps have left in the wallet."""
    output = outputs[of.step].amounts
    paid_out = sum((tokens[token] for tokens in output.values() if token in tokens), Decimal(0))
    if paid_out <= 0:
        others = dict.fromkeys(name for tokens in output.values() for name, amount in tokens.items() if amount > 0 and name != token)
        reject(ONCHAIN, f"step {of.step} paid out {', '.join(others) or 'nothing'}, not {token}")
    return paid_out * of.fraction


def before_gas(deltas: Deltas, costs: Sequence[Cost], wallet: str = WALLET) -> Deltas:
    """What a transaction moved, but for the gas that it paid out of the same ETH of its wallet."""
    gas = sum((cost.amount for cost in costs if cost.source == "gas"), Decimal(0))
    return deltas + Deltas.at(wallet, {"ETH": gas})


def _flash_loan(
    loan: SmartContractAction, venues: Venues, state: State, market: MarketSnapshot
) -> tuple[SimulationResult, list[SmartContractAction]]:
    """The steps while the loan is out. What the lender has lent out is not there for them to withdraw or borrow."""
    lender, token, amount = venues[loan.protocol], loan.token, amount_of(loan)
    if not isinstance(lender, FlashLender):
        reject(ONCHAIN, f"{loan.protocol} has no flash loans; take one from another protocol")
    for step in loan.steps:
        _require_wallet(step, loan, venues)
    fee, wallet = lender.flash_fee(token, amount, state, market), lender.wallet
    lent = lender.lend_flash(state, token, amount, market)
    inner, steps = _fold(loan.steps, venues, receive(lent, wallet, token, amount), market)
    owed = amount + fee
    held = to_amount(token, inner.state.part(wallet, Wallet).units_of(token))
    if state.checked and held < owed:
        reject(ONCHAIN, f"flash loan of {plain(amount)} {token} owes {plain(owed)} at its end, the wallet then holds {plain(held)}; "
                        "borrow less or let a step bring the rest")  # fmt: skip
    paid = spend(inner.state, wallet, token, owed, "flash loan")
    after = lender.take_back(paid, token, amount, market)
    shared = lender.shared_by(paid, after)
    own = Deltas.at(loan.protocol, {token: -fee}) + shared
    costs: tuple[Cost, ...] = (Cost("fees", token, fee),) if fee else ()
    costs += tuple(Cost("supply_interest", token, -gain) for gain in shared.tokens(loan.protocol).values())
    results = (StepResult(structs.replace(loan, steps=tuple(steps)), own, costs), *inner.results)
    details = {**inner.details, "flash_fee": plain(fee)}
    return SimulationResult(after, inner.deltas + own, (*inner.costs, *costs), details, inner.more_gas, results=results), steps


def resolved_instruction(instruction: Instruction, moved: SimulationResult) -> Instruction:
    """The instruction with every amount of its steps as the number that it was simulated with."""
    if isinstance(instruction, Chain):
        return structs.replace(instruction, steps=moved.steps)
    return moved.steps[0] if isinstance(instruction, SmartContractAction) else instruction


def gas_units(steps: Sequence[SmartContractAction], venues: Venues) -> int:
    """Gas units of a transaction of these steps, those of their loans among them."""
    return BASE_GAS + _gas_units(steps, venues)


def _gas_units(steps: Sequence[SmartContractAction], venues: Venues) -> int:
    units = 0
    for step in steps:
        units += _on_chain(step, venues).gas_units(step)
        if step.steps:
            units += _gas_units(step.steps, venues)
    return units


def _on_chain(step: SmartContractAction, venues: Venues) -> OnChainVenue:
    venue = venues[step.protocol]
    if not isinstance(venue, OnChainVenue):
        reject(ONCHAIN, f"{step.protocol} has no actions; got {step.action}")
    return venue
