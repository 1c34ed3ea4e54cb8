"""A user's own strategy and a user's own blocks: what is wrong with them is said with file and line."""

from __future__ import annotations

import re
from decimal import Decimal, localcontext
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from basis_strategy_v1.app import strategy_of
from basis_strategy_v1.config import load_config
from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import Seen
from basis_strategy_v1.strategies import STRATEGIES, make_strategy
from basis_strategy_v1.strategies.user_code import Custom

from .markets import Held, at_price, step
from .user_files import AT, NOW, PARAMETERS, custom, decide, refused

GOOD = """
    from decimal import Decimal

    class Mine:
        def decide(self, snapshot, positions, parameters):
            return [{"size": parameters["size"]}]
        def leave(self, snapshot, positions, parameters):
            return ({"out": True},)
        def needs(self, parameters):
            return [["spot", "bybit", "ETHUSDT"]]
        def placed(self, capital, parameters):
            return {"bybit": {"USDT": capital}}
"""


def test_all_four_methods_are_asked(tmp_path: Path) -> None:
    mine = custom(tmp_path, GOOD)
    assert decide(mine) == [{"size": 2}]
    assert mine.leave(NOW, None) == (({"out": True},), None)
    assert mine.needs(PARAMETERS) == [("spot", "bybit", "ETHUSDT")]
    assert mine.placed(Decimal(5), PARAMETERS) == {"bybit": {"USDT": Decimal(5)}}


def test_only_decide_is_required(tmp_path: Path) -> None:
    mine = custom(tmp_path, "class Mine:\n    def decide(self, snapshot, positions, parameters):\n        return []\n")
    assert decide(mine) == []
    assert mine.leave(NOW, None) == ([], None)
    assert mine.needs(PARAMETERS) == ()
    assert mine.placed(Decimal(5), PARAMETERS) == {}


def test_an_exception_names_file_line_and_step(tmp_path: Path) -> None:
    code = """
        class Mine:
            def decide(self, snapshot, positions, parameters):
                return self.helper()
            def helper(self):
                return {}["missing"]
    """
    assert refused(tmp_path, code) == f"STR-002: mine.py, line 6: KeyError: 'missing'{AT}"


def test_of_an_exception_without_words_its_name_is_given(tmp_path: Path) -> None:
    code = "class Mine:\n    def decide(self, *of):\n        assert 1 == 2\n"
    assert refused(tmp_path, code) == f"STR-002: mine.py, line 3: AssertionError{AT}"


def test_what_the_market_lacks_keeps_its_own_code(tmp_path: Path) -> None:
    code = "class Mine:\n    def decide(self, snapshot, positions, parameters):\n        snapshot.funding('okx', 'ETHUSDT')\n"
    assert refused(tmp_path, code).startswith("DAT-001: no funding data of okx for ETHUSDT at 2024-06-01T00:00:00Z")


NO_LISTS = [("1", "1"), ("'buy'", "'buy'"), ("{}", "a dict"), ("None", "None"), ("(b for b in [])", "a generator")]


@pytest.mark.parametrize(("given", "named"), NO_LISTS)
def test_what_is_no_list_of_blocks_is_refused(given: str, named: str, tmp_path: Path) -> None:
    code = f"class Mine:\n    def decide(self, *of):\n        return {given}\n"
    assert refused(tmp_path, code) == f"STR-002: mine.py: decide must return a list of blocks, got {named}{AT}"


LEAVES = [("sys.exit(0)", "SystemExit: 0"), ("sys.exit('x')", "SystemExit: x"), ("raise BaseException('y')", "BaseException: y")]


