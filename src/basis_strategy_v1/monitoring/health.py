"""Health of the components: each reports its own, and the manager asks them all."""

from __future__ import annotations

import reprlib
import traceback
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.clock import SystemClock
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.text import as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from basis_strategy_v1.core.clock import Clock

    Checker = Callable[[], Any]  # somebody else's code: what it gives is looked at
    Metrics = Callable[[], Mapping[str, Any]]

HEALTHY, DEGRADED, UNHEALTHY = "healthy", "degraded", "unhealthy"
WORSE = {HEALTHY: 0, DEGRADED: 1, UNHEALTHY: 2}
RECENT_UPDATES = 100  # what the specification's definition of healthy looks back on
SHOWN_ERRORS = 10
HOPELESS_UPDATES = 10  # so many failures in a row: the component is unable to process
DEFAULT_THRESHOLD_MS = 1_000.0


class EventLog(Protocol):
    def log_event(self, timestamp: datetime, event_type: str, component: str, data: Mapping[str, Any]) -> None: ...


class Trouble:
    """An update that failed, or that came through only after a retry."""

    __slots__ = ("about", "critical", "ok", "processing_time_ms", "retried")

    def __init__(self, processing_time_ms: float, *, ok: bool, critical: bool, retried: bool, about: str = "") -> None:
        self.about = about
        self.processing_time_ms = processing_time_ms
        self.ok = ok
        self.critical = critical
        self.retried = retried


class ComponentHealth:
    """One component's account of its updates; `check` is its answer to the health manager.

    *healthy*: no error and no retry in the last 100 updates, and their mean processing time is below `processing_threshold_ms`.
    *unhealthy*: one of them had a CRITICAL error or failed in spite of retries, or the last 10 all failed.
    *degraded*: anything between. `metrics` adds the component's own figures. Safe to use from several threads.
    """

    __slots__ = ("_error_count", "_errors", "_last_update", "_lock", "_metrics", "_recent", "_threshold_ms", "_update_count")

    def __init__(self, *, processing_threshold_ms: float = DEFAULT_THRESHOLD_MS, metrics: Metrics | None = None) -> None:
        self._threshold_ms = processing_threshold_ms
        self._metrics = metrics
        self._lock = Lock()
        self._recent: deque[float | Trouble] = deque(maxlen=RECENT_UPDATES)  # a plain number: it went well
        self._errors: deque[dict[str, Any]] = deque(maxlen=SHOWN_ERRORS)
        self._update_count = 0
        self._error_count = 0
        self._last_update: datetime | None = None

    def record(
        self,
        ok: bool,
        processing_time_ms: float = 0.0,
        error: BaseException | str | None = None,
        retried: bool = False,
        timestamp: datetime | None = None,
    ) -> None:
        """Count one update; `retried` says that it took more than one attempt, whether or not it came through."""
        with self._lock:
            self._update_count += 1
            self._last_update = timestamp
            if ok and not retried:
                self._recent.append(processing_time_ms)
                return
            entry = {} if ok else shown_error(error, timestamp)
            critical = entry.get("error_severity") == "CRITICAL"
            about = getattr(error, "about", "")
            self._recent.append(Trouble(processing_time_ms, ok=ok, critical=critical, retried=retried, about=about))
            if entry:
                self._error_count += 1
                self._errors.append(entry)

    def record_unmeasured(self, count: int, timestamp: datetime | None) -> None:
        """Count updates that went well at once and whose time nobody took, the last of them at `timestamp`."""
        with self._lock:
            self._update_count += count
            self._last_update = timestamp
            self._recent.extend([0.0] * min(count, RECENT_UPDATES))

    def resolve(self, about: str) -> None:
        """What an error was about is known by now: that update failed, and is CRITICAL no more."""
        with self._lock:
            for update in self._recent:
                if isinstance(update, Trouble) and update.about == about:
                    update.critical = False

    def check(self) -> dict[str, Any]:
        """`{status, last_update, errors, metrics}`: the last 10 errors; counts over all updates, the mean time over the last 100."""
        own = dict(self._metrics()) if self._metrics else {}
        with self._lock:
            recent = tuple(self._recent)
            average_ms = _average_ms(recent)
            return {
                "status": _status(recent, average_ms, self._threshold_ms),
                "last_update": self._last_update,
                "errors": list(self._errors),
                "metrics": {
                    "update_count": self._update_count,
                    "avg_processing_time_ms": average_ms,
                    "error_rate": self._error_count / max(self._update_count, 1),
                    **own,
                },
            }


