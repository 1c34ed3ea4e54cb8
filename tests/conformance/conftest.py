"""One anvil node for the whole run; every test starts from its own snapshot."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite(f"{__package__}.trader")  # what it compares is shown

from .chain import Chain, started  # noqa: E402
from .trader import Trader, TraderNode, delegated_trader  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def chain() -> Iterator[Chain]:
    with started(Chain()) as node:
        yield node


@pytest.fixture(scope="module")
def delegated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trader]:
    """A node of its own: what it charges and signs stays as it is."""
    with started(TraderNode()) as node:
        yield delegated_trader(node, tmp_path_factory.mktemp("world"))


@pytest.fixture
def trader(delegated: Trader, tmp_path: Path) -> Iterator[Trader]:
    chain = delegated.world.chain
    before = chain.snapshot()
    yield delegated._replace(world=replace(delegated.world, folder=tmp_path))
    chain.revert(before)
