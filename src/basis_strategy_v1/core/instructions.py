"""Instruction blocks, parsed at the boundary: `parse_instruction(block)` gives a typed instruction or EIM-001."""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from hashlib import blake2b
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs
from msgspec.json import Encoder

from basis_strategy_v1.core.amounts import positive_amount, shown, text_of
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.instruction_fields import (
    COMMON_FIELDS,
    FIELDS,
    MOST_FAULTS,
    Action,
    Amount,
    OutputOf,
    missing,
    parse_fields,
    parsers_of,
    require,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "ACTIONS",
    "CEX_TRADE",
    "CHAIN",
    "COMMON_FIELDS",
    "COMPONENT",
    "DEEPEST_LOAN",
    "FIELDS",
    "MOST_STEPS",
    "TYPES",
    "WALLET_TRANSFER",
    "Action",
    "Amount",
    "CexTrade",
    "Chain",
    "Instruction",
    "OutputOf",
    "SmartContractAction",
    "WalletTransfer",
    "is_internal_move",
    "parse_instruction",
]

MOST_STEPS = 64
LABELS = ("reason", "tag")  # of any block: why it is there, and a word of the user's own; both are recorded with it
LONGEST_LABEL = 200
DEEPEST_LOAN = 4
COMPONENT = "ExecutionInterfaceManager"
TYPES = ("cex_trade", "smart_contract_action", "wallet_transfer")


