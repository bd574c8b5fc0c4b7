"""Figures over real sockets, and that dashboard and alerts name only what there is. API-30, API-31."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from liaison.node import timers
from liaison.settings import Settings
from liaison.words.times import MINUTE, SECOND
from tests.node.device import device
from tests.node.line import live_line, send
from tests.node.live import LiveNode, live_node
from tests.timed import WITH_DEPUTY
from tests.world import ANNA, DORA, FCO, MOD

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture
async def node(tmp_path):
    async with live_node(tmp_path / "home") as live:
        await live.open_channel()
        yield live


async def figures(node: LiveNode) -> dict[str, float]:
    """Return each sample as it is spelled."""
    async with node.http.get(f"{node.running.url}/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        text = await answer.text()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def test_what_happens_is_counted(node):
    before = await figures(node)
    await node.send()
    assert (await node.post(statement=b"{}"))[0] == 400
    await node.token()
    now = await figures(node)

    def grew(name: str) -> float:
        return now[name] - before.get(name, 0)

    assert grew("liaison_log_entries") == grew("liaison_batch_seconds_count") == 1
    assert grew("liaison_commit_seconds_count") == grew("liaison_guard_seconds_count") == 1
    assert grew("liaison_admit_to_at_seconds_count{precedence=flash}") == 1
    assert grew("liaison_refusals_total{code=malformed}") == 1
    assert grew("liaison_sessions") == 1
    assert grew("liaison_admission_refused_total{precedence=routine}") == 0
    assert now["liaison_queue_waiting{precedence=flash}"] == 0
    assert now["liaison_wal_bytes"] > 0
    assert now["liaison_store_bytes"] > now["liaison_wal_bytes"]
    assert now["liaison_disk_free_bytes"] > 0
    assert now["liaison_disk_reserve_bytes"] > 0
    assert now["liaison_disk_room"] in (1, 2, 3)
    assert now["liaison_connections"] >= 1
    assert now["liaison_connections_ended_total{reason=slow}"] == 0
    assert now["process_open_fds"] > 0


FIGURES = {
    "admission": ("liaison_admission_waiting{precedence=flash}", "liaison_admission_past"),
    "turned away": ("liaison_admission_refused_total{precedence=routine}",),
    "queue by precedence": ("liaison_queue_waiting{precedence=stop}",),
    "batch size and time": ("liaison_batch_statements_count", "liaison_batch_seconds_count"),
    "commit": ("liaison_commit_seconds_count", "liaison_commit_failures_total"),
    "guard": ("liaison_guard_seconds_count",),
    "admit to at": ("liaison_admit_to_at_seconds_count{precedence=flash}",),
    "delivery lag": ("liaison_delivery_lag_seconds_count{precedence=flash}",),
    "items pushed by precedence": ("liaison_stream_items_total{precedence=flash}",),
    "window shut": ("liaison_stream_window_shut_seconds_count", "liaison_streams_shut"),
    "streams open": ("liaison_streams",),
    "sockets": ("liaison_connections", "liaison_connections_ended_total{reason=slow}"),
    "refusals by code": ("liaison_refusals_total{code=malformed}",),
    "WAL bytes": ("liaison_wal_bytes",),
    "checkpoint age": ("liaison_checkpoint_age_seconds",),
    "lateness of rungs": ("liaison_rung_lateness_seconds_count",),
}
"""What who runs a node is promised to see, by the samples that tell of it."""
COUNTED = (
    "liaison_batch_seconds_count",
    "liaison_commit_seconds_count",
    "liaison_guard_seconds_count",
    "liaison_admit_to_at_seconds_count{precedence=flash}",
    "liaison_delivery_lag_seconds_count{precedence=flash}",
    "liaison_stream_items_total{precedence=flash}",
    "liaison_stream_window_shut_seconds_count",
    "liaison_streams",
    "liaison_connections",
    "liaison_refusals_total{code=malformed}",
    "liaison_wal_bytes",
    "liaison_rung_lateness_seconds_count",
)
"""Those among them that the traffic of the test moves."""


async def test_every_figure_that_is_promised_is_there_after_traffic(tmp_path, monkeypatch):
    monkeypatch.setattr(timers, "LOOK_S", 3600.0)
    async with live_line(tmp_path / "home") as node, device(node, DORA) as dora:
        await dora.hello(window=1)
        await dora.hear("behind")
        for _ in range(2):
            await send(node, node.world.note(to=WITH_DEPUTY))
        first = await dora.item()
        node.running.services.streams.tick()
        assert (await figures(node))["liaison_streams_shut"] == 1
        node.clock.advance(2 * SECOND)
        await dora.got(first)
        await dora.item()
        now = await figures(node)
        assert now["liaison_streams_shut"] == 0
        assert now["liaison_stream_window_shut_seconds_count"] == 1
        assert now["liaison_stream_window_shut_seconds_sum"] == pytest.approx(2, abs=0.1)
        assert (await node.post(statement=b"{}"))[0] == 400
        node.clock.advance(MINUTE)
        await node.running.services.timers.fire_due()
        now = await figures(node)
    assert {name for names in FIGURES.values() for name in names} <= now.keys()
    assert {name for name in COUNTED if not now[name] > 0} == set()


async def test_the_lag_counts_what_came_while_a_device_was_there_and_not_its_arrears(node):
    await node.send()
    async with device(node, DORA) as dora:
        await dora.hello()
        await dora.item(got=True)
        await node.send()
        await dora.item(got=True)
        now = await figures(node)
    assert now["liaison_stream_items_total{precedence=flash}"] == 2
    assert now["liaison_delivery_lag_seconds_count{precedence=flash}"] == 1
    assert now["liaison_delivery_lag_seconds_sum{precedence=flash}"] < 1


async def test_an_escalation_that_does_not_come_is_seen_and_its_lateness_after_it_came(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(timers, "LOOK_S", 3600.0)  # only by hand
    async with live_line(tmp_path / "home") as node:
        await send(node, node.world.note(to=WITH_DEPUTY))
        await node.running.services.timers.fire_due()
        before = await figures(node)
        assert before["liaison_moments_overdue_seconds"] == 0
        node.clock.advance(MINUTE + 7 * SECOND)
        assert (await figures(node))["liaison_moments_overdue_seconds"] == pytest.approx(7, abs=0.1)
        assert await node.running.services.timers.fire_due() == 1
        now = await figures(node)
    assert now["liaison_moments_overdue_seconds"] == 0
    assert now["liaison_rung_lateness_seconds_count"] == 1
    assert now["liaison_rung_lateness_seconds_sum"] == pytest.approx(7, abs=0.1)
    assert now["liaison_moments_total"] - before["liaison_moments_total"] == 1


async def test_a_suspect_clock_and_the_age_of_the_checkpoint_are_seen(node):
    node.clock.advance(MINUTE)
    now = await figures(node)
    assert now["liaison_checkpoint_age_seconds"] == pytest.approx(60, abs=0.1)
    assert now["liaison_clock_suspect"] == 0
    node.clock.wall += 3 * SECOND
    assert (await figures(node))["liaison_clock_suspect"] == 1


async def test_no_figure_names_anybody(node):
    await node.send()
    async with node.http.get(f"{node.running.url}/metrics") as answer:
        text = await answer.text()
    for name in (ANNA, DORA, FCO, MOD, "london", "127.0.0.1"):
        assert name not in text
    labels = set(re.findall(r'[{,]([a-z_]+)="', text))
    assert labels <= {"precedence", "code", "reason", "le"}


async def test_two_nodes_in_a_process_share_no_number(node, tmp_path):
    async with live_node(tmp_path / "other") as other:
        assert (await figures(node))["liaison_log_entries"] > 1
        assert (await figures(other))["liaison_log_entries"] == 1


async def test_figures_are_for_this_machine_and_not_for_who_comes_through_its_proxy(node):
    url = f"{node.running.url}/metrics"
    assert Settings(home=Path("/home")).metrics == "loopback"
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        async with node.http.get(url, headers={name: "127.0.0.1"}) as answer:
            assert (answer.status, (await answer.json())["code"]) == (404, "not-here")
    async with node.http.get(url) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(("allowed", "status"), [("anyone", 200), ("nobody", 404)])
async def test_a_setting_opens_them_or_closes_them(tmp_path, allowed, status, monkeypatch):
    monkeypatch.setattr("tests.node.live.settings_in", _with(metrics=allowed))
    async with live_node(tmp_path / "home") as node:
        url, headers = f"{node.running.url}/metrics", {"X-Forwarded-For": "192.0.2.1"}
        async with node.http.get(url, headers=headers) as answer:
            assert answer.status == status


def _with(**said):
    from tests.node.live import settings_in

    return lambda folder: settings_in(folder).model_copy(update=said)


def named(text: str) -> set[str]:
    return set(re.findall(r"\b(?:liaison|process)_[a-z_]+\b", text))


async def test_dashboard_and_alerts_name_only_figures_that_there_are(node):
    dashboard = json.loads((DEPLOY / "grafana" / "liaison.json").read_text())
    alerts = (DEPLOY / "prometheus" / "alerts.yml").read_text()
    shown = named(" ".join(t["expr"] for panel in dashboard["panels"] for t in panel["targets"]))
    alarmed = named("\n".join(re.findall(r"^ +expr: (.*)$", alerts, re.MULTILINE)))
    assert len(shown) > 15
    assert {
        "liaison_moments_overdue_seconds",
        "liaison_clock_suspect",
        "liaison_disk_room",
        "liaison_commit_failures_total",
        "liaison_checkpoint_age_seconds",
    } <= alarmed
    await node.send()
    async with node.http.get(f"{node.running.url}/metrics") as answer:
        text = await answer.text()
    # A counter with labels has no sample before the first of its kind: its TYPE line tells of it.
    there = named(text) | {
        f"{name}_total" for name in re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE)
    }
    assert shown | alarmed <= there


def test_every_alert_says_what_it_is_and_what_to_do():
    alerts = (DEPLOY / "prometheus" / "alerts.yml").read_text()
    each = re.split(r"^ +- alert: ", alerts, flags=re.MULTILINE)[1:]
    assert len(each) >= 10
    for one in each:
        for wanted in (
            r"^\w+\n",
            r"^ +expr: \S",
            r"severity: (page|ticket)\}",
            "summary: ",
            "do: ",
        ):
            assert re.search(wanted, one, re.MULTILINE), one
