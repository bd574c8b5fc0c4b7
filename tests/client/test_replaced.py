"""Who had a note hears that another one took its place, and believes no record that says so falsely."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

import pytest

from liaison.client import Content, Draft, Unopened
from liaison.client.watching import Entry
from liaison.ledger.facts import NoteFacts, ReleaseFacts
from liaison.words.precedence import Precedence
from tests.client.council import (
    CANARY,
    DEPUTY,
    DUTY,
    HEAD,
    Council,
    council,
    letters,
    news,
    untrusted,
)


@pytest.fixture
async def world(tmp_path, monkeypatch):
    async with council(tmp_path, monkeypatch) as made:
        yield made


def leader(**members: Any) -> Draft:
    content = Content.text("Convoy", CANARY)
    return Draft(channel="london-hotline", to=(DUTY,), kind="leader", content=content, **members)


def verbale(**members: Any) -> Draft:
    content = Content.text("Overflight", CANARY)
    said = {"to": (DUTY,), "info": (HEAD,), "kind": "note-verbale", **members}
    return Draft(channel="london-notes", content=content, **said)


async def released(world: Council, draft: Draft) -> str:
    """Have a draft written and let go; return its digest."""
    async with world.client("F") as f:
        drafted = await f.send(draft)
    async with world.client("R") as r:
        await r.inbox()
        await r.release(await r.read(drafted.reference))
    return drafted.digest


def lying(client: Any, **lies: Any) -> None:
    """Have each record say of the note that it replaces what ``lies`` has, and the node agree."""
    verify, honest = client.watch.verify_any, client.transport.read

    def verify_falsely(text: str, known: Any = None) -> Any:
        entry = verify(text, known)
        facts = entry.record.facts
        if not isinstance(facts, NoteFacts | ReleaseFacts) or not facts.replaced:
            return entry
        old = facts.replaced[0].model_copy(update=lies)
        record = replace(entry.record, facts=facts.model_copy(update={"replaced": (old,)}))
        return Entry(entry.index, record, entry.statement, entry.receipt)

    async def read(path: str) -> dict[str, object]:
        answer: dict[str, Any] = await honest(path)
        for item in answer.get("items", []) if path.startswith("/v1/inbox") else []:
            if item["kind"] == "procedure":
                pos, _, index = item["position"].partition(".")
                item["position"] = f"{pos}.{lies.get('index', index)}"
                item["precedence"] = lies.get("precedence", item["precedence"])
        return answer

    client.watch.verify_any, client.transport.read = verify_falsely, read


async def test_who_had_a_note_hears_that_another_one_took_its_place(world):
    async with world.client("F") as f:
        old = await f.send(leader())
    async with world.client("M") as m:
        await m.inbox()
    async with world.client("F") as f:
        await f.send(leader(supersedes=old.digest))
    async with world.client("M") as m:
        items = await m.inbox()
        assert len(letters(items)) == 1
        (told,) = news(items, "procedure")
        assert told.reference == "london-hotline/1"
        assert told.text == (
            "london-hotline/1 was superseded by attache.london.1@fco.example: "
            "another note takes its place"
        )


@pytest.mark.parametrize(
    "lies",
    [{"note": "A" * 43 + "="}, {"index": 3}, {"precedence": Precedence.DEFERRED}],
    ids=["another note", "another place", "another precedence"],
)
@pytest.mark.parametrize("is_draft", [False, True], ids=["note", "release"])
async def test_a_record_that_says_of_the_old_note_what_it_isnt_is_not_believed(
    world, lies, is_draft
):
    if is_draft:
        old = await released(world, verbale())
    else:
        async with world.client("F") as f:
            old = (await f.send(leader())).digest
    async with world.client("M") as m:
        await m.inbox()
    if is_draft:
        await released(world, verbale(supersedes=old))
    else:
        async with world.client("F") as f:
            await f.send(leader(supersedes=old))
    async with world.client("M") as m:
        lying(m, **lies)
        shutil.copytree(m.home.root, world.folder / "M2")
        items = await m.inbox()
        assert "says of another note what it isn't" in untrusted(items)
        assert news(items, "procedure") == []
        assert len(letters(items)) == 1
    async with world.client("M2") as m:
        assert len(news(await m.inbox(), "procedure")) == 1


async def test_a_draft_that_supersedes_is_told_of_when_it_is_released_and_not_before(world):
    old = await released(world, verbale(to=(DUTY, DEPUTY)))
    for name in ("M", "D"):
        async with world.client(name) as reader:
            assert len(letters(await reader.inbox())) == 1
    async with world.client("F") as f:
        drafted = await f.send(verbale(supersedes=old))
    async with world.client("M") as m:
        assert await m.inbox() == []
    async with world.client("R") as r:
        await r.inbox()
        await r.release(await r.read(drafted.reference))
    async with world.client("M") as m:
        items = await m.inbox()
        (told,) = news(items, "procedure")
        assert told.text == (
            "london-notes/1 was superseded by head.mission.1@fco.example: another note takes its place"
        )
        (letter,) = letters(items)
        assert letter.reference == "london-notes/2"


async def test_who_had_the_old_note_and_gets_no_new_one_hears_it_too(world):
    old = await released(world, verbale(to=(DUTY, DEPUTY)))
    async with world.client("D") as d:
        assert len(letters(await d.inbox())) == 1
    await released(world, verbale(supersedes=old))
    async with world.client("D") as d:
        items = await d.inbox()
        assert not any(isinstance(item, Unopened) for item in items)
        (told,) = news(items, "procedure")
        assert told.reference == "london-notes/1"
