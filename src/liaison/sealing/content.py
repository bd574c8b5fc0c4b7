"""What a note says: subject and parts, as padded bytes. protocols/sealing.md, SEAL-20 to SEAL-28.

Parts are kept and never executed; whether to show one is the client's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from liaison.words.canonical import format_canonical, parse_canonical
from liaison.words.errors import Malformed, Unreadable

VERSION: Final = 1
MIN_PADDED_BYTES: Final = 1024
MAX_PARTS: Final = 256
MAX_SUBJECT_CHARS: Final = 200
MAX_NAME_CHARS: Final = 200
TEXT: Final = "text/plain"

_LENGTH_BYTES: Final = 4
_HEADER_MEMBERS: Final = frozenset({"parts", "subject", "v"})
_PART_MEMBERS: Final = frozenset({"bytes", "lang", "name", "role", "type"})
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_LANG: Final = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,6}")
_SEPARATORS: Final = re.compile(r"[/\\]")

_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, but tab and line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # the twelve of Unicode's Bidi_Control
    "\u2028\u2029"  # line and paragraph separator
    "\u00ad\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb"  # no width, no shape
    "\U000e0000-\U000e007f\ud800-\udfff]"  # tags, which can carry a hidden text; surrogates
)


class Role(StrEnum):
    """What a part is beside the others: a language version has authority or it hasn't."""

    AUTHENTIC = "authentic"
    COURTESY = "courtesy"
    MACHINE = "machine"


@dataclass(frozen=True)
class Part:
    """One text or file of a note.

    ``type`` is a media type in lower case without parameters, ``lang`` a BCP 47 tag, ``name`` a
    file name without a path.

    Raises:
        Malformed: a member outside its limits.
    """

    data: bytes = field(repr=False)
    type: str = TEXT
    role: Role = Role.AUTHENTIC
    name: str | None = field(default=None, repr=False)
    lang: str | None = None

    def __post_init__(self) -> None:
        if not _TYPE.fullmatch(self.type):
            raise Malformed("type of a part: not a media type in lower case without parameters")
        if self.lang is not None and not _LANG.fullmatch(self.lang):
            raise Malformed("lang of a part: not a language tag such as en or pt-BR")
        if self.name is not None:
            _check_text("name of a part", self.name, MAX_NAME_CHARS)
            if self.name in ("", ".", "..") or _SEPARATORS.search(self.name):
                raise Malformed("name of a part: not a file name without a path")


@dataclass(frozen=True)
class Content:
    """Subject (at most 200 code points) and parts, the first of them the text itself.

    Raises:
        Malformed: a subject outside its limits, or a first part that isn't nameless UTF-8 text.
    """

    subject: str = field(repr=False)
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        _check_text("subject", self.subject, MAX_SUBJECT_CHARS)
        if not 1 <= len(self.parts) <= MAX_PARTS:
            raise Malformed(f"{len(self.parts)} parts, not 1 to {MAX_PARTS}")
        first = self.parts[0]
        if first.type != TEXT or first.name is not None:
            raise Malformed(f"the first part is not {TEXT} without a name")
        try:
            first.data.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise Malformed(f"the first part is not UTF-8 at byte {exc.start}") from exc

    @classmethod
    def text(cls, subject: str, body: str, lang: str | None = None) -> Content:
        """Return a content of one authentic text.

        Raises:
            Malformed: as the class, or a lone surrogate in ``body``.
        """
        try:
            data = body.encode("utf-8")
        except UnicodeEncodeError as exc:
            raise Malformed(f"body: a lone surrogate at character {exc.start}") from exc
        return cls(subject, (Part(data, lang=lang),))

    @property
    def body(self) -> str:
        """The text of the first part, as written; ``visible`` it before it is shown."""
        return self.parts[0].data.decode("utf-8")


def format_content(content: Content) -> bytes:
    """Return the padded plaintext of ``content``.

    Raises:
        Malformed: 4 GiB or more.
    """
    header = {
        "parts": [_describe(part) for part in content.parts],
        "subject": content.subject,
        "v": VERSION,
    }
    inner = b"".join((format_canonical(header), b"\n", *(part.data for part in content.parts)))
    if len(inner) >= 2**32:
        raise Malformed(f"content of {len(inner)} bytes, not below 4 GiB")
    data = len(inner).to_bytes(_LENGTH_BYTES, "big") + inner
    return data.ljust(padded_bytes(len(data)), b"\0")


