"""What the documents name exists: files, commands, options, packages, tables; and every answer they show is what the program gives."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from basis_strategy_v1 import ComponentError
from basis_strategy_v1.cli import app
from basis_strategy_v1.core.attribution_sources import table
from basis_strategy_v1.core.instructions import ACTIONS, TYPES
from basis_strategy_v1.strategies import STRATEGIES
from basis_strategy_v1.venues.registry import VENUES, offering

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "src" / "basis_strategy_v1"
PAGES = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
DOCUMENTS = [*PAGES, *sorted(str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "docs").rglob("*.md"))]
# Where a name in the text may be meant from, next to the document's own folder.
ROOTS = (REPOSITORY, REPOSITORY / "docs", PACKAGE, PACKAGE / "venues", PACKAGE / "strategies")
WRITTEN = re.compile(r"(?:\.\./|[\w.-]+/)*[\w.-]+\.(?:py|md|yaml|yml|toml|jsonl|lock|sol|mjs)\b")
WRITTEN_BY_A_RUN = {"config.yaml"}


def text_of(document: str) -> str:
    return (REPOSITORY / document).read_text(encoding="utf-8")


@cache
def commands() -> dict[str, set[str]]:
    """command (`data sample`) -> its options."""
    root: Any = typer.main.get_command(app)
    found = {}
    for name, command in root.commands.items():
        for words, each in [(f"{name} {inner}", each) for inner, each in getattr(command, "commands", {}).items()] or [(name, command)]:
            found[words] = {option for parameter in each.params for option in parameter.opts if option.startswith("--")} | {"--help"}
    return found


@cache
def groups() -> dict[str, Any]:
    """The commands that have commands of their own (`data`), with these."""
    root: Any = typer.main.get_command(app)
    return {name: command.commands for name, command in root.commands.items() if hasattr(command, "commands")}


def named_commands(text: str) -> list[list[str]]:
    """The words after `basis` in every code span and every indented or fenced line."""
    spans = re.findall(r"`((?:\.venv/bin/)?basis [^`\n]+)`", text)
    lines = re.findall(r"^(?:    |\$ )?((?:\.venv/bin/)?basis .+)$", text, re.MULTILINE)
    return [re.split(r"  +#?", found)[0].split()[1:] for found in (*spans, *lines)]


def faults_of(words: list[str]) -> list[str]:
    name = " ".join(words[:2]) if words[0] in groups() else words[0]
    if name in ("COMMAND", "--help", *groups()):
        return []
    if name not in commands():
        return [f"basis {name}"]
    return [f"basis {name} {word}" for word in words if word.startswith("--") and word not in commands()[name]]


@pytest.mark.parametrize("document", PAGES)
def test_every_file_that_a_document_names_exists(document: str) -> None:
    named = set(WRITTEN.findall(text_of(document))) - WRITTEN_BY_A_RUN
    assert sorted(name for name in named if not any((root / name).exists() for root in ROOTS)) == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document: str) -> None:
    faults = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(document)):
        path, _, anchor = target.partition("#")
        if path.startswith("https://"):
            continue
        file = (REPOSITORY / document).parent / path if path else REPOSITORY / document
        headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE) if file.suffix == ".md" else []
        if not file.exists() or (anchor and anchor not in {heading.lower().replace(" ", "-") for heading in headings}):
            faults.append(target)
    assert faults == []


@pytest.mark.parametrize("document", [document for document in DOCUMENTS if document not in ("docs/data.md", "docs/errors.md")])
def test_every_command_that_a_document_names_is_one(document: str) -> None:
    assert [fault for words in named_commands(text_of(document)) for fault in faults_of(words)] == []


def test_every_command_has_an_example_that_it_would_take() -> None:
    root: Any = typer.main.get_command(app)
    every = {name: command for name, command in root.commands.items() if name not in groups()}
    every |= {f"{group} {name}": command for group, commands in groups().items() for name, command in commands.items()}
    faults = []
    for name, command in every.items():
        program, *words = shlex.split((command.epilog or "").removeprefix("Example: "))
        faults += faults_of(words) if program == "basis" and words[: len(name.split())] == name.split() else [f"{name}: {command.epilog}"]
        faults += [word for word in words if word.startswith(("config/", "examples/")) and not (REPOSITORY / word).is_file()]
    assert faults == []


def test_the_first_page_is_short_and_opens_with_the_commands_of_users_and_of_contributors() -> None:
    lines = text_of("README.md").splitlines()
    assert len(lines) < 160
    commands = [line.split("#")[0].strip() for line in lines[:25] if line.startswith("    ")]
    assert commands == [
        "pip install .",
        "basis data sample build/sample",
        "basis backtest config/eth_basis.yaml --data build/sample",
        "make backtest",
        "make fast",
        "make check",
    ]


def test_the_page_on_strategies_has_the_table_of_the_sources_of_profit() -> None:
    assert table() in text_of("docs/strategies.md")


def test_the_page_for_contributors_counts_the_import_rules_as_they_are() -> None:
    contracts = tomllib.loads(text_of("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    assert f"Contracts: {len(contracts)} kept, 0 broken." in text_of("CONTRIBUTING.md")


def test_readme_names_every_type_of_block() -> None:
    assert tuple(re.findall(r"^\| `(cex_trade|wallet_transfer|smart_contract_action)` \|", text_of("README.md"), re.MULTILINE)) == (
        "cex_trade",
        "wallet_transfer",
        "smart_contract_action",
    )
    assert set(TYPES) == {"cex_trade", "wallet_transfer", "smart_contract_action"}


def test_the_picture_shows_every_package() -> None:
    picture = text_of("ARCHITECTURE.md").split("```")[1]
    packages = {f"{path.name}/" for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    files = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"\w+/", picture)) == packages
    assert set(re.findall(r"\w+\.py", picture)) == files


def test_every_strategy_has_a_section() -> None:
    headings = ", ".join(re.findall(r"^## (.+)$", text_of("docs/strategies.md"), re.MULTILINE))
    assert set(headings.split(", ")) == set(STRATEGIES)


def test_every_action_of_a_protocol_is_in_the_table_of_instructions() -> None:
    rows = re.findall(
        r"^\| (`.+?`) \| (.+?) \| (.+?) \|", text_of("docs/instructions.md").split("## smart_contract_action")[1], re.MULTILINE
    )
    expected = {
        (action, protocol)
        for actions, protocols, _ in rows
        for action in re.findall(r"`(\w+)`", actions)
        for protocol in VENUES
        if protocol in protocols
    }
    real = {(action, name) for action in ACTIONS for name in offering(action)}
    assert {(action, protocol) for action, protocol in expected if action in ACTIONS} == real


def test_every_decision_is_numbered_and_has_its_parts() -> None:
    pages = sorted((REPOSITORY / "docs" / "decisions").glob("*.md"))
    assert [path.name[:4] for path in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:4]} ")
        assert "**Question.**" in text or "**Context.**" in text
        assert "**Decision.**" in text
        assert "**What follows.**" in text or "**Consequences.**" in text


def test_every_dependency_has_its_row_in_the_decision() -> None:
    wanted = {re.split(r"[><=]", name)[0] for name in tomllib.loads(text_of("pyproject.toml"))["project"]["dependencies"]}
    rows = re.findall(r"^\| (\w+) \| .+ \| .+ \| .+ \|$", text_of("docs/decisions/0009-dependencies.md"), re.MULTILINE)
    assert set(rows) - {"package"} == wanted


# The answers in docs/instructions.md.

EXCHANGE = re.compile(r"```json\n((?:(?!```).)*?)```\n(gives|is refused with)\n```(?:json|text)\n(.*?)\n```", re.DOTALL)


def answered(manager: Any, at: Any, block: Any) -> str:
    try:
        return json.dumps(manager.route_instruction(at, block))
    except ComponentError as error:
        return f"{error.error_code}: {error.message}"


def test_every_block_in_the_instructions_gives_the_answer_next_to_it() -> None:
    page = text_of("docs/instructions.md")
    setting = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert setting is not None
    names: dict[str, Any] = {}
    exec(setting[1], names)
    found = EXCHANGE.findall(page)
    assert len(found) == page.count("\ngives\n") + page.count("\nis refused with\n") > 0
    answers = [answered(names["manager"], names["at"], json.loads(block)) for block, _, _ in found]
    assert answers == [answer for _, _, answer in found]
    assert [answer.startswith("{") for answer in answers] == [verb == "gives" for _, verb, _ in found]


def test_an_example_on_a_page_is_python_that_compiles() -> None:
    programs = [block for document in DOCUMENTS for block in re.findall(r"```python\n(.*?)```", text_of(document), re.DOTALL)]
    assert programs
    for program in programs:
        compile(program, "page", "exec")


def test_help_is_what_the_readme_promises() -> None:
    for name in commands():
        done = subprocess.run(
            [sys.executable, "-m", "basis_strategy_v1.cli", *name.split(), "--help"], capture_output=True, text=True, check=True
        )
        assert "Example: basis" in " ".join(done.stdout.split())
