"""A rendered pod as real processes: its volumes are folders, its secrets are made up, its ports are any.

Nothing else of what the chart says is changed: arguments, environment and configuration are those of the manifests.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.acceptance.harness import command, until
from tests.fakes.plain import PLAIN
from tests.helm.chart import Manifest, one

SECRETS = {
    "secret": "a-master-secret-that-is-long-enough-for-all",
    "api-key": "sk-chart",
    "gateway-password": "of-the-gateways",
    "console-password": "of-the-console",
}
"""What stands under the keys of the Secrets that the values name."""

_LISTENS = re.compile(r'^((?:console_)?)(host|port) = ("[^"]*"|\d+)$', re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where pods run: claims and emptied folders below `folder`, and what other addresses stand for here."""

    folder: Path
    manifests: list[Manifest]
    addresses: Mapping[str, str] = field(default_factory=dict)

    def place(self, pod: str, volume: Manifest) -> Path:
        """Return a volume's folder, with what a ConfigMap puts into it."""
        claim = volume.get("persistentVolumeClaim")
        place = self.folder / (f"claims/{claim['claimName']}" if claim else f"{pod}/{volume['name']}")
        place.mkdir(parents=True, exist_ok=True)
        if "configMap" in volume:
            for name, text in one(self.manifests, "ConfigMap", volume["configMap"]["name"])["data"].items():
                (place / name).write_text(text)
        return place


@dataclass(frozen=True, kw_only=True)
class Running:
    """A pod that runs; `told` is what `addresses.json` says."""

    name: str
    container: Manifest
    told: Mapping[str, str]
    environment: Mapping[str, str]

    def first_keys(self) -> dict[str, str]:
        """Return the keys of the first start."""
        lines = (Path(self.environment["TURNOUT_STATE_DIR"]) / "first-keys").read_text().splitlines()
        return dict(line.split()[:2] for line in lines)

    def turnout(self, *words: str) -> str:
        """Run a command inside, as the notes do with `kubectl exec`; return what it says."""
        done = subprocess.run(
            command(*words), cwd="/", env=dict(self.environment), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wait_for_probes(self) -> None:
        """Wait until everything answers that the kubelet asks for by HTTP."""
        kinds = ("startupProbe", "readinessProbe", "livenessProbe")
        asked = [self.container[kind]["httpGet"] for kind in kinds if "httpGet" in self.container[kind]]
        assert asked
        for it in asked:
            address = self.told["console" if it["port"] == "console" else "gateway"]
            until(lambda address=address, it=it: answers(address + it["path"]), f"{self.name} answers {it['path']}")


@contextmanager
def started(cluster: Cluster, workload: Manifest, name: str) -> Iterator[Running]:
    """Run the only container of a workload's pod; at the end it must end cleanly when it is told to."""
    spec = workload["spec"]["template"]["spec"]
    [container] = spec["containers"]
    volumes = {volume["name"]: cluster.place(name, volume) for volume in spec["volumes"]}
    places = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
    path = places["/etc/turnout"] / "turnout.toml"
    path.write_text(_here(path.read_text(), places, cluster.addresses))
    environment = {"PATH": os.environ["PATH"], **variables(container, places)}
    log = cluster.folder / f"{name}.log"
    with log.open("wb") as file:
        words = command(*container["args"])
        process = subprocess.Popen(words, cwd="/", env=environment, stdout=subprocess.DEVNULL, stderr=file)
    try:
        told = _addresses(Path(environment["TURNOUT_STATE_DIR"]), process, log)
        yield Running(name=name, container=container, told=told, environment=environment)
        process.terminate()
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text()


def variables(container: Manifest, places: Mapping[str, Path]) -> dict[str, str]:
    """Return a container's environment; what is mounted lies at its place."""
    known = {}
    for variable in container["env"]:
        value = variable.get("value") or SECRETS[variable["valueFrom"]["secretKeyRef"]["key"]]
        known[variable["name"]] = _below(value, places)
    return known


def answers(url: str) -> bool:
    """Tell whether an address answers 200."""
    try:
        return httpx.get(url, trust_env=False, verify=PLAIN, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _here(text: str, places: Mapping[str, Path], addresses: Mapping[str, str]) -> str:
    text = _LISTENS.sub(
        lambda it: f"{it[1]}{it[2]} = {chr(34) + '127.0.0.1' + chr(34) if it[2] == 'host' else 0}", text
    )
    for address, here in addresses.items():
        text = text.replace(f'"{address}"', f'"{here}"')
    return re.sub(r'"file://([^"]+)"', lambda it: f'"file://{_below(it[1], places)}"', text)


def _below(value: str, places: Mapping[str, Path]) -> str:
    for path, place in places.items():
        if value == path or value.startswith(f"{path}/"):
            return f"{place}{value.removeprefix(path)}"
    return value


def _addresses(state_dir: Path, process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    def is_there() -> bool:
        if process.poll() is not None:
            pytest.fail(f"the container's process ended:\n{log.read_text()}")
        return (state_dir / "addresses.json").exists()

    until(is_there, "addresses are told")
    return json.loads((state_dir / "addresses.json").read_text())
