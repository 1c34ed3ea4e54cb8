"""What the client makes of a node's answers. The nodes are servers that answer what a test says; no chain is needed."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from basis_strategy_v1.core.error_codes.exceptions import VenueUnreachable
from basis_strategy_v1.live.chain_client import ChainClient, NodeFault, RpcCall, RpcError
from basis_strategy_v1.live.secrets import Secret

KEY = "4f9c2b7e1d8a4c0fb3e6a5d7c8e9f0a1"
BALANCE = RpcCall("eth_getBalance", ("0x0", "latest"))
CALL = RpcCall("eth_call", ({}, "latest"))


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Whoever asked is gone."""


def rows(answer):
    """What a node answers where each call is answered by itself; the head is block 16 unless it says otherwise."""

    def answered(path, asked):
        found = [{"id": one["id"], **({"result": "0x10"} if one["method"] == "eth_blockNumber" else answer(one))} for one in asked]
        return 200, found

    return answered


@pytest.fixture
def node():
    """Starts servers; `answer` is given the path and the list of calls, and gives a status and the content."""
    with ExitStack() as stack:

        def make(answer, tls=None):
            class Handler(BaseHTTPRequestHandler):
                protocol_version = "HTTP/1.1"

                def log_message(self, *args):
                    pass

                def do_POST(self):
                    asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                    status, content = answer(self.path, asked if isinstance(asked, list) else [asked])
                    if not isinstance(content, bytes):
                        content = json.dumps(content if isinstance(asked, list) else content[0]).encode()
                    if tls is not None:  # the record on the wire is broken, after the request was taken
                        with socket.socket(fileno=self.connection.detach()) as raw:
                            raw.sendall(content)
                        self.close_connection = True
                        return
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            server = Server(("127.0.0.1", 0), Handler)
            if tls is not None:
                server.socket = tls.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return Secret(f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}/v2/{KEY}")

        yield make


@pytest.fixture
def good(node):
    return node(rows(lambda one: {"result": "0x10"}))


def refusing(text, code=-32000):
    return rows(lambda one: {"error": {"code": code, "message": text}})


def sent(*nodes):
    with pytest.raises((NodeFault, RpcError)) as error:
        ChainClient(nodes).send_raw("0xab")
    return error.value


@pytest.mark.parametrize(
    ("status", "is_sent"),
    [(302, True), (400, False), (401, False), (403, False), (404, False), (405, False), (408, True), (413, True), (429, True), (503, True)],
)
def test_only_a_status_that_says_that_a_request_was_not_accepted_means_that_nothing_was_sent(node, status, is_sent):
    assert sent(node(lambda path, asked: (status, b"no"))).is_sent is is_sent


def test_a_connection_that_breaks_under_tls_after_the_request_was_taken_has_perhaps_sent_it(node, tmp_path, monkeypatch):
    made = "openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -days 2 -subj /CN=127.0.0.1"
    command = [*made.split(), "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")
    taken = []
    url = node(lambda path, asked: taken.append(asked) or (200, b"HTTP/1.1 502 Bad\r\n\r\n"), tls=context)
    assert sent(url).is_sent is False  # its certificate is not trusted
    assert taken == []
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "c.pem"))
    assert sent(url).is_sent is True
    assert len(taken) == 1


@pytest.mark.parametrize("status", [200, 403])
def test_a_key_that_a_node_repeats_is_not_shown(node, status):
    url = node(lambda path, asked: (status, f"project {path} is over its quota".encode()))
    assert "project /v2/*** is over its quota" in str(sent(url))


def test_a_key_in_the_error_of_a_call_is_not_shown_and_neither_is_what_else_is_secret(node):
    def unpaid(path, asked):
        return 200, [{"id": asked[0]["id"], "error": {"code": -32000, "message": f"unpaid: {path} hunter2", "data": path}}]

    url = node(unpaid)
    with pytest.raises(RpcError) as error:
        ChainClient([url], scrub=lambda text: text.replace("hunter2", "***")).send_raw("0xab")
    assert (error.value.message, error.value.data) == ("unpaid: /v2/*** ***", "/v2/***")


