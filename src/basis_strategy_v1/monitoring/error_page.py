"""docs/errors.md, made from the registry: `python -m basis_strategy_v1.monitoring.error_page > docs/errors.md`."""

from __future__ import annotations

from basis_strategy_v1.core.error_codes.error_code_registry import REGISTRY, ErrorCode

HEAD = """\
# Error codes

Made from the registry by `python -m basis_strategy_v1.monitoring.error_page`; `basis errors CODE` shows one entry on the terminal.

| severity | what happens |
|---|---|
| CRITICAL | goes to the health manager; a command stops with exit status 3, for a supervisor to restart it |
| HIGH | logged and raised; sent again only where nothing was sent before (*unreachable*) |
| MEDIUM | logged and raised; the component is degraded |
| LOW | logged; nothing needs to be done |
"""


def render_error_table() -> str:
    """The whole page as Markdown: one table a component, in the order of the registry."""
    components: dict[str, list[ErrorCode]] = {}
    for row in REGISTRY.values():
        components.setdefault(row.component, []).append(row)
    return "\n".join([HEAD, *(_section(component, rows) for component, rows in components.items())])


def _section(component: str, rows: list[ErrorCode]) -> str:
    lines = [f"## {component}", "", "| code | severity | message | what to do |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(map(_cell, (row.code, row.severity, row.message, row.resolution)))} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(render_error_table(), end="")
