"""Binance wallet (sapi): transfers, withdrawals, deposits, and what a key may do."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from .binance_prices import window
from .dialect import Call, Route
from .ledger import Refused
from .moves import OPEN, address_of

WALLETS = {"MAIN": "spot", "UMFUTURE": "perp", "FUNDING": "funding"}
NAMES = {wallet: name for name, wallet in WALLETS.items()}
WITHDRAWAL_STATUS = {OPEN: 4, "cancelled": 1, "rejected": 3, "failed": 5, "completed": 6}
DEPOSIT_STATUS = {OPEN: 0, "completed": 1}


def _stamp(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _between(call: Call, records: Any, days: int = 90) -> list[dict[str, Any]]:
    """Those of a request's time, newest first."""
    since, until = window(call, days, to_now=True)
    seen = [one for one in records if since <= one["at"] <= until and call.engine.is_visible(call.account, one["at"])]
    return sorted(seen, key=lambda one: -one["at"])


def _page(call: Call, rows: list[Any]) -> list[Any]:
    offset = int(call.params.get("offset", 0))
    return rows[offset : offset + min(int(call.params.get("limit", 1_000)), 1_000)]


def _transfer(call: Call) -> Any:
    source, _, target = call.need("type").partition("_")
    if source not in WALLETS or target not in WALLETS:
        raise Refused("parameter")
    amount = Decimal(call.need("amount"))
    record = call.engine.moves.transfer(call.account, call.need("asset"), amount, WALLETS[source], WALLETS[target])
    return {"tranId": int(record["id"])}


def _transfers(call: Call) -> Any:
    source, _, target = call.need("type").partition("_")
    found = [one for one in call.account.records["transfer"].values() if (NAMES[one["from"]], NAMES[one["to"]]) == (source, target)]
    rows = [
        {
            "asset": one["token"],
            "amount": one["amount"],
            "type": call.params["type"],
            "status": "CONFIRMED",
            "tranId": int(one["id"]),
            "timestamp": one["at"],
        }
        for one in _between(call, found, 30 if "startTime" in call.params else 7)
    ]
    size, page = int(call.params.get("size", 10)), int(call.params.get("current", 1))
    return {"total": len(rows), "rows": rows[size * (page - 1) : size * page]}


def _withdraw(call: Call) -> Any:
    client_id = call.params.get("withdrawOrderId", "")
    if (
        client_id
        and call.account.settings.get("refuses_repeated_withdrawals")
        and any(one["client_id"] == client_id for one in call.account.records["withdrawal"].values())
    ):
        raise Refused("duplicate")
    amount, network = Decimal(call.need("amount")), call.params.get("network", "")
    record = call.engine.moves.withdraw(call.account, call.need("coin"), amount, network, call.need("address"), client_id, fee_on_top=False)
    return {"id": record["id"]}


def _withdrawals(call: Call) -> Any:
    client_id, coin = call.params.get("withdrawOrderId"), call.params.get("coin")
    rows = []
    for one in _between(call, call.account.records["withdrawal"].values()):
        is_of_status = call.params.get("status") in (None, str(WITHDRAWAL_STATUS[one["status"]]))
        if client_id in (None, one["client_id"]) and coin in (None, one["token"]) and is_of_status:
            row = {
                "id": one["id"],
                "amount": one["amount"],
                "transactionFee": one["fee"],
                "coin": one["token"],
                "network": one["network"],
                "status": WITHDRAWAL_STATUS[one["status"]],
                "address": one["address"],
                "txId": one["hash"],
                "applyTime": _stamp(one["at"]),
                "transferType": 0,
                "info": "",
                "confirmNo": 12,
                "walletType": 0,
                "txKey": "",
            }
            if call.account.settings.get("shows_fee_in_amount"):
                row["amount"] = format(Decimal(one["amount"]) + Decimal(one["fee"]), "f")
            row |= {"withdrawOrderId": one["client_id"]} if one["client_id"] else {}
            row |= {"completeTime": _stamp(one["done"])} if one["status"] == "completed" else {}
            rows.append(row)
    return _page(call, rows)


def _deposits(call: Call) -> Any:
    coin, tx_hash = call.params.get("coin"), call.params.get("txId")
    rows = [
        {
            "id": one["id"],
            "amount": one["amount"],
            "coin": one["token"],
            "network": one["network"],
            "status": DEPOSIT_STATUS[one["status"]],
            "address": one["address"],
            "addressTag": "",
            "txId": one["hash"],
            "insertTime": one["at"],
            "completeTime": one["done"],
            "transferType": 0,
            "confirmTimes": "12/12",
            "unlockConfirm": 12,
            "walletType": 0,
        }
        for one in _between(call, call.account.records["deposit"].values())
        if coin in (None, one["token"]) and tx_hash in (None, one["hash"])
        if call.params.get("status") in (None, str(DEPOSIT_STATUS[one["status"]]))
    ]
    return _page(call, rows)


