"""Money goes from the exchange to the wallet and back: the real gateways of both, a node and the local exchange."""

from __future__ import annotations

from decimal import Decimal

import pytest

from basis_strategy_v1.app.venue_accounts import real_gateways
from basis_strategy_v1.config import load_config
from basis_strategy_v1.execution.execution_interface_manager import ExecutionInterfaceManager, venues_of_config
from basis_strategy_v1.live.journal import SqliteJournal
from basis_strategy_v1.live.secrets import read_secrets

from ..exchange.process import ExchangeProcess
from ..live.exchange.trader import theirs
from .node import ETHER, KEY, USD
from .wallet_trader import Prices

pytestmark = pytest.mark.chain

D = Decimal
HELD = {"grant": {"venue": "binance", "wallet": "spot", "USDT": "10000", "ETH": "5"}}
SERIES = [("spot", "binance", "ETHUSDT"), ("perp", "binance", "ETHUSDT")]


def transfer(source, target, token, amount):
    return {"instruction_type": "wallet_transfer", "from_venue": source, "to_venue": target, "token": token, "amount": amount}


class Both:
    """A manager with both gateways."""

    def __init__(self, world, exchange, folder):
        self.world, self.exchange = world, exchange
        self.deposits_to = exchange.read("address?venue=binance&token=USDT")["address"]
        config = world.config()
        config["venues"]["cex"] = {"binance": {"endpoint": exchange.url, "withdrawal": "default"}}
        config["limits"] |= {"withdrawal_addresses": [world.account, self.deposits_to]}
        settings = load_config(config)
        environ = {
            "WALLET__PRIVATE_KEY": KEY,
            "WALLET__RPC_URL": world.chain.url,
            "BINANCE__API_KEY": "key",
            "BINANCE__API_SECRET": "secret",
        }
        secrets = read_secrets("dev", {f"BASIS_DEV__{name}": text for name, text in environ.items()})
        self.journal = SqliteJournal(folder / "state", new_run="run")
        self.gateways = real_gateways(settings, venues_of_config(settings), secrets, world.clock, SERIES, "run")
        self.manager = ExecutionInterfaceManager(
            settings, Prices(), "live", gateways=self.gateways, journal=self.journal, clock=world.clock
        )
        self.manager.live.take_up(world.clock.now())

    def execute(self, *given):
        return self.manager.execute(self.world.clock.now(), transfer(*given))

    def settle(self):
        """What has fallen due, a minute later at the exchange."""
        self.exchange.control(advance_s=60)
        return [report for report in self.manager.settle(self.world.clock.now()) if report.kind != "interest"]

    def held(self):
        return self.manager.account.ledger.state.positions()

    def require_agreement(self):
        held = self.held()
        assert held["binance"] == theirs(self.exchange)
        assert held["wallet"] == self.gateways["wallet"].read().positions()["wallet"]
        assert "in_transit" not in held


@pytest.fixture
def both(world, tmp_path):
    with ExchangeProcess(tmp_path / "exchange.jsonl") as exchange:
        exchange.control(HELD)
        made = Both(world, exchange, tmp_path)
        yield made
        made.journal.close_file()


@pytest.mark.parametrize(("token", "amount", "arriving"), [("USDT", "1000", "996"), ("ETH", "2", "1.9988")])
def test_a_withdrawal_arrives_under_the_hash_of_the_payment_on_chain(both, world, token, amount, arriving):
    report = both.execute("binance", "wallet", token, amount)
    assert report.deltas.amounts == {"binance": {token: -D(amount)}, "in_transit": {token: D(arriving)}}
    if token == "ETH":
        paid = world.chain.send_raw(world.account, "0x", value_wei=int(D(arriving) * ETHER))
    else:
        paid = world.chain.send(world.tokens[token], "transfer(address,uint256)", (world.account, int(D(arriving) * USD)))
    assert both.settle() == []  # the exchange has not shown which payment it is
    (row,) = both.exchange.account("binance")["withdrawals"]
    both.exchange.control(withdrawal={"venue": "binance", "id": row["id"], "status": "completed", "hash": paid["transactionHash"]})
    found = [*both.settle(), *both.settle()]
    assert [(one.kind, one.venue, one.deltas.get(one.venue, token)) for one in found] == [
        ("on chain", "binance", D(0)), ("arrival", "wallet", D(arriving)),
    ]  # fmt: skip
    both.require_agreement()


def test_a_deposit_is_credited_under_the_hash_of_the_wallets_transaction(both, world):
    report = both.execute("wallet", "binance", "USDT", "1234.567891")
    there = world.chain.call(world.tokens["USDT"], "balanceOf(address)(uint256)", (both.deposits_to,))
    assert (there, both.held()["in_transit"]) == (1_234_567_891, {"USDT": D("1234.567891")})
    assert both.settle() == []
    paid = {"to": both.deposits_to, "token": "USDT", "amount": "1234.567891", "hash": report.reference}
    both.exchange.control(send=paid)
    (arrived,) = both.settle()
    assert (arrived.kind, arrived.venue, arrived.deltas.get("binance", "USDT")) == ("arrival", "binance", D("1234.567891"))
    both.require_agreement()
