"""An Aave 3.0 market from the real bytecode, set up by the same rules that the model is given, and read back in the model's terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.venues.aave_account import account_data, balance_of, debt_of
from basis_strategy_v1.venues.aave_pool import ALL

from .chain import Artifact, Read, artifact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.venues.aave_account import EMode, Pool, UserAccount
    from basis_strategy_v1.venues.aave_reserve import ReserveRules

    from .chain import Chain

ZERO = "0x" + "00" * 20
TREASURY = "0x" + "7e" * 20
PLENTY = 10**33
VARIABLE = 2

BASIS = "@aave/core-v3/artifacts/contracts"
RESERVE_DATA = (
    "getReserveData(address)(((uint256),uint128,uint128,uint128,uint128,uint128,uint40,uint16,"
    "address,address,address,address,uint128,uint128,uint128))"
)
ACCOUNT_DATA = "getUserAccountData(address)(uint256,uint256,uint256,uint256,uint256,uint256)"
COLLATERAL_TERMS = "configureReserveAsCollateral(address,uint256,uint256,uint256)"
INIT_RESERVES = (
    "initReserves((address,address,address,uint8,address,address,address,address,string,string,string,string,string,string,bytes)[])"
)


def aave(path: str) -> Artifact:
    name = path.rsplit("/", 1)[-1]
    return artifact(f"{BASIS}/{path}.sol/{name}.json")


def mock(path: str, name: str) -> Artifact:
    return artifact(f"{BASIS}/mocks/{path}/{name}.json")


class Listing(NamedTuple):
    """A token with the two tokens that its reserve issues."""

    token: str
    a_token: str
    debt_token: str


@dataclass(frozen=True, slots=True)
class AaveDeployment:
    chain: Chain
    pool: str
    configurator: str
    provider: str
    oracle: str
    flash_receiver: str
    listings: dict[str, Listing]
    price_sources: dict[str, str]

    def set_price(self, name: str, price: int) -> None:
        """Set the oracle's price of a token or of an e-mode's price source."""
        address = self.price_sources.get(name) or self.listings[name].token
        self.chain.send(self.oracle, "setAssetPrice(address,uint256)", (address, price))

    def freeze(self, name: str, frozen: bool) -> None:
        self.chain.send(self.configurator, "setReserveFreeze(address,bool)", (self.listings[name].token, frozen))

    def set_collateral_terms(self, name: str, rules: ReserveRules) -> None:
        self.chain.send(self.configurator, COLLATERAL_TERMS, _collateral_terms(self.listings[name].token, rules))

    def fund(self, account: str) -> None:
        """Give the account plenty of every token, approved for the pool."""
        for listing in self.listings.values():
            self.chain.send(listing.token, "mint(uint256)", (PLENTY,), sender=account)
            self.chain.send(listing.token, "approve(address,uint256)", (self.pool, ALL), sender=account)

    def reads(self, users: Mapping[str, str]) -> dict[str, Read]:
        """What there is to compare, by label."""
        wanted: dict[str, Read] = {}
        for name, listing in self.listings.items():
            wanted[f"{name} reserve"] = Read(self.pool, RESERVE_DATA, (listing.token,))
            wanted[f"{name} scaled supply"] = Read(listing.a_token, "scaledTotalSupply()(uint256)")
            wanted[f"{name} scaled debt"] = Read(listing.debt_token, "scaledTotalSupply()(uint256)")
            wanted[f"{name} cash"] = Read(listing.token, "balanceOf(address)(uint256)", (listing.a_token,))
            for user, address in users.items():
                wanted[f"{user} {name} scaled supply"] = Read(listing.a_token, "scaledBalanceOf(address)(uint256)", (address,))
                wanted[f"{user} {name} scaled debt"] = Read(listing.debt_token, "scaledBalanceOf(address)(uint256)", (address,))
                wanted[f"{user} {name} supply"] = Read(listing.a_token, "balanceOf(address)(uint256)", (address,))
                wanted[f"{user} {name} debt"] = Read(listing.debt_token, "balanceOf(address)(uint256)", (address,))
                wanted[f"{user} {name} wallet"] = Read(listing.token, "balanceOf(address)(uint256)", (address,))
        for user, address in users.items():
            wanted[f"{user} account"] = Read(self.pool, ACCOUNT_DATA, (address,))
            wanted[f"{user} flags"] = Read(self.pool, "getUserConfiguration(address)((uint256))", (address,))
            wanted[f"{user} e-mode"] = Read(self.pool, "getUserEMode(address)(uint256)", (address,))
        return wanted

    def update_to(self, wanted: dict[str, Read]) -> dict[str, object]:
        """Read all of it in one round trip; the reserve's tuple is cut to what the model has."""
        values = dict(zip(wanted, self.chain.read(list(wanted.values())), strict=True))
        for name in self.listings:
            data = values[f"{name} reserve"]
            values[f"{name} reserve"] = (*data[1:5], data[6], data[12], data[14])
        for label in [label for label in values if label.endswith(" flags")]:
            values[label] = values[label][0]
        return values