def _address(call: Call) -> Any:
    token = call.need("coin")
    terms = call.engine.networks.get(("binance", token))
    if terms is None or call.params.get("network", terms.network) != terms.network:
        raise Refused("network")
    return {"address": address_of(call.account, token, ""), "coin": token, "tag": "", "url": ""}


def _coins(call: Call) -> Any:
    held = call.engine.shown(call.account).get("spot", {})
    return [
        {
            "coin": terms.token,
            "depositAllEnable": terms.is_open,
            "withdrawAllEnable": terms.is_open,
            "name": terms.token,
            "free": format(held.get(terms.token, Decimal(0)), "f"),
            "locked": "0",
            "freeze": "0",
            "withdrawing": "0",
            "ipoing": "0",
            "ipoable": "0",
            "storage": "0",
            "isLegalMoney": False,
            "trading": True,
            "networkList": [
                {
                    "network": terms.network,
                    "coin": terms.token,
                    "withdrawIntegerMultiple": "0.00000001",
                    "isDefault": True,
                    "depositEnable": terms.is_open,
                    "withdrawEnable": terms.is_open,
                    "depositDesc": "",
                    "withdrawDesc": "",
                    "specialTips": "",
                    "name": terms.network,
                    "resetAddressStatus": False,
                    "addressRegex": "^(0x)[0-9A-Fa-f]{40}$",
                    "memoRegex": "",
                    "withdrawFee": format(terms.fee, "f"),
                    "withdrawMin": format(terms.minimum, "f"),
                    "withdrawMax": "10000000",
                    "minConfirm": 12,
                    "unLockConfirm": 12,
                    "sameAddress": False,
                    "estimatedArrivalTime": terms.minutes,
                    "busy": False,
                    "contractAddress": "",
                }
            ],
        }
        for (venue, _), terms in call.engine.networks.items()
        if venue == "binance"
    ]


def _restrictions(call: Call) -> Any:
    key = call.engine.keys["binance", call.request.headers["X-MBX-APIKEY"]]
    return {
        "ipRestrict": key.has_ip_limit,
        "createTime": 1_700_000_000_000,
        "enableReading": "read" in key.may,
        "enableSpotAndMarginTrading": "trade" in key.may,
        "enableFutures": "trade" in key.may,
        "enableWithdrawals": "withdraw" in key.may,
        "enableInternalTransfer": False,
        "permitsUniversalTransfer": "transfer" in key.may,
        "enableVanillaOptions": False,
        "enableMargin": False,
        "enablePortfolioMarginTrading": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
    }


def _funding_wallet(call: Call) -> Any:
    wanted = call.params.get("asset")
    return [
        {"asset": token, "free": format(amount, "f"), "locked": "0", "freeze": "0", "withdrawing": "0", "btcValuation": "0"}
        for token, amount in call.engine.shown(call.account).get("funding", {}).items()
        if amount and wanted in (None, token)
    ]


def _allowed(call: Call) -> Any:
    """The addresses that withdrawals may go to."""
    rows = [
        {"address": one, "addressTag": "", "coin": "", "name": "", "network": "", "origin": "", "originType": "", "whiteStatus": True}
        for one in call.account.settings.get("addresses") or ()
    ]
    return rows


ROUTES = {
    "GET /sapi/v1/system/status": Route("time", None, lambda _: {"status": 0, "msg": "normal"}),
    "POST /sapi/v1/asset/transfer": Route("transfer", "transfer", _transfer),
    "GET /sapi/v1/asset/transfer": Route("transfers", "read", _transfers),
    "POST /sapi/v1/asset/get-funding-asset": Route("balance", "read", _funding_wallet),
    "POST /sapi/v1/capital/withdraw/apply": Route("withdraw", "withdraw", _withdraw),
    "GET /sapi/v1/capital/withdraw/history": Route("withdrawals", "read", _withdrawals),
    "GET /sapi/v1/capital/withdraw/address/list": Route("address", "read", _allowed),
    "GET /sapi/v1/capital/deposit/hisrec": Route("deposits", "read", _deposits),
    "GET /sapi/v1/capital/deposit/address": Route("address", "read", _address),
    "GET /sapi/v1/capital/config/getall": Route("markets", "read", _coins),
    "GET /sapi/v1/account/apiRestrictions": Route("key", "read", _restrictions),
    "GET /sapi/v1/bnbBurn": Route(
        "account", "read", lambda call: {"spotBNBBurn": bool(call.account.settings.get("bnb_fees")), "interestBNBBurn": False}
    ),
}
