"""The image's laws, and its build's steps as they stand, in a folder in the place of a container."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "Dockerfile").read_text()

Step = tuple[str, str]


def steps() -> list[list[Step]]:
    """Return the stages, each as its instructions and their words."""
    lines = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE)).splitlines()
    stages: list[list[Step]] = []
    for name, _, words in (line.partition(" ") for line in lines if line):
        if name == "FROM":
            stages.append([])
        stages[-1].append((name, words.strip()))
    return stages


def said(name: str, stage: int = -1) -> list[str]:
    return [words for instruction, words in steps()[stage] if instruction == name]


def last(name: str) -> str:
    return said(name)[-1]


def copied() -> list[tuple[list[str], str]]:
    """Return what is copied from the clone, and where to."""
    every = [shlex.split(words) for stage in steps() for name, words in stage if name == "COPY"]
    return [(words[:-1], words[-1]) for words in every if not words[0].startswith("--from=")]


def test_the_image_does_not_run_as_root():
    user, group = last("USER").split(":")

    assert int(user) >= 10_000
    assert int(group) >= 10_000
    after = steps()[-1][steps()[-1].index(("USER", last("USER"))) :]
    assert not [words for name, words in after if name == "RUN"]


def test_both_stages_begin_with_the_same_slim_image_of_a_named_version():
    bases = {said("FROM", stage)[0].split()[0] for stage in range(len(steps()))}

    assert len(steps()) == 2
    [base] = bases
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", base)


def test_packages_are_installed_by_hash_and_from_no_named_place():
    installs = [words for words in said("RUN", 0) if " install " in words]

    assert any("--require-hashes" in words and "--only-binary :all:" in words for words in installs)
    assert all("--require-hashes" in words or "--no-deps" in words for words in installs)
    assert not re.search(r"https?://(?!.*/healthz)|index-url|find-links|trusted-host", TEXT)


def test_neither_stage_has_a_compiler_and_the_last_installs_nothing():
    assert not re.search(
        r"\b(apt-get|gcc|g\+\+|build-essential|cc|make)\b", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE)
    )
    assert not [words for words in said("RUN") if "pip" in words]


def test_no_variable_of_the_image_holds_a_secret():
    variables = [word.partition("=")[0] for words in said("ENV") for word in shlex.split(words)]

    assert "TURNOUT_STATE_DIR" in variables
    assert not [name for name in variables if re.search("SECRET|KEY|PASSWORD|TOKEN", name)]


def test_everything_that_is_copied_is_there_and_not_ignored():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    wanted = {source for sources, _ in copied() for source in sources}

    assert not [source for source in wanted if not (ROOT / source).exists()]
    assert wanted == kept


def test_every_package_of_the_wheel_is_copied():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert set(wheel["packages"]) <= {source for sources, _ in copied() for source in sources}


def test_labels_say_what_it_is():
    labels = dict(word.split("=", 1) for word in shlex.split(last("LABEL")))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert labels["org.opencontainers.image.version"] == project["version"]
    assert labels["org.opencontainers.image.description"] == project["description"]
    assert labels["org.opencontainers.image.licenses"] == project["license"]


def test_the_health_check_asks_the_address_that_turnout_told(tmp_path: Path):
    [asked] = [json.loads(words.split(" CMD ", 1)[1]) for words in said("HEALTHCHECK")]
    (tmp_path / "addresses.json").write_text('{"gateway": "http://127.0.0.1:1"}')
    environment = {"PATH": os.environ["PATH"], "TURNOUT_STATE_DIR": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, *asked[1:]], env=environment, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode != 0
    assert "Connection refused" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_steps_of_the_build_make_an_environment_that_runs_turnout(tmp_path: Path):
    if find_spec("pip") is None:
        pytest.skip("not exercised: this Python has no pip of its own")
    for sources, target in copied():
        for source in sources:
            place = tmp_path / target.lstrip("/") / ("" if (ROOT / source).is_dir() else source)
            place.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            copy(ROOT / source, place)
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    (bin_dir / "python").symlink_to(sys.executable)
    environment = {**os.environ, "PATH": f"{bin_dir}:{os.environ['PATH']}"}

    for words in said("RUN", 0):
        here = re.sub(r"(?<=[ =])/(?=opt|build)", f"{tmp_path}/", words)
        done = subprocess.run(
            ["/bin/sh", "-ec", here], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{here}\n{done.stdout}\n{done.stderr}"

    made = tmp_path / "opt/turnout/bin"
    told = subprocess.run(
        [str(made / "turnout"), "--version"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert told.stdout.split() == ["turnout", "0.1.0"]
    assert (made.parent / "share/turnout/chart/Chart.yaml").exists()
    assert not [path for path in made.parent.rglob("*.pth") if "distutils-precedence" not in path.name]
    assert not list(made.parent.rglob("site-packages/hatchling"))
