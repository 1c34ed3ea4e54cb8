"""The fills of a run, read from its event log: what was traded, at which price, for what notional and fee."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from basis_strategy_v1.core.amounts import EXACT, plain
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.monitoring.event_line import parse_line
from basis_strategy_v1.monitoring.event_reader import safe
from basis_strategy_v1.results.attribution import to_units, units_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Worth = Callable[[str, str], Decimal]

TRADES_HEADER = "timestamp,venue,action,symbol,side,amount,price,notional,fee,reason,tag,key"
TRADED = ("spot", "perp", "swap")  # the actions that count as turnover
_MARK = b'"event_type":"execution"'
_QUOTES = ("USDT", "USDC")
ZERO = Decimal(0)


class TradeRow(NamedTuple):
    """An executed instruction. `action` is spot, perp, swap, or what else was done; `amount` is in units of `symbol`'s base, or of the
    token; `notional` and `fee` are in units of 1e-12 of the share class currency; a text is empty where there is nothing to say."""

    timestamp: str
    venue: str
    action: str
    symbol: str
    side: str
    amount: str
    price: str
    notional: int
    fee: int
    reason: str
    tag: str
    key: str

    def row(self) -> str:
        """Its line of trades.csv."""
        texts = (self.timestamp, self.venue, self.action, self.symbol, self.side, self.amount, self.price)
        money = (units_text(self.notional), units_text(self.fee))
        return f"{','.join((*texts, *money, *map(_cell, (self.reason, self.tag)), self.key))}\n"


def fills_in(lines: Iterable[bytes], worth: Worth) -> Iterator[TradeRow]:
    """The fills in the lines of an event log. `worth(timestamp, token)` is what 1 of a token was worth then, in the currency.

    A token without a price then counts as worth nothing.
    """
    for text in lines:
        if _MARK not in text or (line := parse_line(text)) is None or line.event_type != "execution":
            continue
        yield _fill(line.timestamp, msgspec.json.decode(line.data), worth)


def _fill(at: str, data: dict[str, Any], worth: Worth) -> TradeRow:
    def value(token: str, amount: Decimal) -> Decimal:
        if not amount:
            return ZERO
        try:
            return EXACT.multiply(amount, worth(at, token))
        except ComponentError:  # no price of it is known then
            return ZERO

    costs = [(cost["source"], cost["token"], Decimal(cost["amount"])) for cost in data["costs"]]
    fee = sum((to_units(value(token, amount)) for source, token, amount in costs if source == "fees"), 0)
    texts = {"reason": str(data.get("reason") or ""), "tag": str(data.get("tag") or ""), "key": str(data["key"])}
    if data["instruction_type"] == "cex_trade":
        details, symbol = data["details"], data["symbol"]
        amount, price = Decimal(details.get("filled", data["amount"])), Decimal(details.get("price", 0))
        quote = next((name for name in _QUOTES if symbol.endswith(name)), "USDT")
        notional = to_units(value(quote, EXACT.multiply(amount, price)))
        return TradeRow(at, data["venue"], data["trade_type"], symbol, data["action"], plain(amount), plain(price), notional, fee, **texts)
    token, amount = _moved(data)
    notional = to_units(value(token, amount))
    action = "swap" if data["action"] == "swap" else data["action"]
    return TradeRow(at, data["venue"], action, token, "", plain(amount) if token else "", "", notional, fee, **texts)


def _moved(data: dict[str, Any]) -> tuple[str, Decimal]:
    """What an action took of a token: what it was asked for, else the first token of its deltas that went down."""
    gone: dict[str, Decimal] = {}
    for tokens in data["deltas"].values():
        for token, amount in tokens.items():
            gone[token] = max(gone.get(token, ZERO), -Decimal(amount))
    asked = data.get("token")
    if isinstance(asked, str) and asked in gone:
        return asked, gone[asked]
    return next(((token, amount) for token, amount in gone.items() if amount > 0), (str(asked or ""), ZERO))


def _cell(text: str) -> str:
    """A text from outside as a cell of a CSV file."""
    bare = safe(text.replace("\n", " "))
    return '"' + bare.replace('"', '""') + '"' if any(sign in bare for sign in ',"') else bare