@pytest.mark.parametrize(("leaves", "said"), LEAVES)
def test_code_that_leaves_the_program_counts_as_code_that_fails(leaves: str, said: str, tmp_path: Path) -> None:
    code = f"import sys\nclass Mine:\n    def decide(self, *of):\n        {leaves}\n"
    assert refused(tmp_path, code) == f"STR-002: mine.py, line 4: {said}{AT}"
    code = f"import sys\nclass Mine:\n    def __init__(self):\n        {leaves}\n    def decide(self, *of): ...\n"
    assert refused(tmp_path, code) == f"STR-002: mine.py, line 4: {said} (in __init__)"
    assert refused(tmp_path, f"import sys\n\n{leaves}\n") == f"STR-001: mine.py, line 3: {said}"
    mine = custom(tmp_path, f"import sys\nclass Mine:\n    def decide(self, *of): ...\n    def needs(self, *of):\n        {leaves}\n")
    with pytest.raises(ComponentError, match=rf"^STR-002: mine\.py, line 5: {said} \(in needs\)$"):
        mine.needs(PARAMETERS)


@pytest.mark.parametrize("stop", ["KeyboardInterrupt", "GeneratorExit"])
def test_an_interruption_is_no_failure_of_the_strategy(stop: str, tmp_path: Path) -> None:
    mine = custom(tmp_path, f"class Mine:\n    def decide(self, *of):\n        raise {stop}\n    needs = decide\n")
    for ask in (lambda: decide(mine), lambda: mine.needs(PARAMETERS)):
        with pytest.raises((KeyboardInterrupt, GeneratorExit)):
            ask()
    with pytest.raises((KeyboardInterrupt, GeneratorExit)):
        custom(tmp_path, f"raise {stop}\n")


def test_a_strategy_may_change_its_parameters_and_the_config_stays_as_it_was_written(tmp_path: Path) -> None:
    code = """
        class Mine:
            def needs(self, parameters):
                parameters["asked"] = True
                return []
            def decide(self, snapshot, positions, parameters):
                parameters["levels"].append(len(parameters["levels"]))
                parameters["deep"]["er"]["size"] += 1
                return [dict(parameters)]
    """
    (tmp_path / "mine.py").write_text(dedent(code))
    strategy = {"file": str(tmp_path / "mine.py"), "parameters": {"levels": [7], "deep": {"er": {"size": 1}}}}
    top = {"strategy_mode": "custom", "share_class": "usdt_stable", "initial_capital": 1, "venues": {"cex": ["bybit"]}}
    config = load_config({**top, "start": "2024-06-01", "end": "2024-06-02", "strategy": strategy}, run=True)
    written, digest = config.to_yaml(), config.hash
    mine = strategy_of(config)
    mine.needs(config.strategy)
    with localcontext(EXACT):  # as in a run
        for _ in range(2):
            ([seen], _) = mine.decide(step(at_price(1000), Held(), config.strategy), None)
    assert seen == {"levels": [7, 1, 2], "deep": {"er": {"size": 3}}, "asked": True}  # its own copy lives on from step to step
    assert config.strategy.parameters == {"levels": [7], "deep": {"er": {"size": 1}}}
    assert (config.to_yaml(), config.hash) == (written, digest)


def test_dir_of_a_snapshot_lists_the_readers_that_the_page_explains(repository: Path) -> None:
    page = (repository / "docs/strategies.md").read_text()
    table = page.split("| reader | gives |\n|---|---|\n")[1].split("\n\n")[0]
    explained = {name for row in table.splitlines() for name in re.findall(r"`(\w+)", row.split("|")[1])}
    assert set(dir(Seen(at_price(1000)))) == explained


def test_a_class_that_cannot_be_made_is_named_with_its_line(tmp_path: Path) -> None:
    code = "class Mine:\n    def __init__(self):\n        1 / 0\n    def decide(self, *of): ...\n"
    assert refused(tmp_path, code) == "STR-002: mine.py, line 3: ZeroDivisionError: division by zero (in __init__)"


@pytest.mark.parametrize("method", ["needs", "placed", "leave"])
def test_the_other_methods_are_named_too(method: str, tmp_path: Path) -> None:
    code = f"class Mine:\n    def decide(self, *of): ...\n    def {method}(self, *of):\n        raise ValueError('no')\n"
    mine = custom(tmp_path, code)
    arguments: dict[str, tuple[Any, ...]] = {
        "needs": (PARAMETERS,),
        "placed": (Decimal(1), PARAMETERS),
        "leave": (NOW, None),
    }
    with pytest.raises(ComponentError) as error:
        getattr(mine, method)(*arguments[method])
    when = " at 2024-06-01T00:00:00Z" if method == "leave" else ""
    assert str(error.value) == f"STR-002: mine.py, line 4: ValueError: no (in {method}{when})"


