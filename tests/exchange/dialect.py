"""What a venue's file has to give: its routes, its signatures, its errors."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import parse_qsl

from .ledger import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from .engine import Engine
    from .ledger import Account


@dataclass
class Request:
    method: str
    path: str
    query: str
    body: bytes
    headers: Mapping[str, str]

    @property
    def params(self) -> dict[str, str]:
        """Query and form together."""
        return dict(parse_qsl(self.query, keep_blank_values=True) + parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def query_params(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"{}")


@dataclass
class Answer:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


class VenueError(Exception):
    """An error in the venue's own words."""

    def __init__(self, code: int | str, message: str, status: int = 400) -> None:
        super().__init__(code, message)
        self.code, self.message, self.status = code, message, status


@dataclass
class Call:
    """One request of one account; `share` limits what an order executes."""

    engine: Engine
    account: Account
    params: dict[str, Any]
    request: Request
    share: Decimal | None = None

    def need(self, name: str) -> Any:
        if self.params.get(name) in (None, ""):
            raise Refused("parameter", name=name)
        return self.params[name]


class Route(NamedTuple):
    """`needs` is the permission of the key; None: not signed."""

    kind: str
    needs: str | None
    run: Callable[[Call], Any]


class Dialect(Protocol):
    venue: str
    reads_body: bool  # the kind of a request is in its body

    def kind(self, request: Request) -> str | None:
        """What a request is; None: the venue has no such path."""

    def see(self, engine: Engine, request: Request) -> None:
        """Take the time of a request, whose signature is not checked yet."""

    def answer(self, engine: Engine, request: Request, rule: dict[str, Any]) -> Answer:
        """Do it. A refusal is an answer too."""

    def error(self, code: int | str, text: str, status: int) -> Answer:
        """An error in the venue's shape."""

    def refusal(self, request: Request, reason: str) -> Answer:
        """What the venue answers where it refuses for this reason."""

    def maintenance(self) -> Answer: ...
