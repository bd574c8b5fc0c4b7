"""The interface's document, OpenAPI 3.1, made from the routes and the models of answers. api.md, API-45.

What it can't say stands in ``protocols/api.md``, whose rules each route names. ``protocols/openapi.json`` is
held to it by a test; ``make openapi`` writes it anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import (
    GenerateJsonSchema,
    JsonSchemaMode,
    JsonSchemaValue,
    models_json_schema,
)
from pydantic_core import core_schema

from liaison.server.shapes import Problem

PROBLEM: Final = "application/problem+json"
JSON: Final = "application/json"
FORMED: Final = {400: ("malformed",), 413: ("too-large",)}
"""What any route answers to a body that no handler has to look at (API-37)."""
TAKEN_IN: Final = {408: ("too-slow",)}
DEFECT: Final = {500: ("error",)}
"""What any route may answer if the node has a defect."""
NO_SESSION: Final = {401: ("not-allowed",)}
RETRIED: Final = frozenset({429, 503, 507})
"""Statuses that come with Retry-After."""
ANY_CODE: Final[tuple[str, ...]] = ()
"""The code of whichever rule refused."""

_REF: Final = "#/components/schemas/{model}"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Json = dict[str, Any]


@dataclass(frozen=True)
class Media:
    """A body that is no JSON of ours, or a request's."""

    type: str
    about: str
    schema: Json = field(default_factory=lambda: {"type": "string"})
    parts: Mapping[str, str] | None = None
    """The types of a multipart body's parts."""


@dataclass(frozen=True)
class Query:
    name: str
    about: str
    schema: Json
    is_required: bool = False


@dataclass(frozen=True, kw_only=True)
class Route:
    """One route: what the server does with a request, and what it promises of the answer."""

    method: str
    path: str
    handler: Handler
    rules: str
    """The numbers of its rules, as ``API-14``, apart by a space."""
    summary: str
    tag: str
    answers: Mapping[int, type[BaseModel] | Media | str]
    """By status: a model, other content, or a sentence on an answer without any."""
    problems: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """By status: which codes, ``ANY_CODE`` if a rule gives it."""
    query: tuple[Query, ...] = ()
    body: Media | None = None
    needs_session: bool = True

    @property
    def documented_path(self) -> str:
        """Return the path as OpenAPI spells it: parameters without their patterns."""
        return re.sub(r"\{(\w+):[^{}]*\}", r"{\1}", self.path)

    @property
    def all_problems(self) -> dict[int, tuple[str, ...]]:
        """Those of the route, and those that come before it."""
        asked = NO_SESSION if self.needs_session else {}
        body = TAKEN_IN if self.body is not None else {}
        return dict(sorted({**FORMED, **asked, **body, **self.problems, **DEFECT}.items()))


_TILE: Final = (
    r"^(entries|[0-9]|[1-5][0-9]|6[0-3])/"
    r"(x(00[1-9]|0[1-9][0-9]|[1-9][0-9]{2})/(x[0-9]{3}/){0,4})?[0-9]{3}"
    r"(\.p/([1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?$"
)

PATH_PARAMETERS: Final[dict[str, Json]] = {
    "id": {
        "description": "a session's id, which opens nothing",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
    },
    "digest": {
        "description": "32 bytes in unpadded base64url",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$"},
    },
    "alias": {
        "description": "a channel's name",
        "schema": {"type": "string", "pattern": "^[a-z0-9-]{1,40}$"},
    },
    "party": {
        "description": "a party's id",
        "schema": {"type": "string", "pattern": r"^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){1,9}$"},
    },
    "path": {
        "description": "the rest of the path, with its slashes as they are (c2sp.org/tlog-tiles)",
        "schema": {
            "type": "string",
            "pattern": _TILE,
            "examples": ["0/000.p/1", "entries/000.p/1"],
        },
    },
}

TAGS: Final = {
    "statements": "The one door.",
    "sessions": "A token reads and never authorises a statement.",
    "reading": "For those entitled; what isn't there and what isn't for the asker look the same.",
    "log": "The log, static and public (log.md, part 1).",
    "node": "The node's own state.",
    "interface": "This document.",
}


