from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from analytics.record import Attempt, Record

STARTED_AT = 1_790_000_000_000_000


@pytest.fixture
def settled() -> Callable[..., Record]:
    """Make the record of a candidate's answer, with some facts changed."""

    def make(seq: int = 1, **facts: Any) -> Record:
        attempt = Attempt(
            arm="candidate", model="tuned", upstream="own", status=200, error_class=None, upstream_ms=900.0
        )
        usual = {
            "request_id": f"0199b0c0-0000-7000-8000-{seq:012x}",
            "seq": seq,
            "started_at": STARTED_AT,
            "outcome": "ok",
            "application": "shop",
            "endpoint": "chat.completions",
            "rollout": "sales",
            "arm_assigned": "candidate",
            "arm_served": "candidate",
            "reason": "split",
            "model_requested": "sales",
            "model_served": "tuned",
            "upstream": "own",
            "status": 200,
            "attempts": [attempt],
            "latency_ms": 1000.0,
            "ttft_ms": 100.0,
            "upstream_ms": 900.0,
            "overhead_ms": 100.0,
            "input_tokens": 300,
            "output_tokens": 40,
            "cost_usd": 0.002,
        }
        return Record(**{**usual, **facts})

    return make
