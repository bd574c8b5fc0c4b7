"""Four parties' homes that a hostile node lies to over real sockets, with receipts that its log signed.

``lied_to`` begins with the honest run; ``seen_through`` expects that a lie is found out, and that
nothing was sent. What the lies are about has a file each: ``test_hostile_parties``,
``test_hostile_channels``, ``test_hostile_log``.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from liaison.client import Authority, Client, Draft, Home, Pins, RegistrarRequest, Sent
from liaison.client.receipts import prove
from liaison.client.transport import Transport
from liaison.ledger.facts import AddresseeFacts, NoteFacts, SerialFacts
from liaison.ledger.record import record_from
from liaison.sealing.keys import EncryptionKey
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import Key, Note, Scope
from liaison.statements.statement import Statement, make_statement, parse_statement_of
from liaison.words.encoding import to_base64
from liaison.words.errors import LiaisonError, NodeUnreachable
from liaison.words.times import DAY
from tests.client.council import DUTY, PASSPHRASE, Council, council
from tests.client.liar import Liar, file, liar
from tests.client.test_acting import flash

LONDON_1 = "attache.london.1@fco.example"
MOD = "/v1/parties/mod.example"
MARY = "duty.desk.1@mod.example"
HOTLINE = "/v1/channels/london-hotline"
EVIL = SigningKey(b"\x66" * 32)


@dataclass
class Lied:
    """The council's homes, and the node that lies to those who ask at its door."""

    council: Council
    liar: Liar
    monkeypatch: pytest.MonkeyPatch

    def client(self, name: str) -> Client:
        return Client.open(
            Home(self.council.folder / name),
            PASSPHRASE,
            url=self.liar.url,
            now=self.council.clock.now,
        )

    async def write(self, by: str = "F", draft: Draft | None = None) -> Sent:
        """Send a note as F does, or a copy of that home."""
        async with self.client(by) as f:
            return await f.send(draft or flash())

    async def answer(self, path: str) -> Any:
        """Return what the node says when nobody lies, to F."""
        async with self.council.client("F") as f:
            return await f.transport.read(path)

    def said(self, answer: Any, name: str, kind: type[Any]) -> list[Statement[Any]]:
        """Return the statements whose receipts an answer holds under a name."""
        pin = Pins(Home(self.council.folder / "F")).node
        texts = answer[name] if isinstance(answer[name], list) else [answer[name]]
        return [parse_statement_of(kind, prove(text, pin).record.statement) for text in texts]

    async def notes(self) -> int:
        """Return how many notes the log has."""
        rows = await self.council.running.services.reading.store.entries(0, 10_000)
        return sum(record_from(row.fields).kind == "note" for row in rows)

    async def file(self, statement: Statement[Any], **rest: Any) -> str:
        return await file(self.council.running, statement, self.monkeypatch, **rest)


@contextlib.asynccontextmanager
async def lied_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lied]:
    """Give the homes, after the honest run, and a node at whose door nobody lies yet."""
    async with council(folder, monkeypatch) as world, liar(world.running.url) as node:
        made = Lied(world, node, monkeypatch)
        await made.write()  # the honest run
        assert node.told == []
        yield made


def withhold(_: Any) -> Any:
    """Say of what is asked for that it isn't there."""
    raise web.HTTPNotFound(
        text=json.dumps({"code": "not-here", "detail": "no such statement for you"}),
        content_type="application/problem+json",
    )


@contextlib.asynccontextmanager
async def seen_through(lied: Lied, kind: type[Exception], match: str) -> AsyncIterator[None]:
    """Expect an error, of a client that was lied to, and that it sent no note."""
    before, told = await lied.notes(), len(lied.liar.told)
    with pytest.raises(kind, match=match):
        yield
    assert len(lied.liar.told) > told
    assert await lied.notes() == before


def forged_key(lied: Lied, device: str) -> Statement[Key]:
    """Return a key that Mary never made, as of her device or of the forger's own."""
    now = lied.council.clock.now()
    return make_statement(
        Key(
            by=MARY,
            key=device,
            issued=now,
            lapse=now + DAY,
            encryption=to_base64(EncryptionKey.generate().public),
            use_from=now,
            use_until=now + 30 * DAY,
            kept_until=now + 60 * DAY,
        ),
        EVIL,
    )


def under_another_name(key: str) -> Any:
    """Return the forger's key, which says that it is another."""
    signer = SigningKey(EVIL.seed)
    object.__setattr__(signer, "id", key)
    return signer


async def kept_back(lied: Lied, draft: Draft | None = None) -> Statement[Note]:
    """Return a note that the node kept back instead of taking it."""
    taken: list[bytes] = []
    honest = Transport.submit

    async def keep(self: Transport, statement: bytes, *rest: Any, **more: Any) -> str:
        if b"vnd.liaison.note." in statement:
            taken.append(statement)
            raise NodeUnreachable("kept back")
        return await honest(self, statement, *rest, **more)

    with lied.monkeypatch.context() as patch:
        patch.setattr(Transport, "submit", keep)
        with pytest.raises(LiaisonError):
            await lied.write(draft=draft)
    return parse_statement_of(Note, taken[0])


def facts_of(statement: Statement[Note]) -> NoteFacts:
    note = statement.payload
    return NoteFacts(
        statement=statement.digest,
        payload=statement.payload_digest,
        channel=note.channel,
        reference=99,
        sender=note.by,
        device=note.key,
        kind=note.kind,
        precedence=note.precedence.action,
        info_precedence=note.precedence.info,
        addressees=tuple(
            AddresseeFacts(post=a.post, role=a.role, readers=(MARY,) if a.post == DUTY else ())
            for a in note.addressees
        ),
        serials=tuple(
            SerialFacts(party=r.party, serial=r.serial)
            for r in note.parties
            if r.serial is not None
        ),
        exercise=note.exercise,
    )


async def delegate(authority: Authority, key: SigningKey) -> None:
    """Let a key sign all that a registrar of mod.example may, and say so."""
    party = "mod.example"
    authority.delegate(
        RegistrarRequest(party, to_base64(key.public), key.prove_possession(party)),
        scope=list(Scope),
        until=authority.now() + 90 * DAY,
    )
    authority.sign_directory()
    await authority.post()
