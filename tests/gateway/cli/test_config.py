"""`turnout config check`: what it prints, and the exit code."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from gateway.cli import config

ROOT = Path(__file__).parents[3]
GOOD = '[upstreams.openai]\nbase_url = "https://api.openai.com/v1"\nmodels = "*"\n'
KEYED = GOOD + 'api_key = { env = "OPENAI_API_KEY" }\n'


def run(*words: object) -> int:
    root = argparse.ArgumentParser()
    config.add_parser(root.add_subparsers(required=True))
    arguments = root.parse_args(["config", *map(str, words)])
    return arguments.run(arguments)


def written(folder: Path, text: str) -> Path:
    path = folder / "turnout.toml"
    path.write_text(text)
    return path


def test_a_good_file_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = written(tmp_path, GOOD)

    assert run("check", path) == 0
    assert capsys.readouterr().out == f"{path}: ok: 1 upstream, 0 models, 0 rollouts, 0 applications\n"


def test_a_warning_is_printed_and_the_file_is_good(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    path = written(tmp_path, KEYED)

    assert run("check", path) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first == (
        f"{path}: warning: upstreams.openai.api_key: environment variable OPENAI_API_KEY is not set; "
        "export OPENAI_API_KEY=... before the start"
    )
    assert last.startswith(f"{path}: ok: ")


def test_a_secret_that_is_set_but_cannot_be_one_is_a_warning_that_does_not_repeat_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very secret")

    assert run("check", written(tmp_path, KEYED)) == 0
    said = capsys.readouterr().out
    assert "warning: upstreams.openai.api_key: environment variable OPENAI_API_KEY holds a space" in said
    assert "very" not in said


def test_a_secret_file_that_is_missing_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = written(tmp_path, GOOD + f'api_key = {{ file = "{tmp_path}/key" }}\n')

    assert run("check", path) == 0
    assert "warning: upstreams.openai.api_key: secret file" in capsys.readouterr().out


def test_each_problem_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = written(tmp_path, '[models."x"]\nupstream = "y"\nprice = { input = -1, output = 1 }\n')

    assert run("check", path) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: upstreams: no upstream is configured; add [upstreams.NAME] with its base_url",
        f'{path}: models."x".upstream: "y" is not a configured upstream; add [upstreams.y]',
        f'{path}: models."x".price.input: -1 is below 0; write the price in USD per million tokens, 0 or more',
    ]


def test_json_holds_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = written(tmp_path, GOOD)

    assert run("check", path, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "file": str(path),
        "ok": True,
        "problems": [],
        "counts": {"upstreams": 1, "models": 0, "rollouts": 0, "applications": 0},
    }


def test_json_of_a_bad_file_has_its_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = written(tmp_path, "[server]\nport = -1\n")

    assert run("check", path, "--json") == 1
    assert json.loads(capsys.readouterr().out) == {
        "file": str(path),
        "ok": False,
        "problems": [
            {
                "severity": "error",
                "path": "server.port",
                "message": "-1 does not fit; write a whole number from 0 to 65535 without quotes",
            }
        ],
        "counts": None,
    }


def test_without_a_name_the_variable_says_which_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TURNOUT_CONFIG", str(written(tmp_path, GOOD)))

    assert run("check") == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path}/turnout.toml: ok: ")


def test_without_both_it_is_the_file_in_the_working_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("TURNOUT_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)

    assert run("check") == 1
    assert capsys.readouterr().out.startswith("turnout.toml: there is no such file; ")


def test_the_example_is_good(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-example")

    assert run("check", ROOT / "turnout.example.toml") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_wrong_usage_is_exit_code_2():
    with pytest.raises(SystemExit) as caught:
        run("chekc")

    assert caught.value.code == 2


REDIS = '[redis]\nurl = "redis://127.0.0.1:6379"\n'
HOME = '[applications.home]\naccept = [{ env = "A_KEY_OF_THEIRS" }]\n'
ACCEPT = '[applications.shop]\naccept = [{ env = "THEIR_KEY" }]\n'


@pytest.mark.parametrize("role", ["gateway", "console"])
def test_a_part_of_a_fleet_needs_redis(tmp_path: Path, capsys: pytest.CaptureFixture[str], role: str):
    path = written(tmp_path, GOOD)

    assert run("check", path, "--role", role) == 1
    assert f"{path}: redis.url: is missing; --role {role} works through Redis" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "this gateway would not be ready: upstreams: no upstream is configured"),
        (GOOD, "this gateway would not be ready: no application of the file has `accept`"),
        (GOOD + '[models.gpt]\nupstream = "nobody"\n', 'this gateway would not be ready: models."gpt".upstream'),
        (GOOD + ACCEPT, "this gateway would not be ready: environment variable THEIR_KEY is not set"),
        (KEYED.replace("OPENAI_API_KEY", "NO_SUCH_KEY") + HOME, "would not be ready: environment variable NO_SUCH_KEY"),
        (GOOD + HOME + ACCEPT, "THEIR_KEY is not set; export THEIR_KEY=... before the start; without Redis"),
        (GOOD + HOME, None),
    ],
)
def test_a_gateway_is_told_whether_it_could_serve_alone(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    said: str | None,
):
    monkeypatch.setenv("A_KEY_OF_THEIRS", "sk-theirs")
    path = written(tmp_path, text + REDIS)

    assert run("check", path, "--role", "gateway") == 0
    *warned, last = capsys.readouterr().out.splitlines()
    assert [said is not None and said in line for line in warned] == ([True] if said else [])
    alone = said is None or "would not be ready" not in said
    could = "could" if alone else "could not"
    assert last == f"{path}: ok: what a gateway reads of it; this host {could} serve base without a snapshot"
    assert run("check", path, "--role", "gateway", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["counts"], told["base_without_snapshot"]) == (None, alone)


def test_a_console_is_judged_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = written(tmp_path, REDIS)

    assert run("check", path, "--role", "console") == 1
    assert "no upstream is configured" in capsys.readouterr().out
    assert run("check", written(tmp_path, GOOD + REDIS), "--role", "console") == 0
