"""What an operator decides about held removals, from the command on the queue to the rows, on both databases."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy import update

from common.broker.publisher import Publisher
from common.clock import utc_now
from common.commands import Command, Verb
from common.db.tables import rechecks
from common.errors import BrokerUnavailableError, MessageUnreadableError
from common.messages import Reason, Stream, SyncRequest, decode_request
from tests.support.bench import Bench
from tests.support.book import book, guid, lent_book
from tests.support.pen import gone, group, member, person
from tests.support.replay import held, replayed
from tests.support.scripted_graph import ScriptedGraph, page
from worker.commands import Commands

PEOPLE = [guid(f"person {number}") for number in range(100)]
LEAVING = PEOPLE[:40]
FIRST = ScriptedGraph.FIRST


@pytest.fixture
def bench(shared_database_url: str) -> Iterator[Bench]:
    """A book of a hundred people, of whom forty are said to have left: they are held."""
    with lent_book(shared_database_url) as found:
        bench = Bench(found)
        bench.graph.on(FIRST, page(*(person(one) for one in PEOPLE), end="born"))
        bench.graph.on("born", page(end="live"))
        bench.advance()
        bench.graph.on("live", page(*(gone(one) for one in LEAVING), end="on"))
        bench.graph.on("on", page(end="on"))
        bench.advance()
        assert sorted(bench.pen.held()) == sorted(LEAVING)
        assert bench.people() == set(PEOPLE)
        yield bench
        assert replayed(found.database, found.tenant_id) == held(found.database, found.tenant_id)


def carry_out(bench: Bench, command: Command) -> list[SyncRequest]:
    """Carry out a command, and advance the streams it asks for; return what it asked."""
    bench.publisher.sent.clear()
    Commands(bench.settings, bench.book.database, cast("Publisher", bench.publisher)).carry_out(command)
    asked = [decode_request(message.body) for message in bench.publisher.sent]
    for request in asked:
        bench.advance(request)
    return asked


def approve(bench: Bench, up_to: int = len(LEAVING), request_id: str = "r1") -> Command:
    return Command(Verb.APPROVE_REMOVALS, bench.book.tenant_id, None, request_id, open_hold(bench), up_to)


def reject(bench: Bench, request_id: str = "r1") -> Command:
    return Command(Verb.REJECT_REMOVALS, bench.book.tenant_id, None, request_id, open_hold(bench))


def open_hold(bench: Bench) -> int:
    return int(bench.pen.holds()[-1]["hold_id"])


def nobody_new(bench: Bench) -> None:
    """The groups of the directory: none."""
    bench.graph.on(FIRST, page(end="quiet"))
    bench.graph.on("quiet", page(end="quiet"))


# Approve


def test_approved_removals_are_made_and_the_command_is_answered(bench: Bench) -> None:
    carry_out(bench, approve(bench))
    assert bench.people() == set(PEOPLE[40:])
    assert bench.pen.held() == {}
    assert bench.pen.holds()[0]["outcome"] == "approved"
    answer = next(one for one in bench.history() if "r1" in one["request_ids"])
    assert (answer["outcome"], answer["reason"], answer["removed"]) == ("ok", "approved", 40)
    removed = [one for one in bench.changes() if one["kind"] == "contact.removed"]
    assert {one["reason"] for one in removed} == {"approved"}


def test_only_those_that_were_shown_are_approved(bench: Bench) -> None:
    shown = {one for one, number in bench.pen.held().items() if number <= 10}
    carry_out(bench, approve(bench, up_to=10))
    assert bench.people() == set(PEOPLE) - shown
    assert len(bench.pen.held()) == 30  # more than 20, and more than a tenth of those who are left
    bench.advance()
    assert len(bench.pen.held()) == 30
    assert len([one for one in bench.history() if "r1" in one["request_ids"]]) == 1


def test_few_that_were_held_after_they_were_shown_are_removed_like_any_others(bench: Bench) -> None:
    bench.graph.on("on", page(gone(PEOPLE[50]), gone(PEOPLE[51]), end="on"))
    bench.advance()
    assert len(bench.pen.held()) == 42
    bench.graph.on("on", page(end="on"))
    carry_out(bench, approve(bench, up_to=40))
    assert bench.people() == set(PEOPLE[40:]) - {PEOPLE[50], PEOPLE[51]}
    assert bench.row()["hold_id"] is None
    reasons = {one["object_id"]: one["reason"] for one in bench.changes() if one["kind"] == "contact.removed"}
    assert (reasons[PEOPLE[50]], reasons[PEOPLE[0]]) == ("notification", "approved")


def test_who_came_back_before_the_approval_stays(bench: Bench) -> None:
    bench.graph.on("on", page(person(LEAVING[0]), end="on"))
    bench.advance()
    bench.graph.on("on", page(end="on"))
    carry_out(bench, approve(bench))
    assert bench.people() == {LEAVING[0], *PEOPLE[40:]}


def test_approved_removals_do_not_count_towards_the_next_limit(bench: Bench) -> None:
    carry_out(bench, approve(bench))
    bench.graph.on("on", page(*(gone(one) for one in PEOPLE[40:60]), end="on"))
    bench.advance()
    assert bench.people() == set(PEOPLE[60:])


def test_approved_groups_go_with_their_members(bench: Bench) -> None:
    groups = [guid(f"group {number}") for number in range(21)]
    bench.pen.groups(*(group(one, member(PEOPLE[99])) for one in groups))
    bench.pen.groups(*(gone(one) for one in groups))
    nobody_new(bench)
    carry_out(bench, approve(bench, up_to=21))
    assert bench.pen.edges() == set()
    assert bench.pen.group_row(groups[0]) is None


# Reject


def test_a_rejection_removes_nobody_and_reads_everything_again(bench: Bench) -> None:
    bench.graph.on(FIRST, page(*(person(one) for one in PEOPLE), end="later"))
    bench.graph.on("later", page(end="later"))
    asked = carry_out(bench, reject(bench))
    assert [one.stream for one in asked] == [Stream.USERS, Stream.GROUPS]
    assert bench.people() == set(PEOPLE)
    assert bench.pen.held() == {}
    assert bench.pen.holds()[0]["outcome"] == "rejected"
    assert {one["stream"] for one in bench.history() if "r1" in one["request_ids"]} == {"users", "groups"}


def test_a_rejection_that_finds_them_gone_all_the_same_holds_them_anew(bench: Bench) -> None:
    bench.graph.on(FIRST, page(*(person(one) for one in PEOPLE[40:]), end="later"))
    bench.graph.on("later", page(end="later"))
    carry_out(bench, reject(bench))
    assert bench.people() == set(PEOPLE)
    assert sorted(bench.pen.held()) == sorted(LEAVING)
    assert [one["outcome"] for one in bench.pen.holds()] == ["rejected", None]


def test_a_rejection_reads_everything_again_although_its_requests_are_lost(bench: Bench) -> None:
    bench.graph.on(FIRST, page(*(person(one) for one in PEOPLE[:1] + PEOPLE[40:]), end="later"))
    bench.graph.on("later", page(end="later"))
    Commands(bench.settings, bench.book.database, cast("Publisher", bench.publisher)).carry_out(reject(bench))
    bench.publisher.sent.clear()
    for stream in Stream:
        bench.advance(bench.request(Reason.POLL, stream))
        assert bench.row(stream)["last_full_at"] is not None
    full = [(one["stream"], one["reason"]) for one in bench.history() if one["mode"] == "full"]
    assert full == [("users", "first_sync"), ("users", "operator"), ("groups", "operator")]
    assert sorted(bench.pen.held()) == sorted(LEAVING[1:])


# Who decides, when, and once


def test_an_approval_that_is_delivered_twice_removes_nobody_else(bench: Bench) -> None:
    command = approve(bench)
    carry_out(bench, command)
    bench.graph.on("on", page(*(gone(one) for one in PEOPLE[40:70]), end="on"))
    bench.advance()
    assert len(bench.pen.held()) == 30  # another hold, which nobody has decided
    carry_out(bench, command)
    assert bench.people() == set(PEOPLE[40:])
    assert len(bench.pen.held()) == 30


def test_a_rejection_that_is_delivered_twice_leaves_a_later_hold_alone(bench: Bench) -> None:
    bench.graph.on(FIRST, page(*(person(one) for one in PEOPLE[40:]), end="later"))
    bench.graph.on("later", page(end="later"))
    command = reject(bench)
    carry_out(bench, command)
    carry_out(bench, command)
    assert [one["outcome"] for one in bench.pen.holds()] == ["rejected", None]
    assert sorted(bench.pen.held()) == sorted(LEAVING)


def test_a_decision_survives_a_broker_that_is_away(bench: Bench) -> None:
    bench.publisher.away = True
    with pytest.raises(BrokerUnavailableError):
        carry_out(bench, approve(bench))
    bench.advance()  # whoever advances the stream next carries it out
    assert bench.people() == set(PEOPLE[40:])


def test_a_decision_waits_for_the_worker_that_has_the_stream(bench: Bench) -> None:
    def decide() -> Any:
        Commands(bench.settings, bench.book.database, cast("Publisher", bench.publisher)).carry_out(approve(bench))
        bench.advance(bench.request(Reason.OPERATOR), holder="another")
        bench.graph.on("on", page(end="on"))
        return page(end="on")

    bench.graph.on("on", decide)
    bench.advance()
    assert bench.people() == set(PEOPLE[40:])


def test_a_hold_that_has_ended_is_not_decided_again(bench: Bench) -> None:
    carry_out(bench, approve(bench))
    with pytest.raises(MessageUnreadableError, match="has ended already: approved"):
        carry_out(bench, reject(bench, request_id="r2"))


def test_of_two_decisions_the_second_is_refused_until_the_first_is_carried_out(bench: Bench) -> None:
    commands = Commands(bench.settings, bench.book.database, cast("Publisher", bench.publisher))
    commands.carry_out(approve(bench, up_to=10))
    with pytest.raises(MessageUnreadableError, match="Somebody has just decided"):
        commands.carry_out(reject(bench, request_id="r2"))
    bench.advance()
    assert len(bench.pen.held()) == 30
    carry_out(bench, approve(bench, up_to=40, request_id="r3"))
    assert bench.pen.held() == {}


def test_an_approval_is_answered_when_everybody_came_back_before_it(bench: Bench) -> None:
    command = approve(bench)
    bench.graph.on("on", page(*(person(one) for one in LEAVING), end="on"))

    def decide() -> Any:
        Commands(bench.settings, bench.book.database, cast("Publisher", bench.publisher)).carry_out(command)
        return page(*(person(one) for one in LEAVING), end="on")

    bench.graph.on("on", decide, page(end="on"))
    bench.advance()
    assert bench.people() == set(PEOPLE)
    [answer] = [one for one in bench.history() if "r1" in one["request_ids"]]
    assert (answer["outcome"], answer["removed"]) == ("ok", 0)


def test_a_hold_is_decided_with_the_name_of_its_tenant(bench: Bench, shared_database_url: str) -> None:
    hold_id = open_hold(bench)
    with book(shared_database_url, "Fabrikam", "fabrikam.example") as other:
        for tenant in (other.tenant_id, "Fabrikam"):
            with pytest.raises(MessageUnreadableError, match=f"no hold {hold_id}"):
                carry_out(bench, Command(Verb.REJECT_REMOVALS, tenant, None, "r1", hold_id))
    assert len(bench.pen.held()) == 40


def test_nobody_approves_more_than_was_held(bench: Bench) -> None:
    with pytest.raises(MessageUnreadableError, match="the last held removal has number 40"):
        carry_out(bench, approve(bench, up_to=41))
    assert len(bench.pen.held()) == 40


# A hold that nobody decides


def test_a_members_list_without_them_takes_held_people_out_of_no_group(bench: Bench) -> None:
    staff = guid("staff")
    everybody = (member(LEAVING[0]), member(PEOPLE[99]), member(PEOPLE[98]))
    bench.graph.on(FIRST, page(end="born"))
    bench.graph.on("born", page(group(staff, *everybody), end="quiet"))  # a new group, so its members are read
    bench.graph.on("quiet", page(end="quiet"))
    bench.advance(stream=Stream.GROUPS)
    bench.graph.on(f"members/{staff}", [member(PEOPLE[98])])
    with bench.book.database.write() as connection:
        connection.execute(update(rechecks).values(due_at=utc_now() - timedelta(seconds=1)))
    bench.advance(stream=Stream.GROUPS)
    assert f"members/{staff}" in bench.graph.asked
    assert bench.pen.edges() == {(staff, LEAVING[0]), (staff, PEOPLE[98])}


def test_while_removals_are_held_a_full_round_looks_now_and_then_whether_they_are_back(bench: Bench) -> None:
    bench.graph.on(FIRST, page(*(person(one) for one in PEOPLE), end="later"))
    bench.graph.on("later", page(end="later"))
    bench.advance()
    assert bench.row()["last_full_began_at"] == bench.history()[0]["began_at"]  # not yet
    began = bench.row()["last_full_at"]
    bench.book.stream(Stream.USERS, last_full_at=began.replace(year=began.year - 1))
    bench.advance()
    assert bench.history()[-1]["reason"] in ("held", "notification")
    assert "held" in {one["reason"] for one in bench.history()}
    assert bench.pen.held() == {}
    assert bench.pen.holds()[0]["outcome"] == "returned"
