"""A local anvil node with the calls a conformance test needs: deploy real bytecode, send, read many values at once."""

from __future__ import annotations

import atexit
import hashlib
import http.client
import json
import os
import platform
import re
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak
from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

REPOSITORY = Path(__file__).resolve().parents[2]
NODE_MODULES = Path(os.environ.get("BASIS_NODE_MODULES", REPOSITORY / "node_modules"))
COMPILE_SCRIPT = REPOSITORY / "contracts" / "compile.mjs"
COMPILED = REPOSITORY / "build" / "contracts"
MACHINE = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "amd64")
ANVIL = NODE_MODULES / "@foundry-rs" / f"anvil-linux-{MACHINE}" / "bin" / "anvil"
GAS_LIMIT = 500_000_000  # a swap over thousands of ticks costs more than a block of the main chain has
START_TIMESTAMP = 1_700_000_000


class TransactionReverted(Exception):
    """A call or transaction that the contract refused; the message is the contract's own reason."""


class MissingPackage(Exception):
    """A package that `npm ci --ignore-scripts` installs is not there: the test cannot run."""


class Signature(NamedTuple):
    """`balanceOf(address)(uint256)` taken apart."""

    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@cache
def parse_signature(text: str) -> Signature:
    """Parse `name(inputs)` or `name(inputs)(outputs)`; tuples are written `(uint256,address)`."""
    opening = text.index("(")
    closing = _closing(text, opening)
    outputs = text[closing + 1 :]
    return Signature(
        keccak(text=text[: closing + 1])[:4],
        split_types(text[opening + 1 : closing]),
        split_types(outputs[1:-1]) if outputs else (),
    )


def _closing(text: str, opening: int) -> int:
    depth = 0
    for place in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place
    raise ValueError(f"unbalanced parentheses in {text!r}")


