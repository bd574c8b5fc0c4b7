"""Signed notes with Ed25519 keys. c2sp.org/signed-note v1.0.0; protocols/log.md, LOG-11 to LOG-14.

Cosignatures and other types of key are left to others; their lines are kept as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from liaison.tlog import ed25519
from liaison.words.encoding import from_base64, to_base64
from liaison.words.errors import LogUntrusted, Malformed

KEY_ID_BYTES: Final = 4
MAX_SIGNATURES: Final = 100
ED25519_TYPE: Final = b"\x01"

_DASH: Final = "\u2014 "
# Spelled out, since what a language's library calls a space changes with its Unicode tables.
_SPACES: Final = " \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_NAME: Final = re.compile(rf"[^\x00-\x1f+{_SPACES}]+")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")


def check_text(text: str) -> str:
    """Return ``text`` if a note may hold it: UTF-8, no control character but the newline.

    Raises:
        Malformed: it may not.
    """
    found = _CONTROL.search(text)
    if found:
        raise Malformed(f"control character U+{ord(found[0]):04X} at character {found.start()}")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as exc:
            raise Malformed(f"a lone surrogate at character {exc.start}") from exc
    return text


def check_name(name: str) -> str:
    """Return ``name`` if a key may bear it: not empty, without spaces, ``+`` or newline.

    Raises:
        Malformed: it may not.
    """
    if not _NAME.fullmatch(name):
        raise Malformed(
            f"key name {name[:80]!r} is empty or has a space, a + or a control character"
        )
    return check_text(name)


def key_id_of(name: str, public: bytes) -> bytes:
    """Return the 4 bytes by which signature lines name an Ed25519 key (LOG-12)."""
    return sha256(b"\n".join((name.encode(), ED25519_TYPE + public))).digest()[:KEY_ID_BYTES]


@dataclass(frozen=True)
class VerifierKey:
    """An Ed25519 public key under a name; the text form is known as *vkey*."""

    name: str
    key_id: bytes
    public: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        ed25519.check_public(self.public)
        expected = key_id_of(self.name, self.public)
        if self.key_id != expected:
            raise Malformed(f"key id {self.key_id.hex()} of {self.name}, not {expected.hex()}")

    @classmethod
    def make(cls, name: str, public: bytes) -> VerifierKey:
        return cls(check_name(name), key_id_of(name, public), public)

    def to_text(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{to_base64(ED25519_TYPE + self.public)}"

    @classmethod
    def from_text(cls, text: str) -> VerifierKey:
        """Return the key that a vkey spells.

        Raises:
            Malformed: it's none, of another type, or of a key that must not be trusted.
        """
        # The base64 may hold a + of its own.
        parts = text.split("+", 2)
        if len(parts) != 3:
            raise Malformed(f"not a verifier key name+id+key: {text[:80]!r}")
        name, key_id, encoded = parts
        if not re.fullmatch(r"[0-9a-f]{8}", key_id):
            raise Malformed(f"key id {key_id[:16]!r} isn't 8 digits of lower-case hex")
        try:
            key = from_base64(encoded)
        except Malformed as exc:
            raise exc.within("verifier key") from exc
        if key[:1] != ED25519_TYPE:
            raise Malformed(f"verifier key of type 0x{key[:1].hex()}, not 0x01 (Ed25519)")
        return cls(name, bytes.fromhex(key_id), key[1:])

    def has_signed(self, text: str, signature: bytes) -> bool:
        """Return whether ``signature`` is this key's over ``text``."""
        return ed25519.is_valid(self.public, signature, text.encode())


