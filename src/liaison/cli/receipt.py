"""``liaison receipt``: show and verify, offline, against the pinned keys; import what was brought back.

The node's signed refusal is read wherever a receipt is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liaison.cli import desk
from liaison.cli.context import Shape, answer, say
from liaison.cli.outcomes import as_shape, in_words
from liaison.cli.showing import wrong_file
from liaison.client import Client
from liaison.client.outcomes import Accepted
from liaison.client.receipts import Proven, prove, prove_refusal
from liaison.ledger.facts import (
    AnswerFacts,
    ConclusionFacts,
    ContestedFacts,
    DeadlineFacts,
    DueFacts,
    MissedTestFacts,
    MomentFacts,
    NoteFacts,
    RungFacts,
    Stated,
)
from liaison.sealing.content import visible
from liaison.statements.payloads import Refusal
from liaison.statements.statement import Statement
from liaison.words.errors import Malformed
from liaison.words.precedence import Precedence
from liaison.words.times import to_dtg

receipt = typer.Typer(no_args_is_help=True, help="Receipts: what the log is bound to, offline.")

File = Annotated[
    Path, typer.Argument(help="A .receipt file, such as london-hotline/1.receipt, or a .refusal.")
]


Card = Annotated[
    Path | None,
    typer.Option("--node", help="The node's card, where no home has it pinned: for auditors."),
]


def register(app: typer.Typer) -> None:
    app.add_typer(receipt, name="receipt")


@receipt.command()
def show(context: typer.Context, file: File, node: Card = None) -> None:
    """Show what a receipt's record says, once it verified."""
    proven = _proven(context, file, node)
    if isinstance(proven, Statement):
        _show_refusal(proven.payload)
        return
    record = proven.record
    facts = record.facts
    what = f"a {record.kind} statement"
    if isinstance(facts, NoteFacts):
        name = f"note {facts.reference} of its channel" if facts.reference else "a draft"
        what = f"{name}, {_level(facts.precedence)}"
    elif isinstance(facts, AnswerFacts):
        what = f"an answer: {facts.verdict.value}, for {facts.post}"
    elif isinstance(facts, DueFacts):
        what = f"a {record.kind}: {record.urgency.outcome}, due {to_dtg(facts.due, exact=True)}"
    say(f"entry {proven.index}: {what}")
    say(f"by        {record.actor}")
    say(f"at        {to_dtg(record.at, exact=True)}")
    say(f"in        {record.channel.id}, record {record.channel.n}")
    if isinstance(facts, Stated):
        say(f"statement {facts.statement}")
    if record.note:
        say(f"about     {record.note}")
    answer(_as_shape(proven))


@receipt.command()
def verify(context: typer.Context, file: File, node: Card = None) -> None:
    """Check a receipt without any node, and say what it proves and what it doesn't.

    Against the log key that this home pinned, or that of a card: --node node.liaison.
    """
    proven = _proven(context, file, node)
    say(f"VERIFIED {file}")
    if isinstance(proven, Statement):
        _verify_refusal(proven.payload, file)
        return
    record = proven.record
    answer({"verified": file, **_as_shape(proven)})
    if isinstance(record.facts, DueFacts):
        _verify_due(proven, record.facts)
        return
    say(
        f"The log {proven.origin} is bound to this: entry {proven.index}, a {record.kind} by "
        f"{record.actor}, accepted at {to_dtg(record.at, exact=True)}, "
        f"in a tree of {proven.size} entries."
    )
    say("Checked: each opening against the entry, the entry against the tree, the tree's")
    say("signature against the pinned log key, the statement against what the record says of it.")
    say(f"Not checked here: whose key signed the {record.kind}, and that no entry was left out")
    say("(`liaison audit`).")


@receipt.command("import")
def import_command(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `liaison lodge` wrote beside the parcel.")],
) -> None:
    """Take the receipt, or the refusal, of what a courier lodged: it waits no more."""
    data = desk.read(context, file)

    async def work(client: Client) -> Accepted:
        return await client.take_back(data)

    try:
        accepted = desk.as_member(context, work)
    except Malformed as exc:
        raise wrong_file(file, "a receipt or a refusal", exc) from exc
    for line in in_words(accepted):
        say(line)
    answer(as_shape(accepted))


