"""Serials: per device, channel and addressed party, so that a gap means a withheld note. STMT, SERIAL."""

from __future__ import annotations

from typing import Final

from liaison.rules.cells import Serials, View
from liaison.rules.refusal import Refused

WINDOW: Final = 256


def check_serial(view: View, channel: str, device: str, party: str, serial: int) -> Refused | None:
    """Return a refusal for a used serial, and for one too far above the lowest unused."""
    spent = view.get(Serials, channel, device, party)
    lowest = spent.lowest_unused if spent else 1
    if serial < lowest or (spent and serial in spent.above):
        return Refused("serial-used", f"serial {serial} towards {party} is used; next is {lowest}")
    if serial > lowest + WINDOW:
        return Refused(
            "serial-ahead", f"serial {serial} towards {party} is over {WINDOW} above {lowest}"
        )
    return None


def spend(view: View, channel: str, device: str, party: str, serial: int) -> Serials:
    """Return the cell after ``serial`` is spent."""
    spent = view.get(Serials, channel, device, party)
    lowest = spent.lowest_unused if spent else 1
    above = {*(spent.above if spent else ()), serial}
    while lowest in above:
        above.remove(lowest)
        lowest += 1
    return Serials(
        channel=channel,
        device=device,
        party=party,
        lowest_unused=lowest,
        above=tuple(sorted(above)),
    )
