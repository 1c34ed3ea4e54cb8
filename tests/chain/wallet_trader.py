"""One process that trades on chain: the real manager, journal, sender and gateway over a local node. `again()` is the next one."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.app.venue_accounts import real_gateways
from basis_strategy_v1.config import load_config
from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.execution.execution_interface_manager import ExecutionInterfaceManager, venues_of_config
from basis_strategy_v1.execution.timing import REAL_TIME
from basis_strategy_v1.live.chain_gateway import ChainGateway
from basis_strategy_v1.live.journal import SqliteJournal
from basis_strategy_v1.live.secrets import read_secrets

from .node import DECIMALS, EXCHANGE, KEY, ChainWorld

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PRICES = {"ETH": 2500, "USDT": 1, "WETH": 2500}


class Prices:
    """What a data provider says."""

    def get_data(self, timestamp: Any) -> dict[str, Any]:
        gas = {"base_fee_gwei": "1", "priority_fee_gwei": "0.01"}
        return {"timestamp": timestamp, "market_data": {"prices": PRICES}, "execution_data": {"gas": gas}}


def quick(seconds: float) -> None:
    """A wait that a test has no time for."""


class WalletTrader:
    """`url`: the node that it asks, else the world's. `at` is called at each point at which the process could end."""

    def __init__(
        self, world: ChainWorld, folder: Path, *, url: str | None = None, at: Callable[[str], None] = lambda name: None,
        key: str = KEY, event_logger: Any = None, timeout_s: float = 10, **wallet: Any,
    ) -> None:  # fmt: skip
        self.world, self.folder = world, folder
        self._event_logger = event_logger
        self.config = load_config({**world.config(**wallet), "venue_timeout": timeout_s})
        environ = {"BASIS_DEV__WALLET__PRIVATE_KEY": key, "BASIS_DEV__WALLET__RPC_URL": url or world.chain.url}
        self.secrets = read_secrets("dev", environ)
        self._at = at
        self.open()

    def open(self) -> None:
        self.journal = SqliteJournal(self.folder, new_run="run", at=self._at)
        self.gateway = self._gateway()
        self.manager = ExecutionInterfaceManager(
            self.config, Prices(), "live", gateways={"wallet": self.gateway}, journal=self.journal, clock=self.world.clock,
            timing=REAL_TIME._replace(sleep=self.sleep), event_logger=self._event_logger,
        )  # fmt: skip

    sleep: Callable[[float], None] = staticmethod(quick)

    def open_again(self) -> None:
        """Open with what was changed since."""
        self.close()
        self.open()

    def _gateway(self) -> ChainGateway:
        from dataclasses import dataclass

        @dataclass
        class Payee:
            """An exchange account, as far as the wallet knows it."""

            def deposit_address(self, token: str, chain: str) -> str:
                return EXCHANGE

        from basis_strategy_v1.app import venue_accounts

        venues = venues_of_config(self.config)
        settings = venue_accounts.settings_of(self.config, "wallet")
        account = venue_accounts.VenueAccount(
            "wallet",
            "wallet",
            settings,
            self.config,
            self.secrets,
            self.world.clock,
            {},
            "run",
            venues,
            {"binance": Payee()},
            self.journal.status_of_message,
        )
        return venue_accounts.REAL["wallet"].make(account)

    def close(self) -> None:
        self.journal.close_file()

    def again(self) -> None:
        """The process after this one."""
        self.open_again()

    def execute(self, block: dict[str, Any]) -> Any:
        return self.manager.execute(self.world.clock.now(), block)

    def start(self) -> None:
        self.manager.live.take_up(self.world.clock.now())

    def settle(self) -> Any:
        return self.manager.settle(self.world.clock.now())

    def held(self) -> dict[str, dict[str, Decimal]]:
        """What the account of the manager has, by venue."""
        return self.manager.account.ledger.state.positions()

    def status(self, key: str) -> Status:
        return self.journal.entry(key).status


def action(name: str, token: str, amount: Any, protocol: str = "aave", **more: Any) -> dict[str, Any]:
    return {"instruction_type": "smart_contract_action", "protocol": protocol, "action": name, "token": token, "amount": amount, **more}


def transfer(token: str, amount: Any, **more: Any) -> dict[str, Any]:
    return {"instruction_type": "wallet_transfer", "from_venue": "wallet", "to_venue": "binance", "token": token, "amount": amount, **more}


def in_units(amounts: dict[str, Decimal]) -> dict[str, int]:
    """Amounts in base units, by token."""
    found = {}
    for name, amount in amounts.items():
        token = name.removeprefix("variableDebt")
        token = token[1:] if token.startswith("a") else token
        found[name] = int(amount.scaleb(DECIMALS.get(token, 18)))
    return found


__all__ = ["Prices", "WalletTrader", "action", "in_units", "real_gateways", "transfer"]
