"""Handlers that read. protocols/api.md, API-13 to API-26."""

from __future__ import annotations

from aiohttp import web

from liaison.node.reading import PAGE_MAX
from liaison.server.answers import json_of
from liaison.server.keys import READING
from liaison.server.sessions import reader_of
from liaison.words.canonical import MAX_INTEGER
from liaison.words.encoding import from_base64url, from_decimal, to_base64
from liaison.words.errors import Malformed


async def inbox(request: web.Request) -> web.Response:
    reader = await reader_of(request)
    after = (-1, -1)
    if "after" in request.query:
        pos, dot, note = request.query["after"].partition(".")
        if not dot:
            raise Malformed("after: not a position POS.NOTE")
        after = (_number("after", pos), _number("after", note))
    limit = _limit(request)
    page = await request.app[READING].inbox(
        reader, after=after, limit=limit, with_content=_with_content(request)
    )
    return json_of(page)


async def note(request: web.Request) -> web.Response:
    reader = await reader_of(request)
    return json_of(await request.app[READING].note(reader, _digest(request)))


async def note_content(request: web.Request) -> web.Response:
    reader = await reader_of(request)
    return json_of(await request.app[READING].note_content(reader, _digest(request)))


async def certificates(request: web.Request) -> web.Response:
    reader = await reader_of(request)
    return json_of(await request.app[READING].certificates(reader, _digest(request)))


async def watch(request: web.Request) -> web.Response:
    reader = await reader_of(request)
    return json_of(await request.app[READING].watch(reader, limit=_limit(request)))


async def channels(request: web.Request) -> web.Response:
    reader = await reader_of(request)
    return json_of({"channels": await request.app[READING].channels(reader)})


async def channel(request: web.Request) -> web.Response:
    reader = await reader_of(request)
    return json_of(await request.app[READING].channel(reader, request.match_info["alias"]))


async def party(request: web.Request) -> web.Response:
    reader = await reader_of(request)
    return json_of(await request.app[READING].party(reader, request.match_info["party"]))


async def party_statements(request: web.Request) -> web.Response:
    reader = await reader_of(request)
    after = _number("after", request.query.get("after", "0"))
    answer = await request.app[READING].party_statements(
        reader, request.match_info["party"], after=after, limit=_limit(request)
    )
    return json_of(answer)


async def statement(request: web.Request) -> web.Response:
    reader = await reader_of(request)
    text = await request.app[READING].statement(reader, _digest(request))
    return web.Response(text=text)


async def openings(request: web.Request) -> web.Response:
    reader = await reader_of(request)
    start, end = (_number(name, request.query.get(name, "")) for name in ("start", "end"))
    rows = await request.app[READING].openings(reader, start, end)
    return json_of(
        {
            "entries": [
                {
                    "index": row.index,
                    "entry": row.entry.decode("ascii"),
                    "leaf_key": to_base64(row.leaf_key),
                    "fields": [to_base64(value) for value in row.fields],
                }
                for row in rows
            ]
        }
    )


def _digest(request: web.Request) -> str:
    try:
        return to_base64(from_base64url(request.match_info["digest"], 32))
    except Malformed as exc:
        raise exc.within("digest") from exc


def _limit(request: web.Request) -> int:
    limit = _number("limit", request.query.get("limit", "64"))
    if not 1 <= limit <= PAGE_MAX:
        raise Malformed(f"limit: 1 to {PAGE_MAX}")
    return limit


def _with_content(request: web.Request) -> bool:
    said = request.query.get("content")
    if said not in (None, "1"):
        raise Malformed("content: 1, or not at all")
    return said == "1"


def _number(name: str, text: str) -> int:
    try:
        number = from_decimal(text)
    except Malformed as exc:
        raise exc.within(name) from exc
    if number > MAX_INTEGER:  # what no store could compare with
        raise Malformed(f"{name}: not below 2^53")
    return number
