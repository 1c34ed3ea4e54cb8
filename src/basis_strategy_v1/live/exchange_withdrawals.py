"""A withdrawal out of an exchange: what is sent, checked before it leaves, and what it came to. Pure."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec import to_builtins

from basis_strategy_v1.core.amounts import EXACT, plain
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.gateway import Happened, MalformedAnswer
from basis_strategy_v1.core.instructions import WalletTransfer
from basis_strategy_v1.core.outgoing import OutgoingTransfer, require_message_within
from basis_strategy_v1.core.state import IN_TRANSIT
from basis_strategy_v1.core.transit import UNSENT, set_off
from basis_strategy_v1.live.exchange_orders import ZERO, changes_of, client_id_of
from basis_strategy_v1.live.exchange_prepare import REJECTED, Quote
from basis_strategy_v1.live.exchange_transfers import FoundWithdrawal, NetworkTerms, SentWithdrawal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from basis_strategy_v1.core.limits import Limits
    from basis_strategy_v1.core.order import Approved, Order

BPS = Decimal(10_000)
MINUTE_US = 60_000_000


def prepared_withdrawal(name: str, approved: Approved, limits: Limits, quote: Quote, life_ms: int, run: str) -> SentWithdrawal:
    """The withdrawal as it leaves.

    Raises:
        VenueRejected: the venue would refuse it, its fee is too high, or it is not what was approved.
    """
    order, quoted = approved.order, quote.withdrawal
    transfer = order.instruction
    assert isinstance(transfer, WalletTransfer) and quoted is not None
    terms = _terms(name, transfer.token, quoted.network, quoted.networks)
    leaves = -order.expected.get(name, transfer.token) or transfer.amount
    amount = (leaves / terms.lot).to_integral_value(ROUND_FLOOR) * terms.lot
    fault = _fault_of(name, transfer.token, amount, terms, quote.free) or _fee_fault(name, order, amount, terms, limits)
    if fault is not None:
        _reject(fault)
    outgoing = OutgoingTransfer(token=transfer.token, amount=amount, address=quoted.address, lot=terms.lot)
    require_message_within(approved, limits, outgoing)
    return SentWithdrawal(
        client_id=client_id_of(order.key, run), token=transfer.token, network=terms.network, address=quoted.address,
        to_venue=transfer.to_venue, amount=amount, asked=transfer.amount, fee=terms.fee,
        arrives=(quote.now_ms - quote.offset_ms) * 1000 + int(terms.minutes * MINUTE_US), sent_ms=quote.now_ms,
        expires_ms=quote.now_ms + life_ms,
    )  # fmt: skip


def _terms(name: str, token: str, network: str, networks: Sequence[NetworkTerms]) -> NetworkTerms:
    if not networks:
        _reject(f"{name} does not have {token}")
    found = next((terms for terms in networks if terms.network == network), None)
    if found is None:
        _reject(f"{name} sends no {token} over {network}; it has {', '.join(terms.network for terms in networks)}")
    if not found.takes_withdrawals:
        open_ = [terms.network for terms in networks if terms.takes_withdrawals]
        others = f"; {', '.join(open_)} are open" if open_ else ""
        _reject(f"{name} has closed withdrawals of {token} over {network}; wait{others}")
    return found


def _fault_of(name: str, token: str, amount: Decimal, terms: NetworkTerms, free: Decimal | None) -> str | None:
    least = max(terms.least, terms.fee + terms.lot)
    if amount < least:
        return f"{name} pays out no less than {plain(least)} {token} (fee {plain(terms.fee)}), got {plain(amount)}; transfer more"
    if terms.most is not None and amount > terms.most:
        return f"{name} pays out no more than {plain(terms.most)} {token} at once, got {plain(amount)}; split it"
    if free is not None and amount > free:
        return f"{name} has {plain(free)} {token} free in its spot wallet, got {plain(amount)}; transfer less"
    return None


def _fee_fault(name: str, order: Order, amount: Decimal, terms: NetworkTerms, limits: Limits) -> str | None:
    """A fee that is so much more than the simulated one that the transfer is another one than was decided."""
    simulated = simulated_fee(order)
    if simulated is None or limits.max_slippage_bps is None:
        return None
    more = terms.fee - simulated
    if more * BPS <= amount * limits.max_slippage_bps:
        return None
    transfer = order.instruction
    assert isinstance(transfer, WalletTransfer)
    return (
        f"{name} takes {plain(terms.fee)} {transfer.token} for a withdrawal over {terms.network}, simulated were {plain(simulated)}: "
        f"{plain(round(more / amount * BPS, 1))} bps more, limits.max_slippage_bps is {plain(limits.max_slippage_bps)}; "
        f"set venues.cex.{name}.withdrawal to the venue's fee, or transfer more at once"
    )


def simulated_fee(order: Order) -> Decimal | None:
    """What the simulator took of a transfer; None where nothing was simulated."""
    transfer = order.instruction
    assert isinstance(transfer, WalletTransfer)
    token, left = transfer.token, -order.expected.get(transfer.from_venue, transfer.token)
    arriving = order.expected.get(IN_TRANSIT, token) or order.expected.get(transfer.to_venue, token)
    return left - arriving if left else None


def withdrawn(name: str, sent: SentWithdrawal, found: Sequence[FoundWithdrawal]) -> Happened:
    """What a withdrawal came to: the amount has left the account and is on its way, whatever becomes of it then.

    Raises:
        MalformedAnswer: it is another one than was sent, or there are several.
    """
    raw = to_builtins(found)
    if len(found) > 1:
        ids = ", ".join(one.id for one in found)
        raise MalformedAnswer(f"{len(found)} withdrawals under the id {sent.client_id}: {ids}; one was sent", raw)
    (one,) = found
    if fault := _difference_of(sent, one):
        raise MalformedAnswer(f"another withdrawal under the id {sent.client_id}: {fault}", raw)
    token, arriving = sent.token, sent.amount - one.fee
    on_its_way, changes = set_off(UNSENT + sent.client_id, sent.to_venue, token, arriving, sent.arrives)
    details: dict[str, Any] = {"amount": plain(sent.amount), "arriving": plain(arriving), "fee": plain(one.fee), "network": one.network}
    if one.fee != sent.fee:
        details["quoted_fee"] = plain(sent.fee)
    return Happened(
        deltas=Deltas.at(name, {token: -sent.amount}) + on_its_way,
        changes={**changes_of(name, {token: -sent.amount}, {}), **changes},
        reference=one.id,
        filled=EXACT.divide(sent.amount, sent.asked),
        costs=(Cost("transfers", token, one.fee),) if one.fee else (),
        details=details,
        raw=raw,
    )


def _difference_of(sent: SentWithdrawal, found: FoundWithdrawal) -> str | None:
    for name in ("token", "network"):
        if getattr(found, name) != getattr(sent, name):
            return f"{name} is {getattr(found, name)}, sent was {getattr(sent, name)}"
    if found.address.lower() != sent.address.lower():
        return f"it pays to {found.address}, sent was {sent.address}"
    if not (found.fee.is_finite() and ZERO <= found.fee < sent.amount):
        return f"its fee is {found.fee}"
    # Venues show the amount with the fee or without.
    if found.amount not in (sent.amount, sent.amount - found.fee):
        return f"amount is {found.amount} with a fee of {found.fee}, sent was {plain(sent.amount)}"
    return None


def _reject(message: str) -> NoReturn:
    raise VenueRejected(REJECTED, f"{message}; nothing was sent")
