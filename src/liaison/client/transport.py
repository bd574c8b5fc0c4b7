"""Transport: the node's HTTP interface, protocols/api.md. HTTP ends here.

Problem documents become errors of words.errors. What a receipt or a statement proves is judged by
others; a token reads and never authorises.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

import aiohttp

from liaison.client.answers import json_object, text_of, utf8
from liaison.client.evidence import Answers
from liaison.client.wire import Wire
from liaison.words.encoding import from_base64
from liaison.words.errors import (
    Busy,
    ClockSuspect,
    CommitFailed,
    DiskReserve,
    LiaisonError,
    Limited,
    Malformed,
    NodeUnreachable,
    NotAllowed,
    NotHere,
    Overloaded,
    RefusedByNode,
    TooLarge,
)

CONNECTIONS: Final = 64
TIMEOUT_S: Final = 60
ANSWER_MAX_BYTES: Final = 128 * 1024 * 1024
"""The longest content that a charter can allow, in base64, with its wraps."""
CHALLENGE_BYTES: Final = 32
PROBLEM_MAX_BYTES: Final = 64 * 1024
SAID_MAX_CHARS: Final = 600
SESSION_TRIES: Final = 3
"""A challenge is spent when a proxy sent its session twice, and forgotten when the node began anew."""
_UNKNOWN: Final = "whether it accepted anything isn't known; sending the same bytes again is safe"
_WAITING: Final[dict[str, type[Busy]]] = {
    "busy": Busy,
    "clock-suspect": ClockSuspect,
    "commit-failed": CommitFailed,
    "disk-reserve": DiskReserve,
    "limited": Limited,
    "overloaded": Overloaded,
}
_PLAIN: Final[dict[str, type[LiaisonError]]] = {
    "malformed": Malformed,
    "too-large": TooLarge,
    "not-allowed": NotAllowed,
    "not-here": NotHere,
}
_STREAM_CODES: Final = {
    400: "malformed",
    401: "not-allowed",
    404: "not-here",
    429: "overloaded",
    503: "busy",
}

SessionMaker = Callable[[str], bytes]
"""Gives the bytes of a session statement over a challenge."""


class Transport:
    """A node at ``url``, asked over a pool of connections, with a session where one is needed."""

    def __init__(self, url: str, make_session: SessionMaker | None = None) -> None:
        self._url = url.rstrip("/")
        self._make_session = make_session
        self._http: aiohttp.ClientSession | None = None
        self._token = ""
        self._token_lock = asyncio.Lock()
        self._boundary = secrets.token_hex(16)
        self.answers = Answers()
        """What was read from the node last."""
        self.has_answered = False
        """Whether it did what it was asked for at least once."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def submit(
        self, statement: bytes, ciphertext: bytes | None = None, wraps: bytes = b""
    ) -> str:
        """Send a statement through the one door (API-4) and return its receipt's text."""
        parts = [("statement", statement)]
        if ciphertext is not None:
            parts.append(("ciphertext", ciphertext))
        if ciphertext is not None or wraps:
            parts.append(("wraps", wraps))
        body = _multipart(self._boundary, parts)
        kind = f"multipart/form-data; boundary={self._boundary}"
        answer = await self._ask("POST", "/v1/statements", body, {"Content-Type": kind})
        self.answers.add("/v1/statements", answer)
        return utf8(answer)

    async def read(self, path: str) -> dict[str, object]:
        """Return the JSON object at ``path``, under a session (API-3)."""
        return json_object(await self._read(path))

    async def read_text(self, path: str) -> str:
        """Return the text at ``path``, under a session."""
        return utf8(await self._read(path))

    async def _read(self, path: str) -> bytes:
        token = self._token or await self._begin_session("")
        try:
            return await self._ask("GET", path, None, {"Authorization": f"Bearer {token}"})
        except NotAllowed:
            token = await self._begin_session(token)
            return await self._ask("GET", path, None, {"Authorization": f"Bearer {token}"})

    async def stream(self) -> Wire:
        """Return a wire to the node's stream, under a session (STREAM-1 to 3).

        Raises:
            NodeUnreachable, Busy: not now.
            NotAllowed: this device may not read.
            NotHere: the node has no stream.
        """
        token = self._token or await self._begin_session("")
        try:
            return await self._join(token)
        except NotAllowed:
            return await self._join(await self._begin_session(token))

    async def _join(self, token: str) -> Wire:
        try:
            return await Wire.connect(self._connections(), f"{self._url}/v1/stream", token)
        except aiohttp.WSServerHandshakeError as exc:
            # The body of the answer can't be had here; its status says enough.
            retry = exc.headers.get("Retry-After", "") if exc.headers is not None else ""
            known = _STREAM_CODES.get(exc.status, "")
            problem = {"code": known, "detail": f"The node refused the stream ({exc.status})"}
            raise _error(
                exc.status,
                json.dumps(problem).encode(),
                retry,
                self._url,
                "what waits stays in the inbox",
            ) from exc
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise NodeUnreachable(
                f"No stream from the node at {self._url}: {_why(exc)}",
                safe="what waits stays in the inbox",
                do="try again later",
            ) from exc

    async def fetch(self, path: str, most: int = ANSWER_MAX_BYTES) -> bytes:
        """Return what is published at ``path`` for anybody, of ``most`` bytes."""
        return await self._ask("GET", path, None, {}, most)

    async def about(self) -> dict[str, object]:
        return json_object(await self.fetch("/v1/about"))

    async def _begin_session(self, ended: str) -> str:
        """Return a token that isn't ``ended``; many callers share one login."""
        async with self._token_lock:
            if self._token != ended:
                return self._token
            if self._make_session is None:
                raise NotAllowed(
                    "This home has no key that could read from the node",
                    safe="nothing was sent",
                    do="finish the enrolment first",
                )
            for _ in range(SESSION_TRIES - 1):
                with suppress(NotAllowed):
                    self._token = await self._session(self._make_session)
                    return self._token
            self._token = await self._session(self._make_session)
            return self._token

    async def _session(self, make: SessionMaker) -> str:
        answer = json_object(await self._ask("POST", "/v1/challenges", b"", {}))
        challenge = text_of(answer, "challenge")
        try:
            from_base64(challenge, CHALLENGE_BYTES)
        except Malformed as exc:
            raise exc.within("the node's answer: challenge") from exc
        kind = {"Content-Type": "application/json"}
        answer = json_object(await self._ask("POST", "/v1/sessions", make(challenge), kind))
        token = text_of(answer, "token")
        if not (token.isascii() and token.isprintable()):  # it goes into a header
            raise Malformed("the node's answer: token is not of printable ASCII")
        return token

    def _connections(self) -> aiohttp.ClientSession:
        if self._http is None:
            led_away = aiohttp.TraceConfig()
            led_away.on_request_redirect.append(_led_away)
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                # What is packed is asked for by nobody: a few bytes could become gigabytes.
                auto_decompress=False,
                headers={"Accept-Encoding": "identity"},
                trace_configs=[led_away],
            )
        return self._http

    async def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
        most: int = ANSWER_MAX_BYTES,
    ) -> bytes:
        try:
            async with self._connections().request(
                method, self._url + path, data=body, headers=headers, allow_redirects=False
            ) as response:
                status, retry = response.status, response.headers.get("Retry-After", "")
                data = await _body(response, most)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise NodeUnreachable(
                f"No answer from the node at {self._url}: {_why(exc)}",
                safe=_safe(path),
                do="try again later",
            ) from exc
        if 200 <= status < 300:
            self.has_answered = True
            if method == "GET":
                self.answers.add(path, data)
            return data
        raise _error(status, data, retry, self._url, _safe(path))


