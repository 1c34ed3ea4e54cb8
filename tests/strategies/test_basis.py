"""What the basis strategy does with what it holds."""

from __future__ import annotations

from decimal import Decimal

import pytest

from basis_strategy_v1.core.market import DictSnapshot

from .markets import D, Held, at_price, basis, decided, lines


def test_it_enters_with_both_legs_at_once() -> None:
    assert decided(Held(bybit={"USDT": D(50_000)}, binance={"USDT": D(50_000)})) == [
        "buy 49.9000 ETHUSDT spot on bybit",
        "sell 49.9000 ETHUSDT perp on binance",
    ]


def test_it_brings_the_capital_to_where_the_legs_need_it_before_it_enters() -> None:
    assert decided(Held(binance={"USDT": D(100_000)})) == [
        "move 49999.80 USDT from binance to bybit",
        "buy 49.8998 ETHUSDT spot on bybit",
        "sell 49.8998 ETHUSDT perp on binance",
    ]
    assert decided(Held(bybit={"USDT": D(100_000)})) == [
        "move 49900.00 USDT from bybit to binance",
        "buy 49.9000 ETHUSDT spot on bybit",
        "sell 49.9000 ETHUSDT perp on binance",
    ]


def test_it_waits_with_both_legs_until_what_is_on_its_way_has_arrived() -> None:
    held = Held(bybit={"USDT": D(100_000)})
    held.terms = (D(5), D(10), D(10))
    assert decided(held) == ["move 49900.00 USDT from bybit to binance"]
    held = Held(bybit={"USDT": D(50_100)}, in_transit={"USDT": D(49_900)})
    held.terms = (D(5), D(10), D(10))
    assert decided(held) == []


def delayed(held: Held) -> Held:
    held.terms = (D(4), D(10), D(10))
    return held


def test_cash_that_was_sent_to_grow_with_is_invested_when_it_has_come_and_nothing_more_is_sent() -> None:
    strategy = basis()

    def plan(held: Held, price: int) -> list[str]:
        return lines(strategy.decide(at_price(price), delayed(held)))

    assert plan(both_legs("50", margin="56000"), 1000) == ["move 2899.78 USDT from binance to bybit"]
    assert plan(both_legs("50", margin="53106", in_transit={"USDT": "2890"}), 990) == []
    assert plan(both_legs("50", margin="53606", cash="2890"), 990) == [  # neither is above the threshold
        "buy 2.9134 ETHUSDT spot on bybit",
        "sell 2.9134 ETHUSDT perp on binance",
    ]
    assert plan(both_legs("52.9134", margin="53606", cash="5"), 990) == []


def test_margin_that_came_free_while_cash_was_on_its_way_is_not_sent_after_it() -> None:
    strategy = basis()
    assert len(strategy.decide(at_price(1000), delayed(both_legs("50", margin="56000")))) == 1
    assert lines(strategy.decide(at_price(950), delayed(both_legs("50", margin="55600", cash="2890")))) == [
        "buy 3.0360 ETHUSDT spot on bybit",
        "sell 3.0360 ETHUSDT perp on binance",
    ]


def test_cash_on_its_way_to_the_spot_venue_is_no_margin() -> None:
    coming = {"margin": "53106", "in_transit": {"USDT": "2890"}}
    strategy = basis()
    strategy.decide(at_price(1000), delayed(both_legs("50", margin="56000")))
    assert lines(strategy.decide(at_price(1200), delayed(both_legs("50", **coming)))) == [
        "sell 5.7400 ETHUSDT spot on bybit",
        "buy 5.7400 ETHUSDT perp on binance reduce_only",
    ]
    assert decided(delayed(both_legs("50", **coming)), price=1200) == [], "what was on its way at the start may be margin"


def test_a_transfer_that_is_small_against_the_threshold_is_not_made_to_grow_with() -> None:
    assert decided(both_legs("50", margin="54500", cash="5600")) == [
        "buy 4.5000 ETHUSDT spot on bybit",
        "sell 4.5000 ETHUSDT perp on binance",
    ]
    assert decided(both_legs("50", margin="53900", cash="6000"))[0] == "move 940.10 USDT from bybit to binance"


def costly(held: Held, fee: str = "5") -> Held:
    held.terms = (D(fee), D(10), D(10))
    return held


@pytest.mark.parametrize(
    ("price", "margin", "fee", "sent"),
    [
        (1000, "40000", "5", "move 4990.00 USDT from bybit to binance"),
        (1000, "49400", "0.5", "move 299.40 USDT from bybit to binance"),  # a notional of 300 is kept: more than 500 times the fee
        (1000, "49400", "1", None),
    ],
)
def test_margin_is_brought_where_the_notional_that_it_keeps_is_worth_the_fee(price: int, margin: str, fee: str, sent: str | None) -> None:
    held = costly(both_legs("50", margin=margin), fee)
    plan = decided(held, price=price, rebalance_threshold_bps=D(50))
    assert plan[2:] == ([sent] if sent else [])
    assert len(plan) >= 2, "else both legs are made smaller"


