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
    person = exists().where(contacts.c.tenant_id == edges.c.tenant_id, contacts.c.object_id == edges.c.member_id)
    nested = exists().where(groups.c.tenant_id == edges.c.tenant_id, groups.c.object_id == edges.c.member_id)
    return or_(
        edges.c.member_type.not_in((USER, GROUP)),
        and_(edges.c.member_type == USER, person),
        and_(edges.c.member_type == GROUP, nested),
    )
