"""The model of Aave 3.7 against our own contract of its published arithmetic: the code of 3.7 is in no package registry."""

from __future__ import annotations

import os
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import pytest

from basis_strategy_v1.venues import aave_pool
from basis_strategy_v1.venues.aave_account import Pool, UserAccount, account_data, balance_of, debt_of
from basis_strategy_v1.venues.aave_interest import compounded_interest, linear_interest
from basis_strategy_v1.venues.aave_liquidation import liquidation_call
from basis_strategy_v1.venues.aave_pool import ALL
from basis_strategy_v1.venues.aave_reserve import Reserve, ReserveRules
from basis_strategy_v1.venues.reverted import Reverted

from .chain import TransactionReverted, compiled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .chain import Chain

pytestmark = pytest.mark.chain
RAY = 10**27
USERS = ("anna", "boris")
RULES = ReserveRules(
    decimals=6,
    ltv_bps=0,
    liquidation_threshold_bps=0,
    liquidation_bonus_bps=0,
    reserve_factor_bps=1_000,
    optimal_usage_ray=RAY * 80 // 100,
    base_rate_ray=RAY // 200,
    slope1_ray=RAY * 5 // 100,
    slope2_ray=RAY * 60 // 100,
)
GOLD = ReserveRules(
    decimals=18,
    ltv_bps=8_000,
    liquidation_threshold_bps=8_500,
    liquidation_bonus_bps=550,
    reserve_factor_bps=0,
    optimal_usage_ray=RAY // 2,
    base_rate_ray=0,
    slope1_ray=0,
    slope2_ray=0,
    liquidation_protocol_fee_bps=1_250,
)
PREMIUM_BPS = 5
PRICES = {"USDC": 1_00012345, "GOLD": 2_345_67891234}
STATE = ("liquidityIndex", "borrowIndex", "liquidityRate", "borrowRate", "updatedAt", "scaledSupply", "scaledDebt", "cash", "treasury")


@pytest.fixture
def contract(chain: Chain) -> Iterator[str]:
    before = chain.snapshot()
    curve = (RULES.optimal_usage_ray, RULES.base_rate_ray, RULES.slope1_ray, RULES.slope2_ray, RULES.reserve_factor_bps, PREMIUM_BPS)
    yield chain.deploy(compiled("ReserveMath37.sol", "ReserveMath37"), (curve,))
    chain.revert(before)


