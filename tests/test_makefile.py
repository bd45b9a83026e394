"""The Makefile's environment: made once, made again when it is not whole, explained when it cannot be made."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FAKE_PYTHON = """#!/bin/sh
echo "$@" >> calls
case "$*" in
  -V) echo Python 3.9.2 ;;
  *version_info*) test ! -e too-old ;;
  *"import ensurepip"*) test ! -e no-ensurepip ;;
  *"import pip"*) test ! -e no-pip ;;
  "-m venv --without-pip .venv/langchain") mkdir -p .venv/langchain ;;
  "-m venv --without-pip .venv/moto") mkdir -p .venv/moto ;;
  "-m venv --without-pip .venv/readers") mkdir -p .venv/readers ;;
  "-m venv --without-pip .venv/helm") mkdir -p .venv/helm ;;
  "-m venv --without-pip"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  "-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python && touch .venv/bin/pip ;;
  "-m pip"*) test ! -e no-network ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a folder with what the Makefile's set-up needs, and a Python that only notes what it was asked."""
    folder = tmp_path / "a clone"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, folder)
    python = folder / "fake-python"
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    return folder


def make(clone: Path, target: str = ".venv/.ready-run") -> subprocess.CompletedProcess[str]:
    (clone / "calls").write_text("")
    command = ["make", target, "PYTHON=./fake-python"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(command, cwd=clone, env=alone, capture_output=True, text=True, timeout=60, check=False)


def asked(clone: Path) -> list[str]:
    """Return what Python was asked to make or to install."""
    return [line for line in (clone / "calls").read_text().splitlines() if line.startswith("-m")]


def test_the_environment_is_made_from_the_hash_locked_requirements(clone: Path):
    assert make(clone).returncode == 0

    made, locked, ours = asked(clone)
    assert made == "-m venv .venv"
    assert locked.startswith("-m pip install")
    assert locked.endswith("--require-hashes -r requirements.lock")
    assert ours.endswith("--no-build-isolation --no-deps -e .")


def test_a_ready_environment_is_left_alone(clone: Path):
    make(clone)

    assert make(clone).returncode == 0
    assert asked(clone) == []


def test_a_half_made_environment_is_made_again(clone: Path):
    (clone / ".venv/bin").mkdir(parents=True)
    shutil.copy(clone / "fake-python", clone / ".venv/bin/python")

    assert make(clone).returncode == 0
    assert asked(clone)[0] == "-m venv .venv"


def test_an_installation_that_was_broken_off_is_done_again(clone: Path):
    (clone / "no-network").touch()
    assert make(clone).returncode != 0
    (clone / "no-network").unlink()

    assert make(clone).returncode == 0
    assert [line.split()[1] for line in asked(clone)] == ["pip", "pip"]


def test_an_environment_of_a_moved_folder_is_made_again(clone: Path):
    make(clone)
    moved = clone.rename(clone.with_name("moved"))

    assert make(moved).returncode == 0
    assert asked(moved)[0] == "-m venv .venv"


def test_without_ensurepip_the_pip_from_outside_is_used(clone: Path):
    (clone / "no-ensurepip").touch()

    assert make(clone).returncode == 0
    made, locked, _ = asked(clone)
    assert made == "-m venv --without-pip .venv"
    assert locked.startswith("-m pip --python .venv/bin/python install")


def test_without_any_pip_the_one_line_that_helps_is_printed(clone: Path):
    (clone / "no-ensurepip").touch()
    (clone / "no-pip").touch()

    done = make(clone)

    assert done.returncode != 0
    assert "run: sudo apt-get install -y python3-venv" in done.stdout
    assert asked(clone) == []


def test_a_python_that_is_too_old_is_named(clone: Path):
    (clone / "too-old").touch()

    done = make(clone)

    assert done.returncode != 0
    assert "needs Python 3.11 or newer; ./fake-python is Python 3.9.2." in done.stdout


def test_clients_that_cannot_be_fetched_are_named_and_stop_nothing(clone: Path):
    for folder in ("examples/node", "tests/helm"):
        (clone / folder).mkdir(parents=True)
    locks = tuple(f"requirements-{name}.lock" for name in ("helm", "langchain", "moto", "readers", "simulate"))
    for name in (*locks, "examples/node/package-lock.json", "examples/node/package.json", "tests/helm/unpack.py"):
        shutil.copy(ROOT / name, clone / name)
    make(clone, ".venv/.ready-dev")
    (clone / "no-network").touch()

    done = make(clone, "clients")

    assert done.returncode == 0
    for client in ("node", "langchain", "moto", "readers", "helm", "simulate"):
        assert f"Tests that need .venv/{client} are not exercised." in done.stdout
        assert not (clone / f".venv/.ready-{client}").exists()


def test_langchain_has_an_environment_of_its_own(clone: Path):
    shutil.copy(ROOT / "requirements-langchain.lock", clone)
    make(clone, ".venv/.ready-dev")

    assert make(clone, ".venv/.ready-langchain").returncode == 0
    made, installed = asked(clone)
    assert made == "-m venv --without-pip .venv/langchain"
    assert installed.startswith("-m pip --python .venv/langchain/bin/python install")
    assert installed.endswith("--require-hashes -r requirements-langchain.lock")
