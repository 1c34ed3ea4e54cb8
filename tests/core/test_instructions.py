"""Blocks that are as they should be become typed instructions; the tables of fields are looped over, so a new row is tested at once."""

from __future__ import annotations

import copy
import re
from collections import OrderedDict, defaultdict
from decimal import Decimal
from enum import IntEnum, StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.instruction_fields import STEP_FIELDS
from basis_strategy_v1.core.instructions import (
    ACTIONS,
    CEX_TRADE,
    CHAIN,
    COMMON_FIELDS,
    DEEPEST_LOAN,
    FIELDS,
    MOST_STEPS,
    TYPES,
    WALLET_TRANSFER,
    Action,
    CexTrade,
    Chain,
    OutputOf,
    SmartContractAction,
    WalletTransfer,
    parse_instruction,
)

POOL = [
    *(1, 0, 7.25, "12.5", "1e-30", Decimal("0.1"), 10**30, True, False, "all", "ETHUSDT", "wstETH/WETH", "a-1", {}),
    *("spot", "perp", "buy", "sell", "market", "limit", "IOC", "FOK", "GTC"),
    *({"aave": {"USDT": -1000, "aUSDT": "1000"}}, {"morpho": {"morpho:wstETH/WETH:debt": 0.5}}),
]
TRADE = {"instruction_type": "cex_trade", "venue": "binance", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": 1.5}
SUPPLY = {"protocol": "aave", "action": "supply", "token": "USDT", "amount": 1000}


@cache
def accepted(field: str, *, in_step: bool = False) -> list[Any]:
    """What of the pool a field takes."""
    fields = STEP_FIELDS if in_step else FIELDS
    found = []
    for value in POOL:
        try:
            fields[field](value)
        except ValueError:
            continue
        found.append(value)
    return found


def fields_of(row: Action, *, in_step: bool = False, without: tuple[str, ...] = ()) -> st.SearchStrategy[dict[str, Any]]:
    """Blocks with all required and any of the optional fields of a row, in any order."""

    def values(names: tuple[str, ...]) -> dict[str, Any]:
        return {name: st.sampled_from(accepted(name, in_step=in_step)) for name in names if name not in (*without, "sub_instructions")}

    drawn = st.fixed_dictionaries(values(row.required), optional=values((*row.optional, *COMMON_FIELDS)))
    return drawn.flatmap(lambda block: st.permutations(list(block.items()))).map(dict)


def actions(loans: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    """Blocks of every action in the table, flash loans with their steps."""
    return st.sampled_from([name for name in ACTIONS if loans or "sub_instructions" not in ACTIONS[name].required]).flatmap(
        lambda name: action_blocks(name, loans)
    )


def action_blocks(name: str, loans: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    row, has_steps = ACTIONS[name], "sub_instructions" in ACTIONS[name].required
    plain = fields_of(row, in_step=not has_steps)
    nested = st.lists(actions(loans - 1), min_size=1, max_size=3) if has_steps else st.none()
    return st.tuples(plain, nested).map(
        lambda drawn: {"protocol": "aave", "action": name, **drawn[0], **({"sub_instructions": unlimited(drawn[1])} if has_steps else {})}
    )


def unlimited(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps of one transaction: only its outcome as a whole can be limited."""
    return [{name: value for name, value in step.items() if name != "max_deviation_bps"} for step in steps]


def refusal(block: Any) -> str:
    """The message that a block is refused with, which is one short line with the code and the component."""
    with pytest.raises(ComponentError) as caught:
        parse_instruction(block)
    error = caught.value
    assert (error.error_code, error.component, error.severity) == ("EIM-001", "ExecutionInterfaceManager", "HIGH")
    assert error.message.isprintable()
    assert len(error.message) < 700
    return error.message


def assert_holds(instruction: Any, block: dict[str, Any], fields: Any = FIELDS) -> None:
    """Every field of the block is in the instruction, as its parser gives it."""
    for name, value in block.items():
        if name in fields:
            assert getattr(instruction, name) == fields[name](value), name


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_takes_something_and_not_everything(field: str) -> None:
    assert 0 < len(accepted(field)) < len(POOL)


@given(fields_of(CEX_TRADE, without=("price",)), st.sampled_from(accepted("price")))
def test_a_trade_parses_with_any_of_its_fields(block: dict[str, Any], price: Any) -> None:
    block = {"instruction_type": "cex_trade", **block}
    if block.get("order_type") == "limit":
        block["price"] = price
    before = copy.deepcopy(block)
    trade = parse_instruction(block)
    assert type(trade) is CexTrade
    assert_holds(trade, block)
    assert block == before


@given(fields_of(WALLET_TRANSFER, without=("to_venue",)))
def test_a_transfer_parses_with_any_of_its_fields(block: dict[str, Any]) -> None:
    block = {**block, "instruction_type": "wallet_transfer", "to_venue": "wallet"}
    before = copy.deepcopy(block)
    transfer = parse_instruction(block)
    assert type(transfer) is WalletTransfer
    assert_holds(transfer, block)
    assert block == before


@pytest.mark.parametrize("action", ACTIONS)
@settings(max_examples=30)
@given(data=st.data())
def test_every_action_parses_with_any_of_its_fields(action: str, data: st.DataObject) -> None:
    block = {"instruction_type": "smart_contract_action", **data.draw(action_blocks(action))}
    before = copy.deepcopy(block)
    parsed = parse_instruction(block)
    assert type(parsed) is SmartContractAction
    assert (parsed.action, parsed.protocol) == (action, "aave")
    assert_holds(parsed, block, STEP_FIELDS)
    assert len(parsed.steps) == len(block.get("sub_instructions", ()))
    assert block == before


@given(fields_of(CHAIN), st.lists(actions(), min_size=1, max_size=4))
def test_a_chain_parses_with_any_actions(block: dict[str, Any], steps: list[dict[str, Any]]) -> None:
    if block.get("atomic", True):
        steps = unlimited(steps)
    else:
        (block,) = unlimited([block])
    block = {"instruction_type": "smart_contract_action", **block, "sub_instructions": steps}
    before = copy.deepcopy(block)
    chain = parse_instruction(block)
    assert type(chain) is Chain
    assert_holds(chain, block)
    assert chain.atomic is block.get("atomic", True)
    for step, given_step in zip(chain.steps, steps, strict=True):
        assert_holds(step, given_step, STEP_FIELDS)
    assert block == before


@pytest.mark.parametrize(
    ("kind", "row"),
    [("cex_trade", CEX_TRADE), ("wallet_transfer", WALLET_TRANSFER)]
    + [("smart_contract_action", Action(("protocol", "action", *row.required), row.optional)) for row in ACTIONS.values()],
)
def test_a_missing_field_is_named(kind: str, row: Action) -> None:
    action = next((name for name, own in ACTIONS.items() if own.required == row.required[2:]), "")
    own: dict[str, Any] = {
        "instruction_type": kind,
        "sub_instructions": [SUPPLY],
        "action": action,
        "from_venue": "binance",
        "to_venue": "wallet",
    }
    whole = {"instruction_type": kind, **{name: own[name] if name in own else accepted(name)[0] for name in row.required}}
    parse_instruction(whole)
    for name in row.required:
        message = refusal({field: value for field, value in whole.items() if field != name})
        assert message.endswith(f"{name} is missing") or (name == "action" and "unknown field 'protocol'" in message)


@pytest.mark.parametrize("kind", TYPES)
def test_an_unknown_field_is_named_with_what_is_allowed(kind: str) -> None:
    blocks: dict[str, dict[str, Any]] = {"cex_trade": TRADE, "smart_contract_action": {"instruction_type": kind, **SUPPLY}}
    block = blocks.get(kind, {"instruction_type": kind, "from_venue": "a", "to_venue": "b", "token": "ETH", "amount": 1})
    message = refusal({**block, "amonut": 1})
    assert "unknown field 'amonut'; allowed are " in message
    assert "amount, estimated_deltas" in message


def test_the_whole_of_a_trade() -> None:
    block = {**TRADE, "order_type": "limit", "price": "3300.10", "time_in_force": "FOK", "reduce_only": True, "instruction_id": "a-1"}
    estimates = {"estimated_deltas": {"binance": {"ETH": 1.5, "USDT": "-4950.15", "BNB": 0}}, "max_deviation_bps": 5}
    assert parse_instruction({**block, **estimates}) == CexTrade(
        venue="binance", trade_type="spot", side="buy", symbol="ETHUSDT", amount=Decimal("1.5"),
        order_type="limit", price=Decimal("3300.10"), time_in_force="FOK", reduce_only=True, instruction_id="a-1",
        estimated_deltas=Deltas.at("binance", {"ETH": Decimal("1.5"), "USDT": Decimal("-4950.15")}), max_deviation_bps=Decimal(5),
    )  # fmt: skip


def test_the_whole_of_a_flash_loan_in_a_chain() -> None:
    inner = [SUPPLY, {"protocol": "aave", "action": "repay", "token": "USDT", "amount": {"output_of": 0, "fraction": "0.99"}}]
    loan = {"protocol": "aave", "action": "flash_loan", "token": "USDT", "amount": "500", "sub_instructions": tuple(inner)}
    chain = {"instruction_type": "smart_contract_action", "atomic": False, "sub_instructions": [loan]}
    supply = SmartContractAction(protocol="aave", action="supply", token="USDT", amount=Decimal(1000))
    repay = SmartContractAction(protocol="aave", action="repay", token="USDT", amount=OutputOf(0, Decimal("0.99")))
    taken = SmartContractAction(protocol="aave", action="flash_loan", token="USDT", amount=Decimal(500), steps=(supply, repay))
    assert parse_instruction(chain) == Chain(steps=(taken,), atomic=False)


class Side(StrEnum):
    BUY = "buy"


class Mode(IntEnum):
    ETH = 1


class Price(float):
    pass


def test_what_subclasses_hold_is_taken_as_the_built_in_kind() -> None:
    name = type("Name", (str,), {})
    block = {**TRADE, "side": Side.BUY, "venue": name("binance"), "instruction_type": name("cex_trade"), "amount": Price(1.5)}
    plain = parse_instruction(TRADE)
    for variant in (OrderedDict(block), defaultdict(list, block), {name(key): value for key, value in block.items()}):
        trade = parse_instruction(variant)
        assert trade == plain
        assert {type(getattr(trade, field)) for field in ("side", "venue", "symbol")} == {str}
    emode = parse_instruction(
        {"instruction_type": "smart_contract_action", "protocol": "aave", "action": name("set_emode"), "category": Mode.ETH}
    )
    assert emode == SmartContractAction(protocol="aave", action="set_emode", category=1)
    assert type(emode.category) is int


def test_a_mapping_that_is_no_dict_is_refused() -> None:
    assert refusal(MappingProxyType(TRADE)) == "an instruction block must be a dict, got a mappingproxy"


def test_as_many_steps_and_loans_as_the_limits_allow() -> None:
    wrap = {"protocol": "wallet", "action": "wrap", "token": "ETH", "amount": 1}
    chain = {"instruction_type": "smart_contract_action", "sub_instructions": [wrap] * MOST_STEPS}
    assert len(parse_instruction(chain).steps) == MOST_STEPS  # type: ignore[union-attr]
    block = wrap
    for _ in range(DEEPEST_LOAN):
        block = {"protocol": "aave", "action": "flash_loan", "token": "ETH", "amount": 1, "sub_instructions": [block]}
    assert parse_instruction({**block, "instruction_type": "smart_contract_action"})
    deeper = {**block, "sub_instructions": [block], "instruction_type": "smart_contract_action"}
    assert refusal(deeper).endswith("flash loans nest at most 4 deep")


def test_a_word_of_a_subclass_of_text_is_taken_as_the_word_also_next_to_optional_fields() -> None:
    block = {"instruction_type": "cex_trade", "venue": "okx", "trade_type": "spot", "side": Side.BUY, "symbol": "ETHUSDT", "amount": 1}
    parsed = parse_instruction({**block, "order_type": "limit", "price": 3000})
    assert isinstance(parsed, CexTrade) and (parsed.side, type(parsed.side)) == ("buy", str)


def test_more_amounts_than_are_remembered_are_still_read_exactly():
    block = {"instruction_type": "cex_trade", "venue": "binance", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT"}
    given = [number / 8 for number in range(1, 4_200)]
    for _ in range(2):
        assert [parse_instruction({**block, "amount": amount}).amount for amount in given] == [Decimal(str(amount)) for amount in given]


def test_the_same_block_again_gives_the_same_value_and_numbers_that_are_equal_are_read_each_as_it_is() -> None:
    block = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT"}
    parse_instruction({**block, "amount": 1.0})
    once = parse_instruction({**block, "amount": 1.0})
    assert parse_instruction({**block, "amount": 1.0}) is once
    assert [str(parse_instruction({**block, "amount": amount}).amount) for amount in (1.0, 1, Decimal("1.00"), "1.000")] == [
        "1.0", "1", "1.00", "1.000",
    ]  # fmt: skip
    with pytest.raises(ComponentError, match="got True"):
        parse_instruction({**block, "amount": True})


def test_equal_instructions_have_one_hash_and_another_amount_another() -> None:
    block = {"instruction_type": "wallet_transfer", "from_venue": "bybit", "to_venue": "wallet", "token": "ETH", "amount": 1}
    first, again, other = (parse_instruction({**block, "amount": amount}) for amount in (1, 1, 2))
    assert (first.content_hash == again.content_hash, first.content_hash == other.content_hash) == (True, False)
    assert re.fullmatch("[0-9a-f]{16}", first.content_hash)


def test_a_block_that_comes_again_gives_the_same_value_and_one_whose_numbers_are_of_another_type_does_not() -> None:
    block = {"instruction_type": "smart_contract_action", "protocol": "aave", "action": "supply", "token": "USDT"}
    once = parse_instruction({**block, "amount": 100})
    assert parse_instruction({**block, "amount": 100}) is once
    assert str(parse_instruction({**block, "amount": 100.0}).amount) == "100.0"
    category = {"instruction_type": "smart_contract_action", "protocol": "aave", "action": "set_emode"}
    parse_instruction({**category, "category": 1})
    for refused in (1.0, True):
        with pytest.raises(ComponentError, match="category must be a whole number"):
            parse_instruction({**category, "category": refused})


def test_what_is_remembered_of_blocks_does_not_grow_without_end() -> None:
    trade = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT"}
    action = {"instruction_type": "smart_contract_action", "protocol": "aave", "action": "supply", "token": "USDT"}
    for block in (trade, action):
        first = parse_instruction({**block, "amount": 0.5})
        assert parse_instruction({**block, "amount": 0.5}) is first
        amounts = [parse_instruction({**block, "amount": number + 0.25}).amount for number in range(5_000)]
        assert amounts == [Decimal(number) + Decimal("0.25") for number in range(5_000)]
        again = parse_instruction({**block, "amount": 0.5})
        assert (again == first, again is first) == (True, False)


def test_a_reason_and_a_tag_are_for_the_record_and_change_nothing() -> None:
    block = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": 1}
    labelled = {"reason": "spread -0.4 % < 0: unwind", **block, "tag": "mine"}
    assert parse_instruction(labelled) == parse_instruction(block)
    assert parse_instruction(labelled).content_hash == parse_instruction(block).content_hash
    for name, wrong in (("tag", 5), ("reason", "a\nb"), ("tag", "x" * 201)):
        with pytest.raises(ComponentError, match=f"EIM-001: {name} must be at most 200 printable characters, got "):
            parse_instruction({**block, name: wrong})


def test_a_symbol_with_a_slash_is_answered_with_the_one_without() -> None:
    block = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "perp", "side": "buy", "amount": 1}
    for symbol, end in (
        ("ETH/USDT", "; write ETHUSDT"),
        ("ETH/USDT:USDT", "; write ETHUSDT"),
        ("ETH USDT", "got 'ETH USDT'"),
        ("/", "got '/'"),
    ):
        with pytest.raises(ComponentError) as refused:
            parse_instruction({**block, "symbol": symbol})
        assert str(refused.value).endswith(end)
