"""The world of the tests: one snapshot with everything in it, folders of series where time matters, and every venue with its blocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from functools import wraps
from typing import TYPE_CHECKING, Any

import pytest

from basis_strategy_v1.config import load_settings
from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.instructions import Chain, parse_instruction
from basis_strategy_v1.core.market import DictSnapshot
from basis_strategy_v1.core.state import IN_TRANSIT, State
from basis_strategy_v1.core.tokens import decimals_of
from basis_strategy_v1.data.data_provider import DataProvider
from basis_strategy_v1.venues.aave_settings import RESERVES
from basis_strategy_v1.venues.chain import simulate_transaction
from basis_strategy_v1.venues.exchanges import EXCHANGES
from basis_strategy_v1.venues.morpho_data import PUBLIC
from basis_strategy_v1.venues.morpho_market import Market as MorphoMarket
from basis_strategy_v1.venues.registry import VENUES, make_venue
from basis_strategy_v1.venues.transfers import Arrivals, simulate_transfer
from basis_strategy_v1.venues.venue import CEX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.execution.account import Account as TradingAccount
    from basis_strategy_v1.venues.venue import SimulationResult, Venue, Venues

AT = datetime(2024, 6, 1, tzinfo=UTC)
YEAR_S = 365 * 86_400
# A venue trades at the price by which its token is valued, so that a trade has no other cost than those in its report.
PRICES = {"ETH": 3300.25, "BTC": 65000.5, "USDT": 1.0, "USDC": 1.0}
STAKED = {"wstETH": 1.1744123456789012, "weETH": 1.0381622777538226}
FREE = {"spot_taker_fee_bps": 0, "perp_taker_fee_bps": 0, "slippage_bps": 0, "withdrawal": {}}
BARS = ("open", "high", "low", "close", "volume")
TOKENS = ("USDT", "USDC", "ETH", "WETH", "WBTC", "stETH", "wstETH", "eETH", "weETH")


def settled(account: TradingAccount, until: datetime) -> list[ExecutionReport]:
    """What falls due up to a time, once the account holds it."""
    return [report for _, reports in account.advance_to(until) for report in reports]


def exactly(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function in the arithmetic that the manager and the engine set: nothing is rounded by accident."""

    @wraps(function)
    def found(*arguments: Any, **named: Any) -> Any:
        with localcontext(EXACT):
            return function(*arguments, **named)

    return found


def lending_row(usd: float, **changes: float) -> dict[str, float]:
    """A lending row of a token that is worth so many USD."""
    row = {
        "liquidity_index": 1.0412345678901234, "liquidity_rate": 0.0312, "variable_borrow_index": 1.0634567890123456,
        "variable_borrow_rate": 0.0423, "total_supplied": 1e6, "total_borrowed": 4e5, "oracle_price_usd": usd,
    }  # fmt: skip
    return {**row, **changes}


def still_row(usd: float, **changes: float) -> dict[str, float]:
    """A lending row of a token that is worth so many USD, while no interest accrues."""
    still = {"liquidity_index": 1.0, "liquidity_rate": 0.0, "variable_borrow_index": 1.0, "variable_borrow_rate": 0.0}
    return lending_row(usd, **(still | changes))


def morpho_row(at: datetime, lltv_wad: int, loan_unit: int, price: Decimal, growth: float = 1.0) -> dict[str, str]:
    """A row of a market with 60,000 of the loan token in it; `price` is the oracle's, in base units of loan per collateral."""
    market = MorphoMarket(
        lltv_wad=lltv_wad, last_update_s=int(at.timestamp()), total_supply_assets=int(60_000 * growth * loan_unit) + 123,
        total_supply_shares=58_000 * loan_unit * 10**6 + 456, total_borrow_assets=int(52_000 * growth * loan_unit) + 789,
        total_borrow_shares=50_000 * loan_unit * 10**6 + 12, fee_wad=0, rate_at_target_wad=3 * 10**16 // YEAR_S,
    )  # fmt: skip
    return morpho_texts(market, int(price * 10**36))


