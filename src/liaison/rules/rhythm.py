"""The rhythm of a channel's line tests: which slot is waited for, and what follows it. TEST.

A running slot keeps what it was begun with; each next one is as the charter has it by then.
"""

from __future__ import annotations

from liaison.rules import ladder
from liaison.rules.cells import Channel, LineTest
from liaison.rules.kinds import load_rule
from liaison.rules.refusal import Refused


def begin(channel: Channel, known: LineTest | None, at: int) -> LineTest | None:
    """Return the line from ``at`` on, if the charter asks for tests; one that runs goes on."""
    if known is not None and not known.stopped:
        return known
    wanted = _wanted(channel, at)
    if wanted is None or known is None:
        return wanted
    return _with_items(wanted, known)


def after_slot(channel: Channel, line: LineTest, at: int) -> LineTest:
    """Return the line after the test of its slot came, or was missed, at ``at``."""
    wanted = _wanted(channel, line.slot * line.every_us)
    if wanted is not None and wanted.every_us != line.every_us:
        wanted = _wanted(channel, at)
    if wanted is None:
        return line.model_copy(update={"stopped": True})
    return _with_items(wanted, line)


def _wanted(channel: Channel, at: int) -> LineTest | None:
    """Return the line whose first slot begins after ``at``."""
    for use in channel.rules:
        rule = load_rule(use)
        line = None if isinstance(rule, Refused) else rule.line(channel, at)
        if line is not None:
            return line
    return None


def _with_items(line: LineTest, known: LineTest) -> LineTest:
    """Return the line with what its operators' queues have: a missed test is not forgotten."""
    items = line.items
    for item in known.items:
        items = ladder.put_item(items, item)
    return line.model_copy(update={"items": items})
