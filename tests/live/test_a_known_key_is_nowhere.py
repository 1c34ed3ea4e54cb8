"""A known key appears nowhere: not in output, logs, results, tracebacks, /proc or a core file."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from .leaks import Done, has_core_in_its_folder, in_folders, key_on_the_loose

if sys.platform != "linux":
    pytest.skip("what others see of a process is looked up in /proc, which is Linux only", allow_module_level=True)

API_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
PASSPHRASE = 'pa/ss+w"ord %41\\'
PRIVATE_KEY = "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
NODE_KEY = "9aa3d95b3bc440fa88ea12eaa4456161"
KEYS = (API_KEY, PASSPHRASE, PRIVATE_KEY, NODE_KEY)
VARIABLES = {
    "BASIS_DEV__BYBIT__API_KEY": API_KEY,
    "BASIS_DEV__BYBIT__PASSPHRASE": PASSPHRASE,
    "BASIS_DEV__WALLET__PRIVATE_KEY": PRIVATE_KEY,
    "BASIS_DEV__WALLET__RPC_URL": f"https://node.example/v3/{NODE_KEY}",
}
BASIS = [sys.executable, "-m", "basis_strategy_v1.cli"]
CONFIG = """\
strategy_mode: custom
share_class: usdt_stable
initial_capital: 100000
start: 2024-06-01
end: 2024-06-03
strategy: {file: mine.py}
venues: {cex: [bybit]}
limits:
  {max_notional_per_instruction: 1000, max_notional_per_day: 100000, max_slippage_bps: 50, max_unhedged_notional: 100000}
"""
MINE = """\
import os


class Mine:
    def decide(self, snapshot, positions, parameters):
        fault = 1 / (snapshot.at.day - FAILS_ON)
        if snapshot.at.day == ABORTS_ON:
            os.abort()
        trade = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT"}
        return [{**trade, "amount": 0.01}]
"""
# As `basis live` begins, with a client whose errors hold all that it was given; then the ending.
LIVE = """\
import json, logging, os, signal, sys, threading
from datetime import UTC, datetime
from pathlib import Path
from basis_strategy_v1 import EventLogger
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.live.process import forbid_core_dumps
from basis_strategy_v1.live.secrets import read_secrets
from basis_strategy_v1.live.wallet_key import wallet_key

DUMPS = "dumps" in sys.argv
if not DUMPS:
    forbid_core_dumps()
secrets = read_secrets("dev")
if DUMPS:
    kept = [secrets.require("bybit", "API_KEY").reveal() * 2]
key, phrase, wallet = secrets.require("bybit", "API_KEY"), secrets.require("bybit", "PASSPHRASE"), wallet_key(secrets)
now = datetime(2024, 6, 1, tzinfo=UTC)
logs = EventLogger(Path("logs"), "live")
logging.basicConfig(level=logging.DEBUG)


def client():
    url = secrets.require("wallet", "RPC_URL").reveal()
    headers = json.dumps({"X-KEY": phrase.reveal()})
    raise OSError(f"GET {url}?apiKey={key.reveal()} failed, headers {headers}: {wallet.private_key.reveal()}")


def gateway():
    try:
        client()
    except OSError as fault:
        raw = {"apiKey": key.reveal(), "message": str(fault)}
        logs.log_event(now, "error", "gateway", {"message": secrets.scrub(str(fault)), "raw": secrets.scrub_value(raw)})
        raise VenueRejected("CEX-001", secrets.scrub(str(fault))) from None


for shown in (secrets, key, wallet, [phrase], {"key": key}):
    print(shown, repr(shown), f"{shown}", "%s" % (shown,))
    logging.error("shown: %s %r", shown, shown)
    logs.log_event(now, "state_update", "gateway", {"shown": str(shown)})
os.system("env; cat /proc/$PPID/cmdline")
asked = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: asked.set())
print("now look at me", flush=True)
asked.wait(60)
ending = sys.argv[1]
if ending == "error":
    gateway()
if ending == "secret in an error":
    raise ValueError(key, wallet, secrets)
if ending == "abort":
    os.abort()
if ending == "segfault":
    os.kill(os.getpid(), signal.SIGSEGV)
