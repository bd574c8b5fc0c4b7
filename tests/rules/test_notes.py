"""What crosses a channel: notes, answers, voids; each refusal beside what is accepted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liaison.ledger.facts import AnswerFacts, NoteFacts
from liaison.ledger.record import Record
from liaison.rules import cells
from liaison.rules.lives import Life
from liaison.rules.serials import WINDOW, check_serial, spend
from liaison.statements import charters, payloads
from liaison.statements.payloads import AddresseeRole, MemberRole, State, Verdict
from liaison.words.precedence import Precedence
from liaison.words.times import DAY, HOUR, SECOND
from tests.rules.refusing import refuses
from tests.world import (
    ANNA,
    DEPUTY,
    DORA,
    DUTY,
    EDWIN,
    FCO,
    HEAD,
    LONDON,
    MOD,
    MemoryWorld,
    digest,
    signing,
    terms,
)

FIRST = MemoryWorld.opened(version=1)
ACTION, INFO, COPY = AddresseeRole.ACTION, AddresseeRole.INFO, AddresseeRole.COPY
DELIVERED, ACKNOWLEDGED = Verdict.DELIVERED, Verdict.ACKNOWLEDGED
DECLINED, UNREADABLE = Verdict.DECLINED, Verdict.UNREADABLE
OVERRIDE, FLASH, IMMEDIATE = Precedence.OVERRIDE, Precedence.FLASH, Precedence.IMMEDIATE


@pytest.fixture(scope="module")
def _opened():
    return MemoryWorld.opened()


@pytest.fixture
def world(_opened) -> MemoryWorld:
    return _opened.copy()


def level(action: Precedence, info: Precedence) -> payloads.NotePrecedence:
    return payloads.NotePrecedence(action=action, info=info)


def life_of(world: MemoryWorld, note: str, post: str) -> cells.AddresseeState:
    cell = world.have(cells.Note, world.channel, note)
    return next(a for a in cell.addressees if a.post == post)


def test_a_note_is_queued_for_each_addressee(world):
    note = world.accept(world.note(to={DUTY: ACTION, DEPUTY: INFO}))
    cell = world.have(cells.Note, world.channel, note.digest)
    assert [(a.post, a.role, a.life) for a in cell.addressees] == [
        (DUTY, ACTION, Life.QUEUED),
        (DEPUTY, INFO, Life.QUEUED),
    ]
    facts = world.records[-1].facts
    assert isinstance(facts, NoteFacts)
    assert [(a.post, a.readers) for a in facts.addressees] == [
        (DUTY, (DORA,)),
        (DEPUTY, (EDWIN,)),
        (LONDON, (ANNA,)),
    ]
    assert world.records[-1].urgency.precedence is FLASH


def test_a_device_gives_an_id_to_one_note_of_a_channel(world):
    refused = world.note(kind="memo")
    refuses(world, refused, "unknown-kind")
    # What was refused is sealed anew under its id: it is the first that the log has of it.
    first = world.accept(world.note(id=refused.payload.id))
    serial = world.next_serial(signing(f"{ANNA}/1"), MOD)
    refuses(world, world.note(id=first.payload.id), "id-used", "the same id")
    world.advance(DAY)
    refuses(world, world.note(id=first.payload.id), "id-used")
    world.accept(world.note(DORA, id=first.payload.id))  # another device's
    assert world.next_serial(signing(f"{ANNA}/1"), MOD) == serial
    world.accept(world.note())
    claims = [cell for cell in world.cells.values() if isinstance(cell, cells.NoteClaim)]
    assert len(claims) == 3


def test_the_first_rules_do_not_ask_for_an_id_that_is_new():
    world = FIRST.copy()
    note = world.accept(world.note())
    world.accept(world.note(id=note.payload.id))
    assert not [cell for cell in world.cells.values() if isinstance(cell, cells.NoteClaim)]


def test_references_are_gapless_and_per_channel(world):
    for number in range(1, 6):
        note = world.accept(world.note(*((ANNA,) if number % 2 else (DORA,))))
        assert world.have(cells.Note, world.channel, note.digest).reference == number
        refuses(world, world.note(kind="memo"), "unknown-kind")
        world.accept(world.void(ANNA, MOD, 200 + number))


@pytest.mark.parametrize(
    ("worse", "code", "good"),
    [
        ({"kind": "memo"}, "unknown-kind", {"kind": "leader"}),
        ({"precedence": level(OVERRIDE, FLASH)}, "precedence", {"precedence": level(FLASH, FLASH)}),
        (
            {"kind": "service", "precedence": level(FLASH, Precedence.ROUTINE)},
            "precedence",
            {"kind": "service", "precedence": level(Precedence.ROUTINE, Precedence.ROUTINE)},
        ),
        ({"kind": "urgent"}, "justification", {"kind": "urgent", "justification": "Ships closing"}),
        (
            {"content": payloads.Content(digest=digest("c"), size=4 * 1024 * 1024 + 1)},
            "content-too-large",
            {"content": payloads.Content(digest=digest("c"), size=4 * 1024 * 1024)},
        ),
        ({"dtg": "312500Z NOV 26"}, "dtg", {"dtg": "302359Z NOV 26"}),
        ({"dtg": "010000Z XXX 26"}, "dtg", {"dtg": "010000Z JAN 26"}),
        (
            {"label": payloads.Label(classification="TOP SECRET", releasable_to=(FCO, MOD))},
            "classification",
            {"label": payloads.Label(classification="RESTRICTED", releasable_to=(FCO, MOD))},
        ),
        (
            {"label": payloads.Label(classification="SECRET", releasable_to=(FCO,))},
            "releasable-to",
            {},
        ),
        (
            {"label": payloads.Label(classification="SECRET", releasable_to=(MOD,))},
            "releasable-to",
            {},
        ),
        (
            {
                "label": payloads.Label(
                    classification="SECRET", releasable_to=(FCO, MOD, "un.example")
                )
            },
            "releasable-to",
            {},
        ),
        ({"charter": digest("x")}, "other-charter", {}),
        ({"channel": digest("x")}, "unknown-channel", {}),
        ({"log": "other.example"}, "other-log", {}),
        ({"in_reply_to": digest("x")}, "unknown-note", {}),
        ({"to": {DUTY: INFO}}, "action-across", {"to": {DUTY: ACTION, DEPUTY: INFO}}),
        ({"post": "new@fco.example"}, "unknown-post", {}),
        ({"serial": 258}, "serial-ahead", {"serial": 257}),
    ],
)
def test_a_note_that_the_charter_does_not_allow(world, worse: dict[str, Any], code, good):
    refuses(world, world.note(**worse), code)
    world.accept(world.note(**good))


@pytest.mark.parametrize(
    "later",
    [
        {"supersedes": digest("x")},
        {"corrects": digest("x")},
        {"amends": digest("x")},
        {"reply_by": 1},
        {"expiry": 1},
        {"latest_delivery": 1},
        {"deferred_until": 1},
        {"silence_until": 1},
        {
            "drafted": (payloads.DraftedAddressee(post=DUTY, role=AddresseeRole.ACTION),),
            "to": {HEAD: ACTION},
        },
        {"exercise": True},
        {"to": {DUTY: ACTION, DEPUTY: AddresseeRole.STANDBY}},
        {"to": {DUTY: {"reply_by": 1}}},
        {"to": {DUTY: {"no_redirect": True}}},
        {"to": {DUTY: ACTION, DEPUTY: {"role": INFO, "alternate_for": DUTY}}},
    ],
)
def test_what_the_second_version_switches_on_is_not_in_the_first(later: dict[str, Any]):
    world = FIRST.copy()
    refuses(world, world.note(**later), "not-in-this-version")
    world.accept(world.note())


def test_a_note_lapses_within_the_charters_limit(world):
    most = world.clock + HOUR
    refuses(world, world.note(lapse=most + 1), "lapse-too-long", "over 3600 s")
    world.accept(world.note(lapse=most))


def test_a_kind_is_written_by_its_writers(world):
    refuses(world, world.note(EDWIN, {LONDON: ACTION}), "role", "written by attache")
    world.accept(world.note(DORA))
    world.accept(world.member(EDWIN, roles=(MemberRole.ATTACHE,)))
    world.accept(world.note(EDWIN, {LONDON: ACTION}))


def test_high_precedence_is_for_those_who_are_cleared(world):
    rule = charters.RuleUse(
        use="cleared-above", parameters={"precedence": "immediate", "role": "chair"}
    )
    channel = world.have(cells.Channel, world.channel)
    world.cells[channel.key] = channel.model_copy(update={"rules": (rule,)})
    refuses(world, world.note(), "cleared-above", "flash is for members with the role chair")
    world.accept(world.note(precedence=level(IMMEDIATE, IMMEDIATE)))
    roles = (MemberRole.ATTACHE, MemberRole.CHAIR)
    world.accept(world.member(ANNA, roles=roles))
    world.accept(world.note())


def test_a_charters_rule_that_this_version_lost_refuses_its_notes(world):
    channel = world.have(cells.Channel, world.channel)
    use = charters.RuleUse(use="moon-phase", parameters={})
    world.cells[channel.key] = channel.model_copy(update={"rules": (use,)})
    refuses(world, world.note(), "unknown-rule")


def test_a_charter_limits_the_addressees(world):
    channel = world.have(cells.Channel, world.channel)
    limited = channel.model_copy(update={"terms": terms(addressees_max=1)})
    world.cells[channel.key] = limited
    refuses(world, world.note(to={DUTY: ACTION, DEPUTY: INFO}), "too-many-addressees", "is 1")
    world.accept(world.note(to={DUTY: ACTION}))


def test_a_sender_writes_for_a_post_they_hold_on_the_roster(world):
    wraps = world.note().payload.addressees[-1].wraps
    not_held = payloads.Addressee(post="new@fco.example", role=COPY, wraps=wraps)
    addressed = world.note().payload.addressees[:1]
    world.accept(world.member("cy@fco.example"))
    held_by_cy = {"post": "new@fco.example", "sequence": 1, "previous": None}
    world.accept(world.posting(LONDON, ("cy@fco.example",), **held_by_cy))
    refuses(world, world.note(addressees=(*addressed, not_held)), "not-a-holder")
    off = {"post": "off.roster@fco.example", "sequence": 1, "previous": None}
    world.accept(world.posting(LONDON, (ANNA,), **off))
    refuses(world, world.note(post="off.roster@fco.example"), "not-on-roster")
    world.accept(world.note())


def test_an_addressed_post_stands_on_the_roster(world):
    desk = payloads.Tier(name="desk", posts=(DUTY,))
    world.accept(world.roster(MOD, tiers=(desk,)))
    refuses(world, world.note(to={DUTY: ACTION, DEPUTY: INFO}), "not-on-roster", DEPUTY)
    world.accept(world.note())


def test_a_note_relies_on_its_own_and_each_addressed_party(world):
    good = world.note().payload.parties
    own, other = good
    refuses(world, world.note(parties=(other,)), "reliances", "no other")
    refuses(world, world.note(parties=(own,)), "reliances")
    stranger = own.model_copy(update={"party": "un.example"})
    refuses(world, world.note(parties=(*good, stranger)), "reliances")
    bare = other.model_copy(update={"roster": None, "serial": None})
    refuses(world, world.note(parties=(own, bare)), "reliances", "roster and serial stand for")
    full = own.model_copy(update={"roster": digest("x"), "serial": 1})
    refuses(world, world.note(parties=(full, other)), "reliances", "roster and serial stand for")
    world.accept(world.note(parties=good))


def test_a_note_stays_within_its_channels_parties(world):
    un = "un.example"
    world.accept(world.admission(un))
    world.accept(world.party(un))
    world.accept(world.member("ulla@un.example"))
    desk = {"post": "desk@un.example", "by": un, "sequence": 1, "previous": None}
    world.accept(
        world.posting(DUTY, ("ulla@un.example",), key=signing("un.example/registrar"), **desk)
    )
    world.accept(world.directory(un))
    outside = world.note().payload.addressees[0].model_copy(update={"post": "desk@un.example"})
    own = world.note().payload.addressees[-1]
    reliances = world.note().payload.parties
    theirs = reliances[1].model_copy(update={"party": un})
    label = payloads.Label(classification="SECRET", releasable_to=(FCO, MOD))
    refuses(
        world,
        world.note(addressees=(outside, own), parties=(reliances[0], theirs), label=label),
        "releasable-to",
    )
    refuses(world, world.void(ANNA, un, 1), "not-a-party")
    ulla = world.make(
        payloads.Void,
        signing("ulla@un.example/1"),
        by="ulla@un.example",
        channel=world.channel,
        party=MOD,
        serial=1,
    )
    refuses(world, ulla, "not-a-party", "un.example is not a party")


# Freshness


def test_a_directory_is_good_while_it_is_the_newest_at_issued(world):
    world.advance(HOUR)
    before = world.note()
    world.advance(SECOND)
    newer_at = world.next_at
    world.accept(world.directory(MOD))
    world.accept(world.note(parties=before.payload.parties, issued=newer_at - 1))
    again = {"parties": (before.payload.parties[0], _serial(before, 2))}
    refuses(world, world.note(**again, issued=newer_at), "directory-outdated", "a newer directory")
    world.accept(world.note())


def _serial(note: Any, serial: int) -> payloads.Reliance:
    other: payloads.Reliance = note.payload.parties[1]
    return other.model_copy(update={"serial": serial})


def test_a_directory_lapses_to_the_microsecond(world):
    until = world.next_at + HOUR
    world.accept(world.directory(MOD, valid_until=until))
    world.clock = until
    refuses(world, world.note(), "directory-lapsed")
    world.clock = until - 1
    world.accept(world.note())


def test_a_directory_that_was_never_accepted_is_not_in_force(world):
    unsent = world.directory(MOD)
    other = world.note().payload.parties[1].model_copy(update={"directory": unsent.digest})
    parties = (world.note().payload.parties[0], other)
    refuses(world, world.note(parties=parties), "directory-outdated", "not in force here")
    world.accept(unsent)
    world.accept(world.note(parties=parties))


def test_a_revocation_outdates_each_directory_before_it(world):
    world.accept(world.member(EDWIN, devices=[]))
    refuses(world, world.note(), "directory-outdated", "revoked something since")
    refuses(world, world.note(DORA), "directory-outdated", "revoked something since")
    world.accept(world.directory(MOD))
    world.accept(world.note())
    world.accept(world.member(EDWIN, devices=[signing("fresh")]))
    world.accept(world.note())


def test_a_roster_is_good_while_it_is_the_newest_at_issued(world):
    world.advance(HOUR)
    before = world.note()
    world.advance(SECOND)
    newer_at = world.next_at
    world.accept(world.roster(MOD))
    world.accept(world.note(parties=before.payload.parties, issued=newer_at - 1))
    parties = (before.payload.parties[0], _serial(before, 2))
    refuses(world, world.note(parties=parties, issued=newer_at), "roster-outdated", "a newer")
    for _ in range(3):
        world.accept(world.roster(MOD))
    refuses(world, world.note(parties=parties, issued=newer_at - 1), "roster-outdated", "in force")
    world.accept(world.note())


def test_a_suspended_party_is_not_written_to(world):
    world.accept(world.admission(MOD, state=State.SUSPENDED))
    refuses(world, world.note(), "party-suspended")
    refuses(world, world.note(DORA), "party-suspended")
    world.accept(world.admission(MOD))
    world.accept(world.note())


# Wraps


def wrapped(world: MemoryWorld, *statements: str, at: int = 0) -> tuple[payloads.Addressee, ...]:
    """Return a note's addressees with the wraps of the one at ``at`` for other key statements."""
    addressees = list(world.note().payload.addressees)
    wraps = tuple(payloads.Wrap(key=s, wrap=digest("w")) for s in sorted(statements))
    addressees[at] = addressees[at].model_copy(update={"wraps": wraps})
    return tuple(addressees)


