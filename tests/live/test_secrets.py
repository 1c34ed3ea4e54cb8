"""A secret is read once, shown to nobody, and handed on by no accident."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import pprint
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import run
from typing import Any

import msgspec
import pytest
import yaml

from basis_strategy_v1 import ComponentError
from basis_strategy_v1.live import secrets as module
from basis_strategy_v1.live.secrets import Secret, Secrets, read_secrets, scrub

KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"


class Account(msgspec.Struct):
    venue: str
    key: Any


@dataclass
class Login:
    venue: str
    key: Secret


SHOWN = {
    "repr": repr,
    "str": str,
    "format": format,
    "format with a width": lambda secret: format(secret, ">80"),
    "an f-string": lambda secret: f"{secret} {secret!r} {secret!s:.3}",
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
    "a list": lambda secret: f"{[secret]} {(secret,)} { {'key': secret} }",
    "a dataclass": lambda secret: repr(Login("bybit", secret)),
    "a Struct": lambda secret: repr(Account("bybit", secret)),
    "pprint": lambda secret: pprint.pformat({"key": [secret]}),
    "its attributes": lambda secret: f"{[(name, getattr(secret, name)) for name in dir(secret)]}",
    "an error": lambda secret: repr(ValueError("refused", secret)),
    "an error of ours": lambda secret: str(ComponentError("CFG-003", f"refused {secret}", original_exception=ValueError(secret))),
    "a traceback": lambda secret: traced(secret, locals_too=True),
    "JSON by str": lambda secret: json.dumps({"key": secret}, default=str),
    "msgspec by str": lambda secret: msgspec.json.encode(Account("bybit", secret), enc_hook=str).decode(),
    "a log": lambda secret: logging.Formatter().format(logging.LogRecord("x", 10, "f", 1, "key %s %r", (secret, secret), None)),
}  # fmt: skip
REFUSED = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "deepcopy of what holds it": lambda secret: copy.deepcopy({"key": [secret]}),
    "asdict": lambda secret: asdict(Login("bybit", secret)),
    "pickle": pickle.dumps,
    "an old pickle": lambda secret: pickle.dumps(secret, 0),
    "its state": lambda secret: secret.__getstate__(),
    "reduce": lambda secret: secret.__reduce_ex__(4),
    "JSON": json.dumps,
    "msgspec JSON": msgspec.json.encode,
    "msgpack": lambda secret: msgspec.msgpack.encode(Account("bybit", secret)),
    "to_builtins": lambda secret: msgspec.to_builtins(Account("bybit", secret)),
    "YAML that builds objects": yaml.dump,
    "as a number": lambda secret: "%d" % secret,  # noqa: UP031
    "as bytes": bytes,
    "joined": lambda secret: "".join([secret]),
    "added": lambda secret: "key " + secret,
    "its length": len,
    "letter by letter": list,
}


def traced(secret, *, locals_too):
    try:
        fail(secret)
    except ValueError as fault:
        return "".join(traceback.TracebackException.from_exception(fault, capture_locals=locals_too).format())
    return ""


def fail(secret):
    kept = secret
    raise ValueError(kept)


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
def test_a_secret_prints_as_three_asterisks_everywhere(show):
    shown = show(Secret(KEY))
    assert KEY not in shown
    assert "***" in shown


@pytest.mark.parametrize("write", REFUSED.values(), ids=REFUSED)
def test_what_would_copy_or_write_a_secret_is_refused_without_showing_it(write):
    with pytest.raises((TypeError, AttributeError)) as raised:
        write(Secret(KEY))
    assert KEY not in "".join(traceback.format_exception(raised.value))


def test_yaml_that_builds_nothing_refuses_it_too():
    with pytest.raises(yaml.YAMLError) as raised:
        yaml.safe_dump({"key": Secret(KEY)})
    assert KEY not in str(raised.value)


def test_a_secret_is_not_changed():
    secret = Secret(KEY)
    with pytest.raises(AttributeError, match="a secret is not changed"):
        secret.reveal = lambda: "x"
    with pytest.raises(AttributeError, match="a secret is not changed"):
        del secret.reveal
    assert secret.reveal() == KEY


# The environment.

DEV = {
    "BASIS_DEV__BYBIT_MAIN__API_KEY": KEY,
    "BASIS_DEV__BYBIT_MAIN__API_SECRET": "s3cret",
    "BASIS_DEV__WALLET__RPC_URL": "https://a.example/v3/0123456789, https://me:pw@b.example",
    "BASIS_DEV__WALLET__KEYSTORE": "/keys/wallet.json",
    "BASIS_DEV__OKX__PASSPHRASE": "",
    "BASIS_PRODUCTION__BYBIT_MAIN__API_KEY": "another",
    "BASIS_STAGING__OTHER__API_KEY": "third",
}
OTHER = {"BASIS_ENVIRONMENT": "dev", "PATH": "/bin", "BASIS_DEV_BYBIT": "x", "BASIS_TEST__BYBIT__API_KEY": "y", "BASIS_DEV__BYBIT__": "z"}


def test_the_secrets_of_one_environment_are_read_and_those_of_all_are_removed():
    environ = {**DEV, **OTHER}
    secrets = read_secrets("dev", environ)
    assert environ == OTHER
    assert secrets.names() == ["BASIS_DEV__BYBIT_MAIN__API_KEY", "BASIS_DEV__BYBIT_MAIN__API_SECRET", "BASIS_DEV__WALLET__KEYSTORE",
                               "BASIS_DEV__WALLET__RPC_URL"]  # fmt: skip
    assert secrets.require("bybit_main", "API_KEY").reveal() == KEY
    assert [secrets.get(venue, "API_KEY") for venue in ("bybit", "okx", "other")] == [None, None, None]
    assert repr(secrets) == f"Secrets({', '.join(secrets.names())})"


def test_each_environment_has_its_own():
    assert read_secrets("production", dict(DEV)).require("bybit_main", "API_KEY").reveal() == "another"
    assert repr(read_secrets("staging", {})) == "Secrets(none)"


@pytest.mark.parametrize("environ", [{}, {"BASIS_DEV__BYBIT__API_KEY": ""}, {"BASIS_PRODUCTION__BYBIT__API_KEY": KEY}])
def test_a_key_that_is_missing_is_named(environ):
    with pytest.raises(ComponentError) as raised:
        read_secrets("dev", environ).require("bybit", "API_KEY")
    assert raised.value.error_code == "CFG-003"
    assert raised.value.message == "BASIS_DEV__BYBIT__API_KEY is not set; set it in the environment of this process"


def test_a_key_with_space_around_it_or_a_line_break_in_it_is_refused_unseen():
    environ = {"BASIS_DEV__A__API_KEY": f"{KEY} ", "BASIS_DEV__B__API_KEY": f"\t{KEY}", "BASIS_DEV__C__API_KEY": f"{KEY}\n{KEY}",
               "BASIS_DEV__D__PASSPHRASE": "with space", "BASIS_PRODUCTION__E__API_KEY": " "}  # fmt: skip
    with pytest.raises(ComponentError) as raised:
        read_secrets("dev", environ)
    fault = "begins or ends with a space, or holds a line break; set it again without"
    assert raised.value.message.split("\n") == [f"BASIS_DEV__{name}__API_KEY {fault}" for name in "ABC"]


def test_the_addresses_of_several_nodes_stand_in_one_variable():
    secrets = read_secrets("dev", dict(DEV))
    found = [secret.reveal() for secret in secrets.urls("wallet", "RPC_URL")]
    assert found == ["https://a.example/v3/0123456789", "https://me:pw@b.example"]
    assert secrets.urls("bybit", "RPC_URL") == []
    assert [url.reveal() for url in read_secrets("dev", {"BASIS_DEV__X__RPC_URL": "a,,b,"}).urls("x", "RPC_URL")] == ["a", "b"]


def test_variables_that_nobody_reads_are_named():
    secrets = read_secrets("dev", {**DEV, "BASIS_DEV__WALLET__PRIVATEKEY": "x"})
    assert secrets.unread(["bybit", "wallet"]) == [
        "BASIS_DEV__BYBIT_MAIN__API_KEY", "BASIS_DEV__BYBIT_MAIN__API_SECRET", "BASIS_DEV__WALLET__PRIVATEKEY"
    ]  # fmt: skip
    assert secrets.unread(["bybit_main", "wallet"]) == ["BASIS_DEV__WALLET__PRIVATEKEY"]


def test_the_errors_of_a_gateway_are_scrubbed_of_everything_that_was_read():
    secrets = read_secrets("dev", dict(DEV))
    text = f"GET https://b.example/v3/0123456789?apiKey={KEY} as me:pw with s3cret, file /keys/wallet.json: signature=abc"
    expected = "GET https://b.example/v3/***?apiKey=*** as *** with ***, file /keys/wallet.json: signature=***"
    assert secrets.scrub(text) == expected
    assert secrets.scrub_value({"raw": [text], "code": 5}) == {"raw": [expected], "code": 5}
    assert scrub(f"a {KEY} b", [Secret(KEY)]) == "a *** b"
    assert scrub("a", []) == "a"


def test_without_secrets_a_text_is_scrubbed_by_its_form():
    assert Secrets("dev", {}).scrub("apiKey=abc token: USDT") == "apiKey=*** token: USDT"


PROGRAM = """\
import os, subprocess, sys
from basis_strategy_v1.live.secrets import read_secrets

