"""Parties, members, posts, directories, keys: each refusal beside what is accepted."""

from __future__ import annotations

from typing import Any

import pytest

from liaison.rules import cells
from liaison.rules.decide import Duplicate, needs
from liaison.statements import charters, payloads
from liaison.statements.envelope import Envelope
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import MemberRole, Scope, State
from liaison.statements.statement import Statement
from liaison.words.encoding import to_base64
from liaison.words.times import DAY, MINUTE
from tests.rules.refusing import refuses
from tests.world import (
    ALIAS,
    ANNA,
    DEPUTY,
    DORA,
    DUTY,
    FCO,
    LONDON,
    MOD,
    T0,
    MemoryWorld,
    devices_of,
    digest,
    encryption,
    signing,
    terms,
)

UN = "un.example"


@pytest.fixture(scope="module")
def _peopled():
    return MemoryWorld.peopled()


@pytest.fixture(scope="module")
def _opened():
    return MemoryWorld.opened()


@pytest.fixture
def peopled(_peopled) -> MemoryWorld:
    return _peopled.copy()


@pytest.fixture
def world(_opened) -> MemoryWorld:
    return _opened.copy()


# The beginning


def test_a_log_begins_with_its_node():
    world = MemoryWorld()
    refuses(world, world.party(FCO), "not-begun")
    refuses(world, world.node_init(rules_version=3), "rules-version")
    refuses(world, world.node_init(rules_version=1, exercise=True), "not-in-this-version")
    refuses(world, world.node_init(by="other.example"), "not-the-node")
    refuses(
        world,
        world.node_init(signing("log"), node_key=to_base64(signing("log").public)),
        "keys-equal",
    )
    refuses(world, world.node_init(signing("x")), "unknown-key", "the key that signed")
    world.accept(world.node_init())
    refuses(world, world.node_init(rules_version=2), "begun")


def test_a_log_of_a_later_rules_version_is_left_alone(world):
    log = world.have(cells.Log)
    world.cells[log.key] = log.model_copy(update={"rules_version": 3})
    refuses(world, world.note(), "rules-version", "newer than this program")


def test_node_records_are_by_the_node_key(world):
    late = world.make(
        payloads.Node,
        signing("administrator"),
        by="node.example/log",
        event="time-confirmed",
        clock=1,
    )
    refuses(world, late, "not-the-node", "not the node key")
    refuses(
        world,
        world.make(payloads.Node, signing("node"), by="x", event="time-confirmed", clock=1),
        "not-the-node",
    )
    refuses(world, world.rules_version(2), "rules-version", "version 2 is in force already")
    refuses(world, world.rules_version(1), "rules-version", "version 2 is in force already")
    refuses(world, world.rules_version(3), "rules-version", "not known here")
    world.advance(MINUTE)
    world.accept(world.time_confirmed())
    assert world.have(cells.Log).clock_confirmed == world.clock


def test_what_is_never_logged_is_refused(world):
    refuses(world, world.session(), "not-for-the-log")
    refuses(world, world.refusal(), "not-for-the-log")


# Admission and party


def test_the_administrator_admits(peopled):
    refuses(peopled, peopled.admission(UN, signing("node")), "not-the-administrator")
    refuses(peopled, peopled.admission(UN, log="other.example"), "other-log")
    refuses(peopled, peopled.party(UN), "not-admitted")
    peopled.accept(peopled.admission(UN))
    refuses(peopled, peopled.admission(UN, authority=digest("x")), "already-so")
    peopled.accept(peopled.admission(UN, state=State.SUSPENDED, authority=digest("x")))
    peopled.accept(peopled.admission(UN))
    peopled.accept(peopled.party(UN))


def test_a_known_party_keeps_its_authority(peopled):
    refuses(
        peopled,
        peopled.admission(FCO, state=State.SUSPENDED, authority=digest("x")),
        "authority-differs",
    )
    refuses(peopled, peopled.admission(FCO), "already-so")
    peopled.accept(peopled.admission(FCO, state=State.SUSPENDED))
    refuses(peopled, peopled.party(FCO), "party-suspended")
    refuses(peopled, peopled.member("new@fco.example"), "party-suspended")
    peopled.accept(peopled.admission(FCO))
    peopled.accept(peopled.party(FCO))


