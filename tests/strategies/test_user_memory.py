"""A user's strategy with memory, as a class or as functions; and what it keeps elsewhere is noticed."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import pytest

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.memory import decode_memory, encode_memory
from basis_strategy_v1.strategies.user_code import LOOKED_AT_FIRST

from .user_files import AT, NOW, PARAMETERS, custom, decide, refused

STEPS = """
    def decide(step, memory):
        count = (memory or 0) + 1
        return [{"size": step.parameters["size"], "count": count}], count
"""


def test_a_function_decides_on_a_step_and_its_memory(tmp_path: Path) -> None:
    mine = custom(tmp_path, STEPS)
    first, memory = mine.decide(NOW, None)
    assert (first, memory) == ([{"size": 2, "count": 1}], 1)
    assert mine.decide(NOW, memory) == ([{"size": 2, "count": 2}], 2)
    assert (mine.leave(NOW, 2), mine.needs(PARAMETERS), mine.placed(NOW.positions, PARAMETERS)) == (([], 2), (), {})
    assert mine.warnings == []


def test_a_class_does_too(tmp_path: Path) -> None:
    code = "class Mine:\n" + indent(dedent(STEPS).replace("(step", "(self, step"), "    ")
    assert custom(tmp_path, code).decide(NOW, 4) == ([{"size": 2, "count": 5}], 5)


def test_a_function_may_have_the_simple_form_and_the_other_functions_next_to_it(tmp_path: Path) -> None:
    code = """
        def decide(snapshot, positions, parameters):
            return [{"at": snapshot.at, "held": dict(positions), "size": parameters["size"]}]
        def leave(step, memory):
            return [{"out": True}], ("left", memory)
        def needs(parameters):
            return [("spot", "bybit", "ETHUSDT")]
        def placed(capital, parameters):
            return {"bybit": {"USDT": capital}}
    """
    mine = custom(tmp_path, code)
    assert mine.decide(NOW, None) == ([{"at": NOW.at, "held": {}, "size": 2}], None)
    assert mine.leave(NOW, None) == ([{"out": True}], ("left", None))
    assert mine.needs(PARAMETERS) == [("spot", "bybit", "ETHUSDT")]


def test_a_step_has_the_time_what_could_be_known_the_positions_and_the_parameters_to_read(tmp_path: Path) -> None:
    code = """
        def decide(step, memory):
            seen = (step.at, step.snapshot.at, step.snapshot.spot("bybit", "ETHUSDT"), step.positions, step.parameters["size"])
            return [seen], None
    """
    assert decide(custom(tmp_path, code)) == [(NOW.at, NOW.at, 1000, NOW.positions, 2)]
    changes = "def decide(step, memory):\n    step.parameters['size'] = 3\n"
    assert refused(tmp_path, changes).startswith("STR-002: mine.py, line 2: TypeError: 'mappingproxy' object does not support")
    assert "future" not in refused(tmp_path, "def decide(step, memory):\n    step.snapshot.next_row('spot', 'bybit', 'ETHUSDT')\n")


def test_a_class_goes_before_a_function_that_may_be_its_own_helper(tmp_path: Path) -> None:
    code = STEPS + "\n    class Mine:\n        def decide(self, step, memory):\n            return ['class'], None\n"
    assert decide(custom(tmp_path, code)) == decide(custom(tmp_path, code, "Mine")) == ["class"]


WRONG = [
    ("[]", "(blocks, memory), got a list"),
    ("None", "(blocks, memory), got None"),
    ("[{}, {}]", "(blocks, memory), got a list"),
    ("()", "(blocks, memory), got a tuple of 0"),
    ("([], 1, 2)", "(blocks, memory), got a tuple of 3"),
    ("({}, None)", "(blocks, memory) with a list of blocks, got a dict"),
    ("(None, 5)", "(blocks, memory) with a list of blocks, got None"),
]


@pytest.mark.parametrize(("given", "wanted"), WRONG)
def test_anything_but_blocks_and_memory_is_refused(given: str, wanted: str, tmp_path: Path) -> None:
    assert refused(tmp_path, f"def decide(step, memory):\n    return {given}\n") == f"STR-002: mine.py: decide must return {wanted}{AT}"


MEMORY = """
    from decimal import Decimal
    from msgspec import Struct

    class Memory(Struct, frozen=True):
        prices: tuple = ()
        best: Decimal | None = None

    class Loose(Struct):
        prices: tuple = ()

    def local():
        class Inner(Struct, frozen=True):
            pass
        return Inner()

    def decide(step, memory):
        return [], GIVEN
