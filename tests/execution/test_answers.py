"""What a gateway answers is looked at field by field before it is recorded."""

from __future__ import annotations

import pickle
from decimal import Decimal

import pytest
from msgspec import Struct
from msgspec.structs import replace as changed

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.gateway import Due, MalformedAnswer, NeverHappened, Pending
from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.execution.answers import require_finding, require_state

from .sending import AFTER, FEE, FILL, HALF, NOON, order


class Record(Struct, frozen=True):
    units: object


class Endless:
    def __init__(self):
        self.inner = [self]


def nested(depth):
    return [nested(depth - 1)] if depth else 1


NAN, ENDLESS = Decimal("NaN"), Decimal("Infinity")
NOT_A_PLACE = "which are not a venue and a token"
NOT_A_COST = "not a Cost of a finite Decimal"
INTEREST = Due(id="i1", venue="aave", kind="interest", at=NOON, deltas=Deltas.at("aave", {"aUSDT": Decimal(1)}))
NONSENSE = {
    "a list of settlements": ({"settlements": [INTEREST]}, "settlements that are a list, not a tuple of Due"),
    "a settlement that is a dict": ({"settlements": ({},)}, "a settlement that is a dict, not a Due"),
    "a settlement without an id": (
        {"settlements": (INTEREST, changed(INTEREST, id=""))},
        "a settlement without an id, a venue, a kind or a time with a zone",
    ),
    "a settlement at a time without a zone": (
        {"settlements": (changed(INTEREST, at=NOON.replace(tzinfo=None)),)},
        "a settlement without an id, a venue, a kind or a time with a zone",
    ),
    "a settlement without deltas": (
        {"settlements": (changed(INTEREST, deltas=None),)},
        "a settlement with deltas that are None, not Deltas",
    ),
    "a settlement of nothing that is a number": (
        {"settlements": (changed(INTEREST, deltas=Deltas.at("aave", {"aUSDT": NAN})),)},
        "a settlement with a change of NaN aUSDT, which is not a finite Decimal",
    ),
    "a settlement with details that are none": (
        {"settlements": (changed(INTEREST, details=None),)},
        "a settlement with details that are None, not values by their names",
    ),
    "an infinite change": (
        {"deltas": Deltas.at("b", {"ETH": ENDLESS})},
        "a change of Infinity ETH, which is not a finite Decimal",
    ),
    "no number": ({"deltas": Deltas.at("b", {"ETH": NAN})}, "a change of NaN ETH, which is not a finite Decimal"),
    "a float": ({"deltas": Deltas.at("b", {"ETH": 1.5})}, "a change of 1.5 ETH, which is not a finite Decimal"),
    "an amount that would fill the memory": (
        {"deltas": Deltas.at("b", {"ETH": Decimal("1e999999")})},
        "a change of 1E+999999 ETH, which is not a finite Decimal",
    ),
    "an empty token": ({"deltas": Deltas.of({("b", ""): Decimal(1)})}, f"deltas under 'b' and '', {NOT_A_PLACE}"),
    "half a character": ({"deltas": Deltas.of({("b", "\ud800"): Decimal(1)})}, f"deltas under 'b' and '\\ud800', {NOT_A_PLACE}"),
    "a venue that is no text": ({"deltas": Deltas.of({(7, "ETH"): Decimal(1)})}, f"deltas under 7 and 'ETH', {NOT_A_PLACE}"),
    "a dict for deltas": ({"deltas": {"binance": {"ETH": 1}}}, "deltas that are a dict, not Deltas"),
    "no deltas": ({"deltas": None}, "deltas that are None, not Deltas"),
    "deltas of a list": ({"deltas": Deltas([])}, "deltas of a list, not of venues"),
    "deltas of a venue that are a list": ({"deltas": Deltas({"b": []})}, "deltas of 'b' that are a list, not tokens"),
    "a share above 1": ({"filled": Decimal("1.1")}, "a filled share of 1.1, which is not a Decimal from 0 to 1"),
    "a share below 0": ({"filled": Decimal("-0.1")}, "a filled share of -0.1, which is not a Decimal from 0 to 1"),
    "a share that is no number": ({"filled": NAN}, "a filled share of NaN, which is not a Decimal from 0 to 1"),
    "a share that is a float": ({"filled": 1.0}, "a filled share of 1.0, which is not a Decimal from 0 to 1"),
    "no reference": ({"reference": ""}, "a reference that is '', not the venue's name of it"),
    "a reference that is a number": ({"reference": 71}, "a reference that is 71, not the venue's name of it"),
    "final that is a number": ({"final": 1}, "final that is 1, not True or False"),
    "failed that is None": ({"failed": None}, "failed that is None, not True or False"),
    "a list of costs": ({"costs": [FEE]}, "costs that are a list, not a tuple of Cost"),
    "a cost that is a tuple": ({"costs": (("fees", "USDT", Decimal(1)),)}, f"a cost that is a tuple, {NOT_A_COST}"),
    "a cost without a source": ({"costs": (Cost("", "USDT", Decimal(1)),)}, f"a cost that is a Cost, {NOT_A_COST}"),
    "an endless cost": ({"costs": (FEE, Cost("fees", "USDT", -ENDLESS))}, f"a cost that is a Cost, {NOT_A_COST}"),
    "changes that are a list": ({"changes": []}, "changes that are a list, not those of venues"),
    "changes of no venue": ({"changes": {"": {}}}, "changes of '', which is not a venue"),
    "a change that is a float": ({"changes": {"b": {"ETH": 1.5}}}, "a change of 'b' that has 1.5, which is not exact"),
    "a change that is a list": ({"changes": {"b": [1]}}, "a change of 'b' that is a list"),
    "a change that is no number": (
        {"changes": {"b": {"perps": [Record(NAN)]}}},
        "a change of 'b' that has NaN, which is not finite",
    ),
    "a change of an unknown kind": ({"changes": {"b": {"perps": (Endless(),)}}}, "a change of 'b' that has a Endless, which is not exact"),
    "a change that is too deep": ({"changes": {"b": {"perps": nested(16)}}}, "a change of 'b' that has more than 16 levels"),
    "no details": ({"details": None}, "details that are None, not values by their names"),
    "a list of details": ({"details": [1]}, "details that are a list, not values by their names"),
    "a number for details": ({"details": 3}, "details that are 3, not values by their names"),
    "details by numbers": ({"details": {1: 2}}, "details that are a dict, not values by their names"),
    "details that cannot be written": ({"details": {"x": Endless()}}, "details that cannot be written down: TypeError"),
    "details with half a character": ({"details": {"x": "\ud800"}}, "details that cannot be written down: UnicodeEncodeError"),
    "a failure that is filled": ({"failed": True}, "a failure that is filled to 1"),
    "a failure that goes on": ({"failed": True, "filled": Decimal(0), "final": False}, "a failure that is not final"),
    "nothing filled and something moved": ({"filled": Decimal(0)}, "a filled share of 0 with deltas"),
}


