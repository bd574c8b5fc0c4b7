"""Names and identifiers, each with one spelling. protocols/statements.md, ID.

* party id: lower-case DNS-style name, ``fco.example``
* address: ``local@party``, of a member or a post (one name space)
* alias: what people call a channel, ``[a-z0-9-]{1,40}``
* origin: the log's name, a schema-less URL
* digest: 32 bytes, padded base64; channel ids, key ids and statement digests are digests
* note id: UUIDv7 (RFC 9562)
"""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

from liaison.words.errors import Malformed

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
PARTY_PATTERN: Final = rf"^{_LABEL}(?:\.{_LABEL}){{1,9}}$"
LOCAL_PATTERN: Final = r"^[a-z0-9](?:[a-z0-9.-]{0,62}[a-z0-9])?$"
ADDRESS_PATTERN: Final = rf"^[a-z0-9](?:[a-z0-9.-]{{0,62}}[a-z0-9])?@{_LABEL}(?:\.{_LABEL}){{1,9}}$"
ALIAS_PATTERN: Final = r"^[a-z0-9-]{1,40}$"
ORIGIN_PATTERN: Final = r"^[a-z0-9](?:[a-z0-9.:/_-]{0,252}[a-z0-9])?$"
DIGEST_PATTERN: Final = r"^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$"
NOTE_ID_PATTERN: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
MAX_PARTY_CHARS: Final = 120

_CHECKS: Final = {
    "party id": re.compile(PARTY_PATTERN, re.ASCII),
    "address": re.compile(ADDRESS_PATTERN, re.ASCII),
    "alias": re.compile(ALIAS_PATTERN, re.ASCII),
    "origin": re.compile(ORIGIN_PATTERN, re.ASCII),
    "digest": re.compile(DIGEST_PATTERN, re.ASCII),
    "local name": re.compile(LOCAL_PATTERN, re.ASCII),
}
_WITH_PARTY: Final = frozenset({"party id", "address"})


def check_id(what: str, text: str) -> str:
    """Return ``text`` if it is spelled as a ``what`` ('party id', 'address', 'alias', …).

    Raises:
        Malformed: it isn't; the text says what one looks like.
    """
    is_spelled = _CHECKS[what].fullmatch(text) and not text.endswith("\n")
    if what in _WITH_PARTY and len(party_of(text)) > MAX_PARTY_CHARS:
        is_spelled = False
    if not is_spelled:
        shape = {
            "party id": "a lower-case DNS-style name such as mod.example",
            "address": "a lower-case name such as duty.desk@mod.example",
            "alias": "1 to 40 of a-z, 0-9 and -",
            "origin": "a schema-less URL such as node.example/log",
            "digest": "32 bytes in padded base64",
            "local name": "a lower-case name such as duty.desk",
        }[what]
        raise Malformed(f"not a valid {what}: {text[:80]!r}; it must be {shape}")
    return text


def party_of(address: str) -> str:
    """Return the party id of an address, or the text itself where it has no local part."""
    return address.rpartition("@")[2]


def new_note_id(at: int, random: bytes) -> str:
    """Return a UUIDv7 for ``at`` (microseconds) from 10 random bytes (RFC 9562 Section 5.7)."""
    if len(random) != 10:
        raise ValueError(f"{len(random)} random bytes, not 10")
    raw = bytearray((at // 1000).to_bytes(6, "big") + random)
    raw[6] = 0x70 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    return str(UUID(bytes=bytes(raw)))
