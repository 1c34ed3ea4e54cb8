"""Our side of a chain: the steps through our venues, and what they leave."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.config import load_settings
from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.instructions import Chain as Steps
from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.core.state import State, Wallet
from basis_strategy_v1.core.tokens import to_units
from basis_strategy_v1.venues.chain import simulate_transaction
from basis_strategy_v1.venues.position_names import read_name
from basis_strategy_v1.venues.registry import make_venue

from .aave_market import RULES

if TYPE_CHECKING:
    from basis_strategy_v1.core.market import MarketSnapshot

HELD = ("ETH", "WETH", "USDT", "USDC", "wstETH", "weETH")
STAKED = {"lido": ("stETH", "wstETH"), "etherfi": ("eETH", "weETH")}


def our_venues() -> dict[str, Any]:
    rules = {
        name: {"ltv_bps": rule.ltv_bps, "liquidation_threshold_bps": rule.liquidation_threshold_bps,
               "reserve_factor_bps": rule.reserve_factor_bps, "supply_cap": rule.supply_cap, "borrow_cap": rule.borrow_cap}
        for name, rule in RULES.items() if name in ("WETH", "USDT")
    }  # fmt: skip
    # A row that is read here has us in it, so that our own part moves no rate once more.
    aave = {"revision": "3.0", "reserves": rules, "rate_impact": False}
    settings: dict[str, dict[str, Any]] = {"aave": aave, "wallet": {"gas_price_gwei": 0}}
    kinds = {name: "onchain" for name in ("aave", "morpho", "wallet", "lido", "etherfi")} | {"uniswap": "dex", "curve": "dex"}
    return {name: make_venue(kind, name, load_settings(kind, name, settings.get(name, {}))) for name, kind in kinds.items()}


def instruction_of(steps: list[dict[str, Any]]) -> Steps:
    instruction = parse_instruction({"instruction_type": "smart_contract_action", "atomic": True, "sub_instructions": steps})
    assert isinstance(instruction, Steps)
    return instruction


def simulated(steps: list[dict[str, Any]], market: MarketSnapshot, before: State | None = None) -> tuple[State, Any]:
    """(the state, what moved), from a state, else from a wallet that holds 1,000 of each token."""
    venues = our_venues()
    instruction = instruction_of(steps)
    with localcontext(EXACT):
        state = before or State({"wallet": venues["wallet"].open(dict.fromkeys(HELD, Decimal(1_000)), market)})
        for venue in venues.values():
            state, _ = venue.update_to(state, market)
        moved = simulate_transaction(instruction.steps, venues, state, market)
    return moved.state, moved


def our_balances(state: State) -> dict[str, int]:
    """Base units by token of our positions, as `World.balances` has them."""
    positions = state.positions()
    found = {token: to_units(token, amount) for token, amount in positions["wallet"].items()}
    for token, amount in positions.get("aave", {}).items():
        found[token] = to_units(token.removeprefix("variableDebt").removeprefix("a"), amount)
    for token, amount in positions.get("morpho", {}).items():
        found[token] = to_units(read_name(token).of, amount)
    held = state.part("wallet", Wallet).units
    return found | {f"{token} shares": held[token] for token, _ in STAKED.values() if token in held}
