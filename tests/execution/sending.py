"""One sender over a scripted gateway, a journal in memory and a time of its own; and what is sent in these tests."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from msgspec.structs import replace

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import OutcomeUnknown, VenueRejected, VenueUnreachable
from basis_strategy_v1.core.execution_report import Cost, ExecutionReport
from basis_strategy_v1.core.gateway import Happened, NeverHappened, Pending
from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.core.order import Approved, Order
from basis_strategy_v1.core.state import ExchangeAccount, State
from basis_strategy_v1.core.state_change import change_between
from basis_strategy_v1.execution.sender import SendSettings
from basis_strategy_v1.execution.senders import Senders

from .memory_live_journal import Held, MemoryLiveJournal
from .scripted_gateway import ScriptedGateway, ScriptEnded, StillTime

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
BUY = parse_instruction(
    {"instruction_type": "cex_trade", "venue": "binance", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": 1}
)
EXPECTED = Deltas.at("binance", {"ETH": Decimal(1), "USDT": Decimal("-3300")})
FILLED = Deltas.at("binance", {"ETH": Decimal(1), "USDT": Decimal("-3301.5")})
CHANGES = {"binance": change_between(ExchangeAccount(), ExchangeAccount({"ETH": Decimal(1), "USDT": Decimal("-3301.5")}))}
FEE = Cost("fees", "USDT", Decimal("1.5"))
FILL = Happened(deltas=FILLED, changes=CHANGES, reference="order 71", costs=(FEE,), details={"price": "3300"}, raw={"orderId": 71})
HALF = Happened(
    deltas=Deltas.at("binance", {"ETH": Decimal("0.5"), "USDT": Decimal("-1650")}),
    changes={"binance": change_between(ExchangeAccount(), ExchangeAccount({"ETH": Decimal("0.5"), "USDT": Decimal("-1650")}))},
    reference="order 71",
    filled=Decimal("0.5"),
    final=False,
)
BEFORE = State({"binance": ExchangeAccount({"USDT": Decimal(5000)})})
AFTER = State({"binance": ExchangeAccount({"ETH": Decimal(1), "USDT": Decimal("1698.5")})})
UNCHECKED = State(checked=False)
REFUSED = VenueUnreachable("CEX-002", "binance refused the connection")
REJECTED = VenueRejected("CEX-001", "binance: balance too small")
UNKNOWN = OutcomeUnknown("CEX-003", "the connection was lost after sending")
PENDING = Pending("it is being matched")
NEVER = NeverHappened("it expired at 12:00:10")
HOW_TO_RESOLVE = "then run `basis resolve {key} --happened REFERENCE` or `basis resolve {key} --never`"


def order(key="k1", instruction=BUY, expected=EXPECTED, venue="binance", **fields):
    return Order(key=key, at=NOON, venue=venue, instruction=instruction, expected=expected, **fields)


def approved(*args, spends_usd=0, **fields):
    """An order as the limits let it pass."""
    return of_order(order(*args, **fields), spends_usd)


def of_order(one, spends_usd=0):
    return Approved(order=one, notional_usd=Decimal(spends_usd))


def report(key="k1", **changes):
    fields = {"key": key, "venue": "binance", "at": NOON, "kind": "execution", "deltas": FILLED, "expected": EXPECTED}
    fields |= {"costs": (FEE,), "reference": "order 71", "details": {"price": "3300"}}
    return ExecutionReport(**{**fields, **changes})


def lost(why, key="k1", deadline_s=30, at="binance"):
    """What is said of an order whose outcome is not known after its deadline."""
    said = f"{key} has not settled within {deadline_s} s and was perhaps executed: look for {key} at {at}, "
    return f"{why}; {said}{HOW_TO_RESOLVE.format(key=key)}"


class Bench:
    """A sender over a scripted gateway."""

    def __init__(self, *sends, finds=None, reads=None, quotes=None, held=UNCHECKED, gateway=(), **settings):
        self.time = StillTime()
        self.gateway = ScriptedGateway(self.time, sends, finds, reads, quotes, **dict(gateway))
        self.journal = MemoryLiveJournal()
        self.holdings = Held(held)
        self.senders = self.make([self.gateway], **settings)

    def make(self, gateways, **settings):
        return Senders(gateways, self.journal, self.holdings, SendSettings(**settings), clock=self.time, timing=self.time.timing)

    def send(self, sent=None, spends_usd=0, **place):
        try:
            return self.senders.send(sent if isinstance(sent, Approved) else of_order(sent or order(), spends_usd), **place)
        except ScriptEnded as call:
            raise AssertionError(f"the list has no answer for {call}") from None

    def fails(self, error_class, sent=None, **place):
        with pytest.raises(error_class) as raised:
            self.send(sent, **place)
        assert type(raised.value) is error_class
        return raised.value

    @property
    def row(self):
        """The status of the only row, and its reason."""
        (entry,) = self.journal.entries.values()
        return str(entry.status), entry.reason

    @property
    def health(self):
        found = self.senders.check_health()
        return found["status"], [error["error_message"] for error in found["errors"]]


def changed_venue(what, venue):
    """A fill of binance's, or an instruction for it, at another venue."""
    if not isinstance(what, Happened):
        return replace(what, venue=venue)
    (deltas,), (changes,) = what.deltas.amounts.values(), what.changes.values()
    return replace(what, deltas=Deltas.at(venue, deltas), changes={venue: changes})
