"""HTTP: a request comes, something may go wrong, an answer leaves."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import sys
import traceback
from contextlib import suppress
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .control import command, report
from .dialect import Answer, Request
from .engine import Late
from .faults import edit
from .ledger import text
from .venues import DIALECTS

if TYPE_CHECKING:
    from pathlib import Path

    from .dialect import Dialect
    from .engine import Engine

HTML = "<html><body>Bad gateway</body></html>"
PATIENCE_S = 60


class Cut(Exception):
    """The connection ends here."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, engine: Engine, certificate: Path | None = None) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.engine = engine
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, *_: Any) -> None:
        """A client that went away is not worth a line; anything else is an error of this server, and tests look for it."""
        if not isinstance(sys.exc_info()[1], OSError):
            self.engine.errors.append(traceback.format_exc())
            traceback.print_exc()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        with suppress(Cut):
            self._serve()

    do_POST = do_DELETE = do_PUT = do_GET

    def _serve(self) -> None:
        address = urlsplit(self.path)
        request = Request(self.command, address.path, address.query, b"", self.headers)
        if address.path.startswith("/control"):
            self._control(request)
            return
        for dialect in DIALECTS:
            if dialect.reads_body:
                request.body = request.body or self._body()
            if (route := dialect.route(request)) is not None:
                break
        else:
            self._body()
            self._send(Answer(404, HTML))
            return
        rule = self.server.engine.faults.take(dialect.venue, route.kind)
        if rule["fault"] == "drop_unread":
            raise self._cut()
        request.body = request.body or self._body()
        if dialect.venue in self.server.engine.maintenance:
            self._send(dialect.maintenance())
            return
        if dialect.venue in self.server.engine.faults.limits:
            dialect.see(self.server.engine, request)  # a request that is refused shows the time too
        wait_s = self.server.engine.faults.seconds_to_wait(dialect.venue, self.server.engine.now())
        if wait_s:
            self._send(dialect.too_many(wait_s))
            return
        self._before(dialect, request, rule)
        with self.server.engine.lock:
            self.server.engine.catch_up()
            answer = dialect.answer(self.server.engine, request, rule)
        self._after(dialect, request, rule, answer)

    def _control(self, request: Request) -> None:
        engine = self.server.engine
        given = self._body()
        with engine.lock:
            if request.method == "GET":
                engine.catch_up()
                self._send(Answer(200, report(engine, request.path, request.query_params)))
                return
            try:
                for one in given if isinstance(given := json.loads(given), list) else [given]:
                    command(engine, one)
            except (KeyError, ValueError, TypeError, ArithmeticError) as wrong:
                self._send(Answer(400, {"error": f"{type(wrong).__name__}: {wrong}"}))
                return
        self._send(Answer(200, {}))

    # What goes wrong.

    def _before(self, dialect: Dialect, request: Request, rule: dict[str, Any]) -> None:
        """Before it is executed."""
        name = rule["fault"]
        engine = self.server.engine
        if name == "late":
            run = lambda: dialect.answer(engine, request, {"fault": "late"})  # noqa: E731
            with engine.lock:
                dialect.see(engine, request)
                engine.late.append(Late(engine.now() + round(1_000 * rule["seconds"]), run))
            self._leave(str(rule.get("answer", "drop")))
        if name in ("drop", "hang"):
            self._leave(name)
        if name == "refuse":
            self._end(dialect.refusal(request, rule["reason"]))
        if name in ("status", "code") and not rule.get("after"):
            self._end(self._failure(dialect, rule))
        if name == "kill":
            os.kill(rule["pid"], signal.SIGKILL)
        if name == "held":
            engine.faults.released.wait(PATIENCE_S)
        if name == "delay":
            Event().wait(rule["seconds"])

    def _after(self, dialect: Dialect, request: Request, rule: dict[str, Any], answer: Answer) -> None:
        """Once it was executed."""
        name = rule["fault"]
        if name == "kill_after":
            os.kill(rule["pid"], signal.SIGKILL)
        if name == "delay_after":
            Event().wait(rule["seconds"])
        if name in ("drop_after", "kill", "kill_after", "held"):
            raise self._cut()
        if name == "hang_after":
            self._leave("hang")
        if name in ("status", "code"):
            self._end(self._failure(dialect, rule))
        if name == "duplicate_after":
            self._end(dialect.refusal(request, "duplicate"))
        bodies = {"empty_after": "", "html_after": HTML, "garbage_after": {"unexpected": [None, {"id": []}]}}
        if name in bodies:
            self._end(Answer(200, bodies[name]))
        if name == "edit_after":
            answer.body = json.loads(json.dumps(answer.body, default=_plain))
            edit(answer.body, rule["edits"])
        if name == "truncated_after":
            whole = json.dumps(answer.body, default=_plain)
            self._end(Answer(200, whole[: len(whole) // 2]))
        self._send(answer, is_cut=name == "half_after")

    def _failure(self, dialect: Dialect, rule: dict[str, Any]) -> Answer:
        status = rule.get("status", 400)
        if rule["fault"] == "code":
            return dialect.error(rule["code"], rule.get("text", "an error on command"), status)
        body = {"html": HTML, "empty": "", "json": {"message": "an error on command"}}[rule.get("body", "html")]
        return Answer(status, body, {"Retry-After": str(rule["retry_after"])} if "retry_after" in rule else {})

    def _leave(self, how: str) -> None:
        """End without having executed it now."""
        if how == "hang":
            self.connection.settimeout(PATIENCE_S)
            with suppress(OSError):
                while self.connection.recv(4_096):
                    pass
        elif how != "drop":
            self._end(Answer(int(how), HTML))
        raise self._cut()

    # Bytes.

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _end(self, answer: Answer) -> None:
        self._send(answer)
        raise Cut

    def _send(self, answer: Answer, *, is_cut: bool = False) -> None:
        is_text = isinstance(answer.body, str)
        body = (answer.body if is_text else json.dumps(answer.body, default=_plain)).encode()
        kind = "text/html" if is_text else "application/json"
        headers = {"Content-Type": f"{kind};charset=UTF-8", "Content-Length": str(len(body)), **answer.headers}
        head = f"HTTP/1.1 {answer.status} -\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        try:
            self.connection.sendall(head.encode() + (body[: len(body) // 2] if is_cut else body))
        except OSError:  # the client has left
            self.close_connection = True
        if is_cut:
            raise self._cut()

    def _cut(self) -> Cut:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        return Cut()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return text(value)
    return vars(value)
