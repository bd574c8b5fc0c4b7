"""Entries: eight commitments, always of one length, and the openings that reveal single fields.

protocols/log.md, ENT. A commitment is salted under a key of its own entry, so that a leaf shows
neither kind, nor parties, nor time, and nobody can test a guess; an opening reveals one field.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from liaison.ledger.record import FIELDS
from liaison.words.encoding import from_base64url, to_base64url
from liaison.words.errors import LogUntrusted, Malformed

LEAF_KEY_BYTES: Final = 32
SALT_BYTES: Final = 32
_SCHEMA: Final = "liaison-entry/1"
_PREFIXES: Final = tuple(
    (
        b"liaison/salt/v1\0" + name.encode("ascii"),
        b"liaison/field/v1\0" + bytes([len(name)]) + name.encode("ascii"),
    )
    for name in FIELDS
)
_ENTRY: Final = re.compile(
    r'\{"c":\[((?:"[A-Za-z0-9_-]{43}",){7}"[A-Za-z0-9_-]{43}")\],"s":"liaison-entry/1"\}'
)


@dataclass(frozen=True)
class Opening:
    """One field of an entry revealed: its name, its bytes, its salt (32 bytes)."""

    name: str
    value: bytes
    salt: bytes


def commit_to(fields: Sequence[bytes], leaf_key: bytes) -> tuple[bytes, tuple[Opening, ...]]:
    """Return the leaf that commits to the eight fields, and the openings of all of them.

    ``leaf_key`` is 32 random bytes of this entry alone.
    """
    if len(leaf_key) != LEAF_KEY_BYTES:
        # HMAC pads its key with zeros, so that a longer one could open the same leaf.
        raise ValueError(f"leaf key of {len(leaf_key)} bytes, not {LEAF_KEY_BYTES}")
    openings = tuple(
        Opening(name, value, hmac.digest(leaf_key, salted, "sha256"))
        for name, (salted, _), value in zip(FIELDS, _PREFIXES, fields, strict=True)
    )
    commitments = [
        _commit(prefix, opening.salt, opening.value)
        for (_, prefix), opening in zip(_PREFIXES, openings, strict=True)
    ]
    return format_entry(commitments), openings


def format_entry(commitments: Sequence[bytes]) -> bytes:
    """Return the leaf's text: one line of canonical JSON, 397 bytes for every record."""
    texts = [to_base64url(commitment) for commitment in commitments]
    return json.dumps({"c": texts, "s": _SCHEMA}, separators=(",", ":")).encode("ascii")


def parse_entry(entry: bytes) -> tuple[bytes, ...]:
    """Return the eight commitments of a leaf, 32 bytes each.

    Raises:
        Malformed: not the one spelling of a leaf.
    """
    try:
        found = _ENTRY.fullmatch(entry.decode("ascii"))
    except UnicodeDecodeError as exc:
        raise Malformed("entry: not ASCII") from exc
    if found is None:
        raise Malformed(f"entry: not eight commitments of schema {_SCHEMA}")
    return tuple(from_base64url(text.strip('"'), 32) for text in found[1].split(","))


def check_openings(entry: bytes, openings: Sequence[Opening]) -> dict[str, bytes]:
    """Return the opened fields by name if each opening leads to its commitment in ``entry``.

    Raises:
        Malformed: the entry has no reading, or a field is unknown or opened twice.
        LogUntrusted: an opening doesn't lead to the commitment.
    """
    commitments = parse_entry(entry)
    values: dict[str, bytes] = {}
    for opening in openings:
        if opening.name not in FIELDS:
            raise Malformed(f"opening: no field {opening.name!r}")
        if opening.name in values:
            raise Malformed(f"opening: field {opening.name!r} is opened twice")
        if len(opening.salt) != SALT_BYTES:
            raise Malformed(f"opening: salt of {len(opening.salt)} bytes, not {SALT_BYTES}")
        place = FIELDS.index(opening.name)
        if _commit(_PREFIXES[place][1], opening.salt, opening.value) != commitments[place]:
            raise LogUntrusted(f"field {opening.name!r} is not the one that the entry commits to")
        values[opening.name] = opening.value
    return values


def _commit(prefix: bytes, salt: bytes, value: bytes) -> bytes:
    return hashlib.sha256(prefix + salt + len(value).to_bytes(4, "big") + value).digest()
