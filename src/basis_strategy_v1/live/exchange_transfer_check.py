"""What is worth knowing about withdrawals before a run makes any: addresses, rights, fees next to the simulator's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.limits import is_listed
from basis_strategy_v1.live.exchange_orders import SPOT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from basis_strategy_v1.core.limits import Limits
    from basis_strategy_v1.live.exchange_access import Access
    from basis_strategy_v1.live.exchange_transfers import NetworkTerms, TransferApi
    from basis_strategy_v1.venues.exchanges import ExchangeRow

CHAIN = "ethereum"


class TransferCheck:
    """Looks at one account. `row` has the figures that the simulator takes."""

    def __init__(self, access: Access, api: TransferApi, row: ExchangeRow) -> None:
        self._access = access
        self._api = api
        self._row = row

    def notes(self, limits: Limits, tokens: Iterable[str], *, may_withdraw: bool) -> Iterator[str]:
        """One line each; nothing where no withdrawal is allowed.

        Raises:
            VenueUnreachable, MalformedAnswer.
        """
        if not limits.withdrawal_addresses:
            return
        if not may_withdraw:
            yield "the key may not withdraw; a transfer out of the account will be refused"
            return
        ask = self._access.ask
        allowed = ask(SPOT, self._api.allowed_addresses)
        if allowed is not None:
            for address in limits.withdrawal_addresses:
                if not is_listed(address, tuple(allowed)):
                    yield f"{address} of limits.withdrawal_addresses is not on its list of addresses; a withdrawal there will be refused"
        for token in sorted(tokens):
            network = self._api.network_of(token, CHAIN)
            networks = ask(SPOT, lambda token=token: self._api.networks(token))  # type: ignore[misc]
            terms = next((one for one in networks if one.network == network), None)
            if terms is not None:
                yield from self._of_network(token, terms)

    def _of_network(self, token: str, terms: NetworkTerms) -> Iterator[str]:
        over = f"{token} over {terms.network}"
        closed = [what for what, is_open in (("withdrawals", terms.takes_withdrawals), ("deposits", terms.takes_deposits)) if not is_open]
        if closed:
            yield f"{' and '.join(closed)} of {over} are closed now"
        simulated = self._row.withdrawals.at(self._access.client.our_ms() * 1000, token)
        for what, theirs, ours in (("costs", terms.fee, simulated.fee), ("has a minimum of", terms.least, simulated.minimum)):
            if theirs != ours:
                yield (
                    f"a withdrawal of {over} {what} {plain(theirs)}, the simulator takes {plain(ours)}; "
                    f"set venues.cex.{self._access.name}.withdrawal"
                )
