"""What holds for every venue and action that is registered: found in the registries, nothing is listed here.

The rows of tests/additions.py are among them: what is added in one place keeps the contract too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from datetime import timedelta
from decimal import Decimal
from itertools import permutations, product
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.instructions import ACTIONS
from basis_strategy_v1.core.position_names import Kind
from basis_strategy_v1.core.state import State, Wallet
from basis_strategy_v1.core.tokens import decimals_of, to_units
from basis_strategy_v1.execution.execution_interface_manager import ExecutionInterfaceManager
from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
from basis_strategy_v1.venues.exchanges import EXCHANGES
from basis_strategy_v1.venues.position_names import read_name
from basis_strategy_v1.venues.registry import VENUES, known_names, make_venue, offering
from basis_strategy_v1.venues.venue import CEX, DEX, ONCHAIN, FlashLender, Holder, Lender, OnChainVenue, PoolLender

from ..additions import added
from ..world import (
    AT,
    TOKENS,
    action,
    chain,
    change_of_positions,
    costs_usd,
    everything,
    exactly,
    market,
    rich,
    run,
    trade,
    transfer,
    update_to,
    value,
    venues,
)

if TYPE_CHECKING:
    from basis_strategy_v1.core.market import MarketSnapshot

DELAYED = {"withdrawal": {"USDC": {"fee": "1.5", "minimum": 10, "minutes": 5}}}
with added():
    ALL = venues({"bybit": DELAYED})
    NOW = market(AT + timedelta(minutes=10))  # no exchange pays funding then
    LATER = market(AT + timedelta(days=60))
AMOUNTS = ("200", "2", "0.5")
HARMLESS = action("wallet", "wrap", "ETH", 1)
UNKNOWN = "no-such-request"
# A division rounds at the 96th digit where a swap's slippage is reported in the token that was paid.
SWAP_ROUNDING = Decimal("1e-60")


class Example(NamedTuple):
    """A block that is accepted in a state and a market."""

    name: str
    block: dict[str, Any]
    state: State
    market: MarketSnapshot
    kind: str

    def __repr__(self) -> str:
        return self.name


# Examples, derived from the table of actions: the first choice of fields that the venue accepts.


def _choices(venue: Any, name: str, request_ids: tuple[str, ...]) -> Any:
    offered = {
        "amount": AMOUNTS,
        "token": TOKENS,
        "token_out": TOKENS,
        "category": (1,),
        "request_id": request_ids,
        "market": getattr(venue, "markets", ()),
        "sub_instructions": ([HARMLESS],),
    }
    # A venue of several markets needs to know which.
    market_field = {"market"} if offered["market"] and "market" in ACTIONS[name].optional else set()
    fields = sorted({*ACTIONS[name].required, *market_field}, key=list(offered).index)
    for values in product(*(offered[field] for field in fields)):
        yield action(venue.name, name, **dict(zip(fields, values, strict=True)))


def _first_accepted(venue: Any, name: str, places: list[tuple[State, MarketSnapshot, tuple[str, ...]]]) -> Any:
    for state, at_market, request_ids in places:
        for block in _choices(venue, name, request_ids):
            try:
                return Example(f"{venue.name}-{name}", block, state, at_market, venue.kind), run(block, ALL, state, at_market)
            except VenueRejected:
                continue
    return None


def _everything_supplied() -> State:
    """20 of each token that a lender takes without a market: what the first of them secures may be nothing."""
    state = rich(ALL, NOW)
    for name, token in product((name for name, venue in ALL.items() if isinstance(venue, PoolLender)), TOKENS):
        with suppress(VenueRejected):
            state = run(action(name, "supply", token, "20"), ALL, state, NOW).state
    return state


def _on_chain() -> list[Example]:
    found: dict[tuple[str, str], Example] = {}
    wanted = [(venue, name) for venue in ALL.values() if venue.kind != CEX for name in venue.actions]
    places: list[tuple[State, MarketSnapshot, tuple[str, ...]]] = [(rich(ALL, NOW), NOW, ()), (_everything_supplied(), NOW, ())]
    for venue, name in (pair for _ in range(3) for pair in wanted):
        if (venue.name, name) in found:
            continue
        accepted = _first_accepted(venue, name, places)
        if accepted:
            example, moved = accepted
            found[venue.name, name] = example
            request = moved.details.get("request_id")
            places.append((moved.state, LATER if request else NOW, (request,) if request else ()))
    return list(found.values())


def _trades() -> list[Example]:
    state = rich(ALL, NOW)
    return [
        Example(f"{name}-{kind}-{side}", trade(name, side, f"ETH{row.settle}", "1.5", kind), state, NOW, CEX)
        for (name, row), kind, side in product(EXCHANGES.items(), ("spot", "perp"), ("buy", "sell"))
    ]


def _transfers() -> list[Example]:
    state = rich(ALL, NOW)
    holders = [name for name, venue in ALL.items() if isinstance(venue, Holder)]
    return [
        Example(f"{sender}-to-{receiver}-{token}", transfer(sender, receiver, token, "12.34567"), state, NOW, "transfer")
        for (sender, receiver), token in product(permutations(holders, 2), ("USDC", "stETH"))
        if token == "USDC" or "wallet" in (sender, receiver)
    ]


with added():
    ACTIONS_FOUND = _on_chain()
    TRADES = _trades()
    EVERY = [*ACTIONS_FOUND, *TRADES, *_transfers()]
every_example = pytest.mark.parametrize("example", EVERY, ids=repr)


@pytest.fixture(autouse=True, scope="module")
def _added() -> Iterator[None]:
    with added():
        yield


def _spent(example: Example) -> dict[str, Decimal]:
    """token -> amount that the example takes out of the wallet, gas aside."""
    moved = run(example.block, ALL, example.state, example.market)
    gas = sum((cost.amount for cost in moved.costs if cost.source == "gas"), Decimal(0))
    change, _ = change_of_positions(ALL, example.state, moved.state, moved.deltas)
    found = {token: -amount - (gas if token == "ETH" else 0) for token, amount in change.tokens("wallet").items()}
    return {token: amount for token, amount in found.items() if amount > 0}


def _frozen(state: State) -> str:
    return repr({name: state.parts[name] for name in sorted(state.parts)})


def test_every_registered_action_has_an_example():
    wanted = {f"{name}-{action_name}" for name in VENUES for action_name in ALL[name].actions}
    assert {example.name for example in ACTIONS_FOUND} == wanted


def test_every_action_that_a_venue_has_is_in_the_table_of_actions():
    assert {name for venue in ALL.values() for name in getattr(venue, "actions", ())} <= set(ACTIONS)


@pytest.mark.parametrize(("offered", "kind"), [("flash_loan", FlashLender), ("borrow", Lender)])
def test_a_venue_is_derived_from_what_its_actions_make_it(offered, kind):
    assert [name for name in offering(offered) if not isinstance(ALL[name], kind)] == []


def test_what_lends_a_token_without_a_market_is_a_pool_lender():
    lending = set(offering("supply")) - set(offering("supply_collateral"))
    assert {name for name, venue in ALL.items() if isinstance(venue, PoolLender)} == lending


# What a venue says of itself to strategies is what its actions do.


@pytest.mark.parametrize("name", [name for name, venue in ALL.items() if isinstance(venue, PoolLender)])
def test_a_deposit_is_held_under_the_name_that_its_lender_gives_it(name):
    lent = ALL[name].deposit("WETH")
    moved = run(lent.supply("7"), ALL, rich(ALL, NOW), NOW)
    assert set(moved.state.positions()[name]) == {lent.position}
    assert read_name(lent.position) == ALL[name].read_position(lent.position) == (Kind.DEPOSIT, "WETH")
    assert lent.position in ALL[name].position_names("WETH")
    back = run(lent.withdraw("all"), ALL, moved.state, NOW)
    assert name not in back.state.positions()


@pytest.mark.parametrize("name", [name for name, venue in ALL.items() if isinstance(venue, Lender)])
def test_a_loan_is_secured_and_owed_under_the_names_that_its_lender_gives_them(name):
    loan = ALL[name].loan("wstETH", "WETH")
    supplied = run(chain(*loan.opening, loan.supply("10")), ALL, rich(ALL, NOW), NOW)
    owing = run(loan.borrow("6"), ALL, supplied.state, NOW).state
    assert set(owing.positions()[name]) == {loan.collateral, loan.debt}
    assert [read_name(held) for held in (loan.collateral, loan.debt)] == [(Kind.DEPOSIT, "wstETH"), (Kind.DEBT, "WETH")]
    assert (loan.lender, ALL[name].health_factor(owing, NOW) > 1) == (name, True)
    worth = NOW.price("wstETH") / NOW.price("WETH")
    assert abs(loan.price(NOW) / worth - 1) < Decimal("0.001")
    assert 0 < ALL[name].borrow_rate(owing, "WETH", NOW, against="wstETH") < 1
    if loan.max_ltv is not None:
        with pytest.raises(VenueRejected):
            run(loan.borrow(round(10 * worth * loan.max_ltv, 6) - 5), ALL, owing, NOW)
    repaid = run(chain(loan.repay("all"), loan.withdraw("all")), ALL, owing, NOW).state
    assert name not in repaid.positions()


@pytest.mark.parametrize("name", ALL)
def test_a_position_that_an_example_leaves_is_distinguished_from_a_plain_token_by_its_name(name):
    for example in ACTIONS_FOUND:
        if example.block["protocol"] == name and not isinstance(ALL[name], Holder):
            held = run(example.block, ALL, example.state, example.market).state.positions().get(name, {})
            assert [token for token in held if read_name(token).kind is Kind.TOKEN] == []
            assert not isinstance(ALL[name], PoolLender) or {token: ALL[name].read_position(token) for token in held} == {
                token: read_name(token) for token in held
            }


def test_every_venue_but_the_exchanges_is_on_chain():
    assert {name for name, venue in ALL.items() if isinstance(venue, OnChainVenue)} == {*VENUES} == {*ALL} - {*EXCHANGES}


@pytest.mark.parametrize("kind", [OnChainVenue, FlashLender, Lender, PoolLender, Holder])
def test_what_a_kind_of_venue_has_must_be_written(kind):
    with pytest.raises(TypeError, match="abstract"):
        type("Forgetful", (kind,), {"simulate": lambda *_: None})()


@pytest.mark.parametrize("name", [name for name, venue in ALL.items() if "set_emode" in venue.actions])
def test_what_has_e_modes_has_categories_of_them(name):
    assert VENUES[name].settings().governed()[0].emodes


def test_the_registry_knows_a_venue_by_its_kind_only():
    assert {kind: known_names(kind) for kind in (CEX, DEX, ONCHAIN)} == {
        CEX: tuple(EXCHANGES),
        DEX: tuple(name for name, protocol in VENUES.items() if protocol.section == DEX),
        ONCHAIN: tuple(name for name, protocol in VENUES.items() if protocol.section == ONCHAIN),
    }
    for name, protocol in VENUES.items():
        with pytest.raises(KeyError):
            make_venue(DEX if protocol.section == ONCHAIN else ONCHAIN, name, protocol.settings())


def test_a_venue_takes_its_own_settings_only():
    for name, other in permutations(VENUES, 2):
        given, own = VENUES[other].settings(protocol=name), VENUES[name].settings
        if not isinstance(given, own):
            with pytest.raises(TypeError, match=f"{name}, whose settings are"):
                make_venue(VENUES[name].section, name, given)


@pytest.mark.parametrize("name", ALL)
def test_a_venue_opens_plain_tokens_or_says_what_it_holds(name):
    try:
        opened = ALL[name].open({"USDT": Decimal(1)}, NOW).positions()
    except ComponentError as refused:
        expected = (f"positions name {name}, which holds nothing by itself", f"USDT is no position at {name}; write ")
        assert (refused.error_code, refused.message.startswith(expected)) == ("PUH-001", True)
    else:
        assert opened == {"USDT": Decimal(1)}


@every_example
def test_the_same_inputs_give_the_same_outcome(example):
    first, second = (run(example.block, ALL, example.state, example.market) for _ in range(2))
    assert (first.deltas, first.costs, first.details) == (second.deltas, second.costs, second.details)
    assert _frozen(first.state) == _frozen(second.state)


@every_example
def test_the_inputs_are_not_changed(example):
    data = everything(example.market.at)
    at_market = type(example.market)(example.market.at, data)
    before = deepcopy(example.block), _frozen(example.state), deepcopy(data)
    run(example.block, ALL, example.state, at_market)
    assert (example.block, _frozen(example.state), data) == before


@pytest.mark.parametrize("example", [example for example in EVERY if "amount" in example.block], ids=repr)
@pytest.mark.parametrize("amount", [0, -1, "0", "-0.5"])
def test_nothing_and_less_than_nothing_are_refused(example, amount):
    with pytest.raises(ComponentError, match=r"EIM-001.*amount"):
        run({**example.block, "amount": amount}, ALL, example.state, example.market)


@every_example
def test_more_than_there_is_is_refused(example):
    spent = _spent(example)
    if spent and example.kind != CEX:
        (token, amount), *_ = spent.items()
        wallet = example.state.part("wallet", Wallet)
        # In shares, where it is kept in them: half of the shares are half of the amount.
        left = Wallet({**wallet.units, token: min(wallet.units[token], to_units(token, amount)) // 3}, wallet.share_rates)
        block, state = example.block, example.state.with_parts(wallet=left)
    elif "request_id" in example.block:
        block, state = {**example.block, "request_id": UNKNOWN}, example.state
    elif "category" in example.block:
        block, state = {**example.block, "category": 200}, example.state
    else:
        block, state = {**example.block, "amount": "100000000"}, example.state
    before = _frozen(state)
    with pytest.raises(VenueRejected, match=r"[0-9]|none|open"):
        run(block, ALL, state, example.market)
    assert _frozen(state) == before


@every_example
@exactly
def test_value_changes_by_exactly_minus_the_costs(example):
    moved = run(example.block, ALL, example.state, example.market)
    change = value(ALL, moved.state, example.market) - value(ALL, example.state, example.market)
    rounding = SWAP_ROUNDING if example.kind == DEX else 0
    assert abs(change + costs_usd(moved.costs, example.market)) <= rounding
    assert moved.deltas or moved.state is not example.state


@every_example
def test_positions_change_by_exactly_the_deltas(example):
    moved = run(example.block, ALL, example.state, example.market)
    change, expected = change_of_positions(ALL, example.state, moved.state, moved.deltas)
    assert change == expected


@every_example
def test_nothing_falls_due_at_the_instant_of_an_execution(example):
    moved = run(example.block, ALL, example.state, example.market)
    for name, venue in ALL.items():
        if name in moved.state.parts:
            assert update_to(venue, moved.state, example.market)[1] == ()


# The opposite action.

BACK = {
    "supply": "withdraw", "withdraw": "supply", "borrow": "repay", "repay": "borrow", "wrap": "unwrap", "unwrap": "wrap", "swap": "swap",
    "supply_collateral": "withdraw_collateral", "withdraw_collateral": "supply_collateral", "set_emode": "set_emode",
    "stake": "unstake", "unstake": "claim", "claim": "stake", "flash_loan": "flash_loan",
}  # fmt: skip


OF_LAST = "of the step before"


def test_every_action_of_the_table_has_an_opposite():
    assert set(BACK) == set(ACTIONS)


def _taken_and_given(moved: Any, block: dict[str, Any]) -> tuple[tuple[str, Decimal], tuple[str, Decimal]]:
    """(token, amount) that the protocol took and gave; what it has no token for counts as the instruction's token."""
    tokens = moved.deltas.tokens(block["protocol"])
    taken = min(tokens.items(), key=lambda row: row[1])
    given = max(tokens.items(), key=lambda row: row[1])
    return (taken[0], -taken[1]), given


