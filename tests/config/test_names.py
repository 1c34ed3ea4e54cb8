"""A venue may have a name of its own and says what it is; a name alone says it only where it is, or begins with, an exchange's."""

from __future__ import annotations

from typing import Any

import pytest

from basis_strategy_v1.config import ConfigError, load_config
from basis_strategy_v1.venues import aave_settings, exchanges, wallet
from basis_strategy_v1.venues.registry import kind_of, known_names, place_of
from basis_strategy_v1.venues.venue import CEX, DEX, ONCHAIN


def with_venues(config: Any, **sections: Any) -> dict[str, Any]:
    given: dict[str, Any] = config("pure_lending") | {"strategy": {"protocol": "aave", "token": "USDT"}}
    return given | {"venues": {"onchain": {"aave": {}, "wallet": {}}, **sections}}


def lines_of(given: dict[str, Any], **purpose: bool) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(given, **(purpose or {"run": True}))
    return caught.value.message.splitlines()


def test_a_venue_with_a_name_of_its_own_has_the_settings_of_what_it_is(config: Any) -> None:
    cex = {"bybit_main": {"exchange": "bybit", "slippage_bps": 3}, "binance_spot": {}, "binance_perp": None, "main": {"exchange": "okx"}}
    onchain = {"aave": {}, "aave_two": {"protocol": "aave", "wallet": "cold"}, "wallet": {}, "cold": {"protocol": "wallet"}}
    venues = load_config(with_venues(config, cex=cex, onchain=onchain), run=True).venues
    kinds = {name: kind_of(name, own) for rows in venues.sections().values() for name, own in rows.items()}
    assert kinds == {
        "bybit_main": "bybit", "binance_spot": "binance", "binance_perp": "binance", "main": "okx",
        "aave": "aave", "aave_two": "aave", "wallet": "wallet", "cold": "wallet",
    }  # fmt: skip
    assert {name: type(own) for name, own in venues.onchain.items()} == {
        "aave": aave_settings.Settings, "aave_two": aave_settings.Settings, "wallet": wallet.Settings, "cold": wallet.Settings,
    }  # fmt: skip
    assert {type(own) for own in venues.cex.values()} == {exchanges.Settings}


def test_a_chain_has_a_wallet_of_its_own_and_series_of_its_own(config: Any) -> None:
    onchain = {"aave_arbitrum": {"protocol": "aave", "chain": "arbitrum"}}
    venues = load_config(with_venues(config, onchain=onchain)).venues
    assert place_of("aave_arbitrum", venues.onchain["aave_arbitrum"]) == ("aave_arbitrum", "aave_arbitrum", "arbitrum", "wallet_arbitrum")
    assert place_of("aave_two", aave_settings.Settings(protocol="aave")) == ("aave_two", "aave", "ethereum", "wallet")


@pytest.mark.parametrize("section", [CEX, DEX, ONCHAIN])
def test_a_name_that_says_nothing_is_refused_with_what_there_is(section: str, config: Any) -> None:
    says = "exchange" if section == CEX else "protocol"
    known = ", ".join(known_names(section))
    expected = f"venues.{section}.mine: unknown key; allowed: {known}, or a name of your own with {says}: one of these"
    assert lines_of(with_venues(config, **{section: {"mine": {}}}), run=False)[0] == expected


def test_what_a_venue_says_that_it_is_must_be_one_and_fit_a_name_that_is_one(config: Any) -> None:
    cex = {
        "mine": {"exchange": "bybitt"},
        "okx": {"exchange": "bybit"},
        "in_transit": {"exchange": "bybit"},
        "api_key": {"exchange": "okx"},
    }
    assert lines_of(with_venues(config, cex=cex)) == [
        "venues.cex.mine.exchange: 'bybitt'; allowed: binance | bybit | okx | hyperliquid; did you mean bybit?",
        "venues.cex.okx.exchange: 'bybit'; allowed: okx, or another name than okx for bybit",
        "venues.cex.in_transit: unknown key; allowed: binance, bybit, okx, hyperliquid, or a name of your own with exchange: one of these",
        "venues.cex.api_key: not shown; allowed: nothing: a secret comes from the environment only, such as BASIS_DEV__BINANCE__API_KEY",
    ]


def test_a_lender_has_its_own_settings_only(config: Any) -> None:
    onchain = {"aave": {"markets": {}}, "mine": {"protocol": "morpho", "reserves": {}}, "lido": {"rate_impact": True}}
    faults = [line.partition(";")[0] for line in lines_of(with_venues(config, onchain=onchain))]
    assert faults == [f"venues.onchain.{key}: unknown key" for key in ("aave.markets", "mine.reserves", "lido.rate_impact")]


def test_one_name_is_of_one_venue(config: Any) -> None:
    given = with_venues(config, cex={"main": {"exchange": "bybit"}}, onchain={"aave": {}, "main": {"protocol": "wallet"}})
    assert lines_of(given) == [
        "venues.onchain.main: the name of another venue, too; allowed: a name of its own: it identifies the venue in blocks and positions"
    ]


def test_a_wallet_that_is_named_is_configured(config: Any) -> None:
    onchain = {"aave": {"wallet": "cold"}, "cold_two": {"protocol": "wallet"}, "lido": {"wallet": "aave"}}
    assert lines_of(with_venues(config, onchain=onchain)) == [
        "venues.onchain.aave.wallet: 'cold'; allowed: a wallet under venues.onchain: cold_two",
        "venues.onchain.lido.wallet: 'aave'; allowed: a wallet under venues.onchain: cold_two",
    ]


def test_a_run_is_on_one_chain(config: Any) -> None:
    onchain = {"aave": {}, "aave_arbitrum": {"protocol": "aave", "chain": "arbitrum"}}
    assert lines_of(with_venues(config, onchain=onchain)) == [
        "venues.onchain.aave_arbitrum.chain: 'arbitrum'; allowed: ethereum, where the others are: one chain in a run"
    ]


def test_a_strategy_names_a_venue_of_the_kind_that_it_needs(config: Any) -> None:
    given = config("eth_leveraged")
    given["venues"]["onchain"] |= {"stake": {"protocol": "lido"}, "pool": {"protocol": "aave"}}
    given["strategy"] |= {"protocol": "stake", "lender": "pool"}
    load_config(given, run=True)
    given["strategy"] |= {"protocol": "pool", "lender": "lido", "target_ltv": 0.99}
    assert lines_of(given) == [
        "strategy.protocol: 'pool'; allowed: a venue under venues.onchain of lido | etherfi: lido, etherfi, stake",
        "strategy.lender: 'lido'; allowed: a venue under venues.onchain of aave | morpho: aave, morpho, pool",
    ]
    given["strategy"] |= {"protocol": "stake", "lender": "pool"}
    assert lines_of(given) == ["strategy.target_ltv: 0.99; allowed: at most 0.93, what pool lends on wstETH"]


def test_positions_at_the_start_are_where_a_venue_of_its_kind_keeps_them(config: Any) -> None:
    onchain = {"pool": {"protocol": "aave", "wallet": "cold"}, "aave": {}, "cold": {"protocol": "wallet"}}
    given = with_venues(config, onchain=onchain) | {"initial_positions": {"pool": {"USDT": 1, "aUSDT": 1}, "cold": {"ETH": 1}, "walet": {}}}
    assert lines_of(given) == [
        "initial_positions.pool.USDT: 'USDT'; allowed: aUSDT, variableDebtUSDT; USDT itself is held under cold",
        "initial_positions.walet: not configured; allowed: a venue under venues: pool, aave, cold, wallet; did you mean wallet?",
    ]