def _why(exc: Exception) -> str:
    """Return in a few words why there is no connection, or what ended it."""
    if isinstance(exc, aiohttp.ClientConnectorError):
        number = exc.os_error.errno or 0
        return os.strerror(number) if number > 0 else exc.os_error.strerror or "no connection"
    return str(exc) or type(exc).__name__


def _safe(path: str) -> str:
    return _UNKNOWN if path == "/v1/statements" else "nothing was changed"


async def _led_away(_: object, __: object, params: aiohttp.TraceRequestRedirectParams) -> None:
    raise aiohttp.ClientError(f"it sends its askers elsewhere ({params.response.status})")


async def _body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the body of an answer, which may be as long as an honest node's can be.

    Raises:
        aiohttp.ClientError: it is longer, or packed.
    """
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise aiohttp.ClientError("its answer is packed, and wasn't asked for so")
    most = most if 200 <= response.status < 300 else PROBLEM_MAX_BYTES
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > most:
            response.close()
            raise aiohttp.ClientError(f"its answer is longer than {most} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _error(status: int, data: bytes, retry: str, url: str, safe: str) -> LiaisonError:
    """Return the error that a problem document (API-2) tells of.

    What is ``safe`` is for the client to know. What the node says is bounded, and its advice is
    told as its own.
    """
    problem: dict[str, object] = {}
    with suppress(Malformed):
        problem = json_object(data)
    if not isinstance(problem.get("code"), str):
        return NodeUnreachable(
            f"The node at {url} answered {status} without saying why",
            safe=safe,
            do="try again later, or tell its operator",
        )
    code = _bounded(problem["code"])
    happened, advice = (_bounded(problem.get(name, "")) for name in ("detail", "do"))
    do = f"the node advises: {advice}" if advice else ""
    if code in _WAITING:
        seconds = int(retry) if retry.isascii() and retry.isdigit() and len(retry) < 6 else 1
        return _WAITING[code](happened, retry_after_s=seconds, safe=safe, do=do)
    if code in _PLAIN:
        return _PLAIN[code](happened, safe=safe, do=do)
    if status >= 500:
        return NodeUnreachable(f"The node failed ({code}): {happened}", safe=safe, do=do)
    try:
        refusal = from_base64(str(problem.get("refusal", "")))
    except Malformed:
        refusal = b""
    return RefusedByNode(happened, problem=code, status=status, refusal=refusal, safe=safe, do=do)


def _bounded(said: object) -> str:
    """Return what a node says as one line of a length that a screen holds."""
    text = " ".join(str(said)[: 2 * SAID_MAX_CHARS].split())
    return text if len(text) <= SAID_MAX_CHARS else f"{text[: SAID_MAX_CHARS - 1]}…"


def _multipart(boundary: str, parts: list[tuple[str, bytes]]) -> bytes:
    """Return a multipart/form-data body (RFC 7578); by hand, since every note is one."""
    pieces: list[bytes] = []
    for name, data in parts:
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        pieces += (head.encode("ascii"), data, b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode("ascii"))
    return b"".join(pieces)