def test_a_wrap_is_for_a_key_in_use(world):
    start, end = world.clock + HOUR, world.clock + 2 * HOUR
    key = world.accept(
        world.encryption_key(DORA, "2", use_from=start, use_until=end, kept_until=end + 60 * DAY)
    )

    def note() -> Any:
        return world.note(addressees=wrapped(world, key.digest))

    world.clock = start - 1
    refuses(world, note(), "key-not-in-use")
    world.clock = end
    refuses(world, note(), "key-not-in-use")
    world.clock = start
    world.accept(note())
    world.clock = end - 1
    world.accept(note())


def test_a_wrap_is_for_a_key_that_is_kept_until_the_note_must_be_opened(world):
    kept = world.clock + 40 * DAY
    key = world.accept(world.encryption_key(DORA, "2", kept_until=kept))
    for party in (FCO, MOD):
        world.clock = kept - 21 * DAY - HOUR
        world.accept(world.directory(party))
    last = kept - 21 * DAY
    world.clock = last + 1
    refuses(world, world.note(addressees=wrapped(world, key.digest)), "key-not-kept")
    world.clock = last
    world.accept(world.note(addressees=wrapped(world, key.digest)))


def test_a_wrap_is_for_a_holder_on_a_device_in_force(world):
    edwins = world.have(cells.DeviceKeys, signing(f"{EDWIN}/1").id).keys[-1][0]
    doras = world.have(cells.DeviceKeys, signing(f"{DORA}/1").id).keys[-1][0]
    refuses(world, world.note(addressees=wrapped(world, edwins)), "not-a-holder", "a wrap for")
    refuses(world, world.note(addressees=wrapped(world, digest("x"))), "unknown-key", "a wrap for")
    addressees = wrapped(world, doras)
    world.accept(world.note(addressees=addressees))
    world.accept(world.member(DORA, devices=[signing("dora's new")]))
    world.accept(world.directory(MOD))
    refuses(world, world.note(addressees=addressees), "device-not-in-force", "a device of dora")
    world.accept(world.member(DORA, devices=[], state=State.SUSPENDED))
    world.accept(world.directory(MOD))
    refuses(
        world, world.note(addressees=addressees), "member-not-active", "dora.dunn@mod.example is"
    )


