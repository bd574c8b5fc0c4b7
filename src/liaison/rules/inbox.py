"""Whose inbox a record is an item of. design.md 7, "Inbox"; protocols/api.md, API-14.

Pure, so that an audit can tell which items a store must hold, and which it must not. A note makes
an item only for those to whom it is visible now; what becomes visible later is an item of the
record that made it so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from liaison.ledger.facts import (
    AddresseeFacts,
    AnswerFacts,
    ConclusionFacts,
    ContestedFacts,
    DeadlineFacts,
    ExtensionFacts,
    Facts,
    GrantFacts,
    HoldEndedFacts,
    HoldFacts,
    MissedTestFacts,
    MomentFacts,
    NoteFacts,
    ObjectionFacts,
    ReleaseFacts,
    RungFacts,
    WatchFacts,
    WithdrawalFacts,
)
from liaison.statements.charters import Effect
from liaison.statements.payloads import AddresseeRole, Verdict
from liaison.words.precedence import Precedence


class ItemKind(StrEnum):
    """What an item is to its member, the most important first: of two only that one is made."""

    NOTE = "note"
    """Addressed to a post that the member held, and to be read from now on."""
    ALERT = "alert"
    """Nobody took on, or answered, a note that the member can read."""
    CERTIFICATE = "certificate"
    """A deadline of a note passed that the member wrote or should have answered."""
    DECISION = "decision"
    """A proposal was adopted."""
    PROCEDURE = "procedure"
    """A note was withdrawn, superseded, amended or objected to, or its silence extended."""
    RELEASED = "released"
    """The member's draft was released."""
    GRANTED = "granted"
    """More members can read a note that the member wrote: another reader wrapped it for them."""
    WATCH = "watch"
    """An operator closed or reopened a note."""
    ANSWER = "answer"
    """On a note that the member wrote."""
    TOLD = "told"
    """The ladder of a note tells the member, who wrote it or whose post it names."""
    REMINDER = "reminder"
    """An answer is due soon."""
    MISSED_TEST = "missed-test"
    COPY = "copy"
    """The member wrote it."""


_RANKS: Final = {kind: place for place, kind in enumerate(ItemKind)}


@dataclass(frozen=True)
class InboxRow:
    """``pos`` is the index of the entry that made the item visible; ``note_index`` the note's."""

    member: str
    pos: int
    note_index: int
    kind: str
    precedence: str


def items_of(facts: Facts, index: int) -> list[InboxRow]:
    """Return the items that entry ``index`` makes: one a member and note, the most important."""
    gather = _GATHER.get(type(facts))
    found: dict[tuple[str, int], _Item] = {}
    for item in gather(facts, index) if gather else ():
        known = found.get(item.key)
        if known is None or item.rank < known.rank:
            found[item.key] = item
    return [
        InboxRow(item.member, index, item.note_index, item.kind.value, item.precedence.value)
        for item in found.values()
    ]


def kept_at(facts: Facts, index: int) -> int:
    """Return under which entry that is kept which came with entry ``index``.

    A release's wraps are kept with the draft, whose content they open. Those of a grant are kept
    with the grant: of one key there may be several, and nobody's takes the place of another's.
    """
    return facts.index if isinstance(facts, ReleaseFacts) else index


@dataclass(frozen=True)
class _Item:
    member: str
    note_index: int
    kind: ItemKind
    precedence: Precedence

    @property
    def key(self) -> tuple[str, int]:
        return self.member, self.note_index

    @property
    def rank(self) -> tuple[int, int]:
        """The lowest wins; of one kind the most urgent, for a member may hold several posts."""
        return _RANKS[self.kind], -self.precedence.rank


def _for(
    members: Iterable[str], note_index: int, kind: ItemKind, precedence: Precedence
) -> Iterable[_Item]:
    for member in members:
        yield _Item(member, note_index, kind, precedence)


def _of_note(facts: NoteFacts, index: int) -> Iterable[_Item]:
    for addressee in facts.addressees:
        if addressee.role is AddresseeRole.COPY:
            yield from _for(addressee.readers, index, ItemKind.COPY, facts.precedence)
    if facts.deferred_until is None:
        yield from _shown(facts, facts.addressees, index)
    yield from _replaced(facts)


def _of_release(facts: ReleaseFacts, _: int) -> Iterable[_Item]:
    yield from _shown(facts, facts.addressees, facts.index)
    yield _Item(facts.sender, facts.index, ItemKind.RELEASED, facts.precedence)
    yield from _replaced(facts)


