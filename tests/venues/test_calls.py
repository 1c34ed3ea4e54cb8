"""What each action is on chain: the contract, the call, what may be taken meanwhile, and where the amounts go that are known only then."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from basis_strategy_v1.config import load_settings
from basis_strategy_v1.core.chain_call import (
    ALL,
    ETHER,
    Allowance,
    BalanceOf,
    CallAmount,
    CallStep,
    ChainCall,
    MorphoOwed,
    StepOutput,
    ViewWord,
    argument,
    call_data,
)
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.instructions import Chain, SmartContractAction, parse_instruction
from basis_strategy_v1.core.settings import ADDRESS
from basis_strategy_v1.core.tokens import to_units
from basis_strategy_v1.venues.aave_calls import AaveContracts, with_debt_tokens
from basis_strategy_v1.venues.deployment import CONTRACTS, deployment, flash_lenders
from basis_strategy_v1.venues.morpho_calls import MARKETS, MorphoContracts
from basis_strategy_v1.venues.registry import VENUES, make_venue
from basis_strategy_v1.venues.staking_calls import EtherfiContracts, LidoContracts, numbers_of
from basis_strategy_v1.venues.swap_calls import CURVE_POOLS, CurveContracts, CurvePool, UniswapContracts
from basis_strategy_v1.venues.transaction_calls import encode_transaction
from basis_strategy_v1.venues.wallet_calls import TOKENS, encode_transfer

ACCOUNT = "0x00000000000000000000000000000000DeaDBeef"
OTHER = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
DEBT = "0x6df1C1E379bC5a00a7b4C6e67A203333772f45A8"
SECTIONS = {name: row.section for name, row in VENUES.items()}


def here(**settings: Any) -> Any:
    """The deployment of all protocols, some with settings."""
    at = deployment(ACCOUNT, {name: load_settings(section, name, settings.get(name, {})) for name, section in SECTIONS.items()})
    aave = at.venues["aave"]
    assert isinstance(aave, AaveContracts)
    return structs.replace(at, venues={**at.venues, "aave": with_debt_tokens(aave, {"USDT": DEBT})})


def parsed(*blocks: dict[str, Any]) -> Chain:
    found = parse_instruction({"instruction_type": "smart_contract_action", "sub_instructions": list(blocks)})
    assert isinstance(found, Chain)
    return found


def simulated(step: SmartContractAction) -> SmartContractAction:
    """With a number where the amount is open, as a simulation has it."""
    amount = step.amount if isinstance(step.amount, Decimal) else Decimal(5)
    return structs.replace(step, amount=amount, steps=tuple(map(simulated, step.steps)))


def encoded(*blocks: dict[str, Any], at: Any = None, deadline_s: int = ALL) -> tuple[CallStep, ...]:
    meant = parsed(*blocks)
    return encode_transaction(meant, structs.replace(meant, steps=tuple(map(simulated, meant.steps))), at or here(), deadline_s)


def calls(*blocks: dict[str, Any], **more: Any) -> tuple[ChainCall, ...]:
    """The calls of the last step."""
    return encoded(*blocks, **more)[-1].calls


def step(protocol: str, name: str, token: str = "", amount: Any = "3", **fields: Any) -> dict[str, Any]:
    return {"protocol": protocol, "action": name, **({"token": token, "amount": amount} if token else {}), **fields}


def held(token: str, units: int) -> CallAmount:
    return CallAmount(units, BalanceOf(TOKENS[token]))


# Every action of every protocol.

SAMPLES = {
    "supply": ("USDT", {}), "withdraw": ("USDT", {}), "borrow": ("USDT", {}), "repay": ("USDT", {}),
    "supply_collateral": ("wstETH", {}), "withdraw_collateral": ("wstETH", {}), "set_emode": ("", {"category": 1}),
    "claim": ("", {"request_id": "lido-7"}), "swap": ("WETH", {"token_out": "weETH"}), "stake": ("ETH", {}), "unstake": ("", {}),
    "wrap": ("", {}), "unwrap": ("", {}), "flash_loan": ("USDC", {}),
}  # fmt: skip
TOKEN_AT = {
    ("lido", "unstake"): "stETH", ("lido", "wrap"): "stETH", ("lido", "unwrap"): "wstETH", ("etherfi", "unstake"): "eETH",
    ("etherfi", "wrap"): "eETH", ("etherfi", "unwrap"): "weETH", ("wallet", "wrap"): "ETH", ("wallet", "unwrap"): "WETH",
    **{("morpho", name): "USDC" for name in ("supply", "withdraw", "borrow", "repay")},
}  # fmt: skip


def sample(protocol: str, name: str) -> dict[str, Any]:
    token, fields = SAMPLES[name]
    if protocol == "morpho" and name != "flash_loan":
        fields = {"market": "wstETH/USDC"}
    if name == "flash_loan":
        fields = {"sub_instructions": [step("wallet", "wrap", "ETH")]}
    return step(protocol, name, TOKEN_AT.get((protocol, name), token), **fields)


@pytest.mark.parametrize("protocol", VENUES)
def test_every_action_is_a_call_of_its_own_contracts_with_the_amount_in_it(protocol: str) -> None:
    venue = make_venue(SECTIONS[protocol], protocol, load_settings(SECTIONS[protocol], protocol, {}))
    at = here()
    assert set(CONTRACTS) == set(VENUES)
    for name in venue.actions:
        found = calls(sample(protocol, name), at=at)
        assert found, name
        for call in found:
            assert call.to in at.addresses(), name
            if call.amount is not None and call.amount.at_run_time is None and not call.pays:
                assert {call.data[place : place + 32] for place in call.places} == {call.amount.units.to_bytes(32, "big")}, name
            if call.allowance is not None:
                assert call.allowance.spender in at.addresses(), name
                assert call.allowance.amount.units > 0, name


def test_mainnets_addresses_have_their_checksum_and_its_markets_their_public_ids() -> None:
    at = here()
    assert [address for address in at.addresses() if ADDRESS.parse(address) is None] == []
    assert {name: params.market_id.hex()[:16] for name, params in MARKETS.items()} == {
        "wstETH/WETH": "c54d7acf14de29e0",
        "weETH/WETH": "37e7484d642d90f1",
        "wstETH/USDC": "b323495f7e4148be",
        "WBTC/USDC": "3a85e61975115299",
    }


# Aave.


def test_a_supply_takes_what_the_pool_is_allowed_for_that_call() -> None:
    pool = AaveContracts().pool
    usdt = TOKENS["USDT"]
    data = call_data("supply(address,uint256,address,uint16)", usdt, 1_500_000, ACCOUNT, 0)
    fixed, whole = CallAmount(1_500_000), held("USDT", 5_000_000)
    assert calls(step("aave", "supply", "USDT", "1.5")) == (
        ChainCall(to=pool, data=data, amount=fixed, places=(argument(1),), allowance=Allowance(usdt, pool, fixed)),
    )
    (all_,) = calls(step("aave", "supply", "USDT", "all"))
    assert (all_.amount, all_.allowance) == (whole, Allowance(usdt, pool, whole))


def test_all_of_a_debt_is_read_from_the_debt_token_when_it_is_repaid() -> None:
    pool = AaveContracts().pool
    (repay,) = calls(step("aave", "repay", "USDT", "all"))
    assert repay.data == call_data("repay(address,uint256,uint256,address)", TOKENS["USDT"], ALL, 2, ACCOUNT)
    assert repay.allowance == Allowance(TOKENS["USDT"], pool, CallAmount(5_000_000, BalanceOf(DEBT)))
    with pytest.raises(VenueRejected, match="aave repay of all USDC: the address of its debt token was not read from the pool"):
        calls(step("aave", "repay", "USDC", "all"))
    (withdraw,) = calls(step("aave", "withdraw", "USDC", "all"))
    assert (withdraw.data[36:68], withdraw.amount) == (ALL.to_bytes(32, "big"), CallAmount(ALL))


def test_an_output_is_measured_over_its_step_and_goes_into_the_call_as_a_fraction() -> None:
    steps = encoded(
        step("uniswap", "swap", "USDT", "7", token_out="WETH"),
        step("aave", "supply", "WETH", {"output_of": 0, "fraction": "0.3"}),
        step("wallet", "unwrap", "WETH", {"output_of": 0, "fraction": "0.7"}),
    )
    assert [one.measured for one in steps] == [(TOKENS["WETH"],), (), ()]
    found = [one.calls[0].amount for one in steps[1:]]
    assert found == [CallAmount(5 * 10**18, StepOutput(0, TOKENS["WETH"], share, 10)) for share in (3, 7)]


def test_the_steps_of_a_flash_loan_are_within_its_call_and_count_from_0() -> None:
    inner = [step("uniswap", "swap", "USDT", "all", token_out="ETH"), step("lido", "stake", "ETH", {"output_of": 0})]
    for protocol, signature, arguments in (
        ("aave", "flashLoanSimple(address,address,uint256,bytes,uint16)", (ACCOUNT, TOKENS["USDT"], 9_000_000, b"", 0)),
        ("morpho", "flashLoan(address,uint256,bytes)", (TOKENS["USDT"], 9_000_000, b"")),
    ):
        (loan,) = calls(step("wallet", "wrap", "ETH"), step(protocol, "flash_loan", "USDT", "9", sub_instructions=inner))
        assert (loan.data, loan.lent, loan.is_fixed()) == (call_data(signature, *arguments), TOKENS["USDT"], False)
        assert [one.measured for one in loan.loan] == [(TOKENS["WETH"], ETHER), ()]


# Morpho.


def test_a_debt_at_morpho_is_repaid_by_its_shares_with_what_they_are_worth_then() -> None:
    params = MARKETS["wstETH/USDC"]
    (repay,) = calls(step("morpho", "repay", "USDC", "all", market="wstETH/USDC"))
    position = call_data("position(bytes32,address)", params.market_id, ACCOUNT)
    address = MorphoContracts().address
    assert (repay.amount, repay.places) == (CallAmount(0, ViewWord(address, position, 1)), (argument(6),))
    assert repay.allowance == Allowance(TOKENS["USDC"], address, CallAmount(5_000_000, MorphoOwed(params.market_id)))
    (withdraw,) = calls(step("morpho", "withdraw", "USDC", "all", market="wstETH/USDC"))
    (collateral,) = calls(step("morpho", "withdraw_collateral", "wstETH", "all", market="wstETH/USDC"))
    assert withdraw.amount == CallAmount(0, ViewWord(address, position, 0))
    assert collateral.amount == CallAmount(5 * 10**18, ViewWord(address, position, 2))


def test_a_market_of_the_config_has_the_parameters_of_its_id() -> None:
    public = MARKETS["wstETH/USDC"]
    at = here(morpho={"markets": {"wstETH/WBTC": f"0x{public.market_id.hex()}", "weETH/WETH": "0x" + "ab" * 32}, "address": OTHER})
    found = at.venues["morpho"]
    assert (found.address, found.markets["wstETH/WBTC"]) == (OTHER, public)
    with pytest.raises(VenueRejected, match=r"morpho market weETH/WETH has no address to send to: the parameters of 0xab.* were not read"):
        calls(step("morpho", "borrow", "WETH", market="weETH/WETH"), at=at)
    with pytest.raises(VenueRejected, match=r"morpho market WBTC/WETH has no address to send to: known are wstETH/WETH"):
        calls(step("morpho", "borrow", "WETH", market="WBTC/WETH"), at=at)


# DEXes.


def test_a_swap_has_its_deadline_its_fee_and_the_least_that_must_come_out() -> None:
    path = (TOKENS["USDT"], TOKENS["WETH"], 3000, ACCOUNT, 1_700, 3_000_000, 10**17 + 1, 0)
    least = "0.1000000000000000001"  # below a base unit counts as one
    signature = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"
    (swap,) = calls(step("uniswap", "swap", "USDT", token_out="WETH", fee=3000, min_amount_out=least), deadline_s=1_700)
    assert swap.data == call_data(signature, path)
    for fields, fee in (({}, 500), ({"pool": "USDT_WETH_100"}, 100), ({"pool": "USDT_WETH"}, 500)):
        (swap,) = calls(step("uniswap", "swap", "USDT", token_out="WETH", **fields))
        assert int.from_bytes(swap.data[4 + 64 : 4 + 96], "big") == fee
    (swap,) = calls(step("uniswap", "swap", "USDT", token_out="WETH"), at=here(uniswap={"fee": 100, "router": OTHER}))
    assert (swap.to, int.from_bytes(swap.data[4 + 64 : 4 + 96], "big")) == (OTHER, 100)


def test_ether_is_wrapped_on_the_way_into_a_pool_and_unwrapped_on_the_way_out() -> None:
    weth, router = TOKENS["WETH"], UniswapContracts().router
    pay, get = calls(step("uniswap", "swap", "ETH", token_out="USDT")), encoded(step("uniswap", "swap", "USDT", token_out="ETH"))
    assert [(call.to, call.pays, call.value_wei, call.allowance) for call in pay] == [(router, True, 3 * 10**18, None)]
    assert [call.to for call in get[0].calls] == [router, weth]
    assert (get[0].measured, get[0].calls[1].amount) == ((weth,), CallAmount(0, StepOutput(0, weth)))
    wrap, exchange = calls(step("curve", "swap", "ETH", token_out="weETH"))
    pool = CURVE_POOLS["weETH/WETH"].address
    assert (wrap.to, wrap.value_wei, exchange.to) == (weth, 3 * 10**18, pool)
    assert exchange.allowance == Allowance(weth, pool, CallAmount(3 * 10**18))
    (_, exchange) = calls(step("curve", "swap", "ETH", "all", token_out="weETH"))
    assert exchange.amount == CallAmount(5 * 10**18, StepOutput(0, weth))


def test_a_curve_pool_is_the_named_one_or_the_first_with_both_coins() -> None:
    pools = {"USDC/USDT": OTHER, "DAI/USDC/USDT": CURVE_POOLS["DAI/USDC/USDT"].address}
    at = here(curve={"pools": pools})
    assert at.venues["curve"] == CurveContracts(
        pools={"USDC/USDT": CurvePool(OTHER, ("USDC", "USDT")), "DAI/USDC/USDT": CURVE_POOLS["DAI/USDC/USDT"]}
    )
    assert (here().venues["curve"], here(curve={"chain": "arbitrum"}).venues["curve"]) == (CurveContracts(), CurveContracts(pools={}))
    three = CURVE_POOLS["DAI/USDC/USDT"].address
    for fields, address, places in (({}, OTHER, (1, 0)), ({"pool": "DAI_USDC_USDT"}, three, (2, 1))):
        (swap,) = calls(step("curve", "swap", "USDT", token_out="USDC", **fields), at=at)
        assert (swap.to, swap.data) == (address, call_data("exchange(int128,int128,uint256,uint256)", *places, 3_000_000, 0))
    for fields, what in (({"token_out": "WBTC"}, "USDT and WBTC"), ({"token_out": "USDC", "pool": "weETH/WETH"}, "weETH/WETH")):
        with pytest.raises(
            VenueRejected, match=rf"^DEX-001: curve has no pool of {what}; known are USDC/USDT, DAI/USDC/USDT: add it under"
        ):
            calls(step("curve", "swap", "USDT", **fields), at=at)


# Staking.


def test_a_large_request_is_as_many_as_the_queue_asks_for() -> None:
    for token, amount, largest, name in (
        ("stETH", "2500.000000000000000001", 1000, "requestWithdrawals(uint256[],address)"),
        ("wstETH", "1500", 700, "requestWithdrawalsWstETH(uint256[],address)"),
    ):
        units = to_units(token, Decimal(amount))
        (request,) = calls(step("lido", "unstake", token, amount))
        whole, rest = divmod(units, largest * 10**18)
        assert request.data == call_data(name, [largest * 10**18] * whole + [rest], ACCOUNT)
        assert (request.amount, request.allowance) == (None, Allowance(TOKENS[token], LidoContracts().queue, CallAmount(units)))
    (request,) = calls(step("lido", "unstake", "stETH", "1000"))
    assert request.data == call_data("requestWithdrawals(uint256[],address)", [1000 * 10**18], ACCOUNT)


def test_wrapped_ether_is_unwrapped_before_it_is_staked() -> None:
    unwrap, stake = calls(step("lido", "stake", "WETH", "all"))
    assert (unwrap.to, unwrap.amount) == (TOKENS["WETH"], held("WETH", 5 * 10**18))
    assert (stake.to, stake.amount, stake.pays) == (TOKENS["stETH"], CallAmount(5 * 10**18, StepOutput(0, ETHER)), True)
    unwrap, stake = calls(step("etherfi", "stake", "WETH", "2", token_out="weETH"))
    assert (stake.to, stake.amount, stake.value_wei) == (EtherfiContracts().adapter, CallAmount(2 * 10**18), 2 * 10**18)


def test_weeth_is_unwrapped_before_ether_is_asked_for() -> None:
    unwrap, request = calls(step("etherfi", "unstake", "weETH", "2"))
    worth = ViewWord(TOKENS["weETH"], call_data("getEETHByWeETH(uint256)", 2 * 10**18))
    assert (unwrap.to, request.to, request.amount) == (TOKENS["weETH"], EtherfiContracts().pool, CallAmount(0, worth))
    _, request = calls(step("etherfi", "unstake", "weETH", "all"))
    assert request.amount == CallAmount(0, StepOutput(0, TOKENS["eETH"]))


def test_a_claim_names_the_numbers_of_the_queue() -> None:
    found = calls(step("lido", "claim", request_id="lido-81-82"))
    queue = LidoContracts().queue
    assert found == tuple(ChainCall(to=queue, data=call_data("claimWithdrawal(uint256)", number)) for number in (81, 82))
    (claim,) = calls(step("etherfi", "claim", request_id="9"), at=here(etherfi={"queue": OTHER, "pool": OTHER}))
    assert claim == ChainCall(to=OTHER, data=call_data("claimWithdraw(uint256)", 9))
    assert [numbers_of(text) for text in ("lido-1", "my_lido-1-2", "3", "lido", "lido-x1", "")] == [(1,), (1, 2), (3,), (), (), ()]
    with pytest.raises(VenueRejected, match="lido claim: request_id must have the queue's numbers, such as lido-81234, got abc"):
        calls(step("lido", "claim", request_id="abc"))


# The wallet.


def test_a_transfer_is_a_payment_of_ether_or_a_call_of_the_token() -> None:
    at = here(wallet={"tokens": {"USDT": {"address": OTHER, "decimals": 6}}})
    assert encode_transfer("ETH", 7, ACCOUNT, at) == ChainCall(to=ACCOUNT, value_wei=7)
    assert encode_transfer("USDT", 7, ACCOUNT, at) == ChainCall(to=OTHER, data=call_data("transfer(address,uint256)", ACCOUNT, 7))
    message = r"^OCH-001: XYZ has no address on chain 1; known are WETH, .*: add it under venues.onchain.wallet.tokens.XYZ$"
    with pytest.raises(VenueRejected, match=message):
        encode_transfer("XYZ", 7, ACCOUNT, at)


def test_a_call_stands_alone_where_its_amount_is_a_number_and_nothing_may_be_taken() -> None:
    fixed = {(protocol, name): calls(sample(protocol, name))[0].is_fixed()
             for protocol, name in (("wallet", "wrap"), ("aave", "borrow"), ("aave", "supply"), ("aave", "flash_loan"))}  # fmt: skip
    assert list(fixed.values()) == [True, True, False, False]
    assert not calls(step("wallet", "wrap", "ETH", "all"))[0].is_fixed()
    assert calls(step("aave", "withdraw", "USDT", "all"))[0].is_fixed()


# Where everything is.


def test_a_venue_whose_contracts_are_not_known_is_not_sent() -> None:
    at = structs.replace(here(), venues={"wallet": here().venues["wallet"]})
    with pytest.raises(VenueRejected, match=r"aave supply is not sent: the contracts of aave are not known; known are those of wallet"):
        calls(step("aave", "supply", "USDT"), at=at)


def test_a_venue_under_a_name_of_its_own_has_its_protocols_contracts_and_the_wallet_is_always_there() -> None:
    at = deployment(ACCOUNT, {"mine": load_settings("onchain", "mine", {"protocol": "aave", "pool": OTHER})})
    assert (at.venues["mine"], set(at.venues), at.chain_id) == (AaveContracts(pool=OTHER), {"mine", "wallet"}, 1)


def test_the_executors_lenders_are_the_configured_ones_or_mainnets() -> None:
    public = (AaveContracts().pool, MorphoContracts().address)
    assert flash_lenders(here()) == public == flash_lenders(deployment(ACCOUNT, {}))
    assert flash_lenders(here(aave={"pool": OTHER}, morpho={"address": OTHER})) == (OTHER, OTHER)
    assert flash_lenders(structs.replace(deployment(ACCOUNT, {}), chain_id=31_337)) == (ETHER, ETHER)
