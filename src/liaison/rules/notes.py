"""Rulings on what crosses a channel: note, answer, void. protocols/statements.md, NOTE, ANSWER, VOID."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from liaison.ledger.facts import (
    AddresseeFacts,
    AnsweredFacts,
    AnswerFacts,
    FirstFacts,
    NoteFacts,
    SerialFacts,
    VoidFacts,
)
from liaison.ledger.record import Record, Urgency
from liaison.rules import cells, lives
from liaison.rules.authority import admitted
from liaison.rules.cells import (
    AddresseeState,
    Cell,
    CellKey,
    Channel,
    Directories,
    EncryptionKey,
    Member,
    Party,
    Post,
    References,
    Rosters,
    Serials,
    View,
)
from liaison.rules.chain import device_signs, holds, key_opens
from liaison.rules.kinds import load_rule
from liaison.rules.lives import Life, Step
from liaison.rules.refusal import Refused
from liaison.rules.ruling import Drafted, Peek, Ruling
from liaison.rules.serials import check_serial, spend
from liaison.statements.payloads import (
    Addressee,
    AddresseeRole,
    Answer,
    Logged,
    Note,
    NoteKind,
    Reliance,
    Verdict,
    Void,
)
from liaison.statements.statement import Statement
from liaison.words.errors import Malformed
from liaison.words.ids import party_of
from liaison.words.precedence import Precedence
from liaison.words.times import SECOND, from_dtg, to_dtg, to_rfc3339

LATER: Final = ("supersedes", "reply_by", "expiry", "latest_delivery", "deferred_until")
"""Members of a note that a later rules version switches on."""


def _channel_of(statement: Statement[Any]) -> str:
    channel: str = statement.payload.channel
    return channel


def _speaker_needs(payload: Logged, channel: str) -> Iterable[CellKey]:
    party = party_of(payload.by)
    yield cells.Admitted.key_of(party)
    yield Party.key_of(party)
    yield Member.key_of(payload.by)
    yield Channel.key_of(channel)


def _speaks(view: View, payload: Logged, channel: Channel) -> Refused | None:
    """The channel is open and the one who signs is a device of a member of one of its parties."""
    party = party_of(payload.by)
    if party not in channel.parties:
        return Refused("not-a-party", f"{party} is not a party of {channel.alias}")
    refused = admitted(view, party) or device_signs(
        view.get(Party, party), view.get(Member, payload.by), payload.key, who=payload.by
    )
    if refused is not None:
        return refused
    if not channel.is_open:
        acceded = {accession.party for accession in channel.acceded}
        missing = ", ".join(p for p in channel.parties if p not in acceded)
        return Refused(
            "channel-not-open", f"{channel.alias} is not open: {missing} has not acceded"
        )
    if payload.lapse - payload.issued > channel.terms.lapse_max_s * SECOND:
        limit = channel.terms.lapse_max_s
        return Refused(
            "lapse-too-long", f"its lapse is over {limit} s after issued, the charter's limit"
        )
    return None


# Note


def _note_needs(statement: Statement[Note], peek: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield from _speaker_needs(payload, payload.channel)
    yield References.key_of(payload.channel)
    if payload.in_reply_to is not None:
        yield cells.Note.key_of(payload.channel, payload.in_reply_to)
    for reliance in payload.parties:
        yield cells.Admitted.key_of(reliance.party)
        yield Directories.key_of(reliance.party)
        yield Rosters.key_of(payload.channel, reliance.party)
        yield Serials.key_of(payload.channel, payload.key, reliance.party)
    for addressee in payload.addressees:
        yield Post.key_of(addressee.post)
        for wrap in addressee.wraps:
            yield EncryptionKey.key_of(wrap.key)
            key = peek(EncryptionKey, wrap.key)
            if key is not None:
                yield Member.key_of(key.member)


def _decide_note(view: View, statement: Statement[Note], at: int) -> Drafted | Refused:
    payload = statement.payload
    channel = view.get(Channel, payload.channel)
    if channel is None:
        return Refused("unknown-channel", "the channel is not known here")
    refused = _speaks(view, payload, channel)
    if refused is not None:
        return refused
    if payload.charter != channel.charter:
        return Refused("other-charter", f"{channel.alias} has another charter than the note names")
    sender = view.get(Member, payload.by)
    assert sender is not None  # _speaks
    refused = (
        _in_this_version(payload)
        or _kind(channel, payload, sender)
        or _form(channel, payload)
        or _replies(view, channel, payload)
        or _label(channel, payload)
        or _reliances(view, channel, payload, at)
        or _from_post(view, payload)
    )
    if refused is not None:
        return refused
    for use in channel.rules:
        rule = load_rule(use)
        refused = rule if isinstance(rule, Refused) else rule.of_note(channel, payload, sender)
        if refused is not None:
            return refused
    opened_by = at + channel.terms.open_within_s * SECOND
    addressees: list[AddresseeFacts] = []
    for addressee in payload.addressees:
        readers = _readers(view, payload, addressee, at, opened_by)
        if isinstance(readers, Refused):
            return readers
        addressees.append(AddresseeFacts(post=addressee.post, role=addressee.role, readers=readers))
    last = view.get(References, payload.channel)
    return Drafted(
        NoteFacts(
            statement=statement.digest,
            payload=statement.payload_digest,
            channel=payload.channel,
            reference=last.last + 1 if last else 1,
            sender=payload.by,
            device=payload.key,
            kind=payload.kind,
            precedence=payload.precedence.action,
            info_precedence=payload.precedence.info,
            addressees=tuple(addressees),
            serials=tuple(
                SerialFacts(party=r.party, serial=r.serial)
                for r in payload.parties
                if r.serial is not None
            ),
            exercise=payload.exercise,
        ),
        note=statement.digest,
        urgency=Urgency(precedence=payload.precedence.action, exercise=payload.exercise),
    )


def _in_this_version(payload: Note) -> Refused | None:
    for name in LATER:
        if getattr(payload, name) is not None:
            return Refused("not-in-this-version", f"{name}: not known to this rules version")
    if any(a.role is AddresseeRole.STANDBY for a in payload.addressees):
        return Refused(
            "not-in-this-version", "a standby addressee: not known to this rules version"
        )
    if payload.exercise:
        return Refused("not-in-this-version", "exercise: not known to this rules version")
    return None


def _kind(channel: Channel, payload: Note, sender: Member) -> Refused | None:
    kind = next((k for k in channel.kinds if k.kind == payload.kind), None)
    if kind is None:
        known = ", ".join(k.kind for k in channel.kinds)
        return Refused(
            "unknown-kind", f"{channel.alias} has no notes of kind {payload.kind}, but {known}"
        )
    if not set(kind.writers) & set(sender.roles):
        roles = ", ".join(kind.writers)
        return Refused(
            "role", f"a note of kind {kind.kind} is written by {roles}; {sender.member} is not"
        )
    return _precedence(kind, payload)


def _precedence(kind: NoteKind, payload: Note) -> Refused | None:
    for asked, limit, which in (
        (payload.precedence.action, kind.action_max, "action"),
        (payload.precedence.info, kind.info_max, "info"),
    ):
        if asked.rank > limit.rank:
            return Refused(
                "precedence",
                f"{asked} for {which} is above the charter's limit for {kind.kind}: {limit}",
            )
    if kind.justification == "required" and payload.justification is None:
        return Refused("justification", f"a note of kind {kind.kind} says its justification")
    return None


def _form(channel: Channel, payload: Note) -> Refused | None:
    if payload.content.size > channel.terms.content_max_bytes:
        limit = channel.terms.content_max_bytes
        return Refused(
            "content-too-large", f"{payload.content.size} bytes; the charter's limit is {limit}"
        )
    if len(payload.addressees) - 1 > channel.terms.addressees_max:
        limit = channel.terms.addressees_max
        return Refused("too-many-addressees", f"the charter's limit is {limit}")
    try:
        from_dtg(payload.dtg)
    except Malformed as exc:
        return Refused("dtg", exc.happened)
    return None


def _replies(view: View, channel: Channel, payload: Note) -> Refused | None:
    answered = payload.in_reply_to
    if answered is not None and view.get(cells.Note, payload.channel, answered) is None:
        return Refused("unknown-note", f"in_reply_to: {channel.alias} has no note {answered}")
    return None


def _label(channel: Channel, payload: Note) -> Refused | None:
    label = payload.label
    if label.classification not in channel.terms.classifications:
        known = ", ".join(channel.terms.classifications)
        return Refused("classification", f"the charter knows {known}, not {label.classification}")
    for party in label.releasable_to:
        if party not in channel.parties:
            return Refused("releasable-to", f"{party} is not a party of {channel.alias}")
    for addressee in payload.addressees:
        if party_of(addressee.post) not in label.releasable_to:
            return Refused(
                "releasable-to", f"{addressee.post} is not of a party it is releasable to"
            )
    return None


def _reliances(view: View, channel: Channel, payload: Note, at: int) -> Refused | None:
    """Each party's directory and roster is one that was current when the sender wrote (NOTE-9)."""
    own = party_of(payload.by)
    addressed = {party_of(a.post) for a in payload.addressees if a.role is not AddresseeRole.COPY}
    if {r.party for r in payload.parties} != addressed | {own}:
        return Refused(
            "reliances", "parties: names the sender's party and each addressed one, no other"
        )
    for reliance in payload.parties:
        if reliance.party not in channel.parties:
            return Refused("not-a-party", f"{reliance.party} is not a party of {channel.alias}")
        if (reliance.serial is not None) != (reliance.party in addressed):
            return Refused(
                "reliances", f"{reliance.party}: roster and serial stand for addressed parties"
            )
        refused = _directory_current(view, payload, reliance, at)
        if refused is None and reliance.serial is not None:
            refused = _rostered(view, payload, reliance) or check_serial(
                view, payload.channel, payload.key, reliance.party, reliance.serial
            )
        if refused is not None:
            return refused
    return None


