"""Withdrawals out of an exchange and deposits into it: the calls of a venue, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from basis_strategy_v1.live.exchange_errors import Meaning

WAITING, DONE, ENDED = "waiting", "done", "ended"
"""Of a withdrawal: it is on its way; it was sent on chain; it was not, and the amount is back."""


class NetworkTerms(Struct, frozen=True, kw_only=True):
    """How a token leaves an exchange and comes to it over one network: fee, least and most (token units), the step of amounts, and about
    how many minutes it takes."""

    network: str
    fee: Decimal
    least: Decimal
    lot: Decimal
    minutes: Decimal
    takes_withdrawals: bool
    takes_deposits: bool
    most: Decimal | None = None
    is_default: bool = False


class SentWithdrawal(Struct, frozen=True, kw_only=True, tag="withdrawal"):
    """A withdrawal as it leaves: the body of its message. `amount` is what leaves the account, the fee included; `asked` that of the
    instruction. `fee` is the one that was quoted. `arrives` is ours (microseconds since 1970), the other times are the venue's."""

    client_id: str
    token: str
    network: str
    address: str
    to_venue: str
    amount: Decimal
    asked: Decimal
    fee: Decimal
    arrives: int
    sent_ms: int
    expires_ms: int


class FoundWithdrawal(Struct, frozen=True, kw_only=True):
    """A withdrawal as the venue shows it. `amount` is the one that it shows, with or without the `fee`, which depends on the venue.

    `hash` is "" until it was sent on chain, `done_ms` None until it has ended.
    """

    id: str
    client_id: str
    token: str
    network: str
    address: str
    amount: Decimal
    fee: Decimal
    status: str
    reason: str
    hash: str
    at_ms: int
    done_ms: int | None = None

    @property
    def gross(self) -> Decimal:
        """What left the account."""
        return self.amount + self.fee


class FoundDeposit(Struct, frozen=True, kw_only=True):
    """A deposit as the venue shows it. `at_ms` is when it was seen first, `credited_ms` None until it is credited."""

    id: str
    token: str
    network: str
    amount: Decimal
    hash: str
    at_ms: int
    credited_ms: int | None = None


class TransferApi(Protocol):
    """One account. Raises as `ExchangeApi`."""

    withdrawal_errors: Mapping[str, Meaning]

    def networks(self, token: str) -> tuple[NetworkTerms, ...]:
        """Over which networks the token goes; none of a token that the venue does not have."""
        ...

    def network_of(self, token: str, chain: str) -> str:
        """The venue's name of a chain."""
        ...

    def deposit_address(self, token: str, network: str) -> str: ...

    def withdraw(self, sent: SentWithdrawal, at_ms: int) -> None:
        """Ask for a withdrawal, signed at this time; the venue does not take it after `sent.expires_ms`."""
        ...

    def withdrawals(self, from_ms: int, until_ms: int, client_id: str = "") -> list[FoundWithdrawal]:
        """Those that were asked for between two times, oldest first; with `client_id` those under it."""
        ...

    def deposits(self, from_ms: int, until_ms: int) -> list[FoundDeposit]:
        """Those that were first seen between two times, oldest first."""
        ...

    def allowed_addresses(self) -> list[str] | None:
        """The addresses that the venue lets the account pay out to; None: any."""
        ...
