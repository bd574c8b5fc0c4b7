"""Lives of addressees, drawn against the table of design.md, law 8."""

from __future__ import annotations

import pytest

from liaison.rules.lives import FIRST, TABLES, Life, Step, step
from liaison.statements.payloads import AddresseeRole, Verdict

A, I, S = AddresseeRole.ACTION, AddresseeRole.INFO, AddresseeRole.STANDBY  # noqa: E741
ACTED = """
    queued delivered delivered          queued acknowledged acknowledged
    queued declined declined            queued closed unanswered
    queued not-delivered non-delivered  queued cancelled cancelled
    queued expired expired              delivered acknowledged acknowledged
    delivered declined declined         delivered closed unanswered
    delivered cancelled cancelled       delivered expired expired
    acknowledged reopened delivered     declined reopened delivered
    unanswered reopened delivered       drafted cancelled cancelled
"""
DRAWN = {
    I: """
        queued delivered delivered      queued not-delivered non-delivered
        queued cancelled cancelled      queued expired expired
        drafted released queued         drafted cancelled cancelled
    """,
    A: ACTED + "drafted released queued",
    S: ACTED + "drafted released withheld  withheld opened queued  withheld not-needed lapsed",
}


def drawn(role: AddresseeRole) -> dict[tuple[Life, Step], Life]:
    words = DRAWN[role].split()
    return {
        (Life(words[n]), Step(words[n + 1])): Life(words[n + 2]) for n in range(0, len(words), 3)
    }


@pytest.mark.parametrize("role", DRAWN)
def test_what_the_design_lists_can_happen_and_nothing_else(role):
    paths = drawn(role)
    for life in Life:
        for taken in Step:
            assert step(role, life, taken) == paths.get((life, taken)), (life, taken)


def test_each_role_but_the_copy_has_a_life():
    assert set(TABLES) == set(FIRST) == set(AddresseeRole) - {AddresseeRole.COPY}


@pytest.mark.parametrize("role", DRAWN)
def test_every_state_has_a_way_from_the_first(role):
    reached: set[Life] = {FIRST[role], Life.DRAFTED}
    before: set[Life] = set()
    while reached != before:
        before = set(reached)
        reached |= {to for (life, _), to in TABLES[role].items() if life in before}
    listed = {life for life, _ in TABLES[role]} | set(TABLES[role].values())
    assert reached == listed


@pytest.mark.parametrize(
    ("role", "terminal"),
    [
        (I, {Life.DELIVERED, Life.NON_DELIVERED, Life.CANCELLED, Life.EXPIRED}),
        (A, {Life.NON_DELIVERED, Life.CANCELLED, Life.EXPIRED}),
        (S, {Life.NON_DELIVERED, Life.CANCELLED, Life.EXPIRED, Life.LAPSED}),
    ],
)
def test_terminal_states_are_terminal(role, terminal):
    ends = set(TABLES[role].values()) - {life for life, _ in TABLES[role]}
    assert ends == terminal


@pytest.mark.parametrize("role", [A, S])
def test_only_a_new_statement_leaves_an_acknowledgement(role):
    for ended in (Life.ACKNOWLEDGED, Life.DECLINED, Life.UNANSWERED):
        assert [taken for taken in Step if step(role, ended, taken)] == [Step.REOPENED]


def test_a_verdict_that_moves_is_a_step():
    assert {Step(v.value) for v in Verdict if v is not Verdict.UNREADABLE} == {
        Step.DELIVERED,
        Step.ACKNOWLEDGED,
        Step.DECLINED,
    }
