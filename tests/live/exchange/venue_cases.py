"""The exchanges whose orders are tested by the same tests: what they call things."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class VenueCase:
    """`clock` is the code of a wrong time and its HTTP status; `unknown` a code that says nothing of the outcome."""

    name: str
    wallet: str
    clock: tuple[int | str, int]
    unknown: int | str
    perp_fee_bps: str
    symbol: str = "ETHUSDT"
    settle: str = "USDT"
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def held(self) -> dict[str, object]:
        return {"grant": {"venue": self.name, "wallet": self.wallet, self.settle: "15000", "ETH": "5"}}


CASES = {
    "bybit": VenueCase("bybit", "unified", (10002, 200), 10016, "5.5"),
    "okx": VenueCase("okx", "trading", (50102, 401), 50026, "5"),
}
