"""Where data come from: `basis data download` and `basis data sources`."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from basis_strategy_v1.cli_research import AsJson, say_json
from basis_strategy_v1.core.amounts import counted, shown
from basis_strategy_v1.terminal import say

if TYPE_CHECKING:
    from basis_strategy_v1.app.download import WantedSeries
    from basis_strategy_v1.config import Config

app = typer.Typer()


@app.command("download", epilog="Example: basis data download market --venue binance --symbol ETHUSDT --since 2024-06-01")
def data_download(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The data folder that the series go into.")],
    pool: Annotated[str, typer.Argument(metavar="[POOL]", help="A Uniswap v3 pool's address: its states, from a node.")] = "",
    config: Annotated[Path | None, typer.Option("--config", metavar="CONFIG", help="The series that it needs, of its time.")] = None,
    venue: Annotated[str, typer.Option("--venue", help="binance, bybit, okx or hyperliquid.")] = "",
    symbol: Annotated[str, typer.Option("--symbol", help="Such as ETHUSDT.")] = "",
    market: Annotated[str, typer.Option("--market", help="spot or perp; left out: both.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="ohlcv or funding; left out: both.")] = "",
    interval: Annotated[str, typer.Option("--interval", help="Of the bars.")] = "1h",
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="From when on; else the config's start.")] = "",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="Up to when; else the config's end, or now.")] = "",
    endpoint: Annotated[str, typer.Option("--endpoint", metavar="URL", help="Where all requests go instead of the exchange.")] = "",
    block: Annotated[list[int] | None, typer.Option("--block", min=1, help="Of a pool: as of this block's end; several times.")] = None,
    rpc: Annotated[str, typer.Option("--rpc", metavar="URL", envvar="BASIS_RPC_URL", help="Of a pool: a node with these blocks.")] = "",
    words: Annotated[int, typer.Option("--words", min=1, max=5_000, help="Of a pool: words of the tick map to read on either side.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Bring bars and funding of an exchange, or states of a pool, into a data folder.

    Interrupted and called again it asks only for what is missing; so does a later call with a later end.
    """
    from basis_strategy_v1.core.error_codes.exceptions import ComponentError

    if pool:
        if not block or not rpc:
            raise ComponentError("CFG-001", "download of a pool: --block and --rpc are needed")
        _download_pool(directory, pool, block, rpc, words, as_json=as_json)
        return
    from basis_strategy_v1.app.download import download
    from basis_strategy_v1.app.live_feed import endpoints_of
    from basis_strategy_v1.live.public_exchange import PublicExchange
    from basis_strategy_v1.terminal import progress_bar

    settings = _loaded(config)
    wanted, others = _wanted(settings, venue, symbol, market, kind, interval)
    begin, end = _time(since, "--since") or (settings.start if settings else None), _time(until, "--until")
    if begin is None:
        raise ComponentError("CFG-001", "download: --since is needed, such as --since 2024-06-01")
    endpoints = {exchange: endpoint or own for exchange, own in endpoints_of(settings).items()} if settings else {}
    exchange_of = cache(lambda name: PublicExchange(name, endpoints.get(name) or endpoint or None))
    end = end or (settings.end if settings else None)
    with progress_bar(enabled=not as_json, what="download") as progress:
        found = download(directory, wanted, begin, end, exchange_of, progress)
    if as_json:
        say_json([one._asdict() for one in found])
        return
    for one in found:
        say(f"{one.id}: {counted(one.rows, 'row')}")
        for line in one.missing:
            say(f"  {line}")
    for name in others:
        say(f"not downloaded: {name}; `basis data sources` says where it can be had")


def _loaded(config: Path | None) -> Config | None:
    from basis_strategy_v1.config import load_config

    return None if config is None else load_config(config)


def _time(text: str, name: str) -> datetime | None:
    from basis_strategy_v1.core.error_codes.exceptions import ComponentError
    from basis_strategy_v1.core.settings import INSTANT

    if not text:
        return None
    found = INSTANT.parse(text)
    if found is None:
        raise ComponentError("CFG-001", f"{name} {shown(text)}; allowed: {INSTANT.allowed}")
    at: datetime = found
    return at


def _wanted(
    settings: Config | None, venue: str, symbol: str, market: str, kind: str, interval: str
) -> tuple[list[WantedSeries], list[str]]:
    from basis_strategy_v1.app.download import WantedSeries, needed_by
    from basis_strategy_v1.core.error_codes.exceptions import ComponentError
    from basis_strategy_v1.live.public_exchange import RATES_A_PAGE

    for name, value, known in (
        ("market", market, ("spot", "perp")),
        ("kind", kind, ("ohlcv", "funding")),
        ("venue", venue, tuple(RATES_A_PAGE)),
    ):
        if value and value not in known:
            raise ComponentError("CFG-001", f"--{name} {shown(value)}; allowed: {', '.join(known)}")
    if settings is not None:
        return needed_by(settings, interval)
    if not venue or not symbol:
        raise ComponentError("CFG-001", "download: name the series by --venue and --symbol, or by --config")
    kinds = [one for one in ("spot", "perp") if kind != "funding" and market in ("", one)]
    kinds += ["funding"] if kind != "ohlcv" and market != "spot" else []
    return [WantedSeries(one, venue, symbol, interval) for one in kinds], []


def _download_pool(directory: Path, pool: str, block: list[int], rpc: str, words: int, *, as_json: bool) -> None:
    from basis_strategy_v1.app.pool_download import download_pool

    path, rows = download_pool(rpc, pool, block, words, directory)
    if as_json:
        say_json({"file": str(path), "rows": rows})
        return
    say(f"{shown(path)} has {counted(rows, 'row')}")


@app.command("sources", epilog="Example: basis data sources")
def data_sources(as_json: AsJson = False) -> None:
    """Say for each series where it can be had."""
    from basis_strategy_v1.data.origins import ORIGINS

    if as_json:
        say_json([origin._asdict() for origin in ORIGINS])
        return
    for origin in ORIGINS:
        say(origin.path)
        for way in origin.ways:
            say(f"    {way}")
