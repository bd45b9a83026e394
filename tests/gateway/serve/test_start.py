from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.console.installation import master_keys, open_installation
from gateway.serve.start import Host, Options, StartError, prepare
from gateway.settings.last_good import LastGood
from gateway.settings.load import load
from gateway.settings.problem import SettingsError
from gateway.settings.secrets import SecretError
from gateway.settings.snapshot import unseal
from rollout.stores.ledger import LEDGER_FILE
from tests.fakes import configuration

CONFIG = (
    """
[server]
port = 0
console_port = 0
metrics_port = 0
workers = 3
"""
    + configuration.CONFIG
)
KEYED = CONFIG.replace(':9/v1"', ':9/v1"\napi_key = { env = "UPSTREAM_KEY" }')


def prepared(folder: Path, *, config: str = CONFIG, environment: Mapping[str, str] | None = None, **more: Any) -> Host:
    path = folder / "turnout.toml"
    path.write_text(config)
    options = {"config": path, "state_dir": folder / "state", **more}
    return prepare(Options(**options), environment or {})


def refused(folder: Path, **more: Any) -> str:
    with pytest.raises(StartError) as refusal:
        prepared(folder, **more)
    message = str(refusal.value)
    assert "\n" not in message
    return message


def listens(address: str) -> bool:
    target = urlsplit(address)
    with socket.socket(socket.AF_INET6 if ":" in (target.hostname or "") else socket.AF_INET) as caller:
        caller.settimeout(5)
        return caller.connect_ex((target.hostname, target.port)) == 0


def keep_last_good(folder: Path) -> None:
    """Keep the ledger's snapshot as a worker does."""
    state_dir = folder / "state"
    with closing(open_installation(state_dir, load(folder / "turnout.toml"), {})) as one:
        sealed = one.ledger.sealed()
    assert sealed is not None
    (state_dir / "run").mkdir()
    key = master_keys(state_dir, {}, create=False).snapshot
    LastGood(state_dir / "run", "worker-0", partial(unseal, signing_key=key)).keep(sealed)


def damage_ledger(folder: Path) -> None:
    (folder / "state" / LEDGER_FILE).write_bytes(b"not a ledger" * 1000)


def test_a_prepared_host_listens_where_its_addresses_say(tmp_path: Path):
    with closing(prepared(tmp_path)) as host:
        written = json.loads((tmp_path / "state/addresses.json").read_text())

        addresses = host.addresses
        told = {"gateway": addresses.gateway, "console": addresses.console, "metrics": addresses.metrics}
        assert written == {**told, "simulated": []}
        assert listens(host.addresses.gateway)
        assert listens(host.addresses.console)
        assert host.trouble is None
    assert not listens(host.addresses.gateway)


