from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rollout.stores.lock import WriterLock, holder

HOLD = """
import sys, time
from pathlib import Path
from rollout.stores.lock import WriterLock
assert WriterLock.take(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_one_at_a_time(tmp_path: Path):
    path = tmp_path / "lock"
    first = WriterLock.take(path)
    assert first is not None

    assert WriterLock.take(path) is None
    first.release()
    first.release()
    second = WriterLock.take(path)

    assert second is not None
    second.release()


def test_a_killed_process_holds_nothing(tmp_path: Path):
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert WriterLock.take(path) is None
        assert holder(path) == f"process {process.pid}"
        process.kill()
        process.wait()

    lock = WriterLock.take(path)

    assert lock is not None
    lock.release()


def test_an_unreadable_lock_file_names_nobody(tmp_path: Path):
    (tmp_path / "lock").write_bytes(b"\xff\n")

    assert holder(tmp_path / "lock") == "another process"
    assert holder(tmp_path / "absent") == "another process"
