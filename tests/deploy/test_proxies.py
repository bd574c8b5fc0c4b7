"""The proxies' configurations, before a real node: TLS outside, the node's own answers inside."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from liaison.server.app import MAX_BODY_BYTES
from tests.node.live import LiveNode, live_node
from tests.tools import run, tool

PROXIES = Path(__file__).parents[2] / "deploy" / "proxy"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def certify(folder: Path) -> None:
    """Write a certificate for node.example and its key, as a certificate authority would hand out."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node.example")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("node.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@contextlib.contextmanager
def nginx(folder: Path, node: str) -> Iterator[tuple[int, ssl.SSLContext]]:
    """Run nginx before the node; give its port and what trusts it."""
    program, port = tool("nginx", "nginx-light"), free_port()
    certify(folder)
    text = (PROXIES / "nginx.conf").read_text()
    for ours, here in (
        ("/etc/ssl/liaison/", f"{folder}/"),
        ("127.0.0.1:8470", node),
        ("listen 443 ", f"listen 127.0.0.1:{port} "),
        ("    listen [::]:443 ssl http2;\n", ""),
    ):
        assert ours in text
        text = text.replace(ours, here)
    (folder / "liaison.conf").write_text(text)
    temporary = "".join(
        f"{of}_temp_path {folder}/{of};\n"
        for of in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"user root;\npid {folder}/pid;\nerror_log {folder}/error.log;\nworker_processes 1;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}include {folder}/liaison.conf;\n}}\n"
    )
    said = ("-p", str(folder), "-c", str(folder / "nginx.conf"))
    done = run(program, "-t", *said)
    assert done.returncode == 0, done.stdout
    assert "warn" not in done.stdout
    done = run(program, *said)  # ends once it listens
    assert done.returncode == 0, done.stdout
    try:
        yield port, ssl.create_default_context(cafile=folder / "fullchain.pem")
    finally:
        os.kill(int((folder / "pid").read_text()), signal.SIGTERM)


@contextlib.contextmanager
def caddy(folder: Path, node: str) -> Iterator[tuple[int, ssl.SSLContext]]:
    """Run Caddy before the node, with the certificate that it would otherwise go and get."""
    program, port = tool("caddy", "caddy"), free_port()
    certify(folder)
    environment = {
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "LIAISON_HOST": "node.example",
        "LIAISON_NODE": node,
    }
    here = (
        f"{{\n\tadmin unix/{folder}/admin\n\tauto_https disable_redirects\n"
        f"\thttps_port {port}\n\thttp_port {free_port()}\n\tdefault_bind 127.0.0.1\n}}\n"
    )
    text = (PROXIES / "Caddyfile").read_text()
    assert run(program, "fmt", str(PROXIES / "Caddyfile")).stdout == text
    site = "{$LIAISON_HOST:node.example} {\n"
    assert site in text
    text = text.replace(site, f"{site}\ttls {folder}/fullchain.pem {folder}/privkey.pem\n")
    (folder / "Caddyfile").write_text(here + text)
    said = ("--config", str(folder / "Caddyfile"), "--adapter", "caddyfile")
    done = run(program, "validate", *said, environment=environment)
    assert done.returncode == 0, done.stdout
    pidfile = folder / "pid"
    journal = folder / "journal"
    with journal.open("w") as out:  # what it leaves running keeps this open
        started = subprocess.run(
            (program, "start", *said, "--pidfile", str(pidfile)),
            stdout=out,
            stderr=out,
            check=False,
            env={**os.environ, **environment},
        )
    assert started.returncode == 0, journal.read_text()  # ends once it listens
    try:
        yield port, ssl.create_default_context(cafile=folder / "fullchain.pem")
    finally:
        os.kill(int(pidfile.read_text()), signal.SIGTERM)


class Here(aiohttp.abc.AbstractResolver):
    """Says that every name is this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        return [
            {
                "hostname": host,
                "host": "127.0.0.1",
                "port": port,
                "family": socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
        ]

    async def close(self) -> None:
        pass


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[LiveNode]:
    async with live_node(tmp_path / "home") as live:
        yield live


@pytest.mark.parametrize("proxy", [nginx, caddy], ids=["nginx", "caddy"])
async def test_through_the_proxy_the_node_answers_over_tls(proxy, node, tmp_path):
    folder = tmp_path / "proxy"
    folder.mkdir()
    address = node.running.url.removeprefix("http://")
    with contextlib.ExitStack() as stack:
        entering = asyncio.to_thread(stack.enter_context, proxy(folder, address))
        port, trust = await entering
        connector = aiohttp.TCPConnector(ssl=trust, resolver=Here())
        async with aiohttp.ClientSession(connector=connector) as http:
            url = f"https://node.example:{port}"
            async with http.get(f"{url}/readyz") as answer:
                assert (answer.status, await answer.text()) == (200, "ready\n")
                assert "max-age" in answer.headers["Strict-Transport-Security"]
            async with http.get(f"{url}/log/checkpoint") as answer:
                assert (await answer.text()).startswith("node.example/log\n")
            async with http.get(f"{url}/metrics") as answer:
                assert answer.status == 404
                assert answer.content_type != "application/problem+json"  # the proxy's own word
            # What the node would take as the largest, it gets to judge.
            async with http.post(f"{url}/v1/statements", data=b"{}") as answer:
                assert answer.status == 400
                assert (await answer.json())["code"] == "malformed"


def test_both_let_the_largest_submission_pass():
    assert 67 << 20 > MAX_BODY_BYTES > 64 << 20
    assert "max_size 67MiB" in (PROXIES / "Caddyfile").read_text()
    assert "client_max_body_size    67m;" in (PROXIES / "nginx.conf").read_text()