def test_the_first_start_writes_an_admin_and_an_application_key_for_the_owner_alone(tmp_path: Path):
    with closing(prepared(tmp_path)) as host:
        keys = host.first_keys()

    assert {name: key.split("_")[:2] for name, key in keys.items()} == {
        "admin": ["tn", "admin"],
        "application": ["tn", "app"],
    }
    lines = [line.split() for line in (tmp_path / "state/first-keys").read_text().splitlines()]
    assert lines == [["admin", keys["admin"]], ["application", keys["application"], "default"]]
    assert stat.S_IMODE((tmp_path / "state/first-keys").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_second_start_makes_no_more_keys(tmp_path: Path):
    prepared(tmp_path).close()
    (tmp_path / "state/first-keys").unlink()

    with closing(prepared(tmp_path)) as host:
        assert host.first_keys() == {}
    assert not (tmp_path / "state/first-keys").exists()


def test_a_state_directory_may_lie_deep_and_be_named_relatively(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    with closing(prepared(tmp_path, state_dir=Path("a/b/state"))) as host:
        assert host.state_dir == tmp_path / "a/b/state"
    assert (tmp_path / "a/b/state/addresses.json").exists()


def test_the_command_line_goes_before_the_file(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]

    with closing(prepared(tmp_path, port=port, host="localhost", workers=1)) as host:
        assert host.addresses.gateway == f"http://127.0.0.1:{port}"
        assert listens(host.addresses.console)


def test_an_address_for_everybody_is_told_as_one_that_can_be_called(tmp_path: Path):
    with closing(prepared(tmp_path, host="0.0.0.0")) as host:
        assert host.addresses.gateway.startswith("http://127.0.0.1:")
        assert listens(host.addresses.gateway)


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python knows no IPv6")
@pytest.mark.parametrize("address", ["::", "::1"])
def test_an_address_of_ipv6_stands_in_brackets(tmp_path: Path, address: str):
    with socket.socket(socket.AF_INET6) as tried:
        try:
            tried.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")

    with closing(prepared(tmp_path, host=address)) as host:
        assert host.addresses.gateway.startswith("http://[::1]:")
        assert listens(host.addresses.gateway)


def test_the_demonstration_needs_no_file_and_binds_two_simulated_servers(tmp_path: Path):
    options = Options(
        config=tmp_path / "missing.toml",
        state_dir=tmp_path / "state",
        demo=True,
        port=0,
        console_port=0,
        metrics_port=0,
    )

    with closing(prepare(options, {})) as host:
        simulated = [upstream.base_url for upstream in load(tmp_path / "state/demo.toml").upstreams.values()]

        assert [f"{address}/v1" for address in host.addresses.simulated] == simulated
        assert all(listens(address) for address in simulated)
        assert host.notes == []
    assert (tmp_path / "state/demo-base.toml").exists()
    assert (tmp_path / "state/demo-candidate.toml").exists()


def test_a_metrics_port_in_use_is_said_and_everything_else_starts(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with closing(prepared(tmp_path, metrics_port=port)) as host:
            written = json.loads((tmp_path / "state/addresses.json").read_text())

            assert "metrics" not in written
            assert listens(host.addresses.gateway)
    (note,) = host.notes
    assert note.startswith(f"/metrics is not served: cannot listen on '127.0.0.1' port {port}: Address already in use")


@pytest.mark.parametrize("key", ["port", "console_port"])
def test_a_port_in_use_is_refused_with_its_number(tmp_path: Path, key: str):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refused(tmp_path, **{key: port})

    assert message.startswith(f"cannot listen on '127.0.0.1' port {port}: Address already in use; choose another")


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1", "\udcff", "[::1]"])
def test_an_address_that_is_not_this_machines_is_refused(tmp_path: Path, host: str):
    assert refused(tmp_path, host=host).startswith(f"cannot listen on {host!r} port 0: ")


def test_a_second_host_on_one_state_directory_is_refused(tmp_path: Path):
    with closing(prepared(tmp_path)):
        message = refused(tmp_path)

    assert message == (f"another `turnout serve` runs on {tmp_path / 'state'}; stop it, or choose another --state-dir")
    prepared(tmp_path).close()


def test_a_state_directory_that_another_console_writes_is_refused(tmp_path: Path):
    prepared(tmp_path).close()
    definitions = load(tmp_path / "turnout.toml")

    with closing(open_installation(tmp_path / "state", definitions, {})):
        assert "another process is the writer of the ledger" in refused(tmp_path)


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_state_directory_that_cannot_be_one_is_refused(tmp_path: Path, place: str):
    (tmp_path / "file").write_text("a file")
    message = refused(tmp_path, state_dir=tmp_path / place)

    assert message.startswith(f"the state directory {tmp_path / place} cannot be used: ")
    assert message.endswith("; choose another --state-dir")


def test_a_state_directory_that_cannot_be_written_is_refused(tmp_path: Path):
    (tmp_path / "state/.addresses.json.draft").mkdir(parents=True)

    message = refused(tmp_path)

    assert message.startswith(f"{tmp_path / 'state/addresses.json'} cannot be written: ")


def test_keys_that_cannot_be_written_down_are_not_made(tmp_path: Path):
    (tmp_path / "state/.first-keys.draft").mkdir(parents=True)
    assert "first-keys cannot be written" in refused(tmp_path)

    (tmp_path / "state/.first-keys.draft").rmdir()
    with closing(prepared(tmp_path)) as host:
        assert set(host.first_keys()) == {"admin", "application"}


def test_a_missing_configuration_is_refused_before_anything_is_made(tmp_path: Path):
    options = Options(config=tmp_path / "missing.toml", state_dir=tmp_path / "state")

    with pytest.raises(SettingsError, match="there is no such file"):
        prepare(options, {})
    assert not (tmp_path / "state" / LEDGER_FILE).exists()


def test_a_configuration_that_contradicts_itself_is_refused(tmp_path: Path):
    with pytest.raises(SettingsError, match="tuned"):
        prepared(tmp_path, config=CONFIG.replace("[models.tuned]", "[models.other]"))


def test_an_unset_secret_is_refused_by_its_place_and_name(tmp_path: Path):
    with pytest.raises((StartError, SettingsError)) as refusal:
        prepared(tmp_path, config=KEYED)

    assert "upstreams.openai.api_key" in str(refusal.value)
    assert "UPSTREAM_KEY" in str(refusal.value)


def test_an_unusable_secret_is_refused_without_its_value_and_a_good_one_taken(tmp_path: Path):
    message = refused(tmp_path, config=KEYED, environment={"UPSTREAM_KEY": "hunter2 with spaces"})

    assert message.startswith("upstreams.openai.api_key: environment variable UPSTREAM_KEY")
    assert "hunter2" not in message
    prepared(tmp_path, config=KEYED, environment={"UPSTREAM_KEY": "sk-x"}).close()


def test_a_short_master_secret_is_refused(tmp_path: Path):
    with pytest.raises(SecretError, match="TURNOUT_SECRET has 5 bytes"):
        prepared(tmp_path, environment={"TURNOUT_SECRET": "short"})


def test_a_damaged_ledger_without_a_last_good_snapshot_is_refused(tmp_path: Path):
    prepared(tmp_path).close()
    damage_ledger(tmp_path)

    assert "is not a Turnout ledger; move it away and start again" in refused(tmp_path)


def test_a_damaged_ledger_beside_a_last_good_snapshot_lets_the_host_serve(tmp_path: Path):
    prepared(tmp_path).close()
    keep_last_good(tmp_path)
    damage_ledger(tmp_path)

    with closing(prepared(tmp_path)) as host:
        assert host.trouble is not None
        assert "is not a Turnout ledger" in host.trouble
        assert set(host.first_keys()) == {"admin", "application"}


def test_a_snapshot_that_nobody_can_read_does_not_stand_in_for_the_ledger(tmp_path: Path):
    prepared(tmp_path).close()
    keep_last_good(tmp_path)
    damage_ledger(tmp_path)
    (tmp_path / "state/run/worker-0.snapshot").write_bytes(b"damaged")

    assert "is not a Turnout ledger" in refused(tmp_path)


def test_a_ledger_made_anew_keeps_what_the_last_good_snapshot_held(tmp_path: Path):
    prepared(tmp_path).close()
    keep_last_good(tmp_path)
    (tmp_path / "state" / LEDGER_FILE).unlink()
    (tmp_path / "state/first-keys").unlink()

    with closing(prepared(tmp_path)) as host:
        assert host.trouble is None
        assert host.first_keys() == {}
        assert host.notes == ["the ledger was missing: it was rebuilt from the last good snapshot, without its history"]


def test_the_files_warnings_are_kept_for_whoever_starts_it(tmp_path: Path):
    unpriced = CONFIG + '\n[applications.web]\nuser_header = "x-user-id"\nuser_sources = ["user"]\n'

    with closing(prepared(tmp_path, config=unpriced)) as host:
        assert host.notes
        assert all(": warning: " in note for note in host.notes)


def test_an_old_copy_of_the_ledger_is_said(tmp_path: Path):
    prepared(tmp_path).close()
    old = (tmp_path / "state" / LEDGER_FILE).read_bytes()
    prepared(tmp_path, config=CONFIG + '\n[rollouts.second]\nbase = "gpt"\ncandidate = "tuned"\n').close()
    keep_last_good(tmp_path)
    (tmp_path / "state" / LEDGER_FILE).write_bytes(old)

    with closing(prepared(tmp_path)) as host:
        assert [note for note in host.notes if "older copy" in note]


def test_a_demonstrations_state_is_set_aside_for_a_real_configuration(tmp_path: Path):
    prepared(tmp_path, demo=True).close()
    played = (tmp_path / "state" / LEDGER_FILE).read_bytes()

    with closing(prepared(tmp_path)) as host:
        assert (tmp_path / "state-demo" / LEDGER_FILE).read_bytes() == played
        assert (tmp_path / "state" / LEDGER_FILE).read_bytes() != played
        assert str(tmp_path / "state-demo") in host.notes[-1]


def test_a_demonstration_is_not_played_on_a_real_installations_state(tmp_path: Path):
    prepared(tmp_path).close()

    with pytest.raises(StartError, match="is a real installation's state"):
        prepared(tmp_path, demo=True)


def test_the_lock_file_holds_the_process_id_for_whoever_sends_a_signal(tmp_path: Path):
    with closing(prepared(tmp_path)):
        assert (tmp_path / "state/serve.lock").read_text() == f"{os.getpid()}\n"


def test_without_a_running_host_there_is_nothing_to_take_over(tmp_path: Path):
    assert "start without --takeover" in refused(tmp_path, takeover=True)
    assert not (tmp_path / "state" / LEDGER_FILE).exists()


def test_the_demonstration_is_not_taken_over(tmp_path: Path):
    assert "without --takeover" in refused(tmp_path, takeover=True, demo=True)


def test_a_state_directory_too_deep_for_a_socket_only_loses_the_takeover(tmp_path: Path):
    deep = tmp_path / ("deep" * 25)

    with closing(prepared(tmp_path, state_dir=deep)) as host:
        assert listens(host.addresses.gateway)
