"""What the chart renders is valid for every Kubernetes that it claims, and gives a pod no more than it needs."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.helm.chart import (
    CHART,
    MINIMAL,
    NAMESPACE,
    VALUES,
    Manifest,
    containers,
    helm,
    manifests,
    one,
    pods,
    template,
    tool,
)

OLDEST = str(re.findall(r'kubeVersion: ">=(\d+\.\d+)', (CHART / "Chart.yaml").read_text())[0])
FOREIGN = {"ServiceMonitor"}
"""What somebody else's operator brings, of which Kubernetes has no schema."""
EVERY = pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)


def newest() -> str:
    told = subprocess.run([tool("kubernetes-validate"), "--version"], capture_output=True, text=True, check=True)
    return str(re.findall(r"\d+\.\d+", told.stdout)[0])


def definitions(found: list[Manifest]) -> dict[str, Any]:
    """Return the whole configuration: a fleet's console has it, its gateways have a part."""
    keeper = one(found, "StatefulSet")["metadata"]["name"]
    return tomllib.loads(one(found, "ConfigMap", keeper)["data"]["turnout.toml"])


@EVERY
def test_lint_has_nothing_to_say(values: Path):
    done = helm("lint", "--strict", str(CHART), "--values", str(values))

    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("edge", ["oldest", "newest"])
