"""Reports and compaction beside live traffic: both get done, and no request waits for them."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from analytics.lake.aside import step_back
from benchmarks.lake import write_lake
from tests.acceptance.harness import ROLLOUT, Installation, installed
from tests.acceptance.rounds import beating, paired
from tests.fakes.plain import PLAIN

BEFORE_NOW = "2026-10-15"
"""After the rows that are made up, and before those of the test's own requests."""


def analyst(one: Installation) -> httpx.Client:
    """Return who asks for reports; made once, because it takes time of the process that measures."""
    headers = {"authorization": f"Bearer {one.keys['admin']}"}
    return httpx.Client(base_url=one.console, headers=headers, timeout=120, trust_env=False, verify=PLAIN)


def compared(client: httpx.Client) -> httpx.Response | None:
    """Ask for the head-to-head table; None: it took too long."""
    asked = {"rollout": ROLLOUT, "generation": 1, "until": BEFORE_NOW}
    answer = client.get("/api/v1/reports/compare", params=asked)
    return None if answer.status_code == 503 else answer.raise_for_status()


def figures(answer: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Return every figure of an answer with its name."""
    if not isinstance(answer, dict):
        yield name, answer
        return
    for key, value in answer.items():  # pyright: ignore[reportUnknownVariableType] - JSON
        if key not in ("as_of", "freshness"):
            yield from figures(value, f"{name}.{key}")


def is_same(one: object, other: object) -> bool:
    """Tell whether two figures are the same but for the last digits, which the order of a sum decides."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return one == other


@contextmanager
def compacting(one: Installation) -> Iterator[None]:
    """Compact; at the end of the block it is killed, and the next one goes on from there."""
    words = ["-m", "analytics.lake.compact", "--state-dir", str(one.state_dir), "--lake", str(one.state_dir / "lake")]
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    step_back(process.pid)  # as the console does
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def reporting(client: httpx.Client, found: list[httpx.Response | None]) -> Iterator[None]:
    """Ask for one report after the other until the block ends."""
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            found.append(compared(client))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        is_over.set()
        asking.join()


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("rows", [1_000_000, 10_000_000])
def test_a_report_beside_a_compaction_is_right_and_adds_at_most_2_ms_to_the_slowest_hundredth_of_requests(
    tmp_path: Path, rows: int
):
    users = [f"user-{number}" for number in range(32)]
    found: list[httpx.Response | None] = []

    @contextmanager
    def both() -> Iterator[None]:
        with compacting(one), reporting(client, found):
            yield

    write_lake(tmp_path / "made-up", rows)
    with installed(tmp_path) as one, beating([one], users) as beat, analyst(one) as client:
        for path in (tmp_path / "made-up").rglob("*.parquet"):
            target = one.state_dir / "lake" / path.relative_to(tmp_path / "made-up")
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
        pairs = paired(beat, both, pairs=10, seconds=6, per_s=200)

        answers = [dict(figures(answer.json())) for answer in found if answer is not None]
        assert answers
        for answer in answers:
            assert [name for name in answer if not is_same(answer[name], answers[0][name])] == []
        placed = answers[0][".base.requests"] + answers[0][".candidate.requests"]
        assert 0.45 * rows < placed < 0.55 * rows, "half of the rows are of this rollout"
        assert not [head for head in beat.heads if not head.startswith(b"http/1.1 200")]
        assert pairs.added_ms(0.99) <= 2, f"{pairs}, {len(answers)} reports of {len(found)}"
