"""The ``sdk`` generator: the whole chain, honestly.

The sender's process seals, signs, sends and verifies each receipt; the recipient's process polls
its inbox every 5 ms, verifies, opens and answers *delivered*. Nothing is prepared.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from benchmarks.stage import PASSPHRASE, Stage, draft
from benchmarks.wire import POLL_S, Loaded
from liaison.client import Client, Letter


async def run(stage: Stage, senders: int, notes: int) -> Loaded:
    """Send ``notes`` by ``senders`` closed loops of one client; a recipient reads elsewhere."""
    loaded = Loaded()
    recipient = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.sdk", str(stage.folder / "M"), stage.url, str(notes),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert recipient.stdout is not None
    assert (await recipient.stdout.readline()) == b"listening\n"
    sent_at: dict[str, float] = {}
    left = iter(range(notes))

    async def send(client: Client) -> None:
        for _ in left:
            sent = time.monotonic()
            accepted = await client.send(draft())
            loaded.accepted_s.append(time.monotonic() - sent)
            sent_at[accepted.digest] = sent

    async with stage.client("F") as client:
        await client.send(draft())  # the plan is made and verified once, as in a day's work
        started = time.monotonic()
        await asyncio.gather(*(send(client) for _ in range(senders)))
        loaded.elapsed_s = time.monotonic() - started
    output, _ = await asyncio.wait_for(recipient.communicate(), 120)
    opened = json.loads(output)
    for place, (digest, sent) in enumerate(sent_at.items()):
        if digest in opened:
            loaded.sent_at[place] = sent
            loaded.listed_at[place] = opened[digest]
    assert len(loaded.sent_at) == notes, f"{len(loaded.sent_at)} of {notes} notes were opened"
    return loaded


async def _recipient(home: str, url: str, notes: int) -> None:
    opened: dict[str, float] = {}
    async with Client.open(Path(home), PASSPHRASE, url=url) as client:
        await client.inbox()  # what came before
        print("listening", flush=True)
        while len(opened) < notes + 1:
            polled = time.monotonic()
            items = await client.inbox()
            now = time.monotonic()
            for item in items:
                assert isinstance(item, Letter), item
                opened[item.digest] = now
            await asyncio.sleep(max(0.0, POLL_S - (time.monotonic() - polled)))
    print(json.dumps(opened))


if __name__ == "__main__":
    import uvloop

    uvloop.run(_recipient(sys.argv[1], sys.argv[2], int(sys.argv[3])))
