"""The exchanges whose orders are tested by the same tests: what they call things."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class VenueCase:
    """`clock` is the code of a wrong time and its HTTP status; `unknown` a code that says nothing of the outcome. `moves_expire`:
    a move that is late is not made."""

    name: str
    wallets: tuple[str, ...]
    clock: tuple[int | str, int]
    unknown: int | str
    perp_fee_bps: str
    symbol: str = "ETHUSDT"
    settle: str = "USDT"
    reserve: str = ""
    moves_expire: bool = True
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def held(self) -> list[dict[str, object]]:
        """What the account has: the coins in the first of its wallets."""
        first, *others = self.wallets
        coins = {"grant": {"venue": self.name, "wallet": first, self.settle: "15000", "ETH": "5"}}
        return [coins, *({"grant": {"venue": self.name, "wallet": other, self.settle: "15000"}} for other in others)]

    @property
    def symbols(self) -> dict[str, tuple[str, ...]]:
        return {"spot": (self.symbol,), "perp": (self.symbol,)}


CASES = {
    "hyperliquid": VenueCase("hyperliquid", ("spot", "perp"), ("Action expired.", 200), "Internal error", "4.5", "ETHUSDC", "USDC"),
    "bybit": VenueCase("bybit", ("unified",), (10002, 200), 10016, "5.5", reserve="funding"),
    "okx": VenueCase("okx", ("trading",), (50102, 401), 50026, "5", reserve="funding", moves_expire=False),
}
