"""An authority on who signs for its party: registrars, by its delegation, and its own next key.

protocols/statements.md, PARTY. Each of them is said in the party's next statement.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from pathlib import Path

from liaison.client.authority import AFTER, PARTY_LAPSE, AuthorityHome, authoritys
from liaison.client.handover import RegistrarRequest
from liaison.client.making import made
from liaison.client.nextkey import bring_back, next_in, set_aside
from liaison.client.pins import fingerprint
from liaison.rules.chain import id_of
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import Party, Scope
from liaison.statements.statement import Statement
from liaison.words.encoding import to_base64
from liaison.words.errors import NotReady


class Signers(AuthorityHome):
    """An authority's home, open, with what it says of who signs."""

    def delegate(
        self, request: RegistrarRequest, scope: Collection[Scope], until: int
    ) -> Statement[Party]:
        """Let a registrar's key sign what ``scope`` names, until ``until`` (microseconds).

        Raises:
            NotReady: another party's request, or ``until`` is past.
        """
        if request.party != self.party:
            raise NotReady(
                f"The request is to {request.party}, this is the authority of {self.party}",
                safe="nothing was signed",
            )
        if until <= self.now():
            raise NotReady(
                "The time until which it is to sign has passed", safe="nothing was signed"
            )
        kept = [r for r in self._registrars() if r["key"] != request.key]
        kept.append(
            {
                "key": request.key,
                "proof": request.proof,
                "scope": sorted(scope),
                "until": until,
            }
        )
        return self._sign_party(registrars=sorted(kept, key=lambda r: str(r["key"])))

    def end_registrar(self, key: str) -> Statement[Party]:
        """Take a registrar's key away, named by its id or the last group of its fingerprint."""
        ended = self._registrar(key)
        return self._sign_party(registrars=[r for r in self._registrars() if r != ended])

    def _registrar(self, key: str) -> dict[str, object]:
        """Return the registrar that a key id or the last group of its fingerprint names."""
        named = [
            r
            for r in self._registrars()
            if key in (id_of(str(r["key"])), fingerprint(str(r["key"]))[-1])
        ]
        if len(named) != 1:
            raise NotReady(
                f"{key} names {len(named)} registrars of {self.party}, not one",
                safe="nothing was signed",
                do="see which there are: liaison registrar list",
            )
        return named[0]

    def succeed(self, keeping: Collection[str] = ()) -> Statement[Party]:
        """Let the announced next key be the authority from now on, and announce another one.

        Registrars end with the key that delegated them, which may be why it is succeeded: all but
        those of ``keeping``, key ids or last groups of fingerprints.

        Raises:
            NotReady: this home is a registrar's, or ``keeping`` names none; or the next key lies apart.
        """
        if self.is_registrar:
            raise authoritys(f"succeeds the authority of {self.party}")
        following = next_in(self._keystore)
        registrars = [self._registrar(key) for key in sorted({*keeping})]
        # Whatever is announced must never be lost: its secret first.
        self._keystore.secrets[AFTER] = secrets.token_bytes(32)
        self._keystore.save()
        self._key = following
        statement = self._sign_party(
            key=following.id,
            authority=to_base64(following.public),
            next=SigningKey(self._keystore.secrets[AFTER]).id,
            registrars=sorted(registrars, key=lambda r: str(r["key"])),
        )
        self._take_up()
        return statement

    def set_next_aside(self, path: Path, passphrase: str) -> SigningKey:
        """Move the next key into a file of its own. Raises as ``nextkey.set_aside``."""
        return set_aside(self._keystore, path, passphrase)

    def bring_next(self, path: Path, passphrase: str) -> None:
        """Take the next key of its file, to succeed with. Raises as ``nextkey.bring_back``."""
        bring_back(self._keystore, self.statement.payload.next, path, passphrase)

    def _registrars(self) -> list[dict[str, object]]:
        return [r.model_dump(mode="json") for r in self.statement.payload.registrars]

    def _sign_party(self, **changes: object) -> Statement[Party]:
        """Sign the party's next statement: as the newest one, but for ``changes``."""
        before = self.statement
        now = self.now()
        members = {
            **before.payload.model_dump(mode="json", exclude_none=True),
            "issued": now,
            "lapse": now + PARTY_LAPSE,
            "sequence": before.payload.sequence + 1,
            "previous": before.digest,
            **changes,
        }
        statement = self._sign(made(Party, **members))
        self._keep(statement, "party", self.party, "", sequence=statement.payload.sequence)
        return statement
