"""What happens to notes once they are written: release, grant, withdrawal, objection, watch, hold.

protocols/statements.md, RELEASE, GRANT, WITHDRAW, SILENCE, WATCH, HOLD. Each is a device's statement in
one channel; who may make it is decided in ``rules``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Self

from pydantic import Field, model_validator

from liaison.statements.fields import (
    Address,
    Ascending,
    Digest,
    Frozen,
    Micros,
    Text,
)
from liaison.statements.payloads import MAX_WRAPS, Logged, Reliance, Seen, Wrap
from liaison.words.precedence import Precedence


class InChannel(Logged):
    """A member's statement in a channel."""

    by: Address
    channel: Digest


class Released(Frozen):
    """A drafted addressee with the wraps that the releaser's client made."""

    post: Address
    wraps: Annotated[tuple[Wrap, ...], Field(min_length=1, max_length=256), Ascending]

    @property
    def sort_key(self) -> str:
        return self.post


class Release(InChannel):
    """A releaser lets a draft go: from now on its foreign addressees can read it."""

    kind_name: ClassVar[str] = "release"

    note: Digest
    parties: Annotated[tuple[Reliance, ...], Field(min_length=1, max_length=64), Ascending]
    checkpoint: Seen
    addressees: Annotated[tuple[Released, ...], Field(min_length=1, max_length=256), Ascending]

    @model_validator(mode="after")
    def _one_wrap_a_key(self) -> Self:
        wraps = {wrap.key: wrap for wrap in self.wraps()}
        if len(wraps) > MAX_WRAPS:
            raise ValueError(f"addressees: more than {MAX_WRAPS} wraps")
        if any(wraps[wrap.key] != wrap for a in self.addressees for wrap in a.wraps):
            raise ValueError("addressees: a key stands beside two wraps")
        return self

    def wraps(self) -> tuple[Wrap, ...]:
        """Return each key's wrap once, in the order in which they travel (NOTE-2)."""
        first: dict[str, Wrap] = {}
        for addressee in self.addressees:
            for wrap in addressee.wraps:
                first.setdefault(wrap.key, wrap)
        return tuple(first.values())


class GrantReason(StrEnum):
    """Why more keys may open a note; the granter's word, which no rule reads."""

    NEW_DEVICE = "new-device"
    UNREADABLE = "unreadable"
    HANDOVER = "handover"
    HISTORY = "history"


class Grant(InChannel):
    """Who can open a note wraps its secret for more keys at a post that has the note anyway."""

    kind_name: ClassVar[str] = "grant"

    note: Digest
    post: Address
    reason: GrantReason
    parties: Annotated[tuple[Reliance, ...], Field(min_length=1, max_length=2), Ascending]
    given: Annotated[tuple[Wrap, ...], Field(min_length=1, max_length=256), Ascending]

    def wraps(self) -> tuple[Wrap, ...]:
        """Return the wraps in the order in which they travel (NOTE-2)."""
        return self.given


class Withdrawal(InChannel):
    """The sender takes back what is not settled yet: a draft, a deferred note, a note, a proposal."""

    kind_name: ClassVar[str] = "withdrawal"

    note: Digest
    reason: Text | None = None


class Objection(InChannel):
    """A party breaks the silence of a proposal."""

    kind_name: ClassVar[str] = "objection"

    note: Digest
    reason: Text | None = None


class Extension(InChannel):
    """The chair lets the silence of a proposal last longer."""

    kind_name: ClassVar[str] = "extension"

    note: Digest
    silence_until: Micros


class WatchAction(StrEnum):
    """What an operator does with an item of the queue."""

    CLAIM = "claim"
    PUT_BACK = "put-back"
    ANNOTATE = "annotate"
    ESCALATE = "escalate"
    SNOOZE = "snooze"
    CLOSE = "close"
    REOPEN = "reopen"
    MINIMIZE = "minimize"


_SAYING: Final = frozenset({WatchAction.ANNOTATE, WatchAction.CLOSE, WatchAction.REOPEN})


class Watch(InChannel):
    """An operator acts on an item of the queue: a note, or where none is named the line itself.

    Or has the channel minimized for the own party: ``below``, ``until`` and ``text`` together begin
    that, none of them ends it.
    """

    kind_name: ClassVar[str] = "watch"

    action: WatchAction
    note: Digest | None = None
    post: Address | None = None
    text: Text | None = None
    until: Micros | None = None
    below: Precedence | None = None

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.action is WatchAction.MINIMIZE:
            return self._minimizes()
        if self.below is not None:
            raise ValueError("below: said where the action is 'minimize', and only there")
        if (self.action is WatchAction.SNOOZE) != (self.until is not None):
            raise ValueError("until: said where the action is 'snooze', and only there")
        if (self.action is WatchAction.REOPEN) != (self.post is not None):
            raise ValueError("post: said where the action is 'reopen', and only there")
        if (self.action in _SAYING) != (self.text is not None):
            raise ValueError("text: said where the action is annotate, close or reopen, only there")
        if self.note is None and self.action in (
            WatchAction.ESCALATE,
            WatchAction.SNOOZE,
            WatchAction.REOPEN,
        ):
            raise ValueError(f"note: '{self.action}' is about a note")
        return self

    def _minimizes(self) -> Self:
        if self.note is not None or self.post is not None:
            raise ValueError("note: 'minimize' is about a channel as a whole")
        said = {self.below is None, self.until is None, self.text is None}
        if len(said) != 1:
            raise ValueError("below: stands beside until and text, or none of them does")
        return self


class Hold(InChannel):
    """A holder lets notes below a precedence wait for the post until a time; without both it ends."""

    kind_name: ClassVar[str] = "hold"

    post: Address
    below: Precedence | None = None
    until: Micros | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.below is None) != (self.until is None):
            raise ValueError("until: stands beside below, or neither does")
        return self