def fault_of(answer, sent=None, filled=Decimal(0)):
    with pytest.raises(MalformedAnswer) as raised:
        require_finding(answer, sent or order(), filled)
    return raised.value


@pytest.mark.parametrize(("fields", "fault"), NONSENSE.values(), ids=NONSENSE)
def test_an_answer_is_refused_for(fields, fault):
    """attack.md, row 1."""
    found = fault_of(changed(FILL, **fields))
    assert (str(found), found.raw) == (fault, FILL.raw)


def test_an_answer_that_is_whole_is_given_as_it_is():
    whole = changed(
        FILL, settlements=(INTEREST,), changes={"b": {"perps": [{"base": "1", "cost": Decimal(3)}], "gone": None, "whole": True}}
    )
    assert [require_finding(answer, order()) for answer in (whole, HALF, Pending("x"), NeverHappened("x"))] == [
        whole,
        HALF,
        Pending("x"),
        NeverHappened("x"),
    ]


@pytest.mark.parametrize(("answer", "said"), [(None, "None"), ({"orderId": 71}, "a dict"), ("ok", "'ok'")])
def test_what_is_no_answer_is_kept(answer, said):
    found = fault_of(answer)
    assert (str(found), found.raw) == (f"{said}, which is not Happened, Pending or NeverHappened", answer)


def test_an_answer_without_its_raw_form_is_kept_itself():
    answer = changed(FILL, raw=None, details=None)
    assert fault_of(answer).raw is answer


@pytest.mark.parametrize("answer", [Pending(None), NeverHappened(3)])
def test_a_reason_is_text(answer):
    assert str(fault_of(answer)).startswith("a reason that is ")


def test_the_share_that_is_filled_never_falls():
    assert require_finding(HALF, order(), Decimal("0.5")) is HALF
    assert str(fault_of(HALF, filled=Decimal("0.51"))) == "a filled share of 0.5, after one of 0.51"


# What moved is the filled share of the amount.


