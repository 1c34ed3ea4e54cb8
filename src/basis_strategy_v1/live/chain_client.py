"""JSON-RPC to the nodes of one chain: batches over one pool of connections, each call under a total deadline, a lagging node left alone."""

from __future__ import annotations

import os
import time
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from msgspec import DecodeError, json

from basis_strategy_v1.core.deadline import DeadlinePassed, current_deadline
from basis_strategy_v1.core.error_codes.exceptions import VenueUnreachable
from basis_strategy_v1.core.secret_text import pattern_of, scrubbed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from requests import Session

    from basis_strategy_v1.live.secrets import Secret

UNREACHABLE = "OCH-002"
LEFT_ALONE_S = 2.0  # a node that is behind or does not answer, before it is asked again
HEAD_KEPT_S = 60.0  # the newest head counts for so long: a chain that was set back is not waited for for ever
LONGEST_TEXT = 300
NO_CONNECTION = (
    "ConnectTimeout",
    "NewConnectionError",
    "ConnectTimeoutError",
    "NameResolutionError",
    "SSLCertVerificationError",
    "InvalidURL",
)
NOT_TAKEN = (400, 401, 403, 404, 405)  # by any other status but 200, a proxy may speak of a request that the node behind it has taken
REVERT = 3
NO_METHOD = (-32601, -32004)
# What the chain says of a call, in the words of geth, Erigon, Nethermind, Besu, Reth and Anvil, where the code is a general one.
OF_THE_CHAIN = (
    "execution reverted", "vm execution error", "vm exception", "evm error", "revert", "out of gas", "gas required exceeds",
    "invalid opcode", "invalid jump", "stack underflow", "stack overflow", "write protection", "insufficient funds", "insufficient balance",
    "intrinsic gas",
)  # fmt: skip
KNOWN = ("already known", "already imported", "known transaction")
USED = ("nonce too low", "nonce is too low", "invalid nonce", "replacement transaction underpriced", "transaction underpriced")
LOGS = "eth_getLogs"
_encoded = json.Encoder().encode


class RpcCall(NamedTuple):
    """One JSON-RPC method with its parameters."""

    method: str
    params: tuple[Any, ...] = ()


class RpcError(Exception):
    """What a node answered to one call instead of a result. `data` is a revert's, as hexadecimal text, where there is one."""

    def __init__(self, code: int, message: str, data: str = "") -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data

    @property
    def is_of_the_chain(self) -> bool:
        """Whether any node would answer this: the call is reverted, or there is no such method. Else it is one node's own trouble."""
        said = self.message.lower().removeprefix("err: ")
        return self.code == REVERT or self.code in NO_METHOD or said.startswith(OF_THE_CHAIN)

    @property
    def is_known(self) -> bool:
        """Whether a node refused a transaction because it has it."""
        return self._says(KNOWN)

    @property
    def weight(self) -> int:
        """How much a refusal of a transaction says, where nodes differ: that it is there most of all, then that its nonce is used."""
        return 2 if self.is_known else int(self._says(USED))

    def _says(self, words: tuple[str, ...]) -> bool:
        return any(each in self.message.lower() for each in words)


class NodeFault(Exception):
    """A node gave no answer that can be used. `is_sent`: the request has perhaps reached it."""

    def __init__(self, why: str, *, is_sent: bool) -> None:
        super().__init__(why)
        self.is_sent = is_sent


class CallRefused(NodeFault):
    """A node refused one call, for a reason of its own."""


class Endpoint:
    """One node. It is shown by its host and port: what else its address has may be a key."""

    def __init__(self, url: Secret) -> None:
        self.url = url
        parts = urlsplit(url.reveal())
        port = f":{parts.port}" if parts.port is not None else ""
        self.shown = f"{parts.hostname}{port}"
        self.head = 0
        self.proxies: dict[str, str] | None = None  # the environment's for this address, once it was asked
        self.left_alone_until = 0.0


