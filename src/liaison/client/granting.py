"""Granting: what this device can open it wraps for more keys. protocols/statements.md, GRANT.

A grant is made by a person, never by itself: a registrar that was deceived could add a device to a
member, and a home that granted by itself would give that device all that the member ever got. So a
second device asks nobody; its owner types the command on the first one, which shows what goes where.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from liaison.client.acting import Actor
from liaison.client.answers import objects_of
from liaison.client.links import Standing
from liaison.client.outcomes import Done
from liaison.client.pins import groups_of
from liaison.client.planning import Grantees
from liaison.client.reading import (
    Letter,
    note_of,
    sha256,
)
from liaison.client.sending import SEAL_ATTEMPTS
from liaison.client.watching import Entry, Happening
from liaison.ledger.facts import AnswerFacts, DeadlineFacts, GrantFacts, WithdrawalFacts
from liaison.rules.chain import id_of
from liaison.sealing.seal import COMMITMENT_BYTES, SealContext, rewrap
from liaison.statements.payloads import (
    Addressed,
    AddresseeRole,
    Note,
    Reliance,
    State,
    Verdict,
    Wrap,
)
from liaison.statements.procedures import Grant, GrantReason
from liaison.words.encoding import from_base64
from liaison.words.errors import (
    LiaisonError,
    NotHere,
    NotReady,
    RefusedByNode,
    Unreadable,
)
from liaison.words.ids import party_of
from liaison.words.times import SECOND

_WAITING: Final = ("queued", "delivered")
_TAKEN: Final = (Verdict.ACKNOWLEDGED, Verdict.DECLINED)
_ENDED: Final = ("expired", "non-delivered")
GRANTED: Final = "granted.json"


@dataclass(frozen=True)
class Granting:
    """A grant as it would be made: which note, at which post, for whom."""

    letter: Letter
    post: str
    reason: GrantReason
    plan: Grantees
    devices: frozenset[str] = frozenset()

    @property
    def keys(self) -> int:
        return len(self.plan.recipients)

    @property
    def members(self) -> tuple[str, ...]:
        """Whose keys they are."""
        return self.plan.members


@dataclass(frozen=True)
class History:
    """What a second device can be granted: references, each with the post at which it is."""

    device: str
    notes: tuple[tuple[str, str], ...]
    gone: tuple[str, ...]
    """What this device can't open any more itself: the keys were destroyed. The cabinet has it."""
    left: tuple[str, ...]
    """What a post was sent that the member holds no more: only who holds it now is granted it."""


@dataclass(frozen=True)
class Holder:
    """Who holds a post, and which of their devices can read what is sent there now."""

    member: str
    devices: Mapping[str, int] | None
    """By the id of its signing key until when its encryption key is sealed for, 0 where it has none;
    None: it isn't known here."""
    now: int

    @property
    def until(self) -> int | None:
        """Until when they can be written to; 0: not now; None: it isn't known here."""
        return None if self.devices is None else max(self.devices.values(), default=0)


@dataclass(frozen=True)
class Unsettled:
    """A note that a post was sent and has not settled. ``due`` is when its answer is, or was."""

    reference: str
    life: str
    due: int | None
    subject: str
    is_unproven: bool = False
    """The node says that it is settled, and this home has no receipt of that."""


