"""Where a note stands, in words, from what the node says of it (protocols/api.md, API-16)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from liaison.cli.consequence import clock, span
from liaison.sealing.content import visible
from liaison.words.ids import party_of

State = dict[str, object]

_THEN = {
    "alert": "{who} is alerted again",
    "raise": "it is raised on the operators' queue",
    "open": "the tier {tier} can read it",
    "tell": "the sender and the tier {tier} are told",
    "exhausted": "all are told that nobody answered, again until a person closes it",
    "begun": "it can be read",
    "reminder": "{who} is reminded that an answer is due",
    "reply-overdue": "the answer is overdue, and the ladder is armed again",
    "expired": "it expires for whoever has not settled it",
    "non-delivered": "who has not opened it gets it no more, certified",
    "concluded": "it is adopted, unless a party objects before",
    "alternate": "it goes to the alternate",
    "hold-ended": "it is shown to {who}",
}


def note_in_words(reference: str, state: State, now: int) -> Iterator[str]:
    """Say what the note is: accepted when, numbered, withdrawn, under silence."""
    line = f"{reference}  accepted {clock(_int(state, 'at'), now)}"
    number = state.get("number")
    if isinstance(number, dict):
        line += f"  {number['series']} {number['number']}/{number['year']}"
    if state.get("exercise"):
        line += "  EXERCISE"
    if state.get("draft"):
        line += "  a draft that waits for its release"
    if state.get("superseded_by"):
        line += "  superseded"
    yield line
    procedure = state.get("procedure")
    if isinstance(procedure, dict):
        decision = f", decision {procedure['decision']}" if procedure.get("decision") else ""
        until = clock(int(procedure["until"]), now)
        yield f"  silence procedure: {procedure['stage']}{decision}, silence until {until}"


def addressee_in_words(state: State, now: int) -> Iterator[str]:
    """Say where each addressee stands, and since when."""
    for one in cast("list[State]", state.get("addressees", [])):
        who = f" by {one['by']}" if one.get("by") else ""
        extra = ""
        if one.get("held"):
            extra += ", on hold"
        if one.get("tier"):
            extra += f", tier {one['tier']}"
        if one.get("reply_by"):
            extra += f", answer due {clock(_int(one, 'reply_by'), now)}"
        if one.get("overdue") and not one.get("replied"):
            extra += f", answer overdue since {clock(_int(one, 'overdue'), now)}"
        if one.get("replied"):
            extra += f", answered {clock(_int(one, 'replied'), now)}"
        since = clock(_int(one, "at"), now)
        yield f"{one['post']} ({one['role']}): {one['life']}{who} since {since}{extra}"


def next_in_words(state: State, now: int) -> Iterator[str]:
    """Say what is due and what happens then."""
    withheld = {
        one.get("tier")
        for one in cast("list[State]", state.get("addressees", []))
        if one.get("life") == "withheld"
    }
    coming = cast("list[State]", state.get("next", []))
    for number, one in enumerate(coming):
        then = _THEN.get(str(one["what"]), str(one["what"]))
        said = then.format(
            who=_waited_for(one, state), tier=one.get("tier", "that the charter names")
        )
        if one["what"] == "open" and one.get("tier") not in withheld:
            said = f"nobody else in the tier {one.get('tier')} can read it, and the next follows at once"
        times = f", {one['times']} times" if one.get("times") else ""
        every = f", every {span(_int(one, 'every_s'))}" if one.get("every_s") else ""
        said += times + every
        name = "next:" if number == 0 else "then:"
        yield f"{name} {clock(_int(one, 'due'), now)} {visible(said)}"
    if not coming:
        yield "nothing is due"


def _waited_for(coming: State, state: State) -> str:
    """Return who has not done yet what a coming moment is about: of a rung, those of its party."""
    lives = {"acknowledgement": ("queued", "delivered"), "answer": ("acknowledged",)}.get(
        str(coming.get("waits_for")), ("queued", "delivered", "acknowledged")
    )
    waiting = [
        str(one["post"])
        for one in cast("list[State]", state.get("addressees", []))
        if one.get("role") != "info"
        and one.get("life") in lives
        and not one.get("replied")
        and coming.get("party") in (None, party_of(str(one["post"])))
    ]
    return ", ".join(waiting) or "whoever is asked"


def _int(state: State, name: str) -> int:
    value = state.get(name, 0)
    return value if isinstance(value, int) else 0
