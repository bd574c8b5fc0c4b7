"""Fills the disk under a node, and frees it: ``python -m tests.faults.filling FOLDER``.

FOLDER is a small file system of its own (tests/faults/test_disk.py mounts it where nobody else sees
it). What it finds it says by ending with an assertion, or with ``held`` on standard output.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from liaison.adapters.sql.source import StoreSource
from liaison.audit.walk import replay, verify
from liaison.statements.payloads import NotePrecedence, Verdict
from liaison.words.precedence import Precedence
from liaison.words.times import MINUTE
from tests.faults.field import ANCHORS, post
from tests.faults.process import Process, SteadyClock, spawn
from tests.node.live import Sent, live_node, settings_in, with_content
from tests.world import ANNA, DORA, MOD, MemoryWorld, signing

MIB = 1024 * 1024
ROUTINE = NotePrecedence(action=Precedence.ROUTINE, info=Precedence.ROUTINE)
SETTINGS = 'disk_low = "24MiB"\ndisk_reserve = "16MiB"\n'
AS_THE_COMMAND_ENDS = """
import sys
from liaison.cli.failure import tell
from liaison.words.errors import LiaisonError
from tests.faults import runner
try:
    runner.run()
except LiaisonError as exc:
    sys.exit(tell(exc))
"""


class Story:
    """One node on one small disk, and a file that takes the rest of it."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.filler = folder / "filler"
        self.reserve = self.home / "reserve"
        self.clock = SteadyClock.start()
        self.world = MemoryWorld()
        self.receipts: dict[str, dict[str, bytes]] = {}

    async def begin(self) -> None:
        self.home.mkdir()
        (self.home / "node.toml").write_text(SETTINGS)
        async with live_node(self.home) as node:
            await node.open_channel()
            self.world = node.world
        self.clock = SteadyClock.start()

    async def start(self) -> Process:
        journal = self.home.with_name("journal")
        args = ("-c", AS_THE_COMMAND_ENDS, str(self.home), "--since", str(self.clock.since))
        child = await spawn(args, journal)
        assert child.stdout is not None
        line = await asyncio.wait_for(child.stdout.readline(), 60)
        assert line, journal.read_text()[-4000:]
        return Process(child, line.decode().strip(), journal)

    # The disk

    def free(self) -> int:
        found = os.statvfs(self.home)
        return found.f_bavail * found.f_frsize

    def leave(self, left: int) -> None:
        """Have so many bytes be free at the most."""
        with self.filler.open("ab") as file:
            size = max(0, self.free() - left)
            if size:
                os.posix_fallocate(file.fileno(), file.tell(), size)

    # What is sent

    def note(self, *, is_flash: bool) -> Sent:
        self.world.clock = self.clock.now()
        said: dict[str, Any] = {} if is_flash else {"kind": "service", "precedence": ROUTINE}
        serial = self.world.next_serial(signing(f"{ANNA}/1"), MOD)
        return with_content(self.world.note(ANNA, serial=serial, **said), signing(f"{ANNA}/1"))

    async def sends(self, http: aiohttp.ClientSession, url: str, sent: Sent) -> str:
        """Send a note; return ``receipted`` or the code of what came."""
        status, said = await post(http, url, sent.parts)
        if status not in (200, 201):
            return str(said["code"])
        if sent.statement.digest not in self.receipts:
            self.world.accept(sent.statement)
        self.receipts[sent.statement.digest] = sent.parts
        return "receipted"

    async def answers(self, http: aiohttp.ClientSession, url: str, sent: Sent) -> int:
        self.world.clock = self.clock.now()
        answer = self.world.answer(DORA, Verdict.ACKNOWLEDGED, sent.statement.digest)
        status, _ = await post(http, url, {"statement": answer.raw})
        return status


async def until(holds: Callable[[], bool], timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 another process' doing
            await asyncio.sleep(0.05)


async def tell(folder: Path) -> None:
    story = Story(folder)
    await story.begin()
    node = await story.start()
    async with aiohttp.ClientSession() as http:
        await until(lambda: story.reserve.exists() and story.reserve.stat().st_size == 4 * MIB)
        first = story.note(is_flash=False)
        assert await story.sends(http, node.url, first) == "receipted"

        # Short: what is not urgent is refused, the rest goes on.
        story.leave(10 * MIB)
        refused = story.note(is_flash=False)
        assert await story.sends(http, node.url, refused) == "disk-reserve"
        assert await story.sends(http, node.url, first) == "receipted", "it is in the log"
        flash = story.note(is_flash=True)
        assert await story.sends(http, node.url, flash) == "receipted"
        assert await story.answers(http, node.url, first) == 201
        async with http.get(f"{node.url}/readyz") as answer:
            assert answer.status == 200
            assert "disk-low: " in await answer.text()

        # Another program takes everything: the reserve is given back, and answers are still taken.
        story.leave(0)
        assert await story.answers(http, node.url, flash) == 201
        await until(lambda: story.reserve.stat().st_size < 4 * MIB)
        assert await story.sends(http, node.url, story.note(is_flash=True)) == "receipted"
        assert story.reserve.stat().st_size > 0

        # Freed: everything goes on, and the reserve is whole again.
        story.filler.unlink()
        await until(lambda: story.reserve.stat().st_size == 4 * MIB)
        late = story.note(is_flash=False)
        assert await story.sends(http, node.url, late) == "receipted"
        async with http.get(f"{node.url}/readyz") as answer:
            assert await answer.text() == "ready\n"

        # It is filled until nothing is left: it ends loudly.
        until_s = time.monotonic() + 30
        while node.child.returncode is None and time.monotonic() < until_s:
            story.leave(0)
            await asyncio.sleep(0.05)
        assert await node.ended() == 4
        journal = node.journal.read_text()
        assert '"event": "disk-full"' in journal
        assert "The disk under the store is full" in journal
        assert "(disk-full)" in journal

        # Freed again, it begins where it stopped: what was receipted is there.
        story.filler.unlink()
        node = await story.start()
        for parts in story.receipts.values():
            assert (await post(http, node.url, parts))[0] == 200
        assert await story.sends(http, node.url, story.note(is_flash=False)) == "receipted"
    node.terminate()
    assert await node.ended() == 0
    assert not story.reserve.exists()
    for walk in (verify, replay):
        source = StoreSource(settings_in(story.home).database)
        report = await walk(source, ANCHORS, now=story.clock.now() + MINUTE)
        await source.close()
        assert report.exit_code == 0, report.to_text()


if __name__ == "__main__":
    asyncio.run(tell(Path(sys.argv[1])))
    sys.stdout.write("held\n")
