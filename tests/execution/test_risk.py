"""An order within the limits becomes an approved one, with the bounds that go to the venue; another is refused before anything is sent."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from basis_strategy_v1 import ComponentError
from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.instructions import Chain, parse_instruction
from basis_strategy_v1.core.limits import Limits
from basis_strategy_v1.execution.risk import Priced, Spent, require_limits, worst_price

from .. import world
from .risk_world import MARKET, RICH, VENUES, WIDE, action, after, approved, chain, simulated, trade, transfer

D = Decimal
ETH, PERP = D("3300.25"), D("3302.5601749999996")
ADDRESS, OTHER = "0x" + "aB" * 20, "0x" + "cd" * 20


def limits(**changes):
    given = {name: D(str(value)) if isinstance(value, int | float | str) else value for name, value in changes.items()}
    return structs.replace(WIDE, **given)


def refusal(block, *given_limits, **named):
    """Code and message of the refusal, or None."""
    try:
        approved(block, *given_limits, **named)
    except VenueRejected as error:
        return error.error_code, error.message
    return None


# Notional.

THERE = action("uniswap", "swap", "USDT", 300_000, token_out="USDC")
BACK = action("uniswap", "swap", "USDC", {"output_of": 0}, token_out="USDT")
BEHIND_A_WITHDRAWAL = chain(action("aave", "withdraw", "USDT", 1), action("uniswap", "swap", "WETH", 90, token_out="wstETH"))
DOLLARS = action("uniswap", "swap", "USDT", 1000, token_out="WETH")
LOAN_STEPS = [action("aave", "supply", "WETH", 3), action("aave", "borrow", "USDT", 1000)]
NOTIONALS = {
    "a spot trade, at its venue's price": (trade("bybit", "buy", "ETHUSDT", 2), 2 * ETH),
    "a perp trade, at its venue's price": (trade("bybit", "sell", "ETHUSDT", 2, "perp"), 2 * PERP),
    "a trade in a dollar token with a price": (trade("hyperliquid", "buy", "ETHUSDC", 2), 2 * ETH),
    "a transfer": (transfer("bybit", "wallet", "ETH", 3), 3 * ETH),
    "a deposit": (action("aave", "supply", "USDT", 1000), D(1000)),
    "a deposit of all": (action("aave", "supply", "WETH", "all"), 500 * ETH),
    "a staked token, at what it is redeemed for": (action("aave", "supply", "wstETH", 10), 10 * D(repr(world.STAKED["wstETH"])) * ETH),
    "a withdrawal and a swap": (BEHIND_A_WITHDRAWAL, 1 + 90 * ETH),
    "a swap there and back": (chain(THERE, BACK), None),
    "a flash loan and what runs while it is out": (
        action("aave", "flash_loan", "USDT", 5, sub_instructions=LOAN_STEPS), 5 + 3 * ETH + 1000),
    "an e-mode": (action("aave", "set_emode", category=1), D(0)),
    "a wrap": (action("wallet", "wrap", "ETH", 2), 2 * ETH),
    "a request to unstake": (action("lido", "unstake", "stETH", 2), 2 * ETH),
}  # fmt: skip
SUPPLIED = after(action("aave", "supply", "USDT", 100_000))


@pytest.mark.parametrize(("block", "usd"), NOTIONALS.values(), ids=NOTIONALS)
def test_the_notional_is_the_sum_over_the_steps_at_the_snapshots_prices(block, usd):
    found = approved(block, state=SUPPLIED).notional_usd
    if usd is None:  # what came out of the first swap is what goes into the second
        (moved,) = simulated(block, state=SUPPLIED)
        usd = 300_000 + moved.results[0].deltas.get("uniswap", "USDC")
        assert usd > 599_000
    assert found == usd


@pytest.mark.parametrize("amount", ["5", "0.5"])
def test_a_claim_counts_what_it_pays_out(amount):
    asked = after(action("lido", "unstake", "stETH", amount))
    later = world.market(world.AT.replace(month=7))
    found = approved(action("lido", "claim", request_id="lido-1"), state=asked, market=later).notional_usd
    assert round(found, 6) == round(D(amount) * ETH, 6)


def test_a_trade_in_a_dollar_token_below_a_dollar_counts_in_dollars():
    cheap = world.market(prices={**world.PRICES, "USDC": 0.5})
    order = approved(trade("hyperliquid", "buy", "ETHUSDC", 2), market=cheap)
    assert (order.order.price, order.notional_usd) == (2 * ETH, 2 * ETH)


TWO_ETH = trade("bybit", "buy", "ETHUSDT", 2)


def test_more_than_an_instruction_may_move_is_refused_and_just_that_is_approved():
    reported = "the instruction moves 6600.86 USD, limits.max_notional_per_instruction is 6600; split it or raise the limit"
    assert refusal(trade("bybit", "buy", "ETHUSDT", "2.00011"), limits(max_notional_per_instruction=6600)) == ("CEX-001", reported)
    assert refusal(TWO_ETH, limits(max_notional_per_instruction="6600.5")) is None


def test_a_swap_behind_a_withdrawal_counts():
    block = chain(action("aave", "withdraw", "USDT", 1), action("uniswap", "swap", "USDT", 900_000, token_out="USDC"))
    reported = "the instruction moves 900001 USD, limits.max_notional_per_instruction is 1000; split it or raise the limit"
    assert refusal(block, limits(max_notional_per_instruction=1000), state=SUPPLIED) == ("OCH-001", reported)


def test_a_chain_there_and_back_counts_both_ways():
    wrap, unwrap = action("wallet", "wrap", "ETH", 90), action("wallet", "unwrap", "WETH", 90)
    reported = "the instruction moves 594045 USD, limits.max_notional_per_instruction is 300000; split it or raise the limit"
    assert refusal(chain(wrap, unwrap), limits(max_notional_per_instruction=300_000)) == ("OCH-001", reported)


def test_what_earlier_steps_of_the_same_instruction_moved_counts():
    earlier = Spent(within_instruction_usd=D(1000))
    reported = "the instruction moves 7600.5 USD, limits.max_notional_per_instruction is 7600; split it or raise the limit"
    assert refusal(TWO_ETH, limits(max_notional_per_instruction=7600), spent=earlier) == ("CEX-001", reported)
    assert refusal(TWO_ETH, limits(max_notional_per_instruction="7600.5"), spent=earlier) is None


def test_the_fifth_trade_of_957_is_beyond_2000_a_day_as_the_third_was():
    block = action("aave", "supply", "USDT", 957)
    day = limits(max_notional_per_day=2000)
    spent = [Spent(notional_usd=D(957) * done) for done in range(3)]
    reported = ("the instruction moves 957 USD after 1914 USD on 2024-06-01, limits.max_notional_per_day is 2000; "
            "wait for the next day (UTC) or raise the limit")  # fmt: skip
    assert [refusal(block, day, spent=before) for before in spent] == [None, None, ("OCH-001", reported)]


def test_just_the_limit_of_a_day_is_approved():
    assert refusal(action("aave", "supply", "USDT", 100), limits(max_notional_per_day=1000), spent=Spent(notional_usd=D(900))) is None


def test_a_plan_that_leaves_is_free_of_the_limits_of_notional_and_spends_nothing_of_the_day():
    tight = limits(max_notional_per_instruction=1, max_notional_per_day=1)
    leaving, entering = approved(TWO_ETH, tight, leaves=True), approved(TWO_ETH)
    assert (leaving.order.leaves, leaving.notional_usd, leaving.spends_usd) == (True, 2 * ETH, 0)
    assert (entering.order.leaves, entering.notional_usd, entering.spends_usd) == (False, 2 * ETH, 2 * ETH)
    assert [approved(WRAP, leaves=leaves).order.leaves for leaves in (True, False)] == [True, False]


def test_a_limit_that_is_not_set_binds_nobody():
    moved = approved(trade("bybit", "buy", "ETHUSDT", 20), Limits(), spent=Spent(notional_usd=D(10**12), gas_eth=D(10**6)))
    assert (moved.order.worst_price, moved.gas_left_eth) == (None, None)
    assert refusal(action("aave", "supply", "USDT", 957), Limits(), spent=Spent(gas_eth=D(10**6))) is None


# Slippage: what is simulated.

SLIPPERY = world.venues({"bybit": {"slippage_bps": D(30)}, "uniswap": {"slippage_bps": 30, "fee": 3000}, "wallet": {"gas_price_gwei": 0}})
TOO_MUCH_SLIPPAGE = "the instruction would slip by 30 bps, limits.max_slippage_bps is {}; trade less at once or raise the limit"
SLIPS = {
    "a spot trade": (trade("bybit", "buy", "ETHUSDT", 1), "CEX-001"),
    "a perp trade": (trade("bybit", "sell", "ETHUSDT", 1, "perp"), "CEX-001"),
    "a reduce-only trade": (trade("bybit", "buy", "ETHUSDT", 1, "perp", reduce_only=True), "CEX-001"),
    "a swap": (DOLLARS, "OCH-001"),
    "a swap in a flash loan of a large chain": (
        chain(action("aave", "supply", "USDT", 100_000),
              action("aave", "flash_loan", "USDC", 9, sub_instructions=[DOLLARS])), "OCH-001"),
}  # fmt: skip
SHORT = after(trade("bybit", "sell", "ETHUSDT", 5, "perp"))


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize(("block", "code"), SLIPS.values(), ids=SLIPS)
def test_more_slippage_than_the_limit_is_refused_also_of_what_leaves(block, code, leaves):
    world = {"venues": SLIPPERY, "state": SHORT, "leaves": leaves}
    # The last digits of a swap are below the base unit that it pays out in.
    assert refusal(block, limits(max_slippage_bps="29.99999999"), **world) == (code, TOO_MUCH_SLIPPAGE.format("29.99999999"))
    assert refusal(block, limits(max_slippage_bps="30.00000001"), **world) is None


def test_just_the_limit_of_slippage_is_approved():
    assert refusal(trade("bybit", "buy", "ETHUSDT", 1), limits(max_slippage_bps=30), venues=SLIPPERY) is None


def test_a_limit_order_that_the_price_does_not_reach_slips_by_nothing():
    block = trade("bybit", "buy", "ETHUSDT", 1, order_type="limit", price=3000)
    order = approved(block, limits(max_slippage_bps=0), venues=SLIPPERY).order
    assert (order.price, order.worst_price) == (ETH, 3000)


# Slippage: the bound that is sent.

BOUNDS = {
    "a buy": (trade("bybit", "buy", "ETHUSDT", 1), D("3333.25")),  # 3333.2525
    "a sell": (trade("bybit", "sell", "ETHUSDT", 1), D("3267.25")),  # 3267.2475
    "a perp": (trade("bybit", "sell", "ETHUSDT", 1, "perp"), D("3269.54")),  # 3269.53457...
    "a limit order within the bound": (trade("bybit", "buy", "ETHUSDT", 1, order_type="limit", price="3310.007"), D("3310")),
    "a limit order beyond the bound": (trade("bybit", "buy", "ETHUSDT", 1, order_type="limit", price=4000), D("3333.25")),
    "a limit order to sell within the bound": (trade("bybit", "sell", "ETHUSDT", 1, order_type="limit", price="3290.001"), D("3290.01")),
    "a limit order to sell beyond the bound": (trade("bybit", "sell", "ETHUSDT", 1, order_type="limit", price=3000), D("3267.25")),
}


@pytest.mark.parametrize(("block", "worst"), BOUNDS.values(), ids=BOUNDS)
def test_the_worst_price_is_the_snapshots_and_the_slippage_on_the_tick_towards_the_trader(block, worst):
    found = approved(block, limits(max_slippage_bps=100)).order
    price = PERP if block["trade_type"] == "perp" else ETH
    assert (found.price, found.worst_price, found.minimum_out) == (price, worst, None)
    assert found.instruction == parse_instruction(block)


prices = st.decimals(min_value="0.5", max_value="99999", places=4)
ticks = st.sampled_from([D("0.01"), D("0.1"), D("0.05"), D("0.5")])
bps = st.decimals(min_value=0, max_value=5000, places=2)


@given(prices, ticks, bps, st.sampled_from(["buy", "sell"]), st.none() | prices)
def test_no_price_is_sent_that_is_worse_than_allowed_or_off_the_tick(price, tick, slippage_bps, side, own):
    limit = {} if own is None else {"order_type": "limit", "price": own}
    parsed = parse_instruction(trade("bybit", side, "ETHUSDT", 1, **limit))
    with localcontext(EXACT):
        allowed = price * (1 + slippage_bps / 10_000) if side == "buy" else price * (1 - slippage_bps / 10_000)
        if own is not None:
            allowed = min(allowed, own) if side == "buy" else max(allowed, own)
        if side == "buy" and allowed < tick:
            return
        worst = worst_price(parsed, Priced(price, tick, D(1)), slippage_bps)
    assert worst % tick == 0
    assert 0 <= (allowed - worst if side == "buy" else worst - allowed) < tick


def test_without_a_price_above_0_there_is_nothing_to_send():
    venues = world.venues({"bybit": {"tick": {"ETH": D(5000)}}})
    reported = ("no limit price of ETHUSDT is left between 0 and 3333.2525 with a tick of 5000; "
            "change limits.max_slippage_bps or the tick")  # fmt: skip
    assert refusal(trade("bybit", "buy", "ETHUSDT", 1), limits(max_slippage_bps=100), venues=venues) == ("CEX-001", reported)


def swap(**fields):
    return action("uniswap", "swap", "USDT", 1000, token_out="USDC", **fields)


def test_the_least_out_of_a_swap_is_what_it_would_pay_without_slippage_less_the_limit():
    order = approved(swap(), limits(max_slippage_bps=100), venues=SLIPPERY).order
    # 1000 less the pool's 0.3 % are 997, less 1 % are 987.03.
    assert (order.minimum_out, order.instruction.min_amount_out) == (D("987.03"), D("987.03"))


def test_the_least_out_is_whole_base_units_and_never_more_than_is_expected():
    order = approved(action("uniswap", "swap", "USDT", "0.33", token_out="USDC"), limits(max_slippage_bps=100), venues=SLIPPERY).order
    assert order.minimum_out == D("0.325720")  # 0.32901 less 1 % is 0.3257199, rounded towards the trader
    tight = approved(action("uniswap", "swap", "USDT", "0.33", token_out="USDC"), limits(max_slippage_bps="30.03"), venues=SLIPPERY).order
    assert tight.minimum_out == tight.expected.get("uniswap", "USDC") == D("0.328022")


@pytest.mark.parametrize(("own", "least"), [("990", "990"), ("900", "987.03")])
def test_the_tighter_of_the_own_minimum_and_the_limits_is_sent(own, least):
    order = approved(swap(min_amount_out=own), limits(max_slippage_bps=100), venues=SLIPPERY).order
    assert order.minimum_out == D(least)


def test_without_a_limit_of_slippage_the_own_minimum_is_sent():
    assert approved(swap(min_amount_out="900"), Limits(), venues=SLIPPERY).order.minimum_out == D("900")
    assert approved(swap(), Limits(), venues=SLIPPERY).order.minimum_out is None


def test_each_swap_of_a_chain_has_its_own_least_out():
    block = chain(
        swap(),
        action("aave", "flash_loan", "WETH", 1, sub_instructions=[action("wallet", "wrap", "ETH", 1), swap(min_amount_out="990"), swap()]),
        action("uniswap", "swap", "USDC", {"output_of": 0}, token_out="USDT"),
    )
    order = approved(block, limits(max_slippage_bps=100), venues=SLIPPERY).order
    assert isinstance(order.instruction, Chain)
    first, loan, last = order.instruction.steps
    assert order.minimum_out is None
    assert [step.min_amount_out for step in (first, *loan.steps)] == [D("987.03"), None, D("990"), D("987.03")]
    assert (last.amount, last.min_amount_out) == (D("994.009"), D("981.116704"))  # 997 less 30 bps; then less 0.3 % and 1 %


def test_amounts_are_numbers_in_what_is_approved():
    assert approved(action("aave", "supply", "WETH", "all")).order.instruction.amount == 500


# Addresses.


def test_nothing_is_sent_where_no_address_is_allowed():
    reported = (
        "a transfer to bybit needs its address in limits.withdrawal_addresses, which is empty: add the line withdrawal_addresses: [0x...] "
        "with it under limits (with --paper any address stands for bybit)"
    )
    block = transfer("wallet", "bybit", "USDT", 100)
    assert refusal(block, limits(withdrawal_addresses=())) == ("OCH-001", reported)
    assert refusal(block, limits(withdrawal_addresses=(OTHER,))) is None


def test_an_address_that_is_known_must_be_among_those_that_are_paid():
    block = transfer("bybit", "wallet", "USDT", 100)
    reported = f"wallet is paid at {OTHER}, which is not in limits.withdrawal_addresses; add it there or send it elsewhere"
    assert refusal(block, addresses={"wallet": OTHER}, leaves=True) == ("CEX-001", reported)
    assert refusal(block, addresses={"wallet": ADDRESS.lower(), "bybit": OTHER}) is None


def test_a_contract_that_is_known_must_be_among_those_that_are_called():
    block = chain(action("wallet", "wrap", "ETH", 1), action("aave", "supply", "USDT", 100))
    reported = f"aave is {OTHER}, which is not in limits.contracts; add it there or leave aave out"
    assert refusal(block, limits(contracts=(ADDRESS,)), addresses={"aave": OTHER, "wallet": ADDRESS}) == ("OCH-001", reported)
    assert refusal(block, limits(contracts=(ADDRESS, OTHER.upper().replace("0X", "0x"))), addresses={"aave": OTHER}) is None
    assert refusal(block, limits(contracts=(ADDRESS,)), addresses={"lido": OTHER}) is None
    assert refusal(block, addresses={"aave": OTHER}) is None


# Gas: the market's price is 12.75 gwei.

WRAP = action("wallet", "wrap", "ETH", 1)  # 66,000 units
GAS_ETH = D("0.0008415")


@pytest.mark.parametrize(
    ("given_limits", "leaves", "name"),
    [
        ({"max_fee_gwei": 12}, False, "max_fee_gwei"),
        ({"max_fee_gwei": 12}, True, "max_fee_gwei"),
        ({"max_fee_gwei": 12, "max_fee_gwei_reducing": 20}, False, "max_fee_gwei"),
        ({"max_fee_gwei": 20, "max_fee_gwei_reducing": 12}, True, "max_fee_gwei_reducing"),
    ],
)
def test_a_gas_unit_that_costs_more_than_the_limit_is_refused(given_limits, leaves, name):
    reported = f"a gas unit costs 12.75 gwei, limits.{name} is 12; wait or raise the limit"
    assert refusal(WRAP, limits(**given_limits), leaves=leaves) == ("OCH-001", reported)


@pytest.mark.parametrize(
    ("given_limits", "leaves"),
    [
        ({"max_fee_gwei": "12.75"}, False),
        ({"max_fee_gwei": 12, "max_fee_gwei_reducing": "12.75"}, True),
        ({"max_fee_gwei": 20, "max_fee_gwei_reducing": 12}, False),
        ({"max_fee_gwei_reducing": 12}, False),
    ],
)
def test_a_gas_unit_within_the_limit_is_approved(given_limits, leaves):
    assert refusal(WRAP, limits(**given_limits), leaves=leaves) is None


@pytest.mark.parametrize("leaves", [False, True])
def test_more_gas_than_a_day_may_cost_is_refused_also_of_what_leaves(leaves):
    spent = Spent(gas_eth=D("0.4992123456"))
    reported = ("the instruction pays 0.000842 ETH for gas after 0.499212 ETH on 2024-06-01, limits.max_gas_per_day_eth is 0.5; "
            "wait for the next day (UTC) or raise the limit")  # fmt: skip
    assert refusal(WRAP, limits(max_gas_per_day_eth="0.5"), spent=spent, leaves=leaves) == ("OCH-001", reported)


def test_just_the_gas_that_a_day_may_cost_is_approved_and_what_is_left_is_said():
    found = approved(WRAP, limits(max_gas_per_day_eth="0.5"), spent=Spent(gas_eth=D("0.5") - GAS_ETH))
    assert found.gas_left_eth == GAS_ETH


def test_a_transfer_out_of_the_wallet_pays_gas_too():
    block = transfer("wallet", "bybit", "USDT", 100)
    assert refusal(block, limits(max_fee_gwei=12)) == (
        "OCH-001",
        "a gas unit costs 12.75 gwei, limits.max_fee_gwei is 12; wait or raise the limit",
    )


def test_a_trade_pays_none():
    assert refusal(TWO_ETH, limits(max_fee_gwei=0, max_gas_per_day_eth=0), spent=Spent(gas_eth=D(1))) is None


# The limits themselves.


def test_live_needs_limits_with_paper_too():
    with pytest.raises(ComponentError) as raised:
        require_limits(None)
    reported = ("limits: missing; live (with --paper too) needs max_notional_per_instruction, max_notional_per_day, max_slippage_bps and "
            "max_unhedged_notional under limits")  # fmt: skip
    assert (raised.value.error_code, raised.value.message) == ("CFG-001", reported)


def test_live_needs_each_limit_of_size():
    with pytest.raises(ComponentError) as raised:
        require_limits(Limits(max_notional_per_instruction=D(1), max_slippage_bps=D(5)))
    assert raised.value.message.split("\n") == [
        "limits.max_notional_per_day: missing; live (with --paper too) needs it",
        "limits.max_unhedged_notional: missing; live (with --paper too) needs it",
    ]


def test_the_limits_are_given_back_where_they_suffice():
    found = Limits(max_notional_per_instruction=D(1), max_notional_per_day=D(1), max_slippage_bps=D(0), max_unhedged_notional=D(0))
    assert require_limits(found) is found


# Whatever is sent.

swaps = st.lists(st.tuples(st.sampled_from(["USDT", "USDC"]), st.integers(1, 5000)), min_size=1, max_size=5)


@given(swaps)
def test_the_notional_of_a_chain_is_the_sum_of_those_of_its_steps_and_nothing_hides_behind_a_withdrawal(pairs):
    steps = [action("uniswap", "swap", token, amount, token_out="USDC" if token == "USDT" else "USDT") for token, amount in pairs]
    whole = sum(amount for _, amount in pairs) + 1
    block = chain(action("aave", "withdraw", "USDT", 1), *steps)
    assert approved(block, state=SUPPLIED).notional_usd == whole
    assert refusal(block, limits(max_notional_per_instruction=whole), state=SUPPLIED) is None
    assert refusal(block, limits(max_notional_per_instruction=D(whole) - D("0.01")), state=SUPPLIED) is not None


@given(st.integers(1, 400_000), st.integers(31, 2000))
def test_a_swap_as_it_was_simulated_is_never_below_its_own_least_out(amount, slippage_bps):
    with localcontext(EXACT):
        order = approved(
            action("uniswap", "swap", "USDT", amount, token_out="WETH"), limits(max_slippage_bps=slippage_bps), venues=SLIPPERY
        ).order
        out = order.expected.get("uniswap", "WETH")
        fair = D(amount) * (1 - D("0.003")) / ETH
        assert order.minimum_out <= out
        # At least what the limit leaves, and at most a base unit more.
        unit = D("1e-18")
        least = fair * (1 - D(slippage_bps) / 10_000)
        assert least - 2 * unit <= order.minimum_out <= least + 2 * unit


@pytest.mark.parametrize("amount", [88, 119])  # where the 96th digit would make it a base unit more
def test_a_swap_that_slips_by_just_the_limit_asks_for_all_that_it_is_expected_to_pay(amount):
    block = action("uniswap", "swap", "USDT", amount, token_out="WETH")
    (moved,) = simulated(block, venues=SLIPPERY)
    with localcontext(EXACT):
        slipped = next(cost.amount for cost in moved.costs if cost.source == "slippage")
        just = limits(max_slippage_bps=slipped * 10_000 / (amount * D("0.997")))
    assert approved(block, just, venues=SLIPPERY).order.minimum_out == moved.deltas.get("uniswap", "WETH")


def test_rounding_is_towards_the_trader():
    parsed = parse_instruction(trade("bybit", "buy", "ETHUSDT", 1))
    priced = Priced(D("100.05"), D("0.1"), D(1))
    assert worst_price(parsed, priced, D(0)) == D("100.05").quantize(D("0.1"), ROUND_FLOOR)
    assert worst_price(structs.replace(parsed, side="sell"), priced, D(0)) == D("100.05").quantize(D("0.1"), ROUND_CEILING)
    assert (MARKET.instant, VENUES["bybit"].kind, RICH.checked) == (1717200000000000, "cex", True)
