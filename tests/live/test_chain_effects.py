"""What the logs of a transaction say, without a node: who paid, who was paid, and what it cost."""

from __future__ import annotations

from decimal import Decimal

import pytest

from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.live.chain_abi import ContractRead, field, number_of, topic
from basis_strategy_v1.live.chain_client import RpcError
from basis_strategy_v1.live.chain_effects import DEPOSIT, ETHER_LOGS, TRANSFER, UNISWAP_SWAP, WITHDRAWAL, ChainPlaces, effect_of
from basis_strategy_v1.live.chain_fees import Fees, fee_market, fees_within
from basis_strategy_v1.live.chain_revert import reason_in, reason_of

GWEI = 10**9


def address(number):
    return f"0x{number:040x}"


ME, ATOKEN, POOL, OTHER, USDT, WETH = map(address, range(1, 7))
PLACES = ChainPlaces(
    account=ME, wallet="wallet", tokens={USDT: "USDT", WETH: "WETH"}, venues={ATOKEN: "aave", WETH: "wallet"}, pools={}, weth=WETH,
    swaps_at="uniswap",
)  # fmt: skip


def word(value):
    return "0x" + (value[2:] if isinstance(value, str) else f"{value:x}").rjust(64, "0")


def log(contract, event, *topics, data=0):
    return {"address": contract, "topics": [topic(event), *map(word, topics)], "data": word(data)}


def test_a_payment_is_its_counterpartys_and_that_of_a_stranger_is_nobodys():
    logs = [log(USDT, TRANSFER, ME, ATOKEN, data=70), log(USDT, TRANSFER, OTHER, ME, data=5), log(USDT, TRANSFER, ME, ME, data=9)]
    assert effect_of(logs, PLACES).tokens == {"aave": {"USDT": -70}, "": {"USDT": 5}}


def test_what_other_tokens_and_other_people_do_is_left_out():
    logs = [log(OTHER, TRANSFER, ME, ATOKEN, data=70), log(USDT, TRANSFER, OTHER, ATOKEN, data=70)]
    assert effect_of(logs, PLACES).tokens == {}


def test_a_pool_that_logs_a_swap_is_the_dex():
    logs = [log(USDT, TRANSFER, ME, POOL, data=70), log(WETH, TRANSFER, POOL, ME, data=3), log(POOL, UNISWAP_SWAP, ME, ME)]
    assert effect_of(logs, PLACES).tokens == {"uniswap": {"USDT": -70, "WETH": 3}}


def test_wrapping_and_unwrapping_have_no_transfer_and_move_ether():
    assert effect_of([log(WETH, DEPOSIT, ME, data=8)], PLACES).tokens == {"wallet": {"WETH": 8, "ETH": -8}}
    assert effect_of([log(WETH, WITHDRAWAL, ME, data=8)], PLACES).tokens == {"wallet": {"WETH": -8, "ETH": 8}}
    # What the transaction itself pays to the contract is that deposit; it is not counted twice.
    assert effect_of([log(WETH, DEPOSIT, ME, data=8)], PLACES, {WETH: 8}).balances() == {"WETH": 8, "ETH": -8}


def test_ether_that_the_transaction_pays_is_taken_but_not_what_it_pays_to_the_account_itself():
    assert effect_of([], PLACES, {OTHER: 4}).tokens == {"": {"ETH": -4}}
    assert effect_of([], PLACES, {ME: 4}).tokens == {}


def test_where_a_simulating_node_logs_ether_that_counts_alone():
    logs = [log(ETHER_LOGS, TRANSFER, ME, WETH, data=8), log(WETH, DEPOSIT, ME, data=8)]
    assert effect_of(logs, PLACES, {WETH: 8}).tokens == {"wallet": {"ETH": -8, "WETH": 8}}


# Fees.

HISTORY = {"baseFeePerGas": [hex(9 * GWEI), hex(10 * GWEI)], "reward": [["0x3"], [hex(2 * GWEI)], [hex(GWEI)]]}


def test_fees_are_twice_the_next_base_fee_and_the_middle_of_what_was_paid_lately():
    assert fees_within(fee_market(HISTORY), None) == Fees(21 * GWEI, GWEI)


@pytest.mark.parametrize(("cap_gwei", "most"), [("15", 15), ("11", 11), ("9", 11), ("100", 21)])
def test_a_cap_takes_from_the_room_and_not_from_what_the_next_block_needs(cap_gwei, most):
    assert fees_within(fee_market(HISTORY), Decimal(cap_gwei)).most_wei == most * GWEI


def test_a_replacement_offers_an_eighth_more_of_both_rounded_up():
    assert Fees(1_001, 9).raised() == Fees(1_127, 11)


@pytest.mark.parametrize("history", [{}, {"baseFeePerGas": []}, {"baseFeePerGas": ["ten"]}])
def test_a_history_without_base_fees_cannot_be_read(history):
    with pytest.raises(MalformedAnswer):
        fee_market(history)


# Answers.


@pytest.mark.parametrize("answer", ["0x", None, 7, RpcError(3, "execution reverted")])
def test_a_contract_that_gives_no_value_is_named(answer):
    with pytest.raises(MalformedAnswer, match=r"balanceOf\(address\) of 0x0000000000000000000000000000000000000005"):
        ContractRead(USDT, "balanceOf(address)", (ME,)).decoded(answer)


def test_an_answer_of_another_form_is_named():
    read = ContractRead(USDT, "getReservesList()", (), ("address[]",))
    with pytest.raises(MalformedAnswer, match="an answer of another form"):
        read.decoded(word(9))
    assert ContractRead(USDT, "decimals()", (), ("uint8",)).decoded(word(6)) == 6


def test_a_number_that_is_none_is_named():
    assert number_of("0x10", "a nonce") == 16
    with pytest.raises(MalformedAnswer, match="a nonce that is None, not a number"):
        field({}, "nonce")


REVERTED = "0x08c379a0" + f"{32:064x}" + f"{6:064x}" + b"paused".hex().ljust(64, "0")


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"error": {"message": "execution reverted", "data": REVERTED}}, "paused"),
        ({"returnData": REVERTED}, "paused"),
        ({"returnData": "0x4e487b71" + f"{17:064x}"}, "panic 0x11"),
        ({"returnData": "0x12345678"}, "0x12345678"),
        ({"error": {"message": "out of gas"}, "returnData": "0x"}, "out of gas"),
        ({"returnData": "0x"}, "it gives no reason"),
    ],
)
def test_the_reason_of_a_revert_is_what_the_contract_gives(result, reason):
    assert reason_of(result) == reason


def test_a_reason_that_cannot_be_read_is_its_bytes():
    assert reason_in("0x08c379a0ff") == "0x08c379a0ff"
