"""The feed of events: what is published of which change, in which order, at least once, whoever dies over it."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import func, select, update

from common.db.tables import changes, duties
from common.errors import BrokerUnavailableError
from common.messages import Stream
from tests.support.book import Book, add_tenant, book, guid
from tests.support.eventually import eventually
from tests.support.feed_scene import Listener, Scene, feed_scene, publisher_to, told, waiting
from tests.support.mortal_broker import MortalBroker
from tests.support.pen import Pen, gone, group, member, person
from worker.duties import leave, take
from worker.feed import BATCH, Feed

ANNA, BEN, STAFF, BOARD, PRINTER = map(guid, ("anna", "ben", "staff", "board", "printer"))
NUMBER = "+48 601 234 567"


@pytest.fixture
def scene(database_url: str, amqp_url: str) -> Iterator[Scene]:
    with feed_scene(database_url, amqp_url) as made:
        yield made


def test_each_change_is_one_event_with_what_the_book_holds(scene: Scene) -> None:
    scene.pen.users(person(ANNA, displayName="Anna Nowak", mobilePhone=NUMBER, mail="anna@contoso.example"))
    scene.pen.groups(group(STAFF, member(ANNA), member(PRINTER, "device")))

    contact, team, *edges = scene.publish()

    assert contact["contact"]["display_name"] == "Anna Nowak"
    assert contact["contact"]["phone"] == NUMBER.replace(" ", "")
    assert contact["tenant_id"] == scene.book.tenant_id
    assert team["group"] == {"object_id": STAFF, "display_name": "Staff", "mail": None, "kind": None}
    assert {(edge["membership"]["member_id"], edge["membership"]["member_type"]) for edge in edges} == {
        (ANNA, "user"),
        (PRINTER, "device"),
    }
    assert scene.waiting() == 0
    assert scene.publish() == []


def test_a_change_says_which_fields_and_one_that_no_consumer_sees_is_not_told(scene: Scene) -> None:
    scene.pen.users(person(ANNA, displayName="Anna Nowak", mobilePhone=NUMBER))
    scene.publish()

    scene.pen.users(person(ANNA, displayName="Anna Kowalska", mobilePhone=NUMBER))
    scene.pen.users(person(ANNA, displayName="Anna Kowalska", mobilePhone=NUMBER, usageLocation="PL"))

    [changed] = scene.publish()
    assert (changed["event"], changed["fields"]) == ("contact.changed", ["display_name"])
    assert scene.waiting() == 0


def test_who_is_removed_is_told_by_the_id_alone(scene: Scene) -> None:
    scene.pen.users(person(ANNA, displayName="Anna Nowak", mobilePhone=NUMBER))
    scene.publish()

    scene.pen.users(gone(ANNA))

    [removed] = scene.publish()
    assert (removed["event"], removed["contact"]) == ("contact.removed", {"object_id": ANNA})


def test_of_who_came_and_went_before_anything_was_published_only_the_removal_is_told(scene: Scene) -> None:
    scene.pen.users(person(ANNA, displayName="Anna Nowak"))
    scene.pen.users(person(ANNA, displayName="Anna Kowalska"))
    scene.pen.users(gone(ANNA))

    assert told(scene.publish()) == [("contact.removed", ANNA)]


def test_a_membership_shows_when_its_member_does_whichever_is_published_first(scene: Scene) -> None:
    scene.pen.groups(group(STAFF, member(ANNA)))
    assert told(scene.publish()) == [("group.added", STAFF)]

    scene.pen.users(person(ANNA))

    [arrived] = scene.publish()
    assert (arrived["event"], arrived["groups"]) == ("contact.added", [STAFF])


def test_who_comes_back_comes_with_the_groups_that_show_again(scene: Scene) -> None:
    scene.pen.users(person(ANNA))
    scene.pen.groups(group(STAFF, member(ANNA)))
    scene.pen.groups(group(BOARD, member(ANNA)))
    scene.pen.users(gone(ANNA))
    scene.pen.groups(group(BOARD, member(ANNA, **{"@removed": {"reason": "deleted"}}), name="Staff"))
    scene.publish()

    scene.pen.users(person(ANNA))

    [arrived] = scene.publish()
    assert (arrived["event"], arrived["groups"]) == ("contact.added", [STAFF])


def test_the_members_of_a_group_that_was_a_part_so_far_are_told_with_it(scene: Scene) -> None:
    scene.pen.users(person(ANNA))
    scene.pen.groups({"id": STAFF, "members@delta": [member(ANNA)]})
    assert told(scene.publish()) == [("contact.added", ANNA)]

    scene.pen.groups(group(STAFF))

    assert told(scene.publish()) == [("group.added", STAFF), ("membership.added", STAFF, ANNA)]


def test_a_membership_is_told_anew_when_the_type_of_its_member_becomes_known(scene: Scene) -> None:
    scene.pen.groups({"id": STAFF, "displayName": "Staff", "members@delta": [{"id": ANNA}]})
    [_, before] = scene.publish()
    assert before["membership"]["member_type"] == "unknown"

    scene.pen.groups(group(STAFF, member(ANNA)))
    assert told(scene.publish()) == [("membership.removed", STAFF, ANNA)]  # a person who is not in the book

    scene.pen.users(person(ANNA))
    assert told(scene.publish()) == [("contact.added", ANNA)]


def test_events_of_one_object_come_in_the_order_of_their_sequence(scene: Scene) -> None:
    for number in range(5):
        scene.pen.users(person(ANNA, displayName=f"Anna {number}"), person(BEN, displayName=f"Ben {number}"))
        scene.pen.groups(group(STAFF, member(ANNA), name=f"Staff {number}"))
    events = scene.publish()

    for object_id in (ANNA, STAFF):
        mine = [event["sequence"] for event in events if object_id in told([event])[0]]
        assert len(mine) >= 5
        assert mine == sorted(mine)


def test_a_change_that_becomes_visible_late_is_published_all_the_same(scene: Scene) -> None:
    """In PostgreSQL a transaction that began earlier may be committed later, with lower numbers."""
    scene.pen.users(person(ANNA), person(BEN))
    with scene.book.database.write() as connection:
        first = changes.c.sequence == select(func.min(changes.c.sequence)).scalar_subquery()
        connection.execute(update(changes).where(first).values(unpublished=None))
    assert len(scene.publish()) == 1

    with scene.book.database.write() as connection:
        connection.execute(update(changes).where(first).values(unpublished=True))

    [late] = scene.publish()
    assert late["event"] == "contact.added"


def test_a_crash_between_confirm_and_mark_repeats_the_events_and_loses_none(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        publish_all(*_, **__)
        raise Killed

    publish_all: Callable[..., None] = scene.publisher.publish_all
    scene.pen.users(person(ANNA), person(BEN))
    with monkeypatch.context() as patch:
        patch.setattr(scene.publisher, "publish_all", die)
        with pytest.raises(Killed):
            scene.feed.publish()
    first = scene.listener.take()
    assert len(first) == 2
    assert scene.waiting() == 2

    again = scene.publish()

    assert [event["message_id"] for event in again] == [event["message_id"] for event in first]
    assert scene.waiting() == 0


def test_while_the_broker_is_away_changes_wait_and_then_come_all_in_order(
    database_url: str, mortal_broker: MortalBroker
) -> None:
    # RabbitMQ 3.10 forgets a quorum queue when it is killed right after it was declared.
    listener = Listener(mortal_broker.broker.amqp_url, queue=guid(database_url), kind="classic")
    with book(database_url) as found, publisher_to(mortal_broker.broker.amqp_url) as publisher:
        feed, pen = Feed(found.database, publisher, "one"), Pen(found, publishes=True)
        pen.users(person(ANNA, displayName="Anna 0"))
        eventually(feed.publish, what="the first event", despite=(BrokerUnavailableError,))
        assert mortal_broker.kill()
        for number in range(1, 4):
            pen.users(person(ANNA, displayName=f"Anna {number}"))
        with pytest.raises(BrokerUnavailableError):
            feed.publish()
        assert waiting(found.database) == 3

        mortal_broker.revive()
        eventually(feed.publish, within_seconds=60, what="the events", despite=(BrokerUnavailableError,))

        assert waiting(found.database) == 0
    events = listener.take()
    kinds = [event["event"] for event in events]
    assert kinds == ["contact.added", *["contact.changed"] * 3]
    assert [event["contact"]["display_name"] for event in events] == ["Anna 0", *["Anna 3"] * 3]


def test_without_a_queue_that_is_bound_nothing_piles_up_and_nothing_fails(database_url: str, amqp_url: str) -> None:
    with book(database_url) as found, publisher_to(amqp_url) as publisher:
        Pen(found, publishes=True).users(person(ANNA), person(BEN))

        assert Feed(found.database, publisher, "one").publish() == 2

        assert waiting(found.database) == 0


def test_one_worker_at_a_time_publishes_and_another_follows_who_leaves_or_dies(scene: Scene) -> None:
    other = Feed(scene.book.database, scene.publisher, "other")
    assert take(scene.book.database, "feed", "other", seconds=3600)
    scene.pen.users(person(ANNA))
    assert scene.publish() == []

    leave(scene.book.database, "feed", "other")
    assert len(scene.publish()) == 1

    scene.pen.users(person(BEN))
    assert other.publish() == 0, "the first one has the duty"
    with scene.book.database.write() as connection:  # it died, and its time runs out
        connection.execute(update(duties).values(held_until=scene.book.database.now(connection)))
    assert other.publish() == 1
    assert told(scene.listener.take()) == [("contact.added", BEN)]


def test_a_backlog_of_one_tenant_does_not_keep_another_waiting(scene: Scene) -> None:
    with scene.book.database.write() as connection:
        other_id = add_tenant(connection, "Fabrikam", "fabrikam.example")
    scene.pen.users(*(person(guid(f"person {number}")) for number in range(BATCH + 100)))
    Pen(Book(scene.book.database, other_id), publishes=True).users(person(ANNA))

    scene.feed.publish()

    events = scene.listener.take()
    assert len(events) == BATCH + 1
    assert [event["contact"]["object_id"] for event in events if event["tenant_id"] == other_id] == [ANNA]
    assert scene.waiting() == 100


def test_nothing_is_marked_where_events_are_not_wanted(scene: Scene) -> None:
    pen = Pen(scene.book)
    pen.users(person(ANNA))
    pen.full_round(Stream.USERS, [person(BEN)])
    assert scene.waiting() == 0
    assert scene.publish() == []


def test_a_sweep_is_told_as_well(scene: Scene) -> None:
    pen = scene.pen
    pen.users(person(ANNA), person(BEN))
    scene.publish()

    pen.full_round(Stream.USERS, [person(BEN)])

    assert told(scene.publish()) == [("contact.removed", ANNA)]
