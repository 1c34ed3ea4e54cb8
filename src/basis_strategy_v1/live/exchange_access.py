"""The calls to one account that change nothing: asked again after a wrong time, and all that fails is that the venue cannot be asked."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import TYPE_CHECKING, NoReturn, TypeVar

from basis_strategy_v1.core.error_codes.exceptions import VenueUnreachable
from basis_strategy_v1.live.exchange_client import NoAnswer, Refusal, TooManyRequests, Unreadable
from basis_strategy_v1.live.exchange_errors import Meaning, meaning_of
from basis_strategy_v1.live.exchange_orders import PERP, SPOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.live.exchange_api import ExchangeApi
    from basis_strategy_v1.live.exchange_client import ExchangeClient
    from basis_strategy_v1.live.exchange_orders import Rules

T = TypeVar("T")
UNREACHABLE = "CEX-002"
RULES_HOLD_MS = 3_600_000
NOT_WHOLE = (NoAnswer, Unreadable, Refusal, TooManyRequests)


class Absent(Exception):
    """The venue knows no such order."""


class Access:
    """One account, as the venue `api` speaks. `symbols` are the run's, by kind of market.

    Where it names none, both kinds and all symbols are used.

    `measures_clock`: whether the venue has a clock of its own; a replay's has not.
    """

    def __init__(
        self, name: str, api: ExchangeApi, client: ExchangeClient, symbols: Mapping[str, tuple[str, ...]], *, measures_clock: bool
    ) -> None:
        self.name = name
        self.api = api
        self.client = client
        self.symbols = {kind: tuple(listed) for kind, listed in symbols.items() if listed}
        self.is_open = not self.symbols  # it is not known beforehand what is traded
        if self.is_open:
            self.symbols = {SPOT: (), PERP: ()}
        self._measures_clock = measures_clock
        self._lock = RLock()
        self._is_measured = not measures_clock
        self._rules: dict[tuple[str, str], Rules] = {}
        self._rules_of_ms = 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of market that the run uses, each with a wallet."""
        return tuple(self.symbols)

    # Time.

    def now_ms(self) -> int:
        """The venue's time; its clock is measured before it is first used.

        Raises:
            VenueUnreachable: it cannot be measured.
        """
        if not self._is_measured:
            self.measure_clock()
        return self.client.now_ms()

    def measure_clock(self) -> int:
        """Find out how far the venue's clock is ahead of ours; gives what it shows: it is not earlier than that there.

        Raises:
            VenueUnreachable.
        """
        if not self._measures_clock:
            return self.client.now_ms()
        before_ms = self.client.our_ms()
        try:
            theirs_ms = self.api.time_ms(self.kinds[0])
        except NOT_WHOLE as error:
            self.unreachable(error)
        with self._lock:
            self.client.offset_ms = theirs_ms - (before_ms + self.client.our_ms()) // 2
            self._is_measured = True
        return theirs_ms

    # Asking.

    def ask(self, kind: str, call: Callable[[], T]) -> T:
        """What a call gives that changes nothing at the venue.

        Raises:
            VenueUnreachable: whatever goes wrong. Absent: the venue knows no such order. MalformedAnswer.
        """
        self.now_ms()
        try:
            return call()
        except NOT_WHOLE as error:
            if self.meaning(kind, error) is not Meaning.CLOCK:
                self._failed(kind, error)
        self.measure_clock()
        try:
            return call()
        except NOT_WHOLE as error:
            self._failed(kind, error)

    def meaning(self, kind: str, error: Exception) -> Meaning | None:
        """What a refusal means; None where it is none."""
        return meaning_of(error, self.api.errors(kind)) if isinstance(error, Refusal) else None

    def _failed(self, kind: str, error: Exception) -> NoReturn:
        if self.meaning(kind, error) is Meaning.ABSENT:
            raise Absent from error
        self.unreachable(error)

    def unreachable(self, error: Exception) -> NoReturn:
        """Say that the venue cannot be asked.

        Raises:
            VenueUnreachable.
        """
        raise VenueUnreachable(UNREACHABLE, f"{self.name} cannot be asked: {said(error)}") from None

    # Markets.

    def rules(self, kind: str, symbol: str) -> Rules | None:
        """How a market is traded; None: the venue does not have it. Each hour it is read again, and the clock is measured again."""
        with self._lock:
            now_ms = self.now_ms()
            if (kind, symbol) not in self._rules or now_ms - self._rules_of_ms > RULES_HOLD_MS:
                if self._rules:
                    self.measure_clock()
                self._read_rules({**self.symbols, kind: (*self.symbols.get(kind, ()), symbol)})
                self._rules_of_ms = now_ms
            found = self._rules.get((kind, symbol))
            if found is not None and kind in self.symbols and symbol not in self.symbols[kind]:
                self.symbols[kind] = (*self.symbols[kind], symbol)  # traded from now on
            return found

    def forget(self) -> None:
        """Read rules and settings again before the next order: the venue has refused one."""
        with self._lock:
            self._rules.clear()
            self.api.forget()

    def _read_rules(self, symbols: Mapping[str, tuple[str, ...]]) -> None:
        wanted = {kind: listed for kind, listed in symbols.items() if listed}
        found = {kind: self.ask(kind, lambda kind=kind, listed=listed: self.api.rules(kind, listed)) for kind, listed in wanted.items()}  # type: ignore[misc]
        self._rules = {(kind, symbol): rules for kind, rows in found.items() for symbol, rules in rows.items()}


def said(error: Exception) -> str:
    """What a failure was, in a few words."""
    if isinstance(error, Unreadable):
        return f"its answer is no JSON: {error}"
    if isinstance(error, TooManyRequests):
        return f"it takes no request for {error.wait_s:.1f} s"
    return str(error)
