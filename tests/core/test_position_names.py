"""What is no protocol's own is named and read here."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.position_names import Kind, PositionName, perp_name, queued_name, read_common_name

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,15}", fullmatch=True)


@given(NAMES)
def test_a_plain_token_a_perp_and_what_is_queued_are_read_as_they_were_made(name: str) -> None:
    assert [read_common_name(made) for made in (name, perp_name(name), queued_name(name))] == [
        PositionName(Kind.TOKEN, name),
        PositionName(Kind.PERP, name),
        PositionName(Kind.QUEUED, name),
    ]


def test_a_debt_is_owed_and_nothing_else_is() -> None:
    assert [kind for kind in Kind if PositionName(kind, "USDT").is_owed] == [Kind.DEBT]