class Granter(Actor):
    """A member's verbs that let more devices open what this one can."""

    async def grant_plan(
        self,
        reference: str,
        post: str | None = None,
        *,
        reason: GrantReason = GrantReason.UNREADABLE,
        devices: Iterable[str] = (),
    ) -> Granting:
        """Return for whom a note would be wrapped at a post that it names; nothing is sent.

        Raises:
            NotHere: this home never opened or sent it.
            NotReady: it isn't addressed to the post, or is this member's own and from it, or nobody
                there has a key.
        """
        await self.tend()
        letter = self.kept(reference)
        named = [a.post for a in addressed(letter.note) if a.role is not AddresseeRole.COPY]
        if post is None and len(named) != 1:
            raise NotReady(
                f"{reference} is addressed to several posts",
                safe="nothing was wrapped or sent",
                do=f"say at which: {', '.join(named)}",
            )
        at, only = post or named[0], frozenset(devices)
        if at == letter.sender_post and letter.note.by == self.device.member and not only:
            raise NotReady(
                f"{at} is where {reference} is from: there it is its writer's alone (GRANT-6)",
                safe="nothing was wrapped or sent",
                do="to whom else it matters, send a note of their own; to another device of yours: "
                "liaison grant --device KEY",
            )
        alias = reference.rpartition("/")[0]
        plan = await self._planner.grantees(alias, letter.note, at, only=only)
        return Granting(letter, at, reason, plan, only)

    async def grant(self, granting: Granting) -> Done:
        """Wrap a note's secret for the keys of a grant, and say so in the log.

        Raises:
            RefusedByNode: the rules don't let it: the post doesn't have the note (any more).
            Unreadable: this device can't open the note itself any more.
            Waiting: no receipt came; it stands in the outbox.
        """
        await self.tend()
        letter, plan = granting.letter, granting.plan
        secret = await self._secret(letter, plan.channel)
        for attempt in range(1, SEAL_ATTEMPTS + 1):
            if attempt > 1:
                alias = letter.reference.rpartition("/")[0]
                plan = await self._planner.grantees(
                    alias, letter.note, granting.post, only=granting.devices
                )
            note = letter.note
            wraps = rewrap(
                secret,
                SealContext(note.id, note.charter, note.key, note.kind),
                plan.recipients,
                self.device.key.id,
                from_base64(note.commitment, COMMITMENT_BYTES),
            )
            payload = self._payload(
                Grant,
                plan.channel,
                note=letter.digest,
                post=granting.post,
                reason=granting.reason,
                parties=tuple(
                    Reliance(party=party, directory=directory)
                    for party, directory in plan.directories
                ),
                given=tuple(Wrap(key=k, wrap=sha256(wraps[k])) for k in sorted(wraps)),
            )
            signed = self._signed(
                "grant",
                plan.channel.cell.channel,
                plan.channel.cell.alias,
                payload,
                {},
                letter.reference,
                wraps=b"".join(wraps[k] for k in sorted(wraps)),
            )
            await self.outbox.keep(signed)
            try:
                entry = await self._submit(signed)
            except RefusedByNode as exc:
                if not self._is_sealed_anew(signed, exc, attempt):
                    raise
                continue
            with self._ending(signed, entry):
                return await self._did(signed, entry)
        raise AssertionError("the last attempt returns or raises")

    # For whom a note is

    @property
    def _own_keys(self) -> set[str]:
        return {certified.digest for certified in self.device.certified}

    def _is_wrapped_for(self, note: Note) -> bool:
        return any(wrap.key in self._own_keys for wrap in note.wraps())

    async def _posts_of(self, note: Note) -> list[str]:
        """Return the posts for which this device answers a note, for action first.

        Those for which it got a wrap. By a release, or a grant, it got one that the note doesn't
        name: there the posts count that its member holds.
        """
        mine: list[Addressed] = [
            addressee
            for addressee in note.addressees
            if addressee.role is not AddresseeRole.COPY
            and any(wrap.key in self._own_keys for wrap in addressee.wraps)
        ]
        if not self._is_wrapped_for(note):
            standing = await self.book.standing(self.device.party)
            for one in addressed(note):
                post = standing.posts.get(one.post)
                is_held = post is not None and self.device.member in post.holders
                if is_held and one.role is not AddresseeRole.COPY:
                    mine.append(one)
        order = (AddresseeRole.ACTION, AddresseeRole.STANDBY, AddresseeRole.INFO)
        mine.sort(key=lambda addressee: order.index(addressee.role))
        return [addressee.post for addressee in mine]

    def _is_for_another_device(self, entry: Entry | Happening) -> bool:
        """Return whether an entry is a grant to this member, but to none of this device's keys."""
        facts = entry.record.facts
        if not isinstance(entry, Entry) or not isinstance(facts, GrantFacts):
            return False
        given = entry.statement.payload
        assert isinstance(given, Grant)
        is_mine = any(wrap.key in self._own_keys for wrap in given.given)
        return self.device.member in facts.readers and not is_mine

    async def _judged(self, entry: Entry, exc: LiaisonError) -> LiaisonError:
        """Return ``exc`` if the sender is to be told that this device can't open a note, else another.

        They are where the note has a wrap for it. Without one, only if no other device of its member
        got one, and for as long as the charter lets a note be opened: what is older is history.
        """
        note = note_of(entry)
        is_without = isinstance(exc, Unreadable) and exc.reason == "key"
        if not is_without or self._is_wrapped_for(note) or note.drafted:
            return exc
        view = await self._channel_of(note.channel)
        is_history = self.now() >= entry.at + view.cell.terms.open_within_s * SECOND
        if not is_history and not await self._has_reader_beside(note):
            return exc
        return self._not_for_this_device(note)

    async def _has_reader_beside(self, note: Note) -> bool:
        """Return whether another device of this member, which is in force, got a wrap of a note."""
        standing = await self.book.standing(self.device.party)
        member = standing.members.get(self.device.member)
        others = {id_of(public) for public in member.devices} if member is not None else set()
        device_of = {
            key.statement: key.device for key, _ in standing.keys.get(self.device.member, ())
        }
        wrapped = {device_of.get(wrap.key) for wrap in note.wraps()}
        return bool(wrapped & (others - {self.device.key.id}))

    def _not_for_this_device(self, note: Note) -> Unreadable:
        who = "you sent it" if note.by == self.device.member else "it was sent"
        return Unreadable(
            f"This device was not known yet when {who}",
            reason="key",
            safe="another device of yours can open it; nothing was lost",
            do=f"on that device, run: liaison grant --device {groups_of(self.device.key.id)[-1]}",
        )

    # What a second device may read

    async def history_for(self, device: str) -> History:
        """Return what this home opened or sent and a second device of its member can't open yet.

        ``device`` is the id of its signing key, or its fingerprint's last group, as it shows it itself.

        Raises:
            NotReady: it is no other device in force of this member.
        """
        await self.tend()
        standing = await self.book.standing(self.device.party, not_before=self.now())
        member = standing.members.get(self.device.member)
        known = {id_of(public) for public in member.devices} if member is not None else set()
        named = [
            key
            for key in known - {self.device.key.id}
            if device == key or device.upper() == groups_of(key)[-1]
        ]
        if len(named) != 1:
            raise NotReady(
                f"{device[:60]} is no other device of {self.device.member} that is in force",
                safe="nothing was wrapped or sent",
                do="type the last group of the fingerprint that `liaison whoami` shows on that device; "
                "its party approves it first",
            )
        (device,) = named
        keys = {
            k.statement for k, _ in standing.keys.get(self.device.member, ()) if k.device == device
        }
        done = self.home.read_state(GRANTED).get(device, [])
        assert isinstance(done, list)
        found, gone, left = list[tuple[str, str]](), list[str](), list[str]()
        for reference in self.cabinet.references():
            with self.going_on(reference):
                letter = self.kept(reference)
                note = letter.note
                if letter.digest in done or any(wrap.key in keys for wrap in note.wraps()):
                    continue
                posts = [
                    post
                    for post in await self._posts_of(note)
                    if post in standing.posts and self.device.member in standing.posts[post].holders
                ]
                if note.by == self.device.member:
                    posts = [letter.sender_post]
                is_ours = any(wrap.key in self.device.opening for wrap in note.wraps())
                if not posts:
                    left.append(reference)
                elif is_ours or not self._is_wrapped_for(note):
                    found.append((reference, posts[0]))
                else:
                    gone.append(reference)
        return History(device, tuple(found), tuple(gone), tuple(left))

    def granted(self, letter: Letter, device: str) -> None:
        """Note down that a device was granted a note, so that it isn't again."""
        state = self.home.read_state(GRANTED)
        done = state.get(device, [])
        assert isinstance(done, list)
        self.home.write_state(GRANTED, {**state, device: [*done, letter.digest]})

    # Who holds a post, and what waits there

    async def holders(self, post: str | None = None) -> dict[str, list[Holder]]:
        """Return who holds a post, or each of the own party, with how long they can be written to."""
        await self.tend()
        party = party_of(post) if post is not None else self.device.party
        now = self.now()
        standing = await self.book.standing(party, not_before=now)
        if post is not None and post not in standing.posts:
            raise NotHere(f"{party} names no post {post} in its directory", safe="nothing was done")
        return {
            name: [
                Holder(holder, _devices_of(standing, holder, now), now)
                for holder in standing.posts[name].holders
            ]
            for name in sorted(standing.posts if post is None else [post])
        }

    async def check_holder(self, post: str, member: str) -> None:
        """Return if a member holds a post of the own party.

        Raises:
            NotReady: not yet; the text says what the party is to run.
        """
        await self.tend()
        standing = await self.book.standing(self.device.party, not_before=self.now())
        held = standing.posts.get(post)
        if held is None or member not in held.holders:
            raise NotReady(
                f"{member} doesn't hold {post}, by the newest directory of {self.device.party}",
                safe="nothing was wrapped or sent",
                do=f"ask your party to run: posting set {post} {member} --post, then directory sign",
            )

    async def devices_of(self, member: str) -> tuple[str, ...]:
        """Return the ids of a member's devices that are in force."""
        standing = await self.book.standing(party_of(member))
        known = standing.members.get(member)
        return tuple(id_of(public) for public in known.devices) if known is not None else ()

    async def unsettled_at(self, post: str) -> list[Unsettled]:
        """Return what this home has of notes that wait for a post, or for its answer, first due first.

        Also what has only the node's word for it that it waits no more. What the node has for it and
        this home doesn't, ``inbox`` brings first.
        """
        found: list[Unsettled] = []
        settled = self._settled_here(post)
        for reference in self.cabinet.references():
            with self.going_on(reference):
                one = await self._unsettled(reference, post, settled)
                found += [one] if one is not None else []
        return sorted(found, key=lambda one: (one.due is None, one.due or 0))

    async def _unsettled(self, reference: str, post: str, settled: set[str]) -> Unsettled | None:
        letter = self.kept(reference)
        if all(a.post != post or a.role is AddresseeRole.COPY for a in addressed(letter.note)):
            return None
        try:
            shown = objects_of(await self.status(reference), "addressees")
        except NotHere:
            shown = []
        one = next((each for each in shown if each.get("post") == post), {})
        due = one.get("reply_by", one.get("overdue"))
        is_owed = due is not None and one.get("replied") is None
        is_open = one.get("life") in _WAITING or is_owed
        if not is_open and letter.digest in settled:
            return None
        life, due_at = str(one.get("life", "not shown")), due if isinstance(due, int) else None
        return Unsettled(reference, life, due_at, letter.content.subject, is_unproven=not is_open)

    def _settled_here(self, post: str) -> set[str]:
        """Return the digests of notes that are settled for a post by a receipt in this home.

        Else a node could leave a note out by its word alone, and who takes over never hears of it.
        """
        found: set[str] = set()
        for entry in self.receipts_kept():
            facts = entry.record.facts
            if isinstance(facts, WithdrawalFacts):
                found.add(facts.note)
            elif isinstance(facts, DeadlineFacts):
                found |= {facts.note} if facts.what in _ENDED and post in facts.posts else set()
            elif isinstance(entry, Entry) and isinstance(facts, AnswerFacts):
                is_said = (facts.post, facts.verdict in _TAKEN) == (post, True)
                if is_said and self.book.doubt(entry.statement.payload, entry.at) is None:
                    found |= {one.note for one in facts.notes}
        return found

    async def awaited_at(self, post: str) -> list[str]:
        """Return the references of this member's own notes from a post that wait for somebody."""
        found: list[str] = []
        for reference in self.cabinet.references():
            with self.going_on(reference):
                letter = self.kept(reference)
                if (letter.note.by, letter.sender_post) == (self.device.member, post):
                    state = await self.status(reference)
                    if objects_of(state, "next") or state.get("draft"):
                        found.append(reference)
        return found


def _devices_of(standing: Standing, member: str, now: int) -> dict[str, int]:
    """Return a member's devices in force, each with until when its newest key is in use, 0 without."""
    known = standing.members.get(member)
    if known is None or known.state is not State.ACTIVE:
        return {}
    keys = [key for key, _ in standing.keys.get(member, ()) if key.use_from <= now < key.use_until]
    return {
        device: max((key.use_until for key in keys if key.device == device), default=0)
        for device in map(id_of, known.devices)
    }


def addressed(note: Note) -> tuple[Addressed, ...]:
    """Return all whom a note names, drafted or not."""
    return (*note.addressees, *(note.drafted or ()))
