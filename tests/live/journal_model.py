"""What the journal is to be: a few lists and dicts in memory, and calls that are made on both."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec import Struct, structs

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.execution_report import Cost, ExecutionReport
from basis_strategy_v1.core.gateway import Due, Message
from basis_strategy_v1.core.instructions import CexTrade, Chain, Instruction, SmartContractAction, WalletTransfer
from basis_strategy_v1.core.journal import Decision, Entry, GivenFee, Status
from basis_strategy_v1.core.order import Order, Plan
from basis_strategy_v1.core.state import ExchangeAccount, State, Wallet

D = Decimal
AT = datetime(2024, 6, 1, 12, tzinfo=UTC)
DAYS = ("2024-06-01", "2024-06-02")
KEYS = ("alpha", "auto:1f", "beta/0", "beta/1")
VENUES = ("bybit", "wallet")
WITHOUT_EFFECT = (Status.REJECTED, Status.NEVER_HAPPENED, Status.FAILED)
CLOSED = (*WITHOUT_EFFECT, Status.SETTLED)
INSTRUCTIONS: tuple[Instruction, ...] = (
    CexTrade(venue="bybit", trade_type="perp", side="sell", symbol="ETHUSDT", amount=D("1.50"), instruction_id="alpha"),
    WalletTransfer(from_venue="bybit", to_venue="wallet", token="USDT", amount=D(100), network="ethereum"),
    SmartContractAction(protocol="aave", action="supply", token="USDT", amount="all", estimated_deltas=Deltas.at("aave", {"USDT": D(-1)})),
    Chain(steps=(SmartContractAction(protocol="lido", action="stake", token="ETH", amount=D("1e-18")),), atomic=False),
)


class Row(Struct):
    """One beginning of an instruction."""

    entry: Entry
    day: str
    notional_usd: Decimal
    gas_eth: Decimal = D(0)


class Model:
    """A LiveJournal without a disk, written as plainly as can be."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.plans: list[Plan] = []
        self.ended: set[int] = set()
        self.due: dict[tuple[str, str], Due] = {}
        self.due_in_log: set[tuple[str, str]] = set()
        self.cursors: dict[str, str] = {}
        self.held: State | None = None
        self.others: dict[str, dict[str, D]] = {}

    def entry(self, key: str) -> Entry | None:
        mine = [row.entry for row in self.rows if row.entry.key == key]
        return structs.replace(mine[-1], messages=tuple(message for entry in mine for message in entry.messages)) if mine else None

    def begin_plan(self, plan: Plan) -> int:
        if self.plans and len(self.plans) not in self.ended:
            raise ValueError
        self.plans.append(plan)
        if not plan.blocks:
            self.ended.add(len(self.plans))
        return len(self.plans)

    def end_plan(self, number: int) -> None:
        if number > len(self.plans):
            raise ValueError
        self.ended.add(number)

    def intended(self, order: Order, *, notional_usd: Decimal, plan: int | None, step: int | None, parent: str | None) -> None:
        before = self.entry(order.key)
        if before is not None and before.status not in WITHOUT_EFFECT:
            raise ValueError
        entry = Entry(
            key=order.key,
            venue=order.venue,
            instruction=order.instruction,
            status=Status.INTENDED,
            order=order,
            plan=plan,
            step=step,
            parent=parent,
        )
        self.rows.append(Row(entry, order.at.date().isoformat(), notional_usd))

    def sent(self, key: str, build: Callable[[int | None], Message], *, takes_nonce: bool, first_nonce: int) -> Message:
        row = self._open(key)
        own = [message.nonce for message in row.entry.messages if message.nonce is not None]
        living = [other.entry for other in self.rows if other.entry.status not in (Status.REJECTED, Status.NEVER_HAPPENED)]
        taken = {message.nonce for entry in living if entry.venue == row.entry.venue for message in entry.messages}
        free = next(nonce for nonce in range(first_nonce, 1_000) if nonce not in taken)
        message = build((own[0] if own else free) if takes_nonce else None)
        self._change(row, messages=(*row.entry.messages, message), status=Status.SENT)
        return message

    def add_report(self, key: str, report: ExecutionReport) -> None:
        row = self._open(key)
        self._change(row, reports=(*row.entry.reports, report))

    def note(self, key: str, reason: str) -> None:
        self._change(self._open(key), reason=reason)

    def close(self, key: str, status: Status, report: ExecutionReport | None, state: State | None, reason: str = "") -> None:
        row = self._open(key)
        row.gas_eth = D(0) if report is None else sum((cost.amount for cost in report.costs if cost.source == "gas"), D(0))
        self._change(row, status=status, reason=reason, reports=(*row.entry.reports, *([report] if report else [])))
        self.held = state or self.held

    def logged(self, key: str) -> None:
        for row in self.rows:
            if key in (row.entry.key, row.entry.parent) and not row.entry.is_open:
                self._change(row, is_logged=True)

    def resolve(self, key: str, reference: str | None, *, at: datetime, by: str, fee: GivenFee | None = None) -> Entry | None:
        self._change(self._open(key), decision=Decision(reference=reference, at=at, by=by, fee=fee))
        return self.entry(key)

    def begin_account(self, state: State, cursors: Mapping[str, str], not_ours: Mapping[str, Mapping[str, D]]) -> None:
        if self.held is not None:
            raise ValueError
        self.others = {venue: dict(tokens) for venue, tokens in not_ours.items()}
        self.held = state
        self.cursors |= cursors

    def add_due(self, venue: str, items: Sequence[Due], cursor: str, state: Callable[[Sequence[Due]], State]) -> list[Due]:
        new = self.new_due(venue, items)
        self.due |= {(venue, item.id): item for item in new}
        self.cursors[venue] = cursor
        if new:
            self.held = state(new)
        return new

    def new_due(self, venue: str, items: Sequence[Due]) -> list[Due]:
        new: dict[str, Due] = {}
        for item in items:
            if (venue, item.id) not in self.due and not any(self._is_of(row.entry, venue, item) for row in self.rows):
                new.setdefault(item.id, item)
        return list(new.values())

    @staticmethod
    def _is_of(entry: Entry, venue: str, item: Due) -> bool:
        has_sent_it = entry.venue == venue and item.client_id in {message.client_id for message in entry.messages}
        return has_sent_it and (entry.is_open or item.reference in {report.reference for report in entry.reports})

    def recorded_late(self, key: str, reference: str) -> list[Due]:
        rows = [row for row in self.rows if row.entry.key == key]
        ids = {message.client_id for row in rows for message in row.entry.messages}
        found = [item for item in self.due.values() if item.reference == reference and item.client_id in ids]
        return found if len(rows) > 1 else []

    def due_logged(self, venue: str, ids: Iterable[str]) -> None:
        self.due_in_log |= {(venue, name) for name in ids} & self.due.keys()

    def _open(self, key: str) -> Row:
        row = next((row for row in reversed(self.rows) if row.entry.key == key), None)
        if row is None or not row.entry.is_open:
            raise ValueError
        return row

    def _change(self, row: Row, **fields: Any) -> None:
        row.entry = structs.replace(row.entry, **fields)

    def seen(self) -> dict[str, Any]:
        """Everything that can be read."""
        entries = [entry for key in dict.fromkeys(row.entry.key for row in self.rows) if (entry := self.entry(key)) is not None]
        in_hand = [(number, plan) for number, plan in enumerate(self.plans, 1) if number not in self.ended]
        spending = [row for row in self.rows if row.entry.status not in (Status.REJECTED, Status.NEVER_HAPPENED)]
        return {
            "entries": {key: self.entry(key) for key in KEYS},
            "open": [self.entry(row.entry.key) for row in self.rows if row.entry.is_open],
            "unlogged": [(row.entry.key, row.entry.status) for row in self.rows if not row.entry.is_open and not row.entry.is_logged],
            "children": [entry for entry in entries if entry.parent == "beta"],
            "of plan 1": [entry for entry in entries if entry.plan == 1],
            "plan": in_hand[-1] if in_hand else None,
            "newest plan": self.plans[-1] if self.plans else None,
            "memory": self.plans[-1].memory if self.plans else None,
            "state": self.held and (dict(self.held.parts), self.held.checked),
            "spent": [sum((row.notional_usd for row in spending if row.day == day), D(0)) for day in DAYS],
            "gas": [sum((row.gas_eth for row in self.rows if row.day == day), D(0)) for day in DAYS],
            "cursors": [self.cursors.get(venue) for venue in VENUES],
            "due": [(venue, item) for (venue, name), item in self.due.items() if (venue, name) not in self.due_in_log],
            "not ours": self.others,
            "new fills": [item.id for venue in VENUES for item in self.new_due(venue, FILLS)],
            "recorded late": {key: self.recorded_late(key, item.reference) for key in KEYS for item in FILLS},
        }