UNREADABLE = {
    "a code that is text": lambda one: {"error": {"code": "RATE_LIMIT", "message": "slow down"}},
    "a code that is nothing": lambda one: {"error": {"code": None, "message": "slow down"}},
    "an error that is text": lambda one: {"error": "slow down"},
    "an id that is a list": lambda one: {"id": [one["id"]], "result": "0x10"},
    "an id that is an object": lambda one: {"id": {}, "result": "0x10"},
}


@pytest.mark.parametrize("answer", UNREADABLE)
def test_after_an_answer_that_cannot_be_read_the_next_node_is_asked(node, good, answer):
    assert ChainClient([node(rows(UNREADABLE[answer])), good]).ask(BALANCE) == ["0x10"]


@pytest.mark.parametrize("answer", UNREADABLE)
def test_a_transaction_with_an_answer_that_cannot_be_read_has_perhaps_been_taken(node, answer):
    assert sent(node(rows(UNREADABLE[answer]))).is_sent is True


@pytest.mark.parametrize(
    ("code", "text"),
    [(-32005, "daily request count exceeded"), (429, "slow down"), (-32000, "header not found"), (-32603, "internal error")],
)
def test_what_one_node_refuses_for_a_reason_of_its_own_is_asked_of_the_next(node, good, code, text):
    limited = node(refusing(text, code))
    assert ChainClient([limited, good]).ask(CALL) == ["0x10"]
    with pytest.raises(VenueUnreachable, match=rf"127\.0\.0\.1:\d+: eth_call: {text} \({code}\)$"):
        ChainClient([limited]).ask(CALL)


@pytest.mark.parametrize(
    ("code", "text"),
    [(3, "execution reverted: 35"), (-32000, "execution reverted"), (-32000, "out of gas"), (-32601, "the method does not exist")],
)
def test_what_the_chain_says_of_a_call_is_its_answer(node, good, code, text):
    (answer,) = ChainClient([node(refusing(text, code)), good]).ask(CALL)
    assert (answer.code, answer.message) == (code, text)
    with pytest.raises(VenueUnreachable, match=text):
        ChainClient([node(refusing(text, code)), good]).get("eth_call")


def test_a_transaction_that_one_node_has_is_taken_whatever_a_node_that_is_behind_says(node):
    known, behind, busy = node(refusing("already known")), node(refusing("insufficient funds")), node(lambda path, asked: (503, b"busy"))
    said = [str(sent(*nodes)) for nodes in ((known, behind), (behind, known), (busy, known, behind))]
    assert said == ["already known (-32000)"] * 3
    assert str(sent(node(refusing("nonce too low")), behind)) == "nonce too low (-32000)"
    assert str(sent(behind, node(refusing("nonce too low")))) == "nonce too low (-32000)"
    assert [sent(*nodes).is_sent for nodes in ((busy, behind), (busy, node(refusing("nonce too low"))))] == [True, True]


def test_logs_are_asked_for_in_halves_where_a_node_refuses_so_many_blocks(node):
    ranges = []

    def logs(one):
        first, last = (int(one["params"][0][name], 16) for name in ("fromBlock", "toBlock"))
        if last - first >= 3:
            return {"error": {"code": -32005, "message": "query exceeds max block range 3"}}
        ranges.append((first, last))
        return {"result": [{"block": number, "topics": one["params"][0]["topics"]} for number in range(first, last + 1)]}

    found = ChainClient([node(rows(logs))]).get("eth_getLogs", {"fromBlock": "0x1", "toBlock": "0xa", "topics": ["0xab"]})
    assert found == [{"block": number, "topics": ["0xab"]} for number in range(1, 11)]
    assert ranges == [(1, 3), (4, 5), (6, 8), (9, 10)]


def test_logs_that_a_node_does_not_give_at_all_end_with_its_words(node):
    with pytest.raises(VenueUnreachable, match="eth_getLogs: not in your plan"):
        ChainClient([node(refusing("not in your plan"))]).get("eth_getLogs", {"fromBlock": "0x1", "toBlock": "0x400"})
