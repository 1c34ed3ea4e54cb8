"""Rows of data read from a node by JSON-RPC."""

from __future__ import annotations

import http.client
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.venues.uniswap_data import UniswapPoolRow, closed_window, row_of_pool, ticks_in_word, words_around
from basis_strategy_v1.venues.uniswap_pool import PoolState

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT_S = 60
MOST_CALLS = 200  # in one request: nodes refuse longer ones
WORD_HEX = 64
# First four bytes of the hash of each function's signature.
SLOT0, LIQUIDITY, TICK_BITMAP, TICKS = "3850c7bd", "1a686502", "5339c296", "f30dba93"
TOKEN0, TOKEN1, FEE, TICK_SPACING = "0dfe1681", "d21220a7", "ddca3f43", "d0c93a7c"
SYMBOL, DECIMALS = "95d89b41", "313ce567"


class Node:
    """A node's answers about one block."""

    def __init__(self, rpc_url: str, block: int) -> None:
        self._url = urlsplit(rpc_url)
        self._block = hex(block)

    def calls(self, calls: Sequence[tuple[str, str]]) -> list[str]:
        """The answers, hexadecimal without 0x, to (address, selector and arguments), in their order."""
        requests = [("eth_call", [{"to": address, "data": f"0x{data}"}, self._block]) for address, data in calls]
        return [str(answer).removeprefix("0x") for answer in self._batches(requests)]

    def timestamp_s(self) -> int:
        (found,) = self._batches([("eth_getBlockByNumber", [self._block, False])])
        if found is None:
            raise self._refused(f"it has no block {int(self._block, 16)}")
        return int(found["timestamp"], 16)

    def _batches(self, requests: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        return [answer for first in range(0, len(requests), MOST_CALLS) for answer in self._batch(requests[first : first + MOST_CALLS])]

    def _batch(self, requests: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        body = [{"jsonrpc": "2.0", "id": number, "method": method, "params": params} for number, (method, params) in enumerate(requests)]
        answers = self._post(json.dumps(body))
        if not isinstance(answers, list):
            raise self._refused(f"it answers a batch with {str(answers)[:200]}")
        by_id = {answer["id"]: answer for answer in answers}
        return [self._result(by_id.get(number, {})) for number in range(len(requests))]

    def _result(self, answer: dict[str, Any]) -> Any:
        if "result" not in answer:
            raise self._refused(str(answer.get("error", "an answer is missing"))[:200])
        return answer["result"]

    def _post(self, body: str) -> Any:
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._url.hostname or "", self._url.port, timeout=TIMEOUT_S)
        path = f"{self._url.path or '/'}{f'?{self._url.query}' if self._url.query else ''}"
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._refused(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()

    def _refused(self, why: str) -> ComponentError:
        # The address alone: a path may hold a key.
        return ComponentError("DAT-006", f"the node at {self._url.hostname} cannot be read: {why}")


def uniswap_pool_state(rpc_url: str, pool_address: str, block: int, words: int) -> dict[str, str]:
    """A row of a Uniswap v3 pool's state file, as of the end of a block.

    `words` of the tick map are read on either side of the price; beyond them the row has no liquidity, so that a swap which
    would leave what was read is refused.

    Raises:
        ComponentError: DAT-006, the node cannot be reached or refuses, or there is no pool at the address.
    """
    node = Node(rpc_url, block)
    slot0, liquidity, token0, token1, fee, spacing = node.calls(
        [(pool_address, data) for data in (SLOT0, LIQUIDITY, TOKEN0, TOKEN1, FEE, TICK_SPACING)]
    )
    if len(slot0) < 2 * WORD_HEX:
        raise ComponentError("DAT-006", f"there is no Uniswap v3 pool at {pool_address} in block {block}")
    tick, tick_spacing = _signed(slot0[WORD_HEX : 2 * WORD_HEX]), _signed(spacing)
    window = words_around(tick, tick_spacing, words)
    ticks = _ticks(node, pool_address, window, tick_spacing)
    whole = PoolState(int(slot0[:WORD_HEX], 16), tick, int(liquidity, 16), int(fee, 16), tick_spacing, ticks)
    pool = closed_window(whole, window)
    row = UniswapPoolRow(_token(node, token0), _token(node, token1), pool)
    stamp = datetime.fromtimestamp(node.timestamp_s(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"timestamp": stamp, "block": str(block), **row_of_pool(row)}


def _ticks(node: Node, pool: str, window: range, tick_spacing: int) -> tuple[tuple[int, int], ...]:
    """(tick, liquidity_net) of every initialised tick in these words."""
    maps = node.calls([(pool, TICK_BITMAP + _argument(word)) for word in window])
    found = [tick for word, bits in zip(window, maps, strict=True) for tick in ticks_in_word(word, int(bits, 16), tick_spacing)]
    answers = node.calls([(pool, TICKS + _argument(tick)) for tick in found])
    return tuple((tick, _signed(answer[WORD_HEX : 2 * WORD_HEX])) for tick, answer in zip(found, answers, strict=True))


def _token(node: Node, word: str) -> tuple[str, int]:
    """(symbol, decimals) of the token whose address a word of an answer holds."""
    address = f"0x{word[-40:]}"
    symbol, decimals = node.calls([(address, SYMBOL), (address, DECIMALS)])
    return _text(symbol), int(decimals, 16)


def _argument(number: int) -> str:
    return f"{number % (1 << 256):064x}"


def _signed(word: str) -> int:
    number = int(word, 16)
    return number - (1 << 256) if number >> 255 else number


def _text(answer: str) -> str:
    """A string answer; the oldest tokens answer with one word instead."""
    raw = bytes.fromhex(answer)
    if len(raw) <= WORD_HEX // 2:
        return raw.rstrip(b"\0").decode()
    length = int.from_bytes(raw[32:64], "big")
    return raw[64 : 64 + length].decode()
