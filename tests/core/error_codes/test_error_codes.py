"""The registry, and the errors that are made from it."""

from __future__ import annotations

import copy
import pickle
import re
from collections import Counter

import pytest

from basis_strategy_v1 import ComponentError, ErrorCodeRegistry
from basis_strategy_v1.core.error_codes import error_code_registry, exceptions
from basis_strategy_v1.core.error_codes.error_code_registry import ErrorCode

SEVERITIES = {"CRITICAL", "HIGH", "MEDIUM", "LOW"}
CODES = ErrorCodeRegistry().codes()


def test_the_names_of_the_specification_are_those_of_the_package():
    assert exceptions.ComponentError is ComponentError
    assert error_code_registry.ErrorCodeRegistry is ErrorCodeRegistry


def test_no_code_stands_twice_in_the_table():
    assert [code for code, count in Counter(row.code for row in error_code_registry._ROWS).items() if count > 1] == []
    assert tuple(row.code for row in error_code_registry._ROWS) == CODES


@pytest.mark.parametrize("code", CODES)
def test_every_entry_is_complete(code):
    entry = ErrorCodeRegistry().get(code)
    assert entry == ErrorCode(code, entry.component, entry.severity, entry.message, entry.resolution)
    assert re.fullmatch(r"[A-Z]{3}-\d{3}", code)
    assert entry.severity in SEVERITIES
    assert entry.component
    assert entry.message
    assert entry.resolution.endswith(".")
    assert "\n" not in entry.message + entry.resolution


def test_every_component_has_a_prefix_of_its_own():
    owners: dict[str, set[str]] = {}
    for code in CODES:
        owners.setdefault(code[:3], set()).add(ErrorCodeRegistry().get(code).component)
    assert {prefix: names for prefix, names in owners.items() if len(names) > 1} == {}
    assert len({name for names in owners.values() for name in names}) == len(owners)


@pytest.mark.parametrize(
    ("code", "severity", "message"),
    [
        ("EIM-001", "HIGH", "Instruction routing failed"),
        ("EIM-002", "HIGH", "Venue interface unavailable"),
        ("EIM-003", "MEDIUM", "Execution delta aggregation failed"),
    ],
)
def test_the_managers_codes_are_the_specifications(code, severity, message):
    entry = ErrorCodeRegistry().get(code)
    assert (entry.component, entry.severity, entry.message) == ("ExecutionInterfaceManager", severity, message)


def test_an_unknown_code_is_refused_with_those_there_are():
    with pytest.raises(KeyError, match="no error code 'XXX-001'; there are EIM-001, "):
        ErrorCodeRegistry().get("XXX-001")
    with pytest.raises(KeyError, match="XXX-001"):
        ComponentError("XXX-001")


@pytest.mark.parametrize("code", CODES)
def test_what_an_error_leaves_out_comes_from_the_registry(code):
    entry, error = ErrorCodeRegistry().get(code), ComponentError(code)
    assert (error.error_code, error.message, error.component, error.severity) == (code, entry.message, entry.component, entry.severity)
    assert (error.original_exception, error.partial_deltas, str(error)) == (None, {}, f"{code}: {entry.message}")


def test_an_error_can_be_raised_as_the_specification_writes_it():
    cause = ValueError("no")
    error = ComponentError(
        error_code="EIM-001", message="routing failed: no", component="Mine", severity="CRITICAL", original_exception=cause
    )
    assert (error.message, error.component, error.severity, error.original_exception) == ("routing failed: no", "Mine", "CRITICAL", cause)
    assert str(error) == "EIM-001: routing failed: no"


def test_what_had_happened_before_the_failure_is_the_errors_own_copy():
    moved = {"aave": {"USDT": -1.0}}
    error = ComponentError("OCH-001", partial_deltas=moved)
    moved["aave"]["USDT"] = 5.0
    assert error.partial_deltas == {"aave": {"USDT": -1.0}}


@pytest.mark.parametrize("kind", [ComponentError, exceptions.VenueRejected, exceptions.VenueUnreachable, exceptions.OutcomeUnknown])
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_survives_copying_and_pickling(kind, duplicate):
    error = kind("CEX-003", "perhaps sent", "Mine", "HIGH", None, {"bybit": {"ETH": 1.0}})
    twin = duplicate(error)
    assert type(twin) is kind
    assert vars(twin) == vars(error)
    assert str(twin) == str(error)


@pytest.mark.parametrize("kind", [exceptions.VenueRejected, exceptions.VenueUnreachable, exceptions.OutcomeUnknown])
def test_the_three_kinds_are_component_errors_and_not_one_another(kind):
    kinds = {exceptions.VenueRejected, exceptions.VenueUnreachable, exceptions.OutcomeUnknown}
    assert issubclass(kind, ComponentError)
    assert not any(issubclass(kind, other) for other in kinds - {kind})
