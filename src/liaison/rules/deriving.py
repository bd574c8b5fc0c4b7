"""Facts that follow from a statement alone. protocols/log.md, FACT.

``decide`` derives no more than this for these kinds; a client derives the same from the statement
in a receipt, and believes no record whose facts say otherwise.
"""

from __future__ import annotations

from liaison.ledger.facts import (
    AccessionFacts,
    CharterFacts,
    DirectoryFacts,
    KeyFacts,
    MemberFacts,
    ParticipationFacts,
    PartyFacts,
    PostingFacts,
    RegistrarFacts,
    RosterFacts,
    VoidFacts,
    WatchFacts,
)
from liaison.statements.charters import Accession, Charter, Participation
from liaison.statements.keys import ENCRYPTION, key_id
from liaison.statements.payloads import Directory, Key, Member, Party, Posting, Roster, Void
from liaison.statements.procedures import Watch
from liaison.statements.statement import Statement
from liaison.words.encoding import from_base64
from liaison.words.ids import party_of


def party_facts(statement: Statement[Party]) -> PartyFacts:
    payload = statement.payload
    return PartyFacts(
        statement=statement.digest,
        payload=statement.payload_digest,
        party=payload.party,
        name=payload.name,
        authority=payload.authority,
        next=payload.next,
        registrars=tuple(
            RegistrarFacts(key=r.key, scope=r.scope, until=r.until) for r in payload.registrars
        ),
        state=payload.state,
        sequence=payload.sequence,
    )


def member_facts(statement: Statement[Member], *, removed: tuple[str, ...] = ()) -> MemberFacts:
    """``removed``: key ids of devices that an earlier statement named and this one doesn't."""
    payload = statement.payload
    return MemberFacts(
        statement=statement.digest,
        payload=statement.payload_digest,
        party=payload.by,
        member=payload.member,
        name=payload.name,
        roles=payload.roles,
        state=payload.state,
        devices=tuple(device.key for device in payload.devices),
        removed=removed,
        sequence=payload.sequence,
        compromised=payload.compromised,
    )


def posting_facts(statement: Statement[Posting]) -> PostingFacts:
    payload = statement.payload
    return PostingFacts(
        statement=statement.digest,
        payload=statement.payload_digest,
        party=payload.by,
        post=payload.post,
        holders=payload.holders,
        sequence=payload.sequence,
    )


def directory_facts(statement: Statement[Directory]) -> DirectoryFacts:
    payload = statement.payload
    return DirectoryFacts(
        statement=statement.digest,
        payload=statement.payload_digest,
        party=payload.by,
        valid_until=payload.valid_until,
        sequence=payload.sequence,
    )


def key_facts(statement: Statement[Key]) -> KeyFacts:
    payload = statement.payload
    return KeyFacts(
        statement=statement.digest,
        payload=statement.payload_digest,
        member=payload.by,
        device=payload.key,
        encryption=encryption_id(payload),
        use_from=payload.use_from,
        use_until=payload.use_until,
        kept_until=payload.kept_until,
    )


def charter_facts(statement: Statement[Charter]) -> CharterFacts:
    payload = statement.payload
    return CharterFacts(
        statement=statement.digest,
        payload=statement.payload_digest,
        channel=payload.channel or statement.digest,
        type=payload.type,
        alias=payload.alias,
        parties=payload.parties,
        terms=payload.terms,
        kinds=payload.kinds,
        rules=payload.rules,
        previous=payload.previous,
        exercise=payload.exercise,
        seats=payload.seats,
        ladders=payload.ladders,
    )


def participation_facts(statement: Statement[Participation]) -> ParticipationFacts:
    payload = statement.payload
    return ParticipationFacts(
        statement=statement.digest,
        payload=statement.payload_digest,
        party=payload.by,
        channel=payload.channel,
        state=payload.state,
    )


def watch_facts(statement: Statement[Watch]) -> WatchFacts:
    """Without what is known of its note, and who is told."""
    payload = statement.payload
    return WatchFacts(
        statement=statement.digest,
        payload=statement.payload_digest,
        channel=payload.channel,
        action=payload.action,
        party=party_of(payload.by),
        by=payload.by,
        note=payload.note,
        post=payload.post,
        text=payload.text,
        until=payload.until,
        below=payload.below,
        told=(),
    )


def accession_facts(statement: Statement[Accession], *, opens: bool) -> AccessionFacts:
    payload = statement.payload
    return AccessionFacts(
        statement=statement.digest,
        payload=statement.payload_digest,
        party=payload.by,
        channel=payload.channel,
        charter=payload.charter,
        opens=opens,
    )


def roster_facts(statement: Statement[Roster]) -> RosterFacts:
    payload = statement.payload
    return RosterFacts(
        statement=statement.digest,
        payload=statement.payload_digest,
        party=payload.by,
        channel=payload.channel,
        tiers=payload.tiers,
        sequence=payload.sequence,
        alternates=payload.alternates,
    )


def void_facts(statement: Statement[Void]) -> VoidFacts:
    payload = statement.payload
    return VoidFacts(
        statement=statement.digest,
        payload=statement.payload_digest,
        channel=payload.channel,
        device=payload.key,
        party=payload.party,
        serial=payload.serial,
    )


def encryption_id(payload: Key) -> str:
    """Return the key id of the encryption key that a key statement certifies."""
    return key_id(from_base64(payload.encryption), ENCRYPTION)
