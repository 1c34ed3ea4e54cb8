"""What is read from a node, and what is said where it cannot be; the pools themselves are read in tests/conformance."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from eth_utils.crypto import keccak

from basis_strategy_v1 import DataProvider
from basis_strategy_v1.app import pool_download
from basis_strategy_v1.app.pool_download import download_pool
from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.live import download
from basis_strategy_v1.live.download import uniswap_pool_state
from basis_strategy_v1.venues.uniswap_data import UniswapPoolRow, row_of_pool
from basis_strategy_v1.venues.uniswap_pool import PoolState, sqrt_price_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

POOL = "0x" + "11" * 20
Answer = Any  # a function of the batch that was asked


@pytest.fixture
def node() -> Iterator[Callable[[Answer], str]]:
    """`node(answer)` serves answers to batches and gives its address."""
    servers = []

    def serve(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = json.dumps(answer(asked)).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/a-key"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("selector", "signature"),
    [
        (download.SLOT0, "slot0()"), (download.LIQUIDITY, "liquidity()"), (download.TICK_BITMAP, "tickBitmap(int16)"),
        (download.TICKS, "ticks(int24)"), (download.TOKEN0, "token0()"), (download.TOKEN1, "token1()"), (download.FEE, "fee()"),
        (download.TICK_SPACING, "tickSpacing()"), (download.SYMBOL, "symbol()"), (download.DECIMALS, "decimals()"),
    ],
)  # fmt: skip
def test_a_selector_is_the_beginning_of_the_hash_of_its_signature(selector: str, signature: str) -> None:
    assert keccak(text=signature)[:4].hex() == selector


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda asked: [{"id": one["id"], "result": "0x"} for one in asked], f"there is no Uniswap v3 pool at {POOL} in block 7"),
        (lambda asked: [{"id": one["id"], "error": {"message": "header not found"}} for one in asked], "header not found"),
        (lambda asked: {"error": "too many requests"}, "it answers a batch with"),
        (lambda asked: [], "an answer is missing"),
    ],
)
def test_what_a_node_cannot_answer_is_reported_without_its_path(node: Callable[[Answer], str], answer: Answer, message: str) -> None:
    with pytest.raises(ComponentError) as raised:
        uniswap_pool_state(node(answer), POOL, 7, 1)
    assert raised.value.error_code == "DAT-006"
    assert message in raised.value.message
    assert "a-key" not in raised.value.message


def test_a_node_that_is_not_there_is_named() -> None:
    with pytest.raises(ComponentError, match=r"DAT-006: the node at 127.0.0.1 cannot be read: ConnectionRefusedError"):
        uniswap_pool_state("http://127.0.0.1:1/", POOL, 7, 1)


def test_the_states_of_a_pool_are_added_to_its_series_in_the_order_of_their_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def state(rpc_url: str, pool_address: str, block: int, words: int) -> dict[str, str]:
        pool = PoolState(sqrt_price_at(0), 0, block, 500, 10, ((-100, block), (100, -block)))
        return {
            "timestamp": f"2024-06-0{block}T00:00:00Z",
            "block": str(block),
            **row_of_pool(UniswapPoolRow(("USDT", 6), ("WETH", 18), pool)),
        }

    monkeypatch.setattr(pool_download, "uniswap_pool_state", state)
    path = tmp_path / "dex" / "uniswap_v3" / "USDT_WETH_500.state.csv"
    assert [download_pool("http://node", POOL, blocks, 1, tmp_path) for blocks in ([3], [2, 5], [3])] == [(path, 1), (path, 3), (path, 3)]
    at = datetime(2024, 6, 4, tzinfo=UTC)
    found = DataProvider(tmp_path).snapshot(at).pool("uniswap", "USDT/WETH/500")
    assert (found.stamp, found.texts["liquidity"]) == (to_instant(datetime(2024, 6, 3, tzinfo=UTC)), "3")
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dex").write_text("a file")
    monkeypatch.setattr(pool_download, "uniswap_pool_state", lambda *of: {"token0": "A", "token1": "B", "fee_pips": "1", "block": "1"})
    with pytest.raises(ComponentError, match=r"A_B_1\.state\.csv cannot be written: Not a directory; choose another folder"):
        download_pool("http://node", POOL, [1], 1, tmp_path)
