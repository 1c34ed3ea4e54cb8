"""The commands of research: `--set`, names and tags, `runs`, `compare`, `rm`, `sweep`, and `--json`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyarrow import parquet

from basis_strategy_v1.monitoring.folder_lock import FolderLock

from .conftest import CONFIG, Basis


@pytest.fixture
def two(basis: Basis, config: Path, sample: Path) -> list[str]:
    """Two runs, `one` and `three`, of which the second has another leverage; their folders."""
    backtest = ("backtest", config, "--data", sample, "--no-report", "--quiet")
    assert basis(*backtest, "--name", "one", "--tag", "first", "--tag", "short").status == 0
    assert basis(*backtest, "--name", "three", "--set", "strategy.leverage=3").status == 0
    rows = json.loads(basis("runs", "--json").out)
    return [next(row["folder"] for row in rows if row["name"] == name) for name in ("one", "three")]


def test_runs_lists_what_a_run_is_and_came_to(basis: Basis, two: list[str], config: Path) -> None:
    rows = {row["name"]: row for row in json.loads(basis("runs", "--json").out)}
    one = rows["one"]
    summary = json.loads((config.parent / "results" / two[0] / "summary.json").read_text())
    assert one == {
        "folder": two[0], "run_id": two[0], "name": "one", "tags": ["first", "short"], "strategy_mode": "eth_basis",
        "data": f"generated {summary['data']['fingerprint']}", "start": "2024-06-01T00:00:00Z", "end": "2024-06-04T00:00:00Z",
        "return": pytest.approx(float(summary["pnl"]) / 100_000), "sharpe": None, "max_drawdown": float(summary["max_drawdown"]),
        "problem": "",
    }  # fmt: skip
    lines = basis("runs").out.splitlines()
    assert lines[0].split() == ["run", "name", "strategy", "data", "from", "to", "return", "Sharpe", "drawdown", "tags"]
    assert sorted(line.split()[0] for line in lines[1:]) == sorted(two)
    broken = config.parent / "results" / "broken"
    broken.mkdir()
    (broken / "summary.json").write_text("[")
    assert "broken" in basis("runs").out and "cannot be read" in basis("runs").out
    assert basis("runs", "--results", "nowhere").errors == ["RES-001: nowhere is no folder; give the folder of the runs with --results"]
    (config.parent / "empty").mkdir()
    assert basis("runs", "--results", "empty").out == "no finished run\n"


def test_compare_shows_what_differs(basis: Basis, two: list[str], config: Path) -> None:
    found = json.loads(basis("compare", "one", two[1], "--json").out)
    assert found["settings"] == {"strategy.leverage": [1, 3]}
    summaries = [json.loads((config.parent / "results" / name / "summary.json").read_text()) for name in two]
    assert found["metrics"]["best_day"] == [one["metrics"]["best_day"] for one in summaries]
    pnl = found["attribution"]["pnl"]
    assert pnl["amounts"] == [one["pnl"] for one in summaries]
    shown = basis("compare", "one", "three", "--html", "page.html").out
    assert [line.split() for line in shown.splitlines()[:2]] == [["one", "three", "last", "less", "first"], ["strategy.leverage", "1", "3"]]
    assert shown.splitlines()[-1] == "page: page.html"
    page = (config.parent / "page.html").read_text()
    assert '"grown 1"' in page and "What differs" in page


def test_a_run_is_found_by_folder_id_or_name(basis: Basis, two: list[str]) -> None:
    for name in ("one", two[0], f"results/{two[0]}"):
        assert basis("report", name).out.splitlines()[0].split() == ["Run", two[0]]
        assert basis("events", name, "--type", "execution").out.count("\n") == 4
    assert basis("compare", "one", "tree").errors == ["RES-001: there is no finished run 'tree' in results; did you mean three?"]
    assert basis("events", "tree").errors == ["RES-001: there is no finished run 'tree' in results; did you mean three?"]
    assert basis("compare", "one").errors == ["RES-001: compare 'one': give at least two runs; `basis runs` lists them"]


def test_a_name_that_two_runs_have_is_refused(basis: Basis, two: list[str], config: Path, sample: Path) -> None:
    assert (
        basis("backtest", config, "--data", sample, "--no-report", "--quiet", "--set", "strategy.leverage=2", "--name", "one").status == 0
    )
    [error] = basis("rm", "one").errors
    assert error.startswith("RES-001: 'one' is the name of eth_basis-") and error.endswith("; give one of these")


def test_rm_removes_what_a_run_wrote_and_nothing_else(basis: Basis, two: list[str], config: Path) -> None:
    results = config.parent / "results"
    (results / two[0] / "notes.txt").write_text("mine")
    assert basis("rm", "one").out == f"removed the run in results/{two[0]}; 'notes.txt' stay there\n"
    assert [path.name for path in (results / two[0]).iterdir()] == ["notes.txt"]
    lock = FolderLock(results / two[1], results / f".{two[1]}.lock", "RES-001", "wait")
    assert basis("rm", "three").status == 0  # this process may: it is the one that holds it
    lock.release()
    assert not (results / two[1]).exists()
    assert basis("rm", "three").status == 2


def test_a_rerun_keeps_the_page_and_the_labels(basis: Basis, config: Path, sample: Path) -> None:
    assert basis("backtest", config, "--data", sample, "--quiet", "--name", "mine").status == 0
    [folder] = (config.parent / "results").iterdir()
    page = (folder / "report.html").read_bytes()
    assert basis("backtest", config, "--data", sample, "--quiet", "--no-report", "--tag", "again").status == 0
    assert (folder / "report.html").read_bytes() == page
    assert json.loads((folder / "labels.json").read_text()) == {"name": "mine", "tags": ["again"]}


def test_wrong_settings_names_and_tags_are_refused_before_the_run(basis: Basis, config: Path, sample: Path) -> None:
    backtest = ("backtest", config, "--data", sample)
    for words, error in (
        (("--set", "strategy.leverag=2"), "CFG-001: strategy.leverag: unknown key, did you mean leverage?; allowed: on_failure, "),
        (("--set", "leverage"), "CFG-001: --set: 'leverage'; allowed: KEY=VALUE with the full name of a key"),
        (("--set", "initial_capital=1", "--set", "initial_capital=2"), "CFG-001: --set: 'initial_capital'; allowed: each key once"),
        (("--set", "initial_capital=100k"), "CFG-001: initial_capital: '100k'; allowed: a number above 0 and at most 1e15; write 100000"),
        (("--name", "a/b"), "CFG-001: --name: must be 1 to 80 printable characters without '/', got 'a/b'"),
        (("--tag", ""), "CFG-001: --tag: must be 1 to 80 printable characters without '/', got ''"),
    ):
        done = basis(*backtest, *words)
        assert (done.status, done.errors[0][: len(error)]) == (2, error)
    assert not (config.parent / "results").exists()


def test_a_parameter_that_the_config_does_not_have_is_warned_of(basis: Basis, config: Path, sample: Path) -> None:
    (config.parent / "mine.py").write_text("def decide(snapshot, positions, parameters):\n    return []\n")
    own = "{file: mine.py, parameters: {entry: 0.1, size: 2}}"
    config.write_text(CONFIG.replace("eth_basis", "custom").replace("{spot_venue: bybit, perp_venue: bybit}", own))
    backtest, key = ("backtest", config, "--data", sample, "--no-report"), "strategy.parameters"
    no_such = "the config has no such parameter"
    for setting, said in (
        ("entr=0.2", f"warning: {key}.entr: {no_such}; did you mean entry?\n"),
        ("hours=8", f"warning: {key}.hours: {no_such}; it has entry, size\n"),
        ("entry=0.2", ""),
    ):
        done = basis(*backtest, "--set", f"{key}.{setting}")
        assert (done.status, done.err) == (0, said)
    assert f"{key}.entr: {no_such}; did you mean entry?" in basis("sweep", config, "--data", sample, "--set", f"{key}.entr=1,2").err
    config.write_text(config.read_text().replace(", parameters: {entry: 0.1, size: 2}", ""))
    assert basis(*backtest, "--set", f"{key}.entr=0.2").err == ""


def test_json_is_one_value_on_every_command(basis: Basis, config: Path, sample: Path) -> None:
    run = json.loads(basis("backtest", config, "--data", sample, "--no-report", "--json").out)
    assert run["folder"] == f"results/{run['run_id']}"
    assert json.loads(basis("report", run["folder"], "--json").out)["report"] == f"{run['folder']}/report.html"
    assert [row["sequence"] for row in json.loads(basis("events", run["run_id"], "--json").out)][:3] == [1, 2, 3]
    assert json.loads(basis("check", config, "--data", sample, "--json").out)[-1] == "ready"
    assert json.loads(basis("errors", "EIM-001", "--json").out)[0]["code"] == "EIM-001"
    assert json.loads(basis("venues", "--json").out)
    assert json.loads(basis("data", "sample", "made", "--json").out) == {"sample": "made", "seed": 7}
    imported = json.loads(basis("data", "import", "made", "made.duckdb", "--json").out)
    assert all(row["added"] == row["rows"] > 0 for row in imported) and "staking/lido/wstETH" in [row["id"] for row in imported]
    assert json.loads(basis("rm", run["run_id"], "--json").out) == {"removed": [f"removed {run['folder']}"]}
    blocks = config.parent / "blocks.jsonl"
    blocks.write_text(
        '{"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": 1}\n'
    )
    assert json.loads(basis("execute", blocks, "--config", config, "--data", sample, "--json").out)[0]["venue"] == "bybit"


def test_a_sweep_is_one_command_with_a_table_and_a_map(basis: Basis, config: Path, sample: Path) -> None:
    sweep = ("sweep", config, "--data", sample, "--set", "strategy.leverage=1,2,99", "--set", "strategy.rebalance_threshold_bps=300,500")
    done = basis(*sweep, "--out", "swept", "--workers", 2)
    lines = done.out.splitlines()
    assert lines[0].split() == ["strategy.leverage", "strategy.rebalance_threshold_bps", "return", "CAGR", "Sharpe", "drawdown", "costs"]
    assert lines[-2:] == ["6 runs, 2 failed", "rows: swept/sweep.parquet"]
    assert len([line for line in lines if line.startswith("failed: strategy.leverage=99, ")]) == 2
    table = parquet.read_table(config.parent / "swept" / "sweep.parquet")
    assert table.column_names[:4] == ["strategy.leverage", "strategy.rebalance_threshold_bps", "run_id", "error"]
    assert table["strategy.leverage"].to_pylist() == [1, 1, 2, 2, 99, 99]
    assert sorted(path.name for path in (config.parent / "swept").iterdir()) == ["rows.jsonl", "sweep.json", "sweep.parquet"]
    assert not (config.parent / "results").exists()
    assert [row["error"] for row in json.loads(basis(*sweep, "--json").out)][:4] == [""] * 4


def test_a_sweep_that_fails_alike_in_all_runs_says_so_once(basis: Basis, config: Path, sample: Path) -> None:
    config.write_text(config.read_text().replace("bybit", "okx"))
    done = basis("sweep", config, "--data", sample, "--set", "strategy.leverage=1,2,3")
    [failure, count] = done.out.splitlines()
    assert failure.startswith("failed: all 3 runs: DAT-001: no spot of okx for ETHUSDT; ")
    assert count == "3 runs, 3 failed"


def test_a_malformed_series_is_named_where_the_config_has_no_time(basis: Basis, config: Path, broken: Path) -> None:
    config.write_text("".join(line for line in config.read_text().splitlines(keepends=True) if not line.startswith(("start", "end"))))
    perp = broken / "ohlcv/bybit/perp/ETHUSDT_1h.csv"
    perp.write_text(perp.read_text().replace("close", "Close", 1))
    errors = [basis(*command).errors for command in (("check", config), ("backtest", config))]
    assert {line for [line] in errors} == {"DAT-006: no data: give a folder or a database with --data, or data.directory in the config"}
    grid = ("--set", "strategy.leverage=1,2")
    errors = [basis(*words, "--data", broken).errors for words in (("check", config), ("backtest", config), ("sweep", config, *grid))]
    [error] = errors[0]
    assert error.startswith("DAT-003: ") and "ohlcv/bybit/perp/ETHUSDT_1h.csv" in error and "Close" in error
    assert errors == [[error]] * 3


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--set", "strategy.levrage=1,2"), "CFG-001: strategy.levrage: unknown key, did you mean leverage?"),
        (("--set", "strategy.leverage="), "CFG-001: sweep: the grid is empty; give each key at least one value, such as "),
        (("--set", f"initial_capital={','.join(map(str, range(1, 102)))}", "--set", f"strategy.leverage={','.join(['1'] * 100)}"),
         "CFG-001: sweep: 10,100 combinations; add --yes to run them all, or --random N to run some"),
        (("--set", "strategy.leverage=1", "--backend", "dask"), "CFG-001: sweep: backend 'dask' is not processes or ray"),
        (("--set", "strategy.leverage=1", "--workers", "0"), "CFG-001: sweep: workers must be at least 1, got 0"),
        (("--set", "strategy.leverage=1", "--random", "0"), "CFG-001: sweep: random must be at least 1, got 0"),
    ],
)  # fmt: skip
def test_a_wrong_sweep_is_refused_in_one_line(basis: Basis, config: Path, sample: Path, words: tuple[str, ...], error: str) -> None:
    done = basis("sweep", config, "--data", sample, *words)
    assert (done.status, len(done.errors), done.errors[0][: len(error)]) == (2, 1, error)


def test_help_is_whole_and_has_a_short_option(basis: Basis) -> None:
    done = basis("-h")
    assert "..." not in done.out.partition("Commands:")[2]
    assert "Print what the journal knows: what is open, the plan in hand, what" in done.out
    assert "--install-completion" in done.out
    assert "..." not in basis("data", "-h").out.partition("Commands:")[2]
