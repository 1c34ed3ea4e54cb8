"""Hyperliquid: two paths, with what is asked in the body; signatures, nonces and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import hyperliquid_info, hyperliquid_markets, hyperliquid_trade
from .dialect import Answer, Dialect, Route, VenueError
from .hyperliquid_signing import BY_USER, load, signer_of

if TYPE_CHECKING:
    from .dialect import Request
    from .engine import Engine
    from .ledger import Account

ROUTES: dict[str, Route] = {**hyperliquid_markets.ROUTES, **hyperliquid_info.ROUTES, **hyperliquid_trade.ROUTES}
NONCES_KEPT = 100
DAY_MS = 86_400_000
ERRORS = {
    "symbol": "Asset does not exist.",
    "parameter": "Failed to deserialize the JSON body into the target type",
    "closed": "Trading is halted.",
    "lot": "Order has invalid size.",
    "quantity": "Order has invalid size.",
    "tick": "Price must be divisible by tick size.",
    "notional": "Order must have minimum value of ${minimum}.",
    "balance": "Insufficient spot balance asset={asset}",
    "margin": "Insufficient margin to place order. asset={asset}",
    "reduce_only": "Reduce only order would increase position. asset={asset}",
    "unmatched": "Order could not immediately match against any resting orders. asset={asset}",
    "duplicate": "Cloid already used. asset={asset}",
    "unknown_order": "Order was never placed, already canceled, or filled. asset={asset}",
    "leverage": "Invalid leverage value",
    "transfer_balance": "Insufficient balance for token transfer",
    "amount": "Insufficient balance for token transfer",
    "network": "Withdrawal is not possible",
    "network_closed": "Withdrawals are suspended",
    "withdrawal_minimum": "Withdrawal amount is below the minimum",
    "withdrawal_balance": "Insufficient balance for withdrawal",
    "address": "Invalid destination",
}


def words(reason: str, **details: Any) -> str:
    return ERRORS[reason].format_map({"asset": "0", "minimum": "10", **details})


class Hyperliquid(Dialect):
    venue = "hyperliquid"
    routes = ROUTES
    reads_body = True

    def route(self, request: Request) -> Route | None:
        if request.method != "POST" or request.path not in ("/info", "/exchange"):
            return None
        given = request.json
        load()  # with the first question: an order would have expired meanwhile
        return ROUTES.get(f"info {given.get('type')}" if request.path == "/info" else f"exchange {given['action']['type']}")

    def signed_ms(self, request: Request) -> int:
        return int(request.json.get("nonce", 0))

    def params(self, request: Request) -> dict[str, Any]:
        given = request.json
        return given if request.path == "/info" else {**given["action"], "nonce": given["nonce"]}

    def account(self, engine: Engine, request: Request, needs: str) -> Account:
        given = request.json
        if request.path == "/info":
            return self.named(engine, given.get("user", ""))
        signer = signer_of(given)
        key = engine.keys.get((self.venue, signer))
        is_agent = key is not None and "withdraw" not in key.may
        if key is None or key.is_expired or needs not in key.may or (is_agent and given["action"]["type"] in BY_USER):
            raise VenueError("", f"User or API Wallet {signer} does not exist.", 200)
        account = engine.ledger.account(self.venue, key.account)
        nonce = int(given["nonce"])
        engine.clock.see(nonce)
        kept = engine.ledger.nonces.setdefault(signer, [])
        kept[:] = sorted(kept)[-NONCES_KEPT:]
        if nonce in kept or (len(kept) == NONCES_KEPT and nonce < kept[0]):
            raise VenueError("", f"Invalid nonce: duplicate nonce {nonce}", 200)
        if not engine.now() - 2 * DAY_MS < nonce < engine.now() + DAY_MS:
            raise VenueError("", "Invalid nonce: too far from the time of the block", 200)
        if given.get("expiresAfter") is not None and int(given["expiresAfter"]) < engine.now():
            raise VenueError("", "Action expired.", 200)
        engine.ledger.write("nonce", engine.now(), account, nonce=nonce, signer=signer)
        return account

    def named(self, engine: Engine, user: str) -> Account:
        """The account of an address; one that nobody knows is empty."""
        key = engine.keys.get((self.venue, user.lower()))
        return engine.ledger.account(self.venue, user.lower() if key is None else key.account)

    def success(self, engine: Engine, route: Route, result: Any) -> Answer:
        return Answer(200, result)

    def error(self, code: int | str, text: str, status: int) -> Answer:
        return Answer(status, {"status": "err", "response": text})

    def refusal(self, request: Request, reason: str, **details: Any) -> Answer:
        text = words(reason, **details)
        kind = request.json.get("action", {}).get("type", "")
        if kind in ("order", "cancel", "cancelByCloid"):
            return Answer(200, {"status": "ok", "response": {"type": kind, "data": {"statuses": [{"error": text}]}}})
        if request.path == "/info":
            return Answer(422, text)
        return self.error("", text, 200)

    def maintenance(self) -> Answer:
        return Answer(502, "<html><body>Bad gateway</body></html>")

    def too_many(self, wait_s: int) -> Answer:
        return Answer(429, "")
