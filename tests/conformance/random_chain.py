"""Random chains of steps, some of which nobody would carry out, and what third parties do meanwhile."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.tokens import decimals_of

from .chain_world import MARKET_NAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from .trader import Trader

HELD = 1_000  # of each token
SWAPS = {
    "uniswap": [("WETH", "USDT"), ("USDT", "WETH"), ("ETH", "USDT"), ("USDT", "ETH")],
    "curve": [("USDC", "USDT"), ("USDT", "USDC"), ("weETH", "WETH"), ("WETH", "weETH"), ("ETH", "weETH"), ("weETH", "ETH")],
}
USD = {"WETH": 2_500, "ETH": 2_500, "weETH": 2_630, "wstETH": 2_900, "stETH": 2_500, "eETH": 2_500, "USDT": 1, "USDC": 1}
ON_MORPHO = {"market": MARKET_NAME}


class RandomChain:
    """Makes the steps of one chain; `paid_out` is the token that each step before has paid out."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.paid_out: list[str | None] = []

    def steps(self, count: int, is_possible: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """At most so many steps, each of which is possible after those before it; in one chain of four the last one is not."""
        found: list[dict[str, Any]] = []
        ends_badly = self.rng.random() < 0.25
        for _ in range(count):
            step, token = self._step()
            for _ in range(20):
                if is_possible([*found, step]):
                    break
                if ends_badly and len(found) >= count // 2:
                    return [*found, step]
                step, token = self._step()
            else:
                break
            found.append(step)
            self.paid_out.append(token)
        return found or [step]

    def _inner(self, count: int) -> list[dict[str, Any]]:
        """The steps of a loan."""
        kept, self.paid_out = self.paid_out, []
        found = []
        for _ in range(count):
            step, token = self._step(is_outer=False)
            found.append(step)
            self.paid_out.append(token)
        self.paid_out = kept
        return found

    def _step(self, *, is_outer: bool = True) -> tuple[dict[str, Any], str | None]:
        kinds = [self._aave, self._aave, self._morpho, self._morpho, self._swap, self._swap, self._swap, self._stake, self._wallet]
        return self.rng.choice([*kinds, self._flash_loan] if is_outer else kinds)()

    # Amounts.

    def number(self, most: float, token: str) -> str:
        """Up to `most`, with all the digits of the token."""
        share = Decimal(self.rng.randint(1, 10**9)) / 10**9
        return f"{(Decimal(most) * share).quantize(Decimal(1).scaleb(-decimals_of(token))):f}"

    def amount(self, token: str, most: float = HELD * 0.6, *, all_: bool = True) -> Any:
        """A number, what there is, or what an earlier step has paid out."""
        earlier = [place for place, paid in enumerate(self.paid_out) if paid == token]
        if earlier and self.rng.random() < 0.6:
            return {"output_of": self.rng.choice(earlier), "fraction": self.rng.choice(["1", "0.5", "0.3333333333333333333333"])}
        # What is left for gas belongs to all of the ether on chain.
        if all_ and token != "ETH" and self.rng.random() < 0.2:
            return "all"
        return self.number(most, token)

    # Steps, and the token that each pays out.

    def _aave(self) -> tuple[dict[str, Any], str | None]:
        token = self.rng.choice(["WETH", "USDT"])
        name = self.rng.choice(["supply", "supply", "borrow", "withdraw", "repay"])
        paid = token if name in ("borrow", "withdraw") else None
        amount = {
            "supply": lambda: self.amount(token),
            "borrow": lambda: self.number(400_000 / USD[token], token),
            "withdraw": lambda: self.rng.choice(["all", self.number(300, token)]),
            "repay": lambda: self.rng.choice(["all", self.number(1, token)]),
        }[name]()
        return {"protocol": "aave", "action": name, "token": token, "amount": amount}, paid

    def _morpho(self) -> tuple[dict[str, Any], str | None]:
        name = self.rng.choice(
            ["supply", "withdraw", "supply_collateral", "supply_collateral", "withdraw_collateral", "borrow", "borrow", "repay"]
        )
        token = "wstETH" if name.endswith("collateral") else "USDC"
        amount = {
            "supply": lambda: self.amount(token),
            "supply_collateral": lambda: self.amount(token),
            "borrow": lambda: self.number(250_000, token),
        }.get(name, lambda: self.rng.choice(["all", self.number(200, token)]))()  # fmt: skip
        paid = token if name in ("borrow", "withdraw", "withdraw_collateral") else None
        return {"protocol": "morpho", "action": name, "token": token, "amount": amount, **ON_MORPHO}, paid

    def _swap(self) -> tuple[dict[str, Any], str | None]:
        venue = self.rng.choice(["uniswap", "curve"])
        paid, out = self.rng.choice(SWAPS[venue])
        amount = self.amount(paid)
        step = {"protocol": venue, "action": "swap", "token": paid, "amount": amount, "token_out": out}
        if isinstance(amount, str) and amount != "all" and self.rng.random() < 0.5:
            wanted = Decimal(amount) * USD[paid] / USD[out] * Decimal(str(self.rng.uniform(0.9, 1.02)))
            step["min_amount_out"] = f"{wanted:.6f}"
        return step, out

    def _stake(self) -> tuple[dict[str, Any], str | None]:
        protocol, rebasing, wrapped = self.rng.choice([("lido", "stETH", "wstETH"), ("etherfi", "eETH", "weETH")])
        name = self.rng.choice(["stake", "stake", "wrap", "unwrap", "unstake"])
        if name == "stake":
            token, out = self.rng.choice(["ETH", "WETH"]), self.rng.choice([rebasing, wrapped])
            return {"protocol": protocol, "action": name, "token": token, "amount": self.amount(token), "token_out": out}, out
        token = {"wrap": rebasing, "unwrap": wrapped, "unstake": rebasing}[name]
        paid = {"wrap": wrapped, "unwrap": rebasing, "unstake": None}[name]
        return {"protocol": protocol, "action": name, "token": token, "amount": self.amount(token, 50)}, paid

    def _wallet(self) -> tuple[dict[str, Any], str | None]:
        name, token, out = self.rng.choice([("wrap", "ETH", "WETH"), ("unwrap", "WETH", "ETH")])
        return {"protocol": "wallet", "action": name, "token": token, "amount": self.amount(token)}, out

    def _flash_loan(self) -> tuple[dict[str, Any], str | None]:
        protocol, token = self.rng.choice([("aave", "USDT"), ("aave", "WETH"), ("morpho", "USDC")])
        amount = self.number({"USDT": 1_000_000, "WETH": 1_000, "USDC": 210_000}[token], token)
        steps = self._inner(self.rng.randint(1, 3))
        return {"protocol": protocol, "action": "flash_loan", "token": token, "amount": amount, "sub_instructions": steps}, None


def third_parties(trader: Trader, rng: Random) -> None:
    """Others lend, borrow, pay back and trade, and time passes: the state that the chain meets is a new one."""
    world, chain = trader.world, trader.world.chain
    other, pool, at = chain.accounts[0], trader.world.aave.deployment.pool, trader.world.deployment()
    for _ in range(rng.randint(1, 3)):
        chain.set_next_timestamp(chain.timestamp() + rng.randint(1, 20_000))
        token = rng.choice(["WETH", "USDT"])
        units = rng.randint(1, 300_000 * 10 ** decimals_of(token) // USD[token])
        kind = rng.randrange(4)
        if kind == 0:
            _send(trader, pool, "supply(address,uint256,address,uint16)", at.tokens[token], units, other, 0)
        elif kind == 1:
            _send(trader, pool, "borrow(address,uint256,uint256,uint16,address)", at.tokens[token], units // 2, 2, 0, other)
        elif kind == 2:
            _send(trader, pool, "repay(address,uint256,uint256,address)", at.tokens[token], units, 2, other)
        else:
            world.pool.exact_input(rng.random() < 0.5, units // 100, 0, 0)


def _send(trader: Trader, target: str, signature: str, *args: Any) -> None:
    trader.world.chain.send(target, signature, args)
