"""Keys are shown once, stored as digests, open the address books they were made for, and can be revoked."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from common.db import api_keys, erasure
from common.db.tables import metadata
from console.exits import Exit
from tests.support.book import Book, add_tenant, book
from tests.support.console import EntraSms

SHAPE = re.compile(r"esms_([0-9a-f]{12})_[0-9a-f]{64}\n")


@pytest.fixture
def contoso(database_url: str) -> Iterator[Book]:
    with book(database_url) as made:
        yield made


@pytest.fixture
def entra_sms(database_url: str) -> EntraSms:
    return EntraSms({"database_url": database_url})


def test_a_key_is_all_that_is_written_to_stdout_and_the_rest_is_said_beside_it(
    contoso: Book, entra_sms: EntraSms
) -> None:
    made = entra_sms("keys", "create", "Platform")

    assert made.code == Exit.OK
    assert SHAPE.fullmatch(made.out)
    assert made.words == "The key Platform opens the address book of Contoso. It is not shown again."


def test_the_database_holds_nothing_that_a_key_could_be_made_of_again(contoso: Book, entra_sms: EntraSms) -> None:
    key = entra_sms("keys", "create", "Platform").out.strip()
    secret = key.rpartition("_")[2]
    with contoso.database.read() as connection:
        everything = "\n".join(str(connection.execute(select(table)).all()) for table in metadata.sorted_tables)

    assert "Platform" in everything
    assert secret not in everything
    assert secret not in entra_sms("keys", "list", "--json").out


def test_two_keys_have_nothing_in_common(contoso: Book, entra_sms: EntraSms) -> None:
    made = [SHAPE.fullmatch(entra_sms("keys", "create", name).out) for name in ("One", "Two")]

    assert made[0]
    assert made[1]
    assert made[0][1] != made[1][1]
    assert made[0][0][-65:] != made[1][0][-65:]


def test_a_key_is_found_by_its_whole_text_alone(contoso: Book, entra_sms: EntraSms) -> None:
    key = entra_sms("keys", "create", "Platform").out.strip()
    other = entra_sms("keys", "create", "Other").out.strip()
    last = "0" if key[-1] != "0" else "1"
    wrong = [key[:-1], key[:-1] + last, f"{key}0", f" {key}", key.upper(), "", other[:17] + key[17:], f"{key}\n"]
    with contoso.database.read() as connection:
        found = api_keys.of_text(connection, key)
        assert found is not None
        assert (found.name, found.tenant_ids, found.all_tenants) == ("Platform", (contoso.tenant_id,), False)
        assert [api_keys.of_text(connection, text) for text in wrong] == [None] * len(wrong)


def test_a_key_is_for_the_tenants_that_were_named_or_for_all(contoso: Book, entra_sms: EntraSms) -> None:
    with contoso.database.write() as connection:
        nordwind = add_tenant(connection, "Nordwind", None)
        third = add_tenant(connection, "Third", None)

    assert entra_sms("keys", "create", "Unsaid").code == Exit.USAGE
    assert entra_sms("keys", "create", "Odd", "--tenant", "Nobody").code == Exit.FAILED
    assert entra_sms("keys", "create", "Odd", "--tenant", "Contoso", "--all-tenants").code == Exit.USAGE
    two = ("--tenant", "Contoso", "--tenant", "nordwind", "--tenant", nordwind)
    assert entra_sms("keys", "create", "Two", *two).words.startswith(
        "The key Two opens the address book of Contoso, Nordwind."
    )
    assert entra_sms("keys", "create", "All", "--all-tenants").code == Exit.OK
    with contoso.database.read() as connection:
        every, some = api_keys.find(connection)
    assert every.all_tenants
    assert [some.opens(one) for one in (contoso.tenant_id, nordwind, third)] == [True, True, False]
    assert every.opens(third)


def test_a_key_that_loses_its_only_tenant_opens_nothing_and_not_everything(contoso: Book, entra_sms: EntraSms) -> None:
    entra_sms("keys", "create", "Platform")
    with contoso.database.write() as connection:
        erasure.erase(connection, contoso.tenant_id)
        again = add_tenant(connection, "Contoso", None)

    with contoso.database.read() as connection:
        [key] = api_keys.find(connection)
    assert again == contoso.tenant_id
    assert (key.tenant_ids, key.all_tenants, key.opens(again)) == ((), False, False)
    assert "no tenant" in entra_sms("keys", "list").out


def test_a_name_is_that_of_one_key_in_use(contoso: Book, entra_sms: EntraSms) -> None:
    assert entra_sms("keys", "create", "Platform").code == Exit.OK
    refused = entra_sms("keys", "create", " Platform ")
    assert (refused.code, refused.out) == (Exit.FAILED, "")
    assert "entra-sms keys revoke NAME" in refused.words

    assert entra_sms("keys", "revoke", "Platform").code == Exit.OK
    assert entra_sms("keys", "create", "Platform").code == Exit.OK
    assert entra_sms("keys", "create", "\x1b[2J").code == Exit.USAGE
    assert entra_sms("keys", "create", "  ").code == Exit.USAGE


def test_a_key_is_revoked_by_its_name_or_its_id_and_once(contoso: Book, entra_sms: EntraSms) -> None:
    made = [json.loads(entra_sms("keys", "create", name, "--json").out) for name in ("One", "Two")]

    assert entra_sms("keys", "revoke", "One").out == f"Revoked One ({made[0]['key_id']}).\n"
    assert entra_sms("keys", "revoke", made[1]["key_id"]).code == Exit.OK
    again = entra_sms("keys", "revoke", "One")
    assert (again.code, again.words) == (Exit.FAILED, "Error: The key 'One' was revoked before.")
    assert entra_sms("keys", "revoke", "Three").code == Exit.FAILED
    listed = json.loads(entra_sms("keys", "list", "--json").out)
    assert [(one["name"], one["state"]) for one in listed] == [("One", "revoked"), ("Two", "revoked")]


def test_a_key_expires_on_its_day(contoso: Book, entra_sms: EntraSms) -> None:
    made = json.loads(entra_sms("keys", "create", "Platform", "--days", "30", "--json").out)
    with contoso.database.read() as connection:
        [key] = api_keys.find(connection)

    assert key.expires_at is not None
    assert key.expires_at == datetime.fromisoformat(made["expires_at"])
    assert timedelta(days=29) < key.expires_at - datetime.now(UTC) < timedelta(days=31)
    assert key.is_valid(key.expires_at - timedelta(seconds=1))
    assert not key.is_valid(key.expires_at)
    assert entra_sms("keys", "create", "Other", "--days", "0").code == Exit.USAGE


def test_without_a_key_the_list_says_how_to_make_one(contoso: Book, entra_sms: EntraSms) -> None:
    assert entra_sms("keys", "list").words == "There is no key yet. Make the first with: entra-sms keys create NAME"
