"""Holds each answer that a test reads to the route's model, with nothing beside what that lists. API-45."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel

from liaison.server.openapi import Route
from liaison.server.routes import ROUTES
from liaison.server.shapes import Problem


def route_of(path: str, method: str = "GET") -> Route | None:
    """Return the route that a request's path is of."""
    bare = path.partition("?")[0]
    for route in ROUTES:
        pattern = re.sub(r"\{\w+:\.\+\}", ".+", route.path)
        pattern = re.sub(r"\{\w+\}", "[^/]+", pattern)
        if route.method == method and re.fullmatch(pattern, bare):
            return route
    return None


def check_answer(path: str, status: int, body: Any, method: str = "GET") -> None:
    """Fail unless the interface's document lists this answer, of this form."""
    route = route_of(path, method)
    if route is None:
        return
    if status in route.answers:
        model = route.answers[status]
        assert isinstance(model, type), (path, status)
        _check(model, body)
        return
    codes = route.all_problems.get(status)
    assert codes is not None, (path, status, body)
    _check(Problem, body)
    assert body["status"] == status, body
    assert not codes or body["code"] in codes, (path, body)
    assert status not in (403, 409) or body["refusal"], body


def _check(model: type[BaseModel], body: Any) -> None:
    assert not _has_null(body), body
    model.model_validate_json(json.dumps(body), strict=True)


def _has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_null(one) for one in value.values())
    if isinstance(value, list):
        return any(_has_null(one) for one in value)
    return value is None
