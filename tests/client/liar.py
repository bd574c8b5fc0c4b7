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

from liaison.ledger.facts import Facts
from liaison.ledger.receipt import Receipt
from liaison.ledger.record import Place, Record, Urgency
from liaison.main import Running
from liaison.node import deciding
from liaison.node.sequencer import Accepted, Submitted
from liaison.rules.cells import Counter
from liaison.rules.decide import decide, scope_of
from liaison.statements.statement import Statement
from liaison.tlog.checkpoint import open_checkpoint, sign_checkpoint
from liaison.tlog.note import SignerKey, VerifierKey
from liaison.tlog.proof import TlogProof
from liaison.words.precedence import STOP_BAND
from tests.client.hostile import FACTS

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
) -> str:
    """Have the log take a statement that no rule was asked about; return its receipt."""
    honest = decide

    def forced(view: Any, said: Statement[Any], at: int) -> Any:
        if said is not statement:
            return honest(view, said, at)
        scope = scope_of(said)
        counter = view.get(Counter, scope)
        return Record(
            kind=said.kind,
            at=at,
            channel=Place(id=scope, n=counter.n + 1 if counter else 1),
            note=said.digest if said.kind == "note" else "",
            actor=said.payload.by,
            urgency=Urgency(),
            statement=said.raw,
            facts=facts or FACTS[said.kind](said),
        )

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