def _of_grant(facts: GrantFacts, _: int) -> Iterable[_Item]:
    is_info = facts.role is AddresseeRole.INFO
    precedence = facts.info_precedence if is_info else facts.precedence
    kind = ItemKind.COPY if facts.role is AddresseeRole.COPY else ItemKind.NOTE
    yield from _for(facts.readers, facts.index, kind, precedence)
    yield from _for(facts.told, facts.index, ItemKind.GRANTED, facts.precedence)


def _replaced(facts: NoteFacts | ReleaseFacts) -> Iterable[_Item]:
    """Who had a note is told that another one took its place."""
    for old in facts.replaced or ():
        yield from _for(old.told, old.index, ItemKind.PROCEDURE, old.precedence)


def _shown(
    facts: NoteFacts | ReleaseFacts, addressees: Iterable[AddresseeFacts], note_index: int
) -> Iterable[_Item]:
    """Give an item to the readers of each addressee that neither waits nor stands by."""
    for addressee in addressees:
        if addressee.held or addressee.role in (AddresseeRole.COPY, AddresseeRole.STANDBY):
            continue
        is_info = addressee.role is AddresseeRole.INFO
        precedence = facts.info_precedence if is_info else facts.precedence
        yield from _for(addressee.readers, note_index, ItemKind.NOTE, precedence)


def _of_answer(facts: AnswerFacts, _: int) -> Iterable[_Item]:
    if facts.verdict is not Verdict.DELIVERED:
        for said in facts.notes:
            yield _Item(said.sender, said.index, ItemKind.ANSWER, said.precedence)


def _of_rung(facts: RungFacts, _: int) -> Iterable[_Item]:
    kind = ItemKind.NOTE if facts.effect is Effect.OPEN else ItemKind.ALERT
    yield from _for(_reached(facts), facts.index, kind, facts.precedence)
    yield from _for(facts.informed, facts.index, ItemKind.TOLD, facts.precedence)


def _of_deadline(facts: DeadlineFacts, _: int) -> Iterable[_Item]:
    kind = _DEADLINES[facts.what]
    yield from _for((*_reached(facts), *facts.informed), facts.index, kind, facts.precedence)


_DEADLINES: Final = {
    "begun": ItemKind.NOTE,
    "alternate": ItemKind.NOTE,
    "reminder": ItemKind.REMINDER,
    "reply-overdue": ItemKind.CERTIFICATE,
    "expired": ItemKind.CERTIFICATE,
    "non-delivered": ItemKind.CERTIFICATE,
}


def _reached(facts: MomentFacts) -> Iterable[str]:
    return [reader for reached in facts.reached for reader in reached.readers]


def _of_conclusion(facts: ConclusionFacts, _: int) -> Iterable[_Item]:
    yield from _for(facts.informed, facts.index, ItemKind.DECISION, facts.precedence)


def _of_procedure(
    facts: WithdrawalFacts | ObjectionFacts | ExtensionFacts, _: int
) -> Iterable[_Item]:
    yield from _for(facts.told, facts.index, ItemKind.PROCEDURE, facts.precedence)


def _of_watch(facts: WatchFacts, _: int) -> Iterable[_Item]:
    if facts.index is not None and facts.precedence is not None:
        yield from _for(facts.told, facts.index, ItemKind.WATCH, facts.precedence)


def _of_hold(facts: HoldFacts | HoldEndedFacts, _: int) -> Iterable[_Item]:
    for shown in facts.shown:
        yield from _for(shown.readers, shown.index, ItemKind.NOTE, shown.precedence)


def _of_contested(facts: ContestedFacts, _: int) -> Iterable[_Item]:
    for one in facts.armed:
        posts = (*one.reached, *(one.owing or ()))
        readers = [reader for reached in posts for reader in reached.readers]
        yield from _for(readers, one.index, ItemKind.ALERT, one.precedence)
        yield _Item(one.sender, one.index, ItemKind.TOLD, one.precedence)


def _of_missed_test(facts: MissedTestFacts, index: int) -> Iterable[_Item]:
    yield from _for(facts.informed, index, ItemKind.MISSED_TEST, Precedence.IMMEDIATE)


_GATHER: Final[dict[type[Facts], Callable[[Any, int], Iterable[_Item]]]] = {
    AnswerFacts: _of_answer,
    ConclusionFacts: _of_conclusion,
    ContestedFacts: _of_contested,
    DeadlineFacts: _of_deadline,
    ExtensionFacts: _of_procedure,
    GrantFacts: _of_grant,
    HoldEndedFacts: _of_hold,
    HoldFacts: _of_hold,
    MissedTestFacts: _of_missed_test,
    NoteFacts: _of_note,
    ObjectionFacts: _of_procedure,
    ReleaseFacts: _of_release,
    RungFacts: _of_rung,
    WatchFacts: _of_watch,
    WithdrawalFacts: _of_procedure,
}
