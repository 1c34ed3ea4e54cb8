"""Texts from outside: any object's, and on one line of a terminal or a log."""

from __future__ import annotations


def printable(text: str) -> str:
    """A text as a part of one line: what would move the cursor, break the line or cannot be encoded is escaped."""
    if text.isprintable():
        return text
    return "".join([letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text])


def as_text(value: object) -> str:
    """`str(value)`, or what stands for it where that fails: the object may be a stranger's, and raise anything."""
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 any code at all
        return f"<{type(value).__name__} whose text raises {type(error).__name__}>"


def one_line(text: str, most: int = 500) -> str:
    """A text of any length as a part of one line: its first `most` characters, with how many there are where that is not all."""
    line = printable(" ".join(text[:most].split()))
    return line if len(text) <= most else f"{line}… (cut: {len(text):,} characters)"