@dataclass(slots=True)
class Game:
    """One reserve in the model and in the contract; what the users own of another token lets them borrow all there is."""

    chain: Chain
    contract: str
    random: Random
    pool: Pool
    users: dict[str, UserAccount]
    now_s: int
    refused: int = 0

    def play(self, moves: int) -> None:
        for _ in range(moves):
            self.now_s += self.random.choice((1, 12, 3_600, 86_400, 40 * 86_400))
            self.chain.set_next_timestamp(self.now_s)
            kind, user = self.random.choice(("supply", "withdraw", "borrow", "repay", "flash_loan")), self.random.choice(USERS)
            amount = self._amount(kind, self.users[user])
            assert self._here(kind, user, amount) == self._there(kind, user, amount), f"{user} {kind} {amount} at {self.now_s}"
            assert self._believed() == self._seen(), f"after {user} {kind} {amount} at {self.now_s}"

    def _amount(self, kind: str, account: UserAccount) -> int:
        near = {
            "withdraw": balance_of(account, self.pool, "USDC", self.now_s),
            "repay": debt_of(account, self.pool, "USDC", self.now_s),
            "borrow": self.pool.reserves["USDC"].available,
            "flash_loan": self.pool.reserves["USDC"].available,
        }.get(kind, 10**12)
        all_of_it = ALL if kind in ("withdraw", "repay") else near
        choices = (self.random.randrange(1, 10**12), self.random.randrange(0, 3), near + self.random.randrange(-1, 2), near // 2, all_of_it)
        return max(self.random.choice(choices), 0)

    def _here(self, kind: str, user: str, amount: int) -> bool:
        account = self.users[user]
        try:
            if kind == "flash_loan":
                out, premium = aave_pool.take_flash_loan(self.pool, "USDC", amount, self.now_s)
                self.pool = aave_pool.return_flash_loan(out, "USDC", amount, premium, self.now_s)
                return True
            prices = (PRICES,) if kind in ("withdraw", "borrow") else ()
            self.pool, self.users[user], _ = getattr(aave_pool, kind)(self.pool, account, "USDC", amount, self.now_s, *prices)
        except Reverted:
            self.refused += 1
            return False
        return True

    def _there(self, kind: str, user: str, amount: int) -> bool:
        call = {"flash_loan": "flashLoan"}.get(kind, kind) + "(uint256)"
        try:
            self.chain.send(self.contract, call, (amount,), sender=self._address(user))
        except TransactionReverted:
            return False
        return True

    def _address(self, user: str) -> str:
        return self.chain.accounts[USERS.index(user) + 1]

    def _believed(self) -> list[int]:
        reserve = self.pool.reserves["USDC"]
        state = [
            reserve.liquidity_index_ray,
            reserve.variable_borrow_index_ray,
            reserve.liquidity_rate_ray,
            reserve.variable_borrow_rate_ray,
            reserve.last_update_s,
            reserve.scaled_supply,
            reserve.scaled_debt,
            reserve.available,
            reserve.accrued_to_treasury,
        ]
        for account in self.users.values():
            state += [account.supplied.get("USDC", 0), account.borrowed.get("USDC", 0)]
            state += [balance_of(account, self.pool, "USDC", self.now_s), debt_of(account, self.pool, "USDC", self.now_s)]
        return state

    def _seen(self) -> list[int]:
        reads = [(self.contract, f"{name}()(uint256)") for name in STATE]
        for user in USERS:
            for name in ("supplied", "borrowed", "balanceOf", "debtOf"):
                reads.append((self.contract, f"{name}(address)(uint256)", (self._address(user),)))  # type: ignore[arg-type]
        return self.chain.read(reads)


def new_game(chain: Chain, contract: str, seed: int) -> Game:
    pool = Pool(
        revision="3.7",
        rules={"USDC": RULES, "GOLD": GOLD},
        reserves={"USDC": Reserve(), "GOLD": Reserve(scaled_supply=10**40)},
        flash_premium_bps=PREMIUM_BPS,
    )
    users = {user: UserAccount({"GOLD": 10**32}, {}, frozenset({"GOLD"})) for user in USERS}
    return Game(chain, contract, Random(seed), pool, users, chain.timestamp())


@pytest.mark.parametrize("seed", [1, 2])
def test_a_random_game_by_the_rules_of_3_7_gives_the_same_numbers_to_the_wei(chain: Chain, contract: str, seed: int) -> None:
    game = new_game(chain, contract, seed)
    game.play(120)
    assert 0 < game.refused < 100


@pytest.mark.prove
def test_a_long_random_game_by_the_rules_of_3_7_gives_the_same_numbers_to_the_wei(chain: Chain, contract: str) -> None:
    game = new_game(chain, contract, int(os.environ.get("BASIS_SEED", "11")))
    game.play(3_000)
    assert 0 < game.refused < 2_500


def test_interest_of_3_7_grows_as_the_contract_computes_it(chain: Chain, contract: str) -> None:
    random = Random(5)
    cases = [(random.randrange(0, 3 * RAY), random.choice((0, 1, 12, 86_400, 31_536_000, 10**8))) for _ in range(60)]
    linear = chain.read([(contract, "linear(uint256,uint256)(uint256)", case) for case in cases])
    compounded = chain.read([(contract, "compounded(uint256,uint256)(uint256)", case) for case in cases])
    assert [linear_interest(*case) for case in cases] == linear
    assert [compounded_interest(*case, "3.7") for case in cases] == compounded


def _position(random: Random) -> tuple[Pool, UserAccount]:
    """A position on 3.7 that owes a little more than its threshold allows."""
    index_ray = RAY + random.randrange(RAY)
    held = random.randrange(10**19, 10**22)
    value = held * index_ray // RAY * PRICES["GOLD"] // 10**18
    owed = value * random.randrange(8_500, 9_400) // 10_000 * 10**6 // PRICES["USDC"]
    reserves = {
        "GOLD": Reserve(liquidity_index_ray=index_ray, scaled_supply=held * 9, available=held * 20),
        "USDC": Reserve(scaled_supply=owed * 3, scaled_debt=owed, available=owed),
    }
    pool = Pool(revision="3.7", rules={"USDC": RULES, "GOLD": GOLD}, reserves=reserves)
    return pool, UserAccount({"GOLD": held}, {"USDC": owed}, frozenset({"GOLD"}))


def test_health_factor_and_liquidation_of_3_7_round_as_the_contract_does(chain: Chain, contract: str) -> None:
    random = Random(9)
    for _ in range(30):
        pool, user = _position(random)
        data = account_data(user, pool, PRICES, 0)
        owed, held = debt_of(user, pool, "USDC", 0), balance_of(user, pool, "GOLD", 0)
        debt_base = chain.call(contract, "debtValue(uint256,uint256,uint256)(uint256)", (owed, PRICES["USDC"], 10**6))
        weighted = held * PRICES["GOLD"] // 10**18 * GOLD.liquidation_threshold_bps
        health = chain.call(contract, "healthFactor(uint256,uint256)(uint256)", (weighted, debt_base))
        assert (data.debt_base, data.health_factor_wad) == (debt_base, health)
        covered = owed // random.randrange(2, 5)
        args = (covered, held, (PRICES["GOLD"], PRICES["USDC"]), (10**18, 10**6), 10_550, GOLD.liquidation_protocol_fee_bps)
        signature = "seized(uint256,uint256,uint256[2],uint256[2],uint256,uint256)(uint256,uint256,uint256)"
        done = liquidation_call(pool, user, "GOLD", "USDC", covered, 0, PRICES)
        assert (done.collateral_paid, done.debt_repaid, done.protocol_fee) == chain.call(contract, signature, args)
