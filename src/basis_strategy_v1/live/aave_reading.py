"""An Aave v3 pool as it is at one block, with the account in it: what the simulator works on when it is live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from basis_strategy_v1.core.clock import SECOND_US
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.tokens import decimals_of
from basis_strategy_v1.live.chain_abi import ContractRead
from basis_strategy_v1.venues.aave_account import EMode, Pool, UserAccount
from basis_strategy_v1.venues.aave_reserve import Reserve, ReserveRules
from basis_strategy_v1.venues.aave_state import AaveState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Reads = Callable[[Sequence[ContractRead]], list[Any]]

RESERVE_DATA = "((uint256),uint128,uint128,uint128,uint128,uint128,uint40,uint16,address,address,address,address,uint128,uint128,uint128)"
CATEGORY = "(uint16,uint16,uint16,address,string)"
REVISIONS = {1: "3.0", 2: "3.0"}
"""Which arithmetic a pool's POOL_REVISION() has: 3.0 and 3.0.1 round alike."""
MOST_CATEGORIES = 8
NOWHERE = "0x" + "0" * 40


class ReserveContracts(Struct, frozen=True, kw_only=True):
    """A reserve's contracts, its place in the pool's list, and the slopes of its rate strategy (ray)."""

    token: str
    a_token: str
    debt_token: str
    place: int
    decimals: int
    optimal_usage_ray: int
    base_rate_ray: int
    slope1_ray: int
    slope2_ray: int


class PoolContracts(Struct, frozen=True, kw_only=True):
    """What does not change from block to block: the pool, its oracle, its revision, its reserves by the name of the token, its premium."""

    name: str
    pool: str
    oracle: str
    revision: str
    reserves: Mapping[str, ReserveContracts]
    premium_bps: int
    premium_to_protocol_bps: int
    categories: tuple[int, ...] = ()  # the e-modes that there are
    sources: tuple[str, ...] = ()  # those of which one takes its price

    def reads(self, account: str) -> list[ContractRead]:
        """All that changes, in one batch."""
        found = [
            ContractRead(self.pool, "getUserConfiguration(address)", (account,)),
            ContractRead(self.pool, "getUserEMode(address)", (account,)),
        ]
        found += _category_reads(self.pool, self.categories)
        found += [ContractRead(self.oracle, "getAssetPrice(address)", (source,)) for source in self.sources]
        for reserve in self.reserves.values():
            found += [
                ContractRead(self.pool, "getReserveData(address)", (reserve.token,), (RESERVE_DATA,)),
                ContractRead(reserve.a_token, "scaledTotalSupply()"),
                ContractRead(reserve.debt_token, "scaledTotalSupply()"),
                ContractRead(reserve.token, "balanceOf(address)", (reserve.a_token,)),
                ContractRead(reserve.a_token, "scaledBalanceOf(address)", (account,)),
                ContractRead(reserve.debt_token, "scaledBalanceOf(address)", (account,)),
                ContractRead(self.oracle, "getAssetPrice(address)", (reserve.token,)),
            ]
        return found

    def state(self, values: Sequence[Any], at_s: int) -> AaveState:
        """The pool and the account from what `reads` were answered, at a block of that time."""
        flags, emode, *rest = values
        categories, rest = rest[: len(self.categories)], rest[len(self.categories) :]
        of_sources, rest = rest[: len(self.sources)], rest[len(self.sources) :]
        rules: dict[str, ReserveRules] = {}
        reserves: dict[str, Reserve] = {}
        prices: dict[str, int] = dict(zip(self.sources, of_sources, strict=True))
        supplied: dict[str, int] = {}
        borrowed: dict[str, int] = {}
        collateral: set[str] = set()
        member: dict[str, int] = {}
        for index, (name, contracts) in enumerate(self.reserves.items()):
            data, supply, debt, cash, ours, owed, price = rest[7 * index : 7 * index + 7]
            rules[name], member[name] = _rules(data[0][0], contracts)
            reserves[name] = Reserve(
                liquidity_index_ray=data[1], variable_borrow_index_ray=data[3], liquidity_rate_ray=data[2],
                variable_borrow_rate_ray=data[4], last_update_s=data[6], scaled_supply=supply, scaled_debt=debt, available=cash,
                accrued_to_treasury=data[12], isolation_debt_cents=data[14],
            )  # fmt: skip
            prices[name] = price
            if ours:
                supplied[name] = ours
            if owed or flags >> (2 * contracts.place) & 1:  # 3.0 may go on counting a debt of 0
                borrowed[name] = owed
            if flags >> (2 * contracts.place + 1) & 1:
                collateral.add(name)
        emodes = {number: _category(row, number, member) for number, row in zip(self.categories, categories, strict=True)}
        pool = Pool(
            revision=self.revision, rules=rules, reserves=reserves, emodes=emodes, flash_premium_bps=self.premium_bps,
            flash_premium_to_protocol_bps=self.premium_to_protocol_bps,
        )  # fmt: skip
        user = UserAccount(supplied, borrowed, frozenset(collateral), emode)
        return AaveState(pool, user, at_s * SECOND_US, at_s, prices=prices)


