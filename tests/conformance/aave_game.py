"""A random game on an Aave market, on the chain and in the model at once: both refuse the same moves and agree on every number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from basis_strategy_v1.venues import aave_pool
from basis_strategy_v1.venues.aave_account import EMode, Pool, UserAccount, account_data, balance_of, debt_of
from basis_strategy_v1.venues.aave_liquidation import liquidation_call
from basis_strategy_v1.venues.aave_pool import ALL
from basis_strategy_v1.venues.aave_reserve import Reserve, ReserveRules
from basis_strategy_v1.venues.reverted import Reverted

from .aave_deployment import PLENTY, VARIABLE, AaveDeployment, deploy_aave, expected
from .chain import TransactionReverted

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from .chain import Chain, Read

RAY = 10**27
USERS = ("anna", "boris", "carla")
DAY_S = 86_400
SPANS_S = (1, 12, 3_600, DAY_S, 7 * DAY_S, 60 * DAY_S)


def _rules(
    decimals: int, ltv: int, threshold: int, bonus: int, factor: int, optimal: int, slopes: tuple[int, int], **more: object
) -> ReserveRules:
    percent = RAY // 100
    return ReserveRules(
        decimals=decimals,
        ltv_bps=ltv,
        liquidation_threshold_bps=threshold,
        liquidation_bonus_bps=bonus,
        reserve_factor_bps=factor,
        optimal_usage_ray=optimal * percent,
        base_rate_ray=percent // 2 if decimals == 8 else 0,
        slope1_ray=slopes[0] * percent,
        slope2_ray=slopes[1] * percent,
        **more,  # type: ignore[arg-type]
    )


RULES = {
    "USDT": _rules(6, 7_500, 8_000, 450, 1_000, 90, (6, 75), borrowable_in_isolation=True, supply_cap=5_000_000, borrow_cap=1_500_000),
    "WETH": _rules(18, 8_050, 8_300, 500, 1_500, 80, (4, 80), liquidation_protocol_fee_bps=1_000),
    "wstETH": _rules(18, 7_850, 8_100, 600, 500, 45, (7, 300), liquidation_protocol_fee_bps=1_000),
    "WBTC": _rules(8, 7_300, 7_800, 700, 0, 45, (7, 300), supply_cap=100),
    "ISO": _rules(18, 5_000, 6_000, 1_000, 2_000, 45, (7, 300), debt_ceiling_cents=300_000_00),
    "SILO": _rules(2, 0, 0, 0, 3_500, 45, (9, 100), siloed=True),
}
STAKED = frozenset({"WETH", "wstETH"})
EMODES = {
    1: EMode(
        ltv_bps=9_300,
        liquidation_threshold_bps=9_500,
        liquidation_bonus_bps=100,
        collateral=STAKED,
        borrowable=STAKED,
        price_source="ETH-like",
    ),
    2: EMode(
        ltv_bps=9_000,
        liquidation_threshold_bps=9_300,
        liquidation_bonus_bps=200,
        collateral=frozenset({"USDT"}),
        borrowable=frozenset({"USDT"}),
    ),
}
PREMIUM_BPS, PREMIUM_TO_PROTOCOL_BPS = 9, 3_000
PRICES = {
    "USDT": 1_00000000,
    "WETH": 2_500_00000000,
    "wstETH": 2_900_12345678,
    "WBTC": 60_000_00000000,
    "ISO": 37_00000000,
    "SILO": 2_00000000,
    "ETH-like": 2_501_00000000,
}
TYPICAL = {
    "USDT": 10**12,
    "WETH": 400 * 10**18,
    "wstETH": 300 * 10**18,
    "WBTC": 20 * 10**8,
    "ISO": 20_000 * 10**18,
    "SILO": 500_000 * 10**2,
}
OPENING = 12
MOVES = {
    "supply": 6,
    "withdraw": 4,
    "borrow": 7,
    "repay": 5,
    "collateral": 2,
    "emode": 2,
    "flash": 2,
    "price": 3,
    "liquidate": 4,
    "freeze": 1,
}


@dataclass(slots=True)
class Market:
    """The deployed market with funded users and its first prices."""

    deployment: AaveDeployment
    addresses: dict[str, str]
    liquidator: str


def deploy_market(chain: Chain) -> Market:
    deployment = deploy_aave(chain, RULES, EMODES, PREMIUM_BPS, PREMIUM_TO_PROTOCOL_BPS)
    addresses = {user: chain.accounts[number + 1] for number, user in enumerate(USERS)}
    liquidator = chain.accounts[len(USERS) + 1]
    for account in (*addresses.values(), liquidator):
        deployment.fund(account)
    for name, price in PRICES.items():
        deployment.set_price(name, price)
    return Market(deployment, addresses, liquidator)


@dataclass(slots=True)
class Game:
    """The two sides of the game and what was played."""

    market: Market
    random: Random
    pool: Pool
    users: dict[str, UserAccount]
    wallets: dict[tuple[str, str], int]
    prices: dict[str, int]
    wanted: dict[str, Read]
    now_s: int
    compared: int = 0
    accepted: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)

    def play(self, moves: int) -> None:
        for number in range(moves):
            self.move("supply" if number < OPENING else self.random.choices(list(MOVES), list(MOVES.values()))[0])

    def move(self, kind: str) -> None:
        self.now_s += self.random.choice(SPANS_S)
        self.market.deployment.chain.set_next_timestamp(self.now_s)
        user, token = self.random.choice(USERS), self.random.choice(list(RULES))
        label, model, chain = getattr(self, f"_{kind}")(user, token)
        self._both(kind, f"{label} at {self.now_s}", model, chain)
        self.compare(label)

    def _both(self, kind: str, label: str, model: Callable[[], None], chain: Callable[[], object]) -> None:
        here = there = ""
        try:
            chain()
        except TransactionReverted as reverted:
            there = f"chain reverts: {reverted}"
        try:
            model()
        except Reverted as reverted:
            here = f"model refuses: {reverted}"
        assert bool(here) == bool(there), f"{label}: {here or 'model accepts'}; {there or 'chain accepts'}"
        counts = self.refused if here else self.accepted
        counts[kind] = counts.get(kind, 0) + 1

    def compare(self, label: str) -> None:
        seen = self.market.deployment.observe(self.wanted)
        believed = expected(self.pool, self.users, self.wallets, self.prices, self.now_s)
        different = {name: (believed[name], seen[name]) for name in seen if believed[name] != seen[name]}
        assert not different, f"after {label} (model, chain): {different}"
        self.compared += len(seen)

    def _send(self, user: str, signature: str, *args: object) -> Callable[[], object]:
        deployment = self.market.deployment
        return lambda: deployment.chain.send(deployment.pool, signature, args, sender=self.market.addresses[user])

    def _take(self, user: str, token: str, moved: aave_pool.Moved, sign: int) -> None:
        self.pool, self.users[user] = moved.pool, moved.user
        self.wallets[user, token] += sign * moved.amount

    def _amount(self, token: str, near: int) -> int:
        """An amount that is typical, tiny, or just around `near`, where the limits are."""
        typical = TYPICAL[token]
        choices = (
            self.random.randrange(1, typical),
            self.random.randrange(1, typical * 3),
            self.random.randrange(0, 4),
            max(near + self.random.randrange(-1, 2), 0),
            max(near * self.random.randrange(1, 100) // 100, 0),
            near // 2,
        )
        return self.random.choice(choices)

    def _address(self, token: str) -> str:
        return self.market.deployment.listings[token].token

    def _supply(self, user: str, token: str) -> tuple[str, Callable[[], None], Callable[[], object]]:
        amount, address = self._amount(token, TYPICAL[token]), self.market.addresses[user]
        return (
            f"{user} supplies {amount} {token}",
            lambda: self._take(user, token, aave_pool.supply(self.pool, self.users[user], token, amount, self.now_s), -1),
            self._send(user, "supply(address,uint256,address,uint16)", self._address(token), amount, address, 0),
        )

    def _withdraw(self, user: str, token: str) -> tuple[str, Callable[[], None], Callable[[], object]]:
        token = self.random.choice([*self.users[user].supplied, token])
        amount = self._amount(token, balance_of(self.users[user], self.pool, token, self.now_s))
        amount, address = (ALL if self.random.random() < 0.3 else amount), self.market.addresses[user]
        return (
            f"{user} withdraws {amount} {token}",
            lambda: self._take(user, token, aave_pool.withdraw(self.pool, self.users[user], token, amount, self.now_s, self.prices), 1),
            self._send(user, "withdraw(address,uint256,address)", self._address(token), amount, address),
        )

    def _borrow(self, user: str, token: str) -> tuple[str, Callable[[], None], Callable[[], object]]:
        amount, address = self._amount(token, self._most(user, token)), self.market.addresses[user]
        return (
            f"{user} borrows {amount} {token}",
            lambda: self._take(user, token, aave_pool.borrow(self.pool, self.users[user], token, amount, self.now_s, self.prices), 1),
            self._send(user, "borrow(address,uint256,uint256,uint16,address)", self._address(token), amount, VARIABLE, 0, address),
        )

    def _most(self, user: str, token: str) -> int:
        free = account_data(self.users[user], self.pool, self.prices, self.now_s).available_borrows_base
        return min(free * RULES[token].unit // self.prices[token], self.pool.reserves[token].available)

    def _repay(self, user: str, token: str) -> tuple[str, Callable[[], None], Callable[[], object]]:
        token = self.random.choice([*self.users[user].borrowed, token])
        amount = self._amount(token, debt_of(self.users[user], self.pool, token, self.now_s))
        amount, address = (ALL if self.random.random() < 0.3 else amount), self.market.addresses[user]
        return (
            f"{user} repays {amount} {token}",
            lambda: self._take(user, token, aave_pool.repay(self.pool, self.users[user], token, amount, self.now_s), -1),
            self._send(user, "repay(address,uint256,uint256,address)", self._address(token), amount, VARIABLE, address),
        )

    def _collateral(self, user: str, token: str) -> tuple[str, Callable[[], None], Callable[[], object]]:
        enabled = self.random.random() < 0.6

        def model() -> None:
            self.users[user] = aave_pool.set_collateral(self.pool, self.users[user], token, enabled, self.now_s, self.prices)

        chain = self._send(user, "setUserUseReserveAsCollateral(address,bool)", self._address(token), enabled)
        return f"{user} sets {token} as collateral: {enabled}", model, chain

    def _emode(self, user: str, token: str) -> tuple[str, Callable[[], None], Callable[[], object]]:
        category = self.random.choice((0, 1, 2, 3))

        def model() -> None:
            self.users[user] = aave_pool.set_emode(self.pool, self.users[user], category, self.now_s, self.prices)

        return f"{user} enters e-mode {category}", model, self._send(user, "setUserEMode(uint8)", category)

    def _flash(self, user: str, token: str) -> tuple[str, Callable[[], None], Callable[[], object]]:
        amount = self._amount(token, self.pool.reserves[token].available)

        def model() -> None:
            out, premium = aave_pool.take_flash_loan(self.pool, token, amount)
            self.pool = aave_pool.return_flash_loan(out, token, amount, premium, self.now_s)

        receiver = self.market.deployment.flash_receiver
        chain = self._send(user, "flashLoanSimple(address,address,uint256,bytes,uint16)", receiver, self._address(token), amount, b"", 0)
        return f"flash loan of {amount} {token}", model, chain

    def _price(self, user: str, token: str) -> tuple[str, Callable[[], None], Callable[[], object]]:
        name = self.random.choice(list(PRICES))
        price = PRICES[name] * self.random.randrange(50, 150) // 100

        def model() -> None:
            self.prices[name] = price

        return f"{name} costs {price}", model, lambda: self.market.deployment.set_price(name, price)

    def _liquidate(self, user: str, token: str) -> tuple[str, Callable[[], None], Callable[[], object]]:
        # Mostly the weakest user: a healthy one is only a refusal.
        user = min(USERS, key=self._health) if self.random.random() < 0.8 else user
        account = self.users[user]
        collateral = self.random.choice([*sorted(account.collateral), token])
        debt = self.random.choice([*account.borrowed, *account.borrowed, token])
        amount = self.random.choice((ALL, self._amount(debt, debt_of(account, self.pool, debt, self.now_s))))

        def model() -> None:
            done = liquidation_call(self.pool, self.users[user], collateral, debt, amount, self.now_s, self.prices)
            self.pool, self.users[user] = done.pool, done.user

        deployment = self.market.deployment
        args = (self._address(collateral), self._address(debt), self.market.addresses[user], amount, False)
        signature = "liquidationCall(address,address,address,uint256,bool)"
        label = f"{user}'s {debt} is liquidated for {amount} against {collateral}"
        return label, model, lambda: deployment.chain.send(deployment.pool, signature, args, sender=self.market.liquidator)

    def _health(self, user: str) -> int:
        return account_data(self.users[user], self.pool, self.prices, self.now_s).health_factor_wad

    def _freeze(self, user: str, token: str) -> tuple[str, Callable[[], None], Callable[[], object]]:
        token = next((name for name, rules in self.pool.rules.items() if rules.frozen), token)
        frozen, deployment = not self.pool.rules[token].frozen, self.market.deployment

        def model() -> None:
            self.pool = replace(self.pool, rules={**self.pool.rules, token: replace(self.pool.rules[token], frozen=frozen)})

        args = (self._address(token), frozen)
        label = f"{token} is frozen: {frozen}"
        return label, model, lambda: deployment.chain.send(deployment.configurator, "setReserveFreeze(address,bool)", args)


def new_game(market: Market, random: Random) -> Game:
    """A game from the empty market, with the chain's clock."""
    pool = Pool(
        revision="3.0",
        rules=RULES,
        reserves={name: Reserve() for name in RULES},
        emodes=EMODES,
        flash_premium_bps=PREMIUM_BPS,
        flash_premium_to_protocol_bps=PREMIUM_TO_PROTOCOL_BPS,
    )
    users = {user: UserAccount() for user in USERS}
    wallets = {(user, name): PLENTY for user in USERS for name in RULES}
    wanted = market.deployment.reads(market.addresses)
    return Game(market, random, pool, users, wallets, dict(PRICES), wanted, market.deployment.chain.timestamp())
