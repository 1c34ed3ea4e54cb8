"""What the last run of mutmut left alive, by file and kind. Ends with 1 where a survivor is of no kind that docs/testing.md explains."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path

from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|FROM|WHERE|AND|ORDER BY|PRAGMA|BEGIN IMMEDIATE|COMMIT|ROLLBACK)\b|\b(row|own|found)\[")
TEXTS_IN_SQL = re.compile(r"(?<!\[)'[^']*'")  # a text is compared as it is written; a column in brackets is not
UNEXPLAINED = "unexplained"


def kind_of(before: str, after: str) -> str:
    """The kind of a change from one line to another."""
    is_case = before.lower() == after.lower() and SQL.search(before)
    if is_case and TEXTS_IN_SQL.findall(before) == TEXTS_IN_SQL.findall(after):
        return "case of SQL"
    if before.startswith("assert ") and before.split(', "', maxsplit=1)[0] == after.split(', "', maxsplit=1)[0]:
        return "text of an assertion"
    if before.replace("synced=False", "synced=None") == after:
        return "None for False"
    if before.startswith("return sum(") and before.replace(", ZERO)", ", )") == after:
        return "start of a sum"
    return UNEXPLAINED


def changed_lines(name: str) -> tuple[str, str]:
    """The lines that a mutant changes: before, after."""
    lines = get_diff_for_mutant(name).splitlines()[2:]
    before, after = ("\n".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return before, after


def main() -> int:
    unexplained: list[str] = []
    print("| file | mutants | killed | out of time | not tried | survivors, by kind |")
    print("|---|---|---|---|---|---|")
    for meta in sorted(Path("mutants/src").rglob("*.meta")):
        codes = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
        if not codes:
            continue
        states = Counter(status_by_exit_code[code] for code in codes.values())
        kinds: Counter[str] = Counter()
        for name, code in codes.items():
            if status_by_exit_code[code] in ("killed", "timeout", "not checked"):
                continue
            before, after = changed_lines(name)
            kind = kind_of(before, after) if status_by_exit_code[code] == "survived" else status_by_exit_code[code]
            kinds[kind] += 1
            if kind == UNEXPLAINED:
                unexplained.append(f"{name}\n  - {before}\n  + {after}")
        left = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none"
        file = meta.relative_to("mutants/src/basis_strategy_v1").with_suffix("")
        print(f"| `{file}` | {len(codes)} | {states['killed']} | {states['timeout']} | {states['not checked']} | {left} |")
    print(*unexplained, sep="\n")
    return bool(unexplained)


if __name__ == "__main__":
    sys.exit(main())
