"""The initial positions, and whether a run can begin with them."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import SAME_AS
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.core.tokens import to_amount, to_units
from basis_strategy_v1.execution.execution_interface_manager import ExecutionInterfaceManager
from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
from basis_strategy_v1.results.attribution import ETH_CLASS, Attribution
from basis_strategy_v1.venues.registry import place_of

if TYPE_CHECKING:
    from basis_strategy_v1.config import Config
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.strategies.strategy import Strategy

Placed = dict[str, dict[str, Decimal]]


def initial_positions_of(config: Config, strategy: Strategy | None, market: MarketSnapshot, gas_is_free: bool) -> Placed:
    """The config's own positions, or the capital as the strategy splits it, less the gas reserve's price."""
    if config.initial_positions is not None:
        return {venue: dict(tokens) for venue, tokens in config.initial_positions.items()}
    on_chain = bool(config.venues.onchain or config.venues.dex)
    reserve = config.gas_reserve_eth if on_chain and not gas_is_free else Decimal(0)
    capital = config.initial_capital
    if reserve:
        capital -= reserve if config.share_class == ETH_CLASS else EXACT.multiply(reserve, market.price("ETH"))
        if capital <= 0:
            message = f"initial_capital: {config.initial_capital} does not pay for gas_reserve_eth of {reserve}; lower that"
            raise ComponentError("CFG-001", message)
    worth = (strategy.placed(capital, config.strategy) if strategy else {}) or _default_placement(config, capital)
    placed = {venue: {token: _bought(token, amount, config, market) for token, amount in tokens.items()} for venue, tokens in worth.items()}
    if reserve:
        wallet = placed.setdefault(_wallet(config), {})
        wallet["ETH"] = wallet.get("ETH", Decimal(0)) + reserve
    return placed


def _bought(token: str, worth: Decimal, config: Config, market: MarketSnapshot) -> Decimal:
    """What an amount of the share class currency buys of a token at the start's price, in whole base units."""
    currency = "ETH" if config.share_class == ETH_CLASS else "USDT"
    if token == currency or SAME_AS.get(token) == currency:
        return worth
    price = market.price(token) if currency == "USDT" else EXACT.divide(market.price(token), market.price(currency))
    return to_amount(token, to_units(token, EXACT.divide(worth, price)))


def _default_placement(config: Config, capital: Decimal) -> Placed:
    """A user's own strategy finds its capital at the first exchange, or in the wallet where there is none."""
    for name, exchange in config.venues.cex.items():
        return {name: {"ETH" if config.share_class == ETH_CLASS else exchange.row(name).settle: capital}}
    return {_wallet(config): {"ETH" if config.share_class == ETH_CLASS else "USDT": capital}}


def _wallet(config: Config) -> str:
    """The wallet of the protocol that the strategy names; without one `wallet`, or the first there is."""
    places = {name: place_of(name, own) for rows in (config.venues.onchain, config.venues.dex) for name, own in rows.items()}
    if (protocol := getattr(config.strategy, "protocol", None)) in places:
        return places[protocol].wallet
    return next(iter(sorted((place.wallet for place in places.values()), key=lambda name: name != WALLET)), WALLET)


def initial_position_problems(config: Config, strategy: Strategy, provider: Any) -> list[ComponentError]:
    """What keeps a run from beginning: a problem for each amount that cannot be held where it is, or has no price."""
    assert config.start is not None
    handler = PositionUpdateHandler()
    manager = ExecutionInterfaceManager(config, provider, "backtest", positions=handler)

    def refusal(held: Placed, market: MarketSnapshot) -> ComponentError | None:
        handler.hold(held)
        try:
            exposures, perps = manager.account.exposures(market)
            Attribution(config.share_class).open(exposures, perps, market)
        except ComponentError as refused:
            return refused
        return None

    with decimal.localcontext(EXACT):
        try:
            market = manager.account.market(config.start)
            placed = initial_positions_of(config, strategy, market, manager.gas_is_free())
        except ComponentError as refused:
            return [refused]
        whole = refusal(placed, market)
        if whole is None:
            return []
        found = []
        for venue, tokens in placed.items():
            for token, amount in tokens.items():
                if alone := refusal({venue: {token: amount}}, market):
                    which = f"{token} of {venue}" if config.initial_positions is None else f"initial_positions.{venue}.{token}"
                    found.append(ComponentError(alone.error_code, f"{which}: {alone.message}"))
        return found or [whole]
