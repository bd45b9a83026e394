from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli import Abort, main, parser
from tests.fakes.backed_up import installation


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TURNOUT_SECRET", raising=False)
    installation(tmp_path / "state")
    return tmp_path / "state"


def run(state: Path, *words: str) -> int:
    parsed = parser().parse_args(["backup", "--state-dir", str(state), *words])
    return parsed.run(parsed)


def test_people_are_told_what_is_in_it_and_how_to_keep_it(state: Path, capsys: pytest.CaptureFixture[str]):
    Path("turnout.toml").write_text("# a configuration")
    assert run(state, "--to", "out") == 0

    printed = capsys.readouterr().out
    assert ["saved", "queries", "1"] in [line.split() for line in printed.splitlines()]
    assert ["configuration", "config/turnout.toml"] in [line.split() for line in printed.splitlines()]
    assert "holds the master secret" in printed
    assert Path("out/config/turnout.toml").read_text() == "# a configuration"


def test_programs_get_json(state: Path, capsys: pytest.CaptureFixture[str]):
    run(state, "--to", "out.tar", "--without-secrets", "--without-lake", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["has_secret"], told["lake"], told["lake_files"]) == (False, "left where it is", 0)
    run(state, "--to", "bare", "--without-secrets")
    assert "no master secret" in capsys.readouterr().out


def test_a_lake_in_an_object_store_stays_where_it_is(state: Path, capsys: pytest.CaptureFixture[str]):
    (state / "lake.json").write_text('{"url": "s3://bucket/lake"}')
    run(state, "--to", "out", "--json")

    assert json.loads(capsys.readouterr().out)["lake"] == "left where it is"
    assert not Path("out/lake").exists()


def test_a_demonstrations_configuration_is_its_own(state: Path, capsys: pytest.CaptureFixture[str]):
    (state / "demo.toml").write_text("# the demonstration's")
    Path("turnout.toml").write_text("# another's")
    run(state, "--to", "out", "--json")

    assert json.loads(capsys.readouterr().out)["configuration"] is None
    assert Path("out/demo.toml").exists()


def test_what_cannot_be_backed_up_is_said_in_a_sentence(state: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(Abort, match=r"there is no file missing\.toml"):
        run(state, "--to", "out", "--config", "missing.toml")
    with pytest.raises(Abort, match="is inside the lake"):
        run(state, "--to", str(state / "lake/backup"))
    with pytest.raises(Abort, match="is inside the state directory"):
        run(state, "--to", str(state / "backup.tar"))
    with pytest.raises(Abort, match="is no place that can be written to"):
        run(state, "--to", "file:///backup")
    assert main(["backup", "--state-dir", "nowhere", "--to", "out"]) == 1
    assert main(["backup", "--state-dir", str(state), "--to", str(state)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert "secret is missing" in said[0]
    assert "is not empty; name a folder that is not there yet" in said[1]
    assert not Path("out").exists()
