"""What a node tells of itself when its figures are asked for. protocols/api.md, API-31.

``figures`` holds what is counted as it happens; here is what is looked at, of which service.
"""

from __future__ import annotations

from liaison.node.admission import Admission
from liaison.node.figures import Figures, by_level, seconds
from liaison.node.sequencer import Sequencer
from liaison.node.sessions import Sessions
from liaison.node.streaming import Streams
from liaison.node.timers import Timers


def watch(
    figures: Figures,
    admission: Admission,
    sequencer: Sequencer,
    timers: Timers,
    sessions: Sessions,
    streams: Streams,
) -> None:
    """Have the figures say where these services stand."""
    clock = sequencer.clock.clock
    figures.gauges(
        "liaison_admission_waiting",
        "Statements that wait to be admitted.",
        "precedence",
        lambda: by_level(admission.waiting_by_band),
    )
    figures.gauge(
        "liaison_admission_past",
        "Statements below IMMEDIATE that are past admission and not decided.",
        lambda: admission.past.taken,
    )
    figures.gauges(
        "liaison_queue_waiting",
        "Statements and due moments that wait to be decided.",
        "precedence",
        lambda: by_level(sequencer.waiting_by_band),
    )
    figures.gauge(
        "liaison_log_entries", "Entries of the log.", lambda: sequencer.published.head.size
    )
    figures.gauge(
        "liaison_checkpoint_age_seconds",
        "Since the time of the last record, which the newest checkpoint signs.",
        lambda: seconds(clock.now() - sequencer.published.head.at),
    )
    figures.gauge(
        "liaison_clock_suspect",
        "1 while nothing is committed because the clock is not believed.",
        lambda: sequencer.suspicion() is not None,
    )
    figures.gauge(
        "liaison_moments_set_aside",
        "Cells on whose due moments the rules failed; nothing of them fires.",
        lambda: len(sequencer.set_aside),
    )
    figures.gauge(
        "liaison_moments_overdue_seconds",
        "For how long the first due moment that has not fired has been due; 0 where none is.",
        lambda: seconds(clock.now() - (timers.first_due() or clock.now())),
    )
    figures.gauge("liaison_sessions", "Sessions that are open.", lambda: sessions.open)
    figures.gauge("liaison_streams", "Streams that are open.", lambda: len(streams))
    figures.gauge(
        "liaison_streams_shut",
        "Those whose window is shut: their devices store nothing, and something waits.",
        lambda: streams.shut,
    )
