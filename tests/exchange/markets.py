"""What can be traded at each venue, and on which terms. Amounts are in base units everywhere; only a dialect knows contracts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal

D = Decimal
ONE, MAXIMUM, MAINTENANCE = D(1), D(10_000), D("0.005")
SPOT, PERP = "spot", "perp"


@dataclass(frozen=True)
class Market:
    """`lot` and `tick` are the steps of an amount (base) and of a limit price (quote)."""

    venue: str
    kind: str
    base: str
    quote: str
    lot: Decimal
    tick: Decimal
    minimum_notional: Decimal
    taker: Decimal
    maker: Decimal
    contract: Decimal = ONE
    maximum: Decimal = MAXIMUM
    is_open: bool = True

    @property
    def symbol(self) -> str:
        return self.base + self.quote


@dataclass(frozen=True)
class Network:
    """How a token leaves and comes."""

    token: str
    network: str
    fee: Decimal
    minimum: Decimal
    is_open: bool = True
    minutes: int = 10


@dataclass(frozen=True)
class VenueTerms:
    """The wallets of a venue, and which one a market trades from."""

    name: str
    settle: str
    wallets: tuple[str, ...]
    wallet_of: dict[str, str]
    withdraws_from: str
    credits_to: str
    bnb_discount: dict[str, Decimal] = field(default_factory=dict)
    maintenance: Decimal = MAINTENANCE
    keeps_client_ids: bool = True  # an id is refused again after its order is done
    funding_hours: int = 8


TERMS = {
    "binance": VenueTerms(
        "binance",
        "USDT",
        ("spot", "perp", "funding"),
        {SPOT: "spot", PERP: "perp"},
        "spot",
        "spot",
        {SPOT: D("0.75"), PERP: D("0.9")},
        D("0.004"),
        keeps_client_ids=False,
    ),
    "bybit": VenueTerms("bybit", "USDT", ("unified", "funding"), {SPOT: "unified", PERP: "unified"}, "unified", "funding"),
    "okx": VenueTerms(
        "okx", "USDT", ("trading", "funding"), {SPOT: "trading", PERP: "trading"}, "funding", "funding", maintenance=D("0.004")
    ),
    "hyperliquid": VenueTerms(
        "hyperliquid",
        "USDC",
        ("spot", "perp"),
        {SPOT: "spot", PERP: "perp"},
        "perp",
        "perp",
        maintenance=D("0.02"),
        keeps_client_ids=False,
        funding_hours=1,
    ),
}

# venue, kind, base, lot, tick, minimum notional, taker fee, maker fee, contract
_ROWS = """
binance spot ETH 0.0001 0.01 5 0.001 0.001 1
binance spot BTC 0.00001 0.01 5 0.001 0.001 1
binance spot BNB 0.001 0.1 5 0.001 0.001 1
binance spot USDC 1 0.0001 5 0.001 0.001 1
binance perp ETH 0.001 0.01 20 0.0005 0.0002 1
binance perp BTC 0.001 0.1 50 0.0005 0.0002 1
bybit spot ETH 0.00001 0.01 5 0.001 0.001 1
bybit spot BTC 0.000001 0.1 5 0.001 0.001 1
bybit perp ETH 0.01 0.01 5 0.00055 0.0002 1
bybit perp BTC 0.001 0.1 5 0.00055 0.0002 1
okx spot ETH 0.000001 0.01 1 0.001 0.0008 1
okx spot BTC 0.00000001 0.1 1 0.001 0.0008 1
okx perp ETH 0.001 0.01 1 0.0005 0.0002 0.1
okx perp BTC 0.0001 0.1 1 0.0005 0.0002 0.01
hyperliquid spot ETH 0.0001 0.1 10 0.0007 0.0004 1
hyperliquid spot BTC 0.00001 1 10 0.0007 0.0004 1
hyperliquid perp ETH 0.0001 0.1 10 0.00045 0.00015 1
hyperliquid perp BTC 0.00001 1 10 0.00045 0.00015 1
"""

_NETWORKS = """
binance USDT ETH 4 10
binance USDC ETH 4 10
binance ETH ETH 0.0012 0.01
binance BTC BTC 0.0001 0.001
binance BNB BSC 0.0005 0.01
bybit USDT ETH 5 10
bybit USDC ETH 5 10
bybit ETH ETH 0.0012 0.01
bybit BTC BTC 0.0001 0.001
okx USDT ERC20 3 10
okx USDC ERC20 3 10
okx ETH ERC20 0.001 0.01
okx BTC Bitcoin 0.0001 0.001
hyperliquid USDC Arbitrum 1 2
"""


def markets() -> dict[tuple[str, str, str], Market]:
    """By (venue, kind, symbol)."""
    found = {}
    for row in _ROWS.split("\n"):
        if row:
            venue, kind, base, *numbers = row.split()
            lot, tick, minimum, taker, maker, contract = (D(number) for number in numbers)
            market = Market(venue, kind, base, TERMS[venue].settle, lot, tick, minimum, taker, maker, contract)
            found[venue, kind, market.symbol] = market
    return found


def networks() -> dict[tuple[str, str], Network]:
    """By (venue, token): one network a token is enough here."""
    found = {}
    for row in _NETWORKS.split("\n"):
        if row:
            venue, token, network, fee, minimum = row.split()
            found[venue, token] = Network(token, network, D(fee), D(minimum))
    return found


def changed(market: Market, **fields: object) -> Market:
    """The market with other terms; numbers may be text."""
    names = ("base", "quote", "network")
    given = {name: D(value) if isinstance(value, str) and name not in names else value for name, value in fields.items()}
    return replace(market, **given)  # type: ignore[arg-type]
