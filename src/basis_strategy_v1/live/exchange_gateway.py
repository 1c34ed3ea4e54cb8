"""The gateway to one account at a real exchange: each order is sent once, under an id of its own, and what it came to is in its fills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from threading import RLock
from typing import TYPE_CHECKING, Any

from msgspec import convert, json, structs, to_builtins

from basis_strategy_v1.core.error_codes.exceptions import OutcomeUnknown, VenueRejected, VenueUnreachable
from basis_strategy_v1.core.gateway import Due, Finding, Happened, MalformedAnswer, Message, NeverHappened, Pending
from basis_strategy_v1.core.instructions import CexTrade, WalletTransfer, is_internal_move
from basis_strategy_v1.core.position_names import Kind, read_common_name
from basis_strategy_v1.core.state import ExchangeAccount, State
from basis_strategy_v1.live.account_findings import AccountFindings
from basis_strategy_v1.live.exchange_access import NOT_WHOLE, UNREACHABLE, Absent, said
from basis_strategy_v1.live.exchange_client import NoAnswer, Refusal, TooManyRequests
from basis_strategy_v1.live.exchange_errors import Meaning, meaning_of
from basis_strategy_v1.live.exchange_faults import AccountCheck
from basis_strategy_v1.live.exchange_moves import made_by, move_of, move_of_reserve, moved
from basis_strategy_v1.live.exchange_orders import (
    DONE,
    PERP,
    REFUSED,
    SPOT,
    ZERO,
    FoundOrder,
    SentMove,
    SentOrder,
    difference_of,
    executed_by,
    happened_of,
)
from basis_strategy_v1.live.exchange_prepare import (
    MOST_FEE,
    REJECTED,
    Quote,
    opened_by,
    prepared_move,
    prepared_order,
)
from basis_strategy_v1.live.exchange_transfer_calls import TransferCalls
from basis_strategy_v1.live.exchange_transfers import SentWithdrawal
from basis_strategy_v1.live.exchange_withdrawals import prepared_withdrawal

if TYPE_CHECKING:
    from basis_strategy_v1.core.deltas import Deltas
    from basis_strategy_v1.core.limits import Limits
    from basis_strategy_v1.core.order import Approved, Order
    from basis_strategy_v1.live.exchange_access import Access
    from basis_strategy_v1.live.exchange_api import PerpMargin
    from basis_strategy_v1.live.exchange_due import DueReader
    from basis_strategy_v1.live.exchange_orders import Fill, Rules
    from basis_strategy_v1.live.exchange_transfer_calls import Payee
    from basis_strategy_v1.live.exchange_transfer_check import TransferCheck
    from basis_strategy_v1.live.exchange_transfers import TransferApi

UNKNOWN = "CEX-003"
CLOCK_MARGIN_MS = 1_500  # a venue takes a timestamp that is up to 1 s ahead of its clock
LOOK_UP_LAG_MS = 10_000  # how late a look-up, or the fills of an order, may show what was executed
WITHDRAWAL_LAG_MS = 600_000  # how late the list of withdrawals may show one
LEAST_LIFE_MS = 50
Sent = SentOrder | SentMove | SentWithdrawal


class ExchangeGateway:
    """One account. `run` marks its orders as those of this run; `connection` is what accounts at one exchange share."""

    kind = "exchange"
    takes_nonce = False

    def __init__(
        self, access: Access, due: DueReader, connection: str, run: str = "", transfers: TransferApi | None = None,
        check: TransferCheck | None = None,
    ) -> None:  # fmt: skip
        self.name = access.name
        self.connection = connection
        self._access = access
        self._api = access.api
        self._due = due
        self._run = run
        self._transfers = TransferCalls(access, transfers)
        self._check = check
        self.payees: Mapping[str, Payee] = {}  # the accounts that are paid, by their names
        self.chains: Mapping[str, str] = {}  # on which chain each wallet is
        self._lock = RLock()
        self._free: dict[str, Decimal] = {}  # in the spot wallet, as far as it is known without asking
        self._margins: dict[str, PerpMargin] = {}  # what was just read for an order, by its key
        self._absent: dict[str, int] = {}  # client id -> when it was first not there after it had expired (venue's ms)
        self._doubtful: set[str] = set()  # client ids that were perhaps taken before the venue refused to answer more

    # Before an order.

    def quote(self, order: Order) -> Any:
        """The venue's time, the market's rules, and what the order can use."""
        access, trade = self._access, order.instruction
        now_ms = access.now_ms()
        quote = Quote(now_ms=now_ms, offset_ms=access.client.offset_ms)
        if isinstance(trade, CexTrade):
            rules = access.rules(trade.trade_type, trade.symbol)
            if rules is not None:
                quote = self._quote_of(order, trade, rules)
        elif isinstance(trade, WalletTransfer) and not is_internal_move(trade):
            quote = self._transfers.quote(trade, self.payees, self.chains)
        return to_builtins(quote)

    def deposit_address(self, token: str, chain: str) -> str:
        """Where the account receives a token on a chain.

        Raises:
            VenueRejected: it receives none there. VenueUnreachable.
        """
        return self._transfers.deposit_address(token, chain)

    def _quote_of(self, order: Order, trade: CexTrade, rules: Rules) -> Quote:
        access = self._access
        if trade.trade_type == SPOT:
            token, needed = _spent(order, trade, rules)
            free, held, leverage = self._usable(token, needed), None, None
        elif trade.reduce_only:
            free, held, leverage = None, None, None
        else:
            margin = self._margins.pop(order.key, None) or self._margin(order, trade)
            free, held, leverage = margin.free, margin.held, margin.leverage
        # The time is read last: the order lives from then on.
        return Quote(now_ms=access.now_ms(), offset_ms=access.client.offset_ms, rules=rules, free=free, held=held, leverage=leverage)

    def prepare(self, approved: Approved, limits: Limits, quote: Any, nonce: int | None) -> Message:
        """The order as text.

        Raises:
            VenueRejected: the venue would refuse it, or it is not what was approved.
        """
        quoted = convert(quote, Quote)
        order, life_ms = approved.order, self._api.life_ms
        sent: Sent
        if isinstance(order.instruction, CexTrade):
            sent = prepared_order(self.name, approved, limits, quoted, life_ms, self._run)
        elif quoted.withdrawal is not None:
            sent = prepared_withdrawal(self.name, approved, limits, quoted, life_ms, self._run)
        else:
            sent = prepared_move(order, quoted, life_ms, self._run, self._api.move_unit)
        expires = (sent.expires_ms - quoted.offset_ms) * 1000
        return Message(client_id=sent.client_id, body=json.encode(sent).decode(), expires=expires)

    def rehearse(self, approved: Approved, limits: Limits, earlier: Deltas) -> None:
        """Quote and prepare a trade as if the orders of its plan ahead of it had moved `earlier`, and a withdrawal.

        Raises:
            VenueRejected, VenueUnreachable.
        """
        order, trade = approved.order, approved.order.instruction
        if isinstance(trade, WalletTransfer) and not is_internal_move(trade):
            quote = structs.replace(convert(self.quote(order), Quote), free=None)
            prepared_withdrawal(self.name, approved, limits, quote, self._api.life_ms, self._run)
        if isinstance(trade, CexTrade):
            quote = self._as_if(order, trade, convert(self.quote(order), Quote), earlier.tokens(self.name))
            prepared_order(self.name, approved, limits, quote, self._api.life_ms, self._run)

    def _as_if(self, order: Order, trade: CexTrade, quote: Quote, moved: Mapping[str, Decimal]) -> Quote:
        """A quote after other orders and after the move between the wallets that would come first."""
        access, settle = self._access, self._api.settle
        are_apart = self._api.wallets_are_separate and not self._api.moves  # what one of them spends, the other does not lack
        if quote.free is None or quote.rules is None or (are_apart and trade.trade_type == PERP):
            return quote
        if any(read_common_name(name).kind is Kind.PERP for name in moved):  # what that leaves of margin, the venue says only afterwards
            return structs.replace(quote, free=None)
        token, needed = (settle, ZERO) if trade.trade_type == PERP else _spent(order, trade, quote.rules)
        free = quote.free + moved.get(token, ZERO)
        if self._api.has_reserve:
            free += access.ask(trade.trade_type, self._api.reserved).get(token, ZERO)
        elif token == settle and self._api.wallets_are_separate and not are_apart and len(access.kinds) > 1:
            free += self._usable(settle, needed) if trade.trade_type == PERP else access.ask(PERP, self._api.free_margin)
        return structs.replace(quote, free=free)

    def move_for(self, order: Order) -> WalletTransfer | None:
        """The move between the account's wallets that an order needs first; None: what it needs is where it trades.

        Raises:
            VenueUnreachable.
        """
        trade, access = order.instruction, self._access
        settle = self._api.settle
        if isinstance(trade, CexTrade) and self._api.has_reserve:
            return self._from_reserve(order, trade)
        if len(access.kinds) == 1 or not self._api.wallets_are_separate or not self._api.moves:
            return None
        if isinstance(trade, WalletTransfer):
            lacking = trade.amount - access.ask(SPOT, self._api.free).get(settle, ZERO) if trade.token == settle else ZERO
            return self._move_to(SPOT, lacking, access.ask(PERP, self._api.free_margin)) if lacking > 0 else None
        if not isinstance(trade, CexTrade):
            return None
        rules = access.rules(trade.trade_type, trade.symbol)
        if rules is None or rules.quote != settle:
            return None
        if trade.trade_type == SPOT:
            token, needed = _spent(order, trade, rules)
            lacking = needed - self._usable(token, needed) if token == settle else ZERO
            return self._move_to(SPOT, lacking, access.ask(PERP, self._api.free_margin)) if lacking > 0 else None
        lacking = self._lacking_margin(order, trade)
        return self._move_to(PERP, lacking, self._usable(settle, lacking)) if lacking > 0 else None

    def _move_to(self, target: str, lacking: Decimal, there: Decimal) -> WalletTransfer | None:
        return move_of(self.name, target, self._api.settle, lacking, there, self._api.move_unit)

    def _from_reserve(self, order: Order, trade: CexTrade) -> WalletTransfer | None:
        """What lacks in the one wallet, out of the reserve."""
        rules = self._access.rules(trade.trade_type, trade.symbol)
        if rules is None:
            return None
        if trade.trade_type == SPOT:
            token, needed = _spent(order, trade, rules)
            lacking = needed - self._usable(token, needed)
        else:
            token, lacking = self._api.settle, self._lacking_margin(order, trade)
        if lacking <= 0:
            return None
        return move_of_reserve(self.name, token, lacking, self._access.ask(trade.trade_type, self._api.reserved).get(token, ZERO))

    def _lacking_margin(self, order: Order, trade: CexTrade) -> Decimal:
        """What lacks for a perp order (settlement token).

        The simulator margins a perp with the whole account: as much as its notional follows it, and no leverage is made by leaving it.
        """
        if trade.reduce_only:
            return ZERO
        margin = self._margin(order, trade)
        self._margins = {order.key: margin}
        opened = opened_by(trade, margin.held)
        price = order.price or order.worst_price or ZERO
        return (opened + trade.amount * MOST_FEE) * price - margin.free if opened else ZERO

    def _margin(self, order: Order, trade: CexTrade) -> PerpMargin:
        """What a perp order can use. Where the whole of it is paid for, the venue need not say what it would reduce."""
        price = max(order.price or ZERO, order.worst_price or ZERO)
        needed = trade.amount * (1 + MOST_FEE) * price
        return self._access.ask(PERP, lambda: self._api.margin(trade.symbol, needed))

    def _usable(self, token: str, needed: Decimal) -> Decimal:
        """What is free of a token in the spot wallet. The venue is only asked where what is known would not do."""
        with self._lock:
            known = self._free.get(token)
        if known is not None and known >= needed:
            return known
        free = self._access.ask(SPOT, self._api.free)
        with self._lock:
            self._free = free
        return free.get(token, ZERO)

    # Sending.

    def send(self, message: Message) -> Happened | Pending:
        """Send it once."""
        sent = _sent_of(message)
        with self._lock:
            free, self._free, self._margins = self._free, {}, {}  # known again once the outcome is
        self._absent.pop(sent.client_id, None)
        try:
            answer = self._send(sent)
        except MalformedAnswer as malformed:
            raise OutcomeUnknown(UNKNOWN, f"{self.name} answered with {malformed}") from None
        if isinstance(answer, Happened) and answer.final and isinstance(sent, SentOrder) and free:
            changes = answer.deltas.tokens(self.name) if sent.trade_type == SPOT else {}
            if sent.trade_type == SPOT or self._api.wallets_are_separate:  # in one wallet a perp's margin takes from the rest
                with self._lock:
                    self._free = {**free, **{token: free.get(token, ZERO) + change for token, change in changes.items()}}
        return answer

    def _send(self, sent: Sent) -> Happened | Pending:
        # A venue may take a second withdrawal under the same id: one that is there already is not asked for again.
        if sent.client_id in self._doubtful or isinstance(sent, SentWithdrawal):
            try:
                return self._found(sent)
            except Absent:
                self._doubtful.discard(sent.client_id)
        try:
            return self._transmit(sent)
        except NOT_WHOLE as error:
            meaning = self._meaning(sent, error)
            if meaning is not Meaning.CLOCK:
                return self._failed(sent, error, meaning)
        self._access.measure_clock()  # it was refused for its time alone: that is put right, and it is sent
        try:
            return self._transmit(sent)
        except NOT_WHOLE as error:
            return self._failed(sent, error, self._meaning(sent, error))

    def _transmit(self, sent: Sent) -> Happened | Pending:
        now_ms = self._access.now_ms()
        if now_ms > sent.expires_ms - LEAST_LIFE_MS:
            raise VenueUnreachable(UNREACHABLE, f"{self.name}: {sent.client_id} expired before it was sent")
        if isinstance(sent, SentMove):
            made = self._api.move(sent.source, sent.target, sent.token, sent.amount, now_ms, sent.expires_ms)
            return moved(sent, made)
        if isinstance(sent, SentWithdrawal):
            self._transfers.withdraw(sent, now_ms)
            placed: FoundOrder | str = ""
        else:
            placed = self._api.place(sent, now_ms)
        try:
            if isinstance(sent, SentWithdrawal):
                return self._found(sent)
            return self._placed(sent, placed) if isinstance(placed, str) else self._outcome(sent, placed)
        except (VenueUnreachable, Absent) as error:  # it was placed all the same
            return Pending(f"it is there, and what it came to cannot be read: {error}")

    def _placed(self, sent: SentOrder, order_id: str) -> Happened | Pending:
        """What an order that was just placed has come to. Where its fills are the whole of it, it need not be looked up.

        Raises:
            Absent, VenueRejected, VenueUnreachable, MalformedAnswer.
        """
        fills = self._access.ask(sent.trade_type, lambda: self._api.fills(sent.trade_type, sent.symbol, order_id))
        if executed_by(fills) != sent.amount:
            return self._found(sent, order_id)
        found = FoundOrder(
            id=order_id, client_id=sent.client_id, symbol=sent.symbol, side=sent.side, status=DONE, amount=sent.amount,
            executed=sent.amount, at_ms=fills[0].at_ms, reason="filled", fills=fills,
        )  # fmt: skip
        return self._outcome(sent, found)

    def _meaning(self, sent: Sent, error: Exception) -> Meaning | None:
        if not isinstance(error, Refusal):
            return None
        if isinstance(sent, SentWithdrawal):
            return self._transfers.meaning(error)
        return meaning_of(error, self._api.move_errors if isinstance(sent, SentMove) else self._api.errors(sent.trade_type))

    def _failed(self, sent: Sent, error: Exception, meaning: Meaning | None) -> Happened | Pending:
        """What a failure to send means.

        Raises:
            VenueRejected, VenueUnreachable, OutcomeUnknown.
        """
        text = f"{self.name}: {said(error)}"
        if isinstance(error, TooManyRequests) or (isinstance(error, NoAnswer) and not error.is_sent) or meaning is Meaning.CLOCK:
            raise VenueUnreachable(UNREACHABLE, text) from None
        if meaning in (Meaning.LIMITED, Meaning.MAINTENANCE):
            if isinstance(sent, SentWithdrawal):  # the list of them comes too late for a look-up to permit sending it again
                raise OutcomeUnknown(UNKNOWN, f"{text}; perhaps it was executed") from None
            self._doubtful.add(sent.client_id)
            raise VenueUnreachable(UNREACHABLE, text) from None
        if meaning is Meaning.DUPLICATE:
            return Pending("an earlier attempt of it is there")
        if meaning in (Meaning.FINAL, Meaning.KEY):
            self._access.forget()
            raise VenueRejected(REJECTED, text) from None
        raise OutcomeUnknown(UNKNOWN, f"{text}; perhaps it was executed") from None

    # Looking up.

    def find(self, message: Message, reference: str | None = None) -> Finding:
        """What became of it, by its id or by the venue's."""
        sent = _sent_of(message)
        try:
            return self._found(sent, reference or "")
        except Absent:
            pass
        if reference is not None:
            return NeverHappened(f"{self.name} has no order {reference}")
        now_ms = self._access.measure_clock()  # that it has expired must not hang on our clock
        if now_ms <= sent.expires_ms + CLOCK_MARGIN_MS:
            return Pending("the venue does not know it yet")
        first_ms = self._absent.setdefault(sent.client_id, now_ms)
        if now_ms - first_ms < (WITHDRAWAL_LAG_MS if isinstance(sent, SentWithdrawal) else LOOK_UP_LAG_MS):
            return Pending("it has expired and is not there; a look-up may come late")
        return NeverHappened(f"it expired and was not there {(now_ms - first_ms) / 1000:.0f} s apart")

    def _found(self, sent: Sent, order_id: str = "") -> Happened | Pending:
        """What a look-up shows.

        Raises:
            Absent, VenueRejected, VenueUnreachable, MalformedAnswer.
        """
        access = self._access
        if isinstance(sent, SentMove):
            rows = access.ask(SPOT, lambda: self._api.moves_since(sent.source, sent.target, sent.sent_ms - CLOCK_MARGIN_MS))
            made = order_id or made_by(sent, rows)
            if made is None:
                raise Absent
            return moved(sent, made)
        if isinstance(sent, SentWithdrawal):
            return self._transfers.found(sent, order_id)
        which = {"client_id": sent.client_id, "order_id": order_id}
        found = access.ask(sent.trade_type, lambda: self._api.find(sent.trade_type, sent.symbol, **which, sent_ms=sent.sent_ms))
        return self._outcome(sent, found)

    def _outcome(self, sent: SentOrder, found: FoundOrder) -> Happened | Pending:
        """What an order that is there has come to.

        Raises:
            VenueRejected, VenueUnreachable, MalformedAnswer.
        """
        if (difference := difference_of(sent, found)) is not None:
            raise MalformedAnswer(f"another order under the id {sent.client_id}: {difference}", to_builtins(found))
        self._due.know(found)
        if found.status == REFUSED:
            raise VenueRejected(REJECTED, f"{self.name} refused {sent.client_id}: {found.reason}")
        if found.status != DONE and not found.executed:
            return Pending(f"it is {found.reason}")
        fills = self._fills(sent, found)
        executed = executed_by(fills)
        if executed < found.executed and self._access.now_ms() <= found.at_ms + LOOK_UP_LAG_MS:
            return Pending("its fills are not all there yet")
        return happened_of(self.name, sent, found, fills, raw=to_builtins((found, fills)))

    def _fills(self, sent: SentOrder, found: FoundOrder) -> tuple[Fill, ...]:
        if found.fills is not None:
            return found.fills
        if not found.executed:
            return ()
        return self._access.ask(sent.trade_type, lambda: self._api.fills(sent.trade_type, sent.symbol, found.id))

    # Balances, and what happened without an order.

    def read(self, at: str | None = None) -> State:
        """What the account holds now: of the run's tokens, in all wallets together, and the run's perps."""
        access = self._access
        tokens = self._tokens()
        held: dict[str, Decimal] = {}
        for kind in access.kinds if self._api.wallets_are_separate else access.kinds[:1]:
            for token, amount in access.ask(kind, lambda kind=kind: self._api.balances(kind)).items():  # type: ignore[misc]
                if amount and (access.is_open or token in tokens):
                    held[token] = held.get(token, ZERO) + amount
        perps = access.ask(PERP, self._api.perps) if PERP in access.symbols else {}
        ours = {symbol: perp for symbol, perp in perps.items() if access.is_open or symbol in access.symbols[PERP]}
        return State({self.name: ExchangeAccount({token: amount for token, amount in held.items() if amount}, ours)})

    def _tokens(self) -> set[str]:
        """The tokens of the run's markets, and those that fees are paid in."""
        found = {self._api.settle, *self._api.fee_tokens}
        for kind, symbols in self._access.symbols.items():
            for symbol in symbols:
                rules = self._access.rules(kind, symbol)
                if rules is not None:
                    found |= {rules.quote, rules.base} if kind == SPOT else {rules.quote}
        return found

    def due(self, since: str | None) -> tuple[Sequence[Due], str]:
        return self._due.read(since)

    def check_account(self, limits: Limits, *, leverage: Decimal | None = None, held: ExchangeAccount | None = None) -> AccountFindings:
        """What is wrong with the account, and what is worth knowing; see `AccountCheck`."""
        check = AccountCheck(self._access, limits, run=self._run, leverage=leverage, held=held, transfers=self._check)
        return check.findings()


def faults_of_account(
    gateway: ExchangeGateway, limits: Limits, leverage: Decimal | None = None, held: ExchangeAccount | None = None
) -> list[str]:
    """What stands in the way of trading with this account, all at once, one line each."""
    return list(gateway.check_account(limits, leverage=leverage, held=held).faults)


def _sent_of(message: Message) -> Sent:
    sent: Sent = json.decode(message.body, type=Sent)
    return sent


def _spent(order: Order, trade: CexTrade, rules: Rules) -> tuple[str, Decimal]:
    """The token that a spot trade pays with, and the most of it that the exchange holds back."""
    if trade.side == "sell":
        return rules.base, trade.amount
    price = order.worst_price or order.price or ZERO
    return rules.quote, trade.amount * price
