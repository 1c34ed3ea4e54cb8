"""Transfers between wallets, withdrawals, deposits, and what falls due by time."""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from .ledger import Account, Refused
from .markets import PERP, TERMS

if TYPE_CHECKING:
    from .engine import Engine

OPEN = "pending"


def address_of(account: Account, token: str, network: str) -> str:
    """Where an account receives a token."""
    return "0x" + sha256(f"{account.venue} {account.name} {network}".encode()).hexdigest()[:40]


def hash_of(name: str) -> str:
    return "0x" + sha256(name.encode()).hexdigest()


class Moves:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def transfer(self, account: Account, token: str, amount: Decimal, source: str, target: str, client_id: str = "") -> dict[str, Any]:
        """Move within the account."""
        if amount <= 0 or source == target or {source, target} - set(TERMS[account.venue].wallets):
            raise Refused("amount")
        if amount > self.engine.free(account, source, token):
            raise Refused("transfer_balance", token=token)
        number = str(self.engine.ledger.next_id())
        record = {
            "id": number,
            "client_id": client_id,
            "token": token,
            "amount": amount,
            "from": source,
            "to": target,
            "at": self.engine.now(),
        }
        moved = {source: {token: -amount}, target: {token: amount}}
        return self.engine.ledger.write("transfer", self.engine.now(), account, record=record, moved=moved)["record"]

    # Out.

    def withdraw(
        self,
        account: Account,
        token: str,
        amount: Decimal,
        network: str,
        address: str,
        client_id: str,
        *,
        fee_on_top: bool,
        wallet: str = "",
    ) -> dict[str, Any]:
        """Send to an address. The fee comes on top of the amount, or out of it."""
        terms = self.engine.networks.get((account.venue, token))
        if terms is None or network not in ("", terms.network):
            raise Refused("network", token=token)
        if not terms.is_open:
            raise Refused("network_closed", token=token)
        if amount < terms.minimum:
            raise Refused("withdrawal_minimum", token=token)
        allowed = account.settings.get("addresses")
        if not address or (allowed is not None and address.lower() not in [one.lower() for one in allowed]):
            raise Refused("address", address=address)
        wallet = wallet or TERMS[account.venue].withdraws_from
        leaves = amount + terms.fee if fee_on_top else amount
        if leaves > self.engine.free(account, wallet, token):
            raise Refused("withdrawal_balance", token=token)
        now = self.engine.now()
        record = {
            "id": str(self.engine.ledger.next_id()),
            "client_id": client_id,
            "token": token,
            "amount": leaves - terms.fee,
            "fee": terms.fee,
            "network": terms.network,
            "address": address,
            "status": OPEN,
            "at": now,
            "due": now + 60_000 * terms.minutes,
            "hash": "",
            "wallet": wallet,
        }
        return self.engine.ledger.write("withdrawal", now, account, record=record, moved={wallet: {token: -leaves}})["record"]

    def finish(self, account: Account, record: dict[str, Any], status: str, tx_hash: str = "") -> None:
        """A withdrawal is completed, cancelled or failed; what did not leave comes back."""
        now = self.engine.now()
        amount = Decimal(record["amount"])
        if status != "completed":
            back = {record["wallet"]: {record["token"]: amount + Decimal(record["fee"])}}
            self.engine.ledger.write("withdrawal", now, account, record={**record, "status": status, "done": now}, moved=back)
            return
        done = {**record, "status": status, "hash": tx_hash or hash_of(f"{account.venue} {record['id']}"), "done": now}
        self.engine.ledger.write("withdrawal", now, account, record=done)
        self.arrive(record["address"], record["token"], amount, done["hash"])

    # In.

    def deposit(
        self, account: Account, token: str, amount: Decimal, tx_hash: str, *, wallet: str = "", status: str = "completed", due: int = 0
    ) -> dict[str, Any]:
        """A transfer on chain arrives; it is credited once its status is completed, or by itself at `due`."""
        now = self.engine.now()
        wallet = wallet or TERMS[account.venue].credits_to
        known = next((one for one in account.records["deposit"].values() if one["hash"].lower() == tx_hash.lower()), None)
        if known is not None and known["status"] == "completed":
            return known
        network = self.engine.networks[account.venue, token].network
        record = {
            "id": known["id"] if known else str(self.engine.ledger.next_id()),
            "token": token,
            "amount": amount,
            "hash": tx_hash,
            "network": network,
            "address": address_of(account, token, ""),
            "status": status,
            "at": known["at"] if known else now,
            "done": now,
            "due": due,
            "wallet": wallet,
        }
        moved = {wallet: {token: amount}} if status == "completed" else {}
        return self.engine.ledger.write("deposit", now, account, record=record, moved=moved)["record"]

    def arrive(self, address: str, token: str, amount: Decimal, tx_hash: str, seconds: float = 0) -> bool:
        """A transfer on chain to an address; whether that is an account's. It is credited so many seconds later."""
        for account in list(self.engine.ledger.accounts.values()):
            if address_of(account, token, "").lower() == address.lower():
                due = self.engine.now() + round(1_000 * seconds)
                self.deposit(account, token, amount, tx_hash, status=OPEN if seconds else "completed", due=due if seconds else 0)
                return True
        return False

    def sent(self) -> list[dict[str, Any]]:
        """What left for addresses on chain, in the order in which it was asked for."""
        return [
            {"venue": account.venue, "at": one["done"], **{name: one[name] for name in ("hash", "address", "token", "amount")}}
            for account in self.engine.ledger.accounts.values()
            for one in account.records["withdrawal"].values()
            if one["status"] == "completed"
        ]

    def resume(self) -> None:
        """Credit what a kill left between its two ends."""
        for one in self.sent():
            self.arrive(one["address"], one["token"], Decimal(one["amount"]), one["hash"])

    # By time.

    def pay(self, account: Account, kind: str, token: str, amount: Decimal, symbol: str = "", **more: Any) -> None:
        """Something is paid to or by the account, in the wallet of its perps."""
        wallet = TERMS[account.venue].wallet_of[PERP]
        record = {
            "id": str(self.engine.ledger.next_id()),
            "kind": kind,
            "token": token,
            "amount": amount,
            "symbol": symbol,
            "at": self.engine.now(),
            **more,
        }
        self.engine.ledger.write("payment", self.engine.now(), account, record=record, moved={wallet: {token: amount}})

    def fund(self, venue: str, symbol: str, rate: Decimal) -> None:
        """Funding of every position: a long pays a positive rate."""
        price = self.engine.price(venue, PERP, symbol)
        for account in list(self.engine.ledger.accounts.values()):
            position = account.positions.get(symbol)
            if account.venue == venue and position is not None and position.amount:
                amount = (-position.amount * price * rate).quantize(Decimal("1e-8"))
                self.pay(account, "funding", TERMS[venue].settle, amount, symbol, rate=rate, price=price, size=position.amount)

    def settle(self, until_ms: int) -> None:
        """Recorded funding and arrivals up to a time."""
        after, self.engine.settled_to = self.engine.settled_to, max(until_ms, self.engine.settled_to)
        for account in list(self.engine.ledger.accounts.values()):
            for record in list(account.records["withdrawal"].values()):
                if record["status"] == OPEN and record["due"] <= until_ms:
                    self.engine.at(record["due"], lambda account=account, record=record: self.finish(account, record, "completed"))
            for record in list(account.records["deposit"].values()):
                if record["status"] == OPEN and record["due"] and record["due"] <= until_ms:
                    credit = (account, record["token"], Decimal(record["amount"]), record["hash"])
                    self.engine.at(record["due"], lambda credit=credit, record=record: self.deposit(*credit, wallet=record["wallet"]))
        if self.engine.recorded is None or not after:
            return
        for venue, kind, symbol in self.engine.markets:
            series = self.engine.recorded.funding(venue, symbol) if kind == PERP else None
            for at, rate in series.between(after, until_ms) if series is not None else ():
                self.engine.at(at, lambda venue=venue, symbol=symbol, rate=rate: self.fund(venue, symbol, rate))
