"""A user's own blocks: each is sent at its own time, and what is wrong with one names its line."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.strategies.strategy import Step
from basis_strategy_v1.strategies.user_blocks import Blocks, numbered_blocks

from .markets import Held, at_price, step

AT = datetime(2024, 6, 1, tzinfo=UTC)


def blocks_file(folder: Path, text: str) -> Path:
    path = folder / "blocks.jsonl"
    path.write_text(text)
    return path


def at_hour(hours: int) -> Step:
    return step(at_price(1000, hours), Held(), {})


def test_blocks_come_in_order_of_time_each_once(tmp_path: Path) -> None:
    rows = '{"timestamp":"2024-06-01T02:00:00Z","block":{"n":2}}\n\n{"timestamp":"2024-06-01T03:00:00+02:00","block":{"n":1.10}}\n'
    blocks = Blocks(blocks_file(tmp_path, rows))
    assert blocks.instants == [to_instant(AT.replace(hour=1)), to_instant(AT.replace(hour=2))]
    sent = [blocks.decide(at_hour(hours), None) for hours in (0, 1, 2, 3)]
    assert sent == [([], None), ([{"n": Decimal("1.10")}], None), ([{"n": 2}], None), ([], None)]
    assert (blocks.leave(at_hour(2), None), blocks.needs({}), blocks.placed(Decimal(1), {})) == (([], None), (), {})


def test_a_refusal_names_the_lines_of_the_blocks_of_its_time(tmp_path: Path) -> None:
    times = ("02", "01", "02")
    rows = [f'{{"timestamp":"2024-06-01T{hour}:00:00Z","block":{{}}}}\n' for hour in times]
    blocks = Blocks(blocks_file(tmp_path, "".join(rows)))
    located = blocks.located(ComponentError("EIM-001", "of step 1: no", "CEXExecutionInterface"), AT.replace(hour=1))
    assert (str(located), located.component) == ("EIM-001: line 2 at 2024-06-01T01:00:00Z: of step 1: no", "CEXExecutionInterface")
    located = blocks.located(ComponentError("EXM-001", "nothing was sent. step 0: no; step 1: never"), AT.replace(hour=2))
    assert str(located) == "EXM-001: lines 1, 3 at 2024-06-01T02:00:00Z: nothing was sent. line 1: no; line 3: never"


def test_a_bare_block_happens_at_the_given_time(tmp_path: Path) -> None:
    path = blocks_file(tmp_path, '{"n": 1}\n{"block": {"n": 2}}\n')
    assert numbered_blocks(path, AT) == [(to_instant(AT), 1, {"n": 1}), (to_instant(AT), 2, {"n": 2})]


WRONG_LINES = [
    ("{", "not a JSON object"),
    ("[1]", "must be a JSON object"),
    ('{"n": 1}', 'has no "block"'),
    ('{"block": {}}', "has no timestamp"),
    ('{"block": {}, "timestamp": null}', "has no timestamp"),
    ('{"block": {}, "timestamp": 5}', "timestamp: 5 is no text; write an ISO time such as 2024-06-01T00:00:00Z"),
    ('{"block": {}, "timestamp": true}', "timestamp: true is no text; write an ISO time such as 2024-06-01T00:00:00Z"),
    ('{"block": {}, "timestamp": 1717279200.5}', "timestamp: 1717279200.5 is no text; write an ISO time such as 2024-06-01T00:00:00Z"),
    ('{"block": {}, "timestamp": ["2024-06-01T00:00:00Z"]}', 'timestamp: ["2024-06-01T00:00:00Z"] is no text; write an ISO time such as'),
    ('{"block": {}, "timestamp": 1717279200}', "timestamp: 1717279200 is no text; write an ISO time, perhaps 2024-06-01T22:00:00Z"),
    ('{"block": {}, "timestamp": 1717279200000}', "timestamp: 1717279200000 is no text; write an ISO time, perhaps 2024-06-01T22:00:00Z"),
    (
        '{"block": {}, "timestamp": 1717279200000000}',
        "timestamp: 1717279200000000 is no text; write an ISO time, perhaps 2024-06-01T22:00:00Z",
    ),
    ('{"block": {}, "timestamp": "yesterday"}', "timestamp: Invalid isoformat string"),
    ('{"block": {}, "timestamp": "2024-06-01T00:00:00"}', "timestamp: a timestamp needs a time zone"),
    ('{"block": {}, "timestamp": "2024-06-01T00:00:00Z", "note": 1}', "unknown field note"),
]


@pytest.mark.parametrize(("line", "why"), WRONG_LINES)
def test_a_wrong_line_is_named(line: str, why: str, tmp_path: Path) -> None:
    good = '{"timestamp": "2024-06-01T00:00:00Z", "block": {}}'
    with pytest.raises(ComponentError) as error:
        Blocks(blocks_file(tmp_path, f"{good}\n{line}\n"))
    assert str(error.value).startswith(f"STR-001: {tmp_path / 'blocks.jsonl'}, line 2: {why}")


def test_a_file_of_blocks_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match=r"STR-001: .*none\.jsonl cannot be read: No such file or directory; give a JSONL file"):
        numbered_blocks(tmp_path / "none.jsonl")
