"""An authority's home, offline: who is in force, what its directories name, a key that succeeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from liaison.client import Authority, Home, fingerprint, request_device, request_registrar
from liaison.client.handover import Approval, Request
from liaison.rules.chain import id_of
from liaison.statements.payloads import Scope, State
from liaison.words.encoding import from_base64
from liaison.words.errors import Malformed, NotHere, NotReady, SignatureInvalid
from liaison.words.times import DAY, HOUR
from tests.client.hotline import CHEAP, PASSPHRASE

POST = "attache@fco.example"
ANNA = "attache.1@fco.example"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "FA")


@pytest.fixture
async def authority(home: Home):
    made, _ = Authority.new(home, PASSPHRASE, "fco.example", cost=CHEAP)
    yield made
    await made.close()


def request(folder: Path, local: str = "") -> Request:
    return request_device(Home(folder), PASSPHRASE, POST, local=local, cost=CHEAP)


async def test_a_succession_that_was_cut_off_is_taken_up_at_the_next_start(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, first = Authority.new(home, PASSPHRASE, "fco.example", cost=CHEAP)
    announced = first.payload.next
    with monkeypatch.context() as patch:
        patch.setattr(Authority, "_take_up", _cut)
        with pytest.raises(KeyboardInterrupt):
            authority.succeed()
    await authority.close()
    again = Authority.open(home, PASSPHRASE)
    assert again.key_id == again.statement.payload.key == announced
    assert again.pins.authority("fco.example").authority == announced
    directory = again.sign_directory()
    assert directory.payload.key == announced
    assert first.payload.key in directory.payload.revoked
    directory.check_signature(from_base64(again.statement.payload.authority))
    second = again.succeed().payload
    assert (second.sequence, second.key) == (3, again.key_id)
    assert second.next not in (announced, second.key)
    await again.close()
    assert Authority.open(home, PASSPHRASE).key_id == second.key


def _cut(_: object) -> None:
    raise KeyboardInterrupt


async def test_a_succession_keeps_the_registrars_that_are_named_and_ends_the_others(
    authority: Authority, tmp_path: Path
) -> None:
    asked = request_registrar(Home(tmp_path / "RG"), PASSPHRASE, "fco.example", cost=CHEAP)
    with pytest.raises(NotReady, match="has passed"):
        authority.delegate(asked, list(Scope), authority.now() - 1)
    authority.delegate(asked, [Scope.DIRECTORY], authority.now() + DAY)
    other = request_registrar(Home(tmp_path / "RG2"), PASSPHRASE, "fco.example", cost=CHEAP)
    authority.delegate(other, list(Scope), authority.now() + DAY)
    with pytest.raises(NotReady, match="AAAA names 0 registrars"):
        authority.succeed(["AAAA"])
    (kept,) = authority.succeed([id_of(asked.key)]).payload.registrars
    assert (kept.key, kept.scope) == (asked.key, (Scope.DIRECTORY,))
    assert id_of(other.key) in authority.sign_directory().payload.revoked
    assert authority.succeed().payload.registrars == ()
    with pytest.raises(NotReady, match="names 0 registrars"):
        authority.end_registrar(fingerprint(asked.key)[-1])
    assert authority.statement.payload.registrars == ()
    assert id_of(asked.key) in authority.sign_directory().payload.revoked


async def test_who_is_out_of_force_gets_no_device_and_keeps_what_was_said(
    authority: Authority, tmp_path: Path
) -> None:
    first, second = request(tmp_path / "F"), request(tmp_path / "F2")
    authority.approve(first, ["attache"])
    lost = id_of(first.device)
    with pytest.raises(NotReady, match="has no device"):
        authority.revoke_key(ANNA, "AAAA")
    since = authority.now() - HOUR
    said = authority.revoke_key(ANNA, fingerprint(first.device)[-1], since).payload
    assert said.devices == ()
    assert said.compromised is not None
    assert [(one.key, one.since) for one in said.compromised] == [(lost, since)]
    assert lost in authority.sign_directory().payload.revoked
    # It turns out to have been longer, never shorter; and a new device changes nothing of it.
    assert authority.revoke_key(ANNA, lost, since - HOUR).payload.compromised != said.compromised
    authority.revoke_key(ANNA, lost, since)
    member = authority.add_device(second).member.payload
    assert member.compromised is not None
    assert [one.since for one in member.compromised] == [since - HOUR]
    authority.suspend(ANNA)
    with pytest.raises(NotReady, match="is suspended"):
        authority.approve(second, ["attache"])
    assert authority.reinstate(ANNA).payload.state is State.ACTIVE
    with pytest.raises(NotReady, match="is active"):
        authority.reinstate(ANNA)
    authority.revoke(ANNA)
    for act in (authority.suspend, authority.revoke, authority.reinstate):
        with pytest.raises(NotReady, match="is revoked"):
            act(ANNA)
    assert id_of(second.device) in authority.sign_directory().payload.revoked


async def test_an_approval_is_read_back_and_one_by_a_stranger_is_not(
    authority: Authority, tmp_path: Path
) -> None:
    approval = authority.approve(request(tmp_path / "F"), ["attache"])
    assert Approval.from_bytes(approval.to_bytes()) == approval
    eve, _ = Authority.new(Home(tmp_path / "EVE"), PASSPHRASE, "fco.example", cost=CHEAP)
    forged = eve.approve(request(tmp_path / "G"), ["attache"])
    mixed = Approval(approval.party, forged.member, approval.posting)
    with pytest.raises((Malformed, SignatureInvalid)):
        Approval.from_bytes(mixed.to_bytes())
    await eve.close()


async def test_what_was_signed_and_never_posted_is_taken_back_with_what_follows(
    authority: Authority, tmp_path: Path
) -> None:
    first, second = request(tmp_path / "F"), request(tmp_path / "F2")
    approved = authority.approve(first, ["attache"]).member
    kept = authority.sign_directory()
    gone = authority.revoke_key(ANNA, fingerprint(first.device)[-1])
    added = authority.add_device(second).member
    directory = authority.sign_directory()
    assert list(authority.revoked) == [id_of(first.device)]
    with pytest.raises(NotHere, match="doesn't wait here"):
        authority.drop(authority.statement.digest)
    dropped = [one.digest for one in authority.drop(gone.digest)]
    assert dropped == [gone.digest, added.digest, directory.digest]
    assert list(authority.revoked) == []
    again = authority.set_roles(ANNA, ["operator"]).payload
    assert (again.sequence, again.previous) == (2, approved.digest)
    assert [d.key for d in again.devices] == [first.device]
    assert authority.sign_directory().payload.previous == kept.digest
    # The first of its subject: nothing was before.
    authority.drop(approved.digest)
    assert authority.members == []
    with pytest.raises(NotReady, match="is not a member that this authority approved"):
        authority.set_roles(ANNA, ["operator"])


async def test_of_the_party_itself_all_but_a_succession_is_taken_back(
    authority: Authority, tmp_path: Path
) -> None:
    begun = authority.statement
    asked = request_registrar(Home(tmp_path / "RG"), PASSPHRASE, "fco.example", cost=CHEAP)
    delegated = authority.delegate(asked, list(Scope), authority.now() + DAY)
    authority.end_registrar(id_of(asked.key))
    assert len(authority.drop(delegated.digest)) == 2
    assert authority.statement == begun
    assert list(authority.revoked) == []
    succession = authority.succeed()
    with pytest.raises(NotReady, match="can't be taken back here"):
        authority.drop(succession.digest)
    assert authority.statement == succession
