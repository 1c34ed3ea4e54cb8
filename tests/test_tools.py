"""The tools of `make`: tests in the ways that harm a careless suite, the Pythons that are installed, what test networks show."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from .exchange.process import ExchangeProcess

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
        ("return sum((a for a in b), ZERO)", "return sum((a for a in b), )", "start of a sum"),
        ("return sum((a for a in b), ZERO)", "return sum((a for a in b), None)", "unexplained"),
    ):
        code = [sys.executable, "-c", shown, before, after]
        done = subprocess.run(code, cwd=REPOSITORY / "tools", capture_output=True, text=True, check=True)
        assert done.stdout == f"{kind}\n"


ACCOUNTS = ("BINANCE", "BINANCE_PERP", "BYBIT", "BYBIT_PERP", "OKX", "OKX_PERP")


def measured(**keys: str) -> subprocess.CompletedProcess[str]:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("BASIS_TESTNET__")}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, REPOSITORY / "tools" / "testnet.py"]
    return subprocess.run(command, env={**environment, **keys}, capture_output=True, text=True, check=False)


def test_testnet_without_keys_says_that_it_skipped() -> None:
    done = measured()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "skipped: no testnet keys in the environment; set BASIS_TESTNET__NAME__API_KEY and __API_SECRET for NAME of "
        f"{', '.join(ACCOUNTS)}\n"
    )


def test_testnet_measures_each_account_whose_keys_are_there(tmp_path: Path) -> None:
    wallets = {"binance": ("spot", "perp"), "bybit": ("unified",), "okx": ("trading",)}
    grants = [{"grant": {"venue": venue, "wallet": wallet, "USDT": "1000"}} for venue, listed in wallets.items() for wallet in listed]
    fields = {"API_KEY": "key", "API_SECRET": "secret", "PASSPHRASE": "passphrase"}
    with ExchangeProcess(tmp_path / "exchange.jsonl") as exchange:
        exchange.control(*grants)
        keys = {f"BASIS_TESTNET__{name}__{field}": text for name in ACCOUNTS for field, text in fields.items()}
        done = measured(**keys, **{f"BASIS_TESTNET__{name}__ENDPOINT": exchange.url for name in ACCOUNTS})
        left = [exchange.account(venue)["positions"] for venue in wallets]
    assert (done.returncode, done.stderr, left) == (0, "", [{}, {}, {}])
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert [line.split()[1] for line in lines if line.startswith("==")] == list(ACCOUNTS)
    again = [line.removeprefix("the same id again is ") for line in lines if line.startswith("the same id again")]
    assert again == [
        *["TAKEN: a second order was placed under it"] * 2,
        "refused with 170141 Duplicate clientOrderId: read as duplicate",
        "refused with 110072 OrderLinkedID is duplicate: read as duplicate",
        *["refused with 51016 Client order ID already exists.: read as duplicate"] * 2,
    ]
    assert sum(line.startswith("sold again") for line in lines) == len(ACCOUNTS)


def test_testnet_sends_nothing_to_what_is_no_test_network() -> None:
    keys = {"API_KEY": "key", "API_SECRET": "secret", "ENDPOINT": "https://api.binance.com"}
    done = measured(**{f"BASIS_TESTNET__BINANCE__{field}": text for field, text in keys.items()})
    assert done.stdout.splitlines()[1:] == ["  could not be measured: https://api.binance.com is no test network; nothing is sent there"]
    assert done.returncode == 1
