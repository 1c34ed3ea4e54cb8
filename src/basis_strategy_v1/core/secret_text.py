"""Takes secrets out of a text."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

HIDDEN: Final = "***"
_SHORTEST_IN_A_URL = 8  # a shorter part of its path, such as v3, is no key
_NAMES = (
    r"api[_-]?key|access[_-]?key|secret|passphrase|password|passwd|private[_-]?key|signature|mnemonic|authorization|"
    r"(?:access|auth|session)[_-]?token"
)
# name=value, name: value, "name": "value" and 'name': 'value', the names as exchanges, nodes and headers write them.
_NAMED = re.compile(
    rf"""(?P<name>\b[\w.-]{{0,40}}(?:{_NAMES})[\w.-]{{0,40}}|\bsign)(?P<between>\\?["']?\s*[=:]\s*\\?["']?(?:(?:Bearer|Basic)\s+)?)(?P<value>[^\s"'\\&,;}}\])]+)""",
    re.IGNORECASE,
)
_IN_A_URL = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]{0,20}://)[^/\s@\"']+@", re.IGNORECASE)


def forms_of(secret: str) -> list[str]:
    """The secret as clients write it: as it is, in a URL, in JSON, in base64; of a URL also the parts that can be keys."""
    forms = [secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], base64.b64encode(secret.encode()).decode()]
    if re.fullmatch(r"0[xX][0-9a-fA-F]{64}", secret):
        forms.append(secret[2:])
    if "://" in secret:
        forms += _keys_in_url(secret)
    return list(dict.fromkeys(form for form in forms if form))


def _keys_in_url(address: str) -> list[str]:
    url = urlsplit(address)
    found = [part for part in url.path.split("/") if len(part) >= _SHORTEST_IN_A_URL]
    found += [value for _, value in parse_qsl(url.query)]
    userinfo, _, _ = url.netloc.rpartition("@")
    found += [part for part in (userinfo, *userinfo.split(":")) if part]
    return [form for part in found for form in (part, unquote(part))]


def pattern_of(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """What finds any of these secrets, the longest first, hexadecimal ones in either case; None without any."""
    forms = sorted({form for secret in secrets for form in forms_of(secret)}, key=len, reverse=True)
    if not forms:
        return None
    return re.compile("|".join(f"(?i:{form})" if re.fullmatch("[0-9a-fA-F]{64}", form) else re.escape(form) for form in forms))


def scrubbed(text: str, known: re.Pattern[str] | None) -> str:
    """The text with `***` for every known secret, for what stands behind a name such as `apiKey=`, and for the user of a URL."""
    if known is not None:
        text = known.sub(HIDDEN, text)
    text = _IN_A_URL.sub(rf"\g<scheme>{HIDDEN}@", text)
    return _NAMED.sub(rf"\g<name>\g<between>{HIDDEN}", text)


def scrubbed_value(value: Any, known: re.Pattern[str] | None) -> Any:
    """Plain JSON data with every text in it scrubbed, and what is under a name such as `apiKey` hidden."""
    if isinstance(value, str):
        return scrubbed(value, known)
    if isinstance(value, dict):
        return {
            scrubbed_value(name, known): HIDDEN if _is_secret_name(name) and item is not None else scrubbed_value(item, known)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [scrubbed_value(item, known) for item in value]
    return value


def _is_secret_name(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(rf"[\w.-]*(?:{_NAMES})[\w.-]*|(?:[\w-]*-)?sign", name, re.IGNORECASE) is not None