def seen(journal: Any) -> dict[str, Any]:
    """The same of a real journal."""
    state = journal.state()
    return {
        "entries": {key: journal.entry(key) for key in KEYS},
        "open": journal.open_entries(),
        "unlogged": [(entry.key, entry.status) for entry in journal.unlogged_entries()],
        "children": journal.children("beta"),
        "of plan 1": journal.plan_entries(1),
        "plan": journal.plan_in_hand(),
        "newest plan": journal.newest_plan(),
        "memory": journal.memory(),
        "state": state and (dict(state.parts), state.checked),
        "spent": [journal.spent_usd(day) for day in DAYS],
        "gas": [journal.spent_gas_eth(day) for day in DAYS],
        "cursors": [journal.cursor(venue) for venue in VENUES],
        "due": journal.unlogged_due(),
        "not ours": journal.not_ours(),
        "new fills": [item.id for venue in VENUES for item in journal.new_due(venue, FILLS)],
        "recorded late": {key: journal.recorded_late(key, item.reference) for key in KEYS for item in FILLS},
    }


# Calls, as data: the name of one and two small numbers that choose its arguments.
Call = tuple[str, int, int]
CALLS = (
    *("begin_plan", "end_plan", "intended", "sent", "add_report", "note", "close", "logged", "resolve"),
    *("begin_account", "add_due", "due_logged"),
)
MOST = 12


