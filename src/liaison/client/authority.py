"""The home of a party's authority, or of its registrar: it signs what its party says of itself.

design.md 3. An authority stays offline: its statements are files in the home, and leave it only when
they are posted. A registrar signs the daily business, within the scope and time that its authority gave
it. ``sequence`` and ``previous`` are continued from what this home signed before, and from what the other
signed, once it caught up. What stands in its files is ``filing``'s.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

from liaison.client.book import Book
from liaison.client.evidence import keep
from liaison.client.filing import FILE, REGISTRAR, SHUT_OUT, Filing, Unposted, file_of, subject_of
from liaison.client.home import KEYSTORE, RESTORED, Home
from liaison.client.links import Standing
from liaison.client.making import made
from liaison.client.nextkey import NEXT
from liaison.client.pins import AuthorityPin, Pins
from liaison.client.receipts import keep_refusal
from liaison.client.seat import exercise_lead, wall_clock
from liaison.client.source import CarriedSource, NodeSource
from liaison.client.taken import check_taken
from liaison.client.transport import Transport
from liaison.client.watching import Entry, Watch
from liaison.rules.authority import party_cell
from liaison.rules.chain import id_of, registrar_signs
from liaison.rules.deriving import party_facts
from liaison.sealing.keystore import Cost, Keystore, StretchedKey
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import (
    Directory,
    Party,
    Payload,
    Registrar,
    Scope,
    Session,
    Successive,
)
from liaison.statements.statement import Statement, make_statement, parse_statement
from liaison.words.encoding import to_base64
from liaison.words.errors import (
    Busy,
    LiaisonError,
    NodeUnreachable,
    NotAllowed,
    NotHere,
    NotReady,
    RefusedByNode,
)
from liaison.words.ids import check_id
from liaison.words.times import DAY, MINUTE

SIGNING: Final = "authority"
UNLOOKED: Final = "unlooked"
"""Whether the key signed elsewhere what no person has seen in this home."""
AFTER: Final = "authority/after"
"""What is announced next by a succession that is being made."""
STANDALONE: Final = frozenset({"accession", "participation"})
"""Kinds that nothing follows: one that is refused keeps nothing else back."""
LAPSE: Final = 30 * DAY
"""So long a statement may wait for its posting."""
PARTY_LAPSE: Final = 400 * DAY
_DELEGATE: Final = "ask the authority to run: liaison registrar delegate FILE --post"

P = TypeVar("P", bound=Payload)
S = TypeVar("S", bound=Successive)


@dataclass(frozen=True)
class Surprise:
    """A statement of the log that whoever opens this home should hear of."""

    what: str
    is_overtaken: bool = False
    """What this home signed of the same was never posted, and can't be any more."""
    is_elsewhere: bool = False
    """This home's own key signed it, and not here: a copy of this home did, or a thief."""