def test_the_first_party_statement_is_by_the_admitted_key():
    world = MemoryWorld.begun()
    world.accept(world.admission(FCO))
    refuses(world, world.party(FCO, signing(f"{FCO}/2")), "not-the-authority", "admitted under an")
    refuses(
        world,
        world.party(FCO, signing(f"{FCO}/1"), authority=to_base64(signing("x").public)),
        "unknown-key",
    )
    refuses(
        world, world.party(FCO, sequence=2, previous=digest("x")), "sequence", "the next here is 1"
    )
    refuses(world, world.party(FCO, next=signing(f"{FCO}/1").id), "next-key")
    world.accept(world.party(FCO))


def registrar(key, party=FCO, scope=tuple(Scope), until=T0 + DAY) -> payloads.Registrar:
    return payloads.Registrar(
        key=to_base64(key.public), proof=key.prove_possession(party), scope=scope, until=until
    )


def test_keys_are_claimed_once_and_in_one_capacity(peopled):
    for key, by in ((signing(f"{DORA}/1"), FCO), (signing(f"{MOD}/registrar"), FCO)):
        refuses(
            peopled, peopled.party(by, registrars=(registrar(key),)), "key-in-use", "registrar key"
        )
    authority = signing(f"{FCO}/1")
    refuses(peopled, peopled.party(FCO, registrars=(registrar(authority),)), "key-in-use")
    peopled.accept(peopled.party(FCO, registrars=(registrar(signing("another")),)))
    for key in (signing("another"), signing(f"{DORA}/1"), signing("node"), authority):
        refuses(
            peopled,
            peopled.member("new@fco.example", authority, devices=[key]),
            "key-in-use",
            "keys are not used twice",
        )
    peopled.accept(peopled.member("new@fco.example", authority, devices=[signing("fresh")]))


def test_a_party_succeeds_itself_under_the_announced_key(world):
    first = world.have(cells.Party, FCO).statement
    heir = signing(f"{FCO}/2")
    refuses(
        world, world.party(FCO, signing(f"{FCO}/3")), "not-the-authority", "neither the authority"
    )
    refuses(world, world.party(FCO, heir, previous=digest("x")), "previous")
    refuses(world, world.party(FCO, heir, sequence=3), "sequence")
    succession = world.accept(world.party(FCO, heir))
    assert succession.payload.previous == first
    refuses(world, world.party(FCO, signing(f"{FCO}/1")), "not-the-authority")
    refuses(
        world,
        world.charter(alias="b", key=signing(f"{FCO}/1")),
        "not-the-authority",
        "not the authority key",
    )
    world.accept(world.charter(alias="b"))
    world.accept(world.note())


def test_only_a_succession_announces_another_next_key(world):
    other = signing(f"{FCO}/3").id
    refuses(
        world,
        world.party(FCO, next=other),
        "next-key",
        "another next key is announced by a succession only",
    )
    world.accept(world.party(FCO, name="Ministry of the Sea"))  # the same next key
    world.accept(world.party(FCO, key=signing(f"{FCO}/2"), next=other))
    first = MemoryWorld.opened(version=1)
    first.accept(first.party(FCO, next=other))


def test_a_suspended_party_says_nothing_until_its_authority_reinstates_it(world):
    world.accept(world.party(MOD, state=State.SUSPENDED))
    refuses(world, world.member(DORA), "party-not-active")
    refuses(world, world.note(DORA), "party-not-active")
    refuses(world, world.charter(MOD, alias="b"), "party-not-active")
    refuses(world, world.note(), "directory-outdated", "revoked something since")
    world.accept(world.party(MOD))
    world.advance(1)
    refuses(world, world.note(), "directory-outdated")
    world.accept(world.directory(MOD))
    world.accept(world.note())


def test_a_revoked_party_is_revoked_for_good(world):
    world.accept(world.party(MOD, state=State.REVOKED))
    refuses(world, world.party(MOD), "party-not-active", "is revoked")


# Members


