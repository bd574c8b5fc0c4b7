"""Where a chain doesn't hold, each command says STOP and keeps what the node said, doctor too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from liaison.cli import desk
from liaison.cli.doctor import in_force
from liaison.cli.findings import Mark
from liaison.client.evidence import DO
from liaison.client.lapses import Lapse
from liaison.client.links import LinkBroken
from liaison.statements.statement import make_statement
from liaison.words.errors import Busy, LiaisonError, NodeUnreachable, NotAllowed, NotReady
from tests.cli.screen import CANARY
from tests.cli.test_bad_days import SEND
from tests.client.liar import put
from tests.client.lied import EVIL, MOD, Lied, forged_key, lied_to, under_another_name

FCO = "/v1/parties/fco.example"


@pytest.fixture
async def lied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lied]:
    async with lied_to(tmp_path, monkeypatch) as made:
        yield made


def evidence(lied: Lied) -> list[Path]:
    return list((lied.council.folder / "F" / "evidence").glob("*"))


async def test_what_is_asked_of_lapses_passes_over_no_broken_chain(
    lied: Lied, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(desk, "warn", said.append)
    old = await lied.answer(FCO)
    async with lied.council.authority("FA") as fa:
        fa.sign_directory()
        await fa.post()
    await lied.write()
    lied.liar.lies[FCO] = lambda _: old
    with pytest.raises(LinkBroken, match=r"^STOP: The node shows directory 1 of fco\.example"):
        async with lied.client("F") as f:
            await desk.warn_lapses(f)
    assert len(evidence(lied)) == 1
    assert said == []


@pytest.mark.parametrize("error", [NodeUnreachable, Busy, NotAllowed, NotReady])
async def test_what_cant_be_looked_at_now_keeps_nobody_from_anything(
    lied: Lied, monkeypatch: pytest.MonkeyPatch, error: type[LiaisonError]
) -> None:
    async def gone() -> list[Lapse]:
        raise error("not now")

    async with lied.client("F") as f:
        monkeypatch.setattr(f, "lapses", gone)
        await desk.warn_lapses(f)


async def test_doctor_says_stop_at_a_broken_chain_and_keeps_what_the_node_said(lied: Lied) -> None:
    async with lied.client("F") as f:
        assert all(found.mark is not Mark.BAD for found in await in_force(f))
    async with lied.council.client("M") as m:
        device = m.device.key.id
    payload = forged_key(lied, EVIL.id).payload.model_copy(update={"key": device})
    forged = make_statement(payload, under_another_name(device))
    lied.liar.lies[MOD] = put("keys", [await lied.file(forged)])
    async with lied.client("F") as f:
        bad = [found for found in await in_force(f) if found.mark is Mark.BAD]
    (kept,) = evidence(lied)
    assert [(found.what, found.said, found.do) for found in bad] == [
        (
            "directory",
            "STOP: mod.example: the signature is not by the key it names over these bytes",
            f"{DO} · what the node said is kept: {kept}",
        )
    ]


async def test_doctor_says_stop_at_ones_own_broken_chain(lied: Lied) -> None:
    old = await lied.answer(FCO)
    async with lied.council.authority("FA") as fa:
        fa.sign_directory()
        await fa.post()
    await lied.write()
    lied.liar.lies[FCO] = lambda _: old
    async with lied.client("F") as f:
        bad = [found for found in await in_force(f) if found.mark is Mark.BAD]
    assert [found.said[:50] for found in bad] == [
        "STOP: fco.example: The node shows directory 1 of f"
    ]
    assert len(evidence(lied)) == 1


def test_a_key_that_was_taken_up_is_told_though_the_first_command_after_it_fails(council):
    council.ok(SEND, CANARY)
    council.ok("--home MA party succeed --yes --post")
    wrong = SEND.replace("duty.desk@", "nobody@")
    code, shown = council.type(wrong, CANARY)
    told = "mod.example took up the authority key that it had announced, at "
    assert (code, told in shown) == (1, True)
    assert told not in council.ok(SEND, CANARY)
