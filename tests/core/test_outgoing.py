"""What is on the wire is what was approved, or it is not sent."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from msgspec import structs

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.core.limits import Limits
from basis_strategy_v1.core.order import Approved, Order
from basis_strategy_v1.core.outgoing import (
    Gas,
    OutgoingCall,
    OutgoingTrade,
    OutgoingTransaction,
    OutgoingTransfer,
    require_message_within,
)

from ..world import action

D = Decimal
AT = datetime(2024, 6, 1, tzinfo=UTC)
PAYEE, POOL, TOKEN, ROUTER, WALLET, STRANGER = ("0x" + digits * 20 for digits in ("aA", "b0", "c1", "d2", "e3", "99"))
LIMITS = Limits(
    max_notional_per_instruction=D(5000),
    max_slippage_bps=D(50),
    withdrawal_addresses=(PAYEE,),
    max_fee_gwei=D(100),
    max_gas_per_day_eth=D(1),
)


def approved(block, venue="bybit", *, notional="1000", expected=(), gas_left="0.5", **named):
    deltas = Deltas.nested(dict(expected))
    order = Order(key="k1", at=AT, venue=venue, instruction=parse_instruction(block), expected=deltas, **named)
    return Approved(order=order, notional_usd=D(notional), gas_left_eth=None if gas_left is None else D(gas_left))


def refusal(order, outgoing, limits=LIMITS, **named):
    """Code and faults of the refusal, or None."""
    try:
        require_message_within(order, limits, outgoing, contracts=(POOL, TOKEN, ROUTER), own=(WALLET,), **named)
    except VenueRejected as error:
        begin, end = f"the message to {order.order.venue} is not what was approved: ", "; nothing was sent"
        assert error.message.startswith(begin) and error.message.endswith(end)
        return error.error_code, error.message.removeprefix(begin).removesuffix(end)
    return None


# Trades.

BLOCK = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "perp", "side": "buy", "symbol": "ETHUSDT", "amount": "1.237"}
BUY = approved(BLOCK, price=D(3300), worst_price=D("3316.5"))
SELL = approved({**BLOCK, "side": "sell"}, price=D(3300), worst_price=D("3283.5"))
TRADE = OutgoingTrade(trade_type="perp", symbol="ETHUSDT", side="buy", amount=D("1.237"), price=D("3316.5"))

SENT = {
    "as it was approved": (BUY, TRADE),
    "cut to the lots of the exchange": (BUY, structs.replace(TRADE, amount=D("1.23"), lot=D("0.01"))),
    "at a better limit": (BUY, structs.replace(TRADE, price=D(3300))),
    "a sale": (SELL, structs.replace(TRADE, side="sell", price=D("3283.5"))),
    "a sale at a better limit": (SELL, structs.replace(TRADE, side="sell", price=D(3290))),
    "reduce-only": (approved({**BLOCK, "reduce_only": True}, worst_price=D("3316.5")), structs.replace(TRADE, reduce_only=True)),
}
DIFFERS = {
    "another kind": ({"trade_type": "spot"}, "trade_type is spot, approved was perp"),
    "another symbol": ({"symbol": "BTCUSDT"}, "symbol is BTCUSDT, approved was ETHUSDT"),
    "the other side": ({"side": "sell"}, "side is sell, approved was buy"),
    "reduce-only": ({"reduce_only": True}, "reduce_only is True, approved was False"),
    "more": ({"amount": D("1.238")}, "amount is 1.238, approved was 1.237"),
    "less": ({"amount": D("1.236")}, "amount is 1.236, approved was 1.237"),
    "not cut to its lots": ({"lot": D("0.01")}, "amount is 1.237, approved was 1.237 in lots of 0.01"),
    "a lot too few": ({"lot": D("0.01"), "amount": D("1.22")}, "amount is 1.22, approved was 1.237 in lots of 0.01"),
    "a worse limit": ({"price": D("3316.6")}, "the limit price is 3316.6, approved was 3316.5"),
    "no limit": ({"price": None}, "it has no limit price, approved was 3316.5"),
    "two things": (
        {"symbol": "X", "price": None}, "symbol is X, approved was ETHUSDT; it has no limit price, approved was 3316.5"),
}  # fmt: skip


@pytest.mark.parametrize(("order", "outgoing"), SENT.values(), ids=SENT)
def test_a_trade_that_is_what_was_approved_is_sent(order, outgoing):
    assert refusal(order, outgoing) is None


@pytest.mark.parametrize(("changes", "reported"), DIFFERS.values(), ids=DIFFERS)
def test_a_trade_that_differs_is_not_sent(changes, reported):
    assert refusal(BUY, structs.replace(TRADE, **changes)) == ("CEX-001", reported)


def test_a_sale_below_its_worst_price_is_not_sent():
    outgoing = structs.replace(TRADE, side="sell", price=D("3283.4"))
    assert refusal(SELL, outgoing) == ("CEX-001", "the limit price is 3283.4, approved was 3283.5")


def test_a_trade_without_a_bound_is_sent_only_where_no_slippage_is_limited():
    order = approved(BLOCK)
    reported = "the order has no worst price, which limits.max_slippage_bps asks for"
    assert refusal(order, structs.replace(TRADE, price=None)) == ("CEX-001", reported)
    assert refusal(order, structs.replace(TRADE, price=None), structs.replace(LIMITS, max_slippage_bps=None)) is None


def test_more_than_an_instruction_may_move_is_not_sent_unless_its_plan_leaves():
    order = approved(BLOCK, notional="5000.456", worst_price=D("3316.5"))
    assert refusal(order, TRADE) == ("CEX-001", "it moves 5000.46 USD, limits.max_notional_per_instruction is 5000")
    assert refusal(order, TRADE, structs.replace(LIMITS, max_notional_per_instruction=None)) is None
    assert refusal(approved(BLOCK, notional="5000", worst_price=D("3316.5")), TRADE) is None
    assert refusal(approved(BLOCK, notional="9000", worst_price=D("3316.5"), leaves=True), TRADE) is None


# Payments.

PAY = {"instruction_type": "wallet_transfer", "from_venue": "bybit", "to_venue": "wallet", "token": "USDT", "amount": 100}
SEND = {**PAY, "from_venue": "wallet", "to_venue": "bybit"}
PAYMENT = OutgoingTransfer(token="USDT", amount=D(100), address=PAYEE)
GAS = Gas(D(100), 100_000)  # 0.01 ETH
PAID = approved(PAY, expected={"bybit": {"USDT": D(-100)}, "wallet": {"USDT": D(99)}})
QUEUED = approved(PAY, expected={"bybit": {"USDT": D(-100)}, "in_transit": {"USDT": D(95)}})
WITH_FEE = approved(PAY, expected={"bybit": {"USDT": D(-101)}, "in_transit": {"USDT": D(100)}})  # on top of the amount


@pytest.mark.parametrize(
    ("order", "changes"),
    [(PAID, {}), (PAID, {"address": PAYEE.lower()}), (PAID, {"amount": D(99)}), (QUEUED, {"amount": D(95)}),
     (WITH_FEE, {"amount": D(101)}), (WITH_FEE, {"amount": D(100)}),
     (approved(SEND, "wallet"), {"contract": TOKEN, "gas": GAS})],
)  # fmt: skip
def test_a_payment_of_the_amount_or_of_what_leaves_or_arrives_is_sent_to_an_address_of_the_limits(order, changes):
    assert refusal(order, structs.replace(PAYMENT, **changes)) is None


@pytest.mark.parametrize(
    ("changes", "code", "reported"),
    [
        ({"token": "USDC"}, "CEX-001", "token is USDC, approved was USDT"),
        ({"amount": D(98)}, "CEX-001", "amount is 98, approved was 100"),
        ({"amount": D(0)}, "CEX-001", "amount is 0, approved was 100"),
        ({"address": STRANGER}, "CEX-001", f"it pays out to {STRANGER}, which is not in limits.withdrawal_addresses"),
        ({"address": WALLET}, "CEX-001", f"it pays out to {WALLET}, which is not in limits.withdrawal_addresses"),
        ({"contract": STRANGER, "gas": GAS}, "OCH-001", f"it calls {STRANGER}, which is not in limits.contracts or configured"),
        ({"gas": Gas(D("100.5"), 1)}, "OCH-001", "it pays up to 100.5 gwei per gas unit, limits.max_fee_gwei is 100"),
    ],
)
def test_a_payment_that_differs_is_not_sent(changes, code, reported):
    assert refusal(PAID, structs.replace(PAYMENT, **changes)) == (code, reported)


def test_what_arrives_of_another_token_is_not_the_amount():
    order = approved(PAY, expected={"wallet": {"ETH": D(1)}})
    assert refusal(order, structs.replace(PAYMENT, amount=D(1))) == ("CEX-001", "amount is 1, approved was 100")


# Transactions.


INNER = [action("uniswap", "swap", "USDT", 50, token_out="WETH", min_amount_out="0.015")]
CHAIN = {
    "instruction_type": "smart_contract_action",
    "sub_instructions": [action("aave", "supply", "USDT", 100), action("aave", "flash_loan", "WETH", 1, sub_instructions=INNER)],
}
TRANSACTION_OF = approved(CHAIN, "wallet")
SUPPLY = parse_instruction(CHAIN["sub_instructions"][0])
SWAP = parse_instruction(INNER[0])
LOAN = structs.replace(parse_instruction(CHAIN["sub_instructions"][1]), steps=())
CALLS = (
    OutgoingCall(contract=TOKEN, token="USDT", amount=D(150), pays_to=(POOL,)),
    OutgoingCall(contract=POOL, step=SUPPLY, pays_to=(WALLET,)),
    OutgoingCall(contract=POOL, step=LOAN),
    OutgoingCall(contract=ROUTER, step=SWAP, pays_to=(WALLET,)),
)
TRANSACTION = OutgoingTransaction(calls=CALLS, gas=GAS)


def with_call(place, **changes):
    calls = list(CALLS)
    calls[place] = structs.replace(calls[place], **changes)
    return structs.replace(TRANSACTION, calls=tuple(calls))


def with_step(place, **changes):
    return with_call(place, step=structs.replace(CALLS[place].step, **changes))


def test_a_transaction_of_the_approved_steps_is_sent():
    assert refusal(TRANSACTION_OF, TRANSACTION) is None
    assert refusal(TRANSACTION_OF, with_step(3, min_amount_out=D("0.016"))) is None
    assert refusal(TRANSACTION_OF, with_call(1, pays_to=(PAYEE.lower(), POOL))) is None
    (single,) = (approved(action("aave", "supply", "USDT", 100), "wallet"),)
    assert refusal(single, structs.replace(TRANSACTION, calls=(CALLS[1],))) is None


CALLS_THAT_DIFFER = {
    "another protocol": (with_step(1, protocol="spark"), "step 0: protocol is spark, approved was aave"),
    "another action": (with_step(1, action="repay"), "step 0: action is repay, approved was supply"),
    "another token": (with_step(1, token="USDC"), "step 0: token is USDC, approved was USDT"),
    "another amount": (with_step(1, amount=D("100.01")), "step 0: amount is 100.01, approved was 100"),
    "a round amount": (with_step(1, amount=D("1E+3")), "step 0: amount is 1000, approved was 100"),
    "another token out": (with_step(3, token_out="USDC"), "step 2: token_out is USDC, approved was WETH"),
    "another market": (with_step(1, market="a/b"), "step 0: market is a/b, approved was None"),
    "another category": (with_step(1, category=1), "step 0: category is 1, approved was None"),
    "another request": (with_step(1, request_id="7"), "step 0: request_id is 7, approved was None"),
    "less out": (with_step(3, min_amount_out=D("0.014")), "step 2: minimum out is 0.014, approved was 0.015"),
    "no least out": (with_step(3, min_amount_out=None), "step 2: minimum out is None, approved was 0.015"),
    "a step too few": (structs.replace(TRANSACTION, calls=CALLS[:3]), "it has 2 steps, approved were 3"),
    "a step too many": (structs.replace(TRANSACTION, calls=(*CALLS, CALLS[3])), "it has 4 steps, approved were 3"),
    "the right to take more": (with_call(0, amount=D(151)), "151 USDT are approved to be taken, the steps take 150"),
    "the right to take another token": (with_call(0, token="USDC", amount=D(1)), "1 USDC are approved to be taken, the steps take 0"),
    "a foreign contract": (with_call(0, contract=STRANGER), f"it calls {STRANGER}, which is not in limits.contracts or configured"),
    "another receiver": (
        with_call(3, pays_to=(STRANGER,)), f"it pays to {STRANGER}, which is not the wallet's and not in limits.withdrawal_addresses"),
    "gas that costs too much": (
        structs.replace(TRANSACTION, gas=Gas(D(101), 1000)), "it pays up to 101 gwei per gas unit, limits.max_fee_gwei is 100"),
    "more gas than the day has left": (
        structs.replace(TRANSACTION, gas=Gas(D(100), 5_000_001)),
        "it pays up to 0.5000001 ETH for gas, limits.max_gas_per_day_eth leaves 0.5"),
}  # fmt: skip


@pytest.mark.parametrize(("outgoing", "reported"), CALLS_THAT_DIFFER.values(), ids=CALLS_THAT_DIFFER)
def test_a_transaction_that_differs_is_not_sent(outgoing, reported):
    assert refusal(TRANSACTION_OF, outgoing) == ("OCH-001", reported)


def test_an_address_is_named_once_however_often_it_is_called():
    outgoing = structs.replace(TRANSACTION, calls=tuple(structs.replace(call, contract=STRANGER, pays_to=(PAYEE,)) for call in CALLS))
    assert refusal(TRANSACTION_OF, outgoing) == ("OCH-001", f"it calls {STRANGER}, which is not in limits.contracts or configured")


def test_contracts_of_the_limits_stand_in_the_place_of_those_that_are_configured():
    listed = structs.replace(LIMITS, contracts=(POOL, TOKEN))
    reported = f"it calls {ROUTER}, which is not in limits.contracts"
    assert refusal(TRANSACTION_OF, TRANSACTION, listed) == ("OCH-001", reported)
    assert refusal(TRANSACTION_OF, TRANSACTION, structs.replace(LIMITS, contracts=(POOL, TOKEN, ROUTER.lower()))) is None
    assert (
        refusal(TRANSACTION_OF, with_call(0, contract=STRANGER), structs.replace(LIMITS, contracts=(POOL, TOKEN, ROUTER, STRANGER))) is None
    )


def test_nothing_that_is_configured_means_that_nothing_is_called():
    with pytest.raises(VenueRejected):
        require_message_within(TRANSACTION_OF, LIMITS, TRANSACTION)


def test_what_leaves_may_pay_the_fee_of_what_reduces():
    leaving = approved(CHAIN, "wallet", leaves=True)
    expensive = structs.replace(TRANSACTION, gas=Gas(D(150), 1000))
    higher = structs.replace(LIMITS, max_fee_gwei_reducing=D(150))
    assert refusal(leaving, expensive, higher) is None
    assert refusal(TRANSACTION_OF, expensive, higher) == ("OCH-001", "it pays up to 150 gwei per gas unit, limits.max_fee_gwei is 100")
    reported = "it pays up to 151 gwei per gas unit, limits.max_fee_gwei_reducing is 150"
    assert refusal(leaving, structs.replace(expensive, gas=Gas(D(151), 1000)), higher) == ("OCH-001", reported)
    assert refusal(leaving, expensive) == ("OCH-001", "it pays up to 150 gwei per gas unit, limits.max_fee_gwei is 100")


def test_without_limits_of_gas_any_is_paid():
    free = structs.replace(LIMITS, max_fee_gwei=None)
    assert refusal(approved(CHAIN, "wallet", gas_left=None), structs.replace(TRANSACTION, gas=Gas(D(10**6), 10**7)), free) is None
    assert refusal(TRANSACTION_OF, structs.replace(TRANSACTION, gas=Gas(D(100), 5_000_000)), free) is None


@pytest.mark.parametrize(
    ("order", "outgoing", "code", "reported"),
    [
        (BUY, PAYMENT, "CEX-001", "it is an OutgoingTransfer, approved was a CexTrade"),
        (BUY, TRANSACTION, "OCH-001", "it is an OutgoingTransaction, approved was a CexTrade"),
        (PAID, TRADE, "CEX-001", "it is an OutgoingTrade, approved was a WalletTransfer"),
        (TRANSACTION_OF, PAYMENT, "CEX-001", "it is an OutgoingTransfer, approved was a Chain"),
    ],
)
def test_a_message_of_another_kind_is_not_sent(order, outgoing, code, reported):
    assert refusal(order, outgoing) == (code, reported)
