"""Grants: more keys may open a note, at a post that has it anyway (GRANT)."""

from __future__ import annotations

from typing import Any

import pytest

from liaison.ledger.facts import GrantFacts
from liaison.rules import cells, grants
from liaison.rules.inbox import items_of, kept_at
from liaison.rules.lives import Life
from liaison.statements import payloads
from liaison.statements.charters import Standing
from liaison.statements.payloads import State, Verdict
from liaison.statements.procedures import GrantReason
from liaison.statements.statement import Statement
from liaison.words.precedence import Precedence
from liaison.words.times import DAY, HOUR, MINUTE, SECOND
from tests.rules.refusing import refuses
from tests.rules.telling import (
    CALM,
    WITH_DEPUTY,
    addressee,
    last,
    lives,
    note_of,
    quiet,
    rungs_of,
    verbale,
)
from tests.world import (
    ACTION,
    ANNA,
    DEPUTY,
    DORA,
    DUTY,
    EDWIN,
    FCO,
    FELIX,
    GRETA,
    HEAD,
    INFO,
    LONDON,
    MINISTRY,
    MOD,
    MemoryWorld,
    digest,
    replay,
    rows_of,
    signing,
)


def second_device(world: MemoryWorld, member: str) -> Statement[payloads.Key]:
    """Give a member a second device, and return the statement of its key."""
    devices = [signing(f"{member}/1"), signing(f"{member}/2")]
    world.accept(world.member(member, devices=devices))
    return world.accept(world.encryption_key(member, "2", signing(f"{member}/2")))


def hand_over(world: MemoryWorld, post: str, *holders: str) -> None:
    """Have other members hold a post, in a directory too."""
    posting = world.accept(world.posting(post, holders))
    world.accept(world.directory(posting.payload.by))


def items(world: MemoryWorld) -> list[tuple[str, str, str]]:
    """Return whose inbox the newest record is an item of, as what, and how urgent."""
    index = len(world.records) - 1
    return [(r.member, r.kind, r.precedence) for r in items_of(world.records[-1].facts, index)]


def test_who_can_open_a_note_grants_it_to_who_holds_an_addressed_post():
    world = quiet()
    note = world.accept(world.note(to={DUTY: ACTION})).digest
    hand_over(world, DUTY, GRETA)
    assert addressee(world, note, DUTY).readers == (DORA,)
    world.accept(world.grant(note, DUTY, DORA, reason=GrantReason.HANDOVER))
    facts = last(world)
    assert isinstance(facts, GrantFacts)
    assert (facts.post, facts.role, facts.readers, facts.told) == (DUTY, ACTION, (GRETA,), (ANNA,))
    assert addressee(world, note, DUTY).readers == (DORA, GRETA)
    assert items(world) == [(GRETA, "note", "flash"), (ANNA, "granted", "flash")]
    # Who got it answers for the post, as one who had it from the start.
    refuses(world, world.answer(DORA, Verdict.ACKNOWLEDGED, note, post=DUTY), "not-a-holder")
    world.accept(world.answer(GRETA, Verdict.ACKNOWLEDGED, note, post=DUTY))
    assert lives(world, note) == {DUTY: Life.ACKNOWLEDGED}
    assert rows_of(replay(world.records)) == rows_of(world.cells)


def test_a_grant_changes_no_state_and_no_time():
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    world.accept(world.answer(DORA, Verdict.DELIVERED, note))
    before = note_of(world, note)
    world.accept(world.grant(note, DUTY))
    after = note_of(world, note)
    grant = len(world.records) - 1
    assert [g.index for g in after.grants or ()] == [grant]
    assert after.model_copy(update={"grants": None}) == before
    assert kept_at(last(world), grant) == grant
    assert items(world) == [(DORA, "note", "flash")]  # her sender knew that she reads it


def test_who_is_granted_a_note_is_reached_by_its_ladder():
    world = quiet()
    note = world.accept(world.note(to={DUTY: ACTION})).digest
    hand_over(world, DUTY, GRETA)
    world.accept(world.grant(note, DUTY))
    rungs = rungs_of(world.elapse(121 * SECOND))
    assert [(r.post, r.readers) for rung in rungs for r in rung.reached] == [(DUTY, (GRETA,))]


def test_a_note_that_informs_is_granted_with_that_precedence():
    world = quiet()
    note = world.accept(world.note(to={DUTY: ACTION, MINISTRY: INFO})).digest
    hand_over(world, MINISTRY, EDWIN)
    world.accept(world.grant(note, MINISTRY))
    assert items(world) == [(EDWIN, "note", "priority")]
    assert world.records[-1].urgency.precedence is Precedence.PRIORITY


