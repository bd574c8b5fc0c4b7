"""Rulings on what a party says of itself: party, member, posting, directory, key.

protocols/statements.md, PARTY, MEMBER, POSTING, DIRECTORY, KEY.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from liaison.ledger.facts import (
    DirectoryFacts,
    KeyFacts,
    MemberFacts,
    PartyFacts,
    PostingFacts,
)
from liaison.ledger.record import Record
from liaison.rules import cells, contests
from liaison.rules.cells import Admitted, Cell, CellKey, KeyClaim, View
from liaison.rules.chain import admitted, device_signs, id_of, registrar_signs
from liaison.rules.deriving import (
    directory_facts,
    encryption_id,
    key_facts,
    member_facts,
    party_facts,
    posting_facts,
)
from liaison.rules.refusal import Refused
from liaison.rules.ruling import Drafted, Peek, Ruling
from liaison.rules.speaking import not_yet, version_of
from liaison.statements.payloads import (
    Compromised,
    Directory,
    Key,
    Member,
    Party,
    Posting,
    Scope,
    State,
    Successive,
)
from liaison.statements.statement import Statement
from liaison.words.ids import party_of
from liaison.words.times import DAY

DIRECTORY_VALID_MAX: Final = 7 * DAY
EDITIONS_KEPT: Final = 12
KEYS_KEPT: Final = 8
KEY_USE_MAX: Final = 35 * DAY
KEY_KEPT_MAX: Final = 400 * DAY


def follows(payload: Successive, sequence: int, statement: str | None) -> Refused | None:
    """Return a refusal unless ``payload`` is the next of its subject's sequence."""
    if payload.sequence != sequence + 1:
        return Refused(
            "sequence", f"sequence is {payload.sequence}; the next here is {sequence + 1}"
        )
    if payload.previous != statement:
        return Refused("previous", "previous is not the statement that is the newest here")
    return None


def _of_party(statement: Statement[Any]) -> str:
    return party_of(statement.payload.by)


# Party


