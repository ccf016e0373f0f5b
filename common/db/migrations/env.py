"""Alembic's entry: runs the revisions on the connection that `upgrade_database` hands over."""

from __future__ import annotations

from alembic import context

from common.db.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
