"""Commits batch after batch, says each size that is committed, and dies where it's told to.

Arguments: URL, and the name of a table at whose write, or of the moment when, it kills itself;
``never`` leaves that to others.
"""

from __future__ import annotations

import os
import signal
import sys

from sqlalchemy import event

from liaison.adapters.sql.writer import SqlWriter
from tests.contracts.batches import GrowingLog

BATCHES_BEFORE = 2
NOTES = 32


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(writer: SqlWriter, point: str) -> None:
    engine = writer._engine
    if point == "before COMMIT":
        event.listen(engine, "commit", die)
    elif point == "after COMMIT":
        do_commit = engine.dialect.do_commit

        def commit_and_die(connection) -> None:
            do_commit(connection)
            die()

        engine.dialect.do_commit = commit_and_die  # type: ignore[assignment, method-assign]
    else:

        def die_after(_connection, _cursor, statement, *_) -> None:
            if statement.startswith(f"INSERT INTO {point} "):
                die()

        event.listen(engine, "after_cursor_execute", die_after)


def main(url: str, point: str) -> None:
    writer = SqlWriter(url)
    log = GrowingLog(head=writer.head(), padding=8_000)
    done = 0
    while True:
        if done == BATCHES_BEFORE and point != "never":
            arm(writer, point)
        writer.commit(log.grow(NOTES))
        done += 1
        assert log.head is not None
        sys.stdout.write(f"{log.head.size}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
