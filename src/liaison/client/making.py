"""Making a payload of what a person typed: a member outside its limits is named."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from liaison.statements.payloads import Payload
from liaison.words.errors import Malformed

P = TypeVar("P", bound=Payload)


def made(model: type[P], **members: Any) -> P:
    """Return a payload of these members, each as it is or as JSON has it.

    Raises:
        Malformed: one is outside its limits; it is named.
    """
    try:
        return model.model_validate_json(json.dumps(members, default=to_jsonable_python))
    except ValidationError as exc:
        error = exc.errors(include_url=False)[0]
        where = ".".join(str(part) for part in error["loc"]) or model.kind_name
        said = error["msg"].removeprefix("Value error, ")[:200]
        if where in ("reason", "text", "justification", "label.classification"):
            said = "it has 1 to 200 characters, on one line"
        elif error["type"] == "string_pattern_mismatch":
            said = f"{str(error['input'])[:80]!r} is not spelled as one"
        raise Malformed(
            f"{where}: {said}",
            safe="nothing was signed or sent",
        ) from exc