@pytest.mark.parametrize("given", ["5", "['spot']", "[('spot', 'bybit')]", "[('spot', 'bybit', 1)]", "[('spot', 'bybit', '\\x1b[31m')]"])
def test_needs_are_series(given: str, tmp_path: Path) -> None:
    mine = custom(tmp_path, f"class Mine:\n    def decide(self, *of): ...\n    def needs(self, parameters):\n        return {given}\n")
    with pytest.raises(ComponentError, match=r"mine\.py: needs must return a list of \(kind, venue, name\)"):
        mine.needs(PARAMETERS)


@pytest.mark.parametrize(
    "given",
    [
        "5",
        "{'bybit': 5}",
        "{'bybit': {'USDT': 0.5}}",
        "{'bybit': {'USDT': -capital}}",
        "{'bybit': {'USDT': capital * Decimal('NaN')}}",
        "{'\\x07': {'USDT': capital}}",
    ],
)
def test_a_placement_is_amounts_by_venue_and_token(given: str, tmp_path: Path) -> None:
    placed = f"    def placed(self, capital, of):\n        return {given}\n"
    mine = custom(tmp_path, f"from decimal import Decimal\nclass Mine:\n    def decide(self, *of): ...\n{placed}")
    with pytest.raises(ComponentError, match=r"mine\.py: placed must return venue -> token -> Decimal"):
        mine.placed(Decimal(5), PARAMETERS)


def test_a_file_that_is_no_python_names_the_line(tmp_path: Path) -> None:
    assert refused(tmp_path, "x = 1\ndef broken(:\n").startswith("STR-001: mine.py, line 2: SyntaxError: invalid syntax")


def test_a_file_that_fails_while_it_is_read_names_the_line(tmp_path: Path) -> None:
    message = "STR-001: mine.py, line 2: ModuleNotFoundError: No module named 'not_there_at_all'"
    assert refused(tmp_path, "x = 1\nimport not_there_at_all\n") == message


def test_a_file_without_a_class_with_decide_is_refused(tmp_path: Path) -> None:
    code = "from pathlib import Path\nclass Other:\n    pass\n"
    wanted = "one class with a method decide, or a function decide"
    assert refused(tmp_path, code) == f"STR-001: mine.py must have {wanted}; it has none; write one"
    assert refused(tmp_path, code, "Mine") == "STR-001: mine.py has no class Mine with a method decide; it has none"


def test_of_two_classes_one_must_be_named(tmp_path: Path) -> None:
    code = "class A:\n    def decide(self, *of):\n        return ['a']\nclass B(A):\n    def decide(self, *of):\n        return ['b']\n"
    has = "it has A, B; name one of them in strategy.class"
    assert refused(tmp_path, code) == f"STR-001: mine.py must have one class with a method decide, {has}"
    assert decide(custom(tmp_path, code, "B")) == ["b"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match=r"STR-001: .*absent\.py cannot be read"):
        Custom(tmp_path / "absent.py", None, PARAMETERS)
    (tmp_path / "latin.py").write_bytes(b"# \xe9\n")
    with pytest.raises(ComponentError, match=r"STR-001: .*latin\.py cannot be read"):
        Custom(tmp_path / "latin.py", None, PARAMETERS)


def test_a_mode_without_a_strategy_says_which_there_are() -> None:
    with pytest.raises(ComponentError) as error:
        make_strategy("astrology", {}, {})
    assert str(error.value) == f"STR-001: strategy_mode astrology is not in this version; it has {', '.join(STRATEGIES)}"


# Hostile code.


def test_a_long_error_is_cut(tmp_path: Path) -> None:
    code = "class Mine:\n    def decide(self, *of):\n        raise RuntimeError('x' * 10**7)\n"
    said = refused(tmp_path, code)
    assert said == f"STR-002: mine.py, line 3: RuntimeError: {'x' * 486}… (cut: 10,000,014 characters){AT}"


