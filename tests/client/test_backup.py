"""A backup has what a home can't do without; a restored home asks for the rest, and spends nothing twice."""

from __future__ import annotations

import shutil
import stat

import pytest

from liaison.client import Home, Letter, request_device
from liaison.client.backup import back_up, restore
from liaison.client.device import Device
from liaison.client.home import KEYSTORE, RESTORED
from liaison.sealing.keystore import Keystore
from liaison.words.errors import Damaged, KeystoreLocked, Malformed, NodeUnreachable, NotReady
from tests.client.hotline import ALIAS, CANARY, CHEAP, PASSPHRASE, Hotline, draft, hotline

OWN = "a passphrase of its own"
AT = 1_795_522_515_066_960


@pytest.fixture
async def line(tmp_path):
    async with hotline(tmp_path) as line:
        yield line


def backed_up(line: Hotline, name: str) -> Home:
    home = line.home(name)
    keystore = Keystore.open(home.path(KEYSTORE), PASSPHRASE)
    made = back_up(home, keystore, line.folder / f"{name}.backup", OWN, now=AT)
    assert made.at == AT
    return home


def lost(home: Home) -> None:
    shutil.rmtree(home.root)


async def test_a_restored_home_sends_and_reads_on_and_spends_no_serial_twice(line):
    async with line.client("F") as f:
        await f.send(draft("first"))
    home = backed_up(line, "F")
    async with line.client("F") as f:
        for text in ("second", "third"):
            await f.send(draft(text))
        before = {certified.digest for certified in f.device.certified}
    lost(home)
    made = restore(home, line.folder / "F.backup", OWN, PASSPHRASE)
    assert (made.who, made.at) == ("attache.london.1@fco.example", AT)
    assert home.has(RESTORED)
    async with line.client("F") as f:
        sent = await f.send(draft("fourth"))
        assert sent.reference == f"{ALIAS}/4"
        # No refusal was needed to find out.
        assert not home.has("receipts/refused")
        assert f.outbox.free_serials() == []
        assert not home.has(RESTORED)
        # What others seal from now on is for a key that this home has.
        after = {certified.digest for certified in f.device.certified}
        assert len(after - before) == 1
    async with line.client("M") as m:
        texts = [letter.content.body for letter in await m.inbox()]
        assert texts == ["first", "second", "third", "fourth"]
    async with line.client("F") as f:
        await f.inbox()
        assert (await f.read(f"{ALIAS}/2")).content.body == "second"


async def test_what_a_restored_home_cant_ask_yet_is_asked_before_it_signs_anything(line):
    home = backed_up(line, "F")
    lost(home)
    restore(home, line.folder / "F.backup", OWN, PASSPHRASE)
    url, line.url = line.url, "http://127.0.0.1:9"
    async with line.client("F") as f:
        with pytest.raises(NodeUnreachable):
            await f.send(draft())
        assert f.outbox.waiting == ()
    assert home.has(RESTORED)
    line.url = url
    async with line.client("F") as f:
        assert (await f.send(draft())).reference == f"{ALIAS}/1"


async def test_a_cabinet_that_was_kept_opens_with_the_restored_keystore(line):
    async with line.client("F") as f:
        await f.send(draft())
    home = backed_up(line, "F")
    home.path(KEYSTORE).unlink()
    newer = home.read("log.json")
    restore(home, line.folder / "F.backup", OWN, "another one")
    assert home.read("log.json") == newer
    keystore = Keystore.open(home.path(KEYSTORE), "another one")
    assert set(keystore.secrets) >= {"device"}
    async with type(line.client("M")).open(home, "another one", url=line.url) as f:
        assert f.kept(f"{ALIAS}/1").content.body == CANARY


