"""Opens the gateway of a wallet: its key and its nodes from the environment, its contracts from the config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.live.chain_client import ChainClient
from basis_strategy_v1.live.chain_due import ChainDue, of_the_run
from basis_strategy_v1.live.chain_gateway import ChainGateway
from basis_strategy_v1.live.chain_reader import ChainReader
from basis_strategy_v1.live.chain_signer import KeySigner, signer_of
from basis_strategy_v1.live.secrets import Secret
from basis_strategy_v1.live.wallet_key import wallet_key
from basis_strategy_v1.venues.deployment import deployment
from basis_strategy_v1.venues.wallet import Settings

if TYPE_CHECKING:
    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.core.journal import Status
    from basis_strategy_v1.core.settings import VenueSettings
    from basis_strategy_v1.live.chain_quote import PaysTo
    from basis_strategy_v1.live.secrets import Secrets
    from basis_strategy_v1.venues.venue import Venues

NODE = "RPC_URL"


def open_wallet(
    name: str,
    settings: Mapping[str, VenueSettings],
    venues: Venues,
    secrets: Secrets,
    *,
    clock: Clock,
    timeout_s: float,
    pays_to: PaysTo,
    slip_bps: Decimal | None,
    sent_as: Callable[[str], Status | None] = of_the_run,
) -> ChainGateway:
    """The gateway of a wallet; `settings` are those of the venues on chain; `sent_as`: how far
    the instruction has come that a transaction is for. Nothing is asked of a node yet.

    Raises:
        ComponentError: CFG-003, its key or the address of its node is missing.
    """
    own = settings.get(name, Settings())
    assert isinstance(own, Settings)
    reader, signer = open_reader(name, settings, secrets, timeout_s=timeout_s)
    return ChainGateway(
        name,
        reader,
        signer,
        venues,
        ChainDue(name, reader, sent_as),
        clock,
        confirmations=own.confirmations,
        pays_to=pays_to,
        slip_bps=slip_bps,
        executor=own.executor,
    )


def open_reader(name: str, settings: Mapping[str, VenueSettings], secrets: Secrets, *, timeout_s: float) -> tuple[ChainReader, KeySigner]:
    """The reader of a wallet's account, and the signer for it.

    Raises:
        ComponentError: CFG-003, its key or the address of its node is missing.
    """
    own = settings.get(name, Settings())
    assert isinstance(own, Settings)
    signer = signer_of(wallet_key(secrets, name))
    nodes = secrets.urls(name, NODE)
    if not nodes:
        raise ComponentError("CFG-003", f"{secrets.name(name, NODE)} is not set; set it to the address of a node of chain {own.chain_id}")
    sends_to = [] if own.send_url is None else [Secret(own.send_url)]
    # So that another node can be asked within the time of one call.
    client = ChainClient(nodes, sends_to, timeout_s=timeout_s / (len(nodes) + 1), scrub=secrets.scrub)
    at = deployment(signer.address, settings, name)
    configured = {token: contract.decimals for token, contract in (own.tokens or {}).items()}
    return ChainReader(client, at, configured=configured, wallet=name), signer
