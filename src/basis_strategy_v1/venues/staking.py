"""Liquid staking by shares: stake, wrap, unwrap, and unstaking through a withdrawal queue."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import DAY_US, iso
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.state import RATE_UNIT, WALLET, State, Wallet
from basis_strategy_v1.core.tokens import to_amount, to_units
from basis_strategy_v1.venues.venue import ONCHAIN, Exposure, Moved, PerpExposure, Settlement, reject
from basis_strategy_v1.venues.wallet import amount_of, receive, share_rate, spend

if TYPE_CHECKING:
    from basis_strategy_v1.core.instructions import SmartContractAction
    from basis_strategy_v1.core.market import MarketSnapshot

QUEUED = "ETH-QUEUED"  # ETH asked for and not yet claimed


class StakingRow(NamedTuple):
    """A protocol: its rebasing token, that token wrapped, how long its queue takes, and gas units by action."""

    name: str
    rebasing: str
    wrapped: str
    withdrawal_days: Decimal
    gas: dict[str, int]


class Request(NamedTuple):
    """ETH that becomes claimable at an instant (microseconds since 1970)."""

    request_id: str
    claimable: int
    wei: int


class Queue(Struct, frozen=True):
    """Our withdrawal requests; `asked` counts all that were ever made, so that ids do not repeat."""

    requests: tuple[Request, ...] = ()
    asked: int = 0

    def positions(self) -> dict[str, Decimal]:
        wei = sum(request.wei for request in self.requests)
        return {QUEUED: to_amount("ETH", wei)} if wei else {}


class StakingProtocol:
    """The simulator: shares in the wallet, worth the rate that the protocol publishes; requests under the protocol."""

    kind = ONCHAIN
    actions = ("stake", "unstake", "claim", "wrap", "unwrap")

    def __init__(self, row: StakingRow) -> None:
        self.row = row
        self.name = row.name

    def simulate(self, instruction: SmartContractAction, state: State, market: MarketSnapshot) -> Moved:
        if instruction.action == "claim":
            return self._claim(instruction, state, market)
        state = self._with_rate(state, market)
        doing = {"stake": self._stake, "unstake": self._unstake, "wrap": self._wrap, "unwrap": self._unwrap}[instruction.action]
        return doing(instruction, state, market)

    def _with_rate(self, state: State, market: MarketSnapshot) -> State:
        wallet = state.part(WALLET, Wallet)
        rate = share_rate(self.row.rebasing, market)
        if wallet.share_rates.get(self.row.rebasing) == rate:
            return state
        return state.with_parts(wallet=Wallet(wallet.units, {**wallet.share_rates, self.row.rebasing: rate}))

    def _rate(self, state: State) -> int:
        return state.part(WALLET, Wallet).share_rates[self.row.rebasing]

    def _expect(self, action: SmartContractAction, *tokens: str) -> None:
        if action.token not in tokens:
            reject(ONCHAIN, f"{self.name} {action.action} takes {' or '.join(tokens)}, got {action.token}")

    def _stake(self, action: SmartContractAction, state: State, market: MarketSnapshot) -> Moved:
        self._expect(action, "ETH", "WETH")
        out = action.token_out or self.row.rebasing
        if out not in (self.row.rebasing, self.row.wrapped):
            reject(ONCHAIN, f"{self.name} stake gives {self.row.rebasing} or {self.row.wrapped}, got token_out {out}")
        amount = amount_of(action)
        shares = to_units("ETH", amount) * RATE_UNIT // self._rate(state)
        if not shares:
            reject(ONCHAIN, f"{plain(amount)} ETH is worth less than one share of {out}")
        return self._exchange(action, state, action.token, amount, out, shares)

    def _wrap(self, action: SmartContractAction, state: State, market: MarketSnapshot) -> Moved:
        self._expect(action, self.row.rebasing)
        shares = self._shares_of(state, amount_of(action))
        return self._exchange(action, state, self.row.rebasing, amount_of(action), self.row.wrapped, shares)

    def _unwrap(self, action: SmartContractAction, state: State, market: MarketSnapshot) -> Moved:
        self._expect(action, self.row.wrapped)
        shares = to_units("ETH", amount_of(action))
        return self._exchange(action, state, self.row.wrapped, amount_of(action), self.row.rebasing, shares)

    def _shares_of(self, state: State, amount: Decimal) -> int:
        wallet, units = state.part(WALLET, Wallet), to_units("ETH", amount)
        if units == wallet.units_of(self.row.rebasing):
            return wallet.units.get(self.row.rebasing, 0)
        return units * RATE_UNIT // self._rate(state)

    def _exchange(self, action: SmartContractAction, state: State, paid: str, amount: Decimal, out: str, shares: int) -> Moved:
        """`amount` of one token for `shares` of another, in the wallet."""
        rate, before = self._rate(state), state
        after = spend(state, paid, amount, f"{self.name} {action.action}")
        wallet = after.part(WALLET, Wallet).moved({out: shares})
        after = after.with_parts(wallet=wallet)
        changes = {token: self._read(wallet, token) - self._read(before.part(WALLET, Wallet), token) for token in (paid, out)}
        lost = self._eth_worth(before, rate, paid, out) - self._eth_worth(after, rate, paid, out)
        costs = (Cost("staking", "ETH", lost),) if lost else ()
        return Moved(after, Deltas.at(self.name, changes), costs)

    def _read(self, wallet: Wallet, token: str) -> Decimal:
        return to_amount(token, wallet.units_of(token))

    def _eth_worth(self, state: State, rate: int, *tokens: str) -> Decimal:
        """ETH that these tokens of the wallet are worth: shares at the rate, ETH and WETH as they are."""
        units = state.part(WALLET, Wallet).units
        shares = (self.row.rebasing, self.row.wrapped)
        return to_amount("ETH", sum(units.get(token, 0) * rate // RATE_UNIT if token in shares else units.get(token, 0) for token in tokens))

    def _unstake(self, action: SmartContractAction, state: State, market: MarketSnapshot) -> Moved:
        """Ask for ETH: worth what the shares are worth now, claimable when the queue has come to it."""
        self._expect(action, self.row.rebasing, self.row.wrapped)
        amount, rate = amount_of(action), self._rate(state)
        wallet = state.part(WALLET, Wallet)
        shares = self._shares_of(state, amount) if action.token == self.row.rebasing else to_units("ETH", amount)
        wei = shares * rate // RATE_UNIT
        after = spend(state, action.token, amount, f"{self.name} unstake")
        queue = after.part(self.name, Queue)
        request = Request(f"{self.name}-{queue.asked + 1}", market.instant + int(self.row.withdrawal_days * DAY_US), wei)
        after = after.with_parts(**{self.name: Queue((*queue.requests, request), queue.asked + 1)})
        burned = self._read(after.part(WALLET, Wallet), action.token) - self._read(wallet, action.token)
        lost = self._eth_worth(state, rate, action.token) - self._eth_worth(after, rate, action.token) - to_amount("ETH", wei)
        return Moved(
            after,
            Deltas.at(self.name, {action.token: burned, QUEUED: to_amount("ETH", wei)}),
            (Cost("staking", "ETH", lost),) if lost else (),
            {"request_id": request.request_id, "claimable": iso(request.claimable)},
        )

    def _claim(self, action: SmartContractAction, state: State, market: MarketSnapshot) -> Moved:
        queue = state.part(self.name, Queue)
        request = next((request for request in queue.requests if request.request_id == action.request_id), None)
        if request is None:
            open_ids = ", ".join(request.request_id for request in queue.requests) or "none"
            reject(ONCHAIN, f"{self.name} has no open request {action.request_id}; open are {open_ids}")
        if request.claimable > market.instant:
            reject(ONCHAIN, f"{self.name} request {request.request_id} can be claimed from {iso(request.claimable)}; it is {iso(market.at)}")
        left = tuple(other for other in queue.requests if other is not request)
        amount = to_amount("ETH", request.wei)
        after = receive(state.with_parts(**{self.name: Queue(left, queue.asked)}), "ETH", amount)
        return Moved(after, Deltas.at(self.name, {QUEUED: -amount, "ETH": amount}))

    def resolve(self, action: SmartContractAction, state: State) -> int:
        return state.part(WALLET, Wallet).units_of(action.token)

    def gas_units(self, action: SmartContractAction) -> int:
        return self.row.gas[action.action]

    def next_due(self, state: State, market: MarketSnapshot, until: int) -> int | None:
        return None

    def observe(self, state: State, market: MarketSnapshot) -> tuple[State, tuple[Settlement, ...]]:
        return state, ()

    def exposures(self, state: State, market: MarketSnapshot) -> tuple[tuple[Exposure, ...], tuple[PerpExposure, ...]]:
        held = state.part(self.name, Queue).positions()
        return tuple(Exposure(self.name, token, "ETH", amount) for token, amount in held.items()), ()


