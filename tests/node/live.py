"""A real node over real sockets, on a clock moved by hand, and a world in memory that writes for it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from liaison.ledger.receipt import Receipt, Verified
from liaison.main import Running, begin, read_card, run_node
from liaison.node.intake import WRAP_BYTES
from liaison.settings import Settings, load_settings
from liaison.statements import payloads
from liaison.statements.keys import SigningKey
from liaison.statements.statement import Statement, make_statement
from liaison.tlog.note import VerifierKey
from liaison.words.encoding import from_base64, to_base64
from liaison.words.times import SECOND
from tests.node.shaped import check_answer
from tests.world import ANNA, FCO, MOD, ORIGIN, T0, MemoryWorld, fixed, signing

SEEDS = {purpose: signing(purpose).seed for purpose in ("log", "node", "administrator")}


@dataclass
class HandClock:
    """Both clocks move together, unless a test lets the wall clock step."""

    wall: int = T0
    boot: int = 1_000 * SECOND

    def now(self) -> int:
        return self.wall

    def since_boot(self) -> int:
        return self.boot

    def advance(self, micros: int) -> None:
        self.wall += micros
        self.boot += micros


def settings_in(folder: Path) -> Settings:
    """Return the settings of the node in ``folder``: where its node.toml says, any free port."""
    return load_settings(folder, options={"listen": "127.0.0.1:0"}).settings


def begin_in(folder: Path, clock: HandClock | None = None) -> Settings:
    settings = settings_in(folder)
    begin(settings, ORIGIN, seeds=SEEDS, url="http://127.0.0.1", clock=clock or HandClock())
    return settings


@dataclass(frozen=True)
class Sent:
    """A note with bytes for its content: the node can't tell them from sealed ones."""

    statement: Statement[payloads.Note]
    ciphertext: bytes
    wraps: bytes

    @property
    def parts(self) -> dict[str, bytes]:
        return {
            "statement": self.statement.raw,
            "ciphertext": self.ciphertext,
            "wraps": self.wraps,
        }


def with_content(note: Statement[payloads.Note], key: SigningKey, size: int = 1040) -> Sent:
    """Return ``note`` signed anew over content that exists."""
    payload = note.payload
    ciphertext = fixed(f"ciphertext {payload.id}", size)
    wraps, addressees = b"", []
    for addressee in payload.addressees:
        named = []
        for wrap in addressee.wraps:
            data = fixed(f"wrap {payload.id} {wrap.key}", WRAP_BYTES)
            wraps += data
            named.append(payloads.Wrap(key=wrap.key, wrap=_digest(data)))
        addressees.append(addressee.model_copy(update={"wraps": tuple(named)}))
    changed = payload.model_copy(
        update={
            "addressees": tuple(addressees),
            "content": payloads.Content(digest=_digest(ciphertext), size=size),
        }
    )
    return Sent(make_statement(changed, key), ciphertext, wraps)


@dataclass
class LiveNode:
    running: Running
    http: aiohttp.ClientSession
    clock: HandClock
    world: MemoryWorld = field(default_factory=MemoryWorld)

    @property
    def key(self) -> VerifierKey:
        return VerifierKey.make(ORIGIN, signing("log").public)

    async def post(self, **parts: bytes) -> tuple[int, Any]:
        """Return status, and receipt text or problem document."""
        form = aiohttp.FormData()
        for name, data in parts.items():
            form.add_field(name, data, content_type="application/octet-stream", filename=name)
        async with self.http.post(f"{self.running.url}/v1/statements", data=form) as answer:
            if answer.content_type == "application/problem+json":
                problem = await answer.json()
                check_answer("/v1/statements", answer.status, problem, "POST")
                return answer.status, problem
            return answer.status, await answer.text()

    async def accept(self, statement: Statement[Any]) -> Verified:
        """Post what must be accepted, here and in the world in memory; return what it proves."""
        self.world.clock = self.clock.wall
        self.world.accept(statement)
        status, text = await self.post(statement=statement.raw)
        assert status == 201, text
        return self.verified(text)

    async def send(self, **said: Any) -> tuple[Sent, Verified]:
        """Send a note that must be accepted."""
        sent = self.note(**said)
        self.world.accept(sent.statement)
        status, text = await self.post(**sent.parts)
        assert status == 201, text
        return sent, self.verified(text)

    def note(self, by: str = ANNA, **said: Any) -> Sent:
        self.world.clock = self.clock.wall
        return with_content(self.world.note(by, **said), signing(f"{by}/1"))

    def verified(self, text: str) -> Verified:
        return Receipt.from_text(text).verify(self.key, ORIGIN)

    async def get(self, path: str, token: str = "") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.http.get(f"{self.running.url}{path}", headers=headers) as answer:
            if answer.content_type in ("application/json", "application/problem+json"):
                body = await answer.json()
                check_answer(path, answer.status, body)
                return answer.status, body
            return answer.status, await answer.read()

    async def token(self, by: str = ANNA, key: SigningKey | None = None) -> str:
        """Return a session token of a member's first device."""
        key = key or signing(f"{by}/1")
        async with self.http.post(f"{self.running.url}/v1/challenges") as answer:
            challenge = (await answer.json())["challenge"]
        session = payloads.Session(
            by=by,
            key=key.id,
            issued=self.clock.wall,
            lapse=self.clock.wall + 60 * SECOND,
            log=ORIGIN,
            challenge=challenge,
        )
        raw = make_statement(session, key).raw
        async with self.http.post(f"{self.running.url}/v1/sessions", data=raw) as answer:
            body = await answer.json()
            assert answer.status == 201, body
            return str(body["token"])

    async def open_channel(self) -> None:
        """Bring the node where ``MemoryWorld.opened`` is."""
        world = self.world
        world.accept(world.node_init())
        for party in (FCO, MOD):
            await self.accept(world.admission(party))
            await self.accept(world.party(party))
        await self.follow(MemoryWorld.opened())

    async def follow(self, other: MemoryWorld) -> None:
        """Post what another world accepted and this one hasn't."""
        known = {statement.kind for statement in self.world.accepted}
        for statement in other.accepted:
            if statement.kind not in known or statement.kind not in ("node", "admission", "party"):
                await self.accept(statement)


@contextlib.asynccontextmanager
async def live_node(folder: Path, clock: HandClock | None = None) -> AsyncIterator[LiveNode]:
    clock = clock or HandClock()
    settings = settings_in(folder)
    if not settings.card.exists():
        begin_in(folder, clock)
    assert read_card(settings)["origin"] == ORIGIN
    async with run_node(settings, clock=clock) as running, aiohttp.ClientSession() as http:
        yield LiveNode(running, http, clock)


def _digest(data: bytes) -> str:
    return to_base64(hashlib.sha256(data).digest())


def key_of(text: str) -> bytes:
    return from_base64(text)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 another task's or thread's doing
            await asyncio.sleep(0.002)
