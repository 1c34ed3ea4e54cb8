"""The ledger's state, and its reading as positions."""

from __future__ import annotations

import decimal
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from threading import RLock
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.amounts import EXACT, LARGEST, exact_number, shown
from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.deltas import Deltas, floats_of
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.core.instruction_fields import FIELDS, token_of_deltas
from basis_strategy_v1.core.journal import MemoryJournal
from basis_strategy_v1.core.position_names import Kind
from basis_strategy_v1.core.state import IN_TRANSIT, RATE_UNIT, WALLET, Amounts, ExchangeAccount, State, Wallet
from basis_strategy_v1.core.tokens import REBASING, to_units
from basis_strategy_v1.positions.ledger import Places
from basis_strategy_v1.venues.position_names import read_name
from basis_strategy_v1.venues.registry import VENUES

if TYPE_CHECKING:
    from basis_strategy_v1.core.market import MarketSnapshot

UNCONFIRMED = 10_000  # as many as a manager's history has
# Whose plain tokens are in which wallet, until a manager says which protocols it has.
PROTOCOLS = dict.fromkeys((name for name in VENUES if name != WALLET), WALLET)
# What these say has come or gone is no execution of ours.
OF_OTHER_ORIGIN = ("deposit", "withdrawal", "correction")
KEPT_BY_PROTOCOLS = (Kind.DEPOSIT, Kind.DEBT, Kind.QUEUED)