def morpho_texts(market: MorphoMarket, oracle_price: int) -> dict[str, str]:
    """The row of a Morpho market: its totals, its terms and the oracle's price (loan per collateral in base units, 1e36)."""
    numbers = {
        "last_update": market.last_update_s, "fee": market.fee_wad, "rate_at_target": market.rate_at_target_wad, "lltv": market.lltv_wad,
        "oracle_price": oracle_price,
    }  # fmt: skip
    totals = ("total_supply_assets", "total_supply_shares", "total_borrow_assets", "total_borrow_shares")
    return {name: str(number) for name, number in (numbers | {name: getattr(market, name) for name in totals}).items()}


def morpho_rows(at: datetime, prices: Mapping[str, float] = PRICES, growth: float = 1.0) -> dict[str, dict[str, str]]:
    """A row of each public market."""
    found = {}
    for name, terms in PUBLIC.items():
        collateral, loan = name.split("/")
        ratio = Decimal(str(usd_of(collateral, prices))) / Decimal(str(usd_of(loan, prices)))
        price = ratio.scaleb(decimals_of(loan) - decimals_of(collateral))
        found[name.replace("/", "_")] = morpho_row(at, terms.lltv_wad, 10 ** decimals_of(loan), price, growth)
    return found


def usd_of(token: str, prices: Mapping[str, float] = PRICES) -> float:
    rate = STAKED.get(token, 1.0)
    return prices.get(token, prices["BTC"] if token == "WBTC" else prices["ETH"]) * rate


def everything(at: datetime = AT, *, prices: Mapping[str, float] = PRICES, growth: float = 1.0, gas_gwei: float = 12.5) -> dict[str, Any]:
    """All that the registered venues could ask for, as `get_data` gives it."""
    settled_in = dict.fromkeys(row.settle for row in EXCHANGES.values())
    quotes = {f"{base}{quote}": prices[base] / prices.get(quote, 1.0) for base in ("ETH", "BTC") for quote in settled_in}
    perps = {symbol: price * 1.0007 for symbol, price in quotes.items()}
    indices = {"liquidity_index": 1.0412345678901234 * growth, "variable_borrow_index": 1.06345678901234 * growth**2}
    lending = {
        token: {**lending_row(usd_of(token, prices), **indices), "eth_per_token": STAKED.get(token, 1.0) * growth} for token in RESERVES
    }
    pools = {f"{token}_WETH": rate * growth * 0.998 for token, rate in STAKED.items()}
    protocols = {name: {**lending, **pools} for name in VENUES} | {"morpho": {"markets": morpho_rows(at, prices, growth)}}
    return data_at(
        at, dict(prices), protocols, (gas_gwei, 0.25),
        spot_prices={name: quotes for name in EXCHANGES}, perp_prices={name: perps for name in EXCHANGES},
        funding_rates={name: dict.fromkeys(perps, 0.0001) for name in EXCHANGES},
    )  # fmt: skip


def data_at(
    at: datetime, prices: Mapping[str, float | None], protocols: Mapping[str, Any], gas_gwei: tuple[float, float], **by_exchange: Any
) -> dict[str, Any]:
    """What `get_data` gives: USD prices, what each protocol has, (base fee, priority fee), and `spot_prices` and the like by exchange."""
    base, tip = gas_gwei
    return {
        "timestamp": at,
        "market_data": {"prices": prices, **by_exchange},
        "protocol_data": protocols,
        "execution_data": {"gas": {"base_fee_gwei": base, "priority_fee_gwei": tip}},
    }


def market(at: datetime = AT, **changes: Any) -> DictSnapshot:
    """The snapshot with everything in it."""
    return DictSnapshot(at, everything(at, **changes))


