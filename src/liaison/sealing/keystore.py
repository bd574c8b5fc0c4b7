"""The keystore: one file of a device's secrets. protocols/sealing.md, SEAL-40 to SEAL-46.

It also boxes what a client keeps at rest (the cabinet). Where the file lies is the client's choice.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
import unicodedata
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from liaison.words.canonical import format_canonical, parse_canonical
from liaison.words.encoding import from_base64, to_base64
from liaison.words.errors import KeystoreLocked, Malformed, NotReady, Unreadable

FORMAT: Final = "liaison/keystore/1"
MAX_FILE_BYTES: Final = 16 * 2**20

_CABINET: Final = "cabinet"
_CABINET_INFO: Final = b"liaison/cabinet/1"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_SALT_BYTES: Final = 16
_NAME: Final = re.compile(r"[!-~]{1,200}")


@dataclass(frozen=True)
class Cost:
    """What one guess of the passphrase costs with Argon2id.

    The default is the second recommended choice of RFC 9106 Section 4.

    Raises:
        Malformed: outside the bounds, which keep a hostile file from asking for all memory.
    """

    memory_kib: int = 64 * 1024
    passes: int = 3
    lanes: int = 4

    def __post_init__(self) -> None:
        _check_bound("lanes", self.lanes, 1, 16)
        _check_bound("memory_kib", self.memory_kib, 8 * self.lanes, 1024 * 1024)
        _check_bound("passes", self.passes, 1, 16)

    def stretch(self, passphrase: str, salt: bytes) -> bytes:
        """Return the 32-byte key of ``passphrase``, taken in Unicode's form NFC."""
        return Argon2id(
            salt=salt,
            length=_KEY_BYTES,
            iterations=self.passes,
            lanes=self.lanes,
            memory_cost=self.memory_kib,
        ).derive(unicodedata.normalize("NFC", passphrase).encode("utf-8"))


@dataclass(frozen=True)
class _Header:
    """The first line of the file, authenticated with what follows (SEAL-42)."""

    cost: Cost
    salt: bytes
    nonce: bytes

    @classmethod
    def new(cls, cost: Cost) -> _Header:
        return cls(cost, secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES))

    @classmethod
    def from_line(cls, line: bytes) -> _Header:
        members = parse_canonical(line)
        if members.keys() != {"format", "lanes", "memory_kib", "nonce", "passes", "salt"}:
            raise Malformed("header: other members than those of a keystore")
        if members["format"] != FORMAT:
            raise Malformed(f"header: format is not {FORMAT}")
        cost = Cost(
            _integer(members["memory_kib"]), _integer(members["passes"]), _integer(members["lanes"])
        )
        return cls(
            cost,
            from_base64(_text(members["salt"]), _SALT_BYTES),
            from_base64(_text(members["nonce"]), _NONCE_BYTES),
        )

    def to_line(self) -> bytes:
        return format_canonical(
            {
                "format": FORMAT,
                "lanes": self.cost.lanes,
                "memory_kib": self.cost.memory_kib,
                "nonce": to_base64(self.nonce),
                "passes": self.cost.passes,
                "salt": to_base64(self.salt),
            }
        )


@dataclass(frozen=True)
class StretchedKey:
    """What a passphrase was stretched to for one salt: it opens the keystore as long as that lasts."""

    salt: bytes
    key: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        return self.salt + self.key

    @classmethod
    def from_bytes(cls, data: bytes) -> StretchedKey:
        """Return the key that ``to_bytes`` spelled; Malformed where it has another length."""
        if len(data) != _SALT_BYTES + _KEY_BYTES:
            raise Malformed(f"a stretched key of {len(data)} bytes")
        return cls(data[:_SALT_BYTES], data[_SALT_BYTES:])

    def fits(self, path: Path) -> bool:
        """Return whether the keystore at ``path`` has this salt: else its passphrase was changed."""
        try:
            return _Header.from_line(_read(path)[0]).salt == self.salt
        except (Malformed, KeystoreLocked, NotReady):
            return False


