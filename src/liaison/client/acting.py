"""Acting: what a member does about notes that exist. Release, withdrawal, objection, extension, hold, watch.

Each is a statement in a channel that goes through the outbox as a note does: on disk before its
first byte leaves, sent again as the same bytes, taken once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from liaison.client.answers import object_of, objects_of, text_of, texts_of
from liaison.client.doubts import Doubt
from liaison.client.evidence import keep
from liaison.client.keeping import NOT_KEPT
from liaison.client.links import ChannelView, LinkBroken
from liaison.client.making import made
from liaison.client.opening import Opener
from liaison.client.outbox import Signed
from liaison.client.outcomes import Done, Sent
from liaison.client.reading import Letter, note_of, sha256
from liaison.client.sending import SEAL_ATTEMPTS, SERIAL_USED
from liaison.client.watching import Entry, Happening, check_digest
from liaison.client.writing import Draft, Plan
from liaison.ledger.facts import AnswerFacts, NoteFacts, ReleaseFacts
from liaison.rules.kinds import load_rule
from liaison.rules.kinds.line_tests import LineTests, turn_of
from liaison.sealing.content import Content
from liaison.sealing.seal import COMMITMENT_BYTES, SealContext, rewrap
from liaison.statements.payloads import Note, Reliance, Wrap
from liaison.statements.procedures import (
    Extension,
    Hold,
    InChannel,
    Objection,
    Release,
    Released,
    Watch,
    WatchAction,
    Withdrawal,
)
from liaison.words.encoding import from_base64
from liaison.words.errors import (
    LiaisonError,
    LogUntrusted,
    Malformed,
    NotHere,
    NotReady,
    RecordUntrusted,
    RefusedByNode,
    SignatureInvalid,
    Unreadable,
)
from liaison.words.precedence import Precedence
from liaison.words.times import SECOND, to_dtg

S = TypeVar("S", bound=InChannel)

ENTRY: Final = "entry-"
SEEN: Final = "queue.json"
SEEN_KEPT: Final = 2048
"""So many notes of the operators' queue are known by their references."""


