"""Reading: a note is opened only after everything about it was verified, in design.md 4's order.

Authority pin, registrar, member, device in force at the entry's position, note signature, the
sender's directory at ``at``, charter and rosters, commitment, decryption. The first that fails is
one typed error, and nothing of the content is shown.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from liaison.client.answers import objects_of, text_of
from liaison.client.book import Book
from liaison.client.doubts import Doubt
from liaison.client.entries import contradiction
from liaison.client.links import ChannelView, LinkBroken
from liaison.client.watching import Entry, Happening
from liaison.ledger.facts import (
    AboutNote,
    AnswerFacts,
    GrantFacts,
    MomentFacts,
    NoteFacts,
    ReleaseFacts,
    WatchFacts,
)
from liaison.rules.chain import holds
from liaison.sealing.content import Content
from liaison.sealing.keys import EncryptionKey
from liaison.sealing.seal import COMMITMENT_BYTES, SealContext, check_secret, open_sealed, unwrap
from liaison.statements.charters import NoteKind
from liaison.statements.payloads import (
    Addressee,
    AddresseeRole,
    Answer,
    MemberRole,
    Note,
    Reliance,
    Roster,
)
from liaison.statements.procedures import Grant, Hold, InChannel, Release
from liaison.words.encoding import from_base64, to_base64
from liaison.words.errors import Malformed, RecordUntrusted, Unreadable
from liaison.words.ids import party_of


@dataclass(frozen=True)
class Delivery:
    """The ciphertext of a note, and the wraps for this device by key statement digest."""

    ciphertext: bytes
    wraps: Mapping[str, bytes]
    granted: tuple[GrantedWrap, ...] = ()


@dataclass(frozen=True)
class GrantedWrap:
    """A wrap for this device that came by a grant, which is named by its digest."""

    grant: str
    key: str
    wrap: bytes


@dataclass(frozen=True)
class Letter:
    """A note that this home can read: who, when, by what right, and the content."""

    digest: str
    channel: str
    reference: str
    index: int
    at: int
    note: Note
    content: Content
    receipt: str
    doubt: Doubt | None = None
    """That the key of who wrote it, or let it go, was in other hands."""

    @property
    def sender_post(self) -> str:
        """The post that the sender wrote for: whom to answer."""
        return next(a.post for a in self.note.addressees if a.role is AddresseeRole.COPY)

    def roles(self, posts: frozenset[str]) -> tuple[Addressee, ...]:
        """Return how these posts are addressed."""
        return tuple(a for a in self.note.addressees if a.post in posts)


_ALIKE: Final = (
    "in_reply_to",
    "supersedes",
    "corrects",
    "amends",
    "reply_by",
    "expiry",
    "latest_delivery",
    "deferred_until",
    "silence_until",
)
"""Members that a note and the facts of its record have alike."""


def reference_of(entry: Entry, alias: str) -> str:
    """Return a note's reference, such as ``london-hotline/412``."""
    facts = entry.record.facts
    if not isinstance(facts, NoteFacts):
        raise RecordUntrusted(f"Entry {entry.index} is not a note")
    return f"{alias}/{facts.reference or f'draft-{entry.index}'}"


def note_of(entry: Entry) -> Note:
    """Return the note of an entry whose facts are what it says.

    Raises:
        RecordUntrusted: they aren't.
    """
    note, facts = entry.statement.payload, entry.record.facts
    if not isinstance(note, Note) or not isinstance(facts, NoteFacts):
        raise RecordUntrusted(f"Entry {entry.index} is not a note")
    said = (
        note.channel,
        note.by,
        note.key,
        note.kind,
        note.precedence.action,
        note.precedence.info,
        note.exercise,
        tuple((a.post, a.role) for a in (*note.addressees, *(note.drafted or ()))),
        tuple((r.party, r.serial) for r in note.parties if r.serial is not None),
        *(getattr(note, name) for name in _ALIKE),
    )
    logged = (
        facts.channel,
        facts.sender,
        facts.device,
        facts.kind,
        facts.precedence,
        facts.info_precedence,
        facts.exercise,
        tuple((a.post, a.role) for a in facts.addressees),
        tuple((s.party, s.serial) for s in facts.serials),
        *(getattr(facts, name) for name in _ALIKE),
    )
    if said != logged or entry.record.channel.id != note.channel:
        raise contradiction(entry)
    return note


