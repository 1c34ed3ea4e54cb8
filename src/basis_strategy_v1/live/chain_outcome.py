"""What a transaction came to, as the account records it: deltas, changes in the venues' own units, gas, interest up to its block."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import SECOND_US, from_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.gateway import Due, Happened, MalformedAnswer
from basis_strategy_v1.core.instruction_codec import decode_instruction
from basis_strategy_v1.core.instruction_steps import all_steps
from basis_strategy_v1.core.instructions import WalletTransfer
from basis_strategy_v1.core.state import State, Wallet
from basis_strategy_v1.core.state_change import change_between
from basis_strategy_v1.core.tokens import to_amount
from basis_strategy_v1.core.transit import set_off
from basis_strategy_v1.live.chain_abi import field, number_of
from basis_strategy_v1.live.chain_fees import gwei_of
from basis_strategy_v1.venues.aave_account import UserAccount
from basis_strategy_v1.venues.aave_names import debt_name, deposit_name
from basis_strategy_v1.venues.aave_state import AaveState

if TYPE_CHECKING:
    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.live.aave_events import AaveEffect
    from basis_strategy_v1.live.chain_effects import Effect
    from basis_strategy_v1.live.chain_message import SentTransaction
    from basis_strategy_v1.live.chain_reader import BlockReading

ETH = "ETH"


class Receipt(Struct, frozen=True, kw_only=True):
    """What a block says of a transaction. `gas_wei` is all that was paid for it."""

    hash: str
    block_number: int
    block_hash: str
    is_success: bool
    gas_used: int
    gas_wei: int
    price_wei: int
    logs: list[dict[str, Any]]


def receipt_of(answer: Mapping[str, Any]) -> Receipt:
    """A receipt as a node gives it.

    Raises:
        MalformedAnswer.
    """
    used, price = field(answer, "gasUsed"), field(answer, "effectiveGasPrice")
    more = number_of(answer.get("l1Fee") or "0x0", "an l1Fee")
    return Receipt(
        hash=str(answer["transactionHash"]), block_number=field(answer, "blockNumber"), block_hash=str(answer["blockHash"]),
        is_success=field(answer, "status") == 1, gas_used=used, gas_wei=used * price + more, price_wei=price, logs=list(answer["logs"]),
    )  # fmt: skip


def deltas_of(effect: Effect, instruction: Instruction | None, before: State, after: State, wallet: str) -> Deltas:
    """What moved, by the venue that did it. The balances of protocols are read in their pools: `before` as they were at the second of the
    transaction, `after` with what it did."""
    found: list[Deltas] = []
    for venue, tokens in effect.tokens.items():
        for token, units in tokens.items():
            found.append(Deltas.at(venue or _doer(instruction, token, wallet), {token: to_amount(token, units)}))
    for name in effect.aave:
        found.append(Deltas.at(name, units_moved(before.part(name, AaveState), after.part(name, AaveState))))
    return Deltas.total(found)


def at_second(part: AaveState, at_s: int) -> AaveState:
    """The part at a later second: its balances have grown until then."""
    return structs.replace(part, instant=at_s * SECOND_US, now_s=at_s)


def units_moved(before: AaveState, after: AaveState) -> dict[str, Decimal]:
    """By how much the balances and debts of two accounts in one pool differ, as they read."""
    then, now = before.units(), after.units()
    found: dict[str, Decimal] = {}
    for token in dict.fromkeys((*then, *now)):
        (had, owed), (has, owes) = then.get(token, (0, 0)), now.get(token, (0, 0))
        found[deposit_name(token)], found[debt_name(token)] = to_amount(token, has - had), to_amount(token, owes - owed)
    return {name: amount for name, amount in found.items() if amount}


def user_before(user: UserAccount, changed: AaveEffect) -> UserAccount:
    """The account without what a transaction changed. The e-mode before it is not known, and stays."""
    collateral = user.collateral - changed.collateral_on | changed.collateral_off
    return UserAccount(_sum(user.supplied, changed.supplied, -1), _sum(user.borrowed, changed.borrowed, -1), collateral, user.emode)


def user_after(user: UserAccount, changed: AaveEffect) -> UserAccount:
    """The account with what a transaction changed."""
    collateral = user.collateral - changed.collateral_off | changed.collateral_on
    emode = user.emode if changed.emode is None else changed.emode
    return UserAccount(_sum(user.supplied, changed.supplied, 1), _sum(user.borrowed, changed.borrowed, 1), collateral, emode)


def _sum(held: Mapping[str, int], change: Mapping[str, int], sign: int) -> dict[str, int]:
    found = {token: held.get(token, 0) + sign * change.get(token, 0) for token in dict.fromkeys((*held, *change))}
    return {token: scaled for token, scaled in found.items() if scaled}


def _doer(instruction: Instruction | None, token: str, wallet: str) -> str:
    """Whose doing a payment is whose other side has no name: the first step that takes or pays the token."""
    if instruction is None or isinstance(instruction, WalletTransfer):
        return wallet
    steps = all_steps(instruction)
    return next((step.protocol for step in steps if token in (step.token, step.token_out)), steps[0].protocol)


def interest_due(name: str, read: AaveState, block_hash: str) -> Due:
    """What a pool was like at a block: the account brings its balances there, and what they grow by is interest. It holds no amounts."""
    change = change_between(None, read.without_holdings())
    return Due(
        id=f"interest:{name}:{block_hash}", venue=name, kind="interest", at=from_instant(read.instant), deltas=Deltas(),
        changes={name: {key: value for key, value in change.items() if key != "whole"}}, details={"block": block_hash},
    )  # fmt: skip


def wallet_change(moved: Mapping[str, int]) -> dict[str, Any]:
    """A change of the wallet's units."""
    return change_between(Wallet(), Wallet({token: units for token, units in moved.items() if units}))