"""
ALLOWED = "(memory is None, bool, int, str, Decimal, datetime with a time zone, or tuples and frozen msgspec Structs of these)"
NOT_FROZEN = [
    ("[1]", "memory is a list, which cannot be frozen; use a tuple"),
    ("Memory(prices=[1])", "memory.prices is a list, which cannot be frozen; use a tuple"),
    ("(1, Memory(best=0.5))", "memory[1].best is a float, which cannot be frozen; use a Decimal"),
    ("Loose()", "memory is a Loose, which is not frozen; write class Loose(Struct, frozen=True)"),
    ("local()", "memory is a Inner, which is not known when the memory is read again; define it at the top of the file"),
    ("type('\\x1b[31m', (), {})()", "memory is a \\x1b[31m, which cannot be frozen"),
]


@pytest.mark.parametrize(("given", "why"), NOT_FROZEN)
def test_a_memory_that_cannot_be_frozen_is_refused(given: str, why: str, tmp_path: Path) -> None:
    said = refused(tmp_path, MEMORY.replace("GIVEN", given))
    assert said == f"STR-001: mine.py: decide must return a frozen memory: {why} {ALLOWED}{AT}"


def test_a_memory_that_is_changed_in_place_is_refused_by_its_own_type(tmp_path: Path) -> None:
    code = MEMORY.replace("return [], GIVEN", "memory.prices = (1,)\n        return [], memory")
    mine = custom(tmp_path, code)
    memory = mine.memory_kinds[0]()
    with pytest.raises(ComponentError, match=r"^STR-002: mine\.py, line 18: AttributeError: immutable type: 'Memory' \(in decide at"):
        mine.decide(NOW, memory)
    assert memory == mine.memory_kinds[0]()


def test_the_structs_of_the_file_are_known_when_its_memory_is_read_in_a_new_process(tmp_path: Path) -> None:
    code = MEMORY.replace("GIVEN", "Memory((step.at, 2**80), Decimal('-0.10'))")
    _, memory = custom(tmp_path, code).decide(NOW, None)
    again = custom(tmp_path, code)
    assert [kind.__name__ for kind in again.memory_kinds] == ["Memory", "Loose"]
    read = decode_memory(encode_memory(memory), again.memory_kinds)
    assert type(read) is again.memory_kinds[0]
    assert (read.prices, str(read.best)) == ((NOW.at, 2**80), "-0.10")


def test_two_structs_of_one_name_in_a_file_are_refused(tmp_path: Path) -> None:
    code = "from msgspec import Struct, defstruct\nclass Memory(Struct): ...\nother = defstruct('Memory', [])\n" + dedent(STEPS)
    assert refused(tmp_path, code) == "STR-001: mine.py: two Structs of its memory are called Memory; rename one"


def test_the_plan_for_leaving_is_checked_alike(tmp_path: Path) -> None:
    for given, why in (("[]", "(blocks, memory), got a list"), ("([], [1])", "a frozen memory: memory is a list, ")):
        mine = custom(tmp_path, f"{dedent(STEPS)}def leave(step, memory):\n    return {given}\n")
        with pytest.raises(ComponentError) as error:
            mine.leave(NOW, None)
        assert f"mine.py: leave must return {why}" in str(error.value)
    with pytest.raises(
        ComponentError, match=r"^STR-001: mine\.py: leave\(step\) is neither form of a strategy; write def leave\(step, memory\)"
    ):
        custom(tmp_path, f"{dedent(STEPS)}def leave(step):\n    return []\n")


# What is kept elsewhere.

KEEPS: list[tuple[str, str, str]] = [
    ("a counter", "self.steps += 1", "attribute steps"),
    ("a new attribute", "self.last = snapshot.at", "attribute last"),
    ("one that is taken away", "del self.spare", "attribute spare"),
    ("a list that is filled", "self.prices.append(1)", "attribute prices"),
    ("a set that is filled", "self.seen.add(1)", "attribute seen"),
]
CLASS = """
    class Mine:
        def __init__(self):
            self.steps, self.prices, self.spare, self.seen = 0, [], None, set()
        def needs(self, parameters):
            self.asked = True
            return []
        def placed(self, capital, parameters):
            self.capital = capital
            return {}
        def decide(self, snapshot, positions, parameters):
            KEEP
            return []
