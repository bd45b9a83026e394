from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from gateway.serve.children import Family, cores
from gateway.serve.running import Child
from gateway.settings.schema import Application, Configuration, Lake, SecretRef, Server, Sql, Telemetry, Upstream
from rollout.notify.heartbeat import HEARTBEAT_FILE, write_sign

DEFINITIONS = Configuration(
    lake=Lake(seal_every_s=0.5),
    upstreams={"openai": Upstream(base_url="https://api.openai.com/v1", api_key=SecretRef(env="OPENAI_API_KEY"))},
    applications={"web": Application(accept=(SecretRef(env="WEB_KEY"),))},
)
SECRETS = {"OPENAI_API_KEY", "WEB_KEY"}
ENVIRONMENT = {
    **dict.fromkeys([*SECRETS, "TURNOUT_SECRET", "TURNOUT_KEY", "PATH", "UNRELATED"], "x"),
    **dict.fromkeys(["http_proxy", "HTTPS_PROXY", "all_proxy", "NO_PROXY", "TURNOUT_PROXY"], "http://proxy"),
}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        yield bound


def family(environment: Mapping[str, str] = ENVIRONMENT) -> Family:
    return Family(
        definitions=DEFINITIONS, environment=environment, state_dir=Path("/state"), config=Path("/etc/turnout.toml")
    )


def everyone(listener: socket.socket) -> Sequence[Child]:
    one = family()
    simulated = one.simulated("base", Path("/state/demo-base.toml"), listener)
    return [*one.workers(2, listener), one.shipper("/lake", listener), one.console(listener, "/lake"), simulated]


def words(child: Child) -> str:
    assert list(child.command[:2]) == [sys.executable, "-m"]
    return " ".join(child.command[2:])


def test_each_worker_has_a_name_and_all_share_one_socket(listener: socket.socket):
    workers = family().workers(2, listener)

    fd = listener.fileno()
    assert [worker.name for worker in workers] == ["worker-0", "worker-1"]
    said, _, server = words(workers[1]).partition(" --server ")
    assert said == "gateway.proxy --state-dir /state --workers 2"
    assert msgspec.json.decode(server.removesuffix(f" --fd {fd}"), type=Server) == Server()
    assert [worker.sockets for worker in workers] == [[fd], [fd]]


def test_workers_alone_are_replaced_by_a_rolling_restart(listener: socket.socket):
    assert [child.name for child in everyone(listener) if child.rolls] == ["worker-0", "worker-1"]


def test_without_a_count_there_is_a_worker_for_each_core(listener: socket.socket):
    assert len(family().workers(None, listener)) == cores()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process cannot be kept to some cores")
def test_only_the_cores_that_this_process_may_use_are_counted():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_the_shipper_serves_metrics_on_the_socket_that_it_inherits():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        shipper = family().shipper("/lake", listener)

        assert words(shipper).endswith(f" --metrics-fd {listener.fileno()}")
        assert shipper.sockets == [listener.fileno()]


def test_the_shipper_knows_its_lake_and_does_without_a_socket():
    shipper = family().shipper("/lake", None)

    assert words(shipper) == "analytics.lake --state-dir /state --lake /lake --seal-every-s 0.5 --log-level info"
    assert shipper.sockets == []


def test_the_lake_is_the_configured_one_or_lies_in_the_state_directory():
    one = family()
    elsewhere = msgspec.structs.replace(
        one, definitions=msgspec.structs.replace(one.definitions, lake=Lake(url="/mnt/lake"))
    )

    assert (one.lake, elsewhere.lake) == ("/state/lake", "/mnt/lake")


def test_the_console_knows_the_configuration_file_and_the_lake(listener: socket.socket):
    console = family().console(listener, "/lake")

    places = "--state-dir /state --config /etc/turnout.toml --lake /lake"
    sql = msgspec.json.encode(Sql()).decode()
    assert words(console) == f"gateway.console {places} --sql {sql} --fd {listener.fileno()}"
    assert console.sockets == [listener.fileno()]


def test_the_console_knows_how_long_the_lake_keeps_what_it_has(listener: socket.socket):
    kept = Family(
        definitions=Configuration(lake=Lake(retention_days=30)),
        environment={},
        state_dir=Path("/state"),
        config=Path("/etc/turnout.toml"),
    )

    assert "--lake /lake --retention-days 30 --sql" in words(kept.console(listener, "/lake"))


def test_a_simulated_server_knows_its_own_file_alone(listener: socket.socket):
    simulated = family().simulated("base", Path("/state/demo-base.toml"), listener)

    assert simulated.name == "simulated-base"
    assert words(simulated) == f"gateway.simulate --config /state/demo-base.toml --fd {listener.fileno()}"
    assert simulated.sockets == [listener.fileno()]


def test_workers_end_first_and_simulated_servers_last(listener: socket.socket):
    ended = sorted(everyone(listener), key=lambda child: child.turn)

    assert [child.name for child in ended] == ["worker-0", "worker-1", "shipper", "console", "simulated-base"]
    assert len({child.turn for child in ended}) == 4


def test_a_worker_may_take_longer_to_end_than_the_longest_default_timeout(listener: socket.socket):
    assert family().workers(1, listener)[0].grace_s > 600


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("worker-0", {*SECRETS, "TURNOUT_SECRET"}),
        ("console", {"TURNOUT_SECRET"}),
        ("shipper", set[str]()),
        ("simulated-base", set[str]()),
    ],
)
def test_each_process_gets_the_secrets_that_it_works_with_and_no_others(
    listener: socket.socket, name: str, known: set[str]
):
    (child,) = [one for one in everyone(listener) if one.name == name]

    assert set(child.environment) == {"PATH", *known}


def test_where_spans_are_pushed_the_shipper_alone_gets_the_credential_and_workers_begin_traces(listener: socket.socket):
    headers = {"authorization": SecretRef(env="OTLP")}
    telemetry = Telemetry(otlp_url="http://127.0.0.1:4318", otlp_headers=headers, sample=0.5)
    environment = {**ENVIRONMENT, "OTLP": "canary"}
    one = replace(family(environment), definitions=replace(DEFINITIONS, telemetry=telemetry))
    (worker,), (member,) = one.workers(1, listener), one.workers(1, listener, is_fleet=True)
    shipper, console = one.shipper("/lake", None), one.console(listener, "/lake")

    assert '--otlp {"url":"http://127.0.0.1:4318","slow_s":10.0,"metrics_every_s":60.0}' in words(shipper)
    assert shipper.environment["OTEL_EXPORTER_OTLP_HEADERS"] == "authorization=Bearer%20canary"
    assert "--trace-share 0.5" in words(worker)
    for other in (worker, member, console):
        assert not [name for name, value in other.environment.items() if "canary" in value]
    assert not [child for child in (worker, member, console, shipper) if "canary" in words(child)]


def test_no_process_gets_a_proxy_or_an_operators_key(listener: socket.socket):
    for child in everyone(listener):
        assert not [name for name in child.environment if name.lower().endswith("_proxy") or name == "TURNOUT_KEY"]


def test_a_silent_controller_is_told_of_with_what_the_console_knows(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write_sign(tmp_path / "run" / HEARTBEAT_FILE, "41")
    with ExitStack() as held:
        replace(family(), state_dir=tmp_path).watch(held)()

    assert not caplog.records
