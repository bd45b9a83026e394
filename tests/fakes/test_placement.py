"""The check of arms finds what is wrong, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.placement import misplaced, murmur3

VECTORS = json.loads((Path(__file__).parent.parent / "vectors/bucket-vectors.json").read_text(encoding="utf-8"))
SECRET = "a-secret-of-thirty-two-characters-or-more"
PERCENTS = {"1.5": 20.0, "1.9": 0.0, "1.11": 100.0}


def key(label: str) -> bytes:
    return hmac.digest(SECRET.encode(), label.encode(), "sha256")


def row(seq: int, version: str, percent: float, arm: str, **changes: Any) -> dict[str, Any]:
    salt = hmac.new(key("salt"), b"sales1", hashlib.sha256).hexdigest()[:32]
    return {
        "request_id": f"r{seq}",
        "worker": "w",
        "boot": "b",
        "seq": seq,
        "rollout": "sales",
        "generation": 1,
        "snapshot_version": version,
        "percent": percent,
        "bucket": (murmur3(f"{salt}:ann".encode()) * 10_000) >> 32,
        "arm_assigned": arm,
        "reason": "split",
        "user_hash": hmac.digest(key("user-hash"), b"ann", "sha256")[:16],
        **changes,
    }


ROWS = [row(1, "1.4", 0.0, "base"), row(2, "1.10", 0.0, "base"), row(3, "1.11", 100.0, "candidate")]


def wrong(*rows: dict[str, Any]) -> list[str]:
    return list(misplaced(rows, SECRET, ["bob", "ann"], PERCENTS))


def test_the_hash_is_that_of_the_known_answers():
    for one in VECTORS["bare"]["vectors"]:
        assert murmur3(one["key"].encode()) == int(one["h"], 16)


def test_records_in_order_are_right():
    assert not wrong(*ROWS)


@pytest.mark.parametrize(
    "changes",
    [{"arm_assigned": "base"}, {"bucket": 1}, {"percent": 99.0}, {"reason": "default"}, {"snapshot_version": "1.10"}],
)
def test_a_record_that_says_something_else_is_found(changes: dict[str, Any]):
    assert len(wrong(*ROWS[:2], ROWS[2] | changes)) == 1


def test_a_worker_that_goes_back_in_time_is_found():
    assert len(wrong(ROWS[0] | {"seq": 4}, *ROWS[1:])) == 1
