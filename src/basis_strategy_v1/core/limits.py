"""The limits of live trading: the config's section `limits`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from msgspec import Struct

from basis_strategy_v1.core.settings import AboveZero, Address, Amount, Bps, Mark, number


class Limits(Struct, frozen=True, kw_only=True):
    """The limits of one run. None: not limited."""

    max_notional_per_instruction: Annotated[AboveZero | None, Mark.LIVE, "USD"] = None
    max_notional_per_day: Annotated[AboveZero | None, Mark.LIVE, "USD, over a UTC day, survives a restart"] = None
    max_slippage_bps: Annotated[Bps | None, Mark.LIVE, "worst fill against the snapshot's price"] = None
    max_unhedged_notional: Annotated[Amount | None, Mark.LIVE, "USD, one leg without the other"] = None
    max_unhedged_seconds: Annotated[Decimal, number(above=0, at_most=86_400), "how long it may be so"] = Decimal(60)
    withdrawal_addresses: Annotated[tuple[Address, ...], "nothing else is ever paid out to"] = ()
    contracts: Annotated[tuple[Address, ...] | None, "nothing else is ever called; left out: the configured venues"] = None
    max_fee_gwei: Annotated[AboveZero | None, "per gas unit; left out: no limit"] = None
    max_fee_gwei_reducing: Annotated[AboveZero | None, "per gas unit, for what reduces risk; left out: max_fee_gwei"] = None
    max_gas_per_day_eth: Annotated[AboveZero | None, "ETH, over a UTC day; left out: no limit"] = None

    def fee_cap_gwei(self, *, leaves: bool) -> Decimal | None:
        """The most that a gas unit may cost, for a plan that leaves or enters."""
        return self.max_fee_gwei_reducing if leaves and self.max_fee_gwei_reducing is not None else self.max_fee_gwei


def same_address(first: str, second: str) -> bool:
    """Whether two addresses are one: upper and lower case are only its checksum."""
    return first.lower() == second.lower()


def is_listed(address: str, addresses: tuple[str, ...]) -> bool:
    """Whether an address is among these."""
    return any(same_address(address, other) for other in addresses)
