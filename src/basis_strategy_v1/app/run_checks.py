"""Warnings of what a strategy will not do with this config and these data: lines for `basis check` and for the run."""

from __future__ import annotations

import decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.app.initial_positions import initial_positions_of
from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.clock import HOUR_US, from_instant, iso, to_instant
from basis_strategy_v1.execution.execution_interface_manager import ExecutionInterfaceManager
from basis_strategy_v1.execution.portfolio import Portfolio
from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
from basis_strategy_v1.strategies.strategy import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from basis_strategy_v1.config import Config
    from basis_strategy_v1.strategies.strategy import Strategy


def run_warnings(config: Config, strategy: Strategy, provider: Any) -> Iterator[str]:
    """A line for each thing that the strategy will not do in this run, or only late, and why."""
    yield from _windows_not_covered(config, strategy, provider)
    yield from _warmup_not_covered(config, strategy, provider)
    yield from _too_little(config, strategy, provider)


def _too_little(config: Config, strategy: Strategy, provider: Any) -> Iterator[str]:
    """A capital with which the strategy never begins. Own initial_positions may be anywhere, so they are not judged."""
    too_little = getattr(strategy, "too_little", None)
    if too_little is None or config.initial_positions is not None:
        return
    assert config.start is not None
    handler = PositionUpdateHandler()
    manager = ExecutionInterfaceManager(config, provider, "backtest", positions=handler)
    with decimal.localcontext(EXACT):
        market = manager.account.market(config.start)
        handler.hold(initial_positions_of(config, strategy, market, manager.gas_is_free()))
        why = too_little(Step(config.start, market, Portfolio(manager.account, config.gas_reserve_eth), config.strategy))
    if why:
        yield f"initial_capital: {why}"


def _warmup_not_covered(config: Config, strategy: Strategy, provider: Any) -> Iterator[str]:
    """Series that begin after `warmup` before the start: their history is shorter there than the config asks for."""
    if config.warmup is None or config.start is None:
        return
    begin = to_instant(config.start - config.warmup)
    for key in dict.fromkeys(strategy.needs(config.strategy)):
        covered = provider.coverage(*key)
        if covered is not None and covered[0] > begin:
            whole = from_instant(covered[0]) + config.warmup
            name = f"{key[0]} of {key[1]} for {key[2]}"
            yield f"warmup: {name} begins at {iso(covered[0])}, after {iso(begin)}; its history is as long as warmup from {iso(whole)} on"


def _windows_not_covered(config: Config, strategy: Strategy, provider: Any) -> Iterator[str]:
    """Rules whose mean is not known at the start: no signal comes before the window is covered."""
    assert config.start is not None and config.end is not None
    start, end = to_instant(config.start), to_instant(config.end)
    for parameter, hours, key in getattr(strategy, "windows", lambda parameters: [])(config.strategy):
        known_from = start
        if key is not None:
            found = provider.rows_visible(*key, end)
            if found is None or len(found[1]) < 2:
                continue
            rows = found[1]
            known_from = 2 * rows[0] - rows[1]  # the first row was paid for a time as long as the second's
        covered = known_from + hours * HOUR_US
        since = f"the data of {found[0]} begin at {iso(rows[0])}" if key else f"the run begins at {iso(start)}"
        if covered > end:
            yield f"strategy.{parameter}: {since}, so the window of {hours} h is never covered in this run and the rule gives no signal"
        elif key and covered > start:
            yield f"strategy.{parameter}: {since}, so the window of {hours} h is covered from {iso(covered)} on; no signal comes before"
