"""What a note may say: its kind, form, label and times, and what it answers, supersedes or amends.

Each is asked of the note and of what its channel holds; ``notes`` asks them in their order.
protocols/statements.md, NOTE.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from liaison.ledger.facts import AddresseeFacts
from liaison.rules import cells
from liaison.rules.cells import AddresseeState, Channel, LineTest, Member, NoteClaim, View
from liaison.rules.kinds import forum
from liaison.rules.lives import Stage
from liaison.rules.minimizing import Written, turns_away
from liaison.rules.refusal import Refused
from liaison.rules.reliances import edition_of
from liaison.rules.showing import is_by_asked
from liaison.rules.speaking import name_of, not_yet, takes_part
from liaison.statements.charters import Effect, NoteKind
from liaison.statements.payloads import Addressed, Addressee, AddresseeRole, Note, Reliance
from liaison.words.errors import Malformed
from liaison.words.ids import party_of
from liaison.words.precedence import Precedence
from liaison.words.times import SECOND, from_dtg

SECOND_VERSION: Final = (
    "supersedes",
    "reply_by",
    "expiry",
    "latest_delivery",
    "deferred_until",
    "amends",
    "corrects",
    "drafted",
    "silence_until",
)
"""Members of a note that rules version 2 switches on."""


def first_version(payload: Note) -> Refused | None:
    for name in SECOND_VERSION:
        if getattr(payload, name) is not None:
            return not_yet(name)
    if any(a.role is AddresseeRole.STANDBY for a in payload.addressees):
        return not_yet("a standby addressee")
    if any(a.alternate_for or a.no_redirect or a.reply_by for a in payload.addressees):
        return not_yet("what is asked for one addressee")
    return not_yet("exercise") if payload.exercise else None


def claimed(view: View, payload: Note) -> Refused | None:
    """NOTE-23: an id is one note's. What was refused and is sealed anew never had one here."""
    if view.get(NoteClaim, payload.channel, payload.key, payload.id) is None:
        return None
    return Refused("id-used", "this device wrote a note with the same id here already")


def second_version(
    view: View, channel: Channel, kind: NoteKind, payload: Note, at: int
) -> Refused | None:
    parties = {party_of(post) for post in _posts(payload)}
    return (
        takes_part(channel, sorted({party_of(payload.by), *parties}))
        or _exercise(channel, payload)
        or _draft(channel, kind, payload)
        or _times(payload, at)
        or _silence(view, channel, kind, payload, at)
        or _standby(view, channel, kind, payload)
        or _alternates(payload)
        or _predecessors(view, channel, payload)
        or _minimized(view, channel, kind, payload, at)
    )


def of_kind(
    channel: Channel, kind: NoteKind | None, payload: Note, sender: Member
) -> Refused | None:
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


def well_formed(channel: Channel, payload: Note) -> Refused | None:
    if payload.content.size > channel.terms.content_max_bytes:
        limit = channel.terms.content_max_bytes
        return Refused(
            "content-too-large", f"{payload.content.size} bytes; the charter's limit is {limit}"
        )
    if len(_posts(payload)) - 1 > channel.terms.addressees_max:
        limit = channel.terms.addressees_max
        return Refused("too-many-addressees", f"the charter's limit is {limit}")
    try:
        from_dtg(payload.dtg)
    except Malformed as exc:
        return Refused("dtg", exc.happened)
    return None


def replies(view: View, channel: Channel, payload: Note) -> Refused | None:
    answered = payload.in_reply_to
    if answered is None:
        return None
    note = view.get(cells.Note, payload.channel, answered)
    if note is None or not note.reference or note.deferred_until is not None:
        return Refused("unknown-note", f"in_reply_to: {channel.alias} has no note {answered}")
    return None


def labelled(channel: Channel, payload: Note) -> Refused | None:
    label = payload.label
    if label.classification not in channel.terms.classifications:
        known = ", ".join(channel.terms.classifications)
        return Refused("classification", f"the charter knows {known}, not {label.classification}")
    for party in label.releasable_to:
        if party not in channel.parties:
            return Refused("releasable-to", f"{party} is not a party of {channel.alias}")
    for post in _posts(payload):
        if party_of(post) not in label.releasable_to:
            return Refused("releasable-to", f"{post} is not of a party it is releasable to")
    return None


def _posts(payload: Note) -> list[str]:
    return [a.post for a in (*payload.addressees, *(payload.drafted or ()))]


def _exercise(channel: Channel, payload: Note) -> Refused | None:
    if payload.exercise == bool(channel.exercise):
        return None
    what = "a channel for exercises" if channel.exercise else "not a channel for exercises"
    return Refused("exercise", f"{channel.alias} is {what}")


