"""Nodes that are down, slow, behind or wrong: an order ends once or not at all, with one of the three errors, and no key is shown."""

from __future__ import annotations

import socket

import pytest

from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, VenueRejected, VenueUnreachable
from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.live.chain_client import Endpoint
from basis_strategy_v1.live.secrets import Secret

from ..server_process import ServerProcess
from .node import EXCHANGE, USD, PricedChain
from .wallet_trader import transfer

pytestmark = pytest.mark.chain

PAY = transfer("USDT", 100, instruction_id="pay")
SEND = "eth_sendRawTransaction"


class ProxyProcess(ServerProcess):
    """A node with faults in front of a real one."""

    def __init__(self, target):
        self._target = target
        super().__init__("tests.chain.proxy")

    def arguments(self):
        return ["--target", self._target]

    def fault(self, name, method="", times=1):
        self.send_control({"fault": name, "method": method, "times": times})


@pytest.fixture(scope="module")
def process(deployed):
    with ProxyProcess(deployed.chain.url) as made:
        yield made


@pytest.fixture
def node(process):
    yield process
    process.send_control({"clear": True})


def paid(world):
    return world.chain.call(world.tokens["USDT"], "balanceOf(address)(uint256)", (EXCHANGE,))


def finish(trader):
    """Send the same order again until it has settled; the errors on the way."""
    errors = []
    for _ in range(5):
        try:
            trader.execute(PAY)
        except ComponentError as error:
            errors.append(error)
        if trader.status("pay") is Status.SETTLED:
            return errors
    raise AssertionError(errors)


@pytest.mark.parametrize(
    "fault",
    ["drop", "drop_after", "hang", "hang_after", "html", "refuse", "error", "limited", "limited_after", "known", "truncated", "swallow"],
)
def test_whatever_a_node_does_with_a_transaction_it_is_executed_once(world, node, trade, fault):
    trader = trade(url=node.url, timeout_s=1)
    trader.start()
    node.fault(fault, SEND)
    errors = finish(trader)
    assert all(isinstance(error, VenueRejected | VenueUnreachable | OutcomeUnknown) for error in errors)
    assert (paid(world), world.nonce(), trader.journal.open_entries()) == (100 * USD, 1, [])


@pytest.mark.parametrize("fault", ["drop", "hang", "html", "refuse", "error", "limited", "truncated"])
def test_a_node_that_answers_no_look_up_for_a_while_leaves_it_open_until_it_does(world, node, trade, fault):
    trader = trade(url=node.url, timeout_s=1)
    trader.start()
    node.fault(fault, "eth_getTransactionReceipt", 3)
    assert finish(trader) == []
    assert (paid(world), world.nonce()) == (100 * USD, 1)


@pytest.mark.parametrize("fault", ["drop", "hang", "html", "refuse", "error", "truncated"])
def test_a_node_that_gives_no_quote_has_nothing_sent(world, node, trade, fault):
    trader = trade(url=node.url, timeout_s=1)
    trader.start()
    node.fault(fault, "eth_feeHistory", 10)
    with pytest.raises(VenueUnreachable, match="nothing was sent"):
        trader.execute(PAY)
    assert (paid(world), trader.status("pay")) == (0, Status.NEVER_HAPPENED)
    node.send_control({"clear": True})
    assert finish(trader) == []


def test_a_node_that_is_down_has_nothing_sent_and_its_address_is_not_shown(world, trade):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    trader = trade(url=f"http://user:hunter2@127.0.0.1:{port}/v3/key-in-the-path", timeout_s=1)
    with pytest.raises(VenueUnreachable) as error:
        trader.start()
    assert f"127.0.0.1:{port}" in error.value.message
    assert "there is no connection to it" in error.value.message
    assert not any(secret in str(error.value) for secret in ("hunter2", "key-in-the-path", "user"))


def test_a_node_that_is_behind_is_not_asked(world, node, trade):
    trader = trade(url=f"{world.chain.url},{node.url}", timeout_s=2)
    trader.start()
    world.chain.send(world.tokens["USDT"], "transfer(address,uint256)", (world.account, USD))
    trader.settle()  # the first node has shown the newest block
    node.fault("lag", "", 100)
    client = trader.gateway._client
    client._reading.reverse()
    assert trader.gateway.read().parts["wallet"].units["USDT"] == world.balances()["USDT"]
    assert node.send_control({"count": "eth_blockNumber"}) >= 1
    trader.execute(PAY)
    assert paid(world) == 100 * USD


def test_where_one_node_is_down_the_other_is_asked(world, trade):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    trader = trade(url=f"http://127.0.0.1:{port},{world.chain.url}", timeout_s=2)
    trader.start()
    trader.execute(PAY)
    assert (paid(world), trader.status("pay")) == (100 * USD, Status.SETTLED)


def test_a_transaction_goes_to_the_address_for_sending_and_nothing_else_does(world, node, trade):
    trader = trade(send_url=node.url)
    trader.start()
    before = {method: node.send_control({"count": method}) for method in (SEND, "eth_blockNumber")}
    trader.execute(PAY)
    after = {method: node.send_control({"count": method}) for method in (SEND, "eth_blockNumber")}
    assert (after[SEND] - before[SEND], after["eth_blockNumber"] - before["eth_blockNumber"]) == (1, 0)
    assert paid(world) == 100 * USD


def test_of_two_nodes_that_disagree_nothing_is_read_of_one_at_a_block_of_the_other(world, node, trade):
    """Both are at one height, with other blocks: what the first was asked about, the second does not know."""
    with PricedChain() as other:
        other.rpc("anvil_mine", (hex(int(world.chain.rpc("eth_blockNumber"), 16) + 3),))
        trader = trade(url=node.url, timeout_s=2)
        trader.start()
        client = trader.gateway._client
        second = Endpoint(Secret(other.url))
        client._reading.append(second)
        world.chain.rpc("anvil_mine", (hex(3),))
        node.fault("refuse", "eth_getBalance", 1)
        with pytest.raises(VenueUnreachable, match=f"{second.shown}: eth_getBalance: "):
            trader.gateway.look()
        client._reading.remove(second)
        trader.execute(PAY)
        assert (paid(world), world.nonce()) == (100 * USD, 1)
