"""What an exchange is sent: made of what was approved and of what the venue quoted, checked before it leaves. Pure."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.instructions import CexTrade, WalletTransfer
from basis_strategy_v1.core.outgoing import OutgoingTrade, require_message_within
from basis_strategy_v1.live.exchange_moves import mark_of
from basis_strategy_v1.live.exchange_orders import PERP, SPOT, Rules, SentMove, SentOrder, client_id_of, fault_of, on_tick, whole_lots
from basis_strategy_v1.live.exchange_transfers import NetworkTerms

if TYPE_CHECKING:
    from typing import NoReturn

    from basis_strategy_v1.core.limits import Limits
    from basis_strategy_v1.core.order import Approved, Order

REJECTED = "CEX-001"
ZERO = Decimal(0)
MOST_FEE = Decimal("0.001")  # of a perp's notional: what is kept for its fee
UNIT = Decimal("1e-8")  # of an amount that is moved between wallets


class WithdrawalQuote(Struct, frozen=True, kw_only=True):
    """What the venue says before a withdrawal: over which networks the token goes, the one that is meant, and the receiver's address."""

    networks: tuple[NetworkTerms, ...]
    network: str
    address: str


class Quote(Struct, frozen=True, kw_only=True):
    """What the venue says before an order: its time and how far that is ahead of ours, the market's rules, and what the order can use.

    `free` is the token that a spot order pays with, or the margin that is left. `held` is the perp position (base, signed), `leverage` the
    venue's setting for it. None: not asked for.
    """

    now_ms: int
    offset_ms: int
    rules: Rules | None = None
    free: Decimal | None = None
    held: Decimal | None = None
    leverage: Decimal | None = None
    withdrawal: WithdrawalQuote | None = None


def prepared_order(name: str, approved: Approved, limits: Limits, quote: Quote, life_ms: int, run: str) -> SentOrder:
    """The order as it leaves.

    Raises:
        VenueRejected: the venue would refuse it, or it is not what was approved.
    """
    order = approved.order
    trade = order.instruction
    assert isinstance(trade, CexTrade)
    rules = quote.rules
    if rules is None:
        _reject(f"{name} has no {trade.trade_type} market {trade.symbol}")
    if order.worst_price is None:
        _reject(f"{name} is sent no order without a worst price; set limits.max_slippage_bps")
    amount, price = whole_lots(trade.amount, rules), on_tick(order.worst_price, rules, trade.side)
    if trade.trade_type == SPOT:
        price = _paid_for(name, order, rules, amount, price, quote.free)
    fault = fault_of(name, trade.symbol, amount, price, rules, reduce_only=trade.reduce_only) or _margin_fault(
        name, trade, amount, price, quote
    )
    if fault is not None:
        _reject(fault)
    sent = SentOrder(
        client_id=client_id_of(order.key, run), trade_type=trade.trade_type, symbol=trade.symbol, base=rules.base, quote=rules.quote,
        side=trade.side, amount=amount, price=price, life=trade.time_in_force, reduce_only=trade.reduce_only, asked=trade.amount,
        price_then=order.price, sent_ms=quote.now_ms, expires_ms=quote.now_ms + life_ms,
    )  # fmt: skip
    require_message_within(approved, limits, outgoing_of(sent, rules))
    return sent


def outgoing_of(sent: SentOrder, rules: Rules) -> OutgoingTrade:
    """What is really in the message."""
    return OutgoingTrade(
        trade_type=sent.trade_type, symbol=sent.symbol, side=sent.side, amount=sent.amount, price=sent.price,
        reduce_only=sent.reduce_only, lot=rules.lot,
    )  # fmt: skip


def prepared_move(order: Order, quote: Quote, life_ms: int, run: str, unit: Decimal) -> SentMove:
    """A move between the account's wallets as it leaves. `unit` is the step of amounts."""
    transfer = order.instruction
    assert isinstance(transfer, WalletTransfer) and transfer.network is not None
    source, _, target = transfer.network.partition("-")
    client_id = client_id_of(order.key, run)
    return SentMove(
        client_id=client_id, source=source, target=target, token=transfer.token, amount=transfer.amount + mark_of(client_id, unit),
        sent_ms=quote.now_ms, expires_ms=quote.now_ms + life_ms,
    )  # fmt: skip


def opened_by(trade: CexTrade, held: Decimal) -> Decimal:
    """By how much a trade makes a perp position larger (base)."""
    if trade.reduce_only:
        return ZERO
    signed = trade.amount if trade.side == "buy" else -trade.amount
    return max(ZERO, abs(held + signed) - abs(held))


def _paid_for(name: str, order: Order, rules: Rules, amount: Decimal, price: Decimal, free: Decimal | None) -> Decimal:
    """The limit price at which what is free pays for a spot order: an exchange holds back the amount times the limit.

    Where that is less than the worst price, and not less than the price of now, the order has a better limit.
    """
    trade = order.instruction
    assert isinstance(trade, CexTrade)
    if free is None or not amount:
        return price
    if trade.side == "sell":
        if free < amount:
            _reject(f"{name} has {plain(free)} {rules.base} free in its spot wallet; the sale of {plain(amount)} {trade.symbol} needs more")
        return price
    affordable = min(price, (free / amount / rules.tick).to_integral_value(ROUND_FLOOR) * rules.tick)
    least = price if order.price is None else min(price, order.price)
    if affordable < least:
        needed = f"{plain(amount)} {trade.symbol} at {plain(least)} needs {plain(amount * least)}"
        _reject(f"{name} has {plain(free)} {rules.quote} free in its spot wallet; {needed}; trade less or move {rules.quote} there")
    return affordable


def _margin_fault(name: str, trade: CexTrade, amount: Decimal, price: Decimal, quote: Quote) -> str | None:
    if trade.trade_type != PERP or quote.free is None or quote.leverage is None:
        return None
    opened = opened_by(trade, quote.held or ZERO)
    if not opened:
        return None
    needed = opened * price / quote.leverage + amount * price * MOST_FEE
    if needed <= quote.free:
        return None
    shown = f"{trade.side} of {plain(amount)} {trade.symbol} perp needs {plain(round(needed, 2))} at leverage {plain(quote.leverage)}"
    return f"{name} has {plain(round(quote.free, 2))} of margin left; {shown}; trade less or move more there"


def _reject(message: str) -> NoReturn:
    raise VenueRejected(REJECTED, f"{message}; nothing was sent")
