from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx


def test_a_process_on_a_free_port_tells_its_address_first(tmp_path: Path):
    config = tmp_path / "sim.toml"
    config.write_text("port = 1\n[models.m]\nttft_ms = 0\n")
    command = [sys.executable, "-m", "gateway.simulate", "--config", str(config), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        answer = httpx.get(told["base_url"].removesuffix("/v1") + "/simulate/counts")
        process.terminate()

    assert told["models"] == ["m"]
    assert answer.json()["models"]["m"]["requests"] == 0


def test_a_wrong_configuration_is_one_sentence_and_exit_code_2(tmp_path: Path):
    command = [sys.executable, "-m", "gateway.simulate", "--config", str(tmp_path / "nowhere.toml")]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith("turnout: ")
    assert done.stderr.count("\n") == 1
