"""A run over pool states and Morpho markets against a second computation of it, from the contracts' models alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.importing import import_to_database
from basis_strategy_v1.venues import morpho_market

from . import pool_world
from .pool_world import BLOCKS, DOLLARS, END, LOOP, MORPHO, STAKED, START
from .running import HOUR, Ran, run
from .second_computation import Moves, Second, computed
from .test_a_year_of_basis import SOURCES

D = Decimal


@dataclass
class Both:
    """The run, and the second computation of it with what it says of each block and each hour."""

    ran: Ran
    second: Second
    deltas: list[Moves]
    worth: dict[datetime, Decimal]
    first_worth: Decimal


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pool_world.write_market(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return pool_world.config(tmp_path_factory.mktemp("blocks"), data={"max_staleness": "60h"})


@pytest.fixture(scope="module")
def both(data: Path, config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Both:
    with localcontext(EXACT):
        second, deltas, worth, begun = computed()
    return Both(run(config, data, tmp_path_factory.mktemp("run"), report=True), second, deltas, worth, begun)


def test_every_block_moves_what_the_contracts_models_say(both: Both) -> None:
    executed = both.ran.events("execution")
    assert [row.at for row in executed] == [at for at, _ in BLOCKS]
    for row, expected in zip(executed, both.deltas, strict=True):
        reported = {(venue, token): D(amount) for venue, tokens in row.data["deltas"].items() for token, amount in tokens.items()}
        assert reported == expected, row.at


def test_at_the_end_there_is_what_the_contracts_models_leave(both: Both) -> None:
    positions = both.ran.positions()
    assert positions[END] == both.second.positions()
    assert "morpho morpho:wstETH/WETH:debt" not in positions[END]
    assert any(amount > 0 for token, amount in positions[START + 30 * HOUR].items() if token.endswith(":debt"))


def test_the_equity_of_every_step_is_the_value_of_the_positions_at_the_prices_of_the_time(both: Both) -> None:
    rows = {datetime.fromisoformat(row["timestamp"]): D(row["equity"]) for row in both.ran.rows("equity.csv")}
    assert len(rows) == 73 + len({at for at, _ in BLOCKS if at.minute})
    with localcontext(EXACT):
        assert {at: equity for at, equity in rows.items() if abs(equity - both.worth[at]) > D("5e-13")} == {}
        assert abs(D(both.ran.summary["initial_equity"]) - both.first_worth) <= D("5e-13")


def test_the_attribution_adds_up_exactly_and_each_source_is_the_second_computations(both: Both) -> None:
    summary = both.ran.summary
    reported = {source: D(amount) for source, amount in summary["attribution"].items()}
    assert sum(reported.values()) == D(summary["pnl"]) == D(summary["final_equity"]) - D(summary["initial_equity"])
    for row in both.ran.rows("equity.csv"):
        assert D(row["equity"]) == D(summary["initial_equity"]) + sum(D(row[source]) for source in SOURCES)
    with localcontext(EXACT):
        others = sum(amount for source, amount in both.second.sources.items() if source != "spot_price")
        expected = {**both.second.sources, "spot_price": both.second.worth() - both.first_worth - others}
        # Each flow is rounded to 1e-12 when it is recorded, and there are some hundreds of them.
        assert {
            source: (reported[source], expected[source]) for source in SOURCES if abs(reported[source] - expected[source]) > D("5e-10")
        } == {}
    assert {source for source, amount in reported.items() if amount} == {
        "spot_price", "supply_interest", "borrow_interest", "staking", "fees", "slippage", "gas"}  # fmt: skip


def swaps(details: dict[str, Any]) -> list[dict[str, Any]]:
    """The details of the swaps of an execution, steps within steps too."""
    inner = [found for name, step in details.items() if name.startswith("step_") for found in swaps(step)]
    return [details, *inner] if "priced_by" in details else inner


def test_every_swap_is_priced_by_the_pool_of_the_data(both: Both) -> None:
    found = {row.at: [(swap["pool"], swap["priced_by"]) for swap in swaps(row.data["details"])] for row in both.ran.events("execution")}
    uniswap, curve = ("WETH_USDC_500", "pool state"), ("wstETH_WETH", "pool state")
    expected = {at: [] for at, _ in BLOCKS} | {at: [uniswap] for at, block in BLOCKS if block.get("protocol") == "uniswap"}
    expected |= {at: [curve] for at, block in BLOCKS if block.get("protocol") == "curve"}
    expected |= {at: [uniswap, curve] for at, block in BLOCKS if block is LOOP}
    assert found == expected
    assert b"pool state" in both.ran.files()["report.html"]


@pytest.mark.parametrize("mode", ["csv", "db"])
def test_a_second_run_writes_the_same_bytes_from_the_folder_and_from_a_database(
    mode: str, both: Both, data: Path, config: dict[str, Any], tmp_path: Path
) -> None:
    source = data
    if mode == "db":
        source = tmp_path / "market.duckdb"
        import_to_database(data, source)
    again, first = run(config, source, tmp_path, report=True).files(), both.ran.files()
    assert sorted(again) == sorted(first)
    assert [name for name in first if again[name] != first[name]] == []


def test_a_market_whose_row_is_too_old_ends_the_run_where_it_holds_something_of_ours(data: Path, tmp_path: Path) -> None:
    """wstETH/USDC has its last row on day 1 at 6:00; what was lent there is withdrawn on day 2 at 11:00."""
    kept = [(at, block) for at, block in BLOCKS if block.get("market") != DOLLARS or block["action"] == "supply"]
    with pytest.raises(ComponentError, match="DAT-002: lending/morpho/wstETH_USDC: the last row visible at 2024-06-03T19:00:00Z"):
        run(pool_world.config(tmp_path, kept), data, tmp_path)
    assert run(pool_world.config(tmp_path), data, tmp_path / "withdrawn").positions()[END]


def test_a_row_that_shows_a_debt_unhealthy_liquidates_it_at_its_own_instant(tmp_path: Path) -> None:
    data, rows = pool_world.write_market(tmp_path / "data"), dict(MORPHO[STAKED])
    at = list(rows)[1]
    fallen = rows[at] = rows[at]._replace(price=rows[at].price * 92 // 100)
    pool_world.write_morpho(data, STAKED, rows)
    on_market = {"market": STAKED}
    blocks = [
        (START + HOUR, pool_world.action("morpho", "supply_collateral", "wstETH", "100", **on_market)),
        (START + HOUR, pool_world.action("morpho", "borrow", "WETH", "105", **on_market)),
    ]
    ran = run(pool_world.config(tmp_path, blocks), data, tmp_path)
    second, now_s = Second(), int(at.timestamp())
    with localcontext(EXACT):
        for when in (START + HOUR, at):
            second.pass_time(when)
            for block in (block for then, block in blocks if then == when):
                second.do(block)
        market, own = second.market(STAKED), second.own[STAKED]
        done = morpho_market.liquidate(market, own, now_s, fallen.price, shares=own.borrow_shares)
    [liquidation] = ran.settled("liquidation")
    assert liquidation.at == at
    left, seized, repaid = (D(wei).scaleb(-18) for wei in (done.position.collateral, done.seized, done.repaid))
    assert {name: D(liquidation.data["details"][name]) for name in ("seized", "repaid", "bad_debt")} == {
        "seized": seized, "repaid": repaid, "bad_debt": 0}  # fmt: skip
    last = ran.positions()[END]
    assert last["morpho morpho:wstETH/WETH:collateral"] == left == 100 - seized
    assert "morpho morpho:wstETH/WETH:debt" not in last
    reported = {source: D(amount) for source, amount in ran.summary["attribution"].items()}
    price = pool_world.PRICES[at.replace(minute=0)]
    with localcontext(EXACT):
        lost = (seized * pool_world.RATES[START] - D(morpho_market.debt_of(market, own)).scaleb(-18)) * price
    assert abs(reported["liquidation"] + lost) <= D("1e-11")
    assert sum(reported.values()) == D(ran.summary["pnl"])


def test_a_loan_of_more_than_morpho_has_at_hand_is_refused_and_ends_the_run(data: Path, tmp_path: Path) -> None:
    loan = msgspec.json.decode(msgspec.json.encode(LOOP["sub_instructions"][1]))  # type: ignore[index]
    loan |= {"amount": "9000", "instruction_type": "smart_contract_action"}
    with pytest.raises(
        ComponentError, match=r"flash_loan of 9000 WETH: it has 8000\.0*2 WETH at hand in the markets known \(wstETH/WETH\)"
    ):
        run(pool_world.config(tmp_path, [(START + HOUR, loan)]), data, tmp_path)
