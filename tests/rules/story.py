"""A fixed story and its digest: run under several hash seeds, it must not change.

``python -m tests.rules.story`` prints SHA-256 over all records (facts included) and all cells.
"""

from __future__ import annotations

import hashlib
import sys

from liaison.ledger.record import fields_of
from liaison.statements.payloads import AddresseeRole, State, Verdict
from liaison.words.times import HOUR, MINUTE
from tests.world import ANNA, DEPUTY, DORA, DUTY, EDWIN, FCO, MOD, MemoryWorld, rows_of, signing


def tell() -> MemoryWorld:
    """Return the world after the story."""
    world = MemoryWorld.opened()
    notes = []
    for _ in range(3):
        world.advance(MINUTE)
        roles = {DUTY: AddresseeRole.ACTION, DEPUTY: AddresseeRole.ACTION}
        notes.append(world.accept(world.note(to=roles)).digest)
    world.accept(world.answer(DORA, Verdict.DELIVERED, *notes))
    world.accept(world.answer(EDWIN, Verdict.ACKNOWLEDGED, *notes[:2]))
    world.accept(world.answer(DORA, Verdict.ACKNOWLEDGED, *notes))
    for serial in (9, 7, 5, 4):
        world.accept(world.void(ANNA, MOD, serial))
    world.accept(world.member(DORA, devices=[signing(f"{DORA}/1"), signing(f"{DORA}/2")]))
    world.accept(world.encryption_key(DORA, "2", signing(f"{DORA}/2")))
    world.accept(world.party(FCO, signing(f"{FCO}/2")))
    world.accept(world.member(EDWIN, state=State.SUSPENDED))
    world.advance(HOUR)
    world.accept(world.directory(MOD))
    world.accept(world.note(DORA))
    world.accept(world.note())
    return world


def digest_of(world: MemoryWorld) -> str:
    """Return SHA-256 over the records' fields and the cells' rows, in hex."""
    total = hashlib.sha256()
    for record in world.records:
        for value in fields_of(record):
            total.update(len(value).to_bytes(4, "big") + value)
    for key, row in rows_of(world.cells).items():
        total.update(f"{key}\n".encode() + row + b"\n")
    return total.hexdigest()


if __name__ == "__main__":
    sys.stdout.write(digest_of(tell()))