async def test_keys_are_never_restored_among_files_of_somebody_else(line):
    home, backup = backed_up(line, "F"), line.folder / "F.backup"
    request_device(
        Home(line.folder / "F2"),
        PASSPHRASE,
        "attache.london@fco.example",
        local="attache.london.1",
        cost=CHEAP,
    )
    second = Home(line.folder / "F2")
    Device(second, Keystore.open(second.path(KEYSTORE), PASSPHRASE)).renew(AT)
    who = "attache.london.1@fco.example"
    for name, whose in (
        ("M", "duty.desk.1@mod.example"),
        ("FA", "fco.example"),
        ("F2", f"another device of {who}"),
    ):
        other = line.home(name)
        other.path(KEYSTORE).unlink()
        before = {path: path.read_bytes() for path in other.root.rglob("*") if path.is_file()}
        with pytest.raises(NotReady) as told:
            restore(other, backup, OWN, PASSPHRASE)
        assert told.value.happened == (
            f"In {other.root} are files of {whose}, and this is a backup of {who}"
        )
        assert before == {p: p.read_bytes() for p in other.root.rglob("*") if p.is_file()}
    home.path(KEYSTORE).unlink()
    restore(home, backup, OWN, PASSPHRASE)


async def test_nothing_damaged_goes_into_a_backup(line):
    home = line.home("F")
    keystore = Keystore.open(home.path(KEYSTORE), PASSPHRASE)
    pins = home.read("pins.json")
    home.write("pins.json", pins.replace(b"authorit", b"authorut", 1))
    with pytest.raises(Damaged, match=r"pins\.json is damaged: its sum is another"):
        back_up(home, keystore, line.folder / "F.backup", OWN, now=AT)
    assert not (line.folder / "F.backup").exists()
    home.write("pins.json", pins)
    backed_up(line, "F")


async def test_an_authoritys_backup_has_its_next_key_and_what_it_signed(line):
    home = backed_up(line, "FA")
    before = {path.name for path in home.path("statements").iterdir()}
    lost(home)
    restore(home, line.folder / "FA.backup", OWN, PASSPHRASE)
    assert {path.name for path in home.path("statements").iterdir()} == before
    async with line.authority("FA") as authority:
        authority.sign_directory()
        await authority.post()
    keystore = Keystore.open(home.path(KEYSTORE), PASSPHRASE)
    assert set(keystore.secrets) == {"authority", "authority/next"}


async def test_a_keystore_that_is_there_is_never_replaced(line):
    home = backed_up(line, "F")
    data = home.read(KEYSTORE)
    with pytest.raises(NotReady, match=r"There is a keystore in .* already"):
        restore(home, line.folder / "F.backup", OWN, PASSPHRASE)
    assert home.read(KEYSTORE) == data
    assert not home.has(RESTORED)
    with pytest.raises(NotReady, match="There is already a file at"):
        backed_up(line, "F")


async def test_a_backup_shows_nothing_and_opens_with_its_own_passphrase_only(line):
    async with line.client("F") as f:
        await f.send(draft())
    home = backed_up(line, "F")
    path = line.folder / "F.backup"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    data = path.read_bytes()
    for secret in (b"attache", b"fco.example", CANARY.encode(), b"localhost"):
        assert secret not in data
    new = Home(line.folder / "new")
    for wrong in (PASSPHRASE, OWN + " ", ""):
        with pytest.raises(KeystoreLocked):
            restore(new, path, wrong, PASSPHRASE)
    altered = bytearray(data)
    altered[-1] ^= 1
    path.write_bytes(altered)
    with pytest.raises(KeystoreLocked):
        restore(new, path, OWN, PASSPHRASE)
    assert not new.root.exists()
    with pytest.raises(Malformed, match="is a keystore, and not a backup of a home"):
        restore(new, home.path(KEYSTORE), PASSPHRASE, PASSPHRASE)
    path.write_bytes(data)
    restore(new, path, OWN, PASSPHRASE)


def test_nobodys_home_has_no_backup(tmp_path):
    keystore = Keystore.create(tmp_path / "keystore", PASSPHRASE)
    with pytest.raises(NotReady, match="is nobody's home"):
        back_up(Home(tmp_path), keystore, tmp_path / "b", OWN, now=AT)


async def test_a_letter_is_not_in_a_backup_but_comes_again_from_the_node(line):
    async with line.client("F") as f:
        await f.send(draft())
    async with line.client("M") as m:
        assert len(await m.inbox()) == 1
    home = backed_up(line, "M")
    lost(home)
    restore(home, line.folder / "M.backup", OWN, PASSPHRASE)
    async with line.client("M") as m:
        (letter,) = await m.inbox()
        assert isinstance(letter, Letter)
        assert letter.content.body == CANARY
        assert await m.inbox() == []