async def check_note(book: Book, entry: Entry, channel: ChannelView) -> Note:
    """Return the note of ``entry`` once everything before the commitment holds.

    Raises:
        NotReady: the sender's party isn't pinned.
        LinkBroken: a link of the chain, the directory, the charter or a roster.
        SignatureInvalid: the note's, or one in the chain.
        RecordUntrusted: the record isn't what the note says.
    """
    note = note_of(entry)
    party = party_of(note.by)
    own = next((r for r in note.parties if r.party == party), None)
    if own is None:
        raise LinkBroken("directory", f"The note names no directory of {party}")
    sender = await book.check_speaker(entry, note, own.directory)
    directory = await book.directory(own.directory, party)
    if directory.entry.index > entry.index or entry.at >= directory.payload.valid_until:
        raise LinkBroken(
            "directory",
            f"The directory of {party} that the note names was not in force when it was accepted",
        )
    charter = await book.charter_named(channel, note.charter, entry.at)
    if note.channel != channel.cell.channel or charter is None:
        raise LinkBroken(
            "charter",
            "The note names another charter than the one that was held when it was accepted",
        )
    if party not in channel.cell.parties:
        raise LinkBroken("charter", f"{party} is not a party of {channel.cell.alias}")
    kind = next((kind for kind in charter.kinds if kind.kind == note.kind), None)
    if kind is None or not set(kind.writers) & set(sender.roles):
        raise LinkBroken("member", f"{note.by} may not write a note of kind {note.kind} there")
    copy = next((a.post for a in note.addressees if a.role is AddresseeRole.COPY), None)
    if copy is None:
        raise LinkBroken("posting", "The note doesn't say for which post it was written")
    await _check_holds(book, entry, note.by, copy)
    _check_drafted(note, kind)
    for reliance in note.parties:
        await book.check_relied(reliance.directory, reliance.party, issued=note.issued)
    await _check_rosters(book, entry, note, channel)
    return note


def _check_drafted(note: Note, kind: NoteKind) -> None:
    """Return if a note of a kind that is released was drafted for its own party only (design.md 4)."""
    if note.drafted is None and kind.release is None:
        return
    strangers = [a.post for a in note.addressees if party_of(a.post) != party_of(note.by)]
    if note.drafted is None or strangers:
        raise LinkBroken("release", f"A note of kind {note.kind} went to others without a release")


async def _check_holds(book: Book, entry: Entry, member: str, post: str) -> None:
    """Return if a member held a post at an entry (CHAIN-4)."""
    refused = holds(await book.post_at(post, entry.index), member, who=post)
    if refused is not None:
        raise LinkBroken("posting", f"At entry {entry.index} {refused.text}")


def release_of(entry: Entry) -> tuple[Release, ReleaseFacts]:
    """Return the release of an entry whose facts are what it says. Raises as ``note_of``."""
    release, facts = entry.statement.payload, entry.record.facts
    if not isinstance(release, Release) or not isinstance(facts, ReleaseFacts):
        raise LinkBroken("release", f"Entry {entry.index} is not a release")
    said = (
        release.channel,
        release.note,
        release.key,
        tuple(a.post for a in release.addressees),
        tuple((r.party, r.serial) for r in release.parties if r.serial is not None),
    )
    logged = (
        facts.channel,
        facts.note,
        facts.device,
        tuple(a.post for a in facts.addressees),
        tuple((s.party, s.serial) for s in facts.serials),
    )
    if said != logged:
        raise contradiction(entry)
    return release, facts


