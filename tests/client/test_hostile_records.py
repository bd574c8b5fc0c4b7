"""Records that a log took, and that aren't what their statements say; and notes that it is asked to name.

What is wrong with one record is told of it, aloud; the inbox and the stream go on behind it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from liaison.client import Client, Draft, Item, Told
from liaison.client.watching import check_digest
from liaison.ledger.facts import AnswerFacts
from liaison.ledger.receipt import Receipt
from liaison.ledger.record import Record, record_from
from liaison.node import deciding
from liaison.rules.decide import decide
from liaison.statements.payloads import Note, Verdict
from liaison.statements.statement import Statement
from liaison.words.errors import LogUntrusted, Malformed, NotHere, RecordUntrusted
from tests.client import liar
from tests.client.council import LONDON, letters, news, untrusted
from tests.client.lied import Lied, facts_of, kept_back, lied_to
from tests.client.test_acting import flash

PATIENCE_S = 30


@pytest.fixture
async def lied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lied]:
    async with lied_to(tmp_path, monkeypatch) as made:
        yield made


async def of_another_kind(lied: Lied) -> Statement[Note]:
    """Have the log take a note of F's device with facts that name another kind; return the note."""
    kept = await kept_back(lied)
    facts = facts_of(kept).model_copy(update={"kind": "test"})
    await lied.file(kept, facts=facts, content=b"x" * kept.payload.content.size)
    return kept


async def followed(client: Client, count: int) -> list[Item]:
    async with aclosing(client.follow()) as items, asyncio.timeout(PATIENCE_S):
        return [await anext(items) for _ in range(count)]


async def test_one_record_with_wrong_facts_is_stop_and_what_comes_behind_it_is_shown(
    lied: Lied,
) -> None:
    await of_another_kind(lied)
    behind = await lied.write()
    folder = lied.council.folder
    shutil.copytree(folder / "M", folder / "M2")
    async with lied.council.client("M") as m:
        listed = await m.inbox()
    async with lied.council.client("M2") as m:
        streamed = await followed(m, 3)
    for name, items in (("M", listed), ("M2", streamed)):
        said = untrusted(items)
        assert said.startswith("STOP: entry ")
        assert "are not what its note says · nothing of it is believed" in said
        (path,) = (folder / name / "evidence").iterdir()
        assert said.endswith(f"what the node said is kept: {path}")
        assert [one.reference for one in letters(items)] == ["london-hotline/1", behind.reference]
    for name in ("M", "M2"):
        async with lied.council.client(name) as m:
            assert await m.inbox() == []
            assert (await m.read(behind.reference)).content.subject


async def test_nothing_is_answered_to_a_record_that_isnt_believed(lied: Lied) -> None:
    kept = await of_another_kind(lied)
    async with lied.council.client("M") as m:
        await m.inbox()
    rows = await lied.council.running.services.reading.store.entries(0, 10_000)
    facts = [record_from(row.fields).facts for row in rows]
    answered = [note.note for one in facts if isinstance(one, AnswerFacts) for note in one.notes]
    async with lied.council.client("F") as f:
        assert answered == [f.cabinet.digest("london-hotline/1")]
    assert kept.digest not in answered


async def test_a_note_behind_a_record_with_wrong_facts_is_read_by_its_reference(lied: Lied) -> None:
    await of_another_kind(lied)
    behind = await lied.write()
    async with lied.council.client("M") as m:
        assert (await m.read(behind.reference)).reference == behind.reference
        with pytest.raises(RecordUntrusted, match="are not what its note says"):
            await m.read("london-hotline/99")
        with pytest.raises(NotHere):
            await m.read("london-hotline/77")


async def test_an_answer_that_the_log_turned_round_is_not_told_and_keeps_back_no_note(
    lied: Lied,
) -> None:
    world = lied.council
    async with world.client("M") as m:
        await m.inbox()

    def turned_round(view: Any, said: Statement[Any], at: int) -> Any:
        made = decide(view, said, at)
        if said.kind != "answer" or not isinstance(made, Record):
            return made
        return replace(made, facts=made.facts.model_copy(update={"verdict": Verdict.DECLINED}))

    async with world.client("F") as f:
        await f.inbox()  # the honest *delivered*
    with lied.monkeypatch.context() as patch:
        patch.setattr(deciding, "decide", turned_round)
        async with world.client("M") as m:
            with pytest.raises(RecordUntrusted):
                await m.acknowledge("london-hotline/1")
    async with world.client("M") as m:
        sent = await m.send(Draft("london-hotline", (LONDON,), flash().content, kind="leader"))
    async with world.client("F") as f:
        items = await f.inbox()
        assert "are not what its answer says" in untrusted(items)
        assert [one.reference for one in letters(items)] == [sent.reference]
        assert not [item for item in items if isinstance(item, Told)]
        assert await f.inbox() == []


