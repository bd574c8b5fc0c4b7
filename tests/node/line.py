"""A real node that carries the line of tests/timed.py, on whose clock tests let time pass."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from liaison.node.intake import WRAP_BYTES
from liaison.statements import payloads
from liaison.statements.procedures import Release
from liaison.statements.statement import Statement, make_statement
from liaison.words.encoding import from_base64, to_base64url
from liaison.words.times import MINUTE
from tests.node.live import LiveNode, _digest, live_node, with_content
from tests.timed import line
from tests.world import ANNA, FELIX, MemoryWorld, fixed, signing


@contextlib.asynccontextmanager
async def live_line(folder: Path, world: MemoryWorld | None = None) -> AsyncIterator[LiveNode]:
    """Give a node where ``world``, or the line of tests/timed, is."""
    async with live_node(folder) as node:
        node.world.accept(node.world.node_init())
        await node.follow(world or line())
        node.clock.advance(MINUTE)
        node.world.clock = node.clock.wall
        yield node


async def elapse(node: LiveNode, micros: int) -> None:
    """Move the node's clock, and have it decide what is due by then."""
    node.clock.advance(micros)
    node.world.clock = node.clock.wall
    keys = [key for key, cell in node.world.cells.items() if cell is not None and cell.due]
    node.world.fire_due()
    sequencer = node.running.services.sequencer
    while await sequencer.fire(keys, until=None, most=64):
        pass


async def send(node: LiveNode, note: Statement[payloads.Note], by: str = ANNA) -> str:
    """Post a note of the world's making with content that exists; return its digest."""
    sent = with_content(note, signing(f"{by}/1"))
    node.world.accept(sent.statement)
    status, text = await node.post(**sent.parts)
    assert status == 201, text
    return sent.statement.digest


def note_of(node: LiveNode, digest: str) -> Statement[payloads.Note]:
    """Return a note that was sent."""
    for known in node.world.accepted:
        if known.digest == digest and isinstance(known.payload, payloads.Note):
            return Statement(known.envelope, known.payload)
    raise AssertionError(digest)


def with_wraps(release: Statement[Release], by: str = FELIX) -> tuple[Statement[Release], bytes]:
    """Return a release signed anew over wraps that exist, and those."""
    wraps, addressees = b"", []
    for addressee in release.payload.addressees:
        named = []
        for wrap in addressee.wraps:
            data = fixed(f"release {release.digest} {wrap.key}", WRAP_BYTES)
            wraps += data
            named.append(payloads.Wrap(key=wrap.key, wrap=_digest(data)))
        addressees.append(addressee.model_copy(update={"wraps": tuple(named)}))
    changed = release.payload.model_copy(update={"addressees": tuple(addressees)})
    return make_statement(changed, signing(f"{by}/1")), wraps


def path_of(digest: str) -> str:
    return to_base64url(from_base64(digest))


async def looks(node: LiveNode, by: str, digest: str) -> dict[str, int]:
    """Return the status that a member gets at each face of a note."""
    token, path = await node.token(by), path_of(digest)
    return {
        name: (await node.get(f"/v1/{face}", token))[0]
        for name, face in (
            ("note", f"notes/{path}"),
            ("content", f"notes/{path}/content"),
            ("certificates", f"notes/{path}/certificates"),
            ("statement", f"statements/{path}"),
        )
    }


NOTHING = {"note": 404, "content": 404, "certificates": 404, "statement": 404}
STATE = {**dict.fromkeys(NOTHING, 200), "content": 404}
CONTENT = dict.fromkeys(NOTHING, 200)


async def inbox(node: LiveNode, by: str) -> list[dict[str, Any]]:
    status, page = await node.get("/v1/inbox?content=1", await node.token(by))
    assert status == 200
    items: list[dict[str, Any]] = page["items"]
    return items


def kinds(items: Iterable[dict[str, Any]]) -> list[str]:
    return [item["kind"] for item in items]


async def state(node: LiveNode, by: str, digest: str) -> dict[str, Any]:
    status, told = await node.get(f"/v1/notes/{path_of(digest)}", await node.token(by))
    assert status == 200, told
    found: dict[str, Any] = told["state"]
    return found
