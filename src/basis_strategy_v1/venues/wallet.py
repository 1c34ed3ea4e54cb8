"""The trader's own address: what the protocols pay into and take from, wrapping, gas."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal, Self

from msgspec import Struct, structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.figure import Figure
from basis_strategy_v1.core.settings import Address, Decimals, Mark, OnChainSettings, Token, Url, number, whole
from basis_strategy_v1.core.state import RATE_UNIT, WALLET, State, Wallet
from basis_strategy_v1.core.tokens import REBASING, SHARE_TOKENS, to_amount, to_units
from basis_strategy_v1.venues.venue import (
    ONCHAIN,
    Exposure,
    Holder,
    OnChainVenue,
    PerpExposure,
    Place,
    Settlement,
    SimulationResult,
    reject,
    require_held,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.core.instructions import SmartContractAction
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.venues.venue import Venues

WEI_PER_GWEI = 10**9
WRAPPED = {"ETH": "WETH", "WETH": "ETH"}
TRANSFER_GAS = 65_000
_GROWING = frozenset(REBASING)


class TokenContract(Struct, frozen=True, kw_only=True):
    address: Annotated[Address, "of the token"]
    decimals: Annotated[Decimals, "of the token"]


class Settings(OnChainSettings, frozen=True, kw_only=True):
    """What gas costs in a backtest, and how transactions are sent live."""

    gas_price_gwei: Annotated[
        Literal["market"] | Figure[Annotated[Decimal, number(at_least=0, at_most=100_000)]], "market: the gas series; 0: gas is free"
    ] = "market"
    chain_id: Annotated[int, whole(at_least=1, at_most=10**15), "live: a node with another chain id is refused"] = 1
    tokens: Annotated[dict[Token, TokenContract] | None, "live: contracts by token"] = None
    executor: Annotated[Address | None, "live: contract that runs a chain in one transaction"] = None
    confirmations: Annotated[int, whole(at_least=0, at_most=1000), Mark.QUIET, "live: blocks on top, until a transaction counts"] = 2
    send_url: Annotated[Url | None, "live: where raw transactions go; left out: to the node"] = None
    private_only: Annotated[bool, Mark.QUIET, "live: never to the public pool"] = False
    private_blocks: Annotated[
        int, whole(at_least=1, at_most=10_000), Mark.QUIET, "live: after so many blocks a private transaction counts as pending"
    ] = 25

    def without_costs(self) -> Self:
        """Gas is free unless a price is written."""
        return structs.replace(self, gas_price_gwei=Figure(Decimal(0))) if self.gas_price_gwei == "market" else self


class WalletVenue(OnChainVenue, Holder):
    """The simulator of the address. `gas_price_gwei` None takes base fee + priority fee from the market."""

    kind = ONCHAIN
    actions = ("wrap", "unwrap")

    def __init__(self, place: Place, gas_price_gwei: Figure[Decimal] | None = None) -> None:
        super().__init__(place)
        self._gas_price_gwei = gas_price_gwei
        self._is_free = gas_price_gwei is not None and not gas_price_gwei.at()

    def without_gas(self) -> WalletVenue:
        """The same wallet where gas costs nothing."""
        return WalletVenue(Place(self.name, self.series, self.chain, self.wallet), Figure(Decimal(0)))

    # Wrapping.

    def simulate(self, instruction: SmartContractAction, state: State, market: MarketSnapshot) -> SimulationResult:
        paid = "ETH" if instruction.action == "wrap" else "WETH"
        if instruction.token != paid:
            reject(ONCHAIN, f"{self.name} {instruction.action} takes {paid}, got {instruction.token}")
        amount, out = amount_of(instruction), WRAPPED[paid]
        after = exchange(state, self.name, paid, amount, out, amount, f"{self.name} {instruction.action}")
        return SimulationResult(after, Deltas.at(self.name, {paid: -amount, out: amount}))

    def gas_units(self, action: SmartContractAction) -> int:
        return 45_000

    # Gas.

    def is_free(self) -> bool:
        """Whether gas costs nothing here."""
        return self._is_free

    def gas_fee(self, units: int, market: MarketSnapshot) -> Decimal:
        """ETH for `units` of gas."""
        if self._gas_price_gwei is None:
            row = market.gas(self.chain)
            gwei = row.base_fee_gwei + row.priority_fee_gwei
        else:
            gwei = self._gas_price_gwei.at(market.instant)
        return to_amount("ETH", int(units * gwei * WEI_PER_GWEI))

    def pay_gas(self, moved: SimulationResult, units: int, market: MarketSnapshot) -> SimulationResult:
        """What a transaction does, with its gas."""
        if self.is_free():
            return moved
        fee = self.gas_fee(units, market)
        after = spend(moved.state, self.name, "ETH", fee, "gas")
        deltas = moved.deltas + Deltas.at(self.name, {"ETH": -fee})
        return SimulationResult(
            after, deltas, (*moved.costs, Cost("gas", "ETH", fee)), {**moved.details, "gas_units": units, "gas_eth": plain(fee)}
        )

    # Settlements, balances.

    def next_due(self, state: State, market: MarketSnapshot, until: int) -> int | None:
        wallet = state.part(self.name, Wallet)
        stamps = [market.next_row("staking", *_rate_series(token)) for token in REBASING if token in wallet.units]
        due = [stamp for stamp in stamps if stamp is not None and stamp <= until]
        return min(due) if due else None

    def update_to(self, state: State, market: MarketSnapshot) -> tuple[State, tuple[Settlement, ...]]:
        """Rebasing tokens grow when their protocol publishes a new rate."""
        wallet = state.part(self.name, Wallet)
        held = [token for token in REBASING if token in wallet.units]
        if not held:
            return state, ()
        rates = {token: share_rate(token, market) for token in held}
        if all(wallet.share_rates.get(token) == rate for token, rate in rates.items()):
            return state, ()
        after = Wallet(wallet.units, {**wallet.share_rates, **rates})
        grown = {token: to_amount(token, after.units_of(token) - wallet.units_of(token)) for token in held}
        deltas = (Deltas.at(self.name, {token: amount}) for token, amount in grown.items() if amount)
        return state.with_part(self.name, after), tuple(Settlement("interest", self.name, each) for each in deltas)

    def exposures(self, state: State, market: MarketSnapshot) -> tuple[tuple[Exposure, ...], tuple[PerpExposure, ...]]:
        wallet = state.part(self.name, Wallet)
        found = []
        for token in wallet.units:
            growth = "staking" if token in REBASING else "spot_price"
            found.append(Exposure(self.name, token, token, to_amount(token, wallet.units_of(token)), growth))
        return tuple(found), ()

    def take(self, state: State, token: str, amount: Decimal, market: MarketSnapshot) -> State:
        return spend(state, self.name, token, amount, f"transfer of {plain(amount)} {token}")

    def give(self, state: State, token: str, amount: Decimal) -> State:
        return receive(state, self.name, token, amount)

    def open(self, amounts: Mapping[str, Decimal], market: MarketSnapshot) -> Wallet:
        """A wallet that holds these amounts."""
        rates = {token: share_rate(token, market) for token in REBASING if token in amounts}
        wallet = Wallet({}, rates)
        return wallet.moved({token: _own_units(wallet, token, amount) for token, amount in amounts.items()})


def wallet(place: Place, settings: Settings) -> WalletVenue:
    """The simulator of a wallet."""
    return WalletVenue(place, None if isinstance(settings.gas_price_gwei, str) else settings.gas_price_gwei)


def wallet_of(venues: Venues, name: str = WALLET) -> WalletVenue:
    """The wallet of a venue on chain (of a wallet: itself); without a name `wallet`, or the first there is."""
    venue = venues.get(name) or next(found for found in venues.values() if isinstance(found, WalletVenue))
    wallet = venues[venue.wallet] if isinstance(venue, OnChainVenue) else venue
    assert isinstance(wallet, WalletVenue)
    return wallet


def gas_is_free(venues: Venues) -> bool:
    """Whether transactions cost nothing here, or there are none."""
    return all(venue.is_free() for venue in venues.values() if isinstance(venue, WalletVenue))


def amount_of(action: SmartContractAction) -> Decimal:
    """The amount of an action whose "all" and `output_of` have been resolved."""
    assert isinstance(action.amount, Decimal)
    return action.amount


def at_face_value(action: SmartContractAction, position: str, state: State, *, pays: bool, is_owed: bool) -> SimulationResult:
    """What an action at a lender does where the balances are not known: what is paid in is credited in full, what is paid out is taken off
    in full; a debt (`is_owed`) is the other way round."""
    signed = -amount_of(action) if pays else amount_of(action)
    return SimulationResult(state, Deltas.at(action.protocol, {action.token: signed, position: signed if is_owed else -signed}))


def spend(state: State, wallet: str, token: str, amount: Decimal, doing: str) -> State:
    """The state after `amount` has left the wallet, if it is there."""
    held = state.part(wallet, Wallet)
    units = units_to_spend(held, wallet, token, amount, doing, checked=state.checked)
    return state.with_part(wallet, held.moved({token: -units}))


def receive(state: State, wallet: str, token: str, amount: Decimal) -> State:
    """The state after `amount` has come into the wallet."""
    held = state.part(wallet, Wallet)
    return state.with_part(wallet, held.moved({token: _own_units(held, token, amount)}))


def exchange(state: State, wallet: str, paid: str, amount: Decimal, out: str, received: Decimal, doing: str) -> State:
    """The state after `amount` of one token has left the wallet, if it is there, and `received` of another has come."""
    held = state.part(wallet, Wallet)
    units = units_to_spend(held, wallet, paid, amount, doing, checked=state.checked)
    return state.with_part(wallet, held.moved({paid: -units, out: _own_units(held, out, received)}))


def units_to_spend(wallet: Wallet, name: str, token: str, amount: Decimal, doing: str, *, checked: bool) -> int:
    """What `amount` is in the own units of the wallet of that name; where it is `checked`, only if it is there."""
    units = to_units(token, amount)
    if checked and units >= (held := wallet.units_of(token)):  # a part of a unit counts too
        require_held(ONCHAIN, name, token, amount, to_amount(token, held), doing)
    return _shares(wallet, token, units) if token in REBASING else units


def with_share_rate(state: State, name: str, token: str, market: MarketSnapshot) -> State:
    """The state in which the wallet of that name knows what a share of `token` is worth now, where it is a token kept in shares.

    Where nothing is known to be held a share counts as one token, so that the data need no rate.
    """
    if token not in REBASING or not state.checked:
        return state
    wallet, rate = state.part(name, Wallet), share_rate(token, market)
    if wallet.share_rates.get(token) == rate:
        return state
    return state.with_part(name, Wallet(wallet.units, {**wallet.share_rates, token: rate}))


def as_read(before: State, moved: SimulationResult, reported: Deltas, venue: str, wallet: str) -> SimulationResult:
    """`moved`, with its deltas of rebasing tokens brought to what the balance in a wallet reads.

    Whole shares move, so that a balance may fall or rise by a wei less than the amount that was named. `reported` are those of
    the deltas that the wallet pays or takes.
    """
    old, new = before.part(wallet, Wallet), moved.state.part(wallet, Wallet)
    if old is new or (_GROWING.isdisjoint(new.units) and _GROWING.isdisjoint(old.units)):
        return moved
    for token in REBASING:
        if token in old.units or token in new.units:
            named = sum((amount for (_, name), amount in reported.items() if name == token), Decimal(0))
            missed = to_amount(token, new.units_of(token) - old.units_of(token)) - named
            if missed:
                costs = (*moved.costs, Cost("staking", token, -missed))
                moved = SimulationResult(
                    moved.state, moved.deltas + Deltas.at(venue, {token: missed}), costs, moved.details, moved.more_gas
                )
    return moved


def share_rate(token: str, market: MarketSnapshot) -> int:
    """What a share of a rebasing token is worth, in 1e-18 of the token."""
    return rate_units(market.redemption(*_rate_series(token)))


def rate_units(rate: Decimal) -> int:
    """A published rate, ETH per share, as wallets keep it: in 1e-18."""
    return to_units("ETH", rate)


def _own_units(wallet: Wallet, token: str, amount: Decimal) -> int:
    units = to_units(token, amount)
    return _shares(wallet, token, units) if token in REBASING else units


def _shares(wallet: Wallet, token: str, units: int) -> int:
    # As the contracts do it: a transfer of the whole balance may leave a share behind.
    return units * RATE_UNIT // wallet.share_rates.get(token, RATE_UNIT)


def _rate_series(token: str) -> tuple[str, str]:
    """The published rate that says what a share of a rebasing token is worth: the wrapped token is one share."""
    staked = SHARE_TOKENS[token]
    return staked.protocol, staked.wrapped
