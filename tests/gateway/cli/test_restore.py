from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli import main
from tests.fakes.backed_up import backed_up, installation


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TURNOUT_SECRET", raising=False)
    installation(tmp_path / "state")
    (tmp_path / "old.toml").write_text("# a configuration")
    backed_up(tmp_path / "state", tmp_path / "backup", config=tmp_path / "old.toml")


def test_people_are_told_what_was_restored_and_what_to_do(capsys: pytest.CaptureFixture[str]):
    assert main(["restore", "--from", "backup", "--state-dir", "again", "--config", "new.toml"]) == 0

    printed = capsys.readouterr().out
    assert "1.3, now epoch 2" in printed
    assert "Start it with `turnout serve`" in printed
    assert Path("new.toml").read_text() == "# a configuration"
    assert main(["lake", "verify", "--state-dir", "again"]) == 0


def test_programs_get_json_also_of_what_was_kept(capsys: pytest.CaptureFixture[str]):
    words = ["--state-dir", "state", "--config", "old.toml", "--force", "--lake", "put/here", "--json"]
    assert main(["restore", "--from", "backup", *words]) == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["epoch"], told["lake"], told["kept"]) == (2, "put/here", [])
    assert told["aside"].endswith("state-before-restore")
    assert told["configuration"].endswith("old.toml, as it was")
    assert main(["restore", "--from", "backup", "--state-dir", "state", "--force"]) == 0
    assert "state-before-restore-2" in capsys.readouterr().out


def test_what_cannot_be_restored_is_said_in_a_sentence(capsys: pytest.CaptureFixture[str]):
    assert main(["restore", "--from", "nothing", "--state-dir", "again"]) == 1
    assert main(["restore", "--from", "backup", "--state-dir", "state"]) == 1
    Path("backup/ledger.sqlite").write_text("cut")
    assert main(["restore", "--from", "backup", "--state-dir", "again"]) == 1

    said = capsys.readouterr().err.splitlines()
    assert "there is no backup at nothing" in said[0]
    assert "is not empty" in said[1]
    assert "backup/ledger.sqlite has 3 bytes, and had" in said[2]
    assert not Path("again").exists()
