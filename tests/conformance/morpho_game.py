"""A random game on a Morpho market, on the chain and in the model at once: both refuse the same moves and agree on every number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from basis_strategy_v1.venues import morpho_market
from basis_strategy_v1.venues.morpho_market import Market, Position

from .both_sides import both_accept
from .morpho_deployment import PARAMS, PLENTY, MorphoDeployment, deploy_morpho, expected

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from .chain import Chain, Read

USERS = ("anna", "boris", "carla")
LLTV_WAD = 86 * 10**16
FEE_WAD = 10**17
# 2,500 loan tokens of 6 decimals for one collateral token of 18.
PRICE = 2_500 * 10**36 * 10**6 // 10**18
DAY_S = 86_400
# Longer pauses drive the rate to one of its bounds, where its formula no longer shows.
SPANS_S = (1, 12, 3_600, DAY_S, 3 * DAY_S)
TYPICAL_LOAN, TYPICAL_COLLATERAL = 10**12, 500 * 10**18
OPENING = 8
MOVES = {
    "supply": 5,
    "withdraw": 4,
    "supply_collateral": 5,
    "withdraw_collateral": 3,
    "borrow": 7,
    "repay": 4,
    "price": 2,
    "liquidate": 3,
    "flash": 1,
}

Steps = tuple[str, "Callable[[], None]", "Callable[[], object]"]


@dataclass(slots=True)
class Game:
    """The two sides of the game and what was played."""

    deployment: MorphoDeployment
    addresses: dict[str, str]
    liquidator: str
    random: Random
    market: Market
    positions: dict[str, Position]
    wallets: dict[str, tuple[int, int]]
    price: int
    wanted: dict[str, Read]
    now_s: int
    compared: int = 0
    accepted: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)

    def play(self, moves: int) -> None:
        opening = ("supply", "supply_collateral")
        for number in range(moves):
            self.move(opening[number % 2] if number < OPENING else self.random.choices(list(MOVES), list(MOVES.values()))[0])

    def move(self, kind: str) -> None:
        self.now_s += self.random.choice(SPANS_S)
        self.deployment.chain.set_next_timestamp(self.now_s)
        label, model, chain = getattr(self, f"_{kind}")(self.random.choice(USERS))
        counts = self.accepted if both_accept(f"{label} at {self.now_s}", model, chain) else self.refused
        counts[kind] = counts.get(kind, 0) + 1
        seen = dict(zip(self.wanted, self.deployment.chain.read(list(self.wanted.values())), strict=True))
        believed = expected(self.market, self.positions, self.wallets)
        different = {name: (believed[name], seen[name]) for name in seen if believed[name] != seen[name]}
        assert not different, f"after {label} (model, chain): {different}"
        self.compared += len(seen)

    def _send(self, user: str, signature: str, *args: object) -> Callable[[], object]:
        call = signature.replace("(", f"({PARAMS},", 1)
        return lambda: self.deployment.chain.send(
            self.deployment.morpho, call, (self.deployment.params, *args), sender=self.addresses[user]
        )

    def _take(self, user: str, moved: morpho_market.SimulationResult, loan: int, collateral: int) -> None:
        self.market, self.positions[user] = moved.market, moved.position
        held = self.wallets[user]
        self.wallets[user] = held[0] + loan * moved.assets, held[1] + collateral * moved.assets

    def _amount(self, typical: int, near: int) -> int:
        """An amount that is typical, tiny, or just around `near`, where the limits are."""
        choices = (
            self.random.randrange(1, typical),
            self.random.randrange(0, 4),
            max(near + self.random.randrange(-1, 2), 0),
            max(near * self.random.randrange(1, 100) // 100, 0),
        )
        return self.random.choice(choices)

    def _assets_or_shares(self, near_assets: int, near_shares: int) -> tuple[int, int]:
        if self.random.random() < 0.5:
            return self._amount(TYPICAL_LOAN, near_assets), 0
        return 0, self._amount(max(near_shares, 2) * 2, near_shares)

    def _supply(self, user: str) -> Steps:
        assets, shares = self._assets_or_shares(TYPICAL_LOAN, self.market.total_supply_shares)
        return (
            f"{user} supplies {assets} or {shares} shares",
            lambda: self._take(
                user, morpho_market.supply(self.market, self.positions[user], self.now_s, assets=assets, shares=shares), -1, 0
            ),
            self._send(user, "supply(uint256,uint256,address,bytes)", assets, shares, self.addresses[user], b""),
        )

    def _withdraw(self, user: str) -> Steps:
        position = self.positions[user]
        assets, shares = self._assets_or_shares(morpho_market.supplied_of(self.market, position), position.supply_shares)
        address = self.addresses[user]
        return (
            f"{user} withdraws {assets} or {shares} shares",
            lambda: self._take(
                user, morpho_market.withdraw(self.market, self.positions[user], self.now_s, assets=assets, shares=shares), 1, 0
            ),
            self._send(user, "withdraw(uint256,uint256,address,address)", assets, shares, address, address),
        )

    def _borrow(self, user: str) -> Steps:
        position, address = self.positions[user], self.addresses[user]
        accrued = morpho_market.accrue(self.market, self.now_s)
        free = max(morpho_market.most_debt(accrued, position, self.price) - morpho_market.debt_of(accrued, position), 0)
        free = min(free, accrued.total_supply_assets - accrued.total_borrow_assets)
        shares_free = morpho_market.shares_down(free, accrued.total_borrow_assets, accrued.total_borrow_shares)
        assets, shares = self._assets_or_shares(free, shares_free)

        def model() -> None:
            moved = morpho_market.borrow(self.market, position, self.now_s, self.price, assets=assets, shares=shares)
            self._take(user, moved, 1, 0)

        chain = self._send(user, "borrow(uint256,uint256,address,address)", assets, shares, address, address)
        return f"{user} borrows {assets} or {shares} shares", model, chain

    def _repay(self, user: str) -> Steps:
        position = self.positions[user]
        assets, shares = self._assets_or_shares(morpho_market.debt_of(self.market, position), position.borrow_shares)
        return (
            f"{user} repays {assets} or {shares} shares",
            lambda: self._take(
                user, morpho_market.repay(self.market, self.positions[user], self.now_s, assets=assets, shares=shares), -1, 0
            ),
            self._send(user, "repay(uint256,uint256,address,bytes)", assets, shares, self.addresses[user], b""),
        )

    def _supply_collateral(self, user: str) -> Steps:
        amount = self._amount(TYPICAL_COLLATERAL, TYPICAL_COLLATERAL)
        return (
            f"{user} supplies {amount} as collateral",
            lambda: self._take(user, morpho_market.supply_collateral(self.market, self.positions[user], amount), 0, -1),
            self._send(user, "supplyCollateral(uint256,address,bytes)", amount, self.addresses[user], b""),
        )

    def _withdraw_collateral(self, user: str) -> Steps:
        position, address = self.positions[user], self.addresses[user]
        amount = self._amount(TYPICAL_COLLATERAL, position.collateral)

        def model() -> None:
            self._take(user, morpho_market.withdraw_collateral(self.market, position, self.now_s, self.price, amount), 0, 1)

        chain = self._send(user, "withdrawCollateral(uint256,address,address)", amount, address, address)
        return f"{user} withdraws {amount} of collateral", model, chain

    def _price(self, user: str) -> Steps:
        price = PRICE * self.random.randrange(60, 130) // 100

        def model() -> None:
            self.price = price

        return f"the price is {price}", model, lambda: self.deployment.set_price(price)

    def _liquidate(self, user: str) -> Steps:
        user = min(USERS, key=lambda one: morpho_market.health_factor_wad(self.market, self.positions[one], self.price))
        position = self.positions[user]
        seized, shares = self._amount(TYPICAL_COLLATERAL, position.collateral), self._amount(10**6, position.borrow_shares)
        seized, shares = self.random.choice(((seized, 0), (0, shares), (0, shares)))

        def model() -> None:
            done = morpho_market.liquidate(self.market, position, self.now_s, self.price, seized=seized, shares=shares)
            self.market, self.positions[user] = done.market, done.position

        call = f"liquidate({PARAMS},address,uint256,uint256,bytes)"
        args = (self.deployment.params, self.addresses[user], seized, shares, b"")
        label = f"{user} is liquidated for {seized} collateral or {shares} shares"
        return label, model, lambda: self.deployment.chain.send(self.deployment.morpho, call, args, sender=self.liquidator)

    def _flash(self, user: str) -> Steps:
        chain, token = self.deployment.chain, self.deployment.loan_token
        held = chain.call(token, "balanceOf(address)(uint256)", (self.deployment.morpho,))
        amount = self._amount(TYPICAL_LOAN, held)
        data = bytes.fromhex(token[2:].rjust(64, "0"))
        args = (token, amount, data)
        return (
            f"flash loan of {amount}",
            lambda: morpho_market.flash_loan(amount, held),
            lambda: chain.send(self.deployment.flash_borrower, "flashLoan(address,uint256,bytes)", args),
        )


def deploy_market(chain: Chain) -> MorphoDeployment:
    """The market, with its users and a liquidator funded."""
    deployment = deploy_morpho(chain, LLTV_WAD, FEE_WAD, PRICE)
    for number in range(1, len(USERS) + 2):
        deployment.fund(chain.accounts[number])
    return deployment


def new_game(deployment: MorphoDeployment, random: Random) -> Game:
    chain = deployment.chain
    addresses = {user: chain.accounts[number + 1] for number, user in enumerate(USERS)}
    totals = chain.call(deployment.morpho, "market(bytes32)(uint128,uint128,uint128,uint128,uint128,uint128)", (deployment.market_id,))
    target = chain.call(deployment.irm, "rateAtTarget(bytes32)(int256)", (deployment.market_id,))
    market = Market(lltv_wad=LLTV_WAD, last_update_s=totals[4], fee_wad=FEE_WAD, rate_at_target_wad=target)
    positions = {user: Position() for user in USERS}
    wallets = {user: (PLENTY, PLENTY) for user in USERS}
    liquidator = chain.accounts[len(USERS) + 1]
    wanted = deployment.reads(addresses)
    return Game(deployment, addresses, liquidator, random, market, positions, wallets, PRICE, wanted, chain.timestamp())
