from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.record import Record
from gateway.errors import ApiError
from gateway.proxy.board import Board
from gateway.proxy.choice import check_standing, choose
from gateway.proxy.endpoint import Inference
from gateway.proxy.identity import ANONYMOUS, User
from gateway.proxy.queueing import Throttle
from gateway.proxy.snapshot import Holder, View
from gateway.proxy.upstream import BrokenFault, Call, Fault
from gateway.settings.schema import Application, Model
from gateway.settings.snapshot import Admission, SplitEntry
from tests.fakes.proxy import (
    AUTHORIZED,
    BASE,
    BODY,
    CANDIDATE,
    FLAG,
    JSON,
    SALES,
    WHOLE,
    Caller,
    Counts,
    Journal,
    Moments,
    ScriptedAnswer,
    decisions,
)

pytestmark = pytest.mark.anyio
FORCED = msgspec.structs.replace(FLAG, percent=100.0)
TO_CANDIDATE = {SALES: SplitEntry(flag=FORCED)}
AT_BASE = BODY.replace(b"sales", b"gpt")


class Held:
    """An `Upstream` that keeps every request until it is told to let one go, and knows how many it has."""

    def __init__(self) -> None:
        self.at_once = self.most = 0
        self.models = Counter[str]()
        self.doors: list[asyncio.Future[Fault | None]] = []

    async def send(self, call: Call) -> ScriptedAnswer:
        assert isinstance(call.body, bytes)
        self.models[msgspec.json.decode(call.body)["model"]] += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        door: asyncio.Future[Fault | None] = asyncio.get_running_loop().create_future()
        self.doors.append(door)
        try:
            fault = await door
        finally:
            self.at_once -= 1
        if fault is not None:
            raise fault
        return ScriptedAnswer(Moments(), WHOLE, headers=[JSON])

    def let_go(self, fault: Fault | None = None) -> None:
        self.doors = [door for door in self.doors if not door.done()]
        if self.doors:
            self.doors.pop(0).set_result(fault)

    async def close(self) -> None:
        """Nothing is open."""


class Crowd:
    """Many callers of one endpoint."""

    def __init__(self, throttle: Throttle | None = None, **changes: Any) -> None:
        self.upstream = Held()
        self.throttle = throttle or Throttle()
        self.journal, self.tally = Journal(moments=Moments()), Counts()
        self.holder = Holder(View(decisions=decisions(**changes), source="ledger"))
        self.endpoint = Inference(self.holder, self.upstream, self.journal, self.tally, self.throttle)
        self.callers: list[Caller] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def come(self, count: int = 1, body: bytes = BODY) -> Sequence[Caller]:
        new = [Caller(Moments(), body, headers=[AUTHORIZED]) for _ in range(count)]
        self.tasks += [asyncio.create_task(self.endpoint.answer(caller.connection())) for caller in new]
        self.callers += new
        await settled()
        return new

    async def let_go(self, count: int = 1, fault: Fault | None = None) -> None:
        for _ in range(count):
            self.upstream.let_go(fault)
            await settled()

    async def finish(self) -> None:
        while not all(task.done() for task in self.tasks):
            await self.let_go()

    @property
    def endings(self) -> Counter[tuple[str, str | None]]:
        records = [frame for frame in self.journal.frames if isinstance(frame, Record)]
        return Counter((record.outcome, record.error_class) for record in records)

    def is_empty(self) -> bool:
        """Tell whether nobody holds or waits for anything."""
        throttle: Any = self.throttle
        slots = [*throttle._slots.values(), *throttle.allowances._slots.values()]  # noqa: SLF001 - what must be 0 is not shown to anybody
        return all(one.taken == one.waiting == 0 for one in slots) and throttle._room.held_bytes == 0  # noqa: SLF001 - as above


async def settled() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if is_so():
            return
        await asyncio.sleep(0.005)
    pytest.fail("not within 10 s")


async def test_without_limits_all_pass_at_once():
    crowd = Crowd()
    await crowd.come(50)

    assert crowd.upstream.at_once == 50
    await crowd.finish()
    assert crowd.endings == {("ok", None): 50}
    assert crowd.is_empty()


async def test_as_many_pass_as_may_the_next_wait_in_line_and_the_rest_is_shed():
    crowd = Crowd(admission=Admission(max_concurrent=2, queue=3))
    await crowd.come(9)

    assert crowd.upstream.at_once == 2
    assert crowd.endings == {("shed", "queue_full"): 4}
    shed = crowd.callers[-1]
    assert (shed.status, shed.error["code"], shed.headers["retry-after"]) == (503, "overloaded", "1")
    assert "x-request-id" in shed.headers
    await crowd.finish()
    assert crowd.upstream.most == 2
    assert crowd.endings == {("shed", "queue_full"): 4, ("ok", None): 5}
    assert crowd.is_empty()


