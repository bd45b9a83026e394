"""A question that analysts come with, asked in the words of the documentation and answered once more by loops."""

from __future__ import annotations

import json
import math
import random
import re
import time
from collections import defaultdict
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from analytics.lake.place import Place
from analytics.record import Record
from analytics.warehouse.edition import Edition
from analytics.warehouse.published import publish
from analytics.warehouse.sandbox import QueryLimits, run
from tests.fakes.handmade_lake import HandmadeLake, record

DAY_US = 86_400_000_000
PAGE = Path(__file__).parents[3] / "docs/sql.md"
QUESTION = r"What did the candidate cost per satisfied answer last week, by application\?"
PATIENT = QueryLimits(time_s=60, steps_back=False)


def drawn(rng: random.Random, number: int, now_us: int) -> Record:
    """Return a request of the last ten days."""
    cost = None if rng.random() < 0.1 else rng.random() / 100
    days = rng.uniform(0.1, 10)
    return record(
        number,
        started_at=now_us - round(days * DAY_US),
        application=rng.choice(("shop", "desk", None)),
        rollout="sales",
        generation=1,
        arm_assigned=rng.choice(("base", "candidate", "candidate")),
        reason=rng.choice(("split", "split", "stale", "targeting_match", "default")),
        bucket=rng.randrange(10_000),
        user_hash=f"{rng.randrange(50):032x}",
        purpose=rng.choice(("live",) * 5 + ("eval",)),
        cost_usd=cost,
        cost_unknown="no_usage" if cost is None else None,
    )


def test_what_the_candidate_cost_per_satisfied_answer_last_week_by_application_is_one_question(lake: HandmadeLake):
    rng, now_us = random.Random(8), time.time_ns() // 1000
    records = [drawn(rng, number, now_us) for number in range(1, 801)]
    good = {one.request_id: rng.random() < 0.7 for one in records if rng.random() < 0.4}
    lake.put(records)
    lake.put_feedback(
        [
            {
                "feedback_id": UUID(int=number),
                "request_id": UUID(one.request_id),
                "application": one.application,
                "received_at": one.started_at + 1,
                "thumb": "up" if good[one.request_id] else "down",
            }
            for number, one in enumerate(records)
            if one.request_id in good
        ]
    )
    target = str(lake.root.parent / "all.duckdb")
    made = Edition(lake=Place(url=str(lake.root)), target=target, as_of=now_us, days=30, max_rows=10_000)
    publish(made)
    [query] = re.findall(rf"{QUESTION}\n\n```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    found = [json.loads(line) for line in run(query, Path(made.target), PATIENT).text.splitlines()]

    mine: dict[Any, list[Record]] = defaultdict(list)
    for one in records:
        is_split = one.reason in {"split", "stale"} and one.purpose == "live" and one.arm_assigned == "candidate"
        if is_split and one.started_at >= (now_us // DAY_US - 7) * DAY_US:
            mine[one.application].append(one)
    assert {row[0] for row in found} == set(mine)
    for application, per_satisfied, per_satisfying in found:
        costs = [one.cost_usd for one in mine[application] if one.cost_usd is not None]
        verdicts = [good[one.request_id] for one in mine[application] if one.request_id in good]
        assert per_satisfied == pytest.approx(math.fsum(costs) / sum(verdicts))
        assert per_satisfying == pytest.approx(math.fsum(costs) / len(costs) / (sum(verdicts) / len(verdicts)))
