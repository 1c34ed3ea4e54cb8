"""`basis live CONFIG` at the local exchange: a strategy enters, holds, is killed, goes on."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import yaml
from eth_account import Account

from basis_strategy_v1.app.live import build_live
from basis_strategy_v1.app.live_check import check_live
from basis_strategy_v1.core.clock import iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueUnreachable
from basis_strategy_v1.live import secrets
from basis_strategy_v1.live.exchanges import open_exchange
from basis_strategy_v1.live_engine import LiveEngine
from basis_strategy_v1.strategies.basis import BasisMemory
from basis_strategy_v1.venues.exchanges import Settings

from ...app.test_paper_equals_backtest import LIMITS
from ...exchange.clients import OWNER
from ...exchange.process import ExchangeProcess
from .trader import BOTH, approved, secrets_of, theirs
from .trader import LIMITS as LIMITS_OF_ORDERS
from .venue_cases import CASES

D = Decimal
HOUR = timedelta(hours=1)
CAPITAL = {"grant": {"venue": "binance", "wallet": "spot", "USDT": "100000"}}
KEY = {"key": {"venue": "binance", "key": "a-key", "secret": "a-secret", "may": ["read", "trade", "transfer"]}}


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """An exchange on the machine's clock."""
    with ExchangeProcess(tmp_path_factory.mktemp("exchange") / "ledger.jsonl") as process:
        yield process


class Time:
    """The time of the run and of the exchange: the machine's, further on by what the run has waited."""

    def __init__(self, exchange):
        self.exchange, self.steps = exchange, 0
        self.meanwhile = {}  # by the steps that are left: what is said to the exchange then
        self.ahead = timedelta(0)

    def now(self):
        return datetime.now(UTC) + self.ahead

    def __call__(self):
        return self.steps < 0

    def wait(self, seconds):
        """Unused: `until` moves the time itself."""

    def until(self, at, each_s):
        yield
        if self.steps in self.meanwhile:
            self.exchange.control(*self.meanwhile[self.steps])
        self.steps -= 1
        rest = at - self.now()
        if rest > timedelta(0):
            self.ahead += rest
            self.exchange.control(advance_s=rest.total_seconds())


@pytest.fixture
def live(machine, tmp_path, monkeypatch):
    """Runs a strategy for some steps."""
    machine.begin(tmp_path / "exchange.jsonl", CAPITAL, KEY)
    time = Time(machine)

    def config(**changes):
        monkeypatch.setenv("BASIS_DEV__BINANCE__API_KEY", "a-key")
        monkeypatch.setenv("BASIS_DEV__BINANCE__API_SECRET", "a-secret")
        return {
            "strategy_mode": "eth_basis", "share_class": "usdt_stable", "initial_capital": 100_000,
            "strategy": {"spot_venue": "binance", "perp_venue": "binance"}, "limits": LIMITS,
            "venues": {"cex": {"binance": {"endpoint": machine.url}}}, **changes,
        }  # fmt: skip

    def run(steps, folder=".", halted=None, stopped=None, **changes):
        time.steps, at = steps, tmp_path / folder
        engine = build_live(config(**changes), at / "state", at / "results", at / "logs", paper=False, stop=time, clock=time, report=False)
        engine.waits = time
        if halted is not None:
            engine.halt, engine.is_halted = lambda: halted.append(True), lambda: bool(halted)
        if stopped is not None:
            on_stop = engine._stopped
            engine._stopped = lambda at, market, why: (stopped.append(why), on_stop(at, market, why))
        try:
            return engine.run(), engine
        finally:
            engine.live.journal.close_file()

    run.config, run.time = config, time
    return run


def test_a_second_run_does_not_begin_at_an_account_whose_perp_is_another_runs(live, machine):
    live(3)
    short, orders = theirs(machine)["ETHUSDT-PERP"], len(machine.account("binance")["orders"])
    with pytest.raises(ComponentError) as refused:
        live(3, "second")
    fault = f"binance: a position of {short.normalize():f} ETHUSDT, where the run holds 0; close the difference"
    assert (refused.value.error_code, refused.value.message) == ("CFG-004", fault)
    assert len(machine.account("binance")["orders"]) == orders


