"""Channel rules: each is its parameters and one question. A charter names them; design.md 6.

``RULES`` is the registry. A channel type that needs a rule of its own gets a module beside
``common``; nothing outside this room names a channel type.
"""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from liaison.rules.kinds.common import (
    ActionAcross,
    ChannelRule,
    ClearedAbove,
    MembersExactly,
)
from liaison.rules.refusal import Refused
from liaison.statements.payloads import RuleUse

RULES: Final[dict[str, type[ChannelRule]]] = {
    rule.name: rule for rule in (ActionAcross, ClearedAbove, MembersExactly)
}


def load_rule(use: RuleUse) -> ChannelRule | Refused:
    """Return the rule that a charter names, or why there is none."""
    rule = RULES.get(use.use)
    if rule is None:
        return Refused("unknown-rule", f"the charter names a rule not known here: {use.use}")
    try:
        return rule.model_validate(use.parameters)
    except ValidationError as exc:
        error = exc.errors(include_url=False)[0]
        where = ".".join(str(part) for part in error["loc"]) or "parameters"
        return Refused("rule-parameters", f"rule {use.use}: {where}: {error['msg'][:120]}")
