"""What happened to an account on chain without an order of its own: interest, arrivals, a liquidation by somebody else.

The account's balances at two blocks differ by what its own transactions did, which is known, and by this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct, json, structs

from basis_strategy_v1.core.clock import SECOND_US, from_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import VenueUnreachable
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.gateway import Due, MalformedAnswer
from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.core.state_change import change_between
from basis_strategy_v1.core.tokens import to_amount
from basis_strategy_v1.live.aave_events import LIQUIDATION
from basis_strategy_v1.live.chain_abi import at_hash, field, number_of, topic
from basis_strategy_v1.live.chain_client import RpcCall, RpcError
from basis_strategy_v1.live.chain_effects import TRANSFER, effect_of, places_of
from basis_strategy_v1.live.chain_outcome import Receipt, interest_due, receipt_of, units_moved, wallet_change
from basis_strategy_v1.live.chain_reader import Block, block_of, scaled_keys
from basis_strategy_v1.venues.aave_account import UserAccount
from basis_strategy_v1.venues.aave_state import AaveState

if TYPE_CHECKING:
    from basis_strategy_v1.live.chain_reader import BlockReading, ChainReader

UNREACHABLE = "OCH-002"
INTEREST_EVERY_S = 60  # how often at most what a balance has grown by is written down
BLOCKS_AT_ONCE, LOGS_AT_ONCE = 50, 2_000
MOST_KNOWN = 256
MOST_SEARCHED = 300  # blocks, for what has brought ether
ETH = "ETH"
LATE = "late transaction"
NOT_EXECUTED = (Status.REJECTED, Status.NEVER_HAPPENED)


class ChainCursor(Struct, frozen=True, kw_only=True):
    """How far an account was read: the block, what it held there, its nonce, and when interest was last written down.

    `recorded`: by how much each balance was moved since, by what is recorded and has no transaction by which it could be known.
    """

    number: int
    hash: str
    nonce: int
    held: dict[str, int]
    interest_s: int
    recorded: dict[str, int] = {}


class OwnTransaction(NamedTuple):
    """What a transaction of the account itself did to its balances, and in which block."""

    number: int
    moved: Mapping[str, int]


def of_the_run(hash_: str) -> Status | None:
    """Nobody else uses the key."""
    return Status.SETTLED


class ChainDue:
    """Reads one account. `name` is the wallet's; `sent_as` how far the instruction has come that a transaction of the account is for.
    None: it is not of this run, and what it did is foreign. What a transaction did whose instruction was closed as not executed is late."""

    def __init__(self, name: str, reader: ChainReader, sent_as: Callable[[str], Status | None] = of_the_run) -> None:
        self._name = name
        self._sent_as = sent_as
        self._reader = reader
        self._lock = RLock()
        self.last_read: BlockReading | None = None
        self._own: dict[str, OwnTransaction] = {}  # by hash
        self._unnamed: dict[str, dict[str, int]] = {}  # by the id of what was found without a transaction: by how much each balance differs

    def is_own(self, receipt: Receipt, moved: Mapping[str, int]) -> None:
        """Take note of a transaction of the account that is final."""
        with self._lock:
            self._own[receipt.hash] = OwnTransaction(receipt.block_number, moved)
            while len(self._own) > MOST_KNOWN:  # one that is needed again is looked up again
                del self._own[next(iter(self._own))]

    def read(self, since: str | None, confirmations: int) -> tuple[Sequence[Due], str]:
        """What happened since a cursor, up to the newest block that counts; and the next cursor. Without a cursor it begins now.

        Raises:
            VenueUnreachable: also where the chain is another one than it was at the cursor. MalformedAnswer.
        """
        reader = self._reader
        if since is None:
            return (), self._begun(confirmations)
        block = reader.confirmed(confirmations)
        at = at_hash(block.hash)
        *answers, count = reader.client.ask(*reader.calls_at(at), RpcCall("eth_getTransactionCount", (reader.account, at)))
        reading, nonce = reader.reading(block, answers), number_of(count, "a nonce")
        held = reader.balances_of(reading.state, self._name)
        cursor = json.decode(since, type=ChainCursor)
        self._require_same_chain(cursor)
        if block.number <= cursor.number:
            return (), since
        found = list(self._happened(cursor, reading, nonce, held))
        interest_s = cursor.interest_s
        if found or (block.time_s - interest_s >= INTEREST_EVERY_S and any(":" in name for name in held)):
            interest_s = block.time_s
            found = [*self._interest(reading, cursor, held), *found]
        return found, _text(ChainCursor(number=block.number, hash=block.hash, nonce=nonce, held=held, interest_s=interest_s))

    def _begun(self, confirmations: int) -> str:
        """The first cursor: at the block at which the account was read last, so that nothing falls between the two."""
        reader = self._reader
        reading = self.last_read or reader.read_at(reader.confirmed(confirmations))
        block, held = reading.block, reader.balances_of(reading.state, self._name)
        nonce = number_of(reader.client.get("eth_getTransactionCount", reader.account, at_hash(block.hash)), "a nonce")
        return _text(ChainCursor(number=block.number, hash=block.hash, nonce=nonce, held=held, interest_s=block.time_s))

    def _require_same_chain(self, cursor: ChainCursor) -> None:
        there = block_of(self._reader.client.get("eth_getBlockByNumber", hex(cursor.number), False))
        if there.hash != cursor.hash:
            raise VenueUnreachable(
                UNREACHABLE,
                f"{self._name}: block {cursor.number} was {cursor.hash} and is now {there.hash}: the chain was reorganised deeper than "
                "wallet.confirmations; compare the journal with the account before going on",
            )

    # What happened.

    @staticmethod
    def _interest(reading: BlockReading, cursor: ChainCursor, held: Mapping[str, int]) -> Iterator[Due]:
        """What each pool is like now in which something is or was held: the account brings its balances there before anything else is taken
        up."""
        used = {name.partition(":")[0] for name in (*held, *cursor.held) if ":" in name}
        for name, part in reading.state.parts.items():
            if isinstance(part, AaveState) and name in used:
                yield interest_due(name, part, reading.block.hash)

    def _happened(self, cursor: ChainCursor, reading: BlockReading, nonce: int, held: Mapping[str, int]) -> Iterator[Due]:
        moved = {name: held.get(name, 0) - cursor.held.get(name, 0) for name in dict.fromkeys((*held, *cursor.held))}
        own, late = self._own_between(cursor, reading.block.number, nonce)
        for known in (*own, *late.values(), cursor.recorded):
            for name, units in known.items():
                moved[name] = moved.get(name, 0) - units
        yield from (self._late_due(hash_, tokens, reading.block) for hash_, tokens in late.items())
        moved = {name: units for name, units in moved.items() if units}
        tokens = {name: units for name, units in moved.items() if ":" not in name}
        yield from self._of_tokens(tokens, cursor, reading)
        for name, part in reading.state.parts.items():
            if isinstance(part, AaveState):
                yield from self._of_pool(name, part, moved, cursor, reading)

    def _of_tokens(self, tokens: Mapping[str, int], cursor: ChainCursor, reading: BlockReading) -> Iterator[Due]:
        """Arrivals, one for each payment that was logged; the rest of a token in one. What left without an order is called foreign."""
        block = reading.block
        left = dict(tokens)
        if not left:
            return
        for token, units, hash_ in (*self._payments(cursor.number + 1, block.number), *self._of_ether(left, cursor, block)):
            if 0 < units <= left.get(token, 0):
                left[token] -= units
                yield self._token_due(token, units, f"{hash_}:{token}", "arrival", block, hash_)
        for token, units in left.items():
            if units:
                kind = "arrival" if units > 0 else "foreign"
                found = self._token_due(token, units, f"{kind}:{token}:{block.hash}", kind, block, "")
                self._has_no_transaction(found, {token: units})
                yield found

    def _has_no_transaction(self, item: Due, units: Mapping[str, int]) -> None:
        with self._lock:
            self._unnamed[item.id] = dict(units)
            while len(self._unnamed) > MOST_KNOWN:
                del self._unnamed[next(iter(self._unnamed))]

    def due_again(self, since: str, recorded: Iterable[Due]) -> str:
        """The cursor from which what was held back comes again, and what is recorded does not: what has a transaction is known by its id,
        the rest by how much it was."""
        cursor = json.decode(since, type=ChainCursor)
        total = dict(cursor.recorded)
        with self._lock:
            for item in recorded:
                for name, units in self._unnamed.get(item.id, {}).items():
                    total[name] = total.get(name, 0) + units
        return _text(structs.replace(cursor, recorded=total))

    def _late_due(self, hash_: str, tokens: Mapping[str, int], block: Block) -> Due:
        """What a transaction did to the wallet whose instruction was closed as not executed."""
        amounts = {token: to_amount(token, units) for token, units in tokens.items()}
        return Due(
            id=f"late:{hash_}", venue=self._name, kind=LATE, at=from_instant(block.time_s * SECOND_US),
            deltas=Deltas.at(self._name, amounts), changes={self._name: wallet_change(tokens)},
            details={"block": block.number, "transaction": hash_}, client_id=hash_, reference=hash_,
        )  # fmt: skip

    def _token_due(self, token: str, units: int, id_: str, kind: str, block: Block, hash_: str) -> Due:
        amount = to_amount(token, units)
        return Due(
            id=id_, venue=self._name, kind=kind, at=from_instant(block.time_s * SECOND_US), deltas=Deltas.at(self._name, {token: amount}),
            changes={self._name: wallet_change({token: units})}, costs=(Cost("transfers", token, -amount),),
            details={"block": block.number, **({"transaction": hash_} if hash_ else {})}, transfer=hash_,
        )  # fmt: skip

    def _payments(self, first: int, last: int) -> Iterator[tuple[str, int, str]]:
        """(token, units, transaction) of each payment to the account that a token has logged, without its own transactions."""
        reader = self._reader
        names = {address.lower(): name for name, address in reader.deployment.tokens.items()}
        for log in self._logs([topic(TRANSFER), None, _word(reader.account)], first, last):
            token = names.get(log["address"].lower())
            if token is not None and len(log["topics"]) == 3 and log["transactionHash"] not in self._own:
                yield token, int(log["data"], 16), str(log["transactionHash"])

    def _of_ether(self, left: Mapping[str, int], cursor: ChainCursor, block: Block) -> Iterator[tuple[str, int, str]]:
        """The same of ether, which no log shows: from the transactions that pay to the account directly, where some has come."""
        if left.get(ETH, 0) <= 0 or block.number - cursor.number > MOST_SEARCHED:
            return
        account = self._reader.account.lower()
        for _, transaction in self._transactions(cursor.number + 1, block.number):
            if str(transaction.get("to")).lower() == account and transaction["from"].lower() != account:
                yield ETH, field(transaction, "value"), str(transaction["hash"])

    def _of_pool(self, name: str, part: AaveState, moved: Mapping[str, int], cursor: ChainCursor, reading: BlockReading) -> Iterator[Due]:
        """What somebody else did to deposits and debts."""
        supplied, borrowed = dict(part.user.supplied), dict(part.user.borrowed)
        differs: dict[str, int] = {}
        for token in part.pool.reserves:
            for mine, key in zip((supplied, borrowed), scaled_keys(name, token), strict=True):
                if units := moved.get(key, 0):
                    differs[key], mine[token] = units, mine.get(token, 0) - units
        if not differs:
            return
        supplied, borrowed = ({token: scaled for token, scaled in held.items() if scaled} for held in (supplied, borrowed))
        before = part.with_user(UserAccount(supplied, borrowed, part.user.collateral, part.user.emode))
        liquidated = [*self._logs([topic(LIQUIDATION), None, None, _word(self._reader.account)], cursor.number + 1, reading.block.number)]
        amounts = units_moved(before, part)
        kind = "liquidation" if liquidated else "foreign"
        found = Due(
            id=f"{kind}:{name}:{reading.block.hash}", venue=name, kind=kind, at=from_instant(part.instant), deltas=Deltas.at(name, amounts),
            changes={name: change_between(before, part)}, details={
                "block": reading.block.number, **({"transaction": liquidated[-1]["transactionHash"]} if liquidated else {})},
        )  # fmt: skip
        self._has_no_transaction(found, differs)
        yield found

    def _logs(self, topics: list[Any], first: int, last: int) -> Iterator[Mapping[str, Any]]:
        for start in range(first, last + 1, LOGS_AT_ONCE):
            end = min(start + LOGS_AT_ONCE - 1, last)
            answer = self._reader.client.get("eth_getLogs", {"fromBlock": hex(start), "toBlock": hex(end), "topics": topics})
            if not isinstance(answer, list):
                raise MalformedAnswer("logs that are no list", answer)
            yield from answer

    # The account's own transactions.

    def _own_between(self, cursor: ChainCursor, last: int, nonce: int) -> tuple[list[Mapping[str, int]], dict[str, Mapping[str, int]]]:
        """What each of the run's own transactions after the cursor did; those that are not known any more are looked up. And, by hash, what
        the late ones did to tokens."""
        wanted = nonce - cursor.nonce
        if wanted <= 0:
            return [], {}
        with self._lock:
            known = [own.moved for own in self._own.values() if cursor.number < own.number <= last]
        if len(known) == wanted:
            return known, {}
        return self._scanned(cursor.number + 1, last)

    def _scanned(self, first: int, last: int) -> tuple[list[Mapping[str, int]], dict[str, Mapping[str, int]]]:
        """What each of the run's own transactions in some blocks did, and what the late ones did to tokens."""
        found: list[Mapping[str, int]] = []
        late: dict[str, Mapping[str, int]] = {}
        own = [transaction for _, transaction in self.sent_between(first, last)]
        status = {transaction["hash"]: self._sent_as(transaction["hash"]) for transaction in own}
        sent = [transaction for transaction in own if status[transaction["hash"]] is not None]
        for start in range(0, len(sent), BLOCKS_AT_ONCE):
            part = sent[start : start + BLOCKS_AT_ONCE]
            receipts = self._reader.client.ask(*(RpcCall("eth_getTransactionReceipt", (each["hash"],)) for each in part))
            for each, answer in zip(part, receipts, strict=True):
                receipt, moved = self._moved_by(each, answer)
                if status[receipt.hash] in NOT_EXECUTED:
                    late[receipt.hash] = {name: units for name, units in moved.items() if ":" not in name}
                else:
                    self.is_own(receipt, moved)
                    found.append(moved)
        return found, late

    def sent_between(self, first: int, last: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """(block, transaction) of each of the account's own in some blocks, as the node gives them."""
        account = self._reader.account.lower()
        yield from (each for each in self._transactions(first, last) if each[1]["from"].lower() == account)

    def _transactions(self, first: int, last: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """(block, transaction) of all in some blocks."""
        for start in range(first, last + 1, BLOCKS_AT_ONCE):
            numbers = range(start, min(start + BLOCKS_AT_ONCE, last + 1))
            blocks = self._reader.client.ask(*(RpcCall("eth_getBlockByNumber", (hex(number), True)) for number in numbers))
            for number, block in zip(numbers, blocks, strict=True):
                if not isinstance(block, Mapping):
                    raise MalformedAnswer(f"{block or 'nothing'} for block {number}", str(block))
                yield from ((number, each) for each in block["transactions"])

    def _moved_by(self, transaction: Mapping[str, Any], answer: Any) -> tuple[Receipt, dict[str, int]]:
        if isinstance(answer, RpcError) or not isinstance(answer, Mapping):
            raise MalformedAnswer(f"{answer or 'nothing'} for a receipt of the block", str(answer))
        receipt = receipt_of(answer)
        places = places_of(self._reader.deployment, self._reader.pools, self._name)
        paid = {transaction["to"]: field(transaction, "value")} if receipt.is_success and transaction.get("to") else {}
        moved = effect_of(receipt.logs, places, paid).balances()
        moved["ETH"] = moved.get("ETH", 0) - receipt.gas_wei
        return receipt, moved


def _word(address: str) -> str:
    return "0x" + address[2:].lower().rjust(64, "0")


def _text(cursor: ChainCursor) -> str:
    return json.encode(cursor).decode()
