"""The error tree. Each class has a public ``code``; ``docs/errors.md`` lists them.

A text says what happened, what is safe, and what to do, in this order; the code comes last.
"""

from __future__ import annotations

from typing import ClassVar


class LiaisonError(Exception):
    """Something a person or a peer can act on. Anything else that escapes is a defect of ours."""

    code: ClassVar[str] = "error"

    def __init__(self, happened: str, *, safe: str = "", do: str = "") -> None:
        super().__init__(happened)
        self.happened = happened
        self.safe = safe
        self.do = do

    def __str__(self) -> str:
        return " · ".join(part for part in (self.happened, self.safe, self.do) if part)


class Malformed(LiaisonError):
    """Bytes that have no reading, or more than one. The one who made them can correct them."""

    code = "malformed"

    def within(self, field: str) -> Malformed:
        """Return the same complaint with ``field`` named in front."""
        return Malformed(f"{field}: {self.happened}", safe=self.safe, do=self.do)


class Damaged(LiaisonError):
    """A file at home isn't what was written there. It stays as it is, for whoever can mend it."""

    code = "damaged"


class SignatureInvalid(LiaisonError):
    """A signature is not one over these bytes by the key that it names."""

    code = "signature-invalid"


class LogUntrusted(LiaisonError):
    """Log data contradicts itself or a signature. Nobody retries this: it is evidence."""

    code = "log-untrusted"


class RecordUntrusted(LogUntrusted):
    """One record isn't what its statement says: nothing of it is believed, and the others stand."""


class ChainBroken(LiaisonError):
    """From the pinned authority no unbroken chain of statements leads to what was shown."""

    code = "chain-broken"


class Unreadable(LiaisonError):
    """A note addressed to this device can't be opened; nothing of it is shown.

    ``reason`` is the code that an *unreadable* answer carries (protocols/sealing.md).
    """

    code = "unreadable"

    def __init__(self, happened: str, *, reason: str, safe: str = "", do: str = "") -> None:
        super().__init__(happened, safe=safe, do=do)
        self.reason = reason


class KeystoreLocked(LiaisonError):
    """The keystore didn't open: a wrong passphrase, or a file that was altered."""

    code = "keystore-locked"


class RefusedByNode(LiaisonError):
    """The node refused a statement as a whole. ``refusal`` is its signed word on it, or empty."""

    code = "refused"

    def __init__(
        self,
        happened: str,
        *,
        problem: str,
        status: int = 0,
        refusal: bytes = b"",
        safe: str = "",
        do: str = "",
    ) -> None:
        super().__init__(happened, safe=safe, do=do)
        self.problem = problem
        self.status = status
        self.refusal = refusal


class NodeUnreachable(LiaisonError):
    """No answer from the node: whether it accepted anything isn't known yet."""

    code = "node-unreachable"


class NotHere(LiaisonError):
    """What was asked for isn't here, or isn't for the one who asks."""

    code = "not-here"


class NotAllowed(LiaisonError):
    """The one who asks has no valid session, or isn't entitled."""

    code = "not-allowed"


class Busy(LiaisonError):
    """Not now: the same bytes may be sent again after ``retry_after_s`` seconds."""

    code = "busy"

    def __init__(
        self, happened: str, *, retry_after_s: int = 1, safe: str = "", do: str = ""
    ) -> None:
        super().__init__(happened, safe=safe, do=do)
        self.retry_after_s = retry_after_s


class TooLarge(LiaisonError):
    """More bytes than the limit that the text names."""

    code = "too-large"


class TooSlow(LiaisonError):
    """What was to be sent did not come in time."""

    code = "too-slow"


class Overloaded(Busy):
    """More urgent statements go first, and more came than can be decided: come again."""

    code = "overloaded"


class Limited(Busy):
    """One member or party sent more in a second than it may: come again."""

    code = "limited"


class DiskReserve(Busy):
    """The disk's last bytes are kept for what is urgent: come again."""

    code = "disk-reserve"


class DiskFull(LiaisonError):
    """There is no room on the disk, and no reserve: the node ends."""

    code = "disk-full"


class ClockSuspect(Busy):
    """The clock stepped, or the log's head lies in the future: nothing is committed for now."""

    code = "clock-suspect"


class CommitFailed(Busy):
    """The store didn't take a batch; nothing of it happened."""

    code = "commit-failed"


class GuardRefused(LiaisonError):
    """The guard and the store don't agree, or the guard is missing or held: nothing is signed."""

    code = "guard-refused"


class NotReady(LiaisonError):
    """A local precondition isn't met: a missing file, pin, key or channel."""

    code = "not-ready"