async def test_a_shed_request_is_recorded_with_its_arm_and_was_never_opened():
    crowd = Crowd(admission=Admission(max_concurrent=1, queue=0), rollouts=TO_CANDIDATE)
    await crowd.come(2)
    await crowd.finish()

    assert len(crowd.journal.opened) == 1
    (record,) = [one for one in crowd.journal.frames if isinstance(one, Record) and one.outcome == "shed"]
    assert (record.arm_assigned, record.arm_served, record.attempts, record.status) == ("candidate", None, [], 503)


async def test_who_waits_too_long_is_shed():
    crowd = Crowd(admission=Admission(max_concurrent=1, queue_timeout_s=0.05))
    await crowd.come(2)
    await asyncio.wait([crowd.tasks[1]], timeout=5)

    assert crowd.endings == {("shed", "queue_timeout"): 1}
    await crowd.finish()
    assert crowd.is_empty()


async def test_a_caller_who_leaves_the_line_gives_its_place_to_the_next():
    crowd = Crowd(admission=Admission(max_concurrent=1, queue=2))
    _, leaver, patient = await crowd.come(3)

    leaver.leave()
    await settled()
    await crowd.come(1)
    await crowd.let_go()

    assert crowd.endings == {("client_cancelled", None): 1, ("ok", None): 1}
    assert crowd.upstream.at_once == 1
    await crowd.finish()
    assert patient.status == 200
    assert not leaver.sent
    assert crowd.is_empty()


async def test_a_caller_who_leaves_in_the_moment_it_is_let_in_gives_its_place_up():
    crowd = Crowd(admission=Admission(max_concurrent=1, queue=2))
    await crowd.come(3)
    crowd.callers[1].leave()
    crowd.upstream.let_go()
    await crowd.finish()

    assert crowd.callers[2].status == 200
    assert crowd.is_empty()


async def test_a_slow_candidate_does_not_hold_base_up():
    models = {BASE: Model(upstream="one"), CANDIDATE: Model(upstream="one", max_concurrent=2)}
    crowd = Crowd(models=models, rollouts=TO_CANDIDATE, admission=Admission(max_concurrent=4, queue=5))
    await crowd.come(20)
    assert crowd.upstream.models == {CANDIDATE: 2}

    await crowd.come(2, body=AT_BASE)

    assert crowd.upstream.models == {CANDIDATE: 2, BASE: 2}
    assert crowd.endings == {("shed", "queue_full"): 13}
    await crowd.finish()
    assert crowd.is_empty()


async def test_who_waited_for_the_candidate_does_not_reach_it_after_a_rollback():
    crowd = Crowd(rollouts=TO_CANDIDATE, admission=Admission(max_concurrent=1))
    await crowd.come(2)
    crowd.holder.change(killed=True)
    await crowd.finish()

    assert crowd.upstream.models == {CANDIDATE: 1}
    assert crowd.endings == {("ok", None): 1, ("shed", "choice_overtaken"): 1}
    assert crowd.is_empty()


@pytest.mark.parametrize(
    ("later", "stands"),
    [
        ({"rollouts": TO_CANDIDATE}, True),
        ({"rollouts": TO_CANDIDATE, "version": 8}, True),
        ({"rollouts": {SALES: SplitEntry(flag=msgspec.structs.replace(FORCED, percent=50.0, version=4))}}, False),
        ({"rollouts": {}}, False),
    ],
)
def test_a_choice_of_the_candidate_stands_while_its_flag_is_as_it_was(later: dict[str, Any], stands: bool):  # noqa: FBT001 - a row's verdict
    view = View(decisions=decisions(rollouts=TO_CANDIDATE), source="ledger")
    route = view.decisions.route(SALES, live=True)
    assert route is not None
    choice = choose(view, route, User(b"ann", "user"))
    now = View(decisions=decisions(**later), source="ledger")

    with refused(not stands):
        check_standing(choice, now)
    check_standing(choose(view, route, ANONYMOUS), now)


@contextmanager
def refused(is_so: bool) -> Iterator[None]:  # noqa: FBT001 - the one thing to say
    if not is_so:
        yield
        return
    with pytest.raises(ApiError) as raised:
        yield
    assert (raised.value.status, raised.value.error_class) == (503, "choice_overtaken")


async def test_an_application_over_its_rate_is_told_when_to_come_again():
    now = 100.0
    crowd = Crowd(Throttle(clock=lambda: now), applications={"shop": Application(requests_per_minute=6)})
    await crowd.come(8)
    await crowd.finish()

    assert crowd.endings == {("ok", None): 6, ("rejected", "rate_limit_exceeded"): 2}
    late = crowd.callers[-1]
    assert (late.status, late.headers["retry-after"]) == (429, "10")
    assert late.error["type"] == "requests"
    assert late.error["code"] == "rate_limit_exceeded"
    now += 10
    await crowd.come(2)
    await crowd.finish()
    assert crowd.endings == {("ok", None): 7, ("rejected", "rate_limit_exceeded"): 3}


