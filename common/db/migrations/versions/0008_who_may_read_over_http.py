"""Who may read the address book over HTTP: keys, each for some tenants or for all.

Revision: 0008, after: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"

GUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text(), nullable=False, comment="the part of the key that is no secret"),
        sa.Column("name", sa.Text(), nullable=False, comment="who uses it, in the words of the operator"),
        sa.Column(
            "digest",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of the whole key, in hex; the key itself is stored nowhere",
        ),
        sa.Column("all_tenants", sa.Boolean(), nullable=False, comment="true: those that are added later, too"),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True, comment="null: never"),
        sa.Column("revoked_at", MOMENT, nullable=True, comment="null: it is in use"),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_keys")),
        comment="Who may read the address book over HTTP.",
    )
    in_use = sa.text("revoked_at IS NULL")
    op.create_index("ix_api_keys_name", "api_keys", ["name"], unique=True, postgresql_where=in_use, sqlite_where=in_use)
    op.create_table(
        "api_key_tenants",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", GUID, nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"], ["api_keys.key_id"], name=op.f("fk_api_key_tenants_key_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_api_key_tenants_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key_id", "tenant_id", name=op.f("pk_api_key_tenants")),
        comment="Whose address books a key opens, unless it is all_tenants; without a row: nobody's.",
    )
    op.create_index("ix_api_key_tenants_tenant_id", "api_key_tenants", ["tenant_id"])


def downgrade() -> None:
    op.drop_table("api_key_tenants")
    op.drop_table("api_keys")
