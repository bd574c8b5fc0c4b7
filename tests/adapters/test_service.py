"""Telling the service manager: one datagram, on a socket that a test listens on."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from liaison.adapters.service import ServiceManager


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(20)
        yield listening, str(tmp_path / "notify")


def heard(listening: socket.socket) -> str:
    return listening.recv(4096).decode()


def test_ready_and_stopping_are_told_as_sd_notify_has_them(manager):
    listening, path = manager
    told = ServiceManager.of({"NOTIFY_SOCKET": path})
    told.ready("serving http://127.0.0.1:8470")
    assert heard(listening) == "READY=1\nSTATUS=serving http://127.0.0.1:8470"
    told.stopping()
    assert heard(listening) == "STOPPING=1"


def test_a_socket_without_a_file_is_told_too():
    name = f"liaison-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        listening.settimeout(20)
        ServiceManager.of({"NOTIFY_SOCKET": f"@{name}"}).stopping()
        assert heard(listening) == "STOPPING=1"


async def test_a_watchdog_hears_of_the_node_twice_in_its_time(manager):
    listening, path = manager
    environment = {
        "NOTIFY_SOCKET": path,
        "WATCHDOG_USEC": "20000",
        "WATCHDOG_PID": str(os.getpid()),
    }
    watching = asyncio.create_task(ServiceManager.of(environment).watch())
    for _ in range(3):
        assert await asyncio.to_thread(heard, listening) == "WATCHDOG=1"
    watching.cancel()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "0"},
    ],
)
async def test_a_watchdog_that_is_not_ours_is_told_nothing(environment):
    told = ServiceManager.of({"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1000", **environment})
    if environment:
        assert told.watchdog_us == 0
        await told.watch()  # returns
    else:
        assert told.watchdog_us == 1000


def test_without_a_manager_or_with_one_that_is_gone_nothing_happens(tmp_path):
    ServiceManager.of({}).ready("alone")
    ServiceManager.of({"NOTIFY_SOCKET": "relative"}).stopping()
    ServiceManager.of({"NOTIFY_SOCKET": str(tmp_path / "gone")}).stopping()
