"""The SDK: keys and keystore, sealing before sending, verifying and opening after.

A node is never believed: what a client shows was verified from a pinned authority down, and every
receipt under the pinned log key. HTTP details stay in ``transport``.
"""

from liaison.client.chartering import Authority
from liaison.client.enrolment import check_approval, post_approval, request_device, take_approval
from liaison.client.handover import Approval, Records, RegistrarRequest, Request
from liaison.client.home import Home
from liaison.client.links import ChannelView, LinkBroken, Standing
from liaison.client.member import Client, Item
from liaison.client.news import News
from liaison.client.outbox import Waiting
from liaison.client.outcomes import Done, Sent, Told
from liaison.client.pins import AuthorityPin, NodePin, Pins, fingerprint
from liaison.client.reading import Letter
from liaison.client.receiving import Unopened
from liaison.client.registrar import Renewed, renew, request_registrar, take_delegation
from liaison.client.writing import Draft, Plan
from liaison.sealing.content import Content, Part, Role
from liaison.words.precedence import Precedence

__all__ = [
    "Approval",
    "Authority",
    "AuthorityPin",
    "ChannelView",
    "Client",
    "Content",
    "Done",
    "Draft",
    "Home",
    "Item",
    "Letter",
    "LinkBroken",
    "News",
    "NodePin",
    "Part",
    "Pins",
    "Plan",
    "Precedence",
    "Records",
    "RegistrarRequest",
    "Renewed",
    "Request",
    "Role",
    "Sent",
    "Standing",
    "Told",
    "Unopened",
    "Waiting",
    "check_approval",
    "fingerprint",
    "post_approval",
    "renew",
    "request_device",
    "request_registrar",
    "take_approval",
    "take_delegation",
]
