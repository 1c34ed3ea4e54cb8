"""What is added in one place works in all others: a config may name it, a backtest runs with it, the results and the report show it.

The rows are those of tests/additions.py. Nothing else is changed to make them work.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1 import EventDrivenStrategyEngine, load_config
from basis_strategy_v1.app.venue_lines import venue_lines
from basis_strategy_v1.config.faults import ConfigError
from basis_strategy_v1.config.loading import json_schema
from basis_strategy_v1.core.attribution_sources import SOURCES
from basis_strategy_v1.report.report import write_report
from basis_strategy_v1.venues.exchanges import EXCHANGES
from basis_strategy_v1.venues.registry import VENUES

from ..additions import added
from ..vault import GROWTH

D = Decimal
START, END = "2024-06-01", "2024-06-15"
NO_GAS = {"gas_price_gwei": 0}
DEX = {"uniswap": {"fee": 100}}


@pytest.fixture(autouse=True, scope="module")
def _added() -> Iterator[None]:
    with added():
        yield


@pytest.fixture(scope="module")
def data(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, with the lending series of a fork and the prices of a further exchange in it: those of Aave and Bybit."""
    folder = tmp_path_factory.mktemp("data") / "sample"
    shutil.copytree(sample, folder)
    (lending,) = (path for path in (folder / "lending").iterdir() if path.name.startswith("aave"))
    shutil.copytree(lending, folder / "lending" / "spark")
    for kind in ("spot", "perp"):
        source = folder / "ohlcv" / "bybit" / kind / "ETHUSDT_1h.csv"
        (copy := folder / "ohlcv" / "kraken" / kind / "ETHUSD_1h.csv").parent.mkdir(parents=True)
        shutil.copy(source, copy)
    (folder / "funding" / "kraken").mkdir()
    shutil.copy(folder / "funding" / "bybit" / "ETHUSDT.csv", folder / "funding" / "kraken" / "ETHUSD.csv")
    return folder


def config(mode: str, share_class: str, venues: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "strategy_mode": mode, "share_class": share_class, "initial_capital": 100, "start": START, "end": END, "venues": venues, **more,
    }  # fmt: skip


def backtest(given: dict[str, Any], data: Path, tmp_path: Path) -> tuple[dict[str, Any], Path]:
    """The summary and the folder of a run."""
    engine = EventDrivenStrategyEngine.from_config(given, data=data, results=tmp_path / "results", logs=tmp_path / "logs")
    folder = Path(engine.run().paths["summary.json"]).parent
    return json.loads((folder / "summary.json").read_text()), folder


def positions(folder: Path) -> set[tuple[str, str]]:
    with (folder / "positions.csv").open() as file:
        return {(row["venue"], row["token"]) for row in csv.DictReader(file)}


