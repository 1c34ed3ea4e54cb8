"""What Aave's pool logs about one account: the change in scaled units is the amount of the event over the index logged before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from basis_strategy_v1.live.chain_abi import address_of, decoded, topic
from basis_strategy_v1.venues.aave_interest import rounding_of

if TYPE_CHECKING:
    from basis_strategy_v1.live.aave_reading import PoolContracts

UPDATED = "ReserveDataUpdated(address,uint256,uint256,uint256,uint256,uint256)"
SUPPLY = "Supply(address,address,address,uint256,uint16)"
WITHDRAW = "Withdraw(address,address,address,uint256)"
BORROW = "Borrow(address,address,address,uint256,uint8,uint256,uint16)"
REPAY = "Repay(address,address,address,uint256,bool)"
COLLATERAL_ON, COLLATERAL_OFF = "ReserveUsedAsCollateralEnabled(address,address)", "ReserveUsedAsCollateralDisabled(address,address)"
EMODE = "UserEModeSet(address,uint8)"
LIQUIDATION = "LiquidationCall(address,address,address,uint256,uint256,address,bool)"


class AaveEffect(Struct, frozen=True, kw_only=True):
    """Scaled units that were supplied and borrowed more, by token; what became collateral and what no longer is; the e-mode, where it was
    set."""

    supplied: Mapping[str, int] = {}
    borrowed: Mapping[str, int] = {}
    collateral_on: frozenset[str] = frozenset()
    collateral_off: frozenset[str] = frozenset()
    emode: int | None = None

    @property
    def is_any(self) -> bool:
        return bool(self.supplied or self.borrowed or self.collateral_on or self.collateral_off or self.emode is not None)


def aave_effect(logs: Iterable[Mapping[str, Any]], pool: PoolContracts, account: str) -> AaveEffect:
    """What a transaction's logs say of an account (lower case) at a pool."""
    rounding = rounding_of(pool.revision)
    names = {reserve.token.lower(): name for name, reserve in pool.reserves.items()}
    indices: dict[str, tuple[int, int]] = {}
    supplied: dict[str, int] = {}
    borrowed: dict[str, int] = {}
    on: set[str] = set()
    off: set[str] = set()
    emode = None

    def add(to: dict[str, int], name: str, scaled: int) -> None:
        to[name] = to.get(name, 0) + scaled

    for log in logs:
        topics = log["topics"]
        if log["address"].lower() != pool.pool.lower() or len(topics) < 2:
            continue
        kind, first = topics[0], address_of(topics[1])
        if kind == topic(EMODE) and first == account:
            (emode,) = decoded(("uint8",), log["data"])
        name = names.get(first)
        if name is None:
            continue
        if kind == topic(UPDATED):
            *_, liquidity, variable = decoded(("uint256",) * 5, log["data"])
            indices[name] = liquidity, variable
            continue
        whose = address_of(topics[2]) if len(topics) > 2 else ""
        if whose != account:
            continue
        if kind == topic(SUPPLY):
            _, amount = decoded(("address", "uint256"), log["data"])
            add(supplied, name, rounding.supply_scaled(amount, indices[name][0]))
        elif kind == topic(WITHDRAW):
            (amount,) = decoded(("uint256",), log["data"])
            add(supplied, name, -rounding.withdraw_scaled(amount, indices[name][0]))
        elif kind == topic(BORROW):
            _, amount, _, _ = decoded(("address", "uint256", "uint8", "uint256"), log["data"])
            add(borrowed, name, rounding.borrow_scaled(amount, indices[name][1]))
        elif kind == topic(REPAY):
            amount, _ = decoded(("uint256", "bool"), log["data"])
            add(borrowed, name, -rounding.repay_scaled(amount, indices[name][1]))
        elif kind == topic(COLLATERAL_ON):
            on.add(name)
            off.discard(name)
        elif kind == topic(COLLATERAL_OFF):
            off.add(name)
            on.discard(name)
    return AaveEffect(
        supplied={name: scaled for name, scaled in supplied.items() if scaled},
        borrowed={name: scaled for name, scaled in borrowed.items() if scaled},
        collateral_on=frozenset(on), collateral_off=frozenset(off), emode=emode,
    )  # fmt: skip
