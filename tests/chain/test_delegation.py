"""`basis chain`: the executor is created once, an account is given its code and loses it, and nothing foreign is accepted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from basis_strategy_v1.app import chain_commands
from basis_strategy_v1.core.chain_call import ETHER
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, VenueRejected, VenueUnreachable
from basis_strategy_v1.live.chain_client import ChainClient
from basis_strategy_v1.live.delegation import ChainPlace, Delegation
from basis_strategy_v1.live.journal import SqliteJournal
from basis_strategy_v1.live.secrets import read_secrets
from basis_strategy_v1.live.trader_account import CREATE2_DEPLOYER, designator, executor_address, runtime_code

from .node import CHAIN_ID, GWEI, KEY
from .test_faulty_node import ProxyProcess

if TYPE_CHECKING:
    from pathlib import Path

    from .node import ChainWorld

pytestmark = pytest.mark.chain
FOREIGN = "0x00000000000000000000000000000000DeaDBeef"


class Account:
    """The trader's account before anything was done, and the commands that change it."""

    def __init__(self, world: ChainWorld, folder: Path) -> None:
        self.world, self.folder, self.chain = world, folder, world.chain
        self.config = world.config()
        self.wallet: dict[str, Any] = self.config["venues"]["onchain"]["wallet"]
        del self.wallet["executor"]
        self.executor = executor_address(world.aave.pool, ETHER)
        self.url = world.chain.url
        self.set_code(b"")

    def set_code(self, code: bytes, address: str | None = None) -> None:
        self.chain.rpc("anvil_setCode", (address or self.world.account, f"0x{code.hex()}"))

    def code(self, address: str | None = None) -> bytes:
        return bytes.fromhex(self.chain.rpc("eth_getCode", (address or self.world.account, "latest"))[2:])

    def secrets(self) -> Any:
        return read_secrets("dev", {"BASIS_DEV__WALLET__PRIVATE_KEY": KEY, "BASIS_DEV__WALLET__RPC_URL": self.url})

    def do(self, change: Any) -> str:
        return chain_commands.change(self.config, self.folder, change, secrets=self.secrets())

    def status(self) -> list[str]:
        return chain_commands.status(self.config, secrets=self.secrets())

    def refused(self, change: Any, words: str, code: str = "OCH-001") -> None:
        """The command ends with these words, and sends nothing."""
        nonce, own = self.world.nonce(), self.code()
        with pytest.raises(ComponentError) as error:
            self.do(change)
        assert (error.value.error_code, words in error.value.message) == (code, True), error.value.message
        assert (self.world.nonce(), self.code()) == (nonce, own)


@pytest.fixture
def account(world: ChainWorld, tmp_path: Path) -> Account:
    return Account(world, tmp_path / "state")


def test_an_account_is_delegated_and_has_no_code_afterwards(account: Account) -> None:
    world = account.world
    wei, nonce = account.chain.balance(world.account), world.nonce()
    done = [account.do(Delegation.deploy), account.do(Delegation.delegate)]
    assert account.code(account.executor) == runtime_code(world.aave.pool, ETHER)
    assert account.code() == designator(account.executor)
    again = [account.do(Delegation.deploy), account.do(Delegation.delegate)]
    done.append(account.do(Delegation.undelegate))
    again.append(account.do(Delegation.undelegate))
    assert account.code() == b""
    assert [text.split("\n")[1:] for text in (done[0], again[0])] == [[account.executor]] * 2
    done[0], again[0] = (text.split("\n")[0] for text in (done[0], again[0]))
    assert [text.split(";")[0] for text in done] == [
        "the executor is created",
        f"{world.account} is delegated to the executor {account.executor}",
        f"{world.account} is not delegated any more",
    ]
    assert all(text.endswith("nothing was sent") for text in again)
    paid = sum(float(text.split()[-2]) for text in done)
    assert paid == pytest.approx((wei - account.chain.balance(world.account)) / 10**18)
    assert world.nonce() - nonce == 1 + 2 + 2  # an authorization takes a nonce of its own


def test_status_says_what_is_there(account: Account) -> None:
    world = account.world
    lines = account.status()
    assert lines[1:] == [
        f"chain {CHAIN_ID} at {account.url.removeprefix('http://')}",
        f"executor {account.executor}: not there; `basis chain deploy` creates it",
        "delegation: none; `basis chain delegate` gives the account the executor's code",
        f"flash loans from Aave at {world.aave.pool}",
    ]
    assert lines[0] == f"account {world.account}: 100 ETH, nonce {world.nonce()}"
    account.do(Delegation.deploy)
    account.do(Delegation.delegate)
    assert account.status()[2:4] == [f"executor {account.executor}: there", "delegation: to the executor"]
    account.set_code(designator(FOREIGN))
    account.set_code(b"\x00", account.executor)
    assert account.status()[2:4] == [
        f"executor {account.executor}: other code than that of this version; it is not used",
        f"delegation: to {FOREIGN}, which is not the executor",
    ]
    account.set_code(b"\x00")
    assert account.status()[3] == "delegation: none: the account has code of its own"


