"""`basis live` and `basis check --live` with a wallet: prices from the local exchange, everything else from the node."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from basis_strategy_v1.app.live import build_live
from basis_strategy_v1.app.live_check import check_live
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.live import secrets
from basis_strategy_v1.live.journal import SqliteJournal

from ..exchange.process import ExchangeProcess
from .node import KEY
from .wallet_trader import in_units

pytestmark = pytest.mark.chain

EXCHANGE_KEY = {"key": {"venue": "binance", "key": "a-key", "secret": "a-secret", "may": ["read", "trade", "transfer"]}}
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    with ExchangeProcess(tmp_path_factory.mktemp("exchange") / "ledger.jsonl") as process:
        yield process


class Time:
    """The time of the run, the exchange and the chain: `steps` hours of it."""

    def __init__(self, world, exchange):
        self.world, self.exchange, self.steps = world, exchange, 0

    def now(self):
        return self.world.clock.now()

    def __call__(self):
        return self.steps < 0

    def wait(self, seconds):
        """Unused: `until` moves the time itself."""

    def until(self, at, each_s):
        yield
        self.steps -= 1
        rest = (at - self.now()).total_seconds()
        if rest > 0:
            self.world.clock.shift += timedelta(seconds=rest)
            self.exchange.control(advance_s=rest)
            self.world.chain.set_next_timestamp(max(int(self.now().timestamp()), self.world.chain.timestamp() + 1))
            self.world.chain.mine()


@pytest.fixture
def config(world, machine, tmp_path, monkeypatch):
    machine.begin(tmp_path / "exchange.jsonl", EXCHANGE_KEY)
    ahead = world.clock.shift.total_seconds()
    machine.control(advance_s=ahead)
    monkeypatch.setattr(secrets, "_taken", {})
    for name, value in {"BINANCE__API_KEY": "a-key", "BINANCE__API_SECRET": "a-secret", "WALLET__PRIVATE_KEY": KEY,
                        "WALLET__RPC_URL": world.chain.url}.items():  # fmt: skip
        monkeypatch.setenv(f"BASIS_DEV__{name}", value)

    def make(**wallet):
        made = world.config(**wallet)
        made["venues"]["cex"] = {"binance": {"endpoint": machine.url}}
        return {**made, "strategy": {"protocol": "aave", "token": "USDT"}, "interval": "1h"}

    return make


def test_a_strategy_lends_on_chain_for_some_hours_and_every_wei_of_it_is_explained(world, machine, config, tmp_path):
    time = Time(world, machine)
    time.steps = 6
    engine = build_live(
        config(), tmp_path / "state", tmp_path / "results", tmp_path / "logs", paper=False, stop=time, clock=time, report=False
    )
    engine.waits = time
    engine.run()
    assert engine.live.senders.check_health()["status"] == "healthy"
    with SqliteJournal(tmp_path / "state") as journal:
        held, block = journal.state().positions(), json.loads(journal.cursor("wallet"))["number"]
        assert journal.open_entries() == []
    balances = {name: units for name, units in world.balances(hex(block)).items() if units}
    assert balances["aUSDT"] > 500_000_000_000
    assert in_units(held["wallet"] | held["aave"]) == balances
    lines = [json.loads(line) for path in (tmp_path / "logs" / "events").glob("*.jsonl") for line in path.open()]
    kinds = [line["data"].get("kind") for line in lines if line["event_type"] == "settlement"]
    assert kinds.count("interest") >= 4


def test_what_is_ready_names_the_account_its_chain_and_its_node(config, world):
    lines = list(check_live(config(), clock=world.clock))
    assert lines[-1] == "ready"
    (wallet,) = [line for line in lines if line.startswith("wallet: ")]
    assert wallet == f"wallet: {world.account} on chain 31337, 100 ETH, nodes 127.0.0.1:{world.chain.port}"


def findings(world, config):
    with pytest.raises(ComponentError) as raised:
        list(check_live(config, clock=world.clock))
    return raised.value.message.splitlines()


def test_a_wrong_chain_id_is_one_line(config, world):
    assert findings(world, config(chain_id=1)) == [
        f"wallet cannot be read: 127.0.0.1:{world.chain.port} is chain 31337, venues.onchain.wallet.chain_id is 1; "
        "give the address of a node of that chain, or change chain_id"
    ]


def test_an_address_without_code_is_one_line(config, world):
    made = config()
    made["venues"]["onchain"]["aave"] = {"pool": "0x" + "77" * 20}
    (line,) = findings(world, made)
    assert line.startswith("wallet cannot be read: venues: aave is at 0x7777") and "no code on this chain" in line


def test_a_pool_of_an_unknown_revision_is_named(config, world):
    world.chain.rpc("anvil_setCode", (world.aave.pool, "0x600960005260206000f3"))  # it answers 9 to everything
    assert findings(world, config()) == [
        f"wallet cannot be read: venues.onchain.aave.pool: {world.aave.pool} is of revision 9, which is not simulated; "
        "those that are: 1 (3.0), 2 (3.0)"
    ]


def test_decimals_that_are_not_the_contracts_are_one_line(config, world):
    made = config()
    made["venues"]["onchain"]["wallet"]["tokens"]["USDT"]["decimals"] = 18
    (line,) = findings(world, made)
    assert "venues.onchain.wallet.tokens.USDT.decimals: 18, the contract at" in line and "has 6" in line


def test_a_key_of_a_wrong_length_and_a_keystore_with_a_wrong_password_are_one_line_each(config, world, monkeypatch, tmp_path):
    monkeypatch.setenv("BASIS_DEV__WALLET__PRIVATE_KEY", "0x1234")
    assert findings(world, config()) == ["BASIS_DEV__WALLET__PRIVATE_KEY must be a private key, 0x and 64 hexadecimal digits"]
    from eth_account import Account

    path = tmp_path / "keystore.json"
    path.write_text(json.dumps(Account.encrypt(KEY, "right", iterations=2, kdf="pbkdf2")))
    monkeypatch.setattr(secrets, "_taken", {})
    monkeypatch.delenv("BASIS_DEV__WALLET__PRIVATE_KEY", raising=False)
    for name, value in {"BINANCE__API_KEY": "a-key", "BINANCE__API_SECRET": "a-secret", "WALLET__RPC_URL": "http://127.0.0.1:1",
                        "WALLET__KEYSTORE": str(path), "WALLET__KEYSTORE_PASSWORD": "wrong"}.items():  # fmt: skip
        monkeypatch.setenv(f"BASIS_DEV__{name}", value)
    found = findings(world, config())
    assert found == [f"keystore {path}: BASIS_DEV__WALLET__KEYSTORE_PASSWORD does not open it; give the password that it was made with"]


def test_a_password_in_the_address_of_a_node_is_not_shown(config, world, monkeypatch):
    monkeypatch.setenv("BASIS_DEV__WALLET__RPC_URL", "http://me:hunter2@127.0.0.1:1/v3/projectkey")
    text = "\n".join(findings(world, config()))
    assert "127.0.0.1:1: there is no connection to it" in text
    assert not any(secret in text for secret in ("hunter2", "projectkey"))
