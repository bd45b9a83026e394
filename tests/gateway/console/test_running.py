from __future__ import annotations

from contextlib import ExitStack

import pytest

from gateway.console.running import MOST_OF_ONE, SHOWN_CHARACTERS, Asker, NoAnswerError, Statements
from gateway.errors import BadRequestError, NotFoundError

ALICE = Asker(key="a", name="analyst key a (alice)", role="analyst")
BOB = Asker(key="b", name="analyst key b (bob)", role="analyst")
OPS = Asker(key="o", name="ops key o", role="ops")


def test_what_a_statement_is_at_and_how_far_can_be_seen():
    seconds = iter([100.0, 100.5, 101.0, 103.26])
    statements = Statements(lambda: next(seconds))
    with statements.registered("mine", ALICE, "SELECT 1" * SHOWN_CHARACTERS) as running:
        waits = statements.show("mine", ALICE)
        running.is_at("copying")
        copies = statements.show("mine", OPS)
        running.is_at("running")
        running.is_done_to(42)
        runs = statements.show("mine", ALICE)

    assert (waits.id, waits.by, waits.state, waits.percent) == ("mine", ALICE.name, "waiting", None)
    assert len(waits.query) == SHOWN_CHARACTERS
    assert (copies.state, copies.percent) == ("copying", None)
    assert (runs.state, runs.percent, runs.elapsed_s) == ("running", 42, 3.3)
    with pytest.raises(NotFoundError, match="may have ended"):
        statements.show("mine", ALICE)


def test_an_analyst_sees_and_ends_their_own_alone_and_ops_everybodys():
    statements = Statements()
    with statements.registered("mine", ALICE, "SELECT 1") as mine, statements.registered(None, BOB, "SELECT 2"):
        assert [one.query for one in statements.listed(ALICE)] == ["SELECT 1"]
        [theirs] = statements.listed(BOB)
        assert [one.id for one in statements.listed(OPS)] == ["mine", theirs.id]
        for act in (statements.show, statements.cancel):
            with pytest.raises(NotFoundError):
                act("mine", BOB)
        assert not mine.is_set
        statements.cancel("mine", ALICE)
        assert mine.is_set
        statements.cancel(theirs.id, OPS)


def test_a_name_is_one_statements_alone_and_never_that_of_a_place():
    statements = Statements()
    with (
        statements.registered("mine", ALICE, "SELECT 1"),
        pytest.raises(BadRequestError, match="of its own"),
        statements.registered("mine", BOB, "SELECT 2"),
    ):
        pass
    with pytest.raises(BadRequestError, match="saved queries"), statements.registered("queries", ALICE, "SELECT 1"):
        pass


def test_one_key_cannot_take_every_place():
    statements = Statements()
    with ExitStack() as held:
        for _ in range(MOST_OF_ONE):
            held.enter_context(statements.registered(None, ALICE, "SELECT 1"))
        with pytest.raises(NoAnswerError, match="10 queries of this key run or wait already"):
            held.enter_context(statements.registered(None, ALICE, "SELECT 1"))
        held.enter_context(statements.registered(None, BOB, "SELECT 1"))
    with statements.registered(None, ALICE, "SELECT 1"):
        pass
