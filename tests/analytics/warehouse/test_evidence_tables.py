from __future__ import annotations

import subprocess
import sys

import pytest

from analytics.lake.directory import Directory
from analytics.warehouse.evidence import Evidence
from analytics.warehouse.evidence_tables import EvidenceHeldError
from tests.fakes.gate_rows import WINDOW, gate_row

HOLDING = """
import sys, duckdb
held = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("content", [b"", b"no database at all" * 1000])
def test_a_file_that_is_none_of_ours_is_made_anew_from_the_lake(lake, opening, tmp_path, content):
    (tmp_path / "evidence.duckdb").write_bytes(content)
    lake.put([gate_row(1)])

    assert opening().look(WINDOW).quality.base_rows == 1


def test_a_file_of_another_version_is_made_anew(lake, opening):
    lake.put([gate_row(1)])
    first = opening()
    first.look(WINDOW)
    first.connection.execute("UPDATE evidence_version SET version = 0")
    first.connection.execute("DELETE FROM evidence_user")
    first.close()

    assert opening().look(WINDOW).quality.base_rows == 1


def test_a_file_that_another_process_has_open_is_left_alone(lake, tmp_path, opening):
    opening().close()
    path = tmp_path / "evidence.duckdb"
    command = [sys.executable, "-c", HOLDING, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(EvidenceHeldError, match="another process"):
            Evidence(path, Directory(lake.root))
        other.communicate("")

    Evidence(path, Directory(lake.root)).close()
