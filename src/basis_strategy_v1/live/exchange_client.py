"""One venue account's client: ccxt signs and names the addresses, everything else is decided here.

ccxt is used by its raw methods, one for each address of a venue. Its unified methods drop fills, sides and fees, and its errors depend on
more than what the venue answered; so each answer is read from its own bytes, and each failure is one of three.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from threading import local
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.deadline import current_deadline
from basis_strategy_v1.live.ccxt_client import EndpointAdapter, ccxt_client
from basis_strategy_v1.live.exchange_rate import RateLimit, TooManyRequests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from requests import PreparedRequest, Response

    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.live.secrets import Secret

LONGEST_TEXT = 300
NO_CONNECTION = {"NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "SSLCertVerificationError"}
_stamp: ContextVar[int | None] = ContextVar("stamp", default=None)
_headers: ContextVar[Mapping[str, str] | None] = ContextVar("headers", default=None)


RefusalOf = Callable[[int, Any], tuple[str, str] | None]
"""From HTTP status and content: (code, text) of an error, None of a success."""


class NoAnswer(Exception):
    """There is no whole answer. `is_sent`: a part of the request has perhaps left."""

    def __init__(self, why: str, *, is_sent: bool) -> None:
        super().__init__(why)
        self.is_sent = is_sent


class Unreadable(Exception):
    """The venue answered with success, and something that is no JSON."""


class Refusal(Exception):
    """The venue answered with an error: its HTTP status, its own code ("" where it has none) and its text."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(f"{code} {text}".strip() if code else f"status {status} {text}".strip())
        self.status = status
        self.code = code
        self.text = text


class VenueAdapter(EndpointAdapter):
    """Keeps each thread's last answer. A redirection is not followed: the same order would be sent a second time."""

    def __init__(self, endpoint: str | None) -> None:
        super().__init__(endpoint)
        self.last = local()

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        self.last.response, self.last.host = None, urlsplit(str(request.url)).netloc
        request.headers.update(_headers.get() or {})
        response = super().send(request, *args, **options)
        response.headers.pop("location", None)
        _ = response.content  # where it is cut off, this raises, and there is no answer
        self.last.response = response
        return response


class ExchangeClient:
    """`call(method, params)` makes one request and gives what the venue answered, its numbers exact.

    `clock` is ours; the venue's time is `offset_ms` ahead of it. Safe to use from several threads.
    """

    def __init__(
        self, exchange: str, key: Secret, secret: Secret, *, clock: Clock, rate: RateLimit, endpoint: str | None = None,
        timeout_s: float = 15.0, scrub: Callable[[str], str] = str, passphrase: Secret | None = None,
        refusal_of: RefusalOf | None = None, receive_window_ms: int | None = None,
    ) -> None:  # fmt: skip
        self.offset_ms = 0
        self.key, self.secret = key, secret  # where the venue's file signs itself
        self._clock = clock
        self._rate = rate
        self._scrub = scrub
        self._refusal_of = refusal_of or refusal_by_minus
        more = {} if passphrase is None else {"password": passphrase.reveal()}
        # ccxt's own rate limit is neither shared by threads nor read from the venue's headers.
        self._exchange = ccxt_client(
            exchange, endpoint, apiKey=key.reveal(), secret=secret.reveal(), enableRateLimit=False, timeout=timeout_s * 1000, **more
        )
        self._exchange.nonce = self._nonce
        if receive_window_ms is not None:
            self._exchange.options["recvWindow"] = receive_window_ms
        self._adapter = VenueAdapter(endpoint)
        for scheme in ("https://", "http://"):
            self._exchange.session.mount(scheme, self._adapter)

    # Time.

    def our_ms(self) -> int:
        """Our time, in milliseconds since 1970."""
        return to_instant(self._clock.now()) // 1000

    def now_ms(self) -> int:
        """The venue's time, as far as its clock was measured."""
        return self.our_ms() + self.offset_ms

    def to_ours(self, venue_ms: int) -> int:
        """An instant of ours (microseconds since 1970)."""
        return (venue_ms - self.offset_ms) * 1000

    def _nonce(self) -> int:
        stamp = _stamp.get()
        return self.now_ms() if stamp is None else stamp

    @contextmanager
    def stamped(self, at_ms: int, headers: Mapping[str, str] | None = None) -> Iterator[None]:
        """Sign the requests of the block with this time of the venue's, and send these headers with them."""
        token, token_of_headers = _stamp.set(at_ms), _headers.set(headers)
        try:
            yield
        finally:
            _stamp.reset(token)
            _headers.reset(token_of_headers)

    # Calls.

    def call(self, method: str, params: Mapping[str, Any], host: str = "") -> Any:
        """Make one request. `host` is whose rate limit it counts for.

        Raises:
            NoAnswer, Unreadable, Refusal, TooManyRequests.
        """
        self._rate.wait(host)
        last = self._adapter.last
        last.response, last.host = None, host
        cause: BaseException | None = None
        try:
            getattr(self._exchange, method)(dict(params))
        except Exception as error:  # noqa: BLE001 what it means is read from the answer, not from ccxt's error
            cause = error
        response: Response | None = last.response
        if response is None:
            deadline = current_deadline()
            is_sent = (deadline is None or deadline.has_sent) and not _never_left(cause)
            raise NoAnswer(_why(cause), is_sent=is_sent) from None
        self._rate.answered(host or last.host, response.status_code, response.headers, self.now_ms())
        return self._content(response.status_code, response.content.decode("utf-8", "replace"))

    def _content(self, status: int, text: str) -> Any:
        try:
            content = json.loads(text, parse_float=Decimal)
        except ValueError:
            if 200 <= status < 300:
                raise Unreadable(self.shown(text) or "an empty answer") from None
            raise Refusal(status, "", self.shown(text)) from None
        refusal = self._refusal_of(status, content)
        if refusal is not None:
            raise Refusal(status, refusal[0], self.shown(refusal[1]))
        return content

    def shown(self, text: str) -> str:
        """A venue's text as it may be shown: without our secrets, on one line, not too long."""
        return " ".join(self._scrub(text).split())[:LONGEST_TEXT]


def refusal_by_minus(status: int, content: Any) -> tuple[str, str] | None:
    """(code, text) of an answer that is an error, None of one that is not: where a venue's errors are those below 0."""
    code, text = (str(content.get("code", "")), str(content.get("msg", ""))) if isinstance(content, dict) else ("", "")
    return None if 200 <= status < 300 and not code.startswith("-") else (code, text)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that it came from, also where urllib3 keeps it in its arguments."""
    open_, seen = [error], set[int]()
    while open_:
        one = open_.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        open_ += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]


def _never_left(error: BaseException | None) -> bool:
    """Whether there was no connection to send anything over."""
    return not NO_CONNECTION.isdisjoint(type(one).__name__ for one in _chain(error))


def _why(error: BaseException | None) -> str:
    if any(type(one).__name__ == "SSLCertVerificationError" for one in _chain(error)):
        return "the certificate of the address is not valid"
    return "no connection" if _never_left(error) else "the connection ended without an answer"


__all__ = ["ExchangeClient", "NoAnswer", "RateLimit", "Refusal", "TooManyRequests", "Unreadable"]