class ChainClient:
    """The way to the nodes of one chain. Those of `endpoints` are read, those of `sends_to` (left out: the same ones) get transactions.

    `timeout_s` is the most that one node is waited for; the deadline of the call in hand (`core/deadline.py`) cuts off all of it.
    What a node says is shown without its address, without the keys in it, and without what `scrub` hides. Safe to use from several threads.
    """

    def __init__(
        self,
        endpoints: Sequence[Secret],
        sends_to: Sequence[Secret] = (),
        *,
        timeout_s: float = 5.0,
        scrub: Callable[[str], str] = str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reading = [Endpoint(url) for url in endpoints]
        self._sending = [Endpoint(url) for url in sends_to] or self._reading
        self._scrub = scrub
        self._own = pattern_of(url.reveal() for url in (*endpoints, *sends_to))
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self._ids = count(1)
        self._lock = Lock()
        self._session: Session | None = None
        self._newest, self._seen_at = 0, 0.0
        self.round_trips = 0

    @property
    def shown(self) -> str:
        """The nodes that are read, as they may be shown."""
        return ", ".join(endpoint.shown for endpoint in self._reading)

    # Reading.

    def ask(self, *calls: RpcCall) -> list[Any]:
        """What a node that is not behind answers to some calls, in their order and in one round trip: a result, or an RpcError where the
        chain has none: a call that is reverted, a method that is not there.

        Raises:
            VenueUnreachable: none of the nodes can be used; it says why of each.
        """
        faults, refused = [], None
        for endpoint in self._usable():
            try:
                *answers, head = self._round_trip(endpoint, (*calls, RpcCall("eth_blockNumber")))
                self._require_newest(endpoint, head)
                _require_answers(calls, answers)
            except NodeFault as fault:
                self._leave_alone(endpoint)
                refused = fault if isinstance(fault, CallRefused) else refused
                faults.append(f"{endpoint.shown}: {fault}")
            else:
                return answers
        raise VenueUnreachable(UNREACHABLE, "; ".join(faults) or "no node can be asked") from refused

    def get(self, method: str, *params: Any) -> Any:
        """What a node answers to one call; logs are asked for in halves where the nodes refuse so many blocks at once.

        Raises:
            VenueUnreachable: none of the nodes can be used, or they do not answer such a call.
        """
        try:
            (answer,) = self.ask(RpcCall(method, params))
        except VenueUnreachable as error:
            halves = _halves(params[0]) if method == LOGS and isinstance(error.__cause__, CallRefused) else ()
            if not halves:
                raise
            return [log for half in halves for log in self.get(LOGS, half)]
        if isinstance(answer, RpcError):
            raise VenueUnreachable(UNREACHABLE, f"{self.shown}: {method}: {answer}")
        return answer

    def _usable(self) -> Iterator[Endpoint]:
        """The nodes in the order in which they are asked: those that are left alone come last, so that there is always one."""
        now = self._monotonic()
        yield from sorted(self._reading, key=lambda endpoint: endpoint.left_alone_until > now)

    def _leave_alone(self, endpoint: Endpoint) -> None:
        endpoint.left_alone_until = self._monotonic() + LEFT_ALONE_S

    def _require_newest(self, endpoint: Endpoint, answer: Any) -> None:
        """Take note of a node's head.

        Raises:
            NodeFault: it is behind the newest one that was seen.
        """
        try:
            head = int(answer, 16)
        except (TypeError, ValueError):
            raise NodeFault("it does not say at which block it is", is_sent=True) from None
        with self._lock:
            now = self._monotonic()
            if now - self._seen_at > HEAD_KEPT_S:
                self._newest = 0
            endpoint.head = head
            if head < self._newest:
                raise NodeFault(f"it is at block {head}, behind {self._newest}", is_sent=True)
            if head > self._newest:
                self._newest, self._seen_at = head, now

    # Sending.

    def send_raw(self, raw: str) -> str:
        """Hand a signed transaction to the nodes, one after another until one takes it; gives its hash as that node names it.

        Raises:
            RpcError: a node refused it; of several, the refusal that says most, else the last.
            NodeFault: none was reached, or (`is_sent`) one has perhaps taken it.
        """
        perhaps: NodeFault | None = None
        refused: RpcError | None = None
        faults = []
        for endpoint in self._sending:
            try:
                (answer,) = self._round_trip(endpoint, (RpcCall("eth_sendRawTransaction", (raw,)),))
            except NodeFault as fault:
                faults.append(f"{endpoint.shown}: {fault}")
                perhaps = perhaps or (fault if fault.is_sent else None)
                continue
            if not isinstance(answer, RpcError):
                return str(answer)
            refused = refused if refused is not None and refused.weight > answer.weight else answer
        if refused is not None and (perhaps is None or refused.is_known):
            raise refused
        raise NodeFault("; ".join(faults), is_sent=perhaps is not None)

    # One round trip.

    def _round_trip(self, endpoint: Endpoint, calls: Sequence[RpcCall]) -> list[Any]:
        requests = [{"jsonrpc": "2.0", "id": next(self._ids), "method": call.method, "params": list(call.params)} for call in calls]
        content = self._posted(endpoint, _encoded(requests if len(requests) > 1 else requests[0]))
        try:
            answers = json.decode(content)
        except (DecodeError, ValueError, RecursionError):
            raise NodeFault(f"it answered with {self._shown(content)}, which is no JSON", is_sent=True) from None
        rows = answers if isinstance(answers, list) else [answers]
        by_id = {one.get("id"): one for one in rows if isinstance(one, dict) and isinstance(one.get("id"), int | str | None)}
        if None in by_id and "error" in by_id[None]:  # the whole batch was refused
            raise NodeFault(f"it answered with {self._shown(_encoded(by_id[None]['error']))}", is_sent=True)
        return [self._result(by_id, request["id"]) for request in requests]

    def _posted(self, endpoint: Endpoint, body: bytes) -> bytes:
        """The bytes of a node's answer. A redirection is not followed: a transaction would be sent to somebody else."""
        deadline = current_deadline()
        self.round_trips += 1
        try:
            if endpoint.proxies is None:
                endpoint.proxies = _proxies_of(endpoint.url.reveal())
            response = self._connected().post(
                endpoint.url.reveal(), data=body, headers={"Content-Type": "application/json"}, timeout=self._timeout_s,
                allow_redirects=False, proxies=endpoint.proxies,
            )  # fmt: skip
            content: bytes = response.content
        except DeadlinePassed:
            raise
        except Exception as error:  # noqa: BLE001 its text quotes the address, in which there may be a key
            if deadline is not None:
                deadline.require_time()
            raise NodeFault(_why(error), is_sent=not _never_left(error)) from None
        if response.status_code != 200:
            raise NodeFault(
                f"it answered with status {response.status_code}: {self._shown(content)}", is_sent=response.status_code not in NOT_TAKEN
            )
        return content

    def _result(self, by_id: Mapping[Any, dict[str, Any]], id_: Any) -> Any:
        answer = by_id.get(id_)
        if answer is None:
            raise NodeFault("it left a call without an answer", is_sent=True)
        if "error" not in answer:
            if "result" not in answer:
                raise NodeFault("its answer has neither a result nor an error", is_sent=True)
            return answer["result"]
        error = answer["error"]
        code = error.get("code", 0) if isinstance(error, dict) else None
        if not isinstance(code, int):
            raise NodeFault(f"it answered with {self._shown(_encoded(error))}", is_sent=True)
        data = error.get("data")
        return RpcError(code, self._shown(str(error.get("message", ""))), self._scrubbed(data) if isinstance(data, str) else "")

    def _scrubbed(self, text: str) -> str:
        return self._scrub(scrubbed(text, self._own))

    def _shown(self, content: bytes | str) -> str:
        """A node's text on one line, not too long, without a key."""
        text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
        return " ".join(self._scrubbed(text).split())[:LONGEST_TEXT] or "nothing"

    def _connected(self) -> Session:
        with self._lock:
            if self._session is None:
                from requests import Session

                from basis_strategy_v1.live.http_deadline import put_under_deadlines

                self._session = put_under_deadlines(Session())
                self._session.trust_env = False  # it reads the environment at each call, which takes a millisecond
                self._session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
            return self._session


def _require_answers(calls: Sequence[RpcCall], answers: Sequence[Any]) -> None:
    """Refuse what a node did not answer for a reason of its own, such as a limit: another node may answer it.

    Raises:
        CallRefused.
    """
    for call, answer in zip(calls, answers, strict=True):
        if isinstance(answer, RpcError) and not answer.is_of_the_chain:
            raise CallRefused(f"{call.method}: {answer}", is_sent=True)


def _halves(wanted: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """A filter of logs as two, each of half of its blocks; none where it is one block."""
    first, last = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
    middle = (first + last) // 2
    return () if first >= last else ({**wanted, "toBlock": hex(middle)}, {**wanted, "fromBlock": hex(middle + 1)})


def _proxies_of(url: str) -> dict[str, str]:
    from requests.utils import get_environ_proxies

    return {name: str(proxy) for name, proxy in get_environ_proxies(url).items()}


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all that it came from, also where urllib3 keeps it in its arguments."""
    open_: list[Any] = [error]
    seen: set[int] = set()
    while open_:
        one = open_.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            open_ += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]


def _never_left(error: BaseException) -> bool:
    return not {type(one).__name__ for one in _causes(error)}.isdisjoint(NO_CONNECTION)


def _why(error: BaseException) -> str:
    if _never_left(error):
        return "there is no connection to it"
    return "it did not answer in time" if "Timeout" in type(error).__name__ else "the connection ended without an answer"