def _draft(channel: Channel, kind: NoteKind, payload: Note) -> Refused | None:
    """A kind that needs a release is written as a draft, which nobody else can read yet."""
    own = party_of(payload.by)
    if kind.release is None:
        if payload.drafted is None:
            return None
        return Refused("not-a-draft", f"a note of kind {kind.kind} needs no release")
    if payload.drafted is None:
        return Refused(
            "needs-release",
            f"a note of kind {kind.kind} is a draft until a {kind.release} lets it go",
        )
    if payload.deferred_until is not None:
        return Refused("times", "deferred_until: a draft waits for its release already")
    for addressee in payload.addressees:
        if party_of(addressee.post) != own or addressee.role is AddresseeRole.STANDBY:
            return Refused("needs-release", f"{addressee.post} can't read a draft of {own}")
    for drafted in payload.drafted:
        if party_of(drafted.post) == own:
            return Refused("needs-release", f"{drafted.post} is of the drafting party itself")
        if party_of(drafted.post) not in channel.parties:
            return Refused(
                "not-a-party", f"{party_of(drafted.post)} is no party of {channel.alias}"
            )
    return None


def _times(payload: Note, at: int) -> Refused | None:
    """Each time that a note names lies ahead of when it is shown."""
    shown = payload.deferred_until or at
    if shown < at:
        return Refused("times", "deferred_until: has passed")
    named = [(n, getattr(payload, n)) for n in ("reply_by", "expiry", "latest_delivery")]
    named += [("reply_by", a.reply_by) for a in (*payload.addressees, *(payload.drafted or ()))]
    if payload.in_reply_to is not None and payload.latest_delivery is not None:
        return Refused("times", "latest_delivery: an answer that nobody got would be none")
    for name, time in named:
        if time is not None and time <= shown:
            return Refused("times", f"{name}: is not after the time at which the note is shown")
    for addressee in (*payload.addressees, *(payload.drafted or ())):
        if addressee.reply_by is not None and addressee.role is not AddresseeRole.ACTION:
            return Refused("times", f"reply_by: {addressee.post} is not addressed for action")
    return None


def _silence(
    view: View, channel: Channel, kind: NoteKind, payload: Note, at: int
) -> Refused | None:
    if (kind.silence is None) != (payload.silence_until is None):
        what = "says until when silence lasts" if kind.silence else "has no silence"
        return Refused("silence-until", f"a note of kind {kind.kind} {what}")
    if kind.silence is None or payload.silence_until is None:
        return Refused("amends", "only a proposal amends another") if payload.amends else None
    lasts = payload.silence_until - (payload.deferred_until or at)
    if not kind.silence.min_s * SECOND <= lasts <= kind.silence.max_s * SECOND:
        return Refused(
            "silence-until",
            f"silence lasts {kind.silence.min_s} to {kind.silence.max_s} s by the charter, "
            f"not {lasts // SECOND} s",
        )
    for name in ("expiry", "latest_delivery"):
        if getattr(payload, name) is not None:
            return Refused("times", f"{name}: a proposal stands until its silence ends")
    asked = asked_parties((*payload.addressees, *(payload.drafted or ())))
    refused = forum.put_to_all(channel, party_of(payload.by), asked)
    if refused is not None or payload.amends is None:
        return refused
    if payload.deferred_until is not None:
        return Refused("times", "deferred_until: an amendment breaks silence at once")
    return under_silence(view, channel, payload.amends)


def asked_parties(
    addressees: Iterable[Addressed | AddresseeFacts | AddresseeState],
) -> frozenset[str]:
    """Return the parties that can read a note once it is shown, whatever its ladder does."""
    roles = (AddresseeRole.ACTION, AddresseeRole.INFO)
    return frozenset(party_of(a.post) for a in addressees if a.role in roles)


def under_silence(view: View, channel: Channel, amends: str) -> Refused | None:
    """What is amended is a proposal that nobody broke, and that wasn't adopted yet."""
    amended = view.get(cells.Note, channel.channel, amends)
    if amended is None or amended.procedure is None:
        return Refused("unknown-note", f"amends: {channel.alias} has no such proposal")
    if amended.procedure.stage is not Stage.UNDER_SILENCE:
        what = name_of(channel, amended)
        return Refused("not-under-silence", f"{what} is {amended.procedure.stage}")
    return None


def _standby(view: View, channel: Channel, kind: NoteKind, payload: Note) -> Refused | None:
    return standby(
        view, channel, kind, payload.precedence.action, payload.addressees, payload.parties
    )


