"""Moves on an Aave market made on the chain and in the model at once; every number is compared after each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from basis_strategy_v1.venues import aave_pool
from basis_strategy_v1.venues.aave_account import Pool, UserAccount
from basis_strategy_v1.venues.aave_liquidation import liquidation_call
from basis_strategy_v1.venues.aave_reserve import Reserve, ReserveRules

from .aave_deployment import PLENTY, VARIABLE, expected
from .aave_market import EMODES, PREMIUM_BPS, PREMIUM_TO_PROTOCOL_BPS, PRICES, RULES, USERS, Market
from .both_sides import both_accept

if TYPE_CHECKING:
    from collections.abc import Callable

    from .chain import Read


@dataclass(slots=True)
class Table:
    """Both sides of a market. A move returns whether it was accepted (by both: else it fails) and leaves all numbers equal."""

    market: Market
    pool: Pool
    users: dict[str, UserAccount]
    wallets: dict[tuple[str, str], int]
    prices: dict[str, int]
    wanted: dict[str, Read]
    now_s: int
    compared: int = 0
    ticked: bool = False

    def pass_time(self, span_s: int) -> None:
        """The next move happens `span_s` seconds later; without it, one second later."""
        self.now_s += span_s
        self.market.deployment.chain.set_next_timestamp(self.now_s)
        self.ticked = True

    def supply(self, user: str, token: str, amount: int) -> bool:
        call = ("supply(address,uint256,address,uint16)", self._address(token), amount, self.market.addresses[user], 0)
        return self._move(
            f"{user} supplies {amount} {token}",
            lambda: self._take(user, token, aave_pool.supply(self.pool, self.users[user], token, amount, self.now_s), -1),
            self._send(user, *call),
        )

    def withdraw(self, user: str, token: str, amount: int) -> bool:
        return self._move(
            f"{user} withdraws {amount} {token}",
            lambda: self._take(user, token, aave_pool.withdraw(self.pool, self.users[user], token, amount, self.now_s, self.prices), 1),
            self._send(user, "withdraw(address,uint256,address)", self._address(token), amount, self.market.addresses[user]),
        )

    def borrow(self, user: str, token: str, amount: int) -> bool:
        call = ("borrow(address,uint256,uint256,uint16,address)", self._address(token), amount, VARIABLE, 0, self.market.addresses[user])
        return self._move(
            f"{user} borrows {amount} {token}",
            lambda: self._take(user, token, aave_pool.borrow(self.pool, self.users[user], token, amount, self.now_s, self.prices), 1),
            self._send(user, *call),
        )

    def repay(self, user: str, token: str, amount: int) -> bool:
        return self._move(
            f"{user} repays {amount} {token}",
            lambda: self._take(user, token, aave_pool.repay(self.pool, self.users[user], token, amount, self.now_s), -1),
            self._send(user, "repay(address,uint256,uint256,address)", self._address(token), amount, VARIABLE, self.market.addresses[user]),
        )

    def set_collateral(self, user: str, token: str, enabled: bool) -> bool:
        def model() -> None:
            self.users[user] = aave_pool.set_collateral(self.pool, self.users[user], token, enabled, self.now_s, self.prices)

        chain = self._send(user, "setUserUseReserveAsCollateral(address,bool)", self._address(token), enabled)
        return self._move(f"{user} sets {token} as collateral: {enabled}", model, chain)

    def set_emode(self, user: str, category: int) -> bool:
        def model() -> None:
            self.users[user] = aave_pool.set_emode(self.pool, self.users[user], category, self.now_s, self.prices)

        return self._move(f"{user} enters e-mode {category}", model, self._send(user, "setUserEMode(uint8)", category))

    def flash_loan(self, user: str, token: str, amount: int) -> bool:
        def model() -> None:
            out, premium = aave_pool.take_flash_loan(self.pool, token, amount, self.now_s)
            self.pool = aave_pool.return_flash_loan(out, token, amount, premium, self.now_s)

        receiver = self.market.deployment.flash_receiver
        chain = self._send(user, "flashLoanSimple(address,address,uint256,bytes,uint16)", receiver, self._address(token), amount, b"", 0)
        return self._move(f"flash loan of {amount} {token}", model, chain)

    def liquidate(self, user: str, collateral: str, debt: str, amount: int) -> bool:
        def model() -> None:
            done = liquidation_call(self.pool, self.users[user], collateral, debt, amount, self.now_s, self.prices)
            self.pool, self.users[user] = done.pool, done.user

        deployment = self.market.deployment
        args = (self._address(collateral), self._address(debt), self.market.addresses[user], amount, False)
        call = "liquidationCall(address,address,address,uint256,bool)"
        label = f"{user}'s {debt} is liquidated for {amount} against {collateral}"
        return self._move(label, model, lambda: deployment.chain.send(deployment.pool, call, args, sender=self.market.liquidator))

    def set_price(self, name: str, price: int) -> bool:
        """The oracle's price of a token or of an e-mode's price source."""

        def model() -> None:
            self.prices[name] = price

        return self._move(f"{name} costs {price}", model, lambda: self.market.deployment.set_price(name, price))

    def freeze(self, token: str, frozen: bool) -> bool:
        rules = replace(self.pool.rules[token], frozen=frozen)
        return self._move(f"{token} is frozen: {frozen}", self._rule(token, rules), lambda: self.market.deployment.freeze(token, frozen))

    def set_ltv(self, token: str, ltv_bps: int) -> bool:
        rules, deployment = replace(self.pool.rules[token], ltv_bps=ltv_bps), self.market.deployment
        label = f"{token} gets an LTV of {ltv_bps} bps"
        return self._move(label, self._rule(token, rules), lambda: deployment.set_collateral_terms(token, rules))

    def compare(self, label: str) -> None:
        seen = self.market.deployment.update_to(self.wanted)
        believed = expected(self.pool, self.users, self.wallets, self.prices, self.now_s)
        different = {name: (believed[name], seen[name]) for name in seen if believed[name] != seen[name]}
        assert not different, f"after {label} (model, chain): {different}"
        self.compared += len(seen)

    def _move(self, label: str, model: Callable[[], None], chain: Callable[[], object]) -> bool:
        if not self.ticked:
            self.pass_time(1)
        accepted = both_accept(f"{label} at {self.now_s}", model, chain)
        self.ticked = False
        self.compare(label)
        return accepted

    def _rule(self, token: str, rules: ReserveRules) -> Callable[[], None]:
        def model() -> None:
            self.pool = replace(self.pool, rules={**self.pool.rules, token: rules})

        return model

    def _send(self, user: str, signature: str, *args: object) -> Callable[[], object]:
        deployment = self.market.deployment
        return lambda: deployment.chain.send(deployment.pool, signature, args, sender=self.market.addresses[user])

    def _take(self, user: str, token: str, moved: aave_pool.SimulationResult, sign: int) -> None:
        self.pool, self.users[user] = moved.pool, moved.user
        self.wallets[user, token] += sign * moved.amount

    def _address(self, token: str) -> str:
        return self.market.deployment.listings[token].token


def new_table(market: Market) -> Table:
    """Both sides of the empty market, at the chain's time."""
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
    return Table(market, pool, users, wallets, dict(PRICES), wanted, market.deployment.chain.timestamp())
