"""`.ci/run` installs what a bare machine lacks, says so when that did not help, and then runs `make test`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FAKES = {
    "git": "",
    "curl": "",
    "chromium": "",
    "redis-server": "",
    "timeout": 'shift; "$@"',
    "make": 'echo "make $@"',
    "python3": "test -e installed",
    "apt-get": 'echo "apt-get $@"; case "$*" in *install*) test -e broken || touch installed ;; esac',
}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a folder with `.ci/run`, and a path on which every command only says what it was asked."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci")
    (tmp_path / "bin").mkdir()
    for name, body in FAKES.items():
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    for name in ("bash", "dirname", "touch"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    return tmp_path


def run(clone: Path) -> subprocess.CompletedProcess[str]:
    command = [str(clone / "bin/bash"), ".ci/run"]
    environment = {"PATH": str(clone / "bin")}
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_prepared_machine_goes_straight_to_the_tests(clone: Path):
    (clone / "installed").touch()

    assert run(clone).stdout == "make test\n"


def test_what_is_missing_is_installed_first(clone: Path):
    (clone / "bin/git").unlink()
    (clone / "bin/apt-get").write_text((clone / "bin/apt-get").read_text() + "cp bin/make bin/git\n")
    (clone / "bin/cp").symlink_to(str(shutil.which("cp")))

    done = run(clone)

    assert done.returncode == 0, done.stderr
    assert "apt-get install -y -qq --no-install-recommends git python3-venv" in done.stdout
    assert done.stdout.endswith("make test\n")


def test_an_installation_that_did_not_help_ends_the_run(clone: Path):
    (clone / "broken").touch()

    done = run(clone)

    assert done.returncode != 0
    assert "python3 still cannot make environments" in done.stdout
    assert "make test" not in done.stdout


@pytest.fixture(params=["chromium", "redis-server"])
def wanted(request: pytest.FixtureRequest, clone: Path) -> str:
    """Return what is wanted and not needed, on a machine that lacks it."""
    (clone / "installed").touch()
    (clone / "bin" / request.param).unlink()
    return request.param


def test_what_is_wanted_is_installed_too(wanted: str, clone: Path):
    (clone / "bin/apt-get").write_text((clone / "bin/apt-get").read_text() + f"cp bin/make bin/{wanted}\n")
    (clone / "bin/cp").symlink_to(str(shutil.which("cp")))

    done = run(clone)

    assert done.returncode == 0, done.stderr
    assert "not exercised" not in done.stdout
    assert done.stdout.endswith("make test\n")


def test_without_what_is_wanted_the_tests_run_all_the_same(wanted: str, clone: Path):
    (clone / "bin/apt-get").write_text("#!/bin/sh\nexit 100\n")

    done = run(clone)

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"There is no {wanted}: the tests with it are not exercised.\nmake test\n")
