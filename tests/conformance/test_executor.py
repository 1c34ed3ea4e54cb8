"""The executor under the account of a trader, on a node with a base fee that signs for nobody: every action of every venue, chains, and
who is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from basis_strategy_v1.core.chain_call import ALL, ETHER, call_data, selector
from basis_strategy_v1.core.tokens import decimals_of, to_units
from basis_strategy_v1.live.trader_account import (
    RUN,
    Floor,
    creation_code,
    delegate_of,
    deploy_call,
    direct_call,
    pack_batch,
    runtime_code,
)
from basis_strategy_v1.venues.transaction_calls import encode_transaction

from .chain import TransactionReverted
from .chain_model import instruction_of, simulated
from .chain_world import with_any_number
from .signed_account import SignedAccount
from .test_chain_conformance import LENDING_AND_SWAPS, STAKING_AND_CURVE, flash, of, on_morpho, step
from .trader import code_of

if TYPE_CHECKING:
    from .trader import Trader

pytestmark = pytest.mark.chain
STRANGER = 8
NOTHING_STORED = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"  # the root of an empty tree


SUPPLIED = step("aave", "supply", "WETH", "100.123456789012345678")
BORROWED = step("aave", "borrow", "USDT", "90000.000001")
LENT = on_morpho("supply", "USDC", "900.000007")
SECURED = on_morpho("supply_collateral", "wstETH", "500.000000000000000003")
OWED = on_morpho("borrow", "USDC", "100000.123456")
# What each action needs before it, and the action last. Where the action takes an amount, it is also tried with "all" and with an output.
ACTIONS = {
    "aave supply": [SUPPLIED],
    "aave supply all": [step("aave", "supply", "USDT", "all")],
    "aave borrow": [SUPPLIED, BORROWED],
    "aave repay": [SUPPLIED, BORROWED, step("aave", "repay", "USDT", "123.456789")],
    "aave repay all": [SUPPLIED, BORROWED, step("aave", "repay", "USDT", "all")],
    "aave repay an output": [SUPPLIED, BORROWED, step("aave", "repay", "USDT", of(1, "0.3333333333333333333333"))],
    "aave withdraw": [SUPPLIED, step("aave", "withdraw", "WETH", "1.000000000000000007")],
    "aave withdraw all": [SUPPLIED, step("aave", "withdraw", "WETH", "all")],
    "aave set_emode": [{"protocol": "aave", "action": "set_emode", "category": 1}],
    "aave flash_loan": [step("aave", "flash_loan", "USDT", "1000000.000001", sub_instructions=[SUPPLIED])],
    "morpho supply": [LENT],
    "morpho withdraw": [LENT, on_morpho("withdraw", "USDC", "899.5")],
    "morpho withdraw all": [LENT, on_morpho("withdraw", "USDC", "all")],
    "morpho supply_collateral": [SECURED],
    "morpho supply_collateral all": [on_morpho("supply_collateral", "wstETH", "all")],
    "morpho withdraw_collateral": [SECURED, on_morpho("withdraw_collateral", "wstETH", "7.7")],
    "morpho withdraw_collateral all": [SECURED, on_morpho("withdraw_collateral", "wstETH", "all")],
    "morpho borrow": [SECURED, OWED],
    "morpho repay": [SECURED, OWED, on_morpho("repay", "USDC", "777.000001")],
    "morpho repay all": [SECURED, OWED, on_morpho("repay", "USDC", "all")],
    "morpho flash_loan": [flash("200000", LENT)],
    "uniswap swap": [step("uniswap", "swap", "WETH", "3.3", token_out="USDT")],
    "uniswap swap all": [step("uniswap", "swap", "USDT", "all", token_out="WETH", min_amount_out="0.3")],
    "uniswap swap of ether": [step("uniswap", "swap", "ETH", "3.3", token_out="USDT")],
    "uniswap swap to ether": [step("uniswap", "swap", "USDT", "999.000001", token_out="ETH")],
    "curve swap": [step("curve", "swap", "USDT", "999.000001", token_out="USDC", min_amount_out="990")],
    "curve swap all": [step("curve", "swap", "weETH", "all", token_out="WETH")],
    "curve swap of ether": [step("curve", "swap", "ETH", "3.3", token_out="weETH")],
    "curve swap to ether": [step("curve", "swap", "weETH", "3.3", token_out="ETH")],
    "lido stake": [step("lido", "stake", "ETH", "5.123456789012345678")],
    "lido stake to wstETH": [step("lido", "stake", "ETH", "5.123456789012345678", token_out="wstETH")],
    "lido stake of WETH": [step("lido", "stake", "WETH", "all")],
    "lido wrap": [step("lido", "stake", "ETH", "5.1"), step("lido", "wrap", "stETH", "3.3")],
    "lido wrap all": [step("lido", "stake", "ETH", "5.1"), step("lido", "wrap", "stETH", "all")],
    "lido unwrap": [step("lido", "unwrap", "wstETH", "1.000000000000000001")],
    "lido unwrap all": [step("lido", "unwrap", "wstETH", "all")],
    "lido unstake": [step("lido", "stake", "ETH", "5.1"), step("lido", "unstake", "stETH", "3.3")],
    "lido unstake all": [step("lido", "stake", "ETH", "5.1"), step("lido", "unstake", "stETH", "all")],
    "lido unstake of wstETH": [step("lido", "unstake", "wstETH", "3.3")],
    "etherfi stake": [step("etherfi", "stake", "ETH", "5.123456789012345678")],
    "etherfi stake to weETH": [step("etherfi", "stake", "ETH", "5.123456789012345678", token_out="weETH")],
    "etherfi stake of WETH": [step("etherfi", "stake", "WETH", "5.1")],
    "etherfi wrap": [step("etherfi", "stake", "ETH", "5.1"), step("etherfi", "wrap", "eETH", of(0))],
    "etherfi unwrap": [step("etherfi", "unwrap", "weETH", "1.000000000000000001")],
    "etherfi unstake": [step("etherfi", "stake", "ETH", "5.1"), step("etherfi", "unstake", "eETH", "3.3")],
    "etherfi unstake of weETH": [step("etherfi", "unstake", "weETH", "3.3")],
    "wallet wrap": [step("wallet", "wrap", "ETH", "0.000000000000000007")],
    "wallet unwrap": [step("wallet", "unwrap", "WETH", "3.3")],
    "wallet unwrap all": [step("wallet", "unwrap", "WETH", "all")],
}  # fmt: skip


@pytest.mark.parametrize("steps", ACTIONS.values(), ids=ACTIONS)
def test_an_action_moves_what_is_simulated_to_the_wei_and_leaves_no_allowance(trader: Trader, steps: list[dict[str, Any]]) -> None:
    trader.run(steps)


CHAINS = {
    f"{name} of {length}": steps[:length]
    for name, steps in (("lending", LENDING_AND_SWAPS), ("staking", STAKING_AND_CURVE))
    for length in range(2, len(steps) + 1)
}


@pytest.mark.parametrize("steps", CHAINS.values(), ids=CHAINS)
def test_a_chain_moves_what_is_simulated_to_the_wei_in_one_transaction(trader: Trader, steps: list[dict[str, Any]]) -> None:
    trader.run(steps)


def on_aave(name: str, token: str, amount: Any) -> dict[str, Any]:
    return step("aave", name, token, amount)


LEVERAGED = {
    "aave": (
        step("aave", "flash_loan", "USDT", "60000", sub_instructions=[
            step("uniswap", "swap", "USDT", "all", token_out="WETH"), on_aave("supply", "WETH", "all"),
            on_aave("borrow", "USDT", "60030")]),
        step("aave", "flash_loan", "USDT", "60100", sub_instructions=[
            on_aave("repay", "USDT", "all"), on_aave("withdraw", "WETH", "all"),
            step("uniswap", "swap", "WETH", of(1, "0.1"), token_out="USDT")]),
    ),
    "morpho": (
        flash("9000.5", step("curve", "swap", "USDC", "9000.5", token_out="USDT"),
              step("uniswap", "swap", "USDT", of(0), token_out="ETH"),
              step("lido", "stake", "ETH", of(1), token_out="wstETH"), on_morpho("supply_collateral", "wstETH", "all"),
              on_morpho("borrow", "USDC", "9000.5")),
        flash("9100", on_morpho("repay", "USDC", "all"), on_morpho("withdraw_collateral", "wstETH", "all"),
              step("wallet", "unwrap", "WETH", "500"), step("uniswap", "swap", "ETH", "4.5", token_out="USDT"),
              step("curve", "swap", "USDT", of(3), token_out="USDC")),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("entry", "unwind"), LEVERAGED.values(), ids=LEVERAGED)
def test_a_leveraged_position_is_entered_and_unwound_in_one_transaction_each(
    trader: Trader, entry: dict[str, Any], unwind: dict[str, Any]
) -> None:
    entered = trader.run([entry])
    assert any(name.startswith(("variableDebt", "morpho:")) for name in trader.world.balances())
    trader.run([unwind], entered, later_s=1)  # a row of data is the market without us: the debt's rate is not exact for longer
    left = {name for name, units in trader.world.balances().items() if name.startswith(("variableDebt", "aWETH", "morpho:")) and units > 1}
    assert left == set()


@pytest.mark.parametrize(("protocol", "token"), [("lido", "stETH"), ("lido", "wstETH"), ("etherfi", "eETH"), ("etherfi", "weETH")])
def test_what_was_unstaked_is_claimed_once_the_queue_has_come_to_it(trader: Trader, protocol: str, token: str) -> None:
    chain, staking = trader.world.chain, trader.world.staking[protocol]
    staked = [] if token.startswith("w") else [step(protocol, "stake", "ETH", "50")]
    asked = trader.run([*staked, step(protocol, "unstake", token, "33.000000000000000001")])
    staking.finalise(1)
    chain.set_next_timestamp(chain.timestamp() + 8 * 86_400)
    chain.mine()
    ether = trader.world.balances()["ETH"]
    trader.run([{"protocol": protocol, "action": "claim", "request_id": f"{protocol}-1"}], asked)
    assert trader.world.balances()["ETH"] - ether > 32 * 10**18


def test_a_call_that_needs_nothing_else_is_sent_without_the_executor(trader: Trader) -> None:
    world, chain = trader.world, trader.world.chain
    for steps in (ACTIONS["wallet wrap"], ACTIONS["lido stake to wstETH"], ACTIONS["lido unwrap"]):
        world.write_data()
        at_s = chain.timestamp() + 60
        held = world.balances()
        _, moved = simulated(steps, world.snapshot(at_s))
        call = direct_call(trader.encoded(steps, moved))
        assert call is not None
        chain.set_next_timestamp(at_s)
        trader.give_back(trader.account.send(call.to, call.data, call.value_wei))
        now = world.balances()
        changed = {token: to_units(token, amount) for (_, token), amount in moved.deltas.items()}
        assert {token: now[token] - held.get(token, 0) for token in changed} == changed


def test_what_needs_an_allowance_or_a_later_amount_is_not_sent_by_itself(trader: Trader) -> None:
    world = trader.world
    world.write_data()
    market = world.snapshot(world.chain.timestamp())
    for steps in (ACTIONS["aave supply"], ACTIONS["wallet unwrap all"], ACTIONS["morpho flash_loan"], LENDING_AND_SWAPS[:2]):
        _, moved = simulated(steps, market)
        assert direct_call(trader.encoded(steps, moved)) is None


def test_an_allowance_that_was_left_behind_is_replaced_and_taken_back(trader: Trader) -> None:
    at = trader.world.deployment()
    trader.account.send(at.tokens["USDT"], call_data("approve(address,uint256)", trader.world.aave.deployment.pool, 5))
    before = trader.world.balances()["USDT"]
    steps = [on_aave("supply", "USDT", "7")]
    trader.world.write_data()
    _, moved = simulated(steps, trader.world.snapshot(trader.world.chain.timestamp()))
    trader.account.send(trader.account.address, trader.batch(steps, moved))
    assert (before - trader.world.balances()["USDT"], trader.allowances()) == (7_000_000, {})


SWAP = [step("uniswap", "swap", "WETH", "3.3", token_out="USDT")]


def refused(trader: Trader, reason: str, sender: SignedAccount, to: str, data: bytes) -> None:
    """The transaction reverts for that reason and changes nothing but the sender's gas."""
    chain, before = trader.world.chain, trader.world.balances()
    with pytest.raises(TransactionReverted, match=reason):
        sender.send(to, data)
    now = trader.world.balances()
    if sender.address == trader.account.address:
        before, now = ({token: units for token, units in held.items() if token != "ETH"} for held in (before, now))
    assert now == before
    assert chain.rpc("eth_getProof", (trader.account.address, [], "latest"))["storageHash"] == NOTHING_STORED


