"""What the home of an authority or a registrar has signed and followed: ``authority.json`` and its files.

Each statement is a file; the state names, of each subject, the newest of them, and what of them still
waits to be posted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from liaison.client.home import Home
from liaison.client.watching import check_digest
from liaison.rules.chain import id_of
from liaison.statements.charters import Accession, Charter
from liaison.statements.payloads import Member, Party, Payload, Posting, Roster, State, Successive
from liaison.statements.statement import Statement, parse_statement, parse_statement_of
from liaison.words.encoding import from_base64, to_base64
from liaison.words.errors import NotReady

FILE: Final = "authority.json"
REGISTRAR: Final = "registrar"
SHUT_OUT: Final = "shut_out"
"""What the node said when it let this registrar read no more."""

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
    raw = [home.read(file_of(str(digest), model.kind_name)) for digest in found]
    return parse_statement_of(model, raw[0]).payload if raw else None


def registrar_in(home: Home) -> str:
    """Return the key id of the registrar whose home it is; empty where it is the authority's."""
    return str(home.read_state(FILE).get("key", ""))


def _about(home: Home, state: dict[str, Any], unposted: dict[str, str]) -> str:
    """Return what a statement is about, as people call it."""
    digest, kind = unposted["statement"], unposted["kind"]
    payload = parse_statement(home.read(file_of(digest, kind))).payload
    if isinstance(payload, Charter):
        return payload.alias
    if isinstance(payload, Successive) and not isinstance(payload, Roster):
        subject = subject_of(payload)
        return (
            subject if isinstance(payload, Member | Posting) else f"{payload.by} {payload.sequence}"
        )
    known = state["subjects"].get(kind, {}).values()
    return next((str(one["alias"]) for one in known if one["statement"] == digest), "")


class Filing:
    """The files of a party's home, as they stand. It holds no key, and asks no node."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._state = home.read_state(FILE)
        if not self._state:
            raise NotReady(
                f"{home.root} is not an authority's home",
                safe="nothing was done",
                do="begin with: liaison party new PARTY",
            )

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
    def unposted(self) -> list[Unposted]:
        """What was signed here and isn't in the log, as far as this home knows, in its order."""
        return unposted_in(self.home)

    @property
    def revoked(self) -> tuple[str, ...]:
        """The key ids of this party that were in force once and are no more."""
        return tuple(cast("list[str]", self._state.get("revoked", [])))

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

    # What was signed

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
        self.home.write(file_of(statement.digest, statement.kind), statement.raw)
        if isinstance(statement.payload, Party | Member):
            known = self._state.setdefault("revoked", [])
            gone = self._revoked_by(statement.payload)
            back = set[str]()
            if isinstance(statement.payload, Member) or sequence >= self._edition:
                back = in_force_by(statement.payload)  # that it isn't was never in the log
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
            subject = subject_of(payload)
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
                self._state["revoked"] = sorted({*known} - in_force_by(before))
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
        return {id_of(key) for key in keys} - in_force_by(payload)

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

    def _payload_of(self, unposted: dict[str, str]) -> Payload:
        return parse_statement(self._raw(unposted["statement"], unposted["kind"])).payload

    def _raw(self, digest: str, kind: str) -> bytes:
        return self.home.read(file_of(digest, kind))

    def _save(self) -> None:
        self.home.write_state(FILE, self._state)


def subject_of(payload: Payload) -> str:
    """Return what a statement's sequence is of, as this home keeps it (STMT-11)."""
    if isinstance(payload, Member):
        return payload.member
    if isinstance(payload, Posting):
        return payload.post
    if isinstance(payload, Party):
        return payload.party
    return payload.channel if isinstance(payload, Roster) else ""


def in_force_by(payload: Party | Member) -> set[str]:
    """Return the key ids that are in force by a statement, once it is the newest of its subject."""
    if isinstance(payload, Party):
        return {id_of(key) for key in (payload.authority, *(r.key for r in payload.registrars))}
    return {id_of(d.key) for d in payload.devices} if payload.state is not State.REVOKED else set()


def _charter(subject: dict[str, object]) -> dict[str, str]:
    return {"statement": str(subject["statement"]), "kind": Charter.kind_name}


def file_of(digest: str, kind: str) -> str:
    return f"statements/{check_digest(digest)}.{kind}"
