"""Bybit v5 (unified account): signatures, errors and the way to the routes."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from . import bybit_account, bybit_markets, bybit_trade
from .dialect import Answer, Dialect, Route, VenueError

if TYPE_CHECKING:
    from .dialect import Request
    from .engine import Engine
    from .ledger import Account

# reason: code and text in spot, code and text elsewhere
ERRORS = {
    "symbol": ((170121, "Invalid symbol."), (10001, "params error: symbol invalid")),
    "parameter": ((10001, "params error: {name}"), (10001, "params error: {name}")),
    "client_id": ((10001, "params error: OrderLinkId invalid"), (10001, "params error: OrderLinkId invalid")),
    "closed": ((170345, "This trading pair is not available for trading."), (110074, "This contract is not live")),
    "lot": ((170137, "Order quantity has too many decimals."), (10001, "Qty invalid")),
    "quantity": ((170136, "Order quantity exceeded upper limit."), (110095, "The number of contracts exceeds maximum limit allowed")),
    "tick": ((170134, "Order price has too many decimals."), (10001, "Price invalid")),
    "notional": ((170140, "Order value exceeded lower limit."), (110094, "Order does not meet minimum order value {minimum}USDT")),
    "balance": ((170131, "Insufficient balance."), (110007, "ab not enough for new order")),
    "margin": ((110007, "ab not enough for new order"), (110007, "ab not enough for new order")),
    "reduce_only": ((110017, "orderQty will be truncated to zero."), (110017, "orderQty will be truncated to zero.")),
    "duplicate": ((170141, "Duplicate clientOrderId"), (110072, "OrderLinkedID is duplicate")),
    "unknown_order": ((170213, "Order does not exist."), (110001, "order not exists or too late to cancel")),
    "leverage": ((110013, "Cannot set leverage due to risk limit level."), (110013, "Cannot set leverage due to risk limit level.")),
    "leverage_as_before": ((110043, "leverage not modified"), (110043, "leverage not modified")),
    "open_position": ((110024, "The position mode cannot be switched when there is an existing position"),) * 2,
    "amount": ((131228, "Your balance is not enough"),) * 2,
    "transfer_balance": ((131212, "Insufficient balance"),) * 2,
    "duplicate_transfer": ((131214, "TransferId exist"),) * 2,
    "duplicate_withdrawal": ((131099, "requestId is duplicate"),) * 2,
    "network": ((131090, "Withdrawals of this currency are not supported on this chain"),) * 2,
    "network_closed": ((131094, "Withdrawals of this chain are suspended"),) * 2,
    "withdrawal_minimum": ((131085, "Withdrawal amount is lower than minimum"),) * 2,
    "withdrawal_balance": ((131001, "openapi svc error: balance is not enough"),) * 2,
    "address": ((131002, "Withdraw address is not in the whitelist"),) * 2,
}


ROUTES: dict[str, Route] = {**bybit_markets.ROUTES, **bybit_trade.ROUTES, **bybit_account.ROUTES}


class Bybit(Dialect):
    venue = "bybit"
    routes = ROUTES

    def signed_ms(self, request: Request) -> int:
        return int(request.headers.get("X-BAPI-TIMESTAMP", "0"))

    def params(self, request: Request) -> dict[str, Any]:
        return request.query_params if request.method == "GET" else request.json

    def account(self, engine: Engine, request: Request, needs: str) -> Account:
        headers = request.headers
        key = engine.keys.get((self.venue, headers.get("X-BAPI-API-KEY", "")))
        if key is None:
            raise VenueError(10003, "API key is invalid.", 401 if request.method == "GET" else 200)
        if key.is_expired:
            raise VenueError(33004, "Your api key has expired.", 200)
        sent, window = headers.get("X-BAPI-TIMESTAMP", "0"), headers.get("X-BAPI-RECV-WINDOW", "5000")
        payload = request.query if request.method == "GET" else request.body.decode()
        good = hmac.new(key.secret.encode(), (sent + key.key + window + payload).encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(good, headers.get("X-BAPI-SIGN", "")):
            raise VenueError(10004, "Error sign, please check your signature generation algorithm.", 200)
        engine.clock.see(int(sent))
        now = engine.now()
        if not now - int(window) <= int(sent) < now + 1_000:
            text = "invalid request, please check your server timestamp or recv_window param."
            raise VenueError(10002, f"{text} req_timestamp[{sent}],server_timestamp[{now}],recv_window[{window}]", 200)
        if needs not in key.may:
            raise VenueError(10005, "Permission denied, please check your API key permissions.", 200)
        return engine.ledger.account(self.venue, key.account)

    def success(self, engine: Engine, route: Route, result: Any) -> Answer:
        reset = engine.now() + 1_000
        headers = {"X-Bapi-Limit": "20", "X-Bapi-Limit-Status": "19", "X-Bapi-Limit-Reset-Timestamp": str(reset)}
        return Answer(
            200,
            {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": engine.now()},
            {**headers, **engine.faults.headers.get(self.venue, {})},
        )

    def error(self, code: int | str, text: str, status: int) -> Answer:
        return Answer(status, {"retCode": code, "retMsg": text, "result": {}, "retExtInfo": {}, "time": 0})

    def refusal(self, request: Request, reason: str, **details: Any) -> Answer:
        is_spot = self.params(request).get("category") == "spot"
        code, text = ERRORS[reason][0 if is_spot else 1]
        return self.error(code, text.format_map({"name": "", "minimum": "5", **details}), 200)

    def maintenance(self) -> Answer:
        return self.error(10016, "Service is restarting", 200)

    def too_many(self, wait_s: int) -> Answer:
        return self.error(10006, "Too many visits. Exceeded the API Rate Limit.", 200)
