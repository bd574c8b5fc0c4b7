"""Grants with wraps that exist, as a client would post them."""

from __future__ import annotations

from liaison.node.intake import WRAP_BYTES
from liaison.statements import payloads
from liaison.statements.procedures import Grant
from liaison.statements.statement import Statement, make_statement
from tests.node.live import LiveNode, _digest
from tests.world import ANNA, fixed, signing


def with_grant_wraps(grant: Statement[Grant], by: str) -> tuple[Statement[Grant], bytes]:
    """Return a grant signed anew over wraps that exist, and those."""
    data = {w.key: fixed(f"grant {grant.digest} {w.key}", WRAP_BYTES) for w in grant.payload.given}
    given = tuple(payloads.Wrap(key=key, wrap=_digest(wrap)) for key, wrap in data.items())
    changed = grant.payload.model_copy(update={"given": given})
    return make_statement(changed, signing(f"{by}/1")), b"".join(data.values())


async def post_grant(node: LiveNode, grant: Statement[Grant], by: str = ANNA) -> str:
    """Post a grant of the world's making with wraps that exist; return its digest."""
    signed, wraps = with_grant_wraps(grant, by)
    node.world.accept(signed)
    status, text = await node.post(statement=signed.raw, wraps=wraps)
    assert status == 201, text
    return signed.digest
