"""Challenges and sessions. protocols/api.md, API-3, API-9 to API-12, API-39, API-40."""

from __future__ import annotations

from aiohttp import web

from liaison.node.sessions import Reader
from liaison.server.answers import json_of
from liaison.server.gate import body_of
from liaison.server.keys import SESSIONS
from liaison.statements.envelope import MAX_STATEMENT_BYTES
from liaison.words.errors import NotAllowed


async def challenge(request: web.Request) -> web.Response:
    text, lapse = request.app[SESSIONS].challenge()
    return web.json_response({"challenge": text, "lapse": lapse}, status=201)


async def begin(request: web.Request) -> web.Response:
    raw = await body_of(request, MAX_STATEMENT_BYTES)
    token, reader = await request.app[SESSIONS].begin(raw)
    return web.json_response({"token": token, "by": reader.by, "until": reader.until}, status=201)


async def listed(request: web.Request) -> web.Response:
    reader = await reader_of(request)
    sessions = request.app[SESSIONS]
    mine = sessions.id_of(_token(request))
    return json_of(
        {
            "sessions": [
                {
                    "id": one.id,
                    "key": one.reader.key,
                    "begun": one.begun,
                    "used": one.used,
                    "until": one.reader.until,
                    **({"this": True} if one.id == mine else {}),
                }
                for one in await sessions.of(reader)
            ]
        }
    )


async def revoke(request: web.Request) -> web.Response:
    reader = await reader_of(request)
    request.app[SESSIONS].revoke(reader, request.match_info["id"])
    return web.Response(status=204)


async def reader_of(request: web.Request) -> Reader:
    """Return who asks.

    Raises:
        NotAllowed: there is no valid token.
    """
    return await request.app[SESSIONS].reader(_token(request))


def _token(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or not token:
        raise NotAllowed("no session token was sent", do="begin one: API-9 to API-12")
    return token
