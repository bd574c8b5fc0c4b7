"""The home of a party's authority: it signs what its party says of itself and agrees to.

design.md 3. It stays offline: its statements are files in the home, and leave it only when they
are posted. ``sequence`` and ``previous`` are continued from what this home signed before.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

from pydantic import ValidationError

from liaison.client.folding import Book, ChannelView
from liaison.client.home import KEYSTORE, Home
from liaison.client.pins import AuthorityPin, Pins
from liaison.client.seat import exercise_lead, wall_clock
from liaison.client.source import NodeSource
from liaison.client.transport import Transport
from liaison.client.watching import Entry, Watch, check_digest
from liaison.rules.chain import id_of
from liaison.sealing.keystore import Cost, Keystore
from liaison.statements.charters import Accession, Charter, Participation, Seat, Standing
from liaison.statements.keys import SigningKey, check_possession
from liaison.statements.payloads import (
    Directory,
    Member,
    Party,
    Payload,
    Posting,
    Roster,
    Session,
    Successive,
)
from liaison.statements.statement import (
    Statement,
    make_statement,
    parse_statement,
    parse_statement_of,
)
from liaison.words.canonical import format_canonical, parse_canonical
from liaison.words.encoding import from_base64, to_base64
from liaison.words.errors import (
    Busy,
    LiaisonError,
    LogUntrusted,
    Malformed,
    NodeUnreachable,
    NotReady,
    RefusedByNode,
)
from liaison.words.ids import check_id, party_of
from liaison.words.precedence import Precedence
from liaison.words.times import DAY, MINUTE

FILE: Final = "authority.json"
SIGNING: Final = "authority"
NEXT: Final = "authority/next"
LAPSE: Final = 30 * DAY
PARTY_LAPSE: Final = 400 * DAY
DIRECTORY_VALID: Final = 7 * DAY
REQUEST: Final = "liaison/request/1"
APPROVAL: Final = "liaison/approval/1"

P = TypeVar("P", bound=Payload)
S = TypeVar("S", bound=Successive)


@dataclass(frozen=True)
class Request:
    """What a new device asks its authority for: to be a member's, who is to hold a post."""

    member: str
    post: str
    name: str
    device: str
    proof: str

    def to_bytes(self) -> bytes:
        return format_canonical({"format": REQUEST, **vars(self)}) + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Request:
        """Return the request that a file spells, its proof of possession checked.

        Raises:
            Malformed: it spells none.
        """
        texts = _texts(data, REQUEST, {"member", "post", "name", "device", "proof"})
        request = cls(**texts)
        check_id("address", request.member)
        check_id("address", request.post)
        check_possession(request.member, from_base64(request.device, 32), request.proof)
        return request


@dataclass(frozen=True)
class Approval:
    """What the authority hands back: its party, the member and the posting, signed."""

    party: Statement[Party]
    member: Statement[Member]
    posting: Statement[Posting]

    def to_bytes(self) -> bytes:
        members = {name: to_base64(getattr(self, name).raw) for name in vars(self)}
        return format_canonical({"format": APPROVAL, **members}) + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Approval:
        """Return the approval that a file spells; each statement is signed by the authority.

        Raises:
            Malformed: it spells none.
            SignatureInvalid: a statement isn't the authority's.
        """
        texts = _texts(data, APPROVAL, {"party", "member", "posting"})
        approval = cls(
            parse_statement_of(Party, from_base64(texts["party"])),
            parse_statement_of(Member, from_base64(texts["member"])),
            parse_statement_of(Posting, from_base64(texts["posting"])),
        )
        public = from_base64(approval.party.payload.authority)
        for statement in (approval.party, approval.member, approval.posting):
            statement.check_signature(public)
        if approval.party.payload.key != id_of(approval.party.payload.authority):
            raise Malformed("approval: the party statement isn't signed by its own authority")
        if {approval.member.payload.by, approval.posting.payload.by} != {
            approval.party.payload.party
        }:
            raise Malformed("approval: its statements are of several parties")
        return approval


