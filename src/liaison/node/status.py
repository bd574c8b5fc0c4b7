"""Where a note stands, and what happens next as far as it is known. protocols/api.md, API-23, API-24.

From cells alone. What is said here proves nothing: receipts and certificates do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from liaison.rules import ladder
from liaison.rules.cells import AddresseeState, Climb, MomentOrder, Note, PostHold
from liaison.rules.lives import Stage
from liaison.statements.charters import Effect, Rung
from liaison.words.ids import party_of
from liaison.words.times import SECOND

COMING_MAX: Final = 64

Json = dict[str, Any]


def state_of(note: Note, party: str, holds: Iterable[PostHold] = ()) -> Json:
    """Return a note's state as ``party`` may know it; ``holds`` are those for which it waits.

    Who cleared a draft, and how another party's ladder goes on, is nobody's business but the
    sender's party's.
    """
    own = party_of(note.sender)
    is_abroad = party != own
    state: Json = {
        "reference": note.reference,
        "at": note.at,
        "kind": note.kind,
        "precedence": note.precedence.value,
    }
    for name in (
        *("draft", "exercise", "release", "withdrawn"),
        *("deferred_until", "expiry", "latest_delivery"),
    ):
        _put(state, name, getattr(note, name))
    _put(state, "from", note.post)
    _put(state, "superseded_by", note.superseded_by)
    if note.number is not None:
        state["number"] = note.number.model_dump(mode="json")
    if note.procedure is not None:
        state["procedure"] = {"stage": note.procedure.stage.value, "until": note.procedure.until}
        _put(state["procedure"], "decision", note.procedure.decision)
    waited_for = {climb.waits_for for climb in note.climbs or ()}
    if waited_for:
        state["waits_for"] = min(waited_for)  # an acknowledgement is wanted before an answer
    state["addressees"] = [
        addressee_of(a)
        for a in note.addressees
        if not (is_abroad and note.release and party_of(a.post) == own)
    ]
    state["next"] = [
        one for one in coming(note, holds) if not is_abroad or one.get("party") in (None, party)
    ]
    return state


def addressee_of(addressee: AddresseeState) -> Json:
    """Return where one addressee stands."""
    told: Json = {
        "post": addressee.post,
        "role": addressee.role.value,
        "life": addressee.life.value,
        "at": addressee.at,
    }
    if addressee.by:
        told["by"] = addressee.by
    for name in ("tier", "reply_by", "overdue", "replied", "held", "alternate_for"):
        _put(told, name, getattr(addressee, name))
    return told


def coming(note: Note, holds: Iterable[PostHold] = ()) -> list[Json]:
    """Return what is due of a note if nobody does anything, the first first.

    A rung that reaches nobody lets the next one follow at once, which nobody can know before.
    """
    if note.draft:
        return []
    found = [*_ladder(note), *_deadlines(note)]
    for hold in holds:
        if hold.until is not None:
            found.append({"due": hold.until, "what": "hold-ended", "posts": [hold.post]})
    return sorted(found, key=_by_due)[:COMING_MAX]


def _by_due(one: Json) -> int:
    due: int = one["due"]
    return due


def next_rung(note: Note, party: str) -> Json | None:
    """Return the next moment of the ladder that a note climbs for a party, if it does."""
    climb = note.climb_of(party)
    if climb is None or note.rungs is None:
        return None
    return _rungs(note.rungs[: climb.rung + 1], climb)[0]


def _ladder(note: Note) -> list[Json]:
    """Return the rungs to come, party by party: of a present climb, or one that begins by itself."""
    found: list[Json] = []
    for party in sorted({party_of(a.post) for a in note.addressees}):
        climb = note.climb_of(party) or _sure_climb(note, party)
        if climb is not None and note.rungs:
            found += _rungs(note.rungs, climb)
    return found


def _sure_climb(note: Note, party: str) -> Climb | None:
    """Return the climb that begins when a deferral ends, or when an answer is overdue."""
    mine = ladder.acting(note, party)
    owed = [a.reply_by for a in mine if a.reply_by is not None]
    waits_for, foot = "answer", min(owed, default=None)
    if note.deferred_until is not None:
        waits_for, foot = "acknowledgement", note.deferred_until
    if not mine or foot is None or not note.rungs:
        return None
    return Climb.model_validate(
        {
            "party": party,
            "round": 1,
            "rung": 0,
            "repeat": 0,
            "due": foot + note.rungs[0].after_s * SECOND,
            "waits_for": waits_for,
            "since": foot,
        }
    )


def _rungs(rungs: Sequence[Rung], climb: Climb) -> list[Json]:
    found: list[Json] = []
    due, done = climb.due, climb.repeat
    for place in range(climb.rung, len(rungs)):
        rung = rungs[place]
        told: Json = {
            "due": due,
            "what": rung.effect.value,
            "party": climb.party,
            "waits_for": climb.waits_for,
        }
        _put(told, "tier", rung.tier)
        left = (rung.times or 1) - done
        if rung.every_s is not None and (left > 1 or rung.effect is Effect.EXHAUSTED):
            told["every_s"] = rung.every_s
            if rung.effect is not Effect.EXHAUSTED:
                told["times"] = left
            due += (left - 1) * rung.every_s * SECOND
        found.append(told)
        if place + 1 < len(rungs):
            due, done = due + rungs[place + 1].after_s * SECOND, 0
    return found


def _deadlines(note: Note) -> list[Json]:
    moments = {moment.what for moment in note.moments}
    is_deferred = note.deferred_until is not None
    found: list[Json] = []
    for what, due, is_running in (
        ("begun", note.deferred_until, True),
        ("expired", note.expiry, is_deferred or MomentOrder.EXPIRED in moments),
        (
            "non-delivered",
            note.latest_delivery,
            is_deferred or MomentOrder.NON_DELIVERED in moments,
        ),
    ):
        if due is not None and is_running:
            found.append({"due": due, "what": what})
    if note.procedure is not None and note.procedure.stage in (Stage.PROPOSED, Stage.UNDER_SILENCE):
        found.append({"due": note.procedure.until, "what": "concluded"})
    for due in sorted({a.reply_by for a in note.addressees if a.reply_by is not None}):
        posts = [a.post for a in note.addressees if a.reply_by == due]
        found.append({"due": due, "what": "reply-overdue", "posts": posts})
    found += [{"due": due, "what": "reminder"} for due in note.reminders or ()]
    found += [
        {"due": moment.due, "what": "alternate"}
        for moment in note.moments
        if moment.what is MomentOrder.ALTERNATE
    ]
    return found


def _put(told: Json, name: str, value: object) -> None:
    """Say what there is to say."""
    if value is not None:
        told[name] = value
