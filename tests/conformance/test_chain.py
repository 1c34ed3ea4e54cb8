"""The local node: what a reverted call says, that a snapshot brings everything back, and that a contract is compiled once."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from . import chain as chain_module
from .chain import TransactionReverted, artifact, call_data, compiled, parse_signature

if TYPE_CHECKING:
    from pathlib import Path

    from .chain import Chain

pytestmark = pytest.mark.chain
TOKEN = "@aave/core-v3/artifacts/contracts/mocks/tokens/MintableERC20.sol/MintableERC20.json"


def test_a_reverted_transaction_raises_the_contracts_own_reason(chain: Chain) -> None:
    token = chain.deploy(artifact(TOKEN), ("Token", "T", 6))
    with pytest.raises(TransactionReverted, match="ERC20: transfer amount exceeds balance"):
        chain.send(token, "transfer(address,uint256)", (chain.accounts[1], 1))


def test_reverting_to_a_snapshot_undoes_what_was_sent_after_it(chain: Chain) -> None:
    token = chain.deploy(artifact(TOKEN), ("Token", "T", 6))
    before = chain.snapshot()
    chain.set_next_timestamp(chain.timestamp() + 100)
    chain.send(token, "mint(uint256)", (5,))
    after_sending = chain.read([(token, "totalSupply()(uint256)"), (token, "symbol()(string)")])
    chain.revert(before)
    assert (after_sending, chain.call(token, "totalSupply()(uint256)")) == ([5, "T"], 0)


def test_a_signature_with_tuples_is_taken_apart_at_the_outer_commas() -> None:
    parsed = parse_signature("f((address,uint256)[],bytes)((uint256,bool),string)")
    assert (parsed.inputs, parsed.outputs) == (("(address,uint256)[]", "bytes"), ("(uint256,bool)", "string"))


def test_call_data_starts_with_the_known_selector_of_transfer() -> None:
    assert call_data("transfer(address,uint256)", ("0x" + "00" * 20, 1))[:10] == "0xa9059cbb"


def test_a_contract_that_several_need_at_once_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "Empty.sol").write_text("// SPDX-License-Identifier: MIT\npragma solidity ^0.8.0;\ncontract Empty {}\n")
    node = tmp_path / "bin" / "node"
    node.parent.mkdir()
    node.write_text(f'#!/bin/sh\necho compiled >> {tmp_path}/calls\nexec {shutil.which("node")} "$@"\n')
    node.chmod(0o755)
    monkeypatch.setenv("PATH", f"{node.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(chain_module, "COMPILED", tmp_path / "compiled")
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: compiled("Empty.sol", "Empty", root=tmp_path / "sources"), range(2)))
    assert both[0] == both[1] == compiled("Empty.sol", "Empty", root=tmp_path / "sources")
    assert (tmp_path / "calls").read_text() == "compiled\n"