def test_a_sender_grants_what_they_wrote_to_a_second_device_of_their_own():
    world = quiet()
    note = world.accept(world.note()).digest
    key = second_device(world, ANNA)
    world.accept(world.directory(FCO))
    refuses(world, world.grant(note, LONDON, DORA, [world_key(world, FELIX)]), "copy")
    refuses(world, world.grant(note, LONDON, keys=[digest("key")]), "unknown-key")
    world.accept(world.grant(note, LONDON, keys=[key.digest], reason=GrantReason.HISTORY))
    assert items(world) == [(ANNA, "copy", "flash")]
    # The copy stays the sender's: who holds the post too gets no wrap of it.
    world.accept(world.posting(LONDON, (ANNA, FELIX)))
    world.accept(world.directory(FCO))
    refuses(world, world.grant(note, LONDON), "copy", "own devices only")
    # What they wrote is theirs, also when another has the post.
    hand_over(world, LONDON, FELIX)
    newer = world.accept(world.encryption_key(ANNA, "3", signing(f"{ANNA}/2"))).digest
    world.accept(world.grant(note, LONDON, keys=[newer], reason=GrantReason.HISTORY))
    world.accept(world.member(ANNA))
    world.accept(world.directory(FCO))
    refuses(world, world.grant(note, LONDON, keys=[key.digest]), "device-not-in-force")


def world_key(world: MemoryWorld, member: str) -> str:
    """Return the newest key statement of a member's first device."""
    return world.have(cells.DeviceKeys, signing(f"{member}/1").id).keys[-1][0]


def test_a_grant_is_by_a_member_who_can_read_the_note():
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    refuses(world, world.grant(note, DUTY, GRETA), "not-a-reader", "can't read")
    # A standby copy opens nothing yet: its reader hands nothing on.
    refuses(world, world.grant(note, DUTY, EDWIN), "not-a-reader")
    refuses(world, world.grant(digest("note"), DUTY), "unknown-note")
    refuses(world, world.grant(note, DUTY, key=signing(f"{GRETA}/1")), "device-not-in-force")
    world.accept(world.grant(note, DUTY, DORA))


def test_a_grant_never_widens_to_a_post_that_does_not_have_the_note():
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY)).digest
    refuses(world, world.grant(note, MINISTRY), "not-addressed", f"not addressed to {MINISTRY}")
    refuses(world, world.grant(note, HEAD), "not-addressed")
    refuses(world, world.grant(note, DEPUTY), "not-now", "it is withheld")
    world.elapse(11 * MINUTE)  # the ladder opens the deputy's tier
    assert lives(world, note)[DEPUTY] is Life.QUEUED
    world.accept(world.grant(note, DEPUTY))


def test_a_standby_tier_that_was_never_needed_stays_closed():
    world = quiet()
    note = world.accept(world.note(to=WITH_DEPUTY, kind="service")).digest
    world.accept(world.answer(DORA, Verdict.ACKNOWLEDGED, note))
    assert lives(world, note)[DEPUTY] is Life.LAPSED
    refuses(world, world.grant(note, DEPUTY), "not-now", "it is lapsed")
    world.accept(world.grant(note, DUTY))


def test_nobody_is_granted_what_was_withdrawn_or_not_delivered_in_time():
    world = quiet()
    note = world.accept(world.note()).digest
    world.accept(world.withdrawal(note))
    refuses(world, world.grant(note, DUTY), "not-now", "taken back")
    refuses(world, world.grant(note, LONDON), "not-now", "taken back")
    late = world.accept(world.note(latest_delivery=world.clock + HOUR, kind="plain")).digest
    other = world.accept(world.note(expiry=world.clock + HOUR, kind="plain")).digest
    world.accept(world.grant(late, DUTY))
    # At the very moment it is too late, however late the moment was decided.
    world.advance(HOUR)
    refused = world.grant(late, DUTY)
    world.fire_due()
    refuses(world, refused, "not-now", "it is non-delivered")
    assert lives(world, other) == {DUTY: Life.EXPIRED}
    world.accept(world.grant(other, DUTY))  # what has expired can be read


def test_what_waits_for_a_post_is_granted_once_its_hold_ends():
    world = quiet()
    world.accept(world.hold(DORA, lasts=HOUR))
    note = world.accept(world.note(kind="plain", precedence=CALM)).digest
    refuses(world, world.grant(note, DUTY), "not-now", "not shown to")
    world.accept(world.hold(DORA, below=None))
    world.accept(world.grant(note, DUTY))


def test_a_draft_is_granted_within_its_own_party_only():
    world = verbale()
    draft = world.accept(world.draft())
    refuses(world, world.grant(draft.digest, DUTY), "not-now", "it is drafted")
    world.accept(world.grant(draft.digest, HEAD))
    world.accept(world.answer(FELIX, Verdict.ACKNOWLEDGED, draft.digest))
    world.accept(world.release(draft))
    world.accept(world.grant(draft.digest, DUTY, FELIX))


