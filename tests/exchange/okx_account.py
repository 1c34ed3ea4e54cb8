"""OKX v5: the trading account, its positions, settings and bills."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from .dialect import Call, Route
from .ledger import ZERO, Position, Refused, text
from .markets import PERP, SPOT
from .okx_markets import id_of, named, type_of

BILLS = {"transfer": "1", "trade": "2", "liquidation": "5", "funding": "8", "adl": "9"}
EMPTY = (
    "fee", "pnl", "sz", "px", "instId", "instType", "ordId", "clOrdId", "from", "to", "execType", "mgnMode", "notes", "posBal", "posBalChg",
    "interest", "tag", "fillTime", "tradeId", "earnAmt", "earnApr", "fillIdxPx", "fillFwdPx",
)  # fmt: skip


def _balance(call: Call) -> Any:
    account, engine = call.account, call.engine
    held = engine.shown(account).get("trading", {})
    only = call.params.get("ccy")
    symbols = [symbol for symbol, position in account.positions.items() if position.amount]
    unrealised = sum((engine.unrealised(account, symbol) for symbol in symbols), ZERO)
    used = sum((engine.initial_margin(account, symbol) for symbol in symbols), ZERO)
    maintenance = sum((engine.maintenance_margin(account, symbol) for symbol in symbols), ZERO)
    now, total, details = str(engine.now()), ZERO, []
    for token in sorted({*held, "USDT"}):
        is_settle = token == "USDT"
        cash, locked = held.get(token, ZERO), engine.locked(account, "trading", token)
        equity = cash + (unrealised if is_settle else ZERO)
        price = Decimal(1) if token.startswith("USD") else engine.price("okx", SPOT, token + "USDT")
        total += equity * price
        frozen = locked + (used if is_settle else ZERO)
        if only in (None, "") or token in only.split(","):
            details.append(
                {
                    "ccy": token, "eq": text(equity), "cashBal": text(cash), "uTime": now, "isoEq": "0", "availEq": text(equity - frozen),
                    "disEq": text(round(equity * price, 8)), "fixedBal": "0", "availBal": text(max(ZERO, equity - frozen)),
                    "frozenBal": text(frozen), "ordFrozen": text(locked), "liab": "",
                    "upl": text(unrealised) if is_settle else "0", "uplLiab": "",
                    "crossLiab": "", "rewardBal": "0", "isoLiab": "", "mgnRatio": "", "imr": text(used) if is_settle else "0",
                    "mmr": text(maintenance) if is_settle else "0", "interest": "", "twap": "0", "maxLoan": "",
                    "eqUsd": text(round(equity * price, 8)), "borrowFroz": "", "notionalLever": "0", "stgyEq": "0", "isoUpl": "0",
                    "spotInUseAmt": "", "clSpotInUseAmt": "", "maxSpotInUse": "", "spotIsoBal": "0",
                }
            )  # fmt: skip
    return [
        {
            "uTime": now, "totalEq": text(round(total, 8)), "isoEq": "0", "adjEq": "", "availEq": "", "ordFroz": "", "imr": "", "mmr": "",
            "borrowFroz": "", "mgnRatio": "", "notionalUsd": "", "notionalUsdForBorrow": "", "notionalUsdForFutures": "",
            "notionalUsdForOption": "", "notionalUsdForSwap": "", "upl": "", "details": details,
        }
    ]  # fmt: skip


def _positions(call: Call) -> Any:
    rows = []
    wanted = call.params.get("instId")
    for symbol, position in call.account.positions.items():
        market = call.engine.market("okx", PERP, symbol)
        if position.amount and call.params.get("instType", "SWAP") == "SWAP" and (not wanted or id_of(market) in wanted.split(",")):
            rows.append(_position(call, symbol, position))
    return rows


def _position(call: Call, symbol: str, held: Position) -> dict[str, Any]:
    account, engine = call.account, call.engine
    market = engine.market("okx", PERP, symbol)
    mark, unrealised, margin = engine.price("okx", PERP, symbol), engine.unrealised(account, symbol), engine.initial_margin(account, symbol)
    realised, fee = account.results[symbol]
    number = f"1{engine.markets_of('okx', PERP).index(market)}"
    at = str(account.traded_at(PERP, symbol))
    size, maintenance = text(held.amount / market.contract), engine.maintenance_margin(account, symbol)
    return {
        "instType": "SWAP", "mgnMode": account.settings.get(f"margin_mode {symbol}", "cross"), "posId": number, "posSide": "net",
        "pos": size, "baseBal": "", "quoteBal": "", "baseBorrowed": "", "baseInterest": "", "quoteBorrowed": "", "quoteInterest": "",
        "posCcy": "", "availPos": "", "avgPx": text(round(held.entry, 8)), "markPx": text(mark), "upl": text(unrealised),
        "uplRatio": text(round(unrealised / margin, 8)), "uplLastPx": text(unrealised), "uplRatioLastPx": "", "instId": id_of(market),
        "lever": text(engine.leverage(account, symbol)), "liqPx": "", "imr": text(margin), "margin": "", "mgnRatio": "",
        "mmr": text(maintenance),
        "liab": "", "liabCcy": "", "interest": "", "tradeId": "", "notionalUsd": text(abs(held.amount) * mark), "optVal": "",
        "adl": "1", "ccy": "USDT", "last": text(mark), "idxPx": text(mark), "usdPx": "1", "bePx": text(round(held.entry, 8)), "deltaBS": "",
        "deltaPA": "", "gammaBS": "", "gammaPA": "", "thetaBS": "", "thetaPA": "", "vegaBS": "", "vegaPA": "", "spotInUseAmt": "",
        "spotInUseCcy": "", "realizedPnl": text(realised - fee), "pnl": text(realised), "fee": text(-fee), "fundingFee": "0",
        "liqPenalty": "0", "closeOrderAlgo": [], "cTime": at, "uTime": at, "bizRefId": "", "bizRefType": "",
    }  # fmt: skip


def _config(call: Call) -> Any:
    settings = call.account.settings
    key = call.engine.keys["okx", call.request.headers["OK-ACCESS-KEY"]]
    allowed = [name for name, need in (("read_only", "read"), ("trade", "trade"), ("withdraw", "withdraw")) if need in key.may]
    return [
        {
            "uid": "1", "mainUid": "1", "acctLv": settings.get("account_level", "2"), "acctStpMode": "cancel_maker",
            "posMode": "long_short_mode" if settings.get("hedge_mode") else "net_mode", "autoLoan": False,
            "greeksType": "PA", "feeType": "0",
            "level": "Lv1", "levelTmp": "", "ctIsoMode": "automatic", "mgnIsoMode": "automatic", "spotOffsetType": "", "stgyType": "0",
            "roleType": "0", "traderInsts": [], "spotRoleType": "0", "spotTraderInsts": [], "opAuth": "0", "kycLv": "3", "label": "test",
            "ip": "127.0.0.1" if key.has_ip_limit else "", "perm": ",".join(allowed), "liquidationGear": "-1", "enableSpotBorrow": False,
            "spotBorrowAutoRepay": False, "type": "0", "settleCcy": "USDT", "settleCcyList": ["USD"],
        }
    ]  # fmt: skip


def _fees(call: Call) -> Any:
    kind = PERP if call.need("instType") == "SWAP" else SPOT
    market = call.engine.markets_of("okx", kind)[0]
    maker, taker = (text(-call.engine.fee_rate(call.account, market, is_maker=which)) for which in (True, False))
    return [{"category": "1", "delivery": "", "exercise": "", "feeGroup": [], "instType": call.params["instType"], "isSpecial": False,
             "level": "Lv1", "maker": maker, "makerU": maker, "makerUSDC": maker, "taker": taker, "takerU": taker, "takerUSDC": taker,
             "ruleType": "normal", "ts": str(call.engine.now()), "fiat": []}]  # fmt: skip


def _set_leverage(call: Call) -> Any:
    market, leverage = named(call, call.need("instId")), Decimal(str(call.need("lever")))
    if not 1 <= leverage <= 100:
        raise Refused("leverage")
    mode = call.need("mgnMode")
    setting = {f"leverage {market.symbol}": text(leverage), f"margin_mode {market.symbol}": mode}
    call.engine.ledger.write("setting", call.engine.now(), call.account, setting=setting)
    return [{"instId": id_of(market), "lever": text(leverage), "mgnMode": mode, "posSide": "net"}]


def _leverage(call: Call) -> Any:
    rows = []
    for instrument in call.need("instId").split(","):
        market = named(call, instrument)
        lever = text(call.engine.leverage(call.account, market.symbol))
        rows.append({"ccy": "", "instId": instrument, "mgnMode": call.need("mgnMode"), "posSide": "net", "lever": lever})
    return rows


def _set_position_mode(call: Call) -> Any:
    if any(position.amount for position in call.account.positions.values()):
        raise Refused("open_position")
    is_hedge = call.need("posMode") == "long_short_mode"
    call.engine.ledger.write("setting", call.engine.now(), call.account, setting={"hedge_mode": is_hedge})
    return [{"posMode": call.params["posMode"]}]


def _bills(call: Call) -> Any:
    """What moved the trading account, newest first: in a week, or in the archive three months."""
    rows = []
    days = 90 if call.request.path.endswith("archive") else 7
    oldest = call.engine.now() - days * 86_400_000
    for fill in call.account.some_fills(since=max(int(call.params.get("begin", 0)), oldest)):
        market, order = call.engine.market("okx", fill.market, fill.symbol), call.account.orders[fill.order_id]
        sign = order.sign
        changes = [(market.quote, fill.realised)] if fill.market == PERP else []
        if fill.market == SPOT:
            changes = [(market.base, sign * fill.amount), (market.quote, -sign * fill.amount * fill.price)]
        sub = {"user": "1" if sign > 0 else "2", "adl": "127" if sign > 0 else "128", "liquidation": "106" if sign > 0 else "107"}[
            order.origin
        ]
        for number, (token, change) in enumerate(changes):
            fee = fill.fee if token == fill.fee_token else ZERO
            more = {"fee": text(-fee), "pnl": text(fill.realised), "sz": text(fill.amount / market.contract), "px": text(fill.price),
                    "instId": id_of(market), "instType": type_of(market), "ordId": str(order.id), "clOrdId": order.client_id}  # fmt: skip
            kind = BILLS.get(order.origin, BILLS["trade"])
            rows.append(_bill(fill.id + 50 * number, fill.at, kind, sub, token, change - fee, more))
    for one in call.account.records["payment"].values():
        amount = Decimal(one["amount"])
        sub = "174" if amount > 0 else "173"
        instrument = id_of(call.engine.market("okx", PERP, one["symbol"])) if one["symbol"] else ""
        more = {"pnl": one["amount"], "instId": instrument, "instType": "SWAP"}
        rows.append(_bill(int(one["id"]), one["at"], BILLS.get(one["kind"], "11"), sub, one["token"], amount, more))
    for one in call.account.records["transfer"].values():
        is_in = one["to"] == "trading"
        amount = Decimal(one["amount"]) * (1 if is_in else -1)
        ends = {"from": "6" if is_in else "18", "to": "18" if is_in else "6", "sz": text(amount)}
        rows.append(_bill(int(one["id"]), one["at"], BILLS["transfer"], "11" if is_in else "12", one["token"], amount, ends))
    return _page(call, [row for row in rows if int(row["ts"]) >= oldest])


def _bill(number: int, at: int, kind: str, sub: str, token: str, change: Decimal, more: dict[str, str]) -> dict[str, str]:
    empty = dict.fromkeys(EMPTY, "")
    return {
        **empty,
        "billId": str(number),
        "ts": str(at),
        "type": kind,
        "subType": sub,
        "ccy": token,
        "bal": "",
        "balChg": text(change),
        **more,
    }


def _page(call: Call, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    params = call.params
    since, until = int(params.get("begin", 0)), int(params.get("end", 2**62))
    found = [
        row for row in rows
        if since <= int(row["ts"]) <= until and call.engine.is_visible(call.account, int(row["ts"]))
        and all(params.get(name) in (None, "", row[name]) for name in ("type", "subType", "ccy", "instType"))
        and (not params.get("after") or int(row["billId"]) < int(params["after"]))
        and (not params.get("before") or int(row["billId"]) > int(params["before"]))
    ]  # fmt: skip
    return sorted(found, key=lambda row: -int(row["billId"]))[: int(params.get("limit", 100))]


ROUTES = {
    "GET /api/v5/account/balance": Route("balance", "read", _balance),
    "GET /api/v5/account/positions": Route("positions", "read", _positions),
    "GET /api/v5/account/config": Route("account", "read", _config),
    "GET /api/v5/account/trade-fee": Route("account", "read", _fees),
    "GET /api/v5/account/leverage-info": Route("account", "read", _leverage),
    "POST /api/v5/account/set-leverage": Route("settings", "trade", _set_leverage),
    "POST /api/v5/account/set-position-mode": Route("settings", "trade", _set_position_mode),
    "GET /api/v5/account/bills": Route("due", "read", _bills),
    "GET /api/v5/account/bills-archive": Route("due", "read", _bills),
}
