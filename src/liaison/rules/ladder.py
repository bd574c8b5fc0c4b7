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


def acting(note: Note, party: str | None = None) -> tuple[AddresseeState, ...]:
    """Return who is asked to act: addressed for action, or standby that was opened."""
    return tuple(
        a
        for a in note.addressees
        if party in (None, party_of(a.post))
        and (
            a.role is AddresseeRole.ACTION
            or (a.role is AddresseeRole.STANDBY and a.life not in (Life.WITHHELD, Life.LAPSED))
        )
    )


def is_visible(note: Note, addressee: AddresseeState) -> bool:
    """Return whether the addressee's readers may have the note now."""
    hidden = (Life.WITHHELD, Life.DRAFTED, Life.LAPSED, Life.CANCELLED, Life.NON_DELIVERED)
    return note.deferred_until is None and not addressee.held and addressee.life not in hidden


def is_taken_on(note: Note, party: str) -> bool:
    """Return whether a party acknowledged as the charter counts it: one of its posts, or all."""
    alive = [a.life for a in acting(note, party) if a.life not in OVER]
    if note.acknowledge == "all":
        return bool(alive) and all(life is Life.ACKNOWLEDGED for life in alive)
    return Life.ACKNOWLEDGED in alive


def unresolved(note: Note, party: str) -> tuple[AddresseeState, ...]:
    """Return for whom a party's ladder runs: who waits, and who declined, until it is taken on."""
    if note.withdrawn or is_taken_on(note, party):
        return ()
    return tuple(
        a
        for a in acting(note, party)
        if not a.held and (a.life in WAITING or a.life is Life.DECLINED)
    )


def overdue_of(note: Note, party: str) -> tuple[AddresseeState, ...]:
    """Return whose answer is missing though its time has passed."""
    return tuple(
        a
        for a in acting(note, party)
        if a.overdue is not None and a.replied is None and a.life not in OVER and not a.held
    )


def open_posts(note: Note, climb: Climb) -> tuple[AddresseeState, ...]:
    """Return who still has to take the note on, or to answer it, by what the ladder waits for."""
    if climb.waits_for == "answer":
        return overdue_of(note, climb.party)
    return tuple(a for a in unresolved(note, climb.party) if a.life in WAITING)


def concerned(note: Note) -> frozenset[str]:
    """Return the parties whose operators have the note on their queue: it climbs for them."""
    return frozenset(climb.party for climb in note.climbs or ())


def _parties(note: Note) -> tuple[str, ...]:
    return tuple(sorted({party_of(a.post) for a in note.addressees}))


# From cell to cell


def arm(note: Note, party: str, at: int, waits_for: str) -> Note:
    """Return the note with a party at the foot of its ladder, the first rung counted from ``at``.

    A ladder that runs goes on as it was: who arms it again makes no wait longer.
    """
    if not note.rungs or note.draft or note.deferred_until is not None or note.climb_of(party):
        return note
    rounds = (note.rounds or 0) + 1
    climb = Climb.model_validate(
        {
            "party": party,
            "round": rounds,
            "rung": 0,
            "repeat": 0,
            "due": at + note.rungs[0].after_s * SECOND,
            "waits_for": waits_for,
            "since": at,
        }
    )
    return put_climb(drop_item(note, party), climb).model_copy(update={"rounds": rounds})


def put_climb(note: Note, climb: Climb) -> Note:
    """Return the note with a party's climb replaced, ascending by party."""
    others = {known.party: known for known in note.climbs or ()}
    climbs = tuple(one for _, one in sorted({**others, climb.party: climb}.items()))
    return note.model_copy(update={"climbs": climbs})


def stop(note: Note, party: str) -> Note:
    """Return the note without a party's climb, and without the item on its operators' queue."""
    left = tuple(climb for climb in note.climbs or () if climb.party != party)
    return drop_item(note, party).model_copy(update={"climbs": left or None})


def show(note: Note, at: int) -> Note:
    """Return the note from the moment on at which others can read it: its timers run."""
    update: dict[str, object] = {"draft": None, "deferred_until": None}
    if note.procedure is not None:
        stage = PROCEDURE[note.procedure.stage, Act.BEGUN]
        update["procedure"] = note.procedure.model_copy(update={"stage": stage})
    return settle(await_taking_on(note.model_copy(update=update), _parties(note), at), at)


def await_taking_on(note: Note, parties: Iterable[str], at: int) -> Note:
    """Return the note with the ladders armed of those parties in which somebody is asked."""
    for party in sorted(set(parties)):
        if unresolved(note, party):
            note = arm(note, party, at, "acknowledgement")
    return note


