"""How long the latest change took, from Graph's notification to the committed row.

Revision: 0004, after: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column(
        "streams",
        sa.Column(
            "last_change_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when what Graph had notified of was last committed",
        ),
    )
    op.add_column(
        "streams",
        sa.Column("last_change_lag_seconds", sa.Float(), nullable=True, comment="from that notification to the commit"),
    )


def downgrade() -> None:
    op.drop_column("streams", "last_change_lag_seconds")
    op.drop_column("streams", "last_change_at")
