"""The page of error codes is the registry's."""

from __future__ import annotations

import runpy
from pathlib import Path

from basis_strategy_v1.core.error_codes.error_code_registry import REGISTRY
from basis_strategy_v1.monitoring import error_page

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


def test_the_page_in_the_docs_is_what_the_registry_says():
    assert PAGE.read_text(encoding="utf-8") == error_page.render_error_table(), (
        "run: python -m basis_strategy_v1.monitoring.error_page > docs/errors.md"
    )


def test_every_code_has_one_row_with_all_that_the_registry_has():
    rows = [line for line in error_page.render_error_table().splitlines() if line[2:9] in REGISTRY]
    assert rows == [
        f"| {row.code} | {row.severity} | {row.message} | {row.resolution} |"
        for component in dict.fromkeys(row.component for row in REGISTRY.values())
        for row in REGISTRY.values()
        if row.component == component
    ]


def test_every_component_has_one_heading():
    headings = [line[3:] for line in error_page.render_error_table().splitlines() if line.startswith("## ")]
    assert headings == list(dict.fromkeys(row.component for row in REGISTRY.values()))


def test_the_module_prints_the_page(capsys):
    runpy.run_path(str(error_page.__file__), run_name="__main__")
    assert capsys.readouterr().out == error_page.render_error_table()
