"""Changes that are still to be told to consumers are marked, and one worker at a time tells them.

Revision: 0006, after: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

FEED = "Append-only feed of what happened to which id; no personal values."
OUTBOX = f"{FEED} Also the outbox of events."


def upgrade() -> None:
    op.add_column(
        "changes",
        sa.Column(
            "unpublished",
            sa.Boolean(),
            nullable=True,
            comment="true: still to be told to consumers; null: nothing to do",
        ),
    )
    waiting = sa.text("unpublished IS NOT NULL")
    op.create_index(
        "ix_changes_unpublished", "changes", ["tenant_id", "sequence"], postgresql_where=waiting, sqlite_where=waiting
    )
    _describe_changes(OUTBOX, FEED)
    op.create_table(
        "duties",
        sa.Column("duty", sa.Text(), nullable=False, comment="feed"),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("duty", name=op.f("pk_duties")),
        comment="What one worker at a time does for all; whoever dies over it is followed by another.",
    )


def downgrade() -> None:
    op.drop_table("duties")
    _describe_changes(FEED, OUTBOX)
    op.drop_index("ix_changes_unpublished", "changes")
    op.drop_column("changes", "unpublished")


def _describe_changes(comment: str, before: str) -> None:
    if op.get_context().dialect.supports_comments:
        op.create_table_comment("changes", comment, existing_comment=before)
