"""One anvil node for the whole run; every test starts from its own snapshot."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from .chain import Chain, MissingPackage

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def chain() -> Iterator[Chain]:
    node = Chain()
    try:
        node.start()
    except MissingPackage as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    try:
        yield node
    finally:
        node.stop()
