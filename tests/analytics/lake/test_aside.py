from __future__ import annotations

import os
import subprocess
import sys

import pytest

from analytics.lake.aside import step_back


@pytest.mark.skipif(sys.platform != "linux", reason="not exercised: no process is scheduled as idle here")
def test_a_process_that_steps_back_is_idle_and_its_parent_is_not():
    with subprocess.Popen(["sleep", "60"]) as process:
        step_back(process.pid)
        found = os.sched_getscheduler(process.pid), os.sched_getscheduler(0)
        process.kill()

    assert found == (os.SCHED_IDLE, os.SCHED_OTHER)


def test_a_process_that_is_gone_steps_back_no_more():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        step_back(process.pid)
