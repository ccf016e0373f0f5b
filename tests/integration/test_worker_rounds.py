"""A turn at a stream: what is read, what is committed, what is kept for the next turn, and what is told to whom."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from common.clock import utc_now
from common.db import erasure
from common.db.tables import rechecks
from common.errors import (
    AccessError,
    BadPageError,
    BrokerUnavailableError,
    DatabaseUnavailableError,
    LeaseLostError,
    ResyncNeededError,
    RetryLaterError,
)
from common.graph.answers import (
    DoubtfulTokenError,
    GraphNotFoundError,
    GraphThrottledError,
    GraphUnavailableError,
    PageTokenExpiredError,
)
from common.graph.client import LIST_PAGE, DeltaPage
from common.messages import Reason, Stream
from tests.support.bench import Bench
from tests.support.book import book, guid
from tests.support.leases import acquire
from tests.support.pen import gone, group, member, person
from tests.support.scripted_graph import Answer, ScriptedGraph, page
from worker.leases import StreamKey
from worker.rechecks import RECHECKS_A_TURN
from worker.turn import Turn

ANNA, BERT, CLEO, DORA, STAFF = (guid(name) for name in ("anna", "bert", "cleo", "dora", "staff"))
FIRST = ScriptedGraph.FIRST
Passing = Callable[[float, Answer], Answer]
DEAD = ResyncNeededError("Graph answered 410.")
DOUBTFUL = DoubtfulTokenError("Graph answered 400 BadRequest.", 400, "BadRequest")
DOWN = GraphUnavailableError("Graph answered 503.")
REFUSED = AccessError("The client secret has expired.", "Make a new one.", "AADSTS7000222")


@pytest.fixture
def bench(sqlite_url: str) -> Iterator[Bench]:
    with book(sqlite_url) as found:
        yield Bench(found)


@pytest.fixture
def synced(bench: Bench) -> Bench:
    """A bench whose users have been read once: Anna and Bert, up to the deltaLink `live`."""
    bench.graph.on(FIRST, page(person(ANNA), person(BERT), end="born"))
    bench.graph.on("born", page(end="live"))
    bench.advance()
    bench.graph.asked.clear()
    return bench


# The first sync


def test_the_first_sync_on_both_databases(database_url: str) -> None:
    with book(database_url) as found:
        bench = Bench(found)
        bench.graph.on(FIRST, page(person(ANNA), then="second"))
        bench.graph.on("second", page(person(BERT), end="born"))
        bench.graph.on("born", page(person(CLEO), end="live"))
        bench.advance()
        assert bench.people() == {ANNA, BERT, CLEO}
        assert bench.graph.asked == [FIRST, "second", "born"]
        assert bench.row()["delta_link"] == "live"
        first = bench.history()[0]
        assert (first["mode"], first["reason"], first["outcome"]) == ("full", "first_sync", "ok")
        assert bench.row()["lease_holder"] is None


def test_the_history_tells_pages_objects_and_changes(bench: Bench) -> None:
    bench.graph.on(FIRST, page(person(ANNA), person(BERT), then="second"))
    bench.graph.on("second", page(person(ANNA), gone(CLEO), end="live"))
    bench.graph.on("live", page(end="live"))
    bench.advance()
    [one] = bench.history()
    assert [one[name] for name in ("pages", "objects", "added", "changed", "removed")] == [2, 4, 2, 0, 0]


def test_an_incremental_round_that_changed_nothing_is_not_remembered(synced: Bench) -> None:
    synced.graph.on("live", page(person(ANNA), end="later"))
    before = synced.history()
    synced.advance()
    assert synced.history() == before
    assert synced.row()["delta_link"] == "later"


def test_changes_between_full_rounds_are_followed_page_by_page(synced: Bench) -> None:
    synced.graph.on("live", page(gone(ANNA), then="more"))
    synced.graph.on("more", page(person(CLEO), end="later"))
    synced.advance()
    assert synced.people() == {BERT, CLEO}
    assert [(one["mode"], one["pages"], one["added"], one["removed"]) for one in synced.history()][1:] == [
        ("incremental", 2, 1, 1)
    ]


# Crashes


def test_a_full_round_goes_on_at_its_last_committed_page_after_a_crash(bench: Bench) -> None:
    bench.graph.on(FIRST, page(person(ANNA), then="second"))
    bench.graph.on("second", RuntimeError("the process was killed here"), page(person(BERT), end="live"))
    bench.graph.on("live", page(end="live"))
    with pytest.raises(RuntimeError):
        bench.advance()
    assert bench.people() == {ANNA}
    bench.expire_lease()
    bench.advance(holder="two")
    assert bench.graph.asked == [FIRST, "second", "second", "live"]
    assert bench.people() == {ANNA, BERT}


def test_an_incremental_round_goes_on_at_its_last_committed_page_after_a_crash(synced: Bench) -> None:
    synced.graph.on("live", page(person(CLEO), then="more"))
    synced.graph.on("more", RuntimeError("killed"), page(person(DORA), end="later"))
    synced.graph.on("later", page(end="later"))
    with pytest.raises(RuntimeError):
        synced.advance()
    synced.expire_lease()
    synced.advance(holder="two")
    assert synced.people() == {ANNA, BERT, CLEO, DORA}
    assert synced.graph.asked == ["live", "more", "more", "later"]  # a second round, since the first began long ago


def test_a_failed_page_never_leads_to_a_sweep(synced: Bench) -> None:
    synced.graph.on("live", page(end="live"))
    synced.graph.on(FIRST, page(person(ANNA), then="second"))
    synced.graph.on("second", DOWN)
    for _ in range(3):
        with pytest.raises(GraphUnavailableError):
            synced.advance(synced.resync("r1"))
    assert synced.people() == {ANNA, BERT}
    assert synced.row()["failures"] >= 1


def test_a_sweep_comes_with_the_last_page_of_a_full_round(synced: Bench) -> None:
    synced.graph.on("live", page(end="live"))
    synced.graph.on(FIRST, page(person(ANNA), end="new"))
    synced.graph.on("new", page(end="newer"))
    synced.advance(synced.resync("r1"))
    assert synced.people() == {ANNA}
    assert synced.history()[-1]["removed"] == 1
    assert synced.row()["delta_link"] == "newer"


def test_what_was_seen_live_during_a_full_round_survives_its_sweep(synced: Bench) -> None:
    synced.graph.on("live", page(end="live"), page(person(CLEO), end="live"))
    synced.graph.on(FIRST, page(person(ANNA), then="second"))
    synced.graph.on("second", page(person(BERT), end="new"))
    synced.graph.on("new", page(end="new"))
    synced.stopping = True
    synced.advance(synced.resync("r1"))
    synced.advance()
    assert synced.people() == {ANNA, BERT, CLEO}


def test_the_database_may_be_lost_in_the_middle_of_a_turn(synced: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    synced.graph.on("live", page(person(CLEO), then="more"))
    synced.graph.on("more", lambda: monkeypatch.setattr(synced.book.database, "write", lost) or page(end="later"))

    def lost() -> Any:
        raise DatabaseUnavailableError("The database failed: restart.")

    with monkeypatch.context(), pytest.raises(DatabaseUnavailableError):
        synced.advance()
    monkeypatch.undo()
    synced.graph.on("more", page(person(DORA), end="later"))
    synced.graph.on("later", page(end="later"))
    synced.advance()
    assert synced.people() == {ANNA, BERT, CLEO, DORA}


@pytest.mark.parametrize("full", [False, True])
def test_a_page_that_cannot_be_written_moves_no_cursor(
    synced: Bench, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any) -> None:
        raise DatabaseUnavailableError("The database failed: restart.")

    synced.graph.on("live", page(person(CLEO), then="more"), page(person(CLEO), end="later"))
    synced.graph.on(FIRST, page(person(CLEO), end="new"))
    if full:
        synced.book.stream(Stream.USERS, full_began_at=utc_now(), full_reason="operator", delta_link=None)
    before = {name: synced.row()[name] for name in ("delta_link", "next_link", "full_link", "full_pages")}
    monkeypatch.setattr(Turn, "apply", lost)
    with pytest.raises(DatabaseUnavailableError):
        synced.advance()
    assert {name: synced.row()[name] for name in before} == before


def test_a_worker_that_lost_its_lease_during_a_request_commits_nothing(synced: Bench) -> None:
    def taken_over() -> DeltaPage:
        synced.expire_lease()
        assert acquire(synced.book.database, key_of(synced), "two")
        return page(person(CLEO), end="later")

    synced.graph.on("live", taken_over)
    with pytest.raises(LeaseLostError):
        synced.advance()
    assert CLEO not in synced.people()
    assert synced.row()["delta_link"] == "live"
    assert synced.row()["lease_holder"] == "two"


def test_a_tenant_removed_during_a_request_leaves_nothing_behind(synced: Bench) -> None:
    def removed() -> DeltaPage:
        with synced.book.database.write() as connection:
            erasure.erase(connection, synced.book.tenant_id)
        return page(person(CLEO), end="later")

    synced.graph.on("live", removed)
    with pytest.raises(LeaseLostError):
        synced.advance()
    synced.advance()  # the request made again finds no tenant, and is done
    assert synced.people() == set()


# Dead tokens


@pytest.mark.parametrize("error", [DEAD, PageTokenExpiredError("Graph answered 400 Directory_ExpiredPageToken.")])
def test_a_dead_delta_token_starts_a_full_round_at_once(synced: Bench, error: Exception) -> None:
    synced.graph.on("live", error)
    synced.graph.on(FIRST, page(person(ANNA), end="new"))
    synced.graph.on("new", page(end="newer"))
    synced.advance()
    assert synced.people() == {ANNA}
    assert (synced.history()[-1]["reason"], synced.row()["delta_link"]) == ("token_expired", "newer")


def test_a_dead_page_token_of_an_incremental_round_goes_back_to_its_delta_link(synced: Bench) -> None:
    synced.graph.on("live", page(person(CLEO), then="more"))
    synced.graph.on("more", PageTokenExpiredError("Graph answered 400 Directory_ExpiredPageToken."))
    with pytest.raises(RetryLaterError):
        synced.advance()
    assert (synced.row()["delta_link"], synced.row()["next_link"]) == ("live", None)
    synced.graph.on("live", page(person(DORA), end="later"))
    synced.advance()
    assert synced.people() == {ANNA, BERT, CLEO, DORA}


@pytest.mark.parametrize("error", [DEAD, PageTokenExpiredError("Graph answered 400 Directory_ExpiredPageToken.")])
def test_a_dead_page_token_of_a_full_round_begins_it_again_for_the_same_commands(
    synced: Bench, error: Exception
) -> None:
    synced.graph.on("live", page(end="live"))
    synced.graph.on(FIRST, page(person(ANNA), person(CLEO), then="second"), page(person(ANNA), end="new"))
    synced.graph.on("second", error)
    synced.graph.on("new", page(end="new"))
    with pytest.raises(RetryLaterError):
        synced.advance(synced.resync("r1"))
    synced.advance()
    assert synced.people() == {ANNA}
    assert synced.history()[-1]["request_ids"] == ["r1"]


def test_one_doubtful_answer_costs_no_cursor(synced: Bench) -> None:
    synced.graph.on("live", DOUBTFUL, page(person(CLEO), end="later"))
    with pytest.raises(DoubtfulTokenError):
        synced.advance()
    synced.advance()
    assert synced.graph.asked == ["live", "live"]
    assert CLEO in synced.people()


def test_two_doubtful_answers_with_a_good_one_between_cost_no_cursor(synced: Bench) -> None:
    synced.graph.on("live", DOUBTFUL, page(end="live"), DOUBTFUL, page(end="live"))
    for fails in (True, False, True, False):
        try:
            synced.advance()
        except DoubtfulTokenError:
            assert fails
    assert FIRST not in synced.graph.asked


def test_two_doubtful_answers_in_a_row_start_a_full_round(synced: Bench) -> None:
    synced.graph.on("live", DOUBTFUL)
    synced.graph.on(FIRST, page(person(ANNA), end="new"))
    synced.graph.on("new", page(end="new"))
    with pytest.raises(DoubtfulTokenError):
        synced.advance()
    synced.advance()
    assert synced.people() == {ANNA}


def test_two_doubtful_answers_in_a_row_begin_a_full_round_again_while_the_live_cursor_works(synced: Bench) -> None:
    synced.graph.on("live", page(end="live"))
    synced.graph.on(FIRST, page(person(ANNA), then="second"))
    synced.graph.on("second", DOUBTFUL)
    with pytest.raises(DoubtfulTokenError):
        synced.advance(synced.resync("r1"))
    synced.graph.on(FIRST, page(person(ANNA), end="new"))
    synced.graph.on("new", page(end="new"))
    with pytest.raises(RetryLaterError, match="begins again"):
        synced.advance()
    synced.advance()
    assert synced.history()[-1]["request_ids"] == ["r1"]


def test_delta_tokens_that_are_dead_at_birth_do_not_make_a_turn_endless(bench: Bench) -> None:
    bench.graph.on(FIRST, page(person(ANNA), end="stillborn"))
    bench.graph.on("stillborn", DEAD)
    with pytest.raises(RetryLaterError):
        bench.advance()
    assert bench.graph.asked.count(FIRST) <= 2


@pytest.mark.parametrize("error", [GraphNotFoundError("Graph answered 404."), BadPageError("Graph answered nonsense.")])
def test_an_operators_full_round_does_not_need_a_live_cursor_that_works(synced: Bench, error: Exception) -> None:
    synced.graph.on("live", error)
    synced.graph.on(FIRST, page(person(ANNA), end="new"))
    synced.graph.on("new", page(end="newer"))
    synced.advance(synced.resync("r1"))
    assert synced.row()["delta_link"] == "newer"
    assert synced.history()[-1]["request_ids"] == ["r1"]


def test_a_404_on_the_live_cursor_costs_neither_cursor_nor_book(synced: Bench) -> None:
    synced.graph.on("live", GraphNotFoundError("Graph answered 404."))
    with pytest.raises(GraphNotFoundError):
        synced.advance()
    assert synced.row()["delta_link"] == "live"
    assert synced.people() == {ANNA, BERT}


# Pages of no known shape


def test_a_page_with_one_bad_object_stores_nothing_and_keeps_the_cursor(synced: Bench) -> None:
    synced.graph.on("live", page(person(CLEO), {"id": "no guid"}, end="later"))
    with pytest.raises(BadPageError):
        synced.advance()
    assert synced.people() == {ANNA, BERT}
    assert synced.row()["delta_link"] == "live"
    assert synced.row()["last_error"] == "An object of the page has no valid id."


@pytest.mark.parametrize("beginning", ["live", FIRST])
def test_links_that_go_round_in_circles_are_refused_and_begun_anew(synced: Bench, beginning: str) -> None:
    synced.graph.on("live", page(end="live"))
    synced.graph.on(beginning, page(then="a"))
    synced.graph.on("a", page(then="b"))
    synced.graph.on("b", page(then="a"))
    with pytest.raises(BadPageError, match="never end"):
        synced.advance(synced.resync("r1") if beginning == FIRST else synced.request())
    synced.graph.asked.clear()
    synced.graph.on(beginning, page(person(CLEO), end="good"))
    synced.graph.on("good", page(end="good"))
    synced.advance()
    assert CLEO in synced.people()
    assert "a" not in synced.graph.asked


# Why a full round


def test_a_changed_region_starts_a_full_round_and_live_updates_go_on(synced: Bench) -> None:
    synced.book.tenant(default_region="DE")
    synced.graph.on("live", page(person(CLEO, mobilePhone="030 123456"), end="later"))
    synced.graph.on(FIRST, page(person(ANNA), end="new"))
    synced.graph.on("new", page(end="new"))
    synced.advance()
    assert synced.graph.asked == ["live", FIRST, "new"]
    assert synced.history()[-1]["reason"] == "fingerprint"
    synced.advance()
    assert synced.graph.asked[3:] == ["new"]  # once is enough


def test_a_region_changed_during_a_full_round_begins_it_again(synced: Bench) -> None:
    synced.graph.on("live", page(end="live"))
    synced.graph.on(FIRST, page(person(ANNA), then="second"), page(person(ANNA, mobilePhone="030 123456"), end="newer"))
    synced.graph.on("newer", page(person(BERT), end="newer"))
    synced.stopping = True
    synced.advance(synced.resync("r1"))
    synced.book.tenant(default_region="DE")
    synced.stopping = False
    synced.graph.asked.clear()
    synced.advance()
    assert synced.graph.asked == ["live", FIRST, "newer"]
    row = synced.pen.contact(ANNA)
    assert row is not None
    assert row["phone"] == "+4930123456"
    assert [one["request_ids"] for one in synced.history() if one["mode"] == "full"][1:] == [["r1"]]


def test_the_calendar_starts_a_full_round(synced: Bench) -> None:
    synced.book.stream(Stream.USERS, last_full_at=utc_now() - timedelta(days=8))
    synced.graph.on("live", page(end="live"))
    synced.graph.on(FIRST, page(person(ANNA), person(BERT), end="new"))
    synced.graph.on("new", page(end="new"))
    synced.advance()
    assert synced.history()[-1]["reason"] == "calendar"


def test_before_its_day_the_calendar_starts_nothing(synced: Bench) -> None:
    synced.book.stream(Stream.USERS, last_full_at=utc_now() - timedelta(days=6))
    synced.graph.on("live", page(end="live"))
    synced.advance()
    assert synced.graph.asked == ["live"]


# Slices


def interrupted_resync(synced: Bench, pages: int) -> None:
    synced.graph.on("live", page(end="live"))
    links = [FIRST, *(f"page {number}" for number in range(2, pages + 1))]
    for number, link in enumerate(links):
        last = number == pages - 1
        synced.graph.on(
            link, page(person(guid(link)), end="new") if last else page(person(guid(link)), then=links[number + 1])
        )
    synced.graph.on("new", page(end="new"))


def test_live_updates_go_on_between_the_slices_of_a_full_round(synced: Bench) -> None:
    interrupted_resync(synced, 3)
    synced.stopping = True
    synced.advance(synced.resync("r1"))
    synced.advance()
    synced.advance()
    assert synced.graph.asked == ["live", FIRST, "live", "page 2", "live", "page 3", "new"]


def test_the_rest_of_a_slice_is_put_back_as_a_request(synced: Bench) -> None:
    interrupted_resync(synced, 2)
    synced.stopping = True
    synced.advance(synced.resync("r1"))
    [rest] = synced.publisher.bodies
    assert (rest["reason"], rest["stream"], rest["tenant_id"]) == ("continued", "users", synced.book.tenant_id)
    assert synced.row()["lease_holder"] is None


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Passing:
    """A clock that stands still but for what the test lets pass: `passing(4, answer)` answers after four seconds."""
    clock = SimpleNamespace(seconds=0.0)
    for module in ("worker.advance", "worker.turn", "worker.rounds"):
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(monotonic=lambda: clock.seconds))

    def passing(seconds: float, answer: Answer) -> Answer:
        def after_a_while() -> Answer:
            clock.seconds += seconds
            return answer

        return after_a_while

    return passing


def test_a_turn_ends_when_its_time_is_up(synced: Bench, passing: Passing) -> None:
    for number in range(1, 9):
        synced.graph.on(f"p{number}", passing(4, page(then=f"p{number + 1}")))
    synced.graph.on("live", passing(4, page(then="p1")))
    synced.advance()
    assert synced.graph.asked == ["live", "p1", "p2"]  # 10 s and the page under way
    assert synced.row()["next_link"] == "p3"
    assert synced.publisher.bodies[0]["reason"] == "continued"


def test_who_waits_is_served_within_the_turn_about_once_a_second(synced: Bench, passing: Passing) -> None:
    synced.graph.on("live", page(end="live"))
    synced.graph.on(FIRST, passing(0.6, page(then="p2")))
    synced.graph.on("p2", passing(0.6, page(then="p3")))
    synced.graph.on("p3", passing(0.6, page(person(ANNA), person(BERT), end="new")))
    synced.graph.on("new", page(end="new"))
    synced.interrupted = True
    synced.advance(synced.resync("r1"))
    assert synced.graph.asked == ["live", FIRST, "p2", "live", "p3", "new"]
    assert synced.publisher.sent == []


def test_a_worker_that_is_to_stop_ends_its_turn_at_the_next_page(synced: Bench) -> None:
    interrupted_resync(synced, 5)
    synced.stopping = True
    synced.advance(synced.resync("r1"))
    assert synced.graph.asked == ["live", FIRST]
    assert synced.row()["full_link"] == "page 2"


def test_a_broker_lost_after_the_commit_is_told_and_costs_nothing(synced: Bench) -> None:
    interrupted_resync(synced, 2)
    synced.stopping, synced.publisher.away = True, True
    with pytest.raises(BrokerUnavailableError):
        synced.advance(synced.resync("r1"))
    synced.publisher.away = False
    synced.advance()
    assert synced.graph.asked == ["live", FIRST, "live", "page 2", "new"]


# Several workers


def test_who_finds_the_stream_held_leaves_word_and_asks_nobody(synced: Bench) -> None:
    acquire(synced.book.database, key_of(synced), "other")
    synced.advance()
    assert synced.graph.asked == []
    assert synced.row()["wanted_at"] is not None


def test_a_stream_wanted_during_the_round_gets_another_one_in_the_same_turn(synced: Bench) -> None:
    def wanted() -> DeltaPage:
        assert acquire(synced.book.database, key_of(synced), "two") is None
        return page(end="later")

    synced.graph.on("live", wanted)
    synced.graph.on("later", page(person(CLEO), end="latest"))
    synced.advance()
    assert synced.graph.asked == ["live", "later"]
    assert synced.row()["lease_holder"] is None


# Follow-ups


def test_announced_objects_that_were_not_shown_are_asked_for_again(synced: Bench) -> None:
    synced.graph.on("live", page(person(CLEO), end="live"))
    synced.advance(synced.request(object_ids=(CLEO, DORA)))
    [again] = synced.publisher.bodies
    assert (again["reason"], again["object_ids"], again["follow_up"]) == ("follow_up", [DORA], 1)
    assert synced.publisher.sent[0].routing_key == "sync.delayed.15s"


def test_each_follow_up_waits_longer_and_the_third_is_the_last(synced: Bench) -> None:
    synced.graph.on("live", page(end="live"))
    queues = []
    for level in range(4):
        synced.publisher.sent.clear()
        synced.advance(synced.request(object_ids=(DORA,), follow_up=level))
        queues.append([sent.routing_key for sent in synced.publisher.sent])
    assert queues == [["sync.delayed.15s"], ["sync.delayed.60s"], ["sync.delayed.300s"], []]


def test_requests_of_different_levels_are_followed_up_each_at_its_own(synced: Bench) -> None:
    synced.graph.on("live", page(end="live"))
    synced.advance(synced.request(object_ids=(CLEO,)), synced.request(object_ids=(DORA,), follow_up=2))
    assert [(body["object_ids"], body["follow_up"]) for body in synced.publisher.bodies] == [([CLEO], 1), ([DORA], 3)]


def test_follow_ups_that_come_close_together_share_a_message_and_nobody_is_forgotten(
    synced: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced.graph.on("live", page(end="live"))
    advancer, key, now = synced.advancer(), key_of(synced), utc_now()
    advancer.advance(key, [synced.request(object_ids=(CLEO,))])
    advancer.advance(key, [synced.request(object_ids=(DORA,))])
    [one] = synced.publisher.bodies
    assert (one["object_ids"], one["follow_up"]) == ([CLEO], 1)
    monkeypatch.setattr("worker.advance.utc_now", lambda: now + timedelta(seconds=16))
    advancer.advance(key, [synced.request(object_ids=(CLEO,), follow_up=1)])
    [_, both] = synced.publisher.bodies
    assert (both["object_ids"], both["follow_up"]) == (sorted([CLEO, DORA]), 2)


def test_who_shares_a_message_whose_confirm_is_late_is_not_forgotten(
    synced: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced.graph.on("live", page(end="live"))
    advancer, key, clock = synced.advancer(), key_of(synced), [utc_now()]
    monkeypatch.setattr("worker.advance.utc_now", lambda: clock[0])
    publish = synced.publisher.publish

    def publish_late(*sent: Any, **how: Any) -> None:
        publish(*sent, **how)
        clock[0] += timedelta(seconds=2)  # RabbitMQ has it, and counts its delay already

    monkeypatch.setattr(synced.publisher, "publish", publish_late)
    taken_at = clock[0]
    advancer.advance(key, [synced.request(object_ids=(CLEO,))])
    advancer.advance(key, [synced.request(object_ids=(DORA,))])
    clock[0] = taken_at + timedelta(seconds=15)
    advancer.advance(key, [synced.request(object_ids=(CLEO,), follow_up=1)])
    [_, both] = synced.publisher.bodies
    assert (both["object_ids"], both["follow_up"]) == (sorted([CLEO, DORA]), 2)


def test_who_could_not_be_published_shares_no_message(synced: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    synced.graph.on("live", page(end="live"))
    advancer, key = synced.advancer(), key_of(synced)
    with monkeypatch.context() as patch:
        patch.setattr(synced.publisher, "publish", _refuse)
        with pytest.raises(BrokerUnavailableError):
            advancer.advance(key, [synced.request(object_ids=(CLEO,))])
    advancer.advance(key, [synced.request(object_ids=(CLEO,))])
    assert [body["object_ids"] for body in synced.publisher.bodies] == [[CLEO]]


def _refuse(*_: object, **__: object) -> None:
    raise BrokerUnavailableError("RabbitMQ is away.")


def test_a_failed_turn_publishes_no_follow_up(synced: Bench) -> None:
    synced.graph.on("live", DOWN)
    with pytest.raises(GraphUnavailableError):
        synced.advance(synced.request(object_ids=(DORA,)))
    assert synced.publisher.sent == []


# Throttling


def test_a_throttled_tenant_is_not_asked_before_its_time(synced: Bench) -> None:
    synced.graph.on("live", GraphThrottledError("Graph answered 429.", 90.0))
    with pytest.raises(GraphThrottledError):
        synced.advance()
    with pytest.raises(GraphThrottledError) as caught:
        synced.advance()
    assert synced.graph.asked == ["live"]
    assert caught.value.delay_seconds == pytest.approx(90, abs=30)


def test_the_other_stream_of_a_throttled_tenant_is_not_asked_either(synced: Bench) -> None:
    synced.graph.on("live", GraphThrottledError("Graph answered 429.", 90.0))
    with pytest.raises(GraphThrottledError):
        synced.advance()
    with pytest.raises(GraphThrottledError):
        synced.advance(stream=Stream.GROUPS)
    assert synced.graph.asked == ["live"]


def test_when_its_time_has_come_a_throttled_tenant_is_asked_again(synced: Bench) -> None:
    synced.book.tenant(throttled_until=utc_now() - timedelta(seconds=1))
    synced.graph.on("live", page(end="live"))
    synced.advance()
    assert synced.graph.asked == ["live"]


# Access


def test_a_failure_of_access_is_noted_with_its_reason_and_polled_slowly(synced: Bench) -> None:
    synced.graph.on("live", REFUSED)
    with pytest.raises(AccessError):
        synced.advance()
    tenant = synced.tenant()
    assert (tenant["state"], tenant["state_code"]) == ("access_failed", "AADSTS7000222")
    assert tenant["state_reason"] == "The client secret has expired. Make a new one."
    for stream in Stream:
        assert synced.row(stream)["next_poll_at"] > utc_now() + timedelta(minutes=10)


def test_a_tenant_without_access_is_asked_only_by_the_poll_and_by_operators(synced: Bench) -> None:
    synced.graph.on("live", REFUSED)
    with pytest.raises(AccessError):
        synced.advance()
    since = synced.tenant()["state_since"]
    synced.graph.asked.clear()
    for reason in set(Reason) - {Reason.POLL, Reason.OPERATOR}:
        synced.advance(synced.request(reason))
    assert synced.graph.asked == []
    for reason in (Reason.POLL, Reason.OPERATOR):
        with pytest.raises(AccessError):
            synced.advance(synced.request(reason))
    assert synced.graph.asked == ["live", "live"]
    assert synced.tenant()["state_since"] == since  # told once


def test_access_that_works_again_is_noted_and_everything_is_looked_at(synced: Bench) -> None:
    synced.graph.on("live", REFUSED, page(end="later"))
    with pytest.raises(AccessError):
        synced.advance()
    synced.advance(synced.request(Reason.POLL))
    tenant = synced.tenant()
    assert (tenant["state"], tenant["state_code"], tenant["state_reason"]) == ("active", None, None)
    assert tenant["reconcile_at"] <= utc_now()
    assert synced.row(Stream.GROUPS)["next_poll_at"] <= utc_now()


# Commands


def test_a_command_for_a_look_is_answered_even_when_nothing_changed(synced: Bench) -> None:
    synced.graph.on("live", page(end="live"))
    synced.advance(synced.look("r1"))
    assert [(one["mode"], one["outcome"], one["request_ids"]) for one in synced.history()][1:] == [
        ("incremental", "ok", ["r1"])
    ]
    assert synced.row()["waiting_request_ids"] == []


def test_a_command_for_a_full_round_is_answered_when_that_has_ended(synced: Bench) -> None:
    interrupted_resync(synced, 2)
    synced.stopping = True
    synced.advance(synced.resync("r1"))
    assert "r1" not in str(synced.history())
    synced.advance()
    assert synced.history()[-1]["request_ids"] == ["r1"]


def test_a_command_is_not_answered_by_a_round_that_began_before_it(synced: Bench) -> None:
    synced.graph.on("live", page(then="more"))
    synced.stopping = True
    synced.advance()
    synced.stopping = False
    synced.graph.on("more", page(person(CLEO), end="later"))
    synced.graph.on("later", DOWN)
    with pytest.raises(GraphUnavailableError):
        synced.advance(synced.look("r1"))
    assert "r1" not in str(synced.history())
    synced.graph.on("later", page(end="later"))
    synced.advance()
    assert synced.history()[-1]["request_ids"] == ["r1"]


def test_commands_are_answered_with_the_failure_of_access(synced: Bench) -> None:
    synced.graph.on("live", REFUSED)
    with pytest.raises(AccessError):
        synced.advance(synced.look("r1"), synced.resync("r2"))
    [answer] = [one for one in synced.history() if one["outcome"] == "failed"]
    assert set(answer["request_ids"]) == {"r1", "r2"}
    assert answer["error"].startswith("The client secret has expired.")


def test_commands_are_answered_when_the_stream_is_given_up(synced: Bench) -> None:
    synced.graph.on("live", DOWN)
    with pytest.raises(GraphUnavailableError):
        synced.advance(synced.look("r1"))
    synced.advancer().give_up(key_of(synced), DOWN)
    [answer] = [one for one in synced.history() if one["outcome"] == "failed"]
    assert (answer["request_ids"], answer["error"]) == (["r1"], "Graph answered 503.")
    synced.advancer().give_up(key_of(synced), DOWN)
    assert len([one for one in synced.history() if one["outcome"] == "failed"]) == 1


# Objects that are read themselves


def note(bench: Bench, *object_ids: str, stream: Stream = Stream.USERS, what: str = "object") -> None:
    due_at = utc_now() - timedelta(seconds=1)
    rows = [{"stream": stream, "object_id": one, "what": what, "due_at": due_at} for one in object_ids]
    with bench.book.database.write() as connection:
        connection.execute(rechecks.insert(), [row | {"tenant_id": bench.book.tenant_id} for row in rows])


def test_a_doubtful_object_is_read_itself_and_stored_as_it_says(synced: Bench) -> None:
    synced.graph.on(
        "live", page({"id": ANNA, "surname": "Nowak"}, person(CLEO, surname="Kot"), end="live"), page(end="live")
    )
    synced.advance()
    assert set(synced.due()) == {ANNA}
    with synced.book.database.write() as connection:
        connection.execute(rechecks.update().values(due_at=utc_now() - timedelta(seconds=1)))
    synced.graph.on(f"users/{ANNA}", person(ANNA, mail="anna@x.example"))
    synced.advance()
    row = synced.pen.contact(ANNA)
    assert row is not None
    assert (row["mail"], row["surname"]) == ("anna@x.example", None)


def test_a_read_that_altered_the_book_is_repeated_until_it_alters_nothing(synced: Bench) -> None:
    synced.graph.on("live", page(end="live"))
    synced.graph.on(f"users/{ANNA}", person(ANNA, surname="Nowak"))
    note(synced, ANNA)
    synced.advance()
    assert synced.due()[ANNA] > utc_now()
    with synced.book.database.write() as connection:
        connection.execute(rechecks.update().values(due_at=utc_now() - timedelta(seconds=1)))
    synced.advance()
    assert synced.due() == {}


def test_a_doubtful_object_that_is_not_there_is_left_to_delta(synced: Bench) -> None:
    note(synced, CLEO, ANNA)
    synced.graph.on("live", page(end="live"))
    for one in (CLEO, ANNA):
        synced.graph.on(f"users/{one}", GraphNotFoundError("Graph answered 404."))
    synced.advance()
    assert synced.people() == {ANNA, BERT}
    assert synced.due() == {}


def test_a_read_that_fails_is_due_again_a_little_later(synced: Bench) -> None:
    note(synced, ANNA)
    synced.graph.on("live", page(end="live"))
    synced.graph.on(f"users/{ANNA}", DOWN)
    with pytest.raises(GraphUnavailableError):
        synced.advance()
    assert utc_now() + timedelta(seconds=20) < synced.due()[ANNA] < utc_now() + timedelta(seconds=120)


def test_an_object_that_graph_never_answers_for_keeps_no_other_from_being_read(bench: Bench) -> None:
    first, *others = sorted((ANNA, BERT, CLEO))
    bench.graph.on(FIRST, page(*map(person, (first, *others)), end="live"))
    bench.graph.on("live", page(end="live"))
    bench.advance()
    note(bench, first, *others)
    bench.graph.on(f"users/{first}", DOWN)
    for one in others:
        bench.graph.on(f"users/{one}", person(one))
    with pytest.raises(GraphUnavailableError):
        bench.advance()
    bench.advance()
    assert set(bench.due()) == {first}


def test_what_is_too_much_for_one_turn_stays_due(synced: Bench) -> None:
    people = [guid(f"person {number}") for number in range(RECHECKS_A_TURN + 5)]
    note(synced, *people)
    synced.graph.on("live", page(end="live"))
    for one in people:
        synced.graph.on(f"users/{one}", GraphNotFoundError("Graph answered 404."))
    synced.advance()
    left = synced.due()
    assert len(left) == 5
    assert all(due_at <= utc_now() for due_at in left.values())


def test_doubtful_objects_are_read_between_the_slices_of_a_full_round(synced: Bench, passing: Passing) -> None:
    interrupted_resync(synced, 3)
    synced.graph.on(FIRST, passing(11, page(then="page 2")))
    note(synced, ANNA)
    synced.graph.on(f"users/{ANNA}", person(ANNA, surname="Nowak"))
    synced.advance(synced.resync("r1"))
    assert synced.graph.asked == ["live", f"users/{ANNA}", FIRST]


def test_what_an_object_said_itself_is_told_from_what_the_rounds_said(synced: Bench) -> None:
    note(synced, ANNA)
    synced.graph.on("live", page(end="live"))
    synced.graph.on(f"users/{ANNA}", person(ANNA, surname="Nowak"))
    synced.advance()
    assert [change["reason"] for change in synced.changes() if change["kind"] == "contact.changed"] == ["recheck"]


def grouped(bench: Bench) -> Bench:
    """A bench whose groups have been read once: Staff with Anna and Bert, who are in the book."""
    bench.pen.users(person(ANNA), person(BERT), person(CLEO))
    bench.graph.on(FIRST, page(group(STAFF, member(ANNA), member(BERT)), end="born"))
    bench.graph.on("born", page(end="live"))
    bench.graph.on("live", page(end="live"))
    bench.advance(stream=Stream.GROUPS)
    return bench


def test_the_visible_members_of_a_doubtful_group_become_what_its_list_says(bench: Bench) -> None:
    grouped(bench)
    note(bench, STAFF, stream=Stream.GROUPS, what="members")
    bench.graph.on(f"members/{STAFF}", [member(BERT), member(CLEO)])
    bench.advance(stream=Stream.GROUPS)
    assert bench.pen.edges() == {(STAFF, BERT), (STAFF, CLEO)}


def test_members_in_the_recycle_bin_are_not_listed_and_not_lost(bench: Bench) -> None:
    grouped(bench)
    bench.pen.users(gone(ANNA))
    note(bench, STAFF, stream=Stream.GROUPS, what="members")
    bench.graph.on(f"members/{STAFF}", [member(BERT)])
    bench.advance(stream=Stream.GROUPS)
    assert bench.pen.edges() == {(STAFF, ANNA), (STAFF, BERT)}


def test_a_members_list_that_fails_in_the_middle_changes_nothing(bench: Bench) -> None:
    grouped(bench)
    note(bench, STAFF, stream=Stream.GROUPS, what="members")

    def half_a_list() -> Iterator[dict[str, Any]]:
        yield member(BERT)
        raise DOWN

    bench.graph.on(f"members/{STAFF}", half_a_list)
    with pytest.raises(GraphUnavailableError):
        bench.advance(stream=Stream.GROUPS)
    assert bench.pen.edges() == {(STAFF, ANNA), (STAFF, BERT)}


def test_a_members_list_of_many_pages_is_put_off_by_a_stop_and_refused_after_a_takeover(bench: Bench) -> None:
    grouped(bench)
    note(bench, STAFF, stream=Stream.GROUPS, what="members")
    read: list[int] = []

    def many(between: Callable[[], None]) -> Iterator[dict[str, Any]]:
        for number in range(3 * LIST_PAGE):
            if number == 1:
                between()
            read.append(number)
            yield member(BERT)

    def stop() -> None:
        bench.stopping = True

    def take_over() -> None:
        fence = bench.row(Stream.GROUPS)["lease_fence"] + 1
        bench.book.stream(Stream.GROUPS, lease_fence=fence, lease_holder="another worker")

    bench.graph.on(f"members/{STAFF}", lambda: many(stop))
    bench.advance(stream=Stream.GROUPS)
    assert len(read) == LIST_PAGE + 1
    assert bench.pen.edges() == {(STAFF, ANNA), (STAFF, BERT)}

    bench.stopping = False
    read.clear()
    with bench.book.database.write() as connection:  # what was put off is still noted
        moved = connection.execute(rechecks.update().values(due_at=utc_now() - timedelta(seconds=1))).rowcount
    assert moved == 1
    bench.graph.on(f"members/{STAFF}", lambda: many(take_over))
    with pytest.raises(LeaseLostError):
        bench.advance(stream=Stream.GROUPS)
    assert len(read) == LIST_PAGE + 1


def test_the_members_of_a_group_that_is_not_there_are_left_to_delta(bench: Bench) -> None:
    grouped(bench)
    note(bench, STAFF, stream=Stream.GROUPS, what="members")
    bench.graph.on(f"members/{STAFF}", GraphNotFoundError("Graph answered 404."))
    bench.advance(stream=Stream.GROUPS)
    assert bench.pen.edges() == {(STAFF, ANNA), (STAFF, BERT)}
    assert bench.due() == {}


def test_a_group_that_is_known_only_since_it_was_read_itself_has_its_members_read_as_well(bench: Bench) -> None:
    grouped(bench)
    board = guid("board")
    note(bench, board, stream=Stream.GROUPS)
    bench.graph.on(f"groups/{board}", {"id": board, "displayName": "Board"})
    bench.advance(stream=Stream.GROUPS)
    assert ("groups", board, "members") in bench.pen.noted()


def key_of(bench: Bench) -> StreamKey:
    return StreamKey(bench.book.tenant_id, Stream.USERS)