def test_status_for_a_program_has_the_same_as_one_object(account: Account) -> None:
    def facts() -> dict[str, Any]:
        return chain_commands.facts(account.config, secrets=account.secrets())

    found = {
        "account": account.world.account,
        "eth": "100",
        "nonce": account.world.nonce(),
        "pending": 0,
        "chain_id": CHAIN_ID,
        "executor": account.executor,
        "executor_code": "none",
        "delegated_to": None,
        "is_delegated": False,
    }
    assert facts() == found
    account.set_code(runtime_code(account.world.aave.pool, ETHER), account.executor)
    account.set_code(designator(account.executor))
    assert facts() == {**found, "executor_code": "expected", "delegated_to": account.executor, "is_delegated": True}
    account.set_code(b"\x00", account.executor)
    assert facts()["executor_code"] == "other"


def test_a_foreign_delegation_is_not_replaced_and_is_taken_back_only_by_its_name(account: Account) -> None:
    account.do(Delegation.deploy)
    account.set_code(designator(FOREIGN))
    account.refused(Delegation.delegate, f"is delegated to {FOREIGN}, which is not the executor")
    account.refused(Delegation.undelegate, f"is delegated to {FOREIGN}, not to {account.executor}")
    account.refused(lambda it: it.undelegate(account.world.aave.pool), f"is delegated to {FOREIGN}, not to {account.world.aave.pool}")
    account.do(lambda it: it.undelegate(FOREIGN))
    assert account.code() == b""


def test_other_code_is_refused(account: Account) -> None:
    account.refused(Delegation.delegate, "there is no executor at")
    account.set_code(b"\x00", account.executor)
    for change in (Delegation.deploy, Delegation.delegate):
        account.refused(change, "is not the executor of this version")
    account.set_code(runtime_code(account.world.aave.pool, ETHER), account.executor)
    account.set_code(b"\x00")
    account.refused(Delegation.delegate, "has code of its own")
    account.refused(Delegation.undelegate, "has code of its own")


def test_an_executor_of_the_config_must_have_the_expected_code(account: Account) -> None:
    account.wallet["executor"] = FOREIGN
    account.refused(Delegation.deploy, f"leave it out: it is created at {account.executor}")
    account.set_code(runtime_code(account.world.aave.pool, account.world.aave.pool), FOREIGN)  # that of other lenders
    account.refused(Delegation.delegate, "is not the executor of this version")
    account.set_code(runtime_code(account.world.aave.pool, ETHER), FOREIGN)
    account.do(Delegation.delegate)
    assert account.code() == designator(FOREIGN)


def test_what_it_may_cost_and_what_is_there_for_it_are_looked_at_first(account: Account) -> None:
    account.config["limits"]["max_fee_gwei"] = "1.5"
    account.chain.rpc("anvil_setNextBlockBaseFeePerGas", (hex(40 * GWEI),))
    account.chain.mine()
    account.refused(Delegation.deploy, "gwei, limits.max_fee_gwei is 1.5")
    account.config["limits"]["max_fee_gwei"] = 1000
    account.chain.deal(account.world.account, 10**15)
    account.refused(Delegation.deploy, "has 0.001 ETH, and this may cost")


def test_transactions_on_their_way_are_waited_for(account: Account) -> None:
    account.chain.rpc("evm_setAutomine", (False,))
    try:
        key = read_signer()
        raw = key.sign_transaction({
            "type": 2, "chainId": CHAIN_ID, "nonce": account.world.nonce(), "to": FOREIGN, "value": 1, "data": "0x", "gas": 21_000,
            "maxFeePerGas": 50 * GWEI, "maxPriorityFeePerGas": GWEI, "accessList": [],
        })  # fmt: skip
        account.chain.rpc("eth_sendRawTransaction", (f"0x{raw.hex()}",))
        assert account.status()[0].endswith(", 1 pending")
        account.refused(Delegation.deploy, "has 1 transaction that no block has yet")
    finally:
        account.chain.rpc("anvil_dropAllTransactions")
        account.chain.rpc("evm_setAutomine", (True,))


def read_signer() -> Any:
    from basis_strategy_v1.live.chain_signer import signer_of
    from basis_strategy_v1.live.wallet_key import wallet_key

    return signer_of(wallet_key(read_secrets("dev", {"BASIS_DEV__WALLET__PRIVATE_KEY": KEY})))


def test_a_node_of_another_chain_or_without_the_deployer_is_refused(account: Account) -> None:
    account.set_code(b"", CREATE2_DEPLOYER)
    account.refused(Delegation.deploy, f"has no contract at {CREATE2_DEPLOYER}")
    account.wallet["chain_id"] = 1
    account.refused(Delegation.deploy, f"is chain {CHAIN_ID}, the config says 1")
    with pytest.raises(ComponentError, match=r"^CFG-003: BASIS_DEV__WALLET__RPC_URL is not set"):
        chain_commands.status(account.config, secrets=read_secrets("dev", {"BASIS_DEV__WALLET__PRIVATE_KEY": KEY}))


