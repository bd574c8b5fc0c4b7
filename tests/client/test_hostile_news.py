"""What a node alone says is told as the node's word: no party's mouth has words put into it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from liaison.client import Letter
from liaison.ledger.facts import ContestedFacts, ReachedFacts, RearmedFacts
from liaison.statements.payloads import Note
from liaison.statements.statement import Statement
from liaison.words.times import MINUTE, to_dtg
from tests.client.council import DUTY, news
from tests.client.liar import file_due
from tests.client.lied import MARY, Lied, kept_back, lied_to

FIRST = "london-hotline/1"


@pytest.fixture
async def lied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lied]:
    async with lied_to(tmp_path, monkeypatch) as made:
        async with made.council.client("M") as m:
            await m.inbox()
            await m.acknowledge(FIRST)
        async with made.council.client("F") as f:
            await f.inbox()
        yield made


async def contested(lied: Lied, instead_of: Statement[Note], since: int) -> str:
    """Have the log say that Mary's key was lost, so that the first note climbs again; return F's news."""
    async with lied.council.client("M") as m:
        device = m.device.key.id
    async with lied.council.client("F") as f:
        letter: Letter = f.kept(FIRST)
    note = letter.note
    facts = ContestedFacts(
        channel=note.channel,
        due=lied.council.clock.now() - 1,
        party="mod.example",
        member=MARY,
        device=device,
        since=since,
        page=1,
        armed=(
            RearmedFacts(
                note=letter.digest,
                index=letter.index,
                sender=note.by,
                precedence=note.precedence.action,
                reached=(ReachedFacts(post=DUTY, readers=(MARY,)),),
            ),
        ),
    )
    await file_due(lied.council.running, instead_of, lied.monkeypatch, "contested", facts)
    async with lied.client("F") as f:
        (told,) = (one for one in news(await f.inbox()) if "climbs again" in one.text)
    return told.text


async def test_that_a_key_was_lost_is_the_nodes_word_where_its_party_said_no_such_thing(
    lied: Lied,
) -> None:
    since = lied.council.clock.now() - 10 * MINUTE
    assert await contested(lied, await kept_back(lied), since) == (
        f"{FIRST} is taken on no more for {DUTY}, and climbs again: the node says that the key of {MARY} "
        f"that acknowledged it was in other hands since {to_dtg(since)}. mod.example has said no such "
        "thing to this home: ask them by another way"
    )
    async with lied.client("F") as f:
        assert (await f.read(FIRST)).doubt is None


@pytest.mark.parametrize(("earlier", "is_said"), [(0, True), (MINUTE, False)])
async def test_what_its_party_said_of_a_key_is_told_as_that(
    lied: Lied, earlier: int, is_said: bool
) -> None:
    note = await kept_back(lied)
    async with lied.council.client("M") as m:
        device = m.device.key.id
    since = lied.council.clock.now() - 10 * MINUTE
    async with lied.council.authority("MA") as authority:
        authority.revoke_key(MARY, device, since)
        authority.sign_directory()
        await authority.post()
    text = await contested(lied, note, since - earlier)  # no earlier time than its party said
    assert text.endswith(", says mod.example") == is_said
    assert ("the node says that" in text) != is_said
