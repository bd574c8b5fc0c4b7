"""Handed over: a new device's request and the approval that answers it, a registrar's request.

All are files of canonical JSON (protocols/statements.md, JSON) with a line break at the end. Two
people compare the request's check phrase by voice: docs/decisions/0017.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from mnemonic import Mnemonic
from pydantic import TypeAdapter, ValidationError

from liaison.rules.chain import id_of
from liaison.sealing.keystore import Cost
from liaison.statements.fields import Text
from liaison.statements.keys import check_possession
from liaison.statements.payloads import Member, Party, Posting
from liaison.statements.statement import Statement, parse_statement_of
from liaison.words.canonical import format_canonical, parse_canonical
from liaison.words.encoding import from_base64, to_base64
from liaison.words.errors import Malformed
from liaison.words.ids import check_id

REQUEST: Final = "liaison/request/1"
APPROVAL: Final = "liaison/approval/1"
DELEGABLE: Final = "liaison/registrar/1"
RECORDS: Final = "liaison/records/1"

PHRASE_WORDS: Final = 5
_PHRASE_SALT: Final = b"liaison/phrase/1"
_WORD_BITS: Final = 11
_NAME: Final = TypeAdapter[str](Text)


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

    @property
    def phrase(self) -> tuple[str, ...]:
        """Five words over all of the request, to be compared by voice."""
        return check_phrase(self.to_bytes())

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
        check_name(request.name)
        check_possession(request.member, from_base64(request.device, 32), request.proof)
        return request


@dataclass(frozen=True)
class RegistrarRequest:
    """What a registrar's home asks its authority for: to sign in the party's name, within bounds."""

    party: str
    key: str
    proof: str

    def to_bytes(self) -> bytes:
        return format_canonical({"format": DELEGABLE, **vars(self)}) + b"\n"

    @property
    def phrase(self) -> tuple[str, ...]:
        """Five words over all of the request, to be compared by voice."""
        return check_phrase(self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> RegistrarRequest:
        """Return the request that a file spells, its proof of possession checked.

        Raises:
            Malformed: it spells none.
        """
        request = cls(**_texts(data, DELEGABLE, {"party", "key", "proof"}))
        check_id("party id", request.party)
        check_possession(request.party, from_base64(request.key, 32), request.proof)
        return request


@dataclass(frozen=True)
class Approval:
    """What the authority, or its registrar, hands back: the party, the member and the posting, signed."""

    party: Statement[Party]
    member: Statement[Member]
    posting: Statement[Posting]

    def to_bytes(self) -> bytes:
        members = {name: to_base64(getattr(self, name).raw) for name in vars(self)}
        return format_canonical({"format": APPROVAL, **members}) + b"\n"

    @property
    def signers(self) -> dict[str, bytes]:
        """The keys that may have signed it, by their ids: the authority's and its registrars'."""
        party = self.party.payload
        keys = (party.authority, *(registrar.key for registrar in party.registrars))
        return {id_of(key): from_base64(key) for key in keys}

    @classmethod
    def from_bytes(cls, data: bytes) -> Approval:
        """Return the approval that a file spells, the party's statement signed by the authority.

        Member and posting are signed by it or by a registrar that it names; whether one may sign
        this, and still, is the node's to decide.

        Raises:
            Malformed: it spells none.
            SignatureInvalid: a statement isn't by the key that it names.
        """
        texts = _texts(data, APPROVAL, {"party", "member", "posting"})
        approval = cls(
            parse_statement_of(Party, from_base64(texts["party"])),
            parse_statement_of(Member, from_base64(texts["member"])),
            parse_statement_of(Posting, from_base64(texts["posting"])),
        )
        party = approval.party.payload
        if party.key != id_of(party.authority):
            raise Malformed("approval: the party statement isn't signed by its own authority")
        for statement in (approval.party, approval.member, approval.posting):
            if statement.payload.key not in approval.signers:
                raise Malformed(f"approval: the {statement.kind} is by no key of {party.party}")
            statement.check_signature(approval.signers[statement.payload.key])
        if {approval.member.payload.by, approval.posting.payload.by} != {
            approval.party.payload.party
        }:
            raise Malformed("approval: its statements are of several parties")
        return approval


@dataclass(frozen=True)
class Records:
    """What the log holds of a party, carried to a home that is offline: receipts, in their order."""

    party: str
    receipts: tuple[str, ...]
    """Of all records of the party's scope."""
    rosters: tuple[str, ...]
    """Of its newest rosters."""

    def to_bytes(self) -> bytes:
        return format_canonical({"format": RECORDS, **vars(self)}) + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Records:
        """Return the records that a file spells; what they prove is for others to check.

        Raises:
            Malformed: it spells none.
        """
        members = parse_canonical(data.rstrip(b"\n"))
        party = members.get("party")
        lists = [members.get(name) for name in ("receipts", "rosters")]
        if members.keys() != {"format", "party", "receipts", "rosters"} or (
            members["format"] != RECORDS or not isinstance(party, str)
        ):
            raise Malformed(f"not a file of the format {RECORDS}")
        receipts, rosters = (_strings(value) for value in lists)
        return cls(check_id("party id", party), receipts, rosters)


def check_name(name: str) -> str:
    """Return what people call a member, as a member statement can have it (statements.md, TEXT).

    Raises:
        Malformed: it can't.
    """
    try:
        return _NAME.validate_python(name)
    except ValidationError as exc:
        raise Malformed(
            f"a name has 1 to 200 characters, on one line, not {len(name)}: {name[:80]!r}"
        ) from exc


def _strings(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise Malformed(f"{RECORDS}: receipts and rosters are lists of texts")
    return tuple(value)


def check_phrase(data: bytes) -> tuple[str, ...]:
    """Return five words of BIP-39's English list, 55 bits of what Argon2id makes of ``data``.

    Each guess costs what one of a passphrase costs, so that nobody searches for another request
    with the same words. Takes about a tenth of a second.
    """
    digest = hashlib.sha256(data).hexdigest()
    number = int.from_bytes(Cost().stretch(digest, _PHRASE_SALT), "big")
    words = Mnemonic("english").wordlist
    number >>= 256 - PHRASE_WORDS * _WORD_BITS
    places = [number >> _WORD_BITS * n & (len(words) - 1) for n in range(PHRASE_WORDS)]
    return tuple(words[place] for place in reversed(places))


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