secrets = read_secrets("dev")
names = [name for name in os.environ if name.startswith("BASIS_")]
child = subprocess.run(["env"], capture_output=True, text=True, check=True).stdout
with open("/proc/self/environ", "rb") as file:
    proc = file.read()
again = read_secrets("dev")
os.environ["BASIS_DEV__BYBIT__API_KEY"] = "new"
print(names, "BASIS_DEV" in child, sys.argv[1] in child, sys.argv[1].encode() in proc)
print(secrets.require("bybit", "API_KEY").reveal() == again.require("bybit", "API_KEY").reveal() == sys.argv[1])
print(read_secrets("dev").require("bybit", "API_KEY").reveal(), again.require("okx", "API_SECRET").reveal())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux only")
def test_after_reading_no_child_and_no_proc_file_has_them_and_a_later_call_still_does(tmp_path: Path):
    variables = {"BASIS_DEV__BYBIT__API_KEY": KEY, "BASIS_PRODUCTION__BYBIT__API_KEY": KEY, "BASIS_DEV__OKX__API_SECRET": "x y z"}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **variables}
    done = run([sys.executable, "-c", PROGRAM, KEY], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[] False False False", "True", "new x y z"]


def test_what_was_taken_from_this_process_is_known_to_later_calls(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_taken", {})
    monkeypatch.setenv("BASIS_STAGING__NOBODY__API_KEY", KEY)
    first = read_secrets("staging")
    assert "BASIS_STAGING__NOBODY__API_KEY" not in os.environ
    assert first.require("nobody", "API_KEY") is read_secrets("staging").require("nobody", "API_KEY")
    assert read_secrets("dev").get("nobody", "API_KEY") is None
