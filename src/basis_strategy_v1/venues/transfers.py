"""Transfers between venues: fee, minimum, delay, and what is on its way meanwhile."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import SECOND_US, iso
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.position_names import Kind, read_common_name
from basis_strategy_v1.core.state import IN_TRANSIT, WALLET, State, Transfer, Transit
from basis_strategy_v1.core.tokens import in_base_units
from basis_strategy_v1.venues.cex import Exchange
from basis_strategy_v1.venues.exchanges import FREE
from basis_strategy_v1.venues.venue import CEX, ONCHAIN, Holder, OnChainVenue, Settlement, SimulationResult, Venues, reject
from basis_strategy_v1.venues.wallet import TRANSFER_GAS, WalletVenue, as_read, with_share_rate

if TYPE_CHECKING:
    from basis_strategy_v1.core.instructions import WalletTransfer
    from basis_strategy_v1.core.market import MarketSnapshot

MINUTE_US = 60 * SECOND_US


def simulate_transfer(transfer: WalletTransfer, venues: Venues, state: State, market: MarketSnapshot) -> SimulationResult:
    """What a transfer does: at once, or into `in_transit` until it arrives.

    The amount leaves the sender; what arrives is the amount less the sender's withdrawal fee.
    """
    sender, receiver = _ends(transfer, venues)
    token = transfer.token
    wallets = [end.name for end in (sender, receiver) if isinstance(end, WalletVenue)]
    on_chain = bool(wallets)
    amount = in_base_units(token, transfer.amount) if on_chain else transfer.amount
    if not amount:
        reject(ONCHAIN, f"transfer of {plain(transfer.amount)} {token} is less than one base unit of it")
    terms = (sender.row.withdrawals if isinstance(sender, Exchange) else FREE).at(market.instant, token)
    arriving = in_base_units(token, amount - terms.fee) if on_chain else amount - terms.fee
    if amount < terms.minimum or arriving <= 0:
        least = f"{plain(max(terms.minimum, terms.fee))} {token} (fee {plain(terms.fee)})"
        reject(CEX, f"{sender.name} pays out no less than {least}, got {plain(amount)}; transfer more")
    before = state
    for wallet in wallets:
        before = with_share_rate(before, wallet, token, market)
    after = sender.take(before, token, amount, market)
    details = {"amount": plain(amount), "arriving": plain(arriving)}
    minutes = terms.minutes + (receiver.row.deposit_minutes if isinstance(receiver, Exchange) else 0)
    if delay_us := int(minutes * MINUTE_US):
        arrives = market.instant + delay_us
        key = f"{transfer.from_venue}-{transfer.to_venue}-{token}-{market.instant}"
        on_its_way = Transfer(arrives, key, transfer.to_venue, token, arriving)
        after = after.with_part(IN_TRANSIT, after.part(IN_TRANSIT, Transit).with_(on_its_way))
        where, details["arrives"] = IN_TRANSIT, iso(arrives)
    else:
        after, where = receiver.give(after, token, arriving), transfer.to_venue
    deltas = Deltas.at(transfer.from_venue, {token: -amount}) + Deltas.at(where, {token: arriving})
    costs = (Cost("transfers", token, amount - arriving),) if amount > arriving else ()
    moved = SimulationResult(after, deltas, costs, details)
    for wallet in wallets:
        moved = as_read(before, moved, Deltas.at(wallet, deltas.tokens(wallet)), wallet, wallet)
    return sender.pay_gas(moved, TRANSFER_GAS, market) if isinstance(sender, WalletVenue) else moved


def _ends(transfer: WalletTransfer, venues: Venues) -> tuple[Holder, Holder]:
    if read_common_name(transfer.token).kind is Kind.PERP:
        reject(CEX, f"{transfer.token} is a position and stays on its exchange; close it there and open it on {transfer.to_venue}")
    return _holder(transfer.from_venue, venues), _holder(transfer.to_venue, venues)


def _holder(name: str, venues: Venues) -> Holder:
    venue = venues[name]
    if not isinstance(venue, Holder):
        held_by = venue.wallet if isinstance(venue, OnChainVenue) else WALLET
        where = "the wallet" if held_by == WALLET else held_by
        reject(ONCHAIN, f"{name} holds no plain tokens; its tokens are in {where}: use a smart_contract_action of {name} instead")
    return venue


class Arrivals:
    """What becomes of amounts in transit: each arrives at its own instant."""

    name = IN_TRANSIT

    def __init__(self, venues: Venues) -> None:
        self._venues = venues

    def next_due(self, state: State, market: MarketSnapshot, until: int) -> int | None:
        transit = state.parts.get(IN_TRANSIT)
        if not isinstance(transit, Transit) or not transit.transfers:
            return None
        # Always after the market's instant: whoever goes from one due instant to the next comes to the end, whatever `update_to` leaves.
        due = max(transit.transfers[0].arrives, market.instant + 1)
        return due if due <= until else None

    def update_to(self, state: State, market: MarketSnapshot) -> tuple[State, tuple[Settlement, ...]]:
        transit = state.part(IN_TRANSIT, Transit)
        arrived = [transfer for transfer in transit.transfers if transfer.arrives <= market.instant]
        if not arrived:
            return state, ()
        still = tuple(transfer for transfer in transit.transfers if transfer.arrives > market.instant)
        after = state.with_part(IN_TRANSIT, Transit(still))
        settled: list[Settlement] = []
        for transfer in arrived:
            receiver = _holder(transfer.to_venue, self._venues)
            if isinstance(receiver, WalletVenue):  # what is there accrues before more of it comes
                after, grown = receiver.update_to(after, market)
                settled += grown
                after = with_share_rate(after, receiver.name, transfer.token, market)
            after, arrival = _arrival(after, receiver, transfer)
            settled.append(arrival)
        return after, tuple(settled)

    def held(self, state: State) -> dict[str, Decimal]:
        """token -> amount on its way."""
        return state.part(IN_TRANSIT, Transit).positions()


def _arrival(state: State, receiver: Holder, transfer: Transfer) -> tuple[State, Settlement]:
    where, token, amount = transfer.to_venue, transfer.token, transfer.amount
    there = Deltas.at(where, {token: amount})
    moved = SimulationResult(receiver.give(state, token, amount), there + Deltas.at(IN_TRANSIT, {token: -amount}))
    if isinstance(receiver, WalletVenue):
        moved = as_read(state, moved, there, where, where)
    return moved.state, Settlement("arrival", where, moved.deltas, moved.costs, {"transfer": transfer.key})