def after_rung(note: Note, party: str, due: int, *, is_empty: bool) -> Note:
    """Return the note after a party's rung took effect at ``due``: the next one's wait begins.

    A rung that reached nobody waits for nobody: the next is due at once.
    """
    climb, rungs = note.climb_of(party), note.rungs
    assert climb is not None
    assert rungs is not None
    rung = rungs[climb.rung]
    if _repeats(rung, climb) and not (is_empty and rung.effect is not Effect.EXHAUSTED):
        assert rung.every_s is not None
        following = {"repeat": climb.repeat + 1, "due": due + rung.every_s * SECOND}
    else:
        wait = 0 if is_empty else rungs[climb.rung + 1].after_s * SECOND
        following = {"rung": climb.rung + 1, "repeat": 0, "due": due + wait}
    return put_climb(note, climb.model_copy(update={**following, "snoozed": None}))


def own_time(rungs: Iterable[Rung]) -> int:
    """Return how many microseconds a ladder takes by itself from its foot to *exhausted*."""
    waits = [r.after_s + ((r.times or 1) - 1) * (r.every_s or 0) for r in rungs]
    return sum(waits) * SECOND


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
        if life in OVER or life is Life.DECLINED:
            update["reply_by"] = None
        moved.append(addressee.model_copy(update=update))
    return note.model_copy(update={"addressees": tuple(moved)})


def change(note: Note, posts: Iterable[str], **update: object) -> Note:
    """Return the note with members changed of the addressees at these posts."""
    wanted = frozenset(posts)
    return note.model_copy(
        update={
            "addressees": tuple(
                a.model_copy(update=update) if a.post in wanted else a for a in note.addressees
            )
        }
    )


def acknowledged(note: Note, post: str, at: int) -> Note:
    """Return the note after ``post`` took it on; from now on the charter's time to answer runs.

    That time takes the place of one that has passed for others of its party: who takes it on anew
    gets time. A post whose own time passed gets none by being asked again.
    """
    mine = acting(note, party_of(post))
    addressee = next(a for a in note.addressees if a.post == post)
    is_owed = addressee.overdue is None and all(a.replied is None for a in mine)
    if note.answer_within_s is not None and is_owed and not note.draft:
        within = at + note.answer_within_s * SECOND
        note = change(note, [post], reply_by=min(within, addressee.reply_by or within))
        note = change(note, [a.post for a in mine], overdue=None)
    return settle(note, at)


def declined(note: Note, post: str, at: int) -> Note:
    """Return the note after ``post`` declined it: it climbs at once."""
    note = settle(note, at)
    climb = note.climb_of(party_of(post))
    if climb is None:
        return note
    return put_climb(note, climb.model_copy(update={"due": min(climb.due, at)}))


ANSWERS_KEPT: Final = 8
"""So many of the notes that answered one are known, the newest."""


def replied(note: Note, party: str, at: int, *, by: str) -> Note:
    """Return the note after ``party`` answered it with the note ``by``."""
    for addressee in acting(note, party):
        update: dict[str, object] = {"answers": (*(addressee.answers or ()), by)[-ANSWERS_KEPT:]}
        if addressee.replied is None:
            owed = addressee.reply_by if addressee.overdue is None else addressee.overdue
            update |= {"replied": at, "owed": owed, "reply_by": None}
        note = change(note, [addressee.post], **update)
    return settle(note, at)


def unanswered(note: Note, by: str, at: int) -> Note:
    """Return the note after its answer ``by`` was taken back unread: what it owed it owes again.

    A time that lies ahead runs on; else the answer is overdue from ``at`` on, and it climbs for it.
    """
    for addressee in note.addressees:
        if by not in (addressee.answers or ()):
            continue
        left = tuple(one for one in addressee.answers or () if one != by)
        update: dict[str, object] = {"answers": left or None}
        if not left:
            update |= {"replied": None, "owed": None}
            if addressee.owed is not None and addressee.life not in OVER:
                is_ahead = addressee.owed > at
                update |= {"reply_by": addressee.owed} if is_ahead else {"overdue": at}
        note = change(note, [addressee.post], **update)
    return settle(note, at)


def overdue(note: Note, due: int) -> Note:
    """Return the note after its time to answer passed: its ladder is armed again."""
    late = [a.post for a in note.addressees if a.reply_by is not None and a.reply_by <= due]
    return settle(change(note, late, reply_by=None, overdue=due), due)


def reopened(note: Note, post: str, at: int, *, by: str) -> Note:
    """Return the note after an operator reopened it: delivered again, and climbing.

    A ladder that runs for the party already goes on, so that nobody puts it back to its foot; and
    a time to answer stays what it was.
    """
    note = move(note, [post], Step.REOPENED, at, by=by)
    if note.expiry is not None and note.expiry <= at:
        note = note.model_copy(update={"expiry": None})
    return settle(await_taking_on(note, [party_of(post)], at), at)


