"""Staked ether, and a perp short of as much: what staking earns and what the longs pay, without the price."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.strategies.basis import BPS, CENT, CUSHION, SMALLEST_CHANGE, ZERO
from basis_strategy_v1.strategies.hedge_book import Book, Names, read_book
from basis_strategy_v1.strategies.loop import Loop
from basis_strategy_v1.strategies.staked_ether import SMALLEST_STAKE, StakedEther
from basis_strategy_v1.strategies.staking import is_leaving
from basis_strategy_v1.strategies.strategy import Block, Holdings, trade, transfer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from basis_strategy_v1.core.market import MarketSnapshot

# A purchase may arrive smaller by this share, and still be what it was bought for.
FEE_ALLOWED = Decimal("0.01")
# Of the tolerated deviation of the margin: once it is being corrected, it is corrected down to this much of it.
CORRECTED = Decimal("0.1")


class UsdtMarketNeutral:
    """Buys ETH, sends it to the wallet and stakes it, with a perp short of all the ETH that there is, wherever it is.

    ETH changes hands at the spot venue only, in one plan with the perp, so that a transfer or a queue leaves nothing unhedged.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._names = Names.of(parameters)
        self._stake = StakedEther(parameters)
        lender = self._stake.lender
        self._loop = None if lender is None else Loop(self._stake, lender, parameters)
        self._is_freeing = False  # margin is short, and ETH on its way to be sold for it
        self._was_liquidated = False

    # Decisions.

    def decide(self, snapshot: MarketSnapshot, positions: Holdings, parameters: Mapping[str, Any]) -> Sequence[Block]:
        book = read_book(self._names, self._stake, snapshot, positions, parameters["leverage"])
        if not book.short and book.at_risk * book.price > book.smallest:
            self._was_liquidated = True  # the stake alone would be a bet on the price
        if self._was_liquidated or is_leaving(snapshot, parameters):
            return self._leave(book, snapshot, positions, parameters)
        return (
            self._hedge(book, parameters)
            or self._margin(book, snapshot, positions, parameters)
            or self._fuel(book, positions)
            or self._forward(book, positions)
            or self._put_to_work(book, snapshot, positions)
        )

    def _hedge(self, book: Book, parameters: Mapping[str, Any]) -> list[Block]:
        """The short brought to the ETH that is held, where they differ by more than is tolerated."""
        if not book.short:
            return []
        gap = book.ether - book.short
        allowed = max(book.ether * book.price * parameters["hedge_tolerance_bps"] / BPS, book.smallest)
        if abs(gap) * book.price <= allowed:
            return []
        return [self._perp("sell", gap) if gap > 0 else self._perp("buy", -gap, reduce_only=True)]

    def _forward(self, book: Book, positions: Holdings) -> list[Block]:
        """ETH at the exchange goes to the wallet."""
        fee, minimum, _ = positions.withdrawal(self._names.spot_venue, "ETH")
        if self._is_freeing or book.at_spot < max(SMALLEST_STAKE, minimum, 2 * fee):
            return []
        return [transfer(self._names.spot_venue, WALLET, "ETH", book.at_spot)]

    def _fuel(self, book: Book, positions: Holdings) -> list[Block]:
        """ETH is bought for gas, and hedged, when half of the reserve has been used."""
        held, venue = book.held, self._names.spot_venue
        if 2 * held.wallet_ether >= held.reserve or not book.short or book.at_spot or book.ether_coming:
            return []
        amount = max(held.reserve, SMALLEST_STAKE, 2 * positions.withdrawal(venue, "ETH")[1]) * (1 + FEE_ALLOWED)
        if positions.amount(venue, self._names.quote) < amount * book.price * (1 + self._cushion(positions)):
            return []
        return [self._spot("buy", amount), self._perp("sell", amount)]

    def _put_to_work(self, book: Book, snapshot: MarketSnapshot, positions: Holdings) -> list[Block]:
        """ETH in the wallet is staked; and, with a lender, more of it borrowed and staked."""
        if not self._stake.can_pay_gas(book.held, snapshot, positions):
            return []
        claims = self._stake.claims(snapshot, positions)
        if claims or self._is_freeing:
            return claims
        if self._loop is not None:
            return self._loop.decide(book.held, snapshot, positions)
        spare = self._stake.spare(book.held, snapshot, positions)
        return [self._stake.stake(spare)] if spare else []

    # Margin.

    def _margin(self, book: Book, snapshot: MarketSnapshot, positions: Holdings, parameters: Mapping[str, Any]) -> list[Block]:
        """Both legs brought to what the capital carries at `leverage`, where the margin is off by more than is tolerated."""
        allowed = book.total * parameters["rebalance_threshold_bps"] / BPS
        self._is_freeing = self._goes_on_freeing(book, allowed, parameters)
        if self._is_freeing:
            return self._free(book, allowed, snapshot, positions, parameters)
        if book.margin_missing > allowed and parameters["on_margin_shortage"] == "move":
            return self._send_cash(book, min(book.cash, book.margin_missing), positions)
        return self._grow(book, positions) if book.excess > allowed else []

    def _goes_on_freeing(self, book: Book, allowed: Decimal, parameters: Mapping[str, Any]) -> bool:
        ratio = parameters["min_margin_ratio"]
        if parameters["on_margin_shortage"] == "ignore" or not book.short:
            return False
        if self._is_freeing:
            return -book.excess > max(allowed * CORRECTED, SMALLEST_STAKE * book.price * (1 + 1 / book.leverage))
        return -book.excess > allowed if ratio is None else book.margin + book.coming < book.notional * ratio and book.excess < 0

    def _grow(self, book: Book, positions: Holdings) -> list[Block]:
        """Cash buys ETH, as far as the margin carries the short of it; margin that is not needed becomes cash first."""
        wanted = book.target * (1 - self._cushion(positions)) - book.notional
        if not self._names.is_one_account:
            moved = self._draw_cash(book, wanted, positions)
            if moved or book.coming:
                return moved
            wanted = min(wanted, book.margin * book.leverage - book.notional)
        notional = min(wanted, book.cash * (1 - self._cushion(positions)))
        if notional < book.smallest:
            return []
        amount = notional / book.price
        # What the wallet keeps for gas is hedged too, from the first purchase on.
        return [self._spot("buy", amount), self._perp("sell", amount if book.short else amount + book.ether)]

    def _draw_cash(self, book: Book, wanted: Decimal, positions: Holdings) -> list[Block]:
        """Cash that the spot venue lacks for a purchase, from the perp's margin. Profit that is not realised stays there."""
        venue, quote = self._names.perp_venue, self._names.quote
        missing = min(
            wanted * (1 + self._cushion(positions)) - book.cash, book.margin - book.target / book.leverage, positions.amount(venue, quote)
        )
        fee, minimum, _ = positions.withdrawal(venue, quote)
        amount = missing.quantize(CENT, ROUND_DOWN)
        if not self._names.is_movable or book.coming or amount <= max(minimum, fee + SMALLEST_CHANGE):
            return []
        return [transfer(venue, self._names.spot_venue, quote, amount)]

    def _send_cash(self, book: Book, amount: Decimal, positions: Holdings) -> list[Block]:
        """Cash of the spot venue becomes margin."""
        venue, quote = self._names.spot_venue, self._names.quote
        fee, minimum, _ = positions.withdrawal(venue, quote)
        amount = amount.quantize(CENT, ROUND_DOWN)
        if not self._names.is_movable or book.coming or amount <= max(minimum, fee + SMALLEST_CHANGE):
            return []
        return [transfer(venue, self._names.perp_venue, quote, amount)]

    def _free(
        self, book: Book, allowed: Decimal, snapshot: MarketSnapshot, positions: Holdings, parameters: Mapping[str, Any]
    ) -> list[Block]:
        """Make both legs smaller: ETH that is at the exchange is sold at once, what lacks is on its way there."""
        moves = parameters["on_margin_shortage"] == "move" or self._names.is_one_account
        carried = book.target if moves else book.margin * book.leverage
        lacking = (book.notional - carried) / book.price
        sold = min(lacking, book.at_spot, book.short)
        blocks = []
        if sold * book.price >= book.smallest:
            blocks = [self._spot("sell", sold), self._perp("buy", sold, reduce_only=True)]
            lacking -= sold
        if moves:
            freed = sold * book.price * (1 - self._cushion(positions)) if blocks else ZERO
            blocks += self._send_cash(book, book.cash + freed, positions)
        return [*blocks, *self._fetch(book, lacking, allowed, snapshot, positions)]

    def _fetch(self, book: Book, lacking: Decimal, allowed: Decimal, snapshot: MarketSnapshot, positions: Holdings) -> list[Block]:
        """The next step that brings so much ETH to the exchange: out of the wallet, or out of the stake."""
        if not self._stake.can_pay_gas(book.held, snapshot, positions):
            return []
        claims = self._stake.claims(snapshot, positions)
        if claims or lacking < SMALLEST_STAKE or book.ether_coming:
            return claims
        if book.held.ether >= SMALLEST_STAKE:
            return [transfer(WALLET, self._names.spot_venue, "ETH", min(lacking, book.held.ether))]
        lacking -= book.held.ether + book.held.queued  # what gas has taken out of the reserve comes back with it
        is_enough_for_now = book.held.queued and lacking * book.price <= allowed  # not a request for every move of the price
        if lacking < SMALLEST_STAKE or is_enough_for_now or not book.held.staked:
            return []
        if self._loop is not None:
            return [self._loop.release(lacking, book.held, snapshot, positions)]
        return [self._stake.release(lacking, book.held, snapshot, positions)]

    # The end.

    def _cushion(self, positions: Holdings) -> Decimal:
        return max(CUSHION, positions.costs_of_trades(self._names.spot_venue, self._names.perp_venue))

    def leave(self, snapshot: MarketSnapshot, positions: Holdings, parameters: Mapping[str, Any]) -> Sequence[Block]:
        book = read_book(self._names, self._stake, snapshot, positions, parameters["leverage"])
        return self._leave(book, snapshot, positions, parameters)

    def _leave(self, book: Book, snapshot: MarketSnapshot, positions: Holdings, parameters: Mapping[str, Any]) -> list[Block]:
        """The next steps out, side by side: the stake given back, claims, ETH to the exchange, ETH there sold with its short."""
        elsewhere = (book.at_risk - book.at_spot) * book.price
        is_last = elsewhere < book.smallest
        blocks = [] if is_last else self._hedge(book, parameters)
        if not blocks:
            blocks = self._sell_at_exchange(book, is_last)
        if not self._stake.can_pay_gas(book.held, snapshot, positions):
            return blocks
        if book.held.ether >= SMALLEST_STAKE:
            blocks.append(transfer(WALLET, self._names.spot_venue, "ETH", book.held.ether))
        blocks += self._stake.claims(snapshot, positions)
        return [*blocks, *self._stake.give_back(book.held, snapshot, positions)]

    def _sell_at_exchange(self, book: Book, is_last: bool) -> list[Block]:
        blocks = []
        if book.at_spot * book.price >= book.smallest:
            blocks.append(self._spot("sell", book.at_spot))
        closed = book.short if is_last else min(book.at_spot, book.short)
        if closed > 0 and (blocks or is_last):
            blocks.append(self._perp("buy", closed, reduce_only=True))
        return blocks

    # What it has to do with.

    def _spot(self, side: str, amount: Decimal) -> Block:
        return trade(self._names.spot_venue, "spot", side, self._names.symbol, amount)

    def _perp(self, side: str, amount: Decimal, **more: Any) -> Block:
        return trade(self._names.perp_venue, "perp", side, self._names.perp_symbol, amount, **more)

    def needs(self, parameters: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        return [*self._names.series(), *self._stake.series()]

    def placed(self, capital: Decimal, parameters: Mapping[str, Any]) -> dict[str, dict[str, Decimal]]:
        return self._names.placed(capital, parameters["leverage"])
