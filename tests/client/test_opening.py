"""The order in which a note is opened: each broken link has its own error, and nothing is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from liaison.client import LinkBroken
from liaison.client.outbox import Signed
from liaison.client.pins import AuthorityPin
from liaison.client.reading import Delivery, sha256
from liaison.client.watching import Entry, check_record
from liaison.sealing.content import Content
from liaison.sealing.seal import seal
from liaison.statements import payloads
from liaison.statements.payloads import Scope, State
from liaison.statements.statement import make_statement
from liaison.words.encoding import to_base64
from liaison.words.errors import (
    LiaisonError,
    LogUntrusted,
    NotReady,
    SignatureInvalid,
    Unreadable,
)
from liaison.words.times import DAY, HOUR, MINUTE, SECOND, to_dtg
from tests.client.hostile import (
    ANNA,
    CANARY,
    DORA,
    Desk,
    HostileWorld,
    delivery_of,
    note_in,
)
from tests.world import ALIAS, DUTY, FCO, LONDON, MOD, ORIGIN, digest, signing


@pytest.fixture
def world():
    world = HostileWorld.peopled_and_open()
    world.advance(MINUTE)
    return world


@pytest.fixture
def anna(tmp_path, world):
    return Desk(tmp_path / "anna", world, ANNA)


@pytest.fixture
def dora(tmp_path, world):
    return Desk(tmp_path / "dora", world, DORA)


def log(world: HostileWorld, signed: Signed) -> Entry:
    """Log a note by the rules."""
    return world.entry(world.accept(note_in(signed)).digest)


def forge(world: HostileWorld, signed: Signed, **changes: object) -> Entry:
    """Log an altered note, signed anew by the sender's device, against the rules."""
    payload = note_in(signed).payload.model_copy(update=changes)
    statement = make_statement(payload, signing(f"{ANNA}/1"))
    return world.force(statement, world.note_facts(statement))


async def broken(dora: Desk, entry: Entry, delivery: Delivery, error: type[LiaisonError]):
    with pytest.raises(error) as caught:
        await dora.open(entry, delivery)
    assert CANARY not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
    return caught.value


async def test_an_honest_note_is_accepted_by_the_rules_and_opens(world, anna, dora):
    signed = await anna.write()
    content = await dora.open(log(world, signed), delivery_of(signed))
    assert (content.subject, content.body) == ("Subject", CANARY)


async def test_a_party_that_nobody_pinned_is_not_judged_at_all(world, anna, dora):
    signed = await anna.write()
    entry = log(world, signed)
    del dora.pins.authorities[FCO]
    error = await broken(dora, entry, delivery_of(signed), NotReady)
    assert "party pin" in error.do


async def test_another_authority_than_the_pinned_one_breaks_the_first_link(world, anna, dora):
    signed = await anna.write()
    entry = log(world, signed)
    other = signing("stranger").id
    dora.pins.authorities[FCO] = AuthorityPin(FCO, other, "test", "by hand", 0)
    error = await broken(dora, entry, delivery_of(signed), LinkBroken)
    assert error.link == "pin"


async def test_an_announced_successor_of_the_pinned_authority_is_followed(world, anna, dora):
    world.accept(world.party(FCO, key=signing(f"{FCO}/2")))
    signed = await anna.write()
    entry = log(world, signed)
    assert (await dora.open(entry, delivery_of(signed))).body == CANARY


async def test_a_directory_by_a_stranger_breaks_the_registrars_link(world, anna, dora):
    world.advance(MINUTE)
    world.force(world.directory(FCO, key=signing("stranger")))
    note = world.note()
    entry = world.force(note, world.note_facts(note))
    error = await broken(dora, entry, Delivery(b"", {}), LinkBroken)
    assert error.link == "registrar"


