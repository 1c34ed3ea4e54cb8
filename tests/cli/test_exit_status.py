"""What a supervisor reads: the exit status."""

from __future__ import annotations

import sys

import pytest

from basis_strategy_v1 import ComponentError, app
from basis_strategy_v1.cli import main


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ComponentError("CEX-003", "the answer to order 7 was lost"), 3),  # CRITICAL: start me again, and look it up first
        (ComponentError("STR-002", "mine.py, line 3: ValueError: enough"), 1),
        (ComponentError("CFG-001", "end: 2024-05-01; allowed: a time after start"), 2),
    ],
)
def test_the_exit_status_says_what_to_do_next(
    error: ComponentError, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(app, "build", build)
    monkeypatch.setattr(sys, "argv", ["basis", "backtest", "config/eth_basis.yaml"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == status
    assert capsys.readouterr().err == f"basis: {error.error_code}: {error.message}\n"
