"""A call ends at its deadline whatever the server does, and nothing leaves after it."""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager, suppress
from threading import Event, Thread

import pytest
import requests
import urllib3.connection

from basis_strategy_v1.core.deadline import DeadlinePassed, current_deadline
from basis_strategy_v1.core.error_codes.exceptions import VenueUnreachable
from basis_strategy_v1.execution.timing import within
from basis_strategy_v1.live.http_deadline import DeadlineAdapter, put_under_deadlines
from basis_strategy_v1.live.total_deadline import total_deadline

DEADLINE_S = 0.1
PATIENCE_S = 5  # far beyond the deadline, far below for ever
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"


class Server:
    """A listening socket whose connections are handled by a function, one thread each. `ended` is set once the test is over."""

    def __init__(self, handle):
        self._handle = handle
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.ended = Event()
        self.cut = Event()  # a handler sees the end of its connection
        self.connections = 0
        Thread(target=self._serve, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}/"

    def _serve(self):
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        with connection, suppress(OSError):
            self._handle(self, connection)

    def saw_the_end(self):
        """Whether every connection has ended; on a busy machine a call may end before it has one."""
        return not self.connections or self.cut.wait(PATIENCE_S)

    def close(self):
        self.ended.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@contextmanager
def serving(handle):
    server = Server(handle)
    try:
        yield server
    finally:
        server.close()


def wait_for_the_end(server, connection):
    while connection.recv(65_536):
        pass
    server.cut.set()


def never_answers(server, connection):
    connection.recv(65_536)
    wait_for_the_end(server, connection)


def trickles(first):
    def handle(server, connection):
        connection.recv(65_536)
        connection.sendall(first)
        try:
            while not server.ended.wait(0.01):
                connection.sendall(b"1")
        except OSError:
            server.cut.set()

    return handle


