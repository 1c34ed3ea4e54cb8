"""YAML files: data and nothing else, and one clear line for each that is not."""

from __future__ import annotations

import os
import time
from decimal import Decimal
from pathlib import Path

import pytest

from basis_strategy_v1.config import Config, ConfigError, load_config
from basis_strategy_v1.core.figure import Figure

RIGHT = "strategy_mode: eth_basis\nshare_class: usdt_stable\ninitial_capital: 100000\nvenues: {cex: [bybit]}\n"


def load(text: str | bytes) -> Config:
    file = Path("run.yaml")
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(file)


def lines_of(text: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text)
    return caught.value.message.splitlines()


def test_a_file_is_read() -> None:
    assert load("\ufeff# a config\n" + RIGHT).initial_capital == Decimal(100000)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0.1", Decimal("0.1")),
        ("0.12345678901234567890123456789", Decimal("0.12345678901234567890123456789")),
        ("1e5", Decimal("1E+5")),
        ("1_000", Decimal(1000)),
    ],
)
def test_numbers_are_read_as_written(written: str, read: Decimal) -> None:
    assert load(RIGHT.replace("100000", written)).initial_capital == read


def test_an_address_without_quotes_is_no_number() -> None:
    address = "0x" + "12" * 20
    config = load(RIGHT.replace("{cex: [bybit]}", f"{{onchain: {{aave: {{pool: {address}, revision: 3.0}}}}}}"))
    assert config.venues.onchain["aave"].pool == address


@pytest.mark.parametrize("written", [".nan", ".inf", "-.inf", "NaN", "0x10", "1:30", "yes", "true", "2024-06-01", "", "~", "[1]"])
def test_what_is_no_number_is_refused(written: str) -> None:
    lines = lines_of(RIGHT.replace("100000", written))
    assert len(lines) == 1
    assert lines[0].startswith("initial_capital: ")


def test_duplicate_keys_are_faults_alongside_the_others() -> None:
    text = RIGHT + "interval: 1h\nventue_timeout: 1\ninterval: 2h\ndata: {missing_funding: zero, missing_funding: error}\n"
    assert [line.partition("; allowed")[0] for line in lines_of(text)] == [
        "interval: duplicate key, again in run.yaml line 7",
        "data.missing_funding: duplicate key, again in run.yaml line 8",
        "ventue_timeout: unknown key, did you mean venue_timeout?",
    ]


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system ['touch made']", "!!python/name:os.system ''", "!!set {a}", "!own x", "!!str x"]
)
def test_tags_are_refused_and_build_nothing(tag: str) -> None:
    lines = lines_of(RIGHT.replace("eth_basis", tag))
    assert lines[0].startswith("strategy_mode: the tag ")
    assert not Path("made").exists()


def test_a_billion_laughs_are_refused_quickly() -> None:
    laughs = ["a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    laughs += [f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in zip("abcdefgh", "bcdefghi", strict=True)]
    began = time.process_time()
    lines = lines_of("\n".join(laughs))
    assert time.process_time() - began < 5  # without the limit it would be minutes
    assert lines == ["run.yaml line 5: too many values once aliases are expanded; allowed: at most 20000 values"]


def test_an_alias_within_its_own_anchor_is_refused() -> None:
    assert lines_of("strategy: &s {parameters: *s}\n") == [
        "run.yaml line 1: the alias *s without its anchor; allowed: an alias of what is complete above it"
    ]


def test_an_honest_alias_is_read() -> None:
    config = load(RIGHT.replace("{cex: [bybit]}", "\n  cex:\n    bybit: &fees {slippage_bps: 2}\n    okx: *fees\n"))
    assert config.venues.cex["okx"].slippage_bps == Figure(Decimal(2))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "run.yaml: empty; allowed: a YAML mapping"),
        ("\n \n", "run.yaml: empty; allowed: a YAML mapping"),
        ("# only a remark\n", "run.yaml: empty; allowed: a YAML mapping"),
        (b"a: \xff\n", "run.yaml: not UTF-8 at byte 3; allowed: UTF-8 text"),
        ("a: [1\n", "run.yaml line 2, column 1: not YAML (expected ',' or ']', but got '<stream end>'); allowed: valid YAML"),
        ("a: \x07\n", "run.yaml: not YAML (control characters); allowed: printable UTF-8 text"),
        ("[" * 1000, "run.yaml line 1: nested too deeply; allowed: at most 32 levels"),
        ("? [a]\n: 1\n", "run.yaml line 1: a list or mapping as key; allowed: a text as key"),
        ("- a\n", "config: a list of 1; allowed: a mapping, or the path of a YAML file"),
        ("just text\n", "config: 'just text'; allowed: a mapping, or the path of a YAML file"),
        ("#" * 300_000, "run.yaml: 300000 bytes; allowed: at most 262144 bytes"),
    ],
)
def test_a_file_that_is_no_config_gets_one_clear_line(text: str | bytes, line: str) -> None:
    assert lines_of(text) == [line]


def test_a_second_document_is_a_fault() -> None:
    assert lines_of(RIGHT + "---\n" + RIGHT) == ["run.yaml: more than one document; allowed: one document"]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("gone.yaml", "gone.yaml: not found; allowed: a YAML file that can be read"),
        ("", ".: a directory; allowed: a YAML file that can be read"),
        ("mine.py/x", "mine.py/x: cannot be read (Not a directory); allowed: a YAML file that can be read"),
        ("nul\0byte", "\"'nul\\\\x00byte'\": no possible file name; allowed: a YAML file that can be read"),
        ("two\nlines", "'two\\nlines': not found; allowed: a YAML file that can be read"),
    ],
)
def test_a_path_that_leads_nowhere_gets_one_clear_line(path: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.message == line.replace("\"'nul\\\\x00byte'\"", "'nul\\x00byte'")


def test_a_pipe_is_not_waited_for() -> None:
    os.mkfifo("pipe.yaml")
    with pytest.raises(ConfigError, match=r"pipe\.yaml: not a regular file"):
        load_config("pipe.yaml")


@pytest.mark.parametrize(
    ("written", "number"),
    [("50,000", "50000"), ("100k", "100000"), ("1.5M", "1500000"), ("$100'000", "100000"), ("2 500.50", "2500.5")],
)
def test_a_number_written_for_people_is_answered_once_with_the_number_to_write(written: str, number: str) -> None:
    [line] = lines_of(RIGHT.replace("100000", f'"{written}"'))
    assert line.endswith(f"; allowed: a number above 0 and at most 1e15; write {number}")
