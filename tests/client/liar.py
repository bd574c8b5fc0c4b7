"""A node that lies, over real sockets: what it serves is signed by its log, and is not the truth.

It stands before a real node and passes everything on, but for what a test has it change. With
``file`` the log itself takes what no rule would let in: its receipts are as good as any.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from liaison.ledger.facts import DueFacts, Facts
from liaison.ledger.receipt import Receipt
from liaison.ledger.record import Place, Record, Urgency
from liaison.main import Running
from liaison.node import deciding
from liaison.node.sequencer import Accepted, Submitted
from liaison.rules.cells import Cell, Counter, View
from liaison.rules.decide import decide, scope_of
from liaison.statements.statement import Statement
from liaison.tlog.checkpoint import open_checkpoint, sign_checkpoint
from liaison.tlog.note import SignerKey, VerifierKey
from liaison.tlog.proof import TlogProof
from liaison.words.precedence import STOP_BAND
from tests.client.hostile import FACTS
from tests.client.hotline import ORIGIN

Change = Callable[[Any], Any]


@dataclass
class Liar:
    """``lies``: what becomes of the JSON answers to GET below a path."""

    upstream: str
    http: aiohttp.ClientSession
    url: str = ""
    lies: dict[str, Change] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    """The paths at which it lied: a test that was never lied to shows nothing."""

    async def serve(self, request: web.Request) -> web.Response:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name in ("Authorization", "Content-Type")
        }
        async with self.http.request(
            request.method,
            self.upstream + request.path_qs,
            headers=headers,
            data=await request.read(),
        ) as answer:
            body, status = await answer.read(), answer.status
            kind = answer.headers.get("Content-Type", "application/octet-stream")
        for path, change in self.lies.items():
            if request.method == "GET" and status == 200 and request.path.startswith(path):
                told = change(json.loads(body) if kind.startswith("application/json") else body)
                self.told.append(request.path)
                body = told if isinstance(told, bytes) else json.dumps(told).encode()
        return web.Response(status=status, body=body, headers={"Content-Type": kind})


@contextlib.asynccontextmanager
async def liar(upstream: str) -> AsyncIterator[Liar]:
    async with aiohttp.ClientSession() as http:
        made = Liar(upstream, http)
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", made.serve)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield made
        finally:
            await runner.cleanup()


def put(name: str, value: Any) -> Change:
    """Return a change that puts ``value`` in place of a member of the answer."""
    return lambda answer: {**answer, name: value}


async def file(
    running: Running,
    statement: Statement[Any],
    monkeypatch: pytest.MonkeyPatch,
    facts: Facts | None = None,
    content: bytes | None = None,
    *,
    is_shown_only: bool = False,
) -> str:
    """Have the log take a statement that no rule was asked about; return its receipt.

    ``is_shown_only``: the node goes on as if it weren't there; only who is shown the receipt knows.
    """

    def made(place: Place, at: int) -> Record:
        return Record(
            kind=statement.kind,
            at=at,
            channel=place,
            note=statement.digest if statement.kind == "note" else "",
            actor=statement.payload.by,
            urgency=Urgency(),
            statement=statement.raw,
            facts=facts or FACTS[statement.kind](statement),
        )

    with monkeypatch.context() as patch:
        if is_shown_only:
            patch.setattr(deciding, "evolve", counted)
        return await _file(running, statement, monkeypatch, made, content)


async def file_due(
    running: Running,
    instead_of: Statement[Any],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    facts: DueFacts,
    *,
    ahead: int = 0,
) -> str:
    """Have the log say, in place of a note of that channel, that something was due; return that receipt.

    ``ahead`` is how far its time is ahead of the log's, in microseconds.
    """

    def made(place: Place, at: int) -> Record:
        return due_record(kind, facts, place, at + ahead)

    with monkeypatch.context() as patch:
        patch.setattr(deciding, "evolve", counted)
        return await _file(running, instead_of, monkeypatch, made)


def due_record(kind: str, facts: DueFacts, place: Place, at: int) -> Record:
    """Return the record of something that was due: the log's own word."""
    return Record(
        kind=kind,
        at=at,
        channel=place,
        note="",
        actor=ORIGIN,
        urgency=Urgency(),
        statement=b"",
        facts=facts,
    )


def counted(_view: View, record: Record, _index: int) -> list[Cell]:
    """Change no cell by a record, but for how many there are in its channel."""
    return [Counter(scope=record.channel.id, n=record.channel.n)]


async def _file(
    running: Running,
    statement: Statement[Any],
    monkeypatch: pytest.MonkeyPatch,
    made: Callable[[Place, int], Record],
    content: bytes | None = None,
) -> str:
    honest = decide

    def forced(view: Any, said: Statement[Any], at: int) -> Any:
        if said is not statement:
            return honest(view, said, at)
        scope = scope_of(said)
        counter = view.get(Counter, scope)
        return made(Place(id=scope, n=counter.n + 1 if counter else 1), at)

    with monkeypatch.context() as patch:
        patch.setattr(deciding, "decide", forced)
        outcome = await running.services.sequencer.submit(
            Submitted(statement, STOP_BAND, content=content)
        )
    assert isinstance(outcome, Accepted), outcome
    return outcome.receipt


def resigned(text: str, honest: VerifierKey, other: SignerKey) -> str:
    """Return a receipt whose checkpoint another key signed, under the same name."""
    receipt = Receipt.from_text(text)
    checkpoint = open_checkpoint(receipt.checkpoint, honest, honest.name)
    proof = TlogProof.from_text(text)
    return TlogProof(
        proof.index, proof.hashes, sign_checkpoint(checkpoint, other), proof.extra
    ).to_text()
