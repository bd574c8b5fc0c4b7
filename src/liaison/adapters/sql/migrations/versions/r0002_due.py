"""Due moments: an index over the cells that hold one, and over the records that came of them.

Cells that are there already hold none: what gives a cell its first due moment is newer than the
schema before this one. Of ``entries`` no row or column is touched, only an index is added.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("cells", sa.Column("channel", TEXT))
    op.add_column("cells", sa.Column("due", sa.BigInteger))
    for name, table, columns, where in (
        ("ix_cells_due", "cells", ["due"], "due IS NOT NULL"),
        ("ix_cells_channel_due", "cells", ["channel", "due"], "due IS NOT NULL"),
        (
            "ix_entries_about_note",
            "entries",
            ["note", "index"],
            "coalesce(digest, '') = '' AND note != ''",
        ),
    ):
        op.create_index(
            name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
        )
