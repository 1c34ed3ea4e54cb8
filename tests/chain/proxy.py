"""A node that has faults: a process in front of a real one. `python -m tests.chain.proxy --port PORT --target URL`

POST /            JSON-RPC, handed on unless a fault is set for it
POST /control     {"fault": NAME, "method": METHOD or "", "times": N}: the next N requests with that method (any, where it is empty)
                  {"clear": true}: no faults any more
                  {"count": METHOD}: how many requests with it have come

drop         the connection ends, and nothing is handed on
drop_after   it is handed on, and the connection ends without an answer
hang         it is not handed on, and nothing is answered
hang_after   it is handed on, and nothing is answered
html         a page, with status 200
refuse       a page, with status 503
error        one error for everything, with status 200
limited      status 429
limited_after  it is handed on, and status 429
known        it is handed on, and the error says that it was there already
truncated    it is handed on, and half of the answer comes
swallow      a hash for a transaction that is not handed on
lag          the chain of three blocks ago
"""

from __future__ import annotations

import argparse
import json
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PAGE = b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"
BEHIND = 3


class Faults:
    """What is set. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set: list[dict[str, Any]] = []
        self._counts: dict[str, int] = {}

    def control(self, command: dict[str, Any]) -> Any:
        with self._lock:
            if command.get("clear"):
                self._set.clear()
            elif "count" in command:
                return self._counts.get(command["count"], 0)
            else:
                self._set.append({"method": "", "times": 1, **command})
        return None

    def next(self, methods: set[str]) -> str:
        with self._lock:
            for method in methods:
                self._counts[method] = self._counts.get(method, 0) + 1
            for fault in self._set:
                if fault["times"] > 0 and (not fault["method"] or fault["method"] in methods):
                    fault["times"] -= 1
                    return str(fault["fault"])
        return ""


def forward(target: str, body: bytes) -> bytes:
    request = urllib.request.Request(target, body, {"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        content: bytes = answer.read()
    return content


def of_the_past(target: str, body: bytes) -> bytes:
    """What the node would have answered some blocks ago."""
    head = int(json.loads(forward(target, b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}'))["result"], 16)
    then = hex(head - BEHIND)
    asked = json.loads(body.replace(b'"latest"', json.dumps(then).encode()))
    answers = json.loads(forward(target, json.dumps(asked).encode()))
    numbers = {one["id"] for one in (asked if isinstance(asked, list) else [asked]) if one["method"] == "eth_blockNumber"}
    for answer in answers if isinstance(answers, list) else [answers]:
        if answer["id"] in numbers:
            answer["result"] = then
    return json.dumps(answers).encode()


def handler_of(target: str, faults: Faults) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/control":
                self.answer(json.dumps(faults.control(json.loads(body))).encode())
                return
            asked = json.loads(body)
            methods = {one["method"] for one in (asked if isinstance(asked, list) else [asked])}
            self.fail(faults.next(methods), body, asked)

        def fail(self, fault: str, body: bytes, asked: Any) -> None:
            if fault in ("", "drop_after", "hang_after", "limited_after", "known", "truncated"):
                content = forward(target, body)
            if fault == "":
                self.answer(content)
            elif fault.startswith("drop"):
                self.close_connection = True
                self.connection.close()
            elif fault.startswith("hang"):
                self.close_connection = True
                time.sleep(30)
            elif fault == "html":
                self.answer(PAGE)
            elif fault == "known":
                self.answer(
                    json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32000, "message": "already known"}}).encode()
                )
            elif fault in ("refuse", "limited", "limited_after"):
                self.answer(PAGE, 503 if fault == "refuse" else 429)
            elif fault == "error":
                self.answer(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"internal error"}}')
            elif fault == "swallow":
                self.answer(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": "0x" + "00" * 32}).encode())
            elif fault == "lag":
                self.answer(of_the_past(target, body))
            else:
                self.close_connection = True
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])

        def answer(self, content: bytes, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked is gone."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--target", required=True)
    given = parser.parse_args()
    server = Server(("127.0.0.1", given.port), handler_of(given.target, Faults()))
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
