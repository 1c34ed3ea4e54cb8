"""Other people's clients against the local exchange: python -m tests.exchange.independent_clients VENUE ADDRESS

It runs in an environment of its own and prints what the client understood. It fails on any error and on a logged warning.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from typing import Any

from .clients import OWNER, OWNER_KEY, reroute
from .declared_names import unknown_names

ELSEWHERE = "0x" + "1" * 40
CLIENT_ID = "a" * 32


def binance(address: str) -> dict[str, Any]:
    from binance.client import Client

    client = Client("key", "secret", ping=False)
    reroute(client.session, address)
    client.ping()
    terms = client.get_symbol_info("ETHUSDT")
    order = {"symbol": "ETHUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "IOC", "price": "2010"}
    placed = client.create_order(quantity="0.1", newClientOrderId=CLIENT_ID, **order)
    found = client.get_order(symbol="ETHUSDT", origClientOrderId=CLIENT_ID)
    resting = client.create_order(**{**order, "timeInForce": "GTC", "price": "1900", "quantity": "0.1"})
    opened = client.get_open_orders(symbol="ETHUSDT")
    client.cancel_order(symbol="ETHUSDT", orderId=resting["orderId"])
    client.make_universal_transfer(type="MAIN_UMFUTURE", asset="USDT", amount="300")
    moved = client.query_universal_transfer_history(type="MAIN_UMFUTURE")
    client.futures_change_leverage(symbol="ETHUSDT", leverage=5)
    perp = client.futures_create_order(quantity="0.1", newOrderRespType="RESULT", **{**order, "side": "SELL", "price": "1990"})
    position = client.futures_position_information(symbol="ETHUSDT")
    withdrawn = client.withdraw(coin="USDT", address=ELSEWHERE, amount="50", network="ETH", withdrawOrderId="one")
    return {
        "terms": [one["filterType"] for one in terms["filters"]],
        "placed": [placed["status"], placed["executedQty"], [fill["commission"] for fill in placed["fills"]]],
        "found": found["orderId"] == placed["orderId"],
        "open": [one["orderId"] for one in opened] == [resting["orderId"]],
        "trades": [one["qty"] for one in client.get_my_trades(symbol="ETHUSDT")],
        "balances": {row["asset"]: row["free"] for row in client.get_account()["balances"] if float(row["free"])},
        "moved": [row["amount"] for row in moved["rows"]],
        "perp": [perp["status"], perp["executedQty"], perp["avgPrice"]],
        "position": [(row["positionAmt"], row["entryPrice"]) for row in position],
        "fees": [row["commission"] for row in client.futures_account_trades(symbol="ETHUSDT")],
        "income": [row["incomeType"] for row in client.futures_income_history()],
        "margin": client.futures_account()["availableBalance"],
        "withdrawn": [row["id"] for row in client.get_withdraw_history(coin="USDT")] == [withdrawn["id"]],
        "deposits": client.get_deposit_history(coin="USDT"),
        "address": client.get_deposit_address(coin="USDT")["coin"],
        "key": client.get_account_api_permissions()["ipRestrict"],
        "bars": len(client.get_klines(symbol="ETHUSDT", interval="1h", limit=3)),
        "rate": len(client.futures_mark_price(symbol="ETHUSDT")["lastFundingRate"]) > 0,
    }


def binance_sdk(address: str) -> dict[str, Any]:
    """Binance's own client checks the type of every field and logs those that are wrong; names that it does not know are returned."""
    from binance_common.configuration import ConfigurationRestAPI
    from binance_sdk_derivatives_trading_usds_futures import rest_api as usds_futures
    from binance_sdk_spot import rest_api as spot
    from binance_sdk_wallet import rest_api as wallet

    def keys() -> Any:
        return ConfigurationRestAPI(api_key="key", api_secret="secret", base_path=address, retries=0)

    return unknown_names(spot.SpotRestAPI(keys()), wallet.WalletRestAPI(keys()), usds_futures.DerivativesTradingUsdsFuturesRestAPI(keys()))


