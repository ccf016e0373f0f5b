"""A tenant can be limited to the people of some groups, or with some attributes.

Revision: 0009, after: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"

GUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
WHAT = "object | members"
WHAT_NOW = "object | members | scope (of the tenant: the id is its)"


def upgrade() -> None:
    op.add_column(
        "tenants",
        sa.Column(
            "scope_groups", sa.JSON(), comment="ids of groups: only people in them belong in the book; null: no matter"
        ),
    )
    op.add_column(
        "tenants",
        sa.Column(
            "scope_condition", sa.Text(), comment="what people in the book have, see common.scope; null: no matter"
        ),
    )
    op.create_table(
        "scope_members",
        sa.Column("tenant_id", GUID, nullable=False),
        sa.Column("member_id", GUID, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_scope_members_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "member_id", name=op.f("pk_scope_members")),
        comment="Whom the groups of the tenant's scope reach, as ids: as far as the people's stream has followed them.",
    )
    _comment_on_what(WHAT, WHAT_NOW)


def downgrade() -> None:
    _comment_on_what(WHAT_NOW, WHAT)
    op.drop_table("scope_members")
    op.drop_column("tenants", "scope_condition")
    op.drop_column("tenants", "scope_groups")


def _comment_on_what(before: str, after: str) -> None:
    if op.get_bind().dialect.name == "postgresql":  # SQLite keeps no comments
        op.alter_column("rechecks", "what", existing_type=sa.Text(), existing_comment=before, comment=after)
