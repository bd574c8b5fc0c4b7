"""Times: microseconds since 1970 UTC, integers; screens show DTGs. protocols/statements.md, TIME.

No clock is read here: time is an argument.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from liaison.words.errors import Malformed

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_MONTHS: Final = (
    "JAN",
    "FEB",
    "MAR",
    "APR",
    "MAY",
    "JUN",
    "JUL",
    "AUG",
    "SEP",
    "OCT",
    "NOV",
    "DEC",
)
_DTG: Final = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})Z ([A-Z]{3}) ([0-9]{2})\Z", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_dtg(at: int, *, exact: bool = False) -> str:
    """Return ``at`` (microseconds) as a date-time group ``DDHHMMZ MON YY``, cut to the minute.

    Exact, it has seconds, ``DDHHMMSSZ MON YY``; no statement carries that form.
    A screen must be able to show any time that a statement holds, so no century is refused here;
    ``from_dtg`` reads the years 2000 to 2099 only.
    """
    t = _EPOCH + timedelta(microseconds=at)
    seconds = f"{t.second:02}" if exact else ""
    return f"{t.day:02}{t.hour:02}{t.minute:02}{seconds}Z {_MONTHS[t.month - 1]} {t.year % 100:02}"


def from_dtg(text: str) -> int:
    """Return the microseconds at the start of the minute that a DTG names (years 2000 to 2099).

    Raises:
        Malformed: not a DTG, or no such day or time.
    """
    found = _DTG.match(text)
    if not found or found[4] not in _MONTHS:
        raise Malformed(f"not a date-time group DDHHMMZ MON YY: {text[:24]!r}")
    day, hour, minute, year = int(found[1]), int(found[2]), int(found[3]), 2000 + int(found[5])
    try:
        t = datetime(year, _MONTHS.index(found[4]) + 1, day, hour, minute, tzinfo=UTC)
    except ValueError as exc:
        raise Malformed(f"no such date or time: {text}") from exc
    return (t - _EPOCH) // timedelta(microseconds=1)


_SPAN: Final = re.compile(r"([+-])([1-9][0-9]{0,5})([smhd])\Z", re.ASCII)
_DTG_SECONDS: Final = re.compile(r"([0-9]{6})([0-5][0-9])(Z [A-Z]{3} [0-9]{2})\Z", re.ASCII)
_RFC3339: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})\Z",
    re.ASCII,
)
_UNITS: Final = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}


def from_typed(text: str, now: int) -> int:
    """Return the time that a person typed: ``+4h`` or ``-4h`` from ``now`` (s, m, h, d), a DTG, RFC 3339.

    A DTG may have seconds, as screens show them.

    Raises:
        Malformed: none of these; the text says what one looks like.
    """
    span = _SPAN.match(text)
    if span:
        us = int(span[2]) * _UNITS[span[3]]
        return now + us if span[1] == "+" else now - us
    if _DTG.match(text.upper()):
        return from_dtg(text.upper())
    exact = _DTG_SECONDS.match(text.upper())
    if exact:
        return from_dtg(exact[1] + exact[3]) + int(exact[2]) * SECOND
    found = _RFC3339.match(text)
    if not found:
        raise Malformed(
            f"not a time: {text[:40]!r}",
            do="write +4h (s, m, h or d), 241600Z NOV 26 or 2026-11-24T16:00:00Z",
        )
    year, month, day, hour, minute = (int(found[i]) for i in range(1, 6))
    micros = int((found[7] or "").ljust(6, "0"))
    zone = found[8].upper()
    behind = 0
    if zone != "Z":
        behind = (int(zone[1:3]) * 60 + int(zone[4:6])) * (1 if zone[0] == "+" else -1)
    try:
        t = datetime(year, month, day, hour, minute, int(found[6] or 0), micros, tzinfo=UTC)
    except ValueError as exc:
        raise Malformed(f"no such date or time: {text}") from exc
    return (t - _EPOCH) // timedelta(microseconds=1) - behind * MINUTE


def year_of(at: int) -> int:
    """Return the UTC year of ``at`` (microseconds)."""
    return (_EPOCH + timedelta(microseconds=at)).year


def to_rfc3339(at: int) -> str:
    """Return ``at`` (microseconds) in UTC with all six decimals, for journals and audits."""
    return (_EPOCH + timedelta(microseconds=at)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