def test_a_copy_is_for_the_sender_alone(world):
    world.accept(world.member("cy@fco.example"))
    cys = world.accept(world.encryption_key("cy@fco.example"))
    world.accept(world.posting(LONDON, (ANNA, "cy@fco.example")))
    refuses(world, world.note(addressees=wrapped(world, cys.digest, at=-1)), "copy")
    world.accept(world.note())


def test_a_note_to_a_post_that_is_not_known(world):
    tiers = (payloads.Tier(name="desk", posts=(DUTY,)),)
    world.accept(world.roster(MOD, tiers=tiers))
    refuses(world, world.note(to={"new@mod.example": ACTION}), "not-on-roster")
    post = world.have(cells.Post, DUTY)
    world.cells[post.key] = None  # no path leads here: a post on a roster stays known
    refuses(world, world.note(), "unknown-post")
    world.cells[post.key] = post
    world.accept(world.note())


# Answers


def test_an_answer_moves_the_addressee_and_says_who(world):
    note = world.accept(world.note()).digest
    world.accept(world.answer(DORA, DELIVERED, note))
    assert life_of(world, note, DUTY).life is Life.DELIVERED
    refuses(world, world.answer(DORA, DELIVERED, note), "already-so")
    world.advance(SECOND)
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    state = life_of(world, note, DUTY)
    assert (state.life, state.by, state.at) == (Life.ACKNOWLEDGED, DORA, world.head_at)
    refuses(world, world.answer(DORA, ACKNOWLEDGED, note), "already-acknowledged", f"by {DORA} at")
    refuses(world, world.answer(DORA, DECLINED, note), "already-acknowledged")