def test_a_fault_of_the_account_refuses_a_first_start_and_is_logged_by_a_later_one(live, machine, tmp_path):
    off = {"key": {**KEY["key"], "may": ["read"]}}
    machine.control(**off)
    with pytest.raises(ComponentError) as refused:
        live(3)
    assert refused.value.message.splitlines()[0] == "binance: the key may not trade spot; allow it at the exchange"
    assert machine.account("binance")["orders"] == []
    machine.control(**KEY)
    live(3)
    machine.control(**off)
    live(1)
    logged = (tmp_path / "logs" / "events" / "live_engine_events.jsonl").read_text()
    assert "CFG-004" in logged and "the key may not trade spot; allow it at the exchange" in logged


def test_a_basis_strategy_enters_and_holds_what_the_exchange_holds(live, machine):
    result, engine = live(3)
    held = engine.live.account.ledger.state.parts["binance"].positions()
    assert held == theirs(machine)
    assert held["ETHUSDT-PERP"] < 0 < held["ETH"]
    assert result.summary["instructions_failed"] == 0
    assert len(machine.account("binance")["orders"]) == result.summary["instructions_routed"] == 2
    (moved,) = machine.account("binance")["transfers"]
    assert (moved["from"], moved["to"], moved["token"]) == ("spot", "perp", "USDT")
    assert sum(map(D, result.summary["attribution"].values())) == D(result.summary["pnl"])


def test_the_next_process_goes_on_with_what_the_first_one_holds(live, machine):
    first, _ = live(2)
    machine.control(fund={"venue": "binance", "symbol": "ETHUSDT", "rate": "0.0001"})
    then, engine = live(2)
    assert engine.live.account.ledger.state.parts["binance"].positions() == theirs(machine)
    assert then.summary["instructions_routed"] == first.summary["instructions_routed"]
    assert D(then.summary["attribution"]["funding"]) > 0


def test_one_fault_an_hour_leaves_the_same_positions(live, machine):
    for fault in ({"on": "order", "fault": "drop_after"}, {"on": "fills", "fault": "drop"}, {"on": "transfer", "fault": "hang_after"}):
        machine.control(fault)
    result, engine = live(3, venue_timeout=2)
    assert engine.live.account.ledger.state.parts["binance"].positions() == theirs(machine)
    assert len(machine.account("binance")["orders"]) == 2
    assert len(machine.account("binance")["transfers"]) == 1
    assert result.summary["instructions_failed"] == 0


def test_the_check_before_it_names_all_that_is_wrong_with_the_account(live, machine, monkeypatch):
    machine.control({"setting": {"venue": "binance", "hedge_mode": True, "leverage ETHUSDT": "1"}})
    machine.control(key={**KEY["key"], "may": ["read", "trade", "withdraw"], "has_ip_limit": False})
    strategy = {"spot_venue": "binance", "perp_venue": "binance", "leverage": 2}
    config = live.config(strategy=strategy, limits={**LIMITS, "withdrawal_addresses": []})
    printed = []
    with pytest.raises(ComponentError) as raised:
        for line in check_live(config):
            printed.append(line)
    assert raised.value.message.splitlines() == [
        "binance: the key may not move between the spot and the futures wallet (universal transfer); allow it at the exchange",
        "CFG-004: binance: the key may withdraw, and limits.withdrawal_addresses is empty; take that right from the key",
        "CFG-004: binance: positions are in hedge mode; set one-way mode at the exchange",
        "CFG-004: binance: the leverage of ETHUSDT is 1, the strategy wants 2; raise it there",
    ]
    assert "binance: the key may be used from any address; bind it to this machine's at the exchange" in printed


def test_an_account_that_does_not_answer_in_time_is_a_finding(live, machine):
    machine.control({"on": "key", "fault": "hang", "times": -1})
    with pytest.raises(ComponentError) as raised:
        list(check_live(live.config(venue_timeout=0.3)))
    machine.control(clear=True)
    assert "binance cannot be " in raised.value.message


