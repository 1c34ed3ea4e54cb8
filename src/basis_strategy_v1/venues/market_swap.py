"""Swaps at a DEX by its market price, where the data have no pool state: price, fee, and the depth that was configured."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self

from msgspec import structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.market import MissingData
from basis_strategy_v1.core.settings import AboveZero, Address, Bps, Mark, MarketName, ProtocolSettings, whole
from basis_strategy_v1.core.state import State
from basis_strategy_v1.core.tokens import to_amount, to_units
from basis_strategy_v1.venues.venue import DEX, OnChainVenue, Place, SimulationResult, reject, row_text
from basis_strategy_v1.venues.wallet import amount_of, exchange

if TYPE_CHECKING:
    from basis_strategy_v1.core.instructions import SmartContractAction
    from basis_strategy_v1.core.market import MarketSnapshot

BPS = Decimal(10_000)
PIPS = Decimal(1_000_000)


class SwapSettings(ProtocolSettings, frozen=True, kw_only=True):
    """What every DEX has; a figure that is left out is the protocol's usual one."""

    fee: Annotated[Annotated[int, whole(at_least=0, below=1_000_000)] | None, "fee tier in hundredths of a bps: 500 is 0.05 %"] = None
    pools: Annotated[
        dict[MarketName, Address] | None,
        Mark.ORDERED,
        "by name (weETH/WETH), in order: a swap that names no pool takes the first that fits and has data; the address is for live",
    ] = None
    slippage_bps: Annotated[Bps | None, "how much worse than the price an order fills"] = None
    depth_usd: Annotated[AboveZero | None, "liquidity around the price, in USD"] = None

    def without_costs(self) -> Self:
        """Fee and slippage are 0 where nothing else is written; a pool whose state is known keeps its fee."""
        fee, slippage = self.fee, self.slippage_bps
        return structs.replace(self, fee=0 if fee is None else fee, slippage_bps=Decimal(0) if slippage is None else slippage)


class MarketSwapRow(NamedTuple):
    """A DEX: the fee of a pool where the instruction names none (1e-6), slippage, gas of a swap, the depth around the price."""

    fee_pips: int
    slippage_bps: Decimal
    gas_units: int
    depth_usd: Decimal | None = None

    def with_settings(self, own: SwapSettings) -> MarketSwapRow:
        """The row with the config's own fee, slippage and depth."""
        fee = self.fee_pips if own.fee is None else own.fee
        slippage = self.slippage_bps if own.slippage_bps is None else own.slippage_bps
        return MarketSwapRow(fee, slippage, self.gas_units, own.depth_usd or self.depth_usd)


class MarketSwap(OnChainVenue):
    """The simulator of a DEX whose pools are known by their price only."""

    kind = DEX
    actions = ("swap",)

    def __init__(self, place: Place, row: MarketSwapRow) -> None:
        super().__init__(place)
        self.row = row

    def simulate(self, instruction: SmartContractAction, state: State, market: MarketSnapshot) -> SimulationResult:
        paid, out, amount = instruction.token, instruction.token_out or "", amount_of(instruction)
        if as_traded(paid) == as_traded(out):
            reject(DEX, f"{self.name} swap: token_out must differ from token, got {paid} and {out}; "
                        "ETH and WETH are exchanged by wallet wrap and unwrap")  # fmt: skip
        return self._by_market_price(instruction, paid, out, amount, state, market)

    def _by_market_price(
        self, instruction: SmartContractAction, paid: str, out: str, amount: Decimal, state: State, market: MarketSnapshot
    ) -> SimulationResult:
        price = self._price(paid, out, market)
        fee = amount * (self.row.fee_pips if instruction.fee is None else instruction.fee) / PIPS
        received = to_amount(out, to_units(out, (amount - fee) * price * (1 - self.row.slippage_bps / BPS)))
        details = {"price": plain(round(price, 18)), "priced_by": "market price"}
        return self._settled(instruction, received, fee, details, state, market)

    def _settled(
        self,
        instruction: SmartContractAction,
        received: Decimal,
        fee: Decimal,
        details: dict[str, Any],
        state: State,
        market: MarketSnapshot,
    ) -> SimulationResult:
        """What the swap does when `received` comes out of it and `fee` of the token paid in stays with the pool."""
        paid, out, amount = instruction.token, instruction.token_out or "", amount_of(instruction)
        if not received:
            reject(DEX, f"{self.name} swap of {plain(amount)} {paid} gives less than one base unit of {out}; swap more")
        if instruction.min_amount_out is not None and received < instruction.min_amount_out:
            reject(DEX, f"{self.name} swap of {plain(amount)} {paid} gives {plain(received)} {out}, below min_amount_out "
                        f"{plain(instruction.min_amount_out)}; swap less or accept less")  # fmt: skip
        after = exchange(state, self.wallet, paid, amount, out, received, f"{self.name} swap")
        # Against the recorded value: what the market gives less for a token than it is valued at counts as slippage too.
        slipped = (amount - fee) - received * market.price(out) / market.price(paid)
        costs = tuple(Cost(*row) for row in (("fees", paid, fee), ("slippage", paid, slipped)) if row[2])
        deltas = Deltas.at(self.name, {paid: -amount, out: received})
        return SimulationResult(after, deltas, costs, details)

    def _price(self, paid: str, out: str, market: MarketSnapshot) -> Decimal:
        """`out` per `paid`: the pair's own market price, either way round, else the ratio of the two tokens' values."""
        first, second = as_traded(paid), as_traded(out)
        for pair, inverted in ((f"{first}_{second}", False), (f"{second}_{first}", True)):
            try:
                rate = market.dex_rate(self.series, pair, for_trade=True)
            except MissingData as missing:
                if missing.error_code == "DAT-002":
                    raise
                continue
            return 1 / rate if inverted else rate
        return _price_to_trade_on(paid, market) / _price_to_trade_on(out, market)

    def gas_units(self, action: SmartContractAction) -> int:
        return self.row.gas_units

    def lines(self) -> list[str]:
        return [row_text(self.row)]


def as_traded(token: str) -> str:
    """The token that a pool holds: ETH is wrapped on the way."""
    return "WETH" if token == "ETH" else token


def _price_to_trade_on(token: str, market: MarketSnapshot) -> Decimal:
    """USD per token, refused where the close that it comes from is too old to trade on."""
    series = market.price_series(token)
    if series is not None:
        return market.spot(series[1], series[2], for_trade=True)
    return market.price(token)
