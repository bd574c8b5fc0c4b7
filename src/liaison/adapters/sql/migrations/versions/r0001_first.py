"""The first schema.

It spells out what liaison.adapters.sql.schema was then: a revision doesn't follow later changes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "head",
        sa.Column("one", sa.SmallInteger, autoincrement=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("one", name="pk_head"),
        sa.CheckConstraint("one = 1", name=op.f("ck_head_one")),
    )
    op.create_table(
        "entries",
        sa.Column(
            "index",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
        ),
        sa.Column("entry", sa.LargeBinary, nullable=False),
        sa.Column("leaf_key", sa.LargeBinary),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("channel", sa.LargeBinary, nullable=False),
        sa.Column("note", TEXT),
        sa.Column("actor", TEXT),
        sa.Column("urgency", sa.LargeBinary),
        sa.Column("statement", sa.LargeBinary),
        sa.Column("facts", sa.LargeBinary),
        sa.Column("digest", TEXT),
        sa.Column("scope", TEXT, nullable=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("index", name="pk_entries"),
        sa.UniqueConstraint("digest", name="uq_entries_digest"),
        sa.UniqueConstraint("scope", "n", name="uq_entries_scope_n"),
    )
    op.create_table(
        "tiles",
        sa.Column("level", sa.SmallInteger, autoincrement=False),
        sa.Column("n", sa.BigInteger, autoincrement=False),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("level", "n", name="pk_tiles"),
    )
    op.create_table(
        "cells",
        sa.Column("key", TEXT),
        sa.Column("row", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_cells"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "inbox",
        sa.Column("member", TEXT),
        sa.Column("pos", sa.BigInteger, autoincrement=False),
        sa.Column("note_index", sa.BigInteger, autoincrement=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("precedence", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("member", "pos", "note_index", name="pk_inbox"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "contents",
        sa.Column(
            "index",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
        ),
        sa.Column("ciphertext", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("index", name="pk_contents"),
    )
    op.create_table(
        "wraps",
        sa.Column("index", sa.BigInteger, autoincrement=False),
        sa.Column("key", TEXT),
        sa.Column("device", TEXT, nullable=False),
        sa.Column("wrap", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("index", "key", name="pk_wraps"),
        sqlite_with_rowid=False,
    )