def test_a_declined_note_stays_declined(world):
    note = world.accept(world.note()).digest
    world.accept(world.answer(DORA, DECLINED, note))
    refuses(world, world.answer(DORA, ACKNOWLEDGED, note), "already-declined")
    refuses(world, world.answer(DORA, DECLINED, note), "already-declined")


def test_for_information_means_no_answer_but_delivered(world):
    note = world.accept(world.note(to={DUTY: ACTION, DEPUTY: INFO})).digest
    refuses(world, world.answer(EDWIN, ACKNOWLEDGED, note), "not-for-action")
    refuses(world, world.answer(EDWIN, DECLINED, note), "not-for-action")
    world.accept(world.answer(EDWIN, DELIVERED, note))
    assert world.records[-1].urgency.precedence is Precedence.PRIORITY
    refuses(world, world.answer(EDWIN, ACKNOWLEDGED, note), "not-for-action")


def test_unreadable_stops_nothing_and_may_be_said_again(world):
    note = world.accept(world.note()).digest
    for _ in range(2):
        world.accept(world.answer(DORA, UNREADABLE, note))
        assert life_of(world, note, DUTY).life is Life.QUEUED
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    world.accept(world.answer(DORA, UNREADABLE, note))
    assert life_of(world, note, DUTY).life is Life.ACKNOWLEDGED


