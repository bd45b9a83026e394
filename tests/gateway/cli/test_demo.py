"""`turnout demo`, run as a newcomer runs it."""

from __future__ import annotations

import subprocess
import sys


def test_the_demo_tells_the_story_to_its_end():
    command = [sys.executable, "-m", "gateway", "demo", "--rows", "60", "--users", "20"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert told.returncode == 0, told.stderr
    steps = [line for line in told.stdout.splitlines() if line.startswith("$ turnout ")]
    assert [step.split()[2] for step in steps] == [
        "serve",
        "rollout",
        "replay",
        "rollout",
        "replay",
        "rollout",
        "lake",
    ]
    assert "sound" in told.stdout