def test_a_registrar_signs_within_scope_and_time(peopled):
    scoped = registrar(signing("scoped"), scope=(Scope.POSTING,), until=T0 + DAY)
    peopled.accept(peopled.party(FCO, registrars=(scoped,)))
    new = "new@fco.example"
    refuses(peopled, peopled.member(new, signing("scoped")), "registrar-scope")
    refuses(peopled, peopled.posting(LONDON, key=signing(f"{FCO}/registrar")), "not-a-registrar")
    refuses(peopled, peopled.posting(LONDON, key=signing(f"{ANNA}/1")), "not-a-registrar")
    peopled.accept(peopled.posting(LONDON, key=signing("scoped")))
    peopled.clock = T0 + DAY - 1
    peopled.accept(peopled.posting(LONDON, key=signing("scoped")))
    peopled.clock = T0 + DAY
    refuses(peopled, peopled.posting(LONDON, key=signing("scoped")), "registrar-ended")
    peopled.accept(peopled.posting(LONDON, key=signing(f"{FCO}/1")))


def test_a_party_speaks_of_its_own_members_and_posts(peopled):
    foreign = signing(f"{FCO}/registrar")
    refuses(peopled, peopled.member("new@mod.example", foreign, by=FCO), "other-party")
    refuses(peopled, peopled.posting(DUTY, key=foreign, by=FCO), "other-party")
    refuses(peopled, peopled.posting(LONDON, (DORA,)), "unknown-member")
    refuses(peopled, peopled.posting(LONDON, ("new@fco.example",)), "unknown-member")
    peopled.accept(peopled.member("new@fco.example"))
    peopled.accept(peopled.posting(LONDON, (ANNA, "new@fco.example")))
    peopled.accept(peopled.posting(LONDON, ()))


def test_a_party_that_is_not_known_has_no_members(peopled):
    peopled.accept(peopled.admission(UN))
    refuses(peopled, peopled.member("a@un.example", signing(f"{MOD}/1")), "unknown-party")
    refuses(peopled, peopled.charter(UN, signing(f"{FCO}/1"), parties=(FCO, UN)), "unknown-party")
    refuses(peopled, peopled.charter(parties=(FCO, UN)), "unknown-party", UN)
    peopled.accept(peopled.party(UN))
    peopled.accept(peopled.member("a@un.example"))
    peopled.accept(peopled.charter(parties=(FCO, UN)))


def test_members_and_posts_share_one_name_space(peopled):
    refuses(peopled, peopled.member(LONDON), "name-taken", "is the name of a post")
    refuses(
        peopled,
        peopled.posting(DUTY, (), post=DORA, sequence=1, previous=None),
        "name-taken",
        "is the name of a member",
    )
    peopled.accept(peopled.member("london@fco.example"))
    peopled.accept(peopled.posting(DUTY, (), post="dora@mod.example", sequence=1, previous=None))


def test_sequences_have_no_gaps_and_no_forks(peopled):
    refuses(
        peopled, peopled.member(ANNA, sequence=3), "sequence", "sequence is 3; the next here is 2"
    )
    refuses(peopled, peopled.member(ANNA, previous=digest("x")), "previous")
    peopled.accept(peopled.member(ANNA))
    peopled.accept(peopled.member(ANNA))


def test_a_registrar_suspends_and_only_the_authority_reinstates(world):
    world.accept(world.member(ANNA, state=State.SUSPENDED))
    refuses(world, world.note(), "member-not-active", "suspended")
    refuses(world, world.member(ANNA), "only-the-authority")
    refuses(world, world.posting(LONDON), "member-not-active")
    world.accept(world.member(ANNA, state=State.SUSPENDED))
    world.accept(world.member(ANNA, signing(f"{FCO}/1")))
    refuses(world, world.note(), "directory-outdated")
    world.accept(world.directory(FCO))
    world.accept(world.note())


def test_a_revoked_member_is_revoked_for_good(world):
    world.accept(world.member(ANNA, state=State.REVOKED))
    refuses(world, world.member(ANNA, signing(f"{FCO}/1")), "member-not-active", "for good")
    refuses(world, world.encryption_key(ANNA, "2"), "member-not-active")
    world.accept(world.member("new@fco.example"))


