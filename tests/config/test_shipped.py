"""The configs that ship with the project, the schema and the page made from the tables."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from basis_strategy_v1.config import json_schema, load_config
from basis_strategy_v1.config.page import render_page
from basis_strategy_v1.config.yaml_reader import read_yaml

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "config").glob("*.yaml"))


def test_there_are_configs() -> None:
    assert {path.stem for path in SHIPPED} >= {"pure_lending", "eth_basis", "btc_basis", "blocks", "custom"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_config_can_be_run(path: Path) -> None:
    assert load_config(path, run=True).strategy


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_the_schema_accepts_a_shipped_config(path: Path) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(read_yaml(path, []))


def test_the_schema_is_a_schema_and_plain_json() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "config.md").read_text(encoding="utf-8") == render_page(), "write it again: render_page()"