@pytest.mark.parametrize("signed", list(Scope))
@pytest.mark.parametrize(
    ("lacks", "waits_us", "expected"),
    [
        (False, 0, ""),
        (True, 0, "may not sign a "),
        (False, HOUR - SECOND, ""),
        (False, HOUR, "this registrar of fco.example ended at "),
    ],
    ids=["in scope", "out of scope", "in time", "after its time"],
)
async def test_a_registrar_signs_within_its_scope_and_time(
    world, dora, signed, lacks, waits_us, expected
):
    registrar, authority = signing(f"{FCO}/registrar"), world.authority(FCO)
    bounded = payloads.Registrar(
        key=to_base64(registrar.public),
        proof=registrar.prove_possession(FCO),
        scope=tuple(sorted(set(Scope) - ({signed} if lacks else set()))),
        until=world.clock + HOUR,
    )
    world.accept(world.party(FCO, registrars=(bounded,)))
    world.advance(waits_us)
    made = {
        Scope.MEMBER: world.member(ANNA, key=registrar),
        Scope.POSTING: world.posting(LONDON, key=registrar),
        Scope.ROSTER: world.roster(FCO, key=registrar),
        Scope.DIRECTORY: world.directory(FCO, key=registrar),
    }
    world.force(made[signed])
    if signed is not Scope.DIRECTORY:
        world.advance(SECOND)
        world.force(world.directory(FCO, key=authority))
    shown = dora.book.channel(ALIAS) if signed is Scope.ROSTER else dora.book.standing(FCO)
    if not expected:
        assert await shown
        return
    with pytest.raises(LinkBroken) as caught:
        await shown
    assert caught.value.link == "registrar"
    assert expected in caught.value.happened


async def test_a_swapped_device_key_is_not_the_members(world, anna, dora):
    signed = await anna.write()
    mallory = signing("mallory")
    payload = note_in(signed).payload.model_copy(update={"key": mallory.id})
    statement = make_statement(payload, mallory)
    entry = world.force(statement, world.note_facts(statement))
    error = await broken(dora, entry, delivery_of(signed), LinkBroken)
    assert error.link == "device"


async def test_a_swapped_member_statement_needs_the_registrars_signature(world, anna, dora):
    mallory = signing("mallory")
    world.force(world.member(ANNA, key=mallory, devices=[mallory]))
    world.advance(MINUTE)
    world.force(world.directory(FCO))
    note = world.note(key=mallory)
    entry = world.force(note, world.note_facts(note))
    error = await broken(dora, entry, Delivery(b"", {}), LinkBroken)
    assert error.link == "registrar"


async def test_a_device_removed_before_the_note_is_not_in_force(world, anna, dora):
    signed = await anna.write()
    world.accept(world.member(ANNA, devices=[signing(f"{ANNA}/2")]))
    statement = note_in(signed)
    entry = world.force(statement, world.note_facts(statement))
    world.accept(world.directory(FCO))
    error = await broken(dora, entry, delivery_of(signed), LinkBroken)
    assert error.link == "device"


async def test_a_device_removed_after_the_note_was_in_force_then(world, anna, dora):
    signed = await anna.write()
    entry = log(world, signed)
    world.accept(world.member(ANNA, devices=[signing(f"{ANNA}/2")]))
    world.advance(MINUTE)
    world.accept(world.directory(FCO))
    assert (await dora.open(entry, delivery_of(signed))).body == CANARY


async def test_a_suspended_member_is_not_in_force(world, anna, dora):
    signed = await anna.write()
    world.accept(world.member(ANNA, state=State.SUSPENDED))
    statement = note_in(signed)
    entry = world.force(statement, world.note_facts(statement))
    world.accept(world.directory(FCO))
    error = await broken(dora, entry, delivery_of(signed), LinkBroken)
    assert error.link == "device"


async def test_a_note_that_another_key_signed_fails_at_its_signature(world, anna, dora):
    signed = await anna.write()
    statement = note_in(signed)
    forged = make_statement(
        statement.payload.model_copy(update={"key": signing("mallory").id}), signing("mallory")
    )
    raw = statement.envelope
    envelope = replace(raw, signature=forged.envelope.signature)
    altered = replace(statement, envelope=envelope)
    entry = world.force(altered, world.note_facts(altered))
    await broken(dora, entry, delivery_of(signed), SignatureInvalid)


async def test_a_directory_that_had_lapsed_when_the_note_was_accepted(world, anna, dora):
    signed = await anna.write()
    world.advance(8 * DAY)
    statement = note_in(signed)
    entry = world.force(statement, world.note_facts(statement))
    error = await broken(dora, entry, delivery_of(signed), LinkBroken)
    assert error.link == "directory"


async def test_another_charter_than_the_one_that_is_held(world, anna, dora):
    signed = await anna.write()
    entry = forge(world, signed, charter=digest("another charter"))
    error = await broken(dora, entry, delivery_of(signed), LinkBroken)
    assert error.link == "charter"


