"""What a venue's file has to give: its routes, its signatures, its errors."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

from .ledger import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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

    def pick(self, table: dict[str, Any], name: str, default: str) -> Any:
        """What a table has for the value of a parameter."""
        value = self.params.get(name, default)
        if value not in table:
            raise Refused("parameter", name=name)
        return table[value]


class Route(NamedTuple):
    """`needs` is the permission of the key; None: not signed."""

    kind: str
    needs: str | None
    run: Callable[[Call], Any]


class Dialect(ABC):
    """One venue. Everything that changes something is done by the routes, over the same engine."""

    venue: str
    routes: dict[str, Route]
    reads_body = False  # the kind of a request is in its body

    def route(self, request: Request) -> Route | None:
        """What a request is; None: the venue has no such path."""
        return self.routes.get(f"{request.method} {request.path}")

    def answer(self, engine: Engine, request: Request, rule: dict[str, Any]) -> Answer:
        """Do it. A refusal is an answer too."""
        route = self.route(request)
        assert route is not None
        try:
            account = engine.ledger.account(self.venue, "main")
            if route.needs is not None:
                account = self.account(engine, request, route.needs)
            engine.catch_up()
            share = Decimal(rule["share"]) if rule["fault"] == "partial" else None
            return self.success(engine, route, route.run(Call(engine, account, self.params(request), request, share)))
        except Refused as refused:
            return self.refusal(request, refused.reason, **refused.details)
        except (ValueError, ArithmeticError) as wrong:  # a number that is none
            return self.refusal(request, "parameter", name=str(wrong))
        except VenueError as wrong:
            return self.error(wrong.code, wrong.message, wrong.status)

    def see(self, engine: Engine, request: Request) -> None:
        """Take the time of a request, whose signature is not checked yet."""
        engine.clock.see(self.signed_ms(request))

    @abstractmethod
    def signed_ms(self, request: Request) -> int:
        """When the sender signed it; 0 where it does not say."""

    @abstractmethod
    def account(self, engine: Engine, request: Request, needs: str) -> Account:
        """The account of a request whose key, signature and time are good.

        Raises:
            VenueError: they are not.
        """

    @abstractmethod
    def params(self, request: Request) -> dict[str, Any]: ...

    @abstractmethod
    def success(self, engine: Engine, route: Route, result: Any) -> Answer: ...

    @abstractmethod
    def error(self, code: int | str, text: str, status: int) -> Answer:
        """An error in the venue's shape."""

    @abstractmethod
    def refusal(self, request: Request, reason: str, **details: Any) -> Answer:
        """What the venue answers where it refuses for this reason."""

    @abstractmethod
    def maintenance(self) -> Answer: ...

    @abstractmethod
    def too_many(self, wait_s: int) -> Answer:
        """More requests than the venue allows; the next minute begins in so many seconds."""