def _party_needs(statement: Statement[Party], _: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield Admitted.key_of(payload.party)
    yield cells.Party.key_of(payload.party)
    yield cells.Directories.key_of(payload.party)
    yield KeyClaim.key_of(id_of(payload.authority))
    for registrar in payload.registrars:
        yield KeyClaim.key_of(id_of(registrar.key))


def _decide_party(view: View, statement: Statement[Party], at: int) -> Drafted | Refused:
    payload = statement.payload
    refused = admitted(view, payload.party)
    if refused is not None:
        return refused
    if payload.key != id_of(payload.authority):
        return Refused("not-the-authority", "a party statement is signed by the authority it names")
    party = view.get(cells.Party, payload.party)
    if party is None:
        admission = view.get(Admitted, payload.party)
        if admission is None or admission.authority != payload.key:
            return Refused("not-the-authority", f"{payload.party} is admitted under another key")
        refused = follows(payload, 0, None)
    else:
        refused = _continues(view, party, payload)
    if refused is not None:
        return refused
    if payload.next == payload.key:
        return Refused("next-key", "the announced next key is the present one")
    capacities = {id_of(payload.authority): "authority"}
    capacities |= {id_of(registrar.key): "registrar" for registrar in payload.registrars}
    for claimed, capacity in capacities.items():
        claim = view.get(KeyClaim, claimed)
        if claim is not None and (claim.capacity, claim.holder) != (capacity, payload.party):
            return Refused(
                "key-in-use", f"a {capacity} key is already claimed here in another capacity"
            )
    if len(capacities) != 1 + len(payload.registrars):
        return Refused("key-in-use", "a registrar's key is the authority's")
    return Drafted(party_facts(statement))


def _continues(view: View, party: cells.Party, payload: Party) -> Refused | None:
    """Return why a statement isn't the next one of a party that is known."""
    if party.state is State.REVOKED:
        return Refused("party-not-active", f"party {payload.party} is revoked")
    if payload.key not in (id_of(party.authority), party.next):
        return Refused("not-the-authority", "neither the authority key nor the announced next one")
    refused = follows(payload, party.sequence, party.statement)
    if refused is None and version_of(view) >= 2 and not keeps_next(party, payload):
        return Refused("next-key", "another next key is announced by a succession only")
    return refused


def keeps_next(before: cells.Party | Party, payload: Party) -> bool:
    """PARTY-6: whether the next key stays announced as long as the authority is the same.

    Else who has the present key could announce one of their own, and take the party for good.
    """
    return before.authority != payload.authority or before.next == payload.next


def _evolve_party(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, PartyFacts)
    yield party_cell(facts, record.at)
    if view.get(KeyClaim, id_of(facts.authority)) is None:
        yield KeyClaim(
            id=id_of(facts.authority),
            capacity="authority",
            holder=facts.party,
            public=facts.authority,
        )
    for registrar in facts.registrars:
        if view.get(KeyClaim, id_of(registrar.key)) is None:
            yield KeyClaim(
                id=id_of(registrar.key),
                capacity="registrar",
                holder=facts.party,
                public=registrar.key,
            )
    if facts.state is not State.ACTIVE:
        yield _revoked(view, facts.party, record.at)


def party_cell(facts: PartyFacts, at: int) -> cells.Party:
    return cells.Party(
        party=facts.party,
        statement=facts.statement,
        sequence=facts.sequence,
        title=facts.name,
        authority=facts.authority,
        next=facts.next,
        registrars=facts.registrars,
        state=facts.state,
        since=at,
    )


def _revoked(view: View, party: str, at: int) -> cells.Directories:
    """A directory accepted before ``at`` names something that has been revoked since."""
    known = view.get(cells.Directories, party)
    if known is None:
        return cells.Directories(party=party, sequence=0, editions=(), revoked_at=at)
    return known.model_copy(update={"revoked_at": at})


# Member


def _member_needs(statement: Statement[Member], _: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield Admitted.key_of(payload.by)
    yield cells.Party.key_of(payload.by)
    yield cells.Directories.key_of(payload.by)
    yield cells.Member.key_of(payload.member)
    yield cells.Post.key_of(payload.member)
    for device in payload.devices:
        yield KeyClaim.key_of(id_of(device.key))
    if payload.compromised is not None:
        yield from contests.beginning_needs(payload.by, payload.compromised)
        for one in payload.compromised:
            yield KeyClaim.key_of(one.key)


def _decide_member(view: View, statement: Statement[Member], at: int) -> Drafted | Refused:
    payload = statement.payload
    party = view.get(cells.Party, payload.by)
    if party_of(payload.member) != payload.by:
        return Refused("other-party", f"{payload.member} is not of party {payload.by}")
    member = view.get(cells.Member, payload.member)
    refused = (
        admitted(view, payload.by)
        or registrar_signs(party, payload.key, Scope.MEMBER, at, who=payload.by)
        or follows(payload, member.sequence if member else 0, member.statement if member else None)
    )
    if refused is not None:
        return refused
    assert party is not None
    if view.get(cells.Post, payload.member) is not None:
        return Refused("name-taken", f"{payload.member} is the name of a post")
    is_authority = payload.key == id_of(party.authority)
    refused = stays_revoked(member)
    if refused is None and not is_authority:
        refused = reinstates(member, payload)
    if refused is not None:
        return refused
    known = set(member.devices) if member else set()
    for device in payload.devices:
        if device.key not in known and view.get(KeyClaim, id_of(device.key)) is not None:
            return Refused(
                "key-in-use", "a device key was claimed here before; keys are not used twice"
            )
    refused = _compromised(view, member, payload, at)
    if refused is None and not is_authority and version_of(view) >= 2:
        refused = says_for_good(member, payload)
    if refused is not None:
        return refused
    named = {device.key for device in payload.devices}
    removed = tuple(sorted(id_of(public) for public in known - named))
    return Drafted(member_facts(statement, removed=removed))


def stays_revoked(known: cells.Member | None) -> Refused | None:
    """MEMBER-2: nothing follows on a statement that revoked a member."""
    if known is None or known.state is not State.REVOKED:
        return None
    return Refused("member-not-active", f"member {known.member} is revoked, for good")


def reinstates(known: cells.Member | None, payload: Member) -> Refused | None:
    """MEMBER-2: whether a registrar's statement takes up a suspended member again."""
    if known is None or known.state is not State.SUSPENDED or payload.state is not State.ACTIVE:
        return None
    return Refused("only-the-authority", "a registrar suspends; only the authority reinstates")


def says_for_good(known: cells.Member | None, payload: Member) -> Refused | None:
    """MEMBER-2: a registrar stops a member at once, and says nothing that nobody can take back."""
    if payload.state is State.REVOKED:
        return Refused("only-the-authority", "a registrar suspends; only the authority revokes")
    if payload.compromised != (known.compromised if known else None):
        return Refused(
            "only-the-authority",
            "a registrar takes a device away; only the authority says since when its key was lost",
        )
    return None


def takes_back(known: cells.Member | None, payload: Member, at: int) -> Refused | None:
    """MEMBER-5: what was said to be compromised stays so."""
    said = {one.key: one.since for one in payload.compromised or ()}
    for one in known.compromised or () if known else ():
        if said.get(one.key, at + 1) > one.since:
            return Refused(
                "compromised", "what was said to be compromised stays so, since then or before"
            )
    return None


def still_used(payload: Member, lost: Compromised, at: int) -> Refused | None:
    """MEMBER-5: whether a compromised key is a device's, or is so since a time that is yet to come."""
    if lost.key in {id_of(device.key) for device in payload.devices} or lost.since > at:
        return Refused(
            "compromised",
            "a compromised key is no device's, and is so since a time that passed",
        )
    return None


def _compromised(
    view: View, known: cells.Member | None, payload: Member, at: int
) -> Refused | None:
    """A key that is compromised was the member's, is no more, and is so for good (MEMBER-5)."""
    refused = takes_back(known, payload, at)
    if refused is not None or payload.compromised is None:
        return refused
    if version_of(view) < 2:
        return not_yet("compromised")
    for lost in payload.compromised:
        claim = view.get(KeyClaim, lost.key)
        if claim is None or (claim.capacity, claim.holder) != ("device", payload.member):
            return Refused(
                "unknown-key", f"no device of {payload.member} ever had the key {lost.key}"
            )
        refused = still_used(payload, lost, at)
        if refused is not None:
            return refused
    return contests.check_beginning(view, known, payload.compromised)


def _evolve_member(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, MemberFacts)
    if facts.compromised is not None:
        known = view.get(cells.Member, facts.member)
        yield from contests.begun(view, known, facts, record.at)
    yield member_cell(facts)
    for public in facts.devices:
        if view.get(KeyClaim, id_of(public)) is None:
            yield KeyClaim(id=id_of(public), capacity="device", holder=facts.member, public=public)
    if facts.removed or facts.state is not State.ACTIVE:
        yield _revoked(view, facts.party, record.at)


def member_cell(facts: MemberFacts) -> cells.Member:
    return cells.Member(
        member=facts.member,
        party=facts.party,
        statement=facts.statement,
        sequence=facts.sequence,
        title=facts.name,
        roles=facts.roles,
        state=facts.state,
        devices=facts.devices,
        compromised=facts.compromised,
    )


# Posting


def _posting_needs(statement: Statement[Posting], _: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield Admitted.key_of(payload.by)
    yield cells.Party.key_of(payload.by)
    yield cells.Post.key_of(payload.post)
    yield cells.Member.key_of(payload.post)
    for holder in payload.holders:
        yield cells.Member.key_of(holder)


def _decide_posting(view: View, statement: Statement[Posting], at: int) -> Drafted | Refused:
    payload = statement.payload
    party = view.get(cells.Party, payload.by)
    if party_of(payload.post) != payload.by:
        return Refused("other-party", f"{payload.post} is not of party {payload.by}")
    post = view.get(cells.Post, payload.post)
    refused = (
        admitted(view, payload.by)
        or registrar_signs(party, payload.key, Scope.POSTING, at, who=payload.by)
        or follows(payload, post.sequence if post else 0, post.statement if post else None)
    )
    if refused is not None:
        return refused
    if view.get(cells.Member, payload.post) is not None:
        return Refused("name-taken", f"{payload.post} is the name of a member")
    for holder in payload.holders:
        member = view.get(cells.Member, holder)
        if member is None or member.party != payload.by:
            return Refused("unknown-member", f"{holder} is not a member of {payload.by}")
        if member.state is not State.ACTIVE:
            return Refused("member-not-active", f"member {holder} is {member.state}")
    return Drafted(posting_facts(statement))


def _evolve_posting(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, PostingFacts)
    yield post_cell(facts)


def post_cell(facts: PostingFacts) -> cells.Post:
    return cells.Post(
        post=facts.post,
        party=facts.party,
        statement=facts.statement,
        sequence=facts.sequence,
        holders=facts.holders,
    )


# Directory


def _directory_needs(statement: Statement[Directory], _: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield Admitted.key_of(payload.by)
    yield cells.Party.key_of(payload.by)
    yield cells.Directories.key_of(payload.by)
    for member in payload.members:
        yield cells.Member.key_of(member.member)
    for posting in payload.postings:
        yield cells.Post.key_of(posting.post)


def _decide_directory(view: View, statement: Statement[Directory], at: int) -> Drafted | Refused:
    payload = statement.payload
    party = view.get(cells.Party, payload.by)
    known = view.get(cells.Directories, payload.by)
    newest = known.editions[-1].statement if known and known.editions else None
    refused = admitted(view, payload.by) or registrar_signs(
        party, payload.key, Scope.DIRECTORY, at, who=payload.by
    )
    if refused is not None:
        return refused
    refused = follows(payload, known.sequence if known else 0, newest)
    if refused is not None:
        return refused
    refused = directory_dates(payload)
    if refused is not None:
        return refused
    if at >= payload.valid_until:
        return Refused("directory-lapsed", "its valid_until has passed")
    wrong = _first_stale(view, payload)
    if wrong is not None:
        return Refused("directory-stale", f"what it says of {wrong} is not the newest here")
    return Drafted(directory_facts(statement))


def directory_dates(payload: Directory) -> Refused | None:
    """DIRECTORY-1: whether a directory is valid for longer than one may be."""
    if payload.valid_until - payload.issued > DIRECTORY_VALID_MAX:
        return Refused("valid-too-long", "a directory is valid for at most seven days")
    return None


def _first_stale(view: View, payload: Directory) -> str | None:
    """Return whose entry isn't the newest here.

    Rosters and charters are left to the clients, who hold both: a party's statement may not read
    a channel's cells, or no channel could be replayed alone (design.md, law 3).
    """
    for member in payload.members:
        held = view.get(cells.Member, member.member)
        if held is None or held.party != payload.by or held.statement != member.statement:
            return member.member
    for posting in payload.postings:
        post = view.get(cells.Post, posting.post)
        if post is None or post.party != payload.by or post.statement != posting.statement:
            return posting.post
    return None


def _evolve_directory(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, DirectoryFacts)
    known = view.get(cells.Directories, facts.party)
    edition = cells.Edition(
        statement=facts.statement,
        sequence=facts.sequence,
        at=record.at,
        valid_until=facts.valid_until,
    )
    # At most a dozen, so that a party that signs one a minute can't make the cell grow.
    in_force = [e for e in known.editions if e.valid_until > record.at] if known else []
    yield cells.Directories(
        party=facts.party,
        sequence=facts.sequence,
        editions=(*in_force[-(EDITIONS_KEPT - 1) :], edition),
        revoked_at=known.revoked_at if known else 0,
    )


# Key


def _key_needs(statement: Statement[Key], _: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield Admitted.key_of(party_of(payload.by))
    yield cells.Party.key_of(party_of(payload.by))
    yield cells.Member.key_of(payload.by)
    yield cells.DeviceKeys.key_of(payload.key)
    yield KeyClaim.key_of(encryption_id(payload))


def _decide_key(view: View, statement: Statement[Key], at: int) -> Drafted | Refused:
    payload = statement.payload
    party = party_of(payload.by)
    refused = admitted(view, party) or device_signs(
        view.get(cells.Party, party),
        view.get(cells.Member, payload.by),
        payload.key,
        who=payload.by,
    )
    if refused is not None:
        return refused
    refused = key_dates(payload)
    if refused is not None:
        return refused
    if at >= payload.use_until:
        return Refused("key-dates", "its use_until has passed")
    if view.get(KeyClaim, encryption_id(payload)) is not None:
        return Refused("key-in-use", "this encryption key was claimed here before")
    return Drafted(key_facts(statement))


def key_dates(payload: Key) -> Refused | None:
    """KEY-8: whether an encryption key is used, or kept, for longer than one may be."""
    if payload.use_until - payload.use_from > KEY_USE_MAX:
        return Refused("key-dates", "an encryption key is used for at most 35 days")
    if payload.kept_until - payload.use_until > KEY_KEPT_MAX:
        return Refused("key-dates", "an encryption key is kept for at most 400 days after its use")
    return None


def _evolve_key(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, KeyFacts)
    yield key_cell(facts)
    yield KeyClaim(id=facts.encryption, capacity="encryption", holder=facts.member, public="")
    known = view.get(cells.DeviceKeys, facts.device)
    in_use = [k for k in known.keys if k[1] > record.at] if known else []
    keys = (*in_use[-(KEYS_KEPT - 1) :], (facts.statement, facts.use_until))
    yield cells.DeviceKeys(device=facts.device, keys=keys)


def key_cell(facts: KeyFacts) -> cells.EncryptionKey:
    return cells.EncryptionKey(
        statement=facts.statement,
        member=facts.member,
        device=facts.device,
        use_from=facts.use_from,
        use_until=facts.use_until,
        kept_until=facts.kept_until,
    )


RULINGS: Final[dict[str, Ruling]] = {
    "party": Ruling(_of_party, _party_needs, _decide_party, _evolve_party),
    "member": Ruling(_of_party, _member_needs, _decide_member, _evolve_member),
    "posting": Ruling(_of_party, _posting_needs, _decide_posting, _evolve_posting),
    "directory": Ruling(_of_party, _directory_needs, _decide_directory, _evolve_directory),
    "key": Ruling(_of_party, _key_needs, _decide_key, _evolve_key),
}
