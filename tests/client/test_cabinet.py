"""The cabinet: what is kept, found and forgotten, for how long the charter lets. SEAL-46, CHARTER-18."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from liaison.client import Client, Content, Draft, Letter
from liaison.client.cabinet import Cabinet, Kept
from liaison.client.journal import Journal
from liaison.client.keeping import NOT_KEPT
from liaison.sealing.content import format_content
from liaison.sealing.keystore import Keystore
from liaison.words.errors import NotHere, Unreadable
from liaison.words.times import DAY, SECOND
from tests import world as worlds
from tests.client.hotline import ALIAS, CANARY, CHEAP, DUTY, PASSPHRASE, Hotline, draft, hotline

FIRST = f"{ALIAS}/1"
MONTH_S = 30 * DAY // SECOND


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Hotline]:
    async with hotline(tmp_path, cabinet_s=MONTH_S) as line:
        yield line


@pytest.fixture
async def unkept(tmp_path: Path) -> AsyncIterator[Hotline]:
    async with hotline(tmp_path, cabinet="none") as line:
        yield line


def found(client: Client, *words: str, channel: str = "") -> list[str]:
    return [one.reference for one in client.keeping.find(list(words), channel)]


async def test_what_was_opened_or_sent_is_found_by_its_words(line: Hotline) -> None:
    async with line.client("F") as f:
        for subject, text in (("Convoy", "Route 7 is open"), ("Überflug", "the Route is closed")):
            content = Content.text(subject, text)
            await f.send(Draft(channel=ALIAS, to=(DUTY,), content=content))
    async with line.client("M") as m:
        await m.inbox()
    for name in ("F", "M"):
        async with line.client(name) as client:
            assert found(client) == [f"{ALIAS}/2", FIRST]
            assert found(client, "route") == [f"{ALIAS}/2", FIRST]
            assert found(client, "ROUTE", "open") == [FIRST]
            assert found(client, "überflug") == [f"{ALIAS}/2"]
            assert found(client, "route", "peace") == []
            assert found(client, "route", channel="another") == []


async def test_what_is_older_than_its_charter_lets_it_be_is_forgotten_by_log_time(
    line: Hotline,
) -> None:
    async with line.client("F") as f:
        await f.send(draft())
    async with line.client("M") as m:
        (letter,) = await m.inbox()
        assert isinstance(letter, Letter)
        over = letter.at + MONTH_S * SECOND
        assert m.keeping.retain(over - 1) == []
        assert found(m, "canary") == [FIRST]
        assert m.keeping.retain(over) == [FIRST]
        assert m.keeping.retain(over) == []
    async with line.client("M") as m:
        assert found(m) == []
        assert m.kept(FIRST).content == NOT_KEPT
        assert m.kept(FIRST).receipt == letter.receipt  # what the log proved stays
        assert (await m.acknowledge(FIRST)).reference == FIRST


async def test_a_client_forgets_by_itself_what_is_too_old(line: Hotline) -> None:
    async with line.client("F") as f:
        sent = await f.send(draft())
    over = sent.at + MONTH_S * SECOND
    home = line.home("F")
    home.write_state("log.json", {**home.read_state("log.json"), "at": over})
    for _ in range(2):
        async with line.client("F") as f:  # the log alone takes nothing
            assert f.cabinet.holds(sent.digest)
    async with Client.open(home, PASSPHRASE, url=line.url, now=lambda: over):
        pass
    async with line.client("F") as f:
        assert found(f) == []
        assert not f.cabinet.holds(sent.digest)


async def test_what_was_kept_before_the_charter_forbade_it_goes_with_the_next_note(
    line: Hotline,
) -> None:
    async with line.client("F") as f:
        first = await f.send(draft())
        assert f.cabinet.holds(first.digest)
        f.keeping.keep(ALIAS, worlds.terms(cabinet="none"), f.cabinet.get(FIRST))
        assert f.keeping.retain(first.at) == [FIRST]
        assert not f.cabinet.holds(first.digest)


async def test_nothing_is_kept_where_the_charter_says_so_and_all_else_works(
    unkept: Hotline,
) -> None:
    async with unkept.client("F") as f:
        sent = await f.send(draft())
        assert not f.cabinet.holds(sent.digest)
    async with unkept.client("M") as m:
        (letter,) = await m.inbox()
        assert isinstance(letter, Letter)
        assert letter.content.body.strip() == CANARY
    for name in ("F", "M"):
        async with unkept.client(name) as client:
            assert client.keeping.unkept == [ALIAS]
            assert found(client) == []
            assert client.kept(FIRST).content == NOT_KEPT
            # While the node and this device's key have it, it is read anew, and still not kept.
            assert (await client.read(FIRST)).content.body.strip() == CANARY
            assert not client.cabinet.holds(sent.digest)
    async with unkept.client("M") as m:
        assert (await m.acknowledge(FIRST)).reference == FIRST
        assert await m.inbox() == []


async def test_what_is_forgotten_is_read_anew_while_its_keys_last(line: Hotline) -> None:
    async with line.client("F") as f:
        for _ in range(3):
            await f.send(draft())
    async with line.client("M") as m:
        await m.inbox()
        assert m.keeping.forget([f"{ALIAS}/2", "london-hotline/9"]) == [f"{ALIAS}/2"]
        assert found(m) == [f"{ALIAS}/3", FIRST]
    async with line.client("M") as m:
        assert found(m) == [f"{ALIAS}/3", FIRST]
        assert (await m.read(f"{ALIAS}/2")).content.body.strip() == CANARY
        assert found(m) == [f"{ALIAS}/3", f"{ALIAS}/2", FIRST]


def opened(path: Path, keystore: Keystore) -> Cabinet:
    return Cabinet(path / "cabinet", keystore)


@pytest.fixture
def keystore(tmp_path: Path) -> Keystore:
    return Keystore.create(tmp_path / "keystore", PASSPHRASE, cost=CHEAP)


def kept(number: int) -> Kept:
    content = Content.text(f"Subject {number}", CANARY)
    return Kept(f"digest {number}", f"{ALIAS}/{number}", f"receipt {number}", content, number)


def test_a_forgotten_text_is_in_the_file_no_more_and_the_others_are(
    tmp_path: Path, keystore: Keystore
) -> None:
    cabinet = opened(tmp_path, keystore)
    for number in range(1, 5):
        cabinet.put(kept(number))
    cabinet.rename("digest 4", f"{ALIAS}/4")
    before = (tmp_path / "cabinet").stat().st_size
    cabinet.forget(["digest 2"])
    assert (tmp_path / "cabinet").stat().st_size < before - 1000
    cabinet.put(kept(5))
    cabinet.close()
    cabinet = opened(tmp_path, keystore)
    for number in (1, 3, 4, 5):
        assert cabinet.get(f"{ALIAS}/{number}") == kept(number)
    bare = cabinet.get(f"{ALIAS}/2")
    assert (bare.receipt, bare.content, bare.at) == ("receipt 2", None, 2)
    assert cabinet.references() == [f"{ALIAS}/{n}" for n in range(1, 6)]
    with pytest.raises(NotHere):
        cabinet.get(f"{ALIAS}/6")
    cabinet.close()


def test_what_a_crash_interrupts_is_forgotten_whole_or_not_at_all(
    tmp_path: Path, keystore: Keystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    cabinet = opened(tmp_path, keystore)
    for number in (1, 2):
        cabinet.put(kept(number))

    def fails(*_: object) -> None:
        raise OSError("the disk is gone")

    for step in ("replace", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, step, fails)
            with pytest.raises(OSError, match="the disk is gone"):
                cabinet.forget(["digest 1"])
    cabinet.close()
    cabinet = opened(tmp_path, keystore)
    assert [cabinet.get(f"{ALIAS}/{number}") for number in (1, 2)] == [kept(1), kept(2)]
    cabinet.close()


def test_what_an_earlier_version_kept_opens_and_is_kept_for_good_until_named(
    tmp_path: Path, keystore: Keystore
) -> None:
    old_kept(tmp_path, keystore, kept(0), kept(1))
    cabinet = opened(tmp_path, keystore)
    assert cabinet.holds("digest 0")
    assert cabinet.accepted_at("digest 0") == 0
    assert cabinet.get(f"{ALIAS}/0") == kept(0)
    assert cabinet.digest(f"{ALIAS}/1") == "digest 1"
    cabinet.forget(["digest 1"])
    cabinet.put(kept(2))
    cabinet.close()
    cabinet = opened(tmp_path, keystore)
    assert [cabinet.get(f"{ALIAS}/{n}").content is None for n in range(3)] == [False, True, False]
    cabinet.close()


def old_kept(folder: Path, keystore: Keystore, *notes: Kept) -> None:
    """Keep notes as an earlier version did: without a time, boxes bound to the digest alone."""
    journal = Journal(folder / "cabinet")
    for note in notes:
        assert note.content is not None
        receipt = note.receipt.encode()
        data = len(receipt).to_bytes(4, "big") + receipt + format_content(note.content)
        header: dict[str, object] = {"digest": note.digest, "reference": note.reference}
        journal.append(header, keystore.box(data, f"note {note.digest}"))
    journal.close()


def altered(folder: Path, alter: Callable[[dict[str, object]], dict[str, object]]) -> None:
    """Write the cabinet anew with other headers, as somebody without the keystore can."""
    journal = Journal(folder / "cabinet")
    frames = [(alter(dict(frame.header)), journal.body(frame)) for frame in journal.frames()]
    journal.rewrite(frames)
    journal.close()


def test_no_note_is_read_or_named_under_the_reference_of_another(
    tmp_path: Path, keystore: Keystore
) -> None:
    cabinet = opened(tmp_path, keystore)
    for number in (1, 2):
        cabinet.put(kept(number))
    cabinet.close()
    first, second = f"{ALIAS}/1", f"{ALIAS}/2"

    def swapped(header: dict[str, object]) -> dict[str, object]:
        return {**header, "reference": second if header["reference"] == first else first}

    def disguised(header: dict[str, object]) -> dict[str, object]:
        return {name: value for name, value in swapped(header).items() if name != "v"}

    for alter in (swapped, disguised, lambda h: {**h, "at": 9}, lambda h: {**h, "bare": True}):
        whole = (tmp_path / "cabinet").read_bytes()
        altered(tmp_path, alter)
        cabinet = opened(tmp_path, keystore)
        for refused in (
            lambda c: c.get(first),
            lambda c: c.digest(first),
            lambda c: c.reference("digest 1"),
        ):
            with pytest.raises(Unreadable, match="doesn't open with this keystore"):
                refused(cabinet)
        cabinet.close()
        (tmp_path / "cabinet").write_bytes(whole)
    cabinet = opened(tmp_path, keystore)
    assert [cabinet.get(each) for each in (first, second)] == [kept(1), kept(2)]
    assert (cabinet.digest(first), cabinet.reference("digest 2")) == ("digest 1", second)
    cabinet.close()


@pytest.mark.parametrize("version", [{}, {"v": 2}])
def test_no_draft_is_named_by_who_has_no_key(
    tmp_path: Path, keystore: Keystore, version: dict[str, object]
) -> None:
    cabinet = opened(tmp_path, keystore)
    draft = replace(kept(1), reference=f"{ALIAS}/draft-1")
    cabinet.put(draft)
    cabinet.close()
    whole = (tmp_path / "cabinet").read_bytes()
    journal = Journal(tmp_path / "cabinet")
    journal.frames()
    journal.append({"digest": "digest 1", "reference": f"{ALIAS}/7", "renamed": True, **version})
    journal.close()
    cabinet = opened(tmp_path, keystore)
    with pytest.raises(Unreadable):
        cabinet.digest(f"{ALIAS}/7")
    cabinet.close()
    (tmp_path / "cabinet").write_bytes(whole)
    cabinet = opened(tmp_path, keystore)
    cabinet.rename("digest 1", f"{ALIAS}/7")
    cabinet.close()
    cabinet = opened(tmp_path, keystore)
    assert cabinet.digest(f"{ALIAS}/7") == "digest 1"
    assert cabinet.get(f"{ALIAS}/7").content == draft.content
    cabinet.close()


def test_a_draft_of_an_earlier_version_keeps_the_name_that_it_was_given(
    tmp_path: Path, keystore: Keystore
) -> None:
    drafts = [replace(kept(n), reference=f"{ALIAS}/draft-{n}") for n in (1, 2)]
    old_kept(tmp_path, keystore, *drafts)
    journal = Journal(tmp_path / "cabinet")
    journal.frames()
    journal.append({"digest": "digest 1", "reference": f"{ALIAS}/7", "renamed": True})
    journal.close()
    cabinet = opened(tmp_path, keystore)
    cabinet.rename("digest 2", f"{ALIAS}/8")
    cabinet.close()
    cabinet = opened(tmp_path, keystore)
    for number, reference in ((1, f"{ALIAS}/7"), (2, f"{ALIAS}/8")):
        assert cabinet.get(reference).content == kept(number).content
        assert cabinet.reference(f"digest {number}") == reference
    cabinet.close()
