"""The one rule of what is seen of memberships: an edge shows only while its member is in the book.

Edges are kept, as ids alone, while a person or a nested group is in the directory's recycle bin: Graph says nothing of
memberships when somebody is restored. Members of other types (devices, ...) are not in the book and always show.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, FromClause, and_, exists, or_

from common.db.tables import contacts, groups, memberships

USER = "user"
GROUP = "group"


def is_visible(edges: FromClause = memberships) -> ColumnElement[bool]:
    """Return the condition under which a row of memberships is seen."""
    # Aliases, since the statement around this may read the same tables, and SQLAlchemy would take its rows for these.
    person, nested = contacts.alias(), groups.alias()
    has_person = exists().where(person.c.tenant_id == edges.c.tenant_id, person.c.object_id == edges.c.member_id)
    has_group = exists().where(nested.c.tenant_id == edges.c.tenant_id, nested.c.object_id == edges.c.member_id)
    return or_(
        edges.c.member_type.not_in((USER, GROUP)),
        and_(edges.c.member_type == USER, has_person),
        and_(edges.c.member_type == GROUP, has_group),
    )
