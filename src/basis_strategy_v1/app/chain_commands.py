"""What `basis chain deploy`, `delegate`, `undelegate` and `status` do: the executor and the account of a config's wallet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.config import Environment, load_config
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.live.chain_client import ChainClient
from basis_strategy_v1.live.chain_signer import signer_of
from basis_strategy_v1.live.chains import NODE
from basis_strategy_v1.live.delegation import ChainPlace, Delegation
from basis_strategy_v1.live.journal import SqliteJournal
from basis_strategy_v1.live.journal_file import NAME
from basis_strategy_v1.live.secrets import Secret, read_secrets
from basis_strategy_v1.live.trader_account import executor_address
from basis_strategy_v1.live.wallet_key import wallet_key
from basis_strategy_v1.venues.deployment import deployment, flash_lenders
from basis_strategy_v1.venues.venue import DEX, ONCHAIN
from basis_strategy_v1.venues.wallet import Settings

if TYPE_CHECKING:
    from basis_strategy_v1.live.secrets import Secrets


def status(config: Any, *, secrets: Secrets | None = None) -> list[str]:
    """Lines about the account, the executor and the delegation. Nothing is sent.

    Raises:
        ComponentError: the config, a key or the node.
    """
    return _opened(config, secrets).lines()


def facts(config: Any, *, secrets: Secrets | None = None) -> dict[str, Any]:
    """The same as one JSON object.

    Raises:
        ComponentError: the config, a key or the node.
    """
    return _opened(config, secrets).facts()


def change(config: Any, state: Path, do: Callable[[Delegation], str], *, secrets: Secrets | None = None) -> str:
    """Do something with the account that sends a transaction, while no run uses its nonces.

    Raises:
        ComponentError: JRN-002, a run has the state folder; JRN-006, one left an instruction of the wallet open; or the config, a key, the
            node or the chain.
    """
    delegation = _opened(config, secrets)
    with _alone(state):
        return do(delegation)


def _opened(config: Any, secrets: Secrets | None) -> Delegation:
    settings = load_config(config)
    secrets = secrets or read_secrets(Environment.read().environment)
    sections = settings.venues.sections()
    on_chain = {**sections[DEX], **sections[ONCHAIN]}
    own = on_chain.get(WALLET, Settings())
    assert isinstance(own, Settings)
    signer = signer_of(wallet_key(secrets, WALLET))
    nodes = secrets.urls(WALLET, NODE)
    if not nodes:
        raise ComponentError("CFG-003", f"{secrets.name(WALLET, NODE)} is not set; set it to the address of a node of chain {own.chain_id}")
    lenders = flash_lenders(deployment(signer.address, on_chain, WALLET))
    place = ChainPlace(signer.address, own.chain_id, own.executor or executor_address(*lenders), *lenders)
    cap_gwei = None if settings.limits is None else settings.limits.max_fee_gwei
    sends_to = [] if own.send_url is None else [Secret(own.send_url)]
    client = ChainClient(nodes, sends_to, timeout_s=float(settings.venue_timeout), scrub=secrets.scrub)
    return Delegation(client, signer, place, cap_gwei)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a run out meanwhile: its nonces come from its journal."""
    if not (folder / NAME).exists():
        yield
        return
    with SqliteJournal(folder) as journal:
        open_keys = [entry.key for entry in journal.open_entries() if entry.venue == WALLET]
        if open_keys:
            raise ComponentError("JRN-006", f"of the wallet's instructions {', '.join(open_keys)} are open in {folder}; let `basis live` "
                                            "close them first: their nonces are taken")  # fmt: skip
        yield
