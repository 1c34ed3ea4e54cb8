"""Every venue, all that moves money, every fault: the caller sees a failure, and the ledger says whether it was done, and once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import ccxt
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .process import ExchangeProcess

ELSEWHERE = "0x" + "1" * 40


class Terms(NamedTuple):
    """Where the money is, what can be bought, between which wallets it moves, and on which network it leaves."""

    wallet: str
    token: str
    symbol: str
    transfer: tuple[str, str]
    network: dict[str, str]


VENUES = {
    "binance": Terms("spot", "USDT", "ETH/USDT", ("spot", "swap"), {"network": "ETH"}),
    "bybit": Terms("unified", "USDT", "ETH/USDT", ("unified", "funding"), {"chain": "ETH"}),
    "okx": Terms("trading", "USDT", "ETH/USDT", ("trading", "funding"), {"network": "ERC20", "fee": "3"}),
    "hyperliquid": Terms("spot", "USDC", "ETH/USDC", ("spot", "swap"), {}),
}
ACTS = {"order": "orders", "transfer": "transfers", "withdraw": "withdrawals"}
FAULTS = [
    ({"fault": "drop_unread"}, 0),
    ({"fault": "drop"}, 0),
    ({"fault": "hang"}, 0),
    ({"fault": "drop_after"}, 1),
    ({"fault": "hang_after"}, 1),
    ({"fault": "half_after"}, 1),
    ({"fault": "empty_after"}, 1),
    ({"fault": "truncated_after"}, 1),
    ({"fault": "html_after"}, 1),
    ({"fault": "status", "status": 503}, 0),
    ({"fault": "status", "status": 502, "after": True}, 1),
    ({"fault": "status", "status": 429, "retry_after": 3}, 0),
    ({"fault": "status", "status": 418}, 0),
]


def act(client: Any, kind: str, terms: Terms) -> Any:
    if kind == "order":
        return client.create_order(terms.symbol, "limit", "buy", "0.1", "2010", {"timeInForce": "IOC"})
    if kind == "transfer":
        return client.transfer(terms.token, "100", *terms.transfer)
    return client.withdraw(terms.token, "100", ELSEWHERE, params=terms.network)


@pytest.mark.parametrize(("fault", "done"), FAULTS, ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "")
@pytest.mark.parametrize("kind", ACTS)
@pytest.mark.parametrize("venue", VENUES)
def test_what_was_done_is_in_the_ledger_once(
    exchange: ExchangeProcess, connect: Callable[..., Any], venue: str, kind: str, fault: dict[str, Any], done: int
) -> None:
    terms = VENUES[venue]
    for wallet in {terms.wallet, {"okx": "funding", "hyperliquid": "perp"}.get(venue, terms.wallet)}:
        exchange.grant(venue, wallet, **{terms.token: "1000"})
    client = connect(venue, timeout=250 if fault["fault"].startswith("hang") else 5_000)
    if venue == "bybit":
        client.is_unified_enabled()
    exchange.control({"on": kind, "venue": venue, **fault})
    try:
        answer = act(client, kind, terms)
    except (ccxt.BaseError, AttributeError, TypeError):  # ccxt itself stumbles over some answers of hyperliquid
        answer = None
    assert answer is None or answer["id"] is None  # nothing says that it was done
    account = exchange.account(venue)
    assert len(account[ACTS[kind]]) == done
    assert exchange.count(venue, kind) == 1
    act(client, kind, terms)
    assert len(exchange.account(venue)[ACTS[kind]]) == done + 1
