"""The client of an account: where its requests go, what it keeps to itself, and how fast it asks."""

from __future__ import annotations

import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

import pytest

from basis_strategy_v1.core.clock import SystemClock
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected, VenueUnreachable
from basis_strategy_v1.live.exchange_rate import RateLimit, RateWindow, TooManyRequests
from basis_strategy_v1.live.exchanges import open_exchange
from basis_strategy_v1.live.total_deadline import total_deadline
from basis_strategy_v1.venues.exchanges import Settings

from .trader import BOTH, LIMITS, approved, secrets_of


class Recorder(BaseHTTPRequestHandler):
    seen: list[tuple[str, str, dict[str, str]]]
    answer: tuple[int, dict[str, str], bytes]

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        type(self).seen.append((f"{self.command} {self.path}", body.decode(), dict(self.headers)))
        status, headers, content = type(self).answer
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def recorder():
    """A server that keeps what it was asked."""
    handler = type("Handler", (Recorder,), {"seen": [], "answer": (200, {}, b'{"serverTime": 1717243200000}')})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def gateway_to(endpoint, **given):
    return open_exchange("binance", Settings(endpoint=endpoint), secrets_of("a-long-key", "a-long-secret"), BOTH, **given)


def test_requests_go_to_the_endpoint_with_the_production_host_in_a_header(recorder):
    handler, url = recorder
    gateway_to(f"{url}/below")._access.measure_clock()
    ((line, _, headers),) = handler.seen
    assert (line, headers["X-Prod-Host"]) == ("GET /below/api/v3/time", "api.binance.com")


def test_the_venues_clock_is_measured_before_the_first_order(recorder):
    handler, url = recorder
    handler.answer = (200, {}, b'{"serverTime": %d}' % (SystemClock().now().timestamp() * 1000 + 3_000))
    access = gateway_to(url)._access
    access.now_ms()
    assert 2_500 < access.client.offset_ms < 3_500


def test_an_order_is_not_sent_again_where_a_redirection_says_so(recorder):
    handler, url = recorder
    gateway = gateway_to(url)
    gateway._access.measure_clock()
    handler.answer = (307, {"Location": f"{url}/elsewhere"}, b"")
    with pytest.raises(Exception, match="status 307"):
        gateway._api.place(_sent(gateway), gateway._access.now_ms())
    assert [line for line, *_ in handler.seen if line.startswith("POST")] == ["POST /api/v3/order"]


def _sent(gateway):
    from decimal import Decimal

    from basis_strategy_v1.live.exchange_orders import Rules
    from basis_strategy_v1.live.exchange_prepare import Quote, prepared_order

    rules = Rules(base="ETH", quote="USDT", lot=Decimal("0.0001"), tick=Decimal("0.01"))
    quote = Quote(now_ms=gateway._access.now_ms(), offset_ms=0, rules=rules)
    return prepared_order("binance", approved("k1", "spot", "buy", "0.5"), LIMITS, quote, 2_000, "run")


def test_an_order_carries_its_own_id_a_short_life_and_no_brokers_mark(recorder):
    handler, url = recorder
    gateway = gateway_to(url)
    gateway._access.measure_clock()
    sent = _sent(gateway)
    handler.answer = (500, {}, b"")
    with pytest.raises(Exception, match="status 500"):
        gateway._api.place(sent, sent.sent_ms + 500)
    body = dict(part.split("=") for part in handler.seen[-1][1].split("&"))
    assert (body["newClientOrderId"], body["recvWindow"], body["timestamp"]) == (sent.client_id, "1500", str(sent.sent_ms + 500))
    assert (body["type"], body["timeInForce"], body["price"], body["quantity"]) == ("LIMIT", "IOC", "2010.00", "0.5")


def test_neither_key_nor_signature_is_in_an_error(recorder):
    handler, url = recorder
    handler.answer = (400, {}, b'{"code": -2015, "msg": "Invalid API-key a-long-key, secret a-long-secret"}')
    gateway = gateway_to(url)
    gateway._access._is_measured = True
    with pytest.raises(VenueUnreachable) as refused:
        gateway.read()
    shown = f"{refused.value.message} {refused.value.__cause__} {refused.value.__context__}"
    assert "-2015" in shown
    assert "a-long" not in shown
    assert "signature" not in shown


