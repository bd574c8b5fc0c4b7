"""Clients of one node over all its lives: what they sent, what they hold, all they saw signed."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from liaison.adapters.sql.source import StoreSource
from liaison.audit.source import Anchors
from liaison.audit.walk import replay, verify
from liaison.ledger.receipt import Receipt, Verified
from liaison.statements import payloads
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import Verdict
from liaison.statements.statement import Statement, make_statement
from liaison.tlog.checkpoint import Checkpoint, open_checkpoint
from liaison.tlog.merkle import root_at
from liaison.tlog.note import VerifierKey
from liaison.tlog.tiles import Tile, node_from_tiles, tile_path, tiles_of_size
from liaison.words.encoding import from_base64
from liaison.words.times import MINUTE
from tests.faults.process import SteadyClock
from tests.node.live import settings_in, with_content
from tests.world import ANNA, DORA, ORIGIN, MemoryWorld, signing

LOG_KEY = VerifierKey.make(ORIGIN, signing("log").public)
ANCHORS = Anchors(
    ORIGIN, signing("log").public, signing("node").public, signing("administrator").public
)
ADDRESSEE = {ANNA: DORA, DORA: ANNA}
WORKERS = 4
DOWN = (aiohttp.ClientError, ConnectionError, asyncio.TimeoutError)


class Evidence:
    """All checkpoints that anybody ever saw. Two roots for one size are a fork, and end the test."""

    def __init__(self) -> None:
        self.roots: dict[int, bytes] = {}

    def take(self, text: str) -> Checkpoint:
        checkpoint = open_checkpoint(text, LOG_KEY, ORIGIN)
        self.add(checkpoint)
        return checkpoint

    def add(self, checkpoint: Checkpoint) -> None:
        known = self.roots.setdefault(checkpoint.size, checkpoint.root)
        assert known == checkpoint.root, f"two signed roots for size {checkpoint.size}"

    def receipt(self, text: str) -> Verified:
        """Return what a receipt proves; its checkpoint is evidence, too."""
        proved = Receipt.from_text(text).verify(LOG_KEY, ORIGIN)
        self.add(proved.checkpoint)
        return proved


@dataclass
class Item:
    """A statement that a client wants in the log, and what it holds of it."""

    by: str
    statement: Statement[Any]
    parts: dict[str, bytes]
    index: int | None = None

    @property
    def digest(self) -> str:
        return self.statement.digest

    @property
    def is_note(self) -> bool:
        return self.statement.kind == "note"


async def post(
    http: aiohttp.ClientSession, url: str, parts: Mapping[str, bytes]
) -> tuple[int, Any]:
    """Return status, and receipt text or problem document."""
    form = aiohttp.FormData()
    for name, data in parts.items():
        form.add_field(name, data, content_type="application/octet-stream", filename=name)
    async with http.post(f"{url}/v1/statements", data=form) as answer:
        if answer.content_type == "application/problem+json":
            return answer.status, await answer.json()
        return answer.status, await answer.text()


async def token_of(
    http: aiohttp.ClientSession, url: str, by: str, key: SigningKey, now: int
) -> str:
    async with http.post(f"{url}/v1/challenges") as answer:
        challenge = (await answer.json())["challenge"]
    session = payloads.Session(
        by=by, key=key.id, issued=now, lapse=now + MINUTE, log=ORIGIN, challenge=challenge
    )
    async with http.post(f"{url}/v1/sessions", data=make_statement(session, key).raw) as answer:
        body = await answer.json()
        assert answer.status == 201, body
        return str(body["token"])


async def check_roots(http: aiohttp.ClientSession, url: str, evidence: Evidence) -> Checkpoint:
    """Hold the log to every root that anybody ever saw signed; return its newest checkpoint."""
    async with http.get(f"{url}/log/checkpoint") as answer:
        now = evidence.take(await answer.text())
    tiles: dict[Tile, bytes] = {}
    for tile in tiles_of_size(now.size):
        async with http.get(f"{url}/log/{tile_path(tile)}") as answer:
            assert answer.status == 200
            tiles[tile] = await answer.read()
    get = node_from_tiles(tiles.__getitem__, now.size)
    for size, root in evidence.roots.items():
        assert size <= now.size, f"size {size} was signed, the log ends at {now.size}"
        assert root_at(size, get) == root, f"the log no longer leads to the root of {size}"
    return now


@dataclass
class Field:
    world: MemoryWorld
    clock: SteadyClock
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    evidence: Evidence = field(default_factory=Evidence)
    queues: dict[str, deque[Item]] = field(default_factory=lambda: {ANNA: deque(), DORA: deque()})
    held: dict[str, Item] = field(default_factory=dict)
    problems: list[tuple[int, Any]] = field(default_factory=list)
    positions: dict[str, str] = field(default_factory=dict)
    listed: dict[str, Counter[str]] = field(
        default_factory=lambda: {ANNA: Counter(), DORA: Counter()}
    )
    answers_sent: int = 0
    duplicates_sent: int = 0
    readiness: list[int] = field(default_factory=list)
    _serials: Counter[str] = field(default_factory=Counter)

    def stock(self, count: int) -> None:
        """Make notes ahead, so that making them doesn't slow the load."""
        self.world.clock = self.clock.now()
        for by, queue in self.queues.items():
            while len(queue) < count:
                self._serials[by] += 1
                note = self.world.note(by, serial=self._serials[by])
                sent = with_content(note, signing(f"{by}/1"))
                queue.append(Item(by, sent.statement, sent.parts))

    # Load

    async def load(self, url: str, seconds: float | None = None) -> None:
        """Send, answer, send again, and poll, until the node is gone or the time is up."""
        until = float("inf") if seconds is None else time.monotonic() + seconds
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            workers = [
                asyncio.create_task(self._work(http, url, by, until))
                for by in self.queues
                for _ in range(WORKERS)
            ]
            poller = asyncio.create_task(self._poll(http, url))
            try:
                await asyncio.gather(*workers)
            finally:
                poller.cancel()
                await asyncio.gather(poller, return_exceptions=True)

    async def _work(self, http: aiohttp.ClientSession, url: str, by: str, until: float) -> None:
        queue = self.queues[by]
        while queue and time.monotonic() < until:
            item = queue.popleft()
            try:
                texts = await self._send(http, url, item)
            except DOWN:
                queue.appendleft(item)
                return
            for text in texts:
                self.keep(item, text)
            if not texts:
                queue.appendleft(item)
                return
            if item.is_note and self.chance.random() < 0.4:
                self._answer(item)

    async def _send(self, http: aiohttp.ClientSession, url: str, item: Item) -> list[str]:
        """Send once or, at times, twice at once; return the receipts that came."""
        times = 2 if self.chance.random() < 0.15 else 1
        answers = await asyncio.gather(
            *(post(http, url, item.parts) for _ in range(times)), return_exceptions=True
        )
        texts, failure = [], None
        for answer in answers:
            if isinstance(answer, BaseException):
                failure = answer
            elif answer[0] in (200, 201):
                texts.append(answer[1])
            else:
                self.problems.append(answer)
        self.duplicates_sent += times - 1
        if failure is not None and not texts:
            raise failure
        return texts

    def _answer(self, note: Item) -> None:
        by = ADDRESSEE[note.by]
        self.world.clock = self.clock.now()
        verdict = self.chance.choice((Verdict.DELIVERED, Verdict.ACKNOWLEDGED))
        statement = self.world.answer(by, verdict, note.digest)
        self.queues[by].appendleft(Item(by, statement, {"statement": statement.raw}))
        self.answers_sent += 1

    async def _poll(self, http: aiohttp.ClientSession, url: str) -> None:
        while True:
            try:
                async with http.get(f"{url}/log/checkpoint") as answer:
                    self.evidence.take(await answer.text())
                async with http.get(f"{url}/readyz") as answer:
                    self.readiness.append(answer.status)
            except DOWN:
                return
            await asyncio.sleep(0.01)

    def keep(self, item: Item, text: str) -> None:
        """Keep a receipt, after checking that it is one, and of what was sent."""
        proved = self.evidence.receipt(text)
        assert proved.fields["statement"] == item.statement.raw
        assert item.index in (None, proved.index), "one statement has two places in the log"
        item.index = proved.index
        self.held[item.digest] = item

    # What must be true of a node that took the log up

    async def settle(self, url: str) -> None:
        """Send again what has no answer, then hold the node to all that was ever receipted."""
        async with aiohttp.ClientSession() as http:
            await self._send_unanswered(http, url)
            await self._check_log(http, url)
            for member in self.listed:
                await self._check_inbox(http, url, member)

    async def _send_unanswered(self, http: aiohttp.ClientSession, url: str) -> None:
        for queue in self.queues.values():
            # What was sent stands at the front: put back when its answer didn't come.
            for _ in range(min(len(queue), WORKERS * 2)):
                item = queue.popleft()
                status, text = await post(http, url, item.parts)
                assert status in (200, 201), text
                self.keep(item, text)

    async def _check_log(self, http: aiohttp.ClientSession, url: str) -> None:
        now = await check_roots(http, url, self.evidence)
        places: dict[str, list[int]] = {}
        for index, fields in enumerate(await self._openings(http, url, now.size)):
            digest = json.loads(fields[7])["statement"]
            places.setdefault(digest, []).append(index)
            if digest in self.held:
                assert fields[6] == self.held[digest].statement.raw
        for digest, item in self.held.items():
            assert places.get(digest) == [item.index]
        assert len(places) == now.size
        begun = {statement.digest for statement in self.world.accepted[1:]}
        (first,) = (digest for digest, at in places.items() if at == [0])
        assert places.keys() == {first} | begun | self.held.keys()

    async def _openings(
        self, http: aiohttp.ClientSession, url: str, size: int
    ) -> list[tuple[bytes, ...]]:
        token = await token_of(http, url, ORIGIN, signing("administrator"), self.clock.now())
        headers = {"Authorization": f"Bearer {token}"}
        entries: list[tuple[bytes, ...]] = []
        while len(entries) < size:
            ask = f"{url}/v1/openings?start={len(entries)}&end={size}"
            async with http.get(ask, headers=headers) as answer:
                page = (await answer.json())["entries"]
            assert page
            entries += [tuple(from_base64(value) for value in entry["fields"]) for entry in page]
        return entries

    async def _check_inbox(self, http: aiohttp.ClientSession, url: str, member: str) -> None:
        """List on from the last position, as a client does; nothing may appear behind it."""
        token = await token_of(http, url, member, signing(f"{member}/1"), self.clock.now())
        headers = {"Authorization": f"Bearer {token}"}
        counted = self.listed[member]
        while True:
            after = self.positions.get(member)
            ask = f"{url}/v1/inbox?limit=256" + (f"&after={after}" if after else "")
            async with http.get(ask, headers=headers) as answer:
                page = await answer.json()
            for entry in page["items"]:
                proved = self.evidence.receipt(entry["receipt"])
                digest = json.loads(proved.fields["facts"])["statement"]
                if entry["kind"] == "note":
                    counted[digest] += 1
                self.positions[member] = entry["position"]
            if not page["more"]:
                break
        mine = [i.digest for i in self.held.values() if i.is_note and ADDRESSEE[i.by] == member]
        assert counted == Counter(mine)

    async def audit(self, home: Path) -> None:
        """Recompute the whole log from the store, and decide it all anew."""
        newest = Checkpoint(ORIGIN, *max(self.evidence.roots.items()))
        for walk in (verify, replay):
            source = StoreSource(settings_in(home).database)
            report = await walk(source, ANCHORS, now=self.clock.now() + MINUTE)
            await source.close()
            assert report.exit_code == 0, report.to_text()
            assert report.size == newest.size
            if report.root is not None:
                assert report.root == newest.root.hex()

    def unexpected(self, *expected: str) -> list[tuple[int, Any]]:
        """Return the problems that clients got and that have none of these codes."""
        return [p for p in self.problems if p[1]["code"] not in expected]


def indexes(items: Iterable[Item]) -> list[int]:
    return sorted(item.index for item in items if item.index is not None)
