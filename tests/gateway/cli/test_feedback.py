"""The command's two actions, without a gateway; with one they are tried in tests/acceptance/test_feedback.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analytics.feedback import Feedback
from analytics.journal.writer import Writer
from analytics.lake.shipper import Shipper
from gateway.cli import main


def test_a_file_with_a_wrong_line_sends_nothing_and_names_the_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "f.csv"
    path.write_text("response_id,rating\nc1,5\nc2,6\n" + "c3,0\n" * 60)

    assert main(["feedback", "import", str(path), "--url", "http://127.0.0.1:9"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "line 3: The field 'rating' must be a whole number from 1 to 5."
    assert said[-2] == "... and 11 more lines"
    assert said[-1].endswith("61 of 62 lines are wrong; nothing was sent")


def test_what_is_no_file_of_feedback_is_a_wrong_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["feedback", "import", str(tmp_path / "nothing.csv")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_dry_run_checks_the_file_and_needs_no_gateway(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "f.csv"
    path.write_text("response_id,rating\nc1,5\n")

    assert main(["feedback", "import", str(path), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"lines": 1, "sent": 0, "failed": 0, "comments_dropped": 0}


def test_feedback_is_counted_by_application_and_by_what_became_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = Writer(tmp_path / "journal", "worker-0", "b1")
    writer.append(
        Feedback(
            feedback_id="0199b0c0-0000-7000-8fff-000000000001",
            seq=1,
            received_at=1,
            application="shop",
            response_id="c1",
            thumb="up",
        )
    )
    writer.close()
    shipper = Shipper(tmp_path / "journal", tmp_path / "lake")
    shipper.tick()
    shipper.close()

    assert main(["feedback", "count", "--state-dir", str(tmp_path)]) == 0
    *lines, told = capsys.readouterr().out.splitlines()
    table = [line.split() for line in lines]
    assert dict(zip(*table, strict=True)) | {"unmatched": "1"} == dict(zip(*table, strict=True))
    assert told.endswith("is in it: the moment of the question.")
    assert main(["feedback", "count", "--lake", str(tmp_path / "lake"), "--json"]) == 0
    [counted] = json.loads(capsys.readouterr().out)
    assert (counted["application"], counted["unmatched"], counted["joined"]) == ("shop", 1, 0)


def test_where_there_is_no_lake_the_message_says_how_to_name_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["feedback", "count", "--state-dir", str(tmp_path)]) == 1
    assert "--lake" in capsys.readouterr().err
