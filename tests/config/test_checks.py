"""What must fit together."""

from __future__ import annotations

from typing import Any

import pytest

from basis_strategy_v1.config import ConfigError, load_config
from basis_strategy_v1.venues import exchanges
from basis_strategy_v1.venues.registry import known_names, offering
from basis_strategy_v1.venues.venue import CEX

EXCHANGES = " | ".join(known_names(CEX))


def lines_of(config: dict[str, Any], *, run: bool = True, live: bool = False) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(config, run=run, live=live)
    return caught.value.message.splitlines()


def test_the_end_is_after_the_start(config: Any) -> None:
    expected = ["end: 2024-06-01T00:00:00Z; allowed: a time after start, 2024-06-01T00:00:00Z"]
    assert lines_of(config() | {"end": "2024-06-01"}) == expected


def test_the_interval_need_not_divide_the_run(config: Any) -> None:
    load_config(config() | {"interval": "7h"}, run=True)


def test_a_strategy_uses_only_configured_venues(config: Any) -> None:
    given = config() | {"venues": {"cex": ["okx", "binance_spot"]}}
    assert lines_of(given) == [
        "strategy.spot_venue: 'bybit'; allowed: a venue under venues.cex: okx, binance_spot",
        "strategy.perp_venue: 'bybit'; allowed: a venue under venues.cex: okx, binance_spot",
    ]
    assert lines_of(config("pure_lending") | {"venues": {}}) == [
        "strategy.protocol: 'aave'; allowed: a venue under venues.onchain: there is none"
    ]
    load_config(given)


def test_a_name_that_is_nearly_one_is_answered_with_that_one(config: Any) -> None:
    given = config()
    given["strategy"] |= {"perp_venue": "Bybit", "spot_venue": "binnance"}
    assert lines_of(given) == [
        "strategy.perp_venue: 'Bybit'; allowed: a name under venues.cex; did you mean bybit?",
        "strategy.spot_venue: 'binnance'; allowed: a venue under venues.cex: bybit, binance_perp, hyperliquid; did you mean binance_perp?",
    ]


@pytest.mark.parametrize(
    ("lender", "settings", "target", "most"),
    [
        ("aave", {}, "0.93", None),
        ("aave", {}, "0.9301", "0.93, what aave lends on wstETH"),
        ("aave", {"reserves": {"wstETH": {"emode_category": 0}}}, "0.7851", "0.785, what aave lends on wstETH"),
        ("aave", {"reserves": {"wstETH": {"emode_category": 0, "ltv_bps": 9000, "liquidation_threshold_bps": 9200}}}, "0.9", None),
        ("morpho", {}, "0.94", None),
    ],
)
def test_a_loop_aims_at_no_more_than_the_pool_lends(config: Any, lender: str, settings: Any, target: str, most: str | None) -> None:
    given = config("eth_leveraged") | {"venues": {"dex": ["uniswap"], "onchain": {"lido": {}, lender: settings, "wallet": {}}}}
    given["strategy"] = {"protocol": "lido", "lender": lender, "target_ltv": target}
    if most is None:
        load_config(given, run=True)
        return
    assert lines_of(given) == [f"strategy.target_ltv: {target}; allowed: at most {most}"]


def test_a_section_with_a_fault_of_its_own_is_not_blamed_twice(config: Any) -> None:
    lines = lines_of(config() | {"venues": {"cex": ["bybitt"]}})
    assert lines == [f"venues.cex[0]: 'bybitt'; allowed: each once of {EXCHANGES}; did you mean bybit?"]


def test_a_venue_stands_once_in_a_list(config: Any) -> None:
    lines = lines_of(config() | {"venues": {"cex": ["bybit", "bybit"]}})
    assert lines == [f"venues.cex[1]: 'bybit'; allowed: each once of {EXCHANGES}"]


@pytest.mark.parametrize("row", exchanges.EXCHANGES.values(), ids=lambda row: row.name)
def test_a_lot_or_a_tick_is_of_a_symbol_in_what_the_exchange_settles_in(row: Any, config: Any) -> None:
    other = "USDT" if row.settle == "USDC" else "USDC"
    given = config()
    given["venues"]["cex"][f"{row.name}_two"] = {"lot": {f"ETH{other}": 1, f"ETH{row.settle}": 1}, "tick": {f"BTC{other}": 1, "ETH": 1}}
    path, why = f"venues.cex.{row.name}_two", f"{row.name} settles in {row.settle}"
    assert lines_of(given, run=False) == [
        f"{path}.lot.ETH{other}: 'ETH{other}'; allowed: ETH{row.settle}: {why}",
        f"{path}.tick.BTC{other}: 'BTC{other}'; allowed: BTC{row.settle}: {why}",
    ]