def _way_back(block: dict[str, Any], moved: Any) -> list[dict[str, Any]]:
    protocol, name = block["protocol"], block["action"]
    back = BACK[name]
    if name == "set_emode":
        return [action(protocol, back, category=0)]
    if name == "flash_loan":  # it has come back already; undo its inner step
        return [action("wallet", "unwrap", "WETH", 1)]
    (taken, taken_amount), (given, given_amount) = _taken_and_given(moved, block)
    fields = {field: block[field] for field in ("market",) if field in block}
    if name == "stake":
        return [action(protocol, "unstake", given, given_amount), action(protocol, "claim", request_id=OF_LAST)]
    if name == "unstake":
        claim = action(protocol, "claim", request_id=moved.details["request_id"])
        return [claim, action(protocol, "stake", "ETH", given_amount, token_out=taken)]
    if name == "claim":
        return [action(protocol, "stake", "ETH", given_amount), action(protocol, "unstake", ALL[protocol].row.rebasing, OF_LAST)]
    if name == "swap":
        return [action(protocol, back, given, given_amount, token_out=taken)]
    if name in ("wrap", "unwrap"):
        return [action(protocol, back, given, given_amount)]
    amount = taken_amount if name in ("repay", "borrow", "withdraw") else given_amount
    return [action(protocol, back, block["token"], block.get("amount") if name == "borrow" else amount, **fields)]


