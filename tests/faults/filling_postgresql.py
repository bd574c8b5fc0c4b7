"""Fills the disk under a PostgreSQL, and frees it: ``python -m tests.faults.filling_postgresql DISK HOME``.

DISK is a small file system of its own, on which the log's tables are; what the server writes ahead is
elsewhere. What it finds it says by ending with an assertion, or with ``held`` on standard output.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from liaison.adapters.sql.source import StoreSource
from liaison.audit.walk import replay, verify
from liaison.node.storage import TRIED_AGAIN
from liaison.statements.payloads import NotePrecedence
from liaison.words.precedence import Precedence
from tests.faults.field import ANCHORS
from tests.faults.test_postgresql import point
from tests.node.live import HandClock, LiveNode, Sent, live_node, settings_in, with_content
from tests.postgresql import Server, running
from tests.world import ANNA, MOD, signing

ROUTINE = NotePrecedence(action=Precedence.ROUTINE, info=Precedence.ROUTINE)
LARGE = 256 * 1024


def fill(file: Path) -> None:
    """Take all that is left."""
    with file.open("ab", buffering=0) as taking:
        for size in (1024 * 1024, 4096, 1):
            try:
                while True:
                    taking.write(bytes(size))
            except OSError:
                continue


def free(file: Path) -> None:
    file.unlink()


def database_on(disk: Path, server: Server) -> str:
    """Return the URL of a new database whose tables are on that disk."""
    space = disk / "space"
    space.mkdir()
    owner = server.folder.stat()
    os.chown(space, owner.st_uid, owner.st_gid)
    server.run(f"CREATE TABLESPACE small LOCATION '{space}'")
    server.run("CREATE DATABASE filled OWNER liaison TABLESPACE small")
    return server.url("filled")


def notes(node: LiveNode, **said: Any) -> Iterator[Sent]:
    """Give notes that the node may take, one after the other; none spends a serial before it is taken."""
    key = signing(f"{ANNA}/1")
    while True:
        note = node.world.note(serial=node.world.next_serial(key, MOD), **said)
        yield with_content(note, key, LARGE)


async def ready(node: LiveNode) -> str:
    async with node.http.get(f"{node.running.url}/readyz") as answer:
        assert answer.status == 200
        return await answer.text()


async def until_refused(node: LiveNode) -> dict[str, Any]:
    """Send routine notes until one is refused; return that problem."""
    for note in notes(node, precedence=ROUTINE):
        status, told = await node.post(**note.parts)
        if status != 201:
            assert isinstance(told, dict)
            return told
        node.world.accept(note.statement)
    raise AssertionError("unreachable")


async def story(node: LiveNode, filler: Path) -> None:
    fill(filler)
    with capture_logs() as journal:
        problem = await until_refused(node)
    assert (problem["status"], problem["code"]) == (503, "commit-failed"), problem
    assert problem["detail"] == (
        "the node could not store this: its store says that its disk is full"
    )
    assert problem["safe"] == "nothing of it happened"
    assert "store-full" in [line["event"] for line in journal]
    # What is not urgent is not tried for a while, and it is said everywhere.
    checkpoint = node.running.services.sequencer.published.checkpoint
    for _ in range(3):
        problem = await until_refused(node)
        assert (problem["status"], problem["code"]) == (507, "disk-reserve"), problem
    assert "disk is full: only what is urgent is tried" in problem["detail"]
    assert node.running.services.sequencer.published.checkpoint == checkpoint
    node.running.services.storage.look()
    assert "disk-low: the database says that its disk is full" in await ready(node)
    # FLASH is tried; whether it fits the database says, and nothing in between.
    status, told = await node.post(**next(notes(node)).parts)
    assert status == 503, told
    # There is room again: after a minute the next note shows it.
    free(filler)
    assert (await until_refused(node))["code"] == "disk-reserve"
    node.clock.advance(TRIED_AGAIN)
    note = next(notes(node, precedence=ROUTINE))
    status, told = await node.post(**note.parts)
    assert status == 201, told
    node.world.accept(note.statement)
    node.running.services.storage.look()
    assert "database" not in await ready(node)


async def main(disk: Path, home: Path) -> None:
    with running() as server:
        point(home, database_on(disk, server))
        clock = HandClock()
        async with live_node(home, clock) as node:
            await node.open_channel()
            await story(node, disk / "filler")
            size = node.running.services.sequencer.published.head.size
        for audit in (verify, replay):
            source = StoreSource(settings_in(home).database)
            report = await audit(source, ANCHORS, now=clock.now())
            await source.close()
            assert report.exit_code == 0, report.to_text()
            assert report.size == size


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
    sys.stdout.write("held\n")