def test_an_error_without_a_text_of_its_own_is_named(tmp_path: Path) -> None:
    code = """
        class Mute(Exception):
            def __str__(self):
                raise SystemExit("no text")
        class Mine:
            def decide(self, *of):
                raise Mute
    """
    assert refused(tmp_path, code) == f"STR-002: mine.py, line 7: Mute: its text cannot be read, as it raises SystemExit{AT}"
    interrupted = custom(tmp_path, code.replace('SystemExit("no text")', "KeyboardInterrupt"))
    with pytest.raises(KeyboardInterrupt):
        decide(interrupted)


ESCAPES = "\\x1b]0;x\\x07\\x1b[31m\\n\\u202e"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (f"class Mine:\n    def decide(self, *of):\n        raise RuntimeError('{ESCAPES}')\n", "STR-002: mine.py, line 3: RuntimeError: "),
        (f"raise RuntimeError('{ESCAPES}')\n", "STR-001: mine.py, line 1: RuntimeError: "),
        (f"class Mine:\n    def decide(self, *of):\n        raise type('{ESCAPES}', (Exception,), {{}})\n", "STR-002: mine.py, line 3: "),
    ],
)
def test_what_a_terminal_would_act_on_is_escaped_in_an_error(code: str, said: str, tmp_path: Path) -> None:
    message = refused(tmp_path, code)
    assert message.startswith(said)
    assert "\\x1b]0;x\\x07\\x1b[31m" in message


def test_and_in_the_names_of_classes_and_files(tmp_path: Path) -> None:
    code = f"for name in ('A', '{ESCAPES}'):\n    globals()[name] = type(name, (), {{'decide': lambda self, *of: []}})\n"
    assert refused(tmp_path, code).startswith("STR-001: mine.py must have one class with a method decide, it has \\x1b]0;x\\x07")
    path = tmp_path / "mine\x1b[31m.py"
    path.write_text("class Mine:\n    def decide(self, *of): return 5\n")
    with pytest.raises(ComponentError, match=r"^STR-002: mine\\x1b\[31m\.py: decide must return a list of blocks, got 5"):
        decide(Custom(path, None, PARAMETERS))


def test_defaults_of_a_decide_that_is_refused_are_not_asked_for_their_text(tmp_path: Path) -> None:
    code = """
        class Loud:
            def __repr__(self):
                raise RuntimeError
        class Mine:
            def decide(self, a=Loud(), *, b=Loud()): ...
    """
    forms = "def decide(self, step, memory) or def decide(self, snapshot, positions, parameters)"
    assert refused(tmp_path, code) == f"STR-001: mine.py: decide(a=…, *, b=…) is neither form of a strategy; write {forms}"


def test_a_decide_that_does_not_say_what_it_takes_is_refused(tmp_path: Path) -> None:
    code = "class Mine:\n    decide = staticmethod(max)\n"
    assert refused(tmp_path, code).startswith("STR-001: mine.py: what decide takes cannot be read; write def decide(step, memory) or ")


def test_a_file_that_goes_into_another_folder_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = """
        import os
        os.chdir("/")
        class Mine:
            def __init__(self):
                os.chdir("/")
            def decide(self, *of):
                return []
            def needs(self, parameters):
                os.chdir("/")
                return []
            leave = needs
    """
    mine = custom(tmp_path, code.replace("leave = needs", "def leave(self, *of): return self.needs(of)"))
    assert (mine.needs(PARAMETERS), mine.leave(NOW, None), Path.cwd()) == ([], ([], None), tmp_path)


def test_a_strategy_that_changes_the_decimal_context_is_refused(tmp_path: Path) -> None:
    code = "from decimal import getcontext\nclass Mine:\n    def decide(self, *of):\n        getcontext().prec = 9\n        return []\n"
    with localcontext(EXACT):
        said = refused(tmp_path, code)
    assert said == f"STR-002: mine.py: decide changed the decimal context; use decimal.localcontext() in it{AT}"