def _base_unit(token: str) -> Decimal:
    return Decimal(1).scaleb(-decimals_of(read_name(token).of))


def _usd(token: str) -> Decimal:
    return NOW.price(read_name(token).of)


@pytest.mark.parametrize("example", ACTIONS_FOUND, ids=repr)
@exactly
def test_the_opposite_action_brings_back_all_but_the_costs(example):
    moved = run(example.block, ALL, example.state, example.market)
    last, costs = moved, list(moved.costs)
    for block in _way_back(example.block, moved):
        if block.get("request_id") == OF_LAST:
            block["request_id"] = last.details["request_id"]
        if block.get("amount") == OF_LAST:
            block["amount"] = _taken_and_given(last, block)[1][1]
        last = run(block, ALL, last.state, LATER if block["action"] == "claim" else example.market)
        costs += last.costs
    state = last.state
    missing = Deltas.nested(state.positions()) - Deltas.nested(example.state.positions())
    allowed = sum((abs(cost.amount) * NOW.price(cost.token) for cost in costs), Decimal("1e-12"))
    lost = {key: amount for key, amount in missing.items() if abs(amount) > 3 * _base_unit(key[1])}
    assert {key: amount for key, amount in lost.items() if abs(amount) * _usd(key[1]) > allowed} == {}


