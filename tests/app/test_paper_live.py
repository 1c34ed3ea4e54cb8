"""`--paper` on the wall clock: the exchanges' own prices over HTTP, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1.app import venue_accounts
from basis_strategy_v1.app.live import build_live
from basis_strategy_v1.app.venue_accounts import EXCHANGE_ACTIONS, RealVenue
from basis_strategy_v1.app.wall_clock import WallClockWaits
from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.engine import RunResult
from basis_strategy_v1.execution.paper import pass_point

from ..ledger_gateway import LedgerGateway
from ..public_exchange import close_of, rate_of
from ..public_process import PublicProcess
from ..venue_process import VenueProcess
from .test_paper_equals_backtest import LIMITS

BEGAN = datetime(2026, 6, 1, 5, 30, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@pytest.fixture(scope="module")
def process() -> Iterator[PublicProcess]:
    with PublicProcess() as found:
        yield found


class Time:
    """The time of the run and of the exchanges. A run that waits moves it on, and ends after so many steps."""

    def __init__(self, process: PublicProcess, at: datetime = BEGAN) -> None:
        self.process, self.steps = process, 0
        process.control(fault=None)
        self.move_to(at)

    def now(self) -> datetime:
        return self._at

    def move_to(self, at: datetime) -> None:
        self._at = at
        self.process.move_to(at)

    def __call__(self) -> bool:
        return self.steps < 0

    def wait(self, seconds: float) -> None:
        """Unused: `until` moves the time itself."""

    def until(self, at: datetime, each_s: float) -> Iterator[None]:
        self.move_to(at - timedelta(seconds=each_s))
        yield
        self.steps -= 1
        self.move_to(at)


@pytest.fixture
def time(process: PublicProcess) -> Time:
    return Time(process)


@pytest.fixture
def config(process: PublicProcess) -> dict[str, Any]:
    return {
        "strategy_mode": "eth_basis",
        "share_class": "usdt_stable",
        "initial_capital": 100_000,
        "strategy": {"spot_venue": "bybit", "perp_venue": "bybit"},
        "venues": {"cex": {"bybit": {"endpoint": process.url}}},
        "limits": LIMITS,
    }


def run(config: dict[str, Any], time: Time, folder: Path, steps: int, at: Callable[[str], None] = pass_point) -> RunResult:
    time.steps = steps
    engine = build_live(
        config, folder / "state", folder / "results", folder / "logs", paper=True, stop=time, clock=time, report=False, at=at
    )
    engine.waits = time
    try:
        return engine.run()
    finally:
        engine.live.journal.close_file()


def rows(result: RunResult, name: str = "equity.csv") -> list[list[str]]:
    return [line.split(",") for line in result.paths[name].read_text().splitlines()[1:]]


def events(result: RunResult, text: str) -> list[str]:
    return [line for line in result.paths["events.csv"].read_text().splitlines() if text in line]


def paid(base: Decimal, *hours: int) -> Decimal:
    """The funding of a position over payments of the first of June and later."""
    at_ms = [to_instant(datetime(2026, 6, 1, tzinfo=UTC) + hour * HOUR) // 1_000 for hour in hours]
    return sum((-base * close_of("perp", ms) * rate_of(ms) for ms in at_ms), Decimal(0))


def test_it_trades_at_full_intervals_on_live_prices_and_is_paid_the_funding(config: dict[str, Any], time: Time, tmp_path: Path) -> None:
    result = run(config, time, tmp_path, 12)
    stamps = [row[0] for row in rows(result)]
    assert stamps == [f"2026-06-01T{hour:02}:00:00Z" for hour in range(6, 18)]
    assert (result.summary["start"], result.summary["end"]) == (stamps[0], stamps[-1])
    held = {row[2]: Decimal(row[3]) for row in rows(result, "positions.csv") if row[0] == stamps[-2]}
    assert held["ETHUSDT-PERP"] < 0 < held["ETH"]
    assert Decimal(result.summary["attribution"]["funding"]) == paid(held["ETHUSDT-PERP"], 8, 16).quantize(Decimal("1e-12"))
    assert sum(map(Decimal, result.summary["attribution"].values())) == Decimal(result.summary["pnl"])
    assert len(events(result, "settlement")) == 2


def test_a_restart_hours_later_goes_on_and_records_what_fell_due_meanwhile_once(config: dict[str, Any], time: Time, tmp_path: Path) -> None:
    first = run(config, time, tmp_path, 3)
    begun = first.paths["equity.csv"].read_text()
    time.move_to(BEGAN + 30 * HOUR)
    then = run(config, time, tmp_path, 3)
    assert then.paths["equity.csv"].read_text().startswith(begun)
    assert [row[0] for row in rows(then)][2:4] == ["2026-06-01T08:00:00Z", "2026-06-02T12:00:00Z"]
    base = next(Decimal(row[3]) for row in rows(first, "positions.csv") if row[2] == "ETHUSDT-PERP")
    assert Decimal(then.summary["attribution"]["funding"]) == paid(base, 8, 16, 24, 32).quantize(Decimal("1e-12"))
    assert then.summary["initial_equity"] == first.summary["initial_equity"]
    assert then.summary["instructions_routed"] == first.summary["instructions_routed"] == 2
    assert sorted(path.name for path in (tmp_path / "results").iterdir() if path.is_dir()) == [then.run_id]  # the earlier rows are in it


def test_while_the_exchange_does_not_answer_nothing_is_traded_and_afterwards_it_is(
    config: dict[str, Any], time: Time, tmp_path: Path
) -> None:
    class Fails(Time):
        def until(self, at: datetime, each_s: float) -> Iterator[None]:
            yield from super().until(at, each_s)
            self.process.fail("500" if self.steps > 0 else None, "kline")

    result = run(config, Fails(time.process), tmp_path, 2)
    (skipped,) = events(result, "no trade:")
    (silence,) = events(result, "MarketFeed")
    assert "CEX-002" in silence and "bybit cannot be asked for spot bars of ETHUSDT" in silence
    assert "bybit cannot be asked for " in skipped and "it values positions, but no trade is opened on it" in skipped
    assert (rows(result)[0][1], result.summary["instructions_routed"]) == ("100000", 2)


def test_a_leg_that_cannot_follow_is_critical_where_the_first_cannot_be_undone(config: dict[str, Any], time: Time, tmp_path: Path) -> None:
    def at(point: str) -> None:
        if point == "after execute":  # of the first leg
            time.process.fail("500", "kline")
            time.move_to(time.now() + 2 * SECOND)

    with pytest.raises(ComponentError) as raised:
        run(config, time, tmp_path, 1, at)
    assert (raised.value.error_code, raised.value.severity) == ("ENG-002", "CRITICAL")
    assert "bybit cannot be asked for " in raised.value.message


def test_each_step_of_a_plan_meets_the_prices_of_its_own_moment(config: dict[str, Any], time: Time, tmp_path: Path) -> None:
    def at(point: str) -> None:
        if point == "after execute":
            time.move_to(time.now() + 61 * SECOND)

    result = run(config, time, tmp_path, 1, at)
    six = to_instant(datetime(2026, 6, 1, 6, tzinfo=UTC)) // 1_000
    spot, perp = (line for line in events(result, ",execution,"))
    assert f"""{close_of("spot", six) * Decimal("1.0001")}""".rstrip("0") in spot
    assert f"""{close_of("perp", six + 61_000) * Decimal("0.9999")}""".rstrip("0") in perp


def test_the_settings_of_the_section_live_are_kept(config: dict[str, Any], time: Time, tmp_path: Path) -> None:
    own = {"recovery_interval_s": 3, "settle_deadline_s": {"exchange": 7}}
    time.steps = 0
    engine = build_live({**config, "live": own}, tmp_path / "s", tmp_path / "r", tmp_path / "l", paper=True, stop=time, clock=time)
    assert engine.recovery_interval_s == 3
    assert engine.live.parts.settings.settle_deadline_s == {"exchange": 7, "chain": 900, "withdrawal": 21_600}
    engine.waits = time
    engine.run()


CHAIN_SERIES = {
    "the gas of a wallet": (
        {"venues": {"cex": ["bybit"], "onchain": {"wallet": {"gas_price_gwei": "market"}}}},
        "no live feed of gas of ethereum for ethereum: set gas_price_gwei of the wallet to a number, or replay recorded data with "
        "--data DIR --speed max",
    ),
    "a staked token that is held": (
        {
            "venues": {"cex": ["bybit"], "onchain": {"lido": {}, "wallet": {"gas_price_gwei": 0}}},
            "initial_positions": {"bybit": {"USDT": 1}, "wallet": {"wstETH": 1}},
        },
        "no live feed of staking of lido for wstETH: only a chain gives them. Replay recorded data with --data DIR --speed max",
    ),
}


@pytest.mark.parametrize("what", CHAIN_SERIES)
def test_what_only_a_chain_knows_is_refused_in_one_line(what: str, config: dict[str, Any], tmp_path: Path) -> None:
    changes, line = CHAIN_SERIES[what]
    with pytest.raises(ComponentError) as raised:
        build_live({**config, **changes}, tmp_path, paper=True, stop=Time.__new__(Time))
    assert (raised.value.error_code, raised.value.message) == ("DAT-001", line)


def test_a_file_of_blocks_is_no_wall_clock_run(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text("")
    blocks = {**config, "strategy_mode": "blocks", "strategy": {"file": str(tmp_path / "b.jsonl")}}
    with pytest.raises(ComponentError, match="strategy_mode blocks has the times of its blocks in its file: replay recorded data"):
        build_live(blocks, tmp_path, paper=True, stop=Time.__new__(Time))


# A clock that is moved.


class Jumping(Time):
    """Before its third step the run's clock, not the exchange's, is a day ahead for two looks, and then right again."""

    def until(self, at: datetime, each_s: float) -> Iterator[None]:
        if self.steps == 4:
            for ahead in (timedelta(days=1), timedelta(days=1), timedelta(0)):
                self.move_to(at - timedelta(minutes=3))
                self._at += ahead
                yield
        yield from super().until(at, each_s)


def test_a_clock_that_was_a_day_ahead_for_a_while_changes_nothing(config: dict[str, Any], process: PublicProcess, tmp_path: Path) -> None:
    usual, moved = run(config, Time(process), tmp_path / "usual", 6), run(config, Jumping(process), tmp_path / "moved", 6)
    assert rows(moved) == rows(usual)
    assert rows(moved, "positions.csv") == rows(usual, "positions.csv")


class AheadWhileItSteps(Time):
    """While the third step is made, the run's clock is a day ahead; it is right again at the first look after it."""

    def until(self, at: datetime, each_s: float) -> Iterator[None]:
        if at - BEGAN > timedelta(days=1):
            self.move_to(self._at - timedelta(days=1) + timedelta(seconds=each_s))
            yield
            raise AssertionError("it waits for a step of tomorrow")
        yield from super().until(at, each_s)
        if self.steps == 3:
            self._at += timedelta(days=1)


