"""Only one parser of rows exists: `data/row_reader.py`, fed by the modules that open files (docs/data.md names them)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import basis_strategy_v1

PACKAGE = Path(basis_strategy_v1.__file__).parent
# What reads rows of a table, in this package's dependencies and in the standard library.
READS_ROWS = re.compile(
    r"\b(csv\.(reader|DictReader|read_csv|open_csv)|read_csv|read_csv_auto|read_parquet|read_json|ParquetFile|read_table)\b"
)
OPENS_FILES = {"data/row_files.py", "data/vendor_tables.py"}
OF_RESULTS = {"report/run_folder.py", "app/commands.py", "app/arrow_table.py"}  # read back what a run wrote


def found(pattern: re.Pattern[str]) -> set[str]:
    return {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if pattern.search(path.read_text())}


def test_files_of_rows_are_opened_in_the_modules_that_feed_the_reader_and_nowhere_else() -> None:
    assert found(READS_ROWS) - OF_RESULTS == {name for name in OPENS_FILES if (PACKAGE / name).is_file()}


@pytest.mark.parametrize("rule", ["row_values", "parse_stamp", "parse_number", "require_bar"])
def test_the_rules_of_a_row_are_asked_by_the_reader_alone(rule: str) -> None:
    callers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == rule
    }
    assert callers <= {"data/row_reader.py", "data/arrow_columns.py", "data/rows.py", "data/row_files.py"}
