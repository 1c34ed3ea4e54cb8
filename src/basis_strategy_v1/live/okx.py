"""OKX: spot and linear swaps of one trading account, by its API v5 as of 2026. It counts swaps in contracts; here amounts are in base."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.core.state import Perp
from basis_strategy_v1.live import okx_account, okx_errors, okx_funding
from basis_strategy_v1.live.exchange_api import DELEVERAGING, LIQUIDATION, Move, Payment, Permissions, PerpMargin, PerpSettings, listed
from basis_strategy_v1.live.exchange_moves import UNIT
from basis_strategy_v1.live.exchange_orders import DONE, OPEN, PERP, SPOT, Fill, FoundOrder, Rules
from basis_strategy_v1.live.okx_account import DAY_MS, HOST, only_row, pages, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from basis_strategy_v1.live.exchange_client import ExchangeClient
    from basis_strategy_v1.live.exchange_orders import SentOrder

TYPES = {SPOT: "SPOT", PERP: "SWAP"}
MARGIN_MODES = {SPOT: "cash", PERP: "cross"}
ORDER_TYPES = {"IOC": "ioc", "FOK": "fok"}
STATES = {"live": OPEN, "partially_filled": OPEN, "filled": DONE, "canceled": DONE, "mmp_canceled": DONE}
NORMAL = ("", "normal")
ORIGINS = {"full_liquidation": LIQUIDATION, "partial_liquidation": LIQUIDATION, "adl": DELEVERAGING}
RECENT_MS = 3 * DAY_MS - 3_600_000  # of fills; older ones are in the history. An hour is left for clocks
ZERO, ONE = Decimal(0), Decimal(1)


class Instrument(NamedTuple):
    """A market as the venue names it; `contract` is how much base one unit of its sizes is."""

    id: str
    symbol: str
    contract: Decimal
    rules: Rules


class Okx:
    """The calls of one account."""

    life_ms = 2_000
    """With `expTime` an order is not taken later than this."""
    fee_tokens: tuple[str, ...] = ()
    settle = "USDT"
    wallets_are_separate = False
    has_reserve = True
    moves = True
    move_unit = UNIT
    move_errors = okx_errors.MOVES

    def __init__(self, client: ExchangeClient) -> None:
        self._client = client
        self._leverage: dict[str, Decimal] = {}
        self._instruments: dict[str, dict[str, Instrument]] = {}  # kind -> symbol -> the market
        self._symbols: dict[str, str] = {}  # instrument id -> symbol

    def forget(self) -> None:
        """Read the account's settings again when they are next needed."""
        self._leverage.clear()

    def errors(self, kind: str) -> Mapping[str, Any]:
        return okx_errors.CODES

    def time_ms(self, kind: str) -> int:
        return int(only_row(self._client.call("publicGetPublicTime", {}, HOST))["ts"])

    # Markets.

    def rules(self, kind: str, symbols: Iterable[str]) -> dict[str, Rules]:
        """The rules of these symbols, those of them that there are."""
        rows = rows_of(self._client.call("publicGetPublicInstruments", {"instType": TYPES[kind]}, HOST))
        found = [instrument_of(kind, row) for row in rows if kind == SPOT or row.get("ctType") == "linear"]
        self._instruments[kind] = {each.symbol: each for each in found}
        self._symbols |= {each.id: each.symbol for each in found}
        return {symbol: self._instruments[kind][symbol].rules for symbol in symbols if symbol in self._instruments[kind]}

    def _instrument(self, kind: str, symbol: str) -> Instrument:
        return listed(self._instruments, kind, symbol, self.rules)

    # Orders.

    def place(self, sent: SentOrder, at_ms: int) -> str:
        """Send an order, signed at this time of the venue's; the venue's id of it. It is not taken after `sent.expires_ms`."""
        market = self._instrument(sent.trade_type, sent.symbol)
        params: dict[str, Any] = {
            "instId": market.id,
            "tdMode": MARGIN_MODES[sent.trade_type],
            "clOrdId": sent.client_id,
            "side": sent.side,
            "ordType": ORDER_TYPES[sent.life],
            "sz": _shown(sent.amount / market.contract),
            "px": _shown(sent.price),
        }
        if sent.reduce_only:
            params["reduceOnly"] = True
        with self._client.stamped(at_ms, {"expTime": str(sent.expires_ms)}):
            row = only_row(self._client.call("privatePostTradeOrder", params, HOST))
        if not row.get("ordId"):
            raise MalformedAnswer("an answer without ordId", row)
        return str(row["ordId"])

    def find(self, kind: str, symbol: str, *, client_id: str = "", order_id: str = "", sent_ms: int = 0) -> FoundOrder:
        """An order by its client id, or by the venue's."""
        market = self._instrument(kind, symbol)
        which = {"ordId": order_id} if order_id else {"clOrdId": client_id}
        row = only_row(self._client.call("privateGetTradeOrder", {"instId": market.id, **which}, HOST))
        return found_of(row, symbol, market.contract)

    def fills(self, kind: str, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """The fills of one order: of the last days, or where there are none, of the last months."""
        market = self._instrument(kind, symbol)
        params = {"instType": TYPES[kind], "instId": market.id, "ordId": order_id}
        rows = list(pages(self._client, "privateGetTradeFills", params)) or pages(self._client, "privateGetTradeFillsHistory", params)
        return tuple(fill_of(row, market.contract) for row in rows)[::-1]

    def fills_since(self, kind: str, symbol: str, from_ms: int, until_ms: int) -> list[tuple[str, Fill]]:
        """(order id, fill) of a symbol between two times, oldest first."""
        market = self._instrument(kind, symbol)
        is_recent = from_ms > self._client.now_ms() - RECENT_MS
        method = "privateGetTradeFills" if is_recent else "privateGetTradeFillsHistory"
        params = {"instType": TYPES[kind], "instId": market.id, "begin": from_ms, "end": until_ms}
        return [(str(row["ordId"]), fill_of(row, market.contract)) for row in pages(self._client, method, params)][::-1]

    def open_orders(self, kind: str) -> list[FoundOrder]:
        rows = rows_of(self._client.call("privateGetTradeOrdersPending", {"instType": TYPES[kind]}, HOST))
        if kind not in self._instruments:
            self.rules(kind, ())
        found = []
        for row in rows:
            symbol = self._symbols.get(row["instId"], row["instId"])
            market = self._instruments[kind].get(symbol)
            found.append(found_of(row, symbol, ONE if market is None else market.contract))
        return found

    # Balances and positions.

    def _balance(self) -> list[Any]:
        details = only_row(self._client.call("privateGetAccountBalance", {}, HOST)).get("details")
        if not isinstance(details, list):
            raise MalformedAnswer("a balance without details", details)
        return details

    def free(self) -> dict[str, Decimal]:
        """What a spot order can use, by token."""
        return {row["ccy"]: Decimal(row["availBal"] or 0) for row in self._balance()}

    def free_margin(self) -> Decimal:
        """What is free of the settlement token for swaps."""
        return sum((Decimal(row["availEq"] or 0) for row in self._balance() if row["ccy"] == self.settle), ZERO)

    def margin(self, symbol: str, needed: Decimal) -> PerpMargin:
        """What a swap order can use."""
        if symbol not in self._leverage:
            self._leverage[symbol] = self._lever(symbol)
        free = self.free_margin()
        held = None if free >= needed else self.perps().get(symbol)
        return PerpMargin(free, ZERO if held is None else held.base, self._leverage[symbol])

    def _lever(self, symbol: str) -> Decimal:
        params = {"instId": self._instrument(PERP, symbol).id, "mgnMode": "cross"}
        return Decimal(only_row(self._client.call("privateGetAccountLeverageInfo", params, HOST))["lever"])

    def settings(self, symbols: Iterable[str]) -> dict[str, PerpSettings]:
        """Margin mode and leverage. The mode is each order's own, and ours is cross; a position may be isolated all the same."""
        isolated = {symbol for symbol, row in self._positions() if row["mgnMode"] == "isolated"}
        modes = {symbol: "isolated" if symbol in isolated else "cross" for symbol in symbols}
        return {symbol: PerpSettings(mode, self._lever(symbol)) for symbol, mode in modes.items()}

    def balances(self, kind: str) -> dict[str, Decimal]:
        """What the trading and the funding account hold, by token; a swap's profit counts once it is realised."""
        found = {row["ccy"]: Decimal(row["cashBal"] or 0) for row in self._balance()}
        for token, amount in okx_funding.balances(self._client, "bal").items():
            found[token] = found.get(token, ZERO) + amount
        return found

    def _positions(self) -> list[tuple[str, Any]]:
        """(symbol, row) of the linear swaps."""
        if PERP not in self._instruments:
            self.rules(PERP, ())
        rows = rows_of(self._client.call("privateGetAccountPositions", {"instType": "SWAP"}, HOST))
        return [(self._symbols[row["instId"]], row) for row in rows if row["instId"] in self._symbols]

    def perps(self) -> dict[str, Perp]:
        """The positions, by symbol."""
        found: dict[str, Perp] = {}
        for symbol, row in self._positions():
            amount = Decimal(row["pos"] or 0) * self._instrument(PERP, symbol).contract
            if amount:
                before = found.get(symbol, Perp(ZERO, ZERO))
                found[symbol] = Perp(before.base + amount, before.cost + amount * Decimal(row["avgPx"]))
        return found

    # Between the funding account and the trading account.

    def reserved(self) -> dict[str, Decimal]:
        """What can be moved here from the funding account, by token."""
        return okx_funding.balances(self._client, "availBal")

    def move(self, source: str, target: str, token: str, amount: Decimal, at_ms: int, expires_ms: int) -> str:
        """Move between them; the venue's name of the move. It is not taken 30 s after its time, and under its name only once."""
        with self._client.stamped(at_ms):
            return okx_funding.move(self._client, source, token, amount)

    def moves_since(self, source: str, target: str, since_ms: int) -> list[Move]:
        """(id, token, amount, time) of the moves from one to the other that were made, from a time on."""
        return okx_funding.moves_since(self._client, source, since_ms)

    # What happened by itself, and how the account is set up.

    def payments_since(self, kinds: Collection[str], from_ms: int, until_ms: int) -> list[Payment]:
        found = okx_account.payments_since(self._client, self._symbols, from_ms, until_ms)
        found += okx_funding.payments_since(self._client, from_ms, until_ms)
        return sorted(found, key=lambda payment: payment.at_ms)

    def origin_of(self, order: FoundOrder) -> str | None:
        """What made an order that nobody sent: a liquidation, a deleveraging; None: somebody sent it."""
        return ORIGINS.get(order.reason)

    def permissions(self) -> Permissions:
        return okx_account.permissions(self._client)

    def is_hedged(self, symbols: Iterable[str]) -> bool:
        """Whether long and short positions of a symbol are kept apart."""
        return bool(okx_account.config(self._client)["posMode"] != "net_mode")

    def mode_fault(self, kinds: Collection[str]) -> str | None:
        return okx_account.mode_fault(self._client, kinds)


# Answers.


def instrument_of(kind: str, row: Any) -> Instrument:
    """A row of `public/instruments`.

    Raises:
        MalformedAnswer: it is none.
    """
    try:
        contract = ONE if kind == SPOT else Decimal(row["ctVal"]) * Decimal(row["ctMult"])
        base, quote = (row["baseCcy"], row["quoteCcy"]) if kind == SPOT else (row["ctValCcy"], row["settleCcy"])
        rules = Rules(
            base=base,
            quote=quote,
            lot=_size(row["lotSz"]) * contract,
            tick=_size(row["tickSz"]),
            least=_size(row["minSz"]) * contract,
            most=Decimal(row["maxLmtSz"]) * contract if row.get("maxLmtSz") else None,
            is_open=row["state"] == "live",
        )
        return Instrument(row["instId"], base + quote, contract, rules)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise MalformedAnswer(f"an instrument without {error}", row) from error


def found_of(row: Any, symbol: str, contract: Decimal) -> FoundOrder:
    """An order as okx shows it.

    Raises:
        MalformedAnswer: it is none.
    """
    try:
        category = row.get("category", "")
        return FoundOrder(
            id=str(row["ordId"]),
            client_id=row["clOrdId"],
            symbol=symbol,
            side=row["side"],
            status=STATES[row["state"]],
            amount=Decimal(row["sz"]) * contract,
            executed=Decimal(row["accFillSz"] or 0) * contract,
            at_ms=int(row["cTime"]),
            reason=row["state"] if category in NORMAL else category,
        )
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise MalformedAnswer(f"an order without {error}", row) from error


def fill_of(row: Any, contract: Decimal) -> Fill:
    """A fill. The venue writes a fee that was paid as a negative one.

    Raises:
        MalformedAnswer: it is none.
    """
    try:
        price, amount = Decimal(row["fillPx"]), Decimal(row["fillSz"]) * contract
        fee = row.get("fee")
        return Fill(
            id=str(row["billId"]),
            price=price,
            amount=amount,
            cost=price * amount,
            fee=None if fee in (None, "") else -Decimal(fee),
            fee_token=row.get("feeCcy") or "",
            realised=Decimal(row.get("fillPnl") or 0),
            at_ms=int(row["ts"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise MalformedAnswer(f"a fill without {error}", row) from error


def _size(text: str) -> Decimal:
    """A step: a market that is not open yet may have none."""
    return Decimal(text or 1)


def _shown(number: Decimal) -> str:
    return format(number.normalize(), "f")
