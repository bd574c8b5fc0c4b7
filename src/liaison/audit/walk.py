"""Walks: read a source from its first entry to its last, through a check, to a report.

What a source says wrongly ends in a report; that it doesn't answer at all is raised.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Final

from liaison.audit.replay import Replay
from liaison.audit.report import Difference, Differs, Report, printable
from liaison.audit.source import PAGE, Anchors, CellRow, End, Source
from liaison.audit.verify import Verifier
from liaison.ledger.record import Record, record_from
from liaison.tlog.checkpoint import Checkpoint
from liaison.words.errors import LiaisonError, LogUntrusted, Malformed, NotHere
from liaison.words.times import MINUTE, to_rfc3339

Progress = Callable[[int, int], None]
"""Told after each page: entries done, entries in all."""

Audit = Coroutine[Any, Any, Report]

AHEAD_MAX: Final = 2 * MINUTE

_COMMITTED: Final = (
    "order and integrity: each entry is the one that the log committed to, at its place",
    "completeness: every entry up to the size above was opened and read; none is left out",
    "origin: each statement is signed by a key that the log had bound before it; what was due has none",
    "form: times ascend, each scope's records are counted without a gap, all tiles are of these leaves",
)
_SIGNED: Final = (
    "the log key signed this size and root: a log that says otherwise contradicts itself"
)
_NOT_REFUSALS: Final = (
    "that nothing was refused: a refusal is not in the log, only in its receiver's hands"
)
_NOT_TIMES: Final = (
    "when things happened: only their order is proven; "
    "times are the node's own word until witnesses cosign"
)
_NOT_RULES: Final = (
    "that the rules allowed what is recorded, and that what was due was due: `audit replay` decides "
    "each record anew"
)
_NOT_SIGNED: Final = (
    "that others were shown this log: no signed checkpoint was part of this audit "
    "(--checkpoint FILE adds one), so a store that was cut at its end, or rewritten as a "
    "whole, would look the same"
)
_NOT_STATE: Final = (
    "that the node's state, inboxes and contents are those of the records: `audit replay` of its "
    "home compares them"
)
_NOT_CONTENT: Final = "what notes say: contents are sealed and were not read"

_DECIDED: Final = (
    "rules: from the statements alone, decided at the recorded times, the same records follow, byte for byte",
    "time: each record without a statement was due at its moment, by the state that the records lead to",
)
_CELLS: Final = (
    "state: the store's cells are exactly those to which the records lead; so are the inboxes, the "
    "sealed contents and the wraps that it keeps for its readers"
)
_NOT_CELLS: Final = (
    "the node's state: this source has no cells to compare; audit the node's home for that"
)
_NOT_COMMITTED: Final = (
    "that the log committed to these records, and that their statements are signed: "
    "`audit verify` checks that"
)


async def verify(
    source: Source,
    anchors: Anchors,
    *,
    now: int,
    checkpoints: Sequence[str] = (),
    progress: Progress | None = None,
) -> Report:
    """Recompute the log from its entries, under the source's signed checkpoint if it has one.

    ``checkpoints`` are further signed ones that the caller kept: the log must contain each.
    ``now`` is in microseconds, for what lies in the future.

    Raises:
        LiaisonError: the source couldn't be read: NodeUnreachable, NotAllowed, NotReady, Busy.
    """
    verifier = Verifier(anchors)
    signed: list[Checkpoint] = []
    walk = _verify(source, verifier, checkpoints, signed, progress or silent)
    difference = await _first(walk, verifier)
    largest = max((checkpoint.size for checkpoint in signed), default=None)
    counts = verifier.counts
    not_proven = (_NOT_RULES, _NOT_STATE, _NOT_REFUSALS, _NOT_TIMES, _NOT_CONTENT)
    return Report(
        audit="verify",
        origin=anchors.origin,
        size=verifier.size,
        root=verifier.root.hex(),
        checkpoint_size=largest,
        counts={
            "entries": counts.entries,
            "openings": counts.openings,
            "signatures": counts.signatures,
            "tiles": counts.tiles,
            **({"due records": counts.due} if counts.due else {}),
        },
        proven=() if difference else (*_COMMITTED, *_signed(largest, verifier.size)),
        not_proven=()
        if difference
        else (*not_proven, *((_NOT_SIGNED,) if largest is None else ())),
        remarks=_remarks(verifier.last_at, now),
        first_at=verifier.first_at,
        last_at=verifier.last_at if verifier.size else None,
        difference=difference,
    )


async def replay(
    source: Source, anchors: Anchors, *, now: int, progress: Progress | None = None
) -> Report:
    """Decide every record anew and compare it, and the cells where the source has some.

    Raises as ``verify``.
    """
    fold = Replay(anchors)
    cells = source.cells()
    has_cells = cells is not None
    difference = await _first(_replay(source, cells, anchors, fold, progress or silent), fold)
    counts = {"records": fold.counts.records}
    if has_cells:
        counts["cells"] = fold.counts.cells
    if fold.counts.due:
        counts["due records"] = fold.counts.due
    if fold.counts.kept:
        counts["kept for readers"] = fold.counts.kept
    return Report(
        audit="replay",
        origin=anchors.origin,
        size=fold.size,
        counts=counts,
        proven=() if difference else (*_DECIDED, *((_CELLS,) if has_cells else ())),
        not_proven=()
        if difference
        else (_NOT_COMMITTED, _NOT_REFUSALS, _NOT_TIMES, *(() if has_cells else (_NOT_CELLS,))),
        remarks=(*(() if difference else fold.remarks()), *_remarks(fold.last_at, now)),
        first_at=fold.first_at,
        last_at=fold.last_at if fold.size else None,
        digest=None if difference else fold.digest(),
        difference=difference,
    )


async def records(
    source: Source, anchors: Anchors, progress: Progress | None = None
) -> AsyncIterator[tuple[int, Record]]:
    """Give each record with its index, as the source shows it: nothing of it is checked.

    Raises:
        LiaisonError: as ``verify``; Malformed, if a record has no reading.
    """
    text, end = await source.checkpoint(), await source.end()
    published = None if text is None else Verifier(anchors).open_checkpoint(text).size
    size = _size(published, end)
    for start in range(0, size, PAGE):
        stop = min(size, start + PAGE)
        for entry in await source.opened(start, stop):
            yield entry.index, record_from(entry.fields)
        (progress or silent)(stop, size)


def _signed(largest: int | None, size: int) -> tuple[str, ...]:
    if largest is None:
        return ()
    if largest < size:
        return (f"{_SIGNED}: size {largest:,}; {size - largest:,} entries came after it",)
    return (_SIGNED,)


async def _first(walk: Coroutine[Any, Any, None], check: Verifier | Replay) -> Difference | None:
    try:
        await walk
    except Differs as exc:
        return exc.difference
    except (Malformed, LogUntrusted, NotHere) as exc:
        return _unreadable(exc, check.size)
    return None


def _unreadable(exc: LiaisonError, size: int) -> Difference:
    """What has no reading where ``size`` entries were read before."""
    return Difference(
        where=f"entry {size} or behind",
        field="source",
        expected="what protocols/log.md and protocols/api.md describe",
        came=printable(exc.happened),
        index=size,
    )


async def _verify(
    source: Source,
    verifier: Verifier,
    kept: Sequence[str],
    signed: list[Checkpoint],
    progress: Progress,
) -> None:
    text, end = await source.checkpoint(), await source.end()
    signed += [verifier.open_checkpoint(each) for each in (text, *kept) if each is not None]
    size = _size(None if text is None else signed[0].size, end, signed)
    while verifier.size < size:
        start = verifier.size
        # A checkpoint's root is that of a tree that ends there.
        ends = [c.size for c in signed if c.size > start]
        stop = min(size, start - start % PAGE + PAGE, *ends)
        opened = await source.opened(start, stop)
        leaves = await source.leaves(start, stop)
        await _check_tiles(source, verifier, verifier.take(opened, leaves, end=stop))
        for checkpoint in signed:
            if checkpoint.size == verifier.size:
                verifier.check_checkpoint(checkpoint)
        progress(verifier.size, size)
    await _check_tiles(source, verifier, dict(verifier.edge_tiles()))
    if end is not None:
        verifier.check_end(end)
        await _check_nothing_behind(source, size)


async def _check_tiles(source: Source, verifier: Verifier, tiles: dict[Any, bytes]) -> None:
    came = await source.tiles(tiles)
    for tile, expected in tiles.items():
        verifier.check_tile(tile, expected, came.get(tile))


async def _check_nothing_behind(source: Source, size: int) -> None:
    behind = await source.opened(size, size + 1)
    if behind:
        raise Differs(
            Difference(f"entry {size}", "index", "the end of the log", "an entry", index=size)
        )


def _size(published: int | None, end: End | None, signed: Sequence[Checkpoint] = ()) -> int:
    """Return how many entries there must be: one at least, for a log begins with its keys."""
    size = end.size if end is not None else published or 0
    if size < 1:
        raise Differs(Difference("head", "size", "the log's first record", "an empty log"))
    for checkpoint in signed:
        if checkpoint.size > size:
            expected, came = f"{checkpoint.size} entries", f"a log of {size}"
            raise Differs(Difference("checkpoint", "size", expected, came))
    return size


async def _replay(
    source: Source,
    cells: AsyncIterator[CellRow] | None,
    anchors: Anchors,
    fold: Replay,
    progress: Progress,
) -> None:
    text, end = await source.checkpoint(), await source.end()
    published = None if text is None else Verifier(anchors).open_checkpoint(text).size
    size = _size(published, end)
    while fold.size < size:
        start = fold.size
        stop = min(size, start - start % PAGE + PAGE)
        opened = await source.opened(start, stop)
        for entry in opened:
            fold.take(entry.index, entry.fields)
        if fold.size != stop:
            index = min(fold.size, stop)
            expected, came = f"{stop - start} entries from {start}", str(len(opened))
            raise Differs(Difference(f"entry {index}", "index", expected, came, index=index))
        progress(fold.size, size)
    if cells is not None:
        fold.check_cells([row async for row in cells])
    kept = source.kept()
    if kept is not None:
        fold.check_kept([row async for row in kept])


def _remarks(last_at: int, now: int) -> tuple[str, ...]:
    if last_at <= now + AHEAD_MAX:
        return ()
    ahead = (last_at - now) // 1_000_000
    own = to_rfc3339(now)
    return (f"the last record's time lies {ahead:,} s ahead of this machine's clock, {own}",)


def silent(done: int, size: int) -> None:
    """Tell nobody."""