def parse_content(data: bytes) -> Content:
    """Return the content that ``data``, padding included, spells: the inverse of format_content.

    Raises:
        Malformed: sizes that don't meet, padding that isn't zeros, a header outside the rules.
        Unreadable: reason ``newer``: the header is of a version, or has a member, unknown here.
    """
    if len(data) < MIN_PADDED_BYTES:
        raise Malformed(f"plaintext of {len(data)} bytes, less than {MIN_PADDED_BYTES}")
    end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
    if end > len(data) or padded_bytes(end) != len(data):
        raise Malformed(f"length field and size don't meet: {end} of {len(data)} bytes")
    if data.count(0, end) != len(data) - end:
        raise Malformed("the padding has a byte that isn't zero")
    header_end = data.find(b"\n", _LENGTH_BYTES, end)
    if header_end < 0:
        raise Malformed("no newline ends the header")
    header = parse_canonical(data[_LENGTH_BYTES:header_end])
    _check_version(header)
    subject, described = header.get("subject"), header.get("parts")
    if not isinstance(subject, str) or not isinstance(described, list):
        raise Malformed("header: subject is not a string, or parts not an array")
    parts: list[Part] = []
    start = header_end + 1
    for members in described:
        size = _size_of(members)
        if size > end - start:
            raise Malformed("the parts are longer than the content")
        parts.append(_part(members, data[start : start + size]))
        start += size
    if start != end:
        raise Malformed(f"{end - start} bytes behind the last part")
    return Content(subject, tuple(parts))


def padme(size: int) -> int:
    """Return the PADMÉ size for ``size`` bytes: at most 12 % more, few distinct sizes.

    With E = floor(log2 size) and S = floor(log2 E) + 1, the lowest E - S bits of the result are
    zero (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files", PETS 2019, Section 4).
    """
    if size < 2:
        return size
    exponent = size.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (size + mask) & ~mask


def padded_bytes(size: int) -> int:
    """Return the padded size of a plaintext of ``size`` bytes, the length field included."""
    return max(MIN_PADDED_BYTES, padme(size))


def visible(text: str) -> str:
    """Return ``text`` with what would hide, reorder or overwrite spelled out, as ⟨U+202E⟩.

    Tab and line feed stay, and so does a carriage return before a line feed, as the line feed.
    """
    return _INVISIBLE.sub(lambda m: f"⟨U+{ord(m[0]):04X}⟩", text.replace("\r\n", "\n"))


def _describe(part: Part) -> dict[str, object]:
    members: dict[str, object] = {
        "bytes": len(part.data),
        "role": str(part.role),
        "type": part.type,
    }
    if part.lang is not None:
        members["lang"] = part.lang
    if part.name is not None:
        members["name"] = part.name
    return members


def _check_version(header: Mapping[str, object]) -> None:
    version = header.get("v")
    if type(version) is not int:
        raise Malformed("header: v is not an integer")
    if version != VERSION or not header.keys() <= _HEADER_MEMBERS:
        raise _newer()


def _newer() -> Unreadable:
    return Unreadable(
        "The content was made by a newer version of liaison",
        reason="newer",
        safe="nothing of it is shown, and it stays as it is",
        do="update liaison and open the note again",
    )


def _size_of(members: object) -> int:
    if not isinstance(members, Mapping):
        raise Malformed("header: a part is not an object")
    if not members.keys() <= _PART_MEMBERS:
        raise _newer()
    size = members.get("bytes")
    if type(size) is not int or size < 0:
        raise Malformed("header: bytes of a part is not a natural number")
    return size


def _part(members: Mapping[str, object], data: bytes) -> Part:
    texts: dict[str, str] = {}
    for name in ("lang", "name", "role", "type"):
        value = members.get(name, "" if name in ("lang", "name") else None)
        if not isinstance(value, str):
            raise Malformed(f"header: {name} of a part is not a string")
        texts[name] = value
    if texts["role"] not in set(Role):
        raise Malformed("header: role of a part is not authentic, courtesy or machine")
    return Part(
        data,
        texts["type"],
        Role(texts["role"]),
        texts["name"] if "name" in members else None,
        texts["lang"] if "lang" in members else None,
    )


def _check_text(what: str, text: str, max_chars: int) -> None:
    if len(text) > max_chars:
        raise Malformed(f"{what}: {len(text)} characters, more than {max_chars}")
    if _CONTROL.search(text):
        raise Malformed(f"{what}: a control character, or not well-formed UTF-8")