def expected(
    pool: Pool, users: Mapping[str, UserAccount], wallets: Mapping[tuple[str, str], int], prices: Mapping[str, int], now_s: int
) -> dict[str, object]:
    """The same labels as `AaveDeployment.reads`, out of the model."""
    values: dict[str, object] = {}
    for name, reserve in pool.reserves.items():
        values[f"{name} reserve"] = (
            reserve.liquidity_index_ray,
            reserve.liquidity_rate_ray,
            reserve.variable_borrow_index_ray,
            reserve.variable_borrow_rate_ray,
            reserve.last_update_s,
            reserve.accrued_to_treasury,
            reserve.isolation_debt_cents,
        )
        values[f"{name} scaled supply"] = reserve.scaled_supply
        values[f"{name} scaled debt"] = reserve.scaled_debt
        values[f"{name} cash"] = reserve.available
        for user, account in users.items():
            values[f"{user} {name} scaled supply"] = account.supplied.get(name, 0)
            values[f"{user} {name} scaled debt"] = account.borrowed.get(name, 0)
            values[f"{user} {name} supply"] = balance_of(account, pool, name, now_s)
            values[f"{user} {name} debt"] = debt_of(account, pool, name, now_s)
            values[f"{user} {name} wallet"] = wallets[user, name]
    for user, account in users.items():
        data = account_data(account, pool, prices, now_s)
        totals = (data.collateral_base, data.debt_base, data.available_borrows_base)
        values[f"{user} account"] = (*totals, data.liquidation_threshold_bps, data.ltv_bps, data.health_factor_wad)
        values[f"{user} flags"] = _flags(account, list(pool.reserves))
        values[f"{user} e-mode"] = account.emode
    return values


def _flags(account: UserAccount, tokens: list[str]) -> int:
    borrowing = sum(1 << (2 * tokens.index(token)) for token in account.borrowed)
    return borrowing + sum(2 << (2 * tokens.index(token)) for token in account.collateral)


def deploy_aave(
    chain: Chain, rules: Mapping[str, ReserveRules], emodes: Mapping[int, EMode], premium_bps: int, premium_to_protocol_bps: int
) -> AaveDeployment:
    """Deploy the market; reserves are listed in the order of `rules`."""
    admin = chain.accounts[0]
    provider = chain.deploy(aave("protocol/configuration/PoolAddressesProvider"), ("local", admin))
    # The ACL admin has to be known before the manager is made: its constructor asks for it.
    chain.send(provider, "setACLAdmin(address)", (admin,))
    manager = chain.deploy(aave("protocol/configuration/ACLManager"), (provider,))
    chain.send(provider, "setACLManager(address)", (manager,))
    for role in ("addPoolAdmin", "addAssetListingAdmin", "addRiskAdmin", "addEmergencyAdmin"):
        chain.send(manager, f"{role}(address)", (admin,))
    pool, configurator = _deploy_pool(chain, provider)
    oracle = chain.deploy(mock("oracle/PriceOracle.sol", "PriceOracle"))
    chain.send(provider, "setPriceOracle(address)", (oracle,))
    reader = chain.deploy(artifact(f"{BASIS}/misc/AaveProtocolDataProvider.sol/AaveProtocolDataProvider.json"), (provider,))
    chain.send(provider, "setPoolDataProvider(address)", (reader,))
    tokens = _list_reserves(chain, provider, pool, configurator, rules)
    sources = {emode.price_source: _address(0xE0 + number) for number, emode in emodes.items() if emode.price_source}
    _configure(chain, configurator, rules, tokens)
    _configure_emodes(chain, configurator, emodes, tokens, sources)
    chain.send(configurator, "updateFlashloanPremiumTotal(uint128)", (premium_bps,))
    chain.send(configurator, "updateFlashloanPremiumToProtocol(uint128)", (premium_to_protocol_bps,))
    receiver = chain.deploy(mock("flashloan/MockSimpleFlashLoanReceiver.sol", "MockFlashLoanSimpleReceiver"), (provider,))
    listings = {}
    for name, token in tokens.items():
        data = chain.call(pool, RESERVE_DATA, (token,))
        listings[name] = Listing(token, data[8], data[10])
    return AaveDeployment(chain, pool, configurator, provider, oracle, receiver, listings, sources)


