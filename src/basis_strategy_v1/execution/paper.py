"""`--paper`: the venues are the simulators, behind the same gateways as real ones, with a ledger of their own that survives a kill."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from decimal import Decimal, localcontext
from threading import RLock
from typing import TYPE_CHECKING, Any

import msgspec

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.clock import from_instant, to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.gateway import Due, Happened, Message, NeverHappened
from basis_strategy_v1.core.instruction_steps import top_steps
from basis_strategy_v1.core.instructions import WalletTransfer
from basis_strategy_v1.core.outgoing import GWEI_PER_ETH, Gas
from basis_strategy_v1.core.state import WALLET, State
from basis_strategy_v1.core.state_change import changes_between
from basis_strategy_v1.core.state_codec import decode_state, encode_state
from basis_strategy_v1.execution.account import Account
from basis_strategy_v1.execution.paper_message import NO_GAS, body_of, read_body
from basis_strategy_v1.execution.step import StepSimulator
from basis_strategy_v1.positions.ledger import UnknownHoldings
from basis_strategy_v1.venues.chain import gas_units
from basis_strategy_v1.venues.venue import CEX, SimulationResult, reject
from basis_strategy_v1.venues.wallet import TRANSFER_GAS, WalletVenue

if TYPE_CHECKING:
    from pathlib import Path

    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.gateway import Finding
    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.core.limits import Limits
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.order import Approved, Order
    from basis_strategy_v1.execution.market_source import MarketSource
    from basis_strategy_v1.venues.venue import Venues

LIFETIME_US = 2_000_000  # an order that has not been taken by then expires
ZERO = Decimal(0)
SCHEMA = """
CREATE TABLE IF NOT EXISTS executed (client_id TEXT PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS due (number INTEGER PRIMARY KEY, venue TEXT NOT NULL, item TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS world (id INTEGER PRIMARY KEY CHECK (id = 0), state TEXT NOT NULL, settled INTEGER);
"""


def pass_point(point: str) -> None:
    """Nothing is done at a point."""


def settled_in(path: Path) -> int | None:
    """Up to which instant (microseconds since 1970) a ledger has settled what fell due; None where there is none, or nothing was."""
    if not path.exists():
        return None
    with closing(sqlite3.connect(path)) as file:
        file.executescript(SCHEMA)
        row = file.execute("SELECT settled FROM world").fetchone()
    return None if row is None else row[0]


class PaperWorld:
    """All simulated venues of one run: what they hold for us, what they executed, and what fell due.

    A venue does not forget: its ledger is a file, and every change is one transaction of it. `state` is the account's at the first start.
    `at` is called at each point at which the process could end, by its name.
    """

    def __init__(
        self, venues: Venues, source: MarketSource, clock: Clock, path: Path, state: State, at: Callable[[str], None] = pass_point
    ) -> None:
        self.venues = venues
        self._at = at
        self._source = source
        self._clock = clock
        self._lock = RLock()
        self._simulator = StepSimulator(venues)
        self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # A kill loses nothing; only a power failure could, and then the journal names what is missing here.
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=NORMAL")
        self._file.executescript(SCHEMA)
        self._ledger = UnknownHoldings()
        self._account = Account(venues, source, self._ledger)
        self._begin(state)

    def _begin(self, state: State) -> None:
        row = self._file.execute("SELECT state, settled FROM world").fetchone()
        if row is None:
            self._file.execute("INSERT INTO world VALUES (0, ?, NULL)", (encode_state(state),))
            row = encode_state(state), None
        self._state, self._settled = decode_state(row[0]), row[1]

    def close(self) -> None:
        """Close the ledger."""
        with self._lock:
            self._file.close()

    # What the gateways ask.

    def execute(self, client_id: str, instruction: Instruction, expires: int, worst_price: Decimal | None) -> Happened:
        """Execute an instruction once; a repetition gives the first answer.

        Raises:
            VenueRejected: the simulator refuses it; nothing was changed.
        """
        with self._lock, localcontext(EXACT):
            known = self.found(client_id)
            if known is not None:
                return known
            market = self._advance()
            came = to_instant(self._clock.now())  # on the wall clock later than the snapshot: reading prices takes its time
            if came > expires:
                reject(CEX, f"{client_id} came {(came - expires) / 1e6:g} s after it expired")
            destination = self._simulator.destination(instruction)
            before = state = self._state
            settlements: list[ExecutionReport] = []
            if destination.kind != CEX:
                state, settlements = self._account.accrued_on_chain(state, market)
            simulated = self._simulator.simulate(instruction, destination, state, market)
            if _is_beyond(simulated, instruction, worst_price):
                simulated = SimulationResult(state, Deltas(), details={**simulated.details, "filled": ZERO}, filled=ZERO)
            answer = _answer(client_id, simulated, before, state, settlements)
            self._at("before execute")
            with self._file:
                self._file.execute("BEGIN")
                self._file.execute("INSERT INTO executed VALUES (?, ?)", (client_id, msgspec.json.encode(answer).decode()))
                self._at("within execute")
                self._keep(simulated.state, market)
            self._at("after execute")
            return answer

    def found(self, client_id: str) -> Happened | None:
        """What was executed under a client id."""
        row = self._file.execute("SELECT answer FROM executed WHERE client_id = ?", (client_id,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=Happened)

    def gas(self, wallet: str, instruction: Instruction) -> Gas | None:
        """What a transaction of a wallet uses, at the price of now; None for what is no transaction of one."""
        venue = self.venues[wallet]
        if not isinstance(venue, WalletVenue):
            return None
        if venue.is_free():
            return NO_GAS
        units = TRANSFER_GAS if isinstance(instruction, WalletTransfer) else gas_units(top_steps(instruction), self.venues)
        with self._lock, localcontext(EXACT):
            market = self._account.market(self._clock.now())
            return Gas(venue.gas_fee(units, market) * GWEI_PER_ETH / units, units)

    def due(self, venues: Sequence[str], since: str | None) -> tuple[list[Due], str]:
        """What fell due at some venues after a cursor, up to now; and the next cursor."""
        with self._lock, localcontext(EXACT):
            self._advance()
            rows = self._file.execute("SELECT number, venue, item FROM due WHERE number > ? ORDER BY number", (int(since or 0),)).fetchall()
            items = [msgspec.json.decode(item, type=Due) for _, venue, item in rows if venue in venues]
            return items, str(rows[-1][0]) if rows else since or "0"

    def read(self, venues: Sequence[str]) -> State:
        """The states of some venues, as they are now."""
        with self._lock, localcontext(EXACT):
            self._advance()
            return State({name: part for name, part in self._state.parts.items() if name in venues})

    # Time.

    def _advance(self) -> MarketSnapshot:
        """Bring all venues to now, and keep what fell due meanwhile."""
        now = self._clock.now()
        market = self._account.market(now)
        if self._settled is None:
            self._state = self._account.opened(self._state, market)
            self._settled = market.instant
        return self._pass_time(now, market) if market.instant > self._settled else market

    def _pass_time(self, now: Any, market: MarketSnapshot) -> MarketSnapshot:
        assert self._settled is not None
        before, fell_due = self._state, False
        since = self._account.market(from_instant(self._settled))
        for at, state, reports in self._account.passage(since, now, self._state):
            if reports:
                fell_due = True
                self._at("before due")
                with self._file:
                    self._file.execute("BEGIN")
                    changes = changes_between(before, state)
                    for place, report in enumerate(reports):
                        item = _due(report, {} if place else changes)
                        self._file.execute(
                            "INSERT INTO due (venue, item) VALUES (?, ?)", (report.venue, msgspec.json.encode(item).decode())
                        )
                    self._keep(state, at)
            before, self._state, self._settled = state, state, at.instant
        return market if not fell_due else self._account.market(now)

    def _keep(self, state: State, market: MarketSnapshot) -> None:
        self._file.execute("UPDATE world SET state = ?, settled = ?", (encode_state(state), market.instant))
        self._state, self._settled = state, market.instant


class PaperGateway:
    """The way to one simulated venue account: an exchange, or the wallet with every protocol on its chain."""

    takes_nonce = False

    def __init__(self, name: str, world: PaperWorld, clock: Clock) -> None:
        self.name = self.connection = name
        self._world = world
        self._clock = clock
        on_chain = [venue.name for venue in world.venues.values() if venue.kind != CEX]
        self._venues = on_chain if name == WALLET else [name]
        self.kind = "chain" if name == WALLET else "exchange"

    def quote(self, order: Order) -> Any:
        """The venue's time, from which on the order has two seconds, and the gas that it will use."""
        return {"now": to_instant(self._clock.now()), "gas": msgspec.to_builtins(self._world.gas(self.name, order.instruction))}

    def prepare(self, approved: Approved, limits: Limits, quote: Any, nonce: int | None) -> Message:
        """The instruction as text, with its bounds and the time until which it may be executed.

        Raises:
            VenueRejected: the message is not what was approved, or is outside the limits.
        """
        body = body_of(approved, limits, msgspec.convert(quote["gas"], Gas | None))
        return Message(client_id=approved.order.key, body=body, expires=quote["now"] + LIFETIME_US)

    def send(self, message: Message) -> Happened:
        """Execute it in the simulator."""
        body = read_body(message.body)
        assert message.expires is not None
        return self._world.execute(message.client_id, body.asked, message.expires, body.worst_price)

    def find(self, message: Message, reference: str | None = None) -> Finding:
        """What was executed; a simulator has nothing on its way, so that what is not there never happened."""
        found = self._world.found(message.client_id)
        return NeverHappened(f"{self.name} has not executed {message.client_id}") if found is None else found

    def read(self, at: str | None = None) -> State:
        return self._world.read(self._venues)

    def due(self, since: str | None) -> tuple[Sequence[Due], str]:
        return self._world.due(self._venues, since)


def _is_beyond(simulated: SimulationResult, instruction: Any, worst_price: Decimal | None) -> bool:
    """Whether a trade would fill at a worse price than the order allows: an IOC limit order then fills nothing."""
    if worst_price is None or not simulated.deltas:
        return False
    price = simulated.details["price"]
    return bool(price > worst_price if instruction.side == "buy" else price < worst_price)


def _answer(client_id: str, simulated: SimulationResult, before: State, accrued: State, settlements: Sequence[ExecutionReport]) -> Happened:
    on_the_way = changes_between(before, accrued)
    return Happened(
        deltas=simulated.deltas,
        reference=f"paper:{client_id}",
        filled=simulated.filled,
        changes=changes_between(accrued, simulated.state),
        settlements=tuple(_due(report, {} if place else on_the_way) for place, report in enumerate(settlements)),
        costs=simulated.costs,
        details=dict(simulated.details),
    )


def _due(report: ExecutionReport, changes: Mapping[str, Any]) -> Due:
    return Due(
        id=report.key, venue=report.venue, kind=report.kind, at=report.at, deltas=report.deltas, changes=changes, costs=report.costs,
        details=dict(report.details),
    )  # fmt: skip
