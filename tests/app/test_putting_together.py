"""What a run begins with: its data, its positions, and the refusal of whatever can be known to be wrong."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from basis_strategy_v1.app import build, open_data, strategy_of
from basis_strategy_v1.app.assumptions import assumptions, costs_of, costs_of_run
from basis_strategy_v1.app.commands import check_run
from basis_strategy_v1.config import load_config
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.data_provider import DataProvider
from basis_strategy_v1.venues.exchanges import EXCHANGES
from basis_strategy_v1.venues.registry import make_venue

from . import runs

D = Decimal


@pytest.fixture
def blocks(tmp_path: Path) -> Path:
    path = tmp_path / "blocks.jsonl"
    path.write_text('{"timestamp": "2024-06-01T00:00:00Z", "block": {}}\n')
    return path


def config(**changes: Any) -> dict[str, Any]:
    strategy = {"spot_venue": "bybit", "perp_venue": "binance", "leverage": 3}
    return runs.config(**{"strategy": strategy, "venues": {"cex": ["bybit", "binance"]}, **changes})


def lending(**changes: Any) -> dict[str, Any]:
    return config(strategy_mode="pure_lending", strategy={"token": "USDT"}, venues={"onchain": ["aave"]}, **changes)


def held(settings: dict[str, Any], data: Any, folder: Path) -> dict[str, dict[str, Decimal]]:
    """The positions of an engine before its first step."""
    engine = build(settings, data, folder / "results", folder / "logs")
    return {venue: dict(tokens) for venue, tokens in engine.portfolio.items()}


def refused(settings: dict[str, Any], data: Any, folder: Path) -> str:
    with pytest.raises(ComponentError) as error:
        build(settings, data, folder / "results", folder / "logs")
    return str(error.value)


def test_the_strategy_splits_the_capital(sample: Path, tmp_path: Path) -> None:
    assert held(config(), sample, tmp_path) == {"bybit": {"USDT": D(7_500)}, "binance": {"USDT": D(2_500)}}


@pytest.mark.parametrize("row", EXCHANGES.values(), ids=lambda row: row.name)
def test_a_hedge_is_paid_for_and_traded_in_what_its_exchange_settles_in(row: Any) -> None:
    account = f"{row.name}_two"
    legs = {"spot_venue": account, "perp_venue": account}
    settings = load_config(config(strategy=legs, venues={"cex": [account]}), run=True)
    strategy = strategy_of(settings)
    assert strategy.placed(D(10), settings.strategy) == {account: {row.settle: D(10)}}
    symbol = f"ETH{row.settle}"
    assert list(strategy.needs(settings.strategy)) == [(kind, row.name, symbol) for kind in ("spot", "perp", "funding")]


def test_positions_of_the_config_go_before_the_strategy(sample: Path, tmp_path: Path) -> None:
    given = {"binance": {"USDT": 10, "ETH": "1.5"}}
    assert held(config(initial_positions=given), sample, tmp_path) == {"binance": {"USDT": D(10), "ETH": D("1.5")}}


def test_gas_is_bought_from_the_capital_where_it_is_not_free(sample: Path, tmp_path: Path) -> None:
    price = open_data(load_config(lending(), run=True), sample).snapshot(load_config(lending()).start).price("ETH")
    found = held(lending(gas_reserve_eth="0.1"), sample, tmp_path)
    assert found == {"wallet": {"USDT": D(10_000) - (D("0.1") * price).quantize(D("1e-6")), "ETH": D("0.1")}}
    free = lending() | {"venues": {"onchain": {"aave": {}, "wallet": {"gas_price_gwei": 0}}}}
    assert held(free, sample, tmp_path) == {"wallet": {"USDT": D(10_000)}}


def test_in_ether_the_reserve_is_a_part_of_the_capital(sample: Path, tmp_path: Path) -> None:
    settings = lending(share_class="eth_directional", initial_capital=10) | {"strategy": {"token": "WETH"}}
    assert held(settings, sample, tmp_path) == {"wallet": {"WETH": D("9.95"), "ETH": D("0.05")}}


def test_a_capital_that_does_not_pay_for_the_gas_is_refused(sample: Path, tmp_path: Path) -> None:
    message = "CFG-001: initial_capital: 50 does not pay for gas_reserve_eth of 0.05; lower that"
    assert refused(lending(initial_capital=50), sample, tmp_path) == message


@pytest.mark.parametrize(
    ("venues", "share_class", "place"),
    [
        ({"cex": ["okx", "bybit"]}, "usdt_stable", {"okx": {"USDT": D(10_000)}}),
        ({"cex": ["hyperliquid"]}, "usdt_stable", {"hyperliquid": {"USDC": D(10_000)}}),
        ({"cex": ["okx"]}, "eth_directional", {"okx": {"ETH": D(10_000)}}),
        ({"onchain": {"wallet": {"gas_price_gwei": 0}}}, "usdt_stable", {"wallet": {"USDT": D(10_000)}}),
    ],
)
def test_a_users_own_blocks_find_the_capital_at_the_first_exchange_or_in_the_wallet(
    venues: Any, share_class: str, place: Any, blocks: Path, sample: Path, tmp_path: Path
) -> None:
    settings = config(strategy_mode="blocks", strategy={"file": str(blocks)}, venues=venues, share_class=share_class)
    assert held(settings, sample, tmp_path) == place


def test_a_provider_of_ones_own_is_taken_as_it_is(sample: Path) -> None:
    own = DataProvider(sample)
    assert open_data(load_config(config(), run=True), own) is own


def test_data_of_the_config_are_relative_to_it_and_the_argument_goes_before_them(sample: Path, tmp_path: Path) -> None:
    settings = load_config(config(data={"directory": "nowhere"}), run=True)
    with pytest.raises(ComponentError, match=r"DAT-006: the data folder .*nowhere does not exist"):
        open_data(settings)
    assert open_data(settings, str(sample)).generated
    with pytest.raises(ComponentError, match=r"DAT-006: the database .*none\.duckdb does not exist"):
        open_data(settings, tmp_path / "none.duckdb")


def test_staleness_may_be_longer_for_one_series(sample: Path, tmp_path: Path) -> None:
    late = config(end="2024-12-20")
    assert "ends at 2024-12-01" in refused(late, sample, tmp_path)
    longer = {"max_staleness": {"default": "36h", "ohlcv": "30d", "funding": "30d"}}
    assert held({**late, "data": longer}, sample, tmp_path)


def problems(settings: dict[str, Any], data: Any, folder: Path) -> list[str]:
    """What a run is refused for, and that nothing has been written."""
    found = refused(settings, data, folder).splitlines()
    assert list(folder.glob("results/*")) == []
    return found


def test_each_initial_position_that_cannot_be_held_or_has_no_price_is_reported_with_what_else_is_wrong(
    sample: Path, tmp_path: Path
) -> None:
    given = {"bybit": {"USDT": 1, "FOO": 1}, "wallet": {"BAR": 1, "ETH": 1}, "aave": {"aFOO": 1, "aUSDT": 1}}
    venues = {"cex": ["bybit"], "onchain": ["aave"]}
    settings = config(initial_positions=given, end="2024-12-20", strategy={"spot_venue": "bybit", "perp_venue": "bybit"}, venues=venues)
    message = problems(settings, sample, tmp_path)
    assert [line.split(" ends at ")[0] for line in message[:4]] == [
        "DAT-001: spot of bybit for ETHUSDT",
        "perp of bybit for ETHUSDT",
        "funding of bybit for ETHUSDT",
        "gas of ethereum for ethereum",
    ]
    assert [line.split(";")[0].split(" at ")[0] for line in message[4:]] == [
        "initial_positions.bybit.FOO: no price of FOO",
        "initial_positions.wallet.BAR: no price of BAR",
        "initial_positions.aave.aFOO: aave has no reserve of FOO",
    ]


def test_check_prints_them_as_the_run_would(sample: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(config(initial_positions={"bybit": {"BAR": 1, "FOO": 1, "USDT": 1}})))
    with pytest.raises(ComponentError) as error:
        list(check_run(path, data=sample))
    message = [line.split(";")[0].split(" at ")[0] for line in str(error.value).splitlines()]
    assert message == [
        "DAT-001: initial_positions.bybit.BAR: no price of BAR",
        "initial_positions.bybit.FOO: no price of FOO",
    ]


def test_where_a_strategy_of_ones_own_puts_the_capital_is_tried_too(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "class Mine:\n"
        "    def decide(self, snapshot, positions, parameters):\n        return []\n"
        "    def placed(self, capital, parameters):\n        return {'nowhere': {'USDT': capital}, 'bybit': {'USDT': capital}}\n"
    )
    settings = config(strategy_mode="custom", strategy={"file": str(tmp_path / "mine.py")})
    assert problems(settings, sample, tmp_path) == [
        "PUH-001: USDT of nowhere: positions name nowhere, which is not configured; configured are bybit, binance"
    ]


class Bare:
    """A provider that only answers `get_data`, as the specification has it."""

    clock = None

    def get_data(self, timestamp: Any) -> dict[str, Any]:
        return {"timestamp": timestamp, "market_data": {"prices": {"ETH": 3000.0, "USDT": 1.0}}}


def test_a_bare_provider_is_not_asked_what_it_covers(tmp_path: Path, blocks: Path) -> None:
    text = '{"timestamp": "2024-06-01T01:00:00Z", "block": {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", '
    blocks.write_text(text + '"side": "buy", "symbol": "ETHUSDT", "amount": 1}}\n')
    venues = {"cex": {"bybit": {"spot_taker_fee_bps": 0, "slippage_bps": 0}}}
    settings = config(strategy_mode="blocks", strategy={"file": str(blocks)}, venues=venues)
    summary = build(settings, Bare(), tmp_path / "results", tmp_path / "logs").run().summary
    assert (summary["final_equity"], summary["instructions_routed"], summary["data"]["generated"]) == ("10000", 1, False)


def test_assumptions_are_listed(sample: Path, tmp_path: Path) -> None:
    settings = config(end="2024-06-01T02:00:00Z", data={"missing_funding": "zero"})
    message = build(settings, sample, tmp_path / "results", tmp_path / "logs", report=False).run().summary["assumptions"]
    assert [line.split()[0] for line in message] == ["Known", "A", "Margin", "A", "An", "An", "Transfers", "Transfers", "A", "ETHUSDT"]
    assert message[6:8] == [
        f"Transfers out of {name} cost and take what it published on 2025-05-31; a token without a published fee is free."
        for name in ("bybit", "binance")
    ]
    assert message[-2] == "A funding payment without a row in the data is taken as 0; each one is listed."
    on_chain = build(lending(end="2024-06-01T02:00:00Z"), sample, tmp_path / "results", tmp_path / "logs", report=False).run()
    lines = on_chain.summary["assumptions"]  # nothing of orders, margins or swaps
    assert [line.split()[0] for line in lines] == ["Known", "Between", "The"]
    assert lines[2].startswith("The slopes of aave are those of 2025-05-31")


@pytest.mark.parametrize(("hours", "message"), [([1], "a has 1 gap of 1 hour in all:"), ([1, 2], "a has 2 gaps of 3 hours in all:")])
def test_gaps_are_counted_with_their_hours(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: list[int], message: str
) -> None:
    spans = [("a", 0, hour * 3_600_000_000) for hour in hours]
    monkeypatch.setattr(DataProvider, "stale_spans", lambda *_: spans)
    run = build(config(end="2024-06-01T02:00:00Z"), sample, tmp_path / "results", tmp_path / "logs", report=False).run()
    assert run.summary["assumptions"][-1] == f"{message} there its last price values positions, and no trade is opened on it."


def test_the_assumed_costs_are_those_of_the_config(tmp_path: Path) -> None:
    venues = {
        "cex": {"bybit": {"spot_taker_fee_bps": 7, "withdrawal": {"USDT": {"fee": 5, "minimum": 10, "minutes": 100}}}, "binance": {}},
        "onchain": {"lido": {"withdrawal_days": 9}},
    }
    rows = costs_of(load_config(config(venues=venues)))
    assert [row["venue"] for row in rows] == ["bybit", "binance", "lido"]
    assert rows[0] == {
        "venue": "bybit",
        "fees": "spot taker 7 bps, perp taker 5.5 bps",
        "slippage": "1 bps",
        "withdrawal": "USDT fee 5, minimum 10, 100 min",
        "margin_and_terms": "maintenance margin 50 bps to 2000000, 100 bps to 10000000, 200 bps to any; "
        "leverage up to 100 (as of 2025-05-31)",
    }
    assert rows[1]["withdrawal"].startswith("USDT fee 4, minimum 10, 10 min; ")
    free = costs_of(load_config(config(venues={"cex": {"binance": {"withdrawal": {}}, "bybit": {}}})))
    assert free[0]["withdrawal"] == "free, arrives at once"
    assert "withdrawal 9 days, gas stake 78000, " in rows[2]["margin_and_terms"]


def test_what_changes_within_the_run_is_shown_with_its_dates() -> None:
    own = {
        "spot_taker_fee_bps": [{"from": "2024-01-01", "value": 10}, {"from": "2024-06-02", "value": 8}],
        "slippage_bps": [{"from": "2024-01-01", "value": 1}, {"from": "2024-06-03", "value": 2}],
        "max_leverage": [{"from": "2024-01-01", "value": 100}, {"from": "2024-06-04", "value": 50}],
    }
    (row,) = costs_of(load_config(config(venues={"cex": {"bybit": own}})))
    assert row["fees"] == "spot taker 10, from 2024-06-02T00:00:00Z 8 bps, perp taker 5.5 bps"
    assert row["slippage"] == "1, from 2024-06-03T00:00:00Z 2 bps"
    assert "leverage up to 100, from 2024-06-04T00:00:00Z 50" in row["margin_and_terms"]


SPLIT = "Margin is the settlement token and the perps' unrealised profit; other coins on the exchange do not count as margin"


@pytest.mark.parametrize(
    ("margins", "expected"),
    [
        (("split", "split"), [f"{SPLIT}."]),
        (
            ("unified", "split"),
            [
                f"{SPLIT} (at okx).",
                "Coins on bybit count as margin after their haircuts; a liquidation there goes in steps, and what remains stays.",
            ],
        ),
    ],
)
def test_what_counts_as_margin_is_stated_for_each_kind_of_account(margins: tuple[str, str], expected: list[str]) -> None:
    own = {"unified": {"margin": "unified", "haircuts": {"ETH": 0.1}}, "split": {}}
    made = load_config(config(venues={"cex": dict(zip(("bybit", "okx"), (own[kind] for kind in margins), strict=True))}))
    assert [line for line in assumptions(made, {}) if "as margin" in line] == expected


def test_a_folder_without_a_config_of_this_version_has_no_assumed_costs(tmp_path: Path) -> None:
    assert costs_of_run(tmp_path) == []
    (tmp_path / "config.yaml").write_text("strategy_mode: luck\n")
    assert costs_of_run(tmp_path) == []


def test_the_days_of_a_queue_and_the_size_of_a_fill_are_listed() -> None:
    venues = {"cex": {"bybit": {"withdrawal": "default"}}, "dex": ["curve"], "onchain": {"lido": {"withdrawal_days": 9}, "wallet": {}}}
    settings = load_config(config(strategy={"spot_venue": "bybit", "perp_venue": "bybit"}, venues=venues))
    made = {name: make_venue(section, name, own) for section, rows in settings.venues.sections().items() for name, own in rows.items()}
    message = assumptions(settings, made)
    assert "The withdrawal queue of lido takes 9 days, whatever its length was." in message
    assert "Transfers out of the wallet pay gas and arrive at once." in message
    assert "A swap has the same slippage_bps whatever its size, but through a pool's state or depth_usd." in message
    size = "An order at bybit fills worse by slippage_bps and 1 x the daily volatility x the square root of its share of the volume"
    assert any(line.startswith(size) for line in message)


def test_the_gas_reserve_is_in_the_wallet_that_the_strategy_pays_from(sample: Path, tmp_path: Path) -> None:
    onchain = {"pool": {"protocol": "aave", "wallet": "cold"}, "cold": {"protocol": "wallet"}, "wallet": {}}
    own = {"strategy_mode": "pure_lending", "strategy": {"protocol": "pool", "token": "USDT"}, "venues": {"onchain": onchain}}
    placed = held(config(**own, gas_reserve_eth=1), sample, tmp_path)
    assert (list(placed), placed["cold"]["ETH"], placed["cold"]["USDT"] > 5_000) == (["cold"], 1, True)


def test_a_perp_without_figures_of_its_own_is_refused_before_the_run_or_assumed_and_named(
    sample: Path, tmp_path: Path, blocks: Path
) -> None:
    data = tmp_path / "data"
    for name in ("ohlcv/binance/perp/{}_1h", "funding/binance/{}"):
        path = data / f"{name.format('1000PEPEUSDT')}.csv"
        path.parent.mkdir(parents=True)
        path.write_text((sample / f"{name.format('ETHUSDT')}.csv").read_text())
    block = (
        '"block": {"instruction_type": "cex_trade", "venue": "binance", "trade_type": "perp", "side": "sell", "symbol": "1000PEPEUSDT", '
    )
    blocks.write_text(f'{{"timestamp": "2024-06-01T01:00:00Z", {block}"amount": 1}}}}\n')
    own = {"initial_positions": {"binance": {"USDT": 9000}}, "venues": {"cex": {"binance": {}}}}
    settings = config(strategy_mode="blocks", strategy={"file": str(blocks)}, end="2024-06-01T02:00:00Z", **own)
    with pytest.raises(ComponentError) as refused:
        build(settings, data, tmp_path / "results", tmp_path / "logs", report=False)
    assert (refused.value.error_code, refused.value.message) == (
        "CEX-001",
        "binance has no margin tiers, leverage and smallest order of 1000PEPEUSDT, only of ETH, BTC; "
        "write assume: {1000PEPEUSDT: {like: ETHUSDT}} in the config",
    )
    settings["assume"] = {"1000PEPEUSDT": {"like": "ETHUSDT"}}
    message = build(settings, data, tmp_path / "results", tmp_path / "logs", report=False).run().summary["assumptions"]
    assert message[-2] == ("binance: 1000PEPEUSDT is taken to have the figures of ETHUSDT (assume): margin, orders and fees.")
