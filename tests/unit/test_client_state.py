"""`clientState`: proves tenant and stream, with the current key and the one before, and nothing else."""

import re

from hypothesis import given
from hypothesis import strategies as st

from common import config
from common.client_state import ClientStates
from common.messages import Stream

TENANT = "9c110000-0000-4000-8000-0000000000aa"
OTHER = "9c110000-0000-4000-8000-0000000000bb"
KEYS = {"old": "o" * 40, "new": "n" * 40}


def states(current: str, previous: str = "") -> ClientStates:
    environment = {"ENTRA_SMS_SECRET_KEY": KEYS[current], "ENTRA_SMS_SECRET_KEY_PREVIOUS": KEYS.get(previous, "")}
    return ClientStates.from_settings(config.load(environment))


def test_it_proves_the_stream_of_its_tenant_in_any_case() -> None:
    made = states("new")
    for stream in Stream:
        state = made.make(TENANT, stream)
        assert made.proven_stream(state, TENANT) == stream
        assert made.proven_stream(state, TENANT.upper()) == stream


def test_it_proves_nothing_for_another_tenant_or_stream() -> None:
    made = states("new")
    state = made.make(TENANT, Stream.USERS)
    assert made.proven_stream(state, OTHER) is None
    assert made.proven_stream(state, TENANT, [Stream.GROUPS]) is None


def test_two_values_for_the_same_are_never_the_same_and_fit_into_what_graph_allows() -> None:
    made = states("new")
    first, second = made.make(TENANT, Stream.USERS), made.make(TENANT, Stream.USERS)
    assert first != second
    assert len(first) == 61
    assert re.fullmatch(r"[0-9a-f.]+", first)


def test_the_previous_key_proves_while_the_rotation_is_under_way() -> None:
    state = states("old").make(TENANT, Stream.USERS)
    assert states("new", previous="old").proven_stream(state, TENANT) == Stream.USERS
    assert states("new").proven_stream(state, TENANT) is None


def test_new_values_are_made_with_the_current_key() -> None:
    state = states("new", previous="old").make(TENANT, Stream.USERS)
    assert states("new").proven_stream(state, TENANT) == Stream.USERS


def test_the_fingerprint_names_the_current_key_and_does_not_tell_it() -> None:
    assert states("new").key_fingerprint == states("new", previous="old").key_fingerprint
    assert states("new").key_fingerprint != states("old").key_fingerprint
    assert re.fullmatch(r"[0-9a-f]{8}", states("new").key_fingerprint)


@given(st.none() | st.integers() | st.text() | st.lists(st.text()) | st.binary(), st.text())
def test_whatever_else_comes_proves_nothing(state: object, tenant: str) -> None:
    assert states("new", previous="old").proven_stream(state, tenant) is None


@given(st.integers(0, 60), st.characters())
def test_a_value_that_was_touched_proves_nothing(position: int, character: str) -> None:
    made = states("new")
    state = made.make(TENANT, Stream.USERS)
    touched = state[:position] + character + state[position + 1 :]
    assert (made.proven_stream(touched, TENANT) is None) == (touched != state)
