"""The node is blind: neither what was sealed nor a seed is in any file, log or output of it. Law 4."""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import Callable
from pathlib import Path

import aiohttp

from liaison.node.intake import WRAP_BYTES
from liaison.sealing.content import Content
from liaison.sealing.keys import EncryptionKey
from liaison.sealing.seal import Recipient, SealContext, seal
from liaison.statements import payloads
from liaison.statements.statement import make_statement
from tests.faults.field import Item, post, token_of
from tests.faults.process import Process, SteadyClock
from tests.node.live import _digest
from tests.world import ANNA, DORA, EDWIN, MemoryWorld, fixed, signing

Opened = Callable[..., tuple[Path, MemoryWorld]]

CANARY = "canary-7f3a9c-of-the-subject"
SONG = "canary-51d0be-of-the-body"
MEMBERS = (ANNA, DORA, EDWIN)


def sealed_note(world: MemoryWorld) -> tuple[Item, bytes]:
    """Return a note that is really sealed, and its secret."""
    key = signing(f"{ANNA}/1")
    note = world.note().payload
    by_digest = {
        s.digest: s.payload.by for s in world.accepted if isinstance(s.payload, payloads.Key)
    }
    named = [wrap.key for addressee in note.addressees for wrap in addressee.wraps]
    recipients = [
        Recipient(digest, EncryptionKey(fixed(f"encryption {by_digest[digest]}/1")).public)
        for digest in named
    ]
    context = SealContext(note.id, note.charter, key.id, note.kind)
    sealed = seal(Content.text(CANARY, SONG), context, recipients, wrapper=key.id)
    addressees = tuple(
        a.model_copy(
            update={
                "wraps": tuple(
                    payloads.Wrap(key=w.key, wrap=_digest(sealed.wraps[w.key])) for w in a.wraps
                )
            }
        )
        for a in note.addressees
    )
    said = {
        "addressees": addressees,
        "content": payloads.Content(digest=_digest(sealed.ciphertext), size=len(sealed.ciphertext)),
        "commitment": base64.b64encode(sealed.commitment).decode(),
    }
    statement = make_statement(note.model_copy(update=said), key)
    wraps = b"".join(sealed.wraps[digest] for digest in named)
    assert len(wraps) == WRAP_BYTES * len(named)
    parts = {"statement": statement.raw, "ciphertext": sealed.ciphertext, "wraps": wraps}
    return Item(ANNA, statement, parts), sealed.secret


def spellings(secret: bytes) -> set[bytes]:
    return {
        secret,
        secret.hex().encode(),
        base64.b64encode(secret),
        base64.urlsafe_b64encode(secret).rstrip(b"="),
        repr(secret).encode(),
    }


async def test_no_file_and_no_line_of_a_node_has_plaintext_or_a_seed(
    opened: Opened, tmp_path: Path
) -> None:
    home, world = opened()
    clock = SteadyClock.start()
    world.clock = clock.now()
    item, secret = sealed_note(world)
    outputs: list[bytes] = []
    node = await Process.start(home, clock)
    async with aiohttp.ClientSession() as http:
        status, text = await post(http, node.url, item.parts)
        assert status == 201, text
        outputs.append(text.encode())
        # A refusal and a malformed one, for what the journal says of them.
        refused = world.note(kind="treaty")
        outputs.append(json.dumps(await post(http, node.url, {"statement": refused.raw})).encode())
        broken = {**item.parts, "ciphertext": item.parts["ciphertext"][:-1]}
        outputs.append(json.dumps(await post(http, node.url, broken)).encode())
        token = await token_of(http, node.url, DORA, signing(f"{DORA}/1"), clock.now())
        headers = {"Authorization": f"Bearer {token}"}
        for path in ("/v1/inbox?content=1", "/v1/channels", "/v1/parties/fco.example", "/v1/about"):
            async with http.get(node.url + path, headers=headers) as answer:
                assert answer.status == 200
                outputs.append(await answer.read())
    # Killed, so that the write-ahead log is still there; its memory can't be looked at.
    await node.kill()
    assert node.child.returncode == -signal.SIGKILL

    seeds = {purpose: signing(purpose).seed for purpose in ("log", "node", "administrator")}
    own = {home / "keys" / f"{purpose}.key" for purpose in seeds}
    hidden = {CANARY.encode(), SONG.encode(), *spellings(secret)}
    for member in MEMBERS:
        hidden |= spellings(signing(f"{member}/1").seed)
        hidden |= spellings(fixed(f"encryption {member}/1"))
    of_the_node = set().union(*(spellings(seed) for seed in seeds.values()))
    files = [path for path in home.rglob("*") if path.is_file()]
    assert {"node.db", "node.db-wal", "guard", "node.liaison"} <= {path.name for path in files}
    for file in (*files, node.journal):
        data = file.read_bytes()
        assert not [s for s in hidden if s in data], file
        if file not in own:
            assert not [s for s in of_the_node if s in data], file
        assert token.encode() not in data, file
    for output in outputs:
        assert not [s for s in hidden | of_the_node if s in output]
    # The search finds what is there: the ciphertext in the store, the seed in its file.
    stored = b"".join(path.read_bytes() for path in files)
    assert item.statement.raw[:200] in stored
    assert base64.b64encode(seeds["log"]) in (home / "keys" / "log.key").read_bytes()
