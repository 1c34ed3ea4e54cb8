"""The blocks of `pool_world` computed a second time, hour by hour, from the contracts' models and the prices alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from basis_strategy_v1.venues import curve_pool, morpho_market, uniswap_pool
from basis_strategy_v1.venues.morpho_market import Market, Position

from .pool_world import BLOCKS, CURVE, DOLLARS, GAS_GWEI, HELD, MORPHO, PRICES, RATES, STAKED, START, UNISWAP
from .running import HOUR
from .test_a_year_of_basis import SOURCES

D = Decimal
DECIMALS = {"USDC": 6}
GAS = {"uniswap": 125_000, "curve": 180_000, "stake": 78_000, "supply": 110_000, "withdraw": 120_000, "borrow": 170_000,
       "repay": 120_000, "supply_collateral": 75_000, "withdraw_collateral": 130_000, "flash_loan": 60_000}  # fmt: skip
Moves = dict[tuple[str, str], Decimal]


def last(rows: dict[datetime, Any], at: datetime) -> datetime:
    return max(known for known in rows if known <= at)


def usd(token: str, at: datetime) -> Decimal:
    price = PRICES[last(PRICES, at)]
    return {"USDC": D(1), "wstETH": price * RATES[last(RATES, at)]}.get(token, price)


def units_of(token: str, amount: Any) -> int:
    return int(D(amount).scaleb(DECIMALS.get(token, 18)))


def amount_of(token: str, units: int) -> Decimal:
    return D(units).scaleb(-DECIMALS.get(token, 18))


@dataclass
class Second:
    """The second computation: balances in base units, the contracts as they were last left, and the sources of the profit."""

    units: dict[str, int] = field(default_factory=lambda: {token: units_of(token, amount) for token, amount in HELD.items()})
    pools: dict[str, tuple[datetime, Any]] = field(default_factory=dict)
    markets: dict[str, tuple[datetime, Market]] = field(default_factory=dict)
    own: dict[str, Position] = field(default_factory=lambda: dict.fromkeys((STAKED, DOLLARS), Position()))
    read: dict[str, int] = field(default_factory=dict)
    sources: dict[str, Decimal] = field(default_factory=lambda: dict.fromkeys(SOURCES, D(0)))
    at: datetime = START

    # Time.

    def pass_time(self, at: datetime) -> None:
        """Interest and the growth of what is staked since the last instant, at this one's prices."""
        grown = RATES[last(RATES, at)] - RATES[last(RATES, self.at)]
        held = amount_of("wstETH", self.units["wstETH"] + sum(own.collateral for own in self.own.values()))
        self.sources["staking"] += held * grown * usd("WETH", at)
        self.at = at
        now = self.readings()
        for token, units in now.items():
            name, side = token.split(":")[1:]
            loan = name.split("/")[1]
            change = amount_of(loan, units - self.read.get(token, 0)) * usd(loan, at)
            if side == "debt":
                self.sources["borrow_interest"] -= change
            elif side == "supply":
                self.sources["supply_interest"] += change
        self.read = now

    def market(self, name: str) -> Market:
        """The market now: its last row with our shares in it at their price, and interest since it was last touched."""
        rows = MORPHO[name]
        stamp, own = last(rows, self.at), self.own[name]
        known, left = self.markets.get(name, (None, None))
        if known != stamp:
            row = rows[stamp].market
            left = msgspec.structs.replace(
                row,
                total_supply_assets=row.total_supply_assets + morpho_market.supplied_of(row, own),
                total_supply_shares=row.total_supply_shares + own.supply_shares,
                total_borrow_assets=row.total_borrow_assets + morpho_market.debt_of(row, own),
                total_borrow_shares=row.total_borrow_shares + own.borrow_shares,
            )
            self.markets[name] = stamp, left
        assert left is not None
        return morpho_market.accrue(left, int(self.at.timestamp()))

    def readings(self) -> dict[str, int]:
        """The balances at Morpho, as they read, base units by token."""
        found = {}
        for name, own in self.own.items():
            if own != Position():
                market = self.market(name)
                found[f"morpho:{name}:supply"] = morpho_market.supplied_of(market, own)
                found[f"morpho:{name}:debt"] = morpho_market.debt_of(market, own)
                found[f"morpho:{name}:collateral"] = own.collateral
        return found

    # Blocks.

    def do(self, block: dict[str, Any]) -> Moves:
        """What a block moves, as its deltas have it."""
        steps = block.get("sub_instructions") if block.get("atomic") else [block]
        gas = [21_000]
        moves = self._steps(steps or [], gas)
        eth = D(sum(gas) * GAS_GWEI).scaleb(-9)
        self.units["ETH"] -= units_of("ETH", eth)
        self.sources["gas"] -= eth * usd("ETH", self.at)
        return added(moves, {("wallet", "ETH"): -eth})

    def _steps(self, steps: list[dict[str, Any]], gas: list[int]) -> Moves:
        total: Moves = {}
        outputs: list[Moves] = []
        for step in steps:
            gas.append(GAS.get(step["action"]) or GAS[step["protocol"]])
            if step["action"] == "flash_loan":
                borrowed = units_of(step["token"], step["amount"])
                self.units[step["token"]] += borrowed
                moves = self._steps(step["sub_instructions"], gas)
                self.units[step["token"]] -= borrowed
            else:
                moves = self._step(step, self._amount(step, outputs))
            outputs.append(moves)
            total = added(total, moves)
        return total

    def _amount(self, step: dict[str, Any], outputs: list[Moves]) -> int:
        given, token = step["amount"], step["token"]
        if isinstance(given, dict):
            paid = sum((amount for (_, name), amount in outputs[given["output_of"]].items() if name == token), D(0))
            return units_of(token, paid * D(given.get("fraction", "1")))
        if given == "all":
            return self.readings()[f"morpho:{step['market']}:{'debt' if step['action'] == 'repay' else 'supply'}"]
        return units_of(token, given)

    def _step(self, step: dict[str, Any], units: int) -> Moves:
        if step["protocol"] == "morpho":
            return self._at_morpho(step, units)
        token, out = step["token"], step["token_out"]
        if step["protocol"] == "lido":
            received, fee = units * 10**18 // int(RATES[last(RATES, self.at)] * 10**18), D(0)
        else:
            received, fee = self._at_uniswap(token, units) if step["protocol"] == "uniswap" else self._at_curve(token, units)
        self.units[token] -= units
        self.units[out] += received
        paid, got = amount_of(token, units), amount_of(out, received)
        self.sources["fees"] -= fee * usd(token, self.at)
        lost = (paid - fee) * usd(token, self.at) - got * usd(out, self.at)
        self.sources["staking" if step["protocol"] == "lido" else "slippage"] -= lost
        return {(step["protocol"], token): -paid, (step["protocol"], out): got}

    def _pool(self, name: str, rows: dict[datetime, Any]) -> Any:
        stamp = last(rows, self.at)
        known, left = self.pools.get(name, (None, None))
        return left if known == stamp else rows[stamp]

    def _at_uniswap(self, token: str, units: int) -> tuple[int, Decimal]:
        traded = uniswap_pool.exact_input_single(self._pool("uniswap", UNISWAP), token == "USDC", units)
        self.pools["uniswap"] = last(UNISWAP, self.at), traded.pool
        assert traded.paid == units
        return traded.received, amount_of(token, units) * 500 / 10**6

    def _at_curve(self, token: str, units: int) -> tuple[int, Decimal]:
        pool, places = self._pool("curve", CURVE), (0, 1) if token == "wstETH" else (1, 0)
        after, received = curve_pool.exchange(pool, *places, units)
        free = curve_pool.exchange(msgspec.structs.replace(pool, fee=0), *places, units).received
        self.pools["curve"] = last(CURVE, self.at), after
        return received, amount_of(token, units) * (free - received) / free

    def _at_morpho(self, step: dict[str, Any], units: int) -> Moves:
        name, action, token = step["market"], step["action"], step["token"]
        market, own, now_s, price = (
            self.market(name),
            self.own[name],
            int(self.at.timestamp()),
            MORPHO[name][last(MORPHO[name], self.at)].price,
        )
        before = self.readings()
        all_shares = {"repay": own.borrow_shares, "withdraw": own.supply_shares}.get(action, 0)
        by = {"shares": all_shares} if step["amount"] == "all" else {"assets": units}
        act: dict[str, Callable[[], morpho_market.SimulationResult]] = {
            "supply": lambda: morpho_market.supply(market, own, now_s, **by),
            "withdraw": lambda: morpho_market.withdraw(market, own, now_s, **by),
            "borrow": lambda: morpho_market.borrow(market, own, now_s, price, **by),
            "repay": lambda: morpho_market.repay(market, own, now_s, **by),
            "supply_collateral": lambda: morpho_market.supply_collateral(market, own, units),
            "withdraw_collateral": lambda: morpho_market.withdraw_collateral(market, own, now_s, price, units),
        }
        done = act[action]()
        assert done.assets == units
        self.markets[name], self.own[name] = (last(MORPHO[name], self.at), done.market), done.position
        signed = units if action in ("withdraw", "borrow", "withdraw_collateral") else -units
        self.units[token] += signed
        self.read = self.readings()
        kept = {held: self.read.get(held, 0) - before.get(held, 0) for held in {**before, **self.read} if name in held}
        if "collateral" not in action:
            side, source = (-1, "borrow_interest") if action in ("borrow", "repay") else (1, "supply_interest")
            held = kept[f"morpho:{name}:{'debt' if side < 0 else 'supply'}"]
            self.sources[source] += amount_of(token, signed + side * held) * usd(token, self.at)
        return {("morpho", token): amount_of(token, signed)} | {
            ("morpho", held): amount_of("wstETH" if held.endswith("collateral") else name.split("/")[1], change)
            for held, change in kept.items() if change
        }  # fmt: skip

    def positions(self) -> dict[str, Decimal]:
        found = {f"wallet {token}": amount_of(token, units) for token, units in self.units.items() if units}
        for held, units in self.readings().items():
            if units:
                found[f"morpho {held}"] = amount_of("wstETH" if held.endswith("collateral") else held.split(":")[1].split("/")[1], units)
        return found

    def worth(self) -> Decimal:
        """USD that all of it is worth now."""
        total = sum((amount_of(token, units) * usd(token, self.at) for token, units in self.units.items()), D(0))
        for held, units in self.readings().items():
            token = "wstETH" if held.endswith("collateral") else held.split(":")[1].split("/")[1]
            total += amount_of(token, -units if held.endswith("debt") else units) * usd(token, self.at)
        return total


def added(one: Moves, other: Moves) -> Moves:
    found = {key: one.get(key, D(0)) + other.get(key, D(0)) for key in {**one, **other}}
    return {key: amount for key, amount in found.items() if amount}


def computed() -> tuple[Second, list[Moves], dict[datetime, Decimal], Decimal]:
    second, deltas, worth = Second(), [], {}
    begun = second.worth()
    steps = {START + hour * HOUR for hour in range(73)}
    rows = {at for rows in MORPHO.values() for at in rows if at >= START}
    for at in sorted(steps | rows | {at for at, _ in BLOCKS}):
        second.pass_time(at)
        deltas += [second.do(block) for when, block in BLOCKS if when == at]
        worth[at] = second.worth()
    return second, deltas, worth, begun