def test_in_a_small_account_half_of_the_legs_is_worth_a_fee_and_a_tenth_of_them_is_not() -> None:
    def moved(margin: str) -> list[str]:
        plan = decided(costly(both_legs("1", margin=margin)), rebalance_threshold_bps=D(50))
        return [line for line in plan if line.startswith("move")]

    assert moved("250") == ["move 369.26 USDT from bybit to binance"]
    assert moved("880") == []


def test_no_cash_is_sent_to_grow_with_by_less_than_an_order() -> None:
    held = both_legs("0.1", margin="170", cash="0")
    held.lot = D("0.1")
    assert decided(held, rebalance_threshold_bps=D(50)) == []
    held = both_legs("0.1", margin="400", cash="0")
    held.lot = D("0.1")
    assert decided(held, rebalance_threshold_bps=D(50))[0] == "move 149.79 USDT from binance to bybit"


def test_of_the_cash_at_hand_no_more_is_brought_as_margin_than_lacks() -> None:
    assert decided(both_legs("50", margin="40000", cash="30000"))[0] == "move 20000.00 USDT from bybit to binance"


def test_in_one_account_nothing_is_moved() -> None:
    assert decided(Held(bybit={"USDT": D(100_000)}), perp_venue="bybit") == [
        "buy 49.9000 ETHUSDT spot on bybit",
        "sell 49.9000 ETHUSDT perp on bybit",
    ]


def both_legs(size: str, margin: str, cash: str = "0", spot: str | None = None, **more: dict[str, str]) -> Held:
    perp = {"USDT": D(margin), "ETHUSDT-PERP": -D(size)}
    amounts = {venue: {token: D(amount) for token, amount in tokens.items()} for venue, tokens in more.items()}
    return Held(bybit={"USDT": D(cash), "ETH": D(spot or size)}, binance=perp, **amounts)


def test_within_the_threshold_it_does_nothing() -> None:
    assert decided(both_legs("50", margin="46000", cash="4000")) == []
    assert decided(both_legs("50", margin="54000")) == []


def test_short_of_margin_it_sells_a_part_of_both_legs_and_brings_the_cash_as_collateral() -> None:
    assert decided(both_legs("50", margin="40000")) == [
        "sell 5.0000 ETHUSDT spot on bybit",
        "buy 5.0000 ETHUSDT perp on binance reduce_only",
        "move 4990.00 USDT from bybit to binance",
    ]


def test_both_legs_shrink_by_whole_lots_and_what_they_bring_is_what_is_sent() -> None:
    held = both_legs("50", margin="40070")
    held.lot = D("0.1")
    assert decided(held) == [
        "sell 4.9000 ETHUSDT spot on bybit",  # 4.965 is missing
        "buy 4.9000 ETHUSDT perp on binance reduce_only",
        "move 4890.20 USDT from bybit to binance",
    ]


def test_idle_cash_goes_before_the_legs() -> None:
    assert decided(both_legs("50", margin="40000", cash="10000")) == ["move 10000.00 USDT from bybit to binance"]


@pytest.mark.parametrize("how", ["reduce", "move"])
def test_where_it_may_not_or_cannot_move_collateral_it_makes_both_legs_smaller(how: str) -> None:
    held = both_legs("50", margin="40000")
    held.terms = (D(5), D(100_000), D(10)) if how == "move" else held.terms
    assert decided(held, on_margin_shortage=how) == [
        "sell 10.0000 ETHUSDT spot on bybit",
        "buy 10.0000 ETHUSDT perp on binance reduce_only",
    ]


def test_collateral_on_its_way_counts_and_more_is_sent_only_where_it_is_not_enough() -> None:
    assert decided(both_legs("50", margin="40000", in_transit={"USDT": "9000"})) == []
    assert decided(both_legs("50", margin="40000", in_transit={"USDT": "1000"})) == [
        "sell 10.0000 ETHUSDT spot on bybit",
        "buy 10.0000 ETHUSDT perp on binance reduce_only",
    ]


def test_reduced_legs_do_not_grow_on_cash_that_may_not_become_margin() -> None:
    assert decided(both_legs("40", margin="40000", cash="10000"), on_margin_shortage="reduce") == []
    assert decided(both_legs("40", margin="40000", cash="10000")) == [
        "move 4910.00 USDT from bybit to binance",
        "buy 4.9100 ETHUSDT spot on bybit",
        "sell 4.9100 ETHUSDT perp on binance",
    ]


