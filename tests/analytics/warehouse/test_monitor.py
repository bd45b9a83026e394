"""Base as it was and the hours after it, beside plain Python."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from analytics.baseline import Clock, Frozen, Span, digest, read, written
from analytics.evidence import Check, cap_of, capped_sums
from analytics.figures import ClusterSums
from analytics.lake.directory import Directory
from analytics.record import Record
from analytics.warehouse.monitor import baseline, passed
from tests.fakes import plain_evidence as plain
from tests.fakes.gate_rows import WINDOW, drawn, gate_row, said_of

HOUR_US = 3_600_000_000
FIRST = WINDOW.started_at // HOUR_US + 1
SPAN = Span(
    rollout="chat",
    generation=2,
    arm="base",
    since=FIRST * HOUR_US,
    until=(FIRST + 40) * HOUR_US,
    clock=Clock(hour_us=HOUR_US),
    thresholds=WINDOW.thresholds,
)
CHECKS: tuple[Check, ...] = ("errors", "p50", "p99", "ttft", "satisfaction")
Cells = Mapping[tuple[int, bytes], tuple[float, float, float]]


def made(count: int = 700) -> tuple[list[Record], list[dict[str, Any]]]:
    chance = random.Random(5)
    records = [drawn(chance, number) for number in range(count)]
    return records, [said_of(chance, number, chance.choice(records)) for number in range(1, count)]


def cells(
    records: Sequence[Record], pieces: Sequence[Mapping[str, Any]], check: Check, arm: str, hours: int = 1
) -> Cells:
    """Return n, x and y of each slot and user: of satisfaction by the hour of the last verdict within it."""
    found: dict[tuple[int, bytes], list[float]] = defaultdict(lambda: [0, 0, 0])
    ours = [
        one
        for one in records
        if one.arm_assigned == arm and (one.rollout, one.generation, one.purpose) == ("chat", 2, "live")
        if one.bucket is not None and one.reason in ("split", "stale") and one.user_hash is not None
    ]
    by_hour = defaultdict(list)
    for piece in pieces:
        by_hour[piece["received_at"] // HOUR_US].append(piece)
    for slot in range(FIRST, FIRST + 40):
        said = plain.verdicts(ours, by_hour[slot]) if check == "satisfaction" else {}
        for one in ours:
            if check != "satisfaction" and one.started_at // HOUR_US != slot:
                continue
            fact = plain.facts(one, check, WINDOW, said.get(one.request_id))
            if fact is not None and one.user_hash is not None:
                for at, value in enumerate((1, *fact[:2])):
                    found[slot // hours, one.user_hash][at] += value
    return {place: (n, x, y) for place, (n, x, y) in found.items()}


def sums(users: Mapping[bytes, Sequence[tuple[float, float]]]) -> ClusterSums:
    """Return the sums of users whose figures of several slots, already under the cap, are added."""
    whole = [(sum(n for n, _ in slots), sum(x for _, x in slots)) for slots in users.values()]
    return capped_sums(whole, float("inf"))


def close(found: ClusterSums, wanted: ClusterSums) -> bool:
    names = ClusterSums.__struct_fields__
    return [getattr(found, name) for name in names] == [pytest.approx(getattr(wanted, name)) for name in names]


def test_an_hour_is_what_plain_python_makes_of_its_rows(lake):
    records, pieces = made(300)
    lake.put(records[:200])
    lake.put(records[190:], worker="w1")
    lake.put_feedback(pieces)
    frozen: dict[Check, Frozen] = {check: Frozen(cap=1.5, slots={}) for check in CHECKS}
    whole = passed(Directory(lake.root), replace(SPAN, arm="candidate"), frozen)
    for check in CHECKS:
        found, wanted = whole[check], defaultdict(dict)
        for (slot, user), figures in cells(records, pieces, check, "candidate").items():
            wanted[slot][user] = figures

        assert set(found) == set(wanted)
        for slot, users in wanted.items():
            assert close(found[slot].x, capped_sums([(n, bad) for n, bad, _ in users.values()], 1.5))
            assert found[slot].requests == sum(n for n, _, _ in users.values())
            beyond, limits = found[slot].y, capped_sums([(n, y) for n, _, y in users.values()], 1.5)
            assert beyond is None if check in {"errors", "satisfaction"} else beyond and close(beyond, limits)


def test_base_is_pooled_with_neighbouring_hours_each_user_hour_under_the_cap(lake):
    records, pieces = made(200)
    lake.put(records)
    lake.put_feedback(pieces)
    crowd = [
        gate_row(
            10_000 + number, user_hash=(7000 + number % 90).to_bytes(16), started_at=SPAN.since + number * HOUR_US // 40
        )
        for number in range(1500)
    ]
    lake.put(crowd)
    short = replace(SPAN, clock=Clock(hour_us=HOUR_US, hours_per_day=4, hours_per_week=8))
    found = baseline(Directory(lake.root), short)
    errors = found.checks["errors"]
    each = cells([*records, *crowd], pieces, "errors", "base")
    cap = cap_of([n for n, _, _ in each.values()])
    pooled: dict[int, dict[bytes, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for (slot, user), (n, x, _) in each.items():
        for beside in (-1, 0, 1):
            pooled[(slot + beside) % 8][user].append((min(n, cap), x * min(1, cap / n)))

    assert (errors.by_day, errors.cap, sorted(errors.slots)) == (False, pytest.approx(cap), list(range(8)))
    for slot, users in pooled.items():
        assert close(errors.slots[slot].x, sums(users))
    assert found.requests == len(plain_rows([*records, *crowd]))
    assert found.checks["p99"].slots[0].y is None
    assert read(written(found)) == found
    assert digest(written(found)) != digest(written(replace(found, users=0)))


def plain_rows(records: Sequence[Record]) -> list[Record]:
    return [
        one
        for one in records
        if (one.rollout, one.generation, one.purpose, one.arm_assigned) == ("chat", 2, "live", "base")
        if one.bucket is not None and one.reason in ("split", "stale") and one.user_hash is not None
        if SPAN.since <= one.started_at < SPAN.until
    ]


@pytest.mark.slow
def test_where_hours_are_thin_base_is_frozen_by_days(lake):
    records, pieces = made(200)
    lake.put(records)
    lake.put_feedback(pieces)
    found = baseline(Directory(lake.root), SPAN).checks
    days = {slot % 7 for slot, _ in cells(records, pieces, "errors", "base", 24)}

    assert {one.by_day for one in found.values()} == {True}
    assert set(found["errors"].slots) == days


def test_a_lake_without_base_freezes_nothing(lake):
    lake.put([gate_row(1, arm_assigned="candidate")])

    assert baseline(Directory(lake.root), SPAN).checks == {}
    assert passed(Directory(lake.root), SPAN, {"errors": Frozen(cap=1.0, slots={})}) == {"errors": {}}
