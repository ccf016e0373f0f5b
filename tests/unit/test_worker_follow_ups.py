"""Follow-ups that come close together share a message, and nobody of them is forgotten."""

from datetime import UTC, datetime, timedelta

from common.messages import OBJECT_IDS_LIMIT, Stream
from worker.follow_ups import FollowUps
from worker.leases import StreamKey

KEY = StreamKey("9c110000-0000-4000-8000-0000000000aa", Stream.USERS)
OTHER = StreamKey(KEY.tenant_id, Stream.GROUPS)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def under_way() -> FollowUps:
    """Follow-ups after 60 s, of which a message was published at noon."""
    made = FollowUps([15.0, 60.0])
    made.published(KEY, 1, NOON)
    return made


def test_without_a_message_under_way_one_is_needed() -> None:
    assert not FollowUps([15.0, 60.0]).join(KEY, 1, ["a"], NOON)


def test_who_comes_within_a_quarter_of_the_delay_shares_it_and_is_returned_when_it_is_due() -> None:
    found = under_way()
    assert found.join(KEY, 1, ["a"], after(14.9))
    assert found.take(KEY, 1, after(59)) == set()
    assert found.take(KEY, 1, after(60)) == {"a"}
    assert found.take(KEY, 1, after(61)) == set()


def test_who_comes_later_needs_another_message_and_is_returned_with_that() -> None:
    found = under_way()
    found.join(KEY, 1, ["a"], after(1))
    assert not found.join(KEY, 1, ["b"], after(15))
    found.published(KEY, 1, after(15))
    assert found.join(KEY, 1, ["c"], after(16))
    assert found.take(KEY, 1, after(60)) == {"a"}
    assert found.take(KEY, 1, after(75)) == {"c"}


def test_other_streams_and_levels_have_messages_of_their_own() -> None:
    found = under_way()
    assert not found.join(OTHER, 1, ["a"], after(1))
    assert not found.join(KEY, 0, ["a"], after(1))


def test_a_message_is_not_shared_by_more_than_a_request_can_name() -> None:
    found = under_way()
    assert found.join(KEY, 1, [str(number) for number in range(OBJECT_IDS_LIMIT)], after(1))
    assert not found.join(KEY, 1, ["one more"], after(1))


def test_what_other_workers_have_got_is_forgotten() -> None:
    found = FollowUps([15.0])
    streams = [StreamKey(f"{number:08x}", Stream.USERS) for number in range(10_001)]
    for key in streams:
        found.published(key, 0, NOON)
        found.join(key, 0, ["a"], NOON)
    found.published(OTHER, 0, after(60))
    assert found.take(streams[0], 0, after(60)) == set()
