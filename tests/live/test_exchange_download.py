"""Bars and funding by unmodified ccxt from a local server into a data folder: exact, resumable, and what is missing is named."""

from __future__ import annotations

import gzip
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1 import run
from basis_strategy_v1.app import download as module
from basis_strategy_v1.app.download import PARTS, WantedSeries, download
from basis_strategy_v1.cli import main
from basis_strategy_v1.core.clock import HOUR_US, iso, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.data_provider import DataProvider
from basis_strategy_v1.live.public_exchange import PublicExchange

from ..public_exchange import HOURS, close_of, rate_of
from ..public_process import PublicProcess

NOW = datetime(2026, 6, 1, 12, 34, 56, tzinfo=UTC)
SINCE = NOW - timedelta(hours=700)
NAMES = ("binance", "bybit", "okx", "hyperliquid")


@pytest.fixture
def at_noon(exchanges: PublicProcess) -> PublicProcess:
    exchanges.move_to(NOW)
    return exchanges


def symbol_at(name: str) -> str:
    return "ETHUSDC" if name == "hyperliquid" else "ETHUSDT"


def all_of(name: str) -> list[WantedSeries]:
    return [WantedSeries(kind, name, symbol_at(name)) for kind in ("spot", "perp", "funding")]


def downloaded(
    at: PublicProcess, folder: Path, wanted: list[WantedSeries], since: datetime = SINCE, until: datetime | None = None, **given: Any
) -> Any:
    exchange_of = cache(lambda name: PublicExchange(name, at.url, 3.0))
    return download(folder, wanted, since, until, exchange_of, sleep=given.pop("sleep", no_waiting), **given)


def no_waiting(seconds: float) -> None:
    """No test waits."""