def _directory_current(view: View, payload: Note, reliance: Reliance, at: int) -> Refused | None:
    party = reliance.party
    refused = admitted(view, party)
    if refused is not None:
        return refused
    known = view.get(Directories, party)
    editions = known.editions if known else ()
    place = next((i for i, e in enumerate(editions) if e.statement == reliance.directory), None)
    if known is None or place is None:
        return Refused(
            "directory-outdated", f"the directory of {party} it names is not in force here"
        )
    edition = editions[place]
    if at >= edition.valid_until:
        lapsed = to_rfc3339(edition.valid_until)
        return Refused("directory-lapsed", f"the directory of {party} it names lapsed at {lapsed}")
    if place + 1 < len(editions) and editions[place + 1].at <= payload.issued:
        return Refused("directory-outdated", f"{party} had a newer directory when this was written")
    if known.revoked_at >= edition.at:
        return Refused("directory-outdated", f"{party} revoked something since that directory")
    return None


def _rostered(view: View, payload: Note, reliance: Reliance) -> Refused | None:
    party = reliance.party
    rosters = view.get(Rosters, payload.channel, party)
    editions = rosters.editions if rosters else ()
    place = next((i for i, e in enumerate(editions) if e.statement == reliance.roster), None)
    if place is None:
        return Refused("roster-outdated", f"the roster of {party} it names is not in force here")
    if place + 1 < len(editions) and editions[place + 1].at <= payload.issued:
        return Refused("roster-outdated", f"{party} had a newer roster when this was written")
    posts = {post for tier in editions[place].tiers for post in tier.posts}
    for addressee in payload.addressees:
        if addressee.role is AddresseeRole.COPY or party_of(addressee.post) != party:
            continue
        if addressee.post not in posts:
            return Refused("not-on-roster", f"{addressee.post} is not on the roster of {party}")
    return None


