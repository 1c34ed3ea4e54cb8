"""Transfers between venues: fee, minimum, delay, and what is on its way meanwhile."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import SECOND_US, iso
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.state import IN_TRANSIT, WALLET, State, Transfer, Transit
from basis_strategy_v1.core.tokens import to_amount, to_units
from basis_strategy_v1.venues.cex import Exchange
from basis_strategy_v1.venues.exchanges import Withdrawal
from basis_strategy_v1.venues.venue import CEX, ONCHAIN, Moved, Settlement, Venues, reject
from basis_strategy_v1.venues.wallet import TRANSFER_GAS, WalletVenue

if TYPE_CHECKING:
    from basis_strategy_v1.core.instructions import WalletTransfer
    from basis_strategy_v1.core.market import MarketSnapshot

MINUTE_US = 60 * SECOND_US


def simulate_transfer(transfer: WalletTransfer, venues: Venues, state: State, market: MarketSnapshot) -> Moved:
    """What a transfer does: at once, or into `in_transit` until it arrives.

    The amount leaves the sender; what arrives is the amount less the sender's withdrawal fee.
    """
    sender, receiver = _ends(transfer, venues)
    token = transfer.token
    amount = to_amount(token, to_units(token, transfer.amount)) if WALLET in (transfer.from_venue, transfer.to_venue) else transfer.amount
    terms = sender.row.withdrawals.get(token, Withdrawal()) if isinstance(sender, Exchange) else Withdrawal()
    least = max(terms.minimum, terms.fee)
    if amount < terms.minimum or amount <= terms.fee:
        if amount <= 0 or terms == Withdrawal():
            reject(ONCHAIN, f"transfer of {plain(transfer.amount)} {token} is less than one base unit of it")
        reject(CEX, f"{sender.name} pays out no less than {plain(least)} {token} (fee {plain(terms.fee)}), got {plain(amount)}")
    after = sender.take(state, token, amount, market)
    arriving = amount - terms.fee
    details = {"amount": plain(amount), "arriving": plain(arriving)}
    if terms.minutes:
        arrives = market.instant + int(terms.minutes * MINUTE_US)
        key = f"{transfer.from_venue}-{transfer.to_venue}-{token}-{market.instant}"
        after = after.with_parts(in_transit=after.part(IN_TRANSIT, Transit).with_(Transfer(arrives, key, transfer.to_venue, token, arriving)))
        where, details["arrives"] = IN_TRANSIT, iso(arrives)
    else:
        after, where = receiver.give(after, token, arriving), transfer.to_venue
    deltas = Deltas.at(transfer.from_venue, {token: -amount}) + Deltas.at(where, {token: arriving})
    costs = (Cost("transfers", token, terms.fee),) if terms.fee else ()
    moved = Moved(after, deltas, costs, details)
    return sender.pay_gas(moved, TRANSFER_GAS, market) if isinstance(sender, WalletVenue) else moved


def _ends(transfer: WalletTransfer, venues: Venues) -> tuple[Any, Any]:
    for name in (transfer.from_venue, transfer.to_venue):
        if not isinstance(venues[name], Exchange | WalletVenue):
            reject(ONCHAIN, f"{name} holds no plain tokens; its tokens are in the wallet: use a smart_contract_action of {name} instead")
    return venues[transfer.from_venue], venues[transfer.to_venue]


class Arrivals:
    """What becomes of amounts in transit: each arrives at its own instant."""

    name = IN_TRANSIT

    def __init__(self, venues: Venues) -> None:
        self._venues = venues

    def next_due(self, state: State, market: MarketSnapshot, until: int) -> int | None:
        transit = state.parts.get(IN_TRANSIT)
        if not isinstance(transit, Transit) or not transit.transfers:
            return None
        first = transit.transfers[0].arrives
        return first if first <= until else None

    def observe(self, state: State, market: MarketSnapshot) -> tuple[State, tuple[Settlement, ...]]:
        transit = state.part(IN_TRANSIT, Transit)
        arrived = [transfer for transfer in transit.transfers if transfer.arrives <= market.instant]
        if not arrived:
            return state, ()
        after = state.with_parts(in_transit=Transit(transit.transfers[len(arrived) :]))
        settled = []
        for transfer in arrived:
            after = self._venues[transfer.to_venue].give(after, transfer.token, transfer.amount)
            deltas = Deltas.nested({IN_TRANSIT: {transfer.token: -transfer.amount}, transfer.to_venue: {transfer.token: transfer.amount}})
            settled.append(Settlement("arrival", transfer.to_venue, deltas, (), {"transfer": transfer.key}))
        return after, tuple(settled)

    def held(self, state: State) -> dict[str, Decimal]:
        """token -> amount on its way."""
        return state.part(IN_TRANSIT, Transit).positions()
