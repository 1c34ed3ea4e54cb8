"""The ledger: units, the fast reading of equity against the slow one, and where each part of a change is put."""

from __future__ import annotations

from array import array
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from basis_strategy_v1.core.attribution_sources import SOURCES
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost, ExecutionReport
from basis_strategy_v1.core.market import MarketSnapshot, MissingData
from basis_strategy_v1.core.tokens import REBASING
from basis_strategy_v1.data.data_provider import DataProvider
from basis_strategy_v1.data.snapshot import SeriesSnapshot
from basis_strategy_v1.results.attribution import Attribution, AttributionLedger, to_units, units_text
from basis_strategy_v1.results.line import FOR_GOOD
from basis_strategy_v1.venues.venue import Exposure, PerpExposure

D = Decimal
UNIT = D("1e-12")
START = datetime(2024, 6, 1, tzinfo=UTC)
amounts = st.decimals(min_value=-(10**9), max_value=10**9, places=18)
sizes = st.decimals(min_value=-(10**4), max_value=10**4, places=8)


@given(amounts)
def test_units_are_the_amount_rounded_half_to_even_at_the_twelfth_decimal(amount: Decimal) -> None:
    assert to_units(amount) * UNIT == amount.quantize(UNIT, ROUND_HALF_EVEN)


@pytest.mark.parametrize(("halves", "units"), [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2), (-5, -2)])
def test_half_a_unit_goes_to_the_even_one(provider: DataProvider, halves: int, units: int) -> None:
    amount = halves * UNIT / 2
    assert to_units(amount) == units
    attribution = Attribution("usdt_stable")
    attribution.open(*Held((amount, D(0), D(0), D(0)), ((D(0), D(0)), (D(0), D(0)))).exposures(), at(provider, 3))
    assert (attribution.is_line, attribution.mark(at(provider, 4))[0]) == (True, units)
    assert attribution.marks(array("q", [at(provider, 5).instant]))[0] == [units]


@given(st.integers(-(10**30), 10**30))
def test_the_text_of_units_is_the_number_itself(units: int) -> None:
    text = units_text(units)
    assert to_units(D(text)) == units
    assert "E" not in text and not text.startswith(("-.", "."))
    assert "." not in text or text[-1] not in "0."


@pytest.mark.parametrize(
    ("units", "text"),
    [(0, "0"), (1, "0.000000000001"), (-1, "-0.000000000001"), (10**12, "1"), (-15 * 10**11, "-1.5"), (123456789 * 10**10, "1234567.89")],
)
def test_units_are_written_without_zeros_at_the_end(units: int, text: str) -> None:
    assert units_text(units) == text


# The market of these tests: ETH and BTC spot and perp on two exchanges, and a staked token, by the hour.


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> DataProvider:
    folder = tmp_path_factory.mktemp("market")
    bars = "timestamp,open,high,low,close,volume\n"
    for name, first, step in (
        ("bybit/spot/ETHUSDT", D("3000.25"), D("1.07")),
        ("bybit/spot/BTCUSDT", D(70000), D("-13.5")),
        ("bybit/perp/ETHUSDT", D("3001.125"), D("1.11")),
        ("binance/perp/BTCUSDT", D(70010), D("-12.25")),
    ):
        rows = [f"{stamp(hour - 1)},1,{first + step * hour},1,{first + step * hour},1\n" for hour in range(50)]
        write(folder / f"ohlcv/{name}_1h.csv", bars, rows)
    redeemed = [f"{stamp(hour)},{D('1.17') + D('0.0001') * (hour // 24)}\n" for hour in (0, 24, 48)]
    write(folder / "staking/lido/wstETH.csv", "timestamp,eth_per_token\n", redeemed)
    traded = [f"{stamp(hour)},{D('1.1689')}\n" for hour in range(49)]
    write(folder / "dex/uniswap_v3/wstETH_WETH.csv", "timestamp,eth_per_token\n", traded)
    return DataProvider(folder)


def write(path: Path, header: str, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join([header, *rows]))


def stamp(hour: int) -> str:
    return (START + timedelta(hours=hour)).isoformat().replace("+00:00", "Z")


def at(provider: DataProvider, hour: int) -> MarketSnapshot:
    return provider.snapshot(START + timedelta(hours=hour))


