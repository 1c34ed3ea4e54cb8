"""Text that is not ours, made fit for one line of a message."""

from __future__ import annotations

MOST_CHARACTERS = 500


def printable(text: str, most: int = MOST_CHARACTERS) -> str:
    """The text on one line: what a terminal would act on or cannot show becomes its escape (`\\x1b`, `\\n`), and what is longer than
    `most` characters is cut."""
    line = text[:most]
    if not line.isprintable():
        line = "".join([character if character.isprintable() else ascii(character)[1:-1] for character in line])
    return line if len(text) <= most else f"{line}… (cut: {len(text):,} characters)"
