"""Contests: what a compromised key took on or answered is nobody's to rely on. statements.md, CONTEST.

A party says of a device's key since when it may have been another's. A party's statement reads no
channel's cells (law 3); so it leaves a ``Contest`` in each channel in which the key acknowledged or
answered something, whose moments look through that, page by page, the newest first. They are
``APART``, so that what else falls due, ladders above all, has its turn between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from liaison.ledger.facts import ContestedFacts, MemberFacts, RearmedFacts
from liaison.ledger.record import Urgency
from liaison.rules import ladder
from liaison.rules.cells import (
    Acknowledged,
    Acknowledgements,
    Acknowledger,
    AddresseeState,
    Cell,
    CellKey,
    Channel,
    Contest,
    Contesting,
    Member,
    Note,
    Post,
    View,
)
from liaison.rules.lives import Life
from liaison.rules.refusal import Refused
from liaison.rules.ruling import Fallen, Peek
from liaison.rules.showing import reached_at
from liaison.statements.payloads import MAX_DEVICES, Compromised
from liaison.words.times import SECOND

PAGE_ENTRIES: Final = 64
"""So many acts stand on a page, and so many notes at most are armed by one record."""
NEWEST: Final = "0"
"""The page that is written to; full ones are numbered from 1."""
APART: Final = SECOND // 100
CONTESTED_MAX: Final = 8
"""So often it is said of a key since when it is compromised: each time all is looked through anew."""


# What a device acknowledged or answered


def remembering_needs(channel: str, device: str) -> Iterable[CellKey]:
    yield Acknowledger.key_of(device)
    yield Acknowledgements.key_of(channel, device, NEWEST)


def remember(
    view: View, channel: str, notes: Iterable[Note], device: str, at: int
) -> Iterable[Cell]:
    """Give the pages after a device acknowledged these notes of a channel at ``at``.

    A note without a ladder is left out, and so is a draft's clearance: nothing is armed of them.
    """
    climbing = [note.note for note in notes if note.rungs and not note.draft]
    return _written(view, channel, device, [Acknowledged(note=note, at=at) for note in climbing])


def remember_reply(view: View, note: Note, device: str, at: int) -> Iterable[Cell]:
    """Give the pages after a device wrote, or released, a note that names another in reply."""
    if note.in_reply_to is None or note.service:
        return ()
    said = Acknowledged(note=note.in_reply_to, at=at, answer=note.note)
    return _written(view, note.channel, device, [said])


def _written(view: View, channel: str, device: str, said: Iterable[Acknowledged]) -> Iterable[Cell]:
    page = view.get(Acknowledgements, channel, device, NEWEST)
    entries, full = (page.entries, page.full) if page else ((), 0)
    said = list(said)
    if said and page is None:
        known = _acknowledger(view, device)
        yield known.model_copy(update={"channels": tuple(sorted((*known.channels, channel)))})
    for one in said:
        if len(entries) == PAGE_ENTRIES:
            full += 1
            yield Acknowledgements(
                channel=channel, device=device, page=str(full), entries=entries, full=0
            )
            entries = ()
        entries = (*entries, one)
    if said:
        yield Acknowledgements(
            channel=channel, device=device, page=NEWEST, entries=entries, full=full
        )


def _acknowledger(view: View, device: str) -> Acknowledger:
    known = view.get(Acknowledger, device)
    return known or Acknowledger(device=device, channels=(), contested=0)


# A party's word that a key is contested


def beginning_needs(party: str, said: Iterable[Compromised]) -> Iterable[CellKey]:
    yield Contesting.key_of(party)
    for one in said:
        yield Acknowledger.key_of(one.key)


def check_beginning(
    view: View, known: Member | None, said: Iterable[Compromised]
) -> Refused | None:
    """Return a refusal where a party would have too much looked through (MEMBER-7)."""
    changed = _changed(known, said)
    if len(changed) > MAX_DEVICES:
        return Refused(
            "compromised",
            f"it is said of {MAX_DEVICES} keys at once since when they are compromised",
        )
    if any(_acknowledger(view, one.key).contested >= CONTESTED_MAX for one in changed):
        return Refused(
            "compromised",
            f"it was said {CONTESTED_MAX} times of a key since when it is compromised",
        )
    return None


def _changed(known: Member | None, said: Iterable[Compromised]) -> list[Compromised]:
    """Return of which keys it is said for the first time, or since another time than before."""
    before = {one.key: one.since for one in (known.compromised or () if known else ())}
    return [one for one in said if before.get(one.key) != one.since]


def begun(view: View, known: Member | None, facts: MemberFacts, at: int) -> Iterable[Cell]:
    """Give a contest for each channel in which a key acted that is newly said to be compromised."""
    contesting = view.get(Contesting, facts.party)
    last = contesting.last if contesting else None
    for one in _changed(known, facts.compromised or ()):
        acknowledger = _acknowledger(view, one.key)
        yield acknowledger.model_copy(update={"contested": acknowledger.contested + 1})
        for channel in acknowledger.channels:
            last = at if last is None else max(at, last + APART)
            yield Contest(
                channel=channel,
                device=one.key,
                party=facts.party,
                member=facts.member,
                since=one.since,
                page=0,
                moment=last,
            )
    if last is not None:
        yield Contesting(party=facts.party, last=last)


# The moments


def contest_needs(contest: Contest, peek: Peek) -> Iterable[CellKey]:
    yield Channel.key_of(contest.channel)
    yield Acknowledgements.key_of(contest.channel, contest.device, NEWEST)
    yield Acknowledgements.key_of(contest.channel, contest.device, str(contest.page))
    for key in before_contest(contest, peek):
        yield key
        note = peek(Note, *key[1:])
        for addressee in note.addressees if note else ():
            yield Post.key_of(addressee.post)


def before_contest(contest: Contest, peek: Peek) -> Iterable[CellKey]:
    """The notes of the page: what was due of them goes first."""
    page = peek(Acknowledgements, contest.channel, contest.device, str(contest.page))
    for entry in page.entries if page else ():
        yield Note.key_of(contest.channel, entry.note)
        if entry.answer is not None:
            yield Note.key_of(contest.channel, entry.answer)


def decide_contest(view: View, contest: Contest) -> Fallen:
    assert contest.moment is not None
    channel = view.get(Channel, contest.channel)
    assert channel is not None
    armed = []
    for note in _notes(view, contest):
        posts = contested_posts(note, contest)
        answers = contested_answers(view, note, contest)
        if posts or answers:
            armed.append(_armed(view, note, posts, answers))
    facts = ContestedFacts(
        channel=contest.channel,
        due=contest.moment,
        party=contest.party,
        member=contest.member,
        device=contest.device,
        since=contest.since,
        page=contest.page,
        armed=tuple(armed),
    )
    urgency = Urgency(
        precedence=max((one.precedence for one in armed), key=lambda p: p.rank, default=None),
        about=tuple(sorted(one.index for one in armed)),
        outcome="contested",
        due=contest.moment,
        exercise=bool(channel.exercise),
    )
    return Fallen("contested", facts, urgency)


def evolve_contest(view: View, facts: ContestedFacts) -> Iterable[Cell]:
    contest = view.get(Contest, facts.channel, facts.device)
    assert contest is not None
    changed = {note.note: note for note in _never_answering(view, contest)}
    for one in facts.armed:
        note = changed.get(one.note) or view.get(Note, facts.channel, one.note)
        assert note is not None
        for reached in one.reached:
            note = ladder.reopened(note, reached.post, facts.due, by="")
        # Behind it: who is asked to take it on is not asked for the answer at the same time.
        changed[note.note] = _unanswered(note, one.answers or (), facts.due)
    yield from changed.values()
    following = _following(view, contest)
    yield contest.model_copy(
        update={"page": following or 0, "moment": facts.due + APART if following else None}
    )


def contested_posts(note: Note, contest: Contest) -> tuple[AddresseeState, ...]:
    """Return who took the note on by the contested key alone, where its ladder would still matter.

    Nobody's if another acknowledgement of the party counts beside, or the note was taken back,
    superseded or has expired.
    """
    assert contest.moment is not None
    if note.withdrawn or not note.rungs:
        return ()
    if note.expiry is not None and note.expiry <= contest.moment:
        return ()
    expired_at = max((a.at for a in note.addressees if a.life is Life.EXPIRED), default=-1)
    taken = [a for a in ladder.acting(note, contest.party) if a.life is Life.ACKNOWLEDGED]
    doubtful = [a for a in taken if a.device == contest.device and a.at >= contest.since]
    if note.acknowledge != "all" and len(doubtful) < len(taken):
        return ()
    # What an operator reopened behind its expiry, and the key took on then, is asked again.
    return tuple(a for a in doubtful if a.at > expired_at)


def contested_answers(view: View, note: Note, contest: Contest) -> tuple[str, ...]:
    """Return the notes by the contested key, of the page, that count as the party's answer to one."""
    if note.withdrawn:
        return ()
    counting = {answer for a in note.addressees for answer in a.answers or ()}
    found = [one.answer for one in _since(view, contest) if one.note == note.note]
    return tuple(answer for answer in found if answer is not None and answer in counting)


