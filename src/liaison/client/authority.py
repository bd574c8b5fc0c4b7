"""The home of a party's authority, or of its registrar: it signs what its party says of itself.

design.md 3. An authority stays offline: its statements are files in the home, and leave it only when
they are posted. A registrar signs the daily business, within the scope and time that its authority gave
it. ``sequence`` and ``previous`` are continued from what this home signed before, and from what the other
signed, once it caught up.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

from liaison.client.book import Book
from liaison.client.evidence import keep
from liaison.client.handover import RegistrarRequest
from liaison.client.home import KEYSTORE, Home
from liaison.client.links import Standing
from liaison.client.making import made
from liaison.client.nextkey import NEXT, bring_back, next_in, set_aside
from liaison.client.pins import AuthorityPin, Pins, fingerprint
from liaison.client.receipts import keep_refusal
from liaison.client.seat import exercise_lead, wall_clock
from liaison.client.source import CarriedSource, NodeSource
from liaison.client.transport import Transport
from liaison.client.watching import Entry, Watch, check_digest
from liaison.rules.authority import party_cell
from liaison.rules.chain import id_of, registrar_signs
from liaison.rules.deriving import party_facts
from liaison.sealing.keystore import Cost, Keystore, StretchedKey
from liaison.statements.charters import Accession, Charter
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import (
    Directory,
    Member,
    Party,
    Payload,
    Posting,
    Registrar,
    Roster,
    Scope,
    Session,
    State,
    Successive,
)
from liaison.statements.statement import (
    Statement,
    make_statement,
    parse_statement,
    parse_statement_of,
)
from liaison.words.encoding import from_base64, to_base64
from liaison.words.errors import (
    Busy,
    LiaisonError,
    LogUntrusted,
    NodeUnreachable,
    NotAllowed,
    NotHere,
    NotReady,
    RefusedByNode,
)
from liaison.words.ids import check_id
from liaison.words.times import DAY, MINUTE

FILE: Final = "authority.json"
SIGNING: Final = "authority"
REGISTRAR: Final = "registrar"
AFTER: Final = "authority/after"
"""What is announced next by a succession that is being made."""
SHUT_OUT: Final = "shut_out"
"""What the node said when it let this registrar read no more."""
STANDALONE: Final = frozenset({"accession", "participation"})
"""Kinds that nothing follows: one that is refused keeps nothing else back."""
LAPSE: Final = 30 * DAY
"""So long a statement may wait for its posting."""
PARTY_LAPSE: Final = 400 * DAY
_DELEGATE: Final = "ask the authority to run: liaison registrar delegate FILE --post"

P = TypeVar("P", bound=Payload)
S = TypeVar("S", bound=Successive)


@dataclass(frozen=True)
class Unposted:
    """What a home signed and, as far as it knows, the log doesn't have."""

    kind: str
    about: str
    digest: str
    refused: str
    """What the node's signed word said when it was sent last; empty where it wasn't refused."""

    def __str__(self) -> str:
        return f"{self.kind} {self.about}"


@dataclass(frozen=True)
class Surprise:
    """A statement of the log that whoever opens this home should hear of."""

    what: str
    is_overtaken: bool = False
    """What this home signed of the same was never posted, and can't be any more."""
    is_elsewhere: bool = False
    """This home's own key signed it, and not here: a copy of this home did, or a thief."""


@dataclass(frozen=True)
class Current:
    """What is current of the party, and whose key signed it when (microseconds)."""

    kind: str
    about: str
    sequence: int
    at: int
    by: str
    """The party whose statement it is: a charter may be another's."""
    key: str
    is_elsewhere: bool
    """This home's own key signed it, and not here."""


def unposted_in(home: Home) -> list[Unposted]:
    """Return what an authority's home signed and the log doesn't have, in the order it is sent.

    Needs no passphrase.
    """
    state = home.read_state(FILE)
    listed = cast("list[dict[str, str]]", state.get("unposted", []))
    return [
        Unposted(one["kind"], _about(home, state, one), one["statement"], one.get("refused", ""))
        for one in listed
    ]


