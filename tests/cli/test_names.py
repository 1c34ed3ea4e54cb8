"""Names that would move the cursor, forge a line or have no encoding: on every way to the terminal they are escaped."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from basis_strategy_v1.monitoring.event_reader import COLUMNS

from .conftest import CONFIG, Basis, Done

NAMES = {
    "an escape sequence": "a\x1b]0;owned\x07\x1b[31m",
    "a line": "a\nbasis: all is well",
    "a carriage return": "a\rbasis: all is well",
    "a lone surrogate": "a\udcff",
    "right to left": "a\u202eb",
}


@pytest.fixture(params=NAMES.values(), ids=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def require_clean(done: Done, status: int, lines: int = 1) -> None:
    """All that was printed is lines of the program's own, each of them printable."""
    printed = (done.err or done.out).removesuffix("\n").split("\n")
    assert (done.status, len(printed)) == (status, lines), printed
    assert [line for line in printed if not line.isprintable()] == []
    assert [line for line in printed if line.startswith("basis: all")] == []


@pytest.mark.parametrize(
    "words",
    [
        ["backtest", "{}"],
        ["backtest", "run.yaml", "--data", "{}"],
        ["backtest", "run.yaml", "--data", "{}.duckdb"],
        ["check", "{}"],
        ["check", "run.yaml", "--data", "{}"],
        ["execute", "{}", "--config", "run.yaml"],
        ["execute", "run.yaml", "--config", "{}"],
        ["report", "{}"],
        ["events", "{}"],
        ["events", ".", "--type", "{}"],
        ["errors", "{}"],
        ["data", "validate", "{}"],
        ["data", "import", "{}", "x.duckdb"],
        ["{}"],
        ["--{}"],
        ["data", "sample", "x", "--seed", "{}"],
    ],
    ids=" ".join,
)
def test_a_name_of_nothing_that_is_there_is_refused_in_one_line(name: str, words: list[str], basis: Basis, config: Path) -> None:
    require_clean(basis(*[word.replace("{}", name) for word in words]), 2)


@pytest.mark.parametrize("option", ["--results", "--logs"])
def test_a_folder_that_cannot_be_made_is_named_in_one_line(name: str, option: str, basis: Basis, config: Path, sample: Path) -> None:
    Path(name).write_text("a file")
    require_clean(basis("backtest", config, "--data", sample, option, name), 2)


def test_a_run_in_folders_of_such_names_prints_them_on_one_line_each(name: str, basis: Basis, config: Path, sample: Path) -> None:
    done = basis("backtest", config, "--data", sample, "--results", name, "--logs", f"logs of {name}", "--no-report")
    assert done.status == 0 and all(line.isprintable() for line in done.out.removesuffix("\n").split("\n"))
    [run] = [path for path in Path(name).iterdir() if path.is_dir()]
    assert done.out.splitlines()[-1].endswith(f"/{run.name}") or done.out.splitlines()[-1].endswith(f"/{run.name}'")
    require_clean(basis("events", run, "--csv", f"{name}.csv"), 0)
    require_clean(basis("events", run, "--csv", run / "events.csv"), 2)
    (run / "equity.csv").unlink()
    (run / "equity.csv").mkdir()
    require_clean(basis("backtest", config, "--data", sample, "--results", name, "--logs", f"logs of {name}"), 2)


def test_a_file_of_such_a_name_among_the_data_is_listed_on_one_line(name: str, basis: Basis, broken: Path) -> None:
    (broken / "gas").mkdir()
    (broken / "gas" / f"{name}.csv").write_text("")
    require_clean(basis("data", "validate", broken), 1, lines=2)


def test_data_in_a_folder_of_such_a_name_are_named_on_one_line(name: str, basis: Basis, config: Path, broken: Path) -> None:
    broken.rename(name)
    path = Path(name, "funding/bybit/ETHUSDT.csv")
    path.write_text(path.read_text().replace(",", ",about ", 3))
    require_clean(basis("backtest", config, "--data", name), 2)
    require_clean(basis("data", "import", name, f"{name}.duckdb"), 2)
    require_clean(basis("data", "sample", name), 2)


def test_events_that_somebody_edited_are_printed_a_line_each(name: str, basis: Basis, tmp_path: Path) -> None:
    with (tmp_path / "events.csv").open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        csv.writer(file).writerows([COLUMNS, ["2024", name, 1, name, name]])
    require_clean(basis("events", tmp_path), 2 if "\udcff" in name else 0)
    (tmp_path / "events.csv").unlink()
    (tmp_path / "events").mkdir()
    event = {"timestamp": name, "event_type": "error", "component": name, "data": {"x": name}, "sequence": 1}
    (tmp_path / "events" / "x_events.jsonl").write_text(json.dumps(event, ensure_ascii="\udcff" in name) + "\n")
    done = basis("events", tmp_path)
    assert done.status == 0 and done.out.removesuffix("\n").isprintable()


def test_a_summary_that_somebody_edited_is_printed_without_escapes(name: str, basis: Basis, config: Path, sample: Path) -> None:
    assert basis("backtest", config, "--data", sample, "--quiet", "--no-report").status == 0
    [run] = Path("results").iterdir()
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps({**summary, "run_id": name, "strategy_mode": name}))
    done = basis("report", run)
    if done.status == 0:
        assert all(line.isprintable() for line in done.out.removesuffix("\n").split("\n"))
    else:
        require_clean(done, 2)
    (run / "summary.json").write_text(json.dumps({**summary, name: 1, "pnl": name}))
    require_clean(basis("report", run), 2)


def test_an_error_of_a_strategy_cannot_write_on_the_terminal(name: str, basis: Basis, config: Path, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(f"class Mine:\n    def decide(self, *of):\n        raise RuntimeError({name!a})\n")
    config.write_text(CONFIG.replace("eth_basis", "custom").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: mine.py}"))
    require_clean(basis("backtest", config, "--data", sample), 1, lines=2)


def test_an_error_of_ten_megabytes_is_cut(basis: Basis, config: Path, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("class Mine:\n    def decide(self, *of):\n        raise RuntimeError('x' * 10_000_000)\n")
    config.write_text(CONFIG.replace("eth_basis", "custom").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: mine.py}"))
    done = basis("backtest", config, "--data", sample)
    assert (done.status, len(done.err) < 5_000, "characters)" in done.err) == (1, True, True)


def test_a_block_of_ten_megabytes_is_refused_in_one_short_line_and_logged_short(
    basis: Basis, config: Path, sample: Path, tmp_path: Path
) -> None:
    (tmp_path / "blocks.jsonl").write_text(json.dumps({"instruction_type": "x" * 10_000_000}) + "\n")
    done = basis("execute", "blocks.jsonl", "--config", config, "--data", sample)
    assert (done.status, len(done.err) < 1_000) == (2, True)
    assert sum(path.stat().st_size for path in (tmp_path / "logs").rglob("*.jsonl")) < 100_000
