"""Hypothesis profiles, the shared market data, which tests are slow, how long a test may take, and that CI skips nothing it can install."""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Generator

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"
INSTALLABLE = ("browser", "chain", "installer")

# Files, and tests within files, that `make fast` leaves out; those with a marker of `INSTALLABLE` or `prove` are slow without being named.
SLOW = (
    "app/test_measuring.py",
    "app/test_paper_equals_backtest.py",
    "app/test_paper_live.py",
    "app/test_sweep.py",
    "app/test_sweep_cluster.py",
    "app/test_sweep_search.py::test_a_swept_walk_forward_has_the_rows_of_the_runs_of_its_windows",
    "app/test_two_runs.py",
    "chain/test_client.py",
    "cli/test_commands.py::test_data_import_writes_a_database_that_gives_the_same_run",
    "cli/test_commands.py::test_data_sample_writes_the_same_bytes_for_the_same_seed",
    "cli/test_commands.py::test_data_validate_lists_data_quality_issues_and_fails_where_a_file_cannot_be_used",
    "cli/test_commands.py::test_with_a_folder_and_a_database_in_the_config_the_environment_says_which",
    "cli/test_live_commands.py",
    "cli/test_live_on_the_wall_clock.py",
    "cli/test_process.py",
    "cli/test_research.py",
    "config/test_any_json.py",
    "core/test_any_instruction.py::test_the_largest_blocks_are_refused_at_once",
    "core/test_state_change.py::test_the_changes_of_a_real_run_lead_from_each_state_to_the_next_down_to_the_last_digit_and_the_order",
    "core/test_state_codec.py::test_every_state_of_a_real_run_is_the_same_after_it_was_text",
    "data/test_data_provider.py::test_nonsense_after_the_end_changes_no_answer",
    "data/test_sample.py",
    "data/test_snapshot.py::test_any_order_of_instants_reads_the_last_bar_closed",
    "data/test_snapshot.py::test_what_is_reported_of_old_prices_is_what_reading_meets",
    "data/test_importing.py::test_an_import_that_is_killed_leaves_what_was_there_or_all_that_is_new",
    "data/test_importing.py::test_a_disk_that_fills_leaves_what_was_there",
    "data/test_importing.py::test_the_sample_imported_into_a_folder_is_the_sample",
    "data/test_validation.py::test_a_sound_folder_has_no_finding",
    "data/test_validation.py::test_the_real_data_have_the_gaps_that_are_known",
    "exchange/test_hyperliquid.py",
    "exchange/test_process.py",
    "execution/test_claims.py::test_a_folder_and_the_database_made_of_it_report_the_same",
    "execution/test_only_risk_approves.py::test_nothing_else_in_the_package_makes_one",
    "live/crash/",
    "live/exchange/test_every_venue.py",
    "live/test_exchange_download.py",
    "live/exchange/test_faults.py",
    "live/exchange/test_killed_trader.py",
    "live/exchange/test_killed_transfers.py",
    "live/exchange/test_live_run.py",
    "live/exchange/test_parity.py",
    "live/exchange/test_recorded_day.py",
    "live/exchange/test_withdrawals.py",
    "live/test_a_known_key_is_nowhere.py",
    "live/test_http_deadline.py",
    "live/test_market_feed.py",
    "monitoring/test_event_logger.py::test_a_hundred_thousand_events_leave_memory_flat",
    "monitoring/test_event_reader.py::test_the_export_holds_no_more_than_a_line_of_each_component",
    "report/test_figures.py::test_a_year_by_the_hour_is_thinned_and_keeps_its_ends_and_its_deepest_drawdown",
    "report/test_report.py::test_of_more_than_two_thousand_settlements_the_page_shows_the_first_and_says_where_the_others_are",
    "scenarios/test_lending_at_the_index.py::test_the_final_equity_is_the_capital_times_the_index_ratio",
    "scenarios/test_pools_and_markets.py::test_a_second_run_writes_the_same_bytes_from_the_folder_and_from_a_database",
    "scenarios/test_own_orders.py",
    "scenarios/test_same_bytes.py::test_a_database_gives_the_same_bytes_as_the_folder_it_was_made_of",
    "scenarios/test_transfers_pay.py",
    "scenarios/test_whole_cycle.py",
    "spec/test_success_criteria.py::test_a_peer_that_cannot_be_installed_is_one_line_and_no_failure",
    "spec/test_success_criteria.py::test_the_benchmark_prints_each_target_next_to_what_was_measured",
    "strategies/test_restart.py",
    "test_compare.py",
    "test_documents.py::test_help_is_what_the_readme_promises",
    "test_examples.py",
    "test_tools.py",
    "venues/test_a_third_staking_protocol.py",
    "test_newcomer.py",
    "test_notebooks.py",
)
FAST_SHARE = 0.9
FAST_S = 30
BEGAN = time.monotonic()
# Seconds for a test with its fixtures, on a busy machine; pyproject.toml has the limit of all others. A chain test may compile first.
LIMITS_S = {"prove": 3_600, "chain": 600, "installer": 600, "browser": 300, "slow": 300}

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=100, database=None)
settings.register_profile("fast", derandomize=True, deadline=None, max_examples=5, database=None)
settings.register_profile("prove", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated sample; not to be changed."""
    from basis_strategy_v1.data.sample import write_sample  # not above: what a conftest loads is not measured

    folder = tmp_path_factory.mktemp("generated") / "sample"
    write_sample(folder)
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the specification, market data and test vectors, which lies next to the checkout."""
    if not SHARED.is_dir():
        pytest.skip("../shared is not next to the checkout")
    return SHARED


@pytest.fixture(scope="session")
def market_data(shared: Path) -> Path:
    """Recorded market data in the CSV layout that `--data` takes."""
    directory = shared / "data" / "market"
    if not directory.is_dir():
        pytest.skip("../shared/data/market is not next to the checkout")
    return directory


def pytest_collection_finish() -> None:
    """What has been collected stays until the end: the garbage collector need not look at it again."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()


def is_slow(item: pytest.Item) -> bool:
    name = item.nodeid.removeprefix("tests/")
    return any(item.get_closest_marker(marker) for marker in (*INSTALLABLE, "prove")) or name.startswith(SLOW)


@pytest.hookimpl(tryfirst=True)  # before pytest's own, which selects by markers
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is slow, give each its time limit, and put slow files first, so that two processes end at about the same time."""
    for item in items:
        if is_slow(item):
            item.add_marker("slow")
        if limit := next((LIMITS_S[name] for name in LIMITS_S if item.get_closest_marker(name)), None):
            item.add_marker(pytest.mark.timeout(limit))
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
    checked = [item for item in items if not item.get_closest_marker("prove")]
    config.stash[SHARE] = sum(not item.get_closest_marker("slow") for item in checked) / max(len(checked), 1)


SHARE = pytest.StashKey[float]()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """`make fast` fails where it no longer runs its share of the tests."""
    if SHARE in session.config.stash and hasattr(session.config, "workeroutput"):
        session.config.workeroutput["share"] = session.config.stash[SHARE]
    elif is_fast_run(session.config) and session.config.stash[SHARE] < FAST_SHARE and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A process of `--numprocesses` has ended; each has collected all the tests."""
    if share := getattr(node, "workeroutput", {}).get("share"):
        node.config.stash[SHARE] = share


def is_fast_run(config: pytest.Config) -> bool:
    """Whether all the tests but the slow ones were to run."""
    return config.option.markexpr == "not slow" and SHARE in config.stash and config.args_source is not pytest.Config.ArgsSource.ARGS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not is_fast_run(config):
        return
    share, limit = f"{config.stash[SHARE]:.1%}", f"{FAST_SHARE:.0%}"
    terminalreporter.write_line(f"fast: {share} of the tests; at least {limit} are to be fast: SLOW in tests/conftest.py names the others")
    if time.monotonic() - BEGAN > FAST_S:
        reports = [report for kept in terminalreporter.stats.values() for report in kept if isinstance(report, pytest.TestReport)]
        for report in sorted(reports, key=lambda report: -report.duration)[:10]:
            terminalreporter.write_line(f"{report.duration:.2f} s {report.when} {report.nodeid}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true a browser or chain test that skips has failed: CI can install what it needs."""
    report = yield
    installable = [name for name in INSTALLABLE if item.get_closest_marker(name)]
    if report.skipped and installable and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"a test marked {installable[0]} may not be skipped when CI=true: {report.longrepr}"
    return report
