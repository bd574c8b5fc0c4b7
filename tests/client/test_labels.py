"""A node that labels things falsely: items, references, positions in the queue, files' names.

Beside each lie the honest run passes, in ``test_acting``.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from liaison.client import Client, Unopened
from liaison.client.reading import check_note
from liaison.ledger.facts import AnswerFacts, ExtensionFacts, ReleaseFacts, RungFacts
from liaison.rules import cells
from liaison.rules.refusal import Refused
from liaison.statements.payloads import Seen, Verdict
from liaison.statements.procedures import WatchAction
from liaison.statements.statement import make_statement
from liaison.words.errors import ChainBroken, LogUntrusted, Malformed
from liaison.words.times import DAY, MINUTE
from tests import world as worlds
from tests.client.council import HEAD, council, letters, news, untrusted
from tests.client.hostile import Desk, HostileWorld
from tests.client.test_acting import flash, proposal, verbale
from tests.world import DORA, digest


@pytest.fixture
async def world(tmp_path, monkeypatch):
    async with council(tmp_path, monkeypatch) as made:
        yield made


def lying(client: Client, change: Callable[[dict[str, Any]], None], prefix: str = "/v1/") -> None:
    """Let the node's answers below ``prefix`` be changed on their way."""
    honest = client.transport.read

    async def read(path: str) -> Any:
        answer = await honest(path)
        if path.startswith(prefix):
            change(answer)
        return answer

    client.transport.read = read  # type: ignore[method-assign]


def forging(client: Client, kind: type[Any], **update: Any) -> None:
    """Let the log have committed to other facts beside a true statement."""
    verify = client.watch.verify_any

    def forged(text: str, known: Any = None) -> Any:
        entry = verify(text, known)
        if not isinstance(entry.record.facts, kind):
            return entry
        facts = entry.record.facts.model_copy(update=update)
        return replace(entry, record=replace(entry.record, facts=facts))

    client.watch.verify_any = forged  # type: ignore[method-assign]


def relabelled(**kinds: str) -> Callable[[dict[str, Any]], None]:
    def change(answer: dict[str, Any]) -> None:
        for item in answer.get("items", []):
            item["kind"] = kinds.get(str(item["kind"]), item["kind"])

    return change


async def test_an_operator_acts_on_no_other_note_than_the_one_that_was_named(world):
    async with world.client("F") as f:
        first, _ = await f.send(flash()), await f.send(flash())
    async with world.client("O") as o:
        assert (await o.find("london-hotline/1"))[0] == first.digest
        swapped = {"london-hotline/1": "london-hotline/2", "london-hotline/2": "london-hotline/1"}

        def swap(answer: dict[str, Any]) -> None:
            for item in answer.get("items", []):
                item["reference"] = swapped[item["reference"]]

        lying(o, swap, "/v1/watch")
        with pytest.raises(LogUntrusted, match="shows another note as london-hotline/1"):
            await o.watch_act("london-hotline/1", WatchAction.CLAIM)
        assert not o.outbox.has_waiting


@pytest.mark.parametrize(
    ("seconds", "false"), [(0, {"note": "watch"}), (3.1, {"alert": "reminder"})]
)
async def test_an_item_is_what_its_record_makes_it(world, seconds, false):
    async with world.client("F") as f:
        await f.send(flash())
    await world.passes(seconds)
    async with world.client("M") as m:
        lying(m, relabelled(**false))
        with pytest.raises(LogUntrusted, match="as what it isn't"):
            await m.inbox()
    async with world.client("M") as m:
        assert letters(await m.inbox())  # nothing was passed over


async def test_no_label_leads_a_file_out_of_the_home(world, tmp_path):
    async with world.client("F") as f:
        await f.send(flash())
        await f.withdraw("london-hotline/1")
    async with world.client("M") as m:
        lying(m, relabelled(procedure="x/../../../../elsewhere/evil"))
        with pytest.raises(LogUntrusted):
            await m.inbox()
        with pytest.raises(Malformed, match="not named"):
            m.home.path("receipts/../../evil")
    assert not [str(path) for path in tmp_path.rglob("*evil*")]


async def test_what_was_extended_is_what_the_chair_signed(world):
    until = world.clock.now() + 5 * MINUTE
    async with world.client("F") as f:
        await f.send(proposal(until))
    async with world.client("C") as c:
        await c.inbox()
        await c.extend("council/1", until + MINUTE)
    async with world.client("M") as m:
        forging(m, ExtensionFacts, silence_until=until + 30 * DAY)
        items = await m.inbox()
        assert "not what its extension says" in untrusted(items)
        assert len(letters(items)) == 1
        assert news(items) == []


async def test_a_rung_of_another_note_is_not_told_of_this_one(world):
    async with world.client("F") as f:
        await f.send(flash())
    await world.passes(3.1)
    async with world.client("M") as m:
        forging(m, RungFacts, sender="somebody@fco.example")
        items = await m.inbox()
        assert "says of london-hotline/1 what it isn't" in untrusted(items)
        assert len(letters(items)) == 1
        assert news(items) == []


