"""Groups in groups are found at once, without going through the people in them.

Revision: 0007, after: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    nested = sa.text("member_type = 'group'")
    op.create_index(
        "ix_memberships_nested",
        "memberships",
        ["tenant_id", "group_id", "member_id"],
        postgresql_where=nested,
        sqlite_where=nested,
    )


def downgrade() -> None:
    op.drop_index("ix_memberships_nested", "memberships")