async def check_release(
    book: Book, entry: Entry, note_entry: Entry, channel: ChannelView
) -> tuple[Release, ReleaseFacts]:
    """Return the release of a note once its chain holds: it is the drafter's party that let it go.

    Raises as ``check_note``.
    """
    release, facts = release_of(entry)
    note = note_of(note_entry)
    party = party_of(note.by)
    if (facts.index, facts.sender) != (note_entry.index, note.by):
        raise contradiction(entry)
    if release.note != note_entry.statement.digest or party_of(release.by) != party:
        raise LinkBroken("release", "The release is not that of this note by its own party")
    if release.by == note.by:
        raise LinkBroken("release", "A note was released by the one who drafted it")
    own = next((r for r in release.parties if r.party == party), None)
    if own is None:
        raise LinkBroken("directory", f"The release names no directory of {party}")
    releaser = await book.check_speaker(entry, release, own.directory)
    charter = await book.charter_named(channel, note.charter, entry.at)
    if charter is None:
        raise LinkBroken(
            "charter", "It was drafted under another charter than the one of its release"
        )
    kind = next((kind for kind in charter.kinds if kind.kind == note.kind), None)
    if kind is None or (kind.release is not None and kind.release not in releaser.roles):
        raise LinkBroken("release", f"{release.by} may not release a note of kind {note.kind}")
    drafted = {a.post for a in note.drafted or ()}
    if {a.post for a in release.addressees} - drafted:
        raise LinkBroken("release", "The release addresses posts that the draft doesn't name")
    for reliance in release.parties:
        if reliance.roster is not None:
            posts = [a.post for a in release.addressees]
            await _check_roster(book, entry, posts, channel, reliance, release.issued)
    return release, facts


def grant_of(entry: Entry) -> tuple[Grant, GrantFacts]:
    """Return the grant of an entry whose facts are what it says. Raises as ``note_of``."""
    grant, facts = entry.statement.payload, entry.record.facts
    if not isinstance(grant, Grant) or not isinstance(facts, GrantFacts):
        raise LinkBroken("grant", f"Entry {entry.index} is not a grant")
    given = tuple(wrap.key for wrap in grant.given)
    said = (grant.channel, grant.note, grant.post, grant.reason, given)
    if said != (facts.channel, facts.note, facts.post, facts.reason, facts.keys):
        raise contradiction(entry)
    return grant, facts


async def check_grant(
    book: Book, entry: Entry, note_entry: Entry, channel: ChannelView
) -> tuple[Grant, GrantFacts]:
    """Return a grant of a note once its chain holds; that it opens the note is for the commitment.

    Raises as ``check_note``.
    """
    grant, facts = grant_of(entry)
    note, digest = note_of(note_entry), note_entry.statement.digest
    known = (note_entry.index, note.by, note.precedence.action, note.precedence.info)
    about = (facts.index, facts.sender, facts.precedence, facts.info_precedence)
    if known != about:
        raise contradiction(entry)
    if grant.note != digest or grant.channel != channel.cell.channel:
        raise LinkBroken("grant", "The grant is not one of this note")
    if grant.post not in {a.post for a in (*note.addressees, *(note.drafted or ()))}:
        raise LinkBroken("grant", f"The note is not addressed to {grant.post}")
    party = party_of(grant.by)
    own = next((r for r in grant.parties if r.party == party), None)
    if own is None or party not in channel.cell.parties:
        raise LinkBroken("directory", f"The grant names no directory of {party}")
    await book.check_speaker(entry, grant, own.directory)
    return grant, facts


async def _check_rosters(book: Book, entry: Entry, note: Note, channel: ChannelView) -> None:
    posts = [a.post for a in note.addressees if a.role is not AddresseeRole.COPY]
    for reliance in note.parties:
        if reliance.roster is not None:
            await _check_roster(book, entry, posts, channel, reliance, note.issued)


async def _check_roster(
    book: Book,
    entry: Entry,
    addressed: Iterable[str],
    channel: ChannelView,
    reliance: Reliance,
    issued: int,
) -> None:
    assert reliance.roster is not None
    logged = await book.statement(reliance.roster)
    roster, _ = await book.roster(logged, channel.cell.channel)
    _check_roster_is_current(roster, logged, issued, channel)
    posts = {post for tier in roster.tiers for post in tier.posts}
    if roster.by != reliance.party or logged.index > entry.index:
        raise LinkBroken("roster", f"The note names a roster that isn't one of {reliance.party}")
    for post in addressed:
        if party_of(post) == reliance.party and post not in posts:
            raise LinkBroken(
                "roster", f"{post} is not on the roster of {reliance.party} that it names"
            )