def test_a_clock_that_was_a_day_ahead_at_a_step_lets_the_next_step_be_made_at_its_time(
    config: dict[str, Any], process: PublicProcess, tmp_path: Path
) -> None:
    result = run(config, AheadWhileItSteps(process), tmp_path, 6)
    assert [row[0] for row in rows(result)] == [f"2026-06-01T{hour:02}:00:00Z" for hour in range(6, 12)]
    assert len(events(result, "ENG-003")) == 1


# Waiting.


class Waited:
    """A clock that goes on only by waiting, or by more where it is moved."""

    def __init__(self, *jumps: float) -> None:
        self.at, self.waits, self.jumps = BEGAN, [], list(jumps)

    def now(self) -> datetime:
        return self.at

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.at += (seconds + (self.jumps.pop(0) if self.jumps else 0)) * SECOND


def test_waiting_yields_each_interval_and_ends_at_the_time() -> None:
    clock = Waited()
    assert len(list(WallClockWaits(clock, clock.wait, lambda: False).until(BEGAN + 25 * SECOND, 10.0))) == 2
    assert clock.waits == [10, 10, 5]


def test_a_clock_that_is_set_back_or_ahead_is_waited_for_as_it_goes() -> None:
    back, ahead = Waited(-20.0), Waited(3_600.0)
    for clock in (back, ahead):
        list(WallClockWaits(clock, clock.wait, lambda: False).until(BEGAN + 15 * SECOND, 10.0))
    assert (back.waits, ahead.waits) == ([10, 10, 10, 5], [10])


