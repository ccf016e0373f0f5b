"""Who gets a message to groups, compared with an oracle on random companies, and as the command tells it."""

import csv
import io
import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from common.db.tables import contacts, groups, memberships
from common.db.tenants import RecipientRule
from common.messages import Stream
from console.reads import recipients
from console.reads.recipients import LeftOut, Recipient, Selection, judged
from tests.support.book import Book, add_tenant, book, guid, lent_book
from tests.support.console import EntraSms
from tests.support.fuzzing import fuzz

GROUPS = tuple("ABCDE")
PEOPLE = tuple(f"person {number}" for number in range(8))
ABSENT_GROUP, ABSENT_PERSON = "E", "person 7"
"""There are edges to them and from them, and they are not in the book."""
NUMBERS = ("+48601000001", "+48601000002", "+48601000003")


@dataclass(frozen=True)
class Member:
    """Somebody of a random company."""

    phone: str | None
    state: str
    source: str | None
    enabled: bool | None
    user_type: str | None


members = st.one_of(
    st.builds(
        Member,
        st.sampled_from(NUMBERS),
        st.just("ok"),
        st.sampled_from(["mobile", "business"]),
        st.sampled_from([True, True, False, None]),
        st.sampled_from(["Member", "Guest", "GUEST", None]),
    ),
    st.builds(
        Member,
        st.none(),
        st.sampled_from(["missing", "invalid"]),
        st.none(),
        st.booleans(),
        st.sampled_from(["Guest", None]),
    ),
)
roots = st.sets(st.sampled_from(GROUPS), min_size=1, max_size=2)
maybe_roots = st.none().map(lambda _: set[str]()) | roots


@dataclass(frozen=True)
class Company:
    """A random company: people, who is in which group, which group is in which, cycles and all."""

    people: dict[str, Member]
    direct: frozenset[tuple[str, str]]
    nested: frozenset[tuple[str, str]]

    def reached(self, roots: Collection[str]) -> set[str]:
        """The people in the groups, found by walking the groups one after the other."""
        waiting, seen = [one for one in roots if one != ABSENT_GROUP], set[str]()
        while waiting:
            group = waiting.pop()
            if group not in seen:
                seen.add(group)
                waiting += [inner for outer, inner in self.nested if outer == group and inner != ABSENT_GROUP]
        return {person for group, person in self.direct if group in seen and person != ABSENT_PERSON}


companies = st.builds(
    Company,
    st.fixed_dictionaries(dict.fromkeys(PEOPLE, members)),
    st.frozensets(st.tuples(st.sampled_from(GROUPS), st.sampled_from(PEOPLE)), min_size=6, max_size=24),
    st.frozensets(st.tuples(st.sampled_from(GROUPS), st.sampled_from(GROUPS)), max_size=12),
)


def expected(
    company: Company, included: Collection[str], excluded: Collection[str], rule: RecipientRule
) -> dict[str, LeftOut | None]:
    """What becomes of everybody in the groups, one person after the other; None: a recipient."""
    barred_people = company.reached(excluded)
    barred_numbers = {company.people[name].phone for name in barred_people} - {None}
    found: dict[str, LeftOut | None] = {}
    for name in company.reached(included):
        one = company.people[name]
        if name in barred_people:
            found[name] = LeftOut.EXCLUDED
        elif one.enabled is False and not rule.disabled:
            found[name] = LeftOut.DISABLED
        elif (one.user_type or "").lower() == "guest" and not rule.guests:
            found[name] = LeftOut.GUEST
        elif one.phone is None:
            found[name] = LeftOut(one.state)
        else:
            found[name] = LeftOut.EXCLUDED_NUMBER if one.phone in barred_numbers else None
    for number in NUMBERS:
        several = [name for name, why in found.items() if why is None and company.people[name].phone == number]
        several.sort(key=lambda name: (company.people[name].source != "mobile", guid(name)))
        found |= dict.fromkeys(several[1:], LeftOut.SAME_NUMBER)
    return found