@pytest.mark.parametrize("protocol", offering("set_emode"))
def test_a_reserve_lends_less_than_it_is_liquidated_at_and_is_in_an_e_mode_that_there_is(protocol: str, config: Any) -> None:
    given = config()
    given["venues"]["onchain"][protocol] = {
        "reserves": {
            "WETH": {"ltv_bps": 8300, "liquidation_threshold_bps": 8050, "emode_category": 0},
            "wstETH": {"emode_category": 77},
            "USDT": {"ltv_bps": 1, "emode_category": 78},
        }
    }
    path = f"venues.onchain.{protocol}.reserves"
    assert lines_of(given, run=False) == [
        f"{path}.WETH.ltv_bps: 8300; allowed: at most liquidation_threshold_bps, 8050",
        f"{path}.wstETH.emode_category: 77; allowed: 0 | 1",
        f"{path}.USDT.emode_category: 78; allowed: 0 | 1",
    ]


def test_the_share_class_fits_the_strategy(config: Any) -> None:
    assert lines_of(config() | {"share_class": "eth_directional"}) == [
        "share_class: 'eth_directional'; allowed: usdt_stable with strategy_mode eth_basis"
    ]
    assert lines_of(config("pure_lending") | {"strategy": {"token": "WETH"}}) == [
        "strategy.token: 'WETH'; allowed: USDT | USDC with share_class usdt_stable"
    ]


def test_initial_positions_are_at_configured_venues_or_in_the_wallet(config: Any) -> None:
    held = {"bybit": {"USDT": 1}, "wallet": {"ETH": 1}, "okx": {"USDT": 1}}
    given = config() | {"initial_positions": held, "venues": {"cex": ["bybit"], "dex": ["curve"]}}
    assert lines_of(given) == ["initial_positions.okx: not configured; allowed: a venue under venues: bybit, curve, wallet"]
    assert lines_of(given | {"venues": {"cex": ["bybit"]}}) == [
        "initial_positions.wallet: not configured; allowed: a venue under venues: bybit",
        "initial_positions.okx: not configured; allowed: a venue under venues: bybit",
    ]


def test_initial_positions_at_a_protocol_are_deposits_and_debts_and_all_else_is_in_the_wallet(config: Any) -> None:
    held = {"aave": {"aUSDT": 1, "variableDebtWETH": 1, "USDT": 1}, "lido": {"wstETH": 1}, "morpho": {"USDT": 1}, "curve": {"WETH": 1}}
    assert lines_of(config() | {"initial_positions": held}) == [
        "initial_positions.aave.USDT: 'USDT'; allowed: aUSDT, variableDebtUSDT; USDT itself is held under wallet",
        "initial_positions.lido: wstETH; allowed: what lido pays out is held under wallet",
        "initial_positions.morpho: USDT; allowed: what morpho pays out is held under wallet",
        "initial_positions.curve: WETH; allowed: what curve pays out is held under wallet",
    ]


def test_a_sale_on_a_dex_needs_a_dex(config: Any) -> None:
    given = config("eth_staking_only")
    given["strategy"]["unstake"] = "dex"
    load_config(given, run=True)
    given["venues"]["dex"] = []
    assert lines_of(given) == ["strategy.unstake: 'dex'; allowed: queue, or configure a venue under venues.dex"]


def test_the_leverage_stays_within_the_venues_own(config: Any) -> None:
    given = config()
    given["strategy"]["leverage"] = 3
    given["venues"]["cex"]["bybit"] = {"max_leverage": 2.5}
    assert lines_of(given) == ["strategy.leverage: 3; allowed: at most max_leverage of bybit, 2.5"]


def test_a_percentage_is_no_fraction_and_the_fault_says_which_number_it_is(config: Any) -> None:
    given = config()
    given["strategy"] |= {"enter_above_apr": 8, "leave_below_apr": 1, "min_margin_ratio": 30}
    assert lines_of(given) == [
        "strategy.min_margin_ratio: 30; allowed: a number above 0 and below 1 (0.9 is 90 %)",
        "strategy.enter_above_apr: 8; allowed: a number above -1 and below 1 (0.08 is 8 %)",
        "strategy.leave_below_apr: 1; allowed: a number above -1 and below 1 (0.08 is 8 %)",
    ]


def test_a_strategy_does_not_leave_where_it_would_enter(config: Any) -> None:
    given = config()
    given["strategy"] |= {"enter_above_apr": 0.05, "leave_below_apr": 0.06}
    assert lines_of(given) == ["strategy.leave_below_apr: 0.06; allowed: at most enter_above_apr, 0.05"]


def test_a_target_ltv_needs_a_lender(config: Any) -> None:
    given = config("usdt_market_neutral")
    given["strategy"]["target_ltv"] = 0.5
    assert lines_of(given) == ["strategy.target_ltv: 0.5; allowed: null, or name a lender"]


def test_a_lender_needs_a_target_ltv(config: Any) -> None:
    given = config("usdt_market_neutral")
    given["strategy"]["lender"] = "aave"
    assert lines_of(given) == ["strategy.target_ltv: null; allowed: a fraction with a lender"]


def test_debt_is_repaid_from_a_sale_and_that_needs_a_dex(config: Any) -> None:
    given = config("eth_leveraged")
    given["venues"]["dex"] = []
    assert lines_of(given) == ["strategy.lender: 'aave'; allowed: a lender and a venue under venues.dex: debt is repaid from a sale there"]


