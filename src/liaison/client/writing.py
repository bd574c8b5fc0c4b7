"""Writing: what a person wants to send becomes a sealed note's statement. design.md 3 (note) and 4.

For whom it is sealed, ``planning`` finds out before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from liaison.client.links import ChannelView
from liaison.client.making import made
from liaison.client.outbox import Signed
from liaison.client.reading import sha256
from liaison.client.wrapping import Wrapped
from liaison.rules.refusal import Refused
from liaison.sealing.content import Content
from liaison.sealing.seal import Recipient, SealContext, Sealed, seal
from liaison.statements.charters import NoteKind
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import (
    Addressee,
    AddresseeRole,
    DraftedAddressee,
    Note,
    NotePrecedence,
    Reliance,
    Seen,
    Wrap,
)
from liaison.statements.payloads import Content as ContentTerms
from liaison.statements.statement import make_statement
from liaison.words.encoding import to_base64
from liaison.words.errors import NotReady
from liaison.words.ids import party_of
from liaison.words.precedence import Precedence
from liaison.words.times import SECOND, to_dtg


@dataclass(frozen=True)
class Draft:
    """What a person wants to send. What is None follows from the charter.

    ``justification`` is visible to the node; subject and text never are.
    """

    channel: str
    to: tuple[str, ...]
    content: Content = field(repr=False)
    info: tuple[str, ...] = ()
    kind: str | None = None
    precedence: Precedence | None = None
    justification: str | None = None
    classification: str | None = None
    in_reply_to: str | None = None
    standby: tuple[str, ...] | None = None
    """Who gets the note if an escalation opens their tier; None: as the charter's ladder has it."""
    clear: tuple[str, ...] = ()
    """Posts of the own party that must clear a draft, for kinds that need a release."""
    no_redirect: bool = False
    reply_by: int | None = None
    replies_by: Mapping[str, int] = field(default_factory=dict)
    """Posts among ``to`` whose answer is due at a time of their own, instead of ``reply_by``."""
    expiry: int | None = None
    latest_delivery: int | None = None
    deferred_until: int | None = None
    silence_until: int | None = None
    supersedes: str | None = None
    corrects: str | None = None
    amends: str | None = None

    @property
    def posts(self) -> tuple[str, ...]:
        return (*self.to, *self.info, *(self.standby or ()), *self.clear)


@dataclass(frozen=True)
class Plan:
    """For whom a note is sealed, and what that relies on."""

    channel: ChannelView
    kind: NoteKind
    recipients: tuple[Recipient, ...]
    addressees: tuple[Wrapped, ...]
    drafted: tuple[Wrapped, ...]
    reliances: tuple[tuple[str, str, str | None], ...]
    """Party, its directory, and its roster where it is addressed."""
    unreached: tuple[str, ...]
    """Standby posts of the ladder that nobody can be reached at now."""
    made_at: int
    turned_away: Refused | None = None
    """Why the node would refuse it as things stand: a party minimized the channel."""

    @property
    def addressed(self) -> tuple[str, ...]:
        return tuple(party for party, _, roster in self.reliances if roster is not None)

    @property
    def parties(self) -> frozenset[str]:
        """The parties that the note is released to."""
        drafted = {party_of(addressee.post) for addressee in self.drafted}
        return frozenset({party for party, _, _ in self.reliances} | drafted)


@dataclass(frozen=True)
class Spent:
    """What a seal spends: its note id, and a serial towards each addressed party."""

    note_id: str
    serials: dict[str, int]


