"""A live manager that trades at the local exchange and moves money between it and a wallet on a simulated chain."""

from __future__ import annotations

import json
import urllib.request
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from msgspec import structs

from basis_strategy_v1 import EventLogger, ExecutionInterfaceManager
from basis_strategy_v1.core.clock import from_instant, to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.gateway import Due, Happened, Message, NeverHappened
from basis_strategy_v1.core.instruction_codec import decode_instruction, encode_instruction
from basis_strategy_v1.core.instructions import WalletTransfer
from basis_strategy_v1.core.outgoing import OutgoingTransfer, require_message_within
from basis_strategy_v1.core.state import WALLET, State, Wallet
from basis_strategy_v1.core.state_change import change_between
from basis_strategy_v1.core.tokens import in_base_units, to_units
from basis_strategy_v1.core.transit import set_off
from basis_strategy_v1.execution.paper_message import NO_GAS, PaperMessage
from basis_strategy_v1.live.exchanges import open_exchange
from basis_strategy_v1.live.journal import SqliteJournal
from basis_strategy_v1.monitoring.event_reader import event_files, read_events
from basis_strategy_v1.venues.exchanges import Settings

from ... import world
from .trader import BOTH, RunTime, next_minute, secrets_of, theirs

if TYPE_CHECKING:
    from pathlib import Path

    from ...exchange.process import ExchangeProcess

