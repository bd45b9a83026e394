"""The comparison of the books sees every kind of difference; and the oracle's callers see what is spoiled."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.fakes.books import disagreements
from tests.fakes.oracle import DONE, OracleUpstream, answer_id, pieces, usage
from tests.fakes.oracle_client import Asked, Target, asking
from tests.fakes.peer import Peer, head
from tests.fakes.upstream import CHUNKED, Script, chunk, serving

Books = tuple[list[Asked], OracleUpstream, list[dict[str, Any]]]


def row(uid: str, seq: int, **changes: Any) -> dict[str, Any]:
    billed = usage(uid)
    known = {"uid": uid, "request_id": f"id-{seq}", "worker": "w0", "boot": "b1", "seq": seq, "outcome": "ok"}
    counts = {"input_tokens": billed["prompt_tokens"], "output_tokens": billed["completion_tokens"]}
    return {**known, **counts, "stream": False, "response_id": answer_id(uid), **changes}


@pytest.fixture
def books() -> Books:
    """Two answers that came whole, and one whose caller lost the connection."""
    asked = [Asked(uid=uid, user="ada", stream=False, fate="whole") for uid in ("a", "b")]
    asked.append(Asked(uid="c", user="ada", stream=False, fate="broken"))
    upstream = OracleUpstream()
    upstream.got.update("abc")
    return asked, upstream, [row("a", 1), row("b", 2), row("c", 3, outcome="interrupted", response_id=None)]


def test_books_that_agree_have_nothing_to_say(books: Books):
    assert disagreements(*books, unfinished={"interrupted"}) == {}


def test_a_broken_answer_may_be_recorded_as_whole(books: Books):
    books[2][2] = row("c", 3)

    assert disagreements(*books) == {}


def test_a_whole_answer_without_a_record_is_lost(books: Books):
    del books[2][0]

    assert disagreements(*books, unfinished={"interrupted"}) == {"lost": ["a"], "unrecorded": ["a"]}


def test_a_whole_answer_that_was_not_recorded_as_such_is_lost(books: Books):
    books[2][1]["outcome"] = "interrupted"

    assert disagreements(*books, unfinished={"interrupted"}) == {"lost": ["b"]}


@pytest.mark.parametrize("changes", [{"seq": 9}, {"request_id": "id-9"}, {"seq": 9, "request_id": "id-9"}])
def test_a_second_record_is_a_double(changes: dict[str, Any], books: Books):
    books[2].append(row("a", **{"seq": 1, **changes}))

    assert disagreements(*books, unfinished={"interrupted"}).keys() == {"doubled"}


def test_what_was_sent_and_is_not_recorded_is_missed(books: Books):
    del books[2][2]

    assert disagreements(*books) == {"unrecorded": ["c"]}


def test_what_a_dead_worker_left_has_the_outcomes_that_are_allowed(books: Books):
    assert disagreements(*books) == {"wrong outcome": ["c: interrupted"]}


def test_of_a_question_that_never_came_whole_the_record_need_not_know_whether_it_is_streamed(books: Books):
    books[0].append(Asked(uid="d", user="ada", stream=True))
    books[2].append(row("d", 4, outcome="client_cancelled", response_id=None))

    assert disagreements(*books, unfinished={"interrupted", "client_cancelled"}) == {}


def test_a_question_that_was_sent_twice_is_seen(books: Books):
    books[1].got["b"] += 1

    assert disagreements(*books, unfinished={"interrupted"}) == {"sent twice": ["b"]}


@pytest.mark.parametrize("changes", [{"response_id": "x"}, {"output_tokens": 0}, {"stream": True}])
def test_a_record_of_something_else_is_wrong(changes: dict[str, Any], books: Books):
    books[2][0].update(changes)

    assert disagreements(*books, unfinished={"interrupted"}) == {"wrong record": ["a"]}


@pytest.mark.parametrize("fate", ["corrupt", "hung"])
def test_an_answer_that_is_spoiled_or_never_comes_is_seen(fate: Any, books: Books):
    books[0][2].fate = fate

    assert disagreements(*books, unfinished={"interrupted"}) == {fate: ["c"]}


def ask(script: Script, count: int = 1) -> list[Asked]:
    """Let callers ask an upstream that follows a script."""
    with serving(script) as upstream, asking(Target(url=upstream.url, key="k", model="m"), 7, at_once=4) as asked:
        while len(asked) < count:
            time.sleep(0.01)
    return asked


def test_the_oracle_and_its_callers_understand_each_other():
    oracle = OracleUpstream()
    asked = ask(oracle.script, 40)

    assert {(one.fate, one.is_ended) for one in asked} == {("whole", True)}
    assert {one.stream for one in asked} == {True, False}
    assert oracle.delivered == {one.uid for one in asked} == set(oracle.got)
    assert not oracle.spoiled


def test_one_word_less_is_seen():
    async def forgetful(peer: Peer) -> None:
        while True:
            uid = json.loads((await peer.read()).body)["metadata"]["oracle"]
            await answer(peer, uid, "".join(pieces(uid)[:-1]), DONE)

    assert {one.fate for one in ask(forgetful, 20)} == {"corrupt"}


def test_a_stream_without_its_end_is_broken_and_one_that_is_cut_behind_it_is_whole():
    async def cutting(peer: Peer) -> None:
        asked = json.loads((await peer.read()).body)
        uid = asked["metadata"]["oracle"]
        await answer(peer, uid, "".join(pieces(uid)), DONE if asked["user"] < "user-3" else b"", end=b"")
        peer.close()

    asked = ask(cutting, 20)
    assert not any(one.is_ended for one in asked if one.stream)
    assert {(one.user < "user-3", one.fate) for one in asked if one.stream} == {(True, "whole"), (False, "broken")}


def test_another_status_is_a_refusal_and_a_reset_breaks():
    async def refusing(peer: Peer) -> None:
        await peer.read()
        await peer.answer(b"{}", status=b"503 Service Unavailable")
        await peer.read()
        peer.reset()

    assert {one.fate for one in ask(refusing, 20)} == {"refused", "broken"}


async def answer(peer: Peer, uid: str, content: str, done: bytes, end: bytes = chunk(b"")) -> None:
    """Answer the last request, streamed if it was asked so."""
    if json.loads(peer.requests[-1].body).get("stream"):
        said = {"id": answer_id(uid), "choices": [{"delta": {"content": content}}]}
        event = b"data: " + json.dumps(said).encode() + b"\n\n"
        await peer.send(head(CHUNKED) + chunk(event + done) + end, pause_s=0.01)
    else:
        said = {"id": answer_id(uid), "choices": [{"message": {"content": content}}]}
        await peer.answer(json.dumps(said).encode(), b"connection: close")