def test_every_manifest_is_valid_for_the_oldest_and_the_newest_kubernetes(edge: str, tmp_path: Path):
    version = OLDEST if edge == "oldest" else newest()
    own = {values.name: [each for each in manifests(values) if each["kind"] not in FOREIGN] for values in VALUES}
    for name, found in own.items():
        (tmp_path / name).write_text(json_of(found))

    words = [tool("kubernetes-validate"), "--strict", "--kubernetes-version", version]
    done = subprocess.run([*words, *map(str, tmp_path.iterdir())], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
    assert "WARN" not in done.stdout
    assert done.stdout.count(f"against version {version}") == sum(map(len, own.values()))


def json_of(found: list[Manifest]) -> str:
    """Return manifests as documents of JSON, which YAML can read."""
    return "\n---\n".join(map(json.dumps, found))


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
    longest = max(model.get("total_timeout_s", 600) for model in definitions(found)["models"].values())

    serving = [pod for pod in pods(found) if "http" in {port["name"] for port in pod["containers"][0]["ports"]}]
    assert serving
    for pod in serving:
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
    toml = definitions(manifests(MINIMAL))

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

    toml = definitions(manifests(MINIMAL, values))

    assert toml["prices"] == written


@EVERY
def test_a_service_sends_to_ports_that_its_pods_have(values: Path):
    found = manifests(values)
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
    single = one(manifests(MINIMAL, words=words), "NetworkPolicy")["spec"]

    ports = {port["port"] for rule in single["egress"] for port in rule["ports"]}
    assert ports == {53, 443, 8000, 80}
    assert single["policyTypes"] == ["Ingress", "Egress"]


def wall(found: list[Manifest], part: str) -> dict[str, Any]:
    return one(found, "NetworkPolicy", f"demo-turnout-{part}")["spec"]


def test_the_walls_of_a_fleet_let_gateways_out_to_upstreams_and_all_to_redis_and_the_lake():
    sentinels = r"redis+sentinel://sentinel-0.stores\,sentinel-1.stores:26380/main"
    lake = "config.lake.url=s3://acme/lake,config.lake.endpoint_url=https://minio.stores:9000"
    outside = manifests(MINIMAL, words=("--set", f"mode=fleet,redis.url={sentinels},{lake}"))

    def ports(part: str) -> set[int]:
        return {port["port"] for rule in wall(outside, part)["egress"] for port in rule["ports"]}

    assert ports("gateway") == {53, 443, 9000, 26380, 6379}
    assert ports("console") == {53, 9000, 26380, 6379}


def test_metrics_are_nobodys_until_they_are_wanted():
    found = manifests(MINIMAL)

    assert definitions(found)["server"]["metrics_host"] == "127.0.0.1"
    assert not [each for each in found if each["kind"] == "ServiceMonitor"]
    assert not [each for each in found if each["metadata"]["name"].endswith("-metrics")]
    assert all("metrics" not in json.dumps(each["ports"]) for each in containers(found))


@pytest.mark.parametrize(("mode", "part"), [("minimal", "single"), ("external", "gateway")])
def test_whoever_may_scrape_reaches_the_metrics_of_each_gateway_and_of_nothing_else(mode: str, part: str):
    words = ("--set", "metrics.enabled=true,metrics.serviceMonitor.enabled=true")
    found = manifests(MINIMAL.with_name(f"{mode}.yaml"), words=words)

    service, monitor = one(found, "Service", "demo-turnout-metrics"), one(found, "ServiceMonitor")
    assert service["spec"]["selector"]["app.kubernetes.io/component"] == part
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"] == [{"port": "metrics", "interval": "30s"}]
    walls = [each["spec"] for each in found if each["kind"] == "NetworkPolicy"]
    open_to = [rule["from"] for spec in walls for rule in spec["ingress"] if rule["ports"][0]["port"] == "metrics"]
    assert open_to == [[{"podSelector": {}}]]


def test_the_wall_lets_gateways_out_to_the_backend_of_telemetry():
    url = "config.telemetry.otlp_url=http://collector.monitoring:4318"
    single = one(manifests(MINIMAL, words=("--set", url)), "NetworkPolicy")["spec"]

    assert 4318 in {port["port"] for rule in single["egress"] for port in rule["ports"]}


def test_the_wall_of_the_bundled_redis_lets_in_the_fleet_and_nobody_out():
    inside = wall(manifests(MINIMAL.with_name("bundled.yaml")), "redis")

    [rule] = inside["ingress"]
    let_in = {each["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for each in rule["from"]}
    assert let_in == {"gateway", "console"}
    assert inside["egress"] == []


def test_a_gateway_of_a_fleet_gets_no_definitions_and_no_name_but_its_own():
    found = manifests(MINIMAL.with_name("external.yaml"))

    gateway = tomllib.loads(one(found, "ConfigMap", "demo-turnout-gateway")["data"]["turnout.toml"])
    assert gateway.keys() == {"server", "lake", "redis"}
    assert gateway["redis"] == {
        "url": "rediss://redis.stores:6380/0",
        "username": "tn-gateway",
        "password": {"env": "REDIS_PASSWORD"},
        "gateways": 2,
        "ca_file": "/run/secrets/redis-ca/ca.crt",
    }
    assert definitions(found)["redis"]["username"] == "tn-console"


@pytest.mark.parametrize(
    ("changes", "gateways"),
    [
        ([], 2),
        (["gateway.replicas=5"], 5),
        (["gateway.autoscaling.enabled=true"], 10),
        (["config.redis.gateways=7", "gateway.replicas=5"], 7),
    ],
)
def test_a_fleet_knows_how_many_gateways_it_may_have(changes: list[str], gateways: int):
    words = tuple(word for each in changes for word in ("--set", each))
    found = manifests(MINIMAL.with_name("external.yaml"), words=words)

    written = tomllib.loads(one(found, "ConfigMap", "demo-turnout-gateway")["data"]["turnout.toml"])
    assert written["redis"]["gateways"] == gateways


def test_gateways_are_replaced_one_by_one_and_the_console_never_runs_twice():
    found = manifests(MINIMAL.with_name("bundled.yaml"))

    gateway = one(found, "Deployment", "demo-turnout-gateway")["spec"]
    assert gateway["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    console = one(found, "StatefulSet")
    assert console["metadata"]["name"] == "demo-turnout-console"
    assert console["spec"]["replicas"] == 1


def test_the_number_of_gateways_is_the_autoscalers_where_there_is_one():
    found = manifests(MINIMAL.with_name("everything.yaml"))

    assert "replicas" not in one(found, "Deployment", "demo-llm-gateway")["spec"]
    assert one(found, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == "demo-llm-gateway"


def test_the_notes_name_the_next_commands():
    words = ("--values", str(MINIMAL), "--dry-run=client", "--namespace", NAMESPACE)
    done = helm("install", "demo", str(CHART), *words)

    assert done.returncode == 0, done.stderr
    notes = done.stdout.split("NOTES:")[1]
    assert f"kubectl rollout status --namespace {NAMESPACE}" in notes
    assert "turnout rollout set sales-companion 10" in notes