def seal_note(
    draft: Draft, plan: Plan, spent: Spent, *, by: str, key: SigningKey, seen: Seen, now: int
) -> Signed:
    """Return ``draft`` sealed and signed at ``now``, a fresh secret each time.

    Raises:
        NotReady: the charter has no such kind, or asks for a justification that isn't given.
        Malformed: a member outside its limits.
    """
    channel, kind = plan.channel.cell, plan.kind
    if kind.justification == "required" and not draft.justification:
        raise NotReady(
            f"A note of kind {kind.kind} says why: the charter asks for a justification",
            safe="nothing was sealed or sent",
            do="add --justification; it is visible to the node and in the log",
        )
    context = SealContext(spent.note_id, channel.charter, key.id, kind.kind)
    sealed = seal(draft.content, context, plan.recipients, wrapper=key.id)
    precedence = precedence_of(kind, draft)
    note = made(
        Note,
        by=by,
        key=key.id,
        issued=now,
        lapse=now + channel.terms.lapse_max_s * SECOND,
        log=plan.channel.charter.log.origin,
        id=spent.note_id,
        channel=channel.channel,
        charter=channel.charter,
        parties=tuple(
            Reliance(
                party=party, directory=directory, roster=roster, serial=spent.serials.get(party)
            )
            for party, directory, roster in plan.reliances
        ),
        checkpoint=seen,
        kind=kind.kind,
        precedence=precedence,
        justification=draft.justification,
        addressees=_addressees(draft, plan, sealed),
        drafted=_drafted(draft, plan) or None,
        content=ContentTerms(digest=sha256(sealed.ciphertext), size=len(sealed.ciphertext)),
        commitment=to_base64(sealed.commitment),
        dtg=to_dtg(now),
        label={
            "classification": draft.classification or channel.terms.classifications[0],
            "releasable_to": tuple(sorted(plan.parties)),
        },
        exercise=bool(channel.exercise),
        in_reply_to=draft.in_reply_to,
        supersedes=draft.supersedes,
        corrects=draft.corrects,
        amends=draft.amends,
        reply_by=draft.reply_by,
        expiry=draft.expiry,
        latest_delivery=draft.latest_delivery,
        deferred_until=draft.deferred_until,
        silence_until=draft.silence_until,
    )
    statement = make_statement(note, key)
    return Signed(
        kind="note",
        digest=statement.digest,
        channel=channel.channel,
        alias=channel.alias,
        note_id=spent.note_id,
        serials=spent.serials,
        statement=statement.raw,
        ciphertext=sealed.ciphertext,
        wraps=b"".join(sealed.wraps[wrap.key] for wrap in note.wraps()),
        parsed=statement,
        about=f"{precedence.action.value.upper()} to {', '.join((*draft.to, *draft.info))}",
    )


def _addressees(draft: Draft, plan: Plan, sealed: Sealed) -> tuple[Addressee, ...]:
    return tuple(
        Addressee(
            post=a.post,
            role=a.role,
            wraps=tuple(Wrap(key=k, wrap=sha256(sealed.wraps[k])) for k in a.keys),
            alternate_for=a.alternate_for,
            no_redirect=_no_redirect(draft, a),
            reply_by=None if plan.drafted else _reply_by(draft, a),
        )
        for a in plan.addressees
    )


def _drafted(draft: Draft, plan: Plan) -> tuple[DraftedAddressee, ...]:
    """Return whom a draft asks once it is released."""
    return tuple(
        DraftedAddressee.model_validate(
            {
                "post": a.post,
                "role": a.role,
                "alternate_for": a.alternate_for,
                "no_redirect": _no_redirect(draft, a),
                "reply_by": _reply_by(draft, a),
            }
        )
        for a in plan.drafted
    )


def _no_redirect(draft: Draft, addressee: Wrapped) -> Literal[True] | None:
    return True if draft.no_redirect and addressee.role is AddresseeRole.ACTION else None


def _reply_by(draft: Draft, addressee: Wrapped) -> int | None:
    is_asked = addressee.role is AddresseeRole.ACTION
    return draft.replies_by.get(addressee.post) if is_asked else None


def precedence_of(kind: NoteKind, draft: Draft) -> NotePrecedence:
    action = draft.precedence or kind.default
    info = min(action, kind.info_max, key=lambda level: level.rank)
    return NotePrecedence(action=action, info=info)