class Held(NamedTuple):
    """Amounts of USDT, ETH, BTC, wstETH, and two perps as (base, cost)."""

    tokens: tuple[Decimal, ...]
    perps: tuple[tuple[Decimal, Decimal], ...]

    def exposures(self) -> tuple[list[Exposure], list[PerpExposure]]:
        names = ("USDT", "ETH", "BTC", "wstETH")
        held = [Exposure("bybit", name, name, amount) for name, amount in zip(names, self.tokens, strict=True) if amount]
        rows = (("bybit", "ETHUSDT"), ("binance", "BTCUSDT"))
        perps = zip(rows, self.perps, strict=True)
        return held, [PerpExposure(venue, venue, symbol, "USDT", *perp) for (venue, symbol), perp in perps if perp[0]]


holdings = st.builds(Held, st.tuples(sizes, sizes, sizes, sizes), st.tuples(st.tuples(sizes, amounts), st.tuples(sizes, amounts)))


def readings(provider: DataProvider, share_class: str, first: Held, then: Held) -> tuple[list[tuple[int, int, int]], dict[str, int], bool]:
    """What the ledger says at some hours, with other holdings from the 30th on; and whether they were read by the line.

    At the 24th and the 48th hour a new redemption rate is published: there time is settled, as the engine does.
    """
    attribution = Attribution(share_class)
    attribution.open(*first.exposures(), at(provider, 3))
    marks = [attribution.mark(at(provider, hour)) for hour in (3, 4, 20)]
    attribution.settle(*first.exposures(), at(provider, 24))
    attribution.rebase(*then.exposures(), at(provider, 30))
    marks += [attribution.mark(at(provider, hour)) for hour in (30, 31)]
    attribution.settle(*then.exposures(), at(provider, 48))
    marks.append(attribution.mark(at(provider, 49)))
    return marks, attribution.totals(at(provider, 49)), attribution.is_line


@given(holdings, holdings)
def test_the_line_reads_the_same_equity_as_the_prices_one_by_one(provider: DataProvider, first: Held, then: Held) -> None:
    by_line = readings(provider, "usdt_stable", first, then)
    with patch.object(SeriesSnapshot, "price_series", lambda self, token: None), patch.object(SeriesSnapshot, "feed", lambda *of: None):
        one_by_one = readings(provider, "usdt_stable", first, then)
    assert by_line[:2] == one_by_one[:2]
    assert by_line[2]
    assert not one_by_one[2] or not any((*then.tokens[1:], *(perp[0] for perp in then.perps)))


@given(holdings, st.integers(4, 22), st.integers(1, 8), st.sampled_from([1, 2, 3]))
def test_hours_marked_in_one_piece_are_those_marked_one_by_one(
    provider: DataProvider, held: Held, first: int, many: int, step: int
) -> None:
    """Each hour, as the bars are, or more seldom."""
    attribution = Attribution("usdt_stable")
    attribution.open(*held.exposures(), at(provider, 3))
    hours = range(first, min(first + many * step, 24), step)
    one_by_one = [attribution.mark(at(provider, hour)) for hour in hours]
    assert attribution.is_line
    columns = attribution.marks(array("q", [at(provider, hour).instant for hour in hours]))
    assert list(zip(*columns, strict=True)) == one_by_one
    assert attribution.mark(at(provider, 23)) == tuple(column[0] for column in attribution.marks(array("q", [at(provider, 23).instant])))


@given(holdings, holdings, st.sampled_from(["usdt_stable", "eth_directional"]))
def test_the_sources_add_up_to_the_change_of_equity(provider: DataProvider, first: Held, then: Held, share_class: str) -> None:
    marks, totals, _ = readings(provider, share_class, first, then)
    assert list(totals) == list(SOURCES)
    assert sum(totals.values()) == marks[-1][0] - marks[0][0]


