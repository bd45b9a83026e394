from __future__ import annotations

import signal
import subprocess
import sys

PROGRAM = """
import sys, time
from gateway.settings.signals import end_cleanly
end_cleanly()
try:
    print("ready", flush=True)
    time.sleep(60)
finally:
    print("tidied", flush=True)
"""


def test_a_process_ends_on_sigterm_through_its_finally_clauses():
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

        process.send_signal(signal.SIGTERM)

        assert process.stdout.read() == "tidied\n"
        assert process.wait(30) == 0
