"""The sources of attribution: the one table that the ledger, the report and the documents read.

A source is added as a row. A venue then names it, as the `source` of a `Cost` or as the `growth` of an `Exposure`.
"""

from __future__ import annotations

from typing import NamedTuple

PRICE, CARRY, COST = GROUPS = ("Price", "Carry", "Costs")
EARNED, PAID, EITHER = 1, -1, 0


class Colour(NamedTuple):
    """`#rrggbb` on light paper and on dark."""

    light: str
    dark: str


class AttributionSource(NamedTuple):
    """Where a part of the profit comes from.

    `group` is the heading it stands under in tables. `sign` says whether it is usually earned (1), paid (-1) or either (0); the growth of
    a position of a source that is paid is the growth of a debt. `about` is one line for a reader.
    """

    name: str
    group: str
    sign: int
    colour: Colour
    about: str

    @property
    def variable(self) -> str:
        """Its colour as a variable of the stylesheet: `--spot-price`."""
        return f"--{self.name.replace('_', '-')}"


# In the order in which files and tables show them.
_ROWS = (
    AttributionSource("spot_price", PRICE, EITHER, Colour("#4d78b3", "#6c97d1"), "the prices of tokens: the rest of the change of equity"),
    AttributionSource("perp_price", PRICE, EITHER, Colour("#d39a4a", "#d9a65c"), "the marks of perps"),
    AttributionSource("funding", CARRY, EITHER, Colour("#2f8f7b", "#4fae98"), "funding payments of perps"),
    AttributionSource("supply_interest", CARRY, EARNED, Colour("#78aa5c", "#8dbd70"), "interest on what is lent"),
    AttributionSource("borrow_interest", CARRY, PAID, Colour("#b65a4c", "#cf7467"), "interest on what is borrowed"),
    AttributionSource("staking", CARRY, EARNED, Colour("#8a70b5", "#a68fd0"), "staking rewards"),
    AttributionSource("fees", COST, PAID, Colour("#c47a96", "#d58fab"), "trading fees and fees of protocols"),
    AttributionSource("slippage", COST, PAID, Colour("#94765a", "#ae8f71"), "the price of a fill against the price of the data"),
    AttributionSource("gas", COST, PAID, Colour("#8b95a1", "#8b96a3"), "gas of transactions"),
    AttributionSource("transfers", COST, PAID, Colour("#5aa6bd", "#6fb9cf"), "withdrawal fees of exchanges"),
    AttributionSource("liquidation", COST, PAID, Colour("#33373d", "#d5d9de"), "penalties of liquidations"),
)
SOURCES = {row.name: row for row in _ROWS}
# What the ledger itself makes of prices; a report may show the two as one.
PRICES = ("spot_price", "perp_price")


def names_of(group: str) -> tuple[str, ...]:
    """The names of the sources of a group."""
    return tuple(row.name for row in SOURCES.values() if row.group == group)


def table() -> str:
    """The table as Markdown, as docs/strategies.md has it."""
    signs = {EARNED: "+", PAID: "−", EITHER: "±"}  # noqa: RUF001
    lines = [f"| `{row.name}` | {row.group} | {signs[row.sign]} | {row.about} |" for row in SOURCES.values()]
    return "\n".join(["| source | group | sign | what it is |", "|---|---|---|---|", *lines])
