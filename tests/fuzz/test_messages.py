"""Whatever lies on a queue: a message, or a sentence of bounded length that says what would have been right."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.commands import NUMBERS_END, Command, Verb, decode_command, example
from common.errors import MessageUnreadableError
from common.messages import (
    LifecycleEvent,
    LifecycleNotice,
    Mode,
    Reason,
    Stream,
    SyncRequest,
    decode_lifecycle,
    decode_request,
    encode,
)
from tests.support.fuzzing import fuzz, known
from tests.support.hostile import damaged, jsons, written

TENANT = "9c110000-0000-4000-8000-0000000000aa"
AT = datetime(2026, 3, 2, 8, 15, 30, tzinfo=UTC)
LONGEST_SENTENCE = 250

REQUEST = SyncRequest(TENANT, Stream.USERS, Reason.OPERATOR, AT, Mode.FULL, (TENANT,), 1, 2)
NOTICE = LifecycleNotice(TENANT, Stream.GROUPS, LifecycleEvent.MISSED, TENANT, AT)
KINDS: dict[str, tuple[Callable[[bytes], Any], list[dict[str, Any]]]] = {
    "request": (decode_request, [json.loads(encode(REQUEST))]),
    "lifecycle": (decode_lifecycle, [json.loads(encode(NOTICE))]),
    "command": (
        lambda body: decode_command(body, "id"),
        [
            *(json.loads(example(verb)) | {"by": "Anna"} for verb in Verb),
        ],
    ),
}
"""What reads each kind of message, and messages of this kind."""

documents = st.sampled_from(list(KINDS)).flatmap(
    lambda kind: st.tuples(st.just(kind), damaged(*KINDS[kind][1], most=2))
)
cases = st.one_of(
    st.sampled_from(list(KINDS)).flatmap(lambda kind: st.tuples(st.just(kind), written(damaged(*KINDS[kind][1])))),
    st.tuples(st.sampled_from(list(KINDS)), written(jsons) | st.binary(max_size=200)),
)
NASTY = [
    b"",
    b"\xef\xbb\xbf{}",
    '{"command":"sync_now","tenant":"*"}'.encode("utf-16"),
    b'{"command":"sync_now","tenant":"\\ud800"}',
    b'{"command":' * 20_000,
    b'{"command":"' + b"x" * 200_000 + b'","tenant":"*"}',
    b'{"command":["sync_now"],"tenant":"*"}',
    b'{"command":"approve_removals","tenant":"*","hold":true,"up_to":1e400}',
    b'{"command":"reject_removals","tenant":"*","hold":99999999999999999999}',
    b'{"attempt":' + b"9" * 5_000 + b"}",
    json.dumps(json.loads(encode(REQUEST)) | {"attempt": "x"}).encode(),
    json.dumps(json.loads(encode(REQUEST)) | {"object_ids": [None]}).encode(),
    json.dumps(json.loads(encode(NOTICE)) | {"received_at": "0001-01-01T00:00:00+23:59"}).encode(),
]


@fuzz(cost=0.3)
@given(case=cases)
@known(case=[(kind, body) for kind in KINDS for body in NASTY])
def test_whatever_lies_on_a_queue_is_read_or_refused_with_a_short_sentence(case: tuple[str, bytes]) -> None:
    kind, body = case
    decode = KINDS[kind][0]
    try:
        message = decode(body)
    except MessageUnreadableError as error:
        sentence = str(error)
        assert sentence.endswith(".")
        assert len(sentence) <= LONGEST_SENTENCE
        assert sentence.isprintable()
        return
    if isinstance(message, Command):
        assert all(number is None or 0 < number < NUMBERS_END for number in (message.hold_id, message.up_to))
        assert all(text is None or text.isprintable() for text in (message.tenant, message.by, message.reason))
    if isinstance(message, SyncRequest | LifecycleNotice):
        assert decode(encode(message)) == message


@fuzz(cost=0.5)
@given(case=documents, secret=st.text("abcdefghij", min_size=12, max_size=12))
def test_a_refusal_repeats_nothing_of_what_came(case: tuple[str, Any], secret: str) -> None:
    """The sentence becomes the reason of a dead letter, which many may read."""
    kind, document = case
    fields = document if isinstance(document, dict) else {"tenant": document}
    spelled = {name: secret if isinstance(value, str) else value for name, value in fields.items()}
    with suppress(MessageUnreadableError):
        KINDS[kind][0](json.dumps(spelled).encode())
        return
    with pytest.raises(MessageUnreadableError) as refused:
        KINDS[kind][0](json.dumps(spelled).encode())
    assert secret not in str(refused.value)