class PositionUpdateHandler:
    """Holds the state and reads it as `positions`.

    An ExecutionInterfaceManager that was given this handler commits each execution to it at once. Handing the same
    deltas in again through `update_state`, as the specification's flow does, confirms them and adds nothing (docs/decisions/0015).
    Deltas of other origin (a deposit, a correction) are added. Safe to use from several threads: the managers of a handler hold its
    `lock` while they read the state and commit.
    """

    def __init__(self, positions: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.lock = RLock()
        self.protocols: Mapping[str, str] = PROTOCOLS
        self.state = State()
        self.opened: State | None = None  # the last state that was assigned or committed: it is in the venues' own units
        self.settled: MarketSnapshot | None = None  # up to this snapshot everything that falls due has been settled
        self.calls, self.plans = Places(), Places()
        self.journal = MemoryJournal()
        self._unconfirmed: deque[tuple[str, bytes]] = deque(maxlen=UNCONFIRMED)  # key and packed deltas of what was not handed in
        self.last_update_timestamp: datetime | None = None
        self._read: tuple[State, dict[str, dict[str, Decimal]]] | None = None
        self.hold(positions or {})

    def hold(self, positions: Mapping[str, Mapping[str, Any]]) -> None:
        """Begin again with these positions.

        Raises:
            ComponentError: PUH-001, an amount is not a finite number.
        """
        amounts = _nested(positions, "positions")
        with self.lock:
            self.state = State({venue: Amounts(tokens) for venue, tokens in amounts.items() if tokens})
            self._unconfirmed.clear()
            self.settled = None
            self.journal.clear()

    @property
    def positions(self) -> dict[str, dict[str, Decimal]]:
        """venue -> token -> amount held there now. Do not change it: it is read again only when the state has changed."""
        state, read = self.state, self._read
        if read is None or read[0] is not state:
            self._read = read = (state, state.positions())
        return read[1]

    # The ledger of an account.

    def assign(self, state: State) -> None:
        """Take over the state after time has passed."""
        self.state = self.opened = state

    def commit(self, state: State, report: ExecutionReport) -> bytes:
        """Take over the state after an execution; gives its deltas, packed."""
        self.state = self.opened = state  # before anything that could fail: what the venue has done is held
        packed = report.deltas.packed()
        self._unconfirmed.append((report.key, packed))
        return packed

    def expect(self, report: ExecutionReport) -> None:
        """The state holds these deltas already, when they are handed in."""
        if report.deltas:
            self._unconfirmed.append((report.key, report.deltas.packed()))

    def know_wallets(self, wallets: Mapping[str, str]) -> None:
        """In which wallet the plain tokens of each protocol are: the venues that a manager has."""
        self.protocols = {**self.protocols, **wallets}

    # The specification's flow.

    def update_state(self, timestamp: datetime, trigger_source: str, execution_deltas: Any = None) -> dict[str, dict[str, float]]:
        """Take in deltas (a report, Deltas, or venue -> token -> number) and give what was new of them, as floats.

        A report that an account has recorded, and deltas equal to those of an execution that was not handed in yet, add nothing.
        With the trigger `deposit`, `withdrawal` or `correction` deltas are always added.

        Raises:
            ComponentError: PUH-001, the timestamp is naive or the deltas are not venue -> token -> finite number.
        """
        if type(timestamp) is not datetime or timestamp.tzinfo is not UTC:  # the quick way for nearly all of them
            _require_aware(timestamp)
        with self.lock:
            self.last_update_timestamp = timestamp
            if execution_deltas is None or self._confirms(execution_deltas, trigger_source):
                return {}
            with decimal.localcontext(EXACT):
                deltas = _parsed(execution_deltas)
                state, added = _with_deltas(self.state, deltas, self.protocols), deltas.as_floats()
                self.state = state  # once nothing can fail any more
            return added

    def _confirms(self, given: Any, trigger_source: str) -> bool:
        """Whether these deltas are of an execution that the state holds."""
        if isinstance(given, ExecutionReport):
            name, waiting = given.key, self._unconfirmed
            if waiting and waiting[-1][0] == name:  # nearly all of them: what was just executed
                waiting.pop()
            else:
                self._take_off(lambda key, packed: key == name)
            return given.recorded or given.replayed
        if trigger_source in OF_OTHER_ORIGIN:
            return False
        if not isinstance(given, Deltas):
            if self._take_off(lambda key, packed: floats_of(packed) == given):
                return True
            given = _parsed(given)
        return self._take_off(lambda key, packed: Deltas.unpacked(packed) == given)

    def _take_off(self, is_it: Callable[[str, bytes], bool]) -> bool:
        """Strike the newest that it is off those that were not handed in."""
        for place in range(len(self._unconfirmed) - 1, -1, -1):
            if is_it(*self._unconfirmed[place]):
                del self._unconfirmed[place]
                return True
        return False


def _require_aware(timestamp: Any) -> None:
    try:
        to_instant(timestamp)
    except ValueError as fault:
        raise ComponentError("PUH-001", str(fault)) from None


def _nested(given: Any, what: str) -> dict[str, dict[str, Decimal]]:
    if not isinstance(given, Mapping):
        raise ComponentError("PUH-001", f"{what} must be venue -> token -> amount, got {shown(given)}")
    return {_name(FIELDS["venue"], venue, f"a venue of {what}"): _amounts(venue, tokens, what) for venue, tokens in given.items()}


def _amounts(venue: str, tokens: Any, what: str) -> dict[str, Decimal]:
    if not isinstance(tokens, Mapping):
        raise ComponentError("PUH-001", f"{what} of {venue} must be token -> amount, got {shown(tokens)}")
    where = f"a token of {venue} in {what}"
    return {_name(token_of_deltas, token, where): _amount(venue, token, amount, what) for token, amount in tokens.items()}


def _name(parse: Callable[[Any], str], given: Any, what: str) -> str:
    """As in a block."""
    try:
        return parse(given)
    except ValueError as fault:
        raise ComponentError("PUH-001", f"{what} {fault}") from None


def _amount(venue: str, token: str, amount: Any, what: str) -> Decimal:
    try:
        number = exact_number(amount)
        if abs(number) > LARGEST:
            raise ValueError(f"must be between -1e30 and 1e30, got {shown(amount)}")
        return number
    except ValueError as fault:
        raise ComponentError("PUH-001", f"{what} of {venue}: {token} {fault}") from None


def _parsed(given: Any) -> Deltas:
    if isinstance(given, ExecutionReport):
        given = given.deltas
    return Deltas.nested(_nested(given.amounts if isinstance(given, Deltas) else given, "deltas"))


def _with_deltas(state: State, deltas: Deltas, protocols: Mapping[str, str]) -> State:
    for (venue, token), change in deltas.items():
        where = _home(venue, token, protocols)
        state = state.with_part(where, _with_change(state.parts.get(where), where, token, change))
    return state


def _home(venue: str, token: str, protocols: Mapping[str, str]) -> str:
    """Deltas say which venue did it; positions say where it is now: a plain token of a protocol is in the wallet."""
    return venue if read_name(token).kind in KEPT_BY_PROTOCOLS else protocols.get(venue, venue)


def _with_change(part: Any, venue: str, token: str, change: Decimal) -> Any:
    if part is None or isinstance(part, Amounts):
        held = dict(part.amounts) if part else {}
        held[token] = EXACT.add(held.get(token, Decimal(0)), change)
        return Amounts(held)
    if isinstance(part, ExchangeAccount) and read_name(token).kind is not Kind.PERP:
        return part.moved({token: change})
    if isinstance(part, Wallet) and (token not in REBASING or token in part.share_rates):
        return part.moved({token: to_units(token, change) * RATE_UNIT // part.share_rates.get(token, RATE_UNIT)})
    raise ComponentError(
        "PUH-001", f"{token} of {venue} is {_kept(part, venue)} and cannot be changed from outside; send an instruction instead"
    )


def _kept(part: Any, venue: str) -> str:
    if isinstance(part, ExchangeAccount):
        return "kept with what it cost"
    return "on its way" if venue == IN_TRANSIT else "kept in the protocol's own units"
