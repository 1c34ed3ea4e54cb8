"""Every call of binance's own client that the gateway could need, and the names in our answers that its models do not declare."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SYMBOL = {"symbol": "ETHUSDT"}
ORDER = {**SYMBOL, "side": "BUY", "type": "LIMIT", "time_in_force": "IOC", "quantity": 0.1, "price": 2010}
ADDRESS = "0x" + "1" * 40


def unknown_names(spot: Any, wallet: Any, futures: Any) -> dict[str, list[str]]:
    """By call, where there are any."""
    asking = _Asking()
    ask = asking.ask
    ask(spot.time)
    ask(spot.exchange_info, **SYMBOL)
    ask(spot.new_order, **ORDER, new_client_order_id="a", new_order_resp_type="FULL")
    ask(spot.get_order, **SYMBOL, orig_client_order_id="a")
    ask(spot.new_order, **{**ORDER, "time_in_force": "GTC", "price": 1900}, new_client_order_id="b", new_order_resp_type="RESULT")
    ask(spot.get_open_orders, **SYMBOL)
    ask(spot.delete_order, **SYMBOL, orig_client_order_id="b")
    for call in (
        spot.all_orders,
        spot.my_trades,
        spot.account_commission,
        spot.ticker_book_ticker,
        spot.ticker_price,
        spot.ticker24hr,
        spot.depth,
    ):
        ask(call, **SYMBOL)
    ask(spot.klines, **SYMBOL, interval="1h", limit=2)
    ask(spot.get_account)
    ask(wallet.user_universal_transfer, type="MAIN_UMFUTURE", asset="USDT", amount=300)
    ask(wallet.query_user_universal_transfer_history, type="MAIN_UMFUTURE")
    ask(wallet.withdraw, coin="USDT", address=ADDRESS, amount=50, network="ETH", withdraw_order_id="one")
    ask(wallet.withdraw_history, coin="USDT")
    ask(wallet.deposit_history, coin="ETH")
    ask(wallet.deposit_address, coin="USDT")
    for call in (wallet.get_api_key_permission, wallet.all_coins_information, wallet.funding_wallet, wallet.fetch_withdraw_address_list):
        ask(call)
    ask(wallet.system_status)
    ask(futures.check_server_time)
    ask(futures.exchange_information)
    ask(futures.change_initial_leverage, **SYMBOL, leverage=5)
    ask(futures.new_order, **{**ORDER, "side": "SELL", "price": 1990}, new_client_order_id="c", new_order_resp_type="RESULT")
    ask(futures.query_order, **SYMBOL, orig_client_order_id="c")
    for call in (futures.all_orders, futures.account_trade_list, futures.notional_and_leverage_brackets, futures.mark_price,
                 futures.get_funding_rate_history, futures.user_commission_rate, futures.symbol_price_ticker,
                 futures.ticker24hr_price_change_statistics):  # fmt: skip
        ask(call, **SYMBOL)
    for call in (futures.current_all_open_orders, futures.position_information_v2, futures.position_information_v3,
                 futures.account_information_v2, futures.account_information_v3, futures.futures_account_balance_v2,
                 futures.futures_account_balance_v3, futures.get_current_position_mode, futures.get_income_history,
                 futures.users_force_orders,
                 futures.futures_account_configuration, futures.symbol_configuration, futures.get_current_multi_assets_mode):  # fmt: skip
        ask(call)
    ask(futures.change_margin_type, symbol="BTCUSDT", margin_type="ISOLATED")
    return {"calls": [str(asking.calls)], **asking.unknown}


class _Asking:
    def __init__(self) -> None:
        import requests

        self.calls = 0
        self.unknown: dict[str, list[str]] = {}
        self.answer: Any = None
        received = requests.Session.send

        def send(session: requests.Session, request: requests.PreparedRequest, **more: Any) -> requests.Response:
            answer = received(session, request, **more)
            self.answer = json.loads(answer.text)
            return answer

        requests.Session.send = send  # type: ignore[method-assign]

    def ask(self, call: Callable[..., Any], **given: Any) -> None:
        model = call(**given).data()
        self.calls += 1
        if found := sorted(_undeclared(self.answer, model, "")):
            self.unknown[f"{call.__self__.__class__.__name__}.{call.__name__}"] = found  # type: ignore[attr-defined]


def _undeclared(answer: Any, model: Any, place: str) -> set[str]:
    model = getattr(model, "actual_instance", None) or model
    if isinstance(answer, list) and isinstance(model, list):
        return {name for one, of in zip(answer, model, strict=True) for name in _undeclared(one, of, f"{place}[]")}
    fields = getattr(type(model), "model_fields", None)
    if fields is None or not isinstance(answer, dict):
        return set()
    names = {field.alias or name: name for name, field in fields.items()}
    found = {f"{place}.{name}" for name in answer if name not in names}
    for name in answer.keys() & names.keys():
        found |= _undeclared(answer[name], getattr(model, names[name]), f"{place}.{name}")
    return found
