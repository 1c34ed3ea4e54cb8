"""The bars of benchmarks/peer.py, and what the peer makes of them: run by the peer's interpreter, it prints its CPU seconds as JSON."""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

BARS = 15_216
START = datetime(2023, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
lending_rates = (0.00001, 0.00002)  # an hour: what a deposit earns, what a debt costs


def bars() -> Iterator[tuple[datetime, float]]:
    """(time of the close, price) of each bar."""
    random, price = Random(1), 3_000.0
    for number in range(BARS):
        price = round(max(1_000.0, price + random.randint(-120, 120) / 100), 2)
        yield START + number * HOUR, price


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable()
    found = {}
    for every in (1, 24):
        strategy, observations = basis(every)
        found[f"run {every}"] = seconds(lambda strategy=strategy, seen=observations: strategy().run(seen))
        found[f"step {every}"] = seconds(lambda strategy=strategy, seen=observations: steps(strategy(), seen))
    strategy, observations = lending()
    found["lending"] = seconds(lambda: steps(strategy(), observations))
    print(json.dumps(found))


def seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def steps(strategy: Any, observations: list[Any]) -> None:
    for observation in observations:
        strategy.step(observation)


def basis(every: int) -> tuple[Any, list[Any]]:
    from fractal.core.base import Action, ActionToTake, BaseStrategy, NamedEntity, Observation
    from fractal.core.entities.protocols.hyperliquid import HyperliquidEntity, HyperliquidGlobalState
    from fractal.core.entities.simple.spot import SimpleSpotExchange, SimpleSpotExchangeGlobalState

    class Both(BaseStrategy):
        """Both legs grow and shrink in turn."""

        def set_up(self) -> None:
            self.register_entity(NamedEntity("SPOT", SimpleSpotExchange(trading_fee=0.001)))
            self.register_entity(NamedEntity("HEDGE", HyperliquidEntity(trading_fee=0.0005)))
            self.steps = 0
            self.get_entity("SPOT").action_deposit(9e8)
            self.get_entity("SPOT").action_inject_product(3e5)
            self.get_entity("HEDGE").action_deposit(500_000)
            self.plans = [
                [
                    ActionToTake("SPOT", Action(name, {of: amount})),
                    ActionToTake("HEDGE", Action("open_position", {"amount_in_product": hedge})),
                ]
                for name, of, amount, hedge in (("buy", "amount_in_notional", 300.0, -0.1), ("sell", "amount_in_product", 0.1, 0.1))
            ]

        def predict(self) -> list[ActionToTake]:
            self.steps += 1
            return [] if self.steps % every else self.plans[self.steps // every % 2]

    return Both, [
        Observation(at, {
            "SPOT": SimpleSpotExchangeGlobalState(price, price, price, price, 1.0),
            "HEDGE": HyperliquidGlobalState(mark_price=price, funding_rate=0.0001 if at.hour % 8 == 0 else 0.0),
        })
        for at, price in bars()
    ]  # fmt: skip


def lending() -> tuple[Any, list[Any]]:
    from fractal.core.base import Action, ActionToTake, BaseStrategy, NamedEntity, Observation
    from fractal.core.entities.protocols.aave import AaveEntity, AaveGlobalState

    class Lends(BaseStrategy):
        """Puts in and takes out, in turn."""

        def set_up(self) -> None:
            self.register_entity(NamedEntity("LENDER", AaveEntity()))
            self.get_entity("LENDER").action_deposit(1e6)
            self.steps = 0
            self.plans = [[ActionToTake("LENDER", Action(name, {"amount_in_notional": 100.0}))] for name in ("deposit", "withdraw")]

        def predict(self) -> list[ActionToTake]:
            self.steps += 1
            return self.plans[self.steps % 2]

    return Lends, [Observation(at, {"LENDER": AaveGlobalState(1.0, price, *lending_rates)}) for at, price in bars()]


if __name__ == "__main__":
    main()