def _check_roster_is_current(
    roster: Roster, logged: Entry, issued: int, channel: ChannelView
) -> None:
    """Return if no later roster that this home sees was in the log when it was written."""
    newest = channel.rosters.get(roster.by)
    if newest is None or newest.sequence != roster.sequence + 1 or newest.at > issued:
        return
    raise LinkBroken(
        "roster",
        f"It relies on roster {roster.sequence} of {roster.by} (entry {logged.index}), though "
        f"{newest.sequence} was in the log before it was written: its sender was shown an old view",
        do="tell the sender by another way, and the auditors",
    )


def answer_of(entry: Entry) -> tuple[Answer, AnswerFacts]:
    """Return the answer of an entry whose facts are what it says. Raises as ``note_of``."""
    answer, facts = entry.statement.payload, entry.record.facts
    if not isinstance(answer, Answer) or not isinstance(facts, AnswerFacts):
        raise RecordUntrusted(f"Entry {entry.index} is not an answer")
    said = (answer.channel, answer.post, answer.by, answer.verdict, answer.notes)
    logged = (
        facts.channel,
        facts.post,
        facts.by,
        facts.verdict,
        tuple(n.note for n in facts.notes),
    )
    if said != logged:
        raise contradiction(entry)
    return answer, facts


async def check_answer(book: Book, entry: Entry) -> tuple[Answer, AnswerFacts]:
    """Return what an answer says and what the log told of it, once its chain holds.

    Raises:
        NotReady, LinkBroken, SignatureInvalid, RecordUntrusted: as ``check_note``.
    """
    answer, facts = answer_of(entry)
    party = party_of(answer.by)
    if party_of(answer.post) != party:
        raise LinkBroken("posting", f"{answer.by} can't answer for {answer.post}, a post of others")
    # An answer names no directory: the newest tells who the member is, its history who it was.
    standing = await book.current(party)
    if standing.directory is None:
        raise LinkBroken("directory", f"{party} has no directory")
    await book.check_speaker(entry, answer, standing.directory.digest)
    await _check_holds(book, entry, answer.by, answer.post)
    return answer, facts


def said_of(entry: Entry) -> InChannel:
    """Return what a member did in a channel, where the facts are what it says. Raises as ``note_of``."""
    said, facts = entry.statement.payload, entry.record.facts
    if not isinstance(said, InChannel):
        raise LinkBroken("news", f"Entry {entry.index} is not a member's statement in a channel")
    names = ("channel", "note", *_ALIKE_LATER.get(entry.statement.kind, ()))
    if any(getattr(facts, name, None) != getattr(said, name, None) for name in names):
        raise contradiction(entry)
    return said


async def check_said(book: Book, entry: Entry, channel: ChannelView) -> None:
    """Return if what a member did in a channel was by a device in force of one of its parties.

    Raises as ``check_note``.
    """
    said = entry.statement.payload
    if not isinstance(said, InChannel) or said.channel != channel.cell.channel:
        raise LinkBroken("news", f"Entry {entry.index} is not a member's statement in this channel")
    party = party_of(said.by)
    if party not in channel.cell.parties:
        raise LinkBroken("charter", f"{party} is not a party of {channel.cell.alias}")
    standing = await book.current(party)
    if standing.directory is None:
        raise LinkBroken("directory", f"{party} has no directory")
    speaker = await book.check_speaker(entry, said, standing.directory.digest)
    role = _SAID_BY.get(entry.statement.kind)
    if role is not None and role not in speaker.roles:
        raise LinkBroken("member", f"{said.by} has not the role {role}")
    if isinstance(said, Hold):
        await _check_holds(book, entry, said.by, said.post)
    said_of(entry)


_SAID_BY: Final = {"extension": MemberRole.CHAIR, "watch": MemberRole.OPERATOR}
"""The role that a member must have to say such a thing."""
_ALIKE_LATER: Final = {
    "extension": ("silence_until",),
    "hold": ("below", "post", "until"),
    "watch": ("action", "below", "by", "post", "text", "until"),
}
"""Members, beside channel and note, that a statement and the facts of its record have alike."""


