"""Encryption keys of a device: renewed by the week, destroyed by log time. design.md 4."""

from __future__ import annotations

import pytest

from liaison.client import Client
from liaison.client.device import Device
from liaison.client.home import KEYSTORE, Home
from liaison.sealing.keystore import Keystore
from liaison.words.errors import KeystoreLocked, NotReady
from liaison.words.times import DAY
from tests.client.council import PASSPHRASE, council, letters
from tests.client.hotline import CHEAP
from tests.client.test_acting import flash

T0 = 1_795_000_000_000_000


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "F")


@pytest.fixture
def device(home):
    return Device.enrol(
        home,
        PASSPHRASE,
        post="attache.london@fco.example",
        member="attache.london.1@fco.example",
        name="A",
        cost=CHEAP,
    )


def reopened(home):
    return Device(home, Keystore.open(home.path(KEYSTORE), PASSPHRASE))


def test_a_key_is_replaced_after_seven_days_and_not_before(device):
    device.renew(T0)
    device.renew(T0 + 7 * DAY - 1)
    assert len(device.certified) == 1
    device.renew(T0 + 7 * DAY)
    first, second = (c.statement.payload for c in device.certified)
    assert (first.use_until, first.kept_until) == (T0 + 35 * DAY, T0 + 57 * DAY)
    assert second.use_from == T0 + 7 * DAY


def test_a_key_whose_secret_was_lost_is_replaced_at_once(device, home):
    device.renew(T0)
    (digest,) = device.opening
    del device.keystore.secrets[digest]
    device.keystore.save()
    again = reopened(home)
    assert again.opening == {}
    again.renew(T0 + DAY)
    assert [c.statement.payload.use_from for c in again.certified] == [T0, T0 + DAY]
    again.renew(T0 + 2 * DAY)
    assert len(again.certified) == 2


def test_a_key_is_destroyed_at_kept_until_of_the_log_and_not_before(device, home):
    device.renew(T0)
    (digest,) = device.opening
    assert device.destroy(T0 + 57 * DAY - 1) == []
    assert set(reopened(home).opening) == {digest}
    assert device.destroy(T0 + 57 * DAY) == [digest]
    assert device.opening == {}
    assert reopened(home).opening == {}
    assert digest not in reopened(home).keystore.secrets


def test_what_was_made_is_there_again_with_what_is_still_to_be_posted(device, home):
    device.renew(T0)
    again = reopened(home)
    assert again.public == device.public
    assert [c.is_posted for c in again.certified] == [False]
    again.posted(again.certified[0])
    assert reopened(home).unposted() == []


def test_a_member_and_a_post_never_share_a_name(home):
    post = "attache.london@fco.example"
    with pytest.raises(NotReady, match="never share a name"):
        Device.enrol(home, PASSPHRASE, post=post, member=post, name="A", cost=CHEAP)
    assert not home.has(KEYSTORE)


async def test_a_clock_that_somebody_set_destroys_nothing_and_the_log_s_own_time_does(
    tmp_path, monkeypatch
):
    async with council(tmp_path, monkeypatch) as world:
        async with world.client("F") as f:
            await f.send(flash())
        async with world.client("M") as m:
            (letter,) = letters(await m.inbox())
            (first,) = m.device.opening
        home = Home(world.folder / "M")
        later = Client.open(home, PASSPHRASE, now=lambda: world.clock.now() + 100 * DAY)
        async with later as m:
            assert m.kept(letter.reference).content == letter.content
        assert set(reopened(home).opening) == {first}
        # The log is as late, once others wrote in it; this home has yet to see that.
        world.clock.advance(58 * DAY)
        for name in ("FA", "MA"):
            async with world.authority(name) as authority:
                authority.sign_directory()
                await authority.post()
        async with world.client("M") as m:
            m.kept(letter.reference)
        assert set(reopened(home).opening) == {first}
        async with world.client("M") as m:
            await m.inbox()
        (second,) = reopened(home).opening
        assert second != first
        assert first not in reopened(home).keystore.secrets
        async with world.client("M") as m:  # what it opened in its time stays, sealed anew
            assert m.kept(letter.reference).content == letter.content
            assert set(m.device.opening) == {second}


def enrolled(home, passphrase=PASSPHRASE, **said):
    wanted = {"post": "attache.london@fco.example", "member": "attache.london.1@fco.example"}
    return Device.enrol(home, passphrase, **{**wanted, "name": "A", **said}, cost=CHEAP)


@pytest.mark.parametrize("step", ["save", "write_state", ""])
def test_an_enrolment_that_was_cut_off_is_gone_on_from(home, monkeypatch, step):
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if step:
            patch.setattr(Keystore if step == "save" else Home, step, killed)
            with pytest.raises(KeyboardInterrupt):
                enrolled(home)
            assert home.has(KEYSTORE)
            assert not home.has("member.json")
        else:
            enrolled(home)
    with pytest.raises(KeystoreLocked):
        enrolled(home, "another one")
    made = enrolled(home)
    assert enrolled(home).public == made.public == reopened(home).public
    assert enrolled(home).proof == made.proof


def test_nobody_is_enrolled_over_somebody_else(home, device):
    for other in ({"post": "legal@fco.example"}, {"member": "attache.london.2@fco.example"}):
        with pytest.raises(NotReady, match="is the home of attache"):
            enrolled(home, **other)
    device.renew(T0)
    home.path("member.json").unlink()
    with pytest.raises(NotReady, match="is of another than a new device"):
        enrolled(home)
