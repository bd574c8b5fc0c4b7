"""What becomes of a note's cell: armed, climbing, answered, settled. protocols/statements.md, LADDER.

Functions from cell to cell. When they are called is for ``moments`` (time) and for the rulings
(statements) to say; a running ladder keeps the rungs that stood in the charter when it was armed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from liaison.rules.cells import AddresseeState, Climb, Item, Note
from liaison.rules.lives import PROCEDURE, Act, Life, Step, step
from liaison.statements.charters import Effect, Rung
from liaison.statements.payloads import AddresseeRole
from liaison.words.ids import party_of
from liaison.words.times import SECOND

WAITING: Final = frozenset({Life.QUEUED, Life.DELIVERED})
OVER: Final = frozenset(
    {Life.NON_DELIVERED, Life.CANCELLED, Life.EXPIRED, Life.UNANSWERED, Life.LAPSED}
)
"""Nothing more is expected of such an addressee."""


def acting(note: Note) -> tuple[AddresseeState, ...]:
    """Return who is asked to act: addressed for action, or standby that was opened."""
    return tuple(
        a
        for a in note.addressees
        if a.role is AddresseeRole.ACTION
        or (a.role is AddresseeRole.STANDBY and a.life not in (Life.WITHHELD, Life.LAPSED))
    )


def is_visible(note: Note, addressee: AddresseeState) -> bool:
    """Return whether the addressee's readers may have the note now."""
    hidden = (Life.WITHHELD, Life.DRAFTED, Life.LAPSED, Life.CANCELLED, Life.NON_DELIVERED)
    return note.deferred_until is None and not addressee.held and addressee.life not in hidden


def open_posts(note: Note) -> tuple[AddresseeState, ...]:
    """Return who still has to take the note on, or to answer it, by what its ladder waits for."""
    if note.climb is not None and note.climb.waits_for == "answer":
        return tuple(a for a in acting(note) if is_overdue(a))
    taken = _parties_that_took_on(note)
    return tuple(a for a in acting(note) if a.life in WAITING and party_of(a.post) not in taken)


def is_overdue(addressee: AddresseeState) -> bool:
    """Return whether an answer is missing whose time has passed."""
    return (
        addressee.overdue is not None and addressee.replied is None and addressee.life not in OVER
    )


def _parties_that_took_on(note: Note) -> frozenset[str]:
    """Return the parties whose addressees acknowledged as the charter counts it."""
    if note.acknowledge == "all":
        return frozenset()
    return frozenset(party_of(a.post) for a in acting(note) if a.life is Life.ACKNOWLEDGED)


def concerned(note: Note) -> frozenset[str]:
    """Return the parties whose operators have the note on their queue while it climbs."""
    if note.climb is not None and note.climb.waits_for == "answer":
        return frozenset(party_of(a.post) for a in acting(note) if is_overdue(a))
    taken = _parties_that_took_on(note)
    return frozenset(party_of(a.post) for a in acting(note)) - taken


def is_acknowledged(note: Note) -> bool:
    """Return whether the note was taken on: by each addressed party, by one of its tier or by all."""
    alive = [a for a in acting(note) if a.life not in OVER]
    taken = {party_of(a.post) for a in alive if a.life is Life.ACKNOWLEDGED}
    if note.acknowledge == "all":
        return bool(alive) and all(a.life is Life.ACKNOWLEDGED for a in alive)
    return bool(taken) and taken == {party_of(a.post) for a in alive}


# From cell to cell


def arm(note: Note, at: int, waits_for: str) -> Note:
    """Return the note at the foot of its ladder, its first rung counted from ``at``."""
    if not note.rungs:
        return note
    rounds = (note.rounds or 0) + 1
    climb = Climb.model_validate(
        {
            "round": rounds,
            "rung": 0,
            "repeat": 0,
            "due": at + note.rungs[0].after_s * SECOND,
            "waits_for": waits_for,
        }
    )
    return note.model_copy(update={"climb": climb, "rounds": rounds, "items": None})


