"""What has left one venue account and has not reached the next: recognised by its transaction's hash or its withdrawal's id. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import SECOND_US, iso
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.state import IN_TRANSIT, ExchangeAccount, Transfer, Transit
from basis_strategy_v1.core.state_change import apply_changes, change_between
from basis_strategy_v1.core.transit import ARRIVAL, FEE, HASH, ON_CHAIN, RETURNED, UNSENT, is_on_chain

if TYPE_CHECKING:
    from datetime import datetime

    from basis_strategy_v1.core.gateway import Due
    from basis_strategy_v1.core.instructions import WalletTransfer
    from basis_strategy_v1.core.state import State

CREDITED = ("credit", ARRIVAL)
ON_ITS_WAY = "on_its_way"  # the detail of an arrival of less than was sent: how much that was

OpenTransfers = Callable[[], Collection["WalletTransfer"]]


def taken_up(
    state: State, items: Iterable[Due], open_transfers: OpenTransfers, sent: dict[str, datetime] | None = None
) -> tuple[list[Due], bool]:
    """The items with what each of them does to the amounts in transit, and whether some were held back.

    A credit whose transaction is on its way ends that transfer; one that names no transaction ends the one of its amount. Another one is
    held back while a transfer of the run may still turn out to be it: an order whose outcome is open (`open_transfers`), or a withdrawal
    whose hash the exchange has not shown. It comes again.

    `sent` (by hash: when an exchange says that it has sent it) is added to, for the items of the next venue: their arrival comes after it,
    whatever the clock of the chain says.
    """
    found: list[Due] = []
    sent = {} if sent is None else sent
    is_held_back = False
    for item in items:
        if IN_TRANSIT in item.changes:  # the venue itself keeps what is in transit, as a simulated one does
            state = apply_changes(state, {IN_TRANSIT: item.changes[IN_TRANSIT]})
            found.append(item)
            continue
        record = _record_of(state, item)
        if record is None and _may_be_ours(state, item, open_transfers):
            is_held_back = True
            continue
        known = item if record is None else _in_time(_resolved(state, record, item), sent)
        if known.kind == ON_CHAIN:
            sent[known.details[HASH].lower()] = known.at
        if record is not None:
            state = apply_changes(state, {IN_TRANSIT: known.changes[IN_TRANSIT]})
        found.append(known)
    return found, is_held_back


def late(state: State, now: int, deadline_s: float) -> Iterator[tuple[Transfer, str]]:
    """Each amount that should have arrived, with what to do about it. `now` is microseconds since 1970."""
    for transfer in state.part(IN_TRANSIT, Transit).transfers:
        if now > transfer.arrives + int(deadline_s * SECOND_US):
            shown = f"{plain(transfer.amount)} {transfer.token} to {transfer.to_venue}"
            what = transfer.key if is_on_chain(transfer) else f"the withdrawal {transfer.key.removeprefix(UNSENT)}"
            yield transfer, f"{shown} was due at {iso(transfer.arrives)} and has not arrived: look for {what} at both ends"


def _record_of(state: State, item: Due) -> Transfer | None:
    transfers = state.part(IN_TRANSIT, Transit).transfers
    if item.transfer:
        return next((one for one in transfers if one.key.lower() == item.transfer.lower()), None)
    return next((one for one in transfers if _is_of_amount(one, item)), None)


def _is_of_amount(one: Transfer, item: Due) -> bool:
    """Whether a credit without a hash is as much as is on its way there."""
    return item.kind in CREDITED and one.to_venue == item.venue and item.deltas.get(item.venue, one.token) == one.amount


def _may_be_ours(state: State, item: Due, open_transfers: OpenTransfers) -> bool:
    if not item.transfer:
        return False
    if item.transfer.startswith(UNSENT):
        return any(one.from_venue == item.venue for one in open_transfers())
    tokens = item.deltas.tokens(item.venue)
    coming = [one for one in state.part(IN_TRANSIT, Transit).transfers if not is_on_chain(one)]
    places = [(one.to_venue, one.token) for one in coming] + [(one.to_venue, one.token) for one in open_transfers()]
    return any(venue == item.venue and token in tokens for venue, token in places)


def _in_time(item: Due, sent: Mapping[str, datetime]) -> Due:
    """The item after what it follows: the clocks of an exchange and of a chain are two."""
    at = sent.get(str(item.details["transfer"]).lower())
    return item if at is None or item.at > at else structs.replace(item, at=at + timedelta(microseconds=1))


def _as_it_left(item: Due, record: Transfer) -> Due:
    """What comes back is what had left, with its fee once: some venues show an amount with the fee in it, others without."""
    if item.kind != RETURNED or FEE not in item.details:
        return item
    amounts = {record.token: record.amount + Decimal(item.details[FEE])}
    change = change_between(ExchangeAccount(), ExchangeAccount(amounts))
    return structs.replace(item, deltas=Deltas.at(item.venue, amounts), changes={item.venue: change})


def _resolved(state: State, record: Transfer, item: Due) -> Due:
    before = state.part(IN_TRANSIT, Transit)
    after = Transit(tuple(one for one in before.transfers if one != record))
    details = {**item.details, "transfer": item.transfer or record.key}
    if item.kind == ON_CHAIN:
        after = after.with_(record._replace(key=item.details[HASH]))
        return structs.replace(item, changes={IN_TRANSIT: change_between(before, after)}, details=details)
    item, token = _as_it_left(item, record), record.token
    missing = record.amount - item.deltas.get(item.venue, token)
    if missing > 0:
        details |= {ON_ITS_WAY: plain(record.amount), "missing": plain(missing)}
    return structs.replace(
        item,
        kind=RETURNED if item.kind == RETURNED else ARRIVAL,
        deltas=item.deltas + Deltas.at(IN_TRANSIT, {token: -record.amount}),
        changes={**item.changes, IN_TRANSIT: change_between(before, after)},
        costs=(Cost("transfers", token, missing),) if missing else (),
        details=details,
    )
