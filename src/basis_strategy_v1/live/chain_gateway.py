"""The gateway to one account on chain: each order is one transaction, known by its hash, and what it came to is in its receipt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import RLock
from typing import TYPE_CHECKING, Any

from msgspec import convert, to_builtins

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, VenueRejected, VenueUnreachable
from basis_strategy_v1.core.gateway import Due, Finding, Happened, MalformedAnswer, Message, NeverHappened, Pending
from basis_strategy_v1.core.state import State
from basis_strategy_v1.core.tokens import to_amount
from basis_strategy_v1.live.account_findings import AccountFindings
from basis_strategy_v1.live.chain_abi import at_hash, number_of
from basis_strategy_v1.live.chain_client import NodeFault, RpcCall, RpcError
from basis_strategy_v1.live.chain_effects import effect_of, places_of
from basis_strategy_v1.live.chain_message import SentTransaction, replaced, sent_of
from basis_strategy_v1.live.chain_outcome import Receipt, outcome, receipt_of
from basis_strategy_v1.live.chain_prepare import ChainQuote, prepared
from basis_strategy_v1.live.chain_quote import PaysTo, Quoting
from basis_strategy_v1.live.chain_reader import BlockReading, block_of

if TYPE_CHECKING:
    from decimal import Decimal

    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.core.limits import Limits
    from basis_strategy_v1.core.order import Approved, Order
    from basis_strategy_v1.core.state import ExchangeAccount
    from basis_strategy_v1.live.chain_due import ChainDue
    from basis_strategy_v1.live.chain_reader import ChainReader
    from basis_strategy_v1.live.wallet_key import Signer
    from basis_strategy_v1.venues.venue import Venues

UNREACHABLE, REJECTED, UNKNOWN = "OCH-002", "OCH-001", "OCH-003"
STUCK_BLOCKS = 3
MOST_SCANNED = 2_000
WAITS = ("max fee per gas less than block base fee", "fee too low", "txpool is full", "pool is full")
FINAL = ("insufficient funds", "intrinsic gas", "exceeds block gas limit", "gas limit too high", "invalid sender", "invalid signature")


def nobody(venue: str, token: str) -> str | None:
    """No venue's address is known."""
    return None


