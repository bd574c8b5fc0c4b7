"""A running node as a source. protocols/api.md, API-9 to API-12, API-20, and ``/log/``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final, TypeVar

import aiohttp
from pydantic import BaseModel, ConfigDict, ValidationError

from liaison.audit.source import PAGE, OpenedEntry
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import Session
from liaison.statements.statement import make_statement
from liaison.tlog.tiles import MAX_ENTRY_BYTES, Tile, entries_path, parse_bundle, tile_path
from liaison.words.encoding import from_base64
from liaison.words.errors import (
    Busy,
    LiaisonError,
    LogUntrusted,
    Malformed,
    NodeUnreachable,
    NotAllowed,
    NotHere,
)
from liaison.words.times import MINUTE

_CHECKPOINT_BYTES: Final = 64 * 1024
_SMALL_BYTES: Final = 64 * 1024
_OPENINGS_BYTES: Final = 192 * 1024 * 1024
_ATTEMPTS: Final = 5
_WAIT_MAX_S: Final = 5
_TIMEOUT: Final = aiohttp.ClientTimeout(total=120, connect=10)

_M = TypeVar("_M", bound="_Body")


class _Body(BaseModel):
    """A client ignores members that it doesn't know (api.md, head)."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class _Challenge(_Body):
    challenge: str


class _Token(_Body):
    token: str


class _Entry(_Body):
    index: int
    entry: str
    leaf_key: str
    fields: list[str]


class _Openings(_Body):
    entries: list[_Entry]


class _Problem(_Body):
    detail: str = ""


class UrlSource:
    """Reads a running node as its administrator.

    ``now`` gives microseconds since 1970, for the session statement only.
    """

    def __init__(
        self,
        url: str,
        origin: str,
        administrator: SigningKey,
        http: aiohttp.ClientSession,
        *,
        now: Callable[[], int],
    ) -> None:
        self._url = url.rstrip("/")
        self._origin = origin
        self._administrator = administrator
        self._http = http
        self._now = now
        self._token: str | None = None

    async def checkpoint(self) -> str:
        data = await self._request("GET", "/log/checkpoint", limit=_CHECKPOINT_BYTES)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise Malformed(f"checkpoint: not UTF-8 at byte {exc.start}") from exc

    async def end(self) -> None:
        return None

    async def leaves(self, start: int, end: int) -> list[bytes]:
        n, offset = divmod(start, PAGE)
        width = end - n * PAGE
        path = f"/log/{entries_path(n, width)}"
        limit = width * (2 + MAX_ENTRY_BYTES)
        return list(parse_bundle(await self._request("GET", path, limit=limit), width))[offset:]

    async def opened(self, start: int, end: int) -> list[OpenedEntry]:
        path = f"/v1/openings?start={start}&end={end}"
        body = _read(_Openings, await self._with_token(path, limit=_OPENINGS_BYTES))
        return [_opened(entry) for entry in body.entries]

    async def tiles(self, tiles: Collection[Tile]) -> dict[Tile, bytes]:
        found: dict[Tile, bytes] = {}
        for tile in tiles:
            try:
                # One byte more than it may have, so that a longer one is a difference.
                found[tile] = await self._request(
                    "GET", f"/log/{tile_path(tile)}", limit=_SMALL_BYTES
                )
            except NotHere:
                continue
        return found

    def cells(self) -> None:
        return None

    def kept(self) -> None:
        return None

    async def close(self) -> None:
        await self._http.close()

    async def _with_token(self, path: str, *, limit: int) -> bytes:
        if self._token is not None:
            try:
                return await self._request("GET", path, limit=limit, token=self._token)
            except NotAllowed:
                pass  # it ended: tokens live for minutes, an audit may last longer
        self._token = await self._log_in()
        return await self._request("GET", path, limit=limit, token=self._token)

    async def _log_in(self) -> str:
        given = await self._request("POST", "/v1/challenges", limit=_SMALL_BYTES)
        issued, origin = self._now(), self._origin
        try:
            payload = Session(
                by=origin,
                key=self._administrator.id,
                issued=issued,
                lapse=issued + MINUTE,
                log=origin,
                challenge=_read(_Challenge, given).challenge,
            )
        except ValidationError as exc:
            raise Malformed("challenge: not a digest") from exc
        statement = make_statement(payload, self._administrator)
        answer = await self._request("POST", "/v1/sessions", limit=_SMALL_BYTES, body=statement.raw)
        return _read(_Token, answer).token

    async def _request(
        self, method: str, path: str, *, limit: int, token: str = "", body: bytes | None = None
    ) -> bytes:
        for attempt in range(_ATTEMPTS):
            try:
                return await self._try(method, path, limit=limit, token=token, body=body)
            except Busy as exc:
                if attempt + 1 == _ATTEMPTS:
                    raise
                await asyncio.sleep(min(exc.retry_after_s, _WAIT_MAX_S))
        raise AssertionError("unreachable: the last attempt returned or raised")

    async def _try(
        self, method: str, path: str, *, limit: int, token: str, body: bytes | None
    ) -> bytes:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        url = f"{self._url}{path}"
        try:
            async with self._http.request(
                method, url, headers=headers, data=body, timeout=_TIMEOUT, allow_redirects=False
            ) as response:
                data = await _read_at_most(response, limit)
                if response.status in (200, 201):
                    return data
                raise _failure(response, data, path)
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise NodeUnreachable(
                f"no answer from {url}: {str(exc) or type(exc).__name__}",
                safe="nothing was changed: an audit only reads",
                do="see that the node runs and the URL is its own, then start again",
            ) from exc


async def _read_at_most(response: aiohttp.ClientResponse, limit: int) -> bytes:
    parts: list[bytes] = []
    total = 0
    async for part in response.content.iter_chunked(64 * 1024):
        total += len(part)
        if total > limit:
            raise Malformed(f"answer of over {limit} bytes")
        parts.append(part)
    return b"".join(parts)


def _failure(response: aiohttp.ClientResponse, data: bytes, path: str) -> LiaisonError:
    """Return what an answer that isn't 200 or 201 means for an audit."""
    try:
        detail = _Problem.model_validate_json(data).detail
    except ValidationError:
        detail = ""
    text = f"{path}: status {response.status}" + (f": {detail[:200]}" if detail else "")
    match response.status:
        case 404:
            return NotHere(text)
        case 401 | 403:
            return NotAllowed(
                text, do="openings are the administrator's: bring that key, and node.liaison of it"
            )
        case 429 | 503:
            said = response.headers.get("Retry-After", "1")
            wait = int(said) if said.isascii() and said.isdigit() and len(said) < 5 else 1
            return Busy(text, retry_after_s=wait)
        case _:
            return NodeUnreachable(text)


def _read(model: type[_M], data: bytes) -> _M:
    try:
        return model.model_validate_json(data)
    except ValidationError as exc:
        error = exc.errors(include_url=False)[0]
        where = ".".join(str(part) for part in error["loc"]) or "answer"
        raise Malformed(f"{where}: {error['msg'][:200]}") from exc


def _opened(entry: _Entry) -> OpenedEntry:
    try:
        return OpenedEntry(
            index=entry.index,
            entry=entry.entry.encode("utf-8"),
            leaf_key=from_base64(entry.leaf_key),
            fields=tuple(from_base64(value) for value in entry.fields),
        )
    except UnicodeEncodeError as exc:
        raise LogUntrusted(f"entry {entry.index}: not UTF-8") from exc
    except Malformed as exc:
        raise exc.within(f"entry {entry.index}") from exc
