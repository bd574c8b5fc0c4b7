"""Many devices online: one note to all of them, all of them coming back at once, one long inbox."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sqlite3
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.stage import ORIGIN, Stage, prepare, rss_mib, token
from benchmarks.streams import listen, listening, unbounded
from benchmarks.wire import Connection, percentile_ms, request_of
from liaison.cli.channel import read_defaults
from liaison.client import Content, Draft
from liaison.client.device import KEPT_FOR, LAPSE, USED_FOR
from liaison.client.handover import Request
from liaison.client.seat import wall_clock
from liaison.client.transport import Transport
from liaison.sealing.keys import EncryptionKey
from liaison.settings import Settings
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import Key, Session
from liaison.statements.statement import make_statement
from liaison.words.encoding import to_base64
from liaison.words.times import MINUTE

FORUM = "bench-forum"
DEVICES = 2
"""Of each member: a directory lists 512 members at most."""
OF_POST = 25
"""Members."""
PAGE = 64
ROUNDS = 5


@dataclass(frozen=True)
class Person:
    """A member at one device; its encryption key is nobody's: it only counts."""

    member: str
    post: str
    key: SigningKey
    token: str


async def crowd(made: Stage, count: int) -> list[Person]:
    """Enrol so many devices at ``mod.example``, on the roster of a forum; all have sessions."""
    numbers = [n // DEVICES for n in range(count)]
    named = [(f"m{n}@mod.example", f"p{n // OF_POST}@mod.example") for n in numbers]
    keys = [SigningKey(secrets.token_bytes(32)) for _ in named]
    async with made.authority("FA") as fa, made.authority("MA") as ma:
        for (member, post), key in zip(named, keys, strict=True):
            public, proof = to_base64(key.public), key.prove_possession(member)
            ma.approve(Request(member, post, member, public, proof), ["attache"])
        await ma.post()
        seats = {"fco.example": "chair", "mod.example": "member"}
        fa.propose("forum", FORUM, ["mod.example"], read_defaults("forum"), seats=seats)
        await fa.post()
        for authority in (fa, ma):
            authority.accede(await authority.charter(FORUM))
            await authority.post()
        posts = sorted({post for _, post in named})
        fa.set_roster(
            FORUM, [("desk", ["attache.london@fco.example", "attache.paris@fco.example"])]
        )
        ma.set_roster(FORUM, [(f"t{n}", posts[n : n + 32]) for n in range(0, len(posts), 32)])
        for authority in (fa, ma):
            authority.sign_directory()
            await authority.post()
    async with Transport(made.url) as node, unbounded() as http:
        people = []
        for (member, post), key in zip(named, keys, strict=True):
            await node.submit(_certified(member, key))
            people.append(Person(member, post, key, await _session(http, made.url, member, key)))
    return people


def _certified(member: str, key: SigningKey) -> bytes:
    now = wall_clock()
    return make_statement(
        Key(
            by=member,
            key=key.id,
            issued=now,
            lapse=now + LAPSE,
            encryption=to_base64(EncryptionKey.generate().public),
            use_from=now,
            use_until=now + USED_FOR,
            kept_until=now + USED_FOR + KEPT_FOR,
        ),
        key,
    ).raw


async def _session(http: aiohttp.ClientSession, url: str, member: str, key: SigningKey) -> str:
    async with http.post(f"{url}/v1/challenges") as answer:
        challenge = str((await answer.json())["challenge"])
    now = wall_clock()
    session = Session(
        by=member,
        key=key.id,
        issued=now,
        lapse=now + MINUTE,
        log=ORIGIN,
        challenge=challenge,
    )
    async with http.post(f"{url}/v1/sessions", data=make_statement(session, key).raw) as answer:
        return str((await answer.json())["token"])


@dataclass
class Online:
    """Devices that are connected: when each was ready, and when each had its newest item."""

    devices: list[asyncio.Task[None]]
    ready_s: dict[str, float]
    came: dict[str, float]
    last: dict[str, str]
    changed: asyncio.Event

    async def all_ready(self) -> None:
        while len(self.ready_s) < len(self.devices):
            await self.changed.wait()
            self.changed.clear()

    async def all_have(self) -> None:
        while len(self.came) < len(self.devices):
            await self.changed.wait()
            self.changed.clear()


@contextlib.asynccontextmanager
async def online(
    url: str, people: Sequence[Person], after: dict[str, str] | None = None
) -> AsyncIterator[Online]:
    """Have everybody join at once."""
    found = Online([], {}, {}, {}, asyncio.Event())
    started = time.perf_counter()

    def join(http: aiohttp.ClientSession, person: Person) -> asyncio.Task[None]:
        def ready() -> None:
            found.ready_s[person.key.id] = time.perf_counter() - started
            found.changed.set()

        def seen(frame: dict[str, object], at: float) -> None:
            found.came[person.key.id] = at
            found.last[person.key.id] = str(frame["position"])
            found.changed.set()

        known = (after or {}).get(person.key.id)
        return asyncio.create_task(
            listen(http, url, person.token, seen=seen, ready=ready, after=known)
        )

    async with unbounded() as http:
        found.devices += [join(http, person) for person in people]
        try:
            yield found
        finally:
            for device in found.devices:
                device.cancel()
            await asyncio.gather(*found.devices, return_exceptions=True)


async def fan_out(made: Stage, people: Sequence[Person]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Send notes to all, who are online; then have all come back at once.

    Return both rows: of the notes, medians of their percentiles, and of the storm.
    """
    note = Draft(
        channel=FORUM,
        to=(),
        info=tuple(sorted({person.post for person in people})),
        content=Content.text("Load", "x" * 1024),
        kind="statement",
    )
    prepared = await prepare(made, [note] * ROUNDS)
    accept, half, most = [], [], []
    before = rss_mib(made.pid)
    async with online(made.url, people) as crowd_online, Connection(made.url) as connection:
        await crowd_online.all_ready()
        memory = rss_mib(made.pid) - before
        for each in prepared:
            crowd_online.came.clear()
            started = time.perf_counter()
            status, body = await connection.ask(request_of(each))
            accept.append((time.perf_counter() - started) * 1000)
            assert status == 201, body
            await crowd_online.all_have()
            took = [at - started for at in crowd_online.came.values()]
            half.append(percentile_ms(took, 50))
            most.append(percentile_ms(took, 99))
        last = crowd_online.last
    async with online(made.url, people, last) as again:
        await again.all_ready()
    return {
        "online": len(people),
        "statement_kib": round(len(body) / 1024),
        "accept_ms": round(statistics.median(accept), 1),
        "p50_ms": round(statistics.median(half), 1),
        "p99_ms": round(statistics.median(most), 1),
        "kib_per_stream": round(memory * 1024 / len(people), 1),
    }, {
        "devices": len(people),
        "ready_p50_ms": percentile_ms(list(again.ready_s.values()), 50),
        "ready_last_ms": percentile_ms(list(again.ready_s.values()), 100),
    }


def lengthen(home: Path, member: str, count: int) -> None:
    """Give a member of the stopped node in ``home`` an inbox of ``count`` items.

    They are alerts, each at an entry that is there, about notes that are there.
    """
    store = Settings(home=home).database.removeprefix("sqlite:///")
    with sqlite3.connect(store) as found:
        (size,) = found.execute("SELECT size FROM head").fetchone()
        positions = ((pos, note) for pos in range(size) for note in range(size))
        found.executemany(
            "INSERT OR IGNORE INTO inbox (member, pos, note_index, kind, precedence)"
            " VALUES (?, ?, ?, 'alert', 'routine')",
            ((member, pos, note) for _, (pos, note) in zip(range(count), positions, strict=False)),
        )
    found.close()


async def long_inbox(made: Stage, name: str, count: int) -> dict[str, Any]:
    """Return what a page of an inbox of ``count`` items takes, and how its stream begins."""
    asker = await token(made, name)
    took: list[float] = []
    started = time.perf_counter()
    async with Connection(made.url) as connection:
        after, listed = "", 0
        more = True
        while more:
            asked = time.perf_counter()
            page = await connection.page(asker, after, limit=PAGE)
            took.append(time.perf_counter() - asked)
            listed += len(page["items"])
            after, more = page["items"][-1]["position"], page["more"]
    list_s = time.perf_counter() - started
    assert listed >= count, f"{listed} of {count} are in the inbox"
    first: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def seen(_: dict[str, object], at: float) -> None:
        if not first.done():
            first.set_result(at)

    joined = time.perf_counter()
    async with listening(made.url, asker, seen, from_start=True):
        first_s = await first - joined
    return {
        "items": listed,
        "page_p50_ms": percentile_ms(took, 50),
        "page_p99_ms": percentile_ms(took, 99),
        "items_per_s": round(listed / list_s),
        "stream_first_ms": round(first_s * 1000, 1),
    }