class ChainGateway:
    """One wallet, with every protocol on its chain. `confirmations`: blocks on top, until a transaction counts."""

    kind = "chain"
    takes_nonce = True

    def __init__(
        self, name: str, reader: ChainReader, signer: Signer, venues: Venues, due: ChainDue, clock: Clock, *, confirmations: int = 2,
        life_s: float = 600.0, pays_to: PaysTo = nobody, slip_bps: Decimal | None = None,
        executor: str | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.connection = f"the nodes of chain {reader.chain_id}"
        self._reader = reader
        self._client = reader.client
        self._signer = signer
        self._due = due
        self._clock = clock
        self._confirmations = confirmations
        self._quoting = Quoting(name, reader, venues, clock, pays_to, life_s, slip_bps, executor)
        self._lock = RLock()
        self._readings: dict[str, BlockReading] = {}  # of the last blocks, by hash

    # Before an order.

    def quote(self, order: Order) -> Any:
        """The lowest nonce, the fees of the next block, and what the exact call does there: on the node, and in the simulator."""
        return to_builtins(self._quoting.quote(order))

    def prepare(self, approved: Approved, limits: Limits, quote: Any, nonce: int | None) -> Message:
        """The signed transaction.

        Raises:
            VenueRejected: it is not what was approved, or is outside the limits.
        """
        assert nonce is not None, "the journal assigns it"
        quoted = convert(quote, ChainQuote)
        return prepared(approved, limits, quoted, nonce, self._reader.deployment, self._signer).message()

    # Sending.

    def send(self, message: Message) -> Happened | Pending:
        """Hand it to a node; where it is in a block at once, what it came to."""
        sent = sent_of(message)
        answer = self._submit(sent, message.client_id)
        if self._confirmations:
            return answer
        try:
            found = self._found(sent, message.client_id)
        except (VenueUnreachable, VenueRejected, MalformedAnswer) as error:
            return Pending(f"it was taken, and cannot be looked up: {error}")
        return found if isinstance(found, Happened) else answer

    def _submit(self, sent: SentTransaction, client_id: str) -> Pending:
        """Send the bytes.

        Raises:
            VenueRejected, VenueUnreachable, OutcomeUnknown.
        """
        try:
            self._client.send_raw(sent.raw)
        except NodeFault as fault:
            if fault.is_sent:
                raise OutcomeUnknown(UNKNOWN, f"{self.name}: {fault}; perhaps the node has taken {client_id}") from None
            raise VenueUnreachable(UNREACHABLE, f"{self.name}: {fault}") from None
        except RpcError as refused:
            text = f"{self.name}: the node refused {client_id}: {refused.message}"
            said = refused.message.lower()
            if refused.weight:
                return Pending(f"the node says {refused.message}")
            if any(words in said for words in WAITS):
                raise VenueUnreachable(UNREACHABLE, text) from None
            if any(words in said for words in FINAL):
                raise VenueRejected(REJECTED, text) from None
            raise OutcomeUnknown(UNKNOWN, text) from None
        return Pending("a node has taken it")

    # Looking up.

    def find(self, message: Message, reference: str | None = None) -> Finding:
        """What became of it, by its hash, or by that of another transaction that a person has found."""
        sent = sent_of(message)
        return self._found(sent, message.client_id if reference is None else reference)

    def _found(self, sent: SentTransaction, hash_: str) -> Finding:
        account, nonce = self._reader.account, sent.unsigned.nonce
        answers = self._asked(
            RpcCall("eth_getTransactionReceipt", (hash_,)),
            RpcCall("eth_getTransactionByHash", (hash_,)),
            RpcCall("eth_getBlockByNumber", ("latest", False)),
            RpcCall("eth_getTransactionCount", (account, "latest")),
        )
        head = block_of(answers[2])
        if answers[0] is not None:
            return self._included(sent, receipt_of(answers[0]), head.number)
        if answers[1] is not None:
            return Pending("it waits for a block, or for its receipt")
        if number_of(answers[3], "a nonce") > nonce:
            return self._taken(sent, hash_, head.number)
        return self._dropped(sent, hash_)

    def _included(self, sent: SentTransaction, receipt: Receipt, head: int) -> Happened | Pending:
        """What a transaction in a block came to, once there are enough blocks on top."""
        on_top = head - receipt.block_number
        if on_top < self._confirmations:
            return Pending(f"it is in block {receipt.block_number}, {on_top} of {self._confirmations} blocks are on top of it")
        return self._outcome(sent, receipt)

    def _taken(self, sent: SentTransaction, hash_: str, head: int) -> Pending | NeverHappened:
        """The nonce is used. That it was by another transaction is only believed where that one is seen in a block, deep enough: a node may
        count a transaction before it shows its receipt."""
        nonce, first = sent.unsigned.nonce, sent.at_block + 1
        if head - first > MOST_SCANNED:  # whatever has it is long final, and its receipt long there
            (final,) = self._asked(RpcCall("eth_getTransactionCount", (self._reader.account, hex(head - MOST_SCANNED // 2))))
            if number_of(final, "a nonce") > nonce:
                return NeverHappened(f"another transaction has its nonce, {nonce}, for more than {MOST_SCANNED // 2} blocks")
            first = head - MOST_SCANNED
        for number, other in self._due.sent_between(first, head):
            if number_of(other.get("nonce"), "a nonce") == nonce and other["hash"] != hash_:
                if head - number >= self._confirmations:
                    return NeverHappened(f"{other['hash']} has its nonce, {nonce}, in block {number}")
                return Pending(f"{other['hash']} has its nonce, {nonce}, and is not final yet")
        return Pending(f"its nonce, {nonce}, is used, and its receipt is not there yet")

    def _dropped(self, sent: SentTransaction, hash_: str) -> Pending:
        """No node knows it: the same bytes are sent again."""
        if self._is_late(sent):
            return Pending("no node knows it, and it is no longer wanted")
        try:
            self._submit(sent, hash_)
        except (OutcomeUnknown, VenueRejected, VenueUnreachable) as error:
            return Pending(f"no node knows it, and it could not be sent again: {error.message}")
        return Pending("no node knew it; the same bytes were sent again")

    def _is_late(self, sent: SentTransaction) -> bool:
        return to_instant(self._clock.now()) > sent.until_s * 1_000_000

    def replacement(self, messages: Sequence[Message]) -> Message | None:
        """What takes the place of a transaction that no block has taken for a while: the same call with both fees raised by 12.5 %; or an
        empty transaction to ourselves, where it is no longer wanted or would be reverted by now. None: it is not time, or a limit
        forbids it."""
        last = sent_of(messages[-1])
        unsigned = last.unsigned
        block, nonce, tried = self._client.ask(
            RpcCall("eth_getBlockByNumber", ("latest", False)),
            RpcCall("eth_getTransactionCount", (self._reader.account, "latest")),
            RpcCall("eth_call", (unsigned.call(self._reader.account), "latest")),
        )
        head = block_of(block)
        if number_of(nonce, "a nonce") > unsigned.nonce:
            return None
        is_late = self._is_late(last)
        if head.number - last.at_block < STUCK_BLOCKS and (last.is_empty or not is_late):
            return None
        found = replaced(last, self._signer, head.number, is_empty=last.is_empty or is_late or isinstance(tried, RpcError))
        return None if found is None else found.message()

    def _outcome(self, sent: SentTransaction, receipt: Receipt) -> Happened | Pending:
        """What the receipt's logs say, with the account at its block. Where nothing else is in the block the balances must agree."""
        reader = self._reader
        at, before = receipt.block_hash, hex(receipt.block_number - 1)
        calls = list(reader.calls_at(at_hash(at)))
        headers = (RpcCall("eth_getBlockByHash", (at, False)), RpcCall("eth_getBlockByNumber", (before, False)))
        answers = self._asked(*headers, *calls, *reader.calls_at(before))
        if answers[0] is None:
            return Pending(f"block {receipt.block_number} was reorganised away")
        block, parent = block_of(answers[0]), block_of(answers[1])
        if block.parent != parent.hash:
            return Pending(f"block {receipt.block_number} is being reorganised")
        end = 2 + len(calls)
        then, now = reader.reading(parent, answers[end:]), reader.reading(block, answers[2:end])
        places = places_of(reader.deployment, reader.pools, self.name)
        unsigned = sent.unsigned
        effect = effect_of(receipt.logs, places, {unsigned.to: unsigned.value_wei} if receipt.is_success else {})
        moved = effect.balances()
        moved["ETH"] = moved.get("ETH", 0) - receipt.gas_wei
        if _is_alone(answers[0]):  # else other transactions may have moved the account in the same block: `due` reports what they did
            self._require_equal(receipt, moved, *(reader.balances_of(each.state, self.name) for each in (then, now)))
        self._keep(now)
        self._due.is_own(receipt, moved)
        return outcome(sent, receipt, effect, then, now, self.name)

    @staticmethod
    def _require_equal(receipt: Receipt, moved: Mapping[str, int], before: Mapping[str, int], after: Mapping[str, int]) -> None:
        """Refuse what does not add up.

        Raises:
            MalformedAnswer.
        """
        apart = {
            token: (after.get(token, 0) - before.get(token, 0), moved.get(token, 0))
            for token in dict.fromkeys((*moved, *after, *before))
            if after.get(token, 0) - before.get(token, 0) != moved.get(token, 0)
        }
        if apart:
            said = ", ".join(f"{token}: {is_} by the balances, {was} by the logs" for token, (is_, was) in apart.items())
            raise MalformedAnswer(f"a receipt that does not add up in block {receipt.block_number} ({said})", receipt.hash)

    def _keep(self, reading: BlockReading) -> None:
        with self._lock:
            self._readings[reading.block.hash] = reading
            while len(self._readings) > 4:
                del self._readings[next(iter(self._readings))]

    # The account.

    def check_account(self, limits: Limits, *, leverage: Decimal | None, held: ExchangeAccount | None) -> AccountFindings:
        """What stands in the way of sending, and what is worth knowing. What the config has wrong is said by `read`."""
        reader = self._reader
        try:
            reader.look_again()
            code, balance = reader.client.ask(
                RpcCall("eth_getCode", (reader.account, "latest")), RpcCall("eth_getBalance", (reader.account, "latest"))
            )
        except (ComponentError, MalformedAnswer):
            return AccountFindings((), ())
        ether = to_amount("ETH", number_of(balance, "a balance"))
        delegate = self._quoting.fault_of_code(str(code))
        faults = () if ether else (f"{self.name}: {reader.account} has no ETH, and gas is paid in it; bring some",)
        note = f"{self.name}: {reader.account} on chain {reader.chain_id}, {plain(round(ether, 6))} ETH, nodes {reader.client.shown}"
        return AccountFindings(faults, (note, *((f"{self.name}: {delegate}",) if delegate else ())))

    # Balances, and what happened without an order.

    def deposit_address(self, token: str, chain: str) -> str:
        """Where the account is paid."""
        return self._reader.account

    def read(self, at: str | None = None) -> State:
        """What the account holds and what its protocols are like, at a block by its hash, else at the newest one that counts."""
        if at is None:
            self._due.last_read = self._reader.read_at(self._reader.confirmed(self._confirmations))
            return self._due.last_read.state
        with self._lock:
            known = self._readings.get(at)
        if known is not None:
            return known.state
        (answer,) = self._asked(RpcCall("eth_getBlockByHash", (at, False)))
        if answer is None:
            raise VenueUnreachable(UNREACHABLE, f"{self.name}: block {at} is not there")
        return self._reader.read_at(block_of(answer)).state

    def look(self) -> State:
        """What the protocols are like at the newest block."""
        return self._reader.read().state

    def due(self, since: str | None) -> tuple[Sequence[Due], str]:
        """What happened since a cursor."""
        return self._due.read(since, self._confirmations)

    def due_again(self, since: str, recorded: Sequence[Due]) -> str:
        """The cursor from which what was held back comes again, and what is recorded does not."""
        return self._due.due_again(since, recorded)

    def _asked(self, *calls: RpcCall) -> list[Any]:
        answers = self._client.ask(*calls)
        for call, answer in zip(calls, answers, strict=True):
            if isinstance(answer, RpcError) and call.method != "eth_call":
                raise VenueUnreachable(UNREACHABLE, f"{self.name}: {call.method}: {answer}")
        return answers


def _is_alone(block: Mapping[str, Any]) -> bool:
    """Whether a block has one transaction, and pays nobody else (a validator's withdrawal has no log)."""
    return len(block["transactions"]) == 1 and not block.get("withdrawals")
