"""What Alembic runs: the revisions, on the connection and in the transaction that it's given."""

from __future__ import annotations

from alembic import context

from liaison.adapters.sql.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