def check_about(entry: Entry | Happening, letter: Letter) -> None:
    """Return if what a record says of a note is what this home knows of it.

    Raises:
        RecordUntrusted: it isn't.
    """
    facts = entry.record.facts
    if not isinstance(facts, MomentFacts | AboutNote | WatchFacts | ReleaseFacts):
        return
    said = (facts.channel, facts.note, facts.index, facts.sender, facts.precedence)
    note = letter.note
    if said != (note.channel, letter.digest, letter.index, note.by, note.precedence.action):
        raise RecordUntrusted(
            f"Entry {entry.index} says of {letter.reference} what it isn't",
            safe="nothing of it is shown",
            do="keep both receipts and show them to the auditors",
        )


def open_content(
    note: Note,
    delivery: Delivery,
    keys: Mapping[str, EncryptionKey],
    release: Release | None = None,
    grants: Mapping[str, Grant] | None = None,
) -> Content:
    """Return the content of a note whose chain held; ``keys`` by key statement digest.

    ``grants`` are those whose chain held, by digest.

    Raises:
        Unreadable: with the reason of the first step that failed (SEAL-30).
    """
    secret = secret_of(note, delivery, keys, release, grants)
    context = SealContext(note.id, note.charter, note.key, note.kind)
    commitment = from_base64(note.commitment, COMMITMENT_BYTES)
    content = open_sealed(secret, delivery.ciphertext, context, commitment)
    if sha256(delivery.ciphertext) != note.content.digest:
        raise _unreadable("The ciphertext isn't the one that the note names", "ciphertext")
    return content


def secret_of(
    note: Note,
    delivery: Delivery,
    keys: Mapping[str, EncryptionKey],
    release: Release | None = None,
    grants: Mapping[str, Grant] | None = None,
) -> bytes:
    """Return a note's secret, by the first wrap that opens with one of ``keys``. Raises as above."""
    context = SealContext(note.id, note.charter, note.key, note.kind)
    commitment = from_base64(note.commitment, COMMITMENT_BYTES)
    named = [(note.key, wrap) for addressee in note.addressees for wrap in addressee.wraps]
    if release is not None:
        named += [(release.key, wrap) for a in release.addressees for wrap in a.wraps]
    found = [
        (wrapper, one, delivery.wraps[one.key])
        for wrapper, one in named
        if one.key in delivery.wraps
    ]
    for given in delivery.granted:
        grant = (grants or {}).get(given.grant)
        for one in grant.given if grant is not None else ():
            if grant is not None and one.key == given.key:
                found.append((grant.key, one, given.wrap))
    failed: Unreadable | None = None
    for wrapper, one, wrap in found:
        key = keys.get(one.key)
        if key is None:
            continue
        try:
            if sha256(wrap) != one.wrap:
                raise _unreadable("The wrap isn't the one that the note names", "wrap")
            secret = unwrap(
                wrap, key, context, wrapper=wrapper, statement=one.key, commitment=commitment
            )
            check_secret(secret, context, commitment)
        except Unreadable as exc:
            failed = failed or exc  # a grant may have mended it
            continue
        return secret
    raise failed or _unreadable("The note has no wrap for a key that this device still has", "key")


def delivery_of(content: dict[str, object]) -> Delivery:
    """Return the ciphertext and wraps that the node shows (API-15).

    Raises:
        Malformed: they have no reading.
    """
    try:
        ciphertext = base64.b64decode(text_of(content, "ciphertext"), validate=True)
    except binascii.Error as exc:
        raise Malformed(f"the node's answer: ciphertext is not base64: {exc}") from exc
    own: dict[str, bytes] = {}
    granted: list[GrantedWrap] = []
    for item in objects_of(content, "wraps"):
        key, wrap = text_of(item, "key"), from_base64(text_of(item, "wrap"))
        if "grant" in item:
            granted.append(GrantedWrap(text_of(item, "grant"), key, wrap))
        else:
            own[key] = wrap
    return Delivery(ciphertext, own, tuple(granted))


def sha256(data: bytes) -> str:
    """Return the digest by which statements name a ciphertext or a wrap."""
    return to_base64(hashlib.sha256(data).digest())


def _unreadable(happened: str, reason: str) -> Unreadable:
    return Unreadable(
        happened,
        reason=reason,
        safe="nothing of it is shown, and nothing was lost",
        do="the sender, or another reader, can wrap it again",
    )