def test_a_second_leg_that_is_refused_unwinds_the_first(live, machine):
    machine.control({"on": "order", "fault": "delay", "seconds": 0}, {"on": "order", "fault": "refuse", "reason": "margin"})
    _, engine = live(1)
    held = engine.live.account.ledger.state.parts["binance"].positions()
    assert held == theirs(machine)
    assert "ETHUSDT-PERP" not in held
    assert held.get("ETH", D(0)) < D("0.01")
    sides = [(order["market"], order["side"]) for order in machine.account("binance")["orders"]]
    assert sides == [("spot", "buy"), ("spot", "sell")]


def test_a_fault_of_the_second_leg_that_the_exchange_shows_before_it_is_sent_stops_the_first(live, machine):
    perp = {"market": {"venue": "binance", "kind": "perp", "symbol": "ETHUSDT", "minimum_notional": "1000000"}}
    machine.control(perp)
    _, engine = live(1)
    machine.control({"market": {**perp["market"], "minimum_notional": "20"}})
    assert machine.account("binance")["orders"] == machine.account("binance")["transfers"] == []
    (skipped,) = engine.skipped
    assert "binance takes no order of ETHUSDT below 1000000 USDT" in skipped.reason
    assert engine.memory is None


def test_an_unwinding_that_is_refused_once_is_tried_again(live, machine):
    refused = [{"on": "order", "fault": "refuse", "reason": reason} for reason in ("margin", "balance")]
    machine.control({"on": "order", "fault": "delay", "seconds": 0}, *refused)
    _, engine = live(1)
    assert engine.live.account.ledger.state.parts["binance"].positions() == theirs(machine)
    sides = [(order["market"], order["side"]) for order in machine.account("binance")["orders"]]
    assert sides[:2] == [("spot", "buy"), ("spot", "sell")]


def test_a_leg_whose_fill_cannot_be_recorded_yet_leaves_the_other_leg_alone(live, machine):
    machine.control({"on": "fills", "fault": "edit_after", "edits": [{"path": [0, "commission"]}], "times": -1})
    live(1)
    machine.control(clear=True)
    sides = [(order["market"], order["side"]) for order in machine.account("binance")["orders"]]
    assert sides == [("spot", "buy"), ("perp", "sell")]


@pytest.mark.parametrize("share", ["0", "0.1"])
def test_a_second_leg_is_not_sent_where_the_first_filled_less_and_the_rest_is_unwound(live, machine, tmp_path, share):
    machine.control({"on": "order", "fault": "partial", "share": share})
    _, engine = live(1)
    assert engine.live.account.ledger.state.parts["binance"].positions() == theirs(machine)
    sides = [(order["market"], order["side"]) for order in machine.account("binance")["orders"]]
    assert sides[0] == ("spot", "buy")
    assert sides[1:2] != [("perp", "sell")]
    logged = (tmp_path / "logs" / "events" / "event_driven_strategy_engine_events.jsonl").read_text()
    assert f"binance filled {int(float(share) * 100)}% of what was simulated; the rest was not sent (on_failure: unwind)" in logged


@pytest.mark.parametrize(
    ("on_failure", "refused", "reason", "sent", "message"),
    [
        ("hold", 2, "margin", ["spot buy"], "the rest was not sent (on_failure: hold)"),
        ("complete", 1, "balance", ["perp sell"], "the other steps were tried (on_failure: complete)"),
        ("unwind", 2, "margin", ["spot buy", "spot sell"], "the rest was not sent (on_failure: unwind)"),
    ],
)
def test_what_becomes_of_a_plan_with_a_refused_leg_is_what_the_strategy_says(live, machine, on_failure, refused, reason, sent, message):
    passed = [{"on": "order", "fault": "delay", "seconds": 0}] * (refused - 1)
    machine.control(*passed, {"on": "order", "fault": "refuse", "reason": reason})
    strategy = {"spot_venue": "binance", "perp_venue": "binance", "on_failure": on_failure}
    stopped = []
    _, engine = live(1, strategy=strategy, stopped=stopped)
    assert [f"{order['market']} {order['side']}" for order in machine.account("binance")["orders"]] == sent
    assert [one.message.endswith(message) for one in stopped] == [True]
    assert engine.live.account.ledger.state.parts["binance"].positions() == theirs(machine)