def test_a_registrar_does_nothing_to_a_member_that_the_authority_cannot_undo(world):
    registrar, authority = signing(f"{MOD}/registrar"), signing(f"{MOD}/1")
    kept, stolen = signing(f"{DORA}/1"), signing(f"{DORA}/2")

    def lost(since: int) -> dict[str, Any]:
        return {"compromised": (payloads.Compromised(key=stolen.id, since=since),)}

    def said(key: SigningKey, **changes: Any) -> Statement[payloads.Member]:
        return world.member(DORA, key, [kept], **changes)

    since = world.clock
    world.accept(world.member(DORA, registrar, [kept, stolen]))
    refuses(world, said(registrar, state=State.REVOKED), "only-the-authority", "authority revokes")
    refuses(world, said(registrar, **lost(since)), "only-the-authority", "since when")
    new = world.member("new@mod.example", registrar, [], state=State.REVOKED)
    refuses(world, new, "only-the-authority")
    # It takes the device away and suspends; the authority says the rest.
    world.accept(said(registrar, state=State.SUSPENDED))
    world.accept(said(authority, **lost(since)))
    # What was said stands in what a registrar says later, and is no other in it.
    refuses(world, said(registrar), "compromised", "stays so")
    refuses(world, said(registrar, **lost(since - 1)), "only-the-authority")
    world.accept(said(registrar, state=State.SUSPENDED, **lost(since)))
    world.accept(said(authority, state=State.REVOKED, **lost(since)))


def test_under_the_first_rules_a_registrar_revoked_too():
    world = MemoryWorld.opened(version=1)
    world.accept(world.member(DORA, signing(f"{MOD}/registrar"), state=State.REVOKED))


def test_a_device_that_was_taken_away_stays_away(world):
    old, new = signing(f"{ANNA}/1"), signing(f"{ANNA}/2")
    world.accept(world.member(ANNA, devices=[old, new]))
    world.accept(world.member(ANNA, devices=[new]))
    refuses(world, world.note(), "device-not-in-force")
    refuses(world, world.encryption_key(ANNA, "2", old), "device-not-in-force")
    refuses(world, world.member(ANNA, devices=[old, new]), "key-in-use")
    world.accept(world.encryption_key(ANNA, "2", new))
    world.accept(world.directory(FCO))
    world.accept(world.note(key=new))


def test_a_device_belongs_to_one_member(peopled):
    refuses(
        peopled, peopled.member("new@fco.example", devices=[signing(f"{ANNA}/1")]), "key-in-use"
    )
    refuses(peopled, peopled.encryption_key(DORA, "2", signing(f"{ANNA}/1")), "device-not-in-force")
    refuses(
        peopled,
        peopled.encryption_key("nobody@fco.example", "2", signing(f"{ANNA}/1")),
        "unknown-member",
    )
    peopled.accept(peopled.member("new@fco.example", devices=[]))


def test_possession_is_checked_before_anything_is_decided():
    with pytest.raises(ValueError, match="proof of possession"):
        MemoryWorld().make(
            payloads.Member,
            signing(f"{FCO}/1"),
            by=FCO,
            member=ANNA,
            name="Anna",
            roles=(MemberRole.ATTACHE,),
            state=State.ACTIVE,
            devices=devices_of(DORA, [signing("x")]),
            sequence=1,
        )


# Directories


def test_a_directory_names_what_is_newest(world):
    entries = world.directory(FCO).payload
    member = entries.members[0].model_copy(update={"statement": digest("x")})
    posting = entries.postings[0].model_copy(update={"statement": digest("x")})
    foreign = payloads.MemberEntry(member=DORA, statement=world.have(cells.Member, DORA).statement)
    post = payloads.PostEntry(post=DUTY, statement=world.have(cells.Post, DUTY).statement)
    for changes, named in (
        ({"members": (member,)}, ANNA),
        ({"members": (foreign,)}, DORA),
        ({"postings": (posting,)}, LONDON),
        ({"postings": (post,)}, DUTY),
    ):
        refuses(world, world.directory(FCO, **changes), "directory-stale", named)
    world.accept(world.directory(FCO))
    world.accept(world.directory(FCO, members=(), postings=(), rosters=(), charters=()))


def test_a_directory_is_decided_without_the_channels_it_names(world):
    """Else no channel could be replayed alone (design.md, law 3); clients compare what they hold."""
    elsewhere = world.directory(FCO).payload.rosters[0].model_copy(update={"channel": digest("x")})
    stated = world.directory(FCO, rosters=(elsewhere,), charters=(elsewhere,))
    read = {key[0] for key in needs(stated, world.get)}
    assert not read & {cells.Channel.name, cells.Rosters.name}
    world.accept(stated)


