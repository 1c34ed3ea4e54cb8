"""Instruction blocks, parsed at the door: `parse_instruction(block)` gives a typed instruction or EIM-001."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from basis_strategy_v1.core.amounts import exact_number, positive_amount, shown
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST_STEPS = 64
DEEPEST_LOAN = 4
COMPONENT = "ExecutionInterfaceManager"


class OutputOf(Struct, frozen=True):
    """What an earlier step of the chain paid out, or a fraction of it."""

    step: int
    fraction: Decimal = Decimal(1)


Amount = Decimal | str | OutputOf  # the text is "all"


class Instruction(Struct, frozen=True, kw_only=True):
    instruction_id: str | None = None
    estimated_deltas: Deltas | None = None
    max_deviation_bps: Decimal | None = None


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


class Action(NamedTuple):
    """A row of the table of actions: which fields it takes. Who offers it, each protocol says itself."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


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

_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_MARKET = re.compile(r"[A-Za-z0-9_.\-/]{1,128}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@lru_cache(maxsize=4096)
def _matched(pattern: re.Pattern[str], value: str) -> bool:
    return pattern.fullmatch(value) is not None


def _text(pattern: re.Pattern[str], allowed: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if type(value) is str and len(value) <= 128 and _matched(pattern, value):
            return value
        raise ValueError(f"must be {allowed}, got {shown(value)}")

    return parse


def _one_of(*allowed: str) -> Callable[[Any], str]:
    listed = " or ".join(allowed) if len(allowed) == 2 else ", ".join(allowed)

    def parse(value: Any) -> str:
        if type(value) is str and value in allowed:
            return value
        raise ValueError(f"must be {listed}, got {shown(value)}")

    return parse


def _time_in_force(value: Any) -> str:
    if value in ("IOC", "FOK"):
        return str(value)
    resting = "; an order that rests in the book is not supported" if value in ("GTC", "GTX", "GTD", "PO") else ""
    raise ValueError(f"must be IOC or FOK, got {shown(value)}{resting}")


def _flag(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise ValueError(f"must be true or false, got {shown(value)}")


def _whole(value: Any) -> int:
    if type(value) is int and 0 <= value <= 10**9:
        return value
    raise ValueError(f"must be a whole number from 0, got {shown(value)}")


def _not_negative(value: Any) -> Decimal:
    number = exact_number(value)
    if number < 0:
        raise ValueError(f"must be 0 or more, got {shown(value)}")
    return number


def _estimated(value: Any) -> Deltas:
    if not isinstance(value, dict) or not all(isinstance(tokens, dict) for tokens in value.values()):
        raise ValueError(f"must be a dict of venue -> token -> amount, got {shown(value)}")
    name = _FIELDS["venue"]
    return Deltas({(name(venue), name(token)): exact_number(amount) for venue, tokens in value.items() for token, amount in tokens.items()})


def _step_amount(value: Any) -> Amount:
    if value == "all" and type(value) is str:
        return "all"
    if type(value) is not dict:
        return positive_amount(value)
    if unknown := value.keys() - {"output_of", "fraction"}:
        raise ValueError(f"must be a number, 'all' or {{'output_of': n}}, got the unknown field {shown(min(map(str, unknown)))}")
    if "output_of" not in value:
        raise ValueError("must be a number, 'all' or {'output_of': n}, got a dict without output_of")
    fraction = positive_amount(value.get("fraction", 1))
    if fraction > 1:
        raise ValueError(f"fraction must be at most 1, got {shown(value['fraction'])}")
    return OutputOf(_whole(value["output_of"]), fraction)


_NAMED = "1 to 64 letters, digits, '_', '-' or '.'"
_FIELDS: dict[str, Callable[[Any], Any]] = {
    "instruction_id": _text(_ID, "1 to 64 of A-Z a-z 0-9 _ -"),
    "estimated_deltas": _estimated,
    "max_deviation_bps": _not_negative,
    "venue": _text(_NAME, _NAMED),
    "protocol": _text(_NAME, _NAMED),
    "trade_type": _one_of("spot", "perp"),
    "side": _one_of("buy", "sell"),
    "symbol": _text(_NAME, _NAMED),
    "amount": positive_amount,
    "order_type": _one_of("market", "limit"),
    "price": positive_amount,
    "time_in_force": _time_in_force,
    "reduce_only": _flag,
    "from_venue": _text(_NAME, _NAMED),
    "to_venue": _text(_NAME, _NAMED),
    "token": _text(_NAME, _NAMED),
    "token_out": _text(_NAME, _NAMED),
    "network": _text(_NAME, _NAMED),
    "market": _text(_MARKET, "a market name such as wstETH/WETH"),
    "pool": _text(_MARKET, "a pool name such as weETH/WETH"),
    "request_id": _text(_NAME, _NAMED),
    "category": _whole,
    "fee": _whole,
    "min_amount_out": positive_amount,
}
_COMMON = frozenset({"instruction_type", "instruction_id", "estimated_deltas", "max_deviation_bps"})
_CEX_REQUIRED = frozenset({"instruction_type", "venue", "trade_type", "side", "symbol", "amount"})
_CEX_ALLOWED = _CEX_REQUIRED | _COMMON | {"order_type", "price", "time_in_force", "reduce_only"}
_TRANSFER_REQUIRED = frozenset({"instruction_type", "from_venue", "to_venue", "token", "amount"})
_TRANSFER_ALLOWED = _TRANSFER_REQUIRED | _COMMON | {"network"}
_CHAIN_ALLOWED = _COMMON | {"atomic", "sub_instructions"}
TYPES = ("cex_trade", "smart_contract_action", "wallet_transfer")


def parse_instruction(block: Any) -> CexTrade | WalletTransfer | SmartContractAction | Chain:
    """The typed form of an instruction block; the block is not changed.

    Raises:
        ComponentError: EIM-001, whose message names the field, the value and what is allowed.
    """
    if not isinstance(block, dict):
        raise _refused(f"an instruction block must be a dict, got {shown(block)}")
    kind = block.get("instruction_type")
    if kind == "cex_trade":
        return _parse_cex_trade(block)
    if kind == "wallet_transfer":
        return _parse_transfer(block)
    if kind == "smart_contract_action":
        return _parse_chain(block) if "sub_instructions" in block and "action" not in block else _parse_action(block, "smart_contract_action")
    listed = ", ".join(TYPES)
    raise _refused(f"instruction_type must be one of {listed}, got {shown(kind) if 'instruction_type' in block else 'none'}")


def _refused(message: str) -> ComponentError:
    return ComponentError("EIM-001", message, COMPONENT)


def _parse_cex_trade(block: Mapping[str, Any]) -> CexTrade:
    if not (block.keys() <= _CEX_ALLOWED and block.keys() >= _CEX_REQUIRED):
        _require_fields("cex_trade", block, _CEX_REQUIRED, _CEX_ALLOWED)
    trade = CexTrade(**_parsed("cex_trade", block))
    if trade.order_type == "limit":
        if trade.price is None:
            raise _refused("cex_trade: price is missing; a limit order needs one")
    elif trade.price is not None:
        raise _refused("cex_trade: price is only for order_type limit; leave it out of a market order")
    return trade


def _parse_transfer(block: Mapping[str, Any]) -> WalletTransfer:
    _require_fields("wallet_transfer", block, _TRANSFER_REQUIRED, _TRANSFER_ALLOWED)
    transfer = WalletTransfer(**_parsed("wallet_transfer", block))
    if transfer.from_venue == transfer.to_venue:
        raise _refused(f"wallet_transfer: to_venue must differ from from_venue, got {transfer.to_venue!r} twice")
    return transfer


def _parse_chain(block: Mapping[str, Any]) -> Chain:
    where = "chain"
    _require_fields(where, block, frozenset({"sub_instructions"}), _CHAIN_ALLOWED)
    common = _parsed(where, {name: value for name, value in block.items() if name in _COMMON})
    try:
        atomic = _flag(block.get("atomic", True))
    except ValueError as fault:
        raise _refused(f"{where}: atomic {fault}") from None
    return Chain(steps=_parse_steps(block["sub_instructions"], where, depth=0), atomic=atomic, **common)


def _parse_steps(value: Any, where: str, depth: int) -> tuple[SmartContractAction, ...]:
    if not isinstance(value, list | tuple):
        raise _refused(f"{where}: sub_instructions must be a list, got {shown(value)}")
    if not 0 < len(value) <= MOST_STEPS:
        raise _refused(f"{where}: sub_instructions must hold 1 to {MOST_STEPS} steps, got {len(value)}")
    if depth > DEEPEST_LOAN:
        raise _refused(f"{where}: flash loans nest at most {DEEPEST_LOAN} deep")
    steps = []
    for index, block in enumerate(value):
        at = f"{where} step {index}"
        if not isinstance(block, dict):
            raise _refused(f"{at}: must be a dict, got {shown(block)}")
        if block.get("instruction_type", "smart_contract_action") != "smart_contract_action":
            raise _refused(f"{at}: only smart_contract_action can be chained, got {shown(block['instruction_type'])}")
        step = _parse_action(block, at, depth)
        if isinstance(step.amount, OutputOf) and step.amount.step >= index:
            raise _refused(f"{at}: amount refers to step {step.amount.step}, which does not come before it")
        steps.append(step)
    return tuple(steps)


def _parse_action(block: Mapping[str, Any], where: str, depth: int | None = None) -> SmartContractAction:
    action = _known_action(block, where)
    row = ACTIONS[action]
    required = frozenset(row.required) | {"protocol", "action"}
    _require_fields(f"{where} {action}", block, required, required | _COMMON | frozenset(row.optional))
    parsed = _parsed(f"{where} {action}", {name: value for name, value in block.items() if name not in ("action", "sub_instructions")})
    if depth is None and isinstance(parsed.get("amount"), OutputOf):
        raise _refused(f"{where} {action}: amount {{'output_of': n}} is only for a step of a chain")
    if action == "flash_loan":
        if not isinstance(parsed["amount"], Decimal):
            raise _refused(f"{where} flash_loan: amount must be a number")
        parsed["steps"] = _parse_steps(block["sub_instructions"], f"{where} flash_loan", (depth or 0) + 1)
    return SmartContractAction(action=action, **parsed)


def _known_action(block: Mapping[str, Any], where: str) -> str:
    for name in ("protocol", "action"):
        if name not in block:
            raise _refused(f"{where}: {name} is missing")
    action = block["action"]
    if not isinstance(action, str) or action not in ACTIONS:
        raise _refused(f"{where}: action must be one of {', '.join(ACTIONS)}, got {shown(action)}")
    return action


def _require_fields(where: str, block: Mapping[str, Any], required: frozenset[str], allowed: frozenset[str]) -> None:
    if unknown := [name for name in block if name not in allowed]:
        raise _refused(f"{where}: unknown field {shown(unknown[0])}; allowed are {', '.join(sorted(allowed))}")
    if missing := sorted(required - block.keys()):
        raise _refused(f"{where}: {missing[0]} is missing")


def _parsed(where: str, block: Mapping[str, Any]) -> dict[str, Any]:
    parsed = {}
    fields = _FIELDS if where in ("cex_trade", "wallet_transfer") else _STEP_FIELDS
    for name, value in block.items():
        if name != "instruction_type":
            try:
                parsed[name] = fields[name](value)
            except ValueError as fault:
                raise _refused(f"{where}: {name} {fault}") from None
    return parsed


_STEP_FIELDS = {**_FIELDS, "amount": _step_amount}