def closed(note: Note, party: str, at: int, *, by: str) -> Note:
    """Return the note after a person of ``party`` closed what its ladder could not get answered."""
    mine = [a.post for a in acting(note, party)]
    note = move(note, mine, Step.CLOSED, at, by=by)
    note = change(note, mine, overdue=None, reply_by=None)
    return settle(stop(note, party), at)


def cancelled(note: Note, at: int, *, by: str) -> Note:
    """Return the note after its sender took it back: what is not settled ends, and every timer."""
    posts = [a.post for a in note.addressees]
    note = move(note, posts, Step.CANCELLED, at, by=by)
    note = change(note, posts, reply_by=None, overdue=None)
    over = ("climbs", "deferred_until", "draft", "expiry", "items", "latest_delivery")
    return settle(note.model_copy(update={**dict.fromkeys(over), "withdrawn": True}), at)


def expired(note: Note, at: int) -> Note:
    """Return the note after its expiry: nobody is asked to take it on any more."""
    note = move(note, [a.post for a in note.addressees], Step.EXPIRED, at)
    for climb in note.climbs or ():
        if climb.waits_for == "acknowledgement":
            note = stop(note, climb.party)
    return settle(note.model_copy(update={"expiry": None}), at)


def not_delivered(note: Note, at: int) -> Note:
    note = move(note, [a.post for a in note.addressees], Step.NOT_DELIVERED, at)
    return settle(note.model_copy(update={"latest_delivery": None}), at)


def alternates_opened(note: Note, posts: Iterable[str], at: int) -> Note:
    """Return the note after alternates were opened, for whom it climbs as for anybody."""
    posts = list(posts)
    note = move(note, posts, Step.OPENED, at)
    return settle(await_taking_on(note, [party_of(post) for post in posts], at), at)


def released_hold(note: Note, post: str, at: int) -> Note:
    """Return the note after it is shown to a post for which it waited."""
    note = change(note, [post], held=None)
    return settle(await_taking_on(note, [party_of(post)], at), at)


def settle(note: Note, at: int) -> Note:
    """Return the note with every timer off that nothing is left for, so that nothing old rings.

    What is left is rung for: where a party took the note on while its answer was overdue, its
    ladder is armed for the answer.
    """
    if note.draft or note.deferred_until is not None:
        return note
    for party in _parties(note):
        climb = note.climb_of(party)
        awaited = overdue_of(note, party)
        if climb is not None:
            awaited = awaited if climb.waits_for == "answer" else unresolved(note, party)
        if not awaited:
            note = stop(note, party)
        if overdue_of(note, party):
            note = arm(note, party, at, "answer")
        note = move(note, _not_needed(note, party), Step.NOT_NEEDED, at)
    if not any(a.reply_by is not None for a in note.addressees):
        note = note.model_copy(update={"reminders": None})
    return note


def _not_needed(note: Note, party: str) -> list[str]:
    """Return a party's standby posts that nothing can open any more."""
    mine = [a for a in note.addressees if party_of(a.post) == party]
    if note.withdrawn:
        return [a.post for a in mine]
    may_climb = (
        note.climb_of(party) is not None
        or any(a.reply_by is not None and a.life not in OVER for a in mine)
        or any(a.held for a in mine)
    )
    lives = {a.post: a.life for a in mine}
    hopeful = (*WAITING, Life.DECLINED, Life.NON_DELIVERED)
    found = []
    for addressee in mine:
        if addressee.life is not Life.WITHHELD:
            continue
        if addressee.alternate_for is None:
            is_needed = may_climb
        else:
            is_needed = lives[addressee.alternate_for] in hopeful and not is_taken_on(note, party)
        if not is_needed:
            found.append(addressee.post)
    return found


# What operators did


def item_of(items: tuple[Item, ...] | None, party: str) -> Item:
    """Return a party's item; one that nobody touched is empty."""
    return next((item for item in items or () if item.party == party), Item(party=party))


def put_item(items: tuple[Item, ...] | None, item: Item) -> tuple[Item, ...]:
    """Return the items with a party's one replaced, ascending by party."""
    others = {known.party: known for known in items or ()}
    return tuple(one for _, one in sorted({**others, item.party: item}.items()))


def mark(note: Note, party: str, **flags: object) -> Note:
    """Return the note with flags set on a party's item."""
    item = item_of(note.items, party).model_copy(update=flags)
    return note.model_copy(update={"items": put_item(note.items, item)})


def drop_item(note: Note, party: str) -> Note:
    """Return the note without what a party's operators did with it."""
    left = tuple(item for item in note.items or () if item.party != party)
    return note.model_copy(update={"items": left or None})
