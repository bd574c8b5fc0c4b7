"""What came of a statement, in words and for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from liaison.cli.context import Shape
from liaison.cli.shapes import of_done, of_sent, of_told
from liaison.client import Done, Sent, Told
from liaison.client.doubts import Doubt
from liaison.client.outbox import Signed
from liaison.client.outcomes import Accepted
from liaison.sealing.content import visible
from liaison.statements.payloads import Verdict
from liaison.words.times import to_dtg


def in_words(accepted: Accepted) -> Iterable[str]:
    """Return what the log took, line by line."""
    if isinstance(accepted, Sent):
        return sent_in_words(accepted)
    if isinstance(accepted, Told):
        return (told_in_words(accepted),)
    return (done_in_words(accepted),)


def as_shape(accepted: Accepted) -> Shape:
    if isinstance(accepted, Sent):
        return of_sent(accepted)
    return of_told(accepted) if isinstance(accepted, Told) else of_done(accepted)


def sent_in_words(done: Sent) -> Iterator[str]:
    """Return where a note stands now; a draft has no reference yet."""
    if done.reference.rpartition("/")[2].startswith("draft-"):
        yield f"DRAFTED {done.reference} at {to_dtg(done.at)} (receipt: {done.receipt})"
        yield f"Nobody else can read it. Next: clearances (ack), then: liaison release {done.reference}"
        return
    number = f", number {done.number}" if done.number else ""
    yield f"ACCEPTED {done.reference}{number} at {to_dtg(done.at)} (receipt: {done.receipt})"


def told_in_words(told: Told) -> str:
    """Return who said what of which note, and who was first."""
    text = f"{told.reference} was {_SAID[told.verdict]} by {told.by} for {told.post} at {to_dtg(told.at)}"
    if told.reason:
        text += f" ({visible(told.reason)})"
    if told.verdict is Verdict.UNREADABLE:
        names = told.reference.split(", ")
        text += (
            f"; to let them read it: {'; '.join(f'liaison grant {n} {told.post}' for n in names)}"
        )
    if told.first is not None:
        first = told.first
        text += f"; {first.by} was first, for {first.post} at {to_dtg(first.at)}"
    return text + doubt_in_words(told.doubt)


def waiting_in_words(signed: Signed) -> str:
    """Return what waits in the outbox, as far as it isn't sealed."""
    where = f" on {signed.alias}" if signed.alias else ""
    return f"a {signed.kind}{where}, {signed.about}"


def doubt_in_words(doubt: Doubt | None) -> str:
    """Return what stands behind something that a key in other hands signed."""
    return f"  {doubt.in_words()}" if doubt is not None else ""


_SAID = {
    Verdict.ACKNOWLEDGED: "acknowledged",
    Verdict.DECLINED: "declined",
    Verdict.DELIVERED: "delivered",
    Verdict.UNREADABLE: "found unreadable",
}


_DONE = {"withdrawal": "withdrawn", "objection": "objected to", "extension": "extended"}
"""How it is said of a note that it was done; else by the kind of statement."""


def done_in_words(done: Done) -> str:
    late = (
        " (too late: silence had ended; it is recorded and changes nothing)" if done.is_late else ""
    )
    what = _DONE.get(done.what, done.what).upper().replace("-", " ")
    return f"{what} {done.reference} at {to_dtg(done.at)}{late} (receipt: {done.receipt})"
