"""A user's Python file: the strategy in it, what it takes, and what its errors say."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib import invalidate_caches
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from basis_strategy_v1.core.amounts import text_of
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.memory import kinds_by_name
from basis_strategy_v1.core.text import one_line, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

NOT_FAILURES = (KeyboardInterrupt, GeneratorExit)  # all else that a user's code raises is one, SystemExit too
NEIGHBOURS = "__neighbours__"  # of a strategy's module: the files of its folder that it imported
NEW_FORM, SIMPLE_FORM = ("step", "memory"), ("snapshot", "positions", "parameters")


def read_module(path: Path) -> ModuleType:
    """Run the file, as an import would.

    Raises:
        ComponentError: STR-001, it cannot be read, or what it raised, with the line.
    """
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        message = f"{printable(str(path))} cannot be read: {one_line(str(fault))}; give the path of a Python file"
        raise ComponentError("STR-001", message) from fault
    name = f"basis_user_strategy_{path.stem}"
    spec = importlib.util.spec_from_loader(name, loader=None, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        with keeping_directory(), importing_neighbours(path.parent) as neighbours:
            exec(compile(source, str(path), "exec"), module.__dict__)
    except NOT_FAILURES:
        raise
    except BaseException as error:  # what a user's code raises cannot be known
        message = f"{printable(path.name)}{line_in(error, path)}: {error_text(error)}"
        raise ComponentError("STR-001", message, original_exception=error) from error
    module.__dict__[NEIGHBOURS] = tuple(neighbours)
    return module


@contextmanager
def importing_neighbours(folder: Path) -> Iterator[list[Path]]:
    """Let a file import what lies in its folder, as Python does for a program; gives the files that it did import.

    They are read again by the next run in this process: what one changes in them the next does not see.
    """
    folder, found, before = folder.absolute(), list[Path](), set(sys.modules)
    sys.path.insert(0, str(folder))
    invalidate_caches()
    try:
        yield found
    finally:
        with suppress(ValueError):
            sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            file, top = getattr(sys.modules[name], "__file__", None), name.partition(".")[0]
            if file is not None and (Path(file) == folder / f"{top}.py" or Path(file).is_relative_to(folder / top)):
                found.append(Path(file))
                del sys.modules[name]
        found.sort()


def digest_of(files: Sequence[Path]) -> str:
    """A digest of the names and the content of files; empty of none."""
    digest = sha256()
    for file in files:
        digest.update(f"{file.name} ".encode() + (file.read_bytes() if file.is_file() else b""))
    return digest.hexdigest() if files else ""


def module_of(given: Any) -> ModuleType:
    """The module of a strategy that was handed over."""
    return sys.modules[getattr(given, "__module__", "")] if getattr(given, "__module__", "") in sys.modules else ModuleType("strategy")


@contextmanager
def keeping_directory() -> Iterator[None]:
    """Come back to the working directory, which a user's code may leave: what the command line names lies there."""
    here = os.open(".", os.O_PATH)
    try:
        yield
    finally:
        os.fchdir(here)
        os.close(here)


def strategy_in(module: ModuleType, path: Path, name: str | None) -> Any:
    """The class of the file with a method `decide`, or, where it has no such class, the file itself with its function `decide`.

    Raises:
        ComponentError: STR-001, there is none, more than one, or not the one that is named.
    """
    file = printable(path.name)
    classes = {
        found.__name__: found
        for found in vars(module).values()
        if isinstance(found, type) and found.__module__ == module.__name__ and callable(getattr(found, "decide", None))
    }
    if name is not None:
        if name not in classes:
            has = ", ".join(map(printable, classes)) or "none"
            raise ComponentError("STR-001", f"{file} has no class {name} with a method decide; it has {has}")
        return classes[name]
    if len(classes) == 1:
        return next(iter(classes.values()))
    if classes:
        has = ", ".join(map(printable, sorted(classes)))
        raise ComponentError(
            "STR-001", f"{file} must have one class with a method decide, it has {has}; name one of them in strategy.class"
        )
    function = vars(module).get("decide")
    if callable(function) and not isinstance(function, type):
        return module
    raise ComponentError("STR-001", f"{file} must have one class with a method decide, or a function decide; it has none; write one")


def structs_in(module: ModuleType, path: Path) -> tuple[type[Struct], ...]:
    """The Structs of the file, its own and those that it imports by name: what its memory may hold.

    Raises:
        ComponentError: STR-001, two of them have the same name.
    """
    found = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Struct) and value is not Struct]
    try:
        return tuple(kinds_by_name(found).values())
    except ValueError as fault:
        raise ComponentError("STR-001", f"{printable(path.name)}: {one_line(str(fault))}") from None


def takes_memory(function: Callable[..., Any], method: str, path: Path) -> bool:
    """Whether `decide` or `leave` has the form (step, memory); False: (snapshot, positions, parameters).

    Two required arguments make the one, three the other; `*arguments` alone, or after one, are given the three.

    Raises:
        ComponentError: STR-001, it has neither.
    """
    file, bound = printable(path.name), "self, " if inspect.ismethod(function) else ""
    forms = " or ".join(f"def {method}({bound}{', '.join(form)})" for form in (NEW_FORM, SIMPLE_FORM))
    try:
        taken = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # not every callable says what it takes
        raise ComponentError("STR-001", f"{file}: what {method} takes cannot be read; write {forms}") from None
    required = [parameter for parameter in taken if parameter.default is parameter.empty]
    places = [parameter for parameter in required if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)]
    is_open = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in taken)
    needs_words = any(parameter.kind is parameter.KEYWORD_ONLY for parameter in required)
    if not needs_words and len(places) == len(NEW_FORM):
        return True
    if not needs_words and (len(places) == len(SIMPLE_FORM) or (is_open and len(places) < len(NEW_FORM))):
        return False
    given = one_line(", ".join(_written(taken)))
    raise ComponentError("STR-001", f"{file}: {method}({given}) is neither form of a strategy; write {forms}")


def _written(parameters: Sequence[inspect.Parameter]) -> Iterator[str]:
    """The parameters without their defaults and annotations, whose texts are the user's own objects'."""
    stars = {inspect.Parameter.VAR_POSITIONAL.name: "*", inspect.Parameter.VAR_KEYWORD.name: "**"}
    starred = False
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            yield "*"
        starred = starred or parameter.kind in (parameter.VAR_POSITIONAL, parameter.KEYWORD_ONLY)
        yield f"{stars.get(parameter.kind.name, '')}{parameter.name}{'' if parameter.default is parameter.empty else '=…'}"


def error_text(error: BaseException) -> str:
    """What an exception says, on one line, cut at a length; its type where it says nothing or cannot."""
    try:
        said = text_of(str(error)) or ""
    except NOT_FAILURES:
        raise
    except BaseException as fault:  # noqa: BLE001 the text is the user's own code too
        said = f"its text cannot be read, as it raises {type(fault).__name__}"
    name = type(error).__name__
    return one_line(f"{name}: {said}" if said.strip() else name)


def line_in(error: BaseException, path: Path) -> str:
    """`, line 5`: where in the file it was raised; nothing where that was elsewhere."""
    if isinstance(error, SyntaxError) and type(error.lineno) is int and error.lineno:
        return f", line {error.lineno}"
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f", line {line}" if line else ""