class _Absent(GenerateJsonSchema):
    """Models as they travel: what isn't said is absent, never null, and more may stand beside it."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        made.pop("additionalProperties", None)
        return made

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False  # a title that repeats the name says nothing


def document_of(routes: Iterable[Route]) -> Json:
    """Return the OpenAPI document of ``routes``."""
    routes = tuple(routes)
    paths: Json = {}
    for route in routes:
        paths.setdefault(route.documented_path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "liaison, the node's HTTP interface",
            "version": "1",
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
            "description": "The rules that the routes name stand in protocols/api.md, which is the normative "
            "text; the frames of the stream in protocols/stream.md and asyncapi.yaml. A client ignores "
            "members that it doesn't know. What answers GET answers HEAD.",
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": about} for name, about in TAGS.items()],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "session": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "the token of POST /v1/sessions (API-3, API-12)",
                }
            },
            "schemas": _schemas(routes),
        },
    }


def text_of(document: Json) -> bytes:
    """Return a document's one spelling: what is served, and what is committed."""
    return json.dumps(document, indent=1, ensure_ascii=False).encode("utf-8") + b"\n"


def _schemas(routes: Iterable[Route]) -> Json:
    models: list[type[BaseModel]] = [Problem]
    for route in routes:
        models += [m for m in route.answers.values() if isinstance(m, type) and m not in models]
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [(m, "validation") for m in models]
    _, made = models_json_schema(wanted, ref_template=_REF, schema_generator=_Absent)
    schemas: Json = made["$defs"]
    for schema in schemas.values():
        schema.pop("title", None)
    return schemas


def _operation(route: Route) -> Json:
    operation: Json = {
        "operationId": _operation_id(route),
        "tags": [route.tag],
        "summary": route.summary,
        "description": f"protocols/api.md: {route.rules.replace(' ', ', ')}",
        "security": [{"session": []}] if route.needs_session else [],
    }
    parameters = [
        {"name": name, "in": "path", "required": True, **PATH_PARAMETERS[name]}
        for name in re.findall(r"\{(\w+)\}", route.documented_path)
    ]
    parameters += [
        {
            "name": query.name,
            "in": "query",
            "required": query.is_required,
            "description": query.about,
            "schema": query.schema,
        }
        for query in route.query
    ]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "description": route.body.about,
            "content": _content(route.body),
        }
    answers = {status: _answer(status, answer) for status, answer in route.answers.items()}
    answers |= {status: _problem(status, codes) for status, codes in route.all_problems.items()}
    operation["responses"] = {str(status): answers[status] for status in sorted(answers)}
    return operation


def _operation_id(route: Route) -> str:
    words = re.findall(r"[A-Za-z0-9]+", route.documented_path.removeprefix("/v1"))
    return "-".join([route.method.lower(), *words])


def _answer(status: int, answer: type[BaseModel] | Media | str) -> Json:
    if isinstance(answer, str):
        return {"description": answer}
    if isinstance(answer, Media):
        return {"description": answer.about, "content": _content(answer)}
    schema = {"$ref": _REF.format(model=answer.__name__)}
    about = (answer.__doc__ or HTTPStatus(status).phrase).strip()
    return {"description": about, "content": {JSON: {"schema": schema}}}


def _problem(status: int, codes: tuple[str, ...]) -> Json:
    said: Json = {"status": {"const": status}}
    if codes:
        said["code"] = {"enum": list(codes)}
    schema = {"$ref": _REF.format(model=Problem.__name__), "properties": said}
    if status in {403, 409}:
        schema["required"] = ["refusal"]
    about = ", ".join(codes) if codes else "refused by the rules; code says which (docs/errors.md)"
    answer: Json = {"description": about, "content": {PROBLEM: {"schema": schema}}}
    if status in RETRIED:
        answer["headers"] = {
            "Retry-After": {
                "required": True,
                "description": "seconds",
                "schema": {"type": "integer", "minimum": 0},
            }
        }
    return answer


def _content(media: Media) -> Json:
    content: Json = {"schema": media.schema}
    if media.parts is not None:
        content["encoding"] = {name: {"contentType": type_} for name, type_ in media.parts.items()}
    return {media.type: content}