async def test_an_application_over_its_concurrency_is_refused_at_once():
    crowd = Crowd(applications={"shop": Application(max_concurrent=2)})
    await crowd.come(3)

    assert crowd.endings == {("rejected", "application_concurrency"): 1}
    assert crowd.callers[-1].status == 429
    assert crowd.callers[-1].headers["retry-after"] == "1"
    await crowd.finish()
    assert crowd.is_empty()


COSTLY = Application(daily_cost_usd=0.25, unknown_cost_usd=0.1)
COST_USD = 0.009
"""Of one answer, at the fakes' price."""


async def test_an_application_spends_its_day_and_is_told_when_the_next_begins():
    now = 20_000 * 86_400 + 86_300.5
    crowd = Crowd(Throttle(today=lambda: now), rollouts={}, applications={"shop": COSTLY})
    affordable = int((0.25 - 0.1) / COST_USD) + 1
    for _ in range(affordable + 2):
        await crowd.come(body=AT_BASE)
        await crowd.let_go()

    assert crowd.endings == {("ok", None): affordable, ("rejected", "daily_cost_reached"): 2}
    late = crowd.callers[-1]
    assert (late.status, late.headers["retry-after"], late.headers["x-should-retry"]) == (429, "100", "false")
    assert (late.error["type"], late.error["code"]) == ("insufficient_quota", "daily_cost_reached")
    assert "daily_cost_usd of 0.25" in late.error["message"]
    now += 100
    await crowd.come(body=AT_BASE)
    await crowd.let_go()
    assert crowd.callers[-1].status == 200


async def test_what_requests_under_way_may_cost_is_set_aside_and_comes_back_with_their_cost():
    crowd = Crowd(rollouts={}, applications={"shop": COSTLY})
    await crowd.come(3, body=AT_BASE)

    assert crowd.upstream.at_once == 2
    soon = crowd.callers[-1]
    assert (soon.status, soon.headers["retry-after"], soon.error["code"]) == (429, "1", "daily_cost_reached")
    assert "x-should-retry" not in soon.headers
    await crowd.let_go()
    await crowd.come(body=AT_BASE)
    assert crowd.upstream.at_once == 2
    await crowd.finish()


async def test_a_cost_that_nobody_knows_is_charged_at_the_ceiling_and_what_was_never_sent_costs_nothing():
    crowd = Crowd(rollouts={}, applications={"shop": COSTLY})
    for _ in range(3):
        await crowd.come(body=b"{")
    assert crowd.endings == {("rejected", "invalid_json"): 3}

    for _ in range(3):
        await crowd.come(body=AT_BASE)
        await crowd.let_go(fault=BrokenFault("connection_lost"))
    assert crowd.endings["rejected", "daily_cost_reached"] == 1
    assert crowd.callers[-1].headers["x-should-retry"] == "false"


async def test_a_request_that_is_refused_for_its_cost_uses_up_no_rate():
    both = msgspec.structs.replace(COSTLY, requests_per_minute=3)
    crowd = Crowd(Throttle(clock=lambda: 5.0), rollouts={}, applications={"shop": both})
    await crowd.come(4, body=AT_BASE)
    await crowd.let_go(2)
    await crowd.come(2, body=AT_BASE)

    assert crowd.endings["rejected", "daily_cost_reached"] == 2
    assert crowd.endings["rejected", "rate_limit_exceeded"] == 1
    await crowd.finish()


class Broken:
    """A board of a host whose disk refuses."""

    def __init__(self) -> None:
        self.swept = 0

    def sheet(self, name: str) -> None:
        del name

    def leased(self, name: str) -> None:
        del name

    def poke(self) -> None:
        """Nobody listens."""

    def sweep(self) -> int:
        self.swept += 1
        raise OSError


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Callable[..., list[Crowd]]]:
    """Return workers that share one host's limits."""
    boards = [Board(tmp_path) for _ in range(2)]

    def crowds(**changes: Any) -> list[Crowd]:
        return [Crowd(Throttle(board, 2, clock=changes.pop("clock", time.monotonic)), **changes) for board in boards]

    yield crowds
    for board in boards:
        board.close()


async def test_one_of_two_workers_has_the_whole_limit_and_both_together_no_more(crew: Callable[..., list[Crowd]]):
    one, other = crew(admission=Admission(max_concurrent=5, queue=0), applications={"shop": Application()})
    await one.come(7)
    await other.come(1)

    assert (one.upstream.at_once, other.upstream.at_once) == (5, 0)
    assert one.endings + other.endings == {("shed", "queue_full"): 3}
    await one.let_go()
    await other.come(1)
    assert other.upstream.at_once == 1
    await one.finish()
    await other.finish()