def test_a_certificate_that_is_not_valid_is_named_and_nothing_is_sent(tmp_path):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out",
         "cert.pem"], cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server = HTTPServer(("127.0.0.1", 0), Recorder)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(VenueUnreachable, match="binance cannot be asked: the certificate of the address is not valid"):
            gateway_to(f"https://127.0.0.1:{server.server_address[1]}").read()
    finally:
        server.shutdown()
        server.server_close()


def test_where_nobody_listens_nothing_was_sent(unused_port):
    with pytest.raises(VenueUnreachable, match="binance cannot be asked: no connection"):
        gateway_to(f"http://127.0.0.1:{unused_port}").read()


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# How fast it asks.

HOST = "api.binance.com"
WINDOWS = {HOST: (RateWindow("X-MBX-USED-WEIGHT-1M", 6_000, 60),)}


class Waiting:
    def __init__(self):
        self.now_s, self.slept = 100.0, []
        self.rate = RateLimit(WINDOWS, self._sleep, lambda: self.now_s)

    def _sleep(self, seconds):
        self.slept.append(round(seconds, 3))
        self.now_s += seconds


@pytest.mark.parametrize(
    ("status", "headers", "wait_s"),
    [
        (200, {"X-MBX-USED-WEIGHT-1M": "5699"}, 0),
        (200, {"X-MBX-USED-WEIGHT-1M": "5700"}, 3),
        (429, {"Retry-After": "4"}, 4),
        (429, {"Retry-After": "0.5"}, 0.5),
        (200, {"Retry-After": "4"}, 0),
    ],
)
def test_it_waits_as_long_as_the_venues_headers_say(status, headers, wait_s):
    waiting = Waiting()
    waiting.rate.answered(HOST, status, headers, now_ms=57_000)
    waiting.rate.wait("fapi.binance.com")
    assert waiting.slept == []
    waiting.rate.wait(HOST)
    assert sum(waiting.slept) == wait_s
    waiting.rate.wait(HOST)
    assert sum(waiting.slept) == wait_s


@pytest.mark.parametrize(("status", "headers", "wait_s"), [(429, {}, 10), (418, {}, 120), (418, {"Retry-After": "300"}, 300)])
def test_it_does_not_wait_for_long_but_says_how_long_it_takes(status, headers, wait_s):
    waiting = Waiting()
    waiting.rate.answered(HOST, status, headers, now_ms=0)
    with pytest.raises(TooManyRequests) as refused:
        waiting.rate.wait(HOST)
    assert (refused.value.wait_s, waiting.slept) == (wait_s, [])


def test_it_does_not_wait_longer_than_the_call_has():
    waiting = Waiting()
    waiting.rate.answered(HOST, 429, {"Retry-After": "4"}, now_ms=0)
    with pytest.raises(TooManyRequests), total_deadline(1.0):
        waiting.rate.wait(HOST)


def test_an_ip_ban_within_a_plan_sends_nothing_more(trade, exchange):
    trader = trade()
    exchange.fault("order", "status", status=418, retry_after=300)
    with pytest.raises(VenueUnreachable, match="it takes no request for"):
        trader.send("k1", "spot", "buy", "0.5")
    before = sum(exchange.read("counts").values())
    with pytest.raises(VenueUnreachable, match="it takes no request for"):
        trader.send("k2", "spot", "buy", "0.5")
    assert sum(exchange.read("counts").values()) == before
    trader.time.sleep(300)
    assert trader.send("k3", "spot", "buy", "0.5").filled == 1


def test_a_key_without_the_right_to_trade_is_refused_by_name(trade, exchange):
    trader = trade()
    exchange.control(key={"venue": "binance", "key": "key", "secret": "secret", "may": ["read"]})
    with pytest.raises(VenueRejected, match="binance: -2015 Invalid"):
        trader.send("k1", "spot", "buy", "0.5")
