"""Many rows as one parameter: what goes in that way is what would have gone in one by one."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, text

from common.db.bulk import find_rows, insert_rows, put_rows
from common.db.engine import Database
from common.db.tables import changes, contacts, memberships
from tests.support.book import Book, book, guid

NOW = datetime(2026, 3, 2, 8, 15, 30, 123456, tzinfo=UTC)
STAFF, ANNA, BERT = guid("staff"), guid("anna"), guid("bert")
AWKWARD = 'O\'Brien "Zoë" {1,2} \\ \t 😀 %s :x ?'


@pytest.fixture
def made(database_url: str) -> Iterator[Book]:
    with book(database_url) as found:
        yield found


def rows_of(database: Database, table: Any, *names: str) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        query = select(*(table.c[name] for name in names)).where(table.c.tenant_id.is_not(None))
        return [tuple(row) for row in connection.execute(query)]


def test_texts_lists_flags_and_nothing_at_all_come_back_as_they_were(made: Book) -> None:
    names = ("object_id", "display_name", "mail", "business_phones", "account_enabled", "phone_state", "generation")
    rows = [
        (ANNA, AWKWARD, None, ["+48 22 123", AWKWARD], True, "ok", 1),
        (BERT, "", "b@c.example", [], False, "missing", 2_000_000_000),
    ]
    with made.database.write() as connection:
        listed = [dict(zip(names, row, strict=True)) for row in rows]
        insert_rows(connection, contacts, listed, tenant_id=made.tenant_id)
    assert sorted(rows_of(made.database, contacts, *names)) == sorted(rows)


def test_what_is_the_same_for_all_rows_may_be_a_time(made: Book) -> None:
    entries = [{"object_id": STAFF, "fields": ["mail", "kind"]}, {"object_id": ANNA, "fields": None}]
    same = {"tenant_id": made.tenant_id, "at": NOW, "kind": "group.changed", "reason": "poll", "unpublished": None}
    with made.database.write() as connection:
        insert_rows(connection, changes, entries, **same)
    found = rows_of(made.database, changes, "sequence", "at", "object_id", "fields", "unpublished", "member_id")
    assert [row[1:] for row in sorted(found)] == [
        (NOW, STAFF, ["mail", "kind"], None, None),
        (NOW, ANNA, None, None, None),
    ]


def test_each_value_finds_its_column_in_whatever_order_a_row_has_them(made: Book) -> None:
    rows = [{"object_id": ANNA, "display_name": "Anna"}, {"display_name": "Bert", "object_id": BERT}]
    same = {"tenant_id": made.tenant_id, "phone_state": "ok", "generation": 1, "business_phones": None}
    with made.database.write() as connection:
        insert_rows(connection, contacts, rows, **same)
    assert set(rows_of(made.database, contacts, "object_id", "display_name")) == {(ANNA, "Anna"), (BERT, "Bert")}


def test_no_rows_are_no_statement(made: Book) -> None:
    with made.database.write() as connection:
        insert_rows(connection, contacts, [], tenant_id=made.tenant_id)
    assert rows_of(made.database, contacts, "object_id") == []


def test_rows_are_found_by_a_key_of_several_columns(made: Book) -> None:
    made.edge(STAFF, "user", ANNA)
    made.edge(STAFF, "user", BERT)
    made.edge(ANNA, "user", STAFF)
    keys = [{"group_id": STAFF, "member_id": BERT}, {"group_id": BERT, "member_id": STAFF}]
    with made.database.read() as connection:
        found = find_rows(connection, memberships, keys, "member_id", "member_type", tenant_id=made.tenant_id)
        foreign = find_rows(connection, memberships, keys, tenant_id=guid("another tenant"))
    assert found == [{"member_id": BERT, "member_type": "user"}]
    assert foreign == []


def test_a_row_that_was_found_can_be_put_back_in_place_of_what_was_there(made: Book) -> None:
    with made.database.write() as connection:
        person = {
            "display_name": AWKWARD,
            "mail": None,
            "business_phones": ["+48 22 123", AWKWARD],
            "phone_state": "ok",
        }
        insert_rows(connection, contacts, [{"object_id": ANNA, **person}], tenant_id=made.tenant_id, generation=1)
        insert_rows(connection, contacts, [{"object_id": BERT, **person}], tenant_id=made.tenant_id, generation=1)
        [anna] = find_rows(connection, contacts, [{"object_id": ANNA}], tenant_id=made.tenant_id)
        new = {**anna, "object_id": STAFF, "account_enabled": False}
        put_rows(connection, contacts, [{**anna, "generation": 2, "mail": "a@b.example"}, new])
    names = ("object_id", "display_name", "mail", "business_phones", "account_enabled", "generation")
    assert set(map(str, rows_of(made.database, contacts, *names))) == {
        str((ANNA, AWKWARD, "a@b.example", person["business_phones"], None, 2)),
        str((BERT, AWKWARD, None, person["business_phones"], None, 1)),
        str((STAFF, AWKWARD, None, person["business_phones"], False, 1)),
    }


def test_postgresql_finds_a_row_without_reading_the_others_of_a_table_of_which_it_knows_nothing(
    postgresql_url: str,
) -> None:
    with book(postgresql_url) as made:
        edges = [{"group_id": STAFF, "member_id": guid(str(number)), "member_type": "user"} for number in range(5_000)]
        few = edges[::2_500]
        with made.database.write() as connection:
            connection.execute(text("ALTER TABLE memberships SET (autovacuum_enabled = false)"))  # it would count them
            insert_rows(connection, memberships, edges, tenant_id=made.tenant_id, generation=1)
        with made.database.write() as connection:
            keys = [{name: edge[name] for name in ("group_id", "member_id")} for edge in few]
            assert len(find_rows(connection, memberships, keys, tenant_id=made.tenant_id)) == 2
            put_rows(connection, memberships, few, tenant_id=made.tenant_id, generation=2)
            read = (
                "SELECT coalesce(seq_tup_read, 0) + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = :name"
            )
            assert 2 <= connection.scalar(text(read), {"name": "memberships"}) <= 10


def test_postgresql_marks_memberships_as_seen_without_touching_their_indexes(postgresql_url: str) -> None:
    with book(postgresql_url) as made:
        edges = [{"group_id": STAFF, "member_id": guid(str(number)), "member_type": "user"} for number in range(1_000)]
        with made.database.write() as connection:
            insert_rows(connection, memberships, edges, tenant_id=made.tenant_id, generation=1)
        with made.database.write() as connection:
            put_rows(connection, memberships, edges, tenant_id=made.tenant_id, generation=2)
            count = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'memberships'"
            marked, without_indexes = connection.execute(text(count)).one()
    assert marked == 1_000
    assert without_indexes >= 900
