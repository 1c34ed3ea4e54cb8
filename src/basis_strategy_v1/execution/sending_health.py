"""The health of sending: orders that are open for too long, reads that failed, and balances at a venue that are not in the state."""

from __future__ import annotations

from threading import Lock
from typing import Any

from basis_strategy_v1.monitoring.health import DEGRADED, HEALTHY, UNHEALTHY


class SendingHealth:
    """One trouble for each subject (a key, or what was compared). It ends when the subject is well again, so that health recovers.

    `check` is its answer to the health manager: unhealthy where an outcome is unknown, degraded for any other trouble. Safe to use from
    several threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._troubles: dict[str, tuple[bool, str, str]] = {}  # subject -> (is critical, error code, message)
        self.needs_comparison = False  # report, expectation and reading of an order disagreed since the holdings were compared

    def trouble(self, subject: str, error_code: str, message: str, *, is_critical: bool = False) -> None:
        """Something is wrong with a subject; it takes the place of what was wrong with it before."""
        with self._lock:
            self._troubles[subject] = (is_critical, error_code, message)

    def disagreement(self, subject: str, error_code: str, message: str) -> None:
        """Report, expectation and reading of an order disagree: the holdings are to be compared."""
        self.needs_comparison = True
        self.trouble(subject, error_code, message)

    def is_well(self, subject: str) -> None:
        """Nothing is wrong with a subject any more."""
        with self._lock:
            self._troubles.pop(subject, None)

    def check(self) -> dict[str, Any]:
        """`{status, last_update, errors, metrics}`, one error for each trouble, oldest first."""
        with self._lock:
            troubles = list(self._troubles.values())
        status = UNHEALTHY if any(is_critical for is_critical, _, _ in troubles) else DEGRADED if troubles else HEALTHY
        errors = [
            {
                "timestamp": None,
                "error_code": error_code,
                "error_message": message,
                "error_severity": "CRITICAL" if is_critical else "MEDIUM",
            }
            for is_critical, error_code, message in troubles
        ]
        return {"status": status, "last_update": None, "errors": errors, "metrics": {"troubles": len(troubles)}}
