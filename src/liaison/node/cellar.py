"""The cellar: cells in memory, loaded when a rule needs them, merged after a commit. design.md 7."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from liaison.node.ports import Reader
from liaison.rules.cells import C, Cell, CellKey
from liaison.rules.decide import EXPANDING
from liaison.rules.ruling import Peek

CELLS_KEPT: Final = 200_000

Asks = Callable[[Peek], set[CellKey]]
"""What an input needs, as far as the cells that it is shown tell."""


@dataclass
class Cellar:
    """A bounded cache over the store's cells; None is a cell known to be absent."""

    reader: Reader
    cells: dict[CellKey, Cell | None] = field(default_factory=dict)
    trimmed: int = 0

    def peek(self, cell: type[C], *ids: str) -> C | None:
        """Return a loaded cell, None where it is absent or not loaded."""
        found = self.cells.get(cell.key_of(*ids))
        assert found is None or isinstance(found, cell)
        return found

    async def get(self, cell: type[C], *ids: str) -> C | None:
        """Return a committed cell, loading it where it must.

        That there is none isn't kept: anybody may ask for what isn't there, as often as they like.
        """
        key = cell.key_of(*ids)
        while key not in self.cells:
            trimmed = self.trimmed
            found = (await self.reader.cells((key,)))[key]
            if key in self.cells or trimmed != self.trimmed:
                continue
            if found is None:
                return None
            self.cells[key] = found
        return self.peek(cell, *ids)

    async def load(self, keys: Collection[CellKey]) -> None:
        """Load those of ``keys`` that aren't in memory."""
        missing = [key for key in keys if key not in self.cells]
        while missing:
            trimmed = self.trimmed
            found = await self.reader.cells(missing)
            if trimmed != self.trimmed:
                continue  # what was merged while we read may be forgotten again: read anew
            missing = []
            for key, value in found.items():
                # A commit that merged meanwhile is newer than what was read.
                self.cells.setdefault(key, value)

    async def load_all(
        self, asks: Iterable[Asks], *, peek: Peek | None = None
    ) -> dict[int, Exception]:
        """Load what inputs need, each of which ``asks`` for it, in as few rounds as that takes.

        ``peek`` shows them the state, the committed one if None. Return, by place, what the rules
        raised where they should have said what they need.
        """
        open_ended = dict(enumerate(asks))
        failed: dict[int, Exception] = {}
        while open_ended:
            missing: dict[int, set[CellKey]] = {}
            for place, ask in open_ended.items():
                try:
                    wanted = ask(peek or self.peek)
                except Exception as exc:  # noqa: BLE001 one input must not stop the others
                    failed[place] = exc
                    continue
                missing[place] = {key for key in wanted if key not in self.cells}
            await self.load(set().union(*missing.values()))
            # Only some cells tell of further needs; the rest of the batch is complete now.
            open_ended = {
                place: open_ended[place]
                for place, keys in missing.items()
                if any(key[0] in EXPANDING for key in keys)
            }
        return failed

    def merge(self, changes: dict[CellKey, Cell]) -> None:
        """Take over the changes of a committed batch."""
        self.cells.update(changes)

    def trim(self) -> None:
        """Forget the half that was loaded first, when there is too much; between batches only."""
        if len(self.cells) > CELLS_KEPT:
            self.trimmed += 1
            for key in list(self.cells)[: CELLS_KEPT // 2]:
                del self.cells[key]
