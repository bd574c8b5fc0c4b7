"""``liaison key`` as it is typed: another passphrase, a backup, a home made of it; and private files."""

from __future__ import annotations

import shutil

import pytest

from tests.cli.screen import PASSPHRASE, Screen, steady
from tests.cli.test_first_hotline import open_line


@pytest.fixture
def enrolled(screen: Screen) -> Screen:
    screen.ok("--home F enrol attache.london@fco.example")
    secret(screen, "own", "one of its own")
    return screen


def secret(screen: Screen, name: str, text: str, mode: int = 0o600) -> None:
    path = screen.folder / name
    path.write_text(f"{text}\n")
    path.chmod(mode)


BACKUP = "--home F key backup F.backup --backup-passphrase-file own"
RESTORE = "--home G key restore F.backup --backup-passphrase-file own"


def test_a_passphrase_is_changed_and_the_old_one_opens_no_more(enrolled):
    secret(enrolled, "new", "too short")
    code, shown = enrolled.type("--home F key passphrase --new-passphrase-file new")
    assert code == 1
    assert shown.startswith(
        "A passphrase of 9 characters is guessed by who has a copy of the file · "
    )
    secret(enrolled, "new", "battery staple")
    assert enrolled.ok("--home F key passphrase --new-passphrase-file new") == (
        "The keystore of attache.london.1@fco.example has another passphrase.\n"
        "Copies made before, and backups, keep the one that they had: whoever has both reads them.\n"
    )
    code, shown = enrolled.type(BACKUP)
    assert (code, "wrong passphrase" in shown) == (1, True)
    assert "F.backup holds" in enrolled.ok(f"--passphrase-file new {BACKUP}")


def test_a_home_is_backed_up_and_made_again(begun):
    screen = begun
    open_line(screen)
    secret(screen, "own", "one of its own")
    shown = screen.ok(BACKUP)
    assert shown == (
        "F.backup holds 2 keys of attache.london.1@fco.example, and what this home trusts:\n"
        "  its names and certified keys, the node and the authorities it pinned, the newest checkpoint\n"
        "  and directories it saw; of an authority also what it signed.\n"
        "Not in it: notes, receipts, and what waits in the outbox. Copy the home for these.\n"
        "Keep file and passphrase apart. Make another when a new encryption key is made (weekly).\n"
    )
    code, shown = screen.type(BACKUP)
    assert code == 1
    assert steady(shown).startswith(
        "There is already a file at F.backup · it was left as it is · give each its own name, such as "
        "F.backup."
    )
    code, shown = screen.type(RESTORE.replace("--home G", "--home F"))
    assert (code, "There is a keystore in F already" in shown) == (1, True), shown
    shutil.rmtree(screen.folder / "F")
    assert screen.ok(RESTORE.replace("--home G", "--home F")) == (
        "F is the home of attache.london.1@fco.example as of DTG.\n"
        "At its first command it asks the node which serials it has spent since, and certifies a new\n"
        "encryption key. Notes sealed for keys made after the backup stay unreadable here: ask for a "
        "grant.\n"
        "If the old device still exists, never use both: they are one key. If it was stolen, revoke it.\n"
    )
    assert "pinned by" in screen.ok("--home F party show")
    assert screen.ok("--home F inbox") == "Nothing new.\n"
    shown = screen.ok(BACKUP.replace("--home F", "--home FA").replace("F.backup", "FA.backup"))
    assert shown.endswith(
        "Make another when another key signs for the party, or is announced: party succeed, party next.\n"
    )
    shutil.rmtree(screen.folder / "FA")
    again = "key restore FA.backup --backup-passphrase-file own"
    screen.ok(f"--home FA {again}")
    shown = screen.ok("--home FA roster set london-hotline attache.london")
    assert "restored from a backup, and doesn't know what was signed since" in shown


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o644, 0o666])
def test_a_passphrase_file_that_others_can_read_or_change_is_refused_loudly(enrolled, mode):
    secret(enrolled, "passphrase", PASSPHRASE, mode)
    code, shown = enrolled.type("--home H enrol desk@fco.example")
    assert code == 1
    assert "OTHERS CAN READ OR CHANGE the passphrase file" in shown
    assert f"(mode {mode:04o}, owner " in shown
    assert "chmod 600 passphrase" in shown
    assert not (enrolled.folder / "H").exists()


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640])
def test_one_that_only_its_owner_or_a_group_can_read_serves(enrolled, mode):
    secret(enrolled, "passphrase", PASSPHRASE, mode)
    assert "asks to hold" in enrolled.ok("--home H enrol desk@fco.example")


def test_nobody_who_could_type_the_backups_passphrase_is_said(enrolled):
    code, shown = enrolled.type("--home F key backup F.backup")
    assert code == 1
    assert "Nobody is here to type the backup's passphrase" in shown
    assert "name a file with --backup-passphrase-file" in shown
    assert not (enrolled.folder / "F.backup").exists()
