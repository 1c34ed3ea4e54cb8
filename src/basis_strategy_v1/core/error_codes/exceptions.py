"""The errors of this package, sorted by what the caller does next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.error_codes.error_code_registry import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from basis_strategy_v1.core.execution_report import ExecutionReport

RECORDED = "what was recorded up to then is in"  # how the note begins that names the folder of a run that failed


class ComponentError(Exception):
    """A failure with a code from the registry.

    `severity` and, where `message` is empty, the text come from the registry entry of `error_code`.
    `reports` are of what had already been executed when a plan, or a sequence that is not atomic, failed; `partial_deltas`
    (venue -> token -> net change) is their sum. `settlements` are of what fell due before that. All are empty otherwise.

    Raises:
        KeyError: the code is in no registry entry, which is a fault of the program and not of its input.
    """

    about = ""  # the key of the instruction whose outcome is not known

    def __init__(
        self,
        error_code: str,
        message: str = "",
        component: str = "",
        severity: str | None = None,
        original_exception: BaseException | None = None,
        partial_deltas: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        entry = REGISTRY[error_code]
        self.error_code = error_code
        self.message = message or entry.message
        self.component = component or entry.component
        self.severity = severity or entry.severity
        self.original_exception = original_exception
        self.partial_deltas: dict[str, dict[str, float]] = {venue: dict(tokens) for venue, tokens in (partial_deltas or {}).items()}
        self.reports: tuple[ExecutionReport, ...] = ()
        self.settlements: tuple[ExecutionReport, ...] = ()
        super().__init__(f"{error_code}: {self.message}")

    def add_earlier(self, reports: Iterable[ExecutionReport]) -> None:
        """Put the reports of what was executed before in front of those that are known."""
        self.reports = (*reports, *self.reports)
        from basis_strategy_v1.core.deltas import Deltas

        self.partial_deltas = Deltas.total(report.deltas for report in self.reports).as_floats()

    def __reduce__(self) -> tuple[Any, ...]:
        return (
            type(self),
            (self.error_code, self.message, self.component, self.severity, self.original_exception, self.partial_deltas),
        )


class VenueRejected(ComponentError):
    """The venue, or its simulator, said no. Final: sending the same again gives the same answer."""


class OrderTooLarge(VenueRejected):
    """The market is too thin for the order now; at another time the same order may fill."""


class MarketHalted(VenueRejected):
    """The exchange takes no order in a symbol now; later the same order may fill."""


class VenueUnreachable(ComponentError):
    """Nothing was sent. The same instruction may be sent again."""


class OutcomeUnknown(ComponentError):
    """It was perhaps sent. Look it up by its key; never send it again blindly."""


class StillPending(OutcomeUnknown):
    """The venue has it, and it takes its time: no error. It stays open and is looked up; its plan stays in hand until then."""
