"""The journal of a backtest, and what it says of an id that is used twice."""

from __future__ import annotations

import pytest
from msgspec import structs

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.instructions import Chain, SmartContractAction
from basis_strategy_v1.core.journal import Entry, MemoryJournal, Status, require_same_instruction

STEP = SmartContractAction(protocol="aave", action="supply", token="USDT", amount="all", estimated_deltas=Deltas())


def test_a_sequence_of_which_some_steps_were_executed_is_kept_at_the_venue_of_its_first() -> None:
    sequence = Chain(steps=(STEP, structs.replace(STEP, protocol="lido")), atomic=False)
    journal = MemoryJournal()
    journal.begun("k1", sequence)
    assert journal.entry("k1") == Entry(key="k1", venue="aave", instruction=sequence, status=Status.SENT)


def test_a_long_value_of_another_instruction_is_shown_up_to_its_200th_character() -> None:
    with pytest.raises(ComponentError) as refused:
        require_same_instruction("k1", structs.replace(STEP, token="A" * 300), STEP)
    shown = '"' + "A" * 199
    assert f"token was {shown}, now it is " in str(refused.value)
