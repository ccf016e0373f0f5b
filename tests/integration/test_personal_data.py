"""What is stored about a person is told completely, erased when the person leaves, and erased nowhere else."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from common.db.tables import Guid, commands, contacts, metadata, rechecks, results, scope_members
from common.messages import Stream
from console.explained_export import OF_OPERATORS, SECTIONS
from tests.support.book import Book, book, guid
from tests.support.console import EntraSms
from tests.support.pen import Pen, gone, group, member, person

ANNA, BEN, SALES = guid("anna"), guid("ben"), guid("sales")
OF_NOBODY = {
    "streams.tenant_id",
    "groups.object_id",
    "memberships.group_id",
    "subscriptions.subscription_id",
    "results.message_id",
}
"""Columns of ids that are no person's: tenants', groups', and those of subscriptions and messages."""
MARKED = {
    "displayName": "Marked-Name",
    "givenName": "Marked-Given",
    "surname": "Marked-Surname",
    "mail": "marked-mail@contoso.example",
    "userPrincipalName": "marked-upn@contoso.example",
    "mobilePhone": "601 234 567",
    "businessPhones": ["22 123 45 67"],
}


@pytest.fixture
def contoso(database_url: str) -> Iterator[Book]:
    with book(database_url) as made:
        yield made


@pytest.fixture
def entra_sms(database_url: str) -> EntraSms:
    return EntraSms({"database_url": database_url})


def fill(contoso: Book) -> None:
    """Something of Anna in every table that can hold it, and of Ben in the same."""
    now = datetime.now(UTC)
    pen = Pen(contoso)
    pen.users(person(ANNA, displayName="Anna", mobilePhone="601 234 567"), person(BEN, displayName="Ben"))
    pen.groups(group(SALES, member(ANNA), member(BEN), name="Sales"))
    contoso.hold(Stream.USERS, ANNA, BEN)
    note = {"tenant_id": contoso.tenant_id, "stream": "users", "what": "object", "due_at": now}
    with contoso.database.write() as connection:
        for who in (ANNA, BEN):
            asked = {"command": "resync_object", "object": who}
            connection.execute(insert(scope_members).values(tenant_id=contoso.tenant_id, member_id=who))
            connection.execute(insert(rechecks).values(object_id=who, **note))
            connection.execute(insert(commands).values(command_id=f"r-{who}", digest="d", received_at=now, asked=asked))
            told = {"message_id": guid(who), "at": now, "kind": "command", "outcome": "done", "summary": "Done."}
            connection.execute(insert(results).values(tenant_id=contoso.tenant_id, body=asked, **told))


def test_all_that_is_stored_about_a_person_is_told_and_nothing_of_others(contoso: Book, entra_sms: EntraSms) -> None:
    fill(contoso)

    ended = entra_sms("explain", ANNA, "--export", "-")

    assert ended.code == 0
    told = json.loads(ended.out)
    rows = {one["table"]: one["rows"] for one in told["stored"]}
    assert {table: len(found) for table, found in rows.items()} == {
        "contacts": 1,
        "memberships": 1,
        "scope_members": 1,
        "changes": 2,
        "held_removals": 1,
        "rechecks": 1,
        "commands": 1,
        "results": 1,
    }
    assert rows["contacts"][0].items() >= {"display_name": "Anna", "phone": "+48601234567"}.items()
    assert set(rows["contacts"][0]) == set(contacts.c.keys())
    assert rows["memberships"][0]["group_name"] == "Sales"
    assert [one["group_name"] for one in rows["changes"]] == [None, "Sales"]
    assert all(one["purpose"] and one["kept"] for one in told["stored"])
    assert BEN not in ended.out


def test_no_column_that_can_hold_an_object_id_is_forgotten() -> None:
    ids = {
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        if column.type is Guid and column.name != "tenant_id"
    }

    assert ids - OF_NOBODY == {f"{one.table.name}.{column.name}" for one in SECTIONS for column in one.columns}


def test_no_table_with_the_words_of_operators_is_forgotten() -> None:
    """A new column of JSON or text in a table without the columns above is looked at before it is added here."""
    told = {one.table.name for one in (*SECTIONS, *OF_OPERATORS)}

    assert {table.name for table in metadata.sorted_tables} - told == {
        *("tenants", "streams", "groups", "holds", "subscriptions", "rounds", "duties", "command_parts"),
        *("api_keys", "api_key_tenants"),
    }


def test_a_copy_goes_to_a_file_of_its_owner_alone(contoso: Book, entra_sms: EntraSms, tmp_path: Path) -> None:
    fill(contoso)
    file = tmp_path / "anna.json"

    ended = entra_sms("explain", "Anna", "--export", str(file))

    assert (ended.code, ended.out) == (0, "")
    assert json.loads(file.read_text())["object_id"] == ANNA
    assert file.stat().st_mode & 0o777 == 0o600


def test_of_who_left_only_ids_are_told(contoso: Book, entra_sms: EntraSms) -> None:
    pen = Pen(contoso)
    pen.users(person(ANNA, **MARKED))
    pen.users(gone(ANNA))

    ended = entra_sms("explain", ANNA, "--export", "-")

    rows = {one["table"]: one["rows"] for one in json.loads(ended.out)["stored"]}
    assert [one["kind"] for one in rows["changes"]] == ["contact.added", "contact.removed"]
    assert rows["contacts"] == []


def test_a_copy_is_of_what_is_stored_and_not_of_what_graph_says(contoso: Book, entra_sms: EntraSms) -> None:
    assert entra_sms("explain", ANNA, "--export", "-", "--live").code == 2


def everywhere(contoso: Book) -> str:
    with contoso.database.read() as connection:
        return "\n".join(str(row) for table in metadata.sorted_tables for row in connection.execute(select(table)))


@pytest.mark.parametrize("way", ["delta", "full round"])
def test_who_leaves_the_directory_leaves_no_value_in_any_table(contoso: Book, way: str) -> None:
    values = {*("Marked", "marked", "601 234 567", "+48601234567", "22 123 45 67")}
    pen = Pen(contoso)
    pen.users(person(ANNA, **MARKED), person(BEN))
    pen.groups(group(SALES, member(ANNA), name="Sales"))
    assert {value for value in values if value in everywhere(contoso)} == values

    if way == "delta":
        pen.users(gone(ANNA))
    else:
        pen.full_round(Stream.USERS, [person(BEN)])

    assert pen.people() == {BEN}
    assert {value for value in values if value in everywhere(contoso)} == set()
    assert ANNA in everywhere(contoso)


def test_nobody_is_forgotten_here_and_it_is_said_what_to_do(contoso: Book, entra_sms: EntraSms) -> None:
    pen = Pen(contoso)
    pen.users(person(ANNA, displayName="Anna"))

    ended = entra_sms("contacts", "forget", "Anna")

    assert ended.code == 1
    for words in ("would be back", f"delete the user {ANNA}", "clear the mobile phone", "tenants remove --erase"):
        assert words in ended.words
    assert pen.people() == {ANNA}