async def test_one_of_two_workers_gives_the_whole_rate_and_both_together_no_more(crew: Callable[..., list[Crowd]]):
    one, other = crew(applications={"shop": Application(requests_per_minute=7)})
    await one.come(9)
    await other.come(3)

    assert (one.upstream.at_once, other.upstream.at_once) == (7, 0)
    assert one.endings + other.endings == {("rejected", "rate_limit_exceeded"): 5}
    await one.finish()


async def test_who_waits_at_one_worker_is_let_in_when_another_gives_a_place_back(crew: Callable[..., list[Crowd]]):
    one, other = crew(admission=Admission(max_concurrent=1, queue=3))
    await one.come(1)
    await other.come(2)
    await one.come(1)
    assert (one.upstream.at_once, other.upstream.at_once) == (1, 0)

    for letting, waiting, served in ((one, other, 1), (other, other, 2), (other, one, 2)):
        await letting.let_go()
        await until(lambda waiting=waiting, served=served: waiting.upstream.models.total() == served)
        assert one.upstream.at_once + other.upstream.at_once == 1
    await one.finish()
    assert one.is_empty()
    assert other.is_empty()


async def test_lines_at_two_workers_have_the_room_of_one(crew: Callable[..., list[Crowd]]):
    one, other = crew(admission=Admission(max_concurrent=1, queue=3))
    await one.come(1)
    await one.come(2)
    await other.come(3)

    assert one.endings + other.endings == {("shed", "queue_full"): 2}
    while not all(task.done() for task in one.tasks + other.tasks):
        await one.let_go()
        await other.let_go()
        await asyncio.sleep(0.005)
    assert one.endings + other.endings == {("shed", "queue_full"): 2, ("ok", None): 4}


async def test_a_limit_that_cannot_be_shared_is_divided():
    applications = {"shop": Application(requests_per_minute=5)}
    crowd = Crowd(Throttle(Broken(), 2), admission=Admission(max_concurrent=5, queue=0))
    await crowd.come(9)
    assert crowd.upstream.at_once == 3
    await crowd.finish()

    crowd = Crowd(Throttle(Broken(), 2), applications=applications)
    await crowd.come(9)
    assert crowd.upstream.at_once == 3
    await crowd.finish()


async def test_a_board_that_cannot_be_looked_at_is_looked_at_again_and_its_trouble_is_said_once(
    caplog: pytest.LogCaptureFixture,
):
    board = Broken()
    tending = asyncio.create_task(Throttle(board, 2).tend())
    await until(lambda: board.swept == 3)
    assert not tending.done()
    tending.cancel()
    assert [line.getMessage() for line in caplog.records] == ["could not look for workers that are gone"]

    await Throttle().tend()


async def test_bodies_beyond_what_a_worker_may_hold_are_shed():
    crowd = Crowd(admission=Admission(max_buffered_bytes=2 * len(BODY) + 1))
    await crowd.come(3)

    assert crowd.endings == {("shed", "buffers_full"): 1}
    await crowd.finish()
    assert crowd.is_empty()


STEPS = st.lists(st.sampled_from(["base", "candidate", "let go", "fail", "leave", "cut", "bad"]), max_size=40)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS, limits=st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 3)), seed=st.integers(0, 99))
def test_every_place_is_given_back_whatever_happens(steps: list[str], limits: tuple[int, int, int], seed: int):
    async def play() -> None:
        most, most_of_candidate, queue = limits
        chance = random.Random(seed)
        crowd = Crowd(
            models={BASE: Model(upstream="one"), CANDIDATE: Model(upstream="one", max_concurrent=most_of_candidate)},
            rollouts=TO_CANDIDATE,
            applications={"shop": Application(max_concurrent=8)},
            admission=Admission(max_concurrent=most, queue=queue),
        )
        for step in steps:
            if step in {"base", "candidate", "bad"}:
                await crowd.come(body={"base": AT_BASE, "candidate": BODY, "bad": b"{"}[step])
            elif step == "let go":
                await crowd.let_go()
            elif step == "fail":
                await crowd.let_go(fault=BrokenFault("connection_lost"))
            elif crowd.tasks:
                at = chance.randrange(len(crowd.tasks))
                _ = crowd.callers[at].leave() if step == "leave" else crowd.tasks[at].cancel()
                if chance.random() < 0.5:
                    crowd.upstream.let_go()
                await settled()
        await asyncio.wait_for(crowd.finish(), 20)

        assert crowd.is_empty()
        assert crowd.upstream.most <= most
        assert sum(crowd.endings.values()) == len(crowd.callers)
        assert crowd.tally.in_flight == 0

    asyncio.run(play())
