"""`basis check CONFIG --live`: the exchanges' public side and an account with a ledger, over real HTTP, in processes of their own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1 import cli
from basis_strategy_v1.app import venue_accounts
from basis_strategy_v1.app.live_check import check_live
from basis_strategy_v1.app.venue_accounts import EXCHANGE_ACTIONS, RealVenue, VenueAccount, modes_line
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.state import ExchangeAccount, Perp, State
from basis_strategy_v1.live import process, secrets

from ..ledger_gateway import LedgerGateway
from ..public_exchange import close_of
from ..public_process import PublicProcess
from ..venue_process import VenueProcess
from .test_paper_equals_backtest import LIMITS

NOON_MS = 1_780_315_200_000
KEYS = {"BASIS_DEV__BINANCE__API_KEY": "k", "BASIS_DEV__BINANCE__API_SECRET": "s"}


@pytest.fixture(scope="module")
def exchanges() -> Iterator[PublicProcess]:
    with PublicProcess() as process:
        yield process


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    with VenueProcess(tmp_path_factory.mktemp("venue") / "venue.jsonl") as process:
        yield process


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch, exchanges: PublicProcess) -> None:
    monkeypatch.setattr(secrets, "_taken", {})
    monkeypatch.delenv("BASIS_ENVIRONMENT", raising=False)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    exchanges.control(now_ms=None, fault=None)


@pytest.fixture
def config(exchanges: PublicProcess) -> dict[str, Any]:
    return {
        "strategy_mode": "eth_basis",
        "share_class": "usdt_stable",
        "initial_capital": 100_000,
        "strategy": {"spot_venue": "binance", "perp_venue": "binance"},
        "venues": {"cex": {"binance": {"endpoint": exchanges.url}}},
        "venue_timeout": 5,
        "limits": LIMITS,
    }


@pytest.fixture
def account(venue: VenueProcess) -> dict[str, LedgerGateway]:
    return {"binance": LedgerGateway(venue.url)}


def findings(config: Any, gateways: Mapping[str, Any] | None) -> list[str]:
    with pytest.raises(ComponentError) as raised:
        list(check_live(config, gateways=gateways))
    first, *others = raised.value.message.splitlines()
    return [f"{raised.value.error_code}: {first}", *others]


def test_what_is_ready_says_what_was_looked_at(config: dict[str, Any], account: Any) -> None:
    config_line, clock, funds, ready = check_live(config, gateways=account)
    assert config_line.startswith("config: eth_basis, hash ") and ready == "ready"
    assert clock.startswith("binance: its clock is 0.") and clock.endswith("this machine's")
    # A million USDT and 100 ETH; no exchange of the run prices its 10 BTC.
    assert funds.startswith("funds: 1300") and funds.endswith(" USDT, initial_capital is 100000")


def test_everything_that_is_missing_comes_at_once(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, exchanges: PublicProcess
) -> None:
    for name in KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BASIS_DEV__BINANCE_MAIN__API_KEY", "k")
    exchanges.fail("500", "okx")
    okx = {"okx": {"endpoint": exchanges.url}}
    limits = {name: value for name, value in LIMITS.items() if name != "max_slippage_bps"} | {"withdrawal_addresses": []}
    found = findings({**config, "venues": {"cex": {**config["venues"]["cex"], **okx}}, "limits": limits}, None)
    assert [line.split(";")[0] for line in found[:1]] == ["CFG-001: limits.max_slippage_bps: missing"]
    assert found[1:] == [
        "CFG-003: BASIS_DEV__BINANCE__API_KEY is not set; set it in the environment of this process",
        "CFG-003: BASIS_DEV__BINANCE__API_SECRET is not set; set it in the environment of this process",
        "CFG-003: BASIS_DEV__OKX__API_KEY is not set; set it in the environment of this process",
        "CFG-003: BASIS_DEV__OKX__API_SECRET is not set; set it in the environment of this process",
        "CFG-003: BASIS_DEV__OKX__PASSPHRASE is not set; set it in the environment of this process",
        "CFG-003: BASIS_DEV__BINANCE_MAIN__API_KEY is set, and no configured venue reads it: correct the name, or unset it",
        "CFG-001: limits.withdrawal_addresses: none; list the address of each of binance, okx that is paid to, or nothing moves between "
        "them",
        *(line for line in found if line.startswith("CEX-002: okx cannot be asked for its time: ExchangeNotAvailable: ")),
    ]
    assert found[-1].startswith("CEX-002: okx")


@pytest.mark.parametrize(
    ("section", "value", "line"),
    [
        ("limits", {**LIMITS, "max_slippage_bps": "many"}, "CFG-001: limits.max_slippage_bps: 'many'; allowed: "),
        ("limits", [], "CFG-001: limits: a list of 0; allowed: "),
        ("data", {"max_staleness": 3}, "CFG-001: data.max_staleness: 3; allowed: "),
    ],
)
def test_a_section_that_is_wrong_hides_neither_keys_nor_exchanges(
    section: str, value: Any, line: str, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, exchanges: PublicProcess, tmp_path: Path
) -> None:
    for name in KEYS:
        monkeypatch.delenv(name)
    exchanges.fail("500", "binance")
    found = findings({**config, section: value}, None)
    assert found[0].startswith(line)
    assert [one.partition(":")[0] for one in found[1:3]] == ["CFG-003", "CFG-003"]
    assert found[-1].startswith("CEX-002: binance cannot be asked for its time")
    path = tmp_path / "run.yaml"
    path.write_text(json.dumps({**config, section: value}))
    assert findings(path, None) == found


def test_what_is_no_config_without_its_wrong_sections_is_only_that(config: dict[str, Any], tmp_path: Path) -> None:
    assert len(findings({**config, "venues": 3, "limits": []}, None)) == 2
    path = tmp_path / "run.yaml"
    path.write_text("- a list")
    assert len(findings(path, None)) == 1


def test_two_accounts_want_addresses_and_a_wallet_wants_its_key(config: dict[str, Any], account: Any) -> None:
    on_chain = {"wallet": {"gas_price_gwei": 1}}
    limits = {name: value for name, value in LIMITS.items() if name != "withdrawal_addresses"}
    found = findings({**config, "venues": {**config["venues"], "onchain": on_chain}, "limits": limits}, account)
    assert found == [
        "CFG-003: wallet has no key: set one of BASIS_DEV__WALLET__PRIVATE_KEY, BASIS_DEV__WALLET__KEYSTORE, BASIS_DEV__WALLET__SIGNER_URL",
        "CFG-001: limits.withdrawal_addresses: none; list the address of each of binance, wallet that is paid to, or nothing moves "
        "between them",
    ]


def test_a_clock_that_is_a_second_off_is_named_with_how_far(config: dict[str, Any], account: Any, exchanges: PublicProcess) -> None:
    exchanges.fail("slow_clock", "/time")
    (line,) = findings(config, account)
    assert line.startswith(("CFG-004: binance: its clock is 2.0", "CFG-004: binance: its clock is 1.9"))
    assert line.endswith(" s behind this machine's; set this machine's clock (NTP): orders are refused or expire at once")


def test_funds_below_the_capital_are_named_with_both_figures(config: dict[str, Any], account: Any) -> None:
    (line,) = findings({**config, "initial_capital": 5_000_000}, account)
    assert line.startswith("CFG-004: funds: 1300") and "USDT, initial_capital is 5000000: bring more" in line


def test_only_what_is_allocated_to_the_run_counts(config: dict[str, Any], account: Any) -> None:
    (line,) = findings({**config, "live": {"allocation": {"binance": {"USDT": 40_000.5, "ETH": 0}}}}, account)
    assert line.startswith("CFG-004: funds: 40000.5 USDT, initial_capital is 100000: ")


def test_an_account_that_cannot_be_read_is_named_and_its_funds_are_not_guessed(config: dict[str, Any], tmp_path: Path) -> None:
    with VenueProcess(tmp_path / "v.jsonl") as gone:
        account = {"binance": LedgerGateway(gone.url)}
    assert findings(config, account) == ["CEX-002: binance cannot be read: binance gives no answer"]


def test_a_symbol_that_is_not_listed_and_a_series_of_a_chain_are_found(config: dict[str, Any], account: Any) -> None:
    found = findings({**config, "strategy_mode": "btc_basis"}, account)
    assert found == [
        f"DAT-001: binance lists no {kind} BTCUSDT; correct the symbol, or choose another exchange" for kind in ("spot", "perp")
    ]
    staked = {"initial_positions": {"wallet": {"wstETH": 1}}, "venues": {**config["venues"], "onchain": {"wallet": {}, "lido": {}}}}
    (line,) = findings({**config, **staked}, account)[1:]
    assert line.startswith("DAT-001: no live feed of staking of lido for wstETH: only a chain gives them")


def test_an_exchange_that_says_its_time_and_nothing_else_is_named(config: dict[str, Any], account: Any, exchanges: PublicProcess) -> None:
    exchanges.fail("500", "exchangeInfo")
    clockwork, funds = findings(config, account)
    assert clockwork.startswith("CEX-002: binance cannot be asked for its symbols: ")
    assert funds.startswith("CEX-002: funds: binance cannot be asked for its symbols: ")


def test_a_file_of_a_strategy_that_cannot_be_used_is_found(config: dict[str, Any], account: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def decide(:")
    (line,) = findings({**config, "strategy_mode": "custom", "strategy": {"file": str(tmp_path / "mine.py")}}, account)
    assert line.startswith("STR-001: ") and "mine.py" in line


def test_the_profit_of_perps_counts_as_funds(config: dict[str, Any], venue: VenueProcess) -> None:
    class WithPerps(LedgerGateway):
        def read(self, at: str | None = None) -> State:
            perps = {"ETHUSDT": Perp(Decimal(-2), Decimal(-8_000)), "BTCUSDT": Perp(Decimal(1), Decimal(1))}
            return State({"binance": ExchangeAccount({"USDT": Decimal(50)}, perps)})

    (line,) = findings(config, {"binance": WithPerps(venue.url)})
    worth = 50 + 8_000 - 2 * close_of("perp", NOON_MS)
    exchanges_at_noon = line.split(" USDT")[0].removeprefix("CFG-004: funds: ")
    assert abs(Decimal(exchanges_at_noon) - worth) < 3  # the perp's price moves by a dollar within hours


def test_a_config_that_cannot_be_read_is_all_that_is_said(config: dict[str, Any]) -> None:
    (line,) = findings({**config, "initial_capital": -1}, None)
    assert line.startswith("CFG-001: initial_capital: -1; allowed: ")


def test_an_exchange_with_a_line_in_the_table_is_read_by_its_gateway(
    config: dict[str, Any], venue: VenueProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[VenueAccount] = []

    def make(account: VenueAccount) -> LedgerGateway:
        made.append(account)
        account.secrets.require(account.name, "API_KEY")
        return LedgerGateway(venue.url, account.name)

    monkeypatch.setitem(venue_accounts.REAL, "binance", RealVenue(make, ("spot trade",)))
    assert list(check_live(config))[-1] == "ready"
    assert (made[0].kind, dict(made[0].symbols)) == ("binance", {"spot": ("ETHUSDT",), "perp": ("ETHUSDT",)})
    assert modes_line("binance", EXCHANGE_ACTIONS) == "spot trade, perp trade, transfer: backtest, paper; live: spot trade"
    monkeypatch.setitem(venue_accounts.REAL, "binance", RealVenue(make, EXCHANGE_ACTIONS))
    assert modes_line("binance", EXCHANGE_ACTIONS) == "spot trade, perp trade, transfer: backtest, paper, live"
    monkeypatch.delenv("BASIS_DEV__BINANCE__API_KEY", raising=False)
    monkeypatch.setattr(secrets, "_taken", {})
    assert findings(config, None)[0].startswith("CFG-003: BASIS_DEV__BINANCE__API_KEY is not set")


def test_the_command_prints_a_line_each_and_has_the_status_of_wrong_input(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import yaml

    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({name: value for name, value in config.items() if name != "limits"}))
    monkeypatch.setattr(process, "forbid_core_dumps", lambda: None)  # it would hold for all tests that follow
    monkeypatch.setattr(sys, "argv", ["basis", "check", str(path), "--live"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    printed = capsys.readouterr()
    assert left.value.code == 2
    assert printed.err.splitlines()[0].startswith("basis: CFG-001: limits: missing; allowed:")
    (unread,) = printed.err.splitlines()[1:]
    assert unread.startswith("CEX-002: binance cannot be read: ")
    assert printed.out.splitlines()[1].startswith("binance: its clock is ")
