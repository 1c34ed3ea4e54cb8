"""The top of a config, a row a key."""

from __future__ import annotations

from typing import Final

from basis_strategy_v1.config.containers import Either, Field, MapOf, Nullable, Record
from basis_strategy_v1.config.free_parameters import Free
from basis_strategy_v1.config.scalars import Bounds, Choice, Duration, Flag, Instant, Kind, Number, Seconds, Text, Whole
from basis_strategy_v1.config.strategy_tables import FILE, FOLDER, STRATEGIES, TOKEN
from basis_strategy_v1.config.venue_tables import ABOVE_ZERO, AMOUNT, LIMITS, VENUES

_STALENESS = Duration("1m", "400d")
_SERIES = Text(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}", "`default` or a series (funding/okx/ETHUSDT)")
_VENUE = Text(r"[a-z0-9]+(_[a-z0-9]+)*", "the name of a configured venue")

DATA: Final = Record(
    Field("directory", Nullable(FOLDER), "folder of CSV series; --data goes before it", None, is_path=True),
    Field("database", Nullable(FILE), "DuckDB file; where both are given, BASIS_DATA_MODE says which is read", None, is_path=True),
    Field("max_staleness", Either(_STALENESS, MapOf(_SERIES, _STALENESS)),
          "how old the last row of a series may be, for all or by series", "36h"),
    Field("missing_funding", Choice(("error", "zero")), "when a funding rate is missing while a position is held", "error"),
)  # fmt: skip


def _top(strategy: Kind) -> Record:
    return Record(
        Field("strategy_mode", Choice(tuple(STRATEGIES)), "which strategy", needed="always"),
        Field("share_class", Choice(("usdt_stable", "eth_directional")), "what the capital is counted in: USDT or ETH", needed="always"),
        Field("initial_capital", ABOVE_ZERO, "in the share class's currency", needed="always"),
        Field("start", Instant(), "first tick", needed="run"),
        Field("end", Instant(), "last tick", needed="run"),
        Field("interval", Duration("1s", "366d"), "time between two ticks; there is a tick at start and one at end", "1h"),
        Field("venue_timeout", Seconds(Bounds(above=0, below=120)), "seconds to wait for a venue's answer", 15),
        Field("max_retries_per_venue", Whole(Bounds(above=0, below=10)),
              "failures in a row after which a venue is unavailable for 60 s", 3),
        Field("max_retry_attempts", Whole(Bounds(above=0, below=10)), "attempts per instruction, in all", 3),
        Field("retry_delay_seconds", Seconds(Bounds(at_least=0, at_most=60)), "before the second attempt; doubles", "0.1"),
        Field("enable_atomic_chaining", Flag(), "false refuses atomic chains", True),
        Field("close_at_end", Flag(), "false: positions are marked at the end, not closed", False),
        Field("initial_positions", Nullable(MapOf(_VENUE, MapOf(TOKEN, AMOUNT))),
              "{venue: {token: amount}} at start; null: the strategy's own split", None),
        Field("gas_reserve_eth", Number(Bounds(at_least=0, at_most=1000)),
              "ETH bought at start when gas is not free and anything is done on chain", "0.05"),
        Field("data", DATA, "where the series come from", {}),
        Field("strategy", strategy, "the strategy's parameters", needed="run"),
        Field("limits", LIMITS, "what live never goes beyond", needed="live"),
        Field("venues", VENUES, "what the run may reach", needed="always"),
    )  # fmt: skip


TOPS: Final[dict[str, Record]] = {mode: _top(record) for mode, record in STRATEGIES.items()}
UNKNOWN_TOP: Final = _top(Free())


def top_for(strategy_mode: object) -> Record:
    """The table of a whole config; where the mode itself is wrong its parameters are not judged."""
    return TOPS.get(strategy_mode, UNKNOWN_TOP) if isinstance(strategy_mode, str) else UNKNOWN_TOP
