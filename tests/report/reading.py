"""A page as a reader without a browser has it: its elements, its tables, its text."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_NO_END = frozenset({"meta", "link", "input"})


class Page(HTMLParser):
    """`elements`: (tag, attributes) in order; `rows`: the texts of every row of cells; `exact`: the same with every digit of what is
    rounded; `text`: all that is shown; `data`: the figures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.exact: list[list[str]] = []
        self.text = ""
        self.data: dict[str, Any] = {}
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        assert self._open == []

    def figure(self, name: str) -> dict[str, Any]:
        return next(figure for figure in self.data["figures"] if figure["id"] == f"figure-{name}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _NO_END:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
            self.exact.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.exact[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        if "script" in self._open:
            if self.elements[-1][1].get("id") == "run-data":
                self.data = json.loads(data)
            return
        self.text += data
        if "td" in self._open or "th" in self._open:
            self.rows[-1][-1] += data
            tag, given = self.elements[-1]
            self.exact[-1][-1] += (given.get("title") if tag == self._open[-1] == "span" else None) or data
