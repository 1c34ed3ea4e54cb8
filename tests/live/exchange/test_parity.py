"""The same random trades and transfers, at the same prices, in a backtest and at the local exchange: the same deltas."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal

import pytest

from basis_strategy_v1 import ExecutionInterfaceManager
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

from .trader import block_of
from .transfers import LiveTransfers, config_of, transfer

D = Decimal
BLOCKS = 20
RICH = (
    {"grant": {"venue": "binance", "wallet": "spot", "USDT": "400000", "ETH": "100"}},
    {"grant": {"venue": "binance", "wallet": "perp", "USDT": "200000"}},
)
IN_WALLET = {"USDT": "100000", "ETH": "50"}
DIGITS = D("1e-8")  # an exchange keeps so many digits of a fee and of a realised profit, the simulator all of them


def random_block(chance):
    """Some are below a lot, a minimum or what is held, so that both must refuse them."""
    kind = chance.choice(("spot", "spot", "perp", "perp", "transfer"))
    if kind == "transfer":
        token = chance.choice(("USDT", "USDT", "ETH"))
        ends = chance.sample(("binance", "wallet"), 2)
        most = {"USDT": 3_000, "ETH": 1}[token]
        amount = chance.choice((chance.uniform(0, most), chance.uniform(0, most), chance.uniform(0, most / 200)))
        return kind, transfer(*ends, f"{amount:.{chance.choice((0, 2, 6, 8))}f}", token)
    amount = chance.choice((chance.uniform(0, 3), chance.uniform(0, 3), chance.uniform(0, 0.01)))
    return kind, block_of(kind, chance.choice(("buy", "sell")), f"{amount:.{chance.choice((1, 3, 5, 8))}f}")


def outcome_of(manager, at, block):
    """Its report; None where it is refused."""
    try:
        return manager.execute(at, block)
    except ComponentError as refused:
        assert refused.error_code in ("EIM-001", "CEX-001"), refused
        return None


def rounded(report):
    """What an exchange rounds in a report: token -> fee, less the realised profit."""
    fees = Counter()
    for cost in report.costs:
        fees[cost.token] += cost.amount if cost.source == "fees" else 0
    fees["USDT"] -= D(report.details.get("realised", 0))
    return fees


def unexplained(live, simulated):
    """What differs in the deltas and is not the rounding of a fee or of a profit: (venue, token) -> amount."""
    places = dict.fromkeys((*dict(live.deltas.items()), *dict(simulated.deltas.items())))
    theirs, ours = rounded(live), rounded(simulated)
    found = {}
    for venue, token in places:
        difference, rounding = live.deltas.get(venue, token) - simulated.deltas.get(venue, token), ours[token] - theirs[token]
        assert abs(rounding) < 2 * DIGITS, (token, theirs, ours)
        if difference not in (0, rounding):
            found[venue, token] = difference
    return found


def arrivals(reports):
    """Each movement that fell due, and how often."""
    return Counter(frozenset(report.deltas.items()) for report in reports if report.deltas)


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.prove) for seed in range(2, 15))])
def test_random_trades_and_transfers_have_the_same_deltas_live_as_in_a_backtest(exchange, tmp_path, seed, pytestconfig):
    chance = random.Random(f"{seed} {pytestconfig.getoption('hypothesis_seed', None)}")
    exchange.begin(tmp_path / "rich.jsonl", *RICH)
    live = LiveTransfers(exchange, tmp_path / "live", held=IN_WALLET)
    price = D(2000)
    backtest = ExecutionInterfaceManager(config_of(exchange.url), live.prices, "backtest", positions=live.positions)
    arrived, simulated_arrivals, outcomes = Counter(), Counter(), Counter()
    for _ in range(BLOCKS):
        price = (price * D(f"{chance.uniform(0.99, 1.01):.6f}")).quantize(D("0.01"))
        live.prices.price = float(price)
        exchange.control(price={"symbol": "ETHUSDT", "price": str(price)})
        arrived += arrivals(live.settle(chance.choice((0, 1, 5, 20))))
        kind, block = random_block(chance)
        live.time.sleep(1)
        at = live.time.clock.now()
        simulated_arrivals += arrivals(backtest.settle(at))
        is_, expected = outcome_of(live.manager, at, block), outcome_of(backtest, at, block)
        assert (is_ is None) is (expected is None), (block, is_, expected)
        if is_ is not None and expected is not None:
            assert unexplained(is_, expected) == {}, block
        outcomes[kind, is_ is None] += 1
    for _ in range(3):
        arrived += arrivals(live.settle(20))
    simulated_arrivals += arrivals(backtest.settle(live.time.clock.now()))
    assert arrived == simulated_arrivals
    live.require_agreement()
    live.close()
    assert {kind for kind, is_refused in outcomes if not is_refused} == {"spot", "perp", "transfer"}, outcomes
