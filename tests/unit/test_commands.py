"""Commands as people type them, and what they are told when they typed something else."""

import json

import pytest

from common.commands import EXAMPLES, Command, CommandRefusedError, Verb, decode_command, example
from common.messages import Stream


def refused(body: bytes) -> CommandRefusedError:
    with pytest.raises(CommandRefusedError) as error:
        decode_command(body, "7")
    decode_command(error.value.right.encode(), "8")  # what is offered as right is right
    return error.value


def test_a_command_is_read_as_a_person_types_it() -> None:
    typed = b'{"command":"full_resync","tenant":" contoso.com ","stream":"users"}'
    assert decode_command(typed, "7") == Command(Verb.FULL_RESYNC, "contoso.com", Stream.USERS, "7")
    assert decode_command(b'{"command":"sync_now","tenant":"*","stream":"*"}', "7").stream is None
    assert decode_command(b'{"command":"sync_now","tenant":"*"}', "7").stream is None


def test_a_wrong_command_is_told_what_would_have_been_right() -> None:
    with pytest.raises(CommandRefusedError, match=r'"command" must be one of: full_resync, sync_now'):
        decode_command(b'{"command":"resync","tenant":"*"}', "7")
    with pytest.raises(CommandRefusedError, match=r'"\*" for all'):
        decode_command(b'{"command":"sync_now"}', "7")
    with pytest.raises(CommandRefusedError, match="users, groups"):
        decode_command(b'{"command":"sync_now","tenant":"*","stream":"people"}', "7")


def test_a_decision_names_its_hold_and_what_was_shown_of_it() -> None:
    typed = b'{"command":"approve_removals","tenant":"contoso.com","hold":3,"up_to":523}'
    assert decode_command(typed, "7") == Command(Verb.APPROVE_REMOVALS, "contoso.com", None, "7", 3, 523)
    assert decode_command(b'{"command":"reject_removals","tenant":"contoso.com","hold":3}', "7").hold_id == 3
    with pytest.raises(CommandRefusedError, match=r'"hold" is missing.*entra-sms holds list'):
        decode_command(b'{"command":"reject_removals","tenant":"contoso.com"}', "7")
    with pytest.raises(CommandRefusedError, match=r'"up_to" is missing.*entra-sms holds show'):
        decode_command(b'{"command":"approve_removals","tenant":"contoso.com","hold":3}', "7")
    large = b'{"command":"approve_removals","tenant":"contoso.com","hold":3,"up_to":2147483647}'
    assert decode_command(large, "7").up_to == 2_147_483_647
    with pytest.raises(CommandRefusedError, match='"up_to" must be a whole number'):
        decode_command(large.replace(b"647}", b"648}"), "7")
    with pytest.raises(CommandRefusedError, match='"up_to" must be a whole number'):
        decode_command(b'{"command":"approve_removals","tenant":"contoso.com","hold":3,"up_to":"all"}', "7")


@pytest.mark.parametrize("verb", Verb)
def test_every_example_can_be_typed_and_says_the_same_when_it_is_told(verb: Verb) -> None:
    command = decode_command(example(verb).encode(), "7")
    assert command.verb is verb
    assert {name: value for name, value in EXAMPLES[verb].items() if value != "*"} == {
        name: value for name, value in command.asked.items() if name != "command" and value != "*"
    }


def test_who_asks_is_kept_beside_what_is_asked() -> None:
    command = decode_command(b'{"command":"sync_now","tenant":"*","by":" Anna "}', "7")
    assert (command.by, command.asked) == ("Anna", {"command": "sync_now", "tenant": "*"})


def test_a_misspelt_verb_is_answered_with_the_one_that_was_probably_meant() -> None:
    error = refused(b'{"command":"full-resync","tenant":"*"}')
    assert str(error).startswith('"command" must be one of: full_resync, sync_now')
    assert json.loads(error.right)["command"] == "full_resync"
    assert json.loads(refused(b'{"tenant":"*"}').right)["command"] == "sync_now"


def test_a_misspelt_field_is_not_ignored() -> None:
    error = refused(b'{"command":"full_resync","tenant":"*","streams":"users"}')
    assert str(error) == 'full_resync has no other fields than "command", "tenant", "stream" and "by".'
    assert json.loads(error.right)["command"] == "full_resync"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "The message is empty."),
        (b" \n", "The message is empty."),
        (b"x" * 1_048_576, "The message has 1,048,576 bytes; a command has 65,536 at most."),
        (b'{"command":"sync_now"', "The body is not JSON."),
        (b"[" * 60_000, "The body is not JSON."),
        (b'["sync_now"]', "The body is JSON, but not an object."),
        (b'{"command":"sync_now","tenant":""}', '"tenant" is missing: give an id, a domain, a name, or "*" for all.'),
        (
            b'{"command":"pause","tenant":"a","reason":7}',
            '"reason" must be a text of 200 characters at most',
        ),
        (b'{"command":"pause","tenant":"a","by":["x"]}', '"by" must be a text of 200 characters at most'),
    ],
)
def test_what_is_no_command_is_refused_with_what_would_be_right(body: bytes, sentence: str) -> None:
    assert str(refused(body)).startswith(sentence)


def test_one_object_is_named_by_its_id() -> None:
    assert str(refused(b'{"command":"resync_object","tenant":"a"}')).startswith('"object" is missing: give the object')
    assert str(refused(b'{"command":"resync_object","tenant":"a","object":"Anna"}')).startswith(
        '"object" must be a GUID'
    )
