"""What the audit of a running installation shows of a plan that is edited in mid-step, and that it cannot be forged."""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from rollout.stores.ledger import LEDGER_FILE
from tests.acceptance.controlled import (
    ENDS,
    WIDE,
    comes_to_stand,
    configured,
    entries,
    gate,
    models,
    playing,
    standing,
    start,
    steps,
)
from tests.acceptance.harness import ROLLOUT, Installation, installed, until

log = logging.getLogger("acceptance")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
TWO = f"""steps = [
  {{ phase = "canary", percent = 30, dwell = "40s", checks = ["errors"] }},
  {{ phase = "beta", percent = 50, dwell = "30s", checks = ["errors"] }},
  {{ phase = "ga", percent = 100 }},
]
{WIDE}"""


def forge(one: Installation, *statements: str) -> None:
    """Change the ledger's audit behind the back of whoever keeps it."""
    with closing(sqlite3.connect(one.state_dir / LEDGER_FILE, timeout=30, isolation_level=None)) as ledger:
        names = [name for (name,) in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        for statement in (*(f"DROP TRIGGER {name}" for name in names if name.startswith("audit")), *statements):
            ledger.execute(statement)


def test_a_plan_that_is_edited_in_mid_step_is_the_next_steps_and_the_audit_has_both_digests(tmp_path: Path):
    with playing(tmp_path, TWO, lake="seal_every_s = 1", callers=8) as one:
        until(lambda: gate(one)["report"] is not None, "the gate has spoken", within_s=60, pause_s=0.5)
        [(*_, canary)] = steps(one)
        text = one.config.read_text()
        edited = text.replace('dwell = "40s"', 'dwell = "2h"').replace('dwell = "30s"', 'dwell = "20s"')
        one.config.write_text(edited.replace("min_requests = 300", "min_requests = 200"))
        taken_up = "configuration taken up"
        until(lambda: any(line["event"] == taken_up for line in one.log()), taken_up, within_s=60, pause_s=0.25)
        time.sleep(3)
        shown = one.show()["controller"]
        assert (shown["digest"], shown["dwell_s"]) == (canary, 40.0)
        comes_to_stand(one, *ENDS, within_s=300)

        assert standing(one) == "at_ga"
        digests = [digest for *_, digest in steps(one)]
        assert digests[0] == canary
        assert len(set(digests)) == 3
        frozen = [entry["after"]["frozen"] for entry in entries(one) if "frozen" in entry["after"]]
        log.warning("a plan edited in mid-step: digests %s", ", ".join(digest[:12] for digest in digests))
        assert [step["row"]["dwell_s"] for step in frozen[:2]] == [40.0, 20.0]


def test_an_audit_that_was_forged_is_found_while_everything_runs(tmp_path: Path):
    config = configured(TWO)
    with installed(tmp_path, config=config, simulated=models()) as one:
        start(one)
        verified = ("rollout", "history", ROLLOUT, "--verify")
        whole = one.turnout(*verified)
        assert (whole.returncode, "the audit chain is whole" in whole.stdout) == (0, True), whole.stderr
        [begun] = [entry for entry in entries(one) if entry["action"] == "start"]
        number = begun["number"]

        forge(one, f"UPDATE audit SET actor = 'somebody else' WHERE number = {number}")
        altered = one.turnout(*verified)
        log.warning("an entry altered: %s", altered.stderr.strip())
        assert (altered.returncode, f"audit entry {number} was altered" in altered.stderr) == (1, True)

        forge(one, f"UPDATE audit SET actor = '{begun['actor']}' WHERE number = {number}")
        assert one.turnout(*verified).returncode == 0

        forge(one, "DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)")
        cut = one.turnout(*verified)
        log.warning("the last entry deleted: %s", cut.stderr.strip())
        assert (cut.returncode, "the audit chain is broken" in cut.stderr) == (1, True)
