"""Channel rules: each is its parameters and one question. A charter names them; design.md 6.

``RULES`` is the registry. A channel type that needs a rule of its own gets a module beside
``common``; nothing outside this room names a channel type.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from pydantic import ValidationError

from liaison.rules.kinds.common import (
    ActionAcross,
    ChannelRule,
    ClearedAbove,
    MembersExactly,
)
from liaison.rules.kinds.forum import Seats
from liaison.rules.kinds.line_tests import LineTests
from liaison.rules.refusal import Refused
from liaison.statements.charters import RuleUse

RULES: Final[dict[str, type[ChannelRule]]] = {
    rule.name: rule for rule in (ActionAcross, ClearedAbove, LineTests, MembersExactly, Seats)
}


def load_rule(use: RuleUse) -> ChannelRule | Refused:
    """Return the rule that a charter names, or why there is none."""
    return _load(use.use, tuple(sorted(use.parameters.items())))


@lru_cache(1024)
def _load(name: str, parameters: tuple[tuple[str, int | str], ...]) -> ChannelRule | Refused:
    rule = RULES.get(name)
    if rule is None:
        return Refused("unknown-rule", f"the charter names a rule not known here: {name}")
    try:
        # A charter spells names with hyphens (ID-3), as statements do everywhere.
        return rule.model_validate({name.replace("-", "_"): said for name, said in parameters})
    except ValidationError as exc:
        error = exc.errors(include_url=False)[0]
        where = ".".join(str(part) for part in error["loc"]) or "parameters"
        return Refused("rule-parameters", f"rule {name}: {where}: {error['msg'][:120]}")
