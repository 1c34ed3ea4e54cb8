"""Hyperliquid: actions. An order that is refused is an answer with status ok."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from .dialect import Call, Route
from .ledger import Order, Refused, text
from .markets import PERP, SPOT, Market

OK = {"status": "ok", "response": {"type": "default"}}
LIVES = {"Gtc": "GTC", "Ioc": "IOC", "Alo": "GTC"}
SPOT_FROM = 10_000


def market_at(call: Call, asset: int) -> Market:
    """By its number: perps from 0, spot from 10,000."""
    kind, index = (SPOT, asset - SPOT_FROM) if asset >= SPOT_FROM else (PERP, asset)
    markets = call.engine.markets_of("hyperliquid", kind)
    if not 0 <= index < len(markets):
        raise Refused("symbol")
    return markets[index]


def asset_of(call: Call, kind: str, symbol: str) -> int:
    index = [market.symbol for market in call.engine.markets_of("hyperliquid", kind)].index(symbol)
    return index + (SPOT_FROM if kind == SPOT else 0)


def _each(call: Call, kind: str, rows: list[dict[str, Any]], run: Any) -> Any:
    from .hyperliquid import words

    statuses = []
    for given in rows:
        try:
            statuses.append(run(given))
        except Refused as refused:
            asset = given.get("a", given.get("asset", 0))
            statuses.append({"error": words(refused.reason, **{"asset": asset, **_plain(refused.details)})})
    return {"status": "ok", "response": {"type": kind, "data": {"statuses": statuses}}}


def _plain(details: dict[str, Any]) -> dict[str, Any]:
    return {name: text(value) if isinstance(value, Decimal) else value for name, value in details.items()}


def _orders(call: Call) -> Any:
    return _each(call, "order", call.need("orders"), lambda given: _place(call, given))


def _place(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    market = market_at(call, given["a"])
    life = given["t"]["limit"]["tif"]
    number, now = call.engine.ledger.next_id(), call.engine.now()
    side = "buy" if given["b"] else "sell"
    order = Order(number, given.get("c") or "", market.kind, market.symbol, side, Decimal(given["s"]), Decimal(given["p"]), LIVES[life],
                  bool(given["r"]), now, now, note=life)  # fmt: skip
    done = call.engine.matching.place(call.account, order, share=call.share)
    named = {"oid": done.id, **({"cloid": done.client_id} if done.client_id else {})}
    if done.filled:
        return {"filled": {"totalSz": text(done.filled), "avgPx": text(round(done.average, 8)), **named}}
    if done.status == "open":
        return {"resting": named}
    raise Refused("unmatched")


def _cancel(call: Call) -> Any:
    def run(given: dict[str, Any]) -> str:
        order = call.account.find(given["cloid"]) if "cloid" in given else call.account.orders.get(int(given["o"]))
        if order is None:
            raise Refused("unknown_order")
        call.engine.matching.cancel(call.account, order)
        return "success"

    return _each(call, call.params["type"], call.need("cancels"), run)


def _leverage(call: Call) -> Any:
    market, leverage = market_at(call, call.params["asset"]), int(call.need("leverage"))
    if not 1 <= leverage <= 25:
        raise Refused("leverage")
    mode = "cross" if call.params["isCross"] else "isolated"
    setting = {f"leverage {market.symbol}": str(leverage), f"margin_mode {market.symbol}": mode}
    call.engine.ledger.write("setting", call.engine.now(), call.account, setting=setting)
    return OK


def _class_transfer(call: Call) -> Any:
    source, target = ("spot", "perp") if call.params["toPerp"] else ("perp", "spot")
    call.engine.moves.transfer(call.account, "USDC", Decimal(call.need("amount")), source, target, str(call.params["nonce"]))
    return OK


def _withdraw(call: Call) -> Any:
    """The fee comes out of the amount."""
    amount, nonce = Decimal(call.need("amount")), str(call.params["nonce"])
    call.engine.moves.withdraw(call.account, "USDC", amount, "", call.need("destination"), nonce, fee_on_top=False)
    return OK


ROUTES = {
    "exchange order": Route("order", "trade", _orders),
    "exchange cancel": Route("cancel", "trade", _cancel),
    "exchange cancelByCloid": Route("cancel", "trade", _cancel),
    "exchange updateLeverage": Route("settings", "trade", _leverage),
    "exchange usdClassTransfer": Route("transfer", "transfer", _class_transfer),
    "exchange withdraw3": Route("withdraw", "withdraw", _withdraw),
    "exchange approveBuilderFee": Route("builder", "withdraw", lambda _: OK),
    "exchange setReferrer": Route("builder", "trade", lambda _: OK),
}
