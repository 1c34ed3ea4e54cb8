"""The notebooks of the examples run from top to bottom in a Jupyter kernel."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_and_leaves_nothing_behind(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(EXAMPLES.parent / "src"), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    here = tmp_path / "here"
    here.mkdir()
    read = nbformat.read(notebook, as_version=4)
    assert [cell.get("outputs") for cell in read.cells if cell.cell_type == "code" and cell.outputs] == []
    done = NotebookClient(read, timeout=100, resources={"metadata": {"path": str(here)}}).execute()
    outputs = [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output for output in outputs if output.output_type in ("error", "stream")] == []
    assert "'sharpe'" in str(outputs) or "sharpe" in str(outputs)
    assert list(here.iterdir()) == []


def test_there_are_two() -> None:
    assert [path.name for path in NOTEBOOKS] == ["05_first_backtest.ipynb", "06_own_rule.ipynb"]
