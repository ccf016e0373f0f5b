"""Lists, cards and exports: what the console shows of the book, on both databases."""

import csv
import io
import json
from collections.abc import Iterator

import pytest

from tests.support.book import Book, add_tenant, book, guid
from tests.support.console import EntraSms

COLUMNS = [
    *("object_id", "display_name", "phone", "phone_source", "phone_state", "mail", "enabled", "guest"),
    *("given_name", "surname"),
]


@pytest.fixture
def contoso(database_url: str) -> Iterator[Book]:
    with book(database_url) as made:
        yield made


@pytest.fixture
def entra_sms(database_url: str) -> EntraSms:
    return EntraSms({"database_url": database_url})


@pytest.fixture
def peopled(contoso: Book) -> Book:
    """Four people, two groups, one of them in the other."""
    anna = contoso.person("Anna Łukasik", phone="+48601234567", mail="anna@contoso.example", mobile_phone="601 234 567")
    jan = contoso.person("Jan Nowak", mobile_phone="12", phone_state="invalid", account_enabled=False)
    contoso.person("Łukasz Zieliński", phone="+48221234567", phone_source="business", business_phones=["22 123 45 67"])
    guest = contoso.person(None, guid("nameless"), user_type="GUEST", account_enabled=None)
    sales = contoso.group("Sales", ("user", anna), ("user", guid("left")), ("device", guid("laptop")))
    contoso.group("Everyone", ("group", sales), ("user", jan), ("user", guest))
    return contoso


def test_contacts_are_exported_as_csv_with_exact_columns(peopled: Book, entra_sms: EntraSms) -> None:
    ended = entra_sms("contacts", "export", "--tenant", "Contoso", "--format", "csv")

    assert ended.code == 0
    assert ended.err == ""
    assert "\r" not in ended.out
    rows = list(csv.reader(io.StringIO(ended.out)))
    assert rows[0] == COLUMNS
    assert [row[0] for row in rows[1:]] == sorted(row[0] for row in rows[1:])
    assert {tuple(row[1:]) for row in rows[1:]} == {
        ("Anna Łukasik", "+48601234567", "mobile", "ok", "anna@contoso.example", "true", "false", "", ""),
        ("Jan Nowak", "", "", "invalid", "", "false", "false", "", ""),
        ("Łukasz Zieliński", "+48221234567", "business", "ok", "", "true", "false", "", ""),
        ("", "", "", "missing", "", "", "true", "", ""),
    }


def test_contacts_are_exported_as_one_json_array(peopled: Book, entra_sms: EntraSms) -> None:
    ended = entra_sms("contacts", "export", "--format", "json")

    found = {person["display_name"]: person for person in json.loads(ended.out)}
    assert list(found["Jan Nowak"]) == COLUMNS
    assert found["Jan Nowak"]["enabled"] is False
    assert found["Jan Nowak"]["phone"] is None
    assert found[None] == {
        "object_id": guid("nameless"),
        "display_name": None,
        "phone": None,
        "phone_source": None,
        "phone_state": "missing",
        "mail": None,
        "enabled": None,
        "guest": True,
        "given_name": None,
        "surname": None,
    }


def test_an_empty_book_exports_a_header_and_an_empty_array(contoso: Book, entra_sms: EntraSms) -> None:
    assert entra_sms("contacts", "export").out.count("\n") == 1
    assert json.loads(entra_sms("contacts", "export", "--format", "json").out) == []
    assert json.loads(entra_sms("groups", "export", "--format", "json").out) == []


def test_groups_are_exported_without_members_who_left(peopled: Book, entra_sms: EntraSms) -> None:
    peopled.group("Empty")

    ended = entra_sms("groups", "export", "--tenant", "contoso.example", "--format", "json")

    found = {group["display_name"]: group for group in json.loads(ended.out)}
    assert list(found["Sales"]) == ["object_id", "display_name", "members"]
    anna, sales = guid(f"{peopled.tenant_id} Anna Łukasik"), found["Sales"]["object_id"]
    assert sorted(found["Sales"]["members"]) == sorted([anna, guid("laptop")])
    assert set(found["Everyone"]["members"]) == {sales, guid(f"{peopled.tenant_id} Jan Nowak"), guid("nameless")}
    assert found["Empty"]["members"] == []
    assert guid("left") not in ended.out


