"""Morpho Blue and its AdaptiveCurveIrm from their published sources, with one market, and what there is to compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from basis_strategy_v1.venues.morpho_market import Market, Position

from .aave_deployment import mock
from .chain import NODE_MODULES, Artifact, Read, compiled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .chain import Chain

PLENTY = 10**33
ALL = 2**256 - 1
MORPHO_SOURCES = NODE_MODULES / "@morpho-org" / "morpho-blue"
# That package's own Morpho.sol differs from the original, so only the interest rate model is taken from it.
IRM_SOURCES = NODE_MODULES / "sphere-mezo-solidity-files" / "domains"
PARAMS = "(address,address,address,address,uint256)"
FEE_RECIPIENT = "0x" + "fe" * 20


def morpho_contract(entry: str, name: str, *, via_ir: bool = False) -> Artifact:
    return compiled(entry, name, compiler="solc-0.8.19", via_ir=via_ir, root=MORPHO_SOURCES)


@dataclass(frozen=True, slots=True)
class MorphoDeployment:
    chain: Chain
    morpho: str
    irm: str
    oracle: str
    flash_borrower: str
    loan_token: str
    collateral_token: str
    lltv_wad: int
    market_id: bytes

    @property
    def params(self) -> tuple[str, str, str, str, int]:
        return self.loan_token, self.collateral_token, self.oracle, self.irm, self.lltv_wad

    def fund(self, account: str) -> None:
        for token in (self.loan_token, self.collateral_token):
            self.chain.send(token, "mint(uint256)", (PLENTY,), sender=account)
            self.chain.send(token, "approve(address,uint256)", (self.morpho, ALL), sender=account)

    def set_price(self, price: int) -> None:
        self.chain.send(self.oracle, "setPrice(uint256)", (price,))

    def reads(self, users: Mapping[str, str]) -> dict[str, Read]:
        position = "position(bytes32,address)(uint256,uint128,uint128)"
        wanted = {
            "market": Read(self.morpho, "market(bytes32)(uint128,uint128,uint128,uint128,uint128,uint128)", (self.market_id,)),
            "rate at target": Read(self.irm, "rateAtTarget(bytes32)(int256)", (self.market_id,)),
            "fee recipient": Read(self.morpho, position, (self.market_id, FEE_RECIPIENT)),
        }
        for user, address in users.items():
            wanted[f"{user} position"] = Read(self.morpho, position, (self.market_id, address))
            wanted[f"{user} loan token"] = Read(self.loan_token, "balanceOf(address)(uint256)", (address,))
            wanted[f"{user} collateral token"] = Read(self.collateral_token, "balanceOf(address)(uint256)", (address,))
        return wanted


def expected(market: Market, positions: Mapping[str, Position], wallets: Mapping[str, tuple[int, int]]) -> dict[str, object]:
    """The same labels as `MorphoDeployment.reads`, out of the model."""
    totals = (market.total_supply_assets, market.total_supply_shares, market.total_borrow_assets, market.total_borrow_shares)
    values: dict[str, object] = {
        "market": (*totals, market.last_update_s, market.fee_wad),
        "rate at target": market.rate_at_target_wad,
        "fee recipient": (market.fee_shares, 0, 0),
    }
    for user, position in positions.items():
        values[f"{user} position"] = (position.supply_shares, position.borrow_shares, position.collateral)
        values[f"{user} loan token"], values[f"{user} collateral token"] = wallets[user]
    return values


def deploy_morpho(chain: Chain, lltv_wad: int, fee_wad: int, price: int, collateral_token: str | None = None) -> MorphoDeployment:
    """Everything belongs to the node's first account; without a collateral token the market gets one of its own."""
    owner = chain.accounts[0]
    morpho = chain.deploy(morpho_contract("src/Morpho.sol", "Morpho", via_ir=True), (owner,))
    irm = chain.deploy(compiled("morphoIrm/contracts/AdaptiveCurveIrm.sol", "AdaptiveCurveIrm", via_ir=True, root=IRM_SOURCES), (morpho,))
    oracle = chain.deploy(morpho_contract("src/mocks/OracleMock.sol", "OracleMock"))
    borrower = chain.deploy(morpho_contract("src/mocks/FlashBorrowerMock.sol", "FlashBorrowerMock"), (morpho,))
    token = mock("tokens/MintableERC20.sol", "MintableERC20")
    loan = chain.deploy(token, ("Loan", "LOAN", 6))
    collateral = collateral_token or chain.deploy(token, ("Collateral", "COLL", 18))
    params = (loan, collateral, oracle, irm, lltv_wad)
    chain.send(oracle, "setPrice(uint256)", (price,))
    chain.send(morpho, "enableIrm(address)", (irm,))
    chain.send(morpho, "enableLltv(uint256)", (lltv_wad,))
    receipt = chain.send(morpho, f"createMarket({PARAMS})", (params,))
    chain.send(morpho, "setFeeRecipient(address)", (FEE_RECIPIENT,))
    chain.send(morpho, f"setFee({PARAMS},uint256)", (params, fee_wad))
    created = next(log for log in receipt["logs"] if log["address"] == morpho)
    return MorphoDeployment(chain, morpho, irm, oracle, borrower, loan, collateral, lltv_wad, bytes.fromhex(created["topics"][1][2:]))