def test_the_series_that_prices_a_token_is_looked_for_again_when_another_one_begins(tmp_path: Path) -> None:
    """Binance comes first among the venues, and its series begins at the 30th hour."""
    bars = "timestamp,open,high,low,close,volume\n"
    for venue, first, price in (("bybit", 0, 3000), ("binance", 29, 3300)):
        write(
            tmp_path / f"ohlcv/{venue}/spot/ETHUSDT_1h.csv",
            bars,
            [f"{stamp(hour)},{price},{price},{price},{price},1\n" for hour in range(first, 60)],
        )
    provider = DataProvider(tmp_path, spot_venues=("binance", "bybit"), since=START + timedelta(hours=2), until=START + timedelta(hours=60))
    held = [Exposure("bybit", "ETH", "ETH", D(2))]
    attribution = Attribution("usdt_stable")
    attribution.open(held, [], at(provider, 5))
    ends = [attribution.valid_until]
    for hour in (10, 29):
        attribution.rebase(held, [], at(provider, hour))
        ends.append(attribution.valid_until)
    assert ends == [at(provider, 30).instant] * 3
    assert units_text(attribution.mark(at(provider, 29))[0]) == "6000"
    attribution.rebase(held, [], at(provider, 30))
    assert (units_text(attribution.mark(at(provider, 30))[0]), attribution.valid_until) == ("6600", FOR_GOOD)


def test_time_does_not_pass_a_price_that_is_too_old(tmp_path: Path) -> None:
    bars = "timestamp,open,high,low,close,volume\n"
    write(tmp_path / "ohlcv/bybit/spot/ETHUSDT_1h.csv", bars, [f"{stamp(hour)},1,1,1,1,1\n" for hour in (0, 1, 2, 40, 41)])
    provider = DataProvider(tmp_path, max_staleness="5h")
    held = [Exposure("bybit", "ETH", "ETH", D(2))]
    attribution = Attribution("usdt_stable")
    attribution.open(held, [], at(provider, 2))
    with pytest.raises(MissingData, match="the last row visible at 2024-06-01T20:00:00Z"):
        attribution.settle(held, [], at(provider, 20))
    attribution.settle(held, [], at(provider, 41))


@given(holdings)
def test_equity_is_the_value_of_the_positions_at_the_prices_of_the_hour(provider: DataProvider, held: Held) -> None:
    eth, btc = D("3000.25") + D("1.07") * 20, D(70000) - D("13.5") * 20
    perp_eth, perp_btc = D("3001.125") + D("1.11") * 20, D(70010) - D("12.25") * 20
    usdt, ethers, bitcoins, staked = held.tokens
    worth = usdt + ethers * eth + bitcoins * btc + staked * D("1.17") * eth
    worth += sum(base * price - cost for (base, cost), price in zip(held.perps, (perp_eth, perp_btc), strict=True) if base)
    attribution = Attribution("usdt_stable")
    attribution.open(*held.exposures(), at(provider, 20))
    assert attribution.initial_equity == to_units(worth)
    in_ether = Attribution("eth_directional")
    in_ether.open(*held.exposures(), at(provider, 20))
    assert abs(in_ether.initial_equity - to_units(worth / eth)) <= 1


def test_a_redemption_rate_that_rises_is_staking_and_the_price_is_not(provider: DataProvider) -> None:
    held = Held((D(0), D(0), D(0), D(100)), ((D(0), D(0)),) * 2)
    attribution = Attribution("eth_directional")
    attribution.open(*held.exposures(), at(provider, 20))
    assert attribution.next_rate(at(provider, 20)) == at(provider, 24).instant
    attribution.settle(*held.exposures(), at(provider, 24))
    totals = attribution.totals(at(provider, 30))
    assert {source: units_text(units) for source, units in totals.items() if units} == {"staking": "0.01"}
    assert units_text(attribution.mark(at(provider, 30))[0]) == "117.01"
    assert units_text(attribution.at_market(at(provider, 30))) == "116.89"


def test_a_staked_token_without_a_market_keeps_its_redemption_rate(provider: DataProvider) -> None:
    attribution = Attribution("eth_directional")
    attribution.open([Exposure("wallet", "wstETH", "wstETH", D(100))], [], at(provider, 20))
    with patch.object(SeriesSnapshot, "market_rate", lambda self, token: None):
        assert attribution.at_market(at(provider, 20)) == attribution.initial_equity


# What the market pays for staked tokens: wstETH trades at 1.1689 and is redeemed for 1.17, both to be had for one stETH each.


def worth_at_market(provider: DataProvider, share_class: str, *held: Exposure) -> Decimal:
    """The equity at market of the positions, at the 20th hour."""
    attribution = Attribution(share_class)
    attribution.open(list(held), [], at(provider, 20))
    return D(units_text(attribution.at_market(at(provider, 20))))


