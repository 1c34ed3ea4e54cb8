"""Binance: spot and USD-M futures of one account, by its REST API as of 2026."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.core.state import Perp
from basis_strategy_v1.live import binance_account, binance_errors
from basis_strategy_v1.live.binance_account import DAY_MS, PAGE, PERP_HOST, SPOT_HOST
from basis_strategy_v1.live.exchange_api import DELEVERAGING, LIQUIDATION, Move, Payment, Permissions, PerpMargin, PerpSettings
from basis_strategy_v1.live.exchange_client import Refusal
from basis_strategy_v1.live.exchange_moves import UNIT
from basis_strategy_v1.live.exchange_orders import DONE, OPEN, PERP, REFUSED, SPOT, Fill, FoundOrder, Rules
from basis_strategy_v1.live.exchange_rate import RateWindow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from basis_strategy_v1.live.exchange_client import ExchangeClient
    from basis_strategy_v1.live.exchange_orders import SentOrder

WINDOWS = {
    SPOT_HOST: (RateWindow("X-MBX-USED-WEIGHT-1M", 6_000, 60), RateWindow("X-MBX-ORDER-COUNT-10S", 100, 10)),
    PERP_HOST: (RateWindow("X-MBX-USED-WEIGHT-1M", 2_400, 60), RateWindow("X-MBX-ORDER-COUNT-10S", 300, 10)),
}
NO_SUCH_SYMBOL = "-1121"
FEE_TOKEN = "BNB"  # fees are paid in it where the account has it and wants it
STATUS = {
    "NEW": OPEN, "PENDING_NEW": OPEN, "PARTIALLY_FILLED": OPEN, "PENDING_CANCEL": OPEN,
    "FILLED": DONE, "EXPIRED": DONE, "EXPIRED_IN_MATCH": DONE, "CANCELED": DONE, "REJECTED": REFUSED,
}  # fmt: skip
ORIGINS = {"autoclose-": LIQUIDATION, "adl_autoclose": DELEVERAGING, "settlement_autoclose-": LIQUIDATION}
ZERO = Decimal(0)


class MarketApi(NamedTuple):
    """The calls of one kind of market: ccxt's methods, host, answer that an order has, errors."""

    host: str
    clock: str
    rules: str
    order: str
    find: str
    fills: str
    orders: str
    open_orders: str
    answer: str
    errors: Mapping[str, Any]


MARKETS = {
    SPOT: MarketApi(
        SPOT_HOST, "publicGetTime", "publicGetExchangeInfo", "privatePostOrder", "privateGetOrder", "privateGetMyTrades",
        "privateGetAllOrders", "privateGetOpenOrders", "FULL", binance_errors.SPOT,
    ),
    PERP: MarketApi(
        PERP_HOST, "fapiPublicGetTime", "fapiPublicGetExchangeInfo", "fapiPrivatePostOrder", "fapiPrivateGetOrder",
        "fapiPrivateGetUserTrades", "fapiPrivateGetAllOrders", "fapiPrivateGetOpenOrders", "RESULT", binance_errors.PERP,
    ),
}  # fmt: skip


MOVES = {(SPOT, PERP): "MAIN_UMFUTURE", (PERP, SPOT): "UMFUTURE_MAIN"}


