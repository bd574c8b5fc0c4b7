"""TLS of the node itself, over real sockets: what it shows, whom it lets in, what it reloads. API-36."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509

from liaison.main import Running, is_loopback, run_node
from liaison.words.errors import NotReady
from tests.faults.process import Process, SteadyClock
from tests.node.live import HandClock, begin_in
from tests.server.certificates import Ca, Issued


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    return Ca(tmp_path, "ca")


@contextlib.asynccontextmanager
async def serving(tmp_path: Path, **said: Any) -> AsyncIterator[Running]:
    settings = begin_in(tmp_path / "home").model_copy(update=said)
    async with run_node(settings, clock=HandClock()) as running:
        yield running


def with_tls(issued: Issued) -> dict[str, Path]:
    return {"tls_certificate": issued.certificate, "tls_key": issued.key}


async def about(url: str, context: ssl.SSLContext) -> int:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{url}/v1/about", ssl=context) as answer,
    ):
        return answer.status


async def serial_at(url: str, context: ssl.SSLContext) -> int:
    """Return the serial number of the certificate that a new connection is shown."""
    host, port = url.removeprefix("https://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return x509.load_der_x509_certificate(shown).serial_number


async def test_it_serves_under_its_certificate_and_in_the_clear_no_more(tmp_path, ca):
    async with serving(tmp_path, **with_tls(ca.issue("node"))) as running:
        assert running.url.startswith("https://127.0.0.1:")
        assert await about(running.url, ca.trusting()) == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await about(running.url, ssl.create_default_context())
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.ClientError):
                await http.get(running.url.replace("https", "http"))
        old = ca.trusting()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(aiohttp.ClientConnectorError):
            await about(running.url, old)


async def test_certificate_and_key_may_be_in_one_file(tmp_path, ca):
    issued = ca.issue("node")
    issued.certificate.write_bytes(issued.certificate.read_bytes() + issued.key.read_bytes())
    async with serving(tmp_path, tls_certificate=issued.certificate) as running:
        assert await about(running.url, ca.trusting()) == 200


async def test_with_a_client_ca_only_its_clients_are_let_in(tmp_path, ca):
    (tmp_path / "other").mkdir()
    stranger = Ca(tmp_path / "other", "stranger").issue("client", is_client=True)
    said = with_tls(ca.issue("node")) | {"tls_client_ca": ca.path}
    async with serving(tmp_path, **said) as running:
        assert await about(running.url, ca.trusting(ca.issue("client", is_client=True))) == 200
        for context in (ca.trusting(), ca.trusting(stranger)):
            with pytest.raises((aiohttp.ClientError, ssl.SSLError, OSError)):
                await about(running.url, context)


async def test_a_client_ca_that_is_replaced_lets_its_clients_in_and_the_old_ones_no_more(
    tmp_path, ca
):
    (tmp_path / "new").mkdir()
    new = Ca(tmp_path / "new", "new")
    old_client = ca.issue("old", is_client=True)
    new_client = new.issue("new-client", is_client=True)
    trusted = tmp_path / "clients.pem"
    trusted.write_bytes(ca.path.read_bytes())
    said = with_tls(ca.issue("node")) | {"tls_client_ca": trusted}
    async with serving(tmp_path, **said) as running:
        assert await about(running.url, ca.trusting(old_client)) == 200
        with pytest.raises((aiohttp.ClientError, ssl.SSLError, OSError)):
            await about(running.url, ca.trusting(new_client))
        trusted.write_bytes(new.path.read_bytes())
        running.reload()
        assert await about(running.url, ca.trusting(new_client)) == 200
        with pytest.raises((aiohttp.ClientError, ssl.SSLError, OSError)):
            await about(running.url, ca.trusting(old_client))


async def test_new_files_are_taken_up_while_old_connections_go_on(tmp_path, ca):
    first = ca.issue("node")
    async with serving(tmp_path, **with_tls(first)) as running, aiohttp.ClientSession() as http:
        standing, url = ca.trusting(), f"{running.url}/v1/about"
        async with http.get(url, ssl=standing) as answer:
            assert answer.status == 200
        assert await serial_at(running.url, ca.trusting()) == first.serial
        second = ca.issue("node")
        assert await serial_at(running.url, ca.trusting()) == first.serial
        running.reload()
        assert await serial_at(running.url, ca.trusting()) == second.serial
        connections = len(running.gates)
        async with http.get(url, ssl=standing) as answer:
            assert answer.status == 200
        assert len(running.gates) <= connections, "the connection that stood was used"

        # By name or by address, and more than once.
        third = ca.issue("node")
        running.reload()
        by_name = running.url.replace("127.0.0.1", "localhost")
        assert await serial_at(by_name, ca.trusting()) == third.serial
        second = third

        # What doesn't fit is not taken up.
        second.key.write_bytes(b"nonsense")
        with pytest.raises(
            NotReady, match=r"Can't use the TLS certificate .*node\.pem with the key"
        ):
            running.reload()
        assert await serial_at(running.url, ca.trusting()) == second.serial


async def test_sighup_takes_up_new_files(tmp_path, ca):
    first = ca.issue("node")
    begin_in(tmp_path / "home")
    (tmp_path / "home" / "node.toml").write_text(
        f'tls_certificate = "{first.certificate}"\ntls_key = "{first.key}"\n'
    )
    node = await Process.start(tmp_path / "home", SteadyClock.start())
    try:
        assert await serial_at(node.url, ca.trusting()) == first.serial
        second = ca.issue("node")
        os.kill(node.child.pid, signal.SIGHUP)
        async with asyncio.timeout(20):
            while await serial_at(node.url, ca.trusting()) != second.serial:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        second.key.unlink()
        os.kill(node.child.pid, signal.SIGHUP)
        async with asyncio.timeout(20):
            while "tls-reload-failed" not in node.journal.read_text():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert await about(node.url, ca.trusting()) == 200
        node.terminate()
        assert await node.ended() == 0
    finally:
        await node.kill()
    assert '"event": "reloaded"' in node.journal.read_text()


@pytest.mark.parametrize(
    "fault", ["no certificate", "no key", "another key", "a passphrase", "no ca"]
)
async def test_files_that_do_not_fit_are_named_and_nothing_is_served(tmp_path, ca, fault):
    issued = ca.issue("node", passphrase=b"secret" if fault == "a passphrase" else b"")
    said: dict[str, Path] = with_tls(issued)
    if fault == "no certificate":
        issued.certificate.unlink()
    elif fault == "no key":
        issued.key.unlink()
    elif fault == "another key":
        said["tls_key"] = ca.issue("other").key
    elif fault == "no ca":
        said["tls_client_ca"] = tmp_path / "nowhere.pem"
    with pytest.raises(NotReady) as caught:
        async with serving(tmp_path, **said):
            pass
    named = said.get("tls_client_ca", issued.certificate)
    assert str(named) in caught.value.happened
    assert "without passphrase" in caught.value.do


async def test_off_the_loopback_nothing_is_served_in_the_clear_unless_told(tmp_path, ca):
    with pytest.raises(NotReady, match=r"Serving 0\.0\.0\.0:0 without TLS would show") as caught:
        async with serving(tmp_path, listen="0.0.0.0:0"):
            pass
    assert caught.value.do.endswith("set plain = true")
    settings = begin_in(tmp_path / "told")
    for said in ({"plain": True}, with_tls(ca.issue("node"))):
        changed = settings.model_copy(update={"listen": "0.0.0.0:0", **said})
        async with run_node(changed, clock=HandClock()) as running:
            url = running.url.replace("0.0.0.0", "127.0.0.1")
            assert await about(url, ca.trusting()) == 200


def test_what_the_loopback_is():
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.0.2.1", "node.example", ""))


async def test_a_handshake_that_never_comes_ends(tmp_path, ca, monkeypatch):
    monkeypatch.setattr("liaison.server.listening.HANDSHAKE_S", 0.3)
    async with serving(tmp_path, **with_tls(ca.issue("node"))) as running:
        host, port = running.url.removeprefix("https://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"\x16\x03\x01")
        async with asyncio.timeout(10):
            with contextlib.suppress(OSError):
                assert await reader.read() == b""
        writer.close()
        assert len(running.gates) == 0
        assert await about(running.url, ca.trusting()) == 200
