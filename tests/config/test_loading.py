"""load_config: what a right config becomes, and how a wrong one is refused."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from basis_strategy_v1.config import ConfigError, DataConfig, Fault, Limits, Live, VenuesConfig, load_config
from basis_strategy_v1.core.figure import Figure
from basis_strategy_v1.strategies import basis
from basis_strategy_v1.venues import exchanges
from basis_strategy_v1.venues.exchanges import Withdrawal
from basis_strategy_v1.venues.registry import known_names
from basis_strategy_v1.venues.venue import CEX

FOUR = {"strategy_mode": "eth_basis", "share_class": "usdt_stable", "initial_capital": 100000, "venues": {"cex": ["binance"]}}
ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # an example of EIP-55


def faults_of(source: Any, **purpose: bool) -> list[Fault]:
    with pytest.raises(ConfigError) as caught:
        load_config(source, **purpose)
    return caught.value.faults


def lines_of(source: Any, **purpose: bool) -> list[str]:
    return [fault.line() for fault in faults_of(source, **purpose)]


def test_four_keys_are_enough_and_the_rest_has_its_default() -> None:
    config = load_config(FOUR)
    assert (config.strategy_mode, config.share_class, config.initial_capital) == ("eth_basis", "usdt_stable", Decimal(100000))
    assert (config.start, config.end, config.interval) == (None, None, timedelta(hours=1))
    assert (config.venue_timeout, config.max_retries_per_venue, config.max_retry_attempts, config.retry_delay_seconds) == (15.0, 3, 3, 0.1)
    assert (config.enable_atomic_chaining, config.close_at_end, config.initial_positions) == (True, False, None)
    assert config.gas_reserve_eth == Decimal("0.05")
    assert (config.data, config.live, config.data.staleness) == (DataConfig(), Live(), {"default": timedelta(hours=36)})
    assert (config.strategy, config.limits) == (None, None)
    assert config.venues == VenuesConfig(cex={"binance": exchanges.Settings()})
    assert config.raw == FOUR


def test_what_is_written_arrives_with_its_type(config: Any) -> None:
    given = {
        **config(),
        "start": date(2024, 6, 1),
        "end": datetime(2024, 7, 1, 2, tzinfo=timezone(timedelta(hours=2))),
        "interval": timedelta(days=1),
        "initial_capital": "1e5",
        "initial_positions": {"bybit": {"USDT": 0.1}},
        "data": {
            "directory": "d",
            "database": "/abs/x.duckdb",
            "max_staleness": {"default": "2h", "gas/ethereum": "90s"},
            "missing_funding": "zero",
        },
    }
    given["limits"] |= {"withdrawal_addresses": [ADDRESS], "contracts": []}
    given["venues"] = {"cex": {"bybit": {"lot": {"ETHUSDT": "0.01"}, "tick": 0.05, "withdrawal": {"USDT": {"fee": 1}}}, "okx": None}}
    typed = load_config(given, run=True, live=True)
    assert (typed.start, typed.end) == (datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC))
    assert (typed.interval, typed.initial_capital, typed.initial_positions) == (
        timedelta(days=1),
        Decimal("1E+5"),
        {"bybit": {"USDT": Decimal("0.1")}},
    )
    staleness = {"default": timedelta(hours=2), "gas/ethereum": timedelta(seconds=90)}
    assert typed.data == DataConfig(directory=Path("d"), database=Path("/abs/x.duckdb"), max_staleness=staleness, missing_funding="zero")
    assert typed.limits == Limits(
        max_notional_per_instruction=Decimal(50000), max_notional_per_day=Decimal(200000), max_slippage_bps=Decimal(50),
        max_unhedged_notional=Decimal(5000), withdrawal_addresses=(ADDRESS,), contracts=(),
    )  # fmt: skip
    bybit = exchanges.Settings(
        lot=Figure(None, {"ETHUSDT": Figure(Decimal("0.01"))}),
        tick=Figure(Decimal("0.05")),
        withdrawal={"USDT": Figure(Withdrawal(Decimal(1)))},
    )
    assert typed.venues.cex == {"bybit": bybit, "okx": exchanges.Settings()}
    assert typed.strategy == basis.Parameters(spot_venue="bybit", perp_venue="bybit")
    assert (typed.strategy.leverage, typed.strategy.on_margin_shortage, typed.strategy.min_margin_ratio) == (Decimal(1), "move", None)


def test_five_faults_at_once_are_all_reported_each_on_its_line() -> None:
    wrong = {
        **FOUR,
        "share_class": "usd",
        "initial_capital": -1,
        "venue_timeot": 3,
        "venues": {"cex": ["binnance"]},
        "max_retry_attempts": 1.5,
    }
    with pytest.raises(ConfigError) as caught:
        load_config(wrong)
    assert caught.value.error_code == "CFG-001"
    assert caught.value.faults == [
        Fault("venue_timeot", "unknown key, did you mean venue_timeout?", caught.value.faults[0].allowed),
        Fault("share_class", "'usd'", "usdt_stable | eth_directional"),
        Fault("initial_capital", "-1", "a number above 0 and at most 1e15"),
        Fault("max_retry_attempts", "1.5", "a whole number above 0 and below 10"),
        Fault("venues.cex[0]", "'binnance'", f"each once of {' | '.join(known_names(CEX))}; did you mean binance?"),
    ]
    assert caught.value.message.splitlines() == [fault.line() for fault in caught.value.faults]
    assert caught.value.message.splitlines()[1] == "share_class: 'usd'; allowed: usdt_stable | eth_directional"


def test_an_error_survives_a_trip_between_processes() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config({})
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.faults, str(again)) == (caught.value.faults, str(caught.value))


def test_nothing_at_all_lacks_the_four_keys() -> None:
    assert [fault.path for fault in faults_of({})] == ["strategy_mode", "share_class", "initial_capital", "venues"]


def test_a_run_also_needs_start_end_and_strategy() -> None:
    assert [(fault.path, fault.value) for fault in faults_of(FOUR, run=True)] == [
        ("start", "missing"),
        ("end", "missing"),
        ("strategy", "missing"),
    ]


def test_live_also_needs_limits_and_their_figures(config: Any) -> None:
    given = config()
    del given["limits"]
    load_config(given, run=True)
    assert [fault.path for fault in faults_of(given, live=True)] == ["limits"]
    assert [fault.path for fault in faults_of({**given, "limits": {}}, live=True)] == [
        "limits.max_notional_per_instruction",
        "limits.max_notional_per_day",
        "limits.max_slippage_bps",
        "limits.max_unhedged_notional",
    ]


@pytest.mark.parametrize("source", [None, 3, 2.5, True, [], [FOUR], b"x"])
def test_what_is_neither_a_mapping_nor_a_path_is_refused(source: Any) -> None:
    assert [fault.path for fault in faults_of(source)] == ["config"]


def test_a_config_that_was_loaded_can_be_checked_for_a_run(config: Any) -> None:
    typed = load_config(config())
    assert load_config(typed, run=True) == typed
    assert [fault.path for fault in faults_of(load_config(FOUR), run=True)] == ["start", "end", "strategy"]


def test_a_list_of_venues_is_a_mapping_without_settings() -> None:
    venues = {"cex": {"binance": None}, "dex": None, "onchain": {}}
    assert load_config({**FOUR, "venues": venues}).hash == load_config(FOUR).hash


def test_later_changes_of_the_given_dict_change_nothing(config: Any) -> None:
    given = config()
    typed = load_config(given)
    given["venues"]["cex"]["bybit"]["slippage_bps"] = 3
    typed.canonical()["venues"]["cex"]["okx"] = {}
    assert typed == load_config(config())


def test_a_config_cannot_be_changed(config: Any) -> None:
    with pytest.raises(AttributeError):
        load_config(config()).share_class = "eth_directional"  # type: ignore[misc]


def test_the_hash_is_the_sha256_of_the_canonical_config(config: Any) -> None:
    typed = load_config(config())
    text = json.dumps(typed.canonical(), separators=(",", ":"))
    assert typed.hash == sha256(text.encode()).hexdigest()


def test_the_hash_knows_neither_the_order_of_keys_nor_how_a_value_is_written_nor_folders(config: Any, tmp_path: Path) -> None:
    given = config("custom")
    here, moved = tmp_path / "here" / "mine.py", tmp_path / "there" / "mine.py"
    for file in (here, moved):
        file.parent.mkdir()
        file.write_text("edited = False")
    given["strategy"]["file"] = str(here)
    same = dict(reversed(given.items())) | {
        "start": "2024-06-01T02:00:00+02:00",
        "interval": "60m",
        "initial_capital": "100000.00",
        "data": {"directory": "/elsewhere", "database": "x.duckdb"},
        "strategy": {"file": str(moved), "class": None, "parameters": {}},
    }
    assert load_config(given).hash == load_config(same).hash
    moved.write_text("edited = True")
    assert load_config(given).hash != load_config(same).hash
    assert load_config({**given, "strategy": {"file": "yours.py"}}).hash != load_config(given).hash
    assert load_config({**given, "initial_capital": 100001}).hash != load_config(given).hash


@pytest.mark.parametrize("mode", ["pure_lending", "eth_basis", "eth_leveraged", "usdt_market_neutral", "blocks", "custom"])
def test_the_effective_config_as_yaml_reads_back_as_itself(mode: str, config: Any, tmp_path: Path) -> None:
    given = {**config(mode), "initial_capital": "0.1234567890123456789012345", "retry_delay_seconds": 1e-5}
    given["venues"]["onchain"]["aave"] = {"revision": [["2023-01-27", 3.0], {"from": "2026-01-01", "revision": "3.7"}], "pool": ADDRESS}
    given["venues"]["onchain"]["wallet"] = {"gas_price_gwei": 0.5}
    given["venues"]["cex"]["bybit"] = {"withdrawal": "default", "lot": 0.001, "tick": {"ETHUSDT": 1}}
    typed = load_config(given, run=True)
    (tmp_path / "again.yaml").write_text(typed.to_yaml(), encoding="utf-8")
    again = load_config(tmp_path / "again.yaml", run=True)
    assert (again.canonical(), again.hash, again.effective, again.to_yaml()) == (
        typed.canonical(),
        typed.hash,
        typed.effective,
        typed.to_yaml(),
    )
    assert yaml.safe_load(typed.to_yaml())["strategy"] == typed.effective["strategy"]


def test_paths_in_a_file_start_at_its_folder(config: Any, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    text = yaml.safe_dump({**config("custom"), "strategy": {"file": "../mine.py"}, "data": {"directory": "csv"}})
    (tmp_path / "runs" / "a.yaml").write_text(text)
    typed = load_config(str(tmp_path / "runs" / "a.yaml"), run=True)
    assert typed.strategy.file == tmp_path / "runs" / ".." / "mine.py"
    assert typed.data.directory == tmp_path / "runs" / "csv"


def test_parameters_of_a_users_strategy_arrive_as_ordinary_values(config: Any, tmp_path: Path) -> None:
    text = yaml.safe_dump({**config("custom"), "strategy": {"file": "mine.py"}})
    (tmp_path / "a.yaml").write_text(
        text.replace("file: mine.py", "file: mine.py\n  parameters: {x: 0.1, n: 3, on: true, none: , each: [a, 1.5]}")
    )
    assert load_config(tmp_path / "a.yaml").strategy.parameters == {"x": 0.1, "n": 3, "on": True, "none": None, "each": ["a", 1.5]}


def test_a_secret_is_refused_and_never_shown(config: Any) -> None:
    key = "0x" + "c0ffee" * 10 + "1234"
    given = {**config("custom"), "api_key": "for-no-log"}
    given["strategy"]["parameters"] = {"private_key": "for-no-log", "deep": [{"api_secret": "for-no-log"}]}
    given["venues"]["cex"]["bybit"] = {"endpoint": "https://me:for-no-log@host", "passphrase": "for-no-log"}
    given["venues"]["cex"]["okx"] = {"endpoint": "https://host/?key=for-no-log", "lot": {"API_KEY": "for-no-log"}}
    given["limits"]["withdrawal_addresses"] = [key]
    with pytest.raises(ConfigError) as caught:
        load_config(given)
    assert [fault.path for fault in caught.value.faults] == [
        "api_key",
        "strategy.parameters.private_key",
        "strategy.parameters.deep[0].api_secret",
        "limits.withdrawal_addresses[0]",
        "venues.cex.bybit.passphrase",
        "venues.cex.bybit.endpoint",
        "venues.cex.okx.lot.API_KEY",
        "venues.cex.okx.endpoint",
    ]
    shown = f"{caught.value} {caught.value!r} {caught.value.faults}"
    assert "for-no-log" not in shown
    assert key not in shown


def test_a_key_with_a_line_break_stays_on_one_line() -> None:
    line = lines_of({**FOUR, "a\nINFO: all is well": 1, 7: 1, ("x",): 1})
    assert [text.partition(":")[0] for text in line] == ["'a\\nINFO", "7", "a list of 1"]


def test_parameters_without_end_are_refused_quickly(config: Any) -> None:
    loop: dict[str, Any] = {}
    loop |= {name: loop for name in "abcdefgh"}
    given = {**config("custom"), "strategy": {"file": "mine.py", "parameters": loop}}
    assert faults_of(given)[-1].allowed == "fewer values"
    chain: dict[str, Any] = {}
    chain["next"] = chain
    assert "at most 16 deep" in faults_of({**given, "strategy": {"file": "mine.py", "parameters": chain}})[0].allowed


@pytest.mark.parametrize("wrong", [float("inf"), Decimal("sNaN"), Decimal("1e9999"), 2**63, {1, 2}, {3: 4}, [b"x"]])
def test_a_parameter_is_what_json_can_hold(wrong: Any, config: Any) -> None:
    given = {**config("custom"), "strategy": {"file": "mine.py", "parameters": {"x": [wrong]}}}
    assert [fault.path.startswith("strategy.parameters.x[0]") for fault in faults_of(given)] == [True]


@pytest.mark.parametrize(
    "moment", [datetime(2024, 6, 1, tzinfo=UTC).replace(tzinfo=None), datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), "2024-02-30"]
)
def test_a_time_without_zone_or_outside_the_calendar_is_refused(moment: Any) -> None:
    assert [fault.path for fault in faults_of({**FOUR, "start": moment})] == ["start"]


@pytest.mark.parametrize("interval", [timedelta(milliseconds=1500), timedelta(0), "367d"])
def test_an_interval_is_in_whole_seconds_and_in_range(interval: Any) -> None:
    assert [fault.path for fault in faults_of({**FOUR, "interval": interval})] == ["interval"]


def test_an_endpoint_is_a_plain_url() -> None:
    for endpoint in ("http://127.0.0.1:9000", "https://proxy.example/binance"):
        typed = load_config({**FOUR, "venues": {"cex": {"binance": {"endpoint": endpoint}}}})
        assert typed.venues.cex["binance"].endpoint == endpoint
        assert load_config(typed.effective).hash == typed.hash
    for endpoint in ("http://host:port", "http://[::1", "http://host:99999", "http://ho\nst"):
        assert [fault.path for fault in faults_of({**FOUR, "venues": {"cex": {"binance": {"endpoint": endpoint}}}})] == [
            "venues.cex.binance.endpoint"
        ]


def test_an_address_stands_once_in_a_list() -> None:
    expected = [Fault("limits.contracts[1]", f"'{ADDRESS}'", "each item once")]
    assert faults_of({**FOUR, "limits": {"contracts": [ADDRESS, ADDRESS]}}) == expected


def test_settings_that_cannot_be_read_are_passed_over_by_the_checks_between_them() -> None:
    given = {**FOUR, "venues": {"onchain": {"aave": {"reserves": {"WETH": 3}}}}}
    assert [fault.path for fault in faults_of(given, run=True)] == ["start", "end", "strategy", "venues.onchain.aave.reserves.WETH"]


def test_a_number_too_long_for_a_float_keeps_its_digits() -> None:
    typed = load_config({**FOUR, "initial_capital": "123456.1234567890123456789"})
    assert typed.canonical()["initial_capital"] == "123456.1234567890123456789"


def test_a_number_of_five_thousand_digits_is_described_not_printed(config: Any) -> None:
    given = {**config("custom"), "initial_capital": 10**5000, "strategy": {"file": "mine.py", "parameters": {"x": 10**5000}}}
    assert [fault.value for fault in faults_of(given)] == ["a whole number of 16610 bits"] * 2
