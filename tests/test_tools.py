"""The tools of `make`: tests in the ways that harm a careless suite, and the Pythons that are installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SHOWS = "import os, signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, os.nice(0))"
HANGS = "import threading\n\n\ndef test_that_waits_for_ever():\n    threading.Event().wait()\n"


def anyhow(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([REPOSITORY / "tools" / "anyhow.sh", *command], capture_output=True, text=True, check=False)


def test_anyhow_runs_a_command_twice_and_once_in_the_background_where_ctrl_c_is_ignored() -> None:
    done = anyhow(sys.executable, "-c", SHOWS)
    niced = min(os.nice(0) + 10, 19)
    foreground, background = done.stdout.splitlines()
    assert foreground in (f"foreground: False {niced}", f"foreground: True {niced}")  # as this suite itself was begun
    assert background == f"background: True {niced}"
    assert (done.returncode, done.stderr) == (0, "")


def test_anyhow_shows_all_that_a_failed_run_printed() -> None:
    done = anyhow(sys.executable, "-c", "import signal; print('first'); print('last'); exit(3)")
    assert done.stdout.splitlines() == ["first", "last", "first", "last", "foreground: last", "background: last"]
    assert done.returncode == 1


def test_a_python_that_pyenv_has_is_found_though_the_one_on_the_path_does_not_answer(tmp_path: Path) -> None:
    on_the_path, of_pyenv = tmp_path / "bin" / "python3.12", tmp_path / "pyenv" / "versions" / "3.12.1" / "bin" / "python3.12"
    for path, script in ((on_the_path, "exit 127"), (of_pyenv, "echo 3.12")):
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    environment = {**os.environ, "PATH": str(on_the_path.parent), "PYENV_ROOT": str(tmp_path / "pyenv")}
    done = subprocess.run(
        [sys.executable, REPOSITORY / "tools" / "pythons.py"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"3.12 {of_pyenv}\n"
    assert done.stderr.splitlines() == [f"Python {version} is not installed here: nothing is run with it" for version in ("3.11", "3.13")]


def test_a_test_that_waits_for_ever_is_ended(tmp_path: Path) -> None:
    (tmp_path / "test_hanging.py").write_text(HANGS)
    command = [sys.executable, "-m", "pytest", "-c", REPOSITORY / "pyproject.toml", "--rootdir", tmp_path, "-p", "no:cacheprovider"]
    done = subprocess.run([*command, "-o", "timeout=0.5", tmp_path], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "FAILED test_hanging.py::test_that_waits_for_ever - Failed: Timeout (>0.5s)" in done.stdout


def test_every_test_has_a_limit() -> None:
    options = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    assert 0 < options["timeout"] <= 120


def test_a_mutant_of_the_case_of_sql_is_explained_and_one_of_a_text_within_it_is_not() -> None:
    shown = "from survivors import kind_of\nimport sys\nprint(kind_of(*sys.argv[1:]))"
    for before, after, kind in (
        ("SELECT one FROM many WHERE is = 'it'", "select one from many where is = 'it'", "case of SQL"),
        ("SELECT one FROM many WHERE is = 'it'", "SELECT ONE FROM MANY WHERE IS = 'IT'", "unexplained"),
        ("SELECT one FROM many", "XXSELECT one FROM manyXX", "unexplained"),
        ("f\"{row['status']} already\"", "f\"{row['STATUS']} already\"", "case of SQL"),
        ('fault("it is gone")', 'fault("IT IS GONE")', "unexplained"),
    ):
        code = [sys.executable, "-c", shown, before, after]
        done = subprocess.run(code, cwd=REPOSITORY / "tools", capture_output=True, text=True, check=True)
        assert done.stdout == f"{kind}\n"