def test_a_directory_is_valid_for_seven_days_at_most(world):
    refuses(world, world.directory(FCO, valid_until=world.clock + 7 * DAY + 1), "valid-too-long")
    refuses(world, world.directory(FCO, valid_until=world.next_at), "directory-lapsed")
    world.accept(world.directory(FCO, valid_until=world.next_at + 1))
    world.accept(world.directory(FCO, valid_until=world.clock + 7 * DAY))


# Encryption keys


@pytest.mark.parametrize(
    ("worse", "good"),
    [
        ({"use_until": T0 + 35 * DAY + 1}, {"use_until": T0 + 35 * DAY}),
        ({"kept_until": T0 + 435 * DAY + 1}, {"kept_until": T0 + 435 * DAY}),
    ],
)
def test_an_encryption_key_has_limits(peopled, worse, good):
    refuses(peopled, peopled.encryption_key(ANNA, "2", use_from=T0, **worse), "key-dates")
    peopled.accept(peopled.encryption_key(ANNA, "2", use_from=T0, **good))


def test_a_key_whose_use_is_over_is_refused(peopled):
    at = peopled.next_at
    refuses(peopled, peopled.encryption_key(ANNA, "2", use_from=T0 - 9, use_until=at), "key-dates")
    peopled.accept(peopled.encryption_key(ANNA, "2", use_from=T0 - 9, use_until=at + 1))


def test_an_encryption_key_is_certified_once(peopled):
    refuses(
        peopled, peopled.encryption_key(DORA, "2", encryption=encryption(f"{ANNA}/1")), "key-in-use"
    )
    refuses(peopled, peopled.encryption_key(ANNA, use_until=T0 + DAY), "key-in-use")
    peopled.accept(peopled.encryption_key(ANNA, "2"))


# Charter, accession, roster


def rule(use: str, **parameters: int | str) -> charters.RuleUse:
    return charters.RuleUse(use=use, parameters=parameters)


def test_a_charter_is_for_this_log(peopled):
    log = peopled.charter().payload.log
    for changes in (
        {"origin": "other.example"},
        {"log_key": log.node_key},
        {"node_key": log.log_key},
    ):
        refuses(peopled, peopled.charter(log=log.model_copy(update=changes)), "other-log")
    refuses(peopled, peopled.charter(key=signing(f"{FCO}/registrar")), "not-the-authority")
    refuses(peopled, peopled.charter(previous=digest("x")), "other-charter", "names its channel")
    peopled.accept(peopled.charter())


def test_an_alias_is_taken_once(world):
    refuses(world, world.charter(terms=terms(addressees_max=9)), "name-taken", ALIAS)
    world.accept(world.charter(alias="second"))


@pytest.mark.parametrize(
    ("use", "code"),
    [
        (rule("members-exactly", count=3), "members-exactly"),
        (rule("members-exactly"), "rule-parameters"),
        (rule("members-exactly", count="2"), "rule-parameters"),
        (rule("members-exactly", count=2, more=1), "rule-parameters"),
        (rule("cleared-above", precedence="urgent", role="attache"), "rule-parameters"),
        (rule("moon-phase"), "unknown-rule"),
    ],
)
def test_a_charter_names_rules_that_exist_and_fit(peopled, use, code):
    refuses(peopled, peopled.charter(rules=(use,)), code)
    peopled.accept(peopled.charter(rules=(rule("members-exactly", count=2),)))


def test_a_channel_opens_when_all_have_acceded(peopled):
    channel = peopled.accept(peopled.charter()).digest
    peopled.accept(peopled.admission(UN))
    peopled.accept(peopled.party(UN))
    refuses(peopled, peopled.accession(UN), "not-a-party")
    refuses(peopled, peopled.accession(FCO, channel=digest("x")), "unknown-channel")
    refuses(peopled, peopled.accession(FCO, charter=digest("x")), "other-charter")
    refuses(peopled, peopled.accession(FCO, signing(f"{FCO}/registrar")), "not-the-authority")
    peopled.accept(peopled.accession(FCO))
    refuses(peopled, peopled.accession(FCO, lapse=peopled.clock + DAY), "already-so")
    refuses(peopled, peopled.note(), "channel-not-open", f"{MOD} has not acceded")
    assert not peopled.have(cells.Channel, channel).is_open
    peopled.accept(peopled.accession(MOD))
    assert peopled.have(cells.Channel, channel).is_open


