"""Intake: what comes in is read, admitted by precedence, its signature and content checked.

protocols/api.md, API-4 to API-8. What passes goes to the sequencer by its precedence; what does
not gets a typed problem, and where it could be read the node's signed refusal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from liaison.node.admission import Admission
from liaison.node.cellar import Cellar
from liaison.node.reading import CONTENT_MAX_BYTES, Reading
from liaison.node.sequencer import Accepted, Sequencer, Submitted
from liaison.node.storage import Storage
from liaison.rules.cells import KeyClaim, Taken
from liaison.rules.decide import RULINGS, Duplicate, signer_of
from liaison.rules.refusal import Refused
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import Note, Payload, Refusal, Wrap
from liaison.statements.procedures import Grant, Release
from liaison.statements.statement import Statement, make_statement, parse_statement
from liaison.words.encoding import to_base64
from liaison.words.errors import Malformed, RefusedByNode, SignatureInvalid, TooLarge
from liaison.words.times import DAY

WRAP_BYTES: Final = 1120 + 48
"""An MLKEM768-X25519 encapsulation, then the note secret under AES-256-GCM (SEAL)."""
SUBMISSION_EXTRA_BYTES: Final = 2 * 1024 * 1024


@dataclass(frozen=True)
class Receipted:
    """``text`` is the receipt; a duplicate gets the first one's."""

    text: str
    is_duplicate: bool


@dataclass(frozen=True)
class Intake:
    cellar: Cellar
    admission: Admission
    sequencer: Sequencer
    reading: Reading
    node_key: SigningKey
    origin: str
    storage: Storage | None = None

    async def submit(
        self, raw: bytes, ciphertext: bytes | None = None, wraps: bytes | None = None
    ) -> Receipted:
        """Return the receipt of the statement ``raw``; a note comes with its content.

        A release and a grant come with wraps.

        Raises:
            Malformed, TooLarge: it has no reading; nothing can be said of it.
            RefusedByNode: it was refused as a whole, with the node's signed word on it.
            Busy: not now (Overloaded: others go first; DiskReserve: no room); nothing happened.
        """
        statement = parse_statement(raw)
        if statement.kind not in RULINGS:
            raise Malformed(f"a {statement.kind} statement does not enter a log")
        claim = await self.cellar.get(KeyClaim, statement.payload.key)
        public = signer_of(statement, claim)
        if isinstance(public, Refused):
            raise self._refusal(statement, public, 403)
        is_checked = self.admission.is_crowded(statement)
        if is_checked:
            self._check_signature(statement, public)
        # A key that is another's pays for nobody: else a member could use up what others have.
        is_known = claim is not None and claim.holder == statement.payload.by
        async with self.admission.admitted(statement, is_known=is_known) as admitted:
            if not is_checked:
                try:
                    self._check_signature(statement, public)
                except RefusedByNode:
                    admitted.forged()
                    raise
            # Only now: a stranger must not have the node hash 64 MiB at a time.
            content = _content(statement, ciphertext, wraps)
            await self._check_room(statement, len(ciphertext or b"") + len(wraps or b""))
            submitted = Submitted(
                statement, admitted.band, ciphertext, content, owner=admitted.owner
            )
            outcome = await self.sequencer.submit(submitted, taken=admitted.decided)
        if isinstance(outcome, Accepted):
            return Receipted(outcome.receipt, is_duplicate=False)
        if isinstance(outcome, Duplicate):
            return Receipted(await self.reading.receipt_at(outcome.index), is_duplicate=True)
        raise self._refusal(statement, outcome, 409)

    async def _check_room(self, statement: Statement[Any], size: int) -> None:
        if self.storage is None or not self.storage.refuses(statement, size):
            return
        # Who asks again for the receipt of what is in the log gets it.
        scope = RULINGS[statement.kind].scope(statement)
        if await self.cellar.get(Taken, scope, statement.payload_digest) is None:
            raise self.storage.refusal()

    def _check_signature(self, statement: Statement[Payload], public: bytes) -> None:
        try:
            statement.check_signature(public)
        except SignatureInvalid as exc:
            refused = Refused(SignatureInvalid.code, exc.happened)
            raise self._refusal(statement, refused, 403) from exc

    def _refusal(
        self, statement: Statement[Payload], refused: Refused, status: int
    ) -> RefusedByNode:
        now = self.sequencer.clock.clock.now()
        signed = make_statement(
            Refusal(
                by=self.origin,
                key=self.node_key.id,
                issued=now,
                lapse=now + DAY,
                log=self.origin,
                payload_digest=statement.payload_digest,
                code=refused.code,
                text=refused.text[:200],
            ),
            self.node_key,
        )
        return RefusedByNode(
            refused.text,
            problem=refused.code,
            status=status,
            refusal=signed.raw,
            safe="nothing of it is in the log",
            do=refused.do,
        )


def _content(
    statement: Statement[Any], ciphertext: bytes | None, wraps: bytes | None
) -> tuple[tuple[str, bytes], ...]:
    """Return the wraps by key statement, after comparing all content with the statement (API-8)."""
    payload = statement.payload
    has_ciphertext, has_wraps = (
        isinstance(payload, Note),
        isinstance(payload, Note | Release | Grant),
    )
    if (ciphertext is not None, wraps is not None) != (has_ciphertext, has_wraps):
        what = (
            "the parts ciphertext and wraps" if has_ciphertext else "the part wraps, and no other"
        )
        raise Malformed(
            f"a {statement.kind} comes with {what}"
            if has_wraps
            else f"a {statement.kind} statement comes without ciphertext and wraps"
        )
    if ciphertext is not None:
        _check_ciphertext(payload, ciphertext)
    return () if wraps is None else _cut(payload.wraps(), wraps)


def _check_ciphertext(note: Note, ciphertext: bytes) -> None:
    if len(ciphertext) > CONTENT_MAX_BYTES:
        raise TooLarge(f"ciphertext of {len(ciphertext)} bytes; the limit is {CONTENT_MAX_BYTES}")
    if len(ciphertext) != note.content.size or _digest(ciphertext) != note.content.digest:
        raise Malformed("ciphertext: not the bytes that content names")


def _cut(named: Sequence[Wrap], wraps: bytes) -> tuple[tuple[str, bytes], ...]:
    """Return each wrap that a statement names, from where it travels (NOTE-2)."""
    if len(wraps) != WRAP_BYTES * len(named):
        raise Malformed(f"wraps: {len(wraps)} bytes, not {WRAP_BYTES} for each of {len(named)}")
    cut = [wraps[i * WRAP_BYTES : (i + 1) * WRAP_BYTES] for i in range(len(named))]
    for place, (wrap, data) in enumerate(zip(named, cut, strict=True)):
        if _digest(data) != wrap.wrap:
            raise Malformed(f"wraps: number {place} is not the one that the statement names")
    return tuple((wrap.key, data) for wrap, data in zip(named, cut, strict=True))


def _digest(data: bytes) -> str:
    return to_base64(hashlib.sha256(data).digest())
