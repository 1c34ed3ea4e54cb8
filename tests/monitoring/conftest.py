"""A disk that takes no byte more."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest


@pytest.fixture
def no_room() -> Callable[[], AbstractContextManager[None]]:
    """Within it the system refuses every byte that would be written to a file."""

    @contextmanager
    def within() -> Iterator[None]:
        size = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, size[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, size)

    return within