class Instruction(Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    instruction_id: str | None = None
    estimated_deltas: Deltas | None = None
    max_deviation_bps: Decimal | None = None

    @cached_property
    def content_hash(self) -> str:
        """16 hexadecimal digits of what it says; equal instructions have the same."""
        return blake2b(_encoded(self)).hexdigest()[:16]


class CexTrade(Instruction, frozen=True, kw_only=True):
    """A trade of `amount` base units; `price` is the limit in quote per base."""

    venue: str
    trade_type: str
    side: str
    symbol: str
    amount: Decimal
    order_type: str = "market"
    price: Decimal | None = None
    time_in_force: str = "IOC"
    reduce_only: bool = False


class WalletTransfer(Instruction, frozen=True, kw_only=True):
    from_venue: str
    to_venue: str
    token: str
    amount: Decimal
    network: str | None = None


def is_internal_move(instruction: Instruction) -> bool:
    """Whether it only moves between the wallets of one account: a gateway asks for it, no block does."""
    return isinstance(instruction, WalletTransfer) and instruction.from_venue == instruction.to_venue


class SmartContractAction(Instruction, frozen=True, kw_only=True):
    """One call to a protocol. `steps` are what runs while a flash loan is out."""

    protocol: str
    action: str
    token: str = ""
    amount: Amount = Decimal(0)
    token_out: str | None = None
    market: str | None = None
    category: int | None = None
    request_id: str | None = None
    min_amount_out: Decimal | None = None
    fee: int | None = None
    pool: str | None = None
    steps: tuple[SmartContractAction, ...] = ()


class Chain(Instruction, frozen=True, kw_only=True):
    """Several actions of the wallet: atomic, all of them or none; otherwise one after another."""

    steps: tuple[SmartContractAction, ...]
    atomic: bool = True


CEX_TRADE = Action(("venue", "trade_type", "side", "symbol", "amount"), ("order_type", "price", "time_in_force", "reduce_only"))
WALLET_TRANSFER = Action(("from_venue", "to_venue", "token", "amount"), ("network",))
CHAIN = Action(("sub_instructions",), ("atomic",))
# Each action's own fields, next to `protocol` and `action`.
ACTIONS: dict[str, Action] = {
    "supply": Action(("token", "amount"), ("market",)),
    "withdraw": Action(("token", "amount"), ("market",)),
    "borrow": Action(("token", "amount"), ("market",)),
    "repay": Action(("token", "amount"), ("market",)),
    "supply_collateral": Action(("token", "amount", "market")),
    "withdraw_collateral": Action(("token", "amount", "market")),
    "set_emode": Action(("category",)),
    "stake": Action(("token", "amount"), ("token_out",)),
    "unstake": Action(("token", "amount")),
    "claim": Action(("request_id",)),
    "wrap": Action(("token", "amount")),
    "unwrap": Action(("token", "amount")),
    "swap": Action(("token", "amount", "token_out"), ("min_amount_out", "fee", "pool")),
    "flash_loan": Action(("token", "amount", "sub_instructions")),
}
# Who trades what was checked when it was first seen: (instruction_type, venue, trade_type, side, symbol).
_TRADES_SEEN: dict[tuple[str, ...], CexTrade] = {}
# The same and the amount, where it was a float: a strategy's sizes repeat, and its instruction is the same value then.
_SIZES_SEEN: dict[tuple[Any, ...], CexTrade] = {}
# Other blocks of texts and numbers: the types of the values, as 1, 1.0 and True are equal, and the fields.
_BLOCKS_SEEN: dict[tuple[Any, ...], CexTrade | WalletTransfer | SmartContractAction | Chain] = {}
_REPEATABLE = frozenset({str, float, int})
_names_of: Callable[[Mapping[str, Any]], tuple[Any, ...]] = itemgetter(
    "instruction_type", "venue", "trade_type", "side", "symbol", "amount"
)
_replace = structs.replace
_encoded = Encoder().encode
_MOST_SEEN = 4_096
_MOST_FIELDS = 16  # of a block that is remembered
_BARE_FIELDS = 1 + len(CEX_TRADE.required)
_CEX_TRADE_PARSERS = parsers_of(CEX_TRADE)
_WALLET_TRANSFER_PARSERS = parsers_of(WALLET_TRANSFER)
_CHAIN_PARSERS = parsers_of(CHAIN)
_ACTION_PARSERS = {name: parsers_of(Action(("protocol", "action", *row.required), row.optional)) for name, row in ACTIONS.items()}


def parse_instruction(block: Any) -> CexTrade | WalletTransfer | SmartContractAction | Chain:
    """The typed form of an instruction block; the block is not changed.

    Raises:
        ComponentError: EIM-001, whose message names the field, the value and what is allowed.
    """
    if type(block) is dict and ("reason" in block or "tag" in block):
        return parse_instruction(_without_labels(block))
    if type(block) is dict and len(block) == _BARE_FIELDS and (trade := _bare_trade(block)) is not None:
        return trade
    types = tuple(map(type, block.values())) if type(block) is dict and len(block) <= _MOST_FIELDS else ()
    if not types or not _REPEATABLE.issuperset(types):
        return _parse(block)
    key = types, *block.items()
    known = _BLOCKS_SEEN.get(key)
    if known is None:
        known = _parse(block)
        if known.instruction_id is None:
            if len(_BLOCKS_SEEN) >= _MOST_SEEN:
                _BLOCKS_SEEN.clear()
            _BLOCKS_SEEN[key] = known
    return known


def _without_labels(block: Mapping[str, Any]) -> dict[str, Any]:
    """The block without what says why it is there: that is recorded, and changes nothing."""
    for name in LABELS:
        text = block.get(name, "")
        if type(text) is not str or len(text) > LONGEST_LABEL or not text.isprintable():
            raise _refused(f"{name} must be at most {LONGEST_LABEL} printable characters, got {shown(text)}")
    return {name: value for name, value in block.items() if name not in LABELS}


def _parse(block: Any) -> CexTrade | WalletTransfer | SmartContractAction | Chain:
    if not isinstance(block, dict):
        raise _refused(f"an instruction block must be a dict, got {shown(block)}")
    given = block.get("instruction_type")
    kind = given if type(given) is str else text_of(given)
    try:
        if kind == "cex_trade":
            return _parse_cex_trade(block)
        if kind == "wallet_transfer":
            return _parse_transfer(block)
        if kind == "smart_contract_action":
            return _parse_chain(block) if "sub_instructions" in block and "action" not in block else _parse_action(block)
    except ValueError as fault:
        raise _refused(f"{kind}: {fault}") from None
    raise _refused(f"instruction_type must be one of {', '.join(TYPES)}, got {shown(given) if 'instruction_type' in block else 'none'}")


def _refused(message: str) -> ComponentError:
    return ComponentError("EIM-001", message, COMPONENT)


# From here on a refusal is a ValueError that says what is wrong; each level puts its own place in front.


def _parse_cex_trade(block: Mapping[str, Any]) -> CexTrade:
    parsed = parse_fields(block, _CEX_TRADE_PARSERS, CEX_TRADE.required)
    try:
        trade = CexTrade(**parsed)
    except TypeError:
        raise missing(CEX_TRADE.required, block) from None
    if trade.order_type == "limit":
        if trade.price is None:
            raise ValueError("price is missing; a limit order needs one")
    elif trade.price is not None:
        raise ValueError("price is only for order_type limit; leave it out of a market order")
    _remember(trade)
    return trade


def _bare_trade(block: Mapping[str, Any]) -> CexTrade | None:
    """The quick way for the commonest block, a market order of known names with nothing optional; None where it is not one."""
    try:
        names = _names_of(block)
        is_float = type(names[-1]) is float  # 1, 1.0 and True are one key
        if is_float and names in _SIZES_SEEN:
            return _SIZES_SEEN[names]
        trade = _replace(_TRADES_SEEN[names[:-1]], amount=positive_amount(names[-1]))
    except (TypeError, KeyError, ValueError):  # the long way says what is wrong
        return None
    if is_float:
        if len(_SIZES_SEEN) >= _MOST_SEEN:
            _SIZES_SEEN.clear()
        _SIZES_SEEN[names] = trade
    return trade


def _remember(trade: CexTrade) -> None:
    if len(_TRADES_SEEN) >= _MOST_SEEN:
        _TRADES_SEEN.clear()
    seen = CexTrade(venue=trade.venue, trade_type=trade.trade_type, side=trade.side, symbol=trade.symbol, amount=trade.amount)
    _TRADES_SEEN["cex_trade", trade.venue, trade.trade_type, trade.side, trade.symbol] = seen


def _parse_transfer(block: Mapping[str, Any]) -> WalletTransfer:
    parsed = parse_fields(block, _WALLET_TRANSFER_PARSERS, WALLET_TRANSFER.required)
    require(WALLET_TRANSFER.required, block)
    transfer = WalletTransfer(**parsed)
    if transfer.from_venue == transfer.to_venue:
        raise ValueError(f"to_venue must differ from from_venue, got {transfer.to_venue!r} twice")
    return transfer


def _parse_chain(block: Mapping[str, Any]) -> Chain:
    parsed = parse_fields(block, _CHAIN_PARSERS, CHAIN.required)
    atomic = parsed.get("atomic", True)
    if not atomic and "max_deviation_bps" in block:
        raise ValueError(f"max_deviation_bps belongs to each step of a chain that is not atomic, got {shown(block['max_deviation_bps'])} "
                         "for the whole; put it into the steps, next to their estimated_deltas")  # fmt: skip
    return Chain(steps=_parse_steps(block["sub_instructions"], 0, in_one=atomic), **parsed)


def _parse_action(block: Mapping[str, Any], loans: int = 0, index: int = 0) -> SmartContractAction:
    """An action on its own, or step `index` of a chain or of the innermost of `loans` flash loans."""
    require(("protocol", "action"), block)
    action = text_of(block["action"])
    if action is None or action not in ACTIONS:
        raise ValueError(f"action must be one of {', '.join(ACTIONS)}, got {shown(block['action'])}")
    try:
        return _parse_known_action(action, block, loans, index)
    except ValueError as fault:
        raise ValueError(f"{action}: {fault}") from None


def _parse_known_action(action: str, block: Mapping[str, Any], loans: int, index: int) -> SmartContractAction:
    if action == "flash_loan" and text_of(block.get("amount")) == "all":
        raise ValueError("amount 'all' is not for a flash loan, which takes what is not held yet; give a number")
    parsed = parse_fields(block, _ACTION_PARSERS[action], ACTIONS[action].required)
    require(ACTIONS[action].required, block)
    amount = parsed.get("amount")
    if type(amount) is OutputOf and amount.step >= index:
        raise ValueError(f"amount refers to the output of step {amount.step}; it can only be that of a step before it in the same chain")
    if "sub_instructions" in block:
        parsed["steps"] = _parse_steps(block["sub_instructions"], loans + 1, in_one=True)
    return SmartContractAction(action=action, **parsed)


def _parse_steps(blocks: Any, loans: int, *, in_one: bool) -> tuple[SmartContractAction, ...]:
    """The steps; `in_one` transaction, only its outcome as a whole can be limited."""
    if not isinstance(blocks, list | tuple):
        raise ValueError(f"sub_instructions must be a list, got {shown(blocks)}")
    if loans > DEEPEST_LOAN:
        raise ValueError(f"flash loans nest at most {DEEPEST_LOAN} deep")
    if not 0 < len(blocks) <= MOST_STEPS:
        raise ValueError(f"sub_instructions must hold 1 to {MOST_STEPS} steps, got {len(blocks)}")
    steps, faults = [], []
    in_all = 0
    for index, block in enumerate(blocks):
        try:
            steps.append(step := _parse_step(block, loans, index))
            if in_one and step.max_deviation_bps is not None:
                raise ValueError(f"max_deviation_bps belongs to the transaction as a whole, got {shown(block['max_deviation_bps'])} "
                                 "for a step of it; put it next to the outermost sub_instructions")  # fmt: skip
        except ValueError as fault:
            faults.append(f"step {index}: {fault}")
            if loans or len(faults) == MOST_FAULTS:
                break
            continue
        in_all += _count(step)
        if in_all > MOST_STEPS:  # counted as it goes: lists that are shared make many steps of a small block
            raise ValueError(f"sub_instructions must hold at most {MOST_STEPS} steps, those of flash loans included")
    if faults:
        raise ValueError("; ".join(faults))
    return tuple(steps)


def _count(step: SmartContractAction) -> int:
    return 1 + sum(map(_count, step.steps))


def _parse_step(block: Any, loans: int, index: int) -> SmartContractAction:
    if not isinstance(block, dict):
        raise ValueError(f"must be a dict, got {shown(block)}")
    kind = block.get("instruction_type", "smart_contract_action")
    if text_of(kind) != "smart_contract_action":
        raise ValueError(f"only smart_contract_action can be chained, got {shown(kind)}")
    return _parse_action(block, loans, index)