def test_a_run_that_is_to_stop_waits_no_longer() -> None:
    clock = Waited()
    assert list(WallClockWaits(clock, clock.wait, lambda: bool(clock.waits)).until(BEGAN + HOUR, 10.0)) == []
    assert clock.waits == [10]


# Real accounts: one line in the table, and the same run sends to them.


WAITS = "def decide(step, memory):\n    return [], memory\n"


def test_an_account_with_a_gateway_is_read_and_valued_at_live_prices(
    config: dict[str, Any], time: Time, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    own = {"venues": {"cex": {"binance": {"endpoint": time.process.url}}}, "live": {"allocation": {"binance": {"BTC": 0, "ETH": 2}}}}
    waiting = {**config, **own, "strategy_mode": "custom", "strategy": {"file": str(tmp_path / "waits.py")}}
    places = (tmp_path / "state", tmp_path / "results", tmp_path / "logs")
    elsewhere = {**waiting, "venues": {"cex": {"bybit": {"endpoint": time.process.url}}}, "live": {}}
    monkeypatch.delitem(venue_accounts.REAL, "bybit")
    with pytest.raises(ComponentError, match="bybit: no live gateway in this version; add --paper"):
        build_live(elsewhere, *places, paper=False, stop=time, clock=time)
    with VenueProcess(tmp_path / "venue.jsonl") as venue:
        gateway = RealVenue(lambda account: LedgerGateway(venue.url, account.name), EXCHANGE_ACTIONS)
        monkeypatch.setitem(venue_accounts.REAL, "binance", gateway)
        engine = build_live(waiting, *places, paper=False, stop=time, clock=time, report=False)
        engine.waits, time.steps = time, 2
        result = engine.run()
    six, seven = (to_instant(datetime(2026, 6, 1, hour, tzinfo=UTC)) // 1_000 for hour in (6, 7))
    assert [Decimal(row[1]) for row in rows(result)] == [1_000_000 + 2 * close_of("spot", six), 1_000_000 + 2 * close_of("spot", seven)]
    assert not (tmp_path / "state" / "paper.sqlite").exists()


def test_unwinding_leaves_everything_step_by_step(config: dict[str, Any], time: Time, tmp_path: Path) -> None:
    run(config, time, tmp_path, 2)
    time.steps = 5
    engine = build_live(
        config, tmp_path / "state", tmp_path / "results", tmp_path / "logs", paper=True, stop=time, clock=time, report=False
    )
    engine.waits, engine.is_leaving = time, True
    result = engine.run()
    assert engine.has_left and time.steps > 0
    held = {row[2]: Decimal(row[3]) for row in rows(result, "positions.csv") if row[0] == rows(result, "positions.csv")[-1][0]}
    assert "ETHUSDT-PERP" not in held and held.get("ETH", 0) < Decimal("0.001")
