"""What Graph says of somebody is read as the worker reads it, and what happens next is told."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.db.tenants import USUAL_RECIPIENT_RULE, USUAL_REMOVAL_LIMIT, Agreement, Tenant, TenantState
from common.errors import BadPageError
from common.graph.answers import GraphNotFoundError
from common.graph.client import GraphClient
from common.messages import Mode, Stream
from common.phones import PhoneState
from common.scope import EVERYBODY
from console.explained import Explained
from console.explained_live import COLUMNS, Live, ask, values_of
from console.explained_presence import Presence, State
from console.reads.advance import Advance
from console.reads.holds import Hold
from console.reads.people import Person
from console.reads.traces import Held, Traces
from tests.support.fuzzing import fuzz
from tests.support.hostile import jsons, texts
from worker.mapping import TEXT_LIMIT, USER_COLUMNS, users_of

NOW = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
ANNA = "3f0a0000-0000-4000-8000-000000000001"
ENTRY = {"id": ANNA, "displayName": "Anna", "userPrincipalName": "anna@contoso.example", "mobilePhone": "601 234 567"}
TENANT = Tenant(
    tenant_id="5ecabc00-0000-4000-8000-000000000001",
    name="Contoso",
    domain=None,
    client_id="app",
    sealed_credential="",
    credential_expires_at=None,
    cloud=None,
    default_region="PL",
    agreement=Agreement("DPA-1", date(2026, 1, 2)),
    removal_limit=USUAL_REMOVAL_LIMIT,
    recipient_rule=USUAL_RECIPIENT_RULE,
    scope=EVERYBODY,
    state=TenantState.ACTIVE,
    state_code=None,
    state_reason=None,
    state_since=NOW,
    throttled_until=None,
    reconcile_at=NOW,
)
USERS = Advance(
    tenant_id=TENANT.tenant_id,
    stream=Stream.USERS,
    last_good_at=NOW,
    last_full_at=NOW,
    last_began_at=NOW,
    failures=0,
    last_error=None,
    lease_until=None,
    wanted_at=None,
    full_wanted_at=None,
    full_wanted_reason=None,
    full_began_at=None,
    full_reason=None,
    full_pages=0,
    full_objects=0,
    full_request_ids=(),
)
IN_BOOK = Person(
    object_id=ANNA,
    display_name="Anna",
    given_name=None,
    surname=None,
    mail=None,
    user_principal_name="anna@contoso.example",
    mobile_phone="601 234 567",
    business_phones=(),
    usage_location=None,
    account_enabled=None,
    user_type=None,
    phone="+48601234567",
    phone_source="mobile",
    phone_state=PhoneState.OK,
)
HELD = Held(
    Hold(
        hold_id=3,
        tenant_id=TENANT.tenant_id,
        tenant_name="Contoso",
        stream=Stream.USERS,
        began_at=NOW,
        mode=Mode.FULL,
        reason="calendar",
        book_size=100,
        removal_limit=20,
        removed_before=0,
        last_number=25,
        decision=None,
        decided_at=None,
        decided_up_to=None,
        decision_request_id=None,
        ended_at=None,
        outcome=None,
        held=25,
        last_noted_at=NOW,
    ),
    number=7,
)
NOTHING_KNOWN = Traces(None, False, None, None, False, 0, NOW + timedelta(seconds=43))


def explained(person: Person | None = IN_BOOK, **traces: Any) -> Explained:
    return Explained(
        tenant=TENANT,
        object_id=ANNA,
        now=NOW,
        advances={Stream.USERS: USERS},
        traces=replace(NOTHING_KNOWN, **traces),
        presence=Presence(State.IN_BOOK, "yes"),
        person=person,
        number=None,
        paths=[],
        events=[],
        has_earlier_events=False,
    )


class OneAnswer:
    """Graph, asked once; None is a 404."""

    def __init__(self, answer: dict[str, Any] | None) -> None:
        self._answer = answer

    def get(self, stream: Stream, object_id: str) -> dict[str, Any]:
        assert (stream, object_id) == (Stream.USERS, ANNA)
        if self._answer is None:
            raise GraphNotFoundError("Graph answered 404.")
        return self._answer


def live(answer: dict[str, Any] | None, known: Explained) -> Live:
    return ask(cast("GraphClient", OneAnswer(answer)), known)


def test_every_property_that_is_asked_for_has_its_column() -> None:
    assert set(COLUMNS.values()) == set(USER_COLUMNS)


@fuzz()
@given(properties=st.dictionaries(st.sampled_from(sorted(COLUMNS)), st.booleans() | texts | st.lists(texts) | jsons))
@example(properties={"mobilePhone": "1" * TEXT_LIMIT})
@example(properties={"mobilePhone": "1" * (TEXT_LIMIT + 1)})
@example(properties={"businessPhones": ["22 123 45 67", "1" * (TEXT_LIMIT + 1)]})
def test_an_answer_is_read_as_the_worker_reads_it(properties: dict[str, Any]) -> None:
    [item] = users_of([{"id": ANNA, **properties}])

    if item.malformed:
        with pytest.raises(ValueError, match=r"^[a-zA-Z]+$") as refused:
            values_of(properties)
        assert str(refused.value) in properties
        return
    values = values_of(properties)
    silent: dict[str, Any] = {**dict.fromkeys(USER_COLUMNS), "business_phones": []}
    assert {**values, "business_phones": list(values["business_phones"])} == {**silent, **item.values}


def test_what_is_the_same_agrees_and_what_differs_is_named() -> None:
    same = live(ENTRY, explained())
    other = live({**ENTRY, "mobilePhone": None, "businessPhones": ["22 123 45 67"], "usageLocation": "PL"}, explained())

    assert same.differing == []
    assert same.what_next == "Graph and the address book agree."
    assert other.differing == ["mobile_phone", "business_phones", "usage_location", "phone", "phone_source"]
    assert next(one.graph for one in other.comparisons if one.column == "phone") == "+48221234567"


def test_an_unknown_shape_is_named_and_its_value_is_not() -> None:
    said = live({**ENTRY, "mobilePhone": {"secret": 1}}, explained())

    assert (said.is_known, said.malformed, said.comparisons) == (True, "mobilePhone", [])
    assert "leaves the book as it is" in said.what_next


def test_the_answer_about_another_object_is_refused() -> None:
    with pytest.raises(BadPageError, match="another object"):
        live({**ENTRY, "id": TENANT.tenant_id}, explained())


@pytest.mark.parametrize(
    ("answer", "known", "words"),
    [
        (None, explained(None), "Graph and the address book agree."),
        (None, explained(), "The next round is due at"),
        (None, explained(), ", in 43 s, or sooner"),
        (None, explained(held=HELD), "waits until somebody decides"),
        (ENTRY, explained(held=HELD), "Graph shows the person, so the removal will not be held any more."),
        (ENTRY, explained(None), "A difference is normal for some seconds."),
        (ENTRY, explained(replace(IN_BOOK, phone="+48500100200")), "Only the number is read differently"),
        (None, explained(next_poll_at=NOW - timedelta(minutes=9)), "has been due for 9 min; does a worker run?"),
        (
            None,
            replace(explained(), advances={Stream.USERS: replace(USERS, lease_until=NOW + timedelta(seconds=5))}),
            "The people are being read at this moment.",
        ),
        (
            None,
            replace(explained(), tenant=replace(TENANT, state=TenantState.ACCESS_FAILED)),
            "entra-sms tenants check tells the worker so.",
        ),
    ],
)
def test_what_happens_next_is_told(answer: dict[str, Any] | None, known: Explained, words: str) -> None:
    assert words in live(answer, known).what_next