def test_a_run_whose_plans_are_unwound_three_times_in_a_row_halts_itself(live, machine, tmp_path):
    passed = {"on": "order", "fault": "delay", "seconds": 0}
    machine.control(*[passed, {"on": "order", "fault": "refuse", "reason": "margin"}, passed] * 6)
    halted = []
    live(6, halted=halted)
    logged = (tmp_path / "logs" / "events" / "event_driven_strategy_engine_events.jsonl").read_text()
    assert (halted, logged.count("ENG-005")) == ([True], 1)
    sides = [(order["market"], order["side"]) for order in machine.account("binance")["orders"]]
    assert sides == [("spot", "buy"), ("spot", "sell")] * 3


def test_plans_that_were_unwound_before_a_restart_count(live, machine, tmp_path):
    passed = {"on": "order", "fault": "delay", "seconds": 0}
    machine.control(*[passed, {"on": "order", "fault": "refuse", "reason": "margin"}, passed] * 6)
    halted = []
    for _ in range(4):
        live(1, halted=halted)
    logged = (tmp_path / "logs" / "events" / "event_driven_strategy_engine_events.jsonl").read_text()
    assert (halted, logged.count("3 plans in a row were unwound")) == ([True], 1)
    assert [order["side"] for order in machine.account("binance")["orders"]] == ["buy", "sell"] * 3


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_first_entry_whose_short_was_refused_does_not_count_as_liquidated(live, machine, monkeypatch, is_killed):
    refused = [{"on": "order", "fault": "refuse", "reason": reason} for reason in ("margin", "balance", "balance")]
    machine.control({"on": "order", "fault": "delay", "seconds": 0}, *refused)
    if is_killed:  # before the plan is unwound, and its memory taken back
        monkeypatch.setattr(LiveEngine, "_stopped", lambda *ignored: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            live(1)
        monkeypatch.undo()
    else:
        live(1)
    _, engine = live(3)
    held = engine.live.account.ledger.state.parts["binance"].positions()
    assert held == theirs(machine)
    assert engine.memory == BasisMemory(has_been_short=True)
    assert held["ETHUSDT-PERP"] < -20


def test_a_run_whose_order_was_executed_after_its_row_was_closed_closes_what_that_left_unhedged_and_ends(live, machine):
    machine.control(advance_s=300)
    live.time.ahead += timedelta(seconds=300)
    later = [{"lag_s": {"binance": 150}}, {"stale_s": {"binance": 150}}, {"on": "order", "fault": "drop_after"}]
    live.time.meanwhile = {6: later, 1: [{"clear": True}]}
    with pytest.raises(ComponentError) as ended:
        live(6, interval="1m")
    bought, sold = machine.account("binance")["orders"]
    assert (bought["side"], sold["side"]) == ("buy", "sell")
    at = iso(datetime.fromtimestamp(bought["at"] // 60_000 * 60, UTC))[:16]
    assert (ended.value.error_code, ended.value.message.rpartition(" at ")[0]) == (
        "JRN-007",
        f"binance has executed the order {bought['id']} ({bought['client_id']}) after its row was closed as not executed: "
        f"24.92505 ETH, -49900 USDT",
    )
    assert ended.value.message.rpartition(" at ")[2].startswith(at)
    assert theirs(machine)["ETH"] < D("0.001")
    result, engine = live(1, interval="1m")
    assert engine.live.account.ledger.state.parts["binance"].positions() == theirs(machine)
    assert sum(map(D, result.summary["attribution"].values())) == D(result.summary["pnl"])


def test_a_second_leg_that_fills_half_is_known_as_that(live, machine):
    machine.control({"on": "order", "fault": "delay", "seconds": 0}, {"on": "order", "fault": "partial", "share": "0.5"})
    _, engine = live(2)
    assert engine.live.account.ledger.state.parts["binance"].positions() == theirs(machine)


@pytest.mark.parametrize("jump_s", [3, -3])
def test_a_clock_that_jumps_between_two_orders_is_measured_again_and_the_order_is_sent(machine, tmp_path, jump_s):
    machine.begin(tmp_path / "exchange.jsonl", CAPITAL, KEY)
    gateway = open_exchange("binance", Settings(endpoint=machine.url), secrets_of("a-key", "a-secret"), BOTH)

    def send(key):
        one = approved(key, "spot", "buy", "0.1", at=datetime.now(UTC))
        return gateway.send(gateway.prepare(one, LIMITS_OF_ORDERS, gateway.quote(one.order), None))

    send("k1")
    machine.control(advance_s=jump_s)
    if jump_s < 0:
        assert send("k2").filled == 1
    else:  # by the new time its life is over
        with pytest.raises(VenueUnreachable, match="expired before it was sent"):
            send("k2")
        assert send("k3").filled == 1
    machine.control(advance_s=-jump_s)


@pytest.mark.parametrize("off_s", [3, -3])
def test_a_venue_whose_clock_is_off_is_traded_at_its_own_time(live, machine, off_s):
    machine.control(advance_s=off_s)
    result, engine = live(1)
    machine.control(advance_s=-off_s)
    assert engine.live.account.ledger.state.parts["binance"].positions() == theirs(machine)
    assert result.summary["instructions_routed"] == 2


def test_an_account_that_is_ready_passes_the_check(live):
    *_, ready = check_live(live.config())
    assert ready == "ready"


def test_a_run_without_keys_says_which(live, monkeypatch, machine, tmp_path):
    with pytest.raises(ComponentError, match="BASIS_DEV__BINANCE_MAIN__API_KEY is not set"):
        live(
            1,
            strategy={"spot_venue": "binance_main", "perp_venue": "binance_main"},
            venues={"cex": {"binance_main": {"endpoint": machine.url}}},
        )


def test_the_commands_of_the_documents_work_with_the_config_and_the_keys_that_they_name(machine, tmp_path, monkeypatch, repository):
    """Only the endpoint is added, and the step is one."""
    shown = (repository / "docs" / "live.md").read_text().split("\n## Exchanges\n")[1]
    exports, check, live, *_ = [line.strip() for line in shown.splitlines() if line.startswith("    ")]
    names = re.findall(r"BASIS_DEV__\w+", exports)
    (path,) = set(re.findall(r"config/\w+\.yaml", check + live))
    assert (check, live) == (f"basis check {path} --live", f"basis live {path} --state build/live")
    venue = names[0].split("__")[1].lower()
    held, theirs_ = ready_and_a_step(machine, tmp_path, monkeypatch, repository / path, venue, names)
    assert held == theirs_
    assert held["ETHUSDT-PERP"] < 0 < held["ETH"]


KEYS = {
    "binance": {"API_KEY": "a-key", "API_SECRET": "a-secret"},
    "bybit": {"API_KEY": "a-key", "API_SECRET": "a-secret"},
    "hyperliquid": {"API_KEY": OWNER, "API_SECRET": "0x" + "3" * 64},
    "okx": {"API_KEY": "a-key", "API_SECRET": "a-secret", "PASSPHRASE": "passphrase"},
}
WALLETS = {"binance": ("spot",), "bybit": ("unified",), "hyperliquid": ("spot", "perp"), "okx": ("trading",)}


def ready_and_a_step(machine, tmp_path, monkeypatch, path, venue, names):
    """What a shipped config holds at an exchange after one step, by us and by the exchange; the check before it finds it ready.

    `names` are the variables that are set; only the endpoint is added to the config.
    """
    keys, wallets = KEYS[venue], WALLETS[venue]
    settle = "USDC" if venue == "hyperliquid" else "USDT"
    signer = Account.from_key(keys["API_SECRET"]).address.lower() if venue == "hyperliquid" else "a-key"
    grants = [{"grant": {"venue": venue, "wallet": wallet, settle: str(100_000 // len(wallets))}} for wallet in wallets]
    may = ["read", "trade", "transfer"] if venue == "binance" else ["read", "trade"]
    machine.begin(tmp_path / "exchange.jsonl", *grants, {"key": {"venue": venue, "key": signer, "secret": "a-secret", "may": may}})
    config = yaml.safe_load(path.read_text().replace("bybit", venue))
    config["venues"]["cex"][venue]["endpoint"] = machine.url
    monkeypatch.setattr(secrets, "_taken", {})  # of a process that has read none before
    for name in names:
        monkeypatch.setenv(name, keys[name.rpartition("__")[2]])
    *_, ready = check_live(config)
    assert ready == "ready"
    time = Time(machine)
    time.steps = 1
    engine = build_live(
        config, tmp_path / "state", tmp_path / "results", tmp_path / "logs", paper=False, stop=time, clock=time, report=False
    )
    engine.waits = time
    try:
        result = engine.run()
    finally:
        engine.live.journal.close_file()
    assert (result.summary["instructions_routed"], result.summary["instructions_failed"]) == (2, 0)
    return engine.live.account.ledger.state.parts[venue].positions(), theirs(machine, venue)


@pytest.mark.parametrize("venue", ["hyperliquid", "okx"])
def test_the_shipped_strategy_enters_at_the_other_exchanges_too(machine, tmp_path, monkeypatch, repository, venue):
    names = [f"BASIS_DEV__{venue.upper()}__{field}" for field in KEYS[venue]]
    held, theirs_ = ready_and_a_step(machine, tmp_path, monkeypatch, repository / "config" / "eth_basis.yaml", venue, names)
    assert held == theirs_
    (perp,) = (amount for name, amount in held.items() if name.endswith("-PERP"))
    assert perp < 0 < held["ETH"]


MAINTENANCE = ({"maintenance": ["binance"]},)


def test_a_run_keeps_and_watches_what_it_has_through_a_maintenance_and_goes_on_after_it(live, machine):
    live.time.meanwhile = {4: MAINTENANCE, 2: ({"clear": True}, {"fund": {"venue": "binance", "symbol": "ETHUSDT", "rate": "0.0001"}})}
    result, engine = live(5)
    held = engine.live.account.ledger.state.parts["binance"].positions()
    assert held == theirs(machine)
    assert held["ETHUSDT-PERP"] < 0 < held["ETH"]
    assert len(machine.account("binance")["orders"]) == result.summary["instructions_routed"] == 2
    assert result.summary["instructions_failed"] == 0
    assert D(result.summary["attribution"]["funding"]) > 0  # read once it was over
    assert engine.live.senders.health.check()["status"] == "healthy"


def test_a_run_that_begins_in_a_maintenance_of_orders_enters_once_it_is_over(live, machine):
    refused = {"on": "order", "fault": "code", "code": 1, "text": "System is under maintenance.", "status": 503, "times": -1}
    machine.control(refused)
    live.time.meanwhile = {2: ({"clear": True},)}
    _, engine = live(4)
    held = engine.live.account.ledger.state.parts["binance"].positions()
    assert held == theirs(machine)
    assert held["ETHUSDT-PERP"] < 0 < held["ETH"]
    filled = [(order["market"], order["side"]) for order in machine.account("binance")["orders"]]
    assert filled == [("spot", "buy"), ("perp", "sell")]


@pytest.mark.parametrize("off_s", [3, -3])
@pytest.mark.parametrize("venue", list(CASES))
def test_an_order_reaches_a_venue_whose_clock_is_off_at_its_own_time(machine, tmp_path, venue, off_s):
    machine.begin(tmp_path / "exchange.jsonl", *CASES[venue].held)
    machine.control(advance_s=off_s)
    gateway = open_exchange(venue, Settings(endpoint=machine.url), secrets_of(venue=venue), CASES[venue].symbols)
    try:
        one = approved("k1", "spot", "buy", "0.1", at=datetime.now(UTC), venue=venue)
        sent = gateway.send(gateway.prepare(one, LIMITS_OF_ORDERS, gateway.quote(one.order), None))
    finally:
        machine.control(advance_s=-off_s)
    assert sent.filled == 1