def test_a_run_that_has_the_nonces_keeps_them(account: Account) -> None:
    with SqliteJournal(account.folder):
        account.refused(Delegation.deploy, "is open in this process already", "JRN-002")
    account.do(Delegation.deploy)


def test_the_commands_do_it(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(json.dumps(account.config))
    environment = {
        **os.environ,
        "BASIS_DEV__WALLET__PRIVATE_KEY": KEY,
        "BASIS_DEV__WALLET__RPC_URL": account.url,
        "BASIS_ENVIRONMENT": "dev",
    }

    def basis(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "basis_strategy_v1.cli", "chain", *words, str(path)]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert KEY[2:] not in done.stdout + done.stderr
        return done.returncode, done.stdout + done.stderr

    status, text = basis("deploy")
    assert (status, text.splitlines()[-1]) == (0, account.executor)
    assert basis("delegate")[0] == 0
    assert json.loads(basis("status", "--json")[1])["is_delegated"] is True
    assert account.code() == designator(account.executor)
    assert basis("undelegate", "--from", FOREIGN) == (
        2,
        f"basis: OCH-001: {account.world.account} is delegated to {account.executor}, not to {FOREIGN}; name a contract other than the "
        "executor with --from\n",
    )


# What goes wrong after it was sent.


class Hasty:
    """Signs authorizations with the nonce of the transaction that brings them: the chain leaves those out."""

    def __init__(self) -> None:
        self._signer = read_signer()
        self.sign_transaction = self._signer.sign_transaction

    def sign_authorization(self, chain_id: int, contract: str, nonce: int) -> Any:
        return self._signer.sign_authorization(chain_id, contract, nonce - 1)


def opened(account: Account, signer: Any, clock: list[float]) -> Delegation:
    """The account's delegation with another signer; `clock` is the time that waiting moves."""
    client = ChainClient(account.secrets().urls("wallet", "RPC_URL"))
    place = ChainPlace(account.world.account, CHAIN_ID, account.executor, account.world.aave.pool, ETHER)

    def wait(seconds: float) -> None:
        clock[0] += seconds

    return Delegation(client, signer, place, wait=wait, monotonic=lambda: clock[0])


def test_an_authorization_that_the_chain_leaves_out_is_noticed(account: Account) -> None:
    account.do(Delegation.deploy)
    nonce = account.world.nonce()
    with pytest.raises(VenueRejected, match=r"is in a block and cost 0\.\d+ ETH, and the chain did not take the authorization in it; run"):
        opened(account, Hasty(), [0.0]).delegate()
    assert (account.code(), account.world.nonce() - nonce) == (b"", 1)
    account.do(Delegation.delegate)
    assert account.code() == designator(account.executor)


def test_a_transaction_that_no_block_takes_is_named_after_some_minutes(account: Account) -> None:
    account.chain.rpc("evm_setAutomine", (False,))
    clock = [0.0]
    try:
        with pytest.raises(OutcomeUnknown, match=r"transaction 0x[0-9a-f]{64} is in no block yet; `basis chain status` shows"):
            opened(account, read_signer(), clock).deploy()
        assert 180 <= clock[0] < 182
        account.chain.mine()
        assert account.code(account.executor) == runtime_code(account.world.aave.pool, ETHER)
    finally:
        account.chain.rpc("evm_setAutomine", (True,))


def test_a_reverted_creation_says_what_it_cost(account: Account) -> None:
    account.set_code(bytes.fromhex("60006000fd"), CREATE2_DEPLOYER)
    with pytest.raises(VenueRejected, match=r"transaction 0x[0-9a-f]{64} was reverted and cost 0\.\d+ ETH"):
        opened(account, read_signer(), [0.0]).deploy()


def test_a_node_that_is_not_there_is_one_line(account: Account) -> None:
    account.url = "http://127.0.0.1:1"
    with pytest.raises(VenueUnreachable, match=r"^OCH-002: 127\.0\.0\.1:1: there is no connection to it$"):
        account.status()


def test_a_transaction_goes_to_the_address_for_sending_and_nothing_else_does(account: Account) -> None:
    with ProxyProcess(account.url) as sending:
        account.wallet["send_url"] = sending.url
        account.do(Delegation.deploy)
        counts = [sending.send_control({"count": method}) for method in ("eth_sendRawTransaction", "eth_blockNumber")]
    assert counts == [1, 0]


@pytest.mark.parametrize("fault", ["known", "limited_after"])
def test_a_transaction_that_a_node_has_in_spite_of_its_answer_is_waited_for(account: Account, fault: str) -> None:
    with ProxyProcess(account.url) as sending:
        sending.fault(fault, "eth_sendRawTransaction")
        account.wallet["send_url"] = sending.url
        account.do(Delegation.deploy)
    assert account.code(account.executor) != b""
