"""Hosts with one store in memory: what their lessees lease for their workers, with the store there, away and young."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from gateway.proxy.allowances import leased_name
from gateway.proxy.board import Board
from gateway.proxy.leased import GRANTED, OF_DAY, RETRY_NS, ROUND, WANTED, LeasedSheet
from gateway.proxy.lessee import UNMET, Lessee, limits_of
from gateway.proxy.limits import HELD
from gateway.proxy.purse import Purse, nano
from gateway.proxy.snapshot import Holder, View
from gateway.settings.schema import Application
from rollout.lease import YOUNG_MS, Ask, Kind, Settled
from tests.fakes.leases import MemoryLeases
from tests.fakes.proxy import decisions

DAY = 20_000
GATEWAYS = 2
APPLICATIONS = {
    "shop": Application(max_concurrent=40, requests_per_minute=60, daily_cost_usd=1.0, unknown_cost_usd=0.1),
    "free": Application(),
}
PATIENCE_S = 20.0


class Watched(MemoryLeases):
    """A store that lets the test look on."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        super().__init__(clock_ms)
        self.watch: Callable[[Sequence[Ask]], None] = lambda _: None

    def settle(self, host: str, asks: Sequence[Ask]) -> Settled:
        self.watch(asks)
        return super().settle(host, asks)


class Fleet:
    """A store, a clock, and hosts of one worker each."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.now_s = DAY * 86_400.0
        self.store = Watched(lambda: round(self.now_s * 1000))
        self.folder = folder
        self.stack = stack
        self.holder = Holder(View(decisions=decisions(applications=APPLICATIONS), source="redis"))

    def host(self, name: str) -> Host:
        """Start a host, or another worker of one."""
        return Host(self, name)

    def grow_old(self, *hosts: Host) -> None:
        """Let the store remember long enough to grant something."""
        for _ in range(YOUNG_MS // 500 + 3):
            self.beat(*hosts)

    def beat(self, *hosts: Host, s: float = 0.5) -> None:
        self.now_s += s
        for host in hosts:
            host.lessee.round(self.store, is_beat=True)


class Host:
    """One worker and its thread, whose rounds the test holds."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        self.board = fleet.stack.enter_context(closing(Board(fleet.folder / name)))
        file = fleet.folder / name / "lessee.json"
        self.lessee = Lessee(
            self.board, fleet.holder, lambda: fleet.store, file, name, GATEWAYS, now=lambda: fleet.now_s
        )
        self.fleet = fleet

    def lease(self, kind: Kind, name: str = "application:shop") -> LeasedSheet:
        found = self.board.leased(leased_name(kind, name))
        assert found is not None
        return found

    def want(self, kind: Kind, amount: int, name: str = "application:shop") -> int:
        """Let a request wait for so much while a round is held; return what the host has then."""
        sheet = self.lease(kind, name)
        sheet.write(WANTED, amount)
        self.lessee.round(self.fleet.store, is_beat=False)
        sheet.write(WANTED, 0)
        return sheet.lease(GRANTED)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(tmp_path, stack)


def test_every_limit_of_an_application_is_leased_and_feedback_by_itself():
    assert list(limits_of(APPLICATIONS)) == [
        ("slots", "application:shop", 40),
        ("rate", "application:shop", 60),
        ("rate", "feedback:shop", 60),
        ("rate", "evaluation:shop", 60),
        ("cost", "cost:shop", nano(1.0)),
    ]


def test_a_limit_that_no_worker_of_the_host_met_has_no_file_and_takes_nothing_from_others(fleet: Fleet):
    north, south = fleet.host("north"), fleet.host("south")
    south.lease("slots")
    fleet.grow_old(north, south)

    assert not list((fleet.folder / "north").glob("*.limit"))
    assert south.want("slots", 40) == 40


def test_a_host_that_meets_a_limit_while_the_store_is_away_knows_what_others_have_of_it(fleet: Fleet):
    north, south = fleet.host("north"), fleet.host("south")
    north.lease("slots")
    fleet.grow_old(north, south)
    assert north.want("slots", 40) == 40
    north.lease("slots").write(HELD, 40)
    fleet.beat(north, south)
    fleet.store.is_away = True
    sheet = south.lease("slots")
    for _ in range(8):
        fleet.beat(north, south)

    assert sheet.lease(GRANTED) == 0


def test_of_very_many_limits_that_nobody_met_each_is_looked_at_in_its_turn(fleet: Fleet):
    many = {f"app-{number}": Application(max_concurrent=1) for number in range(2 * UNMET + 1)}
    fleet.holder.change(decisions=decisions(applications=many))
    host = fleet.host("north")
    asked: list[list[str]] = []
    fleet.store.watch = lambda asks: asked.append([ask.name for ask in asks])
    for _ in range(3):
        fleet.beat(host)

    assert max(map(len, asked)) <= UNMET
    assert len({name for each in asked for name in each}) == len(many)


