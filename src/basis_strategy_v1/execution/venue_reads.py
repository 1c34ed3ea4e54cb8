"""What is asked of a gateway without sending anything: its holdings and what fell due there, each within its time."""

from __future__ import annotations

from decimal import localcontext
from typing import TYPE_CHECKING, Any, TypeVar

from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueUnreachable
from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.core.state import State
from basis_strategy_v1.execution.answers import require_due, require_state
from basis_strategy_v1.execution.venue_calls import EXCHANGE, UNREACHABLE
from basis_strategy_v1.venues.venue import CEX, COMPONENTS, ONCHAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from basis_strategy_v1.core.gateway import Due, Gateway
    from basis_strategy_v1.execution.timing import Timing

T = TypeVar("T")


class VenueReads:
    """Asks a gateway. Each call raises only VenueUnreachable, whatever the gateway does; and KeyboardInterrupt."""

    def __init__(self, gateway: Gateway, timeout_s: float, timing: Timing) -> None:
        self.name = gateway.name
        self._gateway = gateway
        self._kind = CEX if gateway.kind == EXCHANGE else ONCHAIN
        self._timeout_s = timeout_s
        self._within = timing.within

    def read(self) -> State:
        """What the venue account holds now."""
        return self._ask(lambda: require_state(self._gateway.read()))

    def look(self) -> State:
        """What the protocols of the account are like now, where its gateway knows them wholly; else nothing."""
        ask = getattr(self._gateway, "look", None)
        return State() if ask is None else self._ask(lambda: require_state(ask()))

    def due(self, since: str | None) -> tuple[Sequence[Due], str]:
        """What happened there since a cursor, and the next cursor."""
        return self._ask(lambda: require_due(self._gateway.due(since)))

    def due_again(self, since: str, recorded: Sequence[Due]) -> str:
        """The cursor from which what was held back comes again."""
        again = getattr(self._gateway, "due_again", None)
        return since if again is None else self._ask(lambda: str(again(since, recorded)))

    def _ask(self, call: Callable[[], T]) -> T:
        def alone() -> T:
            try:
                with localcontext():  # a client may change the decimal context that the caller computes in
                    return call()
            except (ComponentError, KeyboardInterrupt, SystemExit):
                raise
            except MalformedAnswer as malformed:
                raise self._unreachable(f"{self.name} answered with {malformed.fault}", malformed) from malformed
            except BaseException as error:  # noqa: BLE001 a client's fault; its text may quote an address with a key in it
                raise self._unreachable(f"{self.name} did not answer: its gateway raised {type(error).__name__}", error) from None

        try:
            return self._within(self._timeout_s, alone)
        except TimeoutError as late:
            raise self._unreachable(f"{self.name} did not answer within {self._timeout_s:g} s", late) from None
        except VenueUnreachable:
            raise
        except ComponentError as error:
            raise self._unreachable(error.message, error) from error

    def _unreachable(self, message: str, cause: Any) -> VenueUnreachable:
        return VenueUnreachable(UNREACHABLE[self._kind], message, COMPONENTS[self._kind], original_exception=cause)