def venues(settings: Mapping[str, Mapping[str, Any]] | None = None) -> Venues:
    """Every venue that is registered, with settings by name."""
    own = settings or {}
    return {name: venue(name, own.get(name)) for name in (*EXCHANGES, *VENUES)}


def venue(name: str, settings: Mapping[str, Any] | None = None) -> Venue:
    """One venue, with settings as a config has them."""
    section = VENUES[name].section if name in VENUES else CEX
    return make_venue(section, name, load_settings(section, name, settings or {}))


@exactly
def holding(all_venues: Venues, at_market: MarketSnapshot, **positions: Mapping[str, Any]) -> State:
    """The state that these positions are (venue -> token -> amount)."""
    parts = {
        name: all_venues[name].open({token: Decimal(str(amount)) for token, amount in tokens.items()}, at_market)
        for name, tokens in positions.items()
    }
    return State(parts)


def rich(all_venues: Venues, at_market: MarketSnapshot) -> State:
    """A wallet and accounts that hold some of everything."""
    wallet = {token: 1_000_000 if token in ("USDT", "USDC") else 500 for token in TOKENS}
    account = {**{row.settle: 500_000 for row in EXCHANGES.values()}, "ETH": 50, "BTC": 3, "stETH": 20}
    return holding(all_venues, at_market, wallet=wallet, **dict.fromkeys(EXCHANGES, account))


@exactly
def run(block: dict[str, Any], all_venues: Venues, state: State, at_market: MarketSnapshot) -> SimulationResult:
    """What a block does, by the same three functions that the interfaces call."""
    instruction = parse_instruction(block)
    if block["instruction_type"] == "cex_trade":
        return all_venues[block["venue"]].simulate(instruction, state, at_market)
    if block["instruction_type"] == "wallet_transfer":
        return simulate_transfer(instruction, all_venues, state, at_market)
    steps = instruction.steps if isinstance(instruction, Chain) else (instruction,)
    return simulate_transaction(steps, all_venues, state, at_market)


def action(protocol: str, name: str, token: str | None = None, amount: Any = None, **fields: Any) -> dict[str, Any]:
    """A `smart_contract_action` block."""
    given = {"token": token, "amount": amount, **fields}
    return {"instruction_type": "smart_contract_action", "protocol": protocol, "action": name} | {
        field: value for field, value in given.items() if value is not None
    }