def test_an_export_holds_only_the_tenant_that_was_asked_for(peopled: Book, entra_sms: EntraSms) -> None:
    with peopled.database.write() as connection:
        other = Book(peopled.database, add_tenant(connection, "Fabrikam", None))
    other.person("Somebody Else", guid("nameless"))
    other.group("Sales", ("user", guid("nameless")))

    ended = entra_sms("contacts", "export", "--tenant", "Fabrikam", "--format", "json")

    assert [person["display_name"] for person in json.loads(ended.out)] == ["Somebody Else"]
    assert len(json.loads(entra_sms("groups", "export", "--tenant", "Fabrikam").out)) == 1


def test_names_that_are_awkward_in_csv_survive(contoso: Book, entra_sms: EntraSms) -> None:
    names = {'Quote " Comma , and', "Line\nbreak", "=SUM(A1)", "[red]Markup[/red]", "\x1b[31mEscape"}
    for name in names:
        contoso.person(name)

    rows = list(csv.DictReader(io.StringIO(entra_sms("contacts", "export").out, newline="")))
    listed = entra_sms("contacts", "list").out

    assert {row["display_name"] for row in rows} == names - {"=SUM(A1)"} | {"'=SUM(A1)"}
    assert "[red]Markup[/red]" in listed
    assert "\x1b" not in listed
    assert len(listed.splitlines()) == len(names) + 1


@pytest.mark.parametrize(
    "typed",
    [
        "+48601234567",
        "+48 601-234-567",
        "0048 601 234 567",
        "(0048) 601 234 567",
        "601 234 567",
        "601.234.567",
        "anna@CONTOSO.example",
        "anna łukasik",
        "ANNA ŁUKASIK",
        "łuka",
    ],
)
def test_a_person_is_found_by_whatever_is_known(peopled: Book, entra_sms: EntraSms, typed: str) -> None:
    if typed == "łuka":
        peopled.group("unused")
        ended = entra_sms("contacts", "list", "--search", typed)
        assert {"Anna Łukasik", "Łukasz Zieliński"} <= set("  ".join(ended.out.splitlines()).split("  "))
        return

    ended = entra_sms("contacts", "show", typed)

    assert ended.code == 0, ended.err
    assert "Anna Łukasik" in ended.out
    assert "+48601234567 (from the mobile phone)" in ended.out
    assert "601 234 567" in ended.out


def test_a_person_is_shown_with_groups_directly_and_through_groups(peopled: Book, entra_sms: EntraSms) -> None:
    lines = entra_sms("contacts", "show", guid(f"{peopled.tenant_id} Anna Łukasik").upper()).out.splitlines()

    assert "Groups           Sales" in lines
    assert "Through groups   Everyone" in lines


def test_only_the_groups_around_somebody_are_shown(peopled: Book, entra_sms: EntraSms) -> None:
    peopled.group("Alone", ("group", peopled.group("Inner", ("device", guid("laptop")))))

    person = entra_sms("contacts", "show", "Łukasz Zieliński").out
    group = entra_sms("groups", "show", "Sales").out

    assert person.splitlines()[-2:] == ["Groups           -", "Through groups   -"]
    assert group.splitlines()[-1] == "Is in groups  Everyone"


def test_groups_in_circles_end(contoso: Book, entra_sms: EntraSms) -> None:
    anna = contoso.person("Anna", phone="+48601234567")
    inner, middle, outer = (guid(name) for name in ("inner", "middle", "outer"))
    contoso.group("Inner", ("user", anna), ("group", outer), object_id=inner)
    contoso.group("Middle", ("group", inner), ("group", middle), object_id=middle)
    contoso.group("Outer", ("group", middle), object_id=outer)

    person = entra_sms("contacts", "show", "Anna").out
    group = entra_sms("groups", "show", "Outer").out
    listed = entra_sms("contacts", "list", "--group", "Outer").out
    direct = entra_sms("contacts", "list", "--group", "Outer", "--direct")

    assert [line.split()[-1] for line in person.splitlines()[-3:]] == ["Inner", "Middle", "Outer"]
    assert "Reaches       1 person, 1 with a number" in group
    assert "Anna" in listed
    assert direct.out == ""
    assert "Nobody" in direct.err


