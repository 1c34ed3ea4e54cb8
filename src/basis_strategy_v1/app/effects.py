"""What each known approximation made of a run: further runs with each switch off, of which nothing is written."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.app import build
from basis_strategy_v1.app.approximations import applied

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from basis_strategy_v1.engine import EventDrivenStrategyEngine

CURRENCIES = {"usdt_stable": "USDT", "eth_directional": "ETH"}


class ApproximationEffect(NamedTuple):
    """One approximation: what was switched to what, the profit of the run without it, and what it made of the profit. Both are in the
    share class's currency; a run that is refused has `refused`."""

    name: str
    switch: str
    profit_without: Decimal | None
    effect: Decimal | None
    refused: str = ""

    def plain(self) -> dict[str, str | None]:
        return {name: format(value, "f") if isinstance(value, Decimal) else value for name, value in self._asdict().items()}


def write_effects(
    engine: EventDrivenStrategyEngine, config: Any, data: Any, changes: Mapping[str, Any], summary: Mapping[str, Any], folder: Path
) -> list[ApproximationEffect]:
    """The effects of a run that has been, also written to `effects.json` in its folder."""
    found = list(effects_of(engine, config, data, changes, summary))
    (folder / "effects.json").write_text(json.dumps([effect.plain() for effect in found], indent=2) + "\n", encoding="utf-8")
    return found


def effects_of(
    engine: EventDrivenStrategyEngine, config: Any, data: Any, changes: Mapping[str, Any], summary: Mapping[str, Any]
) -> Iterator[ApproximationEffect]:
    """An effect for each approximation that applied and that can be switched off."""
    from basis_strategy_v1.core.error_codes.exceptions import ComponentError

    profit, venues = Decimal(summary["pnl"]), engine.manager.account.venues
    for row in applied(engine.config, venues):
        off = row.off(engine.config, venues)
        if not off:
            continue
        switch = ", ".join(f"{name}: {json.dumps(value)}" for name, value in off.items())
        try:
            other = build(config, data, None, None, report=False, changes={**changes, **off}).run()
        except ComponentError as refused:
            yield ApproximationEffect(row.name, switch, None, None, f"{refused.error_code}: {refused.message}")
        else:
            without = Decimal(other.summary["pnl"])
            yield ApproximationEffect(row.name, switch, without, profit - without)


def effect_lines(found: Sequence[ApproximationEffect], share_class: str) -> Iterator[str]:
    """The lines of `--effects`."""
    yield f"Effect of each approximation on the profit, from a run without it ({CURRENCIES[share_class]})"
    for effect in found:
        size = f"{effect.effect:+,.2f}" if effect.effect is not None else effect.refused
        yield f"  {effect.name}: {size}  ({effect.switch})"
    if not found:
        yield "  none that can be switched off applied"