class Binance:
    """The calls of one account."""

    life_ms = 2_000
    """A signed request is not executed later than this after its timestamp."""
    fee_tokens: tuple[str, ...] = (FEE_TOKEN,)
    settle = "USDT"
    wallets_are_separate = True
    has_reserve = False
    moves = True
    move_unit = UNIT
    move_errors: Mapping[str, Any] = binance_errors.WALLET

    def __init__(self, client: ExchangeClient) -> None:
        self._client = client
        self._leverage: dict[str, Decimal] = {}

    def forget(self) -> None:
        """Read the account's settings again when they are next needed."""
        self._leverage.clear()

    def errors(self, kind: str) -> Mapping[str, Any]:
        return MARKETS[kind].errors

    def time_ms(self, kind: str) -> int:
        market = MARKETS[kind]
        return int(self._client.call(market.clock, {}, market.host)["serverTime"])

    # Markets.

    def rules(self, kind: str, symbols: Iterable[str]) -> dict[str, Rules]:
        """The rules of these symbols, those of them that there are."""
        wanted = set(symbols)
        market = MARKETS[kind]
        listed = "[" + ",".join(f'"{symbol}"' for symbol in sorted(wanted)) + "]"
        try:
            answer = self._client.call(market.rules, {"symbols": listed} if kind == SPOT else {}, market.host)
        except Refusal as refused:
            if refused.code != NO_SUCH_SYMBOL:
                raise
            # One that there is not spoils the answer about the others.
            answer = self._client.call(market.rules, {}, market.host)
        return {row["symbol"]: rules_of(row) for row in _rows(answer, "symbols") if row["symbol"] in wanted}

    # Orders.

    def place(self, sent: SentOrder, at_ms: int) -> FoundOrder:
        """Send an order, signed at this time of the venue's; it dies with `sent.expires_ms`."""
        market = MARKETS[sent.trade_type]
        params = {
            "symbol": sent.symbol,
            "side": sent.side.upper(),
            "type": "LIMIT",
            "timeInForce": sent.life,
            "quantity": format(sent.amount, "f"),
            "price": format(sent.price, "f"),
            "newClientOrderId": sent.client_id,
            "newOrderRespType": market.answer,
            "recvWindow": min(self.life_ms, sent.expires_ms - at_ms),
        }
        if sent.reduce_only:
            params["reduceOnly"] = "true"
        with self._client.stamped(at_ms):
            return found_of(self._client.call(market.order, params, market.host))

    def find(self, kind: str, symbol: str, *, client_id: str = "", order_id: str = "", sent_ms: int = 0) -> FoundOrder:
        """An order by its client id, or by the venue's."""
        market = MARKETS[kind]
        which = {"orderId": order_id} if order_id else {"origClientOrderId": client_id}
        return found_of(self._client.call(market.find, {"symbol": symbol, **which}, market.host))

    def fills(self, kind: str, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """The fills of one order."""
        market = MARKETS[kind]
        rows = self._client.call(market.fills, {"symbol": symbol, "orderId": order_id, "limit": PAGE}, market.host)
        return tuple(fill_of(row) for row in _rows(rows))

    def fills_since(self, kind: str, symbol: str, from_ms: int, until_ms: int) -> list[tuple[str, Fill]]:
        """(order id, fill) of a symbol between two times, oldest first. The venue gives a day at once."""
        market = MARKETS[kind]
        found: dict[str, tuple[str, Fill]] = {}
        for start in range(from_ms, until_ms + 1, DAY_MS):
            first, last = start, min(start + DAY_MS, until_ms)
            while True:
                params = {"symbol": symbol, "startTime": first, "endTime": last, "limit": PAGE}
                rows = _rows(self._client.call(market.fills, params, market.host))
                page = [(_text_in(row, "orderId"), fill_of(row)) for row in rows]
                found |= {fill.id: (order_id, fill) for order_id, fill in page}
                if len(rows) < PAGE or page[-1][1].at_ms == first:
                    break
                first = page[-1][1].at_ms
        return list(found.values())

    def open_orders(self, kind: str) -> list[FoundOrder]:
        market = MARKETS[kind]
        return [found_of(row) for row in _rows(self._client.call(market.open_orders, {}, market.host))]

    # Balances and positions.

    def free(self) -> dict[str, Decimal]:
        """What a spot order can use, by token."""
        return {row["asset"]: Decimal(row["free"]) for row in self._spot_balances()}

    def free_margin(self) -> Decimal:
        """What is free of the settlement token for perps, and to leave their wallet."""
        return _free_margin(self._client.call("fapiPrivateV3GetAccount", {}, PERP_HOST))

    def margin(self, symbol: str, needed: Decimal) -> PerpMargin:
        """What a perp order can use."""
        if symbol not in self._leverage:
            self._leverage[symbol] = self.settings((symbol,))[symbol].leverage
        account = self._client.call("fapiPrivateV3GetAccount", {}, PERP_HOST)
        free = _free_margin(account)
        held = sum((Decimal(row["positionAmt"]) for row in _rows(account, "positions") if row["symbol"] == symbol), ZERO)
        return PerpMargin(free, held, self._leverage[symbol])

    def settings(self, symbols: Iterable[str]) -> dict[str, PerpSettings]:
        """Margin mode and leverage, by symbol; the venue gives all of them."""
        rows = _rows(self._client.call("fapiPrivateGetSymbolConfig", {}, PERP_HOST))
        return {row["symbol"]: PerpSettings(row["marginType"].lower(), Decimal(row["leverage"])) for row in rows}

    def _spot_balances(self) -> list[Any]:
        return _rows(self._client.call("privateGetAccount", {"omitZeroBalances": "true"}, SPOT_HOST), "balances")

    def balances(self, kind: str) -> dict[str, Decimal]:
        """What a wallet holds, by token; a perp's profit counts once it is realised."""
        if kind == SPOT:
            return {row["asset"]: Decimal(row["free"]) + Decimal(row["locked"]) for row in self._spot_balances()}
        account = self._client.call("fapiPrivateV3GetAccount", {}, PERP_HOST)
        return {row["asset"]: Decimal(row["walletBalance"]) for row in _rows(account, "assets")}

    def perps(self) -> dict[str, Perp]:
        """The positions, by symbol."""
        rows = _rows(self._client.call("fapiPrivateV3GetPositionRisk", {}, PERP_HOST))
        held = {row["symbol"]: (Decimal(row["positionAmt"]), Decimal(row["entryPrice"])) for row in rows}
        return {symbol: Perp(amount, amount * entry) for symbol, (amount, entry) in held.items() if amount}

    # Between the wallets.

    def reserved(self) -> dict[str, Decimal]:
        return {}

    def move(self, source: str, target: str, token: str, amount: Decimal, at_ms: int, expires_ms: int) -> str:
        """Move between the wallets; the venue's name of the move. The venue takes no id of ours for it."""
        params = {
            "type": MOVES[source, target],
            "asset": token,
            "amount": format(amount, "f"),
            "recvWindow": min(self.life_ms, expires_ms - at_ms),
        }
        with self._client.stamped(at_ms):
            answer = self._client.call("sapiPostAssetTransfer", params, SPOT_HOST)
        return _text_in(answer, "tranId")

    def moves_since(self, source: str, target: str, since_ms: int) -> list[Move]:
        """(id, token, amount, time) of the moves between two wallets that were made, from a time on."""
        return binance_account.moves_since(self._client, MOVES[source, target], since_ms)

    # What happened by itself, and how the account is set up.

    def payments_since(self, kinds: Collection[str], from_ms: int, until_ms: int) -> list[Payment]:
        return binance_account.payments_since(self._client, kinds, from_ms, until_ms)

    def origin_of(self, order: FoundOrder) -> str | None:
        """What made an order that nobody sent: a liquidation, a deleveraging; None: somebody sent it."""
        return next((kind for start, kind in ORIGINS.items() if order.client_id.startswith(start)), None)

    def permissions(self) -> Permissions:
        return binance_account.permissions(self._client)

    def is_hedged(self, symbols: Iterable[str]) -> bool:
        return binance_account.is_hedged(self._client)

    def mode_fault(self, kinds: Collection[str]) -> str | None:
        if PERP in kinds and binance_account.is_multi_asset(self._client):
            return "several coins count as margin (multi-assets mode); set single-asset mode at the exchange"
        return None


# Answers.


def rules_of(row: Mapping[str, Any]) -> Rules:
    """A row of `exchangeInfo`."""
    filters = {each["filterType"]: each for each in row["filters"]}
    size = filters["LOT_SIZE"]
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
    return Rules(
        base=row["baseAsset"],
        quote=row.get("marginAsset") or row["quoteAsset"],
        lot=Decimal(size["stepSize"]),
        tick=Decimal(filters["PRICE_FILTER"]["tickSize"]),
        least=_above_zero(size.get("minQty")),
        most=_above_zero(size.get("maxQty")),
        least_notional=_above_zero(notional.get("minNotional") or notional.get("notional")),
        most_notional=_above_zero(notional.get("maxNotional")),
        is_open=row["status"] == "TRADING",
    )


def found_of(row: Any) -> FoundOrder:
    """An order as binance shows it. The fills in it are only there right after it was sent, at spot.

    Raises:
        MalformedAnswer: it is none.
    """
    try:
        fills = tuple(fill_of(fill) for fill in row["fills"]) if "fills" in row else None
        return FoundOrder(
            id=_text_in(row, "orderId"),
            client_id=row["clientOrderId"],
            symbol=row["symbol"],
            side=row["side"].lower(),
            status=STATUS[row["status"]],
            amount=Decimal(row["origQty"]),
            executed=Decimal(row["executedQty"]),
            at_ms=int(row.get("transactTime") or row.get("time") or row["updateTime"]),
            reason=row["status"],
            fills=fills,
        )
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise MalformedAnswer(f"an order without {error}", row) from error


def fill_of(row: Any) -> Fill:
    """A fill of `myTrades`, `userTrades`, or within the answer to a spot order, which has no side, cost and time.

    Raises:
        MalformedAnswer: it is none.
    """
    try:
        price, amount = Decimal(row["price"]), Decimal(row["qty"])
        fee = row.get("commission")
        return Fill(
            id=str(row.get("id", row.get("tradeId"))),
            price=price,
            amount=amount,
            cost=Decimal(row["quoteQty"]) if "quoteQty" in row else price * amount,
            fee=None if fee is None else Decimal(fee),
            fee_token=row.get("commissionAsset") or "",
            realised=Decimal(row.get("realizedPnl", 0)),
            at_ms=int(row.get("time", 0)),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise MalformedAnswer(f"a fill without {error}", row) from error


def _free_margin(account: Any) -> Decimal:
    return sum((Decimal(row["availableBalance"]) for row in _rows(account, "assets") if row["asset"] == Binance.settle), ZERO)


def _above_zero(text: Any) -> Decimal | None:
    """A limit; one of 0 is none."""
    return None if text is None or not Decimal(text) else Decimal(text)


def _text_in(answer: Any, name: str) -> str:
    if not isinstance(answer, dict) or answer.get(name) in (None, ""):
        raise MalformedAnswer(f"an answer without {name}", answer)
    return str(answer[name])


def _rows(answer: Any, name: str | None = None) -> list[Any]:
    """The rows of an answer.

    Raises:
        MalformedAnswer: there are none where they belong.
    """
    rows = answer if name is None else answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        raise MalformedAnswer(f"an answer without {name or 'rows'}", answer)
    return rows
