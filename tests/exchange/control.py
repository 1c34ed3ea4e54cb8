"""Commands: POST /control takes one object or a list of them; GET /control/ledger, counts, clock, chain, errors and
address read.

{"grant": {"venue", "account", "wallet", TOKEN: AMOUNT, …}}      tokens from nowhere
{"price": {"symbol", "price", "venue", "kind"}}                  without venue and kind: everywhere
{"levels": {"venue", "kind", "symbol", "levels": [[PRICE, AMOUNT], …]}}   what can be taken, and no more; null: any amount again
{"market": {"venue", "kind", "symbol", FIELD: VALUE, …}}         other terms (markets.Market): lot, tick, minimum_notional, is_open, …
{"network": {"venue", "token", FIELD: VALUE, …}}                 other terms of withdrawals: fee, minimum, is_open, minutes
{"key": {"venue", "key", "secret", "passphrase", "account", "may": [...], "has_ip_limit", "is_expired"}}
{"setting": {"venue", "account", NAME: VALUE, …}}                bnb_fees, addresses, "leverage ETHUSDT", hedge_mode, spot_fee, …
{"order": {"venue", "account", "market", "symbol", "side", "amount", "limit", "life"}}   an order that no client sent
{"close": {"venue", "account", "symbol", "share", "origin", "price", "fee"}}   liquidation or adl of a share of a position
{"fund": {"venue", "symbol", "rate"}}                            funding now
{"pay": {"venue", "account", "kind", "token", "amount", "symbol"}}
{"withdraw": {"venue", "account", "token", "amount", "address", "client_id"}}   one that somebody else asks for
{"withdrawal": {"venue", "account", "client_id" or "id", "status", "hash"}}   completed (under a hash), cancelled, failed
{"hold": {"venue", "account", "client_id"}}                     a withdrawal that stays pending until another command ends it
{"send": {"to", "token", "amount", "hash", "seconds"}}          a transfer on chain to an account's address, credited so much later
{"deposit": {"venue", "account", "token", "amount", "hash", "status"}}  pending, then completed
{"on": KIND, "fault": NAME, …}                                   see faults.py
{"lag_s": {VENUE: N}}, {"stale_s": {VENUE: N}}                   look-ups and balances are so late
{"limit": {VENUE: N, …}}                                        requests a minute; more are refused as the venue does
{"headers": {"venue", NAME: VALUE, …}}                          what binance's and bybit's answers say of rate limits
{"maintenance": [VENUE, …]}                                      these answer nothing else
{"advance_s": N}                                                 the venue's clock goes on (or back)
{"to": N}                                                        the clock of requests goes to this time (ms)
{"clear": true} · {"release": true} · {"begin": FILE}
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .engine import Key
from .faults import Faults
from .ledger import Account, Order, text
from .markets import changed
from .moves import address_of

if TYPE_CHECKING:
    from .engine import Engine

HELD_MS = 4_000_000_000_000
LASTING = ("price", "market", "network", "key", "advance_s")  # these hold after a restart too


def command(engine: Engine, given: dict[str, Any]) -> None:
    """Do one command.

    Raises:
        KeyError, ValueError, TypeError, ArithmeticError: it is not one.
    """
    if "on" in given:
        engine.faults.add(given)
        return
    ((name, value),) = given.items()
    if name not in ("begin", "to", "clear", "release"):
        engine.catch_up()
    COMMANDS[name](engine, value)
    if name in LASTING:
        engine.ledger.write("command", engine.now(), command=given)


def restore(engine: Engine) -> None:
    """What lasting commands said before a restart."""
    for line in engine.ledger.all("command"):
        ((name, value),) = line["command"].items()
        COMMANDS[name](engine, value)


def report(engine: Engine, path: str, query: dict[str, str]) -> Any:
    """What a test compares with."""
    if path == "/control/counts":
        return engine.faults.counts
    if path == "/control/clock":
        return {"now": engine.now()}
    if path == "/control/address":
        account = engine.ledger.account(query["venue"], query.get("account", "main"))
        return {"address": address_of(account, query.get("token", ""), "")}
    if path == "/control/errors":
        return engine.errors
    if path == "/control/chain":
        return engine.moves.sent()
    return [_view(account) for account in engine.ledger.accounts.values()]


def _view(account: Account) -> dict[str, Any]:
    return {
        "venue": account.venue,
        "account": account.name,
        "balances": {
            wallet: {token: text(amount) for token, amount in held.items() if amount} for wallet, held in account.balances.items()
        },
        "positions": {symbol: {"amount": p.amount, "entry": p.entry} for symbol, p in account.positions.items() if p.amount},
        "orders": list(account.orders.values()),
        "fills": account.fills,
        **{f"{kind}s": list(records.values()) for kind, records in account.records.items()},
    }


def _account(engine: Engine, given: dict[str, Any]) -> Account:
    return engine.ledger.account(given.pop("venue"), given.pop("account", "main"))


def _grant(engine: Engine, given: dict[str, Any]) -> None:
    given = dict(given)
    account = _account(engine, given)
    engine.ledger.write(
        "grant", engine.now(), account, moved={given.pop("wallet"): {token: Decimal(amount) for token, amount in given.items()}}
    )


def _price(engine: Engine, given: dict[str, Any]) -> None:
    engine.prices.given[given.get("venue", ""), given.get("kind", ""), given["symbol"]] = Decimal(given["price"])
    engine.matching.fill_resting()


def _levels(engine: Engine, given: dict[str, Any]) -> None:
    where = given["venue"], given["kind"], given["symbol"]
    if given["levels"] is None:
        engine.prices.levels.pop(where, None)
    else:
        engine.prices.levels[where] = [[Decimal(number) for number in level] for level in given["levels"]]


def _market(engine: Engine, given: dict[str, Any]) -> None:
    fields = dict(given)
    where = fields.pop("venue"), fields.pop("kind"), fields.pop("symbol")
    engine.markets[where] = changed(engine.markets[where], **fields)


def _network(engine: Engine, given: dict[str, Any]) -> None:
    fields = dict(given)
    where = fields.pop("venue"), fields.pop("token")
    engine.networks[where] = changed(engine.networks[where], **fields)


def _key(engine: Engine, given: dict[str, Any]) -> None:
    fields = dict(given)
    key = Key(**{"passphrase": "passphrase", **{name: fields[name] for name in fields if name != "venue"}})
    engine.keys[fields["venue"], key.key] = key


def _setting(engine: Engine, given: dict[str, Any]) -> None:
    given = dict(given)
    account = _account(engine, given)
    engine.ledger.write("setting", engine.now(), account, setting=given)


def _order(engine: Engine, given: dict[str, Any]) -> None:
    """What somebody else did with the account."""
    number = engine.ledger.next_id()
    account = engine.ledger.account(given["venue"], given.get("account", "main"))
    limit = None if given.get("limit") is None else Decimal(given["limit"])
    now = engine.now()
    order = Order(
        number,
        given.get("client_id", f"web_{number}"),
        given["market"],
        given["symbol"],
        given["side"],
        Decimal(given["amount"]),
        limit,
        given.get("life", "IOC"),
        bool(given.get("reduce_only")),
        now,
        now,
    )
    engine.matching.place(account, order)


def _close(engine: Engine, given: dict[str, Any]) -> None:
    account = engine.ledger.account(given["venue"], given.get("account", "main"))
    price = None if given.get("price") is None else Decimal(given["price"])
    share, fee = Decimal(given.get("share", "1")), Decimal(given.get("fee", "0"))
    engine.matching.close(account, given["symbol"], share, given["origin"], price, fee)


def _fund(engine: Engine, given: dict[str, Any]) -> None:
    engine.moves.fund(given["venue"], given["symbol"], Decimal(given["rate"]))


def _pay(engine: Engine, given: dict[str, Any]) -> None:
    account = engine.ledger.account(given["venue"], given.get("account", "main"))
    engine.moves.pay(account, given["kind"], given["token"], Decimal(given["amount"]), given.get("symbol", ""))


def _withdraw(engine: Engine, given: dict[str, Any]) -> None:
    account = engine.ledger.account(given["venue"], given.get("account", "main"))
    amount, client_id = Decimal(given["amount"]), given.get("client_id", "")
    engine.moves.withdraw(account, given["token"], amount, "", given["address"], client_id, fee_on_top=False)


def _hold(engine: Engine, given: dict[str, Any]) -> None:
    account = engine.ledger.account(given["venue"], given.get("account", "main"))
    record = next(one for one in account.records["withdrawal"].values() if one["client_id"] == given["client_id"])
    engine.ledger.write("withdrawal", engine.now(), account, record={**record, "due": HELD_MS})


def _withdrawal(engine: Engine, given: dict[str, Any]) -> None:
    account = engine.ledger.account(given["venue"], given.get("account", "main"))
    name, wanted = ("id", given["id"]) if "id" in given else ("client_id", given["client_id"])
    record = next((one for one in account.records["withdrawal"].values() if one[name] == wanted), None)
    if record is None:
        raise KeyError(wanted)
    engine.moves.finish(account, record, given["status"], given.get("hash", ""))


def _deposit(engine: Engine, given: dict[str, Any]) -> None:
    account = engine.ledger.account(given["venue"], given.get("account", "main"))
    amount, wallet, status = Decimal(given["amount"]), given.get("wallet", ""), given.get("status", "completed")
    engine.moves.deposit(account, given["token"], amount, given["hash"], wallet=wallet, status=status)


def _send(engine: Engine, given: dict[str, Any]) -> None:
    if not engine.moves.arrive(given["to"], given["token"], Decimal(given["amount"]), given["hash"], given.get("seconds", 0)):
        raise KeyError(given["to"])


def _lag(engine: Engine, given: dict[str, float]) -> None:
    engine.faults.lag_ms.update({venue: round(1_000 * seconds) for venue, seconds in given.items()})


def _stale(engine: Engine, given: dict[str, float]) -> None:
    engine.faults.stale_ms.update({venue: round(1_000 * seconds) for venue, seconds in given.items()})


def _limit(engine: Engine, given: dict[str, int]) -> None:
    engine.faults.limits.update(given)


def _headers(engine: Engine, given: dict[str, str]) -> None:
    engine.faults.headers[given["venue"]] = {name: value for name, value in given.items() if name != "venue"}


def _maintenance(engine: Engine, given: list[str]) -> None:
    engine.maintenance = set(given)


def _advance(engine: Engine, given: float) -> None:
    engine.clock.offset_ms += round(1_000 * given)
    engine.catch_up()


def _to(engine: Engine, given: int) -> None:
    engine.clock.newest_ms = given
    engine.settled_to = given
    engine.catch_up()


def _clear(engine: Engine, _: bool) -> None:
    engine.faults.released.set()
    engine.faults = Faults()
    engine.maintenance.clear()


def _release(engine: Engine, _: bool) -> None:
    engine.faults.released.set()


def _begin(engine: Engine, path: str) -> None:
    engine.begin(Path(path))
    restore(engine)


COMMANDS = {
    "grant": _grant,
    "price": _price,
    "levels": _levels,
    "market": _market,
    "network": _network,
    "key": _key,
    "setting": _setting,
    "order": _order,
    "close": _close,
    "fund": _fund,
    "pay": _pay,
    "withdraw": _withdraw,
    "withdrawal": _withdrawal,
    "hold": _hold,
    "deposit": _deposit,
    "send": _send,
    "lag_s": _lag,
    "stale_s": _stale,
    "maintenance": _maintenance,
    "headers": _headers,
    "limit": _limit,
    "advance_s": _advance,
    "clear": _clear,
    "release": _release,
    "begin": _begin,
    "to": _to,
}
