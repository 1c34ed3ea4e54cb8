"""A user's file as a test writes it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.strategies.user_code import Custom

from .markets import Held, at_price, step

PARAMETERS = {"size": 2}
NOW = step(at_price(1000), Held(), PARAMETERS)
AT = " (in decide at 2024-06-01T00:00:00Z)"


def custom(folder: Path, code: str, name: str | None = None) -> Custom:
    path = folder / "mine.py"
    path.write_text(dedent(code))
    return Custom(path, name, PARAMETERS)


def decide(strategy: Any) -> Any:
    """The blocks of the first step."""
    return strategy.decide(NOW, None)[0]


def refused(folder: Path, code: str, name: str | None = None) -> str:
    """What the file, or its first step, is refused for: one line that a terminal can show."""
    with pytest.raises(ComponentError) as error:
        decide(custom(folder, code, name))
    assert error.value.message.isprintable()
    return str(error.value)