def test_who_acknowledges_later_is_told_who_was_first(world):
    note = world.accept(world.note(to={DUTY: ACTION, DEPUTY: ACTION})).digest
    world.advance(SECOND)
    first_at = world.next_at
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))
    world.advance(SECOND)
    world.accept(world.answer(EDWIN, ACKNOWLEDGED, note))
    first, later = (r.facts for r in world.records[-2:])
    assert isinstance(first, AnswerFacts)
    assert isinstance(later, AnswerFacts)
    assert first.notes[0].first is None
    told = later.notes[0].first
    assert told is not None
    assert (told.by, told.post, told.at) == (DORA, DUTY, first_at)


def test_an_answer_is_of_a_holder_of_an_addressed_post(world):
    note = world.accept(world.note()).digest
    refuses(world, world.answer(EDWIN, ACKNOWLEDGED, note), "not-addressed")
    refuses(world, world.answer(EDWIN, ACKNOWLEDGED, note, post=DUTY), "not-a-holder")
    refuses(world, world.answer(DORA, ACKNOWLEDGED, note, post="new@mod.example"), "unknown-post")
    refuses(world, world.answer(ANNA, ACKNOWLEDGED, note), "not-addressed")
    refuses(world, world.answer(DORA, ACKNOWLEDGED, digest("x")), "unknown-note")
    refuses(world, world.answer(DORA, ACKNOWLEDGED, note, channel=digest("x")), "unknown-channel")
    refuses(
        world,
        world.answer(DORA, ACKNOWLEDGED, note, key=signing(f"{EDWIN}/1")),
        "device-not-in-force",
    )
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))


