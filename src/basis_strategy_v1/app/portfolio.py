"""The strategies of a portfolio, as the one that the checks of a run ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from basis_strategy_v1.config import ConfigError
from basis_strategy_v1.config.faults import Fault, shown
from basis_strategy_v1.config.loading import ONE_LIVE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from basis_strategy_v1.config import Config
    from basis_strategy_v1.strategies.strategy import Step, Strategy


class Strategies:
    """Several strategies, each with the parameters of its own config. It decides nothing: each of them runs by itself."""

    memory_kinds = ()

    def __init__(self, parts: Sequence[Config], each: Sequence[Strategy]) -> None:
        self.parts = parts
        self.each = each

    def decide(self, step: Step, memory: Any) -> tuple[Sequence[Any], Any]:
        return (), memory

    leave = decide

    def placed(self, capital: Any, parameters: Any) -> dict[str, Any]:
        return {}

    def needs(self, parameters: Any) -> list[tuple[str, str, str]]:
        """The series of all of them, each once."""
        own = zip(self.parts, self.each, strict=True)
        return list(dict.fromkeys(key for part, strategy in own if hasattr(strategy, "needs") for key in strategy.needs(part.strategy)))

    @property
    def warnings(self) -> list[str]:
        return [line for strategy in self.each for line in getattr(strategy, "warnings", ())]

    @property
    def neighbours(self) -> str:
        return "".join(getattr(strategy, "neighbours", "") for strategy in self.each)


def runs_of(config: Config, strategy: Any) -> list[tuple[Config, Any]]:
    """Each strategy of a run with its config: one, but for a portfolio."""
    return list(zip(config.parts, strategy.each, strict=True)) if config.parts else [(config, strategy)]


def require_one_strategy(config: Config) -> None:
    """Refuse a portfolio where there is one account.

    Raises:
        ConfigError: CFG-001.
    """
    if config.parts:
        raise ConfigError([Fault("portfolio", shown(config.portfolio), ONE_LIVE)])
