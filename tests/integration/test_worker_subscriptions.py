"""The subscriptions of a tenant against a simulated Graph: made, renewed, replaced, and never more than two."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import pytest
from sqlalchemy import delete, select, update

from common.broker.publisher import Publisher
from common.client_state import ClientStates
from common.clock import utc_now
from common.commands import Command, Verb
from common.config import Settings
from common.db import erasure, tenants
from common.db.tables import results, streams, subscriptions
from common.db.tables import tenants as tenants_table
from common.db.tenants import seal_credential
from common.graph.client import GraphClient, Subscription
from common.graph.credentials import ClientSecret
from common.messages import Reason, Stream
from common.secrets import Vault
from simulator.certificates import Authority, ensure_authority
from tests.support.bench import settings
from tests.support.book import SECRET_KEY, Book, add_tenant, book
from tests.support.graph_world import Endpoint, GraphWorld, endpoint, graph_world
from tests.support.recording_publisher import RecordingPublisher
from worker.clients import Clients
from worker.commands import Commands
from worker.results import Results
from worker.subscriptions import Reconciler

OTHER_KEY = "another key of the tests, of 32 characters or more"


@dataclass
class Caretaker:
    """A reconciler of one tenant, what it left in the database, and what is true at Graph."""

    book: Book
    world: GraphWorld
    endpoint: Endpoint
    publisher: RecordingPublisher

    def settings(self, **changed: Any) -> Settings:
        return settings(**{"public_url": self.endpoint.url} | self.world.settings | changed)

    def look(self, **changed: Any) -> None:
        """Reconcile once."""
        found = self.settings(**changed)
        publisher = cast("Publisher", self.publisher)
        Reconciler(found, self.book.database, publisher, Clients(found)).reconcile(self.book.tenant_id)

    def rows(self) -> dict[str, dict[str, Any]]:
        with self.book.database.read() as connection:
            return {row["stream"]: dict(row) for row in connection.execute(select(subscriptions)).mappings()}

    def ids(self) -> set[str]:
        return {row["subscription_id"] for row in self.rows().values()}

    def actual(self) -> dict[str, Any]:
        return {one.id: one for one in self.world.tenant.subscriptions.live()}

    def tenant(self) -> dict[str, Any]:
        with self.book.database.read() as connection:
            return dict(connection.execute(select(tenants_table)).mappings().one())

    def make_due(self) -> None:
        with self.book.database.write() as connection:
            connection.execute(update(subscriptions).values(renew_at=utc_now()))

    def stop(self, how: Callable[..., object], *arguments: object) -> None:
        """Pause, resume or erase the tenant."""
        with self.book.database.write() as connection:
            how(connection, self.book.tenant_id, *arguments)

    def gaps(self) -> list[str]:
        """The streams that were asked for since the last call, for the gap in which nobody was notified."""
        bodies = self.publisher.bodies
        self.publisher.sent.clear()
        assert {body["reason"] for body in bodies} <= {Reason.SUBSCRIPTION_GAP}
        return sorted(body["stream"] for body in bodies)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return ensure_authority(tmp_path_factory.mktemp("simulator"))


@pytest.fixture
def caretaker(authority: Authority, sqlite_url: str, tmp_path: Path) -> Iterator[Caretaker]:
    with (
        graph_world(authority, tmp_path) as world,
        endpoint(authority, tmp_path) as hook,
        book(sqlite_url) as found,
    ):
        application = world.tenant.application
        with found.database.write() as connection:
            connection.execute(delete(tenants_table))
            add_tenant(
                connection,
                "Simulated",
                world.tenant.domain,
                tenant_id=world.tenant.id,
                client_id=application.client_id,
                sealed_credential=seal_credential(Vault(settings()), ClientSecret(application.client_secret)),
            )
        yield Caretaker(Book(found.database, world.tenant.id), world, hook, RecordingPublisher())


@pytest.fixture
def subscribed(caretaker: Caretaker) -> Caretaker:
    """A caretaker who has made the two subscriptions."""
    caretaker.look()
    caretaker.publisher.sent.clear()
    return caretaker


def test_two_subscriptions_are_made_and_what_was_before_them_is_read(caretaker: Caretaker) -> None:
    caretaker.look()
    assert {one.resource: one.change_type for one in caretaker.actual().values()} == {
        "users": "updated,deleted",
        "groups": "updated,deleted",
    }
    assert caretaker.ids() == set(caretaker.actual())
    assert caretaker.gaps() == ["groups", "users"]
    assert caretaker.endpoint.validations == 4


def test_each_carries_a_proof_of_its_tenant_and_stream(subscribed: Caretaker) -> None:
    states = ClientStates.from_settings(subscribed.settings())
    for one in subscribed.actual().values():
        assert states.proven_stream(one.client_state, subscribed.book.tenant_id) == Stream(one.resource)
        assert len(one.client_state) <= 128


def test_looking_again_changes_nothing(subscribed: Caretaker) -> None:
    before = subscribed.rows()
    subscribed.look()
    assert subscribed.rows() == before
    assert subscribed.gaps() == []
    assert subscribed.endpoint.validations == 4


def test_the_expiry_that_graph_answered_is_stored_and_half_of_it_is_the_renewal(subscribed: Caretaker) -> None:
    for row in subscribed.rows().values():
        actual = subscribed.actual()[row["subscription_id"]]
        wall = subscribed.world.world.clock.to_wall(actual.expires_at)
        assert abs(row["expires_at"] - datetime.fromtimestamp(wall, UTC)) < timedelta(seconds=2)
        half = row["renewed_at"] + (row["expires_at"] - row["renewed_at"]) / 2
        assert abs(row["renew_at"] - half) < timedelta(seconds=2)


def test_the_next_look_is_never_after_the_next_renewal(caretaker: Caretaker) -> None:
    caretaker.look(subscription_hours=1)
    first_renewal = min(row["renew_at"] for row in caretaker.rows().values())
    assert caretaker.tenant()["reconcile_at"] <= first_renewal + timedelta(seconds=5)


def test_whether_graph_still_has_them_is_asked_as_often_as_it_is_set(caretaker: Caretaker) -> None:
    caretaker.look(subscription_check_seconds=200.0)
    assert caretaker.tenant()["reconcile_at"] - utc_now() < timedelta(seconds=205)
    caretaker.look()
    assert caretaker.tenant()["reconcile_at"] - utc_now() > timedelta(seconds=3500)


def test_at_half_of_its_life_a_subscription_is_renewed_and_stays_the_same(subscribed: Caretaker) -> None:
    before = subscribed.rows()
    subscribed.world.world.clock.advance(3.6 * 86_400)
    subscribed.make_due()
    subscribed.look()
    after = subscribed.rows()
    assert {row["subscription_id"] for row in after.values()} == {row["subscription_id"] for row in before.values()}
    assert all(after[stream]["expires_at"] > before[stream]["expires_at"] for stream in before)
    assert all(row["renew_at"] > utc_now() + timedelta(days=3) for row in after.values())
    assert subscribed.gaps() == []


def test_a_subscription_that_expired_is_made_anew_and_the_gap_is_read(subscribed: Caretaker) -> None:
    before = subscribed.ids()
    subscribed.world.world.clock.advance(8 * 86_400)
    subscribed.look()
    assert subscribed.ids() == set(subscribed.actual())
    assert not subscribed.ids() & before
    assert subscribed.gaps() == ["groups", "users"]


def test_a_subscription_that_is_gone_when_it_is_to_be_renewed_is_made_anew(
    subscribed: Caretaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    [users] = [one.id for one in subscribed.actual().values() if one.resource == "users"]
    subscribed.make_due()
    subscribed.world.tenant.subscriptions.remove(users)
    monkeypatch.setattr(
        "common.graph.client.GraphClient.subscriptions", lambda _: [listed(row) for row in subscribed.rows().values()]
    )
    subscribed.look()
    assert subscribed.ids() == set(subscribed.actual())
    assert subscribed.gaps() == ["users"]


def listed(row: dict[str, Any]) -> Any:
    """A subscription as a list shows it that does not know yet that it is gone."""
    return Subscription(
        row["subscription_id"], row["stream"], "updated,deleted", "https://x.example/", row["expires_at"]
    )


def test_one_that_a_crash_left_unnoted_is_replaced(subscribed: Caretaker) -> None:
    left = set(subscribed.actual())
    with subscribed.book.database.write() as connection:
        connection.execute(delete(subscriptions))
    subscribed.look()
    assert not set(subscribed.actual()) & left
    assert subscribed.ids() == set(subscribed.actual())
    assert subscribed.gaps() == ["groups", "users"]


def test_a_new_server_key_makes_new_subscriptions(subscribed: Caretaker) -> None:
    left = set(subscribed.actual())
    subscribed.look(secret_key=OTHER_KEY, secret_key_previous=SECRET_KEY)
    assert not set(subscribed.actual()) & left
    states = ClientStates.from_settings(subscribed.settings(secret_key=OTHER_KEY))
    for one in subscribed.actual().values():
        assert states.proven_stream(one.client_state, subscribed.book.tenant_id) == Stream(one.resource)


@pytest.mark.parametrize("public_url", [None, ""])
def test_a_new_server_key_seals_the_credential_anew_so_that_the_old_one_can_go(
    subscribed: Caretaker, public_url: str | None
) -> None:
    address = {} if public_url is None else {"public_url": public_url}
    subscribed.look(secret_key=OTHER_KEY, secret_key_previous=SECRET_KEY, **address)
    sealed = subscribed.tenant()["credential"]
    subscribed.look(secret_key=OTHER_KEY)
    assert subscribed.tenant()["state"] == "active"
    assert subscribed.tenant()["credential"] == sealed
    assert len(subscribed.actual()) == 2


def test_a_new_public_address_makes_new_subscriptions(subscribed: Caretaker) -> None:
    left = set(subscribed.actual())
    moved = subscribed.endpoint.url.replace("localhost", "127.0.0.1")
    subscribed.look(public_url=moved)
    assert not set(subscribed.actual()) & left
    assert {one.notification_url for one in subscribed.actual().values()} == {f"{moved}/graph/notifications"}


def test_strays_that_call_this_installation_are_deleted_and_others_left_alone(subscribed: Caretaker) -> None:
    client = Clients(subscribed.settings()).of(tenant_of(subscribed))
    strays = [
        client._http.call("POST", f"{client._base}/subscriptions", client._tokens, body=stray(url, kind))["id"]
        for url, kind in [
            (f"{subscribed.endpoint.url}/graph/notifications", "updated"),
            (subscribed.endpoint.url.replace("localhost", "127.0.0.1") + "/elsewhere", "deleted"),
        ]
    ]
    subscribed.look()
    assert set(subscribed.actual()) == subscribed.ids() | {strays[1]}


def stray(url: str, change_type: str) -> dict[str, Any]:
    expires_at = (utc_now() + timedelta(days=1)).isoformat()
    return {"resource": "users", "changeType": change_type, "notificationUrl": url, "expirationDateTime": expires_at}


def tenant_of(caretaker: Caretaker) -> Any:
    with caretaker.book.database.read() as connection:
        return tenants.get(connection, caretaker.book.tenant_id)


def test_without_a_public_address_there_are_none(caretaker: Caretaker) -> None:
    caretaker.look(public_url="")
    assert caretaker.actual() == caretaker.rows() == {}
    assert caretaker.tenant()["reconcile_at"] > utc_now() + timedelta(hours=1)


# Trouble


def test_a_webhook_that_does_not_answer_is_named_and_tried_again_soon(caretaker: Caretaker) -> None:
    caretaker.endpoint.well = False
    caretaker.look()
    tenant = caretaker.tenant()
    assert "Graph answered 400 ValidationError. The webhook must be reachable" in tenant["subscription_trouble"]
    assert tenant["reconcile_at"] < utc_now() + timedelta(minutes=1)
    assert tenant["state"] == "active"
    caretaker.endpoint.well = True
    caretaker.look()
    assert caretaker.tenant()["subscription_trouble"] is None
    assert caretaker.ids() == set(caretaker.actual())


def test_passing_trouble_in_a_403_is_no_matter_of_access(caretaker: Caretaker) -> None:
    caretaker.world.turn(transient_forbidden=1.0)
    caretaker.look()
    assert caretaker.world.fired("transient_forbidden") > 0
    assert (caretaker.tenant()["state"], caretaker.tenant()["subscription_trouble"] is None) == ("active", False)
    caretaker.world.turn(transient_forbidden=0.0)
    caretaker.look()
    assert caretaker.ids() == set(caretaker.actual())


def test_a_token_that_graph_does_not_accept_for_a_moment_is_no_matter_of_access(caretaker: Caretaker) -> None:
    caretaker.world.turn(transient_unauthorized=1.0)
    caretaker.look()
    tenant = caretaker.tenant()
    assert (tenant["state"], tenant["subscription_trouble"] is None) == ("active", False)
    assert tenant["reconcile_at"] < utc_now() + timedelta(minutes=1)
    caretaker.world.turn(transient_unauthorized=0.0)
    caretaker.look()
    assert caretaker.ids() == set(caretaker.actual())


def test_a_throttled_subscription_service_is_left_alone_as_long_as_it_asks(caretaker: Caretaker) -> None:
    caretaker.world.turn(throttle_next=1, retry_after_seconds=600)
    caretaker.look()
    assert caretaker.world.fired("throttle_next") == 1
    assert caretaker.tenant()["reconcile_at"] > utc_now() + timedelta(minutes=9)


def test_a_permission_that_only_subscriptions_need_does_not_stop_the_reading(caretaker: Caretaker) -> None:
    caretaker.world.tenant.application.roles = ("User.Read.All", "GroupMember.Read.All")
    caretaker.look()
    tenant = caretaker.tenant()
    assert tenant["state"] == "active"
    assert "a permission or its consent is missing" in tenant["subscription_trouble"]
    assert {one.resource for one in caretaker.actual().values()} == {"users"}
    assert tenant["reconcile_at"] > utc_now() + timedelta(minutes=10)


def test_refused_credentials_pause_the_tenant(caretaker: Caretaker) -> None:
    caretaker.world.tenant.application.client_secret = "another"
    caretaker.look()
    tenant = caretaker.tenant()
    assert (tenant["state"], tenant["state_code"]) == ("access_failed", "AADSTS7000215")
    assert "The client secret is wrong." in tenant["subscription_trouble"]


def test_a_broker_that_is_away_loses_no_gap(caretaker: Caretaker) -> None:
    for stream in Stream:
        caretaker.book.stream(stream, next_poll_at=utc_now() + timedelta(minutes=5))
    caretaker.publisher.away = True
    caretaker.look()
    caretaker.publisher.away = False
    caretaker.look()
    assert caretaker.ids() == set(caretaker.actual())
    with caretaker.book.database.read() as connection:
        polls = list(connection.scalars(select(streams.c.next_poll_at)))
    assert max(polls) < utc_now() + timedelta(seconds=20)


def test_a_tenant_that_is_gone_is_left_alone(caretaker: Caretaker) -> None:
    with caretaker.book.database.write() as connection:
        connection.execute(delete(tenants_table))
    caretaker.look()
    assert caretaker.actual() == {}


# A tenant that is paused or removed meanwhile


def test_a_paused_tenant_has_no_subscriptions_and_gets_them_again(subscribed: Caretaker) -> None:
    before = subscribed.ids()
    subscribed.stop(tenants.pause, "moves", utc_now())
    subscribed.look()
    assert (subscribed.actual(), subscribed.rows(), subscribed.gaps()) == ({}, {}, [])

    subscribed.stop(tenants.resume, utc_now())
    subscribed.look()
    assert len(subscribed.ids()) == 2
    assert subscribed.ids() == set(subscribed.actual())
    assert not subscribed.ids() & before
    assert subscribed.gaps() == ["groups", "users"]


def test_what_a_crash_left_at_graph_goes_with_the_pause(subscribed: Caretaker) -> None:
    with subscribed.book.database.write() as connection:
        connection.execute(delete(subscriptions))
    subscribed.stop(tenants.pause, "moves", utc_now())

    subscribed.look()

    assert subscribed.actual() == {}


@pytest.mark.parametrize("stop", [(tenants.pause, "moves", utc_now()), (erasure.erase,)], ids=["paused", "removed"])
def test_what_is_made_while_the_tenant_is_paused_or_removed_is_deleted_at_once(
    caretaker: Caretaker, stop: tuple[Any, ...]
) -> None:
    def once() -> None:
        caretaker.endpoint.meanwhile = lambda: None
        caretaker.stop(*stop)

    caretaker.endpoint.meanwhile = once
    caretaker.look()

    assert caretaker.endpoint.validations == 2, "of both addresses of the one subscription that was begun"
    assert (caretaker.actual(), caretaker.rows(), caretaker.gaps()) == ({}, {}, [])


def test_the_look_that_a_pause_asks_for_is_not_put_off_by_the_one_under_way(caretaker: Caretaker) -> None:
    paused_at = utc_now() + timedelta(seconds=1)
    caretaker.endpoint.meanwhile = lambda: caretaker.stop(tenants.pause, "moves", paused_at)

    caretaker.look()

    assert caretaker.tenant()["reconcile_at"] == paused_at


# Commands


def command(caretaker: Caretaker, verb: Verb, command_id: str = "c1") -> None:
    made = Command(verb, "*", None, command_id)
    publisher = cast("Publisher", caretaker.publisher)
    Commands(caretaker.settings(), caretaker.book.database, publisher).carry_out(made)


def answers(caretaker: Caretaker) -> dict[str, tuple[str, str]]:
    """Tell what there is to tell; the outcome and the sentence of each command so far."""
    Results(caretaker.book.database, cast("Publisher", RecordingPublisher())).tell()
    with caretaker.book.database.read() as connection:
        return {row.command_id: (row.outcome, row.summary) for row in connection.execute(select(results))}


def test_a_renewal_that_is_asked_for_is_made_and_answered(subscribed: Caretaker) -> None:
    before = {stream: row["renewed_at"] for stream, row in subscribed.rows().items()}
    with subscribed.book.database.write() as connection:
        connection.execute(update(subscriptions).values(renewed_at=utc_now() - timedelta(minutes=11)))
    command(subscribed, Verb.RENEW_SUBSCRIPTIONS)
    assert answers(subscribed) == {}
    subscribed.look()
    assert all(row["renewed_at"] > before[stream] for stream, row in subscribed.rows().items())
    outcome, said = answers(subscribed)["c1"]
    assert outcome == "done"
    assert said.startswith("renew_subscriptions of Simulated: Subscriptions: users until 20")


def test_who_asks_for_a_renewal_is_told_why_there_is_none(caretaker: Caretaker) -> None:
    command(caretaker, Verb.RENEW_SUBSCRIPTIONS)
    caretaker.look(public_url="")
    assert answers(caretaker)["c1"][0] == "failed"
    assert "ENTRA_SMS_PUBLIC_URL is not set" in answers(caretaker)["c1"][1]
    command(caretaker, Verb.RENEW_SUBSCRIPTIONS, "c2")
    caretaker.endpoint.well = False
    caretaker.look()
    assert "The webhook must be reachable" in answers(caretaker)["c2"][1]


def test_the_access_is_proven_when_it_is_asked_for_and_a_tenant_recovers_by_it(subscribed: Caretaker) -> None:
    subscribed.book.tenant(state="access_failed", state_reason="The client secret has expired.")
    command(subscribed, Verb.RENEW_SUBSCRIPTIONS, "before")
    subscribed.look()
    assert answers(subscribed)["before"] == (
        "failed",
        "renew_subscriptions of Simulated failed: The client secret has expired.",
    )
    command(subscribed, Verb.CHECK_ACCESS)
    subscribed.look()
    works = "check_access of Simulated: The access works: User.Read.All, Group.Read.All, GroupMember.Read.All."
    assert answers(subscribed)["c1"] == ("done", works)
    assert subscribed.tenant()["state"] == "active"


def test_an_access_that_does_not_work_is_an_answer_and_the_tenant_is_marked(subscribed: Caretaker) -> None:
    subscribed.world.tenant.application.client_secret = "another"
    command(subscribed, Verb.CHECK_ACCESS)
    subscribed.look()
    outcome, said = answers(subscribed)["c1"]
    assert outcome == "failed"
    assert "AADSTS7000215" in said
    assert subscribed.tenant()["state"] == "access_failed"


def test_a_command_that_comes_during_a_look_is_answered_by_the_next(subscribed: Caretaker) -> None:
    listing = GraphClient.subscriptions

    def command_meanwhile(client: GraphClient) -> list[Subscription]:
        if not answers(subscribed):
            command(subscribed, Verb.CHECK_ACCESS)
        return listing(client)

    with patch.object(GraphClient, "subscriptions", command_meanwhile):
        subscribed.look()
    assert answers(subscribed) == {}
    assert subscribed.tenant()["reconcile_at"] <= utc_now()
    subscribed.look()
    assert answers(subscribed)["c1"][0] == "done"