def test_where_the_shortage_is_less_than_an_order_and_there_is_no_cash_nothing_is_sent() -> None:
    held = both_legs("1", margin="850")
    held.lot = D("0.1")
    assert decided(held) == []
    held = both_legs("1", margin="820", cash="30")
    held.lot = D("0.1")
    assert decided(held) == ["move 30.00 USDT from bybit to binance"]


def test_who_ignores_a_shortage_does_nothing() -> None:
    assert decided(both_legs("50", margin="10000"), on_margin_shortage="ignore") == []


def test_a_margin_ratio_of_its_own_says_when_margin_is_short() -> None:
    assert decided(both_legs("50", margin="40000"), min_margin_ratio=D("0.5")) == []
    assert decided(both_legs("50", margin="24000"), min_margin_ratio=D("0.5")) == [
        "sell 13.0000 ETHUSDT spot on bybit",
        "buy 13.0000 ETHUSDT perp on binance reduce_only",
        "move 12974.00 USDT from bybit to binance",
    ]


def test_profit_that_is_not_realised_cannot_be_moved() -> None:
    held = both_legs("50", margin="1000")
    held.profit = D(60_000)
    assert decided(held) == [
        "move 1000.00 USDT from binance to bybit",
        "buy 0.9980 ETHUSDT spot on bybit",
        "sell 0.9980 ETHUSDT perp on binance",
    ]


@pytest.mark.parametrize(
    ("spot", "cut"),
    [("50.4", "sell 0.4000 ETHUSDT spot on bybit"), ("49.6", "buy 0.4000 ETHUSDT perp on binance reduce_only"), ("50.2", None)],
)
def test_the_larger_leg_is_cut_back_to_the_other_beyond_the_tolerance(spot: str, cut: str | None) -> None:
    assert decided(both_legs("50", margin="50000", spot=spot)) == ([cut] if cut else [])


def test_a_short_that_the_exchange_has_made_smaller_is_evened_out_before_anything_grows() -> None:
    deleveraged = Held(bybit={"USDT": D(2_000), "ETH": D(50)}, binance={"USDT": D(60_000), "ETHUSDT-PERP": D(-30)})
    assert decided(deleveraged) == ["sell 20.0000 ETHUSDT spot on bybit"]
    evened_out = Held(bybit={"USDT": D(22_000), "ETH": D(30)}, binance={"USDT": D(60_000), "ETHUSDT-PERP": D(-30)})
    assert [line.split()[0] for line in decided(evened_out)] == ["move", "buy", "sell"]


def test_a_spot_leg_that_a_liquidation_left_alone_is_sold_and_it_stays_out() -> None:
    strategy = basis()
    assert strategy.decide(at_price(1000), both_legs("50", margin="50000")) == []
    assert lines(strategy.decide(at_price(1000), Held(bybit={"ETH": D(50)}))) == ["sell 50.0000 ETHUSDT spot on bybit"]
    assert lines(strategy.decide(at_price(1000, hours=1), Held(bybit={"USDT": D(50_000)}, binance={"USDT": D(50_000)}))) == []


def test_a_short_that_was_liquidated_before_it_was_seen_counts_as_one() -> None:
    strategy = basis()
    strategy.decide(at_price(1000), OUT)
    assert lines(strategy.decide(at_price(2000, hours=24), Held(bybit={"ETH": D(50)}))) == ["sell 50.0000 ETHUSDT spot on bybit"]
    assert strategy.decide(at_price(2000, hours=48), OUT) == []


@pytest.mark.parametrize(
    ("perp_venue", "held", "sent"),
    [
        ("binance", Held(bybit={"ETH": D(50)}, binance={"USDT": D(60_000)}), ["sell 50.0000 ETHUSDT perp on binance"]),
        ("binance", Held(bybit={"ETH": D(50)}, binance={"USDT": D(40_000)}), ["sell 39.9200 ETHUSDT perp on binance"]),
        ("bybit", Held(bybit={"ETH": D(50), "USDT": D(60_000)}), ["sell 50.0000 ETHUSDT perp on bybit"]),
        ("binance", Held(bybit={"ETH": D(50), "USDT": D(60_000)}), ["sell 50.0000 ETHUSDT spot on bybit"]),
    ],
    ids=["all of it", "as much as the margin carries", "in one account", "sold where there is no margin"],
)
def test_spot_that_it_was_given_is_hedged(perp_venue: str, held: Held, sent: list[str]) -> None:
    assert decided(held, perp_venue=perp_venue) == sent


