"""OKX v5: signatures, deadlines, errors and the way to the routes."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from . import okx_account, okx_assets, okx_markets, okx_trade
from .dialect import Answer, Dialect, Route, VenueError
from .okx_trade import ORDER_ERRORS
from .prices import milliseconds

if TYPE_CHECKING:
    from .dialect import Request
    from .engine import Engine
    from .ledger import Account

ROUTES: dict[str, Route] = {**okx_markets.ROUTES, **okx_trade.ROUTES, **okx_account.ROUTES, **okx_assets.ROUTES}
WINDOW_MS = 30_000
# Refusals of calls that are no orders; those of an order are in its own row of the answer.
ERRORS = {
    "parameter": (50014, "Parameter {name} cannot be empty."),
    "symbol": (51001, "Instrument ID, Instrument ID code, or Spread ID doesn't exist."),
    "unknown_order": (51603, "Order does not exist"),
    "leverage": (59102, "Leverage exceeds the maximum limit. Please lower the leverage."),
    "open_position": (59000, "Setting failed. Cancel any open orders, close positions, and stop trading bots first."),
    "amount": (58114, "The transfer amount must be greater than 0."),
    "transfer_balance": (58350, "Insufficient balance."),
    "duplicate_transfer": (58999, "clientId already exists"),
    "unknown_transfer": (58129, "The transfer does not exist"),
    "duplicate_withdrawal": (58237, "clientId already exists"),
    "network": (58216, "The withdrawal network does not exist"),
    "network_closed": (58217, "Withdrawals of this network are suspended"),
    "withdrawal_minimum": (58208, "The withdrawal amount is less than the minimum"),
    "withdrawal_balance": (58350, "Insufficient balance."),
    "address": (58207, "Withdrawal address is not in the verified address list"),
}


class Okx(Dialect):
    venue = "okx"
    routes = ROUTES

    def signed_ms(self, request: Request) -> int:
        stamp = request.headers.get("OK-ACCESS-TIMESTAMP")
        return milliseconds(stamp) if stamp else 0

    def params(self, request: Request) -> dict[str, Any]:
        if request.method == "GET":
            return request.query_params
        given = request.json
        return {"orders": given} if isinstance(given, list) else given

    def account(self, engine: Engine, request: Request, needs: str) -> Account:
        headers = request.headers
        key = engine.keys.get((self.venue, headers.get("OK-ACCESS-KEY", "")))
        if key is None or key.is_expired:
            raise VenueError("50111", "Invalid OK-ACCESS-KEY", 401)
        if key.passphrase != headers.get("OK-ACCESS-PASSPHRASE"):
            raise VenueError("50105", "Request header OK-ACCESS-PASSPHRASE incorrect", 401)
        stamp = headers.get("OK-ACCESS-TIMESTAMP", "")
        target = request.path + (f"?{request.query}" if request.query else "")
        signed = f"{stamp}{request.method}{target}{request.body.decode()}"
        good = base64.b64encode(hmac.new(key.secret.encode(), signed.encode(), hashlib.sha256).digest()).decode()
        if not hmac.compare_digest(good, headers.get("OK-ACCESS-SIGN", "")):
            raise VenueError("50113", "Invalid Sign", 401)
        sent = milliseconds(stamp)
        engine.clock.see(sent)
        if abs(engine.now() - sent) > WINDOW_MS:
            raise VenueError("50102", "Timestamp request expired", 401)
        if needs not in key.may:
            raise VenueError("50120", "This API key doesn't have permission to use this function", 401)
        if int(headers.get("expTime", 2**62)) < engine.now():
            raise VenueError("51149", "Order timed out. Please try again.", 200)
        return engine.ledger.account(self.venue, key.account)

    def success(self, engine: Engine, route: Route, result: Any) -> Answer:
        """A route gives its rows, or a whole answer where some of them failed."""
        return Answer(200, result if isinstance(result, dict) else {"code": "0", "msg": "", "data": result})

    def error(self, code: int | str, text: str, status: int) -> Answer:
        return Answer(status, {"code": str(code), "msg": text, "data": []})

    def refusal(self, request: Request, reason: str, **details: Any) -> Answer:
        if self.routes[f"{request.method} {request.path}"].kind in ("order", "cancel"):
            code, text = ORDER_ERRORS[reason]
            given = self.params(request)
            row = {"clOrdId": given.get("orders", [given])[0].get("clOrdId", ""), "ordId": "", "tag": "", "ts": "0",
                   "sCode": str(code), "sMsg": text}  # fmt: skip
            return Answer(200, {"code": "1", "msg": "All operations failed", "data": [row]})
        code, text = ERRORS[reason]
        return self.error(code, text.format_map({"name": "", **details}), 200)

    def maintenance(self) -> Answer:
        return Answer(503, {"code": "50001", "msg": "Service temporarily unavailable. Try again later", "data": []})

    def too_many(self, wait_s: int) -> Answer:
        return self.error("50011", "Rate limit reached. Please refer to API documentation and throttle requests accordingly", 429)
