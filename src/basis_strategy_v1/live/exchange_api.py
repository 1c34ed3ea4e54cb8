"""What a venue's file gives: the calls of one account at an exchange, and what they answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from msgspec import Struct

from basis_strategy_v1.core.gateway import MalformedAnswer

if TYPE_CHECKING:
    from basis_strategy_v1.core.state import Perp
    from basis_strategy_v1.live.exchange_errors import Meaning
    from basis_strategy_v1.live.exchange_orders import Fill, FoundOrder, Rules, SentOrder

FOREIGN_FILL, LATE_FILL = "foreign fill", "late fill"
FOREIGN_WITHDRAWAL, LATE_WITHDRAWAL = "foreign withdrawal", "late withdrawal"
FUNDING, LIQUIDATION, DELEVERAGING, CREDIT = "funding", "liquidation", "deleveraging", "credit"
RESERVE = "reserve"  # as a wallet that something is moved from
M = TypeVar("M")
Move = tuple[str, str, Decimal, int]
"""The venue's id of a move between wallets, its token, amount and time (ms)."""


class Payment(Struct, frozen=True, kw_only=True):
    """Something that came to a wallet, or left it, without a trade. `id` is the venue's."""

    id: str
    kind: str
    token: str
    amount: Decimal
    at_ms: int
    symbol: str = ""


class PerpMargin(NamedTuple):
    """What is free for perp orders (settlement token), the position of a symbol (base, signed), and its leverage as it is set."""

    free: Decimal
    held: Decimal
    leverage: Decimal


class PerpSettings(NamedTuple):
    """`margin_mode` is crossed or isolated."""

    margin_mode: str
    leverage: Decimal


class Permissions(NamedTuple):
    """What a key may do: trade, by kind of market; move between the wallets; withdraw. Whether it is bound to an address."""

    trades: dict[str, bool]
    moves: bool
    withdraws: bool
    is_bound_to_address: bool


class ExchangeApi(Protocol):
    """One account. `kind` is spot or perp, times are the venue's (ms since 1970), symbols as in instructions (ETHUSDT).

    Raises of every call:
        NoAnswer, Unreadable, Refusal, TooManyRequests: as `ExchangeClient.call`. MalformedAnswer: the answer lacks something.
    """

    life_ms: int
    """After so long a signed request is not executed any more."""
    settle: str
    """The token that perps settle in."""
    fee_tokens: tuple[str, ...]
    """What fees may be paid in besides the tokens of a market."""
    wallets_are_separate: bool
    """Between spot and perps; where they are not, both kinds hold the same balances."""
    has_reserve: bool
    """Whether the account has a wallet more, in which nothing is traded; what it holds counts, and is moved to where an order needs it."""
    moves: bool
    """Whether something can be moved between the wallets of the account."""
    move_unit: Decimal
    """The step of amounts that are moved."""
    move_errors: Mapping[str, Meaning]

    def errors(self, kind: str) -> Mapping[str, Meaning]: ...
    def forget(self) -> None: ...
    def time_ms(self, kind: str) -> int: ...
    def rules(self, kind: str, symbols: Iterable[str]) -> dict[str, Rules]: ...

    def place(self, sent: SentOrder, at_ms: int) -> FoundOrder | str:
        """Send an order, signed at this time; it dies with `sent.expires_ms`. Where the answer says no more, the venue's id of it."""
        ...

    def find(self, kind: str, symbol: str, *, client_id: str = "", order_id: str = "", sent_ms: int = 0) -> FoundOrder:
        """An order by its client id or the venue's. `sent_ms` is when it was sent, 0 where that is not known."""
        ...

    def fills(self, kind: str, symbol: str, order_id: str) -> tuple[Fill, ...]: ...
    def fills_since(self, kind: str, symbol: str, from_ms: int, until_ms: int) -> list[tuple[str, Fill]]: ...
    def open_orders(self, kind: str) -> list[FoundOrder]: ...

    def free(self) -> dict[str, Decimal]:
        """What a spot order can use, by token."""
        ...

    def free_margin(self) -> Decimal: ...
    def margin(self, symbol: str, needed: Decimal) -> PerpMargin:
        """What a perp order can use. Where `needed` (settlement token) is free, the position may be given as 0: what the order would
        reduce of it does not matter then."""
        ...

    def balances(self, kind: str) -> dict[str, Decimal]:
        """What the wallet of a kind holds; a perp's profit counts once it is realised."""
        ...

    def perps(self) -> dict[str, Perp]: ...

    def reserved(self) -> dict[str, Decimal]:
        """What the reserve can give, by token."""
        ...

    def move(self, source: str, target: str, token: str, amount: Decimal, at_ms: int, expires_ms: int) -> str: ...
    def moves_since(self, source: str, target: str, since_ms: int) -> list[Move]: ...
    def payments_since(self, kinds: Collection[str], from_ms: int, until_ms: int) -> list[Payment]: ...

    def origin_of(self, order: FoundOrder) -> str | None:
        """What made an order that nobody sent; None: somebody sent it."""
        ...

    def settings(self, symbols: Iterable[str]) -> dict[str, PerpSettings]: ...
    def permissions(self) -> Permissions: ...
    def is_hedged(self, symbols: Iterable[str]) -> bool: ...

    def mode_fault(self, kinds: Collection[str]) -> str | None:
        """What is wrong with the account's mode for these kinds, and the way out; None: nothing."""
        ...


def listed(markets: Mapping[str, Mapping[str, M]], kind: str, symbol: str, read: Callable[[str, tuple[str, ...]], object]) -> M:
    """A market of an exchange that names its markets by ids of its own; `read(kind, ())` fills `markets` where it has not it yet.

    Raises:
        MalformedAnswer: the exchange does not list it. Or what `read` raises.
    """
    if symbol not in markets.get(kind, {}):
        read(kind, ())
    found = markets[kind].get(symbol)
    if found is None:
        raise MalformedAnswer(f"no {kind} market {symbol}", symbol)
    return found
