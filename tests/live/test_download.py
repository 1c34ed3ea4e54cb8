"""What is read from a node, and what is said where it cannot be; the pools themselves are read in tests/conformance."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from eth_utils.crypto import keccak

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.live import download
from basis_strategy_v1.live.download import uniswap_pool_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        Thread(target=server.serve_forever, daemon=True).start()
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
def test_what_a_node_cannot_answer_is_told_without_its_path(node: Callable[[Answer], str], answer: Answer, message: str) -> None:
    with pytest.raises(ComponentError) as raised:
        uniswap_pool_state(node(answer), POOL, 7, 1)
    assert raised.value.error_code == "DAT-006"
    assert message in raised.value.message
    assert "a-key" not in raised.value.message


def test_a_node_that_is_not_there_is_named() -> None:
    with pytest.raises(ComponentError, match=r"DAT-006: the node at 127.0.0.1 cannot be read: ConnectionRefusedError"):
        uniswap_pool_state("http://127.0.0.1:1/", POOL, 7, 1)