class Authority:
    """An authority's home, open. Each statement is written before it is told."""

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
        self._key = SigningKey(keystore.secrets[SIGNING])
        self.pins = Pins(home)
        self._online: _Online | None = None

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
    ) -> tuple[Authority, Statement[Party]]:
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
                _made(
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
            home.write_state(
                FILE, {"party": party, "statement": to_base64(statement.raw), "subjects": {}}
            )
            authority = cls(home, keystore, held.pop_all(), now)
            authority.pins.pin_authority(AuthorityPin(party, key.id, party, "made here", at))
            return authority, statement

    @classmethod
    def open(
        cls,
        home: Path | str | Home,
        passphrase: str,
        *,
        now: Callable[[], int] = wall_clock,
        url: str = "",
    ) -> Authority:
        home = home if isinstance(home, Home) else Home(home)
        with ExitStack() as held:
            held.enter_context(home.locked())
            keystore = Keystore.open(home.path(KEYSTORE), passphrase)
            return cls(home, keystore, held.pop_all(), now, url)

    async def __aenter__(self) -> Self:
        if self.pins.has_node:
            node = self.pins.node
            async with Transport(self._url or node.address) as transport:
                self._ahead = await exercise_lead(node, transport, self._clock)
        return self

    def _now(self) -> int:
        return self._clock() + self._ahead

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
    def statement(self) -> Statement[Party]:
        """The newest party statement."""
        return parse_statement_of(Party, from_base64(str(self._state["statement"])))

    # Members and posts

    def approve(self, request: Request, roles: Sequence[str], *, name: str = "") -> Approval:
        """Sign a device into a member, and the member into a post.

        The same request, asked again, gets the approval that it had.

        Raises:
            NotReady: another party's, or a name that the other kind bears already.
        """
        for address in (request.member, request.post):
            if party_of(address) != self.party:
                raise NotReady(
                    f"{address} is not of {self.party}",
                    safe="nothing was signed",
                    do="hand the request to the authority of its own party",
                )
        if request.member == request.post or self._newest("member", request.post):
            raise _name_taken(request.post, "a member")
        if self._newest("posting", request.member):
            raise _name_taken(request.member, "a post")
        before = self._newest_of(Member, request.member)
        known = self._newest_of(Posting, request.post)
        wanted = sorted({*roles, *(before.roles if before else ())})
        if (
            before
            and known
            and request.member in known.holders
            and any(d.key == request.device for d in before.devices)
            and (wanted, name or before.name) == (sorted(before.roles), before.name)
        ):
            # Asked again: an edition more would leave the device without the one before it.
            return Approval(
                self.statement,
                self._newest_statement(Member, request.member),
                self._newest_statement(Posting, request.post),
            )
        devices = (
            {d.key: {"key": d.key, "proof": d.proof} for d in before.devices} if before else {}
        )
        devices[request.device] = {"key": request.device, "proof": request.proof}
        member = self._sign_next(
            Member,
            request.member,
            member=request.member,
            name=name or request.name,
            roles=wanted,
            state="active",
            devices=[devices[key] for key in sorted(devices)],
        )
        posting = self.set_posting(
            request.post, sorted({request.member, *(known.holders if known else ())})
        )
        return Approval(self.statement, member, posting)

    def set_roles(self, member: str, roles: Sequence[str]) -> Statement[Member]:
        """Say what a member may do from now on, instead of what it could before."""
        before = self._newest_of(Member, member)
        if before is None:
            raise NotReady(
                f"{member} is not a member that this authority approved",
                safe="nothing was signed",
                do="approve the member's device first: liaison member approve FILE",
            )
        return self._sign_next(
            Member,
            member,
            member=member,
            name=before.name,
            roles=sorted({*roles}),
            state=before.state.value,
            devices=[{"key": d.key, "proof": d.proof} for d in before.devices],
        )

    def set_posting(self, post: str, holders: Sequence[str]) -> Statement[Posting]:
        """Say who holds a post; nobody means that it is vacant."""
        check_id("address", post)
        for holder in holders:
            if self._newest("member", holder) is None:
                raise NotReady(
                    f"{holder} is not a member that this authority approved",
                    safe="nothing was signed",
                    do="approve the member's device first: liaison member approve FILE",
                )
        return self._sign_next(Posting, post, post=post, holders=sorted(set(holders)))

    # Channels

    def propose(
        self,
        channel_type: str,
        alias: str,
        parties: Sequence[str],
        defaults: Mapping[str, Any],
        *,
        seats: Mapping[str, str] | None = None,
        is_exercise: bool = False,
    ) -> Statement[Charter]:
        """Sign a charter whose parameters are those of a ``protocols/*.toml`` file.

        ``seats`` gives each party its seat, where the channel type has some.

        Raises:
            NotReady: a party isn't pinned, or this home knows a channel of this alias.
        """
        check_id("alias", alias)
        _ = self.pins.node  # says so first, where no node is pinned
        for party in parties:
            self.pins.authority(check_id("party id", party))
        if any(known["alias"] == alias for known in self._subjects("charter").values()):
            raise NotReady(
                f"This authority knows a channel {alias} already",
                safe="nothing was signed",
                do=f"choose another alias, or go on with: liaison channel accede {alias}",
            )
        members: dict[str, Any] = {"type": channel_type, "alias": alias}
        members["parties"] = [self.party, *parties]
        if seats:
            members["seats"] = [{"party": p, "seat": seats[p]} for p in sorted(seats)]
        if is_exercise:
            members["exercise"] = True
        statement = self._charter(defaults, members)
        self._keep(statement, "charter", statement.digest, alias)
        return statement

    async def amend(
        self, alias: str, defaults: Mapping[str, Any], *, added: Sequence[str] = ()
    ) -> Statement[Charter]:
        """Sign a successor of a channel's charter; it counts once all parties have acceded to it.

        ``added`` are parties that join; who leaves says so by ``participate``.
        """
        view = await self.channel(alias)
        for party in added:
            self.pins.authority(check_id("party id", party))
        present = view.charter
        kept = [p for p in present.parties if view.cell.standing(p) is not Standing.LEFT]
        members: dict[str, Any] = {"type": present.type, "alias": alias}
        members["parties"] = [*kept, *added]
        members |= {"channel": view.cell.channel, "previous": view.cell.charter}
        if present.seats is not None:
            seats = {s.party: s.seat.value for s in present.seats}
            seats |= dict.fromkeys(added, Seat.MEMBER.value)
            members["seats"] = [{"party": p, "seat": seats[p]} for p in sorted(members["parties"])]
        if present.exercise:
            members["exercise"] = True
        statement = self._charter(defaults, members)
        self._keep(statement, "amendment", statement.digest, alias)
        return statement

    def _charter(
        self, defaults: Mapping[str, Any], members: Mapping[str, Any]
    ) -> Statement[Charter]:
        node, now = self.pins.node, self._now()
        # TOML spells names with underscores, statements with hyphens.
        rules = [
            {
                "use": rule["use"],
                "parameters": {k.replace("_", "-"): v for k, v in rule.items() if k != "use"},
            }
            for rule in defaults.get("rule", [])
        ]
        ladders = [
            {"name": ladder["name"], "rungs": ladder["rung"]}
            for ladder in defaults.get("ladder", [])
        ]
        if ladders:
            members = {**members, "ladders": sorted(ladders, key=lambda ladder: ladder["name"])}
        charter = _made(
            Charter,
            by=self.party,
            key=self._key.id,
            issued=now,
            lapse=now + LAPSE,
            log={"origin": node.origin, "log_key": node.log_key, "node_key": node.node_key},
            terms=defaults.get("terms", {}),
            kinds=sorted(
                (_kind_of(kind) for kind in defaults.get("kind", [])), key=lambda k: str(k["kind"])
            ),
            rules=sorted(rules, key=lambda rule: rule["use"]),
            **members,
        )
        return make_statement(charter, self._key)

    def participate(
        self, view: ChannelView, state: Standing, *, reason: str | None = None
    ) -> Statement[Participation]:
        """Suspend this party's part in a channel, take it up again, or leave it for good."""
        now = self._now()
        statement = make_statement(
            Participation(
                by=self.party,
                key=self._key.id,
                issued=now,
                lapse=now + LAPSE,
                channel=view.cell.channel,
                state=state,
                reason=reason,
            ),
            self._key,
        )
        self._keep(statement, "participation", statement.digest, view.cell.alias)
        return statement

    async def follow(self, alias: str) -> ChannelView:
        """Return a channel, and take as its charter the one in force, if this party said yes to it.

        From then on this party's directories name that one.
        """
        view = await self.channel(alias)
        known = self._newest("charter", view.cell.channel)
        acceded = self._newest("accession", view.cell.charter)
        if known and acceded and known["statement"] != view.cell.charter:
            entry = await self._connect().source.statement(view.cell.charter)
            charter = parse_statement_of(Charter, entry.statement.raw)
            self._keep(charter, "charter", view.cell.channel, alias, is_own=False)
        return view

    async def follow_all(self) -> None:
        """``follow`` each channel of this party to which it acceded anew since."""
        for subject in list(self._subjects("amendment").values()):
            await self.follow(str(subject["alias"]))
        for view in await self.channels():
            if self._newest("accession", view.cell.charter) is not None:
                await self.follow(view.cell.alias)

    def accede(self, charter: Statement[Charter]) -> Statement[Accession]:
        """Sign this party's yes to a charter that it was shown; once, however often it is asked.

        Raises:
            NotReady: the proposer isn't pinned, or this party isn't named.
            ChainBroken, SignatureInvalid, LogUntrusted: the charter doesn't hold.
        """
        payload = charter.payload
        self.pins.check_log(payload.log.origin, payload.log.log_key, payload.log.node_key)
        self.pins.authority(payload.by)
        if self.party not in payload.parties:
            raise NotReady(
                f"{self.party} is not a party of {payload.alias}",
                safe="nothing was signed",
                do=f"its parties are {', '.join(payload.parties)}",
            )
        if self._newest("accession", charter.digest):
            return self._newest_statement(Accession, charter.digest)
        now = self._now()
        statement = make_statement(
            Accession(
                by=self.party,
                key=self._key.id,
                issued=now,
                lapse=now + LAPSE,
                channel=payload.channel or charter.digest,
                charter=charter.digest,
            ),
            self._key,
        )
        # What is acceded to is current from now on, and the next directory names it; a successor
        # only once all have acceded (``follow``).
        if payload.channel is None:
            self._keep(charter, "charter", charter.digest, payload.alias, is_own=False)
        self._keep(statement, "accession", charter.digest, payload.alias)
        return statement

    def has_acceded(self, charter: Statement[Charter]) -> bool:
        """Return whether this home signed its yes to a charter."""
        return self._newest("accession", charter.digest) is not None

    def charter_of(self, alias: str) -> Statement[Charter]:
        """Return a charter that this home proposed or acceded to, by the channel's alias."""
        for subject in self._subjects("charter").values():
            if subject["alias"] == alias:
                return parse_statement_of(Charter, self._raw(str(subject["statement"]), "charter"))
        raise NotReady(
            f"This authority knows no channel {alias}",
            safe="nothing was signed",
            do=f"propose it, or run: liaison channel accede {alias}",
        )

    def _channel(self, alias: str) -> str:
        """Return the id of a channel that this home proposed or acceded to."""
        charter = self.charter_of(alias)
        return charter.payload.channel or charter.digest

    def set_roster(
        self,
        alias: str,
        tiers: Sequence[tuple[str, Sequence[str]]],
        alternates: Mapping[str, str] | None = None,
    ) -> Statement[Roster]:
        """Sign this party's side of a channel: tiers by name, in the order they are opened.

        ``alternates``: by post, who gets a note in its place when it declines or isn't reached.
        """
        channel = self._channel(alias)
        for _, posts in tiers:
            for post in posts:
                check_id("address", post)
                if self._newest("posting", post) is None:
                    raise NotReady(
                        f"{post} is not a post that this authority set",
                        safe="nothing was signed",
                        do="approve a member for it, or run: liaison posting set POST HOLDER",
                    )
        return self._sign_next(
            Roster,
            channel,
            alias=alias,
            channel=channel,
            tiers=[{"name": name, "posts": sorted(posts)} for name, posts in tiers],
            **(
                {
                    "alternates": [
                        {"post": p, "alternate": alternates[p]} for p in sorted(alternates)
                    ]
                }
                if alternates
                else {}
            ),
        )

    def sign_directory(self) -> Statement[Directory]:
        """Sign what is current now: complete, and valid for seven days."""

        def current(kind: str, name: str) -> list[dict[str, str]]:
            subjects = self._subjects(kind)
            return [
                {name: subject, "statement": str(subjects[subject]["statement"])}
                for subject in sorted(subjects)
            ]

        return self._sign_next(
            Directory,
            "",
            members=current("member", "member"),
            postings=current("posting", "post"),
            rosters=current("roster", "channel"),
            charters=current("charter", "channel"),
            revoked=[],
            valid_until=self._now() + DIRECTORY_VALID,
        )

    # The node

    async def post(self) -> list[Entry]:
        """Post what this home signed and the log doesn't have yet, in order; return its entries.

        Raises:
            RefusedByNode: one was refused; those before it are in the log, those after wait.
        """
        online = self._connect()
        entries: list[Entry] = []
        while unposted := cast("list[dict[str, str]]", self._state.get("unposted", [])):
            raw = self._raw(unposted[0]["statement"], unposted[0]["kind"])
            try:
                entry = online.watch.verify(await online.transport.submit(raw))
            except RefusedByNode as exc:
                if exc.problem != "already-so":  # another statement said it: none follows this one
                    raise
            else:
                if entry.statement.payload_digest != parse_statement(raw).payload_digest:
                    raise LogUntrusted("The node answered with the receipt of another statement")
                entries.append(entry)
            self._state["unposted"] = unposted[1:]
            self._save()
        return entries

    async def channel(self, alias: str) -> ChannelView:
        """Return a channel as the node shows it, verified."""
        return await self._connect().book.channel(alias, is_fresh=True)

    async def channels(self) -> list[ChannelView]:
        online = self._connect()
        answer = await online.transport.read("/v1/channels")
        shown = cast("list[dict[str, object]]", answer.get("channels", []))
        return [await online.book.channel(str(item["alias"])) for item in shown]

    async def charter(self, alias: str) -> Statement[Charter]:
        """Return the charter to accede to, from the node, its proposer's signature checked.

        That is the newest successor that waits for accessions, else the present one.
        """
        online = self._connect()
        view = await online.book.channel(alias, is_fresh=True)
        waiting = [p.charter for p in view.proposed if p.lacks(self.party)]
        entry = await online.source.statement(waiting[-1] if waiting else view.cell.charter)
        return parse_statement_of(Charter, entry.statement.raw)

    @property
    def unsettled(self) -> LiaisonError | None:
        return self._online.unsettled if self._online else None

    def _connect(self) -> _Online:
        if self._online is None:
            self._online = _Online(self.home, self.pins, self._session, self._now, self._url)
        return self._online

    def _session(self, challenge: str) -> bytes:
        now = self._now()
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
        now = self._now()
        payload: S = _made(
            model,
            by=self.party,
            key=self._key.id,
            issued=now,
            lapse=now + LAPSE,
            sequence=int(cast("int", before["sequence"])) + 1 if before else 1,
            **({"previous": before["statement"]} if before else {}),
            **members,
        )
        statement = make_statement(payload, self._key)
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
        self._subjects(kind)[subject] = {
            "alias": alias,
            "sequence": sequence,
            "statement": statement.digest,
        }
        if is_own:
            unposted = cast("list[object]", self._state.setdefault("unposted", []))
            unposted.append({"kind": statement.kind, "statement": statement.digest})
        self._save()

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
        self.source = NodeSource(self.transport, self.watch)
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


def _made(model: type[Any], **members: Any) -> Any:
    """Return a payload from its members as JSON has them; limits are the model's to check."""
    try:
        return model.model_validate_json(json.dumps(members))
    except ValidationError as exc:
        error = exc.errors(include_url=False)[0]
        where = ".".join(str(part) for part in error["loc"]) or model.kind_name
        raise Malformed(f"{where}: {error['msg'].removeprefix('Value error, ')[:200]}") from exc


def _kind_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return a kind as statements spell it: what is a set in TOML stands in its order."""
    kind = dict(said)
    kind["writers"] = sorted(kind.get("writers", []))
    if "ladders" in kind:
        ranks = {level.value: level.rank for level in Precedence}
        kind["ladders"] = sorted(
            kind["ladders"], key=lambda use: ranks.get(str(use["at_least"]), 0)
        )
    return kind


def _name_taken(address: str, by: str) -> NotReady:
    return NotReady(
        f"{address} is the name of {by}; a member and a post never share one",
        safe="nothing was signed",
        do="enrol under another name with --as",
    )


def _file(digest: str, kind: str) -> str:
    return f"statements/{check_digest(digest)}.{kind}"


def _texts(data: bytes, form: str, wanted: set[str]) -> dict[str, str]:
    members = parse_canonical(data.rstrip(b"\n"))
    if members.pop("format", None) != form:
        raise Malformed(f"not a file of the format {form}")
    if set(members) != wanted:
        raise Malformed(f"{form}: its members must be {', '.join(sorted(wanted))}")
    texts: dict[str, str] = {}
    for name, value in members.items():
        if not isinstance(value, str):
            raise Malformed(f"{form}: {name} is not a string")
        texts[name] = value
    return texts
