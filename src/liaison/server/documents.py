"""The interface's own document, for programs and for people. protocols/api.md, API-45, API-46."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from liaison.server.openapi import Json, text_of
from liaison.server.page import POLICY, page_of


@dataclass(frozen=True)
class Documents:
    """Both forms, made once."""

    openapi: bytes
    page: bytes

    @classmethod
    def of(cls, document: Json) -> Documents:
        return cls(text_of(document), page_of(document))


DOCUMENTS: Final = web.AppKey("documents", Documents)

_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}


async def openapi(request: web.Request) -> web.Response:
    body = request.app[DOCUMENTS].openapi
    return web.Response(body=body, content_type="application/json", headers=_HEADERS)


async def page(request: web.Request) -> web.Response:
    body = request.app[DOCUMENTS].page
    headers = {
        **_HEADERS,
        "Content-Security-Policy": POLICY,
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    return web.Response(body=body, content_type="text/html", charset="utf-8", headers=headers)
