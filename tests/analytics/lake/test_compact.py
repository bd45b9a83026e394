from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from analytics.lake.alone import CompactionRunningError, alone
from analytics.lake.compact import compact
from analytics.lake.place import Place
from analytics.lake.verify import NoLakeError
from tests.fakes.handmade_lake import HandmadeLake, record


def test_a_lake_in_a_directory_is_compacted_beside_itself(tmp_path: Path) -> None:
    lake = HandmadeLake(tmp_path / "lake")
    lake.put([record(1)])
    lake.put([record(2)])
    done = compact(Place(url=lake.root.as_uri()), tmp_path)

    assert (done.rows, done.replaced) == (2, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake"]


def test_one_at_a_time_compacts_a_lake(tmp_path: Path) -> None:
    lake = HandmadeLake(tmp_path / "lake")
    with alone(lake.root / "merged"), pytest.raises(CompactionRunningError, match=re.escape(str(lake.root))):
        compact(Place(url=str(lake.root)), tmp_path)
    assert compact(Place(url=str(lake.root)), tmp_path).rows == 0


def test_the_consoles_process_says_what_it_did(tmp_path: Path) -> None:
    lake = HandmadeLake(tmp_path / "lake")
    lake.put([record(1)])
    words = [sys.executable, "-m", "analytics.lake.compact", "--state-dir", str(tmp_path), "--lake"]
    done = subprocess.run([*words, str(lake.root)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"rows": 1, "files": 1, "replaced": 1, "removed": 0, "expired": 0}

    failed = subprocess.run([*words, str(tmp_path / "none")], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("there is no lake")


def test_there_has_to_be_a_lake(tmp_path: Path) -> None:
    with pytest.raises(NoLakeError, match="--lake"):
        compact(Place(url=str(tmp_path / "none")), tmp_path)
    assert list(tmp_path.iterdir()) == []
