from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from gateway.simulate.config import BadSimulationError, SimulatedModel, Simulation
from gateway.simulate.server import announcement, base_url, listen, running

CONFIG = Simulation(models={"m": SimulatedModel(ttft_ms=0)})


@pytest.mark.anyio
async def test_a_server_inside_this_process_listens_while_its_block_lasts():
    async with running(CONFIG) as server, httpx.AsyncClient() as client:
        assert (await client.get(f"{server.base_url}/models")).json()["data"][0]["id"] == "m"

    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{server.base_url}/models")


def test_a_taken_port_is_refused_with_the_remedy():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = Simulation(port=taken.getsockname()[1], models=CONFIG.models)

        with pytest.raises(BadSimulationError, match=r"cannot listen on .* choose another with --port"):
            listen(config)


def test_an_announcement_is_one_json_line():
    with listen(CONFIG) as listening:
        line = announcement(CONFIG, listening)

        assert json.loads(line) == {"base_url": base_url(listening), "models": ["m"]}
        assert "\n" not in line


def test_a_process_serves_on_an_inherited_socket_until_sigterm(tmp_path: Path):
    (tmp_path / "sim.toml").write_text("[models.m]\nttft_ms = 0\n")
    with listen(CONFIG) as listening:
        command = [sys.executable, "-m", "gateway.simulate", "--config", str(tmp_path / "sim.toml")]
        command += ["--fd", str(listening.fileno())]
        url = base_url(listening)
        with subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[listening.fileno()]) as process:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            answer = httpx.get(f"{told['base_url']}/models/m")
            process.terminate()

    assert told["base_url"] == url
    assert answer.json()["id"] == "m"
    assert process.returncode == -signal.SIGTERM
