"""Only `risk.approve` makes an `Approved`, so that what was not approved cannot be sent."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALLOWED = "execution/risk.py"


def makers(source: str) -> Iterator[int]:
    """The lines on which an `Approved` is made, or given to something that could make one: everything but an import, an annotation, its
    own definition and an `isinstance`."""
    tree = ast.parse(source)
    harmless = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            harmless.update(map(id, ast.walk(node)))
        for name in ("annotation", "returns"):
            found = getattr(node, name, None)
            if found is not None:
                harmless.update(map(id, ast.walk(found)))
    for node in ast.walk(tree):
        named = getattr(node, "id", None) if isinstance(node, ast.Name) else getattr(node, "attr", None)
        if (named == "Approved" and id(node) not in harmless) or _changes_one(node):
            yield node.lineno


def _changes_one(node: ast.AST) -> bool:
    """Whether it is `replace(approved, ...)`, which makes another one."""
    if not isinstance(node, ast.Call) or not node.args:
        return False
    called = getattr(node.func, "id", getattr(node.func, "attr", ""))
    return called == "replace" and getattr(node.args[0], "id", "").startswith("approved")


def test_nothing_else_in_the_package_makes_one(repository: Path):
    package = repository / "src" / "basis_strategy_v1"
    found = {
        file.relative_to(package).as_posix(): lines
        for file in sorted(package.rglob("*.py"))
        if (lines := list(makers(file.read_text(encoding="utf-8"))))
    }
    assert list(found) == [ALLOWED]
    assert len(found[ALLOWED]) == 1


@pytest.mark.parametrize(
    "source",
    [
        "Approved(order=order, notional_usd=0)",
        "order.Approved(order=order, notional_usd=0)",
        "make = Approved",
        "msgspec.json.decode(text, type=Approved)",
        "x = [convert(row, Approved) for row in rows]",
        "class Mine(Approved): pass",
        "structs.replace(approved, order=other)",
    ],
)
def test_the_search_finds_whoever_makes_one(source):
    assert list(makers(source)) == [1]


@pytest.mark.parametrize(
    "source",
    [
        "from basis_strategy_v1.core.order import Approved",
        "def send(approved: Approved) -> Approved: ...",
        "found: Approved | None = None",
        "isinstance(order, Approved)",
        "class Approved: pass",
        "approved(order)",
        "structs.replace(order, key=approved.order.key)",
        "dict(approved=1).items()",
    ],
)
def test_the_search_leaves_whoever_only_names_it(source):
    assert list(makers(source)) == []