def requires_that_the_sources_add_up(summary: dict[str, Any], folder: Path) -> None:
    total = sum(D(amount) for amount in summary["attribution"].values())
    assert total == D(summary["pnl"]) == D(summary["final_equity"]) - D(summary["initial_equity"])
    with (folder / "equity.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {name: rows[-1][name] for name in SOURCES} == summary["attribution"]


def test_a_basis_is_traded_at_a_further_exchange_in_its_own_currency(data: Path, tmp_path: Path) -> None:
    strategy = {"spot_venue": "kraken", "perp_venue": "kraken"}
    given = config("eth_basis", "usdt_stable", {"cex": ["kraken"]}, initial_positions={"kraken": {"USD": 100_000}}, strategy=strategy)
    summary, folder = backtest({**given, "initial_capital": 100_000}, data, tmp_path)
    assert {("kraken", "ETH"), ("kraken", "ETHUSD-PERP")} <= positions(folder)
    assert D(summary["attribution"]["funding"]) != 0
    requires_that_the_sources_add_up(summary, folder)


@pytest.mark.parametrize(("lender", "owed"), [("spark", "variableDebtWETH"), ("vault", "vault:WETH:owed")])
def test_ether_is_borrowed_in_a_loop_at_a_further_lender(lender: str, owed: str, data: Path, tmp_path: Path) -> None:
    strategy = {"protocol": "lido", "lender": lender, "target_ltv": "0.8", "flash": True, "min_spread_bps": -10_000}
    given = config(
        "eth_leveraged", "eth_directional", {"dex": DEX, "onchain": {lender: {}, "lido": {}, "wallet": NO_GAS}}, strategy=strategy
    )
    summary, folder = backtest(given, data, tmp_path)
    assert (lender, owed) in positions(folder)
    assert D(summary["attribution"]["borrow_interest"]) < 0 < D(summary["attribution"]["staking"])
    requires_that_the_sources_add_up(summary, folder)


@pytest.mark.parametrize(("lender", "allowed"), [("spark", "0.92"), ("vault", "0.9")])
def test_no_more_is_borrowed_in_a_loop_than_a_further_lender_lends(lender: str, allowed: str) -> None:
    strategy = {"protocol": "lido", "lender": lender, "target_ltv": "0.95"}
    venues = {"dex": DEX, "onchain": {lender: {}, "lido": {}, "wallet": NO_GAS}}
    with pytest.raises(ConfigError, match=rf"strategy.target_ltv: 0.95; allowed: at most {allowed}, what {lender} lends on wstETH"):
        load_config(config("eth_leveraged", "eth_directional", venues, strategy=strategy), run=True)


def test_a_stablecoin_of_ltv_0_is_lent_at_a_fork_and_secures_nothing(data: Path, tmp_path: Path) -> None:
    venues = {"onchain": {"spark": {}, "wallet": NO_GAS}}
    summary, folder = backtest(
        config("pure_lending", "usdt_stable", venues, strategy={"protocol": "spark", "token": "USDT"}), data, tmp_path
    )
    assert positions(folder) == {("spark", "aUSDT"), ("wallet", "USDT")} or positions(folder) == {("spark", "aUSDT")}
    assert D(summary["attribution"]["supply_interest"]) > 0
    requires_that_the_sources_add_up(summary, folder)


def test_what_a_further_lender_pays_has_a_source_of_its_own_in_every_file_and_in_the_report(data: Path, tmp_path: Path) -> None:
    venues = {"onchain": {"vault": {"supply_rate_bps": 365}, "wallet": NO_GAS}}
    strategy = {"protocol": "vault", "token": "WETH"}
    given = config("pure_lending", "eth_directional", venues, initial_positions={"wallet": {"WETH": 100}}, strategy=strategy)
    summary, folder = backtest(given, data, tmp_path)
    rounding = D("1e-9")  # of the ledger, in units of 1e-12, at each of the hours
    assert [source for source, amount in summary["attribution"].items() if abs(D(amount)) > rounding] == [GROWTH]
    assert D("0.139") < D(summary["attribution"][GROWTH]) < D("0.141")  # 3.65 % a year of 100, for 14 days
    requires_that_the_sources_add_up(summary, folder)
    page = write_report(folder).read_text()
    row = SOURCES[GROWTH]
    assert all(f"{row.variable}:{shade};" in page for shade in row.colour)
    assert ">Points<" in page


def test_a_strategy_without_parameters_runs_from_a_config_without_any(data: Path, tmp_path: Path) -> None:
    summary, folder = backtest(config("wrapping", "eth_directional", {"cex": ["bybit"], "onchain": {"wallet": NO_GAS}}), data, tmp_path)
    assert ("wallet", "WETH") in positions(folder)
    assert summary["strategy_mode"] == "wrapping"
    with pytest.raises(ConfigError, match=r"strategy.token"):
        load_config(config("wrapping", "eth_directional", {"onchain": {"wallet": NO_GAS}}, strategy={"token": "ETH"}), run=True)


def test_the_list_of_venues_has_what_was_added() -> None:
    listed = [line.partition(" (")[0] for line in venue_lines() if not line.startswith(" ")]
    assert listed == [*EXCHANGES, *VENUES]
    assert {"kraken", "spark", "vault"} <= set(listed)


def test_the_schema_of_a_config_has_what_was_added() -> None:
    schema = json_schema()
    assert "wrapping" in schema["properties"]["strategy_mode"]["enum"]
    text = json.dumps(schema)
    assert all(f'"{name}"' in text for name in ("kraken", "spark", "vault"))