def test_an_answer_is_refused_as_a_whole(world):
    notes = [world.accept(world.note()).digest for _ in range(3)]
    refuses(world, world.answer(DORA, ACKNOWLEDGED, *notes, digest("x")), "unknown-note")
    world.accept(world.answer(DORA, ACKNOWLEDGED, notes[0]))
    refuses(world, world.answer(DORA, ACKNOWLEDGED, *notes), "already-acknowledged")
    assert life_of(world, notes[1], DUTY).life is Life.QUEUED
    world.accept(world.answer(DORA, DELIVERED, *notes))  # one of them is further already
    assert [life_of(world, n, DUTY).life for n in notes] == [
        Life.ACKNOWLEDGED,
        Life.DELIVERED,
        Life.DELIVERED,
    ]
    facts = world.records[-1].facts
    assert isinstance(facts, AnswerFacts)
    assert {said.note: said.moves for said in facts.notes} == {
        notes[0]: False,
        notes[1]: True,
        notes[2]: True,
    }
    assert world.records[-1].urgency.about == tuple(
        sorted(world.have(cells.Note, world.channel, n).index for n in notes)
    )


def test_a_state_that_no_statement_leads_to_yet_takes_no_answer(world):
    note = world.accept(world.note()).digest
    cell = world.have(cells.Note, world.channel, note)
    cancelled = cell.addressees[0].model_copy(update={"life": Life.CANCELLED})
    world.cells[cell.key] = cell.model_copy(update={"addressees": (cancelled,)})
    refuses(world, world.answer(DORA, ACKNOWLEDGED, note), "not-now", "is cancelled for")
    world.cells[cell.key] = cell
    world.accept(world.answer(DORA, ACKNOWLEDGED, note))