def _show_refusal(refusal: Refusal) -> None:
    say(f"refused   {refusal.code}: {visible(refusal.text)}")
    say(f"by        {refusal.by}")
    say(f"at        {to_dtg(refusal.issued, exact=True)}")
    say(f"payload   {refusal.payload_digest}")
    answer(_of_refusal(refusal))


def _verify_refusal(refusal: Refusal, file: Path) -> None:
    """Say what a refusal proves: that the node would not take a statement, and why."""
    say(
        f"The node of {refusal.by} signed at {to_dtg(refusal.issued, exact=True)} that it refused a "
        f"statement: {visible(refusal.text)} ({refusal.code})."
    )
    say(f"Its payload digest is {refusal.payload_digest}.")
    say("Checked: the signature against the pinned node key.")
    say(
        "Not checked: that it was right to refuse. Only the code binds; `liaison audit` has the rules."
    )
    answer({"verified": file, **_of_refusal(refusal)})


def _of_refusal(refusal: Refusal) -> Shape:
    return {
        "origin": refusal.by,
        "kind": refusal.kind_name,
        "at": refusal.issued,
        "code": refusal.code,
        "detail": refusal.text,
        "payload": refusal.payload_digest,
    }


def _verify_due(proven: Proven, facts: DueFacts) -> None:
    """Say what a certificate proves: what had not happened by a moment."""
    record = proven.record
    say(
        f"The log {proven.origin} is bound to this: entry {proven.index}, a {record.kind} that was "
        f"due at {to_dtg(facts.due, exact=True)} and recorded at {to_dtg(record.at, exact=True)}, "
        f"in a tree of {proven.size} entries."
    )
    if isinstance(facts, MomentFacts):
        say(f"It is about the note of entry {facts.index}, by {facts.sender}.")
    if isinstance(facts, RungFacts):
        lacking = "answered" if facts.waits_for == "answer" else "taken on"
        say(f"By then it was not {lacking} by: {', '.join(facts.open) or 'anybody'}.")
    elif isinstance(facts, DeadlineFacts):
        say(f"{facts.what}, for: {', '.join(facts.posts) or 'nobody'}.")
    elif isinstance(facts, ConclusionFacts):
        say(f"Silence ended without an objection before it: decision {facts.decision}.")
    elif isinstance(facts, ContestedFacts):
        say(
            f"{facts.member}'s key {facts.device} is contested since {to_dtg(facts.since)}: of what"
        )
        again = sum(bool(one.reached) for one in facts.armed)
        say(f"it acknowledged, the notes of {again} entries count as taken on no more; of what it")
        owing = sum(bool(one.owing) for one in facts.armed)
        say(f"answered, those of {owing} count as answered no more.")
    elif isinstance(facts, MissedTestFacts):
        say(f"No line test had come from {facts.party}.")
    say("Checked: each opening against the entry, the entry against the tree, the tree's")
    say(
        "signature against the pinned log key. It is the log's own word, by the rules of the charter;"
    )
    say("that they lead to it, `liaison audit replay` proves. What came later stands beside it.")


def _proven(context: typer.Context, file: Path, card: Path | None) -> Proven | Statement[Refusal]:
    path = desk.find(context, file)
    if not path.exists():
        path = desk.find(context, Path("receipts") / file)
    data = desk.read(context, path)
    node = desk.node_of(context, card)
    try:
        if data.startswith(b"{"):
            return prove_refusal(data, node)
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise Malformed(f"{file}: not UTF-8 at byte {exc.start}") from exc
    except Malformed as exc:
        raise wrong_file(file, "a refusal as the node gave it", exc) from exc
    try:
        return prove(text, node)
    except Malformed as exc:
        raise Malformed(
            f"{file} is not a receipt as the node gave it: {exc.happened}",
            safe="it proves nothing so",
            do="verify the file that was written at the time, not one that an editor saved",
        ) from exc


def _as_shape(proven: Proven) -> Shape:
    record = proven.record
    facts = record.facts.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {
        "origin": proven.origin,
        "index": proven.index,
        "size": proven.size,
        "kind": record.kind,
        "by": record.actor,
        "at": record.at,
        "channel": record.channel.id,
        "n": record.channel.n,
        "note": record.note or None,
        "outcome": record.urgency.outcome or None,
        "facts": facts,
    }


def _level(precedence: Precedence) -> str:
    return precedence.value.upper()
