from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from gateway.cli import Abort
from gateway.cli.simulate import add_parser, configuration
from gateway.simulate.config import BadSimulationError, SimulatedModel, Simulation


def options(*words: str) -> argparse.Namespace:
    root = argparse.ArgumentParser()
    add_parser(root.add_subparsers())
    return root.parse_args(["simulate", *words])


def test_one_model_is_described_by_options():
    words = [
        "--model",
        "m",
        "--ttft-ms",
        "10",
        "--ttft-sigma",
        "0",
        "--output-tokens",
        "5",
        "--error-rate",
        "0.1",
        "--seed",
        "3",
        "--key",
        "a",
        "--key",
        "b",
    ]

    assert configuration(options(*words)) == Simulation(
        seed=3,
        keys=("a", "b"),
        models={"m": SimulatedModel(ttft_ms=10, ttft_sigma=0, output_tokens=5, errors={500: 0.1})},
    )


def test_without_anything_there_is_a_model_to_try():
    assert list(configuration(options()).models) == ["gpt-4o-mini"]


def test_the_status_of_errors_can_be_chosen():
    model = configuration(options("--error-rate", "1", "--error-status", "429")).models["gpt-4o-mini"]

    assert model.errors == {429: 1.0}


def test_options_of_the_server_override_the_file(tmp_path: Path):
    path = tmp_path / "sim.toml"
    path.write_text("seed = 1\nport = 9\n[models.m]\n")

    config = configuration(options(str(path), "--port", "0", "--key", "k"))

    assert (config.seed, config.port, config.keys, list(config.models)) == (1, 0, ("k",), ["m"])


@pytest.mark.parametrize("word", ["--model=m", "--ttft-ms=1", "--error-rate=0.1"])
def test_a_file_and_a_model_by_options_exclude_each_other(word: str):
    with pytest.raises(Abort, match=word.split("=", maxsplit=1)[0]) as caught:
        configuration(options("sim.toml", word))

    assert caught.value.exit_code == 2


def test_a_wrong_option_is_named_with_its_value():
    with pytest.raises(BadSimulationError, match=r'the options: models."gpt-4o-mini".cached_share = 2.0'):
        configuration(options("--cached-share", "2"))


def test_the_command_serves_until_it_is_ended():
    command = [sys.executable, "-m", "gateway", "simulate", "--model", "m", "--ttft-ms", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = json.loads(process.stdout.readline())["base_url"]
        answer = httpx.get(f"{url}/models/m")
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()

    assert answer.status_code == 200
    assert said == b""
    assert process.returncode == 130


def test_a_wrong_file_is_one_sentence_and_exit_code_2(tmp_path: Path):
    command = [sys.executable, "-m", "gateway", "simulate", str(tmp_path / "nowhere.toml")]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("turnout: ")
