"""The one rule of what is seen of memberships: an edge to a person shows only while the person is in the book."""

from __future__ import annotations

from sqlalchemy import ColumnElement, FromClause, exists, or_

from common.db.tables import contacts, memberships

USER = "user"
GROUP = "group"


def is_visible(edges: FromClause = memberships) -> ColumnElement[bool]:
    """Return the condition under which a row of memberships is seen."""
    in_book = exists().where(
        contacts.c.tenant_id == edges.c.tenant_id,
        contacts.c.object_id == edges.c.member_id,
    )
    return or_(edges.c.member_type != USER, in_book)
