"""Bybit v5: balances, settings, transfers, withdrawals, deposits, and the key."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .bybit_markets import KINDS, wanted, window
from .dialect import Call, Route
from .ledger import ZERO, Fill, Refused, text
from .markets import PERP
from .moves import OPEN, address_of

if TYPE_CHECKING:
    from .ledger import Account

WALLETS = {"UNIFIED": "unified", "FUND": "funding"}
NAMES = {wallet: name for name, wallet in WALLETS.items()}
NAMED = {kind: name for name, kind in KINDS.items()}
WITHDRAWAL_STATUS = {OPEN: "Pending", "completed": "success", "cancelled": "CancelByUser", "failed": "Fail", "rejected": "Reject"}
DEPOSIT_STATUS = {OPEN: 2, "completed": 3}


def is_unified(account: Account) -> bool:
    return int(account.settings.get("unified_status", 6)) >= 3


def _wallet(call: Call) -> Any:
    account, engine = call.account, call.engine
    if call.need("accountType") != "UNIFIED" or not is_unified(account):
        raise Refused("parameter", name="accountType")
    held = engine.shown(account).get("unified", {})
    symbols = [symbol for symbol, position in account.positions.items() if position.amount]
    unrealised = sum((engine.unrealised(account, symbol) for symbol in symbols), ZERO)
    used = sum((engine.initial_margin(account, symbol) for symbol in symbols), ZERO)
    maintenance = sum((engine.maintenance_margin(account, symbol) for symbol in symbols), ZERO)
    only = call.params.get("coin")
    coins = []
    total = ZERO
    for token in sorted({*held, "USDT"}):
        is_settle = token == "USDT"
        price = Decimal(1) if token.startswith("USD") else engine.price("bybit", "spot", token + "USDT")
        equity = held.get(token, ZERO) + (unrealised if is_settle else ZERO)
        total += equity * price
        if only in (None, "") or token in only.split(","):
            coins.append(
                {
                    "coin": token, "equity": text(equity), "usdValue": text(round(equity * price, 8)),
                    "walletBalance": text(held.get(token, ZERO)),
                    "free": "", "locked": text(engine.locked(account, "unified", token)), "spotHedgingQty": "0", "borrowAmount": "0",
                    "availableToWithdraw": "", "accruedInterest": "0", "totalOrderIM": "0",
                    "totalPositionIM": text(used) if is_settle else "0", "totalPositionMM": text(maintenance) if is_settle else "0",
                    "unrealisedPnl": text(unrealised) if is_settle else "0", "cumRealisedPnl": "0", "bonus": "0", "collateralSwitch": True,
                    "marginCollateral": True, "availableToBorrow": "", "spotBorrow": "0",
                }
            )  # fmt: skip
    left = total - used
    return {
        "list": [
            {
                "accountType": "UNIFIED", "accountLTV": "0", "accountIMRate": text(round(used / total, 8)) if total else "0",
                "accountMMRate": text(round(maintenance / total, 8)) if total else "0", "accountIMRateByMp": "0", "accountMMRateByMp": "0",
                "totalInitialMarginByMp": "0", "totalMaintenanceMarginByMp": "0", "totalEquity": text(total),
                "totalWalletBalance": text(total - unrealised), "totalMarginBalance": text(total), "totalAvailableBalance": text(left),
                "totalPerpUPL": text(unrealised), "totalInitialMargin": text(used),
                "totalMaintenanceMargin": text(maintenance), "coin": coins,
            }
        ]
    }  # fmt: skip


def _coins_balance(call: Call) -> Any:
    name = call.need("accountType")
    wallet = WALLETS.get(name)
    if wallet is None:
        raise Refused("parameter", name="accountType")
    only = call.params.get("coin")
    held = call.engine.shown(call.account).get(wallet, {})
    rows = [
        {"coin": token, "walletBalance": text(amount),
         "transferBalance": text(min(amount, call.engine.free(call.account, wallet, token))), "bonus": ""}
        for token, amount in held.items() if only in (None, "") or token in only.split(",")
    ]  # fmt: skip
    return {"memberId": "1", "accountType": name, "balance": rows}


def _info(call: Call) -> Any:
    settings = call.account.settings
    return {
        "marginMode": settings.get("margin_mode", "REGULAR_MARGIN"), "updatedTime": str(call.engine.now()),
        "unifiedMarginStatus": settings.get("unified_status", 6), "dcpStatus": "OFF", "timeWindow": 0, "smpGroup": 0,
        "isMasterTrader": False,
        "spotHedgingStatus": "OFF",
    }  # fmt: skip


def _key(call: Call) -> Any:
    key = call.engine.keys["bybit", call.request.headers["X-BAPI-API-KEY"]]
    may_trade = "trade" in key.may
    wallet = ["AccountTransfer"] * ("transfer" in key.may) + ["Withdraw"] * ("withdraw" in key.may)
    return {
        "id": "1", "note": "", "apiKey": key.key, "readOnly": 0 if may_trade else 1, "secret": "",
        "permissions": {
            "ContractTrade": ["Order", "Position"] if may_trade else [], "Spot": ["SpotTrade"] if may_trade else [], "Wallet": wallet,
            "Options": [], "Derivatives": ["DerivativesTrade"] if may_trade else [], "CopyTrading": [], "BlockTrade": [], "Exchange": [],
            "NFT": [], "Affiliate": [], "Earn": [],
        },
        "ips": ["127.0.0.1"] if key.has_ip_limit else ["*"], "type": 1, "deadlineDay": 83,
        "expiredAt": "2100-01-01T00:00:00Z",
        "createdAt": "2022-10-16T02:24:40Z", "unified": 0, "uta": int(is_unified(call.account)), "userID": 1,
        "inviterID": 0, "vipLevel": "No VIP",
        "mktMakerLevel": "0", "affiliateID": 0, "rsaPublicKey": "", "isMaster": True, "parentUid": "0",
        "kycLevel": "LEVEL_DEFAULT", "kycRegion": "",
    }  # fmt: skip


def _fees(call: Call) -> Any:
    rows = []
    for market in wanted(call):
        maker, taker = (text(call.engine.fee_rate(call.account, market, is_maker=which)) for which in (True, False))
        rows.append({"symbol": market.symbol, "baseCoin": "", "takerFeeRate": taker, "makerFeeRate": maker})
    return {"category": call.params.get("category"), "list": rows}


def _set_margin_mode(call: Call) -> Any:
    mode = call.need("setMarginMode")
    call.engine.ledger.write("setting", call.engine.now(), call.account, setting={"margin_mode": mode})
    return {"reasons": []}


def _log(call: Call) -> Any:
    """What moved the unified wallet, newest first; here `funding` is positive where it was received."""
    rows = []
    since, until = window(call, 1)
    for fill in call.account.some_fills(since=since):
        for token, cash in _cash(call, fill):
            fee = fill.fee if token == fill.fee_token else ZERO
            more = {"fee": text(fee), "cashFlow": text(cash), "change": text(cash - fee), "orderId": str(fill.order_id),
                    "qty": text(fill.amount), "orderLinkId": fill.client_id,
                    "tradePrice": text(fill.price), "side": fill.side.capitalize()}  # fmt: skip
            rows.append(_line("TRADE", fill.at, str(fill.id), token, NAMED[fill.market], fill.symbol, more))
    for one in call.account.records["payment"].values():
        kind = {"funding": "SETTLEMENT"}.get(one["kind"], one["kind"].upper())
        more = {"qty": one.get("size", "0"), "tradePrice": one.get("price", ""), "funding": one["amount"], "change": one["amount"]}
        rows.append(_line(kind, one["at"], one["id"], one["token"], "linear", one["symbol"], more))
    for one in call.account.records["transfer"].values():
        is_in = one["to"] == "unified"
        amount = one["amount"] if is_in else "-" + one["amount"]
        more = {"qty": amount, "cashFlow": amount, "change": amount}
        rows.append(_line("TRANSFER_IN" if is_in else "TRANSFER_OUT", one["at"], one["id"], one["token"], "", "", more))
    found = [
        row for row in rows
        if since <= int(row["transactionTime"]) <= until and call.params.get("type") in (None, row["type"])
        and call.params.get("currency") in (None, row["currency"]) and call.params.get("category") in (None, row["category"])
    ]  # fmt: skip
    newest = sorted(found, key=lambda row: (-int(row["transactionTime"]), -int(row["id"])))
    size, start = int(call.params.get("limit", 20)), int(call.params.get("cursor") or 0)
    return {"list": newest[start : start + size], "nextPageCursor": str(start + size) if start + size < len(newest) else ""}


def _cash(call: Call, fill: Fill) -> list[tuple[str, Decimal]]:
    """What a fill moved without its fee."""
    market = call.engine.market("bybit", fill.market, fill.symbol)
    if fill.market == PERP:
        return [(market.quote, fill.realised)]
    sign = 1 if fill.side == "buy" else -1
    return [(market.base, sign * fill.amount), (market.quote, -sign * fill.amount * fill.price)]


def _line(kind: str, at: int, number: str, token: str, category: str, symbol: str, more: dict[str, str]) -> dict[str, str]:
    empty = {"side": "None", "orderId": "", "orderLinkId": "", "tradePrice": "", "fee": "0", "funding": "", "cashFlow": "0"}
    named = {
        "type": kind,
        "transactionTime": str(at),
        "id": number,
        "tradeId": number,
        "currency": token,
        "category": category,
        "symbol": symbol,
    }
    return {**empty, **named, **more}


# Moves.


def _transfer(call: Call) -> Any:
    client_id = call.need("transferId")
    if any(one["client_id"] == client_id for one in call.account.records["transfer"].values()):
        raise Refused("duplicate_transfer")
    source, target = call.need("fromAccountType"), call.need("toAccountType")
    if source not in WALLETS or target not in WALLETS:
        raise Refused("parameter", name="fromAccountType")
    amount = Decimal(call.need("amount"))
    call.engine.moves.transfer(call.account, call.need("coin"), amount, WALLETS[source], WALLETS[target], client_id)
    return {"transferId": client_id, "status": "SUCCESS"}


def _seen(call: Call, records: Any) -> list[dict[str, Any]]:
    since, until = int(call.params.get("startTime", 0)), int(call.params.get("endTime", 2**62))
    coin = call.params.get("coin")
    found = [
        one for one in records
        if since <= one["at"] <= until and coin in (None, "", one["token"]) and call.engine.is_visible(call.account, one["at"])
    ]  # fmt: skip
    return found[::-1]


def _transfers(call: Call) -> Any:
    wanted_id = call.params.get("transferId")
    rows = [
        {"transferId": one["client_id"], "coin": one["token"], "amount": one["amount"], "fromAccountType": NAMES[one["from"]],
         "toAccountType": NAMES[one["to"]], "timestamp": str(one["at"]), "status": "SUCCESS"}
        for one in _seen(call, call.account.records["transfer"].values()) if wanted_id in (None, "", one["client_id"])
    ]  # fmt: skip
    return {"list": rows, "nextPageCursor": ""}


def _withdraw(call: Call) -> Any:
    client_id = str(call.params.get("requestId", ""))
    if client_id and any(one["client_id"] == client_id for one in call.account.records["withdrawal"].values()):
        raise Refused("duplicate_withdrawal")
    amount, chain = Decimal(call.need("amount")), call.params.get("chain", "")
    wallet = {"FUND": "funding", "UTA": "unified"}.get(call.params.get("accountType", "FUND"), "funding")
    is_on_top = str(call.params.get("feeType", 0)) == "0"
    record = call.engine.moves.withdraw(
        call.account, call.need("coin"), amount, chain, call.need("address"), client_id, fee_on_top=is_on_top, wallet=wallet
    )
    return {"id": record["id"]}


def _withdrawals(call: Call) -> Any:
    names = {"withdrawID": "id", "txID": "hash"}
    rows = [
        {"coin": one["token"], "chain": one["network"], "amount": one["amount"], "txID": one["hash"],
         "status": WITHDRAWAL_STATUS[one["status"]],
         "toAddress": one["address"], "tag": "", "withdrawFee": one["fee"], "createTime": str(one["at"]),
         "updateTime": str(one.get("done", one["at"])),
         "withdrawId": one["id"], "withdrawType": 0}
        for one in _seen(call, call.account.records["withdrawal"].values())
        if all(call.params.get(name) in (None, "", one[field]) for name, field in names.items())
    ]  # fmt: skip
    return {"rows": rows, "nextPageCursor": ""}


def _deposits(call: Call) -> Any:
    rows = [
        {"coin": one["token"], "chain": one["network"], "amount": one["amount"], "txID": one["hash"],
         "status": DEPOSIT_STATUS[one["status"]],
         "toAddress": one["address"], "tag": "", "depositFee": "", "successAt": str(one["done"]), "confirmations": "12", "txIndex": "0",
         "blockHash": "", "batchReleaseLimit": "-1", "depositType": "0", "fromAddress": "", "taxDepositRecordsId": "0", "taxStatus": 0}
        for one in _seen(call, call.account.records["deposit"].values())
    ]  # fmt: skip
    return {"rows": rows, "nextPageCursor": ""}


def _address(call: Call) -> Any:
    coin = call.need("coin")
    terms = call.engine.networks.get(("bybit", coin))
    if terms is None:
        raise Refused("network")
    chain = {"chainType": terms.network, "addressDeposit": address_of(call.account, coin, ""), "tagDeposit": "", "chain": terms.network,
             "batchReleaseLimit": "-1", "contractAddress": ""}  # fmt: skip
    return {"coin": coin, "chains": [chain]}


def _coins(call: Call) -> Any:
    only = call.params.get("coin")
    rows = []
    for (venue, token), terms in call.engine.networks.items():
        if venue == "bybit" and only in (None, "", token):
            flag = "1" if terms.is_open else "0"
            chain = {"chain": terms.network, "chainType": terms.network, "confirmation": "12",
                     "withdrawFee": text(terms.fee), "depositMin": "0",
                     "withdrawMin": text(terms.minimum), "minAccuracy": "8", "chainDeposit": flag, "chainWithdraw": flag,
                     "withdrawPercentageFee": "0", "contractAddress": "", "safeConfirmNumber": "12"}  # fmt: skip
            rows.append({"name": token, "coin": token, "remainAmount": "10000000", "chains": [chain]})
    return {"rows": rows}


ROUTES = {
    "GET /v5/account/wallet-balance": Route("balance", "read", _wallet),
    "GET /v5/asset/transfer/query-account-coins-balance": Route("balance", "read", _coins_balance),
    "GET /v5/account/info": Route("account", "read", _info),
    "GET /v5/account/fee-rate": Route("account", "read", _fees),
    "GET /v5/account/transaction-log": Route("due", "read", _log),
    "POST /v5/account/set-margin-mode": Route("settings", "trade", _set_margin_mode),
    "GET /v5/user/query-api": Route("key", "read", _key),
    "POST /v5/asset/transfer/inter-transfer": Route("transfer", "transfer", _transfer),
    "GET /v5/asset/transfer/query-inter-transfer-list": Route("transfers", "read", _transfers),
    "POST /v5/asset/withdraw/create": Route("withdraw", "withdraw", _withdraw),
    "GET /v5/asset/withdraw/query-record": Route("withdrawals", "read", _withdrawals),
    "GET /v5/asset/deposit/query-record": Route("deposits", "read", _deposits),
    "GET /v5/asset/deposit/query-address": Route("address", "read", _address),
    "GET /v5/asset/coin/query-info": Route("markets", "read", _coins),
}