class AuthorityHome(Filing):
    """An authority's home, open. Each statement is written before it is told.

    What it says of who signs is ``signers``', of its people ``staffing``'s, of channels ``chartering``'s.
    """

    def __init__(
        self,
        home: Home,
        keystore: Keystore,
        held: ExitStack,
        now: Callable[[], int] = wall_clock,
        url: str = "",
    ) -> None:
        super().__init__(home)
        self._held = held
        self._clock = now
        self._ahead = 0
        self._url = url
        self._keystore = keystore
        self._key = SigningKey(keystore.secrets[REGISTRAR if self.is_registrar else SIGNING])
        self.pins = Pins(home)
        self._online: _Online | None = None
        if not self.is_registrar:
            self._take_up()

    @classmethod
    def new(
        cls,
        home: Home,
        passphrase: str,
        party: str,
        *,
        name: str = "",
        cost: Cost | None = None,
        now: Callable[[], int] = wall_clock,
    ) -> tuple[Self, Statement[Party]]:
        """Make an authority with its next key, and the party statement that presents it.

        Raises:
            NotReady: there is a keystore in this home already.
        """
        check_id("party id", party)
        home.make()
        with ExitStack() as held:
            held.enter_context(home.locked())
            keystore = Keystore.create(home.path(KEYSTORE), passphrase, cost=cost)
            keystore.secrets[SIGNING] = secrets.token_bytes(32)
            keystore.secrets[NEXT] = secrets.token_bytes(32)
            keystore.save()
            key, following = (SigningKey(keystore.secrets[which]) for which in (SIGNING, NEXT))
            at = now()
            statement = make_statement(
                made(
                    Party,
                    by=party,
                    key=key.id,
                    issued=at,
                    lapse=at + PARTY_LAPSE,
                    sequence=1,
                    party=party,
                    name=name or party,
                    authority=to_base64(key.public),
                    next=following.id,
                    registrars=[],
                    state="active",
                ),
                key,
            )
            home.write(file_of(statement.digest, statement.kind), statement.raw)
            home.write_state(
                FILE,
                {
                    "party": party,
                    "statement": to_base64(statement.raw),
                    "subjects": {
                        "party": {
                            party: {"alias": "", "sequence": 1, "statement": statement.digest}
                        }
                    },
                },
            )
            authority = cls(home, keystore, held.pop_all(), now)
            authority.pins.pin_authority(AuthorityPin(party, key.id, party, "made here", at))
            return authority, statement

    @classmethod
    def open(
        cls,
        home: Path | str | Home,
        passphrase: str | StretchedKey,
        *,
        now: Callable[[], int] = wall_clock,
        url: str = "",
    ) -> Self:
        home = home if isinstance(home, Home) else Home(home)
        with ExitStack() as held:
            held.enter_context(home.locked())
            keystore = Keystore.open(home.path(KEYSTORE), passphrase)
            kept = ExitStack()
            authority = cls(home, keystore, kept, now, url)
            # Only now: what can't be opened gives the home back.
            kept.push(held.pop_all())
            return authority

    async def __aenter__(self) -> Self:
        if self.pins.has_node:
            node = self.pins.node
            async with Transport(self._url or node.address) as transport:
                self._ahead = await exercise_lead(node, transport, self._clock)
        return self

    def now(self) -> int:
        """Return this machine's time, in microseconds; of an exercise, the exercise's."""
        return self._clock() + self._ahead

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._online is not None:
            keep(self.home, exc, self._online.transport.answers, self.now())
        await self.close(is_settled=exc is None)

    async def close(self, *, is_settled: bool = True) -> None:
        try:
            if self._online is not None:
                await self._online.close(is_settled=is_settled)
        finally:
            self._held.close()

    @property
    def key_id(self) -> str:
        return self._key.id

    @property
    def delegated(self) -> Registrar:
        """What the authority delegated to this registrar's key, by the newest party statement.

        Raises:
            NotReady: nothing, or not any more.
        """
        for registrar in self.statement.payload.registrars:
            if id_of(registrar.key) == self._key.id:
                return registrar
        raise NotReady(
            f"The authority of {self.party} names this registrar's key no more, or not yet",
            safe="nothing was signed",
            do=_DELEGATE,
        )

    def may_sign(self, scope: Scope) -> bool:
        """Return whether this home may sign such statements: an authority all, a registrar some."""
        return not self.is_registrar or scope in self.delegated.scope

    def _sign(self, payload: P) -> Statement[P]:
        """Sign what this home may sign.

        Raises:
            NotReady: it is a registrar's, and that is the authority's to say, or beyond its bounds; or
                nobody looked yet at what was signed with this home's key elsewhere.
        """
        self._check_looked()
        if self.is_registrar:
            kind = payload.kind_name
            if kind not in list(Scope):
                raise NotReady(
                    f"Only the authority of {self.party} signs a {kind}, and this is its registrar",
                    safe="nothing was signed",
                    do="run it in the authority's home",
                )
            party = party_cell(party_facts(self.statement), 0)
            refused = registrar_signs(party, self._key.id, Scope(kind), self.now(), who=self.party)
            if refused is not None:
                raise NotReady(
                    refused.text,
                    safe="nothing was signed",
                    do=_DELEGATE,
                )
        return make_statement(payload, self._key)

    def _sign_next(
        self, model: type[S], subject: str, *, alias: str = "", **members: Any
    ) -> Statement[S]:
        """Sign the next statement of a subject, and keep it."""
        kind = model.kind_name
        before = self._newest(kind, subject)
        now = self.now()
        payload: S = made(
            model,
            by=self.party,
            key=self._key.id,
            issued=now,
            lapse=now + LAPSE,
            sequence=int(cast("int", before["sequence"])) + 1 if before else 1,
            **({"previous": before["statement"]} if before else {}),
            **members,
        )
        statement = self._sign(payload)
        self._keep(statement, kind, subject, alias, sequence=payload.sequence)
        return statement

    def _take_up(self) -> None:
        """Sign with the key that the newest party statement is by: after a crash, too."""
        kept = self._keystore.secrets
        party = self.statement.payload
        if NEXT not in kept or party.key != SigningKey(kept[NEXT]).id:
            return
        self._key = SigningKey(kept[NEXT])
        kept[SIGNING], kept[NEXT] = kept[NEXT], kept.pop(AFTER)
        self._keystore.save()
        at = party.issued
        self.pins.replace_authority(
            AuthorityPin(self.party, party.key, self.party, "succession, made here", at)
        )

    # The node

    async def standing(self) -> Standing:
        """Return what is current in the own party, as the node shows it, verified."""
        return await self._connect().book.standing(self.party, not_before=self.now())

    async def post(self) -> list[Entry]:
        """Post what this home signed and the log doesn't have yet, in order; return its entries.

        Raises:
            RefusedByNode: one was refused; those before it are in the log, those after wait
                (``drop``).
            NodeUnreachable: not now, or it was refused without the node's signature; it waits, too.
            LogUntrusted: the log has one in another way than it was signed here; it waits, too.
        """
        online = self._connect()
        entries: list[Entry] = []
        while unposted := cast("list[dict[str, str]]", self._state.get("unposted", [])):
            sent = parse_statement(self._raw(unposted[0]["statement"], unposted[0]["kind"]))
            try:
                entry = online.watch.verify(await online.transport.submit(sent.raw), sent)
            except RefusedByNode as exc:
                keep_refusal(self.home, self.pins.node, sent, exc)
                if exc.problem != "already-so":  # another statement said it: none follows this one
                    if unposted[0]["kind"] in STANDALONE:
                        self._forget(unposted[:1])
                    else:
                        unposted[0]["refused"] = f"{exc.happened} ({exc.problem})"
                    self._save()
                    raise
            else:
                # What a key signed that was succeeded since is in the log as it is here, or not at all.
                is_present = sent.payload.key == self._key.id
                check_taken(entry, sent, self._key.public if is_present else None)
                entries.append(entry)
            self._state["unposted"] = unposted[1:]
            self._save()
        return entries

    def drop(self, digest: str) -> list[Unposted]:
        """Take back something that was signed and never posted; return it, with what it takes along.

        That is what follows it of its subject, and each directory, which would name it. This home goes
        on from what was before. If the log has it all the same, it counts, and is followed.

        Raises:
            NotHere: it doesn't wait here.
            NotReady: the key that signed what was before is no more.
        """
        listed = cast("list[dict[str, str]]", self._state.get("unposted", []))
        start = next((i for i, one in enumerate(listed) if one["statement"] == digest), None)
        if start is None:
            raise NotHere(f"{digest} doesn't wait here to be sent", safe="nothing was changed")
        first = self._payload_of(listed[start])
        gone = [listed[start]]
        for one in listed[start + 1 :]:
            payload = self._payload_of(one)
            is_after = (
                isinstance(payload, Successive)
                and one["kind"] == listed[start]["kind"]
                and subject_of(payload) == subject_of(first)
            )
            if is_after or isinstance(payload, Directory):
                gone.append(one)
        if isinstance(first, Party):
            self._check_key_of(first.previous)
        names = {one["statement"] for one in gone}
        dropped = [one for one in self.unposted if one.digest in names]
        self._forget(gone)
        self._save()
        return dropped

    def _check_key_of(self, previous: str | None) -> None:
        """Return if this home still has the key that signed its party statement before.

        Raises:
            NotReady: it doesn't: a succession was made here, and can't be taken back.
        """
        known = previous is not None and self.home.has(file_of(previous, Party.kind_name))
        if not known or self._payload_of({"statement": str(previous), "kind": "party"}).key != (
            self._key.id
        ):
            raise NotReady(
                "The party statement that made the present key the authority can't be taken back here",
                safe="nothing was changed",
                do="restore the authority's backup of before into another home: liaison key restore FILE",
            )

    async def catch_up(self) -> list[Surprise]:
        """Go on from what the log holds of the party, whoever signed it; return what surprises.

        Raises:
            NotReady: the node lets this key read no more: a registrar's delegation ended, or another
                key took up the authority's.
        """
        try:
            surprises = await self._catch_up()
            if self._state.pop(SHUT_OUT, None):
                self._save()
            return surprises
        except NotAllowed as exc:
            if not self.is_registrar and self._state.get("unposted"):
                await self.post()  # the succession that lets this key speak
                return await self._catch_up()
            if not self.is_registrar:
                raise NotReady(
                    exc.happened,
                    safe="nothing was signed",
                    do="if the party was succeeded since this home was backed up, restore a newer backup: "
                    "liaison key restore FILE",
                ) from exc
            self._state[SHUT_OUT] = exc.happened
            self._save()
            raise NotReady(exc.happened, safe="nothing was signed", do=_DELEGATE) from exc

    async def _catch_up(self) -> list[Surprise]:
        online = self._connect()
        return await self._go_on(online.source, online.book)

    async def _go_on(self, source: NodeSource | CarriedSource, book: Book) -> list[Surprise]:
        """Go on from what a source has behind what was followed already."""
        surprises: list[Surprise] = []
        n = int(cast("int", self._state.get("followed", 0)))
        async for entry in source.of_party(self.party, after=n):
            await book.check_own(entry, self.party)
            n = entry.record.channel.n
            payload = entry.statement.payload
            if isinstance(payload, Successive):
                surprises += self._follow(entry.statement, subject_of(payload))
        if n != self._state.get("followed", 0):
            self._state["followed"] = n
            self._save()
        return surprises

    def _follow(self, statement: Statement[Any], subject: str, alias: str = "") -> list[Surprise]:
        """Take a statement of the log as the newest of its subject, unless a later one is known."""
        kind, sequence = statement.kind, statement.payload.sequence
        unposted = cast("list[dict[str, str]]", self._state.get("unposted", []))
        mine = {
            one["statement"]: said.sequence
            for one in unposted
            if one["kind"] == kind
            and isinstance(said := self._payload_of(one), Successive)
            and subject_of(said) == subject
        }
        is_overtaken = statement.digest not in mine and any(
            number <= sequence for number in mine.values()
        )
        # Its own is in the log already. What follows an overtaken one can't enter: each names the
        # one before.
        gone = set(mine) if is_overtaken else {statement.digest}
        self._state["unposted"] = [one for one in unposted if one["statement"] not in gone]
        is_elsewhere = self._is_elsewhere(statement)
        known = self._newest(kind, subject)
        if is_overtaken or known is None or int(cast("int", known["sequence"])) < sequence:
            self._keep(statement, kind, subject, alias, sequence=sequence, is_own=False)
        if not is_overtaken and not is_elsewhere:
            return []
        if is_elsewhere:
            self._mark_elsewhere(statement)
        named = f"{kind} {alias or subject or self.party}"
        return [Surprise(named, is_overtaken=is_overtaken, is_elsewhere=is_elsewhere)]

    def _is_elsewhere(self, statement: Statement[Any]) -> bool:
        """Return whether this home's own key signed a statement that was never in this home."""
        own = {self._key.id}
        if not self.is_registrar:
            own |= {pin.authority for pin in self.pins.former if pin.party == self.party}
        return statement.payload.key in own and not (
            self.home.has(file_of(statement.digest, statement.kind))
            # A home that an earlier release made has the first only here.
            or (statement.kind == Party.kind_name and statement.payload.sequence == 1)
        )

    def _mark_elsewhere(self, statement: Statement[Any]) -> None:
        """Remember that a statement was signed with this home's key, and not here."""
        marked = cast("list[str]", self._state.setdefault("elsewhere", []))
        if statement.digest not in marked:
            marked.append(statement.digest)
            # Of a restored home it is expected: its backup is older than what it signed last.
            if not self.home.has(RESTORED):
                self._state[UNLOOKED] = True
            self._save()

    def _check_looked(self) -> None:
        if self._state.get(UNLOOKED):
            raise NotReady(
                "STOP: this home's key signed elsewhere what nobody looked at in this home yet",
                safe="nothing was signed",
                do="see what it is: liaison directory show; if it isn't yours: docs/trust.md, "
                "An authority's key in other hands",
            )

    def looked(self) -> None:
        """A person saw what ``current`` says: from now on this home signs again."""
        if self._state.pop(UNLOOKED, None) is not None:
            self._save()

    @property
    def gave_way(self) -> list[str]:
        """Directories that were seen, and that a key had signed that may sign no more."""
        return self._online.book.gave_way if self._online else []

    @property
    def disputed(self) -> list[str]:
        """What others say they saw of the log, and this home doesn't."""
        return self._online.watch.disputed if self._online else []

    @property
    def unsettled(self) -> LiaisonError | None:
        return self._online.unsettled if self._online else None

    def _connect(self) -> _Online:
        if self._online is None:
            self._online = _Online(self.home, self.pins, self._session, self.now, self._url)
        return self._online

    def _session(self, challenge: str) -> bytes:
        now = self.now()
        payload = Session(
            by=self.party,
            key=self._key.id,
            issued=now,
            lapse=now + MINUTE,
            log=self.pins.node.origin,
            challenge=challenge,
        )
        return make_statement(payload, self._key).raw


class _Online:
    """The connection of an authority's home to its node, for as long as a command runs."""

    def __init__(
        self,
        home: Home,
        pins: Pins,
        make_session: Callable[[str], bytes],
        now: Callable[[], int],
        url: str,
    ) -> None:
        self.transport = Transport(url or pins.node.address, make_session)
        self.watch = Watch(home, pins.node, self.transport.fetch)
        self.source = NodeSource(self.transport, self.watch, home)
        self.book = Book(home, pins, self.source, now)
        self.unsettled: LiaisonError | None = None

    async def close(self, *, is_settled: bool) -> None:
        try:
            if is_settled:
                await self.watch.settle()
        except (NodeUnreachable, Busy) as exc:
            self.unsettled = exc
        finally:
            self.watch.save()
            await self.transport.close()


def authoritys(what: str, *, meanwhile: str = "") -> NotReady:
    return NotReady(
        f"Only the authority {what}, and this home is a registrar's",
        safe="nothing was signed",
        do=f"{meanwhile}run it in the authority's home",
    )