async def test_a_record_that_has_no_reading_keeps_back_no_other(lied: Lied) -> None:
    kept = await kept_back(lied)
    with lied.monkeypatch.context() as patch:
        patch.setattr(liar, "Record", lambda **fields: Record(**{**fields, "statement": b"{}"}))
        await lied.file(kept, facts=facts_of(kept), content=b"x" * kept.payload.content.size)
    behind = await lied.write()
    async with lied.council.client("M") as m:
        items = await m.inbox()
        assert " has no reading: " in untrusted(items)
        assert [one.reference for one in letters(items)] == ["london-hotline/1", behind.reference]


async def test_what_a_node_opens_of_a_record_is_no_fault_of_the_record(lied: Lied) -> None:
    """Else a node could have a true note passed over."""

    def with_less(answer: Any) -> Any:
        receipt = Receipt.from_text(answer["items"][0]["receipt"])
        less = replace(receipt, openings=receipt.openings[:-1]).to_text()
        return {**answer, "items": [{**answer["items"][0], "receipt": less}]}

    lied.liar.lies["/v1/inbox"] = with_less
    async with lied.client("M") as m:
        with pytest.raises(Malformed, match="the receipt doesn't open"):
            await m.inbox()
    async with lied.council.client("M") as m:
        assert len(letters(await m.inbox())) == 1


def say_of_notes(client: Client, lie: dict[str, object]) -> None:
    """Have the node say this of any note, also to whom it says nothing of it when it is honest."""
    honest = client.transport.read

    async def read(path: str) -> dict[str, object]:
        return lie if path.startswith("/v1/notes/") else await honest(path)

    client.transport.read = read  # type: ignore[method-assign]


async def unanswered(lied: Lied) -> None:
    """Have note 1 acknowledged and note 2 not, until all are told."""
    async with lied.council.client("M") as m:
        await m.inbox()
        await m.acknowledge("london-hotline/1")
    await lied.write()
    await lied.council.passes(120)


@pytest.mark.parametrize("name", ["R", "O"])
async def test_whoever_is_told_of_a_note_of_others_is_told_it_by_what_the_log_named_it(
    lied: Lied, name: str
) -> None:
    """R is the ministry, O an operator: neither can read it, and both must run for the right one."""
    await unanswered(lied)
    folder = lied.council.folder
    for n in range(3):
        shutil.copytree(folder / name, folder / f"{name}{n}")
    async with lied.council.client("F") as f:
        index = f.kept("london-hotline/2").index
        answers = [
            await f.transport.read(f"/v1/notes/{check_digest(f.cabinet.digest(reference))}")
            for reference in ("london-hotline/1", "london-hotline/2")
        ]
    lies: dict[str, dict[str, object]] = {
        "0": {"state": {"reference": 1}},
        "1": answers[0],
        "2": {**answers[1], "state": {"reference": 1}},
    }
    entry = f"entry-{index}"
    said = {"": "2" if name == "O" else entry, "0": entry, "1": entry, "2": "2"}
    for copy, named in said.items():
        async with lied.council.client(f"{name}{copy}") as client:
            if copy:
                say_of_notes(client, lies[copy])
            told = [one for one in news(await client.inbox()) if one.text.startswith("NOBODY")]
        assert {one.reference for one in told} == {f"london-hotline/{named}"}
        assert all(f"london-hotline/{named} was not taken on" in one.text for one in told)
        assert all(one.receipt.name.startswith(f"{named}.") for one in told)


async def test_who_looks_for_a_note_comes_to_the_end_of_the_log(lied: Lied) -> None:
    pages: list[int] = []

    def endless(answer: Any) -> Any:
        pages.append(len(pages))
        item = {**answer["items"][0], "position": f"{len(pages) + 1000}.0"}
        return {"items": [item], "more": True}

    lied.liar.lies["/v1/inbox"] = endless
    async with lied.client("M") as m:
        with pytest.raises(LogUntrusted, match=r"The node shows entry \d+ at the position 1001\.0"):
            await m.read("london-hotline/77")
    assert len(pages) == 1
    async with lied.council.client("M") as m:
        assert (await m.read("london-hotline/1")).reference == "london-hotline/1"
