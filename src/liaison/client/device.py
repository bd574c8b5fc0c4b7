"""A device: its signing key and its encryption keys, which it certifies itself. design.md 4.

An encryption key is replaced 7 days after ``use_from``, usable for 35, and destroyed after
``kept_until``: by log time, which this machine's clock has reached too. A stranger could set the clock,
and a node the other; neither alone destroys anything (docs/decisions/0025).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final, cast

from liaison.client.home import KEYSTORE, Home
from liaison.sealing.keys import EncryptionKey
from liaison.sealing.keystore import Cost, Keystore
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import Key
from liaison.statements.statement import Statement, make_statement, parse_statement_of
from liaison.words.encoding import from_base64, to_base64
from liaison.words.errors import NotReady
from liaison.words.ids import check_id, party_of
from liaison.words.times import DAY

FILE: Final = "member.json"
SIGNING: Final = "device"
REPLACED_AFTER: Final = 7 * DAY
USED_FOR: Final = 35 * DAY
KEPT_FOR: Final = 22 * DAY
"""After ``use_until``: a charter lets a note be opened 21 days after it was accepted."""
LAPSE: Final = 30 * DAY


@dataclass
class Certified:
    """An encryption key of this device with the statement that certifies it."""

    statement: Statement[Key]
    is_posted: bool

    @property
    def digest(self) -> str:
        return self.statement.digest


def certified_in(state: dict[str, object]) -> list[Certified]:
    """Return the encryption keys that a home's ``FILE`` names: that needs no passphrase."""
    return [
        Certified(
            parse_statement_of(Key, from_base64(str(item["statement"]))), bool(item["posted"])
        )
        for item in cast("list[dict[str, object]]", state.get("keys", []))
    ]


class Device:
    """The open keystore of a member's home, with who the member is."""

    def __init__(self, home: Home, keystore: Keystore) -> None:
        state = home.read_state(FILE)
        if not state:
            raise NotReady(
                f"{home.root} is not a member's home",
                safe="nothing was done",
                do="begin with: liaison enrol POST",
            )
        self._home = home
        self._state = state
        self.keystore = keystore
        self.member = str(state["member"])
        self.post = str(state["post"])
        self.name = str(state["name"])
        self.key = SigningKey(keystore.secrets[SIGNING])
        self.certified = certified_in(state)
        self._opened: dict[str, EncryptionKey] = {}
        self._forget_halfmade()

    @classmethod
    def enrol(
        cls,
        home: Home,
        passphrase: str,
        *,
        post: str,
        member: str,
        name: str,
        cost: Cost | None = None,
    ) -> Device:
        """Make a device for ``member``, who is to hold ``post``; asked again, return the same.

        Raises:
            Malformed: a name that isn't one.
            NotReady: there is a keystore of somebody else in this home already.
            KeystoreLocked: there is one of this device, under another passphrase.
        """
        check_id("address", post)
        check_id("address", member)
        if member == post:
            raise NotReady(
                "A member and a post never share a name",
                safe="nothing was done",
                do="choose another with --as",
            )
        home.make()
        path = home.path(KEYSTORE)
        if path.exists():
            known = home.read_state(FILE)
            if known and (known["member"], known["post"]) != (member, post):
                raise NotReady(
                    f"{home.root} is the home of {known['member']}, who asked to hold {known['post']}",
                    safe="it was left as it is",
                    do="choose another home",
                )
            keystore = Keystore.open(path, passphrase)
            if known:
                return cls(home, keystore)
        else:
            keystore = Keystore.create(path, passphrase, cost=cost)
        if keystore.secrets.keys() - {SIGNING}:
            raise NotReady(
                f"The keystore in {home.root} is of another than a new device",
                safe="it was left as it is",
                do="choose another home; or, if its home was lost: liaison key restore FILE",
            )
        # What a crash left of an enrolment is gone on from: nobody was shown that key.
        if SIGNING not in keystore.secrets:
            keystore.secrets[SIGNING] = secrets.token_bytes(32)
            keystore.save()
        public = to_base64(SigningKey(keystore.secrets[SIGNING]).public)
        state = {"device": public, "keys": [], "member": member, "name": name, "post": post}
        home.write_state(FILE, state)
        return cls(home, keystore)

    @property
    def party(self) -> str:
        return party_of(self.member)

    @property
    def public(self) -> str:
        """The device's signing key in padded base64."""
        return to_base64(self.key.public)

    @property
    def proof(self) -> str:
        """The proof that this device wants to be the member's (KEY-4)."""
        return self.key.prove_possession(self.member)

    @property
    def opening(self) -> dict[str, EncryptionKey]:
        """The encryption keys that this device still has, by key statement digest."""
        return self._opened

    def renew(self, now: int, *, at_once: bool = False) -> None:
        """Make the next encryption key where that is due; its statement is yet to be posted.

        One whose secret was lost is no reason to wait: others wrap for it until they see a newer one.
        """
        kept = [c.statement.payload.use_from for c in self.certified if c.digest in self._opened]
        newest = max(kept, default=None)
        if newest is not None and now < newest + REPLACED_AFTER and not at_once:
            return
        key = EncryptionKey.generate()
        payload = Key(
            by=self.member,
            key=self.key.id,
            issued=now,
            lapse=now + LAPSE,
            encryption=to_base64(key.public),
            use_from=now,
            use_until=now + USED_FOR,
            kept_until=now + USED_FOR + KEPT_FOR,
        )
        statement = make_statement(payload, self.key)
        # The secret first: a certified key without its secret would make notes unreadable.
        self.keystore.secrets[statement.digest] = key.seed
        self.keystore.save()
        self._opened[statement.digest] = key
        self.certified.append(Certified(statement, is_posted=False))
        self._save()

    def unposted(self) -> list[Certified]:
        return [certified for certified in self.certified if not certified.is_posted]

    def posted(self, certified: Certified) -> None:
        certified.is_posted = True
        self._save()

    def destroy(self, passed: int) -> list[str]:
        """Destroy the keys whose ``kept_until`` is ``passed`` or before; return their digests.

        ``passed`` is a time that is behind both the log and this machine, in microseconds.
        """
        ended = [c for c in self.certified if c.statement.payload.kept_until <= passed]
        if ended:
            for certified in ended:
                self.keystore.secrets.pop(certified.digest, None)
                self._opened.pop(certified.digest, None)
            self.keystore.save()
            self.certified = [c for c in self.certified if c not in ended]
            self._save()
        return [certified.digest for certified in ended]

    def _forget_halfmade(self) -> None:
        known = {certified.digest for certified in self.certified}
        for name, secret in self.keystore.secrets.items():
            if name in known:
                self._opened[name] = EncryptionKey(secret)

    def _save(self) -> None:
        self._state = {
            **self._state,
            "keys": [
                {"posted": c.is_posted, "statement": to_base64(c.statement.raw)}
                for c in self.certified
            ],
        }
        self._home.write_state(FILE, self._state)