def test_a_group_shows_its_members_by_type(peopled: Book, entra_sms: EntraSms) -> None:
    out = entra_sms("groups", "show", "sales").out

    assert "People in it  Anna Łukasik" in out
    assert "Others in it  1 of type device" in out
    assert "Is in groups  Everyone" in out
    assert guid("left") not in out


def test_groups_are_listed_with_counts_of_who_is_there(peopled: Book, entra_sms: EntraSms) -> None:
    lines = entra_sms("groups", "list").out.splitlines()

    assert lines[0].split() == ["NAME", "KIND", "PEOPLE", "GROUPS", "OTHERS"]
    assert [line.split()[:5] for line in lines[1:]] == [["Everyone", "-", "2", "1", "0"], ["Sales", "-", "1", "0", "1"]]


def test_people_are_listed_by_state_and_limit(peopled: Book, entra_sms: EntraSms) -> None:
    invalid = entra_sms("contacts", "list", "--state", "invalid")
    first = entra_sms("contacts", "list", "--limit", "1")

    assert [line.split("  ")[0] for line in invalid.out.splitlines()] == ["NAME", "Jan Nowak"]
    assert "disabled" in invalid.out
    assert len(first.out.splitlines()) == 2
    assert "1 of 4 people" in first.words


def test_search_takes_its_signs_literally(peopled: Book, entra_sms: EntraSms) -> None:
    assert entra_sms("contacts", "list", "--search", "%").out == ""
    assert entra_sms("contacts", "list", "--search", "_").out == ""
    assert "Anna" in entra_sms("contacts", "list", "--search", "234567").out
    assert "Anna" in entra_sms("contacts", "list", "--search", "601 23").out


def test_several_people_of_one_name_are_offered_with_their_ids(contoso: Book, entra_sms: EntraSms) -> None:
    first, second = (contoso.person("Jan Nowak", guid(name)) for name in ("one", "two"))

    ended = entra_sms("contacts", "show", "jan nowak")

    assert ended.code == 1
    assert ended.out == ""
    assert first in ended.err
    assert second in ended.err
    assert "2 people" in ended.words


def test_who_is_not_there_is_said_plainly(peopled: Book, entra_sms: EntraSms) -> None:
    for arguments in (["contacts", "show", "Zoë"], ["contacts", "show", guid("left")], ["groups", "show", "Zoo"]):
        ended = entra_sms(*arguments)
        assert ended.code == 1
        assert "Traceback" not in ended.err
        assert "Look for a part of the name" in ended.words


def test_one_of_several_tenants_has_to_be_named(peopled: Book, entra_sms: EntraSms) -> None:
    with peopled.database.write() as connection:
        add_tenant(connection, "Łódź Works", "lodz.example")

    unnamed, misspelt = entra_sms("contacts", "list"), entra_sms("contacts", "list", "--tenant", "Contosso")

    assert unnamed.code == 2
    assert "Contoso (contoso.example)" in unnamed.err
    assert "Łódź Works" in unnamed.err
    assert misspelt.code == 1
    assert "Did you mean 'Contoso'?" in misspelt.words
    assert entra_sms("contacts", "list", "--tenant", "łódź works").code == 0


def test_without_any_tenant_the_first_step_is_named(database_url: str, entra_sms: EntraSms) -> None:
    ended = entra_sms("contacts", "list")

    assert ended.code == 1
    assert "entra-sms tenants add" in ended.words


def test_an_empty_database_is_brought_up_to_date(empty_database_url: str) -> None:
    ended = EntraSms({"database_url": empty_database_url})("tenants", "list")

    assert ended.code == 0, ended.err
