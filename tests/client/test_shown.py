"""What a home remembers of the node's answers for while it is away: once it held, and not too much. 0024."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from liaison.client import Client, Home
from liaison.client import shown as module
from liaison.client.outbox import Waiting
from liaison.client.shown import FOLDER, Shown
from liaison.words.errors import ChainBroken, Malformed
from tests.client.council import PASSPHRASE, letters
from tests.client.liar import Liar, liar
from tests.client.lied import HOTLINE, MOD, Lied, lied_to
from tests.client.test_acting import flash


@pytest.fixture
async def lied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lied]:
    async with lied_to(tmp_path, monkeypatch) as made:
        yield made


def kept(lied: Lied, name: str) -> dict[str, bytes]:
    folder = lied.council.folder / name / FOLDER
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def write_while_away(lied: Lied) -> None:
    home = Home(lied.council.folder / "F")
    with pytest.raises(Waiting):
        async with Client.open(
            home, PASSPHRASE, url="http://127.0.0.1:9", now=lied.council.clock.now
        ) as f:
            await f.send(flash())


@pytest.mark.parametrize(
    ("path", "lie", "kind", "match"),
    [
        (MOD, lambda _: {"party": None}, Malformed, "is not a list"),
        (HOTLINE, lambda _: {"charter": None}, Malformed, "is not a list"),
        # What has a reading, with receipts of the log's: it is the chain that doesn't hold.
        (MOD, lambda said: {**said, "party": said["directory"]}, ChainBroken, "shows a directory"),
        (HOTLINE, lambda said: {**said, "rosters": [said["charter"]]}, ChainBroken, "a charter"),
    ],
)
async def test_an_answer_that_doesnt_hold_takes_the_place_of_none_that_did(
    lied: Lied, path: str, lie: Any, kind: type[Exception], match: str
) -> None:
    before = kept(lied, "F")
    await write_while_away(lied)
    lied.liar.lies[path] = lie
    with pytest.raises(kind, match=match):
        await lied.write()
    assert path in lied.liar.told
    assert kept(lied, "F") == before
    await write_while_away(lied)
    lied.liar.lies.clear()
    async with lied.client("F") as f:  # the honest run, with what waited
        await f.flush()
        assert not f.outbox.waiting


async def test_what_the_node_names_at_will_fills_no_disk(lied: Lied) -> None:
    async with lied.council.client("M") as m:
        await m.inbox()  # the honest run
    before = kept(lied, "M")
    assert before
    await lied.write()
    numbers, shown = itertools.count(), await lied.answer(HOTLINE)
    asked = []
    honest = Liar.serve

    async def serve(self: Liar, request: web.Request) -> web.Response:
        if "/x-" in request.path:
            asked.append(request.path)
            return web.json_response({**shown, "junk": "A" * 100_000})
        return await honest(self, request)

    def renamed(answer: Any) -> Any:
        return {"channels": [{**one, "alias": f"x-{next(numbers)}"} for one in answer["channels"]]}

    lied.monkeypatch.setattr(Liar, "serve", serve)
    async with liar(lied.council.running.url) as other:
        other.lies["/v1/channels"] = renamed
        lied.liar.url = other.url
        for _ in range(3):
            async with lied.client("M") as m:
                assert not letters(await m.inbox())
    assert len(set(asked)) == len(asked) > 0
    assert kept(lied, "M") == before


def test_it_is_bounded_in_number_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    shown = Shown(home)
    for name, bound in (("FILES", 3), ("BYTES", 3900), ("ANSWER_BYTES", 3800)):
        monkeypatch.setattr(module, name, bound)

    def held(number: int, text: str = "") -> None:
        shown.keep(f"/v1/parties/p{number}.example", {"text": text})
        for path in home.path(FOLDER).iterdir():
            if f"/p{number}." in path.read_text():
                os.utime(path, (number, number))

    def has() -> list[int]:
        return [n for n in range(9) if shown.get(f"/v1/parties/p{n}.example") is not None]

    for number in range(4):
        held(number)
    assert has() == [1, 2, 3]
    held(4, "A" * 3700)
    assert has() == [3, 4]
    assert shown.get("/v1/parties/p4.example") == {"text": "A" * 3700}
    held(5, "A" * 4000)  # too long: it drives out nothing
    assert has() == [3, 4]
    held(4, "A" * 4000)
    assert has() == [3]
