"""One instant of outside data: exact, and a miss says which series, when, and what there is."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import REDEEMED_BY, SAME_AS, DictSnapshot, GasRow, LendingRow, MarketSnapshot, MissingData, Seen, base_of

JUNE = datetime(2024, 6, 1, tzinfo=UTC)
NOW = to_instant(JUNE)
LENDING = dict(zip(LendingRow._fields[1:], (1.01, 0.05, 1.02, 0.07, 1e9, 5e8, 1.0001), strict=True))
DATA: dict[str, Any] = {
    "timestamp": JUNE,
    "market_data": {
        "prices": {"ETH": 3300.1, "USDT": 1.0},
        "spot_prices": {"bybit": {"ETHUSDT": 3300.25, "SOLUSDT": "160.5"}},
        "perp_prices": {"binance": {"ETHUSDT": 3301}},
        "funding_rates": {"binance": {"ETHUSDT": -0.0001}},
    },
    "protocol_data": {
        "aave": {"USDT": LENDING},
        "lido": {"wstETH": {"eth_per_token": 1.17}},
        "uniswap": {"wstETH_WETH": 1.169, "weETH_WETH": 1.04},
        "curve": {"weETH_WETH": 1.041},
    },
    "execution_data": {"gas": {"base_fee_gwei": 12.5, "priority_fee_gwei": 0}},
}
READERS: dict[str, Callable[[MarketSnapshot], Any]] = {
    "no spot data of bybit for BTCUSDT": lambda market: market.spot("bybit", "BTCUSDT"),
    "no perp data of binance for BTCUSDT": lambda market: market.perp("binance", "BTCUSDT"),
    "no perp data of binance for DOGEUSDT": lambda market: market.perp_range("binance", "DOGEUSDT"),
    "no funding data of binance for BTCUSDT": lambda market: market.funding("binance", "BTCUSDT"),
    "no funding data of binance for DOGEUSDT": lambda market: market.funding_missing("binance", "DOGEUSDT"),
    "no lending data of aave for WBTC": lambda market: market.lending("aave", "WBTC"),
    "no staking data of lido for stETH": lambda market: market.redemption("lido", "stETH"),
    "no dex data of uniswap for stETH_WETH": lambda market: market.dex_rate("uniswap", "stETH_WETH"),
}


def changed(*path: str, to: Any) -> DictSnapshot:
    """The data with one value replaced."""
    data = copy.deepcopy(DATA)
    table = data
    for name in path[:-1]:
        table = table[name]
    table[path[-1]] = to
    return DictSnapshot(JUNE, data)


def miss(read: Callable[[], Any]) -> str:
    with pytest.raises(MissingData) as missing:
        read()
    assert missing.value.error_code == "DAT-001"
    assert missing.value.message.isprintable()
    return missing.value.message


def test_a_dict_of_floats_is_read_as_the_decimals_that_they_print_as() -> None:
    market = DictSnapshot(JUNE, DATA)
    assert (market.at, market.instant) == (JUNE, NOW)
    assert market.spot("bybit", "ETHUSDT", for_trade=True) == Decimal("3300.25")
    assert market.spot("bybit", "SOLUSDT") == Decimal("160.5")
    assert market.perp("binance", "ETHUSDT") == Decimal(3301)
    assert market.perp_range("binance", "ETHUSDT") == (Decimal(3301), Decimal(3301))
    assert market.funding("binance", "ETHUSDT") == market.funding_missing("binance", "ETHUSDT") == Decimal("-0.0001")
    assert market.lending("aave", "USDT") == LendingRow(NOW, *(Decimal(repr(value)) for value in LENDING.values()))
    assert market.redemption("lido", "wstETH") == Decimal("1.17")
    assert market.dex_rate("uniswap", "wstETH_WETH") == Decimal("1.169")
    assert market.gas() == GasRow(Decimal("12.5"), Decimal(0))


def test_a_staked_token_trades_at_the_first_dex_that_has_it() -> None:
    market = DictSnapshot(JUNE, DATA)
    assert [market.market_rate(token) for token in ("weETH", "wstETH", "stETH")] == [Decimal("1.041"), Decimal("1.169"), None]


def test_a_dict_knows_of_no_other_instant_than_its_own() -> None:
    market = DictSnapshot(JUNE, DATA)
    assert market.row_stamp("lending", "aave", "USDT") == NOW
    assert market.next_row("lending", "aave", "USDT") is None
    assert market.next_beyond("binance", "ETHUSDT", Decimal(3400), above=True, until=NOW + 10) is None
    assert market.price_series("ETH") is None
    assert market.feed("spot", "bybit", "ETHUSDT") is None
    assert (market.next_expiry("staking", "lido", "wstETH"), market.next_repricing("ETH")) == (None, None)


@given(st.floats(1e-30, 1e30))
def test_any_price_is_exact(price: float) -> None:
    market = DictSnapshot(JUNE, {"market_data": {"prices": {"ETH": price}}})
    assert market.spot("anywhere", "ETHUSDT") == market.perp("anywhere", "ETHUSDC") == market.price("ETH") == Decimal(repr(price))


def test_what_a_token_is_worth() -> None:
    market = DictSnapshot(JUNE, DATA)
    prices = {token: market.price(token) for token in ("ETH", "USDT", "USDC", "WETH", "wstETH", "SOL")}
    eth = Decimal("3300.1")
    assert prices == {"ETH": eth, "USDT": 1, "USDC": 1, "WETH": eth, "wstETH": eth * Decimal("1.17"), "SOL": Decimal("160.5")}


def test_a_token_that_stands_for_another_has_its_price_unless_it_has_one() -> None:
    tokens = {*SAME_AS.values(), *(underlying for _, underlying in REDEEMED_BY.values())}
    rates: dict[str, Any] = {}
    for token, (protocol, _) in REDEEMED_BY.items():
        rates.setdefault(protocol, {})[token] = {"eth_per_token": 2}
    plain = DictSnapshot(JUNE, {"market_data": {"prices": dict.fromkeys(tokens, 5)}, "protocol_data": rates})
    assert {plain.price(token) for token in (*tokens, *SAME_AS)} == {Decimal(5)}
    assert {plain.price(token) for token in REDEEMED_BY} == {Decimal(10)}
    own = DictSnapshot(JUNE, {"market_data": {"prices": dict.fromkeys((*SAME_AS, *REDEEMED_BY, "USDC"), 0.5)}})
    assert {own.price(token) for token in (*SAME_AS, *REDEEMED_BY, "USDC")} == {Decimal("0.5")}


@pytest.mark.parametrize(("begins", "read"), READERS.items())
@pytest.mark.parametrize("data", [DATA, {}, None, [], {"market_data": None, "protocol_data": 5, "execution_data": []}], ids=range(5))
def test_a_miss_names_the_series_and_the_time(begins: str, read: Callable[[MarketSnapshot], Any], data: Any) -> None:
    assert miss(lambda: read(DictSnapshot(JUNE, data))).startswith(f"{begins} at 2024-06-01T00:00:00Z; ")


def test_a_miss_says_what_there_is() -> None:
    market, empty, prices = DictSnapshot(JUNE, DATA), DictSnapshot(JUNE, {}), DictSnapshot(JUNE, {"market_data": {"prices": {"ETH": 1}}})
    many = changed("market_data", "spot_prices", "bybit", to={f"A{n}USDT": n for n in range(15)})
    listed = ", ".join(f"A{n}USDT" for n in range(10))
    for snapshot, kind, venue, there_is in [
        (market, "spot", "bybit", "bybit has ETHUSDT, SOLUSDT"),
        (many, "spot", "bybit", f"bybit has {listed} and 5 more"),
        (market, "perp", "bybit", "the data have none"),
        (market, "funding", "binance", "binance has ETHUSDT"),
        (market, "lending", "aave", "aave has USDT"),
        (market, "dex", "uniswap", "uniswap has wstETH_WETH, weETH_WETH"),
        (prices, "perp", "bybit", "the data have prices of ETH"),
        (prices, "funding", "bybit", "the data have none"),
        (empty, "gas", "ethereum", "the data have none"),
    ]:
        assert snapshot.what_there_is(kind, venue) == there_is
    assert miss(empty.gas) == "no gas data of ethereum for ethereum at 2024-06-01T00:00:00Z; the data have none"
    assert miss(lambda: market.price("DOGE")) == "no price of DOGE at 2024-06-01T00:00:00Z; the data have prices of ETH, USDT"
    assert miss(lambda: empty.price("DOGE")) == "no price of DOGE at 2024-06-01T00:00:00Z; the data have none"


@pytest.mark.parametrize("value", [math.nan, math.inf, "", "nan", "1,5", True, [1], {}, 10**5000, "1e999"], ids=range(10))
def test_data_that_are_no_number_are_a_miss_and_never_a_price(value: Any) -> None:
    assert miss(lambda: changed("market_data", "spot_prices", "bybit", "ETHUSDT", to=value).spot("bybit", "ETHUSDT")).startswith(
        "the spot price of ETHUSDT on bybit at 2024-06-01T00:00:00Z must "
    )
    assert "the funding rate of ETHUSDT on binance" in miss(
        lambda: changed("market_data", "funding_rates", "binance", "ETHUSDT", to=value).funding("binance", "ETHUSDT")
    )


@pytest.mark.parametrize("value", [0, 0.0, -1, "-0.5"])
def test_no_price_is_zero_or_less(value: Any) -> None:
    for market, read in [
        (changed("market_data", "prices", "ETH", to=value), lambda market: market.price("ETH")),
        (changed("market_data", "perp_prices", "binance", "ETHUSDT", to=value), lambda market: market.perp("binance", "ETHUSDT")),
        (changed("protocol_data", "curve", "weETH_WETH", to=value), lambda market: market.market_rate("weETH")),
        (changed("protocol_data", "lido", "wstETH", "eth_per_token", to=value), lambda market: market.redemption("lido", "wstETH")),
    ]:
        assert miss(lambda read=read, market=market: read(market)).endswith(f"T00:00:00Z must be greater than 0, got {value!r}")


@pytest.mark.parametrize("field", LENDING)
@pytest.mark.parametrize("value", [None, math.nan])
def test_a_lending_row_without_a_field_is_a_miss_and_no_silent_zero(field: str, value: Any) -> None:
    message = miss(lambda: changed("protocol_data", "aave", "USDT", field, to=value).lending("aave", "USDT"))
    assert message.startswith(f"the {field} of USDT on aave at 2024-06-01T00:00:00Z ")


def test_gas_without_its_priority_fee_is_a_miss() -> None:
    message = miss(changed("execution_data", "gas", to={"base_fee_gwei": 1}).gas)
    assert message == "the priority_fee_gwei of gas at 2024-06-01T00:00:00Z is missing; a row has base_fee_gwei, priority_fee_gwei"


@pytest.mark.parametrize(
    ("symbol", "base"), [("ETHUSDT", "ETH"), ("ETHUSDC", "ETH"), ("USDCUSDT", "USDC"), ("USDT", "USDT"), ("ETHBTC", "ETHBTC")]
)
def test_a_symbol_is_base_and_dollar_token(symbol: str, base: str) -> None:
    assert base_of(symbol) == base


PLACES = ["market_data", "protocol_data", "execution_data", "prices", "spot_prices", "bybit", "BTCUSDT", "BTC", "gas", "aave", "WBTC"]
LEAVES = st.none() | st.integers() | st.floats() | st.text(max_size=3)


@given(st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(PLACES), inner, max_size=4)))
def test_whatever_the_data_are_a_reader_gives_an_exact_value_or_a_miss(data: Any) -> None:
    market = DictSnapshot(JUNE, data)
    for read in (*READERS.values(), MarketSnapshot.gas, lambda market: market.price("BTC")):
        try:
            found = read(market)
        except ComponentError as missing:
            assert isinstance(missing, MissingData)
        else:
            assert isinstance(found, Decimal | tuple)


class Hourly(DictSnapshot):
    """A source that knows when its next row comes and nothing of what it has."""

    __slots__ = ()

    def next_row(self, kind: str, venue: str, name: str) -> int | None:
        return self.instant + 3_600

    def what_there_is(self, kind: str, venue: str) -> str:
        return MarketSnapshot.what_there_is(self, kind, venue)


def test_a_source_without_bars_may_reach_any_price_at_its_next_row() -> None:
    market = Hourly(JUNE, {})
    ahead = [market.next_beyond("binance", "ETHUSDT", Decimal(1), above=False, until=NOW + until) for until in (3_599, 3_600)]
    assert ahead == [None, NOW + 3_600]
    assert miss(lambda: market.spot("bybit", "ETHUSDT")).endswith("; the data have none")


def test_an_instant_that_is_known_is_not_worked_out_again() -> None:
    class Known(Hourly):
        def __init__(self) -> None:
            MarketSnapshot.__init__(self, JUNE, 7)

    assert Known().instant == 7
    with pytest.raises(ValueError, match="needs a time zone"):
        DictSnapshot(JUNE.replace(tzinfo=None), DATA)


def test_a_dict_knows_the_last_funding_rate_as_the_mean_of_each_8_hours() -> None:
    known = DictSnapshot(JUNE, {"market_data": {"prices": {}, "funding_rates": {"bybit": {"ETHUSDT": 0.0001}}}})
    assert known.mean_funding("bybit", "ETHUSDT", 72) == Decimal("0.1095")
    with pytest.raises(MissingData, match=r"no funding data of bybit for BTCUSDT at .*; bybit has ETHUSDT"):
        known.mean_funding("bybit", "BTCUSDT", 72)


def test_a_strategy_sees_what_was_known_and_not_when_more_will_be() -> None:
    seen = Seen(DictSnapshot(JUNE, {"market_data": {"prices": {"ETH": 3300}}}))
    assert (seen.at, seen.price("ETH")) == (JUNE, Decimal(3300))
    for hidden in ("next_row", "next_beyond", "feed", "_close"):
        with pytest.raises(AttributeError, match=f"a strategy's snapshot has no {hidden}"):
            getattr(seen, hidden)


def test_a_strategy_can_list_what_it_may_ask() -> None:
    listed = dir(Seen(DictSnapshot(JUNE, {})))
    asked = {"at", "spot", "perp", "funding", "mean_funding", "lending", "redemption", "dex_rate", "pool", "price", "gas", "names"}
    assert asked <= set(listed)
    assert [name for name in listed if name.startswith(("_", "next_")) or name == "feed"] == []


def test_what_a_strategy_may_not_ask_is_answered_with_what_it_may() -> None:
    class Broken(DictSnapshot):
        __slots__ = ()

        @property
        def gas(self) -> Any:
            raise AttributeError("a fault of the snapshot's own")

    seen = Seen(Broken(JUNE, {}))
    with pytest.raises(AttributeError, match=r"^a strategy's snapshot has no prices; it has at, dex_rate, funding, gas, "):
        _ = seen.prices
    with pytest.raises(AttributeError, match=r"^a fault of the snapshot's own$"):
        _ = seen.gas


BOTH = {"protocol_data": {name: {"weETH_WETH": 1.04} for name in ("curve", "uniswap")}}


def test_a_rate_that_is_too_old_is_no_market_rate_and_the_next_one_is_asked() -> None:
    class Old(DictSnapshot):
        __slots__ = ()

        def _close(self, kind: str, venue: str, name: str, *, for_trade: bool) -> Decimal | None:
            if venue == "curve":
                raise MissingData("DAT-002", "too old")
            return Decimal("1.04")

    assert Old(JUNE, BOTH).market_rate("weETH") == Decimal("1.04")


def test_a_dex_whose_first_price_is_not_visible_yet_is_passed_over() -> None:
    class Later(DictSnapshot):
        __slots__ = ()

        def _close(self, kind: str, venue: str, name: str, *, for_trade: bool) -> Decimal | None:
            return None if venue == "curve" else super()._close(kind, venue, name, for_trade=for_trade)

    assert Later(JUNE, BOTH).market_rate("weETH") == Decimal("1.04")
    assert Later(JUNE, {"protocol_data": {"curve": {"weETH_WETH": 1.04}}}).market_rate("weETH") is None


def test_a_dict_without_pools_or_markets_says_so() -> None:
    bare = DictSnapshot(JUNE, {})
    assert (bare.names("pool", "uniswap"), bare.names("market", "morpho"), bare.feed("spot", "bybit", "ETHUSDT")) == ((), (), None)
    for read in (lambda: bare.pool("uniswap", "wstETH/WETH"), lambda: bare.lending_market("morpho", "wstETH/WETH")):
        with pytest.raises(MissingData, match="wstETH_WETH"):
            read()


def test_a_dict_has_no_bars_no_volume_and_publishes_nothing() -> None:
    known, key = DictSnapshot(JUNE, {"market_data": {"prices": {"ETH": 3300}}}), ("spot", "bybit", "ETHUSDT")
    assert known.next_close_beyond(key, Decimal(1), above=True, until=NOW + 10) is None
    assert (known.bar_interval_us(*key), known.traded_before(*key), known.last_volume(*key)) == (0, None, None)
    assert known.published_closes(key, NOW, Decimal(50), 1) is None
