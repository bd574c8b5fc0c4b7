"""Items: what a node shows in an inbox, each at its place and as what its record makes it.

The node labels nothing, and leads nobody round in circles. What is wrong with one record is told of
it, and the items behind it are looked at; what is wrong with the log ends everything.
"""

from __future__ import annotations

from liaison.client.answers import place_of, text_of
from liaison.client.watching import Entry, Happening, Watch
from liaison.ledger.receipt import Receipt
from liaison.rules.inbox import items_of
from liaison.words.errors import LogUntrusted, RecordUntrusted


def entry_at(
    watch: Watch, item: dict[str, object], member: str, before: str
) -> Entry | Happening | RecordUntrusted:
    """Return the entry that an item of ``member`` shows, or what is wrong with its record.

    Its position is behind ``before``, if there is one, and that of the entry. Else a node could lead
    this home round in circles, or past notes that it never showed.

    Raises:
        Malformed: it has no reading.
        LogUntrusted: it stands elsewhere, or its record makes no such item for this member; or the
            log contradicts itself.
    """
    position, receipt = text_of(item, "position"), text_of(item, "receipt")
    entry: Entry | Happening | RecordUntrusted
    try:
        entry = watch.verify_any(receipt)
    except RecordUntrusted as exc:
        entry = exc
    # Its place in the log was proven before its record was looked at.
    index = Receipt.from_text(receipt).index if isinstance(entry, LogUntrusted) else entry.index
    place = place_of(position)
    if place[0] != index or place[1] > index or (before and place <= place_of(before)):
        raise LogUntrusted(
            f"The node shows entry {index} at the position {position}",
            safe="nothing of it is shown; the inbox stays where it was",
            do="tell the node's operator",
        )
    if not isinstance(entry, LogUntrusted):
        _check_label(item, entry, member, place[1])
    return entry


def _check_label(item: dict[str, object], entry: Entry | Happening, member: str, note: int) -> None:
    """Return if the record makes such an item for a member."""
    said = (member, note, text_of(item, "kind"), text_of(item, "precedence"))
    if said not in {
        (row.member, row.note_index, row.kind, row.precedence)
        for row in items_of(entry.record.facts, entry.index)
    }:
        raise LogUntrusted(
            f"The node shows entry {entry.index} as what it isn't: {said[2][:40]}",
            safe="nothing of it is shown; the inbox stays where it was",
            do="keep this home as it is and tell the auditors",
        )
