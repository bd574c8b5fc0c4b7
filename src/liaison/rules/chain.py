"""The chain of trust: authority, registrar, member, device, key. The one implementation.

protocols/statements.md, CHAIN. The node asks it of cells, a client of the cells that it folded
from the receipts it verified; a link that doesn't hold is named.
"""

from __future__ import annotations

from functools import lru_cache

from liaison.rules.cells import Admitted, EncryptionKey, Member, Party, Post, View
from liaison.rules.refusal import Refused
from liaison.statements.keys import key_id
from liaison.statements.payloads import Scope, State
from liaison.words.encoding import from_base64
from liaison.words.times import to_rfc3339


@lru_cache(65536)
def id_of(public: str) -> str:
    """Return the key id of a signing key in padded base64."""
    return key_id(from_base64(public))


def authority_signs(party: Party | None, key: str, *, who: str) -> Refused | None:
    """CHAIN-1: the key is the party's authority key, and the party is active."""
    if party is None:
        return Refused("unknown-party", f"party {who} is not known here")
    if party.state is not State.ACTIVE:
        return Refused("party-not-active", f"party {who} is {party.state}")
    if id_of(party.authority) != key:
        return Refused("not-the-authority", f"the key is not the authority key of {who}")
    return None


def registrar_signs(
    party: Party | None, key: str, scope: Scope | None, at: int, *, who: str
) -> Refused | None:
    """CHAIN-2: the key is the authority's, or a registrar's within its scope and time.

    Without a ``scope`` (to read, SESSION-1) any will do.
    """
    if party is None:
        return Refused("unknown-party", f"party {who} is not known here")
    if party.state is not State.ACTIVE:
        return Refused("party-not-active", f"party {who} is {party.state}")
    if id_of(party.authority) == key:
        return None
    for registrar in party.registrars:
        if id_of(registrar.key) == key:
            if scope is not None and scope not in registrar.scope:
                return Refused("registrar-scope", f"this registrar of {who} may not sign a {scope}")
            if at >= registrar.until:
                ended = to_rfc3339(registrar.until)
                return Refused("registrar-ended", f"this registrar of {who} ended at {ended}")
            return None
    return Refused(
        "not-a-registrar", f"the key is neither the authority's nor a registrar's of {who}"
    )


def device_signs(
    party: Party | None, member: Member | None, key: str, *, who: str
) -> Refused | None:
    """CHAIN-3: the key is of a device of an active member of an active party."""
    if member is None:
        return Refused("unknown-member", f"member {who} is not known here")
    if party is None or party.state is not State.ACTIVE:
        state = "unknown" if party is None else party.state
        return Refused("party-not-active", f"the party of {who} is {state}")
    if member.state is not State.ACTIVE:
        return Refused("member-not-active", f"member {who} is {member.state}")
    if key not in {id_of(public) for public in member.devices}:
        return Refused(
            "device-not-in-force", f"the key is not of a device of {who} that is in force"
        )
    return None


def holds(post: Post | None, member: str, *, who: str) -> Refused | None:
    """CHAIN-4: the member holds the post."""
    if post is None:
        return Refused("unknown-post", f"post {who} is not known here")
    if member not in post.holders:
        return Refused("not-a-holder", f"{member} does not hold the post {who}")
    return None


def key_opens(
    key: EncryptionKey | None,
    post: Post,
    holder: Member | None,
    *,
    at: int,
    opened_by: int,
    who: str,
) -> Refused | None:
    """CHAIN-5: the wrap is for a key in use, of a device in force, of a holder, kept long enough.

    ``opened_by`` is the last moment at which the note may still have to be opened.
    """
    if key is None:
        return Refused("unknown-key", f"a wrap for {who} names a key statement not known here")
    if key.member not in post.holders:
        return Refused(
            "not-a-holder", f"a wrap for {who} is for {key.member}, who does not hold it"
        )
    return key_in_force(key, holder, at=at, opened_by=opened_by)


def key_in_force(
    key: EncryptionKey, holder: Member | None, *, at: int, opened_by: int
) -> Refused | None:
    """CHAIN-6: the key is in use at ``at``, kept until ``opened_by``, of a device in force."""
    if holder is None or holder.state is not State.ACTIVE:
        return Refused("member-not-active", f"{key.member} is not active")
    if key.device not in {id_of(public) for public in holder.devices}:
        return Refused("device-not-in-force", f"a device of {key.member} is not in force")
    if not key.use_from <= at < key.use_until:
        until = to_rfc3339(key.use_until)
        return Refused("key-not-in-use", f"a key of {key.member} is not in use now (until {until})")
    if key.kept_until < opened_by:
        kept = to_rfc3339(key.kept_until)
        return Refused("key-not-kept", f"a key of {key.member} is destroyed at {kept}, too early")
    return None


def admitted(view: View, party: str) -> Refused | None:
    """CHAIN-7: return a refusal unless the administrator admitted ``party`` and has not suspended it."""
    admission = view.get(Admitted, party)
    if admission is None:
        return Refused("not-admitted", f"party {party} is not admitted to this node")
    if admission.state is not State.ACTIVE:
        return Refused("party-suspended", f"party {party} is suspended from this node")
    return None
