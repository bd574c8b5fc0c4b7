"""Where a client's receipts come from: the node, or a file; each is verified before it is given on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final
from urllib.parse import quote

from liaison.client.handover import Records
from liaison.client.home import Home
from liaison.client.shown import Shown
from liaison.client.transport import Transport
from liaison.client.watching import Entry, Watch, check_digest
from liaison.words.errors import LogUntrusted, Malformed, NodeUnreachable, NotHere
from liaison.words.ids import check_id

_OF_PARTY: Final = ("members", "postings", "keys")
_OF_CHANNEL: Final = ("accessions", "rosters")


class _Fresh(dict[str, list[Entry]]):
    """What the node shows now, with the answer that it was read from."""

    def __init__(
        self, path: str, answer: dict[str, object], entries: dict[str, list[Entry]]
    ) -> None:
        super().__init__(entries)
        self.path = path
        self.answer = answer


class NodeSource:
    """``links.Source`` over HTTP; of parties and channels also from memory, while the node is away.

    What it showed last, and held, is kept (``shown``). It is verified as if it came now, and
    nothing is sealed under a directory that lapsed: a node that is away can keep no old view up for
    longer than one that shows it.
    """

    def __init__(self, transport: Transport, watch: Watch, home: Home) -> None:
        self._transport = transport
        self._watch = watch
        self._shown = Shown(home)
        self._statements: dict[str, Entry] = {}
        self.is_from_memory = False
        """Whether something was asked for that only memory could give."""

    async def statement(self, digest: str) -> Entry:
        """Return the logged statement with this digest."""
        known = self._statements.get(digest)
        if known is None:
            text = await self._transport.read_text(f"/v1/statements/{check_digest(digest)}")
            known = self._watch.verify(text)
            if known.statement.digest != digest:
                raise Malformed("the node shows another statement than the one that was asked for")
            self._statements[digest] = known
        return known

    async def party(self, party: str) -> dict[str, list[Entry]]:
        path = f"/v1/parties/{quote(check_id('party id', party))}"
        return await self._read(path, self._party_entries)

    def held(self, shown: dict[str, list[Entry]]) -> None:
        """Keep what was shown of a party or a channel: all of it holds."""
        if isinstance(shown, _Fresh):
            self._shown.keep(shown.path, shown.answer)

    async def of_party(self, party: str, *, after: int) -> AsyncIterator[Entry]:
        """Give all that was said of the own party behind its ``after``-th record, without a gap.

        Raises:
            LogUntrusted: one is left out.
        """
        is_more = True
        while is_more:
            answer = await self._transport.read(
                f"/v1/parties/{quote(check_id('party id', party))}/statements?after={after}"
            )
            entries = self._entries(answer, "statements")
            for entry in entries:
                _check_next(entry, party, after)
                after += 1
                yield entry
            is_more = bool(answer.get("more")) and bool(entries)

    async def channel(self, alias: str) -> dict[str, list[Entry]]:
        return await self._read(
            f"/v1/channels/{quote(check_id('alias', alias))}", self.channel_entries
        )

    async def _read(
        self, path: str, entries: Callable[[dict[str, object]], dict[str, list[Entry]]]
    ) -> dict[str, list[Entry]]:
        """Return what the node shows, or showed last where it has answered nothing yet.

        Raises:
            NodeUnreachable: it is away, and this was never asked for.
        """
        try:
            answer = await self._transport.read(path)
        except NodeUnreachable:
            kept = None if self._transport.has_answered else self._shown.get(path)
            if kept is None:
                raise
            self.is_from_memory = True
            return entries(kept)
        return _Fresh(path, answer, entries(answer))

    def _party_entries(self, answer: dict[str, object]) -> dict[str, list[Entry]]:
        shown = {name: self._entries(answer, name) for name in _OF_PARTY}
        shown["party"] = self._entries(answer, "party", is_one=True)
        shown["directory"] = self._entries(answer, "directory", is_one=True)
        return shown

    def channel_entries(self, answer: dict[str, object]) -> dict[str, list[Entry]]:
        shown = {name: self._entries(answer, name) for name in _OF_CHANNEL}
        shown["charter"] = self._entries(answer, "charter", is_one=True)
        # Nodes of an earlier release show none of these.
        for name in ("participations", "minimized"):
            shown[name] = self._entries({name: [], **answer}, name)
        shown["proposed"] = []
        proposed = answer.get("proposed", [])
        for item in proposed if isinstance(proposed, list) else []:
            if not isinstance(item, dict):
                raise Malformed("the node's answer: proposed holds something that isn't an object")
            shown["proposed"] += self._entries(item, "charter", is_one=True)
            shown["proposed"] += self._entries(item, "accessions")
        return shown

    def _entries(
        self, answer: dict[str, object], name: str, *, is_one: bool = False
    ) -> list[Entry]:
        value = answer.get(name)
        if is_one:
            value = [] if value is None else [value]
        if not isinstance(value, list):
            raise Malformed(f"the node's answer: {name} is not a list")
        return [self._entry(text) for text in _texts(value, name)]

    def _entry(self, text: str) -> Entry:
        entry = self._watch.verify(text)
        self._statements[entry.statement.digest] = entry
        return entry


def _texts(value: Iterable[object], name: str) -> list[str]:
    texts: list[str] = []
    for item in value:
        if not isinstance(item, str):
            raise Malformed(f"the node's answer: {name} holds something that isn't a receipt")
        texts.append(item)
    return texts


class CarriedSource:
    """``links.Source`` of what was carried to a home that is offline: one party, and no other."""

    def __init__(self, records: Records, watch: Watch) -> None:
        self._party = records.party
        self._entries = [watch.verify(text) for text in records.receipts]
        self.rosters = [watch.verify(text) for text in records.rosters]

    async def of_party(self, party: str, *, after: int) -> AsyncIterator[Entry]:
        """Give what was said of the party behind its ``after``-th record, without a gap.

        Raises:
            LogUntrusted: one is left out.
        """
        for entry in self._entries:
            if entry.record.channel.n > after:
                _check_next(entry, party, after)
                after += 1
                yield entry

    async def statement(self, digest: str) -> Entry:
        for entry in self._entries:
            if entry.statement.digest == digest:
                return entry
        raise NotHere("What was carried has not all that is needed", do="export it anew")

    async def party(self, party: str) -> dict[str, list[Entry]]:
        said = (
            [e for e in self._entries if e.statement.kind == "party"]
            if party == self._party
            else []
        )
        shown: dict[str, list[Entry]] = {name: [] for name in (*_OF_PARTY, "directory")}
        return {**shown, "party": said[-1:]}

    async def channel(self, alias: str) -> dict[str, list[Entry]]:
        raise NotHere(f"What was carried says nothing of {alias}")

    def held(self, shown: dict[str, list[Entry]]) -> None:
        """Keep nothing: what was carried is carried again."""


def _check_next(entry: Entry, party: str, after: int) -> None:
    if (entry.record.channel.id, entry.record.channel.n) != (party, after + 1):
        raise LogUntrusted(
            f"Record {after + 1} of {party} is left out",
            safe="nothing was signed on it",
            do="keep this home as it is and tell the auditors",
        )