def trade(**fields):
    block = {"instruction_type": "cex_trade", "venue": "binance", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": 2}
    return order(instruction=parse_instruction({**block, **fields}))


def moved(filled, **tokens):
    deltas = Deltas.at("binance", {name.replace("_", "-"): Decimal(amount) for name, amount in tokens.items()})
    return changed(FILL, deltas=deltas, filled=Decimal(filled))


AS_ASKED = {
    "bought": (trade(), moved("0.5", ETH="1", USDT="-3300")),
    "bought, the fee in the coin": (trade(), moved(1, ETH="1.9", USDT="-6600")),
    "bought, the share rounded": (trade(), moved("0.3333333", ETH="0.66666667", USDT="-2200")),
    "sold": (trade(side="sell"), moved(1, ETH="-2", USDT="6600")),
    "sold, the fee in the coin": (trade(side="sell"), moved(1, ETH="-2.1", USDT="6600")),
    "a perp bought": (trade(trade_type="perp"), moved(1, ETHUSDT_PERP="2", USDT="-3")),
    "a perp sold": (trade(trade_type="perp", side="sell"), moved("0.25", ETHUSDT_PERP="-0.5", USDT="-3")),
    "nothing": (trade(), changed(FILL, deltas=Deltas(), filled=Decimal(0))),
    "a coin whose name begins with another one's": (trade(symbol="ETHFIUSDT"), moved(1, ETHFI="2", ETH="-0.001", USDT="-3")),
}


@pytest.mark.parametrize(("sent", "answer"), AS_ASKED.values(), ids=AS_ASKED)
def test_a_trade_is_recorded_that(sent, answer):
    assert require_finding(answer, sent) is answer


MISFILLED = {
    "is filled to half and moved the whole": (trade(), moved("0.5", ETH="2", USDT="-6600"), "a change of 2 ETH, where 0.5 of buy 2"),
    "moved the other way": (trade(), moved(1, ETH="-2", USDT="6600"), "a change of -2 ETH, where 1 of buy 2"),
    "sold moved the other way": (trade(side="sell"), moved(1, ETH="2"), "a change of 2 ETH, where 1 of sell 2"),
    "took more than a fee": (trade(), moved(1, ETH="1.89"), "a change of 1.89 ETH, where 1 of buy 2"),
    "gave more than was bought": (trade(), moved(1, ETH="2.1"), "a change of 2.1 ETH, where 1 of buy 2"),
    "sold less than it says": (trade(side="sell"), moved(1, ETH="-1.9"), "a change of -1.9 ETH, where 1 of sell 2"),
    "sold far more than it says": (trade(side="sell"), moved(1, ETH="-2.11"), "a change of -2.11 ETH, where 1 of sell 2"),
    "moved nothing of the coin": (trade(), moved(1, USDT="-6600"), "a change of 0 base, where 1 of buy 2"),
    "of a perp has a fee in the base": (
        trade(trade_type="perp"),
        moved(1, ETHUSDT_PERP="1.99"),
        "a change of 1.99 ETHUSDT-PERP, where 1 of",
    ),
}


@pytest.mark.parametrize(("sent", "answer", "said"), MISFILLED.values(), ids=MISFILLED)
def test_a_trade_is_refused_that(sent, answer, said):
    """-1 ETH reported where venue and simulator say +1 was healthy."""
    assert str(fault_of(answer, sent)).startswith(said)


def test_a_malformed_answer_survives_being_sent_to_another_process():
    copy = pickle.loads(pickle.dumps(MalformedAnswer("nonsense", {"orderId": 71})))
    assert (str(copy), copy.fault, copy.raw, copy.args) == ("nonsense", "nonsense", {"orderId": 71}, ("nonsense", {"orderId": 71}))


# What is read.


class Held:
    def __init__(self, positions):
        self._positions = positions

    def positions(self):
        if isinstance(self._positions, Exception):
            raise self._positions
        return self._positions


UNREADABLE = {
    "no state": ({"binance": {}}, "a dict, which is not a State"),
    "parts that are a list": (changed(AFTER, parts=[]), "a State of a list, not of venues"),
    "a venue of nothing": (changed(AFTER, parts={"binance": None}), "a State whose 'binance' is None"),
    "positions that are a list": (changed(AFTER, parts={"b": Held([])}), "a State with deltas of 'b' that are a list, not tokens"),
    "positions that cannot be counted": (
        changed(AFTER, parts={"b": Held(TypeError("x"))}),
        "a State whose positions cannot be counted: TypeError",
    ),
}


@pytest.mark.parametrize(("read", "fault"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_state_is_refused_that_has(read, fault):
    """attack.md, row 6."""
    with pytest.raises(MalformedAnswer) as raised:
        require_state(read)
    assert (str(raised.value), raised.value.raw) == (fault, read)


def test_a_state_that_is_whole_is_given_as_it_is():
    assert require_state(AFTER) is AFTER