async def test_an_addressee_who_is_not_on_the_roster_named(world, anna, dora):
    signed = await anna.write()
    roster = world.roster(MOD, tiers=(payloads.Tier(name="desk", posts=("deputy@mod.example",)),))
    world.accept(roster)
    entry = forge(world, signed, parties=relying(signed, roster.digest))
    error = await broken(dora, entry, delivery_of(signed), LinkBroken)
    assert error.link == "roster"
    assert "is not on the roster of mod.example that it names" in error.happened


def relying(signed: Signed, roster: str) -> tuple[payloads.Reliance, ...]:
    """Return on what a note relies, with another roster of its reader's party."""
    return tuple(
        r.model_copy(update={"roster": roster}) if r.party == MOD else r
        for r in note_in(signed).payload.parties
    )


@pytest.mark.parametrize("is_later", [False, True])
async def test_the_roster_that_is_named_is_one_that_the_party_had_by_then(
    world, anna, dora, is_later
):
    signed = await anna.write()
    assert (await dora.open(log(world, signed), delivery_of(signed))).body == CANARY
    # The sender's own party lists the reader's post; or the reader's own does, but only later.
    party = MOD if is_later else FCO
    roster = world.roster(party, tiers=(payloads.Tier(name="desk", posts=(DUTY,)),))
    if not is_later:
        world.force(roster)
    entry = forge(world, signed, parties=relying(signed, roster.digest))
    if is_later:
        world.accept(roster)
    error = await broken(dora, entry, delivery_of(signed), LinkBroken)
    assert error.happened == "The note names a roster that isn't one of mod.example"


async def test_facts_that_are_not_what_the_note_says_are_the_logs_fault(world, anna, dora):
    signed = await anna.write()
    statement = note_in(signed)
    facts = world.note_facts(statement).model_copy(update={"sender": DORA})
    entry = world.force(statement, facts)
    await broken(dora, entry, delivery_of(signed), LogUntrusted)


@pytest.mark.parametrize("what", ["kind", "actor", "statement digest", "payload digest"])
def test_a_record_that_contradicts_its_own_statement_is_the_logs_fault(world, what):
    entry = world.entry(world.accept(world.note()).digest)
    record, facts = entry.record, entry.record.facts
    check_record(record, entry.statement, ORIGIN)
    changes = {
        "kind": {"kind": "void"},
        "actor": {"actor": DORA},
        "statement digest": {"facts": facts.model_copy(update={"statement": digest("another")})},
        "payload digest": {"facts": facts.model_copy(update={"payload": digest("another")})},
    }
    with pytest.raises(LogUntrusted, match=f"The record's {what} is not that of the statement in"):
        check_record(replace(record, **changes[what]), entry.statement, ORIGIN)


async def test_the_salamander_reader_gets_unreadable_and_nothing_is_shown(
    world, anna, dora, monkeypatch
):
    """Two secrets, one ciphertext: whoever isn't given the committed one must not be fooled."""

    def two_faced(content, context, recipients, *, wrapper):
        honest = seal(content, context, recipients, wrapper=wrapper)
        other = seal(Content.text("Subject", "another text"), context, recipients, wrapper=wrapper)
        return replace(honest, commitment=other.commitment, wraps=other.wraps)

    monkeypatch.setattr("liaison.client.writing.seal", two_faced)
    signed = await anna.write()
    entry = log(world, signed)
    # The wraps open to the committed secret, the ciphertext is under the other one.
    error = await broken(dora, entry, delivery_of(signed), Unreadable)
    assert error.reason == "ciphertext"


async def test_a_secret_that_is_not_the_committed_one_is_found_before_decryption(
    world, anna, dora, monkeypatch
):
    from liaison.sealing import seal as sealing

    def uncommitted(content, context, recipients, *, wrapper):
        honest = seal(content, context, recipients, wrapper=wrapper)
        commitment = bytes(32)
        wraps = sealing._wraps(honest.secret, context, recipients, wrapper, commitment)
        return replace(honest, commitment=commitment, wraps=wraps)

    monkeypatch.setattr("liaison.client.writing.seal", uncommitted)
    signed = await anna.write()
    entry = log(world, signed)
    error = await broken(dora, entry, delivery_of(signed), Unreadable)
    assert error.reason == "commitment"


