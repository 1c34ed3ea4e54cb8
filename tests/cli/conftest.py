"""The command `basis`, run in this process, over a folder of its own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from basis_strategy_v1 import cli

UNFINISHED = ["config.yaml", "equity.csv", "events.csv", "positions.csv", "risk.csv", "timing.json", "trades.csv"]
"""The files of a run that was ended before its summary."""
CONFIG = """\
strategy_mode: eth_basis
share_class: usdt_stable
initial_capital: 100000
start: 2024-06-01
end: 2024-06-04
strategy: {spot_venue: bybit, perp_venue: bybit}
venues: {cex: [bybit]}
"""


class Done(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines of the error, without the command's name; a traceback is none of them."""
        assert "Traceback" not in self.err
        assert self.err.startswith("basis: ") and self.err.endswith("\n")
        return self.err.removeprefix("basis: ").splitlines()


Basis = Callable[..., Done]


@pytest.fixture
def broken(sample: Path, tmp_path: Path) -> Path:
    """The series that CONFIG needs, to be spoilt."""
    for name in ("ohlcv/bybit/spot/ETHUSDT_1h.csv", "ohlcv/bybit/perp/ETHUSDT_1h.csv", "funding/bybit/ETHUSDT.csv"):
        target = tmp_path / "broken" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample / name, target)
    return tmp_path / "broken"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Three days of eth_basis."""
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def basis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Basis:
    """`basis("backtest", config, …)`: its status, and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["basis", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        printed = capsys.readouterr()
        return Done(int(left.value.code or 0), printed.out, printed.err)

    return run
