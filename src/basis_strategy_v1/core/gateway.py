"""The gateway protocol: what live execution asks of a venue account, and the answers that it accepts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost

if TYPE_CHECKING:
    from basis_strategy_v1.core.order import Approved, Order
    from basis_strategy_v1.core.state import State


class Message(Struct, frozen=True, kw_only=True):
    """A complete request: all that is needed to send the same bytes again, or to look up what became of them. It holds no secret.

    `client_id` is the venue's form of the key. `body` is JSON text in the gateway's own shape. `expires` is the instant (microseconds since
    1970) after which the venue no longer executes it; None: it does not expire. `nonce` is the one that the journal assigned.
    `most_gas_eth` is what its gas costs at most: the journal counts it in the day's gas until the outcome is known, and does not keep it.
    """

    client_id: str
    body: str
    expires: int | None = None
    nonce: int | None = None
    most_gas_eth: Decimal = Decimal(0)


class Due(Struct, frozen=True, kw_only=True):
    """Something that happened at the venue without an instruction: funding, interest, an arrival, a claim, a liquidation, a foreign fill.

    `id` is the venue's own, unique within the venue account. `venue` is the configured name of the exchange or protocol.
    Where `kind` is interest and there are no deltas, they are what its changes make of the balances that the account holds.
    A fill of an order of the run itself has the order's `client_id` and the venue's name of it (`reference`): its row in the journal has it
    already, unless the row was closed as if nothing had been executed.
    `transfer`: which amount in transit it is about, where it may be one: the transaction hash of what came in, the client id of a
    withdrawal that has left or come back. The account then finds out whether it is one of its own (`execution/in_transit.py`).
    """

    id: str
    venue: str
    kind: str
    at: datetime
    deltas: Deltas
    changes: Mapping[str, Any] = {}
    costs: tuple[Cost, ...] = ()
    details: Mapping[str, Any] = {}
    client_id: str = ""
    reference: str = ""
    transfer: str = ""


class Happened(Struct, frozen=True, kw_only=True):
    """What a venue has executed so far.

    `filled` is the filled share of the requested amount, 0 to 1. `reference` is the venue's name of it: an order id, a transaction hash.
    `final`: nothing more follows. `failed`: executed without effect, for example a reverted transaction; `deltas` then hold its gas.
    `changes` are the same deltas in the venues' conserved units (venue -> change of its state, `core/state_change.py`). `settlements` are
    what fell due on chain just before it and was brought up to date by it. `raw` is the answer as it came.
    """

    deltas: Deltas
    reference: str
    changes: Mapping[str, Any] = {}
    settlements: tuple[Due, ...] = ()
    filled: Decimal = Decimal(1)
    costs: tuple[Cost, ...] = ()
    details: Mapping[str, Any] = {}
    final: bool = True
    failed: bool = False
    raw: Any = None


class Pending(Struct, frozen=True):
    """The venue has it, or may still get it. Look it up again."""

    reason: str


class NeverHappened(Struct, frozen=True):
    """It was not executed and can no longer be: it has expired, or its nonce was used by another transaction."""

    reason: str


Finding = Happened | Pending | NeverHappened


class Gateway(Protocol):
    """The way to one venue account. What it raises says what the caller does next.

    VenueRejected: the venue refused, which is final. VenueUnreachable: nothing was sent, so the same bytes may be sent again.
    OutcomeUnknown, or any other error of `send`: perhaps it was sent; it is looked up. MalformedAnswer: the venue answered something that
    cannot be read. An execution without effect that cost something is no error: it is a Happened that `failed`.
    Calls come from changing threads; `find`, `read` and `due` also while another call is under way. A call ends by the deadline of
    `core/deadline.py`, which closes its sockets, so that nothing is sent later.
    """

    name: str
    """The configured name of the venue account."""
    kind: str
    """`exchange` or `chain`: selects the deadline by which an order settles (`live.settle_deadline_s`). A transfer out of an exchange has
    that of a `withdrawal`."""
    connection: str
    """What it shares with other accounts on its way to the venue, an exchange's host or a chain's node: accounts of one connection share
    a circuit breaker and the lock that lets one order be sent at a time."""
    takes_nonce: bool
    """Whether the journal assigns a nonce to each message."""

    def quote(self, order: Order) -> Any:
        """What `prepare` needs from the network (fees, balances, a simulation), as plain JSON values.

        Where `takes_nonce` it is a dict, whose `nonce` is the lowest one that the chain still takes.
        """
        ...

    def prepare(self, approved: Approved, limits: Any, quote: Any, nonce: int | None) -> Message:
        """The complete message, checked against what was approved (`core/outgoing.py`). Pure: the same arguments give the same bytes.

        Raises:
            VenueRejected: the order is outside the limits, the lots or what the quote allows.
        """
        ...

    # A gateway to an account with several wallets also has `move_for(order) -> WalletTransfer | None`: the move between them that an order
    # needs first, from the account to itself. It is sent as a message of its own, under a key of its own.
    # A gateway that can tell what is wrong with a later leg of a plan has `rehearse(approved, limits, earlier)`: it quotes and prepares the
    # order as if those ahead of it had moved `earlier` (Deltas), sends nothing, and raises as `quote` and `prepare` do.
    #
    # A gateway whose messages may not get on also has `replacement(messages) -> Message | None`: of the same nonce as these attempts, which
    # are the order's so far. Only one of all can happen. It is written down before it is sent.
    #
    # A gateway some of whose Dues have no lasting id also has `due_again(since, recorded) -> cursor`: from where what was held back comes
    # again, and what is recorded does not.
    #
    # A gateway whose protocols are known wholly also has `look() -> State`: what they are like now. The simulator works on that.

    def send(self, message: Message) -> Happened | Pending:
        """Send it once. Pending: acknowledged, and not executed yet."""
        ...

    def find(self, message: Message, reference: str | None = None) -> Finding:
        """What became of it. `reference`: the venue's name of the execution, where a person has found it there.

        Raises:
            VenueRejected: the venue refused it when it came. VenueUnreachable: the venue cannot be asked now.
        """
        ...

    def read(self, at: str | None = None) -> State:
        """The venue states that this account knows wholly, at a named block or time, else now. It is compared, never taken over."""
        ...

    def due(self, since: str | None) -> tuple[Sequence[Due], str]:
        """What happened since a cursor, oldest first, and the next cursor. Items may come again: the caller knows them by their id."""
        ...


class MalformedAnswer(ValueError):
    """The venue answered something that cannot be read. `raw` is the answer as it came. `but_for_fee`: all is known but a fee; what
    happened without it."""

    def __init__(self, fault: str, raw: Any, but_for_fee: Happened | None = None) -> None:
        self.fault = fault
        self.raw = raw
        self.but_for_fee = but_for_fee
        super().__init__(fault, raw)

    def __str__(self) -> str:
        return self.fault
