"""Orders against prices: what fills, at which price, for which fee, and what it moves."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, Any

from .ledger import ZERO, Account, Fill, Order, Position, Refused
from .markets import PERP, SPOT, TERMS, Market

if TYPE_CHECKING:
    from .engine import Engine

DUST = Decimal("1e-8")
Moved = dict[str, dict[str, Decimal]]


def down(amount: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of a step that is not above the amount."""
    return (amount / step).to_integral_value(ROUND_DOWN) * step


class Matching:
    """`place` takes an order: it fills at once what it can, and rests only with the life GTC."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def place(self, account: Account, order: Order, *, share: Decimal | None = None) -> Order:
        """The order after it met the market; `share` of its amount is there at most.

        Raises:
            Refused: nothing was accepted.
        """
        market = self.engine.market(account.venue, order.market, order.symbol)
        self._check(account, order, market)
        price = self.engine.price(account.venue, order.market, order.symbol)
        taken = self._take(account, order, market, price, share)
        self._check_funds(account, order, market, price)
        return self._execute(account, order, market, taken, is_maker=False)

    def cancel(self, account: Account, order: Order) -> Order:
        if order.status != "open":
            raise Refused("unknown_order")
        done = replace(order, status="cancelled", updated=self.engine.now())
        self.engine.ledger.write("order", done.updated, account, order=done)
        return account.orders[order.id]

    def fill_resting(self) -> None:
        """Execute the resting orders that a new price reaches."""
        for account in list(self.engine.ledger.accounts.values()):
            for order in account.open_orders():
                price = self.engine.price(account.venue, order.market, order.symbol)
                if order.limit is not None and self._crosses(order, price):
                    market = self.engine.market(account.venue, order.market, order.symbol)
                    self._execute(account, order, market, [(order.limit, order.amount - order.filled)], is_maker=True)

    def close(self, account: Account, symbol: str, share: Decimal, origin: str, price: Decimal | None, fee_rate: Decimal) -> Order:
        """The venue itself reduces a position."""
        market = self.engine.market(account.venue, PERP, symbol)
        held = account.positions.get(symbol, Position()).amount
        amount = abs(held) if share == 1 else down(abs(held) * share, market.lot)
        if not amount:
            raise Refused("no_position")
        now = self.engine.now()
        number = self.engine.ledger.next_id()
        names = {"liquidation": f"autoclose-{now}{number % 1_000_000}", "adl": "adl_autoclose"}
        side = "sell" if held > 0 else "buy"
        order = Order(number, names[origin], PERP, symbol, side, amount, None, "IOC", True, now, now, origin=origin)
        at = self.engine.price(account.venue, PERP, symbol) if price is None else price
        return self._execute(account, order, replace(market, taker=fee_rate), [(at, amount)], is_maker=False)

    # What an order meets.

    def _check(self, account: Account, order: Order, market: Market) -> None:
        if not market.is_open:
            raise Refused("closed", symbol=order.symbol)
        if order.amount <= 0 or order.amount % market.lot:
            raise Refused("lot", symbol=order.symbol)
        if order.amount > market.maximum:
            raise Refused("quantity", symbol=order.symbol)
        if order.limit is not None and (order.limit <= 0 or order.limit % market.tick):
            raise Refused("tick", symbol=order.symbol)
        price = order.limit or self.engine.price(account.venue, order.market, order.symbol)
        if order.amount * price < market.minimum_notional and not order.reduce_only:
            raise Refused("notional", minimum=market.minimum_notional)
        earlier = account.find(order.client_id) if order.client_id else None
        if earlier is not None and (TERMS[account.venue].keeps_client_ids or earlier.status == "open"):
            raise Refused("duplicate")
        if order.reduce_only and order.market == PERP and account.positions.get(order.symbol, Position()).amount * order.sign >= 0:
            raise Refused("reduce_only")

    def _check_funds(self, account: Account, order: Order, market: Market, price: Decimal) -> None:
        worst = order.limit if order.limit is not None and order.side == "buy" else price
        if order.market == SPOT:
            token, needed = (market.quote, order.amount * worst) if order.side == "buy" else (market.base, order.amount)
            if needed > self.engine.free(account, TERMS[account.venue].wallet_of[SPOT], token):
                raise Refused("balance", token=token)
            return
        held = account.positions.get(order.symbol, Position()).amount
        opened = max(ZERO, abs(held + order.sign * order.amount) - abs(held))
        needed = opened * worst / self.engine.leverage(account, order.symbol) + order.amount * worst * market.taker
        if opened and needed > self.engine.available(account, TERMS[account.venue].settle):
            raise Refused("margin", token=TERMS[account.venue].settle)

    @staticmethod
    def _crosses(order: Order, price: Decimal) -> bool:
        return order.limit is None or (price <= order.limit if order.side == "buy" else price >= order.limit)

    def _take(self, account: Account, order: Order, market: Market, price: Decimal, share: Decimal | None) -> list[tuple[Decimal, Decimal]]:
        """(price, amount) of what the order takes from the market."""
        wanted = order.amount
        if order.reduce_only and order.market == PERP:
            wanted = min(wanted, abs(account.positions[order.symbol].amount))
        if share is not None:
            wanted = down(wanted * share, market.lot)
        levels = self.engine.prices.levels.get((account.venue, order.market, order.symbol))
        if levels is None:
            return [(price, wanted)] if wanted and self._crosses(order, price) else []
        there = sum((amount for at, amount in levels if self._crosses(order, at)), ZERO)
        if order.life == "FOK" and there < wanted:
            return []
        taken = []
        for level in levels:
            amount = min(level[1], wanted)
            if amount and self._crosses(order, level[0]):
                level[1] -= amount
                wanted -= amount
                taken.append((level[0], amount))
        return taken

    def _execute(self, account: Account, order: Order, market: Market, taken: list[tuple[Decimal, Decimal]], *, is_maker: bool) -> Order:
        """Write an order and its fills in one line."""
        now = self.engine.now()
        terms = TERMS[account.venue]
        wallet = terms.wallet_of[order.market]
        moved: Moved = {wallet: {}}
        position = replace(account.positions.get(order.symbol, Position()))
        fills = []
        first = self.engine.ledger.next_id()
        for number, (price, amount) in enumerate(taken):
            fee, token = self._fee(account, order, market, price, amount, moved[wallet], is_maker=is_maker)
            realised = ZERO
            if order.market == SPOT:
                changes = {market.base: order.sign * amount, market.quote: -order.sign * amount * price}
            else:
                realised = self._turn(position, order.sign * amount, price)
                changes = {terms.settle: realised}
            for name, change in (*changes.items(), (token, -fee)):
                moved[wallet][name] = moved[wallet].get(name, ZERO) + change
            fills.append(
                Fill(first + number + 1, order.id, order.client_id, order.market, order.symbol, order.side,
                     price, amount, fee, token, realised, is_maker, now)
            )  # fmt: skip
        filled = order.filled + sum((fill.amount for fill in fills), ZERO)
        cost = order.cost + sum((fill.amount * fill.price for fill in fills), ZERO)
        status = "filled" if filled == order.amount else "open" if order.life == "GTC" and order.limit is not None else "expired"
        done = replace(order, filled=filled, cost=cost, status=status, updated=now)
        lines: dict[str, Any] = {"order": done, "fills": fills, "moved": {wallet: {t: c for t, c in moved[wallet].items() if c}}}
        if order.market == PERP and fills:
            lines["position"] = {order.symbol: position}
        self.engine.ledger.write("order", now, account, **lines)
        return account.orders[order.id]

    @staticmethod
    def _turn(position: Position, change: Decimal, price: Decimal) -> Decimal:
        """Move a position; the realised profit."""
        realised = ZERO
        if position.amount * change < 0:
            closed = min(abs(change), abs(position.amount)) * (1 if change > 0 else -1)
            entry = position.entry
            realised = (-closed * (price - entry)).quantize(DUST)
            position.amount += closed
            position.cost = entry * position.amount
            change -= closed
        position.amount += change
        position.cost += change * price
        return realised

    def _fee(
        self, account: Account, order: Order, market: Market, price: Decimal, amount: Decimal, moved: dict[str, Decimal], *, is_maker: bool
    ) -> tuple[Decimal, str]:
        """The fee of a fill and its token: BNB where the account wants that and has enough of it."""
        terms = TERMS[account.venue]
        rate = self.engine.fee_rate(account, market, is_maker=is_maker)
        discount = terms.bnb_discount.get(order.market)
        if discount is not None and account.settings.get("bnb_fees"):
            bnb = (amount * price * rate * discount / self.engine.price(account.venue, SPOT, "BNB" + market.quote)).quantize(
                DUST, ROUND_DOWN
            )
            if bnb <= account.balance(terms.wallet_of[order.market], "BNB") + moved.get("BNB", ZERO):
                return bnb, "BNB"
        if order.market == SPOT and order.side == "buy":
            return (amount * rate).quantize(DUST, ROUND_DOWN), market.base
        return (amount * price * rate).quantize(DUST, ROUND_DOWN), market.quote
