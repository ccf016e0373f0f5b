"""Removals that are too many wait for a decision.

Revision: 0002, after: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

GUID = sa.String(length=36).with_variant(sa.UUID(as_uuid=False), "postgresql")
MOMENT = sa.DateTime(timezone=True)
SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "holds",
        sa.Column("hold_id", SEQUENCE, nullable=False, autoincrement=True),
        sa.Column("tenant_id", GUID, nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("began_at", MOMENT, nullable=False),
        sa.Column("mode", sa.Text(), nullable=False, comment="of the round that wanted to remove too many"),
        sa.Column("reason", sa.Text(), nullable=False, comment="of that round"),
        sa.Column("book_size", sa.Integer(), nullable=False, comment="contacts or groups in the book then"),
        sa.Column("removal_limit", sa.Integer(), nullable=False, comment="so many could have gone in a day unasked"),
        sa.Column("removed_before", sa.Integer(), nullable=False, comment="in the day before, within the limit"),
        sa.Column("last_number", sa.Integer(), nullable=False, comment="of the latest removal that was held"),
        sa.Column("decision", sa.Text(), nullable=True, comment="approve | reject; null: nobody has decided"),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column(
            "decided_up_to",
            sa.Integer(),
            nullable=True,
            comment="the number of the last removal that was shown when it was approved",
        ),
        sa.Column("decision_request_id", sa.Text(), nullable=True, comment="the command that decided"),
        sa.Column("ended_at", MOMENT, nullable=True, comment="null: it is open"),
        sa.Column("outcome", sa.Text(), nullable=True, comment="approved | rejected | returned"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_holds_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("hold_id", name=op.f("pk_holds")),
        comment="Removals that were too many to be made unasked, and what was decided.",
    )
    op.create_index("ix_holds_tenant_id_stream", "holds", ["tenant_id", "stream"])
    op.create_table(
        "held_removals",
        sa.Column("tenant_id", GUID, nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("object_id", GUID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="grows within a hold"),
        sa.Column("noted_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_held_removals_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "stream", "object_id", name=op.f("pk_held_removals")),
        comment="Who would be removed if the open hold of the stream were approved.",
    )
    op.add_column(
        "streams",
        sa.Column("hold_id", SEQUENCE, nullable=True, comment="removals wait for a decision; null: nothing is held"),
    )
    op.add_column(
        "tenants",
        sa.Column(
            "removal_limit_count",
            sa.Integer(),
            nullable=True,
            comment="so many may leave in a day unasked; null: the usual limit",
        ),
    )
    op.add_column(
        "tenants",
        sa.Column(
            "removal_limit_percent",
            sa.Integer(),
            nullable=True,
            comment="or so much of the book; null: the usual limit",
        ),
    )
    op.create_index("ix_changes_tenant_id_kind_at", "changes", ["tenant_id", "kind", "at"])


def downgrade() -> None:
    op.drop_index("ix_changes_tenant_id_kind_at", "changes")
    op.drop_column("tenants", "removal_limit_percent")
    op.drop_column("tenants", "removal_limit_count")
    op.drop_column("streams", "hold_id")
    op.drop_table("held_removals")
    op.drop_index("ix_holds_tenant_id_stream", "holds")
    op.drop_table("holds")