def split_types(text: str) -> tuple[str, ...]:
    """Split `uint256,(address,bool)[],bytes` at the outer commas."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return (*parts, text[start:]) if text else ()


def call_data(signature: str, args: Sequence[object] = ()) -> str:
    """Return the 0x-hex input of a call."""
    parsed = parse_signature(signature)
    return "0x" + (parsed.selector + encode(parsed.inputs, args)).hex()


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract as a package or the compiler gives it; `links` are (file, library, byte offset)."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: str
    links: tuple[tuple[str, str, int], ...] = ()

    def creation_code(self, args: Sequence[object], libraries: Mapping[str, str]) -> str:
        code = self.bytecode.removeprefix("0x")
        for _, library, offset in self.links:
            code = code[: offset * 2] + libraries[library].removeprefix("0x").lower() + code[offset * 2 + 40 :]
        return "0x" + code + encode(self._constructor_types(), args).hex()

    def _constructor_types(self) -> list[str]:
        return [_type_of(entry) for item in self.abi if item["type"] == "constructor" for entry in item["inputs"]]


def _type_of(entry: dict[str, Any]) -> str:
    kind: str = entry["type"]
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(_type_of(part) for part in entry["components"]) + ")" + kind.removeprefix("tuple")


@cache
def artifact(package_path: str) -> Artifact:
    """Read a hardhat artifact out of node_modules, e.g. `@aave/core-v3/artifacts/contracts/…/Pool.json`."""
    path = NODE_MODULES / package_path
    if not path.exists():
        raise MissingPackage(f"{package_path} is not installed: run npm ci --ignore-scripts in the repository")
    found = json.loads(path.read_text())
    links = tuple(
        (file, library, place["start"])
        for file, libraries in found.get("linkReferences", {}).items()
        for library, places in libraries.items()
        for place in places
    )
    return Artifact(found["contractName"], found["abi"], found["bytecode"], links)


def compiled(entry: str, contract: str, *, compiler: str = "solc", via_ir: bool = False, root: Path | None = None) -> Artifact:
    """Compile `entry` (a path under `root`, by default the repository's contracts/) or take the kept result of the same sources."""
    found = compiled_raw(entry, compiler=compiler, via_ir=via_ir, root=root)[contract]
    return Artifact(contract, found["abi"], found["bytecode"])


def compiled_raw(
    entry: str, *, compiler: str = "solc", via_ir: bool = False, root: Path | None = None, evm_version: str | None = None
) -> dict[str, Any]:
    """What the compiler gives for each contract of `entry`, as contracts/compile.mjs prints it."""
    root = root or REPOSITORY / "contracts"
    if not (NODE_MODULES / compiler).exists():
        raise MissingPackage(f"{compiler} is not installed: run npm ci --ignore-scripts in the repository")
    options = json.dumps(
        {
            "root": str(root),
            "entry": entry,
            "compiler": compiler,
            "viaIR": via_ir,
            "evmVersion": evm_version,
            "nodeModules": str(NODE_MODULES),
        }
    )
    kept = COMPILED / f"{hashlib.sha256((_source_digest(root) + options).encode()).hexdigest()[:32]}.json"
    if not kept.exists():
        COMPILED.mkdir(parents=True, exist_ok=True)
        with FileLock(kept.with_suffix(".lock")):  # one process compiles, the others wait and take what it made
            if not kept.exists():
                _compile_into(kept, options)
    found: dict[str, Any] = json.loads(kept.read_text())
    return found


def _compile_into(kept: Path, options: str) -> None:
    done = subprocess.run(["node", str(COMPILE_SCRIPT), options], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"solc refused {options}: {done.stderr}")
    partial = kept.with_suffix(f".{os.getpid()}")
    partial.write_text(done.stdout)
    partial.rename(kept)


@cache
def _source_digest(root: Path) -> str:
    digest = hashlib.sha256(COMPILE_SCRIPT.read_bytes())
    for path in sorted(root.rglob("*.sol")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


class Read(NamedTuple):
    """One value to be read in a batch."""

    address: str
    signature: str
    args: tuple[object, ...] = ()


@dataclass(slots=True)
class Chain:
    """An anvil process of our own, on a free port. Use it as a context manager: it is ended by its process id."""

    process: subprocess.Popen[bytes] | None = None
    port: int = 0
    accounts: tuple[str, ...] = ()
    _http: http.client.HTTPConnection | None = field(default=None, repr=False)
    _ids: int = 0
    _folder: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        if self.process is not None:
            raise RuntimeError(f"this chain runs already, on port {self.port}")
        if not ANVIL.exists():
            raise MissingPackage(f"@foundry-rs/anvil-linux-{MACHINE} is not installed: run npm ci --ignore-scripts in the repository")
        self._folder = tempfile.TemporaryDirectory(prefix="anvil-")
        options = [*self.options(), "--disable-code-size-limit", "--gas-limit", str(GAS_LIMIT)]
        # What does not fit into its memory; it leaves it behind when it is ended, and in a home folder it would pile up.
        options += ["--cache-path", self._folder.name]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen([str(ANVIL), *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        atexit.register(self.stop)
        try:
            self.port = self._port_once_open()
            self._http = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            self.accounts = tuple(self.rpc("eth_accounts"))
        except BaseException:
            self.stop()  # who could not start it has nothing to stop
            raise

    def options(self) -> list[str]:
        """Those that say what kind of chain it is. Port 0: the system chooses a free one: two that start at once differ."""
        free = ["--gas-price", "0", "--block-base-fee-per-gas", "0"]
        return ["--port", "0", "--hardfork", "prague", "--timestamp", str(START_TIMESTAMP), "--auto-impersonate", *free]

    @property
    def _log(self) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / "anvil.log"

    def _port_once_open(self, patience_s: float = 60) -> int:
        """The port that the node says it listens on."""
        assert self.process is not None
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(rb"Listening on 127\.0\.0\.1:(\d+)", self._log.read_bytes()):
                return int(found[1])
            time.sleep(0.01)
        raise RuntimeError(f"anvil did not open a port: {self._log.read_text(errors='replace')[-500:]}")

    def stop(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
        atexit.unregister(self.stop)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _post(self, body: object) -> Any:
        assert self._http is not None, "the chain is not started"
        self._http.request("POST", "/", json.dumps(body), {"Content-Type": "application/json"})
        return json.loads(self._http.getresponse().read())

    def _request(self, method: str, params: Sequence[object]) -> dict[str, object]:
        self._ids += 1
        return {"jsonrpc": "2.0", "id": self._ids, "method": method, "params": list(params)}

    def rpc(self, method: str, params: Sequence[object] = ()) -> Any:
        """Return the result of one JSON-RPC call; TransactionReverted with the node's or the contract's reason."""
        return _result(self._post(self._request(method, params)))

    def batch(self, calls: Iterable[tuple[str, Sequence[object]]]) -> list[Any]:
        """Return the results of many (method, params) in one round trip, in their order."""
        requests = [self._request(method, params) for method, params in calls]
        if not requests:
            return []
        answers = {answer["id"]: answer for answer in self._post(requests)}
        return [_result(answers[request["id"]]) for request in requests]

    def read(self, reads: Sequence[Read | tuple[Any, ...]], block: str = "latest") -> list[Any]:
        """Return what many view functions give, in one round trip; a single output comes without its tuple."""
        wanted = [Read(*one) for one in reads]
        calls = [("eth_call", ({"to": one.address, "data": call_data(one.signature, one.args)}, block)) for one in wanted]
        return [_decoded(one.signature, raw) for one, raw in zip(wanted, self.batch(calls), strict=True)]

    def call(self, address: str, signature: str, args: Sequence[object] = (), *, sender: str | None = None, block: str = "latest") -> Any:
        """Return the decoded outputs named in `signature` (one output comes without its tuple)."""
        transaction = {"to": address, "data": call_data(signature, args)} | ({"from": sender} if sender else {})
        return _decoded(signature, self.rpc("eth_call", (transaction, block)))

    def send(
        self, address: str, signature: str, args: Sequence[object] = (), *, sender: str | None = None, value_wei: int = 0
    ) -> dict[str, Any]:
        """Execute in a block of its own and return the receipt; TransactionReverted with the contract's reason."""
        return self.send_raw(address, call_data(signature, args), sender=sender, value_wei=value_wei)

    def send_raw(self, address: str | None, data: str, *, sender: str | None = None, value_wei: int = 0) -> dict[str, Any]:
        to = {"to": address} if address else {}
        transaction = {
            **to,
            "from": sender or self.accounts[0],
            "data": data,
            "gas": hex(GAS_LIMIT),
            "value": hex(value_wei),
            **self.gas_price(),
        }
        receipt: dict[str, Any] = self.rpc("eth_sendTransactionSync", (transaction,))
        if receipt["status"] != "0x1":
            raise TransactionReverted(self.reason(receipt["transactionHash"]))
        return receipt

    def gas_price(self) -> dict[str, str]:
        """What its transactions offer for gas."""
        return {"gasPrice": "0x0"}

    def reason(self, transaction_hash: str) -> str:
        trace = self.rpc("debug_traceTransaction", (transaction_hash, {"tracer": "callTracer"}))
        return reason_in(trace.get("output", "0x")) or str(trace.get("error", "reverted without a reason"))

    def deploy(
        self,
        contract: Artifact,
        args: Sequence[object] = (),
        *,
        libraries: Mapping[str, str] | None = None,
        sender: str | None = None,
    ) -> str:
        """Create the contract and return its address; `libraries` are addresses by library name."""
        receipt = self.send_raw(None, contract.creation_code(args, libraries or {}), sender=sender)
        return str(receipt["contractAddress"])

    def snapshot(self) -> str:
        return str(self.rpc("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        """Go back to the snapshot, which is used up by it."""
        if not self.rpc("evm_revert", (snapshot,)):
            raise RuntimeError(f"snapshot {snapshot} is gone: take a new one after each revert")

    def set_next_timestamp(self, timestamp_s: int) -> None:
        """The next block (so the next transaction) gets this time."""
        self.rpc("evm_setNextBlockTimestamp", (timestamp_s,))

    def mine(self) -> None:
        self.rpc("evm_mine")

    def timestamp(self) -> int:
        """The latest block's time in seconds."""
        return int(self.rpc("eth_getBlockByNumber", ("latest", False))["timestamp"], 16)

    def deal(self, address: str, amount_wei: int) -> None:
        """Set the ETH balance."""
        self.rpc("anvil_setBalance", (address, hex(amount_wei)))

    def balance(self, address: str) -> int:
        return int(self.rpc("eth_getBalance", (address, "latest")), 16)


def _decoded(signature: str, raw: str) -> Any:
    outputs = parse_signature(signature).outputs
    if raw == "0x" and outputs:
        raise TransactionReverted(f"{signature} gave no data: is there a contract at the address?")
    values = decode(outputs, bytes.fromhex(raw[2:])) if outputs else ()
    return values[0] if len(values) == 1 else values


def _result(answer: dict[str, Any]) -> Any:
    if "error" not in answer:
        return answer["result"]
    error = answer["error"]
    data = error.get("data")
    raise TransactionReverted((reason_in(data) if isinstance(data, str) else "") or str(error["message"]))


def reason_in(output: str) -> str:
    """The text of `Error(string)`, or the raw hex of any other revert data."""
    raw = bytes.fromhex(output.removeprefix("0x"))
    if raw[:4] == bytes.fromhex("08c379a0"):
        return str(decode(("string",), raw[4:])[0])
    if raw[:4] == bytes.fromhex("4e487b71"):
        return f"panic 0x{decode(('uint256',), raw[4:])[0]:02x}"
    return "0x" + raw.hex() if raw else ""


@contextmanager
def started(node: Any) -> Iterator[Any]:
    """A node that runs; the test is skipped where its packages are not there, but in CI, which can install them."""
    try:
        node.start()
    except MissingPackage as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    try:
        yield node
    finally:
        node.stop()
