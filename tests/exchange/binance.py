"""Binance: signatures, errors and the way to the routes of spot, wallet and USD-M futures."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from . import binance_futures, binance_margin, binance_spot, binance_wallet
from .dialect import Answer, Dialect, Route, VenueError

if TYPE_CHECKING:
    from .dialect import Request
    from .engine import Engine
    from .ledger import Account

ROUTES: dict[str, Route] = {**binance_spot.ROUTES, **binance_wallet.ROUTES, **binance_futures.ROUTES, **binance_margin.ROUTES}

# reason: code, text
SPOT_ERRORS = {
    "symbol": (-1121, "Invalid symbol."),
    "parameter": (-1102, "Mandatory parameter was not sent, was empty/null, or malformed."),
    "client_id": (-1100, "Illegal characters found in parameter 'newClientOrderId'; legal range is '^[a-zA-Z0-9-_]{1,36}$'."),
    "together": (-1128, "Combination of optional parameters invalid."),
    "interval": (-1127, "More than 24 hours between startTime and endTime."),
    "closed": (-1013, "Market is closed."),
    "lot": (-1013, "Filter failure: LOT_SIZE"),
    "quantity": (-1013, "Filter failure: LOT_SIZE"),
    "tick": (-1013, "Filter failure: PRICE_FILTER"),
    "notional": (-1013, "Filter failure: NOTIONAL"),
    "balance": (-2010, "Account has insufficient balance for requested action."),
    "duplicate": (-2010, "Duplicate order sent."),
    "unknown_order": (-2013, "Order does not exist."),
    "unknown_order_to_cancel": (-2011, "Unknown order sent."),
}
WALLET_ERRORS = {
    "parameter": (-1102, "Mandatory parameter was not sent, was empty/null, or malformed."),
    "interval": (-1128, "Combination of optional parameters invalid."),
    "amount": (-9000, "user have no avaliable amount"),
    "transfer_balance": (-5013, "Asset transfer failed: insufficient balance"),
    "duplicate": (-4104, "This withdraw order id is already in use."),
    "network": (-4018, "We don't have this asset."),
    "network_closed": (-4015, "Withdraw of this network is suspended."),
    "withdrawal_minimum": (-4003, "The withdrawal amount is less than the minimum."),
    "withdrawal_balance": (-4026, "The user has insufficient balance available."),
    "address": (-4104, "The withdrawal address is not in the whitelist."),
}
FUTURES_ERRORS = {
    "symbol": (-1121, "Invalid symbol."),
    "parameter": (-1102, "Mandatory parameter was not sent, was empty/null, or malformed."),
    "client_id": (-4015, "Client order id is not valid."),
    "together": (-1128, "Combination of optional parameters invalid."),
    "interval": (-4165, "Maximum time interval is 7 days."),
    "closed": (-4140, "Invalid symbol status for opening position."),
    "lot": (-1111, "Precision is over the maximum defined for this asset."),
    "quantity": (-4005, "Quantity greater than max quantity."),
    "tick": (-4014, "Price not increased by tick size."),
    "notional": (-4164, "Order's notional must be no smaller than {minimum} (unless you choose reduce only)."),
    "margin": (-2019, "Margin is insufficient."),
    "reduce_only": (-2022, "ReduceOnly Order is rejected."),
    "duplicate": (-4116, "ClientOrderId is duplicated."),
    "unknown_order": (-2013, "Order does not exist."),
    "unknown_order_to_cancel": (-2011, "Unknown order sent."),
    "leverage": (-4028, "Leverage {leverage} is not valid"),
    "no_change_margin": (-4046, "No need to change margin type."),
    "no_change_mode": (-4059, "No need to change position side."),
    "open_position": (-4048, "Margin type cannot be changed if there exists position."),
    "position_side": (-4061, "Order's position side does not match user's setting."),
}


class Binance(Dialect):
    venue = "binance"
    routes = ROUTES

    def signed_ms(self, request: Request) -> int:
        return int(request.params.get("timestamp", "0"))

    def params(self, request: Request) -> dict[str, Any]:
        return request.params

    def success(self, engine: Engine, route: Route, result: Any) -> Answer:
        headers = {"X-MBX-USED-WEIGHT-1M": str(engine.faults.in_minute.get(self.venue, (0, 0))[1])}
        if route.kind == "order":
            headers["X-MBX-ORDER-COUNT-10S"] = "1"
        return Answer(200, result, {**headers, **engine.faults.headers.get(self.venue, {})})

    def account(self, engine: Engine, request: Request, needs: str) -> Account:
        key = engine.keys.get((self.venue, request.headers.get("X-MBX-APIKEY", "")))
        if key is None or key.is_expired or needs not in key.may:
            raise VenueError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        signed, _, signature = (request.query + request.body.decode()).rpartition("signature=")
        good = hmac.new(key.secret.encode(), signed.removesuffix("&").encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(good, signature):
            raise VenueError(-1022, "Signature for this request is not valid.")
        params = request.params
        if not params.get("timestamp", "").isdigit():
            raise VenueError(-1102, "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed.")
        sent, window = int(params["timestamp"]), int(params.get("recvWindow", "5000"))
        if window > 60_000:
            raise VenueError(-1131, "recvWindow must be less than 60000.")
        engine.clock.see(sent)
        now = engine.now()
        if sent >= now + 1_000:
            raise VenueError(-1021, f"Timestamp for this request was {sent - now}ms ahead of the server's time.")
        if now - sent > window:
            raise VenueError(-1021, "Timestamp for this request is outside of the recvWindow.")
        return engine.ledger.account(self.venue, key.account)

    def error(self, code: int | str, text: str, status: int) -> Answer:
        return Answer(status, {"code": code, "msg": text})

    def refusal(self, request: Request, reason: str, **details: Any) -> Answer:
        table = FUTURES_ERRORS if request.path.startswith("/fapi") else WALLET_ERRORS if request.path.startswith("/sapi") else SPOT_ERRORS
        if reason == "unknown_order" and request.method == "DELETE":
            reason = "unknown_order_to_cancel"
        code, text = table[reason]
        return self.error(code, text.format(**details) if details else text, 400)

    def maintenance(self) -> Answer:
        return Answer(503, {"code": 1, "msg": "System is under maintenance."})

    def too_many(self, wait_s: int) -> Answer:
        text = "Too much request weight used; please use WebSocket Streams for live updates to avoid polling the API."
        return Answer(429, {"code": -1003, "msg": text}, {"Retry-After": str(wait_s)})
