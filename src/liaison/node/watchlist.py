"""The operators' queue: what of a channel needs a human of one party. protocols/api.md, API-26.

From cells alone. A party's operators see what its own posts are asked; nobody sees content here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from liaison.node.status import addressee_of, next_rung
from liaison.rules import ladder
from liaison.rules.cells import Channel, Item, LineTest, Minimized, Note
from liaison.words.ids import party_of
from liaison.words.precedence import Precedence

Json = dict[str, Any]

MISSED: Precedence = Precedence.IMMEDIATE
"""A line that may be dead is looked at before routine traffic, and after what waits on FLASH."""


def items_for(party: str, channel: Channel, cells: Iterable[Note | LineTest]) -> list[Json]:
    """Return what needs a human of ``party``, in no order."""
    found = []
    for cell in cells:
        item = (
            _of_note(party, channel, cell)
            if isinstance(cell, Note)
            else _of_line(party, channel, cell)
        )
        if item is not None:
            found.append(item)
    return found


def by_urgency(item: Json) -> tuple[int, int, str]:
    """Order the queue: highest precedence first, then by when it is due."""
    due = item["missed"][0]["at"] if "missed" in item else item["next"]["due"]
    return -Precedence(item["precedence"]).rank, due, item["reference"]


def minimized_of(channel: Channel, said: Minimized) -> Json:
    """Return that a party asks for essential traffic only: its own operators see it, and others'."""
    return {
        "channel": channel.alias,
        "party": said.party,
        "below": said.below.value,
        "until": said.until,
        "by": said.by,
        "at": said.at,
        "text": said.text,
    }


def _of_note(party: str, channel: Channel, note: Note) -> Json | None:
    climb = note.climb_of(party)
    if climb is None:
        return None
    item = ladder.item_of(note.items, party)
    kind = "unanswered" if climb.waits_for == "answer" else "unacknowledged"
    told: Json = {
        "kind": "exhausted" if item.exhausted else kind,
        "channel": channel.alias,
        "reference": f"{channel.alias}/{note.reference}",
        "note": note.note,
        "index": note.index,
        "note_kind": note.kind,
        "precedence": note.precedence.value,
        "from": party_of(note.sender),
        "to": [addressee_of(a) for a in note.addressees if party_of(a.post) == party],
        "at": note.at,
        "next": next_rung(note, party),
    }
    if note.exercise:
        told["exercise"] = True
    return told | _touched(item)


def _of_line(party: str, channel: Channel, line: LineTest) -> Json | None:
    item = ladder.item_of(line.items, party)
    if not item.missed:
        return None
    missed = [
        {
            "slot": slot,
            "at": slot * line.every_us,
            "party": _turn(line, channel, slot),
        }
        for slot in item.missed
    ]
    told: Json = {
        "kind": "missed-test",
        "channel": channel.alias,
        "reference": channel.alias,
        "precedence": MISSED.value,
        "at": missed[0]["at"],
        "missed": missed,
    }
    if line.due is not None:
        told["next"] = {"due": line.due, "what": "missed-test"}
    if channel.exercise:
        told["exercise"] = True
    return told | _touched(item)


def _turn(line: LineTest, channel: Channel, slot: int) -> str:
    """Return whose turn an earlier slot was: the parties take turns in the charter's order."""
    parties = channel.parties
    now = parties.index(line.turn) if line.turn in parties else 0
    return parties[(now - (line.slot - slot)) % len(parties)]


def _touched(item: Item) -> Json:
    """Return what ladder and operators did with an item."""
    names = ("raised", "vacant", "claimed_by", "claimed_at", "snoozed_until", "annotation")
    return {name: value for name in names if (value := getattr(item, name)) is not None}
