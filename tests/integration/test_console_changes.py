"""`entra-sms changes` and `entra-sms snapshot`: the feed for people, and the whole book for a program that begins."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest
from sqlalchemy import func, insert, select

from common.broker.publisher import Publisher
from common.config import load
from common.db.engine import Database
from common.db.tables import changes
from common.messages import Stream
from console.exits import Exit
from console.reads.snapshot import horizon
from tests.support.book import Book, add_tenant, book, guid
from tests.support.console import EntraSms
from tests.support.event_schemas import see_valid
from tests.support.eventually import eventually
from tests.support.follower import QUEUE, following, visible_book
from tests.support.pen import Pen, gone, group, member, person
from worker.feed import Feed
from worker.leases import StreamKey, locked

ANNA, BEN, STAFF, BOARD = map(guid, ("anna", "ben", "staff", "board"))
NUMBER = "+48 601 234 567"


@pytest.fixture
def contoso(database_url: str) -> Iterator[Book]:
    with book(database_url) as made:
        yield made


@pytest.fixture
def entra_sms(database_url: str, amqp_url: str) -> EntraSms:
    return EntraSms({"database_url": database_url, "amqp_url": amqp_url})


def fill(contoso: Book) -> None:
    pen = Pen(contoso)
    pen.users(person(ANNA, displayName="Anna Nowak"), person(BEN, displayName="Ben Black"))
    pen.users(person(ANNA, displayName="Anna Nowak", mobilePhone=NUMBER))
    pen.groups(group(STAFF, member(ANNA), member(BOARD, "group")), group(BOARD, name="Board"))
    pen.users(gone(BEN))


def test_changes_are_told_in_order_with_the_names_of_those_who_are_there(contoso: Book, entra_sms: EntraSms) -> None:
    fill(contoso)

    lines = entra_sms("changes", "--tenant", "Contoso").out.splitlines()

    assert [line.split(maxsplit=3)[3] for line in lines] == [
        "Anna Nowak: came into the address book (notification)",
        f"the person {BEN}: came into the address book (notification)",
        "Anna Nowak: mobile phone and number changed (notification)",
        "Staff: came into the address book (notification)",
        "Board: came into the address book (notification)",
        "Anna Nowak: joined Staff (notification)",
        "Board: joined Staff (notification)",
        f"the person {BEN}: left the address book (notification)",
    ]
    numbers = [int(line.split()[0]) for line in lines]
    assert numbers == sorted(numbers)
    assert entra_sms("changes", "--limit", "2").out.splitlines()[-1].split(maxsplit=3)[3].startswith("Contoso: ")
    since = entra_sms("changes", "--tenant", "Contoso", "--since", str(numbers[2]), "--limit", "2").out
    assert since.splitlines() == lines[3:5]


def test_changes_as_json_hold_ids_and_names_of_fields(contoso: Book, entra_sms: EntraSms) -> None:
    fill(contoso)

    told = [json.loads(line) for line in entra_sms("changes", "--json").out.splitlines()]

    changed = next(one for one in told if one["kind"] == "contact.changed")
    assert (changed["name"], changed["object_id"], changed["tenant"]) == ("Anna Nowak", ANNA, "Contoso")
    assert changed["fields"] == ["mobile_phone", "phone", "phone_source", "phone_state"]
    joined = next(one for one in told if one["kind"] == "membership.added")
    assert (joined["group"], joined["object_id"], joined["member_id"]) == ("Staff", STAFF, ANNA)
    assert NUMBER.replace(" ", "") not in json.dumps(told)


def test_only_the_changes_of_the_tenant_that_is_meant_are_told(contoso: Book, entra_sms: EntraSms) -> None:
    with contoso.database.write() as connection:
        other = Book(contoso.database, add_tenant(connection, "Fabrikam", "fabrikam.example"))
    Pen(contoso).users(person(ANNA, displayName="Anna Nowak"))
    Pen(other).users(person(BEN, displayName="Ben Black"))

    assert "Ben Black" not in entra_sms("changes", "--tenant", "Contoso").out
    assert "Fabrikam: Ben Black: came" in entra_sms("changes").out


def test_without_any_change_that_is_said(contoso: Book, entra_sms: EntraSms) -> None:
    assert contoso
    assert entra_sms("changes").words == "Nothing has changed yet."


def test_followed_changes_are_told_as_they_come(contoso: Book, entra_sms: EntraSms) -> None:
    Pen(contoso).users(person(ANNA, displayName="Anna Nowak"))
    process = entra_sms.start("changes", "--follow")
    try:
        assert process.stdout is not None
        assert "Anna Nowak: came" in process.stdout.readline()

        Pen(contoso).users(person(BEN, displayName="Ben Black"))

        assert "Ben Black: came" in process.stdout.readline()
    finally:
        process.terminate()
        process.communicate()


def test_a_snapshot_makes_the_copy_of_a_program_that_begins_equal_while_changes_go_on(
    contoso: Book, entra_sms: EntraSms, amqp_url: str, tmp_path: Path
) -> None:
    fill(contoso)  # not published: nobody listened
    pen = Pen(contoso, publishes=True)
    publisher = Publisher(load({"ENTRA_SMS_AMQP_URL": amqp_url}), "tests")
    feed = Feed(contoso.database, publisher, "one")
    try:
        with following(tmp_path, amqp_url) as follower:
            pen.users(person(BEN, displayName="Ben White"))
            feed.publish()
            told = entra_sms("snapshot", "--queue", QUEUE)
            assert told.out == (
                f"The address book of Contoso is on the queue {QUEUE}: 2 people, 2 groups, 2 memberships.\n"
            )
            pen.users(person(ANNA, displayName="Anna Kowalska"))
            pen.users(gone(BEN))
            feed.publish()
            expected = visible_book(contoso.database, contoso.tenant_id)

            def equal() -> bool:
                assert follower.copy_of(contoso.tenant_id) == expected
                return True

            eventually(equal, what="a copy that equals the book")
    finally:
        publisher.close()
    assert [one["display_name"] for one in expected[0].values()] == ["Anna Kowalska"]
    assert expected[2] == {(STAFF, ANNA), (STAFF, BOARD)}


def test_after_another_snapshot_what_was_missed_is_gone(
    contoso: Book, entra_sms: EntraSms, amqp_url: str, tmp_path: Path
) -> None:
    fill(contoso)
    with following(tmp_path, amqp_url) as follower:
        assert entra_sms("snapshot", "--queue", QUEUE).code == Exit.OK
        eventually(lambda: ANNA in follower.copy_of(contoso.tenant_id)[0], what="the first copy")
        Pen(contoso).users(gone(ANNA))  # nobody tells of it
        Pen(contoso).groups(group(BOARD, member(STAFF, "group"), name="Directors"))

        assert entra_sms("snapshot", "--tenant", "Contoso", "--queue", QUEUE).code == Exit.OK

        expected = visible_book(contoso.database, contoso.tenant_id)
        eventually(lambda: follower.copy_of(contoso.tenant_id) == expected, what="a copy that equals the book")
    assert not expected[0]


def test_a_late_event_from_before_the_snapshot_changes_nothing(
    contoso: Book, entra_sms: EntraSms, amqp_url: str, tmp_path: Path
) -> None:
    pen = Pen(contoso, publishes=True)
    pen.users(person(ANNA, displayName="Anna Nowak"))
    pen.groups(group(STAFF, member(ANNA)))
    pen.groups(group(STAFF, member(ANNA, **{"@removed": {"reason": "deleted"}})))
    with contoso.database.read() as connection:
        added = changes.c.kind == "membership.added"
        number = connection.scalar(select(changes.c.sequence).where(added))
    whose = {"tenant_id": contoso.tenant_id, "reason": "notification"}
    stale = {**whose, "event": "membership.added", "sequence": number}
    edge = {"group_id": STAFF, "member_id": ANNA, "member_type": "user"}
    mark = {**whose, "event": "contact.removed", "sequence": 1_000_000, "contact": {"object_id": BEN}}
    with following(tmp_path, amqp_url) as follower:
        assert entra_sms("snapshot", "--queue", QUEUE).code == Exit.OK
        with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
            for body in ({**stale, "membership": edge}, mark):
                connection.channel().basic_publish("", QUEUE, json.dumps(body).encode())
        eventually(lambda: follower.last_sequence(BEN) == mark["sequence"], what="the event behind the late one")
        assert follower.copy_of(contoso.tenant_id) == visible_book(contoso.database, contoso.tenant_id)


def test_a_snapshot_is_events_as_their_schemas_say_between_its_two_ends(
    contoso: Book, entra_sms: EntraSms, amqp_url: str
) -> None:
    fill(contoso)
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.queue_declare("listener", durable=True)
        assert entra_sms("snapshot", "--queue", "listener").code == Exit.OK
        told = []
        while (message := channel.basic_get("listener", auto_ack=True))[0] is not None:
            told.append(json.loads(message[2]))
    for event in told:
        see_valid(event)
    assert [event["event"] for event in told] == [
        "snapshot.began",
        *["group.added"] * 2,
        "contact.added",
        *["membership.added"] * 2,
        "snapshot.ended",
    ]
    with contoso.database.read() as connection:
        last = connection.scalar(select(func.max(changes.c.sequence)))
    assert {event["sequence"] for event in told[1:-1]} == {last}
    assert {name: told[-1][name] for name in ("contacts", "groups", "memberships")} == {
        "contacts": 1,
        "groups": 2,
        "memberships": 2,
    }


def test_a_queue_that_is_not_there_is_said(contoso: Book, entra_sms: EntraSms) -> None:
    assert contoso
    ended = entra_sms("snapshot", "--queue", "nowhere")
    assert ended.code != Exit.OK
    assert "No queue takes messages for 'nowhere'" in ended.words


def test_the_number_of_a_snapshot_waits_for_changes_that_are_numbered_and_not_committed(postgresql_url: str) -> None:
    """A lower number would let an older change win over the snapshot; a higher one the snapshot over a newer change."""
    with book(postgresql_url) as found:
        other = Database.from_url(postgresql_url)
        numbers: list[int] = []
        reading = threading.Thread(target=lambda: numbers.append(horizon(other, found.tenant_id)))
        with found.database.write() as connection:
            assert locked(connection, StreamKey(found.tenant_id, Stream.USERS))
            row = {"tenant_id": found.tenant_id, "at": found.database.now(connection), "kind": "contact.removed"}
            added = insert(changes).values(**row, object_id=ANNA, reason="poll").returning(changes.c.sequence)
            number = connection.scalar(added)
            reading.start()
            reading.join(0.5)
            assert not numbers
        reading.join(30)
        other.close()
        assert numbers == [number]