async def test_a_release_gives_no_reference_to_another_note(world):
    async with world.client("F") as f:
        other = await f.send(flash())
        drafted = await f.send(verbale(clear=(), info=(HEAD,)))
    async with world.client("R") as r:
        await r.inbox()
        await r.release(await r.read(drafted.reference))
    async with world.client("F") as f:
        with pytest.raises(LogUntrusted, match="not its own"):
            f.cabinet.rename(other.digest, "london-notes/1")
        shutil.copytree(f.home.root, world.folder / "F2")
        forging(f, ReleaseFacts, note=other.digest, reference=1)
        assert "not what its release says" in untrusted(await f.inbox())
        assert f.cabinet.digest("london-hotline/1") == other.digest
        assert not f.cabinet.has("london-notes/1")
    async with world.client("F2") as f:
        assert [item.kind for item in news(await f.inbox())] == ["released"]
        assert f.cabinet.digest("london-notes/1") == drafted.digest


async def test_an_answer_in_one_channel_is_to_no_note_of_another(world):
    async with world.client("F") as f:
        first, second = await f.send(flash()), await f.send(flash())
    async with world.client("M") as m:
        await m.inbox()
        await m.acknowledge(first.reference)
        key, notes = m.device.key, (await m.book.channel("london-notes")).cell.channel
    async with world.client("F") as f:
        (told,) = await f.inbox()
        assert (told.reference, told.verdict) == (first.reference, Verdict.ACKNOWLEDGED)
    async with world.client("M") as m:
        await m.acknowledge(second.reference)
    async with world.client("F") as f:
        verify = f.watch.verify_any

        def elsewhere(text: str, known: Any = None) -> Any:
            """Give an answer as if M had signed, and the log taken, it for another channel."""
            entry = verify(text, known)
            facts, said = entry.record.facts, entry.statement.payload
            if not isinstance(facts, AnswerFacts):
                return entry
            answer = make_statement(said.model_copy(update={"channel": notes}), key)
            facts = facts.model_copy(update={"channel": notes})
            return replace(entry, statement=answer, record=replace(entry.record, facts=facts))

        f.watch.verify_any = elsewhere
        (bad,) = await f.inbox()
        assert isinstance(bad, Unopened)
        assert isinstance(bad.error, ChainBroken)
        assert "An answer in london-notes names a note of another channel" in str(bad.error)


async def test_a_checkpoint_that_another_saw_of_another_log_is_told_and_kept(world):
    async with world.client("F") as f:
        await f.send(flash())
    async with world.client("M") as m:
        gossip = m.watch.gossip
        m.watch.gossip = lambda who, seen, index: gossip(
            who, Seen(size=seen.size, root=digest("another log")), index
        )
        await m.inbox()
    async with world.client("M") as m:
        (dispute,) = m.disputed
        assert dispute == (
            "attache.london.1@fco.example says in entry 59 to have seen another log of 59 entries "
            "than this one"
        )


async def test_a_note_cant_have_seen_entries_that_come_after_it(world):
    async with world.client("F") as f:
        await f.send(flash())
    async with world.client("M") as m:
        gossip = m.watch.gossip
        m.watch.gossip = lambda who, seen, index: gossip(
            who, Seen(size=index + 1, root=seen.root), index
        )
        await m.inbox()
        assert m.disputed


async def test_the_reader_demands_the_release_that_the_charter_asks_for(tmp_path):
    world = HostileWorld()
    world.__dict__.update(worlds.verbale().__dict__)
    kind = next(k for k in world.have(cells.Channel, world.channel).kinds if k.release)
    note = world.note(kind=kind.kind)
    assert isinstance(world.submit(note), Refused)
    entry = world.force(note, world.note_facts(note))
    desk = Desk(tmp_path / "M", world, DORA)
    view = await desk.book.channel(world.alias)
    with pytest.raises(ChainBroken, match="without a release"):
        await check_note(desk.book, entry, view)
    # Nor after an amendment that asks for none: the charter that the note names does.
    cell, charter = view.cell, view.charter
    free = tuple(kind.model_copy(update={"release": None}) for kind in charter.kinds)
    later = {"charter": digest("amended"), "opened_at": entry.at + 1, "kinds": free}
    succeeds = {"channel": cell.channel, "previous": cell.charter, "kinds": free}
    amended = replace(
        view, cell=cell.model_copy(update=later), charter=charter.model_copy(update=succeeds)
    )
    with pytest.raises(ChainBroken, match="without a release"):
        await check_note(desk.book, entry, amended)
    # And none of the former charter is taken from then on.
    before = replace(amended, cell=cell.model_copy(update={**later, "opened_at": entry.at - 1}))
    with pytest.raises(ChainBroken, match="another charter than the one that was held"):
        await check_note(desk.book, entry, before)
