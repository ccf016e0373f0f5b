"""Whatever Graph answers: it is read, or refused by an error that has a reaction; of a bad page nothing is stored."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from common.clock import utc_now
from common.errors import BadPageError, DatabaseUnavailableError, EntraSmsError
from common.graph.client import DeltaPage
from common.graph.resources import fingerprint
from common.messages import Stream
from common.scope import EVERYBODY
from tests.support.bench import Bench, settings
from tests.support.book import lent_book
from tests.support.fuzzing import fuzz, known
from tests.support.graph import GRAPH
from tests.support.hostile import damaged, jsons, nasty, texts, written
from tests.support.pages import ANNA, BERT, CARLA, GROUPS_PAGE, STAFF, USERS_PAGE
from tests.support.pen import group, member, person
from tests.support.raw_graph import RawAnswer, RawGraph
from worker import mapping
from worker.mapping import Item

LONGEST_SENTENCE = 600
PAGES = {Stream.USERS: USERS_PAGE, Stream.GROUPS: GROUPS_PAGE}
CURSOR = f"{GRAPH}/v1.0/users/delta?$deltatoken=before"
streams = st.sampled_from(list(Stream))
READERS = {Stream.USERS: mapping.users_of, Stream.GROUPS: mapping.groups_of}

ERROR = {
    "error": {
        "code": "Directory_ResultSizeLimitExceeded",
        "message": "Status Code: ServiceUnavailable. Id 3f0a0000-0000-4000-8000-000000000001 exists.",
        "innerError": {"code": "syncStateNotFound", "date": "2026-03-02T08:15:30", "request-id": "1"},
    }
}
statuses = st.sampled_from([200, 200, 204, 302, 400, 401, 403, 404, 409, 410, 418, 429, 500, 501, 503, 504, 999])
headers = st.dictionaries(
    st.sampled_from(["Retry-After", "Location", "request-id", "Content-Type"]),
    st.sampled_from(["0", "-1", "1e999", "nan", "9" * 400, "Wed, 99 Foo 2026 99:99:99 GMT", "Mon, 1 Jan 0000 0:0:0 +9"])
    | st.text(max_size=40),
)
documents = [*PAGES.values(), ERROR]
anything = st.one_of(written(damaged(*documents)), written(jsons), st.binary(max_size=100))


def said(error: EntraSmsError) -> str:
    """The text that goes into the database, the log and a dead letter: short, and of printable letters."""
    sentence = str(error)
    assert len(sentence) <= LONGEST_SENTENCE
    assert sentence.isprintable()
    return sentence


@fuzz()
@given(body=anything, status=statuses, more=headers)
@example(body=json.dumps({"error": {"code": "\x00" + "x" * 9_000}}).encode(), status=400, more={})
@example(body=b"", status=200, more={})
@example(body=b"", status=302, more={"Location": "\x80"})
@example(body=b'{"error":' * 300 + b"1" + b"}" * 300, status=400, more={"Retry-After": "Thu, 32 Foo"})
def test_an_answer_is_a_page_or_an_error_with_a_reaction(body: bytes, status: int, more: dict[str, str]) -> None:
    graph = RawGraph(RawAnswer(body, status, more)).client
    for read in (lambda: graph.page(CURSOR), lambda: list(graph.members(STAFF)), lambda: graph.get(Stream.USERS, ANNA)):
        try:
            found = read()
        except EntraSmsError as error:
            said(error)
            continue
        if isinstance(found, DeltaPage):
            assert (found.next_link is None) != (found.delta_link is None)
            assert str(found.next_link or found.delta_link).startswith(GRAPH)


@fuzz(cost=0.5)
@given(
    case=streams.flatmap(
        lambda stream: st.tuples(st.just(stream), damaged(*PAGES[stream]["value"]) | st.dictionaries(texts, nasty))
    )
)
def test_the_objects_of_a_page_are_read_or_the_page_is_refused(case: tuple[Stream, Any]) -> None:
    stream, entry = case
    assume(isinstance(entry, dict))
    try:
        items = READERS[stream]([entry])
    except BadPageError as error:
        said(error)
        return
    for item in items:
        check(item)


def check(item: Item) -> None:
    """The item fits into the rows of both databases."""
    assert str(UUID(item.object_id)) == item.object_id
    for value in item.values.values():
        for text in value if isinstance(value, list) else [value]:
            assert text is None or isinstance(text, bool | str)
            assert not isinstance(text, str) or "\x00" not in text
    for edge in item.edges.values():
        assert str(UUID(edge.member_id)) == edge.member_id
        assert 0 < len(edge.member_type) <= 64


# Through the database


@contextmanager
def between_rounds(database_url: str, stream: Stream, *answers: RawAnswer) -> Iterator[Bench]:
    """A worker between two rounds, with people and a group in the book; its Graph gives the answers."""
    chosen = settings(graph_url=GRAPH)
    with lent_book(database_url) as book:
        bench = Bench(book, settings=chosen, clients=RawGraph(*answers, found=chosen))
        bench.pen.users(person(ANNA, displayName="Anna"), person(BERT, displayName="Bert"), person(CARLA))
        bench.pen.groups(group(STAFF, member(ANNA), member(BERT)))
        shape = fingerprint(stream, "PL", EVERYBODY)
        book.stream(stream, delta_link=CURSOR, fingerprint=shape, last_full_at=utc_now(), generation=1)
        yield bench


def stored(bench: Bench, stream: Stream) -> dict[str, Any]:
    """Everything that a page may change, and the cursor."""
    row = bench.row(stream)
    return {
        "people": sorted(bench.people()),
        "contact": bench.pen.contact(ANNA),
        "group": bench.pen.group_row(STAFF),
        "edges": bench.pen.edges(),
        "feed": bench.pen.feed(),
        "noted": bench.pen.noted(),
        "cursor": (row["delta_link"], row["next_link"], row["full_wanted_at"], row["full_began_at"]),
    }


def spoiled(stream: Stream, **values: Any) -> bytes:
    """A page whose first object says something else."""
    document = deepcopy(PAGES[stream])
    document["value"][0] |= values
    return json.dumps(document).encode()


NASTY = [
    (Stream.USERS, spoiled(Stream.USERS, displayName="A\x00nna", businessPhones=["\x00"], usageLocation="\x00")),
    (Stream.USERS, spoiled(Stream.USERS, displayName="\ud800")),
    (Stream.USERS, spoiled(Stream.USERS, displayName="x" * 5_000, mobilePhone="1" * 4_000)),
    (Stream.USERS, spoiled(Stream.USERS, id="{" + ANNA.upper() + "}")),
    (Stream.USERS, spoiled(Stream.USERS, businessPhones=[["+48601234567"]])),
    (Stream.USERS, spoiled(Stream.USERS, accountEnabled=1)),
    (Stream.USERS, json.dumps(USERS_PAGE | {"@odata.deltaLink": "https://evil.example/v1.0/users/delta"}).encode()),
    (Stream.USERS, json.dumps(USERS_PAGE | {"@odata.nextLink": CURSOR}).encode()),
    (Stream.USERS, json.dumps(USERS_PAGE)[:-30].encode()),
    (Stream.GROUPS, spoiled(Stream.GROUPS, displayName="\x00", mail="a\x00b")),
    (Stream.GROUPS, spoiled(Stream.GROUPS, **{"members@delta": [{"id": ANNA, "@odata.type": "\x00" * 100}]})),
    (Stream.GROUPS, spoiled(Stream.GROUPS, **{"members@delta": {"id": ANNA}})),
    (Stream.GROUPS, spoiled(Stream.GROUPS, groupTypes="Unified")),
]


@fuzz(cost=5)
@given(case=streams.flatmap(lambda stream: st.tuples(st.just(stream), written(damaged(PAGES[stream])))))
@known(case=NASTY)
def test_of_a_page_that_is_refused_nothing_is_stored(database_url: str, case: tuple[Stream, bytes]) -> None:
    stream, body = case
    last = json.dumps({"value": [], "@odata.deltaLink": PAGES[stream]["@odata.deltaLink"]}).encode()
    with between_rounds(database_url, stream, RawAnswer(body), RawAnswer(last)) as bench:
        before = stored(bench, stream)
        try:
            bench.advance(stream=stream)
        except DatabaseUnavailableError:
            raise  # it is there, and was given what it cannot keep
        except EntraSmsError as error:
            said(error)
            assert stored(bench, stream) == before
            return
        row = bench.row(stream)
        assert (row["failures"], row["last_error"]) == (0, None)
        assert row["delta_link"].startswith(GRAPH)
        assert row["delta_link"] in (PAGES[stream]["@odata.deltaLink"], orjson.loads(body).get("@odata.deltaLink"))


@fuzz(cost=8)
@given(body=written(damaged(ERROR)), status=st.sampled_from([400, 401, 403, 404, 429, 500, 503]))
@example(body=json.dumps({"error": {"code": "\x00" + "x" * 9_000}}).encode(), status=400)
@example(body=json.dumps({"error": {"code": "\x00"}}).encode(), status=403)
def test_whatever_an_error_is_called_it_can_be_noted_in_the_database(
    database_url: str, body: bytes, status: int
) -> None:
    with between_rounds(database_url, Stream.USERS, RawAnswer(body, status)) as bench:
        before = stored(bench, Stream.USERS) | {"cursor": None}  # the error may say that it is dead
        with pytest.raises(EntraSmsError) as raised:
            bench.advance(stream=Stream.USERS)
        assert "Graph" in said(raised.value)
        assert "Graph" in f"{bench.row()['last_error']} {bench.tenant()['state_reason']}"
        assert stored(bench, Stream.USERS) | {"cursor": None} == before
