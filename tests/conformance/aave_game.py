"""A random player at an Aave table: amounts that are typical, tiny, or just around what the contract allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from basis_strategy_v1.venues.aave_account import account_data, balance_of, debt_of
from basis_strategy_v1.venues.aave_pool import ALL

from .aave_market import PRICES, RULES, USERS

if TYPE_CHECKING:
    from random import Random

    from .aave_table import Table

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


@dataclass(slots=True)
class Game:
    """What was played, and how often a kind of move was accepted or refused."""

    table: Table
    random: Random
    accepted: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)

    def play(self, moves: int) -> None:
        for number in range(moves):
            self.move("supply" if number < OPENING else self.random.choices(list(MOVES), list(MOVES.values()))[0])

    def move(self, kind: str) -> None:
        if kind == "liquidate":
            self._weaken()
        self.table.pass_time(self.random.choice(SPANS_S))
        user, token = self.random.choice(USERS), self.random.choice(list(RULES))
        counts = self.accepted if getattr(self, f"_{kind}")(user, token) else self.refused
        counts[kind] = counts.get(kind, 0) + 1

    def _amount(self, token: str, near: int) -> int:
        choices = (
            self.random.randrange(1, TYPICAL[token]),
            self.random.randrange(1, TYPICAL[token] * 3),
            self.random.randrange(0, 4),
            max(near + self.random.randrange(-1, 2), 0),
            max(near * self.random.randrange(1, 100) // 100, 0),
            near // 2,
        )
        return self.random.choice(choices)

    def _supply(self, user: str, token: str) -> bool:
        # Carla mostly has one collateral, often the isolated one.
        token = "ISO" if user == "carla" and self.random.random() < 0.7 else token
        return self.table.supply(user, token, self._amount(token, TYPICAL[token]))

    def _withdraw(self, user: str, token: str) -> bool:
        table = self.table
        token = self.random.choice([*table.users[user].supplied, token])
        amount = self._amount(token, balance_of(table.users[user], table.pool, token, table.now_s))
        return table.withdraw(user, token, ALL if self.random.random() < 0.3 else amount)

    def _borrow(self, user: str, token: str) -> bool:
        table = self.table
        free = account_data(table.users[user], table.pool, table.prices, table.now_s).available_borrows_base
        most = min(free * RULES[token].unit // table.prices[token], table.pool.reserves[token].available)
        return table.borrow(user, token, self._amount(token, most))

    def _repay(self, user: str, token: str) -> bool:
        table = self.table
        token = self.random.choice([*table.users[user].borrowed, token])
        amount = self._amount(token, debt_of(table.users[user], table.pool, token, table.now_s))
        return table.repay(user, token, ALL if self.random.random() < 0.3 else amount)

    def _collateral(self, user: str, token: str) -> bool:
        token = self.random.choice((token, "ISO", *self.table.users[user].supplied))
        return self.table.set_collateral(user, token, self.random.random() < 0.6)

    def _emode(self, user: str, token: str) -> bool:
        return self.table.set_emode(user, self.random.choice((0, 1, 2, 3)))

    def _flash(self, user: str, token: str) -> bool:
        return self.table.flash_loan(user, token, self._amount(token, self.table.pool.reserves[token].available))

    def _price(self, user: str, token: str) -> bool:
        name = self.random.choice(list(PRICES))
        return self.table.set_price(name, PRICES[name] * self.random.randrange(50, 150) // 100)

    def _health(self, user: str) -> int:
        return account_data(self.table.users[user], self.table.pool, self.table.prices, self.table.now_s).health_factor_wad

    def _weaken(self) -> None:
        """Raise the price of something owed until the weakest user's health is around 1: a healthy user is only a refusal."""
        user = min(USERS, key=self._health)
        if not self.table.users[user].borrowed:
            return
        name = self.random.choice(list(self.table.users[user].borrowed))
        health_percent = min(self._health(user) * 100 // 10**18, 2_000)
        self.table.set_price(name, max(self.table.prices[name] * health_percent * self.random.randrange(99, 125) // 10_000, 1))

    def _liquidate(self, user: str, token: str) -> bool:
        table = self.table
        user = min(USERS, key=self._health) if self.random.random() < 0.9 else user
        account = table.users[user]
        collateral = self.random.choice([*sorted(account.collateral), token])
        debt = self.random.choice([*account.borrowed, *account.borrowed, token])
        amount = self.random.choice((ALL, self._amount(debt, debt_of(account, table.pool, debt, table.now_s))))
        return table.liquidate(user, collateral, debt, amount)

    def _govern(self, user: str, token: str) -> bool:
        """Freeze a reserve or take its LTV; one at a time, and the next such move brings it back."""
        now = self.table.pool.rules
        changed = next((name for name in RULES if now[name] != RULES[name]), "")
        if changed:
            frozen = now[changed].frozen
            return self.table.freeze(changed, False) if frozen else self.table.set_ltv(changed, RULES[changed].ltv_bps)
        # SILO is no collateral: it has no LTV to take.
        freezing = token == "SILO" or self.random.random() < 0.5
        return self.table.freeze(token, True) if freezing else self.table.set_ltv(token, 0)
