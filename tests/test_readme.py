"""The README's blocks work as written; only the ports and the key's text are put in their place."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
BLOCKS = re.findall(r"^```([a-z]+)\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
SHELL = [text for language, text in BLOCKS if language == "bash"]
START_S = 60
END_S = 60


@dataclass(frozen=True, kw_only=True)
class Demo:
    """A running demonstration; `folder` is where `make run` was typed, so to speak."""

    folder: Path
    gateway: str
    console: str
    application_key: str

    def at_home(self, text: str) -> str:
        """Put this demonstration's addresses and key into a block of the README."""
        text = text.replace("http://127.0.0.1:8080", self.gateway).replace("http://127.0.0.1:8081", self.console)
        return text.replace("tn_app_...", self.application_key)


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TURNOUT_", "OPENAI_"))}
    return {**kept, "PATH": f"{BIN}{os.pathsep}{kept.get('PATH', '')}"}


def is_ready(gateway: str) -> bool:
    try:
        with urlopen(f"{gateway}/readyz", timeout=5) as answer:
            return answer.status == 200
    except (URLError, OSError):
        return False


def wait_for(folder: Path, process: subprocess.Popen[bytes]) -> dict[str, str]:
    """Return the demonstration's addresses as soon as it answers."""
    path = folder / "turnout-data/addresses.json"
    give_up_at = time.monotonic() + START_S
    while time.monotonic() < give_up_at and process.poll() is None:
        if path.exists():
            addresses = json.loads(path.read_text())
            if is_ready(addresses["gateway"]) and (folder / "turnout-data/first-keys").exists():
                return addresses
        time.sleep(0.1)
    pytest.fail(f"the demonstration did not start:\n{(folder / 'serve.log').read_text()}")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("readme")
    command = [
        "turnout",
        "serve",
        "--demo",
        "--port",
        "0",
        "--console-port",
        "0",
        "--metrics-port",
        "0",
        "--workers",
        "1",
    ]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment(), stdout=log, stderr=log)
    try:
        addresses = wait_for(folder, process)
        keys = dict(line.split()[:2] for line in (folder / "turnout-data/first-keys").read_text().splitlines())
        yield Demo(
            folder=folder,
            gateway=addresses["gateway"],
            console=addresses["console"],
            application_key=keys["application"],
        )
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run(command: list[str], folder: Path, **more: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**environment(), **more}, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("block", [text for text in SHELL if not text.startswith("make ")])
def test_a_shell_block_works_as_written(block: str, demo: Demo):
    if "curl" in block and not shutil.which("curl"):
        pytest.skip("there is no curl here")

    printed = run(["bash", "-euo", "pipefail", "-c", demo.at_home(block)], demo.folder)

    assert printed
    if "curl" in block:
        assert "HTTP/1.1 200 OK" in printed
        assert "x-turnout-arm: base" in printed


@pytest.mark.parametrize("block", [text for language, text in BLOCKS if language == "python"])
def test_a_python_block_works_as_written(block: str, demo: Demo):
    printed = run([sys.executable, "-W", "error", "-c", demo.at_home(block)], demo.folder)

    assert " says: " in printed


@pytest.mark.parametrize("block", [text for language, text in BLOCKS if language == "toml"])
def test_a_configuration_is_a_good_one(block: str, tmp_path: Path):
    (tmp_path / "turnout.toml").write_text(block)

    assert ": ok: " in run(["turnout", "config", "check"], tmp_path, OPENAI_API_KEY="sk-made-up")


@pytest.mark.parametrize("block", [text for text in SHELL if text.startswith("make ")])
def test_a_make_block_names_a_target(block: str):
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert [line for line in block.splitlines() if line.split()[1] in targets] == block.splitlines()


def test_make_run_starts_the_demonstration_where_no_configuration_is(tmp_path: Path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    command = ["make", "--dry-run", "--old-file=.venv/.made", "run"]

    assert "/turnout serve --demo" in run(command, tmp_path_with_locks(tmp_path))

    (tmp_path / "turnout.toml").touch()
    assert "/turnout serve --demo" not in run(command, tmp_path)


def tmp_path_with_locks(folder: Path) -> Path:
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    return folder
