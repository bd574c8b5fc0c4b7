"""Enrolment: how a new device becomes a member's. design.md 3 ("Beginning").

The device makes its keys and asks; the authority, offline, signs; the device posts what was signed.
"""

from __future__ import annotations

from collections.abc import Callable

from liaison.client.device import FILE, Device
from liaison.client.handover import Approval, Request, check_name
from liaison.client.home import Home
from liaison.client.member import Client
from liaison.client.pins import AuthorityPin, NodePin, Pins
from liaison.client.seat import wall_clock
from liaison.sealing.keystore import Cost
from liaison.words.errors import NotAllowed, NotReady
from liaison.words.ids import check_id, party_of


def request_device(
    home: Home,
    passphrase: str,
    post: str,
    *,
    local: str = "",
    name: str = "",
    cost: Cost | None = None,
) -> Request:
    """Make a device in ``home`` for the holder of ``post``, and return what to hand over.

    ``local`` is the member's own name, with the ``@`` of the post's party or without.
    """
    check_id("address", post)
    check_name(name or post)
    own = (local or f"{post.partition('@')[0]}.1").removesuffix(f"@{party_of(post)}")
    member = f"{own}@{party_of(post)}"
    device = Device.enrol(
        home, passphrase, post=post, member=member, name=name or member, cost=cost
    )
    return Request(
        member=device.member,
        post=device.post,
        name=device.name,
        device=device.public,
        proof=device.proof,
    )


def check_approval(home: Home, approval: Approval) -> None:
    """Return if the approval is for this home's member, and names this device.

    Raises:
        NotReady: it is another's.
    """
    state = home.read_state(FILE)
    member = str(state.get("member", ""))
    if approval.member.payload.member != member:
        raise NotReady(
            f"The approval is for {approval.member.payload.member}, this home is of {member or 'nobody'}",
            safe="nothing was pinned or sent",
            do="take the approval that answers this home's request",
        )
    # A home of an earlier version doesn't say its key here: it is looked at before anything is sent.
    if "device" in state:
        _check_named(approval, str(state["device"]))


def _check_named(approval: Approval, device: str) -> None:
    if device not in {named.key for named in approval.member.payload.devices}:
        raise NotReady(
            "The approval doesn't name this device's key",
            safe="nothing was sent",
            do="hand this home's request to the authority again",
        )


def take_approval(
    home: Home,
    approval: Approval,
    node: NodePin,
    *,
    who: str = "this home's own authority",
    how: str = "by its approval",
    now: Callable[[], int] = wall_clock,
) -> AuthorityPin:
    """Pin the node and the own authority, as the approval has it and ``who`` compared it.

    Raises:
        NotReady: the approval is for another member than this home's.
        ChainBroken: this home has pinned another key of its authority.
    """
    check_approval(home, approval)
    pins = Pins(home)
    party = approval.party.payload
    pin = AuthorityPin(party.party, party.key, who, how, now())
    pins.pin_node(node)
    pins.pin_authority(pin)
    return pin


async def post_approval(client: Client, approval: Approval) -> None:
    """Post the member and the posting, then the device's first encryption key.

    Raises:
        NotReady: the approval doesn't name this device, or was overtaken: the key isn't in force.
        RefusedByNode: the node signed that it refused one.
        NodeUnreachable, Busy: there is no answer that is the node's; posting it again is safe.
        LogUntrusted: the log has one in another way than it was sent.
    """
    _check_named(approval, client.device.public)
    for sent in (approval.member, approval.posting):
        await client.hand_in(sent, approval.signers[sent.payload.key])
    await client.tend()
    try:
        # An old approval is in the log already and gets its old receipts: only what is current counts.
        await client.transport.read("/v1/inbox?limit=1")
    except NotAllowed as exc:
        raise NotReady(
            f"This approval was overtaken: {exc.happened}",
            safe="nothing that this device signs is taken",
            do="ask your authority; where it revoked this key, enrol anew in another home",
        ) from exc
