from __future__ import annotations

import argparse
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli import Abort
from gateway.cli.client import reach
from gateway.cli.console import Console
from gateway.settings.environment import KEY_VARIABLE, URL_VARIABLE
from tests.fakes.console import SALES, RunningConsole, opened, serving


@pytest.fixture
def console(tmp_path: Path) -> Iterator[RunningConsole]:
    with opened(tmp_path) as control, serving(control) as running:
        (tmp_path / "addresses.json").write_text(f'{{"console": "{running.url}"}}')
        (tmp_path / "first-keys").write_text(f"admin {running.keys.admin}\napp {running.keys.app}\n")
        yield running


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


def asked(state_dir: Path | None, *, direct: bool = False) -> argparse.Namespace:
    return argparse.Namespace(state_dir=state_dir, direct=direct)


def answering(content: bytes) -> Iterator[str]:
    """Serve one fixed answer to one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(content)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def test_address_and_key_are_found_in_the_state_directory(tmp_path: Path, console: RunningConsole):
    with reach(asked(tmp_path)) as reached:
        assert [view.name for view in reached.list_rollouts()] == [SALES]
        assert reached.running_query("nothing") is None


def test_variables_come_first(tmp_path: Path, console: RunningConsole, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(URL_VARIABLE, console.url)
    monkeypatch.setenv(KEY_VARIABLE, console.key("analyst"))
    with reach(asked(tmp_path / "nowhere")) as reached:
        assert reached.show(SALES).salt is None
        with pytest.raises(Abort, match="a key of role analyst may not do this; it is for: admin, ops"):
            reached.set_percent(SALES, "10", 1, "")


def test_a_key_found_here_is_never_sent_to_an_address_from_elsewhere(
    tmp_path: Path, console: RunningConsole, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(URL_VARIABLE, "http://127.0.0.1:9")
    with pytest.raises(Abort, match="is set without TURNOUT_KEY"), reach(asked(tmp_path)):
        pass


def test_proxies_of_the_environment_are_not_used(
    tmp_path: Path, console: RunningConsole, monkeypatch: pytest.MonkeyPatch
):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with reach(asked(tmp_path)) as reached:
        assert reached.list_rollouts()


@pytest.mark.parametrize("addresses", [None, "", "[]", "{}", "\x00"])
def test_without_an_address_the_remedies_are_named(tmp_path: Path, addresses: str | None):
    (tmp_path / "first-keys").write_text("admin tn_admin_x_y\n")
    if addresses is not None:
        (tmp_path / "addresses.json").write_text(addresses)
    with pytest.raises(Abort, match=r"no console is known: .* or set TURNOUT_URL"), reach(asked(tmp_path)):
        pass


@pytest.mark.parametrize("keys", [None, "", "app tn_app_x_y", "admin", "admin a b"])
def test_without_a_key_the_remedy_is_named(tmp_path: Path, keys: str | None):
    (tmp_path / "addresses.json").write_text('{"console": "http://127.0.0.1:9"}')
    if keys is not None:
        (tmp_path / "first-keys").write_text(keys)
    with pytest.raises(Abort, match="no key is known"), reach(asked(tmp_path)):
        pass


def remote(url: str, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    monkeypatch.setenv(URL_VARIABLE, url)
    monkeypatch.setenv(KEY_VARIABLE, "tn_ops_x_y")
    return asked(None)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://["])
def test_a_console_that_cannot_be_reached_is_said(url: str, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(Abort, match="cannot be reached"), reach(remote(url, monkeypatch)) as reached:
        reached.list_rollouts()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhtml", "is no Turnout console of this version"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n[{}]", "is no Turnout console of this version"),
        (b"HTTP/1.1 502 Bad\r\ncontent-length: 4\r\n\r\nhtml", "answered 502 without a Turnout error"),
        (b"HTTP/1.1 302 Go\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n", "answered 302 without"),
        (b"junk\r\n\r\n", "cannot be reached"),
        (
            b'HTTP/1.1 404 No\r\ncontent-length: 56\r\n\r\n{"error":{"code":"unknown_url","message":"Unknown ..."}}',
            "is no console, but perhaps a gateway; TURNOUT_URL is the console's address",
        ),
    ],
)
def test_what_is_no_console_is_said(content: bytes, sentence: str, monkeypatch: pytest.MonkeyPatch):
    for url in answering(content):
        with pytest.raises(Abort, match=sentence), reach(remote(url, monkeypatch)) as reached:
            reached.list_rollouts()


def test_strange_names_stay_one_segment_of_the_path(tmp_path: Path, console: RunningConsole):
    with reach(asked(tmp_path)) as reached:
        for name in ("a?b", "ü", "a b", "a%2Fb", "a#b"):
            with pytest.raises(Abort, match="there is no"):
                reached.show(name)
        for name in ("", "\udcff", "../keys", "a/b", "..", "."):
            with pytest.raises(Abort, match=r"is no name of|not valid Unicode") as aborted:
                reached.show(name)
            assert aborted.value.exit_code == 2


def everything(console: Console) -> list[object]:
    """Do all that a console can do, and return what it showed."""
    made = console.create_key("ops", None, "mine")
    user_hash = console.whois("alice", None)[0].user_hash
    shown = [
        console.set_percent(SALES, "10", 1, "step"),
        console.force_user(SALES, "alice", "candidate", 2, ""),
        console.unforce_hash(SALES, user_hash, 3, ""),
        console.force_user(SALES, "alice", "base", 4, ""),
        console.unforce_user(SALES, "alice", 5, ""),
    ]
    return [
        [(view.percent, view.version, len(view.forced)) for view in shown],
        console.list_rollouts(),
        console.show(SALES).percent,
        [entry.action for entry in console.history(SALES, verify=True).entries],
        console.revoke_key(made.kept.id).revoked_at is not None,
        len(console.list_keys()),
    ]


def test_a_console_and_files_behave_alike(tmp_path: Path, console: RunningConsole):
    (tmp_path / "direct").mkdir()
    with opened(tmp_path / "direct") as control:
        control.keys.first_keys()
        control.keys.create_key("ops", None, "", actor="test")
    with reach(asked(tmp_path)) as by_http:
        console.key("ops")
        one = everything(by_http)
    with reach(asked(tmp_path / "direct", direct=True)) as by_files:
        other = everything(by_files)

    assert one[0] == other[0]
    assert one[2:] == other[2:]
