"""The ``wire`` generator: pre-sealed submissions over raw sockets, so that the server is measured.

Closed loop: each sender sends its next note when it has the receipt of the last. A recipient polls
its inbox every 5 ms and stamps each note when its page is there.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from liaison.tlog.proof import TlogProof

POLL_S = 0.005
AGAIN_S = 0.1


def percentile_ms(values: Sequence[float], percent: int) -> float:
    """Return a percentile of seconds, in milliseconds."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1000, 2)


@dataclass(frozen=True)
class Prepared:
    """A submission as it goes over the wire."""

    body: bytes
    boundary: str


@dataclass
class Loaded:
    """What a run saw, in seconds; notes by the index of their entry."""

    elapsed_s: float = 0.0
    sent_at: dict[int, float] = field(default_factory=dict)
    accepted_s: list[float] = field(default_factory=list)
    listed_at: dict[int, float] = field(default_factory=dict)

    def e2e_s(self) -> list[float]:
        return [self.listed_at[i] - sent for i, sent in self.sent_at.items() if i in self.listed_at]


class Connection:
    """One keep-alive HTTP/1.1 connection; reads answers by their Content-Length."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)

    async def __aenter__(self) -> Connection:
        self._reader, self._writer = await asyncio.open_connection(*self._address, limit=2**22)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send one whole request; return status and body."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        lower = head.lower()
        start = lower.index(b"content-length:") + 15
        size = int(lower[start : lower.index(b"\r\n", start)])
        return status, await self._reader.readexactly(size)

    async def page(self, token: str, after: str, *, limit: int = 256) -> dict[str, Any]:
        """Return a page of an inbox, with contents, behind a position if there is one."""
        path = f"/v1/inbox?limit={limit}&content=1" + (f"&after={after}" if after else "")
        head = f"GET {path} HTTP/1.1\r\nHost: node\r\nAuthorization: Bearer {token}\r\n\r\n"
        status, body = await self.ask(head.encode("ascii"))
        assert status == 200, body
        page: dict[str, Any] = json.loads(body)
        return page


def request_of(prepared: Prepared) -> bytes:
    head = (
        "POST /v1/statements HTTP/1.1\r\nHost: node\r\n"
        f"Content-Type: multipart/form-data; boundary={prepared.boundary}\r\n"
        f"Content-Length: {len(prepared.body)}\r\n\r\n"
    )
    return head.encode("ascii") + prepared.body


async def load(
    url: str, senders: int, notes: Sequence[Prepared], *, until: asyncio.Future[Any] | None = None
) -> Loaded:
    """Send all ``notes`` by ``senders`` closed loops, or as many as go ``until`` something is done."""
    loaded = Loaded()
    answers: list[tuple[float, float, bytes]] = []
    requests = (request_of(note) for note in notes if until is None or not until.done())
    started = time.perf_counter()
    await asyncio.gather(*(_send(url, requests, answers) for _ in range(senders)))
    loaded.elapsed_s = time.perf_counter() - started
    loaded.accepted_s = [received - sent for sent, received, _ in answers]
    return loaded


async def run(url: str, token: str, senders: int, notes: Sequence[Prepared]) -> Loaded:
    """Send all ``notes`` by ``senders`` closed loops, with one recipient polling its inbox."""
    loaded = Loaded()
    requests = iter([request_of(prepared) for prepared in notes])
    answers: list[tuple[float, float, bytes]] = []
    async with Connection(url) as inbox:
        after = await newest(inbox, token)
        listening = asyncio.create_task(_listen(inbox, token, after, len(notes), loaded))
        started = time.perf_counter()
        await asyncio.gather(*(_send(url, requests, answers) for _ in range(senders)))
        loaded.elapsed_s = time.perf_counter() - started
        await asyncio.wait_for(listening, 60)
    for sent, received, text in answers:
        loaded.accepted_s.append(received - sent)
        loaded.sent_at[TlogProof.from_text(text.decode("utf-8")).index] = sent
    return loaded


async def _send(
    url: str, requests: Iterator[bytes], answers: list[tuple[float, float, bytes]]
) -> None:
    async with Connection(url) as connection:
        for request in requests:
            sent = time.perf_counter()
            # Who is turned away comes again, as a client does; the time goes on from the first try.
            while True:
                status, body = await connection.ask(request)
                if status != 429:
                    break
                await asyncio.sleep(AGAIN_S)
            assert status == 201, body
            answers.append((sent, time.perf_counter(), body))


def _positions(page: dict[str, Any]) -> list[str]:
    return [item["position"] for item in page["items"]]


async def newest(connection: Connection, token: str) -> str:
    """Return where the inbox ends before the run."""
    after = ""
    while positions := _positions(await connection.page(token, after)):
        after = positions[-1]
    return after


async def _listen(
    connection: Connection, token: str, after: str, expected: int, loaded: Loaded
) -> None:
    while len(loaded.listed_at) < expected:
        polled = time.perf_counter()
        page = await connection.page(token, after)
        now = time.perf_counter()
        for position in _positions(page):
            after = position
            loaded.listed_at[int(position.partition(".")[0])] = now
        if not page["more"]:
            await asyncio.sleep(max(0.0, POLL_S - (time.perf_counter() - polled)))