def tier(name: str, *posts: str) -> payloads.Tier:
    return payloads.Tier(name=name, posts=posts)


def test_a_roster_has_posts_of_its_own_party_each_once(world):
    refuses(world, world.roster(FCO, tiers=(tier("desk", DUTY),)), "unknown-post")
    refuses(world, world.roster(FCO, tiers=(tier("desk", "new@fco.example"),)), "unknown-post")
    refuses(world, world.roster(FCO, tiers=(tier("a", LONDON), tier("b", LONDON))), "roster-tiers")
    refuses(world, world.roster(FCO, channel=digest("x")), "unknown-channel")
    refuses(world, world.roster(FCO, sequence=5), "sequence")
    world.accept(world.admission(UN))
    world.accept(world.party(UN))
    refuses(world, world.roster(UN, tiers=(tier("desk"),)), "not-a-party")
    world.accept(world.roster(FCO))
    world.accept(world.roster(FCO, tiers=(tier("desk"),)))


def test_a_roster_names_alternates_among_its_posts(world):
    def alternates(post: str, alternate: str) -> dict[str, Any]:
        return {"alternates": (payloads.Alternate(post=post, alternate=alternate),)}

    for post, alternate in ((DUTY, DUTY), (DUTY, LONDON), (LONDON, DUTY)):
        refuses(
            world, world.roster(MOD, **alternates(post, alternate)), "roster-tiers", "two posts"
        )
    world.accept(world.roster(MOD, **alternates(DUTY, DEPUTY)))
    assert world.have(cells.Rosters, world.channel, MOD).editions[-1].alternates


# Duplicates and lapse


def test_the_same_payload_is_a_duplicate_whatever_its_signature(world):
    note = world.accept(world.note())
    index = len(world.records) - 1
    assert world.submit(note) == Duplicate(index)
    world.advance(10 * DAY)
    assert world.submit(note) == Duplicate(index)  # also after its lapse
    from liaison.rules.decide import decide

    forged = Statement(
        Envelope(b"other", "note", note.envelope.payload, note.envelope.key, bytes(64)),
        note.payload,
    )
    assert forged.digest != note.digest
    assert decide(world.load(forged), forged, world.next_at) == Duplicate(index)


def test_a_charter_signed_twice_makes_one_channel(world):
    """Its digest names the channel, so a second signature would name another: the alias stops it."""
    from liaison.rules.decide import decide
    from liaison.rules.refusal import Refused

    charter = next(s for s in world.accepted if s.kind == "charter")
    assert isinstance(world.submit(charter), Duplicate)
    forged = Statement(
        Envelope(b"o", "charter", charter.envelope.payload, charter.envelope.key, bytes(64)),
        charter.payload,
    )
    refused = decide(world.load(forged), forged, world.next_at)
    assert isinstance(refused, Refused)
    assert refused.code == "name-taken"


def test_lapse_to_the_microsecond(peopled):
    at = peopled.next_at
    refuses(peopled, peopled.member(ANNA, lapse=at), "lapsed", "it could enter until")
    peopled.accept(peopled.member(ANNA, lapse=at + 1))


def test_issued_ahead_to_the_microsecond(peopled):
    ahead = peopled.next_at + 2 * MINUTE
    refuses(peopled, peopled.member(ANNA, issued=ahead + 1), "issued-ahead", "issued 120 s ahead")
    peopled.accept(peopled.member(ANNA, issued=ahead))


def test_what_travels_lapses_after_400_days_at_most(peopled):
    most = peopled.clock + 400 * DAY
    refuses(peopled, peopled.member(ANNA, lapse=most + 1), "lapse-too-long")
    peopled.accept(peopled.member(ANNA, lapse=most))


def test_a_party_may_not_bear_the_logs_own_name(world):
    """Else one scope would count the records of both."""
    named = world.have(cells.Log).model_copy(update={"origin": UN})
    world.cells[cells.Log.key_of()] = named
    said = {"by": UN, "log": UN}
    refuses(world, world.admission(UN, **said), "name-taken", "the name of this log")
    world.accept(world.admission("eu.example", **said))
