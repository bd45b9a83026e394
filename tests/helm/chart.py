"""The chart as a real Helm renders it. Helm and the schemas of Kubernetes live in `.venv/helm`: `make clients`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
CHART = ROOT / "helm/turnout"
VALUES = sorted((Path(__file__).parent / "values").glob("*.yaml"))
MINIMAL = Path(__file__).parent / "values/minimal.yaml"
RELEASE, NAMESPACE = "demo", "models"

_HOME = ROOT / ".venv/helm/bin"
_TO_JSON = "import json, sys, yaml; json.dump([one for one in yaml.safe_load_all(sys.stdin) if one], sys.stdout)"

Manifest = dict[str, Any]


def tool(name: str) -> str:
    """Return a program of `.venv/helm`; without it the test is not exercised."""
    found = _HOME / name
    if not found.exists():
        pytest.skip(f"not exercised: there is no .venv/helm/bin/{name}; `make clients` fetches it where it can be had")
    return str(found)


def helm(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Call Helm, with no settings of whoever runs the tests."""
    home = str(folder or ROOT / ".venv/helm")
    environment = {"PATH": os.environ["PATH"], "HOME": home}
    return subprocess.run(
        [tool("helm"), *words], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def template(*values: Path, words: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Render the chart with these files of values."""
    files = [word for path in values for word in ("--values", str(path))]
    return helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, *files, *words)


@cache
def manifests(*values: Path, words: tuple[str, ...] = ()) -> list[Manifest]:
    """Return what the chart makes of these values; whoever changes it changes it for all."""
    done = template(*values, words=words)
    assert done.returncode == 0, done.stderr
    return from_yaml(done.stdout)


def from_yaml(text: str) -> list[Manifest]:
    """Read the documents of a text in YAML."""
    command = [tool("python"), "-c", _TO_JSON]
    return json.loads(subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout)


def one(found: list[Manifest], kind: str, name: str | None = None) -> Manifest:
    """Return the only manifest of a kind, or the one of this name."""
    [it] = [each for each in found if each["kind"] == kind and name in {None, each["metadata"]["name"]}]
    return it


def pods(found: list[Manifest]) -> Iterator[Manifest]:
    """Yield the specification of every pod."""
    for each in found:
        if "template" in each.get("spec", {}):
            yield each["spec"]["template"]["spec"]


def containers(found: list[Manifest]) -> Iterator[Manifest]:
    """Yield every container, those that run first included."""
    for pod in pods(found):
        yield from [*pod["containers"], *pod.get("initContainers", [])]
