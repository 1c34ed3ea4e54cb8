"""The calls of one account that a withdrawal is made of: what the venue says before it, sending it, and looking it up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.live.exchange_access import Absent
from basis_strategy_v1.live.exchange_errors import meaning_of
from basis_strategy_v1.live.exchange_orders import SPOT, ZERO
from basis_strategy_v1.live.exchange_prepare import REJECTED, Quote, WithdrawalQuote
from basis_strategy_v1.live.exchange_transfer_check import CHAIN
from basis_strategy_v1.live.exchange_withdrawals import withdrawn

if TYPE_CHECKING:
    from basis_strategy_v1.core.gateway import Happened
    from basis_strategy_v1.core.instructions import WalletTransfer
    from basis_strategy_v1.live.exchange_access import Access
    from basis_strategy_v1.live.exchange_client import Refusal
    from basis_strategy_v1.live.exchange_errors import Meaning
    from basis_strategy_v1.live.exchange_transfers import SentWithdrawal, TransferApi

BEFORE_MS = 1_500  # a list of withdrawals has whole seconds
EARLIER_MS = 7 * 86_400_000 - 1  # an earlier attempt under the same id is looked for so far back: what one request may span


class Payee(Protocol):
    """Another venue account."""

    def deposit_address(self, token: str, chain: str) -> str:
        """Where it receives a token.

        Raises:
            VenueRejected: it receives none. VenueUnreachable.
        """
        ...


class TransferCalls:
    """One account. `api` None: the venue makes no withdrawals here, and takes no deposits."""

    def __init__(self, access: Access, api: TransferApi | None) -> None:
        self._access = access
        self._maybe_api = api

    @property
    def _api(self) -> TransferApi:
        if self._maybe_api is None:
            raise VenueRejected(REJECTED, f"{self._access.name} has no live transfers in this version; nothing was sent")
        return self._maybe_api

    def quote(self, transfer: WalletTransfer, payees: Mapping[str, Payee], chains: Mapping[str, str]) -> Quote:
        """What the venue says before a withdrawal. `payees` are the accounts that can be paid, `chains` where the wallets among them are.

        Raises:
            VenueRejected: the venue makes none, or the receiver takes none. VenueUnreachable, MalformedAnswer.
        """
        access, api, token = self._access, self._api, transfer.token
        networks = access.ask(SPOT, lambda: api.networks(token))
        payee = payees.get(transfer.to_venue)
        if payee is None:
            raise VenueRejected(REJECTED, f"{transfer.to_venue} has no live deposits in this version; nothing was sent")
        chain = chains.get(transfer.to_venue, CHAIN)
        address, network = payee.deposit_address(token, chain), api.network_of(token, chain)
        if transfer.network not in (None, chain, network):
            is_at = f"{transfer.to_venue} is paid on {chain}, which {access.name} calls {network}"
            raise VenueRejected(REJECTED, f"{is_at}; got the network {transfer.network}: leave it out; nothing was sent")
        free = access.ask(SPOT, access.api.free).get(token, ZERO)
        quoted = WithdrawalQuote(networks=networks, network=network, address=address)
        return Quote(now_ms=access.now_ms(), offset_ms=access.client.offset_ms, free=free, withdrawal=quoted)

    def deposit_address(self, token: str, chain: str) -> str:
        """Where the account receives a token on a chain.

        Raises:
            VenueRejected: it receives none there. VenueUnreachable, MalformedAnswer.
        """
        api = self._api
        network = api.network_of(token, chain)
        terms = next((one for one in self._access.ask(SPOT, lambda: api.networks(token)) if one.network == network), None)
        if terms is None or not terms.takes_deposits:
            raise VenueRejected(REJECTED, f"{self._access.name} takes no deposits of {token} over {network} now; nothing was sent")
        return self._access.ask(SPOT, lambda: api.deposit_address(token, network))

    def withdraw(self, sent: SentWithdrawal, at_ms: int) -> None:
        """Ask for a withdrawal. Raises as `ExchangeApi`."""
        self._api.withdraw(sent, at_ms)

    def meaning(self, refusal: Refusal) -> Meaning:
        """What a refusal of a withdrawal means."""
        return meaning_of(refusal, self._api.withdrawal_errors)

    def found(self, sent: SentWithdrawal, id_: str) -> Happened:
        """What a look-up shows, by our id or by the venue's.

        Raises:
            Absent, VenueUnreachable, MalformedAnswer.
        """
        api, from_ms, until_ms = self._api, sent.sent_ms - BEFORE_MS, self._access.now_ms()
        if not id_:  # the key may begin again after a look-up that came too early
            from_ms = min(from_ms, until_ms - EARLIER_MS)
        rows = self._access.ask(SPOT, lambda: api.withdrawals(from_ms, until_ms, "" if id_ else sent.client_id))
        found = [one for one in rows if one.id == id_ or (not id_ and one.client_id == sent.client_id)]
        if not found:
            raise Absent
        return withdrawn(self._access.name, sent, found)