async def test_an_altered_ciphertext_is_not_shown(world, anna, dora):
    signed = await anna.write()
    entry = log(world, signed)
    honest = delivery_of(signed)
    for at in (0, 500, len(honest.ciphertext) - 1):
        flipped = bytearray(honest.ciphertext)
        flipped[at] ^= 1
        error = await broken(dora, entry, Delivery(bytes(flipped), honest.wraps), Unreadable)
        assert error.reason == "ciphertext"
    assert (await dora.open(entry, honest)).body == CANARY


async def test_an_altered_wrap_is_not_opened(world, anna, dora):
    signed = await anna.write()
    entry = log(world, signed)
    honest = delivery_of(signed)
    flipped = {key: bytes([wrap[0] ^ 1]) + wrap[1:] for key, wrap in honest.wraps.items()}
    error = await broken(dora, entry, Delivery(honest.ciphertext, flipped), Unreadable)
    assert error.reason == "wrap"


async def test_a_note_without_a_wrap_for_this_device_says_so(world, anna, dora):
    signed = await anna.write()
    entry = log(world, signed)
    error = await broken(dora, entry, Delivery(signed.ciphertext, {}), Unreadable)
    assert error.reason == "key"


async def test_a_node_that_turns_back_to_an_older_directory_is_found_out(world, anna, dora):
    old = world.copy()
    await dora.book.standing(FCO)
    world.advance(MINUTE)
    world.accept(world.directory(FCO))
    dora.book.forget()
    await dora.book.standing(FCO, not_before=world.clock)
    frozen = HostileWorld()
    frozen.__dict__.update(old.__dict__)
    again = Desk(dora.home.root, frozen, DORA)
    with pytest.raises(LinkBroken, match="has shown 2") as caught:
        await again.book.standing(FCO)
    assert caught.value.link == "directory"


# Writing


async def test_nothing_is_sealed_under_a_directory_that_lapsed(world, anna):
    world.advance(7 * DAY)
    with pytest.raises(NotReady, match=r"The newest directory of (fco|mod).example lapsed at"):
        await anna.write()


async def test_a_clock_that_is_behind_keeps_no_directory_in_force_that_lapsed_by_the_logs(
    world, anna
):
    until = world.clock + 7 * DAY - MINUTE
    assert (await anna.write()).serials == {MOD: 1}
    world.advance(7 * DAY)
    anna.slow_us = 7 * DAY
    await anna.write()  # nothing tells this home yet that its clock is behind
    world.accept(world.directory(FCO))
    anna.book.forget()
    with pytest.raises(NotReady) as caught:
        await anna.write()
    assert caught.value.happened == (
        f"The newest directory of mod.example lapsed at {to_dtg(until)}"
    )
    world.accept(world.directory(MOD))
    anna.book.forget()
    await anna.write()


async def test_nothing_is_sealed_under_a_roster_that_the_directory_does_not_name(world, anna):
    world.accept(world.roster(MOD))
    with pytest.raises(NotReady, match="doesn't name its newest roster"):
        await anna.write()
    world.advance(MINUTE)
    world.accept(world.directory(MOD))
    anna.book.forget()
    assert (await anna.write()).serials == {MOD: 1}


async def test_a_post_without_a_key_in_use_is_named_with_who_else_could_be_written_to(world, anna):
    mallory = signing(f"{DORA}/2")
    world.accept(world.member(DORA, devices=[mallory]))
    world.advance(MINUTE)
    world.accept(world.directory(MOD))
    with pytest.raises(NotReady) as caught:
        await anna.write()
    assert caught.value.happened == (
        f"Nobody at {DUTY} has an encryption key in use: the node shows one of a device that the "
        "directory of mod.example doesn't name"
    )
    assert caught.value.do.startswith("write to deputy@mod.example")


async def test_a_post_is_sealed_to_for_each_device_that_has_a_key(world, anna):
    world.accept(world.member(DORA, devices=[signing(f"{DORA}/1"), signing(f"{DORA}/2")]))
    world.accept(world.encryption_key(DORA, "2", key=signing(f"{DORA}/2")))
    world.advance(MINUTE)
    world.accept(world.directory(MOD))
    note = note_in(await anna.write()).payload
    assert len(note.addressees[0].wraps) == 2
    assert all(wrap.wrap != sha256(b"") for wrap in note.addressees[0].wraps)