def standby(
    view: View,
    channel: Channel,
    kind: NoteKind,
    precedence: Precedence,
    addressees: Iterable[Addressed | AddresseeState],
    reliances: Iterable[Reliance],
) -> Refused | None:
    """A standby copy that no rung opens would be withheld for good."""
    addressees, reliances = list(addressees), list(reliances)
    climbed = channel.ladder(kind, precedence)
    opened = {r.tier for r in (climbed.rungs if climbed else ()) if r.effect is Effect.OPEN}
    asked = {party_of(a.post) for a in addressees if a.role is AddresseeRole.ACTION}
    for addressee in addressees:
        if addressee.role is not AddresseeRole.STANDBY or addressee.alternate_for is not None:
            continue
        party = party_of(addressee.post)
        if party not in asked:
            return Refused(
                "standby", f"{addressee.post} stands by, and nobody of {party} is asked to act"
            )
        reliance = next(r for r in reliances if r.party == party)
        edition = edition_of(view, channel.channel, reliance)
        tier = edition.tier_of(addressee.post) if edition else None
        if tier not in opened:
            return Refused(
                "standby", f"no rung of the ladder opens the tier {tier} of {addressee.post}"
            )
    return None


def _alternates(payload: Note) -> Refused | None:
    said: dict[str, Addressed] = {
        a.post: a for a in (*payload.addressees, *(payload.drafted or ()))
    }
    for addressee in said.values():
        if addressee.alternate_for is None:
            continue
        first = said.get(addressee.alternate_for)
        if addressee.role is not AddresseeRole.STANDBY:
            return Refused("alternate", f"{addressee.post}: an alternate is addressed as standby")
        if first is None or first.role is not AddresseeRole.ACTION:
            return Refused(
                "alternate", f"{addressee.alternate_for} is not addressed for action in this note"
            )
        if party_of(first.post) != party_of(addressee.post):
            return Refused("alternate", f"{addressee.post} is of another party than {first.post}")
        if first.no_redirect:
            return Refused("no-redirect", f"the note to {first.post} may not go to anybody else")
    return None


def _predecessors(view: View, channel: Channel, payload: Note) -> Refused | None:
    """What a note supersedes or corrects is its own party's; a chain has no forks, so no loops."""
    own = party_of(payload.by)
    for name in ("supersedes", "corrects"):
        digest = getattr(payload, name)
        if digest is None:
            continue
        note = view.get(cells.Note, payload.channel, digest)
        if note is None or note.draft or not note.reference:
            return Refused("unknown-note", f"{name}: {channel.alias} has no such note")
        what = f"{channel.alias}/{note.reference}"
        if party_of(note.sender) != own:
            return Refused("other-party", f"{what} is not a note of {own}")
        if name == "supersedes" and not _may_take_back(note, payload):
            return Refused("not-the-sender", f"{what} is superseded by {note.sender} or its post")
        if note.superseded_by is not None:
            return Refused("superseded", f"{what} was superseded already")
        if note.kind != payload.kind:
            return Refused("unknown-kind", f"{what} is of kind {note.kind}, not {payload.kind}")
        if name == "supersedes" and payload.deferred_until is not None:
            return Refused("times", "deferred_until: what supersedes another is shown at once")
    return None


def _may_take_back(note: cells.Note, payload: Note) -> bool:
    """Superseding takes the old note back: its sender may, and who holds the post it is from."""
    return payload.by == note.sender or copy_of(payload).post == note.post  # held: writes_for


def _minimized(
    view: View, channel: Channel, kind: NoteKind, payload: Note, at: int
) -> Refused | None:
    addressees = [a for a in payload.addressees if a.role is not AddresseeRole.COPY]
    asked = tuple((a.post, a.role) for a in (*addressees, *(payload.drafted or ())))
    line = view.get(LineTest, payload.channel)
    answered = None
    if payload.in_reply_to is not None:
        answered = view.get(cells.Note, payload.channel, payload.in_reply_to)
    own, posts = copy_of(payload).post, [post for post, _ in asked]
    written = Written(
        party=party_of(payload.by),
        precedence=payload.precedence,
        asked=asked,
        shown_at=payload.deferred_until or at,
        is_answer=answered is not None and is_by_asked(answered, payload.by, own, posts),
        is_line_test=line is not None and not line.stopped and payload.kind == line.kind,
    )
    return turns_away(channel, kind, written)


def copy_of(payload: Note) -> Addressee:
    return next(a for a in payload.addressees if a.role is AddresseeRole.COPY)