def show(note: Note, at: int) -> Note:
    """Return the note from the moment on at which others can read it: its timers run."""
    update: dict[str, object] = {"draft": None, "deferred_until": None}
    if note.procedure is not None:
        stage = PROCEDURE[note.procedure.stage, Act.BEGUN]
        update["procedure"] = note.procedure.model_copy(update={"stage": stage})
    note = note.model_copy(update=update)
    if any(a.life in WAITING and not a.held for a in acting(note)) and not is_acknowledged(note):
        note = arm(note, at, "acknowledgement")
    return settle(note, at)


def after_rung(note: Note, due: int, *, is_empty: bool) -> Note:
    """Return the note after its present rung took effect at ``due``: the next one's wait begins.

    A rung that reached nobody waits for nobody: the next is due at once.
    """
    climb, rungs = note.climb, note.rungs
    assert climb is not None
    assert rungs is not None
    rung = rungs[climb.rung]
    if _repeats(rung, climb) and not (is_empty and rung.effect is not Effect.EXHAUSTED):
        assert rung.every_s is not None
        following = {"repeat": climb.repeat + 1, "due": due + rung.every_s * SECOND}
    else:
        wait = 0 if is_empty else rungs[climb.rung + 1].after_s * SECOND
        following = {"rung": climb.rung + 1, "repeat": 0, "due": due + wait}
    return note.model_copy(
        update={"climb": climb.model_copy(update={**following, "snoozed": None})}
    )


def _repeats(rung: Rung, climb: Climb) -> bool:
    return rung.effect is Effect.EXHAUSTED or climb.repeat + 1 < (rung.times or 1)


def move(note: Note, posts: Iterable[str], taken: Step, at: int, *, by: str = "") -> Note:
    """Return the note after a step of these posts' lives; what can't take it stays as it is."""
    wanted = frozenset(posts)
    moved = []
    for addressee in note.addressees:
        life = step(addressee.role, addressee.life, taken) if addressee.post in wanted else None
        if life is None:
            moved.append(addressee)
            continue
        update: dict[str, object] = {"life": life, "at": at, "by": by, "held": None}
        if life in OVER:
            update["reply_by"] = None
        moved.append(addressee.model_copy(update=update))
    return note.model_copy(update={"addressees": tuple(moved)})


def change(note: Note, post: str, **update: object) -> Note:
    """Return the note with one addressee's members changed."""
    return note.model_copy(
        update={
            "addressees": tuple(
                a.model_copy(update=update) if a.post == post else a for a in note.addressees
            )
        }
    )


def acknowledged(note: Note, post: str, at: int) -> Note:
    """Return the note after ``post`` took it on; from now on the charter's time to answer runs."""
    addressee = next(a for a in note.addressees if a.post == post)
    if note.answer_within_s is not None and addressee.replied is None and not note.draft:
        within = at + note.answer_within_s * SECOND
        note = change(note, post, reply_by=min(within, addressee.reply_by or within))
    if note.climb is not None and note.climb.waits_for == "answer":
        note = note.model_copy(update={"climb": None, "items": None})
    return settle(note, at)


def declined(note: Note, at: int) -> Note:
    """Return the note after a post declined it: it climbs at once."""
    note = settle(note, at)
    if note.climb is None:
        return note
    due = min(note.climb.due, at)
    return note.model_copy(update={"climb": note.climb.model_copy(update={"due": due})})


def replied(note: Note, party: str, at: int) -> Note:
    """Return the note after ``party`` answered it."""
    for addressee in acting(note):
        if party_of(addressee.post) == party and addressee.replied is None:
            note = change(note, addressee.post, replied=at, reply_by=None)
    return settle(note, at)


def overdue(note: Note, due: int) -> Note:
    """Return the note after its time to answer passed: its ladder is armed again."""
    for addressee in note.addressees:
        if addressee.reply_by is not None and addressee.reply_by <= due:
            note = change(note, addressee.post, reply_by=None, overdue=due)
    if note.climb is None:
        note = arm(note, due, "answer")
    return note


def reopened(note: Note, post: str, at: int, *, by: str) -> Note:
    """Return the note after an operator reopened it: delivered again, the ladder armed."""
    note = move(note, (post,), Step.REOPENED, at, by=by)
    note = change(note, post, reply_by=None, overdue=None)
    return arm(note, at, "acknowledgement")