def bybit(address: str) -> dict[str, Any]:
    from pybit.unified_trading import HTTP

    client = HTTP(api_key="key", api_secret="secret", max_retries=1)
    reroute(client.client, address)
    terms = client.get_instruments_info(category="linear", symbol="ETHUSDT")["result"]["list"][0]
    order = {"symbol": "ETHUSDT", "orderType": "Limit", "timeInForce": "IOC", "price": "2010"}
    placed = client.place_order(category="spot", side="Buy", qty="0.1", orderLinkId=CLIENT_ID, **order)["result"]
    found = client.get_open_orders(category="spot", symbol="ETHUSDT", orderLinkId=CLIENT_ID)["result"]["list"]
    client.set_leverage(category="linear", symbol="ETHUSDT", buyLeverage="5", sellLeverage="5")
    client.place_order(category="linear", side="Sell", qty="0.1", **{**order, "price": "1990"})
    resting = client.place_order(category="linear", side="Buy", qty="0.1", **{**order, "price": "1900", "timeInForce": "GTC"})["result"]
    client.cancel_order(category="linear", symbol="ETHUSDT", orderId=resting["orderId"])
    transfer = {"transferId": "11111111-1111-1111-1111-111111111111", "coin": "USDT", "amount": "100"}
    client.create_internal_transfer(fromAccountType="UNIFIED", toAccountType="FUND", **transfer)
    withdrawal = {"coin": "USDT", "chain": "ETH", "address": ELSEWHERE, "amount": "50", "accountType": "FUND", "timestamp": 1, "feeType": 0}
    withdrawn = client.withdraw(requestId="one", **withdrawal)["result"]
    wallet = client.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]["coin"]
    return {
        "terms": [terms["lotSizeFilter"]["qtyStep"], terms["priceFilter"]["tickSize"]],
        "found": [(row["orderId"] == placed["orderId"], row["orderStatus"]) for row in found],
        "fills": [(row["execFee"], row["feeCurrency"]) for row in client.get_executions(category="spot")["result"]["list"]],
        "perp": [(row["execQty"], row["execFee"]) for row in client.get_executions(category="linear")["result"]["list"]],
        "position": [(row["side"], row["size"]) for row in client.get_positions(category="linear", symbol="ETHUSDT")["result"]["list"]],
        "wallet": {row["coin"]: row["walletBalance"] for row in wallet},
        "moved": [row["amount"] for row in client.get_internal_transfer_records()["result"]["list"]],
        "funding": client.get_coins_balance(accountType="FUND", coin="USDT")["result"]["balance"][0]["walletBalance"],
        "withdrawn": [row["withdrawId"] for row in client.get_withdrawal_records(coin="USDT")["result"]["rows"]] == [withdrawn["id"]],
        "deposits": client.get_deposit_records(coin="USDT")["result"]["rows"],
        "key": client.get_api_key_information()["result"]["uta"],
        "log": [row["type"] for row in client.get_transaction_log(category="linear")["result"]["list"]],
        "bars": len(client.get_kline(category="spot", symbol="ETHUSDT", interval="60", limit=3)["result"]["list"]),
    }


def okx(address: str) -> dict[str, Any]:
    from okx import Account, Funding, MarketData, PublicData, Trade

    keys = {"api_key": "key", "api_secret_key": "secret", "passphrase": "passphrase", "flag": "0", "domain": address, "debug": False}
    trade, account, funding = Trade.TradeAPI(**keys), Account.AccountAPI(**keys), Funding.FundingAPI(**keys)
    public, market = PublicData.PublicAPI(**keys), MarketData.MarketAPI(**keys)
    terms = public.get_instruments(instType="SWAP")["data"]
    order = {"instId": "ETH-USDT", "tdMode": "cash", "side": "buy", "ordType": "ioc", "sz": "0.1", "px": "2010"}
    placed = trade.place_order(clOrdId=CLIENT_ID, **order)["data"][0]
    found = trade.get_order(instId="ETH-USDT", clOrdId=CLIENT_ID)["data"][0]
    swap = {"instId": "ETH-USDT-SWAP", "tdMode": "cross"}
    account.set_leverage(lever="5", mgnMode="cross", instId="ETH-USDT-SWAP")
    trade.place_order(**{**order, **swap, "side": "sell", "sz": "1", "px": "1990"})
    resting = trade.place_order(**{**order, **swap, "ordType": "limit", "px": "1900", "sz": "1"})["data"][0]
    waiting = trade.get_order_list(instType="SWAP")["data"]
    trade.cancel_order(instId="ETH-USDT-SWAP", ordId=resting["ordId"])
    moved = funding.funds_transfer(ccy="USDT", amt="100", from_="18", to="6")["data"][0]
    state = funding.transfer_state(transId=moved["transId"])["data"][0]
    withdrawn = funding.withdrawal(ccy="USDT", amt="50", dest="4", toAddr=ELSEWHERE, chain="USDT-ERC20")["data"][0]
    return {
        "terms": [(row["instId"], row["ctVal"], row["lotSz"]) for row in terms],
        "found": [found["ordId"] == placed["ordId"], found["state"], found["accFillSz"], found["fee"], found["feeCcy"]],
        "fills": [(row["instId"], row["fillSz"], row["fee"]) for row in trade.get_fills()["data"]],
        "open": [row["ordId"] for row in waiting] == [resting["ordId"]],
        "position": [(row["instId"], row["pos"]) for row in account.get_positions()["data"]],
        "balances": {row["ccy"]: row["cashBal"] for row in account.get_account_balance()["data"][0]["details"]},
        "state": [state["state"], state["amt"]],
        "withdrawn": [row["wdId"] for row in funding.get_withdrawal_history(ccy="USDT")["data"]] == [withdrawn["wdId"]],
        "funding": [(row["ccy"], row["bal"]) for row in funding.get_balances()["data"]],
        "mode": account.get_account_config()["data"][0]["posMode"],
        "bills": [row["type"] for row in account.get_account_bills(instType="SWAP")["data"]],
        "bars": len(market.get_candlesticks(instId="ETH-USDT", bar="1H", limit="3")["data"]),
        "rate": len(public.get_funding_rate(instId="ETH-USDT-SWAP")["data"]),
    }


