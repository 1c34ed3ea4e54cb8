"""Each code of each exchange's table, answered to an order: what is done then. A request with one of them but `unknown` is not executed."""

from __future__ import annotations

import pytest

from basis_strategy_v1.core.error_codes.exceptions import OutcomeUnknown, VenueRejected, VenueUnreachable
from basis_strategy_v1.core.gateway import Happened, Pending
from basis_strategy_v1.live import bybit_errors, hyperliquid_errors, okx_errors
from basis_strategy_v1.live.exchange_client import Refusal
from basis_strategy_v1.live.exchange_errors import Meaning, meaning_of
from basis_strategy_v1.live.exchanges import open_exchange
from basis_strategy_v1.venues.exchanges import Settings

from .trader import LIMITS, RunTime, approved, next_minute, secrets_of
from .venue_cases import CASES

TABLES = {"bybit": bybit_errors.ORDERS, "hyperliquid": hyperliquid_errors.TABLE, "okx": okx_errors.CODES}
ROWS = [(venue, code) for venue, table in TABLES.items() for code in table if not code.startswith("HTTP ")]


@pytest.fixture(scope="module")
def gateways(server, tmp_path_factory):
    """One to each exchange, over one ledger."""
    server.begin(tmp_path_factory.mktemp("codes") / "exchange.jsonl", *(grant for case in CASES.values() for grant in case.held))
    time = RunTime(next_minute(server))
    given = {"clock": time.clock, "sleep": time.sleep, "monotonic": time.monotonic}
    there = Settings(endpoint=server.url)
    return {venue: open_exchange(venue, there, secrets_of(venue=venue), CASES[venue].symbols, **given) for venue in TABLES}, time


@pytest.mark.parametrize(("venue", "code"), ROWS)
def test_an_order_that_is_answered_with_it(server, gateways, venue, code):
    made, time = gateways
    gateway = made[venue]
    time.sleep(1)
    one = approved(f"{venue} {code}", "spot", "buy", "0.01", at=time.clock.now(), venue=venue)
    message = gateway.prepare(one, LIMITS, gateway.quote(one.order), None)
    text = code.removeprefix(f"{hyperliquid_errors.CODE} ")  # where there are no codes, it is the text that counts
    server.control(
        {"on": "order", "fault": "code", "code": int(code) if code[-1].isdecimal() else 0, "text": text, "status": 200, "venue": venue}
    )
    before = server.count(venue, "order")
    try:
        answer = type(gateway.send(message))
    except (VenueRejected, VenueUnreachable, OutcomeUnknown) as error:
        answer = type(error)
    expected = {
        Meaning.FINAL: VenueRejected, Meaning.KEY: VenueRejected, Meaning.UNKNOWN: OutcomeUnknown, Meaning.ABSENT: OutcomeUnknown,
        Meaning.LIMITED: VenueUnreachable, Meaning.DUPLICATE: Pending, Meaning.CLOCK: Happened,
    }  # fmt: skip
    meaning = TABLES[venue][code]
    assert answer is expected[meaning]
    assert server.count(venue, "order") - before == (2 if meaning is Meaning.CLOCK else 1)


# The codes on which money hangs, by what the exchanges' documents say of them.
KNOWN = {
    "bybit": {
        "110007": Meaning.FINAL, "170131": Meaning.FINAL, "110094": Meaning.FINAL, "10003": Meaning.KEY, "33004": Meaning.KEY,
        "10002": Meaning.CLOCK, "10006": Meaning.LIMITED, "10018": Meaning.LIMITED,
        "110072": Meaning.DUPLICATE, "170141": Meaning.DUPLICATE,
        "10000": Meaning.UNKNOWN, "10016": Meaning.UNKNOWN, "170007": Meaning.UNKNOWN, "170146": Meaning.UNKNOWN, "999999": Meaning.UNKNOWN,
    },
    "okx": {
        "51008": Meaning.FINAL, "50113": Meaning.KEY, "50004": Meaning.UNKNOWN, "51149": Meaning.UNKNOWN, "50102": Meaning.CLOCK,
        "50061": Meaning.LIMITED, "51016": Meaning.DUPLICATE, "51603": Meaning.ABSENT, "99999": Meaning.UNKNOWN,
    },
    "hyperliquid": {
        "Insufficient margin to place order. asset=1": Meaning.FINAL, "Order must have minimum value of $10. asset=1": Meaning.FINAL,
        "Price must be divisible by tick size. asset=1": Meaning.FINAL, "User or API Wallet 0x1 does not exist.": Meaning.KEY,
        "Invalid nonce: duplicate nonce 1": Meaning.DUPLICATE, "Invalid nonce: too far": Meaning.CLOCK, "Action expired.": Meaning.CLOCK,
        "Too many cumulative requests sent": Meaning.LIMITED, "Something new": Meaning.UNKNOWN,
    },
}  # fmt: skip


@pytest.mark.parametrize(("venue", "code", "meaning"), [(venue, *row) for venue, rows in KNOWN.items() for row in rows.items()])
def test_a_code_means_what_the_documents_say(venue, code, meaning):
    said = (hyperliquid_errors.CODE, code) if venue == "hyperliquid" else (code, "")
    assert meaning_of(Refusal(200, *said), TABLES[venue]) is meaning
    assert meaning_of(Refusal(503, *said), TABLES[venue]) is Meaning.UNKNOWN
    assert meaning_of(Refusal(429, *said), TABLES[venue]) is Meaning.LIMITED


@pytest.mark.parametrize(("venue", "meaning"), [("bybit", Meaning.LIMITED), ("okx", Meaning.FINAL)])
def test_a_403_without_a_code_is_bybits_word_for_too_many_requests(venue, meaning):
    assert meaning_of(Refusal(403, "", "a page"), TABLES[venue]) is meaning


MOVES = {
    "131212": Meaning.FINAL, "131228": Meaning.FINAL, "131214": Meaning.DUPLICATE, "131200": Meaning.UNKNOWN, "131206": Meaning.UNKNOWN,
    "10002": Meaning.CLOCK, "10005": Meaning.KEY, "999999": Meaning.UNKNOWN,
}  # fmt: skip


@pytest.mark.parametrize(("code", "meaning"), MOVES.items())
def test_a_code_that_answers_a_move_at_bybit(code, meaning):
    assert meaning_of(Refusal(200, code, ""), bybit_errors.MOVES) is meaning
