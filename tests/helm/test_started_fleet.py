"""A fleet as the chart renders it, started: the bundled Redis, the console and a gateway, as real processes."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.retry import Retry

from rollout.lease import Ask
from rollout.stores.redis_address import RedisAccess, parse_redis_url
from rollout.stores.redis_limits import RedisLeases
from tests.acceptance.harness import SIMULATED, simulating, until
from tests.fakes.plain import PLAIN
from tests.fakes.redis_server import valkey
from tests.helm.chart import MINIMAL, manifests, one
from tests.helm.pod import SECRETS, Cluster, Running, started, variables

BUNDLED = MINIMAL.with_name("bundled.yaml")
SMALL = ("--set", "gateway.workers=1")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run the command of the bundled Redis on a port and in a folder of its own; return the port."""
    folder = tmp_path_factory.mktemp("redis")
    [container] = one(manifests(BUNDLED), "Deployment", "demo-turnout-redis")["spec"]["template"]["spec"]["containers"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = container["command"][-1].replace("--dir /data", f"--dir {folder}").replace("/data/", f"{folder}/")
    script = script.replace("--port 6379", f"--port {port} --bind 127.0.0.1")
    environment = {"PATH": f"{valkey().parent}:{os.environ['PATH']}", **variables(container, {})}
    with (folder / "log").open("wb") as log:
        words = [*container["command"][:-1], script]
        process = subprocess.Popen(words, env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        until(lambda: is_up(port), "the bundled Redis answers")
        yield port
    finally:
        process.kill()
        process.wait()


@contextmanager
def client(port: int, part: str) -> Iterator[Redis]:
    password = SECRETS[f"{part}-password"]
    with Redis(host="127.0.0.1", port=port, username=part, password=password, protocol=2) as connected:
        yield connected


def patient(port: int, part: str) -> RedisAccess:
    address = parse_redis_url(f"redis://127.0.0.1:{port}")
    return RedisAccess(address=address, username=part, password=SECRETS[f"{part}-password"], timeout_s=15.0)


def is_up(port: int) -> bool:
    try:
        with client(port, "console") as connected:
            return bool(connected.ping())
    except RedisError:
        return False


def arm(pod: Running, key: str) -> str | None:
    """Ask a gateway as an application does, and return which arm answered."""
    body = {"model": "sales-companion", "user": "alice", "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {key}"}
    url = f"{pod.told['gateway']}/v1/chat/completions"
    answer = httpx.post(url, json=body, headers=headers, trust_env=False, verify=PLAIN, timeout=30)
    return answer.headers.get("x-turnout-arm")


def set_percent(console: Running, percent: float) -> None:
    headers = {"authorization": f"Bearer {console.first_keys()['admin']}"}
    url = f"{console.told['console']}/api/v1/rollouts/sales-companion"
    with httpx.Client(headers=headers, trust_env=False, verify=PLAIN, timeout=30) as asking:
        version = asking.get(url).raise_for_status().json()["version"]
        asking.put(f"{url}/percent", json={"percent": percent, "version": version}).raise_for_status()


def test_a_fleet_starts_answers_its_probes_and_follows_its_console(port: int, tmp_path: Path):
    behaviour = SIMULATED["base"].splitlines()[1:]
    models = "".join("\n".join([f'[models."{name}"]', *behaviour, ""]) for name in ("base", "tuned"))
    found = manifests(BUNDLED, words=SMALL)
    with simulating(tmp_path / "models.toml", models) as upstream:
        here = {
            "http://vllm.models:8000/v1": upstream.base_url,
            "redis://demo-turnout-redis:6379": f"redis://127.0.0.1:{port}",
        }
        cluster = Cluster(folder=tmp_path, manifests=found, addresses=here)
        with (
            started(cluster, one(found, "StatefulSet"), "console-0") as console,
            started(cluster, one(found, "Deployment", "demo-turnout-gateway"), "gateway-a") as gateway,
        ):
            console.wait_for_probes()
            gateway.wait_for_probes()
            key = console.first_keys()["application"]
            assert arm(gateway, key) == "base"
            set_percent(console, 100)
            until(lambda: arm(gateway, key) == "candidate", "the gateway decides by 100 percent")

    assert (tmp_path / "claims/demo-turnout-lake").is_dir()
    assert list((tmp_path / "claims/demo-turnout-lake").rglob("*.parquet"))


def test_in_the_bundled_redis_a_gateway_reads_snapshots_and_writes_limits_alone(port: int):
    with client(port, "gateway") as gateway:
        with client(port, "console") as console:
            console.set("turnout:snapshot", b"sealed")
            assert console.set("turnout:snapshot:console", b"", px=1)
        assert gateway.get("turnout:snapshot") == b"sealed"
        leases = RedisLeases(patient(port, "gateway"))
        with closing(leases):
            assert leases.settle("a", [Ask(kind="slots", name="web", limit=5, has=2)]).answers[0].granted == 2
        for forbidden in (
            ("SET", "turnout:snapshot", "forged"),
            ("DEL", "turnout:snapshot"),
            ("SET", "turnout:snapshot:console", "{}"),
            ("GET", "turnout:snapshot:console"),
            ("SET", "other", "1"),
            ("FLUSHALL",),
            ("CONFIG", "GET", "*"),
            ("ACL", "LIST"),
            ("INFO",),
            ("SHUTDOWN",),
        ):
            with pytest.raises(NoPermissionError):
                gateway.execute_command(*forbidden)


def test_the_bundled_redis_lets_nobody_in_without_a_password(port: int):
    with Redis(host="127.0.0.1", port=port, protocol=2, retry=Retry(NoBackoff(), 0)) as stranger:
        assert refused(stranger)


def refused(stranger: Redis) -> bool:
    try:
        return not stranger.ping()
    except AuthenticationError:
        return True
