"""News: what the inbox tells beside notes and answers, from verified records. protocols/api.md, API-14."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from liaison.client.doubts import Doubt
from liaison.client.links import LinkBroken
from liaison.client.watching import Entry, Happening
from liaison.ledger.facts import (
    AboutNote,
    ConclusionFacts,
    ContestedFacts,
    DeadlineFacts,
    ExtensionFacts,
    GrantFacts,
    HoldEndedFacts,
    HoldFacts,
    MissedTestFacts,
    MomentFacts,
    NoteFacts,
    ObjectionFacts,
    RearmedFacts,
    ReleaseFacts,
    ReplacedFacts,
    RungFacts,
    WatchFacts,
    WithdrawalFacts,
)
from liaison.statements.charters import Effect
from liaison.statements.payloads import Note
from liaison.words.errors import LogUntrusted
from liaison.words.times import to_dtg


@dataclass(frozen=True)
class News:
    """Something happened about a note, or to a channel's line; ``text`` says it in words.

    ``kind`` is the inbox item's (alert, told, reminder, certificate, decision, procedure, released,
    granted, watch, missed-test); ``reference`` the note's, or the channel's alias.
    """

    kind: str
    reference: str
    at: int
    text: str
    is_urgent: bool
    receipt: Path
    doubt: Doubt | None = None


def note_shown(entry: Entry | Happening, index: int) -> str:
    """Return the digest of the note at ``index`` that an entry lets this member read.

    Raises:
        LogUntrusted: the entry shows no such note.
    """
    facts = entry.record.facts
    if isinstance(facts, HoldFacts | HoldEndedFacts):
        shown = {one.index: one.note for one in facts.shown}
        if index in shown:
            return shown[index]
    elif isinstance(facts, MomentFacts | ReleaseFacts | GrantFacts) and facts.index == index:
        return facts.note
    raise LogUntrusted(
        f"Entry {entry.index} shows no note of entry {index}",
        safe="nothing of it is shown",
        do="tell the node's operator",
    )


def channel_in(entry: Entry | Happening) -> str:
    """Return the channel that an entry is of."""
    return entry.record.channel.id


def note_in(entry: Entry | Happening) -> str:
    """Return the digest of the note that an entry is about, or nothing."""
    return entry.record.note


def replaced_in(entry: Entry | Happening, index: int) -> ReplacedFacts | None:
    """Return what an entry says of the note at ``index`` whose place another one took, if it does."""
    facts = entry.record.facts
    if not isinstance(facts, NoteFacts | ReleaseFacts):
        return None
    return next((old for old in facts.replaced or () if old.index == index), None)


def armed_in(entry: Entry | Happening, index: int) -> RearmedFacts | None:
    """Return what an entry says of the note at ``index`` that is taken on no more, if it does."""
    facts = entry.record.facts
    if not isinstance(facts, ContestedFacts):
        return None
    return next((one for one in facts.armed if one.index == index), None)


def armed_in_words(
    facts: ContestedFacts, armed: RearmedFacts, reference: str, *, is_said: bool
) -> str:
    """Return that a note counts as taken on, or answered, no more, because a key is contested.

    ``is_said``: the key's party itself said so to this home; else it is the node's word alone.
    """
    posts = ", ".join(reached.post for reached in armed.reached)
    owing = ", ".join(reached.post for reached in armed.owing or ())
    lacking = [f"taken on no more for {posts}, and climbs again"] if posts else []
    lacking += [f"answered no more for {owing}"] if owing else []
    did = " and ".join(d for d, of in (("acknowledged", posts), ("answered", owing)) if of)
    told = f"the key of {facts.member} that {did} it was in other hands since {to_dtg(facts.since)}"
    whose = f"{told}, says {facts.party}"
    if not is_said:
        whose = (
            f"the node says that {told}. {facts.party} has said no such thing to this home: ask them "
            "by another way"
        )
    return f"{reference} is {'; it is '.join(lacking)}: {whose}"


def replaced_in_words(note: Note, old: str, reference: str, by: str) -> str:
    """Return that ``note``, which is ``reference``, took the place of the one ``old`` names."""
    did = "superseded" if note.supersedes == old else "amended"
    return f"{reference} was {did} by {by}: another note takes its place"


def in_words(entry: Entry | Happening, reference: str) -> str:
    """Return what an entry says, ``reference`` naming its note or channel.

    Raises:
        LinkBroken: it is none that an inbox tells of.
    """
    facts = entry.record.facts
    if isinstance(facts, RungFacts):
        return _rung(facts, reference)
    if isinstance(facts, DeadlineFacts):
        return _deadline(facts, reference)
    if isinstance(facts, ConclusionFacts):
        ended = to_dtg(facts.due)
        return f"{reference} is adopted as decision {facts.decision}: silence ended at {ended}"
    if isinstance(facts, MissedTestFacts):
        return f"{reference}: no line test came from {facts.party} by {to_dtg(facts.due)}"
    if isinstance(facts, AboutNote | WatchFacts | ReleaseFacts):
        return _said(facts, entry.record.actor, reference)
    raise LinkBroken("news", f"Entry {entry.index}, a {entry.record.kind}, is no news for an inbox")


def _rung(facts: RungFacts, reference: str) -> str:
    lacking = "answered" if facts.waits_for == "answer" else "taken on"
    what = f"{reference} was not {lacking} by {to_dtg(facts.due)}"
    if facts.open:
        what += f" ({', '.join(facts.open)})"
    if facts.empty and facts.reached:
        posts = ", ".join(one.post for one in facts.reached)
        return f"NOBODY AT {posts} can be reached: vacant, or not able to open it. {what}"
    if facts.effect is Effect.EXHAUSTED:
        return f"NOBODY ANSWERED: {what}. A person must act; it is said again until one closes it"
    return what


def _deadline(facts: DeadlineFacts, reference: str) -> str:
    posts = ", ".join(facts.posts)
    when = to_dtg(facts.due)
    return {
        "begun": f"{reference} can be read since {when}",
        "alternate": f"{reference} went to {posts} instead, at {when}",
        "reminder": f"{reference}: an answer is due soon, from {posts}",
        "reply-overdue": f"{reference}: no answer came by {when} from {posts}",
        "expired": f"{reference} expired at {when}; not settled with {posts or 'nobody'}",
        "non-delivered": f"{reference} was not delivered to {posts or 'anybody'} by {when}",
    }[facts.what]


def _said(facts: AboutNote | WatchFacts | ReleaseFacts, by: str, reference: str) -> str:
    if isinstance(facts, WithdrawalFacts):
        number = facts.number
        void = f"; number {number.series} {number.number}/{number.year} is void" if number else ""
        return f"{reference} was withdrawn by {by}{void}"
    if isinstance(facts, ObjectionFacts):
        late = " after silence had ended: it is recorded and changes nothing" if facts.late else ""
        return f"{by} objected to {reference}{late}"
    if isinstance(facts, ExtensionFacts):
        return f"{by} extended the silence on {reference} to {to_dtg(facts.silence_until)}"
    if isinstance(facts, ReleaseFacts):
        return f"{reference} was released by {by}"
    if isinstance(facts, GrantFacts):
        readers = ", ".join(facts.readers)
        return f"{by} granted {reference} to {readers} for {facts.post} ({facts.reason.value})"
    assert isinstance(facts, WatchFacts)
    return f"{reference}: {by} said {facts.action.value} ({facts.text or 'without a word'})"
