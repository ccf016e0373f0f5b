"""What it costs to follow whom the groups of a scope reach."""

from sqlalchemy import select, text

from common.db.bulk import insert_rows
from common.db.tables import memberships, scope_members
from common.scope import Scope
from tests.support.book import book, guid
from worker import reach

PEOPLE = 1_000


def test_postgresql_looks_at_everybody_once_and_not_once_for_each(postgresql_url: str) -> None:
    with book(postgresql_url) as made:
        group_id = made.group("Staff")
        people = [guid(str(number)) for number in range(PEOPLE)]
        edges = [{"member_id": one} for one in people]
        staff = {"tenant_id": made.tenant_id, "group_id": group_id, "member_type": "user", "generation": 1}
        with made.database.write() as connection:
            for table in ("memberships", "scope_members"):  # of which nothing is known, as in a first sync
                connection.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = false)"))
            insert_rows(connection, memberships, edges, **staff)
        with made.database.write() as connection:
            reach.renew(connection, made.tenant_id, Scope((group_id,)))
            assert set(connection.scalars(select(scope_members.c.member_id))) == set(people)
            looks = text(
                "SELECT sum(seq_scan + idx_scan) FROM pg_stat_xact_user_tables WHERE relname = 'scope_members'"
            )
            assert connection.scalar(looks) < 10
