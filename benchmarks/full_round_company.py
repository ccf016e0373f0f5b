"""A company as the pages of its full rounds, written into a file beforehand: measured is who reads, not who makes them.

The select lists, the shape of the entries and the sizes of the pages are those that Graph has been seen to send: 200
people a page; groups with slices of their members, 500 members a page and 300 of one group at most.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from common.graph.resources import SELECT
from common.messages import Stream
from simulator import people
from simulator.seed import group_values

USERS_A_PAGE = 200
GROUPS_A_PAGE = 200
MEMBERS_A_PAGE = 500
MEMBERS_A_GROUP = 300
MOST_PENDING = 8
MEMBERSHIPS_A_HEAD = 10
TOKEN_CHARACTERS = 1_200
"""Graph's links are long."""
COMPRESSION = 4

Entry = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How many people and groups; each person is in ten groups on average, one of which is everybody's."""

    people: int
    groups: int

    @property
    def memberships(self) -> int:
        return self.people * MEMBERSHIPS_A_HEAD


@dataclass(frozen=True)
class Pages:
    """The file with all bodies, compressed as Graph sends them; of each page where it begins and how long it is."""

    file: Path
    places: dict[Stream, list[tuple[int, int]]]

    def save(self, index: Path) -> None:
        index.write_text(json.dumps({"file": str(self.file), "places": self.places}))

    @classmethod
    def load(cls, index: Path) -> Pages:
        found = json.loads(index.read_text())
        places = {Stream(name): [(at, length) for at, length in places] for name, places in found["places"].items()}
        return cls(Path(found["file"]), places)


def write_pages(size: Size, origin: str, folder: Path) -> Pages:
    """Write the pages of a company into `folder`; their links lead to `origin`."""
    source = random.Random(size.people)
    ids = [_id(source) for _ in range(size.people)]
    path = folder / "pages"
    places: dict[Stream, list[tuple[int, int]]] = {}
    with path.open("wb") as file:
        for stream, pages in ((Stream.USERS, _users(source, ids)), (Stream.GROUPS, _groups(source, ids, size))):
            places[stream] = []
            for number, (entries, is_last) in enumerate(_with_last(pages)):
                body = gzip.compress(_body(stream, origin, entries, None if is_last else number + 1), COMPRESSION)
                places[stream].append((file.tell(), len(body)))
                file.write(body)
    return Pages(path, places)


def last_page(stream: Stream, origin: str) -> bytes:
    """Return what the deltaLink of a round is answered with, compressed: nothing has changed."""
    return gzip.compress(_body(stream, origin, [], None))


def page_number(query: str) -> int | None:
    """Return which page a link asks for, None for the deltaLink; the first request names none and gets the first."""
    if "$deltatoken=" in query:
        return None
    return int(query.rpartition(".")[2]) if "$skiptoken=" in query else 0


def _body(stream: Stream, origin: str, entries: list[Entry], next_number: int | None) -> bytes:
    context = f"{origin}/v1.0/$metadata#{stream}({','.join(SELECT[stream])})"
    padding = "x7Kq" * (TOKEN_CHARACTERS // 4)
    link = f"{origin}/v1.0/{stream}/delta?"
    if next_number is None:
        return orjson.dumps(
            {"@odata.context": context, "value": entries, "@odata.deltaLink": f"{link}$deltatoken={padding}"}
        )
    token = f"{link}$skiptoken={padding}.{next_number}"
    return orjson.dumps({"@odata.context": context, "@odata.nextLink": token, "value": entries})


def _with_last(pages: Iterator[list[Entry]]) -> Iterator[tuple[list[Entry], bool]]:
    before = next(pages)
    for page in pages:
        yield before, False
        before = page
    yield before, True


def _users(source: random.Random, ids: list[str]) -> Iterator[list[Entry]]:
    for start in range(0, len(ids), USERS_A_PAGE):
        yield [_user(source, one) for one in ids[start : start + USERS_A_PAGE]]


def _user(source: random.Random, object_id: str) -> Entry:
    person = people.draw_person(source)
    address = f"{person.mail_name}{source.randrange(10**6)}@nordwind.example"
    entry: Entry = {
        "id": object_id,
        "displayName": person.display_name,
        "givenName": person.given_name,
        "surname": person.surname,
        "userPrincipalName": address,
        "businessPhones": [],
        "accountEnabled": source.random() >= 0.05,
        "userType": "Member" if source.random() >= 0.04 else "Guest",
    }
    if source.random() < 0.95:
        entry["mail"] = address
    if source.random() < 0.94:
        entry["usageLocation"] = person.country.code
    way = source.random()
    if way < 0.72:
        entry["mobilePhone"] = people.draw_mobile(source, person.country)
    elif way < 0.78:
        entry["mobilePhone"] = source.choice(people.RUBBISH)
    if way < 0.28 or 0.78 <= way < 0.92:
        entry["businessPhones"] = [people.draw_landline(source, person.country)]
    return entry


def _groups(source: random.Random, ids: list[str], size: Size) -> Iterator[list[Entry]]:
    """Yield the pages of the groups: a large one is told in slices, on pages that begin to tell others, too."""
    rest = _companies_groups(source, ids, size)
    pending: list[tuple[Entry, list[str]]] = []
    more = True
    while more or pending:
        entries: list[Entry] = []
        room = MEMBERS_A_PAGE
        told = pending[:1]
        del pending[:1]
        while told or (more and room > 0 and len(entries) < GROUPS_A_PAGE and len(pending) < MOST_PENDING):
            found = told.pop() if told else next(rest, None)
            if found is None:
                more = False
                break
            group, members = found
            slice_size = min(room, MEMBERS_A_GROUP)
            entries.append(_with_members(group, members[:slice_size]))
            room -= len(members[:slice_size])
            if members[slice_size:]:
                pending.append((group, members[slice_size:]))
        yield entries


def _companies_groups(source: random.Random, ids: list[str], size: Size) -> Iterator[tuple[Entry, list[str]]]:
    """Yield each group with its members; sizes differ as they do: many small ones, few large ones."""
    yield _group(source, 0, "Everyone", "security"), ids
    left, weights = (
        size.memberships - len(ids),
        [source.choice((1, 2, 4, 8, 15, 30, 60)) for _ in range(size.groups - 1)],
    )
    unit = left / sum(weights)
    for number, weight in enumerate(weights, 1):
        kind = source.choice(("security", "microsoft365", "distribution", "mail-enabled security"))
        name = f"{people.draw_department(source)} Team {number}"
        yield _group(source, number, name, kind), source.sample(ids, min(round(unit * weight), len(ids)))


def _group(source: random.Random, number: int, name: str, kind: str) -> Entry:
    values = group_values(name, kind, "nordwind.example", number)
    return {"id": _id(source), **{key: values[key] for key in SELECT[Stream.GROUPS] if key in values}}


def _with_members(group: Entry, ids: list[str]) -> Entry:
    if not ids:
        return group
    return group | {"members@delta": [{"@odata.type": "#microsoft.graph.user", "id": one} for one in ids]}


def _id(source: random.Random) -> str:
    return str(UUID(int=source.getrandbits(128), version=4))
