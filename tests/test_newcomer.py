"""What a new user stumbled over: a test for each number of the list; those of data and markets are tested where they belong."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from basis_strategy_v1 import ComponentError, load_config, open_run, run
from basis_strategy_v1.app import build
from basis_strategy_v1.report.report import write_report

REPOSITORY = Path(__file__).resolve().parents[1]
DAY: dict[str, Any] = {
    "strategy_mode": "eth_basis",
    "share_class": "usdt_stable",
    "initial_capital": 100_000,
    "start": "2024-06-01",
    "end": "2024-06-04",
    "strategy": {"spot_venue": "bybit", "perp_venue": "bybit"},
    "venues": {"cex": ["bybit"]},
}
SERIES = ("ohlcv/bybit/spot/ETHUSDT_1h.csv", "ohlcv/bybit/perp/ETHUSDT_1h.csv", "funding/bybit/ETHUSDT.csv")


@pytest.fixture
def page(sample: Path, tmp_path: Path) -> str:
    found = run(DAY, data=sample, results=tmp_path / "results")
    return found.report().read_text(encoding="utf-8")


def needed(sample: Path, into: Path) -> Path:
    """The series that DAY needs, to be changed."""
    for name in SERIES:
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample / name, into / name)
    return into


def basis(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; from basis_strategy_v1.cli import main; sys.argv[0] = 'basis'; main()"
    return subprocess.run([sys.executable, "-c", code, *words], cwd=cwd, capture_output=True, text=True, check=False)


def test_d1_no_button_of_a_chart_sends_anything_anywhere(page: str) -> None:
    assert 'modeBarButtons: [["toImage"], ["zoom2d", "pan2d"], ["resetScale2d"]], showSendToCloud: false, plotlyServerURL: ""' in page
    assert "default-src 'none'" in page


def test_d2_tile_chart_metrics_and_table_follow_one_rule_for_stale_prices(sample: Path, tmp_path: Path) -> None:
    data = needed(sample, tmp_path / "data")
    perp = data / "ohlcv/bybit/perp/ETHUSDT_1h.csv"
    rows = perp.read_text().splitlines(keepends=True)
    perp.write_text("".join(row for row in rows if not "2024-06-02T03" <= row[:13] < "2024-06-02T15"))
    spot = data / "ohlcv/bybit/spot/ETHUSDT_1h.csv"
    spot.write_text("".join(_fallen(row) if row[:13] == "2024-06-02T10" else row for row in spot.read_text().splitlines(keepends=True)))
    found = run(DAY, data=data, results=tmp_path / "results")
    stale = found.equity["stale"].to_pylist()
    assert sum(stale) == 12
    equity = [100_000.0, *(value for value, old in zip(found.equity["equity"].to_pylist(), stale, strict=True) if not old)]
    peaks = [max(equity[: place + 1]) for place in range(len(equity))]
    deepest = max(1 - value / peak for value, peak in zip(equity, peaks, strict=True))
    assert float(found.summary["max_drawdown"]) == pytest.approx(deepest, abs=1e-9)
    assert (found.metrics["max_drawdown"] or 0) <= deepest + 1e-12
    page = found.report().read_text(encoding="utf-8")
    drawn = json.loads(re.findall(r'id="run-data">(.*?)</script>', page)[0])["series"]
    assert -min(drawn["drawdown"]) == pytest.approx(deepest, abs=1e-8)
    assert min(drawn["equity"]) == pytest.approx(min(equity[1:]), rel=1e-8)
    assert f"{deepest * 100:.2f}%" in page


def _fallen(row: str) -> str:
    stamp, *prices, volume = row.rstrip("\n").split(",")
    return ",".join([stamp, *(str(round(float(price) * 0.8, 2)) for price in prices), volume]) + "\n"


def test_d3_the_same_amount_is_rounded_the_same_everywhere(page: str) -> None:
    cells = re.findall(r'<tr class=""><td scope="row">Fees</td><td class="n">(.*?)</td>', page)
    shown = re.sub("<.*?>", "", cells[0])
    assert shown == re.findall(r"fees (-[0-9,]+\.[0-9]+)", page)[0]
    assert 'class="tail"' not in page


def test_d6_a_second_run_does_not_remove_the_page_of_the_first(sample: Path, tmp_path: Path) -> None:
    first = build(DAY, sample, tmp_path / "results", tmp_path / "logs").run()
    written = first.paths["report.html"].read_bytes()
    second = build(DAY, sample, tmp_path / "results", tmp_path / "logs", report=False).run()
    assert second.run_id == first.run_id
    assert first.paths["report.html"].read_bytes() == written


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"strategy": {**DAY["strategy"], "enter_above_apr": 0.9}},
         r"mean funding a year >= strategy\.enter_above_apr, 0\.9: not met on 4 of 4 days; the nearest was 0\.\d+"),
        ({"initial_capital": 3}, r"capital for the smallest order that the strategy trades \(initial_capital\): not met on \d of 4 days"),
    ],
)  # fmt: skip
def test_d8_a_run_that_never_trades_says_why(sample: Path, tmp_path: Path, change: dict[str, Any], line: str) -> None:
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**DAY, **change}))
    printed = " ".join(basis("backtest", "run.yaml", "--data", str(sample), cwd=tmp_path).stdout.split())
    assert "Out of the market" in printed
    [folder] = (tmp_path / "results").iterdir()
    assert re.search(line, (folder / "report.html").read_text(encoding="utf-8").replace("&gt;", ">"))
    assert open_run(folder).summary["waited"][0]["of"] == 4


def test_d9_the_config_of_a_run_has_the_figures_of_its_venues_and_gives_the_same_run(sample: Path, tmp_path: Path) -> None:
    found = run(DAY, data=sample, results=tmp_path)
    assert found.folder is not None
    written = (found.folder / "config.yaml").read_text()
    assert yaml.safe_load(written)["venues"]["cex"]["bybit"]["perp_taker_fee_bps"] == 5.5
    assert "# bybit: fees spot taker 10 bps, perp taker 5.5 bps; " in written
    assert load_config(found.folder / "config.yaml").hash == found.summary["config_hash"]
    assert run(found.folder / "config.yaml", data=sample).run_id == found.run_id


def test_d13_no_message_shows_how_python_writes_a_value(tmp_path: Path) -> None:
    for strategy in ({"leverage": None}, {"leverage": Decimal("0")}, {"hedge_tolerance_bps": "all"}):
        with pytest.raises(ComponentError) as refused:
            load_config({**DAY, "strategy": {**DAY["strategy"], **strategy}}, run=True)
        assert not re.search(r"Decimal\(|None|object has no|ASCII", str(refused.value))


def test_d14_the_hover_of_positions_names_the_token(page: str) -> None:
    figures = json.loads(re.findall(r'id="run-data">(.*?)</script>', page)[0])["figures"]
    [positions] = [figure for figure in figures if figure["id"] == "figure-positions"]
    assert {trace["hovertemplate"].rpartition(" ")[2] for trace in positions["traces"]} == {"ETH", "USDT", "ETHUSDT-PERP"}


def test_d15_help_is_whole_has_a_short_option_and_there_is_completion(tmp_path: Path) -> None:
    for words in (("-h",), ("data", "-h")):
        assert "..." not in basis(*words, cwd=tmp_path).stdout.partition("Commands:")[2]
    assert "--show-completion" in basis("-h", cwd=tmp_path).stdout


def test_d16_a_mistyped_mode_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(ComponentError, match=r"strategy_mode: 'eth_bases'; allowed: .*; did you mean eth_basis\?"):
        load_config({**DAY, "strategy_mode": "eth_bases"})


def test_d17_the_same_config_over_other_data_is_another_run_and_neither_is_moved(sample: Path, tmp_path: Path) -> None:
    other = needed(sample, tmp_path / "data")
    rates = other / SERIES[2]
    rates.write_text(
        "".join(f"{row[:20]},0.00012\n" if row.startswith("2024-06-02T08") else row for row in rates.read_text().splitlines(True))
    )
    ids = [run(DAY, data=data, results=tmp_path / "results").run_id for data in (sample, other, sample)]
    assert ids[0] == ids[2] != ids[1]
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == sorted(set(ids))


def test_d18_a_strategy_file_imports_the_module_next_to_it(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("def blocks():\n    return []\n")
    (tmp_path / "mine.py").write_text("from helper import blocks\n\ndef decide(snapshot, positions, parameters):\n    return blocks()\n")
    config = {**DAY, "strategy_mode": "custom", "strategy": {"file": str(tmp_path / "mine.py")}}
    assert len(run(config, data=sample).trades) == 0


def test_d19_the_details_of_the_page(sample: Path, tmp_path: Path, page: str) -> None:
    assert "None" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "`" not in re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    (tmp_path / "my_rule.py").write_text("def decide(snapshot, positions, parameters):\n    return []\n")
    own = run(DAY, data=sample, strategy=tmp_path / "my_rule.py", results=tmp_path / "own")
    assert "<h1>My rule</h1>" in own.report().read_text(encoding="utf-8")
    wrong = basis("execute", "x.jsonl", "--config", str(REPOSITORY / "config/blocks.yaml"), "--at", "soon", cwd=tmp_path).stderr
    assert wrong.count("write one such as") <= 1


@pytest.mark.parametrize(
    ("key", "value", "answer"),
    [
        ("strategy.rebalance_threshold_bps", "0.05", "warning: strategy.rebalance_threshold_bps: 0.05 bps is 0.0005 %; did you mean 500?"),
        ("venues.cex.bybit.slippage_bps", "0.0005", "warning: venues.cex.bybit.slippage_bps: 0.0005 bps is 0.000005 %; did you mean 5?"),
        (
            "venues.cex.bybit.spot_taker_fee_bps",
            "0.1",
            "warning: venues.cex.bybit.spot_taker_fee_bps: 0.1 bps is 0.001 %; did you mean 10?",
        ),
        ("initial_capital", "100k", "; write 100000"),
    ],
)
def test_a_figure_that_is_hardly_meant_is_answered_with_the_one_that_was(
    sample: Path, tmp_path: Path, key: str, value: str, answer: str
) -> None:
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(DAY))
    words = ("backtest", "run.yaml", "--data", str(sample), "--no-report", "--set", f"{key}={value}")
    assert answer in basis(*words, cwd=tmp_path).stderr


def test_a_symbol_with_a_slash_is_answered_with_the_exchanges_own(sample: Path) -> None:
    def decide(snapshot: Any, positions: Any, parameters: Any) -> list[dict[str, Any]]:
        trade = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy"}
        return [{**trade, "symbol": "ETH/USDT", "amount": 1}]

    with pytest.raises(ComponentError, match=r"symbol must be .*, got 'ETH/USDT'; write ETHUSDT"):
        run(DAY, data=sample, strategy=decide)


def test_two_runs_at_once_do_not_collide(sample: Path, tmp_path: Path) -> None:
    from .other_process import other_process

    code = "import sys; from basis_strategy_v1.app import build; " + (
        "import json; config, data, results, logs = sys.argv[1:]; "
        "build(json.loads(config), data, results, logs, report=False, progress=lambda done, total: done == 1 and "
        "(print('half way', flush=True), sys.stdin.readline())).run()"
    )
    results, logs = tmp_path / "results", tmp_path / "logs"
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**DAY, "initial_capital": 50_000}))
    (tmp_path / "same.yaml").write_text(yaml.safe_dump(DAY))
    with other_process(code, json.dumps(DAY), str(sample), str(results), str(logs), says="half way") as first:
        second = basis("backtest", "run.yaml", "--data", str(sample), "--no-report", cwd=tmp_path)
        same = basis("backtest", "same.yaml", "--data", str(sample), "--no-report", cwd=tmp_path)
        first.communicate("go on\n")
    assert (second.returncode, same.returncode, first.returncode) == (0, 0, 0)
    folders = sorted(path.name for path in results.iterdir())
    assert len(folders) == 3
    assert "another run is writing in logs; the logs of this one are in results/" in second.stdout
    assert len({open_run(results / name).run_id for name in folders}) == 2
    with (results / folders[0] / "trades.csv").open() as rows:
        assert next(csv.reader(rows))[0] == "timestamp"


def test_a_page_of_an_earlier_run_can_be_made_without_the_new_files(sample: Path, tmp_path: Path) -> None:
    found = run(DAY, data=sample, results=tmp_path)
    assert found.folder is not None
    for name in ("trades.csv", "risk.csv"):
        (found.folder / name).unlink()
    assert write_report(found.folder).is_file()
