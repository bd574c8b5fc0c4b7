"""What refusal tests say: this is refused under that code, and nothing changed."""

from __future__ import annotations

from typing import Any

from liaison.rules.refusal import Refused
from liaison.statements.statement import Statement
from tests.world import MemoryWorld, rows_of


def refuses(world: MemoryWorld, statement: Statement[Any], code: str, text: str = "") -> None:
    """Fail unless ``world`` refuses ``statement`` with ``code``; its text must hold ``text``."""
    before = (len(world.records), rows_of(world.cells))
    refused = world.submit(statement)
    assert isinstance(refused, Refused), refused
    assert refused.code == code, refused
    assert text in refused.text, refused
    assert (len(world.records), rows_of(world.cells)) == before