def newest_in(home: Home, model: type[S]) -> S | None:
    """Return what an authority's home has as the newest of its party itself, or its directory."""
    state: dict[str, Any] = home.read_state(FILE)
    if model is Party:
        said = state.get("statement")
        return None if said is None else parse_statement_of(model, from_base64(str(said))).payload
    found = [known["statement"] for known in state["subjects"].get(model.kind_name, {}).values()]
    raw = [home.read(_file(str(digest), model.kind_name)) for digest in found]
    return parse_statement_of(model, raw[0]).payload if raw else None


def registrar_in(home: Home) -> str:
    """Return the key id of the registrar whose home it is; empty where it is the authority's."""
    return str(home.read_state(FILE).get("key", ""))


def _about(home: Home, state: dict[str, Any], unposted: dict[str, str]) -> str:
    """Return what a statement is about, as people call it."""
    digest, kind = unposted["statement"], unposted["kind"]
    payload = parse_statement(home.read(_file(digest, kind))).payload
    if isinstance(payload, Charter):
        return payload.alias
    if isinstance(payload, Successive) and not isinstance(payload, Roster):
        subject = _subject_of(payload)
        return (
            subject if isinstance(payload, Member | Posting) else f"{payload.by} {payload.sequence}"
        )
    known = state["subjects"].get(kind, {}).values()
    return next((str(one["alias"]) for one in known if one["statement"] == digest), "")


