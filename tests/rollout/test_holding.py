"""Hosts that share a limit stay within it: with the store, without it, and when it comes back empty."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.holding import Fleet, Holding, alone, ask, eased, joined, part, recounted, took
from rollout.lease import QUIET_MS, YOUNG_MS, Answer, Ask, Kind, Settled
from rollout.stores.ledger import StoreUnavailableError
from tests.fakes.leases import DAY_MS, MemoryLeases

NOON_MS = 20_000 * DAY_MS + DAY_MS // 2
NOON_S = NOON_MS / 1000
TODAY = 20_000
TWO = Fleet(hosts=2, rank=0)
ALONE_S = NOON_S + QUIET_MS / 1000 + 0.1


def holding(kind: Kind, **fields: object) -> Holding:
    base = {"limit": 10, "looked_at": NOON_S, "free": 0, "day": TODAY if kind == "cost" else 0}
    return Holding(kind=kind, name="web", **{**base, **fields})  # pyright: ignore[reportArgumentType] - as a table


def left_alone(one: Holding, *, used: int = 0, now_s: float = ALONE_S, fleet: Fleet = TWO) -> int:
    return alone(one, fleet, used=used, now_s=now_s).granted


@given(total=st.integers(0, 10**6), hosts=st.integers(1, 50))
def test_the_parts_of_all_hosts_are_all_of_it_and_without_ranks_never_more(total: int, hosts: int):
    assert sum(part(total, Fleet(hosts=hosts, rank=rank)) for rank in range(hosts)) == total
    assert part(total, Fleet(hosts=hosts)) * hosts <= total


def test_a_fleet_is_at_least_as_large_as_it_may_become_and_a_young_store_knows_no_ranks():
    settled = Settled(hosts=3, rank=1, is_young=False, answers=())
    known = joined(Fleet(hosts=5), settled, 2)
    assert known == Fleet(hosts=3, rank=1)
    assert joined(known, msgspec.structs.replace(settled, hosts=1, rank=0, is_young=True), 2) == known
    assert joined(known, settled, 4) == Fleet(hosts=4, rank=1)


def asked(one: Holding, *, used: int = 0, needed: int = 0, is_busy: bool = True, now_s: float = NOON_S) -> Ask:
    return ask(one, TWO, used=used, needed=needed, is_busy=is_busy, now_s=now_s)


def test_what_is_needed_is_asked_for_with_a_spare_ahead():
    many = holding("slots", limit=100, granted=6, free=64)
    assert asked(many, used=6, needed=3).wanted == 3 + 4
    assert asked(many, used=5).wanted == 3
    assert asked(many, used=4).wanted == 0
    assert asked(many, used=5, is_busy=False).wanted == 0

    few = holding("slots", granted=6, free=2)
    assert asked(few, used=6, needed=1).wanted == 2
    none = msgspec.structs.replace(few, free=1)
    assert asked(none, used=6, needed=1).wanted == 1
    assert asked(none, used=6).wanted == 0
    new = Holding(kind="slots", name="web", limit=100)
    assert asked(new, needed=1) == Ask(kind="slots", name="web", limit=100, wanted=7)


def test_slots_in_use_and_money_of_a_day_are_said_as_they_are():
    slots = asked(holding("slots", granted=6), used=7)
    assert (slots.has, slots.held, slots.known_free) == (6, 7, 0)

    cost = asked(holding("cost", granted=6), used=5)
    assert (cost.has, cost.held, cost.day) == (6, 0, TODAY)


def test_tokens_are_said_as_what_is_unused_and_the_bucket_as_it_would_be_by_now():
    half_a_minute = NOON_S + 30
    rate = asked(holding("rate", granted=106, free=3, owed=9), used=100, now_s=half_a_minute)

    assert (rate.has, rate.owed, rate.known_free) == (6, 5, 8)
    assert asked(holding("rate", free=3), now_s=NOON_S + 999).known_free == 10
    assert asked(holding("rate", free=3), used=1, now_s=NOON_S - 999).known_free == 3
    assert asked(holding("rate", free=None)).known_free is None


def test_what_is_idle_is_given_back_but_for_a_spare():
    slots = holding("slots", granted=8, base=8, free=32)

    assert eased(slots, TWO, used=1).granted == 3
    assert eased(slots, TWO, used=6) == slots
    assert eased(slots, TWO, used=9) == slots
    assert eased(alone(slots, TWO, used=1, now_s=NOON_S), TWO, used=1).granted == 8


def test_tokens_are_kept_back_for_the_store_and_alone_but_for_a_seconds_worth():
    rate = holding("rate", limit=600, granted=100, free=32)
    eased_once = eased(rate, TWO, used=10)
    assert (eased_once.granted, eased_once.back) == (12, 88)
    assert (asked(eased_once, used=10).has, asked(eased_once, used=10).back) == (2, 88)
    assert eased(eased_once, TWO, used=11) == eased_once

    alone_too = eased(msgspec.structs.replace(rate, is_alone=True), TWO, used=10)
    assert (alone_too.granted, alone_too.back) == (10 + 600 // 120 + 1, 84)
    soon = alone(alone_too, TWO, used=10, now_s=NOON_S)
    assert (soon.granted, soon.back) == (100, 0)
    answered = took(alone_too, Answer(granted=4, free=0), now_s=NOON_S)
    assert (answered.granted, answered.back) == (20, 0)


def test_tokens_that_were_used_while_they_were_kept_back_are_not_given_back():
    kept = holding("rate", granted=12, back=3)

    assert recounted(kept, 12) == kept
    once = recounted(kept, 14)
    assert (once.granted, once.back) == (14, 1)
    assert recounted(kept, 16).granted == 15


def test_of_less_than_nothing_a_host_alone_takes_nothing_until_it_has_grown():
    rate = holding("rate", limit=60, granted=9, free=-10)

    poor = alone(rate, TWO, used=9, now_s=NOON_S + 8)
    assert (poor.granted, poor.alone_to) == (9, None)
    assert left_alone(poor, used=9, now_s=NOON_S + 12) == 10
    assert asked(rate, used=9).known_free == -10


def test_an_answer_is_what_a_host_has_from_then_on():
    answer = Answer(granted=4, free=6)

    slots = took(holding("slots", granted=9, looked_at=0.0, is_alone=True), answer, now_s=NOON_S)
    assert slots == holding("slots", granted=4, base=4, free=6)
    rate = took(holding("rate", granted=100, owed=3, alone_to=NOON_S), answer, now_s=NOON_S)
    assert (rate.granted, rate.owed, rate.alone_to) == (104, 0, None)
    assert took(holding("cost"), Answer(granted=4, free=6, day=TODAY + 1), now_s=NOON_S).day == TODAY + 1


def test_for_a_moment_of_silence_a_host_goes_on_with_what_it_has():
    soon = NOON_S + QUIET_MS / 1000

    assert left_alone(holding("slots", granted=7, base=8, free=2), now_s=soon) == 7
    assert left_alone(holding("rate", granted=7, free=8), now_s=soon) == 7


def test_alone_a_host_has_its_part_of_what_was_free_and_of_slots_no_more_than_its_part_of_all():
    assert left_alone(holding("slots", granted=1, base=1, free=4)) == 3
    assert left_alone(holding("slots", granted=1, base=1, free=9)) == 5
    assert left_alone(holding("slots", granted=8, base=8)) == 5
    assert left_alone(holding("slots", base=1, free=3), fleet=Fleet(hosts=2, rank=1)) == 2
    assert left_alone(holding("cost", granted=1, base=1, free=8)) == 5
    assert left_alone(holding("cost", limit=4, base=1, free=8)) == 4


def test_what_it_takes_alone_it_takes_once():
    once = alone(holding("cost", granted=1, base=1, free=8), TWO, used=5, now_s=ALONE_S)

    assert left_alone(once, used=5, now_s=ALONE_S + 900) == 5


def test_a_new_day_alone_is_a_part_of_the_cap():
    spent = holding("cost", limit=100, granted=90, base=90, free=10)

    tomorrow = alone(spent, TWO, used=90, now_s=NOON_S + 86_400)
    assert (tomorrow.day, tomorrow.granted) == (TODAY + 1, 50)
    assert left_alone(msgspec.structs.replace(spent, day=TODAY + 1)) == 95


def test_who_has_never_looked_takes_what_all_can_take_at_once():
    for kind in ("slots", "rate", "cost"):
        new = Holding(kind=kind, name="web", limit=7)
        assert left_alone(new, fleet=Fleet(hosts=2)) == 3
        assert left_alone(new, fleet=Fleet(hosts=2, rank=0)) == 3


def test_alone_a_rate_grows_by_its_part_and_holds_its_part_of_a_minute():
    rate = holding("rate", limit=60, granted=100, free=20)

    began = alone(rate, TWO, used=100, now_s=NOON_S + 10)
    assert (began.granted, began.owed) == (100 + 10 + 5, 15)
    later = alone(began, TWO, used=115, now_s=NOON_S + 13)
    assert (later.granted, later.alone_to) == (116, NOON_S + 12)
    full = alone(later, TWO, used=116, now_s=NOON_S + 3_600)
    assert (full.granted, full.alone_to) == (146, NOON_S + 3_600)
    assert left_alone(full, used=146, now_s=NOON_S + 3_602) == 147
    back = alone(full, TWO, used=146, now_s=NOON_S + 60)
    assert (back.granted, back.alone_to) == (146, NOON_S + 60)


def test_a_young_store_settles_nothing_that_is_owed_and_the_part_is_taken_at_once():
    rate = alone(holding("rate", owed=4), TWO, used=0, now_s=NOON_S, is_young=True)
    assert rate.owed == 4
    assert alone(holding("slots", base=1, free=4), TWO, used=0, now_s=NOON_S, is_young=True).granted == 3


@dataclass
class Host:
    """One host of the model, whose requests start whenever they may."""

    name: str
    holding: Holding
    fleet: Fleet
    used: int = 0
    needed: int = 0
    is_busy: bool = False
    largest_lease: int = 0

    def claim(self, wanted: int, day: int) -> int:
        """Use as much as may be; return how much that was."""
        if self.holding.kind == "cost" and self.holding.day != day:
            return 0
        more = max(0, min(wanted, self.holding.granted - self.used))
        self.used += more
        self.is_busy = self.is_busy or wanted > 0
        self.needed = wanted - more
        return more

    def round(self, store: MemoryLeases, now_ms: int, gateways: int) -> None:
        """Speak to the store, as a host does twice a second and whenever something is needed."""
        now_s = now_ms / 1000
        before = self.holding
        is_busy, self.is_busy = self.is_busy, False
        if not is_busy:
            self.holding = eased(self.holding, self.fleet, self.used)
        said = ask(self.holding, self.fleet, used=self.used, needed=self.needed, is_busy=is_busy, now_s=now_s)
        try:
            settled = store.settle(self.name, [said])
        except StoreUnavailableError:
            self.holding = alone(self.holding, self.fleet, used=self.used, now_s=now_s)
        else:
            self.fleet = joined(self.fleet, settled, gateways)
            if settled.is_young:
                self.holding = alone(self.holding, self.fleet, used=self.used, now_s=now_s, is_young=True)
            else:
                self.holding = took(self.holding, settled.answers[0], now_s=now_s)
        if self.holding.day != before.day:
            self.used = 0
        self.largest_lease = max(self.largest_lease, self.holding.granted - self.used)


@dataclass
class World:
    """Hosts that share one limit, and what they used of it in truth."""

    kind: Kind
    limit: int
    random: Random
    size: int
    gateways: int = 2
    now_ms: int = NOON_MS
    hosts: list[Host] = field(default_factory=list)
    level: float = 0.0
    spent: dict[int, int] = field(default_factory=dict)
    is_greedy: bool = False

    def __post_init__(self) -> None:
        self.store = MemoryLeases(lambda: self.now_ms)
        new = Holding(kind=self.kind, name="web", limit=self.limit)
        self.hosts = [Host(f"h{number}", new, Fleet(hosts=self.gateways)) for number in range(self.size)]
        self.level = float(self.limit)

    def pass_ms(self, ms: int) -> None:
        self.now_ms += ms
        self.level = min(self.limit, self.level + self.limit * ms / 60_000)

    def step(self, *, demand: bool = True) -> None:
        """Let up to half a second go by, in which all hosts speak once, and some requests begin and end."""
        for host in self.random.sample(self.hosts, len(self.hosts)):
            self.pass_ms(self.random.randint(0, 500 // self.size))
            self.traffic(host, demand=demand)
            host.round(self.store, self.now_ms, self.gateways)
            if self.random.random() < 0.5:
                self.traffic(host, demand=demand)

    def traffic(self, host: Host, *, demand: bool) -> None:
        if self.kind == "slots":
            host.used -= self.random.randint(0, host.used)
        if not demand:
            host.needed = 0
            return
        day = self.now_ms // DAY_MS
        wishes = [0, 1, 2, self.limit] if self.is_greedy else [0, 0, 0, 1, 1, self.limit // 8]
        more = host.claim(self.random.choice(wishes), day)
        self.level -= more
        self.spent[day] = self.spent.get(day, 0) + more

    def over(self) -> float:
        """Return by how much the limit is exceeded at this moment."""
        if self.kind == "slots":
            return sum(host.used for host in self.hosts) - self.limit
        if self.kind == "rate":
            return -self.level
        return max(self.spent.values(), default=0) - self.limit

    def leases(self) -> int:
        """Return what one lease of each host is, of tokens that were leased ahead while the bucket filled up again."""
        return sum(host.largest_lease for host in self.hosts) if self.kind == "rate" else 0

    def parts(self) -> int:
        """Return what the hosts would take of what was free at their last looks."""
        return sum(part(host.holding.free or 0, host.fleet) for host in self.hosts)


KINDS = pytest.mark.parametrize("kind", ["slots", "rate", "cost"])
WORLDS = {"limit": st.integers(1, 200), "size": st.integers(1, 4), "seed": st.integers(0, 2**32)}


def world(kind: Kind, limit: int, size: int, seed: int) -> World:
    """Return hosts that have shared a limit for some seconds, and have not used it up yet."""
    one = World(kind=kind, limit=limit, random=Random(seed), size=size, gateways=max(2, size))
    for _ in range(10 + seed % 10):
        one.step()
        assert one.over() <= one.leases()
    one.is_greedy = True
    return one


@KINDS
@given(**WORLDS)
@settings(max_examples=60, deadline=None)
def test_with_the_store_there_hosts_stay_within_the_limit(kind: Kind, limit: int, size: int, seed: int):
    one = world(kind, limit, size, seed)
    for _ in range(30):
        one.step()
        assert one.over() <= one.leases()


@KINDS
@given(**WORLDS)
@settings(max_examples=60, deadline=None)
def test_an_answer_that_is_lost_now_and_then_lets_nobody_exceed_the_limit(kind: Kind, limit: int, size: int, seed: int):
    one = world(kind, limit, size, seed)
    for number in range(40):
        one.store.loses_answers = number % 3 == 0
        one.step()
        assert one.over() <= one.leases()


@KINDS
@pytest.mark.parametrize("is_empty", [False, True])
@given(**WORLDS, silence_ms=st.sampled_from([800, 2_500, 4_000, 8_000, 30_000, 200_000]))
@settings(max_examples=60, deadline=None)
def test_away_and_back_again_hosts_stay_within_the_limit(
    *, kind: Kind, is_empty: bool, limit: int, size: int, seed: int, silence_ms: int
):
    one = world(kind, limit, size, seed)
    for _ in range(6):
        one.step(demand=False)
    one.store.is_away = True
    back_at = one.now_ms + silence_ms
    while one.now_ms < back_at:
        one.step()
        one.pass_ms(one.random.choice([0, 0, 0, silence_ms // 4]) if silence_ms > 10_000 else 0)
        assert one.over() <= one.leases()
    one.store.is_away = False
    if is_empty:
        one.store.flush()
    for _ in range(2 * YOUNG_MS // 250):
        one.step()
        assert one.over() <= one.leases()


@KINDS
@given(**WORLDS)
@settings(max_examples=60, deadline=None)
def test_stopped_in_the_midst_of_it_at_most_a_part_of_what_was_free_comes_on_top(
    kind: Kind, limit: int, size: int, seed: int
):
    one = world(kind, limit, size, seed)
    one.step()
    one.store.is_away = True
    on_top = one.parts()
    for _ in range(20):
        one.step()
        assert one.over() <= on_top + one.leases()
