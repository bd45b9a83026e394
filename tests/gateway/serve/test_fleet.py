from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from gateway.console.installation import master_keys
from gateway.serve.children import Family
from gateway.serve.fleet import Part, Ports, children_of, load_for, remember
from gateway.serve.start import Host, Options, StartError, prepare
from gateway.settings.last_good import LAKE_COPY, LAKE_FOLDER, LastGood
from gateway.settings.problem import SettingsError
from gateway.settings.schema import Configuration, Lake, Redis
from gateway.settings.snapshot import Snapshot, unseal
from rollout.stores.ledger import LEDGER_FILE
from rollout.stores.reader import SnapshotReader
from tests.fakes import configuration
from tests.fakes.object_server import KEY, Bucket, serving_objects
from tests.fakes.object_server import SECRET as KEY_SECRET
from tests.fakes.redis_server import RedisServer, redis_server

SECRET = {"TURNOUT_SECRET": "a secret of the tests, long enough for them"}
PROCESS = """
[server]
port = 0
console_port = 0
metrics_port = 0
workers = 2

[lake]
url = "LAKE"
"""
REDIS = """
[redis]
url = "URL"
"""
NOWHERE = "redis://127.0.0.1:1"


def prepared(
    folder: Path, role: Part, text: str, *, url: str = NOWHERE, environment: Any = SECRET, **more: Any
) -> Host:
    folder.mkdir(exist_ok=True)
    path = folder / "turnout.toml"
    path.write_text(text.replace("LAKE", str(folder.parent / "lake")).replace("URL", url))
    options: dict[str, Any] = {"config": path, "state_dir": folder / "state", "role": role, **more}
    return prepare(Options(**options), environment)


def refused(folder: Path, role: Part, text: str, **more: Any) -> str:
    with pytest.raises(StartError) as refusal:
        prepared(folder, role, text, **more)
    return str(refusal.value)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        yield bound


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("all", ["worker-0", "worker-1", "shipper", "console"]),
        ("gateway", ["worker-0", "worker-1", "shipper"]),
        ("console", ["console"]),
    ],
)
def test_each_part_runs_its_own_processes_and_those_of_a_fleet_know_of_redis(
    listener: socket.socket, role: Part, names: list[str]
):
    definitions = Configuration(redis=Redis(url=NOWHERE), lake=Lake(url="/lake"))
    family = Family(
        definitions=definitions, environment={"ANY": "x"}, state_dir=Path("/state"), config=Path("/etc/turnout.toml")
    )

    ports = Ports(listener if role != "console" else None, listener if role != "gateway" else None, None)
    children = children_of(role, family, 2, ports)

    assert [child.name for child in children] == names
    told = {child.name for child in children if "--redis" in child.command}
    fleet = {"worker-0", "worker-1"} if role == "gateway" else set[str]()
    assert told == set(names) - {"shipper"}
    assert {child.name for child in children if child.turn == 0 and "--lake" in child.command} == fleet
    assert {child.name for child in children if "ANY" in child.environment} == fleet


def test_a_gateway_runs_workers_and_a_shipper_without_definitions_and_without_a_ledger(tmp_path: Path):
    with closing(prepared(tmp_path / "a", "gateway", PROCESS + REDIS)) as host:
        written = json.loads((tmp_path / "a/state/addresses.json").read_text())

        assert written == {"gateway": host.addresses.gateway, "metrics": host.addresses.metrics, "simulated": []}
    assert not (tmp_path / "a/state" / LEDGER_FILE).exists()


def test_a_console_runs_alone(tmp_path: Path):
    with closing(prepared(tmp_path / "a", "console", PROCESS + REDIS + configuration.CONFIG)) as host:
        assert (host.addresses.gateway, host.trouble) == ("", None)
    assert (tmp_path / "a/state/first-keys").exists()


@pytest.mark.parametrize("role", ["gateway", "console"])
def test_a_part_of_a_fleet_needs_redis(tmp_path: Path, role: Part):
    assert "write [redis] with url" in refused(tmp_path / "a", role, PROCESS + configuration.CONFIG)


def test_a_gateway_makes_no_master_secret(tmp_path: Path):
    said = refused(tmp_path / "a", "gateway", PROCESS + REDIS, environment={})

    assert "a gateway needs the master secret of its fleet: none was given to this host; give it the console's" in said
    assert not (tmp_path / "a/state/secret").exists()


@pytest.mark.parametrize(
    ("role", "more", "remedy"),
    [
        ("gateway", {"takeover": True}, "send SIGHUP to a gateway's `turnout serve`"),
        ("console", {"takeover": True}, "stop this console and start it again"),
        ("gateway", {"demo": True}, "leave one of them out"),
    ],
)
def test_a_part_is_neither_taken_over_nor_a_demonstration_and_is_told_what_instead(
    tmp_path: Path, role: Part, more: dict[str, bool], remedy: str
):
    assert remedy in refused(tmp_path / "a", role, PROCESS + REDIS, **more)


def test_a_gateway_refuses_what_it_reads_of_its_file_and_nothing_else(tmp_path: Path):
    contradicting = '[models.gpt]\nupstream = "nobody"\n'
    prepared(tmp_path / "a", "gateway", PROCESS + REDIS + contradicting).close()

    with pytest.raises(SettingsError, match="no scheme"):
        prepared(tmp_path / "b", "gateway", PROCESS + REDIS, url="http://cache")


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