logs.close()
"""


def live(ending: str, tmp_path: Path, *words: str) -> Done:
    program, folder = tmp_path / "live.py", tmp_path / "run"
    program.write_text(LIVE)
    folder.mkdir()
    command = [sys.executable, str(program), ending, *words]
    return key_on_the_loose(command, VARIABLES, folder, keys=KEYS, ready="now look at me", end_with=signal.SIGTERM)


ENDINGS = {"end": 0, "error": 1, "secret in an error": 1, "abort": -signal.SIGABRT, "segfault": -signal.SIGSEGV}


@pytest.mark.parametrize(("ending", "status"), ENDINGS.items(), ids=ENDINGS)
def test_however_a_process_with_keys_ends_they_are_nowhere(ending: str, status: int, tmp_path: Path) -> None:
    done = live(ending, tmp_path)
    assert (done.status, done.found, done.dumped) == (status, [], False)
    assert ("Traceback" in done.err) is (status == 1)
    assert "now look at me\n" in done.out and "***" in done.out


def test_the_search_finds_a_key_in_a_core_file(tmp_path: Path) -> None:
    """Without `forbid_core_dumps` the same process leaves one, with the key in it: so the search above can fail."""
    if not has_core_in_its_folder():
        pytest.skip("this system writes no core file into the folder of a process")
    done = live("abort", tmp_path, "dumps")
    assert done.dumped
    assert len(done.found) == 1 and done.found[0].startswith("core")


def test_the_search_finds_a_key_that_is_printed_written_or_handed_on(tmp_path: Path) -> None:
    program = (
        "import os, subprocess, sys, base64; key = os.environ['BASIS_DEV__BYBIT__API_KEY']\n"
        "open('plain.txt', 'w').write('x' * 2_000_000 + key); open(key[:9], 'w').close()\n"
        "os.mkdir('deep'); open('deep/b64.bin', 'wb').write(b'..' + base64.b64encode(key.encode()))\n"
        "print(key); print(key.lower(), file=sys.stderr)\n"
        "child = subprocess.Popen(['sleep', '60', ], env={'OTHER': key})\n"
        "print('now look at me', flush=True); child.kill(); child.wait()\n"
    )
    held = program.replace("child.kill()", "import signal; signal.sigwait([15]); child.kill()")
    held = f"import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [15])\n{held}"
    done = key_on_the_loose([sys.executable, "-c", held, API_KEY], {"BASIS_DEV__BYBIT__API_KEY": API_KEY}, tmp_path,
                            ready="now look at me", end_with=signal.SIGTERM)  # fmt: skip
    assert done.found == ["/proc/PID/cmdline", "/proc/PID/environ", "/proc/PID/environ", "stdout", "stderr", "deep/b64.bin", "plain.txt"]


def test_a_key_is_found_where_two_pieces_of_a_file_meet(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * ((1 << 20) - 10) + API_KEY.encode() + b"x")
    assert in_folders([API_KEY], tmp_path) == ["large"]
    assert in_folders([PRIVATE_KEY], tmp_path) == []


BACKTEST = ["backtest", "{config}", "--data", "{sample}"]
PAPER = ["live", "{config}", "--paper", "--data", "{sample}", "--speed", "max"]
# The words of a command, its status, and the day on which the strategy fails or ends the process.
COMMANDS = {
    "a backtest": (BACKTEST, 0, {}),
    "a backtest whose strategy fails": (BACKTEST, 1, {"FAILS_ON": 2}),
    "a check": (["check", "{config}"], 0, {}),
    "a key in the config": (["check", "{secret}"], 2, {}),
    "wrong words": (["backtest", "{config}", "--nonsense"], 2, {}),
    "a paper run": (PAPER, 0, {}),
    "a paper run whose strategy fails": (PAPER, 1, {"FAILS_ON": 2}),
    "a paper run that is aborted": (PAPER, -signal.SIGABRT, {"ABORTS_ON": 2}),
}


@pytest.mark.parametrize(("words", "status", "days"), COMMANDS.values(), ids=COMMANDS)
def test_no_command_shows_or_writes_a_key_of_its_environment(
    words: list[str], status: int, days: dict[str, int], sample: Path, tmp_path: Path
) -> None:
    given, folder = tmp_path / "given", tmp_path / "run"
    for made in (given, folder):
        made.mkdir()
    program = MINE
    for name in ("FAILS_ON", "ABORTS_ON"):
        program = program.replace(name, str(days.get(name, 99)))
    (given / "mine.py").write_text(program)
    (given / "run.yaml").write_text(CONFIG)
    (given / "secret.yaml").write_text(f"{CONFIG}api_key: {API_KEY}\nname: {PRIVATE_KEY}\n")
    places = {"config": given / "run.yaml", "secret": given / "secret.yaml", "sample": sample}
    done = key_on_the_loose([*BASIS, *(word.format(**places) for word in words)], VARIABLES, folder, keys=KEYS)
    assert (done.status, done.found, done.dumped) == (status, [], False)
    assert done.status < 0 or "Traceback" not in done.err
