"""What is read of contracts before anything is sent: it must be what the config says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.live.chain_client import ChainClient
from basis_strategy_v1.live.contract_facts import with_facts
from basis_strategy_v1.live.secrets import Secret

from .chain_world import MARKET_NAME

if TYPE_CHECKING:
    from basis_strategy_v1.core.chain_call import Deployment

    from .trader import Trader

pytestmark = pytest.mark.chain


def read(trader: Trader, at: Deployment) -> Deployment:
    client = ChainClient([Secret(trader.world.chain.url)])

    def ask(reads: Any) -> list[Any]:
        answers = client.ask(*(each.call("latest") for each in reads)) if reads else []
        return [each.decoded(answer) for each, answer in zip(reads, answers, strict=True)]

    return with_facts(at, ask)


def changed(at: Deployment, name: str, **fields: Any) -> Deployment:
    return structs.replace(at, venues={**at.venues, name: structs.replace(at.venues[name], **fields)})


def test_contracts_that_are_what_the_config_says_are_taken_and_a_market_gets_its_parameters(trader: Trader) -> None:
    at = trader.world.deployment()
    at = changed(at, "uniswap", factory=trader.world.pool.deployment.factory)
    known = at.venues["morpho"].markets[MARKET_NAME]
    by_id = changed(at, "morpho", markets={}, ids={"a/b": f"0x{known.market_id.hex().upper()}"})
    assert read(trader, by_id).venues["morpho"].markets["a/b"].market_id == known.market_id
    assert read(trader, at) == at


def test_each_contract_that_is_another_is_a_line(trader: Trader) -> None:
    at = trader.world.deployment()
    own, curve = trader.world.pool.deployment, at.venues["curve"]
    pool = curve.pools["USDC_USDT"]
    wrong = changed(at, "morpho", ids={"a/b": "0x" + "ab" * 32})
    wrong = changed(wrong, "curve", pools={"USDT/USDC": structs.replace(pool, coins=("USDT", "USDC"))})
    with pytest.raises(ComponentError) as error:
        read(trader, wrong)
    lines = error.value.message.splitlines()
    assert (error.value.error_code, len(lines)) == ("CFG-001", 4)
    assert lines[0].startswith("venues.onchain.morpho.markets.a/b: ") and "there is no market 0xabab" in lines[0]
    assert lines[1].startswith("venues.dex.uniswap.router: the factory of ") and own.factory in lines[1].lower()
    for index, (is_, not_) in enumerate((("USDC", "USDT"), ("USDT", "USDC"))):
        line = f"venues.dex.curve.pools.USDT/USDC: coin {index} of {pool.address} is {is_}, not {not_}; name them in its order"
        assert lines[2 + index] == line