def write(book: Book, company: Company) -> None:
    own = {"tenant_id": book.tenant_id, "generation": 1}
    edges = [("user", group, name) for group, name in company.direct]
    edges += [("group", outer, inner) for outer, inner in company.nested]
    rows: dict[Any, list[dict[str, Any]]] = {
        groups: [{**own, "object_id": guid(name), "display_name": name} for name in GROUPS if name != ABSENT_GROUP],
        contacts: [
            {
                **own,
                "object_id": guid(name),
                "display_name": name,
                "phone": one.phone,
                "phone_state": one.state,
                "phone_source": one.source,
                "account_enabled": one.enabled,
                "user_type": one.user_type,
            }
            for name, one in company.people.items()
            if name != ABSENT_PERSON
        ],
        memberships: [
            {**own, "group_id": guid(group), "member_id": guid(member), "member_type": kind}
            for kind, group, member in edges
        ],
    }
    with book.database.write() as connection:
        for table, values in rows.items():
            connection.execute(delete(table).where(table.c.tenant_id == book.tenant_id))
            if values:
                connection.execute(insert(table), values)


@pytest.fixture(scope="module")
def random_book(shared_database_url: str) -> Iterator[Book]:
    with lent_book(shared_database_url) as made:
        yield made


def selection(book: Book, included: Collection[str], excluded: Collection[str], rule: RecipientRule) -> Selection:
    ids = [tuple(guid(name) for name in sorted(names)) for names in (included, excluded)]
    return Selection(book.tenant_id, rule, *ids)


@fuzz(cost=2)
@given(companies, roots, maybe_roots, st.builds(RecipientRule, st.booleans(), st.booleans()))
def test_recipients_are_those_whom_an_oracle_finds(
    random_book: Book, company: Company, included: set[str], excluded: set[str], rule: RecipientRule
) -> None:
    write(random_book, company)
    truth = expected(company, included, excluded, rule)

    with random_book.database.read() as connection:
        found = list(judged(connection, selection(random_book, included, excluded, rule)))

    recipients = [one for one in found if isinstance(one, Recipient)]
    reached = [name for name, why in truth.items() if why is None]
    reached.sort(key=guid)
    assert [(one.object_id, one.phone) for one in recipients] == [
        (guid(name), company.people[name].phone) for name in reached
    ]
    assert Counter(one for one in found if isinstance(one, LeftOut)) == Counter(truth.values()) - Counter([None] * 99)
    assert len({one.phone for one in recipients}) == len(recipients)


@fuzz(cost=10)
@given(companies, roots)
def test_recipients_after_each_of_them_are_the_rest(random_book: Book, company: Company, included: set[str]) -> None:
    write(random_book, company)
    wanted = selection(random_book, included, set(), RecipientRule())

    with random_book.database.read() as connection:
        everybody = list(judged(connection, wanted))
        whole = [one for one in everybody if isinstance(one, Recipient)]
        assert recipients.page_by_id(connection, wanted, None, 99) == whole
        for place, last in enumerate(whole, 1):
            assert recipients.page_by_id(connection, wanted, last.object_id, 2) == whole[place : place + 2]
        counted = recipients.count(connection, wanted)
    assert counted == Counter(one if isinstance(one, LeftOut) else None for one in everybody)


def test_a_chain_deeper_than_any_company_is_followed_to_its_end(random_book: Book) -> None:
    names = [f"level {number}" for number in range(2_000)]
    write(random_book, Company({}, frozenset(), frozenset()))
    own = {"tenant_id": random_book.tenant_id, "generation": 1}
    edges = [{"group_id": guid(a), "member_id": guid(b), "member_type": "group"} for a, b in pairwise(names)]
    with random_book.database.write() as connection:
        connection.execute(insert(groups), [{**own, "object_id": guid(name)} for name in names])
        connection.execute(insert(memberships), [{**own, **edge} for edge in edges])
    deep = random_book.person("Deep", phone="+48601000001")
    random_book.edge(guid(names[-1]), "user", deep)

    with random_book.database.read() as connection:
        found = list(judged(connection, selection(random_book, {names[0]}, set(), RecipientRule())))

    assert [one.object_id for one in found if isinstance(one, Recipient)] == [deep]


@pytest.fixture
def contoso(database_url: str) -> Iterator[Book]:
    with book(database_url) as made:
        yield made


@pytest.fixture
def entra_sms(database_url: str) -> EntraSms:
    return EntraSms({"database_url": database_url})