def traded_at(**rates: Decimal) -> Any:
    """The market's prices are these and no others."""
    return patch.object(SeriesSnapshot, "market_rate", lambda self, token: rates.get(token))


def in_wallet(token: str, amount: Decimal) -> Exposure:
    return Exposure("wallet", token, token, amount, "staking" if token in REBASING else "spot_price")


@pytest.mark.parametrize(("share_class", "ether"), [("eth_directional", D(1)), ("usdt_stable", D("3021.65"))])
def test_a_rebasing_token_is_worth_at_market_what_its_wrapped_form_makes_of_it(
    share_class: str, ether: Decimal, provider: DataProvider
) -> None:
    worth = worth_at_market(provider, share_class, in_wallet("stETH", D(117)))
    assert worth == (117 * D("1.1689") / D("1.17") * ether).quantize(UNIT)
    assert worth == worth_at_market(provider, share_class, in_wallet("wstETH", D(100)))


def test_the_price_of_the_token_itself_goes_before_that_of_its_other_form(provider: DataProvider) -> None:
    with traded_at(stETH=D("0.998"), wstETH=D("1.1689")):
        assert worth_at_market(provider, "eth_directional", in_wallet("stETH", D(100))) == D("99.8")
        assert worth_at_market(provider, "eth_directional", in_wallet("wstETH", D(100))) == D("116.89")


def test_a_wrapped_token_without_a_price_is_so_many_of_the_rebasing_one(provider: DataProvider) -> None:
    with traded_at(stETH=D("0.998")):
        assert worth_at_market(provider, "eth_directional", in_wallet("wstETH", D(100))) == D("116.766")


def test_without_a_redemption_rate_the_price_of_the_other_form_says_nothing(provider: DataProvider) -> None:
    with traded_at(weETH=D("1.03")):  # the data have no staking/etherfi
        assert worth_at_market(provider, "eth_directional", Exposure("bybit", "eETH", "eETH", D(100))) == 100


def test_staked_tokens_are_at_market_wherever_they_are_and_what_is_queued_or_no_stake_is_not(provider: DataProvider) -> None:
    lent = Exposure("aave", "awstETH", "wstETH", D(60), "supply_interest")
    queued = Exposure("lido", "ETH-QUEUED", "ETH", D(7))
    held = [in_wallet("wstETH", D(40)), lent, queued, in_wallet("WETH", D(3)), Exposure("aave", "variableDebtWETH", "WETH", D(-2))]
    assert worth_at_market(provider, "eth_directional", *held) == 100 * D("1.1689") + 7 + 3 - 2


def test_what_arrives_or_is_taken_has_not_accrued(provider: DataProvider) -> None:
    attribution = Attribution("usdt_stable")
    owed = Exposure("aave", "debt", "USDT", D(-300), "borrow_interest")
    attribution.open([Exposure("aave", "aUSDT", "USDT", D(500), "supply_interest"), owed], [], at(provider, 20))
    taken = ExecutionReport(
        key="1", venue="aave", at=START, kind="liquidation", expected=Deltas(), details={},
        deltas=Deltas.at("aave", {"aUSDT": D(-100), "debt": D(-301)}), costs=(Cost("liquidation", "USDT", D(-201)),),
    )  # fmt: skip
    attribution.settle([Exposure("aave", "aUSDT", "USDT", D(402), "supply_interest")], [], at(provider, 21), [taken])
    attribution.book([taken], at(provider, 21))
    totals = {source: units_text(units) for source, units in attribution.totals(at(provider, 21)).items() if units}
    assert totals == {"supply_interest": "2", "borrow_interest": "-1", "liquidation": "201"}


def test_without_a_staked_token_there_is_no_next_rate_and_the_market_price_is_the_same(provider: DataProvider) -> None:
    attribution = Attribution("usdt_stable")
    attribution.open([Exposure("bybit", "ETH", "ETH", D(1))], [], at(provider, 20))
    assert attribution.next_rate(at(provider, 20)) is None
    assert attribution.at_market(at(provider, 20)) == attribution.initial_equity


