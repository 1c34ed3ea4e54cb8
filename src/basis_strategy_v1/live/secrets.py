"""Keys: read once from the environment, shown to nobody."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, NoReturn

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.secret_text import HIDDEN, pattern_of, scrubbed, scrubbed_value
from basis_strategy_v1.live.process import overwrite_variable

# A venue's name and a field's, each without two underscores together.
_VARIABLE = re.compile(r"BASIS_(DEV|STAGING|PRODUCTION)__([A-Z0-9]+(?:_[A-Z0-9]+)*)__([A-Z0-9]+(?:_[A-Z0-9]+)*)")
_NOT_SECRET = ("KEYSTORE",)  # the path of a file
_URLS = ("RPC_URL", "SIGNER_URL")
FIELDS = ("API_KEY", "API_SECRET", "PASSPHRASE", "PRIVATE_KEY", "KEYSTORE", "KEYSTORE_PASSWORD", "SIGNER_URL", "RPC_URL")


class Secret:
    """A text that prints as `***`, and is neither copied nor written. `reveal()` gives it, where it is used and nowhere else."""

    __slots__ = ("reveal",)
    reveal: Callable[[], str]

    def __init__(self, value: str) -> None:
        # In a function: whoever lists the attributes of this object finds no text.
        object.__setattr__(self, "reveal", lambda: value)

    def __repr__(self) -> str:
        return HIDDEN

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return HIDDEN

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a secret is not changed; make another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a secret is not changed; make another one")

    def __copy__(self) -> NoReturn:
        _refuse()

    def __deepcopy__(self, memo: object) -> NoReturn:
        _refuse()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        _refuse()

    def __getstate__(self) -> NoReturn:
        _refuse()


def _refuse() -> NoReturn:
    raise TypeError("a secret is neither copied nor written; hand over the object, and call reveal() where it is used")


class Secrets:
    """What the environment holds for one of `dev`, `staging`, `production`, by venue and field.

    A configured name is upper-cased: the key of `bybit_main` is `BASIS_DEV__BYBIT_MAIN__API_KEY`.
    """

    def __init__(self, environment: str, found: Mapping[tuple[str, str], Secret]) -> None:
        self.environment = environment
        self._found = dict(found)
        self._known = pattern_of(text for (_, field), secret in found.items() for text in _texts(field, secret))

    def __repr__(self) -> str:
        return f"Secrets({', '.join(self.names()) or 'none'})"

    def names(self) -> list[str]:
        """The variables that were set, without their values."""
        return [self.name(venue, field) for venue, field in self._found]

    def name(self, venue: str, field: str) -> str:
        """The variable of a field such as `API_KEY` of a configured venue."""
        return f"BASIS_{self.environment.upper()}__{venue.upper()}__{field}"

    def get(self, venue: str, field: str) -> Secret | None:
        """The secret, None where it is not set."""
        return self._found.get((venue.upper(), field))

    def require(self, venue: str, field: str) -> Secret:
        """The secret.

        Raises:
            ComponentError: CFG-003, the variable is not set; the message names it.
        """
        found = self.get(venue, field)
        if found is None:
            raise ComponentError("CFG-003", f"{self.name(venue, field)} is not set; set it in the environment of this process")
        return found

    def urls(self, venue: str, field: str) -> list[Secret]:
        """The addresses in a field such as `RPC_URL`, which holds one or several, by comma."""
        found = self.get(venue, field)
        return [] if found is None else [Secret(text.strip()) for text in found.reveal().split(",") if text.strip()]

    def unread(self, venues: Iterable[str]) -> list[str]:
        """The variables that none of these configured venues reads: most likely a name is misspelled."""
        known = {venue.upper() for venue in venues}
        return [self.name(venue, field) for venue, field in self._found if venue not in known or field not in FIELDS]

    def scrub(self, text: str) -> str:
        """The text without any of these secrets, and without what looks like one by its name or place."""
        return scrubbed(text, self._known)

    def scrub_value(self, value: Any) -> Any:
        """Plain JSON data, such as a venue's raw answer, without any of these secrets."""
        return scrubbed_value(value, self._known)


def _texts(field: str, secret: Secret) -> list[str]:
    """The texts in a field that must be shown nowhere."""
    if field in _NOT_SECRET:
        return []
    return [text.strip() for text in secret.reveal().split(",")] if field in _URLS else [secret.reveal()]


def scrub(text: str, secrets: Iterable[Secret]) -> str:
    """The text without any of these secrets, and without what looks like one by its name or place."""
    return scrubbed(text, pattern_of(secret.reveal() for secret in secrets))


_taken: dict[str, Secret] = {}  # what this process has read from its environment, where it stands no longer


def read_secrets(environment: str, environ: MutableMapping[str, str] | None = None) -> Secrets:
    """Take all secrets out of an environment (the process's own when None), and give those of one of the three.

    They are removed, those of the other two as well, so that no child inherits them; in the process's own they are overwritten, so that
    /proc/PID/environ shows them no longer. What was taken from it once is known to later calls.

    Raises:
        ComponentError: CFG-003, a line for each variable whose value begins or ends with a space or holds a line break.
    """
    own = environ is None
    source: MutableMapping[str, str] = os.environ if environ is None else environ
    taken = _taken if own else {}
    for name in [name for name in source if _VARIABLE.fullmatch(name)]:
        taken[name] = Secret(source[name])
        if own:
            overwrite_variable(name)
        del source[name]
    found: dict[tuple[str, str], Secret] = {}
    for name, secret in sorted(taken.items()):
        matched = _VARIABLE.fullmatch(name)
        assert matched is not None
        of, venue, field = matched.groups()
        if of == environment.upper() and secret.reveal():
            found[venue, field] = secret
    secrets = Secrets(environment, found)
    _require_plain(secrets, found)
    return secrets


def _require_plain(secrets: Secrets, found: Mapping[tuple[str, str], Secret]) -> None:
    wrong = [secrets.name(venue, field) for (venue, field), secret in found.items() if not _is_plain(secret.reveal())]
    if wrong:
        fault = "begins or ends with a space, or holds a line break; set it again without"
        raise ComponentError("CFG-003", "\n".join(f"{name} {fault}" for name in wrong))


def _is_plain(value: str) -> bool:
    return value == value.strip() and value.isprintable()
