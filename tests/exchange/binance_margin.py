"""Binance USD-M futures: positions, balances, what moved them, and the settings of the account."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from . import binance_prices as prices
from .binance_prices import eight
from .dialect import Call, Route
from .ledger import ZERO, Position, Refused
from .markets import PERP, TERMS

MAX_LEVERAGE = 100
# The fields of a position: in positionRisk of version 2, and in the account of versions 2 and 3.
RISK_V2 = """symbol positionAmt entryPrice breakEvenPrice markPrice unRealizedProfit liquidationPrice leverage maxNotionalValue marginType
    isolatedMargin isAutoAddMargin positionSide notional isolatedWallet updateTime"""
ACCOUNT_V2 = """symbol initialMargin maintMargin unrealizedProfit positionInitialMargin openOrderInitialMargin leverage isolated entryPrice
    maxNotional bidNotional askNotional positionSide positionAmt updateTime"""
ACCOUNT_V3 = "symbol positionSide positionAmt unrealizedProfit isolatedMargin notional isolatedWallet initialMargin maintMargin updateTime"
MODES = {"crossed": "cross", "isolated": "isolated"}


def _position(call: Call, symbol: str) -> dict[str, Any]:
    account, engine = call.account, call.engine
    held = account.positions.get(symbol, Position())
    mark = engine.price("binance", PERP, symbol)
    is_held = symbol in account.positions
    margin = engine.initial_margin(account, symbol) if is_held else ZERO
    return {
        "symbol": symbol,
        "positionSide": "BOTH",
        "positionAmt": format(held.amount, "f"),
        "entryPrice": format(round(held.entry, 8), "f"),
        "breakEvenPrice": format(round(held.entry, 8), "f"),
        "markPrice": eight(mark),
        "unRealizedProfit": eight(engine.unrealised(account, symbol)) if is_held else "0.00000000",
        "liquidationPrice": eight(_liquidation_price(call, symbol, held)),
        "isolatedMargin": "0",
        "notional": eight(held.amount * mark),
        "marginAsset": "USDT",
        "isolatedWallet": "0",
        "initialMargin": eight(margin),
        "maintMargin": eight(engine.maintenance_margin(account, symbol)) if is_held else "0",
        "positionInitialMargin": eight(margin),
        "openOrderInitialMargin": "0",
        "adl": 2,
        "bidNotional": "0",
        "askNotional": "0",
        "updateTime": account.traded_at(PERP, symbol),
    }


def _liquidation_price(call: Call, symbol: str, held: Position) -> Decimal:
    """Where the whole wallet would just be the maintenance margin of this position."""
    if not held.amount:
        return ZERO
    wallet = call.account.balance("perp", "USDT")
    rate = TERMS["binance"].maintenance
    return round(max(ZERO, (held.cost - wallet) / (held.amount - abs(held.amount) * rate)), 8)


def _positions(call: Call) -> Any:
    symbols = [market.symbol for market in prices.wanted(call, PERP)]
    rows = [_position(call, symbol) for symbol in symbols]
    if call.request.path.endswith("v3/positionRisk"):
        return [row for row in rows if Decimal(row["positionAmt"])]
    return [_only(RISK_V2, {**row, **_terms(call, row["symbol"])}) for row in rows]


def _only(names: str, row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in names.split()}


def _terms(call: Call, symbol: str) -> dict[str, Any]:
    """What version 2 says with each position."""
    mode = call.account.settings.get(f"margin_mode {symbol}", "crossed")
    return {
        "leverage": str(call.engine.leverage(call.account, symbol)),
        "maxNotionalValue": "100000000",
        "marginType": MODES[mode],
        "isAutoAddMargin": "false",
        "isolated": MODES[mode] == "isolated",
        "maxNotional": "100000000",
    }


def _assets(call: Call) -> list[dict[str, Any]]:
    held = call.engine.shown(call.account).get("perp", {})
    rows = []
    for token in sorted({*held, "USDT", "BNB"}):
        wallet = held.get(token, ZERO)
        symbols = [symbol for symbol, position in call.account.positions.items() if position.amount] if token == "USDT" else []
        unrealised = sum((call.engine.unrealised(call.account, symbol) for symbol in symbols), ZERO)
        used = sum((call.engine.initial_margin(call.account, symbol) for symbol in symbols), ZERO)
        maintenance = sum((call.engine.maintenance_margin(call.account, symbol) for symbol in symbols), ZERO)
        left = eight(max(ZERO, wallet + unrealised - used))
        rows.append(
            {
                "asset": token,
                "walletBalance": eight(wallet),
                "unrealizedProfit": eight(unrealised),
                "marginBalance": eight(wallet + unrealised),
                "maintMargin": eight(maintenance),
                "initialMargin": eight(used),
                "positionInitialMargin": eight(used),
                "openOrderInitialMargin": "0.00000000",
                "crossWalletBalance": eight(wallet),
                "crossUnPnl": eight(unrealised),
                "availableBalance": left,
                "maxWithdrawAmount": left,
                "marginAvailable": True,
                "updateTime": call.engine.now(),
            }
        )
    return rows


def _account(call: Call) -> Any:
    assets = _assets(call)
    total = next(row for row in assets if row["asset"] == "USDT")
    names = {
        "totalInitialMargin": "initialMargin",
        "totalMaintMargin": "maintMargin",
        "totalWalletBalance": "walletBalance",
        "totalUnrealizedProfit": "unrealizedProfit",
        "totalMarginBalance": "marginBalance",
        "totalPositionInitialMargin": "initialMargin",
        "totalOpenOrderInitialMargin": "openOrderInitialMargin",
        "totalCrossWalletBalance": "crossWalletBalance",
        "totalCrossUnPnl": "crossUnPnl",
        "availableBalance": "availableBalance",
        "maxWithdrawAmount": "maxWithdrawAmount",
    }
    positions = [_position(call, market.symbol) for market in call.engine.markets_of("binance", PERP)]
    positions = [{**row, **_terms(call, row["symbol"]), "unrealizedProfit": row["unRealizedProfit"]} for row in positions]
    sums = {name: total[source] for name, source in names.items()}
    if "v3" in call.request.path:
        held = [_only(ACCOUNT_V3, row) for row in positions if Decimal(row["positionAmt"])]
        for row in assets:
            del row["marginAvailable"]
        return {**sums, "assets": assets, "positions": held}
    flags = {"feeTier": 0, "feeBurn": True, "canTrade": True, "canDeposit": True, "canWithdraw": True, "updateTime": 0,
             "multiAssetsMargin": False, "tradeGroupId": -1}  # fmt: skip
    return {**flags, **sums, "assets": assets, "positions": [_only(ACCOUNT_V2, row) for row in positions]}


def _balances(call: Call) -> Any:
    return [
        {
            "accountAlias": "SgsR",
            "asset": row["asset"],
            "balance": row["walletBalance"],
            "crossWalletBalance": row["crossWalletBalance"],
            "crossUnPnl": row["crossUnPnl"],
            "availableBalance": row["availableBalance"],
            "maxWithdrawAmount": row["maxWithdrawAmount"],
            "marginAvailable": True,
            "updateTime": row["updateTime"],
        }
        for row in _assets(call)
    ]


def _income(call: Call) -> Any:
    """What moved the wallet, oldest first."""
    rows = []
    if "startTime" in call.params or "endTime" in call.params:
        since, until = int(call.params.get("startTime", 0)), int(call.params.get("endTime", 2**62))
    else:
        since, until = prices.window(call, 7, to_now=True)
    for fill in call.account.some_fills(since=since):
        if fill.market == PERP:
            if fill.fee:
                rows += [("COMMISSION", -fill.fee, fill.fee_token, fill.symbol, fill.at, fill.id, str(fill.id))]
            if fill.realised:
                rows += [("REALIZED_PNL", fill.realised, "USDT", fill.symbol, fill.at, fill.id, str(fill.id))]
    for one in call.account.records["transfer"].values():
        if "perp" in (one["from"], one["to"]):
            amount = Decimal(one["amount"]) * (1 if one["to"] == "perp" else -1)
            rows += [("TRANSFER", amount, one["token"], "", one["at"], int(one["id"]), "")]
    for one in call.account.records["payment"].values():
        kind = {"funding": "FUNDING_FEE"}.get(one["kind"], one["kind"].upper())
        rows += [(kind, Decimal(one["amount"]), one["token"], one["symbol"], one["at"], int(one["id"]), "")]
    wanted, symbol = call.params.get("incomeType"), call.params.get("symbol")
    found = [
        {
            "symbol": name,
            "incomeType": kind,
            "income": format(amount, "f"),
            "asset": token,
            "time": at,
            "info": kind,
            "tranId": number,
            "tradeId": trade,
        }
        for kind, amount, token, name, at, number, trade in sorted(rows, key=lambda row: (row[4], row[5]))
        if since <= at <= until and wanted in (None, kind) and symbol in (None, name) and call.engine.is_visible(call.account, at)
    ]
    return found[: int(call.params.get("limit", 100))]


# Settings.


def _set(call: Call, **setting: Any) -> None:
    call.engine.ledger.write("setting", call.engine.now(), call.account, setting=setting)


def _set_leverage(call: Call) -> Any:
    symbol, leverage = call.need("symbol"), int(call.need("leverage"))
    call.engine.market("binance", PERP, symbol)
    if not 1 <= leverage <= MAX_LEVERAGE:
        raise Refused("leverage", leverage=leverage)
    _set(call, **{f"leverage {symbol}": str(leverage)})
    return {"leverage": leverage, "maxNotionalValue": "100000000", "symbol": symbol}


def _set_margin_mode(call: Call) -> Any:
    symbol, mode = call.need("symbol"), call.need("marginType").lower()
    if call.account.settings.get(f"margin_mode {symbol}", "crossed") == mode:
        raise Refused("no_change_margin")
    if call.account.positions.get(symbol, Position()).amount:
        raise Refused("open_position")
    _set(call, **{f"margin_mode {symbol}": mode})
    return {"code": 200, "msg": "success"}


def _set_position_mode(call: Call) -> Any:
    is_hedge = call.need("dualSidePosition") == "true"
    if bool(call.account.settings.get("hedge_mode")) == is_hedge:
        raise Refused("no_change_mode")
    _set(call, hedge_mode=is_hedge)
    return {"code": 200, "msg": "success"}


def _symbol_config(call: Call) -> Any:
    return [
        {
            "symbol": market.symbol,
            "marginType": call.account.settings.get(f"margin_mode {market.symbol}", "crossed").upper(),
            "isAutoAddMargin": False,
            "leverage": int(call.engine.leverage(call.account, market.symbol)),
            "maxNotionalValue": "100000000",
        }
        for market in prices.wanted(call, PERP)
    ]


def _brackets(call: Call) -> Any:
    bracket = {
        "bracket": 1,
        "initialLeverage": MAX_LEVERAGE,
        "notionalCap": 1_000_000_000,
        "notionalFloor": 0,
        "maintMarginRatio": float(TERMS["binance"].maintenance),
        "cum": 0,
    }
    rows = [{"symbol": market.symbol, "notionalCoef": 1.0, "brackets": [bracket]} for market in prices.wanted(call, PERP)]
    return prices.one_or_all(call, rows)


def _commission(call: Call) -> Any:
    market = call.engine.market("binance", PERP, call.need("symbol"))
    maker, taker = (format(call.engine.fee_rate(call.account, market, is_maker=which), "f") for which in (True, False))
    return {"symbol": market.symbol, "makerCommissionRate": maker, "takerCommissionRate": taker, "rpiCommissionRate": "0"}


def _account_config(call: Call) -> Any:
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "dualSidePosition": bool(call.account.settings.get("hedge_mode")),
        "updateTime": 0,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
    }


ROUTES = {
    "GET /fapi/v1/income": Route("due", "read", _income),
    **{f"GET /fapi/v{version}/positionRisk": Route("positions", "read", _positions) for version in (2, 3)},
    **{f"GET /fapi/v{version}/account": Route("balance", "read", _account) for version in (2, 3)},
    **{f"GET /fapi/v{version}/balance": Route("balance", "read", _balances) for version in (2, 3)},
    "GET /fapi/v1/leverageBracket": Route("account", "read", _brackets),
    "GET /fapi/v1/commissionRate": Route("account", "read", _commission),
    "GET /fapi/v1/accountConfig": Route("account", "read", _account_config),
    "GET /fapi/v1/symbolConfig": Route("account", "read", _symbol_config),
    "GET /fapi/v1/positionSide/dual": Route(
        "account", "read", lambda call: {"dualSidePosition": bool(call.account.settings.get("hedge_mode"))}
    ),
    "GET /fapi/v1/multiAssetsMargin": Route(
        "account", "read", lambda call: {"multiAssetsMargin": bool(call.account.settings.get("multi_assets"))}
    ),
    "POST /fapi/v1/positionSide/dual": Route("settings", "trade", _set_position_mode),
    "POST /fapi/v1/leverage": Route("settings", "trade", _set_leverage),
    "POST /fapi/v1/marginType": Route("settings", "trade", _set_margin_mode),
}
