"""What is wrong with an exchange account, all at once, before any order."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.error_codes.exceptions import VenueUnreachable
from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.live.account_findings import AccountFindings
from basis_strategy_v1.live.exchange_access import Absent
from basis_strategy_v1.live.exchange_orders import OPEN, PERP, SPOT, is_ours

if TYPE_CHECKING:
    from collections.abc import Iterator

    from basis_strategy_v1.core.limits import Limits
    from basis_strategy_v1.core.state import ExchangeAccount
    from basis_strategy_v1.live.exchange_access import Access
    from basis_strategy_v1.live.exchange_transfer_check import TransferCheck

CROSSED = ("crossed", "cross")
MOST_OFFSET_MS = 1_000


class AccountCheck:
    """Looks at one account. Nothing is changed there.

    `leverage` is the one that the strategy wants for its perps; `held` is what the run holds there by its journal, None where that is not
    known.
    """

    def __init__(
        self, access: Access, limits: Limits, *, run: str = "", leverage: Decimal | None = None, held: ExchangeAccount | None = None,
        transfers: TransferCheck | None = None,
    ) -> None:  # fmt: skip
        self._access = access
        self._limits = limits
        self._run = run
        self._leverage = leverage
        self._held = held
        self._transfers = transfers

    def findings(self) -> AccountFindings:
        """All of them."""
        name = self._access.name
        faults: list[str] = []
        notes: list[str] = []
        self._access.forget()  # what was read before may have changed
        try:
            self._access.now_ms()
        except VenueUnreachable as error:
            return AccountFindings((error.message,), ())
        if abs(self._access.client.offset_ms) > MOST_OFFSET_MS:
            notes.append(f"{name}: its clock is {self._access.client.offset_ms / 1000:+.1f} s from this machine's; set this machine's")
        for look in (self._key, self._markets, self._settings, self._orders, self._positions, self._withdrawals):
            try:
                for is_fault, text in look():
                    (faults if is_fault else notes).append(f"{name}: {text}")
            except VenueUnreachable as error:
                faults.append(error.message)
            except (MalformedAnswer, Absent, KeyError, TypeError) as error:
                faults.append(f"{name} answered something that cannot be read: {type(error).__name__} {error}")
        return AccountFindings(tuple(dict.fromkeys(faults)), tuple(notes))

    def _key(self) -> Iterator[tuple[bool, str]]:
        access = self._access
        may = access.ask(SPOT, access.api.permissions)
        for kind in access.kinds:
            if not may.trades[kind]:
                yield True, f"the key may not trade {kind}; allow it at the exchange"
        if len(access.kinds) > 1 and access.api.wallets_are_separate and not access.api.moves:
            yield False, "nothing is moved between the spot and the perp wallet; keep what is needed in each"
        elif len(access.kinds) > 1 and access.api.wallets_are_separate and not may.moves:
            yield True, "the key may not move between the spot and the futures wallet (universal transfer); allow it at the exchange"
        if access.api.has_reserve and not may.moves:
            yield (
                False,
                "the key may not move between the account's wallets; an order that needs what is in the other one is refused",
            )
        if may.withdraws and not self._limits.withdrawal_addresses:
            yield True, "the key may withdraw, and limits.withdrawal_addresses is empty; take that right from the key"
        if not may.is_bound_to_address:
            yield False, "the key may be used from any address; bind it to this machine's at the exchange"

    def _withdrawals(self) -> Iterator[tuple[bool, str]]:
        if self._transfers is not None:
            tokens = {
                rules.base
                for kind, listed in self._access.symbols.items()
                for symbol in listed
                if (rules := self._access.rules(kind, symbol))
            }
            may = self._access.ask(SPOT, self._access.api.permissions)
            for text in self._transfers.notes(self._limits, tokens | {self._access.api.settle}, may_withdraw=may.withdraws):
                yield False, text

    def _markets(self) -> Iterator[tuple[bool, str]]:
        for kind, symbols in self._access.symbols.items():
            for symbol in symbols:
                rules = self._access.rules(kind, symbol)
                if rules is None:
                    yield True, f"there is no {kind} market {symbol}"
                elif not rules.is_open:
                    yield True, f"the {kind} market {symbol} is closed"

    def _settings(self) -> Iterator[tuple[bool, str]]:
        access = self._access
        if fault := access.ask(access.kinds[0], lambda: access.api.mode_fault(access.kinds)):
            yield True, fault
        if PERP not in access.symbols:
            return
        if access.ask(PERP, lambda: access.api.is_hedged(access.symbols[PERP])):
            yield True, "positions are in hedge mode; set one-way mode at the exchange"
        found = access.ask(PERP, lambda: access.api.settings(access.symbols[PERP]))
        for symbol in access.symbols[PERP]:
            setting = found.get(symbol)
            if setting is None:
                continue
            if setting.margin_mode not in CROSSED:
                yield True, f"the margin mode of {symbol} is {setting.margin_mode}; set cross at the exchange"
            if self._leverage is not None and setting.leverage < self._leverage:
                yield (
                    True,
                    f"the leverage of {symbol} is {plain(setting.leverage)}, the strategy wants {plain(self._leverage)}; raise it there",
                )

    def _orders(self) -> Iterator[tuple[bool, str]]:
        access = self._access
        for kind, symbols in access.symbols.items():
            for order in access.ask(kind, lambda kind=kind: access.api.open_orders(kind)):  # type: ignore[misc]
                if order.status != OPEN or is_ours(order.client_id, self._run):
                    continue
                shown = f"{kind} order {order.id}: {order.side} {plain(order.amount)} {order.symbol}"
                if order.symbol in symbols:
                    yield True, f"somebody else's open {shown}; cancel it, or trade another symbol"
                else:
                    yield False, f"an open {shown} is not touched"

    def _positions(self) -> Iterator[tuple[bool, str]]:
        access = self._access
        if PERP not in access.symbols:
            return
        for symbol, perp in access.ask(PERP, access.api.perps).items():
            if symbol not in access.symbols[PERP]:
                yield False, f"a position of {plain(perp.base)} {symbol} is not touched"
            elif self._held is not None:
                ours = self._held.perps.get(symbol)
                base = ours.base if ours is not None else Decimal(0)
                if base != perp.base:
                    yield True, f"a position of {plain(perp.base)} {symbol}, where the run holds {plain(base)}; close the difference"
