from __future__ import annotations

import asyncio
import json
import ssl

import pytest

from gateway.cli.post import Post
from gateway.cli.target import Target
from gateway.simulate.users import Habit
from tests.fakes.listening_gateway import Books, listening_gateway
from tests.fakes.upstream import closed_port, serving

ANSWER = json.dumps({"choices": [{"message": {"content": "Simulated answer: yes"}}]}).encode()

pytestmark = pytest.mark.anyio


async def posted(url: str, *habits: Habit) -> Post:
    post = Post(Target(url=f"{url}/v1", key="k"), seed=1, share=1.0)
    async with asyncio.TaskGroup() as group:
        post.start(group, ssl.create_default_context())
        for number, habit in enumerate(habits):
            post.hear(habit, ANSWER, f"request-{number}", streamed=False)
        post.last()
    return post


async def test_every_message_arrives_and_is_counted():
    books = Books()
    with serving(listening_gateway(books)) as fake:
        post = await posted(fake.url, Habit(), Habit(twice=True), Habit(late=True), Habit(late=True, twice=True))

    told = post.summary()
    assert (told.requests, told.accepted, told.late, told.again, told.failed) == (4, 6, 3, 2, 0)
    assert sorted(said["request_id"] for said in books.feedback) == [f"request-{n}" for n in (0, 1, 1, 2, 3, 3)]
    assert {said["thumb"] for said in books.feedback} == {"up"}
    assert "authorization: bearer k" in fake.requests[0].head.decode().lower()


async def test_answers_that_tell_nothing_are_not_spoken_of():
    post = Post(Target(url="http://127.0.0.1:1/v1", key=None), seed=1, share=1.0)

    assert post.hear(Habit(), b"{}", "request-1", streamed=False) is None
    assert post.hear(Habit(), ANSWER, "", streamed=False) is None
    assert post.summary().requests == 0


async def test_what_is_not_accepted_is_counted_by_its_status():
    with serving(listening_gateway(Books(), feedback_status=b"404 Not Found")) as fake:
        post = await posted(fake.url, Habit(), Habit(twice=True))

    assert post.summary().failures == {"404": 3}
    assert post.summary().accepted == 0


async def test_a_gateway_that_is_gone_is_a_failure_of_each_message():
    post = await posted(f"http://127.0.0.1:{closed_port()}", Habit(), Habit())

    assert post.summary().failures == {"connection lost": 2}
