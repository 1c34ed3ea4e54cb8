"""What a position is called says what it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.position_names import Kind, PositionName, perp_name, queued_name
from basis_strategy_v1.core.tokens import DECIMALS, SHARE_TOKENS
from basis_strategy_v1.venues.aave_names import debt_name, deposit_name, read_at_pool
from basis_strategy_v1.venues.morpho_names import COLLATERAL, DEBT, SIDES, SUPPLY, Side, morpho_name, side_of, token_of
from basis_strategy_v1.venues.position_names import read_name

TOKENS = st.from_regex(r"[A-Z][A-Za-z0-9]{0,11}", fullmatch=True) | st.sampled_from([*SHARE_TOKENS, *DECIMALS])
SYMBOLS = st.from_regex(r"[A-Za-z0-9]{1,16}", fullmatch=True)
MARKETS = st.from_regex(r"[A-Za-z0-9_.\-]{1,12}(/[A-Za-z0-9_.\-]{1,12}){0,2}", fullmatch=True)


@given(TOKENS)
def test_a_token_is_called_what_it_is(token: str) -> None:
    assert read_name(token) == PositionName(Kind.TOKEN, token)


@pytest.mark.parametrize(
    ("kind", "make"),
    [(Kind.DEPOSIT, deposit_name), (Kind.DEBT, debt_name), (Kind.QUEUED, queued_name)],
)
@given(token=TOKENS)
def test_what_is_made_of_a_token_is_read_as_it_was_made(kind: Kind, make: Callable[[str], str], token: str) -> None:
    name = read_name(make(token))
    assert (name, name.is_owed) == (PositionName(kind, token), kind is Kind.DEBT)


@given(SYMBOLS)
def test_a_perp_is_read_as_it_was_made(symbol: str) -> None:
    name = read_name(perp_name(symbol))
    assert (name, name.is_owed) == (PositionName(Kind.PERP, symbol), False)


@given(MARKETS, st.sampled_from(SIDES))
def test_a_side_of_a_market_is_read_as_it_was_made(market: str, side: str) -> None:
    name = read_name(morpho_name(market, side))
    assert (side_of(morpho_name(market, side)), name.is_owed) == (Side(market, side), side == DEBT)


@pytest.mark.parametrize("market", ["wstETH/WETH", "wstETH/WETH/945"])
@pytest.mark.parametrize(("side", "token"), [(SUPPLY, "WETH"), (COLLATERAL, "wstETH"), (DEBT, "WETH")])
def test_a_side_of_a_market_is_an_amount_of_one_of_its_pair(market: str, side: str, token: str) -> None:
    name = morpho_name(market, side)
    assert (token_of(name), read_name(name).of) == (token, token)


@given(TOKENS)
def test_at_a_pool_what_was_made_is_read_alike(token: str) -> None:
    assert [read_at_pool(name) for name in (deposit_name(token), debt_name(token), token)] == [
        PositionName(Kind.DEPOSIT, token),
        PositionName(Kind.DEBT, token),
        None,
    ]


WRITTEN = {
    "AAVE": PositionName(Kind.TOKEN, "AAVE"),
    "aave": PositionName(Kind.TOKEN, "aave"),
    "arb": PositionName(Kind.TOKEN, "arb"),
    "a": PositionName(Kind.TOKEN, "a"),
    "aXYZ": PositionName(Kind.DEPOSIT, "XYZ"),
    "aAAVE": PositionName(Kind.DEPOSIT, "AAVE"),
    "awstETH": PositionName(Kind.DEPOSIT, "wstETH"),
    "acbETH": PositionName(Kind.TOKEN, "acbETH"),
    "a1INCH": PositionName(Kind.TOKEN, "a1INCH"),
    "variableDebtUSDT": PositionName(Kind.DEBT, "USDT"),
    "variableDebtcbETH": PositionName(Kind.DEBT, "cbETH"),
    "ETHUSDT-PERP": PositionName(Kind.PERP, "ETHUSDT"),
    "aXYZUSDT-PERP": PositionName(Kind.PERP, "aXYZUSDT"),
    "ETH-QUEUED": PositionName(Kind.QUEUED, "ETH"),
    "morpho:wstETH/WETH:debt": PositionName(Kind.DEBT, "WETH"),
    "morpho:wstETH/WETH": PositionName(Kind.DEPOSIT, "morpho:wstETH/WETH"),
    "morpho:wstETH/WETH:lent": PositionName(Kind.DEPOSIT, "morpho:wstETH/WETH:lent"),
    "morpho:wstETH/WETH:debt:debt": PositionName(Kind.DEPOSIT, "morpho:wstETH/WETH:debt:debt"),
    "spark:wstETH/WETH:debt": PositionName(Kind.TOKEN, "spark:wstETH/WETH:debt"),
}


@pytest.mark.parametrize(("name", "read"), WRITTEN.items(), ids=WRITTEN)
def test_what_others_write_is_read_by_its_form(name: str, read: PositionName) -> None:
    assert read_name(name) == read


def test_at_a_pool_whatever_begins_with_an_a_is_a_deposit() -> None:
    assert [read_at_pool(name) for name in ("acbETH", "a1INCH")] == [
        PositionName(Kind.DEPOSIT, "cbETH"),
        PositionName(Kind.DEPOSIT, "1INCH"),
    ]


def test_what_is_no_position_at_morpho_has_no_side_and_is_of_its_whole_name() -> None:
    name = "morpho:wstETH/WETH"
    assert (side_of(name), read_name(name)) == (None, PositionName(Kind.DEPOSIT, name))
