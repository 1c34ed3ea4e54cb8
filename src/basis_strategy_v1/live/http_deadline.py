"""HTTP calls with a total deadline: whatever the server does, the call's socket is cut off then, and nothing is sent after it.

A read timeout counts from byte to byte, so that a server which trickles holds a call for ever. Here the operating system is made to end
the connection (`shutdown`), which ends every read and write on it at once, in any thread.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from requests import Session
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidProxyURL
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from basis_strategy_v1.core.deadline import Deadline, current_deadline

if TYPE_CHECKING:
    from urllib3.poolmanager import PoolManager, ProxyManager


class SocketHandle:
    """A hold on a connection by a descriptor of its own: it reaches the connection also where TLS has taken the socket over, or where the
    client has closed its own while it reads the rest of an answer."""

    def __init__(self, connected: Any) -> None:
        self._socket = socket.socket(fileno=os.dup(connected.fileno()))

    def cut(self) -> None:
        with suppress(OSError):  # the other side has ended it
            self._socket.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        self._socket.close()


class _UnderDeadline(HTTPConnection):
    """Registers its socket with the deadline of the call that uses it."""

    _registered: Deadline | None = None

    def _new_conn(self) -> socket.socket:
        deadline = self._registered = current_deadline()
        if deadline is None:
            return super()._new_conn()
        left_s = deadline.require_time()
        self.timeout = left_s if self.timeout is None else min(self.timeout, left_s)
        connected = super()._new_conn()
        try:
            deadline.opened(SocketHandle(connected))
        except BaseException:
            connected.close()
            raise
        return connected

    def putrequest(self, *args: Any, **options: Any) -> None:
        deadline = current_deadline()
        if self.sock is not None and deadline is not None and deadline is not self._registered:
            self._registered = deadline
            deadline.opened(SocketHandle(self.sock))
        super().putrequest(*args, **options)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        deadline = current_deadline()
        if deadline is not None:
            deadline.sending()
        super().send(data)


class _TLSUnderDeadline(_UnderDeadline, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _UnderDeadline


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSUnderDeadline


_POOLS: dict[str, type[HTTPConnectionPool]] = {"http": _Pool, "https": _TLSPool}


class DeadlineAdapter(HTTPAdapter):
    """Puts the calls of a `requests.Session` under the deadline that runs. Mount it for `http://` and `https://`; ccxt's exchanges have
    their session in `session`."""

    poolmanager: PoolManager

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> ProxyManager:
        if proxy.lower().startswith("socks"):
            raise InvalidProxyURL("a call through a SOCKS proxy cannot be cut off at its deadline; use an HTTP proxy")
        manager: ProxyManager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def put_under_deadlines(session: Session) -> Session:
    """The session, with an adapter of this kind for all its calls."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, DeadlineAdapter())
    return session