def _from_post(view: View, payload: Note) -> Refused | None:
    """The copy names the post that the sender writes for: held, and on the newest own roster."""
    own = next(a for a in payload.addressees if a.role is AddresseeRole.COPY)
    refused = holds(view.get(Post, own.post), payload.by, who=own.post)
    if refused is not None:
        return refused
    rosters = view.get(Rosters, payload.channel, party_of(payload.by))
    tiers = rosters.editions[-1].tiers if rosters else ()
    if not any(own.post in tier.posts for tier in tiers):
        return Refused("not-on-roster", f"{own.post} is not on its party's roster for the channel")
    return None


def _readers(
    view: View, payload: Note, addressee: Addressee, at: int, opened_by: int
) -> tuple[str, ...] | Refused:
    post = view.get(Post, addressee.post)
    if post is None:
        return Refused("unknown-post", f"post {addressee.post} is not known here")
    readers: set[str] = set()
    for wrap in addressee.wraps:
        key = view.get(EncryptionKey, wrap.key)
        holder = view.get(Member, key.member) if key else None
        refused = key_opens(key, post, holder, at=at, opened_by=opened_by, who=addressee.post)
        if refused is not None:
            return refused
        assert key is not None
        if addressee.role is AddresseeRole.COPY and key.member != payload.by:
            return Refused("copy", "a copy is wrapped for the sender's own devices only")
        readers.add(key.member)
    return tuple(sorted(readers))


