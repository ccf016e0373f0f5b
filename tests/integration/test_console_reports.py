"""Whose number needs a look, compared with an oracle on random companies, and as the command tells it."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from common.db import members
from common.db.tables import contacts, groups, memberships
from console.reads import reports
from console.reads.reports import InvalidNumber, NotMobile, Report, Reported, Scope, SharedNumber
from tests.support.book import Book, book, guid, lent_book
from tests.support.console import EntraSms
from tests.support.fuzzing import fuzz

KINDS = {
    "+48601000001": "mobile",
    "+48601000002": "mobile",
    "+12025550123": "mobile",  # of the United States, where the digits do not tell
    "+48221234567": "landline",
    "+48800111222": "toll_free",
}
PLAIN = re.compile(r"\x1b\[[0-9;]*m")
NAMES = st.sampled_from(["Anna", "anna", "Łukasz", "Zoe", None])

people = st.one_of(
    st.fixed_dictionaries(
        {
            "display_name": NAMES,
            "phone": st.sampled_from(sorted(KINDS)),
            "phone_state": st.just("ok"),
            "phone_source": st.sampled_from(["mobile", "business"]),
            "account_enabled": st.sampled_from([True, False, None]),
        }
    ),
    st.fixed_dictionaries(
        {
            "display_name": NAMES,
            "phone_state": st.sampled_from(["missing", "invalid"]),
            "mobile_phone": st.sampled_from([None, "12", "reception"]),
            "business_phones": st.sampled_from([[], ["34", " "]]),
            "usage_location": st.sampled_from([None, "DE"]),
            "user_type": st.sampled_from(["Guest", "guest", "Member", None]),
        }
    ),
)
companies = st.lists(st.tuples(people, st.sampled_from(["none", "outer", "inner"])), max_size=9)
"""People, and in which group: `inner` is in `outer`, and `outer` in `inner`."""
Company = list[tuple[dict[str, Any], str]]


@pytest.fixture(scope="module")
def random_book(shared_database_url: str) -> Iterator[Book]:
    with lent_book(shared_database_url) as made:
        yield made


def write(book: Book, company: Company) -> None:
    own = {"tenant_id": book.tenant_id, "generation": 1}
    edges = [("outer", "group", "inner"), ("inner", "group", "outer")]
    edges += [(group, "user", str(number)) for number, (_, group) in enumerate(company) if group != "none"]
    with book.database.write() as connection:
        for table in (contacts, groups, memberships):
            connection.execute(delete(table).where(table.c.tenant_id == book.tenant_id))
        for number, (person, _) in enumerate(company):
            connection.execute(insert(contacts).values(**own, object_id=guid(str(number)), **person))
        connection.execute(insert(groups), [{**own, "object_id": guid(name)} for name in ("outer", "inner")])
        rows = [{"group_id": guid(group), "member_type": kind, "member_id": guid(one)} for group, kind, one in edges]
        connection.execute(insert(memberships), [{**own, **row} for row in rows])


def expected(report: Report, company: Company, *, of_group: bool) -> set[str]:
    """Who belongs into a report, by their ids."""
    meant = {guid(str(at)): one for at, (one, group) in enumerate(company) if group != "none" or not of_group}
    having = Counter(one.get("phone") for one in meant.values())
    match report:
        case Report.SHARED:
            return {key for key, one in meant.items() if one.get("phone") and having[one["phone"]] > 1}
        case Report.NOT_MOBILE:
            return {key for key, one in meant.items() if one.get("phone") and KINDS[one["phone"]] != "mobile"}
        case _:
            return {key for key, one in meant.items() if one["phone_state"] == report}


def say_the_truth(one: Reported, company: Company, found: list[Reported]) -> None:
    """Compare what a report says of somebody with what was written of them."""
    truth = next(person for at, (person, _) in enumerate(company) if guid(str(at)) == one.object_id)
    assert one.display_name == truth["display_name"]
    assert one.enabled is truth.get("account_enabled")
    assert one.guest == ((truth.get("user_type") or "").lower() == "guest")
    if isinstance(one, InvalidNumber):
        assert (one.mobile_phone, one.business_phones) == (truth["mobile_phone"], truth["business_phones"])
        assert one.region == (truth["usage_location"] or "PL")
    if isinstance(one, SharedNumber):
        same = [other for other in found if isinstance(other, SharedNumber) and other.phone == one.phone]
        assert one.people == len(same)
    if isinstance(one, NotMobile):
        assert one.kind == KINDS[one.phone]


def place(one: Reported) -> tuple[Any, ...]:
    name = (one.display_name is None, (one.display_name or "").lower(), one.object_id)
    return (-one.people, one.phone, *name) if isinstance(one, SharedNumber) else name


@fuzz(cost=2)
@given(companies, st.booleans())
def test_each_report_has_those_whom_an_oracle_finds(random_book: Book, company: Company, of_group: bool) -> None:
    write(random_book, company)
    within = members.people_within(random_book.tenant_id, guid("outer")) if of_group else None
    scope = Scope(random_book.tenant_id, "PL", within)

    with random_book.database.read() as connection:
        found = {report: list(reports.rows(connection, report, scope)) for report in Report}

    for report, listed in found.items():
        ids = [one.object_id for one in listed]
        assert len(ids) == len(set(ids))
        assert set(ids) == expected(report, company, of_group=of_group)
        for one in listed:
            say_the_truth(one, company, listed)
        without_foreign_letters = [one for one in listed if one.display_name != "Łukasz"]  # sorted by the database
        assert without_foreign_letters == sorted(without_foreign_letters, key=place)


@fuzz(cost=10)
@given(companies, st.booleans(), st.integers(1, 4))
def test_the_pages_of_a_report_are_all_of_it_once_and_ordered_by_id(
    random_book: Book, company: Company, of_group: bool, limit: int
) -> None:
    write(random_book, company)
    within = members.people_within(random_book.tenant_id, guid("outer")) if of_group else None
    scope = Scope(random_book.tenant_id, "PL", within)

    with patch.object(reports, "LOOKED_AT", 3), random_book.database.read() as connection:
        for report in Report:
            paged: list[Reported] = []
            after: str | None = None
            while True:
                page = reports.page_by_id(connection, report, scope, after, limit)
                assert len(page.people) <= limit
                paged += page.people
                if page.goes_on_after is None:
                    break
                assert after is None or page.goes_on_after > after
                after = page.goes_on_after
            assert paged == sorted(reports.rows(connection, report, scope), key=lambda one: one.object_id)


@pytest.fixture
def contoso(database_url: str) -> Iterator[Book]:
    with book(database_url) as made:
        yield made


@pytest.fixture
def entra_sms(database_url: str) -> EntraSms:
    return EntraSms({"database_url": database_url})


@pytest.fixture
def peopled(contoso: Book) -> Book:
    """Somebody for each report; Bert and Cleo share a number, and Cleo is in the group in Sales."""
    contoso.person("Anna", mail="anna@contoso.example", account_enabled=False)
    contoso.person(
        "=Emil", guid("emil"), phone_state="invalid", mobile_phone="+12-34", business_phones=["reception", ""]
    )
    contoso.person("Bert", phone="+48601000001")
    cleo = contoso.person("Cleo", guid("cleo"), phone="+48601000001", user_type="Guest")
    dora = contoso.person("Dora", guid("dora"), phone="+48221234567", phone_source="business")
    inner = contoso.group("Inner", ("user", cleo), ("user", dora))
    contoso.group("Sales", ("group", inner))
    return contoso


def counts(out: str) -> dict[str, int]:
    return {row["report"]: row["people"] for row in json.loads(out)}


def test_without_a_name_each_report_is_counted(peopled: Book, entra_sms: EntraSms) -> None:
    table, exported = entra_sms("reports"), entra_sms("reports", "--format", "json")

    assert [line.split()[:2] for line in table.out.splitlines()] == [
        ["REPORT", "PEOPLE"], ["missing", "1"], ["invalid", "1"], ["shared", "2"], ["not-mobile", "1"],
    ]  # fmt: skip
    assert "Of 5 people." in table.words
    assert counts(exported.out) == {"missing": 1, "invalid": 1, "shared": 2, "not-mobile": 1}
    assert {row["total"] for row in json.loads(exported.out)} == {5}


def test_a_report_of_a_group_is_about_the_people_in_it_and_in_its_groups(peopled: Book, entra_sms: EntraSms) -> None:
    found = counts(entra_sms("reports", "--group", "Sales", "--format", "json").out)

    assert found == {"missing": 0, "invalid": 0, "shared": 0, "not-mobile": 1}


@pytest.mark.parametrize(
    ("report", "lines", "advice"),
    [
        ("missing", [["NAME", "MAIL", "NOTE"], ["Anna", "anna@contoso.example", "disabled"]], "Fill in one of them"),
        (
            "invalid",
            [
                ["NAME", "WRITTEN", "READ IN", "MAIL", "NOTE"],
                ["=Emil", "+12-34 (mobile); reception (business)", "PL", "-"],
            ],
            "with its country",
        ),
        (
            "shared",
            [
                ["NUMBER", "PEOPLE", "NAME", "MAIL", "NOTE"],
                ["+48601000001", "2", "Bert", "-"],
                ["Cleo", "-", "guest"],
            ],
            "each number once",
        ),
        (
            "not-mobile",
            [["NAME", "NUMBER", "KIND", "MAIL", "NOTE"], ["Dora", "+48221234567", "landline", "-"]],
            "SMS may not arrive",
        ),
    ],
)
def test_a_report_is_a_table_and_says_what_to_do(
    peopled: Book, entra_sms: EntraSms, report: str, lines: list[list[str]], advice: str
) -> None:
    ended = entra_sms("reports", report)

    shown = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in ended.out.splitlines()]
    assert sorted(shown[1:]) == sorted(lines[1:]) if report == "shared" else shown == lines
    assert shown[0] == lines[0]
    assert advice in ended.words


def test_a_limit_is_told_with_the_total(peopled: Book, entra_sms: EntraSms) -> None:
    ended = entra_sms("reports", "shared", "--limit", "1")

    assert len(ended.out.splitlines()) == 2
    assert "These are 1 of 2 people." in ended.words


def test_the_number_of_most_people_comes_first(contoso: Book, entra_sms: EntraSms) -> None:
    for name, number in (("A", "1"), ("B", "1"), ("C", "2"), ("D", "2"), ("E", "2"), ("F", "3"), ("G", "3")):
        contoso.person(name, phone=f"+4860100000{number}")

    shown = [row["display_name"] for row in json.loads(entra_sms("reports", "shared", "--format", "json").out)]

    assert "".join(shown) == "CDEABFG"


def test_exports_have_everybody_and_harm_no_spreadsheet(peopled: Book, entra_sms: EntraSms) -> None:
    [invalid] = csv.DictReader(io.StringIO(entra_sms("reports", "invalid", "--format", "csv").out))
    [as_json] = json.loads(entra_sms("reports", "invalid", "--format", "json").out)
    shared = list(csv.DictReader(io.StringIO(entra_sms("reports", "shared", "--format", "csv", "--limit", "1").out)))

    assert invalid["display_name"] == "'=Emil"
    assert invalid["mobile_phone"] == "'+12-34"
    assert invalid["business_phones"] == "reception; "
    assert (as_json["display_name"], as_json["business_phones"]) == ("=Emil", ["reception", ""])
    assert [(row["phone"], row["people"]) for row in shared] == [("+48601000001", "2")] * 2


def test_an_empty_report_is_good_news(contoso: Book, entra_sms: EntraSms) -> None:
    contoso.person("Anna", phone="+48601000001")

    for report in Report:
        ended = entra_sms("reports", str(report))
        assert (ended.code, ended.out) == (0, "")
        assert ended.err.startswith("Nobody")
        assert entra_sms("reports", str(report), "--format", "json").out == "[]\n"


def test_tables_fit_a_terminal_of_80_columns(peopled: Book, entra_sms: EntraSms) -> None:
    peopled.person(
        "Somebody with a name that takes a whole line or two " * 2, phone_state="invalid", mobile_phone="x" * 90
    )

    lines = entra_sms.on_terminal("reports", "invalid").out.replace("\r", "").splitlines()

    assert [line for line in lines if len(PLAIN.sub("", line)) > 80] == []
    assert any("…" in line for line in lines)
