"""YAML as data only: no tags, no duplicate keys, no bombs, numbers exactly as written.

PyYAML's own constructors are not used: YAML 1.1 reads an address 0x… as a number, `no` as false and 1:30 as 90.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.config.faults import ConfigError, Fault, joined

if TYPE_CHECKING:
    from yaml.events import Event

LARGEST_FILE = 256 * 1024
MOST_NODES = 20_000
DEEPEST = 32

_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "Null": None, "NULL": None,
                          "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}  # fmt: skip
_WITH_UNDERSCORES = re.compile(r"[-+]?[0-9]{1,3}(_[0-9]{3})+(\.[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,100}")
_FRACTION = re.compile(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][+-]?[0-9]{1,4})?")


def read_yaml(path: Path, faults: list[Fault]) -> Any:
    """The data in a YAML file; duplicate keys and tags go to `faults`, and reading goes on.

    Raises:
        ConfigError: the file cannot be read, is not YAML, or expands beyond the limits.
    """
    return read_yaml_text(_text_of(path), faults, path.name)


def read_yaml_text(text: str, faults: list[Fault], name: str) -> Any:
    """The data in a text of YAML, as `read_yaml`; `name` is what messages call it. An empty text is null."""
    import yaml

    if not text.strip():
        return None
    try:
        return _Builder(yaml.parse(text, Loader=yaml.SafeLoader), faults, name).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name} line {mark.line + 1}, column {mark.column + 1}" if mark else name
        raise _refusal(where, f"not YAML ({error.problem or error.context})", "valid YAML") from None
    except yaml.YAMLError:
        raise _refusal(name, "not YAML (control characters)", "printable UTF-8 text") from None


def _text_of(path: Path) -> str:
    allowed = "a YAML file that can be read"
    try:
        status = path.stat()
        if not S_ISREG(status.st_mode):
            raise _refusal(str(path), "a directory" if S_ISDIR(status.st_mode) else "not a regular file", allowed)
        if status.st_size > LARGEST_FILE:
            raise _refusal(str(path), f"{status.st_size} bytes", f"at most {LARGEST_FILE} bytes")
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise _refusal(str(path), "not found", allowed) from None
    except UnicodeDecodeError as error:
        raise _refusal(str(path), f"not UTF-8 at byte {error.start}", "UTF-8 text") from None
    except OSError as error:
        raise _refusal(str(path), f"cannot be read ({error.strerror})", allowed) from None
    except ValueError:  # a NUL or a lone surrogate in the name
        raise _refusal(repr(str(path)[:80]), "no possible file name", allowed) from None
    if not text.strip():
        raise _refusal(str(path), "empty", "a YAML mapping")
    return text


def _refusal(path: str, value: str, allowed: str) -> ConfigError:
    name = path if path.isprintable() else repr(path)
    return ConfigError([Fault(name if len(name) <= 200 else f"{name[:197]}...", value, allowed)])


class _Builder:
    """Builds plain data from parser events, counting what aliases expand to."""

    def __init__(self, events: Iterator[Event], faults: list[Fault], name: str) -> None:
        self.events = events
        self.faults = faults
        self.name = name
        self.nodes = 0
        self.anchors: dict[str, tuple[Any, int]] = {}

    def document(self) -> Any:
        """The one document of the stream."""
        import yaml

        next(self.events)  # the stream's start
        if isinstance(next(self.events), yaml.StreamEndEvent):
            raise _refusal(self.name, "empty", "a YAML mapping")
        value = self._value(next(self.events), "", 0)
        next(self.events)  # the document's end
        if not isinstance(next(self.events), yaml.StreamEndEvent):
            self.faults.append(Fault(self.name, "more than one document", "one document"))
        return value

    def _value(self, event: Any, path: str, depth: int) -> Any:
        import yaml

        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        before = self.nodes
        self._count(1, event)
        self._refuse_tag(event, path)
        if depth > DEEPEST:
            raise _refusal(self._line(event), "nested too deeply", f"at most {DEEPEST} levels")
        value = self._content(event, path, depth)
        if event.anchor:
            self.anchors[event.anchor] = (value, self.nodes - before)
        return value

    def _content(self, event: Any, path: str, depth: int) -> Any:
        import yaml

        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event.value) if event.style is None else event.value
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path, depth)
        return self._sequence(path, depth)

    def _mapping(self, path: str, depth: int) -> dict[Any, Any]:
        import yaml

        found: dict[Any, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._value(event, path, depth + 1)
            line = self._line(event)
            if isinstance(key, dict | list):
                raise _refusal(line, "a list or mapping as key", "a text as key")
            where = joined(path, key)
            value = self._value(next(self.events), where, depth + 1)
            if key in found:
                self.faults.append(Fault(where, f"duplicate key, again in {line}", "each key once"))
            else:
                found[key] = value
        return found

    def _sequence(self, path: str, depth: int) -> list[Any]:
        import yaml

        found: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            found.append(self._value(event, f"{path}[{len(found)}]", depth + 1))
        return found

    def _alias(self, event: Any, path: str) -> Any:
        if event.anchor not in self.anchors:
            raise _refusal(self._line(event), f"the alias *{event.anchor[:40]} without its anchor", "an alias of what is complete above it")
        value, size = self.anchors[event.anchor]
        self._count(size, event)
        return value

    def _count(self, size: int, event: Any) -> None:
        self.nodes += size
        if self.nodes > MOST_NODES:
            raise _refusal(self._line(event), "too many values once aliases are expanded", f"at most {MOST_NODES} values")

    def _refuse_tag(self, event: Any, path: str) -> None:
        if event.tag is not None:
            self.faults.append(Fault(path or self._line(event), f"the tag {event.tag[:80]!r}", "no tags: a config is plain data"))

    def _line(self, event: Any) -> str:
        return f"{self.name} line {event.start_mark.line + 1}"


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _WITH_UNDERSCORES.fullmatch(text):
        text = text.replace("_", "")
    if _INTEGER.fullmatch(text):
        return int(text)
    return Decimal(text) if _FRACTION.fullmatch(text) else text
