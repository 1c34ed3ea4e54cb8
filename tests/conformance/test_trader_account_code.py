"""The compiled executor in the package is what its source compiles to."""

from __future__ import annotations

import json
import os

import pytest

from .chain import MissingPackage
from .trader_account_code import COMPILED_FORM, compiled_executor

pytestmark = pytest.mark.chain


def test_the_committed_form_is_that_of_a_fresh_compile() -> None:
    try:
        fresh = compiled_executor()
    except MissingPackage as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    assert json.loads(COMPILED_FORM.read_text()) == fresh, "write it again: python -m tests.conformance.trader_account_code"
