"""Bybit: what its answers say of markets, orders, executions, balances and positions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.live.exchange_orders import DONE, OPEN, PERP, REFUSED, SPOT, Fill, FoundOrder, Rules

SETTLE = "USDT"
STATES = {
    "New": OPEN, "PartiallyFilled": OPEN, "Untriggered": OPEN, "Triggered": OPEN, "Created": OPEN, "Filled": DONE, "Cancelled": DONE,
    "PartiallyFilledCanceled": DONE, "Deactivated": DONE, "Rejected": REFUSED,
}  # fmt: skip
BY_USER = ("", "CreateByUser")
ZERO = Decimal(0)


def is_traded(kind: str, row: Any) -> bool:
    return kind == SPOT or (row.get("contractType") == "LinearPerpetual" and row.get("settleCoin") == SETTLE)


def rules_of(kind: str, row: Any) -> Rules:
    """A row of `instruments-info`.

    Raises:
        MalformedAnswer: it is none.
    """
    try:
        size = row["lotSizeFilter"]
        most = (size.get("maxLimitOrderQty") if kind == SPOT else None) or size.get("maxOrderQty")
        return Rules(
            base=row["baseCoin"],
            quote=row["quoteCoin"] if kind == SPOT else row["settleCoin"],
            lot=Decimal(size["basePrecision" if kind == SPOT else "qtyStep"]),
            tick=Decimal(row["priceFilter"]["tickSize"]),
            least=_above_zero(size.get("minOrderQty")),
            most=_above_zero(most),
            least_notional=_above_zero(size.get("minOrderAmt" if kind == SPOT else "minNotionalValue")),
            most_notional=_above_zero(size.get("maxOrderAmt")),
            is_open=row["status"] == "Trading",
        )
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise MalformedAnswer(f"an instrument without {error}", row) from error


def found_of(row: Any) -> FoundOrder:
    """An order as bybit shows it.

    Raises:
        MalformedAnswer: it is none.
    """
    try:
        created = row.get("createType", "")
        return FoundOrder(
            id=str(row["orderId"]),
            client_id=row["orderLinkId"],
            symbol=row["symbol"],
            side=row["side"].lower(),
            status=STATES[row["orderStatus"]],
            amount=Decimal(row["qty"]),
            executed=Decimal(row["cumExecQty"] or 0),
            at_ms=int(row["createdTime"]),
            reason=_reason(row) if created in BY_USER else created,
        )
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise MalformedAnswer(f"an order without {error}", row) from error


def _reason(row: Any) -> str:
    return str(row["rejectReason"] if row["orderStatus"] == "Rejected" else row["orderStatus"])


def fill_of(kind: str, row: Any) -> Fill:
    """An execution. A fee that was paid is positive; of a perp it is in the settlement token.

    Further fees (of some countries' sites) are in no field that says of which token they are: the fee is then not known.

    Raises:
        MalformedAnswer: it is none.
    """
    try:
        fee, realised = row.get("execFee"), row.get("execPnl")
        if kind == PERP and realised in (None, "") and Decimal(row.get("closedSize") or 0):
            raise MalformedAnswer("a fill that closed a position, without its profit", row)
        is_known = fee not in (None, "") and row.get("extraFees") in (None, "", "[]")
        return Fill(
            id=str(row["execId"]),
            price=Decimal(row["execPrice"]),
            amount=Decimal(row["execQty"]),
            cost=Decimal(row["execValue"]),
            fee=Decimal(fee) if is_known else None,
            fee_token=row.get("feeCurrency") or (SETTLE if kind == PERP else ""),
            realised=Decimal(realised or 0) if kind == PERP else ZERO,
            at_ms=int(row["execTime"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise MalformedAnswer(f"a fill without {error}", row) from error


def number_in(row: Mapping[str, Any], name: str) -> Decimal:
    """A number; the venue writes an empty text where there is none."""
    return Decimal(row.get(name) or 0)


def unused_of(row: Mapping[str, Any]) -> Decimal:
    """What of a coin is no order's, and no margin of a perp."""
    held = number_in(row, "equity") - number_in(row, "locked") - number_in(row, "totalOrderIM") - number_in(row, "totalPositionIM")
    return max(ZERO, held)


def signed_size(row: Any) -> Decimal:
    size = Decimal(row["size"] or 0)
    return -size if row["side"] == "Sell" else size


def leverage_of(rows: Iterable[Any]) -> Decimal:
    """The leverage of a symbol; in portfolio margin there is none.

    Raises:
        MalformedAnswer.
    """
    found = [row["leverage"] for row in rows]
    if not found or not all(found):
        raise MalformedAnswer("a position without its leverage", found)
    return min(map(Decimal, found))


def _above_zero(text: Any) -> Decimal | None:
    """A limit; one of 0 is none."""
    return None if text in (None, "") or not Decimal(text) else Decimal(text)
