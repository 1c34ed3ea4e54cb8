"""A random game on an Aave market, on the chain and in the model at once: both refuse the same moves and agree on every number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from basis_strategy_v1.venues import aave_pool
from basis_strategy_v1.venues.aave_account import Pool, UserAccount, account_data, balance_of, debt_of
from basis_strategy_v1.venues.aave_liquidation import liquidation_call
from basis_strategy_v1.venues.aave_pool import ALL
from basis_strategy_v1.venues.aave_reserve import Reserve

from .aave_deployment import PLENTY, VARIABLE, expected
from .aave_market import EMODES, PREMIUM_BPS, PREMIUM_TO_PROTOCOL_BPS, PRICES, RULES, USERS, Market
from .both_sides import both_accept

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from .chain import Read

DAY_S = 86_400
SPANS_S = (1, 12, 3_600, DAY_S, 7 * DAY_S, 60 * DAY_S)


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
    "liquidate": 5,
    "govern": 2,
}

Steps = tuple[str, "Callable[[], None]", "Callable[[], object]"]


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
        if kind == "liquidate":
            self._weaken()
        self._tick(self.random.choice(SPANS_S))
        user, token = self.random.choice(USERS), self.random.choice(list(RULES))
        label, model, chain = getattr(self, f"_{kind}")(user, token)
        counts = self.accepted if both_accept(f"{label} at {self.now_s}", model, chain) else self.refused
        counts[kind] = counts.get(kind, 0) + 1
        self.compare(label)

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

    def _supply(self, user: str, token: str) -> Steps:
        # Carla mostly has one collateral, often the isolated one.
        token = "ISO" if user == "carla" and self.random.random() < 0.7 else token
        amount, address = self._amount(token, TYPICAL[token]), self.market.addresses[user]
        return (
            f"{user} supplies {amount} {token}",
            lambda: self._take(user, token, aave_pool.supply(self.pool, self.users[user], token, amount, self.now_s), -1),
            self._send(user, "supply(address,uint256,address,uint16)", self._address(token), amount, address, 0),
        )

    def _withdraw(self, user: str, token: str) -> Steps:
        token = self.random.choice([*self.users[user].supplied, token])
        amount = self._amount(token, balance_of(self.users[user], self.pool, token, self.now_s))
        amount, address = (ALL if self.random.random() < 0.3 else amount), self.market.addresses[user]
        return (
            f"{user} withdraws {amount} {token}",
            lambda: self._take(user, token, aave_pool.withdraw(self.pool, self.users[user], token, amount, self.now_s, self.prices), 1),
            self._send(user, "withdraw(address,uint256,address)", self._address(token), amount, address),
        )

    def _borrow(self, user: str, token: str) -> Steps:
        amount, address = self._amount(token, self._most(user, token)), self.market.addresses[user]
        return (
            f"{user} borrows {amount} {token}",
            lambda: self._take(user, token, aave_pool.borrow(self.pool, self.users[user], token, amount, self.now_s, self.prices), 1),
            self._send(user, "borrow(address,uint256,uint256,uint16,address)", self._address(token), amount, VARIABLE, 0, address),
        )

    def _most(self, user: str, token: str) -> int:
        free = account_data(self.users[user], self.pool, self.prices, self.now_s).available_borrows_base
        return min(free * RULES[token].unit // self.prices[token], self.pool.reserves[token].available)

    def _repay(self, user: str, token: str) -> Steps:
        token = self.random.choice([*self.users[user].borrowed, token])
        amount = self._amount(token, debt_of(self.users[user], self.pool, token, self.now_s))
        amount, address = (ALL if self.random.random() < 0.3 else amount), self.market.addresses[user]
        return (
            f"{user} repays {amount} {token}",
            lambda: self._take(user, token, aave_pool.repay(self.pool, self.users[user], token, amount, self.now_s), -1),
            self._send(user, "repay(address,uint256,uint256,address)", self._address(token), amount, VARIABLE, address),
        )

    def _collateral(self, user: str, token: str) -> Steps:
        token, enabled = self.random.choice((token, "ISO", *self.users[user].supplied)), self.random.random() < 0.6

        def model() -> None:
            self.users[user] = aave_pool.set_collateral(self.pool, self.users[user], token, enabled, self.now_s, self.prices)

        chain = self._send(user, "setUserUseReserveAsCollateral(address,bool)", self._address(token), enabled)
        return f"{user} sets {token} as collateral: {enabled}", model, chain

    def _emode(self, user: str, token: str) -> Steps:
        category = self.random.choice((0, 1, 2, 3))

        def model() -> None:
            self.users[user] = aave_pool.set_emode(self.pool, self.users[user], category, self.now_s, self.prices)

        return f"{user} enters e-mode {category}", model, self._send(user, "setUserEMode(uint8)", category)

    def _flash(self, user: str, token: str) -> Steps:
        amount = self._amount(token, self.pool.reserves[token].available)

        def model() -> None:
            out, premium = aave_pool.take_flash_loan(self.pool, token, amount)
            self.pool = aave_pool.return_flash_loan(out, token, amount, premium, self.now_s)

        receiver = self.market.deployment.flash_receiver
        chain = self._send(user, "flashLoanSimple(address,address,uint256,bytes,uint16)", receiver, self._address(token), amount, b"", 0)
        return f"flash loan of {amount} {token}", model, chain

    def _price(self, user: str, token: str) -> Steps:
        name = self.random.choice(list(PRICES))
        price = PRICES[name] * self.random.randrange(50, 150) // 100

        def model() -> None:
            self.prices[name] = price

        return f"{name} costs {price}", model, lambda: self.market.deployment.set_price(name, price)

    def _weaken(self) -> None:
        """Raise the price of something owed until the weakest user's health is around 1: a healthy user is only a refusal."""
        user = min(USERS, key=self._health)
        if not self.users[user].borrowed:
            return
        name = self.random.choice(list(self.users[user].borrowed))
        health_percent = min(self._health(user) * 100 // 10**18, 2_000)
        self.prices[name] = max(self.prices[name] * health_percent * self.random.randrange(99, 125) // 10_000, 1)
        self._tick(1)
        self.market.deployment.set_price(name, self.prices[name])

    def _tick(self, span_s: int) -> None:
        self.now_s += span_s
        self.market.deployment.chain.set_next_timestamp(self.now_s)

    def _liquidate(self, user: str, token: str) -> Steps:
        user = min(USERS, key=self._health) if self.random.random() < 0.9 else user
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

    def _govern(self, user: str, token: str) -> Steps:
        """Freeze a reserve or take its LTV; one at a time, and the next such move brings it back."""
        now, deployment = self.pool.rules, self.market.deployment
        # SILO is no collateral: it has no terms to change.
        name = next((name for name in RULES if now[name] != RULES[name]), "WETH" if token == "SILO" else token)
        frozen = now[name].frozen or (now[name] == RULES[name] and self.random.random() < 0.5)
        after = (
            RULES[name] if now[name] != RULES[name] else replace(RULES[name], frozen=True) if frozen else replace(RULES[name], ltv_bps=0)
        )

        def model() -> None:
            self.pool = replace(self.pool, rules={**self.pool.rules, name: after})

        def chain() -> None:
            if frozen:
                deployment.freeze(name, after.frozen)
            else:
                deployment.set_collateral_terms(name, after)

        return f"{name} is frozen: {after.frozen}, LTV {after.ltv_bps} bps", model, chain


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
