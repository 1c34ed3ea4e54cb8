"""Several accounts at one exchange, several wallets, several accounts at one protocol: a name says which of them it is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from basis_strategy_v1 import ComponentError, ExecutionInterfaceManager, PositionUpdateHandler

from ..world import AT, action, chain, everything, trade, transfer

D = Decimal
CONFIG: dict[str, Any] = {
    "strategy_mode": "blocks",
    "share_class": "usdt_stable",
    "initial_capital": 100_000,
    "venues": {
        "cex": {"bybit_main": {"exchange": "bybit", "spot_taker_fee_bps": 0, "slippage_bps": 0}, "binance_spot": {}, "binance_perp": {}},
        "dex": {"swaps": {"protocol": "uniswap", "wallet": "cold", "fee": 0, "slippage_bps": 0}},
        "onchain": {
            "wallet": {"gas_price_gwei": 10},
            "cold": {"protocol": "wallet", "gas_price_gwei": 20},
            "aave": {},
            "second": {"protocol": "aave", "wallet": "cold"},
            "stake": {"protocol": "lido", "wallet": "cold"},
        },
    },
}
HELD = {
    "bybit_main": {"USDT": 10_000},
    "binance_spot": {"USDT": 5_000},
    "binance_perp": {"USDT": 5_000},
    "wallet": {"USDT": 2_000, "ETH": 1, "stETH": 2},
    "cold": {"USDT": 1_000, "ETH": 3},
}


class Data:
    def get_data(self, timestamp: Any) -> dict[str, Any]:
        return everything(timestamp)


@pytest.fixture
def manager() -> ExecutionInterfaceManager:
    found = ExecutionInterfaceManager(CONFIG, Data(), "backtest", positions=PositionUpdateHandler(HELD))
    found.account.state(found.account.market(AT))  # in the venues' own units from here on
    return found


def held(manager: ExecutionInterfaceManager) -> dict[str, dict[str, Decimal]]:
    positions = manager.positions
    assert positions is not None
    return positions.positions


def gas(manager: ExecutionInterfaceManager, block: dict[str, Any]) -> tuple[dict[str, Any], Decimal]:
    """What a block moves but for its gas, and the gas."""
    report = manager.execute(AT, block)
    paid = sum((cost.amount for cost in report.costs if cost.source == "gas"), D(0))
    return dict(report.deltas.items()), paid


def test_an_account_with_a_name_of_its_own_trades_by_the_rules_and_prices_of_its_exchange(manager: ExecutionInterfaceManager) -> None:
    assert manager.route_instruction(AT, trade("bybit_main", "buy", "ETHUSDT", 1)) == {"bybit_main": {"ETH": 1.0, "USDT": -3300.25}}
    short = manager.execute(AT, trade("binance_perp", "sell", "ETHUSDT", 1, "perp"))
    assert short.deltas.get("binance_perp", "ETHUSDT-PERP") == -1
    assert set(held(manager)["binance_spot"]) == {"USDT"}


def test_tokens_go_from_one_wallet_to_another_and_the_sender_pays_the_gas(manager: ExecutionInterfaceManager) -> None:
    before = held(manager)
    deltas, paid = gas(manager, transfer("wallet", "cold", "USDT", 500))
    assert deltas == {("wallet", "USDT"): -500, ("cold", "USDT"): 500, ("wallet", "ETH"): -paid}
    assert paid == D("65000e-9") * 10
    assert held(manager)["cold"] == {**before["cold"], "USDT": 1_500}


def test_a_rebasing_token_arrives_in_another_wallet_as_its_balance_reads(manager: ExecutionInterfaceManager) -> None:
    before = held(manager)
    report = manager.execute(AT, transfer("wallet", "cold", "stETH", 1))
    after = held(manager)
    for wallet in ("wallet", "cold"):
        changed = after[wallet].get("stETH", D(0)) - before[wallet].get("stETH", D(0))
        assert report.deltas.get(wallet, "stETH") == changed
        assert abs(abs(changed) - 1) <= D("2e-18")


def test_a_protocol_pays_from_and_to_its_own_wallet(manager: ExecutionInterfaceManager) -> None:
    before = held(manager)
    deltas, paid = gas(manager, action("second", "supply", "USDT", 800))
    assert {name: amount for name, amount in deltas.items() if name[1] != "aUSDT"} == {("second", "USDT"): -800, ("cold", "ETH"): -paid}
    after = held(manager)
    assert (after["cold"]["USDT"], after["wallet"], list(after["second"])) == (200, before["wallet"], ["aUSDT"])
    with pytest.raises(ComponentError, match="second supply needs 300 USDT, cold holds 200"):
        manager.route_instruction(AT, action("second", "supply", "USDT", 300))
    manager.route_instruction(AT, action("aave", "supply", "USDT", 1_000))
    assert [round(held(manager)[name]["aUSDT"], 3) for name in ("aave", "second")] == [1_000, 800]
    manager.route_instruction(AT, action("second", "withdraw", "USDT", "all"))
    assert round(held(manager)["cold"]["USDT"], 3) == 1_000
    assert held(manager)["wallet"]["USDT"] == 1_000


def test_a_stake_a_swap_and_a_chain_are_of_one_wallet(manager: ExecutionInterfaceManager) -> None:
    steps = [action("cold", "wrap", "ETH", 1), action("swaps", "swap", "WETH", 1, token_out="USDT"), action("stake", "stake", "ETH", "0.5")]
    report = manager.execute(AT, chain(*steps))
    assert report.deltas.get("swaps", "USDT") == D("3300.25")
    assert held(manager)["cold"]["USDT"] == D("4300.25")
    assert "stETH" in held(manager)["cold"]
    message = "step 1 .*: one transaction is of one wallet: second pays from cold, aave from wallet; send two"
    with pytest.raises(ComponentError, match=message):
        manager.execute(AT, chain(action("aave", "supply", "USDT", 10), action("second", "supply", "USDT", 10)))
    loan = action("aave", "flash_loan", "USDT", 10, sub_instructions=[action("second", "supply", "USDT", 10)])
    with pytest.raises(ComponentError, match="one transaction is of one wallet"):
        manager.execute(AT, loan)
    problems = manager.preflight(AT, [chain(action("aave", "supply", "USDT", 10), action("cold", "wrap", "ETH", "0.1"))])
    assert [problem.message for problem in problems] == [
        "step 1 (cold wrap): one transaction is of one wallet: cold pays from cold, aave from wallet; send two"
    ]


def test_deltas_of_other_origin_go_to_the_wallet_of_their_protocol(manager: ExecutionInterfaceManager) -> None:
    positions = manager.positions
    assert positions is not None
    positions.update_state(AT, "deposit", {"second": {"USDC": 7}, "aave": {"USDC": 5}, "cold": {"USDC": 1}})
    assert {name: tokens.get("USDC") for name, tokens in held(manager).items()} == {
        **dict.fromkeys(HELD), "wallet": D(5), "cold": D(8),
    }  # fmt: skip


def test_on_another_chain_a_protocol_has_the_wallet_and_the_series_of_that_chain() -> None:
    onchain = {"aave_arbitrum": {"protocol": "aave", "chain": "arbitrum", "reserves": {"USDT": {"ltv_bps": 7500}}}}
    found = ExecutionInterfaceManager({**CONFIG, "venues": {"onchain": onchain}}, Data(), "backtest")
    assert list(found.venue_interfaces) == ["aave_arbitrum", "wallet_arbitrum"]
    aave: Any = found.account.venues["aave_arbitrum"]
    assert (aave.name, aave.series, aave.chain, aave.wallet) == ("aave_arbitrum", "aave_arbitrum", "arbitrum", "wallet_arbitrum")
    assert list(aave.pool.rules) == ["USDT"]  # what governance set on Ethereum is not so there
