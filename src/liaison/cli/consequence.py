"""Consequences in words: what a charter's ladders and deadlines mean for one note, or for any.

With the time from which it runs the words name moments, without it they name spans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from liaison.client import ChannelView, Draft, Plan
from liaison.sealing.content import visible
from liaison.statements.charters import Effect, NoteKind, Rung
from liaison.statements.payloads import AddresseeRole
from liaison.words.ids import party_of
from liaison.words.precedence import Precedence
from liaison.words.times import MINUTE, SECOND, to_dtg

Moment = Callable[[int], str]
"""Says a number of seconds after the start in words."""


def span(seconds: int) -> str:
    """Return a span in words: the largest unit that it is a whole number of."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds % size == 0 and seconds >= size:
            count = seconds // size
            return f"{count} {unit if count != 1 else unit.removesuffix('s')}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


def clock(at: int, now: int) -> str:
    """Return a moment for a screen: a DTG; to the second where it is less than ten minutes off."""
    return to_dtg(at, exact=abs(at - now) < 10 * MINUTE)


def typed(at: int) -> str:
    """Return a moment that somebody typed: with seconds, where it is no whole minute."""
    return to_dtg(at, exact=at % MINUTE >= SECOND)


def roughly(seconds: int) -> str:
    """Return a span in words, cut to its largest unit: how long ago, how long yet."""
    unit = next((size for size in (86400, 3600, 60) if seconds >= 2 * size), 1)
    return span(seconds - seconds % unit)


def after(start: int | None) -> Moment:
    """Return how moments are said that count from ``start``; None: as spans."""
    if start is None:
        return lambda seconds: f"after {span(seconds)}"
    return lambda seconds: f"at {clock(start + seconds * SECOND, start)}"


def ladder_in_words(
    rungs: Sequence[Rung],
    moment: Moment,
    *,
    asked: str,
    tiers: Callable[[str], str],
    missing: str = "nobody acknowledges",
    is_reached: Callable[[str], bool] = lambda _: True,
) -> Iterator[str]:
    """Say what each rung does and when. ``asked`` is who should act, ``tiers`` who is in a tier.

    ``is_reached``: whether anybody in a tier can be; where not, the next rung is due at once (LADDER-7).
    """
    waited, is_empty = 0, False
    for number, rung in enumerate(rungs):
        waited += 0 if is_empty else rung.after_s
        is_empty = rung.effect is Effect.OPEN and not is_reached(rung.tier or "")
        when = moment(waited)
        what = _effect(rung, asked, tiers)
        if number == 0:
            by = when.replace("at ", "by ", 1).replace("after ", "within ", 1)
            when = f"if {missing} {by},"
        if is_empty:
            what = f"nobody else in the tier {rung.tier} can read it, and the next follows at once"
        yield f"{when} {what}"
        waited += 0 if is_empty else ((rung.times or 1) - 1) * (rung.every_s or 0)


def _effect(rung: Rung, asked: str, tiers: Callable[[str], str]) -> str:
    if rung.effect is Effect.ALERT:
        again = f", {rung.times} times, every {span(rung.every_s or 0)}" if rung.times else ""
        return f"{asked} is alerted again{again}"
    if rung.effect is Effect.RAISE:
        return "it is raised on the operators' queue"
    if rung.effect is Effect.OPEN:
        return f"{tiers(rung.tier or '')} can read it"
    if rung.effect is Effect.TELL:
        others = f" and {tiers(rung.tier)}" if rung.tier else ""
        return f"the sender{others} are told" if others else "the sender is told"
    return (
        "all are told that nobody answered, again every "
        f"{span(rung.every_s or 0)} until a person closes it"
    )


def of_note(
    draft: Draft, plan: Plan, now: int | None, *, is_release: bool = False
) -> Iterator[str]:
    """Say what happens after ``draft`` is sent, or released, as ``plan`` has it.

    ``now`` is None where nobody can know when the log will have it: spans are said, no moments.
    """
    kind = plan.kind
    if plan.turned_away is not None:
        yield f"the node REFUSES it now: {visible(plan.turned_away.text)}"
        yield f"what helps: {plan.turned_away.do}"
        return
    if is_release:
        yield "these posts can read it from now on"
        start: int | None = now
    elif kind.release is not None:
        yield f"it is a draft: nobody else can read it until a {kind.release} lets it go"
        start = None
    else:
        start = draft.deferred_until or now
    if draft.deferred_until is not None:
        yield f"nobody can read it before {typed(draft.deferred_until)}; until then: cancel"
    if draft.silence_until is not None:
        yield f"it is adopted at {typed(draft.silence_until)} unless a party objects or amends it before"
    yield from _ladder_of(draft, plan, kind, start)
    if kind.answer_within_s is not None:
        yield f"an answer is due {span(kind.answer_within_s)} after it is taken on"
    for name, time in (
        ("an answer is due by", draft.reply_by),
        ("who hasn't opened it gets it no more after", draft.latest_delivery),
        ("it is stale from", draft.expiry),
    ):
        if time is not None:
            yield f"{name} {typed(time)}"
    for post, time in draft.replies_by.items():
        yield f"of {post} an answer is due by {typed(time)}"
    if plan.channel.cell.terms.cabinet is not None:
        yield "no device keeps its text, yours neither: so the charter has it"
    for post in plan.unreached:
        yield f"{post} would be next, and can't be reached now: that rung goes on at once"


def _ladder_of(draft: Draft, plan: Plan, kind: NoteKind, start: int | None) -> Iterator[str]:
    climbed = plan.channel.cell.ladder(kind, draft.precedence or kind.default)
    addressed = [*plan.addressees, *plan.drafted]
    asked = [a.post for a in addressed if a.role is AddresseeRole.ACTION]
    if climbed is None or not asked:
        return
    standby = [a.post for a in addressed if a.role is AddresseeRole.STANDBY]

    def posts(name: str) -> list[str]:
        return [post for post in standby if post in _tier(plan.channel, party_of(post), name)]

    yield from ladder_in_words(
        climbed.rungs,
        after(start),
        asked=", ".join(asked),
        tiers=lambda name: ", ".join(posts(name)) or f"the tier {name}",
        is_reached=lambda name: bool(posts(name)),
    )


def of_charter(view: ChannelView, kind: NoteKind) -> Iterator[str]:
    """Say, for ``channel show``, what a charter's ladders mean for a kind."""
    for use in kind.ladders or ():
        ladder = next(each for each in view.cell.ladders or () if each.name == use.ladder)

        def tier(name: str) -> str:
            posts = [p for party in view.cell.parties for p in _tier(view, party, name)]
            return ", ".join(posts) or f"the tier {name} (nobody is in it yet)"

        words = ladder_in_words(ladder.rungs, after(None), asked="whoever is asked", tiers=tier)
        yield f"{_from(use.at_least)}: {'; '.join(words)}"


def _from(precedence: Precedence) -> str:
    level = precedence.value.upper()
    return "any precedence" if precedence is Precedence.DEFERRED else f"{level} and above"


def _tier(view: ChannelView, party: str, name: str) -> tuple[str, ...]:
    edition = view.rosters.get(party)
    return next((t.posts for t in edition.tiers if t.name == name), ()) if edition else ()