def _address(number: int) -> str:
    return f"0x{number:040x}"


def _deploy_pool(chain: Chain, provider: str) -> tuple[str, str]:
    """Deploy the libraries, link pool and configurator, and return the addresses of their proxies."""
    logic = "protocol/libraries/logic"
    alone = ("SupplyLogic", "BorrowLogic", "LiquidationLogic", "EModeLogic", "BridgeLogic", "PoolLogic", "ConfiguratorLogic")
    libraries = {name: chain.deploy(aave(f"{logic}/{name}")) for name in alone}
    libraries["FlashLoanLogic"] = chain.deploy(aave(f"{logic}/FlashLoanLogic"), libraries=libraries)
    implementation = chain.deploy(aave("protocol/pool/Pool"), (provider,), libraries=libraries)
    chain.send(provider, "setPoolImpl(address)", (implementation,))
    configurator = chain.deploy(aave("protocol/pool/PoolConfigurator"), libraries=libraries)
    chain.send(provider, "setPoolConfiguratorImpl(address)", (configurator,))
    return chain.call(provider, "getPool()(address)"), chain.call(provider, "getPoolConfigurator()(address)")


def _list_reserves(chain: Chain, provider: str, pool: str, configurator: str, rules: Mapping[str, ReserveRules]) -> dict[str, str]:
    # The token implementations take the pool's proxy, or their initialisation refuses it.
    issued = [chain.deploy(aave(f"protocol/tokenization/{kind}"), (pool,)) for kind in ("AToken", "StableDebtToken", "VariableDebtToken")]
    tokens, listed = {}, []
    for name, rule in rules.items():
        tokens[name] = chain.deploy(mock("tokens/MintableERC20.sol", "MintableERC20"), (name, name, rule.decimals))
        curve = (rule.optimal_usage_ray, rule.base_rate_ray, rule.slope1_ray, rule.slope2_ray)
        strategy = chain.deploy(aave("protocol/pool/DefaultReserveInterestRateStrategy"), (provider, *curve, 0, 0, 0, 0, 0))
        names = [f"{prefix}{name}" for prefix in ("a", "a", "variableDebt", "variableDebt", "stableDebt", "stableDebt")]
        listed.append((*issued, rule.decimals, strategy, tokens[name], TREASURY, ZERO, *names, b""))
    chain.send(configurator, INIT_RESERVES, (listed,))
    return tokens


def _collateral_terms(token: str, rules: ReserveRules) -> tuple[str, int, int, int]:
    bonus_bps = 10_000 + rules.liquidation_bonus_bps if rules.liquidation_threshold_bps else 0
    return token, rules.ltv_bps, rules.liquidation_threshold_bps, bonus_bps


def _configure(chain: Chain, configurator: str, rules: Mapping[str, ReserveRules], tokens: Mapping[str, str]) -> None:
    for name, rule in rules.items():
        token = tokens[name]
        chain.send(configurator, COLLATERAL_TERMS, _collateral_terms(token, rule))
        for setter, value in (
            ("setReserveBorrowing(address,bool)", rule.borrowable),
            ("setReserveFactor(address,uint256)", rule.reserve_factor_bps),
            ("setReserveFlashLoaning(address,bool)", rule.flash_loanable),
            ("setSupplyCap(address,uint256)", rule.supply_cap),
            ("setBorrowCap(address,uint256)", rule.borrow_cap),
            ("setLiquidationProtocolFee(address,uint256)", rule.liquidation_protocol_fee_bps),
            ("setDebtCeiling(address,uint256)", rule.debt_ceiling_cents),
            ("setBorrowableInIsolation(address,bool)", rule.borrowable_in_isolation),
            ("setSiloedBorrowing(address,bool)", rule.siloed),
            ("setReserveFreeze(address,bool)", rule.frozen),
            ("setReservePause(address,bool)", rule.paused),
        ):
            chain.send(configurator, setter, (token, value))


def _configure_emodes(
    chain: Chain, configurator: str, emodes: Mapping[int, EMode], tokens: Mapping[str, str], sources: Mapping[str, str]
) -> None:
    for number, emode in emodes.items():
        terms = (emode.ltv_bps, emode.liquidation_threshold_bps, 10_000 + emode.liquidation_bonus_bps)
        setter = "setEModeCategory(uint8,uint16,uint16,uint16,address,string)"
        chain.send(configurator, setter, (number, *terms, sources.get(emode.price_source, ZERO), str(number)))
        for name in emode.collateral:
            chain.send(configurator, "setAssetEModeCategory(address,uint8)", (tokens[name], number))
