"""Commands and their results are kept; a tenant may be paused, be in a national cloud, and its credential may expire.

Revision: 0003, after: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

GUID = sa.String(length=36).with_variant(sa.UUID(as_uuid=False), "postgresql")
MOMENT = sa.DateTime(timezone=True)
SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COUNTS = ("pages", "objects", "added", "changed", "removed")


def upgrade() -> None:
    _describe_state("active | paused | access_failed", "active | access_failed")
    op.add_column(
        "tenants",
        sa.Column(
            "credential_expires_at",
            MOMENT,
            nullable=True,
            comment="as told by the certificate, an operator or a failure; null: unknown",
        ),
    )
    op.add_column(
        "tenants",
        sa.Column(
            "expiry_told_days",
            sa.Integer(),
            nullable=True,
            comment="the warning that was given last: so many days before; null: none yet",
        ),
    )
    op.add_column(
        "tenants",
        sa.Column(
            "cloud", sa.Text(), nullable=True, comment="a national cloud of Microsoft; null: the one of the settings"
        ),
    )
    op.create_table(
        "commands",
        sa.Column("command_id", sa.Text(), nullable=False, comment="its message id, or one that was given to it"),
        sa.Column(
            "digest",
            sa.Text(),
            nullable=False,
            comment="of its body: tells a command without message id that comes again",
        ),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("asked", sa.JSON(), nullable=False, comment="the command as it was understood; empty: not at all"),
        sa.Column("asked_by", sa.Text(), nullable=True, comment="who asked, if the message says so"),
        sa.Column("problem", sa.Text(), nullable=True, comment="why it was refused"),
        sa.Column("note", sa.Text(), nullable=True, comment="what came of it, where its parts do not tell"),
        sa.Column("noted_at", MOMENT, nullable=True, comment="when all its parts were written down; null: not yet"),
        sa.Column("finished_at", MOMENT, nullable=True, comment="when its result was written down"),
        sa.PrimaryKeyConstraint("command_id", name=op.f("pk_commands")),
        comment="What operators asked for, once each, however often it is delivered.",
    )
    op.create_index("ix_commands_finished_at", "commands", ["finished_at"])
    op.create_index("ix_commands_digest_received_at", "commands", ["digest", "received_at"])
    op.create_table(
        "command_parts",
        sa.Column("command_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", GUID, nullable=False),
        sa.Column("part", sa.Text(), nullable=False, comment="users | groups | subscriptions | access | state"),
        sa.Column("answered_at", MOMENT, nullable=True, comment="null: still to be done"),
        sa.Column("error", sa.Text(), nullable=True, comment="why it could not be done; null: it was done"),
        sa.Column("note", sa.Text(), nullable=True, comment="what else there is to say"),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in COUNTS),
        sa.ForeignKeyConstraint(
            ["command_id"], ["commands.command_id"], name=op.f("fk_command_parts_command_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_command_parts_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("command_id", "tenant_id", "part", name=op.f("pk_command_parts")),
        comment="What a command asks for, tenant by tenant, and what came of it.",
    )
    op.create_index("ix_command_parts_tenant_id_part", "command_parts", ["tenant_id", "part"])
    op.create_table(
        "results",
        sa.Column("result_id", SEQUENCE, nullable=False, autoincrement=True),
        sa.Column("message_id", GUID, nullable=False, comment="the same however often it is published"),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="command | round | warning"),
        sa.Column("tenant_id", GUID, nullable=True, comment="null: several, or none"),
        sa.Column("command_id", sa.Text(), nullable=True, comment="of a command's result"),
        sa.Column("outcome", sa.Text(), nullable=False, comment="done | failed | refused | repeated | warning"),
        sa.Column("summary", sa.Text(), nullable=False, comment="one sentence for people"),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("publish_after", MOMENT, nullable=True, comment="to be put on sync.results; null: it is there"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_results_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("result_id", name=op.f("pk_results")),
        comment="What is told to operators: the results of commands and of full rounds, and warnings.",
    )
    op.create_index("ix_results_publish_after", "results", ["publish_after"])
    op.create_index("ix_results_at", "results", ["at"])


def downgrade() -> None:
    _describe_state("active | access_failed", "active | paused | access_failed")
    op.drop_table("results")
    op.drop_table("command_parts")
    op.drop_table("commands")
    op.drop_column("tenants", "cloud")
    op.drop_column("tenants", "expiry_told_days")
    op.drop_column("tenants", "credential_expires_at")


def _describe_state(comment: str, before: str) -> None:
    if op.get_context().dialect.supports_comments:
        op.alter_column("tenants", "state", existing_type=sa.Text(), comment=comment, existing_comment=before)