def files_of(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def hours(name: str) -> range:
    first = -(-to_instant(SINCE) // HOUR_US)
    return range(first * HOUR_US, to_instant(NOW) // HOUR_US * HOUR_US, HOUR_US)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_has_what_the_exchange_said_and_nothing_that_has_not_closed(name: str, at_noon: PublicProcess, tmp_path: Path) -> None:
    found = downloaded(at_noon, tmp_path, all_of(name))
    lines = files_of(tmp_path)
    symbol = symbol_at(name)
    assert sorted(lines) == sorted(f"{one.spec.id}.csv" for one in all_of(name))
    stamps = {
        kind: [line.partition(",")[0] for line in lines[f"ohlcv/{name}/{kind}/{symbol}_1h.csv"].splitlines()[1:]]
        for kind in ("spot", "perp")
    }
    assert stamps["spot"] == stamps["perp"] == [iso(at) for at in hours(name)]
    last = hours(name)[-1]
    close = close_of("perp", (last + HOUR_US) // 1_000)
    row = lines[f"ohlcv/{name}/perp/{symbol}_1h.csv"].splitlines()[-1].split(",")[1:5]
    assert [float(text) for text in row] == [float(close - 1), float(close + 2), float(close - 2), float(close)]
    every = HOURS.get(name, 8) * HOUR_US
    paid = range(-(-to_instant(SINCE) // every) * every, to_instant(NOW) + 1, every)
    rates = [line.split(",") for line in lines[f"funding/{name}/{symbol}.csv"].splitlines()[1:]]
    assert [(at, float(rate)) for at, rate in rates] == [(iso(at), float(rate_of(at // 1_000))) for at in paid]
    assert [one.missing for one in found] == [(), (), ()]


def test_what_was_downloaded_is_run_from(at_noon: PublicProcess, tmp_path: Path) -> None:
    downloaded(at_noon, tmp_path / "market", all_of("binance"))
    legs = {"spot_venue": "binance", "perp_venue": "binance"}
    given = {"strategy_mode": "eth_basis", "share_class": "usdt_stable", "initial_capital": 10_000, "strategy": legs}
    given["venues"] = {"cex": ["binance"]}
    assert run(given, tmp_path / "market").summary["instructions_failed"] == 0


def test_a_later_download_asks_only_for_what_is_new(at_noon: PublicProcess, tmp_path: Path) -> None:
    wanted = [WantedSeries("perp", "binance", "ETHUSDT")]
    downloaded(at_noon, tmp_path, wanted, until=NOW - timedelta(hours=20))
    at_noon.seen()
    (found,) = downloaded(at_noon, tmp_path, wanted)
    asked = [request for request in at_noon.seen() if "klines" in request]
    assert (found.rows, len(asked)) == (20, 1)
    downloaded(at_noon, tmp_path / "at once", wanted)
    assert files_of(tmp_path / "at once") == {name: text for name, text in files_of(tmp_path).items() if not name.startswith("at once")}


@pytest.mark.parametrize("kind", ["perp", "funding"])
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_gaps_in_what_is_there_are_filled_and_those_that_the_exchange_has_not_are_named(
    kind: str, ending: str, at_noon: PublicProcess, tmp_path: Path
) -> None:
    wanted = [WantedSeries(kind, "binance", "ETHUSDT")]
    (whole,) = downloaded(at_noon, tmp_path / "whole", wanted)
    downloaded(at_noon, tmp_path / "gaps", wanted)
    path = tmp_path / "gaps" / f"{wanted[0].spec.id}.csv"
    header, *rows = path.read_text().splitlines()
    kept = [header, *rows[:3], *rows[10:]]  # of funding paid each 8 hours more than a day
    path.unlink()
    text = "\n".join([*kept, ""]).encode()
    path.with_name(path.name.removesuffix(".csv") + ending).write_bytes(gzip.compress(text) if ending.endswith("gz") else text)
    (found,) = downloaded(at_noon, tmp_path / "gaps", wanted)
    assert (found.rows, found.missing) == (7, whole.missing)
    kinds = [DataProvider(tmp_path / name).rows_visible(kind, "binance", "ETHUSDT", to_instant(NOW)) for name in ("whole", "gaps")]
    assert kinds[0] == kinds[1]


def killed_at(point: int, place: str, work: Callable[[], Any]) -> None:
    """Run it in a process that is killed at the n-th of the named places."""
    child = os.fork()
    if child == 0:
        count = 0
        inner = os.fsync if place == "rows" else module._asked

        def dies(*words: Any) -> Any:
            nonlocal count
            count += 1
            if count == point:
                os.kill(os.getpid(), signal.SIGKILL)
            return inner(*words)

        if place == "rows":
            os.fsync = dies  # what is written of a page is not whole yet
        else:
            module._asked = dies
        work()
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize(("place", "point"), [("request", 1), ("request", 2), ("request", 6), ("rows", 1), ("rows", 3), ("rows", 6)])
def test_a_download_that_was_killed_and_goes_on_gives_the_same_files(
    place: str, point: int, at_noon: PublicProcess, tmp_path: Path
) -> None:
    wanted = all_of("binance")
    downloaded(at_noon, tmp_path / "whole", wanted)
    killed_at(point, place, lambda: downloaded(at_noon, tmp_path / "killed", wanted))
    assert (tmp_path / "killed" / PARTS).is_dir()
    downloaded(at_noon, tmp_path / "killed", wanted)
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")


@pytest.mark.parametrize("fault", ["429", "500", "html", "empty", "cut"])
def test_an_answer_that_cannot_be_used_is_asked_for_again(fault: str, at_noon: PublicProcess, tmp_path: Path) -> None:
    waited: list[float] = []

    def waits(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            at_noon.fail(None)

    at_noon.fail(fault, "klines")
    (found,) = downloaded(at_noon, tmp_path, [WantedSeries("spot", "binance", "ETHUSDT")], sleep=waits)
    assert (found.rows, waited) == (len(hours("binance")), [1.0, 2.0, 4.0])


def test_an_exchange_that_never_answers_is_one_line_and_what_came_is_kept(at_noon: PublicProcess, tmp_path: Path) -> None:
    at_noon.fail("500", "fundingRate")
    wanted = [WantedSeries("spot", "binance", "ETHUSDT"), WantedSeries("funding", "binance", "ETHUSDT")]
    with pytest.raises(ComponentError, match=r"CEX-002: binance cannot be asked for funding rates of ETHUSDT"):
        downloaded(at_noon, tmp_path, wanted)
    at_noon.fail(None)
    at_noon.seen()
    downloaded(at_noon, tmp_path, wanted)
    assert [request for request in at_noon.seen() if "klines" in request] == []


def test_a_page_that_comes_for_ever_ends_and_its_rows_are_named_missing(at_noon: PublicProcess, tmp_path: Path) -> None:
    at_noon.fail("repeats", "klines")
    (found,) = downloaded(at_noon, tmp_path, [WantedSeries("spot", "binance", "ETHUSDT")])
    assert found.rows < len(hours("binance"))
    assert all(line.startswith("no row ") for line in found.missing)
    assert found.missing


def test_a_clock_in_the_future_brings_no_bar_that_has_not_closed(at_noon: PublicProcess, tmp_path: Path) -> None:
    (found,) = downloaded(at_noon, tmp_path, [WantedSeries("spot", "binance", "ETHUSDT")], until=NOW + timedelta(days=900))
    assert found.last == hours("binance")[-1]


def test_two_downloads_into_one_folder_are_refused(at_noon: PublicProcess, tmp_path: Path) -> None:
    from basis_strategy_v1.monitoring.folder_lock import FolderLock

    (tmp_path / PARTS).mkdir()
    child = os.fork()
    if child == 0:
        lock = FolderLock(tmp_path, tmp_path / PARTS / ".lock", "DAT-006", "wait")
        (tmp_path / "held").touch()
        signal.pause()
        lock.release()
        os._exit(0)
    try:
        while not (tmp_path / "held").exists():
            os.sched_yield()
        with pytest.raises(ComponentError, match=r"DAT-006: .* wait until it has ended"):
            downloaded(at_noon, tmp_path, [WantedSeries("spot", "binance", "ETHUSDT")])
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_symbol_that_is_not_listed_and_a_time_that_has_not_come_are_one_line_each(at_noon: PublicProcess, tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="DAT-001: binance lists no spot XYZUSDT"):
        downloaded(at_noon, tmp_path, [WantedSeries("spot", "binance", "XYZUSDT")])
    with pytest.raises(ComponentError, match="CFG-001: --since 2027-01-01T00:00:00Z: no spot row of binance can be there"):
        downloaded(at_noon, tmp_path, [WantedSeries("spot", "binance", "ETHUSDT")], since=datetime(2027, 1, 1, tzinfo=UTC))


def test_the_command_brings_what_a_config_needs_and_names_what_it_does_not(
    at_noon: PublicProcess, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "strategy_mode: eth_basis\nshare_class: usdt_stable\ninitial_capital: 10000\nstart: 2026-05-30\nend: 2026-06-01\n"
        f"strategy: {{spot_venue: binance, perp_venue: binance}}\nvenues: {{cex: {{binance: {{endpoint: '{at_noon.url}'}}}}}}\n"
    )
    monkeypatch.setattr(sys, "argv", ["basis", "data", "download", str(tmp_path / "market"), "--config", str(config)])
    with suppress(SystemExit):
        main()
    assert capsys.readouterr().out.splitlines() == [
        "ohlcv/binance/spot/ETHUSDT_1h: 48 rows",
        "ohlcv/binance/perp/ETHUSDT_1h: 48 rows",
        "funding/binance/ETHUSDT: 7 rows",
    ]