def test_a_floor_that_is_not_met_and_a_time_that_is_over_undo_everything(trader: Trader) -> None:
    world, own = trader.world, trader.account
    world.write_data()
    _, moved = simulated(SWAP, world.snapshot(world.chain.timestamp()))
    received = to_units("USDT", moved.deltas.get("uniswap", "USDT"))
    usdt = world.deployment().tokens["USDT"]
    refused(trader, selector_of("BelowFloor(address,uint256,uint256)"), own, own.address,
            trader.batch(SWAP, moved, (Floor(usdt, received + 1),)))  # fmt: skip
    late = trader.batch(SWAP, moved, deadline_s=world.chain.timestamp() - 1)
    refused(trader, selector_of("Expired(uint256)"), own, own.address, late)
    floors = (Floor(usdt, received), Floor(ETHER, 0), Floor(world.deployment().tokens["WETH"], -to_units("WETH", Decimal("3.3"))))
    own.send(own.address, trader.batch(SWAP, moved, floors, world.chain.timestamp() + 100))
    assert world.balances()["USDT"] == 1_000 * 10 ** decimals_of("USDT") + received


def selector_of(error: str) -> str:
    return f"^0x{selector(error).hex()}"


NOT_ALLOWED = "AccountUnauthorized(address)"


def test_a_third_party_can_have_nothing_executed_and_is_no_lender(trader: Trader) -> None:
    world, account = trader.world, trader.account.address
    stranger = SignedAccount(world.chain, STRANGER)
    world.write_data()
    steps = [step("wallet", "unwrap", "WETH", "all")]
    _, moved = simulated(steps, world.snapshot(world.chain.timestamp()))
    batch = trader.batch(steps, moved)
    usdt, pool, morpho = world.deployment().tokens["USDT"], world.aave.deployment.pool, world.morpho.morpho
    loan = call_data("f(address,uint256[])", usdt, [])[4:]
    callback = "executeOperation(address,uint256,uint256,address,bytes)"
    reason = selector_of(NOT_ALLOWED)
    for to in (account, trader.executor):
        refused(trader, reason, stranger, to, batch)
        refused(trader, reason, stranger, to, call_data(callback, usdt, 1, 0, account, loan))
        refused(trader, reason, stranger, to, call_data("onMorphoFlashLoan(uint256,bytes)", 10**9, loan))
    of_pool = "flashLoanSimple(address,address,uint256,bytes,uint16)"
    refused(trader, reason, stranger, pool, call_data(of_pool, account, usdt, 10**6, loan, 0))
    of_many = "flashLoan(address,address[],uint256[],uint256[],address,bytes,uint16)"
    refused(trader, ".", stranger, pool, call_data(of_many, account, [usdt], [10**6], [0], account, loan, 0))
    refused(trader, ".", stranger, morpho, call_data("flashLoan(address,uint256,bytes)", usdt, 1, loan))
    own = trader.account  # nor does the account get past itself: only a batch runs steps
    refused(trader, reason, stranger, account, run_of(batch))
    own.send(account, batch)