def test_spot_that_was_given_and_sold_does_not_keep_it_out() -> None:
    strategy = basis()
    assert lines(strategy.decide(at_price(1000), Held(bybit={"ETH": D(50)}))) == ["sell 50.0000 ETHUSDT spot on bybit"]
    assert lines(strategy.decide(at_price(1000, hours=1), Held(bybit={"USDT": D(50_000)}, binance={"USDT": D(50_000)}))) == [
        "buy 49.9000 ETHUSDT spot on bybit",
        "sell 49.9000 ETHUSDT perp on binance",
    ]


def test_spot_that_was_given_is_sold_while_the_funding_keeps_it_out() -> None:
    rules = {"enter_above_apr": D("0.1")}
    held = Held(bybit={"ETH": D(50)}, binance={"USDT": D(60_000)})
    assert lines(basis(**rules).decide(paying("0.05"), held)) == ["sell 50.0000 ETHUSDT spot on bybit"]


@pytest.mark.parametrize(
    ("spot", "short", "sent"),
    [
        ("50", "50", ["sell 50.0000 ETHUSDT spot on bybit", "buy 50.0000 ETHUSDT perp on binance reduce_only"]),
        ("0.009", "50", ["buy 50.0000 ETHUSDT perp on binance reduce_only"]),  # less than a lot
        ("0.012", "0", []),  # a lot, and 12 dollars, of which a lot may be cut off
        ("50", "0.009", ["sell 50.0000 ETHUSDT spot on bybit"]),
    ],
)
def test_leaving_sends_nothing_of_a_leg_that_is_less_than_the_exchange_trades(spot: str, short: str, sent: list[str]) -> None:
    held = both_legs(short, margin="50000", spot=spot)
    assert lines(basis().leave(at_price(1000), held)) == sent


def test_dollars_of_another_kind_are_not_sent_as_collateral() -> None:
    held = Held(
        bybit={"USDT": D(0), "ETH": D(50)},
        hyperliquid={"USDC": D(40_000), "ETHUSDC-PERP": D(-50)},
    )
    assert decided(held, perp_venue="hyperliquid") == [
        "sell 10.0000 ETHUSDT spot on bybit",
        "buy 10.0000 ETHUSDC perp on hyperliquid reduce_only",
    ]


class Paying(DictSnapshot):
    """A market whose funding came to `mean` a year over the last three days."""

    __slots__ = ("mean",)

    def mean_funding(self, venue: str, symbol: str, hours: int) -> Decimal | None:
        assert (venue, symbol, hours) == ("binance", "ETHUSDT", 72)
        return self.mean


def paying(mean: str | None) -> Paying:
    market = Paying(at_price(1000).at, {"market_data": {"prices": {"ETH": 1000}}})
    market.mean = None if mean is None else D(mean)
    return market


OUT, IN = Held(bybit={"USDT": D(50_000)}, binance={"USDT": D(50_000)}), both_legs("50", margin="50000")


@pytest.mark.parametrize(
    ("held", "mean", "enter", "leave", "count"),
    [
        (OUT, "0.0999", "0.10", "0.05", 0),
        (OUT, "0.10", "0.10", "0.05", 2),
        (OUT, None, "0.10", "0.05", 0),
        (OUT, "0.0499", None, "0.05", 0),  # it would leave again at once
        (OUT, "0.05", None, "0.05", 2),
        (OUT, None, None, "0.05", 2),
        (IN, "0.05", "0.10", "0.05", 0),
        (IN, "0.0499", "0.10", "0.05", 2),
        (IN, "-1", "0.10", None, 0),
        (IN, None, "0.10", "0.05", 0),
    ],
)
def test_the_mean_of_the_funding_says_when_to_enter_and_to_leave(
    held: Held, mean: str | None, enter: str | None, leave: str | None, count: int
) -> None:
    rules = {"enter_above_apr": enter and D(enter), "leave_below_apr": leave and D(leave)}
    assert len(basis(**rules).decide(paying(mean), held)) == count


def test_the_capital_is_split_by_the_leverage() -> None:
    assert basis(leverage=D(3)).placed(D(100_000)) == {"bybit": {"USDT": D(75_000)}, "binance": {"USDT": D(25_000)}}
    assert basis(perp_venue="bybit").placed(D(100)) == {"bybit": {"USDT": D(100)}}
    in_two_dollars = {"bybit": {"USDT": D(50)}, "hyperliquid": {"USDC": D(50)}}
    assert basis("BTC", perp_venue="hyperliquid").placed(D(100)) == in_two_dollars


def test_it_needs_both_prices_and_the_funding() -> None:
    assert basis("BTC", spot_venue="binance_spot", perp_venue="binance_perp").needs() == [
        ("spot", "binance", "BTCUSDT"),
        ("perp", "binance", "BTCUSDT"),
        ("funding", "binance", "BTCUSDT"),
    ]
