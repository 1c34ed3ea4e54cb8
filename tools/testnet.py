"""Measures at the exchanges' test networks what no local server can show: `make testnet`.

For each account whose keys are in the environment it trades a small amount there and back, and prints how late a look-up is, what becomes
of an id that is used again, how requests are counted, and which sign funding has. Keys, by NAME of the table below:

    BASIS_TESTNET__NAME__API_KEY, BASIS_TESTNET__NAME__API_SECRET (okx: and PASSPHRASE); BASIS_TESTNET__NAME__ENDPOINT: another address
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import SystemClock, from_instant, iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.live.exchange_access import NOT_WHOLE, said
from basis_strategy_v1.live.exchange_api import FUNDING, ExchangeApi
from basis_strategy_v1.live.exchange_client import ExchangeClient, Refusal
from basis_strategy_v1.live.exchange_errors import Meaning, meaning_of
from basis_strategy_v1.live.exchange_orders import PERP, SPOT, FoundOrder, Rules, SentOrder, client_id_of, on_tick
from basis_strategy_v1.live.exchange_rate import RateLimit
from basis_strategy_v1.live.exchanges import VENUES
from basis_strategy_v1.live.secrets import Secret

SYMBOL, NOTIONAL = "ETHUSDT", Decimal(30)  # quote: above every least notional
LONGEST_LAG_S, EACH_S = 30.0, 0.02
MONTH_MS = 30 * 86_400_000
COUNTED = ("used-weight", "order-count", "limit-status", "ratelimit")
LOCAL = ("127.0.0.1", "localhost", "::1")


class Account(NamedTuple):
    """An account at a test network: its exchange, the kind of market, its address, how its price is asked for."""

    name: str
    exchange: str
    kind: str
    endpoint: str
    price: Callable[[ExchangeClient], Any]
    headers: Mapping[str, str] = {}


def _bybit(category: str) -> Callable[[ExchangeClient], Any]:
    def price(client: ExchangeClient) -> Any:
        answer = client.call("publicGetV5MarketTickers", {"category": category, "symbol": SYMBOL})
        return answer["result"]["list"][0]["lastPrice"]

    return price


def _okx(instrument: str) -> Callable[[ExchangeClient], Any]:
    return lambda client: client.call("publicGetMarketTicker", {"instId": instrument})["data"][0]["last"]


ACCOUNTS = (
    Account("BINANCE", "binance", SPOT, "https://testnet.binance.vision",
            lambda client: client.call("publicGetTickerPrice", {"symbol": SYMBOL})["price"]),
    Account("BINANCE_PERP", "binance", PERP, "https://testnet.binancefuture.com",
            lambda client: client.call("fapiPublicGetTickerPrice", {"symbol": SYMBOL})["price"]),
    Account("BYBIT", "bybit", SPOT, "https://api-testnet.bybit.com", _bybit("spot")),
    Account("BYBIT_PERP", "bybit", PERP, "https://api-testnet.bybit.com", _bybit("linear")),
    Account("OKX", "okx", SPOT, "https://www.okx.com", _okx("ETH-USDT"), {"x-simulated-trading": "1"}),
    Account("OKX_PERP", "okx", PERP, "https://www.okx.com", _okx("ETH-USDT-SWAP"), {"x-simulated-trading": "1"}),
)  # fmt: skip


def main() -> int:
    """Print what each account shows; 0 also where there are no keys, 1 where one could not be measured."""
    status = 0
    asked = [account for account in ACCOUNTS if _field(account, "API_KEY")]
    if not asked:
        print("skipped: no testnet keys in the environment; set BASIS_TESTNET__NAME__API_KEY and __API_SECRET for NAME of "
              f"{', '.join(account.name for account in ACCOUNTS)}")  # fmt: skip
    for account in asked:
        print(f"== {account.name} ({account.exchange} {account.kind})")
        try:
            for line in Measured(account).lines():
                print(f"  {line}", flush=True)
        except (*NOT_WHOLE, ComponentError, KeyError, ValueError, ArithmeticError, TimeoutError) as error:
            print(f"  could not be measured: {said(error) or type(error).__name__}")
            status = 1
    return status


def _field(account: Account, field: str) -> str | None:
    return os.environ.get(f"BASIS_TESTNET__{account.name}__{field}")


class Measured:
    """One account."""

    def __init__(self, account: Account) -> None:
        endpoint = _field(account, "ENDPOINT") or account.endpoint
        host = urlsplit(endpoint).hostname or ""
        if not ("testnet" in host or host in LOCAL or account.headers):
            raise ValueError(f"{endpoint} is no test network; nothing is sent there")
        row = VENUES[account.exchange]
        passphrase = _field(account, "PASSPHRASE")
        self.client = ExchangeClient(
            account.exchange, Secret(_field(account, "API_KEY") or ""), Secret(_field(account, "API_SECRET") or ""), clock=SystemClock(),
            rate=RateLimit(row.windows, time.sleep, time.monotonic), endpoint=endpoint, refusal_of=row.refusal_of,
            passphrase=Secret(passphrase) if passphrase else None, receive_window_ms=row.receive_window_ms,
        )  # fmt: skip
        self.client._exchange.headers = dict(account.headers)
        self.account, self.kind = account, account.kind
        self.api: ExchangeApi = row.api(self.client)

    def lines(self) -> Iterator[str]:
        yield self._clock()
        rules = self.api.rules(self.kind, (SYMBOL,))[SYMBOL]
        price = Decimal(str(self.account.price(self.client)))
        bought = self._sent(rules, "buy", price)
        before = self._counts()
        _, took_ms = self._placed(bought)
        yield f"an order took {took_ms:.0f} ms; of the rate limits it counted {self._counted(before)}"
        found, lag_ms = self._looked_up(bought)
        yield f"the look-up by its id showed it {lag_ms:.0f} ms after the answer: {found.status}, {plain(found.executed)} filled"
        yield self._filled(found)
        refusal = self._again(bought)
        yield f"the same id again is {refusal or 'TAKEN: a second order was placed under it'}"
        if found.executed:
            yield self._sold(rules, price, found.executed if refusal else 2 * found.executed)
        if self.kind == PERP:
            yield from self._funding()

    def _clock(self) -> str:
        begun_ms = self.client.our_ms()
        theirs_ms = self.api.time_ms(self.kind)
        ended_ms = self.client.our_ms()
        self.client.offset_ms = theirs_ms - (begun_ms + ended_ms) // 2
        return f"its clock is {self.client.offset_ms / 1000:+.3f} s from ours; a request takes {ended_ms - begun_ms} ms"

    def _sent(self, rules: Rules, side: str, price: Decimal, amount: Decimal | None = None) -> SentOrder:
        worst = on_tick(price * (Decimal("1.01") if side == "buy" else Decimal("0.99")), rules, side)
        lots = (NOTIONAL / price // rules.lot + 1) * rules.lot if amount is None else amount // rules.lot * rules.lot
        now_ms = self.client.now_ms()
        return SentOrder(
            client_id=client_id_of(f"testnet {side} {now_ms}"), trade_type=self.kind, symbol=SYMBOL, base=rules.base, quote=rules.quote,
            side=side, amount=lots, price=worst, life="IOC", reduce_only=side == "sell" and self.kind == PERP, asked=lots, price_then=price,
            sent_ms=now_ms, expires_ms=now_ms + self.api.life_ms,
        )  # fmt: skip

    def _placed(self, sent: SentOrder) -> tuple[FoundOrder | str, float]:
        begun = time.perf_counter()
        placed = self.api.place(sent, self.client.now_ms())
        return placed, (time.perf_counter() - begun) * 1000

    def _looked_up(self, sent: SentOrder) -> tuple[FoundOrder, float]:
        """The order by its client id, and how long it was not there (ms)."""
        begun = time.perf_counter()
        while (waited := time.perf_counter() - begun) < LONGEST_LAG_S:
            try:
                return self.api.find(self.kind, SYMBOL, client_id=sent.client_id, sent_ms=sent.sent_ms), waited * 1000
            except Refusal as refused:
                if meaning_of(refused, self.api.errors(self.kind)) is not Meaning.ABSENT:
                    raise
            time.sleep(EACH_S)
        raise TimeoutError(f"a look-up did not show an order within {LONGEST_LAG_S:g} s")

    def _filled(self, found: FoundOrder) -> str:
        begun = time.perf_counter()
        while (waited := time.perf_counter() - begun) < LONGEST_LAG_S:
            fills = self.api.fills(self.kind, SYMBOL, found.id)
            if sum((fill.amount for fill in fills), Decimal(0)) >= found.executed:
                fees = ", ".join(f"{fill.fee} {fill.fee_token}" for fill in fills) or "none"
                return f"its fills were there {waited * 1000:.0f} ms after that; fees {fees}"
            time.sleep(EACH_S)
        return f"its fills were not there within {LONGEST_LAG_S:g} s"

    def _sold(self, rules: Rules, price: Decimal, bought: Decimal) -> str:
        """Sell what was bought; a spot fee may have been taken out of it."""
        there = bought if self.kind == PERP else min(bought, self.api.free().get(rules.base, Decimal(0)))
        sent = self._sent(rules, "sell", price, there)
        self._placed(sent)
        closed, _ = self._looked_up(sent)
        return f"sold again: {plain(closed.executed)} of {plain(bought)}"

    def _again(self, sent: SentOrder) -> str:
        """Why an order under an id that is used already is refused; "" where it is taken."""
        now_ms = self.client.now_ms()
        once_more = SentOrder(**{**_fields(sent), "sent_ms": now_ms, "expires_ms": now_ms + self.api.life_ms})
        try:
            self._placed(once_more)
        except Refusal as refused:
            meaning = meaning_of(refused, self.api.errors(self.kind))
            return f"refused with {refused}: read as {meaning}"
        return ""

    def _counts(self) -> dict[str, str]:
        headers = self.client._adapter.last.response.headers
        return {name.lower(): text for name, text in headers.items() if any(part in name.lower() for part in COUNTED)}

    def _counted(self, before: Mapping[str, str]) -> str:
        rows = (f"{name}: {before.get(name, 'none')} then {text}" for name, text in sorted(self._counts().items()))
        return "; ".join(rows) or "nothing that it shows"

    def _funding(self) -> Iterator[str]:
        now_ms = self.client.now_ms()
        held = self.api.perps().get(SYMBOL)
        yield f"the position is {plain(held.base) if held else '0'} {SYMBOL}"
        paid = [one for one in self.api.payments_since((PERP,), now_ms - MONTH_MS, now_ms) if one.kind == FUNDING]
        if not paid:
            yield "no funding in 30 days: hold a position over a funding time and run it again"
        for one in paid[-5:]:
            sign = "received" if one.amount > 0 else "paid"
            yield f"funding of {one.symbol} at {iso(from_instant(one.at_ms * 1000))}: {one.amount} {one.token}, read as {sign}"


def _fields(sent: SentOrder) -> dict[str, Any]:
    return {name: getattr(sent, name) for name in sent.__struct_fields__}


if __name__ == "__main__":
    sys.exit(main())
