"""Hyperliquid: what its answers say of orders, fills and positions. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.core.state import Perp
from basis_strategy_v1.live.exchange_api import DELEVERAGING, LIQUIDATION
from basis_strategy_v1.live.exchange_orders import DONE, OPEN, REFUSED, Fill, FoundOrder
from basis_strategy_v1.live.hyperliquid_account import SETTLE, plain

if TYPE_CHECKING:
    from basis_strategy_v1.live.exchange_orders import SentOrder

SIDES = {"B": "buy", "A": "sell"}
UNFILLED = "iocCancelRejected"  # an IOC order that met nothing
ZERO = Decimal(0)


def placed_of(answer: Any, sent: SentOrder, at_ms: int) -> FoundOrder:
    """The order by the answer to it: what of an IOC order did not fill at once is cancelled.

    Raises:
        MalformedAnswer: it says something else.
    """
    try:
        filled = answer["response"]["data"]["statuses"][0]["filled"]
        return FoundOrder(
            id=str(filled["oid"]), client_id=sent.client_id, symbol=sent.symbol, side=sent.side, status=DONE, amount=sent.amount,
            executed=Decimal(filled["totalSz"]), at_ms=at_ms, reason="filled",
        )  # fmt: skip
    except (KeyError, IndexError, TypeError, ValueError, ArithmeticError) as error:
        raise MalformedAnswer(f"an answer to an order without {error}", answer) from error


def found_of(row: Any, symbol: str) -> FoundOrder:
    """An order as the venue shows it, with its status.

    Raises:
        MalformedAnswer: it is none.
    """
    try:
        order, status = row["order"], str(row["status"])
        amount = Decimal(order["origSz"])
        return FoundOrder(
            id=str(order["oid"]),
            client_id=(order.get("cloid") or "").removeprefix("0x"),
            symbol=symbol,
            side=SIDES[order["side"]],
            status=_status_of(status),
            amount=amount,
            executed=ZERO if status == UNFILLED else amount - Decimal(order["sz"]),
            at_ms=int(order["timestamp"]),
            reason=status,
        )
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise MalformedAnswer(f"an order without {error}", row) from error


def _status_of(status: str) -> str:
    if status in ("open", "triggered"):
        return OPEN
    if status in ("filled", UNFILLED) or status.lower().endswith("canceled"):
        return DONE
    if status.lower().endswith("rejected"):
        return REFUSED
    raise ValueError(status)


def seen_of(row: Any, symbol: str, user: str) -> FoundOrder:
    """The order of a fill, as far as the fill shows it: the venue's own orders are in no list."""
    liquidation = row.get("liquidation")
    is_liquidation = isinstance(liquidation, dict) and str(liquidation.get("liquidatedUser")).lower() == user
    reason = LIQUIDATION if is_liquidation else DELEVERAGING if "Auto-Deleveraging" in row["dir"] else row["dir"]
    amount = Decimal(row["sz"])
    return FoundOrder(
        id=str(row["oid"]), client_id=(row.get("cloid") or "").removeprefix("0x"), symbol=symbol, side=SIDES[row["side"]], status=DONE,
        amount=amount, executed=amount, at_ms=int(row["time"]), reason=reason,
    )  # fmt: skip


def fill_of(row: Any) -> Fill:
    """A fill. A fee that was paid is positive, a builder's share would be in it; the profit is without it.

    Raises:
        MalformedAnswer: it is none.
    """
    try:
        price, amount, fee = Decimal(row["px"]), Decimal(row["sz"]), row.get("fee")
        is_perp = str(row["dir"]) not in ("Buy", "Sell")
        return Fill(
            id=str(row["tid"]),
            price=price,
            amount=amount,
            cost=price * amount,
            fee=None if fee is None else Decimal(fee),
            fee_token=plain(row.get("feeToken") or ""),
            realised=Decimal(row["closedPnl"]) if is_perp else ZERO,
            at_ms=int(row["time"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise MalformedAnswer(f"a fill without {error}", row) from error


def positions_of(account: Any) -> dict[str, Perp]:
    rows = [row["position"] for row in account["assetPositions"]]
    held = {row["coin"] + SETTLE: (Decimal(row["szi"]), Decimal(row["entryPx"])) for row in rows}
    return {symbol: Perp(amount, amount * entry) for symbol, (amount, entry) in held.items() if amount}


def shown(number: Decimal) -> str:
    return format(number.normalize(), "f")
