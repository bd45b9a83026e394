"""What the chart renders, started: each container's command and environment as a real process, on folders of a test."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.acceptance.harness import SIMULATED, command, simulating, until
from tests.fakes.plain import PLAIN
from tests.helm.chart import MINIMAL, NAMESPACE, Manifest, manifests, one

SECRETS = {"secret": "a-master-secret-that-is-long-enough-for-all", "api-key": "sk-chart"}
"""What stands under the keys of the Secrets that the values name."""


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[str]:
    with simulating(tmp_path / "base.toml", SIMULATED["base"]) as server:
        yield server.base_url


@contextmanager
def started(pod: Manifest, config: Manifest, folder: Path) -> Iterator[dict[str, str]]:
    """Run a pod's own container; its volumes are folders below `folder`, its ports any. Yields its addresses."""
    [container] = pod["containers"]
    places = {mount["mountPath"]: folder / mount["name"] for mount in container["volumeMounts"]}
    for place in places.values():
        place.mkdir(exist_ok=True)
    text = re.sub(
        r'^((?:console_)?host) = ".*"$', r'\1 = "127.0.0.1"', config["data"]["turnout.toml"], flags=re.MULTILINE
    )
    text = re.sub(r"^((?:console_)?port) = \d+$", r"\1 = 0", text, flags=re.MULTILINE)
    (places["/etc/turnout"] / "turnout.toml").write_text(text)
    environment = {"PATH": os.environ["PATH"], **dict(variables(container, places))}
    with (folder / "log").open("wb") as log:
        words = command(*container["args"])
        process = subprocess.Popen(words, cwd="/", env=environment, stdout=subprocess.DEVNULL, stderr=log)
    try:
        yield addresses(Path(environment["TURNOUT_STATE_DIR"]), process, folder / "log")
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in (folder / "log").read_text()


def variables(container: Manifest, places: dict[str, Path]) -> Iterator[tuple[str, str]]:
    for variable in container["env"]:
        value = variable.get("value") or SECRETS[variable["valueFrom"]["secretKeyRef"]["key"]]
        [*below] = [place for place in places if value == place or value.startswith(f"{place}/")]
        yield variable["name"], value.replace(below[0], str(places[below[0]]), 1) if below else value


def addresses(state_dir: Path, process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    def is_there() -> bool:
        if process.poll() is not None:
            pytest.fail(f"the container's process ended:\n{log.read_text()}")
        return (state_dir / "addresses.json").exists()

    until(is_there, "addresses are told")
    return json.loads((state_dir / "addresses.json").read_text())


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, verify=PLAIN, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def probed(pod: Manifest) -> set[str]:
    """Return the paths that the kubelet asks."""
    [container] = pod["containers"]
    return {container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}


def test_the_pod_starts_and_answers_its_probes_and_its_callers(upstream: str, tmp_path: Path):
    found = manifests(MINIMAL, words=("--set", f"config.upstreams.openai.base_url={upstream}"))
    pod = one(found, "StatefulSet")["spec"]["template"]["spec"]

    with started(pod, one(found, "ConfigMap"), tmp_path) as told:
        for path in probed(pod):
            until(lambda path=path: answers(told["gateway"] + path), f"{path} answers")
        keys = dict(line.split()[:2] for line in (tmp_path / "state/state/first-keys").read_text().splitlines())
        within = f"{one(found, 'Service', 'demo-turnout-gateway')['metadata']['name']}.{NAMESPACE}.svc:8080"
        listed = httpx.get(
            f"{told['gateway']}/v1/models",
            headers={"authorization": f"Bearer {keys['application']}", "host": within},
            trust_env=False,
            verify=PLAIN,
            timeout=30,
        )
        until(lambda: answers(told["console"] + "/healthz"), "the console answers")

    assert "sales-companion" in {model["id"] for model in listed.json()["data"]}