@pytest.fixture
def peopled(contoso: Book) -> Book:
    """Everyone: Sales, of whom each is left out for another reason but Anna, and Leave, whom Zoe is in."""
    anna = contoso.person("Anna", guid("1"), phone="+48601000001", given_name="Anna", surname="Nowak")
    others = [
        contoso.person("Bert", guid("2"), phone="+48601000001", phone_source="business"),
        contoso.person("Cleo", phone="+48601000002", account_enabled=False),
        contoso.person("Dora", phone="+48601000003", user_type="Guest"),
        contoso.person("Emil"),
        contoso.person("Fred", phone_state="invalid", mobile_phone="12"),
        contoso.person("Gina", phone="+48601000009"),
    ]
    zoe = contoso.person("Zoe", phone="+48601000009")
    sales = contoso.group("Sales", *(("user", one) for one in (anna, *others)), ("user", guid("left")))
    leave = contoso.group("Leave", ("user", zoe))
    contoso.group("Everyone", ("group", sales), ("group", leave))
    return contoso


def test_the_command_writes_recipients_and_tells_who_is_left_out_and_why(peopled: Book, entra_sms: EntraSms) -> None:
    peopled.tenant(guests_are_recipients=False)

    ended = entra_sms("recipients", "everyone", "--except", "Leave")

    assert ended.code == 0, ended.err
    assert list(csv.reader(io.StringIO(ended.out))) == [
        ["phone", "display_name", "given_name", "surname", "object_id"],
        ["+48601000001", "Anna", "Anna", "Nowak", guid("1")],
    ]
    assert ended.err.splitlines() == [
        "1 recipient of 8 people.",
        "Left out:",
        "  1  excluded (--except)",
        "  1  account disabled",
        "  1  guest",
        "  1  no number",
        "  1  no valid number",
        "  1  number of somebody who is excluded",
        "  1  number of somebody who gets it already",
    ]


def test_the_tenants_choice_decides_about_disabled_accounts_and_guests(peopled: Book, entra_sms: EntraSms) -> None:
    def written() -> set[str]:
        return {one["display_name"] for one in json.loads(entra_sms("recipients", "Sales", "--format", "json").out)}

    assert written() == {"Anna", "Dora", "Gina"}
    peopled.tenant(disabled_are_recipients=True, guests_are_recipients=False)
    assert written() == {"Anna", "Cleo", "Gina"}


def test_several_groups_are_put_together_and_a_limit_leaves_the_counts_whole(
    peopled: Book, entra_sms: EntraSms
) -> None:
    ended = entra_sms("recipients", "Sales", "Leave", "--limit", "1", "--format", "json")

    assert len(json.loads(ended.out)) == 1
    assert "3 recipients of 8 people; the first 1 were written." in ended.words
    assert "2 number of somebody who gets it already" in ended.words


def test_a_group_without_people_and_one_that_is_not_there_are_told(contoso: Book, entra_sms: EntraSms) -> None:
    contoso.group("Empty")

    empty, unknown = entra_sms("recipients", "Empty"), entra_sms("recipients", "Empty", "--except", "Zoo")

    assert (empty.code, empty.words) == (0, "Nobody is in there.")
    assert (unknown.code, unknown.out) == (1, "")
    assert "No group of Contoso is called 'Zoo'" in unknown.words


def test_somebody_whose_removal_waits_for_a_decision_is_still_a_recipient(contoso: Book, entra_sms: EntraSms) -> None:
    anna = contoso.person("Anna", phone="+48601000001")
    contoso.group("Sales", ("user", anna))
    contoso.hold(Stream.USERS, anna)

    assert "Anna" in entra_sms("recipients", "Sales").out


def test_the_same_ids_in_another_tenant_are_other_people(contoso: Book, entra_sms: EntraSms) -> None:
    with contoso.database.write() as connection:
        other = replace(contoso, tenant_id=add_tenant(connection, "Fabrikam", None))
    for one, name in ((contoso, "Ours"), (other, "Theirs")):
        one.person(name, guid("person"), phone="+48601000001")
        one.group("Inner", object_id=guid("inner"))
        one.group("Outer", ("group", guid("inner")), object_id=guid("outer"))
    other.edge(guid("inner"), "user", guid("person"))

    assert entra_sms("recipients", "Outer", "--tenant", "Contoso").words == "Nobody is in there."
    assert "Theirs" in entra_sms("recipients", "Outer", "--tenant", "Fabrikam").out
