"""ccxt, unmodified, with its requests going to the local exchange: URLs, signatures and error map stay those of production."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

OWNER = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
OWNER_KEY = "0x" + "1" * 64
LEAN: dict[str, dict[str, Any]] = {
    "binance": {"options": {"fetchMarkets": {"types": ["spot", "linear"]}, "fetchMargins": False}},
    "bybit": {"options": {"fetchMarkets": {"types": ["spot", "linear"]}}},
    "okx": {"options": {"fetchMarkets": {"types": ["spot", "swap"]}}},
    "hyperliquid": {"options": {"fetchMarkets": {"types": ["spot", "swap"]}}},
}


class Reroute(HTTPAdapter):
    """Sends every request to one address, with the host it was meant for in X-Prod-Host."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address

    def send(self, request: requests.PreparedRequest, *rest: Any, **more: Any) -> requests.Response:
        there = urlsplit(str(request.url))
        request.headers["X-Prod-Host"] = there.netloc
        asked, request.url = request.url, request.url.replace(f"{there.scheme}://{there.netloc}", self.address, 1)  # type: ignore[union-attr]
        answer = super().send(request, *rest, **more)
        request.url = answer.url = asked  # type: ignore[assignment]
        return answer


def reroute(session: requests.Session, address: str) -> None:
    session.mount("https://", Reroute(address))


def _kind(venue: str) -> Any:
    """ccxt's class; hyperliquid's without the builder's fee and the referrer, which it would sign unasked."""
    import ccxt

    if venue != "hyperliquid":
        return getattr(ccxt, venue)

    class WithoutBuilder(ccxt.hyperliquid):  # type: ignore[misc]
        def initialize_client(self) -> bool:
            return True

    return WithoutBuilder


def client(venue: str, address: str, **config: Any) -> Any:
    """ccxt's exchange, exact numbers, without currencies."""
    given = {"apiKey": "key", "secret": "secret", "password": "passphrase", "number": str, "enableRateLimit": False, "timeout": 5_000}
    if venue == "hyperliquid":
        given |= {"walletAddress": OWNER, "privateKey": OWNER_KEY}
    exchange = _kind(venue)({**given, **LEAN.get(venue, {}), **config})
    exchange.has["fetchCurrencies"] = False
    reroute(exchange.session, address)
    return exchange
