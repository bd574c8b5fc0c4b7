"""Alerts and dashboard as Prometheus' own tool reads them, and the figures of a real node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.node.live import live_node
from tests.tools import run, tool

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"


@pytest.fixture(scope="module")
def promtool() -> str:
    return tool("promtool", "prometheus")


def test_prometheus_reads_every_alert(promtool, tmp_path):
    done = run(promtool, "check", "rules", str(ALERTS))
    assert done.returncode == 0, done.stdout
    count = len(yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"])
    assert f"SUCCESS: {count} rules found" in done.stdout
    slip = tmp_path / "alerts.yml"
    slip.write_text(ALERTS.read_text().replace("histogram_quantile(", "histogram_quantil(", 1))
    done = run(promtool, "check", "rules", str(slip))
    assert (done.returncode != 0, "histogram_quantil" in done.stdout) == (True, True), done.stdout


def test_prometheus_reads_what_the_dashboard_asks(promtool, tmp_path):
    dashboard = json.loads((DEPLOY / "grafana" / "liaison.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = [
        {"record": f"panel:{number}", "expr": asks.replace("$node", ".*")}
        for number, asks in enumerate(asked)
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = run(promtool, "check", "rules", str(file))
    assert done.returncode == 0, done.stdout
    assert f"SUCCESS: {len(asked)} rules found" in done.stdout


async def test_prometheus_reads_the_figures_of_a_node(promtool, tmp_path):
    async with live_node(tmp_path / "home") as node:
        await node.open_channel()
        await node.send()
        async with node.http.get(f"{node.running.url}/metrics") as answer:
            text = await answer.text()
    done = run(promtool, "check", "metrics", text=text)
    assert (done.returncode, done.stdout) == (0, "")
    done = run(promtool, "check", "metrics", text=text.replace("_total", ""))
    assert done.returncode != 0


def fires(name: str, after: str, series: dict[str, str]) -> dict[str, Any]:
    """Return a case for promtool: with these series, given each half minute, an alert fires by then."""
    labels = 'instance="a"'
    return {
        "interval": "30s",
        "input_series": [
            {
                "series": f"{known[:-1]},{labels}}}" if "}" in known else f"{known}{{{labels}}}",
                "values": values,
            }
            for known, values in series.items()
        ],
        "alert_rule_test": [{"eval_time": after, "alertname": name, "exp_alerts": []}],
    }


@pytest.mark.parametrize(
    ("name", "after", "ill", "well"),
    [
        ("LiaisonEscalationsLate", "2m", {"liaison_moments_overdue_seconds": "11x8"}, "9x8"),
        ("LiaisonClockSuspect", "2m", {"liaison_clock_suspect": "1x8"}, "0x8"),
        ("LiaisonDiskShort", "2m", {"liaison_disk_room": "1x8"}, "3x8"),
        ("LiaisonCommitsFail", "4m", {"liaison_commit_failures_total": "0+1x8"}, "5x8"),
        (
            "LiaisonTurnedAway",
            "15m",
            {'liaison_admission_refused_total{precedence="flash"}': "0+60x30"},
            "0+6x30",
        ),
    ],
)
def test_an_alert_fires_when_it_should_and_not_before(promtool, tmp_path, name, after, ill, well):
    for values, is_fired in ((ill, True), (dict.fromkeys(ill, well), False)):
        file = tmp_path / f"{is_fired}.yml"
        case = fires(name, after, values)
        file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "tests": [case]}))
        done = run(promtool, "test", "rules", str(file))
        # Nothing is expected: what fires is complained of, by its name.
        assert (done.returncode != 0) is is_fired, done.stdout
        assert (f'alertname="{name}"' in done.stdout) is is_fired, done.stdout