def _evolve_note(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, NoteFacts)
    yield cells.Note(
        channel=facts.channel,
        note=facts.statement,
        index=index,
        at=record.at,
        reference=facts.reference,
        sender=facts.sender,
        kind=facts.kind,
        precedence=facts.precedence,
        info_precedence=facts.info_precedence,
        addressees=tuple(
            AddresseeState(post=a.post, role=a.role, life=lives.FIRST[a.role], at=record.at)
            for a in facts.addressees
            if a.role is not AddresseeRole.COPY
        ),
    )
    yield References(channel=facts.channel, last=facts.reference)
    for spent in facts.serials:
        yield spend(view, facts.channel, facts.device, spent.party, spent.serial)


# Answer


def _answer_needs(statement: Statement[Answer], _: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield from _speaker_needs(payload, payload.channel)
    yield Post.key_of(payload.post)
    for note in payload.notes:
        yield cells.Note.key_of(payload.channel, note)


def _decide_answer(view: View, statement: Statement[Answer], at: int) -> Drafted | Refused:
    payload = statement.payload
    channel = view.get(Channel, payload.channel)
    if channel is None:
        return Refused("unknown-channel", "the channel is not known here")
    refused = _speaks(view, payload, channel) or holds(
        view.get(Post, payload.post), payload.by, who=payload.post
    )
    if refused is not None:
        return refused
    answered: list[AnsweredFacts] = []
    for digest in payload.notes:
        note = view.get(cells.Note, payload.channel, digest)
        if note is None:
            return Refused("unknown-note", f"{channel.alias} has no note {digest}")
        said = _answered(channel, note, payload)
        if isinstance(said, Refused):
            return said
        answered.append(said)
    if payload.verdict is Verdict.DELIVERED and not any(said.moves for said in answered):
        return Refused("already-so", "each of these notes is known to be delivered already")
    highest = max((said.precedence for said in answered), key=lambda p: p.rank)
    return Drafted(
        AnswerFacts(
            statement=statement.digest,
            payload=statement.payload_digest,
            channel=payload.channel,
            post=payload.post,
            by=payload.by,
            verdict=payload.verdict,
            notes=tuple(answered),
        ),
        note=payload.notes[0] if len(payload.notes) == 1 else "",
        urgency=Urgency(
            precedence=highest,
            about=tuple(sorted(said.index for said in answered)),
            outcome=payload.verdict.value,
        ),
    )


def _answered(channel: Channel, note: cells.Note, payload: Answer) -> AnsweredFacts | Refused:
    what = f"{channel.alias}/{note.reference}"
    addressee = next((a for a in note.addressees if a.post == payload.post), None)
    if addressee is None:
        return Refused("not-addressed", f"{what} is not addressed to {payload.post}")
    moved = None
    if payload.verdict is not Verdict.UNREADABLE:
        moved = lives.step(addressee.role, addressee.life, Step(payload.verdict.value))
        if moved is None and payload.verdict is not Verdict.DELIVERED:
            return _cannot(what, addressee, payload.verdict)
    return AnsweredFacts(
        note=note.note,
        index=note.index,
        sender=note.sender,
        precedence=_precedence_for(note, addressee),
        moves=moved is not None,
        first=_first(note) if payload.verdict is Verdict.ACKNOWLEDGED else None,
    )


def _cannot(what: str, addressee: AddresseeState, verdict: Verdict) -> Refused:
    if addressee.life in (Life.ACKNOWLEDGED, Life.DECLINED):
        when = to_dtg(addressee.at)
        return Refused(
            f"already-{addressee.life}",
            f"{what} was {addressee.life} for {addressee.post} by {addressee.by} at {when}",
        )
    if addressee.role is AddresseeRole.INFO:
        return Refused(
            "not-for-action", f"{what} is for {addressee.post} for information: no {verdict}"
        )
    return Refused("not-now", f"{what} is {addressee.life} for {addressee.post}")


def _first(note: cells.Note) -> FirstFacts | None:
    acknowledged = [a for a in note.addressees if a.life is Life.ACKNOWLEDGED]
    if not acknowledged:
        return None
    first = min(acknowledged, key=lambda a: a.at)
    return FirstFacts(by=first.by, post=first.post, at=first.at)


def _precedence_for(note: cells.Note, addressee: AddresseeState) -> Precedence:
    if addressee.role is AddresseeRole.INFO:
        return note.info_precedence
    return note.precedence


def _evolve_answer(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, AnswerFacts)
    for said in facts.notes:
        if not said.moves:
            continue
        note = view.get(cells.Note, facts.channel, said.note)
        assert note is not None
        yield note.model_copy(
            update={
                "addressees": tuple(
                    _moved(a, facts, record.at) if a.post == facts.post else a
                    for a in note.addressees
                )
            }
        )


def _moved(addressee: AddresseeState, facts: AnswerFacts, at: int) -> AddresseeState:
    life = lives.step(addressee.role, addressee.life, Step(facts.verdict.value))
    assert life is not None  # decide let only steps of the table pass
    return addressee.model_copy(update={"life": life, "by": facts.by, "at": at})


# Void


def _void_needs(statement: Statement[Void], _: Peek) -> Iterable[CellKey]:
    payload = statement.payload
    yield from _speaker_needs(payload, payload.channel)
    yield Serials.key_of(payload.channel, payload.key, payload.party)


def _decide_void(view: View, statement: Statement[Void], at: int) -> Drafted | Refused:
    payload = statement.payload
    channel = view.get(Channel, payload.channel)
    if channel is None:
        return Refused("unknown-channel", "the channel is not known here")
    if payload.party not in channel.parties:
        return Refused("not-a-party", f"{payload.party} is not a party of {channel.alias}")
    refused = _speaks(view, payload, channel) or check_serial(
        view, payload.channel, payload.key, payload.party, payload.serial
    )
    if refused is not None:
        return refused
    return Drafted(
        VoidFacts(
            statement=statement.digest,
            payload=statement.payload_digest,
            channel=payload.channel,
            device=payload.key,
            party=payload.party,
            serial=payload.serial,
        )
    )


def _evolve_void(view: View, record: Record, index: int) -> Iterable[Cell]:
    facts = record.facts
    assert isinstance(facts, VoidFacts)
    yield spend(view, facts.channel, facts.device, facts.party, facts.serial)


RULINGS: Final[dict[str, Ruling]] = {
    "note": Ruling(_channel_of, _note_needs, _decide_note, _evolve_note),
    "answer": Ruling(_channel_of, _answer_needs, _decide_answer, _evolve_answer),
    "void": Ruling(_channel_of, _void_needs, _decide_void, _evolve_void),
}