def test_a_reply_names_a_note_of_the_channel(world):
    note = world.accept(world.note()).digest
    reply = world.accept(world.note(DORA, in_reply_to=note))
    assert reply.payload.in_reply_to == note
    assert life_of(world, note, DUTY).life is Life.QUEUED  # a reply is no answer


# Serials


def test_a_serial_is_used_once(world):
    world.accept(world.note(serial=1))
    refuses(world, world.note(serial=1), "serial-used", "serial 1 towards mod.example is used")
    refuses(world, world.void(ANNA, MOD, 1), "serial-used")
    world.accept(world.void(ANNA, MOD, 3))
    refuses(world, world.note(serial=3), "serial-used", "next is 2")
    world.accept(world.note(serial=2))
    spent = world.have(cells.Serials, world.channel, signing(f"{ANNA}/1").id, MOD)
    assert (spent.lowest_unused, spent.above) == (4, ())


def test_the_window_of_serials(world):
    refuses(world, world.void(ANNA, MOD, 2 + WINDOW), "serial-ahead")
    world.accept(world.void(ANNA, MOD, 1 + WINDOW))
    refuses(world, world.void(ANNA, MOD, 2 + WINDOW), "serial-ahead")
    world.accept(world.void(ANNA, MOD, 1))
    world.accept(world.void(ANNA, MOD, 2 + WINDOW))
    refuses(world, world.void(ANNA, MOD, 9, channel=digest("x")), "unknown-channel")


def test_serials_count_per_device_and_party(world):
    world.accept(world.note(serial=1))
    world.accept(world.note(DORA, serial=1))
    world.accept(world.void(ANNA, FCO, 1))
    new = signing(f"{ANNA}/2")
    world.accept(world.member(ANNA, devices=[signing(f"{ANNA}/1"), new]))
    world.accept(world.note(key=new, serial=1))


class OneCell:
    """A view of one cell."""

    def __init__(self) -> None:
        self.cell: cells.Serials | None = None

    def get(self, cell: Any, *ids: str) -> Any:
        return self.cell


@given(st.permutations(range(1, 41)), st.sets(st.integers(1, 40)))
def test_any_order_within_the_window_ends_gapless(order, repeated):
    view = OneCell()
    used: set[int] = set()
    for serial in order:
        assert check_serial(view, "c", "d", "p", serial) is None
        view.cell = spend(view, "c", "d", "p", serial)
        used.add(serial)
        lowest = view.cell.lowest_unused
        assert lowest == min(set(range(1, 42)) - used)
        assert view.cell.above == tuple(sorted(n for n in used if n > lowest))
        for again in repeated & used:
            refused = check_serial(view, "c", "d", "p", again)
            assert refused is not None
            assert refused.code == "serial-used"
    assert view.cell is not None
    assert (view.cell.lowest_unused, view.cell.above) == (41, ())


@given(st.sets(st.integers(1, 300)), st.integers(1, 700))
def test_a_serial_is_free_used_or_too_far_ahead(before, serial):
    view = OneCell()
    used = {n for n in before if n <= 257}
    for n in sorted(used):
        if check_serial(view, "c", "d", "p", n) is None:
            view.cell = spend(view, "c", "d", "p", n)
    lowest = view.cell.lowest_unused if view.cell else 1
    refused = check_serial(view, "c", "d", "p", serial)
    if serial in used:
        assert refused is not None
        assert refused.code == "serial-used"
    elif serial > lowest + WINDOW:
        assert refused is not None
        assert refused.code == "serial-ahead"
    else:
        assert refused is None


def test_a_record_counts_its_channel(world):
    world.accept(world.note())
    world.accept(world.party(FCO))
    scopes: dict[str, list[int]] = {}
    for record in world.records:
        assert isinstance(record, Record)
        scopes.setdefault(record.channel.id, []).append(record.channel.n)
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in scopes.values())
    assert set(scopes) == {"node.example/log", FCO, MOD, world.channel}
