"""Liquid staking by shares: stake, wrap, unwrap, and unstaking through a withdrawal queue."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from msgspec import Struct, structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import DAY_US, iso
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.figure import Figure
from basis_strategy_v1.core.position_names import queued_name
from basis_strategy_v1.core.settings import Address, Mark, ProtocolSettings, number
from basis_strategy_v1.core.state import RATE_UNIT, State, VenueState, Wallet
from basis_strategy_v1.core.tokens import REBASING, SHARE_TOKENS, STAKED_AT, to_amount, to_units
from basis_strategy_v1.core.venue_facts import VenueFact
from basis_strategy_v1.venues import staking_shares
from basis_strategy_v1.venues.staking_shares import Protocol, SharePool, amount_for, shares_for
from basis_strategy_v1.venues.venue import (
    ONCHAIN,
    Exposure,
    OnChainVenue,
    PerpExposure,
    Place,
    Settlement,
    SimulationResult,
    reject,
    row_text,
)
from basis_strategy_v1.venues.wallet import amount_of, rate_units, receive, units_to_spend

if TYPE_CHECKING:
    from basis_strategy_v1.core.instructions import SmartContractAction
    from basis_strategy_v1.core.market import MarketSnapshot

QUEUED = queued_name("ETH")
# Gas units of a further request in one call, an assumption: less than the first, with which a call's own cost is paid.
STRESSED_DAYS = Decimal(46)  # Lido's in September 2025
FURTHER_REQUEST_GAS = {"unstake": 65_000, "claim": 35_000}


class Settings(ProtocolSettings, frozen=True, kw_only=True):
    """How long the queue of a protocol takes."""

    withdrawal_days: Annotated[
        Figure[Annotated[Decimal, number(at_least=0, at_most=365)]] | None,
        "days between the request and the claim; left out: what the data say of that time (queue/lido.csv), else as `queue` says",
    ] = None
    queue: Annotated[
        Literal["usual", "stressed"] | Address | None,
        Mark.QUIET,
        "how long the queue is where nothing else says it: usual (5 days at lido, 7 at etherfi) or stressed (46 days, as in "
        "September 2025); live, where requests are claimed: an address; left out: usual, and Ethereum mainnet's",
    ] = None
    pool: Annotated[Address | None, Mark.QUIET, "live, etherfi: where ether is staked; left out: Ethereum mainnet's"] = None
    adapter: Annotated[Address | None, Mark.QUIET, "live, etherfi: where ether becomes weETH; left out: Ethereum mainnet's"] = None

    @property
    def queue_address(self) -> str | None:
        """Where requests are claimed, where the settings say it."""
        return self.queue if self.queue is not None and self.queue.startswith("0x") else None


class StakingRow(NamedTuple):
    """A protocol: its rebasing token (None: it has none), that token wrapped, how long its queue takes where the data do not say it, gas
    units by action, the DEX at which most of the wrapped token trades, and whether the data are asked for the length of the queue."""

    rebasing: str | None
    wrapped: str
    withdrawal_days: Figure[Decimal]
    gas: dict[str, int]
    dex: str
    reads_queue: bool = False

    @classmethod
    def of(cls, protocol: str, days: int, gas: dict[str, int], dex: str, own: Settings) -> StakingRow:
        """The row of a protocol whose tokens `STAKED` has, with the length of the queue that the settings give, if they do."""
        tokens = STAKED_AT[protocol]
        queue = own.withdrawal_days or Figure(STRESSED_DAYS if own.queue == "stressed" else Decimal(days))
        return cls(tokens.rebasing, tokens.wrapped, queue, gas, dex, reads_queue=own.withdrawal_days is None)


class Request(NamedTuple):
    """ETH that was asked for, for so many shares; claimable from an instant on (microseconds since 1970).

    `rate_e27` is the share rate that it was finalised at, where the protocol fixes it then (Lido). `reported` is whether the settlement
    has been given that says that it can be claimed.
    """

    request_id: str
    claimable: int
    wei: int
    shares: int
    rate_e27: int | None = None
    reported: bool = False


class Queue(Struct, VenueState, frozen=True, tag="Queue"):
    """Our withdrawal requests; `asked` counts all that were ever made, so that ids do not repeat."""

    requests: tuple[Request, ...] = ()
    asked: int = 0

    def positions(self) -> dict[str, Decimal]:
        wei = sum(request.wei for request in self.requests)
        return {QUEUED: to_amount("ETH", wei)} if wei else {}


class StakingProtocol(OnChainVenue):
    """The simulator: shares in the wallet, worth the rate that the protocol publishes; requests under the protocol, by the `rules` of
    one whose queue is known. Without a rebasing token there is nothing to wrap.
    """

    kind = ONCHAIN
    actions: tuple[str, ...] = ("stake", "unstake", "claim", "wrap", "unwrap")

    def __init__(self, place: Place, row: StakingRow, rules: Protocol) -> None:
        super().__init__(place)
        self.row = row
        self.rules = rules
        self._tokens = (row.wrapped,) if row.rebasing is None else (row.rebasing, row.wrapped)
        self._given = self._tokens[0]  # by a stake that names no token
        if row.rebasing is None:
            self.actions = ("stake", "unstake", "claim")

    def simulate(self, instruction: SmartContractAction, state: State, market: MarketSnapshot) -> SimulationResult:
        if instruction.action == "claim":
            return self._claim(instruction, state, market)
        rate, wallet = market.redemption(self.series, self.row.wrapped), state.part(self.wallet, Wallet)
        pool = SharePool(rate_units(rate), RATE_UNIT)
        if self.row.rebasing is not None and wallet.share_rates.get(self.row.rebasing) != pool.pooled_wei:
            wallet = Wallet(wallet.units, {**wallet.share_rates, self.row.rebasing: pool.pooled_wei})
        if instruction.action == "unstake":
            return self._unstake(instruction, state, wallet, pool, rate, market)
        units = to_units("ETH", amount_of(instruction))
        out, shares = {"stake": self._stake, "wrap": self._wrap, "unwrap": self._unwrap}[instruction.action](instruction, units, pool)
        return self._exchange(instruction, state, wallet, out, shares, rate)

    def _expect(self, action: SmartContractAction, *tokens: str) -> None:
        if action.token not in tokens:
            reject(ONCHAIN, f"{self.name} {action.action} takes {' or '.join(tokens)}, got {action.token}")

    # What stake, wrap and unwrap give: a token, and how many shares of it.

    def _stake(self, action: SmartContractAction, units: int, pool: SharePool) -> tuple[str, int]:
        self._expect(action, "ETH", "WETH")
        out = action.token_out or self._given
        if out not in self._tokens:
            reject(ONCHAIN, f"{self.name} stake gives {' or '.join(self._tokens)}, got token_out {out}")
        shares = shares_for(pool, units)
        if out == self.row.wrapped and self.rules is Protocol.ETHERFI:
            shares = shares_for(pool, amount_for(pool, shares))  # its adapter wraps what the shares are worth
        return out, shares

    def _wrap(self, action: SmartContractAction, units: int, pool: SharePool) -> tuple[str, int]:
        self._expect(action, self._given)
        return self.row.wrapped, shares_for(pool, units)

    def _unwrap(self, action: SmartContractAction, units: int, pool: SharePool) -> tuple[str, int]:
        self._expect(action, self.row.wrapped)
        return self._given, staking_shares.unwrap(pool, units, units).shares

    def _exchange(
        self, action: SmartContractAction, state: State, wallet: Wallet, out: str, shares: int, rate: Decimal
    ) -> SimulationResult:
        """The action's amount for `shares` of another token, in the wallet."""
        paid, amount = action.token, amount_of(action)
        if not shares:
            reject(ONCHAIN, f"{self.name} {action.action} of {plain(amount)} {paid} is worth less than one share; take more")
        spent = units_to_spend(wallet, self.wallet, paid, amount, f"{self.name} {action.action}", checked=state.checked)
        after = wallet.moved({paid: -spent, out: shares})
        given, got = _read_change(wallet, after, paid, -spent), _read_change(wallet, after, out, shares)
        lost = -(self._eth_worth(paid, given, rate) + self._eth_worth(out, got, rate))
        return SimulationResult(state.with_part(self.wallet, after), Deltas.at(self.name, {paid: given, out: got}), _lost(lost))

    def _eth_worth(self, token: str, amount: Decimal, rate: Decimal) -> Decimal:
        """The wrapped token at its redemption rate, the others at their balance."""
        return amount * rate if token == self.row.wrapped else amount

    def _unstake(
        self, action: SmartContractAction, state: State, wallet: Wallet, pool: SharePool, rate: Decimal, market: MarketSnapshot
    ) -> SimulationResult:
        """Ask for ETH: worth what the token is worth now, claimable when the queue has come to it.

        What is beyond the protocol's most for one request is asked for by several on chain; here one id stands for all.
        """
        self._expect(action, *self._tokens)
        amount = amount_of(action)
        units = to_units("ETH", amount)
        wei = units if action.token == self.row.rebasing else amount_for(pool, units)
        shares, least = shares_for(pool, wei), staking_shares.request_limits(self.rules)[0]
        if not shares or wei < least:
            reject(ONCHAIN, f"{self.name} unstake of {plain(amount)} {action.token} asks for {wei} wei; "
                            f"the least is {least} wei and one share")  # fmt: skip
        spent = units_to_spend(wallet, self.wallet, action.token, amount, f"{self.name} unstake", checked=state.checked)
        after = wallet.moved({action.token: -spent})
        queue = state.part(self.name, Queue)
        published = market.queue_days(self.series) if self.row.reads_queue else None
        waits_us = int((self.row.withdrawal_days.at(market.instant) if published is None else published) * DAY_US)
        request = Request(f"{self.name}-{queue.asked + 1}", market.instant + waits_us, wei, shares)
        queue = Queue((*queue.requests, request), queue.asked + 1)
        burned, asked = _read_change(wallet, after, action.token, -spent), to_amount("ETH", wei)
        lost = -self._eth_worth(action.token, burned, rate) - asked
        further = self._further_requests(wei)
        details = {"request_id": request.request_id, "claimable": iso(request.claimable)}
        if further:
            details["requests_on_chain"] = str(1 + further)
        left = state.with_part(self.wallet, after).with_part(self.name, queue)
        return SimulationResult(
            left,
            Deltas.at(self.name, {action.token: burned, QUEUED: asked}),
            _lost(lost),
            details,
            further * FURTHER_REQUEST_GAS["unstake"],
        )

    def _further_requests(self, wei: int) -> int:
        """How many requests more than one it takes on chain to ask for so much."""
        return len(staking_shares.split_request(self.rules, wei)) - 1

    def _claim(self, action: SmartContractAction, state: State, market: MarketSnapshot) -> SimulationResult:
        queue = state.part(self.name, Queue)
        request = next((request for request in queue.requests if request.request_id == action.request_id), None)
        if request is None:
            open_ids = ", ".join(request.request_id for request in queue.requests) or "none"
            reject(ONCHAIN, f"{self.name} has no open request {action.request_id}; open are {open_ids}")
        if request.claimable > market.instant:
            since = iso(request.claimable)
            reject(ONCHAIN, f"{self.name} request {request.request_id} can be claimed from {since}; it is {iso(market.at)}")
        left = tuple(other for other in queue.requests if other is not request)
        asked, paid = to_amount("ETH", request.wei), to_amount("ETH", self._paid(request, market))
        after = receive(state.with_part(self.name, Queue(left, queue.asked)), self.wallet, "ETH", paid)
        further = self._further_requests(request.wei)
        details = {"requests_on_chain": str(1 + further)} if further else {}
        gas = further * FURTHER_REQUEST_GAS["claim"]
        return SimulationResult(after, Deltas.at(self.name, {QUEUED: -asked, "ETH": paid}), _lost(asked - paid), details, gas)

    def _paid(self, request: Request, market: MarketSnapshot) -> int:
        """Wei that a claim pays: what was asked for; less where the shares had lost value by the finalisation (ether.fi: by now)."""
        pool = self._pool(market)
        rate_e27 = staking_shares.share_rate(pool) if request.rate_e27 is None else request.rate_e27
        asked = staking_shares.WithdrawalRequest(self.rules, request.wei, request.shares, request.claimable, rate_e27)
        return staking_shares.claimable(asked, pool)

    def _pool(self, market: MarketSnapshot) -> SharePool:
        """A pool at the rate that is published now."""
        return SharePool(rate_units(market.redemption(self.series, self.row.wrapped)), RATE_UNIT)

    def gas_units(self, action: SmartContractAction) -> int:
        return self.row.gas[action.action]

    def lines(self) -> list[str]:
        return [row_text(self.row)]

    def fact(self) -> VenueFact:
        return structs.replace(super().fact(), staked=SHARE_TOKENS[self.row.wrapped], queued=QUEUED, dex=self.row.dex)

    def next_due(self, state: State, market: MarketSnapshot, until: int) -> int | None:
        """When the first of our requests that was not reported of can be claimed; of one that could be before, the next instant."""
        waiting = [max(request.claimable, market.instant + 1) for request in state.part(self.name, Queue).requests if not request.reported]
        first = min(waiting, default=None)
        return first if first is not None and first <= until else None

    def update_to(self, state: State, market: MarketSnapshot) -> tuple[State, tuple[Settlement, ...]]:
        """A request whose time has come is reported of, once; nothing moves before the claim. Lido fixes its worth now, ether.fi then."""
        queue = state.part(self.name, Queue)
        ready = [request for request in queue.requests if not request.reported and request.claimable <= market.instant]
        if not ready:
            return state, ()
        rate_e27 = staking_shares.share_rate(self._pool(market)) if self.rules is Protocol.LIDO else None
        requests = tuple(request._replace(rate_e27=rate_e27, reported=True) if request in ready else request for request in queue.requests)
        return state.with_part(self.name, Queue(requests, queue.asked)), tuple(self._with_change(request) for request in ready)

    def _with_change(self, request: Request) -> Settlement:
        amount = plain(to_amount("ETH", request.wei))
        details = {"request_id": request.request_id, "amount": amount, "claimable": iso(request.claimable)}
        return Settlement("claim", self.name, Deltas(), (), details)

    def exposures(self, state: State, market: MarketSnapshot) -> tuple[tuple[Exposure, ...], tuple[PerpExposure, ...]]:
        held = state.part(self.name, Queue).positions()
        return tuple(Exposure(self.name, token, "ETH", amount) for token, amount in held.items()), ()


def _read_change(before: Wallet, after: Wallet, token: str, change: int) -> Decimal:
    """A change of the wallet in its own units, as the token's balance reads it."""
    return to_amount(token, after.units_of(token) - before.units_of(token) if token in REBASING else change)


def _lost(eth: Decimal) -> tuple[Cost, ...]:
    return (Cost("staking", "ETH", eth),) if eth else ()
