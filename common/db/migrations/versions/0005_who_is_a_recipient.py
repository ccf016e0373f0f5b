"""Whether people with a disabled account, and guests, are recipients is the tenant's choice.

Revision: 0005, after: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column(
        "tenants",
        sa.Column(
            "disabled_are_recipients",
            sa.Boolean(),
            nullable=False,
            server_default=sa.false(),
            comment="people whose account is disabled",
        ),
    )
    op.add_column(
        "tenants",
        sa.Column("guests_are_recipients", sa.Boolean(), nullable=False, server_default=sa.true()),
    )


def downgrade() -> None:
    op.drop_column("tenants", "guests_are_recipients")
    op.drop_column("tenants", "disabled_are_recipients")
