"""Looks at the real accounts before a run trades with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.state import ExchangeAccount
from basis_strategy_v1.live.total_deadline import total_deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from basis_strategy_v1.config import Config
    from basis_strategy_v1.core.gateway import Gateway
    from basis_strategy_v1.core.journal import LiveJournal
    from basis_strategy_v1.live.account_findings import AccountFindings

NOT_READY = "CFG-004"
ACCOUNT_CALLS = 10  # so many requests look at one account


def findings_of(gateway: Gateway, config: Config, held: ExchangeAccount | None = None) -> AccountFindings | None:
    """What is wrong with an account, and what is worth knowing; None where there is nothing to look at.

    `held`: the positions that the run has there, None where that is not known.

    Raises:
        TimeoutError.
    """
    check = getattr(gateway, "check_account", None)
    if check is None or config.limits is None:
        return None
    with total_deadline(ACCOUNT_CALLS * float(config.venue_timeout)):
        found: AccountFindings = check(config.limits, leverage=getattr(config.strategy, "leverage", None), held=held)
    return found


def check_accounts(gateways: Iterable[Gateway], config: Config, journal: LiveJournal, log: Callable[[str], None]) -> None:
    """Look at each account. A run begins at none that has a fault, a perp that nobody handed over included: it may be another run's.

    A run that goes on is not stopped by a fault, because it may hold positions; each fault is logged.

    Raises:
        ComponentError: CFG-004, with a line for each fault.
    """
    begins = journal.state() is None
    faults = [fault for gateway in gateways for fault in _faults_of(gateway, config, ExchangeAccount() if begins else None)]
    if faults and begins:
        raise ComponentError(NOT_READY, "\n".join(faults))
    for fault in faults:
        log(fault)


def _faults_of(gateway: Gateway, config: Config, held: ExchangeAccount | None) -> Iterator[str]:
    try:
        found = findings_of(gateway, config, held)
    except TimeoutError as late:
        yield f"{gateway.name} cannot be looked at: {late}"
        return
    if found is not None:
        yield from found.faults