ADDRESS = "0x" + "a" * 40
HELD = {"USDT": "2000", "ETH": "3"}
MINUTES = 10  # until a withdrawal arrives
CREDIT_S = 120  # until a deposit is credited
LIMITS = {
    "max_notional_per_instruction": 10**9, "max_notional_per_day": 10**9, "max_slippage_bps": 50, "max_unhedged_notional": 10**9,
    "withdrawal_addresses": [ADDRESS],
}  # fmt: skip
EXCHANGE = {"slippage_bps": 0, "withdrawal": "default", "deposit_minutes": CREDIT_S // 60}


class FixedPrices:
    """ETH at one price, at first that of the local exchange."""

    price = 2000.0

    def get_data(self, timestamp: Any) -> dict[str, Any]:
        return world.data_at(timestamp, {"ETH": self.price, "USDT": 1.0}, {}, (9.0, 1.0), funding_rates={"binance": {"ETHUSDT": 0.0}})


class ChainWallet:
    """The wallet at an address of the local exchange's chain. What it has sent is in a file, by the hash of its message; what it has
    received is on the chain."""

    name, kind, connection, takes_nonce = WALLET, "chain", "chain", False

    def __init__(self, exchange: ExchangeProcess, folder: Path, clock: Any, held: dict[str, str]) -> None:
        self._exchange, self._clock, self._held = exchange, clock, held
        self._file = folder / "sent.jsonl"
        self.payees: dict[str, Any] = {}
        self.credits: dict[str, str] | None = None  # what the next deposit is credited with, by token

    def deposit_address(self, token: str, chain: str) -> str:
        return ADDRESS

    def quote(self, order: Any) -> Any:
        payee = self.payees[order.instruction.to_venue]
        return {"now": to_instant(self._clock.now()), "to": payee.deposit_address(order.instruction.token, "ethereum")}

    def prepare(self, approved: Any, limits: Any, quote: Any, nonce: int | None) -> Message:
        asked = approved.order.instruction
        transfer = structs.replace(asked, amount=in_base_units(asked.token, asked.amount))  # a chain sends no less than one
        outgoing = OutgoingTransfer(token=transfer.token, amount=transfer.amount, address=quote["to"], gas=NO_GAS)
        allowed = structs.replace(limits, withdrawal_addresses=(*limits.withdrawal_addresses, quote["to"]))
        require_message_within(approved, allowed, outgoing)
        body = PaperMessage(instruction=encode_instruction(transfer), pays_to=quote["to"], gas=NO_GAS)
        hash_ = "0x" + sha256(approved.order.key.encode()).hexdigest()
        return Message(client_id=hash_, body=json.dumps(structs.asdict(body), default=str), expires=quote["now"] + 2_000_000)

    def send(self, message: Message) -> Happened:
        if message.client_id not in self._sent():
            row = {"hash": message.client_id, "to": json.loads(message.body)["pays_to"], **self._of(message)}
            with self._file.open("a") as file:
                file.write(json.dumps(row) + "\n")
        return self._happened(message)

    def find(self, message: Message, reference: str | None = None) -> Happened | NeverHappened:
        return self._happened(message) if message.client_id in self._sent() else NeverHappened("it is not on the chain")

    def _happened(self, message: Message) -> Happened:
        row, transfer = self._sent()[message.client_id], self._instruction(message)
        credited = row["amount"] if self.credits is None else self.credits[row["token"]]
        self._exchange.control(send={**{name: row[name] for name in ("hash", "to", "token")}, "amount": credited, "seconds": CREDIT_S})
        amount = Decimal(row["amount"])
        assert message.expires is not None
        arrives = message.expires + CREDIT_S * 1_000_000
        moving, changes = set_off(message.client_id, transfer.to_venue, transfer.token, amount, arrives)
        spent = {transfer.token: -amount}
        return Happened(deltas=Deltas.at(WALLET, spent) + moving, changes={WALLET: _change(spent), **changes}, reference=message.client_id)

    def read(self, at: str | None = None) -> State:
        held = {token: Decimal(amount) for token, amount in self._held.items()}
        for row in self._sent().values():
            held[row["token"]] -= Decimal(row["amount"])
        for row in self._received():
            held[row["token"]] = held.get(row["token"], Decimal(0)) + Decimal(row["amount"])
        return State({WALLET: Wallet({token: to_units(token, amount) for token, amount in held.items() if amount})})

    def due(self, since: str | None) -> tuple[list[Due], str]:
        rows = self._received()
        items = [
            Due(
                id=row["hash"], venue=WALLET, kind="credit", at=from_instant(row["at"] * 1000),
                deltas=Deltas.at(WALLET, {row["token"]: Decimal(row["amount"])}),
                changes={WALLET: _change({row["token"]: Decimal(row["amount"])})}, transfer=row["hash"],
            )
            for row in rows[int(since or len(rows)) :]
        ]  # fmt: skip
        return items, str(len(rows))

    def _received(self) -> list[dict[str, Any]]:
        rows = [row for row in self._exchange.read("chain") if row["address"] == ADDRESS]
        return sorted(rows, key=lambda row: row["at"])

    def _sent(self) -> dict[str, dict[str, Any]]:
        if not self._file.exists():
            return {}
        return {row["hash"]: row for row in map(json.loads, self._file.read_text().splitlines())}

    def _of(self, message: Message) -> dict[str, str]:
        transfer = self._instruction(message)
        return {"token": transfer.token, "amount": format(transfer.amount, "f")}

    @staticmethod
    def _instruction(message: Message) -> WalletTransfer:
        found = decode_instruction(json.loads(message.body)["instruction"])
        assert isinstance(found, WalletTransfer)
        return found


def _change(amounts: dict[str, Decimal]) -> dict[str, Any]:
    units = {token: to_units(token, abs(amount)) * (1 if amount > 0 else -1) for token, amount in amounts.items()}
    return change_between(Wallet(), Wallet(units))


class ReadOnlyAddress:
    """The exchange of another process, as the parts here use it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def read(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/control/{path}", timeout=10) as answer:
            return json.load(answer)

    def control(self, **command: Any) -> None:
        request = urllib.request.Request(f"{self.url}/control", json.dumps([command]).encode(), method="POST")
        urllib.request.urlopen(request, timeout=10).close()


def config_of(url: str, **changes: Any) -> dict[str, Any]:
    return {
        "strategy_mode": "blocks", "share_class": "usdt_stable", "initial_capital": 100_000, "limits": LIMITS,
        "venues": {"cex": {"binance": {**EXCHANGE, "endpoint": url}}, "onchain": {"wallet": {"gas_price_gwei": 0}}}, **changes,
    }  # fmt: skip


def transfer(source: str, target: str, amount: str, token: str = "USDT", **fields: Any) -> dict[str, Any]:
    return world.transfer(source, target, token, amount, **fields)


class LiveTransfers:
    """One process that trades and transfers: `again()` is the next one over the same journal."""

    def __init__(
        self, exchange: Any, folder: Path, *, time: RunTime | None = None, held: dict[str, str] | None = None, at: Any = lambda name: None,
        watched: Any = lambda gateway: gateway, timeout_s: float = 1.0, **changes: Any,
    ) -> None:  # fmt: skip
        self.exchange, self.folder, self._at, self._watched = exchange, folder, at, watched
        self.prices = FixedPrices()
        self.held = HELD if held is None else held
        self.time = time or RunTime(next_minute(exchange))
        self.changes = {"venue_timeout": timeout_s, **changes}
        folder.mkdir(exist_ok=True)
        self._open()

    def _open(self) -> None:
        self.journal = SqliteJournal(self.folder / "state", new_run="run", at=self._at)
        self.binance = open_exchange(
            "binance", Settings(endpoint=self.exchange.url), secrets_of(), BOTH, clock=self.time.clock, run="run", sleep=self.time.sleep,
            monotonic=self.time.monotonic,
        )  # fmt: skip
        self.wallet = ChainWallet(self.exchange, self.folder, self.time.clock, self.held)
        payees = {"wallet": self.wallet, "binance": self.binance}
        self.binance.payees = self.wallet.payees = payees
        self.log = EventLogger(self.folder / "logs", "live", clock=self.time.clock)
        self.manager = ExecutionInterfaceManager(
            config_of(self.exchange.url, **self.changes), self.prices, "live", event_logger=self.log,
            clock=self.time.clock, gateways={name: self._watched(one) for name, one in payees.items()}, journal=self.journal,
            timing=self.time.timing,
        )  # fmt: skip
        assert self.manager.live is not None
        self.manager.live.take_up(self.time.clock.now())

    def close(self) -> None:
        self.log.close()
        self.journal.close_file()

    def again(self) -> LiveTransfers:
        self.close()
        self._open()
        return self

    def execute(self, block: dict[str, Any]) -> Any:
        self.time.sleep(1)
        return self.manager.execute(self.time.clock.now(), block)

    def settle(self, minutes: float = 0) -> list[Any]:
        """What has happened when so many minutes have passed; it is in the log."""
        self.time.sleep(minutes * 60)
        reports = self.manager.settle(self.time.clock.now())
        assert self.manager.live is not None
        self.manager.live.settlements_logged(reports)
        return reports

    @property
    def positions(self) -> dict[str, dict[str, Decimal]]:
        assert self.manager.positions is not None
        return {venue: dict(tokens) for venue, tokens in self.manager.positions.positions.items()}

    def errors(self) -> list[dict[str, Any]]:
        """The errors in the event log that belong to transfers."""
        paths = event_files(self.folder / "logs")["execution_interface_manager_events"]
        events = [event for path in paths for event in read_events(path) if event["event_type"] == "error"]
        return [event for event in events if event["data"]["error_code"] == "CEX-004"]

    def require_agreement(self) -> None:
        """The account holds what the exchange's ledger and the chain have."""
        held = self.positions
        assert held.get("binance", {}) == theirs(self.exchange)
        assert held.get("wallet", {}) == self.wallet.read().positions().get("wallet", {})
