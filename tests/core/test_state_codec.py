"""A state as text and back: equal, and of the same types."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from basis_strategy_v1.core.state import ExchangeAccount, State, Transit, VenueState, Wallet
from basis_strategy_v1.core.state_codec import decode_state, encode_state, kinds_of

from ..states import Decimal, same, states


@given(states())
def test_any_state_is_the_same_after_it_was_text(state: State) -> None:
    found = decode_state(encode_state(state))
    assert same(dict(found.parts), dict(state.parts))
    assert found.checked is state.checked


def test_every_state_of_a_real_run_is_the_same_after_it_was_text(real_runs: dict[str, list[State]]) -> None:
    kinds: set[type] = set()
    for run in real_runs.values():
        for state in (*run[:5], *run[::50], run[-1]):
            found = decode_state(encode_state(state))
            assert same(dict(found.parts), dict(state.parts))
            assert found.positions() == state.positions()
            kinds |= {type(part) for part in state.parts.values()}
    assert kinds == set(kinds_of(VenueState).values())


def test_the_text_is_plain_json_with_the_kind_of_each_venue() -> None:
    state = State({"bybit": ExchangeAccount({"USDT": Decimal("0.10")}), "wallet": Wallet({"ETH": 10**20})})
    assert json.loads(encode_state(state)) == {
        "parts": {
            "bybit": {"type": "Account", "balances": {"USDT": "0.10"}, "perps": {}},
            "wallet": {"type": "Wallet", "units": {"ETH": 10**20}, "share_rates": {}},
        },
        "checked": True,
    }
    assert decode_state('{"parts": {"in_transit": {"type": "Transit"}}, "checked": false}').parts == {"in_transit": Transit()}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "Input data was truncated"),
        ("[]", "Expected `object`, got `array`"),
        ('{"parts": {}}', "Object missing required field `checked`"),
        ('{"parts": {"a": {"type": "Vault"}}, "checked": true}', "Invalid value 'Vault' - at `$.type`"),
        ('{"parts": {"a": {"type": "Wallet", "units": {"ETH": 1.5}}}, "checked": true}', "Expected `int`, got `float` - at `$.units[...]`"),
    ],
)
def test_what_is_no_state_is_refused_in_one_line(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match="the text is not a state") as refused:
        decode_state(text)
    assert str(refused.value) == f"the text is not a state: {fault}"