class AuthorityHome:
    """An authority's home, open. Each statement is written before it is told.

    What it says of its people is ``staffing``'s, of channels ``chartering``'s.
    """

    def __init__(
        self,
        home: Home,
        keystore: Keystore,
        held: ExitStack,
        now: Callable[[], int] = wall_clock,
        url: str = "",
    ) -> None:
        self.home = home
        self._state = home.read_state(FILE)
        if not self._state:
            raise NotReady(
                f"{home.root} is not an authority's home",
                safe="nothing was done",
                do="begin with: liaison party new PARTY",
            )
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
            home.write(_file(statement.digest, statement.kind), statement.raw)
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
    def party(self) -> str:
        return str(self._state["party"])

    @property
    def is_registrar(self) -> bool:
        """Whether this home signs by the authority's delegation, and not as the authority."""
        return self._state.get("capacity") == REGISTRAR

    @property
    def statement(self) -> Statement[Party]:
        """The newest party statement.

        Raises:
            NotReady: a registrar's home that has none yet.
        """
        if "statement" not in self._state:
            raise NotReady(
                f"This registrar's home has no delegation of {self.party} yet",
                safe="nothing was signed",
                do="hand its request to the authority, then run: liaison registrar begin FILE",
            )
        return parse_statement_of(Party, from_base64(str(self._state["statement"])))

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
            NotReady: it is a registrar's, and that is the authority's to say, or beyond its bounds.
        """
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

    # The party itself

    def delegate(
        self, request: RegistrarRequest, scope: Collection[Scope], until: int
    ) -> Statement[Party]:
        """Let a registrar's key sign what ``scope`` names, until ``until`` (microseconds).

        Raises:
            NotReady: another party's request, or ``until`` is past.
        """
        if request.party != self.party:
            raise NotReady(
                f"The request is to {request.party}, this is the authority of {self.party}",
                safe="nothing was signed",
            )
        if until <= self.now():
            raise NotReady(
                "The time until which it is to sign has passed", safe="nothing was signed"
            )
        kept = [r for r in self._registrars() if r["key"] != request.key]
        kept.append(
            {
                "key": request.key,
                "proof": request.proof,
                "scope": sorted(scope),
                "until": until,
            }
        )
        return self._sign_party(registrars=sorted(kept, key=lambda r: str(r["key"])))

    def end_registrar(self, key: str) -> Statement[Party]:
        """Take a registrar's key away, named by its id or the last group of its fingerprint."""
        ended = self._registrar(key)
        return self._sign_party(registrars=[r for r in self._registrars() if r != ended])

    def _registrar(self, key: str) -> dict[str, object]:
        """Return the registrar that a key id or the last group of its fingerprint names."""
        named = [
            r
            for r in self._registrars()
            if key in (id_of(str(r["key"])), fingerprint(str(r["key"]))[-1])
        ]
        if len(named) != 1:
            raise NotReady(
                f"{key} names {len(named)} registrars of {self.party}, not one",
                safe="nothing was signed",
                do="see which there are: liaison registrar list",
            )
        return named[0]

    def succeed(self, keeping: Collection[str] = ()) -> Statement[Party]:
        """Let the announced next key be the authority from now on, and announce another one.

        Registrars end with the key that delegated them, which may be why it is succeeded: all but
        those of ``keeping``, key ids or last groups of fingerprints.

        Raises:
            NotReady: this home is a registrar's, or ``keeping`` names none; or the next key lies apart.
        """
        if self.is_registrar:
            raise authoritys(f"succeeds the authority of {self.party}")
        following = next_in(self._keystore)
        registrars = [self._registrar(key) for key in sorted({*keeping})]
        # Whatever is announced must never be lost: its secret first.
        self._keystore.secrets[AFTER] = secrets.token_bytes(32)
        self._keystore.save()
        self._key = following
        statement = self._sign_party(
            key=following.id,
            authority=to_base64(following.public),
            next=SigningKey(self._keystore.secrets[AFTER]).id,
            registrars=sorted(registrars, key=lambda r: str(r["key"])),
        )
        self._take_up()
        return statement

    def set_next_aside(self, path: Path, passphrase: str) -> SigningKey:
        """Move the next key into a file of its own. Raises as ``nextkey.set_aside``."""
        return set_aside(self._keystore, path, passphrase)

    def bring_next(self, path: Path, passphrase: str) -> None:
        """Take the next key of its file, to succeed with. Raises as ``nextkey.bring_back``."""
        bring_back(self._keystore, self.statement.payload.next, path, passphrase)

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

    def _registrars(self) -> list[dict[str, object]]:
        return [r.model_dump(mode="json") for r in self.statement.payload.registrars]

    def _sign_party(self, **changes: object) -> Statement[Party]:
        """Sign the party's next statement: as the newest one, but for ``changes``."""
        before = self.statement
        now = self.now()
        members = {
            **before.payload.model_dump(mode="json", exclude_none=True),
            "issued": now,
            "lapse": now + PARTY_LAPSE,
            "sequence": before.payload.sequence + 1,
            "previous": before.digest,
            **changes,
        }
        statement = self._sign(made(Party, **members))
        self._keep(statement, "party", self.party, "", sequence=statement.payload.sequence)
        return statement

    def current(self) -> list[Current]:
        """Return what is current of the party, as this home knows it, and whose key signed it."""
        elsewhere = cast("list[str]", self._state.get("elsewhere", []))
        found: list[Current] = []
        for kind in ("party", "member", "posting", "roster", "charter", "directory"):
            for subject, known in sorted(self._subjects(kind).items()):
                digest = str(known["statement"])
                payload = self._payload_of({"statement": digest, "kind": kind})
                found.append(
                    Current(
                        kind=kind,
                        about=str(known.get("alias") or subject or self.party),
                        sequence=payload.sequence if isinstance(payload, Successive) else 1,
                        at=payload.issued,
                        by=payload.by,
                        key=payload.key,
                        is_elsewhere=digest in elsewhere,
                    )
                )
        return found

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
        """
        online = self._connect()
        entries: list[Entry] = []
        while unposted := cast("list[dict[str, str]]", self._state.get("unposted", [])):
            raw = self._raw(unposted[0]["statement"], unposted[0]["kind"])
            try:
                entry = online.watch.verify(await online.transport.submit(raw))
            except RefusedByNode as exc:
                keep_refusal(self.home, self.pins.node, parse_statement(raw), exc)
                if exc.problem != "already-so":  # another statement said it: none follows this one
                    if unposted[0]["kind"] in STANDALONE:
                        self._forget(unposted[:1])
                    else:
                        unposted[0]["refused"] = f"{exc.happened} ({exc.problem})"
                    self._save()
                    raise
            else:
                if entry.statement.payload_digest != parse_statement(raw).payload_digest:
                    raise LogUntrusted("The node answered with the receipt of another statement")
                entries.append(entry)
            self._state["unposted"] = unposted[1:]
            self._save()
        return entries

    @property
    def unposted(self) -> list[Unposted]:
        """What was signed here and isn't in the log, as far as this home knows, in its order."""
        return unposted_in(self.home)

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
                and _subject_of(payload) == _subject_of(first)
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
        known = previous is not None and self.home.has(_file(previous, Party.kind_name))
        if not known or self._payload_of({"statement": str(previous), "kind": "party"}).key != (
            self._key.id
        ):
            raise NotReady(
                "The party statement that made the present key the authority can't be taken back here",
                safe="nothing was changed",
                do="restore the authority's backup of before into another home: liaison key restore FILE",
            )

    def _forget(self, gone: list[dict[str, str]]) -> None:
        """Go on from what was before these, which were signed here and are not in the log."""
        names = {one["statement"] for one in gone}
        listed = cast("list[dict[str, str]]", self._state.get("unposted", []))
        self._state["unposted"] = [one for one in listed if one["statement"] not in names]
        for one in reversed(gone):
            self._step_back(one["kind"], one["statement"], self._payload_of(one))

    def _step_back(self, kind: str, digest: str, payload: Payload) -> None:
        """Have as the newest of its subject what was before a statement."""
        if isinstance(payload, Successive):
            subject = _subject_of(payload)
            if payload.previous is None:
                self._subjects(kind).pop(subject, None)
                return
            self._subjects(kind)[subject] |= {
                "sequence": payload.sequence - 1,
                "statement": payload.previous,
            }
            before = self._payload_of({"statement": payload.previous, "kind": kind})
            if isinstance(before, Party):
                raw = self._raw(payload.previous, kind)
                self._state["statement"] = to_base64(raw)
            if isinstance(before, Party | Member):
                known = cast("list[str]", self._state.get("revoked", []))
                self._state["revoked"] = sorted({*known} - _in_force_by(before))
            return
        for listed in ("charter", "amendment", "accession", "participation"):
            subjects = self._subjects(listed)
            for subject in [s for s, each in subjects.items() if each["statement"] == digest]:
                del subjects[subject]
        if isinstance(payload, Accession):
            # By the yes alone it was current here; one's own proposal stands.
            held = self._subjects("charter").get(payload.charter)
            if held and self._payload_of(_charter(held)).by != self.party:
                del self._subjects("charter")[payload.charter]

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
                surprises += self._follow(entry.statement, _subject_of(payload))
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
            and _subject_of(said) == subject
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
            self.home.has(_file(statement.digest, statement.kind))
            # A home that an earlier release made has the first only here.
            or (statement.kind == Party.kind_name and statement.payload.sequence == 1)
        )

    def _mark_elsewhere(self, statement: Statement[Any]) -> None:
        """Remember that a statement was signed with this home's key, and not here."""
        marked = cast("list[str]", self._state.setdefault("elsewhere", []))
        if statement.digest not in marked:
            marked.append(statement.digest)
            self._save()

    def _payload_of(self, unposted: dict[str, str]) -> Payload:
        return parse_statement(self._raw(unposted["statement"], unposted["kind"])).payload

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

    # What was signed

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

    def _keep(
        self,
        statement: Statement[Any],
        kind: str,
        subject: str,
        alias: str,
        *,
        sequence: int = 1,
        is_own: bool = True,
    ) -> None:
        self.home.write(_file(statement.digest, statement.kind), statement.raw)
        if isinstance(statement.payload, Party | Member):
            known = self._state.setdefault("revoked", [])
            gone = self._revoked_by(statement.payload)
            back = set[str]()
            if isinstance(statement.payload, Member) or sequence >= self._edition:
                back = _in_force_by(statement.payload)  # that it isn't was never in the log
            self._state["revoked"] = sorted({*cast("list[str]", known), *gone} - back)
        if isinstance(statement.payload, Party) and statement.payload.sequence >= self._edition:
            self._state["statement"] = to_base64(statement.raw)
        self._subjects(kind)[subject] = {
            "alias": alias,
            "sequence": sequence,
            "statement": statement.digest,
        }
        if is_own:
            unposted = cast("list[object]", self._state.setdefault("unposted", []))
            unposted.append({"kind": statement.kind, "statement": statement.digest})
        self._save()

    @property
    def revoked(self) -> tuple[str, ...]:
        """The key ids of this party that were in force once and are no more."""
        return tuple(cast("list[str]", self._state.get("revoked", [])))

    @property
    def _edition(self) -> int:
        """The sequence of the newest party statement here; 0 where there is none."""
        return self.statement.payload.sequence if "statement" in self._state else 0

    def _revoked_by(self, payload: Party | Member) -> set[str]:
        """Return the key ids that are in force no more once ``payload`` is: what directories name."""
        if isinstance(payload, Party):
            is_later = self._edition < payload.sequence
            before = self.statement.payload if is_later and self._edition else payload
            keys = {party.authority for party in (before, payload)}
            keys |= {registrar.key for registrar in before.registrars}
        else:
            known: Member | None = self._newest_of(Member, payload.member)
            keys = {d.key for member in (known, payload) if member for d in member.devices}
        return {id_of(key) for key in keys} - _in_force_by(payload)

    def _subjects(self, kind: str) -> dict[str, dict[str, object]]:
        subjects = cast("dict[str, dict[str, dict[str, object]]]", self._state["subjects"])
        return subjects.setdefault(kind, {})

    def _newest(self, kind: str, subject: str) -> dict[str, object] | None:
        return self._subjects(kind).get(subject)

    def _newest_of(self, model: type[Any], subject: str) -> Any:
        if self._newest(model.kind_name, subject) is None:
            return None
        return self._newest_statement(model, subject).payload

    def _newest_statement(self, model: type[P], subject: str) -> Statement[P]:
        known = self._subjects(model.kind_name)[subject]
        return parse_statement_of(model, self._raw(str(known["statement"]), model.kind_name))

    def _raw(self, digest: str, kind: str) -> bytes:
        return self.home.read(_file(digest, kind))

    def _save(self) -> None:
        self.home.write_state(FILE, self._state)


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


def _subject_of(payload: Payload) -> str:
    """Return what a statement's sequence is of, as this home keeps it (STMT-11)."""
    if isinstance(payload, Member):
        return payload.member
    if isinstance(payload, Posting):
        return payload.post
    if isinstance(payload, Party):
        return payload.party
    return payload.channel if isinstance(payload, Roster) else ""


def _charter(subject: dict[str, object]) -> dict[str, str]:
    return {"statement": str(subject["statement"]), "kind": Charter.kind_name}


def _in_force_by(payload: Party | Member) -> set[str]:
    """Return the key ids that are in force by a statement, once it is the newest of its subject."""
    if isinstance(payload, Party):
        return {id_of(key) for key in (payload.authority, *(r.key for r in payload.registrars))}
    return {id_of(d.key) for d in payload.devices} if payload.state is not State.REVOKED else set()


def authoritys(what: str, *, meanwhile: str = "") -> NotReady:
    return NotReady(
        f"Only the authority {what}, and this home is a registrar's",
        safe="nothing was signed",
        do=f"{meanwhile}run it in the authority's home",
    )


def _file(digest: str, kind: str) -> str:
    return f"statements/{check_digest(digest)}.{kind}"
