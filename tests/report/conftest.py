"""One browser for all tests that look at a page."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from .chromium import Chromium, find_chromium

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    program = find_chromium()
    if program is None:
        reason = "chromium is not installed; apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with Chromium(program, tmp_path_factory.mktemp("profile")) as running:
        yield running
