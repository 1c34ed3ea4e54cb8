"""Before an order: the newest block, the fees of the next one, and the exact call tried out there on the node and in the simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import TYPE_CHECKING, Any

from msgspec import structs

from basis_strategy_v1.core.amounts import EXACT, plain
from basis_strategy_v1.core.chain_call import ETHER
from basis_strategy_v1.core.clock import SECOND_US, to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected, VenueUnreachable
from basis_strategy_v1.core.instruction_steps import top_steps
from basis_strategy_v1.core.instructions import WalletTransfer
from basis_strategy_v1.core.market import MissingData
from basis_strategy_v1.core.state import State
from basis_strategy_v1.core.tokens import WETH, decimals_of
from basis_strategy_v1.live.chain_abi import at_hash, field, number_of
from basis_strategy_v1.live.chain_client import NO_METHOD, RpcCall, RpcError
from basis_strategy_v1.live.chain_effects import effect_of, places_of
from basis_strategy_v1.live.chain_fees import HISTORY_BLOCKS, PERCENTILE, fee_market
from basis_strategy_v1.live.chain_outcome import at_second, deltas_of, user_after
from basis_strategy_v1.live.chain_prepare import ChainQuote, Made, made_for, meant_by
from basis_strategy_v1.live.chain_reader import BlockReading, block_of
from basis_strategy_v1.live.chain_revert import reason_of
from basis_strategy_v1.live.chain_snapshot import ChainSnapshot
from basis_strategy_v1.live.trader_account import designator, executor_address
from basis_strategy_v1.venues.aave_names import read_anywhere
from basis_strategy_v1.venues.aave_state import AaveState
from basis_strategy_v1.venues.chain import simulate_transaction
from basis_strategy_v1.venues.deployment import flash_lenders
from basis_strategy_v1.venues.deviation import require_estimate_met
from basis_strategy_v1.venues.transfers import simulate_transfer
from basis_strategy_v1.venues.venue import CEX, ONCHAIN, SimulationResult
from basis_strategy_v1.venues.wallet import WalletVenue

if TYPE_CHECKING:
    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.core.order import Order
    from basis_strategy_v1.live.chain_effects import Effect
    from basis_strategy_v1.live.chain_reader import Block, ChainReader
    from basis_strategy_v1.venues.venue import Venues

REJECTED, UNREACHABLE = "OCH-001", "OCH-002"
MOST_APART = 2  # base units between the simulator and the node
GAS_ROOM, GAS_MORE = 1.5, 20_000  # over what was used: a sub-call gets 63/64, and refunds come at the end
TRIAL_GAS = 16_000_000
ORACLE_DECIMALS = 8
PaysTo = Callable[[str, str], str | None]
"""The address at which a venue is paid in a token; None: it is not known."""


class Quoting:
    """Quotes for one account. `pays_to` gives the address at which a venue is paid; `life_s`: how long a transaction is wanted."""

    def __init__(
        self, name: str, reader: ChainReader, venues: Venues, clock: Clock, pays_to: PaysTo, life_s: float,
        slip_bps: Decimal | None, executor: str | None,
    ) -> None:  # fmt: skip
        self._name = name
        self._reader = reader
        self._clock = clock
        self._pays_to = pays_to
        self._life_s = life_s
        self._slip_bps = slip_bps
        self._executor = executor
        self._venues = {key: venue.without_gas() if isinstance(venue, WalletVenue) else venue for key, venue in venues.items()}

    def quote(self, order: Order) -> ChainQuote:
        """What the chain says before an order.

        Raises:
            VenueRejected: it would be reverted, the simulator and the node differ, or it cannot be sent from this account.
            VenueUnreachable, MalformedAnswer.
        """
        reader, instruction = self._reader, order.instruction
        at = reader.deployment
        pays_to = self._address_of(instruction) if isinstance(instruction, WalletTransfer) else ""
        answers = self._asked(
            RpcCall("eth_getBlockByNumber", ("latest", False)),
            RpcCall("eth_getTransactionCount", (at.account, "latest")),
            RpcCall("eth_feeHistory", (hex(HISTORY_BLOCKS), "latest", [PERCENTILE])),
            RpcCall("eth_getCode", (at.account, "latest")),
        )
        block = block_of(answers[0])
        next_s = max(block.time_s + 1, to_instant(self._clock.now()) // SECOND_US)
        until_s = next_s + int(self._life_s)
        made = made_for(order, pays_to, (), until_s, at)
        if made.needs_executor:
            self._require_executor(str(answers[3]))
        reading, gas, effect = self._tried(made, block, next_s)
        simulated = self._simulated(order, reading, next_s)
        self._require_alike(order, simulated, effect, reading, next_s)
        return ChainQuote(
            nonce=number_of(answers[1], "a nonce"),
            at_block=block.number,
            market=fee_market(answers[2]),
            gas=int(gas * GAS_ROOM) + GAS_MORE,
            eth_wei=reader.balances_of(reading.state, self._name).get("ETH", 0),
            until_s=until_s,
            pays_to=pays_to,
            floors=tuple(self._floors(effect)) if made.needs_executor and effect is not None else (),
        )

    def _address_of(self, transfer: WalletTransfer) -> str:
        found = self._pays_to(transfer.to_venue, transfer.token)
        if found is None:
            raise VenueRejected(REJECTED, f"the address at which {transfer.to_venue} is paid is not known; nothing was sent")
        return found

    # The account's own code.

    @property
    def executor(self) -> str:
        """The contract that runs a chain of calls under the account."""
        return self._executor or executor_address(*flash_lenders(self._reader.deployment))

    def fault_of_code(self, code: str) -> str | None:
        """Why the account cannot make several calls in one transaction, by the code that it has; None: it can."""
        if code.lower() == "0x" + designator(self.executor).hex():
            return None
        is_ = "is not delegated to an executor" if code in ("0x", "") else f"has other code, {code[:60]}"
        return (
            f"the account {self._reader.account} {is_}, which several calls in one transaction need; "
            "run `basis chain deploy` and `basis chain delegate` with this config first"
        )

    def _require_executor(self, code: str) -> None:
        """Refuse what takes several calls where the account cannot make them in one transaction: it is never sent in pieces."""
        fault = self.fault_of_code(code)
        if fault is not None:
            raise VenueRejected(REJECTED, f"{fault}; nothing was sent")

    # On the node.

    def _tried(self, made: Made, block: Block, next_s: int) -> tuple[BlockReading, int, Effect | None]:
        """The account at the newest block, the gas of the exact call in the next one, and what it does there.

        Raises:
            VenueRejected: it would be reverted.
        """
        reader, account = self._reader, self._reader.account
        call = {"from": account, "to": made.call.to, "value": hex(made.call.value_wei), "data": "0x" + made.call.data.hex()}
        trial = {
            "blockStateCalls": [{"blockOverrides": {"time": hex(next_s)}, "calls": [{**call, "gas": hex(TRIAL_GAS)}]}],
            "traceTransfers": True, "validation": False,
        }  # fmt: skip
        *answers, tried = reader.client.ask(*reader.calls_at(at_hash(block.hash)), RpcCall("eth_simulateV1", (trial, hex(block.number))))
        reading = reader.reading(block, answers)
        if isinstance(tried, RpcError):
            if tried.code in NO_METHOD:
                return reading, self._estimated(call), None
            raise VenueRejected(REJECTED, f"the node says of the exact call: {tried.message}; nothing was sent")
        result = tried[0]["calls"][0]
        if field(result, "status") != 1:
            raise VenueRejected(REJECTED, f"the exact call would be reverted in the next block: {reason_of(result)}; nothing was sent")
        places = places_of(reader.deployment, reader.pools, self._name)
        return reading, field(result, "gasUsed"), effect_of(result["logs"], places)

    def _estimated(self, call: Mapping[str, Any]) -> int:
        """The gas of a call where the node cannot say more of it.

        Raises:
            VenueRejected: it would be reverted.
        """
        (answer,) = self._reader.client.ask(RpcCall("eth_estimateGas", (call, "pending")))
        if isinstance(answer, RpcError):
            raise VenueRejected(REJECTED, f"the exact call would be reverted: {answer.message}; nothing was sent")
        return number_of(answer, "an estimate")

    # In the simulator.

    def _simulated(self, order: Order, reading: BlockReading, next_s: int) -> SimulationResult:
        market, meant = ChainSnapshot(next_s, {}, _prices(reading.state)), meant_by(order)
        with localcontext(EXACT):
            if isinstance(meant, WalletTransfer):
                return simulate_transfer(meant, self._venues, reading.state, market)
            state = reading.state
            for venue in self._venues.values():
                if venue.accrues and venue.name in state.parts:
                    state = venue.accrue(state, market)
            return simulate_transaction(top_steps(meant), self._venues, state, market)

    def _require_alike(self, order: Order, simulated: SimulationResult, effect: Effect | None, reading: BlockReading, next_s: int) -> None:
        if effect is None:
            return
        before, after = self._around(effect, reading, simulated, next_s)
        node = deltas_of(effect, order.instruction, before, after, self._name)
        self._require_estimate(order, simulated, node, reading, next_s)
        apart = list(self._apart(simulated.deltas, node))
        if apart:
            raise VenueRejected(REJECTED, f"the simulator and the node differ on {order.key}: {'; '.join(apart)}; nothing was sent")

    @staticmethod
    def _require_estimate(order: Order, simulated: SimulationResult, node: Deltas, reading: BlockReading, next_s: int) -> None:
        """Refuse what by the simulator or by the node is worse than was estimated, at the prices of the pools' oracles."""
        meant, market = meant_by(order), ChainSnapshot(next_s, {}, _prices(reading.state))
        for deltas in (simulated.deltas, node) if meant.max_deviation_bps is not None else ():
            with suppress(MissingData):  # a token without an oracle here was valued by the snapshot, before
                require_estimate_met(meant, structs.replace(simulated, deltas=deltas), market, ONCHAIN)

    @staticmethod
    def _around(effect: Effect, reading: BlockReading, simulated: SimulationResult, next_s: int) -> tuple[State, State]:
        """The protocols at the second of the next block, before and after what the node says has changed."""
        before = after = reading.state
        for name, changed in effect.aave.items():
            part = at_second(reading.state.part(name, AaveState), next_s)
            left = simulated.state.part(name, AaveState)
            before = before.with_part(name, part)
            after = after.with_part(name, at_second(left, next_s).with_user(user_after(part.user, changed)))
        return before, after

    def _apart(self, simulated: Deltas, node: Deltas) -> Iterator[str]:
        on_chain = [name for name, venue in self._venues.items() if venue.kind != CEX]
        for venue in on_chain:
            ours, theirs = simulated.tokens(venue), node.tokens(venue)
            for token in dict.fromkeys((*ours, *theirs)):
                said, is_ = ours.get(token, Decimal(0)), theirs.get(token, Decimal(0))
                read = read_anywhere(token)
                unit = Decimal(1).scaleb(-decimals_of(token if read is None else read.of))
                if abs(said - is_) > MOST_APART * unit:
                    yield f"{token} at {venue} {plain(said)} by the simulator, {plain(is_)} by the node"

    def _floors(self, effect: Effect) -> Iterator[tuple[str, int]]:
        """The least by which each balance may change: what it does by the node, less the slippage that is allowed."""
        tokens = self._reader.deployment.tokens
        slip = (self._slip_bps or Decimal(0)) / 10_000
        for token in effect.names:
            moved = effect.moved(token)
            least = int((moved - abs(moved) * slip).to_integral_value(ROUND_FLOOR)) - MOST_APART
            yield ETHER if token == "ETH" else tokens[token], least

    def _asked(self, *calls: RpcCall) -> list[Any]:
        answers = self._reader.client.ask(*calls)
        for call, answer in zip(calls, answers, strict=True):
            if isinstance(answer, RpcError):
                raise VenueUnreachable(UNREACHABLE, f"{self._name}: {call.method}: {answer}")
        return answers


def _prices(state: State) -> dict[str, Decimal]:
    """USD per token by the oracles of the pools; ether is worth what wrapped ether is."""
    found: dict[str, Decimal] = {}
    for part in state.parts.values():
        if isinstance(part, AaveState):
            found |= {token: Decimal(part.prices[token]).scaleb(-ORACLE_DECIMALS) for token in part.pool.reserves}
    return {**found, **({"ETH": found[WETH]} if WETH in found else {})}