def test_two_hosts_together_are_granted_no_more_slots_than_the_limit(fleet: Fleet):
    north, south = fleet.host("north"), fleet.host("south")
    for host in (north, south):
        host.lease("slots")
    fleet.grow_old(north, south)
    first = north.want("slots", 30)
    second = south.want("slots", 30)

    assert first >= 30
    assert first + second <= 40
    assert south.lease("slots").lease(RETRY_NS) > time.monotonic_ns()
    assert north.lease("slots").lease(RETRY_NS) == 0


def test_idle_slots_come_back_and_the_other_host_has_them(fleet: Fleet):
    north, south = fleet.host("north"), fleet.host("south")
    for host in (north, south):
        host.lease("slots")
    fleet.grow_old(north, south)
    assert north.want("slots", 36) >= 36
    north.lease("slots").write(HELD, 5)
    fleet.beat(north, south, s=1.0)

    assert 5 <= north.lease("slots").lease(GRANTED) <= 9
    assert south.want("slots", 30) >= 30


def test_a_round_is_odd_while_it_lasts_and_even_behind_it(fleet: Fleet):
    host = fleet.host("north")
    sheet = host.lease("slots")
    seen: list[int] = []
    fleet.store.watch = lambda _: seen.append(sheet.lease(ROUND))
    host.want("slots", 1)
    host.want("slots", 1)
    assert seen == [1, 3]
    assert sheet.lease(ROUND) == 4


def test_without_anybody_who_waits_a_poke_is_no_reason_to_speak(fleet: Fleet):
    host = fleet.host("north")
    sheet = host.lease("slots")
    host.lessee.round(fleet.store, is_beat=False)

    assert sheet.lease(ROUND) == 0


def test_while_the_store_is_away_hosts_have_their_parts_of_what_was_free(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
):
    north, south = fleet.host("north"), fleet.host("south")
    hosts = (north, south)
    for host in hosts:
        for kind, name, _ in limits_of(APPLICATIONS):
            host.lease(kind, name)
    fleet.grow_old(*hosts)
    north.want("slots", 8)
    north.lease("slots").write(HELD, 8)
    fleet.beat(*hosts)
    fleet.store.is_away = True
    with caplog.at_level(logging.WARNING):
        for _ in range(8):
            fleet.beat(*hosts)
    divided: list[tuple[Kind, str, int]] = [("slots", "application:shop", 40), ("cost", "cost:shop", nano(1.0))]
    for kind, name, limit in divided:
        granted = [host.lease(kind, name).lease(GRANTED) for host in hosts]
        assert limit * 0.7 <= sum(granted) <= limit
    tokens = sum(host.lease("rate").lease(GRANTED) for host in hosts)
    assert 40 <= tokens <= 60 + 4

    fleet.store.is_away = False
    with caplog.at_level(logging.WARNING):
        fleet.beat(*hosts)
    assert [line.getMessage() for line in caplog.records] == [
        "the fleet's limits are not leased; this host goes by its part",
        "the fleet's limits are not leased; this host goes by its part",
        "the fleet's limits are leased again",
        "the fleet's limits are leased again",
    ]


def test_a_host_that_never_saw_the_store_has_its_part_of_every_limit(fleet: Fleet):
    host = fleet.host("north")
    for kind, name, _ in limits_of(APPLICATIONS):
        host.lease(kind, name)
    fleet.store.is_away = True
    fleet.beat(host)

    assert host.lease("slots").lease(GRANTED) == 20
    assert host.lease("cost", "cost:shop").lease(GRANTED) == nano(0.5)
    assert host.lease("cost", "cost:shop").lease(OF_DAY) == DAY


def test_the_next_lessee_of_a_host_doubles_nothing(fleet: Fleet):
    north = fleet.host("north")
    for kind, name, _ in limits_of(APPLICATIONS):
        north.lease(kind, name)
    fleet.grow_old(north)
    fleet.store.is_away = True
    for _ in range(6):
        fleet.beat(north)
    had = [north.lease(kind, name).lease(GRANTED) for kind, name, _ in limits_of(APPLICATIONS)]

    again = fleet.host("north")
    again.lessee._remember()  # noqa: SLF001 - what the thread does first when it has the lock
    again.lessee.round(fleet.store, is_beat=True)

    assert [north.lease(kind, name).lease(GRANTED) for kind, name, _ in limits_of(APPLICATIONS)] == had


