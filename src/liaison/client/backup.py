"""A home's backup: its keys and what it trusts, in one file under a passphrase of its own.

protocols/sealing.md, SEAL-47. Not in it: notes (cabinet), receipts, and the outbox. They grow each day,
and the node and the log have most of them; a backup is made once, and again when the keys changed.
What a restored home can't know, it asks the node for before it signs anything (``home.RESTORED``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from liaison.client import device, filing, pins, seen, watching
from liaison.client.home import KEYSTORE, RESTORED, Home
from liaison.sealing.keystore import Keystore
from liaison.statements.keys import SigningKey
from liaison.words.canonical import format_canonical, parse_canonical
from liaison.words.errors import Malformed, NotReady
from liaison.words.times import to_dtg

FORMAT: Final = "liaison/backup/1"
STATES: Final = (device.FILE, filing.FILE, pins.FILE, watching.FILE, seen.FILE)
STATEMENTS: Final = "statements"
_ABOUT: Final = "about"
_FILE: Final = "file:"
_KEPT: Final = "secret:"


@dataclass(frozen=True)
class Backup:
    """What a backup holds: whose it is, when it was made (microseconds), keys and files by name."""

    who: str
    at: int
    secrets: tuple[str, ...]
    files: tuple[str, ...]


def who_has(home: Home) -> str:
    """Return the member or party whose home it is.

    Raises:
        NotReady: nobody's.
    """
    for name, member in ((device.FILE, "member"), (filing.FILE, "party")):
        if home.has(name):
            return str(home.read_state(name)[member])
    raise NotReady(
        f"{home.root} is nobody's home",
        safe="nothing was done",
        do="name a member's or an authority's home with --home",
    )


def back_up(home: Home, keystore: Keystore, path: Path, passphrase: str, *, now: int) -> Backup:
    """Write a backup of ``home`` to ``path``, where nothing may be yet.

    Raises:
        NotReady: something is there, or the home is nobody's.
        Damaged: a file that belongs into it is.
        Malformed: an empty passphrase.
    """
    about: dict[str, object] = {"at": now, "format": FORMAT, "who": who_has(home)}
    names = [name for name in STATES if home.has(name)]
    for name in names:
        home.read_state(name)  # nothing damaged goes into a backup
    if home.has(STATEMENTS):
        names += sorted(f"{STATEMENTS}/{path.name}" for path in home.path(STATEMENTS).iterdir())
    kept = {f"{_KEPT}{name}": secret for name, secret in keystore.secrets.items()}
    kept |= {f"{_FILE}{name}": home.read(name) for name in names}
    try:
        return _read(keystore.copy(path, passphrase, {**kept, _ABOUT: format_canonical(about)}))
    except NotReady as exc:
        # The one before is good until this one is whole, and both may be needed: it stays.
        exc.do = (
            f"give each its own name, such as {path}.{to_dtg(now)[:6]}; delete old ones by hand"
        )
        raise


def restore(home: Home, path: Path, passphrase: str, new_passphrase: str) -> Backup:
    """Make the home that the backup at ``path`` was made of, under ``new_passphrase``.

    A file that is there already is newer, and stays: a cabinet that was kept opens again.

    Raises:
        NotReady: there is a keystore already, files of another member, party or device, or no backup.
        KeystoreLocked: the passphrase isn't the backup's, or the file was altered.
        Malformed: the file is a keystore, and not a backup.
    """
    if home.has(KEYSTORE):
        raise NotReady(
            f"There is a keystore in {home.root} already",
            safe="it was left as it is",
            do="restore into another home; or, if that keystore is surely lost, move the file away",
        )
    opened = Keystore.open(path, passphrase)
    backup = _read(opened)
    _check_same(home, backup, opened)
    home.make()
    with home.locked():
        missing = [name for name in backup.files if not home.has(name)]
        for name in missing:
            home.write(name, opened.secrets[f"{_FILE}{name}"])
        home.write_state(RESTORED, {"at": backup.at, "who": backup.who})
        # The keystore last: with it the home begins.
        secrets = {name: opened.secrets[f"{_KEPT}{name}"] for name in backup.secrets}
        opened.copy(home.path(KEYSTORE), new_passphrase, secrets)
    return backup


def _check_same(home: Home, backup: Backup, opened: Keystore) -> None:
    """Return if what stands in ``home``, where anything does, is of whose backup it is.

    Raises:
        NotReady: it is another's; with these keys it would be nobody's.
    """
    if not any(home.has(name) for name in (device.FILE, filing.FILE)):
        return
    whose = who_has(home)
    signed = device.certified_in(home.read_state(device.FILE))
    secret = opened.secrets.get(f"{_KEPT}{device.SIGNING}")
    own = SigningKey(secret).id if secret else ""
    if whose == backup.who and any(each.statement.payload.key != own for each in signed):
        whose = f"another device of {whose}"
    if whose != backup.who:
        raise NotReady(
            f"In {home.root} are files of {whose}, and this is a backup of {backup.who}",
            safe="they were left as they are",
            do="restore into another home",
        )


def _read(opened: Keystore) -> Backup:
    try:
        about = parse_canonical(opened.secrets[_ABOUT])
    except (KeyError, Malformed):
        about = {}
    at, who = about.get("at"), about.get("who")
    if about.get("format") != FORMAT or not isinstance(at, int) or not isinstance(who, str):
        raise Malformed(
            f"{opened.path} is a keystore, and not a backup of a home",
            safe="nothing was restored",
            do="name the file that `liaison key backup` wrote",
        )
    return Backup(who, at, _named(opened, _KEPT), _named(opened, _FILE))


def _named(opened: Keystore, prefix: str) -> tuple[str, ...]:
    return tuple(sorted(n.removeprefix(prefix) for n in opened.secrets if n.startswith(prefix)))