def pool_contracts(name: str, pool: str, tokens: Mapping[str, str], read: Reads) -> PoolContracts:
    """Look at a pool once: its revision and its reserves of the tokens that are known (name -> address).

    Raises:
        ComponentError: CFG-001, its revision is not one that is simulated, or a token's decimals are others than it has there.
    """
    (revision,) = read([ContractRead(pool, "POOL_REVISION()")])
    if revision not in REVISIONS:
        known = ", ".join(f"{number} ({version})" for number, version in REVISIONS.items())
        raise ComponentError("CFG-001", f"venues.onchain.{name}.pool: {pool} is of revision {revision}, which is not simulated; "
                                        f"those that are: {known}")  # fmt: skip
    provider, listed, premium, to_protocol = read(
        [
            ContractRead(pool, "ADDRESSES_PROVIDER()", (), ("address",)),
            ContractRead(pool, "getReservesList()", (), ("address[]",)),
            ContractRead(pool, "FLASHLOAN_PREMIUM_TOTAL()", (), ("uint128",)),
            ContractRead(pool, "FLASHLOAN_PREMIUM_TO_PROTOCOL()", (), ("uint128",)),
        ]
    )
    places = {address.lower(): place for place, address in enumerate(listed)}
    known_tokens = {token: address for token, address in tokens.items() if address.lower() in places}
    wanted = [ContractRead(provider, "getPriceOracle()", (), ("address",))]
    for address in known_tokens.values():
        wanted += [
            ContractRead(pool, "getReserveData(address)", (address,), (RESERVE_DATA,)),
            ContractRead(address, "decimals()", (), ("uint8",)),
        ]
    wanted += _category_reads(pool, range(1, MOST_CATEGORIES + 1))
    oracle, *answers = read(wanted)
    answers, categories = answers[:-MOST_CATEGORIES], answers[-MOST_CATEGORIES:]
    emodes = tuple(number for number, row in enumerate(categories, 1) if row[1])
    sources = dict.fromkeys(categories[number - 1][3] for number in emodes)
    sources.pop(NOWHERE, None)
    strategies = []
    for data in answers[0::2]:
        names = ("OPTIMAL_USAGE_RATIO", "getBaseVariableBorrowRate", "getVariableRateSlope1", "getVariableRateSlope2")
        strategies += [ContractRead(data[11], f"{method}()") for method in names]
    slopes = read(strategies)
    reserves = {}
    for index, (token, address) in enumerate(known_tokens.items()):
        data, decimals = answers[2 * index : 2 * index + 2]
        if decimals != decimals_of(token):
            raise ComponentError("CFG-001", f"venues.onchain.wallet.tokens.{token}.address: {address} has {decimals} decimals, {token} "
                                            f"has {decimals_of(token)}; give the address of {token}")  # fmt: skip
        optimal, base, slope1, slope2 = slopes[4 * index : 4 * index + 4]
        reserves[token] = ReserveContracts(
            token=address, a_token=data[8], debt_token=data[10], place=places[address.lower()], decimals=decimals,
            optimal_usage_ray=optimal, base_rate_ray=base, slope1_ray=slope1, slope2_ray=slope2,
        )  # fmt: skip
    return PoolContracts(
        name=name, pool=pool, oracle=oracle, revision=REVISIONS[revision], reserves=reserves, premium_bps=premium,
        premium_to_protocol_bps=to_protocol, categories=emodes, sources=tuple(sources),
    )  # fmt: skip


def _category_reads(pool: str, numbers: Iterable[int]) -> list[ContractRead]:
    return [ContractRead(pool, "getEModeCategoryData(uint8)", (number,), (CATEGORY,)) for number in numbers]


def _bits(number: int, start: int, end: int) -> int:
    return number >> start & ((1 << (end - start + 1)) - 1)


def _rules(configuration: int, contracts: ReserveContracts) -> tuple[ReserveRules, int]:
    """The rules in a reserve's configuration word, and the e-mode category that it belongs to."""

    def flag(place: int) -> bool:
        return bool(configuration >> place & 1)

    threshold_bps, bonus_bps = _bits(configuration, 16, 31), _bits(configuration, 32, 47)
    rules = ReserveRules(
        decimals=contracts.decimals,
        ltv_bps=_bits(configuration, 0, 15),
        liquidation_threshold_bps=threshold_bps,
        liquidation_bonus_bps=max(bonus_bps - 10_000, 0),
        reserve_factor_bps=_bits(configuration, 64, 79),
        optimal_usage_ray=contracts.optimal_usage_ray,
        base_rate_ray=contracts.base_rate_ray,
        slope1_ray=contracts.slope1_ray,
        slope2_ray=contracts.slope2_ray,
        supply_cap=_bits(configuration, 116, 151),
        borrow_cap=_bits(configuration, 80, 115),
        liquidation_protocol_fee_bps=_bits(configuration, 152, 167),
        borrowable=flag(58),
        flash_loanable=flag(63),
        active=flag(56),
        paused=flag(60),
        frozen=flag(57),
        debt_ceiling_cents=_bits(configuration, 212, 251),
        borrowable_in_isolation=flag(61),
        siloed=flag(62),
    )
    return rules, _bits(configuration, 168, 175)


def _category(row: Any, number: int, member: Mapping[str, int]) -> EMode:
    ltv_bps, threshold_bps, bonus_bps, source, _ = row
    tokens = frozenset(name for name, category in member.items() if category == number)
    return EMode(
        ltv_bps=ltv_bps, liquidation_threshold_bps=threshold_bps, liquidation_bonus_bps=max(bonus_bps - 10_000, 0), collateral=tokens,
        borrowable=tokens, price_source="" if source == NOWHERE else source,
    )  # fmt: skip