@dataclass(frozen=True)
class SignerKey:
    """An Ed25519 private key under a name; ``seed`` is its 32 secret bytes."""

    name: str
    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.seed) != ed25519.SEED_BYTES:
            raise Malformed(f"Ed25519 seed of {len(self.seed)} bytes, not {ed25519.SEED_BYTES}")

    @cached_property
    def _key(self) -> Ed25519PrivateKey:
        return ed25519.private_key(self.seed)

    @cached_property
    def verifier(self) -> VerifierKey:
        return VerifierKey.make(self.name, self._key.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """Return the signature line, with its newline, over ``text``, which ends in one."""
        signature = self._key.sign(_check_note_text(text).encode())
        return Signature(self.name, self.verifier.key_id, signature).to_line()

    def sign_note(self, text: str) -> str:
        """Return the note of ``text`` with this one signature."""
        return f"{text}\n{self.sign(text)}"


@dataclass(frozen=True)
class Signature:
    """One line below a note; what ``signature`` holds is up to the key's type."""

    name: str
    key_id: bytes
    signature: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.key_id) != KEY_ID_BYTES:
            raise Malformed(f"key id of {len(self.key_id)} bytes, not {KEY_ID_BYTES}")
        if not self.signature:
            raise Malformed(f"empty signature of {self.name}")

    def to_line(self) -> str:
        return f"{_DASH}{self.name} {to_base64(self.key_id + self.signature)}\n"

    @classmethod
    def from_line(cls, line: str) -> Signature:
        """Return the signature that a line spells, its newline included.

        Raises:
            Malformed: any other spelling.
        """
        if not line.startswith(_DASH) or not line.endswith("\n"):
            raise Malformed(f"not a signature line: {line[:80]!r}")
        name, _, encoded = line[len(_DASH) : -1].partition(" ")
        try:
            data = from_base64(encoded)
        except Malformed as exc:
            raise exc.within(f"signature of {name[:80]!r}") from exc
        return cls(name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])


@dataclass(frozen=True)
class SignedNote:
    """A text that ends in a newline, and 1 to 100 signatures, verified or not."""

    text: str
    signatures: tuple[Signature, ...]

    def __post_init__(self) -> None:
        _check_note_text(self.text)
        if not 1 <= len(self.signatures) <= MAX_SIGNATURES:
            raise Malformed(f"{len(self.signatures)} signatures, not 1 to {MAX_SIGNATURES}")

    def to_text(self) -> str:
        return "".join((self.text, "\n", *(each.to_line() for each in self.signatures)))

    @classmethod
    def from_text(cls, data: str) -> SignedNote:
        """Return the note that ``data`` spells; nothing is verified.

        Raises:
            Malformed: it spells none.
        """
        check_text(data)
        # The text may hold empty lines, the signatures can't: the last one divides.
        text, divider, below = data.rpartition("\n\n")
        if not divider:
            raise Malformed("no empty line between a note's text and its signatures")
        lines = below.split("\n")
        if lines.pop() != "":
            raise Malformed("a note's last line doesn't end in a newline")
        if len(lines) > MAX_SIGNATURES:
            raise Malformed(f"{len(lines)} signatures, not 1 to {MAX_SIGNATURES}")
        return cls(text + "\n", tuple(Signature.from_line(line + "\n") for line in lines))


class OpenedNote(NamedTuple):
    """The text of a note and the known keys that signed it, in the order of their lines."""

    text: str
    keys: tuple[VerifierKey, ...]


def open_note(data: str, known: Sequence[VerifierKey]) -> OpenedNote:
    """Return the text of a note that at least one known key signed (LOG-14).

    A line is a known key's if both name and key id are; other lines are ignored.

    Raises:
        Malformed: ``data`` is no signed note.
        LogUntrusted: a known key's signature fails, or none is there.
    """
    note = SignedNote.from_text(data)
    by_line: dict[tuple[str, bytes], VerifierKey] = {}
    for key in known:
        if by_line.setdefault((key.name, key.key_id), key) != key:
            # 4 bytes don't identify a key against someone who searches for a second one.
            raise Malformed(f"two known keys share the name {key.name} and id {key.key_id.hex()}")
    verified: dict[VerifierKey, None] = {}
    for signature in note.signatures:
        signer = by_line.get((signature.name, signature.key_id))
        if signer is None:
            continue
        if not signer.has_signed(note.text, signature.signature):
            raise LogUntrusted(
                f"signature of {signer.name} ({signer.key_id.hex()}) isn't one over this text"
            )
        verified[signer] = None
    if not verified:
        wanted = ", ".join(f"{key.name} ({key.key_id.hex()})" for key in known) or "nobody"
        found = ", ".join(f"{each.name} ({each.key_id.hex()})" for each in note.signatures[:4])
        raise LogUntrusted(f"no signature by {wanted}; signed by {found}")
    return OpenedNote(note.text, tuple(verified))


def _check_note_text(text: str) -> str:
    if not text.endswith("\n"):
        raise Malformed("a note's text doesn't end in a newline")
    return check_text(text)
