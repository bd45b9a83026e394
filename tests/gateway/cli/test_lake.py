from __future__ import annotations

import json
from pathlib import Path

import pytest

from analytics.journal.writer import Writer
from analytics.lake.alone import alone
from analytics.lake.shipper import Shipper
from analytics.record import Record
from gateway.cli import Abort, lake


def run(*arguments: str, action: str = "verify") -> int:
    import argparse  # noqa: PLC0415 - a parser with this command alone: the others are not under test

    parser = argparse.ArgumentParser()
    lake.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["lake", action, *arguments])
    return parsed.run(parsed)


def ship(state: Path, *seqs: int) -> None:
    writer = Writer(state / "journal", "worker-0", "b1")
    for seq in seqs:
        writer.append(Record(request_id=f"0199b0c0-0000-7000-8000-{seq:012x}", seq=seq, started_at=1, outcome="ok"))
    writer.close()
    shipper = Shipper(state / "journal", state / "lake", lambda: 1_790_000_000_000_000)
    shipper.tick()
    shipper.close()


def test_a_sound_lake_is_said_to_be_sound_with_exit_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ship(tmp_path, 1, 2, 3)

    assert run("--state-dir", str(tmp_path)) == 0
    printed = capsys.readouterr().out
    assert "sound" in printed.splitlines()[0]
    assert "NOT" not in printed
    assert "2026-09-21T14:13:20+00:00" in printed


def test_missing_requests_are_listed_with_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ship(tmp_path, 1, 4)

    assert run("--state-dir", str(tmp_path)) == 1
    printed = capsys.readouterr().out
    assert "NOT SOUND" in printed
    assert ["worker-0", "b1", "2", "3"] in [line.split() for line in printed.splitlines()]


def test_a_file_that_cannot_be_read_is_named_with_the_reason_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ship(tmp_path, 1, 2)
    (tmp_path / "lake/incoming/torn.parquet").write_bytes(b"PAR1")

    assert run("--state-dir", str(tmp_path)) == 1
    printed = capsys.readouterr().out
    assert "NOT SOUND" in printed
    assert ["records", "2"] in [line.split() for line in printed.splitlines()]
    [line] = [line for line in printed.splitlines() if line.startswith("incoming/torn.parquet")]
    assert "too small to be a Parquet file" in line


def test_programs_get_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ship(tmp_path, 1, 2)

    assert run("--state-dir", str(tmp_path / "elsewhere"), "--lake", (tmp_path / "lake").as_uri(), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["sound"], found["records"], found["outcomes"], found["gaps"]) == (True, 2, {"ok": 2}, [])


def test_a_lake_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"there is no lake in .*lake: name it with --lake"):
        run("--state-dir", str(tmp_path))


def test_a_lake_is_compacted_and_sound_afterwards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ship(tmp_path, 1, 2)

    assert run("--state-dir", str(tmp_path), action="compact") == 0
    assert ["rows", "written", "2"] in [line.split() for line in capsys.readouterr().out.splitlines()]
    assert len(list((tmp_path / "lake/requests/date=1970-01-01").glob("*.parquet"))) == 1
    assert run("--state-dir", str(tmp_path), "--json", action="compact") == 0
    assert json.loads(capsys.readouterr().out) == {"rows": 0, "files": 0, "replaced": 0, "removed": 0, "expired": 0}
    assert run("--state-dir", str(tmp_path)) == 0


def test_what_cannot_be_compacted_is_named(tmp_path: Path) -> None:
    with pytest.raises(Abort, match="no lake"):
        run("--state-dir", str(tmp_path), action="compact")
    ship(tmp_path, 1, 2)
    with alone(tmp_path / "lake" / "merged"), pytest.raises(Abort, match="compacted already"):
        run("--state-dir", str(tmp_path), action="compact")


def test_a_lake_is_kept_as_long_as_the_last_serve_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ship(tmp_path, 1, 2)
    (tmp_path / "lake.json").write_text('{"retention_days": 30}')
    other = tmp_path / "other"
    ship(other, 1, 2)
    assert run("--state-dir", str(tmp_path), "--lake", str(other / "lake"), "--json", action="compact") == 0
    assert json.loads(capsys.readouterr().out)["expired"] == 0
    assert run("--state-dir", str(tmp_path), action="compact") == 0
    assert ["rows", "let", "go,", "their", "time", "over", "2"] in [
        line.split() for line in capsys.readouterr().out.splitlines()
    ]

    assert run("--state-dir", str(tmp_path)) == 0
    assert ["let", "go,", "their", "time", "over", "2"] in [
        line.split() for line in capsys.readouterr().out.splitlines()
    ]
