"""Room in each page of memberships to mark its rows as seen.

Only PostgreSQL knows of it. Pages that are full already get room when their rows are written anew.

Revision: 0010, after: 0009
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE memberships SET (fillfactor = 50)")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE memberships RESET (fillfactor)")
