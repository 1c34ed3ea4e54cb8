"""ccxt's exchanges, made for exact numbers, total deadlines and an endpoint of one's own."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from basis_strategy_v1.live.http_deadline import DeadlineAdapter

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

HOST_HEADER = "X-Prod-Host"
_SPOT_AND_PERPS = {
    "binance": ["spot", "linear"],
    "bybit": ["spot", "linear"],
    "okx": ["spot", "swap"],
    "hyperliquid": ["spot", "swap"],
}


class EndpointAdapter(DeadlineAdapter):
    """Sends every request to one endpoint (`http(s)://host[:port][/path]`), with the host that it was for in a header. None: to where it is
    for.

    ccxt sees the exchange's own address: it chooses its error classes by it.
    """

    def __init__(self, endpoint: str | None) -> None:
        self._endpoint = None if endpoint is None else urlsplit(endpoint)
        super().__init__()

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        asked = urlsplit(str(request.url))
        if self._endpoint is not None and asked.netloc != self._endpoint.netloc:
            request.headers[HOST_HEADER] = asked.netloc
            path = f"{self._endpoint.path.rstrip('/')}{asked.path}"
            request.url = asked._replace(scheme=self._endpoint.scheme, netloc=self._endpoint.netloc, path=path).geturl()
        return super().send(request, *args, **options)


def ccxt_client(exchange: str, endpoint: str | None = None, **options: Any) -> Any:
    """A ccxt exchange that gives numbers as text and knows spot and linear perps only; `options` are ccxt's own.

    Its calls end by the deadline that runs (`live/http_deadline.py`). It is not safe to use from several threads at once.
    """
    own = {
        "number": str,
        "enableRateLimit": True,
        "options": {"fetchMarkets": {"types": _SPOT_AND_PERPS[exchange]}, "fetchMargins": False},
        **options,
    }
    client = _class_of(exchange)(own)
    client.has["fetchCurrencies"] = False  # another request, signed where there is a key; nothing here uses it
    for scheme in ("http://", "https://"):
        client.session.mount(scheme, EndpointAdapter(endpoint))
    return client


@cache
def _class_of(exchange: str) -> Any:
    import ccxt

    found = getattr(ccxt, exchange)
    if exchange != "hyperliquid":
        return found
    # Its own would sign approvals for a builder fee before it loads the markets.
    return type("hyperliquid", (found,), {"initialize_client": lambda self: True})
