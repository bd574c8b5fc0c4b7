"""Who sends is killed in mid-send, before the node has it all or before the answer: one note, one receipt."""

from __future__ import annotations

import asyncio
import signal

import pytest

from liaison.client import Letter
from tests.client.council import CANARY, DUTY
from tests.faults.proxy import Fault, Passing, nothing
from tests.faults.town import Town

SEND = ("send", "london-hotline", "--to", DUTY, "--subject", "Convoy", "--yes")
PATIENCE_S = 120


class KillsAtStatement:
    """Cuts or halts a statement on its way; where it cuts, ``child``, which sends it, is killed at once."""

    child: asyncio.subprocess.Process | None = None

    def __init__(self, fault: Fault) -> None:
        self.fault = fault

    def __call__(self, passing: Passing) -> Fault | None:
        if passing.type != "POST /v1/statements":
            return None
        assert self.child is not None
        if self.fault is Fault.CUT:
            self.child.kill()
        return self.fault


async def said(town: Town, url: str, *line: str, text: str = "") -> tuple[int, str]:
    """Run a command of F's to its end; return exit code and what it said."""
    child = await town.command("F", url, *line, stdin=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(child.communicate(text.encode()), PATIENCE_S)
    assert child.returncode is not None
    return child.returncode, out.decode()


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.HALTED])
async def test_a_send_that_is_killed_on_its_way_arrives_once_and_has_one_receipt(
    town: Town, fault: Fault
) -> None:
    async with town.open(), town.network() as bad:
        assert (await said(town, bad.url, "inbox"))[0] == 0  # its keys are posted
        plan = bad.plan = KillsAtStatement(fault)
        plan.child = await town.command("F", bad.url, *SEND, stdin=asyncio.subprocess.PIPE)
        dying = asyncio.create_task(plan.child.communicate(CANARY.encode()))
        if fault is Fault.HALTED:
            await asyncio.wait_for(bad.halted.wait(), PATIENCE_S)
            plan.child.kill()
        await asyncio.wait_for(dying, PATIENCE_S)
        assert plan.child.returncode == -signal.SIGKILL
        bad.plan = nothing
        code, shown = await said(town, bad.url, "outbox", "list")
        assert (code, shown.count("london-hotline")) == (0, 1), shown
        for _ in range(2):  # the next life has it
            code, flushed = await said(town, bad.url, "outbox", "flush")
            assert code == 0
            shown += flushed
        assert shown.count("ACCEPTED london-hotline/1 ") == 1
        assert shown.endswith("The outbox is empty.\n")
        receipts = (town.folder / "F" / "receipts" / "london-hotline").iterdir()
        assert [path.name for path in receipts] == ["1.receipt"]
        async with town.client("M", bad.url) as m:
            (letter,) = [item for item in await m.inbox() if isinstance(item, Letter)]
            assert letter.content.body == CANARY