class Actor(Opener):
    """A member's verbs about notes that exist."""

    async def withdraw(self, reference: str, *, reason: str | None = None) -> Done:
        """Take back a note, a draft, a deferred note or a proposal that isn't settled yet."""
        digest, view = await self.find(reference)
        payload = self._payload(Withdrawal, view, note=digest, reason=reason)
        return await self._do(payload, view, reference)

    async def object_to(self, reference: str, *, reason: str | None = None) -> Done:
        """Break the silence of a proposal. It counts if it is in the log before silence ends."""
        digest, view = await self.find(reference)
        payload = self._payload(Objection, view, note=digest, reason=reason)
        return await self._do(payload, view, reference)

    async def extend(self, reference: str, silence_until: int) -> Done:
        """Let the silence of a proposal last longer; for the chair."""
        digest, view = await self.find(reference)
        payload = self._payload(Extension, view, note=digest, silence_until=silence_until)
        return await self._do(payload, view, reference)

    async def hold(
        self, alias: str, post: str, below: Precedence | None = None, until: int | None = None
    ) -> Done:
        """Let notes below a precedence wait for a post until a time; without both, end that."""
        await self.tend()
        view = await self.book.channel(alias)
        payload = self._payload(Hold, view, post=post, below=below, until=until)
        return await self._do(payload, view, f"{alias}/{post}")

    async def watch_act(
        self,
        reference: str,
        action: WatchAction,
        *,
        text: str | None = None,
        until: int | None = None,
        post: str | None = None,
    ) -> Done:
        """Act on an item of the operators' queue: a note, or by a channel's alias its line tests."""
        digest: str | None = None
        if "/" in reference:
            digest, view = await self.find(reference)
        else:
            await self.tend()
            view = await self.book.channel(reference)
        payload = self._payload(
            Watch, view, action=action, note=digest, text=text, until=until, post=post
        )
        return await self._do(payload, view, reference)

    async def minimize(
        self,
        alias: str,
        below: Precedence | None = None,
        until: int | None = None,
        text: str | None = None,
    ) -> Done:
        """Ask all for essential traffic only on a channel, until a time; without these, end that.

        What is below a precedence and asks or informs this party, or is written by it, is refused.
        The words are visible. For operators.
        """
        await self.tend()
        view = await self.book.channel(alias)
        said = {"below": below, "until": until, "text": text}
        payload = self._payload(Watch, view, action=WatchAction.MINIMIZE, **said)
        return await self._do(payload, view, alias)

    async def minimized(self) -> list[dict[str, object]]:
        """Return for whom this party's channels are minimized now, as the node shows operators."""
        answer = await self.transport.read("/v1/watch?limit=1")
        return objects_of(answer, "minimized")

    async def queue(self) -> list[dict[str, object]]:
        """Return the operators' queue as the node shows it, most urgent first; it proves nothing."""
        answer = await self.transport.read("/v1/watch?limit=256")
        items = objects_of(answer, "items")
        # What left the queue can still be named: to reopen it, or to see how it stands.
        seen = self.home.read_state(SEEN)
        new = {str(i["reference"]): i["note"] for i in items if isinstance(i.get("note"), str)}
        if not new.items() <= seen.items():
            self.home.write_state(SEEN, dict(list({**seen, **new}.items())[-SEEN_KEPT:]))
        return items

    async def status(self, reference: str) -> dict[str, object]:
        """Return what the node says of a note's state; the certificates prove what they say."""
        digest, _ = await self.find(reference)
        answer = await self.transport.read(f"/v1/notes/{check_digest(digest)}")
        return object_of(answer, "state")

    async def certificates(self, reference: str) -> list[tuple[Happening, Path]]:
        """Return what the log recorded of a note because time passed, each with its receipt's file."""
        digest, _ = await self.find(reference)
        answer = await self.transport.read(f"/v1/notes/{check_digest(digest)}/certificates")
        found: list[tuple[Happening, Path]] = []
        for text in texts_of(answer, "certificates"):
            happening = self.watch.verify_any(text)
            if not isinstance(happening, Happening) or happening.record.note != digest:
                raise LogUntrusted("The node shows a record that isn't a certificate of this note")
            found.append((happening, self.keep_happening(reference, happening)))
        await self._receipts.flush()
        return found

    def keep_happening(self, reference: str, happening: Happening) -> Path:
        """Keep the receipt of what was due beside those of its note."""
        outcome = happening.record.urgency.outcome or happening.record.kind
        path = self.home.path(f"receipts/{reference}.{outcome}.{happening.index}.receipt")
        self._receipts.put(path, happening.receipt)
        return path

    async def find(self, reference: str) -> tuple[str, ChannelView]:
        """Return the digest of a note by its reference, and its channel.

        From the cabinet; for those who can't read it, from the operators' queue.

        Raises:
            NotHere: neither knows it.
        """
        await self.tend()
        reference = self.known_as(reference)
        alias = reference.rpartition("/")[0]
        view = await self.book.channel(alias)
        if self.cabinet.has(reference):
            return self.cabinet.digest(reference), view
        await self._queue_or_nothing()
        digest = self.home.read_state(SEEN).get(reference)
        if isinstance(digest, str):
            await self._check_named(digest, reference, view)
            return digest, view
        raise NotHere(
            f"There is no {reference[:80]} for this member",
            safe="nothing was changed",
            do="run: liaison inbox, or for operators: liaison desk; the reference stands in front",
        )

    def known_as(self, reference: str) -> str:
        """Return the reference that a note has here, where it is named by its entry.

        So is it to whoever is told of a note that they can't read: ``london-hotline/entry-63``.
        """
        alias, _, name = reference.rpartition("/")
        if not name.startswith(ENTRY):
            return reference
        for known in self.cabinet.references():
            if known.rpartition("/")[0] == alias:
                with self.going_on(known):
                    if name == f"{ENTRY}{self.kept(known).index}":
                        return known
        return reference

    async def _check_named(self, digest: str, reference: str, view: ChannelView) -> None:
        """Return if the log gave a note that this member can't read this reference.

        Raises:
            LogUntrusted: the node's queue names another note so.
        """
        if await self._named_in_log(digest, view) != reference:
            raise LogUntrusted(
                f"The node's queue shows another note as {reference}",
                safe="nothing was signed or sent",
                do="keep this home as it is and tell the auditors",
            )

    async def _named_in_log(self, digest: str, view: ChannelView) -> str | None:
        """Return the reference that the log gave a note which this member can't read.

        None: it gave none in this channel, or the node shows another note.
        """
        answer = await self.transport.read(f"/v1/notes/{check_digest(digest)}")
        entry = self.watch.verify(text_of(answer, "receipt"))
        note, facts = note_of(entry), entry.record.facts
        number = facts.reference if isinstance(facts, NoteFacts) else None
        if note.drafted is not None:
            state = object_of(answer, "state")
            release = await self.source.statement(text_of(state, "release"))
            said = release.record.facts
            if isinstance(said, ReleaseFacts) and said.note == digest:
                number = said.reference
        is_it = (entry.statement.digest, note.channel) == (digest, view.cell.channel)
        return f"{view.cell.alias}/{number}" if is_it and number else None

    async def _queue_or_nothing(self) -> list[dict[str, object]]:
        try:
            return await self.queue()
        except NotHere:
            return []  # this member is no operator

    async def other_posts(self, alias: str) -> tuple[str, ...]:
        """Return the first tier of every other party of a channel: who is told of a proposal."""
        await self.tend()
        view = await self.book.channel(alias)
        found: list[str] = []
        for party in view.cell.parties:
            edition = view.rosters.get(party)
            if party != self.device.party and edition is not None:
                found += edition.tiers[0].posts
        return tuple(found)

    async def line_test(self, alias: str) -> Sent | int:
        """Send this party's line test where its slot has begun, else return when the next begins.

        The charter says how often, and the parties take turns; a test names the newest checkpoint
        that this side verified, so the other side compares it with its own.

        Raises:
            NotReady: the channel has no line tests.
        """
        await self.tend()
        view = await self.book.channel(alias, is_fresh=True)
        rules = [load_rule(use) for use in view.cell.rules]
        line = next((rule for rule in rules if isinstance(rule, LineTests)), None)
        if line is None:
            raise NotReady(f"{alias} has no line tests", safe="nothing was sent")
        every = line.every_s * SECOND
        slot, own = self.now() // every, self.device.party
        mine = [n for n in range(slot, slot + 65) if turn_of(view.cell, n) == own]
        if not mine:
            raise NotReady(f"{own} takes no part in {alias} now", safe="nothing was sent")
        if mine[0] != slot:
            return mine[0] * every
        if self._tested(alias, line.kind, slot * every):
            return mine[1] * every
        subject = f"Line test {to_dtg(slot * every)}"
        text = f"This side verified the log up to {self.watch.seen.size} entries."
        test = Draft(alias, (), Content.text(subject, text), kind=line.kind)
        others = await self._reachable(test, await self.other_posts(alias))
        return await self.send(replace(test, to=others[:1], info=others[1:]))

    async def _reachable(self, draft: Draft, posts: Sequence[str]) -> tuple[str, ...]:
        """Return those of the posts that can be written to: one is enough to test a line.

        Raises:
            NotReady: none can; why the last one can't.
        """
        found: list[str] = []
        why: NotReady | None = None
        for post in posts:
            try:
                await self._planner.plan(replace(draft, to=(post,)))
            except NotReady as exc:
                why = exc
            else:
                found.append(post)
        if not found and why is not None:
            raise why
        return tuple(found)

    def kept(self, reference: str) -> Letter:
        """Return a note that this home opened or sent."""
        found = self.cabinet.get(reference)
        entry = self.watch.verify(found.receipt)
        note = note_of(entry)
        return Letter(
            found.digest,
            note.channel,
            reference,
            entry.index,
            entry.at,
            note,
            found.content or NOT_KEPT,
            found.receipt,
            self._doubt(entry, note, self._release_kept(reference, note)),
        )

    @contextmanager
    def going_on(self, name: str) -> Iterator[None]:
        """Do something with one of many notes or receipts: what is broken in it keeps back no other.

        It is told as ``left_out``, and what the node said is kept.
        """
        try:
            yield
        except (RecordUntrusted, LinkBroken, SignatureInvalid, Malformed, Unreadable) as exc:
            if name not in self.left_out:
                exc.happened = f"{name} is left out: {exc.happened}"
                keep(self.home, exc, self.transport.answers, self.now())
                self.left_out[name] = exc

    def receipts_kept(self) -> Iterator[Entry | Happening]:
        """Give what the receipts in the home's files prove."""
        root = self.home.path("receipts")
        for file in sorted(root.rglob("*.receipt")):
            with self.going_on(str(file.relative_to(root))):
                yield self.watch.verify_any(file.read_text("utf-8"))

    def signed_by(self, member: str) -> list[Entry]:
        """Return the entries that this home keeps of what a member signed, each once.

        What they wrote to it, and what they said of what it knows; *delivered* is kept of nobody.
        """
        found = list(self.receipts_kept())
        for name in self.cabinet.references():
            with self.going_on(name):
                found.append(self.watch.verify_any(self.cabinet.get(name).receipt))
        theirs = [e for e in found if isinstance(e, Entry) and e.record.actor == member]
        return list({entry.index: entry for entry in theirs}.values())

    def named_in(self, entry: Entry) -> str:
        """Return the references of the notes that an entry is, or is about, as far as they are known."""
        facts = entry.record.facts
        digests = [n.note for n in facts.notes] if isinstance(facts, AnswerFacts) else []
        digests += [entry.record.note] if entry.record.note and not digests else []
        return ", ".join(self.cabinet.reference(d) for d in digests if d in self.cabinet)

    def _release_kept(self, reference: str, note: Note) -> Entry | None:
        """Return the release of a note that this home has a receipt of."""
        path = self.home.path(f"receipts/{reference}.release.receipt")
        if note.drafted is None or not path.is_file():
            return None
        return self.watch.verify(path.read_text("utf-8"))

    def _doubt(self, entry: Entry, note: Note, release: Entry | None) -> Doubt | None:
        """Return the doubt about who wrote a note, or else about who let it go."""
        found = self.book.doubt(note, entry.at)
        if found is None and release is not None:
            found = self.book.doubt(release.statement.payload, release.at)
        return found

    def _tested(self, alias: str, kind: str, since: int) -> bool:
        """Return whether this home sent a test in a slot already."""
        for reference in reversed(self.cabinet.references()):
            if reference.rpartition("/")[0] != alias:
                continue
            with self.going_on(reference):
                letter = self.kept(reference)
                if letter.at < since:
                    return False
                if letter.note.kind == kind and letter.note.by == self.device.member:
                    return True
        return False

    # Release

    async def release_plan(self, letter: Letter) -> Plan:
        """Return for whom a draft would be wrapped by its release; nothing is sent."""
        await self.tend()
        view = await self._channel_of(letter.channel)
        return await self._planner.release_plan(view.cell.alias, letter.note)

    async def release(self, letter: Letter, plan: Plan | None = None) -> Done:
        """Let a draft go that this member opened: wrap it for whom it names, and say so.

        Raises:
            RefusedByNode: it isn't cleared, or this member may not release it.
            Unreadable: what the node keeps isn't what the draft commits to.
        """
        await self.tend()
        note = letter.note
        view = await self._channel_of(letter.channel)
        plan = plan or await self.release_plan(letter)
        secret = await self._secret(letter, view)
        serials = self.outbox.take_serials(view.cell.channel, plan.addressed)
        for attempt in range(1, SEAL_ATTEMPTS + 1):
            try:
                plan = (
                    plan
                    if attempt == 1
                    else await self._planner.release_plan(view.cell.alias, note)
                )
                signed = self._release(letter, plan, secret, serials)
            except LiaisonError:
                self.outbox.give_back(view.cell.channel, serials)
                raise
            await self.outbox.keep(signed)
            try:
                entry = await self._submit(signed)
            except RefusedByNode as exc:
                if not self._is_sealed_anew(signed, exc, attempt):
                    raise
                if exc.problem == SERIAL_USED:
                    await self._learn_serials()
                    serials = self.outbox.take_serials(view.cell.channel, plan.addressed)
                continue
            with self._ending(signed, entry):
                return await self._did(signed, entry)
        raise AssertionError("the last attempt returns or raises")

    def _release(
        self, letter: Letter, plan: Plan, secret: bytes, serials: dict[str, int]
    ) -> Signed:
        note, view = letter.note, plan.channel
        context = SealContext(note.id, note.charter, note.key, note.kind)
        wraps = rewrap(
            secret,
            context,
            plan.recipients,
            self.device.key.id,
            from_base64(note.commitment, COMMITMENT_BYTES),
        )
        payload = self._payload(
            Release,
            view,
            note=letter.digest,
            parties=tuple(
                Reliance(party=party, directory=directory, roster=roster, serial=serials.get(party))
                for party, directory, roster in plan.reliances
            ),
            checkpoint=self.watch.seen,
            addressees=tuple(
                Released(
                    post=a.post,
                    wraps=tuple(Wrap(key=k, wrap=sha256(wraps[k])) for k in a.keys),
                )
                for a in sorted(plan.addressees, key=lambda addressee: addressee.post)
            ),
        )
        return self._signed(
            "release",
            view.cell.channel,
            view.cell.alias,
            payload,
            serials,
            letter.reference,
            wraps=b"".join(wraps[wrap.key] for wrap in payload.wraps()),
        )

    # What all have in common

    def _payload(self, model: type[S], view: ChannelView, **members: Any) -> S:
        now = self.now()
        return made(
            model,
            by=self.device.member,
            key=self.device.key.id,
            issued=now,
            lapse=now + view.cell.terms.lapse_max_s * SECOND,
            log=self._origin,
            channel=view.cell.channel,
            **members,
        )

    async def _do(self, payload: InChannel, view: ChannelView, reference: str) -> Done:
        signed = self._signed(
            payload.kind_name, view.cell.channel, view.cell.alias, payload, {}, reference
        )
        await self.outbox.keep(signed)
        try:
            entry = await self._submit(signed)
        except RefusedByNode:
            self.outbox.refused(signed.digest, is_free=True)
            raise
        with self._ending(signed, entry):
            return await self._did(signed, entry)
