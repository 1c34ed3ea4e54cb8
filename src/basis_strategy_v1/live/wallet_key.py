"""Where the wallet's key comes from: the environment, an encrypted keystore file, or a remote signer that keeps it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.live.secrets import Secret, Secrets

_MOST_BYTES = 100_000
SOURCES = ("PRIVATE_KEY", "KEYSTORE", "SIGNER_URL")


class Signer(Protocol):
    """Whoever signs for one address: in this process, or on another machine that keeps the key."""

    @property
    def address(self) -> str:
        """The address, with its checksum."""
        ...

    def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        """The raw transaction, signed. `transaction` has the fields of an EIP-1559 transaction as numbers and hexadecimal texts.

        Raises:
            VenueRejected: the signer refuses, or the transaction is for another address. VenueUnreachable: it does not answer; nothing was
                signed that anybody could send.
        """
        ...


class WalletKey(NamedTuple):
    """One of the two: the private key (0x and 64 hexadecimal digits), or the address of a remote signer."""

    private_key: Secret | None = None
    signer_url: Secret | None = None


def wallet_key(secrets: Secrets, wallet: str = WALLET) -> WalletKey:
    """The key of a wallet, by the one variable that says where it is.

    Raises:
        ComponentError: CFG-003, none of them is set or several are, the key has another form, or the keystore cannot be opened.
    """
    given = [field for field in SOURCES if secrets.get(wallet, field) is not None]
    names = [secrets.name(wallet, field) for field in SOURCES]
    if not given:
        raise ComponentError("CFG-003", f"{wallet} has no key: set one of {', '.join(names)}")
    if len(given) > 1:
        both = " and ".join(secrets.name(wallet, field) for field in given)
        raise ComponentError("CFG-003", f"{wallet} has several keys: {both} are set; leave one")
    (field,) = given
    found = secrets.require(wallet, field)
    if field == "SIGNER_URL":
        return WalletKey(signer_url=found)
    if field == "PRIVATE_KEY":
        return WalletKey(private_key=_private_key(found, names[0]))
    password = secrets.require(wallet, "KEYSTORE_PASSWORD")
    return WalletKey(private_key=open_keystore(Path(found.reveal()), password, secrets.name(wallet, "KEYSTORE_PASSWORD")))


def _private_key(given: Secret, name: str) -> Secret:
    if not re.fullmatch(r"(0[xX])?[0-9a-fA-F]{64}", given.reveal()):
        raise ComponentError("CFG-003", f"{name} must be a private key, 0x and 64 hexadecimal digits")
    return Secret(f"0x{given.reveal()[-64:]}")


def open_keystore(path: Path, password: Secret, password_name: str = "the password") -> Secret:
    """The private key in an encrypted keystore file (version 3, as geth and eth-account write it). Takes a second or more.

    Raises:
        ComponentError: CFG-003, one line: the file is not there or no keystore, the password is wrong, or eth-account is not installed.
    """
    try:
        from eth_account import Account
    except ImportError:
        raise ComponentError("CFG-003", "a keystore needs eth-account: install basis-strategy[live]") from None
    content = _keystore(path)
    try:
        key: bytes = Account.decrypt(content, password.reveal())
    except ValueError as fault:
        # Only its own word is used: what it was given must not come along, nor its traceback.
        wrong = "MAC mismatch" in str(fault)
        why = f"{password_name} does not open it; give the password that it was made with" if wrong else "it is no keystore of version 3"
    except (KeyError, TypeError):
        why = "it is no keystore of version 3"
    else:
        return Secret(f"0x{key.hex().removeprefix('0x')}")
    raise ComponentError("CFG-003", f"keystore {path}: {why}")


def _keystore(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file():
            raise ComponentError("CFG-003", f"keystore {path}: there is no such file")
        with path.open("rb") as file:
            found = json.loads(file.read(_MOST_BYTES))
    except OSError as fault:
        raise ComponentError("CFG-003", f"keystore {path}: {fault.strerror}") from None
    except ValueError:
        raise ComponentError("CFG-003", f"keystore {path}: it is no keystore of version 3") from None
    if not isinstance(found, dict):
        raise ComponentError("CFG-003", f"keystore {path}: it is no keystore of version 3")
    return found