def outcome(sent: SentTransaction, receipt: Receipt, effect: Effect, before: BlockReading, after: BlockReading, wallet: str) -> Happened:
    """What the account records of a transaction that is final, from readings of the block before its own and of its own."""
    instruction = decode_instruction(sent.instruction)
    gas = to_amount(ETH, receipt.gas_wei)
    details = {
        "block": receipt.block_number, "block_hash": receipt.block_hash, "gas_units": receipt.gas_used, "gas_eth": plain(gas),
        "gas_gwei": plain(gwei_of(receipt.price_wei)), "nonce": sent.unsigned.nonce,
    }  # fmt: skip
    paid = Deltas.at(wallet, {ETH: -gas})
    costs = (Cost("gas", ETH, gas),)
    if (why := _without_effect(sent, receipt)) is not None:
        details["why"] = why
        return Happened(
            deltas=paid, reference=receipt.hash, changes={wallet: wallet_change({ETH: -receipt.gas_wei})}, filled=Decimal(0), costs=costs,
            details=details, failed=True,
        )  # fmt: skip
    moved = {token: effect.moved(token) for token in effect.names}
    moved[ETH] = moved.get(ETH, 0) - receipt.gas_wei
    changes: dict[str, Any] = {wallet: wallet_change(moved)}
    then = _at_time_of(before.state, after, effect)
    deltas = deltas_of(effect, instruction, then, after.state, wallet) + paid
    settlements = []
    for name, part in after.state.parts.items():
        if isinstance(part, AaveState):
            was = then.part(name, AaveState)
            settlements.append(interest_due(name, was, receipt.block_hash))
            if name in effect.aave:
                changes[name] = change_between(was, part)
    if isinstance(instruction, WalletTransfer):
        deltas, in_transit = _arriving(instruction, deltas, receipt, after.block.time_s)
        changes |= in_transit
    return Happened(
        deltas=deltas, reference=receipt.hash, changes=changes, settlements=tuple(settlements), costs=costs, details=details,
    )  # fmt: skip


def _without_effect(sent: SentTransaction, receipt: Receipt) -> str | None:
    """Why a transaction did nothing but pay its gas; None where it did what it was for."""
    if not receipt.is_success:
        return "it was reverted"
    if sent.is_empty:
        return "it was replaced by an empty transaction"
    if sent.is_batch and not receipt.logs:  # a call of an address without code succeeds
        return "the account had no code that runs its calls"
    return None


def _at_time_of(before: State, after: BlockReading, effect: Effect) -> State:
    """The pools as they were just before the transaction, at its second; the positions are those after it, without what it did."""
    for name, part in after.state.parts.items():
        if isinstance(part, AaveState):
            user = user_before(part.user, effect.aave[name]) if name in effect.aave else part.user
            emode = before.part(name, AaveState).user.emode
            was = at_second(before.part(name, AaveState), after.block.time_s)
            before = before.with_part(name, was.with_user(structs.replace(user, emode=emode)))
    return before


def _arriving(transfer: WalletTransfer, deltas: Deltas, receipt: Receipt, at_s: int) -> tuple[Deltas, dict[str, Any]]:
    """A payment is on its way until the other side has credited it; it is known there by the transaction's hash."""
    amount = transfer.amount
    if deltas.get(transfer.from_venue, transfer.token) > 0:
        raise MalformedAnswer(f"{plain(amount)} {transfer.token} that were to be paid came in", receipt.hash)
    on_its_way, changes = set_off(receipt.hash, transfer.to_venue, transfer.token, amount, at_s * SECOND_US)
    return deltas + on_its_way, changes