def make(call: Call, journal: Any) -> Any:
    """What a call gives, or the kind of error that it raises."""
    name, first, second = call
    args, named = arguments(name, first, second)
    try:
        return getattr(journal, name)(*args, **named)
    except (ValueError, ComponentError):
        return "refused"


def arguments(name: str, first: int, second: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    key, venue = KEYS[first % 4], VENUES[first % 2]
    match name:
        case "begin_plan":
            blocks: tuple[dict[str, Any], ...] = ({"instruction_type": "cex_trade", "amount": 1.5, "deep": [{}, None]},) * (first % 3)
            return (Plan(at=AT, blocks=blocks, number=second, on_failure="hold", memory=None if second % 3 else f"memory {first}"),), {}
        case "end_plan":
            return (1 + first % 4,), {}
        case "intended":
            plan, step = (None, None) if second % 3 else (1, first % 4)
            parent = "beta" if key.startswith("beta") else None
            return (order(key, second),), {"notional_usd": D(second) / 4, "plan": plan, "step": step, "parent": parent}
        case "sent":
            takes_nonce = bool(second % 3)
            return (key, lambda nonce: message(key, second, nonce)), {"takes_nonce": takes_nonce, "first_nonce": second % 4}
        case "add_report":
            return (key, report(key, second)), {}
        case "note":
            return (key, f"note {second} ä\n\0"), {}
        case "close":
            done = None if second % 3 == 0 else report(key, second)
            return (key, CLOSED[second % 4], done, state(second) if second % 2 else None, "why" * (second % 2)), {}
        case "logged":
            return (key,), {}
        case "resolve":
            fee = (None, GivenFee(None), GivenFee(D("0.10"), "USDT"))[second % 3]
            return (key, None if second % 2 else f"0x{second}"), {"at": AT, "by": "basis resolve", "fee": fee}
        case "begin_account":
            return (state(first), {"bybit": f"from {second}"}, {"bybit": {"USDT": D(second) / 7}, "wallet": {"ETH": D(1)}}), {}
        case "add_due":
            items = [due(f"{venue}-{number % 5}") for number in range(second % 4, second % 4 + first % 4)]
            return (venue, items, f"{first}.{second}", lambda new: state(100 + len(new))), {}
        case _:
            return (venue, [f"{venue}-{number}" for number in range(second % 6)]), {}


def order(key: str, number: int) -> Order:
    venue = VENUES[KEYS.index(key) % 2] if key in KEYS else "bybit"
    return Order(
        key=key,
        at=AT + timedelta(hours=24 * (number % 2)),
        venue=venue,
        instruction=INSTRUCTIONS[number % 4],
        expected=Deltas.at(venue, {"ETH": D(number), "USDT": D("-0.10")}),
        price=D(3000) if number % 2 else None,
        worst_price=D("3001.50"),
        leaves=bool(number % 2),
    )


def message(key: str, number: int, nonce: int | None) -> Message:
    return Message(client_id=f"{key}-{number}", body=f'{{"n": {number}}}', expires=10**15 + number if number % 2 else None, nonce=nonce)


def report(key: str, number: int) -> ExecutionReport:
    deltas = Deltas.at("bybit", {"ETH": D(number) + D("0.1")})
    costs = (Cost("fees", "USDT", D("0.5")), Cost("gas", "ETH", D(number) / 1000))
    details = {"price": "3000.5", "deep": {"steps": [1, None]}, "request_id": f"lido-{number}"}
    inner = ExecutionReport(key="s", venue="aave", at=AT, kind="interest", deltas=deltas, expected=deltas)
    return ExecutionReport(
        key=key, venue="bybit", at=AT, kind="execution", deltas=deltas, expected=Deltas(), costs=costs, reference=f"0x{number}",
        details=details, filled=D(number) / MOST, settlements=(inner,) * (number % 2),
    )  # fmt: skip


def state(number: int) -> State:
    return State(
        {"bybit": ExchangeAccount({"USDT": D(number) + D("0.50")}), "wallet": Wallet({"ETH": 10**20 + number})}, checked=number % 2 == 0
    )


def due(name: str) -> Due:
    return Due(
        id=name,
        venue="bybit",
        kind="funding",
        at=AT,
        deltas=Deltas.at("bybit", {"USDT": D("0.1")}),
        changes={"bybit": {"type": "Account", "changed": {}}},
    )


# Fills of orders of the run: some of them are in a report, some are not.
FILLS = tuple(
    structs.replace(due(f"fill {key} {number} {other}"), client_id=f"{key}-{number}", reference=f"0x{other}")
    for key in KEYS
    for number in range(0, MOST, 3)
    for other in (number, number + 1)
)


def random_calls(seed: int, count: int) -> list[Call]:
    chance = random.Random(seed)
    return [(chance.choice(CALLS), chance.randrange(MOST), chance.randrange(MOST)) for _ in range(count)]
