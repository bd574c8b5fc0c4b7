"""Figures: what a node counts and measures of itself. protocols/api.md, API-30 and API-31.

A registry of each node's own, so that two in one process don't share a number. Labels are words of
this program (a precedence, a code), never a party, member, post, channel or address: whoever sees
the figures learns how the node fares and not who writes to whom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from liaison.words.precedence import STOP_BAND, Precedence
from liaison.words.times import SECOND

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_BANDS: Final = {level.rank: level.value for level in Precedence} | {STOP_BAND: "stop"}
_SHORT: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_LONG: Final = (0.01, 0.05, 0.25, 1, 5, 15, 60, 300, 900, 3_600, 21_600, 86_400)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_CODES_MAX: Final = 512
_OTHER: Final = "other"

Reads = Callable[[], float | None]
"""Says a number at the moment at which somebody asks; None where there is none."""


Family = CounterMetricFamily | GaugeMetricFamily


@dataclass(frozen=True)
class _Read:
    family: type[Family]
    name: str
    says: str
    read: Callable[[], float | Mapping[str, float] | None]
    label: str = ""


@dataclass
class Figures:
    """What is counted as it happens; ``gauge``, ``gauges`` and ``counts`` add what is read when asked for."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    _read: list[_Read] = field(default_factory=list)
    _codes: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        registry = self.registry
        self.batch_size = Histogram(
            "liaison_batch_statements",
            "Statements and due moments taken into one batch.",
            buckets=_SIZES,
            registry=registry,
        )
        self.batch_time = Histogram(
            "liaison_batch_seconds",
            "From the moment at which a batch was taken until its senders were answered.",
            buckets=_SHORT,
            registry=registry,
        )
        self.commit_time = Histogram(
            "liaison_commit_seconds",
            "One transaction of the store, synced.",
            buckets=_SHORT,
            registry=registry,
        )
        self.guard_time = Histogram(
            "liaison_guard_seconds",
            "One advance of the guard, synced.",
            buckets=_SHORT,
            registry=registry,
        )
        self.commits_failed = Counter(
            "liaison_commit_failures", "Batches that the store did not take.", registry=registry
        )
        self.admit_to_at = Histogram(
            "liaison_admit_to_at_seconds",
            "From the moment at which a statement was admitted to the time of its record.",
            ["precedence"],
            buckets=_SHORT,
            registry=registry,
        )
        self.refusals = Counter(
            "liaison_refusals",
            "Answers that were problems, by their code.",
            ["code"],
            registry=registry,
        )
        self.turned_away = Counter(
            "liaison_admission_refused",
            "Statements turned away before they were decided, by what they claimed to be.",
            ["precedence"],
            registry=registry,
        )
        self.lateness = Histogram(
            "liaison_rung_lateness_seconds",
            "From the moment at which a rung of a ladder was due to its record.",
            buckets=_LONG,
            registry=registry,
        )
        self.moments = Counter(
            "liaison_moments", "Due moments that took effect.", registry=registry
        )
        self.pushed = Counter(
            "liaison_stream_items",
            "Items sent to devices on their streams.",
            ["precedence"],
            registry=registry,
        )
        self.delivery_lag = Histogram(
            "liaison_delivery_lag_seconds",
            "From the receipt of what came while a device was connected until it was sent there.",
            ["precedence"],
            buckets=_SHORT,
            registry=registry,
        )
        self.window_shut = Histogram(
            "liaison_stream_window_shut_seconds",
            "For how long a device took nothing more while something waited for it.",
            buckets=_LONG,
            registry=registry,
        )
        for level in _BANDS.values():  # so that a rate has something to begin from
            self.admit_to_at.labels(level)
            self.turned_away.labels(level)
        for precedence in Precedence:
            self.pushed.labels(precedence.value)
            self.delivery_lag.labels(precedence.value)
        self.registry.register(_Asked(self._read))
        ProcessCollector(registry=self.registry)

    def gauge(self, name: str, says: str, read: Reads) -> None:
        """Have ``read`` called for ``name`` whenever the figures are asked for."""
        self._read.append(_Read(GaugeMetricFamily, name, says, read))

    def gauges(
        self, name: str, says: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        """Have ``read`` called for a number for each value of ``label``."""
        self._read.append(_Read(GaugeMetricFamily, name, says, read, label))

    def counts(
        self, name: str, says: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        """As ``gauges``, of what only grows; its samples are called ``name`` and ``_total``."""
        self._read.append(_Read(CounterMetricFamily, name, says, read, label))

    def refused(self, code: str) -> None:
        """Count a problem. Codes are this program's and its charters' rules': there is an end to them."""
        if code not in self._codes and len(self._codes) >= _CODES_MAX:
            code = _OTHER
        self._codes.add(code)
        self.refusals.labels(code).inc()

    def text(self) -> bytes:
        """Return everything, in Prometheus' text form."""
        return generate_latest(self.registry)


def seconds(micros: int) -> float:
    """Return a span of time as metrics have it; a clock that was set back makes none negative."""
    return max(0, micros) / SECOND


def level_of(band: int) -> str:
    """Return the word for a band of the queue."""
    return _BANDS[band]


def by_level(counts: Mapping[int, int]) -> dict[str, float]:
    """Return how many there are of each band, zeros too."""
    return {level: float(counts.get(band, 0)) for band, level in _BANDS.items()}


@dataclass(frozen=True, eq=False)
class _Asked:
    """prometheus_client's Collector over what is read when somebody asks."""

    read: list[_Read]

    def describe(self) -> Iterable[Family]:
        return ()  # what it collects is asked of it, and not at its registration

    def collect(self) -> Iterator[Family]:
        for one in self.read:
            told = one.read()
            family = one.family(one.name, one.says, labels=[one.label] if one.label else [])
            if isinstance(told, Mapping):
                for value, number in told.items():
                    family.add_metric([value], number)
            elif told is not None:
                family.add_metric([], told)
            yield family
