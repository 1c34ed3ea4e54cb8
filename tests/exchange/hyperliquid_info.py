"""Hyperliquid: what an account holds and did; anyone may ask."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from .dialect import Call, Route
from .hyperliquid_markets import WRAPPED, coin_of, price_of, spot_meta
from .ledger import ZERO, Fill, Order, Position, text
from .markets import PERP, SPOT

NO_HASH = "0x" + "0" * 64


def _perp_state(call: Call) -> Any:
    account, engine = call.account, call.engine
    held = engine.shown(account).get("perp", {}).get("USDC", ZERO)
    symbols = [symbol for symbol, position in account.positions.items() if position.amount]
    unrealised = sum((engine.unrealised(account, symbol) for symbol in symbols), ZERO)
    used = sum((engine.initial_margin(account, symbol) for symbol in symbols), ZERO)
    notional = sum((abs(account.positions[symbol].amount) * engine.price("hyperliquid", PERP, symbol) for symbol in symbols), ZERO)
    value = held + unrealised
    raw = held - sum((account.positions[symbol].cost for symbol in symbols), ZERO)
    summary = {"accountValue": text(value), "totalNtlPos": text(notional), "totalRawUsd": text(raw), "totalMarginUsed": text(used)}
    return {
        "marginSummary": summary, "crossMarginSummary": summary,
        "crossMaintenanceMarginUsed": text(sum((engine.maintenance_margin(account, symbol) for symbol in symbols), ZERO)),
        "withdrawable": text(max(ZERO, value - used)), "time": engine.now(),
        "assetPositions": [{"type": "oneWay", "position": _position(call, symbol, account.positions[symbol])} for symbol in symbols],
    }  # fmt: skip


def _position(call: Call, symbol: str, held: Position) -> dict[str, Any]:
    account, engine = call.account, call.engine
    market, unrealised, margin = (
        engine.market("hyperliquid", PERP, symbol),
        engine.unrealised(account, symbol),
        engine.initial_margin(account, symbol),
    )
    paid = sum((Decimal(one["amount"]) for one in account.records["payment"].values() if one["symbol"] == symbol), ZERO)
    funding = dict.fromkeys(("allTime", "sinceOpen", "sinceChange"), text(-paid))
    leverage = {"type": account.settings.get(f"margin_mode {symbol}", "cross"), "value": int(engine.leverage(account, symbol))}
    return {
        "coin": market.base, "szi": text(held.amount), "leverage": leverage, "entryPx": text(round(held.entry, 8)),
        "positionValue": text(abs(held.amount) * price_of(call, market)), "unrealizedPnl": text(unrealised),
        "returnOnEquity": text(round(unrealised / margin, 8)), "liquidationPx": None, "marginUsed": text(margin), "maxLeverage": 25,
        "cumFunding": funding,
    }  # fmt: skip


def _spot_state(call: Call) -> Any:
    rows = []
    tokens = {token["name"]: token["index"] for token in spot_meta(call)["tokens"]}
    for token, amount in call.engine.shown(call.account).get("spot", {}).items():
        name = WRAPPED.get(token, token)
        hold = call.engine.locked(call.account, "spot", token)
        rows.append({"coin": name, "token": tokens[name], "total": text(amount), "hold": text(hold), "entryNtl": "0.0"})
    return {"balances": rows}


def _view(call: Call, order: Order) -> dict[str, Any]:
    market = call.engine.market("hyperliquid", order.market, order.symbol)
    return {
        "coin": coin_of(call, market), "side": "B" if order.side == "buy" else "A", "limitPx": text(order.limit or ZERO),
        "sz": text(order.amount - order.filled), "oid": order.id, "timestamp": order.at, "triggerCondition": "N/A", "isTrigger": False,
        "triggerPx": "0.0", "children": [], "isPositionTpsl": False, "reduceOnly": order.reduce_only, "orderType": "Limit",
        "origSz": text(order.amount), "tif": order.note or "Ioc", "cloid": order.client_id or None,
    }  # fmt: skip


def _status(order: Order) -> str:
    if order.status == "expired":
        return "canceled" if order.filled else "iocCancelRejected"
    return {"open": "open", "filled": "filled", "cancelled": "canceled"}[order.status]


def _order_status(call: Call) -> Any:
    asked = call.need("oid")
    order = call.account.find(asked) if isinstance(asked, str) and asked.startswith("0x") else call.account.orders.get(int(asked))
    if order is None or not call.engine.is_visible(call.account, order.at):
        return {"status": "unknownOid"}
    return {"status": "order", "order": {"order": _view(call, order), "status": _status(order), "statusTimestamp": order.updated}}


def _open_orders(call: Call) -> Any:
    return [_view(call, order) for order in call.account.open_orders()]


def _past_orders(call: Call) -> Any:
    orders = [order for order in call.account.orders.values() if call.engine.is_visible(call.account, order.at)]
    return [{"order": _view(call, order), "status": _status(order), "statusTimestamp": order.updated} for order in orders[::-1]]


def _fills(call: Call) -> Any:
    """Newest first; with a start time oldest first."""
    positions: dict[str, Decimal] = {}
    rows = []
    since, until = int(call.params.get("startTime", 0)), int(call.params.get("endTime") or 2**62)
    for fill in call.account.fills:
        before = positions.get(fill.market + fill.symbol, ZERO)
        positions[fill.market + fill.symbol] = before + fill.amount * (1 if fill.side == "buy" else -1)
        if since <= fill.at <= until and call.engine.is_visible(call.account, fill.at):
            rows.append(_fill(call, fill, before))
    return rows[:2_000] if "startTime" in call.params else rows[::-1][:2_000]


def _fill(call: Call, fill: Fill, before: Decimal) -> dict[str, Any]:
    market, order = call.engine.market("hyperliquid", fill.market, fill.symbol), call.account.orders[fill.order_id]
    row: dict[str, Any] = {
        "coin": coin_of(call, market), "px": text(fill.price), "sz": text(fill.amount), "side": "B" if fill.side == "buy" else "A",
        "time": fill.at, "startPosition": text(before), "dir": _direction(fill, before), "closedPnl": text(fill.realised), "hash": NO_HASH,
        "oid": fill.order_id, "crossed": not fill.is_maker, "fee": text(fill.fee), "tid": fill.id,
        "feeToken": WRAPPED.get(fill.fee_token, fill.fee_token), "twapId": None,
    }  # fmt: skip
    if fill.client_id and order.origin == "user":
        row["cloid"] = fill.client_id
    if order.origin == "liquidation":
        row["liquidation"] = {"liquidatedUser": call.params["user"], "markPx": text(fill.price), "method": "market"}
    return row


def _direction(fill: Fill, before: Decimal) -> str:
    if fill.market == SPOT:
        return fill.side.capitalize()
    if fill.client_id == "adl_autoclose":
        return "Auto-Deleveraging"
    is_closing = before != 0 and (before > 0) != (fill.side == "buy")
    is_long = before > 0 if is_closing else fill.side == "buy"
    return f"{'Close' if is_closing else 'Open'} {'Long' if is_long else 'Short'}"


def _between(call: Call, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    since, until = int(call.params.get("startTime") or 0), int(call.params.get("endTime") or 2**62)
    found = [row for row in rows if since <= row["time"] <= until and call.engine.is_visible(call.account, row["time"])]
    return sorted(found, key=lambda row: row["time"])


def _user_funding(call: Call) -> Any:
    """A positive amount was received."""
    rows = []
    for one in call.account.records["payment"].values():
        if one["kind"] == "funding":
            coin = call.engine.market("hyperliquid", PERP, one["symbol"]).base
            delta = {
                "type": "funding",
                "coin": coin,
                "usdc": one["amount"],
                "szi": one["size"],
                "fundingRate": one["rate"],
                "nSamples": None,
            }
            rows.append({"time": one["at"], "hash": NO_HASH, "delta": delta})
    return _between(call, rows)


def _updates(call: Call) -> Any:
    records = call.account.records
    rows = [
        {"time": one["at"], "hash": f"0x{int(one['id']):064x}",
         "delta": {"type": "accountClassTransfer", "usdc": one["amount"], "toPerp": one["to"] == "perp"}}
        for one in records["transfer"].values()
    ]  # fmt: skip
    for one in records["withdrawal"].values():
        delta = {"type": "withdraw", "usdc": one["amount"], "nonce": int(one["client_id"]), "fee": one["fee"]}
        rows.append({"time": one["at"], "hash": one["hash"] or f"0x{int(one['id']):064x}", "delta": delta})
    for one in records["deposit"].values():
        if one["status"] == "completed":
            rows.append({"time": one["at"], "hash": one["hash"], "delta": {"type": "deposit", "usdc": one["amount"]}})
    return _between(call, rows)


def _fees(call: Call) -> Any:
    rates = {}
    for kind, (cross, add) in {PERP: ("userCrossRate", "userAddRate"), SPOT: ("userSpotCrossRate", "userSpotAddRate")}.items():
        market = call.engine.markets_of("hyperliquid", kind)[0]
        rates |= {name: text(call.engine.fee_rate(call.account, market, is_maker=which)) for name, which in ((cross, False), (add, True))}
    return {"dailyUserVlm": [], "feeSchedule": {}, **rates, "activeReferralDiscount": "0.0", "trial": None, "feeTrialReward": "0.0",
            "nextTrialAvailableTimestamp": None, "stakingLink": None, "activeStakingDiscount": {"bpsOfMaxSupply": "0.0",
            "discount": "0.0"}}  # fmt: skip


def _agents(call: Call) -> Any:
    keys = [(venue, key) for (venue, _), key in call.engine.keys.items() if key.account == call.account.name and "withdraw" not in key.may]
    return [{"name": "agent", "address": key.key, "validUntil": 4_133_404_800_000} for venue, key in keys if venue == "hyperliquid"]


def _limits(call: Call) -> Any:
    used = sum(count for name, count in call.engine.faults.counts.items() if name.startswith("hyperliquid"))
    return {"cumVlm": "1000000.0", "nRequestsUsed": used, "nRequestsCap": 1_010_000}


def _role(call: Call) -> Any:
    """Of a key: whose agent it is."""
    key = call.engine.keys.get(("hyperliquid", call.params["user"].lower()))
    if key is None:
        return {"role": "missing"}
    if "withdraw" in key.may:
        return {"role": "user"}
    keys = [one for (venue, _), one in call.engine.keys.items() if venue == "hyperliquid" and one.account == key.account]
    return {"role": "agent", "data": {"user": next(one.key for one in keys if "withdraw" in one.may and one.key.startswith("0x"))}}


def _abstraction(call: Call) -> Any:
    """The one answer that is a JSON text and no object."""
    return json.dumps(call.account.settings.get("abstraction", "disabled"))


def _asset(call: Call) -> Any:
    symbol = call.need("coin") + "USDC"
    call.engine.market("hyperliquid", PERP, symbol)
    mode = call.account.settings.get(f"margin_mode {symbol}", "cross")
    return {"user": call.params["user"], "coin": call.params["coin"],
            "leverage": {"type": mode, "value": int(call.engine.leverage(call.account, symbol))}}  # fmt: skip


ROUTES = {
    "info clearinghouseState": Route("positions", "read", _perp_state),
    "info spotClearinghouseState": Route("balance", "read", _spot_state),
    "info orderStatus": Route("find", "read", _order_status),
    "info openOrders": Route("open", "read", _open_orders),
    "info frontendOpenOrders": Route("open", "read", _open_orders),
    "info historicalOrders": Route("find", "read", _past_orders),
    "info userFills": Route("fills", "read", _fills),
    "info userFillsByTime": Route("fills", "read", _fills),
    "info userFunding": Route("due", "read", _user_funding),
    "info userNonFundingLedgerUpdates": Route("transfers", "read", _updates),
    "info userFees": Route("account", "read", _fees),
    "info userRateLimit": Route("account", "read", _limits),
    "info extraAgents": Route("key", "read", _agents),
    "info userRole": Route("account", "read", _role),
    "info activeAssetData": Route("settings", "read", _asset),
    "info userAbstraction": Route("account", "read", _abstraction),
}
