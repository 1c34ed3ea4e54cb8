"""What live trading never goes beyond, as the config's section `limits` has it."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct


class Limits(Struct, frozen=True, kw_only=True):
    """The limits of one run. None: not limited.

    Notionals are in USD, a day is a UTC day. `withdrawal_addresses` are the only addresses that anything is paid out to. `contracts` are
    the only ones that are called; None: those of the configured venues. Fees are in gwei per gas unit; `max_fee_gwei_reducing` holds for
    plans that leave, None: the same as for the others.
    """

    max_notional_per_instruction: Decimal | None = None
    max_notional_per_day: Decimal | None = None
    max_slippage_bps: Decimal | None = None
    max_unhedged_notional: Decimal | None = None
    max_unhedged_seconds: Decimal = Decimal(60)
    withdrawal_addresses: tuple[str, ...] = ()
    contracts: tuple[str, ...] | None = None
    max_fee_gwei: Decimal | None = None
    max_fee_gwei_reducing: Decimal | None = None
    max_gas_per_day_eth: Decimal | None = None

    def fee_cap_gwei(self, *, leaves: bool) -> Decimal | None:
        """The most that a gas unit may cost, for a plan that leaves or enters."""
        return self.max_fee_gwei_reducing if leaves and self.max_fee_gwei_reducing is not None else self.max_fee_gwei


def same_address(first: str, second: str) -> bool:
    """Whether two addresses are one: upper and lower case are only its checksum."""
    return first.lower() == second.lower()


def is_listed(address: str, addresses: tuple[str, ...]) -> bool:
    """Whether an address is among these."""
    return any(same_address(address, other) for other in addresses)
