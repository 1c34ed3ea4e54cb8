"""How a secret is taken out of a text."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.secret_text import forms_of, pattern_of, scrubbed, scrubbed_value

KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
HEX = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"

SCRUBBED = {
    "a known secret": (f"refused {KEY} at once", "refused *** at once"),
    "twice": (f"{KEY}{KEY}", "******"),
    "a query": ("GET /order?symbol=ETHUSDT&apiKey=abc&signature=def failed", "GET /order?symbol=ETHUSDT&apiKey=***&signature=*** failed"),
    "a header": ("X-MBX-APIKEY: abc, Accept: json", "X-MBX-APIKEY: ***, Accept: json"),
    "a bearer": ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
    "basic": ("authorization=Basic YWJj", "authorization=Basic ***"),
    "JSON": ('{"secret": "abc", "side": "buy"}', '{"secret": "***", "side": "buy"}'),
    "JSON in JSON": (r'{\"api_secret\": \"abc\", \"side\": \"buy\"}', r'{\"api_secret\": \"***\", \"side\": \"buy\"}'),
    "a dict": ("{'OK-ACCESS-PASSPHRASE': 'abc'}", "{'OK-ACCESS-PASSPHRASE': '***'}"),
    "a signature of bybit": ("X-BAPI-SIGN=abc sign=def", "X-BAPI-SIGN=*** sign=***"),
    "a password": ("https://me:abc@rpc.example/v3", "https://***@rpc.example/v3"),
    "a user": ("wss://abc@rpc.example", "wss://***@rpc.example"),
    "a session": ("session_token=abc access-token=abc", "session_token=*** access-token=***"),
}  # fmt: skip
KEPT = (
    "withdraw of 5 USDT: token: USDT, key: a1, amount=5; design=x",
    "POST https://api.bybit.com/v5/order/create 10001 params error: user@host",
    "the instruction moves 6600 USD, limits.max_notional_per_instruction is 6000",
    f"transaction 0x{'ab' * 32} reverted",
)


@pytest.mark.parametrize(("text", "message"), SCRUBBED.values(), ids=SCRUBBED)
def test_secrets_are_taken_out_of_a_text(text, message):
    assert scrubbed(text, pattern_of([KEY])) == message


@pytest.mark.parametrize("text", KEPT)
def test_the_rest_of_a_text_stays(text):
    assert scrubbed(text, pattern_of([KEY, "hunter2"])) == text
    assert scrubbed(text, None) == text


def test_every_form_of_a_secret_is_known():
    secret = 'a+b/c "d"=é'
    forms = forms_of(secret)
    assert forms == [
        secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], base64.b64encode(secret.encode()).decode()
    ]  # fmt: skip
    assert [scrubbed(f"<{form}>", pattern_of([secret])) for form in forms] == ["<***>"] * 5


def test_a_private_key_is_known_with_and_without_its_prefix_in_either_case():
    for secret in (f"0x{HEX}", f"0X{HEX.upper()}", HEX, HEX.upper()):
        for form in (HEX, HEX.upper()):
            assert scrubbed(f"key {form}.", pattern_of([secret])) == "key ***."
        assert scrubbed(f"key {secret}.", pattern_of([secret])) == "key ***."
    assert scrubbed(f"key {KEY.upper()}.", pattern_of([KEY])) == f"key {KEY.upper()}."


def test_the_keys_in_the_address_of_a_node_are_secrets_of_their_own_and_its_host_is_not():
    address = "https://me:pa%20s@s@node.example/v3/9aa3d95b/short77?token=abc&empty="
    known = pattern_of([address])
    kept = ("node.example", "/v3/", "/short77")
    assert [scrubbed(text, known) for text in kept] == list(kept)
    hidden = ("9aa3d95b", "pa%20s@s", "pa s@s", "abc", "me:pa%20s@s", address, quote_plus(address))
    assert [scrubbed(text, known) for text in hidden] == ["***"] * len(hidden)


def test_the_longest_is_taken_out_first():
    assert scrubbed("abcdef", pattern_of(["abc", "abcdef"])) == "***"


def test_without_a_secret_there_is_nothing_to_look_for():
    assert pattern_of([]) is None
    assert pattern_of([""]) is None


def test_in_data_every_text_is_scrubbed_and_what_a_name_hides():
    raw = {
        "apiKey": 5,
        "sign": None,
        "info": [{"msg": f"bad {KEY}", "n": 1.5, KEY: True}, ("x", None)],
        "design": "x",
        "sign ": "y",
        "X-BAPI-SIGN": "z",
    }
    assert scrubbed_value(raw, pattern_of([KEY])) == {
        "apiKey": "***", "sign": None, "info": [{"msg": "bad ***", "n": 1.5, "***": True}, ["x", None]], "design": "x", "sign ": "y",
        "X-BAPI-SIGN": "***",
    }  # fmt: skip
    assert scrubbed_value({1: "apiKey"}, None) == {1: "apiKey"}


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=8, max_size=40)


@given(texts, st.text(max_size=30), st.text(max_size=30))
def test_no_known_secret_is_left_whatever_stands_around_it(secret, before, after):
    for form in forms_of(secret):
        assert secret not in scrubbed(f"{before}{form}{after}", pattern_of([secret]))


@pytest.mark.parametrize("text", ["a" * 100_000, "a-" * 30_000, "://" * 30_000, "secret:" + " " * 100_000, "sign" * 30_000])
def test_a_long_answer_is_scrubbed_in_no_time(text):
    """A venue's answer may be long; none makes the search quadratic, which took minutes here."""
    started = time.process_time()
    assert scrubbed(text, pattern_of([KEY])) == text
    assert time.process_time() - started < 5