class Keystore:
    """An open keystore. ``secrets`` (name to bytes) is the caller's; ``save`` writes it."""

    def __init__(
        self, path: Path, header: _Header, key: bytes, cabinet: bytes, kept: dict[str, bytes]
    ) -> None:
        self.path = path
        self.secrets = kept
        self._header = header
        self._key = key
        self._cabinet = cabinet

    @classmethod
    def create(cls, path: Path | str, passphrase: str, *, cost: Cost | None = None) -> Keystore:
        """Write a new keystore at ``path``, which must not exist, and return it.

        Raises:
            NotReady: something is there already; it stays as it is.
            Malformed: an empty passphrase.
        """
        return cls._new(path, passphrase, cost or Cost(), secrets.token_bytes(_KEY_BYTES), {})

    def copy(
        self, path: Path | str, passphrase: str, kept: dict[str, bytes], *, cost: Cost | None = None
    ) -> Keystore:
        """Write a new keystore that holds ``kept`` and opens the same boxes, and return it.

        Raises:
            NotReady, Malformed: as ``create``; a name in ``kept`` may be Malformed too.
        """
        return self._new(path, passphrase, cost or self._header.cost, self._cabinet, kept)

    @classmethod
    def _new(
        cls, at: Path | str, passphrase: str, cost: Cost, cabinet: bytes, kept: dict[str, bytes]
    ) -> Keystore:
        path = Path(at)
        _check_passphrase(passphrase)
        header = _Header.new(cost)
        key = cost.stretch(passphrase, header.salt)
        store = cls(path, header, key, cabinet, dict(kept))
        temporary = _write_beside(path, store._to_bytes(header, key))
        try:
            # A link, unlike a rename, never replaces what is there.
            os.link(temporary, path)
        except FileExistsError as exc:
            raise NotReady(
                f"There is already a file at {path}",
                safe="it was left as it is",
                do="open that keystore, or choose another place",
            ) from exc
        finally:
            temporary.unlink()
        _sync_folder(path)
        return store

    @classmethod
    def open(cls, path: Path | str, passphrase: str | StretchedKey) -> Keystore:
        """Return the keystore at ``path``; a key that was stretched before opens it at once.

        Raises:
            KeystoreLocked: a wrong passphrase, or a file that isn't a keystore or was altered.
            NotReady: no file there.
        """
        path = Path(path)
        line, sealed = _read(path)
        try:
            header = _Header.from_line(line)
        except Malformed as exc:
            raise _not_a_keystore(path) from exc
        if isinstance(passphrase, StretchedKey):
            key = passphrase.key
        else:
            key = header.cost.stretch(passphrase, header.salt)
        try:
            document = AESGCM(key).decrypt(header.nonce, sealed, line + b"\n")
        except InvalidTag as exc:
            raise KeystoreLocked(
                f"The keystore {path} doesn't open: wrong passphrase, or the file was altered",
                safe="nothing was changed",
                do="try again; if the passphrase is lost, no copy of this file helps: restore the home's "
                "backup, which has one of its own (liaison key restore), or enrol anew. If it is surely "
                "right, put back a copy of the file",
            ) from exc
        try:
            kept = {k: from_base64(_text(v)) for k, v in parse_canonical(document).items()}
            cabinet = kept.pop(_CABINET)
        except (Malformed, KeyError) as exc:
            raise _not_a_keystore(path) from exc
        return cls(path, header, key, cabinet, kept)

    @property
    def key(self) -> StretchedKey:
        """What opens this keystore again without its passphrase."""
        return StretchedKey(self._header.salt, self._key)

    def save(self) -> None:
        """Replace the file by what is in ``secrets`` now: after a crash, the old or the new one.

        Raises:
            NotReady: another process saved since this one opened the file; nothing was written.
            Malformed: a name that isn't 1 to 200 printable ASCII characters, or is reserved.
        """
        self._replace(replace(self._header, nonce=secrets.token_bytes(_NONCE_BYTES)), self._key)

    def change_passphrase(self, passphrase: str, *, cost: Cost | None = None) -> None:
        """Save under another passphrase, with a new salt. Copies made before keep the old one.

        Raises:
            NotReady, Malformed: as ``save``; an empty passphrase is Malformed.
        """
        _check_passphrase(passphrase)
        header = _Header.new(cost or self._header.cost)
        self._replace(header, header.cost.stretch(passphrase, header.salt))

    def box(self, data: bytes, label: str) -> bytes:
        """Return ``data`` sealed for this keystore alone, to be opened under ``label`` only."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._box_key()).encrypt(nonce, data, label.encode("utf-8"))

    def unbox(self, data: bytes, label: str) -> bytes:
        """Return what was boxed under ``label``.

        Raises:
            Unreadable: reason ``cabinet``: altered, of another keystore, or under another label.
        """
        nonce, sealed = data[:_NONCE_BYTES], data[_NONCE_BYTES:]
        try:
            return AESGCM(self._box_key()).decrypt(nonce, sealed, label.encode("utf-8"))
        except (InvalidTag, ValueError) as exc:  # ValueError: shorter than a nonce
            raise Unreadable(
                "What the cabinet keeps doesn't open with this keystore",
                reason="cabinet",
                safe="the note itself, and its receipt, aren't touched by this",
                do="restore the cabinet together with its keystore, or ask for a grant",
            ) from exc

    def _box_key(self) -> bytes:
        return HKDF(SHA256(), _KEY_BYTES, salt=None, info=_CABINET_INFO).derive(self._cabinet)

    def _to_bytes(self, header: _Header, key: bytes) -> bytes:
        for name in self.secrets:
            if name == _CABINET or not _NAME.fullmatch(name):
                raise Malformed(f"name of a secret: {name[:80]!r} is reserved or not plain ASCII")
        document = {name: to_base64(secret) for name, secret in self.secrets.items()}
        document[_CABINET] = to_base64(self._cabinet)
        line = header.to_line() + b"\n"
        return line + AESGCM(key).encrypt(header.nonce, format_canonical(document), line)

    def _replace(self, header: _Header, key: bytes) -> None:
        data = self._to_bytes(header, key)
        # Each save has its own nonce, so the first line tells whose save the file is.
        if _read(self.path)[0] != self._header.to_line():
            raise NotReady(
                f"Another process saved the keystore {self.path} in between",
                safe="its version stays; nothing of this one was written",
                do="open the keystore again and repeat what you did",
            )
        temporary = _write_beside(self.path, data)
        try:
            temporary.replace(self.path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self._header, self._key = header, key
        _sync_folder(self.path)


def _read(path: Path) -> tuple[bytes, bytes]:
    """Return the header line, without its newline, and the sealed rest."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as exc:
        raise NotReady(
            f"There is no keystore at {path}",
            safe="nothing was changed",
            do="check the path, or create a keystore there",
        ) from exc
    line, newline, sealed = data.partition(b"\n")
    if len(data) > MAX_FILE_BYTES or not newline or len(sealed) < _TAG_BYTES:
        raise _not_a_keystore(path)
    return line, sealed


def _write_beside(path: Path, data: bytes) -> Path:
    """Return a synced file of ``data`` in the folder of ``path``, for its owner only."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink()
        raise
    return temporary


def _sync_folder(path: Path) -> None:
    """Make the new name of ``path`` survive a power cut too."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_a_keystore(path: Path) -> KeystoreLocked:
    return KeystoreLocked(
        f"The file {path} isn't a keystore that this version knows, or was altered",
        safe="nothing was changed",
        do="check the path, or restore the file from a copy",
    )


def _check_passphrase(passphrase: str) -> None:
    if not passphrase.strip():
        raise Malformed("the passphrase is empty", safe="nothing was written", do="choose one")


def _check_bound(what: str, number: int, least: int, most: int) -> None:
    if not least <= number <= most:
        raise Malformed(f"{what}: {number}, not {least} to {most}")


def _integer(value: object) -> int:
    if type(value) is not int:
        raise Malformed("header: a cost is not an integer")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Malformed("a member is not a string")
    return value