HANGS = {
    "it never answers": never_answers,
    "it trickles its headers": trickles(b"HTTP/1.1 200 OK\r\nX-Long: "),
    "it trickles its body": trickles(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
    "it trickles a body without a length": trickles(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"),
    "it trickles a chunk": trickles(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4000\r\n"),
}


@pytest.fixture
def session():
    with put_under_deadlines(requests.Session()) as found:
        yield found


@pytest.mark.parametrize("handle", HANGS.values(), ids=HANGS)
def test_a_call_ends_at_its_deadline_and_its_connection_with_it_when(session, handle):
    with serving(handle) as server:
        begun = time.monotonic()
        with pytest.raises(TimeoutError, match=r"^not done after 0\.1 s$"):
            within(DEADLINE_S, lambda: session.post(server.url, data="order", timeout=PATIENCE_S))
        assert time.monotonic() - begun < PATIENCE_S
        assert server.saw_the_end()


@pytest.mark.parametrize("handle", HANGS.values(), ids=HANGS)
def test_in_the_callers_own_thread_too_when(session, handle):
    with serving(handle) as server:
        begun = time.monotonic()
        with pytest.raises((DeadlinePassed, requests.RequestException)), total_deadline(DEADLINE_S):
            session.post(server.url, data="order", timeout=PATIENCE_S)
        assert time.monotonic() - begun < PATIENCE_S
        assert server.saw_the_end()


def test_half_an_answer_is_not_taken_for_a_whole_one(session):
    with serving(trickles(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"filled": 1')) as server:
        with pytest.raises(TimeoutError):
            within(DEADLINE_S, lambda: session.get(server.url, timeout=PATIENCE_S).text)
        # Cut off it mostly ends without an error of its own.
        with pytest.raises((DeadlinePassed, requests.RequestException)), total_deadline(DEADLINE_S):
            assert session.get(server.url, timeout=PATIENCE_S).text.startswith('{"filled": 11')


def test_an_answer_in_time_is_given_and_the_connection_is_used_again(session):
    def answers(server, connection):
        while connection.recv(65_536):
            connection.sendall(OK)

    with serving(answers) as server:
        texts = [within(PATIENCE_S, lambda: session.get(server.url).text) for _ in range(3)]
        with total_deadline(PATIENCE_S):
            texts.append(session.get(server.url).text)
        texts.append(session.get(server.url).text)  # without a deadline
        assert (texts, server.connections) == (["OK"] * 5, 1)


def test_a_connection_that_is_used_again_is_cut_off_too(session):
    def answers_once(server, connection):
        connection.recv(65_536)
        connection.sendall(OK)
        never_answers(server, connection)

    with serving(answers_once) as server:
        assert within(PATIENCE_S, lambda: session.get(server.url).text) == "OK"
        with pytest.raises(TimeoutError):
            within(DEADLINE_S, lambda: session.post(server.url, data="order", timeout=PATIENCE_S))
        assert (server.saw_the_end(), server.connections) == (True, 1)


def test_the_call_after_one_that_was_cut_off_has_a_connection_of_its_own(session):
    def hangs_at_first(server, connection):
        if server.connections == 1:
            never_answers(server, connection)
        while connection.recv(65_536):
            connection.sendall(OK)

    with serving(hangs_at_first) as server:
        with pytest.raises(TimeoutError):
            within(DEADLINE_S, lambda: session.get(server.url, timeout=PATIENCE_S))
        assert within(PATIENCE_S, lambda: session.get(server.url).text) == "OK"


def test_what_has_not_left_at_the_deadline_never_leaves(session):
    whole = 50_000_000
    received = []

    def reads_after_the_deadline(server, connection):
        connection.recv(1_000)
        server.ended.wait(PATIENCE_S)
        with suppress(OSError):
            while got := connection.recv(1_000_000):
                received.append(len(got))
        server.cut.set()

    with serving(reads_after_the_deadline) as server:
        with pytest.raises((TimeoutError, requests.ConnectionError)):
            within(DEADLINE_S, lambda: session.post(server.url, data=b"x" * whole, timeout=PATIENCE_S))
        server.ended.set()
        assert server.saw_the_end()
        assert sum(received) < whole


def test_a_request_that_a_call_begins_after_its_deadline_is_not_sent(session):
    late, ended = Event(), Event()
    failures = []

    def slow_to_begin(url):
        late.wait(PATIENCE_S)
        try:
            session.post(url, data="order")
        except requests.RequestException as failure:
            failures.append(str(failure))
        ended.set()

    with serving(never_answers) as server:
        with pytest.raises(TimeoutError):
            within(0.01, lambda: slow_to_begin(server.url))
        late.set()
        assert ended.wait(PATIENCE_S)
        assert (len(failures), "not done after 0.01 s" in failures[0], server.connections) == (1, True, 0)


def test_a_request_on_an_open_connection_is_not_sent_after_the_deadline_either(session):
    late, ended, requests_seen = Event(), Event(), []

    def counts(server, connection):
        while got := connection.recv(65_536):
            requests_seen.append(got)
            connection.sendall(OK)
        server.cut.set()

    def slow_to_go_on(url):
        session.get(url)
        late.wait(PATIENCE_S)
        with pytest.raises(requests.ConnectionError):
            session.post(url, data="order")
        ended.set()

    with serving(counts) as server:
        with pytest.raises(TimeoutError):
            within(DEADLINE_S, lambda: slow_to_go_on(server.url))
        late.set()
        assert ended.wait(PATIENCE_S)
        assert (server.saw_the_end(), len(requests_seen) <= 1) == (True, True)


def test_a_connection_that_is_there_after_the_deadline_is_closed_and_not_used(session, monkeypatch):
    connect = urllib3.connection.connection.create_connection

    def connects_too_late(*given, **named):
        connected = connect(*given, **named)
        current_deadline().expire()
        return connected

    def call():
        with pytest.raises(requests.ConnectionError, match="not done after 5 s"):
            session.post(server.url, data="order")
        return current_deadline().has_sent

    monkeypatch.setattr(urllib3.connection.connection, "create_connection", connects_too_late)
    with serving(wait_for_the_end) as server:
        assert (within(PATIENCE_S, call), server.saw_the_end()) == (False, True)


def test_a_call_without_a_deadline_is_an_ordinary_one(session):
    def answers(server, connection):
        connection.recv(65_536)
        connection.sendall(OK)

    with serving(answers) as server:
        assert session.get(server.url, timeout=PATIENCE_S).text == "OK"


def test_a_handshake_that_does_not_end_is_cut_off(session):
    with serving(wait_for_the_end) as server:
        sent = []

        def call():
            try:
                session.post(server.url.replace("http:", "https:"), data="order", timeout=PATIENCE_S)
            except requests.RequestException as failure:
                sent.append(current_deadline().has_sent)
                raise VenueUnreachable("CEX-002", "no connection") from failure

        with pytest.raises(VenueUnreachable, match="no connection"):
            within(DEADLINE_S, call)
        assert (server.saw_the_end(), sent) == (True, [False])


@pytest.mark.parametrize("with_answer", [True, False])
def test_a_call_knows_whether_anything_has_left(session, with_answer):
    """The difference between `unreachable` and `unknown`."""

    def drops(server, connection):
        connection.recv(65_536)

    with serving(drops) as server:
        url = server.url
        if not with_answer:
            server.close()

        def call():
            with pytest.raises(requests.ConnectionError):
                session.post(url, data="order")
            return current_deadline().has_sent

        assert within(PATIENCE_S, call) is with_answer


def test_a_venue_that_does_not_take_the_connection_is_given_up(session):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]  # they fill the queue, so that the next has to wait
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        sent = []

        def call():
            try:
                session.post(f"http://127.0.0.1:{port}/", data="order", timeout=(PATIENCE_S, PATIENCE_S))
            finally:
                sent.append(current_deadline().has_sent)

        begun = time.monotonic()
        with pytest.raises((TimeoutError, requests.ConnectTimeout)):
            within(DEADLINE_S, call)
        assert time.monotonic() - begun < PATIENCE_S
        for client in waiting:
            client.close()


def test_no_descriptor_is_left_open(session):
    def hangs_on_post(server, connection):
        while got := connection.recv(65_536):
            if got.startswith(b"POST"):
                wait_for_the_end(server, connection)
                return
            connection.sendall(OK)

    def open_descriptors():
        return len(os.listdir("/proc/self/fd"))

    with serving(hangs_on_post) as server:
        within(PATIENCE_S, lambda: session.get(server.url).text)
        before = open_descriptors()
        for _ in range(20):
            within(PATIENCE_S, lambda: session.get(server.url).text)
            with pytest.raises(TimeoutError):
                within(0.02, lambda: session.post(server.url, data="order", timeout=PATIENCE_S))
            assert server.saw_the_end()
            server.cut.clear()
        session.close()
        assert open_descriptors() <= before


def test_the_block_has_a_deadline_and_what_is_outside_has_not():
    assert current_deadline() is None
    with total_deadline(PATIENCE_S) as outer:
        with total_deadline(PATIENCE_S) as inner:
            assert current_deadline() is inner
        assert current_deadline() is outer
    assert current_deadline() is None


def test_a_block_that_fails_by_itself_raises_its_own_error():
    with pytest.raises(KeyError), total_deadline(PATIENCE_S):
        raise KeyError


def test_a_proxy_is_under_the_deadline_too(session):
    with serving(never_answers) as proxy:
        with pytest.raises(TimeoutError):
            within(DEADLINE_S, lambda: session.get("http://venue.invalid/", proxies={"http": proxy.url}, timeout=PATIENCE_S))
        assert proxy.saw_the_end()


def test_a_proxy_that_cannot_be_cut_off_is_refused(session):
    with pytest.raises(requests.exceptions.InvalidProxyURL, match="use an HTTP proxy"):
        session.get("http://venue.invalid/", proxies={"http": "socks5://127.0.0.1:1"})


def test_a_ccxt_exchange_ends_at_the_deadline():
    ccxt = pytest.importorskip("ccxt")
    with serving(never_answers) as server:
        exchange = ccxt.binance({"urls": {"api": {"public": server.url}}, "timeout": PATIENCE_S * 1_000})
        put_under_deadlines(exchange.session)
        assert isinstance(exchange.session.get_adapter("https://api.example"), DeadlineAdapter)
        with pytest.raises(TimeoutError):
            within(DEADLINE_S, lambda: exchange.fetch(server.url, "POST", body="order"))
        assert server.saw_the_end()