def _unanswered(note: Note, answers: Iterable[str], at: int) -> Note:
    for answer in answers:
        note = ladder.unanswered(note, answer, at)
    return note


def _since(view: View, contest: Contest) -> list[Acknowledged]:
    page = view.get(Acknowledgements, contest.channel, contest.device, str(contest.page))
    return [one for one in page.entries if one.at >= contest.since] if page else []


def _notes(view: View, contest: Contest) -> Iterable[Note]:
    """Give the notes of the page that were acknowledged or answered since, once each, in their order."""
    for digest in dict.fromkeys(one.note for one in _since(view, contest)):
        note = view.get(Note, contest.channel, digest)
        assert note is not None
        yield note


def _never_answering(view: View, contest: Contest) -> Iterable[Note]:
    """Give the notes of the page that answered: also one that is shown later never counts."""
    for one in _since(view, contest):
        note = view.get(Note, contest.channel, one.answer) if one.answer is not None else None
        if note is not None:
            yield note.model_copy(update={"service": True})


def _armed(
    view: View, note: Note, posts: Iterable[AddresseeState], answers: tuple[str, ...]
) -> RearmedFacts:
    left = _unanswered(note, answers, note.at).addressees
    owing = [a for a, b in zip(note.addressees, left, strict=True) if a.replied and not b.replied]
    return RearmedFacts(
        note=note.note,
        index=note.index,
        sender=note.sender,
        precedence=note.precedence,
        reached=reached_at(view, posts),
        answers=answers or None,
        owing=reached_at(view, owing) or None,
    )


def _following(view: View, contest: Contest) -> int:
    """Return the page before this one, or 0 where that one is older than the contest."""
    page = view.get(Acknowledgements, contest.channel, contest.device, str(contest.page))
    if page is None or page.entries[0].at < contest.since:
        return 0
    return page.full if contest.page == 0 else contest.page - 1