def run_of(batch: bytes) -> bytes:
    """The call of `run` within a batch."""
    return batch[batch.index(selector(RUN)) :]


@pytest.mark.parametrize("steps", [
    [on_aave("supply", "USDT", "7"), on_aave("supply", "WETH", of(0))],
    [on_aave("supply", "WETH", "all"), step("wallet", "unwrap", "WETH", "all")],
    [on_aave("supply", "WETH", "7"), on_aave("repay", "USDT", "all")],
], ids=["an output", "a balance", "a debt"])  # fmt: skip
def test_an_amount_of_nothing_ends_the_chain(trader: Trader, steps: list[dict[str, Any]]) -> None:
    meant = instruction_of(steps)
    made_up = structs.replace(meant, steps=tuple(map(with_any_number, meant.steps)))
    batch = pack_batch(encode_transaction(meant, made_up, trader.world.deployment()), (), ALL, trader.account.address)
    refused(trader, selector_of("Nothing(address)"), trader.account, trader.account.address, batch)


def test_an_authorization_with_the_wrong_nonce_succeeds_and_delegates_nothing(trader: Trader) -> None:
    chain, stranger = trader.world.chain, SignedAccount(trader.world.chain, STRANGER)
    stranger.delegate(trader.executor, nonce_ahead=0)
    assert code_of(chain, stranger.address) == b""
    stranger.delegate(trader.executor)
    assert delegate_of(code_of(chain, stranger.address)) == trader.executor


def test_the_executor_has_the_code_that_is_expected_and_is_created_once(trader: Trader) -> None:
    world = trader.world
    lenders = world.aave.deployment.pool, world.morpho.morpho
    assert code_of(world.chain, trader.executor) == runtime_code(*lenders) != runtime_code(lenders[1], lenders[0])
    assert deploy_call(*lenders).data.endswith(creation_code(*lenders))
    with pytest.raises(TransactionReverted):
        trader.account.send(deploy_call(*lenders).to, deploy_call(*lenders).data)