def hyperliquid(address: str) -> dict[str, Any]:
    from eth_account import Account
    from hyperliquid.exchange import Exchange
    from hyperliquid.utils.constants import MAINNET_API_URL
    from hyperliquid.utils.types import Cloid

    exchange = Exchange(Account.from_key(OWNER_KEY), address)
    for api in (exchange, exchange.info):
        reroute(api.session, address)
        api.base_url = MAINNET_API_URL  # it signs for another chain elsewhere
    info = exchange.info
    cloid = Cloid.from_str("0x" + CLIENT_ID)
    placed = exchange.order("UETH/USDC", True, 0.1, 2010, {"limit": {"tif": "Ioc"}}, cloid=cloid)
    found = info.query_order_by_cloid(OWNER, cloid)
    exchange.update_leverage(5, "ETH")
    exchange.order("ETH", False, 0.1, 1990, {"limit": {"tif": "Ioc"}})
    resting = exchange.order("ETH", True, 0.1, 1900, {"limit": {"tif": "Gtc"}})["response"]["data"]["statuses"][0]["resting"]["oid"]
    opened = info.open_orders(OWNER)
    cancelled = exchange.cancel("ETH", resting)
    moved = exchange.usd_class_transfer(100, True)
    exchange.set_expires_after(4_000_000_000_000)
    late = exchange.order("ETH", True, 0.1, 2010, {"limit": {"tif": "Ioc"}})
    exchange.set_expires_after(None)
    withdrawn = exchange.withdraw_from_bridge(50, ELSEWHERE)
    updates = info.user_non_funding_ledger_updates(OWNER, 0)
    return {
        "placed": placed["response"]["data"]["statuses"][0]["filled"]["totalSz"],
        "found": [found["status"], found["order"]["status"], found["order"]["order"]["cloid"]],
        "open": [one["oid"] for one in opened] == [resting],
        "cancelled": cancelled["response"]["data"]["statuses"],
        "late": late["response"]["data"]["statuses"][0]["filled"]["totalSz"],
        "fills": [(fill["coin"], fill["dir"], fill["fee"], fill["feeToken"]) for fill in info.user_fills(OWNER)],
        "position": [one["position"]["szi"] for one in info.user_state(OWNER)["assetPositions"]],
        "spot": {row["coin"]: row["total"] for row in info.spot_user_state(OWNER)["balances"]},
        "moved": [moved["status"], withdrawn["status"]],
        "updates": [one["delta"]["type"] for one in updates],
        "mids": len(info.all_mids()),
        "bars": len(info.candles_snapshot("ETH", "1h", 1_717_232_400_000, 1_717_243_200_000)),
        "funding": info.user_funding_history(OWNER, 0),
    }


class Refusing(logging.Handler):
    """A warning that a client logs is an error."""

    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(record.getMessage())


def main() -> None:
    venue, address = sys.argv[1:]
    logging.getLogger().addHandler(Refusing(logging.WARNING))
    with warnings.catch_warnings(record=True) as caught:
        found = {"binance": binance, "binance-sdk": binance_sdk, "bybit": bybit, "okx": okx, "hyperliquid": hyperliquid}[venue](address)
    print(json.dumps({**found, "warnings": [str(one.message) for one in caught]}))


if __name__ == "__main__":
    main()
