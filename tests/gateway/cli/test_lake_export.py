from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.cli import Abort, lake
from tests.fakes.handmade_lake import HandmadeLake, record


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    made = HandmadeLake(state / "lake")
    made.put([record(number, application="shop", rollout="sales") for number in range(5)])
    return state


def run(state: Path, *words: str) -> int:
    parser = argparse.ArgumentParser()
    lake.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["lake", "export", "--state-dir", str(state), *words])
    return parsed.run(parsed)


def test_people_are_told_what_was_exported_and_where_it_is_described(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(state, "--to", str(tmp_path / "out"), "--format", "csv") == 0

    printed = capsys.readouterr().out
    assert ["requests", "5"] in [line.split() for line in printed.splitlines()]
    assert "schema.md" in printed
    assert (tmp_path / "out/schema.md").read_text().startswith("# What this export holds")


def test_programs_get_the_manifest(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run(state, "--to", str(tmp_path / "out"), "--by", "date", "--since", "2026-09-21T14:13:22", "--json")

    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == {"requests": 3, "feedback": 0}
    assert told == json.loads((tmp_path / "out/manifest.json").read_text())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--since", "2026-09-22", "--until", "2026-09-21"], "is not before --until"),
        (["--content", "--rollout", "sales"], "leave out --content or --rollout"),
    ],
)
def test_what_does_not_fit_together_is_refused(state: Path, tmp_path: Path, words: Sequence[str], said: str):
    with pytest.raises(Abort, match=said) as refused:
        run(state, "--to", str(tmp_path / "out"), *words)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--application", "crm"], "nothing in the lake is of the application 'crm'; there are: shop"),
        (["--rollout", "sale"], "nothing in the lake is of the rollout 'sale'; there are: sales"),
    ],
)
def test_what_no_request_has_is_refused_with_what_there_is(
    state: Path, tmp_path: Path, words: Sequence[str], said: str
):
    with pytest.raises(Abort, match=said) as refused:
        run(state, "--to", str(tmp_path / "out"), *words)
    assert refused.value.exit_code == 1
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_into_what_is_there_already_or_into_the_lake(state: Path, tmp_path: Path):
    with pytest.raises(Abort, match="is not empty; name a folder that is not there yet"):
        run(state, "--to", str(state))
    with pytest.raises(Abort, match="is inside the lake"):
        run(state, "--to", str(state / "lake/requests/more"))
    with pytest.raises(Abort, match="is inside the lake"):
        run(state, "--lake", "s3://bucket/lake", "--to", "s3://bucket/lake/more")
    with pytest.raises(Abort, match="is no place that can be written to"):
        run(state, "--to", "http://example.com/out")
    (tmp_path / "file").touch()
    with pytest.raises(Abort, match=r"nothing was exported: .*/file: File exists; a file is in the way"):
        run(state, "--to", str(tmp_path / "file/out"))
    with pytest.raises(Abort, match="there is no lake in"):
        run(tmp_path / "elsewhere", "--to", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