def test_a_console_that_lost_its_disk_comes_back_with_what_the_lake_has(tmp_path: Path):
    text = PROCESS + REDIS + configuration.CONFIG
    prepared(tmp_path / "a", "console", text).close()
    first = _kept(tmp_path / "a/state")
    (tmp_path / "lake" / LAKE_FOLDER).mkdir(parents=True, exist_ok=True)
    LastGood(tmp_path / "lake" / LAKE_FOLDER, "console", _open).keep(first)

    with closing(prepared(tmp_path / "b", "console", text)) as host:
        assert any("rebuilt from the last good snapshot" in note for note in host.notes)
    assert _ids(_kept(tmp_path / "b/state")) == _ids(first)


def test_a_console_that_lost_its_disk_comes_back_with_what_redis_has(tmp_path: Path, redis: RedisServer):
    text = PROCESS + REDIS + configuration.CONFIG
    prepared(tmp_path / "a", "console", text, url=redis.url).close()
    first = _kept(tmp_path / "a/state")
    redis.ask("SET", "turnout:snapshot", first)

    prepared(tmp_path / "b", "console", text, url=redis.url).close()

    assert _ids(_kept(tmp_path / "b/state")) == _ids(first)


FAR = """[lake]
url = "s3://BUCKET/lake"
endpoint_url = "http://127.0.0.1:PORT"
region = "us-east-1"
access_key_id = { env = "OPENS_ID" }
secret_access_key = { env = "OPENS_SECRET" }
"""
OPENING = {"OPENS_ID": KEY, "OPENS_SECRET": KEY_SECRET}


def in_a_bucket(bucket: str, port: int) -> str:
    text = PROCESS.partition("[lake]")[0] + FAR.replace("BUCKET", bucket).replace("PORT", str(port))
    return text + REDIS + configuration.CONFIG


def test_a_console_that_lost_its_disk_comes_back_with_what_a_bucket_has(tmp_path: Path):
    with serving_objects() as port:
        bucket = Bucket(f"t-{uuid4()}", port)
        bucket.ask("PUT")
        text, environment = in_a_bucket(bucket.name, port), SECRET | OPENING
        prepared(tmp_path / "a", "console", text, environment=environment).close()
        first = _kept(tmp_path / "a/state")
        bucket.ask("PUT", f"/lake/{LAKE_COPY}", first)

        prepared(tmp_path / "b", "console", text, environment=environment).close()

    assert _ids(_kept(tmp_path / "b/state")) == _ids(first)


def test_a_console_starts_without_its_bucket_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        text = in_a_bucket("bucket", unused.getsockname()[1])
    with caplog.at_level(logging.WARNING):
        prepared(tmp_path / "a", "console", text, environment=SECRET | OPENING).close()

    [line] = [one for one in caplog.records if "copy of the snapshot in the lake" in one.message]
    assert "the object store does not give or take s3://bucket/lake" in str(vars(line)["reason"])
    assert KEY_SECRET not in str(vars(line))


def test_a_bucket_that_hangs_is_not_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with socket.create_server(("127.0.0.1", 0)) as deaf, caplog.at_level(logging.WARNING):
        text = in_a_bucket("bucket", deaf.getsockname()[1])
        family = Family(
            definitions=load_for("console", written(tmp_path, text), set(SECRET | OPENING))[0],
            environment=SECRET | OPENING,
            state_dir=tmp_path,
            config=tmp_path,
        )
        remember(family, patience_s=1.0)

    assert any("did not answer within 1 s" in str(vars(one).get("reason")) for one in caplog.records)


def written(folder: Path, text: str) -> Path:
    (folder / "turnout.toml").write_text(text.replace("URL", NOWHERE))
    return folder / "turnout.toml"


@pytest.mark.parametrize(("role", "fetches"), [("gateway", True), ("all", False)])
def test_a_gateways_shipper_brings_the_copy_to_where_its_workers_look(
    listener: socket.socket, role: Part, *, fetches: bool
):
    definitions = Configuration(redis=Redis(url=NOWHERE), lake=Lake(url="s3://bucket/lake"))
    family = Family(definitions=definitions, environment={}, state_dir=Path("/state"), config=Path("/turnout.toml"))

    shipper, worker = (
        next(
            one.command
            for one in children_of(role, family, 1, Ports(listener, None, None))
            if one.name.startswith(name)
        )
        for name in ("shipper", "worker")
    )

    assert (shipper[-4:] == ["--fetch", LAKE_COPY, "--into", "/state/run/lake"]) == fetches
    assert ("/state/run/lake" in worker) == fetches


def test_what_was_brought_in_an_earlier_life_is_forgotten(tmp_path: Path):
    old = tmp_path / "a/state/run/lake" / LAKE_COPY
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")

    prepared(tmp_path / "a", "gateway", PROCESS + REDIS).close()

    assert not old.exists()


def _open(sealed: bytes) -> Snapshot:
    return unseal(sealed, master_keys(Path("/nowhere"), SECRET, create=False).snapshot)


def _ids(sealed: bytes) -> set[str]:
    """Return what keys a snapshot knows."""
    return {key.id for key in _open(sealed).keys}


def _kept(state_dir: Path) -> bytes:
    """Return what the ledger of a state directory says."""
    with closing(SnapshotReader(state_dir / LEDGER_FILE)) as reader:
        sealed = reader.poll()
    assert sealed is not None
    return sealed
