"""What is held: the ledger's state, and its reading as positions."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.amounts import EXACT, exact_number
from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.core.state import IN_TRANSIT, WALLET, Account, Amounts, Perp, State, Wallet
from basis_strategy_v1.core.tokens import to_units

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

UNCONFIRMED = 1_024
PROTOCOLS = ("aave", "morpho", "lido", "etherfi", "uniswap", "curve")


class PositionUpdateHandler:
    """Holds the state and reads it as `positions`.

    An ExecutionInterfaceManager that was given this handler commits each execution to it at once. Handing the same
    deltas in again through `update_state`, as the specification's flow does, confirms them and adds nothing. Deltas of
    other origin (a deposit, a correction) are added.
    """

    def __init__(self, positions: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.state = State()
        self.hold(positions or {})
        self._unconfirmed: deque[Deltas] = deque(maxlen=UNCONFIRMED)
        self.last_update_timestamp: datetime | None = None
        self._read: tuple[State, dict[str, dict[str, Decimal]]] | None = None

    def hold(self, positions: Mapping[str, Mapping[str, Any]]) -> None:
        """Begin anew with these positions.

        Raises:
            ComponentError: PUH-001, an amount is not a finite number.
        """
        amounts = {venue: _amounts(venue, tokens) for venue, tokens in positions.items()}
        self.state = State({venue: Amounts(tokens) for venue, tokens in amounts.items() if tokens})

    @property
    def positions(self) -> dict[str, dict[str, Decimal]]:
        """venue -> token -> amount held there now. Do not change it: it is read again only when the state has changed."""
        state = self.state
        if self._read is None or self._read[0] is not state:
            self._read = (state, state.positions())
        return self._read[1]

    def commit(self, state: State, deltas: Deltas) -> None:
        """Assign the state after an execution: the one place where what we hold changes."""
        self.state = state
        self._unconfirmed.append(deltas)

    def update_state(self, timestamp: datetime, trigger_source: str, execution_deltas: Any = None) -> dict[str, dict[str, float]]:
        """Take in deltas (a report, Deltas, or venue -> token -> number) and give what was new of them, as floats.

        Raises:
            ComponentError: PUH-001, the timestamp is naive or the deltas are not venue -> token -> finite number.
        """
        try:
            to_instant(timestamp)
        except ValueError as fault:
            raise ComponentError("PUH-001", str(fault)) from None
        self.last_update_timestamp = timestamp
        if execution_deltas is None:
            return {}
        if self._confirms(execution_deltas):
            return {}
        deltas = _parsed(execution_deltas)
        self.state = _with_deltas(self.state, deltas)
        return deltas.as_floats()

    def _confirms(self, given: Any) -> bool:
        """Whether these deltas are an execution that the state already holds; each is confirmed once."""
        own = given.deltas if isinstance(given, ExecutionReport) else given
        for waiting in reversed(self._unconfirmed):
            if waiting is own or (not isinstance(own, Deltas) and waiting.as_floats() == own) or waiting == own:
                self._unconfirmed.remove(waiting)
                return True
        return False


def _amounts(venue: str, tokens: Mapping[str, Any]) -> dict[str, Decimal]:
    try:
        return {token: exact_number(amount) for token, amount in tokens.items()}
    except (ValueError, AttributeError) as fault:
        raise ComponentError("PUH-001", f"positions of {venue}: an amount {fault}") from None


def _parsed(given: Any) -> Deltas:
    if isinstance(given, ExecutionReport):
        return given.deltas
    if isinstance(given, Deltas):
        return given
    if not isinstance(given, dict):
        raise ComponentError("PUH-001", f"deltas must be venue -> token -> amount, got a {type(given).__name__}")
    for venue, tokens in given.items():
        if not isinstance(tokens, dict):
            raise ComponentError("PUH-001", f"deltas of {venue} must be token -> amount, got a {type(tokens).__name__}")
    return Deltas.nested({venue: _amounts(venue, tokens) for venue, tokens in given.items()})


def _with_deltas(state: State, deltas: Deltas) -> State:
    for (venue, token), change in deltas.items():
        where = _home(venue, token)
        state = state.with_parts(**{where: _with_change(state.parts.get(where), where, token, change)})
    return state


def _home(venue: str, token: str) -> str:
    """Deltas say which venue did it; positions say where it is now: a plain token of a protocol is in the wallet."""
    if venue not in PROTOCOLS or venue == WALLET:
        return venue
    own = token.startswith(("variableDebt", "morpho:")) or (token[:1] == "a" and token[1:2].isupper()) or token.endswith("-QUEUED")
    return venue if own else WALLET


def _with_change(part: Any, venue: str, token: str, change: Decimal) -> Any:
    if part is None or isinstance(part, Amounts):
        held = dict(part.amounts) if part else {}
        held[token] = EXACT.add(held.get(token, Decimal(0)), change)
        return Amounts(held)
    if isinstance(part, Account):
        if not token.endswith("-PERP"):
            return part.moved({token: change})
        symbol = token.removesuffix("-PERP")
        held_perp = part.perps.get(symbol, Perp(Decimal(0), Decimal(0)))
        return Account(part.balances, {**part.perps, symbol: Perp(held_perp.base + change, held_perp.cost)})
    if isinstance(part, Wallet):
        return part.moved({token: to_units(token, change)})
    kept = "on its way" if venue == IN_TRANSIT else "kept in the protocol's own units"
    raise ComponentError("PUH-001", f"{token} of {venue} is {kept} and cannot be changed from outside; send an instruction instead")
