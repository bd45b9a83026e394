"""At general availability: the watch against base as it was, and the gate beside a holdback, through a real gateway."""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.controlled import WIDE, actions, comes_to_stand, gate, playing, standing
from tests.acceptance.harness import ROLLOUT, Installation, until
from tests.fakes.webhook_receiver import receiving

log = logging.getLogger("acceptance")
slow = pytest.mark.slow
TO_GA = f"""steps = [
  {{ phase = "beta", percent = 50, dwell = "60s", checks = ["errors"] }},
  {{ phase = "ga", checks = ["errors"], percent = GA }},
]
{WIDE}"""
HOOK = """
[webhooks.ops]
url = "URL"
format = "slack"
events = ["monitor_alarm"]
"""


def vigil(one: Installation) -> dict[str, Any]:
    """Return the watch as the ledger has it."""
    with closing(sqlite3.connect(f"file:{one.state_dir}/ledger.sqlite?mode=ro", uri=True)) as ledger:
        [(held,)] = ledger.execute("SELECT held FROM rollouts WHERE name = ?", (ROLLOUT,)).fetchall()
    return json.loads(held)["progress"]["vigil"]


def observed(one: Installation) -> int:
    """Return how many hours were compared in errors."""
    return vigil(one)["watched"].get("errors", {}).get("observed", 0)


def break_candidate(one: Installation) -> None:
    """Let the candidate's address lead nowhere."""
    text = one.config.read_text()
    one.config.write_text(text.replace(one.simulated["tuned"].base_url, "http://127.0.0.1:9/v1"))


@slow
@pytest.mark.timeout(1200)
def test_at_100_percent_an_outage_alarms_once_over_a_killed_console_and_nothing_goes_back(tmp_path: Path):
    with (
        receiving() as receiver,
        playing(tmp_path, TO_GA.replace("GA", "100") + HOOK.replace("URL", receiver.url)) as one,
    ):
        comes_to_stand(one, "at_ga", "inconclusive", "rolled_back", within_s=500)
        assert standing(one) == "at_ga"
        until(lambda: observed(one) >= 20, "hours are compared", within_s=400, pause_s=0.5)
        assert "monitor_alarm" not in actions(one)
        one.kill("console")
        until(lambda: observed(one) >= 40, "hours are compared again", within_s=400, pause_s=0.5)
        watch = vigil(one)
        passed = watch["watched"]["errors"]["over"] - watch["until"] // watch["clock"]["hour_us"]
        log.warning("%d of %d hours of %d us compared", observed(one), passed, watch["clock"]["hour_us"])
        assert 0.9 * passed <= watch["watched"]["errors"]["observed"] <= passed
        assert actions(one)[-1] == "freeze_reference"

        break_candidate(one)
        until(lambda: "monitor_alarm" in actions(one), "the watch alarms", within_s=400, pause_s=0.5)
        [told] = receiver.await_count(1)
        said = one.turnout("gate", "check", ROLLOUT)
        log.warning("%s", told.sent["text"])
        log.warning("%s", said.stdout)

        assert "errors against base as it was" in told.sent["text"]
        assert "never rolls back" in told.sent["text"]
        assert "alarm at" in said.stdout
        assert said.returncode == 0
        assert "there was an alarm" in one.turnout("gate", "explain", ROLLOUT).stdout
        assert "Alarm: errors against base" in one.turnout("gate", "history", ROLLOUT).stdout
        assert (standing(one), one.show()["percent"]) == ("at_ga", 100)
        assert len(receiver.received) == actions(one).count("monitor_alarm")


@slow
@pytest.mark.timeout(1200)
def test_beside_a_holdback_windows_follow_each_other_and_an_outage_rolls_back(tmp_path: Path):
    with playing(tmp_path, TO_GA.replace("GA", '80, dwell = "40s"')) as one:
        comes_to_stand(one, "at_ga", "inconclusive", "rolled_back", within_s=500)
        assert standing(one) == "at_ga"
        until(lambda: actions(one).count("restart") >= 1, "windows follow each other", within_s=400, pause_s=0.5)
        verdicts = {report["verdict"] for report in gate(one, reports=50)["reports"] if report["gate"] == "ga"}
        assert verdicts <= {"collecting", "hold"}
        assert standing(one) == "at_ga"

        break_candidate(one)
        found = comes_to_stand(one, "rolled_back", within_s=400)
        log.warning("%s", found["reports"][0]["summary"])
        assert one.show()["percent"] == 0
