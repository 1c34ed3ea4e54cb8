"""OKX v5: the funding account, transfers, withdrawals, deposits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from .dialect import Call, Route
from .ledger import Refused, text
from .moves import OPEN, address_of

WALLETS = {"6": "funding", "18": "trading"}
NAMES = {wallet: number for number, wallet in WALLETS.items()}
WITHDRAWAL_STATE = {OPEN: "1", "completed": "2", "cancelled": "-2", "failed": "-1", "rejected": "-1"}
DEPOSIT_STATE = {OPEN: "0", "completed": "2"}


def _balances(call: Call) -> Any:
    only = call.params.get("ccy")
    return [
        {"ccy": token, "bal": text(amount), "availBal": text(amount), "frozenBal": "0"}
        for token, amount in call.engine.shown(call.account).get("funding", {}).items()
        if amount and (only in (None, "") or token in only.split(","))
    ]


def _transfer(call: Call) -> Any:
    client_id = call.params.get("clientId", "")
    if client_id and any(one["client_id"] == client_id for one in call.account.records["transfer"].values()):
        raise Refused("duplicate_transfer")
    source, target = str(call.need("from")), str(call.need("to"))
    if source not in WALLETS or target not in WALLETS:
        raise Refused("parameter", name="from")
    amount = Decimal(call.need("amt"))
    record = call.engine.moves.transfer(call.account, call.need("ccy"), amount, WALLETS[source], WALLETS[target], client_id)
    return [{"transId": record["id"], "ccy": record["token"], "clientId": client_id, "from": source, "amt": record["amount"], "to": target}]


def _transfer_state(call: Call) -> Any:
    names = {"transId": "id", "clientId": "client_id"}
    given = {field: call.params[name] for name, field in names.items() if call.params.get(name)}
    if not given:
        raise Refused("parameter", name="transId")
    rows = [
        {"transId": one["id"], "clientId": one["client_id"], "ccy": one["token"], "amt": one["amount"], "type": "0",
         "from": NAMES[one["from"]],
         "to": NAMES[one["to"]], "subAcct": "", "instId": "", "toInstId": "", "state": "success"}
        for one in call.account.records["transfer"].values()
        if all(one[field] == value for field, value in given.items()) and call.engine.is_visible(call.account, one["at"])
    ]  # fmt: skip
    if not rows:
        raise Refused("unknown_transfer")
    return rows


def _withdraw(call: Call) -> Any:
    """`amt` is what leaves for the address; the fee comes on top."""
    client_id = call.params.get("clientId", "")
    if client_id and any(one["client_id"] == client_id for one in call.account.records["withdrawal"].values()):
        raise Refused("duplicate_withdrawal")
    token = call.need("ccy")
    network = call.params.get("chain", "").removeprefix(f"{token}-")
    amount = Decimal(call.need("amt"))
    record = call.engine.moves.withdraw(call.account, token, amount, network, call.need("toAddr"), client_id, fee_on_top=True)
    return [{"amt": record["amount"], "wdId": record["id"], "ccy": token, "clientId": client_id, "chain": f"{token}-{record['network']}"}]


def _seen(call: Call, records: Any, names: dict[str, str]) -> list[dict[str, Any]]:
    """Newest first; `after` and `before` are times."""
    params = call.params
    found = [
        one for one in records
        if int(params.get("before") or -1) < one["at"] < int(params.get("after") or 2**62)
        and call.engine.is_visible(call.account, one["at"])
        and all(params.get(name) in (None, "", one[field]) for name, field in names.items())
    ]  # fmt: skip
    return found[::-1][: int(params.get("limit", 100))]


def _withdrawals(call: Call) -> Any:
    names = {"ccy": "token", "wdId": "id", "clientId": "client_id", "txId": "hash"}
    return [
        {"ccy": one["token"], "chain": f"{one['token']}-{one['network']}", "nonTradableAsset": False, "amt": one["amount"],
         "ts": str(one["at"]),
         "from": "1", "areaCodeFrom": "", "to": one["address"], "areaCodeTo": "", "toAddrType": "1", "tag": "", "pmtId": "", "memo": "",
         "txId": one["hash"], "fee": one["fee"], "feeCcy": one["token"], "state": WITHDRAWAL_STATE[one["status"]], "wdId": one["id"],
         "clientId": one["client_id"], "note": ""}
        for one in _seen(call, call.account.records["withdrawal"].values(), names)
    ]  # fmt: skip


def _deposits(call: Call) -> Any:
    names = {"ccy": "token", "depId": "id", "txId": "hash"}
    return [
        {"ccy": one["token"], "chain": f"{one['token']}-{one['network']}", "amt": one["amount"], "from": "", "areaCodeFrom": "",
         "to": one["address"], "txId": one["hash"], "ts": str(one["at"]), "state": DEPOSIT_STATE[one["status"]], "depId": one["id"],
         "fromWdId": "", "actualDepBlkConfirm": "12"}
        for one in _seen(call, call.account.records["deposit"].values(), names)
    ]  # fmt: skip


def _address(call: Call) -> Any:
    token = call.need("ccy")
    terms = call.engine.networks.get(("okx", token))
    if terms is None:
        raise Refused("network")
    return [{"chain": f"{token}-{terms.network}", "ctAddr": "", "ccy": token, "to": "6", "addr": address_of(call.account, token, ""),
             "verifiedName": "", "selected": True}]  # fmt: skip


def _coins(call: Call) -> Any:
    only = call.params.get("ccy")
    return [
        {"ccy": token, "name": token, "logoLink": "", "chain": f"{token}-{terms.network}", "ctAddr": "", "canDep": terms.is_open,
         "canWd": terms.is_open, "canInternal": True, "depEstOpenTime": "", "wdEstOpenTime": "", "minDep": "0",
         "minWd": text(terms.minimum),
         "minInternal": "0", "maxWd": "10000000", "wdTickSz": "8", "wdQuota": "10000000", "usedWdQuota": "0", "fee": text(terms.fee),
         "minFee": text(terms.fee), "maxFee": text(terms.fee), "minFeeForCtAddr": "", "maxFeeForCtAddr": "", "burningFeeRate": "",
         "mainNet": True, "needTag": False, "minDepArrivalConfirm": "12", "minWdUnlockConfirm": "12", "depQuotaFixed": "",
         "usedDepQuotaFixed": "", "depQuoteDailyLayer2": ""}
        for (venue, token), terms in call.engine.networks.items() if venue == "okx" and (only in (None, "") or token in only.split(","))
    ]  # fmt: skip


def _bills(call: Call) -> Any:
    """What moved the funding account, newest first; `after` and `before` are times."""
    rows = []
    for one in call.account.records["transfer"].values():
        is_in = one["to"] == "funding"
        sign = 1 if is_in else -1
        rows.append(_bill(one["id"], one["at"], "130" if is_in else "131", one["token"], sign * Decimal(one["amount"]), one["client_id"]))
    for one in call.account.records["deposit"].values():
        if one["status"] == "completed":
            rows.append(_bill(one["id"], one["done"], "1", one["token"], Decimal(one["amount"]), ""))
    for one in call.account.records["withdrawal"].values():
        left = Decimal(one["amount"]) + Decimal(one["fee"])
        rows.append(_bill(one["id"], one["at"], "2", one["token"], -left, one["client_id"]))
        if one["status"] in ("cancelled", "failed", "rejected"):
            rows.append(_bill(f"{one['id']}0", one["done"], "13", one["token"], left, one["client_id"]))
    params = call.params
    found = [
        row for row in rows
        if int(params.get("before") or -1) < int(row["ts"]) < int(params.get("after") or 2**62)
        and call.engine.is_visible(call.account, int(row["ts"])) and params.get("type") in (None, "", row["type"])
    ]  # fmt: skip
    return sorted(found, key=lambda row: (-int(row["ts"]), -int(row["billId"])))[: int(params.get("limit", 100))]


def _bill(number: str, at: int, kind: str, token: str, change: Decimal, client_id: str) -> dict[str, str]:
    return {"billId": str(number), "ccy": token, "clientId": client_id, "balChg": text(change), "bal": "", "type": kind, "ts": str(at),
            "notes": ""}  # fmt: skip


ROUTES = {
    "GET /api/v5/asset/bills": Route("due", "read", _bills),
    "GET /api/v5/asset/bills-history": Route("due", "read", _bills),
    "GET /api/v5/asset/balances": Route("balance", "read", _balances),
    "POST /api/v5/asset/transfer": Route("transfer", "trade", _transfer),
    "GET /api/v5/asset/transfer-state": Route("transfers", "read", _transfer_state),
    "POST /api/v5/asset/withdrawal": Route("withdraw", "withdraw", _withdraw),
    "GET /api/v5/asset/withdrawal-history": Route("withdrawals", "read", _withdrawals),
    "GET /api/v5/asset/deposit-history": Route("deposits", "read", _deposits),
    "GET /api/v5/asset/deposit-address": Route("address", "read", _address),
    "GET /api/v5/asset/currencies": Route("markets", "read", _coins),
}
