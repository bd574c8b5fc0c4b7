"""Two fixed stories and their digests: run under several hash seeds, they must not change.

``python -m tests.rules.story`` prints SHA-256 over all records (facts included) and all cells.
``tell`` is of rules version 1, and vectors come from it; in ``tell_all`` each kind of record and
of cell comes about once, under version 2.
"""

from __future__ import annotations

import hashlib
import sys

from liaison.ledger.record import fields_of
from liaison.statements.charters import Seat, Seated, Silence, Standing
from liaison.statements.payloads import (
    AddresseeRole,
    Compromised,
    MemberRole,
    NotePrecedence,
    State,
    Verdict,
)
from liaison.statements.procedures import WatchAction
from liaison.words.precedence import Precedence
from liaison.words.times import DAY, HOUR, MINUTE
from tests.world import (
    ACTION,
    ANNA,
    CLIMBS,
    DEPUTY,
    DORA,
    DUTY,
    EDWIN,
    FCO,
    FELIX,
    MOD,
    PETE,
    STANDBY,
    Asked,
    MemoryWorld,
    hotline,
    kind,
    rows_of,
    signing,
    use,
)

CALM = NotePrecedence(action=Precedence.ROUTINE, info=Precedence.ROUTINE)


def tell() -> MemoryWorld:
    """Return the world after the story."""
    world = MemoryWorld.opened(version=1)
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


def tell_all() -> MemoryWorld:
    """Return a world of version 2 in which everything happened once."""
    writers = (MemberRole.ATTACHE, MemberRole.LINE_TEST)
    world = hotline(
        rules=(use("line-tests", kind="test", every_s=3600, grace_s=300), use("seats")),
        kinds=(
            kind("leader", ladders=CLIMBS, answer_within_s=1800, reminders_s=(600, 60)),
            kind("proposal", silence=Silence(min_s=600, max_s=86400)),
            kind("service", service=True),
            kind("test", writers=writers),
            kind("verbale", ladders=CLIMBS, release=MemberRole.RELEASER, series="nv"),
        ),
        seats=(Seated(party=FCO, seat=Seat.CHAIR), Seated(party=MOD, seat=Seat.MEMBER)),
    )
    # Nobody takes a note on until its ladder is exhausted; an operator claims it and closes it.
    note = world.accept(world.note(to={DUTY: ACTION, DEPUTY: STANDBY})).digest
    world.elapse(5 * MINUTE)
    world.accept(world.watch(PETE, WatchAction.CLAIM, note))
    world.elapse(21 * MINUTE)
    world.accept(world.watch(PETE, WatchAction.CLOSE, note))
    # Another one is taken on, owes an answer, and gets it late.
    note = world.accept(world.note(reply_by=world.clock + 12 * MINUTE)).digest
    world.accept(world.answer(DORA, Verdict.DELIVERED, note))
    world.accept(world.answer(DORA, Verdict.ACKNOWLEDGED, note))
    world.elapse(13 * MINUTE)
    world.accept(world.note(DORA, kind="leader", in_reply_to=note))
    # An alternate, an expiry, a latest delivery, a deferral.
    asked: dict[str, Asked] = {DUTY: ACTION, DEPUTY: {"role": STANDBY, "alternate_for": DUTY}}
    note = world.accept(world.note(to=asked)).digest
    world.accept(world.answer(DORA, Verdict.DECLINED, note))
    world.elapse(MINUTE)
    world.accept(world.answer(EDWIN, Verdict.ACKNOWLEDGED, note))
    soon = world.clock + MINUTE
    world.accept(world.note(kind="service", expiry=soon))
    world.accept(world.note(kind="service", latest_delivery=soon))
    world.accept(world.note(kind="service", deferred_until=soon))
    world.elapse(2 * MINUTE)
    # A hold, a draft and its release, a void, a withdrawal.
    world.accept(world.hold(DORA, lasts=5 * MINUTE))
    world.accept(world.note(kind="service", precedence=CALM))
    world.elapse(6 * MINUTE)
    draft = world.accept(world.draft())
    world.accept(world.answer(FELIX, Verdict.ACKNOWLEDGED, draft.digest))
    world.accept(world.release(draft))
    world.accept(world.grant(draft.digest, DUTY))
    world.accept(world.withdrawal(draft.digest))
    serial = world.next_serial(signing(f"{ANNA}/1"), MOD)
    world.accept(world.void(ANNA, MOD, serial))
    # A proposal is extended and adopted, another one broken; an objection comes too late.
    proposed = world.accept(world.proposal(to={DUTY: ACTION}, lasts=10 * MINUTE)).digest
    roles = (MemberRole.ATTACHE, MemberRole.CHAIR)
    world.accept(world.member(ANNA, roles=roles))
    world.accept(world.extension(proposed, world.clock + 12 * MINUTE, by=ANNA))
    world.elapse(13 * MINUTE)
    world.accept(world.objection(proposed))
    world.accept(world.minimize(PETE, lasts=HOUR))
    world.accept(world.minimize(PETE, below=None))
    world.accept(world.minimize(PETE, below=Precedence.PRIORITY, lasts=DAY))
    # A key is stolen, and what it took on is asked again.
    kept, stolen = (signing(f"{DORA}/{n}") for n in (1, 2))
    world.accept(world.member(DORA, None, [kept, stolen]))
    note = world.accept(world.note()).digest
    lost = Compromised(key=stolen.id, since=world.clock)
    world.accept(world.answer(DORA, Verdict.ACKNOWLEDGED, note, key=stolen))
    world.accept(world.member(DORA, None, [kept], compromised=(lost,)))
    world.elapse(MINUTE)
    # A missed line test, an amendment, a party that suspends its part.
    world.elapse(2 * HOUR)
    world.accept(world.watch(PETE, WatchAction.ANNOTATE))
    world.amend(MOD)
    world.accept(world.participation(MOD, Standing.SUSPENDED))
    world.accept(world.participation(MOD, Standing.ACTIVE))
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
    sys.stdout.write(digest_of(tell()) + digest_of(tell_all()))