def closed(note: Note, party: str, at: int, *, by: str) -> Note:
    """Return the note after a person of ``party`` closed what its ladder could not get answered."""
    mine = [a.post for a in acting(note) if party_of(a.post) == party]
    note = move(note, mine, Step.CLOSED, at, by=by)
    for post in mine:
        note = change(note, post, overdue=None, reply_by=None)
    if note.climb is not None and not open_posts(note):
        note = note.model_copy(update={"climb": None, "items": None})
    return settle(note, at)


def cancelled(note: Note, at: int, *, by: str) -> Note:
    """Return the note after its sender took back what was not settled."""
    posts = [a.post for a in note.addressees]
    note = move(note, posts, Step.CANCELLED, at, by=by)
    return settle(note.model_copy(update={"deferred_until": None, "draft": None}), at)


def expired(note: Note, at: int) -> Note:
    note = move(note, [a.post for a in note.addressees], Step.EXPIRED, at)
    return settle(note.model_copy(update={"expiry": None}), at)


def not_delivered(note: Note, at: int) -> Note:
    note = move(note, [a.post for a in note.addressees], Step.NOT_DELIVERED, at)
    return settle(note.model_copy(update={"latest_delivery": None}), at)


def released_hold(note: Note, post: str, at: int) -> Note:
    """Return the note after it is shown to a post for which it waited."""
    note = change(note, post, held=None)
    if note.climb is None and not note.rounds and open_posts(note):
        note = arm(note, at, "acknowledgement")
    return settle(note, at)


def settle(note: Note, at: int) -> Note:
    """Return the note with every timer off that nothing is left for, so that nothing old rings."""
    if note.draft or note.deferred_until is not None:
        return note
    asked = acting(note)
    climb = note.climb
    if climb is not None and (
        all(a.life in OVER for a in asked)
        or (climb.waits_for == "acknowledgement" and is_acknowledged(note))
        or (climb.waits_for == "answer" and not any(is_overdue(a) for a in asked))
    ):
        note = note.model_copy(update={"climb": None, "items": None})
    update: dict[str, object] = {}
    is_open = any(a.life in WAITING for a in asked)
    is_queued = any(a.life is Life.QUEUED for a in note.addressees)
    awaits_answer = any(a.reply_by is not None or is_overdue(a) for a in asked)
    if not is_open and not is_queued:
        update["expiry"] = None
    is_held = any(a.held for a in note.addressees)
    if note.climb is None and not awaits_answer and not is_held and not _may_redirect(note):
        note = move(note, [a.post for a in note.addressees], Step.NOT_NEEDED, at)
    if not is_queued and not any(a.life is Life.WITHHELD for a in note.addressees):
        update["latest_delivery"] = None
    if not any(a.reply_by is not None for a in note.addressees):
        update["reminders"] = None
    return note.model_copy(update=update)


def _may_redirect(note: Note) -> bool:
    """Return whether an alternate may still be asked in place of its addressee."""
    lives = {a.post: a.life for a in note.addressees}
    hopeful = (*WAITING, Life.DECLINED, Life.NON_DELIVERED)
    return any(
        a.life is Life.WITHHELD
        and a.alternate_for is not None
        and lives[a.alternate_for] in hopeful
        for a in note.addressees
    )


# What operators did


def item_of(items: tuple[Item, ...] | None, party: str) -> Item:
    """Return a party's item; one that nobody touched is empty."""
    return next((item for item in items or () if item.party == party), Item(party=party))


def put_item(items: tuple[Item, ...] | None, item: Item) -> tuple[Item, ...]:
    """Return the items with a party's one replaced, ascending by party."""
    others = {known.party: known for known in items or ()}
    return tuple(one for _, one in sorted({**others, item.party: item}.items()))


def mark(note: Note, parties: Iterable[str], **flags: object) -> Note:
    """Return the note with flags set on these parties' items."""
    items = note.items
    for party in sorted(set(parties)):
        items = put_item(items, item_of(items, party).model_copy(update=flags))
    return note.model_copy(update={"items": items})
