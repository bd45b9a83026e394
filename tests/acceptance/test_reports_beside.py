"""Reports and compaction beside live traffic: both get done, and no request waits for them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from analytics.lake.aside import step_back
from benchmarks.lake import write_lake
from tests.acceptance.harness import ROLLOUT, Installation, installed
from tests.acceptance.rounds import beating, paired

BEFORE_NOW = "2026-10-15"
"""After the rows that are made up, and before those of the test's own requests."""


@dataclass(frozen=True, kw_only=True)
class Analyst:
    """A process that asks for the head-to-head table whenever it is told to; `answers` is the file that it writes."""

    process: subprocess.Popen[str]
    answers: Path

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Have it ask for one report after the other until the block ends; one that is under way then is waited for."""
        self._tell("on")
        try:
            yield
        finally:
            self._tell("off")
            self._await_off()

    def found(self) -> list[Any]:
        """End it, and return all answers; None: that report took too long."""
        self.process.communicate(timeout=120)
        assert self.process.returncode == 0
        lines = self.answers.read_text().splitlines()
        return [json.loads(line) if line else None for line in lines if line != "off"]

    def _await_off(self) -> None:
        """Wait for the report that is under way, which belongs to no other round."""
        within_s = time.monotonic() + 120
        while not self.answers.read_text().endswith("off\n"):
            assert time.monotonic() < within_s, "the last report did not come"
            assert self.process.poll() is None, "the analyst died"
            time.sleep(0.05)

    def _tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()


@contextmanager
def analyst(one: Installation) -> Iterator[Analyst]:
    """Start an analyst, who takes no time of the process that measures."""
    url = f"{one.console}/api/v1/reports/compare?rollout={ROLLOUT}&generation=1&until={BEFORE_NOW}"
    words = [sys.executable, "-m", "tests.acceptance.analyst", url, one.keys["admin"]]
    path = one.folder / "answers"
    with path.open("w") as answers:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=answers, text=True)
        step_back(process.pid)
        try:
            yield Analyst(process=process, answers=path)
        finally:
            process.kill()
            process.wait()


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
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
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


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("rows", [1_000_000, 10_000_000])
def test_a_report_beside_a_compaction_is_right_and_adds_at_most_2_ms_to_the_slowest_hundredth_of_requests(
    tmp_path: Path, rows: int
):
    users = [f"user-{number}" for number in range(32)]

    @contextmanager
    def both() -> Iterator[None]:
        with compacting(one), asker.asking():
            yield

    write_lake(tmp_path / "made-up", rows)
    with installed(tmp_path) as one, beating([one], users) as beat, analyst(one) as asker:
        for path in (tmp_path / "made-up").rglob("*.parquet"):
            target = one.state_dir / "lake" / path.relative_to(tmp_path / "made-up")
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
        pairs = paired(beat, both, pairs=10, seconds=6, per_s=200)

        found = asker.found()
        answers = [dict(figures(answer)) for answer in found if answer]
        assert answers
        for answer in answers:
            assert [name for name in answer if not is_same(answer[name], answers[0][name])] == []
        placed = answers[0][".base.requests"] + answers[0][".candidate.requests"]
        assert 0.45 * rows < placed < 0.55 * rows, "half of the rows are of this rollout"
        assert not [head for head in beat.heads if not head.startswith(b"http/1.1 200")]
        assert pairs.added_ms(0.99) <= 2, f"{pairs}, {len(answers)} reports of {len(found)}"