def test_a_grant_is_for_a_key_of_a_present_holder_that_is_in_use_and_kept():
    world = quiet()
    note = world.accept(world.note()).digest
    grant = world.grant
    refuses(world, grant(note, DUTY, keys=[world_key(world, GRETA)]), "not-a-holder")
    refuses(world, grant(note, DUTY, keys=[digest("key")]), "unknown-key")
    soon: dict[str, Any] = {
        "use_until": world.clock + 20 * DAY,
        "kept_until": world.clock + 20 * DAY,
    }
    short = world.accept(world.encryption_key(DORA, "short", **soon)).digest
    refuses(world, grant(note, DUTY, keys=[short]), "key-not-kept", "too early")
    gone = second_device(world, DORA).digest
    world.accept(world.directory(MOD))
    world.accept(grant(note, DUTY, keys=[gone], reason=GrantReason.NEW_DEVICE))
    world.accept(world.member(DORA))
    world.accept(world.directory(MOD))
    refuses(world, grant(note, DUTY, keys=[gone]), "device-not-in-force")
    world.accept(world.encryption_key(DORA, "long"))
    world.accept(grant(note, DUTY))
    world.accept(world.member(DORA, state=State.SUSPENDED))
    world.accept(world.directory(MOD, members=()))
    refuses(world, grant(note, DUTY, keys=[world_key(world, DORA)]), "member-not-active")


def test_a_grant_relies_on_directories_that_are_in_force():
    world = quiet()
    note = world.accept(world.note(kind="plain")).digest
    own = world.grant(note, DUTY).payload.parties
    refuses(world, world.grant(note, DUTY, parties=own[:1]), "reliances")
    frozen = world.grant(note, DUTY)
    second_device(world, DORA)
    world.accept(world.member(DORA))  # a device was taken away: what vouched for it is outdated
    refuses(world, frozen, "directory-outdated", "revoked something")
    world.accept(world.directory(MOD))
    world.accept(world.grant(note, DUTY))
    world.advance(8 * DAY)
    refuses(world, world.grant(note, DUTY), "directory-lapsed")


def test_nothing_is_granted_to_a_party_that_left():
    world = quiet()
    note = world.accept(world.note()).digest
    world.accept(world.grant(note, DUTY))
    world.accept(world.participation(MOD, Standing.LEFT))
    refuses(world, world.grant(note, DUTY), "party-left")


def test_no_reader_uses_up_what_another_party_grants(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(grants, "GRANTED_MAX", 2)
    world = quiet()
    note = world.accept(world.note(to={DUTY: ACTION, DEPUTY: INFO})).digest
    world.accept(world.grant(note, DEPUTY, EDWIN))
    # Another wrap of a colleague's counts, and may be what was unreadable before.
    world.accept(world.grant(note, DEPUTY, DORA))
    hand_over(world, DUTY, GRETA)
    refuses(world, world.grant(note, DUTY, EDWIN), "too-many-grants", f"{MOD} granted")
    world.accept(world.grant(note, DUTY, reason=GrantReason.HANDOVER))
    key = second_device(world, ANNA).digest
    world.accept(world.directory(FCO))
    world.accept(world.grant(note, LONDON, keys=[key], reason=GrantReason.NEW_DEVICE))
    refuses(world, world.grant(note, LONDON), "too-many-grants", f"{FCO} granted")
    shares = [world.have(cells.Granted, world.channel, note, party) for party in (FCO, MOD)]
    assert [[(g.by, g.post) for g in share.given] for share in shares] == [
        [(ANNA, LONDON), (ANNA, DUTY)],
        [(DORA, DEPUTY), (EDWIN, DEPUTY)],
    ]
    assert rows_of(replay(world.records)) == rows_of(world.cells)


def test_a_grant_says_something_new():
    world = quiet()
    note = world.accept(world.note()).digest
    world.accept(world.grant(note, DUTY))
    refuses(world, world.grant(note, DUTY), "already-so", f"{ANNA} granted")
    # One key that is new is enough: who holds the post gets it with who has it.
    key = second_device(world, DORA).digest
    world.accept(world.directory(MOD))
    world.accept(world.grant(note, DUTY))
    (given,) = world.have(cells.Granted, world.channel, note, FCO).given
    assert given.keys == tuple(sorted((key, world_key(world, DORA))))
    refuses(world, world.grant(note, DUTY), "already-so")


def test_the_first_rules_know_no_grant_and_a_note_of_theirs_is_not_granted():
    world = MemoryWorld.opened(version=1)
    note = world.accept(world.note()).digest
    refuses(world, world.grant(note, DUTY), "not-in-this-version", "grant")
    world.accept(world.rules_version(2))
    refuses(world, world.grant(note, DUTY), "not-in-this-version", "under rules version 1")
    newer = world.accept(world.note()).digest
    world.accept(world.grant(newer, DUTY))