class UnifiedHealthManager:
    """Asks every registered component how it is, and remembers what was CRITICAL.

    A component whose `avg_processing_time_ms` is `processing_threshold_ms` or more counts as degraded at best (None: it decides itself).
    Critical errors are logged to `event_logger` at `clock`'s time. Safe to use from several threads.
    """

    def __init__(
        self,
        *,
        event_logger: EventLog | None = None,
        processing_threshold_ms: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._event_logger = event_logger
        self._threshold_ms = processing_threshold_ms
        self._clock: Clock = clock or SystemClock()
        self._checkers: dict[str, Checker] = {}
        self._critical: deque[tuple[BaseException, dict[str, Any]]] = deque(maxlen=RECENT_UPDATES)
        self._lock = Lock()

    def register_component(self, component_name: str, checker: Checker) -> None:
        """Ask `checker` from now on; a component built again takes the place of the one before it."""
        if not callable(checker):
            raise ValueError(f"the checker of {component_name} must be callable, got {shown(checker)}")
        with self._lock:
            self._checkers[component_name] = checker

    def check_health(self) -> dict[str, dict[str, Any]]:
        """`{component: {status, last_update, errors, metrics}}`, in the order of registration.

        A component that reported a critical error is unhealthy until that is resolved, also where it never registered. A checker that
        raises or gives no such answer makes its component unhealthy with HLT-001, and the others are still asked.
        """
        with self._lock:
            checkers, critical = dict(self._checkers), [entry for _, entry in self._critical]
        answers = {name: self._ask(name, checker) for name, checker in checkers.items()}
        for entry in critical:
            answer = answers.setdefault(entry["component"], _answer(HEALTHY))
            answer["status"] = UNHEALTHY
            answer["errors"] = [*answer["errors"], entry][-SHOWN_ERRORS:]
        return answers

    @property
    def status(self) -> str:
        """The worst of all components' statuses; healthy where there are none."""
        return max((answer["status"] for answer in self.check_health().values()), key=WORSE.__getitem__, default=HEALTHY)

    def report_critical(self, error: BaseException) -> None:
        """Remember an error after which the program must be restarted, and log it.

        Where the log cannot be written either, that is remembered too; the first error stays the one to raise.
        """
        entry = {"component": getattr(error, "component", "unknown"), **shown_error(error, self._clock.now())}
        with self._lock:
            self._critical.append((error, entry))
        if self._event_logger is None:
            return
        trace = "".join(traceback.format_exception(error))
        data = {key: value for key, value in entry.items() if key != "timestamp"} | {"stack_trace": trace}
        try:
            self._event_logger.log_event(entry["timestamp"], "error", "UnifiedHealthManager", data)
        except ComponentError as unwritten:
            with self._lock:
                self._critical.append((unwritten, {"component": unwritten.component, **shown_error(unwritten, entry["timestamp"])}))

    def resolve(self, about: str) -> None:
        """What critical errors were about (`about`, the key of an instruction) is known by now: they are forgotten, and their component is
        what it says itself."""
        with self._lock:
            left = [(error, entry) for error, entry in self._critical if getattr(error, "about", "") != about]
            self._critical.clear()
            self._critical.extend(left)

    @property
    def critical_errors(self) -> tuple[BaseException, ...]:
        """What was reported, oldest first; the last 100."""
        with self._lock:
            return tuple(error for error, _ in self._critical)

    @property
    def restart_required(self) -> bool:
        """Whether a supervisor is to restart the program (exit status 3 of `basis live`)."""
        return bool(self._critical)

    def _ask(self, name: str, checker: Checker) -> dict[str, Any]:
        try:
            found = checker()
        except Exception as error:  # noqa: BLE001 any code at all: what it raises is its answer
            return self._no_answer(f"{name}: its health check raised {type(error).__name__}: {as_text(error)}")
        status = found.get("status") if isinstance(found, Mapping) else None
        if not isinstance(status, str) or status not in WORSE:
            wanted = f"must give a dict with status {', '.join(WORSE)}"
            return self._no_answer(f"{name}: its health check {wanted}, got {reprlib.repr(found)}")
        answer = {**_answer(status), **found, "errors": list(found.get("errors") or ())[-SHOWN_ERRORS:]}
        average_ms = answer["metrics"].get("avg_processing_time_ms", 0.0)
        if status == HEALTHY and self._threshold_ms is not None and average_ms >= self._threshold_ms:
            answer["status"] = DEGRADED
        return answer

    def _no_answer(self, message: str) -> dict[str, Any]:
        return _answer(UNHEALTHY) | {"errors": [shown_error(ComponentError("HLT-001", message), self._clock.now())]}


def shown_error(error: BaseException | str | None, timestamp: datetime | None) -> dict[str, Any]:
    """The error as the health page and the event log show it; one without a code counts as MEDIUM."""
    return {
        "timestamp": timestamp,
        "error_code": getattr(error, "error_code", None),
        "error_message": getattr(error, "message", None)
        or ("the update failed" if error is None else as_text(error))
        or "the update failed",
        "error_severity": getattr(error, "severity", "MEDIUM"),
    }


def _answer(status: str) -> dict[str, Any]:
    return {"status": status, "last_update": None, "errors": [], "metrics": {}}


def _average_ms(recent: Sequence[float | Trouble]) -> float:
    times = [update.processing_time_ms if isinstance(update, Trouble) else update for update in recent]
    return sum(times) / len(times) if times else 0.0


def _status(recent: Sequence[float | Trouble], average_ms: float, threshold_ms: float) -> str:
    troubles = [update for update in recent if isinstance(update, Trouble)]
    if any(trouble.critical or (trouble.retried and not trouble.ok) for trouble in troubles) or _is_hopeless(recent):
        return UNHEALTHY
    return DEGRADED if troubles or average_ms >= threshold_ms else HEALTHY


def _is_hopeless(recent: Sequence[float | Trouble]) -> bool:
    latest = recent[-HOPELESS_UPDATES:]
    return len(latest) == HOPELESS_UPDATES and all(isinstance(update, Trouble) and not update.ok for update in latest)