def test_what_grows_is_interest_at_the_price_when_it_grew(provider: DataProvider) -> None:
    attribution = Attribution("usdt_stable")
    attribution.open([Exposure("aave", "aWETH", "ETH", D(10), "supply_interest")], [], at(provider, 10))
    attribution.settle([Exposure("aave", "aWETH", "ETH", D("10.5"), "supply_interest")], [], at(provider, 20))
    eth_10, eth_20 = D("3010.95"), D("3021.65")
    totals = attribution.totals(at(provider, 20))
    assert {source: units_text(units) for source, units in totals.items() if units} == {
        "supply_interest": str((D("0.5") * eth_20).normalize()),
        "spot_price": str((10 * (eth_20 - eth_10)).normalize()),
    }


def test_a_cost_in_a_coin_is_recorded_at_its_price(provider: DataProvider) -> None:
    attribution = Attribution("usdt_stable")
    attribution.open([], [], at(provider, 20))
    report = ExecutionReport(
        key="1", venue="bybit", at=START, kind="execution", deltas=Deltas(), expected=Deltas(),
        costs=(Cost("fees", "ETH", D("0.1")), Cost("funding", "USDT", D(-3)), Cost("gas", "ETH", D(0))), details={},
    )  # fmt: skip
    attribution.book([report], at(provider, 20))
    assert units_text(attribution.recorded["fees"]) == "-302.165"
    assert units_text(attribution.recorded["funding"]) == "3"
    assert attribution.recorded["gas"] == 0


def test_the_costs_of_a_replayed_report_are_not_charged_again(provider: DataProvider) -> None:
    moment, cost = datetime(2024, 6, 2, tzinfo=UTC), Cost("fees", "USDT", D("1.5"))
    report = ExecutionReport("k", "bybit", moment, "execution", Deltas(), Deltas(), (cost,))
    attribution = Attribution("usdt_stable")
    attribution.open([], [], at(provider, 3))
    attribution.book([report], at(provider, 3))
    attribution.book([replace(report, replayed=True), replace(report, replayed=True)], at(provider, 3))
    assert {source: units for source, units in attribution.recorded.items() if units} == {"fees": to_units(D("-1.5"))}


def test_a_perp_in_another_dollar_is_read_price_by_price(provider: DataProvider) -> None:
    attribution = Attribution("usdt_stable")
    attribution.open([], [PerpExposure("bybit", "bybit", "ETHUSDT", "USDC", D(-1), D(-3000))], at(provider, 20))
    assert not attribution.is_line
    assert units_text(attribution.initial_equity) == "-23.325"


# From one process to the next.


@given(share_class=st.sampled_from(["usdt_stable", "eth_directional"]), first=holdings, then=holdings)
def test_a_restored_ledger_goes_on_as_if_nothing_had_been(provider: DataProvider, share_class: str, first: Held, then: Held) -> None:
    attribution = Attribution(share_class)
    attribution.open(*first.exposures(), at(provider, 3))
    attribution.rebase(*then.exposures(), at(provider, 10))
    restored = Attribution(share_class)
    stored = msgspec.json.decode(msgspec.json.encode(attribution.ledger()), type=AttributionLedger)
    restored.restore(stored, at(provider, 10))
    assert (restored.valid_until, restored.is_line, restored.ledger()) == (
        attribution.valid_until,
        attribution.is_line,
        attribution.ledger(),
    )
    for each in (attribution, restored):
        each.settle(*then.exposures(), at(provider, 24))
    assert restored.mark(at(provider, 30)) == attribution.mark(at(provider, 30))
    for each in (attribution, restored):
        each.rebase(*first.exposures(), at(provider, 31))
    assert restored.totals(at(provider, 47)) == attribution.totals(at(provider, 47))


@given(first=holdings)
def test_where_the_market_of_then_is_gone_the_equity_is_the_same_and_the_sources_add_up(provider: DataProvider, first: Held) -> None:
    attribution = Attribution("usdt_stable")
    attribution.open(*first.exposures(), at(provider, 3))
    restored = Attribution("usdt_stable")
    restored.restore(attribution.ledger(), at(provider, 12))
    market = at(provider, 20)
    assert not restored.is_line
    assert restored.mark(market)[0] == attribution.mark(market)[0]
    assert sum(restored.totals(market).values()) == restored.mark(market)[0] - restored.initial_equity
