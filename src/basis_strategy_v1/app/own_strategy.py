"""A strategy that is handed over in Python: a class, a function or a file."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.strategies.user_code import Custom

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.config import Config

CUSTOM = "custom"
OWN_KEYS = {"file", "class", "parameters"}


class OwnStrategy(NamedTuple):
    """What a config becomes with it: `changes` to the config, the source that its identity is made of, and what was given."""

    changes: dict[str, Any]
    code: str = ""
    given: Any = None

    def made(self, config: Config) -> Custom:
        """The strategy of a run.

        Raises:
            ComponentError: STR-001, it is none.
        """
        return Custom(config.strategy.file, None, config.strategy.parameters, self.given)


def own_strategy(strategy: Any, section: Any) -> OwnStrategy:
    """What was handed over as `strategy`; `section` is the config's own `strategy`, whose parameters it is given.

    Raises:
        ComponentError: STR-001, it is no class, function or file.
    """
    parameters = _parameters_in(section)
    if isinstance(strategy, str | Path):
        path = Path(strategy).absolute()
        named = {"class": section["class"]} if isinstance(section, dict) and "class" in section else {}
        return OwnStrategy({"strategy_mode": CUSTOM, "strategy": {"file": str(path), **named, "parameters": parameters}})
    is_class = isinstance(strategy, type)
    if not (is_class or callable(strategy)) or (is_class and not callable(getattr(strategy, "decide", None))):
        raise ComponentError(
            "STR-001", f"strategy: must be a class with a method decide, a function or the path of a file, got {shown(strategy)}"
        )
    name = getattr(strategy, "__name__", type(strategy).__name__)
    changes = {"strategy_mode": CUSTOM, "strategy": {"file": _file_of(strategy, name), "parameters": parameters}}
    return OwnStrategy(
        changes, _source_of(strategy), strategy if is_class else SimpleNamespace(decide=strategy, __module__=strategy.__module__)
    )


def _parameters_in(section: Any) -> Mapping[str, Any]:
    if not isinstance(section, dict):
        return {}
    found = section.get("parameters", {}) if set(section) <= OWN_KEYS else section
    return found if isinstance(found, dict) else {}


def _file_of(strategy: Any, name: str) -> str:
    """Where its lines are, as a traceback names it; its name where it is in no file."""
    code = getattr(inspect.unwrap(_deciding(strategy)), "__code__", None)
    return f"{name}.py" if code is None or not code.co_filename.endswith(".py") else code.co_filename


def _source_of(strategy: Any) -> str:
    try:
        return inspect.getsource(strategy)
    except (OSError, TypeError):  # typed in at a prompt
        code = getattr(_deciding(strategy), "__code__", None)
        return f"{getattr(strategy, '__qualname__', '')} {getattr(code, 'co_code', b'').hex()}"


def _deciding(strategy: Any) -> Any:
    return getattr(strategy, "decide") if isinstance(strategy, type) else strategy  # noqa: B009
