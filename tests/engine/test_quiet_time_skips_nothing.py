"""However long a stretch in which nothing happens is, what is written equals, to the byte, a run that looks at every bar in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import PropertyMock, patch

from hypothesis import example, given
from hypothesis import strategies as st

from basis_strategy_v1 import ComponentError, DataProvider, EventDrivenStrategyEngine
from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.clock import HOUR_US, from_instant, to_instant
from basis_strategy_v1.core.market import MarketSnapshot
from basis_strategy_v1.core.state import ExchangeAccount, Perp, State
from basis_strategy_v1.results.attribution import Attribution
from basis_strategy_v1.venues.cex import Exchange
from basis_strategy_v1.venues.exchanges import EXCHANGES

START = datetime(2024, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURS = 60
WRITTEN = ("equity.csv", "positions.csv", "events.csv")
STRATEGY = """
PLANS = {plans!r}

class Mine:
    def needs(self, parameters):
        return [("perp", "bybit", "ETHUSDT"), ("perp", "bybit", "BTCUSDT"), ("lending", "aave", "WETH")]

    def decide(self, snapshot, positions, parameters):
        hour = (snapshot.at.day - 1) * 24 + snapshot.at.hour
        return PLANS.get(hour, [])
"""


def stamp(hours: float) -> str:
    return f"{START + hours * HOUR:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def write(path: Path, header: str, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in (header, *rows)))


def bars(random: Random, price: float, wildness: float) -> list[str]:
    """A random walk; now and then a bar reaches far out and comes back."""
    rows = []
    for hour in range(-8, HOURS):
        opened, price = price, price * (1 + random.gauss(0, wildness / 4))
        reach = wildness * (5 if random.random() < 0.1 else 0.5)
        high, low = max(opened, price) * (1 + reach * random.random()), min(opened, price) * (1 - reach * random.random())
        if random.random() > 0.03:  # else the bar is missing
            rows.append(f"{stamp(hour)},{opened:.2f},{high:.2f},{low:.2f},{price:.2f},1")
    return rows


def market_of(folder: Path, random: Random) -> None:
    wildness = random.choice((0.005, 0.02, 0.05, 0.1))
    closes: dict[str, float] = {}  # of ETHUSDT
    for symbol, price in (("ETHUSDT", 3000.0), ("BTCUSDT", 60_000.0)):
        rows = bars(random, price, wildness)
        if symbol == "ETHUSDT":
            closes = {row.split(",")[0]: float(row.split(",")[4]) for row in rows}
        for kind in ("spot", "perp"):
            write(folder / f"ohlcv/bybit/{kind}/{symbol}_1h.csv", "timestamp,open,high,low,close,volume", rows)
        late = random.choice((0, 0, 7 / 3_600_000))  # an exchange stamps a payment a little late
        rates = [f"{stamp(hour + late)},{random.gauss(0.0001, 0.0003):.8f}" for hour in range(-8, HOURS, 8) if random.random() > 0.1]
        write(folder / f"funding/bybit/{symbol}.csv", "timestamp,funding_rate", rates)
    for token, first, total in (("WETH", 3000.0, 600_000), ("USDT", 1.0, 450_000_000)):
        rows, index, debt, price = [], 1.01, 1.02, first
        for hour in range(-8, HOURS, random.choice((1, 3, 6))):
            index, debt = index * (1 + random.random() * 1e-5), debt * (1 + random.random() * 2e-5)
            if token == "WETH":  # the oracle stays near the market
                price = closes.get(stamp(hour), price) * (1 + random.gauss(0, wildness / 4))
            rates = f"{index:.18f},0.02{random.randrange(10**6)},{debt:.18f},0.04"
            rows.append(f"{stamp(hour)},1,{rates},{total}.00,{total // 2}.00,{price:.8f}")
        header = "block,liquidity_index,liquidity_rate,variable_borrow_index,variable_borrow_rate,total_supplied,total_borrowed"
        write(folder / f"lending/aave_v3/{token}.csv", f"timestamp,{header},oracle_price_usd", rows)


def plans_of(random: Random, *, perps: bool, loans: bool) -> dict[int, list[dict[str, Any]]]:
    """What to do at which hour: trades of any size, and a loan of up to what its collateral bears."""
    plans: dict[int, list[dict[str, Any]]] = {}
    if loans:
        of_aave = {"instruction_type": "smart_contract_action", "protocol": "aave"}
        supplied = {**of_aave, "action": "supply", "token": "WETH", "amount": 2}
        plans[1] = [supplied, {**of_aave, "action": "borrow", "token": "USDT", "amount": random.randrange(500, 4_200)}]
    if perps:
        plans[2] = [_trade(random, "perp", "ETHUSDT", random.choice((4, 20, 60)))]
        for hour in random.sample(range(3, HOURS - 2), random.randrange(4)):
            plans[hour] = [_trade(random, *random.choice((("perp", "ETHUSDT", 20), ("perp", "BTCUSDT", 1), ("spot", "ETHUSDT", 2))))]
    return plans


def _trade(random: Random, kind: str, symbol: str, largest: int) -> dict[str, Any]:
    traded = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": kind, "symbol": symbol}
    return {**traded, "side": random.choice(("buy", "sell")), "amount": round(random.random() * largest + 0.01, 2)}


def run(folder: Path, plans: dict[int, list[dict[str, Any]]], name: str) -> tuple[list[bytes], str, Counter[str]]:
    """What a run wrote, what ended it early, if anything did, and how often each kind of thing fell due."""
    (folder / "mine.py").write_text(STRATEGY.format(plans=plans))
    settings = {
        "strategy_mode": "custom", "share_class": "usdt_stable", "initial_capital": 30_000,
        "start": "2024-06-01", "end": "2024-06-03T10:00:00Z", "interval": "1h",
        "strategy": {"file": str(folder / "mine.py")},
        "venues": {"cex": ["bybit"], "onchain": {"aave": None, "wallet": {"gas_price_gwei": 0}}},
        "initial_positions": {"bybit": {"USDT": 8_000, "ETH": 3}, "wallet": {"WETH": 2, "ETH": 1}},
        "data": {"missing_funding": "zero"},
    }  # fmt: skip
    results = folder / name
    engine = EventDrivenStrategyEngine.from_config(settings, folder / "data", results, folder / f"logs-{name}", report=False)
    ended = ""
    try:
        engine.run()
    except ComponentError as error:
        ended = str(error)
    [written] = [path for path in results.iterdir() if path.is_dir()]
    found = [(written / file).read_bytes() for file in WRITTEN]
    kinds = (line.split('"kind":"')[1].split('"')[0] for line in _lines(folder / f"logs-{name}") if '"settlement"' in line)
    return [*found, *_attribution(engine)], ended, Counter(kinds)


def _attribution(engine: EventDrivenStrategyEngine) -> list[bytes]:
    return [repr(sorted(engine.totals.items())).encode()]


def _lines(logs: Path) -> list[str]:
    return (logs / "events" / "execution_interface_manager_events.jsonl").read_text().splitlines()


def next_due_of(data: Path) -> Callable[[Exchange, State, MarketSnapshot, int], int | None]:
    """The next payment, or the next bar that liquidates: the bars are tried one after another, at the snapshot of each."""
    provider = DataProvider(data, missing_funding="zero")

    def next_due(self: Exchange, state: State, market: MarketSnapshot, until: int) -> int | None:
        account = state.parts.get(self.name)
        if not isinstance(account, ExchangeAccount) or not account.perps:
            return None
        interval = self.row.funding_interval_hours.at() * HOUR_US
        rows = [market.next_row("funding", "bybit", symbol) for symbol in account.perps]
        rows += [market.next_missed("bybit", symbol, market.instant + 1) for symbol in account.perps]
        payment = min([(market.instant // interval + 1) * interval, *(row for row in rows if row is not None)])
        while bars := [row for symbol in account.perps if (row := market.next_row("perp", "bybit", symbol)) is not None]:
            bar = min(bars)
            if bar > min(payment, until):
                break
            market = provider.snapshot(from_instant(bar))
            if len(account.perps) > 1 or any(row.kind == "liquidation" for row in self.update_to(state, market)[1]):
                return bar
        return payment if payment <= until else None

    return next_due


def bar_by_bar(stack: ExitStack, data: Path) -> None:
    """No stretch is skipped, no liquidation searched for but by trying each bar, and no step recorded but in its turn."""
    stack.enter_context(patch.object(Exchange, "next_due", next_due_of(data)))
    stack.enter_context(patch.object(EventDrivenStrategyEngine, "_first_event", lambda self: 0))
    stack.enter_context(patch.object(Attribution, "is_line", PropertyMock(return_value=False)))


seen: Counter[str] = Counter()


@given(st.integers(0, 2**32), st.booleans(), st.booleans())
@example(12, True, True)  # one with a liquidation
def test_a_run_in_stretches_equals_the_same_run_bar_by_bar(seed: int, perps: bool, loans: bool) -> None:
    random = Random(seed)
    with TemporaryDirectory() as name:
        folder = Path(name)
        market_of(folder / "data", random)
        plans = plans_of(random, perps=perps or not loans, loans=loans)
        in_stretches = run(folder, plans, "stretches")
        with ExitStack() as stack:
            bar_by_bar(stack, folder / "data")
            in_turn = run(folder, plans, "bars")
    assert in_stretches == in_turn
    seen.update(in_stretches[2])


@given(st.integers(0, 2**32), st.sampled_from((-1, 1)), st.sampled_from(("-0.003", "-0.00001", "0", "0.00001", "0.003")))
def test_a_perp_at_the_edge_of_a_bar_falls_due_when_trying_each_bar_says_so(seed: int, sign: int, off: str) -> None:
    """The margin is just what the position needs at about the extreme of some bar, or of all; it is asked about time again and again."""
    random = Random(seed)
    with TemporaryDirectory() as name, localcontext(EXACT):
        data = Path(name) / "data"
        market_of(data, random)
        provider, bybit, tried = DataProvider(data, missing_funding="zero"), Exchange("bybit", EXCHANGES["bybit"]), next_due_of(data)
        hours = random.choice((range(1, HOURS), [random.randrange(1, HOURS)]))
        reached = [provider.snapshot(START + hour * HOUR).perp_range("bybit", "ETHUSDT")[sign < 0] for hour in hours]
        extreme = max(reached) if sign < 0 else min(reached)
        base, edge = sign * Decimal(random.randrange(1, 2_000)) / 10, extreme * (1 + Decimal(off))
        cost = base * Decimal(3_000)
        cash = bybit.terms.maintenance("ETHUSDT", abs(base) * edge) + cost - base * edge
        state = State({"bybit": ExchangeAccount({"USDT": cash}, {"ETHUSDT": Perp(base, cost)})})
        asked = [
            (provider.snapshot(START + hour * HOUR), to_instant(START + random.randrange(HOURS) * HOUR)) for hour in range(0, HOURS, 5)
        ]
        assert [bybit.next_due(state, *each) for each in asked] == [tried(bybit, state, *each) for each in asked]


def test_the_runs_had_something_to_miss() -> None:
    """Liquidations and payments among the runs above: without any they would prove nothing."""
    if not seen:
        test_a_run_in_stretches_equals_the_same_run_bar_by_bar()
    assert seen["funding"] > 0
    assert seen["interest"] > 0
    assert seen["liquidation"] > 0
