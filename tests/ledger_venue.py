"""The test venue: a local HTTP server in a process of its own, with a ledger file of its own.

    python -m tests.ledger_venue --port 0 --ledger FILE

It prints its port. It executes an order exactly when its ledger says so, whatever it answers. `POST /control` says what to do with the
next calls; see `Faults`.

    GET  /quote?symbol=S          price, time
    POST /orders                  client_id, symbol, side, amount, limit, expires (microseconds since 1970)
    GET  /orders/CLIENT_ID        the order, or 404 and the time up to which this answer is complete
    GET  /references/ORDER_ID     the same, by the venue's own name of the order
    GET  /balances
    GET  /due?since=N             what fell due, and the next cursor
    GET  /ledger                  every line
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .ledger import PRICES, Ledger, Refused

NONSENSE = {"order_id": "?", "status": "done", "filled": "-1", "deltas": {"ETH": "NaN"}, "fee": "0", "price": "0"}


class Cut(Exception):
    """The connection ends here."""


class Faults:
    """What to do with the next calls. `control` takes one JSON object:

    {"on": "order", "fault": NAME, …}     the next call of this kind (order, find, quote, read, due); several are queued
    {"lag": N}                            the next N look-ups do not know any order yet
    {"advance_s": S}                      the venue's clock goes on
    {"clear": true}                       no more faults
    {"release": true}                     what is held goes on
    {"fill": CLIENT_ID, "share": "0.5", "final": false}      a pending order is executed
    {"pay": KIND, "moved": {TOKEN: AMOUNT}}                  something falls due
    {"begin": FILE}                       a new ledger, without faults, on the machine's time

    Faults of an order; those that end in _after have executed it, the others have not:
    drop_unread · drop · drop_after · hang · hang_after · 503 · 503_after · html_after · empty_after · garbage_after · half_after ·
    trickle_after · held (executed once it is released) · held_open (accepted, and executed by {"fill": …}) · refuse · partial (`share`) ·
    kill (the client's process, then executed) · kill_after
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.queues: dict[str, list[dict[str, Any]]] = {}
        self.lag = 0
        self.released = Event()

    def next(self, on: str) -> dict[str, Any]:
        with self.lock:
            queue = self.queues.get(on, [])
            return queue.pop(0) if queue else {"fault": ""}

    def is_lagging(self) -> bool:
        with self.lock:
            self.lag -= 1
            return self.lag >= 0


class Venue(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, ledger: Path) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.ledger = Ledger(ledger)
        self.faults = Faults()
        self.lock = Lock()

    def control(self, given: dict[str, Any]) -> None:
        if "begin" in given:
            self.faults.released.set()
            self.ledger, self.faults = Ledger(Path(given["begin"])), Faults()
        if "clear" in given:
            self.faults = Faults()
        faults, ledger = self.faults, self.ledger
        if "on" in given:
            with faults.lock:
                faults.queues.setdefault(given["on"], []).append(given)
        if "lag" in given:
            faults.lag = given["lag"]
        if "advance_s" in given:
            ledger.offset_us += round(given["advance_s"] * 1_000_000)
        if "release" in given:
            faults.released.set()
        with self.lock:
            if "fill" in given:
                ledger.fill(given["fill"], given.get("share", "1"), is_final=given.get("final", True))
            if "pay" in given:
                ledger.pay(given["pay"], **given["moved"])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Venue

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def do_POST(self) -> None:
        with suppress(Cut, OSError):
            if self.path == "/control":
                self.server.control(self._body())
                self._answer(200, {})
            else:
                self._order()

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        kind, _, name = address.path.lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        with suppress(Cut, OSError):
            getattr(self, f"_get_{kind}")(name, query)

    # The calls.

    def _order(self) -> None:
        fault = self.server.faults.next("order")
        name = fault["fault"]
        if name == "drop_unread":
            raise self._cut()
        order = self._body()
        self._before(name)
        with self.server.lock:
            try:
                if name == "refuse":
                    self.server.ledger.refuse(order, "not enough balance")
                self.server.ledger.accept(order)
                if name != "held_open":
                    self.server.ledger.fill(order["client_id"], fault.get("share", "1"))
            except Refused as refused:
                self._answer(400, {"error": str(refused)})
                return
            done = self.server.ledger.orders[order["client_id"]]
        self._after(name, done)

    def _before(self, name: str) -> None:
        """What goes wrong with an order before it is executed."""
        if name == "drop":
            raise self._cut()
        if name == "hang":
            self._until_the_client_leaves()
            raise self._cut()
        if name == "503":
            self._answer(503, {"error": "overloaded"})
            raise Cut
        if name == "kill":
            self._kill_client()
        if name == "held":
            self.server.faults.released.wait(60)

    def _after(self, name: str, done: dict[str, Any]) -> None:
        """What goes wrong with the answer about an order that was executed."""
        if name == "kill_after":
            self._kill_client()
        if name == "hang_after":
            self._until_the_client_leaves()
        if name in ("drop_after", "kill_after", "hang_after", "held", "kill"):
            raise self._cut()
        if name == "trickle_after":
            self._trickle()
        bodies = {"html_after": b"<html>Bad gateway</html>", "empty_after": b"", "garbage_after": json.dumps(NONSENSE).encode()}
        body = bodies.get(name, json.dumps(done).encode())
        if name == "half_after":
            self._send(200, body[: len(body) // 2], len(body))
            raise self._cut()
        self._send(503 if name == "503_after" else 200, body)

    def _get_quote(self, _: str, query: dict[str, str]) -> None:
        self._usual("quote")
        self._answer(200, {"price": str(PRICES[query["symbol"]]), "time": self.server.ledger.now_us()})

    def _get_orders(self, client_id: str, _: dict[str, str]) -> None:
        self._usual("find")
        with self.server.lock:
            as_of = self.server.ledger.now_us()
            order = self.server.ledger.orders.get(client_id)
        if order is None or self.server.faults.is_lagging():
            # A venue that lags is not complete up to now.
            self._answer(404, {"error": "unknown order", "as_of": 0 if order is not None else as_of})
        else:
            self._answer(200, order)

    def _get_references(self, order_id: str, _: dict[str, str]) -> None:
        self._usual("find")
        order = next((order for order in self.server.ledger.orders.values() if order.get("order_id") == order_id), None)
        self._answer(404 if order is None else 200, {"error": "unknown order", "as_of": 0} if order is None else order)

    def _get_balances(self, *_: Any) -> None:
        self._usual("read")
        with self.server.lock:
            self._answer(200, {token: str(amount) for token, amount in self.server.ledger.balances().items()})

    def _get_due(self, _: str, query: dict[str, str]) -> None:
        self._usual("due")
        with self.server.lock:
            lines = self.server.ledger.lines
            items = [line for line in lines[int(query.get("since", 0)) :] if line["kind"] == "due"]
            self._answer(200, {"items": items, "cursor": str(len(lines))})

    def _get_ledger(self, *_: Any) -> None:
        self._answer(200, self.server.ledger.lines)

    def _usual(self, on: str) -> None:
        """What goes wrong with a call that changes nothing."""
        name = self.server.faults.next(on)["fault"]
        self._before(name)
        if name in ("html_after", "empty_after", "garbage_after"):
            self._after(name, {})
            raise Cut

    # Bytes.

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, status: int, content: Any) -> None:
        self._send(status, json.dumps(content).encode())

    def _send(self, status: int, body: bytes, length: int | None = None) -> None:
        head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n"
        self.connection.sendall(head.encode() + body)

    def _trickle(self) -> None:
        self.connection.sendall(b"HTTP/1.1 200 -\r\nContent-Length: 100000\r\n\r\n")
        while not self.server.faults.released.wait(0.01):
            self.connection.sendall(b" ")
        raise self._cut()

    def _until_the_client_leaves(self) -> None:
        self.connection.settimeout(60)
        while self.connection.recv(4_096):
            pass

    def _kill_client(self) -> None:
        os.kill(int(self.headers["X-Pid"]), signal.SIGKILL)

    def _cut(self) -> Cut:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        return Cut()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.ledger_venue")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ledger", type=Path, required=True)
    given = parser.parse_args()
    venue = Venue(given.port, given.ledger)
    print(venue.server_address[1], flush=True)
    venue.serve_forever()


if __name__ == "__main__":
    main()