"""
LOST = "which does not survive a restart of a live run; return it as memory: decide(step, memory) -> (blocks, memory)."


@pytest.mark.parametrize(("keep", "what"), [row[1:] for row in KEEPS], ids=[row[0] for row in KEEPS])
def test_attributes_that_change_while_it_decides_are_warned_of_once(keep: str, what: str, tmp_path: Path) -> None:
    mine = custom(tmp_path, CLASS.replace("KEEP", keep))
    said: list[str] = []
    mine.warn = said.append
    mine.needs(PARAMETERS)
    for _ in range(3):
        mine.decide(NOW, None)
        mine._strategy.spare = None
    line = f"mine.py: decide changes its {what}, {LOST}"
    assert (mine.warnings, said) == ([line], [f"warning: {line}"])


def test_what_stays_as_it_was_made_is_not_warned_of(tmp_path: Path) -> None:
    mine = custom(tmp_path, CLASS.replace("KEEP", "self.steps = self.steps; local = [1]"))
    mine.needs(PARAMETERS)
    mine.placed(NOW.positions, PARAMETERS)
    for _ in range(3 * LOOKED_AT_FIRST):
        mine.decide(NOW, None)
    assert mine.warnings == []


def test_a_change_long_after_the_start_is_noticed_with_the_next_plan_or_a_little_later(tmp_path: Path) -> None:
    code = """
        class Mine:
            def __init__(self):
                self.calls, self.steps = iter(range(1_000)), 0
            def decide(self, snapshot, positions, parameters):
                call = next(self.calls)
                if call == 150:
                    self.steps = 1
                return [{}] if call == PLAN else []
    """
    for plan, noticed in ((160, 160), (999, 199)):
        mine = custom(tmp_path, code.replace("PLAN", str(plan)))
        warned = [bool(mine.decide(NOW, None) and mine.warnings) for _ in range(300)]
        assert warned.index(True) == noticed


def test_attributes_in_slots_are_noticed(tmp_path: Path) -> None:
    code = """
        class Base:
            __slots__ = ("steps", "unset")
        class Mine(Base):
            __slots__ = "more"
            def __init__(self):
                self.steps = 0
                self.more = []
            def decide(self, snapshot, positions, parameters):
                KEEP
                return []
    """
    for keep, what in (("self.steps += 1", "steps"), ("self.unset = 1", "unset"), ("self.more.append(1)", "more"), ("pass", None)):
        mine = custom(tmp_path, code.replace("KEEP", keep))
        mine.decide(NOW, None)
        assert mine.warnings == ([f"mine.py: decide changes its attribute {what}, {LOST}"] if what else [])


def test_a_function_that_changes_a_global_is_warned_of(tmp_path: Path) -> None:
    code = """
        seen, constants = [], {"a": 1}
        steps = 0
        def decide(step, memory):
            global steps
            KEEP
            return [], memory
    """
    lost = "which does not survive a restart of a live run; keep it in memory."
    for keep, what in (("steps += 1", "steps"), ("seen.append(1)", "seen"), ("global __private__; __private__ = 1", None)):
        mine = custom(tmp_path, code.replace("KEEP", keep))
        mine.decide(NOW, None)
        assert mine.warnings == ([f"mine.py: decide changes its global {what}, {lost}"] if what else [])
