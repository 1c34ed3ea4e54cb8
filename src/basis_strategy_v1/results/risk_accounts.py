"""Leverage, margin ratio and distance to liquidation of perp accounts, at every step."""

from __future__ import annotations

from math import nan
from operator import add, mul, sub
from typing import TYPE_CHECKING

from basis_strategy_v1.results.risk_steps import Cells, Steps, texts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from basis_strategy_v1.results.risk_steps import PerpKey
    from basis_strategy_v1.venues.exchange_terms import MarginTerms

MOST_TRIES = 20  # for the tier in which an account is liquidated
UNKNOWN = (nan, nan)


def account_cells(name: str, steps: Steps) -> Cells:
    """The cells of a perp account. Its coins are margin where it is a unified one.

    The distance is the share by which all its prices move, those of its coins too, until its equity is the maintenance margin:
    (equity - rates x sizes + deductions) / |rates x sizes - net notional - coins|. A fall of more than all of a price is none.
    """
    own = [key for key in steps.perps if key[0] == name]
    settle = own[0][3]
    coins = [steps.times(amounts, steps.prices.per(token, settle)) for token, amounts in _coins(name, steps).items()]
    nets = steps.sum([*(steps.worths[key] for key in own), *coins])
    equities = list(map(add, steps.spread(_cash(name, settle, steps)), nets))
    rates, deducted = _rates(name, steps, equities, nets)
    sizes = steps.sum([steps.sizes[key] for key in own])
    needs = steps.sum([map(mul, steps.sizes[key], steps.spread(rates[key])) for key in own])
    left = [equity - need + less for equity, need, less in zip(equities, needs, steps.spread(deducted), strict=True)]
    slopes = list(map(sub, needs, nets))
    distances = [more / slope if size and slope else nan for more, slope, size in zip(left, slopes, sizes, strict=True)]
    ratios = [equity / size if size else nan for equity, size in zip(equities, sizes, strict=True)]
    if any(slope < 0 for slope in slopes):  # a fall is what it comes from there
        distances = [d if slope > 0 else -d if d >= -1 else nan for d, slope in zip(distances, slopes, strict=True)]
    return {
        f"{name}_leverage": texts_of([1 / ratio if ratio > 0 else nan for ratio in ratios]),
        f"{name}_margin_ratio": texts_of(ratios),
        f"{name}_liquidation_distance": texts_of(distances),
    }


def _cash(name: str, settle: str, steps: Steps) -> list[float]:
    """The equity of an account at each point, less what its perps and coins are worth."""
    costs = [float(sum([perp.cost for perp in point.perps if perp.venue == name])) for point in steps.points]
    return list(map(sub, steps.held.get((name, settle, settle), [0.0] * len(costs)), costs))


def _coins(name: str, steps: Steps) -> dict[str, list[float]]:
    """token -> how much of it counts as margin, at each point."""
    terms_at = {place: terms for key, terms_of in steps.terms.items() if key[0] == name for place, terms in terms_of.items()}
    if not any(terms.counted for terms in terms_at.values()):
        return {}
    shares = [terms_at[place].counted if place in terms_at else {} for place in range(len(steps.points))]
    return {
        token: [max(amount, 0.0) * share.get(token, 0.0) for amount, share in zip(amounts, shares, strict=True)]
        for (venue, held_as, token), amounts in steps.held.items()
        if venue == name and held_as == token and any(token in share for share in shares)
    }


def _rates(name: str, steps: Steps, equities: Sequence[float], nets: Sequence[float]) -> tuple[dict[PerpKey, list[float]], list[float]]:
    """The rate of maintenance of each perp of an account at each point, and what is deducted from all of it."""
    own = {key: [0.0] * len(steps.points) for key in steps.perps if key[0] == name}
    deducted = [0.0] * len(steps.points)
    for place, step in enumerate(steps.firsts):
        held = [(key, terms, steps.sizes[key][step]) for key in own if (terms := steps.terms[key].get(place))]
        tiers = _tiers_at_liquidation([(terms, size) for _, terms, size in held], equities[step], nets[step])
        for (key, _, _), (rate, less) in zip(held, tiers, strict=True):
            own[key][place] = rate
            deducted[place] += less
    return own, deducted


def _tiers_at_liquidation(perps: Sequence[tuple[MarginTerms, float]], equity: float, net: float) -> list[tuple[float, float]]:
    """The rate and the deduction of each perp's tier where equity is the maintenance margin, from the terms and the size of each; `net` is
    what equity changes by when all prices double."""
    found: list[tuple[float, float]] = []
    factor = 1.0
    for _ in range(MOST_TRIES):
        tiers = [_tier(terms, size * factor) for terms, size in perps]
        if tiers == found:
            break
        found, need, left = tiers, 0.0, equity
        for (rate, deducted), (_, size) in zip(tiers, perps, strict=True):
            need += rate * size
            left += deducted
        factor = 1 + max((left - need) / (need - net), -1.0) if need != net else 1.0
    return found


def _tier(terms: MarginTerms, notional: float) -> tuple[float, float]:
    for upper, rate, deducted in terms.tiers:
        if notional <= upper:
            return rate, deducted
    return UNKNOWN
