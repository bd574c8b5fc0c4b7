"""A registrar's home: made and delegated; and what keeps a directory from lapsing while it runs.

design.md 2. The registrar's machine is online; what it may sign, and until when, its authority said.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from liaison.client.chartering import Authority
from liaison.client.filing import FILE, REGISTRAR
from liaison.client.handover import RegistrarRequest
from liaison.client.home import KEYSTORE, Home
from liaison.client.pins import AuthorityPin, NodePin, Pins
from liaison.client.seat import wall_clock
from liaison.rules.chain import id_of
from liaison.sealing.keystore import Cost, Keystore
from liaison.statements.keys import SigningKey
from liaison.statements.payloads import Directory, Party, State
from liaison.statements.statement import Statement
from liaison.words.encoding import to_base64
from liaison.words.errors import NotReady
from liaison.words.ids import check_id
from liaison.words.times import DAY, HOUR, to_dtg

RENEWED_AFTER: Final = 20 * HOUR
"""So that a registrar that is asked each day at the same time signs each day."""
WARNED_BEFORE: Final = 14 * DAY


def request_registrar(
    home: Home, passphrase: str, party: str, *, cost: Cost | None = None
) -> RegistrarRequest:
    """Make a registrar's key in ``home``, and return what to hand over to the authority.

    Raises:
        NotReady: there is a keystore in this home already.
    """
    check_id("party id", party)
    home.make()
    with home.locked():
        keystore = Keystore.create(home.path(KEYSTORE), passphrase, cost=cost)
        keystore.secrets[REGISTRAR] = secrets.token_bytes(32)
        keystore.save()
        key = SigningKey(keystore.secrets[REGISTRAR])
        home.write_state(
            FILE, {"capacity": REGISTRAR, "key": key.id, "party": party, "subjects": {}}
        )
    return RegistrarRequest(party, to_base64(key.public), key.prove_possession(party))


def take_delegation(
    home: Home,
    party: Statement[Party],
    node: NodePin,
    *,
    who: str,
    how: str,
    now: Callable[[], int] = wall_clock,
) -> None:
    """Pin the node and the authority; the party's statement says what this home may sign.

    ``party`` is signed by the key that it carries, which ``who`` compared.

    Raises:
        NotReady: it is another party's.
        ChainBroken: this home has pinned another key of the authority.
    """
    payload, state = party.payload, home.read_state(FILE)
    if (state.get("capacity"), state.get("party")) != (REGISTRAR, payload.party):
        raise NotReady(
            f"{home.root} is not the home of a registrar of {payload.party}",
            safe="nothing was pinned",
            do=f"begin with: liaison registrar new {payload.party}",
        )
    pins = Pins(home)
    pins.pin_node(node)
    pins.pin_authority(AuthorityPin(payload.party, payload.key, who, how, now()))
    home.write_state(FILE, {**state, "statement": to_base64(party.raw)})


@dataclass(frozen=True)
class Renewed:
    """What one look brought: the directory that stands, and what is about to lapse."""

    directory: Directory
    is_new: bool
    """Whether this look signed and posted it."""
    warnings: tuple[str, ...]


async def renew(registrar: Authority) -> Renewed:
    """Sign and post the directory where it is due or something changed, and say what ends soon.

    Raises:
        NotReady: the delegation has ended, or doesn't name the directory.
        RefusedByNode, NodeUnreachable, Busy: nothing was renewed now.
    """
    await registrar.catch_up()
    await registrar.post()
    is_new = registrar.is_directory_due(RENEWED_AFTER)
    if is_new:
        registrar.sign_directory()
        await registrar.post()
    newest = registrar.newest_directory()
    assert newest is not None
    return Renewed(newest, is_new, tuple(await ending(registrar)))


async def ending(registrar: Authority) -> list[str]:
    """Return what lapses within two weeks unless somebody acts, in words."""
    now = registrar.now()
    said = list(_delegation_ends(registrar, now))
    standing = await registrar.standing()
    holders = {holder for post in standing.posts.values() for holder in post.holders}
    for member in standing.members.values():
        if member.member not in holders:
            continue  # nothing is sealed to who holds no post
        keys = [key.use_until for key, _ in standing.keys.get(member.member, ())]
        until = max(keys, default=0)
        if member.state is State.ACTIVE and member.devices and until < now + WARNED_BEFORE:
            when = f"can be sealed to until {to_dtg(until)}" if until else "has no key to seal to"
            said.append(f"{member.member} {when}: any command of theirs renews the key")
    return said


def _delegation_ends(registrar: Authority, now: int) -> Iterator[str]:
    for one in registrar.statement.payload.registrars:
        if one.until < now + WARNED_BEFORE:
            whose = "this registrar" if id_of(one.key) == registrar.key_id else "a registrar"
            ended = "ended" if one.until <= now else "ends"
            yield (
                f"{whose} of {registrar.party} {ended} at {to_dtg(one.until)}: the authority goes on "
                "with liaison registrar delegate FILE"
            )
