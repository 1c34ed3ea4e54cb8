"""The wallet's key comes from the one place that is set, and what is wrong with it is one line that does not show it."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path

import pytest

from basis_strategy_v1 import ComponentError
from basis_strategy_v1.live.secrets import Secret, read_secrets
from basis_strategy_v1.live.wallet_key import open_keystore, wallet_key

eth_account = pytest.importorskip("eth_account", reason="the extra `live` is not installed")

KEY = "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
PASSWORD = "correct horse battery"
NAMES = [f"BASIS_DEV__WALLET__{field}" for field in ("PRIVATE_KEY", "KEYSTORE", "SIGNER_URL")]


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "wallet.json"
    path.write_text(json.dumps(eth_account.Account.encrypt(KEY, PASSWORD, kdf="pbkdf2", iterations=2)))
    return path


def found(**fields):
    return wallet_key(read_secrets("dev", {f"BASIS_DEV__WALLET__{name}": str(value) for name, value in fields.items()}))


def refusal(call, *arguments, **named):
    with pytest.raises(ComponentError) as raised:
        call(*arguments, **named)
    expected = "".join(traceback.format_exception(raised.value))
    assert KEY not in expected and KEY[2:] not in expected and PASSWORD not in expected
    assert raised.value.error_code == "CFG-003"
    return raised.value.message


@pytest.mark.parametrize("written", [KEY, KEY[2:], KEY.replace("0x", "0X")])
def test_a_private_key_may_have_its_prefix_or_not(written):
    key = found(PRIVATE_KEY=written)
    assert (key.private_key.reveal(), key.signer_url) == (KEY, None)
    assert repr(key) == "WalletKey(private_key=***, signer_url=None)"


def test_a_keystore_is_opened_with_its_password(keystore):
    key = found(KEYSTORE=keystore, KEYSTORE_PASSWORD=PASSWORD)
    assert (key.private_key.reveal(), key.signer_url) == (KEY, None)


def test_a_remote_signer_keeps_the_key():
    key = found(SIGNER_URL="https://signer.example/token")
    assert (key.private_key, key.signer_url.reveal()) == (None, "https://signer.example/token")


def test_a_wallet_of_another_name_has_its_own_key():
    secrets = read_secrets("dev", {"BASIS_DEV__WALLET_ARBITRUM__PRIVATE_KEY": KEY})
    assert wallet_key(secrets, "wallet_arbitrum").private_key.reveal() == KEY
    assert refusal(wallet_key, secrets) == f"wallet has no key: set one of {', '.join(NAMES)}"


def test_several_keys_are_one_too_many(keystore):
    expected = f"wallet has several keys: {NAMES[0]} and {NAMES[1]} are set; leave one"
    assert refusal(found, PRIVATE_KEY=KEY, KEYSTORE=keystore, KEYSTORE_PASSWORD=PASSWORD) == expected


@pytest.mark.parametrize("written", [KEY[:-1], f"{KEY}0", KEY.replace("4c", "zz"), "legal winner thank year"])
def test_a_private_key_of_another_form_is_refused_unseen(written):
    assert refusal(found, PRIVATE_KEY=written) == f"{NAMES[0]} must be a private key, 0x and 64 hexadecimal digits"


def test_a_keystore_without_a_password_is_refused(keystore):
    expected = "BASIS_DEV__WALLET__KEYSTORE_PASSWORD is not set; set it in the environment of this process"
    assert refusal(found, KEYSTORE=keystore) == expected


def test_a_wrong_password_is_one_line(keystore):
    expected = f"keystore {keystore}: BASIS_DEV__WALLET__KEYSTORE_PASSWORD does not open it; give the password that it was made with"
    assert refusal(found, KEYSTORE=keystore, KEYSTORE_PASSWORD="wrong") == expected


def test_a_file_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "none.json"
    assert refusal(open_keystore, path, Secret(PASSWORD)) == f"keystore {path}: there is no such file"
    assert refusal(open_keystore, tmp_path, Secret(PASSWORD)) == f"keystore {tmp_path}: there is no such file"


def spoilt(**changes):
    made = eth_account.Account.encrypt(KEY, PASSWORD, kdf="pbkdf2", iterations=2)
    return json.dumps({**made, **changes, "crypto": {**made["crypto"], **changes.get("crypto", {})}})


NO_KEYSTORES = {
    "no JSON": KEY,
    "another JSON": "[1]",
    "an empty one": "{}",
    "another version": spoilt(version=4),
    "another derivation": spoilt(crypto={"kdf": "md5"}),
    "no hexadecimal digits": spoilt(crypto={"ciphertext": "zz"}),
    "numbers where texts are": spoilt(crypto={"ciphertext": 5}),
    "not text": "\udcff",
}


@pytest.mark.parametrize("content", NO_KEYSTORES.values(), ids=NO_KEYSTORES)
def test_what_is_no_keystore_is_one_line(content, tmp_path):
    path = tmp_path / "wallet.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    assert refusal(open_keystore, path, Secret(PASSWORD)) == f"keystore {path}: it is no keystore of version 3"


def test_a_keystore_that_cannot_be_read_is_one_line(tmp_path, monkeypatch):
    path = tmp_path / ("x" * 300)
    assert refusal(open_keystore, path, Secret(PASSWORD)) in (
        f"keystore {path}: File name too long",
        f"keystore {path}: there is no such file",
    )


def test_without_the_extra_live_it_says_what_to_install(keystore, monkeypatch):
    monkeypatch.setitem(sys.modules, "eth_account", None)
    assert refusal(open_keystore, keystore, Secret(PASSWORD)) == "a keystore needs eth-account: install basis-strategy[live]"