@pytest.mark.parametrize("example", TRADES, ids=repr)
@exactly
def test_the_opposite_trade_brings_back_all_but_the_costs(example):
    moved = run(example.block, ALL, example.state, example.market)
    received = moved.deltas.get(example.block["venue"], "ETH")
    # A fee in the base token leaves a part of a lot that cannot be sold.
    amount = received if received > 0 else Decimal("1.5")
    back = {**example.block, "side": "sell" if example.block["side"] == "buy" else "buy", "amount": amount}
    again = run(back, ALL, moved.state, example.market)
    lost = value(ALL, example.state, NOW) - value(ALL, again.state, NOW)
    assert lost == costs_usd((*moved.costs, *again.costs), NOW) > 0
    left = Deltas.nested(again.state.positions()) - Deltas.nested(example.state.positions())
    assert {token for (_, token), _ in left.items()} <= {EXCHANGES[example.block["venue"]].settle, "ETH"}
    assert abs(left.get(example.block["venue"], "ETH")) < Decimal("0.002")


# Chains.


def _manager(example: Example) -> ExecutionInterfaceManager:
    handler = PositionUpdateHandler()
    handler.state = example.state
    return _manager_of(handler, FixedProvider(everything(example.market.at)))


class FixedProvider:
    """Gives the same data at any time."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def get_data(self, timestamp: Any) -> dict[str, Any]:
        return self.data


def _manager_of(handler: PositionUpdateHandler, provider: Any) -> ExecutionInterfaceManager:
    exchanges = {name: DELAYED if name == "bybit" else None for name in EXCHANGES}
    configured = {"cex": exchanges, "dex": list(known_names(DEX)), "onchain": list(known_names(ONCHAIN))}
    config = {"strategy_mode": "blocks", "share_class": "usdt_stable", "initial_capital": 100_000, "venues": configured}
    return ExecutionInterfaceManager(config, provider, "backtest", positions=handler)


@pytest.mark.parametrize("example", ACTIONS_FOUND, ids=repr)
def test_a_chain_whose_last_step_fails_moves_nothing(example):
    manager = _manager(example)
    before = manager.positions.positions
    with pytest.raises(ComponentError, match=r"step 1 \(wallet unwrap\).*wallet holds"):
        manager.execute(example.market.at, chain(example.block, action("wallet", "unwrap", "WETH", "9999999")))
    assert manager.positions.positions == before
    assert manager.instructions_failed == 1


@pytest.mark.parametrize("example", ACTIONS_FOUND, ids=repr)
def test_a_chain_does_what_its_steps_do_and_pays_the_base_gas_once(example):
    alone = [run(block, ALL, example.state, example.market) for block in (example.block, HARMLESS)]
    together = run(chain(example.block, HARMLESS), ALL, example.state, example.market)
    spared = ALL["wallet"].gas_fee(21_000, example.market)
    assert together.deltas == alone[0].deltas + alone[1].deltas + Deltas.at("wallet", {"ETH": spared})


# Random blocks through the manager.


class Moving:
    """A market that moves from hour to hour, and in which lending and staking grow."""

    def get_data(self, timestamp: Any) -> dict[str, Any]:
        hours = int((timestamp - AT) / timedelta(hours=1))
        up = 1 + (hours * 37 % 11 - 5) / 100
        prices = {"ETH": round(3300.25 * up, 2), "BTC": round(65000.5 * (2 - up), 1), "USDT": 1.0, "USDC": 1.0}
        return everything(timestamp, prices=prices, growth=1 + hours * 1e-5)


amounts = st.decimals("0.0001", "3000", places=5).map(str)
small = st.decimals("0.0001", "30", places=5).map(str)
tokens = st.sampled_from(TOKENS)
ACCOUNTS = sorted(name for name, venue in ALL.items() if venue.kind == CEX)
POOLS = [name for name, venue in ALL.items() if isinstance(venue, PoolLender)]
trades = st.builds(
    lambda name, side, base, amount, kind, reduce_only: trade(
        name, side, base + ALL[name].row.settle, amount, kind, **({"reduce_only": True} if reduce_only and kind == "perp" else {})
    ),
    st.sampled_from(ACCOUNTS), st.sampled_from(["buy", "sell"]), st.sampled_from(["ETH", "BTC"]), small,
    st.sampled_from(["spot", "perp"]), st.booleans(),
)  # fmt: skip
ends = st.permutations([*ACCOUNTS, "wallet"])
transfers = st.builds(
    lambda two, token, amount: transfer(*two[:2], token, amount), ends, st.sampled_from(["USDT", "USDC", "ETH", "stETH"]), amounts
)
lendings = st.builds(
    action, st.sampled_from(POOLS), st.sampled_from(["supply", "withdraw", "borrow", "repay"]),
    st.sampled_from(["USDT", "USDC", "WETH", "wstETH"]), amounts | small | st.just("all"),
)  # fmt: skip
STAKINGS = [
    (venue.name, *row)
    for venue in ALL.values()
    if hasattr(venue, "row") and hasattr(venue.row, "rebasing")
    for row in (
        ("stake", "ETH", venue.row.rebasing), ("stake", "WETH", venue.row.wrapped), ("wrap", venue.row.rebasing, None),
        ("unwrap", venue.row.wrapped, None), ("unstake", venue.row.rebasing, None), ("unstake", venue.row.wrapped, None),
    )
] + [("wallet", "wrap", "ETH", None), ("wallet", "unwrap", "WETH", None)]  # fmt: skip
stakings = st.builds(
    lambda row, amount: action(row[0], row[1], row[2], amount, **({"token_out": row[3]} if row[3] else {})),
    st.sampled_from(STAKINGS), small | st.just("all"),
)  # fmt: skip
claims = st.builds(
    lambda protocol, number: action(protocol, "claim", request_id=f"{protocol}-{number}"),
    st.sampled_from([name for name, venue in ALL.items() if "claim" in venue.actions]), st.integers(1, 2),
)  # fmt: skip
swaps = st.builds(
    lambda protocol, token, out, amount: action(protocol, "swap", token, amount, token_out=out),
    st.sampled_from(sorted(known_names(DEX))), tokens, tokens, amounts,
)  # fmt: skip
steps = lendings | stakings | claims | swaps
loans = st.builds(
    lambda lender, token, amount, inner: action(lender, "flash_loan", token, amount, sub_instructions=inner),
    st.sampled_from([name for name, venue in ALL.items() if isinstance(venue, FlashLender)]), st.sampled_from(["USDT", "WETH"]), amounts,
    st.lists(steps, min_size=1, max_size=2),
)  # fmt: skip
chains = st.lists(steps | loans, min_size=1, max_size=4).map(lambda found: chain(*found))
blocks = trades | transfers | steps | loans | chains
plans = st.lists(st.tuples(st.integers(0, 200), blocks), min_size=1, max_size=8)


def accrued(manager, at):
    """What has accrued on chain, once the account holds it."""
    account = manager.account
    state, reports = account.accrued_on_chain(account.state(account.market(at)), account.market(at))
    account.ledger.assign(state)
    return reports


def _in_the_middle(state: State, start: MarketSnapshot) -> State:
    """Something is lent and owed at every pool, and something is asked for at every queue."""
    for name in POOLS:
        for block in (action(name, "supply", "wstETH", 5), action(name, "borrow", "WETH", 3)):
            state = run(block, ALL, state, start).state
    for name, venue in ALL.items():
        if "unstake" in venue.actions:
            state = run(action(name, "unstake", venue.row.wrapped, 3), ALL, state, start).state
    return state


@given(plans)
@settings(max_examples=60)
@exactly
def test_random_blocks_change_value_by_minus_the_costs_and_nothing_appears_or_vanishes(plan):
    handler = PositionUpdateHandler()
    start = market()
    handler.state = _in_the_middle(rich(ALL, start), start)
    manager = _manager_of(handler, Moving())
    at = AT
    manager.settle(at)
    for hours, block in plan:
        at += timedelta(hours=hours)
        held = handler.state
        fallen_due = manager.settle(at) + accrued(manager, at)
        before = handler.state
        grown, expected = change_of_positions(ALL, held, before, sum((report.deltas for report in fallen_due), Deltas()))
        assert grown == expected
        at_market = manager.account.market(at)
        try:
            report = manager.execute(at, block)
        except ComponentError:
            assert handler.state.positions() == before.positions()
            continue
        changed, expected = change_of_positions(ALL, before, handler.state, report.deltas)
        assert changed == expected
        lost = value(ALL, before, at_market) - value(ALL, handler.state, at_market)
        assert abs(lost - costs_usd(report.costs, at_market)) <= SWAP_ROUNDING