def test_what_the_workers_go_by_counts_more_than_what_was_kept_before(fleet: Fleet):
    north, south = fleet.host("north"), fleet.host("south")
    for host in (north, south):
        host.lease("slots")
    fleet.grow_old(north, south)
    north.want("slots", 30)
    fleet.beat(north)
    fleet.now_s += 1.0
    north.lessee.leave(fleet.store)
    north.lease("slots").write_lease(GRANTED, 0)
    south.want("slots", 40)

    again = fleet.host("north")
    again.lessee._remember()  # noqa: SLF001 - as above
    again.lessee.round(fleet.store, is_beat=True)

    assert again.lease("slots").lease(GRANTED) + south.lease("slots").lease(GRANTED) <= 40


def test_a_host_that_leaves_gives_back_what_is_not_in_use(fleet: Fleet):
    north, south = fleet.host("north"), fleet.host("south")
    for host in (north, south):
        host.lease("slots")
        host.lease("cost", "cost:shop")
    fleet.grow_old(north, south)
    north.want("slots", 30)
    north.want("cost", nano(0.9), "cost:shop")
    assert Purse(north.lease("cost", "cost:shop")).set_aside(nano(0.1), nano(1.0), DAY)
    north.lease("slots").write(HELD, 1)
    north.lessee.leave(fleet.store)

    assert (north.lease("slots").lease(GRANTED), north.lease("cost", "cost:shop").lease(GRANTED)) == (1, nano(0.1))
    assert south.want("slots", 39) == 39
    assert south.want("cost", nano(0.9), "cost:shop") == nano(0.9)


def test_a_lock_or_a_disk_that_fails_is_said_and_ends_nothing(fleet: Fleet, caplog: pytest.LogCaptureFixture):
    host, stop = fleet.host("north"), threading.Event()
    host.lease("slots")
    (fleet.folder / "north/lessee.tmp").mkdir()
    thread = threading.Thread(target=host.lessee.run, args=(stop,), daemon=True)
    with caplog.at_level(logging.WARNING):
        thread.start()
        until(lambda: host.lease("slots").lease(ROUND) >= 4)
        ended((thread, stop, host))

    (said,) = caplog.records
    assert said.getMessage() == "this host's leases cannot be kept; what it holds is divided anew when it is restarted"
    assert "lessee.tmp" in said.__dict__["reason"]


def test_a_new_day_begins_with_a_new_lease(fleet: Fleet):
    host = fleet.host("north")
    purse = Purse(host.lease("cost", "cost:shop"))
    fleet.grow_old(host)
    assert host.want("cost", nano(0.9), "cost:shop") >= nano(0.9)
    assert purse.set_aside(nano(0.9), nano(1.0), DAY)
    fleet.beat(host, s=86_400.0)
    fleet.grow_old(host)

    assert host.lease("cost", "cost:shop").lease(OF_DAY) == DAY + 1
    assert host.lease("cost", "cost:shop").lease(GRANTED) < nano(0.9)
    assert host.want("cost", nano(0.9), "cost:shop") >= nano(0.9)


def test_what_cost_more_than_its_ceiling_is_told_to_the_fleet(fleet: Fleet):
    north, south = fleet.host("north"), fleet.host("south")
    purse = Purse(north.lease("cost", "cost:shop"))
    south.lease("cost", "cost:shop")
    fleet.grow_old(north, south)
    north.want("cost", nano(0.1), "cost:shop")
    assert purse.set_aside(nano(0.1), nano(1.0), DAY)
    purse.settle(nano(0.1), nano(0.95), DAY)
    fleet.beat(north, south)

    assert south.want("cost", nano(0.5), "cost:shop") <= nano(0.05)


def test_one_of_a_hosts_workers_speaks_and_another_takes_over(fleet: Fleet):
    fleet.host("north").lease("slots")
    threads: list[tuple[threading.Thread, threading.Event, Host]] = []
    for _ in range(2):
        host, stop = fleet.host("north"), threading.Event()
        thread = threading.Thread(target=host.lessee.run, args=(stop,), daemon=True)
        thread.start()
        threads.append((thread, stop, host))
        until(lambda: threads[0][2].lease("slots").lease(ROUND) >= 2)
    first, second = threads
    assert first[2].board.lessee() is None
    ended(first)
    held = first[2].lease("slots").lease(ROUND)
    until(lambda: second[2].lease("slots").lease(ROUND) > held + 2)
    ended(second)
    lock = second[2].board.lessee()
    assert lock is not None
    os.close(lock)


def until(is_so: Callable[[], bool]) -> None:
    given_up_at = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < given_up_at
        time.sleep(0.01)


def ended(one: tuple[threading.Thread, threading.Event, Host]) -> None:
    thread, stop, host = one
    stop.set()
    host.lessee.end()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
