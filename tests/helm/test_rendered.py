"""What the chart renders is valid for every Kubernetes that it claims, and gives a pod no more than it needs."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.helm.chart import CHART, MINIMAL, NAMESPACE, VALUES, containers, helm, manifests, one, pods, template, tool

OLDEST = str(re.findall(r'kubeVersion: ">=(\d+\.\d+)', (CHART / "Chart.yaml").read_text())[0])
EVERY = pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)


def newest() -> str:
    told = subprocess.run([tool("kubernetes-validate"), "--version"], capture_output=True, text=True, check=True)
    return str(re.findall(r"\d+\.\d+", told.stdout)[0])


@EVERY
def test_lint_has_nothing_to_say(values: Path):
    done = helm("lint", "--strict", str(CHART), "--values", str(values))

    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


@EVERY
def test_every_manifest_is_valid_for_the_oldest_and_the_newest_kubernetes(values: Path, tmp_path: Path):
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(template(values).stdout)

    for version in (OLDEST, newest()):
        words = [tool("kubernetes-validate"), "--strict", "--kubernetes-version", version, str(rendered)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        assert "WARN" not in done.stdout
        assert done.stdout.count(f"against version {version}") == len(manifests(values))


def test_a_manifest_with_an_unknown_field_would_be_found(tmp_path: Path):
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(template(MINIMAL).stdout.replace("terminationGracePeriodSeconds", "gracePeriodSeconds"))

    words = [tool("kubernetes-validate"), "--strict", "--quiet", str(rendered)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "gracePeriodSeconds" in done.stdout


@EVERY
def test_no_pod_may_do_more_than_it_needs(values: Path):
    for pod in pods(manifests(values)):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] >= 10_000
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert not [volume for volume in pod["volumes"] if "hostPath" in volume]


@EVERY
def test_no_container_may_do_more_than_it_needs(values: Path):
    found = list(containers(manifests(values)))

    assert found
    for container in found:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert not container["image"].endswith(":latest")


@EVERY
def test_secrets_are_named_never_written(values: Path):
    found = manifests(values)

    assert not [each for each in found if each["kind"] == "Secret"]
    for container in containers(found):
        for variable in container.get("env", []):
            named = re.search("SECRET$|KEY|PASSWORD|TOKEN", variable["name"])
            assert not named or "secretKeyRef" in variable.get("valueFrom", {}), variable["name"]


@EVERY
def test_a_pod_is_given_longer_to_end_than_the_longest_request_takes(values: Path):
    found = manifests(values)
    toml = tomllib.loads(one(found, "ConfigMap")["data"]["turnout.toml"])
    longest = max(model.get("total_timeout_s", 600) for model in toml["models"].values())

    own = [pod for pod in pods(found) if pod["containers"][0]["name"] == "turnout"]
    assert own
    for pod in own:
        [wait] = [word for word in pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] if word.isdigit()]
        assert pod["terminationGracePeriodSeconds"] >= longest + int(wait) + 15


def test_a_longer_total_timeout_gives_a_longer_grace():
    words = ("--set-json", "config.models.gpt-4o-mini.total_timeout_s=1800.5")

    [pod] = pods(manifests(MINIMAL, words=words))

    assert pod["terminationGracePeriodSeconds"] == 1801 + 5 + 60


def test_only_process_settings_restart_the_pods():
    def mark(*words: str) -> str:
        found = manifests(MINIMAL, words=words)
        return one(found, "StatefulSet")["spec"]["template"]["metadata"]["annotations"]["checksum/process-settings"]

    assert mark("--set", "config.models.gpt-4o-mini.idle_timeout_s=7") == mark()
    assert mark("--set", "config.server.queue=7") != mark()
    assert mark("--set", "gateway.workers=7") != mark()


def test_the_configuration_is_what_the_values_say():
    toml = tomllib.loads(one(manifests(MINIMAL), "ConfigMap")["data"]["turnout.toml"])

    assert toml["models"]["ft:gpt-4o-mini:acme:sales-v2:abc123"] == {
        "upstream": "openai",
        "price": {"input": 0.3, "cached_input": 0.15, "output": 1.2},
    }
    assert toml["server"]["workers"] == 2
    assert isinstance(toml["server"]["workers"], int)


def test_any_value_comes_through_to_the_configuration_as_it_is(tmp_path: Path):
    written = {
        "text": 'a "quoted" \\ line\nand <another> & ümläut',
        "whole": 16777216,
        "part": 0.0625,
        "yes": True,
        "nothing": [],
        "nested": [{"a": 1, "b": ["x", 2.5]}, {"a.b": {"c": "d"}}],
        "a key with spaces": {"deeper": {"deepest": 1}},
    }
    values = tmp_path / "values.json"
    values.write_text(json.dumps({"config": {"prices": written}}))

    toml = tomllib.loads(one(manifests(MINIMAL, values), "ConfigMap")["data"]["turnout.toml"])

    assert toml["prices"] == written


def test_a_service_sends_to_ports_that_its_pods_have():
    found = manifests(MINIMAL)
    for each in (each for each in found if each["kind"] == "Service"):
        chosen = [
            pod["spec"]["template"]
            for pod in found
            if "template" in pod.get("spec", {})
            and each["spec"]["selector"].items() <= pod["spec"]["template"]["metadata"]["labels"].items()
        ]
        [pod] = chosen
        named = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in each["spec"]["ports"]} <= named


def test_the_wall_lets_out_to_the_ports_of_the_upstreams_alone():
    words = (
        "--set",
        "config.upstreams.own.base_url=http://vllm.models:8000/v1",
        "--set",
        "config.upstreams.z.base_url=http://z",
    )
    wall = one(manifests(MINIMAL, words=words), "NetworkPolicy")["spec"]

    ports = {port["port"] for rule in wall["egress"] for port in rule["ports"]}
    assert ports == {53, 443, 8000, 80}
    assert wall["policyTypes"] == ["Ingress", "Egress"]


def test_the_notes_name_the_next_commands():
    words = ("--values", str(MINIMAL), "--dry-run=client", "--namespace", NAMESPACE)
    done = helm("install", "demo", str(CHART), *words)

    assert done.returncode == 0, done.stderr
    notes = done.stdout.split("NOTES:")[1]
    assert f"kubectl rollout status --namespace {NAMESPACE}" in notes
    assert "turnout rollout set sales-companion 10" in notes
