"""The announced next authority key in a file of its own: who takes the home then hasn't both keys.

design.md 2 ("Party"). The file is a keystore (protocols/sealing.md) under its own passphrase.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from liaison.sealing.keystore import Cost, Keystore
from liaison.statements.keys import SigningKey
from liaison.words.errors import NotReady

NEXT: Final = "authority/next"


def set_aside(
    keystore: Keystore, path: Path, passphrase: str, *, cost: Cost | None = None
) -> SigningKey:
    """Move the next key out of an authority's keystore into a file at ``path``; return it.

    Raises:
        NotReady: it isn't in the keystore, or something is at ``path``.
        Malformed: an empty passphrase.
    """
    key = next_in(keystore)
    apart = Keystore.create(path, passphrase, cost=cost)
    apart.secrets[NEXT] = key.seed
    apart.save()
    del keystore.secrets[NEXT]
    keystore.save()
    return key


def bring_back(keystore: Keystore, announced: str | None, path: Path, passphrase: str) -> None:
    """Take the next key of the file at ``path`` into an authority's keystore.

    ``announced`` is the key id that the party's newest statement names.

    Raises:
        NotReady: there is no file, or no next key in it, or another key than was announced.
        KeystoreLocked: a wrong passphrase, or an altered file.
    """
    kept = Keystore.open(path, passphrase).secrets.get(NEXT)
    if kept is None or SigningKey(kept).id != announced:
        raise NotReady(
            f"{path} holds no key that was announced as the next one",
            safe="nothing was signed",
            do="name the file that `liaison party next` wrote last",
        )
    keystore.secrets[NEXT] = kept
    keystore.save()


def next_in(keystore: Keystore) -> SigningKey:
    """Return the next key; NotReady where it lies apart."""
    if NEXT not in keystore.secrets:
        raise NotReady(
            "The next authority key doesn't lie in this home",
            safe="nothing was signed",
            do="name the file that it lies in: liaison party succeed --next FILE",
        )
    return SigningKey(keystore.secrets[NEXT])
