"""Hypothesis profiles, the shared market data, and the rule that CI skips nothing it can install."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Generator

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"
INSTALLABLE = ("browser", "chain", "installer")

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=100, database=None)
settings.register_profile("prove", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the specification, market data and test vectors, which lies beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("../shared is not beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def market_data(shared: Path) -> Path:
    """Recorded market data in the CSV layout that `--data` takes."""
    directory = shared / "data" / "market"
    if not directory.is_dir():
        pytest.skip("../shared/data/market is not beside the checkout")
    return directory


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true a browser or chain test that skips has failed: CI can install what it needs."""
    report = yield
    installable = [name for name in INSTALLABLE if item.get_closest_marker(name)]
    if report.skipped and installable and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"a test marked {installable[0]} may not be skipped when CI=true: {report.longrepr}"
    return report
