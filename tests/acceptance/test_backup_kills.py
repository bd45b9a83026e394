"""A backup, and a restore, killed at any point: nothing half is taken for whole, and the next one does it."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analytics.lake.verify import verify
from tests.acceptance.harness import ROOT
from tests.fakes.backed_up import backed_up, installation, restored

ROUNDS = 12
MANY = 300


def killed(folder: Path, after_s: float, *words: str) -> None:
    """Begin a command, and kill it some time later, or let it have ended by then."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", *words], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(after_s)
    process.kill()
    process.wait()


def spread(state: Path) -> None:
    """Let a lake have many files, so that there is time to be killed in."""
    [file] = (state / "lake/incoming").glob("*.parquet")
    for number in range(MANY):
        (state / f"queries/q{number}.json").write_text('{"query":"SELECT 1","by":"a","key":"k","saved_at":1}')
    assert file.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_a_killed_backup_is_not_there_or_whole(tmp_path: Path, name: str):
    rng = random.Random(7)
    installation(tmp_path / "state")
    spread(tmp_path / "state")
    for number in range(ROUNDS):
        target = tmp_path / name
        words = ["backup", "--state-dir", str(tmp_path / "state"), "--to", str(target)]
        killed(tmp_path, rng.uniform(0.2, 3.0), *words)
        if target.exists():
            assert restored(target, tmp_path / f"again-{number}").restored.epoch == 2
            shutil.rmtree(target) if target.is_dir() else target.unlink()
    assert backed_up(tmp_path / "state", tmp_path / name).epoch == 1
    assert not (tmp_path / f"{name}.unfinished").exists()


@pytest.mark.slow
def test_a_killed_restore_leaves_the_former_directory_or_the_restored_one(tmp_path: Path):
    rng = random.Random(7)
    installation(tmp_path / "state")
    spread(tmp_path / "state")
    backed_up(tmp_path / "state", tmp_path / "backup")
    for _ in range(ROUNDS):
        target = tmp_path / "target"
        words = [
            "restore",
            "--from",
            str(tmp_path / "backup"),
            "--state-dir",
            str(target),
            "--config",
            str(tmp_path / "x"),
        ]
        killed(tmp_path, rng.uniform(0.2, 3.0), *words)
        if target.exists():
            assert verify(target / "lake", target / "journal").records == 5
            shutil.rmtree(target)
    assert restored(tmp_path / "backup", tmp_path / "target").restored.epoch == 2
    assert not (tmp_path / "target.unfinished").exists()
