"""Encodings with exactly one spelling: base64, base64url, decimals. protocols/statements.md, ENC.

A parser returns a value or raises ``Malformed``, and is the exact inverse of its formatter.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from liaison.words.errors import Malformed

_DECIMAL: Final = re.compile(r"(?:0|[1-9][0-9]{0,18})\Z", re.ASCII)
_URL_TO_STANDARD: Final = str.maketrans("-_", "+/")


def to_base64(data: bytes) -> str:
    """Return padded base64 of the standard alphabet (RFC 4648 Section 4)."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str, size: int | None = None) -> bytes:
    """Return the bytes of padded base64 whose trailing bits are zero; ``size`` is in bytes.

    Raises:
        Malformed: any other spelling, or another number of bytes than ``size``.
    """
    return _decode(text, size, "padded base64")


def to_base64url(data: bytes) -> str:
    """Return unpadded base64 of the URL-safe alphabet (RFC 4648 Section 5), as entries use it."""
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def from_base64url(text: str, size: int | None = None) -> bytes:
    """Return the bytes of unpadded base64url whose trailing bits are zero; ``size`` is in bytes.

    Raises:
        Malformed: any other spelling, or another number of bytes than ``size``.
    """
    if "+" in text or "/" in text or "=" in text:
        raise Malformed("not unpadded base64url: it has a character of another alphabet")
    padded = text.translate(_URL_TO_STANDARD) + "=" * (-len(text) % 4)
    return _decode(padded, size, "unpadded base64url")


def _decode(text: str, size: int | None, spelling: str) -> bytes:
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as exc:  # binascii.Error, and text outside ASCII
        raise Malformed(f"not {spelling}: {exc}") from exc
    if to_base64(data) != text:
        raise Malformed(f"not {spelling}: its trailing bits aren't zero")
    if size is not None and len(data) != size:
        raise Malformed(f"{len(data)} bytes, not {size}")
    return data


def to_decimal(number: int) -> str:
    """Return a natural number below 10^19 as ASCII digits without leading zeros."""
    if number < 0:
        raise ValueError(f"negative: {number}")
    if number >= 10**19:
        raise ValueError("not below 10^19, and no parser would read it back")
    return str(number)


def from_decimal(text: str) -> int:
    """Return the natural number below 10^19 that ``text`` spells, digits only, no leading zero.

    Raises:
        Malformed: any other spelling.
    """
    if not _DECIMAL.match(text):
        raise Malformed(f"not a plain decimal number: {text[:24]!r}")
    return int(text)