def chain(*steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A block of several actions in one transaction, or one after another (`atomic=False`)."""
    return {"instruction_type": "smart_contract_action", "sub_instructions": list(steps), **fields}


def trade(venue: str, side: str, symbol: str, amount: Any, trade_type: str = "spot", **fields: Any) -> dict[str, Any]:
    """A `cex_trade` block."""
    block = {"instruction_type": "cex_trade", "venue": venue, "trade_type": trade_type, "side": side, "symbol": symbol, "amount": amount}
    return {**block, **fields}


def transfer(from_venue: str, to_venue: str, token: str, amount: Any, **fields: Any) -> dict[str, Any]:
    """A `wallet_transfer` block."""
    block = {"instruction_type": "wallet_transfer", "from_venue": from_venue, "to_venue": to_venue, "token": token, "amount": amount}
    return {**block, **fields}


@exactly
def update_to(venue: Any, state: State, at_market: MarketSnapshot) -> Any:
    """What falls due at a venue at the snapshot's instant."""
    return venue.update_to(state, at_market)


@exactly
def value(all_venues: Venues, state: State, at_market: MarketSnapshot) -> Decimal:
    """USD that everything in a state is worth at the snapshot's prices, exact."""
    total = sum((amount * at_market.price(token) for token, amount in Arrivals(all_venues).held(state).items()), Decimal(0))
    for name in state.parts:
        if name == IN_TRANSIT:
            continue
        held, perps = all_venues[name].exposures(state, at_market)
        total += sum((row.amount * at_market.price(row.token) for row in held), Decimal(0))
        for perp in perps:
            total += (perp.base * at_market.perp(perp.exchange, perp.symbol) - perp.cost) * at_market.price(perp.settle)
    return total


@exactly
def costs_usd(costs: Sequence[Any], at_market: MarketSnapshot) -> Decimal:
    return sum((cost.amount * at_market.price(cost.token) for cost in costs), Decimal(0))


@exactly
def change_of_positions(all_venues: Venues, before: State, after: State, deltas: Deltas) -> tuple[Deltas, Deltas]:
    """(the change of the positions, the deltas where positions have them): equal where nothing appears or vanishes.

    Deltas say which venue did it, positions where it is: a token that a protocol never shows as its own is in the wallet.
    """
    old, new = before.positions(), after.positions()
    change = Deltas.nested(new) - Deltas.nested(old)
    moved = Deltas()
    for (venue, token), amount in deltas.items():
        own = token in old.get(venue, {}) or token in new.get(venue, {})
        on_chain = venue in VENUES
        moved += Deltas.at(venue if own or not on_chain else "wallet", {token: amount})
    return change, moved


def refused(call: Any, *arguments: Any, **named: Any) -> ComponentError:
    """The error that a call raises."""
    with pytest.raises(ComponentError) as raised:
        call(*arguments, **named)
    return raised.value


def iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def write_bars(folder: Path, venue: str, kind: str, symbol: str, bars: Sequence[tuple[float, ...]], start: datetime = AT) -> None:
    """Hourly bars (open, high, low, close; or one price for all four), the first of which opens at `start`."""
    rows = []
    for index, bar in enumerate(bars):
        opened, high, low, close = bar if len(bar) == 4 else bar * 4
        rows.append(f"{iso(start + timedelta(hours=index))},{opened},{high},{low},{close},1000000")
    write_series(folder, f"ohlcv/{venue}/{kind}/{symbol}_1h", BARS, rows)


def write_funding(folder: Path, venue: str, symbol: str, rates: Mapping[datetime, Any]) -> None:
    write_series(folder, f"funding/{venue}/{symbol}", ("funding_rate",), [f"{iso(at)},{rate}" for at, rate in rates.items()])


def write_staking(folder: Path, protocol: str, token: str, rates: Mapping[datetime, Any]) -> None:
    write_series(folder, f"staking/{protocol}/{token}", ("eth_per_token",), [f"{iso(at)},{rate}" for at, rate in rates.items()])


def write_lending(folder: Path, protocol: str, token: str, rows: Mapping[datetime, Mapping[str, Any]]) -> None:
    write_states(folder, f"lending/{protocol}/{token}", ("block", *lending_row(1.0)), rows)


def write_gas(folder: Path, rows: Mapping[datetime, tuple[Any, Any]]) -> None:
    lines = [f"{iso(at)},{number},{base},{tip}" for number, (at, (base, tip)) in enumerate(rows.items(), 1)]
    write_series(folder, "gas/ethereum", ("block", "base_fee_gwei", "priority_fee_gwei"), lines)


def write_states(folder: Path, series_id: str, columns: Sequence[str], rows: Mapping[datetime, Mapping[str, Any]]) -> None:
    """A series of what a contract held at a block; a row without one has its number in the series."""
    lines = []
    for number, (at, row) in enumerate(rows.items(), 1):
        texts = {"block": number, **row}
        lines.append(",".join([iso(at), *(str(texts[name]) for name in columns)]))
    write_series(folder, series_id, columns, lines)


def write_series(folder: Path, series_id: str, columns: Sequence[str], rows: Sequence[str]) -> None:
    """The file of a series; the columns without the timestamp."""
    path = folder / f"{series_id}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([",".join(("timestamp", *columns)), *rows]) + "\n", encoding="utf-8")


def provider(folder: Path, **options: Any) -> DataProvider:
    """The real data provider over a folder of these series."""
    return DataProvider(folder, mode="csv", **options)
