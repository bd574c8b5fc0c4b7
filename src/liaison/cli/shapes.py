"""What ``--json`` answers with, by what is shown. The names are those of the HTTP interface.

docs/scripts.md shows each. Times are integers: microseconds since 1970 UTC; references are those that
people type. A member that isn't said is None here and absent in the answer.
"""

from __future__ import annotations

from pathlib import Path

from liaison.cli.context import Shape
from liaison.cli.failure import problem_of
from liaison.client import ChannelView, Done, Item, Letter, News, Part, Sent, Told
from liaison.client.doubts import Doubt, Doubted
from liaison.client.watching import Happening
from liaison.ledger.facts import DueFacts
from liaison.statements.payloads import AddresseeRole
from liaison.words.encoding import to_base64


def of_sent(sent: Sent) -> Shape:
    is_draft = sent.reference.rpartition("/")[2].startswith("draft-")
    return {
        "done": "draft" if is_draft else "note",
        "reference": sent.reference,
        "at": sent.at,
        "note": sent.digest,
        "number": sent.number or None,
        "receipt": sent.receipt,
    }


def of_done(done: Done) -> Shape:
    return {
        "done": done.what,
        "reference": done.reference,
        "at": done.at,
        "number": done.number or None,
        "late": done.is_late or None,
        "receipt": done.receipt,
    }


def of_told(told: Told) -> Shape:
    first = told.first
    return {
        "kind": "answer",
        "reference": told.reference,
        "verdict": told.verdict.value,
        "by": told.by,
        "post": told.post,
        "at": told.at,
        "reason": told.reason or None,
        "first": None if first is None else {"by": first.by, "post": first.post, "at": first.at},
        "receipt": told.receipt,
        "doubtful": of_doubt(told.doubt),
    }


def of_news(news: News) -> Shape:
    return {
        "kind": news.kind,
        "reference": news.reference,
        "at": news.at,
        "text": news.text,
        "urgent": news.is_urgent or None,
        "receipt": news.receipt,
        "doubtful": of_doubt(news.doubt),
    }


def of_item(item: Item) -> Shape:
    """Return an item of the inbox; ``kind`` says which it is."""
    if isinstance(item, Letter):
        return of_letter(item)
    if isinstance(item, Told):
        return of_told(item)
    if isinstance(item, News):
        return of_news(item)
    return {"kind": "unopened", "reference": item.reference, "problem": problem_of(item.error)}


def of_letter(letter: Letter) -> Shape:
    """Return who wrote a note to whom, when and how; not its text."""
    note = letter.note
    addressed = [*note.addressees, *(note.drafted or ())]
    return {
        "kind": "note",
        "reference": letter.reference,
        "note": letter.digest,
        "at": letter.at,
        "note_kind": note.kind,
        "precedence": note.precedence.action.value,
        "from": note.by,
        "post": letter.sender_post,
        "addressees": [
            {"post": each.post, "role": each.role.value, "reply_by": each.reply_by}
            for each in addressed
            if each.role is not AddresseeRole.COPY
        ],
        "dtg": note.dtg,
        "label": {
            "classification": note.label.classification,
            "releasable_to": note.label.releasable_to,
        },
        "justification": note.justification,
        "exercise": note.exercise or None,
        "reply_by": note.reply_by,
        "expiry": note.expiry,
        "latest_delivery": note.latest_delivery,
        "silence_until": note.silence_until,
        "subject": letter.content.subject,
        "doubtful": of_doubt(letter.doubt),
    }


def of_doubt(doubt: Doubt | None) -> Shape | None:
    """Return whose key was in other hands when it signed, and since when."""
    return None if doubt is None else {"by": doubt.by, "since": doubt.since}


def of_doubted(doubted: Doubted) -> Shape:
    return {
        "what": doubted.what,
        "at": doubted.at,
        "by": doubted.doubt.by,
        "since": doubted.doubt.since,
    }


def of_part(part: Part) -> Shape:
    """Return a part of a note: its text, or its bytes in base64."""
    is_text = part.type.startswith("text/")
    return {
        "type": part.type,
        "role": part.role.value,
        "name": part.name,
        "lang": part.lang,
        "text": part.data.decode("utf-8", "replace") if is_text else None,
        "data": None if is_text else to_base64(part.data),
    }


def outcome_of(happening: Happening) -> str:
    return happening.record.urgency.outcome or happening.record.kind


def of_certificate(happening: Happening, receipt: Path) -> Shape:
    facts = happening.record.facts
    return {
        "outcome": outcome_of(happening),
        "due": facts.due if isinstance(facts, DueFacts) else None,
        "at": happening.at,
        "index": happening.index,
        "receipt": receipt,
    }


def of_channel(view: ChannelView) -> Shape:
    """Return how a channel stands, without its charter."""
    cell = view.cell
    return {
        "alias": cell.alias,
        "channel": cell.channel,
        "type": cell.type,
        "parties": cell.parties,
        "is_open": cell.is_open,
        "opened_at": cell.opened_at or None,
        "exercise": cell.exercise,
        "acceded": [{"party": each.party, "at": each.at} for each in cell.acceded],
        "standings": [
            {"party": each.party, "state": each.state.value, "at": each.at}
            for each in cell.standings or ()
        ],
        "minimized": [
            {
                "party": each.party,
                "below": each.below.value,
                "until": each.until,
                "by": each.by,
                "at": each.at,
                "text": each.text,
            }
            for each in cell.minimized or ()
        ],
    }


def of_rosters(view: ChannelView) -> list[Shape]:
    return [
        {
            "party": party,
            "tiers": [{"name": tier.name, "posts": tier.posts} for tier in edition.tiers],
            "alternates": [
                {"post": each.post, "alternate": each.alternate}
                for each in edition.alternates or ()
            ],
        }
        for party, edition in view.rosters.items()
    ]


def of_proposed(view: ChannelView) -> list[Shape]:
    return [
        {
            "charter": each.charter,
            "by": each.payload.by,
            "waits_for": [party for party in each.payload.parties if each.lacks(party)],
        }
        for each in view.proposed
    ]