def test_the_dex_where_a_token_usually_trades_is_configured_or_another_is_named(config: Any) -> None:
    given = config("eth_leveraged")
    given["venues"]["dex"] = ["curve"]
    assert lines_of(given) == ["strategy.dex: null; allowed: null with uniswap under venues.dex, or one of curve"]
    given["strategy"]["dex"] = "curve"
    load_config(given, run=True)


@pytest.mark.parametrize("leave_at", ["2024-06-01", "2024-07-02"])
def test_a_strategy_leaves_after_the_start_and_not_after_the_end(leave_at: str, config: Any) -> None:
    given = config("eth_staking_only")
    given["strategy"]["leave_at"] = leave_at
    assert lines_of(given) == [
        f"strategy.leave_at: {leave_at}T00:00:00Z; allowed: null, or a time after start, 2024-06-01T00:00:00Z, and not after end, "
        "2024-07-01T00:00:00Z"
    ]


@pytest.mark.parametrize("mode", ["custom", "blocks"])
def test_the_file_of_a_strategy_exists(mode: str, config: Any) -> None:
    given = config(mode) | {"strategy": {"file": "gone.py"}}
    load_config(given)
    what = {"custom": "a Python file, .py", "blocks": "a file"}[mode]
    assert lines_of(given) == [f"strategy.file: 'gone.py'; allowed: {what} that exists; a relative path starts at the folder of the config"]


def test_a_strategy_is_a_python_file(config: Any) -> None:
    assert lines_of(config("custom") | {"strategy": {"file": "blocks.jsonl"}}) == [
        "strategy.file: 'blocks.jsonl'; allowed: a Python file, .py"
    ]


def test_one_instruction_stays_within_the_day(config: Any) -> None:
    given = config()
    given["limits"]["max_notional_per_day"] = 10
    assert lines_of(given, live=True) == ["limits.max_notional_per_instruction: 50000; allowed: at most max_notional_per_day, 10"]


def test_live_needs_neither_start_nor_end_and_allots_what_is_at_configured_venues(config: Any) -> None:
    given = config()
    del given["start"], given["end"]
    given["live"] = {"allocation": {"bybit": {"USDT": 5}}}
    assert load_config(given, live=True).live.allocation == {"bybit": {"USDT": 5}}
    given["live"]["allocation"]["bybitt"] = {}
    assert lines_of(given, live=True) == [
        "live.allocation.bybitt: not configured; allowed: a venue under venues: bybit, binance_perp, hyperliquid, uniswap, curve, aave, "
        "morpho, lido, etherfi, wallet; did you mean bybit?"
    ]
    assert [line.partition(":")[0] for line in lines_of(given)] == ["start", "end"]


@pytest.mark.parametrize(
    ("attempts", "delay", "most"), [(9, 60, "0.2353"), (3, 20.1, "20"), (3, 20, None), (1, 60, None), (2, 60, None), (9, "0.235", None)]
)
def test_the_delays_of_one_instruction_take_a_minute_at_most(attempts: int, delay: Any, most: str | None, config: Any) -> None:
    given = config() | {"max_retry_attempts": attempts, "retry_delay_seconds": delay}
    if most is None:
        load_config(given)
        return
    assert lines_of(given, run=False) == [
        f"retry_delay_seconds: {delay}; allowed: at most {most} with {attempts} attempts: each delay is twice the one before, "
        "in all at most 60 s"
    ]


def test_a_strategy_mode_that_is_nearly_one_is_answered_with_that_one(config: Any) -> None:
    modes = "pure_lending | basis | eth_basis | btc_basis | eth_staking_only | eth_leveraged | usdt_market_neutral | blocks | custom"
    assert lines_of(config() | {"strategy_mode": "eth_bases"}, run=False) == [
        f"strategy_mode: 'eth_bases'; allowed: {modes}; did you mean eth_basis?"
    ]


def test_an_address_with_a_changed_digit_is_refused(config: Any) -> None:
    eth_utils = pytest.importorskip("eth_utils", reason="the checksum of an address takes the live extra")
    right = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    assert eth_utils.is_checksum_address(right)
    given, changed = config(), right.replace("5a", "5b")
    given["venues"]["onchain"]["aave"] = {"pool": right}
    given["limits"]["contracts"] = [right.lower(), "0x" + right[2:].upper()]
    load_config(given, live=True)
    given["venues"]["onchain"]["aave"] = {"pool": changed}
    assert lines_of(given, run=False) == [
        f"venues.onchain.aave.pool: '{changed}'; allowed: an address, 0x and 40 hexadecimal digits, with the right checksum"
    ]


def test_the_pools_of_a_dex_keep_their_order_and_are_another_config_in_another(config: Any) -> None:
    given, pools = config(), {"wstETH/WETH": "0x" + "1" * 40, "USDC/WETH": "0x" + "2" * 40}
    given["venues"]["dex"]["uniswap"] = {"pools": pools}
    typed = load_config(given)
    assert list(typed.effective["venues"]["dex"]["uniswap"]["pools"]) == ["wstETH/WETH", "USDC/WETH"]
    given["venues"]["dex"]["uniswap"] = {"pools": dict(reversed(pools.items()))}
    assert load_config(given).hash != typed.hash
